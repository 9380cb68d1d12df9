"""Judging against feeds.md: each rule alone and together, newest wins, and every row accounted for.

On Polars; that Spark judges alike is shown in `resources/test_engines.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from random import Random
from typing import Any

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from resources.engine_polars import PolarsEngine
from shopware_assets.contracts import CONTRACTS, tables
from shopware_assets.contracts.contract import Column, Contract, Rule, Severity, Type
from shopware_assets.contracts.windows import Grain
from shopware_assets.transforms import judge as module
from shopware_assets.transforms.judge import (
    ACCEPTED,
    REJECTED,
    SUPERSEDED,
    judge,
    split,
)
from shopware_assets_tests.scenario import GOOD, LANDED, START, bronze_rows, dirty_rows, dirty_texts, parents

INVENTORY, PRODUCTS, ORDERS, ORDER_ITEMS = (CONTRACTS[n] for n in ("inventory", "products", "orders", "order_items"))
POS_SALES, GROCERY_ORDER_ITEMS = CONTRACTS["pos_sales"], CONTRACTS["grocery_order_items"]

Texts = Mapping[str, str | None]


def judged(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    known = {name: nw.from_native(parent.lazy()) for name, parent in parents(contract).items()}
    frame = judge(nw.from_native(rows.lazy()), contract, engine=PolarsEngine(), start=START, parents=known)
    return frame.to_native().collect()


def parted(rows: pl.DataFrame, contract: Contract) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    known = {name: nw.from_native(parent.lazy()) for name, parent in parents(contract).items()}
    frames = split(nw.from_native(rows.lazy()), contract, engine=PolarsEngine(), start=START, parents=known)
    accepted, rejected, superseded = pl.collect_all([frame.to_native() for frame in frames])
    return accepted, rejected, superseded


def fate(contract: Contract, changes: Mapping[str, object]) -> tuple[str, str, str]:
    """What becomes of a good row with these changes: outcome, reasons, warnings."""
    row = judged(bronze_rows(contract, [GOOD[contract.name] | dict(changes)]), contract)
    return row.select("_outcome", "_reasons", "_warnings").row(0)


def outcomes(contract: Contract, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """What becomes of rows that differ from a good one as given, in their order."""
    frame = bronze_rows(contract, [GOOD[contract.name] | dict(row) for row in rows]).with_row_index("n")
    return judged(frame, contract).sort("n")["_outcome"].to_list()


# --- values ----------------------------------------------------------------------------------------------------------

MARCH_30 = datetime(2025, 3, 30, 16, 14, 26, tzinfo=UTC)
APRIL_1 = datetime(2025, 4, 1, 18, 22, 9, tzinfo=UTC)
ACCEPTED_VALUES: dict[str, dict[str, object]] = {
    "inventory": {
        "inventory_id": 1,
        "product_id": 11,
        "warehouse_id": 3,
        "stock_level": 40,
        "restock_threshold": 15,
        "last_updated": datetime(2025, 6, 1, 12, 30, 0, 250000, tzinfo=UTC),
        "stock_status": "in_stock",
        "last_updated_date": date(2025, 6, 2),  # of the window it was filed under
        "last_updated_hour": 6,
    },
    "products": {
        "id": "1",
        "sku": "eHZ-67752426",
        "cost": Decimal("15.5800"),
        "category": "Beauty",
        "name": "Down-sized budgetary management",
        "brand": "Globex",
        "retail_price": Decimal("53.9500"),
        "department": "Personal Care",
    },
    "orders": {
        "order_id": "1",
        "user_id": "9116",
        "status": "returned",
        "created_at": MARCH_30,
        "returned_at": datetime(2025, 4, 3, 10, 14, 26, tzinfo=UTC),
        "shipped_at": datetime(2025, 3, 31, 6, 14, 26, tzinfo=UTC),
        "delivered_at": datetime(2025, 4, 2, 10, 14, 26, tzinfo=UTC),
        "num_of_item": 1,
        "created_date": date(2025, 6, 2),
    },
    "order_items": {
        "id": "1",
        "order_id": "1",
        "user_id": "9116",
        "product_id": "1",
        "status": "returned",
        "created_at": datetime(2025, 3, 30, 17, 9, 26, tzinfo=UTC),
        "shipped_at": datetime(2025, 3, 31, 5, 9, 26, tzinfo=UTC),
        "delivered_at": datetime(2025, 4, 2, 3, 9, 26, tzinfo=UTC),
        "returned_at": datetime(2025, 4, 7, 3, 9, 26, tzinfo=UTC),
        "sale_price": Decimal("81.6400"),
        "order_date": date(2025, 3, 30),
        "order_status": "returned",
        "order_returned_at": datetime(2025, 4, 3, 10, 14, 26, tzinfo=UTC),
        "category": "Beauty",
        "cost": Decimal("15.5800"),
        "refund_date": date(2025, 4, 7),
        "created_date": date(2025, 6, 2),
    },
    "stores": {"store_id": 1, "region": "North", "city": "Aarhus", "opened_on": date(2024, 3, 1)},
    "pos_sales": {
        "transaction_id": "T-1",
        "store_id": 1,
        "product_id": 11,
        "quantity": 3,
        "revenue": Decimal("29.9700"),
        "discount_applied": Decimal("3.0000"),
        "timestamp": datetime(2025, 6, 1, 12, 30, tzinfo=UTC),
        "region": "North",
        "sign": 1,
        "net_revenue": Decimal("26.9700"),
        "timestamp_date": date(2025, 6, 2),
    },
    "grocery_products": {
        "product_id": 1,
        "department_id": 19,
        "department": "snacks",
        "product_name": "Chocolate Sandwich Cookies",
    },
    "grocery_orders": {
        "order_id": 1,
        "order_num": 7,
        "user_id": 9116,
        "order_timestamp": APRIL_1,
        "total_amount": Decimal("42.5000"),
        "date": date(2025, 4, 1),
        "order_timestamp_date": date(2025, 6, 2),
    },
    "grocery_order_items": {
        "id": 1,
        "order_id": 1,
        "user_id": 9116,
        "product_id": 1,
        "add_to_cart_order": 2,
        "reordered": 1,
        "days_since_prior_order": 9,
        "order_timestamp": APRIL_1,
        "date": date(2025, 4, 1),
        "order_date": date(2025, 4, 1),
        "department_id": 19,
        "order_timestamp_date": date(2025, 6, 2),
    },
}


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_a_good_row_is_accepted_with_its_values(contract: Contract) -> None:
    accepted, rejected, superseded = parted(bronze_rows(contract, [GOOD[contract.name]]), contract)
    provenance = {"_source": f"{contract.prefix}/a", "_version": "v1", "_line": 1, "_landed_at": LANDED}
    assert accepted.to_dicts() == [ACCEPTED_VALUES[contract.name] | {"_warnings": ""} | provenance]
    assert (len(rejected), len(superseded)) == (0, 0)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
@pytest.mark.parametrize("missing", [None, "", " \t", "\u00a0"])
def test_what_is_not_required_may_be_missing(contract: Contract, missing: str | None) -> None:
    optional = [column.name for column in contract.columns if not column.required]
    accepted, _, _ = parted(
        bronze_rows(contract, [{**GOOD[contract.name], **dict.fromkeys(optional, missing)}]), contract
    )
    assert accepted.select("_line", *optional).row(0) == (1, *[None] * len(optional))


@pytest.mark.parametrize(
    ("stock", "threshold", "status"),
    [
        ("0", "15", "out_of_stock"),
        ("0", "", "out_of_stock"),
        ("1", "15", "low_stock"),
        ("15", "15", "low_stock"),
        ("16", "15", "in_stock"),
        ("1", "0", "in_stock"),
        ("1", "", "unknown_threshold"),
    ],
)
def test_stock_status(stock: str, threshold: str, status: str) -> None:
    row = bronze_rows(INVENTORY, [GOOD["inventory"] | {"stock_level": stock, "restock_threshold": threshold}])
    assert judged(row, INVENTORY)["stock_status"].to_list() == [status]


@pytest.mark.parametrize(
    ("quantity", "revenue", "discount", "sign", "net"),
    [
        ("3", "29.97", "3", 1, "26.97"),
        ("3", "29.97", "", 1, "29.97"),
        ("3", "29.97", "29.97", 1, "0"),
        ("3", "0", "0", 1, "0"),
        ("-3", "-29.97", "3", -1, "-26.97"),
        ("-3", "-29.97", "", -1, "-29.97"),
        ("-3", "-29.97", "29.97", -1, "0"),
    ],
)
def test_net_revenue(quantity: str, revenue: str, discount: str, sign: int, net: str) -> None:
    row = GOOD["pos_sales"] | {"quantity": quantity, "revenue": revenue, "discount_applied": discount}
    found = judged(bronze_rows(POS_SALES, [row]), POS_SALES)
    assert found.select("_outcome", "sign", "net_revenue").row(0) == (ACCEPTED, sign, Decimal(net))


@pytest.mark.parametrize(
    ("quantity", "revenue", "discount"),
    [
        ("1", "-99999999999999", "99999999999999"),
        ("1", "99999999999999", "-99999999999999"),
        ("-1", "99999999999999", "99999999999999"),
        ("0", "99999999999999", "99999999999999"),
    ],
)
def test_what_is_more_than_money_can_be_stops_no_other_row(quantity: str, revenue: str, discount: str) -> None:
    row = GOOD["pos_sales"] | {"quantity": quantity, "revenue": revenue, "discount_applied": discount}
    assert outcomes(POS_SALES, [row, {"transaction_id": "other"}]) == [REJECTED, ACCEPTED]


@pytest.mark.parametrize(
    "text", ["delivered", "DELIVERED", " Delivered ", "deli vered", "delivered\u00a0", "\tdeLIVered"]
)
def test_a_vocabulary_is_stored_in_its_own_spelling(text: str) -> None:
    accepted, _, _ = parted(bronze_rows(ORDERS, [GOOD["orders"] | {"status": text}]), ORDERS)
    assert accepted["status"].to_list() == ["delivered"]


def test_a_word_outside_a_vocabulary_that_only_warns_stays_as_it_is() -> None:
    device = Column("department", Type.STRING, "", values=("Personal Care", "Garden"), unknown=Severity.WARN)
    columns = tuple(device if column.name == "department" else column for column in PRODUCTS.columns)
    contract = dataclasses.replace(PRODUCTS, columns=columns)
    texts = ["personalcare", " GARDEN", " Toys ", None]
    rows = [{**GOOD["products"], "id": str(n), "department": text} for n, text in enumerate(texts)]
    found = judged(bronze_rows(contract, rows), contract).sort("id")
    assert found["department"].to_list() == ["Personal Care", "Garden", "Toys", None]
    assert found["_warnings"].to_list() == ["", "", "department_known", ""]
    assert found["_outcome"].to_list() == [ACCEPTED] * 4


# --- rules -----------------------------------------------------------------------------------------------------------

A_DAY_AFTER = "2025-06-03T06:30:00"  # LANDED
JUST_LATER = "2025-06-03T06:30:00.000001"

ORDER_TIMES: list[tuple[Texts, str, str]] = [
    ({"created_at": ""}, "created_at_present", ""),
    ({"created_at": "yesterday"}, "created_at_parses", ""),
    ({"created_at": "2024-12-31T23:59:59.999999"}, "created_at_not_before_start", ""),
    ({"created_at": "2025-01-01"}, "", ""),
    (
        {"created_at": JUST_LATER, "shipped_at": "", "delivered_at": "", "returned_at": ""},
        "created_at_not_in_future",
        "",
    ),
    ({"created_at": A_DAY_AFTER, "shipped_at": "", "delivered_at": "", "returned_at": ""}, "", ""),
    ({"shipped_at": "soon"}, "shipped_at_parses", ""),
    ({"shipped_at": JUST_LATER, "delivered_at": "", "returned_at": ""}, "shipped_at_not_in_future", ""),
    ({"shipped_at": A_DAY_AFTER, "delivered_at": "", "returned_at": ""}, "", ""),
    ({"delivered_at": "soon"}, "delivered_at_parses", ""),
    ({"delivered_at": JUST_LATER, "returned_at": ""}, "delivered_at_not_in_future", ""),
    ({"returned_at": "soon"}, "returned_at_parses", ""),
    ({"returned_at": JUST_LATER}, "returned_at_not_in_future", ""),
    ({"returned_at": A_DAY_AFTER}, "", ""),
    # created <= shipped <= delivered <= returned, as far as they are there
    ({"shipped_at": "2025-03-30T00:00:00"}, "", "times_in_order"),
    ({"shipped_at": "2025-04-02T23:00:00"}, "", "times_in_order"),
    ({"delivered_at": "2025-04-30T00:00:00"}, "", "times_in_order"),
    ({"shipped_at": "", "delivered_at": "2025-03-30T00:00:00"}, "", "times_in_order"),
    ({"shipped_at": "", "delivered_at": "", "returned_at": "2025-03-30T00:00:00"}, "", "times_in_order"),
    ({"delivered_at": "", "returned_at": "2025-03-31T00:00:00"}, "", "times_in_order"),
    (
        {
            "shipped_at": "2025-04-02T00:00:00",
            "delivered_at": "2025-04-02T00:00:00",
            "returned_at": "2025-04-02T00:00:00",
        },
        "",
        "",
    ),
    ({"shipped_at": "", "delivered_at": ""}, "", ""),
]

STATUS: list[tuple[Texts, str, str]] = [
    ({"status": ""}, "status_present", ""),
    ({"status": None}, "status_present", ""),
    ({"status": "lost"}, "status_known", ""),
    ({"status": "deliveredd"}, "status_known", ""),
    ({"user_id": " "}, "user_id_present", ""),
]

PLACED: list[tuple[Texts, str, str]] = [
    ({"user_id": " "}, "user_id_present", ""),
    ({"user_id": "u1"}, "user_id_parses", ""),
    ({"order_timestamp": ""}, "order_timestamp_present", ""),
    ({"order_timestamp": "noon"}, "order_timestamp_parses", ""),
    ({"order_timestamp": "2024-12-31T23:59:59.999999", "date": "2024-12-31"}, "order_timestamp_not_before_start", ""),
    ({"order_timestamp": JUST_LATER, "date": "2025-06-03"}, "order_timestamp_not_in_future", ""),
    ({"order_timestamp": A_DAY_AFTER, "date": "2025-06-03"}, "", ""),
    ({"date": ""}, "date_present", ""),
    ({"date": "01.04.2025"}, "date_parses", ""),
    ({"date": "2025-04-02"}, "", "date_agrees_with_timestamp"),
    ({"date": "2025-04-01T23:30:00-05:00"}, "", "date_agrees_with_timestamp"),  # days are UTC
    ({"order_timestamp": "2025-04-01T23:30:00-05:00"}, "", "date_agrees_with_timestamp"),
    ({"order_timestamp": "2025-04-02T00:30:00+02:00"}, "", ""),
]

CASES: dict[str, list[tuple[Texts, str, str]]] = {
    "inventory": [
        ({"inventory_id": None}, "inventory_id_present", ""),
        ({"inventory_id": "A1"}, "inventory_id_parses", ""),
        ({"product_id": ""}, "product_id_present", ""),
        ({"product_id": "1.5"}, "product_id_parses", ""),
        ({"warehouse_id": " "}, "warehouse_id_present", ""),
        ({"warehouse_id": "true"}, "warehouse_id_parses", ""),
        ({"stock_level": None}, "stock_level_present", ""),
        ({"stock_level": "many"}, "stock_level_parses", ""),
        ({"stock_level": "-1"}, "stock_level_not_negative", ""),
        ({"stock_level": "0"}, "", ""),
        ({"restock_threshold": "1,000"}, "restock_threshold_parses", ""),
        ({"restock_threshold": "-1"}, "restock_threshold_not_negative", ""),
        ({"restock_threshold": "0"}, "", ""),
        ({"last_updated": None}, "last_updated_present", ""),
        ({"last_updated": "noon"}, "last_updated_parses", ""),
        ({"last_updated": "1735689599.999999"}, "last_updated_not_before_start", ""),
        ({"last_updated": "1735689600"}, "", ""),
        ({"last_updated": "1748932200"}, "", ""),  # 24 h after landing
        ({"last_updated": "1748932200.000001"}, "last_updated_not_in_future", ""),
        ({"last_updated": "2025-06-01T12:30:00Z"}, "", ""),
        (
            {
                "inventory_id": "x",
                "product_id": "",
                "stock_level": "-5",
                "restock_threshold": "-1",
                "last_updated": "1",
            },
            "inventory_id_parses,product_id_present,stock_level_not_negative,restock_threshold_not_negative,"
            "last_updated_not_before_start",
            "",
        ),
    ],
    "products": [
        ({"id": ""}, "id_present", ""),
        ({"sku": ""}, "sku_present", ""),
        ({"name": "  "}, "name_present", ""),
        ({"brand": ""}, "", "brand_present"),
        ({"brand": None}, "", "brand_present"),
        ({"cost": "cheap"}, "cost_parses", ""),
        ({"cost": "NaN"}, "cost_parses", ""),
        ({"cost": "-0.01"}, "cost_not_negative", ""),
        ({"cost": "0"}, "", ""),
        ({"cost": "-0.00004"}, "", ""),  # 0 in money
        ({"retail_price": "1.000,00"}, "retail_price_parses", ""),
        ({"retail_price": "-1e2"}, "retail_price_not_negative", ""),
        ({"category": "", "department": ""}, "", ""),
        ({"sku": "", "name": "", "cost": "-1"}, "sku_present,cost_not_negative,name_present", ""),
        ({"sku": "", "brand": ""}, "sku_present", "brand_present"),
    ],
    "orders": [
        ({"order_id": ""}, "order_id_present", ""),
        *STATUS,
        *ORDER_TIMES,
        ({"num_of_item": "two"}, "num_of_item_parses", ""),
        ({"num_of_item": "0"}, "num_of_item_positive", ""),
        ({"num_of_item": "-1"}, "num_of_item_positive", ""),
        ({"num_of_item": "1.0"}, "", ""),
        (
            {"user_id": "", "status": "?", "shipped_at": "soon", "delivered_at": "2025-03-01", "num_of_item": "0"},
            "user_id_present,status_known,shipped_at_parses,num_of_item_positive",
            "times_in_order",
        ),
    ],
    "order_items": [
        ({"id": ""}, "id_present", ""),
        *STATUS,
        *ORDER_TIMES,
        ({"order_id": ""}, "order_id_present", ""),
        ({"order_id": "404"}, "order_known", ""),
        ({"order_id": " 2 "}, "", ""),
        ({"product_id": ""}, "product_id_present", ""),
        ({"product_id": "404"}, "product_known", ""),
        ({"sale_price": ""}, "sale_price_present", ""),
        ({"sale_price": "free"}, "sale_price_parses", ""),
        ({"sale_price": "-0.01"}, "sale_price_not_negative", ""),
        ({"sale_price": "0"}, "", ""),
        ({"order_id": "404", "product_id": "404"}, "order_known,product_known", ""),
        ({"order_id": "", "product_id": "404"}, "order_id_present,product_known", ""),
        ({"sale_price": "-1", "order_id": "404", "id": ""}, "id_present,sale_price_not_negative,order_known", ""),
    ],
    "stores": [
        ({"store_id": ""}, "store_id_present", ""),
        ({"store_id": "Aarhus"}, "store_id_parses", ""),
        ({"region": " "}, "region_present", ""),
        ({"opened_on": "March"}, "opened_on_parses", ""),
        ({"city": "", "opened_on": ""}, "", ""),
    ],
    "pos_sales": [
        ({"transaction_id": " "}, "transaction_id_present", ""),
        ({"store_id": ""}, "store_id_present", ""),
        ({"store_id": "A"}, "store_id_parses", ""),
        ({"store_id": "404"}, "", "store_known"),
        ({"store_id": "2.0"}, "", ""),
        ({"product_id": ""}, "product_id_present", ""),
        ({"product_id": "1.5"}, "product_id_parses", ""),
        ({"product_id": "404"}, "", ""),
        ({"quantity": ""}, "quantity_present", ""),
        ({"quantity": "two"}, "quantity_parses", ""),
        ({"quantity": "0"}, "quantity_not_zero", ""),
        ({"quantity": "0", "revenue": "0", "discount_applied": ""}, "quantity_not_zero", ""),
        ({"revenue": ""}, "revenue_present", ""),
        ({"revenue": "free"}, "revenue_parses", ""),
        ({"revenue": "-29.97"}, "revenue_agrees_with_quantity", ""),
        ({"quantity": "-3"}, "revenue_agrees_with_quantity", ""),
        ({"quantity": "-3", "revenue": "-29.97"}, "", ""),
        ({"quantity": "-3", "revenue": "0", "discount_applied": "0"}, "", ""),
        ({"discount_applied": "some"}, "discount_applied_parses", ""),
        ({"discount_applied": "-0.01"}, "discount_not_negative", ""),
        ({"discount_applied": "29.97"}, "", ""),
        ({"discount_applied": "29.98"}, "discount_not_above_revenue", ""),
        ({"quantity": "-3", "revenue": "-29.97", "discount_applied": "29.97"}, "", ""),
        ({"quantity": "-3", "revenue": "-29.97", "discount_applied": "29.98"}, "discount_not_above_revenue", ""),
        ({"timestamp": ""}, "timestamp_present", ""),
        ({"timestamp": "noon"}, "timestamp_parses", ""),
        ({"timestamp": "1735689599.999999"}, "timestamp_not_before_start", ""),
        ({"timestamp": A_DAY_AFTER}, "", ""),
        ({"timestamp": JUST_LATER}, "timestamp_not_in_future", ""),
        ({"quantity": "0", "store_id": "404", "timestamp": "x"}, "quantity_not_zero,timestamp_parses", "store_known"),
    ],
    "grocery_products": [
        ({"product_id": ""}, "product_id_present", ""),
        ({"product_id": "A"}, "product_id_parses", ""),
        ({"department_id": ""}, "department_id_present", ""),
        ({"department_id": "snacks"}, "department_id_parses", ""),
        ({"department": ""}, "department_present", ""),
        ({"product_name": None}, "product_name_present", ""),
    ],
    "grocery_orders": [
        *PLACED,
        ({"order_id": ""}, "order_id_present", ""),
        ({"order_id": "A"}, "order_id_parses", ""),
        ({"order_num": ""}, "order_num_present", ""),
        ({"order_num": "first"}, "order_num_parses", ""),
        ({"total_amount": ""}, "total_amount_present", ""),
        ({"total_amount": "12,50"}, "total_amount_parses", ""),
        ({"total_amount": "-0.01"}, "total_amount_not_negative", ""),
        ({"total_amount": "0"}, "", ""),
    ],
    "grocery_order_items": [
        *PLACED,
        ({"id": ""}, "id_present", ""),
        ({"id": "A"}, "id_parses", ""),
        ({"order_id": ""}, "order_id_present", ""),
        ({"order_id": "A"}, "order_id_parses", ""),
        ({"order_id": "404"}, "order_known", ""),
        ({"order_id": " 2.0 "}, "", ""),
        ({"product_id": ""}, "product_id_present", ""),
        ({"product_id": "A"}, "product_id_parses", ""),
        ({"product_id": "404"}, "product_known", ""),
        ({"add_to_cart_order": ""}, "add_to_cart_order_present", ""),
        ({"add_to_cart_order": "first"}, "add_to_cart_order_parses", ""),
        ({"add_to_cart_order": "0"}, "add_to_cart_order_positive", ""),
        ({"add_to_cart_order": "1"}, "", ""),
        ({"reordered": ""}, "reordered_present", ""),
        ({"reordered": "true"}, "reordered_parses", ""),
        ({"reordered": "2"}, "reordered_is_flag", ""),
        ({"reordered": "-1"}, "reordered_is_flag", ""),
        ({"reordered": "0"}, "", ""),
        ({"days_since_prior_order": "a week"}, "days_since_prior_order_parses", ""),
        ({"days_since_prior_order": "-1"}, "days_since_prior_order_not_negative", ""),
        ({"days_since_prior_order": "0"}, "", ""),
        ({"days_since_prior_order": "7.0"}, "", ""),
        ({"order_id": "404", "product_id": "404"}, "order_known,product_known", ""),
    ],
}
"""Changes to a good row, the reasons it is then rejected for, and its warnings."""


@pytest.mark.parametrize(
    ("name", "changes", "reasons", "warnings"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_rules_break_as_the_feed_says(name: str, changes: Texts, reasons: str, warnings: str) -> None:
    assert fate(CONTRACTS[name], changes) == (REJECTED if reasons else ACCEPTED, reasons, warnings)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_each_rule_was_broken_alone(contract: Contract) -> None:
    alone = {reasons + warnings for _, reasons, warnings in CASES[contract.name] if not (reasons and warnings)}
    assert {*contract.rule_severities} - alone == {"record_readable"}


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_a_record_that_cannot_be_read_has_no_other_reason(contract: Contract) -> None:
    nothing: dict[str, object] = dict.fromkeys(contract.column_names)
    assert fate(contract, nothing | {"_corrupt": '{"half'}) == (REJECTED, "record_readable", "")
    assert fate(contract, {"_corrupt": "1,2,3"}) == (REJECTED, "record_readable", "")
    assert "record_readable" not in fate(contract, nothing)[1]


def test_a_warning_does_not_reject() -> None:
    warned = Rule("stock_is_even", "", nw.col("stock_level") % 2 == 1, Severity.WARN)
    contract = dataclasses.replace(INVENTORY, row_rules=(warned,))
    assert fate(contract, {"stock_level": "41"}) == (ACCEPTED, "", "stock_is_even")
    assert fate(contract, {"stock_level": "41", "product_id": ""}) == (REJECTED, "product_id_present", "stock_is_even")
    # NULL is not a broken rule
    assert fate(contract, {"stock_level": ""}) == (REJECTED, "stock_level_present", "")


def test_a_rejected_row_keeps_its_text() -> None:
    row = {name: f" {text}\t" for name, text in GOOD["orders"].items()}
    row |= {"status": " Lost ", "_extra": '{"gift":true}'}
    _, rejected, _ = parted(bronze_rows(ORDERS, [row]), ORDERS)
    assert rejected.columns == list(tables.rejected(ORDERS).columns)
    assert {name: rejected[name].item() for name in row} == row


# --- references ------------------------------------------------------------------------------------------------------


def test_a_line_carries_what_its_parents_say_now() -> None:
    rows = bronze_rows(ORDER_ITEMS, [GOOD["order_items"] | {"order_id": "2 ", "product_id": "2", "status": "shipped"}])
    accepted, _, _ = parted(rows, ORDER_ITEMS)
    carried = accepted.select("order_date", "order_status", "order_returned_at", "category", "cost", "refund_date")
    assert carried.row(0) == (date(2025, 4, 1), "shipped", None, "unknown", None, None)


@pytest.mark.parametrize(
    ("order", "returned_at", "status", "refund_date"),
    [
        ("1", "2025-04-07T03:09:26", "returned", date(2025, 4, 7)),
        ("1", "", "returned", date(2025, 4, 3)),  # its order's
        ("1", "2025-04-07T23:30:00-05:00", "returned", date(2025, 4, 8)),  # days are UTC
        ("2", "", "returned", None),
        ("1", "2025-04-07T03:09:26", "delivered", None),
    ],
)
def test_refund_date(order: str, returned_at: str, status: str, refund_date: date | None) -> None:
    row = GOOD["order_items"] | {"order_id": order, "returned_at": returned_at, "status": status}
    assert judged(bronze_rows(ORDER_ITEMS, [row]), ORDER_ITEMS)["refund_date"].to_list() == [refund_date]


def test_a_line_of_a_store_that_nobody_knows_is_of_an_unknown_region() -> None:
    rows = [GOOD["pos_sales"] | {"transaction_id": store, "store_id": store} for store in ("1", "2", "3")]
    accepted, _, _ = parted(bronze_rows(POS_SALES, rows), POS_SALES)
    assert accepted.sort("store_id").select("region", "_warnings").rows() == [
        *(("North", ""), ("South", ""), ("unknown", "store_known"))
    ]


def test_a_line_of_the_grocery_carries_the_day_of_its_order_and_its_department() -> None:
    rows = bronze_rows(GROCERY_ORDER_ITEMS, [GOOD["grocery_order_items"] | {"order_id": "2", "product_id": "2"}])
    accepted, _, _ = parted(rows, GROCERY_ORDER_ITEMS)
    assert accepted.select("order_date", "department_id").row(0) == (date(2025, 4, 2), 4)


def test_a_line_is_not_multiplied_by_what_it_waits_for() -> None:
    rows = bronze_rows(ORDER_ITEMS, [GOOD["order_items"] | {"id": str(n), "order_id": o} for n, o in enumerate("1223")])
    assert judged(rows, ORDER_ITEMS).sort("id")["_outcome"].to_list() == [ACCEPTED] * 3 + [REJECTED]


# --- newest wins -----------------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
NEWEST_WINS: dict[str, list[dict[str, object]]] = {
    "the order's latest time": [
        {"returned_at": "2025-04-03T10:14:26", "_landed_at": LANDED + HOUR, "_source": "b"},
        {"returned_at": "2025-04-03T10:14:27", "_landed_at": LANDED, "_source": "a"},
    ],
    "the latest of the times that are there": [
        {"returned_at": "", "delivered_at": "2025-04-02T00:00:00", "_source": "b"},
        {"returned_at": "", "delivered_at": "", "shipped_at": "2025-04-02T00:00:01", "_source": "a"},
    ],
    "then landing time": [
        {"_landed_at": LANDED, "_source": "b", "_version": "v2"},
        {"_landed_at": LANDED + timedelta(microseconds=1), "_source": "a", "_version": "v1"},
    ],
    "then the object": [{"_source": "a", "_version": "v2", "_line": 9}, {"_source": "b", "_version": "v1", "_line": 1}],
    "then its version": [{"_version": "v1", "_line": 9}, {"_version": "v2", "_line": 1}],
    "then the line": [{"_line": 9}, {"_line": 10}],
}
"""Pairs of rows with one key: the second is newer by what is named, and older by all that comes after it."""


@pytest.mark.parametrize("pair", NEWEST_WINS.values(), ids=NEWEST_WINS)
def test_the_newest_row_wins(pair: list[Mapping[str, object]]) -> None:
    assert outcomes(ORDERS, pair) == [SUPERSEDED, ACCEPTED]
    assert outcomes(ORDERS, pair[::-1]) == [ACCEPTED, SUPERSEDED]


def test_one_of_many_wins() -> None:
    rows = [{"_landed_at": LANDED + timedelta(minutes=minute)} for minute in (5, 9, 1, 9, 3)]
    assert outcomes(ORDERS, rows) == [SUPERSEDED, SUPERSEDED, SUPERSEDED, ACCEPTED, SUPERSEDED]


def test_a_product_is_newest_by_the_date_of_its_object() -> None:
    older = {"_window": LANDED - timedelta(days=2), "_landed_at": LANDED + HOUR}
    assert outcomes(PRODUCTS, [older, {"_window": LANDED - timedelta(days=1)}]) == [SUPERSEDED, ACCEPTED]


def test_a_key_is_the_value_and_not_the_text() -> None:
    assert outcomes(ORDERS, [{"order_id": "7"}, {"order_id": " 7\t"}]) == [SUPERSEDED, ACCEPTED]
    assert outcomes(ORDERS, [{"order_id": "7"}, {"order_id": "07"}]) == [ACCEPTED, ACCEPTED]  # a string
    assert outcomes(INVENTORY, [{"inventory_id": "7"}, {"inventory_id": "07.0"}]) == [SUPERSEDED, ACCEPTED]
    same_time = [{"last_updated": "1748781000"}, {"last_updated": "2025-06-01T14:30:00+02:00"}]
    assert outcomes(INVENTORY, same_time) == [SUPERSEDED, ACCEPTED]


def test_snapshots_of_different_times_are_history() -> None:
    times = ("1748781000", "1748781000.000001")
    assert outcomes(INVENTORY, [{"last_updated": time} for time in times]) == [ACCEPTED, ACCEPTED]


def test_a_basket_has_a_line_per_product_and_way() -> None:
    returned = {"quantity": "-3", "revenue": "-29.97"}
    assert outcomes(POS_SALES, [{}, {"product_id": "12"}, returned, {"transaction_id": "T-2"}]) == [ACCEPTED] * 4
    assert outcomes(POS_SALES, [{}, {"quantity": "1"}, returned, returned | {"quantity": "-1"}]) == [
        *(SUPERSEDED, ACCEPTED, SUPERSEDED, ACCEPTED)
    ]
    later = {"timestamp": "1748781001", "_line": 1}
    assert outcomes(POS_SALES, [later, {"_landed_at": LANDED + HOUR, "_line": 2}]) == [ACCEPTED, SUPERSEDED]


def test_a_rejected_row_does_not_compete() -> None:
    newer = {"_landed_at": LANDED + HOUR, "status": "?"}
    assert outcomes(ORDERS, [{}, newer]) == [ACCEPTED, REJECTED]
    assert outcomes(ORDERS, [{}, newer, {"_landed_at": LANDED - HOUR}]) == [ACCEPTED, REJECTED, SUPERSEDED]


def test_a_row_with_a_warning_competes() -> None:
    assert outcomes(PRODUCTS, [{}, {"brand": "", "_landed_at": LANDED + HOUR}]) == [SUPERSEDED, ACCEPTED]


def test_rows_of_an_older_object_version_are_superseded_whatever_they_hold() -> None:
    replaced = {"_current": False, "_landed_at": LANDED + HOUR}
    rows = [replaced, replaced | {"status": "?"}, replaced | {"_corrupt": "x"}, {}]
    assert outcomes(ORDERS, rows) == [SUPERSEDED, SUPERSEDED, SUPERSEDED, ACCEPTED]


def test_a_superseded_row_keeps_its_text_and_says_whether_its_object_stands() -> None:
    changes: list[dict[str, object]] = [{"user_id": " 9116 "}, {}, {"_current": False}]
    _, _, superseded = parted(bronze_rows(ORDERS, [GOOD["orders"] | change for change in changes]), ORDERS)
    assert superseded.columns == [*ORDERS.column_names, "created_date", *tables.PROVENANCE, "_current"]
    lost = superseded.sort("_line").select("_line", "user_id", "_current")
    assert lost.rows() == [(1, " 9116 ", True), (3, "9116", False)]


def test_a_key_is_unique_in_its_scope() -> None:
    two_days = [{"_window": datetime(2025, 3, day, tzinfo=UTC)} for day in (29, 30)]
    in_window = dataclasses.replace(ORDERS, key_scope="window", grain=Grain.DAY)
    assert outcomes(ORDERS, two_days) == [SUPERSEDED, ACCEPTED]
    assert outcomes(in_window, two_days) == [ACCEPTED, ACCEPTED]
    assert outcomes(in_window, [*two_days, two_days[0]]) == [SUPERSEDED, ACCEPTED, ACCEPTED]


def test_a_key_may_be_missing_in_part() -> None:
    contract = dataclasses.replace(ORDERS, key=("order_id", "num_of_item"))
    assert outcomes(contract, [{"num_of_item": ""}, {"num_of_item": None}, {}]) == [SUPERSEDED, ACCEPTED, ACCEPTED]


def test_no_rows_are_no_rows() -> None:
    for contract in CONTRACTS.values():
        accepted, rejected, superseded = parted(bronze_rows(contract, []), contract)
        assert (len(accepted), len(rejected), len(superseded)) == (0, 0, 0)
        assert accepted.columns == list(tables.silver(contract).columns)


# --- properties ------------------------------------------------------------------------------------------------------

enough = settings(deadline=None, max_examples=30)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[str, pl.DataFrame]:
    """A table and dirty rows of it; of two rows of one key either may be the newer one, at every level."""
    contract = CONTRACTS[draw(st.sampled_from(list(CONTRACTS)))]
    keys = st.sampled_from(["1", " 1", "2", ""])
    named = {*contract.key, *(reference.column for reference in contract.references)} - {contract.event_time}
    good = GOOD[contract.name]
    texts = {
        column.name: keys if column.name in named else st.just(good[column.name]) | st.sampled_from(dirty_texts(column))
        for column in contract.columns
    }
    provenance = {
        "_source": st.sampled_from("ab"),
        "_version": st.sampled_from("12"),
        "_landed_at": st.sampled_from([LANDED, LANDED + HOUR]),
        "_current": st.sampled_from([True, True, True, False]),
        "_corrupt": st.sampled_from([None] * 9 + ["{"]),
        "_window": st.sampled_from([contract.grain.floor(time) for time in (LANDED, LANDED - timedelta(days=1))]),
    }
    rows = draw(st.lists(st.fixed_dictionaries(texts | provenance), max_size=25))
    return contract.name, bronze_rows(contract, rows)


def assert_every_row_is_accounted_for(rows: pl.DataFrame, contract: Contract) -> None:
    parts = parted(rows, contract)
    lines = [line for part in parts for line in part["_line"]]
    assert sorted(lines) == rows["_line"].to_list()


NEWEST_BY: dict[str, Callable[[dict[str, Any]], Any]] = {
    "inventory": lambda row: 0,
    "pos_sales": itemgetter("timestamp"),
    **dict.fromkeys(("products", "stores", "grocery_products"), itemgetter("_window")),
    **dict.fromkeys(("grocery_orders", "grocery_order_items"), itemgetter("order_timestamp")),
    **dict.fromkeys(
        ("orders", "order_items"),
        lambda row: max(row[t] for t in ("created_at", "shipped_at", "delivered_at", "returned_at") if row[t]),
    ),
}


def assert_law_4_holds(rows: pl.DataFrame, contract: Contract) -> None:
    """Older versions are superseded; the rest is judged; the rest competes by key, the newest row wins."""
    found = judged(rows.sample(fraction=1, shuffle=True, seed=len(rows)), contract).to_dicts()
    newest_by = NEWEST_BY[contract.name]
    winners: dict[tuple[object, ...], tuple[object, ...]] = {}
    for row in found:
        if row["_current"] and not row["_reasons"]:
            key = tuple(row[name] for name in contract.key)
            age = (newest_by(row), *(row[name] for name in ("_landed_at", "_source", "_version", "_line")))
            winners[key] = max(winners.get(key, age), age)
    won = {age[-1] for age in winners.values()}
    for row in found:
        expected = REJECTED if row["_reasons"] else ACCEPTED if row["_line"] in won else SUPERSEDED
        assert row["_outcome"] == (expected if row["_current"] else SUPERSEDED)


@enough
@given(worlds())
def test_accepted_rejected_and_superseded_are_what_was_read(world: tuple[str, pl.DataFrame]) -> None:
    contract, rows = CONTRACTS[world[0]], world[1]
    assert_every_row_is_accounted_for(rows, contract)


@enough
@given(worlds())
def test_the_newest_sound_row_of_each_key_is_accepted(world: tuple[str, pl.DataFrame]) -> None:
    contract, rows = CONTRACTS[world[0]], world[1]
    assert_law_4_holds(rows, contract)


@enough
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(world: tuple[str, pl.DataFrame], random: Random) -> None:
    contract, rows = CONTRACTS[world[0]], world[1]
    shuffled = list(range(len(rows)))
    random.shuffle(shuffled)
    for part, same in zip(parted(rows, contract), parted(rows[shuffled], contract), strict=True):
        assert_frame_equal(part.sort(*tables.PROVENANCE), same.sort(*tables.PROVENANCE))


@enough
@given(worlds())
def test_rows_without_a_common_key_can_be_judged_apart(world: tuple[str, pl.DataFrame]) -> None:
    contract, rows = CONTRACTS[world[0]], world[1]
    first = pl.col(contract.key[0]).str.strip_chars() == "1"
    apart = [judged(rows.filter(part), contract) for part in (first, first.not_())]
    assert_frame_equal(judged(rows, contract).sort("_line"), pl.concat(apart).sort("_line"))


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_dirty_rows_break_every_rule(contract: Contract) -> None:
    """The control of all tests that live on them."""
    found = judged(dirty_rows(contract, 3000, seed=0), contract)
    assert {*found["_outcome"]} == {ACCEPTED, REJECTED, SUPERSEDED}
    names = pl.concat([found["_reasons"], found["_warnings"]]).str.split(",").explode()
    assert {*names} - {""} == {*contract.rule_severities}


def test_the_properties_see_a_judge_that_loses_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dirty_rows(ORDERS, 50, seed=0).with_columns(_line=pl.int_range(1, 51))
    assert_every_row_is_accounted_for(rows, ORDERS)
    monkeypatch.setattr(module, "SUPERSEDED", REJECTED)
    with pytest.raises(AssertionError):
        assert_every_row_is_accounted_for(rows, ORDERS)


def test_the_properties_see_a_judge_to_whom_the_last_row_read_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dirty_rows(ORDERS, 50, seed=0)
    assert_law_4_holds(rows, ORDERS)
    by_reading = dataclasses.replace(ORDERS, newest_by=nw.col("_line"))
    with pytest.raises(AssertionError):
        assert_law_4_holds(rows, by_reading)
