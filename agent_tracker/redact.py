"""Take a text out of the files of a spool, and out of the log, in place.

Owns overwriting lines. A file keeps its length and its identity: a hook that has it open goes on appending to it, what
was applied of it is still known by its size, and no line but the one that is meant is touched. Never decides what must
go; never reads the store.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent_tracker.errors import RecordError, SpoolError
from agent_tracker.escaping import escape
from agent_tracker.journal import JournalFact
from agent_tracker.journal_codec import blanked, kind_of
from agent_tracker.lines import credit_line, fact_line, parse_line
from agent_tracker.records import CreditFact
from agent_tracker.spool import PREFIX, SPOOL, flush_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["redact_log", "redact_spool"]

MIN_NEEDLE = 4
"""How long a text must be to be known by itself where nothing says what it belongs to."""

PIECE_BYTES = 32
"""Into what pieces a text is divided to be known where only some of it is left; twice as much of it is always found."""

CHUNK_BYTES = 4096
"""How much is written at a time: a kill does not divide it."""

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def redact_spool(directory: str, target: str, texts: Iterable[str], *, timeout_s: float) -> int:
    """Blank what is meant in the spool, the segments and the rejected lines of a directory; return how many lines.

    Args:
        directory: A repository's, or the user's own.
        target: The id of a fact, or a commit's oid in hexadecimal digits.
        texts: What must go, to be found in lines that nobody can read.
        timeout_s: How long to wait for a flush.

    Raises:
        SpoolError: A flush is running, or a file cannot be written.
    """
    if not os.path.isdir(directory):
        return 0
    needles = [piece for text in texts for piece in _pieces(escape(text).encode("utf-8", "surrogateescape"))]

    def blank(line: bytes) -> bytes | None:
        return _blank_line(line, target, needles)

    try:
        with flush_locked(directory, timeout_s=timeout_s, command="agent-tracker forget"):
            names = sorted(name for name in os.listdir(directory) if name == SPOOL or name.startswith(PREFIX))
            return sum(_redact_file(os.path.join(directory, name), blank, is_whole=name != SPOOL) for name in names)
    except OSError as error:
        raise SpoolError(f"cannot rewrite {error.filename or directory}: {error.strerror}", "then again") from error


def redact_log(path: str, texts: Iterable[str]) -> int:
    """Blank the lines of a log that hold one of these texts, or a line of it; return how many.

    Raises:
        SpoolError: It cannot be written.
    """
    needles = set()
    for text in texts:
        for form in (text, escape(text), repr(text)[1:-1], *text.split("\n")):
            if len(form.strip()) >= MIN_NEEDLE:
                needles.add(form.strip().encode("utf-8", "backslashreplace"))

    def blank(line: bytes) -> bytes | None:
        return b"" if any(needle in line for needle in needles) else None

    try:
        return _redact_file(path, blank)
    except OSError as error:
        raise SpoolError(f"cannot rewrite {path}: {error.strerror}", f"delete {path}") from error


def _pieces(text: bytes) -> list[bytes]:
    if len(text) < MIN_NEEDLE:
        return []
    whole = range(0, len(text) - PIECE_BYTES + 1, PIECE_BYTES)
    return list(dict.fromkeys(text[at : at + PIECE_BYTES] for at in whole)) or [text]


def _blank_line(line: bytes, target: str, needles: list[bytes]) -> bytes | None:
    """Return what a line becomes, None where it stays."""
    try:
        said = parse_line(line)
    except RecordError:
        return b"" if target.encode() in line or any(needle in line for needle in needles) else None
    new = b""
    if isinstance(said, JournalFact) and kind_of(said).texts and said[0] == target:
        new = fact_line(blanked(said)).strip(b"\n")
    elif isinstance(said, CreditFact) and said.oid.hex() == target:
        new = credit_line(said._replace(why="")).strip(b"\n")
    else:
        return None
    if new == line:
        return None
    return new if len(new) <= len(line) else b""


def _redact_file(path: str, blank: Callable[[bytes], bytes | None], *, is_whole: bool = True) -> int:
    """Overwrite the lines of a file for which `blank` returns something; return how many."""
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        return 0
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return 0
        count, start = 0, 0
        *lines, tail = file.readall().split(b"\n")
        # Somebody may be about to write the rest of a last line that has no end.
        for line in [*lines, tail if is_whole else b""]:
            new = blank(line) if line else None
            if new is not None:
                _overwrite(file.fileno(), start, new.ljust(len(line), b"\n"))
                count += 1
            start += len(line) + 1
        if count:
            os.fsync(descriptor)
    return count


def _overwrite(descriptor: int, start: int, content: bytes) -> None:
    """Write from the end backwards: until the last write, the line's beginning says what it is, if this is killed."""
    for at in reversed(range(0, len(content), CHUNK_BYTES)):
        os.lseek(descriptor, start + at, os.SEEK_SET)
        os.write(descriptor, content[at : at + CHUNK_BYTES])
