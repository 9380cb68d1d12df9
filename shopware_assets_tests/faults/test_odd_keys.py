"""Whatever objects are called, each is settled, once, under its own name, and hides no other."""

import json
import os
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from deploy.stand_ins import client
from resources.landing import FolderLanding, S3Landing
from shopware_assets_tests.end_to_end.shopware import Shopware

TIME = 1748736939
ANYWHERE = [
    *("a b", " before", "after ", "a+b", "a%20b", "100%", "ü☂😀", "é", "e\u0301", "..json", "...", "-", "*?[a]{b}"),
    *("\x01\x1b[31m\x7f\x85", "\u202e\ufeff\uffff", "'\"&<>;--=$HOME`x`", "#1", "a\\b", "a\\xe4", "a\\x5cxe4", "None"),
    *("a.csv", "a.jsonl.zip", "2025-99-99", "0000-00-00/25", "9999-12-31/23", "x/" * 60 + "deep", "hour=7/part"),
    *("n" * 200, "ü" * 100),
]
"""Names that a folder and S3 can hold."""

ONLY_IN_A_FOLDER = {
    b"tab\tline\nreturn\r": "tab\tline\nreturn\r",
    b"gr\xfcn": "gr\\xfcn",
    b"gr\xfcn \xe4/gr\xfcn": "gr\\xfcn \\xe4/gr\\xfcn",
    b"a\xe4": "a\\xe4",  # and what is spelled like it
    b"\xed\xa0\x80": "\\xed\\xa0\\x80",
    b"n" * 251 + b"\xff": "n" * 251 + "\\xff",
    b"\xff" * 255: "\\xff" * 255,
}
ONLY_ON_S3 = ["../a", "a/../b", "./a", "a//b", "//", "a/.", "a/..", "k" * 900]


def record(number: int) -> bytes:
    stock = {"product_id": 1, "warehouse_id": 2, "stock_level": 3, "restock_threshold": 4, "last_updated": TIME}
    return json.dumps({"inventory_id": number, **stock}).encode()


def check(shopware: Shopware, keys: list[str]) -> None:
    """Settles; the object with the n-th key has the record of number n."""
    shopware("settle")
    lines = [line for line in shopware.json("ledger", "--settled") if line["object"]]
    assert {line["object"] for line in lines} == set(keys)
    assert all(line["outcome"] == "ingested" and line["read"] == line["accepted"] == 1 for line in lines)
    rows = shopware.table("silver/inventory").select("inventory_id", "_source")
    assert sorted(rows.iter_rows()) == sorted(enumerate(keys))
    shopware("settle")
    assert shopware.table("bronze/inventory").height == 2 * len(keys), "each is known by its name: rows and markers"


def in_a_folder(shopware: Shopware) -> list[str]:
    names = {os.fsencode(name): name.replace("\\x", "\\x5cx") for name in ANYWHERE} | ONLY_IN_A_FOLDER
    for number, name in enumerate(names):
        path = Path(os.fsdecode(os.fsencode(shopware.home / "landing/inventory") + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record(number))
        os.utime(path, (TIME, TIME))
    return [f"inventory/{key}" for key in names.values()]


def on_s3(moto: str, bucket: str) -> list[str]:
    """moto keeps names that SeaweedFS refuses or changes."""
    s3 = client("s3", moto)
    s3.create_bucket(Bucket=bucket)
    keys = [f"inventory/{name}" for name in (*ANYWHERE, *ONLY_ON_S3)]
    for number, key in enumerate(keys):
        s3.put_object(Bucket=bucket, Key=f"in/{key}", Body=record(number))
    return keys


def at(home: Path, moto: str, bucket: str) -> Shopware:
    return Shopware(home, {"SHOPWARE_LANDING": f"s3://{bucket}/in", "AWS_ENDPOINT_URL_S3": moto})


@pytest.mark.long
def test_in_a_folder(tmp_path: Path) -> None:
    shopware = Shopware(tmp_path)
    check(shopware, in_a_folder(shopware))


def test_back_from_the_archive_of_a_folder(tmp_path: Path) -> None:
    keys, landing = in_a_folder(Shopware(tmp_path)), FolderLanding(str(tmp_path / "landing"))
    objects = [landed for page in landing.pages("inventory") for landed in page]
    assert sorted(landed.key for landed in objects) == sorted(keys)
    assert [*landing.archive(objects)] == [(landed, "") for landed in objects]
    assert [*landing.pages("inventory")] == []
    assert all(landing.restore(key) for key in keys)
    assert [landed for page in landing.pages("inventory") for landed in page] == objects


@pytest.mark.long
def test_on_s3(tmp_path: Path, moto: str) -> None:
    check(at(tmp_path, moto, "odd-keys"), on_s3(moto, "odd-keys"))


# --- What if names were trusted --------------------------------------------------------------------------------------


def test_a_folder_whose_names_are_taken_for_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control."""
    monkeypatch.setattr(FolderLanding, "_path", lambda self, key: Path(self.root, key))
    shopware = Shopware(tmp_path)
    keys = in_a_folder(shopware)
    with pytest.raises((AssertionError, OSError)):
        check(shopware, keys)


@pytest.mark.long
def test_an_s3_whose_keys_are_unquoted_twice(tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control."""
    full = S3Landing._full
    monkeypatch.setattr(S3Landing, "_full", lambda self, key: unquote_plus(full(self, key)))
    keys = on_s3(moto, "unquoted")
    with pytest.raises(AssertionError):
        check(at(tmp_path, moto, "unquoted"), keys)
