"""Sales of the stores, against separate SQL over the same lines; and that a roll-up has the sums of its parts."""

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopware_assets.transforms.answer import Answer
from shopware_assets.transforms.sales import SALES_BY_PRODUCT_DAILY, SALES_BY_REGION_DAILY, SALES_DAILY
from shopware_assets_tests.transforms.rows import Row, computed, day, frame, money

MONEY = ("gross_sales", "discounts", "returns", "net_sales")


def line(
    transaction: str, store: int, product: int, quantity: int, revenue: str, discount: str | None, on: int = 1
) -> Row:
    net = money(revenue) - (1 if quantity > 0 else -1) * money(discount or "0")
    return {
        "transaction_id": transaction,
        "store_id": store,
        "region": {1: "North", 2: "North", 3: "South"}.get(store, "unknown"),
        "product_id": product,
        "quantity": quantity,
        "sign": 1 if quantity > 0 else -1,
        "revenue": money(revenue),
        "discount_applied": None if discount is None else money(discount),
        "net_revenue": net,
        "timestamp_date": day(on),
    }


LINES = frame(
    "pos_sales",
    [
        line("t1", 1, 10, 2, "20.00", "1.50"),
        line("t1", 1, 11, 1, "0.10", None),
        line("t2", 1, 10, 1, "10.00", None),
        line("t2", 1, 10, -1, "-10.00", "0.75"),  # bought and brought back in one basket
        line("t3", 2, 10, 3, "0.3333", "0.3333"),
        line("t2", 2, 10, 1, "1", None),  # a number that another store has used
        line("t4", 3, 10, -2, "-20.00", "1.50", on=2),  # nothing but a return on that day
        line("t5", 9, 12, 4, "7.07", "0.07", on=2),
        line("t1", 3, 10, 1, "0", "0", on=2),
    ],
)
EXPECTED = """
    select {key}, sum(if(quantity > 0, revenue, 0)) as gross_sales,
        sum(if(quantity > 0, 1, -1) * coalesce(discount_applied, 0)) as discounts,
        -sum(if(quantity < 0, revenue, 0)) as returns, sum(net_revenue) as net_sales,
        sum(quantity) as units_sold, count(distinct transaction_id) as transactions
    from lines group by all order by all
"""


@pytest.mark.parametrize("answer", [SALES_DAILY, SALES_BY_REGION_DAILY, SALES_BY_PRODUCT_DAILY], ids=lambda a: a.name)
def test_every_figure_is_what_separate_sql_says(answer: Answer) -> None:
    with duckdb.connect() as db:
        db.register("lines", LINES.to_arrow())
        expected = db.sql(EXPECTED.format(key=", ".join(answer.key))).pl()
    made = computed(answer, {"pos_sales": LINES})
    assert made.columns == expected.columns
    assert_frame_equal(made, expected, check_dtypes=False, check_exact=True)


def test_figures_by_hand() -> None:
    made = computed(SALES_DAILY, {"pos_sales": LINES}).rows_by_key(["region", "store_id", "product_id"], named=True)
    (both,) = made["North", 1, 10]
    assert (both["gross_sales"], both["discounts"], both["returns"]) == (money("30"), money("0.75"), money("10"))
    assert (both["net_sales"], both["units_sold"], both["transactions"]) == (money("19.25"), 2, 2)
    (returned,) = made["South", 3, 10]
    assert (returned["gross_sales"], returned["discounts"], returned["returns"]) == (0, money("-1.5"), money("20"))
    assert (returned["net_sales"], returned["units_sold"], returned["transactions"]) == (money("-18.5"), -1, 2)
    assert ("unknown", 9, 12) in made


@pytest.mark.parametrize("answer", [SALES_BY_REGION_DAILY, SALES_BY_PRODUCT_DAILY], ids=lambda a: a.name)
def test_a_roll_up_has_the_sums_of_its_parts(answer: Answer) -> None:
    parts = computed(SALES_DAILY, {"pos_sales": LINES})
    assert answer.sum_of == dict(zip(MONEY, MONEY, strict=True))
    summed = parts.group_by(answer.key).agg(pl.col(*MONEY, "units_sold").sum()).sort(answer.key)
    whole = computed(answer, {"pos_sales": LINES})
    assert_frame_equal(whole.select(summed.columns), summed, check_dtypes=False, check_exact=True)
    transactions = int(parts["transactions"].sum())
    assert int(whole["transactions"].sum()) < transactions, "a basket of two products or stores is one basket"


def test_more_pieces_than_64_bits_hold_are_refused_and_not_wrapped() -> None:
    many = 2**62
    lines = frame("pos_sales", [line(f"t{n}", 1, 10, many, "1", None) for n in range(2)])
    assert lines["quantity"].sum() < 0, "the control: a sum that begins again from below"
    with pytest.raises(pl.exceptions.InvalidOperationError, match="conversion from `decimal"):
        computed(SALES_DAILY, {"pos_sales": lines})
