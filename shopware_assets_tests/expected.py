"""What the KPIs must be, worked out a second time: by plain DuckDB SQL from the rows as a source sent them.

Belongs here: the definitions of docs/metrics.md and the contract facts they rest on, written again without a line of
ours. Nothing here may import the product; where the two disagree, one of them has misread the definitions.
"""

import gzip
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

INVENTORY = ("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold")
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"


def shop_sample(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database with `orders`, `order_items` and `products`: the raw CSV files of `folder`, every column as text."""
    db = connect()
    for table, files in {
        "orders": "orders/*.csv",
        "order_items": "order_items/*.csv",
        "products": "products.csv",
    }.items():
        db.execute(
            f"create table {table} as select * from read_csv('{folder / files}', header = true, all_varchar = true)"
        )
    return db


def connect() -> duckdb.DuckDBPyConnection:
    """An empty database in which a time without an offset is UTC."""
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    return db


def kpis_sql(orders: str = "orders", items: str = "order_items", products: str = "products") -> dict[str, str]:
    """A SELECT each for `order_kpis_daily` and `category_kpis_daily`, over three tables of a database from `connect`.

    The tables hold the rows that break no rule of their own, each key once, as text or typed, times in ISO 8601; lines
    whose order or product is missing may be among them and count nowhere. Money comes back as decimal(18,4), rates as
    doubles.
    """
    rows = f"""
    with shop_orders as (
        select {_text("order_id")} as order_id, {_text("user_id")} as user_id, lower({_text("status")}) as status,
            {_day("created_at")} as order_date, {_day("returned_at")} as returned_on,
            {_text("num_of_item")}::decimal(18, 4)::bigint as num_of_item
        from {orders}
    ), shop_products as (
        select {_text("id")} as product_id, coalesce({_text("category")}, 'unknown') as category from {products}
    ), accepted_lines as (
        select shop_orders.order_id, order_date, category,
            lower({_text("line.status")}) as status, shop_orders.status as order_status,
            {_text("line.sale_price")}::decimal(18, 4) as sale_price,
            coalesce({_day("line.returned_at")}, shop_orders.returned_on) as refunded_on
        from {items} as line
        join shop_orders on shop_orders.order_id = {_text("line.order_id")}
        join shop_products on shop_products.product_id = {_text("line.product_id")}
    ), lines as (
        select * from accepted_lines where status <> 'cancelled' and order_status <> 'cancelled'
    )"""
    order_kpis = f"""{rows}, line_counts as (
        select order_id, count(*) as accepted from accepted_lines group by order_id
    ), of_orders as (
        select order_date,
            count(*) filter (status <> 'cancelled') as total_orders,
            count(distinct user_id) filter (status <> 'cancelled') as unique_customers,
            count(*) filter (status = 'returned') as returned_orders,
            count(*) filter (status = 'cancelled') as cancelled_orders,
            count(*) filter (status <> 'cancelled' and coalesce(accepted, 0) <> num_of_item) as incomplete_orders
        from shop_orders left join line_counts using (order_id)
        group by order_date
    ), of_lines as (
        select order_date, count(*) as items, sum(sale_price) as revenue,
            count(*) filter (status = 'returned') as returned_items
        from lines group by order_date
    ), of_refunds as (
        select refunded_on as order_date, sum(sale_price) as refunded
        from lines where status = 'returned' and refunded_on is not null
        group by refunded_on
    ), daily as (
        select order_date,
            coalesce(total_orders, 0) as total_orders,
            coalesce(items, 0) as total_items_sold,
            coalesce(revenue, 0)::decimal(18, 4) as total_revenue,
            coalesce(unique_customers, 0) as unique_customers,
            coalesce(returned_orders, 0) as returned_orders,
            coalesce(returned_items, 0) as returned_items,
            coalesce(refunded, 0)::decimal(18, 4) as refunds,
            coalesce(incomplete_orders, 0) as incomplete_orders,
            coalesce(cancelled_orders, 0) as cancelled_orders
        from of_orders full join of_lines using (order_date) full join of_refunds using (order_date)
    )
    select order_date, total_orders, total_items_sold, total_revenue, unique_customers,
        returned_orders / nullif(total_orders, 0) as order_return_rate,
        returned_items / nullif(total_items_sold, 0) as item_return_rate,
        {_average("total_revenue", "total_orders")} as average_order_value,
        refunds, (total_revenue - refunds)::decimal(18, 4) as net_revenue, incomplete_orders, cancelled_orders
    from daily order by order_date"""
    category_kpis = f"""{rows}, daily as (
        select category, order_date, sum(sale_price)::decimal(18, 4) as daily_revenue,
            count(distinct order_id) as order_count,
            count(*) as items, count(*) filter (status = 'returned') as returned_items
        from lines group by category, order_date
    )
    select category, order_date, daily_revenue, order_count,
        {_average("daily_revenue", "order_count")} as average_order_value, returned_items / items as item_return_rate
    from daily order by category, order_date"""
    return {"order_kpis_daily": order_kpis, "category_kpis_daily": category_kpis}


def inventory_current(
    db: duckdb.DuckDBPyConnection, files: Iterable[tuple[str, datetime, Path]], start: str = "2025-01-01"
) -> duckdb.DuckDBPyRelation:
    """The newest accepted row of each product and warehouse, from raw JSONL files (.gz too), broken records and all.

    A file is given by its object key, the time it landed (with its zone) and its path; of an object that changed, only
    the newest version. `start` is the day the lake starts.
    """
    records = [
        (key, landed_at, number, line)
        for key, landed_at, path in files
        for number, line in enumerate(_lines(path), 1)
        if line.strip()
    ]
    schema = {"source": pl.String(), "landed_at": pl.Datetime("us", "UTC"), "line": pl.Int64(), "record": pl.String()}
    db.register("inventory_records", pl.DataFrame(records, schema=schema, orient="row"))
    values = ", ".join(f"{_number(_field(column), column)}" for column in INVENTORY)
    refused = " or ".join(f"{column} is null" for column in INVENTORY[:-1])
    return db.sql(f"""
    with readable as (
        select * from inventory_records
        where if(json_valid(record), json_type(record) = 'OBJECT', false)
            and len(json_keys(record)) = len(list_distinct(json_keys(record)))
    ), typed as (
        select source, landed_at, line, {values},
            {_field("restock_threshold")} is not null as has_threshold,
            case when regexp_full_match({_field("last_updated")}, '{NUMBER}')
                then make_timestamp(try_cast(round({_epoch_us(_field("last_updated"))}) as bigint)) at time zone 'UTC'
                else try_cast({_field("last_updated")} as timestamptz) end as last_updated
        from readable
    ), accepted as (
        select * from typed
        where not ({refused}) and stock_level >= 0
            and (restock_threshold >= 0 or not has_threshold)
            and last_updated between timestamptz '{start}' and landed_at + interval 24 hour
        qualify row_number() over (
            partition by inventory_id, last_updated order by landed_at desc, source desc, line desc) = 1
    )
    select product_id, warehouse_id, inventory_id, stock_level, restock_threshold, last_updated,
        case when stock_level = 0 then 'out_of_stock'
            when restock_threshold is null then 'unknown_threshold'
            when stock_level <= restock_threshold then 'low_stock'
            else 'in_stock' end as stock_status
    from accepted
    qualify row_number() over (
        partition by product_id, warehouse_id order by last_updated desc, landed_at desc, source desc, line desc) = 1
    order by product_id, warehouse_id""")


def _lines(path: Path) -> list[str]:
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode().split("\n")


def _text(column: str) -> str:
    return f"nullif(trim({column}::varchar), '')"


def _day(column: str) -> str:
    return f"{_text(column)}::timestamptz::date"


def _field(name: str) -> str:
    return f"nullif(trim(record ->> '$.{name}'), '')"


def _number(text: str, name: str) -> str:
    """A whole number, however it is written; the cast to bigint would round 5.5."""
    exact = f"try_cast({text} as decimal(38, 10))"
    whole = f"regexp_full_match({text}, '{NUMBER}') and {exact} = floor({exact})"
    return f"case when {whole} then try_cast({exact} as bigint) end as {name}"


def _epoch_us(text: str) -> str:
    return f"{text}::double * case when {text}::double >= 1e14 then 1 when {text}::double >= 1e11 then 1e3 else 1e6 end"


def _average(money: str, count: str) -> str:
    """money / count to 4 places, half up, in whole numbers (DuckDB divides decimals as doubles); NULL if count is 0."""
    rounded = f"((2 * ({money}::decimal(28, 4) * 10000::decimal(5, 0))::hugeint + {count}) // nullif(2 * {count}, 0))"
    return f"({rounded}::decimal(18, 0) * 0.0001)::decimal(18, 4)"
