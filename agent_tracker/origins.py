"""What a commit was made of, told by comparing it with earlier ones: copies, squashes, and parts.

Owns the comparison and how sure it must be. Pure; what git and the reflogs tell outright is used before this is asked.

A copy keeps its author and the time of writing. A squash changes what the commits in it changed together, in whatever
state other work has left the files. A part takes its lines from a commit that was left for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ARRIVED",
    "LEFT",
    "TOLD",
    "UNTOLD",
    "Origin",
    "Work",
    "find_copied",
    "find_gathered",
    "find_parts",
    "find_squashed",
    "lines_of",
]

MAX_CHAIN = 400
"""How many commits in a row a squash may be made of, at most."""
TOLD, LEFT, ARRIVED, UNTOLD = "told", "left", "arrived", "untold"
"""Why a commit may be a squash: something says so; a reset left its sources; it was made elsewhere, and nobody else's
work is counted there; or nothing but its lines, and then only the very same change is believed: generated files are
alike in many commits."""
MIN_COVERED = {TOLD: 0.75, LEFT: 0.95, ARRIVED: 0.9, UNTOLD: 1.0}
"""How much of what the sources changed must be in the squash."""
MIN_COVERED_NAMED = 0.6
"""The same of what a forge numbered, in which a conflict may have been resolved."""
MIN_ALIKE = {TOLD: 0.0, LEFT: 0.95, ARRIVED: 0.6, UNTOLD: 1.0}
"""How much of both changes together must be the same."""
MIN_ALIKE_COPY = 0.3
CHANCE_LINES = 10
"""A change of fewer lines may well have been made twice, by two who did not know of each other."""
CHANCE_LINES_ARRIVED = 6
MAX_STEPS = 2_000_000
"""Lines that are added up for one commit and one chain, at most."""
_NUMBERED = ("(#", "(!")
"""What forges write behind the subject of what they merge, before the number of the request."""


class Work(NamedTuple):
    """A commit as it is compared."""

    oid: bytes
    author: str
    authored_at: int
    message: str
    changes: Mapping[int, int]

    @property
    def subject(self) -> str:
        """The message's first line."""
        return self.message.lstrip("\n").partition("\n")[0].strip()


class Origin(NamedTuple):
    """What a commit was made of: each source with the lines it brought, and the lines that are its own."""

    sources: tuple[tuple[bytes, int], ...]
    own_lines: int


def lines_of(changes: Mapping[int, int]) -> int:
    """Return how many lines a change adds and takes out."""
    return sum(map(abs, changes.values()))


def find_copied(copy: Work, among: Iterable[Work], *, is_certain: bool) -> bytes | None:
    """Return the commit that `copy` is a copy of: one by the same author, written at the same time.

    A script makes several commits in one second: where more than one has the same subject, it is the most alike.

    Args:
        copy: The commit.
        among: What it may be a copy of.
        is_certain: It is a copy of something: where one alone has the same subject, its lines need not be compared.
    """
    found = [work for work in among if (work.author, work.authored_at) == (copy.author, copy.authored_at)]
    same = [work for work in found if work.subject == copy.subject]
    if len(same) == 1 and is_certain:
        return same[0].oid
    ranked = [(_alike(copy.changes, work.changes), index) for index, work in enumerate(same or found)]
    alike, index = max(ranked, default=(0.0, 0))
    return (same or found)[index].oid if alike >= MIN_ALIKE_COPY else None


def find_squashed(squash: Work, chains: Iterable[Sequence[Work]], why: str) -> Origin | None:
    """Return the commits in a row that `squash` was made of, None where it is new work.

    Args:
        squash: The commit.
        chains: Commits in a row, oldest first, each the first parent of the next.
        why: TOLD, ARRIVED or UNTOLD.
    """
    size = lines_of(squash.changes)
    best, best_rank = Origin((), 0), (0.0, 0)
    for chain in chains:
        for window, alike, covered in _windows(squash.changes, size, chain[-MAX_CHAIN:]):
            is_named = why == ARRIVED and _is_named(squash, window)
            if (alike, len(window)) <= best_rank or not _is_enough(alike, covered, why, is_named=is_named):
                continue
            if why in {TOLD, LEFT} or is_named or not _may_be_chance(squash, window, size, why):
                best_rank = (alike, len(window))
                own = 0 if why == ARRIVED else _own_lines(squash.changes, [work.changes for work in window])
                best = Origin(tuple((work.oid, lines_of(work.changes)) for work in window), own)
    return best if best.sources else None


def _windows(
    wanted: Mapping[int, int], size: int, chain: Sequence[Work]
) -> Iterable[tuple[Sequence[Work], float, float]]:
    """Yield the runs of commits in a chain that may be it: how alike their sum is, and how much of the sum is there."""
    starts = [start for start, work in enumerate(chain) if _shared(work.changes, wanted)]
    if len(starts) * sum(len(work.changes) for work in chain) > MAX_STEPS:
        starts = starts[:1]
    for start in starts:
        total: dict[int, int] = {}
        distance, total_size = size, 0
        for end in range(start, len(chain)):
            for line, times in chain[end].changes.items():
                before = total.get(line, 0)
                after = total[line] = before + times
                distance += abs(after - wanted.get(line, 0)) - abs(before - wanted.get(line, 0))
                total_size += abs(after) - abs(before)
            if total_size:
                shared = (size + total_size - distance) / 2
                yield chain[start : end + 1], 2 * shared / (size + total_size), shared / total_size


def _is_enough(alike: float, covered: float, why: str, *, is_named: bool) -> bool:
    return alike >= MIN_ALIKE[why] and covered >= (MIN_COVERED_NAMED if is_named else MIN_COVERED[why])


def _is_named(squash: Work, window: Sequence[Work]) -> bool:
    """Tell whether what came from elsewhere looks like a forge's merge, or the work of who made its sources."""
    is_numbered = any(mark in squash.subject for mark in _NUMBERED)
    return is_numbered or any(w.author == squash.author or w.subject == squash.subject for w in window)


def _may_be_chance(squash: Work, window: Sequence[Work], size: int, why: str) -> bool:
    """Tell whether somebody may have made the same small change without knowing of the other."""
    first, *others = [work for work in window if work.changes] or window
    if others or size >= (CHANCE_LINES_ARRIVED if why == ARRIVED else CHANCE_LINES):
        return False
    return first.message.strip() != squash.message.strip()


def _own_lines(changes: Mapping[int, int], sources: Sequence[Mapping[int, int]]) -> int:
    total: dict[int, int] = {}
    for source in sources:
        for line, times in source.items():
            total[line] = total.get(line, 0) + times
    return lines_of(changes) - _shared(changes, total)


def _alike(one: Mapping[int, int], other: Mapping[int, int]) -> float:
    both = lines_of(one) + lines_of(other)
    return 2 * _shared(one, other) / both if both else 0.0


def _shared(one: Mapping[int, int], other: Mapping[int, int]) -> int:
    """Return how many lines two changes have in common."""
    small, large = sorted((one, other), key=len)
    pairs = ((times, large.get(line, 0)) for line, times in small.items())
    return sum(min(abs(a), abs(b)) for a, b in pairs if a * b > 0)


def find_gathered(squash: Work, left: Sequence[Work]) -> Origin | None:
    """Return the commits, in any order, that a rebase made `squash` of: those most of whose lines are in it."""
    pairs = ((work, lines_of(work.changes)) for work in left)
    sources = [(work.oid, size) for work, size in pairs if size and _shared(squash.changes, work.changes) * 2 >= size]
    return Origin(tuple(sources), 0) if len(sources) > 1 else None


def find_parts(parts: Sequence[Work], left: Sequence[Work]) -> dict[bytes, Origin]:
    """Return what each of the commits made after a reset was made of, where they take in most of what was left by it.

    Args:
        parts: The commits, in the order in which they were made. A line that one takes is not there for the next.
        left: The commits that were left.
    """
    remaining = {work.oid: dict(work.changes) for work in left}
    found: dict[bytes, Origin] = {}
    for part in parts:
        sources = []
        for oid, changes in remaining.items():
            taken = {line: n for line, n in changes.items() if n * part.changes.get(line, 0) > 0}
            if taken:
                sources.append((oid, _shared(part.changes, taken)))
                remaining[oid] = {line: n for line, n in changes.items() if line not in taken}
        own = max(lines_of(part.changes) - sum(lines for _, lines in sources), 0)
        if sources and own * 2 <= lines_of(part.changes):
            found[part.oid] = Origin(tuple(sources), own)
    total: dict[int, int] = {}
    for work in left:
        for line, times in work.changes.items():
            total[line] = total.get(line, 0) + times
    taken_lines = sum(lines for origin in found.values() for _, lines in origin.sources)
    return found if taken_lines and taken_lines >= MIN_COVERED[ARRIVED] * lines_of(total) else {}
