"""Inputs made of other inputs: the plain engine, for where the one that follows coverage is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = ["mutated"]

MAX_BYTES = 1 << 16
TOKENS = (
    *(
        b"\0",
        b"\xff",
        b"\n",
        b"\r\n",
        b"\t",
        b"\\",
        b"\\x1b",
        b"\\ud800",
        b"\\U00110000",
        b" =",
        b":",
        b"=",
        b"..",
        b"/",
    ),
    *(b"\x1b[31m", b"\xc2\x9b", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xd9\xa3", b"\xc2\xb2", b"-1"),
    *(b"9" * 30, b"1" * 5000, b"[" * 2000, b"{", b'"', b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xff" * 8, b"\0" * 8),
)


def mutated(corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of the inputs with a few changes, or with a part of another."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 0, 1, 1, 2, 4, 8, 40)))
        way = chance.randrange(7)
        if way == 0 and data:
            data[start % len(data)] = chance.randrange(256)
        elif way == 1 and data:
            data[start % len(data)] ^= 1 << chance.randrange(8)
        elif way == 2:
            data[start:end] = chance.choice(TOKENS)
        elif way == 3:
            del data[start:end]
        elif way == 4:
            data[start:start] = data[start:end] * chance.randrange(1, 20)
        elif way == 5:
            other = chance.choice(corpus)
            data[start:end] = other[chance.randrange(len(other) + 1) :]
        else:
            data[start:start] = chance.randbytes(chance.randrange(1, 9))
    return bytes(data[:MAX_BYTES])
