"""Products and the movements of stock."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile

from simulator.world import BEST_SELLER, PAIRS, SLOW_MOVER, STORES, WAREHOUSES, Shelves, is_open, movements, product

BEGIN = datetime(2025, 6, 2, tzinfo=UTC)  # a Monday
HOUR = 3_600_000_000


def first(days: int, seed: int = 1) -> list[tuple[int, int, int]]:
    end = int(BEGIN.timestamp()) * 1_000_000 + days * 24 * HOUR
    moves: list[tuple[int, int, int]] = []
    for move in movements(seed, BEGIN):
        if move[0] >= end:
            return moves
        moves.append(move)
    raise AssertionError("movements end")


def test_nothing_is_sold_that_is_not_there() -> None:
    stock = list(Shelves.of(1).opening)
    emptied = filled = 0
    for _, pair, units in first(days=7):
        stock[pair] += units
        assert stock[pair] >= 0
        emptied += stock[pair] == 0
        filled += units > 0
    assert emptied > 100
    assert filled > 1000


def test_movements_are_in_order_and_never_on_the_hour() -> None:
    moves = first(days=3)
    assert all(one[0] <= other[0] for one, other in pairwise(moves))
    assert all(at % HOUR for at, _, _ in moves)
    assert {pair for _, pair, _ in moves} <= set(range(PAIRS))


def test_movements_follow_from_the_seed() -> None:
    assert list(islice(movements(1, BEGIN), 5000)) == list(islice(movements(1, BEGIN), 5000))
    assert list(islice(movements(1, BEGIN), 5000)) != list(islice(movements(2, BEGIN), 5000))


def test_evenings_and_saturdays_sell_most_and_there_are_best_sellers() -> None:
    sold_by_hour, sold_by_day, sold_by_product = [0] * 24, [0] * 7, [0] * (PAIRS // WAREHOUSES)
    for at, pair, units in first(days=7):
        if units < 0:
            hours = (at - int(BEGIN.timestamp()) * 1_000_000) // HOUR
            sold_by_hour[hours % 24] -= units
            sold_by_day[hours // 24] -= units
            sold_by_product[pair // WAREHOUSES] -= units
    assert sold_by_hour.index(max(sold_by_hour)) in (17, 18, 19)
    assert sold_by_day.index(max(sold_by_day)) == 5
    assert max(sold_by_product) > 10 * sorted(sold_by_product)[len(sold_by_product) // 2]
    assert sold_by_product.index(max(sold_by_product)) == BEST_SELLER - 1
    assert sold_by_product[SLOW_MOVER - 1] <= 3


def test_a_store_opens_in_the_middle_of_the_year() -> None:
    opening = datetime(2025, 7, 1, tzinfo=UTC)
    begin = opening - timedelta(days=2)
    assert [store.id for store in STORES] == list(range(1, WAREHOUSES + 1))
    assert [store.opened_on for store in STORES if store.opened_on > begin.date()] == [opening.date()]
    moment = int(opening.timestamp()) * 1_000_000
    assert [pair for pair in range(12) if not is_open(pair, moment - 1)] == [5, 11]
    assert all(is_open(pair, moment) for pair in range(12))
    moves = list(islice(movements(1, begin), 40_000))
    assert {pair % WAREHOUSES for at, pair, _ in moves if at < moment} == {0, 1, 2, 3, 4}
    assert {pair % WAREHOUSES for at, pair, _ in moves if at > moment} == {0, 1, 2, 3, 4, 5}


def test_a_busier_world_sells_more() -> None:
    def sold(moves: list[tuple[int, int, int]]) -> int:
        return -sum(units for _, _, units in moves if units < 0)

    end = int(BEGIN.timestamp()) * 1_000_000 + 24 * HOUR
    busy = list(takewhile(lambda move: move[0] < end, movements(1, BEGIN, sales=1500)))
    assert 2.5 < sold(busy) / sold(first(days=1)) < 3.5


def test_a_shorter_hour_only_quickens_the_same_life() -> None:
    slow, quick = islice(movements(1, BEGIN), 2000), islice(movements(1, BEGIN, hour=15), 2000)
    assert [move[1:] for move in slow] == [move[1:] for move in quick]


def test_a_product_is_the_same_wherever_it_is_asked_for() -> None:
    assert product(1, 7) == product(1, 7)
    assert product(1, 7) != product(2, 7)
    assert product(1, 1_000_000).id == 1_000_000
    names = [product(1, number).name for number in range(1, 400)]
    assert any('"' in name for name in names)
    assert any("\n" in name for name in names)
    assert all(0 < product(1, number).cost < product(1, number).price for number in range(1, 100))
