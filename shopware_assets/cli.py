"""`shopware`: the command line, on the same lake that `make dev` shows, and without it.

Each command is a few lines around a function that has a home elsewhere; what is here is words for people. Exit codes:
0 done, 1 something asked for is not as it should be, 2 a setting or an argument is wrong.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from resources.landing import Landing
from resources.settings import Misconfigured, Settings, prepare_home, read_settings
from resources.world import resources_for
from shopware_assets import ledger, report
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
out, err = Console(), Console(stderr=True)


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def _fail(message: str, code: int) -> typer.Exit:
    err.print(message, style="red", soft_wrap=True, highlight=False, markup=False)
    return typer.Exit(code)


@contextmanager
def _world() -> Iterator[tuple[Settings, dict]]:
    """Settings and resources; whatever is set wrong ends the command with one sentence."""
    try:
        settings = read_settings()
        yield settings, resources_for(settings)
    except Misconfigured as error:
        raise _fail(str(error), 2) from None


def _show(frame: pl.DataFrame, form: Format = Format.table) -> None:
    if form is Format.csv:
        sys.stdout.write(frame.write_csv())
    elif form is Format.json:
        sys.stdout.write(frame.write_json() + "\n")
    else:
        with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=200, tbl_width_chars=report.width(), **report.STYLE):
            print(frame)


@app.command()
def simulate(
    feed: Annotated[str, typer.Option(help="inventory or shop.")] = "shop",
    days: Annotated[int, typer.Option(min=1, help="How many days of data.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="New rows a day.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 1,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = datetime(2025, 6, 1),
    dirty: Annotated[float, typer.Option(min=0, max=1, help="Share of rows that are broken.")] = 0.0,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of rows that come late.")] = 0.0,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of rows and files sent again.")] = 0.0,
    live: Annotated[bool, typer.Option(help="Go on for ever, a small file every few seconds.")] = False,
) -> None:
    """Write believable files into landing, exactly repeatable for one seed, and print what they hold."""
    from simulator import simulate as simulated

    with _world() as (settings, resources):
        landing = resources["landing"].open()
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


@app.command()
def land(
    prefix: Annotated[str, typer.Argument(help="Where: inventory, shop/orders, shop/order_items, shop/products.")],
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="What to put there.")],
) -> None:
    """Put files into landing as a source would."""
    with _world() as (settings, resources):
        prefixes = sorted(contract.prefix for contract in CONTRACTS.values())
        if not any(prefix.strip("/") == p or prefix.strip("/").startswith(f"{p}/") for p in prefixes):
            raise _fail(f"Nothing reads {prefix!r}: sources land under {', '.join(prefixes)}.", 2)
        prepare_home(settings)
        landing = resources["landing"].open()
        for file in files:
            key = f"{prefix.strip('/')}/{file.name}"
            landing.put(key, file.read_bytes())
            out.print(f"{key}  {file.stat().st_size:,} bytes", highlight=False, markup=False)


@app.command()
def settle() -> None:
    """Run, in this process, all that the sensors ask for, until they ask for nothing more."""
    import dagster as dg

    from sensors.watch import Watch
    from shopware_assets.definitions import build_defs
    from shopware_assets.partitions import Partitions
    from shopware_assets.settle import settle as settle_all

    logging.getLogger("dagster").setLevel(logging.ERROR)
    with _world() as (settings, resources):
        home = prepare_home(settings)
        lake = resources["lake"].open()
        lake.check_store()
        watch = Watch(
            lake,
            resources["landing"].open(),
            resources["engine"].open(),
            resources["rules"],
            Partitions(settings.starts_at),
        )
        job = build_defs(settings).resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.from_config(str(home)) as instance, _progress() as progress:
            settled = settle_all(job, instance, watch, resources["notifications"], progress)
        for line in report.after_settling(lake, settings.reject_threshold):
            out.print(line, highlight=False, markup=False, soft_wrap=True)
        if settled.given_up:
            for request in settled.given_up:
                err.print(f"Not done after three attempts: {request.about} {' to '.join(request.span)}", style="red")
            raise typer.Exit(1)


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
    form: Annotated[Format, typer.Option("--format")] = Format.table,
) -> None:
    """Query bronze.x, silver.x, silver.x_rejected, gold.x and ledger."""
    from resources.query import Refused, query

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    with _world() as (_, resources):
        lake = resources["lake"].open()
        tables = {table.name.replace("/", "."): lambda table=table: lake.open(table) for table in report.tables()}
        try:
            _show(query(statement, tables), form)
        except Refused as error:
            raise _fail(str(error), 2) from None


@app.command()
def rejects(
    table: Annotated[str, typer.Argument(help="silver/orders, for example.")],
    rule: Annotated[str, typer.Option(help="Only rows that broke this rule.")] = "",
    source: Annotated[str, typer.Option(help="Only rows of objects whose key contains this.")] = "",
    limit: Annotated[int, typer.Option(min=1)] = 20,
    form: Annotated[Format, typer.Option("--format")] = Format.table,
) -> None:
    """Show rows that were set aside: the rules each broke, its text, its file and line."""
    with _world() as (_, resources):
        contract = _contract(table)
        if rule and rule not in contract.rule_severities:
            raise _fail(f"{table} has no rule {rule!r}; it has {', '.join(contract.rule_severities)}.", 2)
        rows = report.rejects(resources["lake"].open(), contract, rule, source, limit)
        _show(rows, form)


@app.command("ledger")
def show_ledger(
    feed: Annotated[str, typer.Option(help="Only tables of this feed.")] = "",
    source: Annotated[str, typer.Option(help="Only objects whose key contains this.")] = "",
    settled: Annotated[bool, typer.Option("--settled", help="Exit 1 also when a row is pending.")] = False,
    form: Annotated[Format, typer.Option("--format")] = Format.table,
) -> None:
    """Show what became of every row: read = accepted + rejected + superseded + pending, per object and per window."""
    with _world() as (_, resources):
        contracts = [c for c in CONTRACTS.values() if not feed or c.feed == feed]
        if not contracts:
            raise _fail(
                f"There is no feed {feed!r}; there are {', '.join(sorted({c.feed for c in CONTRACTS.values()}))}.", 2
            )
        lake = resources["lake"].open()
        objects, windows = report.ledger_lines(lake, contracts, source)
        _show(objects, form)
        if form is Format.table and not source:
            _show(windows, form)
        wrong = objects.filter(~pl.col("balances")).height + windows.filter(~pl.col("balances")).height
        pending = int(objects["pending"].sum())
        err.print(
            f"{objects.height:,} objects, {windows.height:,} windows: "
            + (f"{wrong:,} lines do not balance." if wrong else "all lines balance.")
            + (f" {pending:,} rows pending." if pending else ""),
            highlight=False,
        )
        if wrong or (settled and pending):
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
            raise _fail(f"{table} {window} is not held. Held: {names}.", 2)
        ledger.allow(lake, silver(contract), window)
        out.print(f"{table} {window} is let through until its objects change.", highlight=False)


@app.command()
def status(form: Annotated[Format, typer.Option("--format")] = Format.table) -> None:
    """Show every table: windows, rows, rejected share, newest window, last commit, size."""
    with _world() as (settings, resources):
        lake = resources["lake"].open()
        _show(report.status(lake), form)
        for line in report.after_settling(lake, settings.reject_threshold)[1:]:
            out.print(line, highlight=False, markup=False, soft_wrap=True)


def _contract(table: str):
    name = table.removeprefix("silver/").removeprefix("silver.")
    if name not in CONTRACTS:
        raise _fail(f"There is no table {table!r}; there are {', '.join(f'silver/{name}' for name in CONTRACTS)}.", 2)
    return CONTRACTS[name]
