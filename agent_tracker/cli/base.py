"""What the commands have in common: options, where they are run, what they ask and what they say on stderr.

Owns those alone; each group of commands is a module of its own, and `app` puts them together.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agent_tracker.context import MERGE, Context, FlushReport
from agent_tracker.errors import GitError, UsageError
from agent_tracker.escaping import escape
from agent_tracker.flush_command import warn
from agent_tracker.paths import user_paths
from agent_tracker.repository import Repository, find_repository, working_directory

if TYPE_CHECKING:
    from pathlib import Path

    from agent_tracker.verbs.reading import Reading

__all__ = [
    "QUIET_S",
    "Json",
    "NoFlush",
    "Plain",
    "StatusLine",
    "announce",
    "announce_all",
    "asked",
    "context_here",
    "repository_here",
    "repository_if_any",
    "told",
]

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print ASCII alone, without colours.")]
NoFlush = Annotated[bool, typer.Option("--no-flush", help="Read the database as it is.")]

QUIET_S = 1.0
"""How long something takes before it is worth telling how far it is."""


_untold: list[FlushReport] = []
"""What the flushes of this command had to say and nobody has said yet."""


def context_here() -> Context:
    """Return what every verb is given, as this process has it."""
    return Context(user_paths(os.environ), os.environ, time.time_ns(), told=_untold, plugin=MERGE)


def announce(report: FlushReport) -> None:
    """Say on stderr at once what a flush had to say, which is said once."""
    _untold[:] = [other for other in _untold if other is not report]
    warn(report)


def announce_all() -> None:
    """Say on stderr what the flushes of this command had to say and nobody has said yet."""
    while _untold:
        announce(_untold[0])


def repository_here(path: Path | None = None) -> Repository:
    """Return the repository of the working directory, or of a path.

    Raises:
        GitError: There is none, or it is bare.
    """
    if path is None:
        return find_repository(working_directory(), os.environ)
    return find_repository(str(path), {})


def repository_if_any() -> Repository | None:
    """Return the repository of the working directory, None outside of any, for commands that make sense there too."""
    try:
        return repository_here()
    except GitError:
        return None


def asked(value: str | None, option: str, question: str, hint: str) -> str:
    """Return an option's value, asking for it at a terminal.

    Raises:
        UsageError: It is missing, and there is no terminal.
    """
    if value is not None:
        return value
    if not sys.stdin.isatty():
        raise UsageError(f"missing {option}", hint)
    return str(typer.prompt(question))


def told(reading: Reading[T], *, is_something: bool = True) -> T:
    """Return what was read, having said on stderr what the flush had to say and what may be missing.

    Args:
        reading: What `reading.read` returned.
        is_something: There is something to show. A store that cannot be read is an error where there is not.

    Raises:
        AgentTrackerError: Why the store cannot be read.
    """
    if reading.report:
        announce(reading.report)
    if reading.error and reading.is_salvaged and not is_something:
        raise reading.error
    if reading.error:
        source = f"; what follows is from {reading.source}" if reading.is_salvaged and reading.source else ""
        print(f"warning: {escape(reading.error.message + source)}", file=sys.stderr)
        if reading.error.hint:
            print(f"hint: {escape(reading.error.hint)}", file=sys.stderr)
    return reading.value


class StatusLine:
    """One line on stderr that is written over by the next one; on a terminal alone."""

    def __init__(self) -> None:
        self.is_shown = False

    def say(self, text: str) -> None:
        """Write a text over what was said last."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self.is_shown = True

    def close(self) -> None:
        """Take away what was said."""
        if self.is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self.is_shown = False
