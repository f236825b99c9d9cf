"""A world in which something is about to happen, made once and put back before every fault, and what happens in it."""

from __future__ import annotations

import shlex
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from altered import LATER, program
from injecting import Tracer, copied, evenly, faults_of, needs_strace
from laws import Happened, Violation, World, check, commit, push, waiting, whole_lines

from agent_tracker.durability import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest
    from injecting import Fault

__all__ = [
    "BEYOND_GRACE_S",
    "ODD_TO_A_SHELL",
    "PARTS",
    "PYTHON",
    "STORED_TEXT",
    "Act",
    "Outcome",
    "Scene",
    "append_line",
    "back_up",
    "make_scene",
    "strike",
    "struck_tests",
]

PARTS = 12
"""In how many tests the faults of an act are put where all of them are tried."""
HOOKS = ("pre-commit", "post-commit", "post-rewrite")
STORED_TEXT = "is read by nobody who flushes"
"""Stands in a record of the store."""
BEYOND_GRACE_S = 9 * 24 * 3600
"""After so long no segment is kept for whoever may still write to it."""
PYTHON = "python"
"""Stands for the Python that any hook starts."""
ODD_TO_A_SHELL = {"CODEX_THREAD_ID": "\u00e9"}
"""A value that is not for a shell to write down."""


class Scene(NamedTuple):
    """A world as it was saved, where strace leaves its log, and what happened so far.

    Each hook is run by a shell of its own name, and its Python by another, in whose place strace can be put.
    """

    world: World
    saved: Path
    tracer: Tracer
    happened: Happened

    @property
    def root(self) -> Path:
        """The directory that is put back."""
        return self.world.home.parent

    def restore(self, *, is_stored: bool = True) -> None:
        """Put everything back as it was, with or without a store."""
        copied(self.saved, self.root)
        if not is_stored:
            for path in self.world.database.parent.glob(f"{self.world.database.name}*"):
                path.unlink()
        else:
            # A copy is another file to whoever knows it by its inode, and would be read whole each time.
            database = str(self.world.database)
            fingerprint.remember(database, fingerprint.counts(database))

    def trace(self, hook: str, fault: Fault | None) -> None:
        """Trace whatever runs a hook from now on, with a fault or without."""
        self.run_by(hook, self.tracer.argv(fault))

    def run_by(self, hook: str, words: list[str]) -> None:
        """Put words before whatever runs a hook from now on."""
        _interpreter(self.root.parent, hook, shlex.join(words))

    def rest(self) -> None:
        """Trace no hook from now on."""
        for hook in (*HOOKS, PYTHON):
            _interpreter(self.root.parent, hook, "")


def _interpreter(directory: Path, hook: str, words: str) -> Path:
    """Write what runs a hook, or the Python that it starts."""
    path = directory / f"run-{hook}"
    program = sys.executable if hook == PYTHON else "/bin/sh"
    path.write_text(f'#!/bin/sh\nexec {words} {program} "$@"\n')
    path.chmod(0o755)
    return path


@cache
def make_scene(directory: Path) -> Scene:
    """Make a world in which a commit, an amend, a grade and a new agent wait to be flushed; once for a directory."""
    needs_strace()
    directory.mkdir()
    root = directory / "world"
    root.mkdir()
    world = World.make(root)
    world.tracker("register", "one", "--model", "m", "--scope", "all")
    for number in range(2):
        commit(world, f"one: work {number}")
    commit(world, "human: work of a person")
    world.tracker("activity", "add", "--agent", "one", "--task", STORED_TEXT)
    push(world)
    world.tracker("flush")
    back_up(world)
    saved = directory / "saved"
    copied(root, saved)
    before = whole_lines(world)
    world.tracker("grade", "HEAD~1", "good", "--note", "short and clear")
    world.tracker("register", "two", "--model", "m", "--scope", "all")
    noted = sorted(whole_lines(world) - before)
    copied(saved, root)
    commit(world, "one: waits to be flushed")
    commit(world, "one: waits to be amended")
    commit(world, "one: was amended", "--amend")
    for line in noted:
        append_line(world.spools()[0 if line.split(b"\t")[1] == b"agent" else 1], line)
    assert {kind: len(ids) for kind, ids in waiting(world).items()}.items() >= {"grade": 1, "agent": 2}.items()
    _lead_hooks_elsewhere(world, directory)
    copied(root, saved)
    return Scene(world, saved, Tracer(directory / "log"), Happened().seen(world))


def back_up(world: World) -> None:
    """Make the two backups without which no segment ever goes."""
    for _ in range(2):
        world.tracker("backup")


def append_line(directory: Path, line: bytes) -> None:
    """Append a line to a spool as everybody does, without any of our own code."""
    with (directory / "spool").open("ab", buffering=0) as spool:
        spool.write(b"\n" + line + b"\n")


def _lead_hooks_elsewhere(world: World, directory: Path) -> None:
    """Have each hook run by a shell of its own, and their Python started by another name."""
    hooks = world.repositories[0] / ".git" / "hooks"
    for hook in HOOKS:
        path = hooks / hook
        path.write_text(f"#!{_interpreter(directory, hook, '')}\n{path.read_text().partition(chr(10))[2]}")
    python = _interpreter(directory, PYTHON, "")
    for path in hooks.glob("*"):
        head, mark, rest = path.read_text().partition("\nAT_PYTHON=")
        if mark:
            path.write_text(f"{head}{mark}{shlex.quote(str(python))}\n{rest.partition(chr(10))[2]}")


# -- what happens


class Act(NamedTuple):
    """What is done while a fault strikes, in the process itself or in a `hook` that it runs.

    `kinds`: what may strike there, and how many faults of each a sample has.
    `always`: a kind of call and a part of the path it is on: it is among the calls, and no sample leaves it out.
    """

    name: str
    run: Callable[[Scene, Fault | None], Happened]
    kinds: dict[str, int]
    hook: str = ""
    is_stored: bool = True
    always: tuple[str, str] = ("", "")


class Outcome(NamedTuple):
    """How many faults were to strike and did, and the laws that they broke."""

    tried: int
    struck: int
    violations: list[str]


def flush(scene: Scene, fault: Fault | None) -> Happened:
    """Flush."""
    world = scene.world
    world.run(*scene.tracer.argv(fault), *world.program, "flush")
    return scene.happened


def flush_later(scene: Scene, fault: Fault | None) -> Happened:
    """Flush when the segments that were applied before, and that two backups hold, are due to go."""
    world = scene.world
    argv = (*scene.tracer.argv(fault), *program("later"), "flush")
    world.run(*argv, env={LATER: str(BEYOND_GRACE_S)})
    return scene.happened


def grade(scene: Scene, fault: Fault | None) -> Happened:
    """Grade a commit; if that is said to be done, a line says so."""
    world = scene.world
    done = world.run(*scene.tracer.argv(fault), *world.program, "grade", "HEAD~2", "excellence")
    happened = scene.happened.seen(world)
    new = {line for line in happened.lines - scene.happened.lines if line.split(b"\t")[1] == b"grade"}
    if not done.code and len(new) != 1:
        raise Violation(f"law 2: a grade was said to be given, and {len(new)} lines say so: {done.out}")
    return happened


def commit_twice(scene: Scene, fault: Fault | None) -> Happened:
    """Make a commit, and another one in which nothing goes wrong."""
    return _commit_twice(scene, fault, {})


def commit_oddly(scene: Scene, fault: Fault | None) -> Happened:
    """Make a commit that the shell does not record itself, and another one in which nothing goes wrong."""
    return _commit_twice(scene, fault, ODD_TO_A_SHELL)


def _commit_twice(scene: Scene, fault: Fault | None, env: dict[str, str]) -> Happened:
    oid = commit(scene.world, "one: with a fault", env=env)
    scene.rest()
    commit(scene.world, "one: after the fault")
    return scene.happened.seen(scene.world, unsure={oid} if fault else ())


def amend(scene: Scene, fault: Fault | None) -> Happened:
    """Amend a commit."""
    del fault
    commit(scene.world, "one: amended with a fault", "--amend")
    return scene.happened.seen(scene.world)


def push_all(scene: Scene, fault: Fault | None) -> Happened:
    """Push, which flushes first."""
    del fault
    push(scene.world)
    return scene.happened.seen(scene.world)


def strike(scene: Scene, act: Act, what: str, part: int | None) -> Outcome:
    """Let each fault of a kind strike in a world put back anew, and check the laws after each.

    Args:
        scene: Where.
        act: What is done meanwhile.
        what: The kind.
        part: Which of PARTS to try; None tries an even sample.
    """
    _run(scene, act, None)
    found = [fault for fault in faults_of(scene.tracer.log, scene.root) if fault.what == what]
    # A script that no shell can read is git's affair, and not of the script's making.
    faults = [fault for fault in found if what == "KILL" or not fault.about.endswith(f"/hooks/{act.hook}")]
    assert faults, f"{act.name} makes no call in which {what} may strike"
    struck = 0
    violations: list[str] = []
    chosen = _sample(act, faults, act.kinds[what]) if part is None else faults[part::PARTS]
    for fault in chosen:
        try:
            happened = _run(scene, act, fault)
            struck += scene.tracer.has_hit(fault)
            check(scene.world, happened)
        except Violation as violation:
            violations.append(f"{act.name}: {fault}: {violation}")
    return Outcome(len(chosen), struck, violations)


def _sample(act: Act, faults: list[Fault], how_many: int) -> list[Fault]:
    """Return a fixed sample, and what must always be in it."""
    syscall, name = act.always
    always = [fault for fault in faults if fault.syscall == syscall and name in fault.about]
    assert always or not syscall, f"{act.name} makes no {syscall} on {name}"
    return list(dict.fromkeys([*always[:1], *always[-1:], *evenly(faults, how_many)]))


def struck_tests(acts: Mapping[str, Act], metafunc: pytest.Metafunc) -> None:
    """Make a test for each act and kind of fault, or several where all faults are to strike."""
    parts = list(range(PARTS)) if metafunc.config.getoption("--faults") == "all" else [None]
    tests = [(name, what, part) for name, act in acts.items() for what in act.kinds for part in parts]
    metafunc.parametrize(("act", "what", "part"), tests)


def _run(scene: Scene, act: Act, fault: Fault | None) -> Happened:
    scene.tracer.log.unlink(missing_ok=True)
    scene.rest()
    scene.restore(is_stored=act.is_stored)
    if act.hook:
        scene.trace(act.hook, fault)
    try:
        return act.run(scene, fault)
    finally:
        scene.rest()
