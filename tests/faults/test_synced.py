"""What a process says is done outlives a power cut: behind each rename that must last its directory is synced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import laws
import pytest
from altered import LATER, program
from injecting import Tracer, needs_strace
from laws import World
from watching import make_commits, register

if TYPE_CHECKING:
    from collections.abc import Callable

_RENAMED = re.compile(r'^\d+ +(?:rename|renameat|renameat2|link|linkat)\(.*"([^"]*)"(?:, \w+)?\) += 0')
_SYNCED = re.compile(r"^\d+ +f(?:data)?sync\(\d+<([^>]*)>\) += 0")
_SAID = re.compile(r"^\d+ +write\(1<([^>]*)>")


class Rename(NamedTuple):
    """A file that got its name, and whether the directory was synced behind it, before anything was said."""

    path: str
    is_synced: bool


def renames_in(log: str) -> list[Rename]:
    """Return every rename that a trace shows."""
    lines = log.splitlines()
    writes = [(at, match[1]) for at, line in enumerate(lines) if (match := _SAID.match(line))]
    # The last who speaks is the command itself; a child that reads a file speaks to it.
    said = next((at for at, to in writes if to == writes[-1][1]), len(lines))
    synced = [(at, match[1]) for at, line in enumerate(lines) if (match := _SYNCED.match(line)) and at < said]
    return [
        Rename(match[1], any(then > at and path == str(Path(match[1]).parent) for then, path in synced))
        for at, line in enumerate(lines)
        if (match := _RENAMED.match(line))
    ]


def traced(world: World, tracer: Tracer, *words: str) -> list[Rename]:
    """Run a command forty days later, which must succeed, and return what it renamed."""
    tracer.log.unlink(missing_ok=True)
    calls = "trace=?rename,?renameat,?renameat2,?link,?linkat,fsync,fdatasync,write"
    argv = ("strace", "-f", "-q", "-y", "-o", str(tracer.log), "-s", "4096", "-e", calls)
    done = world.run(*argv, *program("later"), *words, env={LATER: str(40 * 24 * 3600)})
    assert done.code == 0, done
    return renames_in(tracer.log.read_text(errors="replace"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with some work in the store, and a backup of it."""
    needs_strace()
    world = World.make(tmp_path / "world")
    register(world, "ada")
    make_commits(world, "ada", 3)
    world.tracker("activity", "add", "--agent", "ada", "--task", "an old one")
    world.tracker("flush")
    world.tracker("backup")
    make_commits(world, "ada", 1)
    world.tracker("flush")
    return world


def damage(world: World) -> None:
    """Cut the database."""
    world.database.write_bytes(world.database.read_bytes()[:9000])


def nothing(world: World) -> None:
    """Leave all as it is."""
    del world


@pytest.mark.parametrize(
    ("prepare", "words", "lasting"),
    [
        pytest.param(nothing, ("restore", "--yes"), [r"agent-tracker\.lmdb"], id="restored"),
        pytest.param(damage, ("recover",), [r"agent-tracker\.lmdb"], id="recovered"),
        pytest.param(nothing, ("backup",), [r"\d+T\d+Z(-\d+)?\.lmdb", r"\d+T\d+Z(-\d+)?\.manifest"], id="a backup"),
        pytest.param(nothing, ("backup", "{home}/copy.lmdb"), [r"copy\.lmdb"], id="a copy"),
        pytest.param(nothing, ("archive", "--before", "30d"), [r".*\.jsonl"], id="an archive"),
    ],
)
@pytest.mark.damages
def test_what_was_renamed_lasts(
    world: World, tmp_path: Path, prepare: Callable[[World], None], words: tuple[str, ...], lasting: list[str]
) -> None:
    """The directory is synced behind the last rename of each such file, and before the command says that it is done."""
    prepare(world)
    found = traced(world, Tracer(tmp_path / "log"), *(word.format(home=world.home) for word in words))
    for name in lasting:
        renames = [each for each in found if re.fullmatch(name, Path(each.path).name)]
        assert renames, f"nothing was renamed to {name}: {found}"
        assert all(each.is_synced for each in renames), renames
    if words[0] != "archive":  # what was moved to a file is not shown any more
        laws.check(world)


@pytest.mark.parametrize(
    ("log", "is_synced"),
    [
        ('1 rename("/x/a.new", "/x/a") = 0\n1 fsync(3</x>) = 0\n1 write(1</dev/null>, "done") = 4', True),
        ('1 rename("/x/a.new", "/x/a") = 0\n1 write(1</dev/null>, "done") = 4\n1 fsync(3</x>) = 0', False),
        ('1 fsync(3</x>) = 0\n1 rename("/x/a.new", "/x/a") = 0\n1 write(1</dev/null>, "done") = 4', False),
        ('1 rename("/x/a.new", "/x/a") = 0\n1 fsync(3</x/a>) = 0', False),
        ('1 link("/x/a.new", "/x/a") = 0\n1 fsync(3</x>) = -1 EIO (Input/output error)', False),
    ],
    ids=["in time", "too late", "before", "of the file", "failed"],
)
def test_a_missing_sync_would_be_seen(log: str, *, is_synced: bool) -> None:
    """Control: what counts is a sync of the directory, behind the rename and before anything is said."""
    assert renames_in(log) == [Rename("/x/a", is_synced)]
