"""Jobs a person or the clock starts. Compaction and archiving are on; ingesting by the clock, not by sensors, is off.

Dagster resolves no asset job over hours and days together, so each job is one op, which makes ordinary asset
runs, one after another.
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from pydantic import Field

from resources.world import EngineResource, LakeResource, LandingResource, RulesResource
from sensors.requests import ONLY_ATTEMPT, Request, admit, asked_before, digest
from sensors.watch import Watch, feeds
from shopware_assets.archive import NotMoved
from shopware_assets.archive import archive as archive_objects
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import Table, bronze, silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.partitions import Partitions
from shopware_assets.report import tables as lake_tables
from shopware_assets.serving.tables import SERVED
from shopware_assets.settle import execute
from shopware_assets.transforms import ANSWERS


class NotDone(dg.Failure):
    """Not all that the job was to do is done; says what, or which run's log does."""


class IngestConfig(dg.Config):
    """What to ingest."""

    feed: str = Field(default="", description="One feed; all, if none is named.")


class RebuildConfig(dg.Config):
    """What to make again."""

    tables: list[str] = Field(description="As `layer/table`, for example `silver/orders`.")
    first: str = Field(description="The first day, YYYY-MM-DD (UTC).")
    last: str = Field(description="The last day, which is included.")


class CompactConfig(dg.Config):
    """How long versions stay."""

    keep_days: int = Field(
        default=7, ge=7, description="For how many days versions of tables can still be read; Delta allows no fewer."
    )


def _tables() -> dict[str, tuple[Table, Grain | None]]:
    """Every table that can be made again, in the order of the lineage, with the grain of its partitions."""
    made: dict[str, tuple[Table, Grain | None]] = {bronze(c).name: (bronze(c), c.grain) for c in CONTRACTS.values()}
    made |= {silver(c).name: (silver(c), silver(c).grain) for c in CONTRACTS.values()}
    made |= {answer.table.name: (answer.table, answer.table.grain) for answer in ANSWERS.values()}
    return made | {served.table.name: (served.table, served.table.grain) for served in SERVED.values()}


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
        if config.feed not in ("", *feeds()):
            raise NotDone(f"There is no feed {config.feed!r}; there are {', '.join(feeds())}.")
        watch = Watch(lake.open(), landing.open(), engine.open(), rules, partitions)
        of_feed = {
            contract.name for name, contracts in feeds().items() for contract in contracts if config.feed in ("", name)
        }
        wanted = [r for r in watch.landed() if any(asset.split("/")[1] in of_feed for asset in r.assets)]
        _run(context, admit(wanted, asked_before(context.instance)).ask)

    @dg.op(description="Makes tables again over a range of days, in the order of the lineage.")
    def rebuild_range(context: dg.OpExecutionContext, config: RebuildConfig) -> None:
        known = _tables()
        if unknown := sorted(set(config.tables) - set(known)):
            raise NotDone(f"There is no table {', '.join(unknown)}; there are {', '.join(known)}.")
        first, last = (
            datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) for day in (config.first, config.last)
        )
        starts, ends = partitions.first(Grain.DAY), partitions.last(Grain.DAY)
        if not starts <= first <= min(last, ends):
            raise NotDone(
                f"There are no windows from {config.first} to {config.last}: `first` can be no day after `last`, and "
                f"none but those of the lake, {starts:%Y-%m-%d} to {ends:%Y-%m-%d}."
            )
        for name, (_, grain) in known.items():
            if name in config.tables:
                _run(context, [_request(name, grain, first, last, partitions)])

    @dg.op(description="Merges small files and deletes those no longer needed, table by table.")
    def compact_tables(context: dg.OpExecutionContext, config: CompactConfig, lake: LakeResource) -> None:
        tables = lake.open(context.run_id)
        for table in lake_tables():
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

    @dg.job(description="Ingest what has landed (config: feed).", tags={"shopware/kind": "ingest"})
    def ingest() -> None:
        ingest_landed()

    @dg.job(description="Make any tables again over any range (config: tables, first, last).", tags=ONLY_ATTEMPT)
    def rebuild() -> None:
        rebuild_range()

    return [ingest, rebuild, compact, archive]


def _request(name: str, grain: Grain | None, first: datetime, last: datetime, partitions: Partitions) -> Request:
    assets = (name, f"{name}_rejected") if name.startswith("silver/") else (name,)
    windows: tuple[str, ...] = ()
    if grain is not None:
        end = min(last + (Grain.DAY.length - grain.length), partitions.last(grain))
        windows = tuple(grain.label(window) for window in grain.between(first, end))
    return Request(assets, windows, missing=digest, about=lambda _: f"rebuild of {name}")


def _run(context: dg.OpExecutionContext, requests: list[Request]) -> None:
    job = context.repository_def.get_implicit_global_asset_job_def()
    for request in requests:
        if why := execute(job, context.instance, request):
            raise NotDone(f"The run failed: {request}. {why}")


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
