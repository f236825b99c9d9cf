"""Facts, agents and stores for the tests: short to write, fixed in time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, settings

from agent_tracker.apply import Applied, apply
from agent_tracker.journal import (
    BindingFact,
    BugFact,
    GradeFact,
    PulseFact,
    PushFact,
    RulesFact,
    SessionFact,
    WithdrawalFact,
)
from agent_tracker.records import (
    MICRO,
    Agent,
    AgentFact,
    CommitFact,
    CreditFact,
    Credits,
    Fact,
    LossFact,
    Marks,
    ProjectFact,
    RewriteFact,
    SightingFact,
    Standing,
    StateFact,
    UndoneFact,
)
from agent_tracker.registration import agent_id, whole
from agent_tracker.rules import DEFAULT_RULES, Timeline, format_values
from agent_tracker.store import Store
from agent_tracker.verify import verify
from agent_tracker.xp import NEW_STANDING, Career, ledger_of, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.tables import Snapshot

__all__ = [
    "NOW",
    "PROJECT",
    "SIZE_BYTES",
    "UNHURRIED",
    "agent",
    "agent_fact",
    "apply_all",
    "binding",
    "bug",
    "by_agent",
    "commit_fact",
    "correction",
    "earned_standing",
    "fact_id",
    "grade",
    "listed",
    "loss",
    "oid",
    "problems",
    "project_fact",
    "pulse",
    "push",
    "reading",
    "rewrite",
    "rules_fact",
    "session",
    "sighting",
    "state_fact",
    "store_at",
    "undone",
    "withdrawal",
]

T = TypeVar("T")
NOW = 1_700_000_000
PROJECT = "11111111-2222-3333-4444-555555555555"
SIZE_BYTES = 16 * 1024 * 1024
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests of properties: a busy machine is no failure."""


def oid(name: str, *, length: int = 20) -> bytes:
    """Return an oid that stands for `name`."""
    return hashlib.sha256(name.encode()).digest()[:length]


def agent(
    name: str,
    *,
    client: str = "",
    created_at: int = NOW,
    transitions: tuple[tuple[int, bool], ...] = (),
    model: str = "model-1",
) -> Agent:
    """Return a registered agent; `transitions` are (seconds, active)."""
    changes = tuple((at * 10**9, active) for at, active in transitions)
    active = changes[-1][1] if changes else True
    setup = agent_id(name, model, "all")
    return Agent(setup, name, model, "all", client, active, created_at, created_at, NEW_STANDING, changes)


def agent_fact(name: str, *, client: str = "", at: int = NOW, model: str = "model-1") -> AgentFact:
    """Return the registration of an agent."""
    return AgentFact(agent_id(name, model, "all"), name, model, "all", client, at)


def state_fact(fact: AgentFact, state: str, at: int) -> StateFact:
    """Return the retirement or return of an agent, at so many seconds."""
    return StateFact(fact.id, state, at * 10**9)


def project_fact(project: str = PROJECT, *, path: bytes = b"/home/someone/repo", root: bytes = b"") -> ProjectFact:
    """Return a project."""
    return ProjectFact(project, path, root, NOW)


def by_agent(name: str) -> Marks:
    """Return the marks of a commit that says which agent made it."""
    return (("hook", "1"), ("AGENT_TRACKER_AGENT", name))


def commit_fact(name: str, *, marks: Marks = (("hook", "1"),), operation: str = "commit", at: int = NOW) -> CommitFact:
    """Return a commit, its oid and subject derived from `name`."""
    return CommitFact(oid(name), PROJECT, operation, marks, at, at, f"subject of {name}")


def rewrite(  # noqa: PLR0913 -- one argument a field
    old: str, new: str, operation: str = "amend", *, at: int = NOW, old_lines: int = 0, own_lines: int = 0
) -> RewriteFact:
    """Return a rewrite of one commit to another, recorded at so many seconds."""
    return RewriteFact(oid(old), oid(new), operation, at * 10**9, old_lines, own_lines)


def correction(name: str, credits: Credits | str, *, at: int = NOW) -> CreditFact:
    """Return a person's word on whose a commit is."""
    shares = whole(credits) if isinstance(credits, str) else credits
    assert sum(share for _, share in shares) == MICRO
    return CreditFact(oid(name), shares, at * 10**9, "said so")


def sighting(name: str, marks: Marks, *, at: int = NOW) -> SightingFact:
    """Return a hook's late word on a commit."""
    return SightingFact(oid(name), marks, at)


def loss(name: str, *, is_lost: bool = True, at: int = NOW) -> LossFact:
    """Return that nothing leads to a commit any more, or something again."""
    return LossFact(oid(name), is_lost, at * 10**9)


def undone(name: str, back_to: str = "", *, at: int = NOW) -> UndoneFact:
    """Return that a commit was taken back."""
    return UndoneFact(oid(name), oid(back_to) if back_to else b"", at * 10**9)


def fact_id(name: str) -> str:
    """Return an id that stands for `name`."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def grade(  # noqa: PLR0913 -- one argument a field
    name: str, of: str = "", word: str = "good", *, side: str = "user", at: int = NOW, session: str = "", note: str = ""
) -> GradeFact:
    """Return a grade called `name`, for the commit `of` or for a session, given at so many seconds."""
    return GradeFact(fact_id(name), oid(of) if of else b"", session, side, word, note, at * 10**9)


def bug(name: str, of: str = "", *, agent: str = "", at: int = NOW, note: str = "") -> BugFact:
    """Return a bug called `name`, in the commit `of` or against an agent, reported at so many seconds."""
    return BugFact(fact_id(name), oid(of) if of else b"", agent, note, b"", PROJECT if of else "", at * 10**9)


def withdrawal(name: str, *, at: int = NOW) -> WithdrawalFact:
    """Return that the bug called `name` was none."""
    return WithdrawalFact(fact_id(name), "was none", at * 10**9)


def session(name: str, agent_id: str, *, at: int = NOW) -> SessionFact:
    """Return that a session began at so many seconds."""
    return SessionFact(name, agent_id, "", "", "/home/someone/repo", "", 0, "", 0, "", PROJECT, at * 10**9)


def binding(name: str, agent_id: str, *, at: int = NOW) -> BindingFact:
    """Return that a session is an agent's from so many seconds on."""
    return BindingFact(name, agent_id, at * 10**9)


def pulse(  # noqa: PLR0913 -- one argument a field
    name: str, of: str, what: str = "beat", *, tools: int = 0, commands: int = 0, at: int = NOW
) -> PulseFact:
    """Return a session's sign of life, called `name`, at so many seconds."""
    return PulseFact(fact_id(name), of, what, tools, commands, 0, 0, 0, 0, at * 10**9)


def push(of: str, *, at: int = NOW) -> PushFact:
    """Return that a commit was pushed at so many seconds."""
    return PushFact(oid(of), at * 10**9)


def rules_fact(*, at: int = NOW, is_for_all: bool = False, **values: int) -> RulesFact:
    """Return that other rules hold from so many seconds on."""
    return RulesFact(at * 10**9, is_for_all, format_values({**DEFAULT_RULES, **values}))


def earned_standing(earned_micro: int, commits: int) -> Standing:
    """Return the standing of an agent to which nothing happened but earning."""
    return standing(Career(0), ledger_of((), [(1, earned_micro)]), commits, Timeline())


def store_at(directory: Path) -> Store:
    """Return a store in a directory; nothing is there yet."""
    return Store(str(directory / "store.lmdb"), SIZE_BYTES)


def apply_all(store: Store, facts: Iterable[Fact]) -> Applied:
    """Apply facts in one transaction."""
    with store.writer(timeout_s=5) as writer:
        return apply(writer, facts, now=NOW)


def reading(store: Store, read: Callable[[Snapshot], T]) -> T:
    """Return what `read` finds in a snapshot."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        return read(snapshot)


def problems(store: Store) -> tuple[str, ...]:
    """Return what `verify` finds wrong."""
    return reading(store, verify).problems


def listed(directory: Path | str) -> list[str]:
    """Return the names in a directory, sorted."""
    return sorted(path.name for path in Path(directory).iterdir())
