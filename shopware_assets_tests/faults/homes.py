"""Homes with a small world in landing, and what the tables in them must be."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import FolderLanding
from shopware_assets import report
from shopware_assets.bronze.ingest import ingest
from shopware_assets.contracts import CONTRACTS
from shopware_assets_tests.arrival import oracle
from shopware_assets_tests.arrival.history import Story
from shopware_assets_tests.arrival.world import START, Drop, base, drawn
from shopware_assets_tests.faults import processes


class Home:
    """A home in a folder: landing, lake and Dagster's storage.

    The older versions of objects are in bronze from the beginning; the newest ones wait in landing.
    """

    def __init__(self, folder: Path, drops: Iterable[Drop] = ()) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.drops: list[Drop] = []
        self._landing = FolderLanding(str(folder / "landing"))
        self.settings = {
            "SHOPWARE_HOME": str(folder),
            "SHOPWARE_REJECT_THRESHOLD": "1",
            "SHOPWARE_NOTIFY_SUCCESS": "false",
        }
        drops = sorted(drops or base(), key=lambda drop: drop.landed_at)
        for drop in drops:
            newer = [other for other in drops if other.key == drop.key and other.landed_at > drop.landed_at]
            self.land([drop])
            if newer:
                self._ingest(drop)

    def land(self, drops: Iterable[Drop]) -> None:
        for drop in drops:
            self._landing.put(drop.key, drop.body, drop.landed_at)
            landed = self._landing.find(drop.key)
            assert landed is not None and landed.landed_at == drop.landed_at
            self.drops.append(dataclasses.replace(drop, version=landed.version))

    def land_more(self) -> None:
        """Further objects, with names of their own."""
        seed = len(self.drops)
        self.land(dataclasses.replace(drop, name=f"{seed}-{n}-{drop.name}") for n, drop in enumerate(drawn(seed)))

    def _ingest(self, drop: Drop) -> None:
        landed = self._landing.find(drop.key)
        assert landed is not None
        contract = CONTRACTS[drop.table]
        ingest(Lake(str(self.lake)), self._landing, contract, [landed], engine=PolarsEngine(), start=START)

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    def run(self, *command: str) -> int:
        """Runs a command to its end; its exit code."""
        return processes.run(*command, env=self.settings, output=self.output)

    def read_all(self) -> dict[str, pl.DataFrame]:
        """Every table, which must be readable at any time."""
        lake = Lake(str(self.lake))
        return {table.name: lake.scan(table).collect() for table in report.tables()}

    def wrong(self) -> list[str]:
        """What is not as it must be once all has settled."""
        return Story(self.lake, self.drops).differences(oracle.tables(self.drops))

    def commits(self) -> int:
        return sum(1 for _ in self.lake.rglob("_delta_log/*.json"))
