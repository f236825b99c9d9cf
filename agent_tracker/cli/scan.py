"""Reading the history that is there already, as a command and where hooks are installed.

Owns the command's options, the question, and showing how far it is. Never holds logic of its own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path  # noqa: TC003 -- Typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import QUIET_S, Json, StatusLine, context_here, repository_here
from agent_tracker.errors import AgentTrackerError
from agent_tracker.escaping import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.repository import Repository
    from agent_tracker.verbs.scan import Outcome

__all__ = ["is_wanted", "scan", "scan_and_show"]


class _Progress:
    """How far a scan is, how fast, and how much longer it takes, over what was said last; on a terminal alone."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._line = StatusLine()

    def __call__(self, what: str, done: int, of: int) -> None:
        """Say how far it is."""
        if not done:
            self._began = time.monotonic()
        taken = time.monotonic() - self._began
        if taken <= QUIET_S and not self._line.is_shown:
            return
        rate = done / taken if taken else 0
        left = f", {rate:,.0f} a second, {(of - done) / rate:.0f} s left" if rate else ""
        self._line.say(f"{what}: {done} of {of}{left}")

    def close(self) -> None:
        """Take away what was said."""
        self._line.close()


def scan(
    repositories: Annotated[
        list[Path] | None, typer.Argument(metavar="REPOSITORY", help="Where; default: here.")
    ] = None,
    *,
    since: Annotated[str, typer.Option(help="Commits since: 2026-11-20, or 30d.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Change nothing, and show what would be found, and by which marks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read the history that is there already: register the agents that left marks in it, and credit their commits."""
    from agent_tracker.rendering import scan as render_scan  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering.text import show, show_json  # noqa: PLC0415 -- as above
    from agent_tracker.verbs.scan import added_up  # noqa: PLC0415 -- as above
    from agent_tracker.verbs.sheets import seen_since  # noqa: PLC0415 -- as above

    at = seen_since(since, context_here().now, option="--since") if since else 0
    where = [str(path) for path in repositories] if repositories else [repository_here()]
    outcomes = _scanned(where, since=at, dry_run=dry_run, as_json=as_json)
    agents = added_up(outcome.scanned for outcome in outcomes if outcome.scanned)
    if as_json:
        show_json("scan", render_scan.scan_json(outcomes, agents, is_dry_run=dry_run))
    elif agents:
        render_scan.show_found(agents)
        if not dry_run:
            show("To compare them with all others: agent-tracker agents")
    raise typer.Exit(any(outcome.trouble for outcome in outcomes))


def _scanned(where: Sequence[Repository | str], *, since: int, dry_run: bool, as_json: bool) -> list[Outcome]:
    """Return what was found, having said it of one repository after the other.

    Raises:
        AgentTrackerError: There is one repository alone, and it could not be scanned.
    """
    from agent_tracker.rendering import scan as render_scan  # noqa: PLC0415
    from agent_tracker.rendering.text import show  # noqa: PLC0415
    from agent_tracker.verbs.scan import scan_each  # noqa: PLC0415

    progress = _Progress()
    outcomes = []
    try:
        for outcome in scan_each(where, context_here(), since=since, dry_run=dry_run, progress=progress):
            progress.close()
            if outcome.trouble and len(where) == 1:
                raise outcome.trouble
            outcomes.append(outcome)
            lines = render_scan.scan_line(outcome, is_dry_run=dry_run)
            if outcome.trouble:
                print(f"error: {escape(lines[0])}", file=sys.stderr)
            elif not as_json:
                show(*lines)
    finally:
        progress.close()
    return outcomes


def is_wanted(repository: Repository, *, scan: bool | None, as_json: bool) -> bool:
    """Tell whether a repository's history is to be read: as it was said, else by asking at a terminal, once."""
    from agent_tracker.verbs.scan import is_scanned  # noqa: PLC0415

    if scan is not None:
        return scan
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        if is_scanned(repository, context_here()):
            return False
    except AgentTrackerError:
        return False
    question = "Read the history that is here already, and credit the agents that left marks in it?"
    return bool(typer.confirm(question, default=True))


def scan_and_show(repositories: Sequence[Repository | str]) -> bool:
    """Scan repositories and end with the table that compares all agents; return whether all could be scanned."""
    from agent_tracker.cli.agents import compare_agents  # noqa: PLC0415

    outcomes = _scanned(repositories, since=0, dry_run=False, as_json=False)
    compare_agents()
    return not any(outcome.trouble for outcome in outcomes)
