"""What a database's file looked like when we last closed it: by that is seen whether anybody else has been at it.

Owns the file `<database>.fingerprint`: a line that says so, and one for each table with how many records it had, by
which is known what a damaged database held. Never reads the database: `checking` does, where it does not match.

The inode, the size and both times change with whatever is written, also by a copy that puts the modification time back.
A process that dies while it writes leaves one that matches nothing, as it says so before.
"""

from __future__ import annotations

import os
import sys

from agent_tracker.files import read_text, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRANSACTION", "counts", "forget", "is_rolled_back", "look", "matches", "remember", "stored_at", "was_here"]

VERSION = "1"
SUFFIX = ".fingerprint"
PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
MOST_PAGES, FEW_PAGES = 4096, 3
MOST_DIGITS = 16
TRANSACTION = "@transaction"
"""Stands among the counts for the number of the last transaction."""

OPEN = "open"
"""Stands for the size and the times of a file that is being written."""


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
    """Tell whether the file is the very one that was our database when we last had it open, whatever became of it.

    Its number may be another's by now. So it must be empty, or have the look of LMDB's pages still, which hold their
    own numbers.
    """
    then = read_text(stored_at(path)).partition("\n")[0].split(" ")
    if len(then) < 2 or look(path).split(" ")[:2] != then[:2]:  # noqa: PLR2004 -- version and inode
        return False
    return not os.path.getsize(path) or any(_has_pages(path, size) for size in PAGE_SIZES)


def _has_pages(path: str, page_bytes: int) -> bool:
    """Tell whether some pages of the file hold their own numbers."""
    found = 0
    try:
        with open(path, "rb") as file:
            for number in range(1, min(os.path.getsize(path) // page_bytes, MOST_PAGES)):
                file.seek(number * page_bytes)
                found += int.from_bytes(file.read(8), sys.byteorder) == number
    except OSError:
        return False
    return found >= FEW_PAGES


def counts(path: str) -> dict[str, int]:
    """Return how many records each table had when the database was last closed by us; empty where that is not known."""
    rows = (line.rpartition(" ") for line in read_text(stored_at(path)).split("\n")[1:])
    return {
        name: int(count)
        for name, _, count in rows
        if name and count.isascii() and count.isdigit() and len(count) < MOST_DIGITS
    }


def is_rolled_back(path: str, transaction: int) -> bool:
    """Tell whether the file is the one we closed, and its last transaction one of before.

    A bit in the number of the newest is enough: LMDB takes the one before it then.
    """
    then = read_text(stored_at(path)).partition("\n")[0].split(" ")
    return look(path).split(" ")[:2] == then[:2] and transaction < counts(path).get(TRANSACTION, 0)


def forget(path: str) -> None:
    """Have the file checked before it is next opened, unless it is remembered anew: who dies meanwhile leaves it so.

    Which file it was and what was in it stays known: by that a damaged one is told from another's, and what is gone.

    Raises:
        OSError: That cannot be written.
    """
    kept = read_text(stored_at(path))
    if kept:
        first, _, counts = kept.partition("\n")
        replace_file(stored_at(path), f"{' '.join(first.split(' ')[:2])} {OPEN}\n{counts}")


def remember(path: str, records: Mapping[str, int]) -> None:
    """Keep what the file looks like now and how many records it has, if that can be written.

    The write lock must be held.
    """
    lines = [look(path), *(f"{name} {count}" for name, count in records.items())]
    try:
        replace_file(stored_at(path), "\n".join(lines) + "\n")
    except OSError:
        return  # without it the file is checked again
