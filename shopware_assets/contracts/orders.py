"""Orders of the online shop."""

import narwhals as nw

from shopware_assets.contracts.contract import (
    Column,
    Contract,
    Rule,
    Severity,
    Type,
    not_in_future,
    positive,
)
from shopware_assets.contracts.shop_rules import ORDER_RULES
from shopware_assets.contracts.windows import Grain

STATUSES = ("pending", "processing", "shipped", "delivered", "cancelled", "returned")
"""What can become of an order or of a line of it."""

_created, _shipped, _delivered, _returned = (
    nw.col(f"{step}_at") for step in ("created", "shipped", "delivered", "returned")
)

TIMES_IN_ORDER = Rule(
    "times_in_order",
    "created_at <= shipped_at <= delivered_at <= returned_at, as far as they are there.",
    nw.any_horizontal(
        _shipped < _created,
        _delivered < _created,
        _returned < _created,
        _delivered < _shipped,
        _returned < _shipped,
        _returned < _delivered,
        ignore_nulls=True,
    ),
    Severity.WARN,
)

LATEST_TIME = nw.max_horizontal(_created, _shipped, _delivered, _returned)
"""The latest of the four times: the newest state of an order or line is the one that knows of the latest event."""


def step(name: str, description: str) -> Column:
    """A time at which an order or line went a step further."""
    return Column(name, Type.TIME, description, unit="UTC", rules=(not_in_future(name),))


ORDERS = Contract(
    name="orders",
    feed="shop",
    prefix="shop/orders",
    layout="csv",
    description="One row per order of the online shop, in its newest known state.",
    columns=(
        Column("order_id", Type.STRING, "The order.", required=True),
        Column("user_id", Type.STRING, "The customer.", required=True, personal=True),
        Column("status", Type.STRING, "What has become of the order.", required=True, values=STATUSES),
        Column("created_at", Type.TIME, "When the order was placed.", required=True, unit="UTC"),
        step("returned_at", "When the order came back."),
        step("shipped_at", "When the order left the warehouse."),
        step("delivered_at", "When the order reached the customer."),
        Column(
            "num_of_item",
            Type.INT,
            "How many lines the order has, as the shop says.",
            unit="lines",
            rules=(positive("num_of_item"),),
        ),
    ),
    key=("order_id",),
    key_scope="table",
    event_time="created_at",
    grain=Grain.DAY,
    newest_by=LATEST_TIME,
    row_rules=(TIMES_IN_ORDER,),
    table_rules=ORDER_RULES,
    owner="team:shop",
)
