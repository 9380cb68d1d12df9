"""The whole code location on one screen."""

import dagster as dg

from resources.settings import Settings, read_settings
from resources.world import resources_for
from sensors.definitions import all_sensors
from shopware_assets.bronze.assets import bronze_asset, landing_spec
from shopware_assets.contracts import CONTRACTS
from shopware_assets.gold.assets import gold_asset
from shopware_assets.jobs import all_jobs, all_schedules
from shopware_assets.partitions import Partitions
from shopware_assets.serving.assets import serving_asset
from shopware_assets.serving.tables import SERVED
from shopware_assets.silver.assets import silver_asset
from shopware_assets.transforms import ANSWERS


def build_defs(settings: Settings) -> dg.Definitions:
    """Everything for an environment; tests build their own."""
    partitions = Partitions(settings.starts_at)
    return dg.Definitions(
        assets=[
            *(landing_spec(contract) for contract in CONTRACTS.values()),
            *(bronze_asset(contract, partitions) for contract in CONTRACTS.values()),
            *(silver_asset(contract, partitions) for contract in CONTRACTS.values()),
            *(gold_asset(answer, partitions) for answer in ANSWERS.values()),
            *(serving_asset(served, partitions) for served in SERVED.values()),
        ],
        sensors=all_sensors(partitions),
        jobs=all_jobs(partitions),
        schedules=all_schedules(),
        resources=resources_for(settings),
        # Windows of a table are made one after another anyway: a process for each step would only cost its start.
        executor=dg.in_process_executor,
    )


defs = build_defs(read_settings())
