"""Materializing gold: each day computed from the windows and days that feed it, and replaced whole."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import narwhals as nw
import polars as pl

from resources.lake import Lake, Overtaken
from shopware_assets import ledger
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import LINEAGE, WHOLE, named_window
from shopware_assets.transforms import ANSWERS, table_read
from shopware_assets.transforms.answer import Answer, Input
from shopware_assets.transforms.engine import Engine

_BATCH_DAYS = 120
_FOLLOWING = 30  # days made again at once where what one leaves to the next has changed
_ATTEMPTS = 5


class NotComputed(Exception):
    """Days of a gold table cannot be computed from their rows, as when a sum does not fit; the others are made."""


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
            NotComputed: Some days cannot be computed. Where a day goes on from the one before, the first of them ends
                it; others are made before this is said.
        """
        yield pl.DataFrame(schema={"window": pl.String, "rows": pl.Int64})
        now = self._now()
        todo, most, failed = now._free(days), _BATCH_DAYS, []
        while todo:
            batch = self._batch(todo[:most])
            if not now._goes_on(batch[0]):
                raise NotComputed(f"{batch[0]}: the day before was never made")
            try:
                yield self._made(batch, now)
            except pl.exceptions.PolarsError as error:
                if len(batch) > 1:  # one of them
                    most = len(batch) // 2
                    continue
                failed.append((batch[0], error))
                if self.answer.reads_itself:
                    break
            now, todo, most = self._now(), todo[len(batch) :], _BATCH_DAYS
            if self.answer.reads_itself:
                todo = now._following(batch[-1], before=todo[0] if todo else None) + todo
        if failed:
            raise NotComputed("; ".join(f"{day}: {error}" for day, error in failed))

    def _made(self, days: list[str], now: "Gold") -> pl.DataFrame:
        """Makes days from what there was, or, where they are overtaken, from what there is by then."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._replace(days, now)
            except Overtaken:
                now = self._now()
        return self._replace(days, now)

    def _goes_on(self, day: str) -> bool:
        """Whether a day can be made: where it goes on from the day before, that has to be there."""
        if not self.answer.reads_itself or not self._span or not self._span[0] < day <= self._span[1]:
            return True
        return not ledger.read_lineage(self.lake, self.answer.table, ["made_from"], [later(day, -1)]).is_empty()

    def _now(self) -> "Gold":
        """The same, for reading: tables that are read several times are opened once."""
        return replace(self, lake=self.lake.snapshot())

    def _free(self, days: Sequence[str]) -> list[str]:
        """Those of the days that do not read a held window."""
        facts = self._facts(days)
        recorded = ledger.read_lineage(self.lake, self.answer.table, ["made_from"], days)
        held = self._held(days, facts, recorded)
        blocked = over(self.answer, self._unmade(days))
        if not held.is_empty():
            if self.answer.every_day:
                recorded = ledger.read_lineage(self.lake, self.answer.table, ["made_from"])
            blocked |= reading(self.answer, days, facts, recorded, held)
        return [day for day in days if day not in blocked]

    def _unmade(self, days: Sequence[str]) -> dict[str, set[str]]:
        """Of the gold tables that these days read, the days that are held and were never made."""
        found = {}
        for read in self.answer.inputs:
            if read.is_gold and not (part := ANSWERS[read.table.removeprefix("gold/")]).every_day:
                days_read = sorted({later(day, -back) for day in days for back in read.back})
                recorded = ledger.read_lineage(self.lake, part.table, ["made_from"], days_read)
                held = replace(self, answer=part)._held(days_read, _NO_FACTS, recorded)
                found[part.table.name] = held_unmade(part, held, recorded)
        return found

    def _batch(self, days: list[str]) -> list[str]:
        """The days that can be made together; where a day goes on from the one before, those without a gap."""
        if not self.answer.every_day:
            return days
        return [day for number, day in enumerate(days) if day == later(days[0], number)]

    def _following(self, day: str, before: str | None) -> list[str]:
        """The days after one that was made, if what it leaves to the next has changed; they may stay as they are."""
        _, newest = self._span or ("", "")
        following = [later(day, number) for number in range(1, _FOLLOWING + 1)]
        following = [next for next in following if next <= newest and (before is None or next < before)]
        facts = ("window", "name", "at", "fingerprint")
        expected = self._facts(following[:1]).with_columns(made_from_name()).select(facts)
        recorded = ledger.read_lineage(self.lake, self.answer.table, ["made_from"], following[:1]).select(facts)
        return [] if set(expected.iter_rows()) == set(recorded.iter_rows()) else self._free(following)

    def _held(self, days: Sequence[str], facts: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
        """The held windows that these days can be `reading`; the ledger of other months is not read."""
        among = [pl.col("table_name").is_in(list(_tables(self.answer)))]
        if self.answer.day is not None:
            resting = _resting(facts, recorded)["rests_on"].str.split("/").list.last()
            among.append(ledger.in_months_of(pl.concat([pl.Series([WHOLE, *days]), resting])))
        return ledger.held_windows(self.lake, self.threshold, *among)

    @cached_property
    def _span(self) -> tuple[str, str] | None:
        """See `spanned`."""
        return spanned(self.answer, lambda table, column: ledger.days_fed(self.lake, table, column))

    def _facts(self, days: Sequence[str]) -> pl.DataFrame:
        if not days:
            return _NO_FACTS
        tables = [table_read(read).name for read in self.answer.inputs]
        back = {number for read in self.answer.inputs for number in read.back}
        read_days = (
            None if self.answer.day is None else sorted({later(day, -number) for day in days for number in back})
        )
        feeds = ledger.read_feeds(self.lake, tables, read_days)
        facts = needed(self.answer, feeds, self._span)
        return facts.filter(pl.col("window").is_in(days))

    def _replace(self, days: list[str], now: "Gold") -> pl.DataFrame:
        table, facts = self.answer.table, now._facts(days)
        if self.answer.reads_itself:  # within these days, from what is made here
            inside = (pl.col("table_name") == table.name) & (pl.col("window") > days[0])
            facts = facts.filter(~inside)
        inputs = {read.table: nw.from_native(now._rows(read, facts)) for read in self.answer.inputs}
        if now._span:
            first, newest = now._span  # days beyond are made too: they lose their rows
            named = pl.LazyFrame({"day": days}).filter(pl.col("day").is_between(pl.lit(first), pl.lit(newest)))
            named = named.with_columns(is_newest=pl.col("day") == newest)
            inputs["days"] = nw.from_native(named.with_columns(pl.col("day").str.to_date()))
        rows = self.answer.compute(inputs, self.engine).to_native().select(list(table.columns))
        name = named_window(table)
        rows = rows.filter(name.is_in(days)).collect()
        feeds = self._feeds(rows)
        if self.answer.reads_itself:
            made_here = needed(self.answer, feeds.with_columns(table_name=pl.lit(table.name)), now._span)
            facts = pl.concat([facts, made_here.filter(pl.col("window").is_in(days))]).unique()
        windows = None if days == [WHOLE] else [Grain.DAY.parse(day) for day in days]
        version = self.lake.replace(table, rows, windows)
        ledger.write(self.lake, LINEAGE, table, days, pl.concat([_made_from(facts), feeds], how="diagonal"))
        self.lake.check_not_overtaken(table, version, windows)
        counts = rows.group_by(window=name).agg(rows=pl.len().cast(pl.Int64))
        return pl.DataFrame({"window": days}).join(counts, on="window", how="left").fill_null(0)

    def _rows(self, read: Input, facts: pl.DataFrame) -> pl.LazyFrame:
        """The rows of the windows that feed these days: other windows are not opened."""
        table = table_read(read)
        windows = facts.filter(pl.col("table_name") == table.name)["at"].unique().sort()
        if table.grain is None:
            return self.lake.scan(table)
        return self.lake.scan(table, [table.grain.parse(window) for window in windows])

    def _feeds(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What each day gives to serving, and to other answers."""
        window = named_window(self.answer.table)
        counted = self.engine.fingerprint(nw.from_native(rows.lazy().with_columns(window=window)), by=["window"])
        return (
            counted.to_native()
            .collect()
            .select(
                "window",
                pl.lit("feeds").alias("kind"),
                pl.lit(self.answer.day or "").alias("name"),
                pl.col("window").alias("at"),
                "fingerprint",
                pl.lit(None, dtype=pl.String).alias("rests_on"),
            )
        )


def later(day: str, days: int) -> str:
    return str(date.fromisoformat(day) + timedelta(days=days)) if day != WHOLE else WHOLE


def spanned(answer: Answer, days_fed: Callable[[str, str], tuple[str, str]]) -> tuple[str, str] | None:
    """Of an answer that has every day, the first day and the newest (see `Answer`).

    Args:
        days_fed: The first and the newest day that a table feeds by a column; "" if none.
    """
    if not answer.every_day:
        return None
    fed = [days_fed(table_read(read).name, read.days[0]) for read in answer.inputs if 0 in read.back]
    return fed[0][0], min(newest for _, newest in fed)


def needed(answer: Answer, feeds: pl.DataFrame, span: tuple[str, str] | None) -> pl.DataFrame:
    """What each day of an answer is to be made from.

    Args:
        feeds: The `feeds` facts of the lineage.
        span: Of an answer that has every day, the first and the newest, which is made from that it is the newest too.

    Returns:
        `window` (the day), `table_name`, `name` (the day column), `at` (the window that is read), `fingerprint`,
        `rests_on`, `day_of` (the day in that column).
    """
    reads = pl.DataFrame(
        [
            (table_read(read).name, day, back, read.newest_only)
            for read in answer.inputs
            for day in read.days
            for back in read.back
        ],
        schema={"table_name": pl.String, "name": pl.String, "back": pl.Int64, "newest_only": pl.Boolean},
        orient="row",
    )
    facts = feeds.join(reads, on=["table_name", "name"])
    facts = facts.filter(~pl.col("newest_only") | (pl.col("at") == pl.col("at").max().over("table_name", "name")))
    day = (pl.col("at").str.to_date() + pl.duration(days="back")).dt.to_string("%Y-%m-%d")
    day = pl.lit(WHOLE) if answer.day is None else pl.when(pl.col("back") == 0).then(pl.col("at")).otherwise(day)
    need = facts.select(
        day.alias("window"),
        "table_name",
        "name",
        pl.col("window").alias("at"),
        "fingerprint",
        "rests_on",
        day_of=pl.col("at"),
    )
    # By which definition a day was made is one of the things that it was made from.
    defined = (
        need.select("window")
        .unique()
        .with_columns(
            table_name=pl.lit(""),
            name=pl.lit("definition"),
            at=pl.col("window"),
            fingerprint=pl.lit(answer.fingerprint),
            rests_on=pl.lit(None, dtype=pl.String),
            day_of=pl.col("window"),
        )
    )
    need = pl.concat([need, defined])
    if span is None:
        return need
    first, newest = span
    need = need.filter(pl.col("window").is_between(pl.lit(first), pl.lit(newest)))
    if not newest or newest < first:
        return need
    is_newest = {"window": newest, "table_name": "", "name": "newest", "at": newest, "fingerprint": "newest"}
    mark = pl.DataFrame([{**is_newest, "rests_on": None, "day_of": newest}], schema=need.schema)
    return pl.concat([need, mark])


def reading(
    answer: Answer, days: Iterable[str], need: pl.DataFrame, recorded: pl.DataFrame, windows: pl.DataFrame
) -> set[str]:
    """Those of the days that read some silver windows, or read rows whose parents are in them.

    That is what a day is to be made from and what it was made from: rows of a window that broke are no longer fed. And
    it is the days that read the window's own, which may never have fed anything; of a table without windows, every day.

    Args:
        need: What is `needed`.
        recorded: The `made_from` facts of the answer.
        windows: Of any tables: `table_name`, `window`.
    """
    tables = _tables(answer)
    read = windows.filter(pl.col("table_name").is_in(list(tables)))
    if (answer.day is None and not read.is_empty()) or WHOLE in read["window"]:
        return set(days)
    named = read.select("table_name", "window").iter_rows()
    own = {later(window[:10], back) for table, window in named for back in tables[table]}
    rests_on = read.select(rests_on=pl.concat_str("table_name", "window", separator="/"))
    read_by = {*own, *_resting(need, recorded).join(rests_on, on="rests_on", how="semi")["window"]}
    if answer.every_day:  # what was never made does not go on over a day that was not either
        made = {*recorded["window"]}
        unmade = {day for day in own - made if day > max(made, default="")}
        read_by |= {day for day in days if day not in made and day > min(unmade, default=day)}
    return set(days) & read_by


def held_unmade(answer: Answer, held: pl.DataFrame, recorded: pl.DataFrame) -> set[str]:
    """The days of an answer that read the rows of a held window and were never made: what they say is not known.

    None of an answer that has every day: that ends before such a day.
    """
    if answer.day is None or answer.every_day:
        return set()
    tables = _tables(answer)
    read = held.filter(pl.col("table_name").is_in(list(tables)), pl.col("window") != WHOLE)
    own = read.select("table_name", "window").iter_rows()
    return {later(window[:10], back) for table, window in own for back in tables[table]} - {*recorded["window"]}


def over(answer: Answer, unmade: Mapping[str, set[str]]) -> set[str]:
    """The days that read one of these days of gold tables."""
    return {later(day, back) for read in answer.inputs for back in read.back for day in unmade.get(read.table, ())}


def _resting(need: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """Each `window` with each silver window, as `table/window`, that its rows rest on."""
    both = pl.concat(facts.select("window", pl.col("rests_on").str.split(",")) for facts in (need, recorded))
    return both.explode("rests_on")


_NO_FACTS = pl.DataFrame(
    schema=dict.fromkeys(("window", "table_name", "name", "at", "fingerprint", "rests_on", "day_of"), pl.String)
)


def _tables(answer: Answer) -> dict[str, set[int]]:
    """The tables that an answer reads, and the parents of silver rows among them: how many days before its own."""
    found: dict[str, set[int]] = {}
    for read in answer.inputs:
        if read.table != answer.table.name:
            parents = [] if read.is_gold else [CONTRACTS[r.parent] for r in CONTRACTS[read.table].references]
            for table in (table_read(read), *map(silver, parents)):
                found.setdefault(table.name, set()).update(read.back)
    return found


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
