"""Checks: that each of them can fail, what it counts, and what is recorded of a range."""

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import narwhals as nw
import polars as pl
import pytest

from resources.lake import Lake, polars_schema
from resources.query import query
from shopware_assets import checks, ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Severity, TableRule
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.ledger import LEDGER

ORDERS, ITEMS = CONTRACTS["orders"], CONTRACTS["order_items"]
DAY, OTHER = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 2, tzinfo=UTC)


def put(lake: Lake, table: Table, window: datetime, *rows: dict[str, Any]) -> None:
    """Makes these the rows of a window of a day."""
    day = {table.partition_columns[0]: window.date()}
    lake.replace(table, pl.DataFrame([row | day for row in rows], schema=polars_schema(table)), [window])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


# --- books ------------------------------------------------------------------------------------------------------------


def book(lake: Lake, **changed: int) -> None:
    row = {"read": 4, "accepted": 2, "rejected": 1, "superseded": 1, "waiting": 0} | changed
    more = {"source": "a", "version": "1", "landed_at": DAY, "current": True, "judged_by": "c"}
    lines = pl.DataFrame([{"window": "2025-06-01", **more, **row}])
    ledger.write(lake, LEDGER, silver(ORDERS), ["2025-06-01"], lines)


@pytest.fixture
def balanced(lake: Lake) -> Lake:
    """Of four rows of 1 June two are accepted, one rejected and one superseded; of 2 June nothing is judged yet."""
    put(lake, bronze(ORDERS), DAY, *({"_line": line} for line in (1, 2, 3, 4)))
    put(lake, silver(ORDERS), DAY, {"order_id": "1"}, {"order_id": "2"})
    put(lake, rejected(ORDERS), DAY, {"order_id": "3"})
    book(lake)
    marker = pl.DataFrame([{"_line": 0}], schema=polars_schema(bronze(ORDERS)))
    lake.append_once(bronze(ORDERS), lambda _: iter([marker]), guard="ingest")
    return lake


def unbalanced(lake: Lake) -> list[str]:
    return checks.unbalanced(lake, ORDERS, ["2025-06-01", "2025-06-02"])["window"].to_list()


def test_books_that_balance(balanced: Lake) -> None:
    assert unbalanced(balanced) == []
    (line,) = checks.books(balanced, ORDERS).to_dicts()
    judged = {"read": 4, "accepted": 2, "rejected": 1, "superseded": 1}
    stored = {"bronze": 4, "stored_accepted": 2, "stored_rejected": 1}
    open_books = {"pending": 0, "being_made": False, "balances": True}
    assert line == {"window": "2025-06-01", **judged, **stored, **open_books}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lake: put(lake, bronze(ORDERS), DAY, *({"_line": line} for line in (1, 2, 3))),
        lambda lake: put(lake, silver(ORDERS), DAY, {"order_id": "1"}),
        lambda lake: put(lake, silver(ORDERS), DAY, *({"order_id": "1"},) * 3),
        lambda lake: put(lake, rejected(ORDERS), DAY),
        lambda lake: book(lake, read=5),
        lambda lake: book(lake, superseded=0),
        lambda lake: book(lake, accepted=1, rejected=2),
        lambda lake: book(lake, accepted=3, rejected=0),
    ],
    ids=[
        "bronze lost",
        "accepted lost",
        "accepted twice",
        "rejected lost",
        "read",
        "superseded",
        "swapped",
        "swapped 2",
    ],
)
def test_books_that_do_not_balance_are_noticed(balanced: Lake, spoil: Callable[[Lake], None]) -> None:
    spoil(balanced)
    assert unbalanced(balanced) == ["2025-06-01"]
    assert checks.unbalanced(balanced, ORDERS, ["2025-06-02"]).is_empty(), "asked for another window"


def marked(lake: Lake, source: str, rows: int) -> None:
    """An object has brought these rows to 1 June, says its marker."""
    held = {"outcome": "ingested", "rows": rows, "windows": [{"window": "2025-06-01", "rows": rows}]}
    marker = {"_source": source, "_version": "1", "_landed_at": DAY, "_line": 0, "_marker": json.dumps(held)}
    lines = [{"_line": line, "created_date": DAY.date()} for line in range(1, rows + 1)]
    frame = pl.DataFrame([marker, *lines], schema=polars_schema(bronze(ORDERS)))
    lake.append_once(bronze(ORDERS), lambda _: iter([frame]), guard="ingest")


def test_rows_that_came_since_are_pending_and_a_lost_row_is_not(balanced: Lake) -> None:
    marked(balanced, "b", 3)
    (line,) = checks.books(balanced, ORDERS).to_dicts()
    assert (line["bronze"], line["read"], line["pending"], line["balances"]) == (7, 4, 3, True)
    put(balanced, bronze(ORDERS), DAY, *({"_line": line} for line in (1, 2, 3, 4)))
    (line,) = checks.books(balanced, ORDERS).to_dicts()
    assert (line["bronze"], line["pending"], line["balances"]) == (4, 3, False), "bronze has lost what its marker says"


def test_books_are_open_while_a_window_is_being_made(balanced: Lake) -> None:
    put(balanced, silver(ORDERS), DAY, {"order_id": "1"})
    assert unbalanced(balanced) == ["2025-06-01"], "the control"
    ledger.begin(balanced, silver(ORDERS), ["2025-06-01"])
    assert unbalanced(balanced) == []
    assert checks.books(balanced, ORDERS)["being_made"].to_list() == [True]


def test_a_window_made_while_its_rows_are_counted_is_no_wrong_one(
    balanced: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading of the ledger and of the rows a whole run comes and goes."""
    count = Lake.counts

    def then_a_run(lake: Lake, table: Table, **how: Any) -> pl.DataFrame:
        found = count(lake, table, **how)
        if table == silver(ORDERS):
            put(lake, silver(ORDERS), DAY, {"order_id": "1"})
            book(lake, accepted=1, rejected=2)
            put(lake, rejected(ORDERS), DAY, {"order_id": "2"}, {"order_id": "3"})
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "counts", then_a_run)
        assert unbalanced(balanced) == []
    assert checks.books(balanced, ORDERS)["balances"].to_list() == [True]


def test_rows_of_a_window_that_nobody_booked_are_noticed(balanced: Lake) -> None:
    put(balanced, silver(ORDERS), OTHER, {"order_id": "9"})
    assert unbalanced(balanced) == ["2025-06-02"]


def test_books_of_a_window_that_is_being_made_are_open(balanced: Lake) -> None:
    ledger.begin(balanced, silver(ORDERS), ["2025-06-01"])
    put(balanced, silver(ORDERS), DAY)
    assert unbalanced(balanced) == []
    (line,) = checks.books(balanced, ORDERS).to_dicts()
    assert (line["being_made"], line["balances"]) == (True, False)


def test_markers_are_no_rows(lake: Lake) -> None:
    products = CONTRACTS["products"]
    rows = pl.DataFrame([{"_line": 0}, {"_line": 1}, {"_line": 2}], schema=polars_schema(bronze(products)))
    lake.append_once(bronze(products), lambda _: iter([rows]), guard="ingest")
    assert checks.stored(lake, bronze(products)).rows() == [("all", 2)]


# --- rules ------------------------------------------------------------------------------------------------------------


def test_rules_are_counted_by_window_wherever_they_were_broken(lake: Lake) -> None:
    def row(line: int, reasons: str = "", warnings: str = "") -> dict[str, Any]:
        return {"_source": "a", "_line": line, "_reasons": reasons, "_warnings": warnings}

    def kept(line: int, warnings: str) -> dict[str, Any]:
        return {"_source": "a", "_line": line, "_warnings": warnings}

    put(lake, rejected(ORDERS), DAY, row(1, "status_known,user_id_present", "times_in_order"), row(2, "status_known"))
    put(lake, rejected(ORDERS), OTHER, *(row(line, "status_known") for line in range(1, 8)))
    put(lake, silver(ORDERS), DAY, kept(3, "times_in_order"), kept(4, ""))
    found = checks.broken_rules(lake, ORDERS, None)
    assert {(rule, window): rows for rule, window, rows, _ in found.iter_rows()} == {
        ("status_known", "2025-06-01"): 2,
        ("status_known", "2025-06-02"): 7,
        ("user_id_present", "2025-06-01"): 1,
        ("times_in_order", "2025-06-01"): 2,
    }
    samples = {(rule, window): set(sample) for rule, window, _, sample in found.iter_rows()}
    assert samples["times_in_order", "2025-06-01"] == {"a:1", "a:3"}
    assert len(samples["status_known", "2025-06-02"]) == 5
    assert checks.broken_rules(lake, ORDERS, ["2025-06-02"])["window"].unique().to_list() == ["2025-06-02"]


def test_rules_over_several_rows_name_orders_and_windows(lake: Lake) -> None:
    """Order 1 has a product twice and is short of a line; 2 came back nobody knows when; 3 is right; 4 has no line."""

    def line(order: str, product: str, status: str = "shipped", on: datetime = DAY, **more: Any) -> dict[str, Any]:
        return {"order_id": order, "product_id": product, "status": status, "order_date": on.date(), **more}

    put(lake, silver(ITEMS), DAY, line("1", "p"), line("2", "p", "returned"))
    put(
        *(lake, silver(ITEMS), OTHER, line("1", "p")),
        *(line("3", "p", on=OTHER), line("3", "q", "returned", OTHER, refund_date=OTHER.date())),
    )
    put(lake, silver(ORDERS), DAY, {"order_id": "1", "num_of_item": 3}, {"order_id": "2", "num_of_item": 1})
    put(lake, silver(ORDERS), OTHER, {"order_id": "3", "num_of_item": 2}, {"order_id": "4", "num_of_item": 2})

    def broken(contract: Contract, *windows: str) -> set[tuple[str, str, int, tuple[str, ...]]]:
        found = checks.broken_table_rules(lake, contract, windows)
        return {(rule, window, rows, tuple(sample)) for rule, window, rows, sample in found.iter_rows()}

    second = {("order_line_repeats_product", "2025-06-02", 1, ("1",))}
    assert broken(ITEMS, "2025-06-02") == second, "lines of other windows count too"
    assert broken(ITEMS, "2025-06-01", "2025-06-02") == second | {
        ("order_line_repeats_product", "2025-06-01", 1, ("1",)),
        ("returned_has_date", "2025-06-01", 1, ("2",)),
    }
    assert broken(ITEMS) == set()
    second = {("order_has_all_its_items", "2025-06-02", 1, ("4",))}
    assert broken(ORDERS, "2025-06-02") == second
    first = {("order_has_all_its_items", "2025-06-01", 1, ("1",))}
    assert broken(ORDERS, "2025-06-01", "2025-06-02") == first | second
    put(lake, silver(ITEMS), OTHER, line("1", "p"), line("1", "q"), *(line("4", "p", on=OTHER),) * 2)
    assert broken(ORDERS, "2025-06-01") == set(), "wherever its lines are"
    assert broken(ORDERS, "2025-06-02") == {("order_has_all_its_items", "2025-06-02", 1, ("3",))}


@pytest.mark.parametrize(
    ("contract", "rule", "command"),
    [
        (ORDERS, "status_known", "shopware rejects silver/orders --rule status_known"),
        (ITEMS, "order_known", "shopware rejects silver/order_items --rule order_known"),
        (
            *(ITEMS, "returned_has_date"),
            "shopware sql \"select * from silver.order_items where order_id in ('1', '2', '3')\"",
        ),
    ],
    ids=["reject", "parent", "several rows"],
)
def test_a_command_shows_the_rows(contract: Any, rule: str, command: str) -> None:
    failing = {"2025-06-01": {"rows": 2, "sample": ["1", "2"]}, "2025-06-02": {"rows": 1, "sample": ["3"]}}
    assert checks.command_for(contract, rule, failing) == command


@pytest.mark.parametrize("order", ["o'1", 'o"1', "$(o)`1`", "o\\1!"])
def test_a_command_shows_orders_whatever_they_are_called(lake: Lake, order: str) -> None:
    put(lake, silver(ITEMS), DAY, {"order_id": order}, {"order_id": "2"})
    failing = {"2025-06-01": {"rows": 1, "sample": [order]}}
    command = checks.command_for(ITEMS, "returned_has_date", failing)
    # What a shell makes of it, as `shopware` gets it.
    printed = subprocess.run(["bash", "-c", f"shopware() {{ printf '%s' \"$2\"; }}; {command}"], capture_output=True)
    found = query(printed.stdout.decode(), lake, [silver(ITEMS)])
    assert found["order_id"].to_list() == [order]


def test_a_command_names_a_few_orders() -> None:
    failing = {f"2025-06-{day:02}": {"rows": 2, "sample": ["always", f"o{day}"]} for day in range(1, 29)}
    command = checks.command_for(ITEMS, "returned_has_date", failing)
    assert command.endswith("in ('always', 'o1', 'o2', 'o3', 'o4')\"")


def test_a_rule_over_several_rows_of_any_table(lake: Lake) -> None:
    """Of one without windows, by a column of its own and without a day."""

    def several_brands(rows: nw.LazyFrame) -> nw.LazyFrame:
        brands = rows.group_by("sku").agg(nw.col("brand").n_unique().alias("brands"))
        return brands.filter(nw.col("brands") > 1).select("sku")

    rule = TableRule("sku_has_one_brand", "One.", entity="sku", reads={"products": None}, broken_by=several_brands)
    products = dataclasses.replace(CONTRACTS["products"], table_rules=(rule,))
    rows = [{"id": str(n), "sku": sku, "brand": brand} for n, (sku, brand) in enumerate(["sa", "sb", "ta", "ta", "ub"])]
    lake.replace(silver(products), pl.DataFrame(rows, schema=polars_schema(silver(products))), None)
    assert checks.broken_table_rules(lake, products, []).rows() == [("sku_has_one_brand", "all", 1, ["s"])]
    command = checks.command_for(products, "sku_has_one_brand", {"all": {"sample": ["s"]}})
    assert command == "shopware sql \"select * from silver.products where sku in ('s')\""


# --- what has to be there ---------------------------------------------------------------------------------------------

GROCERY = ("grocery_products", "grocery_orders", "grocery_order_items")


def delivered(lake: Lake, table: str, *windows: str, version: str = "1", outcome: str = "") -> None:
    """A version of an object has brought a row to each of these windows, says its marker."""
    held = {"outcome": outcome or ("ingested" if windows else "empty"), "rows": len(windows)}
    told = json.dumps(held | {"windows": [{"window": window, "rows": 1} for window in windows]})
    marker = {"_source": "a", "_version": version, "_landed_at": DAY, "_line": 0, "_marker": told}
    frame = pl.DataFrame([marker], schema=polars_schema(bronze(CONTRACTS[table])))
    lake.append_once(bronze(CONTRACTS[table]), lambda _: iter([frame]), guard="ingest")


def missing(lake: Lake, *windows: str) -> dict[str, str]:
    return {window: facts["missing"] for window, facts in checks.not_ready(lake, GROCERY, windows).items()}


def test_a_day_is_ready_when_all_its_tables_are_there(lake: Lake) -> None:
    days = [f"2025-06-0{day}" for day in (1, 2, 3)]
    assert missing(lake, *days) == {}, "nothing has begun"
    delivered(lake, "grocery_orders", *days[:2])
    assert missing(lake, *days) == dict.fromkeys(days[:2], "grocery_products, grocery_order_items")
    delivered(lake, "grocery_products", "all")
    assert missing(lake, *days) == dict.fromkeys(days[:2], "grocery_order_items"), "products have no days"
    delivered(lake, "grocery_order_items", *days[1:])
    assert missing(lake, *days) == {days[0]: "grocery_order_items", days[2]: "grocery_orders"}
    assert missing(lake, days[1]) == missing(lake) == {}, "only days that are asked for"
    delivered(lake, "grocery_orders", *days, version="2")
    delivered(lake, "grocery_order_items", *days, version="2")
    assert missing(lake, *days) == {}


def test_what_cannot_be_read_is_not_delivered(lake: Lake) -> None:
    delivered(lake, "grocery_order_items", "2025-06-01")
    delivered(lake, "grocery_products", "all", outcome="unreadable")
    delivered(lake, "grocery_orders", "2025-06-01", outcome="unreadable")
    assert missing(lake, "2025-06-01") == {"2025-06-01": "grocery_products, grocery_orders"}


def test_products_alone_begin_no_day_and_what_was_taken_back_is_missing(lake: Lake) -> None:
    delivered(lake, "grocery_products", "all")
    assert missing(lake, "2025-06-01") == {}
    for table in ("grocery_orders", "grocery_order_items"):
        delivered(lake, table, "2025-06-01")
    assert missing(lake, "2025-06-01") == {}, "the control"
    delivered(lake, "grocery_orders", version="2")  # the same object, now empty
    assert missing(lake, "2025-06-01") == {"2025-06-01": "grocery_orders"}
    delivered(lake, "grocery_products", version="2")
    assert missing(lake, "2025-06-01") == {"2025-06-01": "grocery_products, grocery_orders"}


def test_a_check_of_what_has_to_be_there_says_what_is_missing() -> None:
    spec = checks.ready_check(["silver", "grocery_order_items"], GROCERY)
    assert (spec.name, spec.asset_key) == ("grocery_ready", dg.AssetKey(["silver", "grocery_order_items"]))
    assert all(table in (spec.description or "") for table in GROCERY)
    failing = {"2025-06-02": {"missing": "grocery_orders"}}
    result, logged = evaluated("grocery_ready", Severity.WARN, failing, DAYS[:2])
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert logged == [("2025-06-01", True), ("2025-06-02", False)]
    assert {name: value.value for name, value in result.metadata.items()} == {
        "windows_affected": 1,
        "windows_checked": 2,
        "example": "window 2025-06-02; missing grocery_orders",
        "see": "see this",
    }


# --- objects and volume -----------------------------------------------------------------------------------------------


def markers(*objects: tuple[str, list[str], int]) -> pl.DataFrame:
    schema = {"source": pl.String, "missing_columns": pl.List(pl.String), "undeclared": pl.Int64}
    return pl.DataFrame(objects, schema=schema, orient="row")


def test_objects_that_lack_columns_or_have_others() -> None:
    good = ("a", [], 0)
    assert checks.columns_complete(ORDERS, markers(good))[0]
    assert checks.no_undeclared(markers(good))[0]
    short, odd = ("b", ["status", "created_at"], 0), ("c", ["status"], 7)
    assert checks.columns_complete(ORDERS, markers(good, short, odd)) == (
        False,
        {"missing": "created_at, status", "objects": ["b", "c"]},
    )
    assert checks.no_undeclared(markers(good, short, odd)) == (False, {"records": 7, "objects": ["c"]})
    assert checks.columns_complete(ORDERS, markers())[0] and checks.no_undeclared(markers())[0]


@pytest.mark.parametrize(
    ("before", "now", "unusual"),
    [
        ([100] * 14, 400, False),
        ([100] * 14, 401, True),
        ([100] * 14, 25, False),
        ([100] * 14, 24, True),
        ([100] * 13, 1, False),  # too little is known
        ([1] * 20 + [100] * 28, 100, False),  # only the last 28 count
        ([100] * 27 + [10_000] * 1, 100, False),  # the median, not the mean
    ],
)
def test_a_window_with_far_more_or_fewer_rows(before: list[int], now: int, unusual: bool) -> None:
    days = [str(date.fromordinal(date(2025, 1, 1).toordinal() + n)) for n in range(len(before) + 1)]
    read = pl.DataFrame({"window": days, "read": [*before, now]}).sample(fraction=1, shuffle=True, seed=1)
    assert checks.unusual_volume(read, days[-1:])["window"].to_list() == days[-1:] * unusual
    assert checks.unusual_volume(read, []).is_empty()


# --- what is recorded -------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run in which checks are evaluated, as far as they can tell."""

    logged: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    def log_event(self, event: dg.AssetCheckEvaluation) -> None:
        self.logged.append(event)


def evaluated(
    name: str, severity: Severity, failing: dict[str, Any], windows: Sequence[str]
) -> tuple[dg.AssetCheckResult, list[tuple[str | None, bool]]]:
    run: Any = Run()
    (result,) = checks.evaluate(run, ["silver", "orders"], name, severity, failing, windows, "see this")
    return result, [(event.partition, event.passed) for event in run.logged]


BAD = {"2025-06-02": {"rows": 2, "sample": ["a:1", "a:2"]}}
DAYS = ["2025-06-01", "2025-06-02", "2025-06-03"]


@pytest.mark.parametrize(
    ("windows", "logged"),
    [
        (DAYS, [("2025-06-02", False)]),  # of a long range only what is wrong
        (DAYS[:2], [("2025-06-01", True), ("2025-06-02", False)]),
        (DAYS[1:2], []),  # the result says it
    ],
)
def test_a_check_is_recorded_for_single_windows_and_in_all(
    windows: list[str], logged: list[tuple[str | None, bool]]
) -> None:
    result, found = evaluated("status_known", Severity.REJECT, BAD, windows)
    assert found == logged
    assert not result.passed
    told = {name: value.value for name, value in result.metadata.items()}
    assert told == {
        "rows_affected": 2,
        "windows_affected": 1,
        "windows_checked": len(windows),
        "example": "window 2025-06-02; rows 2; sample a:1, a:2",
        "see": "see this",
    }


def test_a_healed_window_of_a_long_range_is_recorded_as_passing() -> None:
    """Otherwise it would stay red. Windows that were never wrong are not recorded."""
    red = {"2025-06-02"}
    days = dg.DailyPartitionsDefinition("2025-06-01", end_date="2025-06-05")
    key = dg.AssetKey(["silver", "orders"])

    @dg.multi_asset(
        specs=[dg.AssetSpec(key, partitions_def=days)],
        check_specs=[dg.AssetCheckSpec("status_known", asset=key)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[Any]:
        failing = {window: {"rows": 1, "sample": ["a:1"]} for window in red}
        yield dg.MaterializeResult(asset_key=key)
        yield from checks.evaluate(
            context, key.path, "status_known", Severity.REJECT, failing, context.partition_keys, "see this"
        )

    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions([asset]).resolve_implicit_global_asset_job_def()
        ends = {"dagster/asset_partition_range_start": "2025-06-01", "dagster/asset_partition_range_end": "2025-06-04"}

        def recorded() -> list[tuple[str | None, bool]]:
            made = job.execute_in_process(instance=instance, tags=ends, asset_selection=[key])
            return [(found.partition, found.passed) for found in made.get_asset_check_evaluations()]

        assert recorded() == [("2025-06-02", False), (None, False)]
        red.clear()
        assert recorded() == [("2025-06-02", True), (None, True)]


def test_a_check_that_passes_says_how_much_it_saw() -> None:
    result, logged = evaluated("status_known", Severity.WARN, {}, DAYS)
    assert result.passed and logged == []
    assert {name: value.value for name, value in result.metadata.items()} == {
        "rows_affected": 0,
        "windows_affected": 0,
        "windows_checked": 3,
    }


@pytest.mark.parametrize(
    ("name", "severity", "level"),
    [
        ("status_known", Severity.REJECT, "WARN"),  # a rejected row is no failure of the lake
        ("times_in_order", Severity.WARN, "WARN"),
        ("volume", Severity.WARN, "WARN"),
        ("books_balance", Severity.REJECT, "ERROR"),
    ],
)
def test_only_books_that_do_not_balance_are_an_error(name: str, severity: Severity, level: str) -> None:
    result, _ = evaluated(name, severity, BAD, DAYS)
    assert result.severity is dg.AssetCheckSeverity(level)
