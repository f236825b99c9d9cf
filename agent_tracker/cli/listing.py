"""What the commands that list a project's entries have in common.

Owns how many are shown where nobody said, and whose they are. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from agent_tracker.cli.base import context_here, repository_here, repository_if_any, told
from agent_tracker.projects import find_project
from agent_tracker.verbs.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.context import Context
    from agent_tracker.tables import Snapshot

__all__ = ["TERMINAL_ROWS", "list_entries"]

T = TypeVar("T")
TERMINAL_ROWS = 50
"""How many entries are shown on a terminal unless it is told: a pipe gets all."""


def list_entries(
    view: Callable[[Snapshot | None, Context, str | None, int | None], list[T]],
    *,
    everywhere: bool,
    limit: int | None,
    as_json: bool,
    no_flush: bool,
) -> tuple[list[T], list[str]]:
    """Return what a view lists, and a line that says that there may be more, if there may.

    Args:
        view: Given the store, the context, the project's UUID (None for all) and how many entries are wanted.
        everywhere: Of all projects, not of this one alone.
        limit: How many; None for as many as fit where they go.
        as_json: They go to a program.
        no_flush: Read the store as it is.
    """
    context = context_here()
    repository = repository_if_any() if everywhere else repository_here()
    shown = limit or (TERMINAL_ROWS if not as_json and sys.stdout.isatty() else None)
    project = find_project(repository) if repository and not everywhere else None
    reading = read(context, repository, lambda store: view(store, context, project, shown), is_fresh=not no_flush)
    entries = told(reading, is_something=bool(reading.value))
    return entries, [f"The newest {shown}; for more: -n NUMBER"] if len(entries) == shown and not limit else []
