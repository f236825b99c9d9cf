"""Looking back at work, and noting what was done and why.

Owns writing retrospectives and activities down, with the grades that a retrospective gives, and reading them. Each is
a fact that goes through a spool; never prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.context import Context, open_store
from agent_tracker.errors import GitError, RegistrationError, SpoolError, StoreError, UsageError
from agent_tracker.flush import flush, known_agents
from agent_tracker.git import resolve_commit
from agent_tracker.grades import parse_grade
from agent_tracker.hook import current_identity
from agent_tracker.journal import MAX_WORD, ActivityFact, GradeFact, RetroFact
from agent_tracker.journal_codec import KINDS, subject_of
from agent_tracker.journal_entries import activities, retros
from agent_tracker.marks import SESSION_VARIABLE
from agent_tracker.projects import find_project
from agent_tracker.records import is_agent
from agent_tracker.registration import Roster
from agent_tracker.verbs.grading import check_maker, check_person
from agent_tracker.verbs.noting import Noted, check_installed, find_commit, find_work, is_person, new_id, note
from agent_tracker.verbs.reading import agents_of
from agent_tracker.verbs.writing import Field, check_text
from agent_tracker.views.journal import ActivityEntry, Chosen, RetroEntry, one_by_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = [
    "ACTIVITY_FIELDS",
    "RETRO_FIELDS",
    "ActivityDone",
    "RetroDone",
    "Subject",
    "activities",
    "add_activity",
    "add_retro",
    "chosen",
    "find_subject",
    "one_activity",
    "one_retro",
    "retro_fields",
    "retros",
]

NS = 10**9
_ID_BYTES = 6

RETRO_FIELDS: Mapping[str, Field] = {
    "task": Field("what was to be done"),
    "agent_grade": Field("the agent's grade: bad, neutral, good, excellence", MAX_WORD),
    "user_grade": Field("the user's grade: bad, neutral, good, excellence", MAX_WORD),
    "agent_note": Field("what the agent has to say"),
    "user_note": Field("what the user has to say"),
}
ACTIVITY_FIELDS: Mapping[str, Field] = {
    "task": Field("what was to be done"),
    "actions": Field("what was done"),
    "outcome": Field("what came of it"),
    "decisions": Field("what was decided, and why"),
}
_USERS = ("user_grade", "user_note")
_NOBODY = "say whose: --agent AGENT"


class Subject(NamedTuple):
    """What a retrospective is about: a commit or else a session, and whose it is."""

    oid: bytes
    session: str
    agent: str


class RetroDone(NamedTuple):
    """A retrospective that was written down; `entry` is None, and `noted.trouble` says why, where it waits."""

    fact: RetroFact
    entry: RetroEntry | None
    noted: Noted


class ActivityDone(NamedTuple):
    """An activity that was written down."""

    fact: ActivityFact
    noted: Noted


# -- retrospectives


def retro_fields(env: Mapping[str, str]) -> dict[str, Field]:
    """Return the fields that whoever runs this may fill: the user's are a person's alone."""
    return {name: field for name, field in RETRO_FIELDS.items() if is_person(env) or name not in _USERS}


def find_subject(repository: Repository, context: Context, *, revision: str = "", session: str = "") -> Subject:
    """Return what a retrospective is about, having flushed this repository.

    Args:
        repository: Where a revision is looked up.
        context: Paths, environment, time.
        revision: Any that git knows. Without it and a session: HEAD, or the session of the environment where HEAD is no
            agent's.
        session: A session's id.

    Raises:
        UsageError: Both were given, or there is no such session.
        GitError: The revision names no commit, or none that is known here; the session is another project's.
        RegistrationError: The commit is no agent's.
        StoreError: The store cannot be used.
    """
    if revision and session:
        raise UsageError("about a commit or about a session, one of them", "agent-tracker retro add COMMIT")
    if session:
        return _of_session(repository, context, session)
    try:
        work = find_work(repository, context, revision or "HEAD")
    except (GitError, RegistrationError):
        named = context.env.get(SESSION_VARIABLE, "")
        if revision or not named:
            raise
        return _of_session(repository, context, named)
    return Subject(work.home.oid, "", work.agent)


def _of_session(repository: Repository, context: Context, session: str) -> Subject:
    check_installed(repository)
    flush(repository, context)
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        fact = journal_tables.session(snapshot, session) if snapshot else None
        if snapshot is None or fact is None:
            raise RegistrationError(f"no session {session[:60]!r} is known", "agent-tracker session list --all")
        here = snapshot.joined_projects(find_project(repository))
        if snapshot.project_number(fact.project) not in here:
            raise GitError(f"session {session[:60]!r} was in another project", f"cd {fact.worktree}")
    return Subject(b"", session, fact.agent)


def add_retro(repository: Repository, context: Context, subject: Subject, values: Mapping[str, str]) -> RetroDone:
    """Write a retrospective down. A grade in it counts like any other: it takes the place of that side's last one.

    Args:
        repository: Whose spool it goes to.
        context: Paths, environment, time.
        subject: As `find_subject` returned it.
        values: By the names of RETRO_FIELDS; a grade as `grades.parse_grade` reads it, or empty.

    Raises:
        UsageError: A value is too long, a grade is none, or there is nothing but blanks.
        RegistrationError: A grade or note is not for whoever runs this to give.
        SpoolError: It cannot be written down.
    """
    texts = _checked(values, RETRO_FIELDS)
    if any(texts[name].strip() for name in _USERS):
        check_person(context.env, "the user's part of a retrospective", "retro add ...")
    grades = {side: parse_grade(texts[f"{side}_grade"]) for side in ("agent", "user") if texts[f"{side}_grade"].strip()}
    if "agent" in grades or texts["agent_note"].strip():
        check_maker(repository, context, [subject.agent], "the agent's part of a retrospective")
    at_ns = _after_last(context, subject)
    given = texts | {f"{side}_grade": grades.get(side, "") for side in ("agent", "user")}
    fact = RetroFact(
        id=new_id(),
        oid=subject.oid,
        session=subject.session,
        agent=subject.agent,
        project="",
        recorded_ns=at_ns,
        **{name: given[name] for name in RETRO_FIELDS},
    )
    beside = [GradeFact(new_id(), subject.oid, subject.session, side, word, "", at_ns) for side, word in grades.items()]
    noted = note(repository, context._replace(now_ns=max(context.now_ns, at_ns)), fact, *beside)
    return RetroDone(fact, _written(context, fact.id) if noted.report else None, noted)


def _checked(values: Mapping[str, str], fields: Mapping[str, Field]) -> dict[str, str]:
    texts = {name: check_text(name, values.get(name, ""), field.limit) for name, field in fields.items()}
    if not any(text.strip() for text in texts.values()):
        raise UsageError("there is nothing to note", f"give at least one of: {', '.join(fields)}")
    return texts


def _after_last(context: Context, subject: Subject) -> int:
    """Return now, or a moment after the last grade of the work: a clock that went backwards must not hide a new one."""
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        graded = journal_tables.graded(snapshot, subject_of(subject.oid, subject.session)) if snapshot else None
    return max([context.now_ns, *(given.recorded_ns + 1 for given in graded.grades)]) if graded else context.now_ns


def _written(context: Context, fact_id: str) -> RetroEntry | None:
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        return next((entry for entry in retros(snapshot, Chosen()) if entry.fact.id == fact_id), None)


def one_retro(snapshot: Snapshot | None, prefix: str) -> RetroEntry:
    """Return the retrospective whose id begins so, in whatever project.

    Raises:
        UsageError: There is none, or there are several.
    """
    found = retros(snapshot, Chosen())
    wanted = _one(snapshot, RetroFact, [entry.fact.id for entry in found], prefix)
    return next(entry for entry in found if entry.fact.id == wanted)


# -- activities


def add_activity(  # noqa: PLR0913 -- one argument an option
    repository: Repository,
    context: Context,
    values: Mapping[str, str],
    *,
    agent: str = "",
    session: str = "",
    revision: str = "",
) -> ActivityDone:
    """Write an activity down; where the store cannot be used, it waits in the spool.

    Args:
        repository: Whose spool it goes to.
        context: Paths, environment, time.
        values: By the names of ACTIVITY_FIELDS.
        agent: Whose it is, by id or name; without it, who would commit here and now.
        session: In which session; without it, that of the environment.
        revision: The commit that it belongs to, if any.

    Raises:
        UsageError: A value is too long, or there is nothing but blanks.
        GitError: The revision names no commit that is known here, or nothing is recorded in this repository.
        RegistrationError: There is no such agent, another one runs this, or nobody would commit here.
        SpoolError: It cannot be written down.
    """
    check_installed(repository)
    texts = _checked(values, ACTIVITY_FIELDS)
    named = check_text("session", session or context.env.get(SESSION_VARIABLE, ""), MAX_WORD).replace("\0", "")
    oid = _known_oid(repository, context, revision) if revision else b""
    whose = _agent(repository, context, agent)
    fact = ActivityFact(new_id(), whose, named, oid, **texts, project="", recorded_ns=context.now_ns)
    return ActivityDone(fact, note(repository, context, fact))


def _known_oid(repository: Repository, context: Context, revision: str) -> bytes:
    """Return a recorded commit's oid; where the store cannot be used, that of any commit that git knows."""
    try:
        return find_commit(repository, context, revision)[0].oid
    except (StoreError, SpoolError):
        return resolve_commit(revision, git_dir=repository.git_dir)


def _agent(repository: Repository, context: Context, text: str) -> str:
    known = known_agents(context)
    if text:
        named = Roster(known).one(text).id
        check_maker(repository, context, [named], "an activity")
        return named
    identity, _ = current_identity(repository, known, context.env, now_ns=context.now_ns)
    speaking = next((name for name, _ in identity.credits if is_agent(name)), "")
    if not speaking:
        raise RegistrationError("no agent would commit here, so it is nobody's activity", _NOBODY)
    return speaking


def one_activity(snapshot: Snapshot | None, prefix: str) -> ActivityEntry:
    """Return the activity whose id begins so, in whatever project.

    Raises:
        UsageError: There is none, or there are several.
    """
    found = activities(snapshot, Chosen())
    wanted = _one(snapshot, ActivityFact, [entry.fact.id for entry in found], prefix)
    return next(entry for entry in found if entry.fact.id == wanted)


# -- both


def _one(snapshot: Snapshot | None, kind: type[RetroFact | ActivityFact], ids: list[str], prefix: str) -> str:
    """Return the id that begins so.

    Raises:
        UsageError: There is none, there are several, or it is of one that is in an archive.
    """
    wanted = one_by_id([*ids, *_archived(snapshot, kind)], prefix)
    if wanted not in ids:
        raise UsageError(
            f"{wanted} was archived", "the file that it was moved to brings it back: agent-tracker import FILE"
        )
    return wanted


def _archived(snapshot: Snapshot | None, fact: type[RetroFact | ActivityFact]) -> set[str]:
    """Return the ids of the facts of a kind that were moved out."""
    if snapshot is None or "archived" not in snapshot.names:
        return set()
    letter = next(kind.letter for kind in KINDS if kind.fact is fact)
    return {key[-_ID_BYTES:].hex() for key in snapshot.table("archived").keys(letter)}


def chosen(  # noqa: PLR0913 -- one argument an option
    snapshot: Snapshot | None,
    context: Context,
    *,
    project: str | None,
    agent: str = "",
    since: int = 0,
    limit: int | None = None,
) -> Chosen:
    """Return which entries are wanted.

    Args:
        snapshot: The store; None where there is none yet.
        context: For the agents that only the registry knows.
        project: A project's UUID, its clones included; None for all.
        agent: An agent by id or name; empty for all.
        since: Unix seconds.
        limit: At most so many; None for all.

    Raises:
        RegistrationError: There is no such agent.
    """
    wanted = Roster(agents_of(snapshot, context)).one(agent).id if agent else ""
    projects = None
    if project is not None and snapshot is not None:
        numbered = snapshot.numbered_projects()
        projects = frozenset(numbered[number].id for number in snapshot.joined_projects(project))
    return Chosen(projects, wanted, since * NS, limit)
