"""The gold assets: one factory, one line a table."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from resources.lake import Lake
from resources.world import EngineResource, LakeResource, RulesResource
from shopware_assets import checks
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Severity
from shopware_assets.contracts.tables import Table
from shopware_assets.gold.materialize import Gold
from shopware_assets.ledger import WHOLE, named_window
from shopware_assets.metadata import answer_schema, of_table
from shopware_assets.partitions import Partitions
from shopware_assets.staleness import Survey
from shopware_assets.transforms import table_read
from shopware_assets.transforms.answer import Answer

KEY_UNIQUE = "key_unique"


def gold_asset(answer: Answer, partitions: Partitions) -> dg.AssetsDefinition:
    """Computes the days of the run from the silver windows that feed them; held ones are left as they are."""
    table = answer.table
    key = dg.AssetKey(["gold", answer.name])
    partitions_def = partitions.of(table.grain)

    def dep(of: Table) -> dg.AssetDep:
        # Which windows feed a day is in the lineage, not in the calendar: a line may be refunded months later.
        same = partitions_def is not None and of.grain is table.grain
        return dg.AssetDep(of.name.split("/"), partition_mapping=None if same else dg.AllPartitionMapping())

    @dg.multi_asset(
        name=f"gold_{answer.name}",
        specs=[
            dg.AssetSpec(
                key,
                deps=[dep(of) for of in map(table_read, answer.inputs) if of.name != table.name],
                description=f"{answer.description} Grain: {answer.grain}.",
                group_name="gold",
                kinds={"deltalake", "polars", "gold"},
                owners=[answer.owner],
                tags={"layer": "gold"},
                metadata=of_table(table, answer_schema(answer), key=", ".join(answer.key), grain=answer.grain),
                partitions_def=partitions_def,
            )
        ],
        check_specs=_checks(answer, key),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"gold_{answer.name}",
    )
    def asset(context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource, rules: RulesResource):
        tables = lake.open(context.run.run_id)
        days = sorted(context.partition_keys) if partitions_def else [WHOLE]
        gold = Gold(tables, answer, engine.open(), rules.reject_threshold)
        counts = pl.concat(gold.materialize(days))
        held = sorted(set(days) - set(counts["window"]))
        for day, rows in counts.iter_rows() if partitions_def else ():
            found = {"dagster/partition_row_count": rows}
            if day in days:
                context.add_asset_metadata(found, asset_key=key, partition_key=day)
            else:  # one after those asked for, which goes on from another state now
                context.log_event(dg.AssetMaterialization(key, partition=day, metadata=found))
        for day in held if partitions_def else ():
            context.add_asset_metadata(
                {"held": "A window it reads is held; the last values stay."}, asset_key=key, partition_key=day
            )
        made = sorted({*days, *counts["window"]})
        rows = tables.scan(table, [table.grain.parse(day) for day in made] if table.grain else None)
        repeated = rows.group_by(answer.key).len().filter(pl.col("len") > 1).collect()
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={"dagster/row_count": tables.rows(table), "days_held": len(held)},
        )
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=KEY_UNIQUE,
            passed=repeated.is_empty(),
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"repeated": repeated.height},
        )
        if answer.sum_of:
            compared = sorted(counts["window"])
            failing = disagreeing(tables, answer, compared)
            if failing:  # perhaps what they were made from has changed since: then they are made again
                changed = _stale(answer, Survey(tables.snapshot(), gold.engine, gold.threshold))
                compared = [day for day in compared if day not in changed]
                failing = {day: facts for day, facts in failing.items() if day not in changed}
            parts = table_read(answer.inputs[-1])
            command = checks.rows_command(parts, parts.partition_columns[0], failing)
            yield from checks.evaluate(context, key.path, checks.SUMS, Severity.REJECT, failing, compared, command)
        if answer.complete_with:
            name = checks.ready_check(key.path, answer.complete_with).name
            failing = checks.not_ready(tables, answer.complete_with, days)
            command = f"shopware ledger --feed {CONTRACTS[answer.complete_with[0]].feed}"
            yield from checks.evaluate(context, key.path, name, Severity.WARN, failing, days, command)

    return asset


def _checks(answer: Answer, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    specs = [dg.AssetCheckSpec(KEY_UNIQUE, asset=key, description=f"{answer.grain.capitalize()}, and no more.")]
    if answer.sum_of:
        ours, theirs = ", ".join(answer.sum_of), ", ".join(answer.sum_of.values())
        description = f"The sums of {ours} over a day are those of {theirs} in {table_read(answer.inputs[-1]).name}."
        specs.append(dg.AssetCheckSpec(checks.SUMS, asset=key, description=description))
    if answer.complete_with:
        specs.append(checks.ready_check(key.path, answer.complete_with))
    return specs


def _stale(answer: Answer, survey: Survey) -> frozenset[str]:
    (found,) = (stale for stale in survey.gold(list(survey.silver())) if stale.table == answer.table)
    return found.windows | found.waiting | found.blocked


def disagreeing(lake: Lake, answer: Answer, days: Sequence[str]) -> dict[str, dict[str, str]]:
    """The days on which an answer has other sums than its parts: each sum that differs, and what it should be."""
    sums = []
    for table, columns in (
        (answer.table, answer.sum_of.keys()),
        (table_read(answer.inputs[-1]), answer.sum_of.values()),
    ):
        assert table.grain
        rows = lake.scan(table, [table.grain.parse(day) for day in days])
        totals = (pl.col(column).sum().alias(ours) for ours, column in zip(answer.sum_of, columns, strict=True))
        sums.append(rows.group_by(window=named_window(table)).agg(totals).collect())
    both = sums[0].join(sums[1], on="window", how="full", coalesce=True, suffix=" of parts").sort("window")
    found = {
        row["window"]: {
            ours: f"{row[ours]}, not {row[f'{ours} of parts']}"
            for ours in answer.sum_of
            if row[ours] != row[f"{ours} of parts"]
        }
        for row in both.iter_rows(named=True)
    }
    return {day: facts for day, facts in found.items() if facts}
