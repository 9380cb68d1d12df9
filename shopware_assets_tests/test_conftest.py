"""No test reaches a real account, whatever the person who runs it has in the environment."""

import os

import boto3
import deltalake
import obstore
import pytest
from botocore.config import Config
from botocore.exceptions import ProxyConnectionError

from deploy.stand_ins import CREDENTIALS


def test_no_setting_of_the_person_counts() -> None:
    keys = {name: value for name, value in os.environ.items() if "KEY" in name and name.startswith("AWS_")}
    assert keys == CREDENTIALS
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "DAGSTER_HOME"} & set(os.environ)
    assert not any(name.startswith("SHOPWARE_") for name in os.environ)


def test_a_call_to_aws_itself_fails_at_once() -> None:
    with pytest.raises(ProxyConnectionError):
        boto3.client("s3", config=Config(retries={"total_max_attempts": 1})).list_buckets()
    with pytest.raises(obstore.exceptions.GenericError, match="sending request"):
        obstore.list(obstore.store.from_url("s3://somebody/", retry_config={"max_retries": 0})).collect()
    with pytest.raises(OSError, match="sending request"):
        deltalake.DeltaTable("s3://somebody/table", storage_options={"max_retries": "0"})
