from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from agent_tracker.benches.demo import STORY, _tell, demo
from agent_tracker.errors import AgentTrackerError
from gitrepo import agent_tracker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where this test's temporary files go, empty."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


def names(directory: Path) -> list[str]:
    """Return what lies in a directory."""
    return sorted(entry.name for entry in directory.iterdir())


def test_the_whole_way_is_shown(temporary: Path, home: Path) -> None:
    """Every promised step is there, in order, with its command and its output; nothing is left, the home untouched."""
    before = names(home)
    done = agent_tracker("demo", cwd=temporary.parent, env={"TMPDIR": str(temporary)})
    assert (done.code, done.err) == (0, "")
    promised = [
        "$ agent-tracker register ada ",
        "Registered ada-",
        "$ agent-tracker register bob ",
        "Registered bob-",
        "$ agent-tracker install-hooks",
        "Installed 8 hooks",
        "git commit -qm 'Start the shop'",
        "AGENT_TRACKER_AGENT=ada git commit",
        "AGENT_TRACKER_AGENT=bob git commit",
        "$ CLAUDECODE=1 git commit",
        "agent-tracker: commit refused: no agent is registered for claude",
        "agent-tracker register claude ",
        "git commit -q --amend",
        "$ git push -q origin main",
        "$ agent-tracker log",
        "Write the guide",
        "Add the cart",
        "Start the shop",
        "$ agent-tracker agents",
        "$ agent-tracker verify",
        "Clean: ",
        "gone again",
        "  agent-tracker install-hooks\n  agent-tracker register NAME --model MODEL --scope SCOPE\n",
    ]
    position = 0
    for text in promised:
        position = done.out.find(text, position)
        assert position >= 0, text
    assert done.out.endswith(promised[-1])
    assert names(temporary) == []
    assert names(home) == before


def test_it_is_short_and_plain(temporary: Path) -> None:
    """It fits 60 lines, our own words fit 80 columns, and a pipe gets no control characters."""
    done = agent_tracker("demo", cwd=temporary.parent, env={"TMPDIR": str(temporary)})
    lines = done.out.splitlines()
    assert len(lines) <= 60
    assert "\x1b" not in done.out
    ours = [line for step in STORY for line in (*(f"# {words}" for words in step.words.splitlines()), step.command)]
    assert max(map(len, ours)) <= 78


class Terminal(StringIO):
    """A text file that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize(("no_color", "is_bold"), [("", False), (None, True)], ids=["NO_COLOR", "colours"])
def test_commands_stand_out_on_a_terminal(monkeypatch: pytest.MonkeyPatch, no_color: str | None, is_bold: bool) -> None:  # noqa: FBT001 -- a parameter
    """A terminal shows commands bold, unless NO_COLOR is set."""
    monkeypatch.setenv("TERM", "xterm")
    if no_color is None:
        monkeypatch.delenv("NO_COLOR")
    out = Terminal()
    _tell(out, STORY[0])
    assert ("\x1b[1m$ agent-tracker register" in out.getvalue()) == is_bold


def test_the_users_own_environment_does_not_get_in(temporary: Path, home: Path) -> None:
    """It works within a hook's environment, as an agent, with a configuration that would break it."""
    (home / ".gitconfig").write_text("[core]\n\thooksPath = /nowhere\n[commit]\n\tgpgSign = true\n")
    env = {
        "TMPDIR": str(temporary),
        "GIT_DIR": "/nowhere",
        "GIT_INDEX_FILE": "/nowhere",
        "AGENT_TRACKER_AGENT": "nobody",
        "AGENT_TRACKER_DATABASE_PATH": str(home / "mine.lmdb"),
        "CODEX_CI": "1",
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    done = agent_tracker("demo", cwd=temporary.parent, env=env)
    assert (done.code, done.err) == (0, "")
    assert names(home) == [".gitconfig"]
    assert names(temporary) == []


def fake_git(directory: Path, case: str) -> dict[str, str]:
    """Put a git before the real one that does as `case` says, and return the environment in which it is found."""
    directory.mkdir()
    program = directory / "git"
    program.write_text(f'#!/bin/sh\ncase "$*" in\n{case}\nesac\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o700)
    return {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("push*) exit 4 ;;", "`git push -q origin main` ended with exit code 4, not 0"),
        ("*--allow-empty*) exit 0 ;;", "git commit --allow-empty -qm 'Tidy up'` ended with exit code 0, not 1"),
        ("*--amend*) exit 0 ;;", "`agent-tracker log` did not say 'Write the guide'"),
    ],
    ids=["push", "refusal", "amend"],
)
def test_a_step_that_does_not_do_what_it_must_is_an_error(temporary: Path, case: str, words: str) -> None:
    """It ends with exit code 1 and names the command; nothing is left."""
    env = {"TMPDIR": str(temporary), **fake_git(temporary.parent / "bin", case)}
    done = agent_tracker("demo", cwd=temporary.parent, env=env)
    assert done.code == 1
    assert "the demonstration failed: " in done.err
    assert words in done.err
    assert "gone again" not in done.out
    assert names(temporary) == []


def test_a_commit_that_counts_twice_is_an_error(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store holds is checked, not only what is printed."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    twice = STORY[5]._replace(command="AGENT_TRACKER_AGENT=bob git commit --allow-empty -qm 'Write the guide'")
    monkeypatch.setattr("agent_tracker.benches.demo.STORY", (*STORY[:8], twice, *STORY[8:]))
    with pytest.raises(AgentTrackerError, match="`agent-tracker log` lists 4 commits"):
        demo(StringIO())
    assert names(temporary) == []


def test_without_git_it_says_so(temporary: Path) -> None:
    """One line and a hint, exit code 1."""
    done = agent_tracker("demo", cwd=temporary.parent, env={"PATH": str(temporary)})
    assert done.code == 1
    assert done.err.startswith("error: cannot find git on the PATH\nhint: ")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_nothing_is_left_when_it_is_stopped(temporary: Path, signum: signal.Signals, code: int) -> None:
    """Ctrl-C in the middle ends it at once, cleans up, and says so by the exit code."""
    env = {**os.environ, "TMPDIR": str(temporary)}
    argv = [sys.executable, "-m", "agent_tracker", "demo"]
    with subprocess.Popen(
        argv, cwd=temporary.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        while b"install-hooks" not in process.stdout.readline():
            pass
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert b"Traceback" not in err
    assert names(temporary) == []
