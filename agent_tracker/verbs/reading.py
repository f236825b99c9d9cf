"""Reading one's own writes: what the hooks recorded is in the store before anything is read from it.

Owns the flush that goes before every reading command, and what is read where the store cannot be, or cannot be flushed
into: a throwaway one, made of the store or its newest backup, the registry and the spools. Never prints; a store or a
spool in a bad way is never an error here.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from agent_tracker.apply import apply
from agent_tracker.config import read_rules, read_settings
from agent_tracker.context import MERGE, Context, FlushReport, open_store
from agent_tracker.database_file import copy_bytes
from agent_tracker.durability.manifests import Manifest, read_manifests
from agent_tracker.errors import AgentTrackerError, ConfigError, DiskFullError, RecordError, SpoolError, StoreError
from agent_tracker.flush import PLACED, REPOSITORY_KINDS, USER_KINDS, flush
from agent_tracker.gather import Past, Sighted, gather
from agent_tracker.journal import RulesFact
from agent_tracker.mounts import free_bytes
from agent_tracker.paths import RepositoryPaths
from agent_tracker.plugin_files import find_waiting
from agent_tracker.projects import find_project
from agent_tracker.records import Agent, AgentFact, Fact, ProjectFact, SeenCommit, StateFact
from agent_tracker.registry import read_agents
from agent_tracker.rules import format_values
from agent_tracker.settled import is_settled
from agent_tracker.spool import PENDING, SPOOL, Segment, read_segment, segments
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.records import Marks
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["Reading", "agents_of", "read"]

TIMEOUT_S = 1.0
"""How long a reading command waits for another flush: it shows what there is rather than hang."""

SALVAGE_BYTES = 2 << 30
"""How large a throwaway store may grow: as large as any."""

MAX_COPIED_BYTES = 256 << 20
"""How large a store may be that is copied to show what cannot be flushed into it."""

MAX_TRIED = 2
"""How many backups are tried."""

_RESTORE = "agent-tracker restore"
T = TypeVar("T")


class Reading(NamedTuple, Generic[T]):
    """What was read, what the flush before it did (None where there was none), and why something may be missing.

    `is_salvaged`: the store could not be read, and `value` is what `source` says in words. Where it could be read and
    not be flushed into, `error` says how much waits in the spools, and whether `value` has it.
    """

    value: T
    report: FlushReport | None
    error: AgentTrackerError | None
    is_salvaged: bool
    source: str = ""


def read(
    context: Context,
    repository: Repository | None,
    view: Callable[[Snapshot | None], T],
    *,
    is_fresh: bool = True,
    is_exact: bool = False,
) -> Reading[T]:
    """Flush a repository and return what `view` makes of the store then.

    Neither another flush at work, nor a store that cannot be opened, read or written keeps it from an answer. A store
    that cannot be read is not flushed into: the spool stays as it is.

    Args:
        context: Paths, environment, time.
        repository: None flushes the user's own spool alone.
        view: Takes a moment's store, None where there is none yet. It must return all of its answer at once, open no
            store by itself, and may be called twice.
        is_fresh: Flush first.
        is_exact: Where that cannot be, what waits is counted and no more: it is the store itself that is asked about.

    Raises:
        ConfigError: The configuration is not valid.
    """
    cause: AgentTrackerError
    try:
        store, _ = open_store(context)
        report, error = _flush(store, repository, context) if is_fresh else (None, None)
        if error:
            with _awaited(error, store, context, repository, is_shown=not is_exact) as snapshot:
                if snapshot:
                    return Reading(view(snapshot), report, error, is_salvaged=False)
        with store.snapshot() as snapshot:
            if snapshot is None:
                _check_never_was(store)
            return Reading(view(snapshot), report, error or _rules_error(context, report), is_salvaged=False)
    except (StoreError, RecordError) as unreadable:
        cause = unreadable
    with _salvaged(context, repository) as (snapshot, source):
        return Reading(view(snapshot), None, cause, is_salvaged=True, source=source)


def agents_of(snapshot: Snapshot | None, context: Context) -> list[Agent]:
    """Return the registered agents: the store's, and those that only the registry knows."""
    stored = snapshot.agents() if snapshot else []
    known = {agent.id for agent in stored}
    return stored + [agent for agent in read_agents(context.paths.registry) if agent.id not in known]


def _check_never_was(store: Store) -> None:
    """Refuse to take a database that is gone for one that is not there yet.

    Raises:
        StoreError: There are backups of it.
    """
    if read_manifests(store.backups_dir):
        raise StoreError(f"the database is not there, of which there are backups: {store.path}", _RESTORE)


def _flush(
    store: Store, repository: Repository | None, context: Context
) -> tuple[FlushReport | None, AgentTrackerError | None]:
    """Return what a flush did, or why it could not; neither where nothing was to be done."""
    if not _has_something(store, repository, context):
        return None, None
    with store.snapshot():
        pass  # one that cannot be read is left alone, and so is the spool
    try:
        return flush(repository, context._replace(timeout_s=min(context.timeout_s, TIMEOUT_S))), None
    except ConfigError:
        raise
    except AgentTrackerError as error:
        return None, error
    except OSError as error:
        where = error.filename or context.paths.state_dir
        return None, SpoolError(f"cannot flush: {where}: {error.strerror}", "agent-tracker doctor")


@contextmanager
def _awaited(
    error: AgentTrackerError, store: Store, context: Context, repository: Repository | None, *, is_shown: bool
) -> Iterator[Snapshot | None]:
    """Yield a throwaway copy of the store with what waits in the spools, and have the error say what that is.

    None stands for it where none is to be shown, where nothing waits, where the store is too large to be copied, and
    where there is no room.
    """
    import tempfile  # noqa: PLC0415 -- 6 ms, for a store that cannot be written

    with ExitStack() as stack:
        snapshot, waiting = None, ""
        try:
            waiting = _in_words(_unapplied(store, context, repository))
            if is_shown and waiting and store.exists() and os.path.getsize(store.path) <= MAX_COPIED_BYTES:
                directory = tempfile.TemporaryDirectory(prefix="agent-tracker-", ignore_cleanup_errors=True)
                copy = Store(os.path.join(stack.enter_context(directory), "copy.lmdb"), SALVAGE_BYTES)
                _make_copy(store, copy, context, repository)
                snapshot = stack.enter_context(copy.snapshot())
        except ConfigError:
            raise
        except (AgentTrackerError, OSError):
            pass  # the store alone is shown then
        if waiting:
            shown = "shown as well" if snapshot else "not shown"
            error.message += f"; waiting in the spools, and {shown}: {waiting}"
        yield snapshot


def _make_copy(store: Store, copy: Store, context: Context, repository: Repository | None) -> None:
    """Make a copy of the store, and bring into it what the spools say, by the rules that the store has."""
    free = free_bytes(os.path.dirname(copy.path))
    if free is not None and free < 2 * os.path.getsize(store.path):
        raise DiskFullError(f"no room for a copy: {copy.path}")
    store.copy_to(copy.path)
    with copy.snapshot() as snapshot:

        def marks(oid: bytes) -> Marks | None:
            commit = snapshot.commit(oid) if snapshot else None
            return snapshot.marks(commit.marks) if snapshot and commit else None

        facts = _said_facts(context, repository, Past(marks))
    copy.write(lambda writer: apply(writer, facts, now=context.now), timeout_s=TIMEOUT_S)


def _unapplied(store: Store, context: Context, repository: Repository | None) -> list[Sighted]:
    """Return what those lines of the spools say that are not in the store."""
    with store.snapshot() as snapshot:
        applied = snapshot.applied_segments() if snapshot else {}

    def is_new(segment: Segment) -> bool:
        return applied.get(segment.name) != segment.size

    found = _sighted(context.paths.spool_dir, USER_KINDS, "", context, is_new)
    if repository:
        found += _sighted(RepositoryPaths(repository.common_dir).spool_dir, REPOSITORY_KINDS, "", context, is_new)
    return found


def _in_words(sighted: list[Sighted]) -> str:
    commits = len({each.said.oid for each in sighted if isinstance(each.said, SeenCommit)})
    entries = sum(not isinstance(each.said, SeenCommit) for each in sighted)
    counts = ((commits, "commit", "commits"), (entries, "other entry", "other entries"))
    return " and ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)


def _rules_error(context: Context, report: FlushReport | None) -> ConfigError | None:
    """Return what is wrong with the configured rules, unless the flush says so: those of the store hold on."""
    try:
        read_rules(context.paths)
    except ConfigError as error:
        return None if report and any(error.message in warning for warning in report.warnings) else error
    return None


def _has_something(store: Store, repository: Repository | None, context: Context) -> bool:
    if repository and os.path.isdir(RepositoryPaths(repository.common_dir).spool_dir):
        return not is_settled(context.paths, context.env, repository, now=context.now)
    if context.plugin == MERGE and find_waiting(context.paths, repository, store.path):
        return True
    own = context.paths.spool_dir
    return os.path.isdir(own) and (
        not store.exists() or any(os.path.lexists(os.path.join(own, name)) for name in (SPOOL, PENDING))
    )


@contextmanager
def _salvaged(context: Context, repository: Repository | None) -> Iterator[tuple[Snapshot | None, str]]:
    """Yield a throwaway store of what is known without the store, and what that is, in words; None without any room."""
    import tempfile  # noqa: PLC0415 -- 6 ms, for a store that cannot be read

    with ExitStack() as stack:
        snapshot, source = None, "the registry"
        try:
            directory = tempfile.TemporaryDirectory(prefix="agent-tracker-", ignore_cleanup_errors=True)
            store, source = _throwaway(stack.enter_context(directory), context, repository)
            snapshot = stack.enter_context(store.snapshot())
        except ConfigError:
            raise
        except (AgentTrackerError, OSError):
            pass  # what follows is shown without
        yield snapshot, source


def _throwaway(directory: str, context: Context, repository: Repository | None) -> tuple[Store, str]:
    """Return a store made of the newest backup that can be read, the registry and the spools; and that in words."""
    facts = _known_facts(context, repository)
    spools = "the registry and this repository's spool" if repository else "the registry"
    for number, backup in enumerate([*_backups(context)[:MAX_TRIED], None]):
        path = os.path.join(directory, f"{number}.lmdb")
        store = Store(path, SALVAGE_BYTES)
        try:
            if backup:
                copy_bytes(backup.path, path)
            store.write(lambda writer: apply(writer, facts, now=context.now), timeout_s=TIMEOUT_S)
        except (StoreError, RecordError, OSError):
            if backup is None:
                raise
            continue
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(backup.made_at)) if backup else ""
        return store, f"the backup of {made}, {spools}" if made else spools
    raise AssertionError  # the last one is no backup


def _backups(context: Context) -> list[Manifest]:
    try:
        return read_manifests(open_store(context)[0].backups_dir)
    except StoreError:
        return read_manifests(
            context.paths.backups_of(str(read_settings(context.paths, context.env)["databasePath"].value))
        )


def _known_facts(context: Context, repository: Repository | None) -> list[Fact]:
    """Return what is known without the store: rules, the registry's agents, and the lines of segments and spools."""
    facts: list[Fact] = []
    with suppress(ConfigError):  # `read` says so
        rules, _ = read_rules(context.paths)
        facts.append(RulesFact(context.now_ns, is_for_all=True, values=format_values(rules)))
    for agent in read_agents(context.paths.registry):
        facts.append(AgentFact(*agent[:5], agent.created_at))
        facts += [StateFact(agent.id, "active" if on else "retired", at) for at, on in agent.transitions]
    return facts + _said_facts(context, repository, Past(lambda _: None))


def _said_facts(context: Context, repository: Repository | None, past: Past) -> list[Fact]:
    """Return what the lines of segments and spools amount to."""
    sighted = _sighted(context.paths.spool_dir, USER_KINDS, "", context)
    project = find_project(repository) if repository else ""
    if repository and project:
        sighted += _sighted(RepositoryPaths(repository.common_dir).spool_dir, REPOSITORY_KINDS, project, context)
        placed = ProjectFact(project, os.fsencode(repository.main_path), b"", context.now)
        return [placed, *gather(repository.common_dir, project, sighted, past)]
    return gather("", "", sighted, past)


def _sighted(
    directory: str,
    kinds: tuple[type, ...],
    project: str,
    context: Context,
    is_read: Callable[[Segment], bool] = lambda _: True,
) -> list[Sighted]:
    """Return what all lines in a spool's directory say, sealed or not."""
    files = [segment for segment in segments(directory) if is_read(segment)]
    spool = os.path.join(directory, SPOOL)
    # What is no regular file may never end, or never begin.
    if os.path.isfile(spool) and not os.path.islink(spool):
        files.append(Segment(spool, SPOOL, context.now_ns, os.path.getsize(spool)))
    found = []
    for segment in files:
        with suppress(SpoolError):
            seen, _ = read_segment(segment, kinds)
            placed = (each._replace(project=project) if isinstance(each, PLACED) else each for each in seen)
            found += [Sighted(said, segment.sealed_ns + index) for index, said in enumerate(placed)]
    return found
