"""Kill -9 at any moment: no row is lost or doubled, every table can be read, and what settles is as if nothing had been."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from resources.lake import Lake
from shopware_assets import ledger, settle
from shopware_assets.bronze import ingest as bronze
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets_tests.faults import processes
from shopware_assets_tests.faults.homes import Home


def killed(home: Home, times: int, random: Random, first: Callable[[], None] = processes._nothing) -> int:
    """Settles and is killed, again and again, while more lands; how often something was still to be done."""
    caught = 0
    for _ in range(times):
        home.land_more()
        process = processes.start("settle", env=home.settings, output=home.output, first=first)
        commits, patience = home.commits() + random.randint(0, 12), time.monotonic() + random.uniform(2, 6)
        while process.is_alive() and home.commits() < commits and time.monotonic() < patience:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.1))
        process.kill()
        process.join()
        caught += process.exitcode != 0
        home.read_all()
    return caught


def check(home: Home, times: int, seed: int) -> None:
    assert killed(home, times, Random(seed)) > times / 2
    assert home.run("settle") == 0, home.output.read_text()
    assert home.run("ledger", "--settled") == 0, home.output.read_text()
    assert not home.wrong()


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    check(Home(tmp_path), times=10, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_hundred_kills_change_nothing(seed: int, tmp_path: Path) -> None:
    check(Home(tmp_path), times=20, seed=seed)


def remembers_what_its_runs_ingested() -> None:
    """What is in bronze is not read from bronze, but from what successful runs have left beside it."""
    notes = Path(os.environ["SHOPWARE_HOME"])
    execute, ingested = settle.execute, ledger.ingested

    def remembered(lake: Lake, contract: Contract, **_: object) -> pl.DataFrame:
        note = notes / f"{contract.name}.parquet"
        return pl.read_parquet(note) if note.exists() else ingested(Lake("nowhere"), contract)

    def remembering(*args: Any) -> str:
        why = execute(*args)
        for name, contract in CONTRACTS.items() if not why else ():
            ingested(Lake(str(notes / "lake")), contract).write_parquet(notes / f"{name}.parquet")
        return why

    settle.execute, ledger.ingested, bronze.ingested = remembering, remembered, remembered


@pytest.mark.long
def test_kills_double_rows_where_bronze_is_not_asked(tmp_path: Path) -> None:
    home, random = Home(tmp_path), Random(1)

    def doubled() -> bool:
        killed(home, 1, random, remembers_what_its_runs_ingested)
        return any(line.startswith("bronze/") and "too much" in line for line in home.wrong())

    assert any(doubled() for _ in range(10))
