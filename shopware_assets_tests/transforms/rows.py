"""Answers computed from rows that a test writes down, without a lake."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import narwhals as nw
import polars as pl

from resources.engine_polars import PolarsEngine
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.transforms import table_read
from shopware_assets.transforms.answer import Answer

Row = Mapping[str, Any]


def day(number: int) -> date:
    """A day of March 2025."""
    return date(2025, 3, number)


def frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of a silver table; columns that they do not name are missing values."""
    schema = nw.Schema(silver(CONTRACTS[table]).columns).to_polars()
    return pl.DataFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def computed(answer: Answer, inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows that an answer has of these tables, in the order of its key.

    Inputs that are left out are empty; of those given, columns that are left out are missing values.
    """
    frames = {}
    for read in answer.inputs:
        schema = nw.Schema(table_read(read).columns).to_polars()
        given = inputs.get(read.table, pl.DataFrame(schema=schema))
        lacking = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in given.columns]
        frames[read.table] = given.with_columns(lacking).cast(dict(schema))  # type: ignore[arg-type]
    frames |= {name: given for name, given in inputs.items() if name not in frames}
    lazy = {name: nw.from_native(given.lazy()) for name, given in frames.items()}
    rows = answer.compute(lazy, PolarsEngine()).to_native().select(list(answer.table.columns)).collect()
    return rows.sort(answer.key)


def money(text: str) -> Decimal:
    return Decimal(text).quantize(Decimal("0.0001"))
