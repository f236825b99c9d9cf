"""What crediting every commit anew changes, in words and as JSON.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.records import is_agent
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
    from agent_tracker.records import Credits
    from agent_tracker.verbs.reattributing import Reattribution

__all__ = ["reattribution_json", "show_reattribution"]


def reattribution_json(done: Reattribution, *, is_dry_run: bool) -> dict[str, object]:
    """Return what crediting anew changes, for `reattribute --json`."""
    return {
        "dry_run": is_dry_run,
        "derived_under": done.since or None,
        "table_of_marks": done.version,
        "changed": [
            {
                "commit_hash": each.commit.oid.hex(),
                "timestamp": iso(each.commit.committed_at),
                "before": _shares(each.commit.credits),
                "after": _shares(each.after),
                "why": why_json(each.why),
            }
            for each in done.changed
        ],
        "unchanged": done.unchanged,
    }


def _shares(credits: Credits) -> list[dict[str, object]]:
    """Return each one's share: `claim` is `agent`, `human` or `unclaimed`."""
    claims = ("agent" if is_agent(who) else who or "unclaimed" for who, _ in credits)
    return [{"claim": claim, **share} for claim, share in zip(claims, credits_json(credits), strict=True)]


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
