"""Whatever the bytes are: how they come changes nothing, and memory stays flat."""

import gzip
import subprocess
import sys
from functools import partial
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.records import limits
from shopware_assets_tests.resources.records.reading import outcome, quick
from shopware_assets_tests.resources.records.strategies import (
    cuts,
    edits,
    good_lines,
    lines_of_json,
    mutate,
    other_lines,
    part_sizes,
)

SMALL_LIMITS = {"RECORD_BYTES": 48, "RECORD_LINES": 3, "TEXT_BYTES": 16, "PART_LINES": 4}
csv_files = st.lists(
    st.sampled_from(
        ["1,2", "1,2,3", '"1","2"', '"1,2', '2",1', '"x\ny",2', '""', "", " ", '5",6', '"a""b",c', "é,\ufeff", ","]
    ),
    max_size=8,
).map(lambda lines: "\n".join(["a,b", *lines]).encode())
json_files = lines_of_json.map(b"\n".join) | st.lists(good_lines | other_lines, max_size=5).map(
    lambda values: b"[" + b", ".join(values) + b"]"
)
encoded = [
    lambda data: data,
    partial(gzip.compress, mtime=0),
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: b"\xff\xfe" + data.decode("utf-8", "replace").encode("utf-16-le"),
]
files = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda data, changes, encode: encode(mutate(data, changes)),
        csv_files | json_files,
        edits,
        st.sampled_from(encoded),
    ),
    st.builds(lambda data, changes: mutate(gzip.compress(data, mtime=0), changes), csv_files, edits),
)


@settings(quick, max_examples=150)
@given(files, st.sampled_from(["json", "csv"]), st.booleans(), cuts, part_sizes)
def test_anything_is_read_or_refused_in_the_same_way_however_it_comes(data, layout, small, cuts, part_bytes):
    with mock.patch.multiple(limits, **SMALL_LIMITS if small else {"RECORD_LINES": 1000}):
        assert outcome(data, layout, cuts=cuts, part_bytes=part_bytes) == outcome(data, layout)


PEAKS = """
import re, sys, zlib
from resources.records import Seen, read_records

def lines(size):
    line = b'{"a": 12345, "b": "some text that fills the line", "c": 1748736939.78}\\n' * 10_000
    for _ in range(size // len(line)):
        yield line

def array(size):
    yield b"["
    for chunk in lines(size):
        yield chunk.replace(b"\\n", b",")
    yield b"{}]"

def table(size):
    yield b"a,b,c\\n"
    for _ in range(size // 180_000):
        yield b'12345,"x",yy\\n1234,xx\\n' * 8_000

def bomb(size, byte=b"x"):
    packer = zlib.compressobj(wbits=31)
    for _ in range(size >> 20):
        yield packer.compress(byte * (1 << 20))
    yield packer.flush()

kind, part_bytes, *sizes = sys.argv[1], *map(int, sys.argv[2:])
chunks, layout = {
    "lines": (lines, "json"), "array": (array, "json"), "table": (table, "csv"), "bomb": (bomb, "json"),
    "blank": (lambda size: bomb(size, b"\\n"), "csv"),
}[kind]
for size in sizes:
    for frame in read_records(chunks(size << 20), ["a", "b", "c"], layout, Seen(), part_bytes=part_bytes):
        pass
    # Not ru_maxrss: that begins with the memory of the process that forked this one.
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) >> 10)
"""


def peaks(kind, *megabytes, part_bytes=4 << 20):
    """The most memory, in MB, that a process has held after it has read objects of these sizes."""
    command = [sys.executable, "-c", PEAKS, kind, str(part_bytes), *map(str, megabytes)]
    return [int(peak) for peak in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


@pytest.mark.parametrize(
    ("kind", "small", "large"),
    [
        ("lines", 30, 160),
        pytest.param("array", 15, 45, marks=pytest.mark.long),
        pytest.param("bomb", 100, 300, marks=pytest.mark.long),
        pytest.param("table", 5, 10, marks=pytest.mark.long),
        pytest.param("blank", 8, 24, marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_the_object(kind, small, large):
    before, after = peaks(kind, small, large)
    assert before < 400
    assert after - before < 90


def test_control_memory_grows_with_the_part():
    before, after = peaks("lines", 4, 60, part_bytes=1 << 30)
    assert after - before > 120
