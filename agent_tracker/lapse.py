"""Sessions that ended without saying so: their process is gone, and it is long since they gave a sign of life.

Owns how long is long, and finding the commits that name one. Never writes
anything.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables, packing
from agent_tracker.journal import PulseFact, SessionFact
from agent_tracker.marks import named_sessions
from agent_tracker.processes import is_running
from agent_tracker.records import CommitFact, SightingFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.records import Commit, Fact
    from agent_tracker.tables import Snapshot

__all__ = ["Lapsed", "commits_naming", "find_lapsed", "look_again"]

QUIET_S = 15 * 60
"""How long a session must have been quiet before it is asked whether its process still runs."""
UNKNOWN_S = 12 * 3600
"""The same where it cannot be told whether its process runs."""
ASK_AGAIN_S = 60
"""How long after a quiet session's process was seen to run it is asked again."""

FEW = 8
"""For so many sessions, marks are looked through as they are stored."""


class Lapsed(NamedTuple):
    """The ends of sessions that lapsed, and when the next one may have (Unix seconds; 0 where none is open)."""

    facts: list[PulseFact]
    due: int


def find_lapsed(snapshot: Snapshot, project: str, *, now_ns: int, arriving: Iterable[Fact] = ()) -> Lapsed:
    """Return the sessions of a project that are over though nobody said so.

    Args:
        snapshot: Where the sessions stand.
        project: Its UUID.
        now_ns: Unix nanoseconds.
        arriving: What comes into the store together with these ends: a commit that names a session is a sign of life.
    """
    facts = []
    due = 0
    now = now_ns // 10**9
    coming: dict[str, int] | None = None
    for begun, state in journal_tables.open_sessions(snapshot):
        if begun.project != project:
            continue
        quiet_s = (now_ns - state.last_ns) // 10**9
        runs = _runs(snapshot, begun) if quiet_s >= QUIET_S else None
        last_ns = state.last_ns
        if _is_over(quiet_s, runs):
            coming = _coming(arriving) if coming is None else coming
            last_ns = max(last_ns, _last_commit_ns(snapshot, begun.id, last_ns // 10**9), coming.get(begun.id, 0))
            quiet_s = (now_ns - last_ns) // 10**9
        if _is_over(quiet_s, runs):
            facts.append(_end(begun.id, last_ns))
            continue
        next_s = ASK_AGAIN_S if runs else (QUIET_S if begun.process and quiet_s < QUIET_S else UNKNOWN_S) - quiet_s
        due = min(due or now + next_s, now + next_s)
    return Lapsed(facts, due)


def _is_over(quiet_s: int, runs: bool | None) -> bool:  # noqa: FBT001 -- unknown is one of three
    return (quiet_s >= UNKNOWN_S and runs is None) or (quiet_s >= QUIET_S and runs is False)


def _coming(arriving: Iterable[Fact]) -> dict[str, int]:
    """Return when the last of the arriving commits that name a session was made, by session; Unix nanoseconds."""
    found: dict[str, int] = {}
    for fact in arriving:
        if isinstance(fact, CommitFact | SightingFact):
            made = min(fact.recorded_at, fact.committed_at if isinstance(fact, CommitFact) else fact.recorded_at)
            for session in named_sessions(fact.marks):
                found[session] = max(found.get(session, 0), made * 10**9)
    return found


def _last_commit_ns(snapshot: Snapshot, session: str, since: int) -> int:
    made = (min(each.committed_at, each.recorded_at) for each in commits_naming(snapshot, {session}, since))
    return max(made, default=0) * 10**9


def commits_naming(snapshot: Snapshot, sessions: set[str], since: int) -> Iterator[Commit]:
    """Yield the commits of all projects whose marks name one of these sessions, the one that arrived last first.

    Args:
        snapshot: The store.
        sessions: Their ids.
        since: Only what was recorded from then on, whatever it says of itself; Unix seconds.
    """
    numbers = set(_marks_naming(snapshot, sessions))
    table = snapshot.table("commits")
    for key in table.keys(newest_first=True) if numbers else ():
        oid, _, _, marks, _, recorded_at, _ = packing.unpack_commit(table.get(key) or b"")
        if recorded_at < since:
            return
        commit = snapshot.commit(oid) if marks in numbers else None
        if commit:
            yield commit


def _marks_naming(snapshot: Snapshot, sessions: set[str]) -> Iterator[int]:
    packed = [session.encode() for session in sessions if session.isascii()]
    is_few = len(packed) == len(sessions) <= FEW
    for key, value in snapshot.table("marks").items():
        if is_few and not any(each in value for each in packed):
            continue
        if not sessions.isdisjoint(named_sessions(packing.unpack_marks(value))):
            yield int.from_bytes(key, "big")


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
