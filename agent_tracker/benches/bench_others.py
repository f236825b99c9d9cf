"""What other hook managers add to the same commit, beside ours: whichever of them this machine has.

Owns finding them and setting each up with nothing to do. Never installs a program, and never prints.

Each has pre-commit and post-commit hooks that do nothing, as two empty hooks do, which are the baseline; git-lfs has
the hooks that it installs. All of them commit once in every round.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.benches.bench_hooks import WARM_UP, BenchRepository, Range, added, alternate, ratio
from agent_tracker.errors import AgentTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.benches.throwaway import Throwaway

    SetUp = Callable[[Throwaway, str, str], None]

__all__ = ["Other", "OthersCost", "find_program", "measure_others"]

EVENTS = ("pre-commit", "post-commit")
LEFTHOOK = "".join(f"{event}:\n  commands:\n    nothing:\n      run: ':'\n" for event in EVENTS)


class Other(NamedTuple):
    """One hook manager: its version, the hooks it has, what they add in ms, and that against two empty hooks.

    `trouble` says why there are no figures; it is `absent` where the program is not on this machine.
    """

    name: str
    version: str
    hooks: tuple[str, ...]
    add_ms: float
    ratio: float
    ratio_range: Range
    trouble: str


class OthersCost(NamedTuple):
    """What hooks add to `git commit` by a person, in ms: two empty ones, ours, each other manager's."""

    rounds: int
    no_hooks_ms: float
    empty_hooks_add_ms: float
    ours_add_ms: float
    ours_ratio: float
    ours_ratio_range: Range
    others: tuple[Other, ...]


def find_program(name: str, directory: str) -> str:
    """Return a program on the PATH, beside this interpreter, or in node_modules of a directory; empty where none is."""
    beside = [os.path.dirname(sys.executable), os.path.join(directory, "node_modules", ".bin")]
    found = shutil.which(name) or next((p for d in beside if (p := shutil.which(name, path=d))), "")
    return os.path.abspath(found) if found else ""


def measure_others(place: Throwaway, rounds: int, directory: str) -> OthersCost:
    """Measure `git commit` with each hook manager that is found, ours among them, in the same rounds.

    Args:
        place: Where.
        rounds: Commits of each kind.
        directory: Where node_modules may be.

    Raises:
        AgentTrackerError: A commit failed, or our hooks did not record it.
    """
    plain = BenchRepository(place, "others-none")
    empty = BenchRepository(place, "others-empty", empty_hooks=EVENTS)
    ours = BenchRepository(place, "others-ours", is_ours=True)
    kinds: dict[str, Callable[[], float]] = {"none": plain.commit, "empty": empty.commit, "ours": ours.commit}
    others = []
    for name, set_up in SET_UPS.items():
        repository = BenchRepository(place, f"others-{name}")
        other = _set_up(place, repository, name, set_up, directory)
        others.append(other)
        if not other.trouble:
            kinds[name] = repository.commit
    times = alternate(rounds, kinds)
    ours.expect_spooled(rounds + WARM_UP)
    ours_ratio = ratio(times, "ours")
    return OthersCost(
        rounds=rounds,
        no_hooks_ms=median(times["none"]),
        empty_hooks_add_ms=added(times, "empty", "none"),
        ours_add_ms=added(times, "ours", "none"),
        ours_ratio=ours_ratio[0],
        ours_ratio_range=ours_ratio[1],
        others=tuple(_with_times(other, times) for other in others),
    )


def _with_times(other: Other, times: dict[str, list[float]]) -> Other:
    if other.trouble:
        return other
    found, spread = ratio(times, other.name)
    return other._replace(add_ms=added(times, other.name, "none"), ratio=found, ratio_range=spread)


def _set_up(place: Throwaway, repository: BenchRepository, name: str, set_up: SetUp, directory: str) -> Other:
    """Set up one manager and commit once: what cannot be set up is named, and does not stop the rest."""
    nothing = Other(name, "", (), 0.0, 0.0, (0.0, 0.0), "absent")
    program = find_program(name, directory)
    if not program:
        return nothing
    try:
        modules, _, _ = program.rpartition(os.sep + ".bin" + os.sep)
        if modules:
            os.symlink(modules, os.path.join(repository.path, "node_modules"))
        set_up(place, repository.path, program)
        hooks = _hooks(place, repository.path)
        repository.commit()
    except (AgentTrackerError, OSError) as error:
        return nothing._replace(trouble=str(error))
    return nothing._replace(version=_version(place, program, modules, name), hooks=hooks, trouble="")


def _hooks(place: Throwaway, path: str) -> tuple[str, ...]:
    """Return which hooks a commit or a push runs there.

    Raises:
        AgentTrackerError: None, so that there would be nothing to measure.
    """
    used = place.must(["git", "rev-parse", "--git-path", "hooks"], cwd=path).output.strip()
    hooks = tuple(n for n in (*EVENTS, "pre-push") if os.access(os.path.join(path, used, n), os.X_OK))
    if not hooks:
        raise AgentTrackerError(f"no hooks were put into {path}")
    return hooks


def _version(place: Throwaway, program: str, modules: str, name: str) -> str:
    try:
        with open(os.path.join(modules, name, "package.json"), encoding="utf-8") as file:
            return str(json.load(file)["version"])
    except (OSError, ValueError, KeyError):
        said = place.run([program, "version" if name == "lefthook" else "--version"]).output
        found = re.search(r"\d+(\.\d+)+", said)
        return found[0] if found else ""


def _write(*names: str, text: str) -> None:
    path = os.path.join(*names)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _set_up_pre_commit(place: Throwaway, path: str, program: str) -> None:
    _write(path, ".pre-commit-config.yaml", text="repos: []\n")
    place.must(["git", "add", ".pre-commit-config.yaml"], cwd=path)
    place.must([program, "install", *(f"--hook-type={event}" for event in EVENTS)], cwd=path)


def _set_up_lefthook(place: Throwaway, path: str, program: str) -> None:
    _write(path, "lefthook.yml", text=LEFTHOOK)
    _put_on_path(place, path, program)
    place.must([program, "install"], cwd=path)


def _set_up_husky(place: Throwaway, path: str, program: str) -> None:
    place.must([program], cwd=path)
    for event in EVENTS:
        _write(path, ".husky", event, text="")


def _set_up_lfs(place: Throwaway, path: str, program: str) -> None:
    _put_on_path(place, path, program)
    place.must(["git", "lfs", "install", "--local"], cwd=path)


def _put_on_path(place: Throwaway, path: str, program: str) -> None:
    """Let the hooks find a program that is not on the PATH, unless they look for it in node_modules."""
    name = os.path.basename(program)
    if shutil.which(name) or os.path.lexists(os.path.join(path, "node_modules")):
        return
    os.makedirs(place.path("bin"), exist_ok=True)
    os.symlink(program, place.path("bin", name))


SET_UPS: dict[str, SetUp] = {
    "pre-commit": _set_up_pre_commit,
    "lefthook": _set_up_lefthook,
    "husky": _set_up_husky,
    "git-lfs": _set_up_lfs,
}
"""By the program's name: hooks in a repository, with nothing to do."""
