"""Hooks in, hooks out, flushing, and what ails it.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 -- Typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, context_here, repository_here
from agent_tracker.cli.scan import is_wanted, scan_and_show
from agent_tracker.errors import UsageError
from agent_tracker.flush_command import run_all, run_here
from agent_tracker.repository import working_directory

if TYPE_CHECKING:
    from agent_tracker.repository import Repository

__all__ = ["doctor", "flush", "install_hooks", "uninstall_hooks"]


def install_hooks(  # noqa: PLR0913 -- its options
    repository: Annotated[Path | None, typer.Argument(help="Where; default: here.")] = None,
    *,
    everything_under: Annotated[
        Path | None, typer.Option("--all", metavar="DIR", help="In every repository under a directory.")
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="For every repository that git makes from now on.")
    ] = False,
    style: Annotated[
        str, typer.Option(metavar="auto|files|config", help="Where hooks go this time; else: the setting hookStyle.")
    ] = "",
    auto_register: Annotated[
        bool | None,
        typer.Option(
            "--auto-register/--no-auto-register", help="Whether agents nobody registered register themselves."
        ),
    ] = None,
    scan: Annotated[
        bool | None,
        typer.Option("--scan/--no-scan", help="Read the history that is here already, too; else: asked at a terminal."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Install the git hooks in a repository: from then on every commit is credited to the agent that made it."""
    from agent_tracker.installation import installing  # noqa: PLC0415 -- its imports are this command's alone
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415 -- its imports are this command's alone

    _only_one(repository, everything_under, template)
    if template and auto_register is not None:
        hint = f"agent-tracker config set autoRegister {str(auto_register).lower()}"
        raise UsageError("--template knows no repository in which that could be set", hint)
    if scan and (template or as_json):
        raise UsageError("--scan goes with neither --template nor --json", "agent-tracker scan --json")
    if template:
        made = installing.put_into_template(context_here())
        render_hooks.show_template(made, as_json=as_json)
    elif everything_under is not None:
        done = installing.install_all(str(everything_under), context_here(), style=style, auto_register=auto_register)
        outcomes = list(done)
        shown = [render_hooks.outcome_json(outcome) for outcome in outcomes]
        render_hooks.show_outcomes(shown, render_hooks.outcome_lines(outcomes), as_json=as_json)
        is_done = not any(outcome.trouble for outcome in outcomes)
        if scan:
            is_done = scan_and_show([outcome.path for outcome in outcomes if outcome.report]) and is_done
        raise typer.Exit(not is_done)
    else:
        found = repository_here(repository)
        if auto_register is None and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            auto_register = _wants_auto_register(found)
        report, has_agents = installing.install(found, context_here(), style=style, auto_register=auto_register)
        shown = [render_hooks.outcome_json(installing.Outcome(found.main_path, report, ""))]
        render_hooks.show_outcomes(shown, render_hooks.install_lines(report, has_agents=has_agents), as_json=as_json)
        if is_wanted(found, scan=scan, as_json=as_json):
            scan_and_show([found])


def _wants_auto_register(repository: Repository) -> bool | None:
    """Return what a person says of it, None where it was said before."""
    from agent_tracker.configuring import settings_here  # noqa: PLC0415

    settings = {value.name: value for value in settings_here(repository.main_path, context_here())}
    if settings["autoRegister"].source != "default":
        return None
    return typer.confirm("Shall coding agents that nobody registered be registered by their first commit here?")


def _only_one(repository: Path | None, everything_under: Path | None, template: bool) -> None:  # noqa: FBT001
    if (repository is not None) + (everything_under is not None) + template > 1:
        raise UsageError("a repository, --all and --template exclude each other", "agent-tracker install-hooks --help")


def uninstall_hooks(
    repository: Annotated[Path | None, typer.Argument(help="Where; default: here.")] = None,
    *,
    template: Annotated[bool, typer.Option("--template", help="Out of git's template for new repositories.")] = False,
    as_json: Json = False,
) -> None:
    """Take the hooks out again and give back what was there before."""
    from agent_tracker.installation import installing  # noqa: PLC0415
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415

    _only_one(repository, None, template)
    if template:
        undone = installing.take_out_of_template(context_here())
        render_hooks.show_template(undone, as_json=as_json)
        return
    found = repository_here(repository)
    report, trouble = installing.uninstall(found, context_here())
    shown = [render_hooks.uninstall_json(found.main_path, report, trouble)]
    render_hooks.show_outcomes(shown, render_hooks.uninstall_lines(report, trouble), as_json=as_json)


def flush(
    *,
    as_json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="Every repository that is known.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless something is wrong.")] = False,
) -> None:
    """Bring what the hooks recorded into the database now, instead of at the next push."""
    code = run_all(as_json=as_json, is_quiet=quiet) if everything else run_here(as_json=as_json, is_quiet=quiet)
    raise typer.Exit(code)


def doctor(
    path: Annotated[Path | None, typer.Argument(help="Where; default: here.")] = None,
    *,
    everywhere: Annotated[bool, typer.Option("--all", help="In every repository that is known.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe to mend.")] = False,
    as_json: Json = False,
) -> None:
    """Name each problem in one line with its remedy; exit code 1 if anything needs care."""
    from agent_tracker.checks import doctor as verb  # noqa: PLC0415
    from agent_tracker.rendering import doctor as render_doctor  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    context = context_here()
    if path is not None:
        context = context._replace(env={name: v for name, v in context.env.items() if not name.startswith("GIT_")})
    found = verb.doctor(str(path or working_directory()), context, is_all=everywhere, is_fix=fix)
    if as_json:
        render.show_diagnosis_json(render_doctor.doctor_json(found))
    else:
        render.show(*render_doctor.doctor_lines(found))
    raise typer.Exit(1 if found.problems else 0)
