"""What happens to rows: pure functions from frames to frames, written once, on any engine."""

from shopware_assets.transforms.answer import Answer
from shopware_assets.transforms.category_kpis import CATEGORY_KPIS_DAILY
from shopware_assets.transforms.grocery import GROCERY_DAILY, GROCERY_DEPARTMENTS_DAILY
from shopware_assets.transforms.inventory_current import INVENTORY_CURRENT
from shopware_assets.transforms.order_kpis import ORDER_KPIS_DAILY
from shopware_assets.transforms.sales import SALES_BY_PRODUCT_DAILY, SALES_BY_REGION_DAILY, SALES_DAILY

ANSWERS: dict[str, Answer] = {
    answer.name: answer
    for answer in (
        ORDER_KPIS_DAILY,
        CATEGORY_KPIS_DAILY,
        INVENTORY_CURRENT,
        SALES_DAILY,
        SALES_BY_REGION_DAILY,
        SALES_BY_PRODUCT_DAILY,
        GROCERY_DAILY,
        GROCERY_DEPARTMENTS_DAILY,
    )
}
"""Every gold table by name."""


def days_read(table: str) -> tuple[str, ...]:
    """The columns of a silver table by whose days gold reads it."""
    return tuple(
        sorted(
            {day for answer in ANSWERS.values() for read in answer.inputs if read.table == table for day in read.days}
        )
    )
