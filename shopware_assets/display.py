"""How rows look to a person and to a program. Knows nothing of what the rows mean.

A person gets a table where it fits the terminal, otherwise a block of `name: value` for each row; only long text is
cut, and says so. A program gets every value in full: decimals as exact text, because readers of JSON numbers make
doubles of them; times in ISO 8601, UTC; NULL as null or as an empty field.
"""

import csv
import io
import json
import math
import shutil
import textwrap
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from rich.cells import cell_len

_GAP = "  "
_LONGEST = 300


def terminal_width() -> int:
    """Columns of the terminal; plenty where there is none."""
    return shutil.get_terminal_size((200, 24)).columns


def for_people(frame: pl.DataFrame, width: int, *, thousands: bool = False) -> Iterator[str]:
    """The frame as lines of at most `width` columns where words allow it, its header first.

    Args:
        thousands: Whether whole numbers are counts, to be grouped by thousands, and not names of things.
    """
    names = frame.columns
    if not names:
        return
    rows = [[_readable(value, thousands) for value in row] for row in frame.iter_rows()]
    sizes = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    if sum(sizes) + len(_GAP) * (len(sizes) - 1) > width:
        for row in rows:
            yield from _block(names, row, width)
        return
    numeric = [dtype.is_numeric() for dtype in frame.dtypes]
    for row in ([*names], ["─" * size for size in sizes], *rows):
        cells = [
            " " * (size - cell_len(text)) + text if right else text + " " * (size - cell_len(text))
            for text, size, right in zip(row, sizes, numeric, strict=True)
        ]
        yield _GAP.join(cells).rstrip()


def _block(names: list[str], row: list[str], width: int) -> Iterator[str]:
    """The first value, and below it the others by name, empty ones left out."""
    yield row[0] or f"({names[0]} is missing)"
    pairs = [f"{name}:\N{NO-BREAK SPACE}{text}" for name, text in zip(names[1:], row[1:], strict=True) if text]
    indent = " " * 4
    room = width - len(indent)
    glued = "   ".join(pair.replace(" ", "\N{NO-BREAK SPACE}") if cell_len(pair) <= room else pair for pair in pairs)
    for line in textwrap.wrap(glued, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False):
        yield line.replace("\N{NO-BREAK SPACE}", " ")


def _readable(value: Any, thousands: bool) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() if thousands:
            return f"{value:,}"
        case float():
            return f"{value:.6g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}" + (f".{value:%f}" if value.microsecond else "")
        case str():
            shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in value[:_LONGEST])
            return shown + (f"… ({len(value):,} characters)" if len(value) > _LONGEST else "")
        case list() | dict():
            return json.dumps(value, default=plain, ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case Decimal():
            return f"{value:f}"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case list():
            return [plain(part) for part in value]
        case dict():
            return {name: plain(part) for name, part in value.items()}
    return value


def as_json(frame: pl.DataFrame) -> Iterator[str]:
    """One array of objects, a line each."""
    yield "["
    last = frame.height - 1
    for number, row in enumerate(frame.iter_rows(named=True)):
        yield json.dumps(plain(row), ensure_ascii=False) + ("," if number < last else "")
    yield "]"


def as_csv(frame: pl.DataFrame) -> Iterator[str]:
    """A header and a line for each row; nested values as JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (frame.columns, *frame.iter_rows()):
        values = (plain(value) for value in row)
        writer.writerow(json.dumps(v, ensure_ascii=False) if isinstance(v, (list, dict, bool)) else v for v in values)
        yield buffer.getvalue().removesuffix("\n")
        buffer.seek(0)
        buffer.truncate()
