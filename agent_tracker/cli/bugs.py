"""Reporting, withdrawing and listing bugs.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, announce_all, context_here, repository_here, repository_if_any
from agent_tracker.cli.grading import Note, note_of
from agent_tracker.cli.listing import list_entries
from agent_tracker.ending import complain
from agent_tracker.errors import GitError, UsageError
from agent_tracker.flush import known_agents
from agent_tracker.registration import Roster

if TYPE_CHECKING:
    from agent_tracker.context import Context
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot
    from agent_tracker.verbs.bugs import BugEntry, Reported

__all__ = ["bug", "bugs"]

EXAMPLE = "agent-tracker bug COMMIT --note 'what is wrong'"


def bug(  # noqa: PLR0913 -- options
    target: Annotated[
        str | None, typer.Argument(metavar="COMMIT|AGENT", help="Any revision, or an agent's id or name.")
    ] = None,
    *,
    commit: Annotated[str, typer.Option(help="The commit, where a word could be an agent's name too.")] = "",
    agent: Annotated[str, typer.Option(help="The agent, where a word could be a commit's too.")] = "",
    note: Note = "",
    fixed_by: Annotated[str, typer.Option(help="The commit that mends it.")] = "",
    amend: Annotated[bool, typer.Option("--amend", help="Add the Fixes: trailer to it without asking.")] = False,
    withdraw: Annotated[str, typer.Option(metavar="ID", help="Take a report back.")] = "",
    why: Annotated[str, typer.Option(help="Why it is taken back.")] = "",
    as_json: Json = False,
) -> None:
    """Report a bug in a commit or against an agent, which costs the agent SP; --withdraw takes it back. For people."""
    named = [(kind, word) for kind, word in (("", target), ("commit", commit), ("agent", agent)) if word]
    if withdraw:
        if named or note or fixed_by or amend:
            raise UsageError(
                "--withdraw goes with --why alone", "agent-tracker bug --withdraw ID --why 'not its fault'"
            )
        _withdraw(withdraw, why, as_json=as_json)
        return
    if why:
        raise UsageError("--why goes with --withdraw", "agent-tracker bug --withdraw ID --why 'not its fault'")
    if len(named) != 1:
        raise UsageError("one commit or one agent is needed", EXAMPLE)
    kind, word = named[0]
    _report(kind, word, note=note_of(note), fixed_by=fixed_by, is_amending=amend, as_json=as_json)


def _report(  # noqa: PLR0913 -- options
    kind: str, word: str, *, note: str, fixed_by: str, is_amending: bool, as_json: bool
) -> None:
    from agent_tracker.rendering import bugs as render_bugs  # noqa: PLC0415 -- its imports are for what is shown alone
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import bugs as verb  # noqa: PLC0415 -- its imports are these commands' alone

    repository = repository_if_any()
    if repository is None and not (kind != "commit" and Roster(known_agents(context_here())).named(word)):
        repository = repository_here()  # says why there is none
    done = verb.report(
        repository,
        context_here(),
        word,
        kind=kind,
        note_text=note,
        fixed_by=fixed_by,
        is_amending=is_amending,
    )
    announce_all()  # before anything is asked
    if not as_json:
        render.show(*render_bugs.reported_lines(done))
    is_wanted = is_amending or (not as_json and _is_agreed(done))
    amended, code = _amend(repository, done) if repository and is_wanted else (b"", 0)
    if as_json:
        render.show_json("bug", render_bugs.reported_json(done, amended))
    elif amended:
        render.show(f"{done.fixed_by.hex()[:10]} became {amended.hex()[:10]}, which says: {_trailer(done)}")
    elif not is_wanted:
        render.show(*render_bugs.offer_lines(done))
    if code:
        raise typer.Exit(code)


def _trailer(done: Reported) -> str:
    return done.offer.trailer if done.offer else ""


def _is_agreed(done: Reported) -> bool:
    """Ask, where it can be done and there is somebody to ask."""
    if done.offer is None or done.offer.why_not or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return typer.confirm(f"Add '{done.offer.trailer}' to {done.fixed_by.hex()[:10]} (amends it)?", default=False)


def _amend(repository: Repository, done: Reported) -> tuple[bytes, int]:
    """Return what the fixing commit became and the exit code: the bug is reported, whatever git says of the amend."""
    from agent_tracker.verbs.bugs import add_trailer  # noqa: PLC0415

    try:
        return add_trailer(repository, context_here(), done), 0
    except GitError as error:
        return b"", complain(error)


def _withdraw(bug_id: str, why: str, *, as_json: bool) -> None:
    from agent_tracker.rendering import bugs as render_bugs  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import bugs as verb  # noqa: PLC0415

    done = verb.withdraw(repository_if_any(), context_here(), bug_id, why=note_of(why))
    if as_json:
        render.show_json("bug", render_bugs.withdrawn_json(done))
    else:
        render.show(*render_bugs.withdrawn_lines(done))


def bugs(
    *,
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    everywhere: Annotated[bool, typer.Option("--all", help="Of all projects.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """List the bugs that were reported, newest first, the withdrawn ones too."""
    from agent_tracker.rendering import bugs as render_bugs  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import bugs as verb  # noqa: PLC0415

    def listed(snapshot: Snapshot | None, context: Context, project: str | None, shown: int | None) -> list[BugEntry]:
        return verb.bugs(snapshot, context, project=project, agent=agent, limit=shown)

    entries, more = list_entries(listed, everywhere=everywhere, limit=limit, as_json=as_json, no_flush=no_flush)
    if as_json:
        render.show_json("bugs", render_bugs.bugs_json(entries))
    elif entries:
        render_bugs.show_bugs(entries)
        render.show(*more)
    else:
        render.show(f"No bugs reported here: {EXAMPLE}")
