"""What can be wrong with the backups: none for a week, the process that makes them failed, no place for them.

Owns those checks. Never makes a backup and never reads one.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker.checks.symptoms import Finding, naming
from agent_tracker.config import read_settings
from agent_tracker.context import open_store
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import damaged, lineage_of, uncounted
from agent_tracker.durability.maintenance import BEGUN, FAILED, LIMIT_S, last_outcome
from agent_tracker.durability.manifests import read_manifests
from agent_tracker.errors import AgentTrackerError
from agent_tracker.escaping import shown_path
from agent_tracker.files import read_text
from agent_tracker.verbs.backups import CHOSEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.context import Context
    from agent_tracker.store import Store

__all__ = ["backups", "backups_access"]

WEEK_S = 7 * 86_400
REMEDY = "agent-tracker backup"


def backups(context: Context) -> Iterator[Finding]:
    """Yield a database that was begun anew, backups that do not count, and what keeps wanted ones from being made.

    That is where there was none for a week, and where what makes them failed since the last one.
    """
    store, _ = open_store(context)
    yield from _begun_anew(store)
    yield from _flawed(store, context)
    if not _are_wanted(context):
        return
    newest = next(iter(read_manifests(store.backups_dir)), None)
    if store.exists() and (newest is None or newest.look != fingerprint.look(store.path)):
        since = newest.made_at if newest else _used_since(store, context)
        if context.now - since > WEEK_S:
            days = (context.now - since) // 86_400
            message = f"the last backup is {days} days old" if newest else "there is no backup of the database"
            yield Finding(f"{message}, and it has changed since" if newest else message, REMEDY)
    at, said = last_outcome(store.backups_dir)
    if newest and newest.made_at > at:
        return
    if said.startswith(FAILED):
        yield Finding(f"the last backup {said}", REMEDY)
    elif said == BEGUN and context.now - at > LIMIT_S:
        yield Finding("the last backup was begun, and its process was killed", REMEDY)


def _begun_anew(store: Store) -> Iterator[Finding]:
    """Yield that the backups are of another database than the one there is, unless a person chose this one."""
    found = read_manifests(store.backups_dir)
    if not found or not store.exists():
        return
    lineage = lineage_of(store)
    others = [backup for backup in found if backup.lineage != lineage]
    if others and read_text(os.path.join(store.backups_dir, CHOSEN)) != f"{lineage}\n":
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(others[0].made_at))
        message = f"the database was begun anew: of the one before there are backups, the last of {when}"
        name = os.path.splitext(os.path.basename(others[0].path))[0]
        yield Finding(f"{message} (delete them if that was meant)", naming("agent-tracker", "restore", name))


def _flawed(store: Store, context: Context) -> Iterator[Finding]:
    """Yield backups that failed a check, and those that do not count until they are checked."""
    for path in damaged(store.backups_dir):
        yield Finding(
            f"a backup failed its check, and is kept: {shown_path(path, context.paths.home)}", naming("rm", path)
        )
    paths = uncounted(store.backups_dir)
    if paths:
        shown = shown_path(paths[-1], context.paths.home)
        yield Finding(f"{len(paths)} of the backups have no sound manifest and do not count yet: {shown}", REMEDY)


def backups_access(context: Context) -> Iterator[Finding]:
    """Yield a directory for backups that cannot be read or written, which nothing else would tell."""
    if not _are_wanted(context):
        return
    place = open_store(context)[0].backups_dir
    while not os.path.lexists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    shown = shown_path(place, context.paths.home)
    if not os.path.isdir(place):
        yield Finding(f"there can be no backups: {shown} is not a directory", naming("mv", place, f"{place}.old"))
    elif not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(f"there can be no backups: {shown} cannot be written", naming("chmod", "u+rwx", place))


def _are_wanted(context: Context) -> bool:
    return bool(read_settings(context.paths, context.env)["backupInterval"].value)


def _used_since(store: Store, context: Context) -> int:
    """Return when the first project was recorded (Unix seconds), now where that cannot be told."""
    with suppress(AgentTrackerError), store.snapshot() as snapshot:  # `database` says why it cannot be read
        projects = snapshot.projects() if snapshot else []
        return min((project.recorded_at for project in projects), default=context.now)
    return context.now
