"""A JSON record per line: from lines to a frame.

Lines that are spelled alike are cut (`json_alike`), the others parsed. A parsed line is certain to hold the declared
fields, each once, and nothing else if it has no more keys than declared columns that came out non-null (or that it
spells as null); only what is left then is looked at one by one.
"""

import json
import re
from collections.abc import Sequence

import polars as pl

from resources.records.frames import completed, require_height, scattered
from resources.records.json_alike import read_alike
from resources.records.json_syntax import ESCAPES, FLAT_OBJECT, compact, is_refused, members_of
from resources.records.lines import Part


def json_lines(part: Part, columns: Sequence[str]) -> pl.DataFrame:
    """A record per line, blank ones left out."""
    alike = read_alike(part.lines, columns)
    if alike is None:
        return _any_lines(part, columns)
    frame, others = alike
    parsed = _any_lines(part.only(others), columns)
    if parsed.height < len(others):
        return json_lines(part.without_blanks(), columns)
    nothing = pl.lit(None, pl.String)
    frame = frame.with_columns(_extra=nothing, _corrupt=nothing)
    return frame.with_columns(frame[column].scatter(others, parsed[column]) for column in parsed.columns)


def _any_lines(part: Part, columns: Sequence[str]) -> pl.DataFrame:
    """The same of lines that need not be alike."""
    raw, lines = part.raw, part.lines
    odd = (~(lines.str.starts_with("{") & lines.str.ends_with("}"))).arg_true()
    stripped = lines.gather(odd).str.strip_chars(" \t\r")
    if (stripped == "").any():
        return _any_lines(part.without_blanks(), columns)
    unread = set(odd.filter(~(stripped.str.starts_with("{") & stripped.str.ends_with("}"))))
    if b"\0" in raw:
        unread.update(lines.str.contains("\0", literal=True).arg_true())
    if b"\\" in raw:
        halves = lines.str.contains(r"\\u[dD][89a-fA-F]").arg_true()
        found = map(ESCAPES.findall, lines.gather(halves).to_list())
        unread.update(row for row, escapes in zip(halves.to_list(), found, strict=True) if any(escapes))
    frame = _frame(part, unread, columns)

    extra: dict[int, str] = {}
    nested: dict[str, dict[int, str]] = {}
    spelled = {json.dumps(column, ensure_ascii=False).encode(): column for column in columns}
    uncertain = _uncertain(part, frame, unread)
    for row, line in zip(uncertain.to_list(), lines.gather(uncertain).to_list(), strict=True):
        members = members_of(line.encode())
        if len(dict(members)) < len(members):
            unread.add(row)
            continue
        undeclared = []
        for name, value in members:
            if name not in spelled:
                undeclared.append(b"%b:%b" % (name, compact(value)))
            elif value[:1] in (b"[", b"{"):
                nested.setdefault(spelled[name], {})[row] = compact(value).decode()
        if undeclared:
            extra[row] = f"{{{b','.join(undeclared).decode()}}}"
    frame = frame.with_columns(scattered(frame[column], values) for column, values in nested.items())
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    frame = frame.with_columns(_extra=scattered(nothing, extra))
    rows = sorted(unread)
    return completed(frame, dict(zip(rows, lines.gather(rows).to_list(), strict=True)))


def _frame(part: Part, unread: set[int], columns: Sequence[str]) -> pl.DataFrame:
    """The declared fields of each line, nulls for those `unread`, to which the malformed ones are added."""

    def read(text: bytes) -> pl.DataFrame:
        return pl.read_ndjson(text, schema=dict.fromkeys(columns, pl.String))

    def read_halves(texts: list[str], first: int) -> list[pl.DataFrame]:
        try:
            return [read("\n".join(texts).encode())]
        except pl.exceptions.ComputeError:
            if len(texts) == 1:
                unread.add(first)
                return [read(b"{}")]
            half = len(texts) // 2
            return read_halves(texts[:half], first) + read_halves(texts[half:], first + half)

    lines = part.lines
    try:
        frame = read(part.patched(dict.fromkeys(unread, b"{}\n"), len(lines)) if unread else part.raw)
    except pl.exceptions.ComputeError:  # one malformed line fails them all: find it, the cheap way first
        doubtful = (~lines.str.contains(FLAT_OBJECT)).arg_true()
        texts = lines.gather(doubtful).to_list()
        unread.update(row for row, text in zip(doubtful.to_list(), texts, strict=True) if is_refused(text))
        frame = pl.concat(read_halves(lines.clone().scatter(list(unread), "{}").to_list(), 0))
    require_height(frame, len(lines))
    return frame


def _uncertain(part: Part, frame: pl.DataFrame, unread: set[int]) -> pl.Series:
    """The rows that may have a repeated or undeclared field, or a nested value, which Polars may print as no JSON."""
    raw, lines = part.raw, part.lines
    colons = raw.count(b":") - lines.gather(list(unread)).str.count_matches(":", literal=True).sum()
    nested = b"[" in raw
    if colons == sum(column.count() for column in frame) and not nested:
        return pl.Series([], dtype=pl.UInt32)
    present = frame.select(pl.sum_horizontal(pl.all().is_not_null().cast(pl.UInt32))).to_series()
    odd = present != lines.str.count_matches(":", literal=True)
    if nested:
        odd |= lines.str.contains("[", literal=True)
    rows = odd.scatter(list(unread), False).arg_true()
    lines, frame, present = lines.gather(rows), frame[rows], present.gather(rows)
    keys = lines.str.count_matches(r'"[ \t\r]*:')  # never too few: a string can only look like one more
    flat = ~lines.str.contains("[", literal=True)
    # In a flat object without escapes, `"name": null` can be nothing but that field.
    plain = flat & ~lines.str.contains("\\", literal=True) & (lines.str.count_matches("{", literal=True) == 1)
    for column in frame:
        if column.null_count():
            null = lines.str.contains(rf'"{re.escape(column.name)}"[ \t\r]*:[ \t\r]*null')
            present += (plain & column.is_null() & null).cast(pl.UInt32)
    return rows.filter(~(flat & (keys == present)))
