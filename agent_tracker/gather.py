"""From what spool and reflogs say, and what git knows of it, to facts.

Owns joining the three. Never writes anything and never opens the store; what the store knows already is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import GitError
from agent_tracker.git import CommitObject, changed_lines, read_commits
from agent_tracker.records import (
    AgentFact,
    CommitFact,
    CreditFact,
    Fact,
    Marks,
    RewriteFact,
    SeenCommit,
    SeenRewrite,
    SightingFact,
    StateFact,
    UndoneFact,
)
from agent_tracker.reflog import Entry, Undone
from agent_tracker.registration import IDENTITY_TRAILERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.records import Seen

__all__ = ["Sighted", "gather"]

DIFF_TIMEOUT_S = 5.0
MAX_TRAILERS = 20
REBASED = frozenset({"rebase", "squash"})
"""The operations by which a rebase makes a commit of another."""


Rewrites = dict[tuple[bytes, bytes], tuple[str, int]]
"""(old, new) to (operation, when it was recorded in Unix nanoseconds), in the order in which they were told."""


class Sighted(NamedTuple):
    """Something a spool or reflog said, and when it was recorded (Unix nanoseconds, in the order of saying)."""

    said: Seen | Entry | Undone
    recorded_ns: int


class _Making(NamedTuple):
    """What is known of one commit before git is asked."""

    operation: str
    seen: SeenCommit | None
    recorded_ns: int


def gather(
    common_dir: str, project: str, sighted: Iterable[Sighted], *, known: Callable[[bytes], Marks | None]
) -> list[Fact]:
    """Return the facts that `sighted` amounts to.

    Args:
        common_dir: The repository whose objects are read.
        project: The project's UUID.
        sighted: What the segments say in their order, then what the reflogs say.
        known: The stored marks of a commit, None for one that is not stored.

    Raises:
        GitError: Git cannot be run.
    """
    facts: list[Fact] = []
    makings: dict[bytes, _Making] = {}
    rewrites: Rewrites = {}
    for said, recorded_ns in sighted:
        match said:
            case AgentFact() | StateFact() | CreditFact():
                facts.append(said)
            case SeenCommit():
                operation = "rebase" if said.is_rebasing else "commit"
                makings.setdefault(said.oid, _Making(operation, said, recorded_ns))
            case Undone():
                facts.append(UndoneFact(said.oid, said.back_to, recorded_ns))
            case SeenRewrite():
                rewrites.setdefault((said.old, said.new), (said.operation, recorded_ns))
            case _:
                _note_entry(makings, rewrites, said, recorded_ns)
    for (old, new), (operation, recorded_ns) in rewrites.items():
        makings.setdefault(new, _Making(operation, None, recorded_ns))
        makings.setdefault(old, _Making("earlier", None, recorded_ns))
    stored = {oid: known(oid) for oid in makings}
    objects = read_commits(common_dir, (oid for oid, marks in stored.items() if marks is None))
    for oid, making in makings.items():
        facts += _commit_facts(oid, making, stored[oid], objects.get(oid), project)
    present = {oid for oid in makings if stored[oid] is not None or oid in objects}
    operations = {oid: making.operation for oid, making in makings.items()}
    settled = _settled_rewrites(rewrites, operations, objects)
    facts += _rewrite_facts(common_dir, settled, operations, present)
    return facts


def _note_entry(makings: dict[bytes, _Making], rewrites: Rewrites, entry: Entry, recorded_ns: int) -> None:
    """Add what a reflog entry says: how a commit came to be, which a hook cannot know, and what it amended."""
    met = makings.get(entry.new)
    if met is None:
        makings[entry.new] = _Making(entry.operation, None, recorded_ns)
    elif met.seen is not None:
        makings[entry.new] = met._replace(operation=entry.operation)
    if entry.operation == "amend":
        rewrites.setdefault((entry.old, entry.new), ("amend", recorded_ns))


def _commit_facts(
    oid: bytes, making: _Making, stored: Marks | None, found: CommitObject | None, project: str
) -> list[Fact]:
    recorded_at = making.recorded_ns // 10**9
    if stored is not None:
        if making.seen is None or ("hook", "1") in stored or ("found", "1") not in stored:
            return []
        return [SightingFact(oid, (*_seen_marks(making.seen), *_without_found(stored)), recorded_at)]
    if found is None and making.seen is None:
        return []
    marks = _seen_marks(making.seen) if making.seen else (("found", "1"),)
    if found is None:
        return [CommitFact(oid, project, "gone", marks, recorded_at, recorded_at, "")]
    subject = found.message.lstrip("\n").partition("\n")[0].strip()
    marks += _object_marks(found)
    return [CommitFact(oid, project, making.operation, marks, found.committed_at, recorded_at, subject)]


def _without_found(marks: Marks) -> Marks:
    return tuple(mark for mark in marks if mark[0] != "found")


def _seen_marks(seen: SeenCommit) -> Marks:
    known = (("hook", "1"), ("resolved", seen.resolved), ("use", seen.use))
    return (*(mark for mark in known if mark[1]), *seen.variables)


def _object_marks(found: CommitObject) -> Marks:
    people = (("author", _clean(found.author)), ("committer", _clean(found.committer)))
    return (*people, *(("trailer", line) for line in _identity_trailers(found.message)))


def _identity_trailers(message: str) -> list[str]:
    """Return the lines of a message that may name who made it, anchored to the line's start."""
    lines = (line.strip() for line in message.splitlines()[1:])
    wanted = [line for line in lines if line.partition(":")[0].lower() in IDENTITY_TRAILERS]
    return [_clean(line) for line in dict.fromkeys(wanted)][:MAX_TRAILERS]


def _clean(text: str) -> str:
    return text.replace("\0", "")[:300]


def _settled_rewrites(rewrites: Rewrites, operations: dict[bytes, str], objects: dict[bytes, CommitObject]) -> Rewrites:
    """Return the rewrites with those put right that a rebase tells of a commit made while it was stopped.

    Git says then that the commit at which it stopped became the last one made there. Where its copy lies below that
    one, the copy is what it became, and the commits above are new work.
    """
    taken = {new for (_, new), (operation, _) in rewrites.items() if operation == "rebase"}
    amended = {new: old for (old, new), (operation, _) in rewrites.items() if operation == "amend"}
    settled: Rewrites = {}
    for (old, new), how in rewrites.items():
        below = new
        while how[0] == "rebase" and below != old and operations.get(below) == "commit" and below in objects:
            below = objects[below].parents[0] if objects[below].parents else b""
        is_pick = operations.get(below) in REBASED and below not in taken
        is_amended_pick = below in amended and (amended[below] == old or operations.get(amended[below]) in REBASED)
        if below != old:
            settled.setdefault((old, below if is_pick or is_amended_pick else new), how)
    return settled


def _rewrite_facts(
    common_dir: str, rewrites: Rewrites, operations: dict[bytes, str], present: set[bytes]
) -> list[RewriteFact]:
    """Return the rewrites, with the lines each side brought where the credit may have to be shared."""
    possible = {pair: how for pair, how in rewrites.items() if pair[0] != pair[1] and pair[1] in present}
    told: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for pair in possible:
        told.setdefault(pair[1], []).append(pair)
    # A rebase that skips a commit says that it became the one before; only a squash or fixup has several sources.
    rebased = (pair for new, pairs in told.items() if operations[new] == "rebase" for pair in pairs[1:])
    skipped = {pair for pair in rebased if possible[pair][0] == "rebase"}
    shared = [
        pair
        for pair, (operation, _) in possible.items()
        if pair[0] in present and pair not in skipped and (operation == "amend" or len(told[pair[1]]) > 1)
    ]
    lines = dict.fromkeys(skipped, (-1, 0)) | _lines(
        common_dir, shared, {pair for pair in shared if possible[pair][0] == "amend"}
    )
    return [
        RewriteFact(old, new, operation, recorded_ns, *lines.get((old, new), (0, 0)))
        for (old, new), (operation, recorded_ns) in possible.items()
    ]


def _lines(
    common_dir: str, pairs: list[tuple[bytes, bytes]], amended: set[tuple[bytes, bytes]]
) -> dict[tuple[bytes, bytes], tuple[int, int]]:
    """Return (the old commit's lines, the lines an amend changed) by pair; nothing where git cannot tell in time."""
    if not pairs:
        return {}
    questions: list[tuple[bytes, bytes | None]] = []
    for old, new in pairs:
        questions += [(old, None), (new, old)]
    try:
        answers = changed_lines(common_dir, questions, timeout_s=DIFF_TIMEOUT_S)
    except GitError:
        return {}
    return {pair: (answers[2 * i], answers[2 * i + 1] if pair in amended else 0) for i, pair in enumerate(pairs)}
