"""How rows look to a person, within the width there is, and to a program, in full."""

import csv
import io
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from shopware_assets.display import as_csv, as_json, for_people, plain

AT = datetime(2025, 6, 1, 10, 0, 0, 250_000, tzinfo=UTC)


def lines(width: int, *, thousands: bool = False, **columns: Any) -> list[str]:
    return list(for_people(pl.DataFrame(columns, strict=False), width, thousands=thousands))


def test_a_table_has_numbers_on_the_right_and_text_on_the_left() -> None:
    assert lines(80, name=["a", "bcd", None], rows=[1, 1000, None], share=[0.5, 1 / 3, None]) == [
        "name  rows     share",
        "────  ────  ────────",
        "a        1       0.5",
        "bcd   1000  0.333333",
        "",
    ]


@pytest.mark.parametrize(("thousands", "shown"), [(True, "1,234,567"), (False, "1234567")])
def test_counts_are_grouped_and_names_are_not(thousands: bool, shown: str) -> None:
    assert lines(80, thousands=thousands, n=[1_234_567])[-1] == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"),
        (Decimal("12345678901234.5600"), "12345678901234.5600"),
        (1e-7, "1e-07"),
        (AT, "2025-06-01 10:00:00.250000"),
        (AT.replace(microsecond=0), "2025-06-01 10:00:00"),
        (date(2025, 6, 1), "2025-06-01"),
        ("a\tb\x1b[31m\x00ü", r"a\tb\x1b[31m\x00ü"),  # nothing that a terminal would obey
        ("x" * 301, "x" * 300 + "… (301 characters)"),
        (["a", "ü"], '["a", "ü"]'),
        ({"at": AT}, '{"at": "2025-06-01T10:00:00.250000+00:00"}'),
    ],
)
def test_a_value_as_a_person_reads_it(value: object, shown: str) -> None:
    assert lines(400, v=[value])[-1] == shown


def test_wide_signs_take_the_room_they_need() -> None:
    assert lines(80, a=["日本", "x"], b=["y", "z"]) == ["a     b", "────  ─", "日本  y", "x     z"]


def test_rows_that_do_not_fit_become_blocks() -> None:
    block = lines(30, at=["file, line 5", None], broke=["a rule", "b"], text=["some longer text here", None], n=[1, 2])
    assert block == [
        "file, line 5",
        "    broke: a rule   text: some",  # more than a line is broken, between words
        "    longer text here   n: 1",
        "(at is missing)",
        "    broke: b   n: 2",
    ]
    assert lines(200, a=["x" * 100], b=["y"])[0].startswith("a "), "the control: it fits"


@pytest.mark.parametrize("columns", [{}, {"a": []}])
def test_nothing_to_show(columns: dict[str, list[object]]) -> None:
    assert lines(80, **columns) == (["a", "─"] if columns else [])
    frame = pl.DataFrame(columns)
    assert list(as_json(frame)) == ["[", "]"]
    assert list(as_csv(frame)) == [",".join(columns)]


@pytest.mark.parametrize(
    ("value", "in_json"),
    [
        (Decimal("0.0000"), "0.0000"),
        (Decimal("1E+3"), "1000"),
        (AT, "2025-06-01T10:00:00.250000+00:00"),
        (date(2025, 6, 1), "2025-06-01"),
        (time(1, 2), "01:02:00"),
        (timedelta(minutes=1.5), 90.0),
        (b"\x00\xff", "00ff"),
        (float("inf"), None),
        (float("nan"), None),
        (0.1, 0.1),
        (2**63 - 1, 2**63 - 1),
        (True, True),
        (None, None),
        ("a", "a"),
        ([Decimal("0.1"), None, {"at": AT}], ["0.1", None, {"at": "2025-06-01T10:00:00.250000+00:00"}]),
    ],
)
def test_a_value_as_json_has_it(value: object, in_json: object) -> None:
    assert plain(value) == in_json
    assert json.loads(json.dumps(plain(value))) == in_json


ROWS = pl.DataFrame(
    {
        "text": ['a "b", c\nd\r', "", None],
        "amount": [Decimal("1.5000"), None, Decimal("-0.0001")],
        "list": [["x", 'y"'], [], None],
        "flag": [True, False, None],
        "at": [AT, None, None],
    }
)


def test_json_is_one_array() -> None:
    assert json.loads("\n".join(as_json(ROWS))) == [
        {
            "text": 'a "b", c\nd\r',
            "amount": "1.5000",
            "list": ["x", 'y"'],
            "flag": True,
            "at": "2025-06-01T10:00:00.250000+00:00",
        },
        {"text": "", "amount": None, "list": [], "flag": False, "at": None},
        {"text": None, "amount": "-0.0001", "list": None, "flag": None, "at": None},
    ]


def test_csv_reads_back() -> None:
    """NULL and the empty text are both an empty field, as everywhere in CSV."""
    assert list(csv.reader(io.StringIO("\n".join(as_csv(ROWS)) + "\n", newline=""))) == [
        ["text", "amount", "list", "flag", "at"],
        ['a "b", c\nd\r', "1.5000", '["x", "y\\""]', "true", "2025-06-01T10:00:00.250000+00:00"],
        ["", "", "[]", "false", ""],
        ["", "-0.0001", "", "", ""],
    ]
