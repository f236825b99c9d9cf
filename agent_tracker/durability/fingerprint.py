"""What a database's file looked like when we last closed it: by that is seen whether anybody else has been at it.

Owns the file `<database>.fingerprint`: a line that says so, and one for each table with how many records it had, by
which is known what a damaged database held. Never reads the database: `checking` does, where it does not match.

The inode, the size and both times change with whatever is written, also by a copy that puts the modification time back.
A process that dies while it writes leaves no fingerprint at all, as it takes it away before.
"""

from __future__ import annotations

import os
from contextlib import suppress

from agent_tracker.files import read_text, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["counts", "forget", "look", "matches", "remember", "stored_at", "was_here"]

VERSION = "1"
SUFFIX = ".fingerprint"


def stored_at(path: str) -> str:
    """Return where the fingerprint of the database at `path` is kept."""
    return path + SUFFIX


def look(path: str) -> str:
    """Return what the file at `path` looks like now, empty where it cannot be told."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{VERSION} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def matches(path: str) -> bool:
    """Tell whether the file is as it was when it was last found sound or closed by us."""
    now = look(path)
    return bool(now) and read_text(stored_at(path)).partition("\n")[0] == now


def was_here(path: str) -> bool:
    """Tell whether the file is the very one that was our database when we last closed it, whatever became of it."""
    then = read_text(stored_at(path)).split(" ")
    return len(then) > 1 and look(path).split(" ")[:2] == then[:2]


def counts(path: str) -> dict[str, int]:
    """Return how many records each table had when the database was last closed by us; empty where that is not known."""
    rows = (line.rpartition(" ") for line in read_text(stored_at(path)).split("\n")[1:])
    return {name: int(count) for name, _, count in rows if name and count.isascii() and count.isdigit()}


def forget(path: str) -> None:
    """Take the fingerprint away, before the file is written: who dies meanwhile leaves none.

    Raises:
        OSError: It is there and cannot be taken away.
    """
    with suppress(FileNotFoundError):
        os.unlink(stored_at(path))


def remember(path: str, records: Mapping[str, int]) -> None:
    """Keep what the file looks like now and how many records it has, if that can be written.

    The write lock must be held.
    """
    lines = [look(path), *(f"{name} {count}" for name, count in records.items())]
    with suppress(OSError):
        replace_file(stored_at(path), "\n".join(lines) + "\n")
