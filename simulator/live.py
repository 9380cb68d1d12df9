"""A gentle stream without end, for a lake that someone is watching.

Here belongs only the tempo: the files are those of the feeds, small, with lives that take minutes instead of days.
"""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from simulator import FEEDS
from simulator.drops import DAY, Asked, Drop

_ROWS = 40  # in a slot
_BEFORE = 3  # slots that have passed when the stream begins: so every feed has something to show at once


def live(feeds: Sequence[str], seed: int, start_at: datetime, slot: int = 60, hour: int = 15) -> Iterator[Drop]:
    """Drops around `start_at` (UTC) and on, without end, a few per `slot` seconds: wait until `landed_at`, then land.

    In this stream an hour in the life of an order or a shelf takes `hour` seconds.
    """
    begin = start_at.replace(microsecond=0) - timedelta(seconds=_BEFORE * slot)
    asked = Asked(begin, slot, None, _ROWS * DAY // slot, seed, dirty=0.02, late=0.01, duplicates=0.01, hour=hour)
    streams = [FEEDS[feed].parcels(asked, FEEDS[feed].account(feed)) for feed in feeds]
    return (parcel.drop for parcel in heapq.merge(*streams, key=lambda parcel: parcel.drop.landed_at))
