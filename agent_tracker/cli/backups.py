"""Backups: one now, the list, and one of them put in the database's place.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here
from agent_tracker.errors import UsageError

__all__ = ["backup", "backups", "restore"]


def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A copy to there, instead of a backup.")] = "",
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Make a backup of the database now, and read all of it; restore puts one back."""
    from agent_tracker.rendering import backups as render_backups  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import backups as verb  # noqa: PLC0415 -- its imports are this command's alone

    context = context_here()
    made = verb.back_up(context, os.path.abspath(file) if file else "", is_forced=force)
    size = os.path.getsize(made.backup.path)
    if as_json:
        render.show_json("backup", render_backups.made_json(made, size, context.now))
    else:
        render.show(*render_backups.made_lines(made, size, is_copy=bool(file)))


def backups(
    *,
    check: Annotated[bool, typer.Option("--check", help="Read each in full, and say which pass.")] = False,
    as_json: Json = False,
) -> None:
    """List the backups of the database, the newest first."""
    from agent_tracker.rendering import backups as render_backups  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import backups as verb  # noqa: PLC0415

    context = context_here()
    with render.progress("reading backups", is_long=check):
        found = verb.list_backups(context, is_checked=check)
    if as_json:
        render.show_json("backups", render_backups.backups_json(found))
    else:
        render.show(*render_backups.backups_parts(found, context.now, is_checked=check))
    if any(each.problems for each in found.backups):
        raise typer.Exit(1)


def restore(
    which: Annotated[
        str, typer.Argument(metavar="BACKUP|FILE", help="A time as the list shows it, its beginning, or a file.")
    ] = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would change, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a backup in the database's place, the newest if none is named; the present one is kept. For people."""
    from agent_tracker.rendering import backups as render_backups  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import backups as verb  # noqa: PLC0415

    if as_json and not (yes or dry_run):
        raise UsageError(
            "nobody is asked with --json: say so", "agent-tracker restore --yes --json, or -n to look first"
        )
    context = context_here()
    change = verb.plan(context, which)
    if dry_run and as_json:
        render.show_json("restored", {**render_backups.change_json(change), "kept_as": None, "dry_run": True})
        return
    if not as_json:
        render.show(*render_backups.change_parts(change))
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("another database takes the place of this one: say so", "agent-tracker restore --yes")
        typer.confirm("Restore it?", abort=True, err=True)
    done = verb.restore(context, change)
    if as_json:
        render.show_json("restored", render_backups.restored_json(done))
    else:
        render.show(*render_backups.restored_lines(done))
