"""Lineage, columns and checks of the sample, as a person finds them in the UI.

With SHOPWARE_PICTURES set, the pages are kept as the pictures that the README shows (`make pictures`).
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from shopware_assets.contracts import CONTRACTS
from shopware_assets_tests.browser.conftest import CHROMIUM, ROOT
from shopware_assets_tests.end_to_end.sample import needs_sample
from shopware_assets_tests.simulator.test_simulate import RULES

pytestmark = [needs_sample, pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")]

LINEAGE = {
    "landing": ["inventory", "order_items", "orders", "products"],
    "bronze": ["inventory", "order_items", "orders", "products"],
    "silver": [f"{t}{end}" for t in ("inventory", "order_items", "orders", "products") for end in ("", "_rejected")],
    "gold": ["category_kpis_daily", "inventory_current", "order_kpis_daily"],
    "serving": ["category_kpis", "order_kpis"],
}


def picture(page: Page, name: str) -> None:
    if "SHOPWARE_PICTURES" in os.environ:
        page.screenshot(path=Path(ROOT / "docs" / "images" / f"{name}.png"))


def test_the_lineage_leads_from_landing_to_serving(page: Page) -> None:
    page.goto("/asset-groups")
    for group in LINEAGE:
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    page.mouse.click(1000, 300)  # where there is nothing: keys go to the graph now
    page.keyboard.press("Alt+e")
    expect(page.get_by_text("category_kpis_daily", exact=True)).to_be_visible()
    page.reload()  # now all of it is fitted into the page
    for assets in LINEAGE.values():
        for asset in assets:
            expect(page.locator(f"a[href*='{asset}'], [title*='{asset}']").first).to_be_attached()
    page.wait_for_timeout(2000)
    picture(page, "lineage")


def test_columns_explain_themselves(page: Page) -> None:
    page.goto("/assets/silver/order_items?view=overview")
    for column in CONTRACTS["order_items"].columns:
        row = page.locator("tr").filter(has=page.get_by_text(column.name, exact=True))
        expect(row).to_contain_text(column.description)
    row = page.locator("tr").filter(has=page.get_by_text("sale_price", exact=True))
    expect(row).to_contain_text("decimal(18,4)")
    expect(page.get_by_text("27,007")).to_be_visible()
    picture(page, "asset")


def test_checks_are_called_by_their_rules(page: Page) -> None:
    page.set_viewport_size({"width": 1600, "height": 2400})
    page.goto("/assets/silver/order_items?view=checks&checkDetail=order_line_repeats_product")
    for rule in RULES["order_items"]:
        expect(page.get_by_text(rule, exact=True).first).to_be_visible()
    expect(page.get_by_text("No order has two lines of one product.")).to_be_visible()
    metadata = page.locator("table").filter(has_text="rows_affected")
    expect(metadata).to_contain_text(re.compile(r"rows_affected\s*4"))
    expect(metadata).to_contain_text("shopware sql")
