"""Tables of CSV files: how their rows are written, broken and sent again, compete by key, and wait for their parents.

What the rows tell is the business of a feed, which says what its tables are (`Spec`) and adds rows to them. The account
remembers the newest row of each key, and judges references when all has landed: files arrive in any order.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import NamedTuple, Protocol

from simulator import faults
from simulator.account import Account
from simulator.drops import DAY, Asked, Feed, Parcel, Post, Share, zipped
from simulator.faults import Fault, Faults, Record


class Row(NamedTuple):
    """One record: its fields in the order of the columns, its place among rows of its key, what is wrong with it."""

    fields: tuple[str, ...]
    order: int  # the contract's order column
    fault: Fault | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        return self.fault.rules if self.fault else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.fault.warnings if self.fault else ()


@dataclass(frozen=True)
class Reference:
    """A parent that a row names. Without it the row breaks `rule`: it is rejected, or else only `warns`."""

    rule: str
    column: str
    parent: str
    warns: bool = False


def parts(asked: Asked, slot: int, _: datetime) -> str:
    """The day of a slot, and the number of its file on that day."""
    begin = asked.at(slot)
    number = (begin.hour * 3600 + begin.minute * 60 + begin.second) // asked.width + 1
    return f"{begin:%Y%m%d}_part{number}"


def days(asked: Asked, slot: int, landed_at: datetime) -> str:
    """The day of a slot: there is one file a day, unless a stream is quicker."""
    return f"{asked.at(slot):%Y%m%d}" if asked.width == DAY else parts(asked, slot, landed_at)


@dataclass(frozen=True)
class Spec:
    """What the files of a table are called, and what its rows must be.

    `path` is below the landing root and lacks the `stamp` that tells files apart. The first column names a row.
    """

    name: str
    path: str
    columns: Mapping[str, str]  # in the words of `faults.of_columns`
    special: tuple[Fault, ...] = ()  # kinds that do not follow from columns
    together: tuple[str, ...] = ()  # rules that one row breaks at once
    references: tuple[Reference, ...] = ()
    key: Callable[[Row], Hashable] = lambda row: row.fields[0]
    stamp: Callable[[Asked, int, datetime], str] = days
    dated: bool = False  # the order of its rows is the date in the key of their file
    lacks: str = ""  # a column that some headers lack

    @property
    def names(self) -> list[str]:
        return list(self.columns)

    def kinds(self) -> list[Fault]:
        """Each way in which a row breaks. Rows whose parent is nowhere break no rule by themselves."""
        single = faults.of_columns(self.columns, faults.MISSING_CSV)
        both = faults.several([*single, *self.special], *self.together)
        return [*single, *faults.UNREADABLE_CSV, *self.special, both]


class _Book:
    """Remembers the newest sound row of each key, and what waits for its parents."""

    def __init__(self, specs: Sequence[Spec], account: Account) -> None:
        self._account = account
        self._newest: dict[str, dict[Hashable, int]] = {spec.name: {} for spec in specs}
        self._warned: dict[str, dict[Hashable, tuple[str, ...]]] = {spec.name: {} for spec in specs}
        self._waiting: list[tuple[Spec, Row]] = []
        self._references = {
            spec.name: [(spec.names.index(reference.column), reference) for reference in spec.references]
            for spec in specs
        }

    def enter(self, spec: Spec, rows: Sequence[Row], repeated: int, undeclared: bool, again: bool) -> None:
        """A file has landed; `repeated` of its rows were sent before, and all may have an `undeclared` field."""
        counts = self._account.tables[spec.name]
        counts.rows += len(rows)
        counts.duplicates += 0 if again else repeated
        for row in rows:
            readable = row.rules != faults.UNREADABLE
            counts.undeclared += undeclared and readable
            if readable and spec.references and self._missing(spec, row):
                self._waiting.append((spec, row))
            elif row.rules:
                counts.reject(row.rules)
            else:
                self._compete(spec, row, row.warnings)

    def settle(self) -> None:
        """All has landed: judge what waits, and sum up."""
        for spec, row in self._waiting:
            missing = self._missing(spec, row)
            rejecting = tuple(reference.rule for reference in missing if not reference.warns)
            counts = self._account.tables[spec.name]
            counts.orphans += bool(rejecting)
            if row.rules or rejecting:
                counts.reject(row.rules + rejecting)
            else:
                self._compete(spec, row, row.warnings + tuple(reference.rule for reference in missing))
        for table, newest in self._newest.items():
            counts = self._account.tables[table]
            counts.accepted = len(newest)
            for warnings in self._warned[table].values():
                counts.warn(warnings)

    def _missing(self, spec: Spec, row: Row) -> list[Reference]:
        """Parents that have not been accepted so far. A missing value refers to nobody, nor does one that is none."""
        return [
            reference
            for place, reference in self._references[spec.name]
            if row.fields[place] not in self._newest[reference.parent]
            and row.fields[place].strip()
            and f"{reference.column}_parses" not in row.rules
        ]

    def _compete(self, spec: Spec, row: Row, warnings: tuple[str, ...]) -> None:
        newest, warned, key = self._newest[spec.name], self._warned[spec.name], spec.key(row)
        if key in newest:
            self._account.tables[spec.name].superseded += 1
            if row.order < newest[key]:
                return
            warned.pop(key, None)
        newest[key] = row.order
        if warnings:
            warned[key] = warnings


class Table:
    """Writes one table's files: breaks rows, repeats rows, gives each file one of the shapes that a CSV may have."""

    def __init__(self, feed: str, spec: Spec, asked: Asked, account: Account, book: _Book) -> None:
        self._spec, self._asked, self._book = spec, asked, book
        self._names = spec.names
        self.counts = account.tables[spec.name]
        self._random = asked.random(f"{feed} {spec.name}").random
        self._faults = Faults(spec.kinds())
        self._rows: list[Row] = []
        self._again: defaultdict[int, list[Row]] = defaultdict(list)  # rows to repeat, by slot
        self._undeclared = Share(asked.dirty, 3)
        self._incomplete = Share(asked.dirty if spec.lacks else 0, 4)
        self._empty = Share(asked.dirty, 5)
        self.post = Post(asked, self.counts, self._random)

    def add(self, slot: int, fields: tuple[str, ...], order: int) -> bool:
        """A row for the slot's file, sound or broken, perhaps to be sent again. True if it breaks no rule by itself."""
        row = Row(fields, order)
        if self._random() < self._asked.dirty:
            record: Record = dict(zip(self._names, fields, strict=True))
            fault, turn = self._faults.next(lambda kind: not kind.swap or all(record[column] for column in kind.swap))
            fault.apply(record, turn)
            row = Row(tuple(text or "" for text in record.values()), order, fault)
        self._rows.append(row)
        if self._random() < self._asked.duplicates and slot < self._asked.last:
            self._again[slot + 1 + int(self._random() * min(self._asked.last - slot, 12))].append(row)
        return not row.rules

    def send(self, slot: int, landed_at: datetime) -> None:
        """The file with the slot's rows, if there are any."""
        spec = self._spec
        repeated = self._again.pop(slot, [])
        rows, self._rows = self._rows + repeated, []
        if spec.dated:  # for a repeated row too
            rows = [row._replace(order=self._asked.at(slot).toordinal()) for row in rows]
        stamp = spec.stamp(self._asked, slot, landed_at)
        header = self._names.copy()
        if self._empty():
            self.post.send_empty(f"{spec.path}_nothing_{stamp}.csv", self._body(header, "", []), landed_at)
        if not rows:
            return
        shape = self._random()
        if shape < 0.1:
            header.sort(key=lambda _: self._random())
        if self._incomplete():
            self.counts.incomplete_files += 1
            header.remove(spec.lacks)
        extra = "web" if self._undeclared() else ""
        crlf, as_gzip = 0.05 < shape < 0.15, 0.12 < shape < 0.22
        body = partial(self._body, header, extra, crlf=crlf, as_gzip=as_gzip)
        book = partial(self._book.enter, spec, rows, len(repeated), bool(extra))
        key = f"{spec.path}_{stamp}.csv" + (".gz" if as_gzip else "")
        self.post.send(key, body(rows), landed_at, book, lambda: self._draft(rows, body))

    def _body(
        self, header: Sequence[str], extra: str, rows: Sequence[Row], *, crlf: bool = False, as_gzip: bool = False
    ) -> bytes:
        """A CSV file. `header`: the columns in any order; `extra`: text in one more; `crlf`: as Excel saves."""
        places = [self._names.index(column) for column in header]
        lines = [",".join([*header, "channel"] if extra else header)]
        for row in rows:
            fields = [row.fields[place] for place in places]
            text = faults.csv_text([*fields, extra] if extra else fields)
            lines.append(row.fault.spoil(text) if row.fault and row.fault.spoil else text)
        text = "\ufeff" + "\r\n".join([*lines, ""]) if crlf else "\n".join([*lines, ""])
        return zipped(text.encode()) if as_gzip else text.encode()

    def _draft(self, rows: Sequence[Row], body: Callable[[Sequence[Row]], bytes]) -> tuple[bytes, int]:
        """A first version with rows missing, keys missing, and a row that was never meant to be."""
        first = [
            row._replace(fields=("", *row.fields[1:])) if number % 7 == 3 else row
            for number, row in enumerate(rows)
            if number % 10 != 5
        ]
        stray = "000" if "int" in self._spec.columns[self._names[0]] else "-draft"
        first.append(Row((rows[0].fields[0] + stray, *rows[0].fields[1:]), 0))
        return body(first), len(first)


class Tables:
    """The tables of one feed, parents before their children."""

    def __init__(self, feed: str, specs: Sequence[Spec], asked: Asked, account: Account) -> None:
        self._asked = asked
        self._random = asked.random(f"{feed} files").random
        self._book = _Book(specs, account)
        self._tables = {spec.name: Table(feed, spec, asked, account, self._book) for spec in specs}

    def __getitem__(self, name: str) -> Table:
        return self._tables[name]

    def parcels(self, source: "Source") -> Iterator[Parcel]:
        """The files of all tables in the order in which they land; in one slot of three, children before parents."""
        asked, random, tables = self._asked, self._random, list(self._tables.values())
        for slot in asked.numbers:
            source.fill(slot)
            offsets = sorted(0.02 + random() * 0.5 for _ in tables)
            for offset, table in zip(offsets, tables[::-1] if random() < 1 / 3 else tables, strict=True):
                table.send(slot, asked.at(slot + 1) + timedelta(seconds=int(offset * asked.width)))
            yield from self._together(asked.at(slot + 2))
        yield from self._together(None)
        self._book.settle()

    def _together(self, until: datetime | None) -> Iterator[Parcel]:
        due = [table.post.due(until) for table in self._tables.values()]
        return heapq.merge(*due, key=lambda parcel: (parcel.drop.landed_at, parcel.drop.key))


class Source(Protocol):
    """What happens, slot by slot, as rows of a feed's tables."""

    def fill(self, slot: int) -> None:
        """Adds the rows of a slot to the tables."""


def feed(name: str, specs: Sequence[Spec], width: int, source: Callable[[Asked, Tables], Source]) -> Feed:
    """The feed of these tables, with a file of each in every `width` seconds in which `source` has rows for it."""

    def parcels(asked: Asked, account: Account) -> Iterator[Parcel]:
        tables = Tables(name, specs, asked, account)
        return tables.parcels(source(asked, tables))

    return Feed(tuple(spec.name for spec in specs), width, parcels)


def money(cents: int) -> str:
    return f"{'-' * (cents < 0)}{abs(cents) // 100}.{abs(cents) % 100:02}"


@cache
def _date(number: int) -> str:
    return f"{datetime.fromtimestamp(number * DAY, UTC):%Y-%m-%d}"


def iso_date(time: int) -> str:
    """The day of a time (seconds since 1970)."""
    return _date(time // DAY)


def iso(time: int) -> str:
    second = time % DAY
    return f"{iso_date(time)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


# How a file may spell its times (0 = none); most leave the offset out.
TIME_TEXTS: tuple[Callable[[int], str], ...] = (
    *[lambda time: iso(time) if time else ""] * 7,
    lambda time: f"{iso(time)}Z" if time else "",
    lambda time: f"{iso(time + 7200)}+02:00" if time else "",
    lambda time: str(time) if time else "",
)
