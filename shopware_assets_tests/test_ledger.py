"""The ledger: which version of an object counts, which windows are done, which are held, and what one write touches."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from resources.lake import Lake, polars_schema
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import Table, bronze, silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import ALLOWED, LEDGER, LINEAGE, WHOLE

CONTRACT = CONTRACTS["orders"]
ORDERS, ITEMS = silver(CONTRACT), silver(CONTRACTS["order_items"])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path), run_id="run-1")


def at(hour: int) -> datetime:
    return datetime(2025, 6, 1, hour, tzinfo=UTC)


# --- windows by name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [ORDERS, silver(CONTRACTS["inventory"]), silver(CONTRACTS["products"])], ids=str)
def test_a_window_has_one_name(table: Table) -> None:
    """In the ledger, of a row on disk, and for Dagster."""
    window = datetime(2025, 6, 1, 0 if table.grain is Grain.DAY else 7, tzinfo=UTC)
    columns = dict(zip(table.partition_columns, (window.date(), window.hour), strict=False))
    of_a_row = pl.DataFrame({"id": [1], **{name: [value] for name, value in columns.items()}})
    name = {Grain.DAY: "2025-06-01", Grain.HOUR: "2025-06-01-07:00", None: WHOLE}[table.grain]
    assert ledger.window_name(window if table.grain else None, table.grain) == name
    assert of_a_row.select(ledger.named_window(table)).to_series().to_list() == [name]


# --- markers ----------------------------------------------------------------------------------------------------------

Version = tuple[str, int, str]
"""A version of an object: its name, the hour it landed, its outcome."""


def ingest(lake: Lake, versions: Iterable[Version]) -> None:
    """Leaves the markers of versions of one object; and a row beside them, which is none."""
    rows: list[dict[str, object]] = [
        {
            "_source": "a",
            "_version": version,
            "_line": 0,
            "_landed_at": at(hour),
            "_window": at(0),
            "_marker": json.dumps(
                {"outcome": outcome, "rows": 3, "windows": [{"window": "2025-06-01", "rows": 3}], "undeclared": 1}
                | {"missing_columns": ["status"], "reason": None}
            ),
        }
        for version, hour, outcome in versions
    ]
    rows.append({"_source": "a", "_version": "1", "_line": 1, "created_date": date(2025, 6, 1)})
    frame = pl.DataFrame(rows, schema=polars_schema(bronze(CONTRACT)))
    lake.append_once(bronze(CONTRACT), lambda _: iter([frame]), guard="ingest")


@pytest.mark.parametrize(
    ("versions", "current"),
    [
        ([("1", 1, "ingested")], {"1"}),
        ([("1", 1, "ingested"), ("2", 2, "ingested")], {"2"}),
        ([("2", 1, "ingested"), ("1", 2, "ingested")], {"1"}),  # the later one, not the one with the greater name
        ([("1", 1, "ingested"), ("2", 2, "empty")], {"2"}),  # an empty one replaces too
        ([("1", 1, "ingested"), ("2", 1, "ingested")], {"2"}),  # landed at once: the name decides
        ([("1", 1, "ingested"), ("2", 2, "unreadable")], {"1", "2"}),  # replaces nothing, and counts itself
        ([("1", 1, "ingested"), ("2", 2, "unreadable"), ("3", 3, "ingested")], {"3"}),
        ([("1", 1, "ingested"), ("2", 2, "gone")], {"1", "2"}),
        ([("1", 1, "unreadable"), ("2", 2, "unreadable")], {"1", "2"}),
    ],
)
def test_which_versions_of_an_object_count(lake: Lake, versions: list[Version], current: set[str]) -> None:
    ingest(lake, reversed(versions))
    found = ledger.markers(lake, CONTRACT)
    assert found.height == len(versions)
    assert set(found.filter("current")["version"]) == current


def test_a_marker_says_what_its_object_held(lake: Lake) -> None:
    ingest(lake, [("1", 1, "ingested")])
    (found,) = ledger.markers(lake, CONTRACT).to_dicts()
    assert found == {
        "source": "a",
        "object": "a",
        "version": "1",
        "landed_at": at(1),
        "landing_window": at(0),
        "outcome": "ingested",
        "rows": 3,
        "reason": None,
        "missing_columns": ["status"],
        "undeclared": 1,
        "windows": [{"window": "2025-06-01", "rows": 3}],
        "current": True,
    }


def test_markers_are_read_without_the_rows(lake: Lake) -> None:
    ingest(lake, [("1", 1, "ingested"), ("2", 2, "gone")])
    for file in Path(lake.root).rglob("created_date=2025*/*.parquet"):
        file.unlink()
    assert ledger.markers(lake, CONTRACT).height == 2
    assert ledger.ingested(lake, CONTRACT)["version"].to_list() == ["1"], "what is gone may come back"
    with pytest.raises((OSError, pl.exceptions.ComputeError)):
        lake.scan(bronze(CONTRACT)).collect()


# --- windows begun and done -------------------------------------------------------------------------------------------


def counts(*windows: str, read: int = 4, rejected: int = 1) -> pl.DataFrame:
    row = {"read": read, "accepted": read - rejected, "rejected": rejected, "superseded": 0, "waiting": 0}
    more = {"source": "a", "version": "1", "landed_at": at(1), "current": True, "judged_by": "c"}
    return pl.DataFrame([{"window": window, **more, **row} for window in windows])


def state(lake: Lake, table: Table) -> dict[str, list[str]]:
    """Window -> the sources its lines name; one without a name says that it was begun."""
    lines = ledger.read_ledger(lake, table).sort("window", "source")
    return dict(lines.group_by("window", maintain_order=True).agg("source").iter_rows())


def test_a_window_is_begun_until_its_counts_are_written(lake: Lake) -> None:
    ledger.begin(lake, ORDERS, ["2025-06-01", "2025-06-30", "2025-07-01"])
    ledger.begin(lake, ITEMS, ["2025-06-01"])
    assert state(lake, ORDERS) == {"2025-06-01": [""], "2025-06-30": [""], "2025-07-01": [""]}
    ledger.write(lake, LEDGER, ORDERS, ["2025-06-01", "2025-07-01"], counts("2025-06-01"))
    assert state(lake, ORDERS) == {"2025-06-01": ["a"], "2025-06-30": [""]}, "a window without rows has no lines"
    assert state(lake, ITEMS) == {"2025-06-01": [""]}
    ledger.begin(lake, ORDERS, ["2025-06-01"])
    assert state(lake, ORDERS)["2025-06-01"] == ["", "a"], "what it was stays to be read"
    assert ledger.objects_of(ledger.read_ledger(lake)).height == 1, "a begun window was judged from nothing yet"


def test_counts_say_who_wrote_them(lake: Lake) -> None:
    ledger.write(lake, LEDGER, ORDERS, ["2025-06-01"], counts("2025-06-01"))
    (line,) = ledger.read_ledger(lake).to_dicts()
    assert (line["table_name"], line["run_id"], line["judged_by"]) == ("silver/orders", "run-1", "c")
    assert line["code_version"]


def test_facts_are_written_by_window_and_forgotten_by_table(lake: Lake) -> None:
    def fact(window: str, kind: str = "feeds") -> dict[str, str]:
        return {"window": window, "kind": kind, "name": "created_date", "at": window, "fingerprint": "x"}

    for table in (ORDERS, ITEMS):
        windows = ["2025-06-01", "2025-06-02", WHOLE]
        rows = pl.DataFrame([fact("2025-06-01"), fact("2025-06-02", "own"), fact(WHOLE)])
        ledger.write(lake, LINEAGE, table, windows, rows)
    ledger.write(lake, LINEAGE, ORDERS, ["2025-06-01"], pl.DataFrame([fact("2025-06-01")]).clear())
    assert set(ledger.read_lineage(lake, ORDERS)["window"]) == {"2025-06-02", WHOLE}
    assert ledger.read_lineage(lake, ORDERS, ["own"])["window"].to_list() == ["2025-06-02"]
    feeds = ledger.read_feeds(lake, [ORDERS.name, ITEMS.name], ["2025-06-01"])
    assert feeds.select("table_name", "at").rows() == [(ITEMS.name, "2025-06-01")]
    assert ledger.read_feeds(lake, [ITEMS.name]).height == 2
    ledger.forget(lake, ORDERS)
    assert set(ledger.read_lineage(lake)["table_name"]) == {ITEMS.name}


# --- held windows -----------------------------------------------------------------------------------------------------

Line = tuple[str, int, int, int, bool]
"""A line of the ledger: source, rows read, rejected, waiting, and whether it is of the current version.

`a#1` is a sheet of `a`; others do not name their object, as lines from before there were sheets.
"""


def lines(*of: Line, window: str = "2025-06-01") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"table_name": ORDERS.name, "window": window, "source": source, "version": "1", "landed_at": at(1)}
            | {"current": current, "read": read, "rejected": rejected, "waiting": waiting}
            | {"object": source.partition("#")[0] if "#" in source else None}
            for source, read, rejected, waiting, current in of
        ],
        schema_overrides={"object": pl.String},
    )


NOBODY = pl.DataFrame(schema=polars_schema(ALLOWED))


@pytest.mark.parametrize(
    ("of", "held"),
    [
        ([("a", 10, 2, 0, True)], False),  # as many as the threshold
        ([("a", 10, 3, 0, True)], True),
        ([("a", 10, 3, 1, True)], False),  # one of them waits for its parent
        ([("a", 10, 8, 8, True)], False),
        ([("a", 5, 2, 0, True), ("b", 5, 0, 0, True)], False),  # all objects of the window together
        ([("a", 10, 0, 0, False), ("b", 10, 3, 0, True)], True),  # a replaced version does not dilute it
        ([("a", 0, 0, 0, True)], False),
        ([("", 0, 0, 0, False)], False),  # begun
        ([("a", 1, 1, 0, True)], True),
    ],
)
def test_a_window_over_the_threshold_is_held(of: list[Line], held: bool) -> None:
    found = ledger.held(lines(*of), NOBODY, 0.2)
    assert found["window"].to_list() == (["2025-06-01"] if held else [])


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        ([("a", 10, 0, 0, False)], [("a", 10, 10, 0, True)], ["2025-06-01", "2025-07-01"]),
        ([("a", 10, 0, 0, False)], [("a", 10, 2, 0, True)], []),  # it is not over the threshold
        ([("a", 10, 0, 0, False)], [("a", 10, 10, 10, True)], []),
        ([("a", 10, 0, 0, False), ("a", 6, 0, 0, True)], [("a", 4, 4, 0, True)], ["2025-06-01", "2025-07-01"]),
        ([("a", 10, 0, 0, False), ("b", 40, 0, 0, True)], [("a", 10, 10, 0, True)], ["2025-07-01"]),  # 10 of 50
        ([("a", 10, 0, 0, False), ("b", 39, 0, 0, True)], [("a", 10, 10, 0, True)], ["2025-06-01", "2025-07-01"]),
        ([("a", 10, 0, 0, False)], [("b", 10, 10, 0, True)], ["2025-07-01"]),  # another object
        ([("a#1", 10, 0, 0, False)], [("a#2", 10, 10, 0, True)], ["2025-06-01", "2025-07-01"]),  # a sheet renamed
        ([("a#1", 10, 0, 0, False)], [("a", 10, 10, 0, True)], ["2025-06-01", "2025-07-01"]),  # no workbook any more
        ([("a", 10, 0, 0, False)], [("a#1", 10, 10, 0, True)], ["2025-06-01", "2025-07-01"]),
        ([("a#1", 10, 0, 0, False)], [("b#1", 10, 10, 0, True)], ["2025-07-01"]),
        (  # one sheet of two is broken; what the other brought to the window was moved, not lost
            [("a#1", 6, 0, 0, False), ("a#2", 4, 0, 0, False), ("a#3", 10, 0, 0, True)],
            [("a#2", 9, 9, 0, True)],
            ["2025-07-01"],
        ),
        (
            [("a#1", 6, 0, 0, False), ("a#2", 4, 0, 0, False), ("a#3", 7, 0, 0, True)],
            [("a#2", 9, 9, 0, True)],
            ["2025-06-01", "2025-07-01"],
        ),
    ],
)
def test_a_window_is_held_that_lost_its_rows_to_a_broken_version(
    before: list[Line], after: list[Line], held: list[str]
) -> None:
    """Whose rows are in another window, because their time cannot be read."""
    of_both = pl.concat([lines(*before), lines(*after, window="2025-07-01")])
    assert ledger.held(of_both, NOBODY, 0.2)["window"].to_list() == held
    newest = of_both.filter("current")
    alone = ledger.held(of_both.filter(window="2025-06-01"), NOBODY, 0.2, newest)["window"].to_list()
    assert alone == held[:-1], "also where no other window is read"


def test_a_window_is_let_through_as_it_is_now(lake: Lake) -> None:
    def judge(window: str, **how: int) -> None:
        ledger.write(lake, LEDGER, ORDERS, [window], counts(window, **how))

    def held(*among: pl.Expr) -> list[str]:
        return ledger.held_windows(lake, 0.5, *among)["window"].to_list()

    judge("2025-06-01", rejected=3)
    judge("2025-06-02", rejected=3)
    judge("2025-07-01", rejected=2)
    assert held() == ["2025-06-01", "2025-06-02"]
    assert held(pl.col("window") > "2025-06-01", pl.col("table_name") == ORDERS.name) == ["2025-06-02"]
    assert held(pl.col("table_name") == ITEMS.name) == []
    ledger.allow(lake, ORDERS, "2025-06-01")
    assert held() == ["2025-06-02"]
    judge("2025-06-01", rejected=4)
    assert held() == ["2025-06-02"], "judged again from the same objects: by another contract, say"
    judge("2025-06-01", read=5, rejected=4)
    assert held() == ["2025-06-01", "2025-06-02"], "more has come"
    ledger.allow(lake, ORDERS, "2025-06-01")
    assert held() == ["2025-06-02"]
    assert lake.rows(ALLOWED) == 1


def test_objects_name_what_a_window_was_judged_from() -> None:
    one, other = ("a", 1, 0, 0, True), ("b", 2, 0, 0, True)
    of = [
        ledger.objects_of(lines(*some))["objects"].item()
        for some in ([one], [other], [one, other], [("a", 2, 0, 0, True)], [("a", 1, 0, 0, False)])
    ]
    assert len(set(of)) == len(of)
    assert ledger.objects_of(lines(other, one))["objects"].item() == of[2], "in any order"
    assert ledger.objects_of(lines(("a", 1, 1, 1, True)))["objects"].item() == of[0], "whatever became of the rows"
