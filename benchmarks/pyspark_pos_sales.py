"""Contender: the point-of-sale work as a good engineer would write it by hand in PySpark, on two local cores.

`python pyspark_pos_sales.py DATA OUT` reads DATA/pos and DATA/stores, writes Parquet under OUT/accepted and
OUT/rejected and prints its counts. It does less than ours: no commit, no ledger, no undeclared columns; columns go by
their place, not by their name; no record goes on in another line; stores are not judged one by one, and no line number
decides between equally new rows.
"""

import sys

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark_by_hand import connect, finish, judged, read
from rules_by_hand import NET_REVENUE, POS_SALES, SIGN

STORE = "store_id bigint, region string, city string, opened_on date"


def main(data: str, out: str) -> None:
    spark = connect()
    stores = (
        spark.read.csv(f"{data}/stores", schema=STORE, header=True, mode="DROPMALFORMED")
        .where("store_id is not null and region is not null")
        .groupBy("store_id")
        .agg(F.max_by("region", F.expr("_metadata.file_path")).alias("region"))
    )
    rows = judged(read(spark, "csv", f"{data}/pos", POS_SALES, header=True, escape='"'), POS_SALES)
    newest = Window.partitionBy("transaction_id", "product_id", "sign", "timestamp_date").orderBy(
        F.desc("timestamp"), F.desc("landed_at")
    )
    accepted = (
        rows.where("good")
        .select(
            *POS_SALES.columns,
            "landed_at",
            F.to_date("timestamp").alias("timestamp_date"),
            F.expr(SIGN).alias("sign"),
            F.expr(NET_REVENUE).alias("net_revenue"),
        )
        .withColumn("place", F.row_number().over(newest))
        .where("place = 1")
        .drop("place")
        .join(F.broadcast(stores), "store_id", "left")
        .withColumn("warning", F.expr("if(region is null, 'store_known', null)"))
        .withColumn("region", F.expr("coalesce(region, 'unknown')"))
    )
    finish(spark, out, rows, accepted, "net_revenue")


if __name__ == "__main__":
    main(*sys.argv[1:])
