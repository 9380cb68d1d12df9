"""The words in which a contract is written.

A contract says, once and as plain data, what a row of a table must be: columns, rules, key, event time, order and
references. Typing, judging, checks, column metadata, sample data and documentation all come from it. Rules are
narwhals expressions over the typed columns, so that they mean the same on every engine.

What is in the `repr` of these words decides what becomes of rows (see `Contract.fingerprint`); what only says something
about them is not.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal

import narwhals as nw

from shopware_assets.contracts.windows import Grain

READABLE = "record_readable"
"""The rule that a record broken as a whole breaks; it replaces every other reason."""


class Type(StrEnum):
    """What text becomes (see docs on how text becomes a value)."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    MONEY = "money"
    TIME = "time"
    DATE = "date"

    @property
    def dtype(self) -> nw.dtypes.DType:
        """How a value of this type is stored."""
        return {
            Type.STRING: nw.String(),
            Type.INT: nw.Int64(),
            Type.FLOAT: nw.Float64(),
            Type.MONEY: nw.Decimal(18, 4),
            Type.TIME: nw.Datetime("us", "UTC"),
            Type.DATE: nw.Date(),
        }[self]


class Severity(StrEnum):
    """What breaking a rule does to a row."""

    REJECT = "reject"
    WARN = "warn"


@dataclass(frozen=True)
class Rule:
    """One named predicate on a row. `breaks` is true where a row breaks the rule; NULL counts as kept."""

    name: str
    description: str = field(repr=False)
    breaks: nw.Expr = field(compare=False, repr=False)
    severity: Severity = Severity.REJECT


@dataclass(frozen=True)
class Column:
    """A column that a source delivers.

    Attributes:
        required: A missing value rejects the row (`<name>_present`).
        values: The vocabulary, in the spelling that is stored; compared without case and white space.
        unknown: What a value outside the vocabulary does to its row (`<name>_known`).
        personal: The column holds personal data.
        rules: Further rules that are about this column alone.
    """

    name: str
    type: Type
    description: str = field(repr=False)
    required: bool = False
    unit: str = field(default="", repr=False)
    values: tuple[str, ...] = ()
    unknown: Severity = Severity.REJECT
    personal: bool = field(default=False, repr=False)
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Derived:
    """A column that follows from others of its row."""

    name: str
    type: Type
    description: str = field(repr=False)
    value: nw.Expr = field(compare=False, repr=False)
    unit: str = field(default="", repr=False)


@dataclass(frozen=True)
class Carried:
    """A column that a row takes from its parent, as the parent is now. `default` stands where the parent has none."""

    name: str
    type: Type
    description: str = field(repr=False)
    column: str
    default: str | None = None
    unit: str = field(default="", repr=False)


@dataclass(frozen=True)
class Reference:
    """A parent that a row names. A row whose parent is not (yet) accepted breaks `rule` and heals when it arrives.

    `carries` has the columns of the parent's window, if it has any: so it is known from which window a row takes.
    """

    rule: str
    description: str = field(repr=False)
    column: str
    parent: str
    parent_key: str
    carries: tuple[Carried, ...] = ()
    severity: Severity = Severity.REJECT


@dataclass(frozen=True)
class TableRule:
    """A rule over several rows, of one table or of more: a check of the table, which sets no flag on rows.

    It is evaluated whenever a window of its own table is made, or one of another table of which `reads` has a day.

    Attributes:
        entity: The column that says which rows belong together; every table that is read has it.
        reads: The tables, the rule's own among them, each with the column of the day that all rows of an entity share:
            other days are not read. None where there is no such column.
        broken_by: From the accepted rows of some entities, a frame for each of these tables, to the entities that break
            the rule.
    """

    name: str
    description: str
    entity: str
    reads: Mapping[str, str | None] = field(hash=False)
    broken_by: Callable[..., nw.LazyFrame] = field(compare=False, repr=False)
    severity: Severity = Severity.WARN


@dataclass(frozen=True)
class Contract:
    """What a row of one table must be.

    Attributes:
        name: The table; also the last part of its asset keys.
        feed: The source system that delivers it.
        prefix: Where its objects land, below the landing root.
        layout: How its objects are written.
        key: The columns (or derived columns) that name a row.
        key_scope: Whether the key is unique within its window or over the whole table.
        event_time: The column that says when the row happened; None for a reference table, which has no windows.
        grain: How long its landing windows (and its event windows, if it has any) are.
        newest_by: The expression that orders rows of one key, before landing time and provenance decide.
        derived: Columns computed from the row after its references were looked up.
        complete_with: Tables that must have been delivered for a window before it counts as ready (`<feed>_ready`).
        laid_out_by: A column of a reference table by which its accepted rows are laid out on disk.
        owner: The team that answers for the table.
    """

    name: str
    feed: str
    prefix: str
    layout: Literal["json", "csv"]
    description: str = field(repr=False)
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    grain: Grain
    event_time: str | None = None
    key_scope: Literal["window", "table"] = "window"
    newest_by: nw.Expr | None = field(default=None, compare=False, repr=False)
    row_rules: tuple[Rule, ...] = ()
    references: tuple[Reference, ...] = ()
    derived: tuple[Derived, ...] = ()
    table_rules: tuple[TableRule, ...] = field(default=(), repr=False)
    complete_with: tuple[str, ...] = field(default=(), repr=False)
    laid_out_by: str = ""
    owner: str = field(default="team:data-platform", repr=False)

    def __post_init__(self) -> None:
        delivered = set(self.column_names)
        named: dict[str, set[str]] = {
            "event_time": {self.event_time or self.column_names[0]} - delivered,
            "key": set(self.key) - delivered - {derived.name for derived in self.derived},
            "references": {reference.column for reference in self.references} - delivered,
        }
        for part, unknown_names in named.items():
            if unknown_names:
                raise ValueError(f"{part} of the contract {self.name} names {unknown_names.pop()!r}, no column of it")

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """The columns by which bronze, silver and rejected rows are laid out on disk: the window's date, then hour."""
        if self.event_time is None:
            return ()
        stem = self.event_time.removesuffix("_at")
        return (f"{stem}_date",) if self.grain is Grain.DAY else (f"{stem}_date", f"{stem}_hour")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule on a single row except those of references, in the order of the columns."""
        return tuple(self._rules())

    def _rules(self) -> Iterator[Rule]:
        yield Rule(READABLE, "The record could be read whole, with one value a column.", ~nw.col("_corrupt").is_null())
        for column in self.columns:
            name, value, is_given = column.name, nw.col(column.name), nw.col(given(column.name))
            if column.required:
                yield Rule(f"{name}_present", f"`{name}` is there.", ~is_given)
            if column.type is not Type.STRING:
                yield Rule(f"{name}_parses", f"`{name}` is a {column.type}.", value.is_null() & is_given)
            if column.values:
                description = f"`{name}` is one of {', '.join(column.values)}."
                yield Rule(f"{name}_known", description, ~value.is_in(column.values), column.unknown)
            if name == self.event_time:
                yield from self._bounds(name)
            yield from column.rules
        yield from self.row_rules

    def _bounds(self, name: str) -> Iterator[Rule]:
        yield not_in_future(name)
        yield Rule(
            f"{name}_not_before_start", f"`{name}` is not before the lake's start.", nw.col(name) < nw.col("_start")
        )

    @cached_property
    def fingerprint(self) -> str:
        """Changes with what the contract does, not with how it is described: by which of them a window was judged."""
        expressions = [repr(rule.breaks) for rule in self.rules] + [repr(d.value) for d in self.derived]
        return hashlib.sha256("\n".join((repr(self), repr(self.newest_by), *expressions)).encode()).hexdigest()[:12]

    @property
    def rule_severities(self) -> dict[str, Severity]:
        """Every rule that a row can break, references included, with what breaking it does."""
        return {rule.name: rule.severity for rule in (*self.rules, *self.references_as_rules)}

    @property
    def references_as_rules(self) -> tuple[Rule, ...]:
        return tuple(
            Rule(reference.rule, reference.description, nw.col(unknown(reference)), reference.severity)
            for reference in self.references
        )


def text_of(column: str) -> str:
    """Where the original text of a column stands while its row is judged."""
    return f"_text_{column}"


def given(column: str) -> str:
    """The flag of a row that has some value in `column`, of the right type or not, while it is judged."""
    return f"_given_{column}"


def unknown(reference: Reference) -> str:
    """The flag of a row whose parent is not known, while it is judged."""
    return f"_unknown_{reference.rule}"


def not_negative(column: str) -> Rule:
    return Rule(f"{column}_not_negative", f"`{column}` is 0 or more.", nw.col(column) < 0)


def positive(column: str) -> Rule:
    return Rule(f"{column}_positive", f"`{column}` is 1 or more.", nw.col(column) < 1)


def not_in_future(column: str) -> Rule:
    """At most 24 hours after landing (`_latest`): clocks are off, but not by more than a day."""
    return Rule(
        f"{column}_not_in_future",
        f"`{column}` is at most 24 hours after the object landed.",
        nw.col(column) > nw.col("_latest"),
    )
