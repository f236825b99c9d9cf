"""Which backups stay: never too many, always the newest, and one of each day and week for as long as there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.durability.thinning import DAILY, DAY_S, MAX_OTHERS, NEWEST, OTHER, WEEK_S, WEEKLY, reasons, shares
from facts import NOW, UNHURRIED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOUR_S = 3600


def simulated(times: Iterable[int], limit: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield what was ever made and what is there, the one made last first, after each of these was made."""
    made: list[int] = []
    there: list[int] = []
    for time in times:
        made.insert(0, time)
        there.insert(0, time)
        there = [each for each, reason in zip(there, reasons(there, limit), strict=True) if reason]
        yield made, there


def first_of_each(times: list[int], length_s: int) -> list[int]:
    """Return the earliest of each stretch that has any, the latest stretch first."""
    stretches = sorted({time // length_s for time in times}, reverse=True)
    return [min(time for time in times if time // length_s == stretch) for stretch in stretches]


GAPS = st.one_of(
    st.integers(0, 3),
    st.integers(HOUR_S, 3 * HOUR_S),
    st.integers(DAY_S // 2, 3 * DAY_S),
    st.integers(WEEK_S, 9 * WEEK_S),
)
"""Seconds between two: several in one second, steady work, now and then, holidays."""


@given(st.lists(GAPS, max_size=120), st.integers(2, 40))
@UNHURRIED
def test_one_of_each_day_and_week_stays(gaps: list[int], limit: int) -> None:
    """The first of each of the latest days and weeks that had any is there, though thinned one backup at a time."""
    times = [NOW + sum(gaps[:index]) for index in range(len(gaps))]
    newest, days, weeks = shares(limit)
    for made, there in simulated(times, limit):
        assert len(there) == min(len(made), limit)
        assert there[:newest] == made[:newest]
        assert set(first_of_each(made, DAY_S)[:days]) <= set(there)
        assert set(first_of_each(made, WEEK_S)[:weeks]) <= set(there)


@given(st.lists(st.integers(-400 * DAY_S, 400 * DAY_S), min_size=1, max_size=80), st.integers(2, 30))
@UNHURRIED
def test_a_wrong_clock_throws_out_nothing_new(jumps: list[int], limit: int) -> None:
    """Whatever time they say, never more than so many stay, and those made last do."""
    for made, there in simulated([NOW + jump for jump in jumps], limit):
        newest, _, _ = shares(limit)
        assert len(there) == min(len(made), limit)
        assert there[:newest] == made[:newest]


@given(st.lists(st.integers(NOW, NOW + 90 * DAY_S), max_size=60), st.integers(2, 30))
@UNHURRIED
def test_each_that_stays_has_its_reason(times: list[int], limit: int) -> None:
    """As many reasons as may stay, each of the three kinds; where there is room, all stay."""
    found = reasons(times, limit)
    assert len(found) == len(times)
    assert sum(map(bool, found)) == min(len(times), limit)
    assert set(found) <= {NEWEST, DAILY, WEEKLY, ""}


@given(st.integers(0, DAY_S), st.integers(8, 40))
@UNHURRIED
def test_what_is_kept_of_a_day_is_not_replaced(start: int, limit: int) -> None:
    """One that fell out of the newest and stayed is the same until it goes for good: none comes in between."""
    before: set[int] = set()
    for made, there in simulated(range(NOW + start, NOW + start + 40 * DAY_S, 5 * HOUR_S), limit):
        assert set(there) <= before | {made[0]}
        before = set(there)


@pytest.mark.parametrize("hour", [0, 9, 23])
def test_four_months_of_every_hour(hour: int) -> None:
    """There is one of yesterday, one of last week, and one of a month ago, at any hour of the day."""
    end = (NOW // DAY_S + 120) * DAY_S + hour * HOUR_S
    for _, there in simulated(range(NOW, end, HOUR_S), 24):
        ages = [there[0] - each for each in there]
    assert len(ages) == 24
    for low, high in ((HOUR_S, 12 * HOUR_S), (DAY_S, 2 * DAY_S), (5 * DAY_S, 8 * DAY_S), (28 * DAY_S, 49 * DAY_S)):
        assert any(low <= age <= high for age in ages), (low, high, ages)


def test_a_lower_limit_thins_at_once() -> None:
    """Forty to five: the newest, one more of the days, one of a week ago."""
    times = list(range(NOW + 40 * 6 * HOUR_S, NOW, -6 * HOUR_S))
    found = [(time, reason) for time, reason in zip(times, reasons(times, 5), strict=True) if reason]
    assert [reason for _, reason in found].count(NEWEST) == 3
    assert len(found) == 5


@given(st.lists(st.sampled_from("abcdefg"), max_size=80), st.integers(2, 30))
@UNHURRIED
def test_the_last_of_every_other_database_stays(lineages: list[str], limit: int) -> None:
    """Of the last few of them, beyond the limit; what else there is of them goes as it would."""
    found = reasons([NOW - index * HOUR_S for index in range(len(lineages))], limit, lineages, "a")
    others = list(dict.fromkeys(each for each in lineages if each != "a"))[:MAX_OTHERS]
    held = [index for index, reason in enumerate(found) if reason == OTHER]
    assert held == [lineages.index(each) for each in others]
    assert sum(map(bool, found)) == min(len(lineages), limit + len(held))
