"""Dagster's UI on the settled sample, and a browser to look at it."""

import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from deploy.stand_ins import LOOPBACK, environment, running
from shopware_assets_tests.end_to_end.sample import settled_sample

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def ui(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Iterator[str]:
    """The address of the UI."""
    home = settled_sample(tmp_path_factory).shopware.home
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    webserver = str(Path(sys.executable).with_name("dagster-webserver"))
    command = [webserver, "-h", LOOPBACK, "-p", str(port), "-w", str(ROOT / "workspace.yaml")]
    env = {**environment(), "SHOPWARE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    with running("webserver", command, tmp_path_factory.mktemp("webserver"), env, cwd=ROOT) as child:
        until = time.monotonic() + 60
        while not _answers(f"http://{LOOPBACK}:{port}/server_info"):
            assert child.exit_code is None and time.monotonic() < until, child.last_lines()
            time.sleep(0.2)
        yield f"http://{LOOPBACK}:{port}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(ui: str, browser: Browser) -> Iterator[Page]:
    """A page of the UI that waits up to half a minute for what it looks for."""
    page = browser.new_page(base_url=ui, viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    yield page
    page.close()
