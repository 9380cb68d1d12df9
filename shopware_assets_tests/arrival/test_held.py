"""A held window: gold that reads it keeps its values, all else goes on, until it is allowed or its bronze changes."""

import dataclasses
import shutil
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest

from shopware_assets import ledger, report
from shopware_assets.contracts import CONTRACTS, check_references
from shopware_assets.contracts.contract import Rule, Severity
from shopware_assets.contracts.tables import silver
from shopware_assets.transforms import ANSWERS
from shopware_assets_tests.arrival import oracle
from shopware_assets_tests.arrival.history import THRESHOLD, Story
from shopware_assets_tests.arrival.world import Drop, drop, line, order, product, sale, stock

GOOD = (
    drop("products", "1.csv", "01T06", product("p1"), product("p2", "Hats")),
    drop("orders", "1.csv", "01T07", order("o1", "01T05"), order("o2", "01T06")),
    drop("orders", "2.csv", "02T07", order("o3", "02T05")),
    # The first order's line is of another day than its order, and came back on a third; the last two share a window.
    drop("order_items", "1.csv", "06T08", line("l1", "o1", "p1", "02T05", "returned", returned_at="05T05")),
    drop("order_items", "2.csv", "02T08", line("l2", "o2", "p2", "01T06"), line("l3", "o3", "p2", "01T07")),
    drop("inventory", "1.jsonl", "01T09", stock("1", "01T08"), stock("2", "01T08", product_id="2")),
)
BROKEN = {
    "all orders": drop("orders", "1.csv", "06T09", order("o1", "01T05", user_id=""), order("o2", "01T06", user_id="")),
    "all products": drop("products", "1.csv", "06T09", product("p1", sku=""), product("p2", sku="")),
    "half the products": drop("products", "1.csv", "06T09", product("p1", "Boots"), product("p2", cost="-1")),
    "all lines": drop("order_items", "1.csv", "06T09", line("l1", "o1", "p1", "02T05", price="")),
    "all stock": drop("inventory", "1.jsonl", "06T09", stock("1", "01T08", "-1"), stock("2", "01T08", "-2")),
}
"""New versions of objects, over the threshold."""
BROKEN = {name: dataclasses.replace(broken, version="b") for name, broken in BROKEN.items()}


def told(folder: Path, *drops: Drop) -> Story:
    story = Story(folder / "lake", drops)
    story.ingest(story.drops)
    story.settle()
    return story


@pytest.fixture(scope="session")
def good_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which all that is good has settled; not to be changed."""
    return Path(told(tmp_path_factory.mktemp("good"), *GOOD).lake.root)


@pytest.fixture
def story(good_lake: Path, tmp_path: Path) -> Story:
    """All that is good, settled."""
    return Story(shutil.copytree(good_lake, tmp_path / "lake"), GOOD)


def comes(story: Story, *drops: Drop) -> None:
    story.drops += drops
    story.ingest(drops)


def gold(story: Story) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every gold table."""
    rows = {answer.name: story.lake.scan(answer.table).collect() for answer in ANSWERS.values()}
    return {name: sorted(frame.iter_rows(), key=str) for name, frame in rows.items()}


def days(story: Story, answer: str) -> list[str]:
    return sorted({str(day)[-2:] for day in story.lake.scan(ANSWERS[answer].table).collect()["order_date"]})


def held(story: Story) -> int:
    return ledger.held_windows(story.lake, THRESHOLD).height


@pytest.mark.long
@pytest.mark.parametrize("broken", ["all orders", "half the products", "all stock"])
def test_gold_keeps_its_values_until_bronze_is_mended_or_the_window_allowed(broken: str, story: Story) -> None:
    before = gold(story)
    comes(story, BROKEN[broken])
    story.settle()
    assert held(story) == 1
    assert gold(story) == before

    right = next(drop for drop in GOOD if drop.key == BROKEN[broken].key)
    comes(story, dataclasses.replace(right, version="c", landed_at=BROKEN[broken].landed_at.replace(hour=10)))
    while stale := story.stale():
        for table, windows in stale[:1]:  # children, and what reads them, wait while their parent is judged again
            story.make(table, windows)
        if BROKEN[broken].table != "inventory":  # snapshots have another landing time now, which is no measure
            assert gold(story) == before
    assert held(story) == 0
    assert not story.differences(oracle.tables(story.drops))

    comes(story, dataclasses.replace(BROKEN[broken], version="d", landed_at=BROKEN[broken].landed_at.replace(hour=11)))
    story.finish()
    assert not story.differences(oracle.tables(story.drops))
    assert gold(story) != before, "the control: it would have changed"


@pytest.mark.long
def test_days_that_read_no_held_window_go_on(story: Story) -> None:
    before = gold(story)
    more = drop("order_items", "3.csv", "06T10", line("l4", "o3", "p1", "03T05", "returned", returned_at="04T05"))
    comes(story, BROKEN["all orders"], more)
    story.settle()
    assert days(story, "order_kpis_daily") == ["01", "02", "04", "05"]
    old, new = before["order_kpis_daily"], gold(story)["order_kpis_daily"]
    assert [row for row in old if row not in new] == [row for row in old if row[0].day == 2]  # type: ignore[attr-defined]
    assert [row[0] for row in gold(story)["category_kpis_daily"] if row[1].day == 2] == ["Hats", "Shoes"]  # type: ignore[attr-defined]


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "order_days", "category_days", "pairs"),
    [
        ("all orders", ["02"], ["02"], 2),
        ("all products", [], [], 2),
        ("all lines", ["01"], ["01"], 2),
        ("all stock", ["01", "02", "05"], ["01", "02"], 0),
    ],
)
def test_a_day_that_was_never_made_is_not_made_from_a_held_window(
    broken: str, order_days: list[str], category_days: list[str], pairs: int, tmp_path: Path
) -> None:
    first = [BROKEN[broken] if drop.key == BROKEN[broken].key else drop for drop in GOOD]
    story = told(tmp_path, *first)
    assert held(story) == 1
    found = (days(story, "order_kpis_daily"), days(story, "category_kpis_daily"), len(gold(story)["inventory_current"]))
    assert found == (order_days, category_days, pairs)
    story.finish()
    assert not story.differences(oracle.tables(first))


def test_a_day_is_held_that_a_broken_version_took_its_rows_from(tmp_path: Path) -> None:
    """Their times cannot be read, so they are filed under the window in which their object landed."""
    march = [order("o1", "01T05"), order("o2", "02T05")]
    story = told(
        tmp_path, drop("orders", "march.csv", "05T06", *march), drop("orders", "4.csv", "04T07", order("o3", "04T05"))
    )
    before = gold(story)
    broken = [{**row, "created_at": f"0{day}/03/2025 05:00"} for day, row in enumerate(march, 1)]
    comes(story, drop("orders", "march.csv", "05T07", *broken, version="b"))
    story.settle()
    assert held(story) == 3
    assert gold(story) == before
    told_of = [line.split(". Gold waits; ") for line in report.after_settling(story.lake, THRESHOLD) if "held" in line]
    assert [why.partition(" is held: ")[2] for why, _ in told_of] == [
        *["1 of 1 rows rejected (in a new version of their object)"] * 2,
        "2 of 2 rows rejected (created_at_parses 2)",
    ]
    assert [command.split("`")[1].partition("rejects ")[2] for _, command in told_of] == [
        *["silver/orders"] * 2,
        "silver/orders --window 2025-03-05",
    ]
    comes(story, drop("orders", "march.csv", "05T08", *march, version="c"))
    story.settle()
    assert held(story) == 0
    assert not story.differences(oracle.tables(story.drops))


@pytest.mark.long
def test_a_day_is_not_made_while_it_is_open_whether_its_rows_were_taken_away_rightly(tmp_path: Path) -> None:
    """The window in which the new version's rows are filed says so, and may be judged by another run."""
    march = [sale("b1", "1", "01T05"), sale("b2", "1", "02T05")]
    story = told(tmp_path, drop("pos_sales", "march.csv", "05T06", *march))
    before = gold(story)
    broken = [{**row, "timestamp": f"0{day}/03/2025 05:00"} for day, row in enumerate(march, 1)]
    comes(story, drop("pos_sales", "march.csv", "05T07", *broken, version="b"))
    story.make("silver/pos_sales", ["2025-03-01", "2025-03-02"])
    assert story.stale() == [("silver/pos_sales", {"2025-03-05"})]
    story.settle()
    assert held(story) == 3
    assert gold(story) == before


@pytest.mark.long
def test_what_sold_is_not_said_over_a_held_day_that_was_never_made(tmp_path: Path) -> None:
    drops = [
        drop("inventory", "1.jsonl", "03T12", *(stock("1", f"0{day}T08") for day in (1, 2, 3))),
        drop("pos_sales", "1.csv", "01T20", sale("b1", "1", "01T10")),
        drop("pos_sales", "2.csv", "02T20", sale("b2", "1", "02T10", quantity="0")),
        drop("pos_sales", "3.csv", "03T20", sale("b3", "1", "03T10")),
    ]
    story = told(tmp_path, *drops)
    assert held(story) == 1

    def days_said() -> set[str]:
        return {str(row[2]) for row in gold(story)["product_performance_daily"]}

    assert days_said() == {"2025-03-01"}
    story.make("gold/product_performance_daily", ["2025-03-02", "2025-03-03"])
    assert days_said() == {"2025-03-01"}, "nor when a person asks for it"
    story.finish()
    assert days_said() == {"2025-03-01", "2025-03-02", "2025-03-03"}
    assert not story.differences(oracle.tables(drops))


# --- what is judged again ---------------------------------------------------------------------------------------------


def accepted(story: Story, table: str) -> list[str]:
    return sorted(story.lake.scan(silver(CONTRACTS[table])).select(pl.first().cast(pl.String)).collect().to_series())


def test_a_changed_rule_judges_windows_again(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    assert accepted(story, "orders") == ["o1", "o2", "o3"]
    said = dataclasses.replace(CONTRACTS["orders"], description="Other words.", owner="team:other")
    monkeypatch.setitem(CONTRACTS, "orders", said)
    assert not story.stale()
    rule = Rule("not_the_third", "Not the third.", nw.col("order_id") == "o3")
    monkeypatch.setitem(CONTRACTS, "orders", dataclasses.replace(said, row_rules=(rule,)))
    assert story.stale() == [("silver/orders", {"2025-03-01", "2025-03-02"})]
    story.settle()
    assert (accepted(story, "orders"), accepted(story, "order_items")) == (["o1", "o2"], ["l1", "l2"])


@pytest.mark.long
def test_an_unknown_parent_that_only_warns_heals_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = CONTRACTS["order_items"]
    references = [dataclasses.replace(r, severity=Severity.WARN) for r in contract.references if r.parent == "products"]
    orders_known = contract.references[0]
    monkeypatch.setitem(CONTRACTS, "order_items", dataclasses.replace(contract, references=(orders_known, *references)))

    def lines(story: Story) -> list[tuple[str, str, str]]:
        rows = story.lake.scan(silver(CONTRACTS["order_items"])).select("id", "category", "_warnings").collect()
        return sorted(rows.iter_rows())

    # A line sent again is one that lost, and is not asked about.
    story = told(tmp_path, *GOOD[1:], drop("order_items", "3.csv", "06T09", line("l2", "o2", "p2", "01T06")))
    assert lines(story) == [(id, "unknown", "product_known") for id in ("l1", "l2", "l3")]
    comes(story, drop("products", "2.csv", "06T10", product("p2", "Hats")))
    story.settle()
    assert lines(story) == [("l1", "unknown", "product_known"), ("l2", "Hats", ""), ("l3", "Hats", "")]


def test_a_row_says_from_which_windows_of_its_parents_it_takes() -> None:
    items = CONTRACTS["order_items"]
    silent = dataclasses.replace(items, references=[dataclasses.replace(r, carries=()) for r in items.references])
    with pytest.raises(ValueError, match=r"^order_items: order_known has to carry orders\.created_date$"):
        check_references(CONTRACTS | {"order_items": silent})


# --- days that go on from the day before ------------------------------------------------------------------------------


def test_stock_does_not_begin_anew_after_a_day_that_is_held(tmp_path: Path) -> None:
    drops = [
        drop("inventory", "1.jsonl", "01T12", stock("1", "01T08", "5"), stock("2", "01T08", "6", "2")),
        drop("inventory", "2.jsonl", "02T12", stock("1", "02T08", "-5")),
        drop("inventory", "4.jsonl", "04T12", stock("1", "04T08", "3")),
    ]
    story = told(tmp_path, *drops)
    assert held(story) == 1
    current = story.lake.scan(ANSWERS["inventory_current"].table).select("product_id", "stock_level").collect()
    assert sorted(current.iter_rows()) == [(1, 5), (2, 6)], "what is known until the held day; no pair is lost"
    story.finish()
    assert not story.differences(oracle.tables(drops))


@pytest.mark.long
@pytest.mark.parametrize("newest", ["01T08", "02T08"])
def test_days_go_on_after_a_held_day_that_had_been_made(newest: str, tmp_path: Path) -> None:
    story = told(
        tmp_path, drop("inventory", "1.jsonl", "01T12", stock("1", "01T08", "5"), stock("2", newest, "6", "2"))
    )
    comes(
        story,
        drop("inventory", "2.jsonl", "01T13", *(stock("1", "01T08", level) for level in ("-5", "-6", "-7"))),
        drop("inventory", "5.jsonl", "05T12", stock("1", "05T08", "3")),
    )
    story.settle()
    assert held(story) == 1
    current = story.lake.scan(ANSWERS["inventory_current"].table).select("product_id", "stock_level").collect()
    assert sorted(current.iter_rows()) == [(1, 3), (2, 6)]
    story.finish()
    assert not story.differences(oracle.tables(story.drops))


@pytest.mark.long
def test_a_held_window_from_before_the_first_day_stops_no_new_one(tmp_path: Path) -> None:
    story = told(tmp_path, drop("inventory", "2.jsonl", "02T12", stock("1", "02T08", "5")))
    comes(
        story,
        drop("inventory", "1.jsonl", "03T12", stock("2", "01T08", "-1")),
        drop("inventory", "3.jsonl", "03T13", stock("1", "03T08", "4")),
    )
    story.settle()
    assert held(story) == 1
    current = story.lake.scan(ANSWERS["inventory_current"].table).select("product_id", "stock_level").collect()
    assert current.rows() == [(1, 4)]
    story.finish()
    assert not story.differences(oracle.tables(story.drops))
