"""What an engine must supply beyond narwhals: the few primitives that no expression says the same way on all of them.

Transforms are narwhals expressions; what differs silently between engines (text to values, rounding, hashing) is a
primitive here, which each engine implements natively. All implementations are compared row for row by the tests.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import narwhals as nw

from shopware_assets.contracts.contract import Type

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What surrounds a value without being part of it: Unicode's white space."""

_EXPONENT = "0*(?:[12]?[0-9]|3[0-7])"  # what decimals of 38 digits can hold

WHOLE = rf"\A[+-]?(?:[0-9]+\.?[0-9]{{0,18}}|\.[0-9]{{1,18}})(?:[eE]\+?{_EXPONENT})?\z"
"""How an INT may be written, if its decimals are 0."""

DECIMAL = rf"\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?{_EXPONENT})?\z"
"""How an amount of MONEY may be written."""

EPOCH_MS, EPOCH_US = 1e11, 1e14
"""From these sizes on an epoch number is taken as milliseconds and as microseconds."""

ISO_8601 = (
    r"\A([0-9]{4})-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])"  # year, month, day
    r"(?:[Tt ]([01][0-9]|2[0-3]):?([0-5][0-9])(?::?([0-5][0-9])(?:[.,]([0-9]{1,6})[0-9]*)?)?"  # time, fraction
    r" ?(?:[Zz]|([+-])(0[0-9]|1[0-4])(?::?([0-5][0-9]))?)?)?\z"  # sign, hours and minutes of the offset
)
"""A time in ISO 8601: a date, or a date and time with or without offset, in extended or basic form."""

FIRST_MICROSECOND, LAST_MICROSECOND = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999: beyond them no engine agrees with another."""


def exact(name: str) -> nw.Expr:
    """A whole number with room for products and sums: those of 64 bits begin again from below, without a word."""
    return nw.col(name).cast(nw.Decimal(38, 0))


class Engine(Protocol):
    """What executes a frame."""

    def once(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        """The same frame, about to be used several times: an engine that has rows in memory computes it here, once."""
        ...

    def parse(self, frame: nw.LazyFrame, columns: Mapping[str, tuple[str, Type]]) -> nw.LazyFrame:
        """Adds typed columns made from text.

        Args:
            columns: New column -> (text column, type). White space around a value is not part of it and an empty value
                is missing: the text of a STRING comes out trimmed.

        Returns:
            The frame with the new columns: NULL where there is no value, and where the text is not of the type; beside
            each, `_given_<name>` says whether there was a value at all.
            INT: a whole number within 64 bits, in any decimal spelling. FLOAT: a finite number. MONEY: decimal(18,4),
            rounded half away from zero. TIME: an epoch number (s, ms or us by its size) or ISO 8601 (no offset = UTC),
            to the microsecond (epoch numbers until the year 2255, when a double runs out of digits). DATE: ISO 8601; of
            a time, its day in UTC.
        """
        ...

    def mean_money(self, frame: nw.LazyFrame, name: str, total: str, count: str) -> nw.LazyFrame:
        """Adds `name` = total / count as decimal(18,4), rounded half away from zero; NULL where count is 0 or NULL."""
        ...

    def duration(self, frame: nw.LazyFrame, name: str, start: str, end: str) -> nw.LazyFrame:
        """Adds `name`: the microseconds from one TIME to another."""
        ...

    def fingerprint(self, frame: nw.LazyFrame, by: Sequence[str]) -> nw.LazyFrame:
        """One row per group of `by`: `rows` and `fingerprint` (text, `engine:rows:hash`), which is the same for
        the same rows in any order (on one engine: another one has other fingerprints)."""
        ...
