"""The contracts against feeds.md: names, severities and keys, written down here by hand."""

import dataclasses
import os
import subprocess
import sys

import narwhals as nw
import pytest

from shopware_assets.contracts import CONTRACTS, INVENTORY, ORDERS
from shopware_assets.contracts.contract import Contract, Reference, Rule, Severity, Type
from shopware_assets.contracts.windows import Grain

REQUIRED = {
    "inventory": {"inventory_id", "product_id", "warehouse_id", "stock_level", "last_updated"},
    "products": {"id", "sku", "name"},
    "orders": {"order_id", "user_id", "status", "created_at"},
    "order_items": {"id", "order_id", "user_id", "product_id", "status", "created_at", "sale_price"},
    "stores": {"store_id", "region"},
    "pos_sales": {"transaction_id", "store_id", "product_id", "quantity", "revenue", "timestamp"},
    "grocery_products": {"product_id", "department_id", "department", "product_name"},
    "grocery_orders": {"order_id", "order_num", "user_id", "order_timestamp", "total_amount", "date"},
    "grocery_order_items": {
        *("id", "order_id", "user_id", "product_id", "add_to_cart_order", "reordered", "order_timestamp", "date")
    },
}

TYPES = {
    "inventory": {
        **dict.fromkeys(("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold"), "int"),
        "last_updated": "time",
    },
    "products": {
        **dict.fromkeys(("id", "sku", "category", "name", "brand", "department"), "string"),
        **dict.fromkeys(("cost", "retail_price"), "money"),
    },
    "orders": {
        **dict.fromkeys(("order_id", "user_id", "status"), "string"),
        **dict.fromkeys(("created_at", "returned_at", "shipped_at", "delivered_at"), "time"),
        "num_of_item": "int",
    },
    "order_items": {
        **dict.fromkeys(("id", "order_id", "user_id", "product_id", "status"), "string"),
        **dict.fromkeys(("created_at", "shipped_at", "delivered_at", "returned_at"), "time"),
        "sale_price": "money",
    },
    "stores": {"store_id": "int", "region": "string", "city": "string", "opened_on": "date"},
    "pos_sales": {
        "transaction_id": "string",
        **dict.fromkeys(("store_id", "product_id", "quantity"), "int"),
        **dict.fromkeys(("revenue", "discount_applied"), "money"),
        "timestamp": "time",
    },
    "grocery_products": {
        **dict.fromkeys(("product_id", "department_id"), "int"),
        **dict.fromkeys(("department", "product_name"), "string"),
    },
    "grocery_orders": {
        **dict.fromkeys(("order_id", "order_num", "user_id"), "int"),
        "order_timestamp": "time",
        "total_amount": "money",
        "date": "date",
    },
    "grocery_order_items": {
        **dict.fromkeys(("id", "order_id", "user_id", "product_id"), "int"),
        **dict.fromkeys(("add_to_cart_order", "reordered", "days_since_prior_order"), "int"),
        "order_timestamp": "time",
        "date": "date",
    },
}

FURTHER_RULES = {
    "inventory": {
        "stock_level_not_negative": "reject",
        "restock_threshold_not_negative": "reject",
        "last_updated_not_in_future": "reject",
        "last_updated_not_before_start": "reject",
    },
    "products": {"brand_present": "warn", "cost_not_negative": "reject", "retail_price_not_negative": "reject"},
    "orders": {
        "status_known": "reject",
        "created_at_not_in_future": "reject",
        "created_at_not_before_start": "reject",
        "returned_at_not_in_future": "reject",
        "shipped_at_not_in_future": "reject",
        "delivered_at_not_in_future": "reject",
        "num_of_item_positive": "reject",
        "times_in_order": "warn",
    },
    "order_items": {
        "status_known": "reject",
        "created_at_not_in_future": "reject",
        "created_at_not_before_start": "reject",
        "returned_at_not_in_future": "reject",
        "shipped_at_not_in_future": "reject",
        "delivered_at_not_in_future": "reject",
        "sale_price_not_negative": "reject",
        "times_in_order": "warn",
        "order_known": "reject",
        "product_known": "reject",
    },
    "stores": {},
    "pos_sales": {
        "quantity_not_zero": "reject",
        "revenue_agrees_with_quantity": "reject",
        "discount_not_negative": "reject",
        "discount_not_above_revenue": "reject",
        "timestamp_not_in_future": "reject",
        "timestamp_not_before_start": "reject",
        "store_known": "warn",
    },
    "grocery_products": {},
    "grocery_orders": {
        "order_timestamp_not_in_future": "reject",
        "order_timestamp_not_before_start": "reject",
        "total_amount_not_negative": "reject",
        "date_agrees_with_timestamp": "warn",
    },
    "grocery_order_items": {
        "add_to_cart_order_positive": "reject",
        "reordered_is_flag": "reject",
        "days_since_prior_order_not_negative": "reject",
        "order_timestamp_not_in_future": "reject",
        "order_timestamp_not_before_start": "reject",
        "date_agrees_with_timestamp": "warn",
        "order_known": "reject",
        "product_known": "reject",
    },
}

each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


@each_contract
def test_columns_have_the_types_of_the_feed(contract: Contract) -> None:
    assert {column.name: column.type.value for column in contract.columns} == TYPES[contract.name]


@each_contract
def test_rules_are_those_of_the_feed(contract: Contract) -> None:
    implied = {f"{name}_present": "reject" for name in REQUIRED[contract.name]}
    implied |= {f"{name}_parses": "reject" for name, kind in TYPES[contract.name].items() if kind != "string"}
    expected = {"record_readable": "reject"} | implied | FURTHER_RULES[contract.name]
    assert {name: severity.value for name, severity in contract.rule_severities.items()} == expected


@each_contract
def test_rule_names_are_used_once_and_can_be_listed(contract: Contract) -> None:
    names = [rule.name for rule in (*contract.rules, *contract.references_as_rules)]
    assert len({*names}) == len(names)
    assert not any("," in name for name in names)  # reasons are separated by commas


def test_keys_scopes_and_windows() -> None:
    facts = {
        name: (contract.key, contract.key_scope, contract.event_time, contract.partition_columns)
        for name, contract in CONTRACTS.items()
    }
    assert facts == {
        "inventory": (
            ("inventory_id", "last_updated"),
            "window",
            "last_updated",
            ("last_updated_date", "last_updated_hour"),
        ),
        "products": (("id",), "table", None, ()),
        "orders": (("order_id",), "table", "created_at", ("created_date",)),
        "order_items": (("id",), "table", "created_at", ("created_date",)),
        "stores": (("store_id",), "table", None, ()),
        "pos_sales": (("transaction_id", "product_id", "sign"), "window", "timestamp", ("timestamp_date",)),
        "grocery_products": (("product_id",), "table", None, ()),
        "grocery_orders": (("order_id",), "table", "order_timestamp", ("order_timestamp_date",)),
        "grocery_order_items": (("id",), "table", "order_timestamp", ("order_timestamp_date",)),
    }
    assert {name for name, contract in CONTRACTS.items() if contract.grain is Grain.HOUR} == {"inventory"}
    assert {name: contract.laid_out_by for name, contract in CONTRACTS.items() if contract.laid_out_by} == {
        "grocery_products": "department_id"
    }


def test_a_day_of_the_grocery_needs_three_tables() -> None:
    items = {"grocery_order_items": {"grocery_products", "grocery_orders", "grocery_order_items"}}
    assert {name: {*contract.complete_with} for name, contract in CONTRACTS.items() if contract.complete_with} == items


def test_parents_come_before_their_children() -> None:
    order = list(CONTRACTS)
    for contract in CONTRACTS.values():
        for reference in contract.references:
            assert order.index(reference.parent) < order.index(contract.name)
            parent = CONTRACTS[reference.parent]
            assert (reference.parent_key,) == parent.key
            assert {carried.column for carried in reference.carries} <= {
                *parent.column_names,
                *parent.partition_columns,
            }


def test_rules_of_the_whole_table() -> None:
    rules = {(name, rule.name): rule.severity.value for name, c in CONTRACTS.items() for rule in c.table_rules}
    assert rules == {
        ("order_items", "order_line_repeats_product"): "warn",
        ("orders", "order_has_all_its_items"): "warn",
        ("order_items", "returned_has_date"): "warn",
        ("grocery_products", "department_id_names_one_department"): "warn",
    }


def test_personal_data_is_marked() -> None:
    marked = {(c.name, column.name) for c in CONTRACTS.values() for column in c.columns if column.personal}
    assert marked == {(name, "user_id") for name in ("orders", "order_items", "grocery_orders", "grocery_order_items")}


def test_types_are_stored_exactly() -> None:
    assert Type.MONEY.dtype == nw.Decimal(18, 4)
    assert Type.TIME.dtype == nw.Datetime("us", "UTC")
    assert Type.INT.dtype == nw.Int64()


def test_fingerprint_is_the_same_in_every_process() -> None:
    program = "from shopware_assets.contracts import CONTRACTS; print(*(c.fingerprint for c in CONTRACTS.values()))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == [contract.fingerprint for contract in CONTRACTS.values()]


def test_fingerprint_changes_with_a_rule_of_the_same_name() -> None:
    def with_limit(limit: int) -> Contract:
        rule = Rule("stock_level_sane", "Not too much.", nw.col("stock_level") > limit, Severity.WARN)
        return dataclasses.replace(INVENTORY, row_rules=(rule,))

    assert with_limit(10).fingerprint == with_limit(10).fingerprint
    assert len({INVENTORY.fingerprint, with_limit(10).fingerprint, with_limit(11).fingerprint}) == 3


def test_fingerprint_does_not_change_with_words_about_it() -> None:
    columns = tuple(dataclasses.replace(c, description="Other words.", unit="other") for c in INVENTORY.columns)
    reworded = dataclasses.replace(INVENTORY, columns=columns, description="Other words.", owner="team:other")
    assert reworded.fingerprint == INVENTORY.fingerprint
    required = dataclasses.replace(INVENTORY, columns=(dataclasses.replace(columns[0], required=False), *columns[1:]))
    assert required.fingerprint != INVENTORY.fingerprint


REFERENCE = (Reference("user_known", "A user that is known.", "userid", "users", "id"),)


@pytest.mark.parametrize("wrong", [{"key": ("order_idd",)}, {"event_time": "created"}, {"references": REFERENCE}])
def test_a_name_that_is_no_column_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} of the contract orders names '.*', no column of it"):
        dataclasses.replace(ORDERS, **wrong)
