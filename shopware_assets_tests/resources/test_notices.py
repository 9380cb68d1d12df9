"""Notices of the landing bucket: which keys they name, whoever sent them on, and what becomes of the messages."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import boto3
import pytest

from resources.notices import keys_announced
from resources.settings import Misconfigured

ORDERS, ITEMS, STOCK = "shop/orders", "shop/order_items", "inventory"


def record(key: str, event: str = "ObjectCreated:Put", bucket: str = "bucket") -> dict[str, Any]:
    """As S3 writes it: the key is escaped."""
    return {"eventName": event, "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "size": 1}}}


def notice(*records: Any) -> str:
    return json.dumps({"Records": records})


class Queue:
    """A queue of its own for one test."""

    def __init__(self) -> None:
        self._sqs = boto3.client("sqs")
        self.url = self._sqs.create_queue(QueueName=f"q{uuid4().hex}")["QueueUrl"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def announced(self, ours: Sequence[str] = (ORDERS, ITEMS), landing: str = "s3://bucket/in/") -> list[str]:
        return list(keys_announced(self.url, landing, ours, [STOCK]))

    @property
    def waiting(self) -> int:
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@pytest.fixture
def queue(moto: str, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", moto)
    return Queue()


ODD = "in/shop/orders/a b+c%41/ü&\"'.csv"


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (notice(record("in/shop/orders/a.csv")), ["shop/orders/a.csv"]),
        (notice(record(ODD)), [ODD.removeprefix("in/")]),
        (notice(*(record(f"in/shop/order_items/{n}") for n in (1, 2))), ["shop/order_items/1", "shop/order_items/2"]),
        (json.dumps({"Type": "Notification", "Message": notice(record("in/shop/orders/a"))}), ["shop/orders/a"]),
        (notice(record("in/shop/orders/a", "ObjectCreated:CompleteMultipartUpload")), ["shop/orders/a"]),
        # what tells nothing
        (notice(record("in/shop/orders/a", "ObjectRemoved:Delete")), []),
        (notice(record("in/shop/orders/a", bucket="another")), []),
        (notice(record("shop/orders/a")), []),
        (notice(record("in/shop/orders_old/a")), []),
        (notice(record("inner/shop/orders/a")), []),
        (json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bucket"}), []),
        # what is no notice at all
        *((body, []) for body in ("no JSON", "null", "[]", "7", '{"Records": 7}', '{"Message": "x"}')),
        (notice(None, {}, {"eventName": 1}, {"eventName": "ObjectCreated:Put", "s3": {"bucket": 7}}), []),
    ],
)
def test_the_keys_that_a_message_names(queue: Queue, body: str, keys: list[str]) -> None:
    queue.send(body, notice(record("in/shop/orders/behind it")))
    assert queue.announced() == [*keys, "shop/orders/behind it"]
    assert queue.waiting == 0


def test_landing_may_be_the_whole_bucket(queue: Queue) -> None:
    queue.send(notice(record("shop/orders/a")))
    assert queue.announced(landing="s3://bucket") == ["shop/orders/a"]


def test_messages_for_other_feeds_wait_for_them(queue: Queue) -> None:
    queue.send(notice(record("in/inventory/a")), notice(record("in/inventory/b"), record("in/shop/orders/c")))
    assert queue.announced() == ["shop/orders/c"]
    assert queue.waiting == 1, "one that names keys of ours too is read: a listing finds the others"
    assert list(keys_announced(queue.url, "s3://bucket/in", [STOCK], [ORDERS, ITEMS])) == ["inventory/a"]
    assert queue.waiting == 0


def test_more_than_one_batch_is_read(queue: Queue) -> None:
    queue.send(*(notice(record(f"in/shop/orders/{number}")) for number in range(25)))
    assert sorted(queue.announced()) == sorted(f"shop/orders/{number}" for number in range(25))


def test_a_message_stays_until_its_keys_are_taken(queue: Queue) -> None:
    queue.send(notice(record("in/shop/orders/1")))
    keys = keys_announced(queue.url, "s3://bucket/in", [ORDERS], [])
    assert next(keys) == "shop/orders/1"
    assert queue.waiting == 1, "the reader may still be killed"
    assert list(keys) == []
    assert queue.waiting == 0


@pytest.mark.parametrize("unreachable", [False, True])
def test_a_queue_that_cannot_be_read_is_named(queue: Queue, unreachable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    url = queue.url if unreachable else f"{queue.url}-not-there"
    if unreachable:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    with pytest.raises(Misconfigured, match=r"SHOPWARE_LANDING_QUEUE is .* which cannot be read"):
        list(keys_announced(url, "s3://bucket/in", [ORDERS], []))
