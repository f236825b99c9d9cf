"""What the store's facts say about one commit, or about one agent.

Owns reading them together: a registration with its changes, a commit's own credit, its corrections, its losses. Never
writes and never derives anything from commits that rewrites connect; that is `credit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from agent_tracker import packing
from agent_tracker.records import (
    COUNTED,
    HUMAN,
    UNCLAIMED,
    Agent,
    AgentFact,
    Commit,
    CreditFact,
    Credits,
    LossFact,
    Marks,
    RewriteFact,
    SightingFact,
    StateFact,
    UndoneFact,
)
from agent_tracker.registration import Identity, Roster, identify
from agent_tracker.xp import NEW_STANDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_tracker.tables import Snapshot

__all__ = [
    "Told",
    "component_of",
    "corrected_credits",
    "find_correction",
    "home_of",
    "is_lost",
    "known_credits",
    "made_at",
    "own_credits",
    "registered_agent",
    "sighting_of",
    "undone_facts",
]

F = TypeVar("F", CreditFact, UndoneFact, LossFact, SightingFact)


def made_at(commit: Commit) -> int:
    """Return when a commit was made (Unix seconds): as it says, but never after it was recorded."""
    return min(commit.committed_at, commit.recorded_at)


def own_credits(marks: Marks, roster: Roster, at: int) -> Identity:
    """Return whose a commit is by its own marks, as of when it was made (Unix seconds)."""
    return identify(marks, roster, at_ns=at * 10**9)


def find_correction(snapshot: Snapshot, oid: bytes) -> CreditFact | None:
    """Return the latest correction of a commit's credit, None where there is none."""
    corrections = _about(snapshot, b"c", oid, CreditFact)
    return max(corrections, key=lambda fact: fact.recorded_ns, default=None)


def corrected_credits(snapshot: Snapshot, oid: bytes, roster: Roster) -> Credits | None:
    """Return what the latest correction says of a commit, None where there is none."""
    correction = find_correction(snapshot, oid)
    return None if correction is None else known_credits(correction.credits, roster)


def undone_facts(snapshot: Snapshot, oid: bytes) -> list[UndoneFact]:
    """Return what is known of a commit's having been taken back."""
    return _about(snapshot, b"u", oid, UndoneFact)


def is_lost(snapshot: Snapshot, oid: bytes) -> bool:
    """Tell whether the last that is known of a commit is that nothing leads to it."""
    last = max(_about(snapshot, b"l", oid, LossFact), key=lambda fact: fact.recorded_ns, default=None)
    return last is not None and last.is_lost


def sighting_of(snapshot: Snapshot, oid: bytes) -> SightingFact | None:
    """Return what a hook said late of a commit, if one did."""
    return next(iter(_about(snapshot, b"h", oid, SightingFact)), None)


def _about(snapshot: Snapshot, kind: bytes, oid: bytes, of: type[F]) -> list[F]:
    """Return the events of one kind about one commit."""
    found = [packing.unpack_event(key, value) for key, value in snapshot.table("events").items(kind + oid)]
    return [fact for fact in found if isinstance(fact, of) and fact.oid == oid]


def known_credits(credits: Credits, roster: Roster) -> Credits:
    """Return credits with agents that are not registered replaced by nobody."""
    shares: dict[str, int] = {}
    for agent, share in credits:
        name = agent if agent in roster.by_id or agent == HUMAN else UNCLAIMED
        shares[name] = shares.get(name, 0) + share
    return tuple(sorted(shares.items(), key=lambda item: (-item[1], item[0] == UNCLAIMED, item[0])))


def component_of(snapshot: Snapshot, oid: bytes) -> tuple[dict[bytes, Commit], list[RewriteFact]]:
    """Return the stored commits that rewrites connect with one, itself among them, and those rewrites."""
    commits: dict[bytes, Commit] = {}
    rewrites: dict[tuple[bytes, bytes], RewriteFact] = {}
    pending, met = [oid], {oid}
    while pending:
        current = pending.pop()
        commit = snapshot.commit(current)
        if commit is not None:
            commits[current] = commit
        for rewrite in _rewrites_of(snapshot, current):
            rewrites[rewrite.old, rewrite.new] = rewrite
            for other in (rewrite.old, rewrite.new):
                if other not in met:
                    met.add(other)
                    pending.append(other)
    return commits, list(rewrites.values())


def _rewrites_of(snapshot: Snapshot, oid: bytes) -> list[RewriteFact]:
    events = snapshot.table("events")
    found = [packing.unpack_event(key, value) for key, value in events.items(b"w" + oid)]
    for old in snapshot.sources(oid):
        key = b"w" + old + oid
        value = events.get(key)
        if value is not None:
            found.append(packing.unpack_event(key, value))
    return [fact for fact in found if isinstance(fact, RewriteFact) and oid in (fact.old, fact.new)]


def home_of(snapshot: Snapshot, oid: bytes) -> bytes:
    """Return the commit in which a commit's work lives: the one that counts, or else the last one made of it."""
    pending, met, last = [oid], {oid}, oid
    while pending:
        current = pending.pop()
        commit = snapshot.commit(current)
        if commit is not None:
            last = current
            if commit.status == COUNTED:
                return current
        heirs = [heir for heir in snapshot.heirs(current) if heir not in met]
        met.update(heirs)
        pending += heirs
    return last


def registered_agent(snapshot: Snapshot, fact: AgentFact) -> Agent:
    """Return an agent as its registration and the changes of its state say, with a new agent's standing."""
    prefix = b"s" + fact.id.encode() + b"\0"
    changes = [packing.unpack_event(key, value) for key, value in snapshot.table("events").items(prefix)]
    transitions = tuple((c.recorded_ns, c.state == "active") for c in changes if isinstance(c, StateFact))
    active = transitions[-1][1] if transitions else True
    created_at = fact.recorded_at
    return Agent(
        fact.id,
        fact.name,
        fact.model,
        fact.scope,
        fact.client,
        active,
        created_at,
        created_at,
        NEW_STANDING,
        transitions,
    )


class Told:
    """What events tell of single commits, by oid: the same as of one, for all of them at once.

    Args:
        events: By their kind, in the order of their keys.
        roster: The registered agents.
    """

    def __init__(self, events: Mapping[type, Sequence[Any]], roster: Roster) -> None:
        self.sightings: dict[bytes, SightingFact] = {fact.oid: fact for fact in events.get(SightingFact, ())}
        self.undone: dict[bytes, list[UndoneFact]] = {}
        for fact in events.get(UndoneFact, ()):
            self.undone.setdefault(fact.oid, []).append(fact)
        corrections: dict[bytes, CreditFact] = _latest(events.get(CreditFact, ()))
        self.corrected = {oid: known_credits(fact.credits, roster) for oid, fact in corrections.items()}
        losses: dict[bytes, LossFact] = _latest(events.get(LossFact, ()))
        self.lost = {oid for oid, fact in losses.items() if fact.is_lost}


def _latest(facts: Iterable[Any]) -> dict[bytes, Any]:
    """Return the last fact about each commit, the first of those of the same moment."""
    latest: dict[bytes, Any] = {}
    for fact in facts:
        known = latest.get(fact.oid)
        if known is None or fact.recorded_ns > known.recorded_ns:
            latest[fact.oid] = fact
    return latest
