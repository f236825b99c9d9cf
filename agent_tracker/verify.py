"""Derive everything anew from the facts and compare it with what the store holds.

Owns the check, not the repair. Never writes. Checksums are checked by reading every record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import packing
from agent_tracker.apply import (
    corrected_credits,
    is_lost,
    made_at,
    own_credits,
    registered_agent,
    sighting_of,
    undone_facts,
)
from agent_tracker.credit import Node, replay
from agent_tracker.errors import RecordError, StoreError
from agent_tracker.records import (
    COUNTED,
    MICRO,
    Agent,
    AgentFact,
    Commit,
    CommitState,
    Credits,
    RewriteFact,
    Standing,
    UndoneFact,
)
from agent_tracker.registration import Roster
from agent_tracker.tables import TABLES, Snapshot, marks_key, time_key
from agent_tracker.xp import earned_micro, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["VerifyReport", "verify"]

MAX_PROBLEMS = 100


class VerifyReport(NamedTuple):
    """How much was checked, and what is wrong: one line each, at most a hundred; none means all is well."""

    records: int
    commits: int
    agents: int
    problems: tuple[str, ...]


def verify(snapshot: Snapshot) -> VerifyReport:
    """Check every record's checksum, and all derived state against the fold over all facts."""
    try:
        records = sum(1 for name in TABLES for _ in snapshot.table(name).items())
        check = _Check(snapshot)
        problems = list(_first(check.problems()))
    except (StoreError, RecordError) as error:
        return VerifyReport(0, 0, 0, (error.message,))
    return VerifyReport(records, len(check.commits), len(check.agents), tuple(problems))


def _first(problems: Iterable[str]) -> Iterator[str]:
    for count, problem in enumerate(problems):
        if count == MAX_PROBLEMS:
            yield "... and more"
            return
        yield problem


class _Check:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        events = [packing.unpack_event(key, value) for key, value in snapshot.table("events").items()]
        self.agents = {e.id: registered_agent(snapshot, e) for e in events if isinstance(e, AgentFact)}
        self._roster = Roster(self.agents.values())
        self._rewrites = [event for event in events if isinstance(event, RewriteFact)]
        self.commits = {commit.oid: (sequence, commit) for sequence, commit in _commits(snapshot)}
        self._states = self._derive()

    def problems(self) -> Iterator[str]:
        """Yield what is wrong."""
        yield from self._wrong_states()
        yield from self._wrong_indexes()
        yield from self._wrong_standings()

    def _derive(self) -> dict[bytes, CommitState]:
        """Return what follows for every commit from all facts, component by component."""
        linked = _components(self._rewrites, self.commits)
        states: dict[bytes, CommitState] = {}
        for members, rewrites in linked:
            nodes = {oid: self._node(self.commits[oid][1]) for oid in members}
            states |= replay(nodes, rewrites, self._undone(members), self._lost(members))
        for oid, (_, commit) in self.commits.items():
            if oid not in states:
                states |= replay({oid: self._node(commit)}, (), self._undone({oid}), self._lost({oid}))
        return states

    def _undone(self, members: set[bytes]) -> list[UndoneFact]:
        return [fact for oid in members for fact in undone_facts(self._snapshot, oid)]

    def _lost(self, members: set[bytes]) -> set[bytes]:
        return {oid for oid in members if is_lost(self._snapshot, oid)}

    def _node(self, commit: Commit) -> Node:
        sighting = sighting_of(self._snapshot, commit.oid)
        marks = sighting.marks if sighting else self._snapshot.marks(commit.marks)
        own = own_credits(marks, self._roster, made_at(commit))
        return Node(commit.operation, own.credits, corrected_credits(self._snapshot, commit.oid, self._roster))

    def _wrong_states(self) -> Iterator[str]:
        for oid, (_, commit) in self.commits.items():
            expected = self._states[oid]
            if (commit.status, commit.credits) != expected:
                stored = _words(commit.status, commit.credits)
                yield f"commit {oid.hex()}: stored as {stored}, the facts say {_words(*expected)}"
            if sum(share for _, share in commit.credits) != MICRO:
                yield f"commit {oid.hex()}: its shares do not add to 1"
        known = self._snapshot.table("commits.oid").count()
        if known != len(self.commits):
            yield f"{known} commits have a derived state, {len(self.commits)} a fact"

    def _wrong_indexes(self) -> Iterator[str]:
        projects = {fact.id: number for number, fact in self._snapshot.numbered_projects().items()}
        expected = {
            time_key(projects[commit.project], commit.committed_at, sequence)
            for sequence, commit in self.commits.values()
        }
        wrong = expected.symmetric_difference(self._snapshot.table("commits.project").keys())
        if wrong:
            yield f"commits.project: {len(wrong)} entries are missing or do not belong there"
        numbers = {marks_key(blob): key for key, blob in self._snapshot.table("marks").items()}
        if numbers != dict(self._snapshot.table("marks.number").items()):
            yield "marks.number does not match the marks"
        pairs = {rewrite.new + rewrite.old for rewrite in self._rewrites}
        if pairs != set(self._snapshot.table("events.rewrite").keys()):
            yield "events.rewrite does not match the rewrites"

    def _wrong_standings(self) -> Iterator[str]:
        earned: dict[str, tuple[int, int]] = {}
        for state in self._states.values():
            if state.status == COUNTED:
                for agent, share in state.credits:
                    commits, micro = earned.get(agent, (0, 0))
                    earned[agent] = (commits + 1, micro + earned_micro(share))
        stored = {agent.id: agent for agent in self._snapshot.agents()}
        for agent_id in sorted(stored.keys() | self.agents.keys()):
            commits, micro = earned.get(agent_id, (0, 0))
            yield from _wrong_agent(agent_id, stored.get(agent_id), self.agents.get(agent_id), standing(micro, commits))


def _wrong_agent(agent_id: str, stored: Agent | None, expected: Agent | None, earned: Standing) -> Iterator[str]:
    if stored is None or expected is None:
        missing = "a standing without a registration" if stored else "registered but without a standing"
        yield f"agent {agent_id}: {missing}"
        return
    if stored._replace(standing=earned, updated_at=0) != expected._replace(standing=earned, updated_at=0):
        yield f"agent {agent_id}: stored differently from its registration"
    if stored.standing != earned:
        yield f"agent {agent_id}: standing {tuple(stored.standing)}, the facts say {tuple(earned)}"


def _commits(snapshot: Snapshot) -> Iterator[tuple[int, Commit]]:
    for key, value in snapshot.table("commits").items():
        oid = packing.unpack_commit(value)[0]
        commit = snapshot.commit(oid)
        if commit is None:
            raise StoreError(f"commit {oid.hex()} has no derived state", "agent-tracker verify")
        yield int.from_bytes(key, "big"), commit


def _components(rewrites: list[RewriteFact], known: Iterable[bytes]) -> Iterator[tuple[set[bytes], list[RewriteFact]]]:
    """Yield the known commits that rewrites connect, and those rewrites."""
    leader: dict[bytes, bytes] = {}

    def find(oid: bytes) -> bytes:
        while leader.setdefault(oid, oid) != oid:
            leader[oid] = leader[leader[oid]]
            oid = leader[oid]
        return oid

    for rewrite in rewrites:
        leader[find(rewrite.old)] = find(rewrite.new)
    members: dict[bytes, set[bytes]] = {}
    for oid in known:
        if oid in leader:
            members.setdefault(find(oid), set()).add(oid)
    edges: dict[bytes, list[RewriteFact]] = {}
    for rewrite in rewrites:
        edges.setdefault(find(rewrite.old), []).append(rewrite)
    for head, oids in members.items():
        yield oids, edges[head]


def _words(status: str, credits: Credits) -> str:
    who = ", ".join(f"{agent or 'unclaimed'} {share / MICRO:g}" for agent, share in credits)
    return f"{status} ({who})"
