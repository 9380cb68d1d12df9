"""How files come to landing: in slots of time, late, twice, or as a first draft that a corrected version replaces.

Here belongs what all feeds share about files. What stands in a file is the feed's own business.
"""

import gzip
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from simulator.account import Account, TableAccount

LAKE_START = datetime(2025, 1, 1, tzinfo=UTC)
DAY = 86_400
LATEST = 30 * DAY

_NEW_PRODUCTS = 0.02  # of the rows of a slot


@dataclass(frozen=True)
class Drop:
    """One object as a source would land it. `key` is below the landing root, `landed_at` in UTC."""

    key: str
    body: bytes
    landed_at: datetime


@dataclass(frozen=True)
class Parcel:
    """A drop, and how it enters the account when it lands."""

    drop: Drop
    book: Callable[[], None]


@dataclass(frozen=True)
class Asked:
    """What a feed is asked for: `slots` files (None: without end) of `width` seconds each, `rows` new rows a day.

    `hour` is how many seconds an hour in the life of an order or of a shelf takes, so that a live stream shows in
    minutes what takes days. Shares are of rows, 0 to 1.
    """

    begin: datetime
    width: int
    slots: int | None
    rows: int
    seed: int
    dirty: float
    late: float
    duplicates: float
    hour: int = 3600

    @property
    def numbers(self) -> Iterator[int]:
        return count() if self.slots is None else iter(range(self.slots))

    @property
    def last(self) -> float:
        return float("inf") if self.slots is None else self.slots - 1

    def at(self, slot: int) -> datetime:
        """When a slot begins."""
        return self.begin + timedelta(seconds=slot * self.width)

    def quota(self, slot: int) -> int:
        """New rows of a slot; over a day they add up to `rows`."""
        return self.rows * (slot + 1) * self.width // DAY - self.rows * slot * self.width // DAY

    def products(self, slot: int, catalogue: int, random: Callable[[], float]) -> int:
        """Of these rows, those of products: when a feed begins up to a whole `catalogue`, then a few."""
        quota = self.quota(slot)
        return min(quota, int(quota * _NEW_PRODUCTS + random()) if slot else min(catalogue, max(1, self.rows // 10)))

    def moment(self, slot: int, random: Callable[[], float]) -> tuple[int, bool]:
        """A second at which something happens that a slot is the first to tell of, and whether it tells of it late."""
        now = int(self.at(slot).timestamp())
        day = now // DAY * DAY
        oldest = max(int(LAKE_START.timestamp()), day - LATEST)
        if random() < self.late and day - 3600 >= oldest:
            return day - 3600 - int(random() * (day - 3600 - oldest)), True
        return now + int(random() * self.width), False

    def random(self, name: str) -> Random:
        """A stream of numbers of its own. Only its `random()` is drawn from: Python promises that sequence for good."""
        return Random(f"{self.seed} {name}")


@dataclass(frozen=True)
class Feed:
    """One source system: the tables it delivers, the seconds that one file spans, and its files as they land."""

    tables: tuple[str, ...]
    width: int
    parcels: Callable[[Asked, Account], Iterator[Parcel]]

    def account(self, name: str) -> Account:
        return Account(name, {table: TableAccount() for table in self.tables})


class Share:
    """True for a share of the times it is asked, evenly spread, and by the time number `first` at the latest.

    So a short run, too, holds each kind of file that was asked for.
    """

    def __init__(self, share: float, first: int) -> None:
        self._share, self._first, self._asked = share, first, 0

    def __call__(self) -> bool:
        self._asked += 1
        due = (self._asked - self._first) * self._share + 1
        return due // 1 > (due - self._share) // 1


class Post:
    """Takes files as a feed makes them and hands them out in the order in which they land."""

    def __init__(self, asked: Asked, table: TableAccount, random: Callable[[], float]) -> None:
        self._table, self._random, self._width = table, random, asked.width
        self._copied = Share(asked.duplicates, 2)
        self._corrected = Share(asked.duplicates, 3)
        self._delayed = Share(asked.late, 4)
        self._waiting: list[tuple[datetime, str, Parcel]] = []

    def send(
        self,
        key: str,
        body: bytes,
        landed_at: datetime,
        book: Callable[[bool], None],
        draft: Callable[[], tuple[bytes, int]] | None = None,
    ) -> None:
        """Send a file; some of them later, twice, or after a `draft` (its body and its number of records).

        `book(again)` enters the rows in the account; `again` says that the same file has been sent before.
        """
        if self._delayed():
            self._table.late_files += 1
            landed_at = self._later(landed_at, 12)
        if self._corrected() and draft is not None:
            self._table.versions += 1
            first, records = draft()
            self._put(key, first, landed_at, lambda: self._replace(records))
            landed_at = self._later(landed_at, 6)
        self._put(key, body, landed_at, lambda: book(False))
        if self._copied():
            self._table.copies += 1
            self._put(key.replace(".", "_again.", 1), body, self._later(landed_at, 12), lambda: book(True))

    def send_empty(self, key: str, body: bytes, landed_at: datetime) -> None:
        """Send a file without a row."""
        self._table.empty_files += 1
        self._put(key, body, landed_at, lambda: None)

    def due(self, until: datetime | None) -> Iterator[Parcel]:
        """What lands up to a time (None: all the rest), by landing time, then key, as rows of one key compete."""
        while self._waiting and (until is None or self._waiting[0][0] <= until):
            yield heapq.heappop(self._waiting)[2]

    def _later(self, time: datetime, slots: int) -> datetime:
        return time + timedelta(seconds=int((1 + self._random() * slots) * self._width))

    def _put(self, key: str, body: bytes, landed_at: datetime, book: Callable[[], None]) -> None:
        def booked() -> None:
            self._table.files += 1
            book()

        heapq.heappush(self._waiting, (landed_at, key, Parcel(Drop(key, body, landed_at), booked)))

    def _replace(self, records: int) -> None:
        self._table.rows += records
        self._table.replaced += records


def zipped(text: bytes) -> bytes:
    """Gzip without the clock in it. The same text gives the same bytes wherever zlib is the same."""
    return gzip.compress(text, compresslevel=1, mtime=0)
