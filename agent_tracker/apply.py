"""Facts into the store, with everything that follows from them, inside one write transaction.

Owns put-if-absent and keeping derived state equal to the fold of all facts. Never opens the store, never asks git.
Applying a fact twice changes nothing; neither does the order in which facts arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_codec, journal_tables, packing
from agent_tracker.books import Books, Gain, Milestone
from agent_tracker.credit import Node, initial_status, replay
from agent_tracker.journal import ForgetFact, JournalFact
from agent_tracker.journal_apply import JournalApplication
from agent_tracker.marks import MARKS_VERSION, SEVERAL_VERSIONS, named_sessions
from agent_tracker.records import (
    COUNTED,
    AgentFact,
    Commit,
    CommitFact,
    CommitState,
    CreditFact,
    Credits,
    Fact,
    LossFact,
    Marks,
    ProjectFact,
    RewriteFact,
    SightingFact,
    StateFact,
    Turns,
    UndoneFact,
    is_agent,
)
from agent_tracker.registration import Identity, Roster, identify
from agent_tracker.stored_facts import (
    component_of,
    corrected_credits,
    is_lost,
    made_at,
    own_credits,
    registered_agent,
    sighting_of,
    undone_facts,
)
from agent_tracker.xp import NEW_STANDING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.tables import Writer

__all__ = ["FORGOTTEN", "Applied", "apply"]

FORGOTTEN = "(forgotten)"
"""Stands in the place of the subject of a commit whose text had to go."""

MAX_SUBJECT_BYTES = 300
NS = 10**9
_OID_DIGITS = (40, 64)
MAX_TIME_NS = (1 << 63) - 1

_ABOUT = (SightingFact, UndoneFact, LossFact)
Shares = tuple[tuple[int, int], ...]
"""Credits by agents' numbers, as they are packed."""


class Applied(NamedTuple):
    """What was new in one transaction. `unclaimed` are new commits of an agent that was named but gets no credit.

    `entries` counts the journal's facts. `while_halted`: agents that were halted and are, and how many new commits they
    made since.
    """

    commits: int
    rewrites: int
    registrations: int
    corrections: int
    gains: tuple[Gain, ...]
    unclaimed: tuple[Identity, ...]
    entries: int = 0
    milestones: tuple[Milestone, ...] = ()
    while_halted: tuple[tuple[str, int], ...] = ()


def apply(writer: Writer, facts: Iterable[Fact], *, now: int) -> Applied:
    """Store facts that are not there yet and bring all derived state up to date.

    Args:
        writer: The open write transaction; nothing shows before it commits.
        facts: In any order; a commit's project must be among them or stored already.
        now: Unix seconds, for `updated_at` alone.
    """
    return _Application(writer, now).run(list(facts))


class _Application:
    def __init__(self, writer: Writer, now: int) -> None:
        self._writer = writer
        self._now = now
        self._events = writer.table("events")
        self._books = Books(writer, now)
        self._journal = JournalApplication(writer, self._books)
        self._owns: dict[tuple[int, int], tuple[Identity, Shares]] = {}
        self._marks: dict[Marks, int] = {}
        self._unclaimed: list[Identity] = []
        self._while_halted: dict[str, int] = {}

    def run(self, facts: list[Fact]) -> Applied:
        for project in facts:
            if isinstance(project, ProjectFact):
                self._put_project(project)
        known = set(self._writer.numbered_agents())
        registrations, changed = self._put_agents([f for f in facts if isinstance(f, AgentFact | StateFact)])
        entries, touched = self._journal.put(
            [fact for fact in facts if isinstance(fact, JournalFact)], self._writer.numbered_agents().keys() - known
        )
        for fact in facts:
            if isinstance(fact, ForgetFact):
                self._forget(fact.target)
        self._roster = Roster(self._writer.agents(), self._turns_of, journal_tables.turned_ns(self._writer))
        touched |= self._reidentified(changed)
        rewrites = [f for f in facts if isinstance(f, RewriteFact) and self._put_event(f)]
        corrections = [f for f in facts if isinstance(f, CreditFact) and self._put_event(f)]
        touched.update(f.oid for f in facts if isinstance(f, _ABOUT) and self._put_event(f))
        touched.update(oid for rewrite in rewrites for oid in (rewrite.old, rewrite.new))
        touched.update(correction.oid for correction in corrections)
        commits = self._put_commits([fact for fact in facts if isinstance(fact, CommitFact)], touched)
        self._derive(touched)
        if (commits or touched) and self._writer.marks_version() not in {MARKS_VERSION, SEVERAL_VERSIONS}:
            self._writer.set_marks_version(SEVERAL_VERSIONS)
        self._journal.close_sessions()
        gains = self._books.close()
        if self._books.is_incomplete:
            from agent_tracker.derivation import rederive  # noqa: PLC0415 -- rarely needed, and a push waits for imports

            rederive(self._writer, self._now)
        return Applied(
            commits,
            len(rewrites),
            registrations,
            len(corrections),
            gains,
            tuple(self._unclaimed),
            entries,
            self._books.milestones(),
            self._still_halted(),
        )

    # -- projects, agents, events

    def _put_project(self, fact: ProjectFact) -> None:
        known = next((p for p in self._writer.projects() if p.id == fact.id), None)
        if known is None:
            self._writer.put_project(fact)
        elif known.path != fact.path or (fact.root and not known.root):
            self._writer.put_project(known._replace(path=fact.path, root=known.root or fact.root))

    def _put_event(self, fact: packing.EventFact) -> bool:
        key = packing.event_key(fact)
        if self._events.has(key):
            return False
        if isinstance(fact, CreditFact) and fact.why and fact.oid.hex() in self._journal.forgotten():
            fact = fact._replace(why="")
        self._events.put(key, packing.pack_event(fact))
        if isinstance(fact, RewriteFact):
            self._writer.table("events.rewrite").mark(fact.new + fact.old)
        return True

    def _put_agents(self, facts: list[AgentFact | StateFact]) -> tuple[int, set[str]]:
        """Return how many agents are new or changed, and those of which it matters to whom commits are credited."""
        fresh = {fact.id if isinstance(fact, AgentFact) else fact.agent for fact in facts if self._put_event(fact)}
        known = self._writer.numbered_agents()
        changed = set()
        for agent_id in sorted(fresh):
            value = self._events.get(b"a" + agent_id.encode())
            before = known[agent_id][0] if agent_id in known else None
            if value is not None:
                registered = packing.unpack_event(b"a" + agent_id.encode(), value)
                agent = registered_agent(self._writer, registered)  # type: ignore[arg-type]
                earned = before.standing if before else NEW_STANDING
                self._writer.put_agent(agent._replace(standing=earned, updated_at=self._now))
                self._books.changed(agent_id)
                # Being resumed from a halt makes nobody active who was not.
                if before is None or _turns(agent.transitions) != _turns(before.transitions):
                    changed.add(agent_id)
        return len(fresh), changed

    def _turns_of(self, session: str) -> Turns:
        return journal_tables.turns(self._writer, session)

    def _reidentified(self, changed: set[str]) -> set[bytes]:
        """Return the commits that a new or changed agent, or that of a new session, may have made or lost."""
        agents, begun = self._writer.numbered_agents(), self._journal.begun
        roster = Roster((agents[agent_id][0] for agent_id in changed if agent_id in agents), self._turns_of)
        if not roster.by_id and not begun:
            return set()
        interned = self._writer.table("marks").items()
        relevant = {
            int.from_bytes(key, "big")
            for key, value in interned
            if (roster.by_id or _may_name(value, begun)) and _is_about(packing.unpack_marks(value), roster, begun)
        }
        touched: set[bytes] = set()
        if relevant:
            rows = map(packing.unpack_commit, self._writer.table("commits").values())
            touched = {oid for oid, _, _, marks, *_ in rows if marks in relevant}
        for key, value in self._events.items(b"c") if changed else ():
            fact = packing.unpack_event(key, value)
            if isinstance(fact, CreditFact) and any(agent in changed for agent, _ in fact.credits):
                touched.add(fact.oid)
        for key, value in self._events.items(b"h"):
            fact = packing.unpack_event(key, value)
            if isinstance(fact, SightingFact) and _is_about(fact.marks, roster, begun):
                touched.add(fact.oid)
        return touched

    def _forget(self, target: str) -> None:
        """Take out the subject of a stored commit, and why its credit was put right, if it is a commit that is meant.

        As with other texts, the same length goes over it first, so that no byte of it is left in its page.
        """
        oid = _oid(target)
        if oid and self._writer.has_commit(oid):
            state = self._writer.table("commits.oid").get(self._writer.state_key(oid)) or b""
            commits = self._writer.table("commits")
            key = packing.unpack_commit_state(state)[0].to_bytes(4, "big")
            value = commits.get(key) or b""
            _, project, operation, marks, committed_at, recorded_at, _ = packing.unpack_commit(value)
            row = packing.pack_commit(oid, project, operation, marks, committed_at, recorded_at, FORGOTTEN.encode())
            commits.put(key, bytes(len(value)))
            commits.put(key, row)
        for key, value in list(self._events.items(b"c" + oid)) if oid else ():
            fact = packing.unpack_event(key, value)
            if isinstance(fact, CreditFact) and fact.oid == oid and fact.why:
                self._events.put(key, bytes(len(value)))
                self._events.put(key, packing.pack_event(fact._replace(why="")))

    # -- commits

    def _put_commits(self, facts: list[CommitFact], touched: set[bytes]) -> int:
        """Store the new commits; those that no rewrite or correction touches are derived at once."""
        has = self._writer.has_commit
        fresh = [fact for fact in {fact.oid: fact for fact in facts}.values() if not has(fact.oid)]
        if not fresh:
            return 0
        touched.update(self._touched_before(fresh))
        project_numbers = {fact.id: number for number, fact in self._writer.numbered_projects().items()}
        forgotten = {_oid(target) for target in self._journal.forgotten()}
        epoch = self._roster.epoch
        # By the identity's place in memory, which `_owns` keeps alive: hashing credits takes long.
        counted: dict[tuple[int, int], tuple[int, Credits, list[tuple[int, int]]]] = {}
        rows = []
        for oid, project, operation, fact_marks, committed_at, recorded_at, subject in fresh:
            marks = self._interned(fact_marks)
            at = min(committed_at, recorded_at)
            identity, shares = self._owns.get((marks, epoch(at))) or self._own(marks, at)
            status = initial_status(operation)
            text = (FORGOTTEN if oid in forgotten else subject).encode("utf-8", "surrogateescape")
            if len(text) > MAX_SUBJECT_BYTES:
                text = text[:MAX_SUBJECT_BYTES].decode("utf-8", "ignore").encode()
            rows.append(
                (oid, project_numbers[project], operation, marks, committed_at, recorded_at, text, status, shares)
            )
            if status == COUNTED:
                number = project_numbers[project]
                group = counted.get((number, id(identity)))
                if group is None:
                    group = counted[number, id(identity)] = (number, identity.credits, [])
                group[2].append((committed_at, at))
            if identity.problem and oid not in touched:
                self._unclaimed.append(identity)
        self._writer.put_new_commits(rows)
        for group in counted.values():
            self._books.count(*group)
        self._count_halted((credits, at) for _, credits, made in counted.values() for _, at in made)
        return sum(1 for fact in fresh if fact.operation not in {"gone", "arrived"})

    def _count_halted(self, made: Iterable[tuple[Credits, int]]) -> None:
        """Count the new commits of agents that were halted before this transaction, made since their last bug.

        Args:
            made: Whose a commit is by itself, and when it was made (Unix seconds).
        """
        halted = {
            agent_id: max(journal_tables.career_bugs(self._writer, number), default=0) // NS
            for agent_id, (agent, number) in self._writer.numbered_agents().items()
            if agent.standing.is_halted
        }
        for credits, at in made if halted else ():
            for agent_id, _ in credits:
                if agent_id in halted and at >= halted[agent_id]:
                    self._while_halted[agent_id] = self._while_halted.get(agent_id, 0) + 1

    def _still_halted(self) -> tuple[tuple[str, int], ...]:
        """Return who made commits while it was halted, and still is, with their number."""
        if not self._while_halted:
            return ()
        agents = self._writer.numbered_agents()
        found = sorted(self._while_halted.items())
        return tuple((agent, count) for agent, count in found if agents[agent][0].standing.is_halted)

    def _interned(self, marks: Marks) -> int:
        number = self._marks.get(marks)
        if number is None:
            number = self._marks[marks] = self._writer.intern_marks(marks)
        return number

    def _touched_before(self, fresh: list[CommitFact]) -> set[bytes]:
        """Return those of the new commits that an event stored earlier is about."""
        sources = self._writer.table("events.rewrite")
        kinds = [kind for kind in (b"w", b"c", b"h", b"u", b"l", b"y") if self._has_event(kind)]
        journal = [kind for kind in (b"g", b"b") if self._has_event(kind)]
        if not sources.count() and not kinds and not journal:
            return set()
        return {
            fact.oid
            for fact in fresh
            if next(sources.keys(fact.oid), None) is not None
            or any(self._has_event(kind + fact.oid) for kind in kinds)
            or any(self._has_event(kind + journal_codec.subject_of(fact.oid, "")) for kind in journal)
        }

    def _has_event(self, prefix: bytes) -> bool:
        return next(self._events.keys(prefix), None) is not None

    def _own(self, marks: int, at: int) -> tuple[Identity, Shares]:
        """Return whose a commit with these marks is by itself, made then, and its credits by number."""
        key = (marks, self._roster.epoch(at))
        found = self._owns.get(key)
        if found is None:
            identity = own_credits(self._writer.marks(marks), self._roster, at)
            found = self._owns[key] = (identity, self._numbered(identity.credits))
        return found

    def _numbered(self, credits: Credits) -> Shares:
        return tuple([(self._writer.credit_number(agent), share) for agent, share in credits])

    # -- derived state

    def _derive(self, touched: set[bytes]) -> None:
        """Replay the components of the touched commits and write what became different."""
        done: set[bytes] = set()
        for oid in sorted(touched):
            if oid in done or not self._writer.has_commit(oid):
                continue
            component, rewrites = component_of(self._writer, oid)
            done.update(component)
            nodes = {oid: self._node(commit) for oid, commit in component.items()}
            undone = [fact for member in component for fact in undone_facts(self._writer, member)]
            lost = {member for member in component if is_lost(self._writer, member)}
            replayed = replay(nodes, rewrites, undone, lost)
            for member, state in replayed.states.items():
                self._move(component[member], state, replayed.earned_at[member])
            self._journal.judge(component, replayed)

    def _node(self, commit: Commit) -> Node:
        sighting = sighting_of(self._writer, commit.oid)
        if sighting is None:
            own, _ = self._own(commit.marks, made_at(commit))
        else:
            own = own_credits(sighting.marks, self._roster, made_at(commit))
        corrected = corrected_credits(self._writer, commit.oid, self._roster)
        return Node(commit.operation, own.credits, corrected, made_at(commit))

    def _move(self, commit: Commit, state: CommitState, earned_at: int) -> None:
        """Write a commit's new state and take what it earned from where it was to where it is."""
        if (commit.status, commit.credits, commit.earned_at) == (*state, earned_at):
            return
        project = self._writer.project_number(commit.project)
        if commit.status == COUNTED:
            self._books.count(project, commit.credits, [(commit.committed_at, commit.earned_at)], -1)
        if state.status == COUNTED:
            self._books.count(project, state.credits, [(commit.committed_at, earned_at)])
        is_first = earned_at == made_at(commit)
        self._writer.put_commit_state(
            commit.oid, state.status, self._numbered(state.credits), None if is_first else earned_at
        )


def _turns(transitions: tuple[tuple[int, bool], ...]) -> list[tuple[int, bool]]:
    """Return the transitions after which an agent is not what it was before."""
    states = [True, *(is_active for _, is_active in transitions)]
    return [each for each, before in zip(transitions, states, strict=False) if each[1] != before]


def _may_name(packed: bytes, sessions: set[str]) -> bool:
    """Tell whether packed marks may name one of these sessions; most do not, and need not be unpacked."""
    return any(not session.isascii() or session.encode() in packed for session in sessions)


def _is_about(marks: Marks, roster: Roster, sessions: set[str]) -> bool:
    """Tell whether these marks may mean one of the roster's agents, which are the only ones it holds, or a session."""
    named = named_sessions(marks)
    if not sessions.isdisjoint(named) or any(roster.has_held(session) for session in named):
        return True
    identity = identify(marks, roster, at_ns=MAX_TIME_NS)
    return identity.problem not in {"", "unregistered"} or any(is_agent(name) for name, _ in identity.credits)


def _oid(target: str) -> bytes:
    """Return the oid that a text to forget is named by, empty where it is another fact's id."""
    try:
        return bytes.fromhex(target) if len(target) in _OID_DIGITS else b""
    except ValueError:
        return b""
