"""Materializing gold: what a day is made from, that it reads no more, and what it leaves alone.

What the measures are worth is told elsewhere (arrival/, end_to_end/).
"""

import shutil
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from resources.engine_polars import PolarsEngine
from resources.lake import Lake, Overtaken
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import Table, silver
from shopware_assets.gold.materialize import Gold, NotComputed, needed, reading, spanned
from shopware_assets.ledger import WHOLE
from shopware_assets.transforms import ANSWERS
from shopware_assets_tests.arrival.history import Story
from shopware_assets_tests.arrival.world import drop, line, order, product, sale, stock

ORDERS, ITEMS, STOCK = (silver(CONTRACTS[name]).name for name in ("orders", "order_items", "inventory"))
DAILY = ANSWERS["inventory_daily"].table.name


def days(*numbers: int) -> list[str]:
    return [f"2025-03-0{number}" for number in numbers]


D1, D2, D3, D4, D5, D7, D9 = days(1, 2, 3, 4, 5, 7, 9)
FEEDS = pl.DataFrame(
    [
        (ORDERS, D1, "created_date", D1),
        (ITEMS, D3, "order_date", D1),
        (ITEMS, D3, "refund_date", D5),
        (STOCK, f"{D1}-08:00", "last_updated_date", D1),
        (STOCK, f"{D3}-09:00", "last_updated_date", D3),
        (DAILY, D1, "date", D1),
        (DAILY, D2, "date", D2),
        (DAILY, D3, "date", D3),
    ],
    schema=["table_name", "window", "name", "at"],
    orient="row",
).with_columns(
    fingerprint=pl.lit("x"), kind=pl.lit("feeds"), rests_on=pl.concat_str("table_name", "window", separator="/")
)


@pytest.mark.parametrize(
    ("answer", "span", "needs"),
    [
        ("order_kpis_daily", None, [(D1, ORDERS, D1), (D1, ITEMS, D3), (D5, ITEMS, D3)]),
        ("category_kpis_daily", None, [(D1, ITEMS, D3)]),
        ("inventory_current", None, [(WHOLE, DAILY, D3)]),  # its newest day alone
        (  # its snapshots, the day before, and that it is the newest; the day after the newest is none
            *("inventory_daily", (D1, D3)),
            [(D1, STOCK, f"{D1}-08:00"), (D2, DAILY, D1), (D3, STOCK, f"{D3}-09:00"), (D3, DAILY, D2), (D3, "", D3)],
        ),
    ],
)
def test_what_each_day_is_made_from(
    answer: str, span: tuple[str, str] | None, needs: list[tuple[str, str, str]]
) -> None:
    found = needed(ANSWERS[answer], FEEDS.sample(fraction=1, shuffle=True, seed=1), span)
    defined, read = found.filter(name="definition"), found.filter(pl.col("name") != "definition")
    assert sorted(read.select("window", "table_name", "at").iter_rows()) == sorted(needs)
    assert sorted(defined["window"]) == sorted({day for day, *_ in needs}), "and once by a definition"
    assert needed(ANSWERS[answer], FEEDS.clear(), span and ("", "")).is_empty()


@pytest.mark.parametrize(
    ("answer", "stock", "sales", "span"),
    [
        ("order_kpis_daily", (D1, D3), (D1, D3), None),
        ("inventory_daily", (D1, D3), ("", ""), (D1, D3)),
        ("product_performance_daily", (D1, D3), (D2, D9), (D1, D3)),
        ("product_performance_daily", (D1, D3), (D1, D2), (D1, D2)),  # sales of the third are not zero, but not known
        ("product_performance_daily", (D1, D3), ("", ""), (D1, "")),
    ],
)
def test_a_day_is_there_once_all_have_reached_it(
    answer: str, stock: tuple[str, str], sales: tuple[str, str], span: tuple[str, str] | None
) -> None:
    assert spanned(ANSWERS[answer], lambda table, _: sales if "sales" in table else stock) == span


def test_a_range_of_days_is_made_from_each_of_them() -> None:
    found = needed(ANSWERS["product_performance_daily"], FEEDS, (D1, "2025-03-28"))
    of_the_first = found.filter(pl.col("at") == D1)
    assert set(of_the_first["window"]) == {f"2025-03-{day:02}" for day in range(1, 29)}, "28 days read the first"
    assert found.filter(pl.col("window") > "2025-03-28").is_empty()
    assert needed(ANSWERS["product_performance_daily"], FEEDS, (D2, D3))["window"].unique().sort().to_list() == [D2, D3]
    for span in (("", ""), (D1, ""), (D2, D1)):
        assert needed(ANSWERS["product_performance_daily"], FEEDS, span).is_empty(), "no stock or no sales, no days"


@pytest.mark.parametrize(
    ("table", "window", "read_by"),
    [
        (ORDERS, D1, {D1}),
        (ITEMS, D3, {D1, D3, D5}),  # the days it feeds, and its own: lines may be of orders of that day
        (ITEMS, D9, {D9}),
        (STOCK, f"{D1}-08:00", set()),
        ("silver/products", WHOLE, {D1, D3, D5, D7, D9}),  # parents of lines, of any day
    ],
)
def test_days_that_read_a_window(table: str, window: str, read_by: set[str]) -> None:
    answer, windows = ANSWERS["order_kpis_daily"], pl.DataFrame({"table_name": [table], "window": [window]})
    need = needed(answer, FEEDS, None)
    every = days(1, 3, 5, 7, 9)
    assert reading(answer, every, need, need.clear(), windows) == read_by
    assert reading(answer, every, need.clear(), need, windows) == read_by, "also what they were made from"
    assert reading(answer, [D7], need, need, windows) == read_by & {D7}, "of those that are asked for"


# --- a lake -----------------------------------------------------------------------------------------------------------

DROPS = (
    drop("products", "1.csv", "01T06", product("p1"), product("p2", "Hats")),
    drop("orders", "1.csv", "04T12", order("o1", "01T10"), order("o2", "02T10"), order("o3", "03T10")),
    drop(
        *("order_items", "1.csv", "06T12", line("l1", "o1", "p1", "04T10", "returned", "5", returned_at="05T08")),
        *(line("l2", "o2", "p2", "02T10", price="7"), line("l3", "o3", "p2", "03T10", price="9")),
    ),
    drop("inventory", "1.jsonl", "01T12", stock("1", "01T08", "5"), stock("1", "01T09", "4")),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which silver is made and gold is not; not to be changed."""
    story = Story(tmp_path_factory.mktemp("gold") / "lake", DROPS)
    story.ingest(DROPS)
    for table, windows in (("products", ["all"]), ("orders", days(1, 2, 3)), ("order_items", days(2, 3, 4))):
        story.make(f"silver/{table}", windows)
    story.make("silver/inventory", ["2025-03-01-08:00", "2025-03-01-09:00"])
    return Path(story.lake.root)


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    """A copy of it."""
    return Lake(str(shutil.copytree(made, tmp_path / "lake")))


def make(lake: Lake, answer: str, windows: Sequence[str], threshold: float = 0.5) -> dict[str, int]:
    """Day -> its rows."""
    return dict(pl.concat(Gold(lake, ANSWERS[answer], PolarsEngine(), threshold).materialize(windows)).iter_rows())


def revenue(lake: Lake) -> dict[str, Decimal]:
    rows = lake.scan(ANSWERS["order_kpis_daily"].table).select("order_date", "net_revenue").collect()
    return {str(day): amount for day, amount in rows.sort("order_date").iter_rows()}


def test_days_are_replaced_and_others_stay(lake: Lake) -> None:
    assert make(lake, "order_kpis_daily", days(1, 2, 5)) == dict(zip(days(1, 2, 5), (1, 1, 1), strict=True))
    assert revenue(lake) == dict(zip(days(1, 2, 5), map(Decimal, (5, 7, -5)), strict=True))
    before = lake.scan(ANSWERS["order_kpis_daily"].table).collect()
    assert make(lake, "order_kpis_daily", days(3, 4)) == {**dict.fromkeys(days(3), 1), **dict.fromkeys(days(4), 0)}
    assert revenue(lake) == dict(zip(days(1, 2, 3, 5), map(Decimal, (5, 7, 9, -5)), strict=True))
    after = lake.scan(ANSWERS["order_kpis_daily"].table).collect().sort("order_date")
    assert after.filter(pl.col("order_date").is_in(before["order_date"].implode())).equals(before.sort("order_date"))


def test_a_table_without_days_is_replaced_whole(lake: Lake) -> None:
    make(lake, "inventory_daily", days(1))
    for _ in range(2):
        assert make(lake, "inventory_current", [WHOLE]) == {WHOLE: 1}
    assert lake.scan(ANSWERS["inventory_current"].table).collect()["stock_level"].to_list() == [4]


def test_a_day_that_nothing_feeds_any_more_is_emptied(lake: Lake) -> None:
    make(lake, "category_kpis_daily", days(2, 3))
    ledger.forget(lake, silver(CONTRACTS["order_items"]))
    assert make(lake, "category_kpis_daily", days(2)) == {days(2)[0]: 0}
    left = lake.scan(ANSWERS["category_kpis_daily"].table).collect()["order_date"].cast(pl.String).to_list()
    assert left == days(3)


def test_only_silver_that_feeds_the_day_is_read(lake: Lake) -> None:
    for file in Path(lake.root, "silver").rglob("*.parquet"):
        if "created_date=2025-03-01" not in str(file) and "created_date=2025-03-04" not in str(file):
            file.unlink()
    assert make(lake, "order_kpis_daily", days(1)) == {days(1)[0]: 1}
    assert revenue(lake) == {days(1)[0]: Decimal(5)}
    with pytest.raises((OSError, pl.exceptions.ComputeError)):
        make(lake, "order_kpis_daily", days(2))


def test_days_that_read_a_held_window_keep_their_values(lake: Lake) -> None:
    make(lake, "order_kpis_daily", days(1, 2))
    table = silver(CONTRACTS["orders"])
    counts = ledger.read_ledger(lake, table).filter(window=days(2)[0])
    ledger.write(lake, ledger.LEDGER, table, days(2), counts.with_columns(accepted=pl.lit(0), rejected=pl.lit(1)))
    lake.replace(table, lake.scan(table).collect().clear(), None)
    assert make(lake, "order_kpis_daily", days(1, 2)) == {days(1)[0]: 0}
    assert revenue(lake) == {days(2)[0]: Decimal(7)}
    assert make(lake, "order_kpis_daily", days(2), threshold=1) == {days(2)[0]: 0}, "the control: it is not held"


@pytest.mark.parametrize("times", [1, 4, 5])
def test_what_was_overtaken_is_computed_again_five_times_at_most(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    check, told = Lake.check_not_overtaken, []

    def overtaken(self: Lake, table: Table, version: int, windows: Sequence[datetime] | None) -> None:
        if len(told) < times:
            told.append(1)
            raise Overtaken(table.name)
        check(self, table, version, windows)

    monkeypatch.setattr(Lake, "check_not_overtaken", overtaken)
    if times < 5:
        assert make(lake, "order_kpis_daily", days(2)) == {days(2)[0]: 1}
        assert revenue(lake) == {days(2)[0]: Decimal(7)}
    else:
        with pytest.raises(Overtaken):
            make(lake, "order_kpis_daily", days(2))
    assert len(told) == times


def test_what_was_overtaken_is_computed_again_from_what_there_is_then(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, more = Lake.check_not_overtaken, [drop("order_items", "2.csv", "06T13", line("l4", "o2", "p2", "02T10"))]

    def overtaken(self: Lake, table: Table, version: int, windows: Sequence[datetime] | None) -> None:
        if more and table.name.startswith("gold/"):
            story = Story(lake.root, more)
            story.ingest([more.pop()])
            story.make(ITEMS, days(2))
            raise Overtaken(table.name)
        check(self, table, version, windows)

    monkeypatch.setattr(Lake, "check_not_overtaken", overtaken)
    make(lake, "order_kpis_daily", days(2))
    assert not more
    assert revenue(lake) == {days(2)[0]: Decimal(7) + Decimal("20.25")}


def test_days_that_cannot_be_computed_stop_no_other_and_each_says_why(tmp_path: Path) -> None:
    most = str(2**62)
    drops = [
        drop("pos_sales", "1.csv", "05T12", *(sale(f"b{day}", "1", f"0{day}T10") for day in (1, 2, 3, 4))),
        drop("pos_sales", "2.csv", "05T13", *(sale(basket, "1", "02T11", most) for basket in ("c1", "c2"))),
        drop("pos_sales", "3.csv", "05T13", *(sale(basket, "1", "04T11", most) for basket in ("d1", "d2"))),
    ]
    story = Story(tmp_path / "lake", drops)
    story.ingest(drops)
    (sold,) = [(table, windows) for table, windows in story.stale() if table == "silver/pos_sales"]
    story.make(*sold)
    with pytest.raises(NotComputed, match=f"(?s)^{D2}: .*conversion.*; {D4}: .*conversion"):
        make(story.lake, "sales_daily", days(1, 2, 3, 4))
    made = story.lake.scan(ANSWERS["sales_daily"].table).collect()
    assert sorted(map(str, made["timestamp_date"])) == days(1, 3)
    assert dict(story.stale())["gold/sales_daily"] == {D2, D4}, "and are asked for again"


# --- days that go on from the day before ------------------------------------------------------------------------------


@pytest.fixture
def stocked(tmp_path: Path) -> Story:
    """Stock of 5 on the first, 4 on the eighth, all made; pair 2 is counted on the third alone."""
    drops = [
        drop("inventory", "1.jsonl", "08T12", stock("1", "01T08"), stock("1", "08T08", "4")),
        drop("inventory", "2.jsonl", "03T12", stock("2", "03T08", product_id="2")),
    ]
    story = Story(tmp_path / "lake", drops)
    story.ingest(drops)
    story.settle()
    return story


def opening(lake: Lake, product_id: int = 1) -> list[int]:
    """Day by day."""
    rows = lake.scan(ANSWERS["inventory_daily"].table).filter(product_id=product_id).sort("date").collect()
    assert rows["date"].diff().drop_nulls().dt.total_days().to_list() == [1] * (rows.height - 1), "no gap"
    return rows["opening_stock"].to_list()


def counted_late(story: Story, at: str, level: str) -> None:
    """A snapshot of the first pair arrives and is judged."""
    late = drop("inventory", f"{at}.jsonl", "08T13", stock("1", at, level))
    story.drops.append(late)
    story.ingest([late])
    ((table, windows),) = [(table, windows) for table, windows in story.stale() if table == STOCK]
    story.make(table, windows)


@pytest.mark.long
@pytest.mark.parametrize(
    ("batch", "following"),
    [(120, 30), (2, 3), (1, 1)],
)
def test_days_after_one_that_leaves_another_state_are_made_at_once(
    stocked: Story, monkeypatch: pytest.MonkeyPatch, batch: int, following: int
) -> None:
    assert opening(stocked.lake) == [5] * 8
    monkeypatch.setattr("shopware_assets.gold.materialize._BATCH_DAYS", batch)
    monkeypatch.setattr("shopware_assets.gold.materialize._FOLLOWING", following)
    counted_late(stocked, "02T20", "9")
    made = make(stocked.lake, "inventory_daily", days(2))
    assert opening(stocked.lake) == [5, 5, 9, 9, 9, 9, 9, 9]
    assert list(made) == days(2, 3, 4, 5, 6, 7, 8)
    assert DAILY not in dict(stocked.stale())


@pytest.mark.long
def test_days_are_made_until_one_stays_as_it_was(stocked: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopware_assets.gold.materialize._FOLLOWING", 1)
    counted_late(stocked, "01T07", "9")  # leaves to the second day what the first has left before
    assert dict(stocked.stale())[DAILY] == {D1}
    assert list(make(stocked.lake, "inventory_daily", days(1))) == days(1, 2)
    assert DAILY not in dict(stocked.stale())


def test_no_day_goes_on_from_one_that_cannot_be_computed(tmp_path: Path) -> None:
    """On the fourth more is delivered than a number holds. Of a second product there is one snapshot, on the first."""
    levels = [("04T08", "0"), ("04T09", str(2**63 - 1)), ("04T10", "0"), ("04T11", str(2**63 - 1))]
    drops = [
        drop("inventory", "1.jsonl", "07T12", *(stock("1", f"0{day}T08") for day in (1, 2, 3, 5, 6))),
        drop("inventory", "2.jsonl", "07T13", *(stock("1", at, level) for at, level in levels)),
        drop("inventory", "3.jsonl", "07T14", stock("2", "01T08", product_id="2")),
    ]
    story = Story(tmp_path / "lake", drops)
    story.ingest(drops)
    (judged,) = [(table, windows) for table, windows in story.stale() if table == STOCK]
    story.make(*judged)
    for asked, failed in ((days(1, 2, 3, 4, 5, 6), f"{D4}: "), (days(5, 6), f"{D5}: the day before was never made")):
        with pytest.raises(NotComputed, match=f"^{failed}"):
            make(story.lake, "inventory_daily", asked)
        assert opening(story.lake) == opening(story.lake, 2) == [5, 5, 5]
