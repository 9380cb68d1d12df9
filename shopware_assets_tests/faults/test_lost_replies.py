"""A commit whose reply is lost is made once, and what made it succeeds."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import polars as pl
import pytest
from deltalake import DeltaTable

from deploy.stand_ins import S3
from resources.lake import Lake
from resources.settings import storage_options
from shopware_assets.contracts.tables import Table
from shopware_assets_tests.arrival import oracle
from shopware_assets_tests.arrival.history import Story
from shopware_assets_tests.arrival.world import CASES
from shopware_assets_tests.faults.losing_proxy import LosingProxy, losing_proxy

BEFORE, _ = CASES["snapshot sent again"]


@contextmanager
def lossy(s3: S3) -> Iterator[tuple[Story, LosingProxy]]:
    """A story in a lake that loses the reply to every commit."""
    with losing_proxy(s3.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in dataclasses.replace(s3, endpoint=proxy.endpoint).settings.items():
            patch.setenv(name, value)
        root = s3.fresh_folder()
        yield Story(root, BEFORE, storage_options(root)), proxy


def test_the_reply_to_every_commit_is_lost(seaweedfs: S3) -> None:
    with lossy(seaweedfs) as (story, proxy):
        story.finish()
        assert not story.differences(oracle.tables(story.drops))
    assert len(proxy.lost) >= 20


@pytest.mark.long
def test_rows_double_where_a_commit_is_repeated_without_a_look_in_the_log(
    seaweedfs: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    append_once = Lake.append_once

    def blindly(self: Lake, table: Table, batches: Callable[[DeltaTable], Iterator[pl.DataFrame]], *, guard: str):
        frames = list(batches(self._made(table)))
        attempts = iter([frames, frames])
        append_once(self, table, lambda _: next(map(iter, attempts), None), guard=guard)

    monkeypatch.setattr(Lake, "append_once", blindly)
    monkeypatch.setattr(Lake, "_version_of", lambda *_: None)
    with lossy(seaweedfs) as (story, _):
        story.ingest(BEFORE)
        wrong = story.differences({"bronze/inventory": oracle.tables(BEFORE)["bronze/inventory"]})
    assert len(wrong) == 3
    assert all(line.startswith("bronze/inventory has too much 1 x") for line in wrong)
