"""The order, grouping and repetition of ingested objects, partial healing and kills never change the tables."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopware_assets import report
from shopware_assets.ledger import LINEAGE
from shopware_assets_tests.arrival import oracle, world
from shopware_assets_tests.arrival.history import Commits, Killed, KilledAt, Story

DAYS = [f"2025-03-0{day}" for day in range(1, 6)]
HOURS = [
    *("2025-03-01-07:00", "2025-03-01-08:00", "2025-03-01-09:00", "2025-03-01-23:00"),
    *("2025-03-02-00:00", "2025-03-02-10:00", "2025-03-04-06:00"),
]
WINDOWS = {
    "silver/products": ["all"],
    "silver/orders": DAYS,
    "silver/order_items": DAYS,
    "silver/inventory": HOURS,
    "gold/order_kpis_daily": DAYS,
    "gold/category_kpis_daily": DAYS,
    "gold/inventory_daily": DAYS,
    "gold/stockouts": DAYS,
    "gold/inventory_current": ["all"],
    "silver/stores": ["all"],
    "silver/pos_sales": DAYS,
    "silver/grocery_products": ["all"],
    "silver/grocery_orders": DAYS,
    "silver/grocery_order_items": DAYS,
    "gold/sales_daily": DAYS,
    "gold/sales_by_region_daily": DAYS,
    "gold/sales_by_product_daily": DAYS,
    "gold/product_performance_daily": DAYS,
    "gold/grocery_daily": DAYS,
    "gold/grocery_departments_daily": DAYS,
}


@contextmanager
def story(drops: Sequence[world.Drop], name: str = "lake") -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="arrival-") as folder:
        yield Story(Path(folder, name), drops)


# --- Any history -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One thing that happens, and the commit at which it is killed, if it is (before or after that is made).

    `arrive`: that many of the objects that are next, and some that may have come before. `make`: these windows of a
    table, stale or not. `heal`: of what is stale, the tables with these numbers. `settle`: what is stale, until
    nothing is.
    """

    arrive: int = 0
    again: tuple[int, ...] = ()
    make: tuple[str, tuple[str, ...]] | None = None
    heal: tuple[int, ...] = ()
    settle: bool = False
    killed_at: int | None = None
    is_made: bool = False


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
    kill = {"killed_at": st.none() | st.integers(0, 25), "is_made": st.booleans()}
    some = st.lists(st.sampled_from(order), max_size=3).map(tuple)
    tables = st.lists(st.integers(0, len(WINDOWS) - 1), min_size=1, unique=True).map(tuple)
    windows = st.sampled_from([(table, window) for table in WINDOWS for window in WINDOWS[table]])
    step = st.one_of(
        st.builds(Step, arrive=st.integers(1, len(order)), again=some, **kill),
        st.builds(Step, settle=st.just(True), **kill),
        st.builds(Step, heal=tables, **kill),
        st.builds(Step, make=windows.map(lambda chosen: (chosen[0], (chosen[1],))), **kill),
    )
    return History(seed, tuple(order), tuple(draw(st.lists(step, min_size=3, max_size=6))))


@cache
def objects(seed: int) -> list[world.Drop]:
    return world.base() + world.others() + world.drawn(seed)


@cache
def expected(seed: int) -> oracle.Tables:
    return oracle.tables(objects(seed))


def test_no_table_and_no_column_is_left_out() -> None:
    tables = {table.name: table for table in report.tables() if table is not LINEAGE}
    assert set(expected(0)) == set(tables)
    assert set(WINDOWS) == {n for n in tables if n.startswith(("silver", "gold")) and not n.endswith("_rejected")}
    left_out = {column for name, rows in expected(0).items() for column in set(tables[name].columns) - set(rows[0])}
    assert left_out == {"_extra", "_marker", "judged_by", "code_version", "run_id", "month"}


def live(told: Story, history: History) -> None:
    """All that happens in the history; then the rest arrives and everything settles."""
    told.drops = [told.drops[number] for number in history.order]
    arrived = 0
    for step in history.steps:
        commits = Commits() if step.killed_at is None else KilledAt(step.killed_at, step.is_made)
        with suppress(Killed), told.at_commits(commits):
            if step.arrive:
                arrived += step.arrive
                again = [objects(history.seed)[number] for number in step.again]
                told.ingest(told.drops[arrived - step.arrive : arrived] + again)
            elif step.make:
                told.make(*step.make)
            elif step.settle:
                told.settle()
            else:
                for number, (table, windows) in enumerate(told.stale()):
                    if number in step.heal:
                        told.make(table, windows)
    told.finish()


def check(history: History) -> None:
    with story(objects(history.seed)) as told:
        live(told, history)
        assert not told.differences(expected(history.seed))


def examples(count: int) -> Callable:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@examples(1)
@given(histories(seeds=3))
def test_any_history_leads_to_the_same_tables(history: History) -> None:
    check(history)


@pytest.mark.long
@pytest.mark.timeout(1200)
@examples(7)
@given(histories(seeds=50))
def test_many_histories_lead_to_the_same_tables(history: History) -> None:
    check(history)
