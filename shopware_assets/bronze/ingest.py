"""Ingesting: from objects in landing to bronze rows, each object version once, with its marker in one commit."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import narwhals as nw
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from resources.lake import Lake, polars_schema
from resources.landing import Gone, Landed, Landing
from resources.prefetch import prefetch
from resources.records import Seen, Unreadable, read_records
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import bronze
from shopware_assets.contracts.windows import landing_window
from shopware_assets.ledger import ingested, named_window
from shopware_assets.transforms.engine import Engine
from shopware_assets.transforms.filing import file_under_window

log = logging.getLogger(__name__)

_COMMIT_BYTES = 512 << 20
_COMMIT_OBJECTS = 5000
_BATCH_ROWS = 100_000
_TIME = pl.Datetime("us", "UTC")


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
    return min(landing_window(landed.key, landed.landed_at, contract.grain, start), last)


@dataclass
class Ingestion:
    """What a run ingested: objects by outcome, rows read, and the names of the windows it touched."""

    outcomes: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    windows: set[str] = field(default_factory=set)


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

    An object that cannot be read leaves one `_corrupt` record that says why, one that is gone a marker alone: neither
    stops the others.
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
    """An object turned out to be unreadable or gone after some of its rows were handed on: the commit starts again."""


@dataclass
class _Group:
    """The objects of one commit. What cannot be read or is gone is remembered in `spoilt`: outcome and reason."""

    lake: Lake
    landing: Landing
    contract: Contract
    objects: list[Landed]
    engine: Engine
    start: datetime
    spoilt: dict[Landed, tuple[str, str]] = field(default_factory=dict)

    def commit(self, done: Ingestion) -> None:
        while True:
            batches = _Batches(self.contract, self.engine, self.start)
            before = len(self.spoilt)
            try:
                self.lake.append_once(bronze(self.contract), partial(self._frames, batches), guard="ingest")
            except (DeltaError, OSError, _Spoilt):
                if len(self.spoilt) == before:
                    raise
                continue
            batches.add_to(done)
            return

    def _frames(self, batches: "_Batches", handle: DeltaTable | None) -> Iterator[pl.DataFrame] | None:
        batches.clear()
        known = Known(ingested(self.lake, self.contract, handle=handle))
        todo = [landed for landed in self.objects if not known.holds(landed, landed.landed_at)]
        if not todo:
            return None
        return prefetch(self._read_all(todo, known, batches), ahead=2)

    def _read_all(self, todo: list[Landed], known: Known, batches: "_Batches") -> Iterator[pl.DataFrame]:
        for landed in todo:
            if landed not in self.spoilt:
                try:
                    yield from self._read(landed, known, batches)
                except (Unreadable, Gone) as error:
                    unreadable = isinstance(error, Unreadable)
                    why = str(error) if unreadable else "It was deleted or replaced before it was read."
                    self.spoilt[landed] = ("unreadable" if unreadable else "gone", why)
                    if not batches.take_back(landed):
                        raise _Spoilt(landed.key) from error
            if landed in self.spoilt:
                batches.add_spoilt(landed, *self.spoilt[landed])
        yield from batches.flush()
        yield batches.markers()

    def _read(self, landed: Landed, known: Known, batches: "_Batches") -> Iterator[pl.DataFrame]:
        landed_at, chunks = self.landing.fetch(landed)
        if known.holds(landed, landed_at):
            return
        seen = Seen()
        batches.begin(landed, landed_at, seen)
        for part in read_records(chunks, self.contract.column_names, self.contract.layout, seen):
            batches.add(landed, part)
            if batches.full:
                yield from batches.flush()


@dataclass
class _Object:
    """What is known of an object while it is read."""

    landed_at: datetime
    window: datetime
    seen: Seen
    outcome: str = ""
    why: str | None = None
    flushed: bool = False
    windows: dict[str, int] = field(default_factory=dict)


@dataclass
class _Batches:
    """Rows of many objects on their way into one commit: small objects are filed together, large ones in parts."""

    contract: Contract
    engine: Engine
    start: datetime
    objects: dict[Landed, _Object] = field(default_factory=dict)
    _waiting: list[tuple[Landed, pl.DataFrame]] = field(default_factory=list)

    def clear(self) -> None:
        self.objects.clear()
        self._waiting.clear()

    def begin(self, landed: Landed, landed_at: datetime, seen: Seen) -> None:
        window = landing_window(landed.key, landed_at, self.contract.grain, self.start)
        self.objects[landed] = _Object(landed_at, window, seen)

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

    def add_spoilt(self, landed: Landed, outcome: str, why: str) -> None:
        """An unreadable object is one `_corrupt` record that says why; a gone one is none."""
        unreadable = outcome == "unreadable"
        self.begin(landed, landed.landed_at, Seen(rows=int(unreadable)))
        self.objects[landed].outcome, self.objects[landed].why = outcome, why
        if unreadable:
            record = {**dict.fromkeys((*self.contract.column_names, "_extra")), "_corrupt": why, "_line": 1}
            self.add(landed, pl.DataFrame([record], schema={**dict.fromkeys(record, pl.String), "_line": pl.Int64}))

    def take_back(self, landed: Landed) -> bool:
        """Forgets the object; false if some of its rows were handed on already."""
        self._waiting = [(of, part) for of, part in self._waiting if of != landed]
        about = self.objects.pop(landed, None)
        return about is None or not about.flushed

    @property
    def full(self) -> bool:
        return sum(part.height for _, part in self._waiting) >= _BATCH_ROWS

    def flush(self) -> Iterator[pl.DataFrame]:
        """The rows that wait, filed under their windows."""
        if not self._waiting:
            return
        rows = pl.concat([part for _, part in self._waiting]) if len(self._waiting) > 1 else self._waiting[0][1]
        filed = file_under_window(nw.from_native(rows.lazy()), self.contract, engine=self.engine, start=self.start)
        frame = filed.to_native().collect()
        waited = {(of.key, of.version, self.objects[of].landed_at): self.objects[of] for of, _ in self._waiting}
        self._waiting.clear()
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
                "_window": about.window,
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
