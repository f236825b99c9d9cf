"""The agent that a client announces: one that is registered, or the one to register for it.

Owns the choice by client, model and scope, and what a client tells of its model. Pure: no clock, disk, git or
environment of its own. Hooks and clients' adapters import this.
"""

from __future__ import annotations

from agent_tracker.marks import CLIENTS, MODEL_VARIABLE, MODEL_VARIABLES, UNKNOWN_MODEL, find_clients
from agent_tracker.records import UNCLAIMED, Agent, AgentFact
from agent_tracker.registration import MAX_NAME, Identity, agent_id, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_tracker.records import Marks

__all__ = ["SCOPE_KEY", "WHOLE_SCOPE", "agent_for", "model_told", "only_client", "scope_told"]

WHOLE_SCOPE = "whole repository"
SCOPE_KEY = "agent-tracker scope:"
"""Begins the line of AGENTS.md that says an agent's scope; it may stand in a comment."""

_DATE_DIGITS = 8
_SEPARATORS = str.maketrans("._: ", "----")


def agent_for(  # noqa: PLR0913 -- a setup's three parts, and under what it is looked for
    client: str,
    model: str,
    agents: Iterable[Agent],
    *,
    now: int,
    scope: str = WHOLE_SCOPE,
    auto_register: bool = False,
) -> Agent | AgentFact | Identity:
    """Return whose a client's session is that runs a model.

    Of the client's active agents it is the one with this model (of several the one with this scope too); without one,
    a new setup where agents register by themselves, else the client's only agent, whatever model it was registered
    with: a person may have called it something else.

    Args:
        client: As `marks.CLIENTS` names it.
        model: As the client gives it; empty where it is not known.
        agents: All that are registered.
        now: Unix seconds, for a new registration.
        scope: What a new agent is responsible for.
        auto_register: Whether a new setup may be registered (the setting `autoRegister`).

    Returns:
        The agent; or the fact that has yet to be written down (`enrolment.enrol`), and which makes it one; or, where
        there is neither, why, as a commit's identity would say it.
    """
    known = list(agents)
    mine = [agent for agent in known if agent.client == client and agent.active]
    same = [agent for agent in mine if model and is_same_model(agent.model, model)]
    for candidates in (same, [agent for agent in same if agent.scope == scope]):
        if len(candidates) == 1:
            return candidates[0]
    if auto_register and not same and (model or not mine):
        return _new(client, _bounded(model) or UNKNOWN_MODEL, scope, known, now)
    if len(mine) == 1:
        return mine[0]
    problem = "ambiguous" if mine else "unregistered"
    return Identity(whole(UNCLAIMED), f"client {client}", problem, client, "client")


def _new(client: str, model: str, scope: str, agents: list[Agent], now: int) -> Agent | AgentFact | Identity:
    """Return the agent of a new setup, unless there is one of this very name, model and scope."""
    fact = AgentFact(agent_id(client, model, scope), client, model, scope, client, now)
    existing = next((agent for agent in agents if agent.id == fact.id), None)
    if existing is None:
        return fact
    if existing.active:
        return existing
    return Identity(whole(UNCLAIMED), f"client {client}", "retired", existing.id, "client")


def is_same_model(one: str, other: str) -> bool:
    """Tell whether two names mean the same model: written otherwise, with its provider before it or its date after it.

    Nothing else is guessed: gpt-5 is not gpt-5-mini.
    """
    return _plain(one) == _plain(other)


def _plain(model: str) -> str:
    plain = model.strip().lower().rpartition("/")[2].translate(_SEPARATORS)
    name, _, date = plain.rpartition("-")
    return name if name and len(date) == _DATE_DIGITS and date.isdecimal() and date.startswith("20") else plain


def _bounded(text: str) -> str:
    """Return a text as a registration may hold it, empty where it may not."""
    text = text.strip()
    return text if len(text) <= MAX_NAME and text.isprintable() else ""


def only_client(marks: Marks) -> str:
    """Return the client that announces itself in the environment; empty where none or several do, or it is unknown."""
    found = find_clients(marks)
    return found[0] if len(found) == 1 and found[0] in CLIENTS else ""


def model_told(client: str, env: Mapping[str, str]) -> str:
    """Return the model that an adapter of ours or a client's variable names, empty where neither does."""
    return _bounded(env.get(MODEL_VARIABLE, "")) or _bounded(env.get(MODEL_VARIABLES.get(client, ""), ""))


def scope_told(instructions: str) -> str:
    """Return the scope that a line of AGENTS.md gives, WHOLE_SCOPE where none does."""
    for line in instructions.splitlines():
        head, mark, rest = line.partition(SCOPE_KEY)
        if mark and not head.strip(" \t<!-#*"):
            return _bounded(rest.replace("-->", "").strip(" \t*")) or WHOLE_SCOPE
    return WHOLE_SCOPE
