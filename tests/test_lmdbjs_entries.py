from __future__ import annotations

import json
import lzma
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_tracker.errors import SourceError
from agent_tracker.lmdbjs import entries as reader
from agent_tracker.lmdbjs.entries import NO_DICTIONARY, Entry, read_entries
from agent_tracker.lmdbjs.msgpackr import Moment
from agent_tracker.lmdbjs.pages import MAX_VALUE_BYTES
from facts import UNHURRIED
from lmdbjs_samples import FIXTURES, as_expected, unpacked, wanted
from lmdbjs_writing import BIG, HEADER, PAGE_BYTES, database, leaf, moment, packed, write

if TYPE_CHECKING:
    from pathlib import Path

KEPT = ("old", "new", "odd")
SMALL: dict[str, dict[str, Any]] = {
    "": {"agent:ada": {"name": "ada"}},
    "commits": {"/p:1": {"a": 1}, "/p:2": {"b": "x" * 40_000}},
}


@pytest.fixture(scope="session")
def expected() -> dict[str, dict[str, dict[str, Any]]]:
    """What the databases that are kept here hold, as the program that wrote them had it."""
    document = json.loads(lzma.decompress((FIXTURES / "expected.json.xz").read_bytes()))
    return {name: wanted(each) for name, each in document.items()}


def read(tmp_path: Path, data: bytes) -> list[Entry]:
    """Read a file of these bytes."""
    path = tmp_path / "some.lmdb"
    path.write_bytes(data)
    return read_entries(str(path))


# -- whole files


@pytest.mark.parametrize("name", KEPT)
def test_what_lmdb_js_wrote_is_read(tmp_path: Path, expected: dict[str, dict[str, dict[str, Any]]], name: str) -> None:
    """Both layouts of the plugin, and every kind of value, key and structure."""
    found = read_entries(str(unpacked(name, tmp_path)))
    assert as_expected(found) == expected[name]
    assert [each.trouble for each in found if each.trouble] == (["its key is no text"] * 2 if name == "odd" else [])


def test_an_entry_that_needs_the_dictionary_is_named(
    tmp_path: Path, expected: dict[str, dict[str, dict[str, Any]]]
) -> None:
    """It is not guessed, and what does not need it is read."""
    found = read_entries(str(unpacked("new-worn", tmp_path)))
    missing = {(each.database, each.key) for each in found if each.trouble == NO_DICTIONARY}
    read_ones = {(sub, key) for sub, items in as_expected(found).items() for key in items}
    assert {sub for sub, _ in missing} == {"communication", "retrospectives"}
    assert missing | read_ones == {(sub, key) for sub, items in expected["new-worn"].items() for key in items}


def test_a_wrong_dictionary_is_no_missing_one(tmp_path: Path) -> None:
    """What it does not reach is said to be damaged."""
    found = read_entries(str(unpacked("new-worn", tmp_path)), b"too short")
    troubles = {each.trouble for each in found if each.trouble}
    assert troubles
    assert NO_DICTIONARY not in troubles


def test_both_layouts_in_one_file(tmp_path: Path) -> None:
    """Prefixed keys of the main database and a database for each kind may lie side by side."""
    found = read_entries(str(write(tmp_path / "x.lmdb", SMALL)))
    assert [(each.database, each.key) for each in found] == [
        ("agents", "ada"),
        ("commits", "/p:1"),
        ("commits", "/p:2"),
    ]
    assert found[2].fields == {"b": "x" * 40_000}


@pytest.mark.parametrize(
    ("value", "trouble"),
    [
        (b"\x05", "it is no record"),
        (b"\xa3abc", "it is no record"),
        (b"", "it was cut off"),
        (b"\x81\xa1a", "it was cut off"),
        (b"\xfe\xff\xff\xff" + b"\x00" * 8, f"16777215 bytes are over the limit of {MAX_VALUE_BYTES}"),
        (b"\xfe\x00\x00\x02\x10a", "1 bytes where 2 were to be"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x02\x30\x81\xa1a", "a literal runs over the end"),
    ],
    ids=["number", "text", "nothing", "half", "bomb", "damaged block", "long block"],
)
def test_a_value_that_is_no_record_is_named(tmp_path: Path, value: bytes, trouble: str) -> None:
    """The entries around it are read."""
    found = read_entries(str(write(tmp_path / "x.lmdb", {"agents": {"a": {"n": 1}, "b": value, "c": {"n": 2}}})))
    assert [each.fields for each in found] == [{"n": 1}, None, {"n": 2}]
    assert found[1].trouble == trouble


def test_a_long_header_of_a_compressed_value(tmp_path: Path) -> None:
    """Eight bytes, where the value is longer than three can say."""
    inner = packed({"a": 1})
    block = bytes([len(inner) << 4]) + inner
    value = b"\xff\x00" + len(inner).to_bytes(6, "big") + block
    assert read_entries(str(write(tmp_path / "x.lmdb", {"agents": {"a": value}})))[0].fields == {"a": 1}


def test_dates_are_moments(tmp_path: Path) -> None:
    """To the millisecond."""
    found = read_entries(str(write(tmp_path / "x.lmdb", {"agents": {"a": {"at": moment(5, 123)}}})))
    assert found[0].fields == {"at": Moment(1772355605_123_000_000)}


def test_a_field_that_holds_others_is_left_out(tmp_path: Path) -> None:
    """No field of a fact is a list or another record."""
    found = read_entries(str(write(tmp_path / "x.lmdb", {"projects": {"a": {"n": 1, "inner": {"deep": 2}}}})))
    assert found[0].fields == {"n": 1}


# -- files that are none, or are damaged


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 100, b"\xff" * 70_000], ids=["empty", "x", "zeros", "ones"])
def test_no_database_is_an_error(tmp_path: Path, data: bytes) -> None:
    """And says so in a line."""
    with pytest.raises(SourceError, match="no page that says what is in it"):
        read(tmp_path, data)


def test_an_encrypted_database_is_told(tmp_path: Path) -> None:
    """It is not said to be damaged."""
    with pytest.raises(SourceError, match="encrypted"):
        read(tmp_path, database(SMALL, flags=0x7008))


@pytest.mark.parametrize("kind", ["pipe", "directory", "missing", "huge"])
def test_what_is_no_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A pipe is not waited for, and nothing is read of a file that is too large."""
    path = tmp_path / "thing"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge":
        monkeypatch.setattr(reader, "MAX_FILE_BYTES", PAGE_BYTES)
        path.write_bytes(database(SMALL))
    with pytest.raises(SourceError, match=r"regular file|Is a directory|No such file|bytes, over"):
        read_entries(str(path))


@pytest.mark.parametrize("name", KEPT)
def test_a_file_that_was_cut_off_is_an_error_or_the_state_before(tmp_path: Path, name: str) -> None:
    """At every page: never half of it without a word."""
    data = unpacked(name, tmp_path).read_bytes()
    whole = read(tmp_path, data)
    outcomes = set()
    for end in range(0, len(data), 4096):
        try:
            outcomes.add(len(read(tmp_path, data[:end])))
        except SourceError:
            outcomes.add(-1)
    assert -1 in outcomes
    assert max(outcomes) <= len(whole)


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    """Return the bytes with some of them replaced."""
    piece = struct.pack(form, *values)
    return data[:at] + piece + data[at + len(piece) :]


MAIN_ROOTS = tuple(page * PAGE_BYTES + 24 + 24 + 48 + 40 for page in (0, 1))
MAIN_ENTRIES = tuple(at - 8 for at in MAIN_ROOTS)


def both(data: bytes, places: tuple[int, ...], value: int) -> bytes:
    """Return the bytes with a number of both metas replaced."""
    for at in places:
        data = patched(data, at, "<Q", value)
    return data


def branches(count: int) -> bytes:
    """Return a file whose main database is a chain of branches, the last of which leads to the first."""
    pages = [b"", b""]
    for number in range(2, 2 + count):
        target = number + 1 if number < 1 + count else 2
        node = struct.pack("<HHHH", target & 0xFFFF, target >> 16, 0, 0)
        upper = PAGE_BYTES - HEADER - len(node)
        head = struct.pack("<QQHHHHH", number, 1, 0, 1, 2, upper, upper)
        pages.append(head.ljust(HEADER + upper, b"\0") + node)
    frame = database({"": {}})
    data = frame[: 2 * PAGE_BYTES] + b"".join(pages[2:])
    for page in (0, 1):
        data = patched(data, page * PAGE_BYTES + 24 + 24 + 48, "<IHHQQQQQ", 0, 0, 30, 0, 0, 0, 5, 2)
        data = patched(data, page * PAGE_BYTES + 24 + 24 + 96, "<Q", len(pages) - 1)
    return data


def shared_overflow() -> bytes:
    """Return a file in which a thousand entries have the same long value."""
    pages: list[bytes] = [b"", b""]
    pages.append(struct.pack("<QQHHI", 2, 1, 0, 4, 2) + b"\x81\xa1a\xda\x70\x00" + b"x" * 0x7000)
    pages[2] = pages[2].ljust(2 * PAGE_BYTES, b"\0")
    pages.append(b"")
    pointer = struct.pack("<QQQ", 2, 1, 2)
    nodes = {b"k%03d" % number: (BIG, pointer) for number in range(500)}
    number = leaf(nodes, pages)
    frame = database({"": {}})
    data = frame[: 2 * PAGE_BYTES] + b"".join(pages[2:])
    for page in (0, 1):
        data = patched(data, page * PAGE_BYTES + 24 + 24 + 48, "<IHHQQQQQ", 0, 0, 1, 0, 1, 2, 500, number)
        data = patched(data, page * PAGE_BYTES + 24 + 24 + 96, "<Q", len(pages) - 1)
    return data


HOSTILE = {
    "root beyond the file": both(database(SMALL), MAIN_ROOTS, 10_000),
    "root is a meta page": both(database(SMALL), MAIN_ROOTS, 1),
    "root is an overflow page": both(database(SMALL), MAIN_ROOTS, 3),
    "more entries than are there": both(database(SMALL), MAIN_ENTRIES, 9),
    "fewer entries than are there": both(database(SMALL), MAIN_ENTRIES, 1),
    "a cycle of branches": branches(5),
    "a branch to itself": branches(1),
    "branches deeper than may be": branches(60),
    "a page of a later transaction": patched(database(SMALL), 4 * PAGE_BYTES + 8, "<Q", 99),
    "a page that says that it is another": patched(database(SMALL), 4 * PAGE_BYTES, "<Q", 2),
    "lower beyond the page": patched(database(SMALL), 4 * PAGE_BYTES + 20, "<H", 0xFFFE),
    "an odd lower": patched(database(SMALL), 4 * PAGE_BYTES + 20, "<H", 3),
    "a pointer into the header": patched(database(SMALL), 4 * PAGE_BYTES + 24, "<H", 0),
    "a pointer to the page's end": patched(database(SMALL), 4 * PAGE_BYTES + 24, "<H", PAGE_BYTES - HEADER - 2),
    "the same long value for many": shared_overflow(),
    "a database without a record": patched(database(SMALL), 4 * PAGE_BYTES, "<Q", 7),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    """Each says in a line that the file is damaged."""
    with pytest.raises(SourceError, match="it is damaged: "):
        read(tmp_path, data)


def test_the_same_node_is_not_read_without_end(tmp_path: Path) -> None:
    """As many pointers as a page has room for may lead to one node, but its bytes are there once."""
    data = database({"": {"agent:a": "x" * 9000}})
    (pointer,) = struct.unpack_from("<H", data, 2 * PAGE_BYTES + HEADER)
    data = patched(data, 2 * PAGE_BYTES + 20, "<H", 200)
    data = patched(data, 2 * PAGE_BYTES + HEADER, "<100H", *[pointer] * 100)
    with pytest.raises(SourceError, match="damaged"):
        read(tmp_path, both(data, MAIN_ENTRIES, 100))


def test_an_older_snapshot_is_read_where_the_newest_is_damaged(tmp_path: Path) -> None:
    """A machine that stopped may have lost the last pages, and not those of the transaction before."""
    data = database(SMALL)
    newest = PAGE_BYTES + 24 + 24 + 48 + 40
    assert len(read(tmp_path, patched(data, newest, "<Q", 10_000))) == 3


def test_a_file_whose_first_page_is_damaged_is_read_by_the_second(tmp_path: Path) -> None:
    """Wherever that lies: pages have one of several sizes."""
    data = database(SMALL)
    assert len(read(tmp_path, b"\0" * 200 + data[200:])) == 3


@pytest.mark.parametrize(("name", "limit"), [("MAX_ENTRIES", 2), ("MAX_BYTES", 1000)])
def test_a_file_with_too_much_in_it_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    """What a file may say in few bytes is counted."""
    monkeypatch.setattr(reader, name, limit)
    with pytest.raises(SourceError, match="more than"):
        read(tmp_path, database(SMALL))


def test_a_value_of_many_pages_is_not_held(tmp_path: Path) -> None:
    """It is named, with its length."""
    huge = b"\x81\xa1a\xdb" + (5 << 20).to_bytes(4, "big") + b"x" * (5 << 20)
    found = read_entries(str(write(tmp_path / "x.lmdb", {"agents": {"a": huge, "b": {"n": 1}}})))
    assert found[0].trouble == f"{len(huge)} bytes are over the limit of {MAX_VALUE_BYTES}"
    assert found[1].fields == {"n": 1}


def test_what_changes_all_the_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was read of it is thrown away."""
    path = write(tmp_path / "x.lmdb", SMALL)
    rounds = iter(range(5, 1000))

    def advance(*_: object) -> list[Entry]:
        data = path.read_bytes()
        path.write_bytes(patched(data, 24 + 24 + 96 + 8, "<Q", next(rounds)))
        return []

    monkeypatch.setattr(reader, "PAUSE_S", 0)
    monkeypatch.setattr(reader._Reader, "entries", advance)
    with pytest.raises(SourceError, match="written all the time"):
        read_entries(str(path))


@settings(UNHURRIED, max_examples=150)
@given(st.data())
def test_any_change_of_a_real_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Nothing but a `SourceError` comes of it, and no more entries than there is room for."""
    place = tmp_path_factory.mktemp("changed")
    whole = bytearray(unpacked(data.draw(st.sampled_from(KEPT)), place).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        page = data.draw(st.integers(0, len(whole) // 4096 - 1)) * 4096
        at = page + data.draw(st.one_of(st.integers(0, 48), st.integers(0, 4095)))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        whole[at : at + len(piece)] = piece
    with suppress(SourceError):
        assert len(read(place, bytes(whole))) <= len(whole) // 8


@settings(UNHURRIED, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(("agents", "commits", "communication", "else")),
        st.dictionaries(
            st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=20),
            st.dictionaries(st.text("abc", max_size=3), st.text(max_size=50).filter(str.isprintable), max_size=3),
            max_size=6,
        ),
    )
)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    """Any databases, keys and texts."""
    path = write(tmp_path_factory.mktemp("any") / "x.lmdb", content)
    found: dict[str, dict[str, Any]] = {}
    for each in read_entries(str(path)):
        found.setdefault(each.database, {})[each.key] = each.fields
    assert found == {name: items for name, items in content.items() if items}
