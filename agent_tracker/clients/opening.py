"""Whose a session is that a client begins, and writing it down where the git hooks look.

Owns that choice, also where another model takes over, and the line of a session's beginning. Never opens the store.
"""

from __future__ import annotations

import os

from agent_tracker.announced import agent_for, is_same_model
from agent_tracker.enrolment import bind, enrol, scope_here
from agent_tracker.errors import AgentTrackerError
from agent_tracker.hook import read_use
from agent_tracker.journal import SessionFact
from agent_tracker.lines import fact_line
from agent_tracker.marks import AGENT_VARIABLE
from agent_tracker.processes import calling_process, start_of
from agent_tracker.records import HUMAN, Agent, AgentFact
from agent_tracker.registration import Roster
from agent_tracker.registry import forget_old, read_agents, read_session, write_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.clients.base import Here, Told

__all__ = ["choose", "follow", "session_line", "tell_hooks"]


def choose(told: Told, client: str, here: Here) -> str:
    """Return the id of the agent whose session begins here, empty where that is not known.

    It is what a person said (AGENT_TRACKER_AGENT), else by the client and its model, else by `agent-tracker use`, else
    that of the session that this one is part of.
    """
    roster = Roster(read_agents(here.paths.registry))
    named = here.env.get(AGENT_VARIABLE, "")
    if named:
        agent = _one(roster, named)
        return agent.id if agent else ""
    used = read_use(here.repository.git_dir, now_ns=here.now_ns)
    agent = _announced(told.model, client, here) or _one(roster, used)
    if agent is not None and agent.client in {"", client}:
        return agent.id
    parent = read_session(here.paths.registry, told.parent) if told.parent else ""
    return parent if parent in roster.by_id else ""


def follow(told: Told, client: str, here: Here) -> None:
    """Let a session pass to the agent of its model, where that is another than the one it is of; a person's word stays.

    Raises:
        SpoolError: It cannot be written down.
    """
    agent = None if here.env.get(AGENT_VARIABLE) else _announced(told.model, client, here)
    if agent is not None:
        bind(here.paths, told.session, agent.id, now_ns=here.now_ns)


def _announced(model: str, client: str, here: Here) -> Agent | None:
    """Return the agent of a client that runs a model; a new one where such agents are to register by themselves."""
    agents, now = read_agents(here.paths.registry), here.now_ns // 10**9
    scope = scope_here(here.repository.work_tree)
    found = agent_for(client, model, agents, now=now, scope=scope)
    if model and not (isinstance(found, Agent) and is_same_model(found.model, model)) and _registers(here):
        found = agent_for(client, model, agents, now=now, scope=scope, auto_register=True)
        if isinstance(found, AgentFact):
            found = enrol(here.paths, found)
    return found if isinstance(found, Agent) and not found.standing.is_halted else None


def _registers(here: Here) -> bool:
    from agent_tracker.config import read_settings  # noqa: PLC0415 -- only for a setup that nobody registered
    from agent_tracker.configuring import repository_values  # noqa: PLC0415 -- as above

    values = read_settings(here.paths, here.env, repository=repository_values(here.repository))
    return values["autoRegister"].value == "true"


def tell_hooks(session: str, agent: str, here: Here) -> bool:
    """Write down whose a session is where the git hooks look; False where the state directory cannot be written."""
    forget_old(os.path.join(here.paths.state_dir, "clients"), now_ns=here.now_ns)
    try:
        write_session(here.paths.registry, session, agent, now_ns=here.now_ns)
    except OSError:
        return False
    return True


def session_line(told: Told, client: str, agent_id: str, here: Here, *, began_ns: int = 0) -> bytes:
    """Return the line of a session's beginning, empty where its agent is gone.

    Args:
        told: What the client says of it.
        client: Its name.
        agent_id: Whose; empty for whom the hooks were told of.
        here: Where and when.
        began_ns: When, if not now.
    """
    agents = Roster(read_agents(here.paths.registry)).by_id
    agent = agents.get(agent_id or read_session(here.paths.registry, told.session))
    if agent is None:
        return b""
    process = told.process or calling_process(os.getppid())
    who = (told.session, agent.id, client, told.model or agent.model, here.repository.work_tree, told.parent)
    return fact_line(SessionFact(*who, process, start_of(process), 0, "", "", began_ns or here.now_ns))


def _one(roster: Roster, text: str) -> Agent | None:
    if not text or text == HUMAN:
        return None
    try:
        agent = roster.one(text)
    except AgentTrackerError:
        return None
    return agent if agent.active and not agent.standing.is_halted else None
