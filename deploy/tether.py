"""Runs a command whose processes cannot outlive their owner: `python tether.py GRACE COMMAND…` (Linux).

The owner holds the other end of standard input. When that closes, because the owner closed it or died (kill -9
included), or when the command ends by itself, everything that the command started is told to stop (SIGTERM to its
process group) and, GRACE seconds later, killed, also what has left the group or lost its parent. Ends when nothing is
left, with the command's exit code.

Belongs here: ending processes. What to run is the caller's affair. Standard library only: it runs without the project.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_prctl = ctypes.CDLL(None).prctl


def stop_with_parent() -> None:
    """Has the kernel send this process SIGTERM when its parent dies, however it dies."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def tether(grace: float, command: list[str]) -> int:
    """Runs `command` until it ends or standard input does; returns its exit code, or 128 + signal."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of the command become children of this process
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # not ignored any more by the command either,
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # as a shell's background jobs ignore Ctrl-C
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(_before_exec, os.getpid()),  # safe: there is one thread here
    )
    try:
        select.select([sys.stdin, os.pidfd_open(child.pid)], [], [])
    finally:
        _end_all(child, grace)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _before_exec(parent: int) -> None:
    stop_with_parent()
    if os.getppid() != parent:
        os._exit(1)  # it died before it could be watched


def _end_all(child: subprocess.Popen[bytes], grace: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.killpg(child.pid, signal.SIGTERM)  # the group is there, and is ours, until the child is reaped
    deadline = time.monotonic() + grace
    while _children():
        child.poll()
        for orphan in _children() - {child.pid}:
            os.waitpid(orphan, os.WNOHANG)
        if time.monotonic() > deadline:
            for pid in _children():  # each keeps its pid until it is reaped here: no stranger is hit
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _children() -> set[int]:
    pid = os.getpid()
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


if __name__ == "__main__":
    sys.exit(tether(float(sys.argv[1]), sys.argv[2:]))
