"""Arrays, and objects over several lines, against the same records a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.records import Seen
from shopware_assets_tests.resources.records.plain_json import assert_reads_as
from shopware_assets_tests.resources.records.reading import quick, read, texts
from shopware_assets_tests.resources.records.strategies import cuts, objects, part_sizes, spellings


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


@quick
@given(st.lists(objects, max_size=6), st.sampled_from([None, 0, 1]), spellings, cuts, part_sizes)
def test_an_array_reads_as_its_elements_in_lines(elements, indent, spelling, cuts, part_bytes):
    lines = [json.dumps(element, **spelling).encode() for element in elements]
    data = json.dumps(elements, indent=indent, **spelling).encode()
    rows, _ = read(data, cuts=cuts, part_bytes=part_bytes)
    assert_reads_as(rows, lines)
    assert rows == read(b"{}\n" + b"\n".join(lines))[0][1:]
