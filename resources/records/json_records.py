"""JSON of any layout: a record per line, an array of records, or objects spread over lines.

Here: which layout it is, and cutting the latter two into their records, which are then read as lines.
"""

import re
from collections.abc import Iterator, Sequence

import polars as pl

from resources.records import limits
from resources.records.frames import set_aside
from resources.records.json_lines import json_lines
from resources.records.json_syntax import after_space, is_malformed, value_end
from resources.records.lines import Part, parts, spelled_out
from resources.records.text import Held

_OBJECT_LINE = re.compile(rb"\{[ \t\r]*\n")


def json_frames(held: Held, columns: Sequence[str], part_bytes: int) -> Iterator[pl.DataFrame]:
    """The records of an object, of whichever layout it is."""
    while held.at == len(held.data) and held.more(limits.HEAD_BYTES):
        held.at = after_space(held.data, 0)
    if len(held.data) - held.at < limits.HEAD_BYTES:
        held.more(limits.HEAD_BYTES)
    if held.data[held.at : held.at + 1] == b"[":
        yield from _values(held, columns, part_bytes, array=True)
    elif _OBJECT_LINE.match(held.data, held.at, held.at + limits.HEAD_BYTES):
        yield from _values(held, columns, part_bytes, array=False)
    else:
        for part in parts(held, part_bytes):
            yield json_lines(part, columns) if isinstance(part, Part) else set_aside(part, columns)


def _values(held: Held, columns: Sequence[str], part_bytes: int, array: bool) -> Iterator[pl.DataFrame]:
    """A record per element of an array (`held` is at its bracket), or per object of several.

    From the first element on that is malformed all the rest is one record, because nothing tells where the next begins.
    """
    held.at += array
    first, stopped = True, False
    while not stopped:
        at, spans = 0, list[tuple[int, int]]()  # counted from held.at
        while at < part_bytes and len(spans) < limits.PART_LINES:
            start, end = _next_value(held.data, held.at + at, array, first)
            start, size = start - held.at, None if end is None else end - start
            too_long = (len(held.data) - held.at if size is None else start + size) - at > limits.RECORD_BYTES
            if size is None and not too_long and held.more():
                continue
            if not size or too_long:
                stopped, at = True, start
                break
            first, at = False, start + size
            spans.append((start, at))
        values = [held.data[held.at + start : held.at + end] for start, end in spans]
        if values:
            # CR for LF: white space as before, not valid in a string as before.
            lines = b"\n".join(value.replace(b"\n", b"\r") for value in values) + b"\n"
            frame = json_lines(spelled_out(lines), columns)
            for row in frame["_corrupt"].is_not_null().arg_true():
                if is_malformed(values[row]):
                    frame, stopped, at = frame.head(row), True, spans[row][0]
                    break
            yield frame.with_columns(pl.col("_corrupt").str.replace_all("\r", "\n", literal=True))
        held.at += at
    closed = array and held.data[held.at : held.at + 1] == b"]"
    held.at += closed
    if closed or not array:
        while held.at < len(held.data) or held.more():
            held.at = after_space(held.data, held.at)
            if held.at < len(held.data):
                break
        else:
            return
    yield set_aside(held.skip(None) or "[the array is not closed]", columns)


def _next_value(data: bytes, at: int, array: bool, first: bool) -> tuple[int, int | None]:
    """Where the next value begins and ends: None if `data` ends first, its own beginning if there is none."""
    start = after_space(data, at)
    comma = None
    if array and not first:
        if data[start : start + 1] != b",":
            return start, start if start < len(data) else None
        comma, start = start, after_space(data, start + 1)
    begins = data[start : start + 1]
    if begins == b"]" and comma is not None:
        return comma, comma
    if begins and (begins in b",:]}" if array else begins != b"{"):
        return start, start
    return start, value_end(data, start)
