"""Ingesting: from objects in landing to bronze rows, each object version once, with its marker in one commit."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
_COMMIT_OBJECTS = 2000


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
    for group in _groups(objects):
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
    """An object turned out to be unreadable or gone after some of its rows were streamed: the commit starts again."""


@dataclass
class _Group:
    lake: Lake
    landing: Landing
    contract: Contract
    objects: list[Landed]
    engine: Engine
    start: datetime
    spoilt: dict[Landed, tuple[str, str]] = field(default_factory=dict)

    def commit(self, done: Ingestion) -> None:
        while True:
            seen = Ingestion()
            before = len(self.spoilt)
            try:
                self.lake.append_once(bronze(self.contract), partial(self._frames, seen), guard="ingest")
            except (DeltaError, OSError, _Spoilt):
                if len(self.spoilt) == before:
                    raise
                continue
            done.rows += seen.rows
            done.windows |= seen.windows
            for outcome, count in seen.outcomes.items():
                done.outcomes[outcome] = done.outcomes.get(outcome, 0) + count
            return

    def _frames(self, seen: Ingestion, handle: DeltaTable | None) -> Iterator[pl.DataFrame] | None:
        known = Known(ingested(self.lake, self.contract, handle=handle))
        todo = [landed for landed in self.objects if not known.holds(landed, landed.landed_at)]
        if not todo:
            return None
        return prefetch(self._read_all(todo, known, seen), ahead=2)

    def _read_all(self, todo: list[Landed], known: Known, seen: Ingestion) -> Iterator[pl.DataFrame]:
        for landed in todo:
            begun = False
            try:
                for frame in self._read(landed, known, seen):
                    begun = True
                    yield frame
            except (Unreadable, Gone) as error:
                unreadable = isinstance(error, Unreadable)
                why = str(error) if unreadable else "It was deleted or replaced before it was read."
                self.spoilt[landed] = ("unreadable" if unreadable else "gone", why)
                if begun:
                    raise _Spoilt(landed.key) from error
                yield from self._as_spoilt(landed, seen)

    def _read(self, landed: Landed, known: Known, seen: Ingestion) -> Iterator[pl.DataFrame]:
        if landed in self.spoilt:
            yield from self._as_spoilt(landed, seen)
            return
        landed_at, chunks = self.landing.fetch(landed)
        if known.holds(landed, landed_at):
            return
        noticed = Seen()
        windows: list[pl.DataFrame] = []
        for part in read_records(chunks, self.contract.column_names, self.contract.layout, noticed):
            filed = self._filed(part, landed, landed_at)
            windows.append(filed.group_by(window=named_window(bronze(self.contract))).agg(rows=pl.len()))
            yield filed
        per_window = pl.concat(windows).group_by("window").agg(pl.col("rows").sum()).sort("window") if windows else None
        facts = {
            "outcome": "ingested" if noticed.rows else "empty",
            "rows": noticed.rows,
            "missing_columns": list(noticed.missing_columns),
            "undeclared": noticed.undeclared,
            "windows": per_window.to_dicts() if per_window is not None else [],
        }
        yield self._marker(landed, landed_at, facts, seen)

    def _as_spoilt(self, landed: Landed, seen: Ingestion) -> Iterator[pl.DataFrame]:
        outcome, why = self.spoilt[landed]
        facts = {"outcome": outcome, "reason": why, "rows": 0, "windows": []}
        if outcome == "unreadable":
            columns = dict.fromkeys((*self.contract.column_names, "_extra"), pl.lit(None, dtype=pl.String))
            record = pl.DataFrame({"_corrupt": [why], "_line": [1]}).with_columns(**columns)
            filed = self._filed(record, landed, landed.landed_at)
            facts |= {"rows": 1, "windows": filed.select(window=named_window(bronze(self.contract)), rows=1).to_dicts()}
            yield filed
        yield self._marker(landed, landed.landed_at, facts, seen)

    def _filed(self, part: pl.DataFrame, landed: Landed, landed_at: datetime) -> pl.DataFrame:
        rows = nw.from_native(part.lazy())
        filed = file_under_window(
            rows,
            self.contract,
            engine=self.engine,
            landed_at=landed_at,
            landing_window=self._landing_window(landed, landed_at),
            start=self.start,
        )
        return self._of(
            landed, landed_at, filed.to_native().collect().with_columns(_marker=pl.lit(None, dtype=pl.String))
        )

    def _marker(self, landed: Landed, landed_at: datetime, facts: dict[str, object], seen: Ingestion) -> pl.DataFrame:
        seen.outcomes[str(facts["outcome"])] = seen.outcomes.get(str(facts["outcome"]), 0) + 1
        seen.rows += int(facts["rows"])  # type: ignore[call-overload]
        seen.windows |= {w["window"] for w in facts["windows"]}  # type: ignore[attr-defined]
        empty = pl.DataFrame(schema=polars_schema(bronze(self.contract))).clear(1)
        window = self._landing_window(landed, landed_at)
        return self._of(
            landed,
            landed_at,
            empty.with_columns(
                _line=pl.lit(0, dtype=pl.Int64), _window=pl.lit(window), _marker=pl.lit(json.dumps(facts))
            ),
        )

    def _of(self, landed: Landed, landed_at: datetime, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(
            _source=pl.lit(landed.key),
            _version=pl.lit(landed.version),
            _landed_at=pl.lit(landed_at.astimezone(UTC), dtype=pl.Datetime("us", "UTC")),
        )

    def _landing_window(self, landed: Landed, landed_at: datetime) -> datetime:
        return landing_window(landed.key, landed_at, self.contract.grain, self.start)
