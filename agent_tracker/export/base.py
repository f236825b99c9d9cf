"""What an exporter is: a view of a project in, the text of files out.

Owns the protocol and the view. An exporter is a module; it reads nothing and writes nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.derived import Tally
    from agent_tracker.records import Agent
    from agent_tracker.views.journal import ActivityEntry, RetroEntry

__all__ = ["Exporter", "ProjectView"]


class ProjectView(NamedTuple):
    """A project as an export shows it.

    `agents` are those that did something here, in the order of their ids, each with what it did; `retros` and
    `activities` are oldest first. `rules` are those in force.
    """

    project: str
    agents: tuple[tuple[Agent, Tally], ...]
    retros: tuple[RetroEntry, ...]
    activities: tuple[ActivityEntry, ...]
    rules: Mapping[str, int]


class Exporter(Protocol):
    """One kind of export.

    `DIRECTORY` is where its files lie, below the work tree; `MARK` is what each of them begins with, by which our own
    are known; `IGNORED` are the patterns that keep them out of git.
    """

    FORMAT_VERSION: int
    DIRECTORY: str
    MARK: str
    IGNORED: tuple[str, ...]

    def write(self, view: ProjectView, out: dict[str, str]) -> None:
        """Put the text of each file into `out`, by its name; the same view makes the same texts."""
