"""Whose a session is that a client begins, and writing it down where the git hooks look.

Owns that choice (`agent_for`) and the line of a session's beginning. Never opens the store.
"""

from __future__ import annotations

import os

from agent_tracker.errors import AgentTrackerError
from agent_tracker.hook import read_use
from agent_tracker.journal import SessionFact
from agent_tracker.lines import fact_line
from agent_tracker.marks import AGENT_VARIABLE
from agent_tracker.processes import calling_process, start_of
from agent_tracker.records import HUMAN, Agent
from agent_tracker.registration import Roster
from agent_tracker.registry import forget_old, read_agents, read_session, write_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.clients.base import Here, Told

__all__ = ["agent_for", "choose", "session_line", "tell_hooks"]


def agent_for(client: str, model: str, roster: Roster) -> Agent | None:
    """Return the agent that a client's session is: the one that is tied to it, None where there is none or several.

    Args:
        client: Its name.
        model: As the client names it, maybe behind its provider and a slash; empty where that is not known (yet).
        roster: The agents.
    """
    found = [agent for agent in roster.of_client(client) if agent.active and not agent.standing.is_halted]
    same = [agent for agent in found if model and agent.model in {model, model.rpartition("/")[2]}]
    chosen = same or found
    return chosen[0] if len(chosen) == 1 else None


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
    agent = agent_for(client, told.model, roster) or _one(roster, used)
    if agent is not None and agent.client in {"", client}:
        return agent.id
    parent = read_session(here.paths.registry, told.parent) if told.parent else ""
    return parent if parent in roster.by_id else ""


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
