"""The world behind the feeds: products, customers, stores and their warehouses, and how stock moves.

Here belongs what several feeds must agree on. All of it follows from the seed (movements: from their begin as well), so
that feeds made apart still speak of the same products, and what one sells is missing from another's shelf.
"""

import heapq
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate, count
from random import Random

PRODUCTS = 1_000  # those that warehouses hold; the shop's catalogue begins with the same ones
SLOW_MOVER, BEST_SELLER = 3, 7  # products
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

SALES = 500  # an hour, on average: what customers take from the shelves of all stores
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


@lru_cache(maxsize=20_000)
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
class Store:
    """A shop on the high street; it sells what lies in the warehouse of the same id."""

    id: int
    region: str
    city: str
    opened_on: date

    @property
    def opens(self) -> int:
        """Its first moment of business, in microseconds since 1970."""
        return int(datetime.combine(self.opened_on, time(), UTC).timestamp()) * 1_000_000


STORES = (
    Store(1, "North", "Hamburg", date(2009, 3, 2)),
    Store(2, "West", "Köln", date(2012, 9, 17)),
    Store(3, "East", "Leipzig", date(2016, 5, 9)),
    Store(4, "South", "Stuttgart", date(2019, 10, 21)),
    Store(5, "West", "Frankfurt, Main", date(2022, 4, 4)),
    Store(6, "South", "München", date(2025, 7, 1)),
)
WAREHOUSES = len(STORES)
PAIRS = PRODUCTS * WAREHOUSES


_OPENS = tuple(store.opens for store in STORES)


def is_open(pair: int, now: int) -> bool:
    """Whether the store of a pair does business at a time (microseconds since 1970)."""
    return _OPENS[pair % WAREHOUSES] <= now


@dataclass(frozen=True)
class Shelves:
    """What (product, warehouse) pairs hold when the world begins.

    Pair p is product p // WAREHOUSES + 1 in warehouse p % WAREHOUSES + 1.
    """

    demand: tuple[float, ...]  # units a day
    opening: tuple[int, ...]
    threshold: tuple[int, ...]  # reorder when stock is not above it

    @classmethod
    def of(cls, seed: int, sales: int = SALES) -> "Shelves":
        random = Random(f"{seed} shelves").random
        ranks = sorted(range(PRODUCTS), key=lambda _: random())
        pull = [1 / (rank + 10) * (0.5 + random()) for rank in ranks for _ in range(WAREHOUSES)]
        for number, weight in ((SLOW_MOVER, 5e-5), (BEST_SELLER, 0.2)):
            pull[(number - 1) * WAREHOUSES : number * WAREHOUSES] = [weight] * WAREHOUSES
        daily = sales * 24 / sum(pull)
        demand = tuple(weight * daily for weight in pull)
        return cls(
            demand=demand,
            opening=tuple(
                int(units * (2 + 9 * random())) + (40 if pair // WAREHOUSES + 1 == SLOW_MOVER else 1)
                for pair, units in enumerate(demand)
            ),
            threshold=tuple(int(units * 2) + 1 for units in demand),
        )


def movements(seed: int, begin: datetime, hour: int = 3600, sales: int = SALES) -> Iterator[tuple[int, int, int]]:
    """Every change of stock from `begin` on, in time order, without end: (microseconds since 1970, pair, units).

    Sales (below 0), in stores that are open, take what is there and no more: `sales` an hour on average, where there
    is enough. Deliveries (above 0) come half a day to three days after the threshold is reached, which for some is
    too late. No change falls on the begin of an hour of `hour` seconds.
    """
    shelves = Shelves.of(seed, sales)
    stock = list(shelves.opening)
    until = list(accumulate(shelves.demand))
    random = Random(f"{seed} movements").random
    first = int(begin.timestamp()) * 1_000_000
    ordered: set[int] = set()
    deliveries: list[tuple[int, int, int]] = []
    length = hour * 1_000_000
    for number in count():
        at = begin + timedelta(hours=number)
        units = sales * _BY_HOUR[at.hour] * _BY_WEEKDAY[at.weekday()] // _USUAL
        for turn in range(units):
            now = first + number * length + (2 * turn + 1) * length // (2 * units)
            while deliveries and deliveries[0][0] <= now:
                came, pair, lot = heapq.heappop(deliveries)
                stock[pair] += lot
                ordered.discard(pair)
                yield came, pair, lot
            pair = bisect(until, random() * until[-1], hi=PAIRS - 1)
            if _OPENS[pair % WAREHOUSES] > now:
                continue
            sold = min(1 + int(random() * 1.3), stock[pair])
            if sold:
                stock[pair] -= sold
                yield now, pair, -sold
            if stock[pair] <= shelves.threshold[pair] and pair not in ordered:
                ordered.add(pair)
                lead = 12 + int(random() * 60)
                heapq.heappush(deliveries, (now + lead * length + 1, pair, int(shelves.demand[pair] * 8) + 5))
