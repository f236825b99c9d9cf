"""Who commits, and may they: from raw identity marks and the registered agents to a credit and its reason.

Owns the order in which marks (`marks`) are believed. Pure: no clock, disk, git or environment.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import RegistrationError
from agent_tracker.marks import (
    AGENT_VARIABLE,
    ALIASES,
    IMPORTED,
    client_of_address,
    find_clients,
    find_signs,
    named_sessions,
    setups_of,
)
from agent_tracker.records import HUMAN, MICRO, UNCLAIMED, Agent, Credits, Marks, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "BASES",
    "COPIED",
    "PLUGIN",
    "PLUGIN_ID",
    "Identity",
    "Roster",
    "agent_id",
    "check_live",
    "holder",
    "identify",
    "is_imported",
]

COPIED = "copied"
PLUGIN, PLUGIN_ID = "plugin", "plugin-id"
"""Marks of a commit that the OpenCode plugin had recorded: whose it is, by our id or its own, and its own."""

MAX_NAME = 100


BASES = ("variable", "session", "client", "commit", "use", "plugin", "none", "unseen", "copy", "history")
"""What says whose a commit is, in the order in which it is believed: AGENT_TRACKER_AGENT, a session, a client's own
variables, marks in the commit, `agent-tracker use`, what the OpenCode plugin noted; that a hook saw it and there was no
mark, that none saw it; for a cherry-pick, that nobody's work is known of which it is a copy; and what a scan found."""


class Identity(NamedTuple):
    """Who made a commit.

    `problem` is empty, or why an agent that was named gets no credit: `unregistered`, `retired`, `halted`,
    `ambiguous`. `who` is the name or client that was found then, or the retired agent's
    id. `basis` is one of BASES: of what kind the mark is that decided.
    """

    credits: Credits
    reason: str
    problem: str = ""
    who: str = ""
    basis: str = ""


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
        if value == what.upper():
            raise RegistrationError(f"{value} stands for the agent's {what}", f"put its {what} in the place of {value}")
    if name.lower() == HUMAN:
        raise RegistrationError("an agent cannot be called human: that word stands for people", "choose another name")
    if scope == IMPORTED:
        raise RegistrationError(f"the scope {IMPORTED} is that of agents found in history", "choose another scope")


def is_imported(agent: Agent) -> bool:
    """Tell whether an agent was found in history: nothing that is committed now is its own."""
    return agent.scope == IMPORTED and not agent.client


def check_live(agent: Agent) -> None:
    """Refuse an agent that was found in history where one is meant that is at work.

    Raises:
        RegistrationError: It is one.
    """
    if is_imported(agent):
        raise RegistrationError(
            f"agent {agent.id} was found in history, where it stays",
            "agent-tracker register NAME --model MODEL --scope SCOPE",
        )


def holder(turns: Turns, at_ns: int) -> str:
    """Return whose a session was then: the first agent's before anything was told of it, UNCLAIMED if none's."""
    first = turns[0][1] if turns else UNCLAIMED
    return next((agent for since_ns, agent in reversed(turns) if since_ns <= at_ns), first)


def _no_turns(_session: str) -> Turns:
    return ()


class Roster:
    """The registered agents, found by id, name, client and session, as they stood at a time.

    Args:
        agents: All of them, or those that are of interest.
        turns_of: Takes a session's id and returns whose it was; empty where there is no such session.
        turned_ns: When sessions came to another agent; Unix nanoseconds.
    """

    def __init__(
        self, agents: Iterable[Agent], turns_of: Callable[[str], Turns] = _no_turns, turned_ns: Iterable[int] = ()
    ) -> None:
        self._turns_of = turns_of
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
        changes |= {-(-at_ns // 10**9) for at_ns in turned_ns}
        self._changes = sorted(changes)

    def epoch(self, at: int) -> int:
        """Return a number that is the same for all times (Unix seconds) between which nothing of this changed."""
        return bisect_right(self._changes, at)

    def named(self, text: str) -> list[Agent]:
        """Return the agents that `text` names: by id, else by name, those that were found in history last."""
        exact = self.by_id.get(text)
        found = [exact] if exact else self._by_name.get(text, [])
        return self.live(text) or list(found)

    def live(self, text: str) -> list[Agent]:
        """Return the agents that `text` names for who commits now: by id, else by name, none that history named."""
        exact = self.by_id.get(text)
        return [agent for agent in ([exact] if exact else self._by_name.get(text, ())) if not is_imported(agent)]

    def of_client(self, client: str) -> list[Agent]:
        """Return the agents tied to a client."""
        return list(self._by_client.get(client, ()))

    def of_session(self, session: str, resolved: str, at_ns: int) -> Agent | None:
        """Return the agent whose session has this id, None where there is none.

        Args:
            session: Its id.
            resolved: Whose it was as a hook saw it: a commit's time is in whole seconds, and tells less. May be empty.
            at_ns: When it is asked about, Unix nanoseconds.
        """
        turns = self._turns_of(session) if session else ()
        if any(agent == resolved for _, agent in turns):
            return self.by_id.get(resolved)
        return self.by_id.get(holder(turns, at_ns))

    def has_held(self, session: str) -> bool:
        """Tell whether a session ever was one of these agents'."""
        return any(agent in self.by_id for _, agent in self._turns_of(session))

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
    if IMPORTED in values and "hook" not in values:
        return _of_history(marks, roster, at_ns)
    if COPIED in values:
        unknown = Identity(whole(UNCLAIMED), "a copy of nobody's known work", basis="copy")
        return _by_commit_marks(marks, roster, at_ns) or unknown
    explicit = values.get(AGENT_VARIABLE, "")
    if explicit == HUMAN:
        return Identity(whole(HUMAN), f"{AGENT_VARIABLE}={HUMAN}", basis="variable")
    resolved = values.get("resolved", "")
    if explicit:
        return _picked(roster.live(explicit), _Mark("variable", AGENT_VARIABLE, explicit, resolved), at_ns)
    if of_session := _by_sessions(named_sessions(marks), resolved, roster, at_ns):
        return of_session
    if clients := find_clients(marks):
        return _by_clients(clients, resolved, roster, at_ns)
    if by_marks := _by_commit_marks(marks, roster, at_ns):
        return by_marks
    if used := values.get("use", ""):
        return _picked(roster.live(used), _Mark("use", "agent-tracker use", used, resolved), at_ns)
    if told := values.get(PLUGIN, ""):
        return _picked(roster.named(told), _Mark("plugin", "the OpenCode plugin", told, told), at_ns)
    return _unmarked(is_seen="hook" in values)


def _unmarked(*, is_seen: bool) -> Identity:
    if is_seen:
        return Identity(whole(HUMAN), "no mark of an agent", basis="none")
    return Identity(whole(UNCLAIMED), "no hook saw it and it carries no mark", basis="unseen")


class _Mark(NamedTuple):
    """What may say whose a commit is: its kind, itself in words, whom it names, and the agent resolved then, if any."""

    basis: str
    reason: str
    who: str
    resolved: str = ""


def _by_sessions(sessions: tuple[str, ...], resolved: str, roster: Roster, at_ns: int) -> Identity | None:
    """Return whose the first known session is, whatever its client's agents are; None where none is known."""
    for session in sessions:
        agent = roster.of_session(session, resolved, at_ns)
        if agent:
            shown = session if session.isprintable() else ascii(session)
            return _picked([agent], _Mark("session", f"session {shown[:MAX_NAME]}", agent.id, resolved), at_ns)
    return None


def _by_clients(clients: list[str], resolved: str, roster: Roster, at_ns: int) -> Identity:
    marks = [_Mark("client", f"client {name}", name, resolved) for name in clients]
    found = [_picked(roster.of_client(mark.who), mark, at_ns) for mark in marks]
    credited = [identity for identity in found if not identity.problem]
    if len(credited) == 1:
        return credited[0]
    if credited:
        who = ", ".join(clients)
        return Identity(whole(UNCLAIMED), "several clients announce themselves", "ambiguous", who, "client")
    return next((identity for identity in found if identity.problem != "unregistered"), found[0])


def _by_commit_marks(marks: Marks, roster: Roster, at_ns: int) -> Identity | None:
    found: dict[str, Identity] = {}
    for name, value in marks:
        for candidates, who in _mark_candidates(name, value, roster):
            identity = _picked(candidates, _Mark("commit", f"commit mark: {value[:80]}", who), at_ns)
            found.setdefault(identity.credits[0][0] or who, identity)
    if not found:
        return None
    credited = [identity.credits[0][0] for identity in found.values() if not identity.problem]
    if len(credited) > 1:
        return Identity(_equal_shares(credited), "marks of several agents in the commit", basis="commit")
    return next((i for i in found.values() if not i.problem), next(iter(found.values())))


def _of_history(marks: Marks, roster: Roster, at_ns: int) -> Identity:
    """Return who made a commit that was found in history: whom our own trailer names, else those its marks amount to.

    No agent gets it for its client alone: which one of that client's it was, or would have been, history does not say.
    """
    for name, value in marks:
        key, _, word = value.partition(":")
        if name == "trailer" and key.lower() == "agent" and (named := roster.live(word.strip())):
            identity = _picked(named, _Mark("history", f"imported: {value[:80]}", word.strip()), at_ns)
            if not identity.problem:
                return identity
    signs = find_signs(marks)
    if not signs:
        return Identity(whole(UNCLAIMED), "imported: it carries no mark of an agent", basis="history")
    where = ", ".join(dict.fromkeys(sign.source for sign in signs))
    setups = setups_of(signs)
    known = [agent for setup in setups if (agent := agent_id(*setup, IMPORTED)) in roster.by_id]
    if not known:
        who = ", ".join(dict.fromkeys(client for client, _ in setups))
        return Identity(whole(UNCLAIMED), f"imported: {where}", "unregistered", who, "history")
    return Identity(_equal_shares(known), f"imported: {where}", basis="history")


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
    return [(roster.live(word) or roster.of_client(client), word)] if word else []


def _equal_shares(agents: list[str]) -> Credits:
    share, rest = divmod(MICRO, len(agents))
    return tuple((agent, share + (index < rest)) for index, agent in enumerate(sorted(agents)))


def _picked(candidates: list[Agent], mark: _Mark, at_ns: int) -> Identity:
    """Choose among the agents that a mark may mean: the one resolved then, the only active one, or the next one."""
    chosen = next((agent for agent in candidates if agent.id == mark.resolved), None)
    active = [agent for agent in candidates if _was_active(agent, at_ns)]
    if chosen is None and len(active) == 1:
        chosen = active[0]
    reason = mark.reason
    if chosen is None and not active:
        later = [agent for agent in candidates if agent.created_at * 10**9 > at_ns]
        chosen = min(later, key=lambda agent: (agent.created_at, agent.id), default=None)
        reason += ", registered since" if chosen else ""
    if chosen is not None:
        return Identity(whole(chosen.id), reason, basis=mark.basis)
    problem = "ambiguous" if active else "retired" if candidates else "unregistered"
    who = candidates[0].id if problem == "retired" else mark.who
    return Identity(whole(UNCLAIMED), reason, problem, who, mark.basis)


def _was_active(agent: Agent, at_ns: int) -> bool:
    is_active = agent.created_at * 10**9 <= at_ns
    for changed_ns, state in agent.transitions:
        if changed_ns <= at_ns:
            is_active = state
    return is_active
