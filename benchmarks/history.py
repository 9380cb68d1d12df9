"""What grows with history and what must not: a gold day, a sensor's tick; and how fast landing becomes archive.

Each function is run by `bench.py` in a process of its own, `python benchmarks/history.py NAME ARGS`, and prints JSON:
seconds, and peak memory in bytes where it matters.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import polars as pl
from ours import ENGINE, START, to_bronze, to_silver

from deploy import stand_ins
from resources.lake import Lake
from resources.landing import FolderLanding, S3Landing
from shopware_assets.contracts import CONTRACTS
from shopware_assets.gold.materialize import Gold
from shopware_assets.report import tables as lake_tables
from shopware_assets.transforms import ANSWERS
from simulator import simulate

GOLD = {
    "shop": (("shop",), ("order_kpis_daily", "category_kpis_daily")),
    "stock": (("pos", "inventory"), ("sales_by_product_daily", "inventory_daily", "product_performance_daily")),
}
"""Answers that are made together, with the feeds that they are made from; stock goes on from the day before."""


def gold_day(what: str, rows: str, *histories: str) -> dict[str, float]:
    """One day of some answers, ten days before the end of so many days of history, in turn: seconds for each."""
    with tempfile.TemporaryDirectory() as home:
        made = {days: _with_history(what, int(days), int(rows), f"{home}/{days}") for days in histories}
        seconds: dict[str, list[float]] = {days: [] for days in histories}
        for _ in range(15):
            for days, (answers, day) in made.items():
                begun = time.perf_counter()
                for answer in answers:
                    assert _made(answer, [day]) > 0
                seconds[days].append(time.perf_counter() - begun)
        return {days: statistics.median(found) for days, found in seconds.items()}


def _with_history(what: str, days: int, rows: int, home: str) -> tuple[list[Gold], str]:
    """The answers of a lake that has so many days, and the day ten days before their end."""
    feeds, names = GOLD[what]
    lake, landing = Lake(f"{home}/lake"), FolderLanding(f"{home}/landing")
    for feed in feeds:
        drops, _ = simulate(feed, start=START.date(), days=days, rows=rows, seed=1, late=0.01)
        for drop in drops:
            landing.put(drop.key, drop.body, drop.landed_at)
    for contract in CONTRACTS.values():
        if contract.feed in feeds:
            to_silver(lake, contract, to_bronze(lake, landing, contract))
    answers = [Gold(lake, ANSWERS[name], ENGINE, threshold=1) for name in names]
    every = [f"{START + timedelta(days=number):%Y-%m-%d}" for number in range(days)]
    for answer in answers:
        _made(answer, every)
    for table in lake_tables():
        lake.compact(table, timedelta(days=7))  # as every night
    return answers, every[-10]


def _made(answer: Gold, days: list[str]) -> int:
    return int(pl.concat(answer.materialize(days))["rows"].sum())


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


def workbooks(sample: str) -> dict[str, float]:
    """The real sample of the grocery, two workbooks of 15 sheets, from landing to gold by `shopware settle`: seconds.

    `sample` is its folder.
    """
    with tempfile.TemporaryDirectory() as home:
        os.environ["SHOPWARE_HOME"] = home
        shopware = str(Path(sys.executable).with_name("shopware"))
        for table in ("products", "orders", "order_items"):
            files = map(str, Path(sample).glob(f"{table}[._][!i]*"))
            subprocess.run([shopware, "land", f"grocery/{table}", *files], check=True, stdout=subprocess.DEVNULL)
        begun = time.perf_counter()
        subprocess.run([shopware, "settle"], check=True, stdout=subprocess.DEVNULL)
        return {"seconds": time.perf_counter() - begun}


def archived(objects: str) -> dict[str, float]:
    """So many objects of SeaweedFS move into the archive: seconds."""
    with tempfile.TemporaryDirectory() as home, stand_ins.seaweedfs(Path(home)) as server:
        os.environ |= server.settings
        landing = S3Landing(f"s3://{server.fresh_bucket()}/landing")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: landing.put(f"inventory/{number}.jsonl", b"x" * 2000), range(int(objects))))
        begun = time.perf_counter()
        moved = sum(1 for page in landing.pages("inventory") for _, why in landing.archive(page) if not why)
        assert moved == int(objects)
        return {"seconds": time.perf_counter() - begun}


def _home_of(objects: str) -> Path:
    return Path(__file__).with_name("data") / f"tick-{objects}"


if __name__ == "__main__":
    what = {work.__name__: work for work in (gold_day, landed_objects, tick, workbooks, archived)}
    print(json.dumps(what[sys.argv[1]](*sys.argv[2:])))
