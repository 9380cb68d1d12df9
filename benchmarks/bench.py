"""Our speed and memory beside Spark's, DuckDB's and the floor's: `make bench`.

Belongs here: running contenders side by side, measuring their whole process trees, checking their counts, writing
results.md. What a contender does is its own affair: it is a script beside this one (see CONTENDERS), called with DATA
and OUT, that prints its counts as JSON. What the works are is said in `generate_*.py`. A section of the results is a
function that returns Markdown, named in SECTIONS. Linux only.
"""

import ctypes
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from generate import DATA, ROWS, Work, dataset, readable_copy
from generate_inventory import INVENTORY
from generate_pos_sales import POS_SALES

RESULTS = Path(__file__).with_name("results.md")
CONTENDERS = {
    "ours": ("ours.py {table}", "ours: landing to committed bronze, silver, rejected, ledger"),
    "duckdb": ("duckdb_{table}.py", "DuckDB by hand, to Parquet"),
    "pyspark": ("pyspark_{table}.py", "PySpark local[2] by hand, to Parquet"),
    "floor": ("floor.py {table}", "floor: Polars, clean lines to Parquet, nothing judged"),
}
"""The script of each, with its first words, for the work on a table; and what the results call it."""
GOLD = {"shop": "order and category KPIs", "stock": "sales by product, stock and product performance"}
SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "grocery"
BECOME_SUBREAPER = 36  # prctl: what outlives its parent becomes our child, to be waited for and its time counted


@dataclass(frozen=True)
class Options:
    rows: int
    runs: int
    only: list[str]


@dataclass(frozen=True)
class Measurement:
    """Of a command and all that it started: seconds until it was done, CPU seconds (user, system), peak bytes."""

    wall: float
    cpu: float
    peak: int
    printed: str


def measure(command: list[str]) -> Measurement:
    """Runs `command` and waits for every child of this process; RuntimeError with its last words if it fails.

    Peak memory is the largest sum of resident memory seen in its session (a look every 20 ms), or the high-water mark
    of one of its processes if that is more.
    """
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
    signal.siginterrupt(signal.SIGINT, True)  # Polars' own handler lets the wait below go on
    os.sync()  # what the run before left to be written is not charged to this one
    peak, wall, cpu = 0, 0.0, 0.0
    done = threading.Event()

    def watch(session: int) -> None:
        nonlocal peak
        before: set[int] = set()
        while not done.wait(0.02):
            members = _members(session)
            # Seen twice: a process that has only just been forked still shares, and shows, the memory of its parent.
            resident, highest = zip((0, 0), *map(_memory, members & before), strict=True)
            peak = max(peak, sum(resident), *highest)
            before = members

    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        watcher = threading.Thread(target=watch, args=(child.pid,))
        watcher.start()
        try:
            while True:
                pid, status, usage = os.wait4(-1, 0)
                cpu += usage.ru_utime + usage.ru_stime
                if pid == child.pid:
                    wall = time.perf_counter() - started
                    child.returncode = os.waitstatus_to_exitcode(status)
        except ChildProcessError:  # none is left
            pass
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGTERM)  # a session of its own does not hear Ctrl-C
            raise
        finally:
            done.set()
            watcher.join()
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{err.read()[-3000:]}")
        return Measurement(wall, cpu, peak, out.read())


def _members(session: int) -> set[int]:
    members = set()
    for pid in [int(process.name) for process in Path("/proc").glob("[0-9]*")]:
        try:
            if os.getsid(pid) == session:
                members.add(pid)
        except ProcessLookupError:  # it has ended since the listing
            pass
    return members


def _memory(pid: int) -> tuple[int, int]:
    """Resident memory of a process now and at its highest, in bytes; zeros when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = {name: int(size) * 1024 for name, size in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE)}
    return sizes.get("VmRSS", 0), sizes.get("VmHWM", 0)


def contend(work: Work, options: Options) -> dict[str, list[Measurement]]:
    """The runs of each contender, in turn, each with an empty folder to write to. ValueError on a wrong count."""
    folder = dataset(work, options.rows)
    expected = json.loads((folder / "expected.json").read_text())
    floor_expected = {"read": expected["read"] - expected["rules"]["record_readable"]}
    runs: dict[str, list[Measurement]] = {name: [] for name in options.only}
    for _ in range(options.runs):
        for name in options.only:
            data = readable_copy(work, folder) if name == "floor" else folder / "landing"
            out = DATA / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            script, *words = CONTENDERS[name][0].format(table=work.table).split()
            run = measure([sys.executable, str(Path(__file__).with_name(script)), *words, str(data), str(out)])
            counts, right = json.loads(run.printed), floor_expected if name == "floor" else expected
            if counts != right:
                raise ValueError(f"{name} counts {counts}, but the files hold {right}")
            print(f"{name}: {run.wall:.1f} s, {run.cpu:.1f} CPU s, {run.peak / 1e9:.2f} GB", file=sys.stderr)
            runs[name].append(run)
            shutil.rmtree(out)
    return runs


def side_by_side(work: Work, options: Options) -> str:
    """The contenders' runs of a work, and what each took of ours and of the floor's time."""
    runs = contend(work, options)
    wall = {name: statistics.median(run.wall for run in of) for name, of in runs.items()}

    def ratio(name: str, to: str) -> str:
        return f"{wall[name] / wall[to]:.2f}" if to in wall else ""

    rows = [
        (
            CONTENDERS[name][1],
            f"{wall[name]:.1f}",
            f"{min(run.wall for run in of):.1f} to {max(run.wall for run in of):.1f}",
            f"{statistics.median(run.cpu for run in of):.1f}",
            f"{max(run.peak for run in of) / 1e9:.2f}",
            ratio(name, "ours"),
            ratio(name, "floor"),
        )
        for name, of in runs.items()
    ]
    header = ("contender", "wall s", "range", "CPU s", "peak GB", "wall / ours", "wall / floor")
    how = f"{options.rows:,} rows, median of {options.runs}, in turn; all counts as expected."
    return f"{how}\n\n{table(header, rows)}"


def memory(options: Options) -> str:
    """Ours alone on ten times the rows: memory must not grow with them."""
    return side_by_side(INVENTORY, Options(rows=10 * options.rows, runs=1, only=["ours"]))


def run(*words: str) -> dict[str, float]:
    """What a function of history.py prints."""
    return json.loads(measure([sys.executable, str(Path(__file__).with_name("history.py")), *words]).printed)


def history(options: Options) -> str:
    """What grows with history and what must not (see history.py), and loading the definitions."""
    days = {what: [*run("gold_day", what, "300", "30", "365").values()] for what in GOLD}
    tick = run("tick", "50000")
    loading = [sys.executable, "-c", "import shopware_assets.definitions"]
    load = statistics.median(measure(loading).wall for _ in range(options.runs))
    rows = (
        *(
            line
            for what, (month, year) in days.items()
            for line in (
                (f"{GOLD[what]} of one day, 30 days of history", f"{month:.3f} s", ""),
                ("the same, 365 days of history", f"{year:.3f} s", ""),
                ("ratio", f"{year / month:.2f}", "1.2"),
            )
        ),
        ("sensor tick over 50,000 ingested objects", f"{tick['seconds']:.1f} s", "10 s"),
        ("its peak memory", f"{tick['peak'] / 1e6:.0f} MB", "300 MB"),
        ("loading the definitions", f"{load:.1f} s", "3 s"),
    )
    return table(("", "measured", "target"), rows)


def moving(options: Options) -> str:
    """What lands as workbooks, and what leaves landing for the archive."""
    rows = []
    if SAMPLE.is_dir():
        seconds = statistics.median(run("workbooks", str(SAMPLE))["seconds"] for _ in range(options.runs))
        rows.append(("the real sample, 2 workbooks of 15 sheets, landed to gold", f"{seconds:.1f} s", "10 s"))
    seconds = run("archived", "10000")["seconds"]
    rows.append(("10,000 objects of SeaweedFS into the archive", f"{seconds:.0f} s", ""))
    rows.append(("its rate", f"{10_000 / seconds:.0f} objects/s", ""))
    return table(("", "measured", "target"), rows)


_HEAD = """# Benchmarks

`make bench` measures all of this again: contenders in turn, 5 runs each unless it says otherwise; a gold day is the
median of 15; what else has a target is one run.

"""
SECTIONS: dict[str, Callable[[Options], str]] = {
    "Inventory": partial(side_by_side, INVENTORY),
    "Point of sale": partial(side_by_side, POS_SALES),
    "Memory": memory,
    "History": history,
    "Workbooks and archive": moving,
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    rule = ("---", *["---:"] * (len(header) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows)) + "\n"


def machine() -> str:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "deltalake", "duckdb", "pyspark", "dagster"))
    return (
        f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {gigabytes:.0f} GB; "
        f"Python {platform.python_version()}, {packages}; load before the run {os.getloadavg()[0]:.1f}."
    )


def publish(title: str, body: str) -> None:
    """Puts a section into results.md, in place of the one of that title if it is there."""
    text = RESULTS.read_text() if RESULTS.exists() else _HEAD
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    bodies = dict(section.split("\n", 1) for section in sections) | {title: body}
    RESULTS.write_text(head + "\n".join(f"## {name}\n\n{body.strip()}\n" for name, body in bodies.items()))


def main(
    sections: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SECTIONS)}; all if none.")] = None,
    rows: int = ROWS,
    runs: int = 5,
    only: Annotated[list[str] | None, typer.Option(help="A contender; then results.md stays as it is.")] = None,
) -> None:
    """Measure, print the tables and write results.md."""
    for title in sections or SECTIONS:
        around = machine()
        body = f"{around}\n\n{SECTIONS[title](Options(rows, runs, only or list(CONTENDERS)))}"
        print(f"## {title}\n\n{body}")
        if not only:
            publish(title, body)


if __name__ == "__main__":
    typer.run(main)
