"""The record of the grades: newest first, each with what it is about and whether another took its place.

Owns that view. Pure.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from agent_tracker.journal import GradeFact

__all__ = ["GradeEntry", "Judged", "grades"]


class Judged(NamedTuple):
    """What a grade is about: a commit, by the oid in which its work lives now, or a session.

    `agent` is empty where no agent has credit for it any more; `in_force` are the ids of the grades in force by side.
    """

    home: bytes
    agent: str
    project: str
    subject: str
    in_force: Mapping[str, str]


class GradeEntry(NamedTuple):
    """One grade that was given; `recorded_ns` is Unix nanoseconds.

    `oid` and `home` are empty for a session's. `replaced_by` is the id of the grade that holds in its place, empty
    where it is in force, or where none of its side is.
    """

    id: str
    oid: bytes
    home: bytes
    session: str
    agent: str
    subject: str
    side: str
    grade: str
    note: str
    recorded_ns: int
    is_in_force: bool
    replaced_by: str
    is_forgotten: bool


def grades(  # noqa: PLR0913 -- what they are about, and which are wanted
    given: Iterable[GradeFact],
    judged: Callable[[GradeFact], Judged],
    *,
    projects: Container[str] | None,
    agent: str,
    forgotten: Container[str],
    limit: int | None,
) -> list[GradeEntry]:
    """Return grades, newest first.

    Args:
        given: Every grade, in any order.
        judged: Says what a grade is about; asked for no more of them than are shown.
        projects: The ids of the projects that are wanted; None for all.
        agent: Only those for this agent's work; empty for all.
        forgotten: The ids of the facts whose texts were taken out.
        limit: At most so many; None for all.
    """
    ordered = sorted(given, key=lambda fact: (fact.recorded_ns, fact.id), reverse=True)
    about = ((fact, judged(fact)) for fact in ordered)
    entries = (
        _entry(fact, work, is_forgotten=fact.id in forgotten)
        for fact, work in about
        if (projects is None or work.project in projects) and agent in {"", work.agent}
    )
    return list(islice(entries, limit))


def _entry(fact: GradeFact, work: Judged, *, is_forgotten: bool) -> GradeEntry:
    holds = work.in_force.get(fact.side, "")
    return GradeEntry(
        fact.id,
        fact.oid,
        work.home,
        fact.session,
        work.agent,
        work.subject,
        fact.side,
        fact.grade,
        fact.note,
        fact.recorded_ns,
        holds == fact.id,
        "" if holds == fact.id else holds,
        is_forgotten,
    )
