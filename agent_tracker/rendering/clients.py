"""How the clients stand, in words and as JSON.

Owns those shapes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.rendering.text import as_text, place, safe, show, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.verbs.clients import Connection

__all__ = ["connected_lines", "connection_json", "disconnected_line", "show_clients"]

STATES = {
    "connected": "connected",
    "outdated": "outdated: agent-tracker connect",
    "not connected": "-",
    "marks": "known by marks alone",
}


def connection_json(each: Connection) -> dict[str, object]:
    """Return how a client stands, for --json."""
    return {
        "client": each.client,
        "title": each.title,
        "state": each.state,
        "before": each.was or None,
        "path": as_text(each.path.encode("utf-8", "surrogateescape")) or None,
        "agents": list(each.agents),
        "misses": list(each.misses),
        "trouble": safe(each.trouble) or None,
    }


def show_clients(found: Sequence[Connection]) -> None:
    """Show the clients as a table, and below it what is not told of those that are of interest."""
    rows = [
        [each.client, STATES[each.state], place(each.path) or "-", ", ".join(map(safe, each.agents)) or "-"]
        for each in found
    ]
    show(table(["CLIENT", "STATE", "FILE", "AGENTS"], rows))
    told = [each for each in found if each.state in {"connected", "outdated"} or each.agents]
    for each in told:
        show("", f"{each.title} does not tell:", *(f"  - {miss}" for miss in each.misses))
    if not told:
        show("", "To let one tell of its sessions: agent-tracker connect CLIENT")
    for each in found:
        if each.trouble:
            show("", f"{each.title}: {safe(each.trouble)}")


def connected_lines(each: Connection) -> list[str]:
    """Return what connecting did, what is left to do, and what is not told."""
    words = {"connected": "is connected already", "outdated": "is connected anew"}
    lines = [f"{each.title} {words.get(each.was, 'is connected')}: {place(each.path)}"]
    if not each.agents:
        lines.append(
            f"No agent is its yet: agent-tracker register NAME --model MODEL --scope SCOPE --client {each.client}"
        )
    return [*lines, "Not told:", *(f"  - {miss}" for miss in each.misses)]


def disconnected_line(each: Connection) -> str:
    """Return what disconnecting did."""
    word = "was not connected" if each.was in {"not connected", ""} else "is not connected any more"
    return f"{each.title} {word}."
