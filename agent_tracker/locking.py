"""Locks between processes that give up: an advisory lock on a file, with a deadline.

Owns waiting. Never deletes a lock file: another process may hold it open.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
        OSError: The file cannot be opened; a symbolic link is refused.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise LockTimeoutError(f"{path} is held by another process")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


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
