"""Alerts: what people are told, each thing once.

What there is to tell is computed from the lake; what has been told is kept in it. So nothing is lost with Dagster's
database, and a message is repeated only after a kill between sending and recording.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from resources.lake import Lake
from resources.notifications import Event, Notifications
from sensors.requests import Asked, digest
from shopware_assets import ledger
from shopware_assets.checks import broken_rules, unbalanced
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Severity, Type
from shopware_assets.contracts.tables import Table, silver
from shopware_assets.contracts.windows import contiguous
from shopware_assets.report import why_held
from shopware_assets.serving.tables import SERVED
from shopware_assets.transforms import ANSWERS, table_read
from shopware_assets.transforms.stock import STOCKOUTS

TOLD = Table("alerts", {"id": Type.STRING.dtype, "kind": Type.STRING.dtype, "subject": Type.STRING.dtype})
"""What people have been told: the id of every fact that a message was about."""

_LISTED = 10
_NEWS_HOURS = 24


@dataclass(frozen=True)
class Fact:
    """One thing to tell. Facts of one kind about one table go into one message."""

    id: str
    kind: str
    table: str
    line: str
    advice: str = ""


def facts(
    lake: Lake, *, threshold: float, rule_share: float, given_up: Sequence[Asked], unsettled: Collection[str]
) -> Iterator[Fact]:
    """Everything that is wrong now.

    Args:
        given_up: The runs that were the last attempt at what is given up.
        unsettled: The assets that are still to be made somewhere.
    """
    now = lake.snapshot()
    counts = ledger.read_ledger(now)
    yield from (
        Fact(
            f"given_up:{digest(run.assets)}:{run.missing}",
            "run_failed",
            run.assets[0],
            f"{run}: {'its run' if run.only else 'three runs'} {'failed' if run.failed else 'have not settled it'}.",
            "The run's log says why."
            if run.only
            else "The runs' logs say why; `shopware settle` tries again, and prints it.",
        )
        for run in given_up
    )
    held = ledger.held_windows(now, threshold)
    for contract in CONTRACTS.values():
        name = silver(contract).name
        judged = counts.filter(pl.col("table_name") == name)
        if ledger.never_landed(now, contract, judged):
            continue
        of_this = held.filter(pl.col("table_name") == name)
        yield from _held(now, contract, of_this)
        yield from _rule_shares(now, contract, judged.join(of_this, on="window", how="anti"), rule_share)
        yield from _books(lake, contract, judged)  # must see what others write meanwhile
        yield from _columns(now, contract)
        yield from _emptied(judged, name)
    yield from _emptied_answers(now, counts, unsettled)
    yield from _stockouts(now, unsettled)


def _held(lake: Lake, contract: Contract, held: pl.DataFrame) -> Iterator[Fact]:
    name, why = silver(contract).name, why_held(lake, contract, held)
    for window, objects in held.select("window", "objects").iter_rows():
        words, _ = why[window]
        yield Fact(
            f"held:{name}:{window}:{digest([objects])}",
            "window_held",
            name,
            f"{window}: {words}.",
            f"Gold keeps its last values. `shopware rejects {name} --window WINDOW` shows the rows, "
            f"`shopware allow {name} WINDOW` lets a window through.",
        )


def _rule_shares(lake: Lake, contract: Contract, judged: pl.DataFrame, share: float) -> Iterator[Fact]:
    """Rules that many rows of a window break, waiting ones aside; once for each, however many rows more there come.

    The ledger says where many are rejected; what is only warned of stands in the rows.
    """
    totals = judged.filter("current").group_by("window").agg(pl.col("read", "rejected", "waiting").sum())
    if Severity.WARN not in contract.rule_severities.values():
        totals = totals.filter(pl.col("rejected") - pl.col("waiting") > share * pl.col("read"))
    if totals.is_empty():
        return
    waits = [reference.rule for reference in contract.references]
    broken = broken_rules(lake, contract, totals["window"].to_list()).join(totals, on="window")
    over = broken.filter((pl.col("rows") > share * pl.col("read")) & ~pl.col("rule").is_in(waits))
    name = silver(contract).name
    for rule, window, rows, read in over.select("rule", "window", "rows", "read").iter_rows():
        yield Fact(
            f"rule:{name}:{window}:{rule}",
            "rule_share",
            name,
            f"{window}: {rows} of {read} rows break {rule}.",
            f"`shopware rejects {name} --rule RULE` shows them.",
        )


def _books(lake: Lake, contract: Contract, judged: pl.DataFrame) -> Iterator[Fact]:
    wrong = unbalanced(lake, contract, judged["window"].unique().to_list())
    for line in wrong.iter_rows(named=True):
        yield Fact(
            f"books:{contract.name}:{digest(line.values())}",
            "books_unbalanced",
            silver(contract).name,
            ", ".join(f"{key} {value}" for key, value in line.items()),
            f"`shopware ledger --feed {contract.feed}` shows all; materialize the windows again.",
        )


def _columns(lake: Lake, contract: Contract) -> Iterator[Fact]:
    lacking = ledger.markers(lake, contract).filter("current", pl.col("missing_columns").list.len() > 0)
    for source, version, missing in lacking.select("source", "version", "missing_columns").iter_rows():
        yield Fact(
            f"columns:{source}:{version}",
            "columns_missing",
            f"bronze/{contract.name}",
            f"{source} lacks {', '.join(missing)}.",
            "Their values are missing; where they are required the rows are rejected.",
        )


def _emptied(judged: pl.DataFrame, name: str) -> Iterator[Fact]:
    """A table is not empty for good while what it has waits for parents."""
    sums = {column: int(judged[column].sum()) for column in ("read", "accepted", "rejected", "waiting")}
    only_waits = sums["waiting"] > 0 and sums["rejected"] == sums["waiting"]
    if sums["read"] > 0 and sums["accepted"] == 0 and not only_waits:
        yield Fact(_emptied_id(name, judged), "table_emptied", name, "No row is accepted any more.")


def _emptied_answers(lake: Lake, counts: pl.DataFrame, unsettled: Collection[str]) -> Iterator[Fact]:
    for answer in ANSWERS.values():
        if answer.may_be_empty:
            continue
        inputs = [table_read(read) for read in answer.inputs]
        judged = counts.filter(pl.col("table_name").is_in([table.name for table in inputs]))
        name = answer.table.name
        if any(table.name in unsettled for table in (answer.table, *inputs)) or lake.version(answer.table) < 0:
            continue
        if lake.rows(answer.table) == 0 and any(lake.rows(table) for table in inputs):
            yield Fact(_emptied_id(name, judged), "table_emptied", name, "It has no row.")


def _stockouts(lake: Lake, unsettled: Collection[str]) -> Iterator[Fact]:
    """Products that are out of stock now and have been for a day at most: older ones are no news."""
    table = STOCKOUTS.table
    if table.name in unsettled:
        return
    begun = lake.scan(table).filter(pl.col("ended_at").is_null(), pl.col("hours") <= _NEWS_HOURS)
    for product, warehouse, started_at in begun.select(*STOCKOUTS.key).sort(*STOCKOUTS.key).collect().iter_rows():
        yield Fact(
            f"stockout:{product}:{warehouse}:{started_at:%Y-%m-%dT%H:%M:%S.%f}",
            "stockout",
            table.name,
            f"Product {product} in warehouse {warehouse}, since {started_at:%Y-%m-%d %H:%M} UTC.",
        )


def _emptied_id(name: str, judged: pl.DataFrame) -> str:
    """The same until an object is replaced, without which no row that was accepted can go."""
    return f"emptied:{name}:{judged.filter((pl.col('source') != '') & ~pl.col('current')).height}"


def made_of(contracts: Sequence[Contract]) -> set[str]:
    """The assets, from silver on, that have something of these tables."""
    made = {f"silver/{contract.name}" for contract in contracts}
    for answer in ANSWERS.values():  # those that others read come first
        if made & {table_read(read).name for read in answer.inputs}:
            made.add(answer.table.name)
    return made | {served.table.name for served in SERVED.values() if f"gold/{served.answer}" in made}


def tell_settled(lake: Lake, notifications: Notifications, contracts: Sequence[Contract]) -> int:
    """Tells of what has been settled since: one message per contiguous range of landing windows of a feed.

    To be called when nothing that is made of the feed is stale (see `made_of`).
    """
    told = lake.scan(TOLD).select("id").collect()
    now = lake.snapshot()
    lines = pl.concat([_settled(now, contract) for contract in contracts]).join(told, on="id", how="anti")
    grain, messages = contracts[0].grain, 0
    for first, last in contiguous(lines["landing_window"], grain):
        part = lines.filter(pl.col("landing_window").is_between(first, last))
        sums = {name: int(part[name].sum()) for name in ("rows", "accepted", "rejected", "superseded")}
        days = part["days"].explode().drop_nulls().n_unique()
        span = f"{grain.label(first)} to {grain.label(last)}" if first < last else grain.label(first)
        text = (
            f"{part.height} files, {sums['rows']} rows read, {sums['accepted']} accepted, {sums['rejected']} rejected, "
            f"{sums['superseded']} superseded, {days} gold days renewed."
        )
        event = Event(digest(part["id"]), "settled", f"{contracts[0].feed}: settled {span}", text)
        notifications.publish(event)
        record = part.select("id", kind=pl.lit("settled"), subject=pl.lit(contracts[0].feed))
        lake.add_missing(TOLD, record, key="id")
        messages += 1
    return messages


def _settled(lake: Lake, contract: Contract) -> pl.DataFrame:
    """Object versions all of whose rows have been judged: what became of them, and the gold days made from windows
    that have some of them.
    """
    identity = ["source", "version", "landed_at"]
    table = silver(contract)
    judged = ledger.read_ledger(lake, table)
    counts = judged.group_by(identity).agg(pl.col("read", "accepted", "rejected", "superseded").sum())
    made = ledger.read_lineage(lake, kinds=["made_from"]).filter(
        pl.col("name").str.starts_with(f"{table.name}/"), pl.col("window") != ledger.WHOLE
    )
    days = judged.join(made.select(day="window", window="at"), on="window")
    days = days.group_by(identity).agg(days=pl.col("day").unique())
    lines = ledger.markers(lake, contract).join(counts, on=identity, how="left").join(days, on=identity, how="left")
    return lines.filter(pl.col("rows") == pl.col("read").fill_null(0)).select(
        pl.format("settled:{}:{}:{}", "source", "version", pl.col("landed_at").dt.timestamp("us")).alias("id"),
        "landing_window",
        "rows",
        pl.col("accepted", "rejected", "superseded").fill_null(0),
        "days",
    )


def tell(lake: Lake, notifications: Notifications, found: Iterable[Fact]) -> int:
    """Sends what has not been told yet, a message per kind and table; how many messages.

    Raises:
        NotSent: The topic refused one; it and those after it are told at the next attempt.
    """
    told = set(lake.scan(TOLD).select("id").collect()["id"])
    news = {fact.id: fact for fact in found if fact.id not in told}
    ordered = sorted(news.values(), key=lambda fact: (fact.kind, fact.table, fact.id))
    messages = 0
    for (kind, table), group in groupby(ordered, key=lambda fact: (fact.kind, fact.table)):
        about = list(group)
        notifications.publish(_event(kind, table, about))
        _record(lake, about)
        messages += 1
    return messages


def _record(lake: Lake, about: Sequence[Fact]) -> None:
    rows = pl.DataFrame([{"id": fact.id, "kind": fact.kind, "subject": fact.table} for fact in about])
    lake.add_missing(TOLD, rows, key="id")


_TITLES = {
    "run_failed": "failed for good",
    "window_held": "held over the reject threshold",
    "rule_share": "a rule is broken unusually often",
    "books_unbalanced": "books do not balance",
    "columns_missing": "columns are missing",
    "table_emptied": "table emptied",
    "stockout": "out of stock",
}


def _event(kind: str, table: str, about: Sequence[Fact]) -> Event:
    lines = [fact.line for fact in about[:_LISTED]]
    more = [f"... and {len(about) - _LISTED} more."] if len(about) > _LISTED else []
    advice = [about[0].advice] if about[0].advice else []
    return Event(
        id=digest(fact.id for fact in about),
        kind=kind,
        subject=f"{table}: {_TITLES[kind]} ({len(about)})",
        text="\n".join([*lines, *more, *advice]),
        attributes={"table": table},
    )
