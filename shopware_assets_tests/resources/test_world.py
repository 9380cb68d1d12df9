"""The switch, where AWS stands behind it: one sentence when its settings cannot be read."""

from pathlib import Path

import pytest

from resources.settings import Environment, Misconfigured, Settings
from resources.world import resources_for


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
