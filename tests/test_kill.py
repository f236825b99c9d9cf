"""Processes killed in the middle: whatever git kept is in the store exactly once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITERS = 8
KILLS = 200


def start(argv: list[str], cwd: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, so that its children die with it."""
    devnull = subprocess.DEVNULL
    return subprocess.Popen(
        argv, cwd=cwd, env={**os.environ, **env}, stdin=devnull, stdout=devnull, stderr=devnull, start_new_session=True
    )


def kill_after(process: subprocess.Popen[bytes], delay_s: float) -> bool:
    """Kill a process and its children after a while; False where it had ended before."""
    try:
        process.wait(timeout=delay_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def unlock(worktree: GitRepo) -> None:
    """Take away the lock files of a killed git, as a person would."""
    git_dir = worktree.path / worktree.git("rev-parse", "--absolute-git-dir")
    common = worktree.path / worktree.git("rev-parse", "--git-common-dir")
    for lock in [*git_dir.glob("*.lock"), *common.glob("refs/heads/*.lock")]:
        lock.unlink(missing_ok=True)


class Storm:
    """Writers that commit in worktrees of one repository while flushes and commits are killed."""

    def __init__(self, repo: GitRepo, worktrees: list[GitRepo], agent: str) -> None:
        self.repo = repo
        self.worktrees = worktrees
        self.env = {"AGENT_TRACKER_AGENT": agent}
        self.kills: list[str] = []
        self.is_over = False

    def write(self, worktree: GitRepo, seed: int) -> None:
        """Commit until the storm is over; some commits are killed."""
        rng = random.Random(seed)
        number = 0
        while not self.is_over:
            number += 1
            argv = ["git", "commit", "--quiet", "--allow-empty", "-m", f"{worktree.path.name} {number}"]
            if rng.random() < 0.3:
                argv.append("--amend")
            process = start(argv, worktree.path, self.env)
            if kill_after(process, rng.uniform(0.0, 0.03) if rng.random() < 0.3 else 20):
                self.kills.append("commit")
                unlock(worktree)

    def flush(self, seed: int) -> None:
        """Flush until the storm is over; most flushes are killed."""
        rng = random.Random(seed)
        while not self.is_over:
            process = start([sys.executable, "-m", "agent_tracker", "flush"], self.repo.path, {})
            if kill_after(process, rng.uniform(0.0, 0.15) if rng.random() < 0.8 else 20):
                self.kills.append("flush")


@pytest.mark.timeout(240)
def test_two_hundred_kills_lose_and_double_nothing(work: GitRepo, tmp_path: Path) -> None:
    """Eight writers, commits and flushes killed at random: every commit that git has is counted once."""
    agent = work.register("one")
    worktrees = []
    for number in range(WRITERS):
        path = tmp_path / f"w{number}"
        work.git("worktree", "add", "--quiet", "-b", f"w{number}", str(path))
        worktrees.append(GitRepo(path))
        worktrees[-1].git("commit", "--quiet", "--allow-empty", "-m", f"w{number} first")
    storm = Storm(work, worktrees, agent)
    threads = [threading.Thread(target=storm.write, args=(tree, seed)) for seed, tree in enumerate(worktrees)]
    threads += [threading.Thread(target=storm.flush, args=(100 + seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 150
    while len(storm.kills) < KILLS and time.monotonic() < deadline:
        time.sleep(0.1)
    storm.is_over = True
    for thread in threads:
        thread.join()
    assert len(storm.kills) >= KILLS
    work.ok("flush")
    expected = set(work.git("rev-list", "--branches", "--not", "main").split())
    counted = {c["commit_hash"] for c in work.commits()}
    assert (counted - expected, expected - counted) == (set(), set())
    found = work.json("verify")["verify"]
    assert found["clean"], found


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with hooks and one commit older than they are."""
    repo.commit("older: before the hooks")
    repo.ok("install-hooks")
    return repo


def test_eight_repositories_flush_at_once(make_repo: Callable[..., GitRepo]) -> None:
    """Eight processes flush eight repositories into the one store, none overwriting another."""
    repos = [make_repo(f"repo{number}") for number in range(WRITERS)]
    agent = repos[0].register("one")
    for number, repo in enumerate(repos):
        repo.ok("install-hooks")
        for count in range(5):
            repo.git(
                "commit", "--quiet", "--allow-empty", "-m", f"{number}.{count}", env={"AGENT_TRACKER_AGENT": agent}
            )
    flushes = [start([sys.executable, "-m", "agent_tracker", "flush"], repo.path, {}) for repo in repos]
    assert [flush.wait(timeout=60) for flush in flushes] == [0] * WRITERS
    assert len(repos[0].json("log", "--all")["commits"]) == 5 * WRITERS
    standing = repos[0].json("agents")["agents"][0]
    assert (standing["total_commits"], standing["experience_earned"]) == (5 * WRITERS, 25 * WRITERS)
    assert repos[0].json("verify")["verify"]["clean"]
