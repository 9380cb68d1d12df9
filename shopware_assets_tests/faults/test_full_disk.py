"""A disk that fills up: settling fails with a word that says so, tables stay readable; with room again all is finished.

A limit on the size of files stands for the disk: it needs no disk of one's own, and fails the same writes.
"""

import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from resources.lake import Lake
from shopware_assets import report
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import Table, bronze, silver
from shopware_assets_tests.end_to_end.shopware import Shopware
from shopware_assets_tests.faults import processes

ROWS = 4000
LESS_THAN_DAGSTER_WRITES, LESS_THAN_BRONZE_IS = 200_000, 6_000_000


@dataclass
class Home:
    """A home with one object in landing, of rows that compress badly."""

    folder: Path

    def __post_init__(self) -> None:
        stock = {
            "product_id": 1,
            "warehouse_id": 2,
            "stock_level": 3,
            "restock_threshold": 4,
            "last_updated": 1748736939,
        }
        rows = ({"inventory_id": n, **stock, "note": os.urandom(1500).hex()} for n in range(ROWS))
        Shopware(self.folder).drop("inventory/2025-06-01-00.jsonl", "\n".join(map(json.dumps, rows)).encode())

    def settle(self, first: Callable[[], None] = processes._nothing) -> tuple[int, str]:
        """Exit code and output."""
        env, output = {"SHOPWARE_HOME": str(self.folder)}, self.folder / "output.txt"
        output.unlink(missing_ok=True)
        return processes.run("settle", env=env, output=output, first=first), output.read_text()

    def counts(self) -> list[int]:
        """Rows in bronze and silver; every table must be readable."""
        lake = Lake(str(self.folder / "lake"))
        rows = {table.name: lake.scan(table).collect() for table in report.tables()}
        stock = CONTRACTS["inventory"]
        return [rows[bronze(stock).name].filter(pl.col("_line") > 0).height, rows[silver(stock).name].height]


def no_room_beyond(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.long
@pytest.mark.parametrize(
    ("size", "says"),
    [
        (LESS_THAN_DAGSTER_WRITES, "where Dagster cannot write: disk I/O error."),
        (LESS_THAN_BRONZE_IS, "Failed three times: inventory, objects: 1"),
    ],
)
def test_a_full_disk(size: int, says: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    code, said = home.settle(first=partial(no_room_beyond, size))
    assert (code, home.counts()) == (1, [0, 0])
    assert says in said and "Traceback" not in said
    assert "File too large" in said or "disk I/O error" in said
    assert home.settle()[0] == 0
    Shopware(tmp_path)("ledger", "--settled")
    assert home.counts() == [ROWS, ROWS]


def writes_markers_without_rows() -> None:
    """Whatever becomes of an object's rows, its marker is committed."""
    append_once = Lake.append_once

    def in_two(
        self: Lake, table: Table, batches: Callable[[DeltaTable], Iterator[pl.DataFrame]], *, guard: str
    ) -> None:
        frames = list(batches(self._made(table)) or ())
        for part in (pl.col("_line") > 0, pl.col("_line") == 0) if guard == "ingest" else (pl.lit(True),):
            with suppress(DeltaError, OSError):
                append_once(self, table, lambda _, part=part: iter([f.filter(part) for f in frames]), guard=guard)

    Lake.append_once = in_two
    no_room_beyond(LESS_THAN_BRONZE_IS)


@pytest.mark.long
def test_rows_are_lost_where_markers_do_not_need_them(tmp_path: Path) -> None:
    """The control."""
    home = Home(tmp_path)
    home.settle(first=writes_markers_without_rows)
    home.settle()
    assert home.counts() == [0, 0]
    Shopware(tmp_path)("ledger", "--settled", code=1)


@pytest.mark.long
def test_alerts_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shopware = Shopware(tmp_path)
    shopware.drop("inventory/a.jsonl", b"null")

    def full(*_: object, **__: object) -> None:
        raise OSError("Generic LocalFileSystem error: No space left on device (os error 28)")

    monkeypatch.setattr(Lake, "add_missing", full)
    assert f"SHOPWARE_LAKE is '{tmp_path}/lake', which has no space left." in shopware("settle", code=1).output
