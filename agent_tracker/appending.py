"""Appending to a spool: the frame of a line, and the one write that puts it there.

Owns that, and what must be true of a spool's directory and file before anything is read from or written to them. Never
reads a spool, and imports nothing that a client's hook, which runs at each use of a tool, can go without.
"""

from __future__ import annotations

import os
import stat
import zlib

from agent_tracker.errors import SpoolError
from agent_tracker.escaping import escape
from agent_tracker.files import GROUP, is_others, make_private

__all__ = ["LINE_VERSION", "SPOOL", "append", "check_directory", "check_file", "format_line", "sharing_group"]

LINE_VERSION = "1"
SPOOL = "spool"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def format_line(*fields: str) -> bytes:
    """Return one framed spool line as Python writes it: length and CRC behind the record, newlines around.

    Args:
        fields: The kind and what follows it; each is escaped here.
    """
    record = "\t".join((LINE_VERSION, *map(escape, fields))).encode("utf-8", "surrogateescape")
    return b"\n%s =%d:%08x\n" % (record, len(record), zlib.crc32(record))


def append(directory: str, line: bytes) -> None:
    """Append framed lines in one write.

    Raises:
        SpoolError: The spool is a link, a special file or another user's, or cannot be written.
    """
    check_directory(directory)
    group = sharing_group(directory)
    make_private(directory, keep=group)
    path = os.path.join(directory, SPOOL)
    make_private(path, keep=group)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NONBLOCK | _NOFOLLOW | _BINARY
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise SpoolError(f"cannot open {path}: {error.strerror}", "it must be a regular file of yours") from error
    try:
        check_file(path, os.fstat(descriptor), group)
        make_private(path, keep=group)
        written = os.write(descriptor, line)
    except OSError as error:
        raise SpoolError(f"cannot write {path}: {error.strerror}", "free some space; git keeps the commit") from error
    finally:
        os.close(descriptor)
    if written != len(line):
        raise SpoolError(f"only part of a line could be written to {path}", "free some space; git keeps the commit")


def check_directory(directory: str) -> None:
    """Raise where a spool's directory cannot be ours.

    Raises:
        SpoolError: It is not there, is no directory, or another user's.
    """
    try:
        status = os.lstat(directory)
    except OSError as error:
        raise SpoolError(f"no spool directory: {directory}", "agent-tracker install-hooks") from error
    if not stat.S_ISDIR(status.st_mode):
        raise SpoolError(f"the spool directory is not a directory: {directory}", "move it away, then install-hooks")
    if hasattr(os, "geteuid") and os.geteuid() not in {0, status.st_uid}:
        raise SpoolError(f"the spool directory belongs to another user: {directory}", "run as its owner")


def sharing_group(directory: str) -> int:
    """Return which bits of others may stay in a spool's modes: the group's, where all its users share a repository.

    Git sets the group's bit on the directories of one (git-init(1), --shared), and a person let it into ours.
    """
    try:
        above, own = os.stat(os.path.dirname(directory)).st_mode, os.lstat(directory).st_mode
    except OSError:
        return 0
    return GROUP if above & stat.S_ISGID and above & own & stat.S_IWGRP else 0


def check_file(path: str, status: os.stat_result, group: int) -> None:
    """Raise where a file of a spool's is not to be read or written.

    Args:
        path: Its name, for the message.
        status: What `fstat` says of it.
        group: As `sharing_group` returned it.

    Raises:
        SpoolError: It is no regular file, or another user's whom the repository is not shared with.
    """
    if not stat.S_ISREG(status.st_mode):
        raise SpoolError(f"the spool is not a regular file: {path}", "move it away")
    if is_others(status) and not group:
        raise SpoolError(f"the spool belongs to another user: {path}", "move it away")
