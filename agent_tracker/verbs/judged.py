"""What was said of each commit, as a snapshot has it.

Owns reading it. Never prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker import journal_tables
from agent_tracker.journal import BugFact
from agent_tracker.verbs.noting import home_of
from agent_tracker.views.judged import Judgement, judgements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.tables import Snapshot

__all__ = ["read_judgements"]


def read_judgements(snapshot: Snapshot) -> Mapping[bytes, Judgement]:
    """Return what was said of each commit of which something was, by the oid in which its work lives now.

    Raises:
        StoreError: A record is damaged.
    """
    placed = journal_tables.placed_bugs(snapshot)
    bugs = [
        home_of(snapshot, fact.oid)
        for fact in journal_tables.facts(snapshot, BugFact)
        if fact.oid and journal_tables.bug_key(fact) in placed
    ]
    return judgements(journal_tables.graded_commits(snapshot), bugs, snapshot.timeline())
