"""How files come to landing."""

import gzip
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from simulator.account import TableAccount
from simulator.drops import DAY, Asked, Post, Share, zipped

BEGIN = datetime(2025, 6, 1, tzinfo=UTC)


def asked(**changes: Any) -> Asked:
    settings: dict[str, Any] = {"begin": BEGIN, "width": 3600, "slots": 48, "rows": 100, "seed": 1}
    return Asked(**settings | {"dirty": 0.0, "late": 0.0, "duplicates": 0.0} | changes)


def test_slots() -> None:
    day = asked(width=7)
    assert asked().at(25) == BEGIN + timedelta(hours=25)
    assert sum(asked().quota(slot) for slot in range(48)) == 200
    assert {asked().quota(slot) for slot in range(48)} == {4, 5}
    assert sum(day.quota(slot) for slot in range(DAY // 7 + 1)) == 100
    assert list(asked(slots=3).numbers) == [0, 1, 2]
    assert asked(slots=3).last == 2
    assert asked(slots=None).last > 10**9


def test_a_share_is_kept_and_begins_in_time() -> None:
    for wanted, first in ((0.1, 3), (0.01, 4), (0.5, 2), (1.0, 1)):
        share = Share(wanted, first)
        given = [share() for _ in range(1000)]
        assert any(given[:first])
        assert abs(sum(given) - 1000 * wanted) <= 2
    never = Share(0.0, 2)
    assert not any(never() for _ in range(1000))


def deliver(
    files: int, **shares: float
) -> tuple[list[tuple[str, bytes, datetime]], TableAccount, list[tuple[str, bool]]]:
    table, booked = TableAccount(), list[tuple[str, bool]]()
    post = Post(asked(**shares), table, Random("post").random)
    for number in range(files):
        name = f"f{number}.csv"
        post.send(
            name,
            name.encode(),
            BEGIN + timedelta(hours=number),
            partial(lambda name, again: booked.append((name, again)), name),
            lambda: (b"draft", 3),
        )
    landed = []
    for parcel in post.due(None):
        parcel.book()
        landed.append((parcel.drop.key, parcel.drop.body, parcel.drop.landed_at))
    return landed, table, booked


def test_files_land_as_sent_when_nothing_is_asked() -> None:
    landed, table, booked = deliver(5)
    assert landed == [(f"f{n}.csv", f"f{n}.csv".encode(), BEGIN + timedelta(hours=n)) for n in range(5)]
    assert booked == [(f"f{n}.csv", False) for n in range(5)]
    assert (table.files, table.late_files, table.copies, table.versions) == (5, 0, 0, 0)


def test_what_is_not_due_waits() -> None:
    post = Post(asked(), TableAccount(), Random(1).random)
    for hours in (3, 1, 2):
        post.send(f"{hours}.csv", b"", BEGIN + timedelta(hours=hours), lambda again: None)
    assert [parcel.drop.key for parcel in post.due(BEGIN + timedelta(hours=2))] == ["1.csv", "2.csv"]
    assert [parcel.drop.key for parcel in post.due(None)] == ["3.csv"]


def test_a_copy_has_a_new_key_and_lands_later() -> None:
    landed, table, booked = deliver(5, duplicates=0.01)
    times = {key: at for key, _, at in landed}
    bodies = [body for key, body, _ in landed if key == "f1_again.csv"]
    assert bodies == [b"f1.csv"]
    assert times["f1_again.csv"] >= times["f1.csv"] + timedelta(hours=1)
    assert ("f1.csv", True) in booked
    assert table.copies == 1


def test_a_draft_lands_first_and_is_replaced() -> None:
    landed, table, booked = deliver(5, duplicates=0.01)
    versions = [(body, at) for key, body, at in landed if key == "f2.csv"]
    assert [body for body, _ in versions] == [b"draft", b"f2.csv"]
    assert versions[0][1] < versions[1][1]
    assert (table.versions, table.rows, table.replaced) == (1, 3, 3), "the feed itself counts only what stays"
    assert booked.count(("f2.csv", False)) == 1


def test_a_late_file_lands_hours_later() -> None:
    landed, table, _ = deliver(5, late=0.01)
    (late,) = [at for key, _, at in landed if key == "f3.csv"]
    assert timedelta(hours=1) <= late - (BEGIN + timedelta(hours=3)) <= timedelta(hours=13)
    assert [at for _, _, at in landed] == sorted(at for _, _, at in landed)
    assert table.late_files == 1


def test_gzip_knows_no_time() -> None:
    assert gzip.decompress(zipped(b"abc")) == b"abc"
    assert zipped(b"abc")[4:8] == bytes(4)
