"""Believable dirt from files to answers: late, re-sent, corrected, broken, against the account of what was put in."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopware_assets_tests import expected_stock
from shopware_assets_tests.end_to_end.shopware import Shopware
from shopware_assets_tests.expected import connect, inventory_current, kpis_sql
from shopware_assets_tests.simulator import reader
from simulator import Account, Drop, simulate

MESSY: dict[str, Any] = {"seed": 7, "dirty": 0.08, "late": 0.01, "duplicates": 0.04}
ASKED: dict[str, dict[str, Any]] = {
    "shop": {"start": date(2025, 6, 1), "days": 2, "rows": 250},
    "inventory": {"start": date(2025, 6, 1), "days": 3, "rows": 300},
    "pos": {"start": date(2025, 6, 1), "days": 3, "rows": 60},
}


@pytest.fixture
def shopware(tmp_path: Path) -> Shopware:
    """An empty home in which no window is held: in small ones, few rows are a large share."""
    return Shopware(tmp_path / "home", {"SHOPWARE_REJECT_THRESHOLD": "1"})


@pytest.fixture(scope="module")
def delivered() -> dict[str, tuple[list[Drop], Account]]:
    """The files of the feeds in the order of their landing, and what they hold."""
    found = {}
    for feed, asked in ASKED.items():
        drops, account = simulate(feed, **asked, **MESSY)
        found[feed] = (sorted(drops, key=lambda drop: (drop.landed_at, drop.key)), account)
    return found


def accounts(delivered: dict[str, tuple[list[Drop], Account]]) -> dict[str, Any]:
    return {table: counted for _, account in delivered.values() for table, counted in account.tables.items()}


def drops(delivered: dict[str, tuple[list[Drop], Account]]) -> list[Drop]:
    return sorted((drop for found, _ in delivered.values() for drop in found), key=lambda drop: drop.landed_at)


def settle(shopware: Shopware, landed: Sequence[Drop]) -> None:
    for drop in landed:
        shopware.drop(drop.key, drop.body, drop.landed_at)
    shopware("settle")


def outcomes(shopware: Shopware) -> dict[str, dict[str, int]]:
    """Per table what the ledger says of its objects; every line balances and nothing is pending."""
    lines = pl.DataFrame(shopware.json("ledger", "--settled"), infer_schema_length=None)
    sums = (
        lines.filter(pl.col("object").is_not_null())
        .group_by("table")
        .agg(pl.col("read", "accepted", "rejected", "superseded").sum())
    )
    return {row.pop("table"): row for row in sums.iter_rows(named=True)}


def names(rows: pl.DataFrame, column: str) -> dict[str, int]:
    """How many rows name each rule."""
    return dict(Counter(name for text in rows[column].drop_nulls() for name in text.split(",") if name))


def assert_rules(shopware: Shopware, table: str, account: Any) -> None:
    assert names(shopware.table(f"silver/{table}_rejected"), "_reasons") == account.rules
    assert names(shopware.table(f"silver/{table}"), "_warnings") == account.warnings


def assert_answers(shopware: Shopware, verdicts: dict[str, reader.Verdict]) -> None:
    """Gold is what separate SQL makes of the rows that a separate reader accepts."""
    db = connect()
    for table in ("orders", "order_items", "products"):
        db.register(table, accepted(verdicts, table))
    for name, key in {"order_kpis_daily": ["order_date"], "category_kpis_daily": ["category", "order_date"]}.items():
        assert_figures(shopware, name, db.sql(kpis_sql()[name]).pl(), key)


def assert_stock_and_sales(shopware: Shopware, verdicts: dict[str, reader.Verdict]) -> None:
    """The same for what stores sell and warehouses hold."""
    db = connect()
    for table in ("inventory", "pos_sales", "stores"):
        db.register(table, accepted(verdicts, table))
    db.execute(expected_stock.VIEWS)
    db.execute(f"create table by_product as {expected_stock.sales('product_id')}")
    day, pair = "timestamp_date", ["product_id", "warehouse_id"]
    for name, sql, key in (
        (
            "sales_daily",
            expected_stock.sales("region", "store_id", "product_id"),
            ["region", "store_id", "product_id", day],
        ),
        ("sales_by_region_daily", expected_stock.sales("region"), ["region", day]),
        ("sales_by_product_daily", expected_stock.sales("product_id"), ["product_id", day]),
        ("inventory_daily", expected_stock.STOCK_DAYS, [*pair, "date"]),
        ("stockouts", expected_stock.SHORTAGES, [*pair, "started_at"]),
        ("product_performance_daily", expected_stock.PERFORMANCE, ["product_id", "days", "date"]),
    ):
        expected = db.sql(sql).pl()
        assert expected.height > 1, "the control: there is something to compare"
        assert_figures(shopware, name, expected, key)


def assert_figures(shopware: Shopware, name: str, expected: pl.DataFrame, key: list[str]) -> None:
    made = shopware.table(f"gold/{name}").select(expected.columns)
    made = made.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None)).sort(key)
    assert_frame_equal(made, expected, check_dtypes=False, rel_tol=1e-9, abs_tol=0)


def accepted(verdicts: dict[str, reader.Verdict], table: str) -> pl.DataFrame:
    """Every column as text."""
    columns = (*reader.REQUIRED[table], *reader.OPTIONAL[table])
    rows = [[_text(row.values.get(column)) for column in columns] for row in verdicts[table].accepted]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _text(value: object) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else None if value is None else str(value)


def as_lines(drop: Drop, folder: Path) -> tuple[str, datetime, Path]:
    """An object as the separate SQL takes it: a record per line, whether it was an array or zipped."""
    file = folder / drop.key.replace("/", "_")
    file.with_suffix("").write_text("".join(json.dumps(row.raw) + "\n" for row in reader.read(drop)))
    return drop.key, drop.landed_at, file.with_suffix("")


@pytest.mark.long
def test_landed_at_once(shopware: Shopware, delivered: dict[str, tuple[list[Drop], Account]], tmp_path: Path) -> None:
    settle(shopware, drops(delivered))
    ended = outcomes(shopware)
    for table, account in accounts(delivered).items():
        assert account.rejected and account.superseded, "the control: there is something to account for"
        assert ended[table] == {
            "read": account.read,
            "accepted": account.accepted,
            "rejected": account.rejected,
            "superseded": account.superseded,
        }, table
        assert_rules(shopware, table, account)
    verdicts = reader.judge(reader.newest(drops(delivered)))
    assert_answers(shopware, verdicts)
    assert_stock_and_sales(shopware, verdicts)

    files = [as_lines(drop, tmp_path) for drop in reader.newest(delivered["inventory"][0])]
    expected = inventory_current(connect(), files).pl()
    made = shopware.table("gold/inventory_current").sort("product_id", "warehouse_id")
    assert {"stock_level", "restock_threshold", "stock_status", "last_updated"} <= set(made.columns)
    assert_frame_equal(made, expected.select(made.columns), check_dtypes=False)


@pytest.mark.long
def test_landed_bit_by_bit(shopware: Shopware, delivered: dict[str, tuple[list[Drop], Account]]) -> None:
    """First drafts are read before their corrections replace them: their rows end as superseded, whatever they were."""
    landed = drops(delivered)
    third = len(landed) // 3 + 1
    for first in range(0, len(landed), third):
        settle(shopware, landed[first : first + third])
        ended = outcomes(shopware)
        done = {table: ended.get(table, {}).get("accepted") for table in accounts(delivered)}
        met = done == {table: account.accepted for table, account in accounts(delivered).items()}
        assert met == (first + third >= len(landed)), "the control: the account is met by all files only"
    for table, account in accounts(delivered).items():
        superseded = ended[table]["superseded"]
        assert ended[table]["accepted"] == account.accepted, table
        assert ended[table]["rejected"] == account.rejected, table
        assert account.read <= ended[table]["read"] <= account.rows
        assert superseded == account.superseded + ended[table]["read"] - account.read
        assert_rules(shopware, table, account)
    assert any(ended[table]["read"] > account.read for table, account in accounts(delivered).items()), "some drafts are"
    assert_answers(shopware, reader.judge(reader.newest(landed)))
