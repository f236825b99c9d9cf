"""What is done for the database after a flush, by a process of its own: a backup, a check of some of it, a recovery.

Owns what that process does (`spawning` starts it). It is limited in time and prints nothing: what became of it stands
in a file beside the backups, which `doctor` reads. A damaged page may end whoever reads it, and a disk may hang: what
reads the database is a child, and the process itself waits for its end.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker.config import read_settings
from agent_tracker.context import Context, open_store
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import make_backup
from agent_tracker.durability.child import is_by_damage, signal_name
from agent_tracker.durability.manifests import read_manifests
from agent_tracker.durability.recovery import recover
from agent_tracker.durability.unfinished import is_unfinished
from agent_tracker.errors import AgentTrackerError, DamageError, ForeignFileError, RecordError, StoreError
from agent_tracker.files import make_directory, read_text, replace_file
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths

if TYPE_CHECKING:
    from agent_tracker.store import Store

__all__ = ["BEGUN", "FAILED", "LIMIT_S", "last_outcome", "main", "patrol"]

OUTCOME, PATROL, LOCK = "outcome", "patrol", "maintenance.lock"
BEGUN, FAILED = "begun", "failed: "
LIMIT_S = 600
GRACE_S = 30

PATROL_S = 20 * 3600
PORTIONS = 27
"""In so many portions, at most one a day, all records are read, also while more come in: in a month of use."""

NICENESS = 10
MAX_DESCRIPTORS = 1024
BY_CHANCE = frozenset({StoreError, ForeignFileError, RecordError})
"""What else may come of reading one: all of the file is checked then, and it is tried once more."""


def main(now_ns: str, *, limit_s: float = LIMIT_S) -> int:
    """Do what is due, as the process of its own. Returns 0: what became of it is written down."""
    _be_modest()
    context = Context(user_paths(os.environ), os.environ, int(now_ns), timeout_s=30.0)
    store, _ = open_store(context)
    with suppress(OSError):
        make_directory(store.backups_dir)
        # Another one is at work where the lock cannot be had.
        with locked(os.path.join(store.backups_dir, LOCK), timeout_s=0):
            _note(store, context, BEGUN)
            _note(store, context, _watched(store, context, limit_s))
    return 0


def _be_modest() -> None:
    """Leave everything to others: the processor, the work tree, the terminal, what was open by mistake."""
    os.closerange(3, MAX_DESCRIPTORS)
    os.umask(0o077)
    os.chdir(os.sep)
    with suppress(OSError, AttributeError):
        os.setsid()
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)


def _note(store: Store, context: Context, said: str) -> None:
    """Write down what became of it: where the disk is full, over what was written down before."""
    path, text = os.path.join(store.backups_dir, OUTCOME), f"{context.now} {said[:1000]}\n"
    try:
        replace_file(path, text)
    except OSError:
        with suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                written = os.write(descriptor, text.encode("utf-8", "surrogateescape"))
                os.ftruncate(descriptor, written)
            finally:
                os.close(descriptor)


# -- the child, and waiting for it


def _watched(store: Store, context: Context, limit_s: float) -> str:
    """Return what a child says that did what is due; where a damaged page ended it, another has all of it checked."""
    if not hasattr(os, "fork"):
        return _said(store, context)
    said, ended_by = _in_child(store, context, limit_s)
    if is_by_damage(ended_by):
        with suppress(OSError):
            fingerprint.forget(store.path)
        said, ended_by = _in_child(store, context, limit_s)
    return said


def _in_child(store: Store, context: Context, limit_s: float) -> tuple[str, int]:
    """Return what the child said, or how it ended if it said nothing, and the signal that ended it, 0 for none."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(store, context, writer, limit_s)
    with suppress(OSError):
        os.setpgid(child, child)
    os.close(writer)
    said, is_late = _read(reader, time.monotonic() + limit_s)
    if is_late:
        # Its own children too: they are of its group.
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if is_late:
        return f"{FAILED}it took longer than {limit_s:g} s", 0
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"{FAILED}it was ended by {signal_name(number)}", number
    return said or f"{FAILED}it ended by itself, with exit code {os.WEXITSTATUS(status)}", 0


def _be_child(store: Store, context: Context, writer: int, limit_s: float) -> None:
    try:
        os.setpgid(0, 0)
        signal.alarm(int(limit_s) + GRACE_S)  # if nobody watches any more
        os.write(writer, _said(store, context).encode("utf-8", "surrogateescape")[: select.PIPE_BUF])
        os._exit(0)
    finally:
        os._exit(1)


def _read(reader: int, deadline: float) -> tuple[str, bool]:
    """Return what comes through a pipe until its end, and whether that did not come in time."""
    said = b""
    try:
        while select.select([reader], [], [], max(deadline - time.monotonic(), 0))[0]:
            part = os.read(reader, select.PIPE_BUF)
            if not part:
                return said.decode("utf-8", "surrogateescape"), False
            said += part
    finally:
        os.close(reader)
    return "", True


# -- what is due


def _said(store: Store, context: Context) -> str:
    try:
        try:
            return _maintain(store, context)
        except (StoreError, RecordError) as error:
            if type(error) not in BY_CHANCE:
                raise
            fingerprint.forget(store.path)
        return _maintain(store, context)
    except AgentTrackerError as error:
        return FAILED + error.message
    except OSError as error:
        return f"{FAILED}{error.strerror or error}"


def _maintain(store: Store, context: Context) -> str:
    if is_unfinished(store):
        return "recovered: went on where another stopped" if recover(context) else "nothing to do"
    try:
        with store.snapshot() as snapshot:
            if snapshot is None:
                return "there is no database"
        patrol(store, context)
        newest = next(iter(read_manifests(store.backups_dir)), None)
        settings = read_settings(context.paths, context.env)
        if not settings["backupInterval"].value or (newest and newest.look == fingerprint.look(store.path)):
            return "nothing to do"
        made = make_backup(store, now=context.now, limit=int(settings["maxBackups"].value), timeout_s=context.timeout_s)
    except DamageError as error:
        done = recover(context)
        return f"recovered: {error.message}" if done else FAILED + error.message
    return f"made {os.path.basename(made.backup.path)}"


def patrol(store: Store, context: Context) -> None:
    """Read the next portion of all records, from the disk where that can be had, and note where to go on.

    Raises:
        DamageError: One is damaged; the fingerprint is taken away.
        StoreError: The database cannot be opened.
        OSError: Where to go on cannot be written.
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
        # From the end it goes on at the beginning: each portion is a whole one.
        for _ in range(len(names) + 1):
            count, start = snapshot.table(names[at]).check_from(start, left)
            left -= count
            if start:
                break
            at = (at + 1) % len(names)
    replace_file(path, f"{names[at]} {start.hex()}\n")
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
    """Return when the process last wrote down what it had done (Unix seconds), and that; 0 where it never did.

    It is BEGUN while it is at work, and where it was killed.
    """
    when, _, said = read_text(os.path.join(backups_dir, OUTCOME)).strip().partition(" ")
    return (int(when), said) if when.isascii() and when.isdigit() and len(when) < 16 else (0, "")  # noqa: PLR2004 -- no time is longer
