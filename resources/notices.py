"""Notices of the landing bucket, from its SQS queue: hints that an object may have come, ahead of the next listing."""

import json
from collections.abc import Iterator, Sequence
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resources.settings import Misconfigured

_BATCHES = 20  # of ten messages, in one tick


def keys_announced(queue_url: str, landing_url: str, ours: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """The keys below the prefixes `ours` (of the landing root) that waiting notices name.

    A notice is taken off the queue once it is read; one that names only keys below `others` is put back for those who
    read these. A notice that is lost, comes twice or out of order does no harm: it only says where to look.

    Raises:
        Misconfigured: The queue cannot be read.
    """
    bucket, _, prefix = landing_url.removeprefix("s3://").partition("/")
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    once = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=2, read_timeout=10)
    try:
        sqs = boto3.client("sqs", config=once)
        for _ in range(_BATCHES):
            messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return
            done, left = [], []
            for number, message in enumerate(messages):
                named = [k[len(root) :] for b, k in _objects(message["Body"]) if b == bucket and k.startswith(root)]
                of_ours = [key for key in named if _below(key, ours)]
                yield from of_ours
                receipt = {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                if not of_ours and any(_below(key, others) for key in named):
                    left.append({**receipt, "VisibilityTimeout": 0})
                else:
                    done.append(receipt)
            if done:
                sqs.delete_message_batch(QueueUrl=queue_url, Entries=done)
            if left:
                sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=left)
            if not done:
                return  # nothing for us here; what is put back would only come again
    except (BotoCoreError, ClientError) as error:
        raise Misconfigured(f"SHOPWARE_LANDING_QUEUE is {queue_url!r}, which cannot be read: {error}.") from error


def _below(key: str, prefixes: Sequence[str]) -> bool:
    return any(key.startswith(f"{prefix}/") for prefix in prefixes)


def _objects(body: str) -> Iterator[tuple[str, str]]:
    """Bucket and key of each object created, of a notice sent straight or through a topic; other messages name none."""
    try:
        notice = json.loads(body)
        if isinstance(notice, dict) and isinstance(notice.get("Message"), str):
            notice = json.loads(notice["Message"])
    except ValueError:
        return
    records = notice.get("Records", []) if isinstance(notice, dict) else []
    for record in records if isinstance(records, list) else ():
        match record:
            case {"eventName": str(event), "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}}:
                if event.startswith("ObjectCreated"):
                    yield bucket, unquote_plus(key)
