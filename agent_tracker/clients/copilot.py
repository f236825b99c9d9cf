"""Copilot CLI: a file of our own among its hooks.

Source: Copilot CLI 1.0, and payloads as observed: with names in Pascal case they have Claude Code's shape. What is
called a success may have ended with any code, which the text says.
"""

from __future__ import annotations

import os

from agent_tracker.clients.payload import USUAL_EVENTS, exit_code_behind, meanings, shaped, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.clients.base import Told

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "copilot"
TITLE = "Copilot CLI"
EVENTS = meanings(*USUAL_EVENTS)
MISSES: tuple[str, ...] = ("the model: it is not told, so the session is that of the client's agent",)
RUNS_GIT_HOOKS = True
TIMEOUT_S = 5
_SHELLS = frozenset({"Bash", "bash"})


def config_path(env: Mapping[str, str], home: str) -> str:
    """Return a file of ours beside the user's hooks."""
    return os.path.join(env.get("COPILOT_HOME") or os.path.join(home, ".copilot"), "hooks", "agent-tracker.json")


def settings(command: str, state_dir: str) -> str:  # noqa: ARG001 -- the command is enough
    """Return the whole file."""
    from json import dumps  # noqa: PLC0415 -- on connecting alone

    entry = {"type": "command", "bash": command, "timeoutSec": TIMEOUT_S}
    return dumps({"version": 1, "hooks": {event: [entry] for event in EVENTS}}, indent=2) + "\n"


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what one event says."""
    return shaped(_as_others_have_it(payload), EVENTS, shells=_SHELLS, has_failed=_has_failed)


def _as_others_have_it(payload: Mapping[str, object]) -> Mapping[str, object]:
    """Return a payload in which a subagent's session is its parent's: here it is its own, and its beginning unnamed."""
    parent = payload.get("parent_agent_id")
    if not parent:
        return payload
    name = payload.get("hook_event_name") or "SubagentStart"
    return {**payload, "session_id": parent, "hook_event_name": name, "transcript_path": ""}


def _has_failed(payload: Mapping[str, object]) -> bool:
    result = payload.get("tool_result")
    if text_in(result, "result_type") not in {"", "success"}:
        return True
    return exit_code_behind("completed with exit code", text_in(result, "text_result_for_llm")) != 0
