"""Every setting of the product, read once from the environment, and where they lead: folders and addresses.

Settings come from environment variables; `make dev` also leaves the addresses of what it started in `<home>/dev.json`,
so that the command line beside it works on the same landing. While it runs these win, unless SHOPWARE_LANDING is set.
"""

import difflib
import fcntl
import json
import os
import re
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlparse

from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url
from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Misconfigured(Exception):
    """A setting is wrong or missing, or what it points at cannot be used; one sentence that names the setting."""


TOPIC = re.compile(r"arn:[\w-]+:sns:([\w-]+):\d+:[\w-]+")
"""ARNs of the SNS topics that take messages as they come, not in an order (`….fifo`); the group is the region."""


MOST_HOURS = 24 * 366 * 100
"""The longest time that a setting may have: a century."""


class Environment(StrEnum):
    """Where the product runs."""

    TEST = "test"
    LOCAL = "local"
    AWS = "aws"


def _address(url: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", url) and not re.match(r"s3://[^/]", url):
        raise ValueError("it is neither a folder nor s3://bucket/prefix")
    return url


def _able_to_hold_tables(url: str) -> str:
    # Found by trying each character: deltalake, Polars or Dagster takes these for something else.
    if wrong := re.search(r"[\[\]^|\\=?*\x00-\x1f]|%(?=[0-9A-Fa-f]{2})", url):
        raise ValueError(f"tables cannot be stored below a name with {wrong[0]!r}")
    return url


def _topic(arn: str) -> str:
    if arn and not TOPIC.fullmatch(arn):
        raise ValueError("it is not the ARN of a standard SNS topic, like arn:aws:sns:eu-central-1:123456789012:alerts")
    return arn


class Settings(BaseSettings):
    """The settings, one environment variable each: `SHOPWARE_<NAME>`. An empty one is as good as none."""

    model_config = SettingsConfigDict(env_prefix="SHOPWARE_", env_ignore_empty=True, extra="ignore")

    environment: Environment = Field(Environment.LOCAL, description="Where the product runs: test, local or aws.")
    home: Path = Field(Path(".shopware"), description="Folder for all state: lake, landing folder, Dagster's storage.")
    landing: Annotated[str, AfterValidator(_address)] = Field(
        "", description="Where sources drop objects: a folder or s3://bucket/prefix; empty: <home>/landing."
    )
    lake: Annotated[str, AfterValidator(_address), AfterValidator(_able_to_hold_tables)] = Field(
        "", description="Where the tables are: a folder or s3://bucket/prefix; empty: <home>/lake."
    )
    start: date = Field(date(2025, 1, 1), description="The first day of the lake; what happened before it is rejected.")
    reject_threshold: float = Field(
        0.2, ge=0, le=1, description="A window in which a larger share of rows is rejected is held."
    )
    rule_alert_share: float = Field(
        0.05, ge=0, le=1, description="A rule that a larger share of a window's rows breaks raises an alert."
    )
    alerts_topic: Annotated[str, AfterValidator(_topic)] = Field(
        "", description="ARN of the SNS topic for alerts; empty: alerts are printed."
    )
    notify_success: bool = Field(True, description="Whether a settled range of landing windows is announced.")
    landing_queue: str = Field("", description="URL of an SQS queue with the landing bucket's notifications.")
    lake_encryption: Literal["", "AES256", "aws:kms"] = Field(
        "", description="Encryption of the lake on S3: AES256 (SSE-S3) or aws:kms; empty: the bucket's default."
    )
    lake_kms_key: str = Field("", description="Key for aws:kms of the lake; empty: the account's default key.")
    landing_encryption: Literal["", "AES256", "aws:kms"] = Field(
        "",
        description="Encryption of what `shopware land` writes to S3: AES256 or aws:kms; empty: the bucket's default.",
    )
    landing_kms_key: str = Field("", description="Key for aws:kms of landing; empty: the account's default key.")
    archive_after_hours: float = Field(
        24,
        ge=0,
        le=MOST_HOURS,
        description="Hours after which a landed object whose rows are in bronze moves to archive/.",
    )
    port: int = Field(3000, ge=1, le=65535, description="Port of Dagster's UI under `make dev`.")

    @field_validator("start")
    @classmethod
    def _in_the_past(cls, start: date) -> date:
        if start > datetime.now(UTC).date():
            raise ValueError("must not be in the future")
        return start

    @field_validator("home")
    @classmethod
    def _home_of_tables(cls, home: Path) -> Path:
        _able_to_hold_tables(str(home.absolute()))
        return home

    @property
    def landing_url(self) -> str:
        return self.landing or str((self.home / "landing").absolute())

    @property
    def lake_url(self) -> str:
        return self.lake or str((self.home / "lake").absolute())

    @property
    def starts_at(self) -> datetime:
        return datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)


def read_settings() -> Settings:
    """The settings of this process.

    While `make dev` runs on the home, its addresses and credentials are taken, all of them or none: none where the
    environment names a landing of its own.

    Raises:
        Misconfigured: A value is not allowed, or the home cannot be written to.
    """
    _check_names()
    try:
        settings = Settings()
        addresses = {} if settings.landing else _dev_addresses(settings.home)
        if addresses:
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
                os.environ.pop(name, None)
            os.environ.update(addresses)
            settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"SHOPWARE_{str(first['loc'][0]).upper()}"
        raise Misconfigured(f"{name} is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}.") from None
    _check_aws()
    return settings


def _check_names() -> None:
    """Refuses what can only be a misspelt setting; other programs may have variables that begin alike."""
    known = [f"SHOPWARE_{name.upper()}" for name in Settings.model_fields]
    for name in os.environ:
        if name.startswith("SHOPWARE_") and name not in known:
            for meant in difflib.get_close_matches(name, known, n=1, cutoff=0.85):
                raise Misconfigured(f"{name} is no setting; {meant} is.")


def _check_aws() -> None:
    """Checks the standard AWS variables, of which the libraries that read them would complain less clearly."""
    for name, url in os.environ.items():
        if name.startswith("AWS_ENDPOINT_URL") and url:
            if not re.match(r"https?://[^/]", url):
                raise Misconfigured(f"{name} is {url!r}, which does not begin with http:// or https://.")
            if not _is_endpoint(url):
                raise Misconfigured(f"{name} is {url!r}, which is no address like http://localhost:9000.")
    # boto3 reads the one, deltalake the other.
    for name, other in (("AWS_REGION", "AWS_DEFAULT_REGION"), ("AWS_DEFAULT_REGION", "AWS_REGION")):
        if region := os.environ.get(name):
            if not re.fullmatch(r"[A-Za-z0-9-]+", region):
                raise Misconfigured(f"{name} is {region!r}, which is no region like eu-central-1.")
            os.environ.setdefault(other, region)


def _is_endpoint(url: str) -> bool:
    """Whether it is one to both boto3 and deltalake, which panics at others."""
    try:
        return (
            re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~%+/-]*)?", url, re.ASCII) is not None
            and urlparse(url).port != 0
            and (is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url))
        )
    except ValueError:  # its port is none, or its IPv6 address
        return False


def endpoint_setting(service: str) -> str:
    """The variable that decides the endpoint of an AWS service (`S3`, `DYNAMODB`, ...)."""
    own = f"AWS_ENDPOINT_URL_{service}"
    return "AWS_ENDPOINT_URL" if not os.environ.get(own) and os.environ.get("AWS_ENDPOINT_URL") else own


def dev_is_running(home: Path) -> bool:
    """Whether `make dev` runs on the home: it holds a lock as long as it lives, however it ends.

    Raises:
        Misconfigured: The home cannot be read.
    """
    try:
        with (home / "dev.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Misconfigured(f"SHOPWARE_HOME is {str(home)!r}, which cannot be read: {error.strerror}.") from None


def _dev_addresses(home: Path) -> dict[str, str]:
    """What `make dev` left; none before and after its stand-ins run."""
    try:
        return json.loads((home / "dev.json").read_text()) if dev_is_running(home) else {}
    except FileNotFoundError:
        return {}


def storage_options(url: str, encryption: str = "", kms_key: str = "") -> dict[str, str]:
    """Options of the object store behind `url`, for deltalake and obstore alike; empty for a folder.

    Region, credentials and endpoint are the standard AWS variables, which both read by themselves.
    """
    if urlparse(url).scheme != "s3":
        return {}
    # An endpoint without TLS is one that somebody has set (a stand-in): no second switch for it.
    options = {"timeout": "60s", "connect_timeout": "3s", "allow_http": "true"}
    if encryption:
        options["aws_server_side_encryption"] = encryption
    if kms_key:
        options["aws_sse_kms_key_id"] = kms_key
    return options


_DAGSTER: dict[str, Any] = {
    "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}, "runs": {"max_concurrent_runs": 2}},
    "run_monitoring": {"enabled": True, "free_slots_after_run_end_seconds": 60, "max_runtime_seconds": 14_400},
    "run_coordinator": {
        "module": "dagster._core.run_coordinator.queued_run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"dequeue_interval_seconds": 1},
    },
    "sensors": {"use_threads": True, "num_workers": 4},  # the slow one does not keep the others waiting
    "python_logs": {"python_log_level": "WARNING"},
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
}
"""How Dagster runs on one machine."""


def prepare_home(settings: Settings) -> Path:
    """Makes the home with everything that Dagster needs in it.

    Returns:
        Dagster's home, below it.

    Raises:
        Misconfigured: The folder cannot be written to.
    """
    dagster_home = (settings.home / "dagster").absolute()
    try:
        dagster_home.mkdir(parents=True, exist_ok=True)
        (settings.home / "landing").mkdir(exist_ok=True)
        storage = {
            "module": "resources.run_storage",
            "class": "LaptopStorage",
            "config": {"base_dir": str(dagster_home)},
        }
        config = {"storage": {"custom": storage}, **_DAGSTER}
        staged = dagster_home / f"dagster.yaml.{os.getpid()}"
        staged.write_text(json.dumps(config, indent=2, ensure_ascii=False))  # so JSON is YAML
        staged.replace(dagster_home / "dagster.yaml")  # which others may be reading
    except OSError as error:
        raise Misconfigured(
            f"SHOPWARE_HOME is {str(settings.home)!r}, which cannot be written to: {error.strerror}."
        ) from None
    return dagster_home
