"""CSV against a slow, plain reading of the same bytes by Python's csv."""

import csv
import io
import json
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resources.records import Seen, Unreadable
from shopware_assets_tests.resources.records.reading import COLUMNS, quick, read, texts
from shopware_assets_tests.resources.records.strategies import cuts, part_sizes, strings


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
