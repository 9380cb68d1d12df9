"""How the text of an object is stored: encodings, gzip, and what is no text."""

import gzip
import random

import polars as pl
import pytest

from resources.records import Seen, Unreadable, read_records
from shopware_assets_tests.resources.records.reading import read, texts

TEXT = '{"a": "é😀"}\n{"a": 2}\n'
AS_READ = [("é😀", None, None), ("2", None, None)]


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.encode("utf-8-sig"),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        gzip.compress(TEXT.encode(), mtime=0),
        gzip.compress(b"\xff\xfe" + TEXT.encode("utf-16-le"), mtime=0),
        b"".join(gzip.compress(line.encode(), mtime=0) for line in TEXT.splitlines(keepends=True)) + bytes(100),
        gzip.compress(b"", mtime=0) * 3 + gzip.compress(TEXT.encode(), mtime=0),
    ],
)
def test_encodings(data):
    assert texts(data, cuts=range(len(data)), part_bytes=5) == AS_READ
    assert texts(data) == AS_READ


def test_memoryviews_and_empty_chunks_are_taken():
    chunks = [b"", memoryview(b'{"a": 1}'), b"", bytearray(b'\n{"a": 2}'), b""]
    frames = list(read_records(chunks, ["a"], "json", Seen()))
    assert pl.concat(frames)["a"].to_list() == ["1", "2"]


@pytest.mark.parametrize("layout", ["json", "csv"])
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        (b"%PDF-1.7\n1 0 obj\n", "PDF"),
        (b"PK\x03\x04" + b"a,b\n" * 50, "ZIP"),
        (b"PAR1" + b"a,b\n" * 50, "Parquet"),
        (gzip.compress(b"PAR1" + b"a,b\n" * 50, mtime=0), "Parquet"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), "gzip inside gzip"),
        (random.Random(1).randbytes(10_000), "not text"),
        (bytes(1_000), "not text"),
        ("a,b\n1,2\n".encode("utf-16-le"), "not text"),
        ("a,b\n1,2\n".encode("utf-32"), "not text"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-1], "cut short"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:15], "cut short"),
        (b"\x1f\x8b", "cut short"),
        (b"\x1f\x8bnot gzip at all", "damaged"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-8] + bytes(8), "damaged"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0) + b"rubbish behind it", "damaged"),
    ],
)
def test_what_is_no_text_is_unreadable(data, why, layout):
    for cuts in ((), range(100)):
        with pytest.raises(Unreadable, match=why):
            read(data, layout, cuts=cuts)


def test_utf16_that_is_broken_breaks_its_own_record():
    good = '{"a": 1}\n'.encode("utf-16-le")
    half = '{"a": "'.encode("utf-16-le") + b"\x00\xd8" + '"}\n'.encode("utf-16-le")
    rows = texts(b"\xff\xfe" + good + half + good + good[:-3])
    assert rows == [("1", None, None), '{"a": "\\xed\\xa0\\x80"}', ("1", None, None), '{"a": 1\\xff']
