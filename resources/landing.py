"""Landing: where sources drop objects, a folder or S3. Lists, reads, and for `shopware land` also writes them.

What an object means, and whether it was ingested, is not decided here. Keys are taken as they are, whatever a source
calls its files: one odd name must never hide the others (see docs/adr/0003-landing.md).
"""

import filecmp
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
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

ARCHIVE = "archive"
"""The folder below the landing root to which objects move whose rows are in bronze; no feed lands there."""

_OLDER = "archive/.older"  # versions of a key that a newer one has followed into the archive
_TAKEN = "archive/.taken"  # files on their way out of a landing folder

_VERSION = "shopware-version"  # metadata of an archived object: the version it had in landing
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

    def archive(self, objects: Iterable[Landed]) -> Iterator[Landed]:
        """Moves these very versions into the archive, and yields each that was: others have changed meanwhile.

        A copy is verified before anything is deleted. Killed in between, it is done again by the next call. Another
        version of a key that is in the archive is kept below `archive/.older`.

        Raises:
            Misconfigured: Landing cannot be written to.
            Unreachable: A copy is not the same.
        """
        ...

    def restore(self, key: str) -> bool:
        """Brings the newest archived version of a key back, as landed when it first did; false if there is none.

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
        for folder, _, names in os.walk(os.path.join(self.root, prefix), onerror=self._unlistable):
            for name in names:
                yield _spelled(os.path.relpath(os.path.join(folder, name), self.root))

    def _unlistable(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a failed listing is not an empty one
            raise Misconfigured(
                f"SHOPWARE_LANDING is {self.root!r}, and {error.filename} cannot be read: {error.strerror}."
            )

    def find(self, key: str) -> Landed | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        stat = path.stat()
        landed_at = _after_epoch(timedelta(microseconds=stat.st_mtime_ns // 1000))
        return Landed(key, _version(path), landed_at, stat.st_size)

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

    def archive(self, objects: Iterable[Landed]) -> Iterator[Landed]:
        try:
            for left in Path(self.root, _TAKEN).rglob("*"):  # by one that was killed
                if left.is_file():
                    self._put_back(left)
            for landed in objects:
                if self._archive(landed):
                    yield landed
        except OSError as error:
            raise self._unwritable(error) from error

    def _archive(self, landed: Landed) -> bool:
        source, target = self._path(landed.key), Path(self.root, ARCHIVE, landed.key)
        if source is None or self.find(landed.key) != landed:
            return False
        copy = Path(self.root, _INCOMING, uuid.uuid4().hex)
        taken = Path(self.root, _TAKEN, os.path.relpath(source, self.root))
        for file in (copy, taken, target):
            file.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(source, copy)
            if _version(copy) != landed.version or not filecmp.cmp(source, copy, shallow=False):
                copy.unlink()
                return False
            if target.exists() and _version(target) != landed.version:
                older = Path(self.root, _OLDER, landed.key, _version(target))
                older.parent.mkdir(parents=True, exist_ok=True)
                target.replace(older)
            copy.replace(target)
            source.rename(taken)
        except FileNotFoundError:
            return False
        return self._put_back(taken) == landed.version

    def _put_back(self, taken: Path) -> str:
        """Deletes a file that was taken from landing, unless it is not what was archived: its version.

        It may have been put there at the last moment. Then it goes back, unless something newer is there again.
        """
        key = taken.relative_to(Path(self.root, _TAKEN))
        archived, source, version = Path(self.root, ARCHIVE, _spelled(str(key))), Path(self.root, key), _version(taken)
        if not (archived.exists() and _version(archived) == version):
            with suppress(FileExistsError):
                os.link(taken, source)
        taken.unlink()
        return version

    def restore(self, key: str) -> bool:
        archived = Path(self.root, ARCHIVE, key)
        if not archived.is_file():
            return False
        target = Path(self.root, key)
        staged = Path(self.root, _INCOMING, uuid.uuid4().hex)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.parent.mkdir(exist_ok=True)
            shutil.copy2(archived, staged)
            staged.replace(target)
        except OSError as error:
            raise self._unwritable(error) from error
        return True

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
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> Misconfigured:
        return Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, which cannot be written to: {error.strerror}.")


def _version(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


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

    @property
    def _encrypted(self) -> dict[str, str]:
        how = {"ServerSideEncryption": self.encryption, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in how.items() if value}

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
        metadata = {LANDED_AT: landed_at.isoformat()} if landed_at else {}
        where = {"Bucket": self._bucket, "Key": self._full(key)}
        try:
            self._writer.put_object(**where, Body=body, Metadata=metadata, **self._encrypted)
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error

    def archive(self, objects: Iterable[Landed]) -> Iterator[Landed]:
        for landed in objects:
            if self._archive(landed):
                yield landed

    def _archive(self, landed: Landed) -> bool:
        source, target = self._full(landed.key), self._full(f"{ARCHIVE}/{landed.key}")
        try:
            head = self._s3.head_object(Bucket=self._bucket, Key=source, IfMatch=landed.version)
            first = _first_landed(head["Metadata"].get(LANDED_AT, "")) or landed.landed_at
            metadata = head["Metadata"] | {LANDED_AT: first.isoformat(), _VERSION: landed.version}
            archived = self._archived(target)
            if archived and archived["Metadata"].get(_VERSION) not in (landed.version, None):
                older = self._full(f"{_OLDER}/{landed.key}/{archived['Metadata'][_VERSION]}")
                self._copy(target, older, archived["ETag"], archived["Metadata"])
            self._copy(source, target, head["ETag"], metadata)
            self._verify(source, target, head)
            self._s3.delete_object(Bucket=self._bucket, Key=source, IfMatch=landed.version)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 412) and _code(error) != "NoSuchBucket":
                return False
            raise self._unusable(error) from error
        except BotoCoreError as error:
            raise self._unusable(error) from error
        return True

    def _archived(self, target: str) -> Any:
        try:
            return self._s3.head_object(Bucket=self._bucket, Key=target)
        except ClientError as error:
            if _code(error) == "404":
                return None
            raise

    def _copy(self, source: str, target: str, etag: str, metadata: dict[str, str]) -> None:
        """In parts where it is too large for one request."""
        how = {"CopySourceIfMatch": etag, "Metadata": metadata, "MetadataDirective": "REPLACE", **self._encrypted}
        self._s3.copy({"Bucket": self._bucket, "Key": source}, self._bucket, target, ExtraArgs=how)

    def _verify(self, source: str, target: str, head: Any) -> None:
        """Compares size and, where the etag is not a checksum of the whole (parts, KMS), the content."""
        copy = self._s3.head_object(Bucket=self._bucket, Key=target)
        if copy["ContentLength"] == head["ContentLength"] and copy["ETag"] == head["ETag"]:
            return
        if copy["ContentLength"] != head["ContentLength"] or self._digest(source) != self._digest(target):
            raise Unreachable(f"its copy {target} is not the same")

    def _digest(self, key: str) -> str:
        body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        return hashlib.file_digest(body, "sha256").hexdigest()

    def restore(self, key: str) -> bool:
        try:
            archived = self._archived(self._full(f"{ARCHIVE}/{key}"))
            if archived is None:
                return False
            target = self._full(f"{ARCHIVE}/{key}")
            self._copy(target, self._full(key), archived["ETag"], archived["Metadata"])
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error
        return True

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
