"""What is told when a product runs out of stock: once, and only while it is news."""

from collections.abc import Collection
from pathlib import Path

import pytest

from sensors.alerts import Fact, facts
from shopware_assets.transforms.stock import STOCKOUTS
from shopware_assets_tests.arrival.history import THRESHOLD, Story
from shopware_assets_tests.arrival.world import Record, drop, stock

BEFORE = (stock("1", "01T08"), stock("2", "01T08", "0", "2"), stock("3", "01T08", product_id="3"))
"""On the first there is none of product 2."""


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "lake", [])


def told(story: Story, at: str, *records: Record, unsettled: Collection[str] = ()) -> list[Fact]:
    """What is told once an object with these records has landed and settled."""
    landed = drop("inventory", f"{at}.jsonl", at, *records)
    story.drops.append(landed)
    story.ingest([landed])
    story.settle()
    found = facts(story.lake, threshold=THRESHOLD, rule_share=0.1, given_up=(), unsettled=unsettled)
    return [fact for fact in found if fact.kind == "stockout"]


@pytest.mark.long
def test_a_stockout_that_has_begun_is_told_under_one_name(story: Story) -> None:
    told(story, "01T09", *BEFORE)
    (first,) = told(
        story, "02T21", stock("1", "02T20", "0"), stock("3", "02T19", "0", "3"), stock("3", "02T20", "1", "3")
    )
    assert first.line == "Product 1 in warehouse 7, since 2025-03-02 20:00 UTC.", "2 is no news, 3 is there again"
    (again,) = told(story, "03T09", stock("1", "03T08", "0"))
    assert again.id == first.id, "evidence of the same stockout"
    (other,) = told(story, "03T13", stock("1", "03T10", "4"), stock("1", "03T12", "0"))
    assert other.id != first.id, "another one"


@pytest.mark.long
def test_a_day_later_it_is_no_news(story: Story) -> None:
    assert len(told(story, "01T09", stock("2", "01T08", "0", "2"))) == 1
    assert len(told(story, "02T09", stock("1", "02T08"))) == 1
    assert not told(story, "02T10", stock("1", "02T09"))


@pytest.mark.long
def test_history_that_lands_at_once_tells_only_of_its_end(story: Story) -> None:
    history = [stock("1", f"0{day}T{hour}", level) for day in range(1, 9) for hour, level in (("08", "0"), ("10", "5"))]
    assert not told(story, "08T12", *history)
    assert story.lake.rows(STOCKOUTS.table) == 8, "the control: there were some"


def test_nothing_is_told_while_stockouts_are_to_be_made_again(story: Story) -> None:
    assert not told(story, "01T09", stock("2", "01T08", "0", "2"), unsettled={STOCKOUTS.table.name})
