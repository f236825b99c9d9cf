"""What was said of each commit: the grades in force for it, and the bugs reported in it.

Owns bringing them together by commit, for the views that compare commits. Pure: what the store holds is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.rules import grade_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_tracker.derived import Graded
    from agent_tracker.rules import Timeline

__all__ = ["UNJUDGED", "Judgement", "judgements"]


class Judgement(NamedTuple):
    """How many grades a commit has, what they add to a communication score, and how many bugs were reported in it."""

    grades: int
    score: int
    bugs: int


UNJUDGED = Judgement(0, 0, 0)


def judgements(
    graded: Iterable[tuple[bytes, Graded]], bugs: Iterable[bytes], timeline: Timeline
) -> Mapping[bytes, Judgement]:
    """Return what was said of each commit of which something was, by its oid.

    Args:
        graded: The commits that are graded and the grades in force for them.
        bugs: The commit of each bug in force, once for each.
        timeline: Which rules held when.
    """
    found: dict[bytes, Judgement] = {}
    for oid, each in graded:
        score = sum(grade_value(given.grade, timeline.at(given.recorded_ns)) for given in each.grades)
        found[oid] = Judgement(len(each.grades), score, 0)
    for oid in bugs:
        before = found.get(oid, UNJUDGED)
        found[oid] = before._replace(bugs=before.bugs + 1)
    return found
