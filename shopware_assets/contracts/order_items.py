"""Lines of the online shop's orders: each line is one item."""

import narwhals as nw

from shopware_assets.contracts.contract import (
    Carried,
    Column,
    Contract,
    Derived,
    Reference,
    Type,
    not_negative,
)
from shopware_assets.contracts.orders import LATEST_TIME, STATUSES, TIMES_IN_ORDER, step
from shopware_assets.contracts.shop_rules import LINE_RULES
from shopware_assets.contracts.windows import Grain

ORDER_ITEMS = Contract(
    name="order_items",
    feed="shop",
    prefix="shop/order_items",
    layout="csv",
    description="One row per line of an order, in its newest known state, with what its order and product say now.",
    columns=(
        Column("id", Type.STRING, "The line.", required=True),
        Column("order_id", Type.STRING, "The order it belongs to.", required=True),
        Column("user_id", Type.STRING, "The customer.", required=True, personal=True),
        Column("product_id", Type.STRING, "The product.", required=True),
        Column("status", Type.STRING, "What has become of the line.", required=True, values=STATUSES),
        Column("created_at", Type.TIME, "When the line was added to the order.", required=True, unit="UTC"),
        step("shipped_at", "When the item left the warehouse."),
        step("delivered_at", "When the item reached the customer."),
        step("returned_at", "When the item came back."),
        Column(
            "sale_price",
            Type.MONEY,
            "What the customer paid for the item.",
            required=True,
            unit="money",
            rules=(not_negative("sale_price"),),
        ),
    ),
    key=("id",),
    key_scope="table",
    event_time="created_at",
    grain=Grain.DAY,
    newest_by=LATEST_TIME,
    row_rules=(TIMES_IN_ORDER,),
    references=(
        Reference(
            "order_known",
            "The order of the line is accepted.",
            column="order_id",
            parent="orders",
            parent_key="order_id",
            carries=(
                Carried("order_date", Type.DATE, "The day its order was placed.", "created_date"),
                Carried("order_status", Type.STRING, "What has become of its order.", "status"),
                Carried("order_returned_at", Type.TIME, "When its order came back.", "returned_at", unit="UTC"),
            ),
        ),
        Reference(
            "product_known",
            "The product of the line is accepted.",
            column="product_id",
            parent="products",
            parent_key="id",
            carries=(
                Carried("category", Type.STRING, "The category of its product as it is now.", "category", "unknown"),
                Carried("cost", Type.MONEY, "The cost of its product as it is now.", "cost", unit="money"),
            ),
        ),
    ),
    derived=(
        Derived(
            "refund_date",
            Type.DATE,
            "The day a returned line was refunded: the day of its returned_at, or else of its order's.",
            nw.when(nw.col("status") == "returned").then(
                nw.coalesce(nw.col("returned_at"), nw.col("order_returned_at")).dt.date()
            ),
        ),
    ),
    table_rules=LINE_RULES,
    owner="team:shop",
)
