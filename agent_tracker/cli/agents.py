"""Registering, listing, retiring and resuming agents, using one, and whose a commit is.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, asked, context_here, repository_here, repository_if_any, told
from agent_tracker.errors import UsageError
from agent_tracker.flush import known_agents
from agent_tracker.verbs.reading import agents_of, read

if TYPE_CHECKING:
    from agent_tracker.records import Agent
    from agent_tracker.registration import Identity
    from agent_tracker.tables import Snapshot

__all__ = ["agents_app", "credit", "register", "use", "whoami"]

agents_app = typer.Typer(help="List, show, retire and resume agents.", invoke_without_command=True)
REGISTER = "agent-tracker register NAME --model MODEL --scope SCOPE"


def register(
    name: Annotated[str | None, typer.Argument(help="What people call it.")] = None,
    *,
    model: Annotated[str | None, typer.Option(help="The language model.")] = None,
    scope: Annotated[str | None, typer.Option(help="Its domain: backend, docs, whole repository ...")] = None,
    client: Annotated[str, typer.Option(help="The program it runs in: opencode, claude, codex ...")] = "",
    as_json: Json = False,
) -> None:
    """Register an agent: a name, a model and a scope. Its commits are credited from then on."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- its imports are for what is shown alone
    from agent_tracker.verbs import agents  # noqa: PLC0415 -- as above

    name = asked(name, "NAME", "Name", REGISTER)
    model = asked(model, "--model", "Model", REGISTER)
    scope = asked(scope, "--scope", "Scope", REGISTER)
    done = agents.register(context_here(), name, model=model, scope=scope, client=client)
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
def agents_command(ctx: typer.Context, *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """List, show, retire and resume agents."""
    if ctx.invoked_subcommand is None:
        _list_agents(as_json=as_json, is_fresh=not no_flush)


@agents_app.command("list")
def agents_list(*, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Compare all agents."""
    _list_agents(as_json=as_json, is_fresh=not no_flush)


def _list_agents(*, as_json: bool, is_fresh: bool) -> None:
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.views.standings import standings  # noqa: PLC0415

    def compared(snapshot: Snapshot | None) -> list[Agent]:
        return standings(snapshot) if snapshot else []

    reading = read(context_here(), repository_if_any(), compared, is_fresh=is_fresh)
    agents = told(reading, is_something=bool(reading.value))
    if as_json:
        render.show_json("agents", render.agents_json(agents))
    elif agents:
        render.show(render.agents_table(agents))
    else:
        render.show(f"No agents yet: {REGISTER}")


@agents_app.command("show")
def agents_show(agent: str, *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Show one agent's sheet."""
    from agent_tracker.registration import Roster  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    context = context_here()

    def registered(snapshot: Snapshot | None) -> list[Agent]:
        return agents_of(snapshot, context)

    reading = read(context, repository_if_any(), registered, is_fresh=not no_flush)
    agents = told(reading, is_something=bool(reading.value))
    found = Roster(agents).one(agent)
    if as_json:
        render.show_json("agent", render.agent_json(found))
    else:
        render.show(*render.agent_sheet(found))


@agents_app.command("retire")
def agents_retire(agent: str, *, as_json: Json = False) -> None:
    """Retire an agent: its record stays, its new commits are refused."""
    from agent_tracker.verbs import agents  # noqa: PLC0415

    _show_agent(agents.set_state(context_here(), agent, active=False), as_json=as_json, verb="Retired")


@agents_app.command("resume")
def agents_resume(agent: str, *, as_json: Json = False) -> None:
    """Let a retired agent commit again."""
    from agent_tracker.verbs import agents  # noqa: PLC0415

    _show_agent(agents.set_state(context_here(), agent, active=True), as_json=as_json, verb="Resumed")


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
    from agent_tracker.hook import current_identity  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    repository, context = repository_here(), context_here()

    def who(snapshot: Snapshot | None) -> Identity:
        identity, _ = current_identity(repository, agents_of(snapshot, context), context.env, now_ns=context.now_ns)
        return identity

    identity = told(read(context, repository, who, is_fresh=not no_flush))
    if as_json:
        render.show_json("identity", render.identity_json(identity))
    else:
        render.show(render.identity_words(identity))


def credit(
    commit: Annotated[str, typer.Argument(help="Any revision.")],
    who: Annotated[str, typer.Argument(help="An agent's id or name, or: human")],
    *,
    why: Annotated[str, typer.Option(help="A word on the reason.")] = "",
) -> None:
    """Put a commit's credit right."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import agents  # noqa: PLC0415

    oid, credits, _ = agents.correct_credit(repository_here(), context_here(), commit, who, why=why)
    render.show(f"{oid.hex()[:12]} is credited to {credits[0][0]}.")
