"""The inventory feed."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from shopware_assets_tests.simulator import reader
from simulator import Account, Drop, simulate
from simulator.inventory import COLUMNS, kinds
from simulator.world import WAREHOUSES, Shelves, movements

pytestmark = pytest.mark.long

START = date(2025, 6, 1)


@cache
def run(**asked: Any) -> tuple[list[Drop], Account]:
    settings: dict[str, Any] = {"start": START, "days": 3, "rows": 4800, "seed": 5}
    drops, account = simulate("inventory", **settings | asked)
    return list(drops), account


def window(drop: Drop) -> datetime:
    (hour,) = re.findall(r"\d{4}-\d{2}-\d{2}T\d{2}", drop.key)
    return datetime.fromisoformat(hour).replace(tzinfo=UTC)


def test_keys_name_the_hour_and_there_is_a_file_for_each() -> None:
    drops, _ = run()
    begin = datetime(2025, 6, 1, tzinfo=UTC)
    assert [window(drop) for drop in drops] == [begin + timedelta(hours=hour) for hour in range(72)]
    assert all(
        re.fullmatch(r"inventory/2025/06/0\d/inventory_2025-06-0\dT\d\d\.jsonl?(\.gz)?", drop.key) for drop in drops
    )
    assert all(timedelta(hours=1) < drop.landed_at - window(drop) < timedelta(hours=2) for drop in drops)


def test_files_take_all_shapes() -> None:
    drops, _ = run()
    assert {drop.key.split(".", 1)[1] for drop in drops} == {"jsonl", "json", "jsonl.gz", "json.gz"}
    for drop in drops:
        assert reader.text_of(drop).startswith("[") == (".json." in f"{drop.key}.")


def test_every_file_reports_on_the_same_pairs() -> None:
    drops, _ = run()
    for drop in drops:
        rows = [row.text for row in reader.read(drop)]
        assert len(rows) == 200
        assert {int(row["inventory_id"]) for row in rows} == {n for n in range(1, 201) if n % 6}, "one is not open yet"
        for row in rows:
            assert (int(row["product_id"]) - 1) * WAREHOUSES + int(row["warehouse_id"]) == int(row["inventory_id"])


def test_a_store_that_opens_has_no_snapshot_from_before() -> None:
    drops, account = run(start=date(2025, 6, 30), days=3, late=0.3)
    first = {1: datetime.max.replace(tzinfo=UTC), 6: datetime.max.replace(tzinfo=UTC)}
    for row in reader.judge(reader.newest(drops))["inventory"].accepted:
        warehouse = row.values["warehouse_id"]
        first[warehouse] = min(first.get(warehouse, first[1]), row.values["last_updated"])
    assert account.tables["inventory"].late > 1000
    assert first[6].date() == date(2025, 7, 1)
    assert first[1].date() < date(2025, 6, 10)


def test_stock_is_what_the_movements_of_the_world_leave() -> None:
    drops, account = run(late=0.05)
    (verdict,) = reader.judge(reader.newest(drops)).values()
    assert account.tables["inventory"].late > 500
    stock = list(Shelves.of(5).opening)
    moves = movements(5, datetime(2025, 6, 1, tzinfo=UTC))
    at, pair, units = next(moves)
    seen = set()
    for row in sorted(verdict.accepted, key=lambda row: row.values["last_updated"]):
        time = int((row.values["last_updated"] - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
        while at // 1000 < time // 1000:  # some snapshots are stamped to the millisecond
            stock[pair] += units
            at, pair, units = next(moves)
        assert row.values["stock_level"] == stock[row.values["inventory_id"] - 1]
        seen.add(row.values["stock_level"])
    assert 0 in seen
    assert max(seen) > 20


def test_a_share_of_rows_is_one_hour_to_thirty_days_late() -> None:
    drops, account = run(late=0.02, days=4)
    lags = [
        window(row.drop) - row.values["last_updated"]
        for row in reader.judge(reader.newest(drops))["inventory"].accepted
        if row.values["last_updated"] < window(row.drop)
    ]
    assert len(lags) == account.tables["inventory"].late
    assert 0.015 < len(lags) / 19_200 < 0.025
    assert timedelta(minutes=59, seconds=59) <= min(lags) < timedelta(hours=10)
    assert timedelta(days=29) < max(lags) <= timedelta(days=30)
    assert not [
        row
        for row in reader.judge(reader.newest(run()[0]))["inventory"].accepted
        if row.values["last_updated"] < window(row.drop)
    ]


def test_times_and_numbers_are_spelled_in_all_ways() -> None:
    lines = [line for drop in run()[0] for line in reader.text_of(drop).split("\n")]
    for spelling in (
        r'"last_updated": 17\d{8}\.\d+\}',
        r'"last_updated": 17\d{11}\}',
        r'"last_updated": 17\d{14}\}',
        r'"last_updated": "17\d{8}\.\d+"\}',
        r'"last_updated": "2025-06-0\dT[\d:.]+\+00:00"\}',
        r'"last_updated": "2025-06-0\dT[\d:.]+\+02:00"\}',
        r'"stock_level": \d+,',
        r'"stock_level": \d+\.0,',
        r'"stock_level": " \d+ ",',
    ):
        assert any(re.search(spelling, line) for line in lines), spelling


def test_a_few_pairs_have_no_threshold() -> None:
    drops, _ = run(rows=24_000, days=1)
    without = [row.text["inventory_id"] for row in reader.read(drops[0]) if "restock_threshold" not in row.text]
    assert 5 < len(without) < 50


def test_columns_are_those_that_a_reader_knows() -> None:
    assert set(COLUMNS) == {*reader.REQUIRED["inventory"], *reader.OPTIONAL["inventory"]}
    assert {column for column, words in COLUMNS.items() if "!" in words} == set(reader.REQUIRED["inventory"])
    assert len(set(kinds())) == len(kinds())
