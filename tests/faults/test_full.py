"""Disks that are full, or take no writing: git goes on, the rest waits, and comes in once there is room again."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import laws
import pytest
from filling import disk_over, read_only, why_not
from laws import Happened, World
from watching import OUT_OF_TIME, broken, git_at_work, make_commits, register, seen, struck, wrong

from gitrepo import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filling import Disk
    from watching import Record

pytestmark = [pytest.mark.damages, pytest.mark.timeout(3600)]

HOME_BYTES = 4 << 20
ROOMY_BYTES = 32 << 20
"""More than all that is committed in a whole run, a few blocks more each time."""

LEFT = {"sample": (0, 1, 2, 3, 5, 8, 16, 27), "all": tuple(range(80))}
"""How many blocks or names are left of a full disk: what is written next fails in the middle."""
ROOM = ("space", "room", "delete")
WRITABLE = ("permission", "read-only", "writable", "mount", "chmod")


class FullHome(NamedTuple):
    """A world, and the disk that its home lies on."""

    world: World
    disk: Disk


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world with two agents and some work in the store."""
    return begun(tmp_path / "world")


def begun(root: Path) -> World:
    """Make a world with two agents and some work in the store."""
    made = World.make(root)
    for name in ("ada", "bob"):
        register(made, name)
    make_commits(made, "ada", 5)
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    made.tracker("flush")
    return made


@pytest.fixture
def left(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """How much of a full disk is left, one after the other."""
    return LEFT[str(request.config.getoption("--faults"))]


@pytest.fixture
def full_home(world: World) -> Iterator[FullHome]:
    """A world whose home lies on a small disk that holds nothing else."""
    skip_unless_mountable()
    with disk_over(world.home, size_bytes=HOME_BYTES, names=600) as disk:
        yield FullHome(world, disk)


def skip_unless_mountable() -> None:
    """Skip a test where nothing can be mounted."""
    if reason := why_not():
        pytest.skip(reason)


def lose_the_database(world: World) -> None:
    """Take the database away with all that lies beside it: the next flush makes it anew, from the segments."""
    for path in world.database.parent.glob(world.database.name + "*"):
        path.unlink()


def keep_the_database(world: World) -> None:
    """Let the next flush write into the database that is there."""
    assert world.database.exists()


def unexplained(done: Done, disk: Path, words: tuple[str, ...]) -> list[str]:
    """Return what a failed command does not say: which disk, and what to do."""
    said = done.err.replace("~", str(disk.parent / "home"))
    hint = said.partition("hint:")[2]
    found = broken(done)
    if str(disk) not in said:
        found.append(f"does not say where: {said}")
    if not any(word in hint.lower() for word in words):
        found.append(f"does not say what to do: {said}")
    return found


def leftovers(world: World) -> list[str]:
    """Return the files that a write in the middle of which the disk was full left behind."""
    ours = [world.home / ".config", world.home / ".local", *world.spools()]
    names = {path for place in ours for path in place.rglob("*") if path.is_file()}
    return sorted(str(path) for path in names if path.suffix in {".new", ".tmp"} or ".new-lock" in path.name)


# -- the home is full


@pytest.mark.parametrize("fill", ["blocks", "names"])
@pytest.mark.parametrize("prepare", [keep_the_database, lose_the_database], ids=["writes", "creates"])
def test_a_full_home_keeps_nobody_from_working(
    full_home: FullHome, record_property: Record, left: tuple[int, ...], prepare: Callable[[World], None], fill: str
) -> None:
    """With so many blocks or names left: git works, a flush says what is full, and later everything comes in."""
    world = full_home.world
    with struck("full disk", record_property) as fault:
        for count in left:
            make_commits(world, "bob", 15)
            prepare(world)
            with fault(fill, count):
                with full_home.disk.full_of(fill, left=count):
                    git_at_work(world, "ada")
                    done = world.run(*world.program, "flush")
                    for name in ("status", "agents", "log"):
                        assert broken(world.run(*world.program, name)) == [], name
                assert not done.code or unexplained(done, world.home, ROOM) == []
                laws.check(world)
                assert leftovers(world) == []


def test_a_full_home_still_shows_what_is_there(full_home: FullHome) -> None:
    """Where nothing is to be written, every figure is shown as before."""
    world, disk = full_home
    figures = seen(world)
    with disk.full_of("blocks", left=0):
        found, _ = wrong(world, figures, ["status", "agents", "log", "verify"])
    assert found == []


# -- the repository is full


def commit_meanwhile(world: World, name: str) -> Done:
    """Try to make an agent's commit."""
    argv = ("git", "commit", "--quiet", "--allow-empty", "-m", f"{name}: on a full disk")
    return world.run(*argv, env={"AGENT_TRACKER_AGENT": name})


@pytest.mark.parametrize("fill", ["blocks", "names"])
def test_a_full_spool_costs_a_line(world: World, record_property: Record, left: tuple[int, ...], fill: str) -> None:
    """Our directory in the repository is full, git's is not: every commit is made, and counted later."""
    skip_unless_mountable()
    unsure: set[str] = set()
    place = world.spools()[-1]
    with disk_over(place, size_bytes=1 << 20, names=100) as disk, struck("full disk", record_property) as fault:
        for count in left[: len(left) // 2]:
            with fault(fill, count):
                with disk.full_of(fill, left=count):
                    for _ in range(60 if fill == "blocks" else 2):
                        done = commit_meanwhile(world, "ada")
                        assert (done.code, broken(done)) == (0, [])
                        if done.err:
                            assert done.err.count("\n") == done.err.count("nothing was recorded") == 1, done.err
                            unsure.add(world.git("rev-parse", "HEAD"))
                    done = world.run("git", "push", "--quiet", "origin", "HEAD:refs/heads/main")
                    crashes = [what for what in broken(done) if OUT_OF_TIME not in what]
                    assert (done.code, crashes) == (0, [])
                    done = world.run(*world.program, "flush")
                assert not done.code or unexplained(done, world.repositories[0], ROOM) == []
                laws.check(world, Happened(unsure=frozenset(unsure)))
                assert leftovers(world) == []
    assert unsure, "no commit met a full disk"


def test_a_full_repository_harms_git_no_more_than_without_us(
    world: World, record_property: Record, left: tuple[int, ...]
) -> None:
    """The whole repository's disk is full: a commit fails only where git by itself fails, and nothing is lost."""
    skip_unless_mountable()
    unsure: set[str] = set()
    place = world.repositories[0]
    with disk_over(place, size_bytes=ROOMY_BYTES) as disk, struck("full disk", record_property) as fault:
        for count in left:
            with fault(count):
                with disk.full_of("blocks", left=count):
                    unsure |= commit_until_git_fails(world)
                    done = world.run(*world.program, "flush")
                assert not done.code or unexplained(done, world.repositories[0], ROOM) == []
                laws.check(world, Happened(unsure=frozenset(unsure)))
                assert leftovers(world) == []


def commit_until_git_fails(world: World) -> set[str]:
    """Commit while git can, and return the commits of which our hooks said that they were not noted."""
    unnoted = set()
    for _ in range(60):
        head = world.git("rev-parse", "HEAD")
        done = commit_meanwhile(world, "bob")
        assert broken(done) == []
        if done.code:
            alone = world.run("git", "-c", "core.hooksPath=/dev/null", "commit", "--allow-empty", "-m", "x: by itself")
            assert alone.code, f"git fails with us alone: {done}"
            break
        assert world.git("rev-parse", "HEAD") != head
        assert done.err.count("\n") <= 1, done.err
        if done.err:
            unnoted.add(world.git("rev-parse", "HEAD"))
    return unnoted


# -- what takes nothing


@pytest.mark.parametrize("stream", ["1", "2", "1 2"])
def test_words_that_nobody_takes_harm_nothing(world: World, stream: str) -> None:
    """Standard output or error is a full device: git works, and a command fails at most with an error."""
    to = " ".join(f"{each}>/dev/full" for each in stream.split())
    world.database.write_bytes(b"x" * 5000)
    for command in (
        'git commit --quiet --allow-empty -m "ada: unheard"',
        "git push --quiet origin HEAD:refs/heads/main",
    ):
        done = world.run("sh", "-c", f"{command} {to}", env={"AGENT_TRACKER_AGENT": "ada"})
        assert (done.code, broken(done)) == (0, []), command
    lose_the_database(world)
    for name in ("status", "log", "agents", "flush"):
        done = world.run("sh", "-c", f"{' '.join(world.program)} {name} {to}")
        assert done.code in {0, 1}, name
        assert broken(done) == [], name
    laws.check(world)


def test_a_home_mounted_for_reading_alone(world: World) -> None:
    """Reading goes on, git goes on, a flush says so; mounted for writing again, everything comes in."""
    skip_unless_mountable()
    figures = seen(world)
    with read_only(world.home):
        found, _ = wrong(world, figures, ["status", "agents", "log", "verify"])
        assert found == []
        git_at_work(world, "ada")
        make_commits(world, "bob", 3)
        done = world.run(*world.program, "flush")
        assert done.code == 1
        assert unexplained(done, world.home, WRITABLE) == []
    laws.check(world)
    assert leftovers(world) == []


def without_privileges(world: World, *argv: str, env: dict[str, str] | None = None) -> Done:
    """Run a process to which the modes of files mean what they say, also where root runs the tests."""
    if os.geteuid():
        return world.run(*argv, env=env)
    if not shutil.which("setpriv"):
        pytest.skip("root, and there is no setpriv")
    dropped = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    return world.run(*dropped, *argv, env=env)


@pytest.mark.parametrize("place", ["database", "directory", "both", "state"])
def test_a_place_that_its_owner_may_not_write(world: World, place: str) -> None:
    """The file or its directory takes no writing: the same as a disk mounted for reading alone."""
    places = {
        "database": [world.database],
        "directory": [world.database.parent],
        "both": [world.database, world.database.parent],
        "state": [world.home / ".local/state/agent-tracker", world.spools()[0]],
    }[place]
    modes = {path: path.stat().st_mode for path in places}
    for path in places:
        path.chmod(0o500 if path.is_dir() else 0o400)
    for argv in (
        ("git", "commit", "--quiet", "--allow-empty", "-m", "ada: where little may be written"),
        ("git", "push", "--quiet", "origin", "HEAD:refs/heads/main"),
    ):
        done = without_privileges(world, *argv, env={"AGENT_TRACKER_AGENT": "ada"})
        assert (done.code, broken(done)) == (0, []), done
        assert len(done.err.splitlines()) <= 1, done
    for name in ("status", "agents", "log", "verify"):
        done = without_privileges(world, *world.program, name)
        assert (done.code, broken(done)) == (0, []), (name, done)
    done = without_privileges(world, *world.program, "flush")
    if done.code:
        assert unexplained(done, world.home, WRITABLE) == []
    for path, mode in modes.items():
        path.chmod(mode)
    done = without_privileges(world, *world.program, "flush")
    assert done.code == 0, done
    laws.check(world)


# -- the tests themselves


def test_a_full_disk_is_full(full_home: FullHome) -> None:
    """Control: what is filled takes so many blocks or names and no more, and gives them back."""
    world, disk = full_home
    with disk.full_of("blocks", left=2):
        (world.home / "two").write_bytes(b"x" * 8192)
        with pytest.raises(OSError, match="No space left"):
            (world.home / "more").write_bytes(b"x")
    (world.home / "two").unlink()
    (world.home / "more").unlink()
    with disk.full_of("names", left=1):
        (world.home / "one").touch()
        with pytest.raises(OSError, match="No space left"):
            (world.home / "more").touch()
    (world.home / "more").write_bytes(b"x" * 8192)


def test_a_fact_that_a_full_disk_took_would_be_seen(full_home: FullHome) -> None:
    """Control: a spool is thrown away because the disk is full, though no transaction held what it said."""
    world, disk = full_home
    world.tracker("grade", "HEAD", "good")
    lose_the_database(world)
    known = Happened().seen(world)
    with disk.full_of("blocks", left=0):
        for segment in world.spools()[-1].glob("seg-*"):
            segment.unlink()
    with pytest.raises(laws.Violation, match="law 2"):
        laws.check(world, known)


def test_words_that_explain_nothing_would_be_seen(world: World) -> None:
    """Control: an error that says neither which disk it is nor what to do."""
    assert len(unexplained(Done(1, "", "error: no\nhint: check the permissions"), world.home, ROOM)) == 2
