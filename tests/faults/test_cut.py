"""A spool that ends in the middle of a line, at every byte that it has."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from altered import KIND, program
from injecting import copied
from laws import Happened, Violation, World, check, commit, is_whole, waiting, whole_lines
from scenes import append_line

from agent_tracker.lines import parse_line
from agent_tracker.spool import read_segment, segments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLE = 16
KINDS = {
    "commit", "rewrite", "squash", "credit", "grade", "bug", "withdrawal", "retro", "activity", "session", "pulse",
    "binding", "forget", "agent", "state",
}  # fmt: skip
NEXT = b"1\trewrite\tamend\t" + b"1" * 40 + b"\t" + b"2" * 40
FRAMED = NEXT + b" =%d" % len(NEXT)
SEGMENT = "seg-00000000000000000001-00000000"


def lines_of_each_kind(world: World) -> list[bytes]:
    """Run every command that appends, and return a line of each kind."""
    world.tracker("register", "one", "--model", "m", "--scope", "all")
    for name in ("first", "second"):
        commit(world, f"one: {name}")
    commit(world, "one: second, amended", "--amend")
    world.git("switch", "--quiet", "-c", "topic")
    commit(world, "one: of a topic")
    world.git("switch", "--quiet", "main")
    world.git("merge", "--quiet", "--squash", "topic")
    world.tracker("flush")
    world.tracker("session", "start", "--agent", "one", "--id", "a-session")
    world.tracker("session", "end", "a-session", "--tools", "2")
    in_client = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "its-session"}
    world.tracker("register", "two", "--model", "m", "--scope", "all", env=in_client)
    world.tracker("grade", "HEAD", "good", "--note", "short, and clear")
    world.tracker("bug", "HEAD~1", "--note", "loses the last")
    world.tracker("bug", "--withdraw", id_of(world, "bug"))
    world.tracker("retro", "add", "HEAD", "--user-grade", "good", "--user-note", "was good")
    world.tracker("activity", "add", "--agent", "one", "--task", "to write", "--outcome", "written")
    world.tracker("credit", "HEAD", "human", "--why", "my own")
    world.tracker("agents", "retire", "one")
    lines = whole_lines(world)
    world.tracker("forget", id_of(world, "activity"), "--yes")
    by_kind = {line.split(b"\t")[1].decode(): line for line in sorted(lines | whole_lines(world))}
    assert by_kind.keys() == KINDS
    return [by_kind[kind] for kind in sorted(KINDS)]


def id_of(world: World, kind: str) -> str:
    """Return the id in a line of some kind."""
    return next(iter(waiting(world)[kind]))


def test_a_spool_cut_at_any_byte_says_what_is_whole_in_it_and_what_follows(tmp_path: Path) -> None:
    """No torn line says anything, and none takes the next one along; nothing of it is taken for another line."""
    lines = lines_of_each_kind(World.make(tmp_path / "world"))
    content = b"".join(b"\n" + line + b"\n" for line in lines)
    meant = [parse_line(line) for line in [*lines, FRAMED]]
    directory = tmp_path / "spool"
    directory.mkdir()
    for cut in range(len(content) + 1):
        (directory / SEGMENT).write_bytes(content[:cut] + b"\n" + FRAMED + b"\n")
        seen, rejected = read_segment(segments(str(directory))[0], tuple({type(each) for each in meant}))
        pieces = [piece for piece in content[:cut].split(b"\n") if piece]
        whole = sum(map(is_whole, pieces))
        assert whole >= len(pieces) - 1, content[:cut]
        assert seen == [*meant[:whole], meant[-1]], content[:cut]
        assert len(rejected) == len(pieces) - whole, content[:cut]


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which a line of each kind waits in the segments, as the database and what the hooks know are gone."""
    root = tmp_path_factory.mktemp("unread") / "world"
    world = World.make(root)
    lines_of_each_kind(world)
    world.tracker("flush")
    for place in (world.database.parent, world.home / ".local/state/agent-tracker"):
        for path in place.rglob("*"):
            if path.is_file() and "spool" not in path.parts:
                path.unlink()
    shutil.rmtree(world.repositories[0] / ".git" / "logs")
    copied(root, root.with_name("before"))
    return world


@pytest.mark.parametrize("kind", ["", *sorted(KINDS - {"squash"})])
def test_a_kind_of_line_that_is_not_heard_is_seen(unread: World, kind: str) -> None:
    """Control: a flush that passes over the lines of one kind breaks the second law, and one that does not, none."""
    root = unread.home.parent
    copied(root.with_name("before"), root)
    happened = Happened().seen(unread)
    done = unread.run(*program("deaf"), "flush", env={KIND: kind or "none"})
    assert done.code == 0, done
    if not kind:
        check(unread, happened)
        return
    # A commit of which nobody says what became of it counts beside that.
    with pytest.raises(Violation, match="law 3" if kind == "rewrite" else "law 2"):
        check(unread, happened)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[bytes]]:
    """A world in which lines of several kinds wait, and a copy of it beside."""
    root = tmp_path_factory.mktemp("cut") / "world"
    world = World.make(root)
    world.tracker("register", "one", "--model", "m", "--scope", "all")
    for name in ("first", "second", "third"):
        commit(world, f"one: {name}")
    world.tracker("flush")
    before = whole_lines(world)
    copied(root, root.with_name("before"))
    world.tracker("grade", "HEAD", "good", "--note", "short, and clear")
    world.tracker("grade", "HEAD~1", "bad", "--note", "too long")
    world.tracker("activity", "add", "--agent", "one", "--task", "to write", "--outcome", "written")
    noted = sorted(whole_lines(world) - before)
    copied(root.with_name("before"), root)
    return world, noted


@pytest.mark.timeout(1800)
def test_a_flush_of_a_cut_spool_breaks_no_law(
    prepared: tuple[World, list[bytes]], request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """What is whole counts, the torn line does not, and the line behind it does."""
    world, noted = prepared
    root = world.home.parent
    *cut_lines, last = noted
    content = b"".join(b"\n" + line + b"\n" for line in cut_lines)
    step = 1 if request.config.getoption("--faults") == "all" else len(content) // SAMPLE
    cuts = range(0, len(content), step)
    violations = []
    for cut in cuts:
        copied(root.with_name("before"), root)
        (world.spools()[1] / "spool").write_bytes(content[:cut])
        append_line(world.spools()[1], last)
        try:
            check(world)
        except Violation as violation:
            violations.append(f"cut at byte {cut}: {violation}")
    record_property("faults", ["cut", len(cuts), len(violations)])
    assert not violations, "\n".join(violations)
