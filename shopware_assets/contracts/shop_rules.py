"""Rules over several rows of the online shop: which orders break them."""

import narwhals as nw

from shopware_assets.contracts.contract import TableRule


def _repeat_a_product(items: nw.LazyFrame) -> nw.LazyFrame:
    lines = items.group_by("order_id", "product_id").agg(nw.len().alias("lines"))
    return lines.filter(nw.col("lines") > 1).select("order_id").unique()


def _lack_items(orders: nw.LazyFrame, items: nw.LazyFrame) -> nw.LazyFrame:
    lines = items.group_by("order_id").agg(nw.len().alias("lines"))
    counted = orders.join(lines, on="order_id", how="left")
    return counted.filter(nw.col("lines").fill_null(0) != nw.col("num_of_item")).select("order_id")


def _returned_without_date(items: nw.LazyFrame) -> nw.LazyFrame:
    undated = (nw.col("status") == "returned") & nw.col("refund_date").is_null()
    return items.filter(undated).select("order_id").unique()


ORDER_RULES = (
    TableRule(
        "order_has_all_its_items",
        "Every order has as many accepted lines as its num_of_item says.",
        entity="order_id",
        reads={"orders": "created_date", "order_items": "order_date"},
        broken_by=_lack_items,
    ),
)
"""The rules of orders."""

LINE_RULES = tuple(
    TableRule(name, description, entity="order_id", reads={"order_items": "order_date"}, broken_by=broken_by)
    for name, description, broken_by in (
        ("order_line_repeats_product", "No order has two lines of one product.", _repeat_a_product),
        ("returned_has_date", "Every returned line has a returned_at, or its order has one.", _returned_without_date),
    )
)
"""The rules of the lines of orders."""
