"""The pages of an lmdb-js file: one snapshot's trees, read without LMDB.

Owns the page format that lmdb-js writes (LMDB 1.0's, version 2). Only reads, a page at a time; takes no lock and makes
no file, so that another process may write meanwhile: what was read counts where the metas are what they were before. A
file is hostile until it is read: no page is used twice, nothing is read past the end, what does not add up is an error.

A page has a header of 24 bytes: number, transaction, pad, flags, lower and upper, or the number of overflow pages. The
page's node pointers, lower and upper count from the header's end. In each of the first two pages a meta follows its
header; so one does in the middle of the first, of what was last known to be on the disk.

Source: mdb.c of the npm package lmdb 3.5, struct MDB_page_header, MDB_meta, MDB_db, MDB_node, MDB_ovpage.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

__all__ = ["MAX_VALUE_BYTES", "Meta", "Node", "Pages", "Tree", "read_metas", "tree_of"]

_HEADER = struct.Struct("<QQHHHH")
_META = struct.Struct("<IIQQ")
_TREE = struct.Struct("<IHHQQQQQ")
_END = struct.Struct("<QQ")
_NODE = struct.Struct("<HHHH")
_OVERFLOW = struct.Struct("<QQQ")
HEADER_BYTES = _HEADER.size
_META_BYTES = _META.size + 2 * _TREE.size + _END.size
_MAGIC, _VERSION = 0xBEEFC0DE, 2
_PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))
_BRANCH, _LEAF, _OVERFLOWING, _META_PAGE = 0x01, 0x02, 0x04, 0x08
_BIG, SUB_TREE, DUPLICATES = 0x01, 0x02, 0x04
_ENCRYPTED = 0x2000
_DUPLICATES_ALLOWED = 0x04
_NO_PAGE = (1 << 64) - 1
MAX_DEPTH = 32
"""As deep as LMDB's own cursors go."""

MAX_VALUE_BYTES = 4 << 20
"""As much of a value is read: what the plugin writes has a few hundred bytes, and texts of a few thousand."""


class Tree(NamedTuple):
    """One database in a snapshot: its root's page number, how deep it is, how many entries it has, its flags."""

    root: int
    depth: int
    entries: int
    flags: int


class Meta(NamedTuple):
    """A snapshot: by which transaction it was made, the page size, the last page, and the main database."""

    transaction: int
    page_bytes: int
    last_page: int
    flags: int
    main: Tree


class Node(NamedTuple):
    """An entry as it lies in a leaf. `size` is how long its value is: no more than MAX_VALUE_BYTES of it are here."""

    flags: int
    key: bytes
    value: bytes
    size: int


def tree_of(value: bytes) -> Tree:
    """Return the database that an entry of the main one stands for.

    Raises:
        SourceError: It is none.
    """
    if len(value) != _TREE.size:
        raise SourceError(f"a database's record of {len(value)} bytes")
    _, flags, depth, _, _, _, entries, root = _TREE.unpack(value)
    return Tree(root, depth, entries, flags)


def read_metas(file: FileIO) -> list[Meta]:
    """Return the snapshots that a file has, the newest first; the same one is not there twice.

    Raises:
        SourceError: It is not of this format, or encrypted.
    """
    first = _meta(_at(file, 0, HEADER_BYTES + _META_BYTES))
    size = first.page_bytes if first else _page_bytes_of_second(file)
    places = (0, size, size // 2)
    found = {meta for place in places if (meta := _meta(_at(file, place, HEADER_BYTES + _META_BYTES)))}
    found = {meta for meta in found if meta.page_bytes == size}
    if not found:
        raise SourceError("it has no page that says what is in it")
    if any(meta.flags & _ENCRYPTED for meta in found):
        raise SourceError("it is encrypted", "only a program that has its key can read it")
    return sorted(found, key=lambda meta: meta.transaction, reverse=True)


def _page_bytes_of_second(file: FileIO) -> int:
    """Return how large the pages of a file are whose first page is damaged."""
    found = (size for size in _PAGE_SIZES if _meta(_at(file, size, HEADER_BYTES + _META_BYTES)))
    return next(found, _PAGE_SIZES[0])


def _at(file: FileIO, offset: int, size: int) -> bytes:
    try:
        file.seek(offset)
        return file.read(size)
    except OSError as error:
        raise SourceError(f"it cannot be read at byte {offset}: {error.strerror}") from error


def _meta(data: bytes) -> Meta | None:
    if len(data) < HEADER_BYTES + _META_BYTES:
        return None
    magic, version, _, _ = _META.unpack_from(data, HEADER_BYTES)
    page_bytes, flags, *_ = _TREE.unpack_from(data, HEADER_BYTES + _META.size)
    # In the middle of the first page there is no header.
    if magic != _MAGIC or version & 0xFFFF != _VERSION or page_bytes not in _PAGE_SIZES:
        return None
    at = HEADER_BYTES + _META.size + _TREE.size
    main = tree_of(data[at : at + _TREE.size])
    last_page, transaction = _END.unpack_from(data, at + _TREE.size)
    return Meta(transaction, page_bytes, last_page, flags, main)


class Pages:
    """The pages of one snapshot.

    Args:
        file: Read from, and not closed.
        size: How many bytes it has.
        meta: The snapshot.
    """

    def __init__(self, file: FileIO, size: int, meta: Meta) -> None:
        self._file = file
        self._meta = meta
        self._count = min(size // meta.page_bytes, meta.last_page + 1)
        self._used: set[int] = set()

    def nodes(self, tree: Tree) -> Iterator[Node]:
        """Yield the entries of a database in the order of their keys.

        Raises:
            SourceError: A page is damaged, missing, used twice or of a later transaction, or entries are missing.
        """
        if tree.flags & _DUPLICATES_ALLOWED:
            raise SourceError("a database with several values for a key, which the plugin has none of")
        pending = [] if tree.root == _NO_PAGE else [(tree.root, 1)]
        count = 0
        while pending:
            number, depth = pending.pop()
            if depth > min(tree.depth, MAX_DEPTH):
                raise SourceError(f"page {number} lies too deep")
            page, flags = self._page(number)
            if flags & _BRANCH:
                pending += [(child, depth + 1) for child in reversed(self._children(number, page))]
            else:
                for node in self._leaf(number, page):
                    count += 1
                    yield node
        if count != tree.entries:
            raise SourceError(f"{count} entries where there are to be {tree.entries}")

    def _page(self, number: int) -> tuple[bytes, int]:
        """Return a page of a tree and its flags."""
        self._use(number, 1)
        page = _at(self._file, number * self._meta.page_bytes, self._meta.page_bytes)
        flags = self._check(number, page)
        if bool(flags & _BRANCH) == bool(flags & _LEAF):
            raise SourceError(f"page {number} is none of a tree")
        return page, flags

    def _use(self, number: int, count: int) -> None:
        if number <= 1 or number + count > self._count:
            raise SourceError(f"page {number} is not in the file")
        pages = range(number, number + count)
        if not self._used.isdisjoint(pages):
            raise SourceError(f"page {number} is used twice")
        self._used.update(pages)

    def _check(self, number: int, page: bytes) -> int:
        """Return a page's flags where it is the page that it should be."""
        if len(page) < self._meta.page_bytes:
            raise SourceError(f"page {number} was cut off")
        named, transaction, _, flags, _, _ = _HEADER.unpack_from(page)
        if transaction > self._meta.transaction:
            raise SourceError(f"page {number} was written meanwhile")
        if named != number:
            raise SourceError(f"page {number} says that it is page {named}")
        return int(flags)

    def _spans(self, number: int, page: bytes) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield where each node of a page begins, and its four numbers: low, high, flags, key size."""
        *_, lower, upper = _HEADER.unpack_from(page)
        room = len(page) - HEADER_BYTES
        if lower % 2 or not lower <= upper <= room:
            raise SourceError(f"page {number} is damaged: {lower} to {upper} of {room} are free")
        for pointer in struct.unpack_from(f"<{lower // 2}H", page, HEADER_BYTES):
            at = HEADER_BYTES + pointer
            if pointer < upper or at + _NODE.size > len(page):
                raise SourceError(f"page {number} is damaged: a node at {pointer}")
            yield at, *_NODE.unpack_from(page, at)

    def _children(self, number: int, page: bytes) -> list[int]:
        found = [low | high << 16 | flags << 32 for _, low, high, flags, _ in self._spans(number, page)]
        if not found:
            raise SourceError(f"page {number} leads nowhere")
        return found

    def _leaf(self, number: int, page: bytes) -> Iterator[Node]:
        taken = 0
        for at, low, high, flags, key_bytes in self._spans(number, page):
            start = at + _NODE.size + key_bytes
            size = low | high << 16
            lying = _OVERFLOW.size if flags & _BIG else size
            taken += start + lying - at
            # Nodes do not overlap, so that no part of a page can be said again and again.
            if start + lying > len(page) or taken > len(page):
                raise SourceError(f"page {number} is damaged: a node of {size} bytes")
            value = page[start : start + lying]
            yield Node(flags, page[start - key_bytes : start], self._big(value, size) if flags & _BIG else value, size)

    def _big(self, pointer: bytes, size: int) -> bytes:
        """Return a value that lies on pages of its own."""
        number, _, _ = _OVERFLOW.unpack(pointer)
        count = -(-(HEADER_BYTES + size) // self._meta.page_bytes)
        self._use(number, count)
        data = _at(self._file, number * self._meta.page_bytes, HEADER_BYTES + min(size, MAX_VALUE_BYTES))
        if not self._check(number, data.ljust(self._meta.page_bytes, b"\0")) & _OVERFLOWING:
            raise SourceError(f"page {number} holds no value")
        if len(data) < HEADER_BYTES + min(size, MAX_VALUE_BYTES):
            raise SourceError(f"page {number} was cut off")
        return data[HEADER_BYTES:]
