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
from datetime import UTC, datetime, timedelta
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
}
OPTIONAL = {
    "inventory": ("restock_threshold",),
    "products": ("cost", "category", "brand", "retail_price", "department"),
    "orders": ("returned_at", "shipped_at", "delivered_at", "num_of_item"),
    "order_items": ("shipped_at", "delivered_at", "returned_at"),
}
INTS = {"inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold", "num_of_item"}
MONEY = {"cost", "retail_price", "sale_price"}
KEY = {
    "inventory": ("inventory_id", "last_updated"),
    "products": ("id",),
    "orders": ("order_id",),
    "order_items": ("id",),
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
    return drop.key.split("/")[1] if drop.key.startswith("shop/") else "inventory"


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
    parents = {
        table: {row.key[0] for row in rows if row.table == table and not row.rejects}
        for table in ("orders", "products")
    }
    for row in rows:
        if row.table == "order_items" and row.raw is not None:
            for column, parent in (("order_id", "orders"), ("product_id", "products")):
                if column in row.values and row.values[column] not in parents[parent]:
                    row.rejects.add(f"{parent.removesuffix('s')}_known")
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
    if row.table == "products":
        first: Any = re.findall(r"\d{8}", row.drop.key)[-1]
    elif row.table == "inventory":
        first = 0
    else:
        first = max(row.values[column] for column in TIMES if column in row.values)
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
    for column in ("stock_level", "restock_threshold", "cost", "retail_price", "sale_price"):
        if column in values and values[column] < 0:
            row.rejects.add(f"{column}_not_negative")
    if values.get("num_of_item", 1) < 1:
        row.rejects.add("num_of_item_positive")
    if values.get("status", "pending") not in STATUSES:
        row.rejects.add("status_known")
    for column in (*TIMES, "last_updated"):
        if column in values and values[column] > row.drop.landed_at + timedelta(hours=24):
            row.rejects.add(f"{column}_not_in_future")
    for column in ("created_at", "last_updated"):
        if column in values and values[column] < START:
            row.rejects.add(f"{column}_not_before_start")
    if row.table == "products" and "brand" not in values:
        row.warnings.add("brand_present")
    times = [values[column] for column in TIMES if column in values]
    if times != sorted(times):
        row.warnings.add("times_in_order")


def _value(table: str, column: str, text: str) -> object:
    if column == "last_updated" or column in TIMES:
        return _time(text)
    if column in INTS and (table, column) != ("order_items", "product_id"):
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
