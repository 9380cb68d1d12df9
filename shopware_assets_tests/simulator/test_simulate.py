"""The simulator as a whole: its account against a second reading of its files, and its promise to repeat itself."""

import hashlib
import os
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from shopware_assets_tests.simulator import reader
from simulator import FEEDS, Account, Drop, simulate

COLUMNS_OF_TIME = ("created_at", "shipped_at", "delivered_at", "returned_at")

# By hand from feeds.md: every rule that a single row of these tables can break.
RULES = {
    "inventory": {
        "record_readable",
        *(f"{column}_present" for column in reader.REQUIRED["inventory"]),
        *(f"{column}_parses" for column in reader.REQUIRED["inventory"]),
        "restock_threshold_parses",
        "stock_level_not_negative",
        "restock_threshold_not_negative",
        "last_updated_not_in_future",
        "last_updated_not_before_start",
    },
    "products": {
        "record_readable",
        *("id_present", "sku_present", "name_present", "brand_present"),
        *("cost_parses", "cost_not_negative", "retail_price_parses", "retail_price_not_negative"),
    },
    "orders": {
        "record_readable",
        *("order_id_present", "user_id_present", "status_present", "created_at_present"),
        *(f"{column}_parses" for column in COLUMNS_OF_TIME),
        *(f"{column}_not_in_future" for column in COLUMNS_OF_TIME),
        *("created_at_not_before_start", "times_in_order", "status_known"),
        *("num_of_item_parses", "num_of_item_positive"),
    },
    "order_items": {
        "record_readable",
        *(f"{column}_present" for column in reader.REQUIRED["order_items"]),
        *(f"{column}_parses" for column in COLUMNS_OF_TIME),
        *(f"{column}_not_in_future" for column in COLUMNS_OF_TIME),
        *("created_at_not_before_start", "times_in_order", "status_known"),
        *("sale_price_parses", "sale_price_not_negative", "order_known", "product_known"),
    },
    "stores": {"record_readable", "store_id_present", "store_id_parses", "region_present", "opened_on_parses"},
    "pos_sales": {
        "record_readable",
        *(f"{column}_present" for column in reader.REQUIRED["pos_sales"]),
        *("store_id_parses", "product_id_parses", "quantity_parses", "quantity_not_zero"),
        *("revenue_parses", "revenue_agrees_with_quantity"),
        *("discount_applied_parses", "discount_not_negative", "discount_not_above_revenue"),
        *("timestamp_parses", "timestamp_not_in_future", "timestamp_not_before_start", "store_known"),
    },
    "grocery_products": {
        "record_readable",
        *(f"{column}_present" for column in reader.REQUIRED["grocery_products"]),
        *("product_id_parses", "department_id_parses"),
    },
    "grocery_orders": {
        "record_readable",
        *(f"{column}_{rule}" for column in reader.REQUIRED["grocery_orders"] for rule in ("present", "parses")),
        *("order_timestamp_not_in_future", "order_timestamp_not_before_start"),
        *("total_amount_not_negative", "date_agrees_with_timestamp"),
    },
    "grocery_order_items": {
        "record_readable",
        *(f"{column}_{rule}" for column in reader.REQUIRED["grocery_order_items"] for rule in ("present", "parses")),
        *("order_timestamp_not_in_future", "order_timestamp_not_before_start", "date_agrees_with_timestamp"),
        *("add_to_cart_order_positive", "reordered_is_flag", "order_known", "product_known"),
        *("days_since_prior_order_parses", "days_since_prior_order_not_negative"),
    },
}


def run(feed: str, **asked: Any) -> tuple[list[Drop], Account]:
    settings: dict[str, Any] = {"start": date(2025, 6, 1), "days": 3, "rows": 2000, "seed": 1} | asked
    drops, account = simulate(feed, **settings)
    return list(drops), account


def counts(account: Account) -> dict[str, dict[str, object]]:
    names = ("accepted", "rejected", "superseded", "rules", "warnings", "undeclared", "orphans")
    return {
        table: {"read": counted.read} | {name: getattr(counted, name) for name in names}
        for table, counted in account.tables.items()
    }


def counts_of_reader(drops: list[Drop]) -> dict[str, dict[str, object]]:
    return {table: verdict.counts() for table, verdict in reader.judge(drops).items()}


# Feeds with a file a day take some days until each kind of file has come, and pos has five rows of stores a day.
BIG: dict[str, dict[str, Any]] = {"pos": {"days": 30, "rows": 400}, "grocery": {"days": 6}}
LONG: dict[str, dict[str, Any]] = {feed: {"days": 8, "rows": 600, "duplicates": 0.1} for feed in ("pos", "grocery")}

MESSY = {"dirty": 0.06, "late": 0.03, "duplicates": 0.04}


def _long(asked: dict[str, Any]) -> Any:
    return pytest.param(asked, marks=pytest.mark.long)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(
    "asked",
    [
        _long({}),
        _long(MESSY),
        _long(MESSY | {"seed": 2, "start": date(2025, 1, 1)}),
        MESSY | {"seed": 3, "days": 1, "rows": 400},
        _long(MESSY | {"seed": 4, "days": 12, "rows": 240}),
        _long({"seed": 5, "dirty": 0.5, "late": 0.4, "duplicates": 0.9, "days": 2}),
        _long({"seed": 6, "duplicates": 1.0, "rows": 1000}),
        _long({"seed": 7, "dirty": 0.02}),
        _long({"seed": 8, "dirty": 0.4, "late": 0.3, "duplicates": 0.8, "days": 100, "rows": 7}),
        {"seed": 12, "dirty": 0.4, "late": 0.3, "duplicates": 0.8, "days": 10, "rows": 300},
    ],
    ids=str,
)
def test_account_is_what_a_reader_finds(feed: str, asked: dict[str, Any]) -> None:
    drops, account = run(feed, **asked)
    assert counts(account) == counts_of_reader(reader.newest(drops))
    for table, counted in account.tables.items():
        mine = [drop for drop in drops if reader.table_of(drop) == table]
        assert counted.files == len(mine)
        assert counted.rows == sum(len(reader.read(drop)) for drop in mine)
        assert counted.versions == len(mine) - len({drop.key for drop in mine})
        assert counted.empty_files == sum(not reader.read(drop) for drop in mine)
        assert counted.read == counted.accepted + counted.rejected + counted.superseded


@pytest.mark.parametrize("feed", FEEDS)
def test_a_reader_who_errs_disagrees_with_the_account(feed: str) -> None:
    drops, account = run(feed, **MESSY)
    kept = reader.newest(drops)
    assert counts_of_reader(drops) != counts(account), "older versions count"
    assert counts_of_reader(kept[1:]) != counts(account), "one file less"
    longest = max(kept, key=lambda drop: len(reader.text_of(drop)))
    lost = [*(drop for drop in kept if drop is not longest), _without_last_row(longest)]
    assert counts_of_reader(lost) != counts(account), "one row less"


def _without_last_row(drop: Drop) -> Drop:
    text = reader.text_of(drop).rstrip().removesuffix("]")
    text = text[: text.rindex("\n")].rstrip(",")
    return replace(drop, key=drop.key.removesuffix(".gz"), body=(text + "]" * text.startswith("[")).encode())


@pytest.mark.parametrize("feed", FEEDS)
def test_a_big_run_breaks_every_rule(feed: str) -> None:
    _, account = run(feed, **{"dirty": 0.1, "rows": 6000} | BIG.get(feed, {}))
    for table, counted in account.tables.items():
        assert counted.rules.keys() | counted.warnings.keys() == RULES[table]
        assert counted.undeclared > 0
        assert counted.empty_files > 0
    if feed == "shop":
        assert account.tables["products"].incomplete_files > 0
        assert account.tables["order_items"].orphans > 0


@pytest.mark.parametrize("feed", FEEDS)
def test_a_run_with_late_and_repeated_files_has_each_kind(feed: str) -> None:
    _, account = run(feed, **{"late": 0.01, "duplicates": 0.01} | LONG.get(feed, {}))
    for table, counted in account.tables.items():
        assert counted.late_files > 0
        assert counted.copies > 0
        assert counted.versions > 0
        assert counted.replaced > 0
        assert counted.duplicates > 0
        assert (counted.late > 0) == (table not in reader.REFERENCE_TABLES)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_clean_run_has_no_faults(feed: str) -> None:
    _, account = run(feed)
    for counted in account.tables.values():
        assert not counted.rules
        assert not counted.warnings
        assert counted.replaced == counted.undeclared == counted.late == counted.duplicates == counted.copies == 0
        assert counted.empty_files == counted.late_files == counted.versions == counted.incomplete_files == 0
    superseded = sum(counted.superseded for counted in account.tables.values())
    assert (superseded > 0) == (feed != "inventory"), "orders, stores and products are sent again, snapshots are not"


@pytest.mark.parametrize("feed", [feed for feed in FEEDS if feed != "pos"])  # what is sold depends on the weekday
@pytest.mark.parametrize(("days", "rows"), [(1, 1), (2, 7), (3, 1000), (1, 5003)])
def test_rows_are_as_many_as_asked_for(feed: str, days: int, rows: int) -> None:
    _, account = run(feed, days=days, rows=rows, dirty=0.1, late=0.1)
    assert sum(counted.read for counted in account.tables.values()) == days * rows


@pytest.mark.parametrize("feed", FEEDS)
def test_shares_are_about_as_large_as_asked_for(feed: str) -> None:
    _, account = run(feed, days=15, rows=2_000, dirty=0.02, duplicates=0.03)
    rows = 30_000
    by_themselves = sum(counted.rejected - counted.orphans for counted in account.tables.values())
    assert 0.015 * rows < by_themselves < 0.03 * rows
    repeated = sum(counted.duplicates for counted in account.tables.values())
    assert 0.02 * rows < repeated < 0.035 * rows, "rows of the last file cannot be sent again"


@pytest.mark.parametrize("feed", FEEDS)
def test_files_come_in_the_order_in_which_they_land(feed: str) -> None:
    drops, _ = run(feed, **MESSY)
    assert all((one.landed_at, one.key) < (other.landed_at, other.key) for one, other in pairwise(drops))
    assert all(drop.landed_at.utcoffset() == timedelta(0) for drop in drops)


@pytest.mark.parametrize("feed", FEEDS)
def test_late_rows_are_never_before_the_start_of_the_lake(feed: str) -> None:
    drops, account = run(feed, start=date(2025, 1, 1), late=0.5)
    assert sum(counted.late for counted in account.tables.values()) > 0
    assert not any(verdict.rejected for verdict in reader.judge(reader.newest(drops)).values())


# Of what a seed gives, without compression. If one of these changes, every lake made from that seed changes with it.
DIGESTS = {
    "inventory": "c7cc4c59418e30b295e492e1b0756ef53bce7452e9570395add56b0e5c0c74bc",
    "pos": "c9fa0214c9c48279779bf7f66703b7b7a5cee2fd0a423d1fd623bc819f0d0e88",
    "shop": "44e932cbfa241b6f2d6b573ae401084a4e1498ed3480a16e4a6ec5f2ae625ee9",
    "grocery": "79653db2e50bd22906462d761c3d73f2bf105021f76e410aaca69bb33682f329",
}


def digest(feed: str) -> str:
    drops, account = run(feed, days=2, rows=1000, seed=42, **MESSY)
    said = hashlib.sha256(repr(asdict(account)).encode())
    for drop in drops:
        said.update(f"{drop.key} {drop.landed_at.isoformat()} {reader.text_of(drop)}".encode())
    return said.hexdigest()


@pytest.mark.parametrize("feed", FEEDS)
def test_a_seed_gives_the_same_for_ever(feed: str) -> None:
    assert digest(feed) == DIGESTS[feed]


@pytest.mark.parametrize(
    "surroundings", [{"PYTHONHASHSEED": "0", "TZ": "UTC"}, {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}]
)
def test_a_seed_gives_the_same_in_any_process(surroundings: dict[str, str]) -> None:
    code = "from shopware_assets_tests.simulator.test_simulate import *; print({feed: digest(feed) for feed in FEEDS})"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | surroundings, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str({feed: DIGESTS[feed] for feed in FEEDS})


@pytest.mark.parametrize("feed", FEEDS)
def test_another_seed_gives_something_else(feed: str) -> None:
    assert run(feed, seed=1)[0] == run(feed, seed=1)[0]
    assert run(feed, seed=1)[0] != run(feed, seed=2)[0]


@pytest.mark.parametrize(
    ("feed", "asked", "says"),
    [
        ("stars", {}, "unknown feed 'stars': there are inventory, pos, shop, grocery"),
        ("shop", {"days": 0}, "at least 1"),
        ("shop", {"rows": 0}, "at least 1"),
        ("shop", {"dirty": 1.5}, "between 0 and 1"),
        ("shop", {"late": -0.1}, "between 0 and 1"),
        ("inventory", {"dirty": 0.5, "late": 0.5}, "up to 0.9"),
        ("inventory", {"start": date(2024, 12, 31)}, "the lake starts on 2025-01-01"),
    ],
)
def test_what_makes_no_sense_is_refused(feed: str, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run(feed, **asked)
