"""The store's packed form of facts and of what is derived from them.

Owns the byte layout of every value, each with its own version byte. Never touches the database; the checksum around
a value belongs to `tables`.

`struct` was chosen by measurement. A flush starts on every push, and importing msgspec takes longer than all the rest
of a small one; json reads a commit five times more slowly. `agent-tracker bench` shows the three side by side.
"""

from __future__ import annotations

import struct

from agent_tracker import journal_codec
from agent_tracker.errors import RecordError
from agent_tracker.journal import JournalFact
from agent_tracker.journal_codec import MALFORMED, unreadable
from agent_tracker.records import (
    ABANDONED,
    COUNTED,
    MICRO,
    OPERATIONS,
    PROVISIONAL,
    REWRITTEN,
    UNDONE,
    Agent,
    AgentFact,
    CreditFact,
    Credits,
    LossFact,
    Marks,
    ProjectFact,
    RewriteFact,
    ScanPosition,
    SightingFact,
    Standing,
    StateFact,
    UndoneFact,
)

__all__ = [
    "pack_agent",
    "pack_commit",
    "pack_commit_state",
    "pack_event",
    "pack_marks",
    "pack_project",
    "pack_scan_position",
    "unpack_agent",
    "unpack_commit",
    "unpack_commit_state",
    "unpack_event",
    "unpack_marks",
    "unpack_project",
    "unpack_scan_position",
]

VERSION = 1
STATUSES = (COUNTED, REWRITTEN, PROVISIONAL, UNDONE, ABANDONED)
NOBODY, PERSON, FIRST_AGENT = 0, 1, 2
"""Numbers that stand for UNCLAIMED and HUMAN in packed credits, and the first that stands for an agent."""

_COMMIT = struct.Struct("<BBIIIBI")
_STATE = struct.Struct("<BI")
_WHOLE = struct.Struct("<BIH")
_SHARE = struct.Struct("<II")
_AGENT = struct.Struct("<BBIqqIQIIIQH")
_TRANSITION = struct.Struct("<QB")
_REWRITE = struct.Struct("<BQii")
_STATE_EVENT = struct.Struct("<BQ")
_AGENT_EVENT = struct.Struct("<BQ")
_CREDIT_EVENT = struct.Struct("<BQ")
_SIGHTING_EVENT = struct.Struct("<BQ")
_UNDONE_EVENT = struct.Struct("<BQB")
_LOSS_EVENT = struct.Struct("<BB")
_PROJECT = struct.Struct("<BQB")
_SCAN = struct.Struct("<BBQII")
_CORE_LETTERS = frozenset({b"w", b"s", b"c", b"a", b"h", b"u", b"l"})
_LONG_OID, _LONG_OID_BYTES = 0x80, 32
_OID_BYTES = frozenset({20, _LONG_OID_BYTES})
_MAX_TIME = (1 << 63) - 1
_MAX_SHORT = 0xFFFF
_EARNED_BYTES = 5
_OPERATION_NUMBERS = {name: number for number, name in enumerate(OPERATIONS)}
_STATUS_NUMBERS = {name: number for number, name in enumerate(STATUSES)}

RawCommit = tuple[bytes, int, str, int, int, int, str]
"""oid, project number, operation, marks number, committed_at, recorded_at, subject."""
RawState = tuple[int, str, tuple[tuple[int, int], ...], int | None]
"""A commit's sequence number, its status, its credits as (agent number, share in millionths), when its work was first
committed if that was in another commit."""


def _check_version(version: int, what: str) -> None:
    if version != VERSION:
        raise RecordError(f"{what} of format version {version}, this program knows {VERSION}", "upgrade agent-tracker")


def pack_commit(  # noqa: PLR0913, PLR0917 -- the fields of a fact, for a loop that runs a hundred thousand times
    oid: bytes, project: int, operation: str, marks: int, committed_at: int, recorded_at: int, subject: bytes
) -> bytes:
    """Return a commit fact's value: project and marks by numbers, `committed_at` in 40 bits, `recorded_at` in 32."""
    kind = _OPERATION_NUMBERS[operation] | (_LONG_OID if len(oid) == _LONG_OID_BYTES else 0)
    low, high = committed_at & 0xFFFFFFFF, committed_at >> 32
    recorded_at = min(recorded_at, 0xFFFFFFFF)
    return _COMMIT.pack(VERSION, kind, project, marks, low, high, recorded_at) + oid + subject


def unpack_commit(value: bytes) -> RawCommit:
    """Undo `pack_commit`.

    Raises:
        RecordError: It is of another version, or not whole.
    """
    try:
        version, kind, project, marks, low, high, recorded_at = _COMMIT.unpack_from(value)
        if version != VERSION:
            _check_version(version, "a commit")
        end = 51 if kind & _LONG_OID else 39
        if len(value) < end:
            raise ValueError("cut off in its oid")
        return (
            value[19:end],
            project,
            OPERATIONS[kind & 0x7F],
            marks,
            low | high << 32,
            recorded_at,
            str(value[end:], "utf-8", "surrogateescape"),
        )
    except MALFORMED as error:
        raise unreadable("a commit", error) from error


def pack_commit_state(
    sequence: int, status: str, shares: tuple[tuple[int, int], ...], earned_at: int | None = None
) -> bytes:
    """Return what is derived for a commit; one agent's whole share, the common case, takes two bytes.

    Args:
        sequence: The commit's number.
        status: One of STATUSES.
        shares: Agents' numbers and their shares in millionths.
        earned_at: When its work was first committed (Unix seconds); None where that is when it was made itself.
    """
    head = VERSION << 4 | _STATUS_NUMBERS[status]
    if len(shares) == 1 and shares[0][0] <= _MAX_SHORT:
        value = _WHOLE.pack(head, sequence, shares[0][0])
    else:
        value = _STATE.pack(head, sequence) + b"".join(_SHARE.pack(agent, share) for agent, share in shares)
    return value if earned_at is None else value + earned_at.to_bytes(_EARNED_BYTES, "big")


def unpack_commit_state(value: bytes) -> RawState:
    """Undo `pack_commit_state`.

    Raises:
        RecordError: It is of another version, or not whole.
    """
    earned_at = None
    try:
        # A state is 7 bytes long, or 5 and 8 for each share; what is longer by five says when.
        if len(value) != _WHOLE.size and len(value) % _SHARE.size != _STATE.size:
            value, earned_at = value[:-_EARNED_BYTES], int.from_bytes(value[-_EARNED_BYTES:], "big")
        if len(value) == _WHOLE.size:
            head, sequence, agent = _WHOLE.unpack(value)
            shares: tuple[tuple[int, int], ...] = ((agent, MICRO),)
        else:
            head, sequence = _STATE.unpack_from(value)
            shares = tuple(_SHARE.iter_unpack(value[_STATE.size :]))
        if head >> 4 != VERSION:
            _check_version(head >> 4, "a commit's state")
        return sequence, STATUSES[head & 0x0F], shares, earned_at
    except MALFORMED as error:
        raise unreadable("a commit's state", error) from error


def _text(*parts: str) -> bytes:
    return "\0".join(parts).encode("utf-8", "surrogateescape")


def _parts(value: bytes) -> list[str]:
    return value.decode("utf-8", "surrogateescape").split("\0")


def pack_agent(agent: Agent, number: int) -> bytes:
    """Return an agent with its standing; its id is the key."""
    standing = agent.standing
    head = _AGENT.pack(
        VERSION,
        agent.active,
        number,
        agent.created_at,
        agent.updated_at,
        standing.skill_points,
        standing.experience_micro,
        standing.communication_score,
        standing.total_commits,
        standing.total_bugs,
        standing.earned_micro,
        len(agent.transitions),
    )
    transitions = b"".join(_TRANSITION.pack(*transition) for transition in agent.transitions)
    return head + transitions + _text(agent.name, agent.model, agent.scope, agent.client)


def unpack_agent(agent_id: str, value: bytes) -> tuple[Agent, int]:
    """Undo `pack_agent`: the agent and its number.

    Raises:
        RecordError: It is of another version, or not whole.
    """
    try:
        return _unpack_agent(agent_id, value)
    except MALFORMED as error:
        raise unreadable(f"the agent {agent_id}", error) from error


def _unpack_agent(agent_id: str, value: bytes) -> tuple[Agent, int]:
    version, active, number, created_at, updated_at, *standing, count = _AGENT.unpack_from(value)
    if version != VERSION:
        _check_version(version, "an agent")
    start = _AGENT.size
    end = start + count * _TRANSITION.size
    transitions = tuple((at, bool(on)) for at, on in _TRANSITION.iter_unpack(value[start:end])) if count else ()
    name, model, scope, client = _parts(value[end:])
    times = _time(created_at), _time(updated_at)
    agent = Agent(agent_id, name, model, scope, client, bool(active), *times, Standing(*standing), transitions)
    return agent, number


def pack_marks(marks: Marks) -> bytes:
    """Return identity marks as one blob, the same for the same marks."""
    return _text(*(part for mark in marks for part in mark))


def unpack_marks(value: bytes) -> Marks:
    """Undo `pack_marks`.

    Raises:
        RecordError: A name has no value.
    """
    if not value:
        return ()
    parts = _parts(value)
    if len(parts) % 2:
        raise RecordError("identity marks that cannot be read: a name without a value", "agent-tracker verify")
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def pack_project(fact: ProjectFact) -> bytes:
    """Return a project; its number is the key."""
    return _PROJECT.pack(VERSION, fact.recorded_at, len(fact.root)) + fact.root + fact.id.encode() + b"\0" + fact.path


def unpack_project(value: bytes) -> ProjectFact:
    """Undo `pack_project`.

    Raises:
        RecordError: It is of another version, or not whole.
    """
    try:
        version, recorded_at, length = _PROJECT.unpack_from(value)
        _check_version(version, "a project")
        end = _PROJECT.size + length
        project, mark, path = value[end:].partition(b"\0")
        root = value[_PROJECT.size : end]
        if not mark:
            raise ValueError("it has no path")
        return ProjectFact(project.decode(), path, _oid(root) if root else b"", _time(recorded_at))
    except MALFORMED as error:
        raise unreadable("a project", error) from error


def pack_scan_position(position: ScanPosition) -> bytes:
    """Return how far a repository's history was read."""
    length = len(position.tips[0]) if position.tips else 0
    return _SCAN.pack(VERSION, length, *position[1:]) + b"".join(position.tips)


def unpack_scan_position(value: bytes) -> ScanPosition:
    """Undo `pack_scan_position`.

    Raises:
        RecordError: It is of another version, or not whole.
    """
    try:
        version, length, since, shallow, refs = _SCAN.unpack_from(value)
        _check_version(version, "a scan's position")
        oids = value[_SCAN.size :]
        if (length not in _OID_BYTES and oids) or (oids and len(oids) % length):
            raise ValueError("cut off in an oid")
        tips = tuple(oids[start : start + length] for start in range(0, len(oids), length or 1))
        return ScanPosition(tips, _time(since), shallow, refs)
    except MALFORMED as error:
        raise unreadable("a scan's position", error) from error


def _oid(data: bytes) -> bytes:
    if len(data) not in _OID_BYTES:
        raise ValueError(f"an oid of {len(data)} bytes")
    return data


def _time(at: int) -> int:
    """Return a moment as lines may say it."""
    if not 0 <= at <= _MAX_TIME:
        raise ValueError(f"time out of range: {at}")
    return at


CoreFact = RewriteFact | StateFact | CreditFact | AgentFact | SightingFact | UndoneFact | LossFact
EventFact = CoreFact | JournalFact
_CORE = (RewriteFact, StateFact, CreditFact, AgentFact, SightingFact, UndoneFact, LossFact)


def event_key(fact: EventFact) -> bytes:
    """Return a fact's deterministic id, which is its key: a letter for the kind, then what it is about."""
    return _core_key(fact) if isinstance(fact, _CORE) else journal_codec.key_of(fact)


def pack_event(fact: EventFact) -> bytes:
    """Return a fact's value."""
    return _pack_core(fact) if isinstance(fact, _CORE) else journal_codec.pack(fact)


def unpack_event(key: bytes, value: bytes) -> EventFact:
    """Undo `event_key` and `pack_event`.

    Raises:
        RecordError: It is of a kind or a version that this program does not know, or not whole.
    """
    if key[:1] in _CORE_LETTERS:
        try:
            return _unpack_core(key, value)
        except MALFORMED as error:
            raise unreadable("an event", error, key) from error
    if key[:1] in journal_codec.LETTERS:
        return journal_codec.unpack(key, value)
    raise RecordError(f"an event of unknown kind {key[:1]!r}", "upgrade agent-tracker")


def _core_key(fact: CoreFact) -> bytes:  # noqa: PLR0911 -- one for each kind
    """Return the key of one of the kinds that are not the journal's.

    `w` old new · `s` agent, when · `c` oid, when · `a` agent · `h` oid · `u` oid, back to · `l` oid, when.
    """
    match fact:
        case RewriteFact():
            return b"w" + fact.old + fact.new
        case StateFact():
            return b"s" + fact.agent.encode() + b"\0" + fact.recorded_ns.to_bytes(8, "big")
        case CreditFact():
            return b"c" + fact.oid + fact.recorded_ns.to_bytes(8, "big")
        case AgentFact():
            return b"a" + fact.id.encode()
        case SightingFact():
            return b"h" + fact.oid
        case UndoneFact():
            return b"u" + fact.oid + fact.back_to
        case LossFact():
            return b"l" + fact.oid + fact.recorded_ns.to_bytes(8, "big")


def _pack_core(fact: CoreFact) -> bytes:  # noqa: PLR0911 -- one for each kind
    """Return what the key does not say."""
    match fact:
        case RewriteFact():
            return _REWRITE.pack(VERSION, fact.recorded_ns, fact.old_lines, fact.own_lines) + fact.operation.encode()
        case StateFact():
            return _STATE_EVENT.pack(VERSION, fact.recorded_ns) + fact.state.encode()
        case CreditFact():
            shares = (part for agent, share in fact.credits for part in (agent, str(share)))
            return _CREDIT_EVENT.pack(VERSION, fact.recorded_ns) + _text(fact.why, *shares)
        case AgentFact():
            strings = _text(fact.name, fact.model, fact.scope, fact.client)
            return _AGENT_EVENT.pack(VERSION, fact.recorded_at) + strings
        case UndoneFact():
            return _UNDONE_EVENT.pack(VERSION, fact.recorded_ns, len(fact.oid))
        case LossFact():
            return _LOSS_EVENT.pack(VERSION, fact.is_lost)
        case SightingFact():
            return _SIGHTING_EVENT.pack(VERSION, fact.recorded_at) + pack_marks(fact.marks)


def _unpack_core(key: bytes, value: bytes) -> CoreFact:  # noqa: PLR0911 -- one for each kind
    _check_version(value[0], "an event")
    kind, about = key[:1], key[1:]
    if kind == b"w":
        _, recorded_ns, old_lines, own_lines = _REWRITE.unpack_from(value)
        half = len(about) // 2
        operation = value[_REWRITE.size :].decode()
        return RewriteFact(_oid(about[:half]), _oid(about[half:]), operation, recorded_ns, old_lines, own_lines)
    if kind == b"s":
        agent = about[:-9].decode()
        return StateFact(agent, value[_STATE_EVENT.size :].decode(), _STATE_EVENT.unpack_from(value)[1])
    if kind == b"c":
        why, *shares = _parts(value[_CREDIT_EVENT.size :])
        credit: Credits = tuple((agent, int(share)) for agent, share in zip(shares[::2], shares[1::2], strict=True))
        if not credit or not all(0 < share <= MICRO for _, share in credit):
            raise ValueError("its shares do not add to 1")
        return CreditFact(_oid(about[:-8]), credit, _CREDIT_EVENT.unpack_from(value)[1], why)
    if kind == b"a":
        name, model, scope, client = _parts(value[_AGENT_EVENT.size :])
        recorded_at = _time(_AGENT_EVENT.unpack_from(value)[1])
        return AgentFact(about.decode(), name, model, scope, client, recorded_at)
    if kind == b"h":
        marks = unpack_marks(value[_SIGHTING_EVENT.size :])
        return SightingFact(_oid(about), marks, _time(_SIGHTING_EVENT.unpack_from(value)[1]))
    if kind == b"u":
        _, recorded_ns, length = _UNDONE_EVENT.unpack_from(value)
        back_to = about[length:]
        return UndoneFact(_oid(about[:length]), _oid(back_to) if back_to else b"", recorded_ns)
    return LossFact(_oid(about[:-8]), bool(_LOSS_EVENT.unpack_from(value)[1]), int.from_bytes(about[-8:], "big"))
