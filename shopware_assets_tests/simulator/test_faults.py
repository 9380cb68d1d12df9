"""How rows break."""

import csv
import io
import json

import pytest

from simulator.faults import (
    MISSING_CSV,
    MISSING_JSON,
    UNREADABLE_CSV,
    UNREADABLE_JSON,
    Fault,
    Faults,
    csv_text,
    json_text,
    of_columns,
    several,
)


def test_columns_give_their_rules() -> None:
    kinds = of_columns({"id": "!", "level": "! int not_negative", "at": "time not_in_future", "note": ""}, MISSING_CSV)
    assert [kind.rules for kind in kinds] == [
        ("id_present",),
        ("level_present",),
        ("level_parses",),
        ("level_not_negative",),
        ("at_parses",),
        ("at_not_in_future",),
    ]


def test_a_kind_takes_its_texts_in_turn() -> None:
    (kind,) = of_columns({"id": "!"}, MISSING_JSON)
    written = []
    for turn in range(4):
        record: dict[str, str | None] = {"id": "1", "level": "2"}
        kind.apply(record, turn)
        written.append(json_text(record))
    assert written == ['{"level": 2}', '{"id": null, "level": 2}', '{"id": "", "level": 2}', '{"level": 2}']


def test_several_faults_name_all_their_rules() -> None:
    both = several(
        of_columns({"id": "!", "level": "int not_negative"}, MISSING_CSV), "id_present", "level_not_negative"
    )
    record: dict[str, str | None] = {"id": "1", "level": "2"}
    both.apply(record, 0)
    assert both.rules == ("id_present", "level_not_negative")
    assert record == {"id": "", "level": "-1"}


def test_swap() -> None:
    record: dict[str, str | None] = {"a": "1", "b": "2"}
    Fault(swap=("a", "b")).apply(record, 0)
    assert record == {"a": "2", "b": "1"}


def test_kinds_come_in_turn_and_those_that_do_not_fit_stay_first_in_line() -> None:
    one, two, three = (Fault((name,)) for name in "abc")
    faults = Faults([one, two, three])
    assert faults.next(lambda kind: kind is not one) == (two, 0)
    assert [faults.next(lambda kind: True) for _ in range(4)] == [(one, 0), (three, 0), (two, 1), (one, 1)]


@pytest.mark.parametrize("text", ["5", "5.5", "-1", "true", "null", "1,000", "0x5", "5e", 'a"b', "é", ""])
def test_json_text_is_json(text: str) -> None:
    value = json.loads(json_text({"a": text}))["a"]
    assert value == {"5": 5, "5.5": 5.5, "-1": -1, "true": True, "null": None}.get(text, text)


def test_csv_text_is_csv() -> None:
    fields = ["plain", "a,b", 'a "b"', "a\nb", "", "é"]
    assert next(csv.reader(io.StringIO(csv_text(fields), newline=""))) == fields


@pytest.mark.parametrize("kind", UNREADABLE_JSON)
def test_a_spoilt_json_record_is_no_single_object(kind: Fault) -> None:
    line = '{"inventory_id": 1, "stock_level": 2, "last_updated": 1748736000.5}'
    assert _is_object(line)
    assert kind.spoil is not None
    spoilt = kind.spoil(line)
    assert not _is_object(spoilt)
    assert "\n" not in spoilt
    if not kind.lines_only:
        assert len(json.loads(f"[{line},{spoilt}]")) == 2, "an array with it is still an array"


def _is_object(line: str) -> bool:
    try:
        pairs = json.loads(line, object_pairs_hook=list)
    except json.JSONDecodeError:
        return False
    return isinstance(pairs, list) and len(dict(pairs)) == len(pairs)


@pytest.mark.parametrize("kind", UNREADABLE_CSV)
@pytest.mark.parametrize("name", ["lamp", 'lamp, 12"', "lamp\n2nd edition"])
def test_a_spoilt_csv_record_has_more_or_fewer_fields_and_spoils_no_other(kind: Fault, name: str) -> None:
    sound = csv_text(["1", "2", "3", "4", name])
    assert kind.spoil is not None
    rows = list(csv.reader(io.StringIO("\n".join([sound, kind.spoil(sound), sound, ""]), newline=""), strict=True))
    assert [len(row) == 5 for row in rows] == [True, False, True]
