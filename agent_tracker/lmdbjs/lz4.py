"""LZ4 blocks, decompressed with a dictionary, as lmdb-js keeps long values.

Owns that format alone. No more is made than was asked for, and nothing is read before the dictionary's beginning.

Own code rather than the library `lz4`: it is needed once in a user's life, for values of a thousand bytes and more, and
the library does not say whether a block that it could not read lacks a dictionary or is damaged.

Source: LZ4 block format description, in the npm package lmdb under dependencies/lz4.
"""

from __future__ import annotations

__all__ = ["DictionaryMissingError", "decompress"]

_LEAST_MATCH = 4
_MORE = 15
"""A length of which this is the first part goes on in the bytes that follow, as long as each is 255."""


class DictionaryMissingError(ValueError):
    """A block refers to what stands before it, in a dictionary that is not there."""


def decompress(block: bytes, size: int, dictionary: bytes = b"") -> bytes:
    """Return the `size` bytes that a block stands for.

    Args:
        block: The sequences, without any header.
        size: How many bytes they are to make.
        dictionary: What stands before the first of them; its last 64 KiB count.

    Raises:
        DictionaryMissingError: It needs a dictionary, or a longer one.
        ValueError: It is damaged.
    """
    out = bytearray(dictionary)
    end = len(out) + size
    at = 0
    while at < len(block):
        token = block[at]
        count, at = _length(block, at + 1, token >> 4)
        if at + count > len(block) or len(out) + count > end:
            raise ValueError("a literal runs over the end")
        out += block[at : at + count]
        at += count
        if at == len(block):
            break
        offset = int.from_bytes(block[at : at + 2], "little")
        count, at = _length(block, at + 2, token & _MORE)
        _repeat(out, offset, min(count + _LEAST_MATCH, end - len(out) + 1))
        if len(out) > end:
            raise ValueError("a match runs over the end")
    if len(out) != end:
        raise ValueError(f"{len(out) - len(dictionary)} bytes where {size} were to be")
    return bytes(out[len(dictionary) :])


def _length(block: bytes, at: int, first: int) -> tuple[int, int]:
    """Return a length and where what follows it begins."""
    total = first
    if first == _MORE:
        while True:
            if at >= len(block):
                raise ValueError("a length runs over the end")
            more = block[at]
            at += 1
            total += more
            if more != 0xFF:  # noqa: PLR2004 -- see _MORE
                break
    return total, at


def _repeat(out: bytearray, offset: int, count: int) -> None:
    """Append so many bytes that begin so far back, which may be among those that are appended."""
    if not offset:
        raise ValueError("a match of nothing")
    if offset > len(out):
        raise DictionaryMissingError(f"it refers to {offset - len(out)} bytes before its beginning")
    piece = bytes(out[len(out) - offset : len(out) - offset + count])
    whole, rest = divmod(count, len(piece))
    out += piece * whole + piece[:rest]
