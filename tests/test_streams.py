"""Standard streams that are closed, or that take nothing: the command says so, or does without."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepo import run

if TYPE_CHECKING:
    from gitrepo import Done, GitRepo


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with hooks and an agent's commit."""
    repo.ok("install-hooks")
    repo.register("one")
    repo.commit("feat: a", env={"AGENT_TRACKER_AGENT": "one"})
    return repo


def shell(repo: GitRepo, command: str) -> Done:
    """Run agent-tracker with redirections of a shell."""
    return run("sh", "-c", f'"{sys.executable}" -m agent_tracker {command}', cwd=repo.path)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("status >&-", 0),
        ("log --json >&-", 0),
        ("grade g --note - <&-", 0),
        ("status <&- >&- 2>&-", 0),
        ("grade nonsense 2>&-", 2),
        ("review <&-", 0),
    ],
)
def test_a_closed_stream_is_no_bug(work: GitRepo, command: str, code: int) -> None:
    """Nothing to read or to write to is nothing read and nothing written."""
    done = shell(work, command)
    assert "a bug in" not in done.err
    assert (done.code, "Exception" in done.err) == (code, False), done


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", ["status", "status --json", "log", "--help"])
def test_a_full_disk_is_said(work: GitRepo, command: str) -> None:
    """What cannot be written is one line on stderr, and exit code 1."""
    done = shell(work, f"{command} >/dev/full")
    assert (done.code, done.err) == (1, "error: cannot write: No space left on device\n")
