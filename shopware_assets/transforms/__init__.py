"""What happens to rows: pure functions from frames to frames, written once, on any engine."""

from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import Table, silver
from shopware_assets.transforms.answer import Answer, Input
from shopware_assets.transforms.category_kpis import CATEGORY_KPIS_DAILY
from shopware_assets.transforms.grocery import GROCERY_DAILY, GROCERY_DEPARTMENTS_DAILY
from shopware_assets.transforms.order_kpis import ORDER_KPIS_DAILY
from shopware_assets.transforms.product_performance import PRODUCT_PERFORMANCE_DAILY
from shopware_assets.transforms.sales import SALES_BY_PRODUCT_DAILY, SALES_BY_REGION_DAILY, SALES_DAILY
from shopware_assets.transforms.stock import INVENTORY_CURRENT, INVENTORY_DAILY, STOCKOUTS

ANSWERS: dict[str, Answer] = {
    answer.name: answer
    for answer in (
        ORDER_KPIS_DAILY,
        CATEGORY_KPIS_DAILY,
        INVENTORY_DAILY,
        STOCKOUTS,
        INVENTORY_CURRENT,
        SALES_DAILY,
        SALES_BY_REGION_DAILY,
        SALES_BY_PRODUCT_DAILY,
        PRODUCT_PERFORMANCE_DAILY,
        GROCERY_DAILY,
        GROCERY_DEPARTMENTS_DAILY,
    )
}
"""Every gold table by name, those that others read before them."""


def table_read(read: Input) -> Table:
    """The table that an input is."""
    return ANSWERS[read.table.removeprefix("gold/")].table if read.is_gold else silver(CONTRACTS[read.table])


def days_read(table: str) -> tuple[str, ...]:
    """The columns of a silver table by whose days gold reads it."""
    return tuple(
        sorted(
            {day for answer in ANSWERS.values() for read in answer.inputs if read.table == table for day in read.days}
        )
    )
