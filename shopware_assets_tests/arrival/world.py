"""A small world of landed objects that contains every way in which rows meet, and more of them drawn from a seed.

Belongs here: objects, as a source would drop them, and a landing that holds them in memory. What must become of them
is worked out elsewhere. Times are days of March 2025: "02T10" is ten o'clock on the second.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from resources.landing import Fetched, Gone, Landed

START = datetime(2025, 1, 1, tzinfo=UTC)
"""Where the lake starts."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "inventory": ("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold", "last_updated"),
    "products": ("id", "sku", "cost", "category", "name", "brand", "retail_price", "department"),
    "orders": (
        *("order_id", "user_id", "status", "created_at", "returned_at", "shipped_at", "delivered_at", "num_of_item"),
    ),
    "order_items": (
        *("id", "order_id", "user_id", "product_id", "status"),
        *("created_at", "shipped_at", "delivered_at", "returned_at", "sale_price"),
    ),
    "stores": ("store_id", "region", "city", "opened_on"),
    "pos_sales": (
        *("transaction_id", "store_id", "product_id", "quantity", "revenue", "discount_applied", "timestamp"),
    ),
    "grocery_products": ("product_id", "department_id", "department", "product_name"),
    "grocery_orders": ("order_id", "order_num", "user_id", "order_timestamp", "total_amount", "date"),
    "grocery_order_items": (
        *("id", "order_id", "user_id", "product_id", "add_to_cart_order", "reordered"),
        *("days_since_prior_order", "order_timestamp", "date"),
    ),
}
"""What the feeds deliver (feeds.md)."""

PREFIXES = {
    "inventory": "inventory",
    "products": "shop/products",
    "orders": "shop/orders",
    "order_items": "shop/order_items",
    "stores": "stores",
    "pos_sales": "pos",
    "grocery_products": "grocery/products",
    "grocery_orders": "grocery/orders",
    "grocery_order_items": "grocery/order_items",
}

Record = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Drop:
    """A version of an object. A record that is a text alone cannot be read, nor can anything in a picture."""

    table: str
    name: str
    version: str
    landed_at: datetime
    records: tuple[Record | str, ...] = ()
    is_picture: bool = False

    @property
    def key(self) -> str:
        return f"{PREFIXES[self.table]}/{self.name}"

    @property
    def is_unreadable(self) -> bool:
        """Whether there is no record in it that can be read, and not because it has none."""
        return self.is_picture or (bool(self.records) and all(isinstance(record, str) for record in self.records))

    @property
    def body(self) -> bytes:
        if self.is_picture:
            return b"\x89PNG\r\n\x1a\n" + bytes(64)
        if self.table == "inventory":
            return "".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in self.records).encode()
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS[self.table])
        for record in self.records:
            rows.writerow(
                record.split(",") if isinstance(record, str) else [record.get(c, "") for c in COLUMNS[self.table]]
            )
        return text.getvalue().encode()

    @property
    def landed(self) -> Landed:
        return Landed(self.key, self.version, self.landed_at, len(self.body))


class MemoryLanding:
    """Landing in memory, in which every version of an object can still be read."""

    root = "memory"

    def __init__(self, drops: Iterable[Drop]) -> None:
        self._bodies = {drop.landed: drop.body for drop in drops}

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        newest = {landed.key: landed for landed in sorted(self._bodies, key=lambda landed: landed.landed_at)}
        yield [newest[key] for key in sorted(newest) if key.startswith(f"{prefix}/") and key > after]

    def find(self, key: str) -> Landed | None:
        return max((landed for landed in self._bodies if landed.key == key), key=lambda x: x.landed_at, default=None)

    def fetch(self, landed: Landed) -> Fetched:
        if landed not in self._bodies:
            raise Gone(landed.key)
        return Fetched(landed.landed_at, iter([self._bodies[landed]]))

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        raise NotImplementedError


def moment(text: str) -> datetime:
    """The time called "02T10"; "02" is midnight."""
    day, _, hour = text.partition("T")
    return datetime(2025, 3, int(day), int(hour or 0), tzinfo=UTC)


def _iso(text: str) -> str:
    """A time as the shop writes it; what is no such time, as it is."""
    return moment(text).strftime("%Y-%m-%dT%H:%M:%S") if text[:1] == "0" else text


def _epoch(text: str) -> str:
    """A time as stock and tills write it; what is no such time, as it is."""
    return str(int(moment(text).timestamp())) if text[:1] == "0" else text


def product(id: str, category: str = "Shoes", **more: str) -> Record:
    return {
        "id": id,
        "sku": f"sku-{id}",
        "cost": "10.5",
        "category": category,
        "name": f"thing {id}",
        "brand": "Acme",
        "retail_price": "21.0",
        "department": "Men",
        **more,
    }


def order(id: str, created: str, status: str = "processing", items: str = "1", **more: str) -> Record:
    return {
        "order_id": id,
        "user_id": f"u{id[-1:]}",
        "status": status,
        "created_at": _iso(created),
        "num_of_item": items,
        **{name: _iso(value) if name.endswith("_at") else value for name, value in more.items()},
    }


def line(
    id: str, order_id: str, product_id: str, created: str, status: str = "processing", price: str = "20.25", **more: str
) -> Record:
    return {
        "id": id,
        "order_id": order_id,
        "user_id": f"u{order_id[-1:]}",
        "product_id": product_id,
        "status": status,
        "created_at": _iso(created),
        "sale_price": price,
        **{name: _iso(value) if name.endswith("_at") else value for name, value in more.items()},
    }


def stock(id: str, at: str, level: str = "5", product_id: str = "1", **more: str) -> Record:
    return {
        "inventory_id": id,
        "product_id": product_id,
        "warehouse_id": "7",
        "stock_level": level,
        "restock_threshold": "5",
        "last_updated": _epoch(at),
        **more,
    }


def store(id: str, region: str = "North", **more: str) -> Record:
    return {"store_id": id, "region": region, "city": f"town {id}", "opened_on": "2020-02-29", **more}


def sale(
    basket: str, product_id: str, at: str, quantity: str = "1", revenue: str = "10.5", store_id: str = "1", **more: str
) -> Record:
    """A line of a basket; a return where quantity and revenue are negative."""
    return {
        "transaction_id": basket,
        "store_id": store_id,
        "product_id": product_id,
        "quantity": quantity,
        "revenue": revenue,
        "timestamp": _epoch(at),
        **more,
    }


def grocery_product(id: str, department_id: str = "4", **more: str) -> Record:
    return {
        "product_id": id,
        "department_id": department_id,
        "department": f"department {department_id}",
        "product_name": f"food {id}",
        **more,
    }


def grocery_order(id: str, at: str, amount: str = "30.5", **more: str) -> Record:
    return {
        "order_id": id,
        "order_num": "1",
        "user_id": "7",
        "order_timestamp": _iso(at),
        "total_amount": amount,
        "date": _iso(at)[:10],
        **more,
    }


def grocery_line(id: str, order_id: str, product_id: str, at: str, reordered: str = "0", **more: str) -> Record:
    return {
        "id": id,
        "order_id": order_id,
        "user_id": "7",
        "product_id": product_id,
        "add_to_cart_order": id,
        "reordered": reordered,
        "days_since_prior_order": id,
        "order_timestamp": _iso(at),
        "date": _iso(at)[:10],
        **more,
    }


def drop(
    table: str, name: str, landed: str, *records: Record | str, version: str = "a", is_picture: bool = False
) -> Drop:
    return Drop(table, name, version, moment(landed), records, is_picture)


def base() -> list[Drop]:
    """Every case of shop and stock once: see the comments."""
    return [
        # A product whose category is corrected; one without a brand (a warning); one only right the second time.
        drop(
            *("products", "2025-03-01.csv", "01T06"),
            *(product("p1"), product("p2", "", brand=""), product("p3", cost="-1"), product("p6", "Hats")),
        ),
        drop("products", "2025-03-03.csv", "03T06", product("p1", "Boots"), product("p3", "Hats", cost="2.3333")),
        # An older catalog that arrives late does not win; one that comes in two versions, broken in the second.
        drop("products", "2025-02-27.csv", "04T06", product("p1", "Slippers"), product("p4", "Hats")),
        drop("products", "catalog.csv", "02T06", product("p5", "Hats"), product("p6", "Caps")),
        drop("products", "catalog.csv", "04T07", product("p5", "Hats", retail_price="free"), version="b"),
        # Orders: one that will be moved, one that will be cancelled, one on its own, one that came back.
        drop(
            *("orders", "part-1.csv", "01T12", order("o1", "01T10", items="3"), order("o2", "01T11", "delivered", "2")),
            *(order("o3", "01T09", "pending"), order("o4", "02T08", "Returned ", "1", returned_at="04T08")),
            "o9,half a row",
        ),
        # The same order on another day, with a later time; another status alone; the same row again, and again.
        drop(
            *("orders", "2025-03-02/part-2.csv", "02T12", order("o1", "02T10", "shipped", "3", shipped_at="02T11")),
            *(order("o2", "01T11", "cancelled", "2"), order("o3", "01T09", "pending"), order("o3", "01T09", "pending")),
        ),
        # Lands last but knows less: the older state of an order does not win.
        drop("orders", "part-0.csv", "05T12", order("o1", "01T10", items="3"), order("o5", "01T08", items="")),
        # An object in three versions: right, broken, unreadable (which replaces nothing).
        drop("orders", "part-3.csv", "02T13", order("o6", "02T09"), order("o7", "02T10"), version="c"),
        drop("orders", "part-3.csv", "03T13", order("o6", "02T09"), order("o7", "02T10", "lost"), version="b"),
        drop("orders", "part-3.csv", "04T13", version="a", is_picture=True),
        # Before the lake's start, beyond its landing, out of order (a warning), without a key, without an item.
        drop(
            *("orders", "part-4.csv", "03T14", order("o8", "2024-12-31T23:59:59"), order("o8", "09T10")),
            *(order("o3", "03T10", "delivered", shipped_at="03T12", delivered_at="03T11"), order("", "03T10")),
            order("o5", "03T09", items="0"),
        ),
        drop("orders", "part-5.csv", "03T15"),  # a header alone
        # Lines before their orders and products, of an order that never comes, of a product that comes late, broken.
        drop(
            *("order_items", "2025-03-01.csv", "01T07", line("l1", "o1", "p1", "01T10")),
            *(line("l2", "o1", "p2", "01T23"), line("l3", "o2", "p1", "01T11"), line("l4", "o99", "p1", "01T10")),
            *(line("l5", "o3", "p3", "01T09"), line("l6", "o6", "p5", "02T09", price="cheap")),
            line("l7", "o7", "p5", "02T10"),
        ),
        # Sent again in another window; sent again identical; sent again naming another order, which is not there.
        drop(
            *("order_items", "2025-03-03.csv", "03T07"),
            *(line("l3", "o2", "p1", "02T11", "returned", returned_at="03T05"), line("l1", "o1", "p1", "01T10")),
            *(line("l2", "o7", "p2", "02T01", shipped_at="02T02"), line("l8", "o4", "p6", "02T08", "returned", "7.77")),
            line("l8", "o4", "p6", "02T08", "returned", "7.77"),
        ),
        # An object with two versions, of which the second lacks a line; one that loses all its lines.
        drop(
            *("order_items", "x.csv", "02T07", line("l9", "o1", "p6", "02T10", price="1.00005")),
            line("l10", "o5", "p4", "03T08"),
        ),
        drop("order_items", "x.csv", "04T07", line("l9", "o1", "p6", "02T10", price="3"), version="0"),
        drop("order_items", "y.csv", "02T07", line("l11", "o6", "p1", "02T09")),
        drop("order_items", "y.csv", "05T07", version="b"),
        # Late: lands four days after it happened, on an order without a count of its items.
        drop(
            *("order_items", "late.csv", "05T09", line("l12", "o5", "p1", "01T08", "cancelled")),
            line("l10", "o5", "p4", "01T08"),
        ),
        # Snapshots: history within an hour, one sent again with another level, broken in several ways, late.
        drop(
            *(
                "inventory",
                "2025-03-01/08.jsonl",
                "01T09",
                stock("1", "01T08"),
                stock("2", "01T08", "0", "2"),
                '{"half',
            ),
            *(stock("3", "01T08", "-1"), stock("4", "01T07", "9", "3", restock_threshold=""), stock("5", "05T08")),
        ),
        drop(
            *("inventory", "2025-03-01/09.jsonl", "01T10", stock("1", "01T09", "3"), stock("1", "01T08", "4")),
            stock("2", "01T08", "0", "2"),
        ),
        drop(
            *("inventory", "2025-03-02/10.jsonl", "02T11", stock("4", "01T07", "8", "3"), stock("5", "soon")),
            stock("1", "02T10", "2"),
        ),
        drop("inventory", "2025-03-02/10.jsonl", "02T12", stock("4", "01T07", "8", "3"), version="b"),
        # A day without snapshots, and a stockout that is still open. Then, late, one over midnight, and a second record
        # of a pair at one time.
        drop("inventory", "2025-03-04/06.jsonl", "04T07", stock("4", "04T06", "0", "3"), stock("1", "04T06", "6")),
        drop(
            "inventory", "more.jsonl", "05T12", stock("1", "01T23", "0"), stock("9", "02T00", "6"), stock("8", "02T00")
        ),
    ]


def others() -> list[Drop]:
    """Every case of the tills and the grocery once."""
    return [
        # A sale and its return, which comes twice and on another day; of a store that comes late, and one that never
        # does (a warning). Sent again in another object; without a piece; with a discount that is too high.
        drop(
            *("pos_sales", "2025-03-01.csv", "01T20", sale("b1", "1", "01T10", "2", "21", discount_applied="1.05")),
            *(sale("b1", "2", "01T10"), sale("b2", "1", "01T11", store_id="2"), sale("b3", "3", "01T11", "0")),
            sale("b4", "1", "01T12", discount_applied="11"),
        ),
        drop(
            *("pos_sales", "2025-03-02.csv", "02T20", sale("b1", "1", "02T10", "-1", "-10.5", discount_applied="0.5")),
            *(sale("b1", "1", "02T11", "-2", "-21"), sale("b1", "2", "01T10"), sale("b5", "1", "02T10", store_id="9")),
        ),
        drop("stores", "stores.csv", "01T05", store("1"), store("3", "")),
        drop("stores", "2025-03-03.csv", "03T05", store("1", "West"), store("2", "South"), store("3", "East")),
        # Lines before orders and products. An order that moves and a product of another department afterwards; an order
        # that breaks in a new version; a day that is not that of its time (a warning).
        drop(
            *("grocery_order_items", "1.csv", "01T20", grocery_line("1", "1", "1", "01T10")),
            *(grocery_line("2", "1", "2", "01T10", "1"), grocery_line("3", "2", "1", "02T10", "1")),
            *(grocery_line("4", "3", "1", "01T10", "2"), grocery_line("5", "3", "9", "01T10")),
        ),
        drop("grocery_products", "1.csv", "02T05", grocery_product("1"), grocery_product("2", "5")),
        drop("grocery_products", "2.csv", "03T05", grocery_product("2"), grocery_product("3", department="")),
        drop(
            *("grocery_orders", "1.csv", "02T20", grocery_order("1", "01T10"), grocery_order("2", "02T10")),
            grocery_order("3", "01T10", date="2025-03-02"),
        ),
        drop(
            *("grocery_orders", "1.csv", "03T20", grocery_order("1", "01T10", "-1"), grocery_order("2", "02T10")),
            grocery_order("3", "01T10", "12.3456", date="2025-03-02"),
            version="b",
        ),
        drop("grocery_orders", "2.csv", "04T20", grocery_order("2", "03T10", "31")),
    ]


SHOP = (
    drop("products", "1.csv", "01T06", product("p1"), product("p2", "Hats")),
    drop("orders", "1.csv", "01T07", order("o1", "01T05"), order("o2", "02T05")),
    drop("order_items", "1.csv", "01T08", line("l1", "o1", "p1", "01T05"), line("l2", "o2", "p2", "02T05")),
)
STORES = (
    drop("stores", "1.csv", "01T06", store("1"), store("2", "South")),
    drop("pos_sales", "1.csv", "01T20", sale("b1", "1", "01T10"), sale("b2", "1", "01T11", store_id="2")),
    drop("pos_sales", "2.csv", "02T20", sale("b1", "1", "02T10", "-1", "-10.5")),
)
GROCERY = (
    drop("grocery_products", "1.csv", "01T06", grocery_product("1"), grocery_product("2", "5")),
    drop("grocery_orders", "1.csv", "01T20", grocery_order("1", "01T10"), grocery_order("2", "02T10")),
    drop(
        *("grocery_order_items", "1.csv", "01T20", grocery_line("1", "1", "1", "01T10")),
        *(grocery_line("2", "1", "2", "01T10", "1"), grocery_line("3", "2", "1", "02T10", "1")),
    ),
)
_LINES = (drop("order_items", "2.csv", "01T08", line("l2", "o1", "p2", "01T05")),)

CASES: dict[str, tuple[Sequence[Drop], Sequence[Drop]]] = {
    "lines before their parents": (SHOP[2:], SHOP[:2]),
    "category corrected": (SHOP, [drop("products", "2.csv", "02T06", product("p1", "Boots"))]),
    "order cancelled": (SHOP, [drop("orders", "2.csv", "02T06", order("o1", "01T05", "cancelled"))]),
    "order moved": (SHOP, [drop("orders", "2.csv", "02T06", order("o1", "02T05"))]),
    "order broken in a new version": (
        SHOP,
        [drop("orders", "1.csv", "02T06", order("o1", "01T05", "lost"), order("o2", "02T05"), version="b")],
    ),
    "order gone from a new version": (SHOP, [drop("orders", "1.csv", "02T06", order("o2", "02T05"), version="b")]),
    "new version cannot be read": (SHOP, [drop("orders", "1.csv", "02T06", version="b", is_picture=True)]),
    "one product broken, another mended": (
        [
            drop("products", "1.csv", "01T06", product("p1"), product("p2", cost="-1")),
            drop("orders", "1.csv", "01T07", order("o1", "01T05")),
            drop("order_items", "1.csv", "01T08", line("l1", "o1", "p1", "01T05")),
            *_LINES,
        ],
        [drop("products", "1.csv", "02T06", product("p1", cost="-1"), product("p2"), version="b")],
    ),
    "line sent again in another window": (
        SHOP,
        [drop("order_items", "2.csv", "02T09", line("l1", "o1", "p1", "02T08"))],
    ),
    "line sent again, of an order not there yet": (
        [*SHOP, drop("order_items", "2.csv", "02T09", line("l1", "o3", "p1", "02T08"))],
        [drop("orders", "2.csv", "03T06", order("o3", "02T08"))],
    ),
    "snapshot sent again": (
        [drop("inventory", "2025-03-01/08.jsonl", "01T09", stock("1", "01T08"), stock("2", "01T08"))],
        [drop("inventory", "more.jsonl", "02T09", stock("1", "01T08", "4"), stock("3", "01T07"))],
    ),
    "snapshot late, of a day that others go on from": (
        [
            drop(
                "inventory",
                "1.jsonl",
                "04T09",
                stock("1", "01T08"),
                stock("1", "03T08", "3"),
                stock("2", "04T08", "1", "2"),
            )
        ],
        [drop("inventory", "2.jsonl", "04T10", stock("1", "01T20", "0"))],
    ),
    "newest day moves on, over a gap": (
        [
            drop(
                "inventory",
                "1.jsonl",
                "01T21",
                stock("1", "01T08"),
                stock("1", "01T20", "0"),
                stock("2", "01T07", "0", "2"),
            )
        ],
        [drop("inventory", "2.jsonl", "04T09", stock("1", "04T08", "2"))],
    ),
    "newest day moves back": (
        [
            drop("inventory", "1.jsonl", "01T21", stock("1", "01T08"), stock("1", "01T20", "0")),
            drop("inventory", "2.jsonl", "04T09", stock("1", "04T08", "2"), stock("2", "02T07", product_id="2")),
        ],
        [drop("inventory", "2.jsonl", "04T10", stock("2", "02T07", product_id="2"), version="b")],
    ),
    "first day goes": (
        [
            drop("inventory", "1.jsonl", "01T21", stock("1", "01T08")),
            drop("inventory", "2.jsonl", "03T09", stock("1", "03T08", "2")),
        ],
        [drop("inventory", "1.jsonl", "03T10", version="b")],
    ),
    "second record of a pair at one time": (
        [drop("inventory", "1.jsonl", "02T09", stock("1", "01T08"), stock("2", "02T08", "1", "2"))],
        [drop("inventory", "2.jsonl", "02T10", stock("3", "01T08", "0"))],
    ),
    "store corrected": (STORES, [drop("stores", "2.csv", "02T06", store("1", "West"))]),
    "sales before their store": (STORES[1:], STORES[:1]),
    "return sent again, also in another window": (
        STORES,
        [drop("pos_sales", "3.csv", "03T20", *(sale("b1", "1", at, "-2", "-20") for at in ("02T11", "03T10")))],
    ),
    "grocery lines before their orders": ((GROCERY[0], GROCERY[2]), GROCERY[1:2]),
    "grocery order moved": (GROCERY, [drop("grocery_orders", "2.csv", "02T20", grocery_order("1", "02T11"))]),
    "grocery order broken in a new version": (
        GROCERY,
        [drop("grocery_orders", "1.csv", "02T20", grocery_order("1", "01T10", "-1"), version="b")],
    ),
    "department changed": (GROCERY, [drop("grocery_products", "2.csv", "02T06", grocery_product("1", "6"))]),
    "stock of what was sold before": (
        STORES,
        [
            drop("inventory", "1.jsonl", "02T12", stock("1", "02T08", "5")),
            drop("inventory", "2.jsonl", "03T12", stock("1", "03T08", "9")),
        ],
    ),
    "newest day of stock moves back, with sales": (
        [
            *STORES,
            drop("inventory", "1.jsonl", "01T12", stock("1", "01T08")),
            drop("inventory", "2.jsonl", "04T12", stock("1", "02T08", "4"), stock("1", "04T08", "3")),
        ],
        [drop("inventory", "2.jsonl", "04T13", stock("1", "02T08", "4"), version="b")],
    ),
}
"""What there is, and what arrives later and changes what had become of it."""


def drawn(seed: int) -> list[Drop]:
    """Further objects, with few keys, days and versions, so that they meet each other and the base; none for seed 0."""
    random = Random(f"arrival/{seed}")
    return [_drawn(random, table) for table in COLUMNS for _ in range(random.randint(0, 2) if seed else 0)]


def _drawn(random: Random, table: str) -> Drop:
    names = {
        "products": ("catalog.csv", "2025-03-02.csv", "new.csv"),
        "orders": ("part-3.csv", "part-8.csv", "2025-03-02/part-9.csv"),
        "order_items": ("x.csv", "y.csv", "z.csv"),
        "inventory": ("2025-03-01/08.jsonl", "more.jsonl"),
        "stores": ("stores.csv", "2025-03-02.csv"),
        "pos_sales": ("2025-03-02.csv", "late.csv"),
    }.get(table, ("1.csv", "3.csv"))
    landed_at = moment(f"0{random.randint(1, 5)}T{random.randint(10, 23)}") + timedelta(minutes=random.choice((0, 15)))
    records = tuple(_drawn_record(random, table) for _ in range(random.randint(0, 5)))
    version = f"{random.choice('xyz')}{random.randrange(1_000_000)}"
    return Drop(table, random.choice(names), version, landed_at, records, is_picture=random.random() < 0.1)


def _drawn_record(random: Random, table: str) -> Record | str:
    def day() -> str:
        return f"0{random.randint(1, 4)}T{random.choice(('08', '10', '23'))}"

    def one(of: str) -> str:
        return random.choice(of.split(" "))

    if random.random() < 0.05:
        return '{"half' if table == "inventory" else "a,half,row"
    status = one("pending shipped delivered cancelled returned DELIVERED lost")
    more = {name: random.choice(("", day())) for name in ("shipped_at", "returned_at")}
    match table:
        case "products":
            made = product(one("p1 p2 p3 p4 p5 p6 p7"), one("Boots Hats Caps"), cost=one("1 2.5 -3 dear"))
        case "orders":
            made = order(one("o1 o2 o3 o4 o5 o6 o7 o8"), day(), status, one("1 2 3 0"), **more)
        case "order_items":
            made = line(
                *(one(f"{k}1 {k}2 {k}3 {k}4 {k}5 {k}6 {k}7 {k}8") for k in "lop"),
                day(),
                status,
                one("5 5.5 0.0001 -5"),
                **more,
            )
        case "inventory":
            made = stock(
                one("1 2 3 4"),
                one("01T07 01T08 01T23 02T10 04T06"),
                one("0 4 5 6 -1"),
                one("1 2"),
                restock_threshold=one("5 0 -1"),
            )
        case "stores":
            made = store(one("1 2 3 9"), one("North East South"))
        case "pos_sales":
            sold = (one("b1 b2 b3"), one("1 2 3"), day(), one("1 2 -1 0"), one("10 -10 0"), one("1 2 3 8"))
            made = sale(*sold, discount_applied=random.choice(("", "1", "11", "-1")))
        case "grocery_products":
            made = grocery_product(one("1 2 3"), one("4 5 6"))
        case "grocery_orders":
            made = grocery_order(one("1 2 3 4"), day(), one("1 2.5 -3 dear"))
        case _:
            made = grocery_line(
                *(one("1 2 3 4 5 6"), one("1 2 3 4"), one("1 2 3"), day(), one("0 1 2")),
                date=one("2025-03-01 2025-03-02 soon"),
            )
    return made if random.random() > 0.1 else {**made, random.choice(COLUMNS[table]): ""}
