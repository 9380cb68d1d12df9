"""Kill -9 at any moment: no row is lost or doubled, every table can be read, and what settles is as ever."""

import os
import signal
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
from shopware_assets.contracts.tables import Table
from shopware_assets_tests.faults import processes
from shopware_assets_tests.faults.homes import Home


def killed(home: Home, times: int, random: Random, first: Callable[[], None] = processes._nothing) -> int:
    """Settles and is killed, again and again, while more lands; how often something was still to be done."""
    caught = 0
    for _ in range(times):
        home.land_more()
        process = processes.start("settle", env=home.settings, output=home.output, first=first)
        commits, patience = home.commits() + random.randint(0, 8), time.monotonic() + random.uniform(2, 5)
        while process.is_alive() and home.commits() < commits and time.monotonic() < patience:
            time.sleep(0.02)  # looking costs time that the process could have
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
def test_ninety_more_kills_change_nothing(seed: int, tmp_path: Path) -> None:
    check(Home(tmp_path), times=18, seed=seed)


# --- Right after bronze's commit, before anybody can remember it ------------------------------------------------------


def dies_when_bronze_is_committed() -> None:
    append_once = Lake.append_once

    def once(self: Lake, table: Table, batches: Any, *, guard: str) -> None:
        append_once(self, table, batches, guard=guard)
        if table.name.startswith("bronze/"):
            os.kill(os.getpid(), signal.SIGKILL)

    Lake.append_once = once


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
    dies_when_bronze_is_committed()


def doubled_rows(home: Home, first: Callable[[], None]) -> list[str]:
    """The rows that bronze has too often after two such deaths."""
    for _ in range(2):
        process = processes.start("settle", env=home.settings, output=home.output, first=first)
        process.join()
        assert process.exitcode == -signal.SIGKILL, home.output.read_text()
    return [line for line in home.wrong() if line.startswith("bronze/") and "too much" in line]


@pytest.mark.long
def test_what_is_committed_is_not_ingested_again(tmp_path: Path) -> None:
    assert not doubled_rows(Home(tmp_path), dies_when_bronze_is_committed)


@pytest.mark.long
def test_rows_double_where_bronze_is_not_asked(tmp_path: Path) -> None:
    """The control."""
    assert doubled_rows(Home(tmp_path), remembers_what_its_runs_ingested)
