"""The inventory work that every contender of the benchmark is given, and what must come out of it.

Belongs here: writing the files, exactly repeatable for one seed, and counting what was put into them. Judging rows does
not: the counts come from how each row was made, which makes them evidence against every contender.
"""

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import typer

DATA = Path(__file__).parent / "data"
ROWS_PER_DAY = 5_000_000
START = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
HOUR = 3_600
WAREHOUSES = 20

# What can be wrong with a row, by the rule that must set it aside: 2 rows in 1,000 for each.
BROKEN = (
    "record_readable",
    "stock_level_parses",
    "product_id_present",
    "stock_level_not_negative",
    "last_updated_not_in_future",
)


def dataset(rows: int = ROWS_PER_DAY, seed: int = 1) -> Path:
    """The folder of a data set of `rows` records, written now unless it is there already.

    `landing/inventory/YYYY/MM/DD/HH.jsonl`: a file for each hour of a day (of ten days for 50 million rows), which
    landed, by its modification time, when the hour was over. 1 % of the rows are broken in five ways; 1 % of the good
    ones are sent again with the next hour's file, half of those with another stock level. `expected.json` holds what
    must come out: `read`, `accepted`, `rejected`, `superseded`, the rejected by rule (`rules`), the sum of the accepted
    stock levels (`stock_level_sum`).
    """
    folder = DATA / f"inventory-{rows}-{seed}"
    record = folder / "expected.json"
    if record.exists():
        return folder
    hours = 24 * max(1, rows // ROWS_PER_DAY)
    again, outcomes, stock = None, dict.fromkeys(("accepted", "superseded", *BROKEN), 0), 0
    for hour in range(hours):
        size = rows * (hour + 1) // hours - rows * hour // hours
        own = _snapshots(size if again is None else size - len(again), hour, seed, last=hour == hours - 1)
        file = own if again is None else pl.concat([own, again])
        _write(file.sort("sent", "inventory_id").select(_line()), folder / "landing", hour)
        for outcome, count in file.group_by("outcome").len().iter_rows():
            outcomes[outcome] += count
        stock += int(file.filter(outcome="accepted")["stock_level"].sum())
        again = own.filter(outcome="superseded").with_columns(
            sent=pl.col("sent") + HOUR * 100,
            stock_level=pl.col("stock_level") + pl.col("inventory_id") % 2,
            outcome=pl.lit("accepted"),
        )
    rules = {rule: outcomes.pop(rule) for rule in BROKEN}
    expected = {"read": rows, **outcomes, "rejected": sum(rules.values()), "rules": rules, "stock_level_sum": stock}
    record.write_text(json.dumps(expected, indent=1))
    return folder


def readable_copy(folder: Path) -> Path:
    """`clean/` beside `landing/`: the same files without the malformed lines, which end Polars' own reader."""
    clean = folder / "clean"
    done = clean / "done"
    if not done.exists():
        for source in sorted((folder / "landing").rglob("*.jsonl")):
            target = clean / source.relative_to(folder / "landing")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as lines, target.open("wb") as out:
                out.writelines(line for line in lines if line.endswith(b"}\n"))
        done.touch()
    return clean


def _snapshots(size: int, hour: int, seed: int, last: bool) -> pl.DataFrame:
    """The stock of `size` pairs of product and warehouse at some time in the hour, with the `outcome` that is due."""
    source = random.Random(f"{seed}/{hour}")  # its bytes stay the same from version to version, unlike Polars' hashes

    def draw(below: int) -> pl.Series:
        words = pl.Series([source.randbytes(4 * size)])
        numbers = words.bin.reinterpret(dtype=pl.Array(pl.UInt32, size), endianness="little").explode()
        return numbers.cast(pl.Int64) % below

    pair = pl.int_range(size, dtype=pl.Int64)
    broken, again = draw(100 * len(BROKEN)), draw(100)
    outcome = pl.when((again == 0) & (not last)).then(pl.lit("superseded")).otherwise(pl.lit("accepted"))
    for number, rule in enumerate(BROKEN):
        outcome = pl.when(broken == number).then(pl.lit(rule)).otherwise(outcome)
    return pl.select(
        inventory_id=pair + 1,
        product_id=pair // WAREHOUSES + 1,
        warehouse_id=pair % WAREHOUSES + 1,
        stock_level=draw(500),
        restock_threshold=draw(90) + 10,
        updated=draw(100 * HOUR) + 100 * (START + hour * HOUR),
        outcome=outcome,
    ).with_columns(sent="updated")


def _line() -> pl.Expr:
    """A row as its line of JSON, broken in the way that its outcome names."""

    def breaks(rule: str, broken: pl.Expr, whole: pl.Expr) -> pl.Expr:
        return pl.when(pl.col("outcome") == rule).then(broken).otherwise(whole)

    stock = breaks("stock_level_not_negative", -1 - pl.col("stock_level"), pl.col("stock_level")).cast(pl.String)
    updated = breaks("last_updated_not_in_future", pl.col("updated") + 100 * 400 * 24 * HOUR, pl.col("updated"))
    fields = pl.format(
        '"inventory_id": {}, {}"warehouse_id": {}, "stock_level": {}, "restock_threshold": {}, "last_updated": {}.{}',
        "inventory_id",
        breaks("product_id_present", pl.lit(""), pl.format('"product_id": {}, ', "product_id")),
        "warehouse_id",
        breaks("stock_level_parses", pl.lit('"many"'), stock),
        "restock_threshold",
        updated // 100,
        (updated % 100).cast(pl.String).str.zfill(2),
    )
    line = pl.concat_str(pl.lit("{"), fields, pl.lit("}"))
    return breaks("record_readable", line.str.head(60), line)


def _write(lines: pl.DataFrame, landing: Path, hour: int) -> None:
    landed_at = START + (hour + 1) * HOUR
    path = landing / "inventory" / f"{datetime.fromtimestamp(landed_at - HOUR, UTC):%Y/%m/%d/%H}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines.write_csv(path, include_header=False, quote_style="never")
    os.utime(path, (landed_at, landed_at))


if __name__ == "__main__":
    typer.run(dataset)
