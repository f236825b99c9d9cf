"""How large the store is, what is in it, how long there is room, and making its file smaller.

Owns putting that together; a store that cannot be opened is no error, and then the file alone is spoken of. Never
prints.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.contents import Kind, commits_left, days_left, kinds_in
from agent_tracker.context import Context, open_store
from agent_tracker.durability.maintenance import PATROL
from agent_tracker.durability.manifests import read_manifests
from agent_tracker.durability.remedies import WORTH_BYTES
from agent_tracker.errors import DiskFullError, RecordError, StoreError
from agent_tracker.mounts import free_bytes, mount_point, readable_size
from agent_tracker.store import classify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.store import Store

__all__ = ["Backups", "Beside", "Compacted", "StoreReport", "compact", "store_report"]


class Backups(NamedTuple):
    """How many backups there are, their bytes, and when the last was made (Unix seconds, None where there is none)."""

    number: int
    size: int
    last_at: int | None


class Beside(NamedTuple):
    """A file that lies beside the database: one that a recovery set aside, or a copy from before a restore."""

    path: str
    size: int


class StoreReport(NamedTuple):
    """A database as a file and as a store.

    `trouble` says why it cannot be opened, and what only the store itself knows is None or empty then. `file_bytes` is
    None where there is no file. `commits_left` more commits fit, and there is room for `days_left` at the rate of the
    last ones; both are None where too little is known. `checked_at` is when records were last read to be checked.
    """

    path: str
    detail: str
    limit_bytes: int
    file_bytes: int | None
    used_bytes: int | None
    free_bytes: int | None
    version: str
    kinds: tuple[Kind, ...]
    commits_left: int | None
    days_left: int | None
    backups: Backups
    checked_at: int | None
    beside: tuple[Beside, ...]
    trouble: str

    @property
    def share(self) -> float | None:
        """The part of the limit that is in use; of a store that cannot be opened, all of the file counts."""
        used = self.file_bytes if self.used_bytes is None else self.used_bytes
        return None if used is None else used / self.limit_bytes


class Compacted(NamedTuple):
    """A database's file before and after, in bytes; the same where there was nothing to gain."""

    path: str
    before_bytes: int
    after_bytes: int


def store_report(context: Context) -> StoreReport:
    """Return what can be told of the database, whatever state it is in.

    Raises:
        ConfigError: The configuration is not valid.
        StoreError: What lies at the path can be no database.
    """
    store, _ = open_store(context)
    report = _of_file(store)
    if report.file_bytes is None:
        return report
    try:
        with store.snapshot():
            pass  # one of an older version is brought up to date by being read
        figures = store.figures()
        with store.snapshot() as snapshot:
            if figures is None or snapshot is None:
                return report
            kinds = kinds_in(snapshot, figures, now=context.now)
    except (StoreError, RecordError) as error:
        return report._replace(trouble=error.message)
    room = max(report.limit_bytes - figures.used_bytes, 0)
    return report._replace(
        file_bytes=figures.file_bytes,
        used_bytes=figures.used_bytes,
        free_bytes=figures.spare_bytes,
        version=figures.version,
        kinds=kinds,
        commits_left=commits_left(kinds, room),
        days_left=days_left(kinds, room, now=context.now),
    )


def _of_file(store: Store) -> StoreReport:
    detail, trouble = "", ""
    try:
        detail = classify(store.path).detail
    except StoreError as error:
        trouble = error.message
    size = os.path.getsize(store.path) if os.path.isfile(store.path) else None
    backups = _backups(store.backups_dir)
    checked_at = max(backups.last_at or 0, _time_of(os.path.join(store.backups_dir, PATROL))) or None
    beside = tuple(_beside(store.path))
    return StoreReport(
        store.path, detail, store.size_bytes, size, None, None, "", (), None, None, backups, checked_at, beside, trouble
    )


def _backups(directory: str) -> Backups:
    size = 0
    backups = read_manifests(directory)
    for backup in backups:
        with suppress(OSError):
            size += os.path.getsize(backup.path)
    return Backups(len(backups), size, backups[0].made_at if backups else None)


def _time_of(path: str) -> int:
    try:
        return int(os.stat(path).st_mtime)
    except OSError:
        return 0


def _beside(path: str) -> Iterator[Beside]:
    """Yield the databases that were set aside, not what the store itself keeps beside the one in use."""
    directory, name = os.path.split(os.path.realpath(path))
    with suppress(OSError):
        for found in sorted(os.listdir(directory)):
            if found.startswith((f"{name}.damaged-", f"{name}.before-")):
                beside = os.path.join(directory, found)
                yield Beside(beside, os.path.getsize(beside))


def compact(context: Context) -> Compacted | None:
    """Put a compact copy in the place of the database's file, if it is smaller; None where there is none.

    Raises:
        DiskFullError: There is no room for the copy; nothing was changed.
        StoreError: It is damaged, locked, or cannot be written; nothing was changed.
    """
    store, _ = open_store(context)
    figures = store.figures()
    if figures is None:
        return None
    if figures.spare_bytes < WORTH_BYTES:
        return Compacted(store.path, figures.file_bytes, figures.file_bytes)
    free = free_bytes(store.path)
    if free is not None and free < figures.used_bytes:
        raise DiskFullError(
            f"the compact copy takes {readable_size(figures.used_bytes)}, "
            f"and {readable_size(free)} are free on {mount_point(store.path)}; nothing was changed",
            "free some space, or set another databasePath",
        )
    store.compact(timeout_s=context.timeout_s)
    return Compacted(store.path, figures.file_bytes, os.path.getsize(store.path))
