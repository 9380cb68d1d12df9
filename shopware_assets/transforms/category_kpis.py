"""KPIs of the online shop per category and day."""

from collections.abc import Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine
from shopware_assets.transforms.order_kpis import flag, live_lines, rate


def _category_kpis_daily(silver: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    daily = (
        live_lines(silver["order_items"])
        .with_columns(_returned=flag(nw.col("status") == "returned"))
        .group_by("category", "order_date")
        .agg(
            daily_revenue=nw.col("sale_price").sum().cast(Type.MONEY.dtype),
            order_count=nw.col("order_id").n_unique().cast(Type.INT.dtype),
            lines=nw.len().cast(Type.INT.dtype),
            returned_lines=nw.col("_returned").sum(),
        )
    )
    return engine.mean_money(daily, "average_order_value", "daily_revenue", "order_count").with_columns(
        item_return_rate=rate("returned_lines", "lines")
    )


CATEGORY_KPIS_DAILY = Answer(
    name="category_kpis_daily",
    description="How each category of the online shop did, day by day. Cancelled orders and lines do not count.",
    grain="one row per category and day on which an order with a line of the category was placed",
    key=("category", "order_date"),
    day="order_date",
    measures=(
        Measure("category", Type.STRING, "The product's category as it is now; `unknown` if it has none."),
        Measure("order_date", Type.DATE, "The day the orders were placed.", "UTC"),
        Measure(
            "daily_revenue", Type.MONEY, "Sum of sale_price of the category's lines, returned ones included.", "money"
        ),
        Measure("order_count", Type.INT, "Distinct orders with a line in the category.", "orders"),
        Measure(
            "average_order_value",
            Type.MONEY,
            "daily_revenue / order_count, rounded half up to four decimals.",
            "money per order",
        ),
        Measure("item_return_rate", Type.FLOAT, "Returned lines / lines of the category.", "0..1"),
    ),
    inputs=(Input("order_items", ("order_date",)),),
    compute=_category_kpis_daily,
    owner="team:shop",
)
