"""Whoever appends is stopped between opening the spool and writing to it, holding no lock, and goes on much later."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
import scenes
from altered import LATER, program
from injecting import faults_of
from laws import DEADLINE_S, Violation, check, commit
from scenes import BEYOND_GRACE_S, back_up, make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from scenes import Scene

_STOPPED = re.compile(r"^(\d+) +--- stopped by SIGSTOP ---", re.MULTILINE)
HOUR_S = 3600
HOOKS = {"shell": ("post-commit", {}), "Python": (scenes.PYTHON, scenes.ODD_TO_A_SHELL)}


class Stopped(NamedTuple):
    """A commit that is there while the one who appends its line is not done."""

    oid: str
    spool: Path


@contextmanager
def stopped(scene: Scene, hook: str, env: Mapping[str, str]) -> Iterator[Stopped]:
    """Make a commit, its hook stopped when it has the spool open; at the end of the block it goes on and ends well."""
    world = scene.world
    scene.restore()
    scene.trace(hook, None)
    commit(world, "one: like the next", env=env)
    opens = [fault for fault in faults_of(scene.tracer.log, scene.root) if fault.about.endswith("/agent-tracker/spool")]
    when = next(fault.when for fault in opens if fault.syscall == "openat")
    words = [*scene.tracer.base, "-f", "-e", "trace=openat", "-e", f"inject=openat:signal=STOP:when={when}"]
    scene.run_by(hook, words)
    argv = ["git", "commit", "--quiet", "--allow-empty", "-m", "one: stopped"]
    devnull = subprocess.DEVNULL
    git = subprocess.Popen(
        argv,
        cwd=world.repositories[0],
        env={**world.env, "AGENT_TRACKER_AGENT": "one", **env},
        stdin=devnull,
        stdout=devnull,
        stderr=devnull,
    )
    pid = _wait_until_stopped(scene, git)
    try:
        yield Stopped(world.git("rev-parse", "HEAD"), world.spools()[1] / "spool")
    finally:
        os.kill(pid, signal.SIGCONT)
        code = git.wait(timeout=DEADLINE_S)
        scene.rest()
    assert code == 0


def _wait_until_stopped(scene: Scene, git: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and git.poll() is None:
        found = _STOPPED.search(scene.tracer.log.read_text()) if scene.tracer.log.exists() else None
        if found:
            return int(found[1])
        time.sleep(0.01)
    git.kill()
    raise AssertionError("the hook was not stopped")


def flush_later(scene: Scene, after_s: float, alteration: str = "later") -> None:
    """Flush something new as if so much time had gone by, when two backups hold what was flushed before."""
    scene.rest()
    back_up(scene.world)
    commit(scene.world, "one: meanwhile")
    done = scene.world.run(*program(alteration), "flush", env={LATER: str(after_s)})
    assert done.code == 0, done


def segments_of(late: Stopped) -> set[str]:
    """Return the names of the segments in the repository's spool."""
    return {path.name for path in late.spool.parent.glob("seg-*")}


@pytest.mark.parametrize("how", HOOKS)
@pytest.mark.parametrize("after_s", [0, HOUR_S, 6 * 24 * HOUR_S], ids=["at once", "an hour later", "six days later"])
def test_a_late_line_is_not_lost(how: str, after_s: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Flushes seal and apply meanwhile; what is written then into what was sealed counts all the same, and once."""
    scene = make_scene(tmp_path_factory.getbasetemp() / "scene")
    hook, env = HOOKS[how]
    with stopped(scene, hook, env) as late:
        scene.world.tracker("flush")
        assert not late.spool.exists()
        sealed = segments_of(late)
        flush_later(scene, after_s)
        assert segments_of(late) >= sealed
        happened = scene.happened.seen(scene.world)
    check(scene.world, happened)


def test_a_commit_is_not_lost_by_whoever_is_stopped_beyond_the_grace(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Even where the segment it wrote to is gone, git has the commit: only who made it is not known."""
    scene = make_scene(tmp_path_factory.getbasetemp() / "scene")
    with stopped(scene, "post-commit", {}) as late:
        scene.world.tracker("flush")
        sealed = segments_of(late)
        happened = scene.happened
        for times in (1, 2):
            flush_later(scene, times * BEYOND_GRACE_S)
            happened = happened.seen(scene.world)
        assert not segments_of(late) & sealed
    check(scene.world, happened._replace(unsure=frozenset({late.oid})))


def test_no_grace_is_seen(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Control: a program that keeps no segment once two backups hold it loses what is written to it late."""
    scene = make_scene(tmp_path_factory.getbasetemp() / "scene")
    with stopped(scene, "post-commit", {}):
        scene.world.tracker("flush")
        flush_later(scene, HOUR_S, "later, without grace")
        happened = scene.happened.seen(scene.world)
    with pytest.raises(Violation, match="law 2"):
        check(scene.world, happened)
