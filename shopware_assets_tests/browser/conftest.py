"""Dagster's UI on the settled sample, and a browser to look at it."""

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from deploy.stand_ins import LOOPBACK, environment, running
from shopware_assets_tests.end_to_end.sample import settled_sample

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 90  # seconds: long enough for a machine that is busy with other tests


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, no_account: None) -> Iterator[str]:
    """The address of the UI. There is no daemon: the settled lake stays as it is."""
    home = settled_sample(tmp_path_factory).shopware.home
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    webserver = str(Path(sys.executable).with_name("dagster-webserver"))
    command = [webserver, "-h", LOOPBACK, "-p", str(port), "-w", str(ROOT / "workspace.yaml")]
    env = {**environment(), "SHOPWARE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    with running("webserver", command, tmp_path_factory.mktemp("webserver"), env, cwd=ROOT) as child:
        until = time.monotonic() + PATIENCE
        while not _listens(port):
            assert child.exit_code is None and time.monotonic() < until, child.last_lines()
            time.sleep(0.2)
        assert "Error loading" not in child.last_lines(100), child.last_lines(100)  # it is there without them, too
        yield f"http://{LOOPBACK}:{port}"


def _listens(port: int) -> bool:
    """Whether the webserver is there: it listens once it has tried to load the definitions."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=5).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Not for the session: while Playwright runs, no other test of the process can start an event loop."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]  # in containers, as root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(ui: str, browser: Browser) -> Iterator[Page]:
    """A page of the UI that waits for what it looks for."""
    page = browser.new_page(base_url=ui, viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    page.add_init_script("localStorage.setItem('dagster-nav-collapsed', 'true')")
    yield page
    page.close()
