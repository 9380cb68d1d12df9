"""Partitions: the windows as Dagster sees them. The set reaches a day ahead, because sources' clocks are off."""

from collections.abc import Iterable
from datetime import datetime

import dagster as dg

from shopware_assets.contracts.tables import Table
from shopware_assets.contracts.windows import Grain


class Partitions:
    """The partitions of every grain, from the lake's start on."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        first = start.strftime("%Y-%m-%d")
        self._of: dict[Grain, dg.TimeWindowPartitionsDefinition] = {
            Grain.HOUR: dg.HourlyPartitionsDefinition(f"{first}-00:00", end_offset=25),
            Grain.DAY: dg.DailyPartitionsDefinition(first, end_offset=2),
        }

    def of(self, grain: Grain | None) -> dg.TimeWindowPartitionsDefinition | None:
        """None for a table without windows."""
        return None if grain is None else self._of[grain]

    def first(self, grain: Grain) -> datetime:
        """The window in which the lake starts."""
        return grain.floor(self._start)

    def last(self, grain: Grain) -> datetime:
        """The newest window there is now; what claims to be later waits until the clock has come that far."""
        key = self._of[grain].get_last_partition_key()
        assert key is not None
        return grain.parse(key)

    def present(self, table: Table, windows: Iterable[str]) -> set[str]:
        """Those of the windows that exist now: none from before the start, such as the day of an early refund."""
        if table.grain is None:
            return set(windows)
        first, last = (table.grain.label(end) for end in (self.first(table.grain), self.last(table.grain)))
        return {window for window in windows if first <= window <= last}
