"""Landing, a folder and S3 alike: what is listed, read and written, whatever a source calls its files."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from s3transfer.exceptions import S3CopyFailedError

from deploy.stand_ins import S3
from resources.landing import Gone, Landed, Landing, S3Landing, Unreachable, open_landing
from resources.settings import Misconfigured

BODY = b"id\n1\r\n\0\xff"
ODD_KEYS = [
    "orders/a b.csv",
    "orders/a+b.csv",
    "orders/a%20b.csv",
    "orders/100%.csv",
    "orders/grün/Übersicht – ☂😀.csv",
    "orders/e\u0301.csv",
    "orders/é.csv",
    "orders/'\"&<>?#;=*.csv",
    "orders/dt=2025-06-01/hour=07/part-0",
    "orders/..csv",
    "orders/tab\tand\nnewline",
]


@dataclass
class Source:
    """Drops and deletes objects without the product's help."""

    root: str

    def drop(self, key: str, body: bytes = BODY, metadata: dict[str, str] | None = None) -> None:
        if self._bucket:
            self._s3.put_object(Bucket=self._bucket, Key=f"in/{key}", Body=body, Metadata=metadata or {})
        else:
            path = Path(self.root, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def delete(self, key: str) -> None:
        if self._bucket:
            self._s3.delete_object(Bucket=self._bucket, Key=f"in/{key}")
        else:
            Path(self.root, key).unlink()

    def body(self, key: str) -> bytes:
        if self._bucket:
            return self._s3.get_object(Bucket=self._bucket, Key=f"in/{key}")["Body"].read()
        return Path(self.root, key).read_bytes()

    @property
    def _bucket(self) -> str:
        return self.root.removeprefix("s3://").partition("/")[0] if self.root.startswith("s3://") else ""

    @property
    def _s3(self) -> Any:
        return boto3.client("s3")


@pytest.fixture(params=["folder", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    if request.param == "folder":
        return Source(str(tmp_path))
    seaweedfs: S3 = request.getfixturevalue("seaweedfs")
    for name, value in seaweedfs.settings.items():
        monkeypatch.setenv(name, value)
    return Source(f"s3://{seaweedfs.fresh_bucket()}/in")


@pytest.fixture
def landing(source: Source) -> Landing:
    return open_landing(source.root)


def listed(landing: Landing, prefix: str = "orders", after: str = "") -> list[Landed]:
    return [landed for page in landing.pages(prefix, after) for landed in page]


def read(landing: Landing, landed: Landed) -> bytes:
    return b"".join(landing.fetch(landed).chunks)


# --- listing ----------------------------------------------------------------------------------------------------------


def test_every_object_below_the_prefix_is_listed_under_its_name(source: Source, landing: Landing) -> None:
    for key in (*ODD_KEYS, "orders_old/x.csv", "order/x.csv", "other/orders/x.csv"):
        source.drop(key)
    found = {landed.key: landed for landed in listed(landing)}
    assert sorted(found) == sorted(ODD_KEYS)
    for landed in found.values():
        assert landed.size == len(BODY)
        assert landing.find(landed.key) == landed
        assert read(landing, landed) == BODY


def test_pages_come_in_the_order_of_keys_and_go_on_after_any(
    source: Source, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.limits.PAGE", 2)
    keys = [f"orders/{name}" for name in ("10", "9", "A", "a/0", "a/1", "é")]
    for key in reversed(keys):
        source.drop(key)
    pages = [[landed.key for landed in page] for page in landing.pages("orders")]
    assert pages == [keys[:2], keys[2:4], keys[4:]]
    for number, key in enumerate(keys):
        assert [landed.key for landed in listed(landing, after=key)] == keys[number + 1 :]
    assert [landed.key for landed in listed(landing, after="orders/A5")] == keys[3:], "one that is not there"


def test_what_comes_while_pages_are_read_disturbs_nothing(
    source: Source, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.limits.PAGE", 2)
    for name in "abcd":
        source.drop(f"orders/{name}")
    pages = landing.pages("orders")
    next(pages)
    source.delete("orders/c")
    source.drop("orders/a0")
    assert [landed.key for page in pages for landed in page] == ["orders/d"]


def test_nothing_has_landed_yet(landing: Landing) -> None:
    assert listed(landing) == []
    assert landing.find("orders/a") is None
    landing.check_readable()


def test_folders_are_no_objects(source: Source, landing: Landing) -> None:
    if isinstance(landing, S3Landing):
        source.drop("orders/folder/", b"")  # as a console makes one
    else:
        Path(source.root, "orders/folder").mkdir(parents=True)
    assert listed(landing) == []
    assert landing.find("orders/folder") is None


def test_a_name_that_is_not_utf_8_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/orders/gr\xfcn.csv")).write_bytes(BODY)
    landing = open_landing(str(tmp_path))
    (landed,) = listed(landing)
    assert landed.key == "orders/gr\\xfcn.csv"
    assert landing.find(landed.key) == landed
    assert read(landing, landed) == BODY


def test_a_landing_that_is_not_there_is_not_an_empty_one(source: Source) -> None:
    landing = open_landing(f"{source.root}-not-there" if source.root[0] == "/" else "s3://no-such-bucket/in")
    with pytest.raises(Misconfigured, match="SHOPWARE_LANDING is "):
        listed(landing)
    with pytest.raises(Misconfigured, match="SHOPWARE_LANDING is "):
        landing.check_readable()


@pytest.mark.parametrize("url", ["gs://bucket/in", "ftp://host/in"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match=f"SHOPWARE_LANDING is '{url}'"):
        open_landing(url)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 25])
def test_an_object_is_read_in_chunks(
    source: Source, landing: Landing, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.limits.CHUNK", 10)
    body = bytes(range(size))
    source.drop("orders/a", body)
    (landed,) = listed(landing)
    assert landed.size == size
    chunks = list(landing.fetch(landed).chunks)
    assert b"".join(chunks) == body
    assert len(chunks) == -(-size // 10)


def test_an_object_sent_again_is_another_version(source: Source, landing: Landing) -> None:
    source.drop("orders/a", b"first")
    (first,) = listed(landing)
    source.drop("orders/a", b"other")
    (other,) = listed(landing)
    assert (first.key, first.size) == (other.key, other.size)
    assert first.version != other.version
    assert read(landing, other) == b"other"


@pytest.mark.parametrize("change", [Source.delete, lambda source, key: source.drop(key, b"replaced")])
def test_a_version_that_is_no_longer_there_is_gone(
    source: Source, landing: Landing, change: Callable[[Source, str], None]
) -> None:
    source.drop("orders/a")
    (landed,) = listed(landing)
    change(source, "orders/a")
    with pytest.raises(Gone, match="orders/a"):
        read(landing, landed)


@pytest.mark.parametrize("change", [b"written to meanwhile", None])
def test_a_file_that_changes_while_it_is_read_is_gone(
    tmp_path: Path, change: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object on S3 cannot: one answer is one version."""
    monkeypatch.setattr("resources.landing.limits.CHUNK", 2)
    source, landing = Source(str(tmp_path)), open_landing(str(tmp_path))
    source.drop("orders/a")
    chunks = landing.fetch(listed(landing)[0]).chunks
    next(chunks)
    if change is None:
        source.delete("orders/a")
    else:
        source.drop("orders/a", change)
    with pytest.raises(Gone):
        list(chunks)


ANY = Landed("orders/a", "etag", datetime(2025, 6, 1, tzinfo=UTC), 5)


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("NoSuchKey", 404, Gone),
        ("PreconditionFailed", 412, Gone),
        ("InvalidObjectState", 403, Unreachable),  # in the archive
        ("AccessDenied", 403, Unreachable),  # this one, perhaps; others can be read
        ("InternalError", 500, Unreachable),
        ("NoSuchBucket", 404, Misconfigured),
        ("InvalidAccessKeyId", 403, Misconfigured),
        ("ExpiredToken", 400, Misconfigured),
    ],
)
def test_why_an_object_on_s3_is_not_read(code: str, status: int, raised: type[Exception]) -> None:
    landing = S3Landing("s3://bucket/in")
    with Stubber(landing._s3) as stub:
        stub.add_client_error("get_object", code, "why", status)
        with pytest.raises(raised):
            landing.fetch(ANY)


THERE = {"ETag": '"etag"', "ContentLength": 5, "LastModified": ANY.landed_at, "Metadata": {}}


@pytest.mark.parametrize(("code", "status"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409)])
def test_what_lands_while_an_object_comes_back_is_known_by_its_refusal(code: str, status: int) -> None:
    landing = S3Landing("s3://bucket/in")
    with Stubber(landing._s3) as stub, Stubber(landing._creator) as creator:
        for has_landed in (True, False):
            stub.add_response("head_object", THERE)
            stub.add_client_error("head_object", "404", http_status_code=404)
            creator.add_client_error("copy_object", code, "why", status)
            if has_landed:
                stub.add_response("head_object", THERE)
                assert not landing.restore(ANY.key)
        stub.add_client_error("head_object", "404", http_status_code=404)
        with pytest.raises(Misconfigured, match=r"cannot be used: .*why"):
            landing.restore(ANY.key)


def test_an_archived_object_that_changes_while_it_comes_back_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object, **__: object) -> None:
        raise S3CopyFailedError("It did not match the expected ETag.")

    landing = S3Landing("s3://bucket/in")
    monkeypatch.setattr(landing._creator, "copy", changed)
    with Stubber(landing._s3) as stub:
        stub.add_response("head_object", {**THERE, "ContentLength": (5 << 30) + 1})
        stub.add_client_error("head_object", "404", http_status_code=404)
        with pytest.raises(Misconfigured, match=r"cannot be used: It did not match the expected ETag\.$"):
            landing.restore(ANY.key)


def test_an_object_whose_bytes_end_early_cannot_be_reached() -> None:
    landing = S3Landing("s3://bucket/in")
    with Stubber(landing._s3) as stub:
        body = StreamingBody(io.BytesIO(b"abc"), content_length=5)  # type: ignore[no-untyped-call]
        stub.add_response("get_object", {"Body": body, "Metadata": {}})
        with pytest.raises(Unreachable, match=r"3\D+5|5\D+3"):
            read(landing, ANY)


def test_a_file_that_cannot_be_read_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, landing = Source(str(tmp_path)), open_landing(str(tmp_path))
    source.drop("orders/a")
    source.drop("orders/b")
    opened = Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "a":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    a, b = listed(landing)
    with pytest.raises(Unreachable, match="Permission denied"):
        read(landing, a)
    assert read(landing, b) == BODY


# --- times ------------------------------------------------------------------------------------------------------------


def test_an_object_landed_when_it_was_dropped(source: Source, landing: Landing) -> None:
    before = datetime.now(UTC)
    source.drop("orders/a")
    (landed,) = listed(landing)
    assert landed.landed_at.tzinfo is UTC
    assert before - timedelta(seconds=1) <= landed.landed_at <= datetime.now(UTC), "S3 counts in whole seconds"
    assert landing.fetch(landed).landed_at == landed.landed_at


@pytest.mark.parametrize(
    "text", ["2025-03-01T10:00:00.123457+00:00", "2025-03-01T10:00:00.123457Z", "2025-03-01T05:00:00.123457-05:00"]
)
def test_an_object_from_the_archive_says_when_it_first_landed(
    text: str, seaweedfs: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint)
    source = Source(f"s3://{seaweedfs.fresh_bucket()}/in")
    source.drop("orders/a", metadata={"shopware-landed-at": text})
    landing = open_landing(source.root)
    (landed,) = listed(landing)
    assert landed.landed_at > datetime(2025, 6, 1, tzinfo=UTC), "a listing does not know"
    assert landing.fetch(landed).landed_at == datetime(2025, 3, 1, 10, 0, 0, 123457, tzinfo=UTC)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["orders/new folder/ü+%41.csv", "a"])
@pytest.mark.parametrize("body", [b"", BODY])
def test_what_is_put_is_there_whole(source: Source, landing: Landing, key: str, body: bytes) -> None:
    landing.put(key, b"an older version")
    landing.put(key, body)
    assert source.body(key) == body
    landed = landing.find(key)
    assert landed and landed.size == len(body)


@pytest.mark.parametrize("microsecond", [0, 1, 537_092, 999_999])
def test_what_is_put_can_be_backdated(source: Source, landing: Landing, microsecond: int) -> None:
    then = datetime(2025, 6, 1, 13, 25, 16, microsecond, tzinfo=UTC)
    landing.put("orders/a", BODY, then)
    (landed,) = listed(landing)
    assert landing.fetch(landed).landed_at == then


def test_what_is_on_its_way_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = open_landing(str(tmp_path))
    seen: list[list[Landed]] = []
    replace = Path.replace

    def look_first(self: Path, target: Path) -> Path:
        seen.extend([listed(landing), listed(landing, "inventory")])
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look_first)
    landing.put("orders/a", BODY)
    assert seen == [[], []]
    assert [landed.key for landed in listed(landing)] == ["orders/a"]


def test_a_folder_that_cannot_be_written_to_is_named() -> None:
    with pytest.raises(Misconfigured, match="SHOPWARE_LANDING is '/proc/landing', which cannot be written to"):
        open_landing("/proc/landing").put("orders/a", BODY)


def test_what_is_put_is_encrypted_as_set() -> None:
    landing = open_landing("s3://bucket/in", "aws:kms", "key-1")
    assert isinstance(landing, S3Landing)
    expected = {"Bucket": "bucket", "Key": "in/orders/a", "Body": BODY, "Metadata": {}}
    with Stubber(landing._impatient) as look, Stubber(landing._s3) as stub:
        look.add_client_error("head_bucket", http_status_code=403)
        stub.add_response("put_object", {}, {**expected, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"})
        landing.put("orders/a", BODY)
    plain = open_landing("s3://bucket/in")
    assert isinstance(plain, S3Landing)
    with Stubber(plain._impatient) as look, Stubber(plain._s3) as stub:
        look.add_response("head_bucket", {})
        stub.add_response("put_object", {}, expected)
        plain.put("orders/a", BODY)
