"""The words in which a gold table is defined: its grain, what each column means, what it reads."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.contracts.tables import Table
from shopware_assets.contracts.windows import Grain
from shopware_assets.transforms.engine import Engine


@dataclass(frozen=True)
class Measure:
    """A column of a gold table: `definition` is the only place where it is written down what the number means."""

    name: str
    type: Type
    definition: str
    unit: str = ""


@dataclass(frozen=True)
class Input:
    """A table that an answer reads: a silver one by its name, a gold one as `gold/name`.

    Attributes:
        days: The columns whose days say which of its rows a gold day needs.
        back: How many days before the gold day these days are: 0 is the same day, 1 the day before.
        newest_only: Of a table without days: only the input's newest day is read.
    """

    table: str
    days: tuple[str, ...]
    back: tuple[int, ...] = (0,)
    newest_only: bool = False

    @property
    def is_gold(self) -> bool:
        return self.table.startswith("gold/")


@dataclass(frozen=True)
class Answer:
    """A gold table.

    Attributes:
        grain: What one row is, in words.
        key: The columns that name a row.
        day: The column that holds a row's day, by which the table is partitioned; None if it has no days.
        compute: From the rows of its inputs (at least those that its days need) to its rows.
        every_day: Whether it has every day from the first of its first input to the newest that all have reached of
            which it reads the same day, and no other day; then `compute` also gets `days`: `day` and `is_newest`, on
            which it may be another.
        complete_with: The tables that must have been delivered for a day before it counts as ready.
        sum_of: Columns whose sum over a day must be that of a column of its last input, and which.
        may_be_empty: Whether it is nothing to worry about when it has no row.
    """

    name: str
    description: str
    grain: str
    key: tuple[str, ...]
    day: str | None
    measures: tuple[Measure, ...]
    inputs: tuple[Input, ...]
    compute: Callable[[Mapping[str, nw.LazyFrame], Engine], nw.LazyFrame] = field(compare=False, repr=False)
    owner: str = "team:analytics"
    every_day: bool = False
    may_be_empty: bool = False
    complete_with: tuple[str, ...] = ()
    sum_of: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if unknown := {*self.key, self.day or self.key[0]} - {measure.name for measure in self.measures}:
            raise ValueError(f"key or day of {self.name} names {unknown.pop()!r}, which is no column")

    @cached_property
    def fingerprint(self) -> str:
        """Changes with what the answer means: its definitions, the module that computes it, and the functions that it
        takes from other transforms.
        """
        module = sys.modules[self.compute.__module__]
        taken = [
            thing
            for thing in vars(module).values()
            if inspect.isfunction(thing)
            and thing.__module__.startswith(__package__)
            and thing.__module__ != module.__name__
        ]
        code = (inspect.getsource(module), *sorted(map(inspect.getsource, taken)))
        return hashlib.sha256("\n".join((repr(self), *code)).encode()).hexdigest()[:12]

    @property
    def reads_itself(self) -> bool:
        """Whether each day starts from the day before: then days are made in order."""
        return any(read.table == self.table.name for read in self.inputs)

    @cached_property
    def table(self) -> Table:
        columns = {measure.name: measure.type.dtype for measure in self.measures}
        if self.day is None:
            return Table(f"gold/{self.name}", columns)
        return Table(f"gold/{self.name}", columns, (self.day,), Grain.DAY)
