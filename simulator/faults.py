"""How a row breaks: each kind of broken row that the contracts name, for JSON and for CSV.

A kind carries the names of the rules that must find it. Which rows break is the feed's choice; what a file may suffer
as a whole is in `drops`.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Record = dict[str, str | None]  # column -> text as the source writes it; None = the field is left out

MISSING_JSON: tuple[str | None, ...] = (None, "null", "")
MISSING_CSV: tuple[str | None, ...] = ("", "   ")

# What breaks a type or a rule, in turn. The times hold whenever a file lands: a lake may see it long after it was made.
_TEXTS: dict[str, tuple[str | None, ...]] = {
    "int": ("many", "5.5", "0x5", "1,000", "true", "99999999999999999999"),
    "money": ("free", "NaN", "12,50", "Infinity", "1.2.3"),
    "time": ("yesterday", "2025-02-30T10:00:00", "31/12/2025", "2025-06-01T25:61:00"),
    "date": ("tomorrow", "2025-02-30", "31/12/2025"),
    "not_negative": ("-1", "-250"),
    "positive": ("0", "-2"),
    "is_flag": ("2", "-1"),
    "known": ("teleported", "n/a"),
    "not_in_future": ("2099-07-01T12:00:00", "4086590400"),
    "not_before_start": ("1999-12-31T23:59:59", "946684799"),
}
_TYPES = ("int", "money", "time", "date")
_JSON_LITERAL = re.compile(r"-?\d+(\.\d+)?|true|null")


@dataclass(frozen=True)
class Fault:
    """One kind of broken row: texts to put into columns (in turn), columns to swap, or a way to spoil the record."""

    rules: tuple[str, ...] = ()  # `reject` rules that the row then breaks by itself (references are judged elsewhere)
    warnings: tuple[str, ...] = ()
    changes: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    swap: tuple[str, str] | None = None
    spoil: Callable[[str], str] | None = None
    lines_only: bool = False  # inside a JSON array it would spoil the whole file

    def apply(self, record: Record, turn: int) -> None:
        for column, texts in self.changes:
            record[column] = texts[turn % len(texts)]
        if self.swap:
            one, other = self.swap
            record[one], record[other] = record[other], record[one]


class Faults:
    """Hands out the kinds of a table in turn, so that enough broken rows hold them all."""

    def __init__(self, kinds: Iterable[Fault]) -> None:
        self._waiting = deque(kinds)
        self._turns: Counter[Fault] = Counter()

    def next(self, fits: Callable[[Fault], bool]) -> tuple[Fault, int]:
        """The kind that has waited longest among those that fit, and how often it has been used before."""
        fault = next(kind for kind in self._waiting if fits(kind))
        self._waiting.remove(fault)
        self._waiting.append(fault)
        self._turns[fault] += 1
        return fault, self._turns[fault] - 1


def of_columns(columns: Mapping[str, str], missing: tuple[str | None, ...]) -> list[Fault]:
    """The kinds that follow from columns: `{"stock_level": "! int not_negative"}` can lack, not parse, be negative."""
    kinds = []
    for column, words in columns.items():
        for word in words.split():
            rule = f"{column}_{'present' if word == '!' else 'parses' if word in _TYPES else word}"
            kinds.append(Fault((rule,), changes=((column, missing if word == "!" else _TEXTS[word]),)))
    return kinds


def several(kinds: Iterable[Fault], *rules: str) -> Fault:
    """A row that breaks several of these rules at once, and must name them all."""
    chosen = [kind for kind in kinds if kind.rules and kind.rules[0] in rules]
    return Fault(rules=rules, changes=tuple(change for kind in chosen for change in kind.changes))


def json_text(record: Record) -> str:
    """A JSON object; text that is a number, `true` or `null` stands without quotes."""
    return (
        "{"
        + ", ".join(
            f'"{name}": {text if _JSON_LITERAL.fullmatch(text) else json.dumps(text)}'
            for name, text in record.items()
            if text is not None
        )
        + "}"
    )


def csv_text(fields: Iterable[str]) -> str:
    return ",".join(['"' + f.replace('"', '""') + '"' if '"' in f or "," in f or "\n" in f else f for f in fields])


def _short_row(text: str) -> str:
    return "torn,off" if '"' in text else text.rsplit(",", 2)[0] or "torn,off"  # a blank line is no record


UNREADABLE = ("record_readable",)
UNREADABLE_JSON = (
    Fault(UNREADABLE, spoil=lambda text: text[: len(text) * 2 // 3], lines_only=True),
    Fault(UNREADABLE, spoil=lambda text: text.replace("{", '{"stock_level": 7, ', 1)),  # a key twice
    Fault(UNREADABLE, spoil=lambda text: "ERROR 504 upstream timed out", lines_only=True),
    Fault(UNREADABLE, spoil=lambda text: "504"),  # JSON, but no object (a list might open an array file)
    Fault(UNREADABLE, spoil=lambda text: text + text, lines_only=True),  # a line break lost
)
UNREADABLE_CSV = (
    Fault(UNREADABLE, spoil=lambda text: text + ",surplus"),
    Fault(UNREADABLE, spoil=_short_row),
)
