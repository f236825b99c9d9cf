"""All that some agents earned, and when, from what is derived already.

Owns reading it together, for a ledger that has to be drawn up anew because something came in that happened before.
Never writes, and never decides what earns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker import journal_tables
from agent_tracker.journal import PulseFact, PushFact, SessionFact
from agent_tracker.records import COUNTED, MICRO
from agent_tracker.registration import holder
from agent_tracker.xp import pulse_micro

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agent_tracker.tables import Snapshot

__all__ = ["earnings"]

NS = 10**9


def earnings(snapshot: Snapshot, agents: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Return what each of the agents earned: (Unix nanoseconds, millionths), in no order.

    Raises:
        StoreError: A record is damaged.
    """
    found: dict[str, list[tuple[int, int]]] = {agent: [] for agent in agents}
    for agent, at_ns, micro in (*_by_commits(snapshot, found), *_by_the_journal(snapshot, found)):
        if micro:
            found[agent].append((at_ns, micro))
    return found


def _by_commits(snapshot: Snapshot, agents: Collection[str]) -> Iterator[tuple[str, int, int]]:
    timeline = snapshot.timeline()
    for commit in snapshot.commits():
        if commit.status == COUNTED:
            for agent, share in commit.credits:
                if agent in agents:
                    yield agent, commit.earned_at * NS, timeline.commit_micro(share, commit.earned_at)


def _by_the_journal(snapshot: Snapshot, agents: Collection[str]) -> Iterator[tuple[str, int, int]]:
    timeline = snapshot.timeline()
    names = {number: agent_id for agent_id, (_, number) in snapshot.numbered_agents().items() if agent_id in agents}
    for _, graded in journal_tables.graded_commits(snapshot):
        if graded.place.agent in names:
            at_ns = min(given.recorded_ns for given in graded.grades)
            yield names[graded.place.agent], at_ns, timeline.at(at_ns)["gradedCommitXp"] * MICRO
    for push in journal_tables.facts(snapshot, PushFact):
        owner = journal_tables.push_owner(snapshot, push.oid)
        if owner in names:
            yield names[owner], push.recorded_ns, timeline.at(push.recorded_ns)["pushXp"] * MICRO
    for session in journal_tables.facts(snapshot, SessionFact):
        turns = journal_tables.turns(snapshot, session.id)
        if any(agent in agents for _, agent in turns):
            for pulse in journal_tables.facts_about(snapshot, PulseFact, b"", session.id):
                agent = holder(turns, pulse.recorded_ns)
                if agent in agents:
                    yield agent, pulse.recorded_ns, pulse_micro(pulse, timeline)
