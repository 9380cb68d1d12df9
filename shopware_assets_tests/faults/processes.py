"""`shopware` commands as processes of their own that can be killed, without the seconds that importing takes.

They are forked from a server that has imported everything and done nothing.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["shopware_assets.definitions", "shopware_assets.cli", "shopware_assets_tests.faults.processes"]
)


def _nothing() -> None: ...


def start(
    *command: str, env: Mapping[str, str], output: Path, first: Callable[[], None] = _nothing
) -> ForkServerProcess:
    """Starts `shopware COMMAND` with these settings; what it prints goes to a file. `first` is called in it."""
    process = _CONTEXT.Process(target=_run, args=(command, dict(env), str(output), first))
    process.start()
    return process


def run(*command: str, env: Mapping[str, str], output: Path, first: Callable[[], None] = _nothing) -> int:
    """Runs it to its end; its exit code."""
    process = start(*command, env=env, output=output, first=first)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(command: tuple[str, ...], env: dict[str, str], output: str, first: Callable[[], None]) -> None:
    assert threading.active_count() == 1, "a fork would hang"
    os.environ |= env
    with open(output, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    first()
    from shopware_assets.cli import app

    sys.argv = ["shopware", *command]
    app()
