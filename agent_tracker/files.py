"""Small files written so that no reader ever meets half of one, and read so that nothing in their place can harm.

Owns create aside, then rename. Never decides where a file lies, and never waits for a pipe or reads a device.
"""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress

__all__ = ["read_bytes", "read_text", "replace_file"]

MAX_BYTES = 16 << 20
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def replace_file(path: str, text: str, *, mode: int = 0o600) -> None:
    """Write `text` to a new file beside `path` and rename it over `path`; directories are made (0700).

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    aside = f"{path}.{os.getpid()}.tmp"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(text)
        os.replace(aside, path)
    except OSError:
        with suppress(OSError):
            os.unlink(aside)
        raise


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return the beginning of a regular file, empty where there is none or it cannot be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def read_text(path: str, *, newline: str | None = None) -> str:
    """Return a small file's text, empty where it is not there, is no regular file or cannot be read.

    Args:
        path: Where it lies; a link is followed.
        newline: As `open` has it: empty where the ends of lines are to stay as they are.
    """
    content = io.BytesIO(read_bytes(path))
    return io.TextIOWrapper(content, encoding="utf-8", errors="surrogateescape", newline=newline).read()
