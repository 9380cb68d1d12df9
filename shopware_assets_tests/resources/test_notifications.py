"""Events told through SNS (moto), as a queue that is subscribed receives them; and without a topic."""

import json
import time
from typing import Any
from uuid import uuid4

import boto3
import pytest

from resources.notifications import Event, Notifications, NotSent

HELD = Event(
    id="held:silver/orders:2025-03-01",
    kind="window_held",
    subject="silver/orders 2025-03-01 is held",
    text="31 of 100 rows are rejected.\nSee: uv run shopware rejects silver/orders",
    attributes={"table": "silver/orders", "window": "2025-03-01", "source": ""},
)


class Subscribed:
    """A topic of its own for one test, in another region than the default, with a queue subscribed to it."""

    def __init__(self) -> None:
        self._sqs = boto3.client("sqs", region_name="eu-central-1")
        sns = boto3.client("sns", region_name="eu-central-1")
        self.topic = sns.create_topic(Name=f"shopware-alerts-{uuid4().hex}")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=uuid4().hex)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def received(self) -> list[dict[str, Any]]:
        messages = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]


@pytest.fixture
def subscribed(moto: str, monkeypatch: pytest.MonkeyPatch) -> Subscribed:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    return Subscribed()


def test_an_event_arrives_once_with_its_id(subscribed: Subscribed) -> None:
    Notifications(topic=subscribed.topic).publish(HELD)
    (message,) = subscribed.received()
    assert message["Subject"] == "silver/orders 2025-03-01 is held"
    assert message["Message"] == (
        "silver/orders 2025-03-01 is held\n\n"
        "31 of 100 rows are rejected.\nSee: uv run shopware rejects silver/orders\n\n"
        "event_id: held:silver/orders:2025-03-01"
    )
    assert {name: attribute["Value"] for name, attribute in message["MessageAttributes"].items()} == {
        "event_id": "held:silver/orders:2025-03-01",
        "kind": "window_held",
        "table": "silver/orders",
        "window": "2025-03-01",
    }


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("two\r\nlines\tand \x1c more ", "two lines and more"),
        ("Größe fehlt – now", "Gr??e fehlt ? now"),
        ("nul\0 and \ud800", "nul? and ?"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 97 + "..."),
        (" \n", "window_held"),
    ],
)
def test_a_subject_is_one_line_of_100_ascii_characters(subscribed: Subscribed, subject: str, line: str) -> None:
    Notifications(topic=subscribed.topic).publish(Event("e-1", "window_held", subject, "text"))
    (message,) = subscribed.received()
    assert message["Subject"] == line


def test_a_text_is_cut_to_what_sns_takes_and_keeps_the_id(subscribed: Subscribed) -> None:
    attributes = {f"attribute_{n}": "v" * 200 for n in range(8)}
    Notifications(topic=subscribed.topic).publish(Event("e-2", "books", "long", "ü" * 200_000, attributes))
    (message,) = subscribed.received()
    assert message["Message"].startswith("long\n\nüüü")
    assert message["Message"].endswith("ü\n[cut here]\n\nevent_id: e-2")
    size = len(message["Message"].encode()) + sum(
        len(name) + len("String") + len(attribute["Value"]) for name, attribute in message["MessageAttributes"].items()
    )
    assert 249_000 < size <= 256 * 1024


def test_what_rows_may_hold_and_messages_may_not_is_replaced(subscribed: Subscribed) -> None:
    event = Event("e-3", "sample", "s", "a\0b\ud800c\td\u00e9\U0001f600", {"key": "x\0y"})
    Notifications(topic=subscribed.topic).publish(event)
    (message,) = subscribed.received()
    assert message["Message"] == "s\n\na\ufffdb\ufffdc\td\u00e9\U0001f600\n\nevent_id: e-3"
    assert message["MessageAttributes"]["key"]["Value"] == "x\ufffdy"


def test_without_a_topic_the_message_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Notifications().publish(HELD)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "---- window_held\n"
        "silver/orders 2025-03-01 is held\n\n"
        "31 of 100 rows are rejected.\nSee: uv run shopware rejects silver/orders\n\n"
        "event_id: held:silver/orders:2025-03-01\n"
        "----\n"
    )


@pytest.mark.parametrize("topic", ["shopware-alerts", "arn:aws:sqs:eu-central-1:123456789012:told", "arn:aws:sns:x"])
def test_what_is_no_topic_names_the_setting(topic: str) -> None:
    with pytest.raises(NotSent, match=f"SHOPWARE_ALERTS_TOPIC={topic} is not the ARN of a standard SNS topic"):
        Notifications(topic=topic).publish(HELD)


def test_a_topic_that_is_gone_names_the_event_and_the_setting(subscribed: Subscribed) -> None:
    gone = subscribed.topic + "-gone"
    with pytest.raises(NotSent, match=f"{HELD.id} .*SHOPWARE_ALERTS_TOPIC={gone}: .*NotFound"):
        Notifications(topic=gone).publish(HELD)
    assert subscribed.received() == []


@pytest.mark.parametrize("missing", ["endpoint", "credentials"])
def test_what_is_not_set_is_said_within_ten_seconds(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1")
    if missing == "credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    began = time.monotonic()
    with pytest.raises(NotSent, match=f"{HELD.id} .*Check the topic, AWS_ENDPOINT_URL_SNS .*credentials"):
        Notifications(topic="arn:aws:sns:eu-central-1:123456789012:shopware-alerts").publish(HELD)
    assert time.monotonic() - began < 10
