"""What a flush has to say: words for what became of agents in it.

Owns the wording. Never prints; the command that flushed does, once.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from agent_tracker.escaping import escape

if TYPE_CHECKING:
    from agent_tracker.context import FlushReport, Migrated

__all__ = ["merged_lines", "milestone_lines"]

WORDS = {
    "level": "{agent} has {points} SP now",
    "halted": "{agent} is halted: its commits are refused until agent-tracker agents resume {agent}",
    "resumed": "{agent} is no longer halted: it has {points} SP",
}


def milestone_lines(report: FlushReport) -> list[str]:
    """Return what became of agents in a flush, a line each: to be said once, on stderr, by the command that flushed."""
    applied = [report.applied, *(each.applied for each in report.migrated if each.applied)]
    became = [
        WORDS[each.what].format(agent=escape(each.agent), points=each.skill_points)
        for each in chain.from_iterable(part.milestones for part in applied)
    ]
    halted = [
        f"{count} {'commit' if count == 1 else 'commits'} by {escape(agent)} while it is halted"
        for agent, count in report.applied.while_halted
    ]
    return [f"agent-tracker: {line}" for line in became + halted]


def merged_lines(report: FlushReport) -> list[str]:
    """Return which databases of the OpenCode plugin a flush merged, a line each."""
    return [f"agent-tracker: {_merged(each)}" for each in report.migrated]


def _merged(done: Migrated) -> str:
    total = done.total
    line = f"merged {total.migrated} {'entry' if total.migrated == 1 else 'entries'} of {escape(done.path)}"
    if not total.unreadable:
        return line
    return f"{line}, {total.unreadable} cannot be read: agent-tracker migrate --dry-run shows which"
