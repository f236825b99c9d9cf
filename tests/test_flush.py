"""What a flush must stand: a configuration that is older than it looks, a kill between the store and the hooks."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from agent_tracker.context import Context, open_store
from agent_tracker.flush import flush
from agent_tracker.paths import user_paths
from agent_tracker.registry import read_agents, write_agents
from agent_tracker.repository import find_repository

if TYPE_CHECKING:
    from pathlib import Path

    from gitrepo import GitRepo


def context() -> Context:
    """Return what every verb is given, as this process has it."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


@pytest.fixture
def agent(repo: GitRepo) -> str:
    """An agent in a repository with hooks."""
    repo.ok("install-hooks")
    return repo.register("ada")


def earned(repo: GitRepo) -> float:
    """Return what the only agent earned."""
    return float(repo.json("agents", "--no-flush")["agents"][0]["experience_earned"])


def test_a_configuration_restored_with_an_old_date_rewrites_nothing(repo: GitRepo, agent: str, home: Path) -> None:
    """What was earned before the rules were put there stays, however old their file says it is."""
    now = int(time.time())

    def commit(subject: str, seconds_ago: int) -> None:
        repo.commit(subject, env={"AGENT_TRACKER_AGENT": agent, "GIT_COMMITTER_DATE": f"{now - seconds_ago} +0000"})

    commit("before", 100)
    commit("just before", 90)
    repo.ok("flush")
    path = home / ".config/agent-tracker/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[rules]\ncommitXp = 20\n")
    os.utime(path, (1_577_836_800, 1_577_836_800))
    commit("after", 80)
    repo.ok("flush")
    assert earned(repo) == 5 + 5 + 20


def test_a_rule_with_a_date_in_the_future_is_noted_once(repo: GitRepo, agent: str, home: Path) -> None:
    """A clock that went ahead must not have every flush note the rules anew."""
    path = home / ".config/agent-tracker/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[rules]\ncommitXp = 20\n")
    os.utime(path, (4_000_000_000, 4_000_000_000))
    repo.ok("flush")
    for number in range(2):
        repo.commit(f"work {number}", env={"AGENT_TRACKER_AGENT": agent})
        found = flush(find_repository(str(repo.path), {}), context())
        assert found.applied.entries == 0


def test_hooks_that_a_killed_flush_left_behind_are_told_by_the_next(repo: GitRepo, agent: str) -> None:
    """The store has the halt, the registry does not: the agent must not go on committing."""
    repo.commit("work", env={"AGENT_TRACKER_AGENT": agent})
    registry = context().paths.registry
    before = read_agents(registry)
    repo.ok("bug", "HEAD")
    write_agents(registry, before)
    (repo.path / ".git/agent-tracker/settled").unlink()
    repo.ok("flush")
    repo.write("more", "x")
    repo.git("add", "more")
    done = repo.try_git("commit", "-qm", "refused", env={"AGENT_TRACKER_AGENT": agent})
    assert done.code == 1
    assert "is halted" in done.err
    store, _ = open_store(context())
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert [one.standing.is_halted for one in snapshot.agents()] == [True]


def test_where_the_reflogs_stood_is_not_guessed(repo: GitRepo) -> None:
    """A file that is there and cannot be read is not one that is missing: the flush waits, and invents nothing."""
    repo.commit("before")
    repo.ok("install-hooks")
    ada = repo.register("ada")
    repo.commit("after", env={"AGENT_TRACKER_AGENT": ada})
    baseline = repo.path / ".git/agent-tracker/reflog"
    text = baseline.read_text()
    baseline.unlink()
    baseline.symlink_to(baseline.name)  # which leads nowhere, so that no system call can follow it
    done = repo.tracker("flush")
    assert (done.code, "cannot read" in done.err) == (1, True)
    baseline.unlink()
    baseline.write_text(text)
    repo.ok("flush")
    assert [commit["task_description"] for commit in repo.json("log")["commits"]] == ["after"]
