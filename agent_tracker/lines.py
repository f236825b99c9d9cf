"""The spool's text form: one fact, one framed line.

Owns the line's format (`LINE_VERSION`), its escapes and its limits. Never reads a file and never decides what a
record means. A line is hostile until it is parsed: whatever is wrong with it is a `RecordError`.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING

from agent_tracker.appending import LINE_VERSION, format_line
from agent_tracker.errors import RecordError
from agent_tracker.escaping import unescape
from agent_tracker.journal_codec import KINDS, fields_of, from_fields, kind_of
from agent_tracker.records import (
    MICRO,
    AgentFact,
    CreditFact,
    Seen,
    SeenCommit,
    SeenRewrite,
    SeenSquash,
    StateFact,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.journal import JournalFact

__all__ = [
    "LINE_VERSION",
    "agent_line",
    "commit_line",
    "credit_line",
    "fact_line",
    "format_line",
    "parse_agent_id",
    "parse_line",
    "parse_oid",
    "parse_text",
    "squash_line",
    "state_line",
]

MAX_FIELD = 4096
MAX_AGENT_ID = 100
MAX_VARIABLES = 200
MAX_VARIABLE_NAME = 100
MAX_SHARES = 1000
MAX_TIME_S = (1 << 40) - 1
"""Unix seconds: as many as the store's keys have room for, and a calendar knows."""

MAX_TIME_NS = (1 << 63) - 1
_OID_LENGTHS = (40, 64)
_DURING = frozenset({"rebase", "am", "merge"})
_FOUND = frozenset({"push", "rules"})
"""What a flush finds for itself, so that no line says it."""


def parse_line(line: bytes) -> Seen:
    """Return what one line of a spool says.

    Args:
        line: Without its newlines.

    Raises:
        RecordError: The line is torn, altered, of an unknown kind, or breaks a limit; the message says which.
    """
    record = _unframe(line)
    fields = [unescape(f) for f in record.decode("utf-8", "surrogateescape").split("\t")]
    if fields[0] != LINE_VERSION:
        raise RecordError(f"format version {fields[0][:20]!r} is not {LINE_VERSION}")
    parser = _PARSERS.get(fields[1]) if len(fields) > 1 else None
    if parser is None:
        raise RecordError(f"unknown kind of record {fields[1][:20]!r}" if len(fields) > 1 else "no kind of record")
    try:
        return parser(fields[2:])
    except (ValueError, IndexError) as error:
        raise RecordError(f"malformed {fields[1]} record: {error}") from error


def _unframe(line: bytes) -> bytes:
    record, mark, trailer = line.rpartition(b" =")
    length, _, crc = trailer.partition(b":")
    if not mark or not length.isdigit() or len(length) > 7 or int(length) != len(record):  # noqa: PLR2004 -- < 10 MB
        raise RecordError("torn, or not written by agent-tracker")
    if crc and crc != b"%08x" % zlib.crc32(record):
        raise RecordError("altered since it was written")
    return record


def parse_oid(text: str) -> bytes:
    """Return the raw oid (20 or 32 bytes) of a full hexadecimal one.

    Raises:
        ValueError: It is not one.
    """
    oid = bytes.fromhex(text) if len(text) in _OID_LENGTHS else b""
    if 2 * len(oid) != len(text) or not oid:
        raise ValueError(f"not a full oid: {text[:70]!r}")
    return oid


def _parse_commit(fields: list[str]) -> SeenCommit:
    variables = []
    if len(fields) > 4 + MAX_VARIABLES:
        raise ValueError(f"{len(fields) - 4} variables are over the limit of {MAX_VARIABLES}")
    for field in fields[4:]:
        name, mark, value = field.partition("=")
        if not mark or not name.isidentifier() or len(name) > MAX_VARIABLE_NAME or not name.isascii():
            raise ValueError(f"not NAME=value: {field[:40]!r}")
        variables.append((name, parse_text(value)))
    during = fields[3] if fields[3] in _DURING else ""
    return SeenCommit(parse_oid(fields[0]), parse_text(fields[1]), parse_text(fields[2]), during, tuple(variables))


def _parse_squash(fields: list[str]) -> SeenSquash:
    head, *oids = fields
    if not oids:
        raise ValueError("of nothing")
    return SeenSquash(parse_oid(head) if head else b"", tuple(map(parse_oid, oids)))


def _parse_rewrite(fields: list[str]) -> SeenRewrite:
    operation, old, new = fields
    if operation not in {"amend", "rebase"}:
        raise ValueError(f"unknown rewrite {operation[:20]!r}")
    return SeenRewrite(parse_oid(old), parse_oid(new), operation)


def _parse_agent(fields: list[str]) -> AgentFact:
    agent, name, model, scope, client, recorded_at = map(parse_text, fields)
    return AgentFact(parse_agent_id(agent), name, model, scope, client, _time(recorded_at, MAX_TIME_S))


def _parse_state(fields: list[str]) -> StateFact:
    agent, state, recorded_ns = map(parse_text, fields)
    if state not in {"active", "retired"}:
        raise ValueError(f"unknown state {state[:20]!r}")
    return StateFact(parse_agent_id(agent), state, _time(recorded_ns))


def _parse_credit(fields: list[str]) -> CreditFact:
    oid, recorded_ns, why, *pairs = fields
    if len(pairs) > MAX_SHARES:
        raise ValueError(f"{len(pairs)} shares are over the limit of {MAX_SHARES}")
    shares = tuple((parse_text(agent), int(share)) for agent, share in (p.rsplit(":", 1) for p in pairs))
    if sum(share for _, share in shares) != MICRO or any(share <= 0 for _, share in shares):
        raise ValueError("shares do not add to 1")
    return CreditFact(parse_oid(oid), shares, _time(recorded_ns), parse_text(why))


def parse_text(text: str) -> str:
    """Return a text that the store has room for, and a form.

    Raises:
        ValueError: It is too long, or holds what separates texts there, or what stands for nothing.
    """
    if len(text) > MAX_FIELD:
        raise ValueError(f"a field of {len(text)} characters is over the limit of {MAX_FIELD}")
    if "\0" in text:
        raise ValueError("a NUL character")
    # Bytes that are no UTF-8 come as surrogates and can be stored; by themselves surrogates come by an escape alone.
    if not text.isascii():
        text.encode("utf-8", "surrogateescape")
    return text


def parse_agent_id(text: str) -> str:
    """Return an agent's id, which is a file's name too.

    Raises:
        ValueError: It is none.
    """
    if not 0 < len(text) <= MAX_AGENT_ID or not text.isascii() or not text.replace("-", "").isalnum():
        raise ValueError(f"not an agent's id: {text[:40]!r}")
    return text


def _time(text: str, limit: int = MAX_TIME_NS) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1  # noqa: PLR2004 -- fits 64 bits
    if not 0 <= value <= limit:
        raise ValueError(f"time out of range: {text[:30]!r}")
    return value


_JOURNAL: dict[str, Callable[[list[str]], Seen]] = {
    kind.word: partial(from_fields, kind) for kind in KINDS if kind.word not in _FOUND
}
_PARSERS: dict[str, Callable[[list[str]], Seen]] = _JOURNAL | {
    "commit": _parse_commit,
    "rewrite": _parse_rewrite,
    "squash": _parse_squash,
    "agent": _parse_agent,
    "state": _parse_state,
    "credit": _parse_credit,
}


def agent_line(fact: AgentFact) -> bytes:
    """Return the spool line of a registration."""
    return format_line("agent", fact.id, fact.name, fact.model, fact.scope, fact.client, str(fact.recorded_at))


def state_line(fact: StateFact) -> bytes:
    """Return the spool line of an agent's retirement or return."""
    return format_line("state", fact.agent, fact.state, str(fact.recorded_ns))


def credit_line(fact: CreditFact) -> bytes:
    """Return the spool line of a correction."""
    shares = (f"{agent}:{share}" for agent, share in fact.credits)
    return format_line("credit", fact.oid.hex(), str(fact.recorded_ns), fact.why, *shares)


def fact_line(fact: JournalFact) -> bytes:
    """Return the spool line of a fact of the journal; `project` stays out of it."""
    return format_line(kind_of(fact).word, *fields_of(fact))


def squash_line(seen: SeenSquash) -> bytes:
    """Return the spool line of a squash of which nothing was made yet."""
    return format_line("squash", seen.head.hex(), *(oid.hex() for oid in seen.oids))


def commit_line(seen: SeenCommit) -> bytes:
    """Return the spool line of a commit that the shell could not write itself."""
    variables = (f"{name}={value[:MAX_FIELD]}" for name, value in seen.variables)
    return format_line("commit", seen.oid.hex(), seen.resolved, seen.use, seen.during, *variables)
