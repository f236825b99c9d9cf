"""The facts that a damaged database can still give: records whose checksums are right, wherever they are.

Owns reading them in processes of their own, one for each table and direction, which a damaged page may end. A fact
never changes once it is written, so that a sound record is a true one, however old its page is. Never writes.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

from agent_tracker import packing
from agent_tracker.errors import AgentTrackerError, RecordError
from agent_tracker.fact_json import fact_from_json, fact_to_json, format_object, parse_object
from agent_tracker.records import CommitFact
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.records import Fact, Marks
    from agent_tracker.tables import Snapshot

__all__ = ["TABLES", "main", "salvaged"]

TABLES = ("projects", "events", "retrospectives", "activities", "commits")
"""The tables that hold facts, in the order in which they are to be applied."""

TIMEOUT_S = 120.0
UNREADABLE = (AgentTrackerError, struct.error, ValueError, IndexError)
_BOOT = """
import sys
path, table, direction, *sys.path = sys.argv[1:]
from agent_tracker.durability.salvage import main
sys.exit(main(path, table, direction))
"""


def salvaged(path: str, table: str) -> list[Fact]:
    """Return the facts that one table of a damaged database still gives; where its end cannot be reached, from there.

    Args:
        path: The file; nobody writes it.
        table: One of TABLES.
    """
    found, is_whole = _read(path, table, "forwards")
    if not is_whole:
        found |= _read(path, table, "backwards")[0]
    return list(found.values())


def _read(path: str, table: str, direction: str) -> tuple[dict[bytes, Fact], bool]:
    """Return what a process said before it ended, and whether it came to the end of the table."""
    import subprocess  # noqa: PLC0415 -- for a damaged file alone

    argv = [sys.executable, "-ISc", _BOOT, path, table, direction, *sys.path]
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, timeout=TIMEOUT_S, check=False
        )
        said, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        said, code = error.stdout or b"", 1
    except OSError:
        return {}, True
    facts: dict[bytes, Fact] = {}
    for line in said.split(b"\n"):
        try:
            facts[line] = fact_from_json(parse_object(line))
        except RecordError:
            continue
    return facts, not code


def main(path: str, table: str, direction: str) -> int:
    """Print the facts of a table, a line each, as far as they can be read; return 1 where the end was not reached."""
    out = sys.stdout.buffer
    try:
        with Store(path, 0).snapshot(is_fixed=True) as snapshot:
            for fact in _facts(snapshot, table, from_the_end=direction == "backwards") if snapshot else ():
                out.write(format_object(fact_to_json(fact)))
                out.flush()
    except AgentTrackerError:
        return 1
    return 0


def _facts(snapshot: Snapshot, table: str, *, from_the_end: bool) -> Iterator[Fact]:
    projects = {
        int.from_bytes(key, "big"): packing.unpack_project(value)
        for key, value in snapshot.table("projects").sound_items()
    }
    if table == "projects":
        yield from projects.values()
        return
    marks: dict[int, Marks] = {}
    if table == "commits":
        items = snapshot.table("marks").sound_items()
        marks = {int.from_bytes(key, "big"): packing.unpack_marks(value) for key, value in items}
    for key, value in snapshot.table(table).sound_items(from_the_end=from_the_end):
        try:
            if table != "commits":
                yield packing.unpack_event(key, value)
                continue
            oid, project, operation, number, committed_at, recorded_at, subject = packing.unpack_commit(value)
            known = projects[project].id
            yield CommitFact(oid, known, operation, marks[number], committed_at, recorded_at, subject)
        except (*UNREADABLE, KeyError):
            continue
