"""The rules of the two works in SQL that DuckDB and Spark both speak, for the contenders written by hand.

Belongs here: which columns there are and when a row breaks which rule, said of `raw` (the row as text), of its typed
columns and of `landed_at`. How text becomes a value is each engine's own (`duckdb_by_hand.py`, `pyspark_by_hand.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """Of a table: its columns with their types (text, int, money, time), the one that may be missing and the one that
    says when the row happened; and, by rule, when a row breaks what does not follow from these."""

    types: Mapping[str, str]
    optional: str
    event_time: str
    more: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        return list(self.types)

    @property
    def sound(self) -> str:
        """Whether a row breaks no rule. The text is looked at only where there is no value."""
        required = [f"{column} is not null" for column in self.columns if column != self.optional]
        optional = f"({self.optional} is not null or not {_given(self.optional)})"
        return " and ".join([*required, optional, *(f"({broken}) is not true" for broken in self._own.values())])

    @property
    def broken(self) -> dict[str, str]:
        """When a row that can be read breaks each rule."""
        return {
            **{f"{column}_present": f"not {_given(column)}" for column in self.columns if column != self.optional},
            **{
                f"{column}_parses": f"{column} is null and {_given(column)}"
                for column, kind in self.types.items()
                if kind != "text"
            },
            **self._own,
        }

    @property
    def _own(self) -> dict[str, str]:
        return {
            **self.more,
            f"{self.event_time}_not_in_future": f"{self.event_time} > landed_at + interval 24 hour",
            f"{self.event_time}_not_before_start": f"{self.event_time} < timestamp '2025-01-01'",
        }


def _given(column: str) -> str:
    return f"nullif(trim(raw.{column}), '') is not null"


INVENTORY = Rules(
    types={
        **dict.fromkeys(("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold"), "int"),
        "last_updated": "time",
    },
    optional="restock_threshold",
    event_time="last_updated",
    more={
        "stock_level_not_negative": "stock_level < 0",
        "restock_threshold_not_negative": "restock_threshold < 0",
    },
)
STOCK_STATUS = """
case when stock_level = 0 then 'out_of_stock'
     when restock_threshold is null then 'unknown_threshold'
     when stock_level <= restock_threshold then 'low_stock'
     else 'in_stock' end
"""

POS_SALES = Rules(
    types={
        "transaction_id": "text",
        **dict.fromkeys(("store_id", "product_id", "quantity"), "int"),
        **dict.fromkeys(("revenue", "discount_applied"), "money"),
        "timestamp": "time",
    },
    optional="discount_applied",
    event_time="timestamp",
    more={
        "quantity_not_zero": "quantity = 0",
        "revenue_agrees_with_quantity": "quantity > 0 and revenue < 0 or quantity < 0 and revenue > 0",
        "discount_not_negative": "discount_applied < 0",
        "discount_not_above_revenue": "discount_applied > abs(revenue)",
    },
)
SIGN = "case when quantity > 0 then 1 else -1 end"
NET_REVENUE = f"cast(revenue - {SIGN} * coalesce(discount_applied, 0) as decimal(18, 4))"
