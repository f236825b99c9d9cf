"""Tracing commits to those they were made of, where no hook told: by reflogs, marks and lines.

Owns asking git for what the comparison needs, and no more of it than that: most commits are new work, which one
question to git shows. Never writes, and never decides how alike is alike enough: `origins` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.ancestry import Region
from agent_tracker.changes import Changes, read_changes
from agent_tracker.credit import SPLIT
from agent_tracker.errors import GitError
from agent_tracker.git import CommitObject, changed_lines, list_commits, read_commits
from agent_tracker.lines import parse_oid
from agent_tracker.origins import (
    ARRIVED,
    LEFT,
    TOLD,
    UNTOLD,
    Origin,
    Work,
    find_copied,
    find_gathered,
    find_parts,
    find_squashed,
)
from agent_tracker.records import RewriteFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent_tracker.records import SeenSquash
    from agent_tracker.reflog import Left

__all__ = ["Clues", "Known", "Target", "trace"]

TIMEOUT_S = 3.0
MAX_SOURCES = 1000
"""Commits, the newest ones, that others are compared with."""
MAX_ARRIVED = 1000
MAX_RANGE = 1000
MAX_REGION = 20_000
SKEW_S = 600
"""How far the clock of a forge may be behind ours."""
COPYING = frozenset({"cherry-pick", "am", "rebase", "squash", "arrived"})
"""The operations that keep a commit's author and the time of writing."""
REBASING = frozenset({"rebase", "squash"})
DAY_S = 24 * 3600


class Target(NamedTuple):
    """A new commit: how it was made, and when that was recorded (Unix nanoseconds)."""

    oid: bytes
    operation: str
    recorded_ns: int


class Known(NamedTuple):
    """A commit that others may have been made of.

    `state` is `counted`, `rewritten` (its work lies in another one) or `arrived` (somebody else's, from elsewhere).
    """

    oid: bytes
    state: str
    committed_at: int


class Clues(NamedTuple):
    """What says where commits may have come from: what HEAD was moved from, and what squashes named.

    What `trunk` descends from is where it belongs: a copy that somebody else made of it is not what became of it.
    """

    lefts: Sequence[Left]
    squashes: Sequence[SeenSquash]
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
        targets: In the order in which they were made, what came from elsewhere last.
        known: What they may have been made of, the newest first, the targets themselves included.
        clues: From reflogs and hooks.
        objects: The targets' objects, in the order in which they were told.

    Raises:
        GitError: Git cannot be run.
    """
    # What made a merge is all in its parents.
    wanted = [t for t in targets if t.oid in objects and len(objects[t.oid].parents) < 2]  # noqa: PLR2004
    arrived = [target for target in wanted if target.operation == "arrived"]
    dropped = {target.oid for target in arrived[:-MAX_ARRIVED]}
    wanted = [target for target in wanted if target.oid not in dropped]
    return list(_Tracing(common_dir, known, clues, objects).run(wanted)) if wanted else []


class _Tracing:
    def __init__(
        self, common_dir: str, known: Sequence[Known], clues: Clues, objects: Mapping[bytes, CommitObject]
    ) -> None:
        self._common_dir = common_dir
        self._known = {each.oid: each for each in known}
        self._ours = {oid for oid, each in self._known.items() if each.state != "arrived"}
        self._unfinished = {oid for oid, each in self._known.items() if each.state != "rewritten"}
        self._sequence = {oid: index for index, oid in enumerate(objects)}
        self._clues = clues
        self._objects = dict(objects)
        self._changes: dict[bytes, Changes] = {}
        self._used: set[bytes] = set()
        self._indexed: set[bytes] = set()
        self._by_line: dict[int, list[bytes]] = {}
        self._region = Region({})

    def run(self, targets: list[Target]) -> Iterator[RewriteFact]:
        ranges = self._ranges({target.oid for target in targets})
        self._load(oid for _, oids in ranges for oid in oids)
        self._region = self._read_region(targets)
        rows = {target.oid: self._rows(target) for target in targets}
        self._load(oid for found in rows.values() for row in found for oid in row)
        with_rows = [oid for oid, found in rows.items() if found]
        self._read(dict.fromkeys([*with_rows, *(oid for oid in with_rows for row in rows[oid] for oid in row)]))
        parts = self._parts(targets, ranges)
        for target in targets:
            if target.operation == "arrived" and target.oid in self._used:
                continue
            here = [oids for left, oids in ranges if left.is_rebase and _is_after(target, left)]
            reset = [oids for left, oids in ranges if not left.is_rebase and _is_after(target, left)]
            origin = self._origin(target, here, reset, rows[target.oid])
            if origin:
                yield from self._facts(target, origin)
        yield from self._part_facts(parts, max(target.recorded_ns for target in targets))

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

    def _read_region(self, targets: list[Target]) -> Region:
        """Return the part of history in which the targets and what they may have been made of lie.

        Nothing in it is older than the oldest commit that they may have been made of, which is no ancestor then.
        """
        sources = [each for each in self._known.values() if each.state != "arrived"]
        if self._clues.trunk:
            oids = [each.oid for each in sources]
            outside = list_commits(self._common_dir, oids, but=self._clues.trunk, limit=MAX_REGION)
            local = {target.oid for target in targets if target.operation != "arrived"}
            sources = [each for each in sources if each.oid in outside or each.oid in local]
        sources = sources[:MAX_SOURCES]
        if not sources:
            return Region({})
        since = min(each.committed_at for each in sources) - DAY_S
        oids = [*(each.oid for each in sources), *(target.oid for target in targets)]
        options = ["--topo-order", f"--since={since}"]
        parents = list_commits(self._common_dir, oids, options=options, limit=MAX_REGION)
        return Region(parents)

    def _rows(self, target: Target) -> list[list[bytes]]:
        """Return the commits that a target does not descend from, in rows of first parents, oldest first.

        A row may hold commits of somebody else's between those that are known; its ends are known.
        """
        rows = self._region.rows(target.oid, self._ours if target.operation == "arrived" else self._unfinished)
        return [row for row in rows if self._is_older(row[0], target.oid)]

    def _load(self, oids: Iterable[bytes]) -> None:
        missing = [oid for oid in oids if oid not in self._objects]
        self._objects |= read_commits(self._common_dir, missing)

    def _read(self, oids: Iterable[bytes]) -> None:
        """Read the changes of commits, all in one question."""
        unread = [oid for oid in oids if oid in self._objects and oid not in self._changes]
        if unread:
            found = read_changes(self._common_dir, unread, timeout_s=TIMEOUT_S)
            self._changes |= {oid: found.get(oid, {}) for oid in unread}

    def _works(self, oids: Iterable[bytes], *, with_changes: bool = True) -> list[Work]:
        """Return commits as they are compared; those that git does not have are left out."""
        wanted = [oid for oid in oids if oid in self._objects]
        if with_changes:
            self._read(wanted)
        return [self._work(oid) for oid in wanted]

    def _work(self, oid: bytes) -> Work:
        found = self._objects[oid]
        return Work(oid, found.author, found.authored_at, found.message, self._changes.get(oid, {}))

    def _is_older(self, oid: bytes, than: bytes) -> bool:
        """Tell whether a commit was there before another was made.

        What is stored was there before whatever is new, and of what is new, what was told before. Clocks are asked only
        of what came from elsewhere.
        """
        is_theirs, of_theirs = ((known := self._known.get(each)) and known.state == "arrived" for each in (oid, than))
        if is_theirs and not of_theirs:
            return self._committed_at(oid) <= self._committed_at(than) and not self._region.descends(oid, than)
        if self._sequence.get(oid, -1) >= self._sequence.get(than, -1):
            return False
        if of_theirs:
            return self._committed_at(oid) <= self._committed_at(than) + SKEW_S
        return not self._region.descends(oid, than)

    def _committed_at(self, oid: bytes) -> int:
        found = self._objects.get(oid)
        return found.committed_at if found else self._known[oid].committed_at if oid in self._known else 0

    # -- what a commit was made of

    def _origin(
        self, target: Target, rebased: list[list[bytes]], reset: list[list[bytes]], rows: list[list[bytes]]
    ) -> Origin | None:
        """Return what a target was made of.

        Args:
            target: The commit.
            rebased: What was left at the start of the rebase that made it.
            reset: What resets left before it was made.
            rows: From `_rows`.
        """
        rebased, reset = ([[oid for oid in row if oid != target.oid] for row in left] for left in (rebased, reset))
        if target.operation == "squash" and (origin := self._gathered(target, rebased)):
            return origin
        if target.operation == "arrived":
            return self._squashed(target, rows, ARRIVED) or self._copied(target, [o for row in rows for o in row])
        if target.operation in COPYING and (origin := self._copied(target, self._originals(target, rebased))):
            return origin
        told = self._told(target)
        if target.operation in REBASING:
            told += rebased
        if told and (origin := self._squashed(target, told, TOLD)):
            return origin
        if reset and (origin := self._squashed(target, reset, LEFT)):
            return origin
        return self._squashed(target, rows, UNTOLD)

    def _told(self, target: Target) -> list[list[bytes]]:
        """Return the rows of commits that a squash named, or that git's own message does."""
        found = self._objects[target.oid]
        named = [_named_in(found.message)]
        named += [squash.oids for squash in self._clues.squashes if squash.head in {b"", *found.parents}]
        self._load(oid for oids in named for oid in oids)
        rows = [[oid for oid in reversed(oids) if oid in self._objects and oid != target.oid] for oids in named]
        return [row for row in rows if row]

    def _originals(self, target: Target, rebased: list[list[bytes]]) -> list[bytes]:
        """Return what a copy may be a copy of."""
        if target.operation in REBASING and rebased:
            return [oid for row in rebased for oid in row]
        candidates = _picked_from(self._objects[target.oid].message) or list(self._known)
        self._load(candidates)
        return [oid for oid in candidates if oid in self._objects and self._is_older(oid, target.oid)]

    def _copied(self, target: Target, candidates: list[bytes]) -> Origin | None:
        (copy,) = self._works([target.oid], with_changes=False)
        works = self._works(dict.fromkeys(candidates), with_changes=False)
        alike = [w.oid for w in works if (w.author, w.authored_at) == (copy.author, copy.authored_at)]
        alike = [oid for oid in alike if oid not in self._used or target.operation != "arrived"]
        if not alike:
            return None
        (copy,) = self._works([target.oid])
        found = find_copied(copy, self._works(alike), is_certain=target.operation != "arrived")
        return Origin(((found, 0),), 0) if found else None

    def _squashed(self, target: Target, rows: list[list[bytes]], why: str) -> Origin | None:
        if not any(rows):
            return None
        (squash,) = self._works([target.oid])
        if why in {ARRIVED, UNTOLD}:
            alike = self._with_a_line_of(squash)
            rows = [[oid for oid in row if oid not in self._used] for row in rows if not alike.isdisjoint(row)]
        return find_squashed(squash, [self._works(row) for row in rows if row], why)

    def _with_a_line_of(self, work: Work) -> set[bytes]:
        """Return the commits whose changes were read that change a line which another one changes."""
        if len(self._indexed) < len(self._changes):
            for oid in self._changes.keys() - self._indexed:
                self._indexed.add(oid)
                for line in self._changes[oid]:
                    self._by_line.setdefault(line, []).append(oid)
        return {oid for line in work.changes for oid in self._by_line.get(line, ())}

    def _gathered(self, target: Target, rebased: list[list[bytes]]) -> Origin | None:
        (squash,) = self._works([target.oid])
        return find_gathered(squash, self._works(oid for row in rebased for oid in row))

    def _parts(
        self, targets: list[Target], ranges: list[tuple[Left, list[bytes]]]
    ) -> list[tuple[dict[bytes, Origin], list[bytes]]]:
        """Return, for each reset, what of the commits that it left is in which commit made after it."""
        made = {target.oid: target for target in targets}
        found = []
        for left, oids in ranges:
            if not left.is_rebase and left.followers:
                after = [oid for oid in left.followers if oid not in made or made[oid].operation not in COPYING]
                self._load(after)
                parts = [oid for oid in after if oid in self._objects and oid not in oids]
                found.append((find_parts(self._works(parts), self._works(oids)), oids))
        return found

    # -- facts

    def _facts(self, target: Target, origin: Origin) -> Iterator[RewriteFact]:
        operation = "copy" if origin.sources[0][1] == 0 else "squash"
        weights = self._weights(origin)
        for oid, lines in weights.items():
            yield RewriteFact(oid, target.oid, operation, target.recorded_ns, lines, origin.own_lines)
        self._used.update(weights)
        self._used.add(target.oid)

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

    def _part_facts(
        self, found: list[tuple[dict[bytes, Origin], list[bytes]]], recorded_ns: int
    ) -> Iterator[RewriteFact]:
        """Yield the rewrites of commits that a reset left into the parts that were made of them."""
        for origins, oids in found:
            parts = {oid: origin for oid, origin in origins.items() if oid not in self._used}
            if not parts:
                continue
            taken = set()
            for part, origin in parts.items():
                for source, lines in origin.sources:
                    taken.add(source)
                    yield RewriteFact(source, part, SPLIT, recorded_ns, lines, origin.own_lines)
            # What brought no line that is left went into the last of them with the rest.
            for oid in oids:
                if oid not in taken and oid not in self._used and oid in self._known:
                    yield RewriteFact(oid, list(parts)[-1], SPLIT, recorded_ns, -1, 0)


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
