"""The rules of standing: shown, changed, put in force for everything.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, announce, context_here, repository_here, repository_if_any, told
from agent_tracker.errors import UsageError
from agent_tracker.escaping import escape
from agent_tracker.verbs.reading import read

if TYPE_CHECKING:
    from agent_tracker.tables import Snapshot
    from agent_tracker.verbs.rules import Changed
    from agent_tracker.views.rules import RulesHistory

__all__ = ["rederive", "rules_app"]

rules_app = typer.Typer(help="Show the rules by which standing follows; set and unset.", invoke_without_command=True)
LATER = "in config.toml, in force at the next flush"
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@rules_app.callback()
def rules_command(ctx: typer.Context, *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Show the rules by which standing follows; set and unset."""
    if ctx.invoked_subcommand is None:
        _list_rules(as_json=as_json, is_fresh=not no_flush)


@rules_app.command("list")
def rules_list(*, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Show every rule: its value, its default, since when it holds, and how the rules changed."""
    _list_rules(as_json=as_json, is_fresh=not no_flush)


def _list_rules(*, as_json: bool, is_fresh: bool) -> None:
    from agent_tracker.rendering import rules as render_rules  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import rules as verb  # noqa: PLC0415 -- its imports are these commands' alone

    context = context_here()

    def collected(snapshot: Snapshot | None) -> RulesHistory:
        return verb.rules(snapshot, context)

    found = told(read(context, repository_if_any(), collected, is_fresh=is_fresh))
    if as_json:
        render.show_json("rules", render_rules.rules_json(found))
    else:
        render_rules.show_rules(found)


@rules_app.command("set", context_settings={"ignore_unknown_options": True})
def rules_set(name: str, value: str) -> None:
    """Set a rule: it holds from now on, and what was earned before stays."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import rules as verb  # noqa: PLC0415

    changed = verb.set_rule(context_here(), name, value)
    _tell(changed)
    when = LATER if changed.trouble else "from now on; for all that happened before as well: agent-tracker rederive"
    render.show(f"{changed.name} is {changed.value} {when}")


@rules_app.command("unset")
def rules_unset(name: str) -> None:
    """Take a rule out of the configuration: its default holds from now on."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import rules as verb  # noqa: PLC0415

    changed = verb.unset_rule(context_here(), name)
    _tell(changed)
    when = LATER if changed.trouble else "from now on; for what happened before: agent-tracker rederive"
    render.show(f"{render.safe(changed.name)} has its default {when}")


def _tell(changed: Changed) -> None:
    """Say on stderr what the flushes had to say, or why there was none."""
    for report in changed.reports:
        announce(report)
    if changed.trouble:
        print(f"warning: {escape(changed.trouble)}", file=sys.stderr)


def rederive(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Change nothing, and show what would.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Derive every standing anew, under the rules in force now, as if they had always been."""
    from agent_tracker.flush import flush  # noqa: PLC0415
    from agent_tracker.projects import find_project  # noqa: PLC0415
    from agent_tracker.rendering import rules as render_rules  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import rules as verb  # noqa: PLC0415

    context = context_here()
    repository = repository_if_any()
    if repository and find_project(repository):
        announce(flush(repository_here(), context))
    if not (dry_run or yes):
        planned = verb.rederive_all(context, dry_run=True)
        if not sys.stdin.isatty():
            raise UsageError("this changes what was earned: say so", "agent-tracker rederive --yes, or --dry-run")
        render_rules.show_rederivation(planned, is_dry_run=True)
        typer.confirm("Derive everything anew?", abort=True)
    done = verb.rederive_all(context, dry_run=dry_run)
    if as_json:
        render.show_json("rederivation", render_rules.rederivation_json(done, is_dry_run=dry_run))
    else:
        render_rules.show_rederivation(done, is_dry_run=dry_run)
