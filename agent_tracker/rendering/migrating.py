"""What was migrated from databases of the OpenCode plugin, in words and as JSON.

Owns those shapes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_tracker.rendering.text import number, place, safe, table, xp

if TYPE_CHECKING:
    from agent_tracker.context import Counts, Migrated
    from agent_tracker.verbs.migrate import Done

__all__ = ["migrated_json", "migrated_parts"]

HEADINGS = ("KIND", "ENTRIES", "MIGRATED", "SKIPPED", "KNOWN", "UNREADABLE")
MAX_NAMED = 8
"""How many entries that have a reason in common are named for a person; all are in the JSON."""

MAX_SHOWN = 100
_OUTCOMES = {"migrated": "migrated", "left_out": "skipped", "unreadable": "unreadable"}
_OTHER = "others"
_NO_DICTIONARY = "No dictionary of the npm package lmdb was found: agent-tracker migrate --dictionary FILE"


def migrated_parts(done: Done, *, is_dry_run: bool) -> list[Any]:
    """Return what was migrated, or would be: a table of counts for each database, and what is not here of it."""
    if not done.databases and not done.failed:
        return ["No database of the OpenCode plugin here, nor in the home directory."]
    parts: list[Any] = []
    for each in done.databases:
        parts += _parts(each, is_dry_run=is_dry_run)
    return parts


def _parts(each: Migrated, *, is_dry_run: bool) -> list[Any]:
    migrated = each.total.migrated
    verb = "Would migrate" if is_dry_run else "Migrated"
    what = f"{migrated} {'entry' if migrated == 1 else 'entries'}" if migrated else "nothing new"
    parts: list[Any] = [f"{verb} {what} of {place(each.path)}"]
    if each.counts:
        rows = [(kind or _OTHER, *map(str, _numbers(counts))) for kind, counts in each.counts.items()]
        parts.append(table(HEADINGS, rows, right=HEADINGS[1:]))
    for gain in each.applied.gains if each.applied else ():
        commits = f"{gain.commits:+d} {'commit' if abs(gain.commits) == 1 else 'commits'}"
        sign = "+" if gain.experience_micro >= 0 else ""
        parts.append(f"  {safe(gain.agent)}: {commits}, {sign}{xp(gain.experience_micro)} XP")
    groups: dict[tuple[str, str, str], list[str]] = {}
    for listed in each.listed:
        groups.setdefault((listed.kind, listed.outcome, listed.reason), []).append(listed.key)
    parts += [_line(*group, keys) for group, keys in groups.items()]
    if each.total.unreadable and not each.has_dictionary:
        parts.append(_NO_DICTIONARY)
    return parts


def _numbers(counts: Counts) -> tuple[int, int, int, int, int]:
    return (counts.entries, counts.migrated, counts.known + counts.left_out, counts.known, counts.unreadable)


def _line(kind: str, outcome: str, reason: str, keys: list[str]) -> str:
    """Return for several entries of a kind what came of them, and their keys."""
    more = f" and {len(keys) - MAX_NAMED} more (--json names all)" if len(keys) > MAX_NAMED else ""
    named = ", ".join(safe(key)[:MAX_SHOWN] for key in keys[:MAX_NAMED])
    return f"  {safe(kind or _OTHER)} {_OUTCOMES[outcome]}, {safe(reason)}: {named}{more}"


def migrated_json(done: Done, *, is_dry_run: bool) -> dict[str, object]:
    """Return what was migrated, or would be, as JSON."""
    return {
        "databases": [_database_json(each) for each in done.databases],
        "failed": [
            {"path": safe(each.path), "problem": safe(each.error.message), "hint": safe(each.error.hint) or None}
            for each in done.failed
        ],
        "dry_run": is_dry_run,
        "trouble": safe(done.trouble) or None,
    }


def _database_json(each: Migrated) -> dict[str, object]:
    return {
        "path": safe(each.path),
        **_counts_json(each.total),
        "kinds": {kind or _OTHER: _counts_json(counts) for kind, counts in each.counts.items()},
        "listed": [
            {
                "kind": listed.kind or _OTHER,
                "key": safe(listed.key),
                "outcome": _OUTCOMES[listed.outcome],
                "reason": safe(listed.reason),
                "detail": safe(listed.detail) or None,
            }
            for listed in each.listed
        ],
        "agents": [{"plugin_id": safe(plugin_id), "agent_id": own} for plugin_id, own in each.aliases.items()],
        "gains": [
            {"agent_id": gain.agent, "commits": gain.commits, "experience_gained": number(gain.experience_micro)}
            for gain in (each.applied.gains if each.applied else ())
        ],
        "new": each.facts,
        "dictionary": each.has_dictionary,
    }


def _counts_json(counts: Counts) -> dict[str, int]:
    entries, migrated, skipped, known, unreadable = _numbers(counts)
    return {"entries": entries, "migrated": migrated, "skipped": skipped, "known": known, "unreadable": unreadable}
