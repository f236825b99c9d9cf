"""What of some facts a store does not have yet.

Owns that question, for what comes from elsewhere: another store's export, another program's database. Never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.journal import JournalFact
from agent_tracker.journal_codec import kind_of
from agent_tracker.packing import event_key
from agent_tracker.records import CommitFact, Fact, ProjectFact, SightingFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.tables import Snapshot

__all__ = ["find_new"]

HOOK, FOUND = ("hook", "1"), ("found", "1")


def find_new(snapshot: Snapshot, facts: Iterable[Fact], *, is_archive: bool = False) -> Iterator[Fact]:
    """Yield the facts that the store does not have, each once, and what they say of commits that it has."""
    projects = {project.id: project for project in snapshot.projects()}
    met: set[str | bytes] = set()
    for fact in facts:
        key, is_known = _place(snapshot, projects, fact, is_archive=is_archive)
        if key in met:
            continue
        met.add(key)
        if not is_known:
            yield fact
        elif isinstance(fact, CommitFact) and (late := _late_word(snapshot, fact)):
            yield late


def _place(
    snapshot: Snapshot, projects: dict[str, ProjectFact], fact: Fact, *, is_archive: bool
) -> tuple[str | bytes, bool]:
    """Return what tells a fact from every other, and whether the store has it."""
    if isinstance(fact, CommitFact):
        return fact.oid, snapshot.has_commit(fact.oid)
    if isinstance(fact, ProjectFact):
        known = projects.get(fact.id)
        return fact.id, known is not None and (bool(known.root) or not fact.root)
    key = event_key(fact)
    table = kind_of(fact).table if isinstance(fact, JournalFact) else "events"
    is_gone = not is_archive and "archived" in snapshot.names and snapshot.table("archived").has(key)
    return key, is_gone or snapshot.table(table).has(key)


def _late_word(snapshot: Snapshot, fact: CommitFact) -> SightingFact | None:
    """Return a hook's word on a commit that is known here from a reflog alone, as a flush takes down a late one.

    Without it, whose the commit is would depend on which of two stores was there first.
    """
    known = snapshot.commit(fact.oid) if HOOK in fact.marks else None
    marks = snapshot.marks(known.marks) if known else ()
    if known is None or HOOK in marks or FOUND not in marks:
        return None
    late = SightingFact(fact.oid, fact.marks, fact.recorded_at)
    return None if snapshot.table("events").has(event_key(late)) else late
