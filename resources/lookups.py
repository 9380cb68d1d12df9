"""DynamoDB as the key-value store that applications read.

Here: making the items of one day in a lookup table exactly the ones given, and never an older computation over a newer
one. Not here: which items those are (gold and serving/), and when they are served (the sensors).

Each day of a table has an item in the control table: the version served and the keys it has. So an item which gold no
longer has is found without a scan, and served items hold nothing but what the contract names. A day of up to 99 changes
is one transaction with its control item. A longer one first records the new version with the old and the new keys, goes
on in transactions that hold only while that record stands, and ends by marking it complete: a kill in between leaves
what a re-run of this version, or a newer one, completes, and an older one can never come between.
"""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar
from uuid import uuid4

import boto3
import dagster as dg
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from pydantic import Field

from resources.settings import Misconfigured, endpoint_setting

RETRIES = 3
_CHANGES = 99  # TransactWriteItems takes 100 actions; one is the control item's
_KEY_BYTES = (2048, 1024)  # of a partition key and of a sort key
_PASSING = {
    "ProvisionedThroughputExceeded",  # the reason of one action in a cancelled transaction
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",  # as above
    "ThrottlingException",
    "TransactionConflict",  # as above
    "TransactionInProgressException",
}

Version = tuple[str, int]
"""Id of the gold table in the lake, and its Delta version: it grows within one id; another id is a rebuilt lake."""

T = TypeVar("T")
_Attributes = dict[str, dict[str, Any]]  # as DynamoDB writes them: {"order_date": {"S": "2025-01-01"}}
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class Unfit(ValueError):
    """An item that its table cannot hold."""


class NotServed(Exception):
    """DynamoDB did not do what was asked, also after retries. Names the table, the day and what to do."""


@dataclass(frozen=True)
class LookupTable:
    """A DynamoDB table whose key attributes, all text, include the day (`YYYY-MM-DD`) that an item belongs to."""

    name: str
    partition_key: str
    sort_key: str | None
    day_column: str

    def __post_init__(self) -> None:
        if self.day_column not in self.key:
            raise ValueError(f"{self.name}: the day, {self.day_column}, must be part of the key {self.key}")

    @property
    def key(self) -> list[str]:
        return [self.partition_key, self.sort_key] if self.sort_key else [self.partition_key]

    @property
    def member(self) -> str:
        """The key attribute that tells the items of a day apart (the day itself where a day is one item)."""
        return next((name for name in self.key if name != self.day_column), self.day_column)


CONTROL = LookupTable("shopware_serving", partition_key="served_table", sort_key="served_day", day_column="served_day")


@dataclass(frozen=True)
class Published:
    """What serving a day did: items put, items deleted; or nothing, refused, because a newer version is there."""

    put: int
    deleted: int
    refused: bool = False


class Lookups(dg.ConfigurableResource):
    """The lookup tables of one account or stand-in, reached through the standard AWS variables
    (`AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`, `AWS_DEFAULT_REGION`, credentials)."""

    retry_seconds: float = Field(
        default=0.5, description="Longest wait before the first of three retries; it doubles with each. Full jitter."
    )

    @cached_property
    def client(self) -> Any:
        """Made at first use. A call is tried once: retries are counted here, and botocore's would multiply them."""
        once = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1, read_timeout=10)
        return boto3.session.Session().client("dynamodb", config=once)

    def check_endpoint(self) -> None:
        """Checks, in seconds, that something answers where a setting says that DynamoDB is.

        Raises:
            Misconfigured: Nothing does, or it cannot be asked with these credentials.
        """
        setting = endpoint_setting("DYNAMODB")
        if not os.environ.get(setting):
            return
        quick = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=2, read_timeout=4)
        try:
            with suppress(ClientError):  # which is an answer
                boto3.session.Session().client("dynamodb", config=quick).list_tables(Limit=1)
        except (ConnectionError, HTTPClientError) as error:
            raise Misconfigured(f"{setting} is {os.environ[setting]!r}, where no DynamoDB answers.") from error
        except BotoCoreError as error:
            why = str(error).rstrip(".")
            raise Misconfigured(
                f"{setting} is {os.environ[setting]!r}, where DynamoDB cannot be asked: {why} (see AWS_ACCESS_KEY_ID)."
            ) from error

    def ensure(self, table: LookupTable) -> None:
        """Makes `table` and the control table where absent, and waits until they can be used. For local and test:
        elsewhere they are infrastructure.

        Raises:
            NotServed: DynamoDB refuses, or the table is there with another key.
        """
        for each in (table, CONTROL):
            kinds = zip(each.key, ("HASH", "RANGE"), strict=False)
            schema = [{"AttributeName": name, "KeyType": kind} for name, kind in kinds]
            with _explained(f"The table {each.name} could not be made"):
                with suppress(self.client.exceptions.ResourceInUseException):
                    self.client.create_table(
                        TableName=each.name,
                        KeySchema=schema,
                        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in each.key],
                        BillingMode="PAY_PER_REQUEST",
                    )
                active = self.client.get_waiter("table_exists")
                active.wait(TableName=each.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
                found = self.client.describe_table(TableName=each.name)["Table"]["KeySchema"]
            if found != schema:
                raise NotServed(f"The table {each.name} has the key {found}, not {schema}: delete it, or correct this.")

    def publish(self, table: LookupTable, day: str, items: Iterable[Mapping[str, Any]], version: Version) -> Published:
        """Makes the items of `day` in `table` exactly `items`, as computed from `version` of gold; none empties it.

        An item has the key and any text, int, float, Decimal, bool or date; None is left out, a float becomes the
        decimal that prints the same. The keys of a day share one control item (400 KB: some 10,000 keys of 30 letters),
        99 items one transaction (4 MB). The same version again writes the same items, and repairs them. A version older
        than the one served or being served is refused, within one lake; of two lakes, the last to begin wins.

        Raises:
            Unfit: An item does not fit the table; nothing is written.
            NotServed: DynamoDB refuses. The day is as it was, or begun and not in `served`: it has to be served again.
        """
        wanted = _by_member(table, day, items)
        lakes: set[str | None] = set()
        with _explained(f"{table.name} {day} is not served and has to be served again"):
            return self._retried(lambda: self._replace(table, day, wanted, version, lakes), _is_overtaken)

    def served(self, table: LookupTable) -> dict[str, Version]:
        """The days served whole, empty ones too, with the version they have; not the days begun and not completed."""
        with _explained(f"What is served of {table.name} could not be read"):
            pages = self.client.get_paginator("query").paginate(
                TableName=CONTROL.name,
                KeyConditionExpression="served_table = :table",
                ExpressionAttributeValues={":table": {"S": table.name}},
                ProjectionExpression="served_day, lake_id, lake_version, is_complete",
                ConsistentRead=True,
            )
            found = self._retried(lambda: [_read(item) for page in pages for item in page["Items"]], _is_passing)
        return {day["served_day"]: (day["lake_id"], int(day["lake_version"])) for day in found if day["is_complete"]}

    def _replace(
        self, table: LookupTable, day: str, wanted: dict[str, _Attributes], version: Version, lakes: set[str | None]
    ) -> Published:
        """One attempt. `lakes`, filled by the first, is ours and the one it met: one that turns up later is newer."""
        control_key = _written({"served_table": table.name, "served_day": day})
        reply = self._call("get_item", TableName=CONTROL.name, Key=control_key, ConsistentRead=True)
        seen = _read(reply.get("Item", {}))
        lake, number = version
        lakes |= lakes or {lake, seen.get("lake_id")}
        if seen.get("lake_id") not in lakes or (seen.get("lake_id") == lake and seen["lake_version"] > number):
            return Published(0, 0, refused=True)

        write_id = uuid4().hex
        ours = _while_stands(write_id)
        condition = _while_stands(seen.get("write_id"))

        def record(keys: Iterable[str], complete: bool) -> dict[str, Any]:
            state = {"lake_id": lake, "lake_version": number, "write_id": write_id, "is_complete": complete}
            item = control_key | _written({**state, "served_keys": sorted(keys)})
            return {"Put": {"TableName": CONTROL.name, "Item": item, **condition}}

        gone = set(seen.get("served_keys", ())) - wanted.keys()
        changes: list[dict[str, Any]] = [{"Put": {"TableName": table.name, "Item": item}} for item in wanted.values()]
        for member in sorted(gone):
            key = _written({table.day_column: day, table.member: member})
            changes.append({"Delete": {"TableName": table.name, "Key": key}})

        if len(changes) > _CHANGES:
            self._transact([record(wanted.keys() | gone, complete=False)])
            condition = ours
        while len(changes) > _CHANGES:
            check = {"ConditionCheck": {"TableName": CONTROL.name, "Key": control_key, **ours}}
            self._transact([check, *changes[:_CHANGES]])
            changes = changes[_CHANGES:]
        self._transact([record(wanted, complete=True), *changes])
        return Published(put=len(wanted), deleted=len(gone))

    def _transact(self, actions: list[dict[str, Any]]) -> None:
        self._call("transact_write_items", TransactItems=actions)

    def _call(self, operation: str, **request: Any) -> Any:
        return self._retried(lambda: getattr(self.client, operation)(**request), _is_passing)

    def _retried(self, action: Callable[[], T], again: Callable[[Exception], bool]) -> T:
        for attempt in range(RETRIES):
            try:
                return action()
            except (ClientError, BotoCoreError) as error:
                if not again(error):
                    raise
            time.sleep(random.uniform(0, self.retry_seconds * 2**attempt))
        return action()


def _by_member(table: LookupTable, day: str, items: Iterable[Mapping[str, Any]]) -> dict[str, _Attributes]:
    """The items as DynamoDB writes them, by the key attribute that tells them apart."""
    wanted: dict[str, _Attributes] = {}
    for item in items:
        try:
            written = _written(item)
        except (TypeError, ArithmeticError) as error:  # NaN, infinity, more than 38 digits, another type
            raise Unfit(f"{table.name} {day}: DynamoDB cannot hold {dict(item)}: {error}") from error
        key = {name: written.get(name, {}).get("S") for name in table.key}
        if not all(key.values()) or key[table.day_column] != day:
            raise Unfit(f"{table.name} {day}: an item needs its key as text, and of this day, but has {key}")
        for name, most in zip(table.key, _KEY_BYTES, strict=False):
            if (size := len((key[name] or "").encode())) > most:
                raise Unfit(f"{table.name} {day}: {name} has at most {most:,} bytes, not {size:,}: {key[name]:.40}...")
        if wanted.setdefault(written[table.member]["S"], written) is not written:
            raise Unfit(f"{table.name} {day}: two items have the key {key}")
    return wanted


def _written(item: Mapping[str, Any]) -> _Attributes:
    return {name: _serialize(_storable(value)) for name, value in item.items() if value is not None}


def _storable(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))  # 0.1 stays 0.1: DynamoDB knows no binary floats
    return value.isoformat() if isinstance(value, date) else value


def _read(written: _Attributes) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in written.items()}


def _while_stands(write_id: str | None) -> dict[str, Any]:
    """The condition that the control item is still the one of this write (or still absent)."""
    if write_id is None:
        return {"ConditionExpression": "attribute_not_exists(write_id)"}
    return {"ConditionExpression": "write_id = :it", "ExpressionAttributeValues": {":it": {"S": write_id}}}


def _reasons(error: ClientError) -> dict[str, str]:
    """Code and message of what DynamoDB refused: of a cancelled transaction, those of its actions."""
    reasons = error.response.get("CancellationReasons", [error.response["Error"]])
    return {reason["Code"]: reason.get("Message", "") for reason in reasons if reason["Code"] != "None"}


def _is_passing(error: Exception) -> bool:
    """Throttled, in conflict with another transaction, or without a reply. A transaction that went through unheard
    fails its condition when it is sent again; the day is then made anew from what stands."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or _reasons(error).keys() <= _PASSING
    return isinstance(error, (ConnectionError, HTTPClientError))


def _is_overtaken(error: Exception) -> bool:
    return isinstance(error, ClientError) and "ConditionalCheckFailed" in _reasons(error)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Any refusal of DynamoDB as one NotServed: what was not done, why, and what to do."""
    try:
        yield
    except ClientError as error:
        if _is_overtaken(error):
            remedy = "Others keep serving it: let one finish."
        elif _is_passing(error):
            remedy = f"Gave up after {RETRIES} retries: wait, or give the table more throughput."
        elif "ResourceNotFoundException" in _reasons(error):
            remedy = (
                f"The tables must be there, {CONTROL.name} too: unless SHOPWARE_ENVIRONMENT is local or test, whoever "
                "owns the account makes them."
            )
        else:
            remedy = "It is refused until that is mended; AWS_ENDPOINT_URL_DYNAMODB may name something else."
        causes = "; ".join(f"{code} {message}".strip() for code, message in _reasons(error).items())
        raise NotServed(f"{what}: {causes}. {remedy}") from error
    except BotoCoreError as error:
        settings = "AWS_ENDPOINT_URL_DYNAMODB (or AWS_ENDPOINT_URL), AWS_DEFAULT_REGION and the AWS credentials"
        raise NotServed(f"{what}: {error}. Check {settings}.") from error
