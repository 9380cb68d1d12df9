"""Ingesting: from objects in landing to bronze rows, each object version once, with its marker in one commit."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice

import narwhals as nw
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from resources.lake import Lake, polars_schema
from resources.landing import Gone, Landed, Landing, Unreachable
from resources.prefetch import prefetch
from resources.records import Seen, Unreadable, read_records, sheets
from resources.settings import Misconfigured
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import bronze
from shopware_assets.contracts.windows import landing_window
from shopware_assets.ledger import ingested, named_window
from shopware_assets.transforms.engine import Engine
from shopware_assets.transforms.filing import file_under_window

log = logging.getLogger(__name__)

_COMMIT_BYTES = 512 << 20
_COMMIT_OBJECTS = 5000
_BATCH_ROWS, _BATCH_BYTES = 100_000, 64 << 20
_TIME = pl.Datetime("us", "UTC")
_UNREACHABLE = "unreachable"


class Known:
    """The object versions that bronze holds already."""

    def __init__(self, markers: pl.DataFrame) -> None:
        ordered = markers.sort("landed_at", "version")
        self._identities = set(ordered.iter_rows())
        self._newest = dict(ordered.select("source", "version").iter_rows())

    def holds(self, landed: Landed, landed_at: datetime) -> bool:
        return (landed.key, landed.version, landed_at) in self._identities

    def has(self, landed: Landed) -> bool:
        """Whether the object, as it is listed, was ingested; the newest version counts by its name alone, because one
        brought back from the archive is listed with another time."""
        return self._newest.get(landed.key) == landed.version or self.holds(landed, landed.landed_at)


def new_objects(
    landing: Landing, known: Known, contract: Contract, after: str = ""
) -> Iterator[tuple[list[Landed], str]]:
    """Page by page of the objects below the contract's prefix: those that bronze lacks, and the page's last key."""
    for page in landing.pages(contract.prefix, after):
        new = [landed for landed in page if not known.has(landed)]
        if page:
            yield new, page[-1].key


def landing_window_of(landed: Landed, contract: Contract, start: datetime, last: datetime) -> datetime:
    """The landing window in whose partition an object is ingested: at most the newest there is."""
    window = landing_window(landed.key, landed.landed_at, contract.grain, start)
    return min(max(window, contract.grain.floor(start)), last)


@dataclass
class Ingestion:
    """What a run ingested: objects by outcome, rows read, the names of the windows it touched; and which objects it
    could not reach and why."""

    outcomes: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    windows: set[str] = field(default_factory=set)
    unreachable: dict[str, str] = field(default_factory=dict)


class NotIngested(Exception):
    """Some of the objects could not be reached: they are asked for again, all others are in bronze."""

    def __init__(self, unreachable: Mapping[str, str]) -> None:
        named = "; ".join(f"{key}: {why}" for key, why in islice(unreachable.items(), 3))
        more = f"; and {len(unreachable) - 3} more" if len(unreachable) > 3 else ""
        super().__init__(f"{len(unreachable)} of the landed objects cannot be read: {named}{more}")


def ingest(
    lake: Lake,
    landing: Landing,
    contract: Contract,
    objects: Sequence[Landed],
    *,
    engine: Engine,
    start: datetime,
) -> Ingestion:
    """Ingests the objects that bronze does not hold yet; many share a commit, none is split between two.

    An object that cannot be read leaves one `_corrupt` record that says why, one that is gone a marker alone, one that
    cannot be reached nothing: none of them stops the others.
    """
    done = Ingestion()
    for group in _groups(dict.fromkeys(objects)):
        _Group(lake, landing, contract, group, engine, start).commit(done)
    return done


def _groups(objects: Iterable[Landed]) -> Iterator[list[Landed]]:
    group: list[Landed] = []
    size = 0
    for landed in objects:
        if group and (size + landed.size > _COMMIT_BYTES or len(group) == _COMMIT_OBJECTS):
            yield group
            group, size = [], 0
        group.append(landed)
        size += landed.size
    if group:
        yield group


class _Spoilt(Exception):
    """An object could not be read to its end, and some of its rows were handed on already: the commit starts again."""


@dataclass
class _Group:
    """The objects of one commit. What cannot be read to its end is remembered in `spoilt`: outcome and reason."""

    lake: Lake
    landing: Landing
    contract: Contract
    objects: list[Landed]
    engine: Engine
    start: datetime
    spoilt: dict[Landed, tuple[str, str]] = field(default_factory=dict)
    landed_at: dict[Landed, datetime] = field(default_factory=dict)  # when each first landed, as far as it was opened
    stopped_by: Misconfigured | None = None  # what the writer, which reads, would only say in words of its own

    def commit(self, done: Ingestion) -> None:
        while True:
            batches = _Batches(self.contract, self.engine, self.start)
            before = len(self.spoilt)
            try:
                self.lake.append_once(bronze(self.contract), partial(self._frames, batches), guard="ingest")
            except (DeltaError, OSError, _Spoilt):
                if self.stopped_by:
                    raise self.stopped_by from None
                if len(self.spoilt) == before:
                    raise
                continue
            batches.add_to(done)
            done.unreachable |= {of.key: why for of, (what, why) in self.spoilt.items() if what == _UNREACHABLE}
            return

    def _frames(self, batches: "_Batches", handle: DeltaTable | None) -> Iterator[pl.DataFrame] | None:
        batches.clear()
        known = Known(ingested(self.lake, self.contract, handle=handle))
        skipped = {landed for landed, (outcome, _) in self.spoilt.items() if outcome == _UNREACHABLE}
        todo = [of for of in self.objects if of not in skipped and not known.holds(of, of.landed_at)]
        if not todo:
            return None
        return prefetch(self._read_all(todo, known, batches), ahead=2)

    def _read_all(self, todo: list[Landed], known: Known, batches: "_Batches") -> Iterator[pl.DataFrame]:
        for landed in todo:
            if landed not in self.spoilt:
                try:
                    yield from self._read(landed, known, batches)
                except Unreadable as error:
                    self._spoil(landed, "unreadable", str(error), batches)
                except Gone:
                    self._spoil(landed, "gone", "It was deleted or replaced before it was read.", batches)
                except Unreachable as error:
                    self._spoil(landed, _UNREACHABLE, str(error), batches)
                except Misconfigured as error:
                    self.stopped_by = error
                    raise
            outcome, why = self.spoilt.get(landed, ("", None))
            if outcome and outcome != _UNREACHABLE:
                batches.add_without_rows(landed, self.landed_at.get(landed, landed.landed_at), outcome, why)
        if not batches.objects:
            raise _Spoilt("none can be reached")
        yield from batches.flush()
        yield batches.markers()

    def _spoil(self, landed: Landed, outcome: str, why: str, batches: "_Batches") -> None:
        self.spoilt[landed] = (outcome, why)
        if not batches.take_back(landed):
            raise _Spoilt(landed.key)

    def _read(self, landed: Landed, known: Known, batches: "_Batches") -> Iterator[pl.DataFrame]:
        landed_at, chunks = self.landing.fetch(landed)
        self.landed_at[landed] = landed_at
        if known.holds(landed, landed_at):  # one that is back from the archive: as it is listed now it is known too
            batches.add_without_rows(landed, landed.landed_at, "known")
            return
        if self.contract.layout == "json":
            yield from self._read_sheet(landed, landed_at, chunks, batches)
            return
        read: list[_Object] = []
        for name, text in sheets(chunks):
            if not name:
                yield from self._read_sheet(landed, landed_at, text, batches)
                return
            sheet = replace(landed, key=f"{landed.key}#{name}")
            batches.begin(landed, landed_at, Seen(), outcome="workbook")
            try:
                if sheet not in self.spoilt:
                    yield from self._read_sheet(sheet, landed_at, text, batches, of=landed)
            except Unreadable as error:
                self._spoil(sheet, "unreadable", str(error), batches)
            if sheet in self.spoilt:
                batches.add_without_rows(sheet, landed_at, *self.spoilt[sheet], of=landed)
            read.append(batches.objects[sheet])
        if read and all(about.outcome == "unreadable" for about in read):  # then it replaces nothing either
            batches.objects[landed].mark_unreadable("None of its sheets can be read.")

    def _read_sheet(
        self,
        sheet: Landed,
        landed_at: datetime,
        chunks: Iterable[bytes],
        batches: "_Batches",
        of: Landed | None = None,
    ) -> Iterator[pl.DataFrame]:
        seen = Seen()
        batches.begin(sheet, landed_at, seen, of=of)
        for part in read_records(chunks, self.contract.column_names, self.contract.layout, seen):
            batches.add(sheet, part)
            if batches.full:
                yield from batches.flush()
        if seen.rows and seen.corrupt == seen.rows:  # a page that reports an error, for example: it replaces nothing
            batches.objects[sheet].mark_unreadable("None of its records can be read.")


@dataclass
class _Object:
    """What is known of an object, or of one of its sheets, while it is read; `of`: the object."""

    landed_at: datetime
    window: datetime
    seen: Seen
    of: Landed
    outcome: str = ""
    why: str | None = None
    flushed: bool = False
    windows: dict[str, int] = field(default_factory=dict)

    def mark_unreadable(self, why: str) -> None:
        self.outcome, self.why = "unreadable", why


@dataclass
class _Batches:
    """Rows of many objects on their way into one commit: small objects are filed together, large ones in parts."""

    contract: Contract
    engine: Engine
    start: datetime
    objects: dict[Landed, _Object] = field(default_factory=dict)
    _waiting: list[tuple[Landed, pl.DataFrame]] = field(default_factory=list)
    _rows: int = 0
    _bytes: int = 0

    def clear(self) -> None:
        self.objects.clear()
        self._empty()

    def _empty(self) -> None:
        self._waiting.clear()
        self._rows = self._bytes = 0

    def begin(
        self, landed: Landed, landed_at: datetime, seen: Seen, *, outcome: str = "", of: Landed | None = None
    ) -> None:
        """A sheet (of an object) is filed as an object of its own."""
        window = landing_window((of or landed).key, landed_at, self.contract.grain, self.start)
        if self.contract.event_time:  # else rows are ordered by it, also those of before the start
            window = max(window, self.contract.grain.floor(self.start))
        self.objects[landed] = _Object(landed_at, window, seen, of or landed, outcome)

    def add(self, landed: Landed, part: pl.DataFrame) -> None:
        about = self.objects[landed]
        provenance = {
            "_source": pl.lit(landed.key),
            "_version": pl.lit(landed.version),
            "_landed_at": pl.lit(about.landed_at, dtype=_TIME),
            "_window": pl.lit(about.window, dtype=_TIME),
            "_marker": pl.lit(None, dtype=pl.String),
        }
        self._waiting.append((landed, part.with_columns(**provenance)))
        self._rows += part.height
        self._bytes += int(part.estimated_size())

    def add_without_rows(
        self, landed: Landed, landed_at: datetime, outcome: str, why: str | None = None, of: Landed | None = None
    ) -> None:
        """An unreadable object is one `_corrupt` record that says why; others are their marker alone."""
        unreadable = outcome == "unreadable"
        self.begin(landed, landed_at, Seen(rows=int(unreadable)), outcome=outcome, of=of)
        self.objects[landed].why = why
        if unreadable:
            record = {**dict.fromkeys((*self.contract.column_names, "_extra")), "_corrupt": why, "_line": 1}
            self.add(landed, pl.DataFrame([record], schema={**dict.fromkeys(record, pl.String), "_line": pl.Int64}))

    def take_back(self, landed: Landed) -> bool:
        """Forgets the object, its sheets too; false if some of their rows were handed on already."""
        forgotten = [of for of, about in self.objects.items() if landed in (of, about.of)]
        self._waiting = [(of, part) for of, part in self._waiting if of not in forgotten]
        popped = [self.objects.pop(of) for of in forgotten]
        return not any(about.flushed for about in popped)

    @property
    def full(self) -> bool:
        return self._rows >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES

    def flush(self) -> Iterator[pl.DataFrame]:
        """The rows that wait, filed under their windows."""
        if not self._waiting:
            return
        rows = pl.concat([part for _, part in self._waiting]) if len(self._waiting) > 1 else self._waiting[0][1]
        filed = file_under_window(nw.from_native(rows.lazy()), self.contract, engine=self.engine, start=self.start)
        frame = filed.to_native().collect()
        waited = {(of.key, of.version, self.objects[of].landed_at): self.objects[of] for of, _ in self._waiting}
        self._empty()
        identity = ("_source", "_version", "_landed_at")
        counts = frame.group_by(*identity, *self.contract.partition_columns).agg(pl.len().alias("rows"))
        named = counts.select(*identity, named_window(bronze(self.contract)).alias("window"), "rows")
        for *of, window, count in named.iter_rows():
            about = waited[tuple(of)]
            about.flushed = True
            about.windows[window] = about.windows.get(window, 0) + count
        yield frame

    def markers(self) -> pl.DataFrame:
        """The marker of every object."""
        rows = [
            {
                "_source": landed.key,
                "_version": landed.version,
                "_line": 0,
                "_landed_at": about.landed_at,
                "_window": max(about.window, self.contract.grain.floor(self.start)),
                "_marker": json.dumps(self._facts(about)),
            }
            for landed, about in self.objects.items()
        ]
        schema = polars_schema(bronze(self.contract))
        given = pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]}) if rows else pl.DataFrame()
        absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in given.columns]
        return given.with_columns(absent).select(schema.names()) if rows else pl.DataFrame(schema=schema)

    def _facts(self, about: _Object) -> dict[str, object]:
        return {
            "object": about.of.key,
            "outcome": about.outcome or ("ingested" if about.seen.rows else "empty"),
            "reason": about.why,
            "rows": about.seen.rows,
            "missing_columns": list(about.seen.missing_columns),
            "undeclared": about.seen.undeclared,
            "windows": [{"window": window, "rows": rows} for window, rows in sorted(about.windows.items())],
        }

    def add_to(self, done: Ingestion) -> None:
        """Counts what was committed."""
        for about in self.objects.values():
            outcome = str(self._facts(about)["outcome"])
            done.outcomes[outcome] = done.outcomes.get(outcome, 0) + 1
            done.rows += about.seen.rows
            done.windows |= about.windows.keys()
