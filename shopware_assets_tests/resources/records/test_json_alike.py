"""Lines that are spelled alike come out as if parsed: against Python's json, and against Polars' own parser."""

import json
import random
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.records import json_alike, json_lines
from resources.records.json_alike import read_alike
from shopware_assets_tests.resources.records.plain_json import assert_reads_as
from shopware_assets_tests.resources.records.reading import quick, read, texts
from shopware_assets_tests.resources.records.strategies import edits, mutate, other_lines


def alike(*lines, columns=("a", "b")):
    """The rows of the lines, None for the others; None if they are not read as alike at all."""
    found = read_alike(pl.Series(lines, dtype=pl.String), columns)
    if found is None:
        return None
    frame, others = found
    return [None if row in others.to_list() else values for row, values in enumerate(frame.rows())]


def test_values_come_out_as_parsed_and_absent_columns_as_null():
    lines = ['{"b": 1.50, "a" :"x" }', '{"b": -20.00, "a" :"é}{:" }', '{"b": -0.0, "a" :"" }']
    assert alike(*lines) == [("x", "1.5"), ("é}{:", "-20"), ("", "-0")]
    assert alike('{"b":0}', '{"b":-7}', columns=("a", "b")) == [(None, "0"), (None, "-7")]
    names = ("e.f(", "a b", "é", "_line")
    line = json.dumps(dict(zip(names, range(4), strict=True)), ensure_ascii=False)
    assert alike(line, columns=names) == [("0", "1", "2", "3")]


@pytest.mark.parametrize(
    "other",
    [
        "",
        '{"a": 1, "b": "x"} ',
        '{"a": 1, "b": "x"},',
        '{"a": 1, "b": "x", "b": "y"}',
        '{"a":1, "b": "x"}',
        '{"b": "x", "a": 1}',
        '{"a": 1}',
        '{"a": 1, "b": 2}',
        '{"a": 1.0, "b": "x"}',
        '{"a": -0, "b": "x"}',
        '{"a": 01, "b": "x"}',
        '{"a": 1234567890123456789, "b": "x"}',
        '{"a": null, "b": "x"}',
        '{"a": 1, "b": "x, y"}',
        '{"a": 1, "b": "\\u0041"}',
        '{"a": 1, "b": "\t"}',
        '{"a": 1, "b": "\0"}',
        '{"a": 1, "b": ""x"}',
    ],
)
def test_a_line_that_is_not_like_the_first_is_left_to_the_parser(other):
    assert alike('{"a": 1, "b": "x"}', other, '{"a": 2, "b": "y"}') == [("1", "x"), None, ("2", "y")]


@pytest.mark.parametrize("value", ["2000000000.5", "0.1234567", "00.5", "1.5e3", ".5", "5.", "1"])
def test_fractions_that_may_print_differently_are_left_to_the_parser(value):
    assert alike('{"a": 1.5}', f'{{"a": {value}}}') == [("1.5", None), None]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["{}"],
        ['{"a": 1, "a": 2}'],
        ['{"z": 1}'],
        ['{"a": null}'],
        ['{"a": [1]}'],
        ['{"a": {"b": 1}}'],
        ['{"a": 1} {"b": 2}'],
        ['{"a": 1} "b": 2}'],
        ['{"a": 1,'],
        ['{"a": 1, x}', '{"a": 1,', '{"a": 1,'],
        ['{"a": 1{"b": 2}'],
        ['{"a": 1}}'],
        ['{"a": 1,}'],
        ['"a": 1}'],
        ['{"a": 1'],
        ["{" + " " * 1_000_000 + '"a": 1}'],
        ['{"a": 1}', '{"a": "x"}', '{"a": "y"}'],
    ],
)
def test_lines_are_not_read_as_alike_if_the_first_is_not_plain_or_most_are_not_like_it(lines):
    assert alike(*lines) is None


def test_fractions_print_as_polars_prints_their_doubles():
    source = random.Random(1)
    whole = [
        source.choice([0, source.randrange(10 ** source.randrange(1, 10)), source.randrange(2 * 10**9)])
        for _ in range(50_000)
    ]
    lines = [
        f'{{"a": {source.choice(["", "-"])}{number}.{source.choice("0123456789") * (number % 6)}'
        f"{source.randrange(10)}}}"
        for number in whole
    ]
    frame, others = read_alike(pl.Series(lines), ["a"])
    assert others.is_empty()
    assert frame["a"].to_list() == pl.read_ndjson("\n".join(lines).encode(), schema={"a": pl.String})["a"].to_list()


plain_values = st.sampled_from(
    [
        st.integers(-(10**20), 10**20).map(str),
        st.decimals(-(10**11), 10**11, places=3).map(lambda number: format(number, "f")),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.text(max_size=4).map(json.dumps),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4).map(lambda text: f'"{text}"'),
    ]
)


@st.composite
def lines_of_a_machine(draw):
    """Lines with the same names in the same order and values of the same kinds, but for a few."""
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "é"]), min_size=1, max_size=4, unique=True))
    kinds = [draw(plain_values) for _ in names]
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\r:  ")]))
    lines = []
    for number in range(draw(st.integers(1, 10))):
        values = [draw(draw(plain_values) if draw(st.integers(0, 9)) == 0 else kind) for kind in kinds]
        line = "{" + comma.join(f'"{name}"{colon}{value}' for name, value in zip(names, values, strict=True)) + "}"
        line = line.encode("utf-8", "surrogatepass")
        if number and draw(st.integers(0, 9)) == 0:
            line = draw(st.one_of(other_lines, edits.map(lambda changes, line=line: mutate(line, changes))))
        lines.append(line.replace(b"\n", b" ").rstrip(b"\r"))
    return lines


@quick
@given(lines_of_a_machine(), st.sampled_from([b"\n", b"\r\n"]), st.sampled_from([40, 1 << 20]))
def test_lines_of_a_machine_read_as_python_and_polars_read_them(lines, eol, part_bytes):
    data = eol.join([*lines, b""])  # without a line feed, CR would end lines
    rows, seen = read(data, part_bytes=part_bytes)
    assert_reads_as(rows, lines)
    with mock.patch.object(json_lines, "read_alike", lambda *arguments: None):
        assert read(data, part_bytes=part_bytes) == (rows, seen)


def test_control_a_looser_pattern_changes_the_values():
    data = b'{"a": 1.5}\n{"a": 1.0e3}\n{"a": 2.5}\n'
    assert texts(data) == [("1.5", None, None), ("1000", None, None), ("2.5", None, None)]
    loose = {**json_alike._VALUES, "fraction": r"[0-9.e]+"}
    with mock.patch.object(json_alike, "_VALUES", loose):
        assert texts(data)[1] != ("1000", None, None)
