"""What crediting every commit anew changes, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.rendering.text import (
    counted,
    credits_json,
    iso,
    local,
    safe,
    show,
    table,
    whose,
    why_json,
    why_words,
)

if TYPE_CHECKING:
    from agent_tracker.verbs.reattributing import Reattribution

__all__ = ["reattribution_json", "show_reattribution"]


def reattribution_json(done: Reattribution, *, is_dry_run: bool) -> dict[str, object]:
    """Return what crediting anew changes, for `reattribute --json`; nobody's and a person's share have their words."""
    return {
        "dry_run": is_dry_run,
        "derived_under": done.since,
        "table_of_marks": done.version,
        "changed": [
            {
                "commit_hash": each.commit.oid.hex(),
                "timestamp": iso(each.commit.committed_at),
                "before": credits_json(each.commit.credits),
                "after": credits_json(each.after),
                "why": why_json(each.why),
            }
            for each in done.changed
        ],
        "unchanged": done.unchanged,
    }


def show_reattribution(done: Reattribution, *, is_dry_run: bool) -> None:
    """Show each commit that changes hands: from whom, to whom, and why."""
    if done.changed:
        rows = [
            (
                each.commit.oid.hex()[:10],
                local(each.commit.committed_at),
                whose(each.commit.credits),
                whose(each.after),
                safe(each.commit.subject),
                why_words(each.why),
            )
            for each in done.changed
        ]
        show(table(("COMMIT", "WHEN", "FROM", "TO", "SUBJECT", "WHY"), rows))
    would = "would be credited otherwise" if is_dry_run else "credited otherwise now"
    show(f"{counted(len(done.changed), 'commit')} {would}, {done.unchanged} as before.")
