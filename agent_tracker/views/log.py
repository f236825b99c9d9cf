"""The log: counted commits, newest first, each with whose it is and what it earned.

Owns that view. Pure over `Facts`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.instructions import setup_of
from agent_tracker.records import COUNTED, HUMAN, Credits, is_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.credit import Why
    from agent_tracker.records import Commit, CreditFact
    from agent_tracker.views.base import Facts

__all__ = ["LogEntry", "log"]


class LogEntry(NamedTuple):
    """One commit; times are Unix seconds.

    `agent` is the largest share's among agents, empty where none has credit. `setup` is the fingerprint of the
    instruction files in its tree, empty where they are not known. `corrected` is what put its credit right last, None
    where nothing did. `why` is the reason for the credit, None where nobody asked for it.
    """

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
    setup: str
    corrected: CreditFact | None
    why: Why | None


def log(
    facts: Facts,
    commits: Iterable[Commit],
    *,
    limit: int | None,
    correction: Callable[[bytes], CreditFact | None] = lambda _: None,
    why: Callable[[Commit], Why | None] = lambda _: None,
) -> list[LogEntry]:
    """Return the counted ones among commits, in their order.

    Args:
        facts: The snapshot that they are of.
        commits: A project's, an agent's, or all, newest first; no more of them are read than are shown.
        limit: At most so many; None for all.
        correction: What put the credit of a commit (its oid) right last, None where nothing did.
        why: The reason for a commit's credit.
    """
    paths = {fact.id: fact.path for fact in facts.projects()}
    timeline = facts.timeline()
    setups: dict[int, str] = {}
    entries = []
    for commit in islice((each for each in commits if each.status == COUNTED), limit):
        if commit.marks not in setups:
            setups[commit.marks] = setup_of(facts.marks(commit.marks)).fingerprint
        micro = sum(timeline.commit_micro(share, commit.earned_at) for who, share in commit.credits if is_agent(who))
        entries.append(
            LogEntry(
                commit.oid,
                *_claim(commit.credits),
                paths[commit.project],
                commit.subject,
                commit.operation,
                micro,
                commit.committed_at,
                commit.recorded_at,
                setups[commit.marks],
                correction(commit.oid),
                why(commit),
            )
        )
    return entries


def _claim(credits: Credits) -> tuple[str, str, Credits]:
    """Return the agent, the claim, and the credits to show: none where no agent has a share."""
    agent = next((name for name, _ in credits if is_agent(name)), "")
    if agent:
        return agent, "agent", credits
    return "", HUMAN if credits[0][0] == HUMAN else "unclaimed", ()
