"""Clocks that are off: landing says any time; every row is accounted for, by that time and by no other clock."""

import json
import os
import time
from datetime import UTC, datetime
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


def books(shopware: Shopware) -> dict[str, tuple[int, int, int, int]]:
    """Rows accepted, rejected, superseded and pending of each object; those of several versions together."""
    found: dict[str, tuple[int, int, int, int]] = {}
    for line in shopware.json("ledger"):
        if line["object"]:
            name = line["object"].removeprefix("inventory/")
            counts = (line[what] for what in ("accepted", "rejected", "superseded", "pending"))
            found[name] = tuple(a + b for a, b in zip(found.get(name, (0, 0, 0, 0)), counts, strict=True))
    return found


def check(shopware: Shopware) -> None:
    for number, (name, years) in enumerate({"1901": -69, "1970": 0, "2100": 130, "far": 300_000}.items()):
        drop(shopware, name, record(number), years * YEAR)
    drop(shopware, "went back", record(10, level=1), 56 * YEAR)
    drop(shopware, "ahead", record(11, FAR_EVENT), 130 * YEAR)
    shopware("settle")
    drop(shopware, "went back", record(10, level=2), 55 * YEAR + YEAR // 2)
    said = shopware("settle").output
    assert (
        "Pending in silver/inventory: 1, windows 2099-06-01-00:00 to 2099-06-01-00:00. Their time has not come" in said
    )
    accepted, rejected, pending = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)
    expected = {"1901": rejected, "1970": rejected, "2100": accepted, "far": accepted, "ahead": pending}
    expected |= {"went back": (1, 0, 1, 0)}
    assert books(shopware) == expected, "what is later than its landing by more than a day is rejected"
    assert set(shopware.table("silver/inventory_rejected")["_reasons"]) == {"last_updated_not_in_future"}
    levels = shopware.table("silver/inventory").select("inventory_id", "stock_level").rows()
    assert sorted(levels) == [(2, 3), (3, 3), (10, 1)], "of two versions the later one by landing's clock stays"


@pytest.mark.long
def test_files_of_any_time(tmp_path: Path) -> None:
    check(Shopware(tmp_path, {"SHOPWARE_REJECT_THRESHOLD": "1"}))


@pytest.mark.long
def test_a_landing_that_asks_the_machine_for_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    now = datetime.now(UTC)
    monkeypatch.setattr(landing.folder, "after_epoch", lambda since: now)
    with pytest.raises(AssertionError):
        check(Shopware(tmp_path, {"SHOPWARE_REJECT_THRESHOLD": "1"}))


FIRST_LANDED = {
    "2025-06-01T12:00:00": "2025-06-01T12:00:00",  # no zone is UTC, wherever the machine is
    "2025-06-02T12:00:00+14:00": "2025-06-01T22:00:00",
    "9999-12-31T23:59:59-14:00": "9999-01-01T00:00:00",
    "0001-01-01T00:00:00+14:00": "0002-01-01T00:00:00",
    "yesterday": "",
    " ": "",
}
"""What the metadata of an object say of its landing, and what is taken for it; nothing: when it was put there."""


def test_objects_that_say_when_they_first_landed(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = client("s3", moto)
    s3.create_bucket(Bucket="clocks")
    for number, said in enumerate(FIRST_LANDED):
        s3.put_object(Bucket="clocks", Key=f"inventory/{number}", Metadata={"shopware-landed-at": said})
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        bucket = landing.open_landing("s3://clocks")
        objects = [landed for page in bucket.pages("inventory") for landed in page]
        landed_at = [bucket.fetch(landed).landed_at for landed in objects]
    finally:
        monkeypatch.undo()
        time.tzset()
    taken = [datetime.fromisoformat(f"{text}+00:00") if text else None for text in FIRST_LANDED.values()]
    assert landed_at == [at or landed.landed_at for at, landed in zip(taken, objects, strict=True)]
