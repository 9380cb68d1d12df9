"""The expected KPIs against figures worked out by hand, and against what is known of the real sample."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from shopware_assets_tests.expected import connect, inventory_current, kpis_sql, shop_sample

SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "shop"

ORDERS = [  # order_id, user_id, status, created_at, returned_at, num_of_item
    ("1", "u1", "delivered", "2025-03-01T10:00:00", "", "2"),
    ("2", "u1", " Returned", "2025-03-01T23:59:59", "2025-03-03T08:00:00", "2"),
    ("3", "u2", "cancelled", "2025-03-01T12:00:00", "2025-03-02T00:00:00", "5"),
    ("4", "u3", "shipped", "2025-03-02T01:00:00+02:00", "", ""),  # 23:00 of 1 March in UTC; how many items is unknown
    ("5", "u4", "cancelled", "2025-03-05T09:00:00", "", "1"),
    ("6", "u5", "delivered", "2025-03-04T09:00:00", "", "3"),
    ("7", "u5", "delivered", "2025-03-04T10:00:00", "", "1"),
]
ITEM_COLUMNS = ["id", "order_id", "product_id", "status", "returned_at", "sale_price"]
ITEMS = [  # id, order_id, product_id, status, returned_at, sale_price
    ("a", "1", "p1", "delivered", "", "10.00"),
    ("b", "1", "p2", "cancelled", "", "99.99"),  # counts nowhere, but is one of the order's two items
    ("c", "2", "p1", "returned", "2025-03-02T09:00:00", "5.00"),
    ("d", "2", "p3", "RETURNED", "", "7.5"),  # comes back when its order does
    ("e", "3", "p1", "returned", "2025-03-02T09:00:00", "50"),  # of a cancelled order
    ("f", "4", "p2", "returned", "", "0.0001"),  # nobody knows when it came back
    ("g", "6", "p1", "delivered", "", "0.0001"),
    ("h", "6", "p9", "delivered", "", "1000"),  # waits for its product
    ("i", "9", "p1", "delivered", "", "1000"),  # waits for its order
]
PRODUCTS = [("p1", "Toys"), ("p2", "Beauty"), ("p3", "  ")]


@pytest.fixture
def shop() -> duckdb.DuckDBPyConnection:
    db = connect()
    order_columns = ["order_id", "user_id", "status", "created_at", "returned_at", "num_of_item"]
    db.register("orders", pl.DataFrame(ORDERS, schema=order_columns, orient="row"))
    db.register("order_items", pl.DataFrame(ITEMS, schema=ITEM_COLUMNS, orient="row"))
    db.register("products", pl.DataFrame(PRODUCTS, schema=["id", "category"], orient="row"))
    return db


def test_order_kpis_of_a_small_world(shop: duckdb.DuckDBPyConnection) -> None:
    day, money = date, Decimal
    assert shop.sql(kpis_sql()["order_kpis_daily"]).fetchall() == [
        # orders, items, revenue, customers, order and item return rate, average, refunds, net, incomplete, cancelled
        (day(2025, 3, 1), 3, 4, money("22.5001"), 2, 1 / 3, 3 / 4, money("7.5000"), money(0), money("22.5001"), 0, 1),
        (day(2025, 3, 2), 0, 0, money(0), 0, None, None, None, money(5), money(-5), 0, 0),
        (day(2025, 3, 3), 0, 0, money(0), 0, None, None, None, money("7.5"), money("-7.5"), 0, 0),
        (day(2025, 3, 4), 2, 1, money("0.0001"), 1, 0.0, 0.0, money("0.0001"), money(0), money("0.0001"), 2, 0),
        (day(2025, 3, 5), 0, 0, money(0), 0, None, None, None, money(0), money(0), 0, 1),
    ]


def test_category_kpis_of_a_small_world(shop: duckdb.DuckDBPyConnection) -> None:
    assert shop.sql(kpis_sql()["category_kpis_daily"]).fetchall() == [
        ("Beauty", date(2025, 3, 1), Decimal("0.0001"), 1, Decimal("0.0001"), 1.0),
        ("Toys", date(2025, 3, 1), Decimal("15.0000"), 2, Decimal("7.5000"), 0.5),
        ("Toys", date(2025, 3, 4), Decimal("0.0001"), 1, Decimal("0.0001"), 0.0),
        ("unknown", date(2025, 3, 1), Decimal("7.5000"), 1, Decimal("7.5000"), 1.0),
    ]


@pytest.mark.parametrize(
    ("prices", "orders", "average"),
    [
        (["0.0001"], 2, "0.0001"),  # 0.00005: half to even would give 0
        (["0.0005"], 2, "0.0003"),  # 0.00025: half to even would give 0.0002
        (["1"], 3, "0.3333"),
        (["2"], 3, "0.6667"),
        (["99999999999999.9999"], 1, "99999999999999.9999"),  # more digits than a double holds
    ],
)
def test_averages_are_exact_and_rounded_half_up(prices: list[str], orders: int, average: str) -> None:
    db = connect()
    db.execute("create table products as select 'p' as id, 'Toys' as category")
    db.execute(f"""
        create table orders as select range::varchar as order_id, 'u' as user_id, 'shipped' as status,
            '2025-03-01' as created_at, '' as returned_at, '' as num_of_item from range({orders})
    """)
    lines = [(str(n), "0", "p", "shipped", "", price) for n, price in enumerate(prices)]
    db.register("order_items", pl.DataFrame(lines, schema=ITEM_COLUMNS, orient="row"))
    assert db.sql(kpis_sql()["order_kpis_daily"]).pl()["average_order_value"].to_list() == [Decimal(average)]


def test_rows_may_come_as_text_or_typed(shop: duckdb.DuckDBPyConnection) -> None:
    text = shop.sql(kpis_sql()["order_kpis_daily"]).fetchall()
    shop.execute("""
        create table typed_orders as select order_id, user_id, trim(lower(status)) as status,
            created_at::timestamptz as created_at, nullif(returned_at, '')::timestamptz as returned_at,
            nullif(num_of_item, '')::bigint as num_of_item
        from orders
    """)
    assert shop.sql(kpis_sql(orders="typed_orders")["order_kpis_daily"]).fetchall() == text


def line(inventory_id: object, stock: object, at: object, **changes: object) -> str:
    fields = {
        "inventory_id": inventory_id,
        "product_id": 1,
        "warehouse_id": 1,
        "stock_level": stock,
        "restock_threshold": 5,
    }
    return json.dumps({**fields, "last_updated": at, **changes})


def test_inventory_current_is_the_newest_accepted_row_of_each_pair(tmp_path: Path) -> None:
    noon = int(datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp())
    first = [
        line(1, 9, noon),
        line(1, 8, noon - 60),  # older, though it comes later
        line(1, "many", noon + 1),
        line(1, -1, noon + 1),
        line(1, 5.5, noon + 1),
        line(1, 3, noon + 1, warehouse_id=None),
        line(1, 3, noon + 1, restock_threshold="few"),
        line(1, 3, noon + 3 * 86_400),  # far in the future
        line(1, 3, noon - 365 * 86_400),  # before the start
        line(1, 3, 1e300),
        line(1, 3, noon + 1)[:40],
        line(1, 3, noon + 1)[:-1] + ', "stock_level": 4}',
        "null",
        "",
        line(2, "4.0", noon * 1000, product_id=2),  # whole numbers and times in other spellings
        line(3, " 0 ", "2025-06-01T14:00:00+02:00", product_id=3),
        line(4, 6, noon, product_id=4),
        line(5, 7, noon, product_id=5, restock_threshold=None),
    ]
    second = [
        line(4, 1, noon, product_id=6),  # sent again under its right product: product 4 has no row any more
        line(7, 2, noon),  # another record of the first pair at the same time: the newest wins
    ]
    files = []
    for hour, lines in ((13, first), (14, second)):
        path = tmp_path / f"{hour}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        files.append((f"inventory/{path.name}", datetime(2025, 6, 1, hour, tzinfo=UTC), path))

    columns = ["product_id", "warehouse_id", "inventory_id", "stock_level", "stock_status"]
    expected = [
        (1, 1, 7, 2, "low_stock"),
        (2, 1, 2, 4, "low_stock"),
        (3, 1, 3, 0, "out_of_stock"),
        (5, 1, 5, 7, "unknown_threshold"),
        (6, 1, 4, 1, "low_stock"),
    ]
    for order in (files, files[::-1]):
        current = inventory_current(connect(), order).pl()
        assert current.select(columns).rows() == expected
        assert current["last_updated"].unique().to_list() == [datetime(2025, 6, 1, 12, tzinfo=UTC)]


@pytest.fixture(scope="module")
def sample() -> duckdb.DuckDBPyConnection:
    if not SAMPLE.exists():
        pytest.skip(f"the real sample is not at {SAMPLE}")
    return shop_sample(SAMPLE)


def test_the_totals_of_the_real_sample(sample: duckdb.DuckDBPyConnection) -> None:
    orders, categories = (sample.sql(sql).pl() for sql in kpis_sql().values())
    assert orders["total_orders"].sum() == 9_000
    assert orders["total_items_sold"].sum() == 27_007
    assert orders["total_revenue"].sum() == Decimal("2153497.97") == categories["daily_revenue"].sum()
    assert orders["refunds"].sum() == Decimal("357755.38")
    assert orders["net_revenue"].sum() == Decimal("1795742.59")
    assert orders.filter(total_orders=0).height == 8
    assert orders.filter(pl.col("total_orders") == 0, pl.col("refunds") == 0).is_empty()
    assert orders["incomplete_orders"].sum() == orders["cancelled_orders"].sum() == 0


@pytest.mark.parametrize(
    ("fact", "count"),
    [
        (
            "from order_items i join orders o using (order_id) where left(i.created_at, 10) <> left(o.created_at, 10)",
            638,
        ),
        ("from products", 10_000),
        ("from products where coalesce(trim(brand), '') = ''", 105),
        ("from (select 1 from order_items group by order_id, product_id having count(*) > 1)", 4),
        (
            "from (select 1 from order_items group by order_id having count(distinct created_at::timestamp::date) > 1)",
            155,
        ),
        ("from orders where status not in ('delivered', 'returned')", 0),
        ("from order_items where status not in ('delivered', 'returned')", 0),
    ],
)
def test_what_is_known_of_the_real_sample(sample: duckdb.DuckDBPyConnection, fact: str, count: int) -> None:
    assert sample.sql(f"select count(*) {fact}").fetchall() == [(count,)]
