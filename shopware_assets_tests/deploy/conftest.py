"""Finds every process that a test has started, whatever has become of its parents."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest


@dataclass
class Brood:
    """Processes that were started with `env`, and all that they have started: they inherit its mark."""

    mark: str = field(default_factory=lambda: uuid4().hex)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "BROOD": self.mark}

    def pids(self, program: str = "") -> set[int]:
        """Those alive that run `program` (its file name); all of them without one."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                marked = f"BROOD={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0")
                if marked and program in ("", (process / "exe").readlink().name):
                    found.add(int(process.name))
        return found

    def gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.pids()


@pytest.fixture
def brood() -> Iterator[Brood]:
    brood = Brood()
    yield brood
    while left := brood.pids():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
