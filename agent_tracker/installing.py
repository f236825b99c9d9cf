"""The verbs install-hooks and uninstall-hooks: the hooks, and all that goes with them.

Owns the list of installations and the mirrored policy. Where
the hooks themselves lie is `install`'s. Never prints.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from agent_tracker.configuring import mirror_policy
from agent_tracker.errors import AgentTrackerError, SpoolError
from agent_tracker.files import read_text, replace_file
from agent_tracker.flush import Context, flush, known_agents, read_project, tell_hooks
from agent_tracker.install import InstallReport, UninstallReport, install_hooks, uninstall_hooks
from agent_tracker.paths import RepositoryPaths

if TYPE_CHECKING:
    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository

__all__ = ["install", "uninstall"]

FIND_ROOT_S = 60.0


def install(repository: Repository, context: Context) -> tuple[InstallReport, bool]:
    """Install the hooks in a repository, or bring them up to date.

    Returns:
        What was done, and whether any agent is registered yet.

    Raises:
        AgentTrackerError: The repository is bare, or a directory cannot be written.
    """
    report = install_hooks(
        repository.work_tree,
        python=sys.executable,
        sys_path=_import_path(),
        registry=context.paths.registry,
    )
    read_project(repository, timeout_s=FIND_ROOT_S)
    mirror_policy(repository)
    tell_hooks(context)
    _list_repository(context.paths, repository, is_listed=True)
    return report, any(agent.active for agent in known_agents(context))


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
    _list_repository(context.paths, repository, is_listed=False)
    return report, trouble


def _import_path() -> list[str]:
    """Return the directories that hold agent_tracker and lmdb, for an interpreter started without site."""
    found = [spec.origin for name in ("agent_tracker", "lmdb") if (spec := find_spec(name)) and spec.origin]
    return list(dict.fromkeys(os.path.dirname(os.path.dirname(os.path.abspath(origin))) for origin in found))


def _list_repository(paths: UserPaths, repository: Repository, *, is_listed: bool) -> None:
    known = [line for line in read_text(paths.repositories).split("\n") if line]
    others = [path for path in known if path != repository.main_path]
    # A path that holds a newline cannot stand in a list of lines; the store knows it after the first flush.
    here = [repository.main_path] if is_listed and "\n" not in repository.main_path else []
    if known != others + here:
        try:
            replace_file(paths.repositories, "".join(f"{path}\n" for path in others + here))
        except OSError as error:
            raise SpoolError(f"cannot write {paths.state_dir}: {error.strerror}", "check its permissions") from error
