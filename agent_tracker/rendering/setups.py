"""Setups compared, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from agent_tracker.records import HUMAN, is_agent
from agent_tracker.rendering.text import as_text, counted, iso, local, place, safe, show, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_tracker.views.setups import SetupUse

__all__ = ["setup_lines", "setups_json", "show_setups"]

SHOWN_CHANGES = 2
SHOWN_DIGITS = 12
"""Of a file's oid."""
UNKNOWN = "unknown"


def setups_json(uses: Iterable[SetupUse]) -> list[dict[str, object]]:
    """Return the setups for `setups --json`; the fingerprint is null where the setup is not known."""
    return [
        {
            "fingerprint": use.fingerprint or None,
            "project_path": as_text(use.project_path),
            "files": dict(use.files),
            "commits": use.commits,
            "first_commit_at": iso(use.first_at),
            "last_commit_at": iso(use.last_at),
            "agents": [
                {"agent_id": name if is_agent(name) else None, "claim": _claim(name), "commits": commits}
                for name, commits in use.agents
            ],
            "changes": use.change._asdict(),
            "grades": use.grades,
            "score": use.score,
            "bugs": use.bugs,
        }
        for use in uses
    ]


def _claim(name: str) -> str:
    if is_agent(name):
        return "agent"
    return HUMAN if name == HUMAN else "unclaimed"


def _who(name: str) -> str:
    return safe(name) if is_agent(name) else _claim(name)


def show_setups(uses: Sequence[SetupUse], *, with_project: bool) -> None:
    """Show the setups as a table; of what changed since the one before, `+` came, `-` went and `~` is another."""
    is_judged = any(use.grades or use.bugs for use in uses)
    judged = ["SCORE", "BUGS"] if is_judged else []
    headings = ["SETUP", "SINCE", "COMMITS", *judged, *(["PROJECT"] if with_project else []), "AGENTS", "CHANGES"]
    rows = [_row(use, is_judged=is_judged, with_project=with_project) for use in uses]
    show(table(headings, rows, right=("COMMITS", "SCORE", "BUGS")))


def _row(use: SetupUse, *, is_judged: bool, with_project: bool) -> list[str]:
    first, *others = use.agents
    more = f" +{len(others)}" if others else ""
    judged = [str(use.score), str(use.bugs)] if is_judged else []
    project = [safe(os.path.basename(as_text(use.project_path)))] if with_project else []
    since = time.strftime("%Y-%m-%d", time.localtime(use.first_at))
    changes = _changes(use)
    hidden = len(changes) - SHOWN_CHANGES
    shown = ", ".join(changes[:SHOWN_CHANGES]) + (f" and {hidden} more" if hidden > 0 else "")
    name = use.fingerprint or UNKNOWN
    return [name, since, str(use.commits), *judged, *project, _who(first[0]) + more, shown or "-"]


def _changes(use: SetupUse) -> list[str]:
    signs = (("+", use.change.added), ("-", use.change.removed), ("~", use.change.changed))
    return [sign + safe(path) for sign, paths in signs for path in paths]


def setup_lines(uses: Sequence[SetupUse]) -> list[str]:
    """Return one setup, a line each: what it consists of, and what was done with it in each project."""
    fingerprint, files = uses[0].fingerprint, uses[0].files
    width = max((len(safe(path)) for path, _ in files), default=0)
    lines = [f"{fingerprint}  ({counted(len(files), 'instruction file')})"]
    lines += [f"  {safe(path).ljust(width)}  {safe(oid[:SHOWN_DIGITS])}" for path, oid in files]
    for use in uses:
        agents = ", ".join(f"{_who(name)} {commits}" for name, commits in use.agents)
        lines += [
            "",
            place(os.fsdecode(use.project_path)),
            f"  commits  {use.commits}, from {local(use.first_at)} to {local(use.last_at)}",
            f"  made by  {agents}",
        ]
        if use.grades or use.bugs:
            lines.append(f"  judged   {counted(use.grades, 'grade')}, {use.score} in all; {counted(use.bugs, 'bug')}")
        lines += [f"  {'changes' if index == 0 else '':7}  {change}" for index, change in enumerate(_changes(use))]
    return lines
