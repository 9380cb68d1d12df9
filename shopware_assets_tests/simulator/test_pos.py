"""The point-of-sale feed, and the world that it shares with inventory."""

import re
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from shopware_assets_tests.simulator import reader
from simulator import Account, Drop, simulate

pytestmark = pytest.mark.long

START = date(2025, 6, 2)  # a Monday


@cache
def run(feed: str = "pos", **asked: Any) -> tuple[list[Drop], Account]:
    settings: dict[str, Any] = {"start": START, "days": 14, "rows": 1200, "seed": 5}
    drops, account = simulate(feed, **settings | asked)
    return list(drops), account


@cache
def accepted(table: str = "pos_sales", feed: str = "pos", **asked: Any) -> list[reader.Row]:
    return reader.judge(reader.newest(run(feed, **asked)[0]))[table].accepted


def test_keys_say_when_a_file_was_exported() -> None:
    drops = run()[0]
    for drop in drops:
        match = re.fullmatch(r"(pos/pos|stores/stores)_(\d{8})(?:_(\d{6}))?\.csv(\.gz)?", drop.key)
        assert match
        if match[3]:
            assert f"{drop.landed_at:%Y%m%d%H%M%S}" == match[2] + match[3]
        else:
            assert timedelta(days=1) < drop.landed_at - datetime.strptime(match[2] + "+0000", "%Y%m%d%z")
        assert drop.landed_at.hour < 13
    assert Counter(map(reader.table_of, drops)) == {"pos_sales": 14, "stores": 14}


def test_a_file_holds_the_sales_of_the_day_before_its_landing() -> None:
    lags = {row.drop.landed_at.date() - row.values["timestamp"].date() for row in accepted()}
    assert lags == {timedelta(days=1)}


def test_rows_are_about_as_many_as_asked_for() -> None:
    for rows, days in ((500, 7), (4000, 7), (15_000, 2)):
        _, account = run(rows=rows, days=days)
        assert 0.75 < account.tables["pos_sales"].read / (days * rows) < 1.25


def test_evenings_and_saturdays_sell_most() -> None:
    times = [row.values["timestamp"] for row in accepted() if row.values["quantity"] > 0]
    by_hour, by_weekday = Counter(time.hour for time in times), Counter(time.weekday() for time in times)
    assert max(by_hour, key=by_hour.__getitem__) in (17, 18, 19)
    assert by_hour[18] > 5 * by_hour[3]
    assert (max(by_weekday, key=by_weekday.__getitem__), min(by_weekday, key=by_weekday.__getitem__)) == (5, 6)


def test_there_are_a_best_seller_and_a_slow_mover() -> None:
    units = Counter[int]()
    for row in accepted():
        units[row.values["product_id"]] += max(0, row.values["quantity"])
    assert max(units, key=units.__getitem__) == 7
    assert units[7] > 20 * sorted(units.values())[len(units) // 2]
    assert units[3] <= 5


def test_baskets_hold_several_lines_of_one_store() -> None:
    baskets = defaultdict(list)
    for row in accepted():
        if row.values["quantity"] > 0:
            baskets[row.values["transaction_id"]].append(row.values)
    assert len({len(lines) for lines in baskets.values()}) > 3
    for lines in baskets.values():
        assert len({line["store_id"] for line in lines}) == 1
        assert len({line["product_id"] for line in lines}) == len(lines)


def test_what_comes_back_was_sold_before() -> None:
    sold = {(row.key[:2]): row.values for row in accepted() if row.values["quantity"] > 0}
    returns = [row for row in accepted() if row.values["quantity"] < 0]
    assert 0.02 < len(returns) / len(sold) < 0.04, "of the newest some will come after the end"
    for row in returns:
        sale = sold[row.key[:2]]
        assert (row.values["quantity"], row.values["revenue"]) == (-sale["quantity"], -sale["revenue"])
        assert row.values.get("discount_applied") == sale.get("discount_applied")
        assert timedelta(hours=2) <= row.values["timestamp"] - sale["timestamp"] <= timedelta(days=14)


def test_prices_are_those_of_products_and_some_lines_have_a_discount() -> None:
    prices, discounts = defaultdict(set), Counter[str]()
    for row in accepted():
        prices[row.values["product_id"]].add(row.values["revenue"] / row.values["quantity"])
        discount = row.values.get("discount_applied")
        discounts["none" if discount is None else "zero" if discount == 0 else "some"] += 1
        assert (discount or Decimal(0)) <= abs(row.values["revenue"]) * Decimal("0.25")
    assert all(len(found) == 1 for found in prices.values())
    assert set(discounts) == {"none", "zero", "some"}


def test_late_lines_come_days_later_and_are_counted() -> None:
    asked = {"late": 0.1, "days": 32, "rows": 200}
    account = run(**asked)[1].tables["pos_sales"]
    files = {drop.key: drop.landed_at for drop in run(**asked)[0] if drop.key.startswith("pos/")}
    on_time = [at for key, at in files.items() if f"{at:%Y%m%d_%H%M%S}" in key]
    assert account.late_files == len(files) - len(on_time) > 0
    lags = [row.drop.landed_at - row.values["timestamp"] for row in accepted(**asked) if row.drop.landed_at in on_time]
    late = [lag for lag in lags if lag > timedelta(days=1, hours=13)]
    assert 0.7 * account.late < len(late) <= account.late
    assert timedelta(days=20) < max(late) <= timedelta(days=30)


@pytest.mark.parametrize(("feed", "table"), [("pos", "pos_sales"), ("inventory", "inventory")])
def test_a_store_that_opens_in_the_middle_of_the_year_tells_nothing_before(feed: str, table: str) -> None:
    rows = accepted(table, feed, start=date(2025, 6, 28), days=6)
    column, event = ("store_id", "timestamp") if feed == "pos" else ("warehouse_id", "last_updated")
    first = {
        store: min(row.values[event] for row in rows if row.values[column] == store).date() for store in range(1, 7)
    }
    assert first == dict.fromkeys(range(1, 6), date(2025, 6, 28)) | {6: date(2025, 7, 1)}
    stores = {row.key[0]: row.values["opened_on"] for row in accepted("stores", start=date(2025, 6, 28), days=6)}
    assert sorted(stores) == list(range(1, 7))
    assert stores[6] == date(2025, 7, 1)
    assert 6 not in {row.key[0] for row in accepted("stores")}, "it is not in the table either"


@pytest.mark.parametrize("other", [False, True])
def test_stock_falls_by_what_is_sold_and_rises_by_deliveries_alone(other: bool) -> None:
    """Between two snapshots of a pair: fallen by the units sold in between, unless a delivery has come."""
    sales = defaultdict(list)
    for row in accepted(days=7, seed=6 if other else 5):
        if row.values["quantity"] > 0:
            sales[row.values["product_id"], row.values["store_id"]].append(row)
    snapshots = defaultdict(list)
    for row in accepted("inventory", "inventory", days=7, rows=4800):
        snapshots[row.values["product_id"], row.values["warehouse_id"]].append(
            (row.values["last_updated"], row.values["stock_level"])
        )
    outcomes = Counter[str]()
    second = timedelta(seconds=1)  # tills know no fractions
    for pair in sales.keys() & snapshots.keys():
        for (since, before), (until, after) in pairwise(sorted(snapshots[pair])):
            near = [row for row in sales[pair] if since - second <= row.values["timestamp"] <= until]
            if any(min(abs(row.values["timestamp"] - time) for time in (since, until)) <= second for row in near):
                continue
            delivered = after - before + sum(row.values["quantity"] for row in near)
            outcomes["lost" if delivered < 0 else "delivered" if delivered else "sold" if near else "still"] += 1
            outcomes["empty"] += after == 0
    assert (outcomes["lost"] > 0) == other, "the control: sales of another world explain nothing"
    assert other or min(outcomes[name] for name in ("sold", "delivered", "empty")) > 50


def test_a_sale_of_a_store_that_nobody_knows_is_kept_with_a_warning() -> None:
    rows = [row for row in accepted(dirty=0.05) if row.warnings]
    assert {row.values["store_id"] for row in rows} == {0, 99}
    assert {rule for row in rows for rule in row.warnings} == {"store_known"}


def test_sales_land_before_their_store_now_and_then() -> None:
    start = {"start": date(2025, 7, 1), "days": 6}
    landed = {(drop.key.split("/")[0], drop.landed_at.date()): drop.landed_at for drop in run(**start)[0]}
    days = {day for _, day in landed}
    early = {day for day in days if landed["pos", day] < landed["stores", day]}
    assert 0 < len(early) < len(days)


def test_files_take_all_shapes() -> None:
    drops, _ = run(days=20, rows=200, dirty=0.1)
    assert any(drop.key.endswith(".gz") for drop in drops)
    assert any(drop.body.startswith(b"\xef\xbb\xbf") and b"\r\n" in drop.body for drop in drops)
    rows = accepted(days=20, rows=200, dirty=0.1)
    spelled = {re.sub(r"\d+", "9", row.text["quantity"]) for row in rows}
    assert {"9", "-9", "+9", "9.9"} <= spelled
    times = {re.sub(r"\d", "9", row.text["timestamp"]) for row in rows}
    assert {"9999999999", "9999999999999", "9999-99-99T99:99:99"} <= times
    assert any("city" not in reader.text_of(drop) for drop in drops if drop.key.startswith("stores/"))
