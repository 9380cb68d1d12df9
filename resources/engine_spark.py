"""Spark as an engine: the primitives of `shopware_assets.transforms.engine`, on many machines.

Sessions must keep UTC as their time zone: Spark takes the day of a time in the session's. ANSI mode may stay on.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache

import narwhals as nw
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, DecimalType, DoubleType, LongType, TimestampType

from shopware_assets.contracts.contract import Type, given
from shopware_assets.transforms.engine import (
    DECIMAL,
    EPOCH_MS,
    EPOCH_US,
    FIRST_MICROSECOND,
    ISO_8601,
    LAST_MICROSECOND,
    WHITE_SPACE,
    WHOLE,
)

_EXACT = DecimalType(38, 18)
_MONEY = DecimalType(18, 4)
_FLOAT = r"\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"


@cache
def local_session() -> SparkSession:
    """A session in this process's own JVM, made at the first call: for tests, quick to start and slow at work."""
    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": 1,
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": False,
    }
    builder = SparkSession.builder.master("local[1]").appName("shopware")
    return builder.config(map=settings).getOrCreate()


class SparkEngine:
    """Executes frames with Spark."""

    def once(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        # Computed anew for each use: only the caller knows when a cached frame could be dropped.
        return frame

    def parse(self, frame: nw.LazyFrame, columns: Mapping[str, tuple[str, Type]]) -> nw.LazyFrame:
        native = frame.to_native()
        zone = native.sparkSession.conf.get("spark.sql.session.timeZone")
        if zone != "UTC":
            raise ValueError(f"spark.sql.session.timeZone is {zone}: set it to UTC, or days are not those of UTC.")
        parsed = {}
        for name, (text, kind) in columns.items():
            trimmed = F.btrim(F.col(text), F.lit(WHITE_SPACE))
            parsed[name] = _PARSERS[kind](trimmed)
            parsed[given(name)] = F.coalesce(trimmed != "", F.lit(False))
        return nw.from_native(native.withColumns(parsed))

    def mean_money(self, frame: nw.LazyFrame, name: str, total: str, count: str) -> nw.LazyFrame:
        # Whole ten-thousandths: Decimal division rounds in its own way, integers do not.
        units = (F.col(total).cast(DecimalType(28, 4)) * 10_000).cast(DecimalType(32, 0))
        n = F.col(count)
        half_up = F.call_function("div", 2 * F.abs(units) + n, 2 * n).cast(DecimalType(19, 0))
        mean = F.when(n != 0, F.when(units < 0, -half_up).otherwise(half_up) * Decimal("0.0001"))
        return nw.from_native(frame.to_native().withColumn(name, mean.cast(_MONEY)))

    def duration(self, frame: nw.LazyFrame, name: str, start: str, end: str) -> nw.LazyFrame:
        micros = F.unix_micros(F.col(end)) - F.unix_micros(F.col(start))
        return nw.from_native(frame.to_native().withColumn(name, micros))

    def fingerprint(self, frame: nw.LazyFrame, by: Sequence[str]) -> nw.LazyFrame:
        native = frame.to_native()
        names = sorted(native.columns)
        # The hash passes over NULLs: where they are is part of a row too.
        row = F.xxhash64(*names, *(F.col(name).isNull() for name in names)).cast(DecimalType(38, 0))
        return nw.from_native(
            native.select(*by, row.alias("_row"))
            .groupBy(*by)
            .agg(F.count("*").alias("rows"), F.sum("_row").cast("string").alias("_sum"))
            .select(*by, "rows", F.format_string("spark:%d:%s", "rows", "_sum").alias("fingerprint"))
        )


def _string(text: Column) -> Column:
    return F.when(text != "", text)


def _int(text: Column) -> Column:
    exact = F.when(text.rlike(WHOLE), text).try_cast(_EXACT)
    return F.when(exact == F.round(exact), exact).try_cast(LongType())


def _money(text: Column) -> Column:
    exact = F.when(text.rlike(DECIMAL), text).try_cast(_EXACT)
    return F.round(exact, 4).try_cast(_MONEY)


def _float(text: Column) -> Column:
    number = F.when(text.rlike(_FLOAT), text).try_cast(DoubleType())
    return F.when(F.abs(number) < float("inf"), number)


def _epoch(text: Column) -> Column:
    number = _float(text)
    size = F.abs(number)
    scale = F.when(size >= EPOCH_US, 1.0).when(size >= EPOCH_MS, 1e3).otherwise(1e6)
    return _within_years(F.round(number * scale))


def _within_years(micros: Column) -> Column:
    inside = micros.between(FIRST_MICROSECOND, LAST_MICROSECOND)
    return F.timestamp_micros(F.when(inside, micros).cast(LongType()))


def _iso_time(text: Column) -> Column:
    def part(group: int, default: str = "00") -> Column:
        found = F.regexp_extract(text, ISO_8601, group)
        return F.when(found == "", default).otherwise(found)

    canonical = F.format_string(
        "%s-%s-%sT%s:%s:%s.%s%s%s:%s",
        *(F.regexp_extract(text, ISO_8601, group) for group in (1, 2, 3)),
        *(part(4), part(5), part(6), part(7, "0")),
        *(part(8, "+"), part(9), part(10)),
    )
    return _within_years(F.unix_micros(canonical.try_cast(TimestampType())))


def _time(text: Column) -> Column:
    return F.coalesce(_epoch(text), _iso_time(text))


def _date(text: Column) -> Column:
    return _iso_time(text).cast(DateType())


_PARSERS = {
    Type.STRING: _string,
    Type.INT: _int,
    Type.FLOAT: _float,
    Type.MONEY: _money,
    Type.TIME: _time,
    Type.DATE: _date,
}
