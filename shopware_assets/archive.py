"""Archiving: landed objects whose rows are committed in bronze move out of landing, some time later."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from resources.lake import Lake
from resources.landing import Landing
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known
from shopware_assets.contracts import CONTRACTS

_NAMED = 10


class NotMoved(Exception):
    """Some objects could not be moved: they stay in landing, all others are in the archive."""

    def __init__(self, stuck: Mapping[str, str]) -> None:
        named = [f"{key}: {why}" for key, why in islice(stuck.items(), _NAMED)]
        more = [f"and {len(stuck) - _NAMED:,} more"] if len(stuck) > _NAMED else []
        super().__init__("\n".join([f"{len(stuck):,} objects cannot be moved to archive/:", *named, *more]))


def archive(lake: Lake, landing: Landing, before: datetime) -> Iterator[tuple[str, int]]:
    """Moves the objects that landed before a time and are in bronze; yields, for each table, its folder and how many.

    What is in bronze is asked of bronze; that landing still has that very version, of landing at the last moment.

    Raises:
        NotMoved: Some could not be, which is said when all tables are done.
    """
    stuck: dict[str, str] = {}
    for contract in CONTRACTS.values():
        known = Known(ledger.ingested(lake, contract))
        moved = 0
        landed = (landed for page in landing.pages(contract.prefix) for landed in page)
        for of, why in landing.archive(of for of in landed if of.landed_at < before and known.has(of)):
            if why:
                stuck[of.key] = why
            else:
                moved += 1
        yield contract.prefix, moved
    if stuck:
        raise NotMoved(stuck)
