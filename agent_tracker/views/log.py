"""The log: counted commits, newest first, each with whose it is and what it earned.

Owns that view. Pure over `Facts`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.records import COUNTED, HUMAN, Credits, is_agent

if TYPE_CHECKING:
    from agent_tracker.views.base import Facts

__all__ = ["LogEntry", "log"]


class LogEntry(NamedTuple):
    """One commit. `agent` is the largest share's among agents, empty where none has credit; times are Unix seconds."""

    oid: bytes
    agent: str
    claim: str
    credits: Credits
    project_path: bytes
    subject: str
    operation: str
    experience_micro: int
    committed_at: int
    recorded_at: int


def log(facts: Facts, *, project: str | None, limit: int | None, agent: str | None = None) -> list[LogEntry]:
    """Return counted commits, newest first.

    Args:
        facts: The snapshot.
        project: A project's UUID, its clones included; None for all.
        limit: At most so many; None for all.
        agent: Only commits in which this agent id has a share.
    """
    paths = {fact.id: fact.path for fact in facts.projects()}
    timeline = facts.timeline()
    numbers = None if project is None else facts.joined_projects(project)
    entries = (
        LogEntry(
            commit.oid,
            *_claim(commit.credits),
            paths[commit.project],
            commit.subject,
            commit.operation,
            sum(timeline.commit_micro(share, commit.earned_at) for name, share in commit.credits if is_agent(name)),
            commit.committed_at,
            commit.recorded_at,
        )
        for commit in facts.commits(numbers)
        if commit.status == COUNTED and (agent is None or any(name == agent for name, _ in commit.credits))
    )
    return list(islice(entries, limit))


def _claim(credits: Credits) -> tuple[str, str, Credits]:
    """Return the agent, the claim, and the credits to show: none where no agent has a share."""
    agent = next((name for name, _ in credits if is_agent(name)), "")
    if agent:
        return agent, "agent", credits
    return "", HUMAN if credits[0][0] == HUMAN else "unclaimed", ()
