"""Archiving: landed objects whose rows are committed in bronze move out of landing, some time later."""

from collections.abc import Iterator
from datetime import datetime

from resources.lake import Lake
from resources.landing import Landed, Landing
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known
from shopware_assets.contracts.contract import Contract


def archive(lake: Lake, landing: Landing, contract: Contract, before: datetime) -> Iterator[Landed]:
    """Moves the objects of a table that landed before a time and are in bronze, and yields each.

    What is in bronze is asked of bronze; that landing still has that very version, of landing at the last moment.
    """
    known = Known(ledger.ingested(lake, contract))
    for page in landing.pages(contract.prefix):
        yield from landing.archive(landed for landed in page if landed.landed_at < before and known.has(landed))
