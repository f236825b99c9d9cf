"""The sheet of one agent: its standing in words and figures, over all projects, in each, and in the one at hand.

Owns that view. Pure: what the store holds is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.derived import Tally
from agent_tracker.records import Agent, ProjectFact, Standing
from agent_tracker.rules import score_tier, trust_tier
from agent_tracker.xp import level_micro

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

__all__ = ["RECENT_GRADES", "Sheet", "homes", "new_agent", "sheet", "summed"]

RECENT_GRADES = 20
"""How many of the grades in force a sheet shows."""


class Sheet(NamedTuple):
    """One agent, as a person wants to see it; times are Unix seconds.

    `next_level_micro` is the experience (millionths) at which the next skill point comes, None while it is halted.
    `total` is over all projects; `here` is in the project at hand, None where there is none; `projects` are (path,
    tally), a project's clones as one, the one seen last first. `recent` are the last grades in force of both sides,
    (Unix nanoseconds, grade), the oldest first. `pending_changes` is None where they were not asked for.
    """

    agent: Agent
    is_registered: bool
    trust_tier: str
    score_tier: str
    next_level_micro: int | None
    total: Tally
    here: Tally | None
    projects: tuple[tuple[bytes, Tally], ...]
    recent: tuple[tuple[int, str], ...]
    pending_changes: int | None = None

    @property
    def state(self) -> str:
        """`new`, `retired`, `halted` or `active`."""
        if not self.is_registered:
            return "new"
        if not self.agent.active:
            return "retired"
        return "halted" if self.agent.standing.is_halted else "active"


def sheet(  # noqa: PLR0913 -- what the store holds of an agent
    agent: Agent,
    rules: Mapping[str, int],
    *,
    done: Mapping[int, Tally],
    places: Mapping[int, tuple[int, bytes]],
    here: Container[int] | None = None,
    recent: Iterable[tuple[int, str]] = (),
    is_registered: bool = True,
) -> Sheet:
    """Return an agent's sheet.

    Args:
        agent: With its standing.
        rules: Those in force.
        done: What it did, by the project's number.
        places: Each project's, as `homes` has them.
        here: The numbers of the project at hand and its clones; None where there is none.
        recent: The grades in force for it, (Unix nanoseconds, grade), the oldest first.
        is_registered: False for one that nobody knows.
    """
    standing = agent.standing
    total = summed(done.values())._replace(
        commits=standing.total_commits, earned_micro=standing.earned_micro, bugs=standing.total_bugs
    )
    return Sheet(
        agent,
        is_registered,
        trust_tier(standing.skill_points, rules),
        score_tier(standing.communication_score, rules),
        None if standing.is_halted else level_micro(standing.skill_points, rules),
        total,
        None if here is None else summed(tally for number, tally in done.items() if number in here),
        _by_project(done, places),
        tuple(recent)[-RECENT_GRADES:],
    )


def new_agent(name: str, rules: Mapping[str, int]) -> Agent:
    """Return what an agent of that name would begin with."""
    standing = Standing(rules["newSp"], 0, rules["newCs"], 0, 0, 0)
    return Agent("", name, "", "", "", True, 0, 0, standing, ())  # noqa: FBT003 -- a field


def homes(projects: Mapping[int, ProjectFact]) -> dict[int, tuple[int, bytes]]:
    """Return, for each project's number, the number and path by which it and its clones go: those that came last."""
    last = {fact.root or fact.id: (number, fact.path) for number, fact in sorted(projects.items())}
    return {number: last[fact.root or fact.id] for number, fact in projects.items()}


def summed(tallies: Iterable[Tally]) -> Tally:
    """Return several tallies as one."""
    commits = earned = grades = bugs = last_at = 0
    for tally in tallies:
        commits += tally.commits
        earned += tally.earned_micro
        grades += tally.grades
        bugs += tally.bugs
        last_at = max(last_at, tally.last_at)
    return Tally(commits, earned, grades, bugs, last_at)


def _by_project(done: Mapping[int, Tally], places: Mapping[int, tuple[int, bytes]]) -> tuple[tuple[bytes, Tally], ...]:
    if len(done) == 1:  # the common case, a thousand times in a list
        return tuple((places[number][1], tally) for number, tally in done.items() if number in places)
    joined: dict[tuple[int, bytes], list[Tally]] = {}
    for number, tally in done.items():
        if number in places:
            joined.setdefault(places[number], []).append(tally)
    ordered = [(home, summed(tallies)) for home, tallies in joined.items()]
    ordered.sort(key=lambda each: (-each[1].last_at, each[0]))
    return tuple((path, tally) for (_, path), tally in ordered)
