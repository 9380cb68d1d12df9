"""The point-of-sale work: a CSV file for each of 30 days, and the table of the stores, which lacks one of them.

As in the stores, a few lines in a hundred are returns, and of the others most have a discount of 0 or none at all.
"""

from datetime import UTC, datetime

import polars as pl
from generate import START, Draw, Work, breaks, hundredths

DAY = 86_400
STORES = 200  # the last of them is in no table
HEADER = ("transaction_id", "store_id", "product_id", "quantity", "revenue", "discount_applied", "timestamp")
BASKET = 3  # lines
_sign, _revenue, _discount = pl.col("quantity").sign(), pl.col("revenue"), pl.col("discount")


def _baskets(begin: int, draw: Draw) -> dict[str, pl.Series | pl.Expr]:
    """The lines of the day's baskets, each with other products; money in cents."""
    stores, times, products = draw(STORES), draw(DAY), draw(3_000)
    row = pl.int_range(len(stores), eager=True)
    basket = row // BASKET
    store, time = stores.gather(basket) + 1, times.gather(basket) + begin
    product = BASKET * products + row % BASKET + 1
    quantity = draw(4) + 1
    revenue = quantity * (product * 7_919 % 20_000 + 95)
    kind, share, back = draw(10), draw(30) + 5, draw(25) == 0
    discount = pl.when(kind < 2).then(revenue * share // 100).when(kind < 6).then(0)
    sign = pl.when(back).then(-1).otherwise(1)
    return {
        "basket": 1_000 * begin + basket,
        "store_id": store,
        "product_id": product,
        "quantity": sign * quantity,
        "revenue": sign * revenue,
        "discount": discount,
        "time": time,
        "sent": time,
    }


def _line() -> pl.Expr:
    fields = {
        "transaction_id": pl.format("{}-{}", pl.col("store_id").cast(pl.String).str.zfill(3), "basket"),
        "store_id": pl.col("store_id"),
        "product_id": breaks("product_id_present", pl.lit(""), pl.col("product_id").cast(pl.String)),
        "quantity": breaks("quantity_parses", pl.lit("many"), pl.col("quantity").cast(pl.String)),
        "revenue": hundredths(breaks("revenue_agrees_with_quantity", -_revenue, _revenue)),
        "discount_applied": hundredths(_discount).fill_null(""),
        "timestamp": breaks("timestamp_not_in_future", pl.col("time") + 400 * DAY, pl.col("time")),
    }
    whole = [fields[name] for name in HEADER]
    ragged = pl.when(pl.col("row") % 2 == 0).then(pl.concat_str(whole[:-1], separator=","))
    line = pl.concat_str(whole, separator=",")
    return breaks("record_readable", ragged.otherwise(pl.concat_str([*whole, pl.lit("1")], separator=",")), line)


def _stores() -> str:
    regions = ("north", "east", "south", "west")
    rows = [f"{number},{regions[number % 4]},City {number},2020-01-{number % 28 + 1:02}" for number in range(1, STORES)]
    return "\n".join(["store_id,region,city,opened_on", *rows, ""])


POS_SALES = Work(
    table="pos_sales",
    period=DAY,
    files=lambda rows: 30,
    path=lambda begin: f"pos/pos_{datetime.fromtimestamp(begin + DAY, UTC):%Y%m%d_%H%M%S}.csv",
    broken=(
        "record_readable",
        "quantity_parses",
        "product_id_present",
        "revenue_agrees_with_quantity",
        "timestamp_not_in_future",
    ),
    rows=_baskets,
    again={"sent": pl.col("sent") + DAY, "revenue": _revenue + _sign * (pl.col("row") % 2)},
    line=_line(),
    readable=lambda line: line.count(b",") == len(HEADER) - 1,
    total=("net_revenue_sum", _revenue - _sign * _discount.fill_null(0)),
    unit=100,
    warned={"store_known": pl.col("store_id") == STORES},
    header=",".join(HEADER) + "\n",
    beside={f"stores/stores_{datetime.fromtimestamp(START, UTC):%Y%m%d}.csv": _stores()},
)
