"""The verb scan: one repository's history after the other, and what all of them amount to.

Owns which repositories are meant, and going on where one fails. Never prints.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.census import FoundAgent
from agent_tracker.context import open_store
from agent_tracker.errors import AgentTrackerError
from agent_tracker.repository import known_repository
from agent_tracker.scan import Scanned, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent_tracker.context import Context
    from agent_tracker.repository import Repository

__all__ = ["Outcome", "added_up", "is_scanned", "scan_each"]


class Outcome(NamedTuple):
    """What came of one repository: what was found there, or why nothing was, and how long it took."""

    path: str
    scanned: Scanned | None
    trouble: AgentTrackerError | None
    seconds: float


def scan_each(
    repositories: Iterable[Repository | str],
    context: Context,
    *,
    since: int,
    dry_run: bool,
    progress: Callable[[str, int, int], None],
) -> Iterator[Outcome]:
    """Scan repositories; one that fails does not stop the rest.

    Args:
        repositories: Or their paths; a bare one counts.
        context: Paths, environment, time.
        since: Unix seconds; older commits are left out. 0 for all.
        dry_run: Change nothing.
        progress: Is told what is being done, how much of it is done, and of how much.
    """
    for each in repositories:
        began = time.monotonic()
        path = each if isinstance(each, str) else each.main_path
        try:
            repository = known_repository(each) if isinstance(each, str) else each
            found = scan(repository, context, since=since, dry_run=dry_run, progress=progress)
        except AgentTrackerError as error:
            yield Outcome(path, None, error, time.monotonic() - began)
        else:
            yield Outcome(found.path, found, None, time.monotonic() - began)


def is_scanned(repository: Repository, context: Context) -> bool:
    """Tell whether a repository's history was ever read.

    Raises:
        StoreError: The store cannot be read.
    """
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        return snapshot is not None and snapshot.scan_position(os.fsencode(repository.common_dir)) is not None


def added_up(scans: Iterable[Scanned]) -> list[FoundAgent]:
    """Return what several repositories' agents amount to, those with most commits first, nobody last."""
    sums: dict[str, FoundAgent] = {}
    for each in (agent for scanned in scans for agent in scanned.agents):
        known = sums.get(each.id)
        sums[each.id] = _sum(known, each) if known else each
    return sorted(sums.values(), key=lambda each: (not each.id, -each.commits, each.id))


def _sum(one: FoundAgent, other: FoundAgent) -> FoundAgent:
    sources = dict(one.sources)
    for source, count in other.sources:
        sources[source] = sources.get(source, 0) + count
    return FoundAgent(
        one.id,
        one.name,
        one.model,
        one.commits + other.commits,
        one.share + other.share,
        one.fixes + other.fixes,
        one.reverted + other.reverted,
        min(one.first_at, other.first_at),
        max(one.last_at, other.last_at),
        tuple(sorted(sources.items(), key=lambda item: (-item[1], item[0]))),
    )
