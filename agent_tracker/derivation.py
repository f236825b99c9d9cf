"""Everything that follows from the facts, derived anew.

Owns the whole fold, which `verify` compares with what the store holds and `rederive` puts in its place. What a flush
keeps up to date piece by piece must come out the same here, where all facts lie side by side.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_tracker import journal_codec, journal_tables, packing
from agent_tracker.credit import Counted, Node, components, initial_status, replay
from agent_tracker.derived import EVERYBODY, Graded, Ledger, Place, SessionState, Tally
from agent_tracker.errors import StoreError
from agent_tracker.journal import BindingFact, BugFact, GradeFact, PulseFact, PushFact, SessionFact, WithdrawalFact
from agent_tracker.journal_apply import session_of
from agent_tracker.journal_tables import BugPlace
from agent_tracker.marks import MARKS_VERSION
from agent_tracker.records import (
    COUNTED,
    MICRO,
    Agent,
    AgentFact,
    Commit,
    CommitState,
    CreditFact,
    Credits,
    LossFact,
    RewriteFact,
    SightingFact,
    Standing,
    UndoneFact,
    is_agent,
    main_agent,
)
from agent_tracker.registration import Roster, holder
from agent_tracker.stored_facts import Told, made_at, own_credits, registered_agent
from agent_tracker.tables import MAX_TIME, PREFIX_BYTES, Snapshot
from agent_tracker.xp import Career, boundaries, grades_in_force, ledger_of, pulse_micro, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.packing import RawCommit
    from agent_tracker.records import Turns
    from agent_tracker.rules import Timeline
    from agent_tracker.tables import Writer

    Tick = Callable[[int], object]
    Watch = Callable[[bytes, bytes, packing.EventFact], object]

__all__ = ["Derivation", "Moved", "derive", "rederive", "write_journal"]

NS = 10**9
TICK = 1 << 14
"""After how many records it is said again how far the work is."""

_LATER = (SightingFact, CreditFact, UndoneFact, LossFact)
"""What is said of one commit, and may make of it something else than its own fact does."""
_JUDGED = (GradeFact, BugFact, PushFact)


def _nothing(*_of: object) -> None:
    """Be told, and do nothing."""


class Moved(NamedTuple):
    """A commit whose stored state is not what follows from the facts now."""

    stored: Commit
    state: CommitState
    earned_at: int


class Derivation(NamedTuple):
    """All that follows from the facts.

    `agents` carry a new agent's standing, `standings` the one they earned; both by id. `places` are the commits' keys
    in the index by project, in the order of their numbers, of which `last_number` is the last; `moved` are those that
    should be stored otherwise, `outdated` those to which another table of marks gave their credit: it was kept, and all
    the rest follows from it. `graded` are by subject, `bugs` by their key, `pushes` (to whom they are put down) by
    oid, `sessions` by their key.
    """

    agents: dict[str, Agent]
    standings: dict[str, Standing]
    ledgers: dict[int, Ledger]
    tallies: dict[Place, Tally]
    places: list[bytes]
    last_number: int
    moved: list[Moved]
    outdated: list[Moved]
    rewrites: list[RewriteFact]
    graded: dict[bytes, Graded]
    bugs: dict[bytes, BugPlace]
    pushes: dict[bytes, int]
    sessions: dict[bytes, SessionState]


def derive(
    snapshot: Snapshot,
    timeline: Timeline | None = None,
    *,
    is_reattributed: bool = False,
    tick: Tick = _nothing,
    watch: Watch = _nothing,
) -> Derivation:
    """Return everything that follows from a store's facts.

    Where the store's credits were derived under another version of the table of marks they are taken as they are, and
    only what follows from them is derived: a newer table changes nothing before `reattribute` shows what it would.

    Each table is read once. Most commits are nothing but themselves, and are done with at once; those of which an event
    tells something are kept until they can be looked at together.

    Args:
        snapshot: The store.
        timeline: The rules, where others are asked about than the store's.
        is_reattributed: Derive the credits as well, whatever they were derived under.
        tick: Is told now and then how many more records were read.
        watch: Is shown each event: its key, its value, and what they say.

    Raises:
        StoreError: A record is damaged, or one that is referred to is missing.
        RecordError: A record is of a newer format.
    """
    keeps = not is_reattributed and snapshot.marks_version() != MARKS_VERSION
    return _Fold(snapshot, timeline or snapshot.timeline(), tick, watch, keeps=keeps).run()


class _Own(NamedTuple):
    """What follows for commits with the same marks in one project, made in the same way while the roster was the same.

    `shares` are the credits by number, `counted` is None where they do not count.
    """

    state: CommitState
    shares: tuple[tuple[int, int], ...]
    project: bytes
    counted: Counted | None


class _Outcome(NamedTuple):
    """What follows for one commit that is looked at again: its project's number, its state, where its work lives."""

    project: int
    state: CommitState
    home: bytes


class _Later(NamedTuple):
    """A commit that is looked at again: its number, its fact, and its stored state with its key before it."""

    sequence: int
    raw: RawCommit
    stored: bytes


class _Fold:
    def __init__(self, snapshot: Snapshot, timeline: Timeline, tick: Tick, watch: Watch, *, keeps: bool) -> None:
        self._keeps = keeps
        self._outdated: list[Moved] = []
        self._snapshot = snapshot
        self._timeline = timeline
        self._tick = tick
        self._events: dict[type, list[Any]] = {}
        for fact in self._unpacked_events(watch):
            self._events.setdefault(type(fact), []).append(fact)
        self._agents = {fact.id: registered_agent(snapshot, fact) for fact in self._facts(AgentFact)}
        self._sessions: dict[str, SessionFact] = {fact.id: fact for fact in self._facts(SessionFact)}
        self._bindings: dict[str, list[BindingFact]] = {}
        for binding in self._facts(BindingFact):
            self._bindings.setdefault(binding.session, []).append(binding)
        turned = [since_ns for bound in self._bindings for since_ns, _ in self._turns_of(bound)]
        self._roster = Roster(self._agents.values(), self._turns_of, turned)
        stored = snapshot.numbered_agents()
        self._numbers = {agent: stored[agent][1] for agent in self._agents if agent in stored}
        self._projects = {fact.id: number for number, fact in snapshot.numbered_projects().items()}
        self._earned: dict[str, list[tuple[int, int]]] = {agent: [] for agent in self._agents}
        self._commits: dict[str, int] = {}
        self._counted: dict[tuple[int, Credits], Counted] = {}
        self._owns: dict[tuple[int, int, int, str], _Own] = {}
        self._outcomes: dict[bytes, _Outcome] = {}
        self._moved: list[Moved] = []
        self._tallies: dict[Place, Tally] = {}

    def run(self) -> Derivation:
        """Return everything that follows."""
        places, last_number = self._derive_commits()
        states = self._pulse()
        graded = self._grade()
        bugs = self._bugs()
        pushes = self._push()
        ledgers, standings = self._fold(graded, bugs)
        bounded = ((place, journal_tables.bounded_tally(tally)) for place, tally in self._tallies.items())
        return Derivation(
            self._agents,
            standings,
            ledgers,
            {place: tally for place, tally in bounded if tally != Tally()},
            places,
            last_number,
            self._moved,
            self._outdated,
            self._facts(RewriteFact),
            graded,
            bugs,
            pushes,
            states,
        )

    def _unpacked_events(self, watch: Watch) -> Iterator[packing.EventFact]:
        for count, (key, value) in enumerate(self._snapshot.table("events").items(), 1):
            fact = packing.unpack_event(key, value)
            watch(key, value, fact)
            yield fact
            if not count % TICK:
                self._tick(TICK)

    def _facts(self, of: type[Any]) -> list[Any]:
        """Return the events of one kind, in the order of their keys."""
        return self._events.get(of, [])

    def _turns_of(self, session: str) -> Turns:
        return journal_tables.turns_of(self._sessions.get(session), self._bindings.get(session, ()))

    # -- commits

    def _derive_commits(self) -> tuple[list[bytes], int]:
        """Derive every commit; return their keys in the index by project, and the last number."""
        linked = {oid for fact in self._facts(RewriteFact) for oid in (fact.old, fact.new)}
        linked.update(fact.oid for of in _LATER for fact in self._facts(of))
        judged = {fact.oid for of in _JUDGED for fact in self._facts(of)}
        later: dict[bytes, _Later] = {}
        places: list[bytes] = []
        states = self._stored_states()
        owns, epoch, pack_state = self._owns, self._roster.epoch, packing.pack_commit_state
        sequence = 0
        for key, value in self._snapshot.table("commits").items():
            sequence = int.from_bytes(key, "big")
            raw = packing.unpack_commit(value)
            oid, project, operation, marks, committed_at, recorded_at, _ = raw
            at = min(committed_at, recorded_at)
            state, shares, prefix, counted = owns.get((marks, epoch(at), project, operation)) or self._own(raw, at)
            places.append(prefix + committed_at.to_bytes(5, "big") + key)
            if not len(places) % TICK:
                self._tick(TICK)
            stored = states[sequence] if sequence < len(states) else b""
            if oid in linked:
                later[oid] = _Later(sequence, raw, stored)
                continue
            if stored != oid[:PREFIX_BYTES] + pack_state(sequence, state.status, shares):
                state = self._compared(sequence, oid, state, at)
                counted = self._group(project, state.credits) if counted is not None else None
            if counted is not None:
                counted.at.append(at)
                counted.last_at = max(counted.last_at, committed_at)
            if oid in judged:
                self._outcomes[oid] = _Outcome(project, state, oid)
        self._replay(later)
        return places, sequence

    def _stored_states(self) -> list[bytes]:
        """Return the stored states in the order of their commits' numbers, each with its key before it."""
        most = self._snapshot.table("commits").count()
        found = [b""] * (most + 1)
        unpack = packing.unpack_commit_state
        for count, (key, value) in enumerate(self._snapshot.table("commits.oid").items(), 1):
            sequence = unpack(value)[0]
            if sequence <= most:
                found[sequence] = key + value
            if not count % TICK:
                self._tick(TICK)
        return found

    def _own(self, raw: RawCommit, at: int) -> _Own:
        """Return what follows for a commit of which nothing is told but that it was made then (Unix seconds)."""
        _, project, operation, marks, *_ = raw
        if project not in self._snapshot.numbered_projects():
            raise StoreError(f"project number {project} is referred to but not there", "agent-tracker verify")
        credits = own_credits(self._snapshot.marks(marks), self._roster, at).credits
        state = CommitState(initial_status(operation), credits)
        counted = self._group(project, credits) if state.status == COUNTED else None
        own = _Own(state, self._numbered(credits), project.to_bytes(4, "big"), counted)
        self._owns[marks, self._roster.epoch(at), project, operation] = own
        return own

    def _group(self, project: int, credits: Credits) -> Counted:
        key = (project, credits)
        found = self._counted.get(key)
        if found is None:
            found = self._counted[key] = Counted(project, credits)
        return found

    def _numbered(self, credits: Credits) -> tuple[tuple[int, int], ...]:
        missing = [agent for agent, _ in credits if is_agent(agent) and agent not in self._numbers]
        if missing:
            raise StoreError(f"agent {missing[0]}: registered but without a standing", "agent-tracker verify")
        return tuple((self._snapshot.credit_number(agent), share) for agent, share in credits)

    def _compared(self, sequence: int, oid: bytes, state: CommitState, earned_at: int) -> CommitState:
        """Return a commit's state, and note it if what is stored, found as any reader finds it, is not what follows."""
        commit = self._snapshot.commit(oid)
        if commit is None:
            raise StoreError(f"commit {oid.hex()} has no derived state", "agent-tracker verify")
        value = self._snapshot.table("commits.oid").get(self._snapshot.state_key(oid)) or b""
        number = packing.unpack_commit_state(value)[0]
        if number != sequence:
            raise StoreError(f"commits number {number} and {sequence} are both {oid.hex()}", "agent-tracker verify")
        moved = Moved(commit, state, earned_at)
        if self._keeps and (commit.status, commit.earned_at) == (state.status, earned_at):
            if commit.credits != state.credits:
                self._outdated.append(moved)
            return state._replace(credits=commit.credits)
        if (commit.status, commit.credits, commit.earned_at) != (*state, earned_at):
            self._moved.append(moved)
        return state

    def _replay(self, later: dict[bytes, _Later]) -> None:
        """Derive the commits of which events tell something, component by component."""
        told = Told(self._events, self._roster)
        nodes = {oid: self._node(each.raw, told) for oid, each in later.items()}
        alone = dict.fromkeys(nodes)
        for members, rewrites in components(self._facts(RewriteFact), nodes):
            self._replay_component({oid: nodes[oid] for oid in members}, rewrites, told, later)
            for oid in members:
                del alone[oid]
        for oid in alone:
            self._replay_component({oid: nodes[oid]}, [], told, later)

    def _replay_component(
        self, nodes: dict[bytes, Node], rewrites: list[RewriteFact], told: Told, later: dict[bytes, _Later]
    ) -> None:
        undone = [fact for oid in nodes for fact in told.undone.get(oid, ())]
        replayed = replay(nodes, rewrites, undone, told.lost)
        for oid, state in replayed.states.items():
            sequence, raw, stored = later[oid]
            earned_at = replayed.earned_at[oid]
            moved_at = None if earned_at == nodes[oid].made_at else earned_at
            packed = packing.pack_commit_state(sequence, state.status, self._numbered(state.credits), moved_at)
            if stored != oid[:PREFIX_BYTES] + packed:
                state = self._compared(sequence, oid, state, earned_at)  # noqa: PLW2901 -- as it is to be taken
            if state.status == COUNTED:
                counted = self._group(raw[1], state.credits)
                counted.at.append(earned_at)
                counted.last_at = max(counted.last_at, raw[4])
            self._outcomes[oid] = _Outcome(raw[1], state, replayed.homes[oid])

    def _node(self, raw: RawCommit, told: Told) -> Node:
        oid, project, operation, marks, committed_at, recorded_at, _ = raw
        at = min(committed_at, recorded_at)
        sighting = told.sightings.get(oid)
        if sighting is None:
            own = self._owns[marks, self._roster.epoch(at), project, operation].state.credits
        else:
            own = own_credits(sighting.marks, self._roster, at).credits
        return Node(operation, own, told.corrected.get(oid), at)

    def _count(self, moments: dict[str, tuple[int, ...]]) -> None:
        """Add up what the counted commits are worth; the moments are each agent's boundaries, by its id."""
        for group in self._counted.values():
            if not group.at:
                continue
            count, last_at = len(group.at), min(group.last_at, MAX_TIME)
            self._tally(Place(EVERYBODY, group.project), Tally(commits=count, last_at=last_at))
            for agent, share in group.credits:
                micro = 0
                if is_agent(agent):
                    amounts = list(group.amounts(share, moments[agent], self._timeline))
                    micro = sum(amount for _, amount in amounts)
                    self._earned[agent] += amounts
                    self._commits[agent] = self._commits.get(agent, 0) + count
                place = Place(self._snapshot.credit_number(agent), group.project)
                self._tally(place, Tally(commits=count, earned_micro=micro, last_at=last_at))

    def _tally(self, place: Place, more: Tally) -> None:
        old = self._tallies.get(place)
        if old is not None:
            more = Tally._make((*map(add, old[:-1], more[:-1]), max(old.last_at, more.last_at)))
        self._tallies[place] = more

    def _earn(self, place: Place, agent: str, at_ns: int, micro: int) -> None:
        if micro:
            self._earned[agent].append((at_ns, micro))
            self._tally(place, Tally(earned_micro=micro))

    # -- the journal

    def _pulse(self) -> dict[bytes, SessionState]:
        by_session: dict[str, list[PulseFact]] = {}
        for pulse in self._facts(PulseFact):
            by_session.setdefault(pulse.session, []).append(pulse)
        for session_id, pulses in by_session.items():
            fact, turns = self._sessions.get(session_id), self._turns_of(session_id)
            for pulse in pulses if fact else ():
                agent = holder(turns, pulse.recorded_ns)
                if fact and agent in self._numbers:
                    place = Place(self._numbers[agent], self._projects.get(fact.project, 0))
                    self._earn(place, agent, pulse.recorded_ns, pulse_micro(pulse, self._timeline))
        return {
            journal_tables.session_key(name): session_of(fact, by_session.get(name, ()))
            for name, fact in self._sessions.items()
        }

    def _grade(self) -> dict[bytes, Graded]:
        given: dict[bytes, list[GradeFact]] = {}
        owners: dict[bytes, tuple[str, int, int]] = {}
        for fact in self._facts(GradeFact):
            if fact.oid in self._outcomes:
                home = self._outcomes[fact.oid].home
                subject = journal_codec.subject_of(home, "")
                owner = self._outcomes[home]
                owners[subject] = main_agent(owner.state.credits), owner.project, 1
            elif fact.session in self._sessions:
                session = self._sessions[fact.session]
                subject = journal_codec.subject_of(b"", fact.session)
                owners[subject] = session.agent, self._projects.get(session.project, 0), 0
            else:
                continue
            given.setdefault(subject, []).append(fact)
        graded = {}
        for subject, facts in given.items():
            agent, project, experience = owners[subject]
            if agent in self._numbers:
                place = Place(self._numbers[agent], project)
                graded[subject] = Graded(place, grades_in_force(facts))
                at_ns = min(each.recorded_ns for each in graded[subject].grades)
                micro = self._timeline.at(at_ns)["gradedCommitXp"] * MICRO * experience
                self._earn(place, agent, at_ns, micro)
                self._tally(place, Tally(grades=len(graded[subject].grades)))
        return graded

    def _bugs(self) -> dict[bytes, BugPlace]:
        withdrawn = {fact.id for fact in self._facts(WithdrawalFact)}
        placed: dict[bytes, BugPlace] = {}
        for fact in self._facts(BugFact):
            agent, project = fact.agent, self._projects.get(fact.project, 0)
            if found := self._outcomes.get(fact.oid):
                agent = main_agent(self._outcomes[found.home].state.credits)
                project = found.project
            if agent in self._numbers and fact.id not in withdrawn:
                place = Place(self._numbers[agent], project)
                placed[journal_tables.bug_key(fact)] = BugPlace(place, fact.recorded_ns)
                self._tally(place, Tally(bugs=1))
        return placed

    def _push(self) -> dict[bytes, int]:
        owners = {}
        for fact in self._facts(PushFact):
            found = self._outcomes.get(fact.oid)
            agent = main_agent(found.state.credits) if found else ""
            if found and agent in self._numbers:
                owners[fact.oid] = self._numbers[agent]
                micro = self._timeline.at(fact.recorded_ns)["pushXp"] * MICRO
                self._earn(Place(self._numbers[agent], found.project), agent, fact.recorded_ns, micro)
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
        careers = {}
        for agent_id, number in self._numbers.items():
            agent = self._agents[agent_id]
            resumes = [at for at, is_active in agent.transitions if is_active]
            careers[agent_id] = Career(agent.created_at * NS, reported.get(number, ()), resumes, grades.get(number, ()))
        moments = {agent_id: boundaries(career, self._timeline) for agent_id, career in careers.items()}
        self._count(moments)
        ledgers, standings = {}, {}
        for agent_id, career in careers.items():
            ledger = ledger_of(moments[agent_id], self._earned[agent_id])
            ledgers[self._numbers[agent_id]] = ledger
            standings[agent_id] = standing(career, ledger, self._commits.get(agent_id, 0), self._timeline)
        return ledgers, standings


def rederive(writer: Writer, now: int, *, is_reattributed: bool = False) -> None:
    """Put what follows from the facts in the place of all that the store derived before.

    Args:
        writer: The open write transaction.
        now: Unix seconds, for `updated_at` alone.
        is_reattributed: As for `derive`; the store then says that it was derived under this table of marks.
    """
    found = derive(writer, is_reattributed=is_reattributed)
    if is_reattributed:
        writer.set_marks_version(MARKS_VERSION)
    _write_states(writer, found)
    for name in journal_tables.DERIVED:
        table = writer.table(name)
        table.clear()
    write_journal(writer, found)
    for agent_id, (agent, _) in list(writer.numbered_agents().items()):
        expected = found.agents[agent_id]._replace(standing=found.standings[agent_id])
        if agent._replace(updated_at=0) != expected._replace(updated_at=0):
            writer.put_agent(expected._replace(updated_at=now))


def _write_states(writer: Writer, found: Derivation) -> None:
    for commit, state, earned_at in found.moved:
        shares = tuple((writer.credit_number(agent), share) for agent, share in state.credits)
        is_first = earned_at == made_at(commit)
        writer.put_commit_state(commit.oid, state.status, shares, None if is_first else earned_at)


def write_journal(writer: Writer, found: Derivation) -> None:
    """Write all that follows from the journal and from what was earned, where nothing of it lies yet."""
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
