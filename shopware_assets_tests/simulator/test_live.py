"""The stream without end."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from shopware_assets_tests.simulator import reader
from shopware_assets_tests.simulator.test_simulate import RULES
from simulator import FEEDS
from simulator.live import live

NOW = datetime(2025, 6, 1, 23, 55, 7, 500_000, tzinfo=UTC)


def test_a_few_small_files_land_every_minute() -> None:
    drops = list(islice(live(["inventory", "shop"], 1, NOW), 1000))
    assert all(one.landed_at <= other.landed_at for one, other in pairwise(drops))
    assert NOW - timedelta(minutes=3) <= drops[0].landed_at <= NOW
    seconds = (drops[-1].landed_at - drops[0].landed_at).total_seconds()
    assert 12 < seconds / len(drops) < 24
    assert max(len(drop.body) for drop in drops) < 20_000
    assert set(map(reader.table_of, drops)) == {"inventory", "products", "orders", "order_items"}


def test_every_feed_has_something_to_show_at_once() -> None:
    landed = [drop for drop in islice(live(sorted(FEEDS), 1, NOW), 100) if drop.landed_at <= NOW]
    assert {*RULES} <= {reader.table_of(drop) for drop in landed}


def test_it_speaks_of_now() -> None:
    drops = list(islice(live(["inventory", "shop"], 1, NOW), 1000))
    verdicts = reader.judge(reader.newest(drops))
    for table, columns in (("inventory", ("last_updated",)), ("orders", reader.TIMES)):
        accepted = verdicts[table].accepted
        ages = [
            row.drop.landed_at - max(row.values[name] for name in columns if name in row.values) for row in accepted
        ]
        assert sum(timedelta(0) <= age < timedelta(minutes=5) for age in ages) > 0.9 * len(ages)
        assert any(age > timedelta(hours=1) for age in ages), "some come late"
    assert any("2025/06/02/inventory_2025-06-02T00" in drop.key for drop in drops)


def test_all_feeds_speak_of_now_and_a_file_of_theirs_comes_every_few_seconds() -> None:
    drops = list(islice(live(sorted(FEEDS), 1, NOW), 900))
    assert max(len(drop.body) for drop in drops) < 30_000
    verdicts = reader.judge(reader.newest(drops))
    assert verdicts.keys() == RULES.keys()
    for table, column in (("pos_sales", "timestamp"), ("grocery_orders", "order_timestamp")):
        ages = [row.drop.landed_at - row.values[column] for row in verdicts[table].accepted]
        assert sum(timedelta(0) <= age < timedelta(minutes=5) for age in ages) > 0.9 * len(ages)
        assert len(ages) > 300
    assert any(row.values["quantity"] < 0 for row in verdicts["pos_sales"].accepted)
    assert sum(reader.table_of(drop) == "stores" for drop in drops) < 12, "once a day, and what is empty or copied"


def test_lives_pass_in_minutes_and_faults_are_few() -> None:
    drops = list(islice(live(["shop"], 1, NOW), 1200))
    verdicts = reader.judge(reader.newest(drops))
    assert Counter(row.values["status"] for row in verdicts["orders"].accepted)["delivered"] > 50
    for verdict in verdicts.values():
        assert 0 < len(verdict.rejected) < 0.2 * verdict.read


@pytest.mark.long
def test_it_repeats_itself_and_never_a_key_but_for_a_new_version() -> None:
    drops = list(islice(live(["inventory", "shop"], 1, NOW), 600))
    assert drops == list(islice(live(["inventory", "shop"], 1, NOW), 600))
    assert drops != list(islice(live(["inventory", "shop"], 2, NOW), 600))
    times = Counter(drop.key for drop in drops)
    assert max(times.values()) == 2
    assert sum(count == 2 for count in times.values()) < 0.05 * len(times)
