"""Ours: landing -> bronze, silver, rejected and ledger, as committed Delta tables, by the functions the assets call.

`python ours.py TABLE DATA OUT` makes a lake at OUT from what landed below DATA of the table and of those it refers to,
and prints what became of the table's rows.
"""

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import polars as pl

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import FolderLanding
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known, ingest, new_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import rejected, silver
from shopware_assets.silver.materialize import Silver
from shopware_assets.transforms import days_read

START = datetime(2025, 1, 1, tzinfo=UTC)
ENGINE = PolarsEngine()
SUMMED = {"inventory": "stock_level", "pos_sales": "net_revenue"}


def to_bronze(lake: Lake, landing: FolderLanding, contract: Contract) -> set[str]:
    """Ingests what landed; the names of the windows it touched."""
    known = Known(ledger.ingested(lake, contract))
    objects = [landed for page, _ in new_objects(landing, known, contract) for landed in page]
    return ingest(lake, landing, contract, objects, engine=ENGINE, start=START).windows


def to_silver(lake: Lake, contract: Contract, windows: Iterable[str]) -> pl.DataFrame:
    """Judges the windows, or the whole of a reference table; the counts per window and object."""
    judged = Silver(lake, contract, ENGINE, START, days_read(contract.name))
    parsed = [contract.grain.parse(name) for name in sorted(windows)] if contract.event_time else [None]
    return pl.concat(judged.materialize(parsed))


def main(table: str, data: str, out: str) -> None:
    lake, landing, contract = Lake(out), FolderLanding(data), CONTRACTS[table]
    for parent in [CONTRACTS[reference.parent] for reference in contract.references]:
        to_silver(lake, parent, to_bronze(lake, landing, parent))
    counts = to_silver(lake, contract, to_bronze(lake, landing, contract))
    totals = {name: int(counts[name].sum()) for name in ("read", "accepted", "rejected", "superseded")}
    accepted = lake.scan(silver(contract))
    broken = pl.concat([lake.scan(rejected(contract)).select(rule="_reasons"), accepted.select(rule="_warnings")])
    rules = broken.filter(pl.col("rule") != "").select(pl.col("rule").str.split(",").explode())
    summed = accepted.select(pl.col(SUMMED[table]).sum()).collect().item()
    by_rule = dict(rules.group_by("rule").len().collect(engine="streaming").iter_rows())
    print(json.dumps({**totals, "rules": by_rule, f"{SUMMED[table]}_sum": float(summed)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
