"""Prefetching: the same items in the same order, made ahead but not far, and nothing is left running."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from resources.prefetch import prefetch


def until(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within 5 seconds."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def producers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("ahead", [1, 2, 100])
@pytest.mark.parametrize("items", [[], [None], [3, 1, 2, None, 0]])
def test_the_same_items_in_the_same_order(items: list[object], ahead: int) -> None:
    assert list(prefetch(iter(items), ahead)) == items
    assert not producers()


@pytest.mark.parametrize("ahead", [1, 3])
def test_items_are_made_ahead_but_not_further(ahead: int) -> None:
    made: list[int] = []
    items = prefetch((made.append(n) or n for n in count()), ahead)
    assert next(items) == 0
    # Those that wait, and the one made while there is no room for it.
    assert until(lambda: len(made) == 1 + ahead + 1)
    time.sleep(0.3)
    assert len(made) == 1 + ahead + 1
    assert next(items) == 1
    assert until(lambda: len(made) == 2 + ahead + 1)
    items.close()


def test_the_next_item_is_made_while_one_is_used() -> None:
    """Each side waits for the other: without a thread of its own the producer would never get there."""
    used, made = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert used.wait(5), "the first item is being used"
        made.set()
        yield 2

    for item in prefetch(items()):
        if item == 1:
            used.set()
            assert made.wait(5)


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_what_fails_while_items_are_made_is_raised_where_they_are_used(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise error

    seen = []
    with pytest.raises(type(error)) as raised:
        for item in prefetch(items()):
            seen.append(item)
    assert raised.value is error
    assert seen == [1, 2], "after all that was made before"
    assert not producers()


@pytest.mark.parametrize("stop", ["close", "throw"])
def test_who_stops_early_stops_the_making(stop: str) -> None:
    made: list[int] = []
    items = prefetch((made.append(n) or n for n in count()), 2)
    next(items)
    if stop == "close":
        items.close()
    else:
        with pytest.raises(ValueError, match="enough"):
            items.throw(ValueError("enough"))
    assert not producers()
    assert len(made) <= 4


def test_nothing_is_made_before_somebody_asks() -> None:
    made: list[int] = []
    prefetch((made.append(n) or n for n in range(3)), 1)
    assert not made and not producers()
