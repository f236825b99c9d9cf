"""What an lmdb-js file of the OpenCode plugin holds: its entries by kind, from both layouts that the plugin has had.

Owns finding them: the sub-databases of the new layout, the prefixed keys of the old one, the structures by which
records are read, and compressed values. Never decides what an entry means. An entry that cannot be read is named, with
the reason, and the others are read; a file that is damaged is read as it was one transaction before, or not at all.

The file is opened for reading alone and no lock is taken: where it was written meanwhile, it is read again.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_tracker.errors import SourceError
from agent_tracker.lmdbjs import lz4, msgpackr
from agent_tracker.lmdbjs.pages import DUPLICATES, MAX_VALUE_BYTES, SUB_TREE, Pages, read_metas, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

    from agent_tracker.lmdbjs.msgpackr import Structures
    from agent_tracker.lmdbjs.pages import Meta, Node

__all__ = ["DATABASES", "NO_DICTIONARY", "Entry", "read_entries"]

DATABASES = ("agents", "commits", "communication", "retrospectives", "activities", "migrations", "projects")
"""The sub-databases of the new layout."""

_PREFIXES = {"agent": "agents", "commit": "commits", "communication": "communication"}
"""What the old layout's keys begin with, and where such an entry is now."""

MAX_FILE_BYTES = 2 << 30
"""As large as the plugin lets a database grow."""

MAX_ENTRIES = 500_000
MAX_BYTES = 256 << 20
"""How much all values of a file may hold, which compressed ones could say in a few bytes."""

ATTEMPTS = 5
PAUSE_S = 0.05
_SYMBOL, _ESCAPED, _CONTROL, _FIRST_LETTER = 2, 27, 4, 28
_SHORT, _LONG = 0xFE, 0xFF
"""What a compressed value begins with."""

NO_DICTIONARY = "it is compressed, and the dictionary of the npm package lmdb is not here"
_NESTED = (dict, list, bytes)
"""What no field of a fact is made from."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Entry(NamedTuple):
    """An entry: in which of DATABASES it is or would be now (else another name), its key, and its fields.

    `fields` are None where it could not be read, and `trouble` says why.
    """

    database: str
    key: str
    fields: dict[str, Any] | None
    trouble: str = ""


def read_entries(path: str, dictionary: bytes = b"") -> list[Entry]:
    """Return every entry of a file, in the order of its databases and keys.

    Args:
        path: The file, which stays as it is.
        dictionary: By which long values are compressed; without it, those that need it cannot be read.

    Raises:
        SourceError: It is not of this format, encrypted, damaged, larger than it may be, or written all the time.
    """
    try:
        with open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, _FLAGS)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceError("it is not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise SourceError(f"it has {status.st_size} bytes, over {MAX_FILE_BYTES}")
            return _read_steadily(file, dictionary)
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror}", "check its name and permissions") from error


def _read_steadily(file: FileIO, dictionary: bytes) -> list[Entry]:
    """Read a file until nobody wrote meanwhile: what is damaged then is damaged, and what is whole is of one moment."""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_S * attempt)
        metas = read_metas(file)
        found, damage = _read_newest(file, metas, dictionary)
        if read_metas(file) != metas:
            continue
        if damage:
            raise SourceError(f"it is damaged: {damage.message}", damage.hint) from damage
        return found
    raise SourceError("it is being written all the time", "close OpenCode, then try again")


def _read_newest(file: FileIO, metas: list[Meta], dictionary: bytes) -> tuple[list[Entry], SourceError | None]:
    """Return what the newest snapshot that can be read holds, else what is wrong with the newest.

    The last one before a machine stopped may not have reached the disk. A writer spares the pages of the last two.
    """
    damage = None
    for meta in metas:
        try:
            return list(_Reader(file, meta, dictionary).entries()), None
        except SourceError as error:
            damage = damage or error
    return [], damage


class _Reader:
    def __init__(self, file: FileIO, meta: Meta, dictionary: bytes) -> None:
        self._pages = Pages(file, os.fstat(file.fileno()).st_size, meta)
        self._main = meta.main
        self._dictionary = dictionary
        self._count = 0
        self._bytes = 0

    def entries(self) -> Iterator[Entry]:
        """Yield every entry: those of the main database first, then each of the others'."""
        databases = []
        structures: Structures = {}
        for node in self._pages.nodes(self._main):
            if node.flags & SUB_TREE and not node.flags & DUPLICATES:
                name = node.key.removesuffix(b"\0").decode("utf-8", "replace")
                databases.append((name, tree_of(node.value)))
            elif node.key[:1] == bytes([_SYMBOL]):
                structures = self._structures(node)
            else:
                key = _key(node.key)
                word, _, rest = (key or "").partition(":")
                database = _PREFIXES.get(word, "")
                yield self._entry(node, database, rest if database else key, structures)
        for name, tree in databases:
            structures = {}
            for node in self._pages.nodes(tree):
                if node.key[:1] == bytes([_SYMBOL]):
                    structures = self._structures(node)
                else:
                    yield self._entry(node, name, _key(node.key), structures)

    def _entry(self, node: Node, database: str, key: str | None, structures: Structures) -> Entry:
        self._count += 1
        if self._count > MAX_ENTRIES:
            raise SourceError(f"it has more than {MAX_ENTRIES} entries")
        if key is None:
            return Entry(database, node.key.hex(), None, "its key is no text")
        try:
            fields = msgpackr.unpack(self._value(node), structures)
        except ValueError as error:
            return Entry(database, key, None, str(error))
        if not isinstance(fields, dict):
            return Entry(database, key, None, "it is no record")
        return Entry(database, key, {name: value for name, value in fields.items() if not isinstance(value, _NESTED)})

    def _structures(self, node: Node) -> Structures:
        try:
            return msgpackr.read_structures(self._value(node))
        except ValueError:
            return {}  # each record that needs them says so

    def _value(self, node: Node) -> bytes:
        """Return an entry's value, decompressed.

        Raises:
            ValueError: It is too long, damaged, or lacks the dictionary.
        """
        if node.flags & (SUB_TREE | DUPLICATES):
            raise ValueError("it has several values")
        value, size, begins = node.value, node.size, 0
        if len(value) > 4 and value[0] == _SHORT:  # noqa: PLR2004 -- its header
            size, begins = int.from_bytes(value[1:4], "big"), 4
        elif len(value) > 8 and value[0] == _LONG:  # noqa: PLR2004 -- its header
            size, begins = int.from_bytes(value[2:8], "big"), 8
        self._bytes += max(size, node.size)
        if max(size, node.size) > MAX_VALUE_BYTES:
            raise ValueError(f"{max(size, node.size)} bytes are over the limit of {MAX_VALUE_BYTES}")
        if self._bytes > MAX_BYTES:
            raise SourceError(f"it holds more than {MAX_BYTES} bytes")
        if not begins:
            return value
        try:
            return lz4.decompress(value[begins:], size, self._dictionary)
        except lz4.DictionaryMissingError as error:
            if self._dictionary:
                raise
            raise ValueError(NO_DICTIONARY) from error


def _key(data: bytes) -> str | None:
    """Return a key that is a text, None where it is something else.

    Source: index.js of the npm package ordered-binary 1.6.
    """
    if data[:1] == bytes([_ESCAPED]):
        data = data[1:]
    elif data and data[0] < _FIRST_LETTER:
        return None
    parts = data.split(bytes([_CONTROL]))
    if b"\0" in parts[0] or any(b"\0" in part[1:] for part in parts[1:]):
        return None
    whole = bytearray(parts[0])
    rest = iter(parts[1:])
    for part in rest:
        # Where the control character is the escape itself, nothing stands between the two.
        whole += part or bytes([_CONTROL]) + next(rest, b"")
    return whole.decode("utf-8", "replace")
