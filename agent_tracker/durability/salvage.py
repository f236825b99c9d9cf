"""The facts that a damaged database can still give: records whose checksums are right, wherever they are.

Owns reading them in a process of its own, which a damaged page may end; another one goes on behind that page, from the
end of its table. A fact never changes once it is written, so that a sound record is a true one, however old its page
is. What the restored database has already is passed over in that process. Never writes.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import packing
from agent_tracker.durability.child import run_child
from agent_tracker.errors import AgentTrackerError, RecordError, UncheckedError
from agent_tracker.records import CommitFact, ProjectFact
from agent_tracker.store import Store, read_fixed
from agent_tracker.tables import marks_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_tracker.records import Fact, Marks
    from agent_tracker.table import Table
    from agent_tracker.tables import Snapshot

__all__ = ["Salvaged", "main", "salvaged"]

JOBS = ("schema", "projects", "events", "retrospectives", "activities", "marks", "marks.number", "commits")
"""What is read, in this order: what commits refer to before them."""

EVENTS = frozenset({"events", "retrospectives", "activities"})
PASSED_OVER = frozenset({"events", "retrospectives", "activities", "commits"})
"""Of these, what the restored database has is not given."""

TIMEOUT_S = 300.0
UNREADABLE = (AgentTrackerError, struct.error, ValueError, IndexError)
_FRAME = struct.Struct("<BII")
_END = 0xFF

Records = dict[str, dict[bytes, bytes]]
"""What is sound, by table and key."""


class Salvaged(NamedTuple):
    """What a damaged database gives that the restored one has not.

    `unmarked` are commits of which the marks cannot be read: whose they are is not known. `homeless`: how many commits
    there are of which it is not known in which repository they were made. `counts`: how many facts it says it held, by
    table, empty where that cannot be read.
    """

    facts: list[Fact]
    unmarked: list[Fact]
    homeless: int
    counts: dict[str, int]


def salvaged(path: str, restored: str = "", *, projects: Mapping[int, ProjectFact] | None = None) -> Salvaged:
    """Return what a damaged database still gives.

    Args:
        path: The file; nobody writes it.
        restored: The database in its place, whose facts are passed over; none are, if it is empty.
        projects: The repositories by their numbers in a copy of it, for those that cannot be read.
    """
    records = _read(path, restored)
    facts: list[Fact] = []
    known = dict(projects or {})
    for key, value in records["projects"].items():
        try:
            fact = packing.unpack_project(value)
        except UNREADABLE:
            continue
        number = int.from_bytes(key, "big")
        if number in known and known[number].id != fact.id:
            known = {}  # the copy is of another database
        known[number] = fact
        facts.append(fact)
    for name in JOBS:
        for key, value in records[name].items() if name in EVENTS else ():
            try:
                facts.append(packing.unpack_event(key, value))
            except UNREADABLE:
                continue
    unmarked, homeless = _take_commits(records, known, facts)
    counts = {name.decode(): int.from_bytes(value, "big") for name, value in records["schema"].items()}
    return Salvaged(facts, unmarked, homeless, counts)


def _take_commits(records: Records, projects: Mapping[int, ProjectFact], facts: list[Fact]) -> tuple[list[Fact], int]:
    """Add the commits to the facts; return those without their marks, and the number of those without a repository."""
    marks = _marks(records)
    unmarked: list[Fact] = []
    homeless = 0
    used: dict[int, ProjectFact] = {}
    for value in records["commits"].values():
        try:
            oid, project, operation, number, committed_at, recorded_at, subject = packing.unpack_commit(value)
        except UNREADABLE:
            continue
        if project not in projects:
            homeless += 1
            continue
        used[project] = projects[project]
        fact = CommitFact(
            oid, projects[project].id, operation, marks.get(number, ()), committed_at, recorded_at, subject
        )
        (facts if number in marks else unmarked).append(fact)
    facts += used.values()
    return unmarked, homeless


def _marks(records: Records) -> dict[int, Marks]:
    """Return identity marks by their number; where the record is damaged, as the key says by which it is found."""
    found: dict[int, Marks] = {}
    blobs = [(int.from_bytes(value, "big"), key) for key, value in records["marks.number"].items()]
    # The marks' own records are last: they say what a long key does not.
    pairs = [(number, b"" if key == marks_key(b"") else key) for number, key in blobs if not _is_digest(key)]
    pairs += [(int.from_bytes(key, "big"), value) for key, value in records["marks"].items()]
    for number, blob in pairs:
        try:
            found[number] = packing.unpack_marks(blob)
        except UNREADABLE:
            continue
    return found


def _is_digest(key: bytes) -> bool:
    return len(key) > 1 and key.startswith(b"\0")


# -- the processes


def _read(path: str, restored: str) -> Records:
    """Return all that processes read that were started until each table had been gone through from either end."""
    records: Records = {name: {} for name in JOBS}
    jobs = [f"{name}:forwards" for name in JOBS]
    while jobs:
        done = _take(_said(path, restored, jobs), records)
        name, _, direction = jobs[min(done, len(jobs) - 1)].partition(":")
        jobs = jobs[done:]
        if jobs:
            jobs[0] = f"{name}:backwards"
            jobs = jobs[direction == "backwards" :]
    return records


def _said(path: str, restored: str, jobs: list[str]) -> bytes:
    import subprocess  # noqa: PLC0415 -- for a damaged file alone

    try:
        return run_child("salvage", path, restored, *jobs, timeout_s=TIMEOUT_S).stdout
    except subprocess.TimeoutExpired as error:
        return error.stdout or b""
    except OSError as error:
        message = f"no process can be started to read {path}: {error.strerror}"
        raise UncheckedError(message, "agent-tracker recover") from error


def _take(said: bytes, records: Records) -> int:
    """Sort what a process said into tables, and return how many of its jobs it did."""
    at, done = 0, 0
    while at + _FRAME.size <= len(said):
        table, key_size, size = _FRAME.unpack_from(said, at)
        at += _FRAME.size
        if table == _END:
            done += 1
        elif at + key_size + size <= len(said):
            records[JOBS[table]][said[at : at + key_size]] = said[at + key_size : at + key_size + size]
        at += key_size + size
    return done


def main(path: str, restored: str, *jobs: str) -> int:
    """Write the sound records of some tables to stdout, as far as they can be read; return 1 where one ended early."""
    try:
        with read_fixed(path) as snapshot:
            if not restored:
                _do(snapshot, None, jobs)
                return 0
            with Store(restored, 0).snapshot() as present:
                _do(snapshot, present, jobs)
    except AgentTrackerError:
        return 1
    return 0


def _do(snapshot: Snapshot | None, present: Snapshot | None, jobs: Sequence[str]) -> None:
    write, flush = sys.stdout.buffer.write, sys.stdout.buffer.flush
    for job in jobs:
        name, _, direction = job.partition(":")
        number = JOBS.index(name)
        if snapshot and name == "schema":
            items = iter([(table.encode(), count.to_bytes(8, "big")) for table, count in snapshot.counts().items()])
        elif snapshot and name in snapshot.names:
            items = snapshot.table(name).sound_items(from_the_end=direction == "backwards")
            items = _absent(items, name, present) if present and name in PASSED_OVER else items
        else:
            items = iter(())
        try:
            for key, value in items:
                write(_FRAME.pack(number, len(key), len(value)) + key + value)
                flush()  # the next page may end this process
        finally:
            flush()
        write(_FRAME.pack(_END, 0, 0))
        flush()


def _absent(items: Iterator[tuple[bytes, bytes]], name: str, present: Snapshot) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of facts that the restored database has not."""
    table: Table = present.table(name)
    for key, value in items:
        try:
            # In a copy a commit has the number that it had.
            if table.get(key) == value if name == "commits" else table.has(key):
                continue
            if name == "commits" and present.has_commit(packing.unpack_commit(value)[0]):
                continue
        except RecordError:
            continue
        yield key, value
