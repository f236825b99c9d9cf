"""Migrating databases of the OpenCode plugin by hand.

Owns which ones are meant. What is in them is merged as a flush does it (`migration`); never prints.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.context import LEAVE, Context, Migrated, open_store
from agent_tracker.errors import AgentTrackerError, SourceError, SpoolError
from agent_tracker.flush import flush, tell_hooks
from agent_tracker.lmdbjs.dictionaries import is_known, read_dictionary
from agent_tracker.migration import check_untracked, migrate_database
from agent_tracker.plugin_files import INSIDE, find_all, remember
from agent_tracker.verbs.grading import check_person

if TYPE_CHECKING:
    from agent_tracker.repository import Repository

__all__ = ["Done", "Failed", "migrate"]


class Failed(NamedTuple):
    """A database that could not be merged, and why."""

    path: str
    error: AgentTrackerError


class Done(NamedTuple):
    """What was merged, what could not be, and a warning about the dictionary that was named; empty where there is none.

    `trouble` says what of it the hooks do not know before the next flush, if that is so.
    """

    databases: tuple[Migrated, ...]
    failed: tuple[Failed, ...]
    warning: str
    trouble: str


def migrate(
    context: Context, repository: Repository | None, path: str = "", *, dictionary: str = "", dry_run: bool = False
) -> Done:
    """Merge databases of the OpenCode plugin into the store; what is here already stays as it is.

    Args:
        context: Paths, environment, time.
        repository: Where one is at hand.
        path: A database, or a directory with one in it; where it is empty, all that lie here, and the central one.
        dictionary: The file by which long values are compressed; where it is empty, it is looked for.
        dry_run: Change nothing, and say what would be merged.

    Raises:
        RegistrationError: An agent asks for it.
        SourceError: The database or the dictionary that is named cannot be read.
        StoreError: The store cannot be used.
    """
    if not dry_run:
        check_person(context.env, "another program's history", "migrate ...")
    said = read_dictionary(dictionary) if dictionary else b""
    warning = ""
    if said and not is_known(said):
        warning = f"no version of lmdb that is known here has this dictionary, texts may come out wrong: {dictionary}"
    database = open_store(context)[0].path
    paths = [_named(path)] if path else find_all(context.paths, repository, database)
    if not dry_run:
        # What the hooks saw of a commit comes before what the plugin says of it.
        with suppress(AgentTrackerError):
            flush(repository, context._replace(plugin=LEAVE))
    done, failed = [], []
    for each in paths:
        try:
            if not path:
                check_untracked(context, each)
            done.append(migrate_database(context, each, repository, dictionary=said, dry_run=dry_run))
        except SourceError as error:
            if path:
                raise
            failed.append(Failed(each, error))
        if not dry_run:
            with suppress(OSError):
                remember(context.paths, each, database)
    return Done(tuple(done), tuple(failed), warning, "" if dry_run or not done else _told(context))


def _told(context: Context) -> str:
    """Tell the hooks which agents there are now; return why that could not be."""
    try:
        tell_hooks(context)
    except SpoolError as error:
        return error.message
    return ""


def _named(path: str) -> str:
    """Return the database that a path means: a directory has it in one of two places.

    Raises:
        SourceError: There is none.
    """
    path = os.path.abspath(path)
    if not os.path.lexists(path):
        raise SourceError(f"there is nothing at {path}", "agent-tracker migrate PATH")
    if not os.path.isdir(path):
        return path
    inside = [os.path.join(path, name) for name in (INSIDE, os.path.basename(INSIDE))]
    found = next((each for each in inside if os.path.isfile(each)), "")
    if not found:
        raise SourceError(f"no database of the OpenCode plugin in {path}", f"it would be {inside[0]}")
    return found
