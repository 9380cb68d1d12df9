"""Contender: the point-of-sale work as a good engineer would write it by hand in DuckDB.

`python duckdb_pos_sales.py DATA OUT` reads DATA/pos/*.csv and DATA/stores/*.csv, writes accepted.parquet and
rejected.parquet to OUT and prints its counts. It does less than ours, which flatters it: no commit, no ledger, no
provenance, no undeclared columns; columns go by their place, not by their name; a field too many passes if it is empty
and the last; stores are not judged one by one, and no line number decides between equally new rows.
"""

import sys

from duckdb_by_hand import as_text, connect, finish, judged
from rules_by_hand import NET_REVENUE, POS_SALES, SIGN

LANDED_AT = "strptime(regexp_extract({}, '\\d{{8}}_\\d{{6}}'), '%Y%m%d_%H%M%S')"
STORES = """
    select store_id, arg_max(region, filename) as region
    from read_csv($files, header = true, ignore_errors = true, filename = true, auto_detect = false,
                  columns = {store_id: 'BIGINT', region: 'VARCHAR', city: 'VARCHAR', opened_on: 'DATE'})
    where store_id is not null and region is not null
    group by store_id
"""
RECORDS = f"""
    select *, {LANDED_AT.format("filename")} as landed_at
    from read_csv($files, header = true, store_rejects = true, filename = true, auto_detect = false,
                  columns = {as_text(POS_SALES)})
"""
# A line may have several errors.
MALFORMED = f"""
    select distinct on (file_id, line) {LANDED_AT.format("file_path")} as landed_at, csv_line as corrupt,
        ['record_readable'] as rules
    from reject_errors join reject_scans using (scan_id, file_id)
"""
ACCEPTED = f"""
    select judged.* exclude (raw, rules, corrupt), timestamp::date as timestamp_date, {SIGN} as sign,
        {NET_REVENUE} as net_revenue, coalesce(region, 'unknown') as region,
        case when region is null then 'store_known' end as warning
    from judged left join stores using (store_id) where rules is null
    qualify row_number() over (
        partition by transaction_id, product_id, sign, timestamp_date order by timestamp desc, landed_at desc
    ) = 1
"""
REJECTED = "select raw.*, corrupt, rules, landed_at from judged where rules is not null"


def main(data: str, out: str) -> None:
    db = connect()
    db.execute(f"create temp table stores as {STORES}", {"files": f"{data}/stores/*.csv"})
    db.execute(
        f"create temp table judged as select *, null::varchar as corrupt from ({judged(RECORDS, POS_SALES)})",
        {"files": f"{data}/pos/*.csv"},
    )
    db.execute(f"insert into judged by name {MALFORMED}")
    finish(db, out, ACCEPTED, REJECTED, "net_revenue")


if __name__ == "__main__":
    main(*sys.argv[1:])
