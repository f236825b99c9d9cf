"""Backups: compact copies of the database, each read in full before it counts.

Owns making one, choosing which stay, and taking a text out of all of them. Never decides when one is due (`spawning`),
and never puts one in the database's place (`recovery`).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.database_file import sync_directory, translated_os, unlink
from agent_tracker.durability import fingerprint
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.manifests import Manifest, manifest_of, read_manifests, write_manifest
from agent_tracker.durability.thinning import reasons
from agent_tracker.errors import DamageError, DiskFullError, StoreBusyError, StoreError, UsageError
from agent_tracker.files import make_directory
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.obstacles import translate
from agent_tracker.store import Store

if TYPE_CHECKING:
    from agent_tracker.journal import ForgetFact

__all__ = ["Made", "copy_checked", "copy_out", "forget_in", "make_backup", "manifest_for", "schema_copies", "stamp"]

LOCK = "lock"
SIZE_BYTES = 4 << 30
UNFINISHED, FORGETTING = ".unfinished", ".forgetting"
_OURS = re.compile(r"\d{8,}T\d{6}Z(?:-\d+)?\.(?:lmdb|manifest)")
_BESIDE = re.compile(
    r"\.lmdb(?:-lock|\.write|\.fingerprint(?:\..*)?|\.\d+\.new(?:-lock)?|\.unfinished)$|\.manifest\..*$"
)
"""What the store keeps beside a database that may be written, and what a killed process leaves: no backup needs it."""
_SCHEMA = re.compile(r"-schema-([0-9A-Za-z.]{1,10})-[0-9a-f]{8}\.lmdb$")


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
    with translated_os(store.path, "back up"):
        make_directory(directory)
        try:
            with locked(os.path.join(directory, LOCK), timeout_s=timeout_s):
                _clear(directory)
                backup = _make(store, directory, now)
                return Made(backup, _thin(directory, limit))
        except LockTimeoutError as error:
            raise StoreBusyError(f"another backup is being made in {directory}", "try again") from error


def _make(store: Store, directory: str, now: int) -> Manifest:
    look = fingerprint.look(store.path)
    serial = max((backup.serial for backup in read_manifests(directory)), default=0) + 1
    path = _free_name(directory, stamp(now))
    aside = path + UNFINISHED
    backup = copy_checked(store, aside)._replace(path=path, made_at=now, look=look, serial=serial)
    try:
        os.rename(aside, path)
        sync_directory(directory)
        write_manifest(backup)
    except OSError:
        unlink(aside)
        unlink(path)
        raise
    sync_directory(directory)
    return backup


def copy_out(store: Store, file: str, *, is_forced: bool) -> Manifest:
    """Copy the database to a file of the user's choice, aside first, and return what is in it, having read all of it.

    Args:
        store: The database.
        file: Absolute.
        is_forced: Another file may be there, which is written over.

    Raises:
        UsageError: Something is there that may not be written over.
        DamageError: A record in the database is damaged: there is no copy.
        StoreError: There is no database, it cannot be read, or the copy cannot be written.
    """
    if not store.exists():
        raise StoreError(f"there is no database to copy: {store.path}", "agent-tracker flush")
    _check_free(store, file, is_forced=is_forced)
    directory, name = os.path.split(file)
    with translated_os(store.path, "copy"):
        _clear_asides(directory, name)
        aside = os.path.join(directory, f"{name}.{os.getpid()}{UNFINISHED}")
        try:
            copied = copy_checked(store, aside)
            _put(aside, file, is_forced=is_forced)
        finally:
            unlink(aside)
        sync_directory(directory)
    return copied._replace(path=file)


def _check_free(store: Store, file: str, *, is_forced: bool) -> None:
    if os.path.isdir(file):
        raise UsageError(f"{file} is a directory", f"agent-tracker backup {os.path.join(file, 'NAME.lmdb')}")
    if not os.path.isdir(os.path.dirname(file)):
        raise UsageError(f"no such directory: {os.path.dirname(file)}", "agent-tracker backup ANOTHER-FILE")
    ours = os.path.realpath(store.path)
    beside = os.path.realpath(file)
    is_ours = beside == ours or beside.startswith((f"{ours}-", f"{ours}."))
    if is_ours or os.path.dirname(beside) == os.path.realpath(store.backups_dir):
        raise UsageError(f"{file} is the database's own place", "agent-tracker backup ANOTHER-FILE")
    if os.path.lexists(file) and not is_forced:
        raise UsageError(f"{file} is there", "agent-tracker backup FILE --force writes over it")


def _put(aside: str, file: str, *, is_forced: bool) -> None:
    """Rename a file to where nothing is, unless it may be written over; where there are no links, looked at before."""
    if is_forced:
        os.replace(aside, file)
        return
    try:
        os.link(aside, file)
    except FileExistsError as error:
        raise UsageError(f"{file} is there", "agent-tracker backup FILE --force writes over it") from error
    except OSError:
        if os.path.lexists(file):
            raise
        os.rename(aside, file)


def _clear_asides(directory: str, name: str) -> None:
    """Take away what a process left that was killed while it copied to this file."""
    for found in os.listdir(directory):
        number = found.removeprefix(f"{name}.").removesuffix(UNFINISHED)
        if found == f"{name}.{number}{UNFINISHED}" and number.isascii() and number.isdigit() and len(number) < 10:  # noqa: PLR2004 -- no process has more digits
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                unlink(os.path.join(directory, found))
            except OSError:
                continue


def copy_checked(store: Store, copy: str) -> Manifest:
    """Copy a database to a new file, and return what is in it, having read all of it.

    Raises:
        DamageError: A record is damaged; no copy stays, and the database will be checked before it is next opened.
        StoreError: It cannot be read.
        OSError: The copy cannot be written.
    """
    try:
        store.copy_to(copy)
    except DiskFullError as error:  # LMDB's word for it names the database, which may lie on another disk
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise translate(os.path.dirname(copy), full, doing="copy the database to") from error
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
    """Take away what a process left that was killed while it made or rewrote a backup; the lock must be held."""
    counted = {path for backup in read_manifests(directory) for path in (backup.path, manifest_of(backup.path))}
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if _BESIDE.search(name) or (_OURS.fullmatch(name) and path not in counted):
            with suppress(IsADirectoryError, PermissionError):
                unlink(path)
        elif name.endswith(".lmdb" + FORGETTING):
            shutil.rmtree(path, ignore_errors=True)


def _thin(directory: str, limit: int) -> tuple[str, ...]:
    backups = read_manifests(directory)
    staying = reasons([backup.made_at for backup in backups], limit)
    removed = tuple(backup.path for backup, reason in zip(backups, staying, strict=True) if not reason)
    for path in removed:
        # The manifest first: a backup without one does not count.
        unlink(manifest_of(path))
        unlink(path)
    return removed


def schema_copies(directory: str) -> list[tuple[str, str]]:
    """Return the copies that were made before the database's format changed, each with the version that it is of."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    found = [(os.path.join(directory, name), _SCHEMA.search(name)) for name in names]
    return [(path, match[1]) for path, match in found if match]


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
            translated_os(directory, "rewrite the backups of"),
            locked(os.path.join(directory, LOCK), timeout_s=timeout_s),
        ):
            _clear(directory)
            manifests = {backup.path: backup for backup in read_manifests(directory)}
            for name in sorted(os.listdir(directory)):
                path = os.path.join(directory, name)
                if name.endswith(".lmdb"):
                    troubles += _forget_in_one(path, manifests.get(path), fact, now, timeout_s)
    except LockTimeoutError:
        troubles.append(f"the text may still be in the backups: one is being made in {directory}")
    except StoreError as error:
        troubles.append(f"the text may still be in the backups: {error.message}")
    return tuple(troubles)


def _forget_in_one(path: str, manifest: Manifest | None, fact: ForgetFact, now: int, timeout_s: float) -> list[str]:
    """Rewrite one backup without a text, and say anew what is in it; return why it cannot be."""
    scratch = path + FORGETTING
    copy = Store(path, SIZE_BYTES, scratch)
    try:
        copy.write(lambda writer: apply(writer, [fact], now=now), timeout_s=timeout_s)
        copy.compact(timeout_s=timeout_s)
        if manifest:
            held = manifest_for(path)
            write_manifest(held._replace(made_at=manifest.made_at, look=manifest.look, serial=manifest.serial))
    except DamageError:
        unlink(manifest_of(path))
        unlink(path)
    except StoreError as error:
        return [f"the text may still be in the backup {path}: {error.message}"]
    finally:
        for suffix in ("-lock", ".write", ".fingerprint"):
            unlink(path + suffix)
        shutil.rmtree(scratch, ignore_errors=True)
    return []
