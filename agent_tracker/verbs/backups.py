"""Backups as a person meets them: made now, listed, and one of them put in the database's place.

Owns finding the one that is meant, and what a restore would change. Making and thinning them is `durability.backups`.
Never prints, and never asks.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_codec
from agent_tracker.config import read_settings
from agent_tracker.context import Context, open_store
from agent_tracker.database_file import free_path
from agent_tracker.durability.backups import damaged, lineage_of, made_at, schema_copies, stamp, uncounted
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.copying import back_up
from agent_tracker.durability.maintenance import last_outcome
from agent_tracker.durability.manifests import read_manifests
from agent_tracker.durability.spawning import last_begun
from agent_tracker.durability.thinning import reasons
from agent_tracker.errors import DamageError, SpoolError, StoreError, UsageError
from agent_tracker.files import replace_file
from agent_tracker.flush import known_repositories, known_spools
from agent_tracker.registry import write_agents
from agent_tracker.spool import ensure_directory, flush_locked, segments
from agent_tracker.store import Store, read_fixed
from agent_tracker.verbs.grading import check_person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.records import Agent
    from agent_tracker.tables import Snapshot

__all__ = ["Backup", "Backups", "Change", "Restored", "Standings", "back_up", "list_backups", "plan", "restore"]

_CORE_WORDS = {
    b"w": "rewrite",
    b"s": "state",
    b"c": "credit",
    b"a": "agent",
    b"h": "sighting",
    b"u": "undone",
    b"l": "loss",
}
_WORDS = _CORE_WORDS | {kind.letter: kind.word for kind in journal_codec.KINDS}
"""The kinds of fact by the first letter of their keys."""

_FACT_TABLES = ("commits.oid", "events", *dict.fromkeys(k.table for k in journal_codec.KINDS if k.table != "events"))


CHOSEN = "chosen"
"""The file beside the backups that says which database a person restored last."""

NO_MANIFEST, DAMAGED = "no manifest", "damaged"

# -- the list


class Backup(NamedTuple):
    """One file of the directory.

    `reason` is what it stays for (`thinning`), or empty. `schema` is the version of a copy that was made before the
    database's format changed. `flaw` is why it does not count: NO_MANIFEST, or DAMAGED where a check found it so and it
    was set aside. Of such ones the counts are None. `problems`: what a check found wrong now, None where none was made.
    """

    name: str
    path: str
    made_at: int
    size: int
    commits: int | None
    agents: int | None
    records: int | None
    reason: str
    schema: str
    problems: tuple[str, ...] | None
    flaw: str = ""


class Backups(NamedTuple):
    """The directory, what is in it, the newest first, and what the process said that makes them.

    `interval_s` is 0 where none are made by themselves. `due_at`: when the next one may be made at the earliest (Unix
    seconds), 0 where the next flush may. `said_at` is 0 where that process never wrote down anything.
    """

    directory: str
    backups: tuple[Backup, ...]
    limit: int
    interval_s: int
    due_at: int
    said_at: int
    said: str


def list_backups(context: Context, *, is_checked: bool = False) -> Backups:
    """Return the backups of the database.

    Args:
        context: Paths, environment, time.
        is_checked: Each is read in full.

    Raises:
        StoreError: What lies at the database's path can be none, or no check can be made.
    """
    store, _ = open_store(context)
    settings = read_settings(context.paths, context.env)
    limit, interval_s = int(settings["maxBackups"].value), int(settings["backupInterval"].value)
    directory = store.backups_dir
    found = list(_regular(directory, limit, lineage_of(store))) + list(_uncounted(directory)) + _schema(directory)
    if is_checked:
        found = [backup._replace(problems=check_file(backup.path).problems) for backup in found]
    begun = last_begun(directory)
    due_at = int(begun) + interval_s if interval_s and 0 <= context.now - begun < interval_s else 0
    return Backups(directory, tuple(found), limit, interval_s, due_at, *last_outcome(directory))


def _regular(directory: str, limit: int, lineage: str) -> Iterator[Backup]:
    manifests = read_manifests(directory)
    times, lineages = [each.made_at for each in manifests], [each.lineage for each in manifests]
    for manifest, reason in zip(manifests, reasons(times, limit, lineages, lineage), strict=True):
        path, at, records, commits, agents = manifest[:5]
        yield Backup(_name(path), path, at, _size(path), commits, agents, records, reason, "", None)


def _uncounted(directory: str) -> Iterator[Backup]:
    for flaw, paths in ((NO_MANIFEST, uncounted(directory)), (DAMAGED, damaged(directory))):
        for path in reversed(paths):
            yield Backup(_name(path), path, made_at(path), _size(path), None, None, None, "", "", None, flaw)


def _schema(directory: str) -> list[Backup]:
    found = [
        Backup(_name(path), path, made_at(path), _size(path), None, None, None, "", version, None)
        for path, version in schema_copies(directory)
    ]
    return sorted(found, key=lambda backup: backup.made_at, reverse=True)


def _name(path: str) -> str:
    return os.path.basename(path).partition(".lmdb")[0]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


# -- which one is meant


def find(context: Context, named: str) -> str:
    """Return the path of the backup that is meant: the newest, if nothing is named.

    Args:
        context: Paths and environment.
        named: A time (UTC) or the beginning of one, with or without separators; or the path of any file.

    Raises:
        UsageError: None is, or more than one.
    """
    directory = open_store(context)[0].backups_dir
    paths = [backup.path for backup in read_manifests(directory)]
    names = {_name(path): path for path in [*paths, *reversed(uncounted(directory))]}
    if not named:
        if not names:
            raise UsageError(f"there is no backup in {directory}", "agent-tracker restore FILE")
        return next(iter(names.values()))
    names |= {_name(path): path for path, _ in schema_copies(directory)}
    begun = _digits(named)
    alike = {name: path for name, path in names.items() if begun and _digits(name).startswith(begun)}
    exact = [path for name, path in alike.items() if _digits(name) == begun]
    if len(exact or alike) == 1:
        return next(iter(exact or alike.values()))
    if os.path.lexists(named):
        return os.path.abspath(named)
    if alike:
        shown = ", ".join([*alike][:3])
        raise UsageError(f"{len(alike)} backups begin so: {shown}", "say more of it: agent-tracker backups")
    raise UsageError(f"no backup and no file is called {named}", "agent-tracker backups")


def _digits(time: str) -> str:
    """Return a time, or a backup's name, without what stands between its digits."""
    return time.upper().translate(str.maketrans("", "", "TZ:- "))


# -- what a restore changes


class Standings(NamedTuple):
    """What an agent has now and would have: None where it is not there."""

    id: str
    now: Agent | None
    then: Agent | None


class Change(NamedTuple):
    """What a restore would change.

    `gone` and `back`: how many facts the present database has and the backup has not, and the other way round, by kind.
    `problem`: why the present database cannot be read, then nothing is known of it. `segments`, `records`: those kept
    in the spools, and the lines in them, that the backup does not hold: the next flush reads them again.
    """

    database: str
    source: str
    made_at: int
    exists: bool
    problem: str
    gone: dict[str, int]
    back: dict[str, int]
    agents: tuple[Standings, ...]
    segments: int
    records: int


class Restored(NamedTuple):
    """What was put in place, and where the database is kept that was there, empty where there was none."""

    change: Change
    kept_as: str


def plan(context: Context, named: str) -> Change:
    """Return what it would change to put a backup in the database's place, having read all of the backup.

    Raises:
        UsageError: No backup, or more than one, is meant; or the database itself.
        DamageError: The backup is damaged.
        StoreError: It is no database of ours.
    """
    store, _ = open_store(context)
    source = find(context, named)
    if os.path.exists(store.path) and os.path.samefile(source, store.path):
        raise UsageError(f"{source} is the database itself", "agent-tracker backups")
    _check(source)
    manifests = {backup.path: backup.made_at for backup in read_manifests(store.backups_dir)}
    at = manifests.get(source) or made_at(source)
    with read_fixed(source) as then:
        if then is None:
            raise StoreError(f"there is no database at {source}", "agent-tracker backups")
        waiting, records = _waiting(context, then)
        agents = _standings([], then.agents())
        change = Change(store.path, source, at, store.exists(), "", {}, {}, agents, waiting, records)
        try:
            with store.snapshot() as now:
                if now is None:
                    return change
                gone, back = _differences(now, then)
                return change._replace(gone=gone, back=back, agents=_standings(now.agents(), then.agents()))
        except StoreError as error:
            return change._replace(problem=error.message)


def _check(source: str) -> None:
    if not os.path.isfile(source):
        raise UsageError(f"{source} is no file", "agent-tracker backups")
    if not Store(source, 0).exists():
        raise StoreError(f"there is no database at {source}", "agent-tracker backups")
    problems = check_file(source).problems
    if problems:
        raise DamageError(f"the backup {source} is damaged: {problems[0]}", "agent-tracker backups --check")


def _differences(now: Snapshot, then: Snapshot) -> tuple[dict[str, int], dict[str, int]]:
    gone: dict[str, int] = {}
    back: dict[str, int] = {}
    for name in _FACT_TABLES:
        for key, is_gone in _unlike(now.table(name).keys(), then.table(name).keys()):
            word = "commit" if name == "commits.oid" else _WORDS.get(key[:1], "other")
            counts = gone if is_gone else back
            counts[word] = counts.get(word, 0) + 1
    projects = [{fact.id for fact in each.projects()} for each in (now, then)]
    for counts, number in ((gone, len(projects[0] - projects[1])), (back, len(projects[1] - projects[0]))):
        if number:
            counts["project"] = number
    return gone, back


def _unlike(left: Iterator[bytes], right: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the keys that only one of two sorted streams has, and whether it is the left one."""
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine < theirs):
            yield mine or b"", True
            mine = next(left, None)
        elif mine is None or theirs < mine:
            yield theirs, False
            theirs = next(right, None)
        else:
            mine, theirs = next(left, None), next(right, None)


def _standings(now: list[Agent], then: list[Agent]) -> tuple[Standings, ...]:
    """Return the agents whose standing, or being there, differs."""
    before, after = ({agent.id: agent for agent in agents} for agents in (now, then))
    pairs = [Standings(each, before.get(each), after.get(each)) for each in sorted(before | after)]
    return tuple(pair for pair in pairs if not _is_same(pair))


def _is_same(pair: Standings) -> bool:
    if pair.now is None or pair.then is None:
        return False
    return (pair.now.standing, pair.now.active) == (pair.then.standing, pair.then.active)


def _waiting(context: Context, then: Snapshot) -> tuple[int, int]:
    """Return how many segments of the known spools a backup does not hold as they are, and how many lines they have."""
    held = then.applied_segments()
    try:
        known = known_repositories(context)
    except StoreError:
        known = [os.fsdecode(project.path) for project in then.projects()]
    found = [each for directory in known_spools(context, known) for each in segments(directory)]
    waiting = [each for each in found if held.get(each.name) != each.size]
    return len(waiting), sum(_lines(each.path) for each in waiting)


def _lines(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError:
        return 0


# -- doing it


def restore(context: Context, change: Change) -> Restored:
    """Put a backup in the database's place, which is kept, and tell the hooks which agents there are.

    No flush is at work meanwhile: what it planned would not be true of the database that it writes to.

    Raises:
        RegistrationError: An agent asks for it.
        DamageError: The backup is damaged; all stays as it is.
        SpoolError: A flush is running; all stays as it is.
        StoreError: Somebody writes the database, or there is no room for a copy; all stays as it is.
    """
    check_person(context.env, "which backup is restored", f"restore {os.path.basename(change.source)}")
    store, _ = open_store(context)
    kept_as = free_path(f"{os.path.realpath(store.path)}.before-restore-{stamp(context.now)}")
    ensure_directory(context.paths.spool_dir)
    with flush_locked(context.paths.spool_dir, timeout_s=context.timeout_s, command="agent-tracker restore"):
        store.replace(change.source, keep_as=kept_as, timeout_s=context.timeout_s)
        _choose(store)
        _tell_hooks(store, context)
    return Restored(change, kept_as if os.path.lexists(kept_as) else "")


def _choose(store: Store) -> None:
    """Have the doctor know that the database is the one that a person wanted, if that can be written."""
    lineage = lineage_of(store)
    with suppress(OSError):
        replace_file(os.path.join(store.backups_dir, CHOSEN), f"{lineage}\n")


def _tell_hooks(store: Store, context: Context) -> None:
    """Have the hooks know the agents of this database and no others, whom the next flush would register again."""
    with store.snapshot() as snapshot:
        agents = snapshot.agents() if snapshot else []
    try:
        write_agents(context.paths.registry, agents)
    except OSError as error:
        message = f"restored, but cannot write {context.paths.registry}: {error.strerror}"
        raise SpoolError(message, "check its permissions; then: agent-tracker doctor --fix") from error
