"""The grocery feed: products, orders and their lines, as a CSV file of each a day.

Its keys are not those of the shop and the stores. How `rows` are split: the first file of products is the catalogue, a
tenth of a day's rows; from then on 2 % of the rows are products, new or moved to another department. What is left are
orders and their lines.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.drops import DAY, Asked
from simulator.faults import Fault
from simulator.tables import TIME_TEXTS, Reference, Spec, Tables, feed, iso_date, money
from simulator.world import CATEGORIES, CUSTOMERS, product

_WIDTH = DAY
_CATALOGUE = 1_000  # products at most, when the feed begins
_LINES = (1, 2, 3, 3, 4, 5, 6, 8, 9, 12)

_WHEN = {"order_timestamp": "! time not_in_future not_before_start", "date": "! date"}
_NOWHERE = ("0", "999999")
_OTHER_DAY = Fault(warnings=("date_agrees_with_timestamp",), changes=(("date", ("2024-12-31", "2024-12-30")),))

TABLES = (
    Spec(
        name="grocery_products",
        path="grocery/products/products",
        columns={"product_id": "! int", "department_id": "! int", "department": "!", "product_name": "!"},
        special=(Fault(changes=(("department", ("Seasonal", "Offers")),)),),  # one more name for a department
        together=("department_id_parses", "product_name_present"),
        dated=True,
    ),
    Spec(
        name="grocery_orders",
        path="grocery/orders/orders",
        columns={
            "order_id": "! int",
            "order_num": "! int",
            "user_id": "! int",
            "total_amount": "! money not_negative",
            **_WHEN,
        },
        special=(_OTHER_DAY,),
        together=("total_amount_not_negative", "user_id_present"),
    ),
    Spec(
        name="grocery_order_items",
        path="grocery/order_items/order_items",
        columns={
            "id": "! int",
            "order_id": "! int",
            "user_id": "! int",
            "days_since_prior_order": "int not_negative",
            "product_id": "! int",
            "add_to_cart_order": "! int positive",
            "reordered": "! int is_flag",
            **_WHEN,
        },
        special=(_OTHER_DAY, *(Fault(changes=((column, _NOWHERE),)) for column in ("order_id", "product_id"))),
        together=("add_to_cart_order_positive", "date_parses"),
        references=(
            Reference("order_known", "order_id", "grocery_orders"),
            Reference("product_known", "product_id", "grocery_products"),
        ),
    ),
)


@dataclass(slots=True)
class _Customer:
    orders: int = 0
    last: int = 0  # seconds since 1970, as all times here
    bought: list[int] = field(default_factory=list)


class _Market:
    """What happens in the marketplace, slot by slot, as rows of its tables."""

    def __init__(self, asked: Asked, tables: Tables) -> None:
        self._asked, self._tables = asked, tables
        self._random = asked.random("grocery").random
        self._catalogue: list[int] = []
        self._products = 0
        self._orders = int(asked.begin.timestamp()) * 1_000  # so that runs with other begins have other orders
        self._customers: defaultdict[int, _Customer] = defaultdict(_Customer)

    def fill(self, slot: int) -> None:
        """Adds the rows of a slot to the tables, as many as asked for."""
        random = self._random
        time_text = TIME_TEXTS[int(random() * len(TIME_TEXTS))]
        left = self._asked.quota(slot)
        products = self._asked.products(slot, _CATALOGUE, random)
        for _ in range(products):
            self._send_product(slot)
        left -= products
        while left > 1 and self._catalogue:
            left -= self._send_order(slot, left - 1, time_text)
        for _ in range(left):
            self._send_product(slot)

    def _send_product(self, slot: int) -> None:
        random, catalogue = self._random, self._catalogue
        moved = slot > 0 and random() < 0.5 and bool(catalogue)
        if not moved:
            self._products += 1
        number = catalogue[int(random() * len(catalogue))] if moved else self._products
        department = int(random() * len(CATEGORIES))
        sound = self._tables["grocery_products"].add(
            slot,
            (str(number), str(department + 1), CATEGORIES[department], product(self._asked.seed, number).name),
            0,
        )
        # Few products that came broken are sold before they come whole, if ever.
        if not moved and (sound or random() < 0.1):
            catalogue.append(number)

    def _send_order(self, slot: int, most: int, time_text: Callable[[int], str]) -> int:
        """Adds an order of up to `most` lines; how many rows that are."""
        random = self._random
        time, late = self._asked.moment(slot, random)
        user = 1 + int(random() * random() * random() * CUSTOMERS)  # some order all the time
        customer = self._customers[user]
        since = str(max(0, time - customer.last) // DAY) if customer.orders else ""
        customer.orders += 1
        customer.last = max(time, customer.last)
        size = min(most, _LINES[int(random() * len(_LINES))])
        chosen = list(dict.fromkeys(self._choose(customer) for _ in range(size)))
        when = (time_text(time), iso_date(time))
        self._orders += 1
        total = sum(product(self._asked.seed, number).price for number in chosen) // 10
        self._tables["grocery_orders"].add(
            slot, (str(self._orders), str(customer.orders), str(user), money(total), *when), time
        )
        for place, number in enumerate(chosen, 1):
            self._tables["grocery_order_items"].add(
                slot,
                (
                    f"{self._orders}{place:02}",
                    str(self._orders),
                    str(user),
                    since,
                    str(number),
                    str(place),
                    str(int(number in customer.bought)),
                    *when,
                ),
                time,
            )
        customer.bought += [number for number in chosen if number not in customer.bought]
        if late:
            self._tables["grocery_orders"].counts.late += 1
            self._tables["grocery_order_items"].counts.late += len(chosen)
        return 1 + len(chosen)

    def _choose(self, customer: _Customer) -> int:
        """A product that the customer knows, or any."""
        random = self._random
        if customer.bought and random() < 0.6:
            return customer.bought[int(random() * len(customer.bought))]
        return self._catalogue[int(random() * random() * len(self._catalogue))]


FEED = feed("grocery", TABLES, _WIDTH, _Market)
