"""Facts out of the store into a file, and out of files into the store: moving to another machine, merging two stores.

Owns both verbs. A file is read to its end before anything of it is written, and what was found good is applied from a
private copy, so that nobody can change it in between. Applied in batches, put-if-absent: an import that was killed is
finished by doing it again. Never prints.
"""

from __future__ import annotations

import marshal
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.context import Context, open_store
from agent_tracker.database_file import refuse_ours
from agent_tracker.errors import AgentTrackerError, UsageError
from agent_tracker.every_fact import count_facts, every_fact
from agent_tracker.fact_files import ARCHIVE, EXPORT, FactReader, write_facts
from agent_tracker.fact_json import FACTS, word_of
from agent_tracker.flush import flush, tell_hooks
from agent_tracker.journal import JournalFact
from agent_tracker.new_facts import find_new
from agent_tracker.packing import event_key
from agent_tracker.records import Fact, ProjectFact, StateFact
from agent_tracker.verbs.grading import check_person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent_tracker.repository import Repository
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot, Writer

__all__ = ["STREAM", "Exported", "Imported", "export_facts", "import_facts", "say_nothing"]

STREAM = "-"
"""Stands for a standard stream in the place of a file's name."""

BATCH = 20_000
"""How many facts are applied in one transaction."""

BATCH_BYTES = 32 << 20
"""How long their lines may be in all: one fact may be as long as thousands."""

MAX_STATES = 10_000
"""How often a file may retire and resume one agent."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Exported(NamedTuple):
    """What was exported: where to (STREAM for a stream), how many facts, how many bytes.

    `trouble` says why what still waits in the spools is not among them, if it is not.
    """

    path: str
    facts: int
    size: int
    trouble: str


class Imported(NamedTuple):
    """What was imported: from which files, how many facts they hold, and how many of each kind are new here.

    `trouble` says what of it the hooks do not know before the next flush, if that is so.
    """

    paths: tuple[str, ...]
    facts: int
    new: dict[str, int]
    trouble: str


def say_nothing(_what: str, _done: int, _of: int) -> None:
    """Show nobody how far it is."""


def export_facts(  # noqa: PLR0913 -- a file or a stream, and how
    repository: Repository | None,
    context: Context,
    path: str,
    stream: BinaryIO | None = None,
    *,
    is_forced: bool = False,
    progress: Callable[[str, int, int], None] = say_nothing,
) -> Exported:
    """Write every fact of the store to a file, having flushed what is here.

    Args:
        repository: Where one is at hand.
        context: Paths, environment, time.
        path: The file, made with mode 0600, whole or not at all; or STREAM.
        stream: What STREAM stands for.
        is_forced: Write over a file that is there.
        progress: Is told what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: There is a file already, or the place is one of ours, which nothing is written over.
        AgentTrackerError: It cannot be written.
        StoreError: The store cannot be read.
    """
    store, _ = open_store(context)
    if stream is None:
        refuse_ours(path, context.paths, store.path)
        _check_place(path, is_forced=is_forced)
    trouble = ""
    try:
        flush(repository, context)
    except AgentTrackerError as error:
        trouble = error.message
    with store.snapshot() as snapshot:
        if stream is not None:
            return Exported(STREAM, *_export(snapshot, context, stream, progress), trouble)
        try:
            with _aside(path, is_forced=is_forced) as file:
                return Exported(path, *_export(snapshot, context, file, progress), trouble)
        except OSError as error:
            raise AgentTrackerError(
                f"cannot write {path}: {error.strerror}", "name another file, or - for standard output"
            ) from error


def _export(
    snapshot: Snapshot | None, context: Context, out: BinaryIO, progress: Callable[[str, int, int], None]
) -> tuple[int, int]:
    facts: Iterable[Fact] = every_fact(snapshot) if snapshot else ()
    count = count_facts(snapshot) if snapshot else 0

    def told(done: int, of: int) -> None:
        progress("exporting", done, of)

    return write_facts(out, facts, kind=EXPORT, count=count, exported_at=context.now, progress=told)


def _check_place(path: str, *, is_forced: bool) -> None:
    if not os.path.lexists(path):
        return
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise UsageError(f"not a regular file: {path}", "name another, or - for standard output")
    if not is_forced:
        raise UsageError(f"there is a file already: {path}", "--force writes over it")


@contextmanager
def _aside(path: str, *, is_forced: bool) -> Iterator[BinaryIO]:
    """Yield a new file that is put at `path` at the end of the block, and is gone where that fails."""
    aside = f"{path}.{os.getpid()}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(aside)
    try:
        with os.fdopen(os.open(aside, _FLAGS, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_place(path, is_forced=is_forced)
        os.replace(aside, path)
    finally:
        with suppress(OSError):
            os.unlink(aside)


# -- import


def import_facts(
    context: Context,
    paths: Sequence[str],
    stream: BinaryIO | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] = say_nothing,
) -> Imported:
    """Put the facts of files into the store, those that are not there yet; a wrong file changes nothing.

    A project that is known here keeps its path, and a text that was forgotten here stays forgotten.

    Args:
        context: Paths, environment, time.
        paths: The files; one of them may be STREAM.
        stream: What STREAM stands for.
        dry_run: Change nothing, and say what would be new.
        progress: As `export_facts` has it.

    Raises:
        RegistrationError: An agent asks for it.
        UsageError: STREAM is named twice.
        RecordError: A file is not whole, not of facts, or of a newer version.
        AgentTrackerError: A file cannot be read.
        StoreError: The store cannot be used; what was applied before stays.
    """
    if not dry_run:
        check_person(context.env, "an import of facts", "import ...")
    if list(paths).count(STREAM) > 1:
        raise UsageError("standard input can be read once", "name - once")
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        projects = {project.id for project in snapshot.projects()} if snapshot else set()
    state_dir = context.paths.state_dir
    with tempfile.TemporaryFile(dir=state_dir if os.path.isdir(state_dir) else None) as file:
        check = _Check(file, projects, progress)
        for path in paths:
            _read(path, stream, check)
        check.close()
        file.seek(0)
        if dry_run:
            with store.snapshot() as snapshot:
                return Imported(tuple(paths), check.facts, _count_new(snapshot, file), "")
        new = _take_all(store, context, file, check.facts, progress)
    trouble = ""
    try:
        if new.get("forget"):
            store.compact(timeout_s=context.timeout_s)
        tell_hooks(context)
    except AgentTrackerError as error:
        trouble = error.message
    return Imported(tuple(paths), check.facts, new, trouble)


def _read(path: str, stream: BinaryIO | None, check: _Check) -> None:
    try:
        if path == STREAM and stream is not None:
            check.read(FactReader(stream, "standard input"))
            return
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
                raise UsageError(f"not a regular file: {path}", "agent-tracker import FILE")
            check.read(FactReader(file, path))
    except OSError as error:
        raise AgentTrackerError(f"cannot read {path}: {error.strerror}", "check its name and permissions") from error


class _Check:
    """What was read of the files, found good and written down in batches.

    Args:
        held: Where to, private.
        projects: The ids of the projects that the store has.
        progress: Is told how far it is.
    """

    def __init__(self, held: BinaryIO, projects: set[str], progress: Callable[[str, int, int], None]) -> None:
        self._held = held
        self._projects = projects | {""}
        self._progress = progress
        self._states: dict[str, int] = {}
        self._batch: list[tuple[object, ...]] = []
        self._size = 0
        self._is_archive = False
        self.facts = 0

    def read(self, reader: FactReader) -> None:
        """Read a file to its end.

        Raises:
            RecordError: It is not whole, or a fact in it is wrong by itself or beside the others.
        """
        done = 0
        self.close()
        self._is_archive = reader.header.kind == ARCHIVE
        for fact, size in reader:
            if isinstance(fact, ProjectFact):
                self._projects.add(fact.id)
            elif isinstance(fact, StateFact):
                self._count_state(fact, reader)
            elif getattr(fact, "project", "") not in self._projects:
                raise reader.error(
                    "of a project that no line before it tells of", "import the export it belongs to first"
                )
            self._batch.append((word_of(fact), *fact))
            self._size += size
            done += 1
            if len(self._batch) == BATCH or self._size > BATCH_BYTES:
                self.close()
                self._progress("checking", done, reader.header.facts)
        self.facts += done

    def _count_state(self, fact: StateFact, reader: FactReader) -> None:
        count = self._states[fact.agent] = self._states.get(fact.agent, 0) + 1
        if count > MAX_STATES:
            raise reader.error(f"agent {fact.agent} is retired and resumed more than {MAX_STATES} times", "")

    def close(self) -> None:
        """Write down what was read since the last time."""
        data = marshal.dumps((self._is_archive, self._batch))
        try:
            self._held.write(len(data).to_bytes(8, "little") + data)
            self._held.flush()
        except OSError as error:
            raise AgentTrackerError(f"cannot keep what was read: {error.strerror}", "free some space") from error
        self._batch = []
        self._size = 0


def _batches(held: BinaryIO) -> Iterator[tuple[bool, list[Fact]]]:
    """Yield whether facts are of an archive, and these."""
    while length := held.read(8):
        data = held.read(int.from_bytes(length, "little"))
        # Written by this process to a file that has no name.
        is_archive, batch = marshal.loads(data)  # noqa: S302 -- as above
        yield is_archive, [FACTS[word]._make(fields) for word, *fields in batch]


def _take_all(
    store: Store, context: Context, held: BinaryIO, facts: int, progress: Callable[[str, int, int], None]
) -> dict[str, int]:
    new: dict[str, int] = {}
    done = 0
    for is_archive, batch in _batches(held):
        work = partial(_take, facts=batch, now=context.now, is_archive=is_archive)
        counted = store.write(work, timeout_s=context.timeout_s)
        for word, count in counted.items():
            new[word] = new.get(word, 0) + count
        done += len(batch)
        progress("importing", done, facts)
    return new


def _take(writer: Writer, facts: list[Fact], now: int, *, is_archive: bool) -> dict[str, int]:
    """Apply facts in a transaction and return how many of each kind were new; an archive's may come back."""
    for fact in facts if is_archive else ():
        if isinstance(fact, JournalFact):
            writer.table("archived").delete(event_key(fact))
    paths = {project.id: project.path for project in writer.projects()}
    arriving = [
        fact._replace(path=paths.get(fact.id, fact.path)) if isinstance(fact, ProjectFact) else fact for fact in facts
    ]
    new = list(find_new(writer, arriving))
    apply(writer, new, now=now)
    return _by_kind(new)


def _count_new(snapshot: Snapshot | None, held: BinaryIO) -> dict[str, int]:
    counted: dict[str, int] = {}
    for is_archive, batch in _batches(held):
        new = find_new(snapshot, batch, is_archive=is_archive) if snapshot else batch
        for word, count in _by_kind(new).items():
            counted[word] = counted.get(word, 0) + count
    return counted


def _by_kind(facts: Iterable[Fact]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for fact in facts:
        word = word_of(fact)
        counted[word] = counted.get(word, 0) + 1
    return counted
