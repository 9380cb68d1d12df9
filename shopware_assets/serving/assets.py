"""The serving assets: one factory, one line a table."""

import dagster as dg
import polars as pl

from resources.lake import Lake
from resources.lookups import Lookups, NotServed, Published, Unfit
from resources.world import LakeResource, RulesResource
from shopware_assets import ledger
from shopware_assets.ledger import LINEAGE
from shopware_assets.metadata import served_schema
from shopware_assets.partitions import Partitions
from shopware_assets.serving.tables import Served
from shopware_assets.transforms import ANSWERS


def serve(lake: Lake, lookups: Lookups, served: Served, days: list[str]) -> dict[str, Published]:
    """Makes the items of these days what gold has, and records from what.

    The version of gold that is read goes with the items: an older computation never overwrites a newer one.

    Raises:
        NotServed: The store refused a day: it and the days after it are still stale and are served again. Or a day
            has an item that no store takes: the others are served first.
    """
    gold = ANSWERS[served.answer].table
    facts = ledger.read_lineage(lake, gold, kinds=["feeds"]).filter(pl.col("window").is_in(days))
    handle = lake.open(gold)
    assert gold.grain is not None
    rows = lake.scan(gold, [gold.grain.parse(day) for day in days], handle=handle).collect()
    version = (str(handle.metadata().id), handle.version()) if handle else ("", 0)
    by_day = {str(day): part for (day,), part in rows.group_by(gold.partition_columns[0])}
    done: dict[str, Published] = {}
    unfit: list[str] = []
    try:
        for day in days:
            items = served.items(by_day[day]) if day in by_day else []
            try:
                done[day] = lookups.publish(served.lookup, day, items, version)
            except Unfit as error:
                unfit.append(str(error))
    finally:
        # A refused day is being served from newer gold: whoever does that records it.
        if served_days := [day for day, published in done.items() if not published.refused]:
            made_from = facts.filter(pl.col("window").is_in(served_days)).select(
                "window",
                pl.lit("made_from").alias("kind"),
                pl.lit(gold.name).alias("name"),
                pl.col("window").alias("at"),
                "fingerprint",
            )
            ledger.write(lake, LINEAGE, served.table, served_days, made_from)
    if unfit:
        raise NotServed("; ".join(unfit))
    return done


def serving_asset(served: Served, partitions: Partitions) -> dg.AssetsDefinition:
    """Hands the days of the run over to applications."""
    key = dg.AssetKey(["serving", served.name])
    schema = served_schema(served, ANSWERS[served.answer])

    @dg.multi_asset(
        name=f"serving_{served.name}",
        specs=[
            dg.AssetSpec(
                key,
                deps=[["gold", served.answer]],
                description=f"{served.description} DynamoDB table `{served.name}`.",
                group_name="serving",
                kinds={"dynamodb"},
                owners=[served.owner],
                tags={"layer": "serving"},
                metadata={"dagster/column_schema": schema, "key": ", ".join(served.lookup.key)},
                partitions_def=partitions.of(served.table.grain),
            )
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"serving_{served.name}",
    )
    def asset(context: dg.AssetExecutionContext, lake: LakeResource, lookups: Lookups, rules: RulesResource):
        if not rules.serves:
            yield dg.MaterializeResult(asset_key=key, metadata={"served": "No store to serve to is set up."})
            return
        if rules.creates_lookups:
            lookups.ensure(served.lookup)
        done = serve(lake.open(context.run.run_id), lookups, served, sorted(context.partition_keys))
        for day, published in done.items():
            context.add_asset_metadata(
                {"put": published.put, "deleted": published.deleted, "refused": published.refused},
                asset_key=key,
                partition_key=day,
            )
        yield dg.MaterializeResult(asset_key=key)

    return asset
