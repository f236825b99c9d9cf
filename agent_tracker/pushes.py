"""The pushes of a repository, from the reflogs of its remote-tracking refs: git tells of a push nowhere else.

Owns finding the reflogs that were written since a time, and reading the pushes in them. Never writes anything, and
never asks a remote.

Source: update_one_tracking_ref in git 2.39's and 2.55's transport.c.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker.git import reflogs
from agent_tracker.journal import PushFact
from agent_tracker.lines import parse_oid

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_pushes"]

MAX_NAMES = 50_000
"""How many entries of the directories under logs/refs/remotes are looked at."""
MAX_FILES = 10_000
"""How many reflogs are read at once: of more of them, those that were written last."""
TAIL_BYTES = 65536
"""How much of a reflog is read, from its end: more than 300 entries."""
PUSHED = b"update by push"
_MAX_AT = (1 << 63) // 10**9 - 1
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_FLAGS |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def read_pushes(
    common_dir: str, *, since: int, max_names: int = MAX_NAMES, max_files: int = MAX_FILES
) -> list[PushFact]:
    """Return the pushes since a time, oldest first, one for each commit that one of them moved a remote's ref to.

    Only what git has a reflog of is told. It has none of a tag, or of any other ref that no remote-tracking ref goes
    with; of a push to a URL that is no remote's; of a ref that was deleted since, here or by a push; of anything where
    `core.logAllRefUpdates` is false. A push that found its commit there already is one where the remote-tracking ref
    did not know of it yet. What only came by a fetch was not pushed from here.

    Args:
        common_dir: The repository: its worktrees have their remote-tracking refs in common.
        since: Unix seconds; entries of that second count. An entry's time is what git was told that it is.
        max_names: How many files and directories are looked at, whatever they are.
        max_files: How many reflogs are read, those that were written last.
    """
    if os.path.isdir(os.path.join(common_dir, "reftable")):
        logs = _read_tables(common_dir, since)
    else:
        paths = _find_written(common_dir, since, max_names)
        logs = (_read_tail(path) for path in paths[:max_files])
    first_at: dict[bytes, int] = {}
    for data in logs:
        for line in data.split(b"\n")[:-1]:
            oid, at = _parse_push(line)
            if oid and at >= since:
                first_at[oid] = min(at, first_at.get(oid, at))
    return [PushFact(oid, at * 10**9) for oid, at in sorted(first_at.items(), key=lambda pair: (pair[1], pair[0]))]


def _read_tables(common_dir: str, since: int) -> Iterable[bytes]:
    """Return the reflogs of a repository that keeps them in tables; none where no table was written since."""
    try:
        is_new = os.stat(os.path.join(common_dir, "reftable", "tables.list")).st_mtime >= since
    except OSError:
        return []
    return reflogs(common_dir, "--remotes").values() if is_new else []


def _find_written(common_dir: str, since: int, max_names: int) -> list[str]:
    """Return the reflogs of remote-tracking refs that were written since a time, the newest first."""
    found: list[tuple[float, str]] = []
    looked = 0
    pending = [os.path.join("refs", "remotes")]
    while pending and looked < max_names:
        directory = pending.pop()
        has_moved = _has_moved(os.path.join(common_dir, directory), since)
        with suppress(OSError), os.scandir(os.path.join(common_dir, "logs", directory)) as entries:
            for entry in entries:
                looked += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append(os.path.join(directory, entry.name))
                elif has_moved and entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
                if looked >= max_names:
                    break
    return [path for at, path in sorted(found, reverse=True) if at >= since]


def _has_moved(directory: str, since: int) -> bool:
    """Tell whether a ref in a directory may have moved: git makes a lock beside it, which the directory tells.

    A directory that is gone held refs that were packed or deleted meanwhile.
    """
    try:
        return os.stat(directory).st_mtime >= since
    except OSError:
        return True


def _read_tail(path: str) -> bytes:
    """Return the end of a regular file, empty where it is none or cannot be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return b""
        os.lseek(descriptor, max(status.st_size - TAIL_BYTES, 0), os.SEEK_SET)
        return os.read(descriptor, TAIL_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _parse_push(line: bytes) -> tuple[bytes, int]:
    """Return the commit that an entry says was pushed, and when (Unix seconds); nothing where it says no such thing."""
    head, _, rest = line.partition(b"> ")
    when, _, message = rest.partition(b"\t")
    fields, seconds = head.split(b" ", 2), when.partition(b" ")[0]
    if message != PUSHED or len(fields) < 3 or not seconds.isdigit():  # noqa: PLR2004 -- old, new, who
        return b"", 0
    try:
        oid = parse_oid(fields[1].decode())
    except ValueError:
        return b"", 0
    return (oid, min(int(seconds[:12]), _MAX_AT)) if any(oid) else (b"", 0)
