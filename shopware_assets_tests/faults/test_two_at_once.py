"""Several at once on the same windows: one effect, whoever commits first."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from threading import Event, Lock, Thread, current_thread
from typing import Any

import pytest

from resources.lake import Lake, Overtaken
from shopware_assets_tests.arrival import oracle
from shopware_assets_tests.arrival.history import Commits, NeverSettles, Story
from shopware_assets_tests.arrival.world import CASES
from shopware_assets_tests.faults import processes
from shopware_assets_tests.faults.homes import Home

BEFORE, AFTER = CASES["snapshot sent again"]

OVERTAKEN = "1111" + "0000" + "1" * 20
"""The second has replaced rows, not said so in the ledger yet, when the first does all that with what it had read."""
DRAWN = ["".join(Random(seed).choices("012", k=60)) for seed in range(5)]


class Turns(Commits):
    """Threads of which one at a time goes on, from one commit to its next, in a given order of their numbers."""

    def __init__(self, order: Iterable[str]) -> None:
        self._order = iter(order)
        self._lock = Lock()
        self._going = 0
        self._waiting: dict[str, Event] = {}
        self._failed: list[Exception] = []

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        threads = [Thread(target=self._do, args=(work,), name=str(number)) for number, work in enumerate(works)]
        self._going = len(threads)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed:
            raise self._failed[0]

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Overtaken:
            pass  # such a run has failed, and is asked for again
        except Exception as error:  # noqa: BLE001 - raised in `run`
            self._failed.append(error)
        finally:
            self._stop()

    def before(self) -> None:
        turn = Event()
        with self._lock:
            self._waiting[current_thread().name] = turn
        self._stop()
        turn.wait()

    def _stop(self) -> None:
        with self._lock:
            self._going -= 1
            if not self._going and self._waiting:
                self._going = 1
                next_one = next(self._order, "")
                self._waiting.pop(next_one if next_one in self._waiting else min(self._waiting)).set()


def wrong(folder: Path, order: str) -> list[str]:
    """What is wrong in the end if one run judges what has landed while more lands that two others ingest and judge."""
    story, turns = Story(folder, [*BEFORE, *AFTER]), Turns(order)
    story.ingest(BEFORE)

    def ingest_and_settle() -> None:
        story.ingest(AFTER)
        story.settle()

    try:
        with story.at_commits(turns):
            turns.run([story.settle, ingest_and_settle, ingest_and_settle])
        story.finish()
    except NeverSettles as error:
        return [str(error)]
    return story.differences(oracle.tables(story.drops))


@pytest.mark.parametrize("order", [OVERTAKEN, *(pytest.param(order, marks=pytest.mark.long) for order in DRAWN)])
def test_runs_at_once_have_one_effect(order: str, tmp_path: Path) -> None:
    assert not wrong(tmp_path, order)


def ingests_unguarded(patch: pytest.MonkeyPatch) -> None:
    commit = Lake._commit

    def unguarded(self: Lake, *args: Any, transactions: object = None, **kwargs: Any) -> int:
        return commit(self, *args, **kwargs)

    patch.setattr(Lake, "_commit", unguarded)


def does_not_notice_that_it_was_overtaken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lake, "check_not_overtaken", lambda *_: None)


@pytest.mark.parametrize(
    ("broken", "order"),
    [
        pytest.param(ingests_unguarded, DRAWN[0], marks=pytest.mark.long),
        (does_not_notice_that_it_was_overtaken, OVERTAKEN),
    ],
)
def test_a_race_that_goes_unnoticed_shows(
    broken: Callable[[pytest.MonkeyPatch], None], order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    broken(monkeypatch)
    assert wrong(tmp_path, order)


@pytest.mark.long
def test_two_processes_settle_one_home(tmp_path: Path) -> None:
    home = Home(tmp_path, [*BEFORE, *AFTER])
    both = [processes.start("settle", env=home.settings, output=home.output) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0], home.output.read_text()
    assert home.run("ledger", "--settled") == 0, home.output.read_text()
    assert not home.wrong()
