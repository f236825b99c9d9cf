"""Registering agents, retiring and resuming them, using one in a worktree, putting a credit right.

Owns those verbs. Each appends a fact to a spool and flushes it; never prints, never writes the store itself.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.announced import only_client
from agent_tracker.context import Context, FlushReport, open_store
from agent_tracker.enrolment import bind
from agent_tracker.errors import GitError, RegistrationError, SpoolError, StoreError
from agent_tracker.files import replace_file
from agent_tracker.flush import flush, known_agents, tell_hooks
from agent_tracker.hook import environment_marks
from agent_tracker.lines import MAX_FIELD, agent_line, credit_line, state_line
from agent_tracker.marks import AGENT_VARIABLE, client_name, named_sessions
from agent_tracker.records import COUNTED, HUMAN, Agent, AgentFact, CreditFact, Standing, StateFact
from agent_tracker.registration import Roster, agent_id, check_live, check_registration, whole
from agent_tracker.spool import append, ensure_directory
from agent_tracker.stored_facts import find_correction
from agent_tracker.verbs.grading import check_person
from agent_tracker.verbs.noting import check_installed, find_commit
from agent_tracker.verbs.writing import check_text
from agent_tracker.xp import NEW_STANDING

if TYPE_CHECKING:
    from agent_tracker.repository import Repository

__all__ = ["Corrected", "Registered", "Stated", "correct_credit", "register", "set_state", "stop_using", "use"]

MAX_USE_HOURS = 24 * 366


class Corrected(NamedTuple):
    """A commit's credit, put right: what was written down, and the flush that brought it in."""

    fact: CreditFact
    report: FlushReport


class Registered(NamedTuple):
    """An agent that was registered, or, not `is_new`, was already and has been given a session.

    `session` is that of the client in whose shell this ran, bound to the agent from now on; empty where there is none.
    `others` are the ids of the client's other active agents, from which nothing but a session tells this one.
    """

    agent: Agent
    is_new: bool
    session: str
    others: tuple[str, ...]


def register(context: Context, name: str, *, model: str, scope: str, client: str) -> Registered:
    """Register a setup; from then on its commits are its own, those made before it was registered too.

    In a client's own shell that client is meant where none is named, and its session is the agent's from now on: what
    an agent registers there is itself.

    Args:
        context: Paths, environment, time.
        name: What people call it.
        model: The language model.
        scope: Its domain of responsibility.
        client: The program it runs in, as `marks.CLIENTS` names them; may be empty.

    Raises:
        RegistrationError: It is registered already, or a string cannot be kept.
        SpoolError: The fact cannot be written.
        StoreError: The store cannot be used; hooks know the agent all the same, and the spool keeps the fact.
    """
    check_registration(name, model, scope)
    here, session = _client_here(context)
    client = client_name(client) if client else ""
    agents = known_agents(context)
    setup = agent_id(name, model, scope)
    existing = next((agent for agent in agents if agent.id == setup), None)
    client = existing.client if existing else client
    others = tuple(each.id for each in agents if each.active and each.client == (client or here) and each.id != setup)
    if not client and (session or not others):
        client = here
    bound = session if client in {"", here} else ""
    if existing and not (existing.active and bound):
        state = "registered" if existing.active else "registered, and retired"
        hint = "agent-tracker agents lists them" if existing.active else f"agent-tracker agents resume {setup}"
        raise RegistrationError(f"{name} ({model}, {scope}) is already {state}: {setup}", hint)
    if bound:
        bind(context.paths, bound, setup, now_ns=context.now_ns)
    if existing:
        flush(None, context._replace(now_ns=time.time_ns()))
        return Registered(existing, False, bound, others)  # noqa: FBT003 -- a field
    fact = AgentFact(setup, name, model, scope, client, context.now)
    agent = Agent(*fact[:5], True, fact.recorded_at, fact.recorded_at, NEW_STANDING, ())  # noqa: FBT003 -- a field
    return Registered(_record(context, agent_line(fact), agent), True, bound, others)  # noqa: FBT003 -- a field


def _client_here(context: Context) -> tuple[str, str]:
    """Return the client in whose shell this runs, and its session; both empty where a person does, or several may."""
    marks = environment_marks(context.env)
    client = "" if context.env.get(AGENT_VARIABLE) == HUMAN else only_client(marks)
    return client, next(iter(named_sessions(marks)), "") if client else ""


class Stated(NamedTuple):
    """An agent that was retired or resumed, as it is now, and whether that lifted its halt."""

    agent: Agent
    was_halted: bool


def set_state(context: Context, text: str, *, active: bool) -> Stated:
    """Retire or resume the agent that `text` names by id or name; one that is halted may commit again once resumed.

    Raises:
        RegistrationError: An agent runs this, there is no such agent, several, or it is so already.
        SpoolError: The fact cannot be written.
        StoreError: The store cannot be used; hooks know of it all the same, and the spool keeps the fact.
    """
    check_person(context.env, "an agent's leave to commit", f"agents {'resume' if active else 'retire'} {text}")
    agents = known_agents(context)
    named = Roster(agents).named(text)
    is_halted = {agent.id for agent in named if active and agent.standing.is_halted}
    candidates = [agent for agent in named if agent.active != active or agent.id in is_halted] or named
    agent = Roster(candidates).one(text)
    state = "active" if active else "retired"
    if agent.active == active and agent.id not in is_halted:
        raise RegistrationError(f"{agent.id} is {state} already", "agent-tracker agents")
    # A clock that went backwards must not put this before what it changes.
    earlier = [changed_ns for changed_ns, _ in agent.transitions] + _bugs(context, agent)
    at_ns = max([context.now_ns, *(at + 1 for at in earlier)])
    transitions = (*agent.transitions, (at_ns, active))
    standing = _resumed(agent) if active else agent.standing
    changed = agent._replace(active=active, transitions=transitions, standing=standing)
    _record(context, state_line(StateFact(agent.id, state, at_ns)), changed)
    return Stated(changed, agent.id in is_halted)


def _bugs(context: Context, agent: Agent) -> list[int]:
    """Return when an agent's bugs were reported (Unix nanoseconds), as far as the store can be read."""
    with suppress(StoreError):
        store, _ = open_store(context)
        with store.snapshot() as snapshot:
            known = snapshot.numbered_agents().get(agent.id) if snapshot else None
            if snapshot and known:
                return journal_tables.career_bugs(snapshot, known[1])
    return []


def _resumed(agent: Agent) -> Standing:
    """Return the standing of an agent that may commit again."""
    return agent.standing._replace(skill_points=max(1, agent.standing.skill_points))


def _record(context: Context, line: bytes, agent: Agent) -> Agent:
    """Append a fact about an agent to the user's spool, flush it, and tell the hooks, whether the store can or not."""
    ensure_directory(context.paths.spool_dir)
    append(context.paths.spool_dir, line)
    try:
        flush(None, context._replace(now_ns=time.time_ns()))
    except (StoreError, SpoolError) as error:
        tell_hooks(context, agent)
        raise type(error)(f"{error.message}; {agent.id} waits in the spool for the next flush", error.hint) from error
    return agent


def use(repository: Repository, agent: Agent, *, hours: float, now_ns: int) -> int:
    """Credit this worktree's commits to `agent` until the hours are over; return when that is (Unix seconds).

    Raises:
        RegistrationError: The agent is retired, halted or of history, or the hours are not a sensible number.
        SpoolError: The file cannot be written.
    """
    check_live(agent)
    if not agent.active or agent.standing.is_halted:
        state = "halted" if agent.active else "retired"
        raise RegistrationError(f"agent {agent.id} is {state}", f"agent-tracker agents resume {agent.id}")
    if not 0 < hours <= MAX_USE_HOURS:
        raise RegistrationError(f"{hours:g} hours is not a time to use an agent for", "for example: --hours 8")
    path = _use_path(repository)
    expires_ns = now_ns + int(hours * 3600) * 10**9
    try:
        ensure_directory(os.path.dirname(path))
        replace_file(path, agent.id + "\n")
        os.utime(path, ns=(expires_ns, expires_ns))
    except OSError as error:
        raise SpoolError(f"cannot write {path}: {error.strerror}", "check the directory's permissions") from error
    return expires_ns // 10**9


def stop_using(repository: Repository) -> bool:
    """End `use` in this worktree; False where none was in use.

    Raises:
        SpoolError: The file cannot be removed.
    """
    path = _use_path(repository)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SpoolError(f"cannot remove {path}: {error.strerror}", "check the directory's permissions") from error
    return True


def _use_path(repository: Repository) -> str:
    return os.path.join(repository.git_dir, "agent-tracker", "use")


def correct_credit(repository: Repository, context: Context, revision: str, who: str, *, why: str) -> Corrected:
    """Put a commit's credit right: `who` is an agent by id or name, or `human`.

    Args:
        repository: Where the revision is looked up.
        context: Paths, environment, time.
        revision: Any that git knows, of a commit that counts.
        who: Whose it is.
        why: At most MAX_FIELD characters.

    Raises:
        GitError: The revision names no commit, or one that is not known, that counts no more, or is another project's.
        RegistrationError: An agent runs this, or there is no such agent.
        UsageError: The reason is too long.
        StoreError: The store cannot be used.
    """
    check_person(context.env, "the credit for a commit", f"credit {revision} {who}")
    why = check_text("the reason", why, MAX_FIELD).replace("\0", "")
    commit, home = find_commit(repository, context, revision)
    agent = HUMAN if who == HUMAN else Roster(known_agents(context)).one(who).id
    if commit.status != COUNTED:
        short = commit.oid.hex()[:12]
        if home.oid == commit.oid:
            raise GitError(f"commit {short} was thrown away and counts no more", "agent-tracker log shows which do")
        raise GitError(
            f"commit {short} became {home.oid.hex()[:12]}", f"agent-tracker credit {home.oid.hex()[:12]} {who}"
        )
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        correction = find_correction(snapshot, commit.oid) if snapshot else None
    now_ns = max(time.time_ns(), correction.recorded_ns + 1 if correction else 0)
    fact = CreditFact(commit.oid, whole(agent), now_ns, why)
    append(check_installed(repository), credit_line(fact))
    return Corrected(fact, flush(repository, context._replace(now_ns=now_ns)))
