"""What a row of each table must be, as data. Imports narwhals only; knows no engine, no storage, no scheduler."""

from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.inventory import INVENTORY
from shopware_assets.contracts.order_items import ORDER_ITEMS
from shopware_assets.contracts.orders import ORDERS
from shopware_assets.contracts.products import PRODUCTS

CONTRACTS: dict[str, Contract] = {contract.name: contract for contract in (INVENTORY, PRODUCTS, ORDERS, ORDER_ITEMS)}
"""Every table by name, parents before their children."""
