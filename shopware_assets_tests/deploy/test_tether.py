"""Nothing that runs on a tether outlives its owner, its own command or the tether."""

import subprocess
import sys
import time

import pytest

from deploy import tether

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()  # leaves the process group
    os.fork()
time.sleep(600)
"""
OBEDIENT = "import time; time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def tethered(code: str) -> list[str]:
    return [sys.executable, tether.__file__, "0.3", *python(code)]


def owner(command: list[str]) -> list[str]:
    """A process that runs `command` and holds the other end of its standard input."""
    return python(f"import subprocess as s; s.Popen({command}, stdin=s.PIPE).wait()")


def wait_for(brood, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(brood.pids()) != count:
        assert time.monotonic() < deadline, f"{len(brood.pids())} processes, not {count}"
        time.sleep(0.02)


@pytest.mark.parametrize("on_a_tether", [True, False], ids=["tether", "none"])
def test_all_are_gone_when_the_owner_is_killed(brood, on_a_tether: bool) -> None:
    command = tethered(STUBBORN) if on_a_tether else python(STUBBORN)
    process = subprocess.Popen(owner(command), env=brood.env)
    wait_for(brood, 5 if on_a_tether else 4)
    process.kill()
    process.wait()
    assert brood.gone_within(5 if on_a_tether else 1) == on_a_tether


def test_all_are_gone_when_the_owner_lets_go(brood) -> None:
    process = subprocess.Popen(tethered(STUBBORN), env=brood.env, stdin=subprocess.PIPE)
    wait_for(brood, 4)
    process.communicate(timeout=5)
    assert not brood.pids()
    assert process.returncode == 128 + 9


def test_all_are_gone_when_the_command_ends_and_its_exit_code_is_told(brood) -> None:
    code = STUBBORN.replace("time.sleep(600)", "time.sleep(600 if os.getppid() == 1 or os.getsid(0) != SID else 0.5)")
    code = f"import os; SID = os.getsid(0)\n{code}\nraise SystemExit(7)"
    process = subprocess.Popen(tethered(code), env=brood.env, stdin=subprocess.PIPE)
    wait_for(brood, 4)
    assert process.wait(5) == 7
    assert not brood.pids()


def test_when_the_tether_itself_is_killed_the_command_is_told(brood) -> None:
    process = subprocess.Popen(tethered(OBEDIENT), env=brood.env, stdin=subprocess.PIPE)
    wait_for(brood, 2)
    process.kill()
    process.wait()
    assert brood.gone_within(5)


def test_a_command_started_where_ctrl_c_is_ignored_heeds_it_again(brood) -> None:
    ignoring = "import os, signal as s, sys; s.signal(s.SIGINT, s.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    says = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    process = subprocess.Popen(
        [*python(ignoring), *tethered(says)], env=brood.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.wait(10) == 0
    assert process.stdout
    assert process.stdout.read() == b"True\n"
