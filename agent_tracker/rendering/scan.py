"""What a scan found, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_tracker.records import MICRO
from agent_tracker.rendering.layout import terminal
from agent_tracker.rendering.text import counted, iso, number, place, safe, show, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.census import FoundAgent
    from agent_tracker.verbs.scan import Outcome

__all__ = ["scan_json", "scan_line", "show_found"]

NOBODY = "unclaimed"
WIDE = 130
"""How many columns a terminal needs for the whole table."""

NARROW = ("NAME", "MODEL", "COMMITS", "FIXES", "REVERTED", "KNOWN BY")
NUMBERS = ("COMMITS", "SHARE", "FIXES", "REVERTED")


def scan_line(outcome: Outcome, *, is_dry_run: bool) -> list[str]:
    """Return what was found in one repository, and what could not be read there, as lines."""
    found = outcome.scanned
    where = place(outcome.path)
    if found is None:
        return [f"{where}: {safe(outcome.trouble.message if outcome.trouble else '')}"]
    gaps = [f"note: {where}: {safe(gap)}" for gap in found.gaps]
    if not found.listed:
        return [f"Nothing new in {where}.", *gaps]
    known = f"; {found.known} were known" if found.known else ""
    if found.copies:
        known += f"; {found.copies} hold work that others hold too, and do not count again"
    rate = f", {found.listed / outcome.seconds:,.0f} a second" if outcome.seconds > 1 else ""
    verb = "Would add" if is_dry_run else "Added"
    line = (
        f"{verb} {counted(found.stored, 'commit')} of {where}, {found.marked} of them with marks of agents{known}"
        f" ({outcome.seconds:.1f} s{rate})."
    )
    if found.is_marked_only:
        gaps.append(f"note: {where}: so long a history would fill the database: commits without a mark are left out")
    return [line, *gaps]


def show_found(agents: Sequence[FoundAgent]) -> None:
    """Show the agents as a table, what is nobody's last, and what that means; a narrow terminal gets fewer columns."""
    rows = [_row(agent) for agent in agents]
    if 0 < terminal(is_plain=True).width < WIDE:
        named = [row if agent.id else row | {"NAME": NOBODY} for row, agent in zip(rows, agents, strict=True)]
        rows = [{heading: row[heading] for heading in NARROW} for row in named]
    headings = list(rows[0]) if rows else []
    show(table(headings, [list(row.values()) for row in rows], right=NUMBERS))
    if any(not agent.id for agent in agents):
        show("Unclaimed: no mark says who made them. That is not to say that people did: many agents leave none.")


def _row(agent: FoundAgent) -> dict[str, str]:
    return {
        "AGENT": safe(agent.id) or NOBODY,
        "NAME": safe(agent.name) or "-",
        "MODEL": safe(agent.model) or "-",
        "COMMITS": str(agent.commits),
        "SHARE": f"{agent.share / MICRO:.1f}".removesuffix(".0"),
        "FIXES": str(agent.fixes),
        "REVERTED": str(agent.reverted) if agent.id else "-",
        "FIRST": _day(agent.first_at),
        "LAST": _day(agent.last_at),
        "KNOWN BY": ", ".join(f"{source} {count}" for source, count in agent.sources) or "-",
    }


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def scan_json(outcomes: Sequence[Outcome], agents: Sequence[FoundAgent], *, is_dry_run: bool) -> dict[str, object]:
    """Return what was found, for `scan --json`."""
    return {
        "dry_run": is_dry_run,
        "repositories": [_repository(outcome) for outcome in outcomes],
        "agents": [_agent(agent) for agent in agents],
    }


def _repository(outcome: Outcome) -> dict[str, object]:
    found = outcome.scanned
    shown: dict[str, object] = {
        "project_path": safe(outcome.path),
        "error": safe(outcome.trouble.message) if outcome.trouble else None,
    }
    if found:
        shown |= {
            "commits_read": found.listed,
            "commits_known": found.known,
            "commits_new": found.new,
            "commits_stored": found.stored,
            "commits_marked": found.marked,
            "commits_copied": found.copies,
            "marked_only": found.is_marked_only,
            "gaps": [safe(gap) for gap in found.gaps],
        }
    return shown


def _agent(agent: FoundAgent) -> dict[str, object]:
    return {
        "agent_id": agent.id or None,
        "name": safe(agent.name) or None,
        "model": safe(agent.model) or None,
        "commits": agent.commits,
        "share": number(agent.share),
        "fixes": agent.fixes,
        "reverted": agent.reverted if agent.id else None,
        "first_commit_at": iso(agent.first_at),
        "last_commit_at": iso(agent.last_at),
        "sources": dict(agent.sources),
    }
