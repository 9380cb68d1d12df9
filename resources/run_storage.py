"""Dagster's storage on one machine: SQLite that does not wait for the disk at every event.

A run records hundreds of events, each a transaction. Nothing that must survive a power cut is in this database: the
lake is the truth, and a lost event is a line less in the UI. Killed processes lose nothing either way.
"""

import fcntl
import sqlite3
from pathlib import Path
from typing import Any, Self

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Engine, event


class LaptopStorage(DagsterSqliteStorage):
    """SQLite storage below a folder, without a wait for the disk."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        if not event.contains(Engine, "connect", _do_not_wait):
            event.listen(Engine, "connect", _do_not_wait)
        with Path(base_dir, "storage.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two processes that make the tables at once would fail
            super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        """The storage that a dagster.yaml asks for: the base class's own way makes one of the base class."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _do_not_wait(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
