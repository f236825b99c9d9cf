"""Why a commit's credit is what it is: what of its marks decided, who put it right, what it was made of.

Owns finding that out from the facts, as of now. Never decides whose a commit is: `registration`, `credit` and the
corrections do, and this follows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker import journal_tables
from agent_tracker.credit import Node, Origin, Replayed, Why, replay
from agent_tracker.registration import Identity, Roster
from agent_tracker.stored_facts import (
    component_of,
    find_correction,
    is_lost,
    known_credits,
    made_at,
    own_credits,
    sighting_of,
    undone_facts,
)

if TYPE_CHECKING:
    from agent_tracker.records import Commit, CreditFact, Credits
    from agent_tracker.tables import Snapshot

__all__ = ["Reasons"]

MAX_REMOVES = 50


class Reasons:
    """The reasons for the credits of a store's commits.

    Args:
        snapshot: The store.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        turned = journal_tables.turned_ns(snapshot)
        self._roster = Roster(snapshot.agents(), lambda name: journal_tables.turns(snapshot, name), turned)
        self._owns: dict[tuple[int, int], Identity] = {}
        self._replayed: dict[bytes, Replayed] = {}

    def why(self, commit: Commit) -> Why:
        """Return why a commit's credit is what it is.

        Raises:
            StoreError: A record is damaged.
        """
        correction = find_correction(self._snapshot, commit.oid)
        if correction is not None:
            return _of_correction(correction, commit, known_credits(correction.credits, self._roster))
        replayed = self._replay(commit.oid) if self._snapshot.sources(commit.oid) else None
        if replayed is None or commit.oid not in replayed.made_of:
            own = self._own(commit)
            return Why(own.basis, own.reason, own.problem, own.who, (), own.credits != commit.credits)
        origins = tuple(
            Origin(part.source, part.operation, part.lines, *self._origin(commit, part.source, replayed))
            for part in replayed.made_of[commit.oid]
        )
        is_outdated = replayed.states[commit.oid].credits != commit.credits
        return Why("rewrite", "", "", "", origins, is_outdated)

    def _origin(self, commit: Commit, source: bytes, replayed: Replayed) -> tuple[Credits, Why]:
        """Return whose a part of a commit is, and why: by the commit that it comes from, at whatever remove."""
        if not source:
            own = self._own(commit)
            return own.credits, Why(own.basis, own.reason, own.problem, own.who, ())
        credits, oid = replayed.states[source].credits, source
        for _ in range(MAX_REMOVES):
            parts = replayed.made_of.get(oid, [])
            if len(parts) != 1 or not parts[0].source:
                break
            oid = parts[0].source
        found = self._snapshot.commit(oid)
        if found is None:
            return credits, Why("unseen", "", "", "", ())
        correction = find_correction(self._snapshot, oid)
        if correction is not None:
            return credits, _of_correction(correction, found, known_credits(correction.credits, self._roster))
        if oid in replayed.made_of:
            return credits, Why("rewrite", "", "", "", ())
        own = self._own(found)
        return credits, Why(own.basis, own.reason, own.problem, own.who, ())

    def _replay(self, oid: bytes) -> Replayed:
        """Return what follows for the commits that rewrites connect with one, found out once for all of them."""
        known = self._replayed.get(oid)
        if known is None:
            component, rewrites = component_of(self._snapshot, oid)
            nodes = {each: self._node(commit) for each, commit in component.items()}
            undone = [fact for each in component for fact in undone_facts(self._snapshot, each)]
            lost = {each for each in component if is_lost(self._snapshot, each)}
            known = replay(nodes, rewrites, undone, lost)
            self._replayed |= dict.fromkeys(component, known)
        return known

    def _node(self, commit: Commit) -> Node:
        correction = find_correction(self._snapshot, commit.oid)
        corrected = known_credits(correction.credits, self._roster) if correction else None
        return Node(commit.operation, self._own(commit).credits, corrected, made_at(commit))

    def _own(self, commit: Commit) -> Identity:
        sighting = sighting_of(self._snapshot, commit.oid)
        if sighting is not None:
            return own_credits(sighting.marks, self._roster, made_at(commit))
        key = (commit.marks, self._roster.epoch(made_at(commit)))
        found = self._owns.get(key)
        if found is None:
            found = own_credits(self._snapshot.marks(commit.marks), self._roster, made_at(commit))
            self._owns[key] = found
        return found


def _of_correction(fact: CreditFact, commit: Commit, credits: Credits) -> Why:
    return Why("correction", fact.why, "", "", (), credits != commit.credits)
