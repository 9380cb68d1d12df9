"""Lines of JSON, good ones and others, and how objects are cut and broken."""

import json

from hypothesis import strategies as st

from shopware_assets_tests.resources.records.reading import COLUMNS

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
lines_of_json = st.lists(good_lines | repeating_lines | other_lines | mutated_lines, max_size=8)
cuts = st.lists(st.integers(0, 10_000), max_size=6)
part_sizes = st.sampled_from([1, 30, 100, 1 << 20])
