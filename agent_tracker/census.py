"""What the commits of a scan amount to, agent by agent: how many, what they mended, which were taken back.

Owns adding up for a report. Pure; nothing of it is stored: the store derives its own from the facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.marks import IMPORTED, UNKNOWN_MODEL, find_signs, setups_of
from agent_tracker.records import Agent, Credits, is_agent
from agent_tracker.registration import Roster, agent_id, identify
from agent_tracker.xp import NEW_STANDING

if TYPE_CHECKING:
    from agent_tracker.records import AgentFact, Marks
    from agent_tracker.tables import Snapshot

__all__ = ["Census", "FoundAgent"]

NS = 10**9
OID_DIGITS = frozenset({40, 64})
MAX_KNOWN = 50_000
"""How many different marks are kept in mind: the commits of the largest projects have a few thousand."""


class FoundAgent(NamedTuple):
    """An agent as a scan found it; what nobody can name is one without an id.

    `commits` carry its marks, alone or with others; `share` of them is its own, in millionths. `fixes` say that they
    mend something; `reverted` were taken back by a commit that was scanned, which is told of agents alone. `sources`
    are the kinds of marks by which it is known, each with the number of commits. Times are Unix seconds.
    """

    id: str
    name: str
    model: str
    commits: int
    share: int
    fixes: int
    reverted: int
    first_at: int
    last_at: int
    sources: tuple[tuple[str, int], ...]


class _Sum:
    __slots__ = ("commits", "first_at", "fixes", "last_at", "reverted", "share", "sources")

    def __init__(self) -> None:
        self.commits = self.share = self.fixes = self.reverted = self.last_at = 0
        self.first_at = 1 << 62
        self.sources: dict[str, int] = {}


_Judged = tuple[Credits, dict[str, tuple[str, ...]], bool]
"""Whose a commit is, by which kinds of marks each agent is known, and whether it mends something."""


class Census:
    """The sums of a scan.

    Args:
        roster: The agents that are registered.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._sums: dict[str, _Sum] = {}
        self._credits: dict[bytes, Credits] = {}
        self._reverted: set[bytes] = set()
        self._known: dict[Marks, _Judged] = {}

    def register(self, fact: AgentFact) -> None:
        """Let an agent count that was met for the first time."""
        agent = Agent(*fact[:5], True, fact.recorded_at, fact.recorded_at, NEW_STANDING, ())  # noqa: FBT003 -- positional
        self.roster = Roster([*self.roster.by_id.values(), agent])

    def add(self, oid: bytes, marks: Marks, at: int) -> None:
        """Add a commit, made then (Unix seconds)."""
        credits, by_agent, is_fix = self._judge(marks, at)
        for agent, share in credits:
            found = self._sums.get(agent)
            if found is None:
                found = self._sums[agent] = _Sum()
            found.commits += 1
            found.share += share
            found.fixes += is_fix
            found.first_at, found.last_at = min(found.first_at, at), max(found.last_at, at)
            for source in by_agent.get(agent, ()):
                found.sources[source] = found.sources.get(source, 0) + 1
        if is_agent(credits[0][0]):
            self._credits[oid] = credits
        self._reverted.update(_reverted(marks))

    def _judge(self, marks: Marks, at: int) -> _Judged:
        found = self._known.get(marks)
        if found is None:
            credits = identify(marks, self.roster, at_ns=at * NS).credits
            found = credits, _sources(marks, credits), any(name == "fix" for name, _ in marks)
            if len(self._known) < MAX_KNOWN:
                self._known[marks] = found
        return found

    def agents(self, snapshot: Snapshot | None) -> tuple[FoundAgent, ...]:
        """Return the sums, those with most commits first.

        Args:
            snapshot: The store, which knows whose the commits are that earlier scans found.
        """
        for oid in self._reverted:
            stored = snapshot.commit(oid) if snapshot and oid not in self._credits else None
            for agent, _ in self._credits.get(oid) or (stored.credits if stored else ()):
                if is_agent(agent) and agent in self._sums:
                    self._sums[agent].reverted += 1
        found = [self._found(agent, sums) for agent, sums in self._sums.items()]
        return tuple(sorted(found, key=lambda each: (not each.id, -each.commits, each.id)))

    def _found(self, agent_id: str, sums: _Sum) -> FoundAgent:
        agent = self.roster.by_id.get(agent_id)
        sources = tuple(sorted(sums.sources.items(), key=lambda item: (-item[1], item[0])))
        figures = sums.commits, sums.share, sums.fixes, sums.reverted, sums.first_at, sums.last_at
        return FoundAgent(agent_id, agent.name if agent else "", agent.model if agent else "", *figures, sources)


def _sources(marks: Marks, credits: Credits) -> dict[str, tuple[str, ...]]:
    """Return by which kinds of marks each agent is known: one that says no model speaks for all of its client's."""
    signs = find_signs(marks)
    found: dict[str, tuple[str, ...]] = {agent: ("agent",) for agent, _ in credits if is_agent(agent)}
    for client, model in setups_of(signs):
        said = (sign.source for sign in signs if sign.client == client and sign.model in {model, UNKNOWN_MODEL})
        found[agent_id(client, model, IMPORTED)] = tuple(dict.fromkeys(said))
    return found


def _reverted(marks: Marks) -> list[bytes]:
    """Return the commits that one takes back, where they are named in full."""
    oids = [value for name, value in marks if name in {"reverts", "restores"} and len(value) in OID_DIGITS]
    return [bytes.fromhex(oid) for oid in oids]
