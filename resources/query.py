"""SQL over the lake: one read-only statement, on a folder and on S3 alike, by the engine that comes with deltalake."""

from collections.abc import Callable, Mapping

import polars as pl
import sqlglot
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError
from sqlglot import exp


class Refused(Exception):
    """The statement is not one that may be run, or cannot be; one sentence says why."""


def query(sql: str, tables: Mapping[str, Callable[[], DeltaTable | None]]) -> pl.DataFrame:
    """The result of one SELECT, SHOW, DESCRIBE or EXPLAIN.

    Args:
        tables: What opens each table, by its name in SQL (`gold.order_kpis_daily`). Only those that the statement
            names are opened, and of their files only those it needs are read.

    Raises:
        Refused: It would change something, is more than one statement, or is not understood.
    """
    statement = _read_only(_one(sql), sql)
    named = {".".join(part.name for part in table.parts).lower() for table in statement.find_all(exp.Table)}
    wanted = tables if isinstance(statement, exp.Command) else {n: t for n, t in tables.items() if n in named}
    engine = QueryBuilder()
    try:
        list(engine.execute("SET datafusion.catalog.information_schema = true"))
        for schema in sorted({name.split(".")[0] for name in tables if "." in name}):
            list(engine.execute(f"CREATE SCHEMA {schema}"))
        for name, open_table in wanted.items():
            if table := open_table():
                engine.register(name, table)
        return pl.DataFrame(engine.execute(sql.strip().rstrip(";")).read_all())
    except DeltaError as error:
        raise Refused(str(error).removeprefix("Generic DeltaTable error: ")) from None


def _one(sql: str) -> exp.Expression:
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect="postgres") if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        raise Refused(f"This is not SQL that can be read: {str(error).splitlines()[0]}") from None
    if len(statements) != 1:
        raise Refused("One statement at a time.")
    return statements[0]


def _read_only(statement: exp.Expression, sql: str) -> exp.Expression:
    """The statement, or what it explains or describes, if that only reads; EXPLAIN ANALYZE runs what it explains."""
    words = sql.split()
    first = words[0].upper()
    if isinstance(statement, exp.Query) and not statement.find(exp.Into, exp.DML, exp.DDL):
        return statement
    if first == "SHOW" or (first in ("DESCRIBE", "DESC") and len(words) <= 3):
        return exp.Command(this=first)
    if first == "EXPLAIN":
        rest = words[1:]
        while rest and rest[0].upper() in ("ANALYZE", "VERBOSE"):
            rest = rest[1:]
        inner = sql[sql.index(rest[0], len(first)) :] if rest else ""
        if isinstance(explained := _one(inner), exp.Query):
            return _read_only(explained, inner)
    raise Refused("Only SELECT, SHOW, DESCRIBE and EXPLAIN are run here: the lake is written by its assets alone.")
