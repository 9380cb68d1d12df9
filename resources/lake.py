"""The lake: Delta tables in a folder or on S3, and the only code that writes to them.

Every change of rows is one Delta commit that names its write id, run and code version, and the windows that it
replaces. After an exception the log is asked whether the commit happened before anything is decided: a reply can be
lost although the commit was made. Nothing here knows contracts' rules, Dagster or clocks.
"""

import functools
import importlib.metadata
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import unquote, urlparse

import narwhals as nw
import obstore
import polars as pl
import pyarrow as pa
from botocore.exceptions import BotoCoreError
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from obstore.auth.boto3 import Boto3CredentialProvider

from resources.settings import Misconfigured, endpoint_setting
from shopware_assets.contracts.tables import Table
from shopware_assets.contracts.windows import Grain

log = logging.getLogger(__name__)

_RETRIES = 100  # six writers of one table were seen to need more than 15
_LOOK_AGAIN = (0.2, 1.0, 3.0)  # seconds between looks in the log after a commit whose end is not known
_WRITER = WriterProperties(compression="LZ4_RAW")  # half the CPU of ZSTD; what is compacted gets ZSTD
_VIEWS = pl.CompatLevel.newest()  # Arrow's string views: half the CPU of writing text that is copied first
_AT_REST = WriterProperties(compression="ZSTD", compression_level=3)


class Overtaken(Exception):
    """Another writer changed the same rows meanwhile: what was computed has to be computed again."""


@functools.cache
def code_version() -> str:
    return importlib.metadata.version("shopware-lakehouse")


class _NamedAsStored(DeltaTable):
    """A table that calls its files what the file system does.

    deltalake percent-encodes the folders above a table in them, and Polars, which reads the files, takes that for their
    names (polars issue 20944).
    """

    def file_uris(self, *filters: Any, **more: Any) -> list[str]:
        encoded = urlparse(self.table_uri).path
        root = unquote(encoded)
        return [uri.replace(encoded, root, 1) for uri in super().file_uris(*filters, **more)]


@dataclass(frozen=True)
class Lake:
    """Delta tables below `root`.

    Attributes:
        root: A folder, or s3://bucket/prefix.
        options: Options of the object store (see `storage_options`).
        run_id: The Dagster run on whose behalf tables are written; goes into every commit.
    """

    root: str
    options: dict[str, str] = field(default_factory=dict, hash=False)
    run_id: str = ""

    def uri(self, table: Table) -> str:
        return f"{self.root.rstrip('/')}/{table.name}"

    # --- reading -----------------------------------------------------------------------------------------------------

    def open(self, table: Table) -> DeltaTable | None:
        """The table as it is now; None if it was never written."""
        try:
            return _NamedAsStored(self.uri(table), storage_options=self.options)
        except TableNotFoundError:
            return None

    def version(self, table: Table) -> int:
        """The number of the table's newest commit; -1 if there is none."""
        handle = self.open(table)
        return -1 if handle is None else handle.version()

    def scan(
        self, table: Table, windows: Iterable[datetime] | None = None, *, handle: DeltaTable | None = None
    ) -> pl.LazyFrame:
        """The rows of the table, of these windows only if given: other windows' files are not read.

        `handle` reads the table as it was when that was opened.
        """
        handle = handle or self.open(table)
        if handle is None:
            return pl.LazyFrame(schema=polars_schema(table))
        stored = pl.Schema(handle.schema())
        columns = [
            pl.col(name)
            if name in stored
            else pl.lit(None, dtype=kind).alias(name)  # the table is older than the column
            for name, kind in polars_schema(table).items()
        ]
        if windows is None:
            return pl.scan_delta(handle).select(columns)
        windows = list(windows)
        return self._scan_files(table, handle, stored, windows).select(columns).filter(_in_windows(table, windows))

    def _scan_files(self, table: Table, handle: DeltaTable, stored: pl.Schema, windows: list[datetime]) -> pl.LazyFrame:
        """The rows of the files of these windows, with the `stored` columns.

        `pl.scan_delta` would look at every file of the table, of which one by the hour has thousands a year.
        """
        partitions = handle.metadata().partition_columns
        if handle.protocol().min_reader_version > 1 or partitions != list(table.partition_columns):
            return pl.scan_delta(handle)  # of others, with deleted rows beside its files perhaps, or laid out otherwise
        files = handle.file_uris(file_pruning_predicate=_predicate(table, windows)) if windows else []
        if not files:
            return pl.LazyFrame(schema=stored)
        return pl.scan_parquet(
            files,
            schema=pl.Schema({name: kind for name, kind in stored.items() if name not in partitions}),
            hive_schema=pl.Schema({name: stored[name] for name in partitions}),
            hive_partitioning=True,
            missing_columns="insert",  # a file is older than the column
            extra_columns="ignore",
            cast_options=_CASTS,
            storage_options=self.options,
        )

    def counts(self, table: Table, *, handle: DeltaTable | None = None) -> pl.DataFrame:
        """Rows and files per partition, from the log alone: the partition columns, `rows`, `files`, `bytes`."""
        handle = handle or self.open(table)
        partitions = [f"partition.{column}" for column in table.partition_columns]
        if handle is None:
            schema = {column: polars_schema(table)[column] for column in table.partition_columns}
            return pl.DataFrame(schema=schema | {"rows": pl.Int64, "files": pl.Int64, "bytes": pl.Int64})
        actions = pl.DataFrame(handle.get_add_actions(flatten=True))
        totals = (
            pl.col("num_records").sum().alias("rows"),
            pl.len().cast(pl.Int64).alias("files"),
            pl.col("size_bytes").sum().alias("bytes"),
        )
        if not partitions:
            return actions.select(*totals)
        grouped = actions.group_by(partitions).agg(*totals)
        return grouped.rename(dict(zip(partitions, table.partition_columns, strict=True)))

    def rows(self, table: Table) -> int:
        """How many rows the table has, from the log alone."""
        return int(self.counts(table)["rows"].sum())

    def history(self, table: Table, limit: int | None = None) -> list[dict[str, Any]]:
        """What is known of the newest commits, newest first."""
        handle = self.open(table)
        return [] if handle is None else handle.history(limit)

    def snapshot(self) -> "Lake":
        """The same lake for reading: each table as it is when it is first read, which is when it is opened, once."""
        return _Snapshot(self.root, self.options, self.run_id)

    # --- writing -----------------------------------------------------------------------------------------------------

    def append_once(
        self, table: Table, batches: Callable[[DeltaTable], Iterator[pl.DataFrame] | None], *, guard: str
    ) -> None:
        """Appends what `batches` yields for the table as it is, as one commit.

        `batches` gets the table as it was opened and looks in it for what is already there; None means there is nothing
        to add. If another guarded commit wins the race, it is asked again with the newer table: so what it decides from
        the table still holds when its rows are committed.
        """
        while True:
            handle = self._made(table)
            frames = batches(handle)
            if frames is None:
                return
            number = handle.transaction_version(guard) or 0
            stream = pa.RecordBatchReader.from_batches(
                _arrow_schema(table), (batch for frame in frames for batch in _to_arrow(frame, table).to_batches())
            )
            with suppress(Overtaken):
                self._commit(
                    table,
                    handle,
                    partial(_write, stream, mode="append"),
                    transactions=[Transaction(guard, number + 1)],
                )
                return

    def add_missing(self, table: Table, rows: pl.DataFrame, key: str) -> None:
        """Appends those rows whose `key` the table does not have yet."""

        def missing(handle: DeltaTable) -> Iterator[pl.DataFrame] | None:
            known = self.scan(table, handle=handle).select(key).collect()
            new = rows.join(known, on=key, how="anti")
            return None if new.is_empty() else iter([new])

        self.append_once(table, missing, guard=key)

    def replace(
        self, table: Table, frame: pl.DataFrame, windows: Sequence[datetime] | None, predicate: str = ""
    ) -> int:
        """Makes the rows of these windows exactly `frame`, as one commit, also when it is empty.

        Args:
            windows: The windows to replace, all of which the frame's rows are in; None replaces the whole table.
            predicate: For tables of the ledger: replaces the rows it holds for, instead of windows.

        Returns:
            The version that the table has with this commit.

        Raises:
            Overtaken: Another writer replaced some of the same rows meanwhile.
        """
        # Without any predicate two writers of an empty table would not see each other: the rows of both would stay.
        where = predicate or ("true" if windows is None else _predicate(table, windows))
        handle = self._made(table)
        write = partial(_write, _to_arrow(frame, table), mode="overwrite", predicate=where)
        return self._commit(table, handle, write, windows=windows or ())

    def _made(self, table: Table) -> DeltaTable:
        """The table as it is now, made empty if it was never written.

        Every write starts from a version: two writers of a table that is not there yet would not see each other.
        """
        if handle := self.open(table):
            return handle
        try:
            return _NamedAsStored.create(
                self.uri(table),
                _arrow_schema(table),
                mode="ignore",
                partition_by=list(table.partition_columns),
                configuration=_configuration(table),
                storage_options=self.options,
                commit_properties=CommitProperties(max_commit_retries=0),  # a second try would make it a second time
            )
        except (DeltaError, OSError):  # another writer was first, or the reply was lost
            if handle := self.open(table):
                return handle
            raise

    def _commit(
        self,
        table: Table,
        handle: DeltaTable,
        write: Callable[..., None],
        windows: Sequence[datetime] | None = None,
        transactions: list[Transaction] | None = None,
    ) -> int:
        write_id, before = uuid.uuid4().hex, handle.version()
        facts = {"shopware.write_id": write_id, "shopware.code_version": code_version(), "shopware.run_id": self.run_id}
        if windows is not None:
            span = [min(windows).isoformat(), max(windows).isoformat()] if windows else ["", "9999"]
            facts["shopware.windows"] = json.dumps([*span, len(windows)])
        properties = CommitProperties(custom_metadata=facts, max_commit_retries=_RETRIES, app_transactions=transactions)
        try:
            write(handle, commit_properties=properties)
        except (DeltaError, OSError) as error:
            version = self._version_of(table, write_id, before)
            if version is None:
                if isinstance(error, CommitFailedError) and self.version(table) > before:
                    raise Overtaken(f"Another run changed {table.name} at the same time.") from error
                raise
            log.warning("The reply to a commit of %s was lost; it is version %s: %s", table.name, version, error)
            return version
        return handle.version()

    def _version_of(self, table: Table, write_id: str, before: int) -> int | None:
        """The version that the write made, if it is in the log after all; looked for until the log can be read."""
        for pause in (*_LOOK_AGAIN, None):
            try:
                handle = self.open(table)
                if handle is None:
                    return None
                commits = handle.history(max(handle.version() - before, 1))
                return next((c["version"] for c in commits if c.get("shopware.write_id") == write_id), None)
            except (DeltaError, OSError):
                if pause is None:
                    raise
                time.sleep(pause)
        return None

    def check_not_overtaken(self, table: Table, version: int, windows: Sequence[datetime] | None) -> None:
        """Checks that nobody has replaced any of the windows since `version`.

        Raises:
            Overtaken: Somebody has: the two tables of a window may hold rows of two different runs.
        """
        handle = self.open(table)
        newer = handle.version() - version if handle else 0
        for commit in self.history(table, newer) if newer > 0 else ():
            if commit["version"] <= version or "shopware.windows" not in commit:
                continue
            first, last, _ = json.loads(commit["shopware.windows"])
            if windows is None or (first <= max(windows).isoformat() and last >= min(windows).isoformat()):
                raise Overtaken(f"Another run changed {table.name} at the same time.")

    def compact(self, table: Table, keep: timedelta) -> dict[str, int]:
        """Merges small files, deletes those that no version of the last `keep` needs, and writes a checkpoint.

        Rows stay as they are: whoever reads or writes meanwhile is not disturbed.

        Returns:
            How many files were merged (`merged`), made (`made`) and deleted (`deleted`).
        """
        handle = self.open(table)
        if handle is None:
            return {"merged": 0, "made": 0, "deleted": 0}
        facts = {"shopware.code_version": code_version(), "shopware.run_id": self.run_id}
        properties = CommitProperties(custom_metadata=facts, max_commit_retries=_RETRIES)
        merged = handle.optimize.compact(commit_properties=properties, writer_properties=_AT_REST)
        deleted = handle.vacuum(retention_hours=int(keep / timedelta(hours=1)), dry_run=False)
        handle.create_checkpoint()  # whoever opens the table then reads one list of files, not every commit
        return {
            "merged": merged["numFilesRemoved"],
            "made": merged["numFilesAdded"],
            "deleted": len(deleted),
        }

    # --- start-up ----------------------------------------------------------------------------------------------------

    def check_store(self) -> None:
        """Checks that the store can be used and refuses a second create-only PUT, on which every commit relies.

        Raises:
            Misconfigured: It cannot be reached, written to, or would lose commits silently.
        """
        self.check_readable()  # first, because some stores make a bucket for the first PUT
        with self._store() as store:
            probe = f"_shopware_probe/{uuid.uuid4().hex}"
            obstore.put(store, probe, b"first", mode="create")
            try:
                obstore.put(store, probe, b"second", mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return
            finally:
                obstore.delete(store, probe)
        raise Misconfigured(
            f"SHOPWARE_LAKE is {self.root!r}, whose store overwrites on a create-only PUT: Delta commits would be lost."
        )

    def check_readable(self) -> None:
        """Checks that the lake can be read, by one quick listing; a folder that is not there yet is an empty lake.

        Raises:
            Misconfigured: It cannot be reached or read.
        """
        if "://" in self.root:
            with self._store() as store:
                next(iter(obstore.list(store, chunk_size=1)), None)

    @contextmanager
    def _store(self) -> Iterator[obstore.store.ObjectStore]:
        """The store behind the lake, impatient; what is wrong with it is said in one sentence."""
        options = self.options | {"timeout": "3s"} if self.options else {}
        try:
            yield object_store(self.root, options)
        except (obstore.exceptions.BaseError, OSError, BotoCoreError) as error:
            raise Misconfigured(f"SHOPWARE_LAKE is {self.root!r}, {reason(error)}.") from error


@dataclass(frozen=True)
class _Snapshot(Lake):
    """See `Lake.snapshot`."""

    _opened: dict[str, DeltaTable | None] = field(default_factory=dict, hash=False, compare=False)

    def open(self, table: Table) -> DeltaTable | None:
        if table.name not in self._opened:
            self._opened[table.name] = super().open(table)
        return self._opened[table.name]

    def _made(self, table: Table) -> DeltaTable:
        raise TypeError(f"{table.name} cannot be written from a snapshot: it would not see what others write.")


def object_store(url: str, options: dict[str, str]) -> obstore.store.ObjectStore:
    """The store behind a folder (made if absent) or s3://bucket/prefix. Credentials are found as boto3 finds them.

    Raises:
        Misconfigured: The address is of neither kind, or no credentials are set.
    """
    if url.startswith("s3://"):
        retry = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}
        client = {key: options[key] for key in ("timeout", "connect_timeout", "allow_http") if key in options}
        clean = {key: value for key, value in options.items() if key not in client}
        try:
            credentials = Boto3CredentialProvider()
        except ValueError:
            raise Misconfigured(
                f"SHOPWARE_LAKE is {url!r}, and no credentials are set (see AWS_ACCESS_KEY_ID)."
            ) from None
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        settings: Any = {**clean, "client_options": client, "retry_config": retry, "credential_provider": credentials}
        return obstore.store.S3Store(bucket, prefix=prefix or None, **settings)
    if "://" in url:
        raise Misconfigured(f"SHOPWARE_LAKE is {url!r}, which is neither a folder nor s3://bucket/prefix.")
    return obstore.store.LocalStore(url, mkdir=True)


def reason(error: BaseException) -> str:
    """Why a store cannot be used, in a few words."""
    text = str(error)
    for sign, words in (
        ("NoSuchBucket", "a bucket that does not exist"),
        ("TimedOut", f"whose endpoint does not answer (see {endpoint_setting('S3')})"),
        ("Connect", f"whose endpoint cannot be reached (see {endpoint_setting('S3')})"),
        ("error sending request", f"whose endpoint cannot be reached (see {endpoint_setting('S3')})"),
        ("InvalidAccessKeyId", "which refuses the credentials (see AWS_ACCESS_KEY_ID)"),
        ("SignatureDoesNotMatch", "which refuses the credentials (see AWS_SECRET_ACCESS_KEY)"),
        ("AccessDenied", "which denies access to these credentials (see AWS_ACCESS_KEY_ID)"),
        ("Permission denied", "which cannot be written to: permission denied"),
        ("Read-only", "which cannot be written to: read-only file system"),
        ("No space left", "which has no space left"),
        ("Not a directory", "which is not a folder"),
    ):
        if sign in text:
            return words
    return "which cannot be used: " + " ".join(text.split())[:200]


def _configuration(table: Table) -> dict[str, str | None]:
    found: dict[str, str | None] = {"delta.checkpointInterval": "10"}
    if table.grain:
        # Which of a window's files to read only times tell: least and greatest ids and texts make a long list longer.
        times = [name for name, kind in polars_schema(table).items() if kind.is_temporal()]
        others = [name for name in times if name not in table.partition_columns]
        if others:
            found["delta.dataSkippingStatsColumns"] = ",".join(others)
        else:
            found["delta.dataSkippingNumIndexedCols"] = "0"
    return found


_CASTS = pl.ScanCastOptions(  # what other writers may have done to a file: `pl.scan_delta` takes it too
    integer_cast="upcast",
    float_cast=["upcast", "downcast"],
    datetime_cast=["nanosecond-downcast", "millisecond-upcast", "convert-timezone"],
    categorical_to_string="allow",
)


@functools.cache
def _cached_schema(columns: tuple[tuple[str, nw.dtypes.DType], ...]) -> pl.Schema:
    return nw.Schema(dict(columns)).to_polars()


def polars_schema(table: Table) -> pl.Schema:
    """The columns of the table as Polars types."""
    return _cached_schema(tuple(table.columns.items()))


def _arrow_schema(table: Table) -> pa.Schema:
    return pl.DataFrame(schema=polars_schema(table)).to_arrow(compat_level=_VIEWS).schema


def _to_arrow(frame: pl.DataFrame, table: Table) -> pa.Table:
    schema = polars_schema(table)
    return frame.select(schema.names()).cast(dict(schema)).to_arrow(compat_level=_VIEWS)  # type: ignore[arg-type]


def _write(data: pa.RecordBatchReader | pa.Table, handle: DeltaTable, **how: Any) -> None:
    # Merging schemas: a table takes on the columns that its contract gets, and keeps those that it loses.
    write_deltalake(handle, data, schema_mode="merge", writer_properties=_WRITER, **how)


def _by_date(windows: Sequence[datetime]) -> Iterator[tuple[date, list[int]]]:
    for day, hours in groupby(sorted(set(windows)), key=datetime.date):
        yield day, [window.hour for window in hours]


def _in_windows(table: Table, windows: Sequence[datetime]) -> pl.Expr:
    if not windows:
        return pl.lit(False)
    day = pl.col(table.partition_columns[0])
    if table.grain is Grain.DAY:
        return day.is_in([window.date() for window in windows])
    hour = pl.col(table.partition_columns[1])
    full, partial = _whole_days(windows)
    parts = [day.is_in(full)] if full else []
    parts += [(day == d) & hour.is_in(hours) for d, hours in partial]
    return pl.any_horizontal(parts)


def _whole_days(windows: Sequence[datetime]) -> tuple[list[date], list[tuple[date, list[int]]]]:
    days = list(_by_date(windows))
    return [d for d, hours in days if len(hours) == 24], [(d, hours) for d, hours in days if len(hours) < 24]


def _predicate(table: Table, windows: Sequence[datetime]) -> str:
    """The windows in SQL."""

    def listed(values: Iterable[object]) -> str:
        return ", ".join(f"'{value}'" if isinstance(value, date) else str(value) for value in values)

    day = table.partition_columns[0]
    if table.grain is Grain.DAY:
        return f"{day} IN ({listed(sorted({window.date() for window in windows}))})"
    hour = table.partition_columns[1]
    full, partial = _whole_days(windows)
    parts = [f"{day} IN ({listed(full)})"] if full else []
    parts += [f"({day} = '{d}' AND {hour} IN ({listed(hours)}))" for d, hours in partial]
    return " OR ".join(parts)
