"""Lineage, columns and checks of the sample, as a person finds them in the UI.

With SHOPWARE_PICTURES set, the pages are kept as the pictures that the README shows (`make pictures`).
"""

import os
import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from shopware_assets.contracts import CONTRACTS
from shopware_assets.transforms import ANSWERS
from shopware_assets_tests.browser.conftest import CHROMIUM, ROOT
from shopware_assets_tests.end_to_end.sample import needs_sample
from shopware_assets_tests.simulator.test_simulate import RULES

pytestmark = [
    needs_sample,
    pytest.mark.long,
    pytest.mark.skipif(not CHROMIUM, reason="there is no chromium"),
    pytest.mark.timeout(600),  # with the settling of the sample, on a busy machine
]

PICTURES = "SHOPWARE_PICTURES" in os.environ  # read here: no test sees a setting of the person who runs it

LINEAGE = {
    "landing": sorted(CONTRACTS),
    "bronze": sorted(CONTRACTS),
    "silver": sorted(f"{table}{end}" for table in CONTRACTS for end in ("", "_rejected")),
    "gold": sorted(ANSWERS),
    "serving": ["category_kpis", "order_kpis"],
}


def lineage(*groups: str) -> str:
    """The address of the lineage with these groups unfolded."""
    return "/asset-groups?expanded=" + quote(",".join(f"global@global:{group}" for group in groups))


def shown(asset: str) -> re.Pattern[str]:
    """The name of an asset in the lineage, which leaves out the middle of a long one."""
    return re.compile(asset if len(asset) <= 18 else f"{asset[:3]}.*….*_{asset.split('_')[-1]}")


def row(page: Page, column: str) -> Locator:
    """What the page of an asset says about a column."""
    columns = page.locator("table").filter(has_text="Column name")
    return columns.locator("tr").filter(has=page.get_by_text(column, exact=True))


def picture(page: Page, name: str, height: int) -> None:
    """Keeps the page, 1600 wide, for the README."""
    if PICTURES:
        page.set_viewport_size({"width": 1600, "height": height})
        page.wait_for_timeout(5000)  # icons and colours come after the words
        page.screenshot(path=ROOT / "docs" / "images" / f"{name}.png")


def picture_of_the_lineage(page: Page) -> None:
    """Of the shop, with bronze folded, which repeats landing: then Dagster draws all of it from left to right."""
    page.add_init_script("localStorage.setItem('asset-node-facets', '[]')")  # names alone
    page.set_viewport_size({"width": 1600, "height": 560})
    shop = quote('+key:"serving/order_kpis" or +key:"serving/category_kpis" or key:"silver/order*_rejected"', safe="")
    unfolded = lineage(*(group for group in LINEAGE if group != "bronze"))
    page.goto(unfolded.replace("?", f"~{shop}?"))
    page.get_by_role("button", name="panel_show_right").click()  # away with the list of groups
    page.mouse.dblclick(1000, 530)  # where there is nothing: fits the lineage into the page
    picture(page, "lineage", 560)


def test_the_lineage_leads_from_landing_to_serving(page: Page) -> None:
    page.set_viewport_size({"width": 1600, "height": 6000})  # what is out of sight is not drawn
    page.goto(lineage(*LINEAGE))
    drawn = [shown(asset) for group in sorted(LINEAGE) for asset in LINEAGE[group]]
    expect(page.locator("svg [class*=AssetNode_assetName]")).to_have_text(drawn)
    places = {group: page.locator("foreignObject.group", has_text=group).bounding_box() for group in LINEAGE}
    assert sorted(LINEAGE, key=lambda group: places[group]["x"]) == list(LINEAGE)
    if PICTURES:
        picture_of_the_lineage(page)


def test_columns_explain_themselves(page: Page) -> None:
    page.goto("/assets/silver/order_items?view=overview")
    for column in CONTRACTS["order_items"].columns:
        expect(row(page, column.name)).to_contain_text(column.description)
    expect(row(page, "sale_price")).to_contain_text("decimal(18,4)")
    expect(row(page, "sale_price")).to_contain_text("[money]")
    expect(page.get_by_text("27,007")).to_be_visible()


def test_a_kpi_says_what_it_means(page: Page) -> None:
    page.goto("/assets/gold/order_kpis_daily?view=overview")
    expect(row(page, "net_revenue")).to_contain_text("total_revenue - refunds; may be negative. [money]")
    expect(row(page, "order_return_rate")).to_contain_text("[0..1]")
    expect(page.get_by_text("39", exact=True)).to_be_visible()  # 31 days with orders, 8 with refunds alone
    picture(page, "asset", 1050)


def test_checks_are_called_by_their_rules(page: Page) -> None:
    page.set_viewport_size({"width": 1600, "height": 2400})
    page.goto("/assets/silver/order_items?view=checks&checkDetail=order_line_repeats_product")
    for rule in RULES["order_items"]:
        expect(page.get_by_text(rule, exact=True).first).to_be_visible()
    expect(page.get_by_text("No order has two lines of one product.")).to_be_visible()
    found = page.locator("table").filter(has_text="rows_affected")
    expect(found).to_contain_text(re.compile(r"rows_affected\s*4"))
    expect(found).to_contain_text("shopware sql")
    if PICTURES:
        page.get_by_text("Plots", exact=True).click()  # folds them: one run is no curve
        picture(page, "checks", 820)
