"""The journal's facts into the store, with what follows from them, inside one write transaction.

Owns grades, bugs, pushes and sessions: which are in force, whose they are, what they earn. Never asks git. What a
commit's being rewritten or credited anew does to them is told by `apply`, component by component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker import journal_codec, journal_tables
from agent_tracker.derived import Graded, Place, SessionState
from agent_tracker.journal import (
    BindingFact,
    BugFact,
    ForgetFact,
    GradeFact,
    JournalFact,
    PulseFact,
    PushFact,
    RulesFact,
    SessionFact,
    WithdrawalFact,
)
from agent_tracker.journal_tables import BugPlace
from agent_tracker.records import MICRO, main_agent
from agent_tracker.registration import holder
from agent_tracker.xp import grades_in_force, pulse_micro

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_tracker.books import Books
    from agent_tracker.credit import Replayed
    from agent_tracker.records import Commit, Turns
    from agent_tracker.tables import Writer

__all__ = ["JournalApplication", "session_of"]

MAX_SUM = (1 << 32) - 1
_ID_BYTES = 6


class JournalApplication:
    """The journal's part of one transaction.

    Args:
        writer: The open transaction.
        books: What is earned in it.
    """

    def __init__(self, writer: Writer, books: Books) -> None:
        self._writer = writer
        self._books = books
        self.begun: set[str] = set()
        """The ids of the sessions that are new, or newly an agent's."""
        self._archived = writer.table("archived")
        self._sessions: set[str] = set()
        self._withdrawn = {fact.id for fact in journal_tables.facts(writer, WithdrawalFact)}
        self._forgotten: set[str] | None = None

    # -- new facts

    def put(self, facts: Iterable[JournalFact], new_agents: Iterable[str]) -> tuple[int, set[bytes]]:
        """Store what is new and return how many facts that were, and the commits that some of them are about.

        Args:
            facts: In any order.
            new_agents: The ids of the agents that were not known before this transaction.
        """
        for agent in sorted(new_agents):
            self._welcome(agent)
        fresh = []
        for fact in sorted(facts, key=_order):
            if self._put(fact):
                fresh.append(fact)
                self._take(fact)
        touched = {fact.oid for fact in fresh if isinstance(fact, GradeFact | PushFact) and fact.oid}
        reported = [fact for fact in fresh if isinstance(fact, BugFact)]
        withdrawn = {fact.id for fact in fresh if isinstance(fact, WithdrawalFact)}
        return len(fresh), touched | self._report(reported, withdrawn)

    def _take(self, fact: JournalFact) -> None:
        """Note what follows at once from a fact that is new."""
        match fact:
            case GradeFact() if fact.session:
                self._sessions.add(fact.session)
            case WithdrawalFact():
                self._withdrawn.add(fact.id)
            case RulesFact():
                self._change_rules(fact)
            case SessionFact():
                self._open(fact)
            case BindingFact():
                self._bind(fact)
            case PulseFact():
                self._beat(fact)

    def _put(self, fact: JournalFact) -> bool:
        kind = journal_codec.kind_of(fact)
        table = self._writer.table(kind.table)
        key = journal_codec.key_of(fact)
        if table.has(key) or (kind.table != "events" and self._archived.has(key)):
            return False
        if isinstance(fact, ForgetFact):
            table.put(key, journal_codec.pack(fact))
            self._forget(fact.target)
            return True
        if kind.texts and fact[0] in self.forgotten():
            fact = journal_codec.blanked(fact)
        table.put(key, journal_codec.pack(fact))
        return True

    def forgotten(self) -> set[str]:
        """Return what texts must go of: the ids of facts, and of commits in hexadecimal digits."""
        if self._forgotten is None:
            self._forgotten = {fact.target for fact in journal_tables.facts(self._writer, ForgetFact)}
        return self._forgotten

    def _forget(self, target: str) -> None:
        """Take the text out of a fact that is there: same length first, so that no byte of it is left in its page."""
        self.forgotten().add(target)
        for kind in journal_codec.KINDS:
            if kind.texts:
                table = self._writer.table(kind.table)
                for key, value in list(table.items(kind.letter)):
                    if key[-_ID_BYTES:] == bytes.fromhex(target):
                        table.put(key, bytes(len(value)))
                        table.put(key, journal_codec.pack(journal_codec.blanked(journal_codec.unpack(key, value))))

    # -- rules

    def _change_rules(self, fact: RulesFact) -> None:
        self._writer.forget_timeline()
        for agent in self._writer.agents():
            self._books.changed(agent.id)
        last_ns = max((ledger.last_ns for ledger in journal_tables.ledgers(self._writer).values()), default=0)
        if fact.is_for_all or fact.recorded_ns <= last_ns:
            self._books.is_incomplete = True

    # -- bugs

    def _report(self, reported: list[BugFact], withdrawn: set[str]) -> set[bytes]:
        """Bring bugs against agents up to date, new and withdrawn ones; return the commits that the others are in."""
        if withdrawn:
            stored = journal_tables.facts(self._writer, BugFact)
            reported = [*reported, *(fact for fact in stored if fact.id in withdrawn)]
        for fact in reported:
            if not fact.oid:
                self._place_bug(fact, fact.agent, self._project(fact.project))
        return {fact.oid for fact in reported if fact.oid}

    def _place_bug(self, fact: BugFact, agent: str, project: int) -> None:
        old = journal_tables.bug_place(self._writer, fact)
        new = None
        if self._is_known(agent) and fact.id not in self._withdrawn:
            new = BugPlace(Place(self._number(agent), project), fact.recorded_ns)
        if old == new:
            return
        journal_tables.put_bug_place(self._writer, journal_tables.bug_key(fact), old, new)
        for place, sign in ((old, -1), (new, 1)):
            if place:
                self._books.tally(place.place, bugs=sign)
                self._books.changed(self._writer.agent_id(place.place.agent))

    # -- sessions

    def _welcome(self, agent: str) -> None:
        """Give a new agent what was told of it before anybody knew it."""
        bound = {fact.session for fact in journal_tables.facts(self._writer, BindingFact) if fact.agent == agent}
        for fact in journal_tables.facts(self._writer, SessionFact):
            if fact.agent == agent or fact.id in bound:
                self._sessions.add(fact.id)
                self._earn_pulses(fact, journal_tables.turns(self._writer, fact.id), 1, only=agent)
        for bug in journal_tables.facts_about(self._writer, BugFact, b"", agent):
            self._place_bug(bug, agent, self._project(bug.project))

    def _open(self, fact: SessionFact) -> None:
        self.begun.add(fact.id)
        self._sessions.add(fact.id)
        self._earn_pulses(fact, journal_tables.turns(self._writer, fact.id), 1)

    def _bind(self, binding: BindingFact) -> None:
        """Let what a session used be put down to whoever it is bound to, from when it is."""
        self.begun.add(binding.session)
        fact = journal_tables.session(self._writer, binding.session)
        if fact:
            turns = journal_tables.turns(self._writer, fact.id)
            self._earn_pulses(fact, tuple(turn for turn in turns if turn != (binding.recorded_ns, binding.agent)), -1)
            self._earn_pulses(fact, turns, 1)

    def _earn_pulses(self, fact: SessionFact, turns: Turns, sign: int, *, only: str = "") -> None:
        """Add what the pulses that are stored already earned, where a session was whose `turns` say; or take it back.

        `only`: for this agent alone.
        """
        for pulse in journal_tables.facts_about(self._writer, PulseFact, b"", fact.id):
            agent = holder(turns, pulse.recorded_ns)
            if self._is_known(agent) and only in {"", agent}:
                self._earn_pulse(fact, agent, pulse, sign)

    def _beat(self, pulse: PulseFact) -> None:
        self._sessions.add(pulse.session)
        fact = journal_tables.session(self._writer, pulse.session)
        agent = holder(journal_tables.turns(self._writer, pulse.session), pulse.recorded_ns) if fact else ""
        if fact and self._is_known(agent):
            self._earn_pulse(fact, agent, pulse, 1)

    def _earn_pulse(self, fact: SessionFact, agent: str, pulse: PulseFact, sign: int) -> None:
        place = Place(self._number(agent), self._project(fact.project))
        micro = pulse_micro(pulse, self._writer.timeline())
        self._books.earn(place, agent, pulse.recorded_ns, sign * micro)

    def close_sessions(self) -> None:
        """Write how the sessions that something was told of stand, and the grades in force for them."""
        for session_id in sorted(self._sessions):
            fact = journal_tables.session(self._writer, session_id)
            if fact is None:
                continue
            pulses = journal_tables.facts_about(self._writer, PulseFact, b"", session_id)
            key = journal_tables.session_key(session_id)
            journal_tables.put_session_state(self._writer, key, session_of(fact, pulses))
            new = None
            if self._is_known(fact.agent):
                given = grades_in_force(journal_tables.facts_about(self._writer, GradeFact, b"", session_id))
                new = Graded(Place(self._number(fact.agent), self._project(fact.project)), given) if given else None
            self._regrade({journal_codec.subject_of(b"", session_id): new}, experience=0)

    # -- commits

    def judge(self, component: Mapping[bytes, Commit], replayed: Replayed) -> None:
        """Bring grades, bugs and pushes about the commits of a component up to date.

        Args:
            component: The commits as they were.
            replayed: What follows for them now.
        """
        if self._has_any(b"g"):
            self._judge_grades(component, replayed)
        if self._has_any(b"b"):
            for oid, commit in component.items():
                for fact in journal_tables.facts_about(self._writer, BugFact, oid):
                    agent = main_agent(replayed.states[replayed.homes[oid]].credits)
                    self._place_bug(fact, agent, self._project(commit.project))
        if self._has_any(b"y"):
            for oid, commit in component.items():
                self._judge_push(oid, commit, main_agent(replayed.states[oid].credits))

    def _has_any(self, letter: bytes) -> bool:
        return next(self._writer.table("events").keys(letter), None) is not None

    def _judge_grades(self, component: Mapping[bytes, Commit], replayed: Replayed) -> None:
        by_home: dict[bytes, list[GradeFact]] = {}
        for oid in component:
            found = journal_tables.facts_about(self._writer, GradeFact, oid)
            if found:
                by_home.setdefault(replayed.homes[oid], []).extend(found)
        graded: dict[bytes, Graded | None] = {}
        for oid, commit in component.items():
            agent = main_agent(replayed.states[oid].credits)
            new = None
            if oid in by_home and agent:
                place = Place(self._number(agent), self._project(commit.project))
                new = Graded(place, grades_in_force(by_home[oid]))
            graded[journal_codec.subject_of(oid, "")] = new
        self._regrade(graded, experience=1)

    def _regrade(self, graded: Mapping[bytes, Graded | None], *, experience: int) -> None:
        """Write the grades in force for some pieces of work; None for one that has none any more."""
        before = {subject: journal_tables.graded(self._writer, subject) for subject in graded}
        changed = [subject for subject, new in graded.items() if new != before[subject]]
        for subject in changed:
            if old := before[subject]:
                journal_tables.take_out_graded(self._writer, subject, old)
                self._book_grades(old, experience, -1)
        for subject in changed:
            if new := graded[subject]:
                journal_tables.put_graded(self._writer, subject, new)
                self._book_grades(new, experience, 1)

    def _book_grades(self, graded: Graded, experience: int, sign: int) -> None:
        agent = self._writer.agent_id(graded.place.agent)
        at_ns = min(given.recorded_ns for given in graded.grades)
        micro = self._writer.timeline().at(at_ns)["gradedCommitXp"] * MICRO * experience
        self._books.earn(graded.place, agent, at_ns, micro * sign)
        self._books.tally(graded.place, grades=len(graded.grades) * sign)
        self._books.changed(agent)

    def _judge_push(self, oid: bytes, commit: Commit, agent: str) -> None:
        value = self._writer.table("events").get(b"y" + oid)
        fact = journal_codec.unpack(b"y", value) if value else None
        if not isinstance(fact, PushFact):
            return
        old, new = journal_tables.push_owner(self._writer, oid), self._number(agent) if agent else 0
        if old == new:
            return
        journal_tables.put_push_owner(self._writer, oid, new)
        micro = self._writer.timeline().at(fact.recorded_ns)["pushXp"] * MICRO
        for number, sign in ((old, -1), (new, 1)):
            if number:
                place = Place(number, self._project(commit.project))
                self._books.earn(place, self._writer.agent_id(number), fact.recorded_ns, micro * sign)

    # -- numbers

    def _is_known(self, agent: str) -> bool:
        return agent in self._writer.numbered_agents()

    def _number(self, agent: str) -> int:
        return self._writer.numbered_agents()[agent][1]

    def _project(self, project: str) -> int:
        return self._writer.project_number(project)


def _order(fact: JournalFact) -> int:
    """Return a fact's place among others: what takes texts away comes first, a session before its pulses."""
    return _FIRST.index(type(fact)) if isinstance(fact, _FIRST) else len(_FIRST)


_FIRST = (ForgetFact, RulesFact, SessionFact, BindingFact)


def session_of(fact: SessionFact, pulses: Iterable[PulseFact]) -> SessionState:
    """Return how a session stands.

    It is over at its end, until it is resumed. One that was taken for dead ended with its last sign of life, and did
    not if it gives another.
    """
    last_ns, ended_ns, end, is_idle = fact.recorded_ns, 0, "", False
    counts = [0] * 5
    slowest_ms = 0
    for pulse in sorted(pulses, key=lambda pulse: (pulse.recorded_ns, pulse.id)):
        if pulse.what in {"end", "interrupted"}:
            at_ns = last_ns if pulse.what == "interrupted" else pulse.recorded_ns
            ended_ns, end = (ended_ns, end) if end == "end" else (at_ns, pulse.what)
        elif pulse.what == "resume" or end == "interrupted":
            ended_ns, end = 0, ""
        is_idle = pulse.what == "idle"
        if pulse.what != "interrupted":
            last_ns = max(last_ns, pulse.recorded_ns)
        amounts = (pulse.tools, pulse.commands, pulse.failures, pulse.responses, pulse.response_ms)
        counts = [min(MAX_SUM, a + b) for a, b in zip(counts, amounts, strict=True)]
        slowest_ms = max(slowest_ms, pulse.slowest_ms)
    return SessionState._make((last_ns, ended_ns, end, is_idle, *counts, slowest_ms))
