"""Named frames: rows of each table as bronze holds them, good ones and dirty ones, and the parents they name.

Made by hand, or drawn from the contract alone. What must become of them is for each test to say.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import narwhals as nw
import polars as pl

from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Column, Contract, Type
from shopware_assets.contracts.tables import bronze, silver

START = datetime(2025, 1, 1, tzinfo=UTC)
"""Where the lake starts."""

LANDED = datetime(2025, 6, 2, 6, 30, tzinfo=UTC)
"""When objects land, unless a row says otherwise."""

GOOD: dict[str, dict[str, str]] = {
    "inventory": {
        "inventory_id": "1",
        "product_id": "11",
        "warehouse_id": "3",
        "stock_level": "40",
        "restock_threshold": "15",
        "last_updated": "1748781000.25",  # 2025-06-01 12:30:00.25
    },
    "products": {
        "id": "1",
        "sku": "eHZ-67752426",
        "cost": "15.58",
        "category": "Beauty",
        "name": "Down-sized budgetary management",
        "brand": "Globex",
        "retail_price": "53.95",
        "department": "Personal Care",
    },
    "orders": {
        "order_id": "1",
        "user_id": "9116",
        "status": "returned",
        "created_at": "2025-03-30T16:14:26",
        "returned_at": "2025-04-03T10:14:26",
        "shipped_at": "2025-03-31T06:14:26",
        "delivered_at": "2025-04-02T10:14:26",
        "num_of_item": "1",
    },
    "order_items": {
        "id": "1",
        "order_id": "1",
        "user_id": "9116",
        "product_id": "1",
        "status": "returned",
        "created_at": "2025-03-30T17:09:26",
        "shipped_at": "2025-03-31T05:09:26",
        "delivered_at": "2025-04-02T03:09:26",
        "returned_at": "2025-04-07T03:09:26",
        "sale_price": "81.64",
    },
    "stores": {"store_id": "1", "region": "North", "city": "Aarhus", "opened_on": "2024-03-01"},
    "pos_sales": {
        "transaction_id": "T-1",
        "store_id": "1",
        "product_id": "11",
        "quantity": "3",
        "revenue": "29.97",
        "discount_applied": "3.00",
        "timestamp": "1748781000",  # 2025-06-01 12:30
    },
    "grocery_products": {
        "product_id": "1",
        "department_id": "19",
        "department": "snacks",
        "product_name": "Chocolate Sandwich Cookies",
    },
    "grocery_orders": {
        "order_id": "1",
        "order_num": "7",
        "user_id": "9116",
        "order_timestamp": "2025-04-01T18:22:09",
        "total_amount": "42.50",
        "date": "2025-04-01",
    },
    "grocery_order_items": {
        "id": "1",
        "order_id": "1",
        "user_id": "9116",
        "product_id": "1",
        "add_to_cart_order": "2",
        "reordered": "1",
        "days_since_prior_order": "9",
        "order_timestamp": "2025-04-01T18:22:09",
        "date": "2025-04-01",
    },
}
"""A row of each table that breaks no rule."""

_PARENTS: dict[str, list[dict[str, object]]] = {
    "orders": [
        {
            "order_id": "1",
            "status": "returned",
            "returned_at": datetime(2025, 4, 3, 10, 14, 26, tzinfo=UTC),
            "created_date": date(2025, 3, 30),
        },
        {"order_id": "2", "status": "shipped", "returned_at": None, "created_date": date(2025, 4, 1)},
    ],
    "products": [
        {"id": "1", "category": "Beauty", "cost": Decimal("15.5800")},
        {"id": "2", "category": None, "cost": None},
    ],
    "stores": [{"store_id": 1, "region": "North"}, {"store_id": 2, "region": "South"}],
    "grocery_orders": [
        {"order_id": 1, "order_timestamp_date": date(2025, 4, 1)},
        {"order_id": 2, "order_timestamp_date": date(2025, 4, 2)},
    ],
    "grocery_products": [{"product_id": 1, "department_id": 19}, {"product_id": 2, "department_id": 4}],
}


def parents(contract: Contract) -> dict[str, pl.DataFrame]:
    """Accepted rows of the tables that the contract refers to: 1 and 2 of each; product 2 of the shop knows little."""
    return {
        reference.parent: pl.DataFrame(
            _PARENTS[reference.parent], schema=nw.Schema(silver(CONTRACTS[reference.parent]).columns).to_polars()
        )
        for reference in contract.references
    }


def bronze_rows(contract: Contract, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Bronze rows, with `_current`. What a row does not say is missing or, of its provenance and window, usual."""
    filled = []
    for line, row in enumerate(rows, start=1):
        usual = {
            "_source": f"{contract.prefix}/a",
            "_version": "v1",
            "_line": line,
            "_landed_at": LANDED,
            "_current": True,
        }
        window = row.get("_window", contract.grain.floor(LANDED))
        assert isinstance(window, datetime)
        parts = dict(zip(contract.partition_columns, (window.date(), window.hour), strict=False))
        filled.append(usual | parts | {"_window": window} | dict(row))
    schema = nw.Schema({**bronze(contract).columns, "_current": nw.Boolean()})
    return pl.DataFrame(filled, schema=schema.to_polars())


_TEXTS: dict[Type, tuple[str, ...]] = {
    Type.STRING: ("a", " a ", "Größe\u3000", "null"),
    Type.INT: ("5", "+5", " 5.0", "5e0", "0", "-1", "5.5", "0x5", "1,000", "true", "9223372036854775808", "many"),
    Type.MONEY: ("81.64", "0", "-0.01", "1e2", "0.00005", "NaN", "inf", "12,50", "99999999999999.99995"),
    Type.TIME: (
        "1748781000", "1748781000.25", "1748781000250", "1748781000250000", "2025-06-01T12:30:00",
        "2025-05-31 23:30:00-05:00", "2025-06-03T06:30:00Z", "2025-06-03T06:30:00.000001Z",
        "2024-12-31T23:59:59.999999", "2025-01-01", "2025-02-30", "2031-01-01T00:00:00", "yesterday", "-1",
    ),
    Type.DATE: ("2025-04-01", "20250402", "2025-04-01T23:30:00-05:00", "2025-02-30", "45748", "yesterday"),
}  # fmt: skip

_VARIED: dict[str, tuple[str, ...]] = {
    "created_at": ("2025-03-30T16:14:26", "2025-03-30T23:59:59.999999", "2025-03-31T00:00:00Z"),
    "returned_at": ("2025-04-03T10:14:26", "2025-04-04T00:00:00+02:00", ""),
    "num_of_item": ("1", "2", ""),
    "sale_price": ("81.64", "0.01", "3.3333"),
    "category": ("Beauty", "Toys", ""),
    "stock_level": ("0", "15", "16"),
    "restock_threshold": ("15", ""),
    "last_updated": ("1748781000.25", "1748784600", "2025-06-01T12:30:00.25", "2025-05-31T20:00Z", "2025-06-02T03:00Z"),
    "product_id": ("1", "2", "3", "4", "5"),
    "warehouse_id": ("3", "4"),
    "quantity": ("3", "3", "-3"),
    "revenue": ("29.97", "29.97", "-29.97"),
    "discount_applied": ("3.00", "29.97", ""),
    "timestamp": ("1748781000", "1748822400"),
    "order_timestamp": ("2025-04-01T18:22:09", "2025-04-02T00:00:00Z"),
    "date": ("2025-04-01", "2025-04-02"),
    "reordered": ("0", "1"),
    "days_since_prior_order": ("", "2", "9"),
}


def dirty_texts(column: Column) -> list[str | None]:
    """What may stand in a column, from well-formed to hopeless."""
    words = [*column.values, *(f" {word.upper()}" for word in column.values), "unheard of"]
    return ["", " \t", None, *(words if column.values else _TEXTS[column.type])]


def dirty_rows(contract: Contract, count: int, seed: int) -> pl.DataFrame:
    """Rows of three objects, and of an older version of one of them: two in three are good, the others hopeful at best.

    They have few keys and name few parents, so that they meet.
    """
    random = Random(f"{contract.name}/{seed}")
    good: dict[str, tuple[str, ...]] = {name: (text,) for name, text in GOOD[contract.name].items()}
    good |= {name: texts for name, texts in _VARIED.items() if name in good}
    good |= {column.name: column.values for column in contract.columns if column.values}
    good |= {
        name: tuple(map(str, range(1, 2 + count // 5))) for name in {*contract.key} & {*good} - {contract.event_time}
    }
    good |= {reference.column: ("1", "1", " 1", "2", "2\u00a0", "3") for reference in contract.references}
    rows = []
    for line in range(1, count + 1):
        source, version, current = random.choice(
            [("a", "1", True), ("b", "1", True), ("c", "1", False), ("c", "2", True)]
        )
        landed_at = LANDED + timedelta(hours=random.choice((0, 1)) if source == "b" else int(version))
        row: dict[str, object] = {name: random.choice(texts) for name, texts in good.items()}
        match random.choice("ggggggggggmmmmx"):
            case "m":
                broken = random.sample(contract.columns, k=random.randint(1, 3))
                row |= {column.name: random.choice(dirty_texts(column)) for column in broken}
            case "x":
                row = {"_corrupt": '{"half a rec'}
        row |= {"_source": source, "_version": version, "_line": line, "_landed_at": landed_at, "_current": current}
        rows.append(row | {"_window": contract.grain.floor(random.choice((START, LANDED)))})
    return bronze_rows(contract, rows)
