"""How products sell for the stock they tie up: sales and stock together, over ranges of days."""

from collections.abc import Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine, exact
from shopware_assets.transforms.order_kpis import flag, rate

RANGES = (1, 7, 28)
_KEY = ("product_id", "days", "date")
_FLOAT = Type.FLOAT.dtype
_OF_STOCK = (
    "_stock_hours",
    "_hours",
    "_opening",
    "_restocked",
    "_restocks",
    "_pairs",
    "_in_stock",
    "_planned",
    "_above",
)


def _per_day(inputs: Mapping[str, nw.LazyFrame]) -> nw.LazyFrame:
    """What adds up over days, per product and day."""
    stock, threshold = nw.col("closing_stock"), nw.col("restock_threshold")
    # Every day of a pair of product and warehouse is there from its first on: the first of these days is that one, or
    # no range begins before it.
    is_first = nw.col("date") == nw.col("date").min().over("product_id", "warehouse_id")
    stored = (
        inputs["gold/inventory_daily"]
        .with_columns(
            _opening=exact("opening_stock"),
            _begun=nw.when(is_first).then(exact("opening_stock")),
            _stock_hours=nw.col("average_stock").fill_null(0.0) * nw.col("observed_hours"),
            _has_stock=flag(stock > 0),
            _is_planned=flag(~threshold.is_null()),
            _is_above=flag((stock > threshold).fill_null(False)),
        )
        .group_by("product_id", "date")
        .agg(
            _stock_hours=nw.col("_stock_hours").sum(),
            _hours=nw.col("observed_hours").max(),
            _opening=nw.col("_opening").sum(),
            _begun=nw.col("_begun").sum(),
            _restocked=exact("units_restocked").sum(),
            _restocks=nw.col("restocks").sum(),
            _pairs=nw.len().cast(Type.INT.dtype),
            _in_stock=nw.col("_has_stock").sum(),
            _planned=nw.col("_is_planned").sum(),
            _above=nw.col("_is_above").sum(),
        )
    )
    sold = inputs["gold/sales_by_product_daily"].select(
        "product_id", date="timestamp_date", units_sold=exact("units_sold")
    )
    return nw.concat([stored, sold], how="diagonal")


def _product_performance_daily(inputs: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
    per_day = engine.once(_per_day(inputs))
    # A day is in as many ranges as end on it or later.
    ranges = nw.concat(
        [
            per_day.with_columns(
                date=nw.col("date").dt.offset_by(f"{later}d").cast(nw.Date()), days=nw.lit(days), _from=nw.col("date")
            )
            for days in RANGES
            for later in range(days)
        ]
    )
    ranges = ranges.join(inputs["days"].select(date="day"), on="date", how="semi")
    stored_on = nw.when(~nw.col("_pairs").is_null()).then(nw.col("_from"))
    totals = (
        ranges.with_columns(_stored_on=stored_on)
        .with_columns(_first=nw.col("_stored_on").min().over(*_KEY))
        .with_columns(
            # What a warehouse has that begins within the range opens with what it has then.
            _opening=nw.when(nw.col("_from") == nw.col("_first")).then(nw.col("_opening")).otherwise(nw.col("_begun"))
        )
        .group_by(*_KEY)
        .agg(*(nw.col(name).sum() for name in (*_OF_STOCK, "units_sold")))
        .with_columns(units_sold=nw.col("units_sold").cast(Type.INT.dtype).fill_null(0))
    )
    observed = nw.col("_hours") > 0
    return (
        totals.with_columns(
            average_stock=nw.when(observed).then(nw.col("_stock_hours") / nw.col("_hours")),
            _to_sell=nw.col("_opening") + nw.col("_restocked"),
        )
        .with_columns(turnover=rate("units_sold", "average_stock"))
        .with_columns(
            days_of_inventory=rate("days", "turnover"),
            sell_through=rate("units_sold", "_to_sell"),
            stock_availability=rate("_in_stock", "_pairs"),
            availability_above_threshold=rate("_above", "_planned"),
            restock_frequency=nw.when(nw.col("_pairs") > 0).then(rate("_restocks", "days")),
            days=nw.col("days").cast(Type.INT.dtype),
        )
    )


PRODUCT_PERFORMANCE_DAILY = Answer(
    name="product_performance_daily",
    description="Sales and stock of each product, over the 1, 7 and 28 days that end on a day which both have reached.",
    grain="one row per product, range and day on which the range ends",
    key=_KEY,
    day="date",
    measures=(
        Measure("product_id", Type.INT, "The product."),
        Measure("days", Type.INT, "How many days the range has: 1, 7 or 28.", "days"),
        Measure("date", Type.DATE, "The last day of the range.", "UTC"),
        Measure("units_sold", Type.INT, "Sum of quantity, returns subtracted; 0 where no sale came.", "pieces"),
        Measure(
            "average_stock",
            Type.FLOAT,
            "Stock of all warehouses together, weighted by time over the hours observed.",
            "pieces",
        ),
        Measure("turnover", Type.FLOAT, "units_sold / average_stock.", "times"),
        Measure(
            "days_of_inventory", Type.FLOAT, "days / turnover; NULL if as much came back as was sold, or more.", "days"
        ),
        Measure(
            "sell_through",
            Type.FLOAT,
            "units_sold / (opening_stock of each warehouse's first day in the range + units_restocked).",
            "0..",
        ),
        Measure(
            "stock_availability",
            Type.FLOAT,
            "Of the warehouses of the product, day by day, the share that ends the day with stock above 0.",
            "0..1",
        ),
        Measure(
            "availability_above_threshold",
            Type.FLOAT,
            "Of those that have a threshold, the share that ends the day with stock above it.",
            "0..1",
        ),
        Measure("restock_frequency", Type.FLOAT, "restocks / days.", "per day"),
    ),
    inputs=(
        Input("gold/inventory_daily", ("date",), back=tuple(range(max(RANGES)))),
        Input("gold/sales_by_product_daily", ("timestamp_date",), back=tuple(range(max(RANGES)))),
    ),
    compute=_product_performance_daily,
    owner="team:supply-chain",
    every_day=True,
    may_be_empty=True,  # while nothing of sales has come
)
