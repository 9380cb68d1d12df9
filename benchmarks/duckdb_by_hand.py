"""What the DuckDB scripts of both works share: how text becomes a value, how a row's rules are named, the counts."""

import json

import duckdb
from rules_by_hand import Rules

# A cast to bigint rounds 5.5, a cast to double does not.
_MACROS = """
create macro as_text(t) as nullif(trim(t), '');
create macro as_int(t) as case when try_cast(t as bigint) = try_cast(t as double) then try_cast(t as bigint) end;
create macro as_money(t) as try_cast(t as decimal(18, 4));
create macro epoch_or_iso(t, n) as case
    when n is null then timezone('UTC', try_cast(t as timestamptz))
    when n >= 1e14 then make_timestamp(try_cast(round(n) as bigint))
    when n >= 1e11 then make_timestamp(try_cast(round(n * 1e3) as bigint))
    else make_timestamp(try_cast(round(n * 1e6) as bigint)) end;
create macro as_time(t) as epoch_or_iso(t, try_cast(t as double));
"""


def connect() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    db.execute("set preserve_insertion_order = false")
    db.execute("set timezone = 'UTC'")
    db.execute(_MACROS)
    return db


def as_text(rules: Rules) -> str:
    """The `columns` of a reader that leaves them text."""
    return "{" + ", ".join(f"{column}: 'VARCHAR'" for column in rules.columns) + "}"


def judged(records: str, rules: Rules, unreadable: str = "false") -> str:
    """The query of all records, typed, with the rules they break (NULL: none); the others also as they came, in `raw`.

    The original text is kept, and the rules are worked out, only for the few rows that need it.
    """
    typed = ", ".join(f"as_{kind}({column}) as {column}" for column, kind in rules.types.items())
    raw = ", ".join(rules.columns)
    broken = ", ".join(f"case when {broken} then '{rule}' end" for rule, broken in rules.broken.items())
    return f"""
        with records as ({records}),
        typed as (select {typed}, landed_at, struct_pack({raw}) as raw from records),
        split as (select *, {rules.sound} as good from typed)
        select * exclude (raw, good),
            case when not good then raw end as raw,
            case when good then null
                 when {unreadable} then ['record_readable']
                 else list_filter([{broken}], lambda rule: rule is not null)
            end as rules
        from split
    """


def finish(db: duckdb.DuckDBPyConnection, out: str, accepted: str, rejected: str, total: str) -> None:
    """Writes the rows of the two queries to OUT/accepted.parquet and OUT/rejected.parquet and prints the counts, with
    those read in the table `judged`. `accepted` has a column `warning`, the rule it warns of; `total` is summed up."""
    (kept,) = db.execute(f"copy ({accepted}) to '{out}/accepted.parquet'").fetchone() or (0,)
    (aside,) = db.execute(f"copy ({rejected}) to '{out}/rejected.parquet'").fetchone() or (0,)
    (read,) = db.execute("select count(*) from judged").fetchone() or (0,)
    (summed,) = db.execute(f"select sum({total})::double from '{out}/accepted.parquet'").fetchone() or (0,)
    rules = db.execute(f"""
        select unnest(rules) as rule, count(*) from judged where rules is not null group by rule
        union all select warning, count(*) from '{out}/accepted.parquet' where warning is not null group by warning
    """).fetchall()
    counts = {"read": read, "accepted": kept, "rejected": aside, "superseded": read - kept - aside}
    print(json.dumps({**counts, "rules": dict(rules), f"{total}_sum": summed}))
