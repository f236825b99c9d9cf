"""What a recovery would do and did, in words and as JSON.

Owns those texts and shapes. Never decides anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_tracker.durability.recovery import MISSING, SOUND
from agent_tracker.rendering.text import as_text, counted, iso, local, place, safe

if TYPE_CHECKING:
    from agent_tracker.durability.recovery import Plan, Recovery

__all__ = ["plan_json", "plan_lines", "recovery_json"]

SHOWN = 5


def plan_lines(planned: Plan) -> list[str]:
    """Return what is wrong and what would be done, a line each."""
    if planned.state == SOUND:
        return ["The database is sound: nothing to recover."]
    what = "is not there" if planned.state == MISSING else "is damaged:"
    lines = [f"{place(planned.database)} {what}"]
    lines += [f"  {safe(problem)}" for problem in planned.problems[:SHOWN]]
    if len(planned.problems) > SHOWN:
        lines.append(f"  and {len(planned.problems) - SHOWN} more")
    if planned.state != MISSING:
        lines.append(f"It would be kept as {place(planned.database)}.damaged-TIME.")
    lines += [f"Passed over, damaged too: {place(path)}: {safe(why)}" for path, why in planned.refused]
    if planned.backup:
        held = f"{counted(planned.backup.commits, 'commit')}, {counted(planned.backup.agents, 'agent')}"
        lines.append(
            f"In its place: the backup of {local(planned.backup.made_at)} ({held}): {place(planned.backup.path)}"
        )
    elif planned.state == MISSING:
        return [*lines, "There is no backup either: the next flush begins a new one."]
    else:
        lines.append("There is no backup that passes: a new database would be begun.")
    since = counted(planned.segments, "segment")
    where = counted(len(planned.repositories), "repository")
    lines.append(f"Then what came since: {since} of {where}, git's reflogs, and what is sound in the damaged file.")
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
    }


def recovery_json(done: Recovery | None) -> dict[str, object]:
    """Return what was done, for `recover --json`: `recovered` is false where there was nothing to do."""
    if done is None:
        return {"recovered": False}
    return {
        "recovered": True,
        **plan_json(done.plan),
        "kept_as": _path(done.kept_as) or None,
        "facts_from_backup": done.from_backup,
        "facts_from_spools": done.from_spools,
        "commits_from_spools": done.commits,
        "facts_from_damaged_file": done.from_damaged,
        "gone": done.gone if done.is_known else None,
        "troubles": [safe(trouble) for trouble in done.troubles],
    }


def _path(path: str) -> str:
    return as_text(os.fsencode(path))
