"""Rules over several rows of the online shop: which orders break them."""

from collections.abc import Callable

import narwhals as nw

Rule = Callable[[nw.LazyFrame, nw.LazyFrame], nw.LazyFrame]
"""From all accepted lines of some orders, and those orders, to the `order_id` of those that break the rule."""


def _order_line_repeats_product(items: nw.LazyFrame, orders: nw.LazyFrame) -> nw.LazyFrame:
    lines = items.group_by("order_id", "product_id").agg(nw.len().alias("lines"))
    return lines.filter(nw.col("lines") > 1).select("order_id").unique()


def _order_has_all_its_items(items: nw.LazyFrame, orders: nw.LazyFrame) -> nw.LazyFrame:
    lines = items.group_by("order_id").agg(nw.len().alias("lines"))
    counted = orders.join(lines, on="order_id", how="left")
    return counted.filter(nw.col("lines").fill_null(0) != nw.col("num_of_item")).select("order_id")


def _returned_has_date(items: nw.LazyFrame, orders: nw.LazyFrame) -> nw.LazyFrame:
    undated = (nw.col("status") == "returned") & nw.col("refund_date").is_null()
    return items.filter(undated).select("order_id").unique()


TABLE_RULES: dict[str, Rule] = {
    "order_line_repeats_product": _order_line_repeats_product,
    "order_has_all_its_items": _order_has_all_its_items,
    "returned_has_date": _returned_has_date,
}
"""Every rule over several rows, by name."""
