"""The healing sensor: every window that is stale, whatever made it so."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sensors.requests import Request, digest
from shopware_assets.contracts.windows import Grain, contiguous
from shopware_assets.ledger import WHOLE
from shopware_assets.partitions import Partitions
from shopware_assets.serving.tables import SERVED
from shopware_assets.staleness import Stale, Survey
from shopware_assets.transforms import ANSWERS

_BRIDGE = {Grain.HOUR: 48, Grain.DAY: 60}  # windows that cost less to make again than a further run costs to start
_WINDOWS = 2000  # of one run


def wanted(survey: Survey, partitions: Partitions, serves: bool) -> Iterable[Request]:
    """Requests for all that is stale: silver first, then gold, with what is served of it in the same run."""
    # What a clock that is off has put into windows to come is not waited for.
    silver = [
        replace(stale, windows=frozenset(partitions.present(stale.table, stale.windows))) for stale in survey.silver()
    ]
    gold = list(survey.gold(silver))
    for stale in silver:
        pair = (stale.table.name, f"{stale.table.name}_rejected")
        yield from _requests(pair, [stale], partitions)
    for assets, group in _together(gold, serves):
        yield from _requests(assets, group, partitions)
    for stale in survey.serving(gold) if serves else ():
        yield from _requests((stale.table.name,), [stale], partitions)


def _together(gold: Sequence[Stale], serves: bool) -> Iterable[tuple[tuple[str, ...], Sequence[Stale]]]:
    """Gold tables that are stale in the same windows are made by one run; after them, in that run too, the gold tables
    that read them, which would be stale next, unless these wait for something else; and what is served of all these.
    """
    groups: dict[frozenset[str], list[Stale]] = {}
    unmade = {stale.table.name for stale in gold if stale.windows or stale.waiting}
    for answer, stale in zip(ANSWERS.values(), gold, strict=True):
        if stale.windows:
            groups.setdefault(stale.windows, []).append(stale)
        reads = {read.table for read in answer.inputs} - {answer.table.name}
        for group in groups.values():
            grain, made = group[0].table.grain, {member.table.name for member in group if not member.waiting}
            follows = made & reads and not (unmade - made) & reads
            if follows and stale not in group and answer.table.grain in (None, grain):
                group.append(stale)
                unmade.add(answer.table.name)
    for group in groups.values():
        names = [stale.table.name for stale in group]
        served = [s.table.name for s in SERVED.values() if serves and f"gold/{s.answer}" in names]
        yield (*names, *served), group


def _requests(assets: tuple[str, ...], group: Sequence[Stale], partitions: Partitions) -> Iterable[Request]:
    """For the windows of the first of a group, which the others are made with."""
    table = group[0].table
    present = sorted(partitions.present(table, group[0].windows))
    if not present:
        return

    def missing(names: Sequence[str]) -> str:
        return digest((name, stale.made_of.get(name)) for stale in group for name in names or [WHOLE])

    def about(names: Sequence[str]) -> str:
        return f"{table.name}, windows: {len(names)}" if table.grain else table.name

    if table.grain is None:
        yield Request(assets, (), missing, about)
        return
    grain = table.grain
    for first, last in contiguous(map(grain.parse, present), grain, _BRIDGE[grain]):
        named = [name for name in present if grain.label(first) <= name <= grain.label(last)]
        for start in range(0, len(named), _WINDOWS):
            yield Request(assets, tuple(named[start : start + _WINDOWS]), missing, about)
