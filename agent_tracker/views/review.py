"""Which of the agents' commits the user has not graded yet, newest first.

Owns that choice. Pure over `Facts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.records import COUNTED, main_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.records import Commit
    from agent_tracker.views.base import Facts

__all__ = ["MAX_LOOKED", "Ungraded", "reverts_of", "ungraded"]

MAX_LOOKED = 10_000
"""How many commits are looked at where no time is given: they are read in a seventh of a second."""
MAX_REVERTS = 1000
MAX_CANDIDATES = 20
REVERT = 'Revert "'


class Ungraded(NamedTuple):
    """What was found. `reverts` are the reverting commits met, newest first; `is_cut`: there are older ones."""

    commits: tuple[Commit, ...]
    reverts: tuple[Commit, ...]
    is_cut: bool


def ungraded(  # noqa: PLR0913 -- one argument a condition
    facts: Facts,
    is_graded: Callable[[bytes], bool],
    *,
    projects: Iterable[int],
    since: int | None,
    agent: str,
    limit: int | None,
) -> Ungraded:
    """Return the counted commits of agents that are not graded.

    Args:
        facts: The snapshot.
        is_graded: Tells of a counted commit whether the user graded its work.
        projects: The numbers of the projects.
        since: Only what was committed later (Unix seconds); None for the newest MAX_LOOKED commits.
        agent: Only those in which this agent has the largest share; empty for every agent's.
        limit: At most so many; None for all.
    """
    found: list[Commit] = []
    reverts: list[Commit] = []
    for looked, commit in enumerate(facts.commits(projects)):
        if since is not None and commit.committed_at <= since:
            break
        if (since is None and looked >= MAX_LOOKED) or len(found) == limit:
            return Ungraded(tuple(found), tuple(reverts), is_cut=True)
        if commit.status != COUNTED:
            continue
        if (commit.operation == "revert" or commit.subject.startswith(REVERT)) and len(reverts) < MAX_REVERTS:
            reverts.append(commit)
        maker = main_agent(commit.credits)
        if maker and agent in {"", maker} and not is_graded(commit.oid):
            found.append(commit)
    return Ungraded(tuple(found), tuple(reverts), is_cut=False)


def reverts_of(commit: Commit, reverts: Iterable[Commit]) -> tuple[bytes, ...]:
    """Return the commits that may have reverted one, by their subjects; what git has of their messages says more."""
    whole = f"{REVERT}{commit.subject}"
    found = (
        other.oid
        for other in reverts
        if other.oid != commit.oid
        and (other.subject.startswith(whole) or (other.operation == "revert" and not other.subject.startswith(REVERT)))
    )
    return tuple(oid for oid, _ in zip(found, range(MAX_CANDIDATES), strict=False))
