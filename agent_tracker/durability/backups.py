"""Backups: compact copies of the database, each read in full before it counts.

Owns making one, choosing which stay, and taking a text out of all of them. Never decides when one is due (`spawning`),
and never puts one in the database's place (`recovery`).
"""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.database_file import sync_directory, translated_os, unlink
from agent_tracker.durability import fingerprint
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.manifests import Manifest, manifest_of, read_manifests, write_manifest
from agent_tracker.durability.thinning import kept
from agent_tracker.errors import DamageError, StoreBusyError, StoreError
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.store import Store

if TYPE_CHECKING:
    from agent_tracker.journal import ForgetFact

__all__ = ["Made", "copy_checked", "forget_in", "make_backup", "manifest_for", "stamp"]

LOCK = "lock"
SIZE_BYTES = 4 << 30
UNFINISHED = ".unfinished"
BESIDE = ("-lock", ".write", ".fingerprint")
"""What the store keeps beside a database that may be written, and a backup has no need of."""


class Made(NamedTuple):
    """A new backup, and the paths of those that made room for it."""

    backup: Manifest
    removed: tuple[str, ...]


def stamp(at: int) -> str:
    """Return a time (Unix seconds) as it stands in the names of backups, in UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))


def make_backup(store: Store, *, now: int, limit: int, timeout_s: float) -> Made:
    """Copy the database into its directory of backups, read the copy in full, and thin the others out.

    Args:
        store: It must have a directory for them.
        now: Unix seconds.
        limit: How many may stay.
        timeout_s: How long to wait for another process that makes one.

    Raises:
        DamageError: A record in the database is damaged: there is no new backup, and no old one goes.
        StoreError: There is no database, it cannot be read, or the copy cannot be written.
    """
    directory = store.backups_dir
    if not store.exists():
        raise StoreError(f"there is no database to copy: {store.path}", "agent-tracker flush")
    with translated_os(directory, "write a backup to"):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        try:
            with locked(os.path.join(directory, LOCK), timeout_s=timeout_s):
                _clear(directory)
                backup = _make(store, directory, now)
                return Made(backup, _thin(directory, limit))
        except LockTimeoutError as error:
            raise StoreBusyError(f"another backup is being made in {directory}", "try again") from error


def _make(store: Store, directory: str, now: int) -> Manifest:
    look = fingerprint.look(store.path)
    path = _free_name(directory, stamp(now))
    aside = path + UNFINISHED
    backup = copy_checked(store, aside)._replace(path=path, made_at=now, look=look)
    os.rename(aside, path)
    sync_directory(directory)
    write_manifest(backup)
    return backup


def copy_checked(store: Store, copy: str) -> Manifest:
    """Copy a database to a new file, and return what is in it, having read all of it.

    Raises:
        DamageError: A record is damaged; no copy stays, and the database will be checked before it is next opened.
        StoreError: It cannot be read.
        OSError: The copy cannot be written.
    """
    store.copy_to(copy)
    try:
        # Its pages were just written by LMDB itself, from those that it went through: what is in them is read.
        problems = check_file(copy, level="records").problems
        backup = None if problems else manifest_for(copy)
    except BaseException:
        unlink(copy)
        raise
    if backup is None:
        unlink(copy)
        fingerprint.forget(store.path)
        raise DamageError(f"the database {store.path} is damaged: {problems[0]}", "agent-tracker recover")
    return backup


def manifest_for(path: str) -> Manifest:
    """Return what is in a database that nobody writes and that was checked; it says nothing of when it was made."""
    with Store(path, SIZE_BYTES).snapshot(is_fixed=True) as snapshot:
        if snapshot is None:
            raise StoreError(f"there is no database: {path}")
        records = sum(snapshot.table(name).count() for name in snapshot.names)
        commits, agents = snapshot.table("commits").count(), snapshot.table("agents").count()
        return Manifest(path, 0, records, commits, agents, "", snapshot.applied_segments())


def _free_name(directory: str, name: str) -> str:
    """Return a path for a backup of that second at which there is nothing yet."""
    number = 0
    while True:
        path = os.path.join(directory, f"{name}{f'-{number}' if number else ''}.lmdb")
        if not os.path.lexists(path) and not os.path.lexists(manifest_of(path)):
            return path
        number += 1


def _clear(directory: str) -> None:
    """Take away what a process left that was killed while it made a backup; the lock must be held."""
    counted = {manifest.path for manifest in read_manifests(directory)}
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name.endswith(UNFINISHED) or (name.endswith("Z.lmdb") and path not in counted):
            unlink(path)


def _thin(directory: str, limit: int) -> tuple[str, ...]:
    backups = read_manifests(directory)
    staying = kept((backup.made_at for backup in backups), limit)
    removed = tuple(backup.path for backup in backups if backup.made_at not in staying)
    for path in removed:
        # The manifest first: a backup without one does not count.
        unlink(manifest_of(path))
        unlink(path)
    return removed


def forget_in(directory: str, fact: ForgetFact, *, now: int, timeout_s: float) -> tuple[str, ...]:
    """Take a text out of every backup; return what could not be done, a line each. A damaged backup is deleted.

    Args:
        directory: Of the backups.
        fact: What is to be forgotten.
        now: Unix seconds.
        timeout_s: How long to wait for another process that makes one.
    """
    if not os.path.isdir(directory):
        return ()
    troubles = []
    try:
        with (
            translated_os(directory, "rewrite the backups in"),
            locked(os.path.join(directory, LOCK), timeout_s=timeout_s),
        ):
            for name in sorted(os.listdir(directory)):
                if name.endswith(".lmdb"):
                    troubles += _forget_in_one(os.path.join(directory, name), fact, now, timeout_s)
    except LockTimeoutError:
        troubles.append(f"a backup is being made in {directory}")
    except StoreError as error:
        troubles.append(error.message)
    return tuple(troubles)


def _forget_in_one(path: str, fact: ForgetFact, now: int, timeout_s: float) -> list[str]:
    """Rewrite one backup without a text; return why it cannot be."""
    scratch = f"{path}.forgetting"
    copy = Store(path, SIZE_BYTES, scratch)
    try:
        copy.write(lambda writer: apply(writer, [fact], now=now), timeout_s=timeout_s)
        copy.compact(timeout_s=timeout_s)
    except DamageError:
        unlink(manifest_of(path))
        unlink(path)
    except StoreError as error:
        return [f"the text may still be in the backup {path}: {error.message}"]
    finally:
        for suffix in BESIDE:
            unlink(path + suffix)
        shutil.rmtree(scratch, ignore_errors=True)
    return []
