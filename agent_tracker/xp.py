"""Experience, levels and scores from facts.

Owns the fold. Pure; amounts are integers in millionths, so that shares add up exactly in any order.

Earning is a mere sum, whatever its order, but between two moments at which something else happens to an agent: a bug, a
return, a change of the rules. So the sums between those moments are kept (`Ledger`), and a standing follows from them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.derived import Given, Ledger
from agent_tracker.journal import SIDES, GradeFact
from agent_tracker.records import MICRO, Standing
from agent_tracker.rules import DEFAULT_RULES, Timeline, grade_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_tracker.journal import PulseFact

__all__ = [
    "NEW_STANDING",
    "Career",
    "added",
    "boundaries",
    "grades_in_force",
    "ledger_of",
    "level_micro",
    "pulse_micro",
    "standing",
]


MAX_SUM = 1 << 58
"""More than anybody earns, and little enough that some of them fit into 64 bits."""


class Career(NamedTuple):
    """What happened to an agent beside its earning; all times in Unix nanoseconds, in any order.

    `grades` are (when, grade): each the last one of its side for its piece of work.
    """

    created_ns: int
    bugs: Sequence[int] = ()
    resumes: Sequence[int] = ()
    grades: Iterable[tuple[int, str]] = ()


def boundaries(career: Career, timeline: Timeline) -> tuple[int, ...]:
    """Return the moments between which an agent's earning is a mere sum; Unix nanoseconds, ascending."""
    return tuple(sorted({*career.bugs, *career.resumes, *timeline.boundaries}))


def ledger_of(moments: tuple[int, ...], earned: Iterable[tuple[int, int]]) -> Ledger:
    """Return the ledger of all that was earned: (Unix nanoseconds, millionths), in any order."""
    sums = [0] * (len(moments) + 1)
    last_ns = 0
    for at_ns, micro in earned:
        sums[bisect_right(moments, at_ns)] += micro
        last_ns = max(last_ns, at_ns)
    return Ledger(moments, tuple(min(amount, MAX_SUM) for amount in sums), last_ns)


def added(ledger: Ledger, earned: Iterable[tuple[int, int]]) -> Ledger:
    """Return a ledger with more earned, or less where an amount is negative."""
    more = ledger_of(ledger.boundaries, earned)
    sums = tuple(min(a + b, MAX_SUM) for a, b in zip(ledger.sums, more.sums, strict=True))
    return Ledger(ledger.boundaries, sums, max(ledger.last_ns, more.last_ns))


def standing(career: Career, ledger: Ledger, total_commits: int, timeline: Timeline) -> Standing:
    """Return the standing of an agent.

    A bug takes skill points and never leaves fewer than none; whoever has none is halted, earns no skill point, and has
    one again when it is resumed. The level is looked at when something was earned.
    """
    at_ns = career.created_ns
    skill_points, experience = timeline.at(at_ns)["newSp"], 0
    bugs, resumes = Counter(career.bugs), frozenset(career.resumes)
    for moment, earned in zip((0, *ledger.boundaries), ledger.sums, strict=True):
        if moment:
            rules = timeline.at(moment)
            skill_points = max(0, skill_points - rules["bugSp"] * bugs[moment])
            if moment in resumes and not skill_points:
                skill_points = 1
        if earned:
            experience += earned
            step = timeline.at(moment)["levelXp"] * MICRO
            levels = _levels(skill_points, experience // step) if skill_points else 0
            experience -= step * (levels * skill_points + levels * (levels - 1) // 2)
            skill_points += levels
    score = _score(career, timeline)
    return Standing(skill_points, experience, score, total_commits, len(career.bugs), sum(ledger.sums))


def _levels(skill_points: int, steps: int) -> int:
    """Return how many levels so many steps are worth: the first costs as many as there are SP, the next more."""
    odd = 2 * skill_points - 1
    return (isqrt(odd * odd + 8 * steps) - odd) // 2


def _score(career: Career, timeline: Timeline) -> int:
    score = timeline.at(career.created_ns)["newCs"]
    for at_ns, grade in sorted(career.grades):
        score = max(0, score + grade_value(grade, timeline.at(at_ns)))
    return score


def level_micro(skill_points: int, rules: Mapping[str, int] = DEFAULT_RULES) -> int:
    """Return the experience (in millionths) at which the next skill point comes."""
    return rules["levelXp"] * MICRO * skill_points


def pulse_micro(pulse: PulseFact, timeline: Timeline) -> int:
    """Return the experience (in millionths) for what a session used."""
    rules = timeline.at(pulse.recorded_ns)
    return (pulse.tools * rules["toolXp"] + pulse.commands * rules["commandXp"]) * MICRO


def grades_in_force(facts: Iterable[GradeFact]) -> tuple[Given, ...]:
    """Return the last grade of each side among those for one piece of work."""
    last: dict[str, Given] = {}
    for fact in facts:
        given = Given(fact.recorded_ns, fact.id, fact.side, fact.grade)
        last[fact.side] = max(given, last.get(fact.side, given))
    return tuple(last[side] for side in SIDES if side in last)


NEW_STANDING = standing(Career(0), Ledger(), 0, Timeline())
"""What an agent starts with, and what is shown for one that nobody knows."""
