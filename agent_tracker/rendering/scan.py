"""What a scan found, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_tracker.rendering.text import counted, iso, number, place, safe, show, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.census import FoundAgent
    from agent_tracker.verbs.scan import Outcome

__all__ = ["scan_json", "scan_line", "show_found"]

NOBODY = "unclaimed"


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
    """Show the agents as a table, what is nobody's last, and what that means."""
    headings = ["AGENT", "NAME", "MODEL", "COMMITS", "SHARE", "FIXES", "REVERTED", "FIRST", "LAST", "KNOWN BY"]
    right = ("COMMITS", "SHARE", "FIXES", "REVERTED")
    show(table(headings, [_row(agent) for agent in agents], right=right))
    if any(not agent.id for agent in agents):
        show("Unclaimed: no mark says who made them. That is not to say that people did: many agents leave none.")


def _row(agent: FoundAgent) -> list[str]:
    sources = ", ".join(f"{source} {count}" for source, count in agent.sources)
    return [
        safe(agent.id) or NOBODY,
        safe(agent.name) or "-",
        safe(agent.model) or "-",
        str(agent.commits),
        f"{number(agent.share):.10g}" if agent.share % 10**6 == 0 else f"{agent.share / 10**6:.1f}",
        str(agent.fixes),
        str(agent.reverted) if agent.id else "-",
        _day(agent.first_at),
        _day(agent.last_at),
        safe(sources) or "-",
    ]


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
