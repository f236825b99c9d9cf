"""A bug that was reported or withdrawn, and the list of them, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.rendering.grading import NS, cut, plain, show_noted
from agent_tracker.rendering.text import iso, local, safe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.verbs.bugs import BugEntry, FixOffer, Reported, Withdrawn

__all__ = [
    "bugs_json",
    "offer_lines",
    "reported_json",
    "reported_lines",
    "show_bugs",
    "withdrawn_json",
    "withdrawn_lines",
]

_ORDINALS = {1: "st", 2: "nd", 3: "rd"}
_TEENS = range(11, 14)


def reported_lines(done: Reported) -> list[str]:
    """Return what became of a report, a line each."""
    lines = []
    if done.oid != done.home:
        lines.append(f"{done.oid.hex()[:10]} became {done.home.hex()[:10]}")
    where = f"in {done.home.hex()[:10]} {cut(done.subject, 40)}" if done.home else f"against {done.agent}"
    lines.append(f"Bug {done.id} {where}")
    if done.in_commit > 1:
        lines.append(f"It is the {_ordinal(done.in_commit)} reported in this commit: each counts.")
    lines.append(_points(done.agent, done.points_before, done.points_after, done.trouble))
    return [*lines, f"If it was none: agent-tracker bug --withdraw {done.id}"]


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in _TEENS else _ORDINALS.get(number % 10, "th")
    return f"{number}{ending}"


def _points(agent: str, before: int, after: int | None, trouble: str) -> str:
    return f"{agent}: SP {before} -> {after}" if after is not None else f"waiting: {safe(trouble)}"


def offer_lines(done: Reported) -> list[str]:
    """Return how the fixing commit can be made to name the bug's commit."""
    if done.offer is None:
        return []
    short = done.fixed_by.hex()[:10]
    if done.offer.command:
        return [f"To say so in {short}: {done.offer.command}"]
    return [f"{short} gets no trailer: {done.offer.why_not}"]


def _offer_json(offer: FixOffer | None) -> dict[str, object] | None:
    if offer is None:
        return None
    return {"trailer": offer.trailer, "command": offer.command or None, "why_not": offer.why_not or None}


def reported_json(done: Reported, amended: bytes) -> dict[str, object]:
    """Return a report for `bug --json`; `amended` is what the fixing commit became, empty where it is as it was."""
    return {
        "id": done.id,
        "commit_hash": done.home.hex() or None,
        "asked_commit_hash": done.oid.hex() or None,
        "task_description": plain(done.subject) or None,
        "agent_id": done.agent,
        "note": plain(done.note) or None,
        "fixed_by": (amended or done.fixed_by).hex() or None,
        "fixes_trailer": _offer_json(done.offer),
        "amended": bool(amended),
        "bugs_in_commit": done.in_commit or None,
        "skill_points_before": done.points_before,
        "skill_points_after": done.points_after,
        "halted": done.points_after == 0,
        "timestamp": iso(done.recorded_ns // NS),
        "waiting": plain(done.trouble) or None,
    }


def withdrawn_lines(done: Withdrawn) -> list[str]:
    """Return what became of a withdrawal, a line each."""
    lines = [f"Bug {done.id} is withdrawn"]
    return [*lines, _points(done.agent, done.points_before, done.points_after, done.trouble)] if done.agent else lines


def withdrawn_json(done: Withdrawn) -> dict[str, object]:
    """Return a withdrawal for `bug --withdraw --json`."""
    return {
        "id": done.id,
        "withdrawn": True,
        "agent_id": done.agent or None,
        "skill_points_before": done.points_before,
        "skill_points_after": done.points_after,
        "halted": done.points_after == 0,
        "timestamp": iso(done.recorded_ns // NS),
        "waiting": plain(done.trouble) or None,
    }


def bugs_json(entries: Iterable[BugEntry]) -> list[dict[str, object]]:
    """Return the bugs for `bugs --json`; `commit_hash` is where the work lives now in which it is."""
    return [
        {
            "id": entry.id,
            "commit_hash": entry.home.hex() or None,
            "reported_commit_hash": entry.oid.hex() or None,
            "task_description": plain(entry.subject) or None,
            "agent_id": entry.agent or None,
            "note": plain(entry.note) or None,
            "forgotten": entry.is_forgotten,
            "fixed_by": entry.fixed_by.hex() or None,
            "withdrawn": bool(entry.withdrawn_ns),
            "withdrawn_at": iso(entry.withdrawn_ns // NS) if entry.withdrawn_ns else None,
            "withdrawn_why": plain(entry.why) or None,
            "timestamp": iso(entry.recorded_ns // NS),
        }
        for entry in entries
    ]


def show_bugs(entries: Iterable[BugEntry]) -> None:
    """Show the bugs as a table."""
    rows = [
        (
            entry.id,
            local(entry.recorded_ns // NS),
            entry.home.hex()[:10] or "-",
            entry.fixed_by.hex()[:10] or "-",
            entry.agent or "nobody",
            _note(entry),
        )
        for entry in entries
    ]
    show_noted(("ID", "WHEN", "COMMIT", "FIXED BY", "AGENT", "NOTE"), rows)


def _note(entry: BugEntry) -> str:
    note = "(forgotten)" if entry.is_forgotten else safe(entry.note)
    if not entry.withdrawn_ns:
        return note
    why = f"withdrawn: {safe(entry.why)}" if entry.why and not entry.is_forgotten else "withdrawn"
    return f"({why}) {note}" if note else f"({why})"
