"""Ours: landing -> bronze, silver, rejected and ledger, as committed Delta tables, by the functions the assets call."""

import json
import shutil
import sys
from datetime import UTC, datetime

import polars as pl

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import FolderLanding
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known, ingest, new_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import rejected
from shopware_assets.contracts.tables import silver as silver_table
from shopware_assets.silver.materialize import Silver
from shopware_assets.transforms import days_read

START = datetime(2025, 1, 1, tzinfo=UTC)


def main(data: str, out: str) -> None:
    """Ingests and judges the landed files below `data`, and prints what became of the rows."""
    shutil.rmtree(out, ignore_errors=True)
    contract, engine, lake = CONTRACTS["inventory"], PolarsEngine(), Lake(out)
    landing = FolderLanding(data)
    known = Known(ledger.ingested(lake, contract))
    objects = [landed for page, _ in new_objects(landing, known, contract) for landed in page]
    done = ingest(lake, landing, contract, objects, engine=engine, start=START)
    windows = [contract.grain.parse(name) for name in sorted(done.windows)]
    silver = Silver(lake, contract, engine, START, days_read(contract.name))
    counts = pl.concat(silver.materialize(windows))
    reasons = lake.scan(rejected(contract)).select(pl.col("_reasons").str.split(",").explode().value_counts())
    rules = reasons.unnest("_reasons").collect()
    stock = lake.scan(silver_table(contract)).select(pl.col("stock_level").sum()).collect().item()
    totals = {name: int(counts[name].sum()) for name in ("read", "accepted", "rejected", "superseded")}
    print(json.dumps({**totals, "rules": dict(rules.iter_rows()), "stock_level_sum": stock}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
