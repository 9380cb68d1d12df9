"""CSV tables: what their files are called, how values are spelled, and how rows wait for their parents."""

from collections import Counter
from datetime import UTC, datetime
from itertools import count

import pytest

from shopware_assets_tests.simulator import reader
from simulator import grocery, pos, shop
from simulator.drops import DAY, Asked
from simulator.tables import TIME_TEXTS, Reference, Spec, Tables, days, feed, iso_date, money, parts

BEGIN = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("spec", [*shop.TABLES, *pos.TABLES, *grocery.TABLES], ids=lambda spec: spec.name)
def test_columns_are_those_that_a_reader_knows(spec: Spec) -> None:
    assert set(spec.columns) == {*reader.REQUIRED[spec.name], *reader.OPTIONAL[spec.name]}
    assert {column for column, words in spec.columns.items() if "!" in words} == set(reader.REQUIRED[spec.name])
    assert len(set(spec.kinds())) == len(spec.kinds())
    assert all(reference.column in spec.columns for reference in spec.references)


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (5, "0.05"), (1999, "19.99"), (-1999, "-19.99"), (-5, "-0.05")]
)
def test_money(cents: int, text: str) -> None:
    assert money(cents) == text


def test_times_are_spelled_in_several_ways_and_mean_the_same() -> None:
    time = datetime(2025, 6, 30, 23, 5, 9, tzinfo=UTC)
    texts = {text(int(time.timestamp())) for text in TIME_TEXTS}
    assert len(texts) == 4
    assert {reader._time(text) for text in texts} == {time}
    assert {text(0) for text in TIME_TEXTS} == {""}
    assert iso_date(int(time.timestamp())) == "2025-06-30"


def test_stamps_tell_files_apart() -> None:
    daily, quick = Asked(BEGIN, DAY, 3, 1, 1, 0, 0, 0), Asked(BEGIN, 15, None, 1, 1, 0, 0, 0)
    assert [days(daily, slot, BEGIN) for slot in range(2)] == ["20250601", "20250602"]
    assert len({days(quick, slot, BEGIN) for slot in range(10_000)}) == 10_000
    assert parts(daily, 1, BEGIN) == "20250602_part1"


PARENTS = Spec(name="parents", path="p/parents", columns={"id": "! int"}, special=(), together=("id_present",))
CHILDREN = Spec(
    name="children",
    path="p/children",
    columns={"id": "! int", "father": "! int", "mother": "! int"},
    together=("id_present",),
    references=(Reference("father_known", "father", "parents"), Reference("mother_known", "mother", "parents", True)),
)


def test_rows_wait_for_parents_and_are_rejected_or_warned_of_without() -> None:
    class Family:
        def __init__(self, asked: Asked, tables: Tables) -> None:
            self._tables, self._ids = tables, count(1)

        def fill(self, slot: int) -> None:
            if slot == 0:
                for father, mother in (("1", "2"), ("1", "9"), ("9", "1"), ("9", "9")):
                    self._tables["children"].add(slot, (str(next(self._ids)), father, mother), 0)
            else:
                for parent in ("1", "2"):
                    self._tables["parents"].add(slot, (parent,), 0)

    source = feed("family", (PARENTS, CHILDREN), DAY, Family)
    account = source.account("family")
    for parcel in source.parcels(Asked(BEGIN, DAY, 2, 1, 1, 0, 0, 0), account):
        parcel.book()
    children = account.tables["children"]
    assert (children.read, children.accepted, children.rejected, children.orphans) == (4, 2, 2, 2)
    assert (children.rules, children.warnings) == ({"father_known": 2}, {"mother_known": 1})
    assert account.tables["parents"].accepted == 2


def test_children_often_land_before_their_parents() -> None:
    class Nothing:
        def __init__(self, asked: Asked, tables: Tables) -> None:
            self._tables = tables

        def fill(self, slot: int) -> None:
            for table in ("parents", "children"):
                self._tables[table].add(slot, ("1",) * len({"parents": "i", "children": "ifm"}[table]), 0)

    source = feed("family", (PARENTS, CHILDREN), DAY, Nothing)
    drops = [p.drop for p in source.parcels(Asked(BEGIN, DAY, 90, 1, 1, 0, 0, 0), source.account("family"))]
    first = Counter(one.key.split("/")[1].split("_")[0] for one in drops[::2])
    assert 90 / 5 < first["children"] < 90 / 2
