"""What is done with a database's file as a file: copied, made room for, taken away, its renaming made to last.

Never opens it as a database.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent_tracker.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.errors import StoreError
    from agent_tracker.paths import UserPaths

__all__ = [
    "allocate_lock_file",
    "copy_bytes",
    "free_path",
    "keep_to_owner",
    "new_file",
    "refuse_ours",
    "sync_directory",
    "translated_error",
    "translated_os",
    "unlink",
    "unlink_killed",
]

LOCK_FILE_BYTES = 8192
CHUNK_BYTES = 1 << 20
ARCHIVES = "archives"
"""The one directory in the state directory that is for files which a person asked for."""

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


@contextmanager
def translated_os(path: str, doing: str) -> Iterator[None]:
    """Turn what the operating system raises in the block into an error of ours that says what was tried."""
    try:
        yield
    except OSError as error:
        raise translated_error(path, error, doing) from error


def translated_error(path: str, error: OSError, doing: str) -> StoreError:
    """Return an error of ours that says what was tried, why it could not be, and what to do about it."""
    from agent_tracker.obstacles import translate  # noqa: PLC0415 -- only where something is wrong

    return translate(path, error, doing=doing)


def allocate_lock_file(path: str, *, required: bool) -> bool:
    """Give LMDB's lock file its blocks: a sparse one on a full disk kills the process that maps it.

    Returns:
        False where it can be neither made nor written, and is not required.

    Raises:
        OSError: It is required.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NOFOLLOW | _NONBLOCK, 0o600)
    except OSError:
        if required:
            raise
        return False
    try:
        if hasattr(os, "posix_fallocate") and os.fstat(descriptor).st_size < LOCK_FILE_BYTES:
            os.posix_fallocate(descriptor, 0, LOCK_FILE_BYTES)
    except OSError:
        if required:
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def keep_to_owner(path: str) -> None:
    """Take from everybody else what they may do with a file of ours, if it is there."""
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if mode & 0o077:
            os.chmod(path, mode & 0o700)


def refuse_ours(path: str, paths: UserPaths, database: str) -> None:
    """Raise where a file that a person names would take the place of one of ours, whether or not that is there.

    Args:
        path: Where something is to be written, links and all.
        paths: The user's.
        database: Its path.

    Raises:
        UsageError: The database lies there or something that is kept beside it, a backup, the configuration, or
            anything else of the state directory but an archive.
    """
    real = os.path.realpath(path)
    directory, name = os.path.split(database)
    for ours in {os.path.realpath(database), os.path.join(os.path.realpath(directory), name)}:
        if real == ours or real.startswith((f"{ours}-", f"{ours}.")) or _is_same(real, ours):
            raise UsageError(f"{path} is the database's own place", "name another file")
    if real == os.path.realpath(paths.config_file) or _is_same(real, paths.config_file):
        raise UsageError(f"{path} is the configuration file", "name another file")
    if _is_in(real, os.path.join(paths.state_dir, ARCHIVES)):
        return
    if _is_in(real, paths.state_dir):
        raise UsageError(f"{path} is in agent-tracker's own directory", "name another file")


def _is_in(real: str, directory: str) -> bool:
    """Tell whether a path is a directory or in it, also by another name: some systems tell no `A` from `a`."""
    wanted, parent = os.path.realpath(directory), real
    while parent != wanted and not _is_same(parent, wanted):
        real, parent = parent, os.path.dirname(parent)
        if parent == real:
            return False
    return True


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def new_file(path: str) -> int:
    """Return the descriptor of a new file (0600).

    Raises:
        OSError: It cannot be made, or something is there.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY, 0o600)


def free_path(path: str) -> str:
    """Return a path at which there is nothing: this one, or with the first number behind it that is free."""
    number, free = 0, path
    while os.path.lexists(free):
        number += 1
        free = f"{path}-{number}"
    return free


def copy_bytes(source: str, copy: str) -> None:
    """Write the bytes of a file to a new one (0600), synced.

    Raises:
        OSError: One cannot be read or the other not be written.
    """
    with open(source, "rb") as file:
        descriptor = new_file(copy)
        try:
            while chunk := file.read(CHUNK_BYTES):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unlink_killed(path: str) -> None:
    """Take out what a process left that was killed while it made a database aside; the write lock must be held."""
    directory, name = os.path.split(path)
    for found in os.listdir(directory):
        number = found.removeprefix(name + ".").removesuffix("-lock").removesuffix(".new")
        if found.startswith(name + ".") and number.isdigit() and ".new" in found:
            unlink(os.path.join(directory, found))


def sync_directory(path: str) -> None:
    """Make a rename outlive a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unlink(path: str) -> None:
    """Take a file away, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
