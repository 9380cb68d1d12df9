"""What the tables must be, worked out from the objects alone, in slow, plain Python, from the definitions.

Nothing here imports the product. It takes the whole set of objects, in no order, and knows no windows that are made,
only rows.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import compress, pairwise
from typing import Any

from shopware_assets_tests.arrival.world import COLUMNS, START, Drop

Value = Any
Row = dict[str, Value]
Tables = dict[str, list[Row]]

DAY = timedelta(days=1)
STATUSES = {"pending", "processing", "shipped", "delivered", "cancelled", "returned"}
WAITS = {"order_known", "product_known"}
REQUIRED = {
    "inventory": ("inventory_id", "product_id", "warehouse_id", "stock_level", "last_updated"),
    "products": ("id", "sku", "name"),
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ("id", "order_id", "user_id", "product_id", "status", "created_at", "sale_price"),
}
EVENT_TIME = {"inventory": "last_updated", "orders": "created_at", "order_items": "created_at"}
KEY = {
    "inventory": ("inventory_id", "last_updated"),
    "products": ("id",),
    "orders": ("order_id",),
    "order_items": ("id",),
}
INTS = {"inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold", "num_of_item"}
MONEY = {"cost", "retail_price", "sale_price"}
NOT_NEGATIVE = {"cost", "retail_price", "sale_price", "stock_level", "restock_threshold"}


@dataclass
class Judged:
    """A row of an object, with what becomes of it."""

    drop: Drop
    number: int
    text: dict[str, str | None]
    corrupt: str | None
    current: bool
    window: datetime
    values: Row = field(default_factory=dict)
    reasons: set[str] = field(default_factory=set)
    warnings: set[str] = field(default_factory=set)
    outcome: str = ""

    @property
    def provenance(self) -> Row:
        drop = self.drop
        return {"_source": drop.key, "_version": drop.version, "_line": self.number, "_landed_at": drop.landed_at}

    @property
    def partition(self) -> Row:
        return partition(self.drop.table, self.window)


def partition(table: str, window: datetime) -> Row:
    match table:
        case "inventory":
            return {"last_updated_date": window.date(), "last_updated_hour": window.hour}
        case "products":
            return {}
        case _:
            return {"created_date": window.date()}


def tables(drops: Iterable[Drop]) -> Tables:
    """Every table of the lake once all the objects have arrived and nothing is left to do."""
    objects = sorted(drops, key=lambda drop: (drop.table, drop.key, drop.landed_at, drop.version))
    rows = {
        table: [row for drop in objects if drop.table == table for row in _records(drop, objects)] for table in COLUMNS
    }
    silver: dict[str, list[Row]] = {}
    for table in ("products", "orders", "order_items", "inventory"):
        for row in rows[table]:
            _judge(row, silver)
        _newest_wins(rows[table])
        silver[table] = [row.values for row in rows[table] if row.outcome == "accepted"]
    found: Tables = {"ledger": _ledger(rows)}
    for table, judged in rows.items():
        found[f"bronze/{table}"] = [_bronze(row) for row in judged] + [
            _marker(drop) for drop in objects if drop.table == table
        ]
        found[f"silver/{table}"] = silver[table]
        found[f"silver/{table}_rejected"] = [_set_aside(row) for row in judged if row.outcome == "rejected"]
    found["gold/order_kpis_daily"] = _order_kpis(silver["orders"], silver["order_items"])
    found["gold/category_kpis_daily"] = _category_kpis(silver["order_items"])
    found["gold/inventory_daily"], found["gold/stockouts"] = _stock(silver["inventory"])
    found["gold/inventory_current"] = _inventory_current(silver["inventory"])
    return found


# --- Bronze ----------------------------------------------------------------------------------------------------------


def _records(drop: Drop, objects: Sequence[Drop]) -> Iterable[Judged]:
    readable = [other for other in objects if other.key == drop.key and not other.is_picture]
    newest = max(readable, key=lambda other: (other.landed_at, other.version), default=None)
    current = newest is None or (drop.landed_at, drop.version) >= (newest.landed_at, newest.version)
    for number, record in enumerate(["It is a PNG picture, not text."] if drop.is_picture else drop.records, 1):
        corrupt = record if isinstance(record, str) else None
        text: dict[str, str | None] = dict.fromkeys(COLUMNS[drop.table])
        if corrupt is None:
            text = {name: record.get(name, "" if drop.table != "inventory" else None) for name in text}
        yield Judged(drop, number, text, corrupt, current, _window(drop, text))


def _landing_window(drop: Drop) -> datetime:
    dates = re.findall(r"\d{4}-\d\d-\d\d(?:/\d\d)?", drop.key)
    if not dates:
        named = drop.landed_at
    else:
        named = datetime.strptime(dates[-1] if "/" in dates[-1] else f"{dates[-1]}/00", "%Y-%m-%d/%H").replace(
            tzinfo=UTC
        )
    return named.replace(minute=0) if drop.table == "inventory" else named.replace(hour=0, minute=0)


def _window(drop: Drop, text: dict[str, str | None]) -> datetime:
    event = _time(text.get(EVENT_TIME.get(drop.table, "")))
    if event is None or not START <= event <= drop.landed_at + DAY:
        return _landing_window(drop)
    return event.replace(minute=0, second=0) if drop.table == "inventory" else event.replace(hour=0, minute=0, second=0)


def _bronze(row: Judged) -> Row:
    return {**row.text, **row.provenance, **row.partition, "_window": row.window, "_corrupt": row.corrupt}


def _marker(drop: Drop) -> Row:
    nothing = dict.fromkeys((*COLUMNS[drop.table], *partition(drop.table, drop.landed_at), "_corrupt"))
    provenance = {"_source": drop.key, "_version": drop.version, "_line": 0, "_landed_at": drop.landed_at}
    return {**nothing, **provenance, "_window": _landing_window(drop)}


# --- Judging ---------------------------------------------------------------------------------------------------------


def _time(text: str | None) -> datetime | None:
    if not text or not text.strip():
        return None
    if re.fullmatch(r"\d+", text.strip()):
        return datetime.fromtimestamp(int(text), UTC)
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        return None


def _value(name: str, text: str) -> Value:
    if name in MONEY:
        return (
            Decimal(text).quantize(Decimal("0.0001"), ROUND_HALF_UP) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None
        )
    if name in INTS:
        return int(text) if re.fullmatch(r"-?\d+", text) else None
    if name.endswith("_at") or name == "last_updated":
        return _time(text)
    return text


def _judge(row: Judged, silver: dict[str, list[Row]]) -> None:
    table, reasons = row.drop.table, row.reasons
    columns = COLUMNS[table]
    # The ids of the shop are texts, those of inventory numbers.
    kinds = {name: name if table == "inventory" or name not in ("product_id",) else "text" for name in columns}
    values: Row = {}
    for name in columns:
        text = (row.text[name] or "").strip()
        values[name] = _value(kinds[name], text) if text else None
        if not text and name in REQUIRED[table]:
            reasons.add(f"{name}_present")
        if text and values[name] is None:
            reasons.add(f"{name}_parses")
        if name in NOT_NEGATIVE and values[name] is not None and values[name] < 0:
            reasons.add(f"{name}_not_negative")
    if values.get("status"):
        values["status"] = values["status"].lower()
        if values["status"] not in STATUSES:
            reasons.add("status_known")
    steps = [values[name] for name in ("created_at", "shipped_at", "delivered_at", "returned_at") if values.get(name)]
    if table in ("orders", "order_items"):
        late = [n for n in columns if n.endswith("_at") and values[n] and values[n] > row.drop.landed_at + DAY]
        reasons |= {f"{name}_not_in_future" for name in late}
        if steps != sorted(steps):
            row.warnings.add("times_in_order")
    elif table == "inventory" and values["last_updated"] and values["last_updated"] > row.drop.landed_at + DAY:
        reasons.add("last_updated_not_in_future")
    event = values.get(EVENT_TIME.get(table, ""))
    if event and event < START:
        reasons.add(f"{EVENT_TIME[table]}_not_before_start")
    if table == "orders" and values["num_of_item"] is not None and values["num_of_item"] < 1:
        reasons.add("num_of_item_positive")
    if table == "products" and values["brand"] is None:
        row.warnings.add("brand_present")
    if table == "order_items":
        _carry(values, reasons, silver)
    if table == "inventory":
        level, threshold = values["stock_level"], values["restock_threshold"]
        values["stock_status"] = (
            *("out_of_stock" if level == 0 else "unknown_threshold" if threshold is None else "low_stock",),
        )[0]
        if level and threshold is not None and level > threshold:
            values["stock_status"] = "in_stock"
    if row.corrupt is not None:
        reasons.clear()
        row.warnings.clear()
        reasons.add("record_readable")
    row.values = {**values, **row.partition, **row.provenance, "_warnings": frozenset(row.warnings)}


def _carry(values: Row, reasons: set[str], silver: dict[str, list[Row]]) -> None:
    """What a line takes from its order and product, and whether they are there."""
    order = next((o for o in silver["orders"] if o["order_id"] == values["order_id"]), None)
    product = next((p for p in silver["products"] if p["id"] == values["product_id"]), None)
    if values["order_id"] and order is None:
        reasons.add("order_known")
    if values["product_id"] and product is None:
        reasons.add("product_known")
    order, product = order or {}, product or {}
    values["order_date"] = order["created_at"].date() if order else None
    values["order_status"] = order.get("status")
    values["order_returned_at"] = order.get("returned_at")
    values["category"] = product.get("category") or "unknown"
    values["cost"] = product.get("cost")
    returned = values["returned_at"] or values["order_returned_at"] if values["status"] == "returned" else None
    values["refund_date"] = returned.date() if returned else None


def _newest_wins(rows: list[Judged]) -> None:
    def newness(row: Judged) -> tuple:
        values, drop = row.values, row.drop
        times = [values[n] for n in ("created_at", "shipped_at", "delivered_at", "returned_at") if values.get(n)]
        by = {"products": row.window, "inventory": None}.get(drop.table, max(times, default=None))
        return (by or START, drop.landed_at, drop.key, drop.version, row.number)

    competing = defaultdict(list)
    for row in rows:
        if not row.current:
            row.outcome = "superseded"
        elif row.reasons:
            row.outcome = "rejected"
        else:
            competing[tuple(row.values[name] for name in KEY[row.drop.table])].append(row)
    for rivals in competing.values():
        for row in rivals:
            row.outcome = "superseded"
        max(rivals, key=newness).outcome = "accepted"


def _set_aside(row: Judged) -> Row:
    why = {"_corrupt": row.corrupt, "_reasons": frozenset(row.reasons), "_warnings": frozenset(row.warnings)}
    return {**row.text, **row.partition, **row.provenance, **why}


def _ledger(rows: dict[str, list[Judged]]) -> list[Row]:
    counts: dict[tuple, Counter[str]] = defaultdict(Counter)
    for table, judged in rows.items():
        for row in judged:
            hour = f"-{row.window:%H:%M}" if table == "inventory" else ""
            window = "all" if table == "products" else f"{row.window:%Y-%m-%d}{hour}"
            drop = row.drop
            line = counts[f"silver/{table}", window, drop.key, drop.version, drop.landed_at, row.current]
            line["read"] += 1
            line[row.outcome] += 1
            line["waiting"] += row.outcome == "rejected" and row.reasons <= WAITS
    names = ("table_name", "window", "source", "version", "landed_at", "current")
    numbers = ("read", "accepted", "rejected", "superseded", "waiting")
    return [
        {**dict(zip(names, which, strict=True)), **{name: line[name] for name in numbers}}
        for which, line in counts.items()
    ]


# --- Gold ------------------------------------------------------------------------------------------------------------


def _mean(total: Decimal, count: int) -> Decimal | None:
    return (total / count).quantize(Decimal("0.0001"), ROUND_HALF_UP) if count else None


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _live(items: list[Row]) -> list[Row]:
    return [line for line in items if "cancelled" not in (line["status"], line["order_status"])]


def _order_kpis(orders: list[Row], items: list[Row]) -> list[Row]:
    lines = _live(items)
    lines_of = Counter(line["order_id"] for line in items)
    days: set[date] = {o["created_date"] for o in orders} | {
        line["refund_date"] for line in lines if line["refund_date"]
    }
    found = []
    for day in days:
        placed = [o for o in orders if o["created_date"] == day and o["status"] != "cancelled"]
        sold = [line for line in lines if line["order_date"] == day]
        returned = [line for line in sold if line["status"] == "returned"]
        revenue = sum((line["sale_price"] for line in sold), Decimal())
        refunds = sum((line["sale_price"] for line in lines if line["refund_date"] == day), Decimal())
        found.append(
            {
                "order_date": day,
                "total_orders": len(placed),
                "total_items_sold": len(sold),
                "total_revenue": revenue,
                "unique_customers": len({o["user_id"] for o in placed}),
                "order_return_rate": _rate(sum(o["status"] == "returned" for o in placed), len(placed)),
                "item_return_rate": _rate(len(returned), len(sold)),
                "average_order_value": _mean(revenue, len(placed)),
                "refunds": refunds,
                "net_revenue": revenue - refunds,
                "incomplete_orders": sum(
                    o["num_of_item"] is not None and lines_of[o["order_id"]] != o["num_of_item"] for o in placed
                ),
                "cancelled_orders": sum(o["created_date"] == day and o["status"] == "cancelled" for o in orders),
            }
        )
    return found


def _category_kpis(items: list[Row]) -> list[Row]:
    groups = defaultdict(list)
    for line in _live(items):
        groups[line["category"], line["order_date"]].append(line)
    found = []
    for (category, day), lines in groups.items():
        revenue, orders = (
            sum((line["sale_price"] for line in lines), Decimal()),
            len({line["order_id"] for line in lines}),
        )
        found.append(
            {
                "category": category,
                "order_date": day,
                "daily_revenue": revenue,
                "order_count": orders,
                "average_order_value": _mean(revenue, orders),
                "item_return_rate": _rate(sum(line["status"] == "returned" for line in lines), len(lines)),
            }
        )
    return found


def _by_pair(snapshots: list[Row]) -> dict[tuple[int, int], dict[datetime, Row]]:
    """The snapshots of each product and warehouse in time order; of two at one time the one that is newer."""
    found: dict[tuple[int, int], dict[datetime, Row]] = defaultdict(dict)
    order = ("last_updated", "_landed_at", "_source", "_version", "_line")
    for row in sorted(snapshots, key=lambda row: [row[name] for name in order]):
        found[row["product_id"], row["warehouse_id"]][row["last_updated"]] = row
    return found


def _hours(time: timedelta) -> float:
    return time / timedelta(hours=1)


def _stock(snapshots: list[Row]) -> tuple[list[Row], list[Row]]:
    """The days of every pair, and its stockouts."""
    newest = max((row["last_updated"] for row in snapshots), default=START)
    daily, stockouts = [], []
    for (product_id, warehouse_id), at in _by_pair(snapshots).items():
        pair = {"product_id": product_id, "warehouse_id": warehouse_id}
        empty_from = None
        for time, row in at.items():
            if row["stock_level"] == 0:
                empty_from = empty_from or time
            elif empty_from:
                length = _hours(time - empty_from)
                stockouts.append(
                    {**pair, "date": time.date(), "started_at": empty_from, "ended_at": time, "hours": length}
                )
                empty_from = None
        if empty_from:
            length = _hours(newest - empty_from)
            stockouts.append(
                {**pair, "date": newest.date(), "started_at": empty_from, "ended_at": None, "hours": length}
            )
        midnight = datetime.combine(min(at).date(), datetime.min.time(), UTC)
        while midnight <= newest:
            daily.append({**pair, **_stock_on(midnight, min(midnight + DAY, newest), list(at.items()))})
            midnight += DAY
    return daily, stockouts


def _stock_on(midnight: datetime, until: datetime, at: list[tuple[datetime, Row]]) -> Row:
    """A pair's day, of which what is known ends at `until`."""
    earlier = [row for time, row in at if time < midnight]
    today = [(time, row) for time, row in at if midnight <= time < midnight + DAY]
    held = [(midnight, row) for row in earlier[-1:]] + today  # what it had from when
    levels = [row["stock_level"] for _, row in held]
    ends = [*(time for time, _ in held[1:]), until]
    lengths = [end - start for (start, _), end in zip(held, ends, strict=True)]
    steps = list(pairwise(levels))
    rises = [after - before for before, after in steps if after > before]
    observed = sum(lengths, timedelta())
    micros = timedelta(microseconds=1)
    weighted = sum(level * (length // micros) for level, length in zip(levels, lengths, strict=True))
    last = held[-1][1]
    filled = [time for time, row in at if time < midnight + DAY and row["stock_level"] > 0]
    since = [time for time, _ in at if time < midnight + DAY and (not filled or time > filled[-1])]
    return {
        "date": midnight.date(),
        "opening_stock": levels[0],
        "closing_stock": levels[-1],
        "min_stock": min(levels),
        "average_stock": weighted / (observed // micros) if observed else None,
        "observed_hours": _hours(observed),
        "hours_out_of_stock": _hours(sum(compress(lengths, (level == 0 for level in levels)), timedelta())),
        "stockouts": sum(before > 0 and after == 0 for before, after in steps),
        "restocks": len(rises),
        "units_restocked": sum(rises),
        "out_since": since[0] if since else None,
        **{name: last[name] for name in ("inventory_id", "restock_threshold", "stock_status", "last_updated")},
    }


def _inventory_current(snapshots: list[Row]) -> list[Row]:
    shown = ("inventory_id", "stock_level", "restock_threshold", "stock_status", "last_updated")
    newest = [(pair, at[max(at)]) for pair, at in _by_pair(snapshots).items()]
    return [
        {"product_id": product_id, "warehouse_id": warehouse_id, **{name: row[name] for name in shown}}
        for (product_id, warehouse_id), row in newest
    ]
