"""What frames of JSON and of CSV have in common: a row for each record, and what could not be read in `_corrupt`."""

from collections.abc import Mapping, Sequence

import polars as pl

from resources.records.text import shortened


def require_height(frame: pl.DataFrame, rows: int) -> None:
    """What is found out about a line goes to the row of its number, so Polars has to see the same lines."""
    if frame.height != rows:
        raise RuntimeError(f"Polars read {frame.height} rows where there are {rows}.")


def completed(frame: pl.DataFrame, corrupt: Mapping[int, str]) -> pl.DataFrame:
    """The frame with `_corrupt`, given by row; all else is null in these rows."""
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    if not corrupt:
        return frame.with_columns(_corrupt=nothing)
    texts = scattered(nothing, {row: shortened(text.replace("\0", "").encode()) for row, text in corrupt.items()})
    return frame.select(pl.when(texts.is_null()).then(pl.all())).with_columns(_corrupt=texts)


def scattered(column: pl.Series, values: Mapping[int, str]) -> pl.Series:
    return column.clone().scatter(list(values), list(values.values())) if values else column


def set_aside(text: str, columns: Sequence[str]) -> pl.DataFrame:
    """One record that cannot be read."""
    return pl.DataFrame(
        {**dict.fromkeys(columns), "_extra": None, "_corrupt": text},
        schema=dict.fromkeys([*columns, "_extra", "_corrupt"], pl.String),
    )
