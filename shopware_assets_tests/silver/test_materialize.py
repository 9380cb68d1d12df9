"""Materializing silver: what a run replaces and leaves alone, in which order it writes, and when it judges again.

What becomes of rows is told elsewhere (transforms/, arrival/).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from resources.engine_polars import PolarsEngine
from resources.lake import Lake, Overtaken
from resources.landing import FolderLanding
from resources.prefetch import prefetch
from shopware_assets import ledger
from shopware_assets.bronze.ingest import ingest
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Column, Derived, Type
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.ledger import LEDGER, LINEAGE
from shopware_assets.silver import materialize as module
from shopware_assets.silver.materialize import Silver
from shopware_assets.staleness import Survey
from shopware_assets.transforms import days_read
from shopware_assets_tests.arrival.history import Story
from shopware_assets_tests.arrival.world import START, Drop, drop, line, moment, order, product, stock

ORDERS, ITEMS, STOCK = CONTRACTS["orders"], CONTRACTS["order_items"], CONTRACTS["inventory"]


def of(lake: Lake, table: str) -> Silver:
    return Silver(lake, CONTRACTS[table], PolarsEngine(), START, days_read(table))


def make(lake: Lake, table: str, *windows: str) -> pl.DataFrame:
    """Materializes windows (of March, "01"); the counts of all batches."""
    times: list[datetime | None] = [moment(window) for window in windows] or [None]
    return pl.concat(of(lake, table).materialize(times))


def told(folder: Path, *drops: Drop) -> Lake:
    """A lake that has ingested these."""
    story = Story(folder, drops)
    story.ingest(drops)
    return story.lake


def ids(lake: Lake, table: Table) -> list[tuple[str, str]]:
    """Window and key of each row."""
    rows = lake.scan(table).select(ledger.named_window(table), pl.first()).collect()
    return sorted(rows.iter_rows())


BOTH_DAYS = (
    drop("orders", "1.csv", "01T12", order("o1", "01T10"), order("o2", "01T11", "lost"), order("o2", "01T11")),
    drop("orders", "2.csv", "02T12", order("o3", "02T10"), order("o3", "02T10", "shipped", shipped_at="02T11")),
)
D1, D2 = "2025-03-01", "2025-03-02"


def test_a_run_makes_the_windows_it_is_asked_for(tmp_path: Path) -> None:
    lake = told(tmp_path, *BOTH_DAYS)
    counts = make(lake, "orders", "01")
    assert counts.select("window", "source", "read", "accepted", "rejected", "superseded").rows() == [
        (D1, "shop/orders/1.csv", 3, 2, 1, 0)
    ]
    assert ids(lake, silver(ORDERS)) == [(D1, "o1"), (D1, "o2")]
    assert ids(lake, rejected(ORDERS)) == [(D1, "o2")]
    before = {table: lake.scan(table, [moment("01")]).collect() for table in (silver(ORDERS), rejected(ORDERS))}
    make(lake, "orders", "02")
    assert ids(lake, silver(ORDERS)) == [(D1, "o1"), (D1, "o2"), (D2, "o3")]
    for table, rows in before.items():
        assert lake.scan(table, [moment("01")]).collect().equals(rows), "the other window is as it was"
    totals = ledger.read_ledger(lake, silver(ORDERS)).group_by("window").agg(pl.col("read", "superseded").sum())
    assert sorted(totals.iter_rows()) == [(D1, 3, 0), (D2, 2, 1)]


def test_a_run_again_leaves_the_same(tmp_path: Path) -> None:
    lake = told(tmp_path, *BOTH_DAYS)
    for _ in range(2):
        make(lake, "orders", "01", "02")
    assert ids(lake, silver(ORDERS)) == [(D1, "o1"), (D1, "o2"), (D2, "o3")]
    assert ids(lake, rejected(ORDERS)) == [(D1, "o2")]
    assert ledger.read_ledger(lake)["read"].sum() == 5


def test_a_window_that_lost_its_rows_is_emptied_and_done(tmp_path: Path) -> None:
    lake = told(tmp_path, *BOTH_DAYS)
    make(lake, "orders", "01", "02")
    kept = lake.scan(bronze(ORDERS)).filter(pl.col("created_date") != moment("01").date()).collect()
    lake.replace(bronze(ORDERS), kept, None)
    assert make(lake, "orders", "01").is_empty()
    assert ids(lake, silver(ORDERS)) == [(D2, "o3")]
    assert ids(lake, rejected(ORDERS)) == []
    assert ledger.read_ledger(lake)["window"].to_list() == [D2], "nothing is left of it, nor of its having been begun"


@pytest.mark.parametrize(
    ("rows", "windows", "batches"),
    [(100, 1000, [["01", "02"]]), (4, 1000, [["01"], ["02"]]), (1, 1000, [["01"], ["02"]]), (100, 1, [["01"], ["02"]])],
)
def test_small_windows_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, windows: int, batches: list[list[str]]
) -> None:
    """Windows of three and two rows."""
    monkeypatch.setattr(module, "_BATCH_ROWS", rows)
    monkeypatch.setattr(module, "_BATCH_WINDOWS", windows)
    lake = told(tmp_path, *BOTH_DAYS)
    found = list(of(lake, "orders").materialize([moment("01"), moment("02")]))
    assert [sorted(batch["window"].str.slice(-2).unique()) for batch in found] == batches
    assert lake.version(silver(ORDERS)) == len(batches)


def test_only_bronze_of_the_windows_is_read(tmp_path: Path) -> None:
    """In a table whose keys are unique in a window only."""
    lake = told(
        tmp_path,
        drop("inventory", "1.jsonl", "01T12", stock("1", "01T08"), stock("2", "01T09"), stock("3", "02T08", "-1")),
    )
    for file in Path(lake.uri(bronze(STOCK))).rglob("*.parquet"):
        if "last_updated_date=2025-03-01/last_updated_hour=9" not in str(file) and "__HIVE" not in str(file):
            file.unlink()
    assert make(lake, "inventory", "01T09")["accepted"].sum() == 1
    with pytest.raises((OSError, pl.exceptions.ComputeError)):
        make(lake, "inventory", "01T08")


def test_what_windows_feed_is_told_by_day(tmp_path: Path) -> None:
    """A line of 3 March, of an order of 1 March, that came back on 4 March."""
    lake = told(
        tmp_path,
        drop("products", "1.csv", "01T06", product("p1")),
        drop("orders", "1.csv", "01T12", order("o1", "01T10")),
        drop("order_items", "1.csv", "04T12", line("l1", "o1", "p1", "03T10", "returned", returned_at="04T08")),
    )
    make(lake, "products")
    make(lake, "orders", "01")
    make(lake, "order_items", "03")
    found = ledger.read_feeds(lake, [silver(ITEMS).name])
    rests_on = "silver/order_items/2025-03-03,silver/orders/2025-03-01,silver/products/all"
    assert sorted(found.select("window", "name", "at", "rests_on").iter_rows()) == [
        ("2025-03-03", "order_date", "2025-03-01", rests_on),
        ("2025-03-03", "refund_date", "2025-03-04", rests_on),
    ]


# --- writing ----------------------------------------------------------------------------------------------------------


def test_rejected_are_written_first_and_the_ledger_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = told(tmp_path, *BOTH_DAYS)
    written: list[str] = []
    commit = Lake._commit
    monkeypatch.setattr(
        Lake,
        "_commit",
        lambda self, table, *args, **more: written.append(table.name) or commit(self, table, *args, **more),
    )
    make(lake, "orders", "01")
    assert written == [LEDGER.name, rejected(ORDERS).name, silver(ORDERS).name, LINEAGE.name, LEDGER.name]


def overtake(monkeypatch: pytest.MonkeyPatch, times: int, what: Any = None) -> list[str]:
    """Another run replaces the same windows before ours has ended, so often; `what` it does besides."""
    check, told = Lake.check_not_overtaken, []

    def overtaken(self: Lake, table: Table, version: int, windows: Sequence[datetime] | None) -> None:
        if len(told) < times:
            told.append(table.name)
            if what:
                what()
            raise Overtaken(table.name)
        check(self, table, version, windows)

    monkeypatch.setattr(Lake, "check_not_overtaken", overtaken)
    return told


@pytest.mark.parametrize("times", [1, 4])
def test_what_was_overtaken_is_judged_again_from_what_there_is_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    more = drop("orders", "3.csv", "03T12", order("o9", "01T09"))
    story = Story(tmp_path, [*BOTH_DAYS, more])
    story.ingest(BOTH_DAYS)
    told = overtake(monkeypatch, times, lambda: story.ingest([more]))
    counts = make(story.lake, "orders", "01")
    assert len(told) == times
    assert ids(story.lake, silver(ORDERS)) == [(D1, "o1"), (D1, "o2"), (D1, "o9")]
    assert counts["read"].sum() == ledger.read_ledger(story.lake)["read"].sum() == 4


def test_who_is_overtaken_every_time_gives_up_and_the_window_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = told(tmp_path, *BOTH_DAYS)
    times = overtake(monkeypatch, 99)
    with pytest.raises(Overtaken):
        make(lake, "orders", "01")
    assert len(times) == 5
    lines = ledger.read_ledger(lake)
    assert lines.select("window", "source").unique().rows() == [(D1, "")], "begun, and not done"


def test_a_run_that_breaks_off_leaves_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_WINDOWS", 1)
    judged: list[Any] = []

    def watched(items: Any, ahead: int) -> Any:
        return prefetch((judged.append(item) or item for item in items), ahead)

    monkeypatch.setattr(module, "prefetch", watched)
    lake = told(tmp_path, *BOTH_DAYS)
    run = of(lake, "orders").materialize([moment(f"0{day}") for day in range(1, 10)])
    next(run)
    run.close()
    assert len(judged) < 6
    assert lake.version(silver(ORDERS)) == 1


def test_a_key_over_a_derived_column_is_one_key_over_the_whole_table(tmp_path: Path) -> None:
    """The same order in two windows: its later state supersedes the first, but not where the sign differs."""
    lake = told(
        tmp_path,
        drop("orders", "1.csv", "02T12", order("o1", "01T10", items="2"), order("o2", "01T11", items="3")),
        drop("orders", "2.csv", "03T12", order("o1", "02T10", items="1"), order("o2", "02T11", items="-3")),
    )
    sign = Derived("sign", Type.INT, "Sold or returned.", nw.when(nw.col("num_of_item") > 0).then(1).otherwise(-1))
    columns = tuple(replace(column, rules=()) for column in ORDERS.columns)
    contract = replace(ORDERS, columns=columns, key=("order_id", "sign"), derived=(sign,), table_rules=())
    made = Silver(lake, contract, PolarsEngine(), START, ())
    counts = pl.concat(made.materialize([moment("01"), moment("02")]))
    assert counts.select("accepted", "rejected", "superseded").sum().row(0) == (3, 0, 1)
    rows = lake.scan(silver(contract)).select("order_id", "sign", "created_date").collect()
    assert sorted(rows.iter_rows()) == [
        ("o1", 1, moment("02").date()),
        ("o2", -1, moment("02").date()),
        ("o2", 1, moment("01").date()),
    ]
    assert set(lake.scan(bronze(ORDERS)).collect()["_line"]) == {0, 1, 2}


def test_windows_that_gave_gold_other_days_are_stale(tmp_path: Path) -> None:
    """As where a gold table is added or taken away."""
    lake = told(tmp_path, *BOTH_DAYS)

    def stale() -> frozenset[str]:
        return next(of for of in Survey(lake, PolarsEngine(), 1).silver() if of.table == silver(ORDERS)).windows

    make(lake, "orders", "01", "02")
    assert not stale()
    pl.concat(Silver(lake, ORDERS, PolarsEngine(), START, ()).materialize([moment("01")]))
    assert stale() == {D1}
    make(lake, "orders", "01")
    assert not stale()


def test_a_contract_with_one_more_column_makes_its_windows_again(tmp_path: Path) -> None:
    lake = told(tmp_path, *BOTH_DAYS)
    make(lake, "orders", "01", "02")
    note = Column("gift_note", Type.STRING, "What the card says.")
    contract = replace(ORDERS, columns=(*ORDERS.columns, note))
    for table in (bronze(contract), silver(contract), rejected(contract)):
        found = lake.scan(table).select("gift_note", "_source").collect()
        assert found["gift_note"].null_count() == found.height > 0, "tables older than the column have none of it"
    landing = tmp_path / "landing"
    FolderLanding(str(landing)).put(
        "shop/orders/3.csv",
        b"order_id,user_id,status,created_at,num_of_item,gift_note\no9,u,shipped,2025-03-01T09:00:00,1,Hi\n",
    )
    found = [of for page in FolderLanding(str(landing)).pages("shop/orders") for of in page]
    ingest(lake, FolderLanding(str(landing)), contract, found, engine=PolarsEngine(), start=START)
    pl.concat(Silver(lake, contract, PolarsEngine(), START, days_read("orders")).materialize([moment("01")]))
    notes = lake.scan(silver(contract)).select("order_id", "gift_note").collect()
    assert sorted(notes.iter_rows()) == [("o1", None), ("o2", None), ("o3", None), ("o9", "Hi")]
    make(lake, "orders", "01")  # and a contract with one less leaves the table its column
    assert lake.scan(silver(contract)).select("gift_note").collect().height == 4
