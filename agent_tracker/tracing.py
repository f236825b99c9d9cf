"""Tracing commits to those they were made of, where no hook told: by reflogs, marks and lines.

Owns asking git for what the comparison needs, and no more of it than that: most commits are new work, which one
question to git shows. Never writes, and never decides how alike is alike enough: `origins` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.changes import Changes, read_changes
from agent_tracker.credit import SPLIT
from agent_tracker.errors import GitError
from agent_tracker.git import CommitObject, changed_lines, list_commits, read_commits
from agent_tracker.lines import parse_oid
from agent_tracker.origins import Origin, Work, find_copied, find_gathered, find_parts, find_squashed, lines_of
from agent_tracker.records import RewriteFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent_tracker.reflog import Left

__all__ = ["Clues", "Known", "Target", "trace"]

TIMEOUT_S = 5.0
MAX_SOURCES = 400
"""Commits, the newest ones, that others are compared with."""
MAX_TIPS = 8
MAX_RANGE = 1000
COPYING = frozenset({"cherry-pick", "am", "rebase", "squash", "arrived"})
"""The operations that keep a commit's author and the time of writing."""
REBASING = frozenset({"rebase", "squash"})
SAME = 0.95


class Target(NamedTuple):
    """A new commit: how it was made, when that was recorded (Unix nanoseconds), and by whom as a hook told."""

    oid: bytes
    operation: str
    recorded_ns: int
    who: str


class Known(NamedTuple):
    """A commit that others may have been made of. `is_counted`: its work lies in no other one yet."""

    oid: bytes
    who: str
    is_counted: bool


class Clues(NamedTuple):
    """What says where commits may have come from: what HEAD was moved from, and what squashes named (newest first).

    What `trunk` descends from is where it belongs: a copy that somebody else made of it is not what became of it.
    """

    lefts: Sequence[Left]
    squashes: Sequence[tuple[bytes, ...]]
    trunk: Sequence[bytes] = ()


def trace(
    common_dir: str,
    targets: Iterable[Target],
    known: Sequence[Known],
    clues: Clues,
    objects: Mapping[bytes, CommitObject],
) -> list[RewriteFact]:
    """Return what the targets were rewritten from; nothing of those that are new work.

    Args:
        common_dir: The repository.
        targets: In the order in which they were made.
        known: What they may have been made of, the newest first, the targets themselves included.
        clues: From reflogs and hooks.
        objects: The targets' objects, in the order in which they were told.

    Raises:
        GitError: Git cannot be run.
    """
    # What made a merge is all in its parents.
    wanted = [t for t in targets if t.oid in objects and len(objects[t.oid].parents) < 2]  # noqa: PLR2004
    return list(_Tracing(common_dir, known, clues, objects).run(wanted)) if wanted else []


class _Tracing:
    def __init__(
        self, common_dir: str, known: Sequence[Known], clues: Clues, objects: Mapping[bytes, CommitObject]
    ) -> None:
        self._common_dir = common_dir
        self._known = {each.oid: each for each in known}
        self._sequence = {oid: index for index, oid in enumerate(objects)}
        self._clues = clues
        self._objects = dict(objects)
        self._changes: dict[bytes, Changes] = {}
        self._used: set[bytes] = set()
        self._remaining: dict[bytes, Changes] = {}

    def run(self, targets: list[Target]) -> Iterator[RewriteFact]:
        ranges = self._ranges({target.oid for target in targets})
        chains = self._open_chains(targets)
        rows = [chain for found in chains.values() for chain in found]
        self._load({oid for _, oids in ranges for oid in oids} | {oid for chain in rows for oid in chain})
        last: dict[int, Target] = {}
        taken: set[bytes] = set()
        for target in targets:
            here = [index for index, (left, _) in enumerate(ranges) if _is_after(target, left)]
            chain = chains.get(target.oid, [])
            origin, is_split = self._origin(target, [ranges[index] for index in here], chain)
            if origin:
                yield from self._facts(target, origin, is_split=is_split)
                sources = {oid for oid, _ in origin.sources}
                taken |= sources
                last |= {index: target for index in here if not sources.isdisjoint(ranges[index][1])}
        for index, target in last.items():
            yield from self._used_up(target, ranges[index], taken)

    # -- what may be compared

    def _ranges(self, targets: set[bytes]) -> list[tuple[Left, list[bytes]]]:
        """Return the commits that were left each time HEAD was moved back, oldest first."""
        found = []
        for left in self._clues.lefts:
            if left.followers is None or not targets.isdisjoint(left.followers):
                parents = list_commits(self._common_dir, [left.tip], but=[left.base], limit=MAX_RANGE)
                if parents:
                    found.append((left, list(parents)[::-1]))
        return found

    def _open_chains(self, targets: list[Target]) -> dict[bytes, list[list[bytes]]]:
        """Return for each target the counted commits that it does not descend from, in rows of first parents.

        One question to git for each of the newest heads among the targets: a target is asked about as its head is.
        """
        counted = [each.oid for each in self._known.values() if each.is_counted][:MAX_SOURCES]
        inner = {parent for target in targets for parent in self._objects[target.oid].parents}
        found: dict[bytes, list[list[bytes]]] = {}
        for tip in [target for target in targets if target.oid not in inner][-MAX_TIPS:]:
            but = [tip.oid, *(self._clues.trunk if tip.operation == "arrived" else ())]
            chains = self._in_rows(list_commits(self._common_dir, counted, but=but, limit=MAX_RANGE))
            pending = [tip.oid]
            while pending:
                oid = pending.pop()
                if oid in self._objects and oid not in found:
                    found[oid] = chains
                    pending += self._objects[oid].parents
        return found

    def _in_rows(self, parents: Mapping[bytes, tuple[bytes, ...]]) -> list[list[bytes]]:
        """Return counted commits in rows of first parents, each oldest first."""
        wanted = {oid for oid in parents if oid in self._known and self._known[oid].is_counted}
        heads = wanted - {parents[oid][0] for oid in wanted if parents[oid]}
        rows = []
        for head in sorted(heads):
            row = [head]
            while parents[row[-1]] and parents[row[-1]][0] in wanted:
                row.append(parents[row[-1]][0])
            rows.append(row[::-1])
        return rows

    def _load(self, oids: Iterable[bytes]) -> None:
        missing = [oid for oid in oids if oid not in self._objects]
        self._objects |= read_commits(self._common_dir, missing)

    def _works(self, oids: Iterable[bytes], *, with_changes: bool = True) -> list[Work]:
        """Return commits as they are compared; those that git does not have are left out."""
        wanted = [oid for oid in oids if oid in self._objects]
        unread = [oid for oid in wanted if oid not in self._changes] if with_changes else []
        if unread:
            found = read_changes(self._common_dir, unread, timeout_s=TIMEOUT_S)
            self._changes |= {oid: found.get(oid, {}) for oid in unread}
        return [self._work(oid) for oid in wanted]

    def _work(self, oid: bytes) -> Work:
        found = self._objects[oid]
        who = self._known[oid].who if oid in self._known else ""
        return Work(oid, found.author, found.authored_at, found.message, who, self._changes.get(oid, {}))

    # -- what a commit was made of

    def _origin(
        self, target: Target, ranges: list[tuple[Left, list[bytes]]], chains: list[list[bytes]]
    ) -> tuple[Origin | None, bool]:
        """Return what a target was made of, and whether it is only a part of that."""
        ranges = [(left, [oid for oid in oids if oid != target.oid]) for left, oids in ranges]
        if target.operation == "squash" and (origin := self._gathered(target, ranges)):
            return origin, False
        if target.operation in COPYING:
            copied = self._copied(target, ranges, chains)
            if copied:
                return Origin(((copied, 0),), 0), False
        named = [*self._clues.squashes, _named_in(self._objects[target.oid].message)]
        if any(named):
            self._load(oid for oids in named for oid in oids)
        told = [[oid for oid in reversed(oids) if oid in self._objects and oid != target.oid] for oids in named]
        told += [oids for left, oids in ranges if left.is_rebase and target.operation in REBASING]
        if any(told) and (origin := self._squashed(target, told, is_told=True)):
            return origin, False
        left = [oids for left, oids in ranges if not left.is_rebase or target.operation not in REBASING]
        if left and (origin := self._squashed(target, left, is_told=True, least=SAME)):
            return origin, False
        if left and (origin := self._parts(target, left)):
            return origin, True
        return self._squashed(target, [self._before(target, chain) for chain in chains]), False

    def _before(self, target: Target, chain: list[bytes]) -> list[bytes]:
        """Return those of a chain that are older than the target, and not in another commit already."""
        return [oid for oid in chain if oid not in self._used and self._is_older(oid, target.oid)]

    def _is_older(self, oid: bytes, than: bytes) -> bool:
        """Tell whether one commit was made before another: by their times, else in the order of their being told."""
        one, other = ((self._objects[each].committed_at, self._sequence.get(each, -1)) for each in (oid, than))
        return one < other and not (one[0] == other[0] and self._descends(oid, than))

    def _descends(self, oid: bytes, than: bytes) -> bool:
        """Tell whether a commit is a descendant of another one, as far as its nearest ancestors were read."""
        pending = [oid]
        for _ in range(MAX_RANGE):
            if not pending:
                return False
            parents = self._objects[pending.pop()].parents
            if than in parents:
                return True
            pending += [parent for parent in parents if parent in self._objects]
        return False

    def _copied(
        self, target: Target, ranges: list[tuple[Left, list[bytes]]], chains: list[list[bytes]]
    ) -> bytes | None:
        if target.operation in REBASING and ranges:
            candidates = [oid for left, oids in ranges if left.is_rebase for oid in oids]
        elif target.operation == "arrived":
            candidates = [oid for chain in chains for oid in chain if oid not in self._used]
        else:
            candidates = _picked_from(self._objects[target.oid].message) or list(self._known)
            self._load(candidates)
        (copy,) = self._works([target.oid], with_changes=False)
        alike = [
            oid
            for oid in candidates
            if oid in self._objects
            and self._objects[oid].author == copy.author
            and self._objects[oid].authored_at == copy.authored_at
            and self._is_older(oid, target.oid)
        ]
        subjects = [work.subject == copy.subject for work in self._works(alike, with_changes=False)]
        with_changes = bool(alike) and sum(subjects) != 1
        (copy,) = self._works([target.oid], with_changes=with_changes)
        return find_copied(copy, self._works(alike, with_changes=with_changes))

    def _squashed(
        self, target: Target, chains: Iterable[Sequence[bytes]], *, is_told: bool = False, least: float = 0.0
    ) -> Origin | None:
        rows = [row for row in (self._works(chain) for chain in chains if chain) if row]
        if not rows:
            return None
        (squash,) = self._works([target.oid])
        is_arrived = target.operation == "arrived"
        return find_squashed(squash._replace(who=target.who), rows, is_told=is_told, is_arrived=is_arrived, least=least)

    def _gathered(self, target: Target, ranges: list[tuple[Left, list[bytes]]]) -> Origin | None:
        (squash,) = self._works([target.oid])
        return find_gathered(squash, self._works(oid for left, oids in ranges if left.is_rebase for oid in oids))

    def _parts(self, target: Target, ranges: list[list[bytes]]) -> Origin | None:
        works = self._works(oid for oids in ranges for oid in oids)
        left = [work._replace(changes=self._remaining.get(work.oid, work.changes)) for work in works]
        (part,) = self._works([target.oid])
        origin = find_parts(part, left)
        if origin:
            for work in left:
                self._remaining[work.oid] = {
                    line: times for line, times in work.changes.items() if times * part.changes.get(line, 0) <= 0
                }
        return origin

    # -- facts

    def _facts(self, target: Target, origin: Origin, *, is_split: bool) -> Iterator[RewriteFact]:
        operation = SPLIT if is_split else "copy" if origin.sources[0][1] == 0 else "squash"
        weights = dict(origin.sources) if is_split else self._weights(origin)
        for oid, lines in weights.items():
            yield RewriteFact(oid, target.oid, operation, target.recorded_ns, lines, origin.own_lines)
        self._used.update(weights)

    def _weights(self, origin: Origin) -> dict[bytes, int]:
        """Return how many lines each source brought, renames followed; a merge brings none of its own."""
        oids = [oid for oid, _ in origin.sources]
        if len(oids) == 1 and not origin.own_lines:
            return dict(origin.sources)
        try:
            lines = changed_lines(self._common_dir, [(oid, None) for oid in oids], timeout_s=TIMEOUT_S)
        except GitError:
            return dict(origin.sources)
        is_merge = [len(self._objects[oid].parents) > 1 for oid in oids]
        return {oid: -1 if merge else count for oid, count, merge in zip(oids, lines, is_merge, strict=True)}

    def _used_up(self, target: Target, left: tuple[Left, list[bytes]], taken: set[bytes]) -> Iterator[RewriteFact]:
        """Yield the rewrites of commits that brought nothing, where all that was left with them lies in others now."""
        oids = left[1]
        rest = [oid for oid in oids if oid not in taken and oid in self._known and self._known[oid].is_counted]
        total = sum(lines_of(self._changes.get(oid, {})) for oid in oids if oid in taken)
        remaining = sum(lines_of(self._remaining[oid]) for oid in oids if oid in taken and oid in self._remaining)
        if left[0].is_rebase or remaining * 5 > total:
            return
        for oid in rest:
            yield RewriteFact(oid, target.oid, SPLIT, target.recorded_ns, -1, 0)


def _is_after(target: Target, left: Left) -> bool:
    return target.operation in REBASING if left.followers is None else target.oid in left.followers


def _named_in(message: str) -> tuple[bytes, ...]:
    """Return the commits that git's own message for a squash names, newest first."""
    if "Squashed commit of the following:" not in message:
        return ()
    words = (line.split() for line in message.splitlines() if line.startswith("commit "))
    return tuple(_oids(line[1] for line in words if len(line) > 1))[:MAX_RANGE]


def _picked_from(message: str) -> list[bytes]:
    """Return the commit that `cherry-pick -x` names."""
    lines = (line.removesuffix(")") for line in message.splitlines())
    return _oids(line.rpartition(" ")[2] for line in lines if line.startswith("(cherry picked from commit "))[-1:]


def _oids(words: Iterable[str]) -> list[bytes]:
    found = []
    for word in words:
        try:
            found.append(parse_oid(word))
        except ValueError:
            continue
    return found
