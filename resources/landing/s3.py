"""S3 as landing."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from typing import Any
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import S3CopyFailedError

from resources.landing import limits
from resources.landing.objects import (
    ARCHIVE,
    EPOCH,
    OLDER,
    Fetched,
    Gone,
    Landed,
    Unreachable,
    after_epoch,
)
from resources.settings import Misconfigured, endpoint_setting

LANDED_AT = "shopware-landed-at"
"""Metadata of an object that says when it first landed: one brought back from the archive has it."""

_AT_ONCE = 8  # objects that are archived side by side: of each, most of the time is waiting
_AT_A_TIME = 5 << 30  # bytes that a store copies by one request, which keeps the etag; parts do not
_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")
_VERSION = "shopware-version"  # metadata of an archived object: the version it had in landing


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
                Bucket=self._bucket,
                Prefix=self._full(prefix) + "/",
                PaginationConfig={"PageSize": limits.PAGE},
                **start,
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
            if _is_other_version(error):
                raise Gone(landed.key) from error
            raise Unreachable(str(error)) from error
        except BotoCoreError as error:
            raise self._unusable(error) from error
        return Fetched(_first_landed(got["Metadata"].get(LANDED_AT, "")) or landed.landed_at, self._chunks(got["Body"]))

    @staticmethod
    def _chunks(body: Any) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(limits.CHUNK)
        except BotoCoreError as error:  # also a body that ends early
            raise Unreachable(str(error)) from error

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        metadata = {LANDED_AT: landed_at.isoformat()} if landed_at else {}
        where = {"Bucket": self._bucket, "Key": self._full(key)}
        try:
            self._writer.put_object(**where, Body=body, Metadata=metadata, **self._encrypted)
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error

    def archive(self, objects: Iterable[Landed]) -> Iterator[tuple[Landed, str]]:
        objects = iter(objects)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while todo := list(islice(objects, limits.PAGE)):
                for landed, why in zip(todo, pool.map(partial(self._archive, self._remover), todo), strict=True):
                    if why is not None:
                        yield landed, why

    @cached_property
    def _remover(self) -> Any:
        """The client, once it is known that the store deletes on a condition."""
        probe = {"Bucket": self._bucket, "Key": self._full(f"{ARCHIVE}/.probe-{uuid.uuid4().hex}")}
        try:
            self._writer.put_object(**probe, Body=b"", **self._encrypted)
            try:
                self._s3.delete_object(**probe, IfMatch=f'"{uuid.uuid4().hex}"')
            except ClientError as error:
                if not _is_other_version(error):
                    raise
                self._s3.delete_object(**probe)
                return self._s3
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error
        raise Misconfigured(
            f"SHOPWARE_LANDING is {self.root!r}, whose store deletes an object although it has changed: nothing that "
            "arrives meanwhile would be safe from being archived."
        )

    def _archive(self, remover: Any, landed: Landed) -> str | None:
        """Why it cannot be moved; "" if it was, None if it has changed."""
        source, target = self._full(landed.key), self._full(f"{ARCHIVE}/{landed.key}")
        try:
            head = self._s3.head_object(Bucket=self._bucket, Key=source, IfMatch=landed.version)
            first = _first_landed(head["Metadata"].get(LANDED_AT, "")) or landed.landed_at
            metadata = head["Metadata"] | {LANDED_AT: first.isoformat(), _VERSION: landed.version}
            archived = self._archived(target)
            before = archived and archived["Metadata"].get(_VERSION, archived["ETag"].strip('"'))
            if before not in (landed.version, None):
                older = self._full(f"{OLDER}/{landed.key}/{before}")
                self._copy(target, older, archived, archived["Metadata"], self._s3)
            self._copy(source, target, head, metadata, self._s3)
            if not self._is_same(source, target, head):
                return "its copy is not the same"
            remover.delete_object(Bucket=self._bucket, Key=source, IfMatch=landed.version)
        except (BotoCoreError, ClientError, S3CopyFailedError) as error:
            if isinstance(error, ClientError) and _is_other_version(error):
                return None
            self.check_readable()  # if landing as a whole is well, it is this object that is not
            return str(error)
        return ""

    def _archived(self, target: str) -> Any:
        try:
            return self._s3.head_object(Bucket=self._bucket, Key=target)
        except ClientError as error:
            if _code(error) == "404":
                return None
            raise

    @cached_property
    def _creator(self) -> Any:
        """A client whose copies replace no object, unless the store ignores the condition. (boto3's copy in parts takes
        none by itself.)"""
        creator = boto3.client("s3", config=self._config)
        for operation in ("CopyObject", "CompleteMultipartUpload"):
            creator.meta.events.register(f"provide-client-params.s3.{operation}", _if_there_is_none)
        return creator

    def _copy(self, source: str, target: str, head: Any, metadata: dict[str, str], copier: Any) -> None:
        where = {"Bucket": self._bucket, "Key": source}
        how = {"CopySourceIfMatch": head["ETag"], "Metadata": metadata, "MetadataDirective": "REPLACE"}
        how |= {name: head[name] for name in _HEADERS if name in head}  # replaced with the metadata, else
        if head["ContentLength"] <= _AT_A_TIME:
            copier.copy_object(Bucket=self._bucket, Key=target, CopySource=where, **how, **self._encrypted)
        else:
            copier.copy(where, self._bucket, target, ExtraArgs=how | self._encrypted)

    def _is_same(self, source: str, target: str, head: Any) -> bool:
        """Compares size and, where the etag is not a checksum of the whole (parts, KMS), the content."""
        copy = self._s3.head_object(Bucket=self._bucket, Key=target)
        is_as_long, is_summed = (copy[name] == head[name] for name in ("ContentLength", "ETag"))
        return is_as_long and (is_summed or self._digest(source, head) == self._digest(target, copy))

    def _digest(self, key: str, head: Any) -> str:
        body = self._s3.get_object(Bucket=self._bucket, Key=key, IfMatch=head["ETag"])["Body"]
        return hashlib.file_digest(body, "sha256").hexdigest()

    def restore(self, key: str) -> bool:
        source = self._full(f"{ARCHIVE}/{key}")
        try:
            archived = self._archived(source)
            if archived is None or self.find(key):
                return False
            self._copy(source, self._full(key), archived, archived["Metadata"], self._creator)
        except (BotoCoreError, ClientError, S3CopyFailedError) as error:
            if isinstance(error, ClientError) and _is_other_version(error) and self.find(key):
                return False  # it has landed meanwhile
            raise self._unusable(error) from error
        return True

    def _unusable(self, error: BotoCoreError | ClientError | S3CopyFailedError) -> Misconfigured:
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
        }.get(code, f"which cannot be used: {str(error).rstrip('.')}")
        return Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, {words}.")


def _if_there_is_none(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    return params | {"IfNoneMatch": "*"}


def _first_landed(text: str) -> datetime | None:
    """The time that metadata tell; without a zone it is UTC; None if it is no time."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return after_epoch((told if told.tzinfo else told.replace(tzinfo=UTC)) - EPOCH)


_OF_ALL_OBJECTS = ("NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")


def _is_other_version(error: ClientError) -> bool:
    """Whether an object is not, or no longer, the version that was asked for, or is being changed."""
    if _code(error) == "ConditionalRequestConflict":
        return True
    return error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 412) and _code(error) not in _OF_ALL_OBJECTS


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]
