"""Locks between processes: one holder, a deadline, and release however the holder ends."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent_tracker.locking import LockTimeoutError, locked
from facts import listed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys, time
from agent_tracker.locking import locked
with locked(sys.argv[1], timeout_s=5):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock on `lock`."""
    argv = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_file_is_private_and_stays(tmp_path: Path) -> None:
    """It is made with mode 0600 and never deleted: another process may have it open."""
    path = tmp_path / "lock"
    with locked(str(path), timeout_s=1):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.exists()


def test_the_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    """Once left, also by an exception, it can be had at once."""
    path = str(tmp_path / "lock")
    with pytest.raises(KeyError), locked(path, timeout_s=0):
        raise KeyError
    with locked(path, timeout_s=0):
        pass


def test_a_second_holder_gives_up_at_the_deadline(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """It waits as long as it may, then says whose lock it is not."""
    assert holder.poll() is None
    begin = time.monotonic()
    with pytest.raises(LockTimeoutError, match="lock is held"), locked(str(tmp_path / "lock"), timeout_s=0.2):
        pytest.fail("two holders")
    assert time.monotonic() - begin >= 0.2


def test_the_same_process_cannot_have_it_twice(tmp_path: Path) -> None:
    """A verb inside a verb would otherwise believe itself alone."""
    path = str(tmp_path / "lock")
    with locked(path, timeout_s=0), pytest.raises(LockTimeoutError), locked(path, timeout_s=0.05):
        pytest.fail("two holders")


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_is_killed_releases_it(
    tmp_path: Path, holder: subprocess.Popen[str], with_signal: signal.Signals
) -> None:
    """The kernel sees to that."""
    holder.send_signal(with_signal)
    with locked(str(tmp_path / "lock"), timeout_s=5):
        pass


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A lock file of ours is no link to somewhere else."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"), locked(str(tmp_path / "lock"), timeout_s=0):
        pytest.fail("followed")
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Nothing is made on the way."""
    with pytest.raises(FileNotFoundError), locked(str(tmp_path / "gone" / "lock"), timeout_s=0):
        pytest.fail("locked")
    assert listed(tmp_path) == []
