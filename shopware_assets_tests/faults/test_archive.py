"""Archiving: what is in bronze moves, what arrives meanwhile stays; whatever kills it, nothing is lost or doubled."""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.client import BaseClient

from deploy.stand_ins import S3, client
from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import Landed, Landing, S3Landing, Unreachable, folder, open_landing
from resources.landing.folder import FolderLanding
from resources.settings import Misconfigured
from shopware_assets.bronze.ingest import ingest
from shopware_assets.contracts import CONTRACTS
from shopware_assets_tests.faults import processes
from shopware_assets_tests.scenario import START

KEYS = [f"inventory/2025-06-01-0{hour}/ü {hour}.jsonl" for hour in range(2)]
FIRST = {key: f"first {key}".encode() for key in KEYS}
BETWEEN, LAST = b"between", b"the last"


class Killed(BaseException):
    """The process ended."""


class Place(ABC):
    """A landing and its archive, seen from outside."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        for key, body in FIRST.items():
            landing.put(key, body)

    def ingested(self) -> list[Landed]:
        """The objects as they are now, as if bronze had their rows."""
        return [landed for key in KEYS if (landed := self.landing.find(key))]

    @abstractmethod
    def archived(self) -> int:
        """How many objects are in the archive."""

    @abstractmethod
    def bodies(self) -> dict[str, bytes]:
        """Every object by its key, those of the archive too."""

    @abstractmethod
    def newer(self, key: str, body: bytes) -> None:
        """A newer version arrives."""


class Folder(Place):
    def archived(self) -> int:
        return sum(1 for _ in Path(self.landing.root, "archive/inventory").rglob("*.jsonl"))

    def bodies(self) -> dict[str, bytes]:
        root = Path(self.landing.root)
        found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return {key: body for key, body in found.items() if not key.startswith((".incoming", "archive/.lock"))}

    def newer(self, key: str, body: bytes) -> None:
        staged = Path(self.landing.root, "staged")
        staged.write_bytes(body)
        os.replace(staged, Path(self.landing.root, key))  # noqa: PTH105 - tests interrupt Path's


class Bucket(Place):
    def __init__(self, landing: Landing, endpoint: str) -> None:
        self.s3 = client("s3", endpoint)
        super().__init__(landing)

        self.bucket, _, self.prefix = landing.root.removeprefix("s3://").partition("/")

    def keys(self, below: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/{below}")
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def archived(self) -> int:
        return len(self.keys("archive/inventory/"))

    def bodies(self) -> dict[str, bytes]:
        return {
            key.removeprefix(f"{self.prefix}/"): self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in self.keys()
        }

    def newer(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=body)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Place]:
    """Makes one."""
    if request.param == "folder":
        numbers = iter(range(10_000))
        return lambda: Folder(open_landing(str(_made(tmp_path / str(next(numbers))))))
    seaweedfs: S3 = request.getfixturevalue("seaweedfs")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint)
    monkeypatch.setattr("resources.landing.s3._AT_ONCE", 1)  # steps in one order
    return lambda: Bucket(open_landing(f"s3://{seaweedfs.fresh_bucket()}/in"), seaweedfs.endpoint)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def at_each_step(meanwhile: Callable[[int], None], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls `meanwhile` with the number of each change that archiving is about to make."""
    steps = iter(range(10_000))

    def counted(does: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            meanwhile(next(steps))
            return does(*args, **more)

        return step

    with patch.context() as inside:
        for name in ("rename", "replace", "unlink"):
            inside.setattr(Path, name, counted(getattr(Path, name)))
        inside.setattr(folder.shutil, "copy2", counted(shutil.copy2))
        inside.setattr(folder.os, "link", counted(os.link))
        inside.setattr(BaseClient, "_make_api_call", counted(BaseClient._make_api_call))
        yield


def test_what_is_in_bronze_moves_and_is_left_alone_afterwards(place: Callable[[], Place]) -> None:
    there = place()
    objects = there.ingested()
    kept = objects[-1].key
    assert list(there.landing.archive(objects[:-1])) == objects[:-1]
    moved = {f"archive/{landed.key}": FIRST[landed.key] for landed in objects[:-1]}
    assert there.bodies() == moved | {kept: FIRST[kept]}
    assert list(there.landing.archive(objects[:-1])) == [], "never twice"
    assert there.bodies() == moved | {kept: FIRST[kept]}


def test_what_is_brought_back_landed_when_it_first_did(place: Callable[[], Place]) -> None:
    there = place()
    before = {landed.key: there.landing.fetch(landed).landed_at for landed in there.ingested()}
    list(there.landing.archive(there.ingested()))
    assert there.landing.restore(KEYS[0])
    (back,) = there.ingested()
    assert there.landing.fetch(back).landed_at == before[back.key]
    assert there.bodies()[back.key] == FIRST[back.key]
    assert not there.landing.restore("inventory/never was")


def test_versions_of_a_key_are_all_kept(place: Callable[[], Place]) -> None:
    there = place()
    list(there.landing.archive(there.ingested()))
    for body in (BETWEEN, LAST):
        there.newer(KEYS[0], body)
        list(there.landing.archive(there.ingested()))
    found = there.bodies()
    assert found[f"archive/{KEYS[0]}"] == LAST
    older = [body for key, body in found.items() if key.startswith(f"archive/.older/{KEYS[0]}/")]
    assert sorted(older) == sorted([FIRST[KEYS[0]], BETWEEN])


def lost(there: Place, ingested: list[Landed], newest: bytes | None) -> list[str]:
    """What is wrong once archiving is over: `newest` arrived for the first key meanwhile, and is not in bronze."""
    found = there.bodies()
    wrong = [f"{key} is still on its way" for key in found if "/.taken/" in key or "/.probe-" in key]
    for landed in ingested:
        where = [key for key, body in found.items() if body == FIRST[landed.key]]
        archived, here = f"archive/{landed.key}" in where, landed.key in where
        if newest is not None and landed.key == KEYS[0]:
            wrong += [] if found.get(KEYS[0]) == newest else [f"{KEYS[0]} is {found.get(KEYS[0])!r}"]
        elif archived == here:
            wrong.append(f"{landed.key} is in {where}")
    return wrong


@dataclass
class Meanwhile:
    """What happens at a step: `arrival`, a newer version of the first key arrives; `death`, the process ends."""

    there: Place
    arrival: int = -1
    death: int = -1
    happened: int = 0
    _is_inside: bool = False

    def __call__(self, number: int) -> None:
        if self._is_inside:  # what arrives makes steps too
            return
        if number == self.arrival:
            self._is_inside = True
            self.there.newer(KEYS[0], LAST)
            self._is_inside = False
        if number in (self.arrival, self.death):
            self.happened += 1
        if -1 < self.death <= number:
            raise Killed


def changing(there: Place, step: int, patch: pytest.MonkeyPatch) -> tuple[list[str], bool]:
    """What is wrong when a newer version of the first key arrives right before a step; whether there was that step."""
    ingested, meanwhile = there.ingested(), Meanwhile(there, arrival=step)
    with at_each_step(meanwhile, patch):
        list(there.landing.archive(ingested))
    return lost(there, ingested, LAST if meanwhile.happened else None), bool(meanwhile.happened)


def test_what_arrives_meanwhile_stays_whenever_it_does(
    place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(100):
        wrong, was_step = changing(place(), step, monkeypatch)
        assert not wrong, f"before step {step}"
        if not was_step:
            break
    assert 5 < step < 100


def test_a_delete_without_a_condition_loses_what_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""

    def unlinked(self: FolderLanding, taken: Path) -> str:
        version = folder._version(taken)
        taken.unlink()
        return version

    monkeypatch.setattr(FolderLanding, "_put_back", unlinked)
    found = [
        changing(Folder(open_landing(str(_made(tmp_path / str(step))))), step, monkeypatch)[0] for step in range(12)
    ]
    assert any(found)


def killed(there: Place, step: int, ahead: int | None, patch: pytest.MonkeyPatch) -> tuple[list[str], bool]:
    """What is wrong when archiving is killed before a step, and done again; whether there was that step.

    A newer version arrives so many steps ahead of the death, or (-1) after it, or (None) not at all.
    """
    ingested = there.ingested()
    meanwhile = Meanwhile(there, death=step, arrival=-1 if ahead in (None, -1) else step - ahead)
    with at_each_step(meanwhile, patch), suppress(Killed):
        list(there.landing.archive(ingested))
    if ahead == -1:
        there.newer(KEYS[0], LAST)
    list(there.landing.archive(ingested))
    arrived = ahead is not None and step >= ahead
    wrong = lost(there, ingested, LAST if arrived else None)
    return [line for line in wrong if "/.probe-" not in line], bool(meanwhile.happened)


AHEAD = (None, -1, 0, 1, 2, 3)
IN_SHORT = {("folder", ahead) for ahead in AHEAD} | {("s3", 1)}  # the rest takes long


@pytest.mark.parametrize(
    ("place", "ahead"),
    [
        pytest.param(kind, ahead, marks=[] if (kind, ahead) in IN_SHORT else [pytest.mark.long])
        for kind in ("folder", "s3")
        for ahead in AHEAD
    ],
    indirect=["place"],
)
def test_killed_at_any_step_it_goes_on(
    place: Callable[[], Place], ahead: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(100):
        wrong, was_step = killed(place(), step, ahead, monkeypatch)
        if not was_step:
            break
        assert not wrong, f"before step {step}"
    assert 5 < step < 100


def test_two_at_once_move_each_object_once(place: Callable[[], Place]) -> None:
    there = place()
    objects, others = there.ingested(), open_landing(there.landing.root)
    with ThreadPoolExecutor(2) as pool:
        moved = [*pool.map(lambda landing: list(landing.archive(objects)), (there.landing, others))]
    assert there.bodies() == {f"archive/{landed.key}": FIRST[landed.key] for landed in objects}
    assert {*moved[0], *moved[1]} == {*objects}


def test_what_was_copied_wrongly_stays(place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch) -> None:
    there = place()
    objects = there.ingested()

    def torn(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[::-1])
        os.utime(target, ns=(source.stat().st_mtime_ns,) * 2)

    def torn_on_s3(self: S3Landing, _: str, target: str, *more: object) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=target, Body=b"x" * objects[0].size)

    monkeypatch.setattr(folder.shutil, "copy2", torn)
    monkeypatch.setattr(S3Landing, "_copy", torn_on_s3)
    with suppress(Unreachable):
        assert list(there.landing.archive(objects)) == []
    assert {key: body for key, body in there.bodies().items() if key in FIRST} == FIRST


def test_a_store_that_deletes_whatever_is_there_is_refused(seaweedfs: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint)
    there = Bucket(open_landing(f"s3://{seaweedfs.fresh_bucket()}/in"), seaweedfs.endpoint)
    call = BaseClient._make_api_call

    def careless(self: BaseClient, name: str, how: dict[str, Any]) -> Any:
        return call(self, name, {key: how[key] for key in how if (name, key) != ("DeleteObject", "IfMatch")})

    monkeypatch.setattr(BaseClient, "_make_api_call", careless)
    with pytest.raises(Misconfigured, match="deletes an object although it has changed"):
        list(there.landing.archive(there.ingested()))
    assert there.bodies() == FIRST


# --- processes that are killed ----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_hundred_and_twenty_kills_lose_nothing(place: Callable[[], Place], tmp_path: Path) -> None:
    random, there, newest, caught = Random(1), place(), dict(FIRST), 0
    lake, output = Lake(str(tmp_path / "home" / "lake")), tmp_path / "output.txt"
    settings = {"SHOPWARE_HOME": str(tmp_path / "home"), "SHOPWARE_LANDING": there.landing.root}
    settings |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def changes(key: str) -> None:
        newest[key] = f"{random.random()}\n".encode()
        there.newer(key, newest[key])

    def ingested() -> None:
        objects = [landed for page in there.landing.pages("inventory") for landed in page]
        ingest(lake, there.landing, CONTRACTS["inventory"], objects, engine=PolarsEngine(), start=START)

    times = 100 if isinstance(there, Folder) else 20  # where each takes two seconds
    for kill in range(times):
        for number in range(20):
            key = f"inventory/2025-06-01-00/{kill}-{number}.jsonl"
            there.landing.put(key, b"")
            changes(key)
        ingested()
        wait_for = there.archived() + random.randint(0, 15)
        process = processes.start("archive", "--hours", "0", env=settings, output=output)
        changes(random.choice([*newest]))
        while process.is_alive() and there.archived() < wait_for:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02))
        process.kill()
        process.join()
        caught += process.exitcode != 0
    ingested()
    assert processes.run("archive", "--hours", "0", env=settings, output=output) == 0, output.read_text()
    found = there.bodies()
    assert {key: found.get(f"archive/{key}") for key in newest} == newest
    assert not [key for key in found if key.startswith(("inventory/", "archive/.taken/"))]
    assert caught > times / 2, "most were killed before their end"
