"""What of a damaged database is gone, as far as that can be known.

Owns comparing how many facts it held with how many are known to have come back. A fact that came in since, from a spool
or from git, must not stand for one that is gone: it counts as one that came back only if it had been recorded when the
damaged database was last written, and all that had been recorded by then was flushed. In doubt it is said that nobody
knows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_tracker import packing
from agent_tracker.errors import SpoolError
from agent_tracker.records import AgentFact, CommitFact, SightingFact
from agent_tracker.spool import PENDING, SPOOL, Segment, segments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.records import Fact
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot

__all__ = ["FACTS", "Reckoning", "counted", "expected", "settled_until"]

EVENTS = ("events", "retrospectives", "activities")
FACTS = ("commits", *EVENTS, "projects")
"""The tables that hold facts: what a backup, the damaged file and the segments must give back between them."""

LASTING = ("commits", *EVENTS)
"""Those whose facts may be gone: where a repository lies, its next flush says again."""

NS = 10**9


def counted(store: Store, *, is_fixed: bool = False) -> dict[str, int]:
    """Return how many facts a database holds, by table."""
    with store.snapshot(is_fixed=is_fixed) as snapshot:
        names = snapshot.names if snapshot else ()
        return {name: snapshot.table(name).count() if snapshot and name in names else 0 for name in FACTS}


def expected(counts: dict[str, int], said: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return how many records there were, by table: as was noted beside the database, or as the file says itself."""
    held = {name: count for name, count in counts.items() if name in {*FACTS, "archived"}}
    for each in said:
        for name in each.keys() & {*FACTS, "archived"}:
            held[name] = max(held.get(name, 0), each[name])
    return held


def settled_until(at_ns: int, directories: Iterable[str]) -> int:
    """Return until when (Unix nanoseconds) all that had been recorded was in the database at a moment.

    Args:
        at_ns: The moment, 0 where it is not known.
        directories: The spools. What was sealed later, or lies there unsealed, may have been recorded before; but not
            before the last seal until then, which a flush of all of it followed.
    """
    until = at_ns
    for directory in directories:
        try:
            until = min(until, _settled(at_ns, directory))
        except SpoolError:
            return 0
    return until


def _settled(at_ns: int, directory: str) -> int:
    found = segments(directory)
    late = [segment.sealed_ns for segment in found if segment.sealed_ns > at_ns]
    is_pending = os.path.lexists(os.path.join(directory, PENDING))
    if not late and not is_pending and not _size(os.path.join(directory, SPOOL)):
        return at_ns
    early: list[Segment] = [segment for segment in found if segment.sealed_ns <= at_ns]
    if not early or (is_pending and not late):
        return 0
    last = max(segment.sealed_ns + segment.size for segment in early)  # a fact of each of its lines, a nanosecond apart
    # Of a commit the second is known.
    return min(last, *(sealed // NS * NS - 1 for sealed in late)) if late else last


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


class Reckoning:
    """What there was, and what is there after the damaged file was read and before anything is flushed.

    Args:
        held: How many facts there were, by table.
        at_ns: When that was (Unix nanoseconds), 0 where it is not known.
        directories: The spools.
        restored: How many facts the backup held.
        before: How many were there before the damaged file was read: more, if a flush came between.
        store: The database.
        is_sure: That `held` is as of the last transaction.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- what is known at one moment
        self,
        held: dict[str, int],
        at_ns: int,
        directories: Iterable[str],
        restored: dict[str, int],
        before: dict[str, int],
        store: Store,
        *,
        is_sure: bool,
    ) -> None:
        self._held = held
        self._until_ns = 0
        self.restored = restored
        self.salvaged = counted(store)
        self.is_known = is_sure and any(name in held for name in LASTING)
        self._between = {name: max(before[name] - restored.get(name, 0), 0) for name in FACTS}
        self._keys: dict[str, set[bytes]] = {}
        self._missing: dict[str, int] = {}
        self._doubtful = 0
        with store.snapshot() as snapshot:
            self._look(snapshot)
            if self._keys:
                at_ns = at_ns or (0 if any(self._between.values()) else _last_recorded(snapshot))
                self._until_ns = settled_until(at_ns, directories)

    def _look(self, snapshot: Snapshot | None) -> None:
        """Note how many facts are missing yet, and which are there of the tables in which some are."""
        archived = snapshot.table("archived").count() if snapshot else 0
        # What was moved out of it has come back with the backup, and stands for nothing that is missing.
        self._doubtful = max(self._held.get("archived", 0) - archived, 0)
        for name in LASTING:
            from_it = self.salvaged[name] - self._between[name]
            self._missing[name] = self._held.get(name, 0) - from_it
            if snapshot and self._at_most(name) > 0:
                self._keys[name] = set(snapshot.table(name).keys())

    def _at_most(self, name: str) -> int:
        return self._missing[name] + (self._doubtful if name in EVENTS else 0)

    def gone(
        self, store: Store, unmarked: Iterable[Fact], *, is_all_read: bool
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Return what is gone for certain, and how many more may be, by table; after all was flushed.

        Args:
            store: The database.
            unmarked: The commits of the damaged file that came last of all.
            is_all_read: No spool was left out.
        """
        gone: dict[str, int] = {}
        unsure: dict[str, int] = {}
        own = {fact.oid for fact in unmarked if isinstance(fact, CommitFact)}
        with store.snapshot() as snapshot:
            for name in self._keys if snapshot and self.is_known else ():
                came = _came(snapshot, name, self._keys[name], own)
                sure = len(own) if name == "commits" else 0
                most = max(self._at_most(name) - sure - sum(at_ns <= self._until_ns for at_ns in came), 0)
                least = max(self._missing[name] - sure - len(came) - self._between[name], 0) if is_all_read else 0
                gone[name], unsure[name] = min(least, most), most - min(least, most)
        return _without_zeros(gone), _without_zeros(unsure)


def _without_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _last_recorded(snapshot: Snapshot | None) -> int:
    """Return when the last of the commits was recorded (Unix nanoseconds), 0 where there is none."""
    rows = map(packing.unpack_commit, snapshot.table("commits").values()) if snapshot else ()
    return max((row[5] for row in rows), default=0) * NS


def _came(snapshot: Snapshot | None, name: str, known: set[bytes], own: set[bytes]) -> list[int]:
    """Return when each fact was recorded that came since (Unix nanoseconds), but for some commits."""
    moments = []
    for key, value in snapshot.table(name).items() if snapshot else ():
        if key in known:
            continue
        if name == "commits":
            oid, _, _, _, _, recorded_at, _ = packing.unpack_commit(value)
            if oid not in own:
                moments.append(recorded_at * NS)
            continue
        fact = packing.unpack_event(key, value)
        is_coarse = isinstance(fact, SightingFact | AgentFact)
        moments.append(fact.recorded_at * NS if is_coarse else fact.recorded_ns)  # type: ignore[union-attr]
    return moments
