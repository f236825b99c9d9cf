"""Whose a commit is, and whether it counts, when commits were made from other commits.

Owns the replay of rewrites: amend, rebase, fixup and squash make new oids for the same work, and the work counts
once. Pure; a component is all commits that rewrites connect, and the result does not depend on the order of arrival.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.records import (
    ABANDONED,
    COUNTED,
    MICRO,
    PROVISIONAL,
    REWRITTEN,
    UNCLAIMED,
    UNDONE,
    CommitState,
    Credits,
    RewriteFact,
    UndoneFact,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from agent_tracker.rules import Timeline

__all__ = [
    "SPLIT",
    "Counted",
    "Node",
    "Origin",
    "Part",
    "Replayed",
    "Why",
    "blend",
    "components",
    "initial_status",
    "replay",
]


SPLIT = "split"
"""A rewrite by which a commit's work came to lie in several commits, each of which counts."""
NS = 10**9
_INITIAL = {"rebase": PROVISIONAL, "squash": PROVISIONAL, "arrived": PROVISIONAL, "gone": REWRITTEN}


class Node(NamedTuple):
    """One commit of a component: how it came to be, whose it is by itself, and what a person said of it, if any.

    `made_at` is when it was made (Unix seconds).
    """

    operation: str
    own: Credits
    corrected: Credits | None
    made_at: int = 0


class Replayed(NamedTuple):
    """What follows for each commit of a component.

    `homes` are the commits in which their work lives now; `earned_at` is when it was first committed (Unix seconds).
    `made_of` are, for those that have the credit of others, the parts of it, as `parts_of` has them.
    """

    states: dict[bytes, CommitState]
    homes: dict[bytes, bytes]
    earned_at: dict[bytes, int]
    made_of: dict[bytes, list[Part]]


class Part(NamedTuple):
    """What a commit's credit is made of: another's, `source`, or its own (empty), and how many lines that weighs."""

    source: bytes
    operation: str
    lines: int


class Why(NamedTuple):
    """Why a commit's credit is what it is.

    `basis` is one of `registration.BASES`, `correction` (a person put it right; `reason` is their word) or `rewrite`
    (it has the credit of what it was made of, `origins`). `reason`, `problem` and `who` are as an `Identity` has them.
    `is_outdated`: by what is known now another credit would follow; the table of marks has changed.
    """

    basis: str
    reason: str
    problem: str
    who: str
    origins: tuple[Origin, ...]
    is_outdated: bool = False


class Origin(NamedTuple):
    """One part of a commit's credit: from another commit, or by its own lines (`source` is empty)."""

    source: bytes
    operation: str
    lines: int
    credits: Credits
    why: Why


class Counted:
    """The counted commits of the same people in one project: when their work was first committed, and the newest."""

    __slots__ = ("at", "credits", "last_at", "project")

    def __init__(self, project: int, credits: Credits) -> None:
        self.project = project
        self.credits = credits
        self.at = array("q")
        self.last_at = 0

    def amounts(self, share: int, moments: Sequence[int], timeline: Timeline) -> Iterator[tuple[int, int]]:
        """Yield what an agent earned by them between each two of the moments: (Unix nanoseconds, millionths).

        The moments hold those at which the rules changed, so that all commits between two of them earn the same.
        """
        times = sorted(self.at) if moments else [max(self.at)]
        start, count = 0, len(self.at)
        for moment in moments:
            end = bisect_left(times, -(-moment // NS), start)
            if end > start:
                yield times[end - 1] * NS, timeline.commit_micro(share, times[end - 1]) * (end - start)
            start = end
        if count > start:
            yield times[-1] * NS, timeline.commit_micro(share, times[-1]) * (count - start)


def initial_status(operation: str) -> str:
    """Return a commit's status before any rewrite is known: a rebase makes no new work, and what is gone is none."""
    return _INITIAL.get(operation, COUNTED)


def replay(
    nodes: Mapping[bytes, Node],
    rewrites: Iterable[RewriteFact],
    undone: Iterable[UndoneFact] = (),
    lost: Container[bytes] = (),
) -> Replayed:
    """Return the status and credits of every commit of a component, where its work lives and since when.

    A commit's work lives in the newest commit made from it that is not lost, or in itself where all of them are. A
    commit made from others counts if some work lives in it, and has their credit in proportion to the lines they
    brought; an amend adds its own lines.

    Args:
        nodes: The known commits by oid.
        rewrites: Every rewrite between them; those that touch an unknown commit are passed over.
        undone: What was taken back of them.
        lost: The commits to which nothing leads any more.
    """
    sources = _sources(nodes, rewrites)
    gone = _taken_back(sources, undone)
    sources |= {oid: [] for oid in gone}
    credits = {oid: node.corrected or node.own for oid, node in nodes.items()}
    status = {oid: UNDONE if oid in gone else initial_status(node.operation) for oid, node in nodes.items()}
    made = {oid: (max((edge.recorded_ns for edge in edges), default=-1), oid) for oid, edges in sources.items()}
    heirs: dict[bytes, list[bytes]] = {}
    split: set[bytes] = set()
    placed: dict[bytes, None] = {}
    earned_at = {oid: node.made_at for oid, node in nodes.items()}
    made_of: dict[bytes, list[Part]] = {}
    for oid in _ordered(sources, made):
        placed[oid] = None
        known = [edge for edge in sources[oid] if edge.old in placed]
        edges = [edge for edge in known if status[edge.old] != PROVISIONAL]
        if known:
            status[oid] = COUNTED if edges else PROVISIONAL
        for edge in edges:
            heirs.setdefault(edge.old, []).append(oid)
            earned_at[oid] = min(earned_at[oid], earned_at[edge.old])
            if edge.operation == SPLIT:
                split.add(oid)
        if edges and nodes[oid].corrected is None:
            made_of[oid] = parts_of(edges, nodes[oid])
            credits[oid] = blend((credits.get(part.source, nodes[oid].own), part.lines) for part in made_of[oid])
    home = _homes(reversed(placed), heirs, made, lost)
    inheriting = {new for news in heirs.values() for new in news}
    alive = {home[oid] for oid in nodes if oid not in inheriting or oid in split}
    for oid in nodes:
        if status[oid] == COUNTED:
            status[oid] = REWRITTEN if oid not in alive else ABANDONED if oid in lost else COUNTED
    return Replayed({oid: CommitState(status[oid], credits[oid]) for oid in nodes}, home, earned_at, made_of)


def components(rewrites: list[RewriteFact], known: Iterable[bytes]) -> Iterator[tuple[list[bytes], list[RewriteFact]]]:
    """Yield the known commits that rewrites connect, and those rewrites."""
    leader: dict[bytes, bytes] = {}

    def find(oid: bytes) -> bytes:
        while leader.setdefault(oid, oid) != oid:
            leader[oid] = leader[leader[oid]]
            oid = leader[oid]
        return oid

    for rewrite in rewrites:
        leader[find(rewrite.old)] = find(rewrite.new)
    members: dict[bytes, list[bytes]] = {}
    for oid in known:
        if oid in leader:
            members.setdefault(find(oid), []).append(oid)
    edges: dict[bytes, list[RewriteFact]] = {}
    for rewrite in rewrites:
        edges.setdefault(find(rewrite.old), []).append(rewrite)
    for head, oids in members.items():
        yield oids, edges[head]


def _taken_back(sources: Mapping[bytes, list[RewriteFact]], undone: Iterable[UndoneFact]) -> set[bytes]:
    """Return the commits that were taken back: all that lie between the one left and the one that was gone back to."""
    latest = {edge.old: edge.recorded_ns for edges in sources.values() for edge in edges}
    gone: set[bytes] = set()
    for fact in undone:
        if fact.oid not in sources or latest.get(fact.oid, 0) > fact.recorded_ns:
            continue
        origins = _origins(fact.oid, sources)
        if not fact.back_to:
            gone.add(fact.oid)
        elif fact.back_to in origins:
            gone |= {fact.oid} | {oid for oid in origins if fact.back_to in _origins(oid, sources)}
    return gone


def _origins(oid: bytes, sources: Mapping[bytes, list[RewriteFact]]) -> set[bytes]:
    """Return every commit that one was made from, at any remove."""
    found: set[bytes] = set()
    pending = [oid]
    while pending:
        for edge in sources[pending.pop()]:
            if edge.old not in found:
                found.add(edge.old)
                pending.append(edge.old)
    return found


def _sources(nodes: Iterable[bytes], rewrites: Iterable[RewriteFact]) -> dict[bytes, list[RewriteFact]]:
    sources: dict[bytes, list[RewriteFact]] = {oid: [] for oid in nodes}
    for rewrite in sorted(rewrites, key=lambda r: (r.recorded_ns, r.old, r.new)):
        if rewrite.old in sources and rewrite.new in sources and rewrite.old != rewrite.new:
            sources[rewrite.new].append(rewrite)
    return sources


def _homes(
    newest_first: Iterable[bytes],
    heirs: Mapping[bytes, list[bytes]],
    made: Mapping[bytes, tuple[int, bytes]],
    lost: Container[bytes],
) -> dict[bytes, bytes]:
    """Return in which commit the work of each one lives."""
    home: dict[bytes, bytes] = {}
    for oid in newest_first:
        finals = [home[heir] for heir in sorted(heirs.get(oid, ()), key=made.__getitem__, reverse=True)]
        living = [final for final in finals if final not in lost]
        home[oid] = living[0] if living else finals[0] if finals and oid in lost else oid
    return home


def _ordered(sources: Mapping[bytes, list[RewriteFact]], made: Mapping[bytes, tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield the commits, sources first, else by when they were made; a cycle is cut at its earliest commit."""
    waiting = {oid: {edge.old for edge in edges} for oid, edges in sources.items()}
    products: dict[bytes, list[bytes]] = {}
    for oid, olds in waiting.items():
        for old in olds:
            products.setdefault(old, []).append(oid)
    ready = [made[oid] for oid, olds in waiting.items() if not olds]
    heapq.heapify(ready)
    while waiting:
        _, oid = heapq.heappop(ready) if ready else min(made[oid] for oid in waiting)
        if waiting.pop(oid, None) is None:
            continue
        yield oid
        for product in products.get(oid, ()):
            remaining = waiting.get(product)
            if remaining:
                remaining.discard(oid)
                if not remaining:
                    heapq.heappush(ready, made[product])


def parts_of(edges: list[RewriteFact], node: Node) -> list[Part]:
    """Return what the credit of a commit is made of that was made from others: never nothing."""
    parts = [Part(edge.old, edge.operation, max(edge.old_lines, 1)) for edge in edges if edge.old_lines >= 0]
    own_lines = max(edge.own_lines for edge in edges)
    # A fixup in a rebase is made by an amend too, of lines that another commit brought.
    if not parts or (own_lines > 0 and node.operation not in {"rebase", "squash"}):
        parts.append(Part(b"", node.operation, max(own_lines, 1)))
    return parts


def blend(parts: Iterable[tuple[Credits, int]]) -> Credits:
    """Return the credits of work made from parts: each part's credits and its weight in lines, which is positive.

    Shares are rounded down to millionths; the largest takes what is left, so that they add to 1.
    """
    lines: dict[str, int] = {}
    for credit, weight in parts:
        for agent, share in credit:
            lines[agent] = lines.get(agent, 0) + weight * share
    total = sum(lines.values())
    shares = {agent: amount * MICRO // total for agent, amount in lines.items()}
    ranked = sorted(shares, key=lambda agent: (-shares[agent], agent == UNCLAIMED, agent))
    shares[ranked[0]] += MICRO - sum(shares.values())
    return tuple((agent, shares[agent]) for agent in ranked if shares[agent])
