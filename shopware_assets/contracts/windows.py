"""Windows: the hours and days that rows and objects belong to.

A window is named by the UTC time at which it begins. Event windows partition bronze (on disk), silver and gold;
landing windows partition the work of bronze. Everything here is arithmetic on times and names: no clock, no I/O.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

CLOCK_SKEW = timedelta(hours=24)
"""How far after landing an event may claim to have happened: source clocks are off, but not by more than a day."""

_DATE = re.compile(
    r"""(?<!\d)(?:
        (?P<y1>\d{4})-(?P<m1>\d\d)-(?P<d1>\d\d)(?!\d)                              # 2025-06-01
      | (?P<y2>\d{4})/(?P<m2>\d\d?)/(?P<d2>\d\d?)(?!\d)                            # 2025/6/1
      | (?P<y3>20\d\d)(?P<m3>\d\d)(?P<d3>\d\d)(?:(?P<h3>\d\d)(?:\d\d){0,2})?(?!\d)  # 20250601, 2025060113
    )(?:/hour=(?P<h4>\d\d)(?!\d)|[/-](?P<h5>\d\d)(?!\d)|[_T ](?P<h6>\d\d)(?:\d\d){0,2}(?!\d))?""",
    re.VERBOSE,
)


class Grain(StrEnum):
    """How long a window is."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        return timedelta(hours=1) if self is Grain.HOUR else timedelta(days=1)

    @property
    def key_format(self) -> str:
        """The `strftime` format of a window's name, the same as Dagster's partition keys."""
        return "%Y-%m-%d-%H:%M" if self is Grain.HOUR else "%Y-%m-%d"

    def floor(self, time: datetime) -> datetime:
        """The window that holds `time` (aware)."""
        time = time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return time if self is Grain.HOUR else time.replace(hour=0)

    def label(self, window: datetime) -> str:
        """The window's name."""
        return window.strftime(self.key_format)

    def parse(self, name: str) -> datetime:
        """The window called `name`.

        Raises:
            ValueError: `name` is not the name of such a window.
        """
        return datetime.strptime(name, self.key_format).replace(tzinfo=UTC)

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Every window from `first` to `last`, both included, in time order."""
        while first <= last:
            yield first
            first += self.length


def contiguous(windows: Iterable[datetime], grain: Grain, bridge: int = 0) -> list[tuple[datetime, datetime]]:
    """`windows` as ranges (first, last), both included, in time order.

    Up to `bridge` windows that were not named may lie between two of one range: where a run costs more to start than a
    window costs to judge again, one longer run is the cheaper one.
    """
    ordered = sorted(set(windows))
    if not ordered:
        return []
    gaps = [(a, b) for a, b in pairwise(ordered) if b - a > grain.length * (bridge + 1)]
    starts = [ordered[0], *(b for _, b in gaps)]
    ends = [*(a for a, _ in gaps), ordered[-1]]
    return list(zip(starts, ends, strict=True))


def landing_window(key: str, landed_at: datetime, grain: Grain, start: datetime) -> datetime:
    """The window in which an object arrived.

    The last valid date in its key (`YYYY-MM-DD`, `YYYYMMDD`, `Y/M/D`, with the hour that follows it, also as `hour=`)
    that lies between the lake's start and a day after its landing; only without one the last that lies before the
    start; without a usable date, its landing time. So two years of history dropped today spread over two years.
    """
    times = [time for time in _times(key) if time <= landed_at + CLOCK_SKEW]
    return grain.floor(([time for time in times if time >= start] or times or [landed_at])[-1])


def _times(key: str) -> Iterator[datetime]:
    """Every valid time that a key names, in the order it names them."""
    for match in _DATE.finditer(key):
        parts = {name: int(text) for name, text in match.groupdict().items() if text is not None}
        year, month, day = (next(parts[f"{p}{i}"] for i in (1, 2, 3) if f"{p}{i}" in parts) for p in "ymd")
        hour = next((parts[h] for h in ("h3", "h4", "h5", "h6") if h in parts), 0)
        try:
            yield datetime(year, month, day, hour if hour < 24 else 0, tzinfo=UTC)
        except ValueError:
            continue
