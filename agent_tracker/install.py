"""Hooks in, hooks out: a repository's hook scripts, what was there before them, and our directory beside them.

Owns the files in the repository's own hooks directory and the first contents of `agent-tracker/` in its common
directory. Never writes where another tool or `core.hooksPath` put the hooks, never overwrites what it did not write,
and never prints.

Source: githooks(5); git-config(1), core.hooksPath.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import textwrap
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from agent_tracker.errors import AgentTrackerError
from agent_tracker.escaping import escape
from agent_tracker.files import read_text, replace_file
from agent_tracker.git import run
from agent_tracker.paths import RepositoryPaths
from agent_tracker.reflog import position_of
from agent_tracker.repository import find_repository, worktrees
from agent_tracker.spool import PREFIX, SPOOL, ensure_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_tracker.repository import Repository

__all__ = [
    "EVENTS",
    "HookChange",
    "InstallReport",
    "LineToAdd",
    "UninstallReport",
    "hook_files_dir",
    "hook_texts",
    "install_hooks",
    "missing_hooks",
    "uninstall_hooks",
]

EVENTS = ("pre-commit", "post-commit", "pre-push", "post-rewrite")
CORE = "agent-tracker.sh"
SHARED = ("agent-tracker-common.sh", "agent-tracker-rare.sh", CORE)
"""What the hooks source where they need it. Written with the core last: a commit made meanwhile may meet a hook of the
version before, which knows no other file and gives the core another task."""

KEPT_SUFFIX = ".agent-tracker-kept"
_ID = b"# agent-tracker-hook "
_ID_WITHIN_BYTES = 200
_GUARD = '[ -d "${0%/*}/parts" ] || exit 0\n'
_PART = re.compile(r'^(\t*)\. "\$\{0%/\*\}/(parts/[a-z]+\.sh)"\n', re.MULTILINE)


class HookChange(NamedTuple):
    """What became of one event's hook.

    `change` is installed, upgraded or unchanged on the way in; removed, restored, absent or left (somebody else's) on
    the way out. `kept` is where a foreign hook lies that ours runs, empty where there is none.
    """

    event: str
    path: str
    change: str
    kept: str


class LineToAdd(NamedTuple):
    """A line of shell that a person must add to a hook of theirs. It belongs at the file's end."""

    path: str
    line: str


class InstallReport(NamedTuple):
    """What was put where.

    `hooks_dir` is where our scripts lie. Where git looks for hooks in another place, `foreign_hooks_dir` names it and
    `lines_to_add` says what its hooks lack; both are empty otherwise.
    """

    hooks_dir: str
    changes: tuple[HookChange, ...]
    project: str
    foreign_hooks_dir: str
    lines_to_add: tuple[LineToAdd, ...]


class UninstallReport(NamedTuple):
    """What was taken out. `unflushed` are the files because of which our directory stays; empty where it is gone."""

    changes: tuple[HookChange, ...]
    unflushed: tuple[str, ...]


def hook_files_dir() -> str:
    """Return the directory of the hook scripts: in the installed package, or beside it in a source checkout.

    Raises:
        AgentTrackerError: This installation has none.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    for directory in (os.path.join(package, "hooks"), os.path.join(os.path.dirname(package), "hooks")):
        if os.path.isfile(os.path.join(directory, CORE)):
            return directory
    raise AgentTrackerError(f"this installation lacks its hook scripts: {package}/hooks", "install agent-tracker anew")


def install_hooks(
    repository: str | os.PathLike[str], *, python: str, sys_path: Sequence[str], registry: str | os.PathLike[str]
) -> InstallReport:
    """Put the hooks into a repository, or bring them up to date; a second time changes nothing.

    A foreign hook is renamed to `<event>.agent-tracker-kept` and run by ours. Where git looks for hooks outside the
    repository's own hooks directory, nothing is written there: the scripts lie in our own directory, and the reflog
    tells of the commits until somebody adds the lines.

    Args:
        repository: A path in the repository.
        python: The interpreter for what the shell cannot know: an absolute path.
        sys_path: The directories that hold agent_tracker and lmdb.
        registry: The directory of the agents' markers.

    Raises:
        GitError: It is no repository, or a bare one.
        SpoolError: Our directory in it is a symbolic link, or somebody else's.
        AgentTrackerError: Something foreign is in the way, or a file cannot be written.
    """
    found = find_repository(os.fspath(repository), {})
    texts = hook_texts(python, sys_path, os.fspath(registry))
    try:
        return _install(found, texts)
    except OSError as error:
        raise _failure("install hooks in", found, error) from error


def _failure(verb: str, repository: Repository, error: OSError) -> AgentTrackerError:
    where = error.filename or repository.common_dir
    return AgentTrackerError(f"cannot {verb} {repository.common_dir}: {error.strerror}: {where}", f"ls -ld '{where}'")


def hook_texts(python: str, sys_path: Sequence[str], registry: str) -> dict[str, str]:
    """Return the files to be installed by their names: each hook in one piece, because opening a file costs a commit.

    Raises:
        AgentTrackerError: No hook can use one of the paths, or this installation lacks a script.
    """
    for path in (python, registry, *sys_path):
        if not os.path.isabs(path):
            raise AgentTrackerError(f"not an absolute path, so no hook can use it: {path!r}")
    for path in sys_path:
        if ":" in path:
            raise AgentTrackerError(f"a hook cannot import from a directory with a colon in its name: {path!r}")
    values = {"PYTHON": python, "PATH": ":".join(sys_path), "REGISTRY": registry}
    directory = hook_files_dir()
    try:
        return {name: _filled_in(_in_one_piece(directory, name), values) for name in (*EVENTS, *SHARED)}
    except OSError as error:
        raise AgentTrackerError(
            f"this installation lacks its hook scripts: {error.filename}", "install agent-tracker anew"
        ) from error


def _in_one_piece(directory: str, name: str) -> str:
    """Return a script with each part that it sources in the place where it does so, without the part's first line."""

    def part(match: re.Match[str]) -> str:
        _, _, text = _in_one_piece(directory, match[2]).partition("\n")
        return textwrap.indent(text, match[1])

    return _PART.sub(part, _read(os.path.join(directory, name)).replace(_GUARD, "", 1))


def _filled_in(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"\nAT_{name}=''\n", f"\nAT_{name}={_quoted(value)}\n", 1)
    return text


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def _install(repository: Repository, texts: dict[str, str]) -> InstallReport:
    paths = RepositoryPaths(repository.common_dir)
    foreign = _foreign_hooks_dir(repository)
    hooks_dir = os.path.join(paths.spool_dir, "hooks") if foreign else os.path.join(repository.common_dir, "hooks")
    _check_room(hooks_dir)
    ensure_directory(paths.spool_dir)
    project = _ensure_project(paths.project)
    _ensure_baseline(repository.common_dir, paths.baseline)
    os.makedirs(hooks_dir, exist_ok=True)
    for name in SHARED[:-1]:
        _put(os.path.join(hooks_dir, name), texts[name], 0o644)
    changes = tuple(_put_hook(hooks_dir, event, texts[event]) for event in EVENTS)
    _put(os.path.join(hooks_dir, CORE), texts[CORE], 0o644)
    lines = tuple(_line_to_add(foreign, event) for event in _missing_lines(foreign)) if foreign else ()
    return InstallReport(hooks_dir, changes, project, foreign, lines)


def _foreign_hooks_dir(repository: Repository) -> str:
    """Return where git looks for hooks, empty where that is the repository's own hooks directory."""
    out = run([f"--git-dir={repository.git_dir}", "rev-parse", "--git-path", "hooks"], cwd=repository.work_tree)
    used = os.path.join(repository.work_tree, os.fsdecode(out).removesuffix("\n"))
    own = os.path.join(os.path.realpath(repository.common_dir), "hooks")
    return "" if os.path.realpath(used) == own else os.path.normpath(used)


def _check_room(hooks_dir: str) -> None:
    """Refuse before anything is changed, not in the middle."""
    for name in SHARED:
        path = os.path.join(hooks_dir, name)
        if os.path.lexists(path) and not _is_ours(path):
            raise AgentTrackerError(
                f"a file that is not ours is in the way: {path}", "move it away, then install-hooks"
            )
    for event in EVENTS:
        path = os.path.join(hooks_dir, event)
        if not os.path.lexists(path) or _is_ours(path):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            raise AgentTrackerError(f"a directory is in the way: {path}", "move it away, then install-hooks")
        if os.path.lexists(path + KEPT_SUFFIX):
            raise AgentTrackerError(
                f"cannot keep {path}: another hook is kept already, {path}{KEPT_SUFFIX}",
                "merge the two or move one away, then install-hooks",
            )


def _is_ours(path: str) -> bool:
    """Tell our scripts of any version by the id in their first lines. A symbolic link is never ours."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(_ID_WITHIN_BYTES)
    except OSError:
        return False
    return any(line.startswith(_ID) for line in head.split(b"\n")[:2])


def _ensure_project(path: str) -> str:
    known = read_text(path).split()
    if known:
        return known[0]
    project = str(uuid4())
    replace_file(path, f"{project}\n")
    return project


def _ensure_baseline(common_dir: str, path: str) -> None:
    if os.path.lexists(path):
        return
    positions = ((name, position_of(git_dir)) for name, git_dir in worktrees(common_dir))
    lines = (f"{escape(name)}\t{at.offset}\t{at.last_oid or '-'}\t{at.last_at}\n" for name, at in positions)
    replace_file(path, "".join(lines))


def _put_hook(hooks_dir: str, event: str, text: str) -> HookChange:
    path = os.path.join(hooks_dir, event)
    kept = path + KEPT_SUFFIX
    if os.path.lexists(path) and not _is_ours(path):
        os.rename(path, kept)
    change = _put(path, text, 0o755)
    return HookChange(event, path, change, kept if os.path.lexists(kept) else "")


def _put(path: str, text: str, mode: int) -> str:
    is_there = os.path.lexists(path)
    if is_there and _read(path) == text and os.stat(path).st_mode & 0o700 == mode & 0o700:
        return "unchanged"
    replace_file(path, text, mode=mode)
    return "upgraded" if is_there else "installed"


def _missing_lines(hooks_dir: str) -> list[str]:
    return [event for event in EVENTS if _call_of(event) not in read_text(os.path.join(hooks_dir, event))]


def _call_of(event: str) -> str:
    return f"/agent-tracker/hooks/{event}"


def _line_to_add(hooks_dir: str, event: str) -> LineToAdd:
    """Return a line that works in every repository, so that it can stand in a hook that several share."""
    script = f'"$(git rev-parse --git-common-dir){_call_of(event)}"'
    return LineToAdd(os.path.join(hooks_dir, event), f'[ ! -x {script} ] || {script} "$@" || exit')


def missing_hooks(repository: Repository) -> tuple[str, ...]:
    """Return the events whose hook, where git looks for it, neither is ours nor calls ours.

    Raises:
        GitError: Git cannot say where it looks.
    """
    foreign = _foreign_hooks_dir(repository)
    if foreign:
        return tuple(_missing_lines(foreign))
    hooks_dir = os.path.join(repository.common_dir, "hooks")
    return tuple(event for event in EVENTS if not _is_ours(os.path.join(hooks_dir, event)))


def uninstall_hooks(repository: str | os.PathLike[str], *, is_flushed: bool = False) -> UninstallReport:
    """Take the hooks out of a repository and give back what was there before, to the byte, mode and link.

    Our directory goes too, unless facts may wait in it that were never flushed.

    Args:
        repository: A path in the repository.
        is_flushed: The segments are known to be in the store; a spool that has grown since then still stays.

    Raises:
        GitError: It is no repository, or a bare one.
        AgentTrackerError: A file cannot be removed or given back.
    """
    found = find_repository(os.fspath(repository), {})
    try:
        return _uninstall(found, is_flushed=is_flushed)
    except OSError as error:
        raise _failure("take the hooks out of", found, error) from error


def _uninstall(repository: Repository, *, is_flushed: bool) -> UninstallReport:
    spool_dir = RepositoryPaths(repository.common_dir).spool_dir
    changes = tuple(_take_out(os.path.join(repository.common_dir, "hooks"), event) for event in EVENTS)
    for hooks_dir in (os.path.join(repository.common_dir, "hooks"), os.path.join(spool_dir, "hooks")):
        for path in (os.path.join(hooks_dir, name) for name in SHARED):
            if _is_ours(path):
                os.unlink(path)
    for name, git_dir in worktrees(repository.common_dir):
        if name != ".":
            _remove_tree(os.path.join(git_dir, "agent-tracker"))
    _remove_tree(os.path.join(spool_dir, "hooks"))
    unflushed = tuple(_unflushed(spool_dir, is_flushed=is_flushed))
    if not unflushed:
        _remove_tree(spool_dir)
    return UninstallReport(changes, unflushed)


def _take_out(hooks_dir: str, event: str) -> HookChange:
    path = os.path.join(hooks_dir, event)
    kept = path + KEPT_SUFFIX
    is_kept = os.path.lexists(kept)
    if os.path.lexists(path) and not _is_ours(path):
        return HookChange(event, path, "left", kept if is_kept else "")
    if is_kept:
        os.replace(kept, path)
        return HookChange(event, path, "restored", "")
    if os.path.lexists(path):
        os.unlink(path)
        return HookChange(event, path, "removed", "")
    return HookChange(event, path, "absent", "")


def _remove_tree(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)


def _unflushed(spool_dir: str, *, is_flushed: bool) -> Iterator[str]:
    if os.path.islink(spool_dir) or not os.path.isdir(spool_dir):
        return
    for entry in sorted(os.scandir(spool_dir), key=lambda entry: entry.name):
        is_segment = entry.name.startswith(PREFIX) and not is_flushed
        if is_segment or (entry.name == SPOOL and entry.stat(follow_symlinks=False).st_size):
            yield entry.path
