"""Values as msgpackr writes them: MessagePack, with records whose field names stand elsewhere.

Owns that format. A value is hostile until it is read: nothing is nested deeply, nothing holds more than its bytes, and
whatever is wrong with it is a `ValueError`. What no record of the plugin holds (sets, regular expressions) is refused.

Own code rather than `msgspec` or `msgpack`: a record is a byte that MessagePack takes for a number, or an extension
that goes on behind its own end, so that no reader of MessagePack finds where the next value begins.

Source: unpack.js of the npm package msgpackr 1.12.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Moment", "Structures", "read_structures", "unpack"]

MAX_DEPTH = 16
MAX_VALUES = 20_000
"""How many values one may hold in all: the plugin's have fewer than twenty."""

_RECORD = 0x72
_MOMENT = -1
_BIG_NUMBER = 0x42
_NOTHING = 0
_OWN_BITS = 0x3F
_ONE_BYTE = 32
"""So many structures are named by one byte; the others by one more."""

Structures = dict[int, tuple[str, ...]]
"""The names of a record's fields, by the record's number."""


class Moment(NamedTuple):
    """A date: Unix nanoseconds, UTC."""

    ns: int


def unpack(data: bytes, structures: Mapping[int, tuple[str, ...]] | None = None) -> Any:  # noqa: ANN401 -- any value
    """Return what `data` stands for: None, bool, int, float, str, bytes, Moment, list, or a dict by names.

    Args:
        data: One value, to its end.
        structures: Those that are shared, which `read_structures` returned.

    Raises:
        ValueError: It is not whole, or holds what is not known here.
    """
    reader = _Reader(data, structures or {})
    value = reader.value(0)
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes too many")
    return value


def read_structures(data: bytes) -> Structures:
    """Return the shared structures that a database keeps.

    Raises:
        ValueError: They are none, or of a kind that is not known here.
    """
    found = unpack(data)
    if not isinstance(found, list):
        raise ValueError("structures that are no list")  # noqa: TRY004 -- of the data
    return {number: _names(each) for number, each in enumerate(found) if each is not None}


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("a structure that is no list of names")
    return tuple(value)


class _Reader:
    """Reads one value; `at` is how far it is."""

    def __init__(self, data: bytes, shared: Mapping[int, tuple[str, ...]]) -> None:
        self._data = data
        self._structures = dict(shared)
        self._long = {number for number in shared if number >= _ONE_BYTE}
        """The records whose number goes on in a second byte."""
        self._left = MAX_VALUES
        self.at = 0

    def value(self, depth: int) -> Any:  # noqa: ANN401 -- any value
        """Read the value that begins here."""
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise ValueError("nested too deeply" if depth > MAX_DEPTH else "too many values")
        if self.at >= len(self._data):
            raise ValueError("it was cut off")
        token = self._data[self.at]
        self.at += 1
        if token < 0x40 or token >= 0xE0:  # noqa: PLR2004 -- the format's
            return token if token < 0x40 else token - 0x100  # noqa: PLR2004 -- as above
        if token < 0x80:  # noqa: PLR2004 -- as above
            return self._referred(token, depth)
        if token < 0x90:  # noqa: PLR2004 -- as above
            return self.mapping(token & 0x0F, depth)
        if token < 0xA0:  # noqa: PLR2004 -- as above
            return self.items(token & 0x0F, depth)
        if token < 0xC0:  # noqa: PLR2004 -- as above
            return self.text(token & 0x1F)
        return self._long_form(token, depth)

    def _long_form(self, token: int, depth: int) -> Any:  # noqa: ANN401 -- any value
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token in _NUMBERS:
            return self._number(_NUMBERS[token])
        if token in _SIZED:
            read, size = _SIZED[token]
            return read(self, self._number(size), depth)
        if token in _FIXED:
            return self.extension(_FIXED[token], depth)
        raise ValueError(f"an unknown kind of value {token:#x}")

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise ValueError("it was cut off")
        found = self._data[self.at : end]
        self.at = end
        return found

    def _number(self, of: str) -> Any:  # noqa: ANN401 -- whole or not
        (number,) = struct.unpack(f">{of}", self._take(struct.calcsize(of)))
        return number

    def text(self, count: int, _depth: int = 0) -> str:
        """Read a text of so many bytes."""
        return self._take(count).decode("utf-8", "replace")

    def octets(self, count: int, _depth: int = 0) -> bytes:
        """Read so many bytes."""
        return self._take(count)

    def items(self, count: int, depth: int) -> list[Any]:
        """Read a list of so many values."""
        self._check_room(count)
        return [self.value(depth + 1) for _ in range(count)]

    def mapping(self, count: int, depth: int) -> dict[str, Any]:
        """Read so many names with their values."""
        self._check_room(2 * count)
        return {self._name(depth + 1): self.value(depth + 1) for _ in range(count)}

    def _name(self, depth: int) -> str:
        name = self.value(depth)
        if not isinstance(name, str | int | float):
            raise ValueError("a name that is no text")  # noqa: TRY004 -- of the data
        return str(name)

    def _check_room(self, count: int) -> None:
        if count > len(self._data) - self.at:
            raise ValueError("it was cut off")

    # -- records

    def _referred(self, token: int, depth: int) -> Any:  # noqa: ANN401 -- a record, or the number that it looks like
        number = token & _OWN_BITS
        if number not in self._structures:
            return token
        if number in self._long:
            number = _numbered(number, self._number("B"))
        return self._record(number, depth)

    def _record(self, number: int, depth: int) -> dict[str, Any]:
        names = self._structures.get(number)
        if names is None:
            raise ValueError(f"a record {number} whose names are not there")
        self._check_room(len(names))
        return {name: self.value(depth + 1) for name in names}

    def _defined(self, depth: int, *, is_long: bool) -> dict[str, Any]:
        """Read a record whose names stand before it."""
        number = self._number("B") & _OWN_BITS
        if is_long:
            high = self._number("B")
            if not high:
                self._long.add(number)
            number = _numbered(number, high, is_own=True)
        else:
            self._long.discard(number)
        self._structures[number] = _names(self.value(depth + 1))
        return self._record(number, depth)

    # -- extensions

    def extension(self, size: int, depth: int) -> Any:  # noqa: ANN401 -- any value
        """Read an extension of so many bytes, or a record, which goes on behind them."""
        kind = self._number("b")
        if kind == _RECORD and size <= 2:  # noqa: PLR2004 -- one byte more where the number is long
            return self._defined(depth, is_long=size == 2)  # noqa: PLR2004 -- as above
        data = self._take(size)
        if kind == _MOMENT:
            return _moment(data)
        if kind == _BIG_NUMBER:
            return int.from_bytes(data[:64], "big", signed=True)
        if kind == _NOTHING:
            return None
        raise ValueError(f"an unknown extension {kind}")


def _numbered(low: int, high: int, *, is_own: bool = False) -> int:
    """Return the number of a record from both its bytes; those of which the first is small lie below zero."""
    if not high and not is_own:
        return low
    number = (high << 5) + low
    return -number if low < _ONE_BYTE else number


def _moment(data: bytes) -> Moment | None:
    """Return the date in 4, 8 or 12 bytes; None for the one that JavaScript calls invalid."""
    match len(data):
        case 4:
            return Moment(int.from_bytes(data, "big") * 10**9)
        case 8:
            number = int.from_bytes(data, "big")
            return Moment((number & (1 << 34) - 1) * 10**9 + (number >> 34))
        case 12:
            return Moment(int.from_bytes(data[4:], "big", signed=True) * 10**9 + int.from_bytes(data[:4], "big"))
    return None


_CONSTANTS: dict[int, Any] = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: "f",
    0xCB: "d",
    0xCC: "B",
    0xCD: "H",
    0xCE: "I",
    0xCF: "Q",
    0xD0: "b",
    0xD1: "h",
    0xD2: "i",
    0xD3: "q",
}
_SIZED: dict[int, tuple[Callable[..., Any], str]] = {
    0xC4: (_Reader.octets, "B"),
    0xC5: (_Reader.octets, "H"),
    0xC6: (_Reader.octets, "I"),
    0xC7: (_Reader.extension, "B"),
    0xC8: (_Reader.extension, "H"),
    0xC9: (_Reader.extension, "I"),
    0xD9: (_Reader.text, "B"),
    0xDA: (_Reader.text, "H"),
    0xDB: (_Reader.text, "I"),
    0xDC: (_Reader.items, "H"),
    0xDD: (_Reader.items, "I"),
    0xDE: (_Reader.mapping, "H"),
    0xDF: (_Reader.mapping, "I"),
}
_FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
