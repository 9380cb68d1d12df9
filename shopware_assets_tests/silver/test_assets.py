"""Silver assets: that what a run says of a check is still so when other tables have changed."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.landing import FolderLanding
from resources.settings import Environment, Settings
from shopware_assets.definitions import build_defs

ITEMS = dg.AssetCheckKey(dg.AssetKey(["silver", "orders"]), "order_has_all_its_items")
LINES = "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,sale_price\n"
ORDERS = "order_id,user_id,status,created_at,num_of_item,shipped_at,delivered_at,returned_at\n"


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """Lands a table's object for a day and makes bronze and silver of some days from it."""
    (tmp_path / "landing").mkdir()
    settings = Settings(home=tmp_path, environment=Environment.TEST)
    job = build_defs(settings).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def land(table: str, day: str, body: str, *days: str) -> Any:
            FolderLanding(settings.landing_url).put(f"shop/{table}/{day}.csv", body.encode())
            ends = {"start": min(days, default=day), "end": max(days, default=day)}
            span = {f"dagster/asset_partition_range_{end}": at for end, at in ends.items()}
            for layer, tables in (("bronze", (table,)), ("silver", (table, f"{table}_rejected"))):
                job.execute_in_process(
                    instance=instance,
                    asset_selection=[dg.AssetKey([layer, name]) for name in tables],
                    tags={} if (layer, table) == ("silver", "products") else span,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
            return latest(instance)

        yield land


def latest(instance: dg.DagsterInstance) -> tuple[bool, str] | None:
    """Whether all orders of the days looked at last have their items, and an example if not."""
    records = instance.event_log_storage.get_asset_check_execution_history(ITEMS, limit=1)
    if not records:
        return None
    (evaluation,) = (record.event.dagster_event.asset_check_evaluation_data for record in records)
    example = evaluation.metadata.get("example")
    return evaluation.passed, str(example.value) if example else ""


@pytest.mark.long
def test_orders_are_looked_at_again_when_their_lines_or_they_have_changed(shop: Any) -> None:
    def orders(items: int) -> str:
        return f"{ORDERS}a,u,shipped,2025-06-01T10:00:00,{items},,,\n"

    def lines(*products: str) -> str:
        rows = (f"{product},a,u,{product},shipped,2025-06-02T10:00:00,,,,5\n" for product in products)
        return LINES + "".join(rows)

    lacking = (False, "window 2025-06-01; rows 1; sample a")
    shop("products", "2025-06-01", "id,sku,name\np,s,n\nq,s,n\n")
    assert shop("orders", "2025-06-01", orders(2)) == lacking, "an order without any line"
    assert shop("order_items", "2025-06-02", lines("p")) == lacking
    assert shop("order_items", "2025-06-02", lines("p", "q")) == (True, "")
    assert shop("orders", "2025-06-01", orders(1)) == lacking, "what the order says has changed"
    assert shop("order_items", "2025-06-02", lines("q")) == (True, "")
    assert shop("order_items", "2025-06-02", LINES, "2025-06-02", "2025-06-04") == lacking, "the last line is gone"
