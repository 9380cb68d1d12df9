"""The real sample from files to answers, against separate SQL over the raw files."""

import shlex
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopware_assets_tests.end_to_end.sample import PARTS, SAMPLE, Settled, needs_sample
from shopware_assets_tests.end_to_end.shopware import Shopware
from shopware_assets_tests.expected import kpis_sql, shop_sample

pytestmark = needs_sample

KEYS = {"order_kpis_daily": ["order_date"], "category_kpis_daily": ["category", "order_date"]}
SERVED = {  # table -> attribute of an item -> column of the expected answer, as docs/metrics.md names them
    "order_kpis": (
        "order_kpis_daily",
        {
            "order_date": "order_date",
            "total_orders": "total_orders",
            "total_revenue": "total_revenue",
            "total_items_sold": "total_items_sold",
            "return_rate": "order_return_rate",
            "unique_customers": "unique_customers",
        },
    ),
    "category_kpis": (
        "category_kpis_daily",
        {
            "category": "category",
            "order_date": "order_date",
            "daily_revenue": "daily_revenue",
            "avg_order_value": "average_order_value",
            "avg_return_rate": "item_return_rate",
        },
    ),
}


@pytest.fixture(scope="module")
def expected() -> dict[str, pl.DataFrame]:
    db = shop_sample(SAMPLE)
    return {name: db.sql(sql).pl() for name, sql in kpis_sql().items()}


def assert_answers(shopware: Shopware, expected: dict[str, pl.DataFrame]) -> None:
    """Every column of every row of gold is what separate SQL says: money exact, rates to the last bits of a double."""
    for name, answer in expected.items():
        made = shopware.table(f"gold/{name}")
        assert set(made.columns) == set(answer.columns)
        assert_frame_equal(
            made.select(answer.columns).sort(KEYS[name]), answer, check_dtypes=False, rel_tol=1e-15, abs_tol=0
        )


@pytest.mark.parametrize("name", KEYS)
def test_every_figure_is_what_separate_sql_says(sample: Settled, expected: dict[str, pl.DataFrame], name: str) -> None:
    assert_answers(sample.shopware, {name: expected[name]})


def test_the_figures_of_the_whole_sample(sample: Settled) -> None:
    found = sample.shopware.json(
        "sql",
        "select sum(total_orders + cancelled_orders) as orders, sum(total_revenue) as revenue, sum(refunds) as refunds,"
        " sum(incomplete_orders) as incomplete from gold.order_kpis_daily",
    )
    lines = sample.shopware.json("sql", "select count(*) as lines from silver.order_items")
    assert lines == [{"lines": 27_007}]
    (whole,) = found
    assert whole["orders"] == 9_000
    assert Decimal(whole["revenue"]) == Decimal("2153497.97")
    assert Decimal(whole["refunds"]) == Decimal("357755.38")


def test_every_row_is_accounted_for(sample: Settled) -> None:
    lines = pl.DataFrame(sample.shopware.json("ledger", "--settled"), infer_schema_length=None)
    objects = lines.filter(pl.col("object").is_not_null())
    sums = objects.group_by("table").agg(pl.col("read", "accepted", "rejected", "superseded", "pending").sum())
    assert sorted(sums.iter_rows()) == [
        ("order_items", 27_007, 27_007, 0, 0, 0),
        ("orders", 9_000, 9_000, 0, 0, 0),
        ("products", 10_000, 10_000, 0, 0, 0),
    ]
    assert objects.height == len(PARTS["orders"]) + len(PARTS["order_items"]) + 1
    assert lines["balances"].all()
    assert "46,007 rows read, 46,007 accepted, 0 rejected" in sample.said


def test_known_oddities_are_warned_about_and_kept(sample: Settled) -> None:
    """105 products lack a brand; 8 days have refunds and no order; 638 lines are of another day than their order."""
    brands = sample.shopware.table("silver/products").filter(pl.col("_warnings").str.contains("brand_present"))
    days = sample.shopware.table("gold/order_kpis_daily").filter(pl.col("total_orders") == 0)
    lines = sample.shopware.table("silver/order_items").filter(pl.col("created_date") != pl.col("order_date"))
    assert (brands.height, days.height, lines.height) == (105, 8, 638)
    assert days["average_order_value"].null_count() == 8, "nothing to divide by is no 0"


def test_a_check_that_fails_says_how_to_see_the_rows(sample: Settled) -> None:
    """In the sample: 105 products without a brand, 4 orders with two lines of one product, and a last day cut short."""
    shown = {}
    with dg.DagsterInstance.from_config(str(sample.shopware.home / "dagster")) as instance:
        for run in instance.get_runs():
            for result in _check_results(instance, run.run_id):
                if not result.passed and "see" in result.metadata:
                    _, *command = shlex.split(str(result.metadata["see"].value))
                    found = {name: entry.value for name, entry in result.metadata.items()}
                    shown[result.check_name] = (found, sample.shopware(*command))
        key = dg.AssetCheckKey(dg.AssetKey(["silver", "orders"]), "order_has_all_its_items")
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1000)
    assert set(shown) == {"brand_present", "order_line_repeats_product", "volume", "order_has_all_its_items"}
    assert records[0].status.value == "SUCCEEDED" and "FAILED" in {record.status.value for record in records}, (
        "orders were there before their lines"
    )
    found, printed = shown["brand_present"]
    assert (found["rows_affected"], printed.stderr) == (105, "20 of 105 rows.\n")
    found, printed = shown["order_line_repeats_product"]
    assert (found["rows_affected"], found["windows_affected"], found["windows_checked"]) == (4, 4, 31)
    assert len(printed.stdout.splitlines()) > 4 * 2
    assert shown["volume"][0]["example"].startswith("window 2025-04-0")


def _check_results(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetCheckEvaluation]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        yield entry.get_dagster_event().asset_check_evaluation_data


@pytest.mark.parametrize("table", SERVED)
def test_applications_read_what_gold_says(sample: Settled, expected: dict[str, pl.DataFrame], table: str) -> None:
    name, attributes = SERVED[table]
    wanted = [
        {attribute: _as_item(row[column]) for attribute, column in attributes.items() if row[column] is not None}
        for row in expected[name].iter_rows(named=True)
    ]
    assert _by_key(sample.items[table], KEYS[name]) == _by_key(wanted, KEYS[name])


def _as_item(value: object) -> object:
    """A value as it is told apart in an item: days as text, numbers by value."""
    return value.isoformat() if isinstance(value, date) else value if isinstance(value, str) else Decimal(str(value))


def _by_key(items: list[dict[str, Any]], key: list[str]) -> dict[tuple[Any, ...], dict[str, object]]:
    """Items by key, numbers by value: 10.0 is 10. Of a rate the digits count that two ways of dividing share."""
    found = {}
    for item in items:
        values = {n: v if n in key else Decimal(v) for n, v in item.items()}
        found[tuple(item[n] for n in key)] = {
            n: round(float(v), 14) if n.endswith("rate") else v for n, v in values.items()
        }
    assert len(found) == len(items)
    return found


def test_a_second_settling_finds_nothing_to_do(sample: Settled) -> None:
    before = sample.shopware.table("ledger")["run_id"].unique().sort()
    assert "46,007 accepted" in sample.shopware("settle").output
    assert sample.shopware.table("ledger")["run_id"].unique().sort().equals(before)


@pytest.mark.long
def test_children_first_and_parts_in_reverse_end_in_the_same_tables(
    sample: Settled, shopware: Shopware, expected: dict[str, pl.DataFrame]
) -> None:
    for file in reversed(PARTS["order_items"]):
        shopware("land", "shop/order_items", file)
    shopware("settle")
    assert shopware.table("silver/order_items").is_empty(), "the control: without their parents no line is accepted"
    waiting = shopware.table("silver/order_items_rejected")
    assert (waiting.height, waiting["_reasons"].unique().to_list()) == (27_007, ["order_known,product_known"])
    shopware("ledger", "--settled")

    for file in reversed(PARTS["orders"]):
        shopware("land", "shop/orders", file)
    shopware("land", "shop/products", SAMPLE / "products.csv")
    shopware("settle")
    shopware("ledger", "--settled")
    assert_answers(shopware, expected)
    for table, key in {"orders": "order_id", "order_items": "id", "products": "id"}.items():
        mine, other = (
            home.table(f"silver/{table}").select(pl.exclude("_version", "_landed_at")).sort(key)
            for home in (shopware, sample.shopware)
        )
        assert_frame_equal(mine, other)
        assert shopware.table(f"silver/{table}_rejected").is_empty()
