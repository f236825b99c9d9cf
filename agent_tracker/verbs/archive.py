"""Old journals out of the store and into a file of facts, from which an import brings them back.

Owns which go and that none is lost on the way: the file is written aside, synced, read back and compared before
anything is taken out, and what is taken out is what the file holds. Grades, bugs, sessions and all else that standings
follow from stay. Never prints.
"""

from __future__ import annotations

import calendar
import os
import time
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from agent_tracker import journal_codec
from agent_tracker.context import Context, open_store
from agent_tracker.database_file import ARCHIVES, refuse_ours, sync_directory
from agent_tracker.durability.backups import stamp
from agent_tracker.durability.remedies import is_worth_compacting
from agent_tracker.errors import AgentTrackerError, StoreBusyError, StoreError, StoreFullError, UsageError
from agent_tracker.fact_files import ARCHIVE, FactReader, write_facts
from agent_tracker.fact_json import word_of
from agent_tracker.flush import flush
from agent_tracker.journal import ActivityFact, RetroFact
from agent_tracker.journal_codec import KINDS, kind_of
from agent_tracker.store import Store
from agent_tracker.verbs.grading import check_person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.journal import JournalFact
    from agent_tracker.records import Fact
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot, Writer

__all__ = ["Archived", "Gone", "archive", "gone", "parse_before"]

JOURNALS = tuple(kind for kind in KINDS if kind.table != "events")
"""What is kept by time, in tables of its own, and moves no standing."""

_FACTS = (ActivityFact, RetroFact)
NS = 10**9
_UNITS = {"d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_MAX_DIGITS = 6
SPARE_BYTES = 1 << 20
"""How much larger than its limit the database may get to write down what goes: one that is full has no page left."""

PORTION, MIN_PORTION = 4096, 16
"""How many journals go in one transaction, at first and where there is no room for more."""


class Archived(NamedTuple):
    """What was moved, or would be: to where, of before when (Unix seconds), how many of each kind, the file's size.

    `left` of those stayed, for they were changed meanwhile. `trouble` says why what waits in the spools is not among
    them, if it is not. `is_compacted`: the database's file is smaller now, and none of their bytes is left in it;
    otherwise they are in its free pages, until something else is written there.
    """

    path: str
    before: int
    counts: dict[str, int]
    size: int
    left: int
    trouble: str
    is_compacted: bool = False


class Gone(NamedTuple):
    """How many of a kind were moved out, and when the oldest that is still here was written (Unix seconds, or 0)."""

    number: int
    oldest_at: int


def parse_before(text: str, *, now: int) -> int:
    """Return the time (Unix seconds) that a date (UTC) or an age means: `2026-01-31`, `90d`, `8w`, `2y`.

    Raises:
        UsageError: It means none of them, or a day to come.
    """
    digits, unit = text[:-1], text[-1:]
    at = None
    if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS and unit in _UNITS:
        at = max(now - int(digits) * _UNITS[unit], 0)
    else:
        with suppress(ValueError, OverflowError):
            at = calendar.timegm(time.strptime(text, "%Y-%m-%d"))
    if at is None:
        raise UsageError(f"neither a date nor an age: {text[:40]!r}", "for example: --before 2026-01-31, --before 90d")
    if at > now:
        raise UsageError(f"that day is still to come: {text}", "for example: --before 90d")
    return at


def archive(
    repository: Repository | None,
    context: Context,
    before: int,
    path: str = "",
    *,
    dry_run: bool = False,
) -> Archived:
    """Move the journals that were written before a time to a new file, having flushed what is here.

    Args:
        repository: Where one is at hand.
        context: Paths, environment, time.
        before: Unix seconds.
        path: The file (0600); one of its own in the state directory, if empty.
        dry_run: Change nothing, and say how much it is.

    Raises:
        RegistrationError: An agent asks for it.
        UsageError: There is a file already, or the place is one of ours.
        AgentTrackerError: It cannot be written, or does not read back; all stays as it is.
        StoreError: The store cannot be used; what it holds is there still.
    """
    if not dry_run:
        check_person(context.env, "moving journals out of the database", "archive ...")
    path = path or os.path.join(context.paths.state_dir, ARCHIVES, f"{stamp(context.now)}.jsonl")
    store, _ = open_store(context)
    refuse_ours(path, context.paths, store.path)
    if os.path.lexists(path):
        raise _is_there(path)
    trouble = ""
    try:
        flush(repository, context)
    except AgentTrackerError as error:
        trouble = error.message
    with store.snapshot() as snapshot:
        counts = _counted(snapshot, before) if snapshot else {}
        if snapshot is None or not counts:
            return Archived("", before, {}, 0, 0, trouble)
        if dry_run:
            size = _write(snapshot, _Sink(), before, context)
            return Archived(path, before, counts, size, 0, trouble)
        size = _write_file(snapshot, path, before, context)
    moved = _take_out(store, path, context)
    is_compacted = _compact(store, context)
    return Archived(path, before, counts, size, sum(counts.values()) - moved, trouble, is_compacted=is_compacted)


def _is_there(path: str) -> UsageError:
    return UsageError(f"there is a file already: {path}", "name another one")


# -- which


def _journals(snapshot: Snapshot, before: int) -> Iterator[JournalFact]:
    for kind in JOURNALS:
        for key, value in snapshot.table(kind.table).items(kind.letter):
            fact = journal_codec.unpack(key, value)
            if fact.recorded_ns >= before * NS:
                break
            yield fact


def _facts(snapshot: Snapshot, before: int) -> Iterator[Fact]:
    """Yield what the file holds: the projects that its journals are of, and these."""
    of = {fact.project for fact in _journals(snapshot, before)}  # type: ignore[union-attr]
    yield from sorted(project for project in snapshot.projects() if project.id in of)
    yield from _journals(snapshot, before)


def _counted(snapshot: Snapshot, before: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for fact in _journals(snapshot, before):
        word = word_of(fact)
        counts[word] = counts.get(word, 0) + 1
    return counts


# -- into the file


class _Sink:
    """Takes what is written to it, and keeps none of it."""

    def write(self, data: bytes) -> int:
        """Return how long it is."""
        return len(data)


def _write(snapshot: Snapshot, out: BinaryIO | _Sink, before: int, context: Context) -> int:
    count = sum(1 for _ in _facts(snapshot, before))
    facts = _facts(snapshot, before)
    return write_facts(out, facts, kind=ARCHIVE, count=count, exported_at=context.now).size  # type: ignore[arg-type]


def _write_file(snapshot: Snapshot, path: str, before: int, context: Context) -> int:
    """Write the file aside, read it back, and give it its name, which nothing else may have; return its size."""
    directory = os.path.dirname(os.path.abspath(path))
    aside = f"{path}.{os.getpid()}.tmp"
    try:
        if os.path.realpath(directory) == os.path.realpath(os.path.join(context.paths.state_dir, ARCHIVES)):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(aside)
        try:
            with os.fdopen(os.open(aside, _FLAGS, 0o600), "w+b") as file:
                size = _write(snapshot, file, before, context)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                _compare(snapshot, file, aside, before)
            _name(aside, path)
            sync_directory(directory)
        finally:
            with suppress(OSError):
                os.unlink(aside)
    except OSError as error:
        raise AgentTrackerError(f"cannot write {path}: {error.strerror}", "name another file") from error
    return size


def _compare(snapshot: Snapshot, file: BinaryIO, name: str, before: int) -> None:
    """Read all of a file and compare it with what it was written from.

    Raises:
        AgentTrackerError: It is not the same.
    """
    expected = _facts(snapshot, before)
    for fact, _ in FactReader(file, name):
        if fact != next(expected, None):
            raise AgentTrackerError(f"{name} does not read back as it was written", "agent-tracker verify")
    if next(expected, None) is not None:
        raise AgentTrackerError(f"{name} does not read back as it was written", "agent-tracker verify")


def _name(aside: str, path: str) -> None:
    try:
        os.link(aside, path)
    except FileExistsError as error:
        raise _is_there(path) from error
    except OSError as error:
        # Where the file system knows no second name for a file.
        if os.path.lexists(path):
            raise _is_there(path) from error
        os.rename(aside, path)


# -- out of the store


def _take_out(store: Store, path: str, context: Context) -> int:
    """Take what the file holds out of the store and return how many there were.

    In portions: a store at its limit has no page left to write down what goes, and what one portion frees is for those
    after the next. Who is killed between two finds the rest in the file and in the store.
    """
    limit_bytes = store.size_bytes + SPARE_BYTES
    larger = Store(store.path, limit_bytes, store.backups_dir, check_timeout_s=context.check_timeout_s)
    is_begun, moved = False, 0
    try:
        with open(path, "rb") as file:
            journals = _journals_of(file, path)
            while facts := list(islice(journals, PORTION)):
                for count in _move_all(larger, facts, context):
                    is_begun, moved = True, moved + count
    except StoreError as error:
        if not is_begun and isinstance(error, StoreBusyError | StoreFullError):
            os.unlink(path)
        else:
            error.message = f"{error.message}; the journals are in {path}, and may be in the database too"
        raise
    with suppress(StoreError):
        # What a transaction frees is for the one after the next, which at the limit must not need more first.
        larger.write(lambda _: None, timeout_s=context.timeout_s)
    return moved


def _journals_of(file: BinaryIO, path: str) -> Iterator[JournalFact]:
    for fact, _ in FactReader(file, path):
        if isinstance(fact, _FACTS):
            yield fact


def _move_all(store: Store, facts: list[JournalFact], context: Context) -> Iterator[int]:
    """Take facts out of the store, fewer at once where it is too full for all; yield how many went with each commit."""
    try:
        moved = store.write(partial(_move, facts=facts), timeout_s=context.timeout_s)
    except StoreFullError:
        if len(facts) <= MIN_PORTION:
            raise
    else:
        yield moved
        return
    half = len(facts) // 2
    yield from _move_all(store, facts[:half], context)
    yield from _move_all(store, facts[half:], context)


def _compact(store: Store, context: Context) -> bool:
    """Take the bytes of what went out of the database's file too, where they are many; tell whether that was done."""
    try:
        figures = store.figures()
        if figures is None or not is_worth_compacting(figures.file_bytes, figures.spare_bytes):
            return False
        store.compact(timeout_s=context.timeout_s)
    except StoreError:
        return False  # all was moved, which is what was asked for
    return True


def _move(writer: Writer, facts: list[JournalFact]) -> int:
    archived, moved = writer.table("archived"), 0
    for fact in facts:
        table, key = writer.table(kind_of(fact).table), journal_codec.key_of(fact)
        # One of which a text was forgotten since stays as it is now.
        if table.get(key) == journal_codec.pack(fact):
            table.delete(key)
            archived.mark(key)
            moved += 1
    return moved


# -- afterwards


def gone(snapshot: Snapshot | None, fact: type[JournalFact]) -> Gone | None:
    """Return how many facts of a kind were moved out, None where none was."""
    kind = next((kind for kind in JOURNALS if kind.fact is fact), None)
    if snapshot is None or kind is None or "archived" not in snapshot.names:
        return None
    count = sum(1 for _ in snapshot.table("archived").keys(kind.letter))
    oldest = next(snapshot.table(kind.table).keys(kind.letter), b"")
    return Gone(count, int.from_bytes(oldest[1:9], "big") // NS) if count else None
