"""The point-of-sale feed: what the stores sell and take back, as a CSV file a day, and the table of the stores.

Each line is one of the world's sales, of as many (product, store) pairs as sell about `rows` lines on an average day:
all that these pairs sell is here, so that what lies on their shelves in the inventory feed falls by it. (Up to some
10,000 rows a day: then all pairs are here, and more rows come from a busier world than that of inventory.) What
customers bring back is on no shelf again. The stores come on top of `rows`, all that are open, once a day.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate

from simulator.drops import DAY, LATEST, Asked
from simulator.faults import Fault
from simulator.tables import Reference, Spec, Tables, feed, iso, money
from simulator.world import PAIRS, SALES, STORES, WAREHOUSES, Shelves, is_open, movements, product

_WIDTH = DAY
_RETURNED = 0.04  # share of lines
_DISCOUNTED = 0.2


def _exported(_: Asked, __: int, landed_at: datetime) -> str:
    return f"{landed_at:%Y%m%d_%H%M%S}"


TABLES = (
    Spec(
        name="stores",
        path="stores/stores",
        columns={"store_id": "! int", "region": "!", "city": "", "opened_on": "date"},
        together=("region_present", "opened_on_parses"),
        dated=True,
        lacks="city",
    ),
    Spec(
        name="pos_sales",
        path="pos/pos",
        columns={
            "transaction_id": "!",
            "store_id": "! int",
            "product_id": "! int",
            "quantity": "! int",
            "revenue": "! money",
            "discount_applied": "money",
            "timestamp": "! time not_in_future not_before_start",
        },
        special=(
            Fault(
                ("quantity_not_zero",),
                changes=(("quantity", ("0", "-0", "0.0")), ("revenue", ("0.00",)), ("discount_applied", ("",))),
            ),
            Fault(
                ("revenue_agrees_with_quantity",),
                changes=(("quantity", ("2", "-1")), ("revenue", ("-39.90", "19.95")), ("discount_applied", ("",))),
            ),
            Fault(("discount_not_negative",), changes=(("discount_applied", ("-0.01", "-1")),)),
            Fault(("discount_not_above_revenue",), changes=(("discount_applied", ("100000", "99999.99")),)),
            Fault(changes=(("store_id", ("99", "0")),)),
        ),
        together=("quantity_parses", "timestamp_present", "discount_not_negative"),
        references=(Reference("store_known", "store_id", "stores", warns=True),),
        # Transaction, product and sign name a line within its day. As text it takes the least memory.
        key=lambda row: f"{row.fields[0]} {row.fields[2]} {row.fields[3][0] == '-'} {row.order // DAY}",
        stamp=_exported,
    ),
)

# How a file may spell its times.
_TIME_TEXTS: tuple[Callable[[int], str], ...] = (*[str] * 7, lambda time: str(time * 1000), iso)


@dataclass(slots=True)
class _Basket:
    id: str = ""
    paid: int = 0  # microseconds since 1970, as all times of the world
    products: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Line:
    basket: str
    pair: int
    quantity: int
    revenue: int  # cents, as the discount
    discount: int | None
    time: int  # seconds since 1970


class _Tills:
    """What happens in the stores, slot by slot, as rows of the two tables."""

    def __init__(self, asked: Asked, tables: Tables) -> None:
        self._asked, self._tables = asked, tables
        self._random = asked.random("pos").random
        self._baskets = [_Basket() for _ in STORES]
        self._lines: defaultdict[int, list[_Line]] = defaultdict(list)  # by the slot whose file tells of them

        hourly = asked.rows * asked.hour / DAY
        begin = int(asked.begin.timestamp()) * 1_000_000
        stores = sum(is_open(pair, begin) for pair in range(WAREHOUSES))
        sales = max(SALES, int(hourly * WAREHOUSES / stores) + 1)
        demand = Shelves.of(asked.seed, sales).demand
        until = list(accumulate(units * is_open(pair, begin) for pair, units in enumerate(demand)))
        self._pairs = min(PAIRS, bisect(until, hourly * 24) + 1)
        self._moves = movements(asked.seed, asked.begin, asked.hour, sales)
        self._move = next(self._moves)

    def fill(self, slot: int) -> None:
        """Adds the lines of a slot, and at its first and at the begin of each day the stores."""
        asked, random = self._asked, self._random
        today = asked.at(slot).date()
        if slot == 0 or today != asked.at(slot - 1).date():
            for store in STORES:
                if store.opened_on <= today:
                    fields = (str(store.id), store.region, store.city, f"{store.opened_on}")
                    self._tables["stores"].add(slot, fields, 0)
        end = int(asked.at(slot + 1).timestamp()) * 1_000_000
        while self._move[0] < end:
            time, pair, units = self._move
            if units < 0 and pair < self._pairs:
                self._sell(slot, self._line(time, pair, -units))
            self._move = next(self._moves)
        time_text = _TIME_TEXTS[int(random() * len(_TIME_TEXTS))]
        for line in self._lines.pop(slot, ()):
            self._add(slot, line, time_text)

    def _line(self, time: int, pair: int, quantity: int) -> _Line:
        """A sale, in the basket that its store has just sold from or in a new one."""
        random, basket, number = self._random, self._baskets[pair % WAREHOUSES], pair // WAREHOUSES + 1
        if time - basket.paid > self._asked.hour * 250_000 or number in basket.products or random() < 0.4:
            basket.id = f"{pair % WAREHOUSES + 1:02}-{time // 1000}"
            basket.products.clear()
        basket.paid = time
        basket.products.add(number)
        revenue = quantity * product(self._asked.seed, number).price
        draw = random()
        discount = int(revenue * (0.05 + draw)) if draw < _DISCOUNTED else 0 if draw < 0.6 else None
        return _Line(basket.id, pair, quantity, revenue, discount, time // 1_000_000)

    def _sell(self, slot: int, line: _Line) -> None:
        """Notes a sale for the file of its slot or, if it comes late, of another; some are brought back."""
        asked, random = self._asked, self._random
        told = slot
        if random() < asked.late:
            # A file lands when its slot has ended, or half a slot later: so these are 1 hour to 30 days late.
            soonest, latest = slot + 3600 // asked.width + 1, min(asked.last, slot + LATEST // asked.width - 2)
            if soonest <= latest:
                told = int(soonest + random() * (latest - soonest + 1))
                self._tables["pos_sales"].counts.late += 1
        self._lines[told].append(line)
        if random() < _RETURNED:
            time = line.time + int((2 + 334 * random() * random()) * asked.hour)
            back = int(time - asked.begin.timestamp()) // asked.width
            if back <= asked.last:
                self._lines[back].append(replace(line, quantity=-line.quantity, revenue=-line.revenue, time=time))

    def _add(self, slot: int, line: _Line, time_text: Callable[[int], str]) -> None:
        draw = self._random()
        self._tables["pos_sales"].add(
            slot,
            (
                line.basket,
                str(line.pair % WAREHOUSES + 1),
                str(line.pair // WAREHOUSES + 1),
                f"{line.quantity}.0" if draw < 0.02 else f"{line.quantity:+}" if draw < 0.04 else str(line.quantity),
                money(line.revenue),
                "" if line.discount is None else money(line.discount),
                time_text(line.time),
            ),
            line.time,
        )


FEED = feed("pos", TABLES, _WIDTH, _Tills)
