"""The silver assets: one factory, one line a table. A partition is the window in which rows happened."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from resources.world import EngineResource, LakeResource, RulesResource
from shopware_assets import checks, ledger
from shopware_assets.contracts.contract import Contract, Severity
from shopware_assets.contracts.tables import rejected, silver
from shopware_assets.ledger import WHOLE
from shopware_assets.metadata import of_table, rejected_schema, silver_schema
from shopware_assets.partitions import Partitions
from shopware_assets.silver.materialize import Silver
from shopware_assets.transforms import days_read


def silver_asset(contract: Contract, partitions: Partitions) -> dg.AssetsDefinition:
    """Judges the windows of the run from bronze and replaces them, accepted and rejected rows both."""
    accepted_table, rejected_table = silver(contract), rejected(contract)
    key = dg.AssetKey(["silver", contract.name])
    rejected_key = dg.AssetKey(["silver", f"{contract.name}_rejected"])
    partitions_def = partitions.of(accepted_table.grain)
    parents = [
        dg.AssetDep(
            ["silver", reference.parent], partition_mapping=dg.AllPartitionMapping() if partitions_def else None
        )
        for reference in contract.references
    ]
    from_bronze = dg.AssetDep(
        ["bronze", contract.name], partition_mapping=None if partitions_def else dg.AllPartitionMapping()
    )
    show = f"shopware rejects silver/{contract.name}"
    common: dict[str, Any] = {
        "group_name": "silver",
        "owners": [contract.owner],
        "tags": {"feed": contract.feed, "layer": "silver"},
        "partitions_def": partitions_def,
        "deps": [from_bronze, *parents],
    }

    @dg.multi_asset(
        name=f"silver_{contract.name}",
        specs=[
            dg.AssetSpec(
                key,
                description=contract.description,
                kinds={"deltalake", "polars", "silver"},
                freshness_policy=checks.freshness(contract),
                metadata=of_table(accepted_table, silver_schema(contract), key=", ".join(contract.key)),
                **common,
            ),
            dg.AssetSpec(
                rejected_key,
                description=f"Rows of {contract.name} that were set aside, with every rule they broke (`{show}`).",
                kinds={"deltalake", "polars", "silver"},
                metadata=of_table(rejected_table, rejected_schema(contract)),
                **common,
            ),
        ],
        check_specs=checks.silver_checks(contract),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"silver_{contract.name}",
    )
    def asset(context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource, rules: RulesResource):
        tables = lake.open(context.run.run_id)
        names = sorted(context.partition_keys) if partitions_def else []
        windows: list[datetime | None] = [contract.grain.parse(name) for name in names] or [None]
        silver_table = Silver(tables, contract, engine.open(), rules.starts_at, days_read(contract.name))
        elsewhere = checks.table_rules_elsewhere(contract)
        before = [checks.days_shared(tables, contract, rule, names) for _, rule in elsewhere]
        counts = pl.concat(silver_table.materialize(windows))
        total = _totals(counts)
        per_window = {name: _totals(part) for (name,), part in counts.group_by("window")} if names else {}
        for name, facts in per_window.items():
            context.add_asset_metadata(
                {**facts, "dagster/partition_row_count": facts["accepted"]}, asset_key=key, partition_key=str(name)
            )
            context.add_asset_metadata(
                {"dagster/partition_row_count": facts["rejected"]}, asset_key=rejected_key, partition_key=str(name)
            )
        sizes = {table: tables.rows(table) for table in (accepted_table, rejected_table)}
        whole = {} if names else total
        yield dg.MaterializeResult(asset_key=key, metadata={"dagster/row_count": sizes[accepted_table], **whole})
        yield dg.MaterializeResult(asset_key=rejected_key, metadata={"dagster/row_count": sizes[rejected_table]})
        yield from _check_results(context, tables, names)
        for (other, rule), days in zip(elsewhere, before, strict=True):  # also where a day has lost its rows here
            touched = sorted({*names} | days | checks.days_shared(tables, contract, rule, names))
            broken = checks.broken_table_rules(tables.snapshot(), other, touched)
            for result in _of_rules(context, other, {rule.name: rule.severity}, broken, touched):
                context.log_event(
                    dg.AssetCheckEvaluation(
                        asset_key=dg.AssetKey(["silver", other.name]),
                        check_name=rule.name,
                        passed=result.passed,
                        severity=result.severity,
                        metadata=result.metadata,
                    )
                )

    def _check_results(context: dg.AssetExecutionContext, tables, names: list[str]):
        now = tables.snapshot()
        broken = pl.concat(
            [checks.broken_rules(now, contract, names or None), checks.broken_table_rules(now, contract, names)]
        )
        severities = contract.rule_severities | {rule.name: rule.severity for rule in contract.table_rules}
        yield from _of_rules(context, contract, severities, broken, names)
        # The books must be read with what others write meanwhile, all else as it is now.
        wrong = checks.unbalanced(tables, contract, names or [WHOLE])
        failing = {row["window"]: row for row in wrong.iter_rows(named=True)}
        command = f"shopware ledger --feed {contract.feed}"
        yield from checks.evaluate(context, key.path, checks.BOOKS, Severity.REJECT, failing, names, command)
        read = ledger.read_ledger(now, accepted_table).group_by("window").agg(pl.col("read").sum())
        odd = checks.unusual_volume(read, names)
        failing = {row["window"]: row for row in odd.iter_rows(named=True)}
        yield from checks.evaluate(context, key.path, checks.VOLUME, Severity.WARN, failing, names, command)
        if contract.complete_with:
            name = checks.ready_check(key.path, contract.complete_with).name
            failing = checks.not_ready(now, contract.complete_with, names)
            yield from checks.evaluate(context, key.path, name, Severity.WARN, failing, names, command)

    return asset


def _of_rules(
    context: dg.AssetExecutionContext,
    contract: Contract,
    severities: Mapping[str, Severity],
    broken: pl.DataFrame,
    names: Sequence[str],
) -> Iterator[dg.AssetCheckResult]:
    by_rule = {str(rule): part for (rule,), part in broken.group_by("rule")}
    for rule, severity in severities.items():
        failing = {
            row["window"]: {"rows": row["rows"], "sample": row["sample"]}
            for row in (by_rule[rule].iter_rows(named=True) if rule in by_rule else ())
        }
        command = checks.command_for(contract, rule, failing)
        yield from checks.evaluate(context, ["silver", contract.name], rule, severity, failing, names, command)


def _totals(counts: pl.DataFrame) -> dict[str, int]:
    columns = ("read", "accepted", "rejected", "superseded", "waiting")
    return {column: int(counts[column].sum()) for column in columns}
