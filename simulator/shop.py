"""The shop feed: products, orders and their lines as CSV part files, sent again whenever something about them changes.

How `rows` are split: the first file of products is the catalogue, a tenth of a day's rows; from then on 2 % of the
rows are products, new or corrected. What is left are orders and their lines, about one to three: first those that have
come to a new stage of their lives, then new ones. So the first days see more new orders than the later ones.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from simulator import faults
from simulator.drops import DAY, LAKE_START, Asked
from simulator.faults import Fault
from simulator.tables import TIME_TEXTS, Reference, Spec, Tables, feed, money, parts
from simulator.world import CATEGORIES, CUSTOMERS, DEPARTMENTS, Product, product

_WIDTH = 6 * 3600
_START = int(LAKE_START.timestamp())  # seconds since 1970, as all times here
_CATALOGUE = 10_000  # products at most, when the feed begins
_MOVED = 0.01  # orders sent again with another day of creation
_LINES = (1, 1, 2, 2, 3, 3, 3, 4, 5, 6)

# What becomes of an order: its next states, each within so many hours of the one before.
_CANCELLED = (("cancelled", 1, 20),)
_DELIVERED = (("shipped", 4, 60), ("delivered", 20, 96))
_RETURNED = (*_DELIVERED, ("returned", 24, 168))

_NOWHERE = ("0", "no-such-one")
_OUT_OF_ORDER = Fault(warnings=("times_in_order",), swap=("shipped_at", "delivered_at"))

TABLES = (
    Spec(
        name="products",
        path="shop/products/products",
        columns={
            "id": "!",
            "sku": "!",
            "cost": "money not_negative",
            "category": "",
            "name": "!",
            "brand": "",
            "retail_price": "money not_negative",
            "department": "",
        },
        special=(Fault(warnings=("brand_present",), changes=(("brand", faults.MISSING_CSV),)),),
        together=("sku_present", "cost_parses"),
        stamp=parts,
        dated=True,
        lacks="department",
    ),
    Spec(
        name="orders",
        path="shop/orders/orders",
        columns={
            "order_id": "!",
            "user_id": "!",
            "status": "! known",
            "created_at": "! time not_in_future not_before_start",
            "returned_at": "time not_in_future",
            "shipped_at": "time not_in_future",
            "delivered_at": "time not_in_future",
            "num_of_item": "int positive",
        },
        special=(_OUT_OF_ORDER,),
        together=("status_known", "num_of_item_positive"),
        stamp=parts,
    ),
    Spec(
        name="order_items",
        path="shop/order_items/order_items",
        columns={
            "id": "!",
            "order_id": "!",
            "user_id": "!",
            "product_id": "!",
            "status": "! known",
            "created_at": "! time not_in_future not_before_start",
            "shipped_at": "time not_in_future",
            "delivered_at": "time not_in_future",
            "returned_at": "time not_in_future",
            "sale_price": "! money not_negative",
        },
        special=(
            _OUT_OF_ORDER,
            Fault(changes=(("order_id", _NOWHERE),)),
            Fault(changes=(("product_id", _NOWHERE),)),
        ),
        together=("sale_price_not_negative", "created_at_parses"),
        references=(
            Reference("order_known", "order_id", "orders"),
            Reference("product_known", "product_id", "products"),
        ),
        stamp=parts,
    ),
)


class _Line(NamedTuple):
    id: str
    product: str
    price: str
    lead: int  # seconds by which its times are before its order's
    kept: bool  # stays with the customer when the order is returned


@dataclass(slots=True)
class _Order:
    id: str
    user: str
    created: int
    lines: list[_Line]
    stages: list[tuple[int, str]]  # when it becomes what
    moves: bool  # is sent again with another day of creation


class _Shop:
    """What happens in the shop, slot by slot, as rows of its tables."""

    def __init__(self, asked: Asked, tables: Tables) -> None:
        self._asked, self._tables = asked, tables
        self._random = asked.random("shop").random
        self._catalogue: list[Product] = []
        self._products = 0
        self._orders = int(asked.begin.timestamp()) * 1_000_000  # so that runs with other begins have other orders
        self._due: defaultdict[int, list[tuple[_Order, int]]] = defaultdict(list)  # (order, stage) by slot
        self._waiting: deque[tuple[_Order, int]] = deque()

    def fill(self, slot: int) -> None:
        """Adds the rows of a slot to the tables, as many as asked for."""
        random = self._random
        time_text = TIME_TEXTS[int(random() * len(TIME_TEXTS))]
        left = self._asked.quota(slot)
        products = self._asked.products(slot, _CATALOGUE, random)
        for _ in range(products):
            self._send_product(slot)
        left -= products
        self._waiting.extend(self._due.pop(slot, ()))
        while self._waiting and left > len(self._waiting[0][0].lines):
            order, stage = self._waiting.popleft()
            self._send_order(slot, order, stage, time_text)
            left -= 1 + len(order.lines)
        while left > 1 and self._catalogue:
            order, stage = self._place(slot, left - 1)
            self._send_order(slot, order, stage, time_text)
            left -= 1 + len(order.lines)
        for _ in range(left):
            self._send_product(slot)

    def _send_product(self, slot: int) -> None:
        random, catalogue = self._random, self._catalogue
        corrected = slot > 0 and random() < 0.5 and bool(catalogue)
        if corrected:
            number = int(random() * len(catalogue))
            this = catalogue[number] = replace(catalogue[number], category=CATEGORIES[int(random() * len(CATEGORIES))])
        else:
            self._products += 1
            this = product(self._asked.seed, self._products)
        sound = self._tables["products"].add(
            slot,
            (
                str(this.id),
                this.sku,
                money(this.cost),
                this.category,
                this.name,
                this.brand,
                money(this.price),
                DEPARTMENTS[this.category],
            ),
            0,
        )
        # Few products that came broken are sold before they come whole, if ever.
        if not corrected and (sound or random() < 0.1):
            catalogue.append(this)

    def _place(self, slot: int, most: int) -> tuple[_Order, int]:
        """A new order of up to `most` lines, and the stage at which it is first sent: a late one has lived already."""
        random, asked = self._random, self._asked
        created, late = asked.moment(slot, random)
        self._orders += 1
        user = str(1 + int(random() * CUSTOMERS))
        lines = [self._line(number) for number in range(min(most, _LINES[int(random() * len(_LINES))]))]
        stages = self._life(created)
        order = _Order(str(self._orders), user, created, lines, stages, random() < _MOVED)
        now = int(asked.at(slot).timestamp())
        stage = max(number for number, (time, _) in enumerate(stages) if time <= now or number == 0)
        for number in range(stage + 1, len(stages)):
            due = (stages[number][0] - int(asked.begin.timestamp())) // asked.width
            self._due[max(due, slot + 1)].append((order, number))
        if late:
            self._tables["orders"].counts.late += 1
            self._tables["order_items"].counts.late += len(lines)
        return order, stage

    def _line(self, number: int) -> _Line:
        random = self._random
        bought = self._catalogue[int(random() * random() * len(self._catalogue))]
        price = money(int(bought.price * (0.8 + 0.2 * random())))
        lead = int(random() * random() * 7200)
        return _Line(f"{self._orders}{number + 1:02}", str(bought.id), price, lead, kept=random() < 0.3)

    def _life(self, created: int) -> list[tuple[int, str]]:
        random = self._random
        stages = [(created, "pending" if random() < 0.5 else "processing")]
        for status, least, most in _CANCELLED if random() < 0.05 else _DELIVERED if random() < 0.88 else _RETURNED:
            stages.append((stages[-1][0] + int((least + random() * (most - least)) * self._asked.hour), status))
        return stages

    def _send_order(self, slot: int, order: _Order, stage: int, time_text: Callable[[int], str]) -> None:
        status = order.stages[stage][1]
        if status == "shipped" and order.moves:
            order.created = max(_START, order.stages[0][0] - DAY)
        times = {reached: time for time, reached in order.stages[1 : stage + 1]}
        shipped, delivered, returned = times.get("shipped", 0), times.get("delivered", 0), times.get("returned", 0)
        self._tables["orders"].add(
            slot,
            (
                order.id,
                order.user,
                status,
                time_text(order.created),
                time_text(returned),
                time_text(shipped),
                time_text(delivered),
                str(len(order.lines)),
            ),
            max(order.created, shipped, delivered, returned),
        )
        for line in order.lines:
            kept = line.kept and status == "returned"
            # A line is put into the basket before its order is placed, and is ahead of it all its life.
            created, *later = (
                max(_START, time - line.lead) if time else 0
                for time in (order.stages[0][0], shipped, delivered, 0 if kept else returned)
            )
            self._tables["order_items"].add(
                slot,
                (
                    line.id,
                    order.id,
                    order.user,
                    line.product,
                    "delivered" if kept else status,
                    time_text(created),
                    *map(time_text, later),
                    line.price,
                ),
                max(created, *later),
            )


FEED = feed("shop", TABLES, _WIDTH, _Shop)
