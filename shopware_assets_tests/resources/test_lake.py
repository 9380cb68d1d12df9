"""The lake, on a folder and on S3: what a commit changes and leaves alone, and what becomes of writers that meet."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Thread, local
from typing import Any

import boto3
import narwhals as nw
import obstore
import polars as pl
import pytest
from deltalake import DeltaTable, TableFeatures
from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError

from deploy.stand_ins import S3
from resources import lake as lake_module
from resources.lake import Lake, Overtaken, code_version, object_store, polars_schema
from resources.settings import Misconfigured, storage_options
from resources.world import LakeResource
from shopware_assets.contracts.tables import Table
from shopware_assets.contracts.windows import Grain

DAYS = Table("silver/by_day", {"id": nw.Int64(), "day": nw.Date()}, ("day",), Grain.DAY)
HOURS = Table("silver/by_hour", {"id": nw.Int64(), "day": nw.Date(), "hour": nw.Int32()}, ("day", "hour"), Grain.HOUR)
PLAIN = Table("silver/plain", {"id": nw.Int64()})


@pytest.fixture
def folder(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), run_id="run-1")


@pytest.fixture
def s3(seaweedfs: S3, monkeypatch: pytest.MonkeyPatch) -> Lake:
    for name, value in seaweedfs.settings.items():
        monkeypatch.setenv(name, value)
    root = f"{seaweedfs.fresh_folder()}/some/lake"
    return Lake(root, storage_options(root), run_id="run-1")


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest) -> Lake:
    return request.getfixturevalue(request.param)


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2025, 6, day, hour, tzinfo=UTC)


def hours(day: int) -> list[datetime]:
    return [at(day, hour) for hour in range(24)]


def frame(table: Table, rows: Iterable[tuple[int, datetime]]) -> pl.DataFrame:
    """Rows of an id and a window."""
    partitions = [(id, *(window.date(), window.hour)[: len(table.partition_columns)]) for id, window in rows]
    return pl.DataFrame(partitions, schema=polars_schema(table), orient="row")


def stored(lake: Lake, table: Table, windows: Sequence[datetime] | None = None) -> set[tuple[int, datetime]]:
    rows = lake.scan(table, windows).collect()
    found = [(id, datetime(day.year, day.month, day.day, *hour, tzinfo=UTC)) for id, day, *hour in rows.iter_rows()]
    assert len(found) == len(set(found)), "no row is there twice"
    return set(found)


# --- replacing --------------------------------------------------------------------------------------------------------

REPLACED: dict[str, tuple[Table, list[tuple[Sequence[datetime] | None, Sequence[datetime]]]]] = {
    "days": (
        DAYS,
        [
            ([at(1), at(2), at(3), at(4)], [at(1), at(2), at(3), at(4)]),
            ([at(2)], [at(2)]),
            ([at(1), at(3)], [at(3)]),  # of which one has no rows any more
            ([at(9)], [at(9)]),
            ([at(4), at(8)], []),
            (None, [at(5), at(6)]),
            (None, []),
        ],
    ),
    "hours": (
        HOURS,
        [
            ([*hours(1), *hours(2), *hours(3)], [*hours(1), *hours(2), at(3, 5)]),
            ([at(1, 7)], [at(1, 7)]),
            (hours(1), [at(1, 7), at(1, 23)]),  # a whole day
            ([*hours(2), at(3, 5), at(1, 7), at(1, 8)], [at(2, 0), at(1, 8)]),  # a whole day and some hours
            ([at(2, 0), at(2, 1)], []),
            ([*hours(1), *hours(2), *hours(3)], []),
            ([at(3, 5), at(4, 5), at(4, 23)], [at(3, 5), at(4, 5), at(4, 23)]),
            (hours(4)[:23], [at(4, 7)]),  # a day but for its last hour
            (None, [at(4, 6)]),
        ],
    ),
}
"""One after another: the windows replaced, and those that have rows after it."""


@pytest.mark.parametrize(
    ("lake", "story"),
    [("folder", "days"), ("folder", "hours"), pytest.param("s3", "hours", marks=pytest.mark.long)],
    indirect=["lake"],
)
def test_windows_become_exactly_the_frame_and_others_stay(lake: Lake, story: str) -> None:
    table, steps = REPLACED[story]
    expected: set[tuple[int, datetime]] = set()
    for step, (windows, filled) in enumerate(steps):
        rows = {(10 * step + number, window) for number in (1, 2) for window in filled}
        version = lake.replace(table, frame(table, rows), windows)
        expected = rows | {row for row in expected if windows is not None and row[1] not in windows}
        assert stored(lake, table) == expected, step
        assert version == lake.version(table) == step + 1, "a commit each, also when nothing is left"
    assert lake.rows(table) == len(expected)


def test_rows_of_other_windows_are_refused(folder: Lake) -> None:
    folder.replace(HOURS, frame(HOURS, [(1, at(1, 1))]), [at(1, 1)])
    with pytest.raises(DeltaError, match="1 rows failed validation check"):
        folder.replace(HOURS, frame(HOURS, [(2, at(1, 2)), (3, at(1, 1))]), [at(1, 2)])
    assert stored(folder, HOURS) == {(1, at(1, 1))}


def test_rows_can_be_replaced_by_what_holds_for_them(folder: Lake) -> None:
    folder.replace(DAYS, frame(DAYS, [(1, at(1)), (2, at(1)), (3, at(2))]), [at(1), at(2)])
    folder.replace(DAYS, frame(DAYS, [(2, at(1)), (2, at(5))]), None, predicate="id = 2")
    assert stored(folder, DAYS) == {(1, at(1)), (2, at(1)), (2, at(5)), (3, at(2))}


TYPED = Table(
    "bronze/typed",
    {
        "text": nw.String(),
        "whole": nw.Int64(),
        "amount": nw.Decimal(18, 4),
        "time": nw.Datetime("us", "UTC"),
        "share": nw.Float64(),
        "flag": nw.Boolean(),
        "day": nw.Date(),
        "hour": nw.Int32(),
    },
    ("day", "hour"),
    Grain.HOUR,
)
DAY = date(2025, 6, 1)
TYPED_ROWS: list[tuple[Any, ...]] = [
    ("ü \"%41'\n", 2**63 - 1, Decimal("99999999999999.9999"), at(1).replace(microsecond=1), 0.1, True, DAY, 23),
    ("", -1, Decimal("-0.0001"), datetime(1, 1, 1, tzinfo=UTC), -0.0, False, DAY, 0),
    (None, None, None, None, None, None, date(2025, 6, 2), 0),
    ("a marker", 0, None, at(2), None, None, None, None),
]


def test_values_of_every_type_come_back_as_they_went(lake: Lake) -> None:
    rows = pl.DataFrame(TYPED_ROWS, schema=polars_schema(TYPED), orient="row")
    lake.append_once(TYPED, lambda _: iter([rows[:2], rows[2:]]), guard="g")
    lake.replace(TYPED, rows[:1], [at(1, 23)])
    found = lake.scan(TYPED).collect()
    assert found.schema == polars_schema(TYPED)
    assert sorted(found.rows(), key=str) == sorted(TYPED_ROWS, key=str)
    assert lake.scan(TYPED, [at(2, 0)]).collect().rows() == TYPED_ROWS[2:3], "no marker: it has no window"
    counts = lake.counts(TYPED).select("day", "hour", "rows", "files").rows()
    assert sorted(counts, key=str) == sorted(((row[6], row[7], 1, 1) for row in TYPED_ROWS), key=str)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_table_that_was_never_written_is_empty(lake: Lake) -> None:
    assert lake.open(HOURS) is None
    assert (lake.version(HOURS), lake.rows(HOURS), lake.history(HOURS)) == (-1, 0, [])
    assert lake.scan(HOURS, [at(1)]).collect().schema == polars_schema(HOURS)
    assert lake.counts(HOURS).columns == ["day", "hour", "rows", "files", "bytes"]
    assert lake.compact(HOURS, timedelta(days=7)) == {"merged": 0, "made": 0, "deleted": 0}
    lake.check_not_overtaken(HOURS, -1, None)


@pytest.mark.parametrize(
    ("lake", "table", "windows", "folders"),
    [
        ("folder", DAYS, [at(2)], ["day=2025-06-02/"]),
        ("folder", DAYS, [at(1), at(3), at(7)], ["day=2025-06-01/", "day=2025-06-03/"]),
        ("folder", HOURS, [at(2, 5)], ["day=2025-06-02/hour=5/"]),
        ("folder", HOURS, [at(1, 0), *hours(2)], ["day=2025-06-01/hour=0/", "day=2025-06-02/"]),
        ("folder", HOURS, [], []),
        ("s3", HOURS, [at(1, 0), *hours(2)], ["day=2025-06-01/hour=0/", "day=2025-06-02/"]),
    ],
    indirect=["lake"],
)
def test_only_files_of_the_windows_are_read(
    lake: Lake, table: Table, windows: list[datetime], folders: list[str]
) -> None:
    """Without the others, which are taken away, these windows can be read, and no other."""
    each = [at(1), at(2), at(3)] if table is DAYS else [at(day, hour) for day in (1, 2, 3) for hour in (0, 5)]
    every = each if table is DAYS else [*hours(1), *hours(2), *hours(3)]
    lake.replace(table, frame(table, enumerate(each)), every)
    for path in data_files(lake, table):
        if not any(folder in path for folder in folders):
            obstore.delete(object_store(lake.uri(table), lake.options), path)
    assert stored(lake, table, windows) == {(id, w) for id, w in enumerate(each) if w in windows}
    for window in set(each) - set(windows):
        with pytest.raises((OSError, pl.exceptions.ComputeError)):
            stored(lake, table, [*windows, window])


def data_files(lake: Lake, table: Table) -> list[str]:
    listed = obstore.list(object_store(lake.uri(table), lake.options)).collect()
    return [item["path"] for item in listed if item["path"].endswith(".parquet") and "_delta_log" not in item["path"]]


def asks_for_more(handle: DeltaTable) -> None:
    handle.alter.add_feature(TableFeatures.DeletionVectors, allow_protocol_versions_increase=True)


def is_as_it_was(handle: DeltaTable) -> None:
    """The control."""


@pytest.mark.parametrize(
    ("change", "table", "by_polars"),
    [
        (asks_for_more, HOURS, True),
        (is_as_it_was, Table(HOURS.name, HOURS.columns, ("day",), Grain.DAY), True),
        (is_as_it_was, HOURS, False),
    ],
)
def test_what_not_every_reader_understands_is_left_to_polars(
    change: Callable[[DeltaTable], None],
    table: Table,
    by_polars: bool,
    folder: Lake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.replace(HOURS, frame(HOURS, [(1, at(1)), (2, at(2, 5))]), [*hours(1), *hours(2)])
    handle = folder.open(HOURS)
    assert handle
    change(handle)
    asked: list[DeltaTable] = []
    scan_delta = pl.scan_delta
    monkeypatch.setattr(pl, "scan_delta", lambda handle: asked.append(handle) or scan_delta(handle))
    assert folder.scan(table, [at(2, 5)]).collect()["id"].to_list() == [2]
    assert bool(asked) == by_polars


def test_a_table_whose_columns_have_other_names_in_its_files_is_refused(folder: Lake) -> None:
    """Its values would be missing."""
    folder.replace(HOURS, frame(HOURS, [(1, at(1))]), hours(1))
    protocol = {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}
    Path(folder.uri(HOURS), "_delta_log", f"{1:020}.json").write_text(json.dumps(protocol))
    with pytest.raises(DeltaProtocolError, match="column mapping"):
        stored(folder, HOURS, [at(1)])


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_times_of_other_writers_are_read(unit: Any, folder: Lake) -> None:
    table = Table("silver/times", {"time": nw.Datetime("us", "UTC"), "day": nw.Date()}, ("day",), Grain.DAY)
    row = pl.DataFrame([(at(1, 3), at(1).date())], schema=polars_schema(table), orient="row")
    folder.replace(table, row, [at(1)])
    handle = folder.open(table)
    assert handle
    (path,) = handle.file_uris()
    row.select(pl.col("time").dt.cast_time_unit(unit)).write_parquet(path)
    assert folder.scan(table, [at(1)]).collect().equals(row)


def test_of_windows_files_only_times_are_told_from_afar(folder: Lake) -> None:
    columns = {"id": nw.Int64(), "text": nw.String(), "time": nw.Datetime("us", "UTC"), "day": nw.Date()}
    times = Table("silver/times", columns, ("day",), Grain.DAY)
    row = pl.DataFrame([(1, "a", at(1, 3), at(1).date())], schema=polars_schema(times), orient="row")
    for table, rows in ((times, row), (DAYS, frame(DAYS, [(1, at(1))]))):
        folder.replace(table, rows, [at(1)])
        assert folder.rows(table) == 1
    handles = [folder.open(table) for table in (times, DAYS)]
    told = [pl.DataFrame(handle.get_add_actions(flatten=True)).columns for handle in handles if handle]
    assert [[name for name in names if name.startswith("min")] for names in told] == [["min.time"], []]


def test_a_handle_reads_the_table_as_it_was(folder: Lake) -> None:
    folder.replace(DAYS, frame(DAYS, [(1, at(1)), (2, at(2))]), [at(1), at(2)])
    handle = folder.open(DAYS)
    folder.replace(DAYS, frame(DAYS, [(3, at(1))]), [at(1)])
    assert folder.scan(DAYS, handle=handle).collect()["id"].sort().to_list() == [1, 2]
    assert folder.scan(DAYS, [at(1)], handle=handle).collect()["id"].to_list() == [1]
    assert stored(folder, DAYS) == {(3, at(1)), (2, at(2))}


def test_a_table_takes_on_new_columns_and_keeps_those_it_loses(folder: Lake) -> None:
    old = Table("silver/t", {"id": nw.Int64(), "lost": nw.String(), "day": nw.Date()}, ("day",), Grain.DAY)
    new = Table("silver/t", {"amount": nw.Decimal(18, 4), "id": nw.Int64(), "day": nw.Date()}, ("day",), Grain.DAY)
    first, second = at(1).date(), at(2).date()

    def rows(table: Table) -> list[tuple[object, ...]]:
        found = folder.scan(table).collect().sort("id")
        assert folder.scan(table, [at(1), at(2)]).collect().sort("id").equals(found)
        return found.rows()

    folder.replace(
        old, pl.DataFrame([(1, "a", first), (2, "b", second)], schema=["id", "lost", "day"], orient="row"), None
    )
    assert rows(new) == [(None, 1, first), (None, 2, second)]
    made = pl.DataFrame([(Decimal("0.5"), 3, second)], schema=polars_schema(new), orient="row")
    folder.replace(new, made, [at(2)])
    folder.append_once(new, lambda _: iter([made.with_columns(id=4)]), guard="g")
    assert rows(new) == [(None, 1, first), (Decimal("0.5"), 3, second), (Decimal("0.5"), 4, second)]
    assert rows(old) == [(1, "a", first), (3, None, second), (4, None, second)]


# --- what a commit says -----------------------------------------------------------------------------------------------


def test_every_commit_says_who_made_it_and_what_it_touched(folder: Lake) -> None:
    folder.replace(HOURS, frame(HOURS, []), [at(3, 4), at(1, 2)])
    folder.replace(HOURS, frame(HOURS, []), None)
    folder.append_once(HOURS, lambda _: iter([frame(HOURS, [(1, at(1))])]), guard="g")
    _, windows, whole, appended = reversed(folder.history(HOURS))
    assert windows["shopware.windows"] == '["2025-06-01T02:00:00+00:00", "2025-06-03T04:00:00+00:00", 2]'
    assert whole["shopware.windows"] == '["", "9999", 0]'
    assert "shopware.windows" not in appended
    for commit in (windows, whole, appended):
        assert (commit["shopware.run_id"], commit["shopware.code_version"]) == ("run-1", code_version())
    assert len({commit["shopware.write_id"] for commit in (windows, whole, appended)}) == 3
    assert [commit["version"] for commit in folder.history(HOURS, 2)] == [3, 2]


@pytest.mark.parametrize(
    ("table", "written", "asked", "overtaken"),
    [
        (DAYS, [at(2)], [at(2)], True),
        (DAYS, [at(2)], [at(1), at(3)], True),  # one span of windows lies within the other
        (DAYS, [at(1), at(3)], [at(2)], True),
        (DAYS, [at(2)], [at(3)], False),
        (DAYS, [at(2)], [at(1)], False),
        (DAYS, [at(2)], None, True),
        (DAYS, None, [at(2)], True),
        (HOURS, [at(2, 5)], [at(2, 5)], True),
        (HOURS, [at(2, 5)], [at(2, 4)], False),
        (PLAIN, None, None, True),
    ],
)
def test_a_commit_to_the_same_windows_afterwards_is_noticed(
    folder: Lake, table: Table, written: list[datetime] | None, asked: list[datetime] | None, overtaken: bool
) -> None:
    folder.replace(table, frame(table, []), written)
    ours = folder.replace(table, frame(table, []), asked)
    folder.check_not_overtaken(table, ours, asked)
    folder.append_once(table, lambda _: iter([frame(table, [(1, at(2, 5))])]), guard="g")
    folder.compact(table, timedelta(days=7))
    folder.check_not_overtaken(table, ours, asked)
    folder.replace(table, frame(table, []), written)
    if overtaken:
        with pytest.raises(Overtaken, match=f"Another run changed {table.name}"):
            folder.check_not_overtaken(table, ours, asked)
    else:
        folder.check_not_overtaken(table, ours, asked)


# --- writers that meet ------------------------------------------------------------------------------------------------

Job = Callable[[], object]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """Runs jobs, each of which has opened its table before any writes to it; what they return or raise."""

    def run(*jobs: Job) -> list[object]:
        opened, mine, made = Barrier(len(jobs)), local(), Lake._made

        def wait_for_the_others(self: Lake, table: Table) -> DeltaTable:
            handle = made(self, table)
            if not hasattr(mine, "waited"):
                mine.waited = True
                opened.wait(60)
            return handle

        with monkeypatch.context() as patch, ThreadPoolExecutor(len(jobs)) as pool:
            patch.setattr(Lake, "_made", wait_for_the_others)
            futures = [pool.submit(job) for job in jobs]
            return [future.exception() or future.result() for future in futures]

    return run


def adding(lake: Lake, ids: Sequence[int], asked: list[int], guard: str = "ingest") -> Job:
    """Adds those of `ids` that are not there yet; `asked` counts how often that is worked out."""

    def missing(handle: DeltaTable) -> Iterator[pl.DataFrame] | None:
        asked.append(1)
        known = lake.scan(PLAIN, handle=handle).collect()["id"]
        new = [id for id in ids if id not in known]
        return iter(pl.DataFrame({"id": [id]}) for id in new) if new else None

    return partial(lake.append_once, PLAIN, missing, guard=guard)


@pytest.mark.parametrize(
    ("lake", "there", "one", "other", "together", "commits"),
    [
        ("folder", True, [1, 2], [1, 2], [1, 2], 1),
        ("folder", True, [1, 2], [3], [1, 2, 3], 2),
        ("folder", True, [1, 2], [2, 3], [1, 2, 3], 2),
        ("folder", False, [1, 2], [1, 2], [1, 2], 1),
        ("s3", False, [1, 2], [2, 3], [1, 2, 3], 2),
    ],
    indirect=["lake"],
)
def test_of_two_guarded_writers_the_second_looks_again(
    lake: Lake,
    at_once: Callable[..., list[object]],
    there: bool,
    one: list[int],
    other: list[int],
    together: list[int],
    commits: int,
) -> None:
    if there:
        adding(lake, [0], [])()
    asked: list[int] = []
    before = max(lake.version(PLAIN), 0)
    assert at_once(adding(lake, one, asked), adding(lake, other, asked)) == [None, None]
    assert lake.scan(PLAIN).collect()["id"].sort().to_list() == [0] * there + together
    assert (lake.version(PLAIN) - before, len(asked)) == (commits, 3)


def test_writers_under_different_guards_do_not_see_each_other(
    folder: Lake, at_once: Callable[..., list[object]]
) -> None:
    """The control: it is the guard that keeps the second from adding the same."""
    at_once(adding(folder, [1, 2], [], guard="a"), adding(folder, [1, 2], [], guard="b"))
    assert folder.scan(PLAIN).collect()["id"].sort().to_list() == [1, 1, 2, 2]


def test_what_is_there_is_not_added_again(folder: Lake) -> None:
    rows = pl.DataFrame({"id": [1, 2]})
    folder.add_missing(PLAIN, rows[:1], "id")
    folder.add_missing(PLAIN, rows, "id")
    version = folder.version(PLAIN)
    folder.add_missing(PLAIN, rows, "id")
    assert folder.scan(PLAIN).collect()["id"].sort().to_list() == [1, 2]
    assert folder.version(PLAIN) == version, "nothing to add is no commit"


def test_what_fails_while_it_is_read_leaves_nothing(folder: Lake) -> None:
    def breaks_off(_: DeltaTable) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"id": range(200_000)})
        raise RuntimeError("a broken disk")

    with pytest.raises((DeltaError, OSError, RuntimeError), match="a broken disk"):
        folder.append_once(PLAIN, breaks_off, guard="g")
    assert (folder.version(PLAIN), folder.rows(PLAIN)) == (0, 0)


@pytest.mark.timeout(20)
def test_a_table_that_takes_no_commits_is_no_race(folder: Lake) -> None:
    folder.replace(PLAIN, pl.DataFrame({"id": [1]}), None)
    newer = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["identityColumns"]}}
    Path(folder.uri(PLAIN), "_delta_log", "00000000000000000002.json").write_text(json.dumps(newer))
    with pytest.raises(DeltaError, match="IdentityColumns"):
        folder.append_once(PLAIN, lambda _: iter([pl.DataFrame({"id": [2]})]), guard="g")
    with pytest.raises(DeltaError, match="IdentityColumns"):
        folder.replace(PLAIN, pl.DataFrame({"id": [2]}), None)


MEETINGS: dict[str, tuple[Table, Sequence[datetime] | None, Sequence[datetime] | None]] = {
    "a day": (DAYS, [at(1)], [at(1)]),
    "a day of several": (DAYS, [at(1), at(2)], [at(2), at(3)]),
    "an hour": (HOURS, [at(1, 5)], [at(1, 5)]),
    "an hour of a day": (HOURS, hours(1), [at(1, 5)]),
    "all and a day": (DAYS, None, [at(1)]),
    "all of a table with windows": (HOURS, None, None),
    "all of a table without": (PLAIN, None, None),
}


@pytest.mark.parametrize("filled", [False, True], ids=["none there", "some there"])
@pytest.mark.parametrize(
    ("lake", "meeting"), [*(("folder", meeting) for meeting in MEETINGS), ("s3", "an hour of a day")], indirect=["lake"]
)
def test_of_two_that_replace_the_same_one_is_told(
    lake: Lake, at_once: Callable[..., list[object]], meeting: str, filled: bool
) -> None:
    table, one, other = MEETINGS[meeting]
    where = (other or one or [at(1, 5)])[0]  # what both replace
    lake.replace(table, frame(table, [(0, where)] if filled else []), None)
    mine, theirs = [(1, where), (2, where)], [(3, where)]
    found = at_once(
        partial(lake.replace, table, frame(table, mine), one), partial(lake.replace, table, frame(table, theirs), other)
    )
    lost = [isinstance(result, Overtaken) for result in found]
    assert sorted(lost) == [False, True], found
    assert sorted(lake.scan(table).collect()["id"]) == ([3] if lost[0] else [1, 2])
    assert found[lost.index(False)] == lake.version(table)


def test_many_that_replace_windows_of_their_own_all_succeed(lake: Lake, at_once: Callable[..., list[object]]) -> None:
    """On a table that is not there yet: each of them makes it, and the first commit of one must not undo another's."""
    rows = [(hour, at(1 + hour // 3, hour)) for hour in range(6)]
    found = at_once(*(partial(lake.replace, HOURS, frame(HOURS, [row]), [row[1]]) for row in rows))
    assert sorted(map(str, found)) == ["1", "2", "3", "4", "5", "6"]
    assert stored(lake, HOURS) == set(rows)


# --- replies that are lost --------------------------------------------------------------------------------------------

Write = Callable[..., None]


def replies(then: Exception, *, made: bool) -> Write:
    """A write whose reply is an error; the commit was made, or was not."""
    write = lake_module.write_deltalake

    def answer(*args: Any, **kwargs: Any) -> None:
        if made:
            write(*args, **kwargs)
        raise then

    return answer


@pytest.mark.parametrize(
    "error", [OSError("reset by peer"), CommitFailedError("timed out")], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("kind", ["replace", "append_once"])
def test_a_commit_that_was_made_is_made_whatever_the_reply(
    folder: Lake, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    folder.replace(PLAIN, pl.DataFrame({"id": [0]}), None)
    monkeypatch.setattr(lake_module, "write_deltalake", replies(error, made=True))
    if kind == "replace":
        assert folder.replace(PLAIN, pl.DataFrame({"id": [1]}), None) == 2
        assert folder.scan(PLAIN).collect()["id"].to_list() == [1]
    else:
        adding(folder, [1], [])()
        assert folder.scan(PLAIN).collect()["id"].sort().to_list() == [0, 1]
    assert folder.version(PLAIN) == 2


@pytest.mark.parametrize(("error", "raised"), [(OSError("no route"), OSError), (CommitFailedError("lost"), Overtaken)])
def test_a_commit_that_was_not_made_is_told(
    folder: Lake, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception]
) -> None:
    """The control, also with a commit of somebody else in the place where ours would be."""
    folder.replace(PLAIN, pl.DataFrame({"id": [0]}), None)
    lost = replies(error, made=False)
    write = lake_module.write_deltalake

    def after_somebody_else(*args: Any, **kwargs: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(lake_module, "write_deltalake", write)
            folder.replace(PLAIN, pl.DataFrame({"id": [7]}), None)
        lost()

    monkeypatch.setattr(lake_module, "write_deltalake", after_somebody_else)
    with pytest.raises(raised):
        folder.replace(PLAIN, pl.DataFrame({"id": [1]}), None)
    assert folder.scan(PLAIN).collect()["id"].to_list() == [7]


@pytest.mark.parametrize("unreadable", [1, 3, 99])
def test_the_log_is_looked_at_until_it_can_be_read(
    folder: Lake, monkeypatch: pytest.MonkeyPatch, unreadable: int
) -> None:
    folder.replace(PLAIN, pl.DataFrame({"id": [0]}), None)
    left, look = [unreadable], Lake.open

    def opened(self: Lake, table: Table) -> DeltaTable | None:
        if self.root == "looking" and left[0]:
            left[0] -= 1
            raise OSError("no route to the log")
        return look(folder, table)

    looking = Lake("looking")
    handle = look(folder, PLAIN)
    assert handle
    write = partial(replies(OSError("reset"), made=True), data=pl.DataFrame({"id": [1]}).to_arrow(), mode="append")
    monkeypatch.setattr(Lake, "open", opened)
    monkeypatch.setattr(lake_module, "_LOOK_AGAIN", (0, 0, 0))
    if unreadable < 4:
        assert looking._commit(PLAIN, handle, write) == 2
    else:
        with pytest.raises(OSError, match="no route to the log"):
            looking._commit(PLAIN, handle, write)


# --- compaction -------------------------------------------------------------------------------------------------------


def test_compaction_keeps_rows_and_disturbs_no_reader(lake: Lake) -> None:
    rows = [(number, at(1 + number % 2)) for number in range(6)]
    for row in rows:
        lake.append_once(DAYS, lambda _, row=row: iter([frame(DAYS, [row])]), guard="g")
    reader = lake.open(DAYS)
    assert lake.compact(DAYS, timedelta(days=7)) == {"merged": 6, "made": 2, "deleted": 0}
    assert lake.counts(DAYS)["files"].to_list() == [1, 1]
    assert stored(lake, DAYS) == set(rows)
    assert lake.scan(DAYS, handle=reader).collect().height == 6
    assert lake.compact(DAYS, timedelta(days=7)) == {"merged": 0, "made": 0, "deleted": 0}
    assert len(data_files(lake, DAYS)) == 8, "what older versions need stays"


def test_compaction_leaves_a_checkpoint(folder: Lake) -> None:
    folder.replace(PLAIN, pl.DataFrame({"id": [1]}), None)
    checkpoint = Path(folder.uri(PLAIN), "_delta_log", "_last_checkpoint")
    assert not checkpoint.exists()
    folder.compact(PLAIN, timedelta(days=7))
    assert json.loads(checkpoint.read_text())["version"] == folder.version(PLAIN)


def test_compaction_deletes_what_was_replaced_long_ago(folder: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        folder.replace(PLAIN, pl.DataFrame({"id": [number]}), None)
    for log in Path(folder.uri(PLAIN), "_delta_log").glob("*.json"):
        log.write_text(log.read_text().replace('"deletionTimestamp":1', '"deletionTimestamp":0'))  # decades ago
    assert folder.compact(PLAIN, timedelta(days=7))["deleted"] == 1
    assert len(data_files(folder, PLAIN)) == 1
    assert folder.scan(PLAIN).collect()["id"].to_list() == [2]


# --- start-up ---------------------------------------------------------------------------------------------------------


def test_a_store_that_refuses_a_second_create_is_taken(lake: Lake) -> None:
    lake.check_store()
    lake.check_readable()
    assert obstore.list(object_store(lake.root, lake.options)).collect() == [], "it leaves nothing"


@contextmanager
def forgetful_store(second_create: int) -> Iterator[str]:
    """An S3 with one empty bucket that answers PUTs with 200, but a second one of the same key with this status."""
    put: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: bytes = b"") -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

        def do_PUT(self) -> None:
            assert self.headers["If-None-Match"] == "*"
            self.answer(second_create if self.path in put else 200)
            put.add(self.path)

        def do_POST(self) -> None:
            self.answer(200, b"<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>")

        def do_DELETE(self) -> None:
            self.answer(204)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


WAYS = {
    "settle": lambda url: Lake(url, storage_options(url)).check_store(),
    "dagster": lambda url: LakeResource(url=url).open(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("second_create", [200, 409, 412])
def test_a_store_that_overwrites_on_create_is_refused(
    second_create: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://bucket/{second_create}"
    with forgetful_store(second_create) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        if second_create == 200:
            for _ in range(2):  # it is not got used to
                with pytest.raises(Misconfigured, match=f"SHOPWARE_LAKE is '{url}', whose store overwrites"):
                    WAYS[way](url)
        else:
            WAYS[way](url)


def test_dagster_checks_a_store_once_and_a_folder_never(
    s3: Lake, folder: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def noted(url: str, options: dict[str, str]) -> obstore.store.ObjectStore:
        checked.append(url)
        return object_store(url, options)

    monkeypatch.setattr(lake_module, "object_store", noted)
    LakeResource(url=s3.root).for_reading()
    LakeResource(url=folder.root).open()
    assert checked == []
    assert LakeResource(url=s3.root).open() == Lake(s3.root, s3.options)
    assert set(checked) == {s3.root}
    checked.clear()
    assert LakeResource(url=s3.root).open("run-2") == Lake(s3.root, s3.options, "run-2")
    assert checked == []


@pytest.mark.parametrize(("setting", "encrypted"), [("AES256", {"AES256"}), ("", {None})])
def test_all_that_is_written_is_encrypted_as_set(s3: Lake, setting: str, encrypted: set[str | None]) -> None:
    lake = Lake(s3.root, storage_options(s3.root, setting))
    lake.replace(PLAIN, pl.DataFrame({"id": [1]}), None)
    assert lake.scan(PLAIN).collect()["id"].to_list() == [1]
    client = boto3.client("s3")
    bucket, _, folder = s3.root.removeprefix("s3://").partition("/")
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]]
    assert {key.rpartition(".")[2] for key in keys} == {"json", "parquet"}
    found = {client.head_object(Bucket=bucket, Key=key).get("ServerSideEncryption") for key in keys}
    assert found == encrypted
