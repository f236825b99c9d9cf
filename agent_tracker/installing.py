"""The verbs install-hooks and uninstall-hooks: the hooks, and all that goes with them.

Owns the list of installations, the mirrored policy, the project's root commit, and the words of what was done. Where
the hooks themselves lie is `install`'s. Never prints.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from agent_tracker.agents import known_agents
from agent_tracker.configuring import mirror_policy
from agent_tracker.errors import AgentTrackerError, HistoryError, SpoolError
from agent_tracker.files import read_text, replace_file
from agent_tracker.flush import Context, flush
from agent_tracker.history import find_root
from agent_tracker.install import InstallReport, UninstallReport, install_hooks, uninstall_hooks
from agent_tracker.paths import RepositoryPaths
from agent_tracker.registry import write_agents

if TYPE_CHECKING:
    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository

__all__ = ["install", "uninstall"]


def install(repository: Repository, context: Context) -> tuple[InstallReport, bool]:
    """Install the hooks in a repository, or bring them up to date.

    Returns:
        What was done, and whether any agent is registered yet.

    Raises:
        AgentTrackerError: The repository is bare, or a directory cannot be written.
    """
    agents = known_agents(context)
    report = install_hooks(
        repository.work_tree,
        python=sys.executable,
        sys_path=_import_path(),
        registry=context.paths.registry,
    )
    _remember_root(repository)
    mirror_policy(repository)
    try:
        write_agents(context.paths.registry, agents)
        _list_repository(context.paths, repository, is_listed=True)
    except OSError as error:
        raise SpoolError(
            f"cannot write {context.paths.state_dir}: {error.strerror}", "check its permissions"
        ) from error
    return report, any(agent.active for agent in agents)


def uninstall(repository: Repository, context: Context) -> tuple[UninstallReport, str]:
    """Take the hooks out, after a last flush.

    Returns:
        What was done, and why the flush failed; empty where it did not.

    Raises:
        AgentTrackerError: A hook cannot be given back.
    """
    trouble = ""
    if os.path.isdir(RepositoryPaths(repository.common_dir).spool_dir):
        try:
            flush(repository, context)
        except AgentTrackerError as error:
            trouble = error.message
    report = uninstall_hooks(repository.work_tree, is_flushed=not trouble)
    try:
        _list_repository(context.paths, repository, is_listed=False)
    except OSError as error:
        raise SpoolError(
            f"cannot write {context.paths.state_dir}: {error.strerror}", "check its permissions"
        ) from error
    return report, trouble


def _import_path() -> list[str]:
    """Return the directories that hold agent_tracker and lmdb, for an interpreter started without site."""
    found = [spec.origin for name in ("agent_tracker", "lmdb") if (spec := find_spec(name)) and spec.origin]
    return list(dict.fromkeys(os.path.dirname(os.path.dirname(os.path.abspath(origin))) for origin in found))


def _remember_root(repository: Repository) -> None:
    """Write the root commit beside the project's UUID, once: clones of one project have it in common."""
    path = RepositoryPaths(repository.common_dir).project
    words = read_text(path).split()
    if len(words) != 1:
        return
    try:
        root = find_root(repository.common_dir)
        if root:
            replace_file(path, f"{words[0]} {root.hex()}\n")
    except (HistoryError, OSError):
        return


def _list_repository(paths: UserPaths, repository: Repository, *, is_listed: bool) -> None:
    known = [line for line in read_text(paths.repositories).split("\n") if line]
    others = [path for path in known if path != repository.main_path]
    # A path that holds a newline cannot stand in a list of lines; the store knows it after the first flush.
    here = [repository.main_path] if is_listed and "\n" not in repository.main_path else []
    if known != others + here:
        replace_file(paths.repositories, "".join(f"{path}\n" for path in others + here))
