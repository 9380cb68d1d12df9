"""Inventory: what each warehouse has of each product, as hourly snapshots."""

import narwhals as nw

from shopware_assets.contracts.contract import Column, Contract, Derived, Type, not_negative
from shopware_assets.contracts.windows import Grain

_stock, _threshold = nw.col("stock_level"), nw.col("restock_threshold")

INVENTORY = Contract(
    name="inventory",
    feed="inventory",
    prefix="inventory",
    layout="json",
    description="One row per snapshot of a product's stock in a warehouse. A snapshot sent again supersedes the first.",
    columns=(
        Column("inventory_id", Type.INT, "The stock record.", required=True),
        Column("product_id", Type.INT, "The product.", required=True),
        Column("warehouse_id", Type.INT, "The warehouse.", required=True),
        Column(
            "stock_level",
            Type.INT,
            "Pieces in stock at that time.",
            required=True,
            unit="pieces",
            rules=(not_negative("stock_level"),),
        ),
        Column(
            "restock_threshold",
            Type.INT,
            "At or below this many pieces the product is to be ordered again.",
            unit="pieces",
            rules=(not_negative("restock_threshold"),),
        ),
        Column("last_updated", Type.TIME, "When the stock was counted.", required=True, unit="UTC"),
    ),
    key=("inventory_id", "last_updated"),
    event_time="last_updated",
    grain=Grain.HOUR,
    derived=(
        Derived(
            "stock_status",
            Type.STRING,
            "`out_of_stock` (none), `low_stock` (at or below the threshold), `in_stock`, or `unknown_threshold`.",
            nw.when(_stock == 0)
            .then(nw.lit("out_of_stock"))
            .otherwise(
                nw.when(_threshold.is_null())
                .then(nw.lit("unknown_threshold"))
                .otherwise(nw.when(_stock <= _threshold).then(nw.lit("low_stock")).otherwise(nw.lit("in_stock")))
            ),
        ),
    ),
    owner="team:supply-chain",
)
