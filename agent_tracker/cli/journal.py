"""Retrospectives and activities: written from options, a JSON object or an editor, listed and shown.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Generic, NamedTuple, TypeVar

import typer

from agent_tracker.cli.base import Json, NoFlush, context_here, repository_here, repository_if_any, told
from agent_tracker.errors import UsageError
from agent_tracker.escaping import escape
from agent_tracker.journal import ActivityFact, RetroFact
from agent_tracker.projects import find_project
from agent_tracker.verbs.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_tracker.context import Context
    from agent_tracker.journal import JournalFact
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot
    from agent_tracker.verbs.archive import Gone
    from agent_tracker.verbs.noting import Noted
    from agent_tracker.verbs.writing import Field, Sheet
    from agent_tracker.views.journal import ActivityEntry, Chosen, RetroEntry

__all__ = ["activity_app", "retro_app"]

retro_app = typer.Typer(help="Look back at a commit or a session; list and show.", invoke_without_command=True)
activity_app = typer.Typer(help="Note what was done and why; list and show.", invoke_without_command=True)

T = TypeVar("T")
WAIT_S = 5.0
"""How long something may take to come on standard input before it is taken for one that nobody writes to."""

TERMINAL_ROWS = 50
"""How many entries a list shows on a terminal unless it is told: a pipe gets all."""

JsonInput = Annotated[bool, typer.Option("--json-input", help="Read a JSON object from standard input; so does -.")]
OfAgent = Annotated[str, typer.Option("--agent", help="Only this agent's.")]
Since = Annotated[str, typer.Option("--since", help="Only since then: a date, 3d, or a revision.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")]
Everywhere = Annotated[bool, typer.Option("--all", help="Of all projects.")]


class _Wanted(NamedTuple):
    agent: str
    since: str
    limit: int | None
    everywhere: bool


class _Read(NamedTuple, Generic[T]):
    entries: list[T]
    paths: dict[str, str]
    gone: Gone | None


def _written(
    options: Mapping[str, str | None],
    fields: Mapping[str, Field],
    sheet: Sheet,
    accept: Callable[[dict[str, str]], T],
    *,
    from_stdin: bool,
) -> T:
    """Return what `accept` makes of the texts: from options, standard input, or an editor, in this order.

    Where options are given, standard input is left alone: it may be a pipe that nobody writes to.
    """
    import os  # noqa: PLC0415

    from agent_tracker.verbs import writing  # noqa: PLC0415 -- its imports are for what is written alone

    given = {name: value for name, value in options.items() if value is not None}
    if from_stdin:
        if given:
            names = ", ".join("--" + name.replace("_", "-") for name in given)
            raise UsageError(f"{names} and a JSON object on standard input", "give one of them")
        return accept(writing.read_document(writing.read_input(sys.stdin.buffer if sys.stdin else None), fields))
    if given:
        return accept(given)
    is_terminal = bool(sys.stdin and sys.stdin.isatty())
    piped = "" if is_terminal else _piped(sheet.instead)
    if piped.strip():
        return accept(writing.read_document(piped, fields))
    if not is_terminal and not any(os.environ.get(name, "").strip() for name in ("VISUAL", "EDITOR")):
        hint = f"{sheet.instead}, with -"
        raise UsageError("nothing to note was given, and this is no terminal for an editor", hint)
    is_shown = bool(sys.stdout and sys.stdout.isatty())
    return writing.edit_fields(sheet, os.environ, accept, is_terminal=is_terminal and is_shown)


def _piped(instead: str) -> str:
    """Return what standard input holds, empty where it is closed.

    Raises:
        UsageError: Nothing comes, and its other end is open.
    """
    if sys.stdin is None:
        return ""
    from select import select  # noqa: PLC0415 -- as below

    from agent_tracker.verbs.writing import read_input  # noqa: PLC0415 -- its imports are for what is written alone

    try:
        is_ready = bool(select([sys.stdin], [], [], WAIT_S)[0])
    except (OSError, ValueError):
        is_ready = True  # not known of such a file
    if not is_ready:
        raise UsageError(f"nothing came on standard input for {WAIT_S:g} seconds", f"{instead}, with -")
    return read_input(sys.stdin.buffer)


def _revision(words: list[str]) -> tuple[str, bool]:
    """Return the one revision among the words, and whether a `-` is among them."""
    named = [word for word in words if word != "-"]
    if len(named) > 1:
        raise UsageError(f"one commit, not {len(named)}", "agent-tracker retro add COMMIT")
    return (named[0] if named else ""), "-" in words


def _tell(noted: Noted) -> None:
    """Say on stderr why what was noted waits."""
    if noted.trouble:
        print(f"warning: noted in the spool for the next flush: {escape(noted.trouble)}", file=sys.stderr)


# -- retrospectives


@retro_app.callback()
def retro_command(ctx: typer.Context, *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Look back at a commit or a session; list and show."""
    if ctx.invoked_subcommand is None:
        _list_retros(_Wanted("", "", None, everywhere=False), as_json=as_json, is_fresh=not no_flush)


@retro_app.command("add")
def retro_add(  # noqa: PLR0913 -- one argument an option
    commit: Annotated[
        list[str] | None, typer.Argument(help="Any revision; HEAD without one. - reads JSON, as a pipe does.")
    ] = None,
    *,
    session: Annotated[str, typer.Option(help="About a session, by its id.")] = "",
    task: Annotated[str | None, typer.Option(help="What was to be done.")] = None,
    agent_grade: Annotated[str | None, typer.Option(help="The agent's: bad, neutral, good, excellence.")] = None,
    user_grade: Annotated[str | None, typer.Option(help="The user's: bad, neutral, good, excellence.")] = None,
    agent_note: Annotated[str | None, typer.Option(help="What the agent has to say.")] = None,
    user_note: Annotated[str | None, typer.Option(help="What the user has to say.")] = None,
    json_input: JsonInput = False,
    as_json: Json = False,
) -> None:
    """Look back at a commit or a session. A grade given here moves the score like any other."""
    from agent_tracker.rendering import journal as render_journal  # noqa: PLC0415 -- for what is shown alone
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415 -- its imports are these commands' alone
    from agent_tracker.verbs.writing import Sheet  # noqa: PLC0415

    repository, context = repository_here(), context_here()
    revision, has_dash = _revision(commit or [])
    subject = verb.find_subject(repository, context, revision=revision, session=session)
    options = {
        "task": task,
        "agent_grade": agent_grade,
        "user_grade": user_grade,
        "agent_note": agent_note,
        "user_note": user_note,
    }
    about = f"commit {subject.oid.hex()[:12]}" if subject.oid else f"session {subject.session}"

    def accept(values: dict[str, str]) -> verb.RetroDone:
        return verb.add_retro(repository, context, subject, values)

    sheet = Sheet(f"A look back at {about} by {subject.agent}", verb.retro_fields(context.env), {})
    done = _written(options, verb.RETRO_FIELDS, sheet, accept, from_stdin=json_input or has_dash)
    _tell(done.noted)
    if as_json:
        shown = render_journal.retro_json(done.entry, {}) if done.entry else {"id": done.fact.id}
        render.show_json("retrospective", shown)
        return
    moved = f": {done.entry.score_before} -> {done.entry.score_after} CS" if done.entry else ""
    render.show(f"Retrospective {done.fact.id} of {render.safe(about)} by {subject.agent}{moved}")


@retro_app.command("list")
def retro_list(  # noqa: PLR0913 -- one argument an option
    *,
    agent: OfAgent = "",
    since: Since = "",
    limit: Limit = None,
    everywhere: Everywhere = False,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """List the retrospectives, newest first."""
    _list_retros(_Wanted(agent, since, limit, everywhere), as_json=as_json, is_fresh=not no_flush)


def _list_retros(wanted: _Wanted, *, as_json: bool, is_fresh: bool) -> None:
    from agent_tracker.rendering import journal as render_journal  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415

    found = _listed(wanted, verb.retros, RetroFact, as_json=as_json, is_fresh=is_fresh)
    if as_json:
        render.show_json("retrospectives", render_journal.retros_json(found.entries, found.paths))
    elif found.entries:
        render_journal.show_retros(found.entries)
    elif not found.gone:
        render.show("No retrospectives here yet: agent-tracker retro add")
    _tell_gone(found.gone, "retrospectives", as_json=as_json)


@retro_app.command("show")
def retro_show(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning of it.")],
    *,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """Show one retrospective."""
    from agent_tracker.rendering import journal as render_journal  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415

    def found(snapshot: Snapshot | None) -> tuple[RetroEntry, dict[str, str]]:
        return verb.one_retro(snapshot, entry_id), _paths(snapshot)

    entry, paths = told(read(context_here(), repository_if_any(), found, is_fresh=not no_flush))
    if as_json:
        render.show_json("retrospective", render_journal.retro_json(entry, paths))
    else:
        render.show(*render_journal.retro_lines(entry))


# -- activities


@activity_app.callback()
def activity_command(ctx: typer.Context, *, as_json: Json = False, no_flush: NoFlush = False) -> None:
    """Note what was done and why; list and show."""
    if ctx.invoked_subcommand is None:
        _list_activities(_Wanted("", "", None, everywhere=False), as_json=as_json, is_fresh=not no_flush)


@activity_app.command("add")
def activity_add(  # noqa: PLR0913 -- one argument an option
    dash: Annotated[str, typer.Argument(metavar="-", help="- reads a JSON object from standard input.")] = "",
    *,
    task: Annotated[str | None, typer.Option(help="What was to be done.")] = None,
    actions: Annotated[str | None, typer.Option(help="What was done.")] = None,
    outcome: Annotated[str | None, typer.Option(help="What came of it.")] = None,
    decisions: Annotated[str | None, typer.Option(help="What was decided, and why.")] = None,
    agent: Annotated[str, typer.Option(help="Whose; without it, who would commit here and now.")] = "",
    session: Annotated[str, typer.Option(help="In which session.")] = "",
    commit: Annotated[str, typer.Option(help="The commit that it belongs to.")] = "",
    json_input: JsonInput = False,
    as_json: Json = False,
) -> None:
    """Note what an agent did and why."""
    from agent_tracker.rendering import journal as render_journal  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415
    from agent_tracker.verbs.writing import Sheet  # noqa: PLC0415
    from agent_tracker.views.journal import ActivityEntry  # noqa: PLC0415

    if dash not in {"", "-"}:
        raise UsageError(f"what is {dash[:40]!r}?", "agent-tracker activity add --task TEXT")
    repository, context = repository_here(), context_here()
    options = {"task": task, "actions": actions, "outcome": outcome, "decisions": decisions}

    def accept(values: dict[str, str]) -> verb.ActivityDone:
        return verb.add_activity(repository, context, values, agent=agent, session=session, revision=commit)

    from_stdin = json_input or dash == "-"
    sheet = Sheet("What was done, and why", verb.ACTIVITY_FIELDS, {})
    done = _written(options, verb.ACTIVITY_FIELDS, sheet, accept, from_stdin=from_stdin)
    _tell(done.noted)
    if as_json:
        entry = ActivityEntry(done.fact, is_forgotten=False)
        render.show_json("activity", render_journal.activity_json(entry, {"": repository.main_path}))
    else:
        render.show(f"Activity {done.fact.id} of {done.fact.agent}")


@activity_app.command("list")
def activity_list(  # noqa: PLR0913 -- one argument an option
    *,
    agent: OfAgent = "",
    since: Since = "",
    limit: Limit = None,
    everywhere: Everywhere = False,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """List the activities, newest first."""
    _list_activities(_Wanted(agent, since, limit, everywhere), as_json=as_json, is_fresh=not no_flush)


def _list_activities(wanted: _Wanted, *, as_json: bool, is_fresh: bool) -> None:
    from agent_tracker.rendering import journal as render_journal  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415

    found = _listed(wanted, verb.activities, ActivityFact, as_json=as_json, is_fresh=is_fresh)
    if as_json:
        render.show_json("activities", render_journal.activities_json(found.entries, found.paths))
    elif found.entries:
        render_journal.show_activities(found.entries)
    elif not found.gone:
        render.show("No activities here yet: agent-tracker activity add")
    _tell_gone(found.gone, "activities", as_json=as_json)


@activity_app.command("show")
def activity_show(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning of it.")],
    *,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """Show one activity."""
    from agent_tracker.rendering import journal as render_journal  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415

    def found(snapshot: Snapshot | None) -> tuple[ActivityEntry, dict[str, str]]:
        return verb.one_activity(snapshot, entry_id), _paths(snapshot)

    entry, paths = told(read(context_here(), repository_if_any(), found, is_fresh=not no_flush))
    if as_json:
        render.show_json("activity", render_journal.activity_json(entry, paths))
    else:
        render.show(*render_journal.activity_lines(entry))


# -- both


def _tell_gone(gone: Gone | None, noun: str, *, as_json: bool) -> None:
    """Say below a list for a person what it cannot have."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.rendering.capacity import gone_line  # noqa: PLC0415

    if gone and not as_json:
        render.show(gone_line(gone, noun))


def _listed(
    wanted: _Wanted,
    view: Callable[[Snapshot | None, Chosen], list[T]],
    of: type[JournalFact],
    *,
    as_json: bool,
    is_fresh: bool,
) -> _Read[T]:
    """Return the entries that are wanted, newest first, the projects' paths, and how many of all were archived."""
    from agent_tracker.verbs import archive as archive_verb  # noqa: PLC0415
    from agent_tracker.verbs import journal as verb  # noqa: PLC0415

    context = context_here()
    repository = repository_if_any() if wanted.everywhere else repository_here()
    since = _since(wanted.since, repository, context)
    limit = wanted.limit or (TERMINAL_ROWS if not as_json and sys.stdout.isatty() else None)
    project = find_project(repository) if repository and not wanted.everywhere else None

    def listed(snapshot: Snapshot | None) -> _Read[T]:
        which = verb.chosen(snapshot, context, project=project, agent=wanted.agent, since=since, limit=limit)
        return _Read(view(snapshot, which), _paths(snapshot), archive_verb.gone(snapshot, of))

    reading = read(context, repository, listed, is_fresh=is_fresh)
    return told(reading, is_something=bool(reading.value.entries))


def _since(text: str, repository: Repository | None, context: Context) -> int:
    if not text:
        return 0
    from agent_tracker.verbs.review import find_since  # noqa: PLC0415 -- its imports are for this option alone

    return find_since(text, repository or repository_here(), now=context.now)


def _paths(snapshot: Snapshot | None) -> dict[str, str]:
    """Return the projects' paths by their ids."""
    if snapshot is None:
        return {}
    return {fact.id: fact.path.decode("utf-8", "backslashreplace") for fact in snapshot.projects()}
