"""Who commits, and may they: from raw identity marks and the registered agents to a credit and its reason.

Owns the order in which marks (`marks`) are believed. Pure: no clock, disk, git or environment.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import RegistrationError
from agent_tracker.marks import AGENT_VARIABLE, ALIASES, client_of_address, find_clients, named_sessions
from agent_tracker.records import HUMAN, MICRO, UNCLAIMED, Agent, Credits, Marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "COPIED",
    "PLUGIN",
    "PLUGIN_ID",
    "Identity",
    "Roster",
    "agent_id",
    "identify",
]

COPIED = "copied"
PLUGIN, PLUGIN_ID = "plugin", "plugin-id"
"""Marks of a commit that the OpenCode plugin had recorded: whose it is, by our id or its own, and its own."""

MAX_NAME = 100


class Identity(NamedTuple):
    """Who made a commit.

    `problem` is empty, or why an agent that was named gets no credit: `unregistered`, `retired`, `halted`,
    `ambiguous`. `who` is the name or client that was found then, or the retired agent's
    id.
    """

    credits: Credits
    reason: str
    problem: str = ""
    who: str = ""


def whole(agent: str) -> Credits:
    """Return the credits of a commit that one agent (or HUMAN, or UNCLAIMED) made alone."""
    return ((agent, MICRO),)


def agent_id(name: str, model: str, scope: str) -> str:
    """Return the id of a setup: its name made safe for a file, and eight digits of all three."""
    text = f"{name}\0{model}\0{scope}"
    digits = f"{zlib.crc32(text.encode(errors='surrogateescape')):08x}"
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())[:40].strip("-")
    return f"{slug}-{digits}" if slug else digits


def check_registration(name: str, model: str, scope: str) -> None:
    """Raise where a registration's strings cannot be kept.

    Raises:
        RegistrationError: One is empty, too long, has control characters, or the name is `human`.
    """
    for what, value in (("name", name), ("model", model), ("scope", scope)):
        if not value.strip():
            raise RegistrationError(f"the agent's {what} is empty", f"give a {what}")
        if len(value) > MAX_NAME:
            raise RegistrationError(f"the agent's {what} has {len(value)} characters", f"at most {MAX_NAME}")
        if not value.isprintable():
            raise RegistrationError(f"the agent's {what} has control characters", "use printable text")
    if name.lower() == HUMAN:
        raise RegistrationError("an agent cannot be called human: that word stands for people", "choose another name")


def _no_agent(_session: str) -> str:
    return UNCLAIMED


class Roster:
    """The registered agents, found by id, name, client and session, as they stood at a time.

    Args:
        agents: All of them, or those that are of interest.
        agent_of_session: Takes a session's id and returns its agent's; empty where there is no such session.
    """

    def __init__(self, agents: Iterable[Agent], agent_of_session: Callable[[str], str] = _no_agent) -> None:
        self._agent_of_session = agent_of_session
        self.by_id: dict[str, Agent] = {}
        self._by_name: dict[str, list[Agent]] = {}
        self._by_client: dict[str, list[Agent]] = {}
        for agent in agents:
            self.by_id[agent.id] = agent
            self._by_name.setdefault(agent.name, []).append(agent)
            if agent.client:
                self._by_client.setdefault(agent.client, []).append(agent)

        changes = {agent.created_at for agent in self.by_id.values()}
        changes |= {-(-at_ns // 10**9) for agent in self.by_id.values() for at_ns, _ in agent.transitions}
        self._changes = sorted(changes)

    def epoch(self, at: int) -> int:
        """Return a number that is the same for all times (Unix seconds) between which no agent came or went."""
        return bisect_right(self._changes, at)

    def named(self, text: str) -> list[Agent]:
        """Return the agents that `text` names: by id, else by name."""
        exact = self.by_id.get(text)
        return [exact] if exact else list(self._by_name.get(text, ()))

    def of_client(self, client: str) -> list[Agent]:
        """Return the agents tied to a client."""
        return list(self._by_client.get(client, ()))

    def of_session(self, session: str) -> Agent | None:
        """Return the agent whose session has this id, None where there is none."""
        return self.by_id.get(self._agent_of_session(session)) if session else None

    def one(self, text: str) -> Agent:
        """Return the one agent that `text` names, an active one before retired ones.

        Raises:
            RegistrationError: None does, or several do.
        """
        found = self.named(text)
        if len(found) > 1:
            found = [agent for agent in found if agent.active] or found
        if not found:
            raise RegistrationError(f"unknown agent {text[:MAX_NAME]!r}", "agent-tracker agents lists them")
        if len(found) > 1:
            ids = ", ".join(agent.id for agent in found)
            raise RegistrationError(f"{text!r} names several agents", f"name one by its id: {ids}")
        return found[0]


def identify(marks: Marks, roster: Roster, *, at_ns: int) -> Identity:  # noqa: PLR0911 -- an order, a return a step
    """Return who made a commit with these marks.

    Args:
        marks: Variables by their names; besides, `hook` (a hook saw the commit), `resolved` and `use` (agent ids as
            they stood then), `author`, `committer`, `trailer`s, and `plugin` (whose it was with the OpenCode plugin).
            With `copied` (a cherry-pick), whoever runs git has not made it.
        roster: The agents known now.
        at_ns: When the commit was made, Unix nanoseconds: an agent retired then gets no credit.
    """
    values = dict(marks)
    if COPIED in values:
        return _by_commit_marks(marks, roster, at_ns) or Identity(whole(UNCLAIMED), "a copy of nobody's known work")
    explicit = values.get(AGENT_VARIABLE, "")
    if explicit == HUMAN:
        return Identity(whole(HUMAN), f"{AGENT_VARIABLE}={HUMAN}")
    resolved = values.get("resolved", "")
    if explicit:
        return _picked(roster.named(explicit), resolved, at_ns, explicit, AGENT_VARIABLE)
    if of_session := _by_sessions(named_sessions(marks), resolved, roster, at_ns):
        return of_session
    if clients := find_clients(marks):
        return _by_clients(clients, resolved, roster, at_ns)
    if by_marks := _by_commit_marks(marks, roster, at_ns):
        return by_marks
    if used := values.get("use", ""):
        return _picked(roster.named(used), resolved, at_ns, used, "agent-tracker use")
    if told := values.get(PLUGIN, ""):
        return _picked(roster.named(told), told, at_ns, told, "the OpenCode plugin")
    if "hook" in values:
        return Identity(whole(HUMAN), "no mark of an agent")
    return Identity(whole(UNCLAIMED), "no hook saw it and it carries no mark")


def _by_sessions(sessions: tuple[str, ...], resolved: str, roster: Roster, at_ns: int) -> Identity | None:
    """Return whose the first known session is, whatever its client's agents are; None where none is known."""
    for session in sessions:
        agent = roster.of_session(session)
        if agent:
            shown = session if session.isprintable() else ascii(session)
            return _picked([agent], resolved, at_ns, agent.id, f"session {shown[:MAX_NAME]}")
    return None


def _by_clients(clients: list[str], resolved: str, roster: Roster, at_ns: int) -> Identity:
    found = [_picked(roster.of_client(name), resolved, at_ns, name, f"client {name}") for name in clients]
    credited = [identity for identity in found if not identity.problem]
    if len(credited) == 1:
        return credited[0]
    if credited:
        who = ", ".join(clients)
        return Identity(whole(UNCLAIMED), "several clients announce themselves", "ambiguous", who)
    return next((identity for identity in found if identity.problem != "unregistered"), found[0])


def _by_commit_marks(marks: Marks, roster: Roster, at_ns: int) -> Identity | None:
    found: dict[str, Identity] = {}
    for name, value in marks:
        for candidates, who in _mark_candidates(name, value, roster):
            identity = _picked(candidates, "", at_ns, who, f"commit mark: {value[:80]}")
            found.setdefault(identity.credits[0][0] or who, identity)
    if not found:
        return None
    credited = [identity.credits[0][0] for identity in found.values() if not identity.problem]
    if len(credited) > 1:
        return Identity(_equal_shares(credited), "marks of several agents in the commit")
    return next((i for i in found.values() if not i.problem), next(iter(found.values())))


def _mark_candidates(name: str, value: str, roster: Roster) -> list[tuple[list[Agent], str]]:
    if name in {"author", "committer"}:
        client = client_of_address(value)
        return [(roster.of_client(client), client)] if client else []
    if name != "trailer":
        return []
    key, _, content = value.partition(":")
    content = content.strip()
    if key.lower() == "co-authored-by":
        client = client_of_address(content)
        return [(roster.of_client(client), client)] if client else []
    word = content.partition(":")[0].strip() if key.lower() == "assisted-by" else content
    client = ALIASES.get(word.lower(), word.lower())
    return [(roster.named(word) or roster.of_client(client), word)] if word else []


def _equal_shares(agents: list[str]) -> Credits:
    share, rest = divmod(MICRO, len(agents))
    return tuple((agent, share + (index < rest)) for index, agent in enumerate(sorted(agents)))


def _picked(candidates: list[Agent], resolved: str, at_ns: int, who: str, reason: str) -> Identity:
    """Choose among the agents that a mark may mean: the one resolved then, the only active one, or the next one."""
    chosen = next((agent for agent in candidates if agent.id == resolved), None)
    active = [agent for agent in candidates if _was_active(agent, at_ns)]
    if chosen is None and len(active) == 1:
        chosen = active[0]
    if chosen is None and not active:
        later = [agent for agent in candidates if agent.created_at * 10**9 > at_ns]
        chosen = min(later, key=lambda agent: (agent.created_at, agent.id), default=None)
    if chosen is not None:
        return Identity(whole(chosen.id), reason)
    problem = "ambiguous" if active else "retired" if candidates else "unregistered"
    if problem == "retired":
        who = candidates[0].id
    return Identity(whole(UNCLAIMED), reason, problem, who)


def _was_active(agent: Agent, at_ns: int) -> bool:
    is_active = agent.created_at * 10**9 <= at_ns
    for changed_ns, state in agent.transitions:
        if changed_ns <= at_ns:
            is_active = state
    return is_active
