"""The sensors as Dagster knows them: a few lines each around what `Watch` finds."""

from collections.abc import Sequence

import dagster as dg

from resources.notifications import Notifications
from resources.world import EngineResource, LakeResource, LandingResource, RulesResource
from sensors import healing
from sensors.landing import ingestions, look
from sensors.requests import Admitted, admit, asked_before, digest
from sensors.watch import Watch, feeds
from shopware_assets.contracts.contract import Contract
from shopware_assets.contracts.windows import Grain
from shopware_assets.partitions import Partitions
from shopware_assets.staleness import WATCHED, Survey, definitions

_TICK = 20.0  # seconds of listing; a sensor has 60


def _result(admitted: Admitted, cursor: str | None) -> dg.SensorResult:
    """What is to be run, or why nothing is."""
    if admitted.ask:
        return dg.SensorResult(run_requests=[request.as_run_request() for request in admitted.ask], cursor=cursor)
    given_up = [str(request) for request in admitted.given_up]
    words = [f"{len(admitted.under_way)} ranges under way."] if admitted.under_way else []
    words += [f"Given up after three attempts: {'; '.join(given_up)}."] if given_up else []
    return dg.SensorResult(skip_reason=" ".join(words) or "Nothing to do.", cursor=cursor)


def landing_sensor(feed: str, contracts: Sequence[Contract], partitions: Partitions) -> dg.SensorDefinition:
    """Asks for what has landed of a feed and is not in bronze."""
    assets = [
        dg.AssetKey([layer, table])
        for contract in contracts
        for layer, table in (
            ("bronze", contract.name),
            ("silver", contract.name),
            ("silver", f"{contract.name}_rejected"),
        )
    ]

    @dg.sensor(
        name=f"landing_{feed}",
        description=f"Asks for objects of the {feed} feed that have landed and are not in bronze yet.",
        asset_selection=assets,
        minimum_interval_seconds=2,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={"feed": feed},
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, landing: LandingResource, rules: RulesResource
    ) -> dg.SensorResult:
        runs = asked_before(context.instance)  # before looking: what ends while it lasts would be asked for again
        found = look(
            lake.open(), landing.open(), contracts, context.cursor or "", seconds=_TICK, queue=rules.landing_queue
        )
        wanted = ingestions(found.new, partitions, rules.starts_at)
        return _result(admit(wanted, runs), found.cursor)

    return sensor


def healing_sensor(partitions: Partitions) -> dg.SensorDefinition:
    """Asks for every stale window."""

    @dg.sensor(
        name="healing",
        description="Asks for every window whose inputs have changed since it was materialized.",
        asset_selection=dg.AssetSelection.groups("silver", "gold", "serving"),
        minimum_interval_seconds=2,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, engine: EngineResource, rules: RulesResource
    ) -> dg.SensorResult:
        runs, tables = asked_before(context.instance), lake.open().snapshot()  # in this order, as above
        # The cursor only saves work: at these versions, by these rules and with these windows nothing was stale.
        by = (rules.reject_threshold, rules.serves, *definitions())
        there = (partitions.last(grain) for grain in Grain)
        versions = digest([*((table.name, tables.version(table)) for table in WATCHED), by, *there])
        if versions == context.cursor:
            return dg.SensorResult(skip_reason="Nothing has changed.", cursor=versions)
        survey = Survey(tables, engine.open(), rules.reject_threshold)
        wanted = list(healing.wanted(survey, partitions, rules.serves))
        return _result(admit(wanted, runs), None if wanted else versions)

    return sensor


def alerts_sensor(partitions: Partitions) -> dg.SensorDefinition:
    """Tells people what is wrong, and what has been settled."""

    @dg.sensor(
        name="alerts",
        description="Tells people, once, what is wrong: held windows, unbalanced books, missing columns, failed runs.",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        lake: LakeResource,
        landing: LandingResource,
        engine: EngineResource,
        rules: RulesResource,
        notifications: Notifications,
    ) -> dg.SkipReason:
        tables = lake.open()
        # Of run history: newer failures can be news although no table has changed.
        runs = asked_before(context.instance)
        versions = digest([*((table.name, tables.version(table)) for table in WATCHED), *map(repr, runs)])
        if versions == context.cursor:
            return dg.SkipReason("Nothing has changed.")
        watch = Watch(tables, landing.open(), engine.open(), rules, partitions)
        messages = watch.tell(notifications, runs)
        context.update_cursor(versions)
        return dg.SkipReason(f"{messages} messages sent.")

    return sensor


def all_sensors(partitions: Partitions) -> list[dg.SensorDefinition]:
    """Every sensor."""
    return [
        *(landing_sensor(feed, contracts, partitions) for feed, contracts in feeds().items()),
        healing_sensor(partitions),
        alerts_sensor(partitions),
    ]
