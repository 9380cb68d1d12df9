"""KPIs of the online shop per day."""

from collections.abc import Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine

_INT, _FLOAT, _MONEY = Type.INT.dtype, Type.FLOAT.dtype, Type.MONEY.dtype


def _order_kpis_daily(silver: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    items = silver["order_items"]
    accepted_lines = items.group_by("order_id").agg(nw.len().cast(_INT).alias("accepted_lines"))
    orders = silver["orders"].rename({"created_date": "order_date"}).join(accepted_lines, on="order_id", how="left")
    lines = live_lines(items)
    daily = {
        "orders": live_orders(orders)
        .with_columns(
            _returned=flag(nw.col("status") == "returned"),
            _incomplete=flag(nw.col("accepted_lines").fill_null(0) != nw.col("num_of_item")),
        )
        .group_by("order_date")
        .agg(
            total_orders=nw.len().cast(_INT),
            unique_customers=nw.col("user_id").n_unique().cast(_INT),
            returned_orders=nw.col("_returned").sum(),
            incomplete_orders=nw.col("_incomplete").sum(),
        ),
        "cancelled": orders.filter(nw.col("status") == "cancelled")
        .group_by("order_date")
        .agg(cancelled_orders=nw.len().cast(_INT)),
        "lines": lines.with_columns(_returned=flag(nw.col("status") == "returned"))
        .group_by("order_date")
        .agg(
            total_items_sold=nw.len().cast(_INT),
            total_revenue=nw.col("sale_price").sum().cast(_MONEY),
            returned_lines=nw.col("_returned").sum(),
        ),
        "refunds": lines.filter(~nw.col("refund_date").is_null())
        .group_by(nw.col("refund_date").alias("order_date"))
        .agg(refunds=nw.col("sale_price").sum().cast(_MONEY)),
    }
    # A day has a row when it has an order or a refund.
    days = nw.concat([daily[part].select("order_date") for part in ("orders", "cancelled", "refunds")]).unique()
    for part in daily.values():
        days = days.join(part, on="order_date", how="left")
    counts = [m.name for m in ORDER_KPIS_DAILY.measures if m.type is Type.INT] + ["returned_orders", "returned_lines"]
    filled = days.with_columns(
        *(nw.col(name).fill_null(0) for name in counts),
        *(nw.col(name).fill_null(nw.lit("0").cast(_MONEY)) for name in ("total_revenue", "refunds")),
    )
    return engine.mean_money(filled, "average_order_value", "total_revenue", "total_orders").with_columns(
        order_return_rate=rate("returned_orders", "total_orders"),
        item_return_rate=rate("returned_lines", "total_items_sold"),
        net_revenue=(nw.col("total_revenue") - nw.col("refunds")).cast(_MONEY),
    )


def live_orders(orders: nw.LazyFrame) -> nw.LazyFrame:
    """Orders that count: not the cancelled ones."""
    return orders.filter(nw.col("status") != "cancelled")


def live_lines(items: nw.LazyFrame) -> nw.LazyFrame:
    """Lines that count: a line is cancelled when its own status or its order's is."""
    return items.filter((nw.col("status") != "cancelled") & (nw.col("order_status") != "cancelled"))


def flag(condition: nw.Expr) -> nw.Expr:
    """1 where the condition holds, 0 where it does not or is NULL: to be summed."""
    return nw.when(condition).then(nw.lit(1, dtype=_INT)).otherwise(nw.lit(0, dtype=_INT))


def rate(part: str, whole: str) -> nw.Expr:
    """part / whole in 0..1; NULL where there is nothing to divide by."""
    return nw.when(nw.col(whole) > 0).then(nw.col(part).cast(_FLOAT) / nw.col(whole).cast(_FLOAT))


ORDER_KPIS_DAILY = Answer(
    name="order_kpis_daily",
    description="How the online shop did, day by day. Cancelled orders and lines count only in cancelled_orders.",
    grain="one row per day that has an order or a refund",
    key=("order_date",),
    day="order_date",
    measures=(
        Measure("order_date", Type.DATE, "The day the orders were placed; for refunds, the day of the refund.", "UTC"),
        Measure("total_orders", Type.INT, "Orders placed that day.", "orders"),
        Measure("total_items_sold", Type.INT, "Lines of that day's orders; each line is one item.", "items"),
        Measure(
            "total_revenue",
            Type.MONEY,
            "Sum of sale_price of the lines of that day's orders, returned ones included.",
            "money",
        ),
        Measure("unique_customers", Type.INT, "Distinct user_id of that day's orders.", "customers"),
        Measure("order_return_rate", Type.FLOAT, "Returned orders / orders; NULL without orders.", "0..1"),
        Measure(
            "item_return_rate", Type.FLOAT, "Returned lines / lines of that day's orders; NULL without lines.", "0..1"
        ),
        Measure(
            "average_order_value",
            Type.MONEY,
            "total_revenue / total_orders, rounded half up to four decimals; NULL without orders.",
            "money per order",
        ),
        Measure(
            "refunds",
            Type.MONEY,
            "Sum of sale_price of returned lines whose returned_at (missing: their order's) falls on this day.",
            "money",
        ),
        Measure("net_revenue", Type.MONEY, "total_revenue - refunds; may be negative.", "money"),
        Measure(
            "incomplete_orders",
            Type.INT,
            "Orders whose accepted lines differ from num_of_item (unknown num_of_item does not count).",
            "orders",
        ),
        Measure("cancelled_orders", Type.INT, "Cancelled orders placed that day.", "orders"),
    ),
    inputs=(Input("orders", ("created_date",)), Input("order_items", ("order_date", "refund_date"))),
    compute=_order_kpis_daily,
    owner="team:shop",
)
