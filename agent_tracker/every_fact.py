"""Every fact of a store, in one order that is always the same.

Owns that order: projects, agents and what became of them, rules, what must be forgotten, sessions, then all else by
when it happened. Read into an empty store in this order, facts follow from what is there already, and none makes the
store look back. Never holds all of them: of what is sorted, keys alone are held, and of many of those, files.
"""

from __future__ import annotations

import heapq
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from agent_tracker import packing
from agent_tracker.errors import StoreError
from agent_tracker.journal_codec import KINDS
from agent_tracker.records import CommitFact, SightingFact
from agent_tracker.tables import number_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.records import Fact, Marks
    from agent_tracker.tables import Snapshot

__all__ = ["count_facts", "every_fact"]

HELD = 200_000
"""How many keys are sorted in memory at a time: 25 MB."""

NS = 10**9
_FIRST = (b"a", b"s", b"z", b"x", b"o")
"""The events that come first, by the letters of their keys."""

_TABLES = ("events", *dict.fromkeys(kind.table for kind in KINDS if kind.table != "events"))
"""Where facts lie beside the projects and the commits."""

_TIME_BYTES = 8


def count_facts(snapshot: Snapshot) -> int:
    """Return how many facts a store holds."""
    return sum(snapshot.table(name).count() for name in ("projects", "commits", *_TABLES))


def every_fact(snapshot: Snapshot, *, held: int = HELD) -> Iterator[Fact]:
    """Yield every fact.

    Commits of the same second come in the order in which they are stored, so that a store into which they are read
    lists them in that order too.

    Args:
        snapshot: The store.
        held: How many keys may be held at a time.

    Raises:
        StoreError: A record is damaged.
        RecordError: One is of a version that this program does not know.
        OSError: There is no room for the keys of very many facts.
    """
    yield from sorted(snapshot.projects())
    for letter in _FIRST:
        for key, value in snapshot.table("events").items(letter):
            yield packing.unpack_event(key, value)
    for _, fact in heapq.merge(_commits(snapshot), _others(snapshot, held), key=lambda each: each[0]):
        yield fact


def _commits(snapshot: Snapshot) -> Iterator[tuple[int, Fact]]:
    """Yield the commits by when they say they were made (Unix nanoseconds)."""
    commits, index = snapshot.table("commits"), snapshot.table("commits.project")
    projects = {number: fact.id for number, fact in snapshot.numbered_projects().items()}
    marks: dict[int, Marks] = {}
    streams = [index.keys(number_key(number)) for number in projects]
    for key in heapq.merge(*streams, key=lambda key: key[4:]):
        value = commits.get(key[9:])
        if value is None:
            raise StoreError(
                f"commit number {int.from_bytes(key[9:], 'big')} is indexed but not there", "agent-tracker verify"
            )
        oid, project, operation, number, committed_at, recorded_at, subject = packing.unpack_commit(value)
        known = marks.get(number)
        if known is None:
            known = marks[number] = snapshot.marks(number)
        fact = CommitFact(oid, projects[project], operation, known, committed_at, recorded_at, subject)
        yield committed_at * NS, fact


def _others(snapshot: Snapshot, held: int) -> Iterator[tuple[int, Fact]]:
    """Yield what is no commit and did not come first, by when it was recorded (Unix nanoseconds), then by its key."""
    for entry in _sorted(_keys(snapshot), held):
        at_ns, table, key = int.from_bytes(entry[:_TIME_BYTES], "big"), entry[_TIME_BYTES], entry[_TIME_BYTES + 1 :]
        yield at_ns, packing.unpack_event(key, snapshot.table(_TABLES[table]).get(key) or b"")


def _keys(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield when each was recorded (8 bytes), its table (1) and its key."""
    for number, name in enumerate(_TABLES):
        for key, value in snapshot.table(name).items():
            if key[:1] not in _FIRST:
                fact = packing.unpack_event(key, value)
                at_ns = fact.recorded_at * NS if isinstance(fact, SightingFact) else fact.recorded_ns  # type: ignore[union-attr]
                yield min(at_ns, (1 << 64) - 1).to_bytes(_TIME_BYTES, "big") + bytes([number]) + key


def _sorted(entries: Iterable[bytes], held: int) -> Iterator[bytes]:
    """Yield entries of at most 255 bytes in their order, holding no more than so many."""
    runs: list[Iterator[bytes]] = []
    batch: list[bytes] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == held:
            runs.append(_written(sorted(batch)))
            batch = []
    return heapq.merge(*runs, sorted(batch))


def _written(batch: list[bytes]) -> Iterator[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by whoever reads the last of it
    for entry in batch:
        file.write(bytes([len(entry)]) + entry)
    file.seek(0)
    return _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while length := file.read(1):
            yield file.read(length[0])
