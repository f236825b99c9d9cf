"""Beginning, ending and showing sessions.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agent_tracker.cli.base import Json, NoFlush, context_here, repository_here, repository_if_any, told
from agent_tracker.errors import AgentTrackerError, RegistrationError, UsageError
from agent_tracker.escaping import escape
from agent_tracker.projects import find_project
from agent_tracker.verbs.reading import agents_of, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.context import Context
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot
    from agent_tracker.verbs.noting import Noted
    from agent_tracker.verbs.session_sheets import Sheet
    from agent_tracker.views.sessions import Held

__all__ = ["session_app"]

T = TypeVar("T")

session_app = typer.Typer(help="Begin, end and show the sessions of agents.", invoke_without_command=True)
TERMINAL_ROWS = 20
"""How many sessions `list` shows on a terminal unless it is told: a pipe gets all."""

Session = Annotated[str, typer.Argument(metavar="[ID]", help="The session; default: the one of this shell.")]
Tools = Annotated[int, typer.Option(help="Successful uses of tools since the last word.")]
Commands = Annotated[int, typer.Option(help="Successful commands since the last word.")]
Failures = Annotated[int, typer.Option(help="Tools and commands that failed since the last word.")]
Responses = Annotated[
    list[int] | None, typer.Option("--response-ms", help="How long the model took to answer; once for each answer.")
]


@session_app.callback()
def session(ctx: typer.Context, *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Begin, end and show the sessions of agents."""
    if ctx.invoked_subcommand is None:
        _list(everywhere=False, only_open=False, agent=None, limit=None, as_json=as_json, is_fresh=not no_flush)


@session_app.command("start")
def start_command(  # noqa: PLR0913 -- one argument an option
    *,
    agent: Annotated[str, typer.Option(help="Whose; default: who would commit here and now.")] = "",
    session_id: Annotated[str, typer.Option("--id", help="The client's own id of it; default: a new one.")] = "",
    client: Annotated[str, typer.Option(help="The program it runs in; default: the agent's.")] = "",
    model: Annotated[str, typer.Option(help="The language model; default: the agent's.")] = "",
    process: Annotated[
        int | None, typer.Option(help="The process that lives as long as it; default: the caller. 0: not known.")
    ] = None,
    port: Annotated[int, typer.Option(help="Where the client listens.")] = 0,
    capability: Annotated[list[str] | None, typer.Option(help="A word for what it can do; may be repeated.")] = None,
    parent: Annotated[str, typer.Option(help="The session in which it begins.")] = "",
    as_json: Json = False,
) -> None:
    """Begin a session, or go on with one. Prints what to export, so that this works: eval "$(... session start)"."""
    from agent_tracker.processes import calling_process  # noqa: PLC0415 -- its imports are this command's alone
    from agent_tracker.rendering import sessions as render_sessions  # noqa: PLC0415 -- for what is shown alone
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import sessions  # noqa: PLC0415 -- as above

    alive = calling_process(os.getppid()) if process is None else process
    beginning = sessions.Beginning(agent, session_id, client, model, alive, port, tuple(capability or ()), parent)
    started = sessions.start(repository_here(), context_here(), beginning)
    _say_noted(started.noted)
    if started.trouble:
        print(f"warning: {escape(started.trouble)}; the hooks know the session once it is flushed", file=sys.stderr)
    if as_json:
        render.show_json("session", render_sessions.started_json(started))
        return
    print(render_sessions.started_words(started), file=sys.stderr)
    render.show(render_sessions.export_line(started.fact.id))


def _say_noted(noted: Noted | None) -> None:
    """Say on stderr why what was told waits."""
    if noted and noted.trouble:
        print(f"warning: {escape(noted.trouble)}; what was told waits in the spool", file=sys.stderr)


@session_app.command("beat")
def beat_command(  # noqa: PLR0913 -- one argument an option
    session_id: Session = "",
    *,
    tools: Tools = 0,
    commands: Commands = 0,
    failures: Failures = 0,
    response_ms: Responses = None,
    as_json: Json = False,
) -> None:
    """Say that a session is alive. It is written down and not flushed: a client may do so at each step."""
    _pulse(session_id, "beat", (tools, commands, failures), response_ms, as_json=as_json)


@session_app.command("idle")
def idle_command(  # noqa: PLR0913 -- as above
    session_id: Session = "",
    *,
    tools: Tools = 0,
    commands: Commands = 0,
    failures: Failures = 0,
    response_ms: Responses = None,
    as_json: Json = False,
) -> None:
    """Say that a session waits for its user."""
    _pulse(session_id, "idle", (tools, commands, failures), response_ms, as_json=as_json)


@session_app.command("end")
def end_command(  # noqa: PLR0913 -- as above
    session_id: Session = "",
    *,
    tools: Tools = 0,
    commands: Commands = 0,
    failures: Failures = 0,
    response_ms: Responses = None,
    as_json: Json = False,
) -> None:
    """End a session, flush, and show what was done in it. One that is over already stays as it is."""
    _pulse(session_id, "end", (tools, commands, failures), response_ms, as_json=as_json)


def _pulse(text: str, what: str, counts: tuple[int, int, int], response_ms: list[int] | None, *, as_json: bool) -> None:
    from agent_tracker.rendering import sessions as render_sessions  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import sessions  # noqa: PLC0415

    repository, context = repository_here(), context_here()
    used = sessions.Used(*counts, tuple(response_ms or ()))
    done = sessions.pulse(repository, context, text, what, used)
    _say_noted(done.noted)
    sheet = _sheet_after(repository, context, done.session) if what == "end" and not done.trouble else None
    if as_json:
        render.show_json("pulse", render_sessions.pulsed_json(done, what, sheet))
    elif what != "beat":
        render.show(render_sessions.pulsed_words(done, what), *(render_sessions.metric_words(sheet) if sheet else ()))


def _sheet_after(repository: Repository, context: Context, session_id: str) -> Sheet | None:
    """Return a session's sheet as the store has it now."""
    from agent_tracker.verbs.session_sheets import show_sheet  # noqa: PLC0415

    found = read(
        context,
        repository,
        lambda snapshot: _found(snapshot, lambda there: show_sheet(there, repository, context, session_id)),
        is_fresh=False,
    ).value
    return None if isinstance(found, AgentTrackerError) else found


def _found(snapshot: Snapshot | None, look: Callable[[Snapshot], T]) -> T | AgentTrackerError:
    """Return what is known of one session, or why nothing is: a store that cannot be read is told of first."""
    if snapshot is None:
        return RegistrationError("no session is known yet", "agent-tracker session start --agent AGENT")
    try:
        return look(snapshot)
    except (RegistrationError, UsageError) as error:
        return error


def _read_one(look: Callable[[Snapshot, Repository, Context], T], *, is_fresh: bool) -> T:
    """Return what is known of one session.

    Raises:
        RegistrationError: There is no such session.
        UsageError: Several may be meant.
    """
    repository, context = repository_here(), context_here()

    def looked(snapshot: Snapshot | None) -> T | AgentTrackerError:
        return _found(snapshot, lambda there: look(there, repository, context))

    reading = read(context, repository, looked, is_fresh=is_fresh)
    found = told(reading, is_something=not isinstance(reading.value, AgentTrackerError))
    if isinstance(found, AgentTrackerError):
        raise found
    return found


@session_app.command("list")
def list_command(  # noqa: PLR0913 -- as above
    *,
    everywhere: Annotated[bool, typer.Option("--all", help="Of all projects.")] = False,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """List sessions, the one that began last first."""
    _list(
        everywhere=everywhere,
        only_open=only_open,
        agent=agent,
        limit=limit,
        as_json=as_json,
        is_fresh=not no_flush,
    )


def _list(  # noqa: PLR0913 -- as above
    *, everywhere: bool, only_open: bool, agent: str | None, limit: int | None, as_json: bool, is_fresh: bool
) -> None:
    from agent_tracker.registration import Roster  # noqa: PLC0415
    from agent_tracker.rendering import sessions as render_sessions  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs.session_sheets import list_sheets  # noqa: PLC0415

    context = context_here()
    repository = repository_if_any() if everywhere else repository_here()
    shown = limit or (TERMINAL_ROWS if not as_json and sys.stdout.isatty() else None)

    def listed(snapshot: Snapshot | None) -> list[Sheet]:
        wanted = Roster(agents_of(snapshot, context)).one(agent).id if agent else ""

        def keep(held: Held) -> bool:
            return (not wanted or held.fact.agent == wanted) and not (only_open and held.state.ended_ns)

        project = find_project(repository) if repository and not everywhere else None
        return list_sheets(snapshot, now=context.now, project=project, keep=keep, limit=shown) if snapshot else []

    reading = read(context, repository, listed, is_fresh=is_fresh)
    sheets = told(reading, is_something=bool(reading.value))
    if as_json:
        render.show_json("sessions", [render_sessions.sheet_json(sheet) for sheet in sheets])
    elif sheets:
        render_sessions.show_sheets(sheets, with_project=everywhere)
        if len(sheets) == shown and not limit:
            render.show(f"The newest {shown}; for more: -n NUMBER")
    else:
        render.show("No sessions here yet: agent-tracker session start --agent AGENT")


@session_app.command("show")
def show_command(session_id: Session = "", *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Show one session: what it is, what it used, and the commits made in it."""
    from agent_tracker.rendering import sessions as render_sessions  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs.session_sheets import show_sheet  # noqa: PLC0415

    found = _read_one(
        lambda snapshot, repository, context: show_sheet(snapshot, repository, context, session_id),
        is_fresh=not no_flush,
    )
    if as_json:
        render.show_json("session", render_sessions.sheet_json(found))
    else:
        render.show(*render_sessions.sheet_lines(found))


@session_app.command("summary")
def summary_command(session_id: Session = "", *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Sum a session up for whoever goes on with it: what was done and what is open, in at most 2,000 characters."""
    from agent_tracker.rendering import sessions as render_sessions  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs.session_sheets import summarise  # noqa: PLC0415

    found = _read_one(
        lambda snapshot, repository, context: summarise(snapshot, repository, context, session_id),
        is_fresh=not no_flush,
    )
    if as_json:
        render.show_json("summary", render_sessions.summary_json(found))
    else:
        render.show(render_sessions.summary_text(found).removesuffix("\n"))
