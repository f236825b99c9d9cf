"""The journal's entries as a snapshot has them: retrospectives with their scores, and activities.

Owns reading them together. Never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker import journal_tables
from agent_tracker.journal import ActivityFact, ForgetFact, RetroFact
from agent_tracker.journal_codec import subject_of
from agent_tracker.stored_facts import home_of
from agent_tracker.views import journal as view
from agent_tracker.views.journal import ActivityEntry, Chosen, Grading, RetroEntry, Scores

if TYPE_CHECKING:
    from agent_tracker.tables import Snapshot

__all__ = ["activities", "retros"]

NS = 10**9


def retros(snapshot: Snapshot | None, chosen: Chosen) -> list[RetroEntry]:
    """Return the retrospectives that are chosen, newest first."""
    if snapshot is None:
        return []
    scores: dict[str, Scores] = {}

    def grading(fact: RetroFact) -> Grading:
        return _grading(snapshot, fact, scores)

    return view.retros(list(journal_tables.facts(snapshot, RetroFact)), _forgotten(snapshot), grading, chosen)


def _grading(snapshot: Snapshot, fact: RetroFact, scores: dict[str, Scores]) -> Grading:
    home = home_of(snapshot, fact.oid) if fact.oid else b""
    graded = journal_tables.graded(snapshot, subject_of(home, fact.session))
    agent = snapshot.agent_id(graded.place.agent) if graded else fact.agent
    if agent not in scores:
        known = snapshot.numbered_agents().get(agent)
        created_ns = known[0].created_at * NS if known else fact.recorded_ns
        grades = journal_tables.career_grades(snapshot, known[1]) if known else ()
        scores[agent] = Scores(created_ns, grades, snapshot.timeline())
    return Grading(home, *scores[agent].around(graded, fact.recorded_ns))


def activities(snapshot: Snapshot | None, chosen: Chosen) -> list[ActivityEntry]:
    """Return the activities that are chosen, newest first."""
    if snapshot is None:
        return []
    return view.activities(list(journal_tables.facts(snapshot, ActivityFact)), _forgotten(snapshot), chosen)


def _forgotten(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(fact.target for fact in journal_tables.facts(snapshot, ForgetFact))
