"""Retrospectives and activities, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.rendering.text import iso, local, safe, show, table
from agent_tracker.rules import DEFAULT_RULES, grade_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_tracker.views.journal import ActivityEntry, RetroEntry

__all__ = [
    "activities_json",
    "activity_json",
    "activity_lines",
    "retro_json",
    "retro_lines",
    "retros_json",
    "show_activities",
    "show_retros",
]

NS = 10**9
FORGOTTEN = "(forgotten)"
SHORT_OID = 12
SHORTER_OID = 8
DATE = len("2026-11-21")
MAX_CELL = 200


def text_json(text: str) -> str:
    """Return a text for JSON: as it is, but for what is no character."""
    return text.encode("utf-8", "backslashreplace").decode()


def retro_json(entry: RetroEntry, paths: Mapping[str, str]) -> dict[str, object]:
    """Return one retrospective for `retro show --json`; `paths` are the projects' by id."""
    fact = entry.fact
    return {
        "id": fact.id,
        "agent_id": fact.agent or None,
        "commit_hash": entry.home.hex() or None,
        "original_commit_hash": fact.oid.hex() or None,
        "session_id": text_json(fact.session) or None,
        "project_path": paths.get(fact.project),
        "task_description": text_json(fact.task) or None,
        "agent_grade": fact.agent_grade or None,
        "user_grade": fact.user_grade or None,
        "score_before": entry.score_before,
        "score_after": entry.score_after,
        "agent_note": text_json(fact.agent_note) or None,
        "user_note": text_json(fact.user_note) or None,
        "timestamp": iso(fact.recorded_ns // NS),
        "forgotten": entry.is_forgotten,
    }


def retros_json(entries: Iterable[RetroEntry], paths: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the retrospectives for `retro list --json`."""
    return [retro_json(entry, paths) for entry in entries]


def activity_json(entry: ActivityEntry, paths: Mapping[str, str]) -> dict[str, object]:
    """Return one activity for `activity show --json`; `paths` are the projects' by id."""
    fact = entry.fact
    return {
        "id": fact.id,
        "agent_id": fact.agent or None,
        "commit_hash": fact.oid.hex() or None,
        "session_id": text_json(fact.session) or None,
        "project_path": paths.get(fact.project),
        "task_description": text_json(fact.task) or None,
        "actions": text_json(fact.actions) or None,
        "outcome": text_json(fact.outcome) or None,
        "decisions": text_json(fact.decisions) or None,
        "timestamp": iso(fact.recorded_ns // NS),
        "forgotten": entry.is_forgotten,
    }


def activities_json(entries: Iterable[ActivityEntry], paths: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the activities for `activity list --json`."""
    return [activity_json(entry, paths) for entry in entries]


def show_retros(entries: Iterable[RetroEntry]) -> None:
    """Show the retrospectives, a row each; the grades are the agent's and the user's, by what they add by default."""
    rows = [
        (
            entry.fact.id,
            local(entry.fact.recorded_ns // NS)[:DATE],
            safe(entry.fact.agent),
            entry.home.hex()[:SHORTER_OID] or _cell(entry.fact.session),
            f"{_grade(entry.fact.agent_grade)}/{_grade(entry.fact.user_grade)}",
            _said(entry.is_forgotten, entry.fact.task, entry.fact.user_note, entry.fact.agent_note),
        )
        for entry in entries
    ]
    show(table(("ID", "WHEN", "AGENT", "ABOUT", "GRADES", "TASK"), rows))


def _grade(word: str) -> str:
    return f"{grade_value(word, DEFAULT_RULES):+d}" if word else "."


def show_activities(entries: Iterable[ActivityEntry]) -> None:
    """Show the activities, a row each."""
    rows = [
        (
            entry.fact.id,
            local(entry.fact.recorded_ns // NS)[:DATE],
            safe(entry.fact.agent),
            _said(entry.is_forgotten, entry.fact.task, entry.fact.actions, entry.fact.outcome, entry.fact.decisions),
        )
        for entry in entries
    ]
    show(table(("ID", "WHEN", "AGENT", "TASK"), rows))


def _said(is_forgotten: bool, *texts: str) -> str:  # noqa: FBT001 -- a field of the entry
    if is_forgotten:
        return FORGOTTEN
    return _cell(next((text for text in texts if text.strip()), ""))


def _cell(text: str) -> str:
    """Return the first line of a text, safe, and not longer than a cell may be."""
    line = next((line for line in text.split("\n") if line.strip()), "").strip()
    return safe(line if len(line) <= MAX_CELL else line[:MAX_CELL] + "...")


def retro_lines(entry: RetroEntry) -> list[str]:
    """Return one retrospective, a line each."""
    fact = entry.fact
    moved = f", became {entry.home.hex()[:SHORT_OID]}" if entry.home != fact.oid else ""
    about = f"commit {fact.oid.hex()[:SHORT_OID]}{moved}" if fact.oid else f"session {safe(fact.session)}"
    grades = [f"{side} {word}" for side, word in (("agent", fact.agent_grade), ("user", fact.user_grade)) if word]
    return [
        f"retrospective {fact.id}  {local(fact.recorded_ns // NS)}",
        f"  agent   {safe(fact.agent)}",
        f"  about   {about}",
        f"  grades  {', '.join(grades) or '-'}",
        f"  score   {entry.score_before} -> {entry.score_after} CS",
        *_sections(
            entry.is_forgotten, {"task": fact.task, "agent's note": fact.agent_note, "user's note": fact.user_note}
        ),
    ]


def activity_lines(entry: ActivityEntry) -> list[str]:
    """Return one activity, a line each."""
    fact = entry.fact
    lines = [f"activity {fact.id}  {local(fact.recorded_ns // NS)}", f"  agent    {safe(fact.agent)}"]
    if fact.oid:
        lines.append(f"  commit   {fact.oid.hex()[:SHORT_OID]}")
    if fact.session:
        lines.append(f"  session  {safe(fact.session)}")
    texts = {"task": fact.task, "actions": fact.actions, "outcome": fact.outcome, "decisions": fact.decisions}
    return [*lines, *_sections(entry.is_forgotten, texts)]


def _sections(is_forgotten: bool, texts: Mapping[str, str]) -> list[str]:  # noqa: FBT001 -- a field of the entry
    if is_forgotten:
        return ["", f"  {FORGOTTEN}"]
    lines = []
    for name, text in texts.items():
        if text:
            lines += ["", f"{name}:", *(f"  {safe(line)}".rstrip() for line in text.split("\n"))]
    return lines
