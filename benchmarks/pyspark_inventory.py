"""Contender: the inventory work as a good engineer would write it by hand in PySpark, on two local cores.

`python pyspark_inventory.py DATA OUT` reads DATA/inventory, writes Parquet under OUT/accepted and OUT/rejected and
prints its counts. It does less than ours: no commit, no ledger, no undeclared fields, no repeated JSON keys.
"""

import sys

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark_by_hand import connect, finish, judged, read
from rules_by_hand import INVENTORY, STOCK_STATUS


def main(data: str, out: str) -> None:
    spark = connect()
    rows = judged(read(spark, "json", f"{data}/inventory", INVENTORY), INVENTORY)
    newest = Window.partitionBy("inventory_id", "last_updated").orderBy(F.desc("landed_at"))
    accepted = (
        rows.where("good")
        .select(*INVENTORY.columns, "landed_at", F.row_number().over(newest).alias("place"))
        .where("place = 1")
        .select(
            *INVENTORY.columns,
            "landed_at",
            F.to_date("last_updated").alias("last_updated_date"),
            F.expr(STOCK_STATUS).alias("stock_status"),
            F.expr("cast(null as string)").alias("warning"),
        )
    )
    finish(spark, out, rows, accepted, "stock_level")


if __name__ == "__main__":
    main(*sys.argv[1:])
