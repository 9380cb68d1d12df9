"""Requests: what a sensor asks for, and the rules by which it asks again.

Whatever has to be done is computed anew at every tick; run history only says what is under way and what has failed. A
failed range is asked for again in halves, three attempts in all; so is one that is still missing after it was made.
Then it is given up, and said so, until what is missing in it changes or a day has passed.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

ATTEMPTS = 3
_FORGET_AFTER = timedelta(hours=24)
_LOADED_AT = datetime.now(UTC)  # failures from before a deployment or a restart say nothing about what runs now
_HISTORY = 500

# What a request is told by again is not for people: the UI hides tags of this namespace.
_ASSETS, _MISSING = ".dagster/shopware_assets", ".dagster/shopware_missing"
_ATTEMPT, _ONLY = "shopware/attempt", "only"
_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

ONLY_ATTEMPT = {_ATTEMPT: _ONLY}
"""The tag of jobs whose runs are not asked for again: one that failed has failed for good."""


def digest(facts: Iterable[object]) -> str:
    """Text that is the same for the same facts in any order."""
    return hashlib.sha256("\n".join(sorted(map(str, facts))).encode()).hexdigest()[:16]


def _in_words(about: str, span: tuple[str, str]) -> str:
    first, last = span
    return about + (f", {first} to {last}" if first < last else f", {first}" if first else "")


@dataclass(frozen=True)
class Request:
    """A run to be made.

    Attributes:
        assets: What to materialize, as `layer/table`.
        windows: The names of the windows that need it, in order; empty for tables without windows. The run covers all
            from the first to the last.
        missing: Says what is to be done in some of these windows (see `digest`): it changes when that does.
        about: What is asked for in some of these windows, in words.
    """

    assets: tuple[str, ...]
    windows: tuple[str, ...]
    missing: Callable[[Sequence[str]], str] = field(compare=False, repr=False)
    about: Callable[[Sequence[str]], str] = field(compare=False, repr=False)
    attempt: int = 1

    def __str__(self) -> str:
        return _in_words(self.about(self.windows), self.span)

    @property
    def span(self) -> tuple[str, str]:
        return (self.windows[0], self.windows[-1]) if self.windows else ("", "")

    def overlaps(self, run: "Asked") -> bool:
        """Whether the run makes some of the same windows; a table without windows is made whole by both."""
        (first, last), (other_first, other_last) = self.span, run.span
        same = (first <= other_last and other_first <= last) or "" in (first, other_first)
        return same and not set(self.assets).isdisjoint(run.assets)

    def halves(self) -> list["Request"]:
        """The range in two; a single window stays whole."""
        if len(self.windows) < 2:
            return [self]
        middle = len(self.windows) // 2
        return [replace(self, windows=part) for part in (self.windows[:middle], self.windows[middle:])]

    @property
    def tags(self) -> dict[str, str]:
        first, last = self.span
        tags = {
            _ASSETS: ",".join(self.assets),
            _MISSING: self.missing(self.windows),
            _ATTEMPT: str(self.attempt),
            "shopware/about": self.about(self.windows),
        }
        return tags | ({_RANGE_START: first, _RANGE_END: last} if self.windows else {})

    def as_run_request(self) -> dg.RunRequest:
        return dg.RunRequest(asset_selection=[dg.AssetKey(name.split("/")) for name in self.assets], tags=self.tags)


@dataclass(frozen=True)
class Asked:
    """A run that was asked for before, or the `only` one of a job: what is missing is then told by its day."""

    assets: tuple[str, ...]
    span: tuple[str, str]
    missing: str
    attempt: int
    status: dg.DagsterRunStatus
    about: str = ""
    only: bool = False
    day: str = ""

    @property
    def unfinished(self) -> bool:
        return self.status in UNFINISHED

    @property
    def failed(self) -> bool:
        return self.status is dg.DagsterRunStatus.FAILURE

    def __str__(self) -> str:
        return _in_words(self.about, self.span)


def asked_before(instance: dg.DagsterInstance, since: datetime | None = None) -> list[Asked]:
    """The runs that requests have led to, and those of jobs, that are not forgotten; and all that are under way."""
    since = since or max(datetime.now(UTC) - _FORGET_AFTER, _LOADED_AT)
    records = instance.get_run_records(dg.RunsFilter(created_after=since), limit=_HISTORY)
    unfinished = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED), limit=_HISTORY)
    runs = {record.dagster_run.run_id: record for record in (*unfinished, *records)}
    return [
        _asked(record)
        for record in runs.values()
        if _ATTEMPT in record.dagster_run.tags or record.dagster_run.status in UNFINISHED
    ]


def failing(runs: Sequence[Asked]) -> list[Asked]:
    """Of the same assets and range, the last run, where the last three have all failed although something else was to
    be done each time, as where files keep coming: nothing is given up, but what is missing is told by the day.

    Args:
        runs: The newest first.
    """
    ended: dict[tuple[object, ...], list[Asked]] = {}
    for run in runs:
        if not run.unfinished and not run.only:
            ended.setdefault((run.assets, run.span), []).append(run)
    last = [of[:ATTEMPTS] for of in ended.values()]
    return [
        replace(of[0], missing=f"{of[0].span}:{of[0].day}")
        for of in last
        if len(of) == ATTEMPTS and all(run.failed and run.attempt < ATTEMPTS for run in of)
    ]


def _asked(record: dg.RunRecord) -> Asked:
    run, day = record.dagster_run, f"{record.create_timestamp:%Y-%m-%d}"
    window = run.tags.get("dagster/partition", "")
    by_hand = ",".join(key.to_user_string() for key in run.asset_selection or ()) or run.job_name
    attempt = run.tags.get(_ATTEMPT, "0")
    return Asked(
        tuple(run.tags.get(_ASSETS, by_hand).split(",")),
        (run.tags.get(_RANGE_START, window), run.tags.get(_RANGE_END, window)),
        run.tags.get(_MISSING, day),
        ATTEMPTS if attempt == _ONLY else int(attempt),
        run.status,
        run.tags.get("shopware/about", run.job_name),
        attempt == _ONLY,
        day,
    )


UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The states of a run that is under way."""


@dataclass(frozen=True)
class Admitted:
    """What is to be run now, what waits for a run under way, and what is given up after three attempts."""

    ask: list[Request]
    under_way: list[Request]
    given_up: list[Request]


def admit(wanted: Iterable[Request], runs: Sequence[Asked]) -> Admitted:
    """Sorts out what is wanted by what was asked before."""
    failures: Counter[tuple[tuple[str, ...], str]] = Counter()
    successes: Counter[tuple[tuple[str, ...], str]] = Counter()
    for run in runs:
        key = (run.assets, run.missing)
        if run.failed:
            failures[key] = max(failures[key], run.attempt)
        successes[key] += run.status is dg.DagsterRunStatus.SUCCESS
    unfinished = [run for run in runs if run.unfinished]
    admitted = Admitted([], [], [])

    def consider(request: Request) -> None:
        key = (request.assets, request.missing(request.windows))
        failed = failures[key]
        if max(failed, successes[key]) >= ATTEMPTS:
            admitted.given_up.append(request)
        elif failed and len(request.windows) > 1:
            for half in request.halves():
                consider(replace(half, attempt=failed + 1))
        elif any(request.overlaps(run) for run in unfinished):
            admitted.under_way.append(request)
        else:
            admitted.ask.append(replace(request, attempt=max(request.attempt, failed + 1)))

    for request in wanted:
        consider(request)
    return admitted
