"""The words in which a gold table is defined: its grain, what each column means, what it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    """A silver table that an answer reads, and the columns whose days say which of its rows a gold day needs."""

    table: str
    days: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A gold table.

    Attributes:
        grain: What one row is, in words.
        key: The columns that name a row.
        day: The column that holds a row's day, by which the table is partitioned; None if it has no days.
        compute: From the silver rows of its inputs (at least those that its days need) to its rows.
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

    def __post_init__(self) -> None:
        if unknown := {*self.key, self.day or self.key[0]} - {measure.name for measure in self.measures}:
            raise ValueError(f"key or day of {self.name} names {unknown.pop()!r}, which is no column")

    @property
    def table(self) -> Table:
        columns = {measure.name: measure.type.dtype for measure in self.measures}
        if self.day is None:
            return Table(f"gold/{self.name}", columns)
        return Table(f"gold/{self.name}", columns, (self.day,), Grain.DAY)
