"""Aider: no hooks; its commits are known by the marks that it leaves in them.

Source: Aider 0.86, https://aider.chat/docs/git.html.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.clients.base import Told

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "aider"
TITLE = "Aider"
EVENTS: dict[str, str] = {}
MISSES: tuple[str, ...] = (
    "sessions and what was used in them: it has no hooks",
    "a refusal before the commit: it commits with --no-verify",
)
RUNS_GIT_HOOKS = True


def config_path(env: Mapping[str, str], home: str) -> str:  # noqa: ARG001 -- there is none
    """Return nothing: there is no such file."""
    return ""


def settings(command: str, state_dir: str) -> dict[str, object]:  # noqa: ARG001 -- as above
    """Return nothing: there is nowhere to put it."""
    return {}


def told(payload: Mapping[str, object]) -> Told | None:  # noqa: ARG001 -- as above
    """Return nothing: it never calls."""
    return None
