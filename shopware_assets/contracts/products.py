"""Products of the online shop: a reference table, one row per product as it is now."""

import narwhals as nw

from shopware_assets.contracts.contract import Column, Contract, Rule, Severity, Type, not_negative
from shopware_assets.contracts.windows import Grain

PRODUCTS = Contract(
    name="products",
    feed="shop",
    prefix="shop/products",
    layout="csv",
    description="One row per product of the online shop, as the newest delivery has it.",
    columns=(
        Column("id", Type.STRING, "The product.", required=True),
        Column("sku", Type.STRING, "Its stock keeping unit.", required=True),
        Column("cost", Type.MONEY, "What one piece costs us.", unit="money", rules=(not_negative("cost"),)),
        Column("category", Type.STRING, "The category it is sold in."),
        Column("name", Type.STRING, "What customers read.", required=True),
        Column(
            "brand",
            Type.STRING,
            "Who makes it.",
            rules=(Rule("brand_present", "`brand` is there.", nw.col("brand").is_null(), Severity.WARN),),
        ),
        Column(
            "retail_price",
            Type.MONEY,
            "What one piece is sold for.",
            unit="money",
            rules=(not_negative("retail_price"),),
        ),
        Column("department", Type.STRING, "The department it belongs to."),
    ),
    key=("id",),
    key_scope="table",
    grain=Grain.DAY,
    newest_by=nw.col("_window"),
    owner="team:shop",
)
