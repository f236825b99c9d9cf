"""Making a text go: a secret in a note, or words that should not have been written.

Owns finding what an id means and every place that its texts may be in: the store and its freed pages, the spools and
segments of every known repository, the log, the exports, the backups. A tombstone stays, by which the text is kept out
wherever else it may come from. Never prints; never touches git's own objects.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_codec, journal_tables, packing
from agent_tracker.apply import FORGOTTEN
from agent_tracker.context import Context, open_store
from agent_tracker.database_file import ARCHIVES
from agent_tracker.durability.backups import forget_in
from agent_tracker.errors import AgentTrackerError, UsageError
from agent_tracker.export.writing import refresh_exports
from agent_tracker.flush import flush, named_repositories
from agent_tracker.journal import ForgetFact
from agent_tracker.paths import RepositoryPaths
from agent_tracker.projects import find_project
from agent_tracker.records import CreditFact
from agent_tracker.redact import redact_log, redact_spool
from agent_tracker.repository import known_repository
from agent_tracker.verbs.grading import check_person
from agent_tracker.verbs.noting import note
from agent_tracker.views.journal import one_by_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["Forgotten", "Found", "find", "forget"]

OID_DIGITS = (40, 64)
MIN_DIGITS = 4
SET_ASIDE = (".damaged-", ".before-restore-")
"""How the name of a database goes on that was set aside."""

_ID_BYTES = 6


class Found(NamedTuple):
    """What an id means: `id` in full, what it is (`grade`, `bug`, ... or `commit`), and the texts that it has now.

    `is_forgotten`: its texts had to go already.
    """

    id: str
    what: str
    texts: tuple[str, ...]
    is_forgotten: bool


class Forgotten(NamedTuple):
    """What was done. `lines` were blanked outside of the store.

    `missing` are known repositories that are not there now: what lies in them stays until this is done again there.
    `troubles` say what else could not be reached, one line each.
    """

    found: Found
    lines: int
    missing: tuple[str, ...]
    troubles: tuple[str, ...]


def find(repository: Repository | None, context: Context, text: str) -> Found:
    """Return what `text` means, having flushed what is here, and every known repository where it is not found so far.

    Args:
        repository: Where one is at hand.
        context: Paths, environment, time.
        text: An id, or its first digits; a commit by its whole oid.

    Raises:
        UsageError: Nothing, or more than one thing, has this id.
        StoreError: The store cannot be used.
    """
    has_spool = repository is not None and os.path.isdir(RepositoryPaths(repository.common_dir).spool_dir)
    flush(repository if has_spool else None, context)
    try:
        return _find(context, text)
    except UsageError:
        for each in _repositories(context)[0]:
            flush(each, context)
        return _find(context, text)


def _find(context: Context, text: str) -> Found:
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        if snapshot is None:
            raise UsageError(f"nothing has the id {text[:64]}", "nothing is recorded yet")
        if len(text) in OID_DIGITS:
            return _find_commit(snapshot, text.lower())
        texts: dict[str, tuple[str, list[str]]] = {}
        for kind in journal_codec.KINDS:
            for key, value in snapshot.table(kind.table).items(kind.letter) if kind.texts else ():
                fact = journal_codec.unpack(key, value)
                held = [str(getattr(fact, name)) for name in kind.texts]
                texts.setdefault(str(fact[0]), (kind.word, []))[1].extend(filter(None, held))
        for each, what in _archived(snapshot):
            texts.setdefault(each, (what, []))
        try:
            wanted = one_by_id(texts, text)
        except UsageError as error:
            whole = _whole_oid(snapshot, text.lower())
            if not whole:
                raise
            raise UsageError(
                f"{text} is a commit, which wants its whole oid", f"agent-tracker forget {whole}"
            ) from error
        what, found = texts[wanted]
        return Found(wanted, what, tuple(found), wanted in _targets(snapshot))


def _archived(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the ids of what was moved out, and what each is; its texts are in the file alone that it was moved to."""
    words = {kind.letter: kind.word for kind in journal_codec.KINDS}
    for key in snapshot.table("archived").keys() if "archived" in snapshot.names else ():
        yield key[-_ID_BYTES:].hex(), words.get(key[:1], "entry")


def _whole_oid(snapshot: Snapshot, digits: str) -> str:
    """Return the oid of a known commit that begins so, empty where none does, or it says too little."""
    if len(digits) < MIN_DIGITS:
        return ""
    return next((oid for commit in snapshot.commits() if (oid := commit.oid.hex()).startswith(digits)), "")


def _find_commit(snapshot: Snapshot, text: str) -> Found:
    """Return a commit's subject, and why its credit was put right.

    Raises:
        UsageError: No such commit is known.
    """
    try:
        oid = bytes.fromhex(text)
    except ValueError:
        oid = b""
    commit = snapshot.commit(oid) if oid else None
    if commit is None:
        raise UsageError(f"no commit {text[:64]} is known", "agent-tracker log --json shows whole oids")
    events = (packing.unpack_event(key, value) for key, value in snapshot.table("events").items(b"c" + oid))
    whys = [event.why for event in events if isinstance(event, CreditFact) and event.oid == oid and event.why]
    subject = [] if commit.subject == FORGOTTEN else [commit.subject]
    return Found(text, "commit", tuple(filter(None, subject + whys)), text in _targets(snapshot))


def _targets(snapshot: Snapshot) -> set[str]:
    return {fact.target for fact in journal_tables.facts(snapshot, ForgetFact)}


def forget(context: Context, found: Found) -> Forgotten:
    """Make the texts of what was found go, everywhere; doing it again finishes what was interrupted.

    Backups are rewritten one by one. A database that a recovery or a restore set aside is a person's to delete.

    Args:
        context: Paths, environment, time.
        found: As `find` returned it.

    Raises:
        RegistrationError: An agent asks for it.
        SpoolError: The tombstone cannot be written down.
        StoreError: The store cannot be used.
    """
    check_person(context.env, "what is to be forgotten", f"forget {found.id}")
    fact = ForgetFact(found.id, context.now_ns)
    noted = note(None, context, fact)
    troubles = [noted.trouble] if noted.trouble else []
    repositories, missing = _repositories(context)
    lines = 0
    directories = [context.paths.spool_dir, *(RepositoryPaths(each.common_dir).spool_dir for each in repositories)]
    for directory in dict.fromkeys(directories):
        try:
            lines += redact_spool(directory, found.id, found.texts, timeout_s=context.timeout_s)
        except AgentTrackerError as error:
            troubles.append(error.message)
    try:
        lines += redact_log(context.paths.log_file, found.texts)
    except AgentTrackerError as error:
        troubles.append(error.message)
    store, _ = open_store(context)
    for repository in repositories:
        troubles += refresh_exports(repository, store, find_project(repository))
    store.compact(timeout_s=context.timeout_s)
    troubles += forget_in(store.backups_dir, fact, now=context.now, timeout_s=context.timeout_s)
    troubles += [f"the text may still be in {path}, which was set aside: delete it" for path in _set_aside(store.path)]
    if found.what != "commit":
        troubles += _in_archives(os.path.join(context.paths.state_dir, ARCHIVES), found.id)
    return Forgotten(found, lines, tuple(missing), tuple(troubles))


def _set_aside(database: str) -> list[str]:
    """Return the files that a recovery or a restore left beside the database."""
    directory, name = os.path.split(os.path.realpath(database))
    begins = tuple(f"{name}{mark}" for mark in SET_ASIDE)
    found = os.listdir(directory) if os.path.isdir(directory) else []
    return [os.path.join(directory, each) for each in sorted(found) if each.startswith(begins)]


def _in_archives(directory: str, fact_id: str) -> Iterator[str]:
    """Yield why a text may be left in each archive that has the id, or that cannot be read; such a file stays whole."""
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        path = os.path.join(directory, name)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue
            with open(path, "rb") as file:
                if any(fact_id.encode() in line for line in file):
                    yield f"the text may still be in {path}: delete it, or import it, archive anew, and delete it"
        except OSError as error:
            yield f"the text may still be in {path}, which cannot be read: {error.strerror}"


def _repositories(context: Context) -> tuple[list[Repository], list[str]]:
    """Return every known repository that is there, and the paths of those that are not."""
    present, missing = {}, []
    for path in named_repositories(context):
        try:
            repository = known_repository(path)
            present[os.path.realpath(repository.common_dir)] = repository
        except AgentTrackerError:
            missing.append(path)
    return list(present.values()), missing
