"""Windows: which hour or day an object belongs to, and how windows make ranges."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopware_assets.contracts.windows import Grain, contiguous, landing_window

START = datetime(2025, 1, 1, tzinfo=UTC)
LANDED = datetime(2025, 6, 2, 6, 30, tzinfo=UTC)


def hour(day: int, hour: int = 0, month: int = 6) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "window"),
    [
        # every way to write a date, with and without its hour
        ("inventory/2025-06-01.jsonl", hour(1)),
        ("inventory/2025-06-01-13.jsonl", hour(1, 13)),
        ("inventory/2025-06-01-13:00.jsonl", hour(1, 13)),
        ("inventory/2025-06-01T13:45.jsonl", hour(1, 13)),
        ("inventory/2025-06-01/13.jsonl", hour(1, 13)),
        ("inventory/dt=2025-06-01/hour=13/part-0001.jsonl.gz", hour(1, 13)),
        ("inventory/2025/06/01/13.jsonl", hour(1, 13)),
        ("inventory/2025/6/1/13/part.jsonl", hour(1, 13)),
        ("inventory/20250601.jsonl", hour(1)),
        ("inventory/2025060113.jsonl", hour(1, 13)),
        ("inventory/20250601134500.jsonl", hour(1, 13)),
        ("inventory/snap_20250601_134500.jsonl", hour(1, 13)),
        ("inventory/snap_20250601T13.jsonl", hour(1, 13)),
        ("inventory/2025-06-01-25.jsonl", hour(1)),  # no such hour
        # the last valid date counts
        ("inventory/2025-05-01/2025-06-01.jsonl", hour(1)),
        ("inventory/2025-06-01/2025-02-30.jsonl", hour(1)),
        ("inventory/2025-06-01/2025-13-01.jsonl", hour(1)),
        # between the start and a day after landing
        ("inventory/2025-06-01/2025-06-05.jsonl", hour(1)),
        ("inventory/2025-06-03-06.jsonl", hour(3, 6)),
        ("inventory/2025-06-03-07.jsonl", hour(2, 6)),
        ("inventory/2025-01-01.jsonl", hour(1, month=1)),
        ("inventory/2024-12-31/2025-06-01.jsonl", hour(1)),
        ("inventory/2025-06-01/2024-12-31.jsonl", hour(1)),
        # before the start, where there is no other: a number in a name may look like a date
        ("inventory/2024-12-31-23.jsonl", datetime(2024, 12, 31, 23, tzinfo=UTC)),
        ("inventory/2024-12-31/2019/01/01/00.jsonl", datetime(2019, 1, 1, tzinfo=UTC)),
        ("inventory/2025-06-01/batch_20081130.jsonl", hour(1)),
        # no date: when it landed
        ("inventory/stock.jsonl", hour(2, 6)),
        ("inventory/2025.jsonl", hour(2, 6)),
        ("inventory/123-2025-06-012.jsonl", hour(2, 6)),
        ("inventory/99202506011.jsonl", hour(2, 6)),
        ("inventory/events-1751012345.jsonl", hour(2, 6)),  # an epoch, not the 23rd of January 1751
        ("inventory/events-1748736939123.jsonl", hour(2, 6)),
        ("", hour(2, 6)),
    ],
)
def test_an_object_lands_in_the_window_that_its_key_names(key: str, window: datetime) -> None:
    assert landing_window(key, LANDED, Grain.HOUR, START) == window
    assert landing_window(key, LANDED, Grain.DAY, START) == window.replace(hour=0)


times = st.datetimes(datetime(2024, 6, 1), datetime(2027, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))
grains = st.sampled_from(Grain)


@given(
    key=st.text(alphabet="2025-01/_Tz:=hour") | st.builds("a/{:%Y-%m-%d-%H}/b".format, times),
    landed_at=times,
    grain=grains,
)
def test_every_object_has_a_window(key: str, landed_at: datetime, grain: Grain) -> None:
    window = landing_window(key, landed_at, grain, START)
    assert window == grain.floor(window)
    assert window <= landed_at + timedelta(hours=24)


@given(time=times, grain=grains, offset=st.integers(-14 * 60, 14 * 60))
def test_a_window_holds_its_time_whatever_the_offset(time: datetime, grain: Grain, offset: int) -> None:
    window = grain.floor(time.astimezone(timezone(timedelta(minutes=offset))))
    assert window <= time < window + grain.length
    assert window.utcoffset() == timedelta(0)
    assert grain.floor(window) == window


@given(time=times, grain=grains)
def test_names_and_windows_are_one_to_one(time: datetime, grain: Grain) -> None:
    window = grain.floor(time)
    assert grain.parse(grain.label(window)) == window
    assert grain.label(window) != grain.label(window + grain.length)


def test_names_are_those_of_dagster_partitions() -> None:
    assert Grain.HOUR.label(hour(1, 13)) == "2025-06-01-13:00"
    assert Grain.DAY.label(hour(1)) == "2025-06-01"


@pytest.mark.parametrize(
    ("grain", "name"), [(Grain.DAY, "2025-06-01-13:00"), (Grain.HOUR, "2025-06-01"), (Grain.DAY, "x")]
)
def test_other_names_are_refused(grain: Grain, name: str) -> None:
    with pytest.raises(ValueError):
        grain.parse(name)


def test_between_names_both_ends() -> None:
    assert list(Grain.HOUR.between(hour(1, 22), hour(2, 1))) == [hour(1, 22), hour(1, 23), hour(2, 0), hour(2, 1)]
    assert list(Grain.DAY.between(hour(2), hour(1))) == []


def test_ranges_are_as_long_as_windows_follow_one_another() -> None:
    windows = [hour(1, 5), hour(1, 3), hour(1, 4), hour(1, 8), hour(1, 3)]
    assert contiguous(windows, Grain.HOUR) == [(hour(1, 3), hour(1, 5)), (hour(1, 8), hour(1, 8))]
    assert contiguous(windows, Grain.HOUR, bridge=1) == [(hour(1, 3), hour(1, 5)), (hour(1, 8), hour(1, 8))]
    assert contiguous(windows, Grain.HOUR, bridge=2) == [(hour(1, 3), hour(1, 8))]
    assert contiguous([hour(1), hour(2), hour(4)], Grain.DAY) == [(hour(1), hour(2)), (hour(4), hour(4))]
    assert contiguous([], Grain.DAY) == []


@given(offsets=st.lists(st.integers(0, 60)), bridge=st.integers(0, 4), grain=grains)
def test_ranges_cover_what_was_named_and_no_wider_gap(offsets: list[int], bridge: int, grain: Grain) -> None:
    windows = {START + offset * grain.length for offset in offsets}
    ranges = contiguous(windows, grain, bridge)
    covered = [window for first, last in ranges for window in grain.between(first, last)]
    assert windows <= {*covered}
    assert covered == sorted({*covered})
    assert all(first in windows and last in windows for first, last in ranges)
    unnamed = "".join("x" if window in windows else "." for window in covered)
    assert "." * (bridge + 1) not in unnamed
    for (_, end), (begin, _) in pairwise(ranges):
        assert begin - end > (bridge + 1) * grain.length
