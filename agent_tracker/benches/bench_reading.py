"""What the reading commands cost: whole processes, on a store that is all but empty and on one that is full.

Owns those measurements and the proof that what was read was there. Never prints.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.benches.bench_facts import apply_facts, made_agents, made_commits
from agent_tracker.benches.bench_hooks import AGENT_TRACKER, added, alternate
from agent_tracker.errors import AgentTrackerError
from agent_tracker.paths import RepositoryPaths
from agent_tracker.records import ProjectFact
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.benches.throwaway import Throwaway

__all__ = ["ReadingCost", "measure_reading"]

IMPORTS = (sys.executable, "-c", "import typer, rich")
COMMANDS = {"status": ("status",), "agents": ("agents",), "log": ("log", "-n", "50")}
DATABASE = "AGENT_TRACKER_DATABASE_PATH"
COMMITS_AN_AGENT = 200
SIZE_BYTES = 1 << 29


class ReadingCost(NamedTuple):
    """What reading commands take, in ms; the ratio against a Python that imports typer and rich.

    `..._add_ms` is what a store with so many agents and commits adds to what the command takes on an empty one.
    """

    rounds: int
    agents: int
    commits: int
    import_ms: float
    status_ms: float
    status_ratio: float
    status_add_ms: float
    agents_add_ms: float
    log_add_ms: float


class _Reader:
    """A repository whose commits are in a store of their own."""

    def __init__(self, place: Throwaway, name: str, agent: str) -> None:
        self._place = place
        self._path = place.path(name)
        self._database = place.path(f"{name}.lmdb")
        self._env = {DATABASE: self._database, "AGENT_TRACKER_AGENT": agent}
        place.must(["git", "init", "--quiet", "--template=", self._path])
        self.run("install-hooks")
        place.must(["git", "commit", "--quiet", "--allow-empty", "--message", "x"], cwd=self._path, env=self._env)
        self.run("flush")

    def run(self, *argv: str) -> float:
        """Run agent-tracker and return how many seconds that took."""
        return self._place.must([*AGENT_TRACKER, *argv], cwd=self._path, env=self._env).took_s

    def commits(self) -> int:
        """Return how many commits of the project the store has, as `status` tells it."""
        done = self._place.must([*AGENT_TRACKER, "status", "--json"], cwd=self._path, env=self._env)
        return int(json.loads(done.output)["status"]["commits"])

    def fill(self, agents: int, commits: int) -> None:
        """Put made-up commits of made-up agents into the store, all in this project."""
        with open(RepositoryPaths(os.path.join(self._path, ".git")).project, encoding="utf-8") as file:
            project = file.read().split()[0]
        made = made_agents(agents)
        where = ProjectFact(project, os.fsencode(self._path), b"", 1)
        apply_facts(Store(self._database, SIZE_BYTES), [where, *made, *made_commits(commits, made, project)])


def measure_reading(place: Throwaway, agent: str, rounds: int, *, commits: int) -> ReadingCost:
    """Measure `status`, `agents` and `log -n 50` on a store with one commit, and on one with so many more.

    Args:
        place: Where it is done.
        agent: A registered agent's id, whose sheet `status` shows.
        rounds: Of each command.
        commits: In the full store; of an agent for every two hundred.

    Raises:
        AgentTrackerError: A command failed, or the store does not hold what it should.
    """
    agents = max(1, commits // COMMITS_AN_AGENT)
    empty, full = _Reader(place, "read-empty", agent), _Reader(place, "read-full", agent)
    full.fill(agents, commits)
    found = full.commits()
    if found != commits + 1:
        raise AgentTrackerError(f"status counts {found} commits, not {commits + 1}", "agent-tracker verify")
    kinds: dict[str, Callable[[], float]] = {"imports": lambda: place.must(IMPORTS).took_s}
    kinds |= {name: partial(empty.run, *argv) for name, argv in COMMANDS.items()}
    kinds |= {f"full {name}": partial(full.run, *argv) for name, argv in COMMANDS.items()}
    times = alternate(rounds, kinds)
    ratios = (one / other for one, other in zip(times["status"], times["imports"], strict=True))
    return ReadingCost(
        rounds=rounds,
        agents=agents,
        commits=commits,
        import_ms=median(times["imports"]),
        status_ms=median(times["status"]),
        status_ratio=median(ratios),
        status_add_ms=added(times, "full status", "status"),
        agents_add_ms=added(times, "full agents", "agents"),
        log_add_ms=added(times, "full log", "log"),
    )
