"""Small files written so that no reader ever meets half of one.

Owns create aside, then rename. Never decides where a file lies.
"""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["read_text", "replace_file"]


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


def read_text(path: str) -> str:
    """Return a small file's text, empty where it is not there or cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
