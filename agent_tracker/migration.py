"""A database of the OpenCode plugin into the store: read, translated, applied in one transaction.

Owns the order of that, which entries are new, and which repository a path in an entry means. Put-if-absent: what is
here stays as it is, and doing it again adds what is new there. The database itself is never written and never locked.
Never prints.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from agent_tracker.apply import Applied, apply
from agent_tracker.context import Context, Counts, Listed, Migrated, open_store
from agent_tracker.database_kinds import classify
from agent_tracker.errors import AgentTrackerError, GitError, SourceError
from agent_tracker.fact_json import word_of
from agent_tracker.files import is_own
from agent_tracker.git import find_commits, find_root, is_tracked
from agent_tracker.lmdbjs.dictionaries import find_dictionary
from agent_tracker.lmdbjs.entries import read_entries
from agent_tracker.new_facts import find_new
from agent_tracker.plugin_facts import KINDS, Meant, Places, full_oid, translate
from agent_tracker.plugin_files import BY_HAND, INSIDE, remember
from agent_tracker.projects import find_project
from agent_tracker.records import CommitFact, ProjectFact, SightingFact
from agent_tracker.registration import PLUGIN, PLUGIN_ID
from agent_tracker.repository import find_repository

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from agent_tracker.lmdbjs.entries import Entry
    from agent_tracker.records import Fact
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot, Writer

__all__ = ["check_untracked", "merge_waiting", "migrate_database"]

LEAST_DIGITS, MOST_DIGITS = 7, 64
"""How many digits of an oid are looked up: git itself shortens to no fewer than seven."""

_WHERE = "the plugin's is ~/.config/opencode/agent-tracker.lmdb, or lies in a project's directory called ~"
MAX_SHORT = 50_000
MAX_PATH = 4096
ROOT_TIMEOUT_S = 3.0
_NAMESPACE = uuid.UUID("5a0f6a44-6a1f-5f0e-9a55-0c6f0f5c2b7e")
_HEX = frozenset("0123456789abcdef")


def migrate_database(
    context: Context, path: str, repository: Repository | None, *, dictionary: bytes = b"", dry_run: bool = False
) -> Migrated:
    """Merge a database of the plugin into the store, or say what that would be.

    Args:
        context: Paths, environment, time.
        path: The database, which stays as it is.
        repository: Where one is at hand: a path that an entry names may be its own.
        dictionary: By which long values are compressed; where it is empty, it is looked for.
        dry_run: Change nothing.

    Raises:
        SourceError: The database cannot be read; the message names it.
        StoreError: The store cannot be used; nothing was merged.
    """
    try:
        _check_kind(path)
        dictionary = dictionary or find_dictionary(path, context.paths.home, context.env)
        entries = read_entries(path, dictionary)
    except SourceError as error:
        raise SourceError(f"cannot migrate {path}: {error.message}", error.hint) from error
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        around = _Around(context, path, repository, snapshot, entries)
        meant = translate(
            entries, snapshot.agents() if snapshot else [], Places(around.project, around.find_oid), now=context.now
        )
        if dry_run:
            new = list(_new(snapshot, meant)) if snapshot else _first(meant)
            return _report(path, meant, new, None, has_dictionary=bool(dictionary))
    work = partial(_take, meant=meant, projects=around.projects, now=context.now)
    new, applied = store.write(work, timeout_s=context.timeout_s)
    return _report(path, meant, new, applied, has_dictionary=bool(dictionary))


def _check_kind(path: str) -> None:
    """Refuse what is no database of the plugin.

    Raises:
        SourceError: It is none, or cannot be read.
    """
    try:
        found = classify(path)
    except AgentTrackerError as error:
        raise SourceError(error.message, _WHERE) from error
    if found.kind == "lmdb":
        raise SourceError("it is an LMDB database that lmdb-js did not write", "agent-tracker import reads our exports")
    if found.kind != "lmdb-js":
        raise SourceError(f"it is not the OpenCode plugin's: {found.detail}", _WHERE)


# -- what is merged by itself


def merge_waiting(
    context: Context, repository: Repository | None, database: str, waiting: Iterable[str]
) -> tuple[tuple[Migrated, ...], tuple[str, ...]]:
    """Merge the plugin's databases that are found here or in the home directory.

    Args:
        context: Paths, environment, time.
        repository: Where one is at hand.
        database: Ours.
        waiting: Their paths, as `find_waiting` returned them.

    Returns:
        What was merged, and a line for each that was not. One that could not be read is not tried again before it
        changes.
    """
    merged, lines = [], []
    for path in waiting:
        try:
            check_untracked(context, path)
            merged.append(migrate_database(context, path, repository))
        except SourceError as error:
            hint = f"; {error.hint}" if error.hint else ""
            lines.append(f"a database of the OpenCode plugin was not merged: {error.message}{hint}")
        except AgentTrackerError as error:
            lines.append(f"a database of the OpenCode plugin was not merged: {path}: {error.message}")
            continue
        with suppress(OSError):
            remember(context.paths, path, database)
    return tuple(merged), tuple(lines)


def check_untracked(context: Context, path: str) -> None:
    """Refuse what came with a repository's commits: anybody may have written it.

    Raises:
        SourceError: Git tracks it.
    """
    if path != context.paths.default_database and is_tracked(path):
        raise SourceError(f"git tracks {path}, so that anybody may have written it", f"if it is yours: {BY_HAND} PATH")


# -- one transaction


def _take(
    writer: Writer, meant: Sequence[Meant], projects: dict[str, ProjectFact], now: int
) -> tuple[list[Fact], Applied]:
    new = list(_new(writer, meant))
    needed = {getattr(fact, "project", "") for fact in new}
    placed = find_new(writer, (fact for project, fact in projects.items() if project in needed))
    return new, apply(writer, [*placed, *new], now=now)


def _new(snapshot: Snapshot, meant: Iterable[Meant]) -> list[Fact]:
    """Return the facts that the store does not have, and what they say of commits whose agent was not known before."""
    facts = [fact for each in meant for fact in each.facts]
    agents = snapshot.numbered_agents()
    late = (_late_word(snapshot, fact, agents) for fact in facts if isinstance(fact, CommitFact))
    return [*find_new(snapshot, facts), *find_new(snapshot, filter(None, late))]


def _late_word(snapshot: Snapshot, fact: CommitFact, agents: Container[str]) -> SightingFact | None:
    """Return what the plugin says now of a commit whose agent had no entry that could be read before."""
    commit = snapshot.commit(fact.oid)
    told = dict(snapshot.marks(commit.marks)) if commit else {}
    now = dict(fact.marks)
    is_late = PLUGIN in told and told[PLUGIN] not in agents and told.get(PLUGIN_ID) == now.get(PLUGIN_ID)
    return SightingFact(fact.oid, fact.marks, fact.recorded_at) if is_late and told != now else None


def _first(meant: Iterable[Meant]) -> list[Fact]:
    """Return the facts as a store takes them that has none: each once."""
    return list({_identity(fact): fact for each in meant for fact in each.facts}.values())


def _identity(fact: Fact) -> tuple[object, ...]:
    return (type(fact), fact.oid) if isinstance(fact, CommitFact) else (type(fact), *fact)


def _report(
    path: str, meant: Sequence[Meant], new: Sequence[Fact], applied: Applied | None, *, has_dictionary: bool
) -> Migrated:
    is_new = {id(fact) for fact in new}
    counts: dict[str, list[int]] = {}
    listed = []
    for each in meant:
        if each.is_unreadable or not each.facts:
            at = 3 if each.is_unreadable else 2
        else:
            at = 0 if any(id(fact) in is_new for fact in each.facts) else 1
        counts.setdefault(each.kind, [0, 0, 0, 0])[at] += 1
        if each.reason and at != 1:
            listed.append(Listed(each.kind, each.key, each.reason, each.detail, Counts._fields[at]))
    facts: dict[str, int] = {}
    for fact in new:
        facts[word_of(fact)] = facts.get(word_of(fact), 0) + 1
    ordered = {kind: Counts(*counts[kind]) for kind in (*KINDS, "") if kind in counts}
    aliases = {each.key: each.facts[0][0] for each in meant if each.kind == "agents" and each.facts}
    return Migrated(path, ordered, tuple(listed), aliases, facts, applied, has_dictionary)  # type: ignore[arg-type]


# -- what paths and short names mean


class _Around:
    """What is known around a database: the projects of the paths that entries name, and commits by short names.

    A path in an entry is looked at only where a repository of this user's lies at that very place.
    """

    def __init__(
        self,
        context: Context,
        path: str,
        repository: Repository | None,
        snapshot: Snapshot | None,
        entries: Iterable[Entry],
    ) -> None:
        self._now = context.now
        self._here = repository
        # A database in a project's own directory is about that project.
        self._own_path = path[: -len(INSIDE)].rstrip(os.sep) if path.endswith(os.sep + INSIDE) else ""
        stored = snapshot.projects() if snapshot else []
        self._stored = {fact.id: fact for fact in stored}
        self._ids = {os.fsdecode(fact.path): fact.id for fact in stored}
        self._short = _short_names(entries)
        self._found: dict[str, tuple[str, dict[str, bytes]]] = {}
        self.projects: dict[str, ProjectFact] = {}
        """Those of the facts, by their ids."""

    def project(self, path: str) -> str:
        """Return the id of the project at a path; empty where none is named."""
        return self._look(path)[0]

    def find_oid(self, path: str, name: str) -> bytes:
        """Return the commit whose oid begins so, in the project at a path or, where none is named, in any."""
        if name not in self._short:
            return b""
        if path or self._own_path:
            return self._look(path)[1].get(name, b"")
        everywhere = {commits[name] for _, commits in self._found.values() if name in commits}
        return everywhere.pop() if len(everywhere) == 1 else b""

    def _look(self, path: str) -> tuple[str, dict[str, bytes]]:
        """Return a project's id, and the commits of its repository by the short names that entries have for them."""
        is_named = os.path.isabs(path) and len(path) <= MAX_PATH and "\0" not in path
        place = os.path.normpath(path) if is_named else ""
        if place not in self._found:
            repository = self._repository(place) if place else None
            if self._own_path and place != self._own_path and not repository and place not in self._ids:
                # It was about this project wherever that lay then.
                self._found[place] = self._look(self._own_path)
            else:
                self._found[place] = self._look_at(place, repository) if place else ("", {})
        return self._found[place]

    def _look_at(self, place: str, repository: Repository | None) -> tuple[str, dict[str, bytes]]:
        main = repository.main_path if repository else place
        own = find_project(repository) if repository else ""
        name = own or self._ids.get(main) or str(uuid.uuid5(_NAMESPACE, ascii(main)))
        root = b""
        commits: dict[str, bytes] = {}
        if repository and name not in self._stored:
            root = full_oid(find_root(repository.git_dir, repository.common_dir, timeout_s=ROOT_TIMEOUT_S))
        if repository and self._short:
            with suppress(GitError):
                commits = find_commits(repository.common_dir, sorted(self._short))
        self.projects[name] = self._stored.get(name) or ProjectFact(name, os.fsencode(main), root, self._now)
        return name, commits

    def _repository(self, place: str) -> Repository | None:
        """Return the repository of which this is the top, or of the project's own subdirectory; None where none is."""
        if self._here and place in {self._here.work_tree, self._here.main_path}:
            return self._here
        try:
            if not is_own(os.stat(place)):
                return None
            found = find_repository(place, {})
        except (GitError, OSError):
            return None
        return found if place in {found.work_tree, found.main_path, self._own_path} else None


def _short_names(entries: Iterable[Entry]) -> set[str]:
    """Return the beginnings of oids by which entries name commits."""
    found: set[str] = set()
    for each in entries:
        said = each.fields.get("commit_hash") or each.fields.get("commit") if each.fields else None
        name = said.lower() if isinstance(said, str) else ""
        is_short = LEAST_DIGITS <= len(name) < MOST_DIGITS and _HEX.issuperset(name) and not full_oid(name)
        if is_short and len(found) < MAX_SHORT:
            found.add(name)
    return found
