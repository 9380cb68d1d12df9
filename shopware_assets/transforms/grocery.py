"""KPIs of the grocery marketplace, per day and per department and day."""

from collections.abc import Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.contracts.grocery import GROCERY_TABLES
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine
from shopware_assets.transforms.order_kpis import rate

_INT = Type.INT.dtype

_ITEMS = Input("grocery_order_items", ("order_date",))
_DAY = Measure("order_date", Type.DATE, "The day the orders were placed.", "UTC")
_OF_ITEMS = (
    Measure("items", Type.INT, "Lines of the orders.", "lines"),
    Measure("reorder_rate", Type.FLOAT, "Lines with reordered = 1 / items; NULL without a line.", "0..1"),
    Measure(
        "median_days_since_prior_order",
        Type.FLOAT,
        "Median of days_since_prior_order over the lines that have it; between two, their mean.",
        "days",
    ),
)


def _items_per(silver: Mapping[str, nw.LazyFrame], *key: str) -> nw.LazyFrame:
    counted = (
        silver["grocery_order_items"]
        .group_by(*key)
        .agg(
            ordered_in=nw.col("order_id").n_unique().cast(_INT),
            items=nw.len().cast(_INT),
            reordered_items=nw.col("reordered").sum(),
            median_days_since_prior_order=nw.col("days_since_prior_order").median().cast(nw.Float64),
        )
    )
    return counted.with_columns(reorder_rate=rate("reordered_items", "items"))


def _departments(silver: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    return _items_per(silver, "department_id", "order_date").rename({"ordered_in": "orders"})


def _days(silver: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    orders = (
        silver["grocery_orders"]
        .rename({"order_timestamp_date": "order_date"})
        .group_by("order_date")
        .agg(orders=nw.len().cast(_INT), total_amount=nw.col("total_amount").sum().cast(Type.MONEY.dtype))
        .join(_items_per(silver, "order_date"), on="order_date", how="left")
        .with_columns(nw.col("items").fill_null(0))
    )
    return orders.with_columns(average_basket_size=rate("items", "orders"))


GROCERY_DAILY = Answer(
    name="grocery_daily",
    description="How the grocery marketplace did, day by day.",
    grain="one row per day with an order",
    key=("order_date",),
    day="order_date",
    measures=(
        _DAY,
        Measure("orders", Type.INT, "Orders placed on the day.", "orders"),
        Measure("total_amount", Type.MONEY, "Sum of total_amount of the orders.", "money"),
        *_OF_ITEMS,
        Measure("average_basket_size", Type.FLOAT, "items / orders.", "lines per order"),
    ),
    inputs=(Input("grocery_orders", ("order_timestamp_date",)), _ITEMS),
    compute=_days,
    owner="team:marketplace",
    complete_with=GROCERY_TABLES,
)

GROCERY_DEPARTMENTS_DAILY = Answer(
    name="grocery_departments_daily",
    description="How each department of the grocery marketplace did, day by day. An order may span departments.",
    grain="one row per department and day on which an order with a line of the department was placed",
    key=("department_id", "order_date"),
    day="order_date",
    measures=(
        Measure("department_id", Type.INT, "The product's department as it is now; one id may go by several names."),
        _DAY,
        Measure("orders", Type.INT, "Distinct orders with a line of the department.", "orders"),
        *_OF_ITEMS,
    ),
    inputs=(_ITEMS,),
    compute=_departments,
    owner="team:marketplace",
)
