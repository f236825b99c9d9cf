"""Which backups stay: the newest, then one a day, then one a week.

Owns that choice. Pure: it is given times and returns times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["kept"]

DAY_S, WEEK_S = 86_400, 7 * 86_400
DAYS = 7


def kept(times: Iterable[int], limit: int) -> set[int]:
    """Return which of these stay.

    Half of the limit are the newest; then the first of each day, for a week's worth of days that have any; then the
    first of each week. Days and weeks are of UTC, so that what stays today is not thrown out tomorrow for a neighbour.

    Args:
        times: When backups were made (Unix seconds); more than one may be of one second.
        limit: How many may stay, at least 2.
    """
    ordered = sorted(set(times), reverse=True)
    chosen = set(ordered[: max(limit // 2, 1)])
    days = _first_of_each(ordered, DAY_S)
    for time in days[:DAYS]:
        if len(chosen) < limit:
            chosen.add(time)
    for time in _first_of_each(ordered, WEEK_S):
        if len(chosen) < limit:
            chosen.add(time)
    for time in ordered:
        if len(chosen) < limit:
            chosen.add(time)
    return chosen


def _first_of_each(ordered: list[int], length_s: int) -> list[int]:
    """Return the earliest time of each stretch of that length that has any, the latest stretch first."""
    first: dict[int, int] = {}
    for time in ordered:
        first[time // length_s] = time
    return list(first.values())
