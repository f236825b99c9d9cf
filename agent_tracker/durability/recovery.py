"""A database in the place of one that is damaged or gone: the newest backup that passes, then what came since.

Owns the order of it, and saying what came from where. Only proven damage is a reason: a file that is full, locked,
read-only or of a newer format is left as it is. The damaged file is renamed, never deleted.

Then the damaged file itself is read for what of it is sound. What came since the backup lies besides in the segments of
every known repository, which are kept until two backups hold them, and in git: the flush that follows reads both.

A note (`unfinished`) is written before the file is renamed, and taken away when the report is written: a recovery that
was killed between the two is gone on with.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.context import Context, open_store
from agent_tracker.database_file import free_path, translated_os
from agent_tracker.durability import fingerprint, reckoning
from agent_tracker.durability.backups import made_at, manifest_for, schema_copies, stamp
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.manifests import Manifest, read_manifests
from agent_tracker.durability.reckoning import FACTS, counted
from agent_tracker.durability.salvage import Salvaged, salvaged
from agent_tracker.durability.unfinished import Unfinished, drop_note, is_unfinished, read_note, write_note
from agent_tracker.errors import AgentTrackerError, SpoolError, StoreBusyError, StoreError
from agent_tracker.files import make_directory, read_text, remedy, replace_file
from agent_tracker.flush import flush, known_spools, tell_hooks
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.records import CommitFact, Fact, ProjectFact
from agent_tracker.repository import known_repository
from agent_tracker.spool import ensure_directory, flush_locked, segments
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.tables import Writer

__all__ = [
    "DAMAGED",
    "MISSING",
    "SOUND",
    "Plan",
    "Recovery",
    "is_unfinished",
    "plan",
    "problem_lines",
    "recover",
    "report_lines",
    "reports",
]

SOUND, DAMAGED, MISSING = "sound", "damaged", "missing"
REPORT, LOCK = "recovered-", "recovery.lock"
SHOWN, SHOWN_CHARACTERS = 3, 100
"""How many of the problems are told, and how much of each."""

_DIGITS = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{8,}")
_NOUNS = {"commits": "commit", "events": "event", "retrospectives": "retrospective", "activities": "activity"}


class Plan(NamedTuple):
    """What a recovery would do.

    `state` is one of SOUND, DAMAGED, MISSING. `backup` is the newest that passes, None where there is none; `refused`
    are the newer ones that do not, each with the reason. `segments` are those not in that backup, and `unread` the
    known repositories that are not there, whose segments cannot be read. `unfinished`: the damaged files that a
    recovery set aside which never came to its end; `is_begun` that there was one.
    """

    database: str
    state: str
    problems: tuple[str, ...]
    backup: Manifest | None
    refused: tuple[tuple[str, str], ...]
    repositories: tuple[str, ...]
    segments: int
    unread: tuple[str, ...]
    unfinished: tuple[str, ...]
    is_begun: bool


class Recovery(NamedTuple):
    """What a recovery did: where the damaged file is, how many facts came from where, and what is gone.

    `kept` are the files that were set aside. `from_backup`, `from_spools`, `from_damaged` count facts; `commits` of
    those from the spools are commits. `gone` says what the damaged database held more of for certain, by table;
    `unsure` how many more may be gone; `is_known` that it is known how much it held. `unmarked` commits have lost whose
    they are, `homeless` ones could not be taken: nobody knows of which repository they are. `troubles` are spools that
    could not be read, a line each.
    """

    plan: Plan
    kept: tuple[str, ...]
    from_backup: int
    from_spools: int
    commits: int
    from_damaged: int
    gone: dict[str, int]
    unsure: dict[str, int]
    unmarked: int
    homeless: int
    troubles: tuple[str, ...]
    is_known: bool

    @property
    def kept_as(self) -> str:
        """Return where the damaged file is, empty where there was none."""
        return self.kept[-1] if self.kept else ""


# -- what would be done


def plan(context: Context) -> Plan:
    """Return what is wrong with the database and what a recovery would do about it; nothing is changed.

    Raises:
        StoreError: What lies at the path is not ours, or no check can be made.
    """
    store, _ = open_store(context)
    state, problems = _examine(store)
    note = read_note(store.backups_dir)
    backup, refused = (None, ()) if state == SOUND else _newest_sound(store.backups_dir)
    known = _known_paths(context, store, state, backup)
    present = tuple(path for path in known if os.path.isdir(path))
    return Plan(
        store.path,
        state,
        problems,
        backup,
        refused,
        present,
        _count_segments(present, context, backup),
        tuple(path for path in known if path not in present),
        _kept(store, note),
        note is not None,
    )


def _examine(store: Store) -> tuple[str, tuple[str, ...]]:
    if not store.exists():
        return MISSING, ()
    problems = check_file(store.path).problems
    return (DAMAGED, problems) if problems else (SOUND, ())


def _kept(store: Store, note: Unfinished | None) -> tuple[str, ...]:
    """Return those of the files that a note names which are there, beside the database, and no other name of it."""
    beside = f"{os.path.realpath(store.path)}.damaged-"
    found = [path for path in (note.kept if note else ()) if path.startswith(beside) and os.path.isfile(path)]
    return tuple(path for path in found if not os.path.exists(store.path) or not os.path.samefile(path, store.path))


def _newest_sound(directory: str) -> tuple[Manifest | None, tuple[tuple[str, str], ...]]:
    """Return the newest backup that passes and can be read, and the newer ones that do not."""
    refused: list[tuple[str, str]] = []
    for path, backup in _candidates(directory):
        try:
            problems = check_file(path).problems
            if not problems:
                held = manifest_for(path)
                return backup or held._replace(made_at=made_at(path)), tuple(refused)
        except AgentTrackerError as error:
            problems = (error.message,)
        refused.append((path, problems[0]))
    return None, tuple(refused)


def _candidates(directory: str) -> list[tuple[str, Manifest | None]]:
    """Return the backups, the newest first, then files without a manifest, then copies made before a migration."""
    counting = {backup.path: backup for backup in read_manifests(directory)}
    old = [path for path, _ in schema_copies(directory)]
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".lmdb")]
    except OSError:
        names = []
    others = {os.path.join(directory, name) for name in names} - {*counting, *old}
    late = [*_newest_first(others), *_newest_first(old)]
    return [*counting.items(), *((path, None) for path in late if os.path.isfile(path))]


def _newest_first(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (made_at(path), path), reverse=True)


def _known_paths(context: Context, store: Store, state: str, backup: Manifest | None) -> list[str]:
    """Return the repositories that the database, if it is sound, or the backup or the list of installations names."""
    listed = read_text(context.paths.repositories).split("\n")
    source = store.path if state == SOUND else backup.path if backup else ""
    stored = [os.fsdecode(project.path) for project in _projects(source, is_fixed=state != SOUND).values()]
    return [path for path in dict.fromkeys([*stored, *listed]) if path]


def _projects(source: str, *, is_fixed: bool = True) -> dict[int, ProjectFact]:
    """Return the repositories that a sound database knows, by their numbers."""
    if not source:
        return {}
    with Store(source, 0).snapshot(is_fixed=is_fixed) as snapshot:
        return dict(snapshot.numbered_projects()) if snapshot else {}


def _count_segments(repositories: Iterable[str], context: Context, backup: Manifest | None) -> int:
    """Return how many segments a backup does not hold as they are."""
    held = backup.segments if backup else {}
    number = 0
    for directory in known_spools(context, repositories):
        with suppress(AgentTrackerError):
            number += sum(held.get(segment.name) != segment.size for segment in segments(directory))
    return number


# -- doing it


def recover(context: Context) -> Recovery | None:
    """Put the newest backup that passes in the place of a damaged or missing database, and bring in what came since.

    One that was begun and never came to its end is gone on with, whatever the database is like by now.

    Returns:
        None where the database is sound, and where there is neither one nor a backup.

    Raises:
        SpoolError: A flush is running; all stays as it is.
        StoreError: What lies at the path is not ours, somebody writes it, or there is no room for a copy.
    """
    store, _ = open_store(context)
    with _alone(store, context):
        planned, note = plan(context), read_note(store.backups_dir)
        restored: Unfinished | None = None
        if planned.state == DAMAGED or (planned.state == MISSING and planned.backup):
            restored = _restore(store, planned, note, context)
        unfinished = restored or note
        is_new = restored is not None and note is None
        return _finish(store, planned, unfinished, context, is_new=is_new) if unfinished else None


@contextmanager
def _alone(store: Store, context: Context) -> Iterator[None]:
    """Keep other recoveries of this database out."""
    with ExitStack() as stack, translated_os(store.path, "recover"):
        make_directory(store.backups_dir)
        try:
            stack.enter_context(locked(os.path.join(store.backups_dir, LOCK), timeout_s=context.timeout_s))
        except LockTimeoutError as error:
            message = f"the database is being recovered by another process: {store.path}"
            raise StoreBusyError(message, "try again: agent-tracker recover") from error
        yield


@contextmanager
def _no_flush(context: Context) -> Iterator[None]:
    """Keep flushes out: what one planned is not true of the database that takes the place of the one that it read."""
    ensure_directory(context.paths.spool_dir)
    with flush_locked(context.paths.spool_dir, timeout_s=context.timeout_s, command="agent-tracker recover"):
        yield


def _restore(store: Store, planned: Plan, note: Unfinished | None, context: Context) -> Unfinished | None:
    """Put the backup in place, having noted what there was; None where somebody else was quicker."""
    directory, is_damaged = store.backups_dir, planned.state == DAMAGED
    kept_as = free_path(f"{os.path.realpath(store.path)}.damaged-{stamp(context.now)}")
    source = planned.backup.path if planned.backup else ""
    begun = _noted(store, planned, note, context)
    with _no_flush(context):
        if not is_damaged and store.exists():
            return None
        with translated_os(store.path, f"write to {directory} a note of recovering"):
            write_note(directory, begun._replace(kept=(*begun.kept, kept_as)))
        try:
            problems = store.replace(source, keep_as=kept_as, timeout_s=context.timeout_s, only_damaged=is_damaged)
        except StoreError:
            _put_back(directory, note)
            raise
        if is_damaged and not problems:
            _put_back(directory, note)
            return None
    return begun._replace(kept=(*begun.kept, kept_as)) if os.path.lexists(kept_as) else begun


def _put_back(directory: str, note: Unfinished | None) -> None:
    """Have the note be as it was: the database is."""
    with suppress(OSError):
        if note:
            write_note(directory, note)
        else:
            drop_note(directory)


def _noted(store: Store, planned: Plan, note: Unfinished | None, context: Context) -> Unfinished:
    """Return what is to be known of this recovery if it ends early; of one that did, that is known too."""
    counts, at_ns = _last_counts(store)
    if note:
        counts = {name: max(counts.get(name, 0), note.counts.get(name, 0)) for name in counts | note.counts}
        at_ns = min(at_ns, note.at_ns)
    source = planned.backup.path if planned.backup else ""
    restored = counted(Store(source, 0), is_fixed=True) if source else {}
    kept = _kept(store, note)
    return Unfinished(
        context.now, planned.state, at_ns, source, kept, counts, restored, tuple(problem_lines(planned.problems))
    )


def _last_counts(store: Store) -> tuple[dict[str, int], int]:
    """Return how many records the database had when it was last closed, and when that was (0: that is not known)."""
    then = read_text(fingerprint.stored_at(store.path)).partition("\n")[0].split(" ")
    numbers = [int(field) for field in then if field.isascii() and field.isdigit()]
    # version, inode, size, and the times of modification and change
    return fingerprint.counts(store.path), numbers[3] if len(then) == len(numbers) == 5 else 0  # noqa: PLR2004


def _finish(store: Store, planned: Plan, note: Unfinished, context: Context, *, is_new: bool) -> Recovery:
    """Bring in what the files that were set aside still give, then what came since; write the report."""
    kept = _kept(store, note)
    before = counted(store)
    found = _salvage(store, kept, note, context)
    held = reckoning.expected(note.counts, [each.counts for each in found])
    reckoned = reckoning.Reckoning(
        held,
        note.at_ns,
        known_spools(context, planned.repositories),
        before if is_new else note.restored,
        before,
        store,
        is_sure=bool(note.at_ns or any(each.counts for each in found)),
    )
    commits, troubles = _flush_all(planned, context)
    flushed = counted(store)
    facts = [fact for each in found for fact in each.unmarked]
    unmarked = _apply(store, facts, context)
    gone, unsure = reckoned.gone(store, facts, is_all_read=not troubles)
    done = Recovery(
        planned._replace(state=note.state, problems=note.problems) if planned.state == SOUND else planned,
        kept,
        sum(reckoned.restored.get(name, 0) for name in FACTS),
        sum(flushed.values()) - sum(reckoned.salvaged.values()),
        commits,
        sum(reckoned.salvaged.values()) - sum(before.values()) + unmarked,
        gone,
        unsure,
        unmarked,
        sum(each.homeless for each in found),
        tuple(troubles),
        reckoned.is_known,
    )
    _leave_report(store, done, context)
    return done


def _salvage(store: Store, kept: Iterable[str], note: Unfinished, context: Context) -> list[Salvaged]:
    """Apply the facts that the damaged files still give, but for commits of which nobody knows whose they are.

    Those are for the very end: what comes after them would not say any more whose they are.
    """
    found = []
    for path in kept:
        projects = _projects(note.backup if os.path.isfile(note.backup) else "")
        found.append(salvaged(path, store.path if store.exists() else "", projects=projects))
        _apply(store, found[-1].facts, context)
    return found


def _apply(store: Store, facts: list[Fact], context: Context) -> int:
    """Apply facts, of which those that are there already change nothing; return how many more commits there are."""
    if not facts:
        return 0

    def work(writer: Writer) -> int:
        known = {project.id for project in writer.projects()} | {f.id for f in facts if isinstance(f, ProjectFact)}
        commits = writer.table("commits").count()
        sound = [f for f in facts if not isinstance(f, CommitFact) or f.project in known]
        apply(writer, sound, now=context.now)
        return writer.table("commits").count() - commits

    added = store.write(work, timeout_s=context.timeout_s)
    with suppress(SpoolError):  # the next flush tells them
        tell_hooks(context)
    return added


def _flush_all(planned: Plan, context: Context) -> tuple[int, list[str]]:
    """Flush the user's own spool and every repository; return how many commits came, and what could not be flushed."""
    commits, troubles = 0, []
    for path in ("", *planned.repositories):
        try:
            commits += flush(known_repository(path) if path else None, context).applied.commits
        except AgentTrackerError as error:
            troubles.append(f"{path or context.paths.spool_dir}: {error.message}")
    return commits, troubles + [f"{path}: it is not there" for path in planned.unread]


# -- the report


def _leave_report(store: Store, done: Recovery, context: Context) -> None:
    """Write what was done beside the backups, where `doctor` finds it."""
    path = free_path(os.path.join(store.backups_dir, f"{REPORT}{stamp(context.now)}.txt"))
    try:
        replace_file(path, "\n".join(report_lines(done)) + "\n")
        drop_note(store.backups_dir)
    except OSError as error:
        raise StoreError(
            f"recovered, but the report cannot be written: {path}: {error.strerror}", remedy(error)
        ) from error


def reports(directory: str) -> list[str]:
    """Return the reports of recoveries beside the backups in a directory, the newest last."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.startswith(REPORT) and name.endswith(".txt"))
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names]


def problem_lines(problems: Iterable[str]) -> list[str]:
    """Return what is wrong in a few short lines."""
    short = [_shortened(problem) for problem in problems]
    more = len(short) - SHOWN
    return [*short[:SHOWN], f"and {more} more"] if more > 0 else short


def _shortened(problem: str) -> str:
    text = _DIGITS.sub(r"\1...", problem)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def _number(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ty") else f"{number} {noun}s"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(_number(count, _NOUNS.get(name, name)) for name, count in counts.items())


def report_lines(done: Recovery) -> list[str]:
    """Return what a recovery did, in words."""
    planned = done.plan
    lines = [f"The database {planned.database} was {planned.state}."]
    if planned.is_begun:
        lines.append("A recovery had been begun and was not finished: this one went on with it.")
    lines += [f"  {problem}" for problem in problem_lines(planned.problems)]
    lines += [f"The damaged file is kept: {path}" for path in done.kept]
    lines += [f"A newer backup was passed over: {path}: {_shortened(why)}" for path, why in planned.refused]
    if planned.backup:
        made = stamp(planned.backup.made_at)
        lines.append(f"{_number(done.from_backup, 'fact')} came from the backup of {made}: {planned.backup.path}")
    elif done.from_backup:
        lines.append(f"{_number(done.from_backup, 'fact')} had come from the backup.")
    else:
        lines.append("There was no backup that passes.")
    if done.from_damaged:
        was = "was" if done.from_damaged == 1 else "were"
        lines.append(f"{_number(done.from_damaged, 'fact')} {was} still sound in the damaged file.")
    commits = f", {_number(done.commits, 'commit')} among them," if done.commits and done.from_spools > 1 else ""
    came = _number(done.from_spools, "commit" if done.from_spools == done.commits == 1 else "fact")
    lines.append(f"{came}{commits} came from the spools and from git.")
    if done.unmarked:
        lines.append(f"{_number(done.unmarked, 'commit')} could be had, but not whose: unclaimed now.")
    if done.homeless:
        lines.append(f"{_number(done.homeless, 'commit')} could not be taken: nobody knows of which repository.")
    lines += [f"Not read: {trouble}" for trouble in done.troubles]
    return [*lines, *_gone_lines(done)]


def _gone_lines(done: Recovery) -> list[str]:
    if not done.is_known:
        return ["How much the damaged file held is not known."]
    lines = ["Gone: " + _listed(done.gone)] if done.gone else []
    if done.unsure:
        more = "more " if done.gone else ""
        lines.append(f"Not known: whether up to {_listed(done.unsure)} {more}are gone.")
    return lines or ["Nothing is gone."]
