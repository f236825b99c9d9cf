"""What the views read: the protocol that the store's snapshot satisfies.

Owns the protocol alone. A view is a pure function over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.records import Agent, Commit, Marks, ProjectFact
    from agent_tracker.rules import Timeline

__all__ = ["Facts"]


class Facts(Protocol):
    """Typed reads of one moment's store."""

    def timeline(self) -> Timeline:
        """Return which rules held when."""

    def agents(self) -> list[Agent]:
        """Return every agent, in the order of the ids."""

    def projects(self) -> list[ProjectFact]:
        """Return every project."""

    def joined_projects(self, project: str) -> list[int]:
        """Return the numbers of a project and its clones."""

    def commits(self, projects: Iterable[int] | None = None) -> Iterator[Commit]:
        """Yield commits newest first, of some projects or of all."""

    def marks(self, number: int) -> Marks:
        """Return interned identity marks."""
