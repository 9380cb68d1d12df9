"""What the command line shows, as frames: the state of tables, the ledger's lines, rejected rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import polars as pl
from polars._typing import PolarsDataType

from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.checks import books, broken_rules, pending, stored
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Severity
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.ledger import LEDGER, LINEAGE, named_window
from shopware_assets.transforms import ANSWERS


def tables() -> Iterator[Table]:
    """Every table of the lake."""
    for contract in CONTRACTS.values():
        yield from (bronze(contract), silver(contract), rejected(contract))
    yield from (answer.table for answer in ANSWERS.values())
    yield from (LEDGER, LINEAGE)


def status(lake: Lake) -> pl.DataFrame:
    """A line a table; `rejected_share` is of the rows judged, 0 to 1, and `bytes` is what its newest version takes."""
    counts = ledger.read_ledger(lake)
    return pl.DataFrame([_status_of(lake, table, counts) for table in tables()], schema=_STATUS)


_STATUS: dict[str, PolarsDataType] = {
    "table": pl.String,
    "windows": pl.Int64,
    "rows": pl.Int64,
    "rejected_share": pl.Float64,
    "newest_window": pl.String,
    "last_commit": pl.Datetime("ms", "UTC"),
    "bytes": pl.Int64,
}


def _status_of(lake: Lake, table: Table, counts: pl.DataFrame) -> dict[str, object]:
    windows = stored(lake, table)
    judged = counts.filter(pl.col("table_name") == table.name)
    read = int(judged["read"].sum())
    commits = lake.history(table, 1)
    return {
        "table": table.name,
        "windows": windows.height if table.grain else None,
        "rows": int(windows["rows"].sum()),
        "rejected_share": int(judged["rejected"].sum()) / read if read else None,
        "newest_window": windows["window"].max() if table.grain else None,
        "last_commit": datetime.fromtimestamp(commits[0]["timestamp"] / 1000, UTC) if commits else None,
        "bytes": int(lake.counts(table)["bytes"].sum()),
    }


def readable_status(lines: pl.DataFrame) -> pl.DataFrame:
    """The same in fewer and shorter words."""
    return lines.select(
        "table",
        "windows",
        "rows",
        (pl.col("rejected_share") * 100).round(2).alias("rejected %"),
        pl.col("newest_window").alias("newest window"),
        pl.col("last_commit").dt.truncate("1s").alias("last commit"),
        (pl.col("bytes") / 1e6).round(2).alias("MB"),
    )


def rejects(
    lake: Lake, contract: Contract, rule: str, source: str, window: str, limit: int
) -> tuple[pl.DataFrame, int]:
    """Rows set aside: the rules each broke, where it came from, and its text; and how many there are in all.

    Asked for a rule that only warns, also the rows that were kept.
    """
    rows = lake.scan(rejected(contract))
    if rule and contract.rule_severities[rule] is Severity.WARN:
        no_text = dict.fromkeys(("_reasons", "_corrupt", "_extra"), pl.lit(""))
        kept = lake.scan(silver(contract)).with_columns(pl.col(contract.column_names).cast(pl.String), **no_text)
        rows = pl.concat([rows, kept.select(rows.collect_schema().names())])
    if rule:
        rows = rows.filter(
            pl.concat_str("_reasons", "_warnings", separator=",").str.split(",").list.contains(pl.lit(rule))
        )
    if source:
        rows = rows.filter(pl.col("_source").str.contains(source, literal=True))
    if window:
        rows = rows.filter(named_window(silver(contract)).str.starts_with(window))
    shown = ["_source", "_line", "_reasons", "_warnings", *contract.column_names, "_corrupt", "_extra"]
    found = rows.sort("_source", "_line", "_landed_at").head(limit).select(*shown, "_version", "_landed_at").collect()
    return found, rows.select(pl.len()).collect().item()


def readable_rejects(rows: pl.DataFrame) -> pl.DataFrame:
    """The same with object and record as one, and without what no row has."""
    named = rows.select(
        pl.format("{}, record {}", "_source", "_line").alias("at"),
        pl.col("_reasons").str.replace_all(",", ", ").alias("broke"),
        pl.col("_warnings").str.replace_all(",", ", ").alias("warned of"),
        pl.exclude("_source", "_line", "_reasons", "_warnings", "_version", "_landed_at"),
    )
    return named.select(c for c in named if not c.fill_null("").eq("").all())


def ledger_lines(lake: Lake, contracts: Sequence[Contract], threshold: float, source: str = "") -> pl.DataFrame:
    """The books: a line per source object (`object`, ...) and, unless for some sources only, per `window`.

    `balances`: read = accepted + rejected + superseded + pending, each counted by itself and found stored. Of an object
    `read` is what its marker says, and bronze must have as many rows of it; of a window it is what bronze has, and
    `outcome` is judged, held (over the threshold), pending, or being made: then its books are still open.
    """
    objects = pl.concat([_objects(lake, contract) for contract in contracts])
    objects = objects.filter(pl.col("object").str.contains(source, literal=True))
    windows = pl.concat([_windows(lake, contract, threshold) for contract in contracts])
    lines = pl.concat([objects, windows.clear() if source else windows], how="diagonal")
    lines = lines.sort("table", "object", "landed_at", "window", nulls_last=True)
    return lines.select("table", "object", "window", pl.exclude("table", "object", "window"))


def readable_ledger(lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same as objects and windows; what is wrong with a line stands behind it."""
    odd = pl.when(~pl.col("balances")).then(pl.lit("DOES NOT BALANCE"))
    shown = lines.with_columns(
        pl.col("landed_at").dt.truncate("1s"), note=pl.concat_str(odd, "note", separator=" ", ignore_nulls=True)
    )
    objects = shown.filter(pl.col("object").is_not_null())
    windows = shown.filter(pl.col("object").is_null())
    named = pl.concat_str("table", "window", separator=" ").alias("window")
    return (
        objects.select("object", "landed_at", "outcome", *_COUNTS, "note"),
        windows.select(named, "outcome", *_COUNTS, "note"),
    )


BEING_MADE = "being made"

_COUNTS = ("read", "accepted", "rejected", "superseded", "pending")
_IDENTITY = ["source", "version", "landed_at"]


def _objects(lake: Lake, contract: Contract) -> pl.DataFrame:
    judged, handle = ledger.read_ledger(lake, silver(contract)), lake.open(bronze(contract))
    markers = ledger.markers(lake, contract, handle=handle)
    stored_rows = (
        lake.scan(bronze(contract), handle=handle)
        .filter(pl.col("_line") > 0)
        .group_by(source="_source", version="_version", landed_at="_landed_at")
        .agg(stored=pl.len().cast(pl.Int64))
        .collect(engine="streaming")
    )
    # One that was gone and came back has left two markers: only the second stands for rows.
    lines = markers.sort(pl.col("outcome") == "gone").unique(_IDENTITY, keep="first", maintain_order=True)
    for counts in (
        judged.group_by(_IDENTITY).agg(pl.col("accepted", "rejected", "superseded").sum()),
        pending(markers, judged).group_by(_IDENTITY).agg(pl.col("pending").sum()),
        stored_rows,
    ):
        lines = lines.join(counts, on=_IDENTITY, how="left")
    lines = lines.with_columns(pl.col(*_COUNTS[1:], "stored").fill_null(0))
    replaced = pl.col("outcome").is_in(["ingested", "empty", "workbook", "unreadable"]) & ~pl.col("current")
    lost = pl.when(pl.col("stored") != pl.col("rows")).then(pl.format("Bronze has {} of its rows.", "stored"))
    lacks = pl.when(pl.col("missing_columns").list.len() > 0).then(
        pl.format("Its header lacks {}.", pl.col("missing_columns").list.join(", "))
    )
    return lines.select(
        pl.lit(contract.name).alias("table"),
        pl.col("source").alias("object"),
        "landed_at",
        pl.when(replaced).then(pl.lit("replaced")).otherwise("outcome").alias("outcome"),
        pl.col("rows").alias("read"),
        *_COUNTS[1:],
        balances=(pl.col("rows") == pl.sum_horizontal(_COUNTS[1:])) & (pl.col("rows") == pl.col("stored")),
        note=pl.coalesce(lost, "reason", lacks),
    )


def _windows(lake: Lake, contract: Contract, threshold: float) -> pl.DataFrame:
    held = ledger.held_windows(lake, threshold, pl.col("table_name") == silver(contract).name)["window"]
    outcome = (
        pl.when("being_made")
        .then(pl.lit(BEING_MADE))
        .when(pl.col("pending") > 0)
        .then(pl.lit("pending"))
        .when(pl.col("window").is_in(held.implode()))
        .then(pl.lit("held"))
        .otherwise(pl.lit("judged"))
    )
    return books(lake, contract).select(
        pl.lit(contract.name).alias("table"),
        "window",
        outcome.alias("outcome"),
        pl.col("bronze").alias("read"),
        pl.col("stored_accepted").alias("accepted"),
        pl.col("stored_rejected").alias("rejected"),
        "superseded",
        "pending",
        balances=pl.col("balances") | pl.col("being_made"),
    )


def why_held(lake: Lake, contract: Contract, held: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Of the `held` windows of a table: how many rows were rejected and why, and the command that shows these rows."""
    name = silver(contract).name
    windows = held.filter(pl.col("table_name") == name)
    if windows.is_empty():
        return {}
    rejecting = [rule for rule, severity in contract.rule_severities.items() if severity is Severity.REJECT]
    broken = broken_rules(lake, contract, windows["window"].to_list()).filter(pl.col("rule").is_in(rejecting))
    found = {}
    for window, read, rows in windows.select("window", "read", "rejected").iter_rows():
        rules = broken.filter(pl.col("window") == window).sort("rows", descending=True, maintain_order=True)
        named = ", ".join(f"{rule} {count:,}" for rule, count in rules.select("rule", "rows").iter_rows())
        # Rows that a new version took from the window are filed elsewhere.
        why = f"{rows:,} of {read:,} rows rejected ({named or 'in a new version of their object'})"
        found[window] = why, f"shopware rejects {name}" + (f" --window {window}" if named else "")
    return found


def after_settling(lake: Lake, threshold: float) -> list[str]:
    """What a person should know now: totals, rejected rows and held windows and what to do about them, pending rows."""
    counts = ledger.read_ledger(lake)
    totals = {name: int(counts[name].sum()) for name in ("read", "accepted", "rejected", "superseded", "waiting")}
    waiting = f" ({totals['waiting']:,} of them wait for a parent)" if totals["waiting"] else ""
    lines = [
        f"Settled: {totals['read']:,} rows read, {totals['accepted']:,} accepted, {totals['rejected']:,} rejected"
        f"{waiting}, {totals['superseded']:,} superseded."
    ]
    rejecting = counts.group_by("table_name").agg(pl.col("rejected").sum()).filter(pl.col("rejected") > 0)
    for table, rows in rejecting.sort("table_name").iter_rows():
        lines.append(f"Rejected in {table}: {rows:,}; `shopware rejects {table}` shows them.")
    held = ledger.held_windows(lake, threshold)
    for contract in CONTRACTS.values():
        table = silver(contract)
        for window, (why, command) in why_held(lake, contract, held).items():
            lines.append(
                f"{table.name} {window} is held: {why}. Gold waits; `{command}` shows the rows, "
                f"`shopware allow {table.name} {window}` lets it through."
            )
    for contract in CONTRACTS.values():
        table = silver(contract)
        unjudged = pending(ledger.markers(lake, contract), counts.filter(pl.col("table_name") == table.name))
        if not unjudged.is_empty():
            rows, first, last = unjudged.select(
                pl.col("pending").sum(), first=pl.col("window").min(), last=pl.col("window").max()
            ).row(0)
            early = table.grain is not None and first > table.grain.label(datetime.now(UTC))
            hint = " Their time has not come: is a clock wrong?" if early else ""
            lines.append(f"Pending in {table.name}: {rows:,}, windows {first} to {last}.{hint}")
    return lines
