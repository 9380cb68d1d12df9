"""The bronze assets: one factory, one line a table. A partition is a landing window: what arrived in it is ingested."""

import dagster as dg
import polars as pl

from resources.world import EngineResource, LakeResource, LandingResource, RulesResource
from shopware_assets import checks, ledger
from shopware_assets.bronze.ingest import Known, NotIngested, ingest, landing_window_of, new_objects
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.tables import bronze
from shopware_assets.metadata import bronze_schema, of_table
from shopware_assets.partitions import Partitions


def landing_spec(contract: Contract) -> dg.AssetSpec:
    """What a source drops; not made here."""
    return dg.AssetSpec(
        ["landing", contract.name],
        description=f"{contract.layout.upper()} files that the {contract.feed} feed drops under `{contract.prefix}/`.",
        group_name="landing",
        kinds={"s3", contract.layout},
        owners=[contract.owner],
        tags={"feed": contract.feed},
    )


def bronze_asset(contract: Contract, partitions: Partitions) -> dg.AssetsDefinition:
    """Ingests what landed in the windows of the run and is not in bronze yet: a re-run adds nothing."""
    table = bronze(contract)
    key = dg.AssetKey(["bronze", contract.name])

    @dg.multi_asset(
        name=f"bronze_{contract.name}",
        specs=[
            dg.AssetSpec(
                key,
                deps=[["landing", contract.name]],
                description=f"Every record of {contract.name} as it came, not judged yet, and where it came from.",
                group_name="bronze",
                kinds={"deltalake", "bronze"},
                owners=[contract.owner],
                tags={"feed": contract.feed, "layer": "bronze"},
                metadata=of_table(table, bronze_schema(contract)),
                partitions_def=partitions.of(contract.grain),
                freshness_policy=checks.freshness(contract),
            )
        ],
        check_specs=checks.bronze_checks(contract),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"bronze_{contract.name}",
    )
    def asset(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        landing: LandingResource,
        engine: EngineResource,
        rules: RulesResource,
    ):
        tables, objects = lake.open(context.run.run_id), landing.open()
        windows = {contract.grain.parse(name) for name in context.partition_keys}
        start, last = rules.starts_at, partitions.last(contract.grain)
        known = Known(ledger.ingested(tables, contract))
        todo = [
            landed
            for page, _ in new_objects(objects, known, contract)
            for landed in page
            if landing_window_of(landed, contract, start, last) in windows
        ]
        done = ingest(tables, objects, contract, todo, engine=engine.open(), start=start)
        names = set(context.partition_keys)
        markers = ledger.markers(tables, contract).filter(
            pl.col("landing_window").dt.strftime(contract.grain.key_format).is_in(names)
        )
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "rows_ingested": done.rows,
                "objects": dg.MetadataValue.json(done.outcomes),
                "objects_in_windows": markers.height,
            },
        )
        current = markers.filter("current")  # what was wrong with a file that was corrected is no matter any more
        for name, (passed, found) in {
            checks.COLUMNS_COMPLETE: checks.columns_complete(contract, current),
            checks.NO_UNDECLARED: checks.no_undeclared(current),
        }.items():
            yield dg.AssetCheckResult(
                asset_key=key, check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=found
            )

        if done.unreachable:
            raise NotIngested(done.unreachable)

    return asset
