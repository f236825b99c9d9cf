"""Processes told apart: alive, killed, not asked after, of a number that is another's by now, or not to be seen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker import processes
from agent_tracker.processes import is_running, start_of
from test_layers import PACKAGE, loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is Linux's")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing for a while."""
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait until it has ended, without asking after it: it stays a zombie."""
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def with_place(start: str, **parts: str) -> str:
    """Return a start with another host, boot or namespace."""
    when, _, place = start.partition("@")
    told = dict(zip(("host", "boot", "namespace"), place.split("/"), strict=True)) | parts
    return f"{when}@{'/'.join(told.values())}"


def seen_by(prefix: list[str], process: int, start: str) -> str:
    """Return what another Python says of a process, run below `prefix`; skip where that may not be had."""
    code = "import sys; from agent_tracker.processes import *; print(is_running(int(sys.argv[1]), sys.argv[2]))"
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [*prefix, sys.executable, "-c", code, str(process), start]
    try:
        done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is not here")
    if done.returncode:
        pytest.skip(f"not permitted here: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


def test_a_running_process_runs(sleeper: subprocess.Popen[bytes]) -> None:
    """It is the one that it was, however often it is asked after, and so is this one."""
    start = start_of(sleeper.pid)
    assert start
    assert start == start_of(sleeper.pid)
    assert is_running(sleeper.pid, start) is True
    assert is_running(os.getpid(), start_of(os.getpid())) is True


def test_a_start_fits_in_a_word(sleeper: subprocess.Popen[bytes]) -> None:
    """It can stand in any field of a line."""
    start = start_of(sleeper.pid)
    assert start.isprintable()
    assert " " not in start
    assert len(start) < 200


def test_a_killed_process_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """Its parent has asked after it: nothing has its number."""
    start = start_of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert is_running(sleeper.pid, start) is False
    assert is_running(sleeper.pid, "") is False
    assert start_of(sleeper.pid) == ""


def test_a_zombie_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """Its number is still taken, and a signal to it would not fail: it has ended all the same."""
    start = start_of(sleeper.pid)
    end(sleeper)
    os.kill(sleeper.pid, 0)
    assert is_running(sleeper.pid, start) is False
    assert start_of(sleeper.pid) == ""


def test_a_number_given_again_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    """A process of that number runs, and began at another time."""
    assert is_running(sleeper.pid, start_of(os.getpid())) is False


@linux_only
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, True),
        ({"boot": "0" * 32}, False),
        ({"boot": ""}, None),
        ({"host": "00000000"}, None),
        ({"host": "00000000", "boot": "0" * 32}, None),
        ({"namespace": "1"}, None),
        ({"namespace": ""}, None),
    ],
    ids=str,
)
def test_a_number_from_elsewhere_tells_nothing(
    sleeper: subprocess.Popen[bytes], parts: dict[str, str], *, expected: bool | None
) -> None:
    """Before the last boot all have ended; on another machine or in another container nobody here knows."""
    assert is_running(sleeper.pid, with_place(start_of(sleeper.pid), **parts)) is expected


@linux_only
def test_nothing_is_said_of_one_that_is_gone_here_and_began_elsewhere(sleeper: subprocess.Popen[bytes]) -> None:
    """That nobody has its number here does not mean that it has ended there."""
    start = with_place(start_of(sleeper.pid), namespace="1")
    sleeper.kill()
    sleeper.wait()
    assert is_running(sleeper.pid, start) is None


@pytest.mark.parametrize("process", [0, -1, -(1 << 40), 1 << 31, 1 << 64, 10**400])
def test_a_number_that_is_none_is_not_asked_after(process: int) -> None:
    """0 and below mean groups of processes, and the others are too large for the system."""
    assert is_running(process, start_of(os.getpid())) is None
    assert is_running(process, "") is None
    assert start_of(process) == ""


HOSTILE = ["", "@", "@//", "x@y", "1@a/b/c/d", "@" * 1000, "1/2/3@4", "\0@\n/\x1b/\udcff", "1" * 100_000]


@pytest.mark.parametrize("start", HOSTILE, ids=range(len(HOSTILE)))
def test_a_start_of_no_known_form_tells_nothing_of_a_running_process(
    sleeper: subprocess.Popen[bytes], start: str
) -> None:
    """A process of that number runs, which may be another one."""
    assert is_running(sleeper.pid, start) is None


@given(process=st.integers(), start=st.text() | st.from_regex(r"\A[0-9]+@[0-9a-f]*/[0-9a-f]*/[0-9]*\Z"))
def test_no_line_claims_a_running_process(process: int, start: str) -> None:
    """Whatever a line says, it is harmless, and only the truth makes a process a running one."""
    assert is_running(process, start) in {None, False}


@linux_only
@pytest.mark.parametrize("name", [") Z 1 (", "a b) c", "((", "\n) Z 0"])
def test_a_name_cannot_pass_for_what_follows_it(tmp_path: Path, name: str) -> None:
    """The program's name, which anybody may choose, stands in the same line as its state."""
    (tmp_path / name).symlink_to(shutil.which("sleep") or "")
    process = subprocess.Popen([tmp_path / name, "300"])
    try:
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        assert start_of(process.pid).startswith(f"{ticks}@")
        assert is_running(process.pid, start_of(process.pid)) is True
    finally:
        process.kill()
        process.wait()


@linux_only
def test_another_users_process_is_seen(sleeper: subprocess.Popen[bytes]) -> None:
    """It may not be signalled, and its start may be read all the same."""
    assert (
        seen_by(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], sleeper.pid, start_of(sleeper.pid))
        == "True"
    )


@linux_only
def test_another_users_process_that_is_hidden_is_not_called_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """Where proc shows each user their own, a signal that is not permitted says that there is something."""
    hidden = 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
    assert seen_by(["unshare", "--mount", "sh", "-c", hidden, "sh"], sleeper.pid, start_of(sleeper.pid)) == "None"


@linux_only
def test_a_process_outside_a_container_is_not_called_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """Its number means another process there, or none."""
    prefix = ["unshare", "--pid", "--fork", "--mount-proc"]
    assert seen_by(prefix, sleeper.pid, start_of(sleeper.pid)) == "None"
    assert seen_by(prefix, 1, start_of(sleeper.pid)) == "None"


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="no ps")
def test_ps_tells_the_same_in_every_time_zone(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no proc(5), ps is asked: when, and whether it has ended."""
    when, state = processes._from_ps(sleeper.pid)
    if not when:
        pytest.skip("a ps that knows no lstart")
    assert when.count("-") == 4
    assert state in {"S", "I"}
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert processes._from_ps(sleeper.pid) == (when, state)
    end(sleeper)
    assert processes._from_ps(sleeper.pid)[1] == "Z"
    sleeper.wait()
    assert processes._from_ps(sleeper.pid) == ("", "")


def test_asking_loads_next_to_nothing() -> None:
    """A flush asks after every open session."""
    code = "import os; from agent_tracker.processes import *; is_running(os.getpid(), start_of(os.getpid()))"
    heavy = {"typing", "re", "pathlib", "enum"} | ({"subprocess"} if sys.platform == "linux" else set())
    assert not loaded(code) & heavy
