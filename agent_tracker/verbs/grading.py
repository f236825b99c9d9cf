"""Grading an agent's commit, for the user or for the agent itself, and the record of what was given.

Owns those verbs, and who may give which side's grade. Never prints; a grade that is replaced stays in the record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.context import Context, FlushReport, open_store
from agent_tracker.errors import RegistrationError, UsageError
from agent_tracker.flush import flush, known_agents
from agent_tracker.grades import parse_grade
from agent_tracker.hook import current_identity
from agent_tracker.journal import MAX_NOTE, SIDES, ForgetFact, GradeFact
from agent_tracker.journal_codec import subject_of
from agent_tracker.marks import AGENT_VARIABLE
from agent_tracker.records import is_agent, main_agent
from agent_tracker.registration import Roster
from agent_tracker.verbs.noting import Work, check_installed, find_work, home_of, is_person, new_id, note
from agent_tracker.verbs.reading import agents_of
from agent_tracker.verbs.writing import check_text
from agent_tracker.views.grades import GradeEntry, Judged
from agent_tracker.views.grades import grades as view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_tracker.derived import Given
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["GradeGiven", "check_maker", "check_person", "grade", "grades", "parse_side"]


class GradeGiven(NamedTuple):
    """A grade that was given.

    `oid` is the commit that was asked for, `home` the one in which its work lives. `replaced` is the grade of the same
    side that it takes the place of, empty where there was none. `score_after` is None while it waits in the spool, and
    `trouble` says why. `reports` are those of the flushes.
    """

    id: str
    oid: bytes
    home: bytes
    subject: str
    agent: str
    side: str
    grade: str
    note: str
    replaced: str
    score_before: int
    score_after: int | None
    recorded_ns: int
    trouble: str
    reports: tuple[FlushReport, ...]


def grade(  # noqa: PLR0913 -- one argument an option
    repository: Repository, context: Context, revision: str, word: str, *, side: str = "", note_text: str = ""
) -> GradeGiven:
    """Grade an agent's commit, in the place of any grade from the same side.

    Args:
        repository: Where the revision is looked up.
        context: Paths, environment, time.
        revision: Any that git knows; of a commit that was rewritten, the work is graded where it lives now.
        word: A grade as `grades.parse_grade` reads it.
        side: `user` or `agent`, or the beginning of one; empty for who runs this.
        note_text: At most MAX_NOTE characters.

    Raises:
        UsageError: The grade or the side is no such word, or the note is too long.
        GitError: The revision names no commit, or none that is known here.
        RegistrationError: The commit is no agent's, or this side's grade is not for whoever runs this to give.
        SpoolError: It cannot be written down.
        StoreError: The store cannot be used.
    """
    given = parse_grade(word)
    by = parse_side(side, context.env)
    check_text("the note", note_text, MAX_NOTE)
    check_installed(repository)
    first = flush(repository, context)
    work = find_work(repository, context, revision)
    if by == "agent":
        makers = (name for name, _ in work.home.credits)
        check_maker(repository, context, makers, f"the agent's grade for {work.oid.hex()[:12]}")
    old, score_before = _in_force(context, work, by)
    now_ns = max(context.now_ns, old.recorded_ns + 1 if old else 0)
    fact = GradeFact(new_id(), work.home.oid, "", by, given, note_text, now_ns)
    noted = note(repository, context._replace(now_ns=max(now_ns, time.time_ns())), fact)
    _, score_after = _in_force(context, work, by) if noted.report else (None, None)
    return GradeGiven(
        fact.id,
        work.oid,
        work.home.oid,
        work.home.subject,
        work.agent,
        by,
        given,
        note_text,
        old.grade if old else "",
        score_before,
        score_after,
        now_ns,
        noted.trouble,
        (first, noted.report) if noted.report else (first,),
    )


def parse_side(text: str, env: Mapping[str, str]) -> str:
    """Return whose grade it is: `user` or `agent`, by its beginning; who runs this where `text` is empty.

    Raises:
        UsageError: It means neither.
        RegistrationError: An agent cannot give the user's grade.
    """
    word = text.strip().lower()
    person = is_person(env)
    if not word:
        return "user" if person else "agent"
    side = next((side for side in SIDES if side.startswith(word)), "")
    if not side:
        raise UsageError(f"unknown side {text[:40]!r}", f"--by is one of {', '.join(SIDES)}")
    if side == "user" and not person:
        check_person(env, "the user's grade", "grade ...")
    return side


def check_person(env: Mapping[str, str], what: str, command: str) -> None:
    """Raise in an agent's shell: `what` is for a person alone to give.

    Raises:
        RegistrationError: An agent announces itself in the environment.
    """
    if not is_person(env):
        raise RegistrationError(
            f"{what} is a person's to give, and this is an agent's shell",
            f"a person types: {AGENT_VARIABLE}=human agent-tracker {command}",
        )


def check_maker(repository: Repository, context: Context, makers: Iterable[str], what: str) -> None:
    """Raise in the shell of an agent that made none of the work: what the agent has to say of it is its maker's.

    Args:
        repository: In which the agent speaks.
        context: Paths, environment, time.
        makers: The ids of the agents whose work it is; anything else among them is nobody's.
        what: What is given, in words.

    Raises:
        RegistrationError: Another agent runs this, or one that nobody registered.
    """
    if is_person(context.env):
        return
    identity, _ = current_identity(repository, known_agents(context), context.env, now_ns=context.now_ns)
    speaking = [name for name, _ in identity.credits if is_agent(name)]
    whose = [name for name in makers if is_agent(name)]
    if not set(speaking).intersection(whose):
        who = speaking[0] if speaking else ""
        named = f"{who}'s" if who else f"that of {identity.who[:40] or 'this shell'}, which nobody registered"
        raise RegistrationError(
            f"{what} is {whose[0] if whose else 'nobody'}'s to give, not {named}",
            f"agent-tracker log --agent {who}" if who else "agent-tracker whoami",
        )


def _in_force(context: Context, work: Work, side: str) -> tuple[Given | None, int]:
    """Return the grade in force from a side for a piece of work, and its agent's score."""
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        agent = snapshot.agent(work.agent) if snapshot else None
        graded = journal_tables.graded(snapshot, subject_of(work.home.oid, "")) if snapshot else None
    given = next((each for each in graded.grades if each.side == side), None) if graded else None
    return given, agent.standing.communication_score if agent else 0


def grades(
    snapshot: Snapshot | None, context: Context, *, project: str | None, agent: str = "", limit: int | None = None
) -> list[GradeEntry]:
    """Return every grade that was given, newest first, those that others replaced included.

    Args:
        snapshot: The store; None where there is none yet.
        context: For the agents that only the registry knows.
        project: A project's UUID, its clones included; None for all.
        agent: Only the work of the agent that this names by id or name; empty for all.
        limit: At most so many; None for all.

    Raises:
        RegistrationError: There is no such agent.
    """
    wanted = Roster(agents_of(snapshot, context)).one(agent).id if agent else ""
    if snapshot is None:
        return []
    projects = None
    if project is not None:
        numbered = snapshot.numbered_projects()
        projects = {numbered[number].id for number in snapshot.joined_projects(project)}
    forgotten = {fact.target for fact in journal_tables.facts(snapshot, ForgetFact)}

    def judged(fact: GradeFact) -> Judged:
        return _judged(snapshot, fact)

    given = journal_tables.facts(snapshot, GradeFact)
    return view(given, judged, projects=projects, agent=wanted, forgotten=forgotten, limit=limit)


def _judged(snapshot: Snapshot, fact: GradeFact) -> Judged:
    """Return what a grade is about, as the store has it now."""
    if fact.oid:
        home = home_of(snapshot, fact.oid)
        commit = snapshot.commit(home)
        graded = journal_tables.graded(snapshot, subject_of(home, ""))
        in_force = {each.side: each.id for each in graded.grades} if graded else {}
        if commit is None:
            return Judged(home, "", "", "", in_force)
        return Judged(home, main_agent(commit.credits), commit.project, commit.subject, in_force)
    session = journal_tables.session(snapshot, fact.session)
    graded = journal_tables.graded(snapshot, subject_of(b"", fact.session))
    in_force = {each.side: each.id for each in graded.grades} if graded else {}
    return Judged(b"", session.agent if session else "", session.project if session else "", "", in_force)
