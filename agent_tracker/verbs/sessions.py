"""Beginning a session, giving a sign of life of it, ending it, and finding the one that is meant.

Owns those verbs. Each appends a fact to the repository's spool; never prints, never writes the store itself. What a
client tells of its session is never lost because the store is in a bad way: the line waits in the spool.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.derived import SessionState
from agent_tracker.errors import ConfigError, RegistrationError, SpoolError, UsageError
from agent_tracker.hook import current_identity, environment_marks, explain
from agent_tracker.journal import MAX_COUNT, MAX_WORD, PulseFact, SessionFact
from agent_tracker.lines import fact_line
from agent_tracker.marks import SESSION_VARIABLE, SESSION_VARIABLES, client_name, find_clients, named_sessions
from agent_tracker.processes import start_of
from agent_tracker.projects import find_project
from agent_tracker.records import is_agent
from agent_tracker.registration import Roster, check_live
from agent_tracker.registry import keep_session, read_session, write_session
from agent_tracker.spool import SPOOL, Segment, append, read_segment, segments
from agent_tracker.verbs.noting import Noted, check_installed, new_id, note
from agent_tracker.verbs.reading import agents_of, read
from agent_tracker.views.sessions import Held, state_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.context import Context
    from agent_tracker.errors import AgentTrackerError
    from agent_tracker.records import Agent
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = [
    "Beginning",
    "Pulsed",
    "Started",
    "Used",
    "find_session",
    "match",
    "pulse",
    "read_held",
    "start",
]

MAX_ID = 100
MIN_PREFIX = 4
MAX_PORT = 65535
MAX_PROCESS = (1 << 31) - 1
MAX_CAPABILITIES = 4000
MAX_RESPONSE_MS = 7 * 24 * 3600 * 1000
TIMEOUT_S = 1.0
"""How long a client waits for another flush, before looking or after: what it told waits in the spool."""


class Beginning(NamedTuple):
    """What is told of a session that begins; what is empty (or None) is found out or left open.

    `agent` is an id or a name. `process` is the one that is alive as long as the session is; 0 where none is known.
    """

    agent: str = ""
    id: str = ""
    client: str = ""
    model: str = ""
    process: int = 0
    port: int = 0
    capabilities: tuple[str, ...] = ()
    parent: str = ""


class Started(NamedTuple):
    """A session that began, `began`, or that was there: `open` or `resumed`; and what became of writing it down.

    `trouble` is empty, or why the hooks cannot know of it before it is flushed.
    """

    fact: SessionFact
    what: str
    noted: Noted
    trouble: str = ""


class Used(NamedTuple):
    """What a session used since its last sign of life; response times in milliseconds."""

    tools: int = 0
    commands: int = 0
    failures: int = 0
    response_ms: tuple[int, ...] = ()


class Pulsed(NamedTuple):
    """A sign of life: whose, whether the session was over before, and what became of it; None while it just waits.

    `trouble` is empty, or why it waits longer than it should.
    """

    session: str
    was_over: bool
    noted: Noted | None
    trouble: str


class _Seen(NamedTuple):
    agents: list[Agent]
    sessions: list[Held]
    last_ns: int


# -- beginning one -----------------------------------------------------------------------------------------------------


def start(repository: Repository, context: Context, told: Beginning) -> Started:
    """Begin a session in this worktree, or go on with the one that has this id.

    Args:
        repository: The worktree; the hooks must be installed.
        context: Paths, environment, time.
        told: What is known of it.

    Raises:
        GitError: Nothing is recorded here.
        UsageError: Something told cannot be kept.
        RegistrationError: There is no such agent, none commits here now, it is retired or halted, or the session is
            another agent's.
        ConfigError: The configuration is not valid.
        SpoolError: It cannot be written down.
    """
    directory = check_installed(repository)
    _check(told)
    session_id = told.id or _client_session(context) or new_id()

    def looked(snapshot: Snapshot | None) -> _Seen:
        pulses = journal_tables.facts_about(snapshot, PulseFact, b"", session_id) if snapshot else []
        last_ns = max((pulse.recorded_ns for pulse in pulses), default=0)
        return _Seen(agents_of(snapshot, context), read_held(snapshot), last_ns)

    reading = read(context, repository, looked)
    seen = reading.value
    if reading.error and not reading.is_salvaged:
        seen.sessions.extend(_waiting(directory, find_project(repository), seen.sessions))
    agent = _agent(repository, context, told.agent, seen.agents)
    known = next((each for each in seen.sessions if each.fact.id == session_id), None)
    # It may have come to another agent since it began.
    whose = read_session(context.paths.registry, session_id) or (known.fact.agent if known else agent.id)
    if whose != agent.id:
        raise RegistrationError(f"session {session_id} is {whose}'s", "give another: --id ID")
    client = client_name(told.client) if told.client else agent.client
    fact = (
        known.fact
        if known
        else SessionFact(
            session_id,
            agent.id,
            client or next(iter(find_clients(environment_marks(context.env))), ""),
            told.model or agent.model,
            repository.work_tree,
            _parent(told.parent, session_id, context, seen.sessions),
            told.process,
            start_of(told.process) if told.process else "",
            told.port,
            " ".join(told.capabilities),
            "",
            context.now_ns,
        )
    )
    at_ns = max(context.now_ns, seen.last_ns + 1, known.state.last_ns + 1 if known else 0)
    is_same = bool(known and not known.state.ended_ns and told.process == known.fact.process)
    again = PulseFact(new_id(), session_id, "beat" if is_same else "resume", 0, 0, 0, 0, 0, 0, at_ns)
    # First: a client may not wait for the flush.
    trouble = _tell_hooks(context, session_id, agent.id)
    noted = _note(repository, context, again if known else fact, _patience(reading.error))
    return Started(fact, ("resumed" if known.state.ended_ns else "open") if known else "began", noted, trouble)


def _tell_hooks(context: Context, session_id: str, agent: str) -> str:
    """Write down whose a session is where the hooks look, and return why that cannot be, empty where it can."""
    try:
        write_session(context.paths.registry, session_id, agent, now_ns=context.now_ns)
    except OSError as error:
        return f"cannot write {context.paths.state_dir}: {error.strerror}"
    return ""


def _check(told: Beginning) -> None:
    """Raise where something cannot be kept.

    Raises:
        UsageError: It is too long, too large, or has characters that it may not have.
    """
    _check_word("the session's id", told.id, MAX_ID)
    _check_word("the parent session's id", told.parent, MAX_WORD)
    if len(told.model) > MAX_WORD or not told.model.isprintable():
        raise UsageError(f"the model is not printable or has more than {MAX_WORD} characters", "give its name alone")
    for word in told.capabilities:
        _check_word("a capability", word, MAX_ID)
        if not word:
            raise UsageError("a capability is empty", "for example: --capability browser")
    if len(" ".join(told.capabilities)) > MAX_CAPABILITIES:
        raise UsageError(f"the capabilities have more than {MAX_CAPABILITIES:,} characters", "give fewer")
    for what, value, limit in (("process", told.process, MAX_PROCESS), ("port", told.port, MAX_PORT)):
        if not 0 <= value <= limit:
            raise UsageError(f"{value} is no {what}", f"a {what} is a number up to {limit}")


def _check_word(what: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise UsageError(f"{what} has {len(text):,} characters", f"at most {limit}")
    if not text.isprintable() or " " in text:
        raise UsageError(f"{what} has spaces or control characters: {text[:40]!r}", "use printable text without spaces")


def _client_session(context: Context) -> str:
    """Return the id that the client gives its session in the environment, empty where none does or several do."""
    marks = tuple(mark for mark in environment_marks(context.env) if mark[0] != SESSION_VARIABLE)
    found = named_sessions(marks)
    is_fit = len(found) == 1 and len(found[0]) <= MAX_ID and found[0].isprintable() and " " not in found[0]
    return found[0] if is_fit else ""


def _agent(repository: Repository, context: Context, text: str, agents: list[Agent]) -> Agent:
    """Return the agent that is named, or else the one that a commit here and now would be credited to.

    Raises:
        RegistrationError: There is none, or it is retired, halted or of history.
    """
    if text:
        agent = Roster(agents).one(text)
    else:
        identity, _ = current_identity(repository, agents, context.env, now_ns=context.now_ns)
        if identity.problem:
            raise RegistrationError(*explain(identity, context.env))
        who = identity.credits[0][0]
        if not is_agent(who):
            raise RegistrationError(
                "whose session? No agent commits here now", "agent-tracker session start --agent AGENT"
            )
        agent = Roster(agents).one(who)
    check_live(agent)
    problem = "retired" if not agent.active else "halted" if agent.standing.is_halted else ""
    if problem:
        raise RegistrationError(f"agent {agent.id} is {problem}", f"agent-tracker agents resume {agent.id}")
    return agent


def _parent(text: str, session_id: str, context: Context, sessions: list[Held]) -> str:
    """Return the session in which another one begins: the one that is named, or else the one of this shell, if open.

    Raises:
        UsageError: The one that is named is not known, or is the session itself.
    """
    if not text:
        here = context.env.get(SESSION_VARIABLE, "")
        is_open = any(each.fact.id == here and not each.state.ended_ns for each in sessions)
        return here if is_open and here != session_id else ""
    found = match(text, sessions)
    if found is None or found.fact.id == session_id:
        raise UsageError(f"session {text!r} can be no parent of {session_id}", "agent-tracker session list")
    return found.fact.id


# -- signs of life -----------------------------------------------------------------------------------------------------


def pulse(repository: Repository, context: Context, text: str, what: str, used: Used) -> Pulsed:
    """Note a sign of life of a session, and what it used since the last one.

    A `beat` is appended and no more: a client gives one at each step. `idle` and `end` are flushed. A session that is
    over already stays so: what it used is noted, and nothing else.

    Args:
        repository: A worktree; the hooks must be installed.
        context: Paths, environment, time.
        text: The session's id, or its beginning; empty for the one that is meant here.
        what: `beat`, `idle` or `end`.
        used: Since the last one.

    Raises:
        GitError: Nothing is recorded here.
        RegistrationError: There is no such session.
        UsageError: Several may be meant, or a number is out of range.
        SpoolError: It cannot be written down.
    """
    directory = check_installed(repository)
    _check_used(used)
    session_id = _known_here(context, text)
    if session_id and what == "beat":
        append(directory, fact_line(_pulse(session_id, what, used, context.now_ns)))
        keep_session(context.paths.registry, session_id, now_ns=context.now_ns)
        return Pulsed(session_id, was_over=False, noted=None, trouble="")
    found, last_ns, error = _look(repository, context, text or session_id, is_known=bool(session_id))
    trouble = error.message if error else ""
    session_id = found.fact.id if found else session_id or text or context.env.get(SESSION_VARIABLE, "")
    was_over = bool(found and found.state.ended_ns and found.state.end == "end")
    keep_session(context.paths.registry, session_id, now_ns=context.now_ns)
    if was_over and used == Used():
        return Pulsed(session_id, was_over, None, trouble)
    at_ns = max(context.now_ns, last_ns + 1)
    noted = _note(repository, context, _pulse(session_id, "beat" if was_over else what, used, at_ns), _patience(error))
    return Pulsed(session_id, was_over, noted, noted.trouble)


def _pulse(session_id: str, what: str, used: Used, at_ns: int) -> PulseFact:
    times = used.response_ms
    counts = (used.tools, used.commands, used.failures, len(times), sum(times), max(times, default=0))
    return PulseFact(new_id(), session_id, what, *counts, at_ns)


def _check_used(used: Used) -> None:
    for name in ("tools", "commands", "failures"):
        if not 0 <= getattr(used, name) <= MAX_COUNT:
            raise UsageError(f"{getattr(used, name)} {name} at once", f"a number up to {MAX_COUNT:,}")
    for time_ms in used.response_ms:
        if not 0 <= time_ms <= MAX_RESPONSE_MS:
            raise UsageError(f"a response took {time_ms} ms", f"a number of milliseconds up to {MAX_RESPONSE_MS:,}")
    if len(used.response_ms) > MAX_COUNT:
        raise UsageError(f"{len(used.response_ms):,} responses at once", f"at most {MAX_COUNT:,}")


def _known_here(context: Context, text: str) -> str:
    """Return the session that is meant where its file tells, without the store; empty where it does not."""
    named = [text] if text else _named(context)
    return next((name for name in named if read_session(context.paths.registry, name)), "")


def _named(context: Context) -> list[str]:
    """Return the ids that the environment may mean, the first first."""
    env = context.env
    ids = (*named_sessions(environment_marks(env)), *(env.get(name, "") for name in SESSION_VARIABLES))
    return list(dict.fromkeys(filter(None, (env.get(SESSION_VARIABLE, ""), *ids))))


def _look(
    repository: Repository, context: Context, text: str, *, is_known: bool
) -> tuple[Held | None, int, AgentTrackerError | None]:
    """Return the session that is meant, the time of its last pulse, and why the store lacks something, if it does.

    `is_known`: by its file. It is believed, even where the store does not know of it yet.

    Raises:
        RegistrationError: There is no such session.
        UsageError: Several may be meant.
    """

    def looked(snapshot: Snapshot | None) -> tuple[list[Held], dict[str, int]]:
        sessions = read_held(snapshot)
        lasts = {}
        for each in sessions if snapshot else ():
            if each.fact.id == text or not each.state.ended_ns:
                pulses = journal_tables.facts_about(snapshot, PulseFact, b"", each.fact.id) if snapshot else []
                lasts[each.fact.id] = max((pulse.recorded_ns for pulse in pulses), default=0)
        return sessions, lasts

    try:
        reading = read(context, repository, looked)
    except ConfigError as error:
        if not (text or context.env.get(SESSION_VARIABLE)):
            raise
        return None, 0, error
    sessions, lasts = reading.value
    if reading.error and not reading.is_salvaged:
        sessions += _waiting(check_installed(repository), find_project(repository), sessions)
    try:
        found = find_session(repository, context, text, sessions)
    except RegistrationError:
        # Nobody can tell whether it is known, and what a client says of its session must not be lost.
        if is_known or (reading.is_salvaged and (text or context.env.get(SESSION_VARIABLE))):
            return None, 0, reading.error
        raise
    return found, max(lasts.get(found.fact.id, 0), found.state.last_ns), reading.error


def _waiting(directory: str, project: str, known: list[Held]) -> list[Held]:
    """Return the sessions that began by a repository's spool, and that a flush has not brought into the store yet."""
    files = segments(directory)
    path = os.path.join(directory, SPOOL)
    if os.path.isfile(path) and not os.path.islink(path):
        files.append(Segment(path, SPOOL, 0, 0))
    ids = {each.fact.id for each in known}
    found: dict[str, Held] = {}
    for file in files:
        with suppress(SpoolError):
            begun, _ = read_segment(file, (SessionFact,))
            for fact in begun:
                if isinstance(fact, SessionFact) and fact.id not in ids:
                    state = SessionState(fact.recorded_ns, 0, "", False, 0, 0, 0, 0, 0, 0)  # noqa: FBT003 -- a field
                    found.setdefault(fact.id, Held(fact._replace(project=project), state))
    return list(found.values())


def _patience(error: AgentTrackerError | None) -> float:
    """Return how long to wait for another flush (seconds): whoever has waited for it in vain waits no more."""
    return 0.0 if isinstance(error, SpoolError) else TIMEOUT_S


def _note(repository: Repository, context: Context, fact: SessionFact | PulseFact, timeout_s: float) -> Noted:
    try:
        return note(repository, context._replace(timeout_s=min(context.timeout_s, timeout_s)), fact)
    except ConfigError as error:
        # It was appended before that.
        return Noted(None, error.message)


# -- finding one -------------------------------------------------------------------------------------------------------


def read_held(snapshot: Snapshot | None) -> list[Held]:
    """Return every session and how it stands, the one that began first first."""
    if snapshot is None:
        return []
    states = journal_tables.session_states(snapshot)
    found = []
    for fact in journal_tables.facts(snapshot, SessionFact):
        state = states.get(journal_tables.session_key(fact.id))
        if state:
            found.append(Held(fact, state))
    return sorted(found, key=lambda each: (each.fact.recorded_ns, each.fact.id))


def match(text: str, sessions: Sequence[Held]) -> Held | None:
    """Return the session with this id, or the only one whose id begins so, None where there is none.

    Raises:
        UsageError: Several ids begin so.
    """
    found = [each for each in sessions if each.fact.id == text]
    if not found and len(text) >= MIN_PREFIX:
        found = [each for each in sessions if each.fact.id.startswith(text)]
    if len(found) > 1:
        ids = ", ".join(each.fact.id for each in found[:5])
        raise UsageError(f"{text!r} begins several sessions' ids", f"give one: {ids}")
    return found[0] if found else None


def find_session(repository: Repository, context: Context, text: str, sessions: Sequence[Held]) -> Held:
    """Return the session that is named, or else the one that is meant here.

    That is the one of `AGENT_TRACKER_SESSION`, else of the client's own variable where such a session is known, else
    the only open one of this worktree.

    Args:
        repository: This worktree.
        context: Paths and environment.
        text: An id or its beginning; may be empty.
        sessions: All that are known.

    Raises:
        RegistrationError: There is no such session.
        UsageError: Several may be meant.
    """
    explicit = text or context.env.get(SESSION_VARIABLE, "")
    if explicit:
        found = match(explicit, sessions)
        if found is None:
            raise RegistrationError(f"unknown session {explicit[:MAX_ID]!r}", "agent-tracker session list --all")
        return found
    by_id = {each.fact.id: each for each in sessions}
    named = next((by_id[name] for name in _named(context) if name in by_id), None)
    if named:
        return named
    here = [each for each in sessions if each.fact.worktree == repository.work_tree and not each.state.ended_ns]
    # Another project may have lain here before.
    here = [each for each in here if each.fact.project == find_project(repository)]
    if len(here) > 1:
        ids = ", ".join(f"{each.fact.id} ({each.fact.agent}, {state_word(each.state)})" for each in here[:5])
        raise UsageError("several sessions are open in this worktree", f"name one: {ids}")
    if not here:
        raise RegistrationError("no session is open in this worktree", "agent-tracker session start, or name one")
    return here[0]
