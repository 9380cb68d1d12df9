"""Checks: what is verified of every table, as specs that follow from the contracts and as what a run found.

One check per rule of the contract, by the rule's name; `books_balance` compares what is stored in two layers; table
rules look at several rows; `volume` compares a window with those before it.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import narwhals as nw
import polars as pl
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from deltalake import DeltaTable
from polars._typing import PolarsDataType

from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Rule, Severity, TableRule
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import named_window

BROKEN: dict[str, PolarsDataType] = {
    "rule": pl.String,
    "window": pl.String,
    "rows": pl.Int64,
    "sample": pl.List(pl.String),
}

BOOKS = "books_balance"
SUMS = "sums_agree"
VOLUME = "volume"
COLUMNS_COMPLETE = "columns_complete"
NO_UNDECLARED = "no_undeclared_columns"

_READY = "_ready"
_SAMPLE = 5
_UNSAFE = set('"$`\\!\n')  # between double quotes, to a shell
_PER_WINDOW = 2  # a longer range records only windows in which something is or was wrong: an event costs 10 ms and more
_REMEMBERED = 1000
_VOLUME_WINDOWS, _VOLUME_FACTOR = 28, 4


def bronze_checks(contract: Contract) -> list[dg.AssetCheckSpec]:
    key = ["bronze", contract.name]
    return [
        dg.AssetCheckSpec(COLUMNS_COMPLETE, asset=key, description="Every object has all columns of the contract."),
        dg.AssetCheckSpec(
            NO_UNDECLARED, asset=key, description="No object has fields that the contract does not name."
        ),
    ]


def silver_checks(contract: Contract) -> list[dg.AssetCheckSpec]:
    key = ["silver", contract.name]
    rules: tuple[Rule | TableRule, ...] = (*contract.rules, *contract.references_as_rules, *contract.table_rules)
    by_rule = [
        dg.AssetCheckSpec(rule.name, asset=key, description=rule.description, metadata={"severity": str(rule.severity)})
        for rule in rules
    ]
    return [
        *by_rule,
        *([ready_check(key, contract.complete_with)] if contract.complete_with else ()),
        dg.AssetCheckSpec(
            BOOKS, asset=key, description="read = accepted + rejected + superseded, and as many rows are stored."
        ),
        dg.AssetCheckSpec(
            VOLUME,
            asset=key,
            description=f"Every window has 1/{_VOLUME_FACTOR} to {_VOLUME_FACTOR} times the rows usual before it.",
        ),
    ]


def freshness(contract: Contract) -> dg.FreshnessPolicy:
    """A feed that is due every hour is late after two, one that is due every day after a day and a half."""
    late = timedelta(hours=2) if contract.grain is Grain.HOUR else timedelta(hours=36)
    return dg.FreshnessPolicy.time_window(fail_window=2 * late, warn_window=late)


def columns_complete(contract: Contract, markers: pl.DataFrame) -> tuple[bool, dict[str, Any]]:
    """Whether every object had all columns; otherwise which lacked which."""
    lacking = markers.filter(pl.col("missing_columns").list.len() > 0)
    missing = sorted(set(lacking["missing_columns"].explode().drop_nulls()))
    return lacking.is_empty(), {"missing": ", ".join(missing), "objects": lacking["source"].head(_SAMPLE).to_list()}


def no_undeclared(markers: pl.DataFrame) -> tuple[bool, dict[str, Any]]:
    """Whether no record had fields that the contract does not name."""
    records = int(markers["undeclared"].sum())
    return records == 0, {
        "records": records,
        "objects": markers.filter(pl.col("undeclared") > 0)["source"].head(_SAMPLE).to_list(),
    }


def ready_check(key: Sequence[str], tables: Sequence[str]) -> dg.AssetCheckSpec:
    """The check that these tables have been delivered."""
    name = f"{CONTRACTS[tables[0]].feed}{_READY}"
    return dg.AssetCheckSpec(name, asset=list(key), description=f"Delivered for the window: {', '.join(tables)}.")


def not_ready(lake: Lake, tables: Sequence[str], windows: Sequence[str]) -> dict[str, dict[str, str]]:
    """The windows that have rows of some of the tables, but not of all, and of which they have none."""
    delivered = {}
    for name in tables:
        markers = ledger.markers(lake, CONTRACTS[name]).filter("current", pl.col("outcome") == "ingested")
        there = {window["window"] for window in markers["windows"].explode().drop_nulls()}
        delivered[name] = there if CONTRACTS[name].event_time else {*windows} if markers.height else set()
    begun = set().union(*(there for name, there in delivered.items() if CONTRACTS[name].event_time))
    missing = {
        window: ", ".join(name for name, there in delivered.items() if window not in there)
        for window in windows
        if window in begun
    }
    return {window: {"missing": names} for window, names in missing.items() if names}


def broken_rules(lake: Lake, contract: Contract, windows: Sequence[str] | None) -> pl.DataFrame:
    """How often each rule was broken in each window: `rule`, `window`, `rows`, `sample` (object and line)."""
    grain = silver(contract).grain
    within = None if grain is None or windows is None else [grain.parse(window) for window in windows]
    parts = []
    for table, column in (
        (rejected(contract), "_reasons"),
        (rejected(contract), "_warnings"),
        (silver(contract), "_warnings"),
    ):
        parts.append(
            lake.scan(table, within)
            .filter(pl.col(column) != "")
            .select(
                rule=pl.col(column).str.split(","),
                window=named_window(table),
                at=pl.format("{}:{}", "_source", "_line"),
            )
            .explode("rule")
        )
    return (
        pl.concat(parts)
        .group_by("rule", "window")
        .agg(rows=pl.len().cast(pl.Int64), sample=pl.col("at").head(_SAMPLE))
        .sort("rule", "window")
        .collect()
    )


def broken_table_rules(lake: Lake, contract: Contract, windows: Sequence[str]) -> pl.DataFrame:
    """The same for rules over several rows, over all entities that have a row in the windows; `sample` names entities.

    Args:
        windows: Of a table without windows: none, it is looked at as a whole.
    """
    table = silver(contract)
    rules = contract.table_rules if windows or table.grain is None else ()
    within = None if table.grain is None else [table.grain.parse(window) for window in windows]
    found = [pl.LazyFrame(schema=BROKEN)]
    for rule in rules:
        day = rule.reads[contract.name]
        here = lake.scan(table, within).select(rule.entity, *([day] if day else []), window=named_window(table))
        touched = here.unique().collect()
        frames = []
        for name, day_there in rule.reads.items():
            rows = lake.scan(silver(CONTRACTS[name]))
            if day and day_there:
                rows = rows.filter(pl.col(day_there).is_in(touched[day].unique().implode()))
            frames.append(nw.from_native(rows.join(touched.lazy(), on=rule.entity, how="semi")))
        broken = rule.broken_by(*frames).to_native().join(touched.lazy(), on=rule.entity)
        sample = pl.col(rule.entity).cast(pl.String).head(_SAMPLE)
        counted = broken.group_by("window").agg(rows=pl.len().cast(pl.Int64), sample=sample)
        found.append(counted.select(rule=pl.lit(rule.name), window="window", rows="rows", sample="sample"))
    return pl.concat(found).sort("rule", "window").collect()


def table_rules_elsewhere(contract: Contract) -> list[tuple[Contract, TableRule]]:
    """The rules over several rows of other tables that read days of this one, each with its table."""
    others = [other for other in CONTRACTS.values() if other.name != contract.name]
    return [(other, rule) for other in others for rule in other.table_rules if rule.reads.get(contract.name)]


def days_shared(lake: Lake, contract: Contract, rule: TableRule, windows: Sequence[str]) -> set[str]:
    """The days that rows in these windows share with those of the rule's table."""
    table = silver(contract)
    assert table.grain
    rows = lake.scan(table, [table.grain.parse(window) for window in windows])
    return set(rows.select(pl.col(str(rule.reads[contract.name])).cast(pl.String)).unique().collect().to_series())


def books(lake: Lake, contract: Contract) -> pl.DataFrame:
    """Per window what bronze holds, what the ledger says became of it, and what silver has stored.

    A window that a run makes meanwhile is `being_made`, as is one whose run was killed: its books are open, and only
    those of other windows can be wrong.

    Returns:
        `window`, `bronze`, `read`, `accepted`, `stored_accepted`, `rejected`, `stored_rejected`, `superseded`,
        `pending` (see `pending`), `being_made` and `balances`.
    """
    table, handle = silver(contract), lake.open(bronze(contract))
    before = ledger.read_ledger(lake, table)
    held = (
        stored(lake, bronze(contract), "bronze", handle=handle),
        stored(lake, table, "stored_accepted"),
        stored(lake, rejected(contract), "stored_rejected"),
    )
    now = ledger.read_ledger(lake, table)
    both = pl.concat([before, now])
    made = both.filter((pl.col("source") == "") | pl.struct(both.columns).is_unique())["window"].unique()
    lines = now.group_by("window").agg(pl.col("read", "accepted", "rejected", "superseded").sum())
    waiting = pending(ledger.markers(lake, contract, handle=handle), before)
    for rows in (*held, waiting.group_by("window").agg(pl.col("pending").sum())):
        lines = lines.join(rows, on="window", how="full", coalesce=True)
    return lines.fill_null(0).with_columns(
        being_made=pl.col("window").is_in(made.implode()),
        balances=(pl.col("bronze") == pl.col("read") + pl.col("pending"))
        & (pl.col("read") == pl.sum_horizontal("accepted", "rejected", "superseded"))
        & (pl.col("accepted") == pl.col("stored_accepted"))
        & (pl.col("rejected") == pl.col("stored_rejected")),
    )


def pending(markers: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """The rows that objects brought to windows which have not been judged with them.

    Args:
        markers: What every object held.
        judged: The ledger of the table.

    Returns:
        `source`, `version`, `landed_at`, `window`, `pending` (rows).
    """
    identity = ["source", "version", "landed_at"]
    brought = markers.select(*identity, "windows").explode("windows").drop_nulls("windows").unnest("windows")
    return brought.rename({"rows": "pending"}).join(judged, on=[*identity, "window"], how="anti")


def stored(lake: Lake, table: Table, name: str = "rows", *, handle: DeltaTable | None = None) -> pl.DataFrame:
    """Rows of each `window`, from the log alone where it can tell them from markers (which have no window)."""
    if table.grain is None and "_marker" in table.columns:
        rows = lake.scan(table, handle=handle).filter(pl.col("_line") > 0)
        counted = rows.select(pl.len().cast(pl.Int64).alias("rows")).collect()
    else:
        within = (pl.col(column).is_not_null() for column in table.partition_columns)
        counted = lake.counts(table, handle=handle).filter(*within)
    windows = counted.group_by(window=named_window(table)).agg(pl.col("rows").sum().alias(name))
    return windows.filter(pl.col(name) > 0)


def unbalanced(lake: Lake, contract: Contract, windows: Sequence[str]) -> pl.DataFrame:
    """Those of the windows whose books do not balance (see `books`)."""
    wrong = ~pl.col("balances") & ~pl.col("being_made") & pl.col("window").is_in(list(windows))
    return books(lake, contract).filter(wrong).drop("balances", "being_made").sort("window")


def unusual_volume(read: pl.DataFrame, windows: Sequence[str]) -> pl.DataFrame:
    """Windows with far more or fewer rows than the ones before them: `window`, `read`, `usual` (their median).

    Args:
        read: `window` and `read` of every window of the table.
    """
    ordered = read.sort("window").with_columns(
        usual=pl.col("read").shift(1).rolling_median(_VOLUME_WINDOWS, min_samples=_VOLUME_WINDOWS // 2)
    )
    far = (pl.col("read") > _VOLUME_FACTOR * pl.col("usual")) | (_VOLUME_FACTOR * pl.col("read") < pl.col("usual"))
    return ordered.filter(pl.col("window").is_in(windows) & far)


def command_for(contract: Contract, rule: str, failing: Mapping[str, Mapping[str, Any]]) -> str:
    """What a person runs to see the rows that break the rule; of a rule over several rows, those of some entities."""
    if rule in contract.rule_severities:
        return f"shopware rejects silver/{contract.name} --rule {rule}"
    entity = next(table_rule.entity for table_rule in contract.table_rules if table_rule.name == rule)
    return rows_command(silver(contract), entity, (one for facts in failing.values() for one in facts["sample"]))


def rows_command(table: Table, column: str, values: Iterable[str]) -> str:
    """What a person runs to see the rows of a table that have one of these values, the first few of them."""
    some = list(dict.fromkeys(values))[:_SAMPLE]
    listed = ", ".join("'{}'".format(one.replace("'", "''")) for one in some)
    statement = f"select * from {table.name.replace('/', '.')} where {column} in ({listed})"
    return f"shopware sql {shlex.quote(statement)}" if _UNSAFE & set(statement) else f'shopware sql "{statement}"'


def _in_words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _failed_before(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> set[str | None]:
    """The windows in which the check is known to have failed, some time."""
    failed = {AssetCheckExecutionRecordStatus.FAILED}
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=_REMEMBERED, status=failed)
    return {record.partition for record in history}


def evaluate(
    context: dg.AssetExecutionContext,
    key: Sequence[str],
    name: str,
    severity: Severity,
    failing: Mapping[str, Mapping[str, Any]],
    windows: Sequence[str],
    command: str,
) -> Iterator[dg.AssetCheckResult]:
    """The result of one check over a range, after one evaluation for each window of it.

    Args:
        failing: Window -> what is wrong in it; a window that is not named passes.
        windows: The windows of the range; empty for a table without windows.
        command: The command that shows the rows.
    """
    is_error = severity is Severity.REJECT and name in (BOOKS, SUMS)
    level = dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN
    asset_key = dg.AssetKey(list(key))
    told = windows
    if len(windows) > _PER_WINDOW:
        red = _failed_before(context.instance, dg.AssetCheckKey(asset_key, name))
        told = [window for window in windows if window in failing or window in red]
    for window in told:
        if len(windows) > 1:
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=asset_key,
                    check_name=name,
                    passed=window not in failing,
                    severity=level,
                    # One name for the number, here and below: the UI draws each name as a line of its own.
                    metadata={
                        "rows_affected" if fact == "rows" else fact: _in_words(value)
                        for fact, value in failing.get(window, {}).items()
                    },
                    partition=window,
                )
            )
    metadata: dict[str, Any] = {}
    if name not in (BOOKS, SUMS, VOLUME) and not name.endswith(_READY):
        metadata["rows_affected"] = sum(facts["rows"] for facts in failing.values())
    if windows:
        metadata |= {"windows_affected": len(failing), "windows_checked": len(windows)}
    if failing:
        window, facts = next(iter(failing.items()))
        example = "; ".join(f"{name} {_in_words(value)}" for name, value in {"window": window, **facts}.items())
        metadata |= {"example": example, "see": command}
    yield dg.AssetCheckResult(
        asset_key=asset_key, check_name=name, passed=not failing, severity=level, metadata=metadata
    )
