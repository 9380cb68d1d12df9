"""Materializing gold: each day computed from the silver windows that feed it, and replaced whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import narwhals as nw
import polars as pl

from resources.lake import Lake, Overtaken
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import LINEAGE, WHOLE, named_window
from shopware_assets.transforms.answer import Answer, Input
from shopware_assets.transforms.engine import Engine

_BATCH_DAYS = 120
_ATTEMPTS = 5


@dataclass(frozen=True)
class Gold:
    """Materializes the days of one gold table."""

    lake: Lake
    answer: Answer
    engine: Engine
    threshold: float

    def materialize(self, days: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Replaces these days (`[WHOLE]`: all of a table without days), several in a commit.

        Days that read a held window (see `reading`) keep their last values.

        Yields:
            For each batch the days replaced and the rows they have: `window`, `rows`.

        Raises:
            Overtaken: Other runs kept replacing the same days.
        """
        facts = self._facts(days)
        recorded = ledger.read_lineage(self.lake, self.answer.table, ["made_from"], days)
        blocked = reading(self.answer, days, facts, recorded, self._held(days, facts, recorded))
        free = [day for day in days if day not in blocked]
        yield pl.DataFrame(schema={"window": pl.String, "rows": pl.Int64})
        for first in range(0, len(free), _BATCH_DAYS):
            batch = free[first : first + _BATCH_DAYS]
            for attempt in range(_ATTEMPTS):
                try:
                    made = self._replace(batch, facts.filter(pl.col("window").is_in(batch)))
                    break
                except Overtaken:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    facts = self._facts(days)
            yield made

    def _held(self, days: Sequence[str], facts: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
        """The held windows that these days can be `reading`; the ledger of other months is not read."""
        among = [pl.col("table_name").is_in(_tables(self.answer))]
        if self.answer.day is not None:
            resting = _resting(facts, recorded)["rests_on"].str.split("/").list.last()
            among.append(ledger.in_months_of(pl.concat([pl.Series([WHOLE, *days]), resting])))
        return ledger.held_windows(self.lake, self.threshold, *among)

    def _facts(self, days: Sequence[str]) -> pl.DataFrame:
        tables = [silver(CONTRACTS[read.table]).name for read in self.answer.inputs]
        return needed(self.answer, ledger.read_feeds(self.lake, tables, None if self.answer.day is None else days))

    def _replace(self, days: list[str], facts: pl.DataFrame) -> pl.DataFrame:
        table = self.answer.table
        inputs = {read.table: nw.from_native(self._rows(read, facts)) for read in self.answer.inputs}
        rows = self.answer.compute(inputs, self.engine).to_native().select(list(table.columns))
        name = named_window(table)
        rows = rows.filter(name.is_in(days)).collect()
        windows = None if days == [WHOLE] else [Grain.DAY.parse(day) for day in days]
        version = self.lake.replace(table, rows, windows)
        ledger.write(self.lake, LINEAGE, table, days, pl.concat([_made_from(facts), self._feeds(rows)], how="diagonal"))
        self.lake.check_not_overtaken(table, version, windows)
        counts = rows.group_by(window=name).agg(rows=pl.len().cast(pl.Int64))
        return pl.DataFrame({"window": days}).join(counts, on="window", how="left").fill_null(0)

    def _rows(self, read: Input, facts: pl.DataFrame) -> pl.LazyFrame:
        """The silver rows of the windows that feed these days: other windows are not opened."""
        table = silver(CONTRACTS[read.table])
        windows = facts.filter(pl.col("table_name") == table.name)["at"].unique().sort()
        if table.grain is None:
            return self.lake.scan(table)
        return self.lake.scan(table, [table.grain.parse(window) for window in windows])

    def _feeds(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What each day gives to serving."""
        window = named_window(self.answer.table)
        counted = self.engine.fingerprint(nw.from_native(rows.lazy().with_columns(window=window)), by=["window"])
        return (
            counted.to_native()
            .collect()
            .select(
                "window",
                pl.lit("feeds").alias("kind"),
                pl.lit("").alias("name"),
                pl.col("window").alias("at"),
                "fingerprint",
            )
        )


def needed(answer: Answer, feeds: pl.DataFrame) -> pl.DataFrame:
    """What each day of an answer is to be made from.

    Args:
        feeds: The `feeds` facts of the lineage.

    Returns:
        `window` (the day), `table_name`, `name` (the day column), `at` (the silver window), `fingerprint`, `rests_on`.
    """
    reads = pl.DataFrame(
        [(silver(CONTRACTS[read.table]).name, day) for read in answer.inputs for day in read.days],
        schema={"table_name": pl.String, "name": pl.String},
        orient="row",
    )
    facts = feeds.join(reads, on=["table_name", "name"], how="semi")
    day = pl.lit(WHOLE) if answer.day is None else pl.col("at")
    return facts.select(
        day.alias("window"),
        "table_name",
        "name",
        pl.col("window").alias("at"),
        "fingerprint",
        "rests_on",
        day_of=pl.col("at"),
    )


def reading(
    answer: Answer, days: Iterable[str], need: pl.DataFrame, recorded: pl.DataFrame, windows: pl.DataFrame
) -> set[str]:
    """Those of the days that read some silver windows, or read rows whose parents are in them.

    That is what a day is to be made from and what it was made from: rows of a window that broke are no longer fed. And
    it is the day of the window itself, which may never have fed anything; of a table without windows, every day.

    Args:
        need: What is `needed`.
        recorded: The `made_from` facts of the answer.
        windows: Of any tables: `table_name`, `window`.
    """
    read = windows.filter(pl.col("table_name").is_in(_tables(answer)))
    own = {WHOLE if answer.day is None else window[:10] for window in read["window"]}
    if WHOLE in own:
        return set(days)
    named = read.select(rests_on=pl.concat_str("table_name", "window", separator="/"))
    return set(days) & {*own, *_resting(need, recorded).join(named, on="rests_on", how="semi")["window"]}


def _resting(need: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """Each `window` with each silver window, as `table/window`, that its rows rest on."""
    both = pl.concat(facts.select("window", pl.col("rests_on").str.split(",")) for facts in (need, recorded))
    return both.explode("rests_on")


def _tables(answer: Answer) -> list[str]:
    """The silver tables that an answer reads, and the parents of their rows."""
    contracts = [CONTRACTS[read.table] for read in answer.inputs]
    parents = [CONTRACTS[reference.parent] for contract in contracts for reference in contract.references]
    return [silver(contract).name for contract in (*contracts, *parents)]


def _made_from(facts: pl.DataFrame) -> pl.DataFrame:
    return facts.select(
        "window",
        pl.lit("made_from").alias("kind"),
        made_from_name(),
        "at",
        "fingerprint",
        "rests_on",
    )


def made_from_name() -> pl.Expr:
    """What an input is called in the lineage: table, the column its days are in, and the day."""
    return pl.concat_str("table_name", "name", "day_of", separator="/").alias("name")
