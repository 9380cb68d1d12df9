"""`make dev` with other parts in place of Dagster and the simulator: all of it comes up, and all of it goes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy import dev, stand_ins

TICKING = "import time\nwhile True: print('tick'); time.sleep(0.1)"
STUBBORN = f"import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); {TICKING}"
SHOWING = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if 'AWS' in n}))"
DYING = "import time; time.sleep(1); print('the last words'); raise SystemExit(3)"
RUN = """
import sys
from deploy import dev
dev.parts = lambda port: [dev.Part(f"part{number}", [sys.executable, "-c", code]) for number, code in enumerate(CODES)]
sys.exit(dev.main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def start(brood, home: Path, *codes: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN.replace("CODES", repr(codes))],
        env={**brood.env, "SHOPWARE_HOME": str(home), **env},
        cwd=dev.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return read
    pytest.fail(f"it ended before {words!r}:\n{read}")


def test_it_comes_up_alone_and_stops_as_a_whole(brood, home: Path) -> None:
    process = start(brood, home, f"{SHOWING}\n{TICKING}", STUBBORN, AWS_PROFILE="mine", AWS_SESSION_TOKEN="mine")
    said = read_until(process, "part0 | {")
    read_until(process, "part1 | tick")

    settings = json.loads((home / "dev.json").read_text())
    assert json.loads(said.splitlines()[-1].partition("|")[2]) == {
        name: value for name, value in settings.items() if "AWS" in name
    }

    s3 = stand_ins.client("s3", settings["AWS_ENDPOINT_URL_S3"])
    bucket, prefix = settings["SHOPWARE_LANDING"].removeprefix("s3://").split("/")
    s3.put_object(Bucket=bucket, Key=f"{prefix}/a", Body=b"1")
    sns = stand_ins.client("sns", settings["AWS_ENDPOINT_URL_SNS"])
    sns.publish(TopicArn=settings["SHOPWARE_ALERTS_TOPIC"], Message="hello")
    sqs = stand_ins.client("sqs", settings["AWS_ENDPOINT_URL_SQS"])
    (message,) = sqs.receive_message(QueueUrl=sqs.get_queue_url(QueueName=dev.ALERTS)["QueueUrl"])["Messages"]
    assert json.loads(message["Body"])["Message"] == "hello"
    assert stand_ins.client("dynamodb", settings["AWS_ENDPOINT_URL_DYNAMODB"]).list_tables()["TableNames"] == []

    second = start(brood, home, TICKING)
    said, _ = second.communicate(timeout=60)
    assert (second.returncode, said.count("\n")) == (1, 1)
    assert f"it is running on {home} already" in said
    assert (home / "dev.json").exists()

    stopping = time.monotonic()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # somebody impatient changes nothing
    rest, _ = process.communicate(timeout=60)
    assert time.monotonic() - stopping < 10
    assert process.returncode == 0
    assert rest.endswith("Stopped: nothing is left running.\n")
    assert not brood.pids()
    assert not (home / "dev.json").exists()


@pytest.mark.long
def test_killed_it_leaves_no_process_and_starts_again_with_what_was_landed(brood, home: Path) -> None:
    process = start(brood, home, STUBBORN)
    read_until(process, "part0 | tick")
    settings = json.loads((home / "dev.json").read_text())
    stand_ins.client("s3", settings["AWS_ENDPOINT_URL_S3"]).put_object(Bucket=dev.BUCKET, Key="landing/a", Body=b"1")
    process.kill()
    process.communicate()
    assert brood.gone_within(10)

    process = start(brood, home, TICKING)
    read_until(process, "part0 | tick")
    settings = json.loads((home / "dev.json").read_text())
    s3 = stand_ins.client("s3", settings["AWS_ENDPOINT_URL_S3"])
    assert s3.get_object(Bucket=dev.BUCKET, Key="landing/a")["Body"].read() == b"1"

    (weed,) = brood.pids("weed")  # a stand-in that ends is like a part that ends
    os.kill(weed, signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "make dev: seaweedfs ended with code 137" in said
    assert not brood.pids()


@pytest.mark.long
def test_it_stops_as_a_whole_while_it_starts(brood, home: Path) -> None:
    process = start(brood, home, TICKING)
    read_until(process, "Starting on")
    deadline = time.monotonic() + 20
    while not brood.pids("weed") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "Stopped: nothing is left running.\n")
    assert not brood.pids()


@pytest.mark.long
def test_a_part_that_ends_is_named_with_its_last_lines_and_ends_the_rest(brood, home: Path) -> None:
    process = start(brood, home, TICKING, DYING)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"make dev: part1 ended with code 3; its last lines ({home}/logs/part1.log has all):\nthe last words" in said
    assert not brood.pids()
    assert not (home / "dev.json").exists()


def test_a_taken_port_is_said_before_anything_starts(brood, home: Path) -> None:
    with socket.create_server((stand_ins.LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        process = subprocess.run(
            [sys.executable, "-m", "deploy.dev"],
            check=False,
            env={**brood.env, "SHOPWARE_HOME": str(home), "SHOPWARE_PORT": str(port)},
            cwd=dev.ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert process.returncode == 1
    assert process.stderr == f"make dev: port {port} is taken; choose another one: SHOPWARE_PORT={port + 1} make dev\n"
    assert not (home / "seaweedfs").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SHOPWARE_PORT", "http"),
        pytest.param("SHOPWARE_PORT", "70000", marks=pytest.mark.long),
        pytest.param("SHOPWARE_ENVIRONMENT", "lokal", marks=pytest.mark.long),
    ],
)
def test_a_mistyped_setting_is_said_in_one_line(brood, home: Path, setting: str, value: str) -> None:
    process = start(brood, home, TICKING, **{setting: value})
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert f"{setting} is '{value}'" in said


def test_a_lake_on_s3_is_refused_before_anything_is_touched(brood, home: Path) -> None:
    """The one it would reach first is the person's own."""
    process = start(brood, home, TICKING, SHOPWARE_LAKE="s3://ours/lake")
    said, _ = process.communicate(timeout=60)
    refusal = "SHOPWARE_LAKE is 's3://ours/lake', which is not in the S3 started here: unset it, or name a folder"
    assert (process.returncode, said) == (1, f"make dev: {refusal}\n")
    assert not home.exists()


INTERRUPTED = """
import signal, sys, time, weakref
from deploy import dev

class Thing:
    pass

def run(*_):
    thing = Thing()
    watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    time.sleep({seconds})

dev.run = run
{mutant}
sys.exit(dev.main())
"""


@pytest.mark.long
@pytest.mark.parametrize(("mutant", "code"), [("", 0), ("dev._interrupt_again = sys.__unraisablehook__", None)])
def test_an_interrupt_that_meets_the_collection_of_garbage_is_not_lost(
    home: Path, mutant: str, code: int | None
) -> None:
    """The control is one that lets Python drop it, as it does with what is raised there."""
    script = INTERRUPTED.format(seconds=60 if code == 0 else 1, mutant=mutant)
    env = {**stand_ins.environment(), "SHOPWARE_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, cwd=dev.ROOT, capture_output=True, text=True, timeout=50
    )
    assert ("Stopped: nothing is left running." in done.stdout) is (code == 0), done.stderr
