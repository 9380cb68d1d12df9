"""What a row of each table must be, as data. Imports narwhals only; knows no engine, no storage, no scheduler."""

from collections.abc import Mapping

from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.grocery import GROCERY_ORDER_ITEMS, GROCERY_ORDERS, GROCERY_PRODUCTS
from shopware_assets.contracts.inventory import INVENTORY
from shopware_assets.contracts.order_items import ORDER_ITEMS
from shopware_assets.contracts.orders import ORDERS
from shopware_assets.contracts.pos_sales import POS_SALES
from shopware_assets.contracts.products import PRODUCTS
from shopware_assets.contracts.stores import STORES

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        INVENTORY,
        PRODUCTS,
        ORDERS,
        ORDER_ITEMS,
        STORES,
        POS_SALES,
        GROCERY_PRODUCTS,
        GROCERY_ORDERS,
        GROCERY_ORDER_ITEMS,
    )
}
"""Every table by name, parents before their children."""


def check_references(contracts: Mapping[str, Contract]) -> None:
    """Checks that every row knows from which window of its parent it takes.

    Raises:
        ValueError: A reference does not carry a column of its parent's window.
    """
    for contract in contracts.values():
        for reference in contract.references:
            carried = {carried.column for carried in reference.carries}
            for column in contracts[reference.parent].partition_columns:
                if column not in carried:
                    raise ValueError(f"{contract.name}: {reference.rule} has to carry {reference.parent}.{column}")


check_references(CONTRACTS)
