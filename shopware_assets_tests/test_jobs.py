"""The jobs: what they ask for, what comes of it, and what they refuse in one sentence."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.job_base import InMemoryJob

from resources.lake import polars_schema
from resources.landing import FolderLanding, Landed, Unreachable
from resources.settings import Environment, Settings
from resources.world import LakeResource
from sensors.alerts import TOLD
from sensors.requests import Request
from shopware_assets import jobs
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import bronze, silver
from shopware_assets.definitions import build_defs
from shopware_assets.jobs import NotDone
from shopware_assets.ledger import ALLOWED

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


@pytest.mark.parametrize("feed", [None, "grocery", "shop"])
def test_what_has_landed_of_a_feed_is_ingested(
    feed: str | None, asked: Callable[..., list[Request]], tmp_path: Path
) -> None:
    landed = tmp_path / "landing/shop/orders/2025-06-01.csv"
    landed.parent.mkdir(parents=True)
    landed.touch()
    found = [request.span for request in asked("ingest", "ingest_landed", feed=feed)]
    assert found == ([] if feed == "grocery" else [("2025-06-01", "2025-06-01")])


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [
        ("ingest", "ingest_landed", {"feed": "shops"}),
        ("rebuild", "rebuild_range", {"tables": ["silver/shops"], "first": "2025-06-01", "last": "2025-06-01"}),
    ],
)
def test_a_name_that_is_none_is_refused_before_there_is_a_run(
    job: str, op: str, config: Any, asked: Callable[..., list[Request]]
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="shops"):
        asked(job, op, **config)


@pytest.mark.parametrize("day", ["", "June", "2025-06-31", "2025-06-01-10:00"])
def test_a_day_that_is_none_is_named(day: str, asked: Callable[..., list[Request]]) -> None:
    with pytest.raises(NotDone, match=f"^'{day}' is no day: write YYYY-MM-DD.$"):
        asked("rebuild", "rebuild_range", tables=["silver/orders"], first="2025-06-01", last=day)


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


# --- runs that are made -----------------------------------------------------------------------------------------------

ORDERS = CONTRACTS["orders"]
DAY = datetime(2025, 6, 1, tzinfo=UTC)


class World:
    """A lake, and an object of stock and one of two orders that have landed."""

    def __init__(self, home: Path) -> None:
        (home / "landing").mkdir()
        settings = Settings(home=home, environment=Environment.TEST)
        self.defs, self.lake = build_defs(settings), LakeResource(url=settings.lake_url).open()
        landing = FolderLanding(settings.landing_url)
        rows = "".join(f"{id},u,shipped,2025-06-01T10:00:00,1,,,\n" for id in "ab")
        header = "order_id,user_id,status,created_at,num_of_item,shipped_at,delivered_at,returned_at\n"
        landing.put("shop/orders/2025-06-01.csv", (header + rows).encode())
        landing.put("inventory/2025-06-01-10.jsonl", b"{}")

    def execute(self, job: str, **ops: Any) -> dg.ExecuteInProcessResult:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        with dg.DagsterInstance.ephemeral() as instance:
            found = self.defs.resolve_job_def(job)
            return found.execute_in_process(run_config={"ops": ops} | quiet, instance=instance, raise_on_error=False)

    @property
    def orders(self) -> tuple[int, int]:
        """How many rows of bronze, without markers, and of silver."""
        in_bronze = self.lake.scan(bronze(ORDERS), [DAY]).collect().height
        return in_bronze, self.lake.rows(silver(ORDERS))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    # Only where Dagster has loaded a code location itself does a run know its repository.
    monkeypatch.setattr(InMemoryJob, "get_repository_definition", lambda _: world.defs.get_repository_def())
    return world


def test_an_object_that_cannot_be_reached_stops_no_other_feed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = FolderLanding.fetch

    def refuse(landing: FolderLanding, landed: Landed) -> Any:
        if landed.key.startswith("inventory/"):
            raise Unreachable("permission denied")
        return fetch(landing, landed)

    monkeypatch.setattr(FolderLanding, "fetch", refuse)
    assert world.orders == (0, 0)
    result = world.execute("ingest")
    assert world.orders == (2, 2)
    (step,) = (event for event in result.all_events if event.is_step_failure)
    assert not result.success and step.step_failure_data.error
    (said,) = re.findall("The run failed: .*", step.step_failure_data.error.message)
    assert said.startswith("The run failed: inventory, objects: 1, 2025-06-01-10:00. ")
    assert said.endswith("inventory/2025-06-01-10.jsonl: permission denied")


def test_tables_are_made_again(world: World) -> None:
    stray = pl.DataFrame([{"created_date": DAY.date()}] * 3, schema=polars_schema(silver(ORDERS)))
    world.lake.replace(silver(ORDERS), stray, [DAY])
    assert world.orders == (0, 3)
    days = dict.fromkeys(("first", "last"), f"{DAY:%Y-%m-%d}")
    config = {"tables": ["silver/orders", "bronze/orders"], **days}
    assert world.execute("rebuild", rebuild_range={"config": config}).success
    assert world.orders == (2, 2), "bronze first"


def test_tables_in_which_alerts_are_kept_are_compacted_too(world: World) -> None:
    for id in "ab":
        world.lake.add_missing(TOLD, pl.DataFrame({"id": [id], "kind": ["settled"], "subject": ["shop"]}), key="id")
        one = pl.DataFrame([{"table_name": id, "window": "", "objects": ""}])
        world.lake.replace(ALLOWED, one, None, predicate=f"table_name = '{id}'")
    assert world.execute("compact").success
    assert [world.lake.counts(table)["files"].sum() for table in (TOLD, ALLOWED)] == [1, 1]
    assert sorted(world.lake.scan(TOLD).collect()["id"]) == ["a", "b"]
