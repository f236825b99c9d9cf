"""What was exported and imported, in words and as JSON.

Owns those shapes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.rendering.text import counted, place, safe

if TYPE_CHECKING:
    from agent_tracker.verbs.moving import Exported, Imported

__all__ = ["exported_json", "exported_line", "imported_json", "imported_lines"]

NOUNS = {
    "activity": "activities",
    "loss": "losses",
    "push": "pushes",
    "rules": "changes of the rules",
    "forget": "forgotten texts",
    "state": "retirements and returns",
    "undone": "commits taken back",
    "credit": "corrections",
}
"""What several facts of a kind are called where that is not the kind's word with an s."""

ONE = {
    "rules": "change of the rules",
    "forget": "forgotten text",
    "state": "retirement or return",
    "undone": "commit taken back",
    "credit": "correction",
}


def exported_line(done: Exported) -> str:
    """Return what was exported as a line."""
    return f"Wrote {counted(done.facts, 'fact')} to {place(done.path)} ({done.size:,} bytes)."


def exported_json(done: Exported) -> dict[str, object]:
    """Return what was exported as JSON."""
    return {"path": safe(done.path), "facts": done.facts, "bytes": done.size, "trouble": safe(done.trouble) or None}


def imported_lines(done: Imported, *, is_dry_run: bool) -> list[str]:
    """Return what was imported, or would be, as lines."""
    new = sum(done.new.values())
    files = counted(len(done.paths), "file")
    if not new:
        return [f"Nothing new: {counted(done.facts, 'fact')} in {files}, all known here."]
    kinds = ", ".join(f"{count} {_noun(word, count)}" for word, count in done.new.items())
    verb = "Would import" if is_dry_run else "Imported"
    return [f"{verb} {counted(new, 'new fact')} of {done.facts} in {files}: {kinds}."]


def _noun(word: str, count: int) -> str:
    return ONE.get(word, word) if count == 1 else NOUNS.get(word, f"{word}s")


def imported_json(done: Imported, *, is_dry_run: bool) -> dict[str, object]:
    """Return what was imported, or would be, as JSON."""
    return {
        "paths": [safe(path) for path in done.paths],
        "facts": done.facts,
        "new": done.new,
        "dry_run": is_dry_run,
        "trouble": safe(done.trouble) or None,
    }
