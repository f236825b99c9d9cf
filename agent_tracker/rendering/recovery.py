"""What a recovery would do and did, in words and as JSON.

Owns those texts and shapes. Never decides anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_tracker.durability.recovery import MISSING, SOUND, problem_lines
from agent_tracker.rendering.text import as_text, counted, iso, local, place, safe

if TYPE_CHECKING:
    from agent_tracker.durability.recovery import Plan, Recovery

__all__ = ["plan_json", "plan_lines", "recovery_json"]


def plan_lines(planned: Plan) -> list[str]:
    """Return what is wrong and what would be done, a line each."""
    begun = ["A recovery was begun and is not finished."] if planned.is_begun else []
    begun += [f"  It set aside {place(path)}, of which the sound records would be read." for path in planned.unfinished]
    if planned.state == SOUND and not begun:
        return ["The database is sound: nothing to recover."]
    if planned.state == SOUND:
        return [*begun, *_since_lines(planned)]
    what = "is not there" if planned.state == MISSING else "is damaged:"
    lines = [*begun, f"{place(planned.database)} {what}"]
    lines += [f"  {safe(problem)}" for problem in problem_lines(planned.problems)]
    if planned.state != MISSING:
        lines.append(f"It would be kept as {place(planned.database)}.damaged-TIME.")
    for path, why in planned.refused:
        lines += [f"Passed over: {place(path)}", *(f"  {safe(line)}" for line in problem_lines([why]))]
    if planned.backup:
        held = f"{counted(planned.backup.commits, 'commit')}, {counted(planned.backup.agents, 'agent')}"
        lines.append(
            f"In its place: the backup of {local(planned.backup.made_at)} ({held}): {place(planned.backup.path)}"
        )
    elif planned.state == MISSING:
        return [*lines, "There is no backup either: the next flush begins a new one."]
    else:
        lines.append("There is no backup that passes: a new database would be begun.")
    return [*lines, *_since_lines(planned)]


def _since_lines(planned: Plan) -> list[str]:
    number = len(planned.repositories)
    where = "1 repository" if number == 1 else f"{number} repositories"
    lines = [] if planned.state == SOUND else [f"Then {counted(planned.segments, 'segment')} of the spools."]
    if planned.state != MISSING:
        lines.append("Besides what is sound in the damaged file.")
    lines.append(f"Besides what {where} and their reflogs say.")
    lines += [f"Not there, so not read: {place(path)}" for path in planned.unread]
    return [*lines, "To do it: agent-tracker recover"]


def plan_json(planned: Plan) -> dict[str, object]:
    """Return what would be done, for `recover --dry-run --json`."""
    backup = planned.backup
    return {
        "database": _path(planned.database),
        "state": planned.state,
        "problems": [safe(problem) for problem in planned.problems],
        "backup": {"path": _path(backup.path), "made_at": iso(backup.made_at), "commits": backup.commits}
        if backup
        else None,
        "passed_over": [{"path": _path(path), "problem": safe(why)} for path, why in planned.refused],
        "repositories": [_path(path) for path in planned.repositories],
        "segments": planned.segments,
        "unread": [_path(path) for path in planned.unread],
        "is_begun": planned.is_begun,
        "unfinished": [_path(path) for path in planned.unfinished],
    }


def recovery_json(done: Recovery | None) -> dict[str, object]:
    """Return what was done, for `recover --json`: `recovered` is false where there was nothing to do."""
    if done is None:
        return {"recovered": False}
    return {
        "recovered": True,
        **plan_json(done.plan),
        "kept_as": _path(done.kept_as) or None,
        "kept": [_path(path) for path in done.kept],
        "facts_from_backup": done.from_backup,
        "facts_from_spools": done.from_spools,
        "commits_from_spools": done.commits,
        "facts_from_damaged_file": done.from_damaged,
        "gone": done.gone if done.is_known else None,
        "possibly_gone": done.unsure if done.is_known else None,
        "commits_without_marks": done.unmarked,
        "commits_not_taken": done.homeless,
        "troubles": [safe(trouble) for trouble in done.troubles],
    }


def _path(path: str) -> str:
    return as_text(os.fsencode(path))
