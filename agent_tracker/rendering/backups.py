"""Backups, and what a restore would change, in words and as JSON.

Owns those shapes alone.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from agent_tracker.mounts import readable_size
from agent_tracker.rendering.text import counted, iso, local, number, place, safe, table, xp

if TYPE_CHECKING:
    from agent_tracker.durability.backups import Made
    from agent_tracker.records import Agent
    from agent_tracker.verbs.backups import Backup, Backups, Change, Restored, Standings

__all__ = [
    "backups_json",
    "backups_parts",
    "change_json",
    "change_parts",
    "made_json",
    "made_lines",
    "restored_json",
    "restored_lines",
]

_AGES = ((7 * 86_400, "week"), (86_400, "day"), (3600, "hour"), (60, "minute"))
_MOST_AGENTS = 30
_OTHER = "other"


# -- one that was made


def made_lines(made: Made, size: int, *, is_copy: bool) -> list[str]:
    """Return what was made in words."""
    backup = made.backup
    what = f"{counted(backup.commits, 'commit')}, {counted(backup.agents, 'agent')}, {readable_size(size)}"
    verb = "Copied" if is_copy else "Made a backup of"
    lines = [f"{verb} {what}, and read all of it:", f"  {place(backup.path)}"]
    if made.removed:
        lines.append(f"{counted(len(made.removed), 'older backup')} made room for it.")
    return lines


def made_json(made: Made, size: int, now: int) -> dict[str, object]:
    """Return what was made as JSON."""
    backup = made.backup
    return {
        "path": safe(backup.path),
        "made_at": iso(backup.made_at or now),
        "bytes": size,
        "commits": backup.commits,
        "agents": backup.agents,
        "records": backup.records,
        "removed": [safe(path) for path in made.removed],
    }


# -- the list


def backups_parts(found: Backups, now: int, *, is_checked: bool) -> list[Any]:
    """Return the list, and what else there is to say of it."""
    parts: list[Any] = []
    if found.backups:
        headings = ["WHEN (UTC)", "AGE", "SIZE", "COMMITS", "AGENTS", "STAYS AS", *(["CHECK"] if is_checked else [])]
        rows = [_row(backup, now, is_checked=is_checked) for backup in found.backups]
        parts.append(table(headings, rows, right=("SIZE", "COMMITS", "AGENTS")))
        parts += [
            f"damaged: {safe(backup.path)}: {safe(backup.problems[0])}" for backup in found.backups if backup.problems
        ]
    else:
        parts.append("There are no backups yet.")
    parts += _notes(found)
    parts += [f"At most {found.limit} stay, in", f"  {place(found.directory)}", _due(found, now)]
    if found.said_at:
        parts.append(f"Last, {local(found.said_at)}: {safe(found.said)}")
    return parts


def _notes(found: Backups) -> list[str]:
    """Return what is to be said of those of another database, and of those that do not count."""
    notes = [
        f"{_when(backup)} is of another database, begun anew since: agent-tracker restore {safe(backup.name)}"
        for backup in found.backups
        if backup.reason == _OTHER
    ]
    flaws = {backup.flaw for backup in found.backups}
    if "no manifest" in flaws:
        notes.append("What has no manifest counts for nothing until the next backup checked it.")
    if "damaged" in flaws:
        notes.append("What failed a check is kept, and counts for nothing; delete it when you like.")
    return notes


def _when(backup: Backup) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(backup.made_at))


def _row(backup: Backup, now: int, *, is_checked: bool) -> list[str]:
    number = backup.name.partition("Z-")[2] if not backup.schema else ""
    when = _when(backup) + (f"-{number}" if number else "")
    counts = ["-" if count is None else str(count) for count in (backup.commits, backup.agents)]
    stays = f"schema {safe(backup.schema)}" if backup.schema else backup.reason or backup.flaw or "-"
    check = [] if not is_checked else ["damaged" if backup.problems else "passes"]
    return [when, _age(now - backup.made_at), readable_size(backup.size), *counts, stays, *check]


def _age(seconds: int) -> str:
    if seconds < 0:
        return "-"
    return next((counted(seconds // unit, word) for unit, word in _AGES if seconds >= unit), "now")


def _due(found: Backups, now: int) -> str:
    if not found.interval_s:
        return "None is made by itself (backupInterval is 0)."
    return f"The next one is due {local(found.due_at) if found.due_at > now else 'with the next flush'}."


def backups_json(found: Backups) -> dict[str, object]:
    """Return the list as JSON."""
    return {
        "directory": safe(found.directory),
        "max_backups": found.limit,
        "interval_s": found.interval_s,
        "due_at": iso(found.due_at) if found.due_at else None,
        "last": {"at": iso(found.said_at), "outcome": safe(found.said)} if found.said_at else None,
        "list": [_backup_json(backup) for backup in found.backups],
    }


def _backup_json(backup: Backup) -> dict[str, object]:
    return {
        "name": safe(backup.name),
        "path": safe(backup.path),
        "made_at": iso(backup.made_at),
        "bytes": backup.size,
        "commits": backup.commits,
        "agents": backup.agents,
        "records": backup.records,
        "stays_as": backup.reason or None,
        "schema": safe(backup.schema) or None,
        "flaw": backup.flaw or None,
        "passes": None if backup.problems is None else not backup.problems,
        "problems": [safe(problem) for problem in backup.problems or ()],
    }


# -- a restore


def change_parts(change: Change) -> list[Any]:
    """Return what a restore would change."""
    parts: list[Any] = [f"The backup of {local(change.made_at)} passes:", f"  {place(change.source)}"]
    if change.problem:
        parts.append(f"What it would change is not known: {safe(change.problem)}")
    elif not change.exists:
        parts.append("There is no database now.")
    else:
        parts.append(f"Only in the present database: {_kinds(change.gone)}")
        parts.append(f"Only in the backup: {_kinds(change.back)}")
    if change.agents:
        rows = [_agent_row(pair) for pair in change.agents[:_MOST_AGENTS]]
        parts.append(table(["AGENT", "LEVEL", "XP", "COMMITS"], rows))
        if len(change.agents) > _MOST_AGENTS:
            parts.append(f"... and {counted(len(change.agents) - _MOST_AGENTS, 'more agent')}: --json shows all.")
    if change.segments:
        records = counted(change.records, "record")
        parts.append(f"What came since comes back with the next flush: {records} in the spools")
        parts.append("that the backup does not hold, and what git's reflogs say.")
    else:
        parts.append("The spools keep nothing newer; the next flush reads git's reflogs again.")
    return parts


def _kinds(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing"


def _agent_row(pair: Standings) -> list[str]:
    return [safe(pair.id), *(_pair(pair, show) for show in (_level, _xp, _commits))]


def _pair(pair: Standings, show: object) -> str:
    before, after = ("-" if agent is None else show(agent) for agent in (pair.now, pair.then))  # type: ignore[operator]
    return before if before == after else f"{before} -> {after}"


def _level(agent: Agent) -> str:
    return f"{agent.standing.skill_points} SP"


def _xp(agent: Agent) -> str:
    return xp(agent.standing.earned_micro)


def _commits(agent: Agent) -> str:
    return str(agent.standing.total_commits)


def change_json(change: Change) -> dict[str, object]:
    """Return what a restore would change as JSON."""
    return {
        "database": safe(change.database),
        "source": safe(change.source),
        "made_at": iso(change.made_at),
        "present": None if change.problem else change.exists,
        "problem": safe(change.problem) or None,
        "only_in_database": change.gone,
        "only_in_backup": change.back,
        "agents": [
            {"agent_id": safe(pair.id), "before": _agent_json(pair.now), "after": _agent_json(pair.then)}
            for pair in change.agents
        ],
        "segments": change.segments,
        "records": change.records,
    }


def _agent_json(agent: Agent | None) -> dict[str, object] | None:
    if agent is None:
        return None
    return {
        "skill_points": agent.standing.skill_points,
        "experience_earned": number(agent.standing.earned_micro),
        "total_commits": agent.standing.total_commits,
        "active": agent.active,
    }


def restored_lines(done: Restored) -> list[str]:
    """Return what was done, and how to undo it."""
    lines = ["Restored from", f"  {place(done.change.source)}"]
    if done.kept_as:
        undo = f"  agent-tracker restore {safe(shlex.quote(done.kept_as))}"
        lines += ["The database that was there is kept. To undo:", undo]
    return lines


def restored_json(done: Restored) -> dict[str, object]:
    """Return what was done as JSON."""
    return {**change_json(done.change), "kept_as": safe(done.kept_as) or None, "dry_run": False}
