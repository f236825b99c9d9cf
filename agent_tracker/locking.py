"""Locks between processes that give up: an advisory lock on a file, with a deadline.

Owns waiting. Never deletes a lock file: another process may hold it open.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_tracker.files import is_others, make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LockTimeoutError", "locked"]

POLL_S = 0.01


class LockTimeoutError(OSError):
    """Another process held the lock for longer than the deadline."""


@contextmanager
def locked(path: str, *, timeout_s: float) -> Iterator[None]:
    """Hold an exclusive lock on the file at `path`, which is created with mode 0600.

    The kernel releases it when the process ends, however it ends.

    Raises:
        LockTimeoutError: It could not be had within `timeout_s`.
        OSError: The file cannot be opened; a symbolic link, a special file and another user's are refused.
    """
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise LockTimeoutError(f"{path} is held by another process")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    make_private(path)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and not is_others(status):
        make_private(path)
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise PermissionError(errno.EPERM, "it belongs to another user", path)
    raise OSError(errno.EINVAL, "not a regular file", path)


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 -- absent on Windows
    except ImportError:
        return _try_lock_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock_windows(descriptor: int) -> bool:
    import msvcrt  # noqa: PLC0415 -- present on Windows only

    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
