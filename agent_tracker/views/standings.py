"""Agents compared: every agent with its standing, the most experienced first.

Owns that view. Pure over `Facts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_tracker.records import Agent
    from agent_tracker.views.base import Facts

__all__ = ["standings"]


def standings(facts: Facts) -> list[Agent]:
    """Return the agents, those who earned most first, then by id."""
    return sorted(facts.agents(), key=lambda agent: (-agent.standing.earned_micro, agent.id))
