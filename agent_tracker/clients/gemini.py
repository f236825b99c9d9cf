"""Gemini CLI: hooks in its settings.

Source: Gemini CLI 0.61, and payloads as observed. Its shell has core.hooksPath empty, so that no git hook runs: what a
tool committed is read in HEAD's reflog after it was used.
"""

from __future__ import annotations

import os

from agent_tracker.clients.base import BEGIN, END, IDLE, TURN, USE, Told
from agent_tracker.clients.payload import exit_code_behind, shaped, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "gemini"
TITLE = "Gemini CLI"
EVENTS = {
    "SessionStart": BEGIN,
    "BeforeAgent": TURN,
    "AfterTool": USE,
    "AfterAgent": IDLE,
    "SessionEnd": END,
}
MISSES: tuple[str, ...] = (
    "git hooks: its shell turns them off (core.hooksPath), so no commit is refused; whose it is, is told afterwards",
    "the model before its first answer: it is not told, and read in the transcript",
    "when its context is made smaller: it says so before every answer",
    "subagents: what they do counts for the session in which they were begun",
)
RUNS_GIT_HOOKS = False
TIMEOUT_MS = 5000
_SHELLS = frozenset({"run_shell_command"})


def config_path(env: Mapping[str, str], home: str) -> str:
    """Return the user's settings: GEMINI_CLI_HOME stands for the home directory."""
    return os.path.join(env.get("GEMINI_CLI_HOME") or home, ".gemini", "settings.json")


def settings(command: str, state_dir: str) -> dict[str, object]:  # noqa: ARG001 -- the command is enough
    """Return one group of hooks for each event."""
    entry = {"hooks": [{"type": "command", "command": command, "name": "agent-tracker", "timeout": TIMEOUT_MS}]}
    return dict.fromkeys(EVENTS, entry)


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what one event says."""
    return shaped(payload, EVENTS, shells=_SHELLS, has_failed=_has_failed)


def _has_failed(payload: Mapping[str, object]) -> bool:
    response = payload.get("tool_response")
    if isinstance(response, dict) and response.get("error"):
        return True
    return exit_code_behind("\nExit Code:", text_in(response, "llmContent")) != 0
