"""Records a line against a slow, plain reading of the same bytes by Python's json."""

import gzip
import json
import time
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.records import json_lines
from shopware_assets_tests.resources.records.plain_json import assert_reads_as
from shopware_assets_tests.resources.records.reading import COLUMNS, quick, read, texts
from shopware_assets_tests.resources.records.strategies import cuts, lines_of_json, part_sizes


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
    with mock.patch.object(json_lines, "_uncertain", lambda *arguments: pl.Series([], dtype=pl.UInt32)):
        assert texts(data) == [("1", None, None), ("1", None, None)]


def test_many_malformed_lines_of_the_right_shape_are_found_fast():
    good, bad = '{"a": 1, "b": {"k": 2}}', ['{"a": , "b": 1}', '{"a": NaN}', '{"a": 1e400}', '{"a": 1 "b": 2}']
    lines = [bad[number % 4] if number % 3 == 0 else good for number in range(60_000)]
    started = time.process_time()
    rows, _ = read("\n".join(lines).encode())
    assert time.process_time() - started < 10
    assert [row["_corrupt"] for row in rows] == [line if line != good else None for line in lines]


@quick
@given(lines_of_json, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), cuts, part_sizes)
def test_lines_read_as_python_reads_them(lines, eol, zipped, cuts, part_bytes):
    lines = [b'{"a": 0}', *lines]  # so that the object looks like lines of JSON
    data = eol.join(lines)
    rows, _ = read(gzip.compress(data, mtime=0) if zipped else data, cuts=cuts, part_bytes=part_bytes)
    assert_reads_as(rows, lines)
