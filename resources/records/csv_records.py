"""CSV records: a header, then a record per line, or per several where a field with line ends in it is quoted.

Polars reads the lines that are plain; the others are read one by one, and put in their rows.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import polars as pl

from resources.records import limits
from resources.records.frames import completed, require_height, scattered, set_aside
from resources.records.lines import Part, parts
from resources.records.text import Held, Unreadable

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+'
_FIELD = rf'(?:{_QUOTED}"(?=,|\r?\n)|(?!")[^,\n]*+)'
_FIELDS = re.compile(rf',({_QUOTED}"|[^,]*+)')
_BLANK_LINES = re.compile(rb"\A(?:[ \t\r]*\n)+")
_MANY = 50  # from so many fields on, a pattern for a whole line is slower than it is worth


class _Table:
    """What the records of one object look like, told by the names in its header."""

    def __init__(self, names: Sequence[str]) -> None:
        count = len(names)
        self.names = names
        self.schema = {str(position): pl.String for position in range(count)}
        self.filler = b"," * (count - 1) + b"\n" if count > 1 else b"-\n"
        self.record, self.unclosed = _patterns(2 * count)
        field = '(?:"(?:[^"]|"")*"|[^",]*)'
        self.line = rf"\A{field}(?:,{field}){{{count - 1}}}\z" if count < _MANY else None


def _patterns(most: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A record of up to `most` + 1 fields, and one whose last field is not closed.

    Without a bound, each line of a file of nothing but quotes and commas would be searched to the end of the file.
    """
    record, unclosed = rf"{_FIELD}(?:,{_FIELD}){{0,{most}}}+\r?\n", rf"(?:{_FIELD},){{0,{most}}}{_QUOTED}\Z"
    return re.compile(record.encode()), re.compile(unclosed.encode())


def csv_frames(held: Held, columns: Sequence[str], part_bytes: int) -> tuple[tuple[str, ...], Iterator[pl.DataFrame]]:
    """The declared columns that the header lacks, and the records.

    Raises `Unreadable` if the header does not tell what the records are.
    """
    pieces = parts(held, part_bytes)
    names, rest = _header(pieces)
    if not names:
        return (), iter(())
    missing = tuple(column for column in columns if column not in names)
    if len(missing) == len(columns):
        raise Unreadable(f"Its header names none of the columns: {_listed(names)}.")
    return missing, _frames(chain([Part.of(rest)], pieces, [""]), _Table(names), columns)


def _frames(pieces: Iterable[Part | str], table: _Table, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    rest = b""
    for part in pieces:
        # A record that is open does not go on in a line that is too long, nor at the end.
        whole = Part.of(rest) if isinstance(part, str) else Part.of(rest + part.raw) if rest else part
        if whole.raw:
            frame, end = _records(whole, table, columns, last=isinstance(part, str))
            rest = whole.raw[end:]
            yield frame
        if isinstance(part, str) and part:
            yield set_aside(part, columns)


def _header(pieces: Iterable[Part | str]) -> tuple[list[str], bytes]:
    """The names in the header, and what is behind it in its part; no names if there are only blank lines."""
    record, unclosed = _patterns(limits.HEADER_NAMES - 1)
    header, raw = None, b""
    for piece in pieces:
        if isinstance(piece, str):
            raise Unreadable("Its header is too long.")
        raw = _BLANK_LINES.sub(b"", raw + piece.raw)
        header = record.match(raw)
        short = raw.count(b"\n") < limits.RECORD_LINES and len(raw) <= limits.RECORD_BYTES
        goes_on = not raw or (short and unclosed.match(raw))
        if header or not goes_on:
            break
    if not raw:
        return [], raw
    if header is None or header.end() > limits.RECORD_BYTES or header.group().count(b"\n") > limits.RECORD_LINES:
        raise Unreadable("Its header cannot be read: a quote is not closed, or it has too many names.")
    names = [name.strip() for name in _fields(header.group().decode().replace("\0", ""))]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Unreadable(f"Its header has a name twice: {_listed(twice)}.")
    return names, raw[header.end() :]


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(map(repr, names))
    return text if len(text) <= 500 else f"{text[:500]} …"


def _fields(record: str) -> list[str]:
    fields = _FIELDS.findall("," + record.removesuffix("\n").removesuffix("\r"))
    return [field[1:-1].replace('""', '"') if field.startswith('"') else field for field in fields]


def _records(part: Part, table: _Table, columns: Sequence[str], last: bool) -> tuple[pl.DataFrame, int]:
    """The records in a part and where they end: before a record that is still open, if this is not the last part."""
    raw, lines = part.raw, part.lines
    if b'"' in raw and table.line:
        plain = lines.str.contains(table.line)
    else:
        plain = lines.str.count_matches(",", literal=True) == len(table.names) - 1
        if b'"' in raw:
            plain &= ~lines.str.contains('"', literal=True)
    if b"\0" in raw:
        plain &= ~lines.str.contains("\0", literal=True)
    if len(table.names) == 1:
        plain &= lines.str.strip_chars(" \t\r") != ""

    odd = (~plain).arg_true()
    if b'"' not in raw and (lines.gather(odd).str.strip_chars(" \t\r") == "").any():
        frame, _ = _records(part.without_blanks(), table, columns, last)
        return frame, len(raw)

    # Lines that are not plain are replaced, and what they hold is put in their rows afterwards.
    places = part.starts.to_list() if len(odd) else []
    patches: dict[int, bytes] = {}
    read: dict[int, list[str]] = {}
    corrupt: dict[int, str] = {}
    used, following, gone = len(lines), 0, 0
    for line, text in zip(odd.to_list(), lines.gather(odd).to_list(), strict=True):
        if line < following:
            continue
        row, fields, following = line - gone, [], line + 1
        if '"' in text:
            start = places[line]
            limit = min(places[min(line + limits.RECORD_LINES, len(lines))], start + limits.RECORD_BYTES)
            record = table.record.match(raw, start, limit)
            if record:
                following = bisect_left(places, record.end(), line)
                text = record.group().decode().removesuffix("\n").removesuffix("\r")
                fields = _fields(text)
            elif not last and limit == len(raw) and table.unclosed.match(raw, start):
                used = line
                break
        elif not text.strip(" \t\r"):
            patches[line] = b""
            gone += 1
            continue
        if len(fields) == len(table.names) and "\0" not in text:
            read[row] = fields
        else:
            corrupt[row] = text
        patches[line] = table.filler
        patches.update(dict.fromkeys(range(line + 1, following), b""))
        gone += following - line - 1

    end = part.starts[used]
    if patches or end < len(raw):
        raw = part.patched(patches, used)
    # Polars takes a BOM from the first line.
    frame = pl.read_csv(table.filler + raw, has_header=False, schema=table.schema, empty_string_is_null=False)[1:]
    require_height(frame, used - gone)
    if read:
        frame = frame.with_columns(
            scattered(frame[name], {row: fields[place] for row, fields in read.items()})
            for place, name in enumerate(table.schema)
        )
    positions = dict(zip(table.names, table.schema, strict=True))
    undeclared = [pl.col(positions[name]).alias(name) for name in table.names if name not in columns]
    frame = frame.select(
        *(
            pl.col(positions[name]).alias(name) if name in positions else pl.lit(None, pl.String).alias(name)
            for name in columns
        ),
        _extra=pl.struct(undeclared).struct.json_encode() if undeclared else pl.lit(None, pl.String),
    )
    return completed(frame, corrupt), end
