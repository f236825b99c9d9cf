"""Qwen Code: hooks of Claude Code's shape, in its settings.

Source: Qwen Code 0.15, and payloads as observed.
"""

from __future__ import annotations

import os

from agent_tracker.clients.payload import USUAL_EVENTS, exit_code_behind, meanings, shaped, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.clients.base import Told

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "qwen"
TITLE = "Qwen Code"
EVENTS = meanings(*USUAL_EVENTS)
MISSES: tuple[str, ...] = (
    "the session in which a commit was made: its shell does not know it, so two agents of it are not told apart",
    "the beginning and the end of a session without a terminal: it begins with what is used first",
)
RUNS_GIT_HOOKS = True
TIMEOUT_MS = 5000
_SHELLS = frozenset({"run_shell_command"})


def config_path(env: Mapping[str, str], home: str) -> str:
    """Return the user's settings."""
    return os.path.join(env.get("QWEN_HOME") or os.path.join(home, ".qwen"), "settings.json")


def settings(command: str, state_dir: str) -> dict[str, object]:  # noqa: ARG001 -- the command is enough
    """Return one group of hooks for each event."""
    entry = {"hooks": [{"type": "command", "command": command, "name": "agent-tracker", "timeout": TIMEOUT_MS}]}
    return dict.fromkeys(EVENTS, entry)


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what one event says."""
    return shaped(payload, EVENTS, shells=_SHELLS, has_failed=_has_failed)


def _has_failed(payload: Mapping[str, object]) -> bool:
    return exit_code_behind("\nExit Code:", text_in(payload.get("tool_response"), "llmContent")) != 0
