"""The inventory work: a file of JSON lines for each hour of a day (of ten days for 50 million rows)."""

from datetime import UTC, datetime

import polars as pl
from generate import ROWS, Draw, Work, breaks, hundredths

HOUR = 3_600
WAREHOUSES = 20


def _snapshots(begin: int, draw: Draw) -> dict[str, pl.Series | pl.Expr]:
    """The stock of each pair of product and warehouse at some time in the hour, in hundredths of seconds."""
    stock, threshold, time = draw(500), draw(90) + 10, draw(100 * HOUR) + 100 * begin
    return {"stock_level": stock, "restock_threshold": threshold, "updated": time, "sent": time}


def _line() -> pl.Expr:
    stock = breaks("stock_level_not_negative", -1 - pl.col("stock_level"), pl.col("stock_level")).cast(pl.String)
    updated = breaks("last_updated_not_in_future", pl.col("updated") + 100 * 400 * 24 * HOUR, pl.col("updated"))
    fields = pl.format(
        '"inventory_id": {}, {}"warehouse_id": {}, "stock_level": {}, "restock_threshold": {}, "last_updated": {}',
        pl.col("row") + 1,
        breaks("product_id_present", pl.lit(""), pl.format('"product_id": {}, ', pl.col("row") // WAREHOUSES + 1)),
        pl.col("row") % WAREHOUSES + 1,
        breaks("stock_level_parses", pl.lit('"many"'), stock),
        "restock_threshold",
        hundredths(updated),
    )
    line = pl.concat_str(pl.lit("{"), fields, pl.lit("}"))
    return breaks("record_readable", line.str.head(60), line)


INVENTORY = Work(
    table="inventory",
    period=HOUR,
    files=lambda rows: 24 * max(1, rows // ROWS),
    path=lambda begin: f"inventory/{datetime.fromtimestamp(begin, UTC):%Y/%m/%d/%H}.jsonl",
    broken=(
        "record_readable",
        "stock_level_parses",
        "product_id_present",
        "stock_level_not_negative",
        "last_updated_not_in_future",
    ),
    rows=_snapshots,
    again={
        "sent": pl.col("sent") + 100 * HOUR,
        "stock_level": pl.col("stock_level") + (pl.col("row") + 1) % 2,
    },
    line=_line(),
    readable=lambda line: line.endswith(b"}\n"),
    total=("stock_level_sum", pl.col("stock_level")),
)
