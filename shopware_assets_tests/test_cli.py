"""Every command: what it says to people and to programs, its exit code, and one sentence when something is wrong."""

import csv
import fcntl
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.types import DaemonHeartbeat
from deltalake import DeltaTable

from deploy.stand_ins import S3
from resources.lake import Lake
from resources.landing import FolderLanding, Gone
from resources.settings import Settings, prepare_home
from sensors.requests import asked_before
from sensors.watch import Watch
from shopware_assets import ledger
from shopware_assets import settle as settling
from shopware_assets.bronze import ingest
from shopware_assets.contracts import CONTRACTS, check_references
from shopware_assets.contracts.tables import silver
from shopware_assets.definitions import build_defs
from shopware_assets_tests.end_to_end.shopware import Shopware

ORDERS = """order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item
1,u1,shipped,2025-06-01T10:00:00,,,,1
2,u2,delivered,2025-06-01T11:00:00,,,,1
3,u3,pending,2025-06-01T12:00:00,,,,
4,u4,processing,2025-06-01T13:00:00,,,,
5,,teleported,2025-06-01T14:00:00,,,,
"""
ITEMS = """id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,sale_price
a,1,u1,p1,shipped,2025-06-01T10:00:00,,,,19.99
b,2,u2,p1,delivered,2025-06-01T11:00:00,,,,0.01
"""
PRODUCTS = "id,sku,name,category,brand,cost\np1,s1,Jeans,Jeans,Acme,7.5\np2,s2,Socks,Socks,,1\n"
FILE = "orders_2025-06-01.csv"  # the day of its rows, so that they are judged in the run that reads them
BAD_ORDERS = ORDERS.replace("shipped,2025", "lost,2025")  # two of five rejected


@pytest.fixture
def shopware(tmp_path: Path) -> Shopware:
    return Shopware(tmp_path / "home")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Shopware:
    """A small lake, settled; not to be changed."""
    shopware = Shopware(tmp_path_factory.mktemp("cli"))
    shopware.drop(f"shop/orders/{FILE}", ORDERS.encode())
    shopware.drop("shop/order_items/items_2025-06-01.csv", ITEMS.encode())
    shopware.drop("shop/products/products_2025-06-01.csv", PRODUCTS.encode())
    shopware("settle")
    return shopware


@pytest.fixture(scope="session")
def settled_orders(tmp_path_factory: pytest.TempPathFactory) -> Shopware:
    """Orders alone, settled; not to be changed."""
    shopware = Shopware(tmp_path_factory.mktemp("cli_orders"))
    shopware.drop(f"shop/orders/{FILE}", ORDERS.encode())
    shopware("settle")
    return shopware


@pytest.fixture
def shopware_of_orders(settled_orders: Shopware, tmp_path: Path) -> Shopware:
    """Orders alone, settled, in a home of its own."""
    return settled_orders.copied(tmp_path / "home")


@pytest.fixture
def tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is given up at once, where it does not matter how often it is tried."""
    monkeypatch.setattr("sensors.requests.ATTEMPTS", 1)


# --- what is set wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ENVIRONMENT", "prod", "'test', 'local' or 'aws'"),
        ("REJECT_THRESHOLD", "lots", "valid number"),
        ("REJECT_THRESHOLD", "1.5", "less than or equal to 1"),
        ("START", "2025-13-01", "valid date"),
        ("START", "2999-01-01", "future"),
        ("NOTIFY_SUCCESS", "perhaps", "boolean"),
        ("LAKE_ENCRYPTION", "rot13", "'aws:kms'"),
        ("LAKE", "gs://bucket/lake", "neither a folder nor s3://"),
        ("LANDING", "ftp://bucket/landing", "neither a folder nor s3://"),
        ("LANDING", "/nowhere/at/all", "not a folder"),
        ("HOME", "/dev/null/home", "cannot be read"),
        ("HOME", "/proc/home", "cannot be written to"),
        ("LAKE", "/proc/lake", "cannot be used"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str, says: str) -> None:
    found = Shopware(tmp_path / "home", {f"SHOPWARE_{name}": value})("settle", code=2)
    assert f"SHOPWARE_{name} is '{value}'" in found.stderr
    assert says in found.stderr
    assert found.stderr.count("\n") == 1, "one sentence"


@pytest.fixture(scope="session")
def silent_port() -> Iterator[int]:
    """A port whose connections are never made: its queue of them is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


@pytest.fixture(scope="session")
def mute_port() -> Iterator[int]:
    """A port whose connections are made, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


TROUBLE = {
    "no such bucket": "a bucket that does not exist",
    "unreachable": "whose endpoint cannot be reached (see AWS_ENDPOINT_URL_S3)",
    "silent": "whose endpoint does not answer (see AWS_ENDPOINT_URL_S3)",
    "mute": "whose endpoint does not answer (see AWS_ENDPOINT_URL_S3)",
    "no credentials": "and no credentials are set (see AWS_ACCESS_KEY_ID)",
    "unknown key": "which refuses the credentials (see AWS_ACCESS_KEY_ID)",
    "wrong secret": "which refuses the credentials (see AWS_SECRET_ACCESS_KEY)",
}


@pytest.fixture
def trouble(
    request: pytest.FixtureRequest, seaweedfs: S3, silent_port: int, mute_port: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, str | None], str]:
    """Settings of an S3 that cannot be used, and what has to be said of it."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would remember the credentials of other tests
    settings: dict[str, str | None] = {"AWS_ENDPOINT_URL_S3": seaweedfs.endpoint}
    match request.param:
        case "unreachable":
            settings["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
        case "silent":
            settings["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{silent_port}"
        case "mute":
            settings["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{mute_port}"
        case "no credentials":
            settings |= {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
        case "unknown key":
            settings["AWS_ACCESS_KEY_ID"] = "somebody"
        case "wrong secret":
            settings["AWS_SECRET_ACCESS_KEY"] = "guessed"
    return settings, TROUBLE[request.param]


COMMANDS: dict[str, list[list[str]]] = {
    "LAKE": [
        ["status"],
        ["settle"],
        ["ledger"],
        ["rejects", "silver/orders"],
        ["sql", "select count(*) from silver.orders"],
        ["allow", "silver/orders", "2025-06-01"],
    ],
    "LANDING": [["settle"]],
}


_WAITS_LIKE_ANOTHER = {("mute", "LAKE"), ("silent", "LANDING")}


@pytest.mark.parametrize(
    ("trouble", "where"),
    [
        pytest.param(trouble, where, marks=[pytest.mark.long] if (trouble, where) in _WAITS_LIKE_ANOTHER else [])
        for trouble in TROUBLE
        for where in COMMANDS
    ],
    indirect=["trouble"],
)
def test_an_s3_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, trouble: tuple[dict[str, str | None], str], where: str
) -> None:
    settings, says = trouble
    url = "s3://no-such-bucket/prefix"
    shopware = Shopware(tmp_path / "home", {**settings, f"SHOPWARE_{where}": url})
    for command in COMMANDS[where]:
        began = time.monotonic()
        found = shopware(*command, code=2)
        assert found.stderr == f"SHOPWARE_{where} is '{url}', {says}.\n", command
        if (took := time.monotonic() - began) > 1:  # to wait for the others as well would tell nothing new
            assert took < 8
            break


@pytest.mark.parametrize(
    "setting", ["AWS_ENDPOINT_URL_DYNAMODB", pytest.param("AWS_ENDPOINT_URL", marks=pytest.mark.long)]
)
def test_a_dynamodb_that_cannot_be_reached(shopware: Shopware, setting: str) -> None:
    shopware = Shopware(shopware.home, {setting: "http://127.0.0.1:9"})
    shopware.drop(f"shop/orders/{FILE}", ORDERS.encode())
    began = time.monotonic()
    said = shopware("settle", code=2).stderr
    assert said == f"{setting} is 'http://127.0.0.1:9', where no DynamoDB answers.\n"
    assert time.monotonic() - began < 8
    assert not shopware.exists("bronze/orders")


@pytest.mark.parametrize(
    ("muted", "says"),
    [(False, "cannot be reached"), pytest.param(True, "does not answer", marks=pytest.mark.long)],
)
def test_landing_at_an_s3_that_cannot_be_used(tmp_path: Path, mute_port: int, muted: bool, says: str) -> None:
    endpoint = f"http://127.0.0.1:{mute_port if muted else 9}"
    settings = {"SHOPWARE_LANDING": "s3://bucket", "AWS_ENDPOINT_URL": endpoint}
    began = time.monotonic()
    found = Shopware(tmp_path / "home", settings)("land", "inventory", __file__, code=2)
    assert found.stderr == f"SHOPWARE_LANDING is 's3://bucket', whose endpoint {says} (see AWS_ENDPOINT_URL).\n"
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SHOPWARE_LANDNG", "/tmp", "SHOPWARE_LANDNG is no setting; SHOPWARE_LANDING is."),
        ("AWS_ENDPOINT_URL", "localhost:80", "AWS_ENDPOINT_URL is 'localhost:80', which does not begin with http"),
        ("AWS_ENDPOINT_URL_S3", "http:/x", "AWS_ENDPOINT_URL_S3 is 'http:/x', which does not begin with http"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, says: str) -> None:
    found = Shopware(tmp_path / "home", {name: value})("status", code=2)
    assert found.stderr.startswith(says)
    assert found.stderr.count("\n") == 1, "one sentence"


def test_something_to_serve_to_in_no_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": None, "AWS_REGION": None}
    found = Shopware(tmp_path / "home", settings)("settle", code=2)
    assert found.stderr == "AWS_DEFAULT_REGION is not set, and DynamoDB needs it.\n"


def test_the_process_itself_says_it_in_one_sentence_and_in_time(tmp_path: Path) -> None:
    """As a person runs it, start-up included, with nothing set but what is wrong."""
    env = {"PATH": os.environ["PATH"], "SHOPWARE_ENVIRONMENT": "prod", "AWS_EC2_METADATA_DISABLED": "true"}
    began = time.monotonic()
    command = [str(Path(sys.executable).with_name("shopware")), "settle"]
    found = subprocess.run(command, check=False, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "SHOPWARE_ENVIRONMENT is 'prod': Input should be 'test', 'local' or 'aws'.\n"
    assert time.monotonic() - began < 10
    assert not list(tmp_path.iterdir()), "nothing was made"


# --- what is asked wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rejects", "silver/nothing"], "There is no table 'silver/nothing'; there are silver/inventory"),
        (["rejects", "silver/orders", "--rule", "nope"], "silver/orders has no rule 'nope'; it has record_readable"),
        (["ledger", "--feed", "nope"], "There is no feed 'nope'; there are grocery, inventory, pos, shop."),
        (["allow", "silver/orders", "2025-06-01"], "silver/orders 2025-06-01 is not held. Held: none."),
        (["allow", "gold/orders", "2025-06-01"], "There is no table 'gold/orders'"),
        (["land", "nope", __file__], "Nothing reads 'nope': sources land under grocery/order_items, grocery/orders"),
        (["land", "inventory", "/no/such/file"], "does not exist"),
        (["simulate", "--feed", "nope"], "unknown feed 'nope'"),
        (["simulate", "--start", "2025-02-30"], "--start"),
        (["simulate", "--days", "0"], "--days"),
        (["status", "--format", "xml"], "--format"),
        (["sql", "select * from silver.nothing"], "silver.nothing"),
        (["sql", "select nothing from silver.orders"], "nothing"),
        (["sql", "selec 1"], "not SQL"),
        (["sql", "select 'open"], "not SQL"),
        (["sql", ""], "One statement"),
        (["sql", "select interval '1 day' as i"], "i is or holds month_day_nano_interval"),
        (["sql", "select * from (select 1 as a) as x, (select 2 as a) as y"], "Several columns are called a"),
    ],
)
def test_what_is_asked_wrong_is_told(settled: Shopware, arguments: list[str], says: str) -> None:
    found = settled(*arguments, code=2)
    assert says in found.stderr
    assert not found.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "drop table silver.orders",
        "delete from silver.orders",
        "insert into silver.orders select * from silver.orders",
        "update silver.orders set status = 'x'",
        "create table t as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "create view v as select 1",
        "truncate table silver.orders",
        "alter table silver.orders rename to x",
        "copy silver.orders to '{file}'",
        "copy (select 1) to '{file}' stored as csv",
        "explain analyze copy (select 1) to '{file}' stored as csv",
        "explain copy (select 1) to '{file}'",
        "EXPLAIN ANALYZE VERBOSE insert into silver.orders select * from silver.orders",
        "set datafusion.execution.batch_size = 1",
        "select 1; drop table silver.orders",
        "select 1 into t",
        "with x as (delete from silver.orders returning *) select * from x",
        "describe select 1; drop table silver.orders",
        "/* select */ drop table silver.orders",
        "-- select\ndrop table silver.orders",
        "begin",
        "prepare p as drop table silver.orders",
        "execute p",
        "merge into silver.orders using silver.orders as s on true when matched then delete",
        "select * from '/etc/passwd'",
        "select * from read_csv('/etc/passwd')",
    ],
)
def test_sql_only_reads_the_lake(settled: Shopware, tmp_path: Path, statement: str) -> None:
    before = settled.table("silver/orders")
    settled("sql", "--", statement.format(file=tmp_path / "out.csv"), code=2)
    assert not list(tmp_path.iterdir()), "nothing was written"
    assert settled.table("silver/orders").equals(before)


# --- sql --------------------------------------------------------------------------------------------------------------


def test_sql_reads_every_layer(settled: Shopware) -> None:
    found = settled.json(
        "sql",
        "select b.order_id, s.status, g.total_revenue, l.accepted from bronze.orders b"
        " join silver.orders s on s.order_id = b.order_id join gold.order_kpis_daily g on g.order_date = s.created_date"
        " join ledger l on l.table_name = 'silver/orders' where b._line = 1",
    )
    assert found == [{"order_id": "1", "status": "shipped", "total_revenue": "20.0000", "accepted": 4}]


def test_sql_of_a_table_that_was_never_written_has_no_rows(settled: Shopware) -> None:
    assert settled.json("sql", "select * from gold.inventory_current") == []
    assert settled.json("sql", "select count(*) as n, sum(stock_level) as s from silver.inventory") == [
        {"n": 0, "s": None}
    ]
    columns = {line["column_name"] for line in settled.json("sql", "describe silver.inventory")}
    assert {"stock_level", "stock_status", "last_updated_hour", "_warnings"} <= columns


@pytest.mark.parametrize(
    "statement", ["show tables", "describe silver.orders", "explain select 1", "explain analyze select 1"]
)
def test_sql_tells_what_there_is(settled: Shopware, statement: str) -> None:
    assert settled.json("sql", statement)


VALUES = (
    "select cast('12345678901234.5678' as decimal(18, 4)) as money, date '2025-06-01' as day, 0.5 as share,"
    " timestamp '2025-06-01 10:00:00.25' as at, null as nothing, true as yes, cast('NaN' as double) as nan,"
    " 'a,\"b\"' as text, make_array(1, 2) as list, x'00ff' as bytes, 7 as number"
)


def test_json_is_exact(settled: Shopware) -> None:
    assert settled.json("sql", VALUES) == [
        {
            "money": "12345678901234.5678",
            "day": "2025-06-01",
            "share": 0.5,
            "at": "2025-06-01T10:00:00.250000",
            "nothing": None,
            "yes": True,
            "nan": None,
            "text": 'a,"b"',
            "list": [1, 2],
            "bytes": "00ff",
            "number": 7,
        }
    ]


def test_csv_is_exact(settled: Shopware) -> None:
    (row,) = csv.DictReader(io.StringIO(settled("sql", VALUES, "--format", "csv").stdout))
    assert row == {
        "money": "12345678901234.5678",
        "day": "2025-06-01",
        "share": "0.5",
        "at": "2025-06-01T10:00:00.250000",
        "nothing": "",
        "yes": "true",
        "nan": "",
        "text": 'a,"b"',
        "list": "[1, 2]",
        "bytes": "00ff",
        "number": "7",
    }


# --- what people and programs read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["ledger"],
        ["rejects", "silver/orders"],
        ["sql", "select * from gold.order_kpis_daily"],
        ["sql", "select * from silver.order_items"],
    ],
    ids=" ".join,
)
def test_it_fits_the_terminal(
    settled: Shopware, command: list[str], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = settled(*command).stdout.splitlines()
    told = [line for line in lines if "`shopware" in line]  # sentences are left to the terminal to break
    assert max(len(line) for line in lines if line not in told) <= width
    assert "null" not in "".join(lines).lower()


@pytest.mark.parametrize("command", [["status"], ["ledger"], ["rejects", "silver/orders"]], ids=" ".join)
def test_csv_and_json_say_the_same(settled: Shopware, command: list[str]) -> None:
    from_json = settled.json(*command)
    from_csv = list(csv.DictReader(io.StringIO(settled(*command, "--format", "csv").stdout)))
    plain = [{name: _as_csv(value) for name, value in row.items()} for row in from_json]
    assert plain
    assert from_csv == plain


def _as_csv(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def test_status_counts_rows_without_markers(settled: Shopware) -> None:
    lines = {line["table"]: line for line in settled.json("status")}
    assert {name: line["rows"] for name, line in lines.items() if line["rows"] and "/" in name} == {
        "bronze/products": 2,
        "silver/products": 2,
        "bronze/orders": 5,
        "silver/orders": 4,
        "silver/orders_rejected": 1,
        "bronze/order_items": 2,
        "silver/order_items": 2,
        "gold/order_kpis_daily": 1,
        "gold/category_kpis_daily": 1,
    }
    orders = lines["silver/orders"]
    assert (orders["windows"], orders["rejected_share"], orders["newest_window"]) == (1, 0.2, "2025-06-01")
    assert orders["bytes"] == sum(
        file.stat().st_size for file in (settled.home / "lake/silver/orders").rglob("*.parquet")
    )


def test_rejects_show_rules_text_file_and_line(settled: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = settled("rejects", "silver/orders")
    assert found.stdout == (
        f"shop/orders/{FILE}, record 5\n"
        "    broke: user_id_present, status_known   order_id: 5   status: teleported\n"
        "    created_at: 2025-06-01T14:00:00\n"
    )
    assert found.stderr == "1 of 1 rows.\n"


def test_a_rule_that_only_warns_shows_the_rows_that_were_kept(settled: Shopware) -> None:
    (row,) = settled.json("rejects", "silver/products", "--rule", "brand_present", "--window", "all")
    assert (row["id"], row["_source"], row["_line"]) == ("p2", "shop/products/products_2025-06-01.csv", 2)
    assert (row["_reasons"], row["_warnings"], row["brand"], row["cost"]) == ("", "brand_present", None, "1.0000")
    assert settled.json("rejects", "silver/products") == [], "it is not set aside"


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--rule", "status_known"], 1),
        (["--rule", "created_at_parses"], 0),
        (["--source", FILE], 1),
        (["--source", "other"], 0),
        (["--window", "2025-06-01"], 1),
        (["--window", "2025-06"], 1),
        (["--window", "2025-06-02"], 0),
        (["--limit", "1"], 1),
    ],
)
def test_rejects_can_be_chosen(settled: Shopware, options: list[str], rows: int) -> None:
    assert len(settled.json("rejects", "silver/orders", *options)) == rows


def test_the_ledger_by_feed_and_source(settled: Shopware) -> None:
    assert {line["object"] for line in settled.json("ledger") if line["object"]} == {
        f"shop/orders/{FILE}",
        "shop/order_items/items_2025-06-01.csv",
        "shop/products/products_2025-06-01.csv",
    }
    assert [line["window"] for line in settled.json("ledger") if line["table"] == "orders"] == [None, "2025-06-01"]
    assert settled.json("ledger", "--feed", "inventory") == []
    (line,) = settled.json("ledger", "--source", FILE, "--settled")
    counts = {name: line[name] for name in ("outcome", "read", "accepted", "rejected", "superseded", "pending")}
    assert counts == {"outcome": "ingested", "read": 5, "accepted": 4, "rejected": 1, "superseded": 0, "pending": 0}
    lost = settled("ledger", "--source", "lost.csv", code=2)
    assert lost.stderr == "No object that was read has 'lost.csv' in its key.\n"


def test_a_lake_with_nothing_in_it_is_said(shopware: Shopware) -> None:
    assert shopware("status").stderr == f"There is nothing yet in {shopware.home / 'lake'}.\n"


def test_numbers_for_people_are_grouped(shopware: Shopware) -> None:
    rows = "".join(f"p{number},s,n\n" for number in range(1234))
    shopware.drop("shop/products/products.csv", f"id,sku,name\n{rows}".encode())
    shopware("settle")
    assert "1,234" in shopware("status").stdout
    assert "1,234" in shopware("ledger").stdout


# --- when something is wrong with the lake ----------------------------------------------------------------------------


def test_a_lost_row_is_noticed(shopware_of_orders: Shopware) -> None:
    shopware = shopware_of_orders
    shopware("ledger", "--settled")
    DeltaTable(str(shopware.home / "lake/silver/orders")).delete("order_id = '1'")
    found = shopware("ledger", code=1)
    assert "DOES NOT BALANCE" in found.stdout
    assert "Lines that do not balance: 1." in found.stderr
    shopware("settle")
    shopware("ledger", "--settled")
    assert shopware.table("silver/orders").height == 4, "settling makes it whole again"


def test_rows_lost_from_bronze_are_noticed(shopware_of_orders: Shopware) -> None:
    shopware = shopware_of_orders
    DeltaTable(str(shopware.home / "lake/bronze/orders")).delete("_line in (1, 2)")
    found = shopware("ledger", code=1)
    assert "Lines that do not balance: 2." in found.stderr, "the object and the window"
    assert "DOES NOT BALANCE Bronze has 3 of its rows." in found.stdout
    lines = {line["outcome"]: line for line in shopware.json("ledger", code=1)}
    counts = ("read", "accepted", "rejected", "superseded", "pending")
    assert [lines["ingested"][name] for name in counts] == [5, 4, 1, 0, 0]
    assert [lines["judged"][name] for name in counts] == [3, 4, 1, 0, 0]


@pytest.mark.long
def test_a_window_that_is_being_made_is_told(shopware_of_orders: Shopware) -> None:
    """As a run leaves it that is killed between silver and the ledger."""
    shopware = shopware_of_orders
    ledger.begin(Lake(str(shopware.home / "lake")), silver(CONTRACTS["orders"]), ["2025-06-01"])
    DeltaTable(str(shopware.home / "lake/silver/orders")).delete("order_id = '1'")
    found = shopware("ledger")
    assert "being made" in found.stdout
    assert found.stderr.splitlines()[-1].endswith("All lines balance. Windows being made: 1.")
    shopware("ledger", "--settled", code=1)
    shopware("settle")
    assert "judged" in shopware("ledger", "--settled").stdout


@pytest.mark.long
@pytest.mark.usefixtures("tried_once")
def test_a_file_that_was_gone_and_came_back_has_one_line(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())

    def gone(*_: object) -> None:
        raise Gone("products.csv")

    with monkeypatch.context() as patch:
        patch.setattr(FolderLanding, "fetch", gone)
        shopware("settle", code=1)
    shopware("settle")
    (line,) = shopware.json("ledger", "--source", "products.csv", "--settled")
    assert (line["outcome"], line["read"], line["accepted"]) == ("ingested", 2, 2)


@pytest.mark.long
@pytest.mark.usefixtures("tried_once")
def test_a_pending_row_is_told(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bronze has it and silver fails: books balance, with rows pending."""
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())
    with monkeypatch.context() as patch:
        patch.setattr("shopware_assets.silver.assets.Silver.materialize", _explode)
        assert "a broken disk" in shopware("settle", code=1).stderr, "a person reads why"
    found = shopware("ledger")
    assert "All lines balance. Rows pending: 2." in found.stderr
    shopware("ledger", "--settled", code=1)
    shopware("settle")
    shopware("ledger", "--settled")


def _explode(*_: object, **__: object) -> None:
    raise RuntimeError("a broken disk")


@pytest.mark.long
def test_what_fails_is_tried_three_times_and_told(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())
    shopware.drop("inventory/empty.json", b"")
    read = ingest.read_records
    attempts = []

    def fail_on_products(*arguments: Any) -> Any:
        if "sku" in arguments[1]:
            attempts.append(1)
            raise RuntimeError("a broken disk")
        return read(*arguments)

    monkeypatch.setattr(ingest, "read_records", fail_on_products)
    found = shopware("settle", code=1)
    assert len(attempts) == 3
    assert "Failed three times: products, objects: 1, " in found.stderr
    assert "a broken disk" in found.stderr
    assert "Traceback" not in found.output
    assert shopware.json("ledger", "--source", "empty")[0]["outcome"] == "empty", "the other feed was done"


@pytest.mark.usefixtures("tried_once")
def test_each_reason_stands_with_what_failed(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a later run of the same assets succeeds."""
    for day in ("2025-02-01", "2025-06-01", "2025-10-01"):  # too far apart to share a run
        shopware.drop(f"shop/products/{day}.csv", PRODUCTS.encode())
    fetch = FolderLanding.fetch

    def fail_on_two(landing: FolderLanding, landed: Any) -> Any:
        for month in ("02", "06"):
            if f"2025-{month}" in landed.key:
                raise RuntimeError(f"a disk that broke in {month}")
        return fetch(landing, landed)

    monkeypatch.setattr(FolderLanding, "fetch", fail_on_two)
    told = " ".join(shopware("settle", code=1).stderr.split())
    for month in ("02", "06"):
        line = told.partition(f"products, objects: 1, 2025-{month}-01. ")[2].partition("Failed three times")[0]
        assert f"a disk that broke in {month}" in line


@pytest.mark.long
@pytest.mark.parametrize(("others", "looks"), [pytest.param(False, 4, marks=pytest.mark.long), (True, 3)])
def test_where_others_settle_too_not_all_that_lands_is_waited_for(
    shopware: Shopware, monkeypatch: pytest.MonkeyPatch, others: bool, looks: int
) -> None:
    """A source that lands an object each time that landing is looked at, four times."""
    landed = Watch.landed
    seen = []

    def land_one_more(watch: Watch) -> Any:
        if len(seen) < 4:
            seen.append(shopware.drop(f"shop/orders/{len(seen)}_{FILE}", ORDERS.encode()))
        return landed(watch)

    monkeypatch.setattr(Watch, "landed", land_one_more)
    monkeypatch.setattr("shopware_assets.cli.dev_is_running", lambda _: others)
    shopware("settle")
    assert len(seen) == looks
    assert shopware.table("gold/order_kpis_daily").height == 1, "what was looked at is settled to the end"


@pytest.mark.long
def test_a_run_that_nobody_will_start_is_not_waited_for(shopware: Shopware) -> None:
    """As `make dev` leaves it when it is killed."""
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())
    prepare_home(Settings(home=shopware.home))
    with _instance(shopware) as instance:
        run = _asked_for(instance, dg.DagsterRunStatus.QUEUED)
    shopware("settle")
    with _instance(shopware) as instance:
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED
    assert shopware.table("silver/products").height == 2


@pytest.mark.long
def test_a_slot_of_a_run_that_has_ended_is_freed(shopware: Shopware) -> None:
    """As where a kill came between a run's end and that: settling would wait for it for ever."""
    shopware.drop("shop/orders/orders.csv", ORDERS.encode())
    prepare_home(Settings(home=shopware.home))
    with _instance(shopware) as instance:
        run = _asked_for(instance, dg.DagsterRunStatus.NOT_STARTED)
        instance.event_log_storage.initialize_concurrency_limit_to_default("bronze_orders")
        instance.event_log_storage.claim_concurrency_slot("bronze_orders", run.run_id, "step")
        instance.report_run_canceled(run)
    shopware("settle")
    assert shopware.table("silver/orders").height == 4


@pytest.mark.long
def test_what_is_still_to_be_done_after_three_runs_ends_settling(
    shopware: Shopware, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run succeeds, ingests nothing, and the object is as new as before."""
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())
    runs = []
    monkeypatch.setattr("shopware_assets.bronze.assets.ingest", lambda *_, **__: runs.append(1) or ingest.Ingestion())
    found = shopware("settle", code=1)
    assert len(runs) == 3
    assert "Made three times, and still to be done: products, objects: 1, " in found.stderr


@pytest.mark.long
def test_an_interrupted_run_is_canceled_and_ends_settling(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise sensors would take it for a first attempt that failed, and settling would go on."""
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())
    shopware.drop("inventory/empty.json", b"")

    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    with monkeypatch.context() as patch:
        patch.setattr("shopware_assets.bronze.assets.ingest", interrupt)
        shopware("settle", code=130)
    with _instance(shopware) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
        assert not any(run.failed for run in asked_before(instance))
    shopware("settle")
    assert shopware.table("silver/products").height == 2


_PRODUCTS_RUN = {
    ".dagster/shopware_assets": "bronze/products,silver/products,silver/products_rejected",
    ".dagster/shopware_missing": "x",
    "shopware/attempt": "1",
    "shopware/about": "products",
    "dagster/asset_partition_range_start": "2025-01-01",
    "dagster/asset_partition_range_end": "2999",
}


@pytest.mark.long
def test_a_run_of_another_process_is_waited_for(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is under way, or that a daemon will start."""
    shopware.drop("shop/products/products.csv", PRODUCTS.encode())
    monkeypatch.setattr(settling, "_PATIENCE", 1)
    prepare_home(Settings(home=shopware.home))
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED):
        with _instance(shopware) as instance:
            run = _asked_for(instance, status)
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "QUEUED_RUN_COORDINATOR", None, None))
        found = shopware("settle", code=1)
        assert "Waits for a run that does not end: products, objects: 1, " in found.stderr
        with _instance(shopware) as instance:
            instance.report_run_canceled(run)
    shopware("settle")


@pytest.mark.long
def test_alerts_that_cannot_be_sent_are_told(tmp_path: Path) -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:alerts"
    settings = {"SHOPWARE_ALERTS_TOPIC": topic, "AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:9"}
    shopware = Shopware(tmp_path / "home", settings)
    shopware.drop(f"shop/orders/{FILE}", BAD_ORDERS.encode())
    found = shopware("settle", code=1)
    assert f"SHOPWARE_ALERTS_TOPIC={topic}" in found.stderr
    assert shopware.table("silver/orders").height == 3, "the work is done"


def test_a_held_window_is_let_through(shopware: Shopware) -> None:
    shopware.drop(f"shop/orders/{FILE}", BAD_ORDERS.encode())
    held = shopware("settle").output
    assert "silver/orders 2025-06-01 is held: 2 of 5 rows rejected (status_known 2, user_id_present 1)." in held
    assert "`shopware rejects silver/orders --window 2025-06-01` shows the rows" in held
    assert "`shopware allow silver/orders 2025-06-01` lets it through" in held
    assert "is held" in shopware("status").stdout
    assert _outcome(shopware) == "held"
    assert not shopware.exists("gold/order_kpis_daily")

    assert "2025-06-01 is let through" in shopware("allow", "silver/orders", "2025-06-01").stdout
    assert "is held" not in shopware("settle").output
    assert _outcome(shopware) == "judged"
    assert shopware.table("gold/order_kpis_daily")["total_orders"].to_list() == [3]
    shopware("allow", "silver/orders", "2025-06-01", code=2)

    shopware.drop(f"shop/orders/{FILE}", (BAD_ORDERS + "6,u,lost,2025-06-01,,,,\n").encode())
    assert "2025-06-01 is held: 3 of 6 rows rejected" in shopware("settle").output, "it has changed"
    assert shopware.table("gold/order_kpis_daily")["total_orders"].to_list() == [3], "the last values stay"


def _outcome(shopware: Shopware) -> str:
    """Of the only window, as the ledger has it."""
    (outcome,) = (line["outcome"] for line in shopware.json("ledger", "--settled") if line["window"])
    return outcome


@pytest.mark.long
def test_the_table_of_the_readme_settles(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (example,) = re.findall(r"^   ```python\n(.*?)^   ```", readme, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(textwrap.dedent(example), names)
    check_references(CONTRACTS | {"returns": names["RETURNS"]})
    monkeypatch.setitem(CONTRACTS, "returns", names["RETURNS"])
    shopware.drop(f"shop/orders/{FILE}", ORDERS.encode())
    returns = "return_id,order_id,amount,returned_at\nr1,1,5,2025-06-01\nr2,9,5,2025-06-01\nr3,1,-5,2025-06-01\n"
    shopware.drop("shop/returns/2025-06-01.csv", returns.encode())
    shopware("settle")
    assert shopware.table("silver/returns").select("return_id", "amount", "order_date").rows() == [
        ("r1", Decimal(5), date(2025, 6, 1))
    ]
    aside = shopware.table("silver/returns_rejected").select("return_id", "_reasons").rows()
    assert sorted(aside) == [("r2", "order_known"), ("r3", "amount_not_negative")]


# --- landing ----------------------------------------------------------------------------------------------------------


def test_files_land_whole_and_under_their_names(shopware: Shopware, tmp_path: Path) -> None:
    file = tmp_path / "odd näme +%41.csv"
    file.write_bytes(b"x\r\n\0\xff")
    assert shopware("land", "/shop/orders/2025/", file).stdout == "shop/orders/2025/odd näme +%41.csv  5 bytes\n"
    assert (shopware.home / "landing/shop/orders/2025/odd näme +%41.csv").read_bytes() == file.read_bytes()


@pytest.mark.long
def test_what_is_in_bronze_moves_to_the_archive_and_comes_back(shopware_of_orders: Shopware) -> None:
    shopware, key = shopware_of_orders, f"shop/orders/{FILE}"
    body = (shopware.home / "landing" / key).read_bytes()
    shopware.drop("shop/orders/not read yet.csv", ORDERS.encode())
    ledger = shopware.json("ledger")
    assert shopware("archive").stdout == "", "it landed less than a day ago"
    assert shopware("archive", "--hours", "0").stdout == "shop/orders: 1 objects moved to archive/.\n"
    assert [path.name for path in (shopware.home / "landing/shop/orders").iterdir()] == ["not read yet.csv"]
    assert (shopware.home / "landing/archive" / key).read_bytes() == body
    assert shopware("archive", "--hours", "0").stdout == ""
    assert shopware.json("ledger") == ledger
    (shopware.home / "landing/shop/orders/not read yet.csv").unlink()
    assert shopware("land", "--from-archive", key).stdout == f"{key} is back in landing.\n"
    assert (shopware.home / "landing" / key).read_bytes() == body
    says = shopware("land", "--from-archive", key, code=2).stderr
    assert says == f"There is a {key} in landing, which it would replace.\n"
    shopware("settle")
    assert shopware.json("ledger") == ledger, "it is known"
    says = shopware("land", "--from-archive", "shop/orders/never was.csv", code=2).stderr
    assert says == "There is no shop/orders/never was.csv in the archive.\n"


@pytest.mark.long
def test_the_job_archives_what_landed_a_day_ago(shopware: Shopware) -> None:
    shopware.drop(f"shop/orders/{FILE}", ORDERS.encode(), datetime.now(UTC) - timedelta(hours=25))
    shopware.drop("shop/orders/of today.csv", ORDERS.encode())
    shopware("settle")
    assert build_defs(Settings(home=shopware.home)).resolve_job_def("archive").execute_in_process().success
    assert [path.name for path in (shopware.home / "landing/shop/orders").iterdir()] == ["of today.csv"]
    assert (shopware.home / "landing/archive/shop/orders" / FILE).read_bytes() == ORDERS.encode()


@pytest.fixture
def stuck(settled: Shopware, tmp_path: Path) -> Shopware:
    """A lake of its own, settled, where orders cannot be archived: a folder has their name."""
    shopware = settled.copied(tmp_path / "home")
    (shopware.home / "landing/archive/shop/orders" / FILE).mkdir(parents=True)
    return shopware


def _are_the_others_archived(shopware: Shopware) -> bool:
    files = {path.name for path in (shopware.home / "landing/shop").rglob("*.csv")}
    archived = {path.name for path in (shopware.home / "landing/archive/shop").rglob("*.csv") if path.is_file()}
    return (files, archived) == ({FILE}, {"items_2025-06-01.csv", "products_2025-06-01.csv"})


def test_what_cannot_be_archived_is_said_in_the_end(stuck: Shopware) -> None:
    found = stuck("archive", "--hours", "0", code=1)
    assert found.stdout == "".join(
        f"shop/{name}: 1 objects moved to archive/.\n" for name in ("products", "order_items")
    )
    says, named = found.stderr.splitlines()
    assert says == "1 objects cannot be moved to archive/:"
    assert named.startswith(f"shop/orders/{FILE}: ")
    assert str(stuck.home / "landing/archive/shop/orders" / FILE) in named
    assert _are_the_others_archived(stuck)


def test_the_job_archives_all_others_and_fails(stuck: Shopware) -> None:
    job = build_defs(Settings(home=stuck.home, archive_after_hours=0)).resolve_job_def("archive")
    (failed,) = job.execute_in_process(raise_on_error=False).get_step_failure_events()
    assert failed.step_failure_data.error
    assert f"1 objects cannot be moved to archive/:\nshop/orders/{FILE}: " in failed.step_failure_data.error.message
    assert _are_the_others_archived(stuck)


@pytest.mark.long
def test_what_was_taken_when_archiving_was_killed_goes_back(shopware_of_orders: Shopware) -> None:
    shopware, key = shopware_of_orders, "shop/orders/last moment.csv"
    shopware("archive", "--hours", "0")
    shopware.drop(f"archive/.taken/{key}", ORDERS.encode())
    shopware("archive")
    assert _files(shopware.home / "landing").keys() == {"archive/.lock", f"archive/shop/orders/{FILE}", key}


def test_two_homes_never_touch_each_other(settled: Shopware, shopware: Shopware) -> None:
    assert "0 rows read" in shopware("settle").stdout
    assert settled.json("ledger")
    assert shopware.json("ledger") == []


def test_simulating_is_repeatable_and_says_what_it_put_in(tmp_path: Path) -> None:
    one, other = Shopware(tmp_path / "one"), Shopware(tmp_path / "other")
    options = ["--feed", "shop", "--rows", "20", "--seed", "3", "--dirty", "0.1"]
    account = json.loads(one("simulate", *options).stdout)
    assert account["tables"]["orders"]["rejected"] > 0
    assert json.loads(other("simulate", *options).stdout) == account
    assert _files(one.home / "landing") == _files(other.home / "landing")
    other("simulate", "--feed", "shop", "--rows", "20", "--seed", "4")
    assert _files(one.home / "landing") != _files(other.home / "landing"), "the control: another seed"


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_addresses_left_by_make_dev_are_found_and_the_environment_wins(tmp_path: Path) -> None:
    shopware = Shopware(tmp_path / "home", {"SHOPWARE_LANDING": None})
    shopware.home.mkdir()
    (shopware.home / "dev.json").write_text(json.dumps({"SHOPWARE_LANDING": str(tmp_path / "elsewhere")}))

    def lands_in(folder: str) -> bool:
        shopware("land", "inventory", __file__)
        return (tmp_path / folder / "inventory/test_cli.py").exists()

    with (shopware.home / "dev.lock").open("w") as lock:
        assert lands_in("home/landing"), "the control: it does not run"
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert lands_in("elsewhere")
        shopware = Shopware(shopware.home, {"SHOPWARE_LANDING": str(tmp_path / "mine")})
        assert lands_in("mine")


@dg.job
def _nothing() -> None:
    """A job of somebody else."""


def _asked_for(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run that makes products, in this state; nobody executes it."""
    repository = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1), "anything")
    origin = RemoteJobOrigin(repository, _nothing.name)
    return instance.create_run_for_job(_nothing, tags=_PRODUCTS_RUN, status=status, remote_job_origin=origin)


def _instance(shopware: Shopware) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(shopware.home / "dagster"))
