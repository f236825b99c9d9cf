"""A database in the place of one that is damaged or gone: the newest backup that passes, then what came since.

Owns the order of it, and saying what came from where. Only proven damage is a reason: a file that is full, locked,
read-only or of a newer format is left as it is. The damaged file is renamed, never deleted.

What came since lies in the segments of every known repository, which are kept until two backups hold them, and in git:
the flush that follows reads both. Where that gives less than there was, or nobody knows how much there was, the damaged
file itself is read for what of it is sound.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.context import Context, open_store
from agent_tracker.database_file import free_path
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import stamp
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.manifests import Manifest, read_manifests
from agent_tracker.durability.salvage import TABLES, salvaged
from agent_tracker.errors import AgentTrackerError, StoreError
from agent_tracker.files import read_text, replace_file
from agent_tracker.flush import flush, tell_hooks
from agent_tracker.paths import RepositoryPaths
from agent_tracker.records import CommitFact, Fact, ProjectFact
from agent_tracker.repository import known_repository
from agent_tracker.spool import segments
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.tables import Snapshot, Writer

__all__ = ["DAMAGED", "MISSING", "SOUND", "Plan", "Recovery", "plan", "recover", "report_lines", "reports"]

SOUND, DAMAGED, MISSING = "sound", "damaged", "missing"
FACTS = ("commits", "events", "retrospectives", "activities", "projects")
"""The tables that hold facts: what a backup and the segments must give back between them."""

SIZE_BYTES = 4 << 30
REPORT = "recovered-"
SHOWN = 3
"""How many of the problems a report names."""


class Plan(NamedTuple):
    """What a recovery would do.

    `state` is one of SOUND, DAMAGED, MISSING. `backup` is the newest that passes, None where there is none; `refused`
    are the newer ones that do not, each with the reason. `segments` are those not in that backup, and `unread` the
    known repositories that are not there, whose segments cannot be read.
    """

    database: str
    state: str
    problems: tuple[str, ...]
    backup: Manifest | None
    refused: tuple[tuple[str, str], ...]
    repositories: tuple[str, ...]
    segments: int
    unread: tuple[str, ...]


class Recovery(NamedTuple):
    """What a recovery did: where the damaged file is, how many facts came from where, and what is gone.

    `from_backup`, `from_spools`, `from_damaged` count facts; `commits` of those from the spools are commits. `gone`
    says what the damaged database held more of, by table; `is_known` that it is known how much it held. `troubles` are
    repositories that could not be read, a line each.
    """

    plan: Plan
    kept_as: str
    from_backup: int
    from_spools: int
    commits: int
    from_damaged: int
    gone: dict[str, int]
    troubles: tuple[str, ...]
    is_known: bool


def plan(context: Context) -> Plan:
    """Return what is wrong with the database and what a recovery would do about it; nothing is changed.

    Raises:
        StoreError: What lies at the path is not ours, or no check can be made.
    """
    store, _ = open_store(context)
    state, problems = _examine(store)
    backup, refused = (None, ()) if state == SOUND else _newest_sound(store.backups_dir, context.now)
    known = _known_paths(context, backup)
    present = tuple(path for path in known if os.path.isdir(path))
    return Plan(
        store.path,
        state,
        problems,
        backup,
        refused,
        present,
        _count_segments(present, context, backup),
        tuple(path for path in known if path not in present),
    )


def _examine(store: Store) -> tuple[str, tuple[str, ...]]:
    if not store.exists():
        return MISSING, ()
    problems = check_file(store.path).problems
    return (DAMAGED, problems) if problems else (SOUND, ())


def _newest_sound(directory: str, now: int) -> tuple[Manifest | None, tuple[tuple[str, str], ...]]:
    """Return the newest backup that passes, and the newer ones that do not.

    What says that it was made in the future is tried last: the clock was wrong then.
    """
    refused: list[tuple[str, str]] = []
    for backup in sorted(read_manifests(directory), key=lambda each: each.made_at > now):
        problems = check_file(backup.path).problems
        if not problems:
            return backup, tuple(refused)
        refused.append((backup.path, problems[0]))
    return None, tuple(refused)


def _known_paths(context: Context, backup: Manifest | None) -> list[str]:
    """Return the repositories that the backup or the list of installations names."""
    listed = read_text(context.paths.repositories).split("\n")
    stored: list[str] = []
    if backup:
        with Store(backup.path, SIZE_BYTES).snapshot(is_fixed=True) as snapshot:
            stored = [os.fsdecode(project.path) for project in snapshot.projects()] if snapshot else []
    return [path for path in dict.fromkeys([*stored, *listed]) if path]


def _count_segments(repositories: Iterable[str], context: Context, backup: Manifest | None) -> int:
    """Return how many segments a backup does not hold as they are."""
    held = backup.segments if backup else {}
    directories = [context.paths.spool_dir]
    for path in repositories:
        try:
            directories.append(RepositoryPaths(known_repository(path).common_dir).spool_dir)
        except AgentTrackerError:
            continue
    found = (segment for directory in directories for segment in segments(directory))
    return sum(held.get(segment.name) != segment.size for segment in found)


def recover(context: Context) -> Recovery | None:
    """Put the newest backup that passes in the place of a damaged or missing database, and bring in what came since.

    Returns:
        None where the database is sound, and where there is neither one nor a backup.

    Raises:
        StoreError: What lies at the path is not ours, somebody writes it, or there is no room for a copy.
    """
    store, _ = open_store(context)
    planned = plan(context)
    if planned.state == SOUND or (planned.state == MISSING and planned.backup is None):
        return None
    expected = _expected(store)
    kept_as = free_path(f"{os.path.realpath(store.path)}.damaged-{stamp(context.now)}")
    source = planned.backup.path if planned.backup else ""
    is_damaged = planned.state == DAMAGED
    problems = store.replace(source, keep_as=kept_as, timeout_s=context.timeout_s, only_damaged=is_damaged)
    if is_damaged and not problems:
        return None  # somebody else was quicker
    restored = sum(_counted(store).values())
    commits, troubles = _flush_all(planned, context)
    flushed = sum(_counted(store).values())
    if is_damaged and (not expected or _missing(expected, store)):
        _salvage(store, kept_as, context)
    done = Recovery(
        planned,
        kept_as if is_damaged else "",
        restored,
        flushed - restored,
        commits,
        sum(_counted(store).values()) - flushed,
        _missing(expected, store),
        tuple(troubles),
        bool(expected),
    )
    _leave_report(store, done, context)
    return done


def _missing(expected: dict[str, int], store: Store) -> dict[str, int]:
    """Return how many facts fewer there are than there were, by table."""
    now = _counted(store)
    return {name: count - now[name] for name, count in expected.items() if count > now[name]}


def _salvage(store: Store, damaged: str, context: Context) -> None:
    """Apply the facts that the damaged file still gives; those that are there already change nothing."""
    facts: list[Fact] = []
    for table in TABLES:
        facts += salvaged(damaged, table)
    if not facts:
        return

    def work(writer: Writer) -> None:
        known = {project.id for project in writer.projects()} | {f.id for f in facts if isinstance(f, ProjectFact)}
        sound = [f for f in facts if not isinstance(f, CommitFact) or f.project in known]
        apply(writer, sound, now=context.now)

    store.write(work, timeout_s=context.timeout_s)
    tell_hooks(context)


def _expected(store: Store) -> dict[str, int]:
    """Return how many facts the database held when it was last closed, as far as that is known."""
    return {name: count for name, count in fingerprint.counts(store.path).items() if name in FACTS}


def _counted(store: Store) -> dict[str, int]:
    def counts(snapshot: Snapshot | None) -> dict[str, int]:
        return {name: snapshot.table(name).count() for name in FACTS} if snapshot else dict.fromkeys(FACTS, 0)

    with store.snapshot() as snapshot:
        return counts(snapshot)


def _flush_all(planned: Plan, context: Context) -> tuple[int, list[str]]:
    commits, troubles = flush(None, context).applied.commits, []
    for path in planned.repositories:
        try:
            commits += flush(known_repository(path), context).applied.commits
        except AgentTrackerError as error:
            troubles.append(f"{path}: {error.message}")
    return commits, troubles + [f"{path}: it is not there" for path in planned.unread]


def _leave_report(store: Store, done: Recovery, context: Context) -> None:
    """Write what was done beside the backups, where `doctor` finds it."""
    path = free_path(os.path.join(store.backups_dir, f"{REPORT}{stamp(context.now)}.txt"))
    try:
        replace_file(path, "\n".join(report_lines(done)) + "\n")
    except OSError as error:
        raise StoreError(f"recovered, but the report cannot be written: {path}: {error.strerror}") from error


def reports(directory: str) -> list[str]:
    """Return the reports of recoveries beside the backups in a directory, the newest last."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.startswith(REPORT))
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names]


def report_lines(done: Recovery) -> list[str]:
    """Return what a recovery did, in words."""
    planned = done.plan
    lines = [f"The database {planned.database} was {planned.state}."]
    lines += [f"  {problem}" for problem in planned.problems[:SHOWN]]
    if len(planned.problems) > SHOWN:
        lines.append(f"  and {len(planned.problems) - SHOWN} more")
    if done.kept_as:
        lines.append(f"The damaged file is kept: {done.kept_as}")
    lines += [f"A newer backup is damaged too, and was passed over: {path}: {why}" for path, why in planned.refused]
    if planned.backup:
        made = stamp(planned.backup.made_at)
        lines.append(f"{done.from_backup} facts came from the backup of {made}: {planned.backup.path}")
    else:
        lines.append("There was no backup that passes.")
    lines.append(f"{done.from_spools} facts, {done.commits} commits among them, came from the spools and from git.")
    if done.from_damaged:
        lines.append(f"{done.from_damaged} facts were still sound in the damaged file.")
    lines += [f"Not read: {trouble}" for trouble in done.troubles]
    if not done.is_known:
        lines.append("How much the damaged file held is not known.")
    elif done.gone:
        lines.append("Gone: " + ", ".join(f"{count} in {name}" for name, count in done.gone.items()))
    else:
        lines.append("Nothing is gone.")
    return lines
