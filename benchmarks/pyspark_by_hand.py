"""What the PySpark scripts of both works share: the session on two local cores, how text becomes a value, how a row's
rules are named, the counts. No row passes through Python."""

import json

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rules_by_hand import Rules

# Chosen by trial: memory for the cached rows, which are not worth compressing; the cheapest collector; small sorts.
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "4g",
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.sql.shuffle.partitions": "8",
}
_CORRUPT = "_corrupt"


def connect() -> SparkSession:
    builder = SparkSession.builder.master("local[2]")
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def read(spark: SparkSession, layout: str, folder: str, rules: Rules, **options: bool | str) -> DataFrame:
    """The records below a folder as text, those that cannot be read under `_corrupt`, with `landed_at`."""
    schema = ", ".join(f"{column} string" for column in (*rules.columns, _CORRUPT))
    reader = spark.read.format(layout).schema(schema)
    reader = reader.options(recursiveFileLookup=True, columnNameOfCorruptRecord=_CORRUPT, **options)
    return reader.load(folder).withColumn("landed_at", F.expr("_metadata.file_modification_time"))


def judged(records: DataFrame, rules: Rules) -> DataFrame:
    """The records, typed, with the rules they break (NULL: none); these also as they came, in `raw`."""
    typed = [F.expr(_VALUES[kind](column)).alias(column) for column, kind in rules.types.items()]
    broken = ", ".join(f"if({broken}, '{rule}', null)" for rule, broken in rules.broken.items())
    return (
        records.select(*typed, "landed_at", _CORRUPT, F.struct(*rules.columns).alias("raw"))
        .withColumn("good", F.expr(f"{_CORRUPT} is null and {rules.sound}"))
        .withColumn(
            "rules",
            F.expr(
                f"case when good then null when {_CORRUPT} is not null then array('record_readable')"
                f" else array_compact(array({broken})) end"
            ),
        )
        .withColumn("raw", F.expr("if(good, null, raw)"))
        .persist()
    )


def finish(spark: SparkSession, out: str, judged: DataFrame, accepted: DataFrame, total: str) -> None:
    """Writes the accepted and, of those judged, the rejected rows to Parquet under OUT/accepted and OUT/rejected, and
    prints the counts. `accepted` has a column `warning`, the rule it warns of; `total` is summed up."""
    accepted.write.parquet(f"{out}/accepted")
    judged.where("not good").select("raw.*", _CORRUPT, "rules", "landed_at").write.parquet(f"{out}/rejected")

    read, rejected = judged.agg(F.count("*"), F.count("rules")).first() or (0, 0)
    written = spark.read.parquet(f"{out}/accepted")
    kept, summed = written.agg(F.count("*"), F.sum(total).cast("double")).first() or (0, 0)
    broken = judged.where("not good").select(F.explode("rules").alias("rule"))
    warned = written.where("warning is not null").select(F.col("warning").alias("rule"))
    rules = broken.union(warned).groupBy("rule").count().collect()
    counts = {"read": read, "accepted": kept, "rejected": rejected, "superseded": read - kept - rejected}
    print(json.dumps({**counts, "rules": dict(rules), f"{total}_sum": summed}))
    spark.stop()


def _int(column: str) -> str:
    """Whole numbers, also when written 5.0 or 5e0: the slow way is taken only for what the quick one refuses."""
    decimal = f"try_cast({column} as decimal(38, 10))"
    whole = f"if({decimal} = floor({decimal}), try_cast({decimal} as bigint), null)"
    return f"coalesce(try_cast({column} as bigint), {whole})"


def _time(column: str) -> str:
    """ISO 8601, or an epoch number in seconds, milliseconds or microseconds by its size."""
    number = f"try_cast({column} as double)"
    return (
        f"case when {number} is null then try_cast({column} as timestamp)"
        f" when {number} >= 1e14 then timestamp_micros(try_cast(round({number}) as bigint))"
        f" when {number} >= 1e11 then timestamp_micros(try_cast(round({number} * 1e3) as bigint))"
        f" else timestamp_micros(try_cast(round({number} * 1e6) as bigint)) end"
    )


_VALUES = {
    "text": lambda column: f"nullif(trim({column}), '')",
    "int": _int,
    "money": lambda column: f"try_cast({column} as decimal(18, 4))",
    "time": _time,
}
