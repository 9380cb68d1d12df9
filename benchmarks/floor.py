"""The floor: what Polars needs merely to read the clean lines as text and to write one Parquet file; nothing is judged.

`python floor.py TABLE DATA OUT` reads the table's files below DATA, writes OUT/records.parquet and prints how many
records it read. Text, because bronze must keep it: with types, and errors ignored, it is quicker and loses what does
not parse.
"""

import json
import sys
from pathlib import Path

import polars as pl

INVENTORY = ("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold", "last_updated")


def records(table: str, data: Path) -> pl.LazyFrame:
    if table == "inventory":
        files = sorted((data / "inventory").rglob("*.jsonl"))
        return pl.scan_ndjson(files, schema=dict.fromkeys(INVENTORY, pl.String))
    return pl.scan_csv(sorted((data / "pos").glob("*.csv")), infer_schema=False)


def main(table: str, data: str, out: str) -> None:
    written = Path(out, "records.parquet")
    records(table, Path(data)).sink_parquet(written, compression="snappy")
    print(json.dumps({"read": pl.scan_parquet(written).select(pl.len()).collect().item()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
