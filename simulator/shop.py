"""The shop feed: products, orders and their lines as CSV part files, sent again whenever something about them changes.

How `rows` are split: the first file of products is the catalogue, a tenth of a day's rows; from then on 2 % of the
rows are products, new or corrected. What is left are orders and their lines, about one to three: first those that have
come to a new stage of their lives, then new ones. So the first days see more new orders than the later ones.

Orders, lines and products refer to each other and arrive in any order: the account remembers the newest row of each
key, and judges references when all has landed.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import NamedTuple

from simulator import faults
from simulator.account import Account
from simulator.drops import DAY, LAKE_START, LATEST, Asked, Feed, Parcel, Post, Share, zipped
from simulator.faults import Fault, Faults, Record
from simulator.world import CATEGORIES, CUSTOMERS, DEPARTMENTS, Product, product

_WIDTH = 6 * 3600
_START = int(LAKE_START.timestamp())  # seconds since 1970, as all times here
_CATALOGUE = 10_000  # products at most, when the feed begins
_NEW_PRODUCTS = 0.02
_MOVED = 0.01  # orders sent again with another day of creation
_LINES = (1, 1, 2, 2, 3, 3, 3, 4, 5, 6)

# What becomes of an order: its next states, each within so many hours of the one before.
_CANCELLED = (("cancelled", 1, 20),)
_DELIVERED = (("shipped", 4, 60), ("delivered", 20, 96))
_RETURNED = (*_DELIVERED, ("returned", 24, 168))

COLUMNS = {
    "products": {
        "id": "!",
        "sku": "!",
        "cost": "money not_negative",
        "category": "",
        "name": "!",
        "brand": "",
        "retail_price": "money not_negative",
        "department": "",
    },
    "orders": {
        "order_id": "!",
        "user_id": "!",
        "status": "! known",
        "created_at": "! time not_in_future not_before_start",
        "returned_at": "time not_in_future",
        "shipped_at": "time not_in_future",
        "delivered_at": "time not_in_future",
        "num_of_item": "int positive",
    },
    "order_items": {
        "id": "!",
        "order_id": "!",
        "user_id": "!",
        "product_id": "!",
        "status": "! known",
        "created_at": "! time not_in_future not_before_start",
        "shipped_at": "time not_in_future",
        "delivered_at": "time not_in_future",
        "returned_at": "time not_in_future",
        "sale_price": "! money not_negative",
    },
}
_NAMES: dict[str, list[str]] = {table: list(columns) for table, columns in COLUMNS.items()}


_NOWHERE = ("0", "no-such-one")
_SPECIAL = {
    "products": [Fault(warnings=("brand_present",), changes=(("brand", faults.MISSING_CSV),))],
    "orders": [Fault(warnings=("times_in_order",), swap=("shipped_at", "delivered_at"))],
    "order_items": [
        Fault(warnings=("times_in_order",), swap=("shipped_at", "delivered_at")),
        Fault(changes=(("order_id", _NOWHERE),)),
        Fault(changes=(("product_id", _NOWHERE),)),
    ],
}
_TWO_AT_ONCE = {
    "products": ("sku_present", "cost_parses"),
    "orders": ("status_known", "num_of_item_positive"),
    "order_items": ("sale_price_not_negative", "created_at_parses"),
}


def kinds(table: str) -> list[Fault]:
    """Each way in which a row of a table breaks. Rows whose parent is nowhere break no rule by themselves."""
    single = faults.of_columns(COLUMNS[table], faults.MISSING_CSV)
    return [*single, *faults.UNREADABLE_CSV, *_SPECIAL[table], faults.several(single, *_TWO_AT_ONCE[table])]


class Row(NamedTuple):
    """One record: its fields in the order of COLUMNS, its place among the rows of its key, what is wrong with it."""

    fields: tuple[str, ...]
    order: int  # the contract's order column
    fault: Fault | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        return self.fault.rules if self.fault else ()


class _Book:
    """Remembers the newest sound row of each key, and what waits for its parents."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._newest: dict[str, dict[str, int]] = {table: {} for table in COLUMNS}
        self._warned: dict[str, dict[str, tuple[str, ...]]] = {table: {} for table in COLUMNS}
        self._waiting: list[Row] = []

    def enter(self, table: str, rows: Sequence[Row], repeated: int, undeclared: bool, again: bool) -> None:
        """A file has landed; `repeated` of its rows were sent before, and all may have an `undeclared` field."""
        counts = self._account.tables[table]
        counts.rows += len(rows)
        counts.duplicates += 0 if again else repeated
        for row in rows:
            readable = row.rules != faults.UNREADABLE
            counts.undeclared += undeclared and readable
            if table == "order_items" and readable and self._missing(row):
                self._waiting.append(row)
            elif row.rules:
                counts.reject(row.rules)
            else:
                self._compete(table, row)

    def settle(self) -> None:
        """All has landed: judge what waits, and sum up."""
        items = self._account.tables["order_items"]
        for row in self._waiting:
            missing = self._missing(row)
            items.orphans += bool(missing)
            if row.rules or missing:
                items.reject(row.rules + missing)
            else:
                self._compete("order_items", row)
        for table, newest in self._newest.items():
            counts = self._account.tables[table]
            counts.accepted = len(newest)
            for warnings in self._warned[table].values():
                counts.warn(warnings)

    def _missing(self, row: Row) -> tuple[str, ...]:
        """References to parents that have not been accepted so far. A missing value refers to nobody."""
        _, order_id, _, product_id, *_ = row.fields
        missing = []
        if order_id not in self._newest["orders"] and order_id.strip():
            missing.append("order_known")
        if product_id not in self._newest["products"] and product_id.strip():
            missing.append("product_known")
        return tuple(missing)

    def _compete(self, table: str, row: Row) -> None:
        newest, warned, key = self._newest[table], self._warned[table], row.fields[0]
        if key in newest:
            self._account.tables[table].superseded += 1
            if row.order < newest[key]:
                return
            warned.pop(key, None)
        newest[key] = row.order
        if row.fault and row.fault.warnings:
            warned[key] = row.fault.warnings


class _Table:
    """Writes one table's files: breaks rows, repeats rows, gives each file one of the shapes that a CSV may have."""

    def __init__(self, name: str, asked: Asked, account: Account, book: _Book) -> None:
        self._name, self._asked, self._book = name, asked, book
        self.counts = account.tables[name]
        self._random = asked.random(f"shop {name}").random
        self._faults = Faults(kinds(name))
        self._rows: list[Row] = []
        self._again: defaultdict[int, list[Row]] = defaultdict(list)  # rows to repeat, by slot
        self._undeclared = Share(asked.dirty, 3)
        self._incomplete = Share(asked.dirty if name == "products" else 0, 4)
        self._empty = Share(asked.dirty, 5)
        self.post = Post(asked, self.counts, self._random)

    def add(self, slot: int, fields: tuple[str, ...], order: int) -> bool:
        """A row for the slot's file, sound or broken, perhaps to be sent again. True if it breaks no rule by itself."""
        row = Row(fields, order)
        if self._random() < self._asked.dirty:
            record: Record = dict(zip(_NAMES[self._name], fields, strict=True))
            fault, turn = self._faults.next(lambda kind: not kind.swap or all(record[column] for column in kind.swap))
            fault.apply(record, turn)
            row = Row(tuple(text or "" for text in record.values()), order, fault)
        self._rows.append(row)
        if self._random() < self._asked.duplicates and slot < self._asked.last:
            self._again[slot + 1 + int(self._random() * min(self._asked.last - slot, 12))].append(row)
        return not row.rules

    def send(self, slot: int, landed_at: datetime) -> None:
        """The part file with the slot's rows, if there are any."""
        repeated = self._again.pop(slot, [])
        rows, self._rows = self._rows + repeated, []
        begin = self._asked.at(slot)
        if self._name == "products":  # their order is the date in the key, for a repeated row too
            rows = [row._replace(order=begin.toordinal()) for row in rows]
        part = (begin.hour * 3600 + begin.minute * 60 + begin.second) // self._asked.width + 1
        key = f"shop/{self._name}/{self._name}_{begin:%Y%m%d}_part{part}.csv"
        header = _NAMES[self._name].copy()
        if self._empty():
            self.post.send_empty(key.replace("_part", "_nothing"), _body(self._name, header, "", []), landed_at)
        if not rows:
            return
        shape = self._random()
        if shape < 0.1:
            header.sort(key=lambda _: self._random())
        if self._incomplete():
            self.counts.incomplete_files += 1
            header.remove("department")
        extra = "web" if self._undeclared() else ""
        crlf, as_gzip = 0.05 < shape < 0.15, 0.12 < shape < 0.22
        body = partial(_body, self._name, header, extra, crlf=crlf, as_gzip=as_gzip)
        book = partial(self._book.enter, self._name, rows, len(repeated), bool(extra))
        self.post.send(key + ".gz" if as_gzip else key, body(rows), landed_at, book, lambda: _draft(rows, body))


def _body(
    table: str, header: Sequence[str], extra: str, rows: Sequence[Row], *, crlf: bool = False, as_gzip: bool = False
) -> bytes:
    """A CSV file. `header`: the table's columns in any order; `extra`: text in one more; `crlf`: as Excel saves."""
    places = [_NAMES[table].index(column) for column in header]
    lines = [",".join([*header, "channel"] if extra else header)]
    for row in rows:
        fields = [row.fields[place] for place in places]
        text = faults.csv_text([*fields, extra] if extra else fields)
        lines.append(row.fault.spoil(text) if row.fault and row.fault.spoil else text)
    text = "\ufeff" + "\r\n".join([*lines, ""]) if crlf else "\n".join([*lines, ""])
    return zipped(text.encode()) if as_gzip else text.encode()


def _draft(rows: Sequence[Row], body: Callable[[Sequence[Row]], bytes]) -> tuple[bytes, int]:
    """A first version with rows missing, keys missing, and a row that was never meant to be."""
    first = [
        row._replace(fields=("", *row.fields[1:])) if number % 7 == 3 else row
        for number, row in enumerate(rows)
        if number % 10 != 5
    ]
    first.append(Row((rows[0].fields[0] + "-draft", *rows[0].fields[1:]), 0))
    return body(first), len(first)


class _Line(NamedTuple):
    id: str
    product: str
    price: str
    lead: int  # seconds by which its times are before its order's
    kept: bool  # stays with the customer when the order is returned


@dataclass(slots=True)
class _Order:
    id: str
    user: str
    created: int
    lines: list[_Line]
    stages: list[tuple[int, str]]  # when it becomes what
    moves: bool  # is sent again with another day of creation


class _Shop:
    """What happens in the shop, slot by slot, as rows of its tables."""

    def __init__(self, asked: Asked, tables: dict[str, _Table]) -> None:
        self._asked, self._tables = asked, tables
        self._random = asked.random("shop").random
        self._catalogue: list[Product] = []
        self._products = 0
        self._orders = int(asked.begin.timestamp()) * 1_000_000  # so that runs with other begins have other orders
        self._due: defaultdict[int, list[tuple[_Order, int]]] = defaultdict(list)  # (order, stage) by slot
        self._waiting: deque[tuple[_Order, int]] = deque()

    def fill(self, slot: int) -> None:
        """Adds the rows of a slot to the tables, as many as asked for."""
        random = self._random
        time_text = _TIME_TEXTS[int(random() * len(_TIME_TEXTS))]
        left = self._asked.quota(slot)
        first = min(_CATALOGUE, max(1, self._asked.rows // 10))
        products = min(left, int(left * _NEW_PRODUCTS + random()) if slot else first)
        for _ in range(products):
            self._send_product(slot)
        left -= products
        self._waiting.extend(self._due.pop(slot, ()))
        while self._waiting and left > len(self._waiting[0][0].lines):
            order, stage = self._waiting.popleft()
            self._send_order(slot, order, stage, time_text)
            left -= 1 + len(order.lines)
        while left > 1 and self._catalogue:
            order, stage = self._place(slot, left - 1)
            self._send_order(slot, order, stage, time_text)
            left -= 1 + len(order.lines)
        for _ in range(left):
            self._send_product(slot)

    def _send_product(self, slot: int) -> None:
        random, catalogue = self._random, self._catalogue
        corrected = slot > 0 and random() < 0.5 and bool(catalogue)
        if corrected:
            number = int(random() * len(catalogue))
            this = catalogue[number] = replace(catalogue[number], category=CATEGORIES[int(random() * len(CATEGORIES))])
        else:
            self._products += 1
            this = product(self._asked.seed, self._products)
        sound = self._tables["products"].add(
            slot,
            (
                str(this.id),
                this.sku,
                _money(this.cost),
                this.category,
                this.name,
                this.brand,
                _money(this.price),
                DEPARTMENTS[this.category],
            ),
            0,
        )
        # Few products that came broken are sold before they come whole, if ever.
        if not corrected and (sound or random() < 0.1):
            catalogue.append(this)

    def _place(self, slot: int, most: int) -> tuple[_Order, int]:
        """A new order of up to `most` lines, and the stage at which it is first sent: a late one has lived already."""
        random, asked = self._random, self._asked
        now = int(asked.at(slot).timestamp())
        day = now // DAY * DAY
        oldest = max(_START, day - LATEST)
        late = random() < asked.late and day - 3600 >= oldest
        created = day - 3600 - int(random() * (day - 3600 - oldest)) if late else now + int(random() * asked.width)

        self._orders += 1
        user = str(1 + int(random() * CUSTOMERS))
        lines = [self._line(number) for number in range(min(most, _LINES[int(random() * len(_LINES))]))]
        stages = self._life(created)
        order = _Order(str(self._orders), user, created, lines, stages, random() < _MOVED)
        stage = max(number for number, (time, _) in enumerate(stages) if time <= now or number == 0)
        for number in range(stage + 1, len(stages)):
            due = (stages[number][0] - int(asked.begin.timestamp())) // asked.width
            self._due[max(due, slot + 1)].append((order, number))
        if late:
            self._tables["orders"].counts.late += 1
            self._tables["order_items"].counts.late += len(lines)
        return order, stage

    def _line(self, number: int) -> _Line:
        random = self._random
        bought = self._catalogue[int(random() * random() * len(self._catalogue))]
        price = _money(int(bought.price * (0.8 + 0.2 * random())))
        lead = int(random() * random() * 7200)
        return _Line(f"{self._orders}{number + 1:02}", str(bought.id), price, lead, kept=random() < 0.3)

    def _life(self, created: int) -> list[tuple[int, str]]:
        random = self._random
        stages = [(created, "pending" if random() < 0.5 else "processing")]
        for status, least, most in _CANCELLED if random() < 0.05 else _DELIVERED if random() < 0.88 else _RETURNED:
            stages.append((stages[-1][0] + int((least + random() * (most - least)) * self._asked.hour), status))
        return stages

    def _send_order(self, slot: int, order: _Order, stage: int, time_text: Callable[[int], str]) -> None:
        status = order.stages[stage][1]
        if status == "shipped" and order.moves:
            order.created = max(_START, order.stages[0][0] - DAY)
        times = {reached: time for time, reached in order.stages[1 : stage + 1]}
        shipped, delivered, returned = times.get("shipped", 0), times.get("delivered", 0), times.get("returned", 0)
        self._tables["orders"].add(
            slot,
            (
                order.id,
                order.user,
                status,
                time_text(order.created),
                time_text(returned),
                time_text(shipped),
                time_text(delivered),
                str(len(order.lines)),
            ),
            max(order.created, shipped, delivered, returned),
        )
        for line in order.lines:
            kept = line.kept and status == "returned"
            # A line is put into the basket before its order is placed, and is ahead of it all its life.
            created, *later = (
                max(_START, time - line.lead) if time else 0
                for time in (order.stages[0][0], shipped, delivered, 0 if kept else returned)
            )
            self._tables["order_items"].add(
                slot,
                (
                    line.id,
                    order.id,
                    order.user,
                    line.product,
                    "delivered" if kept else status,
                    time_text(created),
                    *map(time_text, later),
                    line.price,
                ),
                max(created, *later),
            )


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


@cache
def _date(number: int) -> str:
    return f"{datetime.fromtimestamp(number * DAY, UTC):%Y-%m-%d}"


def _iso(time: int) -> str:
    second = time % DAY
    return f"{_date(time // DAY)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


# How a file may spell its times (0 = none); most leave the offset out.
_TIME_TEXTS: tuple[Callable[[int], str], ...] = (
    *[lambda time: _iso(time) if time else ""] * 7,
    lambda time: f"{_iso(time)}Z" if time else "",
    lambda time: f"{_iso(time + 7200)}+02:00" if time else "",
    lambda time: str(time) if time else "",
)


def parcels(asked: Asked, account: Account) -> Iterator[Parcel]:
    """The files of all three tables in the order in which they land; in one slot of three, children before parents."""
    random = asked.random("shop files").random
    book = _Book(account)
    tables = {name: _Table(name, asked, account, book) for name in COLUMNS}
    shop = _Shop(asked, tables)
    for slot in asked.numbers:
        shop.fill(slot)
        offsets = sorted(0.02 + random() * 0.5 for _ in tables)
        for offset, name in zip(offsets, reversed(tables) if random() < 1 / 3 else tables, strict=True):
            tables[name].send(slot, asked.at(slot + 1) + timedelta(seconds=int(offset * asked.width)))
        yield from _together(tables, asked.at(slot + 2))
    yield from _together(tables, None)
    book.settle()


def _together(tables: dict[str, _Table], until: datetime | None) -> Iterator[Parcel]:
    due = [table.post.due(until) for table in tables.values()]
    return heapq.merge(*due, key=lambda parcel: (parcel.drop.landed_at, parcel.drop.key))


FEED = Feed(tuple(COLUMNS), _WIDTH, parcels)
