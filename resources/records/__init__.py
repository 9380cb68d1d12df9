"""Bytes of one landed object to bronze rows: as Polars frames, a bounded part at a time.

Here: gzip, encodings, JSON and CSV; what a record is, which records cannot be read, and the text of each field.
Not here: where the bytes come from, what a field means, and anything that judges a row.

Objects come from strangers, so nothing here recurses over what they sent, holds more than a few parts or one record
of it (`limits`), or lets one record stop the next: what cannot be read is set aside in `_corrupt`.

The way of an object: `workbooks` takes out its sheets, if it has any; `text` makes UTF-8 of what is stored and `lines`
cuts it into parts; `json_records` and `csv_records` make frames of these. Polars reads whole parts; what it would read
wrongly or not at all is found by cheap tests of whole columns and looked at one by one. How a record is read never
changes its values.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from resources.records.csv_records import csv_frames
from resources.records.json_records import json_frames
from resources.records.text import Held, Unreadable, utf8
from resources.records.workbooks import sheets

__all__ = ["Seen", "Unreadable", "read_records", "sheets"]


@dataclass
class Seen:
    """What was noticed while reading: filled as the generator advances, complete when it is exhausted."""

    rows: int = 0  # records yielded
    corrupt: int = 0  # of them, those that cannot be read
    missing_columns: tuple[str, ...] = ()  # declared columns that the header of a CSV lacks
    undeclared: int = 0  # records with at least one undeclared field


def read_records(
    chunks: Iterable[bytes],
    columns: Sequence[str],
    layout: Literal["json", "csv"],
    seen: Seen,
    *,
    part_bytes: int = 4 << 20,  # much larger ones are slower: their memory is not used again
) -> Iterator[pl.DataFrame]:
    """Yield the records of one object, about `part_bytes` of text at a time and none of the frames empty.

    `chunks` is the object as stored, in pieces of any size. Each frame has every one of `columns` as String (null
    where the field is absent or null), then `_extra` (String: one JSON object of the undeclared fields, or null),
    `_corrupt` (String: the text of a record that cannot be read, or null; if not, the other fields are null) and
    `_line` (Int64: the number of the record in the object, from 1; blank lines are no records).

    "json" takes a record per line, one array of records, or objects spread over lines; "csv" wants a header. Strings
    and CSV fields are verbatim, JSON numbers have their value but not their spelling (Polars prints a double), nested
    values are JSON without white space.

    Raises `Unreadable`, also after some frames: those do not count then.
    """
    held = Held(utf8(chunks))
    if layout == "json":
        frames = json_frames(held, columns, part_bytes)
    else:
        seen.missing_columns, frames = csv_frames(held, columns, part_bytes)
    for frame in frames:
        if frame.height:
            first = seen.rows + 1
            seen.rows += frame.height
            seen.corrupt += frame["_corrupt"].count()
            seen.undeclared += frame["_extra"].count()
            yield frame.with_columns(_line=pl.int_range(first, seen.rows + 1, dtype=pl.Int64))
