"""The data sets that every contender of the benchmark is given, and what must come out of them.

Belongs here: writing the files of a work, exactly repeatable for one seed, and counting what was put into them. What
the rows tell and how they break is the work's own (`generate_inventory.py`, `generate_pos_sales.py`). Judging rows does
not belong here: the counts come from how each row was made, which makes them evidence against every contender.
"""

import json
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

DATA = Path(__file__).parent / "data"
ROWS = 5_000_000
START = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())

Draw = Callable[[int], pl.Series]
"""From a bound to as many random whole numbers below it as the file has rows of its own."""


@dataclass(frozen=True)
class Work:
    """The files of one table.

    Attributes:
        table: The table, as its contract names it.
        period: How many seconds of events a file holds; it lands, by its modification time, when they are over.
        files: From a number of rows to the number of files that they come in.
        path: From the Unix time at which a file's events begin to where it lies below the landing root.
        broken: What can be wrong with a row, by the rule that must set it aside: 2 rows in 1,000 for each, if five.
        rows: From that time to the rows of a file, without what is wrong; a column `row` numbers them, `sent` says in
            which order they come.
        again: What is changed in a row that is sent again with the next file.
        line: A row as the line of its file, broken in the way that its column `outcome` names.
        readable: Whether a line is not malformed.
        total: What is summed up over the accepted rows, by its name in the account; `unit` of them are 1 there.
        warned: Accepted rows to be warned of, by rule.
        header: The first line of every file.
        beside: Small files that land first: path and text.
    """

    table: str
    period: int
    files: Callable[[int], int]
    path: Callable[[int], str]
    broken: tuple[str, ...]
    rows: Callable[[int, Draw], dict[str, pl.Series | pl.Expr]]
    again: Mapping[str, pl.Expr]
    line: pl.Expr
    readable: Callable[[bytes], bool]
    total: tuple[str, pl.Expr]
    unit: int = 1
    warned: Mapping[str, pl.Expr] = field(default_factory=dict)
    header: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)


def dataset(work: Work, rows: int = ROWS, seed: int = 1) -> Path:
    """The folder of a data set of `rows` records, written now unless it is there already.

    The files are below `landing/`. 1 % of the rows are broken; 1 % of the good ones are sent again with the next file,
    half of those with another value. `expected.json` holds what must come out: `read`, `accepted`, `rejected`,
    `superseded`; under `rules`, how many of the rejected broke each and of how many accepted each warns; and the sum of
    one column of the accepted.
    """
    folder = DATA / f"{work.table}-{rows}-{seed}"
    record = folder / "expected.json"
    if record.exists():
        return folder
    for path, text in work.beside.items():
        _write(folder / "landing" / path, text, pl.DataFrame({"line": []}, schema={"line": pl.String}), START)
    files, name, value = work.files(rows), *work.total
    again, total, warned = None, 0, dict.fromkeys(work.warned, 0)
    outcomes = dict.fromkeys(("accepted", "superseded", *work.broken), 0)
    for number in range(files):
        begin = START + number * work.period
        size = rows * (number + 1) // files - rows * number // files
        own = _made(work, size if again is None else size - len(again), begin, seed, last=number == files - 1)
        file = own if again is None else pl.concat([own, again])
        lines = file.sort("sent", "row", maintain_order=True).select(work.line)
        _write(folder / "landing" / work.path(begin), work.header, lines, begin + work.period)
        for outcome, count in file.group_by("outcome").len().iter_rows():
            outcomes[outcome] += count
        accepted = file.filter(outcome="accepted")
        total += int(accepted.select(value.sum()).item())
        for rule, condition in work.warned.items():
            warned[rule] += accepted.filter(condition).height
        again = own.filter(outcome="superseded").with_columns(**work.again, outcome=pl.lit("accepted"))
    rules = {rule: outcomes.pop(rule) for rule in work.broken}
    account = {"read": rows, **outcomes, "rejected": sum(rules.values()), "rules": rules | warned}
    record.write_text(json.dumps(account | {name: total / work.unit}, indent=1))
    return folder


def readable_copy(work: Work, folder: Path) -> Path:
    """`clean/` beside `landing/`: the same files without the malformed lines, which end Polars' own readers."""
    clean = folder / "clean"
    done = clean / "done"
    if not done.exists():
        landing = folder / "landing"
        for path in sorted({str(path.relative_to(landing)) for path in landing.rglob("*.*")} - work.beside.keys()):
            source, target = landing / path, clean / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as lines, target.open("wb") as out:
                out.writelines(line for line in lines if work.readable(line))
        done.touch()
    return clean


def breaks(rule: str, broken: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """What stands in a line: the broken text in rows that are to break the rule, the whole one in others."""
    return pl.when(pl.col("outcome") == rule).then(broken).otherwise(whole)


def hundredths(number: pl.Expr) -> pl.Expr:
    """A number of hundredths as decimal text."""
    sign = pl.when(number < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.format("{}{}.{}", sign, number.abs() // 100, (number.abs() % 100).cast(pl.String).str.zfill(2))


def _made(work: Work, size: int, begin: int, seed: int, last: bool) -> pl.DataFrame:
    """The rows of a file that are not sent again, with the `outcome` that is due."""
    # Its bytes stay the same from version to version, unlike Polars' hashes.
    source = random.Random(f"{seed}/{(begin - START) // work.period}")

    def draw(below: int) -> pl.Series:
        words = pl.Series([source.randbytes(4 * size)])
        numbers = words.bin.reinterpret(dtype=pl.Array(pl.UInt32, size), endianness="little").explode()
        return numbers.cast(pl.Int64) % below

    broken, again = draw(100 * len(work.broken)), draw(100)
    outcome = pl.when((again == 0) & (not last)).then(pl.lit("superseded")).otherwise(pl.lit("accepted"))
    for number, rule in enumerate(work.broken):
        outcome = pl.when(broken == number).then(pl.lit(rule)).otherwise(outcome)
    return pl.select(row=pl.int_range(size, dtype=pl.Int64), **work.rows(begin, draw), outcome=outcome)


def _write(path: Path, header: str, lines: pl.DataFrame, landed_at: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header.encode())
        lines.write_csv(file, include_header=False, quote_style="never")
    os.utime(path, (landed_at, landed_at))
