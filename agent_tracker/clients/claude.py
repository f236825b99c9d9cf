"""Claude Code: hooks in its settings.

Source: Claude Code 2.1, https://code.claude.com/docs/en/hooks, and payloads as observed. The model is in no payload; it
is in the transcript from the first answer on.
"""

from __future__ import annotations

import os

from agent_tracker.clients.payload import USUAL_EVENTS, meanings, shaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.clients.base import Told

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "claude"
TITLE = "Claude Code"
EVENTS = meanings(*USUAL_EVENTS)
MISSES: tuple[str, ...] = ("the model before its first answer: it is not told, and read in the transcript",)
RUNS_GIT_HOOKS = True
TIMEOUT_S = 5
_SHELLS = frozenset({"Bash"})


def config_path(env: Mapping[str, str], home: str) -> str:
    """Return the user's settings."""
    return os.path.join(env.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude"), "settings.json")


def settings(command: str, state_dir: str) -> dict[str, object]:  # noqa: ARG001 -- the command is enough
    """Return one group of hooks for each event."""
    entry = {"hooks": [{"type": "command", "command": command, "timeout": TIMEOUT_S}]}
    return dict.fromkeys(EVENTS, entry)


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what one event says."""
    return shaped(payload, EVENTS, shells=_SHELLS)
