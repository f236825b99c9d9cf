"""The spool: facts that are not yet in the store. Append, seal, read, set aside, delete.

Owns the files `spool`, `seg-*`, `pending`, `flush.lock` and `*.rejected` in one directory: a repository's, or the
user's own. Never decides what a line means to anybody's standing, and never deletes a segment by itself.

Appending takes no lock: one write of one framed line, whose leading newline cuts off a torn line before it. Sealing
renames the file; a writer that still holds it open makes the segment grow, which is noticed by its size.

What lies in a repository may have come with it: no link is followed, no pipe waited for, no other user's file believed.
What is this user's own is for nobody else (0700, 0600), which sealing and appending see to; where the users of one
repository share it (`core.sharedRepository`) and one of them opened the directory to the group, the group stays in.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.appending import SPOOL, append, check_directory, check_file, sharing_group
from agent_tracker.errors import RecordError, SpoolError
from agent_tracker.escaping import escape
from agent_tracker.files import is_others, make_directory, make_private, own_files, remedy, replace_file
from agent_tracker.lines import parse_line
from agent_tracker.locking import LockTimeoutError, locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.records import Seen

__all__ = [
    "SPOOL",
    "Rejected",
    "Segment",
    "append",
    "ensure_directory",
    "flush_locked",
    "mark_applied",
    "read_segment",
    "seal",
    "segments",
    "set_aside",
]

PENDING = "pending"
PREFIX = "seg-"
FLUSH_LOCK = "flush.lock"
MAX_SEGMENT_BYTES = 1 << 30
MAX_LINE_BYTES = 10 << 20
"""More than any line of ours has; one that is longer is not read whole."""

MAX_REJECTED_BYTES = 32 << 20
"""How much of one segment's lines that say nothing is kept for a person to look at, their reasons with them."""

_BLOCK_BYTES = 4 << 20
_PER_LINE_BYTES = 250
"""What a line takes in memory beside its bytes, at least."""

_DIGITS = frozenset("0123456789")
_HEX = _DIGITS | frozenset("abcdef")
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
    """A line that is not ours or not whole, and why; the beginning of one that is longer than any of ours."""

    line: bytes
    reason: str


def ensure_directory(directory: str) -> None:
    """Create the spool directory (0700) unless it is there.

    Raises:
        SpoolError: It is a symbolic link, no directory, another user's, or cannot be made.
    """
    try:
        if not os.path.lexists(directory):
            make_directory(directory)
    except OSError as error:
        raise SpoolError(f"cannot create {directory}: {error.strerror}", remedy(error)) from error
    check_directory(directory)


@contextmanager
def flush_locked(directory: str, *, timeout_s: float, command: str = "agent-tracker flush") -> Iterator[None]:
    """Keep every other flush of this directory's spool out.

    Args:
        directory: Of the spool; it is there.
        timeout_s: How long to wait for a flush that is at work.
        command: What a person would give again.

    Raises:
        SpoolError: A flush is running, or the lock cannot be had.
    """
    path = os.path.join(directory, FLUSH_LOCK)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, timeout_s=timeout_s))
        except LockTimeoutError as error:
            raise SpoolError(f"another flush is running: {path}", f"try again: {command}") from error
        except OSError as error:
            raise SpoolError(f"cannot lock {path}: {error.strerror}", remedy(error)) from error
        yield


def seal(directory: str, *, now_ns: int) -> bool:
    """Rename the spool to a new segment; False where there is no spool or it is empty.

    Raises:
        SpoolError: It cannot be renamed, is not a regular file, or is another user's.
    """
    check_directory(directory)
    group = _close(directory)
    path = os.path.join(directory, SPOOL)
    try:
        status = os.lstat(path)
        check_file(path, status, group)
        if not status.st_size:
            return False
        replace_file(os.path.join(directory, PENDING), "sealed, and not known to be applied\n")
        os.rename(path, os.path.join(directory, f"{PREFIX}{now_ns:020d}-{os.urandom(4).hex()}"))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SpoolError(f"cannot seal {path}: {error.strerror}", remedy(error)) from error
    return True


def _close(directory: str) -> int:
    """Keep others out of the directory and of every file in it; return which of their bits stay."""
    group = sharing_group(directory)
    make_private(directory, keep=group)
    for path, status in own_files(directory):
        if stat.S_ISREG(status.st_mode):
            make_private(path, keep=group)
    return group


def mark_applied(directory: str) -> None:
    """Note that everything sealed is applied: until then a push tries again, though the spool is empty."""
    with suppress(OSError):
        os.unlink(os.path.join(directory, PENDING))


def segments(directory: str) -> list[Segment]:
    """Return the sealed segments, oldest first; whatever else lies there is passed over, another user's files too."""
    group = sharing_group(directory)
    found = []
    try:
        for path, status in own_files(directory, is_sure=True):
            name = os.path.basename(path)
            sealed_ns = _sealed_ns(name)
            if sealed_ns is not None and stat.S_ISREG(status.st_mode) and (group or not is_others(status)):
                found.append(Segment(path, name, sealed_ns, status.st_size))
    except OSError as error:
        raise SpoolError(f"cannot read {directory}: {error.strerror}", "try again: agent-tracker flush") from error
    return sorted(found, key=lambda segment: segment.name)


def _sealed_ns(name: str) -> int | None:
    if not name.startswith(PREFIX):
        return None
    digits, _, random = name[len(PREFIX) :].partition("-")
    if (len(digits), len(random)) != (20, 8) or not _DIGITS.issuperset(digits) or not _HEX.issuperset(random):
        return None
    return min(int(digits), (1 << 63) - 1)


def read_segment(segment: Segment, kinds: tuple[type, ...]) -> tuple[list[Seen], list[Rejected]]:
    """Return what a segment's lines say, in their order, and the lines that say nothing we know.

    Args:
        segment: The file.
        kinds: The kinds of record that may be in it; any other is rejected.

    Raises:
        SpoolError: The file cannot be read, is no regular file or another user's, or is larger than 1 GiB.
    """
    seen: list[Seen] = []
    rejected: list[Rejected] = []
    room = MAX_REJECTED_BYTES
    for line in _lines(segment.path):
        try:
            said = parse_line(line)
            if isinstance(said, kinds):
                seen.append(said)
                continue
            reason = "a record of this kind has no place in this spool"
        except RecordError as error:
            reason = error.message
        # A file may consist of these, and each takes more room here than there.
        if room > 0:
            rejected.append(Rejected(line, reason))
            room -= _PER_LINE_BYTES + len(line)
            if room <= 0:
                rejected.append(Rejected(b"", "no more of this file's unreadable lines are kept"))
    return seen, rejected


def _lines(path: str) -> Iterator[bytes]:
    """Yield a file's lines that are not empty; of one that is too long, its beginning."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _NONBLOCK | _NOFOLLOW | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            check_file(path, status, sharing_group(os.path.dirname(path)))
            if status.st_size > MAX_SEGMENT_BYTES:
                raise SpoolError(f"{path} is larger than {MAX_SEGMENT_BYTES} bytes", "move it away")
            rest = b""
            while block := file.read(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                yield from filter(None, lines)
                rest = rest[:MAX_LINE_BYTES]
    except OSError as error:
        raise SpoolError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
    if rest:
        yield rest


def set_aside(segment: Segment, rejected: list[Rejected]) -> str:
    """Write a segment's rejected lines, each with its reason, to `<segment>.rejected` and return that path.

    Raises:
        SpoolError: It cannot be written.
    """
    path = segment.path + ".rejected"
    make_private(path)
    flags = os.O_WRONLY | os.O_CREAT | _NONBLOCK | _NOFOLLOW | _BINARY
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            check_file(path, os.fstat(descriptor), sharing_group(os.path.dirname(path)))
            make_private(path)
            os.ftruncate(descriptor, 0)
            for line, reason in rejected:
                file.write(b"# %s\n%s\n" % (escape(reason).encode(), line))
    except OSError as error:
        raise SpoolError(f"cannot write {path}: {error.strerror}", "free some space") from error
    return path
