"""Experience and levels: the fold, its thresholds, and the words for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.records import MICRO
from agent_tracker.rules import Timeline, trust_tier
from agent_tracker.xp import NEW_STANDING, Career, boundaries, ledger_of, standing
from facts import UNHURRIED, earned_standing


def test_a_new_agent_has_one_skill_point_and_a_neutral_score() -> None:
    """SP 1, XP 0, CS 60, nothing done yet."""
    assert NEW_STANDING == (1, 0, 60, 0, 0, 0)


def test_a_commit_is_worth_five() -> None:
    """In millionths, so that shares add up."""
    assert Timeline().commit_micro(MICRO, 0) == 5_000_000


@pytest.mark.parametrize(
    ("earned", "skill_points", "left"),
    [
        (0, 1, 0),
        (99, 1, 99),
        (100, 2, 0),
        (105, 2, 5),
        (299, 2, 199),
        (300, 3, 0),
        (600, 4, 0),
        (4500, 10, 0),
    ],
)
def test_a_skill_point_costs_a_hundred_times_those_there_are(earned: int, skill_points: int, left: int) -> None:
    """100, then 200, then 300 more; what is beyond is kept."""
    found = earned_standing(earned * MICRO, 7)
    assert (found.skill_points, found.experience_micro, found.total_commits) == (skill_points, left * MICRO, 7)


def test_a_millionth_short_is_short() -> None:
    """Nothing is rounded up."""
    assert earned_standing(100 * MICRO - 1, 1).skill_points == 1


@UNHURRIED
@given(st.integers(0, 10**13))
def test_nothing_earned_is_lost(earned: int) -> None:
    """Skill points and what is left make up all that was earned."""
    found = earned_standing(earned, 0)
    spent = sum(100 * MICRO * level for level in range(1, found.skill_points))
    assert spent + found.experience_micro == earned == found.earned_micro
    assert found.experience_micro < 100 * MICRO * found.skill_points


def test_many_bugs_are_gone_through_once() -> None:
    """None is looked for among the others, of which there may be tens of thousands."""
    looks = 0

    class Moment(int):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal looks
            looks += 1
            return int(self) == other

        __hash__ = int.__hash__

    bugs = [Moment(n // 2) for n in range(2, 2002)]
    career = Career(0, bugs=bugs)
    moments = boundaries(career, Timeline())
    found = standing(career, ledger_of(moments, [(0, 10**6 * MICRO)]), 0, Timeline())
    assert (found.total_bugs, found.skill_points) == (2000, 0)
    assert looks < 20 * len(bugs)


@pytest.mark.parametrize(
    ("skill_points", "tier"),
    [
        (0, "probation"),
        (1, "probation"),
        (2, "junior"),
        (3, "junior"),
        (4, "established"),
        (6, "established"),
        (7, "senior"),
        (9, "senior"),
        (10, "expert"),
        (99, "expert"),
    ],
)
def test_the_trust_tier_follows_from_skill_points(skill_points: int, tier: str) -> None:
    """The table of the standing rules."""
    assert trust_tier(skill_points) == tier
