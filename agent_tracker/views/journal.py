"""The journal: retrospectives with the score before and after, and activities, newest first.

Owns those views. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent_tracker.errors import UsageError
from agent_tracker.rules import Timeline, grade_value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from agent_tracker.derived import Graded
    from agent_tracker.journal import ActivityFact, RetroFact

__all__ = ["ActivityEntry", "Grading", "RetroEntry", "Scores", "activities", "one_by_id", "retros"]

MIN_DIGITS = 4
ID_DIGITS = 12
_LAST = "~"
"""Sorts behind every grade."""

E = TypeVar("E", "RetroEntry", "ActivityEntry")


class Scores:
    """An agent's communication score through time.

    Args:
        created_ns: When it was registered; Unix nanoseconds.
        grades: (when, grade) of the grades in force for it, in any order.
        timeline: Which rules held when.
    """

    def __init__(self, created_ns: int, grades: Iterable[tuple[int, str]], timeline: Timeline) -> None:
        self._grades = sorted(grades)

        def moved(score: int, given: tuple[int, str]) -> int:
            return max(0, score + grade_value(given[1], timeline.at(given[0])))

        self._scores = list(accumulate(self._grades, moved, initial=timeline.at(created_ns)["newCs"]))

    def around(self, graded: Graded | None, at_ns: int) -> tuple[int, int]:
        """Return the score before the first and after the last grade of a piece of work.

        Args:
            graded: The grades in force for it.
            at_ns: Where it has none, the score as of then is meant twice.
        """
        given = sorted((each.recorded_ns, each.grade) for each in graded.grades) if graded else []
        first, last = (given[0], given[-1]) if given else ((at_ns, _LAST), (at_ns, _LAST))
        return self._scores[bisect_left(self._grades, first)], self._scores[bisect_right(self._grades, last)]


class Grading(NamedTuple):
    """What became of the work that a retrospective is about: the commit it lives in (or empty), and the scores."""

    home: bytes
    score_before: int
    score_after: int


class RetroEntry(NamedTuple):
    """A retrospective. `home` is the commit in which its work lives now, empty for a session's."""

    fact: RetroFact
    home: bytes
    score_before: int
    score_after: int
    is_forgotten: bool


class ActivityEntry(NamedTuple):
    """An activity."""

    fact: ActivityFact
    is_forgotten: bool


class Chosen(NamedTuple):
    """Which entries are wanted: of these projects, of this agent, since then (Unix nanoseconds), at most so many."""

    projects: Collection[str] | None = None
    agent: str = ""
    since_ns: int = 0
    limit: int | None = None

    def holds(self, fact: RetroFact | ActivityFact) -> bool:
        """Tell whether a fact is among them, the limit aside."""
        return (
            (self.projects is None or fact.project in self.projects)
            and (not self.agent or fact.agent == self.agent)
            and fact.recorded_ns >= self.since_ns
        )


def retros(
    facts: Sequence[RetroFact], forgotten: Collection[str], grading: Callable[[RetroFact], Grading], chosen: Chosen
) -> list[RetroEntry]:
    """Return the retrospectives that are chosen, newest first.

    Args:
        facts: All of them, by time.
        forgotten: The ids of the facts whose texts had to go.
        grading: Finds what became of the work.
        chosen: Which are wanted.
    """
    wanted = islice((fact for fact in reversed(facts) if chosen.holds(fact)), chosen.limit)
    return [RetroEntry(fact, *grading(fact), fact.id in forgotten) for fact in wanted]


def activities(facts: Sequence[ActivityFact], forgotten: Collection[str], chosen: Chosen) -> list[ActivityEntry]:
    """Return the activities that are chosen, newest first; `facts` are all of them, by time."""
    wanted = islice((fact for fact in reversed(facts) if chosen.holds(fact)), chosen.limit)
    return [ActivityEntry(fact, fact.id in forgotten) for fact in wanted]


def one_by_id(ids: Iterable[str], prefix: str) -> str:
    """Return the id that begins so.

    Raises:
        UsageError: None does, or several, or it is no beginning of an id.
    """
    digits = prefix.strip().lower()
    if not MIN_DIGITS <= len(digits) <= ID_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(
            f"{prefix[:40]!r} is no id", f"an id has {ID_DIGITS} digits (0-9, a-f); its first {MIN_DIGITS} may do"
        )
    found = sorted({each for each in ids if each.startswith(digits)})
    if not found:
        raise UsageError(f"nothing has the id {digits}", "the lists show the ids")
    if len(found) > 1:
        raise UsageError(f"{digits} is the beginning of {len(found)} ids", f"one of: {', '.join(found[:5])}")
    return found[0]
