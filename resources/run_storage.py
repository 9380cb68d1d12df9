"""Dagster's storage on one machine: SQLite that does not wait for the disk at every event, nor starts anew for it.

A run records hundreds of events, each a transaction. Nothing that must not be lost is in this database: the lake is the
truth, and a lost event is a line less in the UI. Killed processes lose nothing either way. A power cut may take the
newest commits of a lake in a folder too: deltalake does not wait for the disk either. On S3 what is committed stays.

Dagster's own classes make an SQLAlchemy engine for every transaction, and so compile every statement again: a third of
the time that `shopware settle` took on few rows. They also look at their tables again for every event.
"""

import fcntl
import functools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from dagster._core.storage.event_log.schema import AssetKeyTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event, inspect


class LaptopStorage(DagsterSqliteStorage):
    """SQLite storage below a folder, without a wait for the disk."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        if not event.contains(Engine, "connect", _do_not_wait):
            event.listen(Engine, "connect", _do_not_wait)
        with Path(base_dir, "storage.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two processes that make the tables at once would fail
            super().__init__(base_dir, inst_data)
        self._run_storage = _Runs(self._run_storage._conn_string)
        self._event_log_storage = _EventLog(self._event_log_storage._base_dir)
        self._schedule_storage = _Schedules(self._schedule_storage._conn_string)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        """The storage that a dagster.yaml asks for: the base class's own way makes one of the base class."""
        return cls.from_local(inst_data=inst_data, **config_value)


class _OneDatabase:
    """A storage that has one database."""

    _conn_string: str

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with _engine(self._conn_string).begin() as connection:
            yield connection


class _Runs(_OneDatabase, SqliteRunStorage): ...


class _Schedules(_OneDatabase, SqliteScheduleStorage): ...


class _EventLog(SqliteEventLogStorage):
    """A database for each run, and one over all."""

    def __init__(self, base_dir: str) -> None:
        super().__init__(base_dir)
        with self.index_connection():  # makes what a process that was killed may have left unmade
            pass

    @functools.cached_property
    def _columns(self) -> dict[str, set[str]]:
        tables = inspect(_engine(self.conn_string_for_shard(INDEX_SHARD_NAME)))
        return {name: {column["name"] for column in tables.get_columns(name)} for name in tables.get_table_names()}

    def has_table(self, table_name: str) -> bool:
        return table_name in self._columns

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return column_name in self._columns[AssetKeyTable.name]

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection


@functools.lru_cache(maxsize=16)  # every run has a database, and each holds three files open
def _engine(address: str) -> Engine:
    """The one engine of a database, which keeps its connection and what it has compiled."""
    return create_engine(address, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


def _do_not_wait(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
