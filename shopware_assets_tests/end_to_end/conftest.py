"""Homes for end-to-end tests."""

from pathlib import Path

import pytest

from shopware_assets_tests.end_to_end.sample import Settled, settled_sample
from shopware_assets_tests.end_to_end.shopware import Shopware


@pytest.fixture
def shopware(tmp_path: Path) -> Shopware:
    """The command line on an empty home."""
    return Shopware(tmp_path / "home")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Settled:
    """The real sample, landed at once and settled."""
    return settled_sample(tmp_path_factory)
