"""The registry: what a hook must know of the agents, in small files that a shell can read.

Owns `ids/`, `names/`, `clients/` (a marker each, for the shell), `agents` (all of them, for Python) and `policy` in
the user's state directory. Derived from the store, rewritten whole; never authoritative.
"""

from __future__ import annotations

import os

from agent_tracker.errors import RecordError
from agent_tracker.escaping import escape, unescape
from agent_tracker.files import read_text, replace_file
from agent_tracker.records import Agent
from agent_tracker.xp import NEW_STANDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_agents", "read_policy", "write_agents", "write_policy"]

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def write_agents(registry: str, agents: Iterable[Agent]) -> None:
    """Write every marker anew and take out those that no longer hold.

    Raises:
        OSError: The state directory cannot be written.
    """
    listed = list(agents)
    markers = {("ids", agent.id): _marker(agent) for agent in listed}
    for agent in listed:
        markers["names", agent.name] = _joined(markers.get(("names", agent.name)), agent)
        if agent.client:
            markers["clients", agent.client] = _joined(markers.get(("clients", agent.client)), agent)
    replace_file(os.path.join(registry, "agents"), "".join(f"{_line(agent)}\n" for agent in listed))
    for kind in ("ids", "names", "clients"):
        wanted = {key: text for (of, key), text in markers.items() if of == kind and _is_safe(key)}
        _synchronise(os.path.join(registry, kind), wanted)


def _marker(agent: Agent) -> str:
    return f"{'active' if agent.active else 'retired'} {agent.id} {agent.name}"


def _joined(marker: str | None, agent: Agent) -> str:
    """Return the marker of a name or client that several agents may share: the one active among them."""
    if marker is None or marker.startswith("retired "):
        return _marker(agent)
    return f"ambiguous - {agent.name}" if agent.active else marker


def _is_safe(key: str) -> bool:
    return bool(key) and not key.startswith(".") and _SAFE.issuperset(key)


def _synchronise(directory: str, wanted: dict[str, str]) -> None:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for name in os.listdir(directory):
        if name not in wanted:
            os.unlink(os.path.join(directory, name))
    for name, text in wanted.items():
        path = os.path.join(directory, name)
        if read_text(path) != text + "\n":
            replace_file(path, text + "\n")


def _line(agent: Agent) -> str:
    transitions = " ".join(f"{at}:{int(on)}" for at, on in agent.transitions)
    fields = (agent.id, agent.name, agent.model, agent.scope, agent.client, str(agent.created_at), transitions)
    return "\t".join(map(escape, fields))


def read_agents(registry: str) -> list[Agent]:
    """Return the registered agents as the registry has them, with a new agent's standing.

    Lines that are not ours are passed over.
    """
    agents = []
    for line in read_text(os.path.join(registry, "agents")).split("\n"):
        try:
            agent_id, name, model, scope, client, created_at, changes = map(unescape, line.split("\t"))
            pairs = (change.partition(":") for change in changes.split())
            transitions = tuple((int(at), on == "1") for at, _, on in pairs)
            at = int(created_at)
        except (ValueError, RecordError):
            continue
        active = transitions[-1][1] if transitions else True
        agents.append(Agent(agent_id, name, model, scope, client, active, at, at, NEW_STANDING, transitions))
    return agents


def write_policy(registry: str, policy: str) -> None:
    """Write the user-level policy for the shell.

    Raises:
        OSError: The state directory cannot be written.
    """
    replace_file(os.path.join(registry, "policy"), policy + "\n")


def read_policy(repository_policy: str, registry: str) -> str:
    """Return the policy in force by the mirrored files: the repository's, else the user's, else `enforce`."""
    for path in (repository_policy, os.path.join(registry, "policy")):
        text = read_text(path).strip()
        if text in {"enforce", "warn", "off"}:
            return text
    return "enforce"
