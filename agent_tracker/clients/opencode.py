"""OpenCode: a plugin of our own, which appends to the spool itself and asks us whose a session is.

Source: OpenCode 1.18, https://opencode.ai/docs/plugins, and @opencode-ai/plugin.
"""

from __future__ import annotations

import os

from agent_tracker.clients.base import BEGIN, Told
from agent_tracker.clients.payload import model_in, path_in, text_in, word_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENTS", "MISSES", "NAME", "RUNS_GIT_HOOKS", "TITLE", "config_path", "settings", "told"]

NAME = "opencode"
TITLE = "OpenCode"
EVENTS = {BEGIN: BEGIN}
MISSES: tuple[str, ...] = ()
RUNS_GIT_HOOKS = True
PLUGIN = "opencode.js"
MAX_PROCESS = 1 << 31


def config_path(env: Mapping[str, str], home: str) -> str:
    """Return the plugin's file, where OpenCode looks for the user's plugins."""
    named = env.get("XDG_CONFIG_HOME", "")
    base = named if os.path.isabs(named) else os.path.join(home, ".config")
    return os.path.join(base, "opencode", "plugins", "agent-tracker.js")


def settings(command: str, state_dir: str) -> str:
    """Return the plugin's text."""
    from json import dumps  # noqa: PLC0415 -- on connecting alone

    with open(os.path.join(os.path.dirname(__file__), PLUGIN), encoding="utf-8") as file:
        text = file.read()
    for name, value in (("HOOK", command), ("STATE", state_dir)):
        text = text.replace(f'const {name} = ""\n', f"const {name} = {dumps(value)}\n", 1)
    return text


def told(payload: Mapping[str, object]) -> Told | None:
    """Return what the plugin asks: whose is this session?"""
    session = word_in(payload, "session_id")
    if text_in(payload, "what") not in EVENTS or not session:
        return None
    process = payload.get("process")
    return Told(
        BEGIN,
        session,
        parent=word_in(payload, "parent_id"),
        model=model_in(payload),
        cwd=path_in(payload, "cwd"),
        process=int(process) if isinstance(process, float) and 0 < process < MAX_PROCESS else 0,
    )
