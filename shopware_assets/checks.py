"""Checks: what is verified of every table, as specs that follow from the contracts and as what a run found.

One check per rule of the contract, by the rule's name; `books_balance` compares what is stored in two layers; table
rules look at several rows; `volume` compares a window with those before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import narwhals as nw
import polars as pl
from polars._typing import PolarsDataType

from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Rule, Severity, TableRule
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import named_window
from shopware_assets.transforms.shop_rules import TABLE_RULES

BROKEN: dict[str, PolarsDataType] = {
    "rule": pl.String,
    "window": pl.String,
    "rows": pl.Int64,
    "sample": pl.List(pl.String),
}

BOOKS = "books_balance"
VOLUME = "volume"
COLUMNS_COMPLETE = "columns_complete"
NO_UNDECLARED = "no_undeclared_columns"

_SAMPLE = 5
_PER_WINDOW = 2  # a longer range records single windows only where something is wrong: an event costs 10 ms and more
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
        dg.AssetCheckSpec(
            BOOKS, asset=key, description="read = accepted + rejected + superseded, and as many rows are stored."
        ),
        dg.AssetCheckSpec(
            VOLUME,
            asset=key,
            description=f"No window has {_VOLUME_FACTOR} times the rows of those before it, or a fraction.",
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
    """The same for rules over several rows, over all orders that have a line in the windows; `sample` names orders."""
    if not contract.table_rules or not windows:
        return pl.DataFrame(schema=BROKEN)
    items_table, orders_table = silver(contract), silver(CONTRACTS["orders"])
    items = lake.scan(items_table)
    here = lake.scan(items_table, [contract.grain.parse(window) for window in windows])
    touched = here.select("order_id", "order_date", window=named_window(items_table)).unique().collect()
    days = touched["order_date"].unique()
    lines = items.filter(pl.col("order_date").is_in(days.implode())).join(touched.lazy(), on="order_id", how="semi")
    orders = lake.scan(orders_table).filter(pl.col("created_date").is_in(days.implode()))
    orders = orders.join(touched.lazy(), on="order_id", how="semi")
    found = [
        TABLE_RULES[rule.name](nw.from_native(lines), nw.from_native(orders))
        .to_native()
        .join(touched.lazy().select("order_id", "window"), on="order_id")
        .group_by("window")
        .agg(rows=pl.len().cast(pl.Int64), sample=pl.col("order_id").head(_SAMPLE))
        .select(rule=pl.lit(rule.name), window="window", rows="rows", sample="sample")
        for rule in contract.table_rules
    ]
    return pl.concat(found).sort("rule", "window").collect()


def books(lake: Lake, contract: Contract) -> pl.DataFrame:
    """Per window what bronze holds, what the ledger says became of it, and what silver has stored.

    Returns:
        `window`, `bronze`, `read`, `accepted`, `stored_accepted`, `rejected`, `stored_rejected`, `superseded`.
    """
    table = silver(contract)
    booked = (
        ledger.read_ledger(lake, table)
        .group_by("window")
        .agg(pl.col("read", "accepted", "rejected", "superseded").sum())
    )
    for rows in (
        stored(lake, bronze(contract), "bronze"),
        stored(lake, table, "stored_accepted"),
        stored(lake, rejected(contract), "stored_rejected"),
    ):
        booked = booked.join(rows, on="window", how="full", coalesce=True)
    return booked.fill_null(0)


def stored(lake: Lake, table: Table, name: str = "rows") -> pl.DataFrame:
    """Rows of each `window`, from the log alone where it can tell them from markers (which have no window)."""
    if table.grain is None and "_marker" in table.columns:
        rows = lake.scan(table).filter(pl.col("_line") > 0).select(pl.len().cast(pl.Int64).alias("rows")).collect()
    else:
        rows = lake.counts(table).filter(*(pl.col(column).is_not_null() for column in table.partition_columns))
    return rows.select(window=named_window(table), **{name: "rows"}).filter(pl.col(name) > 0)


def unbalanced(lake: Lake, contract: Contract, windows: Sequence[str]) -> pl.DataFrame:
    """Those of the windows whose books do not balance (see `books`)."""
    wrong = (
        (pl.col("bronze") != pl.col("read"))
        | (pl.col("read") != pl.col("accepted") + pl.col("rejected") + pl.col("superseded"))
        | (pl.col("accepted") != pl.col("stored_accepted"))
        | (pl.col("rejected") != pl.col("stored_rejected"))
    )
    return books(lake, contract).filter(pl.col("window").is_in(list(windows)) & wrong).sort("window")


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
    """What a person runs to see the rows that break the rule; of a rule over several rows, those of some orders."""
    if rule in contract.rule_severities:
        return f"shopware rejects silver/{contract.name} --rule {rule}"
    orders = ", ".join(f"'{order}'" for facts in failing.values() for order in facts["sample"])
    return f'shopware sql "select * from silver.{contract.name} where order_id in ({orders})"'


def _in_words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


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
    level = dg.AssetCheckSeverity.ERROR if severity is Severity.REJECT and name == BOOKS else dg.AssetCheckSeverity.WARN
    asset_key = dg.AssetKey(list(key))
    for window in windows if len(windows) <= _PER_WINDOW else sorted(failing):
        if len(windows) > 1:
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=asset_key,
                    check_name=name,
                    passed=window not in failing,
                    severity=level,
                    metadata={name: _in_words(value) for name, value in failing.get(window, {}).items()},
                    partition=window,
                )
            )
    metadata: dict[str, Any] = {}
    if name not in (BOOKS, VOLUME):
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
