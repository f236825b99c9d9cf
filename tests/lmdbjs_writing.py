"""A writer of small lmdb-js files, for tests that say what is in them; what npm's lmdb wrote is in `lmdbjs_samples`."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PAGE_BYTES", "database", "moment", "packed", "write"]

PAGE_BYTES = 32768
HEADER = 24
NO_PAGE = (1 << 64) - 1
BIG, SUB = 1, 2


def moment(second: int, ms: int = 0) -> datetime:
    """Return a date of the samples' day."""
    return datetime(2026, 3, 1, 9, 0, second, ms * 1000, tzinfo=UTC)


def packed(value: object) -> bytes:  # noqa: PLR0911 -- a kind of value each
    """Return a value as msgpackr writes it where no structure is shared: maps, and dates in twelve bytes."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if 0 <= value < 1 << 6:
            return bytes([value])
        case int():
            return b"\xd3" + value.to_bytes(8, "big", signed=True)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            data = value.encode()
            return b"\xdb" + len(data).to_bytes(4, "big") + data
        case datetime():
            ns, seconds = value.microsecond * 1000, int(value.timestamp() // 1)
            return b"\xc7\x0c\xff" + ns.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True)
        case dict():
            return b"\xde" + len(value).to_bytes(2, "big") + b"".join(packed(k) + packed(v) for k, v in value.items())
        case bytes():
            return value
    raise AssertionError(value)


def write(path: Path, entries: Mapping[str, Mapping[str, Any]], *, flags: int = 0x5008) -> Path:
    """Write a file with these values by database and key; `` is the main one. Bytes are values as they lie there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(database(entries, flags=flags))
    return path


def database(entries: Mapping[str, Mapping[str, Any]], *, flags: int = 0x5008) -> bytes:
    """Return such a file's bytes: each database is one leaf; values longer than half a page have pages of their own."""
    pages: list[bytes] = [b"", b""]
    nodes = {key.encode(): (0, packed(value)) for key, value in entries.get("", {}).items()}
    for name, items in entries.items():
        if name:
            sub = {key.encode(): (0, packed(value)) for key, value in items.items()}
            nodes[name.encode() + b"\0"] = (SUB, tree(len(sub), leaf(sub, pages) if sub else NO_PAGE))
    main = tree(len(nodes), leaf(nodes, pages) if nodes else NO_PAGE)
    for number in (0, 1):
        free = struct.pack("<IHHQQQQQ", PAGE_BYTES, flags, 0, 0, 0, 0, 0, NO_PAGE)
        head = struct.pack("<QQHHI", number, 0, 0, 8, 0)
        meta = struct.pack("<IIQQ", 0xBEEFC0DE, 2, 0, 1 << 29) + free + main
        pages[number] = head + meta + struct.pack("<QQq", len(pages) - 1, number + 1, 0)
    return b"".join(page.ljust(PAGE_BYTES, b"\0") for page in pages)


def tree(entries: int, root: int) -> bytes:
    """Return a database's record."""
    return struct.pack("<IHHQQQQQ", 0, 0, 1 if entries else 0, 0, 1 if entries else 0, 0, entries, root)


def leaf(nodes: Mapping[bytes, tuple[int, bytes]], pages: list[bytes]) -> int:
    """Append a leaf with these nodes, by their keys, and return its number."""
    bodies = []
    for key, (flags, value) in sorted(nodes.items()):
        lying, kind = value, flags
        if len(value) > PAGE_BYTES // 2:
            lying, kind = overflow(value, pages), flags | BIG
        size = len(value)
        body = struct.pack("<HHHH", size & 0xFFFF, size >> 16, kind, len(key)) + key + lying
        bodies.append(body + b"\0" * (len(body) % 2))
    room = PAGE_BYTES - HEADER
    upper = room - sum(map(len, bodies))
    places = [upper + sum(map(len, bodies[:index])) for index in range(len(bodies))]
    number = len(pages)
    head = struct.pack("<QQHHHH", number, 1, 0, 2, 2 * len(bodies), upper)
    pointers = struct.pack(f"<{len(places)}H", *places)
    assert len(pointers) <= upper, "too much for a page"
    pages.append((head + pointers).ljust(HEADER + upper, b"\0") + b"".join(bodies))
    return number


def overflow(value: bytes, pages: list[bytes]) -> bytes:
    """Append a value on pages of its own and return what points to them."""
    number, count = len(pages), -(-(HEADER + len(value)) // PAGE_BYTES)
    whole = struct.pack("<QQHHI", number, 1, 0, 4, count) + value
    pages += [whole[start : start + PAGE_BYTES] for start in range(0, len(whole), PAGE_BYTES)]
    return struct.pack("<QQQ", number, 1, count)
