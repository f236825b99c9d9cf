"""Sessions that ended without saying so: their process is gone, and it is long since they gave a sign of life.

Owns how long is long. Never writes anything.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.journal import PulseFact
from agent_tracker.processes import is_running

if TYPE_CHECKING:
    from agent_tracker.tables import Snapshot

__all__ = ["Lapsed", "find_lapsed"]

QUIET_S = 15 * 60
"""How long a session must have been quiet before it is asked whether its process still runs."""
UNKNOWN_S = 12 * 3600
"""The same where it cannot be told whether its process runs."""


class Lapsed(NamedTuple):
    """The ends of sessions that lapsed, and when the next one may have (Unix seconds; 0 where none is open)."""

    facts: list[PulseFact]
    due: int


def find_lapsed(snapshot: Snapshot, project: str, *, now_ns: int) -> Lapsed:
    """Return the sessions of a project that are over though nobody said so.

    Args:
        snapshot: Where the sessions stand.
        project: Its UUID.
        now_ns: Unix nanoseconds.
    """
    facts = []
    due = 0
    for begun, state in journal_tables.open_sessions(snapshot):
        if begun.project != project:
            continue
        quiet_s = (now_ns - state.last_ns) // 10**9
        runs = is_running(begun.process, begun.process_start) if quiet_s >= QUIET_S and begun.process else None
        if (quiet_s >= UNKNOWN_S and runs is None) or (quiet_s >= QUIET_S and runs is False):
            facts.append(_end(begun.id, state.last_ns, now_ns))
            continue
        next_s = max(1, QUIET_S - quiet_s) if begun.process else max(1, UNKNOWN_S - quiet_s)
        due = min(due or now_ns // 10**9 + next_s, now_ns // 10**9 + next_s)
    return Lapsed(facts, due)


def _end(session_id: str, last_ns: int, now_ns: int) -> PulseFact:
    """Return a session's end, with an id that is the same whoever finds it."""
    name = zlib.crc32(session_id.encode("utf-8", "surrogatepass"))
    fact_id = f"{name:08x}{zlib.crc32(last_ns.to_bytes(8, 'big')):08x}"[:12]
    return PulseFact(fact_id, session_id, "interrupted", 0, 0, 0, 0, 0, 0, now_ns)
