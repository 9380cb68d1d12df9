"""Contender: the inventory work as a good engineer would write it by hand in DuckDB.

`python duckdb_inventory.py DATA OUT` reads DATA/inventory/**/*.jsonl, writes accepted.parquet and rejected.parquet to
OUT and prints its counts. It does less than ours, which flatters it: no commit, no ledger, no provenance, no undeclared
fields, no repeated JSON keys, and the text of a malformed line is lost (DuckDB hands over a row of NULLs).
"""

import json
import sys

import duckdb

INTEGERS = ("inventory_id", "product_id", "warehouse_id", "stock_level", "restock_threshold")
COLUMNS = (*INTEGERS, "last_updated")
OPTIONAL = {"restock_threshold"}


def given(column: str) -> str:
    return f"nullif(trim(raw.{column}), '') is not null"


def each(template: str, columns: tuple[str, ...] = COLUMNS) -> str:
    return ", ".join(template.format(c=column) for column in columns)


GOOD = " and ".join(
    [
        "inventory_id is not null and product_id is not null and warehouse_id is not null and stock_level >= 0",
        f"(restock_threshold >= 0 or restock_threshold is null and not {given('restock_threshold')})",
        "last_updated between timestamp '2025-01-01' and landed_at + interval 24 hour",
    ]
)
BROKEN = {
    **{f"{column}_present": f"not {given(column)}" for column in COLUMNS if column not in OPTIONAL},
    **{f"{column}_parses": f"{column} is null and {given(column)}" for column in COLUMNS},
    "stock_level_not_negative": "stock_level < 0",
    "restock_threshold_not_negative": "restock_threshold < 0",
    "last_updated_not_in_future": "last_updated > landed_at + interval 24 hour",
    "last_updated_not_before_start": "last_updated < timestamp '2025-01-01'",
}

# A cast to bigint rounds 5.5, a cast to double does not.
MACROS = """
create macro as_int(t) as case when try_cast(t as bigint) = try_cast(t as double) then try_cast(t as bigint) end;
create macro as_time(t, n) as case
    when n is null then timezone('UTC', try_cast(t as timestamptz))
    when n >= 1e14 then make_timestamp(try_cast(round(n) as bigint))
    when n >= 1e11 then make_timestamp(try_cast(round(n * 1e3) as bigint))
    else make_timestamp(try_cast(round(n * 1e6) as bigint)) end;
"""
# The original text is kept, and the rules are worked out, only for the few rows that need it.
JUDGE = f"""
create temp table judged as
with records as (
    select *, strptime(regexp_extract(filename, '\\d{{4}}/\\d\\d/\\d\\d/\\d\\d'), '%Y/%m/%d/%H')
        + interval 1 hour as landed_at
    from read_json($files, format = 'newline_delimited', ignore_errors = true, filename = true,
                   columns = {{{each("{c}: 'VARCHAR'")}}})
), typed as (
    select {each("as_int({c}) as {c}", INTEGERS)},
           as_time(last_updated, try_cast(last_updated as double)) as last_updated,
           landed_at, struct_pack({each("{c}")}) as raw
    from records
), split as (select *, coalesce({GOOD}, false) as good from typed)
select * exclude (raw, good),
    case when not good then raw end as raw,
    case when good then null
         when coalesce({each("raw.{c}")}) is null then ['record_readable']
         else list_filter([{", ".join(f"case when {broken} then '{rule}' end" for rule, broken in BROKEN.items())}],
                          lambda rule: rule is not null)
    end as rules
from split
"""
ACCEPTED = """
copy (
    select * exclude (raw, rules), last_updated::date as last_updated_date,
        case when stock_level = 0 then 'out_of_stock'
             when restock_threshold is null then 'unknown_threshold'
             when stock_level <= restock_threshold then 'low_stock'
             else 'in_stock' end as stock_status
    from judged where rules is null
    qualify row_number() over (partition by inventory_id, last_updated order by landed_at desc) = 1
) to '{out}/accepted.parquet'
"""
REJECTED = "copy (select raw.*, rules, landed_at from judged where rules is not null) to '{out}/rejected.parquet'"


def main(data: str, out: str) -> None:
    db = duckdb.connect()
    db.execute("set preserve_insertion_order = false")
    db.execute("set timezone = 'UTC'")
    db.execute(MACROS)
    db.execute(JUDGE, {"files": f"{data}/inventory/**/*.jsonl"})
    (accepted,) = db.execute(ACCEPTED.format(out=out)).fetchone() or (0,)
    (rejected,) = db.execute(REJECTED.format(out=out)).fetchone() or (0,)
    (read,) = db.execute("select count(*) from judged").fetchone() or (0,)
    stock = db.execute(f"select sum(stock_level)::bigint from '{out}/accepted.parquet'").fetchone() or (0,)
    rules = db.execute("select unnest(rules), count(*) from judged where rules is not null group by 1").fetchall()
    counts = {"read": read, "accepted": accepted, "rejected": rejected, "superseded": read - accepted - rejected}
    print(json.dumps({**counts, "rules": dict(rules), "stock_level_sum": stock[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
