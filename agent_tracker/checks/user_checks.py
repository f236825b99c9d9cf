"""What can be wrong on the user's side: git, the configuration, the database, the registry, who commits, the list.

Owns those checks, one function each. Never changes anything.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from itertools import islice
from typing import TYPE_CHECKING

from agent_tracker.checks.symptoms import Finding, naming
from agent_tracker.config import read_rules, read_settings
from agent_tracker.escaping import shown_path
from agent_tracker.files import read_text
from agent_tracker.flush import known_agents, open_store
from agent_tracker.git import run
from agent_tracker.hook import environment_marks, explain
from agent_tracker.registration import Roster, identify
from agent_tracker.registry import read_session, write_agents
from agent_tracker.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.flush import Context

__all__ = [
    "agent",
    "configuration",
    "database",
    "database_access",
    "database_place",
    "database_size",
    "git",
    "gone_repositories",
    "of_user",
    "registry",
    "repositories",
]

OLDEST_GIT = (2, 30)
SAMPLE = 500
NEARLY_FULL = 0.9
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


# -- the database ------------------------------------------------------------------------------------------------------


def database(context: Context) -> Iterator[Finding]:
    """Yield nothing, having read the beginning of each table, each record with its checksum.

    Raises:
        StoreError: The database cannot be opened, is foreign, newer or damaged.
        RecordError: A record is damaged.
    """
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        tables = [snapshot.table(name) for name in TABLES] if snapshot else []
        for table in tables:
            for _ in islice(table.items(), SAMPLE):
                pass
    return iter(())


def database_access(context: Context) -> Iterator[Finding]:
    """Yield where the database cannot be written, or others may read it."""
    store, _ = open_store(context)
    if not store.exists():
        return
    shown = shown_path(store.path, context.paths.home)
    directory = os.path.dirname(store.path)
    if not os.access(store.path, os.R_OK | os.W_OK) or not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(f"the database cannot be written: {shown}", naming("ls", "-ld", directory, store.path))
    elif stat.S_IMODE(os.stat(store.path).st_mode) & 0o077:
        yield Finding(f"others may read the database: {shown}", naming("chmod", "600", store.path), is_fixable=True)


def database_size(context: Context, *, share: float = NEARLY_FULL) -> Iterator[Finding]:
    """Yield a database that has grown to nearly what it may grow to."""
    store, _ = open_store(context)
    used = os.path.getsize(store.path) / store.size_bytes if store.exists() else 0.0
    if used >= share:
        message = f"the database has grown to {used:.0%} of maxDatabaseSize ({store.size_bytes} bytes)"
        yield Finding(message, f"agent-tracker config set maxDatabaseSize {min(store.size_bytes * 2, 2 << 30)}")


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
        write_agents(place, known_agents(context))
        wanted = _tree(place)
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
    roster = Roster(known_agents(context), lambda session: read_session(context.paths.registry, session))
    identity = identify(marks, roster, at_ns=context.now_ns)
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
