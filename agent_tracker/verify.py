"""Derive everything anew from the facts and compare it with what the store holds.

Owns the check, not the repair. Never writes. Checksums are checked by reading every record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.derivation import derive
from agent_tracker.derived import Ledger
from agent_tracker.errors import RecordError, StoreError
from agent_tracker.journal import PushFact
from agent_tracker.records import MICRO, Agent, Credits, Standing
from agent_tracker.tables import TABLES, Snapshot, marks_key, time_key
from agent_tracker.xp import NEW_STANDING

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
    return VerifyReport(records, len(check.found.commits), len(check.found.agents), tuple(problems))


def _first(problems: Iterable[str]) -> Iterator[str]:
    for count, problem in enumerate(problems):
        if count == MAX_PROBLEMS:
            yield "... and more"
            return
        yield problem


class _Check:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.found = derive(snapshot)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong."""
        yield from self._wrong_states()
        yield from self._wrong_indexes()
        yield from self._wrong_standings()
        yield from self._wrong_journal()

    def _wrong_states(self) -> Iterator[str]:
        for oid, (_, commit) in self.found.commits.items():
            expected = self.found.states[oid]
            if (commit.status, commit.credits) != expected:
                stored = _words(commit.status, commit.credits)
                yield f"commit {oid.hex()}: stored as {stored}, the facts say {_words(*expected)}"
            elif commit.earned_at != self.found.earned_at[oid]:
                yield f"commit {oid.hex()}: stored as earned at {commit.earned_at}, the facts say otherwise"
            if sum(share for _, share in commit.credits) != MICRO:
                yield f"commit {oid.hex()}: its shares do not add to 1"
        known = self._snapshot.table("commits.oid").count()
        if known != len(self.found.commits):
            yield f"{known} commits have a derived state, {len(self.found.commits)} a fact"

    def _wrong_indexes(self) -> Iterator[str]:
        projects = {fact.id: number for number, fact in self._snapshot.numbered_projects().items()}
        expected = {
            time_key(projects[commit.project], commit.committed_at, sequence)
            for sequence, commit in self.found.commits.values()
        }
        wrong = expected.symmetric_difference(self._snapshot.table("commits.project").keys())
        if wrong:
            yield f"commits.project: {len(wrong)} entries are missing or do not belong there"
        numbers = {marks_key(blob): key for key, blob in self._snapshot.table("marks").items()}
        if numbers != dict(self._snapshot.table("marks.number").items()):
            yield "marks.number does not match the marks"
        pairs = {rewrite.new + rewrite.old for rewrite in self.found.rewrites}
        if pairs != set(self._snapshot.table("events.rewrite").keys()):
            yield "events.rewrite does not match the rewrites"

    def _wrong_standings(self) -> Iterator[str]:
        stored = {agent.id: agent for agent in self._snapshot.agents()}
        for agent_id in sorted(stored.keys() | self.found.agents.keys()):
            earned = self.found.standings.get(agent_id, NEW_STANDING)
            yield from _wrong_agent(agent_id, stored.get(agent_id), self.found.agents.get(agent_id), earned)

    def _wrong_journal(self) -> Iterator[str]:
        """Yield what is wrong with what follows from grades, bugs, pushes and sessions."""
        snapshot, found = self._snapshot, self.found
        kept = {number: ledger._replace(last_ns=0) for number, ledger in journal_tables.ledgers(snapshot).items()}
        expected = {number: ledger._replace(last_ns=0) for number, ledger in found.ledgers.items()}
        pushes = {fact.oid for fact in journal_tables.facts(snapshot, PushFact)}
        owners = {oid: journal_tables.push_owner(snapshot, oid) for oid in pushes}
        pairs: tuple[tuple[str, object, object], ...] = (
            ("tallies", journal_tables.tallies(snapshot), found.tallies),
            ("ledgers", {n: kept.get(n, Ledger()) for n in expected} | kept, expected),
            ("grades", dict(journal_tables.graded_subjects(snapshot)), found.graded),
            ("bugs", journal_tables.placed_bugs(snapshot), found.bugs),
            ("pushes", {oid: owner for oid, owner in owners.items() if owner}, found.pushes),
            ("sessions", journal_tables.session_states(snapshot), found.sessions),
            (
                "open sessions",
                {journal_tables.session_key(fact.id) for fact, _ in journal_tables.open_sessions(snapshot)},
                {key for key, state in found.sessions.items() if not state.ended_ns},
            ),
        )
        for what, stored, follows in pairs:
            if stored != follows:
                yield f"{what}: what is stored does not follow from the facts"
        grades: dict[int, list[tuple[int, str]]] = {number: [] for number in found.ledgers}
        bugs: dict[int, list[int]] = {number: [] for number in found.ledgers}
        for graded in found.graded.values():
            grades[graded.place.agent] += [(given.recorded_ns, given.grade) for given in graded.grades]
        for bug in found.bugs.values():
            bugs[bug.place.agent].append(bug.recorded_ns)
        for number in found.ledgers:
            careers = (journal_tables.career_grades(snapshot, number), journal_tables.career_bugs(snapshot, number))
            if (sorted(careers[0]), sorted(careers[1])) != (sorted(grades[number]), sorted(bugs[number])):
                yield "the indexes of grades and bugs by agent do not match them"
                return


def _wrong_agent(agent_id: str, stored: Agent | None, expected: Agent | None, earned: Standing) -> Iterator[str]:
    if stored is None or expected is None:
        missing = "a standing without a registration" if stored else "registered but without a standing"
        yield f"agent {agent_id}: {missing}"
        return
    if stored._replace(standing=earned, updated_at=0) != expected._replace(standing=earned, updated_at=0):
        yield f"agent {agent_id}: stored differently from its registration"
    if stored.standing != earned:
        yield f"agent {agent_id}: standing {tuple(stored.standing)}, the facts say {tuple(earned)}"


def _words(status: str, credits: Credits) -> str:
    who = ", ".join(f"{agent or 'unclaimed'} {share / MICRO:g}" for agent, share in credits)
    return f"{status} ({who})"
