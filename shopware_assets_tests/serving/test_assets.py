"""Serving days: what is recorded as served is what the store took."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.lake import Lake
from resources.lookups import Lookups, LookupTable, NotServed, Published, Version
from shopware_assets import ledger
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import LINEAGE
from shopware_assets.serving.assets import serve
from shopware_assets.serving.tables import SERVED
from shopware_assets.transforms import ANSWERS

DAYS = ["2025-06-01", "2025-06-02", "2025-06-03"]
GOLD = ANSWERS["category_kpis_daily"].table
TABLE = SERVED["category_kpis"]


class Taking(Lookups):
    """A store that takes all that is sent to it."""

    def _replace(
        self, table: LookupTable, day: str, wanted: dict[str, Any], version: Version, lakes: set[str | None]
    ) -> Published:
        return Published(put=len(wanted), deleted=0)


def test_a_day_whose_items_do_not_fit_keeps_no_other_from_being_served(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    categories = ["x" * 2049, "Hats", "Jeans"]
    rows = pl.DataFrame({"category": categories, "order_date": pl.Series(DAYS).str.to_date(), "order_count": 1})
    absent = [pl.lit(None).alias(name) for name in GOLD.columns if name not in rows.columns]
    lake.replace(GOLD, rows.with_columns(absent), [Grain.DAY.parse(day) for day in DAYS])
    feeds = {"window": DAYS, "kind": "feeds", "name": "order_date", "at": DAYS, "fingerprint": ["1:1", "2:1", "3:1"]}
    ledger.write(lake, LINEAGE, GOLD, DAYS, pl.DataFrame(feeds))
    with pytest.raises(NotServed, match="category_kpis 2025-06-01: category has at most 2,048 bytes"):
        serve(lake, Taking(), TABLE, DAYS)
    served = ledger.read_lineage(lake, TABLE.table)
    assert sorted(served.select("window", "fingerprint").iter_rows()) == [("2025-06-02", "2:1"), ("2025-06-03", "3:1")]
