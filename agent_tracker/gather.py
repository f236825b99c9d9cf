"""From what spool and reflogs say, and what git knows of it, to facts.

Owns joining the three. Never writes anything and never opens the store; what the store knows already is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import GitError
from agent_tracker.git import CommitObject, changed_lines, list_commits, read_commits
from agent_tracker.instructions import setup_marks
from agent_tracker.marks import IDENTITY_TRAILERS
from agent_tracker.records import (
    AgentFact,
    CommitFact,
    CreditFact,
    Fact,
    Marks,
    RewriteFact,
    SeenCommit,
    SeenRewrite,
    SeenSquash,
    SightingFact,
    StateFact,
    UndoneFact,
)
from agent_tracker.reflog import Entry, Left, Moved, Undone
from agent_tracker.registration import COPIED
from agent_tracker.tracing import Clues, Known, Target, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_tracker.records import Seen
    from agent_tracker.reflog import Said

__all__ = ["Arrived", "Past", "Sighted", "gather"]

DIFF_TIMEOUT_S = 5.0
MAX_SCRIPTED = 50
SCRIPTED_WITHIN_S = 120
"""Commits that a script may make before it moves a ref to the last of them, and how long before."""
MAX_TRAILERS = 20
REBASED = frozenset({"rebase", "squash"})
"""The operations by which a rebase makes a commit of another."""


Rewrites = dict[tuple[bytes, bytes], tuple[str, int]]
"""(old, new) to (operation, when it was recorded in Unix nanoseconds), in the order in which they were told."""


class Sighted(NamedTuple):
    """Something a spool or reflog said, and when it was recorded (Unix nanoseconds, in the order of saying)."""

    said: Seen | Said | Arrived
    recorded_ns: int


class Arrived(NamedTuple):
    """A commit that came from elsewhere: it counts where it was made of work that was made here."""

    oid: bytes


class _Making(NamedTuple):
    """What is known of one commit before git is asked."""

    operation: str
    seen: SeenCommit | None
    recorded_ns: int


class Past(NamedTuple):
    """What is stored: the marks of a commit (None for one that is not), and what new ones may have been made of.

    `others` are the newest first. `trunk` are the heads of what all work is to end up in, where that is known.
    """

    marks: Callable[[bytes], Marks | None]
    others: Sequence[Known] = ()
    trunk: Sequence[bytes] = ()


def gather(common_dir: str, project: str, sighted: Iterable[Sighted], past: Past) -> list[Fact]:
    """Return the facts that `sighted` amounts to.

    Args:
        common_dir: The repository whose objects are read.
        project: The project's UUID.
        sighted: What the segments say in their order, then what the reflogs say.
        past: What the store has.

    Raises:
        GitError: Git cannot be run.
    """
    said = _Sayings()
    for each in sighted:
        said.take(*each)
    said.settle_merges()
    said.settle_moves(common_dir, past.marks)
    makings = said.makings
    for (old, new), (operation, recorded_ns) in said.rewrites.items():
        makings.setdefault(new, _Making(operation, None, recorded_ns))
        makings.setdefault(old, _Making("earlier", None, recorded_ns))
    stored = {oid: past.marks(oid) for oid in makings}
    unstored = [oid for oid, marks in stored.items() if marks is None]
    # Few of those that arrived are stored: their trees are read then.
    arrived = {oid for oid in unstored if makings[oid].operation == "arrived"}
    objects = read_commits(common_dir, unstored, setups_of=set(unstored) - arrived)
    present = {oid for oid in makings if stored[oid] is not None or oid in objects}
    operations = {oid: making.operation for oid, making in makings.items()}
    bases = {left.base for left in said.lefts if left.is_rebase and left.followers is not None}
    settled = _settled_rewrites(said.rewrites, operations, objects, bases)
    rewrites = _rewrite_facts(common_dir, settled, operations, present)
    traced = _traced(common_dir, said, objects, past, rewrites) if objects else []
    sources = dict.fromkeys(fact.old for fact in traced if fact.old not in makings)
    missing = [oid for oid in sources if past.marks(oid) is None]
    made = {fact.new for fact in traced}
    # Somebody else's commit counts for what was made of it here.
    borrowed = {fact.old for fact in (*rewrites, *traced)} - made
    late = [*missing, *(arrived & (made | borrowed))]
    objects |= read_commits(common_dir, late, setups_of=late)
    makings |= {oid: _Making("earlier", None, traced[0].recorded_ns) for oid in missing if oid in objects}
    makings |= {
        oid: making._replace(operation="earlier")
        for oid, making in makings.items()
        if making.operation == "arrived" and oid in borrowed
    }
    for oid, making in makings.items():
        if making.operation != "arrived" or oid in made:
            said.facts += _commit_facts(oid, making, stored.get(oid), objects.get(oid), project)
    return [*said.facts, *rewrites, *traced]


class _Sayings:
    """What spools and reflogs say, put together by commit."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.makings: dict[bytes, _Making] = {}
        self.rewrites: Rewrites = {}
        self.lefts: list[Left] = []
        self.squashes: list[SeenSquash] = []
        self._made_otherwise: set[bytes] = set()
        self._merges: dict[bytes, SeenCommit] = {}
        self._moves: list[tuple[Moved, int]] = []

    def take(self, said: Seen | Said | Arrived, recorded_ns: int) -> None:  # noqa: C901 -- one for each kind
        """Take in the next saying."""
        match said:
            case AgentFact() | StateFact() | CreditFact():
                self.facts.append(said)
            case SeenCommit(during="merge"):
                self._merges.setdefault(said.oid, said)
            case SeenCommit():
                self.makings.setdefault(said.oid, _Making(said.during or "commit", said, recorded_ns))
            case SeenSquash():
                self.squashes.append(said)
            case SeenRewrite():
                self.rewrites.setdefault((said.old, said.new), (said.operation, recorded_ns))
            case Undone():
                self.facts.append(UndoneFact(said.oid, said.back_to, recorded_ns))
            case Left():
                self.lefts.append(said)
            case Moved():
                self._moves.append((said, recorded_ns))
            case Arrived():
                self.makings.setdefault(said.oid, _Making("arrived", None, recorded_ns))
            case Entry():
                self._take_entry(said, recorded_ns)
            case _:
                self.facts.append(said)

    def _take_entry(self, entry: Entry, recorded_ns: int) -> None:
        """Add what an entry says: how a commit came to be, which a hook cannot know, and what it amended.

        A cherry-pick that only goes forward has the message of one that makes a commit: another entry knows better.
        """
        if entry.operation == "cherry-pick" and entry.new in self._made_otherwise:
            return
        if entry.operation != "cherry-pick":
            self._made_otherwise.add(entry.new)
        met = self.makings.get(entry.new)
        if met is None:
            self.makings[entry.new] = _Making(entry.operation, None, recorded_ns)
        elif met.seen is not None or met.operation == "cherry-pick":
            self.makings[entry.new] = met._replace(operation=entry.operation)
        if entry.operation == "amend":
            self.rewrites.setdefault((entry.old, entry.new), ("amend", recorded_ns))

    def settle_merges(self) -> None:
        """Give a merge to who made it: the hook runs after a fast-forward too, which makes no commit."""
        for oid, seen in self._merges.items():
            making = self.makings.get(oid)
            if making is not None and making.seen is None and making.operation == "merge":
                self.makings[oid] = making._replace(seen=seen)

    def settle_moves(self, common_dir: str, known: Callable[[bytes], Marks | None]) -> None:
        """Take in the commits that a script made: by whoever moved the ref, just before that."""
        for move, recorded_ns in self._moves:
            if self._is_met(move.new) or known(move.new) is not None:
                continue
            is_first = not any(move.old)
            but = [] if is_first else [move.old]
            oids = list_commits(common_dir, [move.new], but=but, limit=1 if is_first else MAX_SCRIPTED)
            for oid, found in read_commits(common_dir, reversed(oids)).items():
                is_just_made = found.committer == move.who and abs(found.committed_at - move.at) <= SCRIPTED_WITHIN_S
                if is_just_made and not self._is_met(oid):
                    self.makings[oid] = _Making("commit", None, recorded_ns)

    def _is_met(self, oid: bytes) -> bool:
        """Tell whether something says that a commit was made here."""
        making = self.makings.get(oid)
        return making is not None and making.operation != "arrived"


def _traced(
    common_dir: str,
    said: _Sayings,
    objects: dict[bytes, CommitObject],
    past: Past,
    rewrites: list[RewriteFact],
) -> list[RewriteFact]:
    """Return the rewrites that nobody told of, by what the commits have in common with earlier ones."""
    told = {fact.new for fact in rewrites}
    settled = {fact.old for fact in rewrites} | {fact.oid for fact in said.facts if isinstance(fact, UndoneFact)}
    # A commit that was amended in a rebase is on its way from what the rebase took to what it made of it.
    rebased = {fact.new for fact in rewrites if fact.operation == "rebase"}
    passing = {fact.old for fact in rewrites if fact.operation == "amend" and fact.new in rebased}
    passing = {oid for oid in passing if oid in said.makings and said.makings[oid].operation in REBASED}
    targets, new = [], []
    for oid, making in said.makings.items():
        if oid in objects and making.operation not in {"earlier", "gone"}:
            state = "arrived" if making.operation == "arrived" else "rewritten" if oid in settled else "counted"
            new.append(Known(oid, state, objects[oid].committed_at))
            # What somebody else made was not made of what was made of it here.
            is_theirs = state == "arrived" and oid in settled
            if oid not in told and oid not in passing and not is_theirs:
                targets.append(Target(oid, making.operation, making.recorded_ns))
    known = [each._replace(state="rewritten") if each.oid in settled else each for each in past.others]
    return trace(common_dir, targets, [*new, *known], Clues(said.lefts, said.squashes, past.trunk), objects)


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
    if making.operation == "cherry-pick":
        marks += ((COPIED, "1"),)
    return [CommitFact(oid, project, making.operation, marks, found.committed_at, recorded_at, subject)]


def _without_found(marks: Marks) -> Marks:
    return tuple(mark for mark in marks if mark[0] != "found")


def _seen_marks(seen: SeenCommit) -> Marks:
    known = (("hook", "1"), ("resolved", seen.resolved), ("use", seen.use))
    return (*(mark for mark in known if mark[1]), *seen.variables)


def _object_marks(found: CommitObject) -> Marks:
    people = (("author", _clean(found.author)), ("committer", _clean(found.committer)))
    trailers = (("trailer", line) for line in _identity_trailers(found.message))
    return (*people, *trailers, *setup_marks(found.setup))


def _identity_trailers(message: str) -> list[str]:
    """Return the lines of a message that may name who made it, anchored to the line's start."""
    lines = (line.strip() for line in message.splitlines()[1:])
    wanted = [line for line in lines if line.partition(":")[0].lower() in IDENTITY_TRAILERS]
    return [_clean(line) for line in dict.fromkeys(wanted)][:MAX_TRAILERS]


def _clean(text: str) -> str:
    return text.replace("\0", "")[:300]


def _settled_rewrites(
    rewrites: Rewrites, operations: dict[bytes, str], objects: dict[bytes, CommitObject], bases: set[bytes]
) -> Rewrites:
    """Return the rewrites with those put right that a rebase tells of a commit made while it was stopped.

    Git says then that the commit at which it stopped became the last one made there. Where its copy lies below that
    one, the copy is what it became, and the commits above are new work. Of a commit that was skipped before there was
    any other, git says that it became the one at which the rebase began: it became nothing.
    """
    taken = {new for (_, new), (operation, _) in rewrites.items() if operation == "rebase"}
    amended = {new: old for (old, new), (operation, _) in rewrites.items() if operation == "amend"}
    settled: Rewrites = {}
    for (old, new), how in rewrites.items():
        if how[0] == "rebase" and new in bases:
            continue
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
    picked = (pairs for new, pairs in told.items() if operations[new] == "rebase")
    skipped = {pair for pairs in picked for pair in [p for p in pairs if possible[p][0] == "rebase"][1:]}
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
