"""Bronze assets: that their checks speak of the objects as they are now."""

from pathlib import Path

import dagster as dg

from resources.landing import FolderLanding
from resources.settings import Environment, Settings
from shopware_assets.definitions import build_defs

KEY = dg.AssetKey(["bronze", "orders"])
HEADER = "order_id,user_id,status,created_at,num_of_item,shipped_at,delivered_at,returned_at"


def test_a_file_that_was_corrected_counts_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    settings = Settings(home=tmp_path, environment=Environment.TEST)
    job = build_defs(settings).resolve_implicit_global_asset_job_def()

    def failing_after(name: str, text: str) -> dict[str, str]:
        FolderLanding(settings.landing_url).put(f"shop/orders/2025-06-01{name}.csv", text.encode())
        made = job.execute_in_process(
            asset_selection=[KEY],
            partition_key="2025-06-01",
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        found = made.get_asset_check_evaluations()
        assert {one.check_name for one in found} == {"columns_complete", "no_undeclared_columns"}
        return {one.check_name: str(one.metadata["objects"].value) for one in found if not one.passed}

    odd = "order_id,user_id,created_at,colour\n1,u,2025-06-01,red\n"
    one, other = (str([f"shop/orders/2025-06-01{name}.csv"]) for name in ("", "_2"))
    assert failing_after("", odd) == {"columns_complete": one, "no_undeclared_columns": one}
    assert failing_after("", f"{HEADER}\n1,u,shipped,2025-06-01,1,,,\n") == {}
    assert failing_after("_2", odd) == {"columns_complete": other, "no_undeclared_columns": other}, "the control"
