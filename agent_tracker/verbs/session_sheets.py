"""What is known of sessions: the sheet of each, the list, and the summary that a client takes along when it compacts.

Owns collecting it from a moment's store. Never prints and never changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_codec, journal_tables, packing
from agent_tracker.errors import HistoryError
from agent_tracker.history import pending_changes
from agent_tracker.journal import ActivityFact, BugFact, PulseFact, RetroFact
from agent_tracker.lapse import commits_naming
from agent_tracker.processes import is_running
from agent_tracker.projects import find_project
from agent_tracker.records import COUNTED, REWRITTEN
from agent_tracker.verbs.noting import home_of
from agent_tracker.verbs.sessions import find_session, read_held
from agent_tracker.views.sessions import SLACK_S, Held, Metrics, Moment, assign, experience, metrics, moments, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent_tracker.context import Context
    from agent_tracker.records import Commit, Turns
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["Bug", "Made", "Sheet", "Summary", "list_sheets", "show_sheet", "summarise"]

SHORT_BITS, LONG_BITS = 8, 16
MAX_BLOCKS = 512
MADE_ELSEWHERE = frozenset({"gone", "arrived", "earlier"})


class Made(NamedTuple):
    """A commit that was made in a session; `became` is where its work lives now, empty where that is in itself."""

    oid: bytes
    subject: str
    committed_at: int
    became: bytes


class Sheet(NamedTuple):
    """All about one session. Times in `held` are Unix nanoseconds; `runs` is None where it cannot be told.

    `commits` are the newest first. `children` are the ids of the sessions that began in it, `turns` whose it was.
    """

    held: Held
    project_path: bytes
    runs: bool | None
    commits: tuple[Made, ...]
    metrics: Metrics
    moments: tuple[Moment, ...]
    experience_micro: int
    children: tuple[str, ...]
    turns: Turns


class Bug(NamedTuple):
    """A bug in force, in a commit of the session's."""

    id: str
    oid: bytes
    note: str


class Summary(NamedTuple):
    """What was done in a session and what is open.

    `pending_changes` is None where the work tree cannot be read or is not this one. `ungraded` are the commits that the
    agent itself has not graded, `others` the other sessions that are open in this project.
    """

    sheet: Sheet
    activities: tuple[ActivityFact, ...]
    pending_changes: int | None
    bugs: tuple[Bug, ...]
    ungraded: tuple[Made, ...]
    has_retrospective: bool
    others: tuple[Held, ...]


def list_sheets(
    snapshot: Snapshot, *, now: int, project: str | None, keep: Callable[[Held], bool], limit: int | None
) -> list[Sheet]:
    """Return the sheets of sessions, the one that began last first.

    Args:
        snapshot: The store.
        now: Unix seconds.
        project: A project's UUID, its clones included; None for all.
        keep: Tells which are wanted.
        limit: At most so many; None for all.
    """
    sessions = read_held(snapshot)
    ids = None if project is None else _joined(snapshot, project)
    wanted = [each for each in reversed(sessions) if (ids is None or each.fact.project in ids) and keep(each)]
    return _sheets(snapshot, sessions, wanted[:limit], now)


def show_sheet(snapshot: Snapshot, repository: Repository, context: Context, text: str) -> Sheet:
    """Return one session's sheet.

    Raises:
        RegistrationError: There is no such session.
        UsageError: Several may be meant.
    """
    sessions = read_held(snapshot)
    found = find_session(repository, context, text, sessions)
    return _sheets(snapshot, sessions, [found], context.now)[0]


def _joined(snapshot: Snapshot, project: str) -> set[str]:
    numbered = snapshot.numbered_projects()
    return {numbered[number].id for number in snapshot.joined_projects(project)}


def _sheets(snapshot: Snapshot, sessions: Sequence[Held], wanted: Sequence[Held], now: int) -> list[Sheet]:
    projects = {number for each in wanted for number in snapshot.joined_projects(each.fact.project)}
    within = {
        commit.oid: commit
        for first, last in spans(wanted, now)
        for commit in commits_within(snapshot, projects, first, last)
    }
    # What names a session is that session's wherever it was made, and whatever its date.
    since = min((each.first_at for each in wanted), default=0) - SLACK_S
    for commit in commits_naming(snapshot, {each.fact.id for each in wanted}, since):
        within.setdefault(commit.oid, commit)
    made_here = (commit for commit in within.values() if commit.operation not in MADE_ELSEWHERE)
    assigned = assign(sessions, made_here, snapshot.marks, now=now)
    paths = {fact.id: fact.path for fact in snapshot.projects()}
    children: dict[str, list[str]] = {}
    for each in sessions:
        children.setdefault(each.fact.parent, []).append(each.fact.id)
    found = []
    for each in wanted:
        made = _standing(snapshot, assigned.get(each.fact.id, ()))
        commits = [commit for commit, _ in made]
        pulses = journal_tables.facts_about(snapshot, PulseFact, b"", each.fact.id)
        turns = journal_tables.turns(snapshot, each.fact.id)
        found.append(
            Sheet(
                each,
                paths.get(each.fact.project, b""),
                is_running(each.fact.process, each.fact.process_start),
                tuple(Made(commit.oid, commit.subject, commit.committed_at, became) for commit, became in made),
                metrics(each, commits, now=now),
                tuple(moments(each, pulses, commits)),
                experience(turns, pulses, commits, snapshot.timeline()),
                tuple(children.get(each.fact.id, ())),
                turns,
            )
        )
    return found


def _standing(snapshot: Snapshot, commits: Iterable[Commit]) -> list[tuple[Commit, bytes]]:
    """Return those of a session's commits that stand, the newest first, and where the work of each lives, if elsewhere.

    One whose work lives in another one of the same session is that one.
    """
    # Of those that were made in one second, the one that arrived last comes first.
    ordered = sorted(commits, key=lambda commit: commit.committed_at)
    ordered.reverse()
    counted = {commit.oid for commit in ordered if commit.status == COUNTED}
    found = []
    for commit in ordered:
        if commit.status == COUNTED:
            found.append((commit, b""))
        elif commit.status == REWRITTEN:
            home = home_of(snapshot, commit.oid)
            if home not in counted:
                counted.add(home)
                found.append((commit, home))
    return found


def commits_within(snapshot: Snapshot, projects: Iterable[int], first: int, last: int) -> Iterator[Commit]:
    """Yield the commits of some projects that say that they were made between two times (Unix seconds), ascending.

    The index is read in blocks of time, so that a long history costs no more than a short one.
    """
    index, rows = snapshot.table("commits.project"), snapshot.table("commits")
    first = max(first, 0)
    bits = SHORT_BITS if (last - first) >> SHORT_BITS < MAX_BLOCKS else LONG_BITS
    if (last - first) >> bits >= MAX_BLOCKS:
        bits = 24
    for number in sorted(projects):
        for block in range(first >> bits, (last >> bits) + 1):
            prefix = number.to_bytes(4, "big") + block.to_bytes(5 - bits // 8, "big")
            for key in index.keys(prefix):
                if first <= int.from_bytes(key[4:9], "big") <= last:
                    value = rows.get(key[9:])
                    commit = snapshot.commit(packing.unpack_commit(value)[0]) if value else None
                    if commit:
                        yield commit


# -- the summary -------------------------------------------------------------------------------------------------------


def summarise(snapshot: Snapshot, repository: Repository, context: Context, text: str) -> Summary:
    """Return what was done in a session and what is open.

    Raises:
        RegistrationError: There is no such session.
        UsageError: Several may be meant.
    """
    sheet = show_sheet(snapshot, repository, context, text)
    fact = sheet.held.fact
    oids = {each.oid for each in sheet.commits} | {each.became for each in sheet.commits if each.became}
    activities = [
        each
        for each in journal_tables.facts(snapshot, ActivityFact)
        if each.session == fact.id or (each.oid and each.oid in oids)
    ]
    retros = journal_tables.facts(snapshot, RetroFact)
    ids = _joined(snapshot, find_project(repository))
    others = [
        Held(begun, state)
        for begun, state in journal_tables.open_sessions(snapshot)
        if begun.project in ids and begun.id != fact.id
    ]
    return Summary(
        sheet,
        tuple(reversed(activities)),
        _pending(repository, fact.worktree),
        tuple(_bugs(snapshot, oids)),
        tuple(each for each in sheet.commits if not _is_graded(snapshot, each.became or each.oid)),
        any(each.session == fact.id or (each.oid and each.oid in oids) for each in retros),
        tuple(others),
    )


def _pending(repository: Repository, worktree: str) -> int | None:
    if worktree != repository.work_tree:
        return None
    try:
        return pending_changes(repository.git_dir, repository.work_tree)
    except HistoryError:
        return None


def _bugs(snapshot: Snapshot, oids: Iterable[bytes]) -> Iterator[Bug]:
    for oid in sorted(oids):
        for fact in journal_tables.facts_about(snapshot, BugFact, oid):
            if journal_tables.bug_place(snapshot, fact):
                yield Bug(fact.id, oid, fact.note)


def _is_graded(snapshot: Snapshot, oid: bytes) -> bool:
    """Tell whether the agent graded its own commit."""
    graded = journal_tables.graded(snapshot, journal_codec.subject_of(oid, ""))
    return any(given.side == "agent" for given in graded.grades) if graded else False
