"""The clients that can be connected, in the order in which they are listed.

Owns that dict. An adapter is a module; a new one is a line here.
"""

from __future__ import annotations

from agent_tracker.clients import aider, claude, codex, copilot, cursor, gemini, opencode, qwen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.clients.base import Client

__all__ = ["ADAPTERS"]

ADAPTERS: dict[str, Client] = {
    opencode.NAME: opencode,
    claude.NAME: claude,
    codex.NAME: codex,
    gemini.NAME: gemini,
    copilot.NAME: copilot,
    qwen.NAME: qwen,
    cursor.NAME: cursor,
    aider.NAME: aider,
}
