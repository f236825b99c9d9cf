"""Work that was thrown away: commits to which no branch, tag, worktree or stash has led for a month.

Owns what counts as given up; a copy is at once, where something leads to what it was made of. Never writes: whoever
calls records what was found.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.git import find_missing, list_commits
from agent_tracker.records import ABANDONED, COUNTED, LossFact

if TYPE_CHECKING:
    from agent_tracker.records import Commit
    from agent_tracker.tables import Snapshot

__all__ = ["Losses", "find_losses"]

GIVEN_UP_AFTER_S = 30 * 24 * 3600
LOOK_BACK_S = 180 * 24 * 3600
"""Older work is not looked at any more: it was kept for half a year."""
MAX_COMMITS = 2000


class Losses(NamedTuple):
    """What became of commits: facts, and since when nothing leads to one (Unix seconds; None: something does again)."""

    facts: list[LossFact]
    since: dict[bytes, int | None]


def find_losses(snapshot: Snapshot, common_dir: str, project: str, *, now_ns: int) -> Losses:
    """Return which of a project's commits have been lost for long enough, which for a while, and which came back.

    Args:
        snapshot: What is known.
        common_dir: The repository.
        project: Its UUID; a clone's commits may well not be here.
        now_ns: Unix nanoseconds.

    Raises:
        GitError: Git cannot be run.
    """
    now = now_ns // 10**9
    commits = _watched(snapshot, project, now - LOOK_BACK_S)
    if not commits:
        return Losses([], {})
    lost = _unreachable(common_dir, list(commits))
    facts: list[LossFact] = []
    since: dict[bytes, int | None] = {}
    for oid in commits.keys() - lost:
        if commits[oid].status == ABANDONED:
            facts.append(LossFact(oid, is_lost=False, recorded_ns=now_ns))
        if snapshot.lost_since(oid) is not None:
            since[oid] = None
    origins = {oid: _origins(snapshot, oid) for oid in commits.keys() & lost if commits[oid].status == COUNTED}
    gone = lost | _unreachable(common_dir, list({origin for found in origins.values() for origin in found} - lost))
    for oid, found in origins.items():
        seen_at = snapshot.lost_since(oid)
        # Work that is in what it was made of as well is not thrown away: it is there.
        is_elsewhere = not gone.issuperset(found)
        if is_elsewhere or (seen_at is not None and now - seen_at >= GIVEN_UP_AFTER_S):
            facts += [LossFact(origin, is_lost=True, recorded_ns=now_ns) for origin in found if origin in gone]
        elif seen_at is None:
            since[oid] = now
    return Losses(facts, since)


def _watched(snapshot: Snapshot, project: str, since: int) -> dict[bytes, Commit]:
    numbers = [number for number, fact in snapshot.numbered_projects().items() if fact.id == project]
    recent = islice(snapshot.commits(numbers), MAX_COMMITS)
    return {c.oid: c for c in recent if c.status in {COUNTED, ABANDONED} and c.recorded_at >= since}


def _unreachable(common_dir: str, oids: list[bytes]) -> set[bytes]:
    """Return those of the commits that git does not have, or to which no ref and no worktree's HEAD leads."""
    if not oids:
        return set()
    missing = find_missing(common_dir, oids)
    there = [oid for oid in oids if oid not in missing]
    return missing | (
        list_commits(common_dir, there, options=["--not", "--all"], limit=10 * MAX_COMMITS).keys() & there
    )


def _origins(snapshot: Snapshot, oid: bytes) -> list[bytes]:
    """Return a commit and what it was made of, at any remove."""
    found: dict[bytes, None] = {oid: None}
    pending = [oid]
    while pending:
        for source in snapshot.sources(pending.pop()):
            if source not in found:
                found[source] = None
                pending.append(source)
    return list(found)
