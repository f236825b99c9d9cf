"""What is done for the database after a flush, by a process of its own: a backup, a check of some of it, a recovery.

Owns what that process does (`spawning` starts it). It is limited in time and prints nothing: what became of it stands
in a file beside the backups, which `doctor` reads.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker.config import read_settings
from agent_tracker.context import Context, open_store
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import make_backup
from agent_tracker.durability.manifests import read_manifests
from agent_tracker.durability.recovery import recover
from agent_tracker.errors import AgentTrackerError, DamageError
from agent_tracker.files import read_text, replace_file
from agent_tracker.paths import user_paths

if TYPE_CHECKING:
    from agent_tracker.store import Store

__all__ = ["last_outcome", "main"]

OUTCOME, PATROL = "outcome", "patrol"
LIMIT_S = 600

PATROL_S = 20 * 3600
PORTIONS = 28
"""In so many portions, at most one a day, all records are read: in a month of use."""

NICENESS = 10


def main(now_ns: int) -> int:
    """Do what is due, as the process of its own. Returns 0: what became of it is written down."""
    _be_modest()
    context = Context(user_paths(os.environ), os.environ, now_ns, timeout_s=30.0)
    store, _ = open_store(context)
    os.umask(0o077)
    try:
        said = _maintain(store, context)
    except AgentTrackerError as error:
        said = f"failed: {error.message}"
    with suppress(OSError):
        replace_file(os.path.join(store.backups_dir, OUTCOME), f"{context.now} {said}\n")
    return 0


def _be_modest() -> None:
    """Leave the processor and the work tree to others, and end by a signal where something hangs."""
    os.chdir(os.sep)
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    if hasattr(signal, "alarm"):
        signal.alarm(LIMIT_S)


def _maintain(store: Store, context: Context) -> str:
    try:
        with store.snapshot() as snapshot:
            if snapshot is None:
                return "there is no database"
        _patrol(store, context)
        newest = next(iter(read_manifests(store.backups_dir)), None)
        settings = read_settings(context.paths, context.env)
        if not settings["backupInterval"].value or (newest and newest.look == fingerprint.look(store.path)):
            return "nothing to do"
        made = make_backup(store, now=context.now, limit=int(settings["maxBackups"].value), timeout_s=context.timeout_s)
    except DamageError as error:
        done = recover(context)
        return f"recovered: {error.message}" if done else f"failed: {error.message}"
    return f"made {made.backup.path}"


def _patrol(store: Store, context: Context) -> None:
    """Read the next portion of all records, from the disk where that can be had, and note where to go on.

    Raises:
        DamageError: One is damaged; the fingerprint is taken away.
    """
    path = os.path.join(store.backups_dir, PATROL)
    with suppress(OSError):
        if 0 <= context.now - os.stat(path).st_mtime < PATROL_S:
            return
    table, _, key = read_text(path).strip().partition(" ")
    _drop_cached(store.path)
    with store.snapshot() as snapshot:
        if snapshot is None:
            return
        names = list(snapshot.names)
        total = sum(snapshot.table(name).count() for name in names)
        left = max(-(-total // PORTIONS), 1)
        at = names.index(table) if table in names else 0
        start = bytes.fromhex(key) if set(key) <= set("0123456789abcdef") and len(key) % 2 == 0 else b""
        while left > 0 and at < len(names):
            count, start = snapshot.table(names[at]).check_from(start, left)
            left -= count
            at += not start
    place = f"{names[at]} {start.hex()}" if at < len(names) else ""
    replace_file(path, place + "\n")
    os.utime(path, ns=(context.now_ns, context.now_ns))


def _drop_cached(path: str) -> None:
    """Have what follows read from the disk, not from memory, where the system can be told so."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def last_outcome(backups_dir: str) -> tuple[int, str]:
    """Return when the process last came to its end (Unix seconds) and what it had done; 0 where it never did."""
    when, _, said = read_text(os.path.join(backups_dir, OUTCOME)).strip().partition(" ")
    return (int(when), said) if when.isascii() and when.isdigit() else (0, "")
