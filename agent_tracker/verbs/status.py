"""The status of one repository: hooks, spool, who would commit now, that agent's standing.

Owns collecting it, from a moment's store, which may be missing. Never prints and never changes anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.config import Value, find_setting, read_settings
from agent_tracker.context import Context, open_store
from agent_tracker.derived import EVERYBODY, Place, Tally
from agent_tracker.errors import HistoryError, StoreError
from agent_tracker.git import config_get
from agent_tracker.history import pending_changes
from agent_tracker.hook import current_identity
from agent_tracker.installation.install import missing_hooks
from agent_tracker.paths import RepositoryPaths
from agent_tracker.projects import find_project
from agent_tracker.spool import PENDING, SPOOL, segments
from agent_tracker.verbs.reading import agents_of
from agent_tracker.verbs.sheets import read_sheet

if TYPE_CHECKING:
    from agent_tracker.registration import Identity
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot
    from agent_tracker.views.sheet import Sheet

__all__ = ["Status", "status"]


class Status(NamedTuple):
    """What `agent-tracker status` shows.

    `missing_hooks` is empty where all are in place; `sheet` is of the agent in use; `waiting_bytes` are not yet
    flushed; `pending_changes` is None where git's work tree cannot be read; `trouble` says why the store cannot be, and
    `cause` the same in a word that stays (`obstacles.cause_of`).
    """

    project_path: str
    missing_hooks: tuple[str, ...]
    policy: str
    policy_source: str
    identity: Identity
    sheet: Sheet | None
    waiting_bytes: int
    segments: int
    commits: int
    agents: int
    pending_changes: int | None
    database: str
    database_bytes: int
    trouble: str
    cause: str


def status(repository: Repository, context: Context, snapshot: Snapshot | None) -> Status:
    """Collect the status of a repository.

    Args:
        repository: The worktree.
        context: Paths, environment, time.
        snapshot: The store, as `reading.read` hands it over; whoever reads it knows of any trouble with it.

    Raises:
        ConfigError: The configuration is not valid.
    """
    policy = _policy(repository, context)
    agents = agents_of(snapshot, context)
    identity, _ = current_identity(repository, agents, context.env, now_ns=context.now_ns)
    spool_dir = RepositoryPaths(repository.common_dir).spool_dir
    database, project, pending = _database(context), find_project(repository), _pending(repository)
    agent = next((agent for agent in agents if agent.id == identity.credits[0][0]), None)
    sheet = read_sheet(snapshot, context, agent, project)._replace(pending_changes=pending) if agent else None
    return Status(
        project_path=repository.main_path,
        missing_hooks=missing_hooks(repository),
        policy=str(policy.value),
        policy_source=policy.source,
        identity=identity,
        sheet=sheet,
        waiting_bytes=_waiting(spool_dir),
        segments=len(segments(spool_dir)),
        commits=_count(snapshot, project),
        agents=len(agents),
        pending_changes=pending,
        database=database,
        database_bytes=_size(database),
        trouble="",
        cause="",
    )


def _policy(repository: Repository, context: Context) -> Value:
    # Git is asked for this one alone: each setting is a process of its own.
    key = find_setting("policy").git_key
    value = config_get(key, cwd=repository.common_dir)
    return read_settings(context.paths, context.env, repository={key: value} if value else {})["policy"]


def _count(snapshot: Snapshot | None, project: str) -> int:
    """Return how many of a project's commits count, as its tally has it."""
    if snapshot is None or not project:
        return 0
    counted = journal_tables.tallies(snapshot, EVERYBODY)
    return sum(counted.get(Place(EVERYBODY, number), Tally()).commits for number in snapshot.joined_projects(project))


def _database(context: Context) -> str:
    try:
        _, location = open_store(context)
    except StoreError:
        return ""
    return location.path


def _waiting(spool_dir: str) -> int:
    """Return the bytes in the spool, and in the segments too where a flush did not get to apply them."""
    sealed = segments(spool_dir) if os.path.exists(os.path.join(spool_dir, PENDING)) else []
    return _size(os.path.join(spool_dir, SPOOL)) + sum(segment.size for segment in sealed)


def _pending(repository: Repository) -> int | None:
    try:
        return pending_changes(repository.git_dir, repository.work_tree)
    except HistoryError:
        return None


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
