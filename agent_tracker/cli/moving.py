"""Facts to a file and from files: moving to another machine, merging two stores.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from agent_tracker.cli.base import QUIET_S, Json, StatusLine, context_here, repository_if_any
from agent_tracker.errors import UsageError
from agent_tracker.escaping import escape

__all__ = ["export", "import_"]


class _Progress:
    """How far long work is, over what was said last, on a terminal alone."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._line = StatusLine()

    def __call__(self, what: str, done: int, of: int) -> None:
        """Say how far it is."""
        if time.monotonic() - self._began > QUIET_S:
            self._line.say(f"{what}: {done} of {of}")

    def close(self) -> None:
        """Take away what was said."""
        self._line.close()


def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - or nothing for standard output.")] = "-",
    *,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Every fact, one a line, as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say in JSON what was written to FILE.")] = False,
) -> None:
    """Write every fact to a file, to move to another machine or to keep; import reads it."""
    from agent_tracker.rendering import moving as render_moving  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import moving as verb  # noqa: PLC0415 -- its imports are this command's alone

    if not jsonl:
        raise UsageError("say in which form: there is one so far", "agent-tracker export --jsonl FILE")
    is_stream = file == verb.STREAM
    if is_stream and as_json:
        raise UsageError("--json says what was written to a file", "agent-tracker export --jsonl --json FILE")
    progress = _Progress()
    try:
        out = sys.stdout.buffer if is_stream else None
        told = progress if not (is_stream and sys.stdout.isatty()) else verb.say_nothing
        done = verb.export_facts(repository_if_any(), context_here(), file, out, is_forced=force, progress=told)
    finally:
        progress.close()
    if done.trouble:
        print(f"warning: what waits in the spools may be missing: {escape(done.trouble)}", file=sys.stderr)
    if as_json:
        render.show_json("exported", render_moving.exported_json(done))
    elif not is_stream:
        render.show(render_moving.exported_line(done))


def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="What export wrote; - for standard input.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Change nothing, and show what would be new.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add the facts of files, those that are not known yet; one that is not whole changes nothing. For people."""
    from agent_tracker.rendering import moving as render_moving  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import moving as verb  # noqa: PLC0415

    progress = _Progress()
    try:
        done = verb.import_facts(context_here(), files, sys.stdin.buffer, dry_run=dry_run, progress=progress)
    finally:
        progress.close()
    if done.trouble:
        print(f"warning: all is in the database, but: {escape(done.trouble)}", file=sys.stderr)
        print("hint: agent-tracker flush", file=sys.stderr)
    if as_json:
        render.show_json("imported", render_moving.imported_json(done, is_dry_run=dry_run))
    else:
        render.show(*render_moving.imported_lines(done, is_dry_run=dry_run))
