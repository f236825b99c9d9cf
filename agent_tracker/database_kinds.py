"""What lies at a database's path, told without opening it as a database.

Owns telling ours, another format's and another program's apart, and for which file ours makes way. Never reads a pipe
or a device.

Source: mdb.c, struct MDB_page and MDB_meta.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import NamedTuple

from agent_tracker.errors import ForeignFileError, ForeignFormatError, StoreError

__all__ = ["FileKind", "Location", "classify", "locate", "refusal"]

_OTHER_PATH = "agent-tracker config set databasePath FILE"
_MAGIC = {b"\xde\xc0\xef\xbe": "little", b"\xbe\xef\xc0\xde": "big"}
_OFFSETS = _OURS, _LONGER, _OF_32_BITS = 16, 24, 12
"""Where the magic is: a page's header has 12 bytes where a word has 32 bits, 16 in LMDB 0.9, 24 in 1.0 and lmdb-js."""
_DATA_VERSION, _LMDB_JS_VERSION = 1, 2
_HEAD_BYTES = 40
_SECOND_META = b"\1" + b"\0" * 9 + b"\x08\0" + b"\0" * 4
"""The header of the second meta page, as a little-endian machine writes it."""
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileKind(NamedTuple):
    """What lies at a database's path, and words for a person.

    `kind` is `absent`, `empty`, `lmdb` (0.9, which is ours to open, damaged or not), `lmdb-newer` (1.0), `lmdb-js`,
    `lmdb-other` (of another kind of machine) or `foreign`.
    """

    kind: str
    detail: str


class Location(NamedTuple):
    """Where the database is. `avoided` is the foreign file it makes way for, else empty."""

    path: str
    avoided: str


def classify(path: str) -> FileKind:
    """Tell what is at `path` without opening it as a database.

    Raises:
        StoreError: It is a directory or special file, or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise ForeignFileError(f"the database path is {_special(path, mode)}: {path}", _OTHER_PATH)
        with open(path, "rb", opener=_without_waiting) as file:
            head = file.read(_HEAD_BYTES)
            if not head:
                return FileKind("empty", "an empty file")
            return _kind_of(head) or _kind_of_damaged(file.fileno()) or FileKind("foreign", "no LMDB database")
    except FileNotFoundError:
        return _absent(path)
    except OSError as error:
        from agent_tracker.obstacles import translate  # noqa: PLC0415 -- only where something is wrong

        raise translate(path, error, doing="read") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file so that a pipe in its place, put there a moment ago, is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _special(path: str, mode: int) -> str:
    if stat.S_ISDIR(mode):
        data = os.path.join(path, "data.mdb")
        return "a directory with another program's LMDB database in it" if os.path.isfile(data) else "a directory"
    return next((words for test, words in _SPECIAL if test(mode)), "not a regular file")


def _absent(path: str) -> FileKind:
    if not os.path.islink(path):
        return FileKind("absent", "nothing there yet")
    target = os.path.realpath(path)
    if os.path.isdir(os.path.dirname(target)):
        return FileKind("absent", f"a link to {target}, where nothing is yet")
    from agent_tracker.obstacles import quoted  # noqa: PLC0415 -- as above

    raise StoreError(
        f"the database path is a link to {target}, where there is not even a directory: {path}",
        f"mount what it lies on, or: rm {quoted(path)}",
    )


def _kind_of(head: bytes) -> FileKind | None:
    """Return the kind by the first bytes of a file, None where nothing of LMDB's is in them."""
    found = [(offset, order) for offset in _OFFSETS if (order := _MAGIC.get(head[offset : offset + 4]))]
    if not found:
        return None
    offset, order = found[0]
    if offset == _OF_32_BITS:
        return FileKind("lmdb-other", "an LMDB database of a 32-bit machine")
    if order != sys.byteorder:
        return FileKind("lmdb-other", "an LMDB database of a machine with the other byte order")
    if offset == _OURS:
        return FileKind("lmdb", "an LMDB database")
    if int.from_bytes(head[offset + 4 : offset + 8], sys.byteorder) > _LMDB_JS_VERSION:
        return FileKind("lmdb-newer", "a database of a newer LMDB (1.0), which this program cannot read")
    return FileKind("lmdb-js", "a database of the OpenCode plugin (lmdb-js)")


def _kind_of_damaged(descriptor: int) -> FileKind | None:
    """Return the kind of a file whose first page is damaged and whose second still says what it is, else None."""
    for offset in _PAGE_SIZES:
        os.lseek(descriptor, offset, os.SEEK_SET)
        head = os.read(descriptor, _HEAD_BYTES)
        if head.startswith(_SECOND_META) and head[_OURS : _OURS + 4] in _MAGIC and head[_OURS + 4] == _DATA_VERSION:
            return FileKind("lmdb", "an LMDB database whose first page is damaged")
    return None


def refusal(path: str, found: FileKind) -> StoreError:
    """Return the error for a file that is not ours to open."""
    hints = {
        "lmdb-newer": "pip install --upgrade agent-tracker lmdb",
        "lmdb-other": "on the machine that it comes from: agent-tracker export --jsonl",
    }
    message = f"not our database, left alone: {path} is {found.detail}"
    return ForeignFormatError(message, hints.get(found.kind, _OTHER_PATH), found.kind)


def locate(path: str) -> Location:
    """Return where the database really is: beside an lmdb-js file at that path, which stays untouched.

    Raises:
        StoreError: What is there can be no database.
    """
    if classify(path).kind != "lmdb-js":
        return Location(path, "")
    stem, extension = os.path.splitext(path)
    return Location(f"{stem}-2{extension}", path)
