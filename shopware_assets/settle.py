"""Settling: in this process and without a daemon, all that the sensors ask for, until they ask for nothing more.

Also the cron-style way to run the product. What is asked for is computed by the same functions as in the sensors, and
runs are ordinary Dagster runs in the same storage.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from deltalake.exceptions import DeltaError

from resources.lake import reason
from resources.notifications import Notifications, NotSent
from sensors.requests import ATTEMPTS, UNFINISHED, Admitted, Request, admit, asked_before
from sensors.watch import Watch

PROCESS = ".dagster/shopware_process"
"""The tag of a run that a command executes itself: its process, which says whether it can still be running."""

_PATIENCE = 60  # seconds without news from runs that others make
_ROUNDS = 12  # where others settle too: three attempts at what landed, silver, gold and serving
_REASON_LENGTH = 500
_INTERRUPTED = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


@dataclass
class Settled:
    """How settling ended: runs made, and in words what is not done and why."""

    runs: int = 0
    left_to_others: bool = False
    undone: list[str] = field(default_factory=list)


def settle(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    watch: Watch,
    notifications: Notifications,
    progress: Callable[[str, int], None],
    *,
    others_settle: bool = False,
) -> Settled:
    """Runs what is asked for until nothing is, then tells people what they should know.

    Args:
        job: The job that has all assets.
        progress: Told, before each run, what it is about and how many more are known to wait.
        others_settle: Whether sensors do the same: then not all that lands meanwhile is waited for.
    """
    bury_dead_runs(instance)
    since = datetime.now(UTC)
    settled = Settled()
    reasons: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
    until = time.monotonic() + _PATIENCE
    for number in itertools.count():
        if others_settle and number == _ROUNDS:
            settled.left_to_others = True
            break
        admitted = _admitted(watch, instance, since, landing=number < ATTEMPTS or not others_settle)
        if not admitted.ask and not (admitted.under_way and time.monotonic() < until):
            break
        for left, request in zip(range(len(admitted.ask), 0, -1), admitted.ask, strict=True):
            progress(str(request), left)
            settled.runs += 1
            reasons[request.assets, request.windows] = execute(job, instance, request)
            until = time.monotonic() + _PATIENCE
        if not admitted.ask:
            time.sleep(1)
    for request in admitted.given_up:
        why = reasons.get((request.assets, request.windows), "The runs' logs say why.")
        said = f"Failed three times: {request}. {why}" if why else f"Made three times, and still to be done: {request}."
        settled.undone.append(said)
    settled.undone += [f"Waits for a run that does not end: {request}." for request in admitted.under_way]
    try:
        watch.tell(notifications, asked_before(instance, since))
    except NotSent as error:
        settled.undone.append(str(error))
    except (DeltaError, OSError) as error:
        settled.undone.append(f"Alerts cannot be kept: SHOPWARE_LAKE is {watch.lake.root!r}, {reason(error)}.")
    return settled


def _admitted(watch: Watch, instance: dg.DagsterInstance, since: datetime, *, landing: bool) -> Admitted:
    """What bronze lacks first; only when it lacks nothing, what is stale: then each window is judged once."""
    landed = admit(watch.landed() if landing else (), asked_before(instance, since))
    if landed.ask:
        return landed
    stale = admit(watch.stale(), asked_before(instance, since))
    return Admitted(stale.ask, landed.under_way + stale.under_way, landed.given_up + stale.given_up)


def execute(job: dg.JobDefinition, instance: dg.DagsterInstance, request: Request) -> str:
    """Makes the run in this process, of some assets of the job that has all; why it failed, or nothing.

    Raises:
        KeyboardInterrupt: A person stopped it. The run is canceled: that was no attempt that failed.
    """
    keys = [dg.AssetKey(name.split("/")) for name in request.assets]
    result = job.execute_in_process(
        instance=instance,
        asset_selection=keys,
        tags={**request.tags, PROCESS: _this_process()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # why it failed is returned
        raise_on_error=False,
    )
    if any(error.cls_name in _INTERRUPTED for error in _errors(result)):
        instance.report_run_canceled(result.dagster_run, message="A person stopped it.")
        raise KeyboardInterrupt
    return "" if result.success else _why(result)


def _why(result: dg.ExecuteInProcessResult) -> str:
    """The error of the first step that failed, as it is without what Dagster says of it, on one line."""
    for error in _errors(result):
        while error.cause and (error.cls_name or "").startswith("Dagster"):
            error = error.cause
        message, _, _ = error.message.partition("Traceback (most recent call last)")
        return " ".join(message.split())[:_REASON_LENGTH]
    return "The run's log says why."


def _errors(result: dg.ExecuteInProcessResult) -> Iterator[Any]:
    for event in result.all_events:
        if event.is_step_failure and (error := event.step_failure_data.error):
            yield error


def bury_dead_runs(instance: dg.DagsterInstance, *, daemon_is_down: bool = False) -> None:
    """Ends the runs whose process was killed, and those that nobody will start; frees the pool slots they hold.

    Args:
        daemon_is_down: Whether nothing runs that could still be executing the daemon's runs: then they are dead too.
    """
    nobody_starts = daemon_is_down or not _daemon_beats(instance)
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        process = run.tags.get(PROCESS)
        if run.status is dg.DagsterRunStatus.QUEUED:
            dead = nobody_starts
        else:
            dead = not _alive(process) if process else daemon_is_down
        if dead:
            instance.report_run_canceled(run, message="Its process is gone.")
    _free_slots(instance)


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Frees the pool slots of every run that has ended: a kill may have come between its end and that."""
    storage = instance.event_log_storage
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        for run_id in {*info.active_run_ids, *info.pending_run_ids, *info.assigned_run_ids}:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(run_id)


def _daemon_beats(instance: dg.DagsterInstance) -> bool:
    """Whether the daemon that starts queued runs has said so lately."""
    beat = instance.get_daemon_heartbeats().get("QUEUED_RUN_COORDINATOR")
    return beat is not None and time.time() - beat.timestamp < _PATIENCE


def _this_process() -> str:
    return f"{_boot()}/{os.getpid()}/{_started(os.getpid())}"


def _alive(process: str) -> bool:
    """Whether the process still runs; one of another machine counts as running."""
    boot, pid, started = process.split("/")
    return boot != _boot() or _started(int(pid)) == started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot: with the pid it names a process for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return ""
