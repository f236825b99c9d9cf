"""The verbs install-hooks and uninstall-hooks: the hooks, and all that goes with them.

Owns the list of installations, the mirrored policy, and which repositories are meant. Where the hooks themselves lie is
`install`'s. Never prints.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.config import check_value, find_setting
from agent_tracker.configuring import mirror_policy, set_value, settings_for_hooks
from agent_tracker.errors import AgentTrackerError, GitError, SpoolError
from agent_tracker.files import read_text, replace_file
from agent_tracker.flush import flush, known_agents, tell_hooks
from agent_tracker.installation.hook_scripts import TextValues
from agent_tracker.installation.install import InstallReport, UninstallReport, install_hooks, uninstall_hooks
from agent_tracker.installation.template_hooks import TemplateReport, install_template, uninstall_template
from agent_tracker.paths import RepositoryPaths
from agent_tracker.projects import read_project
from agent_tracker.registration import is_imported
from agent_tracker.repository import Repository, find_repository, known_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.context import Context
    from agent_tracker.paths import UserPaths

__all__ = [
    "Outcome",
    "find_repositories",
    "import_path",
    "install",
    "install_all",
    "put_into_template",
    "take_out_of_template",
    "uninstall",
]

FIND_ROOT_S = 60.0
WAIT_S = 90.0
POLL_S = 0.05
NOT_ENTERED = frozenset({".git", "node_modules"})


class Outcome(NamedTuple):
    """What install-hooks did in one of several repositories: a report, or why there is none."""

    path: str
    report: InstallReport | None
    trouble: str


def install(
    repository: Repository, context: Context, *, style: str = "", auto_register: bool | None = None
) -> tuple[InstallReport, bool]:
    """Install the hooks in a repository, or bring them up to date.

    Args:
        repository: Any of its worktrees.
        context: Paths, environment, time.
        style: Where the hooks go this time; the setting `hookStyle` says it if empty.
        auto_register: What `autoRegister` is to be in this repository; None leaves it as it is.

    Returns:
        What was done, and whether any agent is registered yet that may commit.

    Raises:
        AgentTrackerError: Something foreign is in the way, or a directory cannot be written.
    """
    validate_in, set_style = settings_for_hooks(repository, context)
    if style:
        check_value(find_setting("hookStyle"), style, "--style", "agent-tracker install-hooks --help")
    with _alone(repository):
        report = install_hooks(repository, _values(context), style=style or set_style, validate_in=validate_in)
        read_project(repository, timeout_s=FIND_ROOT_S)
        if auto_register is not None:
            set_value(repository, context, "autoRegister", str(auto_register).lower())
        mirror_policy(repository)
        tell_hooks(context)
        _list_repository(context.paths, repository, is_listed=True)
    return report, any(agent.active and not is_imported(agent) for agent in known_agents(context))


def _values(context: Context) -> TextValues:
    return TextValues(sys.executable, import_path(), context.paths.registry)


def install_all(top: str, context: Context, *, style: str = "", auto_register: bool | None = None) -> Iterator[Outcome]:
    """Install the hooks in every repository under a directory; one that fails does not stop the rest.

    Raises:
        GitError: There is no such directory.
    """
    if not os.path.isdir(top):
        raise GitError(f"no such directory: {top}")
    done = set()
    for path in find_repositories(top):
        try:
            repository = find_repository(path, {})
            if repository.common_dir not in done:
                done.add(repository.common_dir)
                yield Outcome(path, install(repository, context, style=style, auto_register=auto_register)[0], "")
        except AgentTrackerError as error:
            yield Outcome(path, None, error.message)


def find_repositories(top: str) -> Iterator[str]:
    """Yield the work trees under a directory, ordered: nested ones and submodules too, no bare repositories.

    Links are not followed, and `.git` and `node_modules` not entered.
    """
    for directory, directories, files in os.walk(os.path.abspath(top)):
        if ".git" in directories or ".git" in files:
            yield directory
        is_bare = "HEAD" in files and "objects" in directories and "refs" in directories
        directories[:] = [] if is_bare else sorted(set(directories) - NOT_ENTERED)


def put_into_template(context: Context) -> TemplateReport:
    """Have every repository that git makes from now on begin with our hooks.

    Raises:
        AgentTrackerError: Something foreign is in the way, or a file cannot be written.
    """
    report = install_template(context.paths, context.env, _values(context))
    tell_hooks(context)
    return report


def take_out_of_template(context: Context) -> TemplateReport:
    """Undo `put_into_template`; repositories that were made meanwhile keep their hooks.

    Raises:
        AgentTrackerError: A file cannot be removed or given back.
    """
    return uninstall_template(context.paths, context.env)


def uninstall(repository: Repository, context: Context) -> tuple[UninstallReport, str]:
    """Take the hooks out, after a last flush.

    Returns:
        What was done, and why the flush failed; empty where it did not.

    Raises:
        AgentTrackerError: A hook cannot be given back.
    """
    trouble = ""
    with _alone(repository):
        if os.path.isdir(RepositoryPaths(repository.common_dir).spool_dir):
            try:
                flush(repository, context)
            except AgentTrackerError as error:
                trouble = error.message
        report = uninstall_hooks(repository, is_flushed=not trouble)
        _list_repository(context.paths, repository, is_listed=False)
    return report, trouble


@contextmanager
def _alone(repository: Repository) -> Iterator[None]:
    """Let one process at a time change a repository's hooks: by a lock on the common directory, which always stays.

    Raises:
        AgentTrackerError: Another process holds it for too long.
    """
    try:
        import fcntl  # noqa: PLC0415 -- absent on Windows
    except ImportError:
        yield
        return
    descriptor = os.open(repository.common_dir, os.O_RDONLY)
    try:
        deadline = time.monotonic() + WAIT_S
        while not _has_lock(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if time.monotonic() >= deadline:
                raise AgentTrackerError(
                    f"another process is changing the hooks of {repository.common_dir}",
                    f"fuser -v '{repository.common_dir}'",
                )
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _has_lock(flock: Callable[[int, int], None], descriptor: int, how: int) -> bool:
    try:
        flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def import_path() -> list[str]:
    """Return the directories that hold agent_tracker and lmdb, for an interpreter started without site."""
    found = [spec.origin for name in ("agent_tracker", "lmdb") if (spec := find_spec(name)) and spec.origin]
    return list(dict.fromkeys(os.path.dirname(os.path.dirname(os.path.abspath(origin))) for origin in found))


def _list_repository(paths: UserPaths, repository: Repository, *, is_listed: bool) -> None:
    known = [line for line in read_text(paths.repositories).split("\n") if line]
    others = [path for path in known if path != repository.main_path]
    here = [repository.main_path] if is_listed and _can_be_listed(repository) else []
    if known != others + here:
        try:
            replace_file(paths.repositories, "".join(f"{path}\n" for path in others + here))
        except OSError as error:
            raise SpoolError(f"cannot write {paths.state_dir}: {error.strerror}", "check its permissions") from error


def _can_be_listed(repository: Repository) -> bool:
    """Tell whether a line of text leads back to a repository.

    It does not where the path holds a newline.
    """
    try:
        found = known_repository(repository.main_path)
    except GitError:
        return False
    return "\n" not in repository.main_path and found.common_dir == repository.common_dir
