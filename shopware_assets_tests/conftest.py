"""What every test stands on: an environment from which nothing reaches out, and the stand-ins for AWS.

Here: servers, started when the first test asks for one and shared by all tests of a pytest process; so a test makes its
own bucket, topic or table. Not here: data (scenario.py and the test modules).
"""

import gc
import os
from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from deploy import stand_ins


@pytest.fixture(scope="session", autouse=True)
def no_account() -> Iterator[None]:
    """No setting of the person who runs the tests counts, and the credentials are those of the stand-ins.

    What is not on this machine is behind a proxy that is not there: a call to AWS fails at once. All this is set once:
    threads of Polars read the environment all the time, and one that changes while they do can crash the process.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("AWS_", "SHOPWARE_", "DAGSTER_")):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_REGION", stand_ins.REGION)
        patch.setenv("AWS_DEFAULT_REGION", stand_ins.REGION)
        for name, value in stand_ins.CREDENTIALS.items():
            patch.setenv(name, value)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
            value = "127.0.0.1,localhost" if name == "NO_PROXY" else "http://127.0.0.1:9"
            patch.setenv(name, value)
            patch.setenv(name.lower(), value)
        yield


@pytest.fixture(scope="session", autouse=True)
def scripts_read_once() -> Iterator[None]:
    """Alembic reads all its scripts for Dagster anew for every database, and each run has one of its own."""
    read: dict[str | None, ScriptDirectory] = {}
    from_config = ScriptDirectory.from_config

    def once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        return read[place] if place in read else read.setdefault(place, from_config(config))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", once)
        yield


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Iterator[stand_ins.S3]:
    """A real S3: `endpoint`, `settings` (the environment variables that lead there), `fresh_bucket()`."""
    try:
        with stand_ins.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
            yield server
    except stand_ins.Unavailable as reason:
        pytest.skip(f"no SeaweedFS: {reason}")


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Iterator[str]:
    """The address of SQS, SNS and more."""
    with stand_ins.moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server.endpoint


@pytest.fixture(scope="session")
def dynamodb(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Iterator[str]:
    """The address of a DynamoDB with real conditions and transactions."""
    try:
        with stand_ins.dynamodb_local(tmp_path_factory.mktemp("dynamodb")) as server:
            yield server.endpoint
    except stand_ins.Unavailable as reason:
        pytest.skip(f"no DynamoDB Local: {reason}")


_DEAR = {"spark": "spark", "machine": "spark", "dynamodb": "dynamodb", "expected": "expected"}
"""Fixtures that take long to make, and the group of tests that share one."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keeps together what uses a dear fixture, or one of its module, and tests of a simulated feed, which keep what was
    made: other tests go to whichever process is free.
    """
    scopes = {name: defs[-1].scope for name, defs in item._fixtureinfo.name2fixturedefs.items()}  # type: ignore[attr-defined]
    dear = next((group for name, group in _DEAR.items() if name in scopes), "")
    if dear or "module" in scopes.values() or "/simulator/" in item.nodeid:
        item.add_marker(pytest.mark.xdist_group(dear or item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """Leaves what is loaded by now out of every garbage collection to come, which then come seldom."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, then faults, which wait more than they work."""
    items.sort(key=lambda item: (not item.get_closest_marker("timeout"), "/faults/" not in item.nodeid))
