"""Very many tiny objects: they share commits, and neither time nor memory gets out of hand."""

import json
import resource
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path

import pytest

from shopware_assets.bronze import ingest
from shopware_assets_tests.end_to_end.shopware import Shopware
from shopware_assets_tests.faults import processes

START = datetime(2025, 6, 1, tzinfo=UTC)
HOURS = 48


@dataclass
class Cost:
    """What settling took: processor time, memory at its peak, commits to bronze."""

    seconds: float
    megabytes: float
    commits: int


def land(shopware: Shopware, objects: int) -> None:
    for number in range(objects):
        at = START + timedelta(hours=number % HOURS)
        stock = {"product_id": number % 500, "warehouse_id": 2, "stock_level": 3, "restock_threshold": 4}
        record = {"inventory_id": number, **stock, "last_updated": int(at.timestamp())}
        shopware.drop(f"inventory/{at:%Y-%m-%d/%H}/{number}.jsonl", json.dumps(record).encode())


def settled(shopware: Shopware, first: Callable[[], None] = processes._nothing) -> Cost:
    """Settles in a process of its own."""
    note, log = shopware.home / "usage.json", shopware.home / "lake/bronze/inventory/_delta_log"
    before = len(list(log.glob("*.json")))
    env = {"SHOPWARE_HOME": str(shopware.home)}
    measure = partial(_measured, note, first)
    assert processes.run("settle", env=env, output=shopware.home / "output.txt", first=measure) == 0
    seconds, kilobytes = json.loads(note.read_text())
    return Cost(seconds, kilobytes / 1024, len(list(log.glob("*.json"))) - before)


def _measured(note: Path, first: Callable[[], None]) -> None:
    def write() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        note.write_text(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]))

    Finalize(None, write, exitpriority=1)
    first()


def one_object_a_commit() -> None:
    ingest._COMMIT_OBJECTS = 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("first", "commits"),
    [
        (processes._nothing, range(1, 4)),
        pytest.param(one_object_a_commit, range(20, 40), marks=pytest.mark.long),
    ],
)
def test_tiny_objects_share_commits(first: Callable[[], None], commits: range, tmp_path: Path) -> None:
    """And they would not, if each had one of its own: the control."""
    shopware = Shopware(tmp_path)
    land(shopware, 20)
    assert settled(shopware, first).commits in commits


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_thousands_of_objects(tmp_path: Path) -> None:
    shopware, objects = Shopware(tmp_path), 3_000
    land(shopware, objects)
    cost, again = settled(shopware), settled(shopware)
    assert shopware.table("silver/inventory").height == objects
    shopware("ledger", "--settled")
    print(cost, again)
    assert cost.commits < 10 and again.commits == 0
    assert cost.seconds < 60 and again.seconds < 10
    assert max(cost.megabytes, again.megabytes) < 800
