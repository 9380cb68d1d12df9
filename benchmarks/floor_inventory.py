"""The floor: what Polars needs merely to read the clean lines as text and to write one Parquet file; nothing is judged.

`python floor_inventory.py DATA OUT` reads DATA/inventory/**/*.jsonl, writes OUT/records.parquet and prints how many
records it read. Text, because bronze must keep it: with types, and errors ignored, it is quicker and loses what does
not parse.
"""

import json
import sys
from pathlib import Path

import polars as pl

COLUMNS = ("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold", "last_updated")


def main(data: str, out: str) -> None:
    files = sorted(Path(data, "inventory").rglob("*.jsonl"))
    records = Path(out, "records.parquet")
    pl.scan_ndjson(files, schema=dict.fromkeys(COLUMNS, pl.String)).sink_parquet(records, compression="snappy")
    print(json.dumps({"read": pl.scan_parquet(records).select(pl.len()).collect().item()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
