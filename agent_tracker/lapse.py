"""Sessions that ended without saying so: their process is gone, and it is long since they gave a sign of life.

Owns how long is long. Never writes anything.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.journal import PulseFact, SessionFact
from agent_tracker.processes import is_running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.records import Fact
    from agent_tracker.tables import Snapshot

__all__ = ["Lapsed", "find_lapsed", "look_again"]

QUIET_S = 15 * 60
"""How long a session must have been quiet before it is asked whether its process still runs."""
UNKNOWN_S = 12 * 3600
"""The same where it cannot be told whether its process runs."""
ASK_AGAIN_S = 60
"""How long after a quiet session's process was seen to run it is asked again."""


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
    now = now_ns // 10**9
    for begun, state in journal_tables.open_sessions(snapshot):
        if begun.project != project:
            continue
        quiet_s = (now_ns - state.last_ns) // 10**9
        runs = _runs(snapshot, begun) if quiet_s >= QUIET_S else None
        if (quiet_s >= UNKNOWN_S and runs is None) or (quiet_s >= QUIET_S and runs is False):
            facts.append(_end(begun.id, state.last_ns))
            continue
        next_s = ASK_AGAIN_S if runs else (QUIET_S if begun.process and quiet_s < QUIET_S else UNKNOWN_S) - quiet_s
        due = min(due or now + next_s, now + next_s)
    return Lapsed(facts, due)


def look_again(lapsed: Lapsed, arriving: Iterable[Fact], *, now: int) -> int:
    """Return when a session may have lapsed (Unix seconds), also one of which something arrives only now; 0 for never.

    Args:
        lapsed: As `find_lapsed` returned it.
        arriving: What comes into the store after that.
        now: Unix seconds.
    """
    if not any(isinstance(fact, SessionFact | PulseFact) for fact in arriving):
        return lapsed.due
    return min(lapsed.due or now + QUIET_S, now + QUIET_S)


def _runs(snapshot: Snapshot, begun: SessionFact) -> bool | None:
    """Return whether a session's process runs, None where it cannot be told: a resumed one may have another by now."""
    if not begun.process:
        return None
    runs = is_running(begun.process, begun.process_start)
    if runs is False:
        pulses = journal_tables.facts_about(snapshot, PulseFact, b"", begun.id)
        return None if any(pulse.what == "resume" for pulse in pulses) else False
    return runs


def _end(session_id: str, last_ns: int) -> PulseFact:
    """Return a session's end, the same whoever finds it, and right after what it told last.

    Whatever else it told until now, and nobody has read yet, comes later and says that it was alive.
    """
    name = zlib.crc32(session_id.encode("utf-8", "surrogatepass"))
    fact_id = f"{name:08x}{zlib.crc32(last_ns.to_bytes(8, 'big')):08x}"[:12]
    return PulseFact(fact_id, session_id, "interrupted", 0, 0, 0, 0, 0, 0, last_ns + 1)
