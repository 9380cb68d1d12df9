"""The landing sensors: what has landed and is not in bronze yet, a feed each."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from resources.lake import Lake
from resources.landing import Landed, Landing
from resources.notices import keys_announced
from sensors.requests import Request, digest
from shopware_assets import ledger
from shopware_assets.bronze.ingest import Known, landing_window_of, new_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.windows import Grain, contiguous
from shopware_assets.partitions import Partitions

_OBJECTS, _BYTES = 2000, 4 << 30  # of one run: a run takes seconds to start, and minutes for this much
_RECONCILE = 300  # seconds between listings where notices come by a queue
_BRIDGE = {Grain.HOUR: 24, Grain.DAY: 31}
_WAITING = 200  # objects looked for again one by one; where there are more, landing is listed instead
_START = "{}"  # Dagster would keep the cursor it has if it were given an empty one


@dataclass
class Found:
    """What a tick found: new objects by table, and the cursor: where the next listing begins, and when one ended."""

    new: dict[str, list[Landed]] = field(default_factory=dict)
    cursor: str = ""


def look(
    lake: Lake, landing: Landing, contracts: Sequence[Contract], cursor: str, *, seconds: float, queue: str = ""
) -> Found:
    """What has landed of a feed and is not in bronze.

    Landing is listed page by page until time is up; the next tick goes on from there. Where the bucket's notices come
    by a queue, the objects they name come first, again at every tick until they are in bronze, and a listing every few
    minutes finds what they missed.
    """
    state = json.loads(cursor) if cursor else {}
    if not queue:
        found = _list(lake, landing, contracts, state, seconds)
        found.cursor = found.cursor or _START
        return found
    ours = [contract.prefix for contract in contracts]
    others = [contract.prefix for contract in CONTRACTS.values() if contract.prefix not in ours]
    announced = keys_announced(queue, landing.root, ours, others)
    found = _announced(lake, landing, contracts, {*announced, *state.pop("waiting", ())})
    if "table" in state or time.time() - state.get("listed", 0) > _RECONCILE:
        listed = _list(lake, landing, contracts, state, seconds)
        for table, objects in listed.new.items():
            found.new[table] = sorted({*found.new[table], *objects})
        state = json.loads(listed.cursor) if listed.cursor else {"listed": time.time()}
    # A notice comes once, and its object may have to wait for a run under way, or for another attempt.
    waiting = sorted(landed.key for objects in found.new.values() for landed in objects)
    if len(waiting) > _WAITING:
        state.pop("listed", None)
    found.cursor = json.dumps({**state, "waiting": waiting[:_WAITING]})
    return found


def _list(lake: Lake, landing: Landing, contracts: Sequence[Contract], state: dict[str, str], seconds: float) -> Found:
    until = time.monotonic() + seconds
    found = Found({contract.name: [] for contract in contracts})
    names = [contract.name for contract in contracts]
    for contract in contracts[names.index(state["table"]) if "table" in state else 0 :]:
        after = state["after"] if contract.name == state.get("table") else ""
        known = Known(ledger.ingested(lake, contract))
        for page, last in new_objects(landing, known, contract, after):
            found.new[contract.name].extend(page)
            if time.monotonic() > until:
                found.cursor = json.dumps({"table": contract.name, "after": last})
                return found
    return found


def _announced(lake: Lake, landing: Landing, contracts: Sequence[Contract], keys: set[str]) -> Found:
    found = Found({contract.name: [] for contract in contracts})
    for contract in contracts:
        objects = [landing.find(key) for key in sorted(keys) if key.startswith(f"{contract.prefix}/")]
        if objects:
            known = Known(ledger.ingested(lake, contract))
            found.new[contract.name] = [o for o in objects if o is not None and not known.has(o)]
    return found


def ingestions(new: dict[str, list[Landed]], partitions: Partitions, start: datetime) -> Iterable[Request]:
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


def _parts(ordered: list[datetime], windows: dict[datetime, list[tuple[str, Landed]]]) -> Iterable[list[datetime]]:
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
    named = {grain.label(window): windows[window] for window in part}

    def landed_in(names: Sequence[str]) -> list[Landed]:
        return [landed for name in names for _, landed in named.get(name, ())]

    return Request(
        assets=tuple(
            asset for table in tables for asset in (f"bronze/{table}", f"silver/{table}", f"silver/{table}_rejected")
        ),
        windows=tuple(named),
        missing=lambda names: digest((landed.key, landed.version) for landed in landed_in(names)),
        about=lambda names: f"{', '.join(tables)}, objects: {len(landed_in(names))}",
    )
