"""Stores: the shops on the high street."""

import narwhals as nw

from shopware_assets.contracts.contract import Column, Contract, Type
from shopware_assets.contracts.windows import Grain

STORES = Contract(
    name="stores",
    feed="pos",
    prefix="stores",
    layout="csv",
    description="One row per store, as it is now.",
    columns=(
        Column("store_id", Type.INT, "The store.", required=True),
        Column("region", Type.STRING, "The region it belongs to.", required=True),
        Column("city", Type.STRING, "Where it is."),
        Column("opened_on", Type.DATE, "Its first day of business."),
    ),
    key=("store_id",),
    key_scope="table",
    grain=Grain.DAY,
    newest_by=nw.col("_window"),
    owner="team:sales",
)
