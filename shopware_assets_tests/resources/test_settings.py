"""Settings: what each is by default and from the environment, and one sentence when one is wrong."""

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from resources.settings import (
    Environment,
    Misconfigured,
    Settings,
    prepare_home,
    read_settings,
    storage_options,
)

TOMORROW = str(datetime.now(UTC).date() + timedelta(days=1))

DEFAULTS_AND_OTHERS: dict[str, tuple[object, str, object]] = {
    "environment": (Environment.LOCAL, "aws", Environment.AWS),
    "home": (Path(".shopware"), "/srv/shop ware", Path("/srv/shop ware")),
    "landing": ("", "s3://bucket/in", "s3://bucket/in"),
    "lake": ("", "/srv/lake", "/srv/lake"),
    "start": (date(2025, 1, 1), "2020-02-29", date(2020, 2, 29)),
    "reject_threshold": (0.2, "1", 1.0),
    "rule_alert_share": (0.05, "0", 0.0),
    "alerts_topic": ("", "arn:aws-cn:sns:cn-north-1:1:t", "arn:aws-cn:sns:cn-north-1:1:t"),
    "notify_success": (True, "false", False),
    "landing_queue": ("", "https://sqs/1/q", "https://sqs/1/q"),
    "lake_encryption": ("", "AES256", "AES256"),
    "lake_kms_key": ("", "key-1", "key-1"),
    "landing_encryption": ("", "aws:kms", "aws:kms"),
    "landing_kms_key": ("", "key-2", "key-2"),
    "archive_after_hours": (24.0, "0.5", 0.5),
    "port": (3000, "8080", 8080),
}
"""Setting -> its default, another value as text, and that value."""

WRONG = {
    "environment": ["prod", "AWS"],
    "home": ["/srv/a=b", "/srv/[shop]", "/srv/a%20b", "a\\b", "a\tb"],
    "landing": ["s3:/bucket", "s3://", "s3:///in", "gs://bucket/in", "S3://bucket"],
    "lake": ["s3:/bucket/lake", "file:///srv/lake", "s3://bucket/a^b", "/srv/day=1"],
    "alerts_topic": ["alerts", "arn:aws:sqs:eu-central-1:1:t", "arn:aws:sns:eu-central-1:1:", "arn:aws:sns:x:1:t.fifo"],
    "port": ["http", "0", "70000"],
    "start": ["2025-13-01", "soon", TOMORROW],
    "reject_threshold": ["lots", "-0.1", "1.1", "nan"],
    "rule_alert_share": ["5 %", "2"],
    "notify_success": ["perhaps"],
    "lake_encryption": ["rot13"],
    "landing_encryption": ["aes256"],
}


def test_every_setting_is_tested_here() -> None:
    assert set(DEFAULTS_AND_OTHERS) == set(Settings.model_fields)


@pytest.mark.parametrize("name", DEFAULTS_AND_OTHERS)
def test_a_setting_has_a_default_and_comes_from_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default, text, value = DEFAULTS_AND_OTHERS[name]
    assert getattr(read_settings(), name) == default
    monkeypatch.setenv(f"SHOPWARE_{name.upper()}", text)
    changed = read_settings()
    assert getattr(changed, name) == value
    assert changed.model_copy(update={name: default}) == Settings.model_construct()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_named_in_one_sentence(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SHOPWARE_{name.upper()}", text)
    with pytest.raises(Misconfigured) as raised:
        read_settings()
    assert str(raised.value).startswith(f"SHOPWARE_{name.upper()} is {text!r}: ")
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)
    assert raised.value.__suppress_context__, "nobody reads a traceback of pydantic's"


@pytest.mark.parametrize("name", DEFAULTS_AND_OTHERS)
def test_an_empty_variable_is_as_good_as_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SHOPWARE_{name.upper()}", "")
    assert getattr(read_settings(), name) == DEFAULTS_AND_OTHERS[name][0]


@pytest.mark.parametrize("name", ["SHOPWARE_SERVICE_HOST", "SHOPWARE_PICTURES", "SHOPWARE_9"])
def test_variables_of_others_are_theirs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert read_settings() == Settings()


@pytest.mark.parametrize(
    ("given", "other"), [("AWS_REGION", "AWS_DEFAULT_REGION"), ("AWS_DEFAULT_REGION", "AWS_REGION")]
)
def test_either_name_of_the_region_will_do(given: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(given, "eu-north-1")
    monkeypatch.delenv(other, raising=False)
    read_settings()
    assert os.environ[other] == "eu-north-1"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *(
            ("AWS_ENDPOINT_URL_S3", url, "is no address like http://localhost:9000")
            for url in (
                *("http://a b:1", "http://localhost:abc", "http://localhost:99999", "http://localhost:-1", "http://:1"),
                *("http://[::1", "http://[::g]", "http://a_b:1", "http://ü:1", "http://a\\b:1", "http://localhost/a b"),
            )
        ),
        ("AWS_ENDPOINT_URL_S3", "s3.local:9000", "does not begin with http:// or https://"),
        ("AWS_REGION", "eu west", "is no region like eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu_west", "is no region like eu-central-1"),
    ],
)
def test_a_wrong_variable_of_aws_is_named(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At these, boto3 raises a `ValueError`, deltalake panics, or either finds nobody there."""
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as raised:
        read_settings()
    assert str(raised.value) == f"{name} is {value!r}, which {says}."


@pytest.mark.parametrize(
    "url", ["", "http://localhost", "https://s3.local:9000/", "http://127.0.0.1:9000/a/b%20c", "http://[::1]:9000"]
)
def test_an_endpoint_may_be_any_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    assert read_settings() == Settings()


def test_today_is_not_in_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPWARE_START", str(datetime.now(UTC).date()))
    assert read_settings().starts_at <= datetime.now(UTC)


def test_without_addresses_all_is_below_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert (Settings().landing_url, Settings().lake_url) == (
        f"{tmp_path}/.shopware/landing",
        f"{tmp_path}/.shopware/lake",
    )
    elsewhere = Settings(home=Path("/a"), landing="s3://b/in", lake="/c")
    assert (elsewhere.landing_url, elsewhere.lake_url) == ("s3://b/in", "/c")
    assert elsewhere.starts_at == datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "encryption", "key", "options"),
    [
        ("/srv/lake", "AES256", "key-1", {}),
        ("s3://bucket/lake", "", "", {}),
        ("s3://bucket/lake", "AES256", "", {"aws_server_side_encryption": "AES256"}),
        (
            *("s3://bucket/lake", "aws:kms", "key-1"),
            {"aws_server_side_encryption": "aws:kms", "aws_sse_kms_key_id": "key-1"},
        ),
    ],
)
def test_options_of_the_store(url: str, encryption: str, key: str, options: dict[str, str]) -> None:
    usual = {"timeout": "60s", "connect_timeout": "3s", "allow_http": "true"} if url.startswith("s3") else {}
    assert storage_options(url, encryption, key) == usual | options


# --- beside `make dev` ------------------------------------------------------------------------------------------------

ADDRESSES = {
    "SHOPWARE_LANDING": "s3://landing",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:8333",
    "AWS_ACCESS_KEY_ID": "dev",
    "AWS_SECRET_ACCESS_KEY": "dev-secret",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which `make dev` has left its addresses."""
    monkeypatch.setenv("SHOPWARE_HOME", str(tmp_path))
    for name in ADDRESSES:
        monkeypatch.setenv(name, "mine")  # so that it is set back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "my-token")
    (tmp_path / "dev.json").write_text(json.dumps(ADDRESSES))
    (tmp_path / "dev.lock").touch()
    return tmp_path


@pytest.fixture
def dev(home: Path) -> Iterator[Path]:
    """The same, and it runs."""
    with (home / "dev.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def taken() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in (*ADDRESSES, "AWS_PROFILE", "AWS_SESSION_TOKEN")}


def test_while_it_runs_its_addresses_are_taken_and_no_account_of_mine(dev: Path) -> None:
    assert read_settings().landing_url == "s3://landing"
    assert taken() == {**ADDRESSES, "AWS_PROFILE": None, "AWS_SESSION_TOKEN": None}


def test_what_it_left_when_it_was_killed_is_not_believed(home: Path) -> None:
    before = taken()
    assert read_settings().landing_url == f"{home}/landing"
    assert taken() == before


def test_with_a_landing_of_my_own_none_of_its_addresses_is_taken(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPWARE_LANDING", "s3://mine")
    before = taken()
    assert read_settings().landing_url == "s3://mine"
    assert taken() == before


def test_several_readers_do_not_take_each_other_for_it(home: Path) -> None:
    """Each looks by trying to lock, which must not look like `make dev` to the others."""
    with (home / "dev.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert read_settings().landing_url == f"{home}/landing"


def test_a_home_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("SHOPWARE_HOME", str(tmp_path / "home"))
    with pytest.raises(Misconfigured, match=r"SHOPWARE_HOME is .*home', which cannot be read: Not a directory\."):
        read_settings()


# --- the home ---------------------------------------------------------------------------------------------------------


def test_a_home_is_made_with_all_that_dagster_needs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "new" / "home")
    for _ in range(2):  # it may be there already
        assert prepare_home(settings) == tmp_path / "new/home/dagster"
    assert (settings.home / "landing").is_dir()
    config = yaml.safe_load((settings.home / "dagster/dagster.yaml").read_text())
    assert config["storage"]["custom"]["config"]["base_dir"] == str(tmp_path / "new/home/dagster")
    assert config["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}, "writers of a table: one"
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] > 0, "a killed run must not keep its slot"
    assert config["run_monitoring"]["max_runtime_seconds"] > 0
    assert config["telemetry"] == {"enabled": False}


def test_a_home_that_cannot_be_written_to_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"SHOPWARE_HOME is '/proc/home', which cannot be written to: .+\."):
        prepare_home(Settings(home=Path("/proc/home")))
