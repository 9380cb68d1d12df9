"""Stock day by day, from the state that the day before left and the day's snapshots; and when there was none.

A snapshot holds until the next one of its pair (product and warehouse). It is evidence, not an event: 24 snapshots of
one shortage are one stockout. "Now" is the newest snapshot of the feed, never the clock.
"""

from collections.abc import Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine, exact

_PAIR = ("product_id", "warehouse_id")
_SNAPSHOT = ("inventory_id", "restock_threshold", "stock_status", "last_updated")
_INT, _FLOAT, _DATE, _TIME = (kind.dtype for kind in (Type.INT, Type.FLOAT, Type.DATE, Type.TIME))
_HOUR = 3_600_000_000  # microseconds


def _newest_of_ties(snapshots: nw.LazyFrame) -> nw.LazyFrame:
    """One row per pair and time: of several, the newest."""
    at = (*_PAIR, "last_updated")
    newness = ("_landed_at", "_source", "_version", "_line")
    age = nw.col("_line").cum_count(reverse=True).over(*at, order_by=newness)
    return snapshots.with_columns(_age=age).filter(nw.col("_age") == 1)


def _states(inputs: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    """What each pair had, from when to when, cut at midnight.

    Returns:
        The pair, `day`, `at`, `end` and `micros` between them, `stock`, `before` (that of the state before; NULL of the
        first ever), `out_since` (when the stockout began that the state is part of), `is_carried`, `is_first` and
        `is_last` of its day, and the columns of the snapshot that it is known by.
    """
    days = inputs["days"]
    snapshots = _newest_of_ties(inputs["inventory"]).select(
        *_PAIR, *_SNAPSHOT, "stock_level", day="last_updated_date", at="last_updated", is_carried=nw.lit(0)
    )
    start = days.select(day=nw.col("day").min()).with_columns(date=nw.col("day").dt.offset_by("-1d"))
    carried = (
        inputs["gold/inventory_daily"]
        .join(start, on="date", how="inner")
        .select(
            *_PAIR,
            *_SNAPSHOT,
            "day",
            "out_since",
            at=nw.col("day").cast(_TIME),
            stock_level="closing_stock",
            is_carried=nw.lit(1),
        )
    )
    # At each later midnight of these days a pair has what it had before.
    seen = nw.concat([snapshots.select(*_PAIR, "day"), carried.select(*_PAIR, "day")])
    since = seen.group_by(*_PAIR).agg(_since=nw.col("day").min())
    midnights = (
        since.join(days.select("day"), how="cross")
        .filter(nw.col("day") > nw.col("_since"))
        .select(*_PAIR, "day", at=nw.col("day").cast(_TIME), is_carried=nw.lit(1))
    )
    known = nw.concat([snapshots, carried, midnights], how="diagonal")
    order = ("at", "_order")

    def over_pair(expression: nw.Expr) -> nw.Expr:
        return expression.over(*_PAIR, order_by=order)

    # A threshold may be unknown, which is not the same as to be filled in.
    no_threshold = nw.when(~nw.col("last_updated").is_null()).then(nw.col("restock_threshold").fill_null(-1))
    filled = known.with_columns(restock_threshold=no_threshold, _order=1 - nw.col("is_carried")).with_columns(
        over_pair(nw.col(name).fill_null(strategy="forward")) for name in (*_SNAPSHOT, "stock_level")
    )
    stock, before, is_out = nw.col("stock_level"), nw.col("before"), nw.col("stock_level") == 0
    told = filled.with_columns(
        restock_threshold=nw.when(nw.col("restock_threshold") >= 0).then(nw.col("restock_threshold")),
        before=over_pair(stock.shift(1)),
    )
    begins = nw.when(is_out & (nw.col("is_carried") == 0) & (before.is_null() | (before > 0))).then(nw.col("at"))
    out_since = nw.coalesce(begins, nw.col("out_since"))
    newest = inputs["inventory"].select(_newest=nw.col("last_updated").max())
    midnight_after = nw.col("day").dt.offset_by("1d").cast(_TIME)
    until = days.join(newest, how="cross").select(
        "day", "is_newest", _until=nw.when(nw.col("is_newest")).then(nw.col("_newest")).otherwise(midnight_after)
    )
    place = nw.col("at").cum_count().over(*_PAIR, "day", order_by=order)
    from_end = nw.col("at").cum_count(reverse=True).over(*_PAIR, "day", order_by=order)
    ended = (
        told.with_columns(out_since=over_pair(out_since.fill_null(strategy="forward")))
        .with_columns(out_since=nw.when(is_out).then(nw.col("out_since")), is_first=place == 1, is_last=from_end == 1)
        .join(until, on="day", how="inner")
        .with_columns(_next=nw.col("at").shift(-1).over(*_PAIR, "day", order_by=order))
        .with_columns(end=nw.coalesce(nw.col("_next"), nw.col("_until")))
    )
    return engine.duration(ended, "micros", "at", "end")


def _inventory_daily(inputs: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    stock, before = nw.col("stock_level"), nw.col("before")
    first, last, is_out = nw.col("is_first"), nw.col("is_last"), nw.col("stock_level") == 0
    rise = nw.when(stock > before).then(stock - before)
    daily = (
        _states(inputs, engine)
        .with_columns(
            _opening=nw.when(first).then(stock),
            _closing=nw.when(last).then(stock),
            _held=exact("stock_level") * exact("micros"),
            _out=nw.when(is_out).then(nw.col("micros")).otherwise(nw.lit(0)),
            _stockout=nw.when(is_out & (before > 0)).then(nw.lit(1)).otherwise(nw.lit(0)),
            _restock=nw.when(stock > before).then(nw.lit(1)).otherwise(nw.lit(0)),
            _rise=rise.fill_null(0),
            **{f"_last_{name}": nw.when(last).then(nw.col(name)) for name in (*_SNAPSHOT, "out_since")},
        )
        .rename({"day": "date"})
        .group_by(*_PAIR, "date")
        .agg(
            opening_stock=nw.col("_opening").max(),
            closing_stock=nw.col("_closing").max(),
            min_stock=stock.min(),
            _held=nw.col("_held").sum(),
            _micros=nw.col("micros").sum(),
            _out=nw.col("_out").sum(),
            stockouts=nw.col("_stockout").sum().cast(_INT),
            restocks=nw.col("_restock").sum().cast(_INT),
            units_restocked=exact("_rise").sum().cast(_INT),
            **{name: nw.col(f"_last_{name}").max() for name in (*_SNAPSHOT, "out_since")},
        )
    )
    hours = (nw.col("_micros") / _HOUR).cast(_FLOAT)
    average = nw.when(nw.col("_micros") > 0).then(nw.col("_held").cast(_FLOAT) / nw.col("_micros").cast(_FLOAT))
    return daily.with_columns(
        average_stock=average, observed_hours=hours, hours_out_of_stock=(nw.col("_out") / _HOUR).cast(_FLOAT)
    )


def _stockouts(inputs: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    in_time = ("at", "_order")
    states = _states(inputs, engine).with_columns(
        started_at=nw.col("out_since").shift(1).over(*_PAIR, order_by=in_time), _nothing=nw.lit(None, dtype=_TIME)
    )
    ended = states.filter((nw.col("stock_level") > 0) & ~nw.col("started_at").is_null())
    is_open = nw.col("is_newest") & nw.col("is_last") & (nw.col("stock_level") == 0)
    columns = (*_PAIR, "started_at", "ended_at", "_until")
    of_day = [
        ended.with_columns(ended_at=nw.col("at"), _until=nw.col("at")),
        states.filter(is_open).with_columns(
            started_at=nw.col("out_since"), ended_at=nw.col("_nothing"), _until=nw.col("end")
        ),
    ]
    both = nw.concat([part.select(*columns, date="day") for part in of_day])
    return engine.duration(both, "_micros", "started_at", "_until").with_columns(
        hours=(nw.col("_micros") / _HOUR).cast(_FLOAT)
    )


def _inventory_current(inputs: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    return inputs["gold/inventory_daily"].rename({"closing_stock": "stock_level"})


_STATUS = Measure(
    "stock_status",
    Type.STRING,
    "`out_of_stock` (none), `low_stock` (at or below the threshold), `in_stock`, or `unknown_threshold`.",
)
_THRESHOLD = Measure("restock_threshold", Type.INT, "At or below this many pieces it is to be ordered again.", "pieces")
_PRODUCT, _WAREHOUSE = (
    Measure("product_id", Type.INT, "The product."),
    Measure("warehouse_id", Type.INT, "The warehouse."),
)
_SNAPSHOTS = Input("inventory", ("last_updated_date",))
_DAY_BEFORE = Input("gold/inventory_daily", ("date",), back=(1,))

INVENTORY_DAILY = Answer(
    name="inventory_daily",
    description="The stock of every product in every warehouse, day by day, also on days without a snapshot.",
    grain="one row per product, warehouse and day, from the first snapshot of the pair to the feed's newest day",
    key=(*_PAIR, "date"),
    day="date",
    measures=(
        _PRODUCT,
        _WAREHOUSE,
        Measure("date", Type.DATE, "The day.", "UTC"),
        Measure("opening_stock", Type.INT, "The stock carried in, or else that of the first snapshot ever.", "pieces"),
        Measure("closing_stock", Type.INT, "The stock that the day leaves to the next.", "pieces"),
        Measure("min_stock", Type.INT, "The least stock of the day, that carried in included.", "pieces"),
        Measure("average_stock", Type.FLOAT, "Stock weighted by time over observed_hours.", "pieces"),
        Measure(
            "observed_hours",
            Type.FLOAT,
            "From 00:00, or the pair's first snapshot ever, to 24:00, or on the feed's newest day its newest time.",
            "hours",
        ),
        Measure("hours_out_of_stock", Type.FLOAT, "Of observed_hours, those without stock.", "hours"),
        Measure("stockouts", Type.INT, "Times that stock went from above 0 to 0.", "times"),
        Measure("restocks", Type.INT, "Times that stock rose, counted on the day of the later snapshot.", "times"),
        Measure("units_restocked", Type.INT, "Sum of these rises.", "pieces"),
        Measure("out_since", Type.TIME, "When the stockout began that the day leaves open.", "UTC"),
        Measure("inventory_id", Type.INT, "The stock record of the newest snapshot known at the end of the day."),
        _THRESHOLD,
        _STATUS,
        Measure("last_updated", Type.TIME, "When that snapshot was taken.", "UTC"),
    ),
    inputs=(_SNAPSHOTS, _DAY_BEFORE),
    compute=_inventory_daily,
    owner="team:supply-chain",
    every_day=True,
)

STOCKOUTS = Answer(
    name="stockouts",
    description="Each time that a product was out of stock in a warehouse.",
    grain="one row per stockout of a product in a warehouse",
    key=(*_PAIR, "started_at"),
    day="date",
    measures=(
        _PRODUCT,
        _WAREHOUSE,
        Measure("date", Type.DATE, "The day it ended; of one that has not, the feed's newest day.", "UTC"),
        Measure("started_at", Type.TIME, "The snapshot in which stock went to 0, or was 0 as the first ever.", "UTC"),
        Measure("ended_at", Type.TIME, "The snapshot in which there was stock again; NULL while there is none.", "UTC"),
        Measure("hours", Type.FLOAT, "From started_at to ended_at, or to the feed's newest time.", "hours"),
    ),
    inputs=(_SNAPSHOTS, _DAY_BEFORE),
    compute=_stockouts,
    owner="team:supply-chain",
    every_day=True,
    may_be_empty=True,
)

INVENTORY_CURRENT = Answer(
    name="inventory_current",
    description="The newest known stock of every product in every warehouse.",
    grain="one row per product and warehouse",
    key=_PAIR,
    day=None,
    measures=(
        _PRODUCT,
        _WAREHOUSE,
        Measure("inventory_id", Type.INT, "The stock record of that snapshot."),
        Measure("stock_level", Type.INT, "Pieces in stock at the newest snapshot.", "pieces"),
        _THRESHOLD,
        _STATUS,
        Measure("last_updated", Type.TIME, "When that snapshot was taken.", "UTC"),
    ),
    inputs=(Input("gold/inventory_daily", ("date",), newest_only=True),),
    compute=_inventory_current,
    owner="team:supply-chain",
)
