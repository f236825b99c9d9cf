"""Facts about the work beside the commits: grades, bugs, retrospectives, activities, sessions, pushes, rules.

Owns what such a fact consists of, and what its fields may hold. Never reads a file and never decides what a fact means;
its text form is in `lines`, its packed form in `packing`.

An `id` is twelve hexadecimal digits, drawn when the fact is written down: the same fact, applied twice, is one. Where
a fact is about a commit or about a session, one of `oid` and `session` is empty. `project` is empty in a line: whose
spool it lay in says it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "GRADES",
    "MAX_COUNT",
    "MAX_NOTE",
    "MAX_WORD",
    "PULSES",
    "SIDES",
    "ActivityFact",
    "BindingFact",
    "BugFact",
    "ForgetFact",
    "GradeFact",
    "JournalFact",
    "PulseFact",
    "PushFact",
    "RetroFact",
    "RulesFact",
    "SessionFact",
    "WithdrawalFact",
]

GRADES = ("bad", "neutral", "good", "excellence")
"""The words for a grade, from the worst to the best, stored by position: append only."""

SIDES = ("user", "agent")
"""Who gives a grade, stored by position: append only."""

PULSES = ("beat", "idle", "end", "interrupted", "resume", "compact")
"""What a session tells of itself: alive, idle, ended, found dead, going on, its context made smaller; by position:
append only."""

MAX_NOTE = 20_000
"""How many characters a note or another text of a person's or an agent's may have."""

MAX_WORD = 200
"""How many characters a name, a task or an id of a client's may have."""

MAX_COUNT = 10_000
"""How much one pulse may claim of anything."""


class GradeFact(NamedTuple):
    """One side judged a commit, or the session that made none."""

    id: str
    oid: bytes
    session: str
    side: str
    grade: str
    note: str
    recorded_ns: int


class BugFact(NamedTuple):
    """A person reported a bug: in a commit, or against an agent where `oid` is empty."""

    id: str
    oid: bytes
    agent: str
    note: str
    fixed_by: bytes
    project: str
    recorded_ns: int


class WithdrawalFact(NamedTuple):
    """The bug of this id was none."""

    id: str
    why: str
    recorded_ns: int


class RetroFact(NamedTuple):
    """A look back at a commit, or at a session: the grades are words of GRADES, empty where a side gave none."""

    id: str
    oid: bytes
    session: str
    agent: str
    task: str
    agent_grade: str
    user_grade: str
    agent_note: str
    user_note: str
    project: str
    recorded_ns: int


class ActivityFact(NamedTuple):
    """What an agent did and why: the task, what was done, what came of it, what was decided."""

    id: str
    agent: str
    session: str
    oid: bytes
    task: str
    actions: str
    outcome: str
    decisions: str
    project: str
    recorded_ns: int


class SessionFact(NamedTuple):
    """A session began.

    `id` is the client's own, or twelve digits like another's. `process` is 0 where it is not known; `process_start`
    tells it from a later one of the same number. `capabilities` are words with spaces between.
    """

    id: str
    agent: str
    client: str
    model: str
    worktree: str
    parent: str
    process: int
    process_start: str
    port: int
    capabilities: str
    project: str
    recorded_ns: int


class BindingFact(NamedTuple):
    """A session is an agent's from then on: it began before anybody knew whose it was, or another model took over."""

    session: str
    agent: str
    recorded_ns: int


class PulseFact(NamedTuple):
    """A session gave a sign of life: what it used since the last one, and how long its model took to answer.

    `tools` and `commands` are successful ones; `failures` are those of both that failed.
    """

    id: str
    session: str
    what: str
    tools: int
    commands: int
    failures: int
    responses: int
    response_ms: int
    slowest_ms: int
    recorded_ns: int


class PushFact(NamedTuple):
    """A push moved a remote's ref to a commit."""

    oid: bytes
    recorded_ns: int


class RulesFact(NamedTuple):
    """Other rules hold: from then on, or `is_for_all` for everything that happened before as well.

    `values` are `NAME=NUMBER` with spaces between.
    """

    recorded_ns: int
    is_for_all: bool
    values: str


class ForgetFact(NamedTuple):
    """A text must go: that of the fact with this id, or a commit's subject, by its oid in hexadecimal digits."""

    target: str
    recorded_ns: int


JournalFact = (
    GradeFact
    | BugFact
    | WithdrawalFact
    | RetroFact
    | ActivityFact
    | SessionFact
    | BindingFact
    | PulseFact
    | PushFact
    | RulesFact
    | ForgetFact
)
