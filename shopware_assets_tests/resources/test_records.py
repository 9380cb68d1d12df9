"""Records against slow, plain readings of the same bytes by Python's json and csv, and against arbitrary bytes."""

import csv
import gzip
import io
import json
import math
import random
import re
import subprocess
import sys
import time
from decimal import Decimal
from functools import partial
from itertools import pairwise
from unittest import mock

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from resources import records
from resources.records import Seen, Unreadable, read_records

COLUMNS = ("a", "b", "c")
SMALL_LIMITS = {"RECORD_BYTES": 48, "RECORD_LINES": 3, "TEXT_BYTES": 16, "_PART_LINES": 4}
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


# --- What JSON records are -------------------------------------------------------------------------------------------


def test_json_values_become_text():
    data = b"""{"a": 1, "b": "x", "c": ""}
{"a": null, "b": true, "c": -2.50}
{"c": 1e3}
{"c": [1, {"k": "v w"}], "b": {"c": null}, "a": "\\u00e9\\n\\"\\ud83d\\ude00"}
"""
    assert texts(data) == [
        ("1", "x", ""),
        (None, "true", "-2.5"),
        (None, None, "1000"),
        ('é\n"😀', '{"c":null}', '[1,{"k":"v w"}]'),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "5",
        '"x"',
        "[1]",
        '{"a": 1',
        '{"a": 1}}',
        '{"a": 1} {"a": 2}',
        '{"a": 1,}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": 01}',
        "{'a': 1}",
        '{"a": "x\ty"}',
        '{"a": "\\x"}',
        '{"a": 1, "a": 1}',
        '{"a": null, "a": 1}',
        '{"a": 1, "\\u0061": 1}',
        '{"z": 1, "z": 2}',
        '{"a": "\\ud800"}',
        '{"a": "\\ude00\\ud83d"}',
        '{"a": ["\\\\\\ud800 \\\\ud800"]}',
        '{"\\udfff": 1}',
        '{"a": {"z": "\\udfff"}}',
        '{"a": 1}\x0b',
        "\ufeff{}",
        "id,name",
    ],
)
def test_a_json_line_that_cannot_be_read_is_set_aside_alone(line):
    data = f'{{"a": 1}}\n{line}\n{{"a": 2}}\n'.encode()
    assert texts(data) == [("1", None, None), line, ("2", None, None)]


def test_a_backslash_before_a_surrogate_escape_makes_it_plain_text():
    assert texts(rb'{"a": "\\ud800 \\\ud83d\ude00"}') == [("\\ud800 \\😀", None, None)]


def test_undeclared_fields_are_kept_as_they_are_spelled():
    line = b'{"z": 1.50, "a": 1, "y" : {"q" : [ 1e2 ,"x  y" ]}, "\\u0078": "\\u0041"}'
    (row,), seen = read(line)
    assert row["_extra"] == r'{"z":1.50,"y":{"q":[1e2,"x  y"]},"x":"\u0041"}'
    assert (row["a"], seen.undeclared) == ("1", 1)


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1, "b": 2, "c": 3, "z" : 4}',  # a key that does not look like one
        '{"a": null, "z": null}',
        '{"a": {"c": null}, "z": null}',
        '{"z": {"a": null}}',
        '{"x\\"a": null}',
        '{"a": "\\"b\\": null", "z": null}',
        '{"z": ["a"]}',
        '{"z": {}}',
    ],
)
def test_no_undeclared_field_goes_unnoticed(line):
    (row,), _ = read(line.encode())
    declared = {name: value for name, value in json.loads(line).items() if name in COLUMNS}
    assert {name for name in COLUMNS if row[name]} == {name for name, value in declared.items() if value is not None}
    assert json.loads(row["_extra"]) == {k: v for k, v in json.loads(line).items() if k not in COLUMNS}


def test_names_of_columns_are_taken_literally():
    columns = ("a b", "c-d", "e.f(", "é")
    line = '{"a b": null, "c-d": null, "e.f(": null, "\u00e9": null}'
    assert texts(line.encode(), columns=columns) == [(None,) * 4]
    assert texts(line.replace("e.f", "exf").encode(), columns=columns) == [(*(None,) * 4, {"exf(": None})]
    assert texts(b"e.f(,a b\n1,2\n", "csv", columns=columns) == [("2", None, "1", None)]


def test_control_without_a_second_look_undeclared_and_repeated_fields_are_lost():
    data = b'{"a": 1, "z": 2}\n{"a": 1, "a": 2}\n'
    assert texts(data) == [("1", None, None, {"z": 2}), '{"a": 1, "a": 2}']
    with mock.patch.object(records, "_uncertain", lambda *arguments: pl.Series([], dtype=pl.UInt32)):
        assert texts(data) == [("1", None, None), ("1", None, None)]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"[]", b" [ \n ] \n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_nothing_is_no_record(data):
    assert read(data) == ([], Seen())


def test_json_that_is_very_deep_is_set_aside_whatever_is_around_it():
    for deep in ("[" * 100_000, '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"z":' * 50_000 + "1" + "}" * 50_000):
        assert texts(f'{{"a": 1}}\n{deep}\n{{"a": 2}}\n'.encode()) == [("1", None, None), deep, ("2", None, None)]
        array = f'[{{"a": 1}}, {deep}, {{"a": 2}}]'.encode()
        if deep.endswith("}"):
            assert texts(array) == [("1", None, None), deep, ("2", None, None)]
        else:
            assert texts(array)[0] == ("1", None, None) and len(texts(array)) == 2


@pytest.mark.parametrize("depth", [900, 980, 1000, 1020, 1030])
def test_the_depth_that_can_be_read_depends_on_nothing_else(depth):
    line = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    alone = texts(line)
    assert alone == texts(line + b'\n{"a": NaN}\n')[:1] == texts(b"[" + line + b"]") == texts(b'{"z":1}\n' + line)[1:]


def test_a_long_line_is_a_record_and_one_too_long_is_set_aside():
    text = "x" * (1 << 20)
    long = json.dumps({"a": text}).encode()
    assert texts(long + b"\n" + long) == [(text, None, None)] * 2
    broken = b'{"a": "' + "é".encode() * (1 << 20)
    (corrupt,) = texts(broken)
    assert corrupt == '{"a": "' + "é" * ((1 << 19) - 4) + f" …[cut, {len(broken) - (1 << 20) + 1} bytes]"
    too_long = b'{"a": "' + b"x" * records.RECORD_BYTES + b'"}'
    ((before,), corrupt, (after,)) = texts(b'{"a": 1}\n' + too_long + b'\n{"a": 2}\n', columns=("a",))
    assert (before, after) == ("1", "2")
    assert corrupt.endswith(f"x …[cut, {len(too_long) - (1 << 20)} bytes]") and len(corrupt) < 1.1 * (1 << 20)


def test_many_malformed_lines_of_the_right_shape_are_found_fast():
    good, bad = '{"a": 1, "b": {"k": 2}}', ['{"a": , "b": 1}', '{"a": NaN}', '{"a": 1e400}', '{"a": 1 "b": 2}']
    lines = [bad[number % 4] if number % 3 == 0 else good for number in range(60_000)]
    started = time.process_time()
    rows, _ = read("\n".join(lines).encode())
    assert time.process_time() - started < 10
    assert [row["_corrupt"] for row in rows] == [line if line != good else None for line in lines]


# --- Arrays, and objects over several lines --------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 0, 4])
def test_an_array_holds_a_record_per_element(indent):
    elements = [{"a": 1, "b": "] , {"}, {"a": {"k": [1]}, "z": {"y": [2, "\n"]}}, None, 7, "x", [2], {}]
    data = json.dumps(elements, indent=indent).encode()
    nested = [json.dumps(elements[5], indent=2 * indent if indent else indent)] if indent is None else ANY_LIST
    assert texts(data) == [
        ("1", "] , {", None),
        ('{"k":[1]}', None, None, {"z": {"y": [2, "\n"]}}),
        "null",
        "7",
        '"x"',
        *nested,
        (None, None, None),
    ]


class _AnyList:
    def __eq__(self, other):
        return isinstance(other, str) and json.loads(other) == [2]


ANY_LIST = [_AnyList()]


@pytest.mark.parametrize(
    ("rest", "corrupt"),
    [
        (b"]", None),
        (b"\n ] \r\n", None),
        (b",]", ",]"),
        (b"] x", "x"),
        (b"][", "["),
        (b"", "[the array is not closed]"),
        (b" , \n", "[the array is not closed]"),
        (b', {"a": ', '{"a": '),
        (b' {"a": 2}]', '{"a": 2}]'),
        (b",, 2]", ", 2]"),
        (b', {"a": NaN}, {"a": 3}]', '{"a": NaN}, {"a": 3}]'),
        (b', {"a": [}], {"a": 3}]', '{"a": [}], {"a": 3}]'),
        (b', nul, {"a": 3}]', 'nul, {"a": 3}]'),
        (b', {"a": "\n"}, {"a": "\xff', '{"a": "\n"}|{"a": "\\xff'),
        (b', {"a": 1, "a": 2}]', '{"a": 1, "a": 2}'),
        (b', {"a": 1e999}]', '{"a": 1e999}'),
        (b', {"a": "\0\xff"}]', '{"a": "\\x00\\xff"}'),
    ],
)
def test_what_follows_the_first_malformed_element_is_one_record(rest, corrupt):
    for part_bytes in (1, 20, 1 << 20):
        rows = texts(b'[{"a": 0}, {"a": 1}' + rest, part_bytes=part_bytes)
        assert rows == [("0", None, None), ("1", None, None), *(corrupt.split("|") if corrupt else [])]


def test_elements_with_a_bad_value_do_not_end_an_array():
    data = b'[{"a": 1, "a": 2}, {"a": "\\ud800"}, {"a": 1e999}, {"a": "\xff\0"}, {"a": 5}]'
    assert texts(data)[-1] == ("5", None, None)
    assert len(texts(data)) == 5


def test_the_rest_of_a_long_array_is_kept_in_part():
    data = b'[{"a": 1}, {"a": oops}, ' + b'{"a": 2}, ' * 300_000
    _, corrupt = texts(data)
    assert corrupt.startswith('{"a": oops}, {"a": 2}, ')
    assert corrupt.endswith(f" …[cut, {len(data) - 11 - (1 << 20)} bytes]")


def test_objects_over_several_lines_are_records():
    data = json.dumps({"a": 1, "b": {"c": [1]}}, indent=2).encode()
    assert texts(data) == [("1", '{"c":[1]}', None)]
    assert texts(data + b"\n" + data + b"\n") == [("1", '{"c":[1]}', None)] * 2
    assert texts(data + b"\noops {") == [("1", '{"c":[1]}', None), "oops {"]


# --- What CSV records are --------------------------------------------------------------------------------------------


def test_csv_is_read_by_the_names_in_its_header():
    data = b' c , a,"z""\n"\r\n1,2,"x, ""y""\r\nz"\r\n\r\n,"",\r\n'
    rows, seen = read(data, "csv")
    assert rows == [
        {
            "a": "2",
            "b": None,
            "c": "1",
            "_extra": json.dumps({'z"': 'x, "y"\r\nz'}, separators=(",", ":")),
            "_corrupt": None,
        },
        {"a": "", "b": None, "c": "", "_extra": json.dumps({'z"': ""}, separators=(",", ":")), "_corrupt": None},
    ]
    assert seen == Seen(rows=2, missing_columns=("b",), undeclared=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"a,b,a\n1,2,3\n", "name twice: 'a'"),
        (b"a,z, z\n1,2,3\n", "name twice: 'z'"),
        (b"a,,\n1,2,3\n", "name twice: ''"),
        (b"x,y\n1,2\n", r"none of the columns: 'x', 'y'\."),
        (b'{"a": 1}\n', "none of the columns"),
        (b'"a,b\n1,2\n', "header cannot be read"),
        (b'"a"x,b\n1,2\n', "header cannot be read"),
        (b"a" + b",x" * 20_000 + b"\n", "too many names"),
    ],
)
def test_a_csv_whose_header_cannot_be_used_is_unreadable(data, why):
    for part_bytes in (1, 1 << 20):
        with pytest.raises(Unreadable, match=why):
            read(data, "csv", part_bytes=part_bytes)


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"a,b,c", b"a,b,c\n", b"\xef\xbb\xbfa,b,c\r\n\r\n"])
def test_a_csv_without_rows_has_none(data):
    assert read(data, "csv") == ([], Seen())


def test_blank_lines_in_a_csv_change_no_other_line():
    for part_bytes in (1, 1 << 20):
        rows = texts(b"a,b,c\n1,2,3\r\r\n\r\n \t\n4,5,6\n", "csv", part_bytes=part_bytes)
        assert rows == [("1", "2", "3\r"), ("4", "5", "6")]


def test_one_column_without_a_name_is_kept():
    assert texts(b"a,,b\n1,2,3\n", "csv") == [("1", "3", None, {"": "2"})]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"1", "1"),
        (b"1,2,3,4", "1,2,3,4"),
        (b'1,"2,3', '1,"2,3'),
        (b'"1"x,2,3', '"1"x,2,3'),
        (b'"1" ,2,3', '"1" ,2,3'),
        (b'"a\nb",2', '"a\nb",2'),
        (b"1,\xff,3", "1,\\xff,3"),
        (b"1,2,\0", "1,2,\\x00"),
        (b'"x\xff\ny",2,3', '"x\\xff\ny",2,3'),
        (b'5" disk,a "b" c,""', ('5" disk', 'a "b" c', "")),
        (b'"a, ""b""\n\nc",2,3', ('a, "b"\n\nc', "2", "3")),
        (b'1,2,"x\n"', ("1", "2", "x\n")),
        (b" 1 ,\t,'3'", (" 1 ", "\t", "'3'")),
        (b"1,x\ry,3", ("1", "x\ry", "3")),
        ("\ufeff1,é,3".encode(), ("\ufeff1", "é", "3")),
        (b",,", ("", "", "")),
        (b"  ", None),
    ],
)
def test_csv_rows_that_are_odd(line, expected):
    for part_bytes in (1, 1 << 20):
        for eol in (b"\n", b"\r\n"):
            rows = texts(eol.join([b"a,b,c", b"1,2,3", line, b"4,5,6", b""]), "csv", part_bytes=part_bytes)
            assert rows == [("1", "2", "3"), *([expected] if expected else []), ("4", "5", "6")]


def test_an_unclosed_quote_costs_its_own_line_only():
    rows = [f"{number},x,y" for number in range(5_000)]
    for place in (0, 10, 4_999):
        lines = [*rows[:place], 'bad,"x,y', *rows[place:]]
        read_rows = texts("\n".join(["a,b,c", *lines]).encode(), "csv", part_bytes=1000)
        assert read_rows == [line if "bad" in line else tuple(line.split(",")) for line in lines]


def test_a_quoted_field_may_span_a_thousand_lines():
    for count, whole in ((999, True), (1000, False)):
        field = "x,y,z\n" * count
        rows = texts(f'a,b,c\n1,"{field}",3\n4,5,6\n'.encode(), "csv")
        if whole:
            assert rows == [("1", field, "3"), ("4", "5", "6")]
        else:
            assert rows == ['1,"x,y,z', *[("x", "y", "z")] * 999, '",3', ("4", "5", "6")]


@pytest.mark.parametrize("line", ['x","y', '"', '","', '"a""', 'x""y', '",', '"\n'])
def test_a_csv_of_quotes_does_not_take_for_ever(line):
    data = b"a,b,c\n" + f"{line}\n".encode() * 20_000
    started = time.process_time()
    read(data, "csv")
    assert time.process_time() - started < 10


def test_a_csv_with_many_columns():
    names = [f"n{number}" for number in range(500)]
    line = ",".join(f'"{number}"' if number % 2 else str(number) for number in range(500))
    rows = texts("\n".join([",".join(names), line, line + ",", line]).encode(), "csv", columns=("n3", "n4"))
    extra = {name: name[1:] for name in names if name not in ("n3", "n4")}
    assert rows == [("3", "4", extra), line + ",", ("3", "4", extra)]


# --- How the text is stored ------------------------------------------------------------------------------------------

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


def test_utf16_that_is_broken_breaks_its_own_record():
    good = '{"a": 1}\n'.encode("utf-16-le")
    half = '{"a": "'.encode("utf-16-le") + b"\x00\xd8" + '"}\n'.encode("utf-16-le")
    rows = texts(b"\xff\xfe" + good + half + good + good[:-3])
    assert rows == [("1", None, None), '{"a": "\\xed\\xa0\\x80"}', ("1", None, None), '{"a": 1\\xff']


# --- Against plain readings ------------------------------------------------------------------------------------------


class Number(str):
    """A JSON number as it is expected to be printed."""


def printed_integer(text):
    if not -(2**127) <= int(text) < 2**128:
        raise ValueError
    return Number(int(text))


def printed_float(text):
    exponent = text.lower().partition("e")[2] or "0"
    assume(abs(int(exponent)) < 10**9)  # from about here on Polars refuses, even where the value is 0
    if math.isinf(float(text)):
        raise ValueError
    fixed = format(Decimal(repr(float(text))), "f")
    return Number(re.sub(r"\.0*$", "", fixed) if "." in fixed else fixed)


def no_constant(text):
    raise ValueError


def value_text(value):
    """The text of a value; what is nested is read again, because its spelling is kept."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None or isinstance(value, str) else ("nested", value)


def plain_json(line):
    """One line by Python's json: None if blank, False if it cannot be read, or the declared and the other fields."""
    if not line.strip(b" \t\r"):
        return None

    def members(pairs):
        return dict(pairs) if len(dict(pairs)) == len(pairs) else {"_repeated": pairs}

    try:
        text = line.decode()
        pairs = json.loads(
            text,
            parse_int=printed_integer,
            parse_float=printed_float,
            parse_constant=no_constant,
            object_pairs_hook=list,
        )
        if "\0" in text or text[:1] == "\ufeff" or not text.strip(" \t\r").startswith("{"):
            raise ValueError
        json.dumps(pairs, ensure_ascii=False).encode()
    except ValueError:
        return False
    if len({name for name, _ in pairs}) < len(pairs):
        return False
    spelled = json.loads(text, object_pairs_hook=list)
    declared = {name: value_text(value) for name, value in pairs if name in COLUMNS}
    extra = [(name, value) for name, value in spelled if name not in COLUMNS]
    again = {name: value for name, value in spelled if name in COLUMNS and isinstance(declared[name], tuple)}
    return {**dict.fromkeys(COLUMNS), **declared, **{n: ("nested", v) for n, v in again.items()}}, extra


def assert_reads_as(rows, lines):
    """`rows` are what a plain reading of `lines` gives."""
    expected = [(line, plain) for line in lines if (plain := plain_json(line)) is not None]
    assert len(rows) == len(expected)
    for row, (line, plain) in zip(rows, expected, strict=True):
        if plain is False:
            assert row["_corrupt"] == line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
            continue
        declared, extra = plain
        assert row["_corrupt"] is None
        for name, value in declared.items():
            if isinstance(value, tuple):
                assert json.loads(row[name], object_pairs_hook=list) == value[1]
            elif isinstance(value, Number) and row[name] != value:
                # Of two shortest spellings of a double Polars may print the other one.
                assert "." in value and len(row[name]) == len(value) and float(row[name]) == float(value)
            else:
                assert row[name] == value
        assert (json.loads(row["_extra"], object_pairs_hook=list) if row["_extra"] else []) == extra


names = st.sampled_from([*COLUMNS, "a", "b", "z", "é", 'q"', "a\\", ":", "_line"])
strings = st.one_of(
    st.text(max_size=6),
    st.sampled_from(['"a": null', ":", "}", "{", "[", ",", "\\ud800", '\\"', "null", "\x00", "\u2028", "😀", ""]),
)
numbers = st.one_of(
    st.integers(-5, 5), st.integers(-(2**127), 2**128 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
scalars = st.one_of(strings, numbers, st.booleans(), st.none())
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2), max_leaves=3
)
objects = st.dictionaries(names, scalars | nested, max_size=5)
spellings = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\r:  ")]),
    }
)
good_lines = st.builds(lambda value, spelling: json.dumps(value, **spelling).encode(), objects, spellings)
repeating_lines = st.builds(lambda one, two: one[:-1] + b"," + two[1:], good_lines, good_lines)
other_lines = st.sampled_from(
    [
        b"",
        b" \t",
        b"null",
        b"[1]",
        b'{"a": NaN}',
        b'{"a": 01}',
        b'{"a"',
        b"}",
        b'{"a": 1} ',
        b' {"b": 1}\r',
        b"\xff",
        b"{}",
        b'{"a": "\xe9"}',
        b'{"a": "\0"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\ud83d\\ude00"}',
        b'{"a": 1e999}',
        b"\xef\xbb\xbf{}",
        b'{"a": 100000000000000000000000000000000000000000}',
        b'{"a": 1.0e-7, "b": -0.0, "c": -0}',
        b'{"b": 12345678901234.5678}',
    ]
)


def mutate(data, edits):
    data = bytearray(data)
    for place, kind, piece in edits:
        place %= len(data) + 1
        if kind == "insert":
            data[place:place] = piece
        elif kind == "delete":
            del data[place : place + len(piece)]
        elif kind == "replace":
            data[place : place + len(piece)] = piece
        else:
            data = data[place:] + data[:place]
    return bytes(data)


pieces = st.one_of(
    st.binary(min_size=1, max_size=3),
    st.sampled_from(
        [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b" ", b'""', b'",', b"0", b"e", b"-", b"."]
    ),
)
edits = st.lists(
    st.tuples(st.integers(0, 5000), st.sampled_from(["insert", "delete", "replace", "turn"]), pieces), max_size=3
)
mutated_lines = st.builds(
    lambda line, changes: mutate(line, changes).replace(b"\n", b" ").rstrip(b"\r"), good_lines, edits
)
json_lines = st.lists(good_lines | repeating_lines | other_lines | mutated_lines, max_size=8)
cuts = st.lists(st.integers(0, 10_000), max_size=6)
part_sizes = st.sampled_from([1, 30, 100, 1 << 20])


@quick
@given(json_lines, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), cuts, part_sizes)
def test_lines_read_as_python_reads_them(lines, eol, zipped, cuts, part_bytes):
    lines = [b'{"a": 0}', *lines]  # so that the object looks like lines of JSON
    data = eol.join(lines)
    rows, _ = read(gzip.compress(data, mtime=0) if zipped else data, cuts=cuts, part_bytes=part_bytes)
    assert_reads_as(rows, lines)


@quick
@given(st.lists(objects, max_size=6), st.sampled_from([None, 0, 1]), spellings, cuts, part_sizes)
def test_an_array_reads_as_its_elements_in_lines(elements, indent, spelling, cuts, part_bytes):
    lines = [json.dumps(element, **spelling).encode() for element in elements]
    data = json.dumps(elements, indent=indent, **spelling).encode()
    rows, _ = read(data, cuts=cuts, part_bytes=part_bytes)
    assert_reads_as(rows, lines)
    assert rows == read(b"{}\n" + b"\n".join(lines))[0][1:]


fields = st.one_of(
    st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=5), strings
).map(lambda text: text.replace("\0", "").replace("\r", ""))
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(fields, min_size=width, max_size=width), max_size=8))


@quick
@given(
    tables,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.permutations(["a", "b", "x", "y"]),
    cuts,
    part_sizes,
)
def test_csv_reads_as_it_was_written_by_python(table, eol, quoting, names, cuts, part_bytes):
    names = sorted(names[: len(table[0]) if table else 1], key="abxy".index)[::-1]
    assume("a" in names or "b" in names)
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=eol, quoting=quoting).writerows([names, *table])
    rows, seen = read(file.getvalue().encode(), "csv", cuts=cuts, part_bytes=part_bytes)
    expected = []
    for values in table:
        if quoting == csv.QUOTE_MINIMAL and len(values) == 1 and values[0] and not values[0].strip(" \t"):
            continue  # a blank line
        given = dict(zip(names, values, strict=True))
        extra = {name: value for name, value in given.items() if name not in COLUMNS}
        expected.append(({name: given.get(name) for name in COLUMNS}, extra))
    assert [
        ({name: row[name] for name in COLUMNS}, json.loads(row["_extra"]) if row["_extra"] else {}) for row in rows
    ] == expected
    assert seen.missing_columns == tuple(name for name in COLUMNS if name not in names)


# --- Against anything ------------------------------------------------------------------------------------------------

csv_files = st.lists(
    st.sampled_from(
        ["1,2", "1,2,3", '"1","2"', '"1,2', '2",1', '"x\ny",2', '""', "", " ", '5",6', '"a""b",c', "é,\ufeff", ","]
    ),
    max_size=8,
).map(lambda lines: "\n".join(["a,b", *lines]).encode())
json_files = json_lines.map(b"\n".join) | st.lists(good_lines | other_lines, max_size=5).map(
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
    with mock.patch.multiple(records, **SMALL_LIMITS if small else {"RECORD_LINES": 1000}):
        assert outcome(data, layout, cuts=cuts, part_bytes=part_bytes) == outcome(data, layout)


def test_control_parts_that_end_within_a_line_change_the_records():
    def anywhere(held, size):
        while held.at < len(held.data) or held.more(size):
            piece, held.at = held.data[held.at : held.at + size], held.at + size
            yield records._part(piece + b"\n")

    for data, layout in ((b'{"a": 1}\n{"a": 2}\n', "json"), (b"a,b\n1,2\n3,4\n", "csv")):
        assert outcome(data, layout, part_bytes=6) == outcome(data, layout)
        with mock.patch.object(records, "_parts", anywhere):
            assert outcome(data, layout, part_bytes=6) != outcome(data, layout)


# --- Memory ----------------------------------------------------------------------------------------------------------

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
    [("lines", 30, 160), ("array", 15, 45), ("table", 5, 10), ("bomb", 100, 300), ("blank", 8, 24)],
)
def test_memory_does_not_grow_with_the_object(kind, small, large):
    before, after = peaks(kind, small, large)
    assert before < 400
    assert after - before < 90


def test_control_memory_grows_with_the_part():
    before, after = peaks("lines", 4, 60, part_bytes=1 << 30)
    assert after - before > 120
