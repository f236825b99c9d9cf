"""Agents and commits that nobody made, as many as a measurement needs.

Owns making them up and putting them into a store. Never touches a repository.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from agent_tracker.apply import apply
from agent_tracker.errors import AgentTrackerError
from agent_tracker.records import AgentFact, CommitFact, ProjectFact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.store import Store

__all__ = ["apply_facts", "made_agents", "made_commits"]

NOW = 1_800_000_000


def made_agents(count: int) -> list[AgentFact]:
    """Return the registrations of so many agents."""
    return [AgentFact(f"agent-{n:08x}", f"agent-{n}", "model", "all", "", 1) for n in range(count)]


def made_commits(count: int, agents: Sequence[AgentFact], project: str) -> list[CommitFact]:
    """Return so many commits of a project, a second apart, by these agents at random; the same ones each time."""
    chance = random.Random(count)  # noqa: S311 -- data, not a secret
    people = (("author", "A U Thor <author@example.org>"), ("committer", "A U Thor <author@example.org>"))
    marks = [(("hook", "1"), ("resolved", a.id), ("AGENT_TRACKER_AGENT", a.id), *people) for a in agents]
    return [
        CommitFact(
            chance.randbytes(20),
            project,
            "commit",
            chance.choice(marks),
            NOW + n,
            NOW + count,
            f"feat(module-{n % 1000}): do a thing of some length",
        )
        for n in range(count)
    ]


def apply_facts(store: Store, facts: Sequence[CommitFact | AgentFact | ProjectFact]) -> float:
    """Apply facts in one transaction and return how many seconds that took, opening and syncing included.

    Raises:
        AgentTrackerError: Not every fact arrived.
    """
    start = time.perf_counter()
    applied = store.write(lambda writer: apply(writer, facts, now=NOW), timeout_s=10)
    took_s = time.perf_counter() - start
    expected = sum(1 for fact in facts if isinstance(fact, CommitFact))
    if applied.commits != expected or sum(gain.commits for gain in applied.gains) != expected:
        raise AgentTrackerError(f"{applied.commits} of {expected} facts were applied", "agent-tracker verify")
    return took_s
