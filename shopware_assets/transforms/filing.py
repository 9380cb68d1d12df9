"""Filing: which window a bronze row belongs to. It judges nothing and never looks at the clock."""

from datetime import datetime

import narwhals as nw

from shopware_assets.contracts.contract import Contract, Type, given
from shopware_assets.contracts.windows import CLOCK_SKEW, Grain
from shopware_assets.transforms.engine import Engine


def file_under_window(rows: nw.LazyFrame, contract: Contract, *, engine: Engine, start: datetime) -> nw.LazyFrame:
    """Adds the partition columns to rows, and sets `_window`.

    A row is filed under the window of its event time, if that can be read and lies between the lake's start and 24
    hours after landing; otherwise, and in a reference table, under the window its object landed in.

    Args:
        rows: Bronze rows with `_landed_at`, and in `_window` the landing window.
    """
    if contract.event_time is None:
        return rows
    time = Type.TIME.dtype
    parsed = engine.parse(rows, {"_event": (contract.event_time, Type.TIME)})
    event = nw.col("_event")
    credible = (event >= nw.lit(start, dtype=time)) & (event <= nw.col("_landed_at") + CLOCK_SKEW)
    unit = "1h" if contract.grain is Grain.HOUR else "1d"
    filed = parsed.with_columns(_window=nw.when(credible).then(event.dt.truncate(unit)).otherwise(nw.col("_window")))
    parts = (nw.col("_window").dt.date(), nw.col("_window").dt.hour().cast(nw.Int32()))
    return filed.with_columns(
        part.alias(name) for name, part in zip(contract.partition_columns, parts, strict=False)
    ).drop("_event", given("_event"))
