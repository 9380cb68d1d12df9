"""Silver assets: that what a run says of a check is still so when other tables have changed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest

from resources.landing import FolderLanding
from resources.settings import Environment, Settings
from shopware_assets.definitions import build_defs

ITEMS = dg.AssetCheckKey(dg.AssetKey(["silver", "orders"]), "order_has_all_its_items")
LINES = "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,sale_price\n"
ORDERS = "order_id,user_id,status,created_at,num_of_item,shipped_at,delivered_at,returned_at\n"


class Shop:
    """A lake, and an instance that remembers its runs."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        (home / "landing").mkdir()
        settings = Settings(home=home, environment=Environment.TEST)
        self.landing, self.instance = FolderLanding(settings.landing_url), instance
        self.job = build_defs(settings).resolve_implicit_global_asset_job_def()

    def put(self, table: str, day: str, body: str) -> None:
        self.landing.put(f"shop/{table}/{day}.csv", body.encode())

    def make(self, names: Sequence[str], *days: str) -> tuple[bool, str] | None:
        """Makes tables, over the span of some days if any are named; returns the `latest` result."""
        ends = {"start": min(days), "end": max(days)} if days else {}
        self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(name.split("/")) for name in names],
            tags={f"dagster/asset_partition_range_{end}": day for end, day in ends.items()},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return latest(self.instance)

    def land(self, table: str, day: str, body: str, *days: str) -> tuple[bool, str] | None:
        """Lands a table's object for a day, and makes bronze and silver of some days from it."""
        self.put(table, day, body)
        self.make(layers(table)[:1], *(days or [day]))
        return self.make(layers(table)[1:], *(() if table == "products" else days or [day]))


def layers(table: str) -> list[str]:
    return [f"bronze/{table}", f"silver/{table}", f"silver/{table}_rejected"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shop(tmp_path, instance)


def latest(instance: dg.DagsterInstance) -> tuple[bool, str] | None:
    """Whether all orders of the days looked at last have their items, and an example if not."""
    records = instance.event_log_storage.get_asset_check_execution_history(ITEMS, limit=1)
    if not records:
        return None
    (evaluation,) = (record.event.dagster_event.asset_check_evaluation_data for record in records)
    example = evaluation.metadata.get("example")
    return evaluation.passed, str(example.value) if example else ""


@pytest.mark.long
def test_orders_are_looked_at_again_when_their_lines_or_they_have_changed(shop: Shop) -> None:
    def orders(items: int) -> str:
        return f"{ORDERS}a,u,shipped,2025-06-01T10:00:00,{items},,,\n"

    def lines(*products: str) -> str:
        rows = (f"{product},a,u,{product},shipped,2025-06-02T10:00:00,,,,5\n" for product in products)
        return LINES + "".join(rows)

    lacking = (False, "window 2025-06-01; rows 1; sample a")
    shop.land("products", "2025-06-01", "id,sku,name\np,s,n\nq,s,n\n")
    assert shop.land("orders", "2025-06-01", orders(2)) == lacking, "an order without any line"
    assert shop.land("order_items", "2025-06-02", lines("p")) == lacking
    assert shop.land("order_items", "2025-06-02", lines("p", "q")) == (True, "")
    assert shop.land("orders", "2025-06-01", orders(1)) == lacking, "what the order says has changed"
    assert shop.land("order_items", "2025-06-02", lines("q")) == (True, "")
    assert shop.land("order_items", "2025-06-02", LINES, "2025-06-02", "2025-06-04") == lacking, "the last line is gone"


@pytest.mark.long
def test_orders_of_days_without_lines_are_looked_at_again_too(shop: Shop) -> None:
    """Where orders and lines land together, what is said of the lines comes last, of all days of the run."""
    days = ("2025-06-01", "2025-06-02")
    rows = (f"{id},u,shipped,{day}T10:00:00,1,,,\n" for id, day in zip("ab", days, strict=True))
    shop.put("orders", days[0], ORDERS + "".join(rows))
    shop.put("order_items", days[0], f"{LINES}l,b,u,p,shipped,{days[1]}T10:00:00,,,,5\n")
    shop.land("products", days[0], "id,sku,name\np,s,n\n")
    found = shop.make([*layers("orders"), *layers("order_items")], *days)
    assert found == (False, "window 2025-06-01; rows 1; sample a")
