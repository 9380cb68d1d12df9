"""Materializing silver: each window judged from bronze and its parents, and replaced whole.

The same function serves a first run, a re-run, a backfill, a late file and a changed contract.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import narwhals as nw
import polars as pl
from deltalake import DeltaTable

from resources.lake import Lake, Overtaken
from resources.prefetch import prefetch
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Reference, given, text_of
from shopware_assets.contracts.tables import bronze, rejected, silver
from shopware_assets.ledger import LEDGER, LINEAGE, named_window, window_name
from shopware_assets.transforms.engine import Engine
from shopware_assets.transforms.judge import ACCEPTED, PROVENANCE, REJECTED, SUPERSEDED, split

_BATCH_ROWS = 500_000
_BATCH_WINDOWS = 1000
_ATTEMPTS = 5


@dataclass(frozen=True)
class Judged:
    """One batch of windows, judged and not yet written."""

    windows: list[datetime | None]
    accepted: pl.DataFrame
    rejected: pl.DataFrame
    counts: pl.DataFrame
    lineage: pl.DataFrame


@dataclass(frozen=True)
class _Bronze:
    """What a run reads of bronze: the table as it was opened, its markers, and keys that stand in several windows."""

    handle: DeltaTable | None
    markers: pl.DataFrame
    shared: pl.DataFrame

    def shared_with(self, names: list[str]) -> pl.DataFrame:
        """Keys of these windows that stand in other windows too, with every window they stand in."""
        here = self.shared.filter(pl.col("window").is_in(names))
        return self.shared.join(here, on="_key", how="semi")


@dataclass(frozen=True)
class Silver:
    """Materializes the windows of one silver table.

    Attributes:
        days_read: The columns by whose day gold reads the table.
    """

    lake: Lake
    contract: Contract
    engine: Engine
    start: datetime
    days_read: tuple[str, ...] = ()

    def materialize(self, windows: Sequence[datetime | None]) -> Iterator[pl.DataFrame]:
        """Replaces these windows (`[None]`: the whole of a reference table), several in a commit where they are small.

        Yields:
            For each batch the counts per window and source object, as they stand in the ledger.

        Raises:
            Overtaken: Other runs kept replacing the same windows.
        """
        for judged in prefetch(self._judged(list(windows)), ahead=1):
            for attempt in range(_ATTEMPTS):
                try:
                    self._write(judged)
                    break
                except Overtaken:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    judged = self._judge_batch(judged.windows, self._snapshot())
            yield judged.counts

    # --- judging -----------------------------------------------------------------------------------------------------

    def _snapshot(self) -> "_Bronze":
        """Bronze as it is now: one version for all that is read of it."""
        handle = self.lake.open(bronze(self.contract))
        return _Bronze(handle, ledger.markers(self.lake, self.contract, handle=handle), self._shared_keys(handle))

    def _judged(self, windows: list[datetime | None]) -> Iterator[Judged]:
        snapshot = self._snapshot()
        for batch in self._batches(windows):
            yield self._judge_batch(batch, snapshot)

    def _batches(self, windows: list[datetime | None]) -> Iterator[list[datetime | None]]:
        if self.contract.event_time is None:
            yield [None]
            return
        table = bronze(self.contract)
        counts = self.lake.counts(table)
        rows = dict(counts.select(named_window(table), "rows").iter_rows()) if not counts.is_empty() else {}
        batch: list[datetime | None] = []
        size = 0
        for window in windows:
            more = rows.get(window_name(window, self.contract.grain), 0)
            if batch and (size + more > _BATCH_ROWS or len(batch) == _BATCH_WINDOWS):
                yield batch
                batch, size = [], 0
            batch.append(window)
            size += more
        if batch:
            yield batch

    def _judge_batch(self, windows: list[datetime | None], snapshot: "_Bronze") -> Judged:
        contract, table = self.contract, bronze(self.contract)
        within = None if windows == [None] else [w for w in windows if w is not None]
        names = [window_name(window, contract.grain) for window in windows]
        rows = self.lake.scan(table, within, handle=snapshot.handle).filter(pl.col("_line") > 0)
        shared = snapshot.shared_with(names)
        if not shared.is_empty():
            rows = pl.concat([rows, self._rows_of(shared, names, snapshot.handle)])
        parents = {reference.parent: nw.from_native(self._parents(reference)) for reference in contract.references}
        parts = split(
            nw.from_native(_with_current(rows, snapshot.markers)),
            contract,
            engine=self.engine,
            start=self.start,
            parents=parents,
        )
        objects = (*contract.partition_columns, *_OBJECT)
        read = rows.group_by(objects).agg(read=pl.len().cast(pl.Int64))
        accepted, set_aside, superseded, read_rows = pl.collect_all([*(part.to_native() for part in parts), read])
        views = self._views(accepted, set_aside, superseded, shared, names)
        if not shared.is_empty():
            here = named_window(table).is_in(names)
            accepted, set_aside, superseded, read_rows = (
                frame.filter(here) for frame in (accepted, set_aside, superseded, read_rows)
            )
        counts = self._counts(read_rows, accepted, set_aside, superseded, snapshot.markers)
        return Judged(windows, accepted, set_aside, counts, pl.concat([self._feeds(accepted), views], how="diagonal"))

    def _parents(self, reference: Reference) -> pl.LazyFrame:
        """The accepted rows of a parent table, one a key: while a parent moves to another window, both may have it."""
        return self.lake.scan(silver(CONTRACTS[reference.parent])).unique(reference.parent_key, keep="any")

    def _shared_keys(self, handle: DeltaTable | None) -> pl.DataFrame:
        """Keys that stand in more than one window (`_key`, `window`); none where keys are unique in a window only."""
        contract, table = self.contract, bronze(self.contract)
        if contract.event_time is None or contract.key_scope == "window":
            return pl.DataFrame(schema={"_key": pl.String, "window": pl.String})
        keys = self._keyed(self.lake.scan(table, handle=handle).filter(pl.col("_line") > 0))
        windows = keys.select("_key", *contract.partition_columns).unique()
        return windows.filter(pl.len().over("_key") > 1).select("_key", window=named_window(table)).collect()

    def _keyed(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows with `_key`: the values (not the text) of their key columns; without those that lack one."""
        types = {column.name: column.type for column in self.contract.columns}
        derived = {column.name: column.value for column in self.contract.derived if column.name in self.contract.key}
        parsed = types.keys() if derived else self.contract.key  # a derived value may need any column
        text = nw.from_native(rows.rename({name: text_of(name) for name in parsed}))
        typed = self.engine.parse(text, {name: (text_of(name), types[name]) for name in parsed})
        keyed = typed.with_columns(value.alias(name) for name, value in derived.items()).to_native()
        named = keyed.with_columns(_key=_joined(self.contract.key)).filter(pl.col("_key").is_not_null())
        return named.drop(*parsed, *map(given, parsed), *derived).rename({text_of(name): name for name in parsed})

    def _rows_of(self, shared: pl.DataFrame, names: list[str], handle: DeltaTable | None) -> pl.LazyFrame:
        """The bronze rows of other windows that have one of the keys."""
        table, grain = bronze(self.contract), self.contract.grain
        others = sorted(set(shared["window"]) - set(names))
        rows = self.lake.scan(table, [grain.parse(name) for name in others], handle=handle)
        keyed = self._keyed(rows.filter(pl.col("_line") > 0))
        return keyed.join(shared.lazy().select("_key").unique(), on="_key", how="semi").select(list(table.columns))

    # --- accounting --------------------------------------------------------------------------------------------------

    def _counts(
        self,
        read: pl.DataFrame,
        accepted: pl.DataFrame,
        set_aside: pl.DataFrame,
        superseded: pl.DataFrame,
        markers: pl.DataFrame,
    ) -> pl.DataFrame:
        """What became of the rows of each window and source object; `read` is counted by itself, never summed up."""
        objects = [*self.contract.partition_columns, *_OBJECT]
        rules = "|".join(reference.rule for reference in self.contract.references)
        waits = pl.col("_reasons").str.contains(rf"\A(?:{rules})(?:,(?:{rules}))*\z") if rules else pl.lit(False)
        counts = read.lazy()
        for name, rows in (
            ("accepted", accepted),
            ("rejected", set_aside),
            ("superseded", superseded),
            ("waiting", set_aside.filter(waits)),
        ):
            found = rows.lazy().group_by(objects).agg(pl.len().cast(pl.Int64).alias(name))
            counts = counts.join(found, on=objects, how="left", nulls_equal=True)
        named = counts.select(
            window=named_window(silver(self.contract)),
            **{column.removeprefix("_"): pl.col(column) for column in _OBJECT},
            **{name: pl.col(name).fill_null(0) for name in ("read", "accepted", "rejected", "superseded", "waiting")},
            judged_by=pl.lit(ledger.judged_by(self.contract, self.days_read)),
        )
        identity = ["source", "version", "landed_at"]
        of = markers.lazy().select(*identity, "object", "current").unique(identity)
        return named.join(of, on=identity, how="left").sort("window", *identity).collect()

    def _feeds(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """What the windows give to gold: a fingerprint of the rows of each day, by each column gold reads days by.

        Rows that come from other windows of their parents are other facts.
        """
        table = silver(self.contract)
        comes_from = {table.name: (table, table.partition_columns)}
        for reference in self.contract.references:
            parent, carried = silver(CONTRACTS[reference.parent]), {c.column: c.name for c in reference.carries}
            comes_from[parent.name] = parent, tuple(carried[column] for column in parent.partition_columns)
        windows = {column for _, columns in comes_from.values() for column in columns}
        rests_on = [
            pl.concat_str(pl.lit(f"{name}/"), named_window(of, columns)) for name, (of, columns) in comes_from.items()
        ]
        facts = [
            self.engine.fingerprint(
                nw.from_native(accepted.lazy().filter(pl.col(column).is_not_null()).with_columns(_day=pl.col(column))),
                by=[*sorted(windows), "_day"],
            )
            .to_native()
            .select(
                "fingerprint",
                window=named_window(table),
                kind=pl.lit("feeds"),
                name=pl.lit(column),
                at=pl.col("_day").cast(pl.String),
                rests_on=pl.concat_str(rests_on, separator=",", ignore_nulls=True),
            )
            for column in self.days_read
        ]
        return pl.concat([_NO_FACTS, *(fact.collect() for fact in facts)], how="diagonal")

    def _views(
        self,
        accepted: pl.DataFrame,
        set_aside: pl.DataFrame,
        superseded: pl.DataFrame,
        shared: pl.DataFrame,
        names: list[str],
    ) -> pl.DataFrame:
        """What became of rows whose key stands in two windows: here (`own`) and, as seen from here, there (`view`)."""
        if shared.is_empty():
            return _NO_FACTS
        window = named_window(silver(self.contract))
        fates = [
            # Accepted rows hold values already, the others text.
            (accepted.lazy().with_columns(_key=_joined(self.contract.key)), ACCEPTED),
            (self._keyed(set_aside.lazy()), REJECTED),
            (self._keyed(superseded.lazy()), SUPERSEDED),
        ]
        rows = pl.concat(
            rows.select("_key", window=window, _row=pl.struct(*PROVENANCE, pl.lit(fate).alias("_fate")).hash(seed=0))
            for rows, fate in fates
        )
        pairs = (
            shared.lazy()
            .join(shared.lazy(), on="_key", suffix="_other")
            .filter((pl.col("window") != pl.col("window_other")) & pl.col("window").is_in(names))
        )

        def seen(side: str, kind: str) -> pl.LazyFrame:
            return (
                pairs.join(rows, left_on=["_key", side], right_on=["_key", "window"])
                .group_by("window", at=pl.col("window_other"))
                .agg(fingerprint=pl.col("_row").sum().cast(pl.String))
                .with_columns(kind=pl.lit(kind), name=pl.lit(""))
                .select(_NO_FACTS.columns)
            )

        return pl.concat([seen("window", "own"), seen("window_other", "view")]).collect()

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(self, judged: Judged) -> None:
        """Rejected and accepted rows and lineage, between two entries in the ledger: until the last, all is undone."""
        windows = None if judged.windows == [None] else [w for w in judged.windows if w is not None]
        names = [window_name(window, self.contract.grain) for window in judged.windows]
        rejected_table, accepted_table = rejected(self.contract), silver(self.contract)
        ledger.begin(self.lake, accepted_table, names)
        rejected_at = self.lake.replace(rejected_table, judged.rejected, windows)
        accepted_at = self.lake.replace(accepted_table, judged.accepted, windows)
        ledger.write(self.lake, LINEAGE, accepted_table, names, judged.lineage)
        self.lake.check_not_overtaken(rejected_table, rejected_at, windows)
        self.lake.check_not_overtaken(accepted_table, accepted_at, windows)
        ledger.write(self.lake, LEDGER, accepted_table, names, judged.counts)


_OBJECT = ("_source", "_version", "_landed_at")
_NO_FACTS = pl.DataFrame(schema=dict.fromkeys(("window", "kind", "name", "at", "fingerprint"), pl.String))


def _with_current(rows: pl.LazyFrame, markers: pl.DataFrame) -> pl.LazyFrame:
    replaced = markers.filter(~pl.col("current")).select(*(pl.col(name[1:]).alias(name) for name in _OBJECT)).unique()
    if replaced.is_empty():  # as nearly always, and the join is dear
        return rows.with_columns(_current=pl.lit(True))
    return rows.join(replaced.lazy().with_columns(_current=pl.lit(False)), on=_OBJECT, how="left").with_columns(
        pl.col("_current").fill_null(True)
    )


def _joined(columns: Iterable[str]) -> pl.Expr:
    """The values of a key as one text."""
    return pl.concat_str([pl.col(name).cast(pl.String) for name in columns], separator="\x1f")
