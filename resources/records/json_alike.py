"""Lines of JSON that are spelled alike, as machines write them: cut at their commas, for two thirds of parsing's cost.

Here: lines that differ from the first in nothing but plain values, which come out as if parsed. Not here: all others.
"""

import re
from collections.abc import Sequence

import polars as pl

_SPACE = r"[ \t\r]{0,8}"  # with more, a pattern could become too large
_TEXT = r'[^"\\,\x00-\x1f]*'
_VALUES = {
    "integer": r"0|-?[1-9][0-9]{0,17}",
    # So few digits are the shortest spelling of their double, but for zeros at the end.
    "fraction": r"-?(?:0|1[0-9]{9}|[1-9][0-9]{0,8})\.[0-9]{1,6}",
    "string": f'"{_TEXT}"',
}
_HEAD = rf'{_SPACE}"(?P<name>{_TEXT})"{_SPACE}:{_SPACE}'
_VALUE = "|".join(f"(?P<{kind}>{value})" for kind, value in _VALUES.items())
_FIELD = re.compile(rf"(?P<head>{_HEAD})(?:{_VALUE})(?P<tail>{_SPACE}(?:,|\}}\Z))")
_SAMPLE = 100


def read_alike(lines: pl.Series, columns: Sequence[str]) -> tuple[pl.DataFrame, pl.Series] | None:
    """The declared fields of the lines, in a row each, and the numbers of the other lines: their rows mean nothing.

    None if the first line does not have plain values in declared fields alone, or most lines are not like it.
    """
    fields = _fields(lines[0] if len(lines) else "")
    names = [field["name"] for field in fields]
    if not names or len(set(names)) < len(names) or not set(names) <= set(columns):
        return None
    values, pattern = {}, r"\A\{"
    for place, field in enumerate(fields):
        kind = next(kind for kind in _VALUES if field[kind])
        quote = '"' if kind == "string" else ""
        pattern += f"{re.escape(field['head'])}(?:{_VALUES[kind]}){re.escape(field['tail'])}"
        value = pl.col(f"field_{place}").str.slice(len("{" * (place == 0) + field["head"] + quote))
        if end := quote + field["tail"].removesuffix(","):
            value = value.str.strip_suffix(end)
        if kind == "fraction":
            value = value.str.strip_chars_end("0").str.strip_suffix(".")
        values[field["name"]] = value
    alike = pl.col("line").str.contains(rf"{pattern}\z")
    if 2 * lines.head(_SAMPLE).to_frame("line").select(alike).to_series().sum() < min(_SAMPLE, len(lines)):
        return None
    frame = (
        lines.to_frame("line")
        .lazy()
        .select(_alike=alike, pieces=pl.col("line").str.split_exact(",", len(fields) - 1))
        .unnest("pieces")
        .select(*(values.get(column, pl.lit(None, pl.String)).alias(column) for column in columns), "_alike")
        .collect()
    )
    return frame.drop("_alike"), (~frame["_alike"]).arg_true()


def _fields(line: str) -> list[re.Match[str]]:
    """The fields of an object of plain values, each with what comes before and behind; none if it is anything else."""
    fields, at = list[re.Match[str]](), 1
    while field := _FIELD.match(line, at):
        fields.append(field)
        at = field.end()
    return fields if at == len(line) and line.endswith("}") else []
