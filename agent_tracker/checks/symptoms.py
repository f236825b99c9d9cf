"""What a check of the doctor says, and how a remedy is worded.

Owns those shapes. Never looks at anything itself.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent_tracker.repository import Repository

__all__ = ["INSTALL", "Finding", "Problem", "in_repository", "naming"]

INSTALL = "agent-tracker install-hooks"


class Finding(NamedTuple):
    """What one check found wrong: a line of words, the command that mends it, and whether `--fix` is safe."""

    message: str
    remedy: str
    is_fixable: bool = False


class Problem(NamedTuple):
    """A finding with the check's stable name and the repository's path, empty for the user's own side."""

    check: str
    message: str
    remedy: str
    is_fixable: bool
    repository: str


def in_repository(repository: Repository, command: str) -> str:
    """Return a command to be run in a repository as a person can copy it from where they are."""
    here = os.path.realpath(os.getcwd())
    top = os.path.realpath(repository.work_tree)
    if os.path.commonpath([here, top]) == top:
        return command
    return f"cd {shlex.quote(repository.work_tree)} && {command}"


def naming(*words: str) -> str:
    """Return a command whose last words are paths or values, each quoted where a shell needs it."""
    return " ".join(shlex.quote(word) for word in words)
