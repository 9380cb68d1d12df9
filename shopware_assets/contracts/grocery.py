"""The grocery marketplace: its products, its orders and their lines. Their keys are not those of the online shop."""

import narwhals as nw

from shopware_assets.contracts.contract import (
    Carried,
    Column,
    Contract,
    Reference,
    Rule,
    Severity,
    TableRule,
    Type,
    not_negative,
    positive,
)
from shopware_assets.contracts.windows import Grain

_OWNER = "team:marketplace"

GROCERY_TABLES = ("grocery_products", "grocery_orders", "grocery_order_items")
"""What has to be there before a day is complete."""


def _with_several_names(products: nw.LazyFrame) -> nw.LazyFrame:
    named = products.select("department_id", "department").unique()
    return named.group_by("department_id").agg(nw.len().alias("names")).filter(nw.col("names") > 1)


GROCERY_PRODUCTS = Contract(
    name="grocery_products",
    feed="grocery",
    prefix="grocery/products",
    layout="csv",
    description="One row per product of the marketplace, as it is now.",
    columns=(
        Column("product_id", Type.INT, "The product.", required=True),
        Column("department_id", Type.INT, "The department that sells it.", required=True),
        Column("department", Type.STRING, "What the department is called.", required=True),
        Column("product_name", Type.STRING, "What the product is called.", required=True),
    ),
    key=("product_id",),
    key_scope="table",
    grain=Grain.DAY,
    newest_by=nw.col("_window"),
    laid_out_by="department_id",
    table_rules=(
        TableRule(
            "department_id_names_one_department",
            "Each department_id goes with one name of a department.",
            entity="department_id",
            reads={"grocery_products": None},
            broken_by=_with_several_names,
        ),
    ),
    owner=_OWNER,
)

_ORDERED_AT = Column("order_timestamp", Type.TIME, "When the order was placed.", required=True, unit="UTC")
_DATE = Column(
    "date",
    Type.DATE,
    "The day of the order as the marketplace gives it.",
    required=True,
    rules=(
        Rule(
            "date_agrees_with_timestamp",
            "`date` is the day of `order_timestamp`.",
            nw.col("date") != nw.col("order_timestamp").dt.date(),
            Severity.WARN,
        ),
    ),
)

GROCERY_ORDERS = Contract(
    name="grocery_orders",
    feed="grocery",
    prefix="grocery/orders",
    layout="csv",
    description="One row per order at the marketplace.",
    columns=(
        Column("order_id", Type.INT, "The order.", required=True),
        Column("order_num", Type.INT, "The number the customer sees.", required=True),
        Column("user_id", Type.INT, "The customer.", required=True, personal=True),
        _ORDERED_AT,
        Column(
            "total_amount",
            Type.MONEY,
            "What the customer paid.",
            required=True,
            unit="money",
            rules=(not_negative("total_amount"),),
        ),
        _DATE,
    ),
    key=("order_id",),
    key_scope="table",
    event_time="order_timestamp",
    grain=Grain.DAY,
    newest_by=nw.col("order_timestamp"),
    owner=_OWNER,
)

GROCERY_ORDER_ITEMS = Contract(
    name="grocery_order_items",
    feed="grocery",
    prefix="grocery/order_items",
    layout="csv",
    description="One row per line of an order at the marketplace, with what its order and product say now.",
    columns=(
        Column("id", Type.INT, "The line.", required=True),
        Column("order_id", Type.INT, "The order it belongs to.", required=True),
        Column("user_id", Type.INT, "The customer.", required=True, personal=True),
        Column("product_id", Type.INT, "The product.", required=True),
        Column(
            "add_to_cart_order",
            Type.INT,
            "As which line of the order it was put into the cart, from 1.",
            required=True,
            rules=(positive("add_to_cart_order"),),
        ),
        Column(
            "reordered",
            Type.INT,
            "1 if the customer had bought the product before, else 0.",
            required=True,
            rules=(Rule("reordered_is_flag", "`reordered` is 0 or 1.", ~nw.col("reordered").is_in([0, 1])),),
        ),
        Column(
            "days_since_prior_order",
            Type.INT,
            "Days since the customer's order before.",
            unit="days",
            rules=(not_negative("days_since_prior_order"),),
        ),
        _ORDERED_AT,
        _DATE,
    ),
    key=("id",),
    key_scope="table",
    event_time="order_timestamp",
    grain=Grain.DAY,
    newest_by=nw.col("order_timestamp"),
    references=(
        Reference(
            "order_known",
            "The order of the line is accepted.",
            column="order_id",
            parent="grocery_orders",
            parent_key="order_id",
            carries=(Carried("order_date", Type.DATE, "The day its order was placed.", "order_timestamp_date"),),
        ),
        Reference(
            "product_known",
            "The product of the line is accepted.",
            column="product_id",
            parent="grocery_products",
            parent_key="product_id",
            carries=(
                Carried("department_id", Type.INT, "The department of its product as it is now.", "department_id"),
            ),
        ),
    ),
    complete_with=GROCERY_TABLES,
    owner=_OWNER,
)
