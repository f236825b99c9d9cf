"""What can be wrong with a repository's hooks: gone, old, moved away, not run, led astray, slow.

Owns those checks, one function each. Never changes anything, never runs a hook of somebody else's, and runs ours only
where every byte is what this version installs.

Source: githooks(5); git-config(1), core.hooksPath and --show-origin.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.benches.throwaway import EMPTY_HOOK, throwaway, write_program
from agent_tracker.checks.symptoms import INSTALL, Finding, in_repository, naming
from agent_tracker.configuring import settings_for_hooks
from agent_tracker.errors import AgentTrackerError, GitError
from agent_tracker.escaping import shown_path
from agent_tracker.files import read_bytes, read_text, replace_file
from agent_tracker.git import clean_environment, run
from agent_tracker.installation.config_hooks import LOCK, configured_events
from agent_tracker.installation.hook_files import is_covered, is_left_to_another, leftovers, place_of
from agent_tracker.installation.hook_scripts import COMMIT_MSG, EVENTS, KEPT_SUFFIX, SHARED, TextValues, is_ours, render
from agent_tracker.installation.install import missing_hooks
from agent_tracker.installation.neighbours import calls_ours, foreign_hooks_dir, lines_for, manager_of, owner_of
from agent_tracker.paths import RepositoryPaths
from agent_tracker.repository import worktrees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.benches.throwaway import Throwaway
    from agent_tracker.context import Context
    from agent_tracker.installation.hook_scripts import ScriptTexts
    from agent_tracker.repository import Repository

__all__ = [
    "hooks_displaced",
    "hooks_interpreter",
    "hooks_missing",
    "hooks_mode",
    "hooks_old",
    "hooks_owner",
    "hooks_path",
    "hooks_registry",
    "hooks_slow",
    "is_installed",
]

HOOKS = (*EVENTS, COMMIT_MSG)
SLOW_MS = 20.0
TIMED = ("pre-commit", "post-commit")
ROUNDS = 10
BUDGET_S = 0.6
TRY_S = 20
LOCKED_S = 60
_EITHER = ("pre-commit", COMMIT_MSG)
_LFS = b"git lfs "
_HEAD_BYTES = 16_384
_TRY = "import sys; sys.path += sys.argv[1].split(':'); import lmdb, agent_tracker.hook; lmdb.Environment"
_VALUE = re.compile(r"^AT_(PYTHON|PATH|REGISTRY)='((?:[^']|'\\'')+)'$", re.MULTILINE)


class _Setting(NamedTuple):
    """A value of git's configuration, its scope, and the file that sets it."""

    value: str
    scope: str
    origin: str


def is_installed(repository: Repository) -> bool:
    """Tell whether the hooks were installed here once and not taken out since."""
    return os.path.isfile(RepositoryPaths(repository.common_dir).project)


def _own_dir(repository: Repository) -> str:
    return os.path.join(repository.common_dir, "hooks")


def _dirs(repository: Repository) -> tuple[str, str, str]:
    """Return where our files may lie: as hooks, to be called by others, to be sourced from the configuration."""
    spool_dir = RepositoryPaths(repository.common_dir).spool_dir
    return _own_dir(repository), os.path.join(spool_dir, "hooks"), _library(repository)


def _library(repository: Repository) -> str:
    return os.path.join(RepositoryPaths(repository.common_dir).spool_dir, "lib")


def _scripts(repository: Repository) -> dict[str, str]:
    """Return our installed files, by path: their texts."""
    paths = [os.path.join(d, name) for d in _dirs(repository) for name in (*HOOKS, *SHARED)]
    return {path: _text(path) for path in paths if is_ours(path)}


def _text(path: str) -> str:
    return read_text(path, newline="")


def _values(repository: Repository) -> dict[str, str]:
    """Return what was baked in at installation: PYTHON, PATH, REGISTRY."""
    texts = [*_scripts(repository).values(), *configured_events(repository).values()]
    return {name: value.replace("'\\''", "'") for text in texts for name, value in _VALUE.findall(text)}


def _install(repository: Repository) -> str:
    return in_repository(repository, INSTALL)


def _mendable(message: str, repository: Repository) -> Finding:
    return Finding(message, _install(repository), is_fixable=True)


# -- where they are ----------------------------------------------------------------------------------------------------


def hooks_owner(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield the other hook manager that has the hooks and does not run ours."""
    missing = missing_hooks(repository)
    owner = owner_of(repository, missing)
    if is_installed(repository) and owner and owner.advice and owner.name != "core.hooksPath":
        place = shown_path(owner.place, context.paths.home)
        message = f"{owner.name} has the hooks ({place}) and does not run ours: {', '.join(missing)}"
        yield Finding(message, _what_to_add(repository, missing))


def _what_to_add(repository: Repository, events: tuple[str, ...]) -> str:
    lines = lines_for(repository, events)
    first = lines[0]
    if "\n" in first.line or {to_add.line for to_add in lines} != {first.line}:
        return f"{_install(repository)}   (prints what to add to {first.path})"
    names = ", ".join(os.path.basename(to_add.path) for to_add in lines)
    return f"add at the end of {names} in {os.path.dirname(first.path)}: {first.line}"


def hooks_path(repository: Repository, _context: Context) -> Iterator[Finding]:
    """Yield where `core.hooksPath` leads git away from our hooks, and the file that sets it."""
    setting = _hooks_path_setting(repository)
    if setting and not os.path.isabs(setting.value) and is_installed(repository):
        yield from _led_astray(repository, setting)
    used = foreign_hooks_dir(repository)
    if not used:
        return
    said = f"core.hooksPath is {setting.value} (set in {setting.origin})" if setting else f"git looks in {used}"
    missing = missing_hooks(repository)
    owner = owner_of(repository, missing)
    if not os.path.isdir(used):
        yield Finding(f"{said}, which is not there: git runs no hook from it", _to_unset(repository, setting))
    elif is_installed(repository) and owner and owner.name == "core.hooksPath" and missing:
        message = f"{said}, whose hooks do not call ours: {', '.join(missing)}"
        yield Finding(message, _what_to_add(repository, missing))


def _led_astray(repository: Repository, setting: _Setting) -> Iterator[Finding]:
    """Yield the other worktrees in which a relative path leads to no directory: git resolves it in each anew."""
    tops = [_work_tree(git_dir) for name, git_dir in worktrees(repository.common_dir) if name != "."]
    others = [top for top in tops if top and os.path.isdir(top) and not os.path.samefile(top, repository.work_tree)]
    lost = [top for top in others if not os.path.isdir(os.path.join(top, os.path.expanduser(setting.value)))]
    if lost and os.path.isdir(os.path.join(repository.work_tree, setting.value)):
        message = (
            f"core.hooksPath is {setting.value} (set in {setting.origin}), which is not there in {', '.join(lost)}"
        )
        yield Finding(message, f"make it there, or: {_to_unset(repository, setting)}")


def _work_tree(git_dir: str) -> str:
    return os.path.dirname(_text(os.path.join(git_dir, "gitdir")).rstrip("\n"))


def _to_unset(repository: Repository, setting: _Setting | None) -> str:
    """Return what leads git back to hooks that are there."""
    if setting is None:
        return f"{naming('rm', _own_dir(repository))} && {_install(repository)}"
    if os.path.basename(os.path.normpath(setting.value)) == "_":
        return in_repository(repository, "npx husky")
    if setting.scope == "command":
        return "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS"
    try:
        argv = ["config", f"--{setting.scope}", "--no-includes", "--get-all", "core.hooksPath"]
        run([f"--git-dir={repository.git_dir}", *argv], cwd=repository.work_tree)
    except GitError:
        return naming("git", "config", "--file", setting.origin, "--unset-all", "core.hooksPath")
    return in_repository(repository, f"git config --{setting.scope} --unset-all core.hooksPath")


def _hooks_path_setting(repository: Repository) -> _Setting | None:
    argv = ["config", "--null", "--show-scope", "--show-origin", "--get", "core.hooksPath"]
    try:
        out = run([f"--git-dir={repository.git_dir}", *argv], cwd=repository.work_tree)
    except GitError:
        return None
    scope, origin, value = os.fsdecode(out).rstrip("\0").split("\0")
    path = os.path.join(repository.work_tree, origin.removeprefix("file:"))
    return _Setting(value, scope, os.path.normpath(path))


def hooks_missing(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield the events for which git runs nothing of ours, and files gone that ours or others' hooks need."""
    if not is_installed(repository):
        yield Finding(f"no hooks are installed in {repository.main_path}", _install(repository))
        return
    own, called, _ = _dirs(repository)
    if os.path.lexists(own) and not os.path.isdir(own) and not os.path.islink(own):
        aside = f"{naming('mv', own, f'{own}.aside')} && {_install(repository)}"
        yield Finding(f"not a directory, so that git runs no hook: {own}", aside)
        return
    scripts = _scripts(repository)
    foreign = foreign_hooks_dir(repository)
    missing = [] if foreign else _lacking(repository)
    is_called = os.path.isdir(foreign) if foreign else any(calls_ours(repository, event, "") for event in EVENTS)
    if is_called and not configured_events(repository) and not _events_in(called, scripts):
        missing.append(os.path.join("agent-tracker", "hooks"))
    missing += _lacking_in_library(repository, context, scripts)
    for directory in (own, called):
        is_used = _events_in(directory, scripts)
        missing += [name for name in SHARED if is_used and os.path.join(directory, name) not in scripts]
    if missing:
        where = shown_path(repository.common_dir, context.paths.home)
        yield _mendable(f"missing in {where}: {', '.join(dict.fromkeys(missing))}", repository)


def _lacking(repository: Repository) -> list[str]:
    """Return the events that lack our hook where it could be: nobody moved it away or would overwrite it."""
    moved = {event for event, _ in _displaced(repository)}
    own = _own_dir(repository)
    wanted = set(missing_hooks(repository))
    if _events_in(own, _scripts(repository)):  # an older git, which does not read the configuration, needs them all
        wanted |= {event for event in configured_events(repository) if not is_covered(own, event)}
    lacking = [event for event in HOOKS if event in wanted and event not in moved]
    paths = {event: os.path.join(own, event) for event in lacking}
    return [e for e, path in paths.items() if not _is_regenerated(path) and not is_left_to_another(path)]


def _lacking_in_library(repository: Repository, context: Context, scripts: dict[str, str]) -> list[str]:
    """Return the files that the hooks in git's configuration source and that are gone."""
    if not configured_events(repository):
        return []
    library = _library(repository)
    configured = _ways(repository, context)[1]
    return [name for name in configured.library if os.path.join(library, name) not in scripts]


def _events_in(directory: str, scripts: dict[str, str]) -> bool:
    return any(os.path.join(directory, event) in scripts for event in HOOKS)


def _is_regenerated(path: str) -> bool:
    manager = manager_of(path)
    return manager is not None and not manager.runs_legacy


def hooks_displaced(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield hooks of ours that something moved away, and hooks that ours kept and that nothing runs any more."""
    home = context.paths.home
    for event, path in _displaced(repository) if is_installed(repository) else ():
        yield _mendable(f"our {event} hook was moved away and is not run: {shown_path(path, home)}", repository)
    own = _own_dir(repository)
    for event in HOOKS:
        path = os.path.join(own, event)
        kept = path + KEPT_SUFFIX
        if os.path.lexists(kept) and not is_covered(own, event):
            message = f"your own {event} hook is kept and not run: {shown_path(kept, home)}"
            yield _to_run_again(repository, path, message)
        for hook in (path, kept) if is_installed(repository) else ():
            if _LFS in read_bytes(hook, _HEAD_BYTES) and os.access(hook, os.X_OK) and not _has_git_lfs(repository):
                message = f"git-lfs is not on the PATH, and the {event} hook calls it: {shown_path(hook, home)}"
                yield Finding(message, f"install git-lfs; or, where no file is in LFS: {naming('rm', hook)}")


def _to_run_again(repository: Repository, path: str, message: str) -> Finding:
    kept = path + KEPT_SUFFIX
    if not place_of(path):
        return Finding(message, f"have the program that wrote {path} do what it does, then: {naming('rm', kept)}")
    if is_left_to_another(path):
        return Finding(message, f"merge it into {path}, then: {naming('rm', kept)} && {_install(repository)}")
    return _mendable(message, repository)


def _has_git_lfs(repository: Repository) -> bool:
    if shutil.which("git-lfs"):
        return True
    directory = os.fsdecode(run(["--exec-path"], cwd=repository.common_dir)).rstrip("\n")
    return os.access(os.path.join(directory, "git-lfs"), os.X_OK)


def _displaced(repository: Repository) -> list[tuple[str, str]]:
    """Return (event, path) of each hook of ours under a name by which nothing runs it."""
    if foreign_hooks_dir(repository):
        return []
    own = _own_dir(repository)
    missing = set(missing_hooks(repository))
    found = []
    for directory in (own, os.path.join(own, "old-hooks")):
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        events = [(name.partition(".")[0], os.path.join(directory, name)) for name in names]
        found += [(event, path) for event, path in events if event in missing and is_ours(path)]
    return [(event, path) for event, path in found if not _is_regenerated(os.path.join(own, event))]


# -- what they are -----------------------------------------------------------------------------------------------------


def hooks_old(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield our texts that are not what this version would install with the same paths baked in."""
    old = _old(repository, context)
    if old:
        where = shown_path(repository.common_dir, context.paths.home)
        yield _mendable(f"of another version, or changed, in {where}: {', '.join(old)}", repository)
    if is_installed(repository) and (event := _asked_elsewhere(repository, context)):
        message = f"validateIn is {event}, but the hooks still ask in the other event"
        yield _mendable(message, repository)
    for path in leftovers(_own_dir(repository)):
        yield _mendable(f"left behind by a process that was killed: {path}", repository)
    lock = os.path.join(repository.common_dir, LOCK)
    if os.path.lexists(lock) and time.time() - os.lstat(lock).st_mtime > LOCKED_S:
        yield Finding(f"git cannot change the configuration while there is {lock}", naming("rm", lock))


def _asked_elsewhere(repository: Repository, context: Context) -> str:
    """Return the event that `validateIn` names, if our hooks are for the other one."""
    wanted = settings_for_hooks(repository, context)[0]
    has = {event for event in _EITHER if _is_ours_for(repository, event)}
    return wanted if has and wanted not in has else ""


def _is_ours_for(repository: Repository, event: str) -> bool:
    called = os.path.join(_dirs(repository)[1], event)
    in_files = called if foreign_hooks_dir(repository) else place_of(os.path.join(_own_dir(repository), event))
    return event in configured_events(repository) or bool(in_files and is_ours(in_files))


def _old(repository: Repository, context: Context) -> list[str]:
    """Return the names of our files and configured events whose text is none that this version writes."""
    library = _library(repository)
    ways = _ways(repository, context)
    scripts = _scripts(repository).items()
    old = [path for path, text in scripts if all(text not in _texts_of(way, path, library) for way in ways)]
    bodies = configured_events(repository).items()
    old_bodies = [event for event, body in bodies if all(way.bodies.get(event) != body for way in ways)]
    return [*dict.fromkeys([*map(os.path.basename, old), *old_bodies])]


def _ways(repository: Repository, context: Context) -> list[ScriptTexts]:
    """Return the texts for each way of installing, with the values that were baked in here."""
    known = _values(repository)
    sys_path = known.get("PATH", os.sep).split(":")
    values = TextValues(known.get("PYTHON", os.sep), sys_path, known.get("REGISTRY", context.paths.registry))
    library = _library(repository)
    cloned = values._replace(repositories=context.paths.repositories)
    return [
        render(values),
        render(values, library_dir=library),
        render(values, library_dir=library, is_beside_files=True),
        render(cloned),
    ]


def _texts_of(way: ScriptTexts, path: str, library: str) -> tuple[str, ...]:
    directory, name = os.path.split(path)
    texts = way.library if directory == library else way.files
    return (texts[name],) if name in texts else ()


def hooks_mode(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield hooks of ours that git passes over because they lack the executable bit."""
    library = _library(repository)
    scripts = [path for path in _scripts(repository) if os.path.dirname(path) != library]
    hooks = [path for path in scripts if os.path.basename(path) in HOOKS]
    if wrong := [path for path in hooks if not os.access(path, os.X_OK)]:
        where = shown_path(os.path.dirname(wrong[0]), context.paths.home)
        names = ", ".join(os.path.basename(path) for path in wrong)
        yield _mendable(f"not executable, so git does not run them, in {where}: {names}", repository)
    if others := [path for path in _calling(repository) if not os.access(path, os.X_OK)]:
        names = ", ".join(os.path.basename(path) for path in others)
        message = f"not executable, so neither it nor ours is run, in {os.path.dirname(others[0])}: {names}"
        yield Finding(message, naming("chmod", "+x", *others))


def _calling(repository: Repository) -> list[str]:
    """Return the hooks of others by way of which ours are run."""
    foreign = foreign_hooks_dir(repository)
    own = _own_dir(repository)
    called = [os.path.join(foreign or own, event) for event in HOOKS if calls_ours(repository, event, foreign)]
    wrapped = [os.path.join(own, event) for event in HOOKS if not foreign and is_covered(own, event)]
    return [path for path in (*called, *wrapped) if os.path.isfile(path) and not is_ours(path)]


def hooks_interpreter(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield what the hooks would start and is gone: the interpreter, this package, lmdb."""
    values = _values(repository)
    python, directories = values.get("PYTHON", ""), values.get("PATH", "").split(":")
    if not python:
        return
    home = context.paths.home
    if not (os.path.isfile(python) and os.access(python, os.X_OK)):
        yield _mendable(f"the interpreter in the hooks is gone: {shown_path(python, home)}", repository)
        return
    looked_in = ", ".join(shown_path(directory, home) for directory in directories)
    if not any(os.path.isfile(os.path.join(d, "agent_tracker", "hook.py")) for d in directories):
        yield _mendable(f"agent-tracker is gone from where the hooks look: {looked_in}", repository)
    elif not any(os.path.isdir(os.path.join(d, "lmdb")) for d in directories):
        yield _mendable(f"lmdb is gone from where the hooks look: {looked_in}", repository)
    elif all(_is_trusted(path, repository) for path in (python, *directories)) and not _starts(python, directories):
        message = f"the interpreter in the hooks does not start with lmdb and agent-tracker: {shown_path(python, home)}"
        yield _mendable(message, repository)


def _is_trusted(path: str, repository: Repository) -> bool:
    """Tell what may be started: it belongs to this user or to root, and does not lie in the repository."""
    if not hasattr(os, "geteuid") or not os.path.exists(path):
        return not os.path.exists(path) or path == sys.executable or path in sys.path
    real = os.path.realpath(path)
    tops = [os.path.realpath(top) for top in (repository.work_tree, repository.common_dir)]
    is_inside = any(os.path.commonpath([real, top]) == top for top in tops)
    return path == sys.executable or (os.stat(real).st_uid in {0, os.geteuid()} and not is_inside)


def _starts(python: str, directories: list[str]) -> bool:
    argv = [python, "-ISc", _TRY, ":".join(directories)]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            argv, capture_output=True, timeout=TRY_S, check=False, cwd=os.sep, env=clean_environment()
        )
        return done.returncode == 0
    return False


def hooks_registry(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield where the hooks look for the agents in another state directory than this user's."""
    looked_in = _values(repository).get("REGISTRY", "")
    if looked_in and os.path.realpath(looked_in) != os.path.realpath(context.paths.registry):
        shown = [shown_path(path, context.paths.home) for path in (looked_in, context.paths.registry)]
        yield _mendable(f"the hooks look for agents in {shown[0]}, but they are in {shown[1]}", repository)


# -- what they cost ----------------------------------------------------------------------------------------------------


def hooks_slow(repository: Repository, context: Context, *, limit_ms: float = SLOW_MS) -> Iterator[Finding]:
    """Yield where our hooks as they lie there take longer than the limit, a person committing.

    They work on a throwaway git directory, by way of links, so that they record nothing here and run no hook that they
    keep. What is not ours to the byte is not started.
    """
    directory = next((d for d in _dirs(repository)[:2] if _are_runnable(d)), "")
    if not directory or _old(repository, context):
        return
    with throwaway("at-doctor-") as place:
        empty_ms, ours_ms = _time(place, directory)
    if ours_ms - empty_ms > limit_ms:
        message = f"our pre-commit and post-commit take {ours_ms:.0f} ms together, two empty hooks {empty_ms:.0f} ms"
        yield Finding(message, "agent-tracker bench   (measures each step on this machine)")


def _are_runnable(directory: str) -> bool:
    paths = [os.path.join(directory, name) for name in TIMED]
    return all(is_ours(path) and os.access(path, os.X_OK) for path in paths)


def _time(place: Throwaway, hooks_dir: str) -> tuple[float, float]:
    """Return the fastest of some rounds of two empty hooks and of ours, in ms."""
    place.must(["git", "init", "--quiet", "--template=", place.path("repo")])
    for name in ("ours", "empty", os.path.join("repo", ".git", "agent-tracker")):
        os.mkdir(place.path(name))
    # A commit that is not there: the hooks ask for its oid alone.
    for name, text in (("HEAD", "1" * 40), (os.path.join("agent-tracker", "project"), "0" * 36)):
        replace_file(place.path("repo", ".git", name), f"{text}\n")
    for name in (*TIMED, *SHARED):
        os.symlink(os.path.join(hooks_dir, name), place.path("ours", name))
    for name in TIMED:
        write_program(place.path("empty", name), EMPTY_HOOK)
    times: dict[str, list[float]] = {"empty": [], "ours": []}
    deadline = time.monotonic() + BUDGET_S
    for _ in range(ROUNDS):
        for name, taken in times.items():
            taken.append(sum(_run(place, place.path(name, hook)) for hook in TIMED))
        if time.monotonic() > deadline:
            break
    return min(times["empty"]) * 1000, min(times["ours"]) * 1000


def _run(place: Throwaway, hook: str) -> float:
    done = place.run([hook], cwd=place.path("repo"), env={"GIT_DIR": ".git"})
    if done.code:
        said = done.output.strip().splitlines()
        name = os.path.basename(hook)
        raise AgentTrackerError(f"our {name} hook fails when tried: {said[-1] if said else done.code}", INSTALL)
    return done.took_s
