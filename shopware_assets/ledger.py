"""The ledger: what became of every row, and what every window was made from.

Two tables. `ledger` counts, for each window and each source object in it, the rows read and what became of them.
`lineage` says what a window was made from and what it gives to others, as fingerprints that change when the content
does. A run says in the ledger which windows it begins, writes its data, then lineage, the ledger's counts last: so
whatever is killed is found unfinished.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import narwhals as nw
import polars as pl
from deltalake import DeltaTable

from resources.lake import Lake, code_version, polars_schema
from shopware_assets.contracts.contract import Contract, Type
from shopware_assets.contracts.tables import Table, bronze
from shopware_assets.contracts.windows import Grain

WHOLE = "all"
"""The name of the only window of a table that has no windows."""

_TEXT, _COUNT, _TIME = Type.STRING.dtype, nw.Int64(), Type.TIME.dtype

LEDGER = Table(
    "ledger",
    {
        "table_name": _TEXT,
        "window": _TEXT,
        "source": _TEXT,
        "object": _TEXT,
        "version": _TEXT,
        "landed_at": _TIME,
        "current": nw.Boolean(),
        "read": _COUNT,
        "accepted": _COUNT,
        "rejected": _COUNT,
        "superseded": _COUNT,
        "waiting": _COUNT,
        "judged_by": _TEXT,
        "code_version": _TEXT,
        "run_id": _TEXT,
        "month": _TEXT,
    },
    ("table_name", "month"),
)
"""One row per silver window and source (an object, or a sheet of the `object`): rows read = accepted + rejected +
superseded; `waiting` of the rejected wait for a parent; `current`: whether no newer version of the object could be
read; `judged_by`: the function of that name. A row without a source and counts stands for a window that is being made,
or was when its run was killed: no window with such a row is done."""

LINEAGE = Table(
    "lineage",
    {
        "table_name": _TEXT,
        "window": _TEXT,
        "kind": _TEXT,
        "name": _TEXT,
        "at": _TEXT,
        "fingerprint": _TEXT,
        "rests_on": _TEXT,
        "month": _TEXT,
    },
    ("table_name", "month"),
)
"""One row per fact about a window. `feeds`: its rows with day `at` in column `name` have this fingerprint. `made_from`:
it was computed from what window `at` of `name` had to feed. `rests_on` of both: the silver windows that these rows come
from, their own and those of the parents they name, as `table/window`, separated by commas. `own` and `view`: what
became of the rows whose keys it shares with window `at`, its own and, as it saw them, the other's."""

ALLOWED = Table("allowed", {"table_name": _TEXT, "window": _TEXT, "objects": _TEXT})
"""Held windows that a person let through, as they were: `objects` is what was in them (see `objects_of`)."""

_MARKER = pl.Struct(
    {
        "object": pl.String,
        "outcome": pl.String,
        "rows": pl.Int64,
        "reason": pl.String,
        "missing_columns": pl.List(pl.String),
        "undeclared": pl.Int64,
        "windows": pl.List(pl.Struct({"window": pl.String, "rows": pl.Int64})),
    }
)


def judged_by(contract: Contract, days_read: Sequence[str]) -> str:
    """What decides how windows are judged and what they give to gold: they are made again when it changes."""
    return f"{contract.fingerprint}/{','.join(days_read)}"


def window_name(window: datetime | None, grain: Grain | None) -> str:
    """A window as ledger and Dagster call it."""
    return WHOLE if grain is None or window is None else grain.label(window)


def named_window(table: Table, columns: Sequence[str] = ()) -> pl.Expr:
    """The name of each row's window, from its partition columns, or from the columns in which a child carries them."""
    if table.grain is None:
        return pl.lit(WHOLE)
    date, *hours = columns or table.partition_columns
    day = pl.col(date).dt.strftime("%Y-%m-%d")
    if table.grain is Grain.DAY:
        return day
    hour = pl.col(hours[0]).cast(pl.String).str.zfill(2)
    return pl.concat_str(day, pl.lit("-"), hour, pl.lit(":00"))


def markers(lake: Lake, contract: Contract, *, handle: DeltaTable | None = None) -> pl.DataFrame:
    """What every ingested object version held.

    Returns:
        `source` (an object, or a sheet of it), `version`, `landed_at`, `landing_window`, `object`, `outcome`
        (ingested, empty, workbook, unreadable, gone, or known: one back from the archive, whose rows are under another
        marker), `rows`, `reason`, `missing_columns`, `undeclared`, `windows` (name and rows of each it has rows in) and
        `current`: whether no newer version of the object could be read.
    """
    found = (
        _marker_rows(lake, contract, handle)
        .select(
            pl.col("_source").alias("source"),
            pl.col("_version").alias("version"),
            pl.col("_landed_at").alias("landed_at"),
            pl.col("_window").alias("landing_window"),
            pl.col("_marker").str.json_decode(_MARKER).alias("marker"),
        )
        .unnest("marker")
        .collect()
    )
    # A sheet stands or falls with its workbook. (Older markers do not name their object: they have no sheets.)
    found = found.with_columns(pl.col("object").fill_null(pl.col("source")))
    whole = (pl.col("source") == pl.col("object")) & pl.col("outcome").is_in(["ingested", "empty", "workbook"])
    order = pl.struct("landed_at", "version")
    newest = found.filter(whole).sort(order).group_by("object").last().select("object", _newest=order)
    return found.join(newest, on="object", how="left").select(
        pl.exclude("_newest"),
        current=pl.col("_newest").is_null()
        | (pl.col("landed_at") > pl.col("_newest").struct.field("landed_at"))
        | (
            (pl.col("landed_at") == pl.col("_newest").struct.field("landed_at"))
            & (pl.col("version") >= pl.col("_newest").struct.field("version"))
        ),
    )


def never_landed(lake: Lake, contract: Contract, judged: pl.DataFrame) -> bool:
    """Whether there is nothing of a table, neither in bronze nor `judged`, its ledger."""
    return judged.is_empty() and lake.open(bronze(contract)) is None


def ingested(lake: Lake, contract: Contract, *, handle: DeltaTable | None = None) -> pl.DataFrame:
    """Which object versions bronze holds: `source`, `version`, `landed_at`; cheaper than `markers`.

    One that was gone before it was read is not among them: should it come back, it is ingested.
    """
    return (
        _marker_rows(lake, contract, handle)
        .filter(~pl.col("_marker").str.contains('"outcome": "gone"', literal=True))
        .select(source="_source", version="_version", landed_at="_landed_at")
        .collect()
    )


def _marker_rows(lake: Lake, contract: Contract, handle: DeltaTable | None) -> pl.LazyFrame:
    table = bronze(contract)
    rows = lake.scan(table, handle=handle)
    # Markers have no event and so no window: their partition is read without touching the others.
    no_window = [pl.col(column).is_null() for column in table.partition_columns]
    return rows.filter(pl.col("_line") == 0, *no_window)


def read_ledger(lake: Lake, table: Table | None = None) -> pl.DataFrame:
    """The counts of every window and source object, of one silver table or of all."""
    return _of(lake.scan(LEDGER), table).drop("month").collect()


def read_lineage(
    lake: Lake, table: Table | None = None, kinds: Sequence[str] = (), windows: Sequence[str] | None = None
) -> pl.DataFrame:
    """The facts about windows, all or these, of one table or of all."""
    rows = _of(lake.scan(LINEAGE), table)
    if windows is not None:
        rows = rows.filter(in_months_of(pl.Series(windows, dtype=pl.String)), pl.col("window").is_in(windows))
    return (rows.filter(pl.col("kind").is_in(kinds)) if kinds else rows).drop("month").collect()


def read_feeds(lake: Lake, tables: Sequence[str], days: Sequence[str] | None = None) -> pl.DataFrame:
    """What the windows of silver tables feed to some days (None: to all); windows of other times are not read."""
    rows = lake.scan(LINEAGE).filter(pl.col("table_name").is_in(tables), pl.col("kind") == "feeds")
    return (rows if days is None else rows.filter(pl.col("at").is_in(days))).drop("month").collect()


def days_fed(lake: Lake, table: str, column: str) -> tuple[str, str]:
    """The first and the newest day that a table feeds by a column; "" if none."""
    rows = lake.scan(LINEAGE).filter(pl.col("table_name") == table, pl.col("kind") == "feeds", pl.col("name") == column)
    first, newest = rows.select(first=pl.col("at").min(), newest=pl.col("at").max()).collect().row(0)
    return first or "", newest or ""


def _of(rows: pl.LazyFrame, table: Table | None) -> pl.LazyFrame:
    return rows if table is None else rows.filter(pl.col("table_name") == table.name)


def write(lake: Lake, into: Table, table: Table, windows: Sequence[str], rows: pl.DataFrame) -> None:
    """Makes the rows that `into` (ledger or lineage) has of these windows of `table` exactly `rows`.

    What these do not say is NULL.
    """
    known = {"table_name": table.name, "month": _month(pl.col("window"))}
    if into is LEDGER:
        known |= {"code_version": code_version(), "run_id": lake.run_id}
    complete = rows.with_columns(
        value if isinstance(value, pl.Expr) else pl.lit(value).alias(name) for name, value in known.items()
    )
    months = {window[:7] for window in windows}
    which = f"table_name = '{table.name}' AND month IN ({_listed(months)}) AND window IN ({_listed(windows)})"
    schema = pl.DataFrame(schema=polars_schema(into))
    complete = pl.concat([schema, complete], how="diagonal_relaxed").select(schema.columns)
    lake.replace(into, complete, None, predicate=which)


def begin(lake: Lake, table: Table, windows: Sequence[str]) -> None:
    """Says that these windows of `table` are being made; `write` to the ledger takes it back.

    Otherwise a kill between the data and its lineage could go unnoticed: where only what rows carry from their parents
    has changed, the stored rows would agree with everything else.
    """
    unknown = pl.DataFrame(schema=polars_schema(LEDGER)).clear(len(windows)).drop("window")
    rows = (
        pl.DataFrame({"window": windows})
        .hstack(unknown)
        .with_columns(
            table_name=pl.lit(table.name),
            month=_month(pl.col("window")),
            source=pl.lit(""),
            version=pl.lit(""),
            current=pl.lit(False),
            run_id=pl.lit(lake.run_id),
            **dict.fromkeys(("read", "accepted", "rejected", "superseded", "waiting"), pl.lit(0, dtype=pl.Int64)),
        )
    )
    lake.append_once(LEDGER, lambda _: iter([rows]), guard="begin")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(set(names)))


def _month(window: pl.Expr) -> pl.Expr:
    return window.str.slice(0, 7).alias("month")


def in_months_of(windows: pl.Series) -> pl.Expr:
    """Whether a row is of a month of one of these windows: rows of other months are not read."""
    return pl.col("month").is_in(windows.str.slice(0, 7).unique().to_list())


def forget(lake: Lake, table: Table) -> None:
    """Takes all of a table's lineage back: its windows count as never made."""
    if lake.open(LINEAGE):
        none = pl.DataFrame(schema=polars_schema(LINEAGE))
        lake.replace(LINEAGE, none, None, predicate=f"table_name = '{table.name}'")


def objects_of(ledger: pl.DataFrame) -> pl.DataFrame:
    """What each window of a ledger was judged from, as text that changes when an object comes or is replaced.

    Returns:
        `table_name`, `window`, `objects`.
    """
    ordered = ledger.filter(pl.col("source") != "").sort("table_name", "window", "source", "version", "landed_at")
    named = pl.concat_str("source", "version", "current", "read", separator="|").str.join(",")
    return ordered.group_by("table_name", "window").agg(objects=named)


def held(
    ledger: pl.DataFrame, allowed: pl.DataFrame, threshold: float, newest: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Windows over the reject threshold that nobody let through: gold waits for them.

    Rows that wait for a parent do not count towards the threshold, nor do rows of replaced versions count as read:
    sending a bad file again would dilute it. What a window has lost to such a version, of which a sheet at least is
    over the threshold itself, counts as rejected: a row whose time cannot be read is filed under another window than
    the one it replaces. So a window can be held without need, for the ledger cannot tell rows that were superseded, or
    that a good version in between had taken away already: `allow` lets it through.

    Args:
        newest: The rows of the newest versions of all objects in `ledger`, where that has not all windows.

    Returns:
        `table_name`, `window`, `read`, `rejected` (without those waiting), `objects`.
    """
    ledger, newest = (rows.with_columns(object=_OBJECT) for rows in (ledger, ledger if newest is None else newest))
    windows, objects = ["table_name", "window"], ["table_name", "object"]
    current, read = pl.col("current"), pl.col("read").sum()
    rejected = (pl.col("rejected") - pl.col("waiting")).sum()
    bad = _over(newest.filter(current).group_by(*objects, "source").agg(read, rejected), threshold)
    left = (pl.col("read").filter(~current).max() - pl.col("read").filter(current).sum()).clip(lower_bound=0)
    versions = ledger.join(bad, on=objects, how="semi").group_by(*windows, "object", "version", "landed_at", current)
    lost = versions.agg(read).group_by(*windows, "object").agg(lost=left)
    totals = ledger.group_by(windows).agg(pl.col("read").filter("current").sum(), rejected)
    totals = totals.join(lost.group_by(windows).agg(pl.col("lost").sum()), on=windows, how="left")
    over = _over(totals.with_columns(pl.col("read", "rejected") + pl.col("lost").fill_null(0)).drop("lost"), threshold)
    named = over.join(objects_of(ledger.join(over, on=windows, how="semi")), on=windows)
    return named.join(allowed, on=["table_name", "window", "objects"], how="anti").sort("table_name", "window")


_OBJECT = pl.coalesce("object", "source")  # rows from before there were sheets do not name their object


def _over(totals: pl.DataFrame, threshold: float) -> pl.DataFrame:
    # Rounded, because 0.29 of 100 is 28.999999999999996 in binary.
    return totals.filter(pl.col("rejected") > (threshold * pl.col("read")).round(6))


def held_windows(lake: Lake, threshold: float, *among: pl.Expr) -> pl.DataFrame:
    """The windows that are held now (see `held`), of all in the ledger or of those of which `among` holds."""
    rows = lake.scan(LEDGER)
    found = rows.filter(*among).collect()
    replaced = found.filter(~pl.col("current"), pl.col("source") != "").select(_OBJECT).to_series().unique()
    newest = rows.filter("current", _OBJECT.is_in(replaced)).collect() if among and len(replaced) else None
    return held(found, lake.scan(ALLOWED).collect(), threshold, newest)


def allow(lake: Lake, table: Table, window: str) -> None:
    """Lets a held window through as it is now: when its bronze changes, it is judged by the threshold again."""
    objects = objects_of(read_ledger(lake, table).filter(pl.col("window") == window))
    lake.replace(ALLOWED, objects, None, predicate=f"table_name = '{table.name}' AND window = '{window}'")
