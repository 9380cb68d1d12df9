"""The code location as a whole: what is in it, that each thing in it explains itself, that loading it needs nothing.

`python -m shopware_assets_tests.test_definitions` renews the snapshot; its diff is what a reviewer reads.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.settings import Settings
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import bronze, rejected, silver
from shopware_assets.definitions import build_defs
from shopware_assets.serving.tables import SERVED
from shopware_assets.transforms import ANSWERS
from shopware_assets_tests.simulator.test_simulate import RULES

ROOT = Path(__file__).parents[1]
SNAPSHOT = Path(__file__).with_suffix(".json")


@cache
def defs() -> dg.Definitions:
    return build_defs(Settings())


def snapshot() -> dict[str, Any]:
    """What is in the code location, by name."""
    graph = defs().resolve_asset_graph()
    repository = defs().get_repository_def()
    assets = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        partitions = node.partitions_def
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "owners": list(node.owners),
            "kinds": sorted(node.kinds),
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": type(partitions).__name__ if partitions else None,
            "pools": sorted(node.pools or ()),
            "checks": sorted(check.name for check in node.check_keys),
        }
    return {
        "assets": assets,
        "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        "sensors": {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs},
        "schedules": {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs},
        "resources": sorted(repository.get_top_level_resources()),
    }


def test_what_is_in_the_code_location() -> None:
    assert snapshot() == json.loads(SNAPSHOT.read_text()), f"is it meant? {__doc__}"


def test_sensors_do_the_work_and_the_clock_only_compacts_and_archives() -> None:
    found = snapshot()
    assert found["schedules"] == {
        "archive_hourly": "RUNNING",
        "compact_nightly": "RUNNING",
        "ingest_hourly": "STOPPED",
    }
    assert set(found["sensors"].values()) == {"RUNNING"}


# --- what a person reads ----------------------------------------------------------------------------------------------


def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs().resolve_all_asset_specs()}


def columns_by_table() -> Iterator[tuple[str, set[str]]]:
    for contract in CONTRACTS.values():
        for table in (bronze(contract), silver(contract), rejected(contract)):
            yield table.name, set(table.columns)
    for answer in ANSWERS.values():
        yield answer.table.name, set(answer.table.columns)
    for served in SERVED.values():
        yield f"serving/{served.name}", set(served.attributes)


@pytest.mark.parametrize(("asset", "columns"), list(columns_by_table()))
def test_every_column_has_a_type_and_a_description(asset: str, columns: set[str]) -> None:
    shown = specs()[asset].metadata["dagster/column_schema"].columns
    assert {column.name for column in shown} == columns
    for column in shown:
        assert re.fullmatch(r".{6,}\.( \[.+\]| \(.+\))?", column.description or ""), column
        assert "(" not in column.type or column.type == "decimal(18,4)", "a type as SQL calls it"


def test_personal_data_is_marked() -> None:
    marked = {
        (name, column.name)
        for name, spec in specs().items()
        if "dagster/column_schema" in spec.metadata
        for column in spec.metadata["dagster/column_schema"].columns
        if "personal_data" in (column.tags or {})
    }
    expected = {(name, "user_id") for name in ("orders", "order_items", "grocery_orders", "grocery_order_items")}
    assert marked == {
        (asset, column) for t, column in expected for asset in (f"bronze/{t}", f"silver/{t}", f"silver/{t}_rejected")
    }


def test_every_asset_says_what_it_is() -> None:
    for name, spec in specs().items():
        layer, table = name.split("/")
        assert spec.group_name == layer
        assert spec.owners and all(owner.startswith("team:") for owner in spec.owners)
        assert spec.kinds
        assert len(spec.description or "") > 20
        contract = CONTRACTS.get(table.removesuffix("_rejected"))
        assert not contract or spec.tags["feed"] == contract.feed


TABLE_RULES = {
    "orders": {"order_has_all_its_items"},
    "order_items": {"order_line_repeats_product", "returned_has_date"},
    "grocery_products": {"department_id_names_one_department"},
}
READY = {"grocery_order_items": {"grocery_ready"}}


@pytest.mark.parametrize("table", RULES)
def test_every_rule_has_a_check_that_says_what_it_means(table: str) -> None:
    """The rules are those of feeds.md, written down by hand in the simulator's tests."""
    graph = defs().resolve_asset_graph()
    checks = {check.name: graph.get_check_spec(check) for check in graph.get(dg.AssetKey(["silver", table])).check_keys}
    expected = RULES[table] | TABLE_RULES.get(table, set()) | READY.get(table, set()) | {"books_balance", "volume"}
    by_column = {f"{column}_parses" for column in CONTRACTS[table].column_names}
    assert expected <= set(checks) <= expected | by_column
    assert all(len(spec.description or "") > 10 for spec in checks.values())


def test_a_range_is_one_run_on_every_asset() -> None:
    for definition in defs().resolve_asset_graph().assets_defs:
        if definition.is_executable:
            assert definition.backfill_policy == dg.BackfillPolicy.single_run(), definition.keys


# --- loading ----------------------------------------------------------------------------------------------------------

WATCH = """
import os, sys, warnings

ours = r"(shopware_assets|resources|sensors)(\\..*)?$"
warnings.filterwarnings("error", module=ours)
touched = []

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and path != "/dev/null":
            touched.append((event, path))
    elif event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "os.mkdir", "os.rename", "os.remove"):
        touched.append((event, arguments))

sys.addaudithook(watch)
{statement}
from shopware_assets.definitions import defs
defs.resolve_asset_graph()
defs.get_repository_def().load_all_definitions()
print(touched)
"""


def load(folder: Path, statement: str = "") -> subprocess.CompletedProcess[str]:
    """Loads the definitions in a new process with an empty environment in an empty folder; prints what it touched."""
    code = WATCH.replace("{statement}", statement)
    return subprocess.run(
        [sys.executable, "-B", "-c", code], env={}, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_loading_needs_no_environment_network_or_file_and_warns_of_nothing(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "[]\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "open('x', 'w')",
        pytest.param("import socket; socket.getaddrinfo('127.0.0.1', 1)", marks=pytest.mark.long),
        pytest.param("import sqlite3; sqlite3.connect('x')", marks=pytest.mark.long),
    ],
)
def test_a_load_that_touches_something_would_be_noticed(tmp_path: Path, statement: str) -> None:
    assert load(tmp_path, statement).stdout != "[]\n"


def test_a_load_that_warns_would_be_noticed(tmp_path: Path) -> None:
    """The control: a deprecated call from a module of ours."""
    of_ours = "{'__name__': 'resources.x', 'warn': warnings.warn}"
    assert "DeprecationWarning: old" in load(tmp_path, f"exec('warn(\"old\", DeprecationWarning)', {of_ours})").stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [["dg", "check", "defs"], ["dg", "list", "defs", "--json"], ["dagster", "definitions", "validate"]],
    ids=" ".join,
)
def test_the_tools_of_a_dagster_project_work_in_it(command: list[str]) -> None:
    scripts = Path(sys.executable).parent
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "SHOPWARE_"))}
    found = subprocess.run(
        [str(scripts / command[0]), *command[1:]], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    if "--json" in command:
        assert {asset["asset_key"] for asset in json.loads(found.stdout)["assets"]} == set(specs())


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(snapshot(), indent=2) + "\n")
