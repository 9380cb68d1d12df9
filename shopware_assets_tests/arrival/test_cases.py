"""Case by case: what arrives later changes what had become of rows before, also when that is killed at any commit.

And that these tests can fail: each law of the design, broken on purpose, leaves tables that are wrong.
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import Table, rejected, silver
from shopware_assets.gold import materialize as gold
from shopware_assets.gold.materialize import Gold
from shopware_assets.ledger import LEDGER, LINEAGE, window_name
from shopware_assets.silver import materialize
from shopware_assets.silver.materialize import Judged, Silver
from shopware_assets.staleness import Survey
from shopware_assets_tests.arrival import oracle
from shopware_assets_tests.arrival.history import Copied, NeverSettles, Story
from shopware_assets_tests.arrival.world import CASES, SHOP

Break = Callable[[pytest.MonkeyPatch], None]


def begun(case: str, folder: Path) -> Story:
    """The story of a case, settled, before all arrives that changes it."""
    before, after = CASES[case]
    story = Story(folder / "lake", [*before, *after])
    story.ingest(before)
    story.settle()
    return story


def told(case: str, folder: Path) -> Story:
    """The story of a case: settled, and then all arrives that changes it."""
    story = begun(case, folder)
    story.ingest(CASES[case][1])
    return story


def wrong(story: Story) -> list[str]:
    """What is wrong once all has arrived and settled."""
    try:
        story.finish()
    except NeverSettles as error:
        return [str(error)]
    return story.differences(oracle.tables(story.drops))


def wrong_after_a_kill(case: str, folder: Path) -> Iterator[str]:
    """What is wrong in the end if the change is killed after one of its commits, be it any."""
    story = begun(case, folder)
    copied = Copied(folder / "lake", folder)
    with story.at_commits(copied):
        story.ingest(CASES[case][1])
        story.settle()
    for number, copy in enumerate(copied.copies):
        yield from (f"killed after commit {number}: {line}" for line in wrong(Story(copy, story.drops)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which the shop with which most cases begin has settled; not to be changed."""
    return Path(begun("order moved", tmp_path_factory.mktemp("shop")).lake.root)


LIKE = {
    "one product broken, another mended",
    "first day goes",
    "order cancelled",
    "order gone from a new version",
    "line sent again, of an order not there yet",
    "newest day moves on, over a gap",
    "second record of a pair at one time",
    "sales before their store",
    "return sent again, also in another window",
    "grocery lines before their orders",
    "grocery order broken in a new version",
    "newest day of stock moves back, with sales",
    "newest day moves back",
    "grocery order moved",
    "store corrected",
    "department changed",
    "stock of what was sold before",
}
"""They make the commits that another case makes: a kill at any of those is swept there."""

LONG = LIKE | {
    "snapshot sent again",
    "new version cannot be read",
}
"""What the short run need not have each: others are like them, or the base of the random worlds has them too."""
MARKS = dict.fromkeys(LONG, pytest.mark.long)


@pytest.mark.parametrize("case", [pytest.param(case, marks=MARKS.get(case, ())) for case in CASES])
def test_what_arrives_later_changes_what_had_become_of_rows(case: str, shop: Path, tmp_path: Path) -> None:
    before, after = CASES[case]
    if before is SHOP:
        story = Story(shutil.copytree(shop, tmp_path / "lake"), [*before, *after])
    else:
        story = begun(case, tmp_path)
    story.ingest(after)
    assert not wrong(story)


@pytest.mark.long
@pytest.mark.parametrize("case", [case for case in CASES if case not in LIKE])
def test_a_kill_at_any_commit_changes_nothing(case: str, tmp_path: Path) -> None:
    assert not list(wrong_after_a_kill(case, tmp_path))


# --- What if a law were broken ---------------------------------------------------------------------------------------


def ingests_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "holds", lambda self, landed, landed_at: False)


def last_read_wins(patch: pytest.MonkeyPatch) -> None:
    split = materialize.split

    def by_reading(rows: nw.LazyFrame, contract: Contract, **others: object) -> object:
        numbered = nw.from_native(rows.to_native().with_row_index("_read"))
        return split(numbered, dataclasses.replace(contract, newest_by=nw.col("_read").cast(nw.Int64)), **others)

    patch.setattr(materialize, "split", by_reading)


def unreadable_version_replaces(patch: pytest.MonkeyPatch) -> None:
    markers = ledger.markers

    def by_time_alone(*args: object, **kwargs: object) -> pl.DataFrame:
        return markers(*args, **kwargs).with_columns(  # type: ignore[arg-type]
            current=pl.col("landed_at") == pl.col("landed_at").max().over("source")
        )

    patch.setattr(ledger, "markers", by_time_alone)


def forgets_objects(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Survey, "_objects", lambda self, contract, judged: set())


def forgets_parents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Survey, "_parents", lambda self, contract, reference, judged: set())


def forgets_shared_keys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("shopware_assets.staleness._disagreeing", lambda lineage: set())


def judges_windows_alone(patch: pytest.MonkeyPatch) -> None:
    none = pl.DataFrame(schema={"_key": pl.String, "window": pl.String})
    patch.setattr(Silver, "_shared_keys", lambda self, handle: none)


def forgets_the_day_before(patch: pytest.MonkeyPatch) -> None:
    """Gold follows the days that rows have now, not those they had."""

    def of_what_is(expected: pl.DataFrame, recorded: pl.DataFrame) -> set[str]:
        facts = recorded.columns
        return set(expected.select(facts).join(recorded, on=facts, how="anti", nulls_equal=True)["window"])

    patch.setattr("shopware_assets.staleness.stale", of_what_is)


def keeps_old_rejects(patch: pytest.MonkeyPatch) -> None:
    replace = Lake.replace

    def unless_empty(self: Lake, table: Table, frame: pl.DataFrame, *args: object, **kwargs: object) -> int:
        skipped = table.name.endswith("_rejected") and frame.is_empty()
        return self.version(table) if skipped else replace(self, table, frame, *args, **kwargs)  # type: ignore[arg-type]

    patch.setattr(Lake, "replace", unless_empty)


def forgets_which_day_was_the_newest(patch: pytest.MonkeyPatch) -> None:
    needed = gold.needed

    def of_rows(*args: Any) -> pl.DataFrame:
        return needed(*args).filter(pl.col("name") != "newest")

    patch.setattr(gold, "needed", of_rows)
    patch.setattr("shopware_assets.staleness.needed", of_rows)


def forgets_what_a_day_leaves_to_the_next(patch: pytest.MonkeyPatch) -> None:
    feeds = Gold._feeds

    def whatever(self: Gold, rows: pl.DataFrame) -> pl.DataFrame:
        return feeds(self, rows).with_columns(pl.col("fingerprint").str.replace("[0-9]+$", "some state"))

    patch.setattr(Gold, "_feeds", whatever)


def does_not_say_that_it_begins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "begin", lambda lake, table, windows: None)


def writes_the_ledger_first(patch: pytest.MonkeyPatch) -> None:
    def write(self: Silver, judged: Judged) -> None:
        windows = None if judged.windows == [None] else [window for window in judged.windows if window]
        names = [window_name(window, self.contract.grain) for window in judged.windows]
        ledger.write(self.lake, LEDGER, silver(self.contract), names, judged.counts)
        ledger.write(self.lake, LINEAGE, silver(self.contract), names, judged.lineage)
        self.lake.replace(rejected(self.contract), judged.rejected, windows)
        self.lake.replace(silver(self.contract), judged.accepted, windows)

    patch.setattr(Silver, "_write", write)


def commits_rows_before_their_markers(patch: pytest.MonkeyPatch) -> None:
    append_once = Lake.append_once

    def in_two(self: Lake, table: Table, batches: Callable, *, guard: str) -> None:
        if guard != "ingest":
            return append_once(self, table, batches, guard=guard)
        frames = list(batches(self.open(table)) or ())
        for part in (pl.col("_line") > 0, pl.col("_line") == 0):
            append_once(self, table, lambda _, part=part: iter([f.filter(part) for f in frames]), guard=guard)

    patch.setattr(Lake, "append_once", in_two)


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "case"),
    [
        (ingests_again, "new version cannot be read"),
        (last_read_wins, "line sent again in another window"),
        (unreadable_version_replaces, "new version cannot be read"),
        (forgets_objects, "order cancelled"),
        (forgets_parents, "category corrected"),
        (forgets_shared_keys, "line sent again in another window"),
        (judges_windows_alone, "line sent again in another window"),
        (forgets_the_day_before, "order moved"),
        (keeps_old_rejects, "lines before their parents"),
        (forgets_which_day_was_the_newest, "newest day moves on, over a gap"),
        (forgets_what_a_day_leaves_to_the_next, "snapshot late, of a day that others go on from"),
        (forgets_parents, "store corrected"),
        (forgets_parents, "department changed"),
        (forgets_the_day_before, "grocery order moved"),
        (last_read_wins, "return sent again, also in another window"),
    ],
)
def test_a_broken_law_shows(broken: Break, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    assert wrong(told(case, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "case"),
    [
        (does_not_say_that_it_begins, "category corrected"),
        (writes_the_ledger_first, "one product broken, another mended"),
        (commits_rows_before_their_markers, "snapshot sent again"),
    ],
)
def test_a_broken_law_shows_after_a_kill(
    broken: Break, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert next(wrong_after_a_kill(case, tmp_path), None)
