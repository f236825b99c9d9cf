"""A grade that was given, and the record of them, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_tracker.rendering.text import cells, chopped, iso, local, safe, show, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_tracker.verbs.grading import GradeGiven
    from agent_tracker.views.grades import GradeEntry

__all__ = ["given_json", "given_lines", "grades_json", "show_grades"]

INDENT = 14
"""Below an id, which people copy."""
WIDTH = 80
NS = 10**9


def plain(text: str) -> str:
    """Return a text for JSON: as it is, but for what UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def cut(text: str, width: int, *, is_safe: bool = False) -> str:
    """Return a safe text of at most so many columns of a terminal."""
    width = max(width, 4)
    begun = text[: width + 1]
    shown = begun if is_safe else safe(begun)
    return shown if cells(shown) <= width else chopped(shown, width - 3)[0] + "..."


def show_noted(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show a table whose last column is a note: on a terminal below its row, so that no id is ever cut."""
    if not os.isatty(1):
        show(table(headings, rows))
        return
    try:
        columns = os.get_terminal_size(1).columns or WIDTH
    except OSError:
        columns = WIDTH
    listed = [headings[:-1], *(row[:-1] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    for row, note in zip(listed, ["", *(row[-1] for row in rows)], strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        show(line[:columns], *([" " * INDENT + cut(note, columns - INDENT, is_safe=True)] if note else []))


def given_lines(given: GradeGiven) -> list[str]:
    """Return what became of a grade, a line each."""
    short = given.home.hex()[:10]
    moved = [f"{given.oid.hex()[:10]} became {short}"] if given.oid != given.home else []
    instead = f", in the place of {given.replaced}" if given.replaced else ""
    whose = "your grade" if given.side == "user" else "the agent's grade"
    after = f"{given.score_before} -> {given.score_after}"
    score = f"{given.agent}: CS {after}" if given.score_after is not None else f"waiting: {safe(given.trouble)}"
    return [*moved, f"{short} {cut(given.subject, 40)}: {given.grade} ({whose}{instead})", score]


def given_json(given: GradeGiven) -> dict[str, object]:
    """Return a grade that was given for `grade --json`."""
    return {
        "id": given.id,
        "commit_hash": given.home.hex(),
        "asked_commit_hash": given.oid.hex(),
        "agent_id": given.agent,
        "task_description": plain(given.subject),
        "by": given.side,
        "grade": given.grade,
        "replaced_grade": given.replaced or None,
        "note": plain(given.note) or None,
        "score_before": given.score_before,
        "score_after": given.score_after,
        "timestamp": iso(given.recorded_ns // NS),
        "waiting": plain(given.trouble) or None,
    }


def grades_json(entries: Iterable[GradeEntry]) -> list[dict[str, object]]:
    """Return the record for `grades --json`; `commit_hash` is where the graded work lives now."""
    return [
        {
            "id": entry.id,
            "commit_hash": entry.home.hex() or None,
            "graded_commit_hash": entry.oid.hex() or None,
            "session_id": plain(entry.session) or None,
            "agent_id": entry.agent or None,
            "task_description": plain(entry.subject),
            "by": entry.side,
            "grade": entry.grade,
            "note": plain(entry.note) or None,
            "forgotten": entry.is_forgotten,
            "in_force": entry.is_in_force,
            "replaced_by": entry.replaced_by or None,
            "timestamp": iso(entry.recorded_ns // NS),
        }
        for entry in entries
    ]


def show_grades(entries: Iterable[GradeEntry]) -> None:
    """Show the record as a table."""
    rows = [
        (
            entry.id,
            local(entry.recorded_ns // NS),
            entry.home.hex()[:10] if entry.home else f"session {cut(entry.session, 12)}",
            entry.side,
            entry.grade + _mark(entry),
            entry.agent or "nobody",
            "(forgotten)" if entry.is_forgotten else safe(entry.note),
        )
        for entry in entries
    ]
    show_noted(("ID", "WHEN", "COMMIT", "BY", "GRADE", "AGENT", "NOTE"), rows)


def _mark(entry: GradeEntry) -> str:
    if entry.is_in_force:
        return ""
    return " (replaced)" if entry.replaced_by else " (void)"
