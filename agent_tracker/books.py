"""The agents' books inside one write transaction: tallies, ledgers and standings kept in step with what was earned.

Owns adding up. Never decides what earns: that is told to it. Where something arrived that lies before what an agent
earned already, its ledger is drawn up anew; where the rules changed for that, everything is derived (`is_incomplete`).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.derived import EVERYBODY, Ledger, Place, Tally
from agent_tracker.earnings import earnings
from agent_tracker.records import COUNTED, Agent, Credits, is_agent
from agent_tracker.tables import MAX_TIME
from agent_tracker.xp import Career, added, boundaries, ledger_of, standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.tables import Writer

__all__ = ["Books", "Gain", "Milestone", "career_of", "moved_to"]

NS = 10**9


class Gain(NamedTuple):
    """What one agent gained (or gave back) in one transaction."""

    agent: str
    commits: int
    experience_micro: int


class Milestone(NamedTuple):
    """Something worth saying once: an agent has a new level (`level`), was halted, or was resumed."""

    agent: str
    what: str
    skill_points: int


class _Last:
    """How the newest of an agent's commits in a project may have changed."""

    __slots__ = ("added", "removed")

    def __init__(self) -> None:
        self.added = 0
        self.removed = 0


class Books:
    """What is earned in one transaction.

    Args:
        writer: The open transaction; the agents in it must be registered before anything is earned.
        now: Unix seconds, for `updated_at` alone.
    """

    def __init__(self, writer: Writer, now: int) -> None:
        self._writer = writer
        self._now = now
        self._earned: dict[str, list[tuple[int, int]]] = {}
        self._alike: dict[str, list[tuple[int, Sequence[tuple[int, int]]]]] = {}
        self._commits: dict[str, int] = {}
        self._changed: set[str] = set()
        self._tallies: dict[Place, Tally] = {}
        self._before: dict[Place, Tally] = {}
        self._lasts: dict[Place, _Last] = {}
        self._points: dict[str, int] = {}
        self._late: dict[str, int] = {}
        self.is_incomplete = False

    def changed(self, agent: str) -> None:
        """Note that an agent's bugs, grades or returns, or the rules, are not what they were."""
        self._changed.add(agent)

    def earn(self, place: Place, agent: str, at_ns: int, micro: int) -> None:
        """Add what an agent earned in a project (or gave back) beside its commits."""
        if micro:
            self._earned.setdefault(agent, []).append((at_ns, micro))
            self.tally(place, earned_micro=micro)

    def tally(self, place: Place, *, commits: int = 0, earned_micro: int = 0, grades: int = 0, bugs: int = 0) -> None:
        """Add to what an agent did in a project."""
        now = self._tally(place)
        self._tallies[place] = now._replace(
            commits=now.commits + commits,
            earned_micro=now.earned_micro + earned_micro,
            grades=now.grades + grades,
            bugs=now.bugs + bugs,
        )

    def _tally(self, place: Place) -> Tally:
        found = self._tallies.get(place)
        if found is None:
            found = journal_tables.tallies(self._writer, place.agent).get(place, Tally())
            self._before[place] = self._tallies[place] = found
        return found

    def count(self, project: int, credits: Credits, made: Sequence[tuple[int, int]], sign: int = 1) -> None:
        """Add commits of the same agents in the same project.

        Args:
            project: Its number.
            credits: Whose they are.
            made: For each, when it says it was made and when its work was first committed; Unix seconds.
            sign: -1 takes them out again.
        """
        last_at = max(min(max(at, 0), MAX_TIME) for at, _ in made)
        self._count(Place(EVERYBODY, project), len(made) * sign, 0, last_at)
        for agent, share in credits:
            micro = self._earn_commits(agent, share, made, sign) if is_agent(agent) else 0
            place = Place(self._writer.credit_number(agent), project)
            self._count(place, len(made) * sign, micro, last_at)

    def _earn_commits(self, agent: str, share: int, made: Sequence[tuple[int, int]], sign: int) -> int:
        timeline = self._writer.timeline()
        self._commits[agent] = self._commits.get(agent, 0) + len(made) * sign
        if timeline.is_constant:
            each = timeline.commit_micro(share, 0) * sign
            self._alike.setdefault(agent, []).append((each, made))
            return each * len(made)
        amounts = [(at * NS, timeline.commit_micro(share, at) * sign) for _, at in made]
        self._earned.setdefault(agent, []).extend(amounts)
        return sum(micro for _, micro in amounts)

    def _amounts(self, agent: str, moments: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return all that an agent earned in this transaction, once it is known at which moments that is parted."""
        amounts = list(self._earned.get(agent, ()))
        for each, made in self._alike.get(agent, ()):
            if moments:
                amounts += [(at * NS, each) for _, at in made]
            else:
                amounts.append((max(at for _, at in made) * NS, each * len(made)))
        return amounts

    def _count(self, place: Place, commits: int, micro: int, last_at: int) -> None:
        self.tally(place, commits=commits, earned_micro=micro)
        last = self._lasts.setdefault(place, _Last())
        if commits > 0:
            last.added = max(last.added, last_at)
        else:
            last.removed = max(last.removed, last_at)

    def close(self) -> tuple[Gain, ...]:
        """Write everything, but where that is `is_incomplete`, and return what the agents gained."""
        gains = []
        for agent in sorted(self._earned.keys() | self._commits.keys() | self._changed):
            commits = self._commits.get(agent, 0)
            experience = sum(micro for _, micro in self._amounts(agent, ()))
            self._points[agent] = self._writer.numbered_agents()[agent][0].standing.skill_points
            if not self.is_incomplete:
                self._write(agent, commits)
            if commits or experience:
                gains.append(Gain(agent, commits, experience))
        if self._late:
            for agent, earned in earnings(self._writer, self._late.keys()).items():
                self._settle(agent, self._late[agent], earned)
        for place, tally in self._tallies.items() if not self.is_incomplete else ():
            dated = tally._replace(last_at=self._last_at(place, tally))
            if dated != self._before[place]:
                journal_tables.put_tally(self._writer, place, dated)
        return tuple(gains)

    def milestones(self) -> tuple[Milestone, ...]:
        """Return what is worth saying of the agents, once everything is written."""
        after = {agent: self._writer.numbered_agents()[agent][0].standing.skill_points for agent in self._points}
        found = ((agent, milestone(before, after[agent])) for agent, before in self._points.items())
        return tuple(Milestone(agent, what, after[agent]) for agent, what in found if what)

    def _last_at(self, place: Place, tally: Tally) -> int:
        last = self._lasts.get(place)
        if last is None or not tally.commits:
            return tally.last_at if tally.commits else 0
        newest = max(self._before[place].last_at, last.added)
        return newest if last.removed < newest else self._newest(place)

    def _newest(self, place: Place) -> int:
        """Return when the newest counted commit of an agent in a project was made; Unix seconds."""
        for commit in self._writer.commits([place.project]):
            is_its = place.agent == EVERYBODY or any(
                self._writer.credit_number(agent) == place.agent for agent, _ in commit.credits
            )
            if is_its and commit.status == COUNTED:
                return min(max(commit.committed_at, 0), MAX_TIME)
        return 0

    def _write(self, agent_id: str, commits: int) -> None:
        """Write an agent's ledger and standing; later, where its ledger has to be drawn up anew."""
        agent, number = self._writer.numbered_agents()[agent_id]
        career = career_of(self._writer, agent, number, has_grades=agent_id in self._changed)
        kept = journal_tables.ledger(self._writer, number)
        moved = moved_to(kept, boundaries(career, self._writer.timeline()))
        if moved is None:
            self._late[agent_id] = commits
            return
        ledger = added(moved, self._amounts(agent_id, moved.boundaries))
        if ledger != kept:
            journal_tables.put_ledger(self._writer, number, ledger)
        self._stand(agent, career, ledger, commits)

    def _settle(self, agent_id: str, commits: int, earned: list[tuple[int, int]]) -> None:
        """Write an agent's ledger and standing, from all that it earned."""
        agent, number = self._writer.numbered_agents()[agent_id]
        career = career_of(self._writer, agent, number, has_grades=agent_id in self._changed)
        ledger = ledger_of(boundaries(career, self._writer.timeline()), earned)
        journal_tables.put_ledger(self._writer, number, ledger)
        self._stand(agent, career, ledger, commits)

    def _stand(self, agent: Agent, career: Career, ledger: Ledger, commits: int) -> None:
        before = agent.standing
        after = standing(career, ledger, before.total_commits + commits, self._writer.timeline())
        if agent.id not in self._changed:
            after = after._replace(communication_score=before.communication_score)
        if after != before:
            self._writer.put_agent(agent._replace(standing=after, updated_at=self._now))


def milestone(before: int, after: int) -> str:
    """Return the word for what became of an agent's skill points, empty where it is nothing to say."""
    if before and not after:
        return "halted"
    if after and not before:
        return "resumed"
    return "level" if after > before else ""


def career_of(writer: Writer, agent: Agent, number: int, *, has_grades: bool) -> Career:
    """Return what happened to an agent beside its earning; its grades, of which there may be many, or none of them."""
    return Career(
        agent.created_at * NS,
        journal_tables.career_bugs(writer, number),
        [at for at, is_active in agent.transitions if is_active],
        journal_tables.career_grades(writer, number) if has_grades else (),
    )


def moved_to(ledger: Ledger, moments: tuple[int, ...]) -> Ledger | None:
    """Return a ledger with other boundaries; None where a sum would have to be taken apart."""
    if ledger.boundaries == moments:
        return ledger
    sums = [0] * (len(moments) + 1)
    ends = (*ledger.boundaries, ledger.last_ns + 1)
    for start, end, amount in zip((0, *ledger.boundaries), ends, ledger.sums, strict=True):
        first = bisect_right(moments, start)
        if amount and first != bisect_right(moments, max(start, end - 1)):
            return None
        sums[first] += amount
    return Ledger(moments, tuple(sums), ledger.last_ns)
