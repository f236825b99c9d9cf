"""The journal in the store: reading its facts, reading and writing what follows from them.

Owns the key layout of the sub-databases that hold it. Never decides what a fact means.

======================  ==========================================  ==================================================
sub-database            key                                         value
======================  ==========================================  ==================================================
events                  `journal_codec.key_of`                      grades, bugs, sessions, pulses, pushes, rules ...
retrospectives          `r` when (8) id (6)                         retrospective fact
activities              `v` when (8) id (6)                         activity fact
communication           `s` subject                                 the grades in force for a piece of work, and whose
                        `a` agent (4) when (8) id (6) subject       the same by agent and time: the grade's number
health                  `b` subject id (6)                          a bug in force: agent (4), project (4), when (8)
                        `a` agent (4) when (8) subject id (6)       the same by agent and time: empty
                        `y` oid                                     a push: whose it is (4)
metrics                 `t` agent (4) project (4)                   tally
                        `l` agent (4)                               ledger
sessions                `s` session                                 its state
                        `o` session                                 empty, while it is open
======================  ==========================================  ==================================================
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent_tracker import journal_codec
from agent_tracker.derived import Given, Graded, Ledger, Place, SessionState, Tally
from agent_tracker.errors import RecordError
from agent_tracker.journal import (
    GRADES,
    SIDES,
    ActivityFact,
    BindingFact,
    BugFact,
    ForgetFact,
    GradeFact,
    PulseFact,
    PushFact,
    RetroFact,
    RulesFact,
    SessionFact,
    WithdrawalFact,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.records import Turns
    from agent_tracker.tables import Snapshot, Writer

__all__ = [
    "DERIVED",
    "BugPlace",
    "bounded_tally",
    "bug_key",
    "bug_place",
    "career_bugs",
    "career_grades",
    "facts",
    "facts_about",
    "graded",
    "graded_commits",
    "graded_subjects",
    "last_moment",
    "ledger",
    "ledgers",
    "open_sessions",
    "placed_bugs",
    "push_owner",
    "put_bug_place",
    "put_graded",
    "put_ledger",
    "put_push_owner",
    "put_session_state",
    "put_tally",
    "session",
    "session_key",
    "session_state",
    "session_states",
    "take_out_graded",
    "tallies",
    "turned_ns",
    "turns",
    "turns_of",
]

VERSION = 1
DERIVED = ("communication", "health", "metrics", "sessions")
"""The sub-databases that hold nothing but what follows from facts."""

F = TypeVar(
    "F",
    GradeFact,
    BugFact,
    WithdrawalFact,
    RetroFact,
    ActivityFact,
    SessionFact,
    BindingFact,
    PulseFact,
    PushFact,
    RulesFact,
    ForgetFact,
)
_TALLY = struct.Struct("<BIQIIQ")
_PLACE = struct.Struct("<II")
_GIVEN = struct.Struct("<BBQ6s")
_BUG = struct.Struct("<BIIQ")
_STATE = struct.Struct("<BQQBBIIIIQQ")
_LEDGER = struct.Struct("<BQQ")
_ENTRY = struct.Struct("<QQ")
_ENDS = ("", "end", "interrupted")
_MAX_32, _MAX_64 = (1 << 32) - 1, (1 << 63) - 1
_MOST = Tally(_MAX_32, _MAX_64, _MAX_32, _MAX_32, _MAX_64)


class BugPlace(NamedTuple):
    """A bug in force: whose it is, and when it was reported (Unix nanoseconds)."""

    place: Place
    recorded_ns: int


def _number(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _by_time(agent: int, at_ns: int, what: bytes) -> bytes:
    return b"a" + _number(agent) + at_ns.to_bytes(8, "big") + what


def _check(version: int, what: str) -> None:
    if version != VERSION:
        raise RecordError(f"{what} of format version {version}, this program knows {VERSION}", "upgrade agent-tracker")


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Say of a record that it cannot be read, where what it holds is none of ours though its checksum is right.

    Raises:
        RecordError: It cannot.
    """
    try:
        yield
    except journal_codec.MALFORMED as error:
        raise journal_codec.unreadable(what, error) from error


# -- facts


def facts(snapshot: Snapshot, of: type[F]) -> Iterator[F]:
    """Yield every fact of one kind, in the order of the keys: retrospectives and activities by time."""
    kind = next(kind for kind in journal_codec.KINDS if kind.fact is of)
    for key, value in snapshot.table(kind.table).items(kind.letter):
        fact = journal_codec.unpack(key, value)
        if isinstance(fact, of):
            yield fact


def facts_about(snapshot: Snapshot, of: type[F], oid: bytes, name: str = "") -> list[F]:
    """Return the grades, bugs, bindings or pulses about a commit, or else about a session or an agent."""
    kind = next(kind for kind in journal_codec.KINDS if kind.fact is of)
    prefix = kind.letter + journal_codec.subject_of(oid, name)
    found = (journal_codec.unpack(key, value) for key, value in snapshot.table(kind.table).items(prefix))
    return [fact for fact in found if isinstance(fact, of)]


def session(snapshot: Snapshot, session_id: str) -> SessionFact | None:
    """Return how a session began."""
    key = b"o" + session_key(session_id)
    value = snapshot.table("events").get(key)
    fact = None if value is None else journal_codec.unpack(key, value)
    return fact if isinstance(fact, SessionFact) else None


def turns(snapshot: Snapshot, session_id: str) -> Turns:
    """Return whose a session was, and since when: from its beginning, then from each time it was bound to an agent."""
    begun = session(snapshot, session_id)
    bindings = facts_about(snapshot, BindingFact, b"", session_id)
    return turns_of(begun if begun and begun.id == session_id else None, bindings)


def turns_of(begun: SessionFact | None, bindings: Iterable[BindingFact]) -> Turns:
    """Return whose a session was by how it began, if it did, and by all that bind it."""
    found = [(begun.recorded_ns, begun.agent)] if begun else []
    return tuple(sorted([*found, *((fact.recorded_ns, fact.agent) for fact in bindings)]))


def turned_ns(snapshot: Snapshot) -> list[int]:
    """Return when sessions came to another agent; Unix nanoseconds."""
    bound = {fact.session for fact in facts(snapshot, BindingFact)}
    return [since_ns for session_id in bound for since_ns, _ in turns(snapshot, session_id)]


# -- grades in force


def graded(snapshot: Snapshot, subject: bytes) -> Graded | None:
    """Return the grades in force for a piece of work, by `journal_codec.subject_of` it."""
    value = snapshot.table("communication").get(b"s" + subject)
    return None if value is None else _unpack_graded(value)


def graded_subjects(snapshot: Snapshot) -> Iterator[tuple[bytes, Graded]]:
    """Yield every graded piece of work and the grades in force for it."""
    for key, value in snapshot.table("communication").items(b"s"):
        yield key[1:], _unpack_graded(value)


def graded_commits(snapshot: Snapshot) -> Iterator[tuple[bytes, Graded]]:
    """Yield every graded commit's oid and the grades in force for it."""
    for subject, each in graded_subjects(snapshot):
        if journal_codec.is_about_commit(subject):
            yield subject[1:], each


def _unpack_graded(value: bytes) -> Graded:
    with _reading("grades"):
        _check(value[0], "grades")
        place = Place(*_PLACE.unpack_from(value, 1))
        given = _GIVEN.iter_unpack(value[1 + _PLACE.size :])
        return Graded(
            place, tuple(Given(at, fact_id.hex(), SIDES[side], GRADES[grade]) for side, grade, at, fact_id in given)
        )


def put_graded(writer: Writer, subject: bytes, graded: Graded) -> None:
    """Write the grades in force for a piece of work, and their places in the index."""
    table = writer.table("communication")
    rows = (
        _GIVEN.pack(SIDES.index(given.side), GRADES.index(given.grade), given.recorded_ns, bytes.fromhex(given.id))
        for given in graded.grades
    )
    table.put(b"s" + subject, bytes([VERSION]) + _PLACE.pack(*graded.place) + b"".join(rows))
    for given in graded.grades:
        key = _by_time(graded.place.agent, given.recorded_ns, bytes.fromhex(given.id) + subject)
        table.put(key, bytes([GRADES.index(given.grade)]))


def take_out_graded(writer: Writer, subject: bytes, graded: Graded) -> None:
    """Take out what `put_graded` wrote; of work that moved, before it is written where it is now."""
    table = writer.table("communication")
    for given in graded.grades:
        table.delete(_by_time(graded.place.agent, given.recorded_ns, bytes.fromhex(given.id) + subject))
    table.delete(b"s" + subject)


def career_grades(snapshot: Snapshot, agent: int) -> list[tuple[int, str]]:
    """Return the grades in force for an agent, by its number: (Unix nanoseconds, grade), by time."""
    with _reading("a grade"):
        rows = snapshot.table("communication").items(b"a" + _number(agent))
        return [(int.from_bytes(key[5:13], "big"), GRADES[value[0]]) for key, value in rows]


# -- bugs and pushes


def bug_key(fact: BugFact) -> bytes:
    """Return what tells a bug from every other: what it is about, and its id."""
    return journal_codec.key_of(fact)[1:]


def bug_place(snapshot: Snapshot, fact: BugFact) -> BugPlace | None:
    """Return whose a bug is, None where it is not in force."""
    value = snapshot.table("health").get(b"b" + bug_key(fact))
    return None if value is None else _unpack_bug(value)


def placed_bugs(snapshot: Snapshot) -> dict[bytes, BugPlace]:
    """Return every bug in force by its `bug_key`."""
    return {key[1:]: _unpack_bug(value) for key, value in snapshot.table("health").items(b"b")}


def _unpack_bug(value: bytes) -> BugPlace:
    with _reading("a bug"):
        version, agent, project, at_ns = _BUG.unpack(value)
        _check(version, "a bug")
        return BugPlace(Place(agent, project), at_ns)


def put_bug_place(writer: Writer, key: bytes, old: BugPlace | None, new: BugPlace | None) -> None:
    """Write whose the bug with this `bug_key` is, in the place of what was there."""
    table = writer.table("health")
    if old:
        table.delete(_by_time(old.place.agent, old.recorded_ns, key))
    if new is None:
        table.delete(b"b" + key)
        return
    table.put(b"b" + key, _BUG.pack(VERSION, *new.place, new.recorded_ns))
    table.put(_by_time(new.place.agent, new.recorded_ns, key), b"")


def career_bugs(snapshot: Snapshot, agent: int) -> list[int]:
    """Return when the bugs in force for an agent were reported, by its number; Unix nanoseconds."""
    return [int.from_bytes(key[5:13], "big") for key, _ in snapshot.table("health").items(b"a" + _number(agent))]


def last_moment(snapshot: Snapshot) -> int:
    """Return when the last thing happened that moves a standing; Unix nanoseconds, 0 where nothing did."""
    judged = (key[5:13] for name in ("communication", "health") for key in snapshot.table(name).keys(b"a"))
    times = [int.from_bytes(at, "big") for at in judged]
    return max([0, *times, *(kept.last_ns for kept in ledgers(snapshot).values())])


def push_owner(snapshot: Snapshot, oid: bytes) -> int:
    """Return the number of the agent that a push to a commit is put down to, 0 where there is none."""
    value = snapshot.table("health").get(b"y" + oid)
    return 0 if value is None else int.from_bytes(value, "big")


def put_push_owner(writer: Writer, oid: bytes, agent: int) -> None:
    """Write to whom a push is put down; 0 for nobody."""
    if agent:
        writer.table("health").put(b"y" + oid, _number(agent))
    else:
        writer.table("health").delete(b"y" + oid)


# -- tallies and ledgers


def tallies(snapshot: Snapshot, agent: int | None = None) -> dict[Place, Tally]:
    """Return what was done in which project, by everybody or by the agent with this number."""
    with _reading("a tally"):
        found = {}
        for key, value in snapshot.table("metrics").items(b"t" + (b"" if agent is None else _number(agent))):
            version, *numbers = _TALLY.unpack(value)
            _check(version, "a tally")
            found[Place(int.from_bytes(key[1:5], "big"), int.from_bytes(key[5:], "big"))] = Tally(*numbers)
        return found


def put_tally(writer: Writer, place: Place, tally: Tally) -> None:
    """Write a tally; one of nothing is taken out."""
    key = b"t" + _number(place.agent) + _number(place.project)
    if tally == Tally():
        writer.table("metrics").delete(key)
    else:
        writer.table("metrics").put(key, _TALLY.pack(VERSION, *bounded_tally(tally)))


def bounded_tally(tally: Tally) -> Tally:
    """Return a tally as it is kept: hostile counts add up to more than a number holds."""
    return Tally(*(min(amount, most) for amount, most in zip(tally, _MOST, strict=True)))


def ledger(snapshot: Snapshot, agent: int) -> Ledger:
    """Return the ledger of the agent with this number."""
    value = snapshot.table("metrics").get(b"l" + _number(agent))
    return Ledger() if value is None else _unpack_ledger(value)


def ledgers(snapshot: Snapshot) -> dict[int, Ledger]:
    """Return every agent's ledger by its number."""
    rows = snapshot.table("metrics").items(b"l")
    return {int.from_bytes(key[1:], "big"): _unpack_ledger(value) for key, value in rows}


def _unpack_ledger(value: bytes) -> Ledger:
    with _reading("a ledger"):
        version, last_ns, first = _LEDGER.unpack_from(value)
        _check(version, "a ledger")
        entries = list(_ENTRY.iter_unpack(value[_LEDGER.size :]))
        return Ledger(tuple(at for at, _ in entries), (first, *(micro for _, micro in entries)), last_ns)


def put_ledger(writer: Writer, agent: int, kept: Ledger) -> None:
    """Write an agent's ledger."""
    entries = zip(kept.boundaries, kept.sums[1:], strict=True)
    value = _LEDGER.pack(VERSION, kept.last_ns, kept.sums[0]) + b"".join(_ENTRY.pack(*entry) for entry in entries)
    writer.table("metrics").put(b"l" + _number(agent), value)


# -- sessions


def session_key(session_id: str) -> bytes:
    """Return the key of a session's state."""
    return journal_codec.bounded(session_id)


def session_state(snapshot: Snapshot, session_id: str) -> SessionState | None:
    """Return how a session stands."""
    value = snapshot.table("sessions").get(b"s" + session_key(session_id))
    return None if value is None else _unpack_state(value)


def session_states(snapshot: Snapshot) -> dict[bytes, SessionState]:
    """Return how every session stands, by its key."""
    return {key[1:]: _unpack_state(value) for key, value in snapshot.table("sessions").items(b"s")}


def open_sessions(snapshot: Snapshot) -> Iterator[tuple[SessionFact, SessionState]]:
    """Yield the sessions that are open, and how they stand."""
    for key in list(snapshot.table("sessions").keys(b"o")):
        begun, value = snapshot.table("events").get(key), snapshot.table("sessions").get(b"s" + key[1:])
        fact = journal_codec.unpack(key, begun) if begun else None
        if value and isinstance(fact, SessionFact):
            yield fact, _unpack_state(value)


def _unpack_state(value: bytes) -> SessionState:
    with _reading("a session"):
        version, last_ns, ended_ns, end, is_idle, *counts = _STATE.unpack(value)
        _check(version, "a session")
        return SessionState(last_ns, ended_ns, _ENDS[end], bool(is_idle), *counts)


def put_session_state(writer: Writer, key: bytes, state: SessionState) -> None:
    """Write how a session stands, at its `session_key`."""
    last_ns, ended_ns, end, is_idle, *counts = state
    value = _STATE.pack(VERSION, last_ns, ended_ns, _ENDS.index(end), is_idle, *counts)
    table = writer.table("sessions")
    table.put(b"s" + key, value)
    if ended_ns:
        table.delete(b"o" + key)
    else:
        table.put(b"o" + key, b"")
