"""The jobs: what they ask for, and what they refuse in one sentence."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.settings import Settings
from sensors.requests import Request
from shopware_assets import jobs
from shopware_assets.definitions import build_defs
from shopware_assets.jobs import NotDone

TODAY = datetime.now(UTC).date()
TOMORROW, DAY_AFTER = (str(TODAY + timedelta(days=days)) for days in (1, 2))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Request]]:
    """Executes a job on an empty lake that starts on 2025-01-01: the runs it asks for, which are not made."""
    settings = Settings(home=tmp_path, start=date(2025, 1, 1))
    Path(settings.landing_url).mkdir()
    requests: list[Request] = []
    monkeypatch.setattr(jobs, "_run", lambda _, more: requests.extend(more))

    def execute(job: str, op: str, **config: Any) -> list[Request]:
        found = build_defs(settings).resolve_job_def(job)
        with dg.DagsterInstance.ephemeral() as instance:
            found.execute_in_process(run_config={"ops": {op: {"config": config}}}, instance=instance)
        return requests

    return execute


@pytest.mark.parametrize("feed", ["", "grocery", "shop"])
def test_what_has_landed_of_a_feed_is_ingested(feed: str, asked: Callable[..., list[Request]], tmp_path: Path) -> None:
    landed = tmp_path / "landing/shop/orders/2025-06-01.csv"
    landed.parent.mkdir(parents=True)
    landed.touch()
    found = [request.span for request in asked("ingest", "ingest_landed", feed=feed)]
    assert found == ([] if feed == "grocery" else [("2025-06-01", "2025-06-01")])


def test_a_feed_that_is_none_is_named_with_those_there_are(asked: Callable[..., list[Request]]) -> None:
    with pytest.raises(NotDone, match=r"There is no feed 'shops'; there are (?=.*grocery)(?=.*inventory).*shop"):
        asked("ingest", "ingest_landed", feed="shops")


@pytest.mark.parametrize("table", ["silver/orders", "silver/inventory", "silver/stores"])
@pytest.mark.parametrize(
    ("first", "last"), [("2024-12-31", "2025-01-01"), ("2025-01-02", "2025-01-01"), (DAY_AFTER, "2999-01-01")]
)
def test_days_that_the_lake_does_not_have_are_not_made_again(
    table: str, first: str, last: str, asked: Callable[..., list[Request]]
) -> None:
    with pytest.raises(NotDone, match=re.escape(f"There are no windows from {first} to {last}: ")):
        asked("rebuild", "rebuild_range", tables=[table], first=first, last=last)


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [
        ("2025-01-01", "2025-01-01", ("2025-01-01", "2025-01-01")),
        (TOMORROW, "2999-01-01", (TOMORROW, TOMORROW)),
    ],
)
def test_days_are_made_again_as_far_as_there_are_any(
    first: str, last: str, span: tuple[str, str], asked: Callable[..., list[Request]]
) -> None:
    (request,) = asked("rebuild", "rebuild_range", tables=["silver/orders"], first=first, last=last)
    assert request.span == span
