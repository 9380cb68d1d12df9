"""SNS as the way to tell people.

Here: sending one event as one message that carries its id. Not here: which events there are and which have been sent:
sensors/ and the lake know. (A message may come twice, after a kill between sending and recording: with the same id.)
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import dagster as dg
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from resources.settings import TOPIC

SETTING = "SHOPWARE_ALERTS_TOPIC"
_SUBJECT_LENGTH = 100
_BODY_BYTES = 250_000  # a message with its id and attributes may have 256 KB
_UNSENDABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # NUL, lone surrogates, ...


class NotSent(Exception):
    """A message that did not reach the topic. Names the event, the setting and the reason."""


@dataclass(frozen=True)
class Event:
    """One thing to tell. `id` is the same whenever it is told again; `kind` groups events (`window_held`);
    `attributes`, up to eight short texts, are what subscriptions filter by, beside `event_id` and `kind`."""

    id: str
    kind: str
    subject: str
    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Notifications(dg.ConfigurableResource):
    """The topic that people subscribe to, or standard error where there is none."""

    topic: str = Field(default="", description=f"ARN of an SNS topic, the setting {SETTING}; empty: standard error.")

    @cached_property
    def client(self) -> Any:
        """Made at first use, for the topic's region; endpoint and credentials from the standard AWS variables."""
        arn = TOPIC.fullmatch(self.topic)
        if not arn:
            raise NotSent(
                f"{SETTING}={self.topic} is not the ARN of a standard SNS topic (arn:aws:sns:REGION:ACCOUNT:NAME)."
            )
        patience = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=1, read_timeout=5)
        return boto3.session.Session().client("sns", region_name=arn[1], config=patience)

    def publish(self, event: Event) -> None:
        """Sends `event` and returns once the topic has it.

        The message is subject and text, cut at 250,000 bytes, and a last line `event_id: ID`; id, kind and attributes
        that are not empty go as message attributes too; the subject line is cut to 100 characters of ASCII.

        Raises:
            NotSent: The topic did not confirm it. It may have it nevertheless, where a reply was lost.
        """
        if not self.topic:
            print(f"---- {event.kind}\n{_message(event)}\n----", file=sys.stderr, flush=True)
            return
        attributes = {**event.attributes, "event_id": event.id, "kind": event.kind}
        try:
            self.client.publish(
                TopicArn=self.topic,
                Subject=_subject(event),
                Message=_message(event),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": _UNSENDABLE.sub("\ufffd", value)}
                    for name, value in attributes.items()
                    if value
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise NotSent(
                f"Event {event.id} ({event.subject}) did not reach {SETTING}={self.topic}: {error} "
                "Check the topic, AWS_ENDPOINT_URL_SNS (or AWS_ENDPOINT_URL) and the AWS credentials."
            ) from error


def _subject(event: Event) -> str:
    line = re.sub(r"[^\x20-\x7e]", "?", " ".join(event.subject.split())) or event.kind
    return line if len(line) <= _SUBJECT_LENGTH else line[: _SUBJECT_LENGTH - 3] + "..."


def _message(event: Event) -> str:
    body = _UNSENDABLE.sub("\ufffd", f"{event.subject}\n\n{event.text}").encode()
    cut = "\n[cut here]" if len(body) > _BODY_BYTES else ""
    return f"{body[:_BODY_BYTES].decode(errors='ignore')}{cut}\n\nevent_id: {event.id}"
