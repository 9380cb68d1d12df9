"""The landing sensors: what has landed and is not in bronze yet, a feed each."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from resources.lake import Lake
from resources.landing import Landed, Landing
from sensors.requests import Request, digest
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known, landing_window_of, new_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.windows import Grain, contiguous
from shopware_assets.partitions import Partitions

_OBJECTS, _BYTES = 2000, 4 << 30  # of one run: a run takes seconds to start, and minutes for this much
_BRIDGE = {Grain.HOUR: 24, Grain.DAY: 31}


@dataclass
class Listing:
    """What a tick found: new objects by table, and where the next tick goes on if time ran out."""

    new: dict[str, list[Landed]] = field(default_factory=dict)
    cursor: str = ""


def list_new(lake: Lake, landing: Landing, contracts: Sequence[Contract], cursor: str, seconds: float) -> Listing:
    """Lists the feed's landing, a page at a time and from where the last tick stopped, until time is up."""
    until = time.monotonic() + seconds
    listing = Listing()
    resume = json.loads(cursor) if cursor else {}
    for contract in contracts:
        if resume and resume["table"] != contract.name:
            continue
        after, resume = resume.get("after", ""), {}
        known = Known(ledger.ingested(lake, contract))
        found = listing.new.setdefault(contract.name, [])
        for page, last in new_objects(landing, known, contract, after):
            found.extend(page)
            if time.monotonic() > until:
                listing.cursor = json.dumps({"table": contract.name, "after": last})
                return listing
    return listing


def wanted(
    new: dict[str, list[Landed]], partitions: Partitions, start: datetime
) -> Iterable[Request]:
    """One request per contiguous range of landing windows of a feed, up to so many objects and bytes."""
    windows: dict[datetime, list[tuple[str, Landed]]] = {}
    for table, objects in new.items():
        contract = CONTRACTS[table]
        last = partitions.last(contract.grain)
        for landed in objects:
            windows.setdefault(landing_window_of(landed, contract, start, last), []).append((table, landed))
    if not windows:
        return
    grain = next(CONTRACTS[table].grain for table in new)
    for first, last in contiguous(windows, grain, _BRIDGE[grain]):
        for part in _parts([window for window in sorted(windows) if first <= window <= last], windows):
            yield _request(part, windows, grain)


def _parts(
    ordered: list[datetime], windows: dict[datetime, list[tuple[str, Landed]]]
) -> Iterable[list[datetime]]:
    part: list[datetime] = []
    objects = size = 0
    for window in ordered:
        more, more_bytes = len(windows[window]), sum(landed.size for _, landed in windows[window])
        if part and (objects + more > _OBJECTS or size + more_bytes > _BYTES):
            yield part
            part, objects, size = [], 0, 0
        part.append(window)
        objects, size = objects + more, size + more_bytes
    yield part


def _request(part: list[datetime], windows: dict[datetime, list[tuple[str, Landed]]], grain: Grain) -> Request:
    tables = [name for name in CONTRACTS if any(table == name for window in part for table, _ in windows[window])]
    named = {grain.name(window): windows[window] for window in part}
    count = sum(len(objects) for objects in named.values())
    return Request(
        assets=tuple(
            asset for table in tables for asset in (f"bronze/{table}", f"silver/{table}", f"silver/{table}_rejected")
        ),
        windows=tuple(named),
        missing=lambda names: digest(
            (landed.key, landed.version) for name in names for _, landed in named.get(name, ())
        ),
        about=f"{count} objects of {', '.join(tables)}",
    )
