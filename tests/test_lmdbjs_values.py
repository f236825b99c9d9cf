from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_tracker.lmdbjs.lz4 import DictionaryMissingError, decompress
from agent_tracker.lmdbjs.msgpackr import MAX_DEPTH, MAX_VALUES, Moment, read_structures, unpack
from facts import UNHURRIED
from lmdbjs_writing import packed

# -- LZ4


def block(*sequences: tuple[bytes, int, int], end: bytes = b"") -> bytes:
    """Return a block of sequences: what stands there, how far back a match begins, how long it is; then the end."""
    out = b""
    for literal, offset, length in sequences:
        out += bytes([min(len(literal), 15) << 4 | min(length - 4, 15)]) + more(len(literal)) + literal
        out += struct.pack("<H", offset) + more(length - 4)
    return out + bytes([min(len(end), 15) << 4]) + more(len(end)) + end


def more(length: int) -> bytes:
    """Return the bytes in which a length goes on that the token has no room for."""
    if length < 15:
        return b""
    whole, rest = divmod(length - 15, 255)
    return b"\xff" * whole + bytes([rest])


def naive(dictionary: bytes, sequences: list[tuple[bytes, int, int]], end: bytes) -> bytes:
    """Return what a block stands for, a byte at a time."""
    out = bytearray(dictionary)
    for literal, offset, length in sequences:
        out += literal
        for _ in range(length):
            out.append(out[-offset])
    return bytes(out[len(dictionary) :]) + end


@settings(UNHURRIED, max_examples=200)
@given(st.data(), st.binary(max_size=40))
def test_a_block_says_what_its_sequences_say(data: st.DataObject, dictionary: bytes) -> None:
    """Literals and matches of any length, into the dictionary, into what overlaps, and into both."""
    sequences = []
    made = len(dictionary)
    for literal in data.draw(st.lists(st.binary(min_size=1, max_size=300), max_size=5)):
        made += len(literal)
        length = data.draw(st.integers(4, 700))
        sequences.append((literal, data.draw(st.integers(1, made)), length))
        made += length
    end = data.draw(st.binary(max_size=20))
    wanted = naive(dictionary, sequences, end)
    assert decompress(block(*sequences, end=end), len(wanted), dictionary) == wanted


def test_a_block_that_needs_a_dictionary_says_so() -> None:
    """It is told from a damaged one: with the dictionary it can be read."""
    needs = block((b"ab", 5, 4), end=b"!")
    with pytest.raises(DictionaryMissingError):
        decompress(needs, 7)
    assert decompress(needs, 7, b"xyz") == b"abxyza!"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 1),
        (b"\xf0", 100),
        (b"\xf0" + b"\xff" * 50, 100_000),
        (b"\x50abc", 5),
        (block((b"abcd", 0, 4)), 8),
        (block((b"abcd", 1, 1000)), 999),
        (block(end=b"abcd"), 3),
        (block(end=b"abcd"), 5),
        (b"\x10a\x01", 8),
    ],
    ids=[
        "nothing",
        "length",
        "endless length",
        "literal",
        "offset 0",
        "match too long",
        "too much",
        "too little",
        "half",
    ],
)
def test_a_damaged_block_is_an_error(data: bytes, size: int) -> None:
    """None of these stands for anything."""
    with pytest.raises(ValueError, match=r"over the end|of nothing|were to be|before its beginning"):
        decompress(data, size)


def test_no_more_is_made_than_was_asked_for() -> None:
    """A few bytes that say that a byte comes a hundred million times are not believed."""
    bomb = b"\x1fa\x01\x00" + b"\xff" * 400_000 + b"\x00"
    with pytest.raises(ValueError, match="runs over the end"):
        decompress(bomb, 1000)


@settings(UNHURRIED, max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 5000), st.binary(max_size=30))
def test_any_bytes_are_a_block_or_an_error(data: bytes, size: int, dictionary: bytes) -> None:
    """Nothing else comes of them."""
    with suppress(ValueError):
        assert len(decompress(data, size, dictionary)) == size


# -- msgpackr

RECORD = b"\xd4\x72\x40\x92\xa1a\xa1b"
"""Defines record 0 as one of `a` and `b`, whose values follow."""


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x40", 64),
        (b"\x7f", 127),
        (b"\xff", -1),
        (b"\xe0", -32),
        (b"\xc0", None),
        (b"\xc2", False),
        (b"\xc3", True),
        (b"\xcc\xff", 255),
        (b"\xcd\x01\x00", 256),
        (b"\xce\xff\xff\xff\xff", (1 << 32) - 1),
        (b"\xcf" + b"\xff" * 8, (1 << 64) - 1),
        (b"\xd0\x80", -128),
        (b"\xd1\x80\x00", -(1 << 15)),
        (b"\xd2\x80\x00\x00\x00", -(1 << 31)),
        (b"\xd3\x80" + b"\0" * 7, -(1 << 63)),
        (b"\xca\x3f\xc0\x00\x00", 1.5),
        (b"\xcb\x3f\xf8" + b"\0" * 6, 1.5),
        (b"\xa2\xc3\x9f", "ß"),
        (b"\xd9\x01x", "x"),
        (b"\xda\x00\x01x", "x"),
        (b"\xdb\x00\x00\x00\x01x", "x"),
        (b"\xa1\xff", "\ufffd"),
        (b"\xc4\x02ab", b"ab"),
        (b"\xc5\x00\x02ab", b"ab"),
        (b"\xc6\x00\x00\x00\x02ab", b"ab"),
        (b"\x92\x01\xa1x", [1, "x"]),
        (b"\xdc\x00\x01\x05", [5]),
        (b"\xdd\x00\x00\x00\x01\x05", [5]),
        (b"\x81\xa1x\x01", {"x": 1}),
        (b"\xde\x00\x01\xa1x\x01", {"x": 1}),
        (b"\xdf\x00\x00\x00\x01\x05\x01", {"5": 1}),
        (b"\xd6\xff\x00\x00\x00\x02", Moment(2 * 10**9)),
        (b"\xd7\xff" + ((5 << 34) + 2).to_bytes(8, "big"), Moment(2 * 10**9 + 5)),
        (b"\xc7\x0c\xff\x00\x00\x00\x05" + b"\xff" * 8, Moment(-(10**9) + 5)),
        (b"\xd4\xff\x00", None),
        (b"\xd4\x00\x00", None),
        (b"\xc7\x09\x42\x01" + b"\0" * 8, 1 << 64),
        (RECORD + b"\x01\x02", {"a": 1, "b": 2}),
        (b"\x92" + RECORD + b"\x01\x02" + b"\x40\x03\x04", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        (b"\x92\xd5\x72\x60\x00\x91\xa1a\x01" + b"\x60\x00\x02", [{"a": 1}, {"a": 2}]),
        (b"\x92\xd5\x72\x60\x01\x91\xa1a\x01" + b"\x41", [{"a": 1}, 65]),
    ],
)
def test_a_value_is_what_msgpackr_means(data: bytes, value: object) -> None:
    """Every form that a number, a text, a date or a record has."""
    found = unpack(data)
    assert (found, type(found)) == (value, type(value))


def test_shared_structures_name_a_records_fields() -> None:
    """A byte says which; without them it is the number that it looks like."""
    structures = read_structures(b"\x92\x92\xa1a\xa1b\x91\xa1c")
    assert unpack(b"\x41\x05", structures) == {"c": 5}
    assert unpack(b"\x40\xc3\xc2", structures) == {"a": True, "b": False}
    assert unpack(b"\x42", structures) == 0x42


def test_a_structure_beyond_the_first_32_has_two_bytes() -> None:
    """The second one says how far beyond."""
    names = b"".join(b"\x91\xa3" + f"n{number:02d}".encode() for number in range(70))
    structures = read_structures(b"\xdc\x00\x46" + names)
    assert unpack(b"\x60\x00\x01", structures) == {"n32": 1}
    assert unpack(b"\x65\x01\x01", structures) == {"n69": 1}


def test_a_record_of_ones_own_does_not_outlive_its_value() -> None:
    """What one value defines, the next one does not know."""
    structures = read_structures(b"\x91\x91\xa1c")
    assert unpack(RECORD + b"\x01\x02", structures) == {"a": 1, "b": 2}
    assert unpack(b"\x40\x05", structures) == {"c": 5}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x00\x00",
        b"\xa5abc",
        b"\xdb\xff\xff\xff\xffabc",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\x7f\xff\xff\xff\x01",
        b"\x81\xc0\x01",
        b"\x81\x90\x01",
        b"\xd4\x73\x00",
        b"\xc7\x05\x62abcde",
        b"\xd4\x72\x40\x01",
        b"\xd4\x72\x40\x91\x01\x01",
        b"\xc8\xff\xff\xff",
    ],
)
def test_what_is_no_value_is_an_error(data: bytes) -> None:
    """Cut off, more than one, of an unknown kind, or with a name that is none."""
    with pytest.raises(ValueError, match=r"."):
        unpack(data)


@pytest.mark.parametrize("nested", [b"\x91", b"\x81\xa0", b"\xd4\x72\x40\x91"], ids=["lists", "maps", "records"])
def test_nothing_is_nested_deeply(nested: bytes) -> None:
    """However deep the bytes go, the reader does not."""
    with pytest.raises(ValueError, match="deeply"):
        unpack(nested * 100_000)
    if nested != b"\xd4\x72\x40\x91":
        assert unpack(nested * MAX_DEPTH + b"\x00") is not None


def test_nothing_holds_very_many_values() -> None:
    """A byte each, they would take sixty times as much."""
    with pytest.raises(ValueError, match="too many"):
        unpack(b"\xdd" + (MAX_VALUES + 1).to_bytes(4, "big") + b"\x00" * (MAX_VALUES + 1))


def test_a_record_without_names_takes_no_room_again_and_again() -> None:
    """It is counted like any other value."""
    with pytest.raises(ValueError, match=r"cut off|too many"):
        unpack(b"\xdd\x00\xff\xff\xff" + b"\x40" * 70_000, {0: ()})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(UNHURRIED, max_examples=200)
@given(VALUES)
def test_what_was_packed_comes_out(value: object) -> None:
    """Any value that a record may hold."""
    assert unpack(packed(value)) == value


@settings(UNHURRIED, max_examples=500)
@given(st.binary(max_size=120))
@example(b"\x40" * 50)
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    """Nothing else comes of them, with structures or without."""
    for structures in (None, {0: ("a", "b"), 1: (), 40: ("c",)}):
        with suppress(ValueError):
            unpack(data, structures)
