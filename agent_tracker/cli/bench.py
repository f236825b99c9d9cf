"""Measuring it, and showing it off.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent_tracker.cli.base import Json  # noqa: TC001 -- Typer reads the annotations

__all__ = ["bench", "demo"]


def demo() -> None:
    """Show the whole way in a throwaway repository and home: two agents, a refused stranger, an amend, a push."""
    from agent_tracker.benches.demo import demo as run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(sys.stdout))


def _show_progress(step: str) -> None:
    """Show the step that a long command is at, over the last one; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{step}")
        sys.stderr.flush()


def bench(
    *,
    commits: Annotated[int, typer.Option(min=3, help="Commits for each kind of hook.")] = 100,
    facts: Annotated[int, typer.Option(min=100, help="Commit facts for the store.")] = 100_000,
    as_json: Json = False,
) -> None:
    """Measure on this machine what the hooks add to a commit, how fast the store is, and what reading it costs."""
    from agent_tracker.benches import bench as measure  # noqa: PLC0415
    from agent_tracker.rendering.bench import as_lines, as_mapping  # noqa: PLC0415
    from agent_tracker.rendering.text import show, show_json  # noqa: PLC0415

    figures = measure.bench(commits=commits, facts=facts, progress=_show_progress)
    if as_json:
        show_json("figures", as_mapping(figures))
    else:
        show(*as_lines(figures))
