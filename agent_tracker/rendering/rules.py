"""The rules, and what deriving everything under them changes, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from agent_tracker.rendering.text import counted, iso, local, number, safe, show, table, xp

if TYPE_CHECKING:
    from agent_tracker.records import Standing
    from agent_tracker.verbs.rules import Rederivation
    from agent_tracker.views.rules import RuleRow, RulesHistory, Version

__all__ = ["rederivation_json", "rules_json", "show_rederivation", "show_rules"]

NS = 10**9
NAME_WIDTH, VALUE_WIDTH = 18, 7
MIN_WIDTH, PIPE_WIDTH = 60, 100


def rules_json(history: RulesHistory) -> dict[str, object]:
    """Return the rules for `rules --json`; `since` is null where a value holds for everything that happened."""
    return {
        "in_force": [
            {
                "name": row.name,
                "value": row.value,
                "default": row.default,
                "since": iso(row.since_ns // NS) if row.since_ns else None,
                "meaning": row.meaning,
                "source": row.source,
            }
            for row in history.rules
        ],
        "versions": [
            {
                "timestamp": iso(version.recorded_ns // NS),
                "for_all": version.is_for_all,
                "changes": [change._asdict() for change in version.changes],
            }
            for version in history.versions
        ],
    }


def show_rules(history: RulesHistory) -> None:
    """Show the rules by what they are about, and the changes of them, oldest first."""
    width = max(MIN_WIDTH, shutil.get_terminal_size().columns) if os.isatty(1) else PIPE_WIDTH
    for source, rows in groupby(history.rules, key=lambda row: row.source):
        show(
            f"{source.rpartition(': ')[2].capitalize()}:",
            *(line for row in rows for line in _rule_lines(row, width)),
            "",
        )
    lines = [line for version in history.versions if version.recorded_ns for line in _version_lines(version)]
    if lines:
        show("Changes:", *lines, "")
    if any(row.since_ns for row in history.rules):
        show("What happened before a change keeps what it earned.", "For that as well: agent-tracker rederive")


def _rule_lines(row: RuleRow, width: int) -> list[str]:
    notes = [f"default {row.default}"] if row.value != row.default else []
    if row.since_ns:
        notes.append(f"since {local(row.since_ns // NS)}")
    meaning = row.meaning + (f" ({', '.join(notes)})" if notes else "")
    name = f"  {row.name.ljust(NAME_WIDTH)} {row.value:>{VALUE_WIDTH}}  "
    return textwrap.wrap(meaning, width, initial_indent=name, subsequent_indent=" " * len(name))


def _version_lines(version: Version) -> list[str]:
    scope = "for all that happened" if version.is_for_all else "from then on"
    changes = [f"    {change.name} {change.before} -> {change.after}" for change in version.changes]
    return [f"  {local(version.recorded_ns // NS)}  {scope}", *changes]


def rederivation_json(done: Rederivation, *, is_dry_run: bool) -> dict[str, object]:
    """Return what deriving everything anew changes for `rederive --json`."""
    return {
        "dry_run": is_dry_run,
        "rules_change": done.is_rules_change,
        "changed": [
            {"agent_id": shift.agent, "before": _standing_json(shift.before), "after": _standing_json(shift.after)}
            for shift in done.shifts
        ],
        "unchanged": done.unchanged,
    }


def _standing_json(standing: Standing) -> dict[str, object]:
    return {
        "skill_points": standing.skill_points,
        "experience_points": number(standing.experience_micro),
        "experience_earned": number(standing.earned_micro),
        "communication_score": standing.communication_score,
        "total_commits": standing.total_commits,
        "total_bugs": standing.total_bugs,
    }


def show_rederivation(done: Rederivation, *, is_dry_run: bool) -> None:
    """Show the standings that change, each before and after, and how many do not."""
    if done.shifts:
        rows = [
            (safe(shift.agent), *map(_moved, _figures(shift.before), _figures(shift.after))) for shift in done.shifts
        ]
        headings = ("AGENT", "SP", "XP", "CS", "COMMITS", "BUGS")
        show(table(headings, rows, right=headings[1:]))
    would = "would change" if is_dry_run else "changed"
    show(f"{counted(len(done.shifts), 'agent')} {would}, {done.unchanged} unchanged.")


def _figures(standing: Standing) -> tuple[str, ...]:
    return (
        str(standing.skill_points),
        xp(standing.experience_micro),
        str(standing.communication_score),
        str(standing.total_commits),
        str(standing.total_bugs),
    )


def _moved(before: str, after: str) -> str:
    return after if before == after else f"{before} -> {after}"
