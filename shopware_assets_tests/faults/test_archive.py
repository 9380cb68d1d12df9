"""Archiving: what is in bronze moves, what arrives meanwhile stays; whatever kills it, nothing is lost or doubled."""

import errno
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
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from deploy.stand_ins import S3, client
from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import Landed, Landing, S3Landing, folder, open_landing
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

    def listed(self) -> list[Landed]:
        return [landed for page in self.landing.pages("inventory") for landed in page]

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
        return {key: body for key, body in found.items() if key != "archive/.lock"}

    def newer(self, key: str, body: bytes) -> None:
        staged = Path(self.landing.root, "staged")
        staged.write_bytes(body)
        os.replace(staged, Path(self.landing.root, key))  # noqa: PTH105 - tests interrupt Path's


class Links(Folder):
    """What arrives is a link to a file elsewhere."""

    def newer(self, key: str, body: bytes) -> None:
        root, staged = Path(self.landing.root), Path(self.landing.root, "staged")
        (root / "elsewhere").write_bytes(body)
        staged.symlink_to(os.path.relpath(root / "elsewhere", (root / key).parent))
        os.replace(staged, root / key)  # noqa: PTH105 - tests interrupt Path's


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
    if request.param in ("folder", "links"):
        numbers, kind = iter(range(10_000)), {"folder": Folder, "links": Links}[request.param]
        return lambda: kind(open_landing(str(_made(tmp_path / str(next(numbers))))))
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


def moved(landing: Landing, objects: list[Landed]) -> list[Landed]:
    """Archives them: which moved. There is none that cannot be."""
    outcomes = [*landing.archive(objects)]
    assert not [(landed.key, why) for landed, why in outcomes if why]
    return [landed for landed, _ in outcomes]


def test_what_is_in_bronze_moves_and_is_left_alone_afterwards(place: Callable[[], Place]) -> None:
    there = place()
    objects = there.ingested()
    kept = objects[-1].key
    assert moved(there.landing, objects[:-1]) == objects[:-1]
    archived = {f"archive/{landed.key}": FIRST[landed.key] for landed in objects[:-1]}
    assert there.bodies() == archived | {kept: FIRST[kept]}
    assert moved(there.landing, objects[:-1]) == [], "never twice"
    assert there.bodies() == archived | {kept: FIRST[kept]}


def test_what_is_brought_back_landed_when_it_first_did(place: Callable[[], Place]) -> None:
    there = place()
    before = {landed.key: there.landing.fetch(landed).landed_at for landed in there.ingested()}
    moved(there.landing, there.ingested())
    assert there.landing.restore(KEYS[0])
    (back,) = there.ingested()
    assert there.landing.fetch(back).landed_at == before[back.key]
    assert there.bodies()[back.key] == FIRST[back.key]
    assert not there.landing.restore("inventory/never was")


def test_nothing_in_landing_is_replaced_by_what_comes_back(place: Callable[[], Place]) -> None:
    there = place()
    list(there.landing.archive(there.ingested()))
    there.newer(KEYS[0], LAST)
    assert not there.landing.restore(KEYS[0])
    assert there.bodies()[KEYS[0]] == LAST


def test_nor_is_what_a_killed_archiving_had_taken_out(tmp_path: Path) -> None:
    there = Folder(open_landing(str(_made(tmp_path / "landing"))))
    list(there.landing.archive(there.ingested()))
    taken = tmp_path / "landing/archive/.taken" / KEYS[0]
    taken.write_bytes(LAST)
    assert not there.landing.restore(KEYS[0])
    assert there.bodies()[KEYS[0]] == LAST
    assert not taken.exists()


def test_a_file_that_goes_while_it_is_looked_at_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Folder(open_landing(str(_made(tmp_path / "landing"))))
    find = FolderLanding._path

    def goes(self: FolderLanding, key: str) -> Path | None:
        path = find(self, key)
        if path and key == KEYS[0]:
            path.unlink()
        return path

    monkeypatch.setattr(FolderLanding, "_path", goes)
    assert [landed.key for page in there.landing.pages("inventory") for landed in page] == KEYS[1:]


def test_versions_of_a_key_are_all_kept(place: Callable[[], Place]) -> None:
    there = place()
    moved(there.landing, there.ingested())
    for body in (BETWEEN, LAST):
        there.newer(KEYS[0], body)
        moved(there.landing, there.ingested())
    found = there.bodies()
    assert found[f"archive/{KEYS[0]}"] == LAST
    older = [body for key, body in found.items() if key.startswith(f"archive/.older/{KEYS[0]}/")]
    assert sorted(older) == sorted([FIRST[KEYS[0]], BETWEEN])


def test_another_content_of_one_name_time_and_size_is_kept_too(tmp_path: Path) -> None:
    there = Folder(open_landing(str(_made(tmp_path / "landing"))))
    time_of_both = Path(there.landing.root, KEYS[0]).stat().st_mtime_ns
    moved(there.landing, there.ingested())
    other = FIRST[KEYS[0]][::-1]
    there.newer(KEYS[0], other)
    os.utime(Path(there.landing.root, KEYS[0]), ns=(time_of_both, time_of_both))
    moved(there.landing, there.ingested())
    kept = [body for key, body in there.bodies().items() if KEYS[0] in key]
    assert sorted(kept) == sorted([FIRST[KEYS[0]], other])


def test_what_was_taken_and_has_a_newer_version_by_now_is_kept(tmp_path: Path) -> None:
    there = Folder(open_landing(str(_made(tmp_path / "landing"))))
    taken = Path(there.landing.root, folder._TAKEN, KEYS[0])
    taken.parent.mkdir(parents=True)
    taken.write_bytes(BETWEEN)
    moved(there.landing, there.ingested())
    assert {BETWEEN, FIRST[KEYS[0]]} == {body for key, body in there.bodies().items() if KEYS[0] in key}


def test_what_was_put_back_before_a_kill_is_no_older_version(tmp_path: Path) -> None:
    there = Folder(open_landing(str(_made(tmp_path / "landing"))))
    taken = Path(there.landing.root, folder._TAKEN, KEYS[0])
    taken.parent.mkdir(parents=True)
    taken.hardlink_to(Path(there.landing.root, KEYS[0]))
    moved(there.landing, there.ingested())
    assert [key for key in there.bodies() if KEYS[0] in key] == [f"archive/{KEYS[0]}"]


@pytest.mark.parametrize("place", ["folder", "links", "s3"], indirect=True)
def test_what_lands_while_an_object_comes_back_stays_whenever_it_does(
    place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(20):
        there = place()
        moved(there.landing, there.ingested())
        archived, meanwhile = there.bodies(), Meanwhile(there, arrival=step)
        with at_each_step(meanwhile, monkeypatch):
            is_back = there.landing.restore(KEYS[0])
        if not meanwhile.happened:
            break
        found = there.bodies()
        assert found.pop(KEYS[0]) == LAST, f"before step {step}"
        assert {key: found.get(key) for key in archived} == archived
        assert is_back is not meanwhile.had_left
    assert is_back and 1 < step < 20


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_nor_is_it_replaced_by_what_comes_back_in_parts(
    place: Callable[[], Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place()
    there.newer(KEYS[0], Random(1).randbytes(9 << 20))
    moved(there.landing, there.ingested())
    monkeypatch.setattr("resources.landing.s3._AT_A_TIME", 0)

    def lands(name: str, key: str) -> None:
        if name == "CompleteMultipartUpload":
            there.newer(KEYS[0], LAST)

    with calls_of_s3(lands, monkeypatch):
        assert not there.landing.restore(KEYS[0])
    assert there.bodies()[KEYS[0]] == LAST
    there.s3.delete_object(Bucket=there.bucket, Key=f"{there.prefix}/{KEYS[0]}")
    assert there.landing.restore(KEYS[0]), "the control: nothing lands"


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_what_an_object_says_of_itself_stays(place: Callable[[], Bucket]) -> None:
    there = place()
    said = {"ContentType": "text/csv", "ContentEncoding": "gzip"}
    there.s3.put_object(Bucket=there.bucket, Key=f"{there.prefix}/{KEYS[0]}", Body=LAST, Metadata={"by": "us"}, **said)
    moved(there.landing, there.ingested())
    archived = there.s3.head_object(Bucket=there.bucket, Key=f"{there.prefix}/archive/{KEYS[0]}")
    assert there.landing.restore(KEYS[0])
    for head in (archived, there.s3.head_object(Bucket=there.bucket, Key=f"{there.prefix}/{KEYS[0]}")):
        assert {name: head[name] for name in said} == said
        assert head["Metadata"]["by"] == "us"


@dataclass
class Meanwhile:
    """What happens at a step: `arrival`, a newer version of the first key arrives; `death`, the process ends."""

    there: Place
    arrival: int = -1
    death: int = -1
    happened: int = 0
    has_arrived: bool = False
    had_left: bool = False  # what was there first, when the newer one arrived
    _is_inside: bool = False

    def arrives(self) -> None:
        self.had_left = self.there.landing.find(KEYS[0]) is None
        self.there.newer(KEYS[0], LAST)
        self.has_arrived = True

    def __call__(self, number: int) -> None:
        if self._is_inside:  # what arrives makes steps too
            return
        if number == self.arrival:
            self._is_inside = True
            self.arrives()
            self._is_inside = False
        if number in (self.arrival, self.death):
            self.happened += 1
        if -1 < self.death <= number:
            raise Killed


def lost(meanwhile: Meanwhile, ingested: list[Landed]) -> list[str]:
    """What is wrong once archiving is over; what has arrived meanwhile is not in bronze."""
    found = meanwhile.there.bodies()
    wrong = [f"{key} is left" for key in found if any(way in key for way in (".taken/", ".incoming/", ".probe-"))]
    for landed in ingested:
        archived, here = (found.get(key) == FIRST[landed.key] for key in (f"archive/{landed.key}", landed.key))
        if not (meanwhile.has_arrived and landed.key == KEYS[0]):
            wrong += [f"{landed.key} is in {found}"] if archived == here else []
        elif found.get(KEYS[0]) != LAST:
            wrong.append(f"{KEYS[0]} is {found.get(KEYS[0])!r}")
        elif meanwhile.had_left and not archived:
            wrong.append(f"{KEYS[0]} was moved, and archived is {found.get(f'archive/{KEYS[0]}')!r}")
    return wrong


def changing(there: Place, step: int, patch: pytest.MonkeyPatch) -> tuple[list[str], bool]:
    """What is wrong when a newer version of the first key arrives right before a step; whether there was that step."""
    ingested, meanwhile = there.ingested(), Meanwhile(there, arrival=step)
    with at_each_step(meanwhile, patch):
        moved(there.landing, ingested)
    return lost(meanwhile, ingested), bool(meanwhile.happened)


@pytest.mark.parametrize("place", ["folder", "links", "s3"], indirect=True)
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

    def unlinked(self: FolderLanding, taken: Path) -> bool:
        taken.unlink()
        return True

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
        moved(there.landing, ingested)
    if ahead == -1:
        meanwhile.arrives()
    moved(there.landing, ingested)
    wrong = lost(meanwhile, ingested)
    return [line for line in wrong if "/.probe-" not in line], bool(meanwhile.happened)


AHEAD = (None, -1, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("place", "ahead"),
    [
        pytest.param(kind, ahead, marks=[pytest.mark.long] if kind == "s3" else [])
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
        one, other = pool.map(lambda landing: moved(landing, objects), (there.landing, others))
    assert there.bodies() == {f"archive/{landed.key}": FIRST[landed.key] for landed in objects}
    assert sorted(one + other) == objects


def test_what_was_copied_wrongly_stays(place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch) -> None:
    there = place()
    objects, copy2, copy = there.ingested(), shutil.copy2, S3Landing._copy

    def torn(source: Path, target: Path) -> None:
        copy2(source, target)
        if str(source).endswith(KEYS[0]):
            target.write_bytes(source.read_bytes()[::-1])
            os.utime(target, ns=(source.stat().st_mtime_ns,) * 2)

    def torn_on_s3(self: S3Landing, source: str, target: str, *more: Any) -> None:
        copy(self, source, target, *more)
        if source.endswith(KEYS[0]):
            self._s3.put_object(Bucket=self._bucket, Key=target, Body=b"x" * objects[0].size)

    monkeypatch.setattr(folder.shutil, "copy2", torn)
    monkeypatch.setattr(S3Landing, "_copy", torn_on_s3)
    assert [*there.landing.archive(objects)] == [(objects[0], "its copy is not the same"), (objects[1], "")]
    found = there.bodies()
    assert found[KEYS[0]] == FIRST[KEYS[0]]
    assert found[f"archive/{KEYS[1]}"] == FIRST[KEYS[1]]


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


# --- what cannot be moved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("inventory/a", "inventory/a/b"), ("inventory/a/b", "inventory/a")])
def test_a_name_that_was_a_folder_s_stops_no_other(first: str, second: str, tmp_path: Path) -> None:
    there = Folder(open_landing(str(tmp_path)))
    others = there.ingested()
    there.landing.put(first, BETWEEN)
    moved(there.landing, [landed for landed in there.listed() if landed not in others])
    shutil.rmtree(tmp_path / "inventory/a", ignore_errors=True)
    there.landing.put(second, LAST)
    (stuck, why), *rest = there.landing.archive(reversed(there.listed()))
    assert stuck.key == second
    assert str(tmp_path / "archive/inventory/a") in why
    assert sorted(rest) == [(landed, "") for landed in others]
    archived = {f"archive/{key}": body for key, body in FIRST.items()}
    assert there.bodies() == archived | {f"archive/{first}": BETWEEN, second: LAST}


def test_a_link_stays_where_it_is(tmp_path: Path) -> None:
    there = Links(open_landing(str(tmp_path)))
    there.newer(KEYS[0], LAST)
    objects = there.ingested()
    assert moved(there.landing, objects) == objects[1:]
    assert there.bodies() == {"elsewhere": LAST, KEYS[0]: LAST, f"archive/{KEYS[1]}": FIRST[KEYS[1]]}


def test_what_was_taken_and_cannot_go_back_stops_no_other(tmp_path: Path) -> None:
    there, taken = Folder(open_landing(str(tmp_path))), tmp_path / "archive/.taken/inventory"
    for file in (taken / "a", taken / "b/c"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(BETWEEN)
    (tmp_path / "inventory/a").mkdir()
    objects = there.ingested()
    (stuck, why), *others = there.landing.archive(objects)
    assert (stuck.key, stuck.size) == ("inventory/a", len(BETWEEN))
    assert str(tmp_path / "inventory/a") in why
    assert others == [(landed, "") for landed in objects]
    archived = {f"archive/{key}": body for key, body in FIRST.items()}
    assert there.bodies() == archived | {"archive/.taken/inventory/a": BETWEEN, "inventory/b/c": BETWEEN}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENAMETOOLONG])
def test_a_file_that_cannot_be_copied_stops_no_other(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, copy2 = Folder(open_landing(str(tmp_path))), shutil.copy2

    def refused(source: Path, target: Path) -> Any:
        if str(source).endswith(KEYS[0]):
            raise OSError(number, os.strerror(number))
        return copy2(source, target)

    monkeypatch.setattr(folder.shutil, "copy2", refused)
    objects = there.ingested()
    (stuck, why), other = there.landing.archive(objects)
    assert (stuck, other) == (objects[0], (objects[1], ""))
    assert os.strerror(number) in why


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_takes_nothing_is_said_at_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Folder(open_landing(str(tmp_path)))

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder.shutil, "copy2", full)
    with pytest.raises(Misconfigured, match=f"cannot be written to: {os.strerror(number)}"):
        list(there.landing.archive(there.ingested()))
    assert there.bodies() == FIRST


def answered(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "CopyObject")  # type: ignore[typeddict-item]


@contextmanager
def calls_of_s3(meanwhile: Callable[[str, str], None], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls `meanwhile` with the name of each call to S3 that is about to be made, and its key."""
    call = BaseClient._make_api_call

    def told(self: BaseClient, name: str, how: dict[str, Any]) -> Any:
        meanwhile(name, how.get("Key", ""))
        return call(self, name, how)

    with patch.context() as inside:
        inside.setattr(BaseClient, "_make_api_call", told)
        yield


@pytest.mark.parametrize("place", ["s3"], indirect=True)
@pytest.mark.parametrize(
    "error", [answered("AccessDenied", 403), answered("InternalError", 500), ReadTimeoutError(endpoint_url="http://s3")]
)
def test_an_object_that_s3_does_not_copy_stops_no_other(
    place: Callable[[], Place], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place()

    def refused(name: str, key: str) -> None:
        if name == "CopyObject" and key.endswith(KEYS[0]):
            raise error

    objects = there.ingested()
    with calls_of_s3(refused, monkeypatch):
        assert [*there.landing.archive(objects)] == [(objects[0], str(error)), (objects[1], "")]
    assert there.bodies() == {KEYS[0]: FIRST[KEYS[0]], f"archive/{KEYS[1]}": FIRST[KEYS[1]]}


@pytest.mark.parametrize("place", ["s3"], indirect=True)
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (answered("NoSuchBucket", 404), "does not exist"),
        (answered("ExpiredToken", 400), "ExpiredToken"),
        (EndpointConnectionError(endpoint_url="http://s3"), "cannot be reached"),
    ],
)
def test_a_bucket_that_is_gone_is_said_at_once(
    place: Callable[[], Place], error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place()

    def gone(name: str, _: str) -> None:
        if name in ("CopyObject", "ListObjectsV2"):
            raise error

    objects = there.ingested()
    with calls_of_s3(gone, monkeypatch), pytest.raises(Misconfigured, match=says):
        list(there.landing.archive(objects))
    assert there.bodies() == FIRST


# --- large objects ----------------------------------------------------------------------------------------------------


def calls_for_nine_mebibytes(there: Place, patch: pytest.MonkeyPatch) -> tuple[list[str], bool]:
    """What S3 is asked to archive such an object; whether it is the same version when it is back."""
    body, calls = Random(1).randbytes(9 << 20), []
    there.landing.put(KEYS[0], body)
    large, small = there.ingested()
    moved(there.landing, [small])  # which first asks what the store can do
    with calls_of_s3(lambda name, _: calls.append(name), patch):
        assert moved(there.landing, [large]) == [large]
    assert there.bodies() == {f"archive/{KEYS[0]}": body, f"archive/{KEYS[1]}": FIRST[KEYS[1]]}
    there.landing.restore(KEYS[0])
    assert there.bodies()[KEYS[0]] == body
    return calls, there.ingested()[0].version == large.version


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_large_object_comes_back_as_the_version_it_was(
    place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    five = ["HeadObject", "HeadObject", "CopyObject", "HeadObject", "DeleteObject"]
    assert calls_for_nine_mebibytes(place(), monkeypatch) == (five, True)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_one_too_large_for_a_request_moves_in_parts(
    place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.s3._AT_A_TIME", (9 << 20) - 1)
    calls, is_same = calls_for_nine_mebibytes(place(), monkeypatch)
    assert "UploadPartCopy" in calls
    assert "GetObject" in calls, "its etag is no checksum: contents are compared"
    assert not is_same


# --- processes that are killed ----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_hundred_and_ten_kills_lose_nothing(place: Callable[[], Place], tmp_path: Path) -> None:
    random, there, newest, caught = Random(1), place(), dict(FIRST), 0
    lake, output = Lake(str(tmp_path / "home" / "lake")), tmp_path / "output.txt"
    settings = {"SHOPWARE_HOME": str(tmp_path / "home"), "SHOPWARE_LANDING": there.landing.root}
    settings |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def changes(key: str) -> None:
        newest[key] = f"{random.random()}\n".encode()
        there.newer(key, newest[key])

    def ingested() -> None:
        ingest(lake, there.landing, CONTRACTS["inventory"], there.listed(), engine=PolarsEngine(), start=START)

    times = 100 if isinstance(there, Folder) else 10  # where each takes two seconds
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
    assert not [key for key in found if key.startswith("inventory/") or ".taken/" in key or ".incoming/" in key]
    assert caught > times / 2, "most were killed before their end"
