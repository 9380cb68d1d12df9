"""Which resources a run gets: one switch, the environment, and the same keys in each."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import boto3
import dagster as dg
from botocore.exceptions import BotoCoreError

from resources.engine_polars import PolarsEngine
from resources.lake import Lake
from resources.landing import Landing, open_landing
from resources.lookups import Lookups
from resources.notifications import Notifications
from resources.settings import Environment, Misconfigured, Settings, storage_options

check_store = cache(Lake.check_store)  # what a store does, it does as long as the process lives


class LakeResource(dg.ConfigurableResource):
    """The Delta tables."""

    url: str
    encryption: str = ""
    kms_key: str = ""

    def open(self, run_id: str = "") -> Lake:
        """The lake, written to on behalf of a run; one on S3 is checked first, once in a process.

        Raises:
            Misconfigured: Its store cannot be used, or would lose commits silently.
        """
        lake = self.for_reading()
        if self.url.startswith("s3://"):
            check_store(lake)
        return replace(lake, run_id=run_id)

    def for_reading(self) -> Lake:
        """The lake for those who commit nothing: they need not be allowed to."""
        return Lake(self.url, storage_options(self.url, self.encryption, self.kms_key))


class LandingResource(dg.ConfigurableResource):
    """Where sources drop objects."""

    url: str
    encryption: str = ""
    kms_key: str = ""

    def open(self) -> Landing:
        return open_landing(self.url, self.encryption, self.kms_key)


class EngineResource(dg.ConfigurableResource):
    """What executes frames."""

    def open(self) -> PolarsEngine:
        return PolarsEngine()


class RulesResource(dg.ConfigurableResource):
    """Settings that decide, not where things are but what is done."""

    start: str
    reject_threshold: float
    rule_alert_share: float
    notify_success: bool
    landing_queue: str
    serves: bool
    creates_lookups: bool
    archive_after_hours: float

    @property
    def starts_at(self) -> datetime:
        """The lake's start."""
        return datetime.fromisoformat(self.start).replace(tzinfo=UTC)


def resources_for(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """The resources of an environment.

    `test` and `local` make lookup tables themselves, and serve only where there is a stand-in to serve to: without one
    a laptop would reach for the real cloud. In `aws` the tables are infrastructure.

    Raises:
        Misconfigured: There is something to serve to, in no region, or with a profile that cannot be read.
    """
    stand_in = bool(os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("AWS_ENDPOINT_URL"))
    in_cloud = settings.environment is Environment.AWS
    serves = in_cloud or stand_in
    try:
        if serves and boto3.Session().region_name is None:
            raise Misconfigured("AWS_DEFAULT_REGION is not set, and DynamoDB needs it.")
    except BotoCoreError as error:
        raise Misconfigured(f"AWS cannot be used: {error} (see AWS_PROFILE and AWS_CONFIG_FILE).") from error
    return {
        "lake": LakeResource(url=settings.lake_url, encryption=settings.lake_encryption, kms_key=settings.lake_kms_key),
        "landing": LandingResource(
            url=settings.landing_url, encryption=settings.landing_encryption, kms_key=settings.landing_kms_key
        ),
        "engine": EngineResource(),
        "lookups": Lookups(),
        "notifications": Notifications(topic=settings.alerts_topic),
        "rules": RulesResource(
            start=settings.start.isoformat(),
            reject_threshold=settings.reject_threshold,
            rule_alert_share=settings.rule_alert_share,
            notify_success=settings.notify_success,
            landing_queue=settings.landing_queue,
            serves=serves,
            creates_lookups=not in_cloud,
            archive_after_hours=settings.archive_after_hours,
        ),
    }
