"""Gold assets: that the check of a roll-up can fail, to the cent, in both directions."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.lake import Lake, polars_schema
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
    assert {name: {*answer.sum_of} for name, answer in ANSWERS.items() if answer.sum_of} == {
        name: {*MONEY} for name in ROLL_UPS
    }


@pytest.mark.parametrize("name", ROLL_UPS)
def test_sums_that_agree(lake: Lake, name: str) -> None:
    assert disagreeing(lake, ANSWERS[name], DAYS) == []


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
    assert disagreeing(lake, ANSWERS[name], DAYS) == days
    assert disagreeing(lake, ANSWERS[name], [day for day in DAYS if day not in days]) == [], "of days asked for"
