"""The switch, where AWS stands behind it: one sentence when its settings cannot be read; and how often it is asked."""

from pathlib import Path

import obstore
import pytest

from deploy.stand_ins import S3
from resources import lake as lake_module
from resources.lake import object_store
from resources.settings import Environment, Misconfigured, Settings
from resources.world import resources_for
from shopware_assets_tests.end_to_end.shopware import Shopware


def test_a_profile_that_is_not_there_matters_where_something_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    assert not resources_for(Settings())["rules"].serves, "the control"
    for settings in (Settings(environment=Environment.AWS), Settings()):
        with pytest.raises(Misconfigured, match=r"^AWS cannot be used: .*\(nope\).* \(see AWS_PROFILE and .*\)\.$"):
            resources_for(settings)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def test_a_damaged_file_of_aws_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default\nx")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(Misconfigured, match=rf"^AWS cannot be used: .*{tmp_path}/config \(see .*AWS_CONFIG_FILE\)\.$"):
        resources_for(Settings(environment=Environment.AWS))


@pytest.mark.parametrize("lake", ["s3", "folder"])
def test_settling_checks_its_lake_once(
    lake: str, seaweedfs: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def noted(url: str, options: dict[str, str]) -> obstore.store.ObjectStore:
        checked.append(url)
        return object_store(url, options)

    monkeypatch.setattr(lake_module, "object_store", noted)
    root = str(tmp_path / "lake") if lake == "folder" else f"s3://{seaweedfs.fresh_bucket()}/lake"
    Shopware(tmp_path / "home", {**seaweedfs.settings, "SHOPWARE_LAKE": root})("settle")
    assert checked == ([root] if lake == "folder" else [root, root]), "S3: whether it can be read, and be written to"
