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
from itertools import compress, pairwise, product
from statistics import median
from typing import Any

from shopware_assets_tests.arrival.world import COLUMNS, START, Drop

Value = Any
Row = dict[str, Value]
Tables = dict[str, list[Row]]

DAY = timedelta(days=1)
STATUSES = {"pending", "processing", "shipped", "delivered", "cancelled", "returned"}
REQUIRED = {
    "inventory": ("inventory_id", "product_id", "warehouse_id", "stock_level", "last_updated"),
    "products": ("id", "sku", "name", "brand"),
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
EVENT_TIME = {
    "inventory": "last_updated",
    "orders": "created_at",
    "order_items": "created_at",
    "pos_sales": "timestamp",
    "grocery_orders": "order_timestamp",
    "grocery_order_items": "order_timestamp",
}
"""Those not here are reference tables."""
KEY = {
    "inventory": ("inventory_id", "last_updated"),
    "products": ("id",),
    "orders": ("order_id",),
    "order_items": ("id",),
    "stores": ("store_id",),
    "pos_sales": ("transaction_id", "product_id", "sign", "timestamp_date"),  # unique within its day
    "grocery_products": ("product_id",),
    "grocery_orders": ("order_id",),
    "grocery_order_items": ("id",),
}
PARENTS = {
    "order_items": (
        (
            *("order_known", "order_id", "orders", "order_id"),
            {"order_date": "created_date", "order_status": "status", "order_returned_at": "returned_at"},
        ),
        ("product_known", "product_id", "products", "id", {"category": "category", "cost": "cost"}),
    ),
    "pos_sales": (("store_known", "store_id", "stores", "store_id", {"region": "region"}),),
    "grocery_order_items": (
        ("order_known", "order_id", "grocery_orders", "order_id", {"order_date": "order_timestamp_date"}),
        ("product_known", "product_id", "grocery_products", "product_id", {"department_id": "department_id"}),
    ),
}
"""Rule, column, parent, its key, and what a row takes from it under which name."""
OR_UNKNOWN = {"category", "region"}
WAITS = {"order_known", "product_known"}
WARNS = {"brand_present", "times_in_order", "store_known", "date_agrees_with_timestamp"}
SHOP = {"products", "orders", "order_items"}
"""Their ids are texts, those of other tables numbers."""
IDS = {"id", "order_id", "user_id", "product_id"}
INTS = {
    *("inventory_id", "warehouse_id", "stock_level", "restock_threshold", "num_of_item", "store_id", "quantity"),
    *("department_id", "order_num", "add_to_cart_order", "reordered", "days_since_prior_order"),
}
MONEY = {"cost", "retail_price", "sale_price", "revenue", "discount_applied", "total_amount"}
DATES = {"date", "opened_on"}
NOT_NEGATIVE = {
    *("cost", "retail_price", "sale_price", "stock_level", "restock_threshold"),
    *("total_amount", "days_since_prior_order"),
}
POSITIVE = {"num_of_item", "add_to_cart_order"}


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
    if table not in EVENT_TIME:
        return {}
    stem = EVENT_TIME[table].removesuffix("_at")
    return {f"{stem}_date": window.date(), **({f"{stem}_hour": window.hour} if table == "inventory" else {})}


def tables(drops: Iterable[Drop]) -> Tables:
    """Every table of the lake once all the objects have arrived and nothing is left to do."""
    objects = sorted(drops, key=lambda drop: (drop.table, drop.key, drop.landed_at, drop.version))
    rows = {
        table: [row for drop in objects if drop.table == table for row in _records(drop, objects)] for table in COLUMNS
    }
    silver: dict[str, list[Row]] = {}
    for table in sorted(COLUMNS, key=PARENTS.__contains__):  # parents first
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
    for name, key in SALES_BY.items():
        found[f"gold/{name}"] = _sales(silver["pos_sales"], key)
    found["gold/product_performance_daily"] = _performance(found["gold/inventory_daily"], silver["pos_sales"])
    found["gold/grocery_daily"] = _grocery(silver["grocery_orders"], silver["grocery_order_items"])
    found["gold/grocery_departments_daily"] = _departments(silver["grocery_order_items"])
    return found


# --- Bronze ----------------------------------------------------------------------------------------------------------


def _records(drop: Drop, objects: Sequence[Drop]) -> Iterable[Judged]:
    readable = [other for other in objects if other.key == drop.key and not other.is_unreadable]
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


def _is_time(name: str) -> bool:
    return name.endswith("_at") or name in EVENT_TIME.values()


def _value(table: str, name: str, text: str) -> Value:
    if name in MONEY:
        return (
            Decimal(text).quantize(Decimal("0.0001"), ROUND_HALF_UP) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None
        )
    if name in INTS or (name in IDS and table not in SHOP):
        return int(text) if re.fullmatch(r"-?\d+", text) else None
    if name in DATES:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    return _time(text) if _is_time(name) else text


def _judge(row: Judged, silver: dict[str, list[Row]]) -> None:
    table = row.drop.table
    broken: set[str] = set()
    values: Row = {}
    for name in COLUMNS[table]:
        text = (row.text[name] or "").strip()
        value = values[name] = _value(table, name, text) if text else None
        if not text and name in REQUIRED[table]:
            broken.add(f"{name}_present")
        if text and value is None:
            broken.add(f"{name}_parses")
        if name in NOT_NEGATIVE and value is not None and value < 0:
            broken.add(f"{name}_not_negative")
        if name in POSITIVE and value is not None and value < 1:
            broken.add(f"{name}_positive")
    if values.get("status"):
        values["status"] = values["status"].lower()
        if values["status"] not in STATUSES:
            broken.add("status_known")
    happened = EVENT_TIME.get(table)
    bounded = [name for name in values if name == happened or (name.endswith("_at") and table in SHOP)]
    broken |= {f"{n}_not_in_future" for n in bounded if values[n] and values[n] > row.drop.landed_at + DAY}
    if happened and values[happened] and values[happened] < START:
        broken.add(f"{happened}_not_before_start")
    steps = [values[name] for name in ("created_at", "shipped_at", "delivered_at", "returned_at") if values.get(name)]
    if steps != sorted(steps):
        broken.add("times_in_order")
    if values.get("date") and values["order_timestamp"] and values["date"] != values["order_timestamp"].date():
        broken.add("date_agrees_with_timestamp")
    if values.get("reordered") not in (None, 0, 1):
        broken.add("reordered_is_flag")
    for rule, column, parent, key, takes in PARENTS.get(table, ()):
        found = next((p for p in silver[parent] if p[key] == values[column]), None)
        if found is None and values[column] is not None:
            broken.add(rule)
        for name, of_parent in takes.items():
            value = found[of_parent] if found else None
            values[name] = "unknown" if value is None and name in OR_UNKNOWN else value
    match table:
        case "order_items":
            returned = values["returned_at"] or values["order_returned_at"] if values["status"] == "returned" else None
            values["refund_date"] = returned.date() if returned else None
        case "inventory":
            values["stock_status"] = _stock_status(values["stock_level"], values["restock_threshold"])
        case "pos_sales":
            broken |= _till(values)
    if row.corrupt is not None:
        broken = {"record_readable"}
    row.reasons, row.warnings = broken - WARNS, broken & WARNS
    row.values = {**values, **row.partition, **row.provenance, "_warnings": frozenset(row.warnings)}


def _stock_status(level: int | None, threshold: int | None) -> str:
    if level == 0:
        return "out_of_stock"
    if threshold is None:
        return "unknown_threshold"
    return "in_stock" if level and level > threshold else "low_stock"


def _till(values: Row) -> set[str]:
    """Adds what follows from the figures of a sale or return; the rules that they break."""
    pieces, revenue, discount = (values[name] for name in ("quantity", "revenue", "discount_applied"))
    values["sign"] = values["net_revenue"] = None
    if pieces:
        values["sign"] = 1 if pieces > 0 else -1
    if pieces and revenue is not None:
        values["net_revenue"] = revenue - values["sign"] * (discount or 0)
    rules = {
        "quantity_not_zero": pieces == 0,
        "revenue_agrees_with_quantity": pieces and revenue and (pieces > 0) != (revenue > 0),
        "discount_not_negative": discount is not None and discount < 0,
        "discount_not_above_revenue": None not in (discount, revenue) and discount > abs(revenue),
    }
    return {rule for rule, is_broken in rules.items() if is_broken}


def _newest_wins(rows: list[Judged]) -> None:
    def newness(row: Judged) -> tuple:
        drop = row.drop
        times = [row.values[name] for name in COLUMNS[drop.table] if _is_time(name) and row.values[name]]
        return (max(times, default=row.window), drop.landed_at, drop.key, drop.version, row.number)

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
            window = "all" if table not in EVENT_TIME else f"{row.window:%Y-%m-%d}{hour}"
            drop = row.drop
            line = counts[f"silver/{table}", window, drop.key, drop.key, drop.version, drop.landed_at, row.current]
            line["read"] += 1
            line[row.outcome] += 1
            line["waiting"] += row.outcome == "rejected" and row.reasons <= WAITS
    names = ("table_name", "window", "source", "object", "version", "landed_at", "current")
    numbers = ("read", "accepted", "rejected", "superseded", "waiting")
    return [
        {**dict(zip(names, which, strict=True)), **{name: line[name] for name in numbers}}
        for which, line in counts.items()
    ]


# --- Gold ------------------------------------------------------------------------------------------------------------


def _mean(total: Decimal, count: int) -> Decimal | None:
    return (total / count).quantize(Decimal("0.0001"), ROUND_HALF_UP) if count else None


def _rate(part: float, whole: float | None) -> float | None:
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


SALES_BY = {
    "sales_daily": ("region", "store_id", "product_id", "timestamp_date"),
    "sales_by_region_daily": ("region", "timestamp_date"),
    "sales_by_product_daily": ("product_id", "timestamp_date"),
}


def _grouped(rows: list[Row], *key: str) -> Iterable[tuple[Row, list[Row]]]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in key)].append(row)
    return [(dict(zip(key, which, strict=True)), found) for which, found in groups.items()]


def _sales(lines: list[Row], key: Sequence[str]) -> list[Row]:
    found = []
    for group, rows in _grouped(lines, *key):
        sold, returned = ([row for row in rows if row["sign"] == sign] for sign in (1, -1))

        def total(of: list[Row], name: str) -> Decimal:
            return sum((row[name] for row in of if row[name] is not None), Decimal())

        found.append(
            {
                **group,
                "gross_sales": total(sold, "revenue"),
                "discounts": total(sold, "discount_applied") - total(returned, "discount_applied"),
                "returns": -total(returned, "revenue"),
                "net_sales": total(rows, "net_revenue"),
                "units_sold": sum(row["quantity"] for row in rows),
                "transactions": len({row["transaction_id"] for row in rows}),
            }
        )
    return found


def _of_lines(lines: list[Row]) -> Row:
    waited = [line["days_since_prior_order"] for line in lines if line["days_since_prior_order"] is not None]
    return {
        "items": len(lines),
        "reorder_rate": _rate(sum(line["reordered"] for line in lines), len(lines)),
        "median_days_since_prior_order": median(waited) if waited else None,
    }


def _grocery(orders: list[Row], lines: list[Row]) -> list[Row]:
    found = []
    for group, placed in _grouped(orders, "order_timestamp_date"):
        day = group["order_timestamp_date"]
        of_lines = _of_lines([line for line in lines if line["order_date"] == day])
        found.append(
            {
                "order_date": day,
                "orders": len(placed),
                "total_amount": sum((o["total_amount"] for o in placed), Decimal()),
                **of_lines,
                "average_basket_size": of_lines["items"] / len(placed),
            }
        )
    return found


def _departments(lines: list[Row]) -> list[Row]:
    return [
        {**group, "orders": len({line["order_id"] for line in rows}), **_of_lines(rows)}
        for group, rows in _grouped(lines, "department_id", "order_date")
    ]


def _performance(stock_days: list[Row], sales: list[Row]) -> list[Row]:
    """Over the ranges that end on a day of the stock feed that sales have reached too, for each product with either."""
    found = []
    reached = max((row["timestamp_date"] for row in sales), default=date.min)
    ends = {row["date"] for row in stock_days if row["date"] <= reached}
    products = {row["product_id"] for row in (*stock_days, *sales)}
    for product_id, end, length in product(products, ends, (1, 7, 28)):
        days = {end - number * DAY for number in range(length)}
        stored = [row for row in stock_days if row["product_id"] == product_id and row["date"] in days]
        sold = [row["quantity"] for row in sales if row["product_id"] == product_id and row["timestamp_date"] in days]
        if stored or sold:
            figures = _figures(stored, sum(sold), length)
            found.append({"product_id": product_id, "days": length, "date": end, **figures})
    return found


def _figures(stored: list[Row], units_sold: int, length: int) -> Row:
    hours_of: dict[date, float] = defaultdict(float)
    for row in stored:
        hours_of[row["date"]] = max(hours_of[row["date"]], row["observed_hours"])
    observed = sum(hours_of.values())
    held = sum(row["average_stock"] * row["observed_hours"] for row in stored if row["average_stock"] is not None)
    first = {row["warehouse_id"]: row for row in sorted(stored, key=lambda row: row["date"], reverse=True)}
    opening = sum(row["opening_stock"] for row in first.values())
    planned = [row for row in stored if row["restock_threshold"] is not None]
    average = held / observed if observed else None
    turnover = _rate(units_sold, average)
    return {
        "units_sold": units_sold,
        "average_stock": average,
        "turnover": turnover,
        "days_of_inventory": length / turnover if turnover and turnover > 0 else None,  # else it lasts for ever
        "sell_through": _rate(units_sold, opening + sum(row["units_restocked"] for row in stored)),
        "stock_availability": _rate(sum(row["closing_stock"] > 0 for row in stored), len(stored)),
        "availability_above_threshold": _rate(
            sum(row["closing_stock"] > row["restock_threshold"] for row in planned), len(planned)
        ),
        "restock_frequency": sum(row["restocks"] for row in stored) / length if stored else None,
    }
