"""Writing down, where nobody waits for a flush, that an agent is registered and that a session is its.

Owns that way: a line in the user's spool, and the registry's files, so that the hooks know it at once. Never opens the
store and never decides who is registered; `announced` does. Hooks and clients' adapters import this.
"""

from __future__ import annotations

import os

from agent_tracker.announced import scope_told
from agent_tracker.errors import SpoolError
from agent_tracker.files import read_text, remedy
from agent_tracker.journal import MAX_WORD, BindingFact
from agent_tracker.lines import agent_line, fact_line
from agent_tracker.records import Agent
from agent_tracker.registry import read_agents, read_session, write_agents, write_session
from agent_tracker.spool import append, ensure_directory, flush_locked
from agent_tracker.xp import NEW_STANDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.paths import UserPaths
    from agent_tracker.records import AgentFact

__all__ = ["bind", "enrol", "scope_here"]

INSTRUCTIONS = "AGENTS.md"
TIMEOUT_S = 1.0


def enrol(paths: UserPaths, fact: AgentFact, *, timeout_s: float = TIMEOUT_S) -> Agent:
    """Register an agent; the store learns of it at the next flush.

    Args:
        paths: The user's.
        fact: Its registration.
        timeout_s: How long to wait for a flush that is about to write the registry.

    Raises:
        SpoolError: It cannot be written down.
    """
    agent = Agent(*fact[:5], True, fact.recorded_at, fact.recorded_at, NEW_STANDING, ())  # noqa: FBT003 -- a field
    ensure_directory(paths.spool_dir)
    append(paths.spool_dir, agent_line(fact))
    with flush_locked(paths.spool_dir, timeout_s=timeout_s):
        known = [each for each in read_agents(paths.registry) if each.id != agent.id]
        try:
            write_agents(paths.registry, sorted([*known, agent], key=lambda each: each.id))
        except OSError as error:
            raise SpoolError(f"cannot write {paths.registry}: {error.strerror}", remedy(error)) from error
    return agent


def bind(paths: UserPaths, session: str, agent: str, *, now_ns: int) -> bool:
    """Say that a session is an agent's from now on; False where it is already.

    Args:
        paths: The user's.
        session: Its id, as the client gives it in the environment.
        agent: The agent's id.
        now_ns: Unix nanoseconds.

    Raises:
        SpoolError: It cannot be written down, or the id is none that can be kept.
    """
    if not session.strip() or len(session) > MAX_WORD or not session.isprintable():
        raise SpoolError("the session's id cannot be kept", "export AGENT_TRACKER_AGENT=ID")
    if read_session(paths.registry, session) == agent:
        return False
    ensure_directory(paths.spool_dir)
    append(paths.spool_dir, fact_line(BindingFact(session, agent, now_ns)))
    try:
        write_session(paths.registry, session, agent, now_ns=now_ns)
    except OSError as error:
        raise SpoolError(f"cannot write {paths.state_dir}: {error.strerror}", remedy(error)) from error
    return True


def scope_here(work_tree: str) -> str:
    """Return the scope that a work tree's AGENTS.md gives, `announced.WHOLE_SCOPE` where it gives none."""
    return scope_told(read_text(os.path.join(work_tree, INSTRUCTIONS))) if work_tree else scope_told("")
