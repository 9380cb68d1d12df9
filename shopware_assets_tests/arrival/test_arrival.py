"""The order, grouping and repetition in which objects are ingested, partial healing and kills never change the final tables."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shopware_assets_tests.arrival import oracle, world
from shopware_assets_tests.arrival.history import Killed, Story, differences, stored

DAYS = [f"2025-03-0{day}" for day in range(1, 6)]
HOURS = ["2025-03-01-07:00", "2025-03-01-08:00", "2025-03-01-09:00", "2025-03-02-10:00"]
WINDOWS = {
    "silver/products": ["all"],
    "silver/orders": DAYS,
    "silver/order_items": DAYS,
    "silver/inventory": HOURS,
    "gold/order_kpis_daily": DAYS,
    "gold/category_kpis_daily": DAYS,
    "gold/inventory_current": ["all"],
}


@dataclass(frozen=True)
class Step:
    """One thing that happens, and the commit at which it is killed, if it is.

    `arrive`: that many of the objects that are next, and some that came before. `make`: these windows of a table, stale or not.
    `heal`: of what is stale, the tables with these numbers. `settle`: all that is stale, until nothing is.
    """

    arrive: int = 0
    again: tuple[int, ...] = ()
    make: tuple[str, tuple[str, ...]] | None = None
    heal: tuple[int, ...] = ()
    settle: bool = False
    killed_at: int | None = None
    before: bool = True


@dataclass(frozen=True)
class History:
    """Steps over the objects of a world in some order."""

    seed: int
    order: tuple[int, ...]
    steps: tuple[Step, ...]


@st.composite
def histories(draw: st.DrawFn, seeds: int) -> History:
    seed = draw(st.integers(0, seeds))
    order = draw(st.permutations(range(len(objects(seed)))))
    kill = {"killed_at": st.none() | st.integers(0, 30), "before": st.booleans()}
    some = st.lists(st.integers(0, len(order) - 1), max_size=3).map(tuple)
    windows = st.sampled_from(sorted(WINDOWS)).flatmap(
        lambda table: st.tuples(st.just(table), st.lists(st.sampled_from(WINDOWS[table]), min_size=1, unique=True).map(tuple))
    )
    step = st.one_of(
        st.builds(Step, arrive=st.integers(1, len(order)), again=some, **kill),
        st.builds(Step, make=windows, **kill),
        st.builds(Step, settle=st.just(True), **kill),
        st.builds(Step, heal=st.lists(st.integers(0, 6), min_size=1, unique=True).map(tuple), **kill),
    )
    return History(seed, tuple(order), tuple(draw(st.lists(step, max_size=8))))


@cache
def objects(seed: int) -> list[world.Drop]:
    return world.base() + world.drawn(seed)


@cache
def expected(seed: int) -> oracle.Tables:
    return oracle.tables(objects(seed))


@contextmanager
def story(drops: list[world.Drop]) -> Iterator[Story]:
    folder = tempfile.mkdtemp(prefix="arrival-")
    try:
        yield Story(Path(folder), drops)
    finally:
        shutil.rmtree(folder)


def live(told: Story, history: History) -> None:
    """Everything that happens in the history; then the rest arrives and all settles."""
    drops = [told.drops[number] for number in history.order]
    arrived = 0
    for step in history.steps:
        told.fuse.commits_left, told.fuse.before = step.killed_at, step.before
        with suppress(Killed):
            if step.arrive:
                arrived += step.arrive
                told.ingest(drops[arrived - step.arrive : arrived] + [drops[number] for number in step.again])
            elif step.make:
                told.make(*step.make)
            elif step.settle:
                told.settle()
            else:
                for number, (table, windows) in enumerate(told.stale()):
                    if number in step.heal:
                        told.make(table, windows)
    told.drops = drops
    told.finish()


def check(history: History) -> None:
    with story(objects(history.seed)) as told:
        live(told, history)
        assert not differences(stored(told.lake, expected(history.seed)), expected(history.seed))


def examples(count: int) -> Callable:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )


@pytest.mark.long
@examples(200)
@given(histories(seeds=50))
def test_any_history_leads_to_the_same_tables_long(history: History) -> None:
    check(history)


@examples(10)
@given(histories(seeds=3))
def test_any_history_leads_to_the_same_tables(history: History) -> None:
    check(history)
