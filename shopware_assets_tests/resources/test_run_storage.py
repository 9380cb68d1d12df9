"""Dagster's storage on one machine: it keeps what it is given, and no connection of it waits for the disk."""

import sqlite3
from pathlib import Path

import dagster as dg
from sqlalchemy import text

from resources.settings import Settings, prepare_home


@dg.job
def nothing() -> None:
    """A run to be remembered."""


def test_a_home_remembers_its_runs_without_waiting_for_the_disk(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(prepare_home(Settings(home=tmp_path)))) as instance:
        run = instance.create_run_for_job(nothing)
        instance.report_engine_event("something has happened", run)
        log = instance.event_log_storage
        for connected in (
            instance.run_storage.connect(),
            instance.schedule_storage.connect(),
            log.index_connection(),
            log.run_connection(run.run_id),
        ):
            with connected as connection:
                assert connection.execute(text("PRAGMA synchronous")).scalar() == 0, "off"
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as again:
        assert [known.run_id for known in again.get_runs()] == [run.run_id]
        assert "something has happened" in str(again.all_logs(run.run_id))


def test_sqlite_itself_waits() -> None:
    """The control."""
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "full"
