"""The real sample of the shop, settled once for all tests of a session, also where several processes run them."""

import fcntl
import json
import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.stand_ins import moto_server
from shopware_assets_tests.end_to_end.shopware import Shopware

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "shop"
PARTS = {table: sorted((SAMPLE / table).glob("*.csv")) for table in ("orders", "order_items")}
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the real sample is not there: {SAMPLE}")


@dataclass(frozen=True)
class Settled:
    """A settled lake (not to be changed), what `shopware settle` printed, and the items that applications then read."""

    shopware: Shopware
    said: str
    items: dict[str, list[dict[str, Any]]]


def settled_sample(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    """Settles the sample, or finds it settled by another test process of this session."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    home, record = base / "sample", base / "sample.json"
    with (base / "sample.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            with moto_server(base / "sample_moto") as server:
                shopware = Shopware(home, {"AWS_ENDPOINT_URL_DYNAMODB": server.endpoint})
                land(shopware)
                said = shopware("settle").output
                items = {table: _scan(server.endpoint, table) for table in ("order_kpis", "category_kpis")}
            record.write_text(json.dumps({"said": said, "items": items}, default=str))
    found = json.loads(record.read_text())
    return Settled(Shopware(home), found["said"], found["items"])


def land(shopware: Shopware) -> None:
    """Lands all files of the sample."""
    for table, files in PARTS.items():
        shopware("land", f"shop/{table}", *files)
    shopware("land", "shop/products", SAMPLE / "products.csv")


def _scan(endpoint: str, table: str) -> list[dict[str, Any]]:
    """All items of a DynamoDB table; numbers as text."""
    pages = (
        boto3.resource("dynamodb", endpoint_url=endpoint).meta.client.get_paginator("scan").paginate(TableName=table)
    )
    return [
        {name: str(value) if isinstance(value, Decimal) else value for name, value in item.items()}
        for page in pages
        for item in page["Items"]
    ]
