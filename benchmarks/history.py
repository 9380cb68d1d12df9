"""What grows with history and what must not: a gold day, a sensor's tick.

Each function is run by `bench.py` in a process of its own, `python benchmarks/history.py NAME ARGS`, and prints JSON:
seconds, and peak memory in bytes where it matters.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from ours import ENGINE, START, to_bronze, to_silver

from resources.lake import Lake
from resources.landing import FolderLanding
from shopware_assets.contracts import CONTRACTS
from shopware_assets.gold.materialize import Gold
from shopware_assets.transforms import ANSWERS
from simulator import simulate


def _land(landing: FolderLanding, days: int, rows: int) -> None:
    drops, _ = simulate("shop", start=date(2025, 1, 1), days=days, rows=rows, seed=1, late=0.01)
    for drop in drops:
        landing.put(drop.key, drop.body, drop.landed_at)


def gold_day(days: str, rows: str) -> dict[str, float]:
    """One day of order_kpis_daily and category_kpis_daily, in the middle of so many days of history: seconds."""
    with tempfile.TemporaryDirectory() as home:
        lake, landing = Lake(f"{home}/lake"), FolderLanding(f"{home}/landing")
        _land(landing, int(days), int(rows))
        for name in ("products", "orders", "order_items"):
            to_silver(lake, CONTRACTS[name], to_bronze(lake, landing, CONTRACTS[name]))
        day = f"{START + timedelta(days=int(days) - 10):%Y-%m-%d}"
        answers = [ANSWERS["order_kpis_daily"], ANSWERS["category_kpis_daily"]]
        seconds = []
        for _ in range(9):
            begun = time.perf_counter()
            for answer in answers:
                made = pl.concat(Gold(lake, answer, ENGINE, threshold=1).materialize([day]))
                assert made["rows"].sum() > 0
            seconds.append(time.perf_counter() - begun)
        return {"seconds": statistics.median(seconds)}


def landed_objects(objects: str) -> dict[str, float]:
    """Lands and ingests so many objects of a row, once."""
    contract = CONTRACTS["inventory"]
    home = _home_of(objects)
    lake, landing = Lake(f"{home}/lake"), FolderLanding(f"{home}/landing")
    for number in range(int(objects)):
        at = START + timedelta(hours=number % 24)
        row = {
            "inventory_id": number,
            "product_id": 1,
            "warehouse_id": 1,
            "stock_level": 1,
            "last_updated": at.timestamp(),
        }
        landing.put(f"inventory/{number % 500}/{number}.jsonl", json.dumps(row).encode())
    to_bronze(lake, landing, contract)
    (home / "done").touch()
    return {}


def tick(objects: str) -> dict[str, float]:
    """A landing sensor's tick over so many objects, all ingested: seconds and peak memory."""
    from sensors.landing import ingestions, look
    from shopware_assets.partitions import Partitions

    home = _home_of(objects)
    if not (home / "done").exists():  # in a process of its own: making them takes more memory than the tick does
        subprocess.run([sys.executable, __file__, "landed_objects", objects], check=True, stdout=subprocess.DEVNULL)
    lake, landing = Lake(f"{home}/lake"), FolderLanding(f"{home}/landing")
    begun = time.perf_counter()
    found = look(lake, landing, [CONTRACTS["inventory"]], "", seconds=60)
    assert not list(ingestions(found.new, Partitions(START), START))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": time.perf_counter() - begun, "peak": peak}


def _home_of(objects: str) -> Path:
    return Path(__file__).with_name("data") / f"tick-{objects}"


if __name__ == "__main__":
    what = {work.__name__: work for work in (gold_day, landed_objects, tick)}
    print(json.dumps(what[sys.argv[1]](*sys.argv[2:])))
