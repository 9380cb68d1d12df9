"""Notices of the landing bucket, from its SQS queue: hints that an object may have come, ahead of the next listing."""

import json
from collections.abc import Iterator
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resources.settings import Misconfigured

_BATCHES = 20  # of ten messages, in one tick


def keys_announced(queue_url: str, landing_url: str) -> Iterator[str]:
    """The keys (below the landing root) that waiting notices name; each notice is taken off the queue once it is read.

    A notice that is lost, comes twice or out of order does no harm: it only says where to look.

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
            for message in messages:
                for name, key in _objects(message["Body"]):
                    if name == bucket and key.startswith(root):
                        yield key[len(root) :]
            entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    except (BotoCoreError, ClientError) as error:
        raise Misconfigured(f"SHOPWARE_LANDING_QUEUE is {queue_url!r}, which cannot be read: {error}.") from error


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
