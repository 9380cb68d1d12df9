"""Objects deleted or changed while they are read: a version is in bronze whole or not at all, and stops no other."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from deploy.stand_ins import S3, client
from resources import landing
from resources.landing import Fetched, FolderLanding, Landed, S3Landing
from shopware_assets.bronze import ingest
from shopware_assets_tests.end_to_end.shopware import Shopware

PREFIX = "inventory/2025-06-01-00"
STEADY = [1, 2, 3]
OLD = {"deleted": [*range(1000, 1400)], "replaced": [*range(2000, 2400)], "written_over": [*range(3000, 3400)]}
NEW = {"deleted": [], "replaced": [20, 21], "written_over": [30, 31]}


def body(numbers: list[int]) -> bytes:
    stock = {"product_id": 1, "warehouse_id": 2, "stock_level": 3, "restock_threshold": 4, "last_updated": 1748736939}
    return "".join(json.dumps({"inventory_id": number, **stock}) + "\n" for number in numbers).encode()


@dataclass
class Folder:
    """A source that drops files, and changes them in these ways."""

    root: Path
    changes = ("deleted", "replaced", "written_over")

    def put(self, name: str, body: bytes) -> None:
        path = self.root / PREFIX / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def change(self, name: str) -> None:
        if name == "deleted":
            (self.root / PREFIX / name).unlink()
        elif name == "replaced":
            staged = self.root / "staged"
            staged.write_bytes(body(NEW[name]))
            staged.replace(self.root / PREFIX / name)
        else:
            self.put(name, body(NEW[name]))


@dataclass
class Bucket:
    """A source that puts objects."""

    name: str
    endpoint: str
    changes = ("deleted", "replaced")

    def put(self, name: str, body: bytes) -> None:
        client("s3", self.endpoint).put_object(Bucket=self.name, Key=f"in/{PREFIX}/{name}", Body=body)

    def change(self, name: str) -> None:
        if name == "deleted":
            client("s3", self.endpoint).delete_object(Bucket=self.name, Key=f"in/{PREFIX}/{name}")
        else:
            time.sleep(1.1)  # S3 tells versions apart by their second
            self.put(name, body(NEW[name]))


def settled(shopware: Shopware, source: Folder | Bucket, patch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Which versions of each object bronze holds if it changes when a part of it has been read: old, new or torn ones.

    Silver must have the rows of the newest, and all must balance.
    """
    to_change = set(source.changes)

    def meanwhile(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        source.change(name)
        yield from chunks

    def changing(fetch: Callable[..., Fetched]) -> Callable[..., Fetched]:
        def fetched(self: FolderLanding | S3Landing, landed: Landed) -> Fetched:
            landed_at, chunks = fetch(self, landed)
            name = landed.key.removeprefix(f"{PREFIX}/")
            if name in to_change:
                to_change.remove(name)
                chunks = meanwhile(name, chunks)
            return Fetched(landed_at, chunks)

        return fetched

    patch.setattr("resources.landing.limits.CHUNK", 300)
    patch.setattr(ingest, "_BATCH_ROWS", 100)
    for kind in (FolderLanding, S3Landing):
        patch.setattr(kind, "fetch", changing(kind.fetch))
    source.put("steady", body(STEADY))
    for name in source.changes:
        source.put(name, body(OLD[name]))
    shopware("settle")
    shopware("ledger", "--settled")
    assert not to_change
    rows = shopware.table("bronze/inventory").filter(pl.col("_line") > 0).cast({"inventory_id": pl.Int64})
    held: dict[str, list[str]] = {name: [] for name in source.changes}
    expected = list(STEADY)
    for name, versions in held.items():
        of_object = rows.filter(pl.col("_source") == f"{PREFIX}/{name}").sort("_landed_at", "_line")
        for _, version in of_object.group_by("_version", maintain_order=True):
            numbers = version["inventory_id"].to_list()
            versions.append("old" if numbers == OLD[name] else "new" if numbers == NEW[name] else "torn")
        expected += {"old": OLD, "new": NEW}[versions[-1]][name] if versions else []
    assert sorted(shopware.table("silver/inventory")["inventory_id"]) == sorted(expected)
    return held


@pytest.mark.long
def test_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = settled(Shopware(tmp_path), Folder(tmp_path / "landing"), monkeypatch)
    assert held == {"deleted": [], "replaced": ["new"], "written_over": ["new"]}


@pytest.mark.long
def test_on_s3(tmp_path: Path, seaweedfs: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer is one version, and it may still come whole."""
    bucket = seaweedfs.fresh_bucket()
    shopware = Shopware(tmp_path, {**seaweedfs.settings, "SHOPWARE_LANDING": f"s3://{bucket}/in"})
    held = settled(shopware, Bucket(bucket, seaweedfs.endpoint), monkeypatch)
    assert held["deleted"] in ([], ["old"])
    assert held["replaced"] in (["new"], ["old", "new"])


@pytest.mark.long
def test_a_folder_that_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""

    def trusting(self: FolderLanding, landed: Landed) -> Iterator[bytes]:
        with Path(self.root, landed.key).open("rb") as file:
            while chunk := file.read(landing.limits.CHUNK):
                yield chunk

    monkeypatch.setattr(FolderLanding, "_chunks", trusting)
    held = settled(Shopware(tmp_path), Folder(tmp_path / "landing"), monkeypatch)
    assert held["written_over"] == ["torn", "new"]
