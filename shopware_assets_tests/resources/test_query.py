"""SQL over the lake, on a folder and on S3: tables by their names, reads only, and only of what a query needs."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import narwhals as nw
import obstore
import polars as pl
import pytest

from deploy.stand_ins import S3
from resources.lake import Lake, object_store, polars_schema
from resources.query import Refused, query
from resources.settings import storage_options
from shopware_assets.contracts.tables import Table
from shopware_assets.contracts.windows import Grain

ORDERS = Table(
    "silver/orders",
    {"id": nw.String(), "price": nw.Decimal(18, 4), "at": nw.Datetime("us", "UTC"), "day": nw.Date()},
    ("day",),
    Grain.DAY,
)
KPIS = Table("gold/kpis", {"day": nw.Date(), "n": nw.Int64(), "Share": nw.Float64()})
EMPTY = Table("gold/none", {"day": nw.Date(), "n": nw.Int32(), "at": nw.Datetime("us", "UTC"), "yes": nw.Boolean()})
LEDGER = Table("ledger", {"read": nw.Int64()})
TABLES = (ORDERS, KPIS, EMPTY, LEDGER)
FIRST, SECOND = date(2025, 6, 1), date(2025, 6, 2)


def filled(lake: Lake) -> Lake:
    at = datetime(2025, 6, 1, 10, tzinfo=UTC)
    rows = [("a", Decimal("0.1"), at, FIRST), ("b", Decimal("0.2"), at, FIRST), ("c", Decimal(1), None, SECOND)]
    windows = [datetime(2025, 6, day, tzinfo=UTC) for day in (1, 2)]
    lake.replace(ORDERS, pl.DataFrame(rows, schema=polars_schema(ORDERS), orient="row"), windows)
    lake.replace(KPIS, pl.DataFrame([(FIRST, 2, 0.5)], schema=polars_schema(KPIS), orient="row"), None)
    lake.replace(LEDGER, pl.DataFrame({"read": [3]}), None)
    return lake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Not to be changed."""
    return filled(Lake(str(tmp_path_factory.mktemp("query"))))


@pytest.fixture
def s3(seaweedfs: S3, monkeypatch: pytest.MonkeyPatch) -> Lake:
    for name, value in seaweedfs.settings.items():
        monkeypatch.setenv(name, value)
    root = seaweedfs.fresh_folder()
    return filled(Lake(root, storage_options(root)))


def test_tables_of_all_layers_are_there_by_name_on_s3_as_in_a_folder(folder: Lake, s3: Lake) -> None:
    sql = (
        'SELECT o.day, sum(o.price) AS total, max(k.n) AS n, max(k."Share") AS share, max(l.read) AS read'
        " FROM silver.orders AS o JOIN gold.kpis AS k ON k.day = o.day CROSS JOIN ledger AS l GROUP BY o.day;"
    )
    expected = [(FIRST, Decimal("0.3"), 2, 0.5, 3)]
    assert query(sql, folder, TABLES).rows() == query(sql, s3, TABLES).rows() == expected


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select id from silver.orders order by id desc limit 2", [("c",), ("b",)]),
        ("SELECT count(*) FROM silver.orders", [(3,)]),
        ("select 1 as a union all select 2 order by a", [(1,), (2,)]),
        ("with x as (select * from silver.orders) select count(*) from x where price > 0.15", [(2,)]),
        ("(select read from ledger)", [(3,)]),
        ("-- a remark\nselect ';' as a /* and another */", [(";",)]),
        ("select id from silver.orders where at >= timestamp '2025-06-01T10:00:00Z' and price = 0.2", [("b",)]),
        ("select a.id from silver.orders a, silver.orders b where a.price > b.price + 0.5 and b.id = 'a'", [("c",)]),
        ("select count(*), max(n), max(at) from gold.none", [(0, None, None)]),
        ("select column_name from information_schema.columns where table_name = 'kpis' limit 0", []),
    ],
)
def test_what_reads_is_run(folder: Lake, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert query(sql, folder, TABLES).rows() == rows


@pytest.mark.parametrize("sql", ["show tables", "SHOW COLUMNS FROM gold.none", "describe gold.none", "DESC gold.kpis;"])
def test_what_there_is_can_be_asked(folder: Lake, sql: str) -> None:
    assert {"orders", "kpis", "none", "ledger"} <= {
        cell for row in query("show tables", folder, TABLES).rows() for cell in row
    }
    assert query(sql, folder, TABLES).height > 1


REFUSED = "Only SELECT, SHOW, DESCRIBE and EXPLAIN are run here"


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        *(
            (sql, REFUSED)
            for sql in (
                "COPY silver.orders TO '{file}' STORED AS CSV",
                "copy (select 1) to '{file}'",
                "INSERT INTO silver.orders SELECT * FROM silver.orders",
                "UPDATE silver.orders SET id = 'x'",
                "DELETE FROM silver.orders",
                "CREATE TABLE t AS SELECT 1",
                "CREATE VIEW v AS SELECT 1",
                "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{file}'",
                "DROP TABLE silver.orders",
                "SET datafusion.execution.batch_size = 1",
                "WITH x AS (DELETE FROM silver.orders RETURNING *) SELECT * FROM x",
                "WITH x AS (INSERT INTO silver.orders SELECT 1 RETURNING *) SELECT * FROM x",
                "SELECT * INTO t FROM silver.orders",
                "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
                "EXPLAIN VERBOSE INSERT INTO silver.orders SELECT 1",
                "VALUES (1)",
                "DESCRIBE SELECT 1 INTO t",
                "PREPARE p AS SELECT 1",
                "BEGIN",
            )
        ),
        ("SELECT 1; SELECT 2", "One statement at a time"),
        ("SELECT 1; COPY (SELECT 1) TO '{file}'", "One statement at a time"),
        ("SHOW TABLES; DROP TABLE silver.orders", "One statement at a time"),
        (" ; ", "One statement at a time"),
        ("EXPLAIN", "One statement at a time"),
        ("SELEC 1", "not SQL"),
        ("SELECT '", "not SQL"),
        ("SELECT * FROM nothing.there", "There is no table nothing.there; there are gold.kpis"),
        ("SELECT * FROM silver/orders", "in SQL a table is called silver.orders, not silver/orders"),
        ("SELECT missing FROM silver.orders", "missing"),
        ("SELECT * FROM '{file}'", "There is no table /"),
        ("SELECT 1 / 0", "Divide by zero"),
        ("SELECT cast(id AS INT) FROM silver.orders", "Cannot cast string"),
        ("SELECT (SELECT id FROM silver.orders)", "more than one row"),
        ("SELECT a.id, b.id FROM silver.orders a JOIN silver.orders b ON a.id = b.id", "Several columns are called id"),
        ("SELECT interval '1 day' AS i", "^i is or holds month_day_nano_interval: cast it to VARCHAR"),
        ("SELECT array[interval '1 day'] AS i", "^i is or holds month_day_nano_interval"),
        ("SELECT struct(interval '1 day') AS i", "^i is or holds month_day_nano_interval"),
        ("SELECT cast(1 AS decimal(50, 2)) AS i", r"^i is or holds decimal256\(50, 2\)"),
    ],
)
def test_whatever_else_is_refused_and_changes_nothing(folder: Lake, tmp_path: Path, sql: str, why: str) -> None:
    versions = [folder.version(table) for table in TABLES]
    with pytest.raises(Refused, match=why):
        query(sql.format(file=tmp_path / "out"), folder, TABLES)
    assert [folder.version(table) for table in TABLES] == versions
    assert not list(tmp_path.iterdir())


# --- only what a query needs ------------------------------------------------------------------------------------------


def without(lake: Lake, *gone: str) -> Lake:
    """The lake, after its files with one of these in their paths were taken away."""
    store = object_store(lake.root, lake.options)
    for item in obstore.list(store).collect():
        if any(part in item["path"] for part in gone) and item["path"].endswith(".parquet"):
            obstore.delete(store, item["path"])
    return lake


@pytest.fixture(params=["folder", "s3"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake that may be changed."""
    return request.getfixturevalue("s3") if request.param == "s3" else filled(Lake(str(tmp_path / "lake")))


def test_only_the_partitions_that_a_query_asks_for_are_read(own: Lake) -> None:
    without(own, "day=2025-06-02", "gold/")
    assert query("select id from silver.orders where day = date '2025-06-01' order by id", own, TABLES).height == 2
    with pytest.raises(Refused):
        query("select id from silver.orders", own, TABLES)


def test_only_tables_that_a_query_names_are_opened(folder: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    look: Callable[[Lake, Table], object] = Lake.open
    monkeypatch.setattr(Lake, "open", lambda self, table: opened.append(table.name) or look(self, table))
    query("with orders as (select * from gold.kpis) select * from orders", folder, TABLES)
    assert opened == ["gold/kpis"]


def test_only_columns_that_a_query_names_are_read(folder: Lake) -> None:
    def read(sql: str) -> list[str]:
        plan = query(f"explain {sql}", folder, TABLES)["plan"][-1]
        return re.findall(r"DataSourceExec: .*projection=\[([a-z, ]+)", plan)

    assert read("select sum(price) from silver.orders") == ["price, "]
    assert read("select * from silver.orders") == ["id, price, at, "], "the control: all that files hold"
