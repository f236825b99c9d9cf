"""What the doctor found, in words and as JSON.

Owns those texts and shapes. Never decides anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_tracker.rendering.text import JSON_VERSION, as_text, counted, place, safe

if TYPE_CHECKING:
    from agent_tracker.checks.doctor import Diagnosis

__all__ = ["doctor_json", "doctor_lines"]


def doctor_lines(found: Diagnosis) -> list[str]:
    """Return what was mended and what needs care, a line each; one line where all is well."""
    lines = [f"mended: {safe(done)}" for done in found.mended]
    is_several = len(found.repositories) > 1
    for problem in found.problems:
        where = f"{place(problem.repository)}: " if is_several and problem.repository else ""
        remedy = f"; to mend it: {safe(problem.remedy)}" if problem.remedy else ""
        lines.append(f"problem: {where}{problem.check}: {safe(problem.message)}{remedy}")
    fixable = sum(problem.is_fixable for problem in found.problems)
    if fixable and not found.mended:
        lines.append(f"{fixable} of {len(found.problems)} can be mended: add --fix")
    if not found.problems:
        lines.append(f"All is well {_where(found)}: {counted(len(found.checked), 'check')}.")
    return lines


def _where(found: Diagnosis) -> str:
    if not found.repositories:
        return "outside of any repository"
    if len(found.repositories) > 1:
        return f"in {len(found.repositories)} repositories"
    return f"in {place(found.repositories[0])}"


def doctor_json(found: Diagnosis) -> dict[str, object]:
    """Return what was found, for `doctor --json`: `repository` is null unless it is one that was looked at."""
    paths = [as_text(os.fsencode(path)) for path in found.repositories]
    problems = [
        {
            "check": problem.check,
            "message": safe(problem.message),
            "remedy": safe(problem.remedy) or None,
            "is_fixable": problem.is_fixable,
            "repository": as_text(os.fsencode(problem.repository)) or None,
        }
        for problem in found.problems
    ]
    return {
        "version": JSON_VERSION,
        "repository": paths[0] if len(paths) == 1 else None,
        "repositories": paths,
        "problems": problems,
        "checked": list(found.checked),
        "mended": [safe(done) for done in found.mended],
    }
