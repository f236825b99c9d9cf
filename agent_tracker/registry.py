"""The registry: what a hook must know of the agents, in small files that a shell can read.

Owns `ids/`, `names/`, `mixed/`, `clients/` (markers, for the shell), `agents` (all of them, for Python) and `policy`
in the user's state directory. Derived from the store, rewritten whole; never authoritative.

A marker is a file named after an id, a name or a client. It is there while exactly one active agent is meant by that
key, and is not halted: a hook that finds it need not read it. Its first line is the agent's id, its second the name.
Where there is none (retired, halted, ambiguous, unknown, a key that is no safe file name) Python decides. Names with a
capital letter stand in `mixed`, apart from the others: a file system that folds case would find them by another
spelling.

Besides, in `sessions/` beside the registry, a file for each session that was begun: its agent's id, then its own. It
is named after the session, or after a digest where that is no safe file name, which no shell looks for.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from agent_tracker.errors import RecordError
from agent_tracker.escaping import escape, unescape
from agent_tracker.files import (
    is_private,
    make_directory,
    make_private,
    own_files,
    read_text,
    replace_file,
)
from agent_tracker.lines import MAX_TIME_NS, MAX_TIME_S, parse_agent_id, parse_text
from agent_tracker.records import Agent
from agent_tracker.registration import is_imported
from agent_tracker.xp import NEW_STANDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "forget_old",
    "is_current",
    "keep_session",
    "read_agents",
    "read_policy",
    "read_session",
    "write_agents",
    "write_session",
]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_KINDS = ("ids", "names", "mixed", "clients")
_MAX_PLAIN = 100
KEEP_SESSIONS_S = 90 * 24 * 3600
"""How long a session's file outlives the last word on it."""


def write_agents(registry: str, agents: Iterable[Agent]) -> None:
    """Write every marker anew and take out those that no longer hold.

    Raises:
        OSError: The state directory cannot be written.
    """
    listed = list(agents)
    make_directory(registry)
    for path in _ours(registry):
        make_private(path)
    meant: dict[tuple[str, str], list[Agent]] = {}
    for agent in listed:
        for marker in _markers(agent):
            meant.setdefault(marker, []).append(agent)
    for kind in _KINDS:
        alone = {key: found[0] for (of, key), found in meant.items() if of == kind and len(found) == 1}
        wanted = {key: _text(agent) for key, agent in alone.items() if not agent.standing.is_halted}
        _synchronise(os.path.join(registry, kind), wanted)
    # Last: while it is not as it should be, all of this is done again.
    replace_file(os.path.join(registry, "agents"), _listing(listed))


def is_current(registry: str, agents: Iterable[Agent]) -> bool:
    """Tell whether the hooks know these agents as they are, from files that are nobody else's to read or write."""
    is_closed = all(is_private(os.lstat(path)) for path in _ours(registry) if os.path.lexists(path))
    return is_closed and read_text(os.path.join(registry, "agents")) == _listing(agents)


def _ours(registry: str) -> Iterator[str]:
    """Yield what is the user's alone: the state directory, its files, and what lies directly in the registry."""
    for directory in (os.path.dirname(registry), registry):
        yield directory
        if not os.path.islink(directory):
            yield from (path for path, status in own_files(directory) if stat.S_ISREG(status.st_mode))
    yield from (os.path.join(registry, kind) for kind in _KINDS)
    yield _sessions(registry)


def _listing(agents: Iterable[Agent]) -> str:
    return "".join(f"{_line(agent)}\n" for agent in agents)


def _markers(agent: Agent) -> Iterator[tuple[str, str]]:
    """Yield the kind and key of each marker that an agent would have if it were alone.

    One that was found in history has none: nothing that is committed now is its own.
    """
    if not agent.active or is_imported(agent):
        return
    for kind, key in (("ids", agent.id), ("names", agent.name), ("clients", agent.client)):
        if not key or key.startswith("."):
            continue
        if _PLAIN.issuperset(key):
            yield kind, key
        elif kind == "names" and (_PLAIN | _CAPITALS).issuperset(key):
            yield "mixed", key


def _text(agent: Agent) -> str:
    return f"{agent.id}\n{escape(agent.name)}\n"


def _synchronise(directory: str, wanted: dict[str, str]) -> None:
    if os.path.islink(directory):
        os.unlink(directory)  # what it leads to is not ours to take files out of
    make_directory(directory)
    for path, status in own_files(directory):
        if os.path.basename(path) not in wanted and not stat.S_ISDIR(status.st_mode):
            os.unlink(path)
    for name, text in wanted.items():
        path = os.path.join(directory, name)
        if read_text(path) != text:
            replace_file(path, text)


def _line(agent: Agent) -> str:
    transitions = " ".join(f"{at}:{int(on)}" for at, on in agent.transitions)
    halted = "halted" if agent.standing.is_halted else ""
    fields = (agent.id, agent.name, agent.model, agent.scope, agent.client, str(agent.created_at), transitions, halted)
    return "\t".join(map(escape, fields))


def read_agents(registry: str) -> list[Agent]:
    """Return the registered agents as the registry has them, with a new agent's standing, or halted.

    Lines that are not ours are passed over.
    """
    agents = []
    for line in read_text(os.path.join(registry, "agents")).split("\n"):
        try:
            agent_id, name, model, scope, client, created_at, changes, *more = map(unescape, line.split("\t"))
            parse_agent_id(agent_id)
            pairs = (change.partition(":") for change in changes.split())
            transitions = tuple((_moment(at, MAX_TIME_NS), on == "1") for at, _, on in pairs)
            at = _moment(created_at, MAX_TIME_S)
            for text in (name, model, scope, client):
                parse_text(text)
        except (ValueError, RecordError):
            continue
        active = transitions[-1][1] if transitions else True
        standing = NEW_STANDING._replace(skill_points=0) if "halted" in more else NEW_STANDING
        agents.append(Agent(agent_id, name, model, scope, client, active, at, at, standing, transitions))
    return agents


def _moment(text: str, limit: int) -> int:
    value = int(text)
    if not 0 <= value <= limit:
        raise ValueError(f"time out of range: {text[:30]!r}")
    return value


def read_policy(repository_policy: str, registry: str) -> str:
    """Return the policy in force by the mirrored files: the repository's, else the user's, else `enforce`."""
    for path in (repository_policy, os.path.join(registry, "policy")):
        text = read_text(path).strip()
        if text in {"enforce", "warn", "off"}:
            return text
    return "enforce"


def read_session(registry: str, session: str) -> str:
    """Return the agent whose session has this id, empty where there is no such session or it is long over."""
    agent, _, rest = read_text(_session_path(registry, session)).partition("\n")
    return agent if rest == f"{escape(session)}\n" else ""


def write_session(registry: str, session: str, agent: str, *, now_ns: int) -> None:
    """Write down whose a session is, at its beginning and when it is resumed; files of sessions long over go.

    Raises:
        OSError: The state directory cannot be written.
    """
    path = _session_path(registry, session)
    replace_file(path, f"{agent}\n{escape(session)}\n")
    os.utime(path, ns=(now_ns, now_ns))
    forget_old(os.path.dirname(path), now_ns=now_ns)


def forget_old(directory: str, *, now_ns: int) -> None:
    """Take out the files about sessions of which nobody has said anything for three months."""
    for each, status in own_files(directory):
        if now_ns - status.st_mtime_ns > KEEP_SESSIONS_S * 10**9 and stat.S_ISREG(status.st_mode):
            with suppress(OSError):
                os.unlink(each)


def keep_session(registry: str, session: str, *, now_ns: int) -> None:
    """Let a session's file, if it is there, count as used now."""
    with suppress(OSError):
        os.utime(_session_path(registry, session), ns=(now_ns, now_ns))


def _sessions(registry: str) -> str:
    return os.path.join(os.path.dirname(registry), "sessions")


def _session_path(registry: str, session: str) -> str:
    directory = _sessions(registry)
    if not session.startswith(".") and 0 < len(session) <= _MAX_PLAIN and (_PLAIN | _CAPITALS).issuperset(session):
        return os.path.join(directory, session)
    import hashlib  # noqa: PLC0415 -- ids that are no file names are rare

    return os.path.join(directory, "." + hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest())
