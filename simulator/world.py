"""The world behind the feeds: products, customers, warehouses, and how stock moves.

Here belongs what several feeds must agree on. All of it follows from the seed (movements: from their begin as well), so
that feeds made apart still speak of the same products, and what one sells is missing from another's shelf.
"""

import heapq
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, count
from random import Random

PRODUCTS = 1_000  # those that warehouses hold; the shop's catalogue begins with the same ones
WAREHOUSES = 6
PAIRS = PRODUCTS * WAREHOUSES
CUSTOMERS = 20_000

DEPARTMENTS = {
    "Beauty": "Personal Care",
    "Books": "Media",
    "Clothing": "Fashion",
    "Electronics": "Tech",
    "Home & Kitchen": "Home",
    "Sports": "Outdoor",
    "Toys": "Kids",
}
CATEGORIES = tuple(DEPARTMENTS)
_BRANDS = ("Acme", "Globex", "Initech", "Umbrella", "Hooli", "Böhm & Söhne", "Café Noir")
_QUALITIES = ("Compact", "Everyday", "Classic", "Heavy-duty", "Folding", "Soft", "Bright", "Travel", "Señor", "Nordic")
_THINGS = (
    "kettle",
    "lamp",
    "notebook",
    "backpack",
    "speaker",
    "blanket",
    "puzzle",
    "mirror",
    "jacket",
    "racket",
    "serum",
)

_UNITS_PER_HOUR = 500
_BY_HOUR = (
    1,
    1,
    1,
    1,
    1,
    2,
    3,
    5,
    7,
    9,
    10,
    11,
    12,
    11,
    10,
    10,
    11,
    13,
    14,
    12,
    9,
    6,
    4,
    2,
)
_BY_WEEKDAY = (9, 9, 9, 10, 12, 14, 7)  # Monday first
_USUAL = sum(_BY_HOUR) * sum(_BY_WEEKDAY) // (24 * 7)


@dataclass(frozen=True)
class Product:
    id: int
    sku: str
    name: str
    brand: str
    category: str
    cost: int  # cents
    price: int  # cents


def product(seed: int, number: int) -> Product:
    """The product of a number, from 1 on and without end."""
    random = Random(f"{seed} product {number}").random
    name = f"{_QUALITIES[int(random() * len(_QUALITIES))]} {_THINGS[int(random() * len(_THINGS))]}"
    name += ("", "", "", f', {1 + int(random() * 24)}"', " (pack of 2)", "\n2nd edition")[int(random() * random() * 6)]
    cost = 1000 + int(random() * 9000)
    return Product(
        id=number,
        sku=f"{''.join(chr(65 + int(random() * 26)) for _ in range(3))}-{10_000_000 + int(random() * 90_000_000)}",
        name=name,
        brand=_BRANDS[int(random() * len(_BRANDS))],
        category=CATEGORIES[int(random() * len(CATEGORIES))],
        cost=cost,
        price=int(cost * (1.3 + random() * 1.7)),
    )


@dataclass(frozen=True)
class Shelves:
    """What (product, warehouse) pairs hold when the world begins.

    Pair p is product p // WAREHOUSES + 1 in warehouse p % WAREHOUSES + 1.
    """

    demand: tuple[float, ...]  # units a day
    opening: tuple[int, ...]
    threshold: tuple[int, ...]  # reorder when stock is not above it

    @classmethod
    def of(cls, seed: int) -> "Shelves":
        random = Random(f"{seed} shelves").random
        ranks = sorted(range(PRODUCTS), key=lambda _: random())
        pull = [1 / (rank + 10) * (0.5 + random()) for rank in ranks for _ in range(WAREHOUSES)]
        daily = _UNITS_PER_HOUR * 24 / sum(pull)
        demand = tuple(weight * daily for weight in pull)
        return cls(
            demand=demand,
            opening=tuple(int(units * (2 + 9 * random())) + 1 for units in demand),
            threshold=tuple(int(units * 2) + 1 for units in demand),
        )


def movements(seed: int, begin: datetime, hour: int = 3600) -> Iterator[tuple[int, int, int]]:
    """Every change of stock from `begin` on, in time order, without end: (microseconds since 1970, pair, units).

    Sales (below 0) take what is there and no more; deliveries (above 0) come half a day to three days after the
    threshold is reached, which for some is too late. No change falls on the begin of an hour of `hour` seconds.
    """
    shelves = Shelves.of(seed)
    stock = list(shelves.opening)
    until = list(accumulate(shelves.demand))
    random = Random(f"{seed} movements").random
    ordered: set[int] = set()
    deliveries: list[tuple[int, int, int]] = []
    length = hour * 1_000_000
    for number in count():
        at = begin + timedelta(hours=number)
        units = _UNITS_PER_HOUR * _BY_HOUR[at.hour] * _BY_WEEKDAY[at.weekday()] // _USUAL
        for turn in range(units):
            now = int(begin.timestamp()) * 1_000_000 + number * length + (2 * turn + 1) * length // (2 * units)
            while deliveries and deliveries[0][0] <= now:
                came, pair, lot = heapq.heappop(deliveries)
                stock[pair] += lot
                ordered.discard(pair)
                yield came, pair, lot
            pair = bisect(until, random() * until[-1], hi=PAIRS - 1)
            sold = min(1 + int(random() * 1.3), stock[pair])
            if sold:
                stock[pair] -= sold
                yield now, pair, -sold
            if stock[pair] <= shelves.threshold[pair] and pair not in ordered:
                ordered.add(pair)
                lead = 12 + int(random() * 60)
                heapq.heappush(deliveries, (now + lead * length + 1, pair, int(shelves.demand[pair] * 8) + 5))
