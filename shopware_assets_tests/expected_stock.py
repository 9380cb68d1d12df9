"""What stock and sales must be, worked out a second time: by plain DuckDB SQL from rows that break no rule.

Belongs here: the definitions of docs/metrics.md for what stores sell and warehouses hold, written again without a line
of ours. Nothing here may import the product. Stock is not carried from day to day, as the product does it: each day is
cut out of all that a pair ever had.
"""

_LINES = """
with lines as (
    select coalesce(region, 'unknown') as region, line.store_id::bigint as store_id, product_id::bigint as product_id,
        "timestamp"::timestamp::date as timestamp_date, transaction_id, quantity::bigint as quantity,
        revenue::decimal(18, 4) as revenue, coalesce(discount_applied::decimal(18, 4), 0) as discount
    from pos_sales as line left join stores using (store_id)
)"""
_FIGURES = """
    coalesce(sum(revenue) filter (quantity > 0), 0)::decimal(18, 4) as gross_sales,
    sum(if(quantity > 0, discount, -discount))::decimal(18, 4) as discounts,
    -coalesce(sum(revenue) filter (quantity < 0), 0)::decimal(18, 4) as returns,
    (gross_sales - discounts - returns)::decimal(18, 4) as net_sales,
    sum(quantity)::bigint as units_sold, count(distinct transaction_id) as transactions
"""


def sales(*key: str) -> str:
    """A SELECT of a sales table, over `pos_sales` and `stores`: texts, each key once."""
    by = ", ".join((*key, "timestamp_date"))
    return f"{_LINES} select {by}, {_FIGURES} from lines group by {by} order by {by}"


VIEWS = """
create view snapshots as
select product_id::bigint as product_id, warehouse_id::bigint as warehouse_id, inventory_id::bigint as inventory_id,
    stock_level::bigint as stock, restock_threshold::bigint as restock_threshold,
    last_updated::timestamp as seen, lag(stock) over pair as before, lead(seen) over pair as next
from inventory window pair as (partition by product_id, warehouse_id order by last_updated::timestamp);

create view feed as
select max(seen) as newest, max(seen)::date as last_day, min(seen)::date as first_day from snapshots;

create view pair_days as
select product_id, warehouse_id, day::date as day, greatest(day, first_at) as since,
    least(day + interval 1 day, newest) as until
from (select product_id, warehouse_id, min(seen) as first_at from snapshots group by all), feed,
    generate_series(feed.first_day::timestamp, feed.last_day::timestamp, interval 1 day) as days(day)
where day >= first_at::date;

create view stock_days as
select product_id, warehouse_id, day as date,
    coalesce(max_by(stock, seen) filter (seen < day), min_by(stock, seen)) as opening_stock,
    max_by(stock, seen) as closing_stock,
    min(stock) filter (seen >= day or next >= day or next is null) as min_stock,
    sum(stock * seconds) / nullif(sum(seconds), 0) as average_stock,
    sum(seconds) / 3600 as observed_hours,
    coalesce(sum(seconds) filter (stock = 0), 0) / 3600 as hours_out_of_stock,
    count(*) filter (seen >= day and stock = 0 and before > 0) as stockouts,
    count(*) filter (seen >= day and stock > before) as restocks,
    coalesce(sum(stock - before) filter (seen >= day and stock > before), 0)::bigint as units_restocked,
    arg_max_null(restock_threshold, seen) as restock_threshold,
from (
    select *, greatest(0, epoch(least(coalesce(next, until), until)) - epoch(greatest(seen, since))) as seconds
    from pair_days join snapshots using (product_id, warehouse_id) where seen < day + interval 1 day
) group by all order by all;

create view shortages as
select product_id, warehouse_id, coalesce(ended_at, newest)::date as date, started_at, ended_at,
    (epoch(coalesce(ended_at, newest)) - epoch(started_at)) / 3600 as hours
from (
    select product_id, warehouse_id, seen as started_at, (
        select min(later.seen) from snapshots as later
        where (later.product_id, later.warehouse_id) = (one.product_id, one.warehouse_id)
            and later.seen > one.seen and later.stock > 0
    ) as ended_at
    from snapshots as one where one.stock = 0 and coalesce(before, 1) > 0
), feed order by all;
"""
"""Over `inventory`: texts, one row for each pair and time."""

STOCK_DAYS = "select * exclude (restock_threshold) from stock_days order by product_id, warehouse_id, date"
SHORTAGES = "select * from shortages order by product_id, warehouse_id, started_at"
PERFORMANCE = """
with ranges as (
    select days, stop::date as date, stop - (days - 1) * interval 1 day as start
    from (values (1), (7), (28)) as lengths(days), feed, (select max(timestamp_date) as last_sold from by_product),
        generate_series(first_day::timestamp, least(last_day, last_sold)::timestamp, interval 1 day) as stops(stop)
), of_day as (
    select product_id, date, sum(average_stock * observed_hours) as stock_hours, max(observed_hours) as hours,
        sum(units_restocked) as restocked, sum(restocks) as restocks, count(*) as pairs,
        count(*) filter (closing_stock > 0) as in_stock, count(restock_threshold) as planned,
        count(*) filter (closing_stock > restock_threshold) as above
    from stock_days group by all
), stored as (
    select product_id, days, ranges.date, sum(stock_hours) / nullif(sum(hours), 0) as average_stock,
        sum(hours) as hours, sum(restocked) as restocked, sum(restocks) as restocks, sum(pairs) as pairs,
        sum(in_stock) as in_stock, sum(planned) as planned, sum(above) as above
    from ranges join of_day on of_day.date between start and ranges.date group by all
), opened as (
    select product_id, days, date, sum(opening) as opening from (
        select product_id, warehouse_id, days, ranges.date, min_by(opening_stock, stock_days.date) as opening
        from ranges join stock_days on stock_days.date between start and ranges.date group by all
    ) group by all
), sold as (
    select product_id, days, date, sum(units_sold)::bigint as units_sold
    from ranges join by_product on timestamp_date between start and date group by all
)
select product_id, days, date, coalesce(units_sold, 0) as units_sold, average_stock,
    coalesce(units_sold, 0) / nullif(average_stock, 0) as turnover,
    if(turnover > 0, days / turnover, null) as days_of_inventory,
    coalesce(units_sold, 0) / nullif(opening + restocked, 0) as sell_through, in_stock / pairs as stock_availability,
    above / nullif(planned, 0) as availability_above_threshold,
    if(pairs > 0, restocks / days, null) as restock_frequency
from stored join opened using (product_id, days, date) full join sold using (product_id, days, date)
order by product_id, days, date
"""
"""Also over `by_product`, the sales of products."""
