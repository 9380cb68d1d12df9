"""A second opinion on landing files: reads and judges them row by row, in plain Python, from feeds and laws alone.

It knows nothing of the simulator or the contracts, and is far too slow for anything but tests.
"""

import csv
import gzip
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from simulator import Drop

START = datetime(2025, 1, 1, tzinfo=UTC)
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
STATUSES = {"pending", "processing", "shipped", "delivered", "cancelled", "returned"}
TIMES = ("created_at", "shipped_at", "delivered_at", "returned_at")

REQUIRED = {
    "inventory": ("inventory_id", "product_id", "warehouse_id", "stock_level", "last_updated"),
    "products": ("id", "sku", "name"),
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ("id", "order_id", "user_id", "product_id", "status", "created_at", "sale_price"),
    "stores": ("store_id", "region"),
    "pos_sales": ("transaction_id", "store_id", "product_id", "quantity", "revenue", "timestamp"),
    "grocery_products": ("product_id", "department_id", "department", "product_name"),
    "grocery_orders": ("order_id", "order_num", "user_id", "order_timestamp", "total_amount", "date"),
    "grocery_order_items": (
        *("id", "order_id", "user_id", "product_id", "add_to_cart_order", "reordered", "order_timestamp", "date"),
    ),
}
OPTIONAL = {
    "inventory": ("restock_threshold",),
    "products": ("cost", "category", "brand", "retail_price", "department"),
    "orders": ("returned_at", "shipped_at", "delivered_at", "num_of_item"),
    "order_items": ("shipped_at", "delivered_at", "returned_at"),
    "stores": ("city", "opened_on"),
    "pos_sales": ("discount_applied",),
    "grocery_products": (),
    "grocery_orders": (),
    "grocery_order_items": ("days_since_prior_order",),
}
INTS = {"inventory_id", "warehouse_id", "stock_level", "restock_threshold", "num_of_item", "quantity", "department_id"}
INTS |= {"order_num", "add_to_cart_order", "reordered", "days_since_prior_order", "store_id"}
IDS = {"id", "order_id", "user_id", "product_id"}  # strings in the shop, else ints
SHOP = {"products", "orders", "order_items"}
REFERENCE_TABLES = {"products", "stores", "grocery_products"}
MONEY = {"cost", "retail_price", "sale_price", "revenue", "discount_applied", "total_amount"}
DATES = {"opened_on", "date"}
EVENT_TIMES = ("created_at", "last_updated", "timestamp", "order_timestamp")
NOT_NEGATIVE = (
    *("stock_level", "restock_threshold", "cost", "retail_price", "sale_price"),
    *("total_amount", "days_since_prior_order"),
)
KEY = {
    "inventory": ("inventory_id", "last_updated"),
    "products": ("id",),
    "orders": ("order_id",),
    "order_items": ("id",),
    "stores": ("store_id",),
    "grocery_products": ("product_id",),
    "grocery_orders": ("order_id",),
    "grocery_order_items": ("id",),
}
PARENTS = {  # column, table, rule
    "order_items": (("order_id", "orders", "order_known"), ("product_id", "products", "product_known")),
    "grocery_order_items": (
        ("order_id", "grocery_orders", "order_known"),
        ("product_id", "grocery_products", "product_known"),
    ),
    "pos_sales": (("store_id", "stores", "store_known"),),
}


@dataclass
class Row:
    """One record. `raw` is None where it could not be read; `values` holds what parsed."""

    table: str
    drop: Drop
    line: int
    raw: dict[str, str] | None
    values: dict[str, Any] = field(default_factory=dict)
    rejects: set[str] = field(default_factory=set)
    warnings: set[str] = field(default_factory=set)

    @property
    def text(self) -> dict[str, str]:
        assert self.raw is not None
        return self.raw

    @property
    def key(self) -> tuple[Any, ...]:
        if self.table == "pos_sales":  # unique within its day
            basket, product, quantity, time = (
                self.values[c] for c in ("transaction_id", "product_id", "quantity", "timestamp")
            )
            return basket, product, quantity > 0, time.date()
        return tuple(self.values[column] for column in KEY[self.table])


@dataclass
class Verdict:
    read: int = 0
    accepted: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    superseded: list[Row] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        rows = self.accepted + self.rejected + self.superseded
        known = REQUIRED[rows[0].table] + OPTIONAL[rows[0].table]
        return {
            "read": self.read,
            "accepted": len(self.accepted),
            "rejected": len(self.rejected),
            "superseded": len(self.superseded),
            "rules": dict(Counter(rule for row in self.rejected for rule in row.rejects)),
            "warnings": dict(Counter(rule for row in self.accepted for rule in row.warnings)),
            "undeclared": sum(bool(set(row.raw) - set(known)) for row in rows if row.raw is not None),
            "orphans": sum(bool(row.rejects & {"order_known", "product_known"}) for row in self.rejected),
        }


def table_of(drop: Drop) -> str:
    first, second, *_ = drop.key.split("/")
    return {"shop": second, "grocery": f"grocery_{second}", "pos": "pos_sales"}.get(first, first)


def text_of(drop: Drop) -> str:
    body = gzip.decompress(drop.body) if drop.key.endswith(".gz") else drop.body
    return body.decode("utf-8-sig")


def newest(drops: Iterable[Drop]) -> list[Drop]:
    """What landing holds at the end."""
    return list({drop.key: drop for drop in sorted(drops, key=lambda drop: drop.landed_at)}.values())


def read(drop: Drop) -> list[Row]:
    """The records of one object, in its order."""
    records = _csv(text_of(drop)) if ".csv" in drop.key else _json(text_of(drop))
    return [Row(table_of(drop), drop, line, raw) for line, raw in enumerate(records, 1)]


def _csv(text: str) -> list[dict[str, str] | None]:
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert len(set(header)) == len(header)
    return [dict(zip(header, row, strict=True)) if len(row) == len(header) else None for row in rows if row]


def _json(text: str) -> list[dict[str, str] | None]:
    if text.startswith("["):
        records = json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
        return [record if isinstance(record, dict) else None for record in records]
    return [_line(line) for line in text.split("\n") if line.strip()]


def _line(line: str) -> dict[str, str] | None:
    try:
        record = json.loads(line, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, str] | None:
    if len(dict(pairs)) != len(pairs):
        return None
    return {name: "true" if value is True else str(value) for name, value in pairs if value is not None}


def judge(drops: Iterable[Drop]) -> dict[str, Verdict]:
    """Settles these objects, all of them: hand in `newest(drops)` for what a lake makes of a landing."""
    verdicts: dict[str, Verdict] = defaultdict(Verdict)
    rows = [row for drop in drops for row in read(drop)]
    for row in rows:
        verdicts[row.table].read += 1
        _judge_alone(row)
    sound_keys = defaultdict(set)
    for row in rows:
        if not row.rejects and row.table != "pos_sales":
            sound_keys[row.table].add(row.key[0])
    for row in rows:
        for column, parent, rule in PARENTS.get(row.table, ()):
            if row.raw is not None and column in row.values and row.values[column] not in sound_keys[parent]:
                (row.warnings if rule == "store_known" else row.rejects).add(rule)
    for table, verdict in verdicts.items():
        sound: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in rows:
            if row.table == table and row.rejects:
                verdict.rejected.append(row)
            elif row.table == table:
                sound[row.key].append(row)
        for rivals in sound.values():
            *older, winner = sorted(rivals, key=_order)
            verdict.accepted.append(winner)
            verdict.superseded += older
    return verdicts


def _order(row: Row) -> tuple[Any, ...]:
    if row.table in REFERENCE_TABLES:
        first: Any = re.findall(r"\d{8}", row.drop.key)[-1]
    elif row.table in SHOP:
        first = max(row.values[column] for column in TIMES if column in row.values)
    else:
        first = next(row.values[column] for column in EVENT_TIMES if column in row.values)
    return first, row.drop.landed_at, row.drop.key, row.line


def _judge_alone(row: Row) -> None:
    if row.raw is None:
        row.rejects.add("record_readable")
        return
    for column in REQUIRED[row.table] + OPTIONAL[row.table]:
        text = row.raw.get(column, "").strip()
        if not text:
            if column in REQUIRED[row.table]:
                row.rejects.add(f"{column}_present")
            continue
        try:
            row.values[column] = _value(row.table, column, text)
        except ValueError:
            row.rejects.add(f"{column}_parses")
    values = row.values
    for column in NOT_NEGATIVE:
        if column in values and values[column] < 0:
            row.rejects.add(f"{column}_not_negative")
    for column in ("num_of_item", "add_to_cart_order"):
        if values.get(column, 1) < 1:
            row.rejects.add(f"{column}_positive")
    if values.get("reordered", 0) not in (0, 1):
        row.rejects.add("reordered_is_flag")
    if values.get("status", "pending") not in STATUSES:
        row.rejects.add("status_known")
    for column in (*TIMES, *EVENT_TIMES):
        if column in values and values[column] > row.drop.landed_at + timedelta(hours=24):
            row.rejects.add(f"{column}_not_in_future")
    for column in EVENT_TIMES:
        if column in values and values[column] < START:
            row.rejects.add(f"{column}_not_before_start")
    if row.table == "products" and "brand" not in values:
        row.warnings.add("brand_present")
    times = [values[column] for column in TIMES if column in values]
    if times != sorted(times):
        row.warnings.add("times_in_order")
    if "date" in values and "order_timestamp" in values and values["date"] != values["order_timestamp"].date():
        row.warnings.add("date_agrees_with_timestamp")
    if row.table == "pos_sales":
        _judge_sale(row)


def _judge_sale(row: Row) -> None:
    quantity, revenue, discount = (row.values.get(column) for column in ("quantity", "revenue", "discount_applied"))
    if quantity == 0:
        row.rejects.add("quantity_not_zero")
    if quantity and revenue and (quantity > 0) != (revenue > 0):
        row.rejects.add("revenue_agrees_with_quantity")
    if discount is not None and discount < 0:
        row.rejects.add("discount_not_negative")
    if discount is not None and revenue is not None and discount > abs(revenue):
        row.rejects.add("discount_not_above_revenue")


def _value(table: str, column: str, text: str) -> object:
    if column in EVENT_TIMES or column in TIMES:
        return _time(text)
    if column in DATES:
        return date.fromisoformat(text)
    if column in INTS or (column in IDS and table not in SHOP):
        if not NUMBER.fullmatch(text) or Decimal(text) % 1 or not -(2**63) <= Decimal(text) < 2**63:
            raise ValueError(text)
        return int(Decimal(text))
    if column in MONEY:
        if not NUMBER.fullmatch(text):
            raise ValueError(text)
        return Decimal(text)
    return text.lower() if column == "status" else text


def _time(text: str) -> datetime:
    if NUMBER.fullmatch(text):
        number = Decimal(text)
        scale = 1 if number >= 10**14 else 1_000 if number >= 10**11 else 1_000_000
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(number * scale))
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
