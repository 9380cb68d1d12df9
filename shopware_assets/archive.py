"""Archiving: landed objects whose rows are committed in bronze move out of landing, some time later."""

from collections.abc import Iterator
from datetime import datetime

from resources.lake import Lake
from resources.landing import Landing
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known
from shopware_assets.contracts import CONTRACTS


def archive(lake: Lake, landing: Landing, before: datetime) -> Iterator[tuple[str, int]]:
    """Moves the objects that landed before a time and are in bronze; yields, for each table, its folder and how many.

    What is in bronze is asked of bronze; that landing still has that very version, of landing at the last moment.
    """
    for contract in CONTRACTS.values():
        known = Known(ledger.ingested(lake, contract))
        moved = 0
        for page in landing.pages(contract.prefix):
            old = (landed for landed in page if landed.landed_at < before and known.has(landed))
            moved += sum(1 for _ in landing.archive(old))
        yield contract.prefix, moved
