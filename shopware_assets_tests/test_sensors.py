"""The sensors: what they ask for, when they ask again, and what they tell; each tick on an instance of its own."""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import boto3
import dagster as dg
import polars as pl
import pytest

from deploy.stand_ins import S3
from resources import landing as landing_module
from resources.lake import Lake
from resources.notifications import Event
from resources.settings import Environment, Settings
from resources.world import LakeResource, LandingResource
from sensors import definitions as sensor_definitions
from sensors import healing
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.definitions import build_defs
from shopware_assets.staleness import Stale
from shopware_assets.transforms import ANSWERS

HEADER = "order_id,user_id,status,created_at,num_of_item,shipped_at,delivered_at,returned_at\n"
SHOP = ["bronze/orders", "silver/orders", "silver/orders_rejected"]


def orders(day: str, *statuses: str) -> bytes:
    rows = (
        f"{day}-{number},u,{status},{day}T10:00:00,1,,,\n" for number, status in enumerate(statuses or ("shipped",))
    )
    return (HEADER + "".join(rows)).encode()


class Recorder(dg.ConfigurableResource):
    """Notifications that are kept."""

    def publish(self, event: Event) -> None:
        sent.append(event)


sent: list[Event] = []


@dataclass
class World:
    """A code location on a lake of its own, and an instance that remembers its runs."""

    settings: Settings
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    cursors: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.defs = build_defs(self.settings)
        sent.clear()

    @property
    def lake(self) -> Lake:
        return LakeResource(url=self.settings.lake_url).open()

    def drop(self, key: str, body: bytes) -> None:
        LandingResource(url=self.settings.landing_url).open().put(key, body)

    def tick(self, sensor: str) -> Any:
        """One evaluation, with the cursor that the one before left."""
        repository = self.defs.get_repository_def()
        definition = repository.get_sensor_def(sensor)
        resources = {**repository.get_top_level_resources(), "notifications": Recorder()}
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=repository,
            resources={name: resources[name] for name in definition.required_resource_keys},
        )
        found = definition.evaluate_tick(context)
        self.cursors[sensor] = found.cursor
        return found

    def asked(self, sensor: str) -> list[tuple[list[str], tuple[str, str], int]]:
        """What a tick asks for: assets, range of windows, and which attempt it is."""
        return [facts(request) for request in self.tick(sensor).run_requests]

    def run(self, request: dg.RunRequest) -> bool:
        job = self.defs.resolve_implicit_global_asset_job_def()
        selection, tags = list(request.asset_selection or ()), dict(request.tags)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return job.execute_in_process(
            instance=self.instance, asset_selection=selection, tags=tags, run_config=quiet, raise_on_error=False
        ).success

    def end(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """Records a run of the request without making it."""
        self.instance.create_run_for_job(
            self.defs.resolve_implicit_global_asset_job_def(),
            tags=dict(request.tags),
            status=status,
            asset_selection=frozenset(request.asset_selection or ()),
        )

    def settle(self) -> None:
        """Runs what the sensors ask for, until they ask for nothing."""
        names = ["landing_shop", "landing_inventory", "healing"]
        while requests := [request for name in names for request in self.tick(name).run_requests]:
            assert all(self.run(request) for request in requests)


def facts(request: dg.RunRequest) -> tuple[list[str], tuple[str, str], int]:
    tags = request.tags
    span = tuple(tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end"))
    assets = [key.to_user_string() for key in request.asset_selection or ()]
    return assets, span, int(tags["shopware/attempt"])  # type: ignore[return-value]


@pytest.fixture
def world(tmp_path: Any) -> World:
    (tmp_path / "landing").mkdir()
    return World(Settings(home=tmp_path, environment=Environment.TEST))


@pytest.fixture(scope="session")
def good_home(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Path:
    """Two good orders of one day, settled; not to be changed."""
    return settled_home(tmp_path_factory.mktemp("good"), "shipped", "pending")


@pytest.fixture(scope="session")
def held_home(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Path:
    """One good order and two bad ones of one day, settled, so that the day is held; not to be changed."""
    return settled_home(tmp_path_factory.mktemp("held"), "shipped", "lost", "lost")


def settled_home(home: Path, *statuses: str) -> Path:
    (home / "landing").mkdir()
    world = World(Settings(home=home, environment=Environment.TEST))
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01", *statuses))
    world.settle()
    return home


@pytest.fixture
def good(good_home: Path, tmp_path: Path) -> World:
    """On a lake of two good orders of one day, settled."""
    return World(Settings(home=shutil.copytree(good_home, tmp_path / "good"), environment=Environment.TEST))


@pytest.fixture
def held(held_home: Path, tmp_path: Path) -> World:
    """On a settled lake that holds a day: one order is good, two are bad."""
    return World(Settings(home=shutil.copytree(held_home, tmp_path / "held"), environment=Environment.TEST))


# --- landing ----------------------------------------------------------------------------------------------------------


def test_new_objects_are_asked_for_once(world: World) -> None:
    assert world.tick("landing_shop").skip_message == "Nothing to do."
    for day in ("2025-06-01", "2025-06-02", "2025-06-05"):
        world.drop(f"shop/orders/{day}.csv", orders(day))
    world.drop("inventory/2025-06-01-10.json", b"")
    found = world.tick("landing_shop")
    assert [facts(request) for request in found.run_requests] == [(SHOP, ("2025-06-01", "2025-06-05"), 1)]
    assert world.asked("landing_inventory") == [
        (
            ["bronze/inventory", "silver/inventory", "silver/inventory_rejected"],
            ("2025-06-01-10:00", "2025-06-01-10:00"),
            1,
        )
    ]
    assert world.run(found.run_requests[0])
    assert world.tick("landing_shop").skip_message == "Nothing to do."
    world.drop("shop/orders/2025-06-02.csv", orders("2025-06-02", "shipped", "pending"))
    assert world.asked("landing_shop") == [(SHOP, ("2025-06-02", "2025-06-02"), 1)], "a new version"


def test_ranges_far_apart_are_runs_of_their_own(world: World) -> None:
    for day in ("2025-01-03", "2025-06-01", "2025-06-02"):
        world.drop(f"shop/orders/{day}.csv", orders(day))
    assert [span for _, span, _ in world.asked("landing_shop")] == [
        ("2025-01-03", "2025-01-03"),
        ("2025-06-01", "2025-06-02"),
    ]


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_what_is_under_way_is_not_asked_for_again(world: World, status: str) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    (request,) = world.tick("landing_shop").run_requests
    world.end(request, dg.DagsterRunStatus(status))
    assert world.tick("landing_shop").skip_message == "1 ranges under way."
    world.drop("shop/orders/2025-12-01.csv", orders("2025-12-01"))
    assert [span for _, span, _ in world.asked("landing_shop")] == [("2025-12-01", "2025-12-01")], "another range is"


def test_what_a_person_has_launched_is_not_asked_for_beside_it(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    (request,) = world.tick("landing_shop").run_requests
    tags = {name: value for name, value in request.tags.items() if name.startswith("dagster/")}
    world.end(
        dg.RunRequest(asset_selection=[dg.AssetKey(["bronze", "orders"])], tags=tags), dg.DagsterRunStatus.STARTED
    )
    assert world.tick("landing_shop").skip_message == "1 ranges under way."


@pytest.mark.parametrize("status", ["SUCCESS", "CANCELED"])
def test_what_has_ended_and_is_still_missing_is_asked_for_again(world: World, status: str) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    (request,) = world.tick("landing_shop").run_requests
    world.end(request, dg.DagsterRunStatus(status))
    assert world.asked("landing_shop") == [(SHOP, ("2025-06-01", "2025-06-01"), 1)]


@pytest.mark.long
def test_what_is_still_missing_after_three_runs_that_succeeded_is_given_up(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    for request in world.tick("landing_shop").run_requests:
        world.run(request)
    for _ in range(3):
        (request,) = world.tick("healing").run_requests
        assert "run_failed" not in told(world)
        world.end(request, dg.DagsterRunStatus.SUCCESS)
    assert "Given up after three attempts: gold/order_kpis_daily" in world.tick("healing").skip_message
    assert "gold/order_kpis_daily, windows: 1, 2025-06-01: three runs have not settled it." in told(world)["run_failed"]
    world.drop("shop/orders/2025-06-02.csv", orders("2025-06-02"))
    world.settle()
    assert "settled" in told(world), "what is missing has changed"


def test_a_failed_range_is_asked_for_in_halves_three_times_in_all(world: World) -> None:
    days = [f"2025-06-0{day}" for day in (1, 2, 3, 4)]
    for day in days:
        world.drop(f"shop/orders/{day}.csv", orders(day))

    def fail(asked: Sequence[dg.RunRequest]) -> None:
        for request in asked:
            world.end(request, dg.DagsterRunStatus.FAILURE)

    rounds = []
    for _ in range(3):
        asked = world.tick("landing_shop").run_requests
        rounds.append([(*facts(request)[1], facts(request)[2]) for request in asked])
        fail(asked)
    assert rounds == [
        [("2025-06-01", "2025-06-04", 1)],
        [("2025-06-01", "2025-06-02", 2), ("2025-06-03", "2025-06-04", 2)],
        [(day, day, 3) for day in days],
    ]
    skipped = world.tick("landing_shop").skip_message
    assert skipped.startswith("Given up after three attempts: orders, objects: 1, 2025-06-01; ")

    world.drop("shop/orders/2025-06-02_more.csv", orders("2025-06-02"))
    assert world.asked("landing_shop")[0][1:] == (("2025-06-01", "2025-06-04"), 1), "what is missing has changed"


@pytest.mark.long
def test_one_window_that_fails_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in ("2025-06-01", "2025-06-02", "2025-06-03", "2025-06-04"):
        world.drop(f"shop/orders/{day}.csv", orders(day))
    fetch = landing_module.FolderLanding.fetch

    def broken(self: Any, landed: Any) -> Any:
        if "06-03" in landed.key:
            raise RuntimeError("a broken disk")
        return fetch(self, landed)

    monkeypatch.setattr(landing_module.FolderLanding, "fetch", broken)
    ticks = 0
    while asked := world.tick("landing_shop").run_requests:
        ticks += 1
        for request in asked:
            world.run(request)
    assert ticks == 3
    assert "Given up" in world.tick("landing_shop").skip_message
    done = ledger.markers(world.lake, CONTRACTS["orders"])["source"].to_list()
    assert sorted(done) == [f"shop/orders/2025-06-0{day}.csv" for day in (1, 2, 4)]


def test_what_failed_a_day_ago_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    for _ in range(3):
        world.end(world.tick("landing_shop").run_requests[0], dg.DagsterRunStatus.FAILURE)
    assert not world.tick("landing_shop").run_requests
    monkeypatch.setattr("sensors.requests._FORGET_AFTER", timedelta(0))
    assert world.asked("landing_shop")[0][2] == 1


@pytest.mark.parametrize("seconds", [0.0, 20.0])
def test_a_tick_lists_in_pages_and_the_next_one_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """With no time at all a tick still gets one page further; with enough, one tick sees it all."""
    monkeypatch.setattr(sensor_definitions, "_TICK", seconds)
    monkeypatch.setattr("resources.landing.limits.PAGE", 2)
    *days, last = (str(date(2025, 1, 1) + timedelta(days=40 * n)) for n in range(8))  # too far apart to share a run
    for day in days:
        world.drop(f"shop/orders/{day}.csv", orders(day))
    world.drop(f"shop/order_items/{last}.csv", b"")
    found: list[list[str]] = []
    while not found or world.cursors["landing_shop"] != "{}":
        found.append([span[0] for _, span, _ in world.asked("landing_shop")])
        assert len(found) < 20, "it never gets to the end"
    if seconds:
        assert found == [[*days, last]]
    else:
        assert found == [days[:2], days[2:4], days[4:6], days[6:], [last], []], "the control: several ticks"
    world.drop("shop/orders/2024.csv", orders("2025-01-01"))
    assert world.asked("landing_shop"), "the next listing begins anew: what sorts before is found"


# --- landing, with notices --------------------------------------------------------------------------------------------


@dataclass
class Bucket:
    """A landing bucket whose notices come by a queue, when a test sends them."""

    name: str
    queue: str
    sqs: Any

    def announce(self, key: str, bucket: str = "", event: str = "ObjectCreated:Put") -> None:
        notice = {
            "eventName": event,
            "s3": {"bucket": {"name": bucket or self.name}, "object": {"key": quote_plus(key)}},
        }
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps({"Records": [notice]}))

    def waiting(self) -> int:
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@pytest.fixture
def bucket(seaweedfs: S3, moto: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", moto)
    sqs = boto3.client("sqs", endpoint_url=moto)
    return Bucket(seaweedfs.fresh_bucket(), sqs.create_queue(QueueName=f"q{uuid4().hex}")["QueueUrl"], sqs)


@pytest.fixture
def announced(bucket: Bucket, tmp_path: Any) -> World:
    """A world whose sensors have just listed, so that they wait for notices."""
    landing = f"s3://{bucket.name}/landing"
    world = World(Settings(home=tmp_path, landing=landing, landing_queue=bucket.queue, environment=Environment.TEST))
    assert not world.tick("landing_shop").run_requests
    assert not world.tick("landing_inventory").run_requests
    return world


def test_notices_come_first_and_a_listing_finds_what_they_missed(announced: World, bucket: Bucket) -> None:
    for day in ("2025-06-01", "2025-09-01"):
        announced.drop(f"shop/orders/{day}.csv", orders(day))
    assert not announced.tick("landing_shop").run_requests, "the control: it does not list"
    bucket.announce("landing/shop/orders/2025-06-01.csv")
    (request,) = announced.tick("landing_shop").run_requests
    assert facts(request)[1] == ("2025-06-01", "2025-06-01")
    assert bucket.waiting() == 0
    assert announced.run(request)

    listed = json.loads(announced.cursors["landing_shop"] or "")["listed"]
    announced.cursors["landing_shop"] = json.dumps({"listed": listed - 301})
    assert [span for _, span, _ in announced.asked("landing_shop")] == [("2025-09-01", "2025-09-01")]
    assert json.loads(announced.cursors["landing_shop"] or "")["listed"] > listed - 1


def test_an_announced_object_is_not_forgotten_while_it_has_to_wait(announced: World, bucket: Bucket) -> None:
    announced.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    bucket.announce("landing/shop/orders/2025-06-01.csv")
    (request,) = announced.tick("landing_shop").run_requests
    for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(announced, "instance", dg.DagsterInstance.ephemeral())
            announced.end(request, status)
            found = announced.tick("landing_shop")
            if status is dg.DagsterRunStatus.STARTED:
                assert found.skip_message == "1 ranges under way."
            else:
                assert [facts(again)[2] for again in found.run_requests] == [2]
    assert announced.run(request)
    assert announced.tick("landing_shop").skip_message == "Nothing to do."
    assert json.loads(announced.cursors["landing_shop"] or "")["waiting"] == []


def test_where_too_many_objects_wait_landing_is_listed(
    announced: World, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.landing._WAITING", 1)
    for day in ("2025-06-01", "2025-09-01"):
        announced.drop(f"shop/orders/{day}.csv", orders(day))
        bucket.announce(f"landing/shop/orders/{day}.csv")
    for _ in range(2):
        assert len(announced.tick("landing_shop").run_requests) == 2
        assert len(json.loads(announced.cursors["landing_shop"] or "")["waiting"]) == 1


@pytest.mark.parametrize("name", ["a b+c%41 ü 2025-06-01.csv", "2025-06-01/x=1/part.csv"])
def test_a_notice_names_its_key_escaped(announced: World, bucket: Bucket, name: str) -> None:
    announced.drop(f"shop/orders/{name}", orders("2025-06-01"))
    bucket.announce(f"landing/shop/orders/{name}")
    assert [span for _, span, _ in announced.asked("landing_shop")] == [("2025-06-01", "2025-06-01")]


def test_a_feed_leaves_the_notices_of_others(announced: World, bucket: Bucket) -> None:
    announced.drop("inventory/2025-06-01-10.json", b"")
    bucket.announce("landing/inventory/2025-06-01-10.json")
    assert not announced.tick("landing_shop").run_requests
    assert bucket.waiting() == 1
    assert [span[0] for _, span, _ in announced.asked("landing_inventory")] == ["2025-06-01-10:00"]
    assert bucket.waiting() == 0


def test_a_notice_of_nothing_is_taken_off_the_queue(announced: World, bucket: Bucket) -> None:
    bucket.announce("landing/shop/orders/gone.csv")
    bucket.announce("landing/shop/orders/x.csv", bucket="another")
    bucket.announce("landing/shop/orders/x.csv", event="ObjectRemoved:Delete")
    bucket.announce("landing/unknown/x.csv")
    bucket.sqs.send_message(QueueUrl=bucket.queue, MessageBody="no notice at all")
    bucket.sqs.send_message(QueueUrl=bucket.queue, MessageBody=json.dumps({"Event": "s3:TestEvent"}))
    assert not announced.tick("landing_shop").run_requests
    assert bucket.waiting() == 0


# --- healing ----------------------------------------------------------------------------------------------------------

ITEM = "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,sale_price\n"


@pytest.mark.long
def test_a_child_that_came_first_is_healed(world: World) -> None:
    line = "a,2025-06-01-0,u,p,shipped,2025-06-03T10:00:00,,,,5\n"
    world.drop("shop/order_items/2025-06-03.csv", f"{ITEM}{line}".encode())
    world.settle()
    assert world.lake.scan(silver(CONTRACTS["order_items"])).collect().is_empty()
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    world.drop("shop/products/1.csv", b"id,sku,name\np,s,n\n")
    for request in world.tick("landing_shop").run_requests:
        world.run(request)
    asked = world.asked("healing")
    assert (["silver/order_items", "silver/order_items_rejected"], ("2025-06-03", "2025-06-03"), 1) in asked
    world.settle()
    assert world.lake.scan(silver(CONTRACTS["order_items"])).collect()["order_date"].to_list() == [date(2025, 6, 1)]


def test_it_looks_only_when_something_has_changed(good: World) -> None:
    good.settle()
    assert good.tick("healing").skip_message == "Nothing has changed."
    good.drop("shop/orders/2025-06-02.csv", orders("2025-06-02"))
    for request in good.tick("landing_shop").run_requests:
        good.run(request)
    assert [assets for assets, _, _ in good.asked("healing")] == [["gold/order_kpis_daily"]]


@pytest.mark.long
def test_it_looks_again_when_the_rules_have_changed(held: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held.settle()
    assert held.tick("healing").skip_message == "Nothing has changed."
    held.defs = build_defs(held.settings.model_copy(update={"reject_threshold": 0.9}))
    assert held.asked("healing") == [(["gold/order_kpis_daily"], ("2025-06-01", "2025-06-01"), 1)]
    monkeypatch.setitem(CONTRACTS, "orders", dataclasses.replace(CONTRACTS["orders"], row_rules=()))
    assert held.asked("healing") == [(["silver/orders", "silver/orders_rejected"], ("2025-06-01", "2025-06-01"), 1)]


@pytest.mark.long
def test_it_looks_again_when_a_definition_has_changed(good: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good.settle()
    assert good.tick("healing").skip_message == "Nothing has changed."
    answer = dataclasses.replace(ANSWERS["order_kpis_daily"], description="Something else.")
    monkeypatch.setitem(ANSWERS, "order_kpis_daily", answer)
    assert good.asked("healing") == [(["gold/order_kpis_daily"], ("2025-06-01", "2025-06-01"), 1)]


@pytest.mark.long
def test_what_reads_gold_is_made_in_the_same_run(world: World) -> None:
    record = '{"inventory_id": 1, "product_id": 1, "warehouse_id": 2, "stock_level": 3, "last_updated": 1748736939}'
    world.drop("inventory/2025-06-01-00.jsonl", record.encode())
    for request in world.tick("landing_inventory").run_requests:
        world.run(request)
    (request,) = world.tick("healing").run_requests
    daily, of_stock = "gold/inventory_daily", ["stockouts", "inventory_current", "product_performance_daily"]
    assert facts(request) == ([daily, *(f"gold/{name}" for name in of_stock)], ("2025-06-01", "2025-06-01"), 1)
    assert world.run(request)
    assert [world.lake.rows(ANSWERS[name].table) for name in ("inventory_daily", *of_stock)] == [1, 0, 1, 0]
    assert "table_emptied" not in told(world), "sales are still to come"
    assert world.asked("healing") == []


@pytest.mark.parametrize(
    ("others", "follows"),
    [
        ({}, True),
        ({"sales_by_product_daily": {"windows": frozenset({"2025-05-30"})}}, False),
        ({"sales_by_product_daily": {"waiting": frozenset({"2025-05-30"})}}, False),
        ({"inventory_daily": {"waiting": frozenset({"2025-05-30"})}}, False),
        ({"grocery_daily": {"windows": frozenset({"2025-05-30"})}}, True),
    ],
)
def test_what_waits_for_something_else_does_not_follow(others: dict[str, dict[str, Any]], follows: bool) -> None:
    day = frozenset({"2025-06-01"})
    stale = {name: {"windows": frozenset[str](), **others.get(name, {})} for name in ANSWERS}
    stale["inventory_daily"]["windows"] = day
    gold = [Stale(answer.table, **stale[name]) for name, answer in ANSWERS.items()]
    (assets,) = [assets for assets, group in healing._together(gold, False) if group[0].windows == day]
    assert ("gold/product_performance_daily" in assets) == follows


@pytest.mark.long
def test_days_after_those_of_a_run_are_told_of_too(world: World) -> None:
    """Stock of an earlier day comes later: what it leaves to the days after it is made at once, by that run."""
    name = ANSWERS["inventory_daily"].table.name
    for day, at in ((3, 1748909739), (1, 1748736939)):
        record = (
            f'{{"inventory_id": 1, "product_id": {day}, "warehouse_id": 2, "stock_level": 3, "last_updated": {at}}}'
        )
        world.drop(f"inventory/2025-06-0{day}-00.jsonl", record.encode())
        world.settle()
    told = {}
    for record in world.instance.fetch_materializations(dg.AssetKey(name.split("/")), limit=10).records[::-1]:
        told[record.partition_key] = record.asset_materialization.metadata["dagster/partition_row_count"].value
    assert told == {"2025-06-01": 1, "2025-06-02": 1, "2025-06-03": 2}


@pytest.mark.long
def test_a_refund_from_before_the_start_stops_nothing(world: World) -> None:
    """It is kept, with a warning; only gold has no such day."""
    lines = "a,2025-06-01-0,u,p,returned,2025-06-01T10:00:00,,,2024-12-20T10:00:00,5\n"
    world.drop("shop/order_items/2025-06-01.csv", f"{ITEM}{lines}".encode())
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    world.drop("shop/products/1.csv", b"id,sku,name\np,s,n\n")
    world.settle()
    kept = world.lake.scan(silver(CONTRACTS["order_items"])).select("refund_date", "_warnings").collect()
    assert kept.rows() == [(date(2024, 12, 20), "times_in_order")]
    kpis = world.lake.scan(ANSWERS["order_kpis_daily"].table).select("order_date", "total_revenue", "refunds").collect()
    assert kpis.rows() == [(date(2025, 6, 1), 5, 0)]
    assert world.tick("healing").skip_message == "Nothing has changed."


def test_what_a_run_has_done_while_it_was_looked_for_is_not_asked_for_again(
    good: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good.drop("shop/orders/2025-06-02.csv", orders("2025-06-02"))
    for request in good.tick("landing_shop").run_requests:
        good.run(request)
    (request,) = good.tick("healing").run_requests
    good.end(request, dg.DagsterRunStatus.STARTED)
    (run,) = good.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    wanted = sensor_definitions.healing.wanted

    def meanwhile(*looked: Any) -> list[Any]:
        found = list(wanted(*looked))
        good.instance.report_run_canceled(run)
        return found

    monkeypatch.setattr(sensor_definitions.healing, "wanted", meanwhile)
    assert good.asked("healing") == []
    assert len(good.asked("healing")) == 1, "the control: it is still wanted"


@pytest.mark.long
def test_stale_windows_under_way_or_failed(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    for request in world.tick("landing_shop").run_requests:
        world.run(request)
    for attempt in (1, 2, 3):
        (request,) = world.tick("healing").run_requests
        assert facts(request)[2] == attempt
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world, "instance", dg.DagsterInstance.ephemeral())
            world.end(request, dg.DagsterRunStatus.STARTED)
            assert world.tick("healing").skip_message == "1 ranges under way."
        world.end(request, dg.DagsterRunStatus.FAILURE)
    assert "Given up after three attempts: gold/order_kpis_daily" in world.tick("healing").skip_message


def test_a_table_without_windows_is_not_judged_beside_its_landing(world: World) -> None:
    world.drop("stores/2025-06-01.csv", b"store_id,region,city,opened_on\n1,north,Kiel,2020-01-01\n")
    (request,) = world.tick("landing_pos").run_requests
    assert world.run(request._replace(asset_selection=[dg.AssetKey(["bronze", "stores"])])), "so far it has come"
    stale = (["silver/stores", "silver/stores_rejected"], ("", ""), 1)
    assert world.asked("healing") == [stale], "the control"
    world.end(request, dg.DagsterRunStatus.STARTED)
    assert world.tick("healing").skip_message == "1 ranges under way."


@pytest.mark.long
def test_a_run_that_fails_halfway_is_given_up_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt replaces the rows and fails at the ledger: that it changed tables is no reason for another one."""
    write = ledger.write

    def failing(lake: Lake, into: Any, table: Any, *rest: Any) -> None:
        if into is ledger.LEDGER and table.name == "silver/orders":
            raise RuntimeError("a broken disk")
        write(lake, into, table, *rest)

    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    monkeypatch.setattr(ledger, "write", failing)
    for request in world.tick("landing_shop").run_requests:
        assert not world.run(request)
    attempts = 0
    while asked := world.tick("healing").run_requests:
        attempts += 1
        assert attempts <= 3
        assert not any(world.run(request) for request in asked)
    assert "Given up" in world.tick("healing").skip_message
    monkeypatch.setattr(ledger, "write", write)
    world.drop("shop/orders/2025-06-02.csv", orders("2025-06-02"))
    world.settle()
    assert world.lake.scan(silver(CONTRACTS["orders"])).collect().height == 2, "and healed when something comes"


LINES = "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,sale_price\n"
SNAPSHOT = (
    '{"inventory_id": 1, "product_id": 1, "warehouse_id": 2, "stock_level": 3, "restock_threshold": 4,'
    ' "last_updated": 17487%05d}\n'
)


@pytest.fixture
def never_computed(world: World) -> World:
    """With a day whose sum fits into no column."""
    line = "{n},2025-06-01-0,u,p,shipped,2025-06-01T10:00:00,,,,90000000000000\n"
    world.drop("shop/products/2025-06-01.csv", b"id,sku,name,category\np,s,n,c\n")
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    world.drop("shop/order_items/2025-06-01.csv", (LINES + "".join(line.format(n=n) for n in range(3))).encode())
    for request in world.tick("landing_shop").run_requests:
        assert world.run(request)
    return world


@pytest.mark.long
def test_what_is_given_up_stays_so_when_something_else_comes(never_computed: World) -> None:
    world, failed = never_computed, 0
    while asked := world.tick("healing").run_requests:
        failed += sum(not world.run(request) for request in asked)
    assert failed == 3
    assert "three runs failed" in told(world)["run_failed"]
    world.drop("inventory/2025-05-31-10.jsonl", (SNAPSHOT % 0).encode())
    world.settle()
    assert "Given up" in world.tick("healing").skip_message
    assert "run_failed" not in told(world)


@pytest.mark.long
def test_what_fails_again_with_every_file_is_told_once_a_day(never_computed: World) -> None:
    """Each file gives the day something else to do, so that nothing is ever tried three times."""
    world, messages = never_computed, []
    for number in range(5):
        world.drop(f"inventory/2025-06-01-00-{number}.jsonl", (SNAPSHOT % (36000 + number)).encode())
        for request in world.tick("landing_inventory").run_requests:
            assert world.run(request)
        ran = [(facts(request), world.run(request)) for request in world.tick("healing").run_requests]
        print(ran)
        print(ran)
        messages.append("run_failed" in told(world))
    assert messages == [False, False, True, False, False]


@pytest.mark.long
def test_gold_waits_for_a_held_window_until_it_is_allowed(held: World) -> None:
    held.drop("shop/orders/2025-06-02.csv", orders("2025-06-02", "shipped", "pending"))
    held.settle()
    kpis = pl.scan_delta(f"{held.settings.lake_url}/gold/order_kpis_daily")
    assert kpis.collect()["order_date"].to_list() == [date(2025, 6, 2)]
    assert not held.tick("healing").run_requests
    ledger.allow(held.lake, silver(CONTRACTS["orders"]), "2025-06-01")
    assert held.asked("healing") == [(["gold/order_kpis_daily"], ("2025-06-01", "2025-06-01"), 1)]
    held.settle()
    held.drop("shop/orders/2025-06-01_3.csv", orders("2025-06-01", "shipped", "lost", "lost", "lost"))
    held.settle()
    windows = ledger.held_windows(held.lake, held.settings.reject_threshold)
    assert windows["window"].to_list() == ["2025-06-01"], "its objects have changed"


# --- alerts -----------------------------------------------------------------------------------------------------------


def told(world: World) -> dict[str, str]:
    """What a tick tells: kind of message -> its text."""
    sent.clear()
    world.tick("alerts")
    return {event.kind: f"{event.subject}\n{event.text}" for event in sent}


def test_a_held_window_is_told_once_with_what_to_do(held: World) -> None:
    found = told(held)["window_held"]
    assert "silver/orders" in found
    assert "2025-06-01: 2 of 3 rows rejected (status_known 2)." in found
    assert "`shopware rejects silver/orders --window WINDOW` shows the rows" in found
    assert "`shopware allow silver/orders WINDOW`" in found
    assert told(held) == {}
    held.cursors.clear()
    assert told(held) == {}, "nor when Dagster has forgotten: the lake knows"
    held.drop("shop/orders/2025-06-01_2.csv", orders("2025-06-01", "lost", "lost", "lost", "shipped"))
    held.settle()
    assert "window_held" in told(held), "it is another case now"


def test_missing_columns_are_told(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", b"order_id,user_id,created_at\n1,u,2025-06-01\n")
    world.settle()
    assert (
        "shop/orders/2025-06-01.csv lacks status, returned_at, shipped_at, delivered_at, num_of_item."
        in told(world)["columns_missing"]
    )


@pytest.mark.long
def test_an_emptied_table_is_told_of_and_again_only_when_it_had_rows_meanwhile(good: World) -> None:
    assert "table_emptied" not in told(good)
    good.drop("shop/orders/2025-06-01.csv", orders("2025-06-01", "lost"))
    good.settle()
    assert "silver/orders" in told(good)["table_emptied"]
    good.drop("shop/orders/2025-06-01_2.csv", orders("2025-06-01", "lost"))
    good.settle()
    assert "table_emptied" not in told(good)
    good.drop("shop/orders/2025-06-01_2.csv", orders("2025-06-01", "shipped"))
    good.settle()
    assert "table_emptied" not in told(good)
    good.drop("shop/orders/2025-06-01_2.csv", orders("2025-06-01", "lost", "lost"))
    good.settle()
    assert "table_emptied" in told(good)


@pytest.mark.long
def test_lines_that_wait_for_their_orders_are_no_emptied_table(world: World) -> None:
    world.drop("shop/order_items/2025-06-03.csv", f"{ITEM}a,o,u,p,shipped,2025-06-03T10:00:00,,,,5\n".encode())
    world.settle()
    assert "table_emptied" not in told(world)
    world.drop("shop/order_items/2025-06-03_2.csv", f"{ITEM}b,o,u,p,stolen,2025-06-03T10:00:00,,,,5\n".encode())
    world.settle()
    assert "silver/order_items" in told(world)["table_emptied"], "the control: one is rejected for good"


@pytest.mark.long
def test_a_rule_that_only_warns_is_told_of_when_many_break_it(world: World) -> None:
    late = "{n},u,shipped,2025-06-0{day}T10:00:00,1,2025-05-01T10:00:00,,\n"
    many = "".join(late.format(n=n, day=1) for n in range(3))
    few = late.format(n="x", day=2) + "".join(f"y{n},u,shipped,2025-06-02T10:00:00,1,,,\n" for n in range(99))
    world.drop("shop/orders/2025-06-01.csv", (HEADER + many).encode())
    world.drop("shop/orders/2025-06-02.csv", (HEADER + few).encode())
    world.settle()
    found = told(world)["rule_share"]
    assert "2025-06-01: 3 of 3 rows break times_in_order." in found
    assert "2025-06-02" not in found
    world.drop("shop/orders/2025-06-01_2.csv", (HEADER + late.format(n="z", day=1)).encode())
    world.settle()
    assert "rule_share" not in told(world), "one more row is no news"


def test_books_that_do_not_balance_are_told(good: World) -> None:
    assert "books_unbalanced" not in told(good), "the control"
    handle = good.lake.open(silver(CONTRACTS["orders"]))
    assert handle
    handle.delete("order_id = '2025-06-01-0'")
    found = told(good)["books_unbalanced"]
    assert "accepted 2" in found and "stored_accepted 1" in found


@pytest.mark.long
def test_books_of_a_window_that_is_being_made_are_open(good: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told(good)
    good.drop("shop/orders/2025-06-01_2.csv", orders("2025-06-01", *["shipped"] * 3))
    write, meanwhile = ledger.write, []

    def look_first(lake: Lake, into: Any, *rest: Any) -> None:
        if into is ledger.LINEAGE:
            meanwhile.append(told(good))
        write(lake, into, *rest)

    monkeypatch.setattr(ledger, "write", look_first)
    for request in good.tick("landing_shop").run_requests:
        assert good.run(request)
    assert meanwhile == [{}]


def test_rows_that_are_not_judged_yet_are_no_unbalanced_books(good: World) -> None:
    good.drop("shop/orders/2025-06-01_2.csv", orders("2025-06-01", "shipped", "pending"))
    (request,) = good.tick("landing_shop").run_requests
    assert good.run(request._replace(asset_selection=[dg.AssetKey(["bronze", "orders"])]))
    assert "books_unbalanced" not in told(good)


def test_a_run_that_failed_for_good_is_told_and_one_that_may_be_tried_again_is_not(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    for attempt in (1, 2, 3):
        assert "run_failed" not in told(world), attempt
        (request,) = world.tick("landing_shop").run_requests
        world.end(request, dg.DagsterRunStatus.FAILURE)
    assert "orders, objects: 1, 2025-06-01: three runs failed." in told(world)["run_failed"]
    assert told(world) == {}


def test_a_run_that_fails_while_nothing_else_changes_is_told(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    for _ in range(2):
        world.end(world.tick("landing_shop").run_requests[0], dg.DagsterRunStatus.FAILURE)
    world.end(world.tick("landing_shop").run_requests[0], dg.DagsterRunStatus.STARTED)
    assert told(world) == {}, "the third is under way"
    (run,) = world.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    world.instance.report_run_failed(run)
    assert "run_failed" in told(world)


def test_a_job_that_fails_every_hour_is_told_once_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("a broken disk")

    def run(name: str, **config: Any) -> bool:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = world.defs.resolve_job_def(name)
        return job.execute_in_process(instance=world.instance, run_config=quiet | config, raise_on_error=False).success

    assert run("archive") and told(world) == {}, "the control"
    monkeypatch.setattr(landing_module.FolderLanding, "pages", refuse)
    assert not run("archive")
    assert told(world) == {
        "run_failed": "archive: failed for good (1)\narchive: its run failed.\nThe run's log says why."
    }
    assert not run("archive") and told(world) == {}
    assert not run("ingest")
    assert told(world)["run_failed"].splitlines()[1] == "ingest: its run failed."
    never = {"tables": ["silver/orders"], "first": "", "last": ""}
    assert not run("rebuild", ops={"rebuild_range": {"config": never}})
    monkeypatch.setattr(Lake, "compact", refuse)
    assert not run("compact")
    told(world)
    assert [event.subject for event in sent] == ["compact: failed for good (1)", "rebuild: failed for good (1)"]
    (*_, first) = world.instance.get_run_records(
        dg.RunsFilter(job_name="archive", statuses=[dg.DagsterRunStatus.FAILURE])
    )
    tomorrow = first._replace(create_timestamp=first.create_timestamp + timedelta(days=1))
    monkeypatch.setattr(world.instance, "get_run_records", lambda *_, **__: [tomorrow])
    assert "archive: its run failed." in told(world)["run_failed"]


@pytest.mark.long
def test_a_settled_range_is_told_once(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01", "shipped", "lost", *["pending"] * 8))
    world.drop("shop/orders/2025-06-02.csv", orders("2025-06-02"))
    world.drop("shop/orders/2025-06-09.csv", orders("2025-06-09"))
    world.settle()
    sent.clear()
    world.tick("alerts")
    assert [(event.subject, event.text) for event in sent if event.kind == "settled"] == [
        (
            "shop: settled 2025-06-01 to 2025-06-02",
            "2 files, 11 rows read, 10 accepted, 1 rejected, 0 superseded, 2 gold days renewed.",
        ),
        (
            "shop: settled 2025-06-09",
            "1 files, 1 rows read, 1 accepted, 0 rejected, 0 superseded, 1 gold days renewed.",
        ),
    ]
    world.drop("shop/orders/2025-06-10.csv", orders("2025-06-10"))
    world.settle()
    assert list(told(world)) == ["settled"]
    assert told(world) == {}


@pytest.mark.long
def test_nothing_is_called_settled_while_something_is_to_be_done(world: World) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    (request,) = world.tick("landing_shop").run_requests
    assert "settled" not in told(world)
    world.run(request)
    assert "settled" not in told(world), "gold is still to come"
    world.settle()
    assert "settled" in told(world)


@pytest.mark.long
def test_a_feed_is_settled_although_another_is_not(world: World) -> None:
    world.drop("inventory/2025-06-01-10.json", b"")
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    for name in ("landing_shop", "landing_inventory"):
        for request in world.tick(name).run_requests:
            assert world.run(request)
    assert told(world)["settled"].startswith("inventory: settled 2025-06-01-10:00")
    for _ in range(3):
        world.end(world.tick("healing").run_requests[0], dg.DagsterRunStatus.FAILURE)
    assert list(told(world)) == ["run_failed"], "what is given up is not settled"
    world.drop("shop/orders/2025-06-02.csv", orders("2025-06-02"))
    world.settle()
    assert told(world)["settled"].startswith("shop: settled")


@pytest.mark.long
def test_days_that_were_not_renewed_do_not_count(world: World) -> None:
    """The second day is held, so gold leaves it."""
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01"))
    world.drop("shop/orders/2025-06-02.csv", orders("2025-06-02", "shipped", "lost"))
    world.settle()
    assert "2 files, 3 rows read, 2 accepted, 1 rejected, 0 superseded, 1 gold days renewed." in told(world)["settled"]


def test_landing_that_cannot_be_listed_does_not_stop_alerts(held: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("no such folder")

    monkeypatch.setattr(landing_module.FolderLanding, "pages", refuse)
    with pytest.raises(Exception, match="no such folder"):
        held.tick("landing_shop")
    assert {"window_held", "settled"} <= set(told(held))


def test_settled_messages_can_be_turned_off(good: World) -> None:
    assert told(World(good.settings.model_copy(update={"notify_success": False}))) == {}
    assert list(told(good)) == ["settled"], "the control"


@pytest.mark.long
def test_what_could_not_be_sent_is_told_at_the_next_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("shop/orders/2025-06-01.csv", orders("2025-06-01", "lost"))
    world.settle()

    def refuse(self: Recorder, event: Event) -> None:
        raise ConnectionError("no way out")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "publish", refuse)
        with pytest.raises(Exception, match="no way out"):
            world.tick("alerts")
    assert {"window_held", "table_emptied", "settled"} <= set(told(world))


def test_alerts_go_to_the_topic(held: World, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the real resource: message, id and kind arrive in a queue that is subscribed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", moto)
    sns, sqs = (boto3.client(service, endpoint_url=moto) for service in ("sns", "sqs"))
    topic = sns.create_topic(Name=f"t{uuid4().hex}")["TopicArn"]
    queue = sqs.create_queue(QueueName=f"q{uuid4().hex}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    defs = build_defs(held.settings.model_copy(update={"alerts_topic": topic}))
    repository = defs.get_repository_def()
    resources = repository.get_top_level_resources()
    context = dg.build_sensor_context(held.instance, repository_def=repository, resources=resources)
    repository.get_sensor_def("alerts").evaluate_tick(context)
    bodies = [json.loads(message["Body"]) for message in _received(sqs, queue)]
    kinds = {body["MessageAttributes"]["kind"]["Value"] for body in bodies}
    assert {"window_held", "settled"} <= kinds
    assert all(body["MessageAttributes"]["event_id"]["Value"] in body["Message"] for body in bodies)


def _received(sqs: Any, queue: str) -> Iterator[dict[str, Any]]:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        if not messages:
            return
        yield from messages
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
