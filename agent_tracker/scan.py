"""A repository's own history into the store: the commits that were there before any hook of ours.

Owns the walk in chunks and what is kept of each commit. Never prints, never fetches, and writes nothing into the
repository.

Each chunk is one transaction: its commits, the agents met in them, and up to where the history is read now. A scan that
is killed has lost at most a chunk, which the next one reads again; a commit that is known already, from a hook, another
clone or an earlier scan, stays as it is. Commits without a mark are nobody's: marks are a lower bound.
"""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.census import Census
from agent_tracker.context import open_store
from agent_tracker.copies import Candidate, Copies
from agent_tracker.errors import GitError, SpoolError
from agent_tracker.files import remedy
from agent_tracker.flush import flush, tell_hooks
from agent_tracker.git import CommitObject, each_blob, each_commit, find_missing, find_root, read_setups
from agent_tracker.instructions import setup_marks
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.marks import IMPORTED, find_signs, setups_of
from agent_tracker.messages import clean, identity_marks, work_marks
from agent_tracker.notes import MAX_NOTE_BYTES, note_marks
from agent_tracker.projects import find_project, read_project
from agent_tracker.records import AgentFact, CommitFact, Fact, ProjectFact, RewriteFact, ScanPosition
from agent_tracker.registration import Roster, agent_id
from agent_tracker.spool import ensure_directory
from agent_tracker.walking import (
    Listed,
    find_gaps,
    has_mailmap,
    list_history,
    list_notes,
    look_at_refs,
    map_people,
    shallow_sum,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent_tracker.census import FoundAgent
    from agent_tracker.context import Context
    from agent_tracker.records import Marks
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Writer
    from agent_tracker.walking import Place

__all__ = ["Scanned", "scan"]

CHUNK = 4000
"""How many commits are read, and applied in one transaction: others that write wait as long as that takes."""

MAX_COMMIT_BYTES = 256 << 10
MAX_TIPS = 20_000
MAX_AGENTS = 200
"""How many agents one scan registers: a history may name any number."""

MAX_TREES = 100_000
COMMIT_BYTES = 250
"""What a commit without a mark takes in the store, generously: 163 bytes were measured, and a long subject has more."""

ROOM = 0.5
"""How much of the store's limit history may fill before commits without a mark are left out."""

FIND_ROOT_S = 60.0
NS = 10**9
_FOUND: Marks = (("found", "1"), (IMPORTED, "1"))


class Scanned(NamedTuple):
    """What a scan found in one repository.

    `listed` commits were not read before, of which `known` were stored already and `new` were not; `marked` of those
    carry marks of agents, `copies` hold work that another one holds too and do not count again, and `stored` were kept.
    `is_marked_only`: the others are left out, for want of room. `agents`
    are what the new commits amount to. `gaps` say what of the history is not here, or could not be read.
    """

    path: str
    listed: int
    known: int
    new: int
    stored: int
    marked: int
    copies: int
    is_marked_only: bool
    agents: tuple[FoundAgent, ...]
    gaps: tuple[str, ...]


def say_nothing(_what: str, _done: int, _of: int) -> None:
    """Show nobody how far it is."""


def scan(
    repository: Repository,
    context: Context,
    *,
    since: int = 0,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] = say_nothing,
) -> Scanned:
    """Read what is new in a repository's history into the store, having flushed what the hooks recorded.

    Args:
        repository: With or without hooks of ours.
        context: Paths, environment, time.
        since: Unix seconds; older commits are left out. 0 for all.
        dry_run: Change nothing, and say what would be found.
        progress: Is told what is being done, how much of it is done, and of how much.

    Raises:
        GitError: Git cannot be run, or lacks an object.
        SpoolError: Another scan or flush is at work, or a spool is not usable.
        ConfigError: The configuration is not valid.
        StoreError: The store cannot be used; what was applied before stays.
    """
    if dry_run:
        return _Scan(repository, context, since, is_dry_run=True).run(progress)
    with _alone(context):
        flush(repository if find_project(repository) else None, context)
        return _Scan(repository, context, since, is_dry_run=False).run(progress)


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Let one scan at a time write.

    Raises:
        SpoolError: Another one is at work, or the state directory cannot be written.
    """
    ensure_directory(context.paths.spool_dir)
    path = os.path.join(context.paths.spool_dir, "scan.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, timeout_s=0))
        except LockTimeoutError as error:
            raise SpoolError(f"another scan is running: {path}", "scan again when it is done") from error
        except OSError as error:
            raise SpoolError(f"cannot lock {path}: {error.strerror}", remedy(error)) from error
        yield


class _Scan:
    def __init__(self, repository: Repository, context: Context, since: int, *, is_dry_run: bool) -> None:
        self._repository = repository
        self._common_dir = repository.common_dir
        self._key = os.fsencode(repository.common_dir)
        self._context = context
        self._since = since
        self._is_dry_run = is_dry_run
        self._store, _ = open_store(context)
        self._shallow = shallow_sum(repository.common_dir)
        self._gaps = find_gaps(repository.common_dir)
        self._notes: dict[bytes, bytes] = {}
        self._mapped: dict[str, str] = {}
        self._has_mailmap = False
        self._trees: dict[bytes, tuple[bytes, tuple[bytes, ...]]] = {}
        self._copies = Copies(repository.common_dir)
        self._knows_stored = self._is_short = False
        self._registered: list[AgentFact] = []
        self._is_marked_only = False
        self._counts = {"known": 0, "new": 0, "stored": 0, "marked": 0, "copies": 0}
        with self._store.snapshot() as snapshot:
            position = snapshot.scan_position(self._key) if snapshot else None
            self._census = Census(Roster(snapshot.agents() if snapshot else ()))
        # Before anything is listed: a ref that moves meanwhile is seen by the next scan.
        self._refs, self._branches = look_at_refs(repository)
        self._tips: set[bytes] = set()
        self._is_settled = False
        if position and position.shallow == self._shallow and since >= position.since:
            self._tips = set(position.tips)
            self._is_settled = position.refs == self._refs

    def run(self, progress: Callable[[str, int, int], None]) -> Scanned:
        progress("listing", 0, 0)
        listed = Listed(b"")
        if not self._is_settled:
            listed = list_history(self._repository, but=sorted(self._tips), since=self._since)
        if len(listed):
            self._prepare(len(listed))
            done = 0
            places = iter(listed)
            while chunk := list(islice(places, CHUNK)):
                self._take(chunk)
                done += len(chunk)
                progress("scanning", done, len(listed))
        if not self._is_settled and not self._is_dry_run:
            self._finish()
        return self._report(len(listed))

    def _report(self, listed: int) -> Scanned:
        with self._store.snapshot() as snapshot:
            agents = self._census.agents(snapshot)
        counts = self._counts
        return Scanned(
            self._repository.main_path,
            listed,
            counts["known"],
            counts["new"],
            counts["stored"],
            counts["marked"],
            counts["copies"],
            self._is_marked_only,
            agents,
            tuple(dict.fromkeys(self._gaps)),
        )

    # -- before and after

    def _prepare(self, listed: int) -> None:
        size = os.path.getsize(self._store.path) if self._store.exists() else 0
        self._is_marked_only = size + listed * COMMIT_BYTES > ROOM * self._store.size_bytes
        self._has_mailmap = has_mailmap(self._repository)
        try:
            self._notes = list_notes(self._common_dir)
        except GitError as error:
            self._gaps.append(f"the notes of git-ai cannot be read: {error.message}")
        self._is_short = listed <= CHUNK
        if not self._is_dry_run:
            self._project = self._find_project()

    def _find_project(self) -> ProjectFact:
        """Return which project this is: as our hooks have it, else by the repository's path, with nothing written."""
        path = os.fsencode(self._repository.main_path)
        if find_project(self._repository):
            project, root = read_project(self._repository, timeout_s=FIND_ROOT_S)
            return ProjectFact(project, path, root, self._context.now)
        name = self._common_dir.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        project = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        with self._store.snapshot() as snapshot:
            known = {each.id: each.root for each in snapshot.projects()} if snapshot else {}
        if known.get(project):
            return ProjectFact(project, path, known[project], self._context.now)
        found = find_root(self._repository.git_dir, self._common_dir, timeout_s=FIND_ROOT_S)
        root = bytes.fromhex(found) if found not in {"", "-"} else b""
        return ProjectFact(project, path, root, self._context.now)

    def _finish(self) -> None:
        """Record up to where all is read, and tell the hooks of new agents.

        Branches below the tips are recorded too: a tip may be deleted, and pruned. What git no longer has goes.
        """
        self._tips |= self._branches
        self._tips -= find_missing(self._common_dir, sorted(self._tips))
        self._write([], refs=self._refs)
        if self._registered:
            tell_hooks(self._context)

    # -- one chunk

    def _take(self, chunk: list[Place]) -> None:
        with self._store.snapshot() as snapshot:
            fresh = [place.oid for place in chunk if snapshot is None or not snapshot.has_commit(place.oid)]
        facts = self._facts(fresh) if fresh else []
        for oid, parents in chunk:
            self._tips.difference_update(parents)
            self._tips.add(oid)
        self._counts["known"] += len(chunk) - len(fresh)
        if facts and not self._is_dry_run:
            self._write(facts)

    def _write(self, facts: Sequence[Fact], *, refs: int = 0) -> None:
        tips = tuple(sorted(self._tips)) if len(self._tips) <= MAX_TIPS else ()
        position = ScanPosition(tips, self._since, self._shallow, refs)

        def work(writer: Writer) -> None:
            apply(writer, facts, now=self._context.now)
            writer.put_scan_position(self._key, position)

        self._store.write(work, timeout_s=self._context.timeout_s)

    def _facts(self, oids: list[bytes]) -> list[Fact]:
        """Return the facts of commits that are not stored, and of the agents met in them for the first time."""
        said = {oid: self._said(found) for oid, found in self._objects(oids)}
        if len(said) < len(oids):
            self._gaps.append("commits that are in the history cannot be read: git fsck")
        self._map_people({each.author for each in said.values()} | {each.committer for each in said.values()})
        notes = self._read_notes(said)
        self._load_trees(said)
        signed: dict[bytes, Marks] = {}
        plain: dict[bytes, Marks] = {}
        for oid, each in said.items():
            marks = (*_FOUND, *self._people(each), *each.identity, *notes.get(oid, ()), *each.work)
            marks += self._restored(oid)
            (signed if _is_signed(marks) else plain)[oid] = marks
        setups = self._read_setups([said[oid].tree for oid in signed])
        signed = {oid: (*marks, *setup_marks(setups.get(said[oid].tree))) for oid, marks in signed.items()}
        new = self._meet(signed.values())
        all_marks = {oid: signed.get(oid) or plain[oid] for oid in said}
        kept = signed if self._is_marked_only else all_marks
        self._counts["new"] += len(said)
        self._counts["marked"] += len(signed)
        self._counts["stored"] += len(kept)
        self._know_stored({each.subject for each in said.values()})
        copies = self._copies.find([self._candidate(oid, said[oid], marks) for oid, marks in all_marks.items()])
        self._counts["copies"] += len(copies)
        for oid, each in said.items():
            if oid not in copies:
                self._census.add(oid, all_marks[oid], min(each.committed_at, self._context.now))
        if self._is_dry_run:
            return []
        facts: list[Fact] = [self._project, *new]
        facts += [self._fact(oid, each, kept[oid]) for oid, each in said.items() if oid in kept]
        facts += [self._copied(origin, oid, said[oid]) for oid, origin in copies.items() if oid in kept]
        return facts

    def _know_stored(self, subjects: set[str]) -> None:
        """Take in, once, the stored commits of which new ones may be copies: where there are few, by their subjects."""
        if self._knows_stored:
            return
        self._knows_stored = True
        with self._store.snapshot() as snapshot:
            if snapshot:
                self._copies.know(snapshot, subjects if self._is_short else None)

    def _candidate(self, oid: bytes, said: _Said, marks: Marks) -> Candidate:
        return Candidate(oid, self._trees[oid][1], said.author, said.subject, said.authored_at, marks)

    def _copied(self, origin: bytes, oid: bytes, said: _Said) -> RewriteFact:
        """Return that a commit holds another's work, as of when it was made: the same whichever scan finds it out."""
        return RewriteFact(origin, oid, "copy", min(said.committed_at, self._context.now) * NS, 0, 0)

    def _fact(self, oid: bytes, said: _Said, marks: Marks) -> CommitFact:
        now = self._context.now
        return CommitFact(oid, self._project.id, IMPORTED, marks, said.committed_at, now, said.subject)

    def _objects(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, CommitObject]]:
        for oid, found in each_commit(self._common_dir, oids, limit=MAX_COMMIT_BYTES):
            self._trees[oid] = (found.tree, found.parents)
            yield oid, found
        while len(self._trees) > MAX_TREES:
            del self._trees[next(iter(self._trees))]

    def _said(self, found: CommitObject) -> _Said:
        message = found.message
        subject = message.lstrip("\n").partition("\n")[0].strip()
        people = clean(found.author), clean(found.committer)
        identity, work = identity_marks(message), work_marks(message)
        times = found.authored_at, found.committed_at
        return _Said(*people, *times, clean(subject), found.tree, identity, work)

    def _people(self, said: _Said) -> Marks:
        """Return the people as the commit has them, and an agent that the mailmap knows one of them as."""
        real = [self._mapped.get(person, "") for person in (said.author, said.committer)]
        mapped = [("mailmap", clean(person)) for person in dict.fromkeys(real) if person]
        known = [mark for mark in mapped if find_signs((mark,))]
        return (("author", said.author), ("committer", said.committer), *known)

    def _map_people(self, people: set[str]) -> None:
        if not self._has_mailmap:
            return
        try:
            self._mapped = map_people(self._repository, sorted(people))
        except GitError as error:
            self._has_mailmap = False
            self._gaps.append(f"the mailmap cannot be read: {error.message}")

    def _read_notes(self, oids: Iterable[bytes]) -> dict[bytes, Marks]:
        blobs = {oid: self._notes[oid] for oid in oids if oid in self._notes}
        if not blobs:
            return {}
        bodies = each_blob(self._common_dir, blobs.values(), limit=MAX_NOTE_BYTES)
        said = {blob: note_marks(body) for blob, body in bodies}
        return {oid: said[blob] for oid, blob in blobs.items() if blob in said}

    def _read_setups(self, trees: list[bytes]) -> dict[bytes, tuple[tuple[str, str], ...]]:
        try:
            return read_setups(self._common_dir, trees)
        except GitError as error:
            self._gaps.append(f"setups cannot be read: {error.message}")
            return {}

    def _restored(self, oid: bytes) -> Marks:
        """Return a mark where a commit's tree is that before its parent, which it takes back then."""
        tree, parents = self._trees[oid]
        if len(parents) != 1:
            return ()
        own, before = self._tree_of(parents[0])
        if not before or tree == own:
            return ()
        return (("restores", parents[0].hex()),) if self._tree_of(before[0])[0] == tree else ()

    def _tree_of(self, oid: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        """Return a commit's tree and parents."""
        return self._trees.get(oid, (b"", ()))

    def _load_trees(self, oids: Iterable[bytes]) -> None:
        """Read what commits' parents and theirs were like, where that was long ago or an earlier scan."""
        wanted = list(oids)
        for _ in range(2):
            parents = {parent for oid in wanted for parent in self._tree_of(oid)[1]}
            missing = [oid for oid in parents if oid not in self._trees]
            for oid, found in each_commit(self._common_dir, missing, limit=MAX_COMMIT_BYTES) if missing else ():
                self._trees[oid] = (found.tree, found.parents)
            wanted = list(parents)

    def _meet(self, signed: Iterable[Marks]) -> list[AgentFact]:
        """Return the agents that the marks amount to and nobody has registered yet."""
        new: list[AgentFact] = []
        for marks in dict.fromkeys(signed):
            for client, model in setups_of(find_signs(marks)):
                agent = agent_id(client, model, IMPORTED)
                if agent in self._census.roster.by_id:
                    continue
                if len(self._registered) == MAX_AGENTS:
                    self._gaps.append(f"more than {MAX_AGENTS} agents: the others' commits stay unclaimed")
                    return new
                new.append(AgentFact(agent, client, model, IMPORTED, "", self._context.now))
                self._registered.append(new[-1])
                self._census.register(new[-1])
        return new


class _Said(NamedTuple):
    """What is kept of a commit object."""

    author: str
    committer: str
    authored_at: int
    committed_at: int
    subject: str
    tree: bytes
    identity: Marks
    work: Marks


def _is_signed(marks: Marks) -> bool:
    """Tell whether anything says that an agent made a commit."""
    return bool(find_signs(marks)) or any(n == "trailer" and v.lower().startswith("agent:") for n, v in marks)
