"""Spool and reflogs into the store: seal, gather, one transaction, delete late.

Owns the protocol's order and the two spools that take part (the user's own and a repository's). Never prints.

Invariant: every fully appended record is in the spool or a segment until a durable transaction holds its fact.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables, settled
from agent_tracker.abandon import Losses, find_losses
from agent_tracker.apply import Applied, apply
from agent_tracker.config import read_rules, rules_trouble
from agent_tracker.context import LEAVE, MENTION, Context, FlushReport, open_store
from agent_tracker.durability.spawning import start, start_if_due
from agent_tracker.errors import AgentTrackerError, ConfigError, DamageError, SpoolError, StoreError, UncheckedError
from agent_tracker.export.writing import write_exports
from agent_tracker.files import read_text, replace_file
from agent_tracker.gather import Arrived, Past, Sighted, gather
from agent_tracker.journal import (
    ActivityFact,
    BindingFact,
    BugFact,
    ForgetFact,
    GradeFact,
    PulseFact,
    RetroFact,
    RulesFact,
    SessionFact,
    WithdrawalFact,
)
from agent_tracker.lapse import Lapsed, find_lapsed, look_again
from agent_tracker.lines import squash_line
from agent_tracker.marks import is_person
from agent_tracker.moved import find_move, make_up
from agent_tracker.observe import (
    LOOK_AGAIN_S,
    Refs,
    look_at_branches,
    look_at_pushes,
    read_reflogs,
    remember_branches,
)
from agent_tracker.paths import RepositoryPaths
from agent_tracker.plugin_files import BY_HAND, find_waiting, forget
from agent_tracker.projects import read_project
from agent_tracker.records import (
    COUNTED,
    AgentFact,
    CreditFact,
    Fact,
    Marks,
    ProjectFact,
    ReflogPosition,
    SeenCommit,
    SeenRewrite,
    SeenSquash,
    StateFact,
)
from agent_tracker.reflog import Left
from agent_tracker.registry import is_current, read_agents, write_agents
from agent_tracker.repository import Repository, known_repository, worktrees
from agent_tracker.rules import Timeline, format_values
from agent_tracker.spool import (
    Segment,
    append,
    ensure_directory,
    flush_locked,
    mark_applied,
    read_segment,
    seal,
    segments,
    set_aside,
)
from agent_tracker.tracing import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.records import Agent, Commit
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot, Writer

__all__ = ["flush", "known_agents", "known_repositories", "known_spools", "named_repositories", "tell_hooks"]

KEEP_SEGMENTS_S = 7 * 24 * 3600
MIN_COPIES = 2
"""How many backups must hold a segment before it goes."""

NOTHING = Applied(0, 0, 0, 0, (), ())
USER_KINDS = (AgentFact, StateFact, BindingFact, BugFact, WithdrawalFact, ForgetFact)
REPOSITORY_KINDS = (
    SeenCommit,
    SeenRewrite,
    SeenSquash,
    CreditFact,
    GradeFact,
    BugFact,
    WithdrawalFact,
    RetroFact,
    ActivityFact,
    SessionFact,
    BindingFact,
    PulseFact,
    ForgetFact,
)
PLACED = (BugFact, RetroFact, ActivityFact, SessionFact)
"""The facts that say in which project they were noted: that of the spool they lay in."""
MAX_OTHERS = 2000


class _Spool(NamedTuple):
    """One of the spools that take part, the kinds of record it may hold, and its project, empty for the user's own."""

    directory: str
    kinds: tuple[type, ...]
    project: str


class _Pending(NamedTuple):
    """A segment that is not applied as it is now, what it says, and how many lines it says nothing with."""

    segment: Segment
    sighted: list[Sighted]
    rejected: int
    rejected_file: str


class _Plan(NamedTuple):
    """What one flush is going to do, read before any lock of the store is taken."""

    pending: list[_Pending]
    positions: dict[str, ReflogPosition]
    facts: list[Fact]
    missing: list[AgentFact | StateFact]
    project: ProjectFact | None
    done: list[Segment]
    since: dict[bytes, int | None]
    refs: Refs | None
    due: int


def flush(repository: Repository | None, context: Context) -> FlushReport:
    """Bring everything that the user's spool and a repository's spool and reflogs say into the store.

    Args:
        repository: None flushes the user's own spool alone.
        context: Paths, environment, time, and how long to wait for another flush.

    Raises:
        SpoolError: Another flush holds the lock too long, or a spool is not usable.
        ConfigError: The configuration is not valid.
        StoreError: The store cannot be used; the spool keeps everything.
        GitError: Git cannot be run.
    """
    store, location = open_store(context)
    if not store.exists():
        forget(context.paths)
    try:
        report = _flush(repository, context, store, location.avoided)
    except (DamageError, UncheckedError):
        start(context, store.backups_dir)
        raise
    report = _merge(repository, context, store, report)
    report = report._replace(warnings=report.warnings + _fullness(context, store))
    start_if_due(context, store.backups_dir)
    if context.told is not None:
        context.told.append(report)
    return report


def _flush(repository: Repository | None, context: Context, store: Store, avoided: str) -> FlushReport:
    spools = [_Spool(context.paths.spool_dir, USER_KINDS, "")]
    ensure_directory(context.paths.spool_dir)
    if repository and os.path.isdir(directory := RepositoryPaths(repository.common_dir).spool_dir):
        spools.append(_Spool(directory, REPOSITORY_KINDS, read_project(repository)[0]))
    else:
        repository = None
    with ExitStack() as stack:
        for spool in spools:
            stack.enter_context(flush_locked(spool.directory, timeout_s=context.timeout_s))
            seal(spool.directory, now_ns=context.now_ns)
        before = settled.look(context.paths, context.env, repository, store.path) if repository else ""
        plan = _plan(store, spools, repository, context)
        begun = _begun_anew(store)
        move = find_move(store, plan.project)
        applied = _apply(store, plan, context) if move or _is_needed(plan, store) else NOTHING
        for spool in spools:
            mark_applied(spool.directory)
        with store.snapshot() as snapshot:
            agents = snapshot.agents() if snapshot else []
        # A flush that was killed after its transaction may have left the hooks to what was before.
        if snapshot and not is_current(context.paths.registry, agents):
            _write_registry(context, agents)
        warnings = begun + rules_trouble(context.paths)
        if repository:
            warnings += write_exports(repository, context.paths, context.env, store, spools[-1].project)
            if plan.refs:
                remember_branches(repository, plan.refs)
            _keep_squashes(repository, plan)
            _remember(context, repository, store, before, plan.due)
    if repository and move:
        warnings += make_up(store, repository, move, context.paths, timeout_s=context.timeout_s)
    files = tuple(pending.rejected_file for pending in plan.pending if pending.rejected)
    rejected = sum(pending.rejected for pending in plan.pending)
    return FlushReport(applied, len(plan.pending), rejected, files, store.path, avoided, warnings)


def _merge(repository: Repository | None, context: Context, store: Store, report: FlushReport) -> FlushReport:
    """Merge the databases of the OpenCode plugin that lie here, where a person wants it, and mention them otherwise."""
    waiting = find_waiting(context.paths, repository, store.path)
    if not waiting or context.plugin == LEAVE:
        return report
    if context.plugin == MENTION or not is_person(context.env):
        mentioned = (f"a database of the OpenCode plugin is not merged yet: {path}; {BY_HAND}" for path in waiting)
        return report._replace(warnings=(*report.warnings, *mentioned))
    from agent_tracker.migration import merge_waiting  # noqa: PLC0415 -- once for each such database

    migrated, lines = merge_waiting(context, repository, store.path, waiting)
    if migrated:
        try:
            tell_hooks(context)
        except SpoolError as error:
            lines += (f"{error.message}; the hooks know the merged agents from the next flush on",)
    return report._replace(warnings=report.warnings + lines, migrated=migrated)


def known_agents(context: Context) -> list[Agent]:
    """Return the registered agents from the store, or from the registry where the store cannot be read.

    Raises:
        ConfigError: The configuration is not valid.
    """
    try:
        store, _ = open_store(context)
        with store.snapshot() as snapshot:
            stored = snapshot.agents() if snapshot else []
    except StoreError:
        stored = []
    known = {agent.id for agent in stored}
    return stored + [agent for agent in read_agents(context.paths.registry) if agent.id not in known]


def tell_hooks(context: Context, changed: Agent | None = None) -> None:
    """Write the registry anew while no flush can be about to, which would take out what is newer.

    Args:
        context: Paths and how long to wait.
        changed: An agent as it is now, of which the store does not know yet.

    Raises:
        SpoolError: The state directory cannot be written, or a flush is running.
    """
    ensure_directory(context.paths.spool_dir)
    with flush_locked(context.paths.spool_dir, timeout_s=context.timeout_s):
        agents = [agent for agent in known_agents(context) if changed is None or agent.id != changed.id]
        _write_registry(context, [*agents, changed] if changed else agents)


def _write_registry(context: Context, agents: list[Agent]) -> None:
    try:
        write_agents(context.paths.registry, agents)
    except OSError as error:
        raise SpoolError(f"cannot write {context.paths.registry}: {error.strerror}", "check its permissions") from error


def named_repositories(context: Context) -> list[str]:
    """Return the paths of all repositories that the store or the list of installations names, there or not."""
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        paths = [os.fsdecode(project.path) for project in snapshot.projects()] if snapshot else []
    paths += read_text(context.paths.repositories).split("\n")
    return [path for path in dict.fromkeys(paths) if path]


def known_repositories(context: Context) -> list[str]:
    """Return the paths of the repositories that the store or the list of installations knows and that still exist."""
    return [path for path in named_repositories(context) if os.path.isdir(path)]


def known_spools(context: Context, repositories: Iterable[str]) -> list[str]:
    """Return the directories of the user's own spool and of those of these repositories, as far as they are there."""
    directories = [context.paths.spool_dir]
    for path in repositories:
        with suppress(AgentTrackerError):
            directories.append(RepositoryPaths(known_repository(path).common_dir).spool_dir)
    return list(dict.fromkeys(directories))


def _is_needed(plan: _Plan, store: Store) -> bool:
    is_new = plan.project is not None and not store.exists()
    return bool(plan.pending or plan.positions or plan.facts or plan.missing or plan.since) or is_new


def _plan(store: Store, spools: list[_Spool], repository: Repository | None, context: Context) -> _Plan:
    """Read segments, reflogs and git, with no lock of the store held."""
    project_id, root = read_project(repository) if repository else ("", b"")
    with store.snapshot() as snapshot:
        found = [(spool, segment) for spool in spools for segment in segments(spool.directory)]
        waiting = [pair for pair in found if not snapshot or snapshot.applied_size(pair[1].name) != pair[1].size]
        pending = [_read(spool, segment) for spool, segment in waiting]
        sighted = [said for each in pending for said in each.sighted]
        missing = _missing_agents(snapshot, context)
        rules = _changed_rules(snapshot, context)
        done = [segment for pair in found if pair not in waiting for segment in pair[1:]]
        if not repository:
            facts = gather("", "", sighted, Past(_known_marks(None)))
            return _Plan(pending, {}, [*rules, *facts], missing, None, done, {}, None, 0)
        said, positions = read_reflogs(snapshot, repository, project_id, now_ns=context.now_ns)
        sighted += said
        pushes, read = look_at_pushes(snapshot, repository, project_id, now_ns=context.now_ns)
        others = _others(snapshot, project_id)
        # A reset may have left commits to which nothing leads any more.
        refs = look_at_branches(
            repository, now=context.now, is_forced=any(isinstance(each.said, Left) for each in said)
        )
        sighted += [Sighted(Arrived(oid), context.now_ns + len(sighted) + i) for i, oid in enumerate(refs.arrived)]
        losses = Losses([], {})
        if refs.is_new and snapshot:
            losses = find_losses(snapshot, repository.common_dir, project_id, now_ns=context.now_ns)
        past = Past(_known_marks(snapshot), others, refs.trunk)
        facts = gather(repository.common_dir, project_id, sighted, past)
        lapsed = Lapsed([], 0)
        if snapshot:
            lapsed = find_lapsed(snapshot, project_id, now_ns=context.now_ns, arriving=facts)
    path = os.fsencode(repository.main_path)
    project = ProjectFact(project_id, path, root, context.now)
    facts = [*rules, *facts, *pushes, *lapsed.facts, *losses.facts]
    due = look_again(lapsed, facts, now=context.now)
    return _Plan(pending, positions | read, facts, missing, project, done, losses.since, refs, due)


def _changed_rules(snapshot: Snapshot | None, context: Context) -> list[RulesFact]:
    """Return the rules of the configuration where the store has others: they hold from when the file was changed.

    What a store begins with holds for all that comes into it. Rules that are not valid change nothing.
    """
    try:
        rules, changed_ns = read_rules(context.paths)
    except ConfigError:
        return []  # `rules_trouble` says so
    timeline = snapshot.timeline() if snapshot else Timeline()
    if rules == timeline.current:
        return []
    # A commit's time is in whole seconds: one of the same second comes after the change.
    changed_ns = min(changed_ns // 10**9 * 10**9, context.now_ns)
    # A file may be older than it was put there: what happened already keeps what it earned.
    known_ns = journal_tables.last_moment(snapshot) + 1 if snapshot else 0
    since_ns = max([changed_ns, known_ns, *(at + 1 for at in timeline.boundaries)])
    return [RulesFact(since_ns, snapshot is None, format_values(rules))]


def _missing_agents(snapshot: Snapshot | None, context: Context) -> list[AgentFact | StateFact]:
    """Return the facts of agents that the hooks know and the store does not: it was lost, and their segments too."""
    stored = {agent.id for agent in snapshot.agents()} if snapshot else set()
    facts: list[AgentFact | StateFact] = []
    for agent in read_agents(context.paths.registry):
        if agent.id not in stored:
            facts.append(AgentFact(*agent[:5], agent.created_at))
            facts += [StateFact(agent.id, "active" if on else "retired", at) for at, on in agent.transitions]
    return facts


def _read(spool: _Spool, segment: Segment) -> _Pending:
    """Return what a segment says; a record of a kind that may not be in this spool is set aside like a foreign line."""
    seen, rejected = read_segment(segment, spool.kinds)
    placed = (each._replace(project=spool.project) if isinstance(each, PLACED) else each for each in seen)
    sighted = [Sighted(said, segment.sealed_ns + index) for index, said in enumerate(placed)]
    return _Pending(segment, sighted, len(rejected), set_aside(segment, rejected) if rejected else "")


def _known_marks(snapshot: Snapshot | None) -> Callable[[bytes], Marks | None]:
    def known(oid: bytes) -> Marks | None:
        commit = snapshot.commit(oid) if snapshot else None
        return snapshot.marks(commit.marks) if snapshot and commit else None

    return known


def _others(snapshot: Snapshot | None, project: str) -> list[Known]:
    """Return the stored commits of a project and its clones that others may have been made of, the newest first."""
    if snapshot is None:
        return []
    recent = islice(snapshot.commits(snapshot.joined_projects(project)), MAX_OTHERS)
    return [_known(c) for c in recent if c.operation != "gone"]


def _known(commit: Commit) -> Known:
    state = "counted" if commit.status == COUNTED else "rewritten"
    return Known(commit.oid, state, commit.committed_at)


def _apply(store: Store, plan: _Plan, context: Context) -> Applied:
    facts: list[Fact] = [*plan.missing, *plan.facts]
    if plan.project:
        facts.append(plan.project)
    old = _old(store, plan.done, context)

    def work(writer: Writer) -> Applied:
        applied = apply(writer, facts, now=context.now)
        for pending in plan.pending:
            writer.put_applied_size(pending.segment.name, pending.segment.size)
        for worktree, position in plan.positions.items():
            writer.put_reflog_position(worktree, position)
        for oid, at in plan.since.items():
            writer.put_lost_since(oid, at)
        for segment in old:
            writer.forget_segment(segment.name)
        return applied

    applied = store.write(work, timeout_s=context.timeout_s)
    for segment in old:
        _delete(segment)
    return applied


def _fullness(context: Context, store: Store) -> tuple[str, ...]:
    """Return what is to be said of a database that is nearly full."""
    try:
        if 2 * os.stat(store.path).st_size < store.size_bytes:
            return ()
    except OSError:
        return ()
    from agent_tracker.durability.capacity import warnings_due  # noqa: PLC0415 -- most are small

    return warnings_due(context, store)


def _begun_anew(store: Store) -> tuple[str, ...]:
    """Return that a database is missing of which there are backups, in a line: a new one is begun."""
    if store.exists():
        return ()
    from agent_tracker.durability.manifests import read_manifests  # noqa: PLC0415 -- once in a store's life

    if not read_manifests(store.backups_dir):
        return ()
    return (f"the database {store.path} was not there, and a new one is begun; to have it back: agent-tracker restore",)


def _keep_squashes(repository: Repository, plan: _Plan) -> None:
    """Say again what is being squashed, for the next flush, while git waits for the commit."""
    if any(os.path.exists(os.path.join(git_dir, "SQUASH_MSG")) for _, git_dir in worktrees(repository.common_dir)):
        for pending in plan.pending:
            for said, _ in pending.sighted:
                if isinstance(said, SeenSquash):
                    append(RepositoryPaths(repository.common_dir).spool_dir, squash_line(said))


def _old(store: Store, done: list[Segment], context: Context) -> list[Segment]:
    """Return the segments that may go: applied as they are, all late writers have ended, and two backups hold them."""
    old = [segment for segment in done if context.now_ns - segment.sealed_ns > KEEP_SEGMENTS_S * 10**9]
    if not old:
        return []
    from agent_tracker.durability.manifests import coverage  # noqa: PLC0415 -- once a week

    covered = coverage(store.backups_dir)
    return [segment for segment in old if covered.get((segment.name, segment.size), 0) >= MIN_COPIES]


def _delete(segment: Segment) -> None:
    try:
        os.unlink(segment.path)
    except OSError:
        return


def _remember(context: Context, repository: Repository, store: Store, before: str, due: int) -> None:
    """Leave the hint that all is flushed, unless something came in meanwhile or the hint cannot be written.

    `due` is when something is to be looked at whatever comes in (Unix seconds), 0 where nothing is.
    """
    after = settled.look(context.paths, context.env, repository, store.path)
    if _without_database(before) != _without_database(after):
        return
    try:
        due = min(due or context.now + LOOK_AGAIN_S, context.now + LOOK_AGAIN_S)
        replace_file(os.path.join(RepositoryPaths(repository.common_dir).spool_dir, settled.FILE), f"{due}\n{after}")
    except OSError:
        return


def _without_database(look: str) -> str:
    lines = look.split("\n")
    return "\n".join(lines[:3] + lines[4:])
