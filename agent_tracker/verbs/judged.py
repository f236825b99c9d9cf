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

__all__ = ["buggy_commits", "read_judgements"]


def buggy_commits(snapshot: Snapshot) -> list[bytes]:
    """Return the commit in which the work lives now, once for each bug in force that was reported in a commit.

    Raises:
        StoreError: A record is damaged.
    """
    placed = journal_tables.placed_bugs(snapshot)
    return [
        home_of(snapshot, fact.oid)
        for fact in (journal_tables.facts(snapshot, BugFact) if placed else ())
        if fact.oid and journal_tables.bug_key(fact) in placed
    ]


def read_judgements(snapshot: Snapshot) -> Mapping[bytes, Judgement]:
    """Return what was said of each commit of which something was, by the oid in which its work lives now.

    Raises:
        StoreError: A record is damaged.
    """
    return judgements(journal_tables.graded_commits(snapshot), buggy_commits(snapshot), snapshot.timeline())
