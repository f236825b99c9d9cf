"""The commands that compare setups: parse, call one view, render.

Owns their options. Never holds logic of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, context_here, repository_here, repository_if_any, told
from agent_tracker.projects import find_project
from agent_tracker.verbs.reading import read

if TYPE_CHECKING:
    from agent_tracker.tables import Snapshot
    from agent_tracker.views.setups import SetupUse

__all__ = ["setups_app"]

setups_app = typer.Typer(help="Compare what was done with which instruction files.", invoke_without_command=True)

Everywhere = Annotated[bool, typer.Option("--all", help="Of all projects.")]


def _uses(*, everywhere: bool, no_flush: bool) -> list[SetupUse]:
    from agent_tracker.verbs.judged import read_judgements  # noqa: PLC0415 -- its imports are these commands' alone
    from agent_tracker.views.setups import setups as view  # noqa: PLC0415 -- as above

    repository = repository_if_any() if everywhere else repository_here()

    def listed(snapshot: Snapshot | None) -> list[SetupUse]:
        project = find_project(repository) if repository and not everywhere else None
        return view(snapshot, project=project, judged=read_judgements(snapshot)) if snapshot else []

    reading = read(context_here(), repository, listed, is_fresh=not no_flush)
    return told(reading, is_something=bool(reading.value))


@setups_app.callback()
def setups(
    ctx: typer.Context, *, everywhere: Everywhere = False, as_json: Json = False, no_flush: NoFlush = False
) -> None:
    """Compare what was done with which instruction files: AGENTS.md, CLAUDE.md, .cursorrules and the like."""
    if ctx.invoked_subcommand is None:
        _list(everywhere=everywhere, as_json=as_json, no_flush=no_flush)


@setups_app.command("list")
def list_command(*, everywhere: Everywhere = False, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """List the setups that commits were made with, the newest first."""
    _list(everywhere=everywhere, as_json=as_json, no_flush=no_flush)


def _list(*, everywhere: bool, as_json: bool, no_flush: bool) -> None:
    from agent_tracker.rendering import setups as render_setups  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    uses = _uses(everywhere=everywhere, no_flush=no_flush)
    if as_json:
        render.show_json("setups", render_setups.setups_json(uses))
    elif uses:
        render_setups.show_setups(uses, with_project=everywhere)
    else:
        render.show("No commits recorded here yet: commit, and see: agent-tracker status")


@setups_app.command("show")
def show_command(
    fingerprint: Annotated[str, typer.Argument(help="A setup's fingerprint or its beginning, or: none")],
    *,
    everywhere: Everywhere = False,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """Show one setup: its files, who made how many commits with it, and what had changed."""
    from agent_tracker.rendering import setups as render_setups  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.views.setups import find_setups  # noqa: PLC0415

    found = find_setups(_uses(everywhere=everywhere, no_flush=no_flush), fingerprint)
    if as_json:
        render.show_json("setups", render_setups.setups_json(found))
    else:
        render.show(*render_setups.setup_lines(found))
