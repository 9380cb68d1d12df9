"""An object read, and what holds for any object checked; its rows as short as they can be."""

import json
import re
from itertools import pairwise

import polars as pl
from hypothesis import HealthCheck, settings

from resources.records import Seen, Unreadable, read_records

COLUMNS = ("a", "b", "c")
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(data, layout="json", columns=COLUMNS, cuts=(), part_bytes=1 << 20):
    """The rows and what was seen; checks what holds for any object."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(places)]
    seen = Seen()
    frames = list(read_records(chunks, columns, layout, seen, part_bytes=part_bytes))
    for frame in frames:
        assert dict(frame.schema) == {
            **dict.fromkeys([*columns, "_extra", "_corrupt"], pl.String()),
            "_line": pl.Int64(),
        }
        assert frame.height
    rows = [row for frame in frames for row in frame.to_dicts()]
    assert [row.pop("_line") for row in rows] == list(range(1, len(rows) + 1))
    assert seen.rows == len(rows)
    assert seen.undeclared == sum(row["_extra"] is not None for row in rows)
    for row in rows:
        assert row["_corrupt"] is None or not any(value for name, value in row.items() if name != "_corrupt")
    return rows, seen


def outcome(*arguments, **options):
    """The rows and what was seen, or why the object is unreadable."""
    try:
        return read(*arguments, **options)
    except Unreadable as error:
        assert re.fullmatch(r"[^\n]+[^\s]", str(error))
        return str(error)


def texts(data, layout="json", columns=COLUMNS, **options):
    """The rows as short as they can be: the values, the extra object, or what is corrupt."""
    rows, _ = read(data, layout, columns, **options)
    return [
        row["_corrupt"]
        if row["_corrupt"] is not None
        else (*(row[name] for name in columns), *([json.loads(row["_extra"])] if row["_extra"] else []))
        for row in rows
    ]
