"""What can be wrong on the user's side: git, the configuration, the database, the registry, who commits, the list.

Owns those checks, one function each. Never changes anything.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.checks.symptoms import Finding, naming
from agent_tracker.config import read_rules, read_settings
from agent_tracker.context import open_store
from agent_tracker.database_kinds import classify, locate
from agent_tracker.durability.capacity import fullness
from agent_tracker.durability.recovery import reports
from agent_tracker.durability.remedies import NEARLY_FULL
from agent_tracker.durability.unfinished import note_of
from agent_tracker.errors import ReadOnlyError, StoreError
from agent_tracker.escaping import shown_path
from agent_tracker.files import read_text
from agent_tracker.flush import known_agents
from agent_tracker.git import run
from agent_tracker.hook import environment_marks, explain, hooks_roster
from agent_tracker.mounts import free_bytes, mount_point, readable_size
from agent_tracker.obstacles import check_access, check_file_system, check_owner, companions
from agent_tracker.registration import identify
from agent_tracker.registry import write_agents
from agent_tracker.store import Store
from agent_tracker.verbs.clients import OUTDATED, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.context import Context

__all__ = [
    "agent",
    "clients",
    "configuration",
    "database",
    "database_access",
    "database_disk",
    "database_file_system",
    "database_leftovers",
    "database_owner",
    "database_place",
    "database_size",
    "git",
    "gone_repositories",
    "of_user",
    "open_to_others",
    "registry",
    "repositories",
    "spool_disk",
]

OLDEST_GIT = (2, 30)
OURS = ("absent", "empty", "lmdb")
"""What may lie at the path of a database that we make or open."""

SAMPLE = 500
SPOOL_ROOM_BYTES = 16_000_000
"""Some forty thousand facts: what a spool may need before anybody looks again."""
STALE_S = 3600
YEAR_S = 365 * 24 * 3600
_VERSION = re.compile(rb"git version (\d+)\.(\d+)")


def of_user(check: Callable[[str], Iterator[Finding]]) -> Callable[[Context], Iterator[Finding]]:
    """Return a check of a spool directory as one of the user's own spool."""

    def checked(context: Context) -> Iterator[Finding]:
        if os.path.lexists(context.paths.spool_dir):
            yield from check(context.paths.spool_dir)

    return checked


def git(_context: Context) -> Iterator[Finding]:
    """Yield where git is not on the PATH, or older than what is supported."""
    path = shutil.which("git")
    if path is None:
        yield Finding("git is not on the PATH", "install git 2.30 or newer")
        return
    said = run(["--version"], cwd=os.sep)
    version = _VERSION.match(said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_GIT:
        yield Finding(f"{path} is {said.decode('utf-8', 'replace').strip()}", "install git 2.30 or newer")


def configuration(context: Context) -> Iterator[Finding]:
    """Raise where the user's configuration is not valid.

    Raises:
        ConfigError: It is not; the message names file and key.
    """
    read_settings(context.paths, context.env, checks_export=True)
    read_rules(context.paths)
    return iter(())


def clients(context: Context) -> Iterator[Finding]:
    """Yield each client whose hooks are ours of another time, or whose own file cannot be read."""
    for each in look(context):
        if each.state == OUTDATED:
            yield Finding(f"the hooks of {each.title} are of another version", f"agent-tracker connect {each.client}")
        elif each.trouble:
            yield Finding(each.trouble, "mend it; then: agent-tracker clients")


# -- the database ------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where the database is or would be, what is there (empty where that is an error), how large it may grow."""

    path: str
    kind: str
    limit_bytes: int


def _place(context: Context) -> _Place:
    values = read_settings(context.paths, context.env)
    path, kind = str(values["databasePath"].value), ""
    with suppress(StoreError):  # `database` says it
        path = locate(path).path
        kind = classify(path).kind
    return _Place(path, kind, int(values["maxDatabaseSize"].value))


def database(context: Context) -> Iterator[Finding]:
    """Yield nothing, having read the beginning of each table, each record with its checksum.

    Raises:
        StoreError: The database cannot be opened, is foreign, newer or damaged.
        RecordError: A record is damaged.
    """
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        tables = [snapshot.table(name) for name in snapshot.names] if snapshot else []
        for table in tables:
            for _ in islice(table.items(), SAMPLE):
                pass
    return iter(())


def database_file_system(context: Context) -> Iterator[Finding]:
    """Raise where the database lies on a drive that other machines write, or that does not hold what it must.

    Raises:
        NetworkFileSystemError: It does, or would when it is made.
    """
    check_file_system(_place(context).path)
    return iter(())


def database_owner(context: Context) -> Iterator[Finding]:
    """Raise where the database is another user's than the one who asks.

    Raises:
        ForeignOwnerError: It is, or would be when root makes it.
    """
    place = _place(context)
    if place.kind in {"", *OURS}:
        check_owner(place.path)
    return iter(())


def database_access(context: Context) -> Iterator[Finding]:
    """Yield where others may read the database; another user's is `database_owner`'s, a foreign file nobody's.

    Raises:
        ReadOnlyError: It cannot be written; which file, directory or disk is in the way, and why.
    """
    path, kind, _ = _place(context)
    try:
        check_owner(path)
        kind = kind or classify(path).kind
    except ReadOnlyError:
        raise
    except StoreError:
        return
    if kind in OURS:
        check_access(path)
    readable = open_to_others(path) if kind == "lmdb" else []
    if readable:
        shown = ", ".join(shown_path(each, context.paths.home) for each in readable)
        yield Finding(f"others may read the database: {shown}", naming("chmod", "600", *readable), is_fixable=True)


def open_to_others(path: str) -> list[str]:
    """Return those of the database's files that are not the user's alone; a link is followed for the database only."""
    files = [each for each in companions(path) if os.path.isfile(each) and (each == path or not os.path.islink(each))]
    return [each for each in files if stat.S_IMODE(os.stat(each).st_mode) & 0o077]


def database_disk(context: Context) -> Iterator[Finding]:
    """Yield a disk with less room than the database may still take."""
    path, kind, limit_bytes = _place(context)
    if kind not in OURS:
        return
    used = os.path.getsize(path) if os.path.isfile(path) else 0
    growth = max(limit_bytes - used, 0)
    yield from _room(path, growth, f"the database may grow by {readable_size(growth)}")


def spool_disk(directory: str, *, needed_bytes: int = SPOOL_ROOM_BYTES) -> Iterator[Finding]:
    """Yield a disk that is so full that commits are about to go unrecorded."""
    yield from _room(directory, needed_bytes, f"commits are recorded in {directory} until they are flushed")


def _room(path: str, needed_bytes: int, purpose: str) -> Iterator[Finding]:
    free = free_bytes(path)
    if free is not None and free < needed_bytes:
        point = mount_point(path)
        largest = f"{naming('du', '-xhd2', point)} | sort -h | tail"
        message = f"the disk is nearly full: {readable_size(free)} free on {point}, and {purpose}"
        yield Finding(message, f"delete or move files; the largest: {largest}")


def database_size(context: Context, *, share: float = NEARLY_FULL) -> Iterator[Finding]:
    """Yield a database that has grown to nearly what it may grow to."""
    path, _, limit_bytes = _place(context)
    found = fullness(Store(path, limit_bytes), share=share)
    if found:
        a_year_ago = time.strftime("%Y-%m-%d", time.gmtime(context.now_ns // 10**9 - YEAR_S))
        yield Finding(found.message, found.ways_out(before=a_year_ago)[0])


def database_leftovers(context: Context) -> Iterator[Finding]:
    """Yield what a process that was killed, or a recovery, left beside the database."""
    path = _place(context).path
    directory, name = os.path.split(os.path.realpath(path))
    for found in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        beside = os.path.join(directory, found)
        if not found.startswith(f"{name}.") or not os.path.isfile(beside) or os.path.islink(beside):
            continue
        status = os.stat(beside)
        shown = f"{shown_path(beside, context.paths.home)} ({readable_size(status.st_size)})"
        if found.endswith((".new", ".new-lock")) and context.now_ns // 10**9 - status.st_mtime > STALE_S:
            yield Finding(
                f"an unfinished copy of the database, left by a program that was killed: {shown}", naming("rm", beside)
            )
        elif found.startswith(f"{name}.damaged-"):
            yield _set_aside(beside, shown, context.paths.backups_of(path))


def _set_aside(path: str, shown: str, backups_dir: str) -> Finding:
    """Return what to do with a damaged database: it may go where a report says what was had from it."""
    if os.path.lexists(note_of(backups_dir)):
        message = f"a recovery was begun and is not finished, and this is still to be read: {shown}"
        return Finding(message, "agent-tracker recover")
    named = f": {path}"
    if not any(line.endswith(named) for each in reports(backups_dir) for line in read_text(each).split("\n")):
        message = f"a damaged database lies there of which no report says what was had from it: {shown}"
        return Finding(message, "keep it: it may hold what is nowhere else")
    message = f"the damaged database that a recovery set aside is still there: {shown}"
    return Finding(message, f"where nothing is missing (agent-tracker verify): {naming('rm', path)}")


def database_place(context: Context) -> Iterator[Finding]:
    """Yield where the database makes way for another program's: if that file goes, another would be begun."""
    _, location = open_store(context)
    if location.avoided:
        avoided, path = (shown_path(p, context.paths.home) for p in (location.avoided, location.path))
        message = f"the OpenCode plugin's database is at {avoided}, so ours is {path}, but only while that one is there"
        yield Finding(message, naming("agent-tracker", "config", "set", "databasePath", location.path))


# -- agents ------------------------------------------------------------------------------------------------------------


def registry(context: Context) -> Iterator[Finding]:
    """Yield where the files by which hooks know agents are not those that the known agents would give."""
    with tempfile.TemporaryDirectory(prefix="at-doctor-") as place:
        # In a state directory of its own: what that is taken for is kept from others.
        scratch = os.path.join(place, "state", "registry")
        write_agents(scratch, known_agents(context))
        wanted = _tree(scratch)
    found = _tree(context.paths.registry)
    found.pop("policy", None)
    if found != wanted and (found or any(wanted.values())):
        where = shown_path(context.paths.registry, context.paths.home)
        message = f"what hooks know of agents is not what the database knows: {where}"
        yield Finding(message, "agent-tracker doctor --fix", is_fixable=True)


def _tree(top: str) -> dict[str, str]:
    """Return the text of every file under a directory, by its name there; temporary ones are left out."""
    files = [os.path.join(directory, name) for directory, _, names in os.walk(top) for name in names]
    return {os.path.relpath(path, top): read_text(path) for path in files if not path.endswith(".tmp")}


def agent(context: Context) -> Iterator[Finding]:
    """Yield where this process's environment names an agent that would get no credit."""
    marks = (("hook", "1"), *environment_marks(context.env))
    identity = identify(marks, hooks_roster(known_agents(context), context.paths.registry), at_ns=context.now_ns)
    if identity.problem:
        yield Finding(*explain(identity, context.env))


def repositories(context: Context) -> Iterator[Finding]:
    """Yield the repositories that are listed and gone."""
    for path in gone_repositories(context):
        yield Finding(f"listed, and gone: {path}", "agent-tracker doctor --all --fix", is_fixable=True)


def gone_repositories(context: Context) -> list[str]:
    """Return the paths in the list of installations at which there is nothing any more."""
    listed = read_text(context.paths.repositories).split("\n")
    return [path for path in dict.fromkeys(listed) if path and not os.path.isdir(path)]
