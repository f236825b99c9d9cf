"""Which backups stay, and what for: the newest, one a day, one a week, and the last of a database that is gone.

Owns that choice. Pure: it is given times and returns words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DAILY", "NEWEST", "OTHER", "WEEKLY", "reasons", "shares"]

NEWEST, DAILY, WEEKLY, OTHER = "newest", "daily", "weekly", "other"
MAX_OTHERS = 4
"""Of how many other databases one backup is held beyond the limit: those of the last that were begun anew."""

DAY_S, WEEK_S = 86_400, 7 * 86_400


def shares(limit: int) -> tuple[int, int, int]:
    """Return how many of so many backups are for the newest, for days and for weeks: of 24, 10, 8 and 6."""
    days, weeks = limit // 3, limit // 4
    return limit - days - weeks, days, weeks


def reasons(times: Sequence[int], limit: int, lineages: Sequence[str] = (), lineage: str = "") -> list[str]:
    """Return for each backup what it stays for: NEWEST, DAILY, WEEKLY, OTHER; empty where it goes.

    Where a database was lost and begun anew, the last backup of the one before stays as OTHER, whatever comes after.

    The first of a day or week is what stays of it, of the latest days and weeks that have any, so that what stays today
    is not thrown out tomorrow for a neighbour. What is left over then is for weeks further back, and for the newest.

    Args:
        times: When they were made (Unix seconds), the one made last first. Their order counts and not the clock, which
            may have been wrong: the one made last stays, whatever it says. Days and weeks are of UTC.
        limit: How many may stay, at least 2, those that are OTHER not counted.
        lineages: Of which database each is, all of the same if none are given.
        lineage: That of the database there is.
    """
    held = _last_of_others(lineages, lineage)
    ours = [index for index in range(len(times)) if index not in held]
    found = [OTHER] * len(times)
    for index, reason in zip(ours, _reasons([times[index] for index in ours], limit), strict=True):
        found[index] = reason
    return found


def _last_of_others(lineages: Sequence[str], lineage: str) -> set[int]:
    """Return the index of the one made last of each other database, of so many at most."""
    last: dict[str, int] = {}
    for index, each in enumerate(lineages):
        if each != lineage:
            last.setdefault(each, index)
    return set([*last.values()][:MAX_OTHERS])


def _reasons(times: Sequence[int], limit: int) -> list[str]:
    newest, days, weeks = shares(limit)
    first_of_days, first_of_weeks = _first_of_each(times, DAY_S), _first_of_each(times, WEEK_S)
    found = [""] * len(times)
    left = limit
    for reason, indexes in (
        (NEWEST, range(min(newest, len(times)))),
        (DAILY, first_of_days[:days]),
        (WEEKLY, first_of_weeks[:weeks]),
        (WEEKLY, first_of_weeks[weeks:]),
        (NEWEST, range(len(times))),
    ):
        for index in indexes:
            if left and not found[index]:
                found[index] = reason
                left -= 1
    return found


def _first_of_each(times: Sequence[int], length_s: int) -> list[int]:
    """Return the index of the first made of each stretch of that length that has any, the latest stretch first."""
    first: dict[int, int] = {}
    for index, time in enumerate(times):
        first[time // length_s] = index
    return list(first.values())
