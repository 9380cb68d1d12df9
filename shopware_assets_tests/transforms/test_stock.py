"""Stock day by day and stockouts: the example of the definitions, and any snapshots against an hour-by-hour walk."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.engine_polars import PolarsEngine
from shopware_assets.transforms.answer import Answer
from shopware_assets.transforms.stock import INVENTORY_DAILY, STOCKOUTS

START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SNAPSHOTS = {
    **dict.fromkeys(("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold"), pl.Int64),
    "stock_status": pl.String,
    "last_updated": pl.Datetime("us", "UTC"),
    "_landed_at": pl.Datetime("us", "UTC"),
    "_source": pl.String,
    "_version": pl.String,
    "_line": pl.Int64,
}

Row = dict[str, Any]


class Snapshot(NamedTuple):
    """A count, `hour` hours after the start; later ones of a list are newer rows."""

    hour: int
    level: int
    product: int = 1


class Made(NamedTuple):
    daily: list[Row]
    stockouts: list[Row]


def made(snapshots: Sequence[Snapshot], ends: Sequence[int] = ()) -> Made:
    """Both tables, from snapshots that reach over some days; `ends`: days after which a new batch begins, from 0."""
    rows = pl.DataFrame(
        [
            (i, s.product, 7, s.level, None if i % 3 else i, f"status {i}", START + s.hour * HOUR, START, "a", "1", i)
            for i, s in enumerate(snapshots)
        ],
        schema=SNAPSHOTS,
        orient="row",
    ).with_columns(last_updated_date=pl.col("last_updated").dt.date())
    last = max(s.hour for s in snapshots) // 24
    first = min(s.hour for s in snapshots) // 24
    daily, stockouts = _empty(INVENTORY_DAILY), _empty(STOCKOUTS)
    for batch in _cut(range(first, last + 1), ends):
        days = pl.DataFrame({"day": [(START + n * DAY).date() for n in batch], "is_newest": [n == last for n in batch]})
        inputs = {
            "inventory": rows.join(days, left_on="last_updated_date", right_on="day", how="semi"),
            "gold/inventory_daily": daily,
            "days": days,
        }
        daily, stockouts = (
            pl.concat([before, _computed(answer, inputs)])
            for answer, before in ((INVENTORY_DAILY, daily), (STOCKOUTS, stockouts))
        )
    return Made(daily.sort("product_id", "date").to_dicts(), stockouts.sort("product_id", "started_at").to_dicts())


def _computed(answer: Answer, inputs: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of the days that are asked for, as they would be stored."""
    lazy = {name: nw.from_native(frame.lazy()) for name, frame in inputs.items()}
    rows = answer.compute(lazy, PolarsEngine()).to_native().select(list(answer.table.columns)).collect()
    return rows.join(inputs["days"], left_on="date", right_on="day", how="semi").cast(dict(_empty(answer).schema))  # type: ignore[arg-type]


def _empty(answer: Answer) -> pl.DataFrame:
    schema = nw.Schema({measure.name: measure.type.dtype for measure in answer.measures})
    return pl.DataFrame(schema=schema.to_polars())


def _cut(days: Sequence[int], ends: Sequence[int]) -> list[list[int]]:
    return [list(batch) for _, batch in groupby(days, key=lambda day: sum(end < day for end in set(ends)))]


# --- By hand ---------------------------------------------------------------------------------------------------------

EXAMPLE = [Snapshot(10, 7), Snapshot(24 + 8, 10), Snapshot(24 + 12, 0), Snapshot(24 + 20, 5), Snapshot(48 + 3, 1, 2)]


def test_the_worked_example_of_the_definitions() -> None:
    """Carried in 7; 08:00 10; 12:00 0; 20:00 5."""
    _, day, _ = (row for row in made(EXAMPLE).daily if row["product_id"] == 1)
    assert (day["opening_stock"], day["closing_stock"], day["min_stock"]) == (7, 5, 0)
    assert round(day["average_stock"], 4) == 4.8333
    assert (day["observed_hours"], day["hours_out_of_stock"]) == (24, 8)
    assert (day["stockouts"], day["restocks"], day["units_restocked"]) == (1, 2, 8)
    (stockout,) = made(EXAMPLE).stockouts
    assert (stockout["started_at"], stockout["ended_at"]) == (START + 36 * HOUR, START + 44 * HOUR)
    assert (stockout["hours"], stockout["date"]) == (8, date(2025, 3, 2))


def test_the_first_day_is_observed_from_the_first_snapshot_and_the_newest_to_the_newest_time() -> None:
    first, _, newest = (row for row in made(EXAMPLE).daily if row["product_id"] == 1)
    assert (first["observed_hours"], first["opening_stock"], first["average_stock"]) == (14, 7, 7)
    assert (newest["observed_hours"], newest["opening_stock"], newest["average_stock"]) == (3, 5, 5)
    (other,) = (row for row in made(EXAMPLE).daily if row["product_id"] == 2)
    assert (other["observed_hours"], other["average_stock"]) == (0, None), "nothing is observed yet"


def test_stock_of_any_size_has_an_average() -> None:
    level = 2**62  # times the microseconds of an hour, more than 64 bits hold
    (day,) = made([Snapshot(0, level), Snapshot(12, 0), Snapshot(18, 0)]).daily
    assert day["average_stock"] == level * 12 / 18


def test_a_shortage_counted_every_hour_over_midnight_is_one_stockout() -> None:
    found = made([Snapshot(0, 3), *(Snapshot(hour, 0) for hour in range(20, 30)), Snapshot(30, 2)], ends=[0])
    assert [(row["hours"], row["date"].day) for row in found.stockouts] == [(10, 2)]
    assert [row["stockouts"] for row in found.daily] == [1, 0]
    assert [row["hours_out_of_stock"] for row in found.daily] == [4, 6]
    assert [row["restocks"] for row in found.daily] == [0, 1]


def test_a_first_snapshot_of_nothing_opens_a_stockout_but_is_no_transition() -> None:
    found = made([Snapshot(5, 0), Snapshot(30, 1, 2)])
    assert [(row["stockouts"], row["out_since"]) for row in found.daily if row["product_id"] == 1] == [
        (0, START + 5 * HOUR)
    ] * 2
    (stockout,) = found.stockouts
    assert (stockout["ended_at"], stockout["hours"], stockout["date"].day) == (None, 25, 2)


def test_of_two_records_at_one_time_the_newest_row_wins() -> None:
    found = made([Snapshot(5, 9), Snapshot(5, 0), Snapshot(5, 4), Snapshot(6, 4)])
    assert [(row["opening_stock"], row["min_stock"], row["stockouts"]) for row in found.daily] == [(4, 4, 0)]
    assert not found.stockouts


@pytest.mark.parametrize("ends", [[], [0], [0, 1]])
def test_a_snapshot_at_midnight_is_of_the_day_that_begins(ends: list[int]) -> None:
    found = made([Snapshot(2, 5), Snapshot(24, 0), Snapshot(48, 8), Snapshot(50, 8)], ends)
    assert [row["opening_stock"] for row in found.daily] == [5, 5, 0]
    assert [row["closing_stock"] for row in found.daily] == [5, 0, 8]
    assert [row["hours_out_of_stock"] for row in found.daily] == [0, 24, 0]
    assert [row["stockouts"] for row in found.daily] == [0, 1, 0]
    assert [row["units_restocked"] for row in found.daily] == [0, 0, 8]
    assert [row["date"].day for row in found.stockouts] == [3]


def test_a_day_ends_with_the_threshold_of_its_newest_snapshot_also_if_that_has_none() -> None:
    found = made([Snapshot(1, 5), Snapshot(2, 5), Snapshot(80, 5, 2)])  # the first has one, the second none
    assert [(row["inventory_id"], row["restock_threshold"]) for row in found.daily if row["product_id"] == 1] == [
        (1, None)
    ] * 4


# --- Any snapshots ---------------------------------------------------------------------------------------------------


def walked(snapshots: Sequence[Snapshot]) -> Made:
    """The same, by walking through the hours and looking at the shelf."""
    newest = max(s.hour for s in snapshots)
    daily, stockouts = [], []
    for product in sorted({s.product for s in snapshots}):
        counted = {s.hour: (number, s.level) for number, s in enumerate(snapshots) if s.product == product}
        shelf: int | None = None
        number, out_since, day = 0, None, {}
        for hour in range(24 * (newest // 24 + 1)):
            if hour % 24 == 0:
                day = {"levels": [shelf] if shelf is not None else [], "hours": [], "falls": 0, "rises": []}
            if hour in counted:
                before, (number, shelf) = shelf, counted[hour]
                day["levels"].append(shelf)
                if before is not None and shelf > before:
                    day["rises"].append(shelf - before)
                day["falls"] += bool(before) and shelf == 0
                if shelf > 0 and out_since is not None:
                    stockouts.append(_stockout(product, out_since, hour, hour))
                out_since = None if shelf > 0 else hour if out_since is None else out_since
            if shelf is not None and hour < newest:  # what is there for this hour
                day["hours"].append(shelf)
            if hour % 24 == 23 and shelf is not None:
                daily.append(_day(product, hour // 24, number, out_since, **day))
        if out_since is not None:
            stockouts.append(_stockout(product, out_since, None, newest))
    return Made(daily, stockouts)


def _stockout(product: int, started: int, ended: int | None, until: int) -> Row:
    return {
        "product_id": product,
        "warehouse_id": 7,
        "date": (START + until * HOUR).date(),
        "started_at": START + started * HOUR,
        "ended_at": None if ended is None else START + ended * HOUR,
        "hours": until - started,
    }


def _day(
    product: int,
    day: int,
    number: int,
    out_since: int | None,
    levels: list[int],
    hours: list[int],
    falls: int,
    rises: list[int],
) -> Row:
    return {
        "product_id": product,
        "warehouse_id": 7,
        "date": (START + day * DAY).date(),
        "opening_stock": levels[0],
        "closing_stock": levels[-1],
        "min_stock": min(levels),
        "average_stock": sum(hours) / len(hours) if hours else None,
        "observed_hours": len(hours),
        "hours_out_of_stock": hours.count(0),
        "stockouts": falls,
        "restocks": len(rises),
        "units_restocked": sum(rises),
        "out_since": None if out_since is None else START + out_since * HOUR,
        "inventory_id": number,
        "restock_threshold": None if number % 3 else number,
        "stock_status": f"status {number}",
    }


def _without_times_of_snapshots(found: Made) -> Made:
    return Made([{k: v for k, v in row.items() if k != "last_updated"} for row in found.daily], found.stockouts)


counts = st.builds(Snapshot, st.integers(0, 24 * 4 - 1), st.sampled_from([0, 0, 1, 2, 9]), st.sampled_from([1, 2]))


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(st.lists(counts, min_size=1, max_size=14), st.lists(st.integers(0, 2), max_size=3))
def test_any_snapshots_in_any_batches_are_what_a_walk_through_the_hours_sees(
    snapshots: list[Snapshot], ends: list[int]
) -> None:
    expected = walked(snapshots)
    assert _without_times_of_snapshots(made(snapshots)) == expected
    assert made(snapshots, ends) == made(snapshots, range(4)) == made(snapshots)
