"""Codex: hooks of Claude Code's shape, in a file of their own.

Source: Codex 0.169, and payloads as observed: each names the model, none says how a command ended.
"""

from __future__ import annotations

import os

from agent_tracker.clients.payload import meanings, shaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.clients.base import Told

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "codex"
TITLE = "Codex"
EVENTS = meanings("SessionStart", "PostToolUse", "SubagentStart", "SubagentStop", "PreCompact", "Stop", "SessionEnd")
MISSES: tuple[str, ...] = (
    "everything, until its hooks are trusted: run /hooks in Codex once, untrusted ones do not run and nothing says so",
    "commands that failed: it does not tell how one ended, so each counts as done",
)
RUNS_GIT_HOOKS = True
TIMEOUT_S = 5
_SHELLS = frozenset({"Bash", "shell", "shell_command", "exec_command", "local_shell"})


def config_path(env: Mapping[str, str], home: str) -> str:
    """Return the user's hooks."""
    return os.path.join(env.get("CODEX_HOME") or os.path.join(home, ".codex"), "hooks.json")


def settings(command: str, state_dir: str) -> dict[str, object]:  # noqa: ARG001 -- the command is enough
    """Return one group of hooks for each event."""
    entry = {"hooks": [{"type": "command", "command": command, "timeout": TIMEOUT_S}]}
    return dict.fromkeys(EVENTS, entry)


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what one event says."""
    return shaped(payload, EVENTS, shells=_SHELLS, has_failed=_is_error)


def _is_error(payload: Mapping[str, object]) -> bool:
    response = payload.get("tool_response")
    return isinstance(response, dict) and response.get("isError") is True
