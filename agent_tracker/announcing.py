"""What a flush has to say: words for what became of agents in it.

Owns the wording. Never prints; the command that flushed does, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.escaping import escape

if TYPE_CHECKING:
    from agent_tracker.context import FlushReport

__all__ = ["milestone_lines"]

WORDS = {
    "level": "{agent} has {points} SP now",
    "halted": "{agent} is halted: its commits are refused until agent-tracker agents resume {agent}",
    "resumed": "{agent} is no longer halted: it has {points} SP",
}


def milestone_lines(report: FlushReport) -> list[str]:
    """Return what became of agents in a flush, a line each: to be said once, on stderr, by the command that flushed."""
    became = [
        WORDS[each.what].format(agent=escape(each.agent), points=each.skill_points)
        for each in report.applied.milestones
    ]
    halted = [
        f"{count} {'commit' if count == 1 else 'commits'} by {escape(agent)} while it is halted"
        for agent, count in report.applied.while_halted
    ]
    return [f"agent-tracker: {line}" for line in became + halted]
