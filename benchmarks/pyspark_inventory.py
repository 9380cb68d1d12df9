"""Contender: the inventory work as a good engineer would write it by hand in PySpark, on two local cores.

`python pyspark_inventory.py DATA OUT` reads DATA/inventory, writes Parquet under OUT/accepted and OUT/rejected and
prints its counts. It does less than ours: no commit, no ledger, no undeclared fields, no repeated JSON keys. No row
passes through Python.
"""

import json
import sys

from pyspark.sql import Column, SparkSession, Window
from pyspark.sql import functions as F

INTEGERS = ("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold")
COLUMNS = (*INTEGERS, "last_updated")
OPTIONAL = {"restock_threshold"}
# Chosen by trial: memory for the cached rows, which are not worth compressing; the cheapest collector; small sorts.
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "4g",
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.sql.shuffle.partitions": "8",
}


def given(column: str) -> str:
    return f"nullif(trim(raw.{column}), '') is not null"


def as_int(column: str) -> Column:
    """Whole numbers, also when written 5.0 or 5e0: the slow way is taken only for what the quick one refuses."""
    decimal = f"try_cast({column} as decimal(38, 10))"
    return F.expr(
        f"coalesce(try_cast({column} as bigint), if({decimal} = floor({decimal}), try_cast({decimal} as bigint), null))"
    ).alias(column)


def as_time(column: str) -> Column:
    """ISO 8601, or an epoch number in seconds, milliseconds or microseconds by its size."""
    number = f"try_cast({column} as double)"
    return F.expr(
        f"case when {number} is null then try_cast({column} as timestamp)"
        f" when {number} >= 1e14 then timestamp_micros(try_cast(round({number}) as bigint))"
        f" when {number} >= 1e11 then timestamp_micros(try_cast(round({number} * 1e3) as bigint))"
        f" else timestamp_micros(try_cast(round({number} * 1e6) as bigint)) end"
    ).alias(column)


GOOD = " and ".join(
    [
        "inventory_id is not null and product_id is not null and warehouse_id is not null and stock_level >= 0",
        f"(restock_threshold >= 0 or restock_threshold is null and not {given('restock_threshold')})",
        "last_updated between timestamp '2025-01-01' and landed_at + interval 24 hours",
    ]
)
BROKEN = {
    **{f"{column}_present": f"not {given(column)}" for column in COLUMNS if column not in OPTIONAL},
    **{f"{column}_parses": f"{column} is null and {given(column)}" for column in COLUMNS},
    "stock_level_not_negative": "stock_level < 0",
    "restock_threshold_not_negative": "restock_threshold < 0",
    "last_updated_not_in_future": "last_updated > landed_at + interval 24 hours",
    "last_updated_not_before_start": "last_updated < timestamp '2025-01-01'",
}
RULES = f"""
case when good then null
     when _corrupt is not null then array('record_readable')
     else array_compact(array({", ".join(f"if({broken}, '{rule}', null)" for rule, broken in BROKEN.items())})) end
"""
STOCK_STATUS = """
case when stock_level = 0 then 'out_of_stock'
     when restock_threshold is null then 'unknown_threshold'
     when stock_level <= restock_threshold then 'low_stock'
     else 'in_stock' end
"""


def main(data: str, out: str) -> None:
    builder = SparkSession.builder.master("local[2]")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()

    schema = ", ".join(f"{column} string" for column in (*COLUMNS, "_corrupt"))
    records = spark.read.schema(schema).json(
        f"{data}/inventory", recursiveFileLookup=True, columnNameOfCorruptRecord="_corrupt"
    )
    judged = (
        records.withColumn("landed_at", F.expr("_metadata.file_modification_time"))
        .select(
            *map(as_int, INTEGERS), as_time("last_updated"), "landed_at", "_corrupt", F.struct(*COLUMNS).alias("raw")
        )
        .withColumn("good", F.expr(f"coalesce(_corrupt is null and {GOOD}, false)"))
        .withColumn("rules", F.expr(RULES))
        .withColumn("raw", F.expr("if(good, null, raw)"))
        .persist()
    )
    newest = Window.partitionBy("inventory_id", "last_updated").orderBy(F.desc("landed_at"))
    (
        judged.where("good")
        .select(*COLUMNS, "landed_at", F.row_number().over(newest).alias("place"))
        .where("place = 1")
        .select(
            *COLUMNS,
            "landed_at",
            F.to_date("last_updated").alias("last_updated_date"),
            F.expr(STOCK_STATUS).alias("stock_status"),
        )
        .write.parquet(f"{out}/accepted")
    )
    judged.where("not good").select("raw.*", "_corrupt", "rules", "landed_at").write.parquet(f"{out}/rejected")

    read, rejected = judged.agg(F.count("*"), F.count("rules")).first() or (0, 0)
    accepted, stock = spark.read.parquet(f"{out}/accepted").agg(F.count("*"), F.sum("stock_level")).first() or (0, 0)
    rules = judged.where("not good").select(F.explode("rules").alias("rule")).groupBy("rule").count().collect()
    counts = {"read": read, "accepted": accepted, "rejected": rejected, "superseded": read - accepted - rejected}
    print(json.dumps({**counts, "rules": dict(rules), "stock_level_sum": stock}))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
