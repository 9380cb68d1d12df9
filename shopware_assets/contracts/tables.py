"""What stands in the lake: the name, columns and layout of every table, as they follow from the contracts."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import narwhals as nw

from shopware_assets.contracts.contract import Contract, Type
from shopware_assets.contracts.windows import Grain

_TIME = Type.TIME.dtype
_TEXT = Type.STRING.dtype

PROVENANCE: dict[str, nw.dtypes.DType] = {
    "_source": _TEXT,
    "_version": _TEXT,
    "_line": nw.Int64(),
    "_landed_at": _TIME,
}

SYSTEM_COLUMNS: dict[str, str] = {
    "_source": "The landed object (its key below the landing root) that the row came from.",
    "_version": "The version of that object.",
    "_line": "The number of the record in that object, from 1; 0 is the object's marker.",
    "_landed_at": "When that object landed.",
    "_window": "The window the row is filed under: its event time, or else the window its object landed in.",
    "_extra": "Fields that the contract does not name, as a JSON object.",
    "_corrupt": "The text of a record that could not be read.",
    "_marker": "On a marker: what the object held, as a JSON object.",
    "_reasons": "The names of the rules that set the row aside, separated by commas.",
    "_warnings": "The names of the `warn` rules that the row breaks, separated by commas.",
}
"""What the columns mean that every table has; their names begin with an underscore."""


@dataclass(frozen=True)
class Table:
    """A table of the lake.

    Attributes:
        name: Layer and table, `silver/orders`; also where it lies below the lake's root.
        columns: Its columns with their types, partition columns included.
        partition_columns: The columns it is laid out by on disk: of a windowed table, those of its window.
        grain: How long its windows are; None for a table without windows.
    """

    name: str
    columns: Mapping[str, nw.dtypes.DType] = field(hash=False)
    partition_columns: tuple[str, ...] = ()
    grain: Grain | None = None


def _partitions(contract: Contract) -> dict[str, nw.dtypes.DType]:
    return dict(zip(contract.partition_columns, (nw.Date(), nw.Int32()), strict=False))


@functools.cache
def bronze(contract: Contract) -> Table:
    """As received: every declared column as text, what was undeclared or unreadable, provenance and window."""
    columns = {
        **dict.fromkeys(contract.column_names, _TEXT),
        "_extra": _TEXT,
        "_corrupt": _TEXT,
        **PROVENANCE,
        "_window": _TIME,
        "_marker": _TEXT,
        **_partitions(contract),
    }
    return Table(f"bronze/{contract.name}", columns, contract.partition_columns, _event_grain(contract))


@functools.cache
def silver(contract: Contract) -> Table:
    """Judged and typed: one row a key."""
    typed = {column.name: column.type.dtype for column in contract.columns}
    carried = {c.name: c.type.dtype for reference in contract.references for c in reference.carries}
    derived = {column.name: column.type.dtype for column in contract.derived}
    columns = {**typed, **carried, **derived, **_partitions(contract), "_warnings": _TEXT, **PROVENANCE}
    partition_columns = (contract.laid_out_by,) if contract.laid_out_by else contract.partition_columns
    return Table(f"silver/{contract.name}", columns, partition_columns, _event_grain(contract))


@functools.cache
def rejected(contract: Contract) -> Table:
    """Set aside: the text as it came, with every rule that it broke."""
    columns = {
        **dict.fromkeys(contract.column_names, _TEXT),
        **dict.fromkeys(("_extra", "_corrupt", "_reasons", "_warnings"), _TEXT),
        **_partitions(contract),
        **PROVENANCE,
    }
    return Table(f"silver/{contract.name}_rejected", columns, contract.partition_columns, _event_grain(contract))


def _event_grain(contract: Contract) -> Grain | None:
    return contract.grain if contract.event_time else None
