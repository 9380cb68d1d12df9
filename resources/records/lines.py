"""From text to lines: parts of whole lines, as bytes and as a column, and where each line is.

Not here: what a line says.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import polars as pl

from resources.records import limits
from resources.records.text import Held

_NO_TEXT = re.compile("[\0\udc80-\udcff]")


@dataclass
class Part:
    """Whole lines: as UTF-8, each with its line end, and as a column without.

    What no text has is spelled out behind a NUL (`\\0\\xff`), so a line with a NUL in it is one that cannot be read.
    """

    raw: bytes
    lines: pl.Series

    @classmethod
    def of(cls, raw: bytes) -> "Part":
        return cls(raw, pl.read_lines(raw)["line"])

    def only(self, rows: pl.Series) -> "Part":
        """The lines of these numbers."""
        lines = self.lines.gather(rows)
        # With CRLF, because a line may have another CR at its end.
        return Part("".join(line + "\r\n" for line in lines.to_list()).encode(), lines)

    def without_blanks(self) -> "Part":
        return self.only((self.lines.str.strip_chars(" \t\r") != "").arg_true())

    @cached_property
    def starts(self) -> pl.Series:
        """Where each line begins in `raw`, and where the last one ends."""
        sizes = self.lines.str.len_bytes().cast(pl.Int64)
        returns = len(self.raw) - sizes.sum() - len(sizes)
        if returns in (0, len(sizes)):
            sizes += 1 if returns == 0 else 2
        else:
            sizes = pl.Series([len(line) + 1 for line in self.raw.split(b"\n")[:-1]], dtype=pl.Int64)
        return pl.concat([pl.Series([0], dtype=pl.Int64), sizes.cum_sum()])

    def patched(self, patches: Mapping[int, bytes], lines: int) -> bytes:
        """The first `lines` lines, those in `patches` replaced."""
        rows = sorted(patches)
        begins = [*self.starts.gather(rows).to_list(), self.starts[lines]]
        ends = [0, *self.starts.gather([row + 1 for row in rows]).to_list()]
        kept = [memoryview(self.raw)[end:begin] for end, begin in zip(ends, begins, strict=True)]
        return b"".join(chain.from_iterable(zip(kept, [*map(patches.__getitem__, rows), b""], strict=True)))


def spelled_out(raw: bytes) -> Part:
    """These lines, whatever bytes are in them."""
    if b"\0" not in raw:
        with suppress(pl.exceptions.ComputeError):  # not UTF-8
            return Part.of(raw)
    text = raw.decode("utf-8", "surrogateescape")
    return Part.of(_NO_TEXT.sub(lambda byte: f"\0\\x{ord(byte[0]) & 0xFF:02x}", text).encode())


def parts(held: Held, size: int) -> Iterator[Part | str]:
    """Lines of about `size` bytes together; in place of one that is too long its text, shortened."""
    size = min(size, limits.RECORD_BYTES)
    while held.at < len(held.data) or held.more(size):
        if len(held.data) - held.at < size // 2 and held.more(size):
            continue
        end = held.data.rfind(b"\n", held.at, held.at + size) + 1
        if not end:
            end = held.data.find(b"\n", held.at + size) + 1
            if not end and len(held.data) - held.at <= limits.RECORD_BYTES:
                if held.more():
                    continue
                end = len(held.data)
            if not end or end - held.at > limits.RECORD_BYTES + 1:
                yield held.skip(b"\n")
                continue
        raw, held.at = held.data[held.at : end], end
        part = spelled_out(raw if raw.endswith(b"\n") else raw + b"\n")
        if len(part.lines) > limits.PART_LINES:
            yield from parts(Held(iter([raw])), size // 2)
        else:
            yield part
