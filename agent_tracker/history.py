"""History by libgit2: walking and looking up many objects inside one process.

Owns everything that pygit2 is for. Never writes, and raises `HistoryError` for what libgit2 cannot read.
"""

from __future__ import annotations

import pygit2

from agent_tracker.errors import HistoryError

__all__ = ["find_root", "pending_changes"]


def find_root(common_dir: str) -> bytes:
    """Return the oldest root commit that HEAD descends from, by which clones of one project know each other.

    Empty where there is no commit yet, or the clone is shallow and its first commit is not the first.

    Raises:
        HistoryError: The repository cannot be read.
    """
    try:
        repository = pygit2.Repository(common_dir)
        if repository.is_shallow or repository.head_is_unborn:
            return b""
        order = pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE
        first = next(iter(repository.walk(repository.head.target, order)), None)
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise HistoryError(f"cannot read the history of {common_dir}: {error}", "git fsck") from error
    return b"" if first is None else first.id.raw


def pending_changes(git_dir: str) -> int:
    """Return how many files have changes that are not committed, untracked ones included.

    Raises:
        HistoryError: The work tree cannot be read.
    """
    try:
        return len(pygit2.Repository(git_dir).status(untracked_files="normal"))
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise HistoryError(f"cannot read the work tree of {git_dir}: {error}", "git status") from error
