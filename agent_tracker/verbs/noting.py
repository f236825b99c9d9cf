"""What the verbs that judge and note have in common: which commit is meant, who is speaking, and writing it down.

Owns finding a piece of work that may be judged here, and the way of a new fact: appended to a spool, then flushed.
Never prints.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.context import Context, FlushReport, open_store
from agent_tracker.errors import GitError, RegistrationError, SpoolError, StoreError
from agent_tracker.flush import flush
from agent_tracker.git import resolve_commit
from agent_tracker.lines import fact_line
from agent_tracker.marks import is_person
from agent_tracker.paths import RepositoryPaths
from agent_tracker.projects import find_project
from agent_tracker.records import UNCLAIMED, Commit, main_agent
from agent_tracker.spool import append, ensure_directory
from agent_tracker.stored_facts import home_of

if TYPE_CHECKING:
    from agent_tracker.journal import JournalFact
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["Noted", "Work", "check_installed", "find_commit", "find_work", "home_of", "is_person", "new_id", "note"]


class Work(NamedTuple):
    """A commit that was asked for: its oid, the commit in which its work lives now, and whose that is."""

    oid: bytes
    home: Commit
    agent: str


class Noted(NamedTuple):
    """What became of facts that were written down: the flush's report, or why they wait in the spool."""

    report: FlushReport | None
    trouble: str


def new_id() -> str:
    """Return an id for a new fact: twelve hexadecimal digits."""
    return os.urandom(6).hex()


def check_installed(repository: Repository) -> str:
    """Return the directory of a repository's spool.

    Raises:
        GitError: Nothing is recorded here: the hooks were never installed.
    """
    directory = RepositoryPaths(repository.common_dir).spool_dir
    if not os.path.isdir(directory):
        raise GitError(f"nothing is recorded in {repository.main_path}", "agent-tracker install-hooks")
    return directory


def find_work(repository: Repository, context: Context, revision: str) -> Work:
    """Return the recorded work that a revision means, which is some agent's; what waits in the spool is flushed first.

    Args:
        repository: Where the revision is looked up.
        context: Paths, environment, time.
        revision: Any that git knows; of a commit that was rewritten, the work lives in another.

    Raises:
        GitError: The revision names no commit, or one that is not known, or that belongs to another project.
        RegistrationError: No agent has credit for it.
        StoreError: The store cannot be used.
    """
    commit, home = find_commit(repository, context, revision)
    agent = main_agent(home.credits)
    if not agent:
        whose = "a person's" if home.credits[0][0] != UNCLAIMED else "nobody's"
        raise RegistrationError(
            f"commit {commit.oid.hex()[:12]} is {whose}, and only an agent's can be judged",
            f"if it is an agent's: agent-tracker credit {home.oid.hex()[:12]} AGENT",
        )
    return Work(commit.oid, home, agent)


def find_commit(repository: Repository, context: Context, revision: str) -> tuple[Commit, Commit]:
    """Return the recorded commit that a revision means, whoever made it, and that in which its work lives now.

    What waits in the spool is flushed first.

    Raises:
        GitError: The revision names no commit, or one that is not known, or that belongs to another project.
        StoreError: The store cannot be used.
    """
    check_installed(repository)
    oid = resolve_commit(revision, git_dir=repository.git_dir)
    flush(repository, context)
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        commit = snapshot.commit(oid) if snapshot else None
        if snapshot is None or commit is None:
            raise GitError(
                f"commit {oid.hex()[:12]} is not known: it was made before the hooks, or not here",
                "agent-tracker log shows what is known; history from before the hooks is not scanned yet",
            )
        home = snapshot.commit(home_of(snapshot, oid)) or commit
        _check_project(snapshot, repository, home)
    return commit, home


def _check_project(snapshot: Snapshot, repository: Repository, commit: Commit) -> None:
    """Raise where a commit was recorded in another project than this repository's, or its clones'.

    Raises:
        GitError: It was.
    """
    here = snapshot.joined_projects(find_project(repository))
    if snapshot.project_number(commit.project) not in here:
        paths = {fact.id: os.fsdecode(fact.path) for fact in snapshot.projects()}
        elsewhere = paths.get(commit.project, "elsewhere")
        raise GitError(f"commit {commit.oid.hex()[:12]} belongs to the project in {elsewhere}", f"cd {elsewhere}")


def note(repository: Repository | None, context: Context, *facts: JournalFact) -> Noted:
    """Write facts down and bring them into the store; where that cannot be, they wait in the spool.

    Args:
        repository: Whose spool they go to; None for the user's own.
        context: Paths, environment, time.
        facts: In their order.

    Raises:
        GitError: Nothing is recorded in this repository.
        SpoolError: They cannot be written down.
    """
    directory = check_installed(repository) if repository else context.paths.spool_dir
    if repository is None:
        ensure_directory(directory)
    append(directory, b"".join(map(fact_line, facts)))
    try:
        return Noted(flush(repository, context), "")
    except (StoreError, SpoolError, GitError) as error:
        return Noted(None, error.message)
