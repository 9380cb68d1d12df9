"""A slow, plain reading of a line by Python's json, to which the product's is compared."""

import json
import math
import re
from decimal import Decimal

from hypothesis import assume

from shopware_assets_tests.resources.records.reading import COLUMNS


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
