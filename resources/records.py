"""Bytes of one landed object to bronze rows: as Polars frames, a bounded part at a time.

Here: gzip, encodings, JSON and CSV; what a record is, which records cannot be read, and the text of each field.
Not here: where the bytes come from, what a field means, and anything that judges a row.

Objects come from strangers, so nothing here recurses over what they sent, holds more than a few parts or one record
of it, or lets one record stop the next: what cannot be read is set aside in `_corrupt`.

Speed: Polars reads whole parts; per record, only cheap vectorised tests run. A line of JSON is certain to hold the
declared fields, each once, and nothing else if it has no more keys than declared columns that came out non-null (or
that it spells as null); only the other lines are looked at one by one. How a record is read never changes its values.
"""

import codecs
import json
import math
import re
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import polars as pl

RECORD_BYTES = 64 << 20  # a longer record is not read
RECORD_LINES = 1_000  # a CSV record that spans more is an unclosed quote
TEXT_BYTES = 1 << 20  # of a record that cannot be read, this much is kept
HEADER_NAMES = 10_000
_HEAD_BYTES = 64 << 10  # what an object is, is told from its beginning
_PART_LINES = 500_000  # lines of a few bytes weigh much more as rows than as text
_STEP_BYTES = 1 << 20


class Unreadable(Exception):
    """The object as a whole cannot be read; `str(e)` says why in one plain sentence."""


@dataclass
class Seen:
    """What was noticed while reading: filled as the generator advances, complete when it is exhausted."""

    rows: int = 0  # records yielded
    missing_columns: tuple[str, ...] = ()  # declared columns that the header of a CSV lacks
    undeclared: int = 0  # records with at least one undeclared field


def read_records(
    chunks: Iterable[bytes],
    columns: Sequence[str],
    layout: Literal["json", "csv"],
    seen: Seen,
    *,
    part_bytes: int = 16 << 20,
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
    held = _Held(_text(chunks))
    frames = _json(held, columns, part_bytes) if layout == "json" else _csv(held, columns, seen, part_bytes)
    for frame in frames:
        if frame.height:
            first = seen.rows + 1
            seen.rows += frame.height
            seen.undeclared += frame["_extra"].count()
            yield frame.with_columns(_line=pl.int_range(first, seen.rows + 1, dtype=pl.Int64))


# --- From stored bytes to text ---------------------------------------------------------------------------------------

_GZIP = b"\x1f\x8b"
_NOT_TEXT = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"PAR1": "a Parquet file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    _GZIP: "gzip inside gzip",
}
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r")) + b"\x7f"


def _text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The object as UTF-8 without a BOM, lines ending in LF or CRLF; where it is not valid, neither is what comes."""
    head, chunks = _peek(_unzipped(chunks), _HEAD_BYTES)
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise Unreadable(f"It is {what}, not text.")
    if encoding := _UTF16.get(head[:2]):
        head, chunks = _peek(_recoded(chunks, encoding), _HEAD_BYTES)
    bom = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    first_line = head[bom:].lstrip().partition(b"\n")[0]
    if min(_odd_share(head[bom:]), _odd_share(first_line)) > 0.3:
        raise Unreadable("It is not text: neither UTF-8 nor UTF-16 with a byte order mark.")
    carriage_returns = b"\r" in head and b"\n" not in head
    for chunk in chunks:
        chunk, bom = chunk[bom:], max(0, bom - len(chunk))
        yield chunk.replace(b"\r", b"\n") if carriage_returns else chunk


def _peek(chunks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes, and all of them again."""
    chunks, held = iter(chunks), b""
    for chunk in chunks:
        held += chunk
        if len(held) >= size:
            break
    return held[:size], chain([held], chunks)


def _unzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    head, chunks = _peek(map(bytes, chunks), len(_GZIP))
    if head != _GZIP:
        yield from chunks
        return
    member = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        # Small slices, because what follows the end of a member is copied, and members can be tiny.
        for start in range(0, len(chunk), 1 << 15):
            data = chunk[start : start + (1 << 15)]
            while data:
                if member.eof:
                    data = data.lstrip(b"\0")  # padding is allowed behind a member
                    if not data:
                        break
                    member = zlib.decompressobj(wbits=31)
                try:
                    text = member.decompress(data, _STEP_BYTES)
                except zlib.error as error:
                    raise Unreadable(f"Its gzip is damaged ({error}).") from error
                if text:
                    yield text
                data = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise Unreadable("Its gzip is cut short.")


def _recoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """UTF-16 as UTF-8; what is not valid in the one is not in the other, so it is noticed in its own record."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    bom = "\ufeff"
    for chunk in chunks:
        text = decoder.decode(chunk)
        if text:
            yield text.removeprefix(bom).encode("utf-8", "surrogatepass")
            bom = ""
    dangling, _ = decoder.getstate()
    yield b"\xff" * len(dangling)


def _odd_share(data: bytes) -> float:
    """The share of bytes that text does not have."""
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return (controls + data.decode("utf-8", "replace").count("\ufffd")) / max(1, len(data))


class _Held:
    """The text of an object from `at` on, as far as it has been fetched into `data`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.data, self.at = b"", 0
        self._chunks = chunks

    def more(self, size: int = 0) -> bool:
        """Fetch until `size` bytes, and twice as many as before, are held; False if there are no more.

        Doubling keeps the work linear where a long record has to be looked at again from its beginning.
        """
        pieces = [self.data[self.at :]]
        before = length = len(pieces[0])
        for chunk in self._chunks:
            pieces.append(chunk)
            length += len(chunk)
            if length > before and length >= max(size, 2 * before):
                break
        self.data, self.at = b"".join(filter(None, pieces)), 0
        return length > before

    def skip(self, end: bytes | None) -> str:
        """Go on behind the next `end`, or to the end of the object; what was skipped, shortened."""
        start, size = b"", 0
        while self.at < len(self.data) or self.more(_STEP_BYTES):
            found = self.data.find(end, self.at) if end else -1
            stop = len(self.data) if found < 0 else found
            start += self.data[self.at : min(stop, self.at + TEXT_BYTES - len(start))]
            size += stop - self.at
            self.at = stop
            if found >= 0:
                self.at += 1
                break
        return _shortened(start, size)


def _shortened(data: bytes, size: int | None = None) -> str:
    """The text of a record of `size` bytes that begins with `data`, as it can be stored."""
    size = size or len(data)
    if size <= TEXT_BYTES:
        return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")  # leaves half a character alone
    text = decoder.decode(data[:TEXT_BYTES]).replace("\0", "\\x00")
    return f"{text} …[cut, {size - TEXT_BYTES + len(decoder.getstate()[0])} bytes]"


# --- From text to lines ----------------------------------------------------------------------------------------------


_NO_TEXT = re.compile("[\0\udc80-\udcff]")


@dataclass
class _Part:
    """Whole lines: as UTF-8, each with its line end, and as a column without.

    What no text has is spelled out behind a NUL (`\\0\\xff`), so a line with a NUL in it is one that cannot be read.
    """

    raw: bytes
    lines: pl.Series


_NOTHING = _Part(b"", pl.Series([], dtype=pl.String))


def _part(raw: bytes) -> _Part:
    try:
        if b"\0" not in raw:
            return _Part(raw, _lines(raw))
    except pl.exceptions.ComputeError:  # not UTF-8
        pass
    text = raw.decode("utf-8", "surrogateescape")
    raw = _NO_TEXT.sub(lambda byte: f"\0\\x{ord(byte[0]) & 0xFF:02x}", text).encode()
    return _Part(raw, _lines(raw))


def _lines(raw: bytes) -> pl.Series:
    return pl.read_lines(raw)["line"]


def _without_blanks(part: _Part) -> _Part:
    lines = part.lines.filter(part.lines.str.strip_chars(" \t\r") != "")
    # With CRLF, because a line may have another CR at its end.
    return _Part("".join(line + "\r\n" for line in lines.to_list()).encode(), lines)


def _parts(held: _Held, size: int) -> Iterator[_Part | str]:
    """Lines of about `size` bytes together; in place of one that is too long its text, shortened."""
    size = min(size, RECORD_BYTES)
    while held.at < len(held.data) or held.more(size):
        if len(held.data) - held.at < size and held.more(size):
            continue
        end = held.data.rfind(b"\n", held.at, held.at + size) + 1
        if not end:
            end = held.data.find(b"\n", held.at + size) + 1
            if not end and len(held.data) - held.at <= RECORD_BYTES:
                if held.more():
                    continue
                end = len(held.data)
            if not end or end - held.at > RECORD_BYTES + 1:
                yield held.skip(b"\n")
                continue
        raw, held.at = held.data[held.at : end], end
        part = _part(raw if raw.endswith(b"\n") else raw + b"\n")
        if len(part.lines) > _PART_LINES:
            yield from _parts(_Held(iter([raw])), size // 2)
        else:
            yield part


def _starts(raw: bytes, lines: pl.Series) -> pl.Series:
    """Where each line begins in `raw`, and where the last one ends."""
    returns = len(raw) - lines.str.len_bytes().sum() - len(lines)
    if returns in (0, len(lines)):
        sizes = lines.str.len_bytes() + (1 if returns == 0 else 2)
    else:
        sizes = pl.Series([len(line) + 1 for line in raw.split(b"\n")[:-1]])
    return pl.concat([pl.Series([0], dtype=pl.Int64), sizes.cast(pl.Int64).cum_sum()])


def _patched(raw: bytes, starts: pl.Series, patches: Mapping[int, bytes], lines: int) -> bytes:
    """The first `lines` lines of `raw`, those in `patches` replaced."""
    rows = sorted(patches)
    begins = [*starts.gather(rows).to_list(), starts[lines]]
    ends = [0, *starts.gather([row + 1 for row in rows]).to_list()]
    kept = [memoryview(raw)[end:begin] for end, begin in zip(ends, begins, strict=True)]
    return b"".join(chain.from_iterable(zip(kept, [*map(patches.__getitem__, rows), b""], strict=True)))


def _require_height(frame: pl.DataFrame, rows: int) -> None:
    """What is found out about a line goes to the row of its number, so Polars has to see the same lines."""
    if frame.height != rows:
        raise RuntimeError(f"Polars read {frame.height} rows where there are {rows}.")


def _completed(frame: pl.DataFrame, corrupt: Mapping[int, str]) -> pl.DataFrame:
    """The frame with `_corrupt`, given by row; all else is null in these rows."""
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    if not corrupt:
        return frame.with_columns(_corrupt=nothing)
    texts = _scattered(nothing, {row: _shortened(text.replace("\0", "").encode()) for row, text in corrupt.items()})
    return frame.select(pl.when(texts.is_null()).then(pl.all())).with_columns(_corrupt=texts)


def _scattered(column: pl.Series, values: Mapping[int, str]) -> pl.Series:
    return column.clone().scatter(list(values), list(values.values())) if values else column


# --- JSON ------------------------------------------------------------------------------------------------------------

_NO_JSON_SPACE = re.compile(rb"[^ \t\r\n]")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_MEMBER = re.compile(rb'[{,\s]*+(%b)\s*+:\s*+(%b|[^\s"\[\]{},]++)?' % (_STRING, _STRING), re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%b)*+[\[\]{}]' % _STRING, re.DOTALL)
_SCALAR = re.compile(rb'%b|[^\s"\[\]{},:]++' % _STRING, re.DOTALL)
_WITHOUT_SPACE = re.compile(rb'%b|[^\s"]++' % _STRING, re.DOTALL)
_OBJECT_LINE = re.compile(rb"\{[ \t\r]*\n")
# Over a whole line an escape is seen as such; what stands in the group is half a character.
_ESCAPES = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F])|.)", re.DOTALL)


def _flat_object() -> str:
    """A pattern (of Polars) for a line that is certain to be an object of scalars: no deeper, no huge numbers."""
    space = r"[ \t\r]*"
    string = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
    number = r"-?(?:0|[1-9][0-9]{0,37})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?"
    member = f"{space}{string}{space}:{space}(?:{string}|{number}|true|false|null){space}"
    return rf"\A{space}\{{(?:{member}(?:,{member})*|{space})\}}{space}\z"


_FLAT_OBJECT = _flat_object()


def _json(held: _Held, columns: Sequence[str], part_bytes: int) -> Iterator[pl.DataFrame]:
    while held.at == len(held.data) and held.more(_HEAD_BYTES):
        held.at = _after_space(held.data, 0)
    if len(held.data) - held.at < _HEAD_BYTES:
        held.more(_HEAD_BYTES)
    if held.data[held.at : held.at + 1] == b"[":
        yield from _json_values(held, columns, part_bytes, array=True)
    elif _OBJECT_LINE.match(held.data, held.at, held.at + _HEAD_BYTES):
        yield from _json_values(held, columns, part_bytes, array=False)
    else:
        for part in _parts(held, part_bytes):
            yield _json_lines(part, columns) if isinstance(part, _Part) else _set_aside(part, columns)


def _set_aside(text: str, columns: Sequence[str]) -> pl.DataFrame:
    """One record that cannot be read."""
    return pl.DataFrame(
        {**dict.fromkeys(columns), "_extra": None, "_corrupt": text},
        schema=dict.fromkeys([*columns, "_extra", "_corrupt"], pl.String),
    )


def _json_lines(part: _Part, columns: Sequence[str]) -> pl.DataFrame:
    """A record per line, blank ones left out."""
    raw, lines = part.raw, part.lines
    odd = (~(lines.str.starts_with("{") & lines.str.ends_with("}"))).arg_true()
    stripped = lines.gather(odd).str.strip_chars(" \t\r")
    if (stripped == "").any():
        return _json_lines(_without_blanks(part), columns)
    unread = set(odd.filter(~(stripped.str.starts_with("{") & stripped.str.ends_with("}"))))
    if b"\0" in raw:
        unread.update(lines.str.contains("\0", literal=True).arg_true())
    if b"\\" in raw:
        halves = lines.str.contains(r"\\u[dD][89a-fA-F]").arg_true()
        found = map(_ESCAPES.findall, lines.gather(halves).to_list())
        unread.update(row for row, escapes in zip(halves.to_list(), found, strict=True) if any(escapes))
    frame = _json_frame(raw, lines, unread, columns)

    extra: dict[int, str] = {}
    nested: dict[str, dict[int, str]] = {}
    spelled = {json.dumps(column, ensure_ascii=False).encode(): column for column in columns}
    uncertain = _uncertain(raw, lines, frame, unread)
    for row, line in zip(uncertain.to_list(), lines.gather(uncertain).to_list(), strict=True):
        members = _members(line.encode())
        if len(dict(members)) < len(members):
            unread.add(row)
            continue
        undeclared = []
        for name, value in members:
            if name not in spelled:
                undeclared.append(b"%b:%b" % (name, _compact(value)))
            elif value[:1] in (b"[", b"{"):
                nested.setdefault(spelled[name], {})[row] = _compact(value).decode()
        if undeclared:
            extra[row] = f"{{{b','.join(undeclared).decode()}}}"
    frame = frame.with_columns(_scattered(frame[column], values) for column, values in nested.items())
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    frame = frame.with_columns(_extra=_scattered(nothing, extra))
    rows = sorted(unread)
    return _completed(frame, dict(zip(rows, lines.gather(rows).to_list(), strict=True)))


def _json_frame(raw: bytes, lines: pl.Series, unread: set[int], columns: Sequence[str]) -> pl.DataFrame:
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

    try:
        if unread:
            raw = _patched(raw, _starts(raw, lines), dict.fromkeys(unread, b"{}\n"), len(lines))
        frame = read(raw)
    except pl.exceptions.ComputeError:  # one malformed line fails them all: find it, the cheap way first
        doubtful = (~lines.str.contains(_FLAT_OBJECT)).arg_true()
        texts = lines.gather(doubtful).to_list()
        unread.update(row for row, text in zip(doubtful.to_list(), texts, strict=True) if _is_refused(text))
        frame = pl.concat(read_halves(lines.clone().scatter(list(unread), "{}").to_list(), 0))
    _require_height(frame, len(lines))
    return frame


def _uncertain(raw: bytes, lines: pl.Series, frame: pl.DataFrame, unread: set[int]) -> pl.Series:
    """The rows that may have a repeated or undeclared field, or a nested value, which Polars may print as no JSON."""
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


def _members(line: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a valid object: names as JSON strings with no escapes but the needed ones, values as spelled."""
    if line.count(b"{") == 1 and b"[" not in line:
        members = _MEMBER.findall(line)
    else:
        members, at = [], 0
        while member := _MEMBER.match(line, at):
            name, value = member.groups()
            at = member.end()
            if value is None:
                end = _value_end(line, at) or len(line)
                value, at = line[at:end], end
            members.append((name, value))
    if b"\\" in line:
        members = [
            (json.dumps(json.loads(name), ensure_ascii=False).encode() if b"\\" in name else name, value)
            for name, value in members
        ]
    return members


def _compact(value: bytes) -> bytes:
    """The value without the white space between its parts."""
    return b"".join(_WITHOUT_SPACE.findall(value)) if value[:1] in (b"[", b"{") else value


def _after_space(data: bytes, at: int) -> int:
    found = _NO_JSON_SPACE.search(data, at)
    return found.start() if found else len(data)


def _value_end(data: bytes, start: int) -> int | None:
    """Where the JSON value that begins at `start` ends; None if `data` ends first."""
    if data[start : start + 1] not in (b"[", b"{"):
        scalar = _SCALAR.match(data, start)
        return scalar.end() if scalar and scalar.end() < len(data) else None
    at, depth = start, 0
    while bracket := _TO_BRACKET.match(data, at):
        at = bracket.end()
        depth += 1 if data[at - 1] in b"[{" else -1
        if depth == 0:
            return at
    return None


def _json_values(held: _Held, columns: Sequence[str], part_bytes: int, array: bool) -> Iterator[pl.DataFrame]:
    """A record per element of an array (`held` is at its bracket), or per object of several.

    From the first element on that is malformed all the rest is one record, because nothing tells where the next begins.
    """
    held.at += array
    first, stopped = True, False
    while not stopped:
        at, spans = 0, list[tuple[int, int]]()  # counted from held.at
        while at < part_bytes and len(spans) < _PART_LINES:
            start, end = _next_value(held.data, held.at + at, array, first)
            start, size = start - held.at, None if end is None else end - start
            too_long = (len(held.data) - held.at if size is None else start + size) - at > RECORD_BYTES
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
            frame = _json_lines(_part(lines), columns)
            for row in frame["_corrupt"].is_not_null().arg_true():
                if _is_malformed(values[row]):
                    frame, stopped, at = frame.head(row), True, spans[row][0]
                    break
            yield frame.with_columns(pl.col("_corrupt").str.replace_all("\r", "\n", literal=True))
        held.at += at
    closed = array and held.data[held.at : held.at + 1] == b"]"
    held.at += closed
    if closed or not array:
        while held.at < len(held.data) or held.more():
            held.at = _after_space(held.data, held.at)
            if held.at < len(held.data):
                break
        else:
            return
    yield _set_aside(held.skip(None) or "[the array is not closed]", columns)


def _next_value(data: bytes, at: int, array: bool, first: bool) -> tuple[int, int | None]:
    """Where the next value begins and ends: None if `data` ends first, its own beginning if there is none."""
    start = _after_space(data, at)
    comma = None
    if array and not first:
        if data[start : start + 1] != b",":
            return start, start if start < len(data) else None
        comma, start = start, _after_space(data, start + 1)
    begins = data[start : start + 1]
    if begins == b"]" and comma is not None:
        return comma, comma
    if begins and (begins in b",:]}" if array else begins != b"{"):
        return start, start
    return start, _value_end(data, start)


def _float(text: str) -> float:
    exponent = int(text.lower().partition("e")[2] or 0)
    if math.isinf(value := float(text)) or abs(exponent) >= 10 * (2**32 + 1):
        raise ValueError
    return value


def _integer(text: str) -> int:
    if not -(2**127) <= (value := int(text)) < 2**128:
        raise ValueError
    return value


def _no_number(text: str) -> None:
    raise ValueError


_AS_POLARS = json.JSONDecoder(parse_float=_float, parse_int=_integer, parse_constant=_no_number)
_GRAMMAR = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_number, strict=False)


def _is_refused(line: str) -> bool:
    """Whether Polars refuses the line, as far as that is easily told."""
    return _fails(_AS_POLARS, line)


def _is_malformed(value: bytes) -> bool:
    """Whether the value is against JSON's grammar, and not only too deep, too large or no UTF-8."""
    return _fails(_GRAMMAR, value.decode("utf-8", "replace"))


def _fails(decoder: json.JSONDecoder, text: str) -> bool:
    try:
        decoder.decode(text)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False


# --- CSV -------------------------------------------------------------------------------------------------------------

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+'
_FIELD = rf'(?:{_QUOTED}"(?=,|\r?\n)|(?!")[^,\n]*+)'
_FIELDS = re.compile(rf',({_QUOTED}"|[^,]*+)')
_BLANK_LINES = re.compile(rb"\A(?:[ \t\r]*\n)+")
_MANY = 50  # from so many fields on, a pattern for a whole line is slower than it is worth


class _Csv:
    """What the records of one object look like, told by the names in its header."""

    def __init__(self, names: Sequence[str]) -> None:
        count = len(names)
        self.names = names
        self.schema = {str(position): pl.String for position in range(count)}
        self.filler = b"," * (count - 1) + b"\n" if count > 1 else b"-\n"
        self.record, self.unclosed = _csv_patterns(2 * count)
        field = '(?:"(?:[^"]|"")*"|[^",]*)'
        self.line = rf"\A{field}(?:,{field}){{{count - 1}}}\z" if count < _MANY else None


def _csv_patterns(most: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A record of up to `most` + 1 fields, and one whose last field is not closed.

    Without a bound, each line of a file of nothing but quotes and commas would be searched to the end of the file.
    """
    record, unclosed = rf"{_FIELD}(?:,{_FIELD}){{0,{most}}}+\r?\n", rf"(?:{_FIELD},){{0,{most}}}{_QUOTED}\Z"
    return re.compile(record.encode()), re.compile(unclosed.encode())


def _csv(held: _Held, columns: Sequence[str], seen: Seen, part_bytes: int) -> Iterator[pl.DataFrame]:
    parts = _parts(held, part_bytes)
    names, first = _csv_header(parts)
    if not names:
        return
    seen.missing_columns = tuple(column for column in columns if column not in names)
    if len(seen.missing_columns) == len(columns):
        raise Unreadable(f"Its header names none of the columns: {_listed(names)}.")
    table, rest = _Csv(names), b""
    for part in chain([first], parts, [""]):
        whole = part if isinstance(part, _Part) else _NOTHING
        if rest:
            raw = rest + whole.raw
            whole = _Part(raw, _lines(raw))
        if whole.raw:  # a record that is open does not go on in a line that is too long, nor at the end
            frame, end = _csv_records(whole, table, columns, last=isinstance(part, str))
            rest = whole.raw[end:]
            yield frame
        if isinstance(part, str) and part:
            yield _set_aside(part, columns)


def _csv_header(parts: Iterable[_Part | str]) -> tuple[list[str], _Part]:
    """The names in the header, and what is behind it in its part; no names if there are only blank lines."""
    record, unclosed = _csv_patterns(HEADER_NAMES - 1)
    header, raw, part = None, b"", _NOTHING
    for piece in parts:
        if isinstance(piece, str):
            raise Unreadable("Its header is too long.")
        part = piece
        raw = _BLANK_LINES.sub(b"", raw + part.raw)
        header = record.match(raw)
        goes_on = not raw or (raw.count(b"\n") < RECORD_LINES and len(raw) <= RECORD_BYTES and unclosed.match(raw))
        if header or not goes_on:
            break
    if not raw:
        return [], part
    if header is None or header.end() > RECORD_BYTES or header.group().count(b"\n") > RECORD_LINES:
        raise Unreadable("Its header cannot be read: a quote is not closed, or it has too many names.")
    names = [name.strip() for name in _csv_fields(header.group().decode().replace("\0", ""))]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Unreadable(f"Its header has a name twice: {_listed(twice)}.")
    rest = raw[header.end() :]
    lines = part.raw[: len(part.raw) - len(rest)].count(b"\n")
    return names, _Part(rest, part.lines[lines:])


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(map(repr, names))
    return text if len(text) <= 500 else f"{text[:500]} …"


def _csv_fields(record: str) -> list[str]:
    fields = _FIELDS.findall("," + record.removesuffix("\n").removesuffix("\r"))
    return [field[1:-1].replace('""', '"') if field.startswith('"') else field for field in fields]


def _csv_records(part: _Part, table: _Csv, columns: Sequence[str], last: bool) -> tuple[pl.DataFrame, int]:
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
        frame, _ = _csv_records(_without_blanks(part), table, columns, last)
        return frame, len(raw)

    # Lines that are not plain are replaced, and what they hold is put in their rows afterwards.
    starts = _starts(raw, lines)
    places = starts.to_list() if len(odd) else []
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
            limit = min(places[min(line + RECORD_LINES, len(lines))], start + RECORD_BYTES)
            record = table.record.match(raw, start, limit)
            if record:
                following = bisect_left(places, record.end(), line)
                text = record.group().decode().removesuffix("\n").removesuffix("\r")
                fields = _csv_fields(text)
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

    end = starts[used]
    if patches or end < len(raw):
        raw = _patched(raw, starts, patches, used)
    # Polars takes a BOM from the first line.
    frame = pl.read_csv(table.filler + raw, has_header=False, schema=table.schema, empty_string_is_null=False)[1:]
    _require_height(frame, used - gone)
    if read:
        frame = frame.with_columns(
            _scattered(frame[name], {row: fields[place] for row, fields in read.items()})
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
    return _completed(frame, corrupt), end
