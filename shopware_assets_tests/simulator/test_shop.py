"""The shop feed."""

import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from shopware_assets_tests.simulator import reader
from simulator import Account, Drop, simulate

pytestmark = pytest.mark.long

START = date(2025, 6, 1)
AGES = {"pending": 0, "processing": 0, "shipped": 1, "cancelled": 1, "delivered": 2, "returned": 3}


@cache
def run(**asked: Any) -> tuple[list[Drop], Account]:
    settings: dict[str, Any] = {"start": START, "days": 12, "rows": 2000, "seed": 5}
    drops, account = simulate("shop", **settings | asked)
    return list(drops), account


@cache
def verdicts(**asked: Any) -> dict[str, reader.Verdict]:
    return reader.judge(reader.newest(run(**asked)[0]))


def rows(table: str, **asked: Any) -> list[reader.Row]:
    """The sound rows, as they landed."""
    verdict = verdicts(**asked)[table]
    return sorted(verdict.accepted + verdict.superseded, key=lambda row: (row.drop.landed_at, row.drop.key, row.line))


def by_key(table: str) -> dict[tuple[Any, ...], list[reader.Row]]:
    found = defaultdict(list)
    for row in rows(table):
        found[row.key].append(row)
    return found


def test_keys_name_table_day_and_part() -> None:
    drops, _ = run()
    for drop in drops:
        match = re.fullmatch(r"shop/(\w+)/(\w+)_202506(\d\d)_part([1-4])\.csv(\.gz)?", drop.key)
        assert match
        assert match[1] == match[2]
        end = datetime(2025, 6, int(match[3]), tzinfo=UTC) + timedelta(hours=6 * int(match[4]))
        assert timedelta(0) < drop.landed_at - end < timedelta(hours=4)
    parts = Counter(reader.table_of(drop) for drop in drops)
    assert parts["orders"] == parts["order_items"] == 48


def test_orders_come_again_as_they_move_on() -> None:
    lives = by_key("orders")
    ages = [[AGES[row.values["status"]] for row in life] for life in lives.values()]
    assert all(life == sorted(set(life)) for life in ages)
    assert max(map(len, ages)) == 4
    ends = Counter(life[-1].values["status"] for life in lives.values())
    assert set(ends) == set(AGES)
    old = [life[-1] for life in lives.values() if life[0].values["created_at"] < datetime(2025, 6, 5, tzinfo=UTC)]
    assert len(old) > 500
    assert all(AGES[row.values["status"]] > 1 or row.values["status"] == "cancelled" for row in old), "all have ended"
    for life in lives.values():
        for row in life:
            status, times = row.values["status"], {name for name in reader.TIMES if name in row.values}
            if status != "cancelled":
                assert times == set(reader.TIMES[: AGES[status] + 1])


def test_an_order_has_the_lines_it_says_and_they_share_its_life() -> None:
    lines = defaultdict(set)
    for row in rows("order_items"):
        lines[row.values["order_id"]].add(row.values["id"])
    orders, items = verdicts()["orders"].accepted, verdicts()["order_items"].accepted
    assert all(len(lines[row.values["order_id"]]) == row.values["num_of_item"] for row in orders)
    status_of = {row.values["order_id"]: row.values["status"] for row in orders}
    pairs = Counter((status_of[row.values["order_id"]], row.values["status"]) for row in items)
    assert {pair for pair in pairs if pair[0] != pair[1]} == {("returned", "delivered")}


def test_some_orders_move_to_another_day_and_some_lines_are_on_another_day_than_their_order() -> None:
    lives = by_key("orders")
    moved = [life for life in lives.values() if len({row.values["created_at"].date() for row in life}) > 1]
    assert 0 < len(moved) < len(lives) * 0.03
    for life in moved:
        assert life[-1].values["status"] in ("shipped", "delivered", "returned")
        assert life[-1] in verdicts()["orders"].accepted
    day_of = {key[0]: life[0].values["created_at"].date() for key, life in lives.items()}
    elsewhere = [
        row for row in rows("order_items") if row.values["created_at"].date() != day_of[row.values["order_id"]]
    ]
    assert elsewhere


def test_children_often_land_before_their_parents() -> None:
    drops, _ = run()
    landed = {drop.key.removesuffix(".gz").split("/")[-1].removesuffix(".csv"): drop.landed_at for drop in drops}
    early = [
        name
        for name, at in landed.items()
        if name.startswith("order_items") and at < landed[name.replace("order_items", "orders")]
    ]
    assert 48 / 5 < len(early) < 48 / 2
    first_seen = {row.values["id"]: row.drop.landed_at for row in reversed(rows("products"))}
    assert any(first_seen[row.values["product_id"]] > row.drop.landed_at for row in rows("order_items"))


def test_products_are_corrected() -> None:
    histories = by_key("products").values()
    assert any(len({row.values["category"] for row in history}) > 1 for history in histories)
    assert all(len({row.values["name"] for row in history}) == 1 for history in histories)


def test_late_orders_are_as_many_as_counted_and_within_bounds() -> None:
    account = run(late=0.05)[1]
    first: dict[tuple[Any, ...], tuple[datetime, datetime]] = {}
    for row in rows("orders", late=0.05):
        day = re.findall(r"\d{8}", row.drop.key)[-1]
        begin = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        known = first.get(row.key)
        if known is None or begin < known[0]:
            first[row.key] = (begin, row.values["created_at"])
    lags = [begin - created for begin, created in first.values() if created < begin]
    assert len(lags) == account.tables["orders"].late > 50
    assert min(lags) >= timedelta(hours=1)
    assert timedelta(days=20) < max(lags) <= timedelta(days=30)


def test_orphans_stay_rejected_and_rejected_parents_make_some() -> None:
    account = run(dirty=0.05)[1]
    rejected = verdicts(dirty=0.05)["order_items"].rejected
    orphans = [row for row in rejected if row.rejects & {"order_known", "product_known"}]
    assert len(orphans) == account.tables["order_items"].orphans
    named = {text for row in orphans for text in (row.values.get("order_id"), row.values.get("product_id"))}
    assert {"0", "no-such-one"} <= named
    assert any(row.rejects == {"order_known"} and len(row.values["order_id"]) == 16 for row in orphans)
    assert any(row.rejects == {"product_known"} and row.values["product_id"].isdigit() for row in orphans)


def test_files_take_all_shapes() -> None:
    drops, _ = run(dirty=0.02)
    texts = [drop.body for drop in drops if not drop.key.endswith(".gz")]
    assert any(drop.key.endswith(".gz") for drop in drops)
    assert any(text.startswith(b"\xef\xbb\xbf") and b"\r\n" in text for text in texts)
    headers = {reader.text_of(drop).splitlines()[0] for drop in drops}
    assert any(header.endswith(",channel") for header in headers)
    assert any("department" not in header and "sku" in header for header in headers)
    assert len({header for header in headers if "num_of_item" in header and "channel" not in header}) > 1, (
        "other orders"
    )
    times = {re.sub(r"\d", "9", row.text["created_at"]) for row in rows("orders")}
    assert {"9999-99-99T99:99:99", "9999-99-99T99:99:99Z", "9999-99-99T99:99:99+99:99", "9999999999"} <= times
