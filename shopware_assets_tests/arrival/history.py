"""What can happen to a lake: objects are ingested, windows are made, runs are killed, things settle. And what its tables then hold.

Drives the functions that the assets call, without Dagster. What should be in the tables is the oracle's affair.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from shopware_assets import ledger, report
from shopware_assets.bronze.ingest import ingest
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.gold.materialize import Gold
from shopware_assets.silver.materialize import Silver
from shopware_assets.staleness import Survey
from shopware_assets.transforms import ANSWERS, feeds
from shopware_assets_tests.arrival.oracle import Row, Tables
from shopware_assets_tests.arrival.world import START, Drop, MemoryLanding

THRESHOLD = 0.3
_ROUNDS = 15


class Killed(BaseException):
    """The process ended, as far as the lake can tell."""


@dataclass
class Fuse:
    """Kills at the commit with this number, counted from now: before or after it is made."""

    commits_left: int | None = None
    before: bool = True

    def burn(self, before: bool) -> None:
        if self.commits_left is None:
            return
        if self.commits_left == 0 and before is self.before:
            self.commits_left = None
            raise Killed
        self.commits_left -= not before


@dataclass(frozen=True)
class FragileLake(Lake):
    """A lake whose writer can be killed at any commit."""

    fuse: Fuse = field(default_factory=Fuse, hash=False)

    def _commit(self, *args: Any, **kwargs: Any) -> int:
        self.fuse.burn(before=True)
        version = super()._commit(*args, **kwargs)
        self.fuse.burn(before=False)
        return version


class Story:
    """A lake in a folder, and what happens to it."""

    def __init__(self, folder: Path, drops: Iterable[Drop]) -> None:
        self.fuse = Fuse()
        self.lake = FragileLake(str(folder), fuse=self.fuse)
        self.drops = list(drops)
        self.landing = MemoryLanding(self.drops)
        self.engine = PolarsEngine()

    def ingest(self, drops: Sequence[Drop]) -> None:
        """In this order, those of one table together."""
        for name, contract in CONTRACTS.items():
            objects = [drop.landed for drop in drops if drop.table == name]
            if objects:
                ingest(self.lake, self.landing, contract, objects, engine=self.engine, start=START)

    def make(self, table: str, windows: Iterable[str]) -> None:
        """Materializes windows of a silver or gold table, stale or not."""
        layer, name = table.split("/")
        if layer == "gold":
            batches = Gold(self.lake, ANSWERS[name], self.engine, THRESHOLD).materialize(sorted(windows))
        else:
            contract = CONTRACTS[name]
            times = [None] if contract.event_time is None else [contract.grain.parse(window) for window in sorted(windows)]
            batches = Silver(self.lake, contract, self.engine, START, feeds(name)).materialize(times)
        for _ in batches:
            pass

    def stale(self) -> list[tuple[str, frozenset[str]]]:
        """What is to be made now: table and windows, parents first."""
        survey = Survey(self.lake, self.engine, THRESHOLD)
        judged = list(survey.silver())
        return [(stale.table.name, stale.windows) for stale in (*judged, *survey.gold(judged)) if stale.windows]

    def settle(self) -> None:
        """Makes what is stale until nothing is."""
        for _ in range(_ROUNDS):
            stale = self.stale()
            if not stale:
                return
            for table, windows in stale:
                self.make(table, windows)
        raise AssertionError(f"It never settles: {stale}")

    def finish(self) -> None:
        """Everything arrives, settles, and what is held is let through."""
        self.fuse.commits_left = None
        self.ingest(self.drops)
        self.settle()
        while not (held := ledger.held_windows(self.lake, THRESHOLD)).is_empty():
            for table, window in held.select("table_name", "window").iter_rows():
                ledger.allow(self.lake, silver(CONTRACTS[table.split("/")[1]]), window)
            self.settle()


def stored(lake: Lake, like: Tables) -> Tables:
    """The tables of the lake, as far as the columns of `like` go."""
    return {name: _rows(lake, name, rows) for name, rows in like.items()}


def _rows(lake: Lake, name: str, like: list[Row]) -> list[Row]:
    rows = lake.scan(next(table for table in report.tables() if table.name == name)).collect()
    sets = [column for column in ("_reasons", "_warnings") if column in rows.columns]
    return [
        {**row, **{column: frozenset(filter(None, row[column].split(","))) for column in sets}}
        for row in rows.select(list(like[0]) if like else rows.columns).iter_rows(named=True)
    ]


def differences(found: Tables, expected: Tables) -> list[str]:
    """The rows that one has and the other has not, in words."""

    def counted(rows: list[Row]) -> Counter:
        return Counter(tuple(sorted(row.items())) for row in rows)

    lines = []
    for name, rows in expected.items():
        have, want = counted(found[name]), counted(rows)
        lines += [f"{name} lacks {count} x {dict(row)}" for row, count in (want - have).items()]
        lines += [f"{name} has too much {count} x {dict(row)}" for row, count in (have - want).items()]
    return lines
