"""Landing: where sources drop objects, a folder or S3. Lists, reads, and for `shopware land` also writes them.

What an object means, and whether it was ingested, is not decided here. Keys are taken as they are, whatever a source
calls its files: one odd name must never hide the others (see docs/adr/0003-landing.md).
"""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resources.settings import Misconfigured, endpoint_setting

LANDED_AT = "shopware-landed-at"
"""Metadata of an object that says when it first landed: one brought back from the archive has it."""

_PAGE = 1000
_CHUNK = 1 << 20
_INCOMING = ".incoming"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH for year in (2, 9999))


@dataclass(frozen=True, order=True)
class Landed:
    """A version of an object in landing: its key below the landing root, etag, time of landing and size in bytes."""

    key: str
    version: str
    landed_at: datetime
    size: int


class Fetched(NamedTuple):
    """An opened object: when this version first landed (its metadata may say), and its bytes in chunks."""

    landed_at: datetime
    chunks: Iterator[bytes]


class Gone(Exception):
    """The object, or this version of it, is no longer in landing."""


class Unreachable(Exception):
    """This object cannot be read though others can; `str(e)` says why."""


class Landing(Protocol):
    """Where sources drop objects."""

    @property
    def root(self) -> str:
        """The address of landing."""
        ...

    def check_readable(self) -> None:
        """Checks, quickly, that landing can be listed.

        Raises:
            Misconfigured: It cannot.
        """
        ...

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        """The objects below the folder `prefix` in pages, in the order of their keys, from the key after `after`.

        Raises:
            Misconfigured: Landing cannot be listed: a failed listing is not an empty one.
        """
        ...

    def find(self, key: str) -> Landed | None:
        """The object as it is now; None if there is none."""
        ...

    def fetch(self, landed: Landed) -> Fetched:
        """Opens this very version.

        Raises:
            Gone: It was deleted or replaced meanwhile; also while its chunks are read.
            Unreachable: It cannot be read though it is there; also while its chunks are read.
        """
        ...

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        """Drops an object as a source would, whole or not at all; `landed_at` backdates it.

        Raises:
            Misconfigured: Landing cannot be written to.
        """
        ...


def open_landing(url: str, encryption: str = "", kms_key: str = "") -> Landing:
    """Landing in a folder or at s3://bucket/prefix.

    Raises:
        Misconfigured: The address is of neither kind.
    """
    if url.startswith("s3://"):
        return S3Landing(url, encryption, kms_key)
    if "://" in url:
        raise Misconfigured(f"SHOPWARE_LANDING is {url!r}, which is neither a folder nor s3://bucket/prefix.")
    return FolderLanding(url)


@dataclass(frozen=True)
class FolderLanding:
    """Objects are the files below a folder; a version is named by time of change and size."""

    root: str

    def check_readable(self) -> None:
        if not Path(self.root).is_dir():
            raise Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, which is not a folder.")

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        self.check_readable()
        keys = sorted(key for key in self._keys(prefix) if key > after)
        for first in range(0, len(keys), _PAGE):
            yield [landed for key in keys[first : first + _PAGE] if (landed := self.find(key))]

    def _keys(self, prefix: str) -> Iterator[str]:
        for folder, _, names in os.walk(os.path.join(self.root, prefix)):
            for name in names:
                yield _spelled(os.path.relpath(os.path.join(folder, name), self.root))

    def find(self, key: str) -> Landed | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        stat = path.stat()
        landed_at = _after_epoch(timedelta(microseconds=stat.st_mtime_ns // 1000))
        return Landed(key, f"{stat.st_mtime_ns:x}-{stat.st_size:x}", landed_at, stat.st_size)

    def _path(self, key: str) -> Path | None:
        path = Path(self.root, key)
        if _spelled(key) == key and os.path.exists(path):  # noqa: PTH110 - Path raises where a name is too long
            return path
        # Names that are not UTF-8, of folders too, are spelled with escapes in its key.
        path = Path(self.root)
        for name in key.split("/"):
            inside = path.iterdir() if path.is_dir() else ()
            found = next((entry for entry in inside if _spelled(entry.name) == name), None)
            if found is None:
                return None
            path = found
        return path

    def fetch(self, landed: Landed) -> Fetched:
        if self.find(landed.key) != landed:
            raise Gone(landed.key)
        return Fetched(landed.landed_at, self._chunks(landed))  # files have no metadata

    def _chunks(self, landed: Landed) -> Iterator[bytes]:
        path = self._path(landed.key)
        if path is None:
            raise Gone(landed.key)
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise Gone(landed.key) from error
        except OSError as error:
            raise Unreachable(error.strerror) from error
        # A file can be written to while it is read: then this version never was.
        if self.find(landed.key) != landed:
            raise Gone(landed.key)

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        target = Path(self.root, key)
        staged = Path(self.root, _INCOMING, uuid.uuid4().hex)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.parent.mkdir(exist_ok=True)
            staged.write_bytes(body)
            if landed_at:
                since = (landed_at - _EPOCH) // timedelta(microseconds=1) * 1000  # exactly: a float would be too short
                os.utime(staged, ns=(since, since))
            staged.replace(target)
        except OSError as error:
            raise Misconfigured(
                f"SHOPWARE_LANDING is {self.root!r}, which cannot be written to: {error.strerror}."
            ) from error


def _spelled(path: str) -> str:
    r"""A path as a key: bytes that are not UTF-8 as `\xff`, and a backslash that looks like one of them as `\x5c`."""
    told_apart = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", path)
    return told_apart.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _after_epoch(since: timedelta) -> datetime:
    """The time, or the nearest of which a day more or less is one too: clocks may say anything."""
    return _EPOCH + min(max(since, _FIRST), _LAST)


@dataclass
class S3Landing:
    """Objects below s3://bucket/prefix; a version is named by its etag."""

    root: str
    encryption: str = ""
    kms_key: str = ""
    _config: Config = field(
        default=Config(connect_timeout=2, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3}),
        repr=False,
        compare=False,
    )

    @cached_property
    def _s3(self) -> Any:
        return boto3.client("s3", config=self._config)

    @property
    def _bucket(self) -> str:
        return urlparse(self.root).netloc

    def _full(self, key: str) -> str:
        prefix = urlparse(self.root).path.strip("/")
        return f"{prefix}/{key}" if prefix else key

    @cached_property
    def _impatient(self) -> Any:
        once = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 1})
        return boto3.client("s3", config=once)

    def check_readable(self) -> None:
        try:
            self._impatient.list_objects_v2(Bucket=self._bucket, Prefix=self._full(""), MaxKeys=1)
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error

    @cached_property
    def _writer(self) -> Any:
        """The client, once it is known that something answers, be it by a refusal: before time is spent on sending."""
        with suppress(ClientError):
            self._impatient.head_bucket(Bucket=self._bucket)
        return self._s3

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        skip = len(self._full(""))
        start = {"StartAfter": self._full(after)} if after else {}
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._full(prefix) + "/", PaginationConfig={"PageSize": _PAGE}, **start
            )
            for page in pages:
                yield [
                    Landed(
                        item["Key"][skip:], item["ETag"].strip('"'), item["LastModified"].astimezone(UTC), item["Size"]
                    )
                    for item in page.get("Contents", ())
                    if not (item["Key"].endswith("/") and item["Size"] == 0)  # a console's idea of a folder
                ]
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error

    def find(self, key: str) -> Landed | None:
        try:
            head = self._s3.head_object(Bucket=self._bucket, Key=self._full(key))
        except ClientError as error:
            if _code(error) == "404":
                return None
            raise self._unusable(error) from error
        except BotoCoreError as error:
            raise self._unusable(error) from error
        return Landed(key, head["ETag"].strip('"'), head["LastModified"].astimezone(UTC), head["ContentLength"])

    def fetch(self, landed: Landed) -> Fetched:
        try:
            got = self._s3.get_object(Bucket=self._bucket, Key=self._full(landed.key), IfMatch=landed.version)
        except ClientError as error:
            if _code(error) in _OF_ALL_OBJECTS:
                raise self._unusable(error) from error
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 412):
                raise Gone(landed.key) from error
            raise Unreachable(str(error)) from error
        except BotoCoreError as error:
            raise self._unusable(error) from error
        return Fetched(_first_landed(got["Metadata"].get(LANDED_AT, "")) or landed.landed_at, self._chunks(got["Body"]))

    @staticmethod
    def _chunks(body: Any) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(_CHUNK)
        except BotoCoreError as error:  # also a body that ends early
            raise Unreachable(str(error)) from error

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        how: dict[str, Any] = {"ServerSideEncryption": self.encryption} if self.encryption else {}
        if self.kms_key:
            how["SSEKMSKeyId"] = self.kms_key
        how["Metadata"] = {LANDED_AT: landed_at.isoformat()} if landed_at else {}
        try:
            self._writer.put_object(Bucket=self._bucket, Key=self._full(key), Body=body, **how)
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: BotoCoreError | ClientError) -> Misconfigured:
        code = _code(error) if isinstance(error, ClientError) else type(error).__name__
        words = {
            "NoSuchBucket": "a bucket that does not exist",
            "404": "a bucket that does not exist",
            "NoCredentialsError": "and no credentials are set (see AWS_ACCESS_KEY_ID)",
            "EndpointConnectionError": f"whose endpoint cannot be reached (see {endpoint_setting('S3')})",
            "ConnectTimeoutError": f"whose endpoint does not answer (see {endpoint_setting('S3')})",
            "ReadTimeoutError": f"whose endpoint does not answer (see {endpoint_setting('S3')})",
            "InvalidAccessKeyId": "which refuses the credentials (see AWS_ACCESS_KEY_ID)",
            "SignatureDoesNotMatch": "which refuses the credentials (see AWS_SECRET_ACCESS_KEY)",
            "AccessDenied": "which denies access to these credentials (see AWS_ACCESS_KEY_ID)",
        }.get(code, f"which cannot be used: {error}")
        return Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, {words}.")


def _first_landed(text: str) -> datetime | None:
    """The time that metadata tell; without a zone it is UTC; None if it is no time."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _after_epoch((told if told.tzinfo else told.replace(tzinfo=UTC)) - _EPOCH)


_OF_ALL_OBJECTS = ("NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]
