"""The status, the log, and the check of the records.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, Plain, context_here, repository_here, repository_if_any, told
from agent_tracker.context import open_store
from agent_tracker.errors import DamageError, StoreBusyError
from agent_tracker.escaping import escape
from agent_tracker.projects import find_project
from agent_tracker.verbs.reading import TIMEOUT_S, agents_of, read

if TYPE_CHECKING:
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot
    from agent_tracker.verbs.status import Status
    from agent_tracker.verify import VerifyReport
    from agent_tracker.views.log import LogEntry

__all__ = ["log", "status", "verify"]

TERMINAL_ROWS = 50
"""How many commits `log` shows on a terminal unless it is told: a pipe gets all."""

LARGE_BYTES = 8 << 20
"""A file of which reading all takes long enough to say that it is being read."""


def status(*, as_json: Json = False, plain: Plain = False, no_flush: NoFlush = False) -> None:
    """Show this repository: hooks, spool, who commits, and that agent's standing."""
    from agent_tracker.obstacles import cause_of  # noqa: PLC0415 -- for what is wrong alone
    from agent_tracker.rendering import agents as render  # noqa: PLC0415 -- its imports are for what is shown alone
    from agent_tracker.rendering.text import show, show_json  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import status as verb  # noqa: PLC0415 -- its imports are this command's alone

    repository, context = repository_here(), context_here()

    def collected(snapshot: Snapshot | None) -> Status:
        return verb.status(repository, context, snapshot)

    reading = read(context, repository, collected, is_fresh=not no_flush)
    found = told(reading)
    if reading.error:
        found = found._replace(trouble=reading.error.message, cause=cause_of(reading.error))
    if as_json:
        show_json("status", render.status_json(found))
    else:
        show(*render.status_lines(found, is_plain=plain))


def log(  # noqa: PLR0913 -- its options
    *,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many commits.")] = None,
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    everywhere: Annotated[bool, typer.Option("--all", help="Of all projects.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Say what each commit's credit rests on.")] = False,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """List commits with their agent and what they earned, newest first."""
    from agent_tracker.commit_search import commits_of  # noqa: PLC0415
    from agent_tracker.reasons import Reasons  # noqa: PLC0415
    from agent_tracker.registration import Roster  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.stored_facts import find_correction  # noqa: PLC0415
    from agent_tracker.views.log import log as view  # noqa: PLC0415

    context = context_here()
    repository = repository_if_any() if everywhere else repository_here()
    is_for_eyes = not as_json and sys.stdout.isatty()
    shown = limit or (TERMINAL_ROWS if is_for_eyes else None)

    def listed(snapshot: Snapshot | None) -> list[LogEntry]:
        agent_id = Roster(agents_of(snapshot, context)).one(agent).id if agent else ""
        if snapshot is None:
            return []
        project = find_project(repository) if repository and not everywhere else None
        numbers = None if project is None else snapshot.joined_projects(project)
        commits = commits_of(snapshot, agent_id, numbers) if agent_id else snapshot.commits(numbers)
        reason = Reasons(snapshot).why if why or as_json else lambda _: None
        return view(snapshot, commits, limit=shown, correction=lambda oid: find_correction(snapshot, oid), why=reason)

    reading = read(context, repository, listed, is_fresh=not no_flush)
    entries = told(reading, is_something=bool(reading.value))
    if as_json:
        render.show_json("commits", render.log_json(entries))
    elif entries:
        more = [f"The newest {shown}; for more: -n NUMBER"] if len(entries) == shown and not limit else []
        listed_table = render.log_table(entries, with_project=everywhere, with_why=why)
        render.show(listed_table, *render.log_legend(entries), *more)
    else:
        render.show("No commits recorded here yet: commit, and see: agent-tracker status")


def verify(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="The file, checksums and counts alone.")] = False,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """Check the file and every record, and all standings against the facts they follow from."""
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verify import VerifyReport  # noqa: PLC0415
    from agent_tracker.verify import verify as check  # noqa: PLC0415

    context = context_here()
    store, _ = open_store(context)
    report = _checked_file(store, is_needed=quick) if store.exists() else VerifyReport(0, 0, 0, ())
    is_damaged = bool(report.problems)
    if not (quick or is_damaged):
        with render.progress("checking the records") as say:

            def checked(snapshot: Snapshot | None) -> VerifyReport:
                return check(snapshot, progress=say) if snapshot else VerifyReport(0, 0, 0, ())

            reading = read(context, repository_if_any(), checked, is_fresh=not no_flush, is_exact=True)
        # What was salvaged proves nothing of the store.
        report = told(reading, is_something=False)
    if as_json:
        level = "quick" if quick else "full"
        render.show_json("verify", {**report._asdict(), "clean": not report.problems, "level": level})
    else:
        render.show(*render.verify_lines(report, is_quick=quick))
    if is_damaged:
        raise DamageError(f"the database {store.path} is damaged", "agent-tracker recover")
    raise typer.Exit(1 if report.problems else 0)


def _checked_file(store: Store, *, is_needed: bool) -> VerifyReport:
    """Return what is wrong with the database's file; with a warning and nothing wrong where that cannot be told now.

    Raises:
        StoreBusyError: It cannot be told, and it is needed.
    """
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verify import VerifyReport, verify_file  # noqa: PLC0415

    try:
        with render.progress("checking the file", is_long=os.path.getsize(store.path) > LARGE_BYTES):
            return verify_file(store.path, timeout_s=TIMEOUT_S)
    except StoreBusyError as error:
        if is_needed:
            raise
        print(f"warning: the file itself was not checked: {escape(error.message)}", file=sys.stderr)
        return VerifyReport(0, 0, 0, ())
