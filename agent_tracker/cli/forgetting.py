"""Making a text go.

Owns that command's options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here, repository_if_any
from agent_tracker.errors import UsageError
from agent_tracker.escaping import escape

__all__ = ["forget"]


def forget(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="As the lists show it; a commit by its whole oid.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Make a text go, a secret in a note say: from database, backups, spools, log and exports."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- its imports are for what is shown alone
    from agent_tracker.verbs import forgetting as verb  # noqa: PLC0415 -- its imports are this command's alone

    context = context_here()
    found = verb.find(repository_if_any(), context, entry_id)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("a text that is forgotten is gone: say so", f"agent-tracker forget {found.id} --yes")
        again = ", again" if found.is_forgotten else ""
        typer.confirm(f"Forget the texts of {found.what} {found.id}{again}?", abort=True, err=True)
    done = verb.forget(context, found)
    for path in done.missing:
        print(f"warning: not looked at, for it is not there: {escape(path)}", file=sys.stderr)
    for trouble in done.troubles:
        print(f"warning: {escape(trouble)}", file=sys.stderr)
    if as_json:
        shown = {
            "id": found.id,
            "kind": found.what,
            "texts": len(found.texts),
            "lines": done.lines,
            "missing": list(map(render.safe, done.missing)),
            "troubles": list(map(render.safe, done.troubles)),
        }
        render.show_json("forgotten", shown)
    else:
        lines = render.counted(done.lines, "line")
        render.show(f"Forgot the texts of {found.what} {found.id}: gone from the database, and from {lines} outside.")
        if found.what == "commit":
            render.show("Git itself keeps the commit's message.")
    if done.troubles:
        render.show(f"Not all was reached; when it can be: agent-tracker forget {found.id} --yes")
        raise typer.Exit(1)
