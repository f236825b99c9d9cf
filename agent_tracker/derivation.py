"""Everything that follows from the facts, derived anew.

Owns the whole fold, which `verify` compares with what the store holds and `rederive` puts in its place. What a flush
keeps up to date piece by piece must come out the same here, where all facts lie side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_codec, journal_tables, packing
from agent_tracker.credit import Node, Replayed, replay
from agent_tracker.derived import EVERYBODY, Graded, Ledger, Place, SessionState, Tally
from agent_tracker.errors import StoreError
from agent_tracker.journal import BugFact, GradeFact, PulseFact, PushFact, SessionFact, WithdrawalFact
from agent_tracker.journal_apply import session_of
from agent_tracker.journal_tables import BugPlace
from agent_tracker.records import (
    COUNTED,
    MICRO,
    Agent,
    AgentFact,
    Commit,
    CommitState,
    RewriteFact,
    Standing,
    is_agent,
    main_agent,
)
from agent_tracker.registration import Roster
from agent_tracker.stored_facts import (
    corrected_credits,
    is_lost,
    made_at,
    own_credits,
    registered_agent,
    sighting_of,
    undone_facts,
)
from agent_tracker.tables import MAX_TIME, Snapshot
from agent_tracker.xp import Career, boundaries, grades_in_force, ledger_of, pulse_micro, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.rules import Timeline
    from agent_tracker.tables import Writer

__all__ = ["Derivation", "derive", "rederive"]

NS = 10**9


class Derivation(NamedTuple):
    """All that follows from the facts.

    `agents` carry a new agent's standing, `standings` the one they earned; both by id. `commits` are as they are
    stored, each with its number; `states` and `earned_at` are what follows for them, by oid. `graded` are by subject,
    `bugs` by their key, `pushes` (to whom they are put down) by oid, `sessions` by their key.
    """

    agents: dict[str, Agent]
    standings: dict[str, Standing]
    ledgers: dict[int, Ledger]
    tallies: dict[Place, Tally]
    commits: dict[bytes, tuple[int, Commit]]
    rewrites: list[RewriteFact]
    states: dict[bytes, CommitState]
    earned_at: dict[bytes, int]
    graded: dict[bytes, Graded]
    bugs: dict[bytes, BugPlace]
    pushes: dict[bytes, int]
    sessions: dict[bytes, SessionState]


def derive(snapshot: Snapshot, timeline: Timeline | None = None) -> Derivation:
    """Return everything that follows from a store's facts.

    Args:
        snapshot: The store.
        timeline: The rules, where others are asked about than the store's.

    Raises:
        StoreError: A record is damaged, or one that is referred to is missing.
        RecordError: A record is of a newer format.
    """
    return _Fold(snapshot, timeline or snapshot.timeline()).run()


class _Fold:
    def __init__(self, snapshot: Snapshot, timeline: Timeline) -> None:
        self._snapshot = snapshot
        self._timeline = timeline
        keep = (AgentFact, RewriteFact)
        rows = (packing.unpack_event(key, value) for key, value in snapshot.table("events").items())
        events = [event for event in rows if isinstance(event, keep)]
        self._agents = {e.id: registered_agent(snapshot, e) for e in events if isinstance(e, AgentFact)}
        self._rewrites = [event for event in events if isinstance(event, RewriteFact)]
        sessions = {fact.id: fact.agent for fact in journal_tables.facts(snapshot, SessionFact)}
        self._roster = Roster(self._agents.values(), lambda session: sessions.get(session, ""))
        stored = snapshot.numbered_agents()
        self._numbers = {agent: stored[agent][1] for agent in self._agents if agent in stored}
        self._projects = {fact.id: number for number, fact in snapshot.numbered_projects().items()}
        self._earned: dict[str, list[tuple[int, int]]] = {agent: [] for agent in self._agents}
        self._commits: dict[str, int] = {}
        self._tallies: dict[Place, Tally] = {}

    def run(self) -> Derivation:
        commits = {commit.oid: (sequence, commit) for sequence, commit in _commits(self._snapshot)}
        replayed = self._replay({oid: commit for oid, (_, commit) in commits.items()})
        for oid, (_, commit) in commits.items():
            if replayed.states[oid].status == COUNTED:
                self._count(commit, replayed.states[oid], replayed.earned_at[oid])
        sessions = {fact.id: fact for fact in journal_tables.facts(self._snapshot, SessionFact)}
        states = self._pulse(sessions)
        graded = self._grade({oid: commit for oid, (_, commit) in commits.items()}, replayed, sessions)
        bugs = self._bugs(commits, replayed)
        pushes = self._push(commits, replayed)
        ledgers, standings = self._fold(graded, bugs)
        found = ((place, journal_tables.bounded_tally(tally)) for place, tally in self._tallies.items())
        tallies = {place: tally for place, tally in found if tally != Tally()}
        return Derivation(
            self._agents,
            standings,
            ledgers,
            tallies,
            commits,
            self._rewrites,
            replayed.states,
            replayed.earned_at,
            graded,
            bugs,
            pushes,
            states,
        )

    # -- commits

    def _replay(self, commits: dict[bytes, Commit]) -> Replayed:
        """Return what follows for every commit from all facts, component by component."""
        whole = Replayed({}, {}, {})
        linked = _components(self._rewrites, commits)
        for members, rewrites in linked:
            _join(whole, self._replayed(members, commits, rewrites))
        for oid in commits:
            if oid not in whole.states:
                _join(whole, self._replayed({oid}, commits, []))
        return whole

    def _replayed(self, members: set[bytes], commits: dict[bytes, Commit], rewrites: list[RewriteFact]) -> Replayed:
        undone = [fact for oid in members for fact in undone_facts(self._snapshot, oid)]
        lost = {oid for oid in members if is_lost(self._snapshot, oid)}
        return replay({oid: self._node(commits[oid]) for oid in members}, rewrites, undone, lost)

    def _node(self, commit: Commit) -> Node:
        sighting = sighting_of(self._snapshot, commit.oid)
        marks = sighting.marks if sighting else self._snapshot.marks(commit.marks)
        own = own_credits(marks, self._roster, made_at(commit))
        corrected = corrected_credits(self._snapshot, commit.oid, self._roster)
        return Node(commit.operation, own.credits, corrected, made_at(commit))

    def _count(self, commit: Commit, state: CommitState, earned_at: int) -> None:
        project = self._projects[commit.project]
        last_at = min(max(commit.committed_at, 0), MAX_TIME)
        self._tally(Place(EVERYBODY, project), commits=1, last_at=last_at)
        for agent, share in state.credits:
            micro = 0
            if is_agent(agent):
                micro = self._timeline.commit_micro(share, earned_at)
                self._earned[agent].append((earned_at * NS, micro))
                self._commits[agent] = self._commits.get(agent, 0) + 1
            place = Place(self._snapshot.credit_number(agent), project)
            self._tally(place, commits=1, earned_micro=micro, last_at=last_at)

    def _tally(self, place: Place, **more: int) -> None:
        old = self._tallies.get(place, Tally())
        last_at = max(old.last_at, more.pop("last_at", 0))
        sums = {name: getattr(old, name) + amount for name, amount in more.items()}
        self._tallies[place] = old._replace(**sums, last_at=last_at)

    def _earn(self, place: Place, agent: str, at_ns: int, micro: int) -> None:
        if micro:
            self._earned[agent].append((at_ns, micro))
            self._tally(place, earned_micro=micro)

    # -- the journal

    def _pulse(self, sessions: dict[str, SessionFact]) -> dict[bytes, SessionState]:
        by_session: dict[str, list[PulseFact]] = {}
        for pulse in journal_tables.facts(self._snapshot, PulseFact):
            by_session.setdefault(pulse.session, []).append(pulse)
        for session_id, pulses in by_session.items():
            fact = sessions.get(session_id)
            if fact and fact.agent in self._numbers:
                place = Place(self._numbers[fact.agent], self._projects.get(fact.project, 0))
                for pulse in pulses:
                    self._earn(place, fact.agent, pulse.recorded_ns, pulse_micro(pulse, self._timeline))
        return {
            journal_tables.session_key(name): session_of(fact, by_session.get(name, ()))
            for name, fact in sessions.items()
        }

    def _grade(
        self, commits: dict[bytes, Commit], replayed: Replayed, sessions: dict[str, SessionFact]
    ) -> dict[bytes, Graded]:
        given: dict[bytes, list[GradeFact]] = {}
        owners: dict[bytes, tuple[str, str, int]] = {}
        for fact in journal_tables.facts(self._snapshot, GradeFact):
            if fact.oid in commits:
                home = replayed.homes[fact.oid]
                subject = journal_codec.subject_of(home, "")
                owners[subject] = main_agent(replayed.states[home].credits), commits[home].project, 1
            elif fact.session in sessions:
                session = sessions[fact.session]
                subject = journal_codec.subject_of(b"", fact.session)
                owners[subject] = session.agent, session.project, 0
            else:
                continue
            given.setdefault(subject, []).append(fact)
        graded = {}
        for subject, facts in given.items():
            agent, project, experience = owners[subject]
            if agent in self._numbers:
                place = Place(self._numbers[agent], self._projects.get(project, 0))
                graded[subject] = Graded(place, grades_in_force(facts))
                at_ns = min(each.recorded_ns for each in graded[subject].grades)
                micro = self._timeline.at(at_ns)["gradedCommitXp"] * MICRO * experience
                self._earn(place, agent, at_ns, micro)
                self._tally(place, grades=len(graded[subject].grades))
        return graded

    def _bugs(self, commits: dict[bytes, tuple[int, Commit]], replayed: Replayed) -> dict[bytes, BugPlace]:
        withdrawn = {fact.id for fact in journal_tables.facts(self._snapshot, WithdrawalFact)}
        placed: dict[bytes, BugPlace] = {}
        for fact in journal_tables.facts(self._snapshot, BugFact):
            agent, project = fact.agent, fact.project
            if fact.oid in commits:
                agent = main_agent(replayed.states[replayed.homes[fact.oid]].credits)
                project = commits[fact.oid][1].project
            if agent in self._numbers and fact.id not in withdrawn:
                place = Place(self._numbers[agent], self._projects.get(project, 0))
                placed[journal_tables.bug_key(fact)] = BugPlace(place, fact.recorded_ns)
                self._tally(place, bugs=1)
        return placed

    def _push(self, commits: dict[bytes, tuple[int, Commit]], replayed: Replayed) -> dict[bytes, int]:
        owners = {}
        for fact in journal_tables.facts(self._snapshot, PushFact):
            agent = main_agent(replayed.states[fact.oid].credits) if fact.oid in commits else ""
            if agent in self._numbers:
                owners[fact.oid] = self._numbers[agent]
                place = Place(self._numbers[agent], self._projects[commits[fact.oid][1].project])
                micro = self._timeline.at(fact.recorded_ns)["pushXp"] * MICRO
                self._earn(place, agent, fact.recorded_ns, micro)
        return owners

    # -- standings

    def _fold(
        self, graded: dict[bytes, Graded], bugs: dict[bytes, BugPlace]
    ) -> tuple[dict[int, Ledger], dict[str, Standing]]:
        grades: dict[int, list[tuple[int, str]]] = {}
        for each in graded.values():
            grades.setdefault(each.place.agent, []).extend((given.recorded_ns, given.grade) for given in each.grades)
        reported: dict[int, list[int]] = {}
        for bug in bugs.values():
            reported.setdefault(bug.place.agent, []).append(bug.recorded_ns)
        ledgers, standings = {}, {}
        for agent_id, number in self._numbers.items():
            agent = self._agents[agent_id]
            resumes = [at for at, is_active in agent.transitions if is_active]
            career = Career(agent.created_at * NS, reported.get(number, ()), resumes, grades.get(number, ()))
            ledger = ledger_of(boundaries(career, self._timeline), self._earned[agent_id])
            ledgers[number] = ledger
            standings[agent_id] = standing(career, ledger, self._commits.get(agent_id, 0), self._timeline)
        return ledgers, standings


def _join(whole: Replayed, part: Replayed) -> None:
    whole.states.update(part.states)
    whole.homes.update(part.homes)
    whole.earned_at.update(part.earned_at)


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


def rederive(writer: Writer, now: int) -> None:
    """Put what follows from the facts in the place of all that the store derived before.

    Args:
        writer: The open write transaction.
        now: Unix seconds, for `updated_at` alone.
    """
    found = derive(writer)
    _write_states(writer, found)
    _write_journal(writer, found)
    for agent_id, (agent, _) in list(writer.numbered_agents().items()):
        expected = found.agents[agent_id]._replace(standing=found.standings[agent_id])
        if agent._replace(updated_at=0) != expected._replace(updated_at=0):
            writer.put_agent(expected._replace(updated_at=now))


def _write_states(writer: Writer, found: Derivation) -> None:
    for oid, (_, commit) in found.commits.items():
        state, earned_at = found.states[oid], found.earned_at[oid]
        if (commit.status, commit.credits, commit.earned_at) != (*state, earned_at):
            shares = tuple((writer.credit_number(agent), share) for agent, share in state.credits)
            is_first = earned_at == made_at(commit)
            writer.put_commit_state(oid, state.status, shares, None if is_first else earned_at)


def _write_journal(writer: Writer, found: Derivation) -> None:
    for name in journal_tables.DERIVED:
        table = writer.table(name)
        for key in list(table.keys()):
            table.delete(key)
    for subject, graded in found.graded.items():
        journal_tables.put_graded(writer, subject, graded)
    for about, bug in found.bugs.items():
        journal_tables.put_bug_place(writer, about, None, bug)
    for oid, number in found.pushes.items():
        journal_tables.put_push_owner(writer, oid, number)
    for place, tally in found.tallies.items():
        journal_tables.put_tally(writer, place, tally)
    for number, ledger in found.ledgers.items():
        journal_tables.put_ledger(writer, number, ledger)
    for key, session in found.sessions.items():
        journal_tables.put_session_state(writer, key, session)
