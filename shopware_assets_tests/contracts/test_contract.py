"""The contracts against feeds.md: names, severities and keys, written down here by hand."""

import dataclasses
import os
import subprocess
import sys

import narwhals as nw
import pytest

from shopware_assets.contracts import CONTRACTS, INVENTORY, ORDER_ITEMS, ORDERS, PRODUCTS
from shopware_assets.contracts.contract import Contract, Reference, Rule, Severity, Type
from shopware_assets.contracts.windows import Grain

REQUIRED = {
    "inventory": {"inventory_id", "product_id", "warehouse_id", "stock_level", "last_updated"},
    "products": {"id", "sku", "name"},
    "orders": {"order_id", "user_id", "status", "created_at"},
    "order_items": {"id", "order_id", "user_id", "product_id", "status", "created_at", "sale_price"},
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
    }
    assert {name: contract.grain for name, contract in CONTRACTS.items()} == {
        "inventory": Grain.HOUR, "products": Grain.DAY, "orders": Grain.DAY, "order_items": Grain.DAY,
    }  # fmt: skip


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
    assert [(rule.name, rule.severity.value) for rule in ORDER_ITEMS.table_rules] == [
        ("order_line_repeats_product", "warn"),
        ("order_has_all_its_items", "warn"),
        ("returned_has_date", "warn"),
    ]
    assert not any(contract.table_rules for contract in (INVENTORY, PRODUCTS, ORDERS))


def test_personal_data_is_marked() -> None:
    marked = {(c.name, column.name) for c in CONTRACTS.values() for column in c.columns if column.personal}
    assert marked == {("orders", "user_id"), ("order_items", "user_id")}


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
