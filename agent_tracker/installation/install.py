"""Hooks in, hooks out: a repository's hooks in files or in its configuration, and our directory beside them.

Owns what goes where, and the first contents of `agent-tracker/` in the common directory. Never writes where another
tool or `core.hooksPath` put the hooks, never overwrites what it did not write, and never prints.

Source: githooks(5); git-config(1), core.hooksPath.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from agent_tracker.errors import AgentTrackerError, SpoolError
from agent_tracker.escaping import escape
from agent_tracker.files import read_text, replace_file
from agent_tracker.installation.config_hooks import (
    AUTO,
    CONFIG,
    FILES,
    choose_style,
    configured_events,
    find_gits,
    put_into_config,
    reads_config_hooks,
    take_out_of_config,
)
from agent_tracker.installation.hook_files import HookChange, check_room, is_covered, put_in, put_shared, take_out
from agent_tracker.installation.hook_scripts import (
    COMMIT_MSG,
    EVENTS,
    KEPT_SUFFIX,
    SHARED,
    ScriptTexts,
    TextValues,
    hook_files_dir,
    hook_texts,
    is_ours,
    render,
    validating_events,
)
from agent_tracker.installation.neighbours import LineToAdd, calls_ours, foreign_hooks_dir, lines_for, owner_of
from agent_tracker.paths import RepositoryPaths
from agent_tracker.reflog import positions_now
from agent_tracker.repository import worktrees
from agent_tracker.spool import PREFIX, SPOOL, ensure_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.repository import Repository

__all__ = [
    "EVENTS",
    "KEPT_SUFFIX",
    "SHARED",
    "HookChange",
    "InstallReport",
    "LineToAdd",
    "UninstallReport",
    "hook_files_dir",
    "hook_texts",
    "install_hooks",
    "is_ours",
    "missing_hooks",
    "uninstall_hooks",
]


class InstallReport(NamedTuple):
    """What was put where.

    `hooks_dir` is where our scripts lie, or the configuration that holds them; `style` says which: `files`, `config`
    or `both`. Where git looks for hooks in another place, `foreign_hooks_dir` names it. `owner` is the other program
    that has hooks here, `lines_to_add` what it lacks to run ours; all three are empty where they do not matter.
    """

    hooks_dir: str
    changes: tuple[HookChange, ...]
    project: str
    foreign_hooks_dir: str
    lines_to_add: tuple[LineToAdd, ...]
    style: str
    owner: str


class UninstallReport(NamedTuple):
    """What was taken out. `unflushed` are the files because of which our directory stays; empty where it is gone."""

    changes: tuple[HookChange, ...]
    unflushed: tuple[str, ...]


class _Places:
    """Where everything of ours lies in one repository."""

    def __init__(self, repository: Repository) -> None:
        paths = RepositoryPaths(repository.common_dir)
        self.spool_dir = paths.spool_dir
        self.project = paths.project
        self.baseline = paths.baseline
        self.own_hooks = os.path.join(repository.common_dir, "hooks")
        self.called_hooks = os.path.join(paths.spool_dir, "hooks")
        self.library = os.path.join(paths.spool_dir, "lib")
        self.made_hooks = os.path.join(paths.spool_dir, "made-hooks")
        self.config = os.path.join(repository.common_dir, "config")


def install_hooks(
    repository: Repository, values: TextValues, *, style: str = AUTO, validate_in: str = "pre-commit"
) -> InstallReport:
    """Put the hooks into a repository, or bring them up to date; a second time changes nothing.

    A foreign hook is renamed to `<event>.agent-tracker-kept` and run by ours. Where git looks for hooks outside the
    repository's own hooks directory, or another program regenerates them, nothing is written there: the scripts lie in
    our own directory, and the reflog tells of the commits until somebody adds the lines. Hooks in the configuration
    run beside whatever there is.

    Args:
        repository: Any of its worktrees.
        values: What the scripts are told.
        style: One of `config_hooks.STYLES`; `auto` puts them into the configuration where every git found reads it.
        validate_in: The event in which a commit may be refused: `pre-commit` or `commit-msg`.

    Raises:
        GitError: Git cannot be asked, cannot write the configuration, or no git here would read hooks from it.
        SpoolError: Our directory in it is a symbolic link, or somebody else's.
        AgentTrackerError: Something foreign is in the way, or a file cannot be written.
    """
    _refuse_links(_Places(repository))
    gits = find_gits(os.environ.get("PATH", os.defpath)) if style != FILES else []
    chosen = choose_style(style, gits)
    library = "" if chosen == FILES else _Places(repository).library
    texts = render(values, library_dir=library, is_beside_files=chosen not in (FILES, CONFIG))
    try:
        return _install(repository, texts, chosen, validating_events(validate_in))
    except OSError as error:
        raise _failure("install hooks in", repository, error) from error


def _refuse_links(at: _Places) -> None:
    """Refuse to write through a link: where it leads, nothing is ours."""
    for path in (at.spool_dir, at.library, at.called_hooks):
        if os.path.islink(path):
            raise SpoolError(f"a symbolic link is in the way: {path}", f"rm '{path}' && agent-tracker install-hooks")


def _failure(verb: str, repository: Repository, error: OSError) -> AgentTrackerError:
    where = error.filename or repository.common_dir
    return AgentTrackerError(f"cannot {verb} {repository.common_dir}: {error.strerror}: {where}", f"ls -ld '{where}'")


def _install(repository: Repository, texts: ScriptTexts, style: str, events: tuple[str, ...]) -> InstallReport:
    at = _Places(repository)
    foreign = foreign_hooks_dir(repository)
    hooks_dir = at.called_hooks if foreign else at.own_hooks
    if style != CONFIG:
        check_room(hooks_dir, events)
    ensure_directory(at.spool_dir)
    project = _ensure_project(at.project)
    _ensure_baseline(repository.common_dir, at.baseline)
    changes = _configure(repository, at, texts, events)
    if style == CONFIG:
        _take_out_files(at)
        return InstallReport(at.config, changes, project, "", (), style, "")
    if not os.path.lexists(at.own_hooks) and not foreign:
        replace_file(at.made_hooks, "")
    put = put_in(hooks_dir, events, texts.files)
    owner = owner_of(repository, ())
    if owner and not foreign:
        put_in(at.called_hooks, events, texts.files)
    lines = lines_for(repository, events)
    return InstallReport(hooks_dir, put, project, foreign, lines, style, owner.name if owner else "")


def _configure(
    repository: Repository, at: _Places, texts: ScriptTexts, events: tuple[str, ...]
) -> tuple[HookChange, ...]:
    """Put the bodies into the configuration, or take out what an installation before this one put there."""
    if not texts.bodies:
        take_out_of_config(repository, at.spool_dir)
        _remove_tree(at.library)
        return ()
    os.makedirs(at.library, mode=0o700, exist_ok=True)
    put_shared(at.library, texts.library, texts.library)
    changes = put_into_config(repository, {event: texts.bodies[event] for event in events}, at.spool_dir)
    return tuple(HookChange(event, at.config, change, "") for event, change in changes.items())


def _take_out_files(at: _Places) -> None:
    take_out(at.own_hooks)
    _remove_tree(at.called_hooks)


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
    positions = positions_now(common_dir).items()
    lines = (f"{escape(name)}\t{at.offset}\t{at.last_oid or '-'}\t{at.last_at}\n" for name, at in positions)
    replace_file(path, "".join(lines))


def missing_hooks(repository: Repository) -> tuple[str, ...]:
    """Return the events for which git runs no hook of ours.

    It may run one from the configuration, in its place, or called by the hook that is there.

    Raises:
        GitError: Git cannot say where it looks.
    """
    foreign = foreign_hooks_dir(repository)
    configured = configured_events(repository)
    covered = set(configured) if configured and reads_config_hooks() else set()
    own = _Places(repository).own_hooks
    for event in {*EVENTS, COMMIT_MSG} - covered:
        if (not foreign and is_covered(own, event)) or calls_ours(repository, event, foreign):
            covered.add(event)
    events = validating_events(COMMIT_MSG if COMMIT_MSG in covered and "pre-commit" not in covered else "")
    return tuple(event for event in events if event not in covered)


def uninstall_hooks(repository: Repository, *, is_flushed: bool = False) -> UninstallReport:
    """Take the hooks out of a repository and give back what was there before, to the byte, mode and link.

    Our directory goes too, unless facts may wait in it that were never flushed.

    Args:
        repository: Any of its worktrees.
        is_flushed: The segments are known to be in the store; a spool that has grown since then still stays.

    Raises:
        GitError: The configuration cannot be written.
        AgentTrackerError: A file cannot be removed or given back.
    """
    try:
        return _uninstall(repository, is_flushed=is_flushed)
    except OSError as error:
        raise _failure("take the hooks out of", repository, error) from error


def _uninstall(repository: Repository, *, is_flushed: bool) -> UninstallReport:
    at = _Places(repository)
    configured = take_out_of_config(repository, at.spool_dir)
    changes = [
        HookChange(change.event, at.config, "removed", "")
        if change.event in configured and change.change in ("absent", "left") and not change.kept
        else change
        for change in take_out(at.own_hooks)
    ]
    for name, git_dir in worktrees(repository.common_dir):
        if name != ".":
            _remove_tree(os.path.join(git_dir, "agent-tracker"))
    is_made = not os.path.islink(at.spool_dir) and os.path.lexists(at.made_hooks)
    if is_made and os.path.isdir(at.own_hooks) and not os.path.islink(at.own_hooks) and not os.listdir(at.own_hooks):
        os.rmdir(at.own_hooks)
    if os.path.islink(at.spool_dir):
        return UninstallReport(tuple(changes), ())
    changes += _called(at.called_hooks) if {change.change for change in changes} <= {"absent", "left"} else []
    _remove_tree(at.called_hooks)
    _remove_tree(at.library)
    unflushed = tuple(_unflushed(at.spool_dir, is_flushed=is_flushed))
    if not unflushed:
        _remove_tree(at.spool_dir)
    return UninstallReport(tuple(changes), unflushed)


def _called(directory: str) -> list[HookChange]:
    """Return what goes with the directory of hooks that others call."""
    paths = {event: os.path.join(directory, event) for event in (*EVENTS, COMMIT_MSG)}
    return [HookChange(event, path, "removed", "") for event, path in paths.items() if is_ours(path)]


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
