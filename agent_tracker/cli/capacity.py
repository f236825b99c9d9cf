"""How large the store is, making it smaller, and moving old journals out of it.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here, repository_if_any
from agent_tracker.escaping import escape

__all__ = ["archive", "compact", "store"]


def store(*, as_json: Json = False) -> None:
    """Show how large the database is, what is in it, and how long there is room."""
    from agent_tracker.rendering import capacity as render_capacity  # noqa: PLC0415 -- for what is shown alone
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import capacity as verb  # noqa: PLC0415 -- its imports are this command's alone

    report = verb.store_report(context_here())
    if as_json:
        render.show_json("store", render_capacity.store_json(report))
    else:
        render.show(*render_capacity.store_lines(report))


def compact(*, as_json: Json = False) -> None:
    """Write the database anew without the pages that are free; readers go on meanwhile."""
    from agent_tracker.rendering import capacity as render_capacity  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import capacity as verb  # noqa: PLC0415

    done = verb.compact(context_here())
    if as_json:
        render.show_json("compacted", render_capacity.compacted_json(done))
    else:
        render.show(render_capacity.compacted_line(done))


def archive(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; default: one in the state directory.")] = "",
    *,
    before: Annotated[str, typer.Option(metavar="DATE", help="A date (UTC), or an age: 90d, 8w, 2y.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Change nothing, and say how much it is.")] = False,
    as_json: Json = False,
) -> None:
    """Move old retrospectives and activities to a file that import reads; standings stay. For people."""
    from agent_tracker.rendering import capacity as render_capacity  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import archive as verb  # noqa: PLC0415

    context = context_here()
    until = verb.parse_before(before, now=context.now)
    done = verb.archive(repository_if_any(), context, until, file, dry_run=dry_run)
    if done.trouble:
        print(f"warning: what waits in the spools is not among it: {escape(done.trouble)}", file=sys.stderr)
    if as_json:
        render.show_json("archived", render_capacity.archived_json(done, is_dry_run=dry_run))
    else:
        render.show(*render_capacity.archived_lines(done, is_dry_run=dry_run))
