"""Databases of the OpenCode plugin into ours: the command `migrate`.

Owns its options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here, repository_if_any
from agent_tracker.ending import complain
from agent_tracker.escaping import escape

__all__ = ["migrate"]


def migrate(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="The database, or a directory with one; default: here and at home.")
    ] = "",
    *,
    dictionary: Annotated[
        str, typer.Option("--dictionary", metavar="FILE", help="dict.txt of the npm package lmdb, if it is not found.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Change nothing, and show what would be migrated.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add what the OpenCode plugin had recorded; its database stays as it is. For people."""
    from agent_tracker.rendering import migrating as render_migrating  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import migrate as verb  # noqa: PLC0415 -- its imports are this command's alone

    done = verb.migrate(context_here(), repository_if_any(), path, dictionary=dictionary, dry_run=dry_run)
    if done.warning:
        print(f"warning: {escape(done.warning)}", file=sys.stderr)
    if done.trouble:
        print(f"warning: all is in the database, but: {escape(done.trouble)}", file=sys.stderr)
        print("hint: agent-tracker flush", file=sys.stderr)
    for failed in done.failed:
        complain(failed.error)
    if as_json:
        render.show_json("migrated", render_migrating.migrated_json(done, is_dry_run=dry_run))
    else:
        render.show(*render_migrating.migrated_parts(done, is_dry_run=dry_run))
    raise typer.Exit(1 if done.failed else 0)
