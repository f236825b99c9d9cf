"""One fact and one JSON object: both ways, with everything checked on the way in.

Owns the names and the limits of the format that `docs/facts-format.md` describes. A line is hostile until it is parsed:
whatever is wrong with it is a `RecordError`. What the spool's lines and the journal's table check already is checked by
them. Never reads a file; header, trailer and order of a whole file are `fact_files`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from agent_tracker.errors import ConfigError, RecordError
from agent_tracker.journal import RulesFact
from agent_tracker.journal_codec import KINDS, MAX_NS, from_fields
from agent_tracker.lines import MAX_FIELD, MAX_TIME_S, agent_line, credit_line, parse_line, parse_oid, state_line
from agent_tracker.records import (
    HUMAN,
    OPERATIONS,
    AgentFact,
    CommitFact,
    CreditFact,
    Fact,
    LossFact,
    Marks,
    ProjectFact,
    RewriteFact,
    SightingFact,
    StateFact,
    UndoneFact,
)
from agent_tracker.rules import parse_values, with_overrides

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.journal import JournalFact
    from agent_tracker.journal_codec import Kind

__all__ = [
    "FACTS",
    "MAX_LINE_BYTES",
    "fact_from_json",
    "fact_to_json",
    "format_object",
    "parse_object",
    "word_of",
]

MAX_LINE_BYTES = 32 << 20
"""How long a line may be: longer than the longest fact that a spool may hold, each of its characters an escape."""

F = TypeVar("F", AgentFact, StateFact, CreditFact)
MAX_RECORDED_AT = (1 << 32) - 1
MAX_LINES = (1 << 31) - 1
MAX_OPERATION = 40
UUID_LENGTH = 36
_OPERATIONS = frozenset(OPERATIONS)
_RULES = re.compile("(?:[A-Za-z]{1,40}=-?[0-9]{1,9}(?: (?!$)|$))*")
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""Halves of a pair that were never joined: as escapes side by side, every reader of JSON joins them."""


# -- a line and an object


def format_object(value: dict[str, object]) -> bytes:
    """Return an object as a line: no space, and ASCII alone, so that a terminal can be shown any of it.

    Raises:
        RecordError: It is longer than a line may be.
    """
    line = _encode(value).encode("ascii") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise RecordError(f"a {value.get('kind')} of {len(line)} bytes is longer than a line may be")
    return line


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the object that a line holds.

    Raises:
        RecordError: It is longer than a line may be, no UTF-8, no JSON, no object, nested too deeply, or holds a name
            twice or a number that is not whole.
    """
    if len(line) > MAX_LINE_BYTES:
        raise RecordError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        value = _decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8: byte {error.start + 1} of the line") from error
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except ValueError as error:
        raise RecordError(str(error)[:200]) from error
    except RecursionError as error:
        raise RecordError("nested too deeply") from error
    if type(value) is not dict:
        raise RecordError("not a JSON object")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:40]!r} stands there twice")
    return found


def _refused(number: str) -> object:
    raise ValueError(f"not a whole number: {number[:40]}")


_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_float=_refused, parse_constant=_refused).decode


# -- a fact as an object


def word_of(fact: Fact) -> str:
    """Return the word for a fact's kind."""
    return _WORDS[type(fact)]


def fact_to_json(fact: Fact) -> dict[str, object]:
    """Return a fact as an object: its kind, then its fields by their names."""
    word = _WORDS[type(fact)]
    values: tuple[object, ...] = fact
    if isinstance(fact, ProjectFact):
        values = (fact.id, fact.path.decode("utf-8", "surrogateescape"), fact.root, fact.recorded_at)
    elif isinstance(fact, CommitFact):
        values = (fact.oid, fact.project, fact.operation, [*chain.from_iterable(fact.marks)], *fact[4:])
    elif isinstance(fact, SightingFact):
        values = (fact.oid, [*chain.from_iterable(fact.marks)], fact.recorded_at)
    return dict(zip(_NAMES[word], (word, *map(_to_json, values)), strict=True))


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str) and not value.isascii() and _SPLIT_PAIR.search(value):
        return {"hex": value.encode("utf-8", "surrogatepass").hex()}
    return value


# -- an object as a fact


def fact_from_json(value: dict[str, Any]) -> Fact:
    """Return the fact that an object stands for.

    Raises:
        RecordError: It is of an unknown kind, a field is missing or unknown, or one holds what it may not.
    """
    word = value.get("kind")
    names = _NAMES.get(word) if isinstance(word, str) else None
    if not isinstance(word, str) or names is None:
        raise RecordError(f"unknown kind of fact {_shown(word)}" if "kind" in value else "no kind of fact")
    if value.keys() != names.keys():
        _complain_of_names(value, names)
    try:
        return _READERS[word](value)
    except ValueError as error:
        raise RecordError(f"malformed {word}: {error}") from error


def _complain_of_names(value: dict[str, Any], names: dict[str, None]) -> None:
    word = value["kind"]
    missing = [name for name in names if name not in value]
    if missing:
        raise RecordError(f"malformed {word}: {missing[0]} is missing")
    unknown = next(name for name in value if name not in names)
    raise RecordError(f"malformed {word}: unknown field {unknown[:40]!r}")


def _shown(value: object) -> str:
    return repr(value)[:40] if isinstance(value, str | int | bool | None) else f"of type {type(value).__name__}"


def _text(name: str, value: object, limit: int = MAX_FIELD) -> str:
    """Return a text that can be stored: undecodable bytes are lone surrogates of the lower half."""
    if type(value) is not str:
        raise ValueError(f"{name}: not a text")
    if len(value) > limit:
        raise ValueError(f"{name}: {len(value)} characters are over the limit of {limit}")
    if not value.isascii():
        _encoded(name, value)
    return value


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: a surrogate that stands for no byte") from error


def _whole(name: str, value: object, limit: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= limit:
        raise ValueError(f"{name}: not a whole number from {least} to {limit}: {_short(value)}")
    return value


def _short(value: object) -> str:
    """Return what was found in the place of a number; a huge one in words, for its digits take long to make."""
    if type(value) is int and value.bit_length() > MAX_NS.bit_length() + 1:
        return "a huge number"
    return _shown(value)


def _flag(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{name}: neither true nor false")
    return value


def _oid(name: str, value: object) -> bytes:
    if type(value) is not str:
        raise ValueError(f"{name}: not a text")
    try:
        return parse_oid(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _oid_or_none(name: str, value: object) -> bytes:
    return b"" if value == "" else _oid(name, value)


def _project(name: str, value: object) -> str:
    project = _text(name, value)
    if len(project) != UUID_LENGTH or not project.replace("-", "").isalnum():
        raise ValueError(f"{name}: not a project's id: {project[:40]!r}")
    return project


def _marks(value: object) -> Marks:
    """Return marks from names and values in turn; most commits of an agent have the same, which are checked once."""
    if type(value) is not list or any(type(text) is not str for text in value):
        raise ValueError("marks: not a list of texts")
    return _paired(tuple(value))


@lru_cache(maxsize=1024)
def _paired(texts: tuple[str, ...]) -> Marks:
    for text in texts:
        if "\0" in _text("marks", text):
            raise ValueError("marks: a NUL character")
    if len(texts) % 2 or not all(texts[::2]):
        raise ValueError("marks: not names and values in turn")
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def _read_project(of: dict[str, Any]) -> ProjectFact:
    path = _encoded("path", _text("path", of["path"]))
    if b"\0" in path:
        raise ValueError("path: a NUL character")
    root = _oid_or_none("root", of["root"])
    return ProjectFact(_project("id", of["id"]), path, root, _whole("recorded_at", of["recorded_at"], MAX_TIME_S))


def _read_commit(of: dict[str, Any]) -> CommitFact:
    operation = of["operation"]
    if type(operation) is not str or operation not in _OPERATIONS:
        raise ValueError(f"operation: unknown: {_shown(operation)}")
    return CommitFact(
        _oid("oid", of["oid"]),
        _project("project", of["project"]),
        operation,
        _marks(of["marks"]),
        _whole("committed_at", of["committed_at"], MAX_TIME_S),
        _whole("recorded_at", of["recorded_at"], MAX_RECORDED_AT),
        _text("subject", of["subject"]),
    )


def _read_rewrite(of: dict[str, Any]) -> RewriteFact:
    old, new = _oid("old", of["old"]), _oid("new", of["new"])
    if len(old) != len(new):
        raise ValueError("new: an oid of another kind than the old one")
    operation = _text("operation", of["operation"], MAX_OPERATION)
    if not operation.isascii() or not operation.isprintable():
        raise ValueError(f"operation: not a word: {operation!r}")
    return RewriteFact(
        old,
        new,
        operation,
        _whole("recorded_ns", of["recorded_ns"], MAX_NS),
        _whole("old_lines", of["old_lines"], MAX_LINES, -MAX_LINES),
        _whole("own_lines", of["own_lines"], MAX_LINES, -MAX_LINES),
    )


def _read_sighting(of: dict[str, Any]) -> SightingFact:
    recorded_at = _whole("recorded_at", of["recorded_at"], MAX_TIME_S)
    return SightingFact(_oid("oid", of["oid"]), _marks(of["marks"]), recorded_at)


def _read_undone(of: dict[str, Any]) -> UndoneFact:
    recorded_ns = _whole("recorded_ns", of["recorded_ns"], MAX_NS)
    return UndoneFact(_oid("oid", of["oid"]), _oid_or_none("back_to", of["back_to"]), recorded_ns)


def _read_loss(of: dict[str, Any]) -> LossFact:
    recorded_ns = _whole("recorded_ns", of["recorded_ns"], MAX_NS)
    return LossFact(_oid("oid", of["oid"]), _flag("is_lost", of["is_lost"]), recorded_ns)


def _read_agent(of: dict[str, Any]) -> AgentFact:
    texts = [_text(name, of[name]) for name in AgentFact._fields[:-1]]
    fact = AgentFact._make((*texts, _whole("recorded_at", of["recorded_at"], MAX_TIME_S)))
    if not all(text.isprintable() for text in texts):
        raise ValueError("control characters")
    if fact.id == HUMAN:
        raise ValueError("id: that word stands for people")
    return _checked(fact, agent_line(fact))


def _read_state(of: dict[str, Any]) -> StateFact:
    recorded_ns = _whole("recorded_ns", of["recorded_ns"], MAX_NS)
    fact = StateFact(_text("agent", of["agent"]), _text("state", of["state"]), recorded_ns)
    return _checked(fact, state_line(fact))


def _read_credit(of: dict[str, Any]) -> CreditFact:
    shares = of["credits"]
    if type(shares) is not list or not all(type(pair) is list and len(pair) == 2 for pair in shares):  # noqa: PLR2004 -- whose, and how much
        raise ValueError("credits: not pairs of an agent and a share")
    credit = tuple((_text("credits", agent), _whole("credits", share, MAX_LINES)) for agent, share in shares)
    recorded_ns = _whole("recorded_ns", of["recorded_ns"], MAX_NS)
    fact = CreditFact(_oid("oid", of["oid"]), credit, recorded_ns, _text("why", of["why"]))
    return _checked(fact, credit_line(fact))


def _checked(fact: F, line: bytes) -> F:
    """Return a fact that a spool may hold, having read its line as a spool's is.

    Raises:
        RecordError: The line says something else, or nothing.
    """
    if parse_line(line[1:-1]) != fact:
        raise RecordError("it would come back as another")
    return fact


# -- the journal


def _read_entry(kind: Kind, of: dict[str, Any]) -> JournalFact:
    names = kind.fact._fields
    fact = from_fields(kind, [_field(name, how, of[name]) for name, how in zip(names, kind.fields, strict=True)])
    if isinstance(fact, RulesFact):
        _check_rules(fact.values)
    return fact


def _field(name: str, how: str, value: object) -> str:
    """Return a field as a spool's line has it, from which it is read."""
    if how in {"count", "ns"}:
        return str(_whole(name, value, MAX_NS))
    if how == "flag":
        return str(int(_flag(name, value)))
    if type(value) is dict and value.keys() == {"hex"} and type(value["hex"]) is str:
        try:
            return bytes.fromhex(value["hex"]).decode("utf-8", "surrogatepass")
        except ValueError as error:
            raise ValueError(f"{name}: not a text in hexadecimal digits") from error
    if type(value) is not str:
        raise ValueError(f"{name}: not a text")
    return value


def _check_rules(values: str) -> None:
    """Raise where a store could not read these rules: a person's configuration is asked the same.

    Raises:
        RecordError: They are not `NAME=NUMBER` with spaces between, or a rule may not have its value.
    """
    if not _RULES.fullmatch(values):
        raise RecordError("malformed rules: not NAME=NUMBER with spaces between")
    try:
        with_overrides(parse_values(values), "malformed rules")
    except ConfigError as error:
        raise RecordError(error.message) from error


_CORE: dict[str, tuple[type[Any], Callable[[dict[str, Any]], Fact]]] = {
    "project": (ProjectFact, _read_project),
    "agent": (AgentFact, _read_agent),
    "state": (StateFact, _read_state),
    "commit": (CommitFact, _read_commit),
    "rewrite": (RewriteFact, _read_rewrite),
    "credit": (CreditFact, _read_credit),
    "sighting": (SightingFact, _read_sighting),
    "undone": (UndoneFact, _read_undone),
    "loss": (LossFact, _read_loss),
}
_WORDS: dict[type[Any], str] = {fact: word for word, (fact, _) in _CORE.items()}
_WORDS |= {kind.fact: kind.word for kind in KINDS}
_NAMES = {word: dict.fromkeys(("kind", *fact._fields)) for fact, word in _WORDS.items()}
_READERS: dict[str, Callable[[dict[str, Any]], Fact]] = {word: read for word, (_, read) in _CORE.items()}
_READERS |= {kind.word: partial(_read_entry, kind) for kind in KINDS}

FACTS: dict[str, type[Any]] = {word: fact for fact, word in _WORDS.items()}
"""Every kind of fact by its word."""
