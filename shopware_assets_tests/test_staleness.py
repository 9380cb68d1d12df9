"""Staleness: the comparison itself, and what waits for what between silver, gold and serving."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import Table, silver
from shopware_assets.ledger import LEDGER, LINEAGE
from shopware_assets.serving.tables import SERVED
from shopware_assets.staleness import Stale, Survey, stale
from shopware_assets.transforms import ANSWERS

Fact = tuple[str | None, ...]
SCHEMA = {"window": pl.String, "source": pl.String, "version": pl.String}


def facts(rows: list[Fact]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


A1, A2, B1 = ("01", "a", "1"), ("01", "a", "2"), ("01", "b", "1")
LATER, UNKNOWN = ("02", "a", "1"), ("01", "a", None)


@pytest.mark.parametrize(
    ("expected", "recorded", "windows"),
    [
        ([], [], set()),
        ([A1, B1, LATER], [LATER, B1, A1], set()),
        ([A1, LATER], [LATER], {"01"}),  # never made
        ([A1, B1], [A1], {"01"}),  # something came
        ([A1], [A1, B1], {"01"}),  # something is gone
        ([A2], [A1], {"01"}),  # something has changed
        ([], [A1, LATER], {"01", "02"}),  # nothing is there any more
        ([A1, LATER], [], {"01", "02"}),
        ([A2, LATER], [A1, LATER], {"01"}),  # the other window is left alone
        ([LATER], [A1], {"01", "02"}),  # a fact has moved: before and after
        ([UNKNOWN], [UNKNOWN], set()),
        ([UNKNOWN], [A1], {"01"}),
        ([A1], [UNKNOWN], {"01"}),
        ([A1, A1], [A1], set()),  # a fact said twice is one fact
    ],
)
def test_windows_whose_facts_differ_are_stale(expected: list[Fact], recorded: list[Fact], windows: set[str]) -> None:
    assert stale(facts(expected), facts(recorded)) == windows


SOME = st.lists(st.tuples(*(st.sampled_from(["1", "2", "3"]),) * 2, st.sampled_from(["x", None])), max_size=6)


@given(SOME, SOME)
def test_it_is_the_difference_of_two_sets(expected: list[Fact], recorded: list[Fact]) -> None:
    assert stale(facts(expected), facts(recorded)) == {window for window, *_ in {*expected} ^ {*recorded}}


def test_only_what_is_recorded_is_compared() -> None:
    more = facts([A1]).with_columns(rows=pl.lit(7))
    assert stale(more.select("rows", "version", "source", "window"), facts([A1])) == set()


# --- what waits for what ----------------------------------------------------------------------------------------------

ORDERS, ITEMS, STOCK = (silver(CONTRACTS[name]) for name in ("orders", "order_items", "inventory"))
ORDER_KPIS, CATEGORY_KPIS = ANSWERS["order_kpis_daily"].table, ANSWERS["category_kpis_daily"].table


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def says(lake: Lake, table: Table, kind: str, *rows: tuple[str, str, str, str]) -> None:
    """Facts of a table in the lineage: window, name, at, fingerprint. Rows rest on the silver windows they are in."""
    lines = pl.DataFrame(rows, schema=["window", "name", "at", "fingerprint"], orient="row")
    rests_on = {
        "feeds": pl.concat_str(pl.lit(f"{table.name}/"), "window"),
        "made_from": pl.concat_str(pl.col("name").str.extract(r"(silver/\w+)/"), pl.lit("/"), "at"),
    }
    lines = lines.with_columns(kind=pl.lit(kind), rests_on=rests_on[kind])
    ledger.write(lake, LINEAGE, table, sorted({window for window, *_ in rows}), lines)


def judged(lake: Lake, table: Table, window: str, accepted: int, rejected: int) -> None:
    counts = {"read": accepted + rejected, "accepted": accepted, "rejected": rejected, "superseded": 0, "waiting": 0}
    row = {
        "window": window,
        "source": "a",
        "version": "1",
        "landed_at": None,
        "current": True,
        "judged_by": "",
    } | counts
    ledger.write(lake, LEDGER, table, [window], pl.DataFrame([row]))


def survey(lake: Lake) -> Survey:
    return Survey(lake, PolarsEngine(), threshold=0.5)


def gold(lake: Lake, *silver_stale: Stale) -> dict[str, tuple[set[str], set[str]]]:
    """Gold table -> days that are stale, and days that are blocked; without those of which neither is."""
    found = {s.table.name: (set(s.windows), set(s.blocked)) for s in survey(lake).gold(silver_stale)}
    return {name: days for name, days in found.items() if any(days)}


def defined(answer: str, day: str) -> tuple[str, str, str, str]:
    """That a day was made by the definition that the answer has now."""
    return (day, f"/definition/{day}", day, ANSWERS[answer].fingerprint)


def test_gold_days_follow_the_days_of_silver_rows(lake: Lake) -> None:
    """Lines of 3 June belong to orders of 1 June and came back on 5 June."""
    says(lake, ORDERS, "feeds", ("2025-06-01", "created_date", "2025-06-01", "x"))
    says(
        *(lake, ITEMS, "feeds"),
        ("2025-06-03", "order_date", "2025-06-01", "y"),
        ("2025-06-03", "refund_date", "2025-06-05", "y"),
    )
    assert gold(lake) == {
        ORDER_KPIS.name: ({"2025-06-01", "2025-06-05"}, set()),
        CATEGORY_KPIS.name: ({"2025-06-01"}, set()),
    }
    line = ("2025-06-01", f"{ITEMS.name}/order_date/2025-06-01", "2025-06-03", "y")
    says(lake, CATEGORY_KPIS, "made_from", line, defined("category_kpis_daily", "2025-06-01"))
    says(
        *(lake, ORDER_KPIS, "made_from", line),
        *(defined("order_kpis_daily", day) for day in ("2025-06-01", "2025-06-05")),
        ("2025-06-01", f"{ORDERS.name}/created_date/2025-06-01", "2025-06-01", "x"),
        ("2025-06-05", f"{ITEMS.name}/refund_date/2025-06-05", "2025-06-03", "y"),
    )
    assert gold(lake) == {}
    says(lake, ITEMS, "feeds", ("2025-06-03", "order_date", "2025-06-02", "y"))  # the order was moved
    assert gold(lake) == {
        ORDER_KPIS.name: ({"2025-06-01", "2025-06-02", "2025-06-05"}, set()),
        CATEGORY_KPIS.name: ({"2025-06-01", "2025-06-02"}, set()),
    }


def test_gold_waits_for_stale_silver_and_is_blocked_by_held(lake: Lake) -> None:
    for day in ("2025-06-01", "2025-06-02", "2025-06-03"):
        says(lake, ORDERS, "feeds", (day, "created_date", day, "x"))
    judged(lake, ORDERS, "2025-06-02", accepted=1, rejected=2)
    judged(lake, ORDERS, "2025-06-03", accepted=2, rejected=2)  # as many as the threshold allows
    assert gold(lake) == {ORDER_KPIS.name: ({"2025-06-01", "2025-06-03"}, {"2025-06-02"})}
    for pending, days in (
        (Stale(ORDERS, frozenset({"2025-06-03"})), {"2025-06-01"}),
        (Stale(ITEMS, frozenset({"2025-06-03"})), {"2025-06-01"}),  # lines that may be of orders of that day
        (Stale(STOCK, frozenset({"2025-06-03-10:00"})), {"2025-06-01", "2025-06-03"}),  # which is not read
    ):
        assert gold(lake, pending) == {ORDER_KPIS.name: (days, {"2025-06-02"})}
    ledger.allow(lake, ORDERS, "2025-06-02")
    assert gold(lake) == {ORDER_KPIS.name: ({"2025-06-01", "2025-06-02", "2025-06-03"}, set())}


def test_gold_waits_for_every_window_that_its_rows_are_in(lake: Lake) -> None:
    """A line of 3 June, of an order of 1 June: as it is, and as it was when gold was made."""
    line = Stale(ITEMS, frozenset({"2025-06-03"}))
    says(lake, ITEMS, "feeds", ("2025-06-03", "order_date", "2025-06-01", "y"))
    assert gold(lake) == {name: ({"2025-06-01"}, set()) for name in (ORDER_KPIS.name, CATEGORY_KPIS.name)}
    assert gold(lake, line) == {}
    says(lake, ITEMS, "feeds", ("2025-06-04", "order_date", "2025-06-04", "y"))
    ledger.write(lake, LINEAGE, ITEMS, ["2025-06-03"], ledger.read_lineage(lake).clear().drop("table_name"))
    says(lake, CATEGORY_KPIS, "made_from", ("2025-06-01", f"{ITEMS.name}/order_date/2025-06-01", "2025-06-03", "y"))
    assert gold(lake)[CATEGORY_KPIS.name] == ({"2025-06-01", "2025-06-04"}, set())
    assert gold(lake, line)[CATEGORY_KPIS.name] == ({"2025-06-04"}, set())


def test_serving_follows_gold_and_waits_for_it(lake: Lake) -> None:
    def serving(*gold_stale: Stale) -> dict[str, set[str]]:
        found = {s.table.name: set(s.windows) for s in survey(lake).serving(gold_stale)}
        return {name: days for name, days in found.items() if days}

    def fed(*days: str) -> list[tuple[str, str, str, str]]:
        return [(day, "", day, f"x{day}") for day in days]

    served = SERVED["category_kpis"].table
    says(lake, CATEGORY_KPIS, "feeds", *fed("2025-06-01", "2025-06-02"))
    assert serving() == {served.name: {"2025-06-01", "2025-06-02"}}
    assert serving(Stale(CATEGORY_KPIS, frozenset({"2025-06-02"}))) == {served.name: {"2025-06-01"}}
    says(lake, served, "made_from", *fed("2025-06-01", "2025-06-02", "2025-06-03"))
    assert serving() == {served.name: {"2025-06-03"}}, "gold no longer has that day"
