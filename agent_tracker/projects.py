"""Which project a repository is: a UUID and the root commit, kept in its common directory.

Owns that file. Never asks the store.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker.errors import SpoolError
from agent_tracker.files import read_own, read_text, remedy, replace_file
from agent_tracker.git import find_root
from agent_tracker.paths import RepositoryPaths

if TYPE_CHECKING:
    from agent_tracker.repository import Repository

__all__ = ["find_project", "read_project"]

ROOT_TIMEOUT_S = 3.0


def find_project(repository: Repository) -> str:
    """Return the project's UUID as it stands in the repository, empty where nothing is recorded yet."""
    words = read_text(RepositoryPaths(repository.common_dir).project).split()
    return words[0] if words else ""


def read_project(repository: Repository, *, timeout_s: float = ROOT_TIMEOUT_S) -> tuple[str, bytes]:
    """Return the project's UUID and root commit as they stand in the repository, making or finding what is missing.

    Args:
        repository: Any of its worktrees.
        timeout_s: How long finding the root commit may take, which is done once; the root is empty otherwise.

    Raises:
        SpoolError: The file cannot be written.
    """
    path = RepositoryPaths(repository.common_dir).project
    try:
        words = read_own(path).split()
    except OSError as error:
        raise SpoolError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
    project = words[0] if words else ""
    if len(project) != 36 or not project.replace("-", "").isalnum():  # noqa: PLR2004 -- a UUID's length
        import uuid  # noqa: PLC0415 -- made once in a repository's life

        project = str(uuid.uuid4())
        words = [project]
        try:
            replace_file(path, project + "\n")
        except OSError as error:
            raise SpoolError(f"cannot write {path}: {error.strerror}", remedy(error)) from error
    if len(words) == 1:
        words = _remember_root(path, project, find_root(repository.git_dir, repository.common_dir, timeout_s=timeout_s))
    try:
        return project, bytes.fromhex(words[1]) if len(words) > 1 else b""
    except ValueError:
        return project, b""


def _remember_root(path: str, project: str, root: str) -> list[str]:
    """Write the root commit beside the project's UUID, once there is one: clones of one project have it in common."""
    if not root:
        return [project]
    with suppress(OSError):
        replace_file(path, f"{project} {root}\n")
    return [project, root]
