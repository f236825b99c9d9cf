"""Registering, listing, retiring and resuming agents, using one, and whose a commit is.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, Plain, asked, context_here, repository_here, repository_if_any, told
from agent_tracker.errors import UsageError
from agent_tracker.flush import known_agents
from agent_tracker.lines import MAX_FIELD
from agent_tracker.projects import find_project
from agent_tracker.verbs.reading import agents_of, read

if TYPE_CHECKING:
    from agent_tracker.records import Agent
    from agent_tracker.registration import Identity
    from agent_tracker.tables import Snapshot
    from agent_tracker.views.sheet import Sheet
    from agent_tracker.views.standings import Query

__all__ = ["agents_app", "compare_agents", "credit", "reattribute", "register", "use", "whoami"]

agents_app = typer.Typer(help="List, show, retire and resume agents.", invoke_without_command=True)
Here = Annotated[bool, typer.Option("--here", help="What was done in this project alone.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
FIELDS = "xp, sp, tier, cs, commits, bugs, grades, seen, id, name, model, scope"
REGISTER = "agent-tracker register NAME --model MODEL --scope SCOPE"


def register(
    name: Annotated[str | None, typer.Argument(help="What people call it.")] = None,
    *,
    model: Annotated[str | None, typer.Option(help="The language model.")] = None,
    scope: Annotated[str | None, typer.Option(help="Its domain: backend, docs, whole repository ...")] = None,
    client: Annotated[str, typer.Option(help="The program it runs in: opencode, claude, codex ...")] = "",
    as_json: Json = False,
) -> None:
    """Register an agent: a name, a model and a scope. Its commits are credited from then on.

    In a coding agent's own shell this ties its session to the agent as well.
    """
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- its imports are for what is shown alone
    from agent_tracker.rendering.agents import registered_json, registered_lines  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import agents  # noqa: PLC0415 -- as above

    name = asked(name, "NAME", "Name", REGISTER)
    model = asked(model, "--model", "Model", REGISTER)
    scope = asked(scope, "--scope", "Scope", REGISTER)
    done = agents.register(context_here(), name, model=model, scope=scope, client=client)
    if as_json:
        render.show_json("agent", registered_json(done))
        return
    _show_agent(done.agent, as_json=False, verb="Registered" if done.is_new else "Registered before")
    render.show(*registered_lines(done))


def _show_agent(agent: Agent, *, as_json: bool, verb: str) -> None:
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.rendering.agents import agent_json  # noqa: PLC0415

    if as_json:
        render.show_json("agent", agent_json(agent))
    else:
        render.show(
            f"{verb} {agent.id}: {render.safe(agent.name)}, {render.safe(agent.model)}, {render.safe(agent.scope)}"
        )


@agents_app.callback()
def agents_command(  # noqa: PLR0913 -- its options
    ctx: typer.Context,
    *,
    here: Here = False,
    as_json: Json = False,
    as_csv: Csv = False,
    plain: Plain = False,
    no_flush: NoFlush = False,
) -> None:
    """Compare all agents; or list some of them, show, retire and resume one."""
    # Options that take a value are those of `list` alone: they cost 50 ms, and this is what is asked for most.
    if ctx.invoked_subcommand is None:
        from agent_tracker.views.standings import Query  # noqa: PLC0415

        _list_agents(Query(is_here=here), as_json=as_json, as_csv=as_csv, plain=plain, is_fresh=not no_flush)


@agents_app.command("list")
def agents_list(  # noqa: PLR0913 -- its options
    *,
    here: Here = False,
    sort: Annotated[str, typer.Option(help=f"By {FIELDS}; -xp is the other way round.")] = "xp",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    model: Annotated[str, typer.Option(help="Only with this in the model's name.")] = "",
    scope: Annotated[str, typer.Option(help="Only with this in the scope.")] = "",
    client: Annotated[str, typer.Option(help="Only in this client.")] = "",
    active: Annotated[bool, typer.Option("--active", help="Those whose commits are let through.")] = False,
    retired: Annotated[bool, typer.Option("--retired", help="Those that were retired.")] = False,
    halted: Annotated[bool, typer.Option("--halted", help="Those that reported bugs have stopped.")] = False,
    since: Annotated[str, typer.Option("--seen-since", help="With a commit since: 2026-11-20, or 30d.")] = "",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    as_json: Json = False,
    as_csv: Csv = False,
    plain: Plain = False,
    no_flush: NoFlush = False,
) -> None:
    """Compare agents: by XP earned, or another figure; over all projects or in this one."""
    from agent_tracker.marks import client_name  # noqa: PLC0415
    from agent_tracker.verbs.sheets import seen_since  # noqa: PLC0415
    from agent_tracker.views.standings import Query  # noqa: PLC0415

    chosen = zip(("active", "retired", "halted"), (active, retired, halted), strict=True)
    query = Query(
        sort,
        is_reversed=reverse,
        model=model,
        scope=scope,
        client=client_name(client) if client else "",
        states=frozenset(state for state, is_chosen in chosen if is_chosen),
        seen_since=seen_since(since, context_here().now) if since else 0,
        limit=limit,
        is_here=here,
    )
    _list_agents(query, as_json=as_json, as_csv=as_csv, plain=plain, is_fresh=not no_flush)


def compare_agents() -> None:
    """Show all agents beside one another, as `agents` does."""
    from agent_tracker.views.standings import Query  # noqa: PLC0415

    _list_agents(Query(), as_json=False, as_csv=False, plain=False, is_fresh=False)


def _list_agents(query: Query, *, as_json: bool, as_csv: bool, plain: bool, is_fresh: bool) -> None:
    from agent_tracker.rendering import agents as render  # noqa: PLC0415
    from agent_tracker.rendering.text import show, show_json, show_raw  # noqa: PLC0415
    from agent_tracker.verbs.sheets import read_sheets  # noqa: PLC0415
    from agent_tracker.views.standings import standings  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv at once", "agent-tracker agents list --csv")
    context, repository = context_here(), repository_here() if query.is_here else repository_if_any()
    project = find_project(repository) if repository else ""

    def compared(snapshot: Snapshot | None) -> list[Sheet]:
        return read_sheets(snapshot, context, project)

    reading = read(context, repository, compared, is_fresh=is_fresh)
    known = told(reading, is_something=bool(reading.value))
    sheets = standings(known, query)
    if as_json:
        show_json("agents", [render.sheet_json(sheet, with_grades=False) for sheet in sheets])
    elif as_csv:
        show_raw(render.agents_csv(sheets, is_here=query.is_here))
    elif sheets:
        caption = [render.here_caption(repository.main_path)] if repository and query.is_here else []
        show(*caption, *render.agents_lines(sheets, is_here=query.is_here, is_plain=plain))
    elif known:
        show(f"None of {len(known)} agents: agent-tracker agents")
    else:
        show(f"No agents yet: {REGISTER}")


@agents_app.command("show")
def agents_show(agent: str, *, as_json: Json = False, plain: Plain = False, no_flush: NoFlush = False) -> None:
    """Show one agent's sheet; of one that nobody knows, what it would begin with."""
    from agent_tracker.rendering import agents as render  # noqa: PLC0415
    from agent_tracker.rendering.text import show, show_json  # noqa: PLC0415
    from agent_tracker.verbs.sheets import find_sheet  # noqa: PLC0415

    context, repository = context_here(), repository_if_any()
    project = find_project(repository) if repository else ""

    def found(snapshot: Snapshot | None) -> Sheet:
        return find_sheet(snapshot, context, agent, project)

    reading = read(context, repository, found, is_fresh=not no_flush)
    sheet = told(reading, is_something=reading.value.is_registered)
    if as_json:
        show_json("agent", render.sheet_json(sheet, with_grades=True))
    else:
        show(*render.sheet_lines(sheet, is_plain=plain))


@agents_app.command("retire")
def agents_retire(agent: str, *, as_json: Json = False) -> None:
    """Retire an agent: its record stays, its new commits are refused."""
    from agent_tracker.verbs import agents  # noqa: PLC0415

    _show_agent(agents.set_state(context_here(), agent, active=False).agent, as_json=as_json, verb="Retired")


@agents_app.command("resume")
def agents_resume(agent: str, *, as_json: Json = False) -> None:
    """Let a retired or halted agent commit again."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import agents  # noqa: PLC0415

    resumed = agents.set_state(context_here(), agent, active=True)
    _show_agent(resumed.agent, as_json=as_json, verb="Resumed")
    if resumed.was_halted and not as_json:
        render.show(f"It has {resumed.agent.standing.skill_points} SP again.")


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

    repository, context = repository_here(), context_here()
    if stop:
        was_used = agents.stop_using(repository)
        render.show("No agent is in use here any more." if was_used else "No agent was in use here.")
        return
    if agent is None:
        raise UsageError("which agent?", "agent-tracker use AGENT, or: agent-tracker use --stop")
    found = Roster(known_agents(context)).one(agent)
    until = agents.use(repository, found, hours=hours, now_ns=context.now_ns)
    render.show(f"Commits in this worktree are credited to {found.id} until {render.local(until)}.")


def whoami(*, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Say who a commit here and now would be credited to, and why."""
    from agent_tracker.hook import current_identity, explain, halted_identity  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    repository, context = repository_here(), context_here()

    def who(snapshot: Snapshot | None) -> Identity:
        agents = agents_of(snapshot, context)
        identity, _ = current_identity(repository, agents, context.env, now_ns=context.now_ns)
        return identity if identity.problem else halted_identity(identity, agents)

    identity = told(read(context, repository, who, is_fresh=not no_flush))
    if as_json:
        render.show_json("identity", render.identity_json(identity))
    else:
        command = [f"  {explain(identity, context.env)[1]}"] if identity.problem else []
        render.show(render.identity_words(identity), *command)


def credit(
    commit: Annotated[str, typer.Argument(help="Any revision.")],
    who: Annotated[str, typer.Argument(help="An agent's id or name, or: human")],
    *,
    why: Annotated[str, typer.Option(help=f"A word on the reason, at most {MAX_FIELD:,} characters.")] = "",
    as_json: Json = False,
) -> None:
    """Put a commit's credit right. For people."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import agents  # noqa: PLC0415

    fact = agents.correct_credit(repository_here(), context_here(), commit, who, why=why).fact
    if as_json:
        render.show_json("credit", render.credit_json(fact))
    else:
        render.show(f"{fact.oid.hex()[:12]} is credited to {fact.credits[0][0]}.")


def reattribute(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Change nothing, and show what would.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Credit every commit anew by its marks, as this version knows them. For people."""
    from agent_tracker.rendering import reattribution as render  # noqa: PLC0415
    from agent_tracker.rendering.text import show_json  # noqa: PLC0415
    from agent_tracker.verbs import reattributing as verb  # noqa: PLC0415

    context, repository = context_here(), repository_if_any()
    repository = repository if repository and find_project(repository) else None
    if not (dry_run or yes):
        planned = verb.reattribute(repository, context, dry_run=True)
        if not sys.stdin.isatty():
            raise UsageError("this changes whose commits are: say so", "agent-tracker reattribute --yes, or --dry-run")
        render.show_reattribution(planned, is_dry_run=True)
        typer.confirm("Credit them anew?", abort=True)
    done = verb.reattribute(repository, context, dry_run=dry_run)
    if as_json:
        show_json("reattribution", render.reattribution_json(done, is_dry_run=dry_run))
    else:
        render.show_reattribution(done, is_dry_run=dry_run)
