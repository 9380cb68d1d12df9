"""What is in stock now: never by the clock, "now" is the newest snapshot."""

from collections.abc import Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine


def _inventory_current(silver: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    pair = ("product_id", "warehouse_id")
    newest = silver["inventory"].filter(nw.col("last_updated") == nw.col("last_updated").max().over(*pair))
    age = nw.col("_line").cum_count(reverse=True).over(*pair, order_by=("_landed_at", "_source", "_version", "_line"))
    return newest.with_columns(_age=age).filter(nw.col("_age") == 1)  # to rank the ties alone takes less memory


INVENTORY_CURRENT = Answer(
    name="inventory_current",
    description="The newest known stock of every product in every warehouse.",
    grain="one row per product and warehouse",
    key=("product_id", "warehouse_id"),
    day=None,
    measures=(
        Measure("product_id", Type.INT, "The product."),
        Measure("warehouse_id", Type.INT, "The warehouse."),
        Measure("inventory_id", Type.INT, "The stock record of that snapshot."),
        Measure("stock_level", Type.INT, "Pieces in stock at the newest snapshot.", "pieces"),
        Measure("restock_threshold", Type.INT, "At or below this many pieces it is to be ordered again.", "pieces"),
        Measure(
            "stock_status",
            Type.STRING,
            "`out_of_stock` (none), `low_stock` (at or below the threshold), `in_stock`, or `unknown_threshold`.",
        ),
        Measure("last_updated", Type.TIME, "When that snapshot was taken.", "UTC"),
    ),
    inputs=(Input("inventory", ("last_updated_date",)),),
    compute=_inventory_current,
    owner="team:supply-chain",
)
