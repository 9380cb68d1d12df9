"""SQL over the lake: one read-only statement, on a folder and on S3 alike, by the engine that comes with deltalake."""

from collections import Counter
from collections.abc import Iterable, Iterator

import polars as pl
import pyarrow as pa
import sqlglot
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError
from sqlglot import exp

from resources.lake import Lake, polars_schema
from shopware_assets.contracts.tables import Table


class Refused(Exception):
    """The statement is not one that may be run, or cannot be; one sentence says why."""


def query(sql: str, lake: Lake, tables: Iterable[Table]) -> pl.DataFrame:
    """The result of one SELECT, SHOW, DESCRIBE or EXPLAIN.

    Args:
        tables: What can be named, as `gold.order_kpis_daily`. Only tables that the statement names are opened, and of
            their files only those it needs are read. One that was never written has no rows.

    Raises:
        Refused: It would change something, is more than one statement, or is not understood.
    """
    statement = _read_only(_one(sql), sql)
    named = {".".join(part.name for part in table.parts).lower() for table in statement.find_all(exp.Table)}
    by_name = {table.name.replace("/", "."): table for table in tables}
    own = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    if unknown := sorted(n for n in named - own - by_name.keys() if not n.startswith("information_schema.")):
        raise Refused(f"There is no table {unknown[0]}; there are {', '.join(sorted(by_name))}.")
    wanted = by_name if isinstance(statement, exp.Command) else {n: t for n, t in by_name.items() if n in named}
    engine = QueryBuilder()
    try:
        list(engine.execute("SET datafusion.catalog.information_schema = true"))
        for schema in sorted({name.split(".")[0] for name in by_name if "." in name}):
            list(engine.execute(f"CREATE SCHEMA {schema}"))
        for name, table in wanted.items():
            if handle := lake.open(table):
                engine.register(name, handle)
            else:
                list(engine.execute(f"CREATE TABLE {name} ({_columns(table)})"))
        result = engine.execute(sql.strip().rstrip(";"))
        _check_columns(pa.schema(result.schema))
        return pl.DataFrame(pa.table(result))  # by itself it raises a bare Exception when a row cannot be computed
    except (DeltaError, pa.ArrowException) as error:
        why = str(error).removeprefix("Generic DeltaTable error: ").removeprefix("External error: ")
        raise Refused(why) from None


def _check_columns(schema: pa.Schema) -> None:
    """Refuses what a frame cannot hold."""
    if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
        raise Refused(f"Several columns are called {twice[0]}: give them names with AS.")
    for field in schema:
        for kind in _nested(field.type):
            if pa.types.is_interval(kind) or pa.types.is_decimal256(kind):
                raise Refused(f"{field.name} is or holds {kind}: cast it to VARCHAR.")


def _nested(kind: pa.DataType) -> Iterator[pa.DataType]:
    """The type, and those of the values within its values."""
    yield kind
    for number in range(kind.num_fields):
        yield from _nested(kind.field(number).type)


def _columns(table: Table) -> str:
    return ", ".join(f'"{name}" {_SQL_TYPES[dtype.base_type()]}' for name, dtype in polars_schema(table).items())


_SQL_TYPES = {
    pl.String: "VARCHAR",
    pl.Int32: "INT",
    pl.Int64: "BIGINT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
    pl.Date: "DATE",
    pl.Datetime: "TIMESTAMP",
    pl.Decimal: "DECIMAL(18, 4)",
}


def _one(sql: str) -> exp.Expr:
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect="postgres") if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        hint = " (in SQL a table is called silver.orders, not silver/orders)" if "/" in sql else ""
        raise Refused(f"This is not SQL that can be read{hint}: {str(error).splitlines()[0]}") from None
    if len(statements) != 1:
        raise Refused("One statement at a time.")
    return statements[0]


def _read_only(statement: exp.Expr, sql: str) -> exp.Expr:
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
