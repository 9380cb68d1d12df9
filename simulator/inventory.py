"""The inventory feed: snapshots of (product, warehouse) pairs whose stock sells and is delivered.

All rows of a run report on the same pairs, as many as the rows of one file allow, each at a time of its own; those of
a store begin when it opens. So two rows have one key only where a row was sent again, and the account needs no memory
of keys.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

from simulator import faults
from simulator.account import Account, TableAccount
from simulator.drops import DAY, LAKE_START, LATEST, Asked, Feed, Parcel, Post, Share, zipped
from simulator.faults import Fault, Faults, Record
from simulator.world import PAIRS, WAREHOUSES, Shelves, is_open, movements

_WIDTH = 3600
_HOUR = 3_600_000_000  # microseconds since 1970, as all times here
_FIRST_HOUR = int(LAKE_START.timestamp()) // 3600
_HOURS_LATE = LATEST // 3600
_ODD = 0.06  # share of rows in a rarer spelling, all of them readable

COLUMNS = {
    "inventory_id": "! int",
    "product_id": "! int",
    "warehouse_id": "! int",
    "stock_level": "! int not_negative",
    "restock_threshold": "int not_negative",
    "last_updated": "! time not_in_future not_before_start",
}


def kinds() -> list[Fault]:
    """Each way in which a row of this feed breaks; one without rules has a field that nobody declared."""
    single = faults.of_columns(COLUMNS, faults.MISSING_JSON)
    undeclared = Fault(changes=(("batch", ("B-7", "12")),))
    both = faults.several(single, "stock_level_parses", "last_updated_present")
    return [*single, *faults.UNREADABLE_JSON, undeclared, both]


@dataclass
class _File:
    """The records of one file, and those of them that are broken."""

    begin: datetime
    as_array: bool
    as_gzip: bool
    lines: list[str] = field(default_factory=list)
    broken: dict[int, Fault] = field(default_factory=dict)
    repeated: int = 0  # rows at the end that were sent before
    repeated_sound: int = 0

    def add(self, line: str, fault: Fault | None) -> None:
        if fault:
            self.broken[len(self.lines)] = fault
        self.lines.append(line)

    def repeat(self, line: str, fault: Fault | None) -> None:
        self.add(line, fault)
        self.repeated += 1
        self.repeated_sound += not (fault and fault.rules)

    def key(self, width: int) -> str:
        part = "" if width == _WIDTH else f"_part{(self.begin.minute * 60 + self.begin.second) // width + 1}"
        ending = ("json" if self.as_array else "jsonl") + (".gz" if self.as_gzip else "")
        return f"inventory/{self.begin:%Y/%m/%d}/inventory_{self.begin:%Y-%m-%dT%H}{part}.{ending}"

    def body(self) -> bytes:
        if self.as_array:
            text = "[" + ",\n".join(self.lines) + "]"
        else:
            text = "\n".join(self.lines) + ("\n" if len(self.lines) % 4 else "\n\n")  # a blank line is no record
        return zipped(text.encode()) if self.as_gzip else text.encode()

    def draft(self) -> tuple[bytes, int]:
        """A first version with rows missing, rows broken, and a row of a pair that never was."""
        lines = [
            f'{{"last_updated": 0, "stock_level": {number}}}' if number % 7 == 3 else line
            for number, line in enumerate(self.lines)
            if number % 10 != 5
        ]
        lines.append(
            f'{{"inventory_id": {PAIRS + 1}, "product_id": 1, "warehouse_id": 1, "stock_level": 1, '
            f'"last_updated": {int(self.begin.timestamp())}}}'
        )
        return _File(self.begin, self.as_array, self.as_gzip, lines).body(), len(lines)

    def book(self, table: TableAccount, again: bool) -> None:
        rejecting = [fault.rules for fault in self.broken.values() if fault.rules]
        sound = len(self.lines) - len(rejecting)
        superseded = sound if again else self.repeated_sound
        table.rows += len(self.lines)
        table.accepted += sound - superseded
        table.superseded += superseded
        for rules in rejecting:
            table.reject(rules)
        table.undeclared += len(self.broken) - len(rejecting)
        table.duplicates += 0 if again else self.repeated


class _Snapshots:
    """Writes the rows of one slot after another."""

    def __init__(self, asked: Asked, table: TableAccount) -> None:
        self._asked, self._table = asked, table
        self._random = asked.random("inventory").random
        self._faults = Faults(kinds())
        self._again: defaultdict[int, list[tuple[str, Fault | None]]] = defaultdict(list)  # rows to repeat, by slot
        self._late_keys: set[tuple[int, int]] = set()

        shelves = Shelves.of(asked.seed)
        self._pairs = min(PAIRS, max(1, asked.rows * asked.width // DAY))
        self._turn = 0
        self._stock = list(shelves.opening)
        self._opening = array("i", self._stock[: self._pairs])
        self._on_the_hour: dict[int, array[int]] = {}  # stock as each of the last 30 days' hours began
        self._moves = movements(asked.seed, asked.begin, asked.hour)
        self._move = next(self._moves)

        # One pair in 50 has no threshold: its rows lack the field.
        self._thresholds = [
            str(shelves.threshold[pair]) if self._random() > 0.02 else None for pair in range(self._pairs)
        ]
        self._heads = [
            f'{{"inventory_id": {pair + 1}, "product_id": {pair // WAREHOUSES + 1}, '
            f'"warehouse_id": {pair % WAREHOUSES + 1}, "stock_level": '
            for pair in range(self._pairs)
        ]
        self._tails = [
            f', "restock_threshold": {threshold}, "last_updated": ' if threshold else ', "last_updated": '
            for threshold in self._thresholds
        ]

    def file(self, slot: int) -> _File:
        asked, random, stock, heads, tails = self._asked, self._random, self._stock, self._heads, self._tails
        begin = asked.at(slot)
        style = random()
        file = _File(begin, as_array=style < 0.2, as_gzip=0.15 < style < 0.35)
        lines = file.lines
        start = int(begin.timestamp()) * 1_000_000
        hour = start // _HOUR
        self._sell(start)
        if start % _HOUR == 0:
            self._on_the_hour[hour] = array("i", stock[: self._pairs])
            self._on_the_hour.pop(hour - _HOURS_LATE - 1, None)
        pairs = [pair for pair in range(self._pairs) if is_open(pair, start)]

        rows = asked.quota(slot)
        step = asked.width * 1_000_000 / max(rows, 1)
        hours = min(_HOURS_LATE, hour - _FIRST_HOUR)  # by which a row can be late
        late_below = asked.late if hours > 0 else 0.0
        broken_below = late_below + asked.dirty
        odd_below = broken_below + _ODD
        slots_left = min(asked.last - slot, 24)
        duplicates = asked.duplicates if slots_left else 0.0
        for number in range(rows):
            time = start + int((number + random()) * step) & ~1  # even; late rows have odd times
            if self._move[0] <= time:
                self._sell(time)
            self._turn = self._turn + 1 if self._turn + 1 < len(pairs) else 0
            pair = pairs[self._turn]
            draw = random()
            if draw >= odd_below:
                lines.append(f"{heads[pair]}{stock[pair]}{tails[pair]}{time / 1e6}}}")
            elif draw < late_below:
                lines.append(self._late(pair, hour - 1 - int(random() * hours)))
            elif draw < broken_below:
                file.add(*self._broken(pair, time, file.as_array))
            else:
                lines.append(self._odd(pair, time))
            if random() < duplicates:
                repeat_in = slot + 1 + int(random() * slots_left)
                self._again[repeat_in].append((lines[-1], file.broken.get(len(lines) - 1)))

        for line, fault in self._again.pop(slot, ()):
            if not (file.as_array and fault and fault.lines_only):
                file.repeat(line, fault)
        return file

    def _sell(self, until: int) -> None:
        while self._move[0] <= until:
            _, pair, units = self._move
            self._stock[pair] += units
            self._move = next(self._moves)

    def _late(self, pair: int, hour: int) -> str:
        """What a snapshot in the first second of that hour said, or would have said."""
        time = hour * _HOUR + 1 + 2 * int(self._random() * 500_000)
        if not is_open(pair, time):  # then the same product in the first store, which was
            pair -= pair % WAREHOUSES
        while (pair, time) in self._late_keys:
            time += 2
        self._late_keys.add((pair, time))
        self._table.late += 1
        level = self._on_the_hour.get(hour, self._opening)[pair]
        return f"{self._heads[pair]}{level}{self._tails[pair]}{time / 1e6}}}"

    def _broken(self, pair: int, time: int, as_array: bool) -> tuple[str, Fault]:
        record: Record = {
            "inventory_id": str(pair + 1),
            "product_id": str(pair // WAREHOUSES + 1),
            "warehouse_id": str(pair % WAREHOUSES + 1),
            "stock_level": str(self._stock[pair]),
            "restock_threshold": self._thresholds[pair],
            "last_updated": str(time / 1e6),
        }
        fault, turn = self._faults.next(lambda kind: not (as_array and kind.lines_only))
        fault.apply(record, turn)
        line = faults.json_text(record)
        return fault.spoil(line) if fault.spoil else line, fault

    def _odd(self, pair: int, time: int) -> str:
        """A sound row whose time or number is spelled in one of the rarer ways."""
        level, when = str(self._stock[pair]), str(time / 1e6)
        match int(self._random() * 6):
            case 0:
                when = str(time // 1000)
            case 1:
                when = str(time)
            case 2:
                when = f'"{_iso(time, UTC)}"'
            case 3:
                when = f'"{_iso(time, timezone(timedelta(hours=2)))}"'
            case 4:
                level, when = f'" {level} "', f'"{when}"'
            case _:
                level = f"{level}.0"
        return f"{self._heads[pair]}{level}{self._tails[pair]}{when}}}"


def _iso(time: int, zone: timezone) -> str:
    return datetime.fromtimestamp(time // 1_000_000, zone).replace(microsecond=time % 1_000_000).isoformat()


def parcels(asked: Asked, account: Account) -> Iterator[Parcel]:
    """The feed's files in the order in which they land, soon after their slot's end unless something delays them."""
    table = account.tables["inventory"]
    random = asked.random("inventory files").random
    snapshots = _Snapshots(asked, table)
    post = Post(asked, table, random)
    empty = Share(asked.dirty, 5)
    for slot in asked.numbers:
        file = snapshots.file(slot)
        landed_at = asked.at(slot + 1) + timedelta(seconds=int((0.02 + random() * 0.5) * asked.width))
        key = file.key(asked.width)
        if file.lines:
            post.send(key, file.body(), landed_at, partial(file.book, table), file.draft)
        if empty():
            post.send_empty(key.replace("/inventory_", "/inventory_nothing_"), b"", landed_at)
        yield from post.due(asked.at(slot + 2))
    yield from post.due(None)


FEED = Feed(("inventory",), _WIDTH, parcels)
