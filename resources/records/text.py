"""From stored bytes to text: gzip, encodings, what is no text at all, and the text as far as it has been fetched.

Not here: what a line or a record is.
"""

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from resources.records import limits


class Unreadable(Exception):
    """The object as a whole cannot be read; `str(e)` says why in one plain sentence."""


_GZIP = b"\x1f\x8b"
_NOT_TEXT = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old or a locked Office document",
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


def utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The object as UTF-8 without a BOM, lines ending in LF or CRLF; where it is not valid, neither is what comes."""
    head, chunks = _peek(_unzipped(chunks), limits.HEAD_BYTES)
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise Unreadable(f"It is {what}, not text.")
    if encoding := _UTF16.get(head[:2]):
        head, chunks = _peek(_recoded(chunks, encoding), limits.HEAD_BYTES)
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
                    text = member.decompress(data, limits.STEP_BYTES)
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


class Held:
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
        while self.at < len(self.data) or self.more(limits.STEP_BYTES):
            found = self.data.find(end, self.at) if end else -1
            stop = len(self.data) if found < 0 else found
            start += self.data[self.at : min(stop, self.at + limits.TEXT_BYTES - len(start))]
            size += stop - self.at
            self.at = stop
            if found >= 0:
                self.at += 1
                break
        return shortened(start, size)


def shortened(data: bytes, size: int | None = None) -> str:
    """The text of a record of `size` bytes that begins with `data`, as it can be stored."""
    size = size or len(data)
    if size <= limits.TEXT_BYTES:
        return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")  # leaves half a character alone
    text = decoder.decode(data[: limits.TEXT_BYTES]).replace("\0", "\\x00")
    return f"{text} …[cut, {size - limits.TEXT_BYTES + len(decoder.getstate()[0])} bytes]"
