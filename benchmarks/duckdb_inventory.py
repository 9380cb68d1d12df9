"""Contender: the inventory work as a good engineer would write it by hand in DuckDB.

`python duckdb_inventory.py DATA OUT` reads DATA/inventory/**/*.jsonl, writes accepted.parquet and rejected.parquet to
OUT and prints its counts. It does less than ours, which flatters it: no commit, no ledger, no provenance, no undeclared
fields, no repeated JSON keys, and the text of a malformed line is lost (DuckDB hands over a row of NULLs).
"""

import sys

from duckdb_by_hand import as_text, connect, finish, judged
from rules_by_hand import INVENTORY, STOCK_STATUS

RECORDS = f"""
    select *, strptime(regexp_extract(filename, '\\d{{4}}/\\d\\d/\\d\\d/\\d\\d'), '%Y/%m/%d/%H')
        + interval 1 hour as landed_at
    from read_json($files, format = 'newline_delimited', ignore_errors = true, filename = true,
                   columns = {as_text(INVENTORY)})
"""
MALFORMED = f"coalesce({', '.join(f'raw.{column}' for column in INVENTORY.columns)}) is null"
ACCEPTED = f"""
    select * exclude (raw, rules), last_updated::date as last_updated_date, {STOCK_STATUS} as stock_status,
        null::varchar as warning
    from judged where rules is null
    qualify row_number() over (partition by inventory_id, last_updated order by landed_at desc) = 1
"""
REJECTED = "select raw.*, rules, landed_at from judged where rules is not null"


def main(data: str, out: str) -> None:
    db = connect()
    db.execute(
        f"create temp table judged as {judged(RECORDS, INVENTORY, MALFORMED)}",
        {"files": f"{data}/inventory/**/*.jsonl"},
    )
    finish(db, out, ACCEPTED, REJECTED, "stock_level")


if __name__ == "__main__":
    main(*sys.argv[1:])
