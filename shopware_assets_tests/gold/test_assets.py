"""Gold assets: that the check of sums can fail, to the cent, in both directions, and says where and what to look at."""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from resources.lake import Lake, polars_schema
from resources.landing import FolderLanding
from resources.query import query
from resources.settings import Environment, Settings
from resources.world import LakeResource
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.definitions import build_defs
from shopware_assets.gold.assets import disagreeing
from shopware_assets.transforms import ANSWERS

PARTS = ANSWERS["sales_daily"]
ROLL_UPS = ("sales_by_region_daily", "sales_by_product_daily")
MONEY = ("gross_sales", "discounts", "returns", "net_sales")
DAYS = ["2025-06-01", "2025-06-02", "2025-06-03"]


def put(lake: Lake, answer: str, day: str, *amounts: str, **other: str) -> None:
    """Makes these the rows of a day: each has one amount as every sum, or another one."""
    window = datetime.fromisoformat(day).replace(tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {"timestamp_date": window.date(), "product_id": number, "region": str(number), "units_sold": number}
        | {name: Decimal(other.get(name, amount)) for name in MONEY}
        for number, amount in enumerate(amounts)
    ]
    table = ANSWERS[answer].table
    lake.replace(table, pl.DataFrame(rows, schema=polars_schema(table)), [window])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Of two days whose sums agree, whatever their parts; of 3 June there is nothing."""
    lake = Lake(str(tmp_path))
    put(lake, "sales_daily", DAYS[0], "0.10", "0.20", "-0.05")
    put(lake, "sales_daily", DAYS[1], "99999999.9999", "0.0001")
    for answer in ROLL_UPS:
        put(lake, answer, DAYS[0], "0.25")
        put(lake, answer, DAYS[1], "100000000", "0")
    return lake


def test_a_roll_up_sums_all_money_of_its_parts() -> None:
    assert {name: answer.sum_of for name, answer in ANSWERS.items() if answer.sum_of} == {
        "sales_daily": {"net_sales": "net_revenue"},
        **{name: dict(zip(MONEY, MONEY, strict=True)) for name in ROLL_UPS},
    }


@pytest.mark.parametrize("name", ROLL_UPS)
def test_sums_that_agree(lake: Lake, name: str) -> None:
    assert disagreeing(lake, ANSWERS[name], DAYS) == {}


@pytest.mark.parametrize("name", ROLL_UPS)
@pytest.mark.parametrize(
    ("spoil", "days"),
    [
        (lambda lake, name: put(lake, name, DAYS[0], "0.26"), DAYS[:1]),
        (lambda lake, name: put(lake, name, DAYS[1], "100000000.0001"), DAYS[1:2]),
        (lambda lake, name: put(lake, name, DAYS[0], "0.25", returns="0.24"), DAYS[:1]),
        (lambda lake, name: put(lake, name, DAYS[0]), DAYS[:1]),
        (lambda lake, name: put(lake, "sales_daily", DAYS[1]), DAYS[1:2]),
        (lambda lake, name: put(lake, name, DAYS[2], "1"), DAYS[2:]),
        (lambda lake, name: put(lake, "sales_daily", DAYS[2], "1"), DAYS[2:]),
    ],
    ids=["a cent", "less", "one of them", "day lost", "parts lost", "day without parts", "parts without day"],
)
def test_sums_that_do_not_agree_are_noticed(
    lake: Lake, name: str, spoil: Callable[[Lake, str], None], days: list[str]
) -> None:
    spoil(lake, name)
    assert [*disagreeing(lake, ANSWERS[name], DAYS)] == days
    assert disagreeing(lake, ANSWERS[name], [day for day in DAYS if day not in days]) == {}, "of days asked for"


def test_a_sum_that_differs_is_named_with_what_it_should_be(lake: Lake) -> None:
    put(lake, ROLL_UPS[0], DAYS[0], "0.25", returns="0.24")
    assert disagreeing(lake, ANSWERS[ROLL_UPS[0]], DAYS) == {DAYS[0]: {"returns": "0.2400, not 0.2500"}}


# --- sales and the lines they are of ----------------------------------------------------------------------------------

HEADER = "transaction_id,store_id,product_id,quantity,revenue,discount_applied,timestamp\n"
LINES = "a,1,1,1,10,1,{day}T10:00:00\nb,1,1,-1,-4,0.5,{day}T11:00:00\n"
BAD = "c,1,1,0,10,,{day}T12:00:00\n"
SALES = dg.AssetKey(["gold", "sales_daily"])


class Shop:
    """The lake of a shop; makes layers of it over all days."""

    def __init__(self, home: Path) -> None:
        (home / "landing").mkdir()
        self.settings = Settings(home=home, environment=Environment.TEST)
        self.lake = LakeResource(url=self.settings.lake_url).open()
        self.defs = build_defs(self.settings)

    def land(self, day: str, lines: str) -> None:
        FolderLanding(self.settings.landing_url).put(f"pos/{day}.csv", (HEADER + lines.format(day=day)).encode())

    def make(self, *names: str) -> list[dg.AssetCheckEvaluation]:
        """What the run then says of sums."""
        made = self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(name.split("/")) for name in names],
            tags={f"dagster/asset_partition_range_{end}": DAYS[at] for end, at in (("start", 0), ("end", 1))},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return [found for found in made.get_asset_check_evaluations() if found.check_name == "sums_agree"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Two days with two lines each, judged."""
    shop = Shop(tmp_path)
    for day in DAYS[:2]:
        shop.land(day, LINES)
    shop.make("bronze/pos_sales", "silver/pos_sales", "silver/pos_sales_rejected")
    return shop


def test_net_sales_are_the_sum_of_net_revenue(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    silver_sales = silver(CONTRACTS["pos_sales"])
    net = shop.lake.scan(silver_sales).select(pl.col("net_revenue").sum()).collect().item()
    assert net == 2 * (Decimal("9") - Decimal("3.5"))
    found = shop.make("gold/sales_daily")
    assert [(one.asset_key, one.partition, one.passed) for one in found] == [
        (SALES, DAYS[0], True),
        (SALES, DAYS[1], True),
        (SALES, None, True),
    ]

    # A cent is lost on the way from the lines of the second day to its sums.
    replace = Lake.replace

    def lose_a_cent(lake: Lake, table: Any, rows: pl.DataFrame, *where: Any, **how: Any) -> Any:
        if table == PARTS.table:
            second = pl.col("timestamp_date") == pl.lit(DAYS[1]).str.to_date()
            cent = pl.when(second).then(pl.lit(Decimal("0.01"))).otherwise(pl.lit(Decimal("0.00")))
            rows = rows.with_columns(net_sales=(pl.col("net_sales") - cent).cast(rows.schema["net_sales"]))
        return replace(lake, table, rows, *where, **how)

    monkeypatch.setattr(Lake, "replace", lose_a_cent)
    first, second, whole = shop.make("gold/sales_daily")
    assert (first.partition, first.passed) == (DAYS[0], True)
    assert (second.partition, second.passed, second.severity) == (DAYS[1], False, dg.AssetCheckSeverity.ERROR)
    assert second.metadata["net_sales"].value == "5.4900, not 5.5000"
    told = {name: entry.value for name, entry in whole.metadata.items()}
    command = f"shopware sql \"select * from silver.pos_sales where timestamp_date in ('{DAYS[1]}')\""
    assert told == {
        "windows_affected": 1,
        "windows_checked": 2,
        "example": f"window {DAYS[1]}; net_sales 5.4900, not 5.5000",
        "see": command,
    }
    shown = query(shlex.split(command)[2], shop.lake, [silver_sales])
    assert sorted(shown["transaction_id"]) == ["a", "b"]


@pytest.mark.long
def test_sums_of_a_held_day_are_not_compared(shop: Shop) -> None:
    """Gold keeps its last values, which are not those of the rows."""
    shop.make("gold/sales_daily")
    shop.land(DAYS[1], LINES.replace("10,1,", "11,1,") + BAD)
    shop.make("bronze/pos_sales", "silver/pos_sales", "silver/pos_sales_rejected")
    assert [*disagreeing(shop.lake, PARTS, DAYS)] == DAYS[1:2], "the control"
    (whole,) = shop.make("gold/sales_daily")
    assert (whole.passed, whole.metadata["windows_checked"].value) == (True, 1)


def test_sums_of_a_day_that_silver_makes_meanwhile_are_not_compared(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made again from what silver has now."""
    differences = []

    def after_silver(lake: Lake, *more: Any) -> dict[str, dict[str, str]]:
        shop.land(DAYS[1], LINES.replace("10,1,", "11,1,"))
        shop.make("bronze/pos_sales", "silver/pos_sales", "silver/pos_sales_rejected")
        differences.append(disagreeing(lake, *more))
        return differences[0]

    monkeypatch.setattr("shopware_assets.gold.assets.disagreeing", after_silver)
    (whole,) = shop.make("gold/sales_daily")
    assert differences == [{DAYS[1]: {"net_sales": "5.5000, not 6.5000"}}]
    assert (whole.passed, whole.metadata["windows_checked"].value) == (True, 1)
