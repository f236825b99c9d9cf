"""A repository that is not where it was: what was to be forgotten while nobody knew where it lies.

Owns finding that out at a flush, and making up for it: its spool and exports lose the texts that had to go everywhere,
and the list of installations names its new path. Never moves anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import AgentTrackerError
from agent_tracker.export.writing import refresh_exports
from agent_tracker.files import read_text, replace_file
from agent_tracker.journal import ForgetFact
from agent_tracker.journal_tables import facts
from agent_tracker.paths import RepositoryPaths
from agent_tracker.redact import redact_spool

if TYPE_CHECKING:
    from agent_tracker.paths import UserPaths
    from agent_tracker.records import ProjectFact
    from agent_tracker.repository import Repository
    from agent_tracker.store import Store

__all__ = ["Move", "find_move", "make_up"]


class Move(NamedTuple):
    """A project, and the path at which it was flushed before."""

    project: str
    old_path: str


def find_move(store: Store, project: ProjectFact | None) -> Move | None:
    """Return from where a project came, None where it is where it was, or was not known."""
    if project is None:
        return None
    with store.snapshot() as snapshot:
        known = snapshot.projects() if snapshot else []
    path = next((each.path for each in known if each.id == project.id), project.path)
    return Move(project.id, os.fsdecode(path)) if path != project.path else None


def make_up(store: Store, repository: Repository, move: Move, paths: UserPaths, *, timeout_s: float) -> tuple[str, ...]:
    """Forget in a repository that moved what was forgotten elsewhere; return what could not be done, a line each."""
    try:
        with store.snapshot() as snapshot:
            targets = [fact.target for fact in facts(snapshot, ForgetFact)] if snapshot else []
        directory = RepositoryPaths(repository.common_dir).spool_dir
        for target in targets:
            redact_spool(directory, target, (), timeout_s=timeout_s)
        _list_anew(paths, move.old_path, repository.main_path)
    except AgentTrackerError as error:
        return (error.message,)
    except OSError as error:
        return (f"cannot write {error.filename}: {error.strerror}",)
    return refresh_exports(repository, store, move.project) if targets else ()


def _list_anew(paths: UserPaths, old_path: str, path: str) -> None:
    """Put the new path in the list of installations in the old one's place, if there is nothing any more."""
    listed = [line for line in read_text(paths.repositories).split("\n") if line]
    if old_path in listed and not os.path.isdir(old_path) and "\n" not in path:
        kept = dict.fromkeys(path if line == old_path else line for line in listed)
        replace_file(paths.repositories, "".join(f"{line}\n" for line in kept))
