"""`shopware`: the command line, on the same lake that `make dev` shows, and without it.

Each command is a few lines around a function that has a home elsewhere; what is here is words for people. Exit codes:
0 done, 1 something asked for is not as it should be, 2 a setting or an argument is wrong.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from resources.lake import Lake
from resources.landing import Landing
from resources.settings import MOST_HOURS, Misconfigured, Settings, dev_is_running, prepare_home, read_settings
from resources.world import check_store, resources_for
from shopware_assets import display, ledger, report
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
out, err = Console(), Console(stderr=True)


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="table for people; csv and json for programs.")]


def _fail(message: str, code: int) -> typer.Exit:
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in message)  # keys may hold anything
    err.print(shown, style="red", soft_wrap=True, highlight=False, markup=False)
    return typer.Exit(code)


@contextmanager
def _world() -> Iterator[tuple[Settings, dict]]:
    """Settings and resources; whatever is set wrong ends the command with one sentence."""
    try:
        settings = read_settings()
        yield settings, resources_for(settings)
    except Misconfigured as error:
        raise _fail(str(error), 2) from None


def _lake(resources: dict) -> Lake:
    """The lake, which can be read."""
    lake = resources["lake"].for_reading()
    lake.check_readable()
    return lake


def _landing(settings: Settings, resources: dict) -> Landing:
    """Landing; a person who has just seen `make dev` is told that this is not where it landed things."""
    if not settings.landing and (settings.home / "seaweedfs").is_dir():
        err.print("`make dev` is not running, nor is its landing: this is the folder landing/ of the home.")
    return resources["landing"].open()


def _show(frame: pl.DataFrame, form: Format = Format.table, *, thousands: bool = False) -> None:
    if form is Format.csv:
        lines = display.as_csv(frame)
    elif form is Format.json:
        lines = display.as_json(frame)
    else:
        lines = display.for_people(frame, display.terminal_width(), thousands=thousands)
    for line in lines:
        print(line)


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def simulate(
    feed: Annotated[str, typer.Option(help="inventory, pos, shop or grocery.")] = "shop",
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days of data.")] = 1,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="New rows a day.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 1,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = datetime(2025, 6, 1),
    dirty: Annotated[float, typer.Option(min=0, max=1, help="Share of rows that are broken.")] = 0.0,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of rows that come late.")] = 0.0,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of rows and files sent again.")] = 0.0,
    live: Annotated[bool, typer.Option(help="Go on for ever, small files every minute.")] = False,
) -> None:
    """Write believable files into landing, exactly repeatable for one seed, and print what they hold."""
    from simulator import simulate as simulated

    ends = start.date() + timedelta(days=days - 1)
    if ends > datetime.now(UTC).date():
        raise _fail(f"{ends} lies in the future: see --start and --days.", 2)
    with _world() as (settings, resources):
        prepare_home(settings)
        landing = _landing(settings, resources)
        if live:
            _land_live(landing, seed)
            return
        try:
            drops, account = simulated(
                feed, start=start.date(), days=days, rows=rows, seed=seed, dirty=dirty, late=late, duplicates=duplicates
            )
            for drop in drops:
                landing.put(drop.key, drop.body, drop.landed_at)
        except ValueError as error:
            raise _fail(f"{error}.", 2) from None
        out.print_json(json.dumps(asdict(account), default=str))


def _land_live(landing: Landing, seed: int) -> None:
    """Lands small files at their time, until interrupted."""
    from simulator import FEEDS
    from simulator.live import live

    for drop in live(sorted(FEEDS), seed, datetime.now(UTC)):
        time.sleep(max(0.0, (drop.landed_at - datetime.now(UTC)).total_seconds()))
        landing.put(drop.key, drop.body)
        out.print(f"{drop.key}  {len(drop.body):,} bytes", highlight=False, markup=False)


@app.command()
def land(
    prefix: Annotated[str, typer.Argument(help="Where, for example inventory or shop/orders.")] = "",
    files: Annotated[list[Path] | None, typer.Argument(exists=True, dir_okay=False, help="What to put there.")] = None,
    from_archive: Annotated[str, typer.Option(metavar="KEY", help="Instead, bring this archived object back.")] = "",
) -> None:
    """Put files into landing as a source would."""
    with _world() as (settings, resources):
        key = from_archive or prefix.strip("/")
        prefixes = sorted(contract.prefix for contract in CONTRACTS.values())
        if not any(key == p or key.startswith(f"{p}/") for p in prefixes) or {".", ".."} & {*key.split("/")}:
            raise _fail(f"Nothing reads {key!r}: sources land under {', '.join(prefixes)}.", 2)
        if not from_archive and not files:
            raise _fail(f"No file is named to be put under {prefix}.", 2)
        prepare_home(settings)
        landing = _landing(settings, resources)
        if from_archive:
            if not landing.restore(from_archive):
                is_there = landing.find(from_archive)
                why = "a {} in landing, which it would replace" if is_there else "no {} in the archive"
                raise _fail(f"There is {why.format(from_archive)}.", 2)
            _say(f"{from_archive} is back in landing.")
        for file in () if from_archive else files or ():
            key = f"{prefix.strip('/')}/{file.name}"
            landing.put(key, file.read_bytes())
            _say(f"{key}  {file.stat().st_size:,} bytes")


@app.command()
def archive(
    hours: Annotated[
        float | None, typer.Option(min=0, max=MOST_HOURS, help="SHOPWARE_ARCHIVE_AFTER_HOURS, if not given.")
    ] = None,
) -> None:
    """Move landed objects whose rows are in bronze to archive/, if they landed at least so many hours ago."""
    from shopware_assets.archive import NotMoved
    from shopware_assets.archive import archive as archive_objects

    with _world() as (settings, resources):
        lake, landing = _lake(resources), _landing(settings, resources)
        before = datetime.now(UTC) - timedelta(hours=settings.archive_after_hours if hours is None else hours)
        try:
            for prefix, moved in archive_objects(lake, landing, before):
                if moved:
                    _say(f"{prefix}: {moved:,} objects moved to archive/.")
        except NotMoved as error:
            raise _fail(str(error), 1) from None


@app.command()
def settle() -> None:
    """Run, in this process, all that the sensors ask for, until they ask for nothing more."""
    with _world() as (settings, resources):
        home = prepare_home(settings)
        lake, landing = resources["lake"].open(), _landing(settings, resources)
        check_store(lake)
        landing.check_readable()
        if resources["rules"].serves:
            resources["lookups"].check_endpoint()

        # Only now, because they take a second, and need settings that are right.
        import dagster as dg
        from sqlalchemy.exc import OperationalError

        from sensors.watch import Watch
        from shopware_assets.definitions import build_defs
        from shopware_assets.partitions import Partitions
        from shopware_assets.settle import settle as settle_all

        logging.getLogger("dagster").setLevel(logging.ERROR)
        watch = Watch(lake, landing, resources["engine"].open(), resources["rules"], Partitions(settings.starts_at))
        job = build_defs(settings).resolve_implicit_global_asset_job_def()
        try:
            with dg.DagsterInstance.from_config(str(home)) as instance, _progress() as progress:
                others_settle = dev_is_running(settings.home)
                settled = settle_all(
                    job, instance, watch, resources["notifications"], progress, others_settle=others_settle
                )
        except OperationalError as error:
            raise _fail(
                f"SHOPWARE_HOME is {str(settings.home)!r}, where Dagster cannot write: {error.orig}.", 1
            ) from None
        for line in report.after_settling(lake, settings.reject_threshold):
            _say(line)
        if settled.left_to_others:
            _say("More has landed meanwhile: `make dev` goes on with it.")
        if settled.undone:
            raise _fail("\n".join(settled.undone), 1)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("Looking for what there is to do", total=None)
        done = 0

        def tell(about: str, left: int) -> None:
            nonlocal done
            bar.update(task, description=about, total=done + left, completed=done)
            done += 1

        yield tell


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT, SHOW, DESCRIBE or EXPLAIN.")],
    form: FormatOption = Format.table,
) -> None:
    """Query bronze.x, silver.x, silver.x_rejected, gold.x, ledger and lineage.

    In bronze, a row with `_line = 0` is the marker of an object, not a row of it.
    As csv and json every value is whole: decimals as exact text, times in ISO 8601.
    """
    from resources.query import Refused, query

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    with _world() as (_, resources):
        try:
            _show(query(statement, _lake(resources), report.tables()), form)
        except Refused as error:
            raise _fail(str(error), 2) from None


@app.command()
def rejects(
    table: Annotated[str, typer.Argument(help="silver/orders, for example.")],
    rule: Annotated[str, typer.Option(help="Only rows that broke this rule.")] = "",
    source: Annotated[str, typer.Option(help="Only rows of objects whose key contains this.")] = "",
    window: Annotated[str, typer.Option(help="Only rows of windows whose name begins with this.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many rows.")] = 20,
    form: FormatOption = Format.table,
) -> None:
    """Show rows that were set aside: the rules each broke, its text, its file and record.

    With a rule that only warns, also the rows that were kept.
    """
    with _world() as (_, resources):
        contract = _contract(table)
        if rule and rule not in contract.rule_severities:
            raise _fail(f"{table} has no rule {rule!r}; it has {', '.join(contract.rule_severities)}.", 2)
        rows, found = report.rejects(_lake(resources), contract, rule, source, window, limit)
        _show(report.readable_rejects(rows) if form is Format.table else rows, form)
        err.print(f"{rows.height:,} of {found:,} rows.", highlight=False)


@app.command("ledger")
def show_ledger(
    feed: Annotated[str, typer.Option(help="Only tables of this feed.")] = "",
    source: Annotated[str, typer.Option(help="Only objects whose key contains this.")] = "",
    settled: Annotated[
        bool, typer.Option("--settled", help="Exit 1 also when a row is pending or being judged.")
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Show what became of every row: read = accepted + rejected + superseded + pending, per object and per window."""
    with _world() as (settings, resources):
        contracts = [c for c in CONTRACTS.values() if not feed or c.feed == feed]
        if not contracts:
            raise _fail(
                f"There is no feed {feed!r}; there are {', '.join(sorted({c.feed for c in CONTRACTS.values()}))}.", 2
            )
        lines = report.ledger_lines(_lake(resources), contracts, settings.reject_threshold, source)
        objects, windows = report.readable_ledger(lines)
        if source and objects.is_empty():
            raise _fail(f"No object that was read has {source!r} in its key.", 2)
        if form is Format.table:
            for part in (objects, windows):
                if not part.is_empty():
                    _show(part, thousands=True)
                    print()
        else:
            _show(lines, form)
        wrong, pending = lines.filter(~pl.col("balances")).height, int(objects["pending"].sum())
        being_made = windows.filter(pl.col("outcome") == report.BEING_MADE).height
        err.print(
            f"Objects: {objects.height:,}, windows: {windows.height:,}. "
            + (f"Lines that do not balance: {wrong:,}." if wrong else "All lines balance.")
            + (f" Rows pending: {pending:,}." if pending else "")
            + (f" Windows being made: {being_made:,}." if being_made else ""),
            highlight=False,
        )
        if wrong or (settled and (pending or being_made)):
            raise typer.Exit(1)


@app.command()
def allow(
    table: Annotated[str, typer.Argument(help="silver/orders, for example.")],
    window: Annotated[str, typer.Argument(help="The held window, as `shopware status` names it.")],
) -> None:
    """Let a held window through as it is now; gold goes on with the next settling."""
    with _world() as (settings, resources):
        contract = _contract(table)
        lake = resources["lake"].open()
        held = ledger.held_windows(lake, settings.reject_threshold)
        if (silver(contract).name, window) not in set(held.select("table_name", "window").iter_rows()):
            names = ", ".join(f"{t} {w}" for t, w in held.select("table_name", "window").iter_rows()) or "none"
            raise _fail(f"{silver(contract).name} {window} is not held. Held: {names}.", 2)
        ledger.allow(lake, silver(contract), window)
        _say(f"{silver(contract).name} {window} is let through until its objects change.")


@app.command()
def status(form: FormatOption = Format.table) -> None:
    """Show every table: windows, rows, rejected share, newest window, last commit, size."""
    with _world() as (settings, resources):
        lake = _lake(resources)
        lines = report.status(lake)
        if form is not Format.table:
            _show(lines, form)
            return
        _show(report.readable_status(lines), thousands=True)
        if lines["last_commit"].is_null().all():
            err.print(f"There is nothing yet in {lake.root}.", highlight=False, markup=False, soft_wrap=True)
        for line in report.after_settling(lake, settings.reject_threshold)[1:]:
            _say(line)


def _contract(table: str):
    name = table.removeprefix("silver/").removeprefix("silver.")
    if name not in CONTRACTS:
        raise _fail(f"There is no table {table!r}; there are {', '.join(f'silver/{name}' for name in CONTRACTS)}.", 2)
    return CONTRACTS[name]
