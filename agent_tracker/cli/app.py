"""The command line interface: parse, call one verb or view, render.

Owns options, exit codes and where errors are shown. Never holds logic of its own; nothing else prints a table.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path  # noqa: TC003 -- Typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker import __version__
from agent_tracker.errors import AgentTrackerError, ConfigError, UsageError
from agent_tracker.flush import Context, find_project, known_agents, open_store
from agent_tracker.flush_command import complain, log_bug, run_all, run_here
from agent_tracker.paths import user_paths
from agent_tracker.repository import Repository, find_repository

if TYPE_CHECKING:
    from agent_tracker.records import Agent

__all__ = ["app", "main"]

app = typer.Typer(
    help="Which setup of coding agents to use, learnt from the commits they made.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
agents_app = typer.Typer(help="List, show, retire and resume agents.", invoke_without_command=True)
config_app = typer.Typer(help="Show where each setting comes from; set and unset.", invoke_without_command=True)
app.add_typer(agents_app, name="agents")
app.add_typer(config_app, name="config")

TERMINAL_ROWS = 50
"""How many commits `log` shows on a terminal unless it is told: a pipe gets all."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OfRepository = Annotated[bool, typer.Option("--repo", help="This repository's setting, in git's configuration.")]


def main() -> int:
    """Run the command line and return the exit code: 0 done, 1 expected error, 2 usage, 3 bug, 130 interrupted."""
    try:
        app()
    except UsageError as error:
        complain(error)
        return 2
    except AgentTrackerError as error:
        return complain(error)
    except SystemExit as stop:
        is_interrupt = isinstance(stop.__context__, typer.Abort | KeyboardInterrupt)
        return 130 if is_interrupt else int(stop.code or 0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception:  # noqa: BLE001 -- a bug: the traceback goes to a file, a person gets one line
        return log_bug()
    return 0


def _context() -> Context:
    return Context(user_paths(os.environ), os.environ, time.time_ns())


def _repository(path: Path | None = None) -> Repository:
    if path is None:
        return find_repository(os.getcwd(), os.environ)
    return find_repository(str(path), {})


def _print_version(value: bool) -> None:  # noqa: FBT001 -- Typer's callback
    if value:
        typer.echo(f"agent-tracker {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# -- hooks -------------------------------------------------------------------------------------------------------------


@app.command("install-hooks")
def install_hooks_command(
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
    as_json: Json = False,
) -> None:
    """Install the git hooks in a repository: from then on every commit is credited to the agent that made it."""
    from agent_tracker.installation import installing  # noqa: PLC0415 -- its imports are this command's alone
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415 -- its imports are this command's alone

    _only_one(repository, everything_under, template)
    if template:
        made = installing.put_into_template(_context())
        render_hooks.show_template(made, as_json=as_json)
    elif everything_under is not None:
        outcomes = list(installing.install_all(str(everything_under), _context(), style=style))
        shown = [render_hooks.outcome_json(outcome) for outcome in outcomes]
        render_hooks.show_outcomes(shown, render_hooks.outcome_lines(outcomes), as_json=as_json)
        raise typer.Exit(any(outcome.trouble for outcome in outcomes))
    else:
        found = _repository(repository)
        report, has_agents = installing.install(found, _context(), style=style)
        shown = [render_hooks.outcome_json(installing.Outcome(found.main_path, report, ""))]
        render_hooks.show_outcomes(shown, render_hooks.install_lines(report, has_agents=has_agents), as_json=as_json)


def _only_one(repository: Path | None, everything_under: Path | None, template: bool) -> None:  # noqa: FBT001
    if (repository is not None) + (everything_under is not None) + template > 1:
        raise UsageError("a repository, --all and --template exclude each other", "agent-tracker install-hooks --help")


@app.command("uninstall-hooks")
def uninstall_hooks_command(
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
        undone = installing.take_out_of_template(_context())
        render_hooks.show_template(undone, as_json=as_json)
        return
    found = _repository(repository)
    report, trouble = installing.uninstall(found, _context())
    shown = [render_hooks.uninstall_json(found.main_path, report, trouble)]
    render_hooks.show_outcomes(shown, render_hooks.uninstall_lines(report, trouble), as_json=as_json)


@app.command()
def flush(
    *,
    as_json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="Every repository that is known.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless something is wrong.")] = False,
) -> None:
    """Bring what the hooks recorded into the database now, instead of at the next push."""
    code = run_all(as_json=as_json, is_quiet=quiet) if everything else run_here(as_json=as_json, is_quiet=quiet)
    raise typer.Exit(code)


# -- agents ------------------------------------------------------------------------------------------------------------


def _asked(value: str | None, option: str, question: str) -> str:
    if value is not None:
        return value
    if not sys.stdin.isatty():
        raise UsageError(f"missing {option}", "agent-tracker register NAME --model MODEL --scope SCOPE")
    return str(typer.prompt(question))


@app.command()
def register(
    name: Annotated[str | None, typer.Argument(help="What people call it.")] = None,
    *,
    model: Annotated[str | None, typer.Option(help="The language model.")] = None,
    scope: Annotated[str | None, typer.Option(help="Its domain: backend, docs, whole repository ...")] = None,
    client: Annotated[str, typer.Option(help="The program it runs in: opencode, claude, codex ...")] = "",
    as_json: Json = False,
) -> None:
    """Register an agent: a name, a model and a scope. Its commits are credited from then on."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import agents  # noqa: PLC0415

    name = _asked(name, "NAME", "Name")
    model = _asked(model, "--model", "Model")
    scope = _asked(scope, "--scope", "Scope")
    done = agents.register(_context(), name, model=model, scope=scope, client=client)
    _show_agent(done, as_json=as_json, verb="Registered")
    if not as_json and not client:
        render.show(f"In its shell: export AGENT_TRACKER_AGENT={done.id}")


def _show_agent(agent: Agent, *, as_json: bool, verb: str) -> None:
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    if as_json:
        render.show_json("agent", render.agent_json(agent))
    else:
        render.show(
            f"{verb} {agent.id}: {render.safe(agent.name)}, {render.safe(agent.model)}, {render.safe(agent.scope)}"
        )


@agents_app.callback()
def agents_command(ctx: typer.Context, *, as_json: Json = False) -> None:
    """List, show, retire and resume agents."""
    if ctx.invoked_subcommand is None:
        _list_agents(as_json=as_json)


@agents_app.command("list")
def agents_list(*, as_json: Json = False) -> None:
    """Compare all agents."""
    _list_agents(as_json=as_json)


def _list_agents(*, as_json: bool) -> None:
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.views.standings import standings  # noqa: PLC0415

    store, _ = open_store(_context())
    with store.snapshot() as snapshot:
        agents = standings(snapshot) if snapshot else []
    if as_json:
        render.show_json("agents", render.agents_json(agents))
    elif agents:
        render.show(render.agents_table(agents))
    else:
        render.show("No agents yet: agent-tracker register NAME --model MODEL --scope SCOPE")


@agents_app.command("show")
def agents_show(agent: str, *, as_json: Json = False) -> None:
    """Show one agent's sheet."""
    from agent_tracker.registration import Roster  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    found = Roster(known_agents(_context())).one(agent)
    if as_json:
        render.show_json("agent", render.agent_json(found))
    else:
        render.show(*render.agent_sheet(found))


@agents_app.command("retire")
def agents_retire(agent: str, *, as_json: Json = False) -> None:
    """Retire an agent: its record stays, its new commits are refused."""
    from agent_tracker.verbs import agents  # noqa: PLC0415

    _show_agent(agents.set_state(_context(), agent, active=False), as_json=as_json, verb="Retired")


@agents_app.command("resume")
def agents_resume(agent: str, *, as_json: Json = False) -> None:
    """Let a retired agent commit again."""
    from agent_tracker.verbs import agents  # noqa: PLC0415

    _show_agent(agents.set_state(_context(), agent, active=True), as_json=as_json, verb="Resumed")


@app.command()
def use(
    agent: Annotated[str | None, typer.Argument(help="The agent's id or name.")] = None,
    *,
    hours: Annotated[float, typer.Option(help="For how long.")] = 8.0,
    stop: Annotated[bool, typer.Option("--stop", help="Use none any more.")] = False,
) -> None:
    """Credit this worktree's commits to an agent, for tools that leave no mark of their own."""
    from agent_tracker.registration import Roster  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import agents  # noqa: PLC0415

    repository, context = _repository(), _context()
    if stop:
        was_used = agents.stop_using(repository)
        render.show("No agent is in use here any more." if was_used else "No agent was in use here.")
        return
    if agent is None:
        raise UsageError("which agent?", "agent-tracker use AGENT, or: agent-tracker use --stop")
    found = Roster(known_agents(context)).one(agent)
    until = agents.use(repository, found, hours=hours, now_ns=context.now_ns)
    render.show(f"Commits in this worktree are credited to {found.id} until {render.local(until)}.")


@app.command()
def whoami(*, as_json: Json = False) -> None:
    """Say who a commit here and now would be credited to, and why."""
    from agent_tracker.hook import current_identity  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    context = _context()
    identity, _ = current_identity(_repository(), known_agents(context), context.env, now_ns=context.now_ns)
    if as_json:
        render.show_json("identity", render.identity_json(identity))
    else:
        render.show(render.identity_words(identity))


# -- reading -----------------------------------------------------------------------------------------------------------


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show this repository: hooks, spool, who commits, and that agent's standing."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import status as verb  # noqa: PLC0415

    found = verb.status(_repository(), _context())
    if as_json:
        render.show_json("status", render.status_json(found))
    else:
        render.show(*render.status_lines(found))


@app.command()
def log(
    *,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many commits.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Of all projects.")] = False,
    as_json: Json = False,
) -> None:
    """List commits with their agent and what they earned, newest first."""
    from agent_tracker.registration import Roster  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.views.log import log as view  # noqa: PLC0415

    context = _context()
    project = None if everywhere else find_project(_repository())
    agent_id = Roster(known_agents(context)).one(agent).id if agent else None
    store, _ = open_store(context)
    is_for_eyes = not as_json and sys.stdout.isatty()
    shown = limit or (TERMINAL_ROWS if is_for_eyes else None)
    with store.snapshot() as snapshot:
        entries = view(snapshot, project=project, limit=shown, agent=agent_id) if snapshot else []
    if as_json:
        render.show_json("commits", render.log_json(entries))
    elif entries:
        more = [f"The newest {shown}; for more: -n NUMBER"] if len(entries) == shown and not limit else []
        render.show(render.log_table(entries, with_project=everywhere), *more)
    else:
        render.show("No commits recorded here yet: commit, then push or: agent-tracker flush")


@app.command()
def credit(
    commit: Annotated[str, typer.Argument(help="Any revision.")],
    who: Annotated[str, typer.Argument(help="An agent's id or name, or: human")],
    *,
    why: Annotated[str, typer.Option(help="A word on the reason.")] = "",
) -> None:
    """Put a commit's credit right."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import agents  # noqa: PLC0415

    oid, credits, _ = agents.correct_credit(_repository(), _context(), commit, who, why=why)
    render.show(f"{oid.hex()[:12]} is credited to {credits[0][0]}.")


@app.command()
def verify(*, as_json: Json = False) -> None:
    """Check every record, and all standings against the facts they follow from."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verify import VerifyReport  # noqa: PLC0415
    from agent_tracker.verify import verify as check  # noqa: PLC0415

    store, _ = open_store(_context())
    with store.snapshot() as snapshot:
        report = check(snapshot) if snapshot else VerifyReport(0, 0, 0, ())
    if as_json:
        render.show_json("verify", {**report._asdict(), "clean": not report.problems})
    else:
        render.show(*render.verify_lines(report))
    raise typer.Exit(1 if report.problems else 0)


@app.command()
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

    context = _context()
    if path is not None:
        context = context._replace(env={name: v for name, v in context.env.items() if not name.startswith("GIT_")})
    found = verb.doctor(str(path or os.getcwd()), context, is_all=everywhere, is_fix=fix)
    if as_json:
        render.show_diagnosis_json(render_doctor.doctor_json(found))
    else:
        render.show(*render_doctor.doctor_lines(found))
    raise typer.Exit(1 if found.problems else 0)


# -- configuration -----------------------------------------------------------------------------------------------------


@config_app.callback()
def config_command(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show where each setting comes from; set and unset."""
    if ctx.invoked_subcommand is None:
        _list_settings(as_json=as_json)


@config_app.command("list")
def config_list(*, as_json: Json = False) -> None:
    """Show every setting, its value, and where that comes from."""
    _list_settings(as_json=as_json)


def _list_settings(*, as_json: bool) -> None:
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.config import SETTINGS  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    values = configuring.settings_here(os.getcwd(), _context())
    if as_json:
        render.show_json("settings", [value._asdict() for value in values])
    else:
        render.show(render.settings_table(values, {setting.name: setting.meaning for setting in SETTINGS}))


@config_app.command("get")
def config_get(name: str) -> None:
    """Print one setting's value."""
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.config import find_setting  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    wanted = find_setting(name).name
    values = configuring.settings_here(os.getcwd(), _context())
    render.show(render.safe(str(next(value.value for value in values if value.name == wanted))))


@config_app.command("set")
def config_set(name: str, value: str, *, repo: OfRepository = False) -> None:
    """Set a value for all repositories, or with --repo for this one."""
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    place = configuring.set_value(_repository() if repo else None, _context(), name, value)
    render.show(f"Set {name} in {render.safe(place)}.", *render_hooks.after_setting(name))


@config_app.command("unset")
def config_unset(name: str, *, repo: OfRepository = False) -> None:
    """Take a value out again."""
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    place = configuring.unset_value(_repository() if repo else None, _context(), name)
    if not place:
        raise ConfigError(f"{name} is not set there", "agent-tracker config shows where each value comes from")
    render.show(f"Unset {name} in {render.safe(place)}.", *render_hooks.after_setting(name))


# -- showing off -------------------------------------------------------------------------------------------------------


@app.command()
def demo() -> None:
    """Show the whole way in a throwaway repository and home: two agents, a refused stranger, an amend, a push."""
    from agent_tracker.benches.demo import demo as run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(sys.stdout))


def _show_progress(step: str) -> None:
    """Show the step that a long command is at, over the last one; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{step}")
        sys.stderr.flush()


@app.command()
def bench(
    *,
    commits: Annotated[int, typer.Option(min=3, help="Commits for each kind of hook.")] = 100,
    facts: Annotated[int, typer.Option(min=100, help="Commit facts for the store.")] = 100_000,
    as_json: Json = False,
) -> None:
    """Measure on this machine what the hooks add to a commit, and how fast the store is."""
    from agent_tracker.benches import bench as measure  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    figures = measure.bench(commits=commits, facts=facts, progress=_show_progress)
    if as_json:
        render.show_json("figures", measure.as_mapping(figures))
    else:
        render.show(*measure.as_lines(figures))
