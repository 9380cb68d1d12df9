"""Believable landing files, and an account of what was put in.

Here belongs generation alone: no input or output, no clock, no Dagster, no contract. The same question gives the same
files on every machine and in every process. (The bytes of a .gz also depend on zlib; what is in it does not.) The
account is kept while rows are made, from the laws of the lake, so that it can be held against what the lake says.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from simulator import grocery, inventory, pos, shop
from simulator.account import Account, TableAccount
from simulator.drops import DAY, LAKE_START, Asked, Drop

__all__ = ["FEEDS", "Account", "Drop", "TableAccount", "simulate"]

FEEDS = {"inventory": inventory.FEED, "pos": pos.FEED, "shop": shop.FEED, "grocery": grocery.FEED}


def simulate(
    feed: str,
    *,
    start: date,
    days: int,
    rows: int,
    seed: int,
    dirty: float = 0.0,
    late: float = 0.0,
    duplicates: float = 0.0,
) -> tuple[Iterator[Drop], Account]:
    """Files of `feed` for `days` days from `start`, with `rows` new rows a day, in the order in which they land.

    (Of pos on an average day: what the world sells on a Saturday is more than on a Monday.)

    Of the new rows a share `dirty` is broken, each kind in turn, and a share `late` is first sent 1 hour to 30 days
    after its event (never before the lake's start). A share `duplicates` is sent again on top, and as large a share of
    the files as a whole, under a new key, or as the corrected version of a first draft. The account is complete when
    the iterator is exhausted. ValueError if something asked for makes no sense.
    """
    if feed not in FEEDS:
        raise ValueError(f"unknown feed {feed!r}: there are {', '.join(FEEDS)}")
    if days < 1 or rows < 1:
        raise ValueError(f"days and rows must be at least 1, not {days} and {rows}")
    shares = {"dirty": dirty, "late": late, "duplicates": duplicates}
    if any(not 0 <= share <= 1 for share in shares.values()) or dirty + late > 0.9:
        raise ValueError(f"shares lie between 0 and 1, dirty and late together up to 0.9, not {shares}")
    begin = datetime.combine(start, time(), UTC)
    if begin < LAKE_START:
        raise ValueError(f"the lake starts on {LAKE_START:%Y-%m-%d}: {start} is before that")
    source = FEEDS[feed]
    asked = Asked(begin, source.width, days * DAY // source.width, rows, seed, dirty, late, duplicates)
    account = source.account(feed)

    def drops() -> Iterator[Drop]:
        for parcel in source.parcels(asked, account):
            parcel.book()
            yield parcel.drop

    return drops(), account
