"""Every primitive, contract and transform on every engine, with the same rows: the results must be the same."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import narwhals as nw
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from resources import engine_polars
from resources.engine_polars import PolarsEngine
from resources.engine_spark import SparkEngine, local_session
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Type, given
from shopware_assets.transforms import ANSWERS
from shopware_assets.transforms.answer import Answer, Input
from shopware_assets.transforms.engine import Engine
from shopware_assets.transforms.filing import file_under_window
from shopware_assets.transforms.judge import ACCEPTED, REJECTED, SUPERSEDED, judge, split
from shopware_assets_tests.scenario import START, dirty_rows, parents

pytestmark = pytest.mark.xdist_group("spark")  # a session takes seconds to start: one worker does


@dataclass(frozen=True)
class Machine:
    """An engine with the way into it and out of it."""

    engine: Engine
    frame: Callable[[pl.DataFrame], nw.LazyFrame]
    rows: Callable[[nw.LazyFrame], pl.DataFrame]

    def parse(self, texts: pl.DataFrame) -> pl.DataFrame:
        """`text` as every type: a column for each, and whether there was a value."""
        return self.rows(self.engine.parse(self.frame(texts), {kind.value: ("text", kind) for kind in Type}))

    def judge(self, rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
        known = {name: self.frame(parent) for name, parent in parents(contract).items()}
        return self.rows(judge(self.frame(rows), contract, engine=self.engine, start=START, parents=known))


POLARS = Machine(PolarsEngine(), lambda rows: nw.from_native(rows.lazy()), lambda frame: frame.to_native().collect())


@pytest.fixture(scope="session")
def spark() -> Iterator[Machine]:
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java, and there is none here")
    session = local_session()

    def rows(frame: nw.LazyFrame) -> pl.DataFrame:
        collected = pl.from_arrow(frame.to_native().toArrow())
        assert isinstance(collected, pl.DataFrame)
        return collected

    yield Machine(SparkEngine(), lambda rows: nw.from_native(session.createDataFrame(rows.to_arrow())), rows)
    session.stop()


@pytest.fixture(params=["polars", pytest.param("spark", marks=pytest.mark.long)])
def machine(request: pytest.FixtureRequest) -> Machine:
    return POLARS if request.param == "polars" else request.getfixturevalue("spark")


def assert_same(one: pl.DataFrame, other: pl.DataFrame, key: list[str]) -> None:
    assert_frame_equal(one.sort(key), other.sort(key).select(one.columns))


# --- text to values --------------------------------------------------------------------------------------------------


def utc(year: int, month: int, day: int, *time: int) -> datetime:
    return datetime(year, month, day, *time, tzinfo=UTC)  # type: ignore[misc, arg-type]


NOON = utc(2025, 6, 1, 12, 30)
MEANT: dict[Type, dict[str, object]] = {
    Type.STRING: {"a": "a", " a b\t": "a b", "Größe\u3000": "Größe", "\u00a0x\r\n": "x", "null": "null", "0": "0"},
    Type.INT: {
        **dict.fromkeys(("5", "+5", "5.0", "5e0", "5.", "0.5e1", "005", " 5\u00a0", "5\n"), 5),
        "-5": -5, "-0": 0, "1E+2": 100, "9223372036854775807": 2**63 - 1, "9223372036854775807.0": 2**63 - 1,
        "-9223372036854775808": -(2**63),
    },
    Type.FLOAT: {
        "5": 5.0, "+0.1": 0.1, ".5": 0.5, "-2.5E2": -250.0, "1e-3": 0.001, " 7. ": 7.0,
        "0.30000000000000004": 0.1 + 0.2,
    },
    Type.MONEY: {
        "81.64": Decimal("81.64"), "+5": Decimal(5), "-0.01": Decimal("-0.01"), "1e2": Decimal(100),
        "2.5e-3": Decimal("0.0025"), "0.00005": Decimal("0.0001"), "-0.00005": Decimal("-0.0001"),
        "0.00025": Decimal("0.0003"), "0.00004999": Decimal(0), "25.899999618530273": Decimal("25.9"),
        "0.1000000000000000055511151231257827": Decimal("0.1"),
        "99999999999999.9999": Decimal("99999999999999.9999"), "99999999999999.99994": Decimal("99999999999999.9999"),
    },
    Type.TIME: {
        **dict.fromkeys(("1748781000", "1748781000.0", "1.748781e9", "1748781000000", "1748781000000000"), NOON),
        "1748781000.25": NOON.replace(microsecond=250000), "1748781000.123456": NOON.replace(microsecond=123456),
        "1748781000250": NOON.replace(microsecond=250000), "1748781000250.5": NOON.replace(microsecond=250500),
        "1748781000250001": NOON.replace(microsecond=250001), "0": utc(1970, 1, 1), "-1": utc(1969, 12, 31, 23, 59, 59),
        # seconds below 1e11, microseconds from 1e14 on
        "99999999999": utc(5138, 11, 16, 9, 46, 39), "100000000000": utc(1973, 3, 3, 9, 46, 40),
        "99999999999000": utc(5138, 11, 16, 9, 46, 39), "100000000000000": utc(1973, 3, 3, 9, 46, 40),
        "-100000000000": utc(1966, 10, 31, 14, 13, 20), "-100000000000000": utc(1966, 10, 31, 14, 13, 20),
        **dict.fromkeys(("2025-06-01T12:30:00", "2025-06-01 12:30:00", "2025-06-01t12:30:00z"), NOON),
        **dict.fromkeys(("2025-06-01T12:30", "2025-06-01T12:30Z", "20250601T123000Z", "2025-06-01T12:30:00 Z"), NOON),
        **dict.fromkeys((" 2025-06-01T12:30:00\n", "\u00a02025-06-01T12:30:00"), NOON),
        **dict.fromkeys(("2025-06-01T12:30:00+00:00", "2025-06-01T14:30:00+02:00", "2025-06-01T14:30:00+0200"), NOON),
        **dict.fromkeys(("2025-06-01T14:30:00+02", "2025-06-01T07:00:00-05:30", "2025-06-02T02:30:00+14:00"), NOON),
        "2025-06-01T12:30:00.5": NOON.replace(microsecond=500000),
        "2025-06-01T12:30:00,000001Z": NOON.replace(microsecond=1),
        "2025-06-01T12:30:00.123456789+00:00": NOON.replace(microsecond=123456),
        "2025-06-01": utc(2025, 6, 1), "2024-02-29": utc(2024, 2, 29), "0001-01-01": utc(1, 1, 1),
        "9999-12-31T23:59:59.999999": utc(9999, 12, 31, 23, 59, 59, 999999),
    },
    Type.DATE: {
        **dict.fromkeys(("2025-06-01", "20250601", " 2025-06-01 ", "2025-06-01 00:00:00"), date(2025, 6, 1)),
        "2025-06-01T23:30:00-05:00": date(2025, 6, 2), "2024-02-29": date(2024, 2, 29), "0001-01-01": date(1, 1, 1),
    },
}  # fmt: skip
"""What a text means as each type, as feeds.md has it."""

MEANINGLESS: dict[Type, list[str]] = {
    Type.STRING: [],
    Type.INT: [
        "5.5", "5.0000001", "0x5", "1,000", "true", "1_000", "5 5", "--5", "e5", ".", "NaN", "٥", "null", "1e19",
        "9223372036854775808", "-9223372036854775809",
    ],
    Type.FLOAT: ["NaN", "inf", "-Infinity", "1e400", "1f", "0x1p3", "1,5", "true"],
    Type.MONEY: ["99999999999999.99995", "1e14", "12,50", "$5", "5 EUR", "NaN", "inf", "0x5"],
    Type.TIME: [
        "2025-02-29", "2025-13-01", "2025-06-31", "0000-06-01", "2025-6-1", "25-06-01", "2025/06/01", "01.06.2025",
        "2025-06-01T24:00:00", "2025-06-01T12:60:00", "2025-06-01T12:30:60", "2025-06-01T12:30:00+25:00", "12:30",
        "2025-06-01T12:30:00 Europe/Berlin", "yesterday", "NaN", "true",
        # before the year 1 and after 9999
        "-99999999999", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
    ],
    Type.DATE: ["2025-02-29", "2025-6-1", "25-06-01", "+2025-06-01", "0000-01-01", "1748781000", "45809", "June 1"],
}  # fmt: skip
"""What does not parse as each type."""

TEXTS = sorted({text for meanings in (*MEANT.values(), *MEANINGLESS.values()) for text in meanings})


def test_texts_mean_what_the_feeds_say(machine: Machine) -> None:
    parsed = machine.parse(pl.DataFrame({"text": TEXTS}))
    for kind, meanings in MEANT.items():
        expected = meanings | dict.fromkeys(MEANINGLESS[kind])
        found = dict(parsed.select("text", kind.value).iter_rows())
        assert {text: found[text] for text in expected} == expected
        assert parsed[kind.value].dtype == nw.Schema({"": kind.dtype}).to_polars()[""]
        assert parsed[given(kind.value)].all()


def test_white_space_alone_is_no_value(machine: Machine) -> None:
    texts = [None, "", " ", "\t\r\n", "\u00a0", "\u2003\u3000"]
    parsed = machine.parse(pl.DataFrame({"text": texts}, schema={"text": pl.String}))
    for kind in Type:
        assert parsed[kind.value].to_list() == [None] * len(texts)
        assert parsed[given(kind.value)].to_list() == [False] * len(texts)


@pytest.mark.long
def test_texts_nearly_right_mean_the_same_everywhere(spark: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    random, alphabet = Random(1), "0123456789+-.,:eETZzx_ \u00a0\n"
    nearly = [
        text[:at] + random.choice((random.choice(alphabet), "")) + text[at + random.randint(0, 1) :]
        for text in random.choices(TEXTS, k=5_000)
        for at in [random.randint(0, len(text))]
    ]
    rows = pl.DataFrame({"text": nearly}).unique()
    on_spark = spark.parse(rows)
    assert_same(POLARS.parse(rows), on_spark, ["text"])
    monkeypatch.setattr(engine_polars, "EPOCH_MS", 1e12)
    with pytest.raises(AssertionError, match="time"):
        assert_same(POLARS.parse(rows), on_spark, ["text"])


@pytest.mark.long
def test_spark_must_count_days_in_utc(spark: Machine) -> None:
    frame = spark.frame(pl.DataFrame({"text": ["5"]}))
    session = frame.to_native().sparkSession
    session.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        with pytest.raises(ValueError, match="timeZone is America/New_York: set it to UTC"):
            spark.engine.parse(frame, {"int": ("text", Type.INT)})
    finally:
        session.conf.set("spark.sql.session.timeZone", "UTC")


# --- the other primitives --------------------------------------------------------------------------------------------


def test_mean_of_money_is_rounded_half_away_from_zero(machine: Machine) -> None:
    cases: list[tuple[str | None, int | None, str | None]] = [
        ("10", 3, "3.3333"),
        ("20", 3, "6.6667"),
        ("0.0001", 2, "0.0001"),
        ("0.0005", 2, "0.0003"),  # half to even would be 0.0002
        ("-0.0001", 2, "-0.0001"),
        ("-20", 3, "-6.6667"),
        ("0", 7, "0"),
        ("99999999999999.9999", 1, "99999999999999.9999"),
        ("99999999999999.9999", 3, "33333333333333.3333"),
        ("0.0001", 3_000_000_000, "0"),
        ("5", 0, None),
        ("5", None, None),
        (None, 5, None),
    ]
    rows = pl.DataFrame(
        [(n, total and Decimal(total), count) for n, (total, count, _) in enumerate(cases)],
        schema={"n": pl.Int64, "total": pl.Decimal(18, 4), "count": pl.Int64},
        orient="row",
    )
    means = machine.rows(machine.engine.mean_money(machine.frame(rows), "mean", "total", "count")).sort("n")
    assert means["mean"].to_list() == [mean and Decimal(mean) for _, _, mean in cases]
    assert means["mean"].dtype == pl.Decimal(18, 4)


def test_duration_is_in_microseconds(machine: Machine) -> None:
    day = 86_400_000_000
    cases: list[tuple[datetime | None, datetime | None, int | None]] = [
        (NOON, NOON, 0),
        (NOON, NOON.replace(microsecond=1), 1),
        (NOON.replace(microsecond=1), NOON, -1),
        (utc(2025, 3, 30), utc(2025, 3, 31), day),  # 23 hours in Berlin
        (utc(2024, 2, 28), utc(2024, 3, 1), 2 * day),
        (utc(1969, 12, 31, 23, 59, 59), utc(1970, 1, 1, 0, 0, 1), 2_000_000),
        (utc(1, 1, 1), utc(9999, 12, 31), 3_652_058 * day),
        (None, NOON, None),
        (NOON, None, None),
    ]
    time = pl.Datetime("us", "UTC")
    schema = {"n": pl.Int64, "start": time, "end": time}
    rows = pl.DataFrame([(n, *case[:2]) for n, case in enumerate(cases)], schema=schema, orient="row")
    found = machine.rows(machine.engine.duration(machine.frame(rows), "micros", "start", "end")).sort("n")
    assert found["micros"].to_list() == [micros for *_, micros in cases]
    assert found["micros"].dtype == pl.Int64


def test_fingerprint_tells_rows_apart_but_not_their_order(machine: Machine) -> None:
    types: list[pl.DataType] = [pl.String(), pl.String(), pl.Decimal(18, 4), pl.Datetime("us", "UTC")]
    schema = dict(zip(("a", "b", "amount", "at"), types, strict=True))
    rows: list[tuple[object, ...]] = [("x", None, Decimal(1), NOON), ("y", "z", None, NOON), ("y", "z", None, NOON)]
    groups: dict[str, list[tuple[object, ...]]] = {
        "as is": rows,
        "another order": rows[::-1],
        "a row less": rows[:2],
        "a row twice": [rows[0], *rows],
        "a value in the next column": [(None, "x", Decimal(1), NOON), *rows[1:]],
        "empty for missing": [("x", "", Decimal(1), NOON), *rows[1:]],
        "a cent": [("x", None, Decimal("1.0001"), NOON), *rows[1:]],
        "a microsecond": [("x", None, Decimal(1), NOON.replace(microsecond=1)), *rows[1:]],
    }
    frame = pl.concat(
        pl.DataFrame(group, schema=schema, orient="row").with_columns(name=pl.lit(name))
        for name, group in groups.items()
    )
    # The name is in each row too, as what rows are grouped by is: the groups have to be looked at one at a time.
    found = {
        name: machine.engine.fingerprint(machine.frame(frame.filter(name=name).with_columns(name=pl.lit(""))), ["name"])
        for name in groups
    }
    counted = {name: machine.rows(fingerprint) for name, fingerprint in found.items()}
    assert {name: rows["rows"].to_list() for name, rows in counted.items()} == {n: [len(g)] for n, g in groups.items()}
    prints = {name: rows["fingerprint"].item() for name, rows in counted.items()}
    assert prints.pop("another order") == prints["as is"]
    assert len({*prints.values()}) == len(prints)


def test_fingerprint_is_the_same_in_every_process() -> None:
    program = """
import narwhals as nw, polars as pl
from decimal import Decimal
from resources.engine_polars import PolarsEngine
rows = pl.DataFrame({"g": ["x", "x"], "n": [1, None], "m": [Decimal("1.50"), None]})
print(PolarsEngine().fingerprint(nw.from_native(rows.lazy()), ["g"]).to_native().collect()["fingerprint"].item())
"""
    printed = {
        subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout
        for env in ({**os.environ, "PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": seed} for seed in "12")
    }
    assert len(printed) == 1
    assert printed.pop().startswith("polars:2:")


# --- contracts and transforms ----------------------------------------------------------------------------------------

PROVENANCE = ["_source", "_version", "_line"]


@pytest.mark.long
@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_rows_are_judged_alike(contract: Contract, spark: Machine) -> None:
    rows = dirty_rows(contract, 150, seed=1)
    judged = POLARS.judge(rows, contract)
    assert {*judged["_outcome"]} == {ACCEPTED, REJECTED, SUPERSEDED}
    assert_same(judged, spark.judge(rows, contract), PROVENANCE)


@pytest.mark.long
def test_rows_are_split_alike(spark: Machine) -> None:
    contract = CONTRACTS["inventory"]
    rows = dirty_rows(contract, 150, seed=2)
    here, there = (split(m.frame(rows), contract, engine=m.engine, start=START) for m in (POLARS, spark))
    for one, other in zip(here, there, strict=True):
        assert_same(POLARS.rows(one), spark.rows(other), PROVENANCE)


DAYS = [date(2025, 6, 1), date(2025, 6, 2)]


def made(answer: Answer, machine: Machine, days: list[date]) -> pl.DataFrame:
    """An answer from what Polars makes of dirty rows, on these days if it has every day."""
    inputs = {read.table: gold(read, days) if read.is_gold else accepted(read, answer, days) for read in answer.inputs}
    if answer.every_day:
        inputs["days"] = pl.DataFrame({"day": days}).with_columns(is_newest=pl.col("day") == DAYS[-1])
    frames = {name: machine.frame(rows) for name, rows in inputs.items()}
    return machine.rows(answer.compute(frames, machine.engine).select(*answer.table.columns))


def accepted(read: Input, answer: Answer, days: list[date]) -> pl.DataFrame:
    contract, engine = CONTRACTS[read.table], POLARS.engine
    rows = dirty_rows(contract, 300, seed=3).drop(contract.partition_columns)
    filed = POLARS.rows(file_under_window(POLARS.frame(rows), contract, engine=engine, start=START))
    found = POLARS.judge(filed, contract).filter(pl.col("_outcome") == ACCEPTED)
    return found.filter(pl.col(read.days[0]).is_in(days)) if answer.every_day else found


def gold(read: Input, days: list[date]) -> pl.DataFrame:
    """What Polars makes of another answer on these days, or on the day before the first of them, which is the first."""
    answer = ANSWERS[read.table.removeprefix("gold/")]
    before = [days[0] - timedelta(days=1)]
    if 0 in read.back:
        return made(answer, POLARS, DAYS).filter(~pl.lit(read.newest_only) | (pl.col(read.days[0]) == DAYS[-1]))
    if days == DAYS:
        return made(answer, POLARS, before)
    return pl.DataFrame(schema=nw.Schema(answer.table.columns).to_polars())


@pytest.mark.long
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answers_are_alike(answer: Answer, spark: Machine) -> None:
    rows = made(answer, POLARS, DAYS)
    assert len(rows) > 1
    assert not [column.name for column in rows if column.null_count() == len(rows)], "nothing to compare"
    assert_same(rows, made(answer, spark, DAYS), list(answer.key))
