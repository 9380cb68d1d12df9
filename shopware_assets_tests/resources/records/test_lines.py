"""Lines that are long or no text, and where parts end."""

import json
import random
from unittest import mock

from resources.records import csv_records, json_records, limits
from resources.records.lines import Part
from shopware_assets_tests.resources.records.reading import outcome, texts


def test_a_long_line_is_a_record_and_one_too_long_is_set_aside():
    text = "x" * (1 << 20)
    long = json.dumps({"a": text}).encode()
    assert texts(long + b"\n" + long) == [(text, None, None)] * 2
    broken = b'{"a": "' + "é".encode() * (1 << 20)
    (corrupt,) = texts(broken)
    assert corrupt == '{"a": "' + "é" * ((1 << 19) - 4) + f" …[cut, {len(broken) - (1 << 20) + 1} bytes]"
    too_long = b'{"a": "' + b"x" * limits.RECORD_BYTES + b'"}'
    ((before,), corrupt, (after,)) = texts(b'{"a": 1}\n' + too_long + b'\n{"a": 2}\n', columns=("a",))
    assert (before, after) == ("1", "2")
    assert corrupt.endswith(f"x …[cut, {len(too_long) - (1 << 20)} bytes]") and len(corrupt) < 1.1 * (1 << 20)


def test_text_with_some_bad_lines_stays_readable():
    lines = [
        b'{"a": "\xe4"}',
        b'{"a": 1}',
        b"\0" * 2000,
        b'{"a": 2}',
        random.Random(2).randbytes(999).replace(b"\n", b""),
    ]
    rows = texts(b"\n".join([b'{"a": 0}', *lines, b'{"a": 3}']))
    assert [row for row in rows if isinstance(row, tuple)] == [(text, None, None) for text in "0123"]
    assert [row for row in rows if isinstance(row, str)][:2] == ['{"a": "\\xe4"}', "\\x00" * 2000]
    assert len(rows) == 7


def test_control_parts_that_end_within_a_line_change_the_records():
    def anywhere(held, size):
        while held.at < len(held.data) or held.more(size):
            piece, held.at = held.data[held.at : held.at + size], held.at + size
            yield Part.of(piece + b"\n")

    for data, layout in ((b'{"a": 1}\n{"a": 2}\n', "json"), (b"a,b\n1,2\n3,4\n", "csv")):
        assert outcome(data, layout, part_bytes=6) == outcome(data, layout)
        with mock.patch.object(json_records, "parts", anywhere), mock.patch.object(csv_records, "parts", anywhere):
            assert outcome(data, layout, part_bytes=6) != outcome(data, layout)
