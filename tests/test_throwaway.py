from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent_tracker.benches.throwaway import throwaway
from agent_tracker.errors import AgentTrackerError, GitError


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's temporary files go, empty."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    return path


def test_it_is_gone_after_the_block(temporary: Path) -> None:
    """What was written there is removed."""
    with throwaway("t-") as place:
        Path(place.path("a", "b")).mkdir(parents=True)
        assert [str(entry) for entry in temporary.iterdir()] == [place.root]
    assert list(temporary.iterdir()) == []


def test_it_is_gone_after_an_exception(temporary: Path) -> None:
    """An exception passes through, and nothing is left."""
    with pytest.raises(KeyboardInterrupt), throwaway("t-"):
        raise KeyboardInterrupt
    assert list(temporary.iterdir()) == []


def test_the_environment_is_sealed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's git, directories or agents gets in, and git has a person to commit as."""
    for name in ("GIT_DIR", "XDG_STATE_HOME", "AGENT_TRACKER_DATABASE_PATH", "CLAUDECODE", "AI_AGENT", "LC_ALL"):
        monkeypatch.setenv(name, "x")
    with throwaway("t-") as place:
        assert place.root.startswith(str(temporary))
        output = place.must(["env"]).output
        names = {line.partition("=")[0] for line in output.splitlines()}
        assert not names & {
            "GIT_DIR",
            "XDG_STATE_HOME",
            "AGENT_TRACKER_DATABASE_PATH",
            "CLAUDECODE",
            "AI_AGENT",
            "LC_ALL",
        }
        assert f"HOME={place.path('home')}\n" in output
        assert place.must(["git", "config", "user.name"]).output == "A Person\n"


def test_packages_are_found_with_another_home(temporary: Path) -> None:
    """A program started there imports what this one does."""
    with throwaway("t-") as place:
        done = place.must([sys.executable, "-c", "import agent_tracker.hook, lmdb"])
    assert done.output == ""
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("temporary")
def test_a_program_that_was_added_is_found_first() -> None:
    """It comes before one of the same name on the PATH."""
    with throwaway("t-") as place:
        place.add_program("git", "#!/bin/sh\necho mine\n")
        assert place.must(["sh", "-c", "git --version"]).output == "mine\n"


@pytest.mark.usefixtures("temporary")
def test_a_failure_says_what_the_process_said() -> None:
    """The error holds the command and its last line; `run` leaves the judgement to its caller."""
    with throwaway("t-") as place:
        assert place.run(["sh", "-c", "echo one; echo two >&2; exit 3"])[:2] == (3, "one\ntwo\n")
        with pytest.raises(AgentTrackerError, match="sh -c echo one; exit 3 failed: one"):
            place.must(["sh", "-c", "echo one; exit 3"])
        with pytest.raises(AgentTrackerError, match=r"cannot run \./missing"):
            place.run(["./missing"])


def test_what_a_process_started_ends_with_it(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs is killed with its children, which then write nothing into a removed place."""
    monkeypatch.setattr("agent_tracker.benches.throwaway.TIMEOUT_S", 0.3)
    witness = temporary.parent / "witness"
    with pytest.raises(AgentTrackerError, match=r"took longer than 0\.3 s"), throwaway("t-") as place:
        place.run(["sh", "-c", f"(sleep 1; echo alive >{witness}) & wait"])
    assert list(temporary.iterdir()) == []
    time.sleep(1.2)
    assert not witness.exists()


def test_without_git_it_is_an_error(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes before anything is made."""
    monkeypatch.setenv("PATH", str(temporary))
    with pytest.raises(GitError, match="cannot find git"), throwaway("t-"):
        pass
    assert list(temporary.iterdir()) == []


def test_an_unusable_directory_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no temporary directory can be made, the hint says what to set."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(AgentTrackerError, match="cannot make a directory for temporary files"), throwaway("t-"):
        pass


@pytest.mark.usefixtures("temporary")
def test_signal_handlers_are_given_back() -> None:
    """After the block a signal does what it did before."""
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with throwaway("t-"):
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


BLOCK = """
import time
from agent_tracker.benches.throwaway import throwaway
with throwaway("t-") as place:
    print(place.root, flush=True)
    place.run(["sh", "-c", "while :; do : >>busy; done"])
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda signum: signum.name)
def test_a_signal_leaves_nothing_behind(tmp_path: Path, signum: signal.Signals) -> None:
    """An interrupt, a termination and a hang-up end the block and what runs in it, and remove the place."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", BLOCK], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        root = process.stdout.readline().decode().strip()
        while not Path(root, "busy").exists():
            time.sleep(0.01)
        process.send_signal(signum)
        process.communicate(timeout=30)
    assert process.returncode == (-signum if signum == signal.SIGINT else 128 + signum)
    assert list(tmp_path.iterdir()) == []
