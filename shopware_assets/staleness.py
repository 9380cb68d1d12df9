"""Staleness: which windows have to be materialized (again), computed from what is stored and never remembered.

`stale` is the whole idea: what a window should have been made from, set against what it says it was made from. The rest
of the module reads these two for every kind of input: objects in bronze, parents, keys shared with other windows,
silver under gold, gold under serving. A child that came before its parent, a late file, a race and a kill between two
commits all look the same here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import narwhals as nw
import polars as pl

from resources.lake import Lake
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract, Reference, Severity
from shopware_assets.contracts.tables import Table, bronze, rejected, silver
from shopware_assets.gold.materialize import held_unmade, made_from_name, needed, over, reading, spanned
from shopware_assets.ledger import LEDGER, LINEAGE, WHOLE, named_window
from shopware_assets.serving.tables import SERVED
from shopware_assets.transforms import ANSWERS, days_read, table_read
from shopware_assets.transforms.answer import Answer
from shopware_assets.transforms.engine import Engine


def stale(expected: pl.DataFrame, recorded: pl.DataFrame) -> set[str]:
    """The windows whose facts differ.

    Args:
        expected: What each `window` should have been made from, one row a fact.
        recorded: What it says it was made from, with the same columns.
    """
    facts = recorded.columns
    unknown = expected.select(facts).join(recorded, on=facts, how="anti", nulls_equal=True)
    outdated = recorded.join(expected.select(facts), on=facts, how="anti", nulls_equal=True)
    return {*unknown["window"], *outdated["window"]}


@dataclass(frozen=True)
class Stale:
    """Windows of one table that have to be materialized.

    Attributes:
        windows: Those that can be now.
        waiting: Those that wait for what they read to be made again.
        blocked: Those that wait until somebody allows a held window.
        made_of: What each of `windows` is to be made from, as text that changes when that does.
    """

    table: Table
    windows: frozenset[str]
    waiting: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    made_of: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Survey:
    """Reads the lake once and tells what is stale in it."""

    lake: Lake
    engine: Engine
    threshold: float

    def silver(self) -> Iterator[Stale]:
        """Every silver table, parents first."""
        counts = ledger.read_ledger(self.lake)
        lineage = ledger.read_lineage(self.lake, kinds=["own", "view"])
        for contract in CONTRACTS.values():
            table = silver(contract)
            judged = counts.filter(pl.col("table_name") == table.name)
            if ledger.never_landed(self.lake, contract, judged):
                yield Stale(table, frozenset())
                continue
            windows = (
                self._objects(contract, judged)
                | self._stored(contract, judged)
                | _disagreeing(lineage.filter(pl.col("table_name") == table.name))
            )
            for reference in contract.references:
                windows |= self._parents(contract, reference, judged)
            # A run that fails halfway has changed tables: what they all follow from says if the next would do better.
            of = [contract, *(CONTRACTS[reference.parent] for reference in contract.references)]
            made_of = ",".join(f"{bronze(one).name}:{self.lake.version(bronze(one))}" for one in of)
            yield Stale(table, frozenset(windows), made_of=dict.fromkeys(windows, made_of))

    def gold(self, silver_stale: Sequence[Stale]) -> Iterator[Stale]:
        """Every gold table. Days that read a stale window wait for it; those that read a held one are blocked."""
        lineage = ledger.read_lineage(self.lake, kinds=["feeds", "made_from"])
        feeds, made_from = (lineage.filter(pl.col("kind") == kind) for kind in ("feeds", "made_from"))
        pending = pl.DataFrame(
            [(s.table.name, window) for s in silver_stale for window in s.windows | self._replaced(s)],
            schema={"table_name": pl.String, "window": pl.String},
            orient="row",
        )
        held = self.held()
        never_made: dict[str, set[str]] = {}
        for answer in ANSWERS.values():
            concerned = [answer.table.name, *(table_read(read).name for read in answer.inputs)]
            if lineage.filter(pl.col("table_name").is_in(concerned)).is_empty() and not self.lake.open(answer.table):
                yield Stale(answer.table, frozenset())  # nothing of what it reads was ever made
                continue
            recorded = made_from.filter(pl.col("table_name") == answer.table.name)
            found = _stale_answer(answer, feeds, recorded, pending, held, never_made, self._lost(answer, feeds))
            yield found
            never_made[answer.table.name] = held_unmade(answer, held, recorded)
            unmade = sorted(found.windows | found.waiting)
            others_wait_for = pl.DataFrame({"window": unmade}, schema={"window": pl.String})
            pending = pl.concat(
                [pending, others_wait_for.select(pl.lit(answer.table.name).alias("table_name"), "window")]
            )

    def serving(self, gold_stale: Sequence[Stale]) -> Iterator[Stale]:
        """Every table handed over. A day waits for its gold."""
        lineage = ledger.read_lineage(self.lake, kinds=["feeds", "made_from"])
        waiting = {s.table.name: s.windows for s in gold_stale}
        for served in SERVED.values():
            gold = ANSWERS[served.answer].table
            expected = lineage.filter((pl.col("kind") == "feeds") & (pl.col("table_name") == gold.name))
            recorded = lineage.filter((pl.col("kind") == "made_from") & (pl.col("table_name") == served.table.name))
            windows = stale(expected.select("window", "fingerprint"), recorded.select("window", "fingerprint"))
            given = dict(expected.select("window", "fingerprint").iter_rows())
            made_of = {window: given.get(window, "") for window in windows}
            yield Stale(served.table, frozenset(windows - waiting.get(gold.name, frozenset())), made_of=made_of)

    def held(self) -> pl.DataFrame:
        """Windows over the reject threshold that nobody let through (see `ledger.held`)."""
        return ledger.held_windows(self.lake, self.threshold)

    def _lost(self, answer: Answer, feeds: pl.DataFrame) -> set[str]:
        """Days whose stored rows are not as many as were made: a commit, or the table, is gone."""
        made = feeds.filter(pl.col("table_name") == answer.table.name).select(
            "window", rows=pl.col("fingerprint").str.split(":").list.get(1).cast(pl.Int64)
        )
        counted = self.lake.counts(answer.table).group_by(window=named_window(answer.table)).agg(pl.col("rows").sum())
        return stale(made.filter(pl.col("rows") > 0), counted.filter(pl.col("rows") > 0))

    def _replaced(self, silver_stale: Stale) -> set[str]:
        """Windows that an object had rows in which has others now, of which some are still to be judged.

        Only then can it be said whether it took them away rightly (see `ledger.held`).
        """
        if not silver_stale.windows or silver_stale.table.grain is None:
            return set()
        contract = next(c for c in CONTRACTS.values() if silver(c).name == silver_stale.table.name)
        objects = ledger.markers(self.lake, contract).explode("windows").drop_nulls("windows")
        objects = objects.select("object", "current", window=pl.col("windows").struct.field("window"))
        unjudged = objects.filter("current", pl.col("window").is_in(list(silver_stale.windows)))
        return set(objects.filter(~pl.col("current")).join(unjudged, on="object", how="semi")["window"])

    # --- what silver should have been made from, and was --------------------------------------------------------------

    def _objects(self, contract: Contract, judged: pl.DataFrame) -> set[str]:
        """Windows judged by other rules, or touched since by an object that came or was replaced."""
        facts = ["window", "source", "version", "landed_at", "current", "read", "judged_by"]
        touched = (
            ledger.markers(self.lake, contract)
            .explode("windows")
            .filter(pl.col("windows").is_not_null())
            .with_columns(window=pl.col("windows").struct.field("window"), read=pl.col("windows").struct.field("rows"))
        )
        if contract.event_time is None:
            touched = touched.with_columns(window=pl.lit(WHOLE))
        rules = pl.lit(ledger.judged_by(contract, days_read(contract.name)))
        return stale(touched.with_columns(judged_by=rules).select(facts), judged.select(facts))

    def _stored(self, contract: Contract, judged: pl.DataFrame) -> set[str]:
        """Windows whose stored rows are not as many as the ledger says."""
        windows: set[str] = set()
        for table, column in ((silver(contract), "accepted"), (rejected(contract), "rejected")):
            booked = judged.group_by("window").agg(rows=pl.col(column).sum()).filter(pl.col("rows") > 0)
            counted = self.lake.counts(table).group_by(window=named_window(table)).agg(pl.col("rows").sum())
            stored = counted.filter(pl.col("rows") > 0)
            windows |= stale(booked.select("window", "rows"), stored)
        return windows

    def _parents(self, contract: Contract, reference: Reference, judged: pl.DataFrame) -> set[str]:
        """Windows with a row that carries something else than its parent says, or waits for one that is there."""
        parent_table = silver(CONTRACTS[reference.parent])
        parent = self.lake.scan(parent_table).select(
            _key=reference.parent_key, _known=True, **{f"_now_{c.name}": pl.col(c.column) for c in reference.carries}
        )
        changed = [
            pl.col(c.name).ne_missing(
                pl.col(f"_now_{c.name}") if c.default is None else pl.col(f"_now_{c.name}").fill_null(c.default)
            )
            for c in reference.carries
        ]
        known = pl.col("_known").fill_null(False)

        window = named_window(silver(contract))

        def against_parent(rows: pl.LazyFrame, wrong: pl.Expr) -> pl.LazyFrame:
            return rows.join(parent, on="_key", how="left").filter(wrong).select(window=window).unique()

        accepted, set_aside = silver(contract), rejected(contract)
        carried = self.lake.scan(accepted).with_columns(_key=reference.column)
        aside = self._keyed(self.lake.scan(set_aside), contract, reference)
        lost = self._superseded(contract, judged)
        rejects, missing = reference.severity is Severity.REJECT, pl.col("_key").is_not_null() & ~known
        named = pl.col("_reasons" if rejects else "_warnings").str.split(",").list.contains(reference.rule)
        found = [
            against_parent(carried, pl.any_horizontal((pl.lit(False) if rejects else named) != missing, *changed)),
            against_parent(aside, named != missing),
            against_parent(self._keyed(lost, contract, reference), missing & rejects),
        ]
        return set(pl.concat(found).collect()["window"])

    def _keyed(self, rows: pl.LazyFrame, contract: Contract, reference: Reference) -> pl.LazyFrame:
        """Rows of text with `_key`, the value by which they name their parent."""
        kind = next(column.type for column in contract.columns if column.name == reference.column)
        return self.engine.parse(nw.from_native(rows), {"_key": (reference.column, kind)}).to_native()

    def _superseded(self, contract: Contract, judged: pl.DataFrame) -> pl.LazyFrame:
        """The bronze rows of current objects that lost to a newer row of their key: what neither silver table holds."""
        windows = judged.filter((pl.col("superseded") > 0) & pl.col("current"))
        table, grain = bronze(contract), contract.grain
        within = [grain.parse(window) for window in windows["window"].unique()] if contract.event_time else None
        provenance = ["_source", "_version", "_landed_at", "_line"]
        kept = pl.concat([self.lake.scan(t, within).select(provenance) for t in (silver(contract), rejected(contract))])
        objects = windows.lazy().select("window", _source="source", _version="version", _landed_at="landed_at")
        return (
            self.lake.scan(table, within)
            .filter(pl.col("_line") > 0)
            .with_columns(window=named_window(table))
            .join(objects, on=["window", "_source", "_version", "_landed_at"], how="semi")
            .join(kept, on=provenance, how="anti")
        )


def _disagreeing(lineage: pl.DataFrame) -> set[str]:
    """Windows that see the rows of a key they share otherwise than the window does in which those rows are.

    One of the two is out of date; both are materialized again, which makes them agree.
    """
    own = lineage.filter(pl.col("kind") == "own").select("window", "at", "fingerprint")
    view = lineage.filter(pl.col("kind") == "view").select(window="at", at="window", fingerprint="fingerprint")
    return stale(own, view) | {
        at
        for a, b in ((own, view), (view, own))
        for at in a.join(b, on=["window", "at", "fingerprint"], how="anti")["at"]
    }


def _stale_answer(
    answer: Answer,
    feeds: pl.DataFrame,
    recorded: pl.DataFrame,
    pending: pl.DataFrame,
    held: pl.DataFrame,
    never_made: Mapping[str, set[str]],
    lost: set[str],
) -> Stale:
    def days_fed(table: str, column: str) -> tuple[str, str]:
        fed = feeds.filter((pl.col("table_name") == table) & (pl.col("name") == column))["at"]
        return str(fed.min() or ""), str(fed.max() or "")

    need = needed(answer, feeds, spanned(answer, days_fed))
    facts = ["window", "name", "at", "fingerprint"]
    expected = need.with_columns(made_from_name())
    windows = stale(expected.select(facts), recorded.select(facts)) | lost
    waits, blocked = (reading(answer, windows, need, recorded, those) for those in (pending, held))
    blocked |= windows & over(answer, never_made)
    text = pl.concat_str("name", "at", "fingerprint", separator=" ", ignore_nulls=True).sort().str.join(",")
    named = expected.filter(pl.col("window").is_in(windows)) if windows else expected.clear()
    made_of = dict(named.group_by("window").agg(text).iter_rows())
    can = frozenset(windows - waits - blocked)
    return Stale(answer.table, can, frozenset(waits - blocked), frozenset(blocked), made_of)


def definitions() -> list[str]:
    """What windows are judged and made by, as text that changes when that does."""
    judged_by = [ledger.judged_by(contract, days_read(contract.name)) for contract in CONTRACTS.values()]
    return judged_by + [answer.fingerprint for answer in ANSWERS.values()]


WATCHED: tuple[Table, ...] = (
    LEDGER,
    LINEAGE,
    ledger.ALLOWED,
    *(table(contract) for contract in CONTRACTS.values() for table in (bronze, silver, rejected)),
    *(answer.table for answer in ANSWERS.values()),
)
"""The tables whose versions, all unchanged, mean that nothing can have become stale."""
