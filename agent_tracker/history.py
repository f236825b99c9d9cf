"""History by libgit2: walking and looking up many objects inside one process.

Owns everything that pygit2 is for. Never writes, and raises `HistoryError` for what libgit2 cannot read.
"""

from __future__ import annotations

import pygit2

from agent_tracker.errors import HistoryError

__all__ = ["pending_changes"]


def pending_changes(git_dir: str) -> int:
    """Return how many files have changes that are not committed, untracked ones included.

    Raises:
        HistoryError: The work tree cannot be read.
    """
    try:
        return len(pygit2.Repository(git_dir).status(untracked_files="normal"))
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise HistoryError(f"cannot read the work tree of {git_dir}: {error}", "git status") from error
