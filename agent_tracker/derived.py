"""What follows from the journal's facts and is kept, so that reading it costs nothing.

Owns the shape of these records; `verify` derives every one of them anew. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EVERYBODY", "Given", "Graded", "Ledger", "Place", "SessionState", "Tally"]

EVERYBODY = 0xFFFFFFFF
"""Stands in the place of an agent's number where a project's counted commits are counted, whoever made them."""


class Place(NamedTuple):
    """Where something earned belongs: the agent's number, and the project's or 0."""

    agent: int
    project: int


class Tally(NamedTuple):
    """What an agent did in a project. `last_at` is when its newest counted commit was made (Unix seconds), or 0."""

    commits: int = 0
    earned_micro: int = 0
    grades: int = 0
    bugs: int = 0
    last_at: int = 0


class Given(NamedTuple):
    """A grade in force: the last one from that side."""

    recorded_ns: int
    id: str
    side: str
    grade: str


class Graded(NamedTuple):
    """The grades in force for one piece of work, and whose they are."""

    place: Place
    grades: tuple[Given, ...]


class Ledger(NamedTuple):
    """What an agent earned between the moments that are no mere earning: a bug, a return, a change of the rules.

    `sums` has one more than `boundaries` (Unix nanoseconds, ascending); what was earned at a boundary comes after it.
    `last_ns` is when something was last earned, or later.
    """

    boundaries: tuple[int, ...] = ()
    sums: tuple[int, ...] = (0,)
    last_ns: int = 0


class SessionState(NamedTuple):
    """A session as its pulses have it. `ended_ns` is 0 while it is open; `last_ns` is its last sign of life.

    `end` is empty, `end`, or `interrupted`.
    """

    last_ns: int
    ended_ns: int
    end: str
    is_idle: bool
    tools: int
    commands: int
    failures: int
    responses: int
    response_ms: int
    slowest_ms: int
