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
from shopware_assets.gold.materialize import Gold, needed, reading
from shopware_assets.ledger import WHOLE
from shopware_assets.transforms import ANSWERS
from shopware_assets_tests.arrival.history import Story
from shopware_assets_tests.arrival.world import drop, line, order, product, stock

ORDERS, ITEMS, STOCK = (silver(CONTRACTS[name]).name for name in ("orders", "order_items", "inventory"))
FEEDS = pl.DataFrame(
    [
        (ORDERS, "01", "created_date", "01"),
        (ITEMS, "03", "order_date", "01"),
        (ITEMS, "03", "refund_date", "05"),
        (STOCK, "01-08:00", "last_updated_date", "01"),
        (STOCK, "01-09:00", "last_updated_date", "01"),
    ],
    schema=["table_name", "window", "name", "at"],
    orient="row",
).with_columns(
    fingerprint=pl.lit("x"), kind=pl.lit("feeds"), rests_on=pl.concat_str("table_name", "window", separator="/")
)


@pytest.mark.parametrize(
    ("answer", "needs"),
    [
        ("order_kpis_daily", [("01", ORDERS, "01"), ("01", ITEMS, "03"), ("05", ITEMS, "03")]),
        ("category_kpis_daily", [("01", ITEMS, "03")]),
        ("inventory_current", [(WHOLE, STOCK, "01-08:00"), (WHOLE, STOCK, "01-09:00")]),
    ],
)
def test_what_each_day_is_made_from(answer: str, needs: list[tuple[str, str, str]]) -> None:
    found = needed(ANSWERS[answer], FEEDS.sample(fraction=1, shuffle=True, seed=1))
    assert sorted(found.select("window", "table_name", "at").iter_rows()) == sorted(needs)
    assert needed(ANSWERS[answer], FEEDS.clear()).is_empty()


@pytest.mark.parametrize(
    ("table", "window", "days"),
    [
        (ORDERS, "01", {"01"}),
        (ITEMS, "03", {"01", "03", "05"}),  # the days it feeds, and its own: lines may be of orders of that day
        (ITEMS, "09", {"09"}),
        (STOCK, "01-08:00", set()),
        ("silver/products", WHOLE, {"01", "03", "05", "07", "09"}),  # parents of lines, of any day
    ],
)
def test_days_that_read_a_window(table: str, window: str, days: set[str]) -> None:
    answer, windows = ANSWERS["order_kpis_daily"], pl.DataFrame({"table_name": [table], "window": [window]})
    need = needed(answer, FEEDS)
    every = ["01", "03", "05", "07", "09"]
    assert reading(answer, every, need, need.clear(), windows) == days
    assert reading(answer, every, need.clear(), need, windows) == days, "also what they were made from"
    assert reading(answer, ["07"], need, need, windows) == days & {"07"}, "of those that are asked for"


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


def days(*numbers: int) -> list[str]:
    return [f"2025-03-0{number}" for number in numbers]


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
