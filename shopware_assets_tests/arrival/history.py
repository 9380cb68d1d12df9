"""What can happen to a lake: objects are ingested, windows made, runs killed, all settles. And what it then holds.

Drives the functions that the assets call, without Dagster. What should be in the tables is the oracle's affair.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
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
from shopware_assets.transforms import ANSWERS, days_read
from shopware_assets_tests.arrival.oracle import Row, Tables
from shopware_assets_tests.arrival.world import START, Drop, MemoryLanding

THRESHOLD = 0.3
_ROUNDS = 8


class Killed(BaseException):
    """The process ended, as far as the lake can tell."""


class NeverSettles(Exception):
    """There is always something more to do."""


class Commits:
    """What is done before and after each commit: nothing."""

    def before(self) -> None: ...

    def after(self) -> None: ...


@dataclass
class KilledAt(Commits):
    """Kills at one commit: `left` more are made, then one more or not."""

    left: int
    is_made: bool = False

    def before(self) -> None:
        if self.left == 0 and not self.is_made:
            raise Killed

    def after(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


@dataclass
class Copied(Commits):
    """Copies the lake after each commit: what a kill at that moment would have left."""

    lake: Path
    folder: Path
    copies: list[Path] = field(default_factory=list)

    def after(self) -> None:
        self.copies.append(self.folder / str(len(self.copies)))
        shutil.copytree(self.lake, self.copies[-1])


@dataclass(frozen=True)
class WatchedLake(Lake):
    """A lake in which something is done at each commit."""

    commits: list[Commits] = field(default_factory=lambda: [Commits()], hash=False)

    def _commit(self, *args: Any, **kwargs: Any) -> int:
        self.commits[-1].before()
        version = super()._commit(*args, **kwargs)
        self.commits[-1].after()
        return version


class Story:
    """A lake and what happens to it."""

    def __init__(self, root: Path | str, drops: Iterable[Drop], options: Mapping[str, str] | None = None) -> None:
        self.drops = list(drops)
        self.lake = WatchedLake(str(root), dict(options or {}))
        self.engine = PolarsEngine()

    @contextmanager
    def at_commits(self, what: Commits):
        """While the block runs, this is done at each commit."""
        self.lake.commits.append(what)
        try:
            yield
        finally:
            self.lake.commits.pop()

    def ingest(self, drops: Sequence[Drop]) -> None:
        """In this order, those of one table together."""
        for name, contract in CONTRACTS.items():
            objects = [drop.landed for drop in drops if drop.table == name]
            if objects:
                ingest(self.lake, MemoryLanding(self.drops), contract, objects, engine=self.engine, start=START)

    def make(self, table: str, windows: Iterable[str]) -> None:
        """Materializes windows of a silver or gold table, stale or not."""
        layer, name = table.split("/")
        if layer == "gold":
            batches = Gold(self.lake, ANSWERS[name], self.engine, THRESHOLD).materialize(sorted(windows))
        else:
            contract = CONTRACTS[name]
            times = [contract.grain.parse(window) for window in sorted(windows)] if contract.event_time else [None]
            batches = Silver(self.lake, contract, self.engine, START, days_read(name)).materialize(times)
        for _ in batches:
            pass

    def stale(self) -> list[tuple[str, frozenset[str]]]:
        """What is to be made now: table and windows, parents first."""
        survey = Survey(self.lake.snapshot(), self.engine, THRESHOLD)
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
        raise NeverSettles(f"{stale} is stale for ever")

    def finish(self) -> None:
        """Everything arrives, settles, and what is held is let through."""
        self.ingest(self.drops)
        self.settle()
        while not (held := ledger.held_windows(self.lake, THRESHOLD)).is_empty():
            for table, window in held.select("table_name", "window").iter_rows():
                ledger.allow(self.lake, silver(CONTRACTS[table.split("/")[1]]), window)
            self.settle()

    def differences(self, expected: Tables) -> list[str]:
        """The rows that the lake has and should not have, and the other way round, in words."""
        lines = []
        for name, rows in expected.items():
            want, have = _counted(rows), _counted(self._stored(name, rows))
            lines += [f"{name} lacks {count} x {dict(row)}" for row, count in (want - have).items()]
            lines += [f"{name} has too much {count} x {dict(row)}" for row, count in (have - want).items()]
        return lines

    def _stored(self, name: str, like: list[Row]) -> Iterable[Row]:
        """The rows of a table, as far as the columns of `like` go."""
        rows = self.lake.scan(next(table for table in report.tables() if table.name == name)).collect()
        sets = [column for column in ("_reasons", "_warnings") if column in rows.columns]
        for row in rows.select(list(like[0]) if like else rows.columns).iter_rows(named=True):
            yield {**row, **{column: frozenset(filter(None, row[column].split(","))) for column in sets}}


def _counted(rows: Iterable[Row]) -> Counter[tuple[tuple[str, Any], ...]]:
    # In which order floats were added up shows in their last digits.
    return Counter(
        tuple(sorted((name, round(v, 9) if isinstance(v, float) else v) for name, v in row.items())) for row in rows
    )
