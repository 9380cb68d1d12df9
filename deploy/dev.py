"""`make dev`: stand-ins for AWS, Dagster and a gentle simulator on one home, until Ctrl-C (or SIGTERM) stops them all.

Belongs here: which children run, in which order, and when all of it ends. While it runs, `<home>/dev.json` holds the
settings with which a command line beside it finds the same landing, and `<home>/dev.lock` is locked; what the children
print is in `<home>/logs`.
"""

import fcntl
import http.client
import json
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from dagster import DagsterInstance

from deploy.stand_ins import (
    LOOPBACK,
    SETTINGS,
    Child,
    NotStarted,
    Server,
    Unavailable,
    client,
    environment,
    is_free,
    moto_server,
    running,
    seaweedfs,
)
from deploy.tether import stop_with_parent
from resources.lake import Lake
from resources.settings import Misconfigured, prepare_home, read_settings
from shopware_assets.ledger import forget
from shopware_assets.serving.tables import SERVED
from shopware_assets.settle import bury_dead_runs

ROOT = Path(__file__).parent.parent
BUCKET, PREFIX, ALERTS = "shopware", "landing", "shopware-alerts"
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """`make dev` cannot start or cannot go on; says why."""


@dataclass(frozen=True)
class Part:
    """A command that runs beside the stand-ins. It is up once it answers HTTP on `port`, if it has one, and is killed
    when still there `grace` seconds after SIGTERM."""

    name: str
    command: Sequence[str]
    port: int | None = None
    grace: float = 1


def parts(port: int) -> list[Part]:
    """What is started after the stand-ins, one after the other; stopped in reverse."""
    scripts = Path(sysconfig.get_path("scripts"))
    dagster = [str(scripts / "dagster"), "dev", "--host", LOOPBACK, "--port", str(port), "--log-level", "warning"]
    return [
        Part("dagster", dagster, port, grace=7),
        Part("simulator", [str(scripts / "shopware"), "simulate", "--live"]),
    ]


def main() -> int:
    stop_with_parent()
    for number in _STOPPING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _interrupt_again
    try:
        settings = read_settings()
        if settings.lake.startswith("s3://"):
            raise Stopped(
                f"SHOPWARE_LAKE is {settings.lake!r}, which is not in the S3 started here: unset it, or name a folder"
            )
        dagster_home = prepare_home(settings)
        lake = Lake(settings.lake_url)
        begin = partial(_begin_afresh, lake, dagster_home)
        end = partial(_end_runs, dagster_home)
        run(settings.home.absolute(), parts(settings.port), {"DAGSTER_HOME": str(dagster_home)}, begin, end)
    except KeyboardInterrupt:
        print("Stopped: nothing is left running.")
        return 0
    except (Misconfigured, NotStarted, Stopped, Unavailable) as reason:
        print(f"make dev: {reason}", file=sys.stderr)
        return 1


def _begin_afresh(lake: Lake, dagster_home: Path) -> None:
    """Clears what the last one left: runs it was killed in, and what it served, which moto forgot when it ended."""
    _end_runs(dagster_home)
    for served in SERVED.values():
        forget(lake, served.table)


def _end_runs(dagster_home: Path) -> None:
    """Nobody goes on with them: a settling would wait."""
    with DagsterInstance.from_config(str(dagster_home)) as instance:
        bury_dead_runs(instance, daemon_is_down=True)


def _nothing() -> None:
    pass


def run(
    home: Path,
    parts: Sequence[Part],
    env: Mapping[str, str],
    begin: Callable[[], None] = _nothing,
    end: Callable[[], None] = _nothing,
) -> NoReturn:
    """Starts the stand-ins and `parts`, which get `env` and the stand-ins' settings, and shows what the parts print.

    `begin` is called first, when it is certain that no other runs on this home, and `end` when all have ended.

    Raises:
        Stopped: Another runs on this home, a port is taken, a part is not up within 300 s, or a child has ended.
        NotStarted, Unavailable: From the stand-ins.
    """
    with _alone(home), ExitStack() as stack:
        for part in parts:
            if part.port and not is_free(part.port):
                raise Stopped(f"port {part.port} is taken; choose another one: SHOPWARE_PORT={part.port + 1} make dev")
        _say(f"Starting on {home} (Ctrl-C stops everything)")
        begin()
        stack.callback(end)
        s3 = stack.enter_context(seaweedfs(home / "seaweedfs"))
        aws = stack.enter_context(moto_server(home / "logs"))
        settings = _furnish(s3, aws)
        stack.enter_context(_recorded(settings, home / "dev.json"))
        variables = {
            **environment(),
            **env,
            **settings,
            "SHOPWARE_HOME": str(home),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",  # by `dg dev`, which starts the same
        }
        children: list[Child] = []
        for part in parts:
            child = running(part.name, part.command, home / "logs", variables, cwd=ROOT, grace=part.grace)
            children.append(stack.enter_context(child))
            if part.port:
                _watch([s3.child, aws.child], children, until=partial(_answers, part.port))
        stack.callback(_say, "Stopping (some seconds)")
        _say(_welcome(home, parts, settings))
        _watch([s3.child, aws.child], children)
        raise AssertionError("watching ends with an exception only")


def _furnish(s3: Server, aws: Server) -> dict[str, str]:
    """Makes the landing bucket, the topic for alerts and a queue that keeps them; returns the settings for them."""
    objects, topics, queues = client("s3", s3.endpoint), client("sns", aws.endpoint), client("sqs", aws.endpoint)
    with suppress(objects.exceptions.BucketAlreadyOwnedByYou):
        objects.create_bucket(Bucket=BUCKET)
    topic = topics.create_topic(Name=ALERTS)["TopicArn"]
    queues.create_queue(QueueName=ALERTS)
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=topic.replace(":sns:", ":sqs:"))
    return {
        "SHOPWARE_LANDING": f"s3://{BUCKET}/{PREFIX}",
        "SHOPWARE_ALERTS_TOPIC": topic,
        **SETTINGS,
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ENDPOINT_URL_SNS": aws.endpoint,
        "AWS_ENDPOINT_URL_SQS": aws.endpoint,
        "AWS_ENDPOINT_URL_DYNAMODB": aws.endpoint,
    }


def _watch(
    quiet: Sequence[Child], shown: Sequence[Child], until: Callable[[], bool] | None = None, seconds: float = 300
) -> None:
    """Prints what `shown` write, until `until` (or for ever); raises when one of all has ended."""
    begun = told = time.monotonic()
    while not (until and until()):
        for child in shown:
            for line in child.new_lines():
                if " - DEBUG - " not in line:  # as Dagster writes each event of each run: the log has them, and the UI
                    _say(f"{child.name:>9} | {line}")
        for child in [*quiet, *shown]:
            if child.exit_code is not None:
                raise Stopped(
                    f"{child.name} ended with code {child.exit_code}; its last lines ({child.log} has all):\n"
                    f"{child.last_lines()}"
                )
        if until and time.monotonic() - begun > seconds:
            raise Stopped(f"{shown[-1].name} does not answer after {seconds:g} s; see {shown[-1].log}")
        if until and time.monotonic() - told > 15:
            told = time.monotonic()
            _say(f"{shown[-1].name} is still starting ({told - begun:.0f} s)")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _welcome(home: Path, parts: Sequence[Part], settings: Mapping[str, str]) -> str:
    aws = settings["AWS_ENDPOINT_URL_SQS"]
    lines = [
        *(f"{part.name:<10}http://{LOOPBACK}:{part.port}" for part in parts if part.port),
        f"landing   {settings['SHOPWARE_LANDING']} at {settings['AWS_ENDPOINT_URL_S3']}",
        f"alerts    SQS queue {ALERTS} at {aws}",
        f"lookups   DynamoDB at {aws} (in memory)",
        f"keys      AWS_ACCESS_KEY_ID={settings['AWS_ACCESS_KEY_ID']}, "
        f"AWS_SECRET_ACCESS_KEY={settings['AWS_SECRET_ACCESS_KEY']}, any region",
        f"home      {home}",
        f"beside    {Path(sysconfig.get_path('scripts')) / 'shopware'} --help",
    ]
    rule = "─" * max(map(len, lines))
    return "\n".join([rule, *lines, rule])


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stopped(f"it is running on {home} already; choose another home with SHOPWARE_HOME") from None
        yield


@contextmanager
def _recorded(settings: Mapping[str, str], file: Path) -> Iterator[None]:
    half = file.with_suffix(".half")
    half.write_text(json.dumps(settings, indent=2))
    half.replace(file)
    try:
        yield
    finally:
        file.unlink()


def _interrupt(number: int, frame: object) -> NoReturn:
    for again in _STOPPING:
        signal.signal(again, signal.SIG_IGN)  # stopping takes some seconds, and is not to be cut short
    raise KeyboardInterrupt


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Python drops what is raised while it collects garbage: an interrupt is raised again a moment later."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(lost)


def _say(text: str) -> None:
    with suppress(BrokenPipeError, OSError):  # nobody reads any more; that is no reason to end
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
