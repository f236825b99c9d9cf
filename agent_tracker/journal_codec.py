"""The text and the packed form of the journal's facts, both from one table.

Owns that table: each kind's word in a line, its letter in a key, its sub-database, and what each field may hold. A line
is hostile until it is parsed. Never reads a file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_tracker.errors import RecordError
from agent_tracker.journal import (
    GRADES,
    MAX_COUNT,
    MAX_NOTE,
    MAX_WORD,
    PULSES,
    SIDES,
    ActivityFact,
    BindingFact,
    BugFact,
    ForgetFact,
    GradeFact,
    JournalFact,
    PulseFact,
    PushFact,
    RetroFact,
    RulesFact,
    SessionFact,
    WithdrawalFact,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "KINDS",
    "LETTERS",
    "MALFORMED",
    "Kind",
    "blanked",
    "bounded",
    "fields_of",
    "from_fields",
    "is_about_commit",
    "key_of",
    "kind_of",
    "pack",
    "subject_of",
    "unpack",
    "unreadable",
]

VERSION = 1
MAX_PATH = 4096
ID_DIGITS = 12
MAX_NAME_BYTES = 120
_NAMED = 0x80
MAX_NS = (1 << 63) - 1
_OID_BYTES = (20, 32)
_TARGET_DIGITS = (ID_DIGITS, 40, 64)
_HEX = frozenset("0123456789abcdef")
_LONG = 0xFF
_LENGTH = struct.Struct("<I")
_MAX_NUMBER_BYTES = 8

MALFORMED = (struct.error, ValueError, LookupError)
"""What taking a value apart comes to where it is not what we wrote, though its checksum is right."""


class Kind(NamedTuple):
    """How one kind of fact is kept: `fields` says for each what it may hold, `texts` which are free text."""

    word: str
    letter: bytes
    table: str
    fact: type[Any]
    fields: tuple[str, ...]
    texts: tuple[str, ...] = ()


KINDS = (
    Kind("grade", b"g", "events", GradeFact, ("id", "oid", "name", "side", "grade", "note", "ns"), ("note",)),
    Kind("bug", b"b", "events", BugFact, ("id", "oid", "name", "note", "oid", "name", "ns"), ("note",)),
    Kind("withdrawal", b"d", "events", WithdrawalFact, ("id", "note", "ns"), ("why",)),
    Kind(
        "retro",
        b"r",
        "retrospectives",
        RetroFact,
        ("id", "oid", "name", "name", "note", "grade?", "grade?", "note", "note", "name", "ns"),
        ("task", "agent_note", "user_note"),
    ),
    Kind(
        "activity",
        b"v",
        "activities",
        ActivityFact,
        ("id", "name", "name", "oid", "note", "note", "note", "note", "name", "ns"),
        ("task", "actions", "outcome", "decisions"),
    ),
    Kind(
        "session",
        b"o",
        "events",
        SessionFact,
        ("name", "name", "name", "name", "path", "name", "count", "name", "count", "path", "name", "ns"),
    ),
    Kind("binding", b"n", "events", BindingFact, ("name", "name", "ns")),
    Kind(
        "pulse",
        b"p",
        "events",
        PulseFact,
        ("id", "name", "pulse", "count", "count", "count", "count", "count", "count", "ns"),
    ),
    Kind("push", b"y", "events", PushFact, ("oid", "ns")),
    Kind("rules", b"z", "events", RulesFact, ("ns", "flag", "path")),
    Kind("forget", b"x", "events", ForgetFact, ("name", "ns")),
)
"""Every kind, in the order in which a person meets them."""

_BY_FACT = {kind.fact: kind for kind in KINDS}
_BY_LETTER = {kind.letter: kind for kind in KINDS}
LETTERS = frozenset(_BY_LETTER)
_MAX_PROCESS = 1 << 32
_MAX_COUNTS = {"process": _MAX_PROCESS, "port": 1 << 16, "response_ms": 1 << 40, "slowest_ms": 1 << 40}


def kind_of(fact: JournalFact) -> Kind:
    """Return how this kind of fact is kept."""
    return _BY_FACT[type(fact)]


# -- as text


def fields_of(fact: JournalFact) -> list[str]:
    """Return a fact's fields as a line holds them, unescaped, without the kind."""
    return [_to_text(value) for value in fact]


def _to_text(value: str | bytes | int) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str) else str(int(value))


def from_fields(kind: Kind, fields: Sequence[str]) -> JournalFact:
    """Return the fact that a line's fields make.

    Raises:
        ValueError: One of them is not what it may be; the message says which.
    """
    names = kind.fact._fields
    if len(fields) != len(names):
        raise ValueError(f"{len(fields)} fields, not {len(names)}")
    values = []
    for name, of, text in zip(names, kind.fields, fields, strict=True):
        try:
            values.append(_from_text(name, of, text))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    fact: JournalFact = kind.fact(*values)
    _check(fact)
    return fact


def _from_text(name: str, of: str, text: str) -> object:
    if of in _CHOICES:
        if text not in _CHOICES[of]:
            raise ValueError(f"unknown word {text[:20]!r}")
        return text
    if of in _LIMITS:
        if len(text) > _LIMITS[of]:
            raise ValueError(f"{len(text)} characters are over the limit of {_LIMITS[of]}")
        if of == "name" and "\0" in text:
            raise ValueError("a NUL character")
        return text
    return _READERS[of](name, text)


def _read_id(_name: str, text: str) -> str:
    if len(text) != ID_DIGITS or not _HEX.issuperset(text):
        raise ValueError(f"not an id: {text[:20]!r}")
    return text


def _read_oid(_name: str, text: str) -> bytes:
    oid = bytes.fromhex(text)
    if oid and len(oid) not in _OID_BYTES:
        raise ValueError(f"not a full oid: {text[:70]!r}")
    return oid


def _read_count(name: str, text: str) -> int:
    limit = _MAX_COUNTS.get(name, MAX_COUNT)
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1  # noqa: PLR2004 -- fits 64 bits
    if not 0 <= value <= limit:
        raise ValueError(f"not a number up to {limit}: {text[:20]!r}")
    return value


def _read_ns(_name: str, text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1  # noqa: PLR2004 -- as above
    if not 0 <= value <= MAX_NS:
        raise ValueError(f"time out of range: {text[:30]!r}")
    return value


def _read_flag(_name: str, text: str) -> bool:
    return text == "1"


_LIMITS = {"name": MAX_WORD, "note": MAX_NOTE, "path": MAX_PATH}
_CHOICES = {"side": SIDES, "grade": GRADES, "grade?": ("", *GRADES), "pulse": PULSES}
_READERS: dict[str, Callable[[str, str], object]] = {
    "id": _read_id,
    "oid": _read_oid,
    "count": _read_count,
    "ns": _read_ns,
    "flag": _read_flag,
}


def _check(fact: JournalFact) -> None:
    """Raise where the fields do not go together.

    Raises:
        ValueError: They do not.
    """
    match fact:
        case GradeFact() if bool(fact.oid) == bool(fact.session):
            raise ValueError("about a commit or about a session, one of them")
        case BugFact() if bool(fact.oid) == bool(fact.agent):
            raise ValueError("in a commit or against an agent, one of them")
        case RetroFact() if not fact.oid and not fact.session:
            raise ValueError("about neither a commit nor a session")
        case SessionFact(id="") | PulseFact(session="") | PushFact(oid=b""):
            raise ValueError("about nothing")
        case BindingFact() if not fact.session or not fact.agent:
            raise ValueError("about nothing")
        case ForgetFact() if len(fact.target) not in _TARGET_DIGITS or not _HEX.issuperset(fact.target):
            raise ValueError("about no fact's id and no commit's oid")


# -- packed


def subject_of(oid: bytes, name: str) -> bytes:
    """Return the part of a key that says what a fact is about: a commit, or else a session or an agent."""
    if oid:
        return bytes([len(oid)]) + oid
    data = bounded(name)
    return bytes([_NAMED + len(data)]) + data


def is_about_commit(subject: bytes) -> bool:
    """Tell whether a `subject_of` is a commit."""
    return subject[0] < _NAMED


def bounded(name: str) -> bytes:
    """Return a name as part of a key: a long one by its digest."""
    data = name.encode("utf-8", "surrogatepass")
    if len(data) <= MAX_NAME_BYTES:
        return data
    import hashlib  # noqa: PLC0415 -- long names are rare

    return hashlib.sha256(data).digest()


def key_of(fact: JournalFact) -> bytes:  # noqa: C901, PLR0911 -- one for each kind
    """Return a fact's key: a letter for its kind, what it is about, and its id.

    `g` subject id · `b` subject id · `d` id · `o` session · `n` session when · `p` session id · `y` oid · `z` when ·
    `x` target, and in tables of their own, by time: `r` when id · `v` when id.
    """
    letter = kind_of(fact).letter
    match fact:
        case GradeFact():
            return letter + subject_of(fact.oid, fact.session) + bytes.fromhex(fact.id)
        case BugFact():
            return letter + subject_of(fact.oid, fact.agent) + bytes.fromhex(fact.id)
        case WithdrawalFact():
            return letter + bytes.fromhex(fact.id)
        case RetroFact() | ActivityFact():
            return letter + fact.recorded_ns.to_bytes(8, "big") + bytes.fromhex(fact.id)
        case SessionFact():
            return letter + bounded(fact.id)
        case BindingFact():
            return letter + subject_of(b"", fact.session) + fact.recorded_ns.to_bytes(8, "big")
        case PulseFact():
            return letter + subject_of(b"", fact.session) + bytes.fromhex(fact.id)
        case PushFact():
            return letter + fact.oid
        case RulesFact():
            return letter + fact.recorded_ns.to_bytes(8, "big") + bytes([fact.is_for_all])
        case ForgetFact():
            return letter + bounded(fact.target)


def pack(fact: JournalFact) -> bytes:
    """Return a fact's value: every field, each after its length."""
    parts = [bytes([VERSION])]
    for value in fact:
        if isinstance(value, str):
            data = value.encode("utf-8", "surrogatepass")
        elif isinstance(value, bytes):
            data = value
        else:
            data = int(value).to_bytes((int(value).bit_length() + 7) // 8, "big")
        parts += (bytes([len(data)]) if len(data) < _LONG else bytes([_LONG]) + _LENGTH.pack(len(data)), data)
    return b"".join(parts)


def unpack(key: bytes, value: bytes) -> JournalFact:
    """Undo `pack`; the key says the kind.

    Raises:
        RecordError: It is of a newer format, not whole, or holds what it may not.
    """
    try:
        kind = _BY_LETTER[key[:1]]
        if value[0] != VERSION:
            raise RecordError(
                f"a {kind.word} of format version {value[0]}, this program knows {VERSION}", "upgrade agent-tracker"
            )
        fact: JournalFact = kind.fact(*_values(kind, value))
        _check(fact)
    except MALFORMED as error:
        raise unreadable("a fact of the journal", error, key) from error
    return fact


def _values(kind: Kind, value: bytes) -> list[object]:
    values = []
    at = 1
    for of in kind.fields:
        length, at = value[at], at + 1
        if length == _LONG:
            (length,), at = _LENGTH.unpack_from(value, at), at + _LENGTH.size
        values.append(_UNPACKERS[of](value[at : at + length]))
        at += length
    if at != len(value):
        raise ValueError(f"{len(value)} bytes, not {at}")
    return values


def unreadable(what: str, error: Exception, key: bytes = b"") -> RecordError:
    """Return the error that a stored record comes to that says nothing: it was not written by this program."""
    where = f" at key {key.hex()[:80]}" if key else ""
    return RecordError(f"{what}{where} cannot be read: {error}", "agent-tracker verify")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _id(data: bytes) -> str:
    return _read_id("", data.decode("ascii"))


def _oid(data: bytes) -> bytes:
    if data and len(data) not in _OID_BYTES:
        raise ValueError(f"an oid of {len(data)} bytes")
    return data


def _number(data: bytes) -> int:
    if len(data) > _MAX_NUMBER_BYTES:
        raise ValueError(f"a number of {len(data)} bytes")
    value = int.from_bytes(data, "big")
    if value > MAX_NS:
        raise ValueError("a number over 63 bits")
    return value


_UNPACKERS: dict[str, Callable[[bytes], object]] = {
    **{of: {word.encode(): word for word in words}.__getitem__ for of, words in _CHOICES.items()},
    **dict.fromkeys(_LIMITS, _text),
    "id": _id,
    "oid": _oid,
    "count": _number,
    "ns": _number,
    "flag": bool,
}


def blanked(fact: JournalFact) -> JournalFact:
    """Return a fact without its free texts."""
    texts: dict[str, Any] = dict.fromkeys(kind_of(fact).texts, "")
    return fact._replace(**texts)
