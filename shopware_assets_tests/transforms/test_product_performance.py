"""Sales and stock together: by hand, and over many days against separate SQL over the ranges."""

from datetime import timedelta
from random import Random
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopware_assets.transforms.product_performance import PRODUCT_PERFORMANCE_DAILY
from shopware_assets_tests.transforms.rows import Row, computed, day


def stored(
    product: int,
    warehouse: int,
    on: int,
    opening: int,
    closing: int,
    average: float | None,
    hours: float = 24,
    threshold: int | None = 5,
    restocks: int = 0,
    units: int = 0,
) -> Row:
    return {
        "product_id": product,
        "warehouse_id": warehouse,
        "date": day(1) + timedelta(days=on - 1),
        "opening_stock": opening,
        "closing_stock": closing,
        "average_stock": average,
        "observed_hours": hours,
        "restock_threshold": threshold,
        "restocks": restocks,
        "units_restocked": units,
    }


def sold(product: int, on: int, units: int) -> Row:
    return {"product_id": product, "timestamp_date": day(1) + timedelta(days=on - 1), "units_sold": units}


def performance(stock: list[Row], sales: list[Row], days: list[int]) -> pl.DataFrame:
    kinds: dict[str, Any] = {"average_stock": pl.Float64, "observed_hours": pl.Float64, "restock_threshold": pl.Int64}
    named = pl.DataFrame({"day": [day(1) + timedelta(days=on - 1) for on in days]})
    return computed(
        PRODUCT_PERFORMANCE_DAILY,
        {
            "gold/inventory_daily": pl.DataFrame(stock, schema_overrides=kinds),
            "gold/sales_by_product_daily": pl.DataFrame(sales),
            "days": named,
        },
    )


STOCK = [
    stored(1, 7, 1, opening=10, closing=6, average=8, hours=12),
    stored(1, 8, 1, opening=4, closing=0, average=2, hours=12, threshold=None),
    stored(1, 7, 2, opening=6, closing=16, average=10, restocks=1, units=12),
    stored(1, 8, 2, opening=0, closing=0, average=0, threshold=None),
    stored(2, 7, 2, opening=0, closing=0, average=None, hours=0),
]
SALES = [sold(1, 1, 8), sold(1, 2, 2), sold(3, 2, 5)]


def test_figures_by_hand() -> None:
    rows = performance(STOCK, SALES, [2]).rows_by_key(["product_id", "days"], named=True, include_key=True)
    (one,) = rows[1, 1]
    assert one == {
        "product_id": 1,
        "days": 1,
        "date": day(2),
        "units_sold": 2,
        "average_stock": 10,  # 10 + 0 in two warehouses
        "turnover": 0.2,
        "days_of_inventory": 5,
        "sell_through": 2 / (6 + 12),
        "stock_availability": 0.5,
        "availability_above_threshold": 1,  # one warehouse has a threshold
        "restock_frequency": 1,
    }
    (week,) = rows[1, 7]
    average = (12 * (8 + 2) + 24 * 10) / 36
    assert week == {
        "product_id": 1,
        "days": 7,
        "date": day(2),
        "units_sold": 10,
        "average_stock": average,
        "turnover": pytest.approx(10 / average),
        "days_of_inventory": pytest.approx(7 / (10 / average)),
        "sell_through": 10 / (10 + 4 + 12),
        "stock_availability": 2 / 4,
        "availability_above_threshold": 1,
        "restock_frequency": pytest.approx(1 / 7),
    }
    assert rows[1, 28][0]["days_of_inventory"] == pytest.approx(28 / (10 / average))


def test_what_cannot_be_divided_is_missing() -> None:
    rows = performance(STOCK, SALES, [2]).rows_by_key(["product_id", "days"], named=True, include_key=True)
    (unseen,) = rows[2, 1]
    assert (unseen["units_sold"], unseen["average_stock"], unseen["turnover"]) == (0, None, None)
    assert (unseen["days_of_inventory"], unseen["sell_through"], unseen["stock_availability"]) == (None, None, 0)
    (not_stored,) = rows[3, 7]
    assert not_stored["units_sold"] == 5
    assert {name for name, value in not_stored.items() if value is None} == {
        *("average_stock", "turnover", "days_of_inventory", "sell_through"),
        *("stock_availability", "availability_above_threshold", "restock_frequency"),
    }
    unsold = performance(STOCK, [sold(1, 1, 0)], [2])
    (row,) = unsold.rows_by_key(["product_id", "days"], named=True, include_key=True)[1, 1]
    assert (row["turnover"], row["days_of_inventory"], row["sell_through"]) == (0, None, 0)


EXPECTED = """
    with ranges as (select unnest([1, 7, 28]) as days),
    ends as (select distinct r.days, d.day as date from ranges r, days d),
    stock as (
        select product_id, days, e.date, s.date as on_day, s.* exclude (product_id, date)
        from ends e join stock s on s.date <= e.date and s.date > e.date - e.days::integer
    ),
    per_stock as (
        select product_id, days, date, count(*) as pairs, sum(restocks) as restocks,
            sum(units_restocked) as restocked, count(*) filter (closing_stock > 0) as filled,
            count(*) filter (closing_stock > restock_threshold) as above, count(restock_threshold) as planned,
            sum(average_stock * observed_hours) as held
        from stock group by all
    ),
    per_day as (
        select product_id, days, date, on_day, max(observed_hours) as hours from stock group by all
    ),
    per_pair as (
        select product_id, warehouse_id, days, date, arg_min(opening_stock, on_day) as opening from stock group by all
    ),
    openings as (select product_id, days, date, sum(opening) as opening from per_pair group by all),
    observed as (
        select product_id, days, date, sum(hours) as hours, any_value(opening) as opening
        from per_day join openings using (product_id, days, date) group by all
    ),
    sales as (
        select product_id, days, date, sum(units_sold) as units_sold
        from ends join sales on timestamp_date <= date and timestamp_date > date - days::integer group by all
    ),
    both_sides as (
        select product_id, days, date, coalesce(units_sold, 0) as units_sold, held / nullif(hours, 0) as average_stock,
            * exclude (product_id, days, date, units_sold)
        from per_stock join observed using (product_id, days, date)
        full join sales using (product_id, days, date)
    )
    select product_id, days, date, units_sold, average_stock,
        units_sold / nullif(average_stock, 0) as turnover,
        if(units_sold > 0, days / (units_sold / nullif(average_stock, 0)), null) as days_of_inventory,
        units_sold / nullif(opening + restocked, 0) as sell_through,
        filled / pairs as stock_availability, above / nullif(planned, 0) as availability_above_threshold,
        restocks / days as restock_frequency
    from both_sides order by product_id, days, date
"""


def test_ranges_of_days_against_separate_sql() -> None:
    random = Random(7)
    stock, sales = [], []
    for product in (1, 2):
        for warehouse, since in ((7, 1), (8, 12)):  # the second warehouse comes later
            opening = random.randint(0, 9)
            for on in range(since, 41):
                closing = random.choice((0, 3, 6, 20))
                hours = 5.5 if on in (since, 40) else 24
                rise = max(closing - opening, 0)
                threshold = random.choice((None, 5))
                average = (opening + closing) / 2
                stock.append(
                    stored(product, warehouse, on, opening, closing, average, hours, threshold, int(rise > 0), rise)
                )
                opening = closing
        sales += [sold(product, on, random.randint(-2, 8)) for on in range(1, 41) if random.random() < 0.7]
    made = performance(stock, sales, list(range(1, 41)))
    with duckdb.connect() as db:
        kinds: dict[str, Any] = {"observed_hours": pl.Float64}
        db.register("stock", pl.DataFrame(stock, schema_overrides=kinds).to_arrow())
        db.register("sales", pl.DataFrame(sales).to_arrow())
        db.register("days", made.select(day="date").unique().to_arrow())
        expected = db.sql(EXPECTED).pl()
    assert made.height == expected.height >= 2 * 3 * 40
    assert_frame_equal(made, expected, check_dtypes=False, rel_tol=1e-12)


def test_stock_begins_with_the_first_day_that_has_some_not_with_the_first_sale() -> None:
    stock = [stored(1, 7, 2, opening=10, closing=9, average=9.5), stored(1, 7, 3, opening=9, closing=9, average=9)]
    made = performance(stock, [sold(1, 1, 2), sold(1, 2, 1)], days=[2, 3])
    (week,) = made.filter(days=7, date=day(1) + timedelta(days=2)).iter_rows(named=True)
    assert (week["units_sold"], week["sell_through"]) == (3, 0.3)


def test_a_warehouse_that_begins_within_the_range_opens_with_what_it_has_then() -> None:
    stock = [
        stored(1, 7, 1, opening=10, closing=10, average=10),
        stored(1, 7, 2, opening=10, closing=0, average=5),
        stored(1, 8, 2, opening=100, closing=60, average=80),
    ]
    made = performance(stock, [sold(1, 2, 50)], days=[1, 2])
    shares = {row["days"]: row["sell_through"] for row in made.filter(date=day(2)).iter_rows(named=True)}
    assert shares == {1: 50 / 110, 7: 50 / 110, 28: 50 / 110}


def test_units_beyond_64_bits_are_refused_and_do_not_begin_again_from_below() -> None:
    stock = [stored(1, 7, on, opening=1, closing=1, average=1) for on in (1, 2)]
    with pytest.raises(pl.exceptions.InvalidOperationError, match="conversion"):
        performance(stock, [sold(1, 1, 2**62), sold(1, 2, 2**62)], days=[1, 2])
