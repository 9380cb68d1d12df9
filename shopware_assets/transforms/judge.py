"""Judging: from bronze rows to accepted, rejected and superseded ones, by the contract alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import narwhals as nw

from shopware_assets.contracts.contract import READABLE, Column, Contract, Reference, Rule, Severity, text_of, unknown
from shopware_assets.contracts.tables import PROVENANCE, rejected, silver
from shopware_assets.contracts.windows import CLOCK_SKEW
from shopware_assets.transforms.engine import WHITE_SPACE, Engine

ACCEPTED, REJECTED, SUPERSEDED = "accepted", "rejected", "superseded"


class Split(NamedTuple):
    """The rows of a table by what became of them; every row judged is in exactly one of the three."""

    accepted: nw.LazyFrame
    rejected: nw.LazyFrame
    superseded: nw.LazyFrame


def split(
    rows: nw.LazyFrame,
    contract: Contract,
    *,
    engine: Engine,
    start: datetime,
    parents: Mapping[str, nw.LazyFrame] | None = None,
) -> Split:
    """The rows of a table as accepted (typed), rejected (text, with every rule they broke) and superseded (text) ones.

    Accepted and rejected ones have the columns of their tables, superseded ones those delivered, window, provenance and
    `_current`. Arguments as for `judge`. Collect the three together: they share their work.
    """
    clear, others = _judged(rows, contract, engine, start, parents or {})

    def became(outcome: str) -> nw.LazyFrame:
        return others.filter(nw.col("_outcome") == outcome)

    def verbatim(judged: nw.LazyFrame, columns: list[str]) -> nw.LazyFrame:
        return judged.with_columns(nw.col(text_of(name)).alias(name) for name in contract.column_names).select(columns)

    accepted = list(silver(contract).columns)
    superseded = [*contract.column_names, *contract.partition_columns, *PROVENANCE, "_current"]
    return Split(
        accepted=nw.concat([clear.select(accepted), became(ACCEPTED).select(accepted)]),
        rejected=verbatim(became(REJECTED), list(rejected(contract).columns)),
        superseded=verbatim(became(SUPERSEDED), superseded),
    )


def judge(
    rows: nw.LazyFrame,
    contract: Contract,
    *,
    engine: Engine,
    start: datetime,
    parents: Mapping[str, nw.LazyFrame] | None = None,
) -> nw.LazyFrame:
    """Every row with its outcome.

    Args:
        rows: Bronze rows without markers, all that share a key with one another, with `_current`: whether no newer
            version of their object can be read.
        start: The lake's start; what happened before it is rejected.
        parents: Accepted rows of each table that the contract refers to, one a key; at least those the rows name.

    Returns:
        The rows with typed, carried and derived columns, the original text under `text_of(column)`, `_outcome`, and
        `_reasons` and `_warnings`: the names of the `reject` and `warn` rules broken, separated by commas ("" if none).
    """
    return nw.concat(_judged(rows, contract, engine, start, parents or {}))


def _judged(
    rows: nw.LazyFrame, contract: Contract, engine: Engine, start: datetime, parents: Mapping[str, nw.LazyFrame]
) -> tuple[nw.LazyFrame, nw.LazyFrame]:
    """The clear rows and the others, judged.

    Nearly every row is clear: it breaks no rule, and no other row has its key. Only the others need to have rules named
    and to be ranked, which is what judging costs.
    """
    typed = _typed(rows, contract, engine).with_columns(
        _start=nw.lit(start, dtype=nw.Datetime("us", "UTC")), _latest=nw.col("_landed_at") + CLOCK_SKEW
    )
    for reference in contract.references:
        typed = _with_parent(typed, reference, parents[reference.parent])
    typed = typed.with_columns(derived.value.alias(derived.name) for derived in contract.derived)

    breaks = nw.any_horizontal(*(rule.breaks for rule in _rules(contract)), ignore_nulls=True)
    is_clear = nw.col("_current") & ~breaks & (nw.len().over(*_identity(contract)) == 1)
    typed = engine.once(typed.with_columns(_clear=is_clear))
    clear = typed.filter(nw.col("_clear")).with_columns(
        _reasons=nw.lit(""), _warnings=nw.lit(""), _outcome=nw.lit(ACCEPTED)
    )
    return clear, _newest_wins(_with_reasons(typed.filter(~nw.col("_clear")), contract), contract)


def _typed(rows: nw.LazyFrame, contract: Contract, engine: Engine) -> nw.LazyFrame:
    text = rows.rename({name: text_of(name) for name in contract.column_names})
    typed = engine.parse(text, {column.name: (text_of(column.name), column.type) for column in contract.columns})
    vocabularies = [_in_vocabulary(column) for column in contract.columns if column.values]
    return typed.with_columns(vocabularies) if vocabularies else typed


def _in_vocabulary(column: Column) -> nw.Expr:
    """The value in the spelling of its vocabulary; one that is not in it stays as it is."""
    folded = nw.col(column.name).str.to_lowercase().str.replace_all(f"[{WHITE_SPACE}]", "")
    value = nw.col(column.name)
    for word in column.values:
        value = nw.when(folded == word.lower().replace(" ", "")).then(nw.lit(word)).otherwise(value)
    return value.alias(column.name)


def _with_parent(rows: nw.LazyFrame, reference: Reference, parent: nw.LazyFrame) -> nw.LazyFrame:
    flag = unknown(reference)
    carried = {carried.column: carried.name for carried in reference.carries}
    named = parent.select(
        nw.col(reference.parent_key).alias(reference.column),
        *(nw.col(column).alias(name) for column, name in carried.items()),
        nw.lit(False).alias(flag),
    )
    return rows.join(named, on=reference.column, how="left").with_columns(
        (nw.col(flag).is_null() & ~nw.col(reference.column).is_null()).alias(flag),
        *(
            nw.col(carried.name).fill_null(nw.lit(carried.default))
            for carried in reference.carries
            if carried.default is not None
        ),
    )


def _identity(contract: Contract) -> tuple[str, ...]:
    """The columns whose values only one accepted row has: the key, with the window where that is the key's scope."""
    in_window = contract.key_scope == "window" and contract.event_time not in contract.key
    return (*contract.partition_columns, *contract.key) if in_window else contract.key


def _rules(contract: Contract) -> tuple[Rule, ...]:
    return (*contract.rules, *contract.references_as_rules)


def _with_reasons(rows: nw.LazyFrame, contract: Contract) -> nw.LazyFrame:
    readable = nw.col("_corrupt").is_null()

    def names(severity: Severity) -> nw.Expr:
        broken = [
            nw.when(rule.breaks).then(nw.lit(rule.name))
            for rule in _rules(contract)
            if rule.severity is severity and rule.name != READABLE
        ]
        return nw.concat_str(broken, separator=",", ignore_nulls=True) if broken else nw.lit("")

    return rows.with_columns(
        _reasons=nw.when(readable).then(names(Severity.REJECT)).otherwise(nw.lit(READABLE)),
        _warnings=nw.when(readable).then(names(Severity.WARN)).otherwise(nw.lit("")),
    )


def _newest_wins(rows: nw.LazyFrame, contract: Contract) -> nw.LazyFrame:
    """Adds `_outcome`. Only rows of current objects that break no `reject` rule compete for their key."""
    competing = rows.with_columns(
        _competes=nw.col("_current") & (nw.col("_reasons") == ""),
        _newest_by=nw.lit(0) if contract.newest_by is None else contract.newest_by,
    )
    order = ("_newest_by", "_landed_at", "_source", "_version", "_line")
    rank = nw.col("_line").cum_count(reverse=True).over("_competes", *_identity(contract), order_by=order)
    ranked = competing.with_columns(_wins=nw.col("_competes") & (rank == 1))
    outcome = (
        nw.when(nw.col("_wins"))
        .then(nw.lit(ACCEPTED))
        .otherwise(
            nw.when(nw.col("_current") & ~nw.col("_competes")).then(nw.lit(REJECTED)).otherwise(nw.lit(SUPERSEDED))
        )
    )
    return ranked.with_columns(_outcome=outcome).drop("_competes", "_newest_by", "_wins")
