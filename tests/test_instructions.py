"""Instruction files: the table, the marks that stand for them, and the fingerprint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from agent_tracker.instructions import CLIENTS, NONE, PATHS, Files, Setup, compare, setup_marks, setup_of
from agent_tracker.registration import Roster, identify
from facts import agent, by_agent

if TYPE_CHECKING:
    from agent_tracker.records import Marks

A, B = "a" * 40, "b" * 40
TWO: Files = (("AGENTS.md", A), ("CLAUDE.md", B))


def test_the_fingerprint_is_of_the_sorted_paths_and_oids() -> None:
    """Twelve digits of SHA-256, as documented, whatever the order of the marks and whatever else is among them."""
    expected = hashlib.sha256(f"AGENTS.md\0{A}\nCLAUDE.md\0{B}\n".encode()).hexdigest()[:12]
    marks = (("setup", f"CLAUDE.md {B}"), *by_agent("coder"), ("setup", f"AGENTS.md {A}"))
    assert setup_of(marks) == Setup(expected, TWO)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param((("AGENTS.md", B), ("CLAUDE.md", B)), id="changed"),
        pytest.param((("AGENTS.md", A),), id="removed"),
        pytest.param((("CLAUDE.md", A), ("AGENTS.md", B)), id="exchanged"),
        pytest.param((("AGENTS.md", A), ("GEMINI.md", B)), id="renamed"),
    ],
)
def test_another_content_has_another_fingerprint(files: Files) -> None:
    """Whatever is changed, added, removed or renamed shows."""
    assert setup_of(setup_marks(files)).fingerprint != setup_of(setup_marks(TWO)).fingerprint


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(None, Setup("", ()), id="not-looked"),
        pytest.param((), Setup(NONE, ()), id="none"),
    ],
)
def test_nothing_is_told_from_not_looked(files: Files | None, expected: Setup) -> None:
    """A commit without instruction files is not one whose tree nobody read."""
    assert setup_of((*by_agent("coder"), *setup_marks(files))) == expected


@pytest.mark.parametrize("files", [None, (), TWO])
def test_marks_tell_what_they_were_made_of(files: Files | None) -> None:
    """What is written into the marks is what is read from them."""
    assert setup_of(setup_marks(files)).files == (files or ())


@pytest.mark.parametrize("value", ["AGENTS.md", " ", "a b c", "\n\t\x1b", "\udcff " + A])
def test_a_mark_of_any_content_has_a_fingerprint(value: str) -> None:
    """A mark that this program did not write harms nothing."""
    assert len(setup_of((("setup", value),)).fingerprint) == 12


@pytest.mark.parametrize(
    "marks", [by_agent("coder"), (("hook", "1"),), (("found", "1"),), (("trailer", "Agent: coder"),)]
)
def test_a_setup_says_nothing_of_who_made_a_commit(marks: Marks) -> None:
    """The marks of a setup leave a commit's identity as it is."""
    roster = Roster([agent("coder"), agent("AGENTS.md")])
    plain = identify(marks, roster, at_ns=2 * 10**18)
    for files in ((), TWO):
        assert identify((*marks, *setup_marks(files)), roster, at_ns=2 * 10**18) == plain


def test_what_changed_from_one_setup_to_the_next() -> None:
    """Files that came, went and are others now, each in the order of the paths."""
    before = (("a", A), ("b", A), ("c", A))
    after = (("b", B), ("c", A), ("e", A), ("d", A))
    assert compare(before, after) == (("d", "e"), ("a",), ("b",))


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_path_of_the_table_can_be_found_and_kept(path: str) -> None:
    """It lies in the root or one directory deep, needs no escaping and leaves room for an oid in a mark."""
    assert path.isascii()
    assert path.isprintable()
    assert " " not in path
    assert len(path.split("/")) <= 2
    assert all(part not in {"", ".", ".."} for part in path.split("/"))
    assert len(path) + 1 + 64 <= 300


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_says_where_its_files_are_told_of(client: str) -> None:
    """No row without its source, none without a file and none with a file twice."""
    source, paths = CLIENTS[client]
    assert source.startswith("https://")
    assert paths
    assert len(set(paths)) == len(paths)


def test_no_path_is_both_a_file_and_a_directory_to_look_into() -> None:
    """What counts as a whole is not looked into besides."""
    assert not {path.partition("/")[0] for path in PATHS if "/" in path} & PATHS
