"""Clocks that are off: landing says any time, and every row is still accounted for, by that time and by no other clock."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.stand_ins import client
from resources import landing
from shopware_assets_tests.end_to_end.shopware import Shopware

EVENT, FAR_EVENT = datetime(2025, 6, 1, tzinfo=UTC), datetime(2099, 6, 1, tzinfo=UTC)
YEAR = 31_556_952  # seconds


def record(number: int, event: datetime = EVENT, level: int = 3) -> bytes:
    stock = {"product_id": 1, "warehouse_id": 2, "stock_level": level, "restock_threshold": 4}
    return json.dumps({"inventory_id": number, **stock, "last_updated": int(event.timestamp())}).encode()


def drop(shopware: Shopware, name: str, body: bytes, seconds: int) -> None:
    """Lands a file whose time of change is so many seconds after 1970."""
    shopware.drop(f"inventory/{name}", body)
    os.utime(shopware.home / "landing/inventory" / name, ns=(seconds * 10**9, seconds * 10**9))


def books(shopware: Shopware, code: int = 0) -> dict[str, tuple[int, int, int, int]]:
    """Rows accepted, rejected, superseded and pending of each object; those of several versions together."""
    found: dict[str, tuple[int, int, int, int]] = {}
    for line in shopware.json("ledger", "--settled", code=code):
        if line["object"]:
            name = line["object"].removeprefix("inventory/")
            counts = (line[what] for what in ("accepted", "rejected", "superseded", "pending"))
            found[name] = tuple(a + b for a, b in zip(found.get(name, (0, 0, 0, 0)), counts, strict=True))
    return found


def check(shopware: Shopware) -> None:
    for number, (name, years) in enumerate({"1901": -69, "1970": 0, "2100": 130, "far": 300_000}.items()):
        drop(shopware, name, record(number), years * YEAR)
    drop(shopware, "went back", record(10, level=1), 56 * YEAR)
    shopware("settle")
    drop(shopware, "went back", record(10, level=2), 55 * YEAR + YEAR // 2)
    shopware("settle")
    accepted, rejected = (1, 0, 0, 0), (0, 1, 0, 0)
    expected = {"1901": rejected, "1970": rejected, "2100": accepted, "far": accepted, "went back": (1, 0, 1, 0)}
    assert books(shopware) == expected, "what is later than its landing by more than a day is rejected"
    assert set(shopware.table("silver/inventory_rejected")["_reasons"]) == {"last_updated_not_in_future"}
    levels = shopware.table("silver/inventory").select("inventory_id", "stock_level").rows()
    assert sorted(levels) == [(2, 3), (3, 3), (10, 1)], "of two versions the later one by landing's clock stays"


def test_files_of_any_time(tmp_path: Path) -> None:
    check(Shopware(tmp_path, {"SHOPWARE_REJECT_THRESHOLD": "1"}))


def test_a_landing_that_asks_the_machine_for_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    now = datetime.now(UTC)
    monkeypatch.setattr(landing, "_after_epoch", lambda since: now)
    with pytest.raises(AssertionError):
        check(Shopware(tmp_path, {"SHOPWARE_REJECT_THRESHOLD": "1"}))


def test_rows_of_a_time_to_come_are_pending_and_told(tmp_path: Path) -> None:
    shopware = Shopware(tmp_path)
    drop(shopware, "now", record(1), 56 * YEAR)
    drop(shopware, "ahead", record(2, FAR_EVENT), 130 * YEAR)
    told = "Pending in silver/inventory: 1, windows 2099-06-01-00:00 to 2099-06-01-00:00. Their time has not come"
    assert told in shopware("settle").output
    assert books(shopware, code=1) == {"now": (1, 0, 0, 0), "ahead": (0, 0, 0, 1)}


FIRST_LANDED = {
    "2025-06-01T12:00:00": "2025-06-01T12:00:00",  # no zone is UTC, wherever the machine is
    "2025-06-02T12:00:00+14:00": "2025-06-01T22:00:00",
    "9999-12-31T23:59:59-14:00": "9999-01-01T00:00:00",
    "0001-01-01T00:00:00+14:00": "0002-01-01T00:00:00",
    "yesterday": "",
    " ": "",
}
"""What the metadata of an object say of its landing, and what is taken for it; nothing: when it was put there."""


def test_objects_that_say_when_they_first_landed(tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = client("s3", moto)
    s3.create_bucket(Bucket="clocks")
    for number, said in enumerate(FIRST_LANDED):
        metadata = {"shopware-landed-at": said}
        s3.put_object(Bucket="clocks", Key=f"inventory/{number}", Body=record(number), Metadata=metadata)
    put_at = s3.head_object(Bucket="clocks", Key="inventory/5")["LastModified"]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        shopware = Shopware(tmp_path, {"SHOPWARE_LANDING": "s3://clocks", "AWS_ENDPOINT_URL_S3": moto})
        shopware("settle")
        lines = [line for line in shopware.json("ledger", "--settled") if line["object"]]
    finally:
        monkeypatch.undo()
        time.tzset()
    landed_at = [datetime.fromisoformat(line["landed_at"]) for line in sorted(lines, key=lambda line: line["object"])]
    taken = [datetime.fromisoformat(f"{text}+00:00") if text else put_at for text in FIRST_LANDED.values()]
    assert landed_at[:4] == taken[:4]
    assert all(abs(at - put_at) < timedelta(minutes=1) for at in landed_at[4:])
