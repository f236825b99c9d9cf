"""One sub-database in one transaction: records by key, each with its checksum.

Owns sealing a value and opening it. Never knows what a record means.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from agent_tracker.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Table"]

INDEXES = frozenset({"commits.project", "events.rewrite", "archived"})
"""Sub-databases of keys alone."""

LONG_BYTES = 1000
"""From here on a value may have pages of its own."""

_crc32 = zlib.crc32
_from_bytes = int.from_bytes
_RESIDUE = zlib.crc32(zlib.crc32(b"").to_bytes(4, "little"))
"""The CRC of anything that ends with its own CRC: one pass checks a value, without taking it apart."""


class Table:
    """One sub-database in one transaction, its values checked on the way out and sealed on the way in.

    `moved`: by how much what was written moved the sum of all records' checksums, in whatever order they are. By that
    sum a page of another time is known, each of whose records is sound. `is_anew`: all was taken out, of which some may
    have been damaged, so that the sum has to be made anew.
    """

    def __init__(self, txn: Any, handle: Any, name: str) -> None:
        self.name = name
        self._txn = txn
        self._handle = handle
        self.seed = zlib.crc32(name.encode())
        self._get = txn.get
        self._is_index = name in INDEXES
        self.moved = 0
        self.is_anew = False

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None.

        Raises:
            DamageError: Its checksum is wrong.
        """
        sealed = self._get(key, None, self._handle)
        if sealed is None:
            return None
        if _crc32(sealed, _crc32(key, self.seed)) != _RESIDUE:
            raise self._damage(key)
        body: bytes = sealed[:-4]
        return body

    def opened(self, key: bytes, sealed: bytes) -> bytes:
        """Return the body of a sealed value.

        Raises:
            DamageError: Its checksum is wrong.
        """
        if _crc32(sealed, _crc32(key, self.seed)) != _RESIDUE:
            raise self._damage(key)
        body: bytes = sealed[:-4]
        return body

    def _damage(self, key: bytes) -> DamageError:
        return DamageError(f"a damaged record in {self.name}: key {key.hex()[:80]}", "agent-tracker recover")

    def sealed(self, key: bytes, body: bytes) -> bytes:
        """Return `body` as it is stored at `key`."""
        return body + _crc32(body, _crc32(key, self.seed)).to_bytes(4, "little")

    def has(self, key: bytes) -> bool:
        """Tell whether there is a record at `key`."""
        return self._txn.get(key, None, self._handle) is not None

    def put(self, key: bytes, body: bytes) -> None:
        """Write one record, over what was there."""
        sealed, before = self.sealed(key, body), self._get(key, None, self._handle)
        self.moved += self._weight(key, sealed) - self._weight(key, before)
        if before is not None and len(before) >= LONG_BYTES:
            self._txn.delete(key, db=self._handle)  # or LMDB keeps a run of pages that is longer than the value
        self._txn.put(key, sealed, db=self._handle)

    def mark(self, key: bytes) -> None:
        """Write an index entry: a key alone."""
        if not self.has(key):
            self.moved += _crc32(key)
            self._txn.put(key, b"", db=self._handle)

    def put_many(self, items: Sequence[tuple[bytes, bytes]], total: int, *, append: bool = False) -> None:
        """Write records already sealed, of which none is there; fast where they are sorted.

        Args:
            items: Keys and sealed values; empty ones in an index.
            total: The sum of their checksums; of the keys' in an index.
            append: Every key is greater than all there are.
        """
        self.moved += total
        with self._txn.cursor(self._handle) as cursor:
            cursor.putmulti(items, append=append)

    def delete(self, key: bytes) -> None:
        """Take a record out, if it is there."""
        self.moved -= self._weight(key, self._get(key, None, self._handle))
        self._txn.delete(key, db=self._handle)

    def clear(self) -> None:
        """Take every record out, whatever its checksum."""
        for key in list(self.keys()):
            self._txn.delete(key, db=self._handle)
        self.is_anew = True

    def _weight(self, key: bytes, sealed: bytes | None) -> int:
        """Return what a record adds to the sum."""
        if sealed is None:
            return 0
        return _crc32(key) if self._is_index else int.from_bytes(sealed[-4:], "little")

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, checked body) of the keys that begin with `prefix`, in their order."""
        with self._txn.cursor(self._handle) as cursor:
            found = cursor.set_range(prefix) if prefix else cursor.first()
            while found:
                key, value = cursor.item()
                if not key.startswith(prefix):
                    return
                yield key, b"" if self._is_index else self.opened(key, value)
                found = cursor.next()

    def sound_items(self, *, from_the_end: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, body) of the records whose checksum is right, passing over the others."""
        with self._txn.cursor(self._handle) as cursor:
            found = cursor.last() if from_the_end else cursor.first()
            while found:
                key, sealed = cursor.item()
                if _crc32(sealed, _crc32(key, self.seed)) == _RESIDUE:
                    yield key, sealed[:-4]
                found = cursor.prev() if from_the_end else cursor.next()

    def values(self) -> Iterator[bytes]:
        """Yield every checked body, in the order of the keys."""
        return (body for _, body in self.items())

    def keys(self, prefix: bytes = b"", *, newest_first: bool = False) -> Iterator[bytes]:
        """Yield the keys that begin with `prefix`, in their order or from the last one backwards."""
        with self._txn.cursor(self._handle) as cursor:
            found = (
                _seek_last(cursor, prefix) if newest_first else cursor.set_range(prefix) if prefix else cursor.first()
            )
            while found:
                key = cursor.key()
                if not key.startswith(prefix):
                    return
                yield key
                found = cursor.prev() if newest_first else cursor.next()

    def check(self) -> tuple[int, int]:
        """Read every record; return how many there are, and the sum of their checksums.

        Raises:
            DamageError: The checksum of one is wrong.
        """
        with self._txn.cursor(self._handle) as cursor:
            if self._is_index:
                weights = list(map(_crc32, cursor.iternext(values=False)))
                return len(weights), sum(weights)
            seed, count, total = self.seed, 0, 0
            for key, sealed in cursor.iternext():
                if _crc32(sealed, _crc32(key, seed)) != _RESIDUE:
                    raise self._damage(key)
                count += 1
                total += _from_bytes(sealed[-4:], "little")
            return count, total

    def check_from(self, key: bytes, limit: int) -> tuple[int, bytes]:
        """Read at most so many records from `key` on; return how many, and the key of the next one, empty at the end.

        Raises:
            DamageError: The checksum of one is wrong.
        """
        with self._txn.cursor(self._handle) as cursor:
            found = cursor.set_range(key) if key else cursor.first()
            count = 0
            while found and count < limit:
                at, sealed = cursor.item()
                if not self._is_index and _crc32(sealed, _crc32(at, self.seed)) != _RESIDUE:
                    raise self._damage(at)
                count += 1
                found = cursor.next()
            return count, cursor.key() if found else b""

    def pages(self) -> int:
        """Return how many pages of the file it takes."""
        found = self._txn.stat(self._handle)
        return int(found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"])

    def count(self) -> int:
        """Return how many records there are."""
        return int(self._txn.stat(self._handle)["entries"])


def _seek_last(cursor: Any, prefix: bytes) -> bool:
    after = prefix + b"\xff" * 16
    if cursor.set_range(after):
        return bool(cursor.prev())
    return bool(cursor.last())
