"""What a commit was made of, told by comparing it with earlier ones: copies, squashes, and parts.

Owns the comparison and how sure it must be. Pure; what git and the reflogs tell outright is used before this is asked.

A copy keeps its author and the time of writing. A squash changes what the commits in it changed together, in whatever
state other work has left the files. A part takes its lines from a commit that was left for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.records import is_agent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Origin", "Work", "find_copied", "find_gathered", "find_parts", "find_squashed", "lines_of"]

MAX_CHAIN = 60
"""How many commits in a row a squash may be made of, at most."""
MIN_ALIKE = 0.75
MIN_ALIKE_ARRIVED = 0.6
MIN_ALIKE_TOLD = 0.4
MIN_ALIKE_COPY = 0.3
"""How much of two changes must be the same: of a commit made here, of one made elsewhere, where something tells, and of
a copy with another subject."""
FEW_LINES = 8
"""With fewer, nothing but the very same change counts."""
CHANCE_LINES = 6
"""With fewer, two agents may well have made the same change on their own."""
MIN_PART = 0.5
MAX_STEPS = 2_000_000
"""Lines that are added up for one commit and one chain, at most."""


class Work(NamedTuple):
    """A commit as it is compared. `who` made it, as far as a hook told: an agent's id, HUMAN or UNCLAIMED."""

    oid: bytes
    author: str
    authored_at: int
    message: str
    who: str
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


def find_copied(copy: Work, among: Iterable[Work]) -> bytes | None:
    """Return the commit that `copy` is a copy of: one by the same author, written at the same time.

    Where several are, it is the one with the same subject, else the most alike: a script makes commits in one second.
    """
    found = [work for work in among if (work.author, work.authored_at) == (copy.author, copy.authored_at)]
    same = [work for work in found if work.subject == copy.subject]
    if len(same) == 1:
        return same[0].oid
    ranked = sorted((_alike(copy.changes, work.changes), index) for index, work in enumerate(same or found))
    if not ranked or (ranked[-1][0] < MIN_ALIKE_COPY and not same):
        return None
    return (same or found)[ranked[-1][1]].oid


def find_squashed(
    squash: Work,
    chains: Iterable[Sequence[Work]],
    *,
    is_told: bool = False,
    is_arrived: bool = False,
    least: float = 0.0,
) -> Origin | None:
    """Return the commits in a row that `squash` was made of, None where it is new work.

    Args:
        squash: The commit.
        chains: Commits in a row, oldest first, each the first parent of the next.
        is_told: Something says that it was made of them: only what is quite different is not believed.
        is_arrived: It was made elsewhere.
        least: How much must be the same at least, in [0, 1], whatever else holds.
    """
    size = lines_of(squash.changes)
    best, best_alike = Origin((), 0), 0.0
    for chain in chains:
        for window, alike in _windows(squash.changes, size, chain[-MAX_CHAIN:]):
            is_believed = is_told or _is_named(squash, window)
            enough = MIN_ALIKE_TOLD if is_believed else MIN_ALIKE_ARRIVED if is_arrived else MIN_ALIKE
            if alike < max(enough, least) or (size < FEW_LINES and alike < 1 and not is_believed):
                continue
            if not (is_believed or is_arrived) and _may_be_chance(squash, window, size):
                continue
            if (alike, len(window)) > (best_alike, len(best.sources)):
                best_alike = alike
                own = 0 if is_arrived else _own_lines(squash.changes, [work.changes for work in window])
                best = Origin(tuple((work.oid, lines_of(work.changes)) for work in window), own)
    return best if best.sources else None


def _windows(wanted: Mapping[int, int], size: int, chain: Sequence[Work]) -> Iterable[tuple[Sequence[Work], float]]:
    """Yield the runs of commits in a chain that may be it, with how much each one's sum is like what is wanted."""
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
            if size:
                yield chain[start : end + 1], 1 - distance / (size + total_size)


def _is_named(squash: Work, window: Sequence[Work]) -> bool:
    """Tell whether a message has the subject of every commit that its own may be made of, as forges list them."""
    listed = {line.lstrip("*- ").rpartition(" (#")[0] or line.lstrip("*- ") for line in squash.message.splitlines()}
    return all(work.subject and work.subject in listed for work in window)


def _may_be_chance(squash: Work, window: Sequence[Work], size: int) -> bool:
    """Tell whether two agents may have made the same small change, neither knowing of the other's."""
    first, *others = window
    is_anothers = is_agent(squash.who) and squash.who != first.who
    return is_anothers and not others and size < CHANCE_LINES


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


def find_parts(part: Work, left: Sequence[Work]) -> Origin | None:
    """Return the commits whose lines make up most of `part`, of those that were left when it was made.

    Args:
        part: The commit.
        left: With what is left of their changes: lines that an earlier part took are not in them any more.
    """
    shares = tuple((work.oid, _shared(part.changes, work.changes)) for work in left)
    sources = tuple(share for share in shares if share[1])
    size = lines_of(part.changes)
    own = max(size - sum(lines for _, lines in sources), 0)
    return Origin(sources, own) if sources and own <= MIN_PART * size else None
