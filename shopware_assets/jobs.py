"""Jobs a person or the clock starts. Compaction and archiving are on; ingesting by the clock, not by sensors, is off.

Dagster resolves no asset job over hours and days together, so each job is one op, which makes ordinary asset
runs, one after another.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import dagster as dg
from pydantic import Field

from resources.world import EngineResource, LakeResource, LandingResource, RulesResource
from sensors.alerts import TOLD
from sensors.requests import ONLY_ATTEMPT, Request, admit, asked_before, digest
from sensors.watch import Watch, feeds
from shopware_assets.archive import NotMoved
from shopware_assets.archive import archive as archive_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import bronze, silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import ALLOWED
from shopware_assets.partitions import Partitions
from shopware_assets.report import tables as lake_tables
from shopware_assets.serving.tables import SERVED
from shopware_assets.settle import execute
from shopware_assets.transforms import ANSWERS


class NotDone(dg.Failure):
    """Not all that the job was to do is done; says what, or which run's log does."""


_GRAINS: dict[str, Grain | None] = {
    **{bronze(contract).name: contract.grain for contract in CONTRACTS.values()},
    **{silver(contract).name: silver(contract).grain for contract in CONTRACTS.values()},
    **{answer.table.name: answer.table.grain for answer in ANSWERS.values()},
    **{served.table.name: served.table.grain for served in SERVED.values()},
}
"""Every table that can be made again, in the order of the lineage, with the grain of its partitions."""

# What a launch may name: a name that is none is refused before there is a run.
_Feed = StrEnum("_Feed", list(feeds()))  # type: ignore[misc]
_Made = StrEnum("_Made", list(_GRAINS))  # type: ignore[misc]


class IngestConfig(dg.Config):
    """What to ingest."""

    feed: _Feed | None = Field(default=None, description="One feed; all, if none is named.")


class RebuildConfig(dg.Config):
    """What to make again."""

    tables: list[_Made] = Field(description="As `layer/table`, for example `silver/orders`.")
    first: str = Field(description="The first day, YYYY-MM-DD (UTC).")
    last: str = Field(description="The last day, which is included.")


class CompactConfig(dg.Config):
    """How long versions stay."""

    keep_days: int = Field(
        default=7, ge=7, description="For how many days versions of tables can still be read; Delta allows no fewer."
    )


def all_jobs(partitions: Partitions) -> list[dg.JobDefinition]:
    """`ingest`, `rebuild`, `compact` and `archive`."""

    @dg.op(description="Ingests what has landed and is not in bronze, of one feed or of all.")
    def ingest_landed(
        context: dg.OpExecutionContext,
        config: IngestConfig,
        lake: LakeResource,
        landing: LandingResource,
        engine: EngineResource,
        rules: RulesResource,
    ) -> None:
        watch = Watch(lake.open(), landing.open(), engine.open(), rules, partitions)
        of_feed = {contract.name for contract in CONTRACTS.values() if config.feed in (None, contract.feed)}
        wanted = [r for r in watch.landed() if any(asset.split("/")[1] in of_feed for asset in r.assets)]
        under_way = [run for run in asked_before(context.instance) if run.unfinished]
        _run(context, admit(wanted, under_way).ask)  # whatever failed before: the clock is what tries again

    @dg.op(description="Makes tables again over a range of days, in the order of the lineage.")
    def rebuild_range(context: dg.OpExecutionContext, config: RebuildConfig) -> None:
        first, last = _day(config.first), _day(config.last)
        starts, ends = partitions.first(Grain.DAY), partitions.last(Grain.DAY)
        if not starts <= first <= min(last, ends):
            raise NotDone(
                f"There are no windows from {config.first} to {config.last}: `first` can be no day after `last`, and "
                f"none but those of the lake, {starts:%Y-%m-%d} to {ends:%Y-%m-%d}."
            )
        for name, grain in _GRAINS.items():
            if name in config.tables:
                _run(context, [_request(name, grain, first, last, partitions)])

    @dg.op(description="Merges small files and deletes those no longer needed, table by table.")
    def compact_tables(context: dg.OpExecutionContext, config: CompactConfig, lake: LakeResource) -> None:
        tables = lake.open(context.run_id)
        for table in (*lake_tables(), ALLOWED, TOLD):
            done = tables.compact(table, timedelta(days=config.keep_days))
            context.log.info(f"{table.name}: {done}")

    @dg.op(description="Moves landed objects whose rows are in bronze to archive/, table by table.")
    def archive_landed(
        context: dg.OpExecutionContext, lake: LakeResource, landing: LandingResource, rules: RulesResource
    ) -> None:
        before = datetime.now(UTC) - timedelta(hours=rules.archive_after_hours)
        try:
            for prefix, moved in archive_objects(lake.open(), landing.open(), before):
                context.log.info(f"{prefix}: {moved} objects")
        except NotMoved as error:
            raise NotDone(str(error)) from error

    @dg.job(description="Merge small files and delete those that no version of the last days needs.", tags=ONLY_ATTEMPT)
    def compact() -> None:
        compact_tables()

    @dg.job(
        description="Move landed objects whose rows are in bronze to archive/, some time after they landed.",
        tags=ONLY_ATTEMPT,
    )
    def archive() -> None:
        archive_landed()

    @dg.job(description="Ingest what has landed (config: feed).", tags=ONLY_ATTEMPT)
    def ingest() -> None:
        ingest_landed()

    @dg.job(description="Make any tables again over any range (config: tables, first, last).", tags=ONLY_ATTEMPT)
    def rebuild() -> None:
        rebuild_range()

    return [ingest, rebuild, compact, archive]


def _day(name: str) -> datetime:
    try:
        return Grain.DAY.parse(name)
    except ValueError:
        raise NotDone(f"{name!r} is no day: write YYYY-MM-DD.") from None


def _request(name: str, grain: Grain | None, first: datetime, last: datetime, partitions: Partitions) -> Request:
    assets = (name, f"{name}_rejected") if name.startswith("silver/") else (name,)
    windows: tuple[str, ...] = ()
    if grain is not None:
        end = min(last + (Grain.DAY.length - grain.length), partitions.last(grain))
        windows = tuple(grain.label(window) for window in grain.between(first, end))
    return Request(assets, windows, missing=digest, about=lambda _: f"rebuild of {name}")


def _run(context: dg.OpExecutionContext, requests: list[Request]) -> None:
    """Makes all the runs, whichever of them fail."""
    job = context.repository_def.get_implicit_global_asset_job_def()
    reasons = [(request, execute(job, context.instance, request)) for request in requests]
    if failed := [f"The run failed: {request}. {why}" for request, why in reasons if why]:
        raise NotDone("\n".join(failed))


def all_schedules() -> list[dg.ScheduleDefinition]:
    """Ingesting by the clock is off: the landing sensors do this work."""
    return [
        dg.ScheduleDefinition(
            name="ingest_hourly",
            job_name="ingest",
            cron_schedule="5 * * * *",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Ingests at five past every hour, for those who turn the landing sensors off.",
        ),
        dg.ScheduleDefinition(
            name="compact_nightly",
            job_name="compact",
            cron_schedule="30 2 * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Merges small files every night: every run leaves some, and readers pay for each.",
        ),
        dg.ScheduleDefinition(
            name="archive_hourly",
            job_name="archive",
            cron_schedule="45 * * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Keeps landing small: what is in bronze moves to archive/ after SHOPWARE_ARCHIVE_AFTER_HOURS.",
        ),
    ]
