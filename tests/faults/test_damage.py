"""Damage to the database's file: found and said, never shown as right, never the end of git or of a process."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import laws
import pytest
from laws import Violation, World
from watching import COMMANDS, broken, git_at_work, is_warned, make_commits, register, seen, struck, wrong

from agent_tracker.config import MAX_SIZE_BYTES
from agent_tracker.durability import fingerprint
from agent_tracker.store import Store
from agent_tracker.table import INDEXES
from agent_tracker.tables import TABLES
from damaging import KINDS, Images, damaged, live_pages, overwrite, page_size, records

if TYPE_CHECKING:
    from pathlib import Path

    from watching import Record

pytestmark = [pytest.mark.damages, pytest.mark.timeout(3600)]

SEEDS = {"sample": 2, "all": 40}
MAX_SEEDS = 20
"""How many seeds are tried for one whose damage hits what is in use."""


class Ward(NamedTuple):
    """A world with a database that has seen some work, its bytes now and some time ago, and what is shown of it."""

    world: World
    images: Images
    figures: dict[str, object]

    @property
    def path(self) -> Path:
        """The database."""
        return self.world.database

    def restore(self) -> None:
        """Put everything back as it was made, at the same place: its paths stand in hooks and in the database."""
        root = self.world.home.parent
        shutil.rmtree(root)
        shutil.copytree(root.with_name("kept"), root, symlinks=True)
        # The copy is another file to whoever knows it by its inode.
        fingerprint.remember(str(self.path), fingerprint.counts(str(self.path)))

    def damage(self, kind: str, seed: int) -> bytes:
        """Damage the database, and return what it is then."""
        image = damaged(kind, self.images, seed)
        overwrite(self.path, image)
        return image


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """Make a world in which two agents committed, were graded, and noted something, and keep a copy of it."""
    root = tmp_path_factory.mktemp("damage") / "world"
    world = World.make(root)
    for name in ("ada", "bob"):
        register(world, name)
    make_commits(world, "ada", 12)
    world.tracker("flush")
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    before = world.database.read_bytes()
    make_commits(world, "bob", 30)
    for revision, grade in (("HEAD", "good"), ("HEAD~3", "bad"), ("HEAD~35", "excellence")):
        world.tracker("grade", revision, grade, "--note", f"a note on {revision}")
    world.tracker("retro", "add", "HEAD", "--task", "a long one: " + "x" * 600)
    figures = seen(world)
    shutil.copytree(root, root.with_name("kept"), symlinks=True)
    return Ward(world, Images(world.database.read_bytes(), before), figures)


@pytest.fixture
def ward(made: Ward) -> Ward:
    """Return that world as it was made."""
    made.restore()
    return made


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """How often each kind of damage is tried."""
    return range(SEEDS[str(request.config.getoption("--faults"))])


# -- found and said


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_harms_nobody(ward: Ward, record_property: Record, seeds: range, kind: str) -> None:
    """Every command says what is damaged or what was there before; git works; put back, the rest comes in."""
    with struck("damage", record_property) as fault:
        for seed in seeds:
            ward.restore()
            with fault(kind, seed):
                ward.damage(kind, seed)
                found, telling = wrong(ward.world, ward.figures, [name for name in COMMANDS if name != "flush"])
                # A push brings facts in as well, before a flush mends anything; the flush finds out of the push itself.
                git_at_work(ward.world, "ada")
                done = ward.world.run(*ward.world.program, "flush")
                found += [f"flush: {what}" for what in [*broken(done), *([done.err] if done.code else [])]]
                assert not found, (sorted(telling), found)
                put_back(ward.path, ward.images.now)
                laws.check(ward.world)


def put_back(path: Path, image: bytes) -> None:
    """Put a file's bytes back as a copy does: as another file, of which nobody says that transactions are missing."""
    aside = path.with_name("put-back")
    aside.write_bytes(image)
    aside.chmod(0o600)
    aside.replace(path)


def test_damage_to_what_nobody_refers_to_changes_nothing(ward: Ward) -> None:
    """Every page that is in no tree is filled with noise: all is shown as before, and nobody is told to recover."""
    image = bytearray(ward.images.now)
    size = page_size(ward.images.now)
    unused = set(range(2, len(image) // size)) - live_pages(ward.images.now).keys()
    assert unused
    for number in unused:
        image[number * size : (number + 1) * size] = os.urandom(size)
    overwrite(ward.path, bytes(image))
    assert wrong(ward.world, ward.figures) == ([], set())
    git_at_work(ward.world, "ada")
    laws.check(ward.world)


def test_an_older_copy_put_in_its_place_is_filled_up_again(ward: Ward) -> None:
    """A person copies an old file back: it is sound, and what came since is in it again with the next flush."""
    put_back(ward.path, ward.images.before)
    ward.world.tracker("flush")
    assert wrong(ward.world, ward.figures) == ([], set())
    laws.check(ward.world)


def rot(ward: Ward, kind: str, seed: int) -> bytes:
    """Damage the file as a disk does, and return what it is then."""
    image = damaged(kind, ward.images, seed)
    leave_to_rot(ward, image)
    return image


def leave_to_rot(ward: Ward, image: bytes) -> None:
    """Put bytes in the place of the file's own as a disk does, that is without any of its times changing."""
    status = ward.path.stat()
    overwrite(ward.path, image)
    os.utime(ward.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    # The time of the last change of the inode cannot be put back: what is noted of it is changed instead.
    fingerprint.remember(str(ward.path), fingerprint.counts(str(ward.path)))


@pytest.mark.parametrize("kind", ["value", "bit-flips", "page-zeroed", "page-of-noise", "pages-swapped"])
def test_rot_is_found_by_verify(ward: Ward, record_property: Record, seeds: range, kind: str) -> None:
    """Nothing tells that the file changed but its content: verify finds what is in use and does not die of it."""
    with struck("damage", record_property) as fault:
        for seed in seeds:
            ward.restore()
            with fault(kind, seed):
                image = rot(ward, kind, seed)
                found, telling = wrong(ward.world, ward.figures, ["verify"], is_warned)
                assert not found
                assert telling or not is_in_use(ward.images.now, image)


def is_in_use(image: bytes, rotten: bytes) -> bool:
    """Tell whether a value changed that the store holds, or the head of a page that is in use, its flags and bounds."""
    size = page_size(image)
    heads = (slice(number * size + 10, number * size + 16) for number in live_pages(image))
    values = (slice(leaf.offset, leaf.offset + leaf.size) for leaf in records(image))
    return any(image[part] != rotten[part] for part in (*heads, *values))


def test_a_page_in_use_that_rots_is_found_by_verify(
    ward: Ward, record_property: Record, request: pytest.FixtureRequest
) -> None:
    """A page of each table's tree, and of the list of free ones, becomes noise: verify says that it is damaged."""
    pages = live_pages(ward.images.now)
    if request.config.getoption("--faults") == "sample":
        pages = {number: table for number, table in pages.items() if table in {"(free)", "(main)", "commits.project"}}
    assert {"(free)", "(main)"} <= set(pages.values())
    size = page_size(ward.images.now)
    with struck("damage", record_property) as fault:
        for number, table in pages.items():
            ward.restore()
            with fault(number, table):
                at = number * size
                noise = Random(number).randbytes(size - 16)
                # The page's own head stays: what is in it is the only thing that is wrong.
                leave_to_rot(ward, ward.images.now[: at + 16] + noise + ward.images.now[at + size :])
                found, telling = wrong(ward.world, ward.figures, ["verify"], is_warned)
                assert not found
                assert telling


def test_a_rotten_record_is_never_shown(ward: Ward, record_property: Record, seeds: range) -> None:
    """Before anybody verifies: a command that comes across the record says so, the others are right."""
    with struck("damage", record_property) as fault:
        for seed in seeds:
            ward.restore()
            with fault(seed):
                rot(ward, "value", seed)
                found, _ = wrong(ward.world, ward.figures, ["status", "agents", "log", "flush"], is_warned)
                assert not found
                git_at_work(ward.world, "ada")
                put_back(ward.path, ward.images.now)
                laws.check(ward.world)


# -- recovered


@pytest.mark.parametrize("has_backup", [True, False], ids=["backup", "segments"])
@pytest.mark.parametrize("kind", KINDS)
def test_recover_brings_everything_back(ward: Ward, kind: str, *, has_backup: bool) -> None:
    """After proven damage all is there again, from a backup or the segments kept and git; the file is set aside."""
    world = ward.world
    if has_backup:
        world.tracker("backup")
        make_commits(world, "ada", 3)
        world.tracker("grade", "HEAD", "neutral")
    for seed in range(MAX_SEEDS):
        figures = seen(world)
        ward = ward._replace(images=ward.images._replace(now=ward.path.read_bytes()), figures=figures)
        image = ward.damage(kind, seed)
        if wrong(world, figures, ["status"])[1]:
            break
        put_back(ward.path, ward.images.now)
    else:
        assert kind == "appended", "no seed damages anything that is in use"
        return
    git_at_work(world, "bob")
    told = world.tracker("recover", "--dry-run")
    assert ward.path.read_bytes() == image, "a dry run changed the file"
    done = world.run(*world.program, "recover")
    assert (done.code, broken(done)) == (0, []), done
    assert told.strip()
    assert done.out.strip()
    assert image in kept(ward.path.parent), "the damaged file is gone"
    laws.check(world)
    assert json.loads(world.tracker("verify", "--json"))["verify"]["clean"]
    # The file that was set aside is named until somebody takes it away.
    ailing = json.loads(world.run(*world.program, "doctor", "--json").out)["problems"]
    assert {problem["check"] for problem in ailing} <= {"database-leftovers"}


def kept(directory: Path) -> list[bytes]:
    """Return the content of every file below a directory."""
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


# -- the tests themselves


def test_a_wrong_figure_would_be_seen(ward: Ward) -> None:
    """Control: a standing that nobody earned, with all of its checksums right, is a violation."""
    with Store(str(ward.path), MAX_SIZE_BYTES).writer(timeout_s=5) as writer:
        for agent in writer.agents():
            writer.put_agent(
                agent._replace(standing=agent.standing._replace(total_commits=agent.standing.total_commits + 1))
            )
    found, telling = wrong(ward.world, ward.figures)
    assert not telling
    assert {line.partition(":")[0] for line in found} >= {"agents", "verify"}
    assert any("a wrong figure is shown as right" in line for line in found)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("kill -ABRT $$", id="abort"),
        pytest.param("sh -c 'kill -BUS $$'; exit $?", id="in-a-child"),
        pytest.param("echo 'Traceback (most recent call last):' >&2", id="traceback"),
        pytest.param("echo 'agent-tracker: its Python part ended with code 134, git goes on' >&2", id="hook"),
        pytest.param("exit 3", id="bug"),
    ],
)
def test_a_crash_would_be_seen(ward: Ward, words: str) -> None:
    """Control: a process that dies of a signal, itself or below a shell, and one that shows a traceback."""
    assert broken(ward.world.run("sh", "-c", words))


@pytest.mark.parametrize(
    "words", ["exit 1", "kill -SEGV $$", "printf 'one\\ntwo\\n' >&2"], ids=["stops", "dies", "talks"]
)
def test_harm_to_git_would_be_seen(ward: Ward, words: str) -> None:
    """Control: a hook that stops a push, dies, or says two lines."""
    hook = ward.world.repositories[0] / ".git" / "hooks" / "pre-push"
    hook.write_text(f"#!/bin/sh\n{words}\n")
    with pytest.raises(Violation):
        git_at_work(ward.world, "ada")


def test_a_loss_would_be_seen(ward: Ward) -> None:
    """Control: a database that is gone with the segments, and git's own record of the commits."""
    ward.path.unlink()
    for directory in ward.world.spools():
        for segment in directory.glob("seg-*"):
            segment.unlink()
    with pytest.raises(Violation):
        laws.check(ward.world, laws.Happened(unsure=frozenset()))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_damage_is_the_same_for_its_seed(ward: Ward, kind: str) -> None:
    """So that what was found once can be found again; and each changes something."""
    images = [damaged(kind, ward.images, seed) for seed in (1, 1, 2)]
    assert images[0] == images[1]
    assert images[0] != ward.images.now
    # Nothing is cut in only one way.
    assert (images[0] == images[2]) is (kind == "cut-to-nothing")


def test_the_pages_in_use_are_known(ward: Ward) -> None:
    """What is walked here without LMDB holds every record that is in the store, and nothing that is not."""
    image = ward.images.now
    with Store(str(ward.path), MAX_SIZE_BYTES).snapshot() as snapshot:
        assert snapshot is not None
        stored = {name: snapshot.table(name).count() for name in TABLES if name not in INDEXES}
    found = Counter(leaf.table for leaf in records(image))
    assert dict(found) == {name: count for name, count in stored.items() if count}
