"""Ingesting: what shares a commit, what spoils nothing for the others, and what is known already."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import Fetched, Gone, Landed, Landing, Unreachable
from shopware_assets import ledger
from shopware_assets.bronze import ingest as module
from shopware_assets.bronze.ingest import Ingestion, Known, ingest, landing_window_of, new_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import bronze
from shopware_assets.ledger import LEDGER
from shopware_assets.report import ledger_lines
from shopware_assets.silver.materialize import Silver
from shopware_assets_tests.workbook import xlsx, zipped

START = datetime(2025, 1, 1, tzinfo=UTC)
LANDED = datetime(2025, 6, 2, 6, 30, tzinfo=UTC)
STOCK, ORDERS, PRODUCTS = CONTRACTS["inventory"], CONTRACTS["orders"], CONTRACTS["products"]
HEADER = "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item\n"


def orders(*ids: str, day: str = "2025-06-01") -> bytes:
    return (HEADER + "".join(f"{id},u,shipped,{day}T10:00:00,,,,1\n" for id in ids)).encode()


class Shelf(Landing):
    """Landing in memory, a version of each object; what it is told to lose is listed and gone."""

    root = "memory"

    def __init__(self) -> None:
        self.objects: dict[Landed, bytes | None] = {}
        self.first_landed: dict[str, datetime] = {}
        self.fetched: list[str] = []

    def drop(self, key: str, body: bytes | None, version: str = "1", landed_at: datetime = LANDED) -> Landed:
        landed = Landed(key, version, landed_at, len(body or b""))
        self.objects[landed] = body
        return landed

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        keys = sorted(landed for landed in self.objects if landed.key.startswith(f"{prefix}/") and landed.key > after)
        yield from (keys[first : first + 2] for first in range(0, len(keys), 2))

    def fetch(self, landed: Landed) -> Fetched:
        self.fetched.append(landed.key)
        body = self.objects[landed]
        if body is None:
            raise Gone(landed.key)
        return Fetched(self.first_landed.get(landed.key, landed.landed_at), iter([body[:70], body[70:]]))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def take(lake: Lake, shelf: Shelf, *objects: Landed, contract: Contract = ORDERS) -> Ingestion:
    return ingest(lake, shelf, contract, objects or list(shelf.objects), engine=PolarsEngine(), start=START)


def rows(lake: Lake, contract: Contract = ORDERS) -> list[tuple[str, int]]:
    """Source and line of each row, markers included."""
    return lake.scan(bronze(contract)).select("_source", "_line").collect().sort("_source", "_line").rows()


def outcomes(lake: Lake) -> dict[str, str]:
    return dict(ledger.markers(lake, ORDERS).select("source", "outcome").iter_rows())


# --- commits ----------------------------------------------------------------------------------------------------------


def test_many_objects_share_a_commit(lake: Lake, shelf: Shelf) -> None:
    shelf.drop("shop/orders/a", orders("1", "2"))
    shelf.drop("shop/orders/b", orders("3", day="2025-05-07"))
    shelf.drop("shop/orders/c", b"")
    done = take(lake, shelf)
    assert (done.outcomes, done.rows, done.windows) == ({"ingested": 2, "empty": 1}, 3, {"2025-06-01", "2025-05-07"})
    expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0)]
    assert rows(lake) == [(f"shop/orders/{name}", line) for name, line in expected]
    assert lake.version(bronze(ORDERS)) == 1


@pytest.mark.parametrize(
    ("setting", "value", "commits"),
    [("_COMMIT_OBJECTS", 2, 3), ("_COMMIT_OBJECTS", 1, 5), ("_COMMIT_BYTES", 250, 3), ("_COMMIT_BYTES", 1, 5)],
)
def test_a_commit_has_its_limits_and_splits_no_object(
    lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, setting: str, value: int, commits: int
) -> None:
    monkeypatch.setattr(module, setting, value)
    for name in "abcde":
        body = orders(name)
        assert 83 < len(body) <= 125, "two of them are at most 250 bytes, three are more"
        shelf.drop(f"shop/orders/{name}", body)
    assert take(lake, shelf).outcomes == {"ingested": 5}
    assert lake.version(bronze(ORDERS)) == commits
    assert len(rows(lake)) == 10


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_rows_are_the_same_however_many_are_filed_together(
    lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(module, "_BATCH_ROWS", batch)
    shelf.drop("shop/orders/a", orders(*map(str, range(9))))
    shelf.drop("shop/orders/b", orders("x", day="2025-05-07"))
    assert take(lake, shelf).windows == {"2025-06-01", "2025-05-07"}
    assert len(rows(lake)) == 12
    marker = ledger.markers(lake, ORDERS).filter(source="shop/orders/a")
    assert marker.select("rows", "windows").row(0) == (9, [{"window": "2025-06-01", "rows": 9}])


def test_what_was_ingested_is_not_read_again(lake: Lake, shelf: Shelf) -> None:
    a = shelf.drop("shop/orders/a", orders("1"))
    take(lake, shelf)
    b = shelf.drop("shop/orders/b", orders("2"))
    shelf.fetched.clear()
    assert take(lake, shelf, a, b, a, b).outcomes == {"ingested": 1}
    assert shelf.fetched == ["shop/orders/b"]
    assert take(lake, shelf).outcomes == {}
    assert lake.version(bronze(ORDERS)) == 2, "nothing to add is no commit"
    take(lake, shelf, shelf.drop("shop/orders/a", orders("1"), "2", LANDED + timedelta(hours=1)))
    assert rows(lake).count(("shop/orders/a", 1)) == 2, "a new version is"


# --- objects that spoil nothing ---------------------------------------------------------------------------------------


def test_an_object_that_is_gone_leaves_a_marker_alone(lake: Lake, shelf: Shelf) -> None:
    shelf.drop("shop/orders/a", orders("1"))
    gone = shelf.drop("shop/orders/b", None)
    shelf.drop("shop/orders/c", orders("3"))
    done = take(lake, shelf)
    assert (done.outcomes, done.rows) == ({"ingested": 2, "gone": 1}, 2)
    assert outcomes(lake)["shop/orders/b"] == "gone"
    assert [line for source, line in rows(lake) if source == "shop/orders/b"] == [0]
    shelf.objects[gone] = orders("2")
    assert take(lake, shelf).outcomes == {"ingested": 1}, "it has come back"
    assert rows(lake).count(("shop/orders/b", 1)) == 1


@pytest.mark.parametrize("batch", [1, 100], ids=["some rows handed on", "none"])
@pytest.mark.parametrize("why", ["unreadable", "gone"])
def test_an_object_that_fails_halfway_leaves_none_of_its_rows(
    lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, batch: int, why: str
) -> None:
    read = module.read_records

    def breaks_off(chunks: Any, *rest: Any) -> Iterator[pl.DataFrame]:
        for part in read(chunks, *rest):
            if "bad" in part["order_id"].to_list():
                yield part
                raise module.Unreadable("It ends too early.") if why == "unreadable" else Gone("b")
            yield part

    monkeypatch.setattr(module, "read_records", breaks_off)
    monkeypatch.setattr(module, "_BATCH_ROWS", batch)
    for name, body in {"a": orders("1"), "b": orders("bad", "2"), "c": orders("3")}.items():
        shelf.drop(f"shop/orders/{name}", body)
    done = take(lake, shelf)
    assert done.outcomes == {"ingested": 2, why: 1}
    of_b = lake.scan(bronze(ORDERS)).filter(pl.col("_source") == "shop/orders/b").collect().sort("_line")
    assert of_b["order_id"].to_list() == [None] * of_b.height
    assert of_b["_corrupt"].to_list() == ([None, "It ends too early."] if why == "unreadable" else [None])
    assert json.loads(of_b["_marker"][0])["rows"] == (1 if why == "unreadable" else 0)
    assert lake.version(bronze(ORDERS)) == 1, "all in one commit"


def test_what_breaks_of_ours_leaves_nothing(lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_under_window", lambda *args, **kwargs: 1 / 0)
    shelf.drop("shop/orders/a", orders("1"))
    with pytest.raises(Exception, match="division by zero"):
        take(lake, shelf)
    assert rows(lake) == []


# --- what is known ----------------------------------------------------------------------------------------------------


def known(*versions: tuple[str, str, datetime]) -> Known:
    return Known(pl.DataFrame(versions, schema=["source", "version", "landed_at"], orient="row"))


NOON = LANDED.replace(hour=12)


@pytest.mark.parametrize(
    ("landed", "has", "holds"),
    [
        (Landed("a", "2", NOON, 1), True, True),
        (Landed("a", "1", LANDED, 1), True, True),  # the listing is behind
        (Landed("a", "3", NOON, 1), False, False),
        (Landed("b", "2", NOON, 1), False, False),
        (Landed("a", "2", NOON + timedelta(days=90), 1), True, False),  # back from the archive
        (Landed("a", "1", NOON + timedelta(days=90), 1), False, False),  # an old version sent again: the newest now
    ],
)
def test_what_bronze_holds(landed: Landed, has: bool, holds: bool) -> None:
    bronze_has = known(("a", "2", NOON), ("a", "1", LANDED))
    assert bronze_has.has(landed) is has
    assert bronze_has.holds(landed, landed.landed_at) is holds


def test_new_objects_come_page_by_page(shelf: Shelf) -> None:
    objects = [shelf.drop(f"shop/orders/{name}", b"") for name in "abcde"]
    shelf.drop("shop/orders_old/x", b"")
    have = known(*((o.key, o.version, o.landed_at) for o in objects[:3]))
    assert list(new_objects(shelf, have, ORDERS)) == [
        ([], "shop/orders/b"),
        ([objects[3]], "shop/orders/d"),
        ([objects[4]], "shop/orders/e"),
    ]
    assert list(new_objects(shelf, have, ORDERS, "shop/orders/d")) == [([objects[4]], "shop/orders/e")]


@pytest.mark.parametrize(
    ("key", "landed_at", "window"),
    [
        ("2025-05-07.csv", LANDED, datetime(2025, 5, 7)),
        ("2025-06-03.csv", LANDED, datetime(2025, 6, 2)),
        ("x.csv", LANDED, datetime(2025, 6, 2)),
        ("2024-12-31.csv", LANDED, datetime(2025, 1, 1)),
        ("x.csv", START - timedelta(days=3), datetime(2025, 1, 1)),
    ],
)
def test_a_landing_window_is_one_that_there_is(key: str, landed_at: datetime, window: datetime) -> None:
    """From the start to the newest."""
    landed = Landed(f"shop/orders/{key}", "1", landed_at, 1)
    last = datetime(2025, 6, 2, tzinfo=UTC)
    assert landing_window_of(landed, ORDERS, START, last) == window.replace(tzinfo=UTC)


# --- windows on disk --------------------------------------------------------------------------------------------------


def test_rows_are_filed_under_their_event_and_markers_under_none(lake: Lake, shelf: Shelf) -> None:
    """An event that cannot be believed counts for where its object landed."""
    events = {"1": 1748781000, "2": 1735689599, "3": 1748932201, "4": "soon"}  # 12:30 on 1 June; before 2025; too late
    body = "".join(json.dumps({"inventory_id": id, "last_updated": at}) + "\n" for id, at in events.items())
    shelf.drop("inventory/2025-06-02/05.jsonl", body.encode())
    take(lake, shelf, contract=STOCK)
    filed = lake.scan(bronze(STOCK)).select("inventory_id", "last_updated_date", "last_updated_hour").collect()
    assert {id: (str(day), hour) for id, day, hour in filed.iter_rows()} == {
        None: ("None", None),
        "1": ("2025-06-01", 12),
        "2": ("2025-06-02", 5),
        "3": ("2025-06-02", 5),
        "4": ("2025-06-02", 5),
    }


def test_a_reference_table_has_no_windows(lake: Lake, shelf: Shelf) -> None:
    shelf.drop("shop/products/p.csv", b"id,sku,name\n1,s,n\n")
    assert take(lake, shelf, contract=PRODUCTS).windows == {"all"}
    assert rows(lake, PRODUCTS) == [("shop/products/p.csv", 0), ("shop/products/p.csv", 1)]


def test_a_reference_table_is_ordered_by_the_days_of_its_objects_also_from_before_the_start(
    lake: Lake, shelf: Shelf
) -> None:
    for name in ("2024-07-01", "2024-06-01", "2025-06-01/batch_20081130"):
        shelf.drop(f"shop/products/{name}.csv", b"id,sku,name\n1,s,n\n")
    take(lake, shelf, contract=PRODUCTS)
    found = lake.scan(bronze(PRODUCTS)).select("_line", pl.col("_window").dt.strftime("%Y-%m-%d")).collect()
    assert sorted(found.iter_rows()) == [
        *((0, day) for day in ("2025-01-01", "2025-01-01", "2025-06-01")),
        *((1, day) for day in ("2024-06-01", "2024-07-01", "2025-06-01")),
    ]


# --- objects that cannot be reached -----------------------------------------------------------------------------------


class Frozen(Shelf):
    """Landing whose objects named in `frozen` can be listed and not read, at once or after their first chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: dict[str, int] = {}

    def fetch(self, landed: Landed) -> Fetched:
        landed_at, chunks = super().fetch(landed)
        if landed.key not in self.frozen:
            return Fetched(landed_at, chunks)

        def cut() -> Iterator[bytes]:
            yield from islice(chunks, self.frozen[landed.key])
            raise Unreachable("It is in GLACIER.")

        return Fetched(landed_at, cut())


@pytest.mark.parametrize("batch", [1, 100_000])
@pytest.mark.parametrize("chunks", [0, 1])
def test_an_object_that_cannot_be_reached_stops_no_other(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, batch: int, chunks: int
) -> None:
    monkeypatch.setattr(module, "_BATCH_ROWS", batch)
    shelf = Frozen()
    for name in "abc":
        shelf.drop(f"shop/orders/{name}", orders(*(f"{name}{number}" for number in range(3))))
    shelf.frozen = {"shop/orders/b": chunks}
    done = take(lake, shelf)
    assert (done.outcomes, done.unreachable) == ({"ingested": 2}, {"shop/orders/b": "It is in GLACIER."})
    assert outcomes(lake) == {"shop/orders/a": "ingested", "shop/orders/c": "ingested"}, "and it stays new"
    before = lake.version(bronze(ORDERS))
    assert take(lake, shelf).unreachable == done.unreachable
    assert lake.version(bronze(ORDERS)) == before, "nothing to add is no commit"
    shelf.frozen.clear()
    assert take(lake, shelf).outcomes == {"ingested": 1}
    assert len(rows(lake)) == 12


def test_one_that_is_back_from_the_archive_is_known_after_one_look(lake: Lake, shelf: Shelf) -> None:
    key, later = "shop/orders/a", LANDED + timedelta(days=9)
    shelf.drop(key, orders("1"))
    shelf.drop(key, orders("1", "2"), "2", LANDED + timedelta(hours=1))
    take(lake, shelf)
    shelf.objects.clear()
    back = shelf.drop(key, orders("1"), "1", later)  # the older version, which says when it landed first
    shelf.first_landed[key] = LANDED
    before = rows(lake)
    assert take(lake, shelf).outcomes == {"known": 1}
    assert sorted(rows(lake)) == sorted([*before, (key, 0)]), "no row twice"
    assert not [new for page, _ in new_objects(shelf, Known(ledger.ingested(lake, ORDERS)), ORDERS) for new in page]
    assert take(lake, shelf, back).outcomes == {}
    current = ledger.markers(lake, ORDERS).filter(pl.col("current") & (pl.col("rows") > 0))
    assert current.select("version", "rows").rows() == [("2", 2)], "what is current stays so"


@pytest.mark.parametrize("version", ["4", "6"])
def test_one_that_is_back_as_another_version_counts_once(lake: Lake, shelf: Shelf, version: str) -> None:
    """As on S3, where the etag of a copy need not be that of the object."""
    key, body = "shop/orders/a", orders("1", "2")
    shelf.drop(key, body, "5")
    take(lake, shelf)
    shelf.objects.clear()
    shelf.drop(key, body, version, LANDED + timedelta(days=9))
    shelf.first_landed[key] = LANDED
    assert take(lake, shelf).outcomes == {"ingested": 1}
    take(lake, shelf)
    assert not [new for page, _ in new_objects(shelf, Known(ledger.ingested(lake, ORDERS)), ORDERS) for new in page]
    current = ledger.markers(lake, ORDERS).filter(pl.col("current") & (pl.col("rows") > 0))
    assert current.select("version", "rows").rows() == [(max("5", version), 2)]
    for _ in Silver(lake, ORDERS, PolarsEngine(), START).materialize([datetime(2025, 6, 1, tzinfo=UTC)]):
        pass
    of_windows = lake.scan(LEDGER).select("read", "accepted", "rejected", "superseded").sum().collect()
    assert of_windows.row(0) == (4, 2, 0, 2)


@pytest.mark.parametrize("limit", ["_BATCH_ROWS", "_BATCH_BYTES"])
def test_batches_are_bounded(lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    flushed: list[int] = []
    flush = module._Batches.flush
    monkeypatch.setattr(module._Batches, "flush", lambda self: (flushed.append(self._rows), flush(self))[1])
    monkeypatch.setattr(module, limit, 1)
    shelf.drop("shop/orders/a", orders("1", "2"))
    shelf.drop("shop/orders/b", orders("3"))
    take(lake, shelf)
    assert flushed == [2, 1, 0], "each part by itself"


# --- workbooks --------------------------------------------------------------------------------------------------------

GROCERY, BOOK = CONTRACTS["grocery_orders"], "grocery/orders/april.xlsx"
NAMES = ["order_id", "order_num", "user_id", "order_timestamp", "total_amount", "date"]


def sheet(*ids: int, day: int = 1) -> list[list[Any]]:
    """Orders of a day in April; times and days are numbers that look like them."""
    placed = datetime(2025, 4, day, 18, 22, 9)
    return [NAMES, *([id, 7, 9116, placed, 42.5, placed.date()] for id in ids)]


def told(lake: Lake) -> dict[str, tuple[str, int, bool]]:
    """Of each object and sheet its outcome, rows and whether it is current, by what follows its name and by version."""
    found = ledger.markers(lake, GROCERY).select("source", "version", "outcome", "rows", "current")
    return {f"{source.removeprefix(BOOK)} v{version}": tuple(more) for source, version, *more in found.iter_rows()}


def orders_of(lake: Lake) -> list[tuple[str, int, str]]:
    """Sheet, line and order of each row."""
    found = lake.scan(bronze(GROCERY)).filter(pl.col("_line") > 0).select("_source", "_line", "order_id").collect()
    assert found["_source"].str.starts_with(f"{BOOK}#").all()
    return sorted((source.removeprefix(f"{BOOK}#"), line, id) for source, line, id in found.iter_rows())


@pytest.fixture(params=[1, 100_000], ids=["in parts", "at once"])
def batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_ROWS", request.param)


def test_each_sheet_is_an_object_of_its_own(lake: Lake, shelf: Shelf, batch: None) -> None:
    sheets = {"2025-04-01": sheet(1, 2), "2025-04-02": sheet(3, day=2), "empty": [], "header": [NAMES]}
    shelf.drop(BOOK, xlsx(sheets))
    done = take(lake, shelf, contract=GROCERY)
    assert (done.outcomes, done.rows) == ({"workbook": 1, "ingested": 2, "empty": 2}, 3)
    assert done.windows == {"2025-04-01", "2025-04-02"}
    assert told(lake) == {
        " v1": ("workbook", 0, True),
        "#2025-04-01 v1": ("ingested", 2, True),
        "#2025-04-02 v1": ("ingested", 1, True),
        "#empty v1": ("empty", 0, True),
        "#header v1": ("empty", 0, True),
    }
    assert orders_of(lake) == [("2025-04-01", 1, "1"), ("2025-04-01", 2, "2"), ("2025-04-02", 1, "3")]
    assert {*ledger.markers(lake, GROCERY)["object"]} == {BOOK}
    row = lake.scan(bronze(GROCERY)).filter(order_id="3").select(*NAMES, "order_timestamp_date").collect().row(0)
    assert row == ("3", "7", "9116", "2025-04-02 18:22:09", "42.5", "2025-04-02 00:00:00", date(2025, 4, 2))
    assert lake.version(bronze(GROCERY)) == 1
    assert take(lake, shelf, contract=GROCERY).outcomes == {}, "it is known"
    assert not [new for page, _ in new_objects(shelf, Known(ledger.ingested(lake, GROCERY)), GROCERY) for new in page]


ODD = {
    "other columns": [["x", "y"], [1, 2]],
    "a merged header": [["Orders of April", None, None], NAMES, *sheet(9)[1:]],
    "a name twice": [[*NAMES, "date"], [*sheet(9)[1], 1]],
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_sheet_that_cannot_be_used_is_one_record_and_stops_no_other(
    lake: Lake, shelf: Shelf, batch: None, odd: list[list[Any]]
) -> None:
    shelf.drop(BOOK, xlsx({"a": sheet(1), "odd": odd, "z": sheet(2, day=2)}, {"odd": ["A1:C1"]}))
    assert take(lake, shelf, contract=GROCERY).outcomes == {"workbook": 1, "ingested": 2, "unreadable": 1}
    assert told(lake)["#odd v1"] == ("unreadable", 1, True)
    assert orders_of(lake) == [("a", 1, "1"), ("odd", 1, None), ("z", 1, "2")]
    (record,) = lake.scan(bronze(GROCERY)).filter(_source=f"{BOOK}#odd", _line=1).collect().to_dicts()
    assert "name twice" in record["_corrupt"] or "none of the columns" in record["_corrupt"]
    assert lake.version(bronze(GROCERY)) == 1


@pytest.mark.parametrize(
    ("book", "why"),
    [
        (xlsx({"a": sheet(1)})[:-40], "damaged workbook"),
        (zipped({"a.txt": "hello"}), "another kind of ZIP archive"),
        (xlsx({}), "without sheets"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a locked Office document"),
    ],
    ids=["cut off", "ZIP", "no sheet", "locked"],
)
def test_a_workbook_that_cannot_be_read_is_one_record(lake: Lake, shelf: Shelf, book: bytes, why: str) -> None:
    shelf.drop(BOOK, book)
    shelf.drop("grocery/orders/b.xlsx", xlsx({"a": sheet(1)}))
    assert take(lake, shelf, contract=GROCERY).outcomes == {"unreadable": 1, "workbook": 1, "ingested": 1}
    (record,) = lake.scan(bronze(GROCERY)).filter(_source=BOOK, _line=1).collect().to_dicts()
    assert why in record["_corrupt"]
    assert told(lake)[" v1"] == ("unreadable", 1, True)


def test_a_commit_of_more_workbooks_takes_no_longer_for_each(
    lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted as how often one object is compared with another."""
    compared, same, book = 0, Landed.__eq__, xlsx({"a": sheet(1)})

    def count(one: Landed, other: object) -> bool:
        nonlocal compared
        compared += 1
        return same(one, other)

    monkeypatch.setattr(Landed, "__eq__", count)

    def comparisons(of: int) -> int:
        nonlocal compared
        compared = 0
        take(lake, shelf, *(shelf.drop(f"grocery/orders/{of}/{n}", book) for n in range(of)), contract=GROCERY)
        return compared

    assert comparisons(16) <= 2 * comparisons(8)


def test_a_new_version_replaces_all_sheets_of_the_old_one(lake: Lake, shelf: Shelf) -> None:
    shelf.drop(BOOK, xlsx({"a": sheet(1), "b": sheet(2), "c": sheet(3)}))
    take(lake, shelf, contract=GROCERY)
    shelf.drop(BOOK, xlsx({"a": sheet(1, 4), "b": [["x"], [1]]}), "2", LANDED + timedelta(hours=1))
    take(lake, shelf, contract=GROCERY)
    assert {name: current for name, (*_, current) in told(lake).items()} == {
        **dict.fromkeys((" v1", "#a v1", "#b v1", "#c v1"), False),
        **dict.fromkeys((" v2", "#a v2", "#b v2"), True),
    }
    shelf.drop(BOOK, b"PK\x03\x04 damaged", "3", LANDED + timedelta(hours=2))
    take(lake, shelf, contract=GROCERY)
    current = {name for name, (*_, current) in told(lake).items() if current}
    assert current == {" v2", "#a v2", "#b v2", " v3"}, "one that cannot be read replaces nothing"
    shelf.drop(BOOK, xlsx({"Error": [["The report failed."]], "d": [["x"], [1]]}), "4", LANDED + timedelta(hours=3))
    take(lake, shelf, contract=GROCERY)
    current |= {" v4", "#Error v4", "#d v4"}
    assert {name for name, (*_, is_current) in told(lake).items() if is_current} == current
    assert told(lake)[" v4"] == ("unreadable", 0, True), "none of its sheets can be"


def test_a_workbook_may_become_text_and_text_a_workbook(lake: Lake, shelf: Shelf) -> None:
    text = b"order_id,order_num\n1,2\n"
    for version, body in enumerate((text, xlsx({"a": sheet(1)}), text), start=1):
        shelf.drop(BOOK, body, str(version), LANDED + timedelta(hours=version))
        take(lake, shelf, contract=GROCERY)
        expected = {f" v{version}", "#a v2"} if version == 2 else {f" v{version}"}
        assert {name for name, (*_, current) in told(lake).items() if current} == expected


@pytest.mark.parametrize(("why", "outcome"), [(Gone("b"), "gone"), (Unreachable("b"), "")], ids=["gone", "unreachable"])
def test_a_workbook_that_breaks_off_leaves_none_of_its_sheets(
    lake: Lake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, batch: None, why: Exception, outcome: str
) -> None:
    """Also where sheets were read already, which takes a reader that holds none of it whole."""
    split = module.sheets

    def breaks_off(chunks: Any) -> Iterator[tuple[str, Any]]:
        for number, (name, text) in enumerate(split(chunks)):
            if name and number == 2:
                raise why
            yield name, text

    monkeypatch.setattr(module, "sheets", breaks_off)
    shelf.drop(BOOK, xlsx({name: sheet(1) for name in "abc"}))
    shelf.drop("grocery/orders/b.csv", b"order_id,order_num\n1,2\n")
    done = take(lake, shelf, contract=GROCERY)
    assert done.outcomes == {"ingested": 1} | ({outcome: 1} if outcome else {})
    assert [*done.unreachable] == ([] if outcome else [BOOK])
    expected = {" v1": ("gone", 0, True)} if outcome else {}
    assert told(lake) == {"grocery/orders/b.csv v1": ("ingested", 1, True)} | expected


def test_a_workbook_is_back_from_the_archive(lake: Lake, shelf: Shelf) -> None:
    book = xlsx({"a": sheet(1)})
    shelf.drop(BOOK, book)
    take(lake, shelf, contract=GROCERY)
    shelf.objects.clear()
    shelf.drop(BOOK, book, "1", LANDED + timedelta(days=9))
    assert not [new for page, _ in new_objects(shelf, Known(ledger.ingested(lake, GROCERY)), GROCERY) for new in page]


def test_each_row_of_a_workbook_is_booked(lake: Lake, shelf: Shelf, batch: None) -> None:
    """One is accepted, one lost to a newer row, one cannot be read, one has no day; those of the old version lost."""
    shelf.drop(BOOK, xlsx({"a": sheet(1, 2, 3), "b": sheet(4)}))
    nowhere: list[list[Any]] = [NAMES, [2, 7, 9116, None, 42.5, None]]
    shelf.drop(
        BOOK, xlsx({"a": sheet(1), "b": sheet(1), "c": nowhere, "d": [["x"], [1]]}), "2", LANDED + timedelta(hours=1)
    )
    take(lake, shelf, contract=GROCERY)
    windows = [datetime(2025, month, day, tzinfo=UTC) for month, day in ((4, 1), (6, 2))]
    for _ in Silver(lake, GROCERY, PolarsEngine(), START).materialize(windows):
        pass
    assert ledger_lines(lake, [GROCERY], threshold=1)["balances"].all(ignore_nulls=False)
    of_windows = lake.scan(LEDGER).select("read", "accepted", "rejected", "superseded").sum().collect()
    assert of_windows.row(0) == (8, 1, 2, 5)
    assert {*lake.scan(LEDGER).collect()["object"]} == {BOOK}, "whichever sheet they are in"
