"""Wrong designs break a law in the very tests that the right one passes: the harness can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from altered import program
from injecting import KILL, faults_of
from laws import Violation, check, commit, push, whole_lines
from scenes import STORED_TEXT, make_scene
from test_stopped import stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenes import Scene

AS_IT_IS = "as it is"


@pytest.fixture
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A world in which something waits to be flushed, put back as it was."""
    scene = make_scene(tmp_path_factory.getbasetemp() / "scene")
    scene.rest()
    scene.restore()
    return scene


def flush(scene: Scene, alteration: str, *, killed_at: tuple[str, str] = ("", "")) -> None:
    """Flush with a program that may be wrong, and kill it at its last call of a kind on a file with some name in it."""
    world = scene.world
    argv = (*program(alteration), "flush")
    syscall, name = killed_at
    if not syscall:
        done = world.run(*argv)
        assert done.code == 0, done
        return
    world.run(*scene.tracer.argv(None), *argv)
    found = [f for f in faults_of(scene.tracer.log, scene.root) if (f.what, f.syscall) == (KILL, syscall)]
    fault = next(fault for fault in found if name in fault.about)
    scene.restore()
    world.run(*scene.tracer.argv(fault), *argv)
    assert scene.tracer.has_hit(fault)


@pytest.mark.parametrize(
    ("wrong", "killed_at", "law"),
    [
        ("apply, then delete", ("unlink", "agent-tracker/seg-"), "law [13]"),
        ("delete first", ("fdatasync", "agent-tracker.lmdb"), "law 2"),
    ],
)
def test_a_wrong_order_of_applying_and_deleting_is_seen(
    scene: Scene, wrong: str, killed_at: tuple[str, str], law: str
) -> None:
    """Killed between the two, a program that relies on their order counts twice, or loses what it read."""
    flush(scene, wrong, killed_at=killed_at)
    with pytest.raises(Violation, match=law):
        check(scene.world, scene.happened, altered=wrong if law != "law 2" else AS_IT_IS)


@pytest.mark.parametrize("killed_at", [("unlink", "agent-tracker/pending"), ("fdatasync", "agent-tracker.lmdb")])
def test_the_right_order_breaks_no_law_there(scene: Scene, killed_at: tuple[str, str]) -> None:
    """It is the wrong designs that are seen, and not that something was killed."""
    flush(scene, AS_IT_IS, killed_at=killed_at)
    check(scene.world, scene.happened)


def write_late(scene: Scene) -> None:
    """Write to the segments that were sealed, so that they are read again."""
    for directory in scene.world.spools():
        for path in directory.glob("seg-*"):
            with path.open("ab") as segment:
                segment.write(b"\n1\tcomm")


def test_counting_what_was_counted_is_seen(scene: Scene) -> None:
    """A segment that is read again counts twice where ids are not looked at, and else does not."""
    flush(scene, AS_IT_IS)
    write_late(scene)
    check(scene.world, scene.happened)
    write_late(scene)
    with pytest.raises(Violation, match=r"law [13]"):
        check(scene.world, scene.happened, altered="without dedupe")


def test_no_grace_for_a_late_writer_is_seen(scene: Scene) -> None:
    """Where a segment goes as soon as it is applied, a commit whose hook was slow is nobody's."""
    with stopped(scene, "post-commit", {}):
        flush(scene, "no grace")
    with pytest.raises(Violation, match="law 2"):
        check(scene.world, scene.happened)


def damage(scene: Scene) -> None:
    """Change a letter in a record of the store's file."""
    path, text = scene.world.database, STORED_TEXT.encode()
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, text.swapcase()))


def test_writing_to_a_file_that_somebody_changed_is_seen(scene: Scene) -> None:
    """Where nobody looks whether the file is as it was left, what is in it does not hold together any more."""
    damage(scene)
    flush(scene, "without fingerprint")
    with pytest.raises(Violation, match="law 1"):
        check(scene.world, scene.happened, altered="without fingerprint")


def test_a_file_that_somebody_changed_is_not_written_to(scene: Scene) -> None:
    """The right design sees it: it mends the store, or leaves it alone and keeps what waits."""
    damage(scene)
    damaged, lines = scene.world.database.read_bytes(), whole_lines(scene.world)
    done = scene.world.run(*scene.world.program, "flush")
    if done.code:
        assert scene.world.database.read_bytes() == damaged
        assert whole_lines(scene.world) == lines
    else:
        check(scene.world, scene.happened)


def test_a_flush_that_always_changes_something_is_seen(scene: Scene) -> None:
    """Without any new fact nothing may be another than before."""
    with pytest.raises(Violation, match="law 5"):
        check(scene.world, scene.happened, altered="restless")


@pytest.mark.parametrize(
    ("hook", "does", "act"),
    [
        ("pre-commit", "exit 1", commit),
        ("post-commit", "echo one >&2; echo two >&2", commit),
        ("post-commit", "git reset --quiet --soft HEAD~1", commit),
        ("pre-push", "exit 1", push),
    ],
    ids=["a refusal", "a speech", "a commit undone", "a refused push"],
)
def test_harm_to_git_is_seen(scene: Scene, hook: str, does: str, act: Callable[..., object]) -> None:
    """A hook that stops git, talks, or undoes what git did breaks the fourth law."""
    path = scene.world.repositories[0] / ".git" / "hooks" / hook
    path.write_text(f"#!/bin/sh\n{does}\n")
    with pytest.raises(Violation, match="law 4"):
        act(scene.world, *(["one: harmed"] if act is commit else []))
