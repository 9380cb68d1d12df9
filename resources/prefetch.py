"""Prefetching: the next items of an iterator are made while the current one is used."""

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


def prefetch(items: Iterator[Item], ahead: int = 1) -> Iterator[Item]:
    """The same items; up to `ahead` of them wait, made by another thread. An exception in it is raised here.

    When the consumer stops early, the producer is stopped before its next item.
    """
    queue: Queue[object] = Queue(maxsize=ahead)
    stopped = threading.Event()
    failed: list[BaseException] = []

    def offer(item: object) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not offer(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised in the consumer's thread below
            failed.append(error)
        offer(_END)

    producer = threading.Thread(target=produce, name="prefetch", daemon=True)
    producer.start()
    try:
        while True:
            try:
                item = queue.get(timeout=1)
            except Empty:
                continue
            if item is _END:
                break
            yield item  # type: ignore[misc]
        if failed:
            raise failed[0]
    finally:
        stopped.set()
        producer.join()
