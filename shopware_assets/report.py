"""What the command line shows, as frames: the state of tables, the ledger's lines, rejected rows."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import polars as pl

from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.checks import books
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.ledger import LEDGER, LINEAGE, named_window
from shopware_assets.transforms import ANSWERS

STYLE = {"tbl_hide_dataframe_shape": True, "tbl_hide_column_data_types": True, "tbl_formatting": "UTF8_HORIZONTAL_ONLY"}


def width() -> int:
    return max(shutil.get_terminal_size((200, 24)).columns, 80)


def tables() -> Iterator[Table]:
    """Every table of the lake."""
    for contract in CONTRACTS.values():
        yield from (bronze(contract), silver(contract), rejected(contract))
    yield from (answer.table for answer in ANSWERS.values())
    yield from (LEDGER, LINEAGE)


def status(lake: Lake) -> pl.DataFrame:
    """A line a table."""
    counts = ledger.read_ledger(lake)
    return pl.DataFrame([_status_of(lake, table, counts) for table in tables()])


def _status_of(lake: Lake, table: Table, counts: pl.DataFrame) -> dict[str, object]:
    stored = lake.counts(table)
    commits = lake.history(table, 1)
    judged = counts.filter(pl.col("table_name") == table.name)
    read = int(judged["read"].sum())
    windows = stored.filter(*(pl.col(c).is_not_null() for c in table.partition_columns)) if table.grain else stored
    newest = windows.select(named_window(table).max()).item() if table.grain and not windows.is_empty() else None
    at = datetime.fromtimestamp(commits[0]["timestamp"] / 1000, UTC) if commits else None
    return {
        "table": table.name,
        "windows": windows.height if table.grain else None,
        "rows": int(stored["rows"].sum()),
        "rejected share": f"{int(judged['rejected'].sum()) / read:.2%}" if read else None,
        "newest window": newest,
        "last commit": at.strftime("%Y-%m-%d %H:%M:%S") if at else None,
        "MB": round(int(stored["bytes"].sum()) / 1e6, 2),
    }


def rejects(lake: Lake, contract: Contract, rule: str, source: str, limit: int) -> pl.DataFrame:
    """Rows set aside: rules, where each came from, and its text."""
    rows = lake.scan(rejected(contract))
    if rule:
        rows = rows.filter(
            pl.concat_str("_reasons", "_warnings", separator=",").str.split(",").list.contains(pl.lit(rule))
        )
    if source:
        rows = rows.filter(pl.col("_source").str.contains(source, literal=True))
    found = rows.sort("_source", "_line").head(limit).collect()
    shown = ["_reasons", "_source", "_line", *contract.column_names]
    return found.select(*shown, *(c for c in ("_corrupt", "_extra") if found[c].null_count() < found.height))


def ledger_lines(lake: Lake, contracts: Sequence[Contract], source: str = "") -> tuple[pl.DataFrame, pl.DataFrame]:
    """The books per source object and per window. `balances`: read = accepted + rejected + superseded + pending.

    Rows read are counted from bronze's markers for an object and from bronze itself for a window; what became of them
    from what silver has stored where the ledger says so, so that a line that does not balance can be told.
    """
    objects = pl.concat([_objects(lake, contract) for contract in contracts])
    windows = pl.concat([_windows(lake, contract) for contract in contracts])
    if source:
        objects = objects.filter(pl.col("object").str.contains(source, literal=True))
    return objects.sort("table", "object", "landed_at"), windows.sort("table", "window")


_COUNTS = ("read", "accepted", "rejected", "superseded", "pending")


def _objects(lake: Lake, contract: Contract) -> pl.DataFrame:
    identity = ["source", "version", "landed_at"]
    booked = (
        ledger.read_ledger(lake, silver(contract))
        .group_by(identity)
        .agg(pl.col("read").sum().alias("judged"), pl.col("accepted", "rejected", "superseded").sum())
    )
    lines = (
        ledger.markers(lake, contract)
        .join(booked, on=identity, how="left")
        .with_columns(pl.col("judged", "accepted", "rejected", "superseded").fill_null(0))
    )
    outcome = (
        pl.when(pl.col("current") | (pl.col("outcome") == "gone")).then(pl.col("outcome")).otherwise(pl.lit("replaced"))
    )
    return lines.with_columns(pending=pl.col("rows") - pl.col("judged")).select(
        pl.lit(contract.name).alias("table"),
        pl.col("source").alias("object"),
        "landed_at",
        outcome.alias("outcome"),
        pl.col("rows").alias("read"),
        "accepted",
        "rejected",
        "superseded",
        "pending",
        balances=pl.col("rows") == pl.sum_horizontal("accepted", "rejected", "superseded", "pending"),
        reason="reason",
    )


def _windows(lake: Lake, contract: Contract) -> pl.DataFrame:
    lines = books(lake, contract)
    return lines.with_columns(pending=pl.col("bronze") - pl.col("read")).select(
        pl.lit(contract.name).alias("table"),
        "window",
        pl.col("bronze").alias("read"),
        pl.col("stored_accepted").alias("accepted"),
        pl.col("stored_rejected").alias("rejected"),
        "superseded",
        "pending",
        balances=(pl.col("bronze") == pl.sum_horizontal("stored_accepted", "stored_rejected", "superseded", "pending"))
        & (pl.col("accepted") == pl.col("stored_accepted"))
        & (pl.col("rejected") == pl.col("stored_rejected")),
    )


def after_settling(lake: Lake, threshold: float) -> list[str]:
    """What a person should know now: totals, rejected rows, held windows and what shows or releases them."""
    counts = ledger.read_ledger(lake)
    totals = {name: int(counts[name].sum()) for name in ("read", "accepted", "rejected", "superseded", "waiting")}
    lines = [
        f"Settled: {totals['read']:,} rows read, {totals['accepted']:,} accepted, {totals['rejected']:,} rejected "
        f"({totals['waiting']:,} of them wait for a parent), {totals['superseded']:,} superseded."
    ]
    rejecting = counts.group_by("table_name").agg(pl.col("rejected").sum()).filter(pl.col("rejected") > 0)
    for table, rows in rejecting.sort("table_name").iter_rows():
        lines.append(f"{table}: {rows:,} rows rejected; see `shopware rejects {table}`.")
    for table, window, read, rows, _ in ledger.held_windows(lake, threshold).iter_rows():
        lines.append(
            f"{table} {window} is held: {rows:,} of {read:,} rows rejected. "
            f"Gold waits; `shopware allow {table} {window}` lets it through."
        )
    return lines
