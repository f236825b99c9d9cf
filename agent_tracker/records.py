"""Facts: typed and immutable records of something that happened.

Owns what a fact consists of. Never reads a file, never decides what a fact means; its text form is in `lines`, its
packed form in `packing`.
"""

from __future__ import annotations

from typing import NamedTuple

from agent_tracker.journal import JournalFact

__all__ = [
    "ABANDONED",
    "COUNTED",
    "HUMAN",
    "MICRO",
    "OPERATIONS",
    "PROVISIONAL",
    "REWRITTEN",
    "UNCLAIMED",
    "UNDONE",
    "Agent",
    "AgentFact",
    "Commit",
    "CommitFact",
    "CommitState",
    "CreditFact",
    "Credits",
    "Fact",
    "LossFact",
    "Marks",
    "ProjectFact",
    "ReflogPosition",
    "RewriteFact",
    "ScanPosition",
    "Seen",
    "SeenCommit",
    "SeenRewrite",
    "SeenSquash",
    "SightingFact",
    "Standing",
    "StateFact",
    "Turns",
    "UndoneFact",
    "is_agent",
    "main_agent",
]

MICRO = 1_000_000
"""A whole credit, and one experience point, in the integer units that are added up."""

HUMAN = "human"
UNCLAIMED = ""
"""Stand in the place of an agent's id in credits: a person, and nobody we can name."""


def is_agent(name: str) -> bool:
    """Tell whether a name in credits is an agent's id."""
    return name not in {HUMAN, UNCLAIMED}


def main_agent(credits: Credits) -> str:
    """Return the agent with the largest share, UNCLAIMED where none has one."""
    return next((name for name, _ in credits if is_agent(name)), UNCLAIMED)


Marks = tuple[tuple[str, str], ...]
"""Raw identity marks in the order they were seen: (name, value)."""

Credits = tuple[tuple[str, int], ...]
"""Who made a commit: (agent id, HUMAN or UNCLAIMED; share in millionths), largest first, adding to MICRO."""

Turns = tuple[tuple[int, str], ...]
"""Whose a session was: since when (Unix nanoseconds), and the agent's id, in this order."""


class CommitFact(NamedTuple):
    """A commit was made. Its id is its oid alone, so three clones hold one fact."""

    oid: bytes
    project: str
    operation: str
    marks: Marks
    committed_at: int
    recorded_at: int
    subject: str


class RewriteFact(NamedTuple):
    """`old` became `new`. `recorded_ns` orders rewrites; lines weigh the credit where it is shared.

    `old_lines` below 0: the old commit's work went, as when a rebase skips it, and brought `new` nothing.
    """

    old: bytes
    new: bytes
    operation: str
    recorded_ns: int
    old_lines: int
    own_lines: int


class AgentFact(NamedTuple):
    """A setup was registered: name, model and scope, from which its id is derived."""

    id: str
    name: str
    model: str
    scope: str
    client: str
    recorded_at: int


class StateFact(NamedTuple):
    """An agent was retired or resumed."""

    agent: str
    state: str
    recorded_ns: int


class CreditFact(NamedTuple):
    """A person put a commit's credit right."""

    oid: bytes
    credits: Credits
    recorded_ns: int
    why: str


class UndoneFact(NamedTuple):
    """A commit was taken back: HEAD went from it to `back_to`, of which it was made; empty for an aborted rebase."""

    oid: bytes
    back_to: bytes
    recorded_ns: int


class LossFact(NamedTuple):
    """Nothing has led to a commit for so long that its work is given up; or, not `is_lost`, something does again."""

    oid: bytes
    is_lost: bool
    recorded_ns: int


class SightingFact(NamedTuple):
    """A hook's word on a commit that had been found in a reflog before the hook wrote its line."""

    oid: bytes
    marks: Marks
    recorded_at: int


class ProjectFact(NamedTuple):
    """A repository was seen: its UUID, its path, and its root commit where that is known (else empty)."""

    id: str
    path: bytes
    root: bytes
    recorded_at: int


Fact = (
    CommitFact
    | RewriteFact
    | AgentFact
    | StateFact
    | CreditFact
    | SightingFact
    | UndoneFact
    | LossFact
    | ProjectFact
    | JournalFact
)


class SeenCommit(NamedTuple):
    """What a hook wrote of a commit: only what that moment knew. Git is asked for the rest at flush.

    `during` is empty, or what was under way: `rebase`, `am`, or `merge`, which may as well have made no commit at all.
    """

    oid: bytes
    resolved: str
    use: str
    during: str
    variables: Marks


class SeenRewrite(NamedTuple):
    """What post-rewrite wrote."""

    old: bytes
    new: bytes
    operation: str


class SeenSquash(NamedTuple):
    """What post-merge wrote of a `merge --squash`: the commits, newest first, that a commit on `head` will be made of.

    `head` is empty where the hook could not tell.
    """

    head: bytes
    oids: tuple[bytes, ...]


Seen = SeenCommit | SeenRewrite | SeenSquash | AgentFact | StateFact | CreditFact | JournalFact


OPERATIONS = (
    "commit",
    "initial",
    "amend",
    "merge",
    "cherry-pick",
    "revert",
    "rebase",
    "am",
    "earlier",
    "gone",
    "squash",
    "arrived",
    "imported",
)
"""How a commit came to be, stored by position: append only.

`earlier` is one older than the hooks, met in a rewrite. `gone` is one that a hook saw and git no longer has, if it ever
had it: it never counts, but what was made from it has its credit. `squash` is a rebase's squash or fixup. `arrived` was
made elsewhere, by a forge say, of work that was made here. `imported` is one that a scan found in history.
"""


class CommitState(NamedTuple):
    """What is derived for a commit from all facts: is it counted, and whose is it."""

    status: str
    credits: Credits


COUNTED = "counted"
REWRITTEN = "rewritten"
PROVISIONAL = "provisional"
UNDONE = "undone"
ABANDONED = "abandoned"
"""A commit's status: it counts; its work lives on in another; a copy of nobody knows what; taken back; given up."""


class Commit(NamedTuple):
    """A commit as it is read: the fact and what is derived for it.

    `committed_at` and `recorded_at` are Unix seconds, UTC; `marks` is the number of its interned marks. `earned_at` is
    when its work was first committed: in itself, or in the oldest commit that it was made of.
    """

    oid: bytes
    project: str
    operation: str
    marks: int
    committed_at: int
    recorded_at: int
    subject: str
    status: str
    credits: Credits
    earned_at: int


class Standing(NamedTuple):
    """What an agent has earned. `experience_micro` is towards the next skill point, `earned_micro` in all."""

    skill_points: int
    experience_micro: int
    communication_score: int
    total_commits: int
    total_bugs: int
    earned_micro: int

    @property
    def is_halted(self) -> bool:
        """Whether reported bugs took the last skill point: no commit until the agent is resumed."""
        return self.skill_points == 0


class Agent(NamedTuple):
    """A registered setup with its standing.

    `transitions` are (Unix nanoseconds, active) in order, after the registration, which made it active.
    """

    id: str
    name: str
    model: str
    scope: str
    client: str
    active: bool
    created_at: int
    updated_at: int
    standing: Standing
    transitions: tuple[tuple[int, bool], ...]


class ReflogPosition(NamedTuple):
    """How far a worktree's HEAD reflog was read.

    `offset` is in bytes; `last_oid` (hexadecimal) and `last_at` (Unix seconds) are those of the last entry before it.
    """

    offset: int
    last_oid: str
    last_at: int = 0


class ScanPosition(NamedTuple):
    """How far a repository's history was read: every commit that `tips` descend from, but those older than `since`.

    `since` is Unix seconds, 0 where nothing was left out. `shallow` is a checksum of what git says a shallow clone ends
    with, 0 where it is none: what comes below it later was not read. `refs` is one of all refs when there was nothing
    more to read, 0 where there was.
    """

    tips: tuple[bytes, ...]
    since: int
    shallow: int
    refs: int
