"""Polars as an engine: the primitives of `shopware_assets.transforms.engine`, on one machine."""

from collections.abc import Callable, Mapping, Sequence

import narwhals as nw
import polars as pl

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

_EXACT = pl.Decimal(38, 18)
_MONEY = pl.Decimal(18, 4)
_TIME = pl.Datetime("us", "UTC")
_PLAIN_DATE = r"\A[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_PLAIN_TIME = _PLAIN_DATE + r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_ZONED_TIME = _PLAIN_TIME + r"(?:\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])\z"


class PolarsEngine:
    """Executes frames with Polars."""

    def once(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        return nw.from_native(frame.to_native().collect().lazy())

    def parse(self, frame: nw.LazyFrame, columns: Mapping[str, tuple[str, Type]]) -> nw.LazyFrame:
        parsed = [_parsed(pl.col(text), kind).alias(name) for name, (text, kind) in columns.items()]
        return nw.from_native(
            frame.to_native()
            .with_columns(parsed)
            .with_columns(pl.col(name).struct.field("given").alias(given(name)) for name in columns)
            .with_columns(pl.col(name).struct.field("value").alias(name) for name in columns)
        )

    def mean_money(self, frame: nw.LazyFrame, name: str, total: str, count: str) -> nw.LazyFrame:
        # Whole ten-thousandths: Decimal division rounds in its own way, integers do not.
        units, n = (pl.col(total) * 10_000).cast(pl.Int128), pl.col(count).cast(pl.Int128)
        half_up = (2 * units.abs() + n) // (2 * n) * units.sign()
        mean = pl.when(pl.col(count) != 0).then(
            half_up.cast(pl.Decimal(38, 0)) * pl.lit("0.0001").cast(pl.Decimal(38, 4))
        )
        return nw.from_native(frame.to_native().with_columns(mean.cast(_MONEY).alias(name)))

    def duration(self, frame: nw.LazyFrame, name: str, start: str, end: str) -> nw.LazyFrame:
        length = (pl.col(end) - pl.col(start)).dt.total_microseconds()
        return nw.from_native(frame.to_native().with_columns(length.alias(name)))

    def fingerprint(self, frame: nw.LazyFrame, by: Sequence[str]) -> nw.LazyFrame:
        native = frame.to_native()
        rows = pl.struct(sorted(native.collect_schema().names())).hash(seed=0)
        # The sum (with wrap-around) does not depend on the order of the rows.
        return nw.from_native(
            native.select(*by, _row=rows)
            .group_by(by)
            .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("_row").sum().cast(pl.String).alias("_sum"))
            .select(*by, "rows", fingerprint=pl.format("polars:{}:{}", "rows", "_sum"))
        )


def _parsed(text: pl.Expr, kind: Type) -> pl.Expr:
    """A struct of `value` and `given`: the value that the quick parser of the type finds, or else a thorough one."""
    quick, *thorough = _PARSERS[kind]

    def complete(columns: Sequence[pl.Series]) -> pl.Series:
        values, texts = columns
        is_given = texts.is_not_null()
        odd = (values.is_null() & is_given).arg_true()
        if not odd.is_empty():
            trimmed = texts.gather(odd).str.strip_chars(WHITE_SPACE)
            is_given = is_given.scatter(odd, trimmed != "")
            for parser in thorough:
                values = values.scatter(odd, pl.select(parser(pl.lit(trimmed))).to_series())
                left = values.gather(odd).is_null()
                odd, trimmed = odd.filter(left), trimmed.filter(left)
        return pl.DataFrame({"value": values, "given": is_given}).to_struct()

    dtype = pl.Struct({"value": _DTYPES[kind], "given": pl.Boolean})
    return pl.map_batches([quick(text), text], complete, return_dtype=dtype, is_elementwise=True)


def _where(condition: pl.Expr, text: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(text)


def _string(text: pl.Expr) -> pl.Expr:
    trimmed = text.str.strip_chars(WHITE_SPACE)
    return _where(trimmed != "", trimmed)


def _plain_int(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


def _exact_int(text: pl.Expr) -> pl.Expr:
    exact = _where(text.str.contains(WHOLE), text).cast(_EXACT, strict=False)
    return _where(exact == exact.round(0), exact).cast(pl.Int64, strict=False)


def _plain_money(text: pl.Expr) -> pl.Expr:
    # More than four decimals would be rounded half to even by a cast alone.
    length = text.str.len_bytes()
    few_decimals = length - text.str.find(".", literal=True).fill_null(length) <= 5
    return _where(few_decimals & ~text.str.contains("[eE]"), text).cast(_MONEY, strict=False)


def _exact_money(text: pl.Expr) -> pl.Expr:
    exact = _where(text.str.contains(DECIMAL), text).cast(_EXACT, strict=False)
    return exact.round(4, mode="half_away_from_zero").cast(_MONEY, strict=False)


def _float(text: pl.Expr) -> pl.Expr:
    number = text.cast(pl.Float64, strict=False)
    return _where(number.is_finite(), number)


def _epoch(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Float64, strict=False).map_batches(_scaled, return_dtype=_TIME, is_elementwise=True)


def _scaled(number: pl.Series) -> pl.Series:
    size = pl.col("number").abs()
    scale = pl.when(size >= EPOCH_US).then(1.0).when(size >= EPOCH_MS).then(1e3).otherwise(1e6)
    micros = (pl.col("number") * scale).round(0, mode="half_away_from_zero").cast(pl.Int64, strict=False)
    return _within_years(pl.DataFrame({"number": number}).select(micros.cast(_TIME)).to_series())


def _within_years(time: pl.Series) -> pl.Series:
    return time.set(~time.to_physical().is_between(FIRST_MICROSECOND, LAST_MICROSECOND), None)


def _plain_time(text: pl.Expr) -> pl.Expr:
    plain = _where(text.str.contains(_PLAIN_TIME + r"\z"), text.str.replace(" ", "T", literal=True))
    return plain.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False).dt.replace_time_zone("UTC")


def _zoned_time(text: pl.Expr) -> pl.Expr:
    stamp = text.str.replace(" ", "T", literal=True).str.replace("Z", "+00:00", literal=True)
    zoned = _where(text.str.contains(_ZONED_TIME), stamp)
    time = zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
    return time.map_batches(_within_years, return_dtype=_TIME, is_elementwise=True)


def _iso_time(text: pl.Expr) -> pl.Expr:
    return text.str.extract_groups(ISO_8601).map_batches(_assembled, return_dtype=_TIME, is_elementwise=True)


def _assembled(parts: pl.Series) -> pl.Series:
    def part(group: int, default: str = "00") -> pl.Expr:
        return pl.col(str(group)).fill_null(default)

    canonical = pl.format(
        "{}-{}-{}T{}:{}:{}.{}{}{}:{}",
        *("1", "2", "3"),
        *(part(4), part(5), part(6), part(7, "0")),
        *(part(8, "+"), part(9), part(10)),
    )
    time = canonical.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
    return _within_years(parts.struct.unnest().select(time).to_series())


def _plain_date(text: pl.Expr) -> pl.Expr:
    return _where(text.str.contains(_PLAIN_DATE + r"\z"), text).str.to_date("%Y-%m-%d", strict=False)


def _iso_date(text: pl.Expr) -> pl.Expr:
    return _iso_time(text).dt.date()


_PARSERS: dict[Type, tuple[Callable[[pl.Expr], pl.Expr], ...]] = {
    Type.STRING: (_string,),
    Type.INT: (_plain_int, _exact_int),
    Type.FLOAT: (_float, _float),
    Type.MONEY: (_plain_money, _exact_money),
    Type.TIME: (_epoch, _plain_time, _zoned_time, _epoch, _iso_time),
    Type.DATE: (_plain_date, _iso_date),
}
"""For each type a quick parser for the texts as they come, and those that get, trimmed, what it could not read."""

_DTYPES = {
    Type.STRING: pl.String(),
    Type.INT: pl.Int64(),
    Type.FLOAT: pl.Float64(),
    Type.MONEY: _MONEY,
    Type.TIME: _TIME,
    Type.DATE: pl.Date(),
}
