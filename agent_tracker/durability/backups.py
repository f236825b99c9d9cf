"""Backups: compact copies of the database, each read in full before it counts.

Owns making one, choosing which stay, writing anew what is known of one whose manifest is gone, and taking a text out of
all of them. Never decides when one is due (`spawning`), never puts one in the database's place (`recovery`), and never
deletes one because it does not count: what fails its check is renamed, and kept.
"""

from __future__ import annotations

import calendar
import errno
import os
import re
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.database_file import free_path, refuse_ours, sync_directory, translated_os, unlink
from agent_tracker.durability import fingerprint
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.manifests import (
    MAX_SERIAL,
    Manifest,
    backup_of,
    manifest_of,
    plain_lineage,
    read_manifest,
    read_manifests,
    write_manifest,
)
from agent_tracker.durability.thinning import reasons
from agent_tracker.errors import (
    AgentTrackerError,
    DamageError,
    DiskFullError,
    StoreBusyError,
    StoreError,
    UsageError,
)
from agent_tracker.files import make_directory
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.store import Store, damage, read_fixed

if TYPE_CHECKING:
    from agent_tracker.journal import ForgetFact
    from agent_tracker.paths import UserPaths

__all__ = [
    "Made",
    "copy_checked",
    "copy_out",
    "damaged",
    "forget_in",
    "lineage_of",
    "made_at",
    "make_backup",
    "manifest_for",
    "mend",
    "schema_copies",
    "stamp",
    "uncounted",
]

LOCK = "lock"
SIZE_BYTES = 4 << 30
"""How large a backup may grow while a text is taken out of it."""

UNFINISHED, FORGETTING, DAMAGED = ".unfinished", ".forgetting", ".damaged"
_OURS = re.compile(r"(\d{8,}T\d{6}Z)(?:-\d+)?\.lmdb")
_MANIFEST = re.compile(r"\d{8,}T\d{6}Z(?:-\d+)?\.manifest")
_MADE_DAMAGED = re.compile(_OURS.pattern + r"\.damaged(?:-\d+)?")
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
    with translated_os(store.path, f"write to {directory} a backup of"):
        make_directory(directory)
        try:
            with locked(os.path.join(directory, LOCK), timeout_s=timeout_s):
                _clear(directory)
                _mend(directory)
                backup = _make(store, directory, now)
                return Made(backup, _thin(directory, limit, backup.lineage))
        except LockTimeoutError as error:
            raise StoreBusyError(f"another backup is being made in {directory}", "try again") from error


def _make(store: Store, directory: str, now: int) -> Manifest:
    look = fingerprint.look(store.path)
    serial = _next_serial(directory)
    path = _free_name(directory, stamp(now))
    aside = path + UNFINISHED
    backup = copy_checked(store, aside)._replace(path=path, made_at=now, look=look, serial=serial)
    try:
        os.rename(aside, path)
        sync_directory(directory)
        write_manifest(backup)
        _check_counts(backup)
    except (OSError, StoreError):
        for each in (aside, path, manifest_of(path)):
            unlink(each)
        raise
    sync_directory(directory)
    return backup


def _check_counts(backup: Manifest) -> None:
    """Read a manifest that was just written.

    Raises:
        StoreError: It does not say of its backup what it was to say.
    """
    path = manifest_of(backup.path)
    said = read_manifest(path)
    if said is None or said._replace(segments=backup.segments) != backup:
        raise StoreError(f"what was written of a new backup reads otherwise: {path}", "agent-tracker backup")


def _next_serial(directory: str) -> int:
    """Return the number of the next backup; the others are numbered anew where there is none left."""
    backups = read_manifests(directory)
    if not backups or backups[0].serial < MAX_SERIAL:
        return backups[0].serial + 1 if backups else 1
    for serial, backup in enumerate(reversed(backups), start=1):
        write_manifest(backup._replace(serial=serial))
    return len(backups) + 1


def copy_out(store: Store, file: str, *, paths: UserPaths, is_forced: bool) -> Manifest:
    """Copy the database to a file of the user's choice, aside first, and return what is in it, having read all of it.

    Args:
        store: The database.
        file: Absolute.
        paths: The user's, of which no file is written over.
        is_forced: Another file may be there, which is written over.

    Raises:
        UsageError: Something is there that may not be written over.
        DamageError: A record in the database is damaged: there is no copy.
        StoreError: There is no database, it cannot be read, or the copy cannot be written.
    """
    if not store.exists():
        raise StoreError(f"there is no database to copy: {store.path}", "agent-tracker flush")
    refuse_ours(file, paths, store.path)
    _check_free(file, is_forced=is_forced)
    directory, name = os.path.split(file)
    with translated_os(store.path, f"write to {directory} a copy of"):
        _clear_asides(directory, name)
        aside = os.path.join(directory, f"{name}.{os.getpid()}{UNFINISHED}")
        try:
            copied = copy_checked(store, aside)
            _put(aside, file, is_forced=is_forced)
        finally:
            unlink(aside)
        sync_directory(directory)
    return copied._replace(path=file)


def _check_free(file: str, *, is_forced: bool) -> None:
    if os.path.isdir(file):
        raise UsageError(f"{file} is a directory", f"agent-tracker backup {os.path.join(file, 'NAME.lmdb')}")
    if not os.path.isdir(os.path.dirname(file)):
        raise UsageError(f"no such directory: {os.path.dirname(file)}", "agent-tracker backup ANOTHER-FILE")
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
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.path.dirname(copy)) from error
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
        raise damage(store.path, problems)
    return backup


def manifest_for(path: str) -> Manifest:
    """Return what is in a database that nobody writes and that was checked; it says nothing of when it was made."""
    with read_fixed(path) as snapshot:
        if snapshot is None:
            raise StoreError(f"there is no database: {path}")
        records = sum(snapshot.table(name).count() for name in snapshot.names)
        commits, agents = snapshot.table("commits").count(), snapshot.table("agents").count()
        segments, lineage = snapshot.applied_segments(), snapshot.lineage()
        return Manifest(path, 0, records, commits, agents, "", segments, lineage=plain_lineage(lineage))


def lineage_of(store: Store) -> str:
    """Return as which database a store was begun; where it cannot be read, that of the newest backup."""
    with suppress(AgentTrackerError), store.snapshot() as snapshot:
        if snapshot is not None:
            return plain_lineage(snapshot.lineage())
    return next((backup.lineage for backup in read_manifests(store.backups_dir)), "")


def _free_name(directory: str, name: str) -> str:
    """Return a path for a backup of that second at which there is nothing yet."""
    number = 0
    while True:
        path = os.path.join(directory, f"{name}{f'-{number}' if number else ''}.lmdb")
        if not os.path.lexists(path) and not os.path.lexists(manifest_of(path)):
            return path
        number += 1


def _clear(directory: str) -> None:
    """Take away what a killed process left that made, rewrote or deleted a backup; the lock must be held."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if _BESIDE.search(name) or (_MANIFEST.fullmatch(name) and not os.path.lexists(backup_of(path))):
            with suppress(IsADirectoryError, PermissionError):
                unlink(path)
        elif name.endswith(".lmdb" + FORGETTING):
            shutil.rmtree(path, ignore_errors=True)


def mend(directory: str, *, timeout_s: float) -> None:
    """Have every backup count that passes its check, and keep under another name what does not.

    Args:
        directory: Of the backups.
        timeout_s: How long to wait for another process that makes one; where that is longer, or a file can be neither
            read nor written now, it stays as it is.
    """
    with suppress(LockTimeoutError, OSError), locked(os.path.join(directory, LOCK), timeout_s=timeout_s):
        _mend(directory)


def _mend(directory: str) -> None:
    """Check what has no manifest that counts, and write one or set the file aside; the lock must be held."""
    paths = uncounted(directory)
    for path in paths:
        with suppress(AgentTrackerError, OSError):  # one that nobody can judge now stays as it is
            if check_file(path).problems:
                os.rename(path, free_path(path + DAMAGED))
                unlink(manifest_of(path))
                continue
            at = made_at(path)
            before = [backup.serial for backup in read_manifests(directory) if backup.made_at <= at]
            write_manifest(manifest_for(path)._replace(made_at=at, serial=max(before, default=0)))
    if paths:
        sync_directory(directory)


def uncounted(directory: str) -> list[str]:
    """Return the backups that do not count, the oldest first: their manifests are missing, damaged or newer."""
    counted = {backup.path for backup in read_manifests(directory)}
    found = (os.path.join(directory, name) for name in _names(directory) if _OURS.fullmatch(name))
    return [path for path in found if path not in counted]


def damaged(directory: str) -> list[str]:
    """Return the backups that failed a check and were kept, the oldest first."""
    return [os.path.join(directory, name) for name in _names(directory) if _MADE_DAMAGED.fullmatch(name)]


def made_at(path: str) -> int:
    """Return when a backup was made (Unix seconds), by its name, or by the file's time where that does not say."""
    named = _OURS.fullmatch(os.path.basename(path))
    with suppress(ValueError, OverflowError):
        return calendar.timegm(time.strptime(named[1] if named else "", "%Y%m%dT%H%M%SZ"))
    with suppress(OSError):
        return int(os.stat(path).st_mtime)
    return 0


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _thin(directory: str, limit: int, lineage: str) -> tuple[str, ...]:
    backups = read_manifests(directory)
    staying = reasons([each.made_at for each in backups], limit, [each.lineage for each in backups], lineage)
    removed = tuple(backup.path for backup, reason in zip(backups, staying, strict=True) if not reason)
    for path in removed:
        # The file first: a manifest alone is none, and a file alone would be checked and count again.
        unlink(path)
        unlink(manifest_of(path))
    return removed


def schema_copies(directory: str) -> list[tuple[str, str]]:
    """Return the copies that were made before the database's format changed, each with the version that it is of."""
    found = [(os.path.join(directory, name), _SCHEMA.search(name)) for name in _names(directory)]
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
        with locked(os.path.join(directory, LOCK), timeout_s=timeout_s):
            _clear(directory)
            for path in damaged(directory):
                unlink(path)
            manifests = {backup.path: backup for backup in read_manifests(directory)}
            for name in sorted(os.listdir(directory)):
                path = os.path.join(directory, name)
                if name.endswith(".lmdb"):
                    troubles += _forget_in_one(path, manifests.get(path), fact, now, timeout_s)
    except LockTimeoutError:
        troubles.append(f"the text may still be in the backups: one is being made in {directory}")
    except OSError as error:
        troubles.append(f"the text may still be in the backups in {directory}: {error.strerror or error}")
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
