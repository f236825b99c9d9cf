"""Cursor: hooks in a file of their own.

Source: https://cursor.com/docs/hooks. No payload was observed: the names are those of its documentation, and an event
that a version does not know is passed over by it.
"""

from __future__ import annotations

import os

from agent_tracker.clients.base import BEGIN, COMPACT, END, IDLE, USE, Told
from agent_tracker.clients.payload import model_in, path_in, text_in, word_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "cursor"
TITLE = "Cursor"
EVENTS = {
    "sessionStart": BEGIN,
    "postToolUse": USE,
    "postToolUseFailure": USE,
    "preCompact": COMPACT,
    "stop": IDLE,
    "sessionEnd": END,
}
MISSES: tuple[str, ...] = ("subagents: what they do counts for the session in which they were begun",)
RUNS_GIT_HOOKS = True
TIMEOUT_S = 5
_SHELLS = frozenset({"Shell", "shell", "run_terminal_cmd"})


def config_path(env: Mapping[str, str], home: str) -> str:  # noqa: ARG001 -- Cursor has no variable for it
    """Return the user's hooks."""
    return os.path.join(home, ".cursor", "hooks.json")


def settings(command: str, state_dir: str) -> dict[str, object]:  # noqa: ARG001 -- the command is enough
    """Return one hook for each event."""
    entry = {"command": command, "timeout": TIMEOUT_S}
    return dict.fromkeys(EVENTS, entry)


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what one event says."""
    event = text_in(payload, "hook_event_name")
    session = word_in(payload, "conversation_id", "session_id")
    if event not in EVENTS or not session:
        return None
    roots = payload.get("workspace_roots")
    root = {"cwd": roots[0]} if isinstance(roots, list) and roots else {}
    return Told(
        EVENTS[event],
        session,
        model=model_in(payload),
        cwd=path_in(payload, "cwd") or path_in(root, "cwd"),
        transcript=path_in(payload, "transcript_path"),
        is_command=text_in(payload, "tool_name") in _SHELLS,
        has_failed=event == "postToolUseFailure",
    )
