"""The real sample of the grocery, workbooks of a sheet a day, from files to answers, against separate SQL."""

from pathlib import Path

import duckdb
import fastexcel
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopware_assets_tests.end_to_end.shopware import Shopware

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "grocery"
BOOKS = {"orders": SAMPLE / "orders_apr_2025.xlsx", "order_items": SAMPLE / "order_items_apr_2025.xlsx"}
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the real sample of the grocery is not there: {SAMPLE}"),
]

LINES = """
    with placed as (
        select order_id::double::bigint as order_id, order_timestamp::timestamp::date as order_date,
            total_amount::decimal(18, 4) as total_amount
        from orders
    ), lines as (
        select placed.order_id, placed.order_date, products.department_id::bigint as department_id,
            item.reordered::double = 1 as is_reordered, item.days_since_prior_order::double as days_since
        from order_items as item
        join placed on placed.order_id = item.order_id::double::bigint
        join products on products.product_id::bigint = item.product_id::double::bigint
    )
"""
FIGURES = """
    count(*) as items, count(*) filter (is_reordered) / count(*) as reorder_rate,
    median(days_since) as median_days_since_prior_order
"""
EXPECTED = {
    "grocery_daily": f"""
        {LINES}, of_lines as (select order_date, {FIGURES} from lines group by order_date)
        select order_date, count(*) as orders, sum(total_amount)::decimal(18, 4) as total_amount,
            coalesce(any_value(items), 0) as items, any_value(reorder_rate) as reorder_rate,
            any_value(median_days_since_prior_order) as median_days_since_prior_order,
            coalesce(any_value(items), 0) / count(*) as average_basket_size
        from placed left join of_lines using (order_date) group by order_date order by order_date
    """,
    "grocery_departments_daily": f"""
        {LINES} select department_id, order_date, count(distinct order_id) as orders, {FIGURES}
        from lines group by department_id, order_date order by department_id, order_date
    """,
}


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Shopware:
    """The sample, landed and settled."""
    shopware = Shopware(tmp_path_factory.mktemp("grocery") / "home")
    shopware("land", "grocery/products", SAMPLE / "products.csv")
    for table, book in BOOKS.items():
        shopware("land", f"grocery/{table}", book)
    shopware("settle")
    return shopware


@pytest.fixture(scope="module")
def raw() -> duckdb.DuckDBPyConnection:
    """The rows of the sample as they came, every column as text."""
    db = duckdb.connect()
    for table, path in BOOKS.items():
        book = fastexcel.read_excel(path)
        sheets = [book.load_sheet(name, dtypes="string").to_polars() for name in book.sheet_names]
        assert len(sheets) == 15
        db.register("sheets", pl.concat(sheets, how="diagonal").to_arrow())
        db.execute(f"create table {table} as select * from sheets")
    db.execute(f"create table products as select * from read_csv('{SAMPLE / 'products.csv'}', all_varchar = true)")
    return db


@pytest.mark.parametrize("name", EXPECTED)
def test_every_figure_is_what_separate_sql_says(settled: Shopware, raw: duckdb.DuckDBPyConnection, name: str) -> None:
    expected = raw.sql(EXPECTED[name]).pl()
    made = settled.table(f"gold/{name}")
    assert set(made.columns) == set(expected.columns)
    key = [column for column in ("department_id", "order_date") if column in expected.columns]
    assert_frame_equal(made.select(expected.columns).sort(key), expected, check_dtypes=False, rel_tol=1e-15, abs_tol=0)


def test_every_row_of_every_sheet_is_accounted_for(settled: Shopware, raw: duckdb.DuckDBPyConnection) -> None:
    lines = pl.DataFrame(settled.json("ledger", "--settled"), infer_schema_length=None)
    assert lines["balances"].all()
    objects = lines.filter(pl.col("object").is_not_null())
    sums = objects.group_by("table").agg(pl.col("read", "accepted", "rejected", "superseded", "pending").sum())
    counts = {table: raw.sql(f"select count(*) from {table}").fetchall()[0][0] for table in (*BOOKS, "products")}
    assert sorted(sums.iter_rows()) == [
        (f"grocery_{table}", count, count, 0, 0, 0) for table, count in sorted(counts.items())
    ]
    sheets = set(settled.table("silver/grocery_orders")["_source"])
    assert {source.rpartition("#")[2] for source in sheets} == {f"2025-04-{day:02}" for day in range(1, 16)}


def test_a_department_of_several_names_is_warned_about(settled: Shopware, raw: duckdb.DuckDBPyConnection) -> None:
    """Each department_id of the sample goes by six names: that is why answers go by the id."""
    names = raw.sql("select department_id, count(distinct department) from products group by all").fetchall()
    assert {count for _, count in names} == {6}
    assert settled.table("gold/grocery_departments_daily")["department_id"].n_unique() == len(names)
