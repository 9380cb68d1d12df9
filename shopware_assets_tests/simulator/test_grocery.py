"""The grocery feed."""

import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from shopware_assets_tests.simulator import reader
from simulator import Account, Drop, simulate

pytestmark = pytest.mark.long


@cache
def run(**asked: Any) -> tuple[list[Drop], Account]:
    settings: dict[str, Any] = {"start": date(2025, 6, 1), "days": 12, "rows": 1500, "seed": 5}
    drops, account = simulate("grocery", **settings | asked)
    return list(drops), account


@cache
def rows(table: str, **asked: Any) -> list[reader.Row]:
    return reader.judge(reader.newest(run(**asked)[0]))[table].accepted


def test_keys_name_table_and_day() -> None:
    drops = run()[0]
    for drop in drops:
        match = re.fullmatch(r"grocery/(\w+)/(\w+)_(202506\d\d)\.csv(\.gz)?", drop.key)
        assert match
        assert match[1] == match[2]
        late = drop.landed_at - datetime.strptime(match[3] + "+0000", "%Y%m%d%z")
        assert timedelta(days=1) < late < timedelta(days=1, hours=13)
    tables = ("grocery_products", "grocery_orders", "grocery_order_items")
    assert Counter(map(reader.table_of, drops)) == dict.fromkeys(tables, 12)


def test_an_order_has_lines_of_its_customer_and_time() -> None:
    lines = defaultdict(list)
    for row in rows("grocery_order_items"):
        lines[row.values["order_id"]].append(row.values)
    orders = rows("grocery_orders")
    assert {row.values["order_id"] for row in orders} == set(lines)
    for row in orders:
        found = lines[row.values["order_id"]]
        for column in ("user_id", "order_timestamp", "date"):
            assert {line[column] for line in found} == {row.values[column]}
        assert sorted(line["add_to_cart_order"] for line in found) == list(range(1, len(found) + 1))
        assert len({line["product_id"] for line in found}) == len(found)
        assert row.values["total_amount"] > len(found)
    assert len({len(found) for found in lines.values()}) > 7


def test_customers_come_back_and_buy_again() -> None:
    bought, last, number = defaultdict(set), dict[int, datetime](), Counter[int]()
    orders = {row.values["order_id"]: row.values for row in rows("grocery_orders")}
    lines = defaultdict(list)
    for row in rows("grocery_order_items"):
        lines[row.values["order_id"]].append(row.values)
    reordered = 0
    for order, values in sorted(orders.items()):
        user, time = values["user_id"], values["order_timestamp"]
        number[user] += 1
        assert values["order_num"] == number[user]
        for line in lines[order]:
            assert line["reordered"] == (line["product_id"] in bought[user])
            since = max(timedelta(0), time - last[user]).days if user in last else None
            assert line.get("days_since_prior_order") == since
            reordered += line["reordered"]
        bought[user] |= {line["product_id"] for line in lines[order]}
        last[user] = max(time, last.get(user, time))
    assert 0.1 < reordered / len(rows("grocery_order_items")) < 0.6


def test_departments_have_one_name_and_products_move_between_them() -> None:
    found = [row for drop in run()[0] if reader.table_of(drop) == "grocery_products" for row in reader.read(drop)]
    assert len({(row.text["department_id"], row.text["department"]) for row in found}) == 7
    assert len({row.text["department_id"] for row in found}) == 7
    departments = defaultdict(set)
    for row in found:
        departments[row.text["product_id"]].add(row.text["department_id"])
    assert max(map(len, departments.values())) > 1


def test_late_orders_are_as_many_as_counted_and_within_bounds() -> None:
    counted = run(late=0.05)[1].tables["grocery_orders"]
    lags = []
    for row in rows("grocery_orders", late=0.05):
        day = datetime.strptime(re.findall(r"\d{8}", row.drop.key)[-1] + "+0000", "%Y%m%d%z")
        if row.values["order_timestamp"] < day:
            lags.append(day - row.values["order_timestamp"])
    assert len(lags) == counted.late > 50
    assert timedelta(hours=1) <= min(lags)
    assert timedelta(days=20) < max(lags) <= timedelta(days=30)


def test_lines_of_a_lost_order_or_product_are_orphans() -> None:
    rejected = reader.judge(reader.newest(run(dirty=0.2)[0]))["grocery_order_items"].rejected
    orphans = [row for row in rejected if row.rejects & {"order_known", "product_known"}]
    assert len(orphans) == run(dirty=0.2)[1].tables["grocery_order_items"].orphans
    assert {0, 999_999} <= {row.values.get("order_id") for row in orphans}
    assert any(row.rejects == {"order_known"} and row.values["order_id"] > 999_999 for row in orphans)
    assert any(row.rejects == {"product_known"} and 0 < row.values["product_id"] < 999_999 for row in orphans)


def test_a_day_of_another_month_is_kept_with_a_warning() -> None:
    warned = [row for row in rows("grocery_orders", dirty=0.05) if row.warnings]
    assert {row.values["date"] for row in warned} <= {date(2024, 12, 31), date(2024, 12, 30)}
    assert warned


def test_a_line_may_land_before_its_order_and_its_product() -> None:
    drops = run()[0]
    landed = {(reader.table_of(drop), re.findall(r"\d{8}", drop.key)[-1]): drop.landed_at for drop in drops}
    days = {day for _, day in landed}
    assert 0 < sum(landed["grocery_order_items", day] < landed["grocery_orders", day] for day in days) < len(days)
    assert max(landed.values()) < datetime(2025, 6, 13, 13, tzinfo=UTC)
