"""What is handed over to applications: key-value tables, whose names and attributes are a contract with them."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from resources.lookups import LookupTable
from shopware_assets.contracts.tables import Table
from shopware_assets.contracts.windows import Grain


@dataclass(frozen=True)
class Served:
    """A key-value table and the gold table it shows.

    Attributes:
        attributes: Attribute of an item -> column of the gold table.
    """

    lookup: LookupTable
    answer: str
    description: str
    attributes: Mapping[str, str]
    owner: str = "team:shop"

    @property
    def name(self) -> str:
        return self.lookup.name

    @property
    def table(self) -> Table:
        """How the lineage calls it; it is not stored in the lake."""
        return Table(f"serving/{self.name}", {}, (self.lookup.day_column,), Grain.DAY)

    def items(self, rows: pl.DataFrame) -> list[dict[str, object]]:
        """One item a row, days as text."""
        named = rows.select(pl.col(column).alias(attribute) for attribute, column in self.attributes.items())
        return named.with_columns(pl.col(self.lookup.day_column).cast(pl.String)).to_dicts()


SERVED: dict[str, Served] = {
    served.name: served
    for served in (
        Served(
            LookupTable("category_kpis", partition_key="category", sort_key="order_date", day_column="order_date"),
            "category_kpis_daily",
            "What each category sold per day, for applications.",
            {
                "category": "category",
                "order_date": "order_date",
                "daily_revenue": "daily_revenue",
                "avg_order_value": "average_order_value",
                "avg_return_rate": "item_return_rate",
            },
        ),
        Served(
            LookupTable("order_kpis", partition_key="order_date", sort_key=None, day_column="order_date"),
            "order_kpis_daily",
            "How the online shop did per day, for applications.",
            {
                "order_date": "order_date",
                "total_orders": "total_orders",
                "total_revenue": "total_revenue",
                "total_items_sold": "total_items_sold",
                "return_rate": "order_return_rate",
                "unique_customers": "unique_customers",
            },
        ),
    )
}
"""Every table that is handed over, by name."""
