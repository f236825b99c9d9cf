"""The spool: facts that are not yet in the store. Append, seal, read, set aside, delete.

Owns the files `spool`, `seg-*`, `pending` and `*.rejected` in one directory: a repository's, or the user's own. Never
decides what a line means to anybody's standing, and never deletes a segment by itself.

Appending takes no lock: one write of one framed line, whose leading newline cuts off a torn line before it. Sealing
renames the file; a writer that still holds it open makes the segment grow, which is noticed by its size.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import RecordError, SpoolError
from agent_tracker.files import replace_file
from agent_tracker.lines import parse_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.records import Seen

__all__ = [
    "Rejected",
    "Segment",
    "append",
    "ensure_directory",
    "mark_applied",
    "read_segment",
    "seal",
    "segments",
    "set_aside",
]

SPOOL = "spool"
PENDING = "pending"
PREFIX = "seg-"
MAX_SEGMENT_BYTES = 1 << 30
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


class Segment(NamedTuple):
    """A sealed spool file: its path and name, when it was sealed (Unix nanoseconds), its size in bytes."""

    path: str
    name: str
    sealed_ns: int
    size: int


class Rejected(NamedTuple):
    """A line that is not ours or not whole, and why."""

    line: bytes
    reason: str


def ensure_directory(directory: str) -> None:
    """Create the spool directory (0700) unless it is there.

    Raises:
        SpoolError: It is a symbolic link, no directory, another user's, or cannot be made.
    """
    try:
        if not os.path.lexists(directory):
            os.makedirs(directory, 0o700, exist_ok=True)
    except OSError as error:
        raise SpoolError(f"cannot create {directory}: {error.strerror}", "check the directory's permissions") from error
    _check_directory(directory)


def _check_directory(directory: str) -> None:
    try:
        status = os.lstat(directory)
    except OSError as error:
        raise SpoolError(f"no spool directory: {directory}", "agent-tracker install-hooks") from error
    if not stat.S_ISDIR(status.st_mode):
        raise SpoolError(f"the spool directory is not a directory: {directory}", "move it away, then install-hooks")
    if hasattr(os, "geteuid") and os.geteuid() not in {0, status.st_uid}:
        raise SpoolError(f"the spool directory belongs to another user: {directory}", "run as its owner")


def append(directory: str, line: bytes) -> None:
    """Append framed lines in one write.

    Raises:
        SpoolError: The spool is a link or special file, or cannot be written.
    """
    _check_directory(directory)
    path = os.path.join(directory, SPOOL)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NONBLOCK | _NOFOLLOW | _BINARY
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise SpoolError(f"cannot open {path}: {error.strerror}", "it must be a regular file of yours") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SpoolError(f"the spool is not a regular file: {path}", "move it away")
        written = os.write(descriptor, line)
    except OSError as error:
        raise SpoolError(f"cannot write {path}: {error.strerror}", "free some space; git keeps the commit") from error
    finally:
        os.close(descriptor)
    if written != len(line):
        raise SpoolError(f"only part of a line could be written to {path}", "free some space; git keeps the commit")


def seal(directory: str, *, now_ns: int) -> bool:
    """Rename the spool to a new segment; False where there is no spool or it is empty.

    Raises:
        SpoolError: It cannot be renamed, or is not a regular file.
    """
    _check_directory(directory)
    path = os.path.join(directory, SPOOL)
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise SpoolError(f"the spool is not a regular file: {path}", "move it away")
        if not status.st_size:
            return False
        replace_file(os.path.join(directory, PENDING), "sealed, and not known to be applied\n")
        os.rename(path, os.path.join(directory, f"{PREFIX}{now_ns:020d}-{os.urandom(4).hex()}"))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SpoolError(f"cannot seal {path}: {error.strerror}", "check the directory's permissions") from error
    return True


def mark_applied(directory: str) -> None:
    """Note that everything sealed is applied: until then a push tries again, though the spool is empty."""
    with suppress(OSError):
        os.unlink(os.path.join(directory, PENDING))


def segments(directory: str) -> list[Segment]:
    """Return the sealed segments, oldest first; whatever else lies there is passed over."""
    found = []
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return []
    for entry in entries:
        sealed_ns = _sealed_ns(entry.name)
        if sealed_ns is not None and entry.is_file(follow_symlinks=False):
            found.append(Segment(entry.path, entry.name, sealed_ns, entry.stat(follow_symlinks=False).st_size))
    return sorted(found, key=lambda segment: segment.name)


def _sealed_ns(name: str) -> int | None:
    if not name.startswith(PREFIX):
        return None
    digits, _, random = name[len(PREFIX) :].partition("-")
    is_ours = len(digits) == 20 and digits.isascii() and digits.isdigit() and len(random) == 8 and random.isalnum()  # noqa: PLR2004 -- as sealed
    return min(int(digits), (1 << 63) - 1) if is_ours else None


def read_segment(segment: Segment, kinds: tuple[type, ...]) -> tuple[list[Seen], list[Rejected]]:
    """Return what a segment's lines say, in their order, and the lines that say nothing we know.

    Args:
        segment: The file.
        kinds: The kinds of record that may be in it; any other is rejected.

    Raises:
        SpoolError: The file cannot be read, or is larger than 1 GiB.
    """
    seen: list[Seen] = []
    rejected: list[Rejected] = []
    for line in _lines(segment.path):
        try:
            said = parse_line(line)
        except RecordError as error:
            rejected.append(Rejected(line, error.message))
            continue
        if isinstance(said, kinds):
            seen.append(said)
        else:
            rejected.append(Rejected(line, "a record of this kind has no place in this spool"))
    return seen, rejected


def _lines(path: str) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_SEGMENT_BYTES + 1)
    except OSError as error:
        raise SpoolError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
    if len(data) > MAX_SEGMENT_BYTES:
        raise SpoolError(f"{path} is larger than {MAX_SEGMENT_BYTES} bytes", "move it away")
    return (line for line in data.split(b"\n") if line)


def set_aside(segment: Segment, rejected: list[Rejected]) -> str:
    """Write a segment's rejected lines, each with its reason, to `<segment>.rejected` and return that path.

    Raises:
        SpoolError: It cannot be written.
    """
    path = segment.path + ".rejected"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NOFOLLOW | _BINARY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for line, reason in rejected:
                file.write(b"# %s\n%s\n" % (reason.encode("utf-8", "backslashreplace"), line))
    except OSError as error:
        raise SpoolError(f"cannot write {path}: {error.strerror}", "free some space") from error
    return path
