"""Days served to DynamoDB (dynamodb-local: real conditions and transactions), through throttling, kills and races."""

import threading
import time
from collections.abc import Callable, Container
from datetime import date
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import dagster as dg
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from resources import lookups as module
from resources.lookups import CONTROL, Lookups, LookupTable, NotServed, Published
from resources.settings import Misconfigured
from sensors.requests import Request, digest
from shopware_assets.settle import execute

DAY = "2025-03-01"
LAKE = "lake-1"
REVENUES = [  # of a day, in versions 0, 1 and 2 of gold: 5 changes from 0 to 1, 6 from 1 to 2
    {"Jeans": "1", "Suits": "1", "Swim": "1"},
    {"Suits": "2", "Socks": "2", "Active": "2"},
    {"Socks": "3", "Jeans": "3", "Plus": "3", "Tops": "3"},
]


@pytest.fixture(scope="module")
def session(no_account: None) -> boto3.session.Session:
    """Reads botocore's description of DynamoDB once, not for each of the many clients here."""
    return boto3.session.Session()


@pytest.fixture
def lookups(dynamodb: str, session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> Lookups:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb)
    monkeypatch.setattr(boto3.session, "Session", lambda: session)
    return Lookups(retry_seconds=0)


@pytest.fixture
def table(lookups: Lookups) -> LookupTable:
    """A table like category_kpis, for one test."""
    table = LookupTable(f"category_kpis_{uuid4().hex}", "category", "order_date", "order_date")
    lookups.ensure(table)
    return table


@pytest.fixture(params=["one transaction", "several"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The calls from version 0 to 1 of a day: read and write, or read, begin, 2 changes, 2 more, 1 and the end."""
    if request.param == "one transaction":
        return 2
    monkeypatch.setattr(module, "_CHANGES", 2)
    return 5


def items(revenues: dict[str, str], day: str = DAY) -> list[dict[str, Any]]:
    return [{"category": c, "order_date": day, "daily_revenue": Decimal(r)} for c, r in revenues.items()]


def publish(lookups: Lookups, table: LookupTable, number: int, day: str = DAY, lake: str = LAKE) -> Published:
    return lookups.publish(table, day, items(REVENUES[number], day), (lake, number))


def stored(lookups: Lookups, table: LookupTable, day: str = DAY) -> dict[str, str]:
    """Revenue by category of a day, as an application reads it; each item has exactly the attributes given."""
    found = {}
    for page in lookups.client.get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True):
        for item in page["Items"]:
            assert item.keys() == {"category", "order_date", "daily_revenue"}
            if item["order_date"]["S"] == day:
                found[item["category"]["S"]] = item["daily_revenue"]["N"]
    return found


class Killed(BaseException):
    """The process ends here."""


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def refusal(code: str, *reasons: str, status: int = 400) -> Callable[[], Any]:
    """What botocore gives for a call that DynamoDB refuses."""
    parsed = {"Error": {"Code": code, "Message": "injected"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    cancelled = {"CancellationReasons": [{"Code": reason} for reason in reasons]} if reasons else {}
    return lambda: (SimpleNamespace(status_code=status), parsed | cancelled)


def acting(
    at: Container[int], act: Callable[[], Any], heard: bool = True, spoil: Callable[..., None] | None = None
) -> tuple[Lookups, list[str]]:
    """A resource that acts before its calls number `at` (from 0), or after DynamoDB did them (not `heard`).
    A reply from the act stands in for the call. `spoil` changes what is asked for. Beside it, the calls made."""
    lookups, made = Lookups(retry_seconds=0), list[str]()

    def handle(model: Any, **_: Any) -> Any:
        made.append(model.name)
        reply = act() if len(made) - 1 in at else None
        return reply if isinstance(reply, tuple) else None

    lookups.client.meta.events.register("before-call.dynamodb" if heard else "after-call.dynamodb", handle)
    if spoil:
        lookups.client.meta.events.register("before-parameter-build.dynamodb.TransactWriteItems", spoil)
    return lookups, made


def without_conditions(params: dict[str, Any], **_: Any) -> None:
    """A mutant: no transaction looks at what stands."""
    params["TransactItems"] = [action for action in params["TransactItems"] if "ConditionCheck" not in action]
    for action in params["TransactItems"]:
        for change in action.values():
            change.pop("ConditionExpression", None)
            change.pop("ExpressionAttributeValues", None)


def without_old_keys(params: dict[str, Any], **_: Any) -> None:
    """A mutant: a day that is begun does not record the keys served so far."""
    item = params["TransactItems"][0].get("Put", {}).get("Item", {})
    if item.get("is_complete") == {"BOOL": False}:
        item["served_keys"] = {"L": []}


# ---- what is written


def test_items_have_the_attributes_given_and_no_others(lookups: Lookups, table: LookupTable) -> None:
    item = {
        "category": "Jeans",
        "order_date": date(2025, 3, 1),
        "daily_revenue": Decimal("2153497.9700"),
        "avg_order_value": Decimal("1234567890123456789012345678901234.5678"),
        "avg_return_rate": 0.1,
        "total_orders": 7,
        "missing": None,
    }
    assert lookups.publish(table, DAY, [item], (LAKE, 0)) == Published(put=1, deleted=0)
    assert lookups.client.scan(TableName=table.name)["Items"] == [
        {
            "category": {"S": "Jeans"},
            "order_date": {"S": "2025-03-01"},
            "daily_revenue": {"N": "2153497.97"},
            "avg_order_value": {"N": "1234567890123456789012345678901234.5678"},
            "avg_return_rate": {"N": "0.1"},
            "total_orders": {"N": "7"},
        }
    ]


def test_a_day_becomes_exactly_its_items(lookups: Lookups, table: LookupTable, calls: int) -> None:
    publish(lookups, table, 0, "2025-02-28")
    assert publish(lookups, table, 0) == Published(put=3, deleted=0)
    assert stored(lookups, table) == REVENUES[0]
    assert publish(lookups, table, 1) == Published(put=3, deleted=2)
    assert stored(lookups, table) == REVENUES[1]
    assert publish(lookups, table, 2) == Published(put=4, deleted=2)
    assert stored(lookups, table) == REVENUES[2]
    assert stored(lookups, table, "2025-02-28") == REVENUES[0]
    assert lookups.served(table) == {"2025-02-28": (LAKE, 0), DAY: (LAKE, 2)}


@pytest.mark.parametrize(("before", "after", "transactions"), [(0, 99, 1), (0, 100, 3), (99, 198, 4)])
def test_a_day_larger_than_a_transaction(
    lookups: Lookups, table: LookupTable, before: int, after: int, transactions: int
) -> None:
    lookups.publish(table, DAY, items({f"old{n}": "1" for n in range(before)}), (LAKE, 0))
    counted, made = acting((), Killed)
    revenues = {f"new{n}": "2" for n in range(after)}
    assert counted.publish(table, DAY, items(revenues), (LAKE, 1)) == Published(put=after, deleted=before)
    assert made == ["GetItem"] + ["TransactWriteItems"] * transactions
    assert stored(lookups, table) == revenues


def test_the_same_version_again_repairs(lookups: Lookups, table: LookupTable, calls: int) -> None:
    publish(lookups, table, 1)
    lookups.client.delete_item(TableName=table.name, Key={"category": {"S": "Suits"}, "order_date": {"S": DAY}})
    wrong = {"category": {"S": "Socks"}, "order_date": {"S": DAY}, "nonsense": {"S": "x"}}
    lookups.client.put_item(TableName=table.name, Item=wrong)
    assert publish(lookups, table, 1) == Published(put=3, deleted=0)
    assert stored(lookups, table) == REVENUES[1]


def test_an_emptied_day_stays_empty_for_older_versions(lookups: Lookups, table: LookupTable) -> None:
    publish(lookups, table, 0)
    assert lookups.publish(table, DAY, [], (LAKE, 2)) == Published(put=0, deleted=3)
    assert publish(lookups, table, 1) == Published(put=0, deleted=0, refused=True)
    assert stored(lookups, table) == {}
    assert lookups.served(table) == {DAY: (LAKE, 2)}


def test_a_day_that_is_one_item(lookups: Lookups) -> None:
    table = LookupTable(f"order_kpis_{uuid4().hex}", "order_date", None, "order_date")
    lookups.ensure(table)
    for version, orders in enumerate((3, 4)):
        lookups.publish(table, DAY, [{"order_date": DAY, "total_orders": orders}], (LAKE, version))
        found = lookups.client.scan(TableName=table.name)["Items"]
        assert found == [{"order_date": {"S": DAY}, "total_orders": {"N": str(orders)}}]
    assert lookups.publish(table, DAY, [], (LAKE, 2)) == Published(put=0, deleted=1)
    assert lookups.client.scan(TableName=table.name)["Items"] == []


def test_a_rebuilt_lake_starts_again_at_low_versions(lookups: Lookups, table: LookupTable) -> None:
    lookups.publish(table, DAY, items(REVENUES[0]), (LAKE, 90))
    assert publish(lookups, table, 1, lake="lake-2") == Published(put=3, deleted=2)
    assert stored(lookups, table) == REVENUES[1]
    assert lookups.served(table) == {DAY: ("lake-2", 1)}


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ({"category": "Jeans", "order_date": "2025-03-02"}, "of this day"),
        ({"category": None, "order_date": DAY}, "needs its key"),
        ({"category": "", "order_date": DAY}, "needs its key"),
        ({"category": 7, "order_date": DAY}, "as text"),
        ({"category": "Jeans", "order_date": DAY, "rate": float("nan")}, "NaN"),
        ({"category": "Jeans", "order_date": DAY, "rate": 5e-324}, "5e-324"),
        ({"category": "Jeans", "order_date": DAY, "rate": Decimal("1." + "1" * 38)}, "cannot hold"),
        ({"category": "Socks", "order_date": DAY}, "two items"),
        ({"category": "ü" * 1025, "order_date": DAY}, "category has at most 2,048 bytes, not 2,050: üü"),
    ],
)
def test_items_that_do_not_fit_are_not_sent(item: dict[str, Any], complaint: str) -> None:
    table = LookupTable("category_kpis", "category", "order_date", "order_date")
    silent, made = acting((), Killed)
    with pytest.raises(ValueError, match=f"category_kpis {DAY}: .*{complaint}"):
        silent.publish(table, DAY, [*items({"Socks": "1"}), item], (LAKE, 1))
    assert made == []


def test_more_keys_than_the_control_item_holds_change_nothing(lookups: Lookups, table: LookupTable) -> None:
    publish(lookups, table, 0)
    many = {f"{'x' * 60}{n}": "1" for n in range(7_000)}
    with pytest.raises(NotServed, match=f"{table.name} {DAY} .*Item size"):
        lookups.publish(table, DAY, items(many), (LAKE, 1))
    assert stored(lookups, table) == REVENUES[0]
    assert lookups.served(table) == {DAY: (LAKE, 0)}


# ---- kills and races


def check_kills(lookups: Lookups, table: LookupTable, heard: bool, spoil: Callable[..., None] | None = None) -> int:
    """Ends version 1 at each of its calls; then it runs again, or first an older or a newer one. Returns its calls."""
    for call in count():
        for follow in ([1], [0, 1], [2, 1]):
            day = uuid4().hex
            publish(lookups, table, 0, day)
            victim, made = acting({call}, raising(Killed()), heard, spoil)
            try:
                publish(victim, table, 1, day)
                return len(made)
            except Killed:
                assert stored(lookups, table, day) in REVENUES[:2] or day not in lookups.served(table)
            for number in follow:
                publish(lookups, table, number, day)
            assert stored(lookups, table, day) == REVENUES[max(follow)], f"killed at call {call}, then {follow}"
            assert lookups.served(table)[day] == (LAKE, max(follow))
    raise AssertionError("never whole")


@pytest.mark.parametrize("heard", [True, False], ids=["before", "after"])
def test_a_kill_at_any_call_leaves_what_a_run_completes(
    lookups: Lookups, table: LookupTable, calls: int, heard: bool
) -> None:
    assert check_kills(lookups, table, heard) == calls


def test_a_begun_day_that_forgot_its_old_keys_would_be_noticed(
    lookups: Lookups, table: LookupTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHANGES", 2)
    with pytest.raises(AssertionError, match="killed at call"):
        check_kills(lookups, table, heard=True, spoil=without_old_keys)


def check_race(
    lookups: Lookups, table: LookupTable, outer: int, inner: int, spoil: Callable[..., None] | None = None
) -> int:
    """Runs version `outer` up to each of its calls, then `inner` whole, then the rest of `outer`. Returns the calls of
    `outer` when nothing comes between."""
    rival, _ = acting((), Killed, spoil=spoil)
    for call in count():
        day = uuid4().hex
        publish(lookups, table, 0, day)
        racer, made = acting({call}, partial(publish, rival, table, inner, day), spoil=spoil)
        published = publish(racer, table, outer, day)
        if len(made) <= call:
            return len(made)
        newest = max(outer, inner)
        assert stored(lookups, table, day) == REVENUES[newest], f"{outer} stopped at call {call} for {inner}"
        assert lookups.served(table)[day] == (LAKE, newest)
        assert published.refused == (outer < inner)
    raise AssertionError("never alone")


@pytest.mark.parametrize(("outer", "inner"), [(1, 2), (2, 1), (1, 1)], ids=["older", "newer", "same"])
def test_the_newest_wins_every_race(lookups: Lookups, table: LookupTable, calls: int, outer: int, inner: int) -> None:
    assert check_race(lookups, table, outer, inner) >= calls


def test_races_without_the_version_condition_would_be_noticed(lookups: Lookups, table: LookupTable, calls: int) -> None:
    with pytest.raises(AssertionError, match="stopped at call"):
        check_race(lookups, table, outer=1, inner=2, spoil=without_conditions)


def test_an_older_version_never_comes_between_a_killed_newer_one_and_its_repetition(
    lookups: Lookups, table: LookupTable, calls: int
) -> None:
    for older_stops in range(calls):
        for newer_dies in range(calls):
            day = uuid4().hex
            publish(lookups, table, 0, day)
            newer, _ = acting({newer_dies}, raising(Killed()))

            def killed(newer: Lookups = newer, day: str = day) -> None:
                with pytest.raises(Killed):
                    publish(newer, table, 2, day)

            older, _ = acting({older_stops}, killed)
            publish(older, table, 1, day)
            publish(lookups, table, 2, day)
            assert stored(lookups, table, day) == REVENUES[2], f"older stopped at {older_stops}, newer at {newer_dies}"


def test_a_lake_that_was_rebuilt_meanwhile_wins(lookups: Lookups, table: LookupTable, calls: int) -> None:
    for call in range(1, calls):
        day = uuid4().hex
        lookups.publish(table, day, items(REVENUES[0], day), (LAKE, 7))
        racer, _ = acting({call}, partial(publish, lookups, table, 2, day, "lake-2"))
        assert racer.publish(table, day, items(REVENUES[1], day), (LAKE, 8)).refused
        assert stored(lookups, table, day) == REVENUES[2]
        assert lookups.served(table)[day] == ("lake-2", 2)


def test_one_that_is_overtaken_again_and_again_gives_up(lookups: Lookups, table: LookupTable) -> None:
    racer, made = acting(range(1, 99, 2), partial(publish, lookups, table, 1))
    with pytest.raises(NotServed, match=f"{table.name} {DAY} .*Others keep serving it"):
        publish(racer, table, 1)
    assert made == ["GetItem", "TransactWriteItems"] * 4
    assert stored(lookups, table) == REVENUES[1]


# ---- throttling and other refusals

LOST = raising(ReadTimeoutError(endpoint_url="http://test"))
PASSING = {
    "throttled": refusal("ThrottlingException"),
    "table throughput": refusal("ProvisionedThroughputExceededException"),
    "account throughput": refusal("RequestLimitExceeded"),
    "throttled item": refusal("TransactionCanceledException", "None", "ThrottlingError"),
    "item throughput": refusal("TransactionCanceledException", "ProvisionedThroughputExceeded", "None"),
    "conflict": refusal("TransactionCanceledException", "None", "TransactionConflict"),
    "in progress": refusal("TransactionInProgressException"),
    "server": refusal("InternalServerError", status=500),
    "no reply": LOST,
    "cut off": raising(ConnectionClosedError(endpoint_url="http://test")),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_is_tried_three_times_again_and_no_more(
    lookups: Lookups, table: LookupTable, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Any]
) -> None:
    """Nothing is ever left unprocessed in part, as by BatchWriteItem: transactions go through whole or not at all."""
    waits = list[tuple[float, float]]()

    def at_once(low: float, high: float) -> float:
        waits.append((low, high))
        return 0

    monkeypatch.setattr(module.random, "uniform", at_once)
    patient, made = acting(range(1, 4), fault)
    vars(patient)["retry_seconds"] = 0.5
    assert publish(patient, table, 0) == Published(put=3, deleted=0)
    assert made == ["GetItem"] + ["TransactWriteItems"] * 4
    assert waits == [(0, 0.5), (0, 1), (0, 2)]

    throttled, made = acting(range(1, 99), fault)
    with pytest.raises(NotServed, match=f"{table.name} {DAY} is not served and has to be served again: .+"):
        publish(throttled, table, 1)
    assert made == ["GetItem"] + ["TransactWriteItems"] * 4
    assert stored(lookups, table) == REVENUES[0]
    assert lookups.served(table) == {DAY: (LAKE, 0)}


@pytest.mark.parametrize("heard", [True, False], ids=["throttled", "reply lost"])
def test_one_fault_at_any_call_changes_nothing(lookups: Lookups, table: LookupTable, calls: int, heard: bool) -> None:
    """A lost reply leaves a transaction that went through; its repetition meets its own record."""
    for call in range(calls):
        day = uuid4().hex
        publish(lookups, table, 0, day)
        unlucky, _ = acting({call}, PASSING["throttled"] if heard else LOST, heard)
        assert not publish(unlucky, table, 1, day).refused
        assert stored(lookups, table, day) == REVENUES[1], f"fault at call {call}"
        assert lookups.served(table)[day] == (LAKE, 1)


def test_reading_what_is_served_is_tried_again(lookups: Lookups, table: LookupTable) -> None:
    publish(lookups, table, 0)
    unlucky, made = acting(range(3), PASSING["table throughput"])
    assert unlucky.served(table) == {DAY: (LAKE, 0)}
    assert made == ["Query"] * 4


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ResourceNotFoundException"])
def test_what_will_not_pass_is_tried_once(lookups: Lookups, table: LookupTable, code: str) -> None:
    refused, made = acting(range(1, 99), refusal(code))
    with pytest.raises(NotServed, match=f"{table.name} {DAY} .*{code}"):
        publish(refused, table, 1)
    assert made == ["GetItem", "TransactWriteItems"]


def requests_of_one_publish(retries: dict[str, Any]) -> int:
    """How many HTTP requests reach a server that always throttles, with these retries of botocore."""
    requests = list[bytes]()

    class Throttling(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            body = b'{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Throttling) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        lookups = Lookups(retry_seconds=0)
        config = lookups.client.meta.config.merge(Config(retries=retries))
        endpoint = f"http://127.0.0.1:{server.server_port}"
        vars(lookups)["client"] = boto3.session.Session().client("dynamodb", endpoint_url=endpoint, config=config)
        with pytest.raises(
            NotServed, match=f"order_kpis {DAY} .*ProvisionedThroughputExceeded.*Gave up after 3 retries"
        ):
            lookups.publish(LookupTable("order_kpis", "order_date", None, "order_date"), DAY, [], (LAKE, 0))
        server.shutdown()
        thread.join()
    return len(requests)


def test_botocore_does_not_multiply_the_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    ours = Lookups().client.meta.config.retries
    assert requests_of_one_publish(ours) == 4
    assert requests_of_one_publish({"mode": "standard", "total_max_attempts": 2}) == 8  # the control


# ---- tables and settings


def test_tables_are_made_once_and_on_demand(lookups: Lookups, table: LookupTable) -> None:
    lookups.ensure(table)
    for name, keys in ((table.name, ["category", "order_date"]), (CONTROL.name, ["served_table", "served_day"])):
        found = lookups.client.describe_table(TableName=name)["Table"]
        assert [(key["AttributeName"], key["KeyType"]) for key in found["KeySchema"]] == [
            (keys[0], "HASH"),
            (keys[1], "RANGE"),
        ]
        assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert found["TableStatus"] == "ACTIVE"


def test_a_table_with_another_key_is_not_taken(lookups: Lookups, table: LookupTable) -> None:
    with pytest.raises(NotServed, match=f"{table.name} has the key"):
        lookups.ensure(LookupTable(table.name, "order_date", None, "order_date"))


def test_the_day_is_part_of_the_key() -> None:
    with pytest.raises(ValueError, match="order_date, must be part of the key"):
        LookupTable("category_kpis", "category", None, "order_date")


def test_a_table_that_is_not_there_is_named(lookups: Lookups, table: LookupTable) -> None:
    absent = LookupTable("absent", "order_date", None, "order_date")
    with pytest.raises(NotServed, match=r"absent 2025-03-01 .*unless SHOPWARE_ENVIRONMENT is local or test"):
        lookups.publish(absent, DAY, [{"order_date": DAY}], (LAKE, 0))
    assert lookups.served(absent) == {}


@pytest.mark.parametrize(
    ("is_there", "says"),
    [
        (True, "Requested resource not found. The tables must be"),
        (False, "Could not connect to the endpoint URL"),
    ],
)
def test_a_run_that_fails_says_it_in_these_words(
    is_there: bool, says: str, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto if is_there else "http://127.0.0.1:1")

    @dg.asset(key=["serving", "absent"])
    def asset() -> None:
        absent = LookupTable("absent", "order_date", None, "order_date")
        Lookups(retry_seconds=0).publish(absent, DAY, [], (LAKE, 0))

    job = dg.Definitions([asset]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        why = execute(job, instance, Request(("serving/absent",), (), missing=digest, about=str))
    assert f"absent {DAY} is not served and has to be served again: " in why
    assert says in why
    assert "botocore" not in why


@pytest.mark.parametrize("missing", ["endpoint", "credentials", "region"])
def test_what_is_not_set_is_said_within_ten_seconds(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    if missing == "credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    if missing == "region":
        monkeypatch.delenv("AWS_REGION")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
    table, lookups = LookupTable("order_kpis", "order_date", None, "order_date"), Lookups()
    uses = [lambda: lookups.publish(table, DAY, [], (LAKE, 0)), lambda: lookups.ensure(table)]
    for use in uses:
        began = time.monotonic()
        with pytest.raises(NotServed, match=r"order_kpis.*Check AWS_ENDPOINT_URL_DYNAMODB .*AWS_DEFAULT_REGION"):
            use()
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("kept", ["", "AWS_ACCESS_KEY_ID"])
def test_credentials_that_are_not_set_are_told_before_all(monkeypatch: pytest.MonkeyPatch, kept: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    for name in {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} - {kept}:
        monkeypatch.delenv(name)
    with pytest.raises(Misconfigured, match=r"^AWS_ENDPOINT_URL_DYNAMODB is .* \(see AWS_ACCESS_KEY_ID\)\.$"):
        Lookups().check_endpoint()
