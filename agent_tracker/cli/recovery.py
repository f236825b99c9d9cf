"""A database in the place of a damaged one.

Owns that command's options. Never holds logic of its own.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here

__all__ = ["recover"]


def recover(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what is wrong and what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Put the newest backup that passes in the place of a damaged database, and bring in what came since."""
    from agent_tracker.durability import recovery as verb  # noqa: PLC0415 -- its imports are this command's alone
    from agent_tracker.rendering import recovery as words  # noqa: PLC0415 -- its imports are for what is shown alone
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    context = context_here()
    if dry_run:
        planned = verb.plan(context)
        if as_json:
            render.show_json("recovery", words.plan_json(planned))
        else:
            render.show(*words.plan_lines(planned))
        return
    done = verb.recover(context)
    if as_json:
        render.show_json("recovery", words.recovery_json(done))
    elif done is None:
        render.show("The database is sound: nothing to recover.")
    else:
        render.show(*map(render.safe, verb.report_lines(done)))
