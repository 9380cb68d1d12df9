"""What JSON looks like: where a value ends, the fields of an object, what breaks the grammar.

Here: text and regular expressions, for one value at a time, and no recursion. Not here: frames.
"""

import json
import math
import re

_NO_JSON_SPACE = re.compile(rb"[^ \t\r\n]")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_MEMBER = re.compile(rb'[{,\s]*+(%b)\s*+:\s*+(%b|[^\s"\[\]{},]++)?' % (_STRING, _STRING), re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%b)*+[\[\]{}]' % _STRING, re.DOTALL)
_SCALAR = re.compile(rb'%b|[^\s"\[\]{},:]++' % _STRING, re.DOTALL)
_WITHOUT_SPACE = re.compile(rb'%b|[^\s"]++' % _STRING, re.DOTALL)
# Over a whole line an escape is seen as such; what stands in the group is half a character.
ESCAPES = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F])|.)", re.DOTALL)


def _flat_object() -> str:
    """A pattern (of Polars) for a line that is certain to be an object of scalars: no deeper, no huge numbers."""
    space = r"[ \t\r]*"
    string = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
    number = r"-?(?:0|[1-9][0-9]{0,37})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?"
    member = f"{space}{string}{space}:{space}(?:{string}|{number}|true|false|null){space}"
    return rf"\A{space}\{{(?:{member}(?:,{member})*|{space})\}}{space}\z"


FLAT_OBJECT = _flat_object()


def members_of(line: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a valid object: names as JSON strings with no escapes but the needed ones, values as spelled."""
    if line.count(b"{") == 1 and b"[" not in line:
        members = _MEMBER.findall(line)
    else:
        members, at = [], 0
        while member := _MEMBER.match(line, at):
            name, value = member.groups()
            at = member.end()
            if value is None:
                end = value_end(line, at) or len(line)
                value, at = line[at:end], end
            members.append((name, value))
    if b"\\" in line:
        members = [
            (json.dumps(json.loads(name), ensure_ascii=False).encode() if b"\\" in name else name, value)
            for name, value in members
        ]
    return members


def compact(value: bytes) -> bytes:
    """The value without the white space between its parts."""
    return b"".join(_WITHOUT_SPACE.findall(value)) if value[:1] in (b"[", b"{") else value


def after_space(data: bytes, at: int) -> int:
    found = _NO_JSON_SPACE.search(data, at)
    return found.start() if found else len(data)


def value_end(data: bytes, start: int) -> int | None:
    """Where the JSON value that begins at `start` ends; None if `data` ends first."""
    if data[start : start + 1] not in (b"[", b"{"):
        scalar = _SCALAR.match(data, start)
        return scalar.end() if scalar and scalar.end() < len(data) else None
    at, depth = start, 0
    while bracket := _TO_BRACKET.match(data, at):
        at = bracket.end()
        depth += 1 if data[at - 1] in b"[{" else -1
        if depth == 0:
            return at
    return None


def _float(text: str) -> float:
    exponent = int(text.lower().partition("e")[2] or 0)
    if math.isinf(value := float(text)) or abs(exponent) >= 10 * (2**32 + 1):
        raise ValueError
    return value


def _integer(text: str) -> int:
    if not -(2**127) <= (value := int(text)) < 2**128:
        raise ValueError
    return value


def _no_number(text: str) -> None:
    raise ValueError


_AS_POLARS = json.JSONDecoder(parse_float=_float, parse_int=_integer, parse_constant=_no_number)
_GRAMMAR = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_number, strict=False)


def is_refused(line: str) -> bool:
    """Whether Polars refuses the line, as far as that is easily told."""
    return _fails(_AS_POLARS, line)


def is_malformed(value: bytes) -> bool:
    """Whether the value is against JSON's grammar, and not only too deep, too large or no UTF-8."""
    return _fails(_GRAMMAR, value.decode("utf-8", "replace"))


def _fails(decoder: json.JSONDecoder, text: str) -> bool:
    try:
        decoder.decode(text)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False
