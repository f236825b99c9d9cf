"""Experience and levels from facts.

Owns the rules' table and the fold. Pure; amounts are integers in millionths, so that shares add up exactly in any
order.
"""

from __future__ import annotations

from agent_tracker.records import MICRO, Standing

__all__ = ["COMMIT_MICRO", "NEW_STANDING", "earned_micro", "standing", "trust_tier"]

COMMIT_MICRO = 5 * MICRO
"""Experience for a commit, given by share. Source: DESIGN, standing rules."""

LEVEL_MICRO = 100 * MICRO
"""Experience times skill points at which the next skill point comes; what is beyond is kept."""

NEW_SKILL_POINTS = 1
NEW_COMMUNICATION_SCORE = 60
TIERS = ((10, "expert"), (7, "senior"), (4, "established"), (2, "junior"), (0, "probation"))


def earned_micro(share: int) -> int:
    """Return the experience for a share (in millionths) of a commit."""
    return share * COMMIT_MICRO // MICRO


def standing(total_micro: int, total_commits: int) -> Standing:
    """Return the standing of an agent that has earned so much experience in all, with so many commits."""
    skill_points, rest = NEW_SKILL_POINTS, total_micro
    while rest >= LEVEL_MICRO * skill_points:
        rest -= LEVEL_MICRO * skill_points
        skill_points += 1
    return Standing(skill_points, rest, NEW_COMMUNICATION_SCORE, total_commits, 0, total_micro)


def trust_tier(skill_points: int) -> str:
    """Return the word for so many skill points."""
    return next(word for least, word in TIERS if skill_points >= least)


NEW_STANDING = standing(0, 0)
"""What an agent starts with, and what is shown for one that nobody knows."""
