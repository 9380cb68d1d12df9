"""A commit whose reply is lost is made once, and what made it succeeds."""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import pytest

from deploy.stand_ins import S3
from resources.settings import storage_options
from shopware_assets import report
from shopware_assets_tests.arrival import oracle
from shopware_assets_tests.arrival.history import Story
from shopware_assets_tests.arrival.world import CASES
from shopware_assets_tests.faults.losing_proxy import Fate, LosingProxy, losing_proxy

pytestmark = pytest.mark.long

CASE = "line sent again, of an order not there yet"


@pytest.fixture
def proxy(seaweedfs: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[LosingProxy]:
    with losing_proxy(seaweedfs.endpoint) as proxy:
        for name, value in dataclasses.replace(seaweedfs, endpoint=proxy.endpoint).settings.items():
            monkeypatch.setenv(name, value)
        yield proxy


def is_commit(method: str, path: str) -> bool:
    return method == "PUT" and "/_delta_log/" in path and path.endswith(".json")


def test_a_story_on_s3_without_faults(seaweedfs: S3, proxy: LosingProxy) -> None:
    story = told(seaweedfs)
    assert not story.differences(oracle.tables(story.drops))
    assert not proxy.lost


@pytest.mark.parametrize("fate", ["dropped", "failed"])
def test_the_reply_to_every_commit_is_lost(fate: Fate, seaweedfs: S3, proxy: LosingProxy) -> None:
    proxy.fate = lambda method, path: fate if is_commit(method, path) else "passed"
    story = told(seaweedfs)
    assert not story.differences(oracle.tables(story.drops))
    assert len(proxy.lost) > 30
    for table in report.tables():
        writes = Counter(commit.get("shopware.write_id") for commit in story.lake.history(table))
        print(table.name, writes.most_common(1))


def told(s3: S3) -> Story:
    before, after = CASES[CASE]
    root = f"s3://{s3.fresh_bucket()}/lake"
    story = Story(root, [*before, *after], storage_options(root))
    story.ingest(before)
    story.settle()
    story.finish()
    return story
