"""Agents compared: which of them, by what, in which order.

Owns that view. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.derived import Tally
from agent_tracker.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.views.sheet import Sheet

__all__ = ["SORTS", "Query", "figures", "standings"]


class Query(NamedTuple):
    """Which agents are wanted, and in which order.

    `sort` is one of SORTS; with a `-` before it, or `is_reversed`, the other way round. `model` and `scope` are parts
    of theirs, in any case; `client` is the whole of it. `states` are those that are wanted, none for all. `seen_since`
    is Unix seconds. `is_here`: only what was done in the project at hand counts, and only who did something there.
    """

    sort: str = "xp"
    is_reversed: bool = False
    model: str = ""
    scope: str = ""
    client: str = ""
    states: frozenset[str] = frozenset()
    seen_since: int = 0
    limit: int | None = None
    is_here: bool = False


SORTS: dict[str, Callable[[Sheet, Tally], str | int]] = {
    "xp": lambda _, done: -done.earned_micro,
    "sp": lambda sheet, _: -sheet.agent.standing.skill_points,
    "tier": lambda sheet, _: -sheet.agent.standing.skill_points,
    "cs": lambda sheet, _: -sheet.agent.standing.communication_score,
    "commits": lambda _, done: -done.commits,
    "bugs": lambda _, done: -done.bugs,
    "grades": lambda _, done: -done.grades,
    "seen": lambda _, done: -done.last_at,
    "id": lambda sheet, _: sheet.agent.id,
    "name": lambda sheet, _: sheet.agent.name.casefold(),
    "model": lambda sheet, _: sheet.agent.model.casefold(),
    "scope": lambda sheet, _: sheet.agent.scope.casefold(),
}
"""What the agents may be sorted by: numbers with the largest first, words from a to z; equals by their ids."""


def standings(sheets: Iterable[Sheet], query: Query) -> list[Sheet]:
    """Return the agents that are wanted.

    Raises:
        UsageError: They cannot be sorted by that.
    """
    word = query.sort.removeprefix("-").lower()
    key = SORTS.get(word)
    if key is None:
        raise UsageError(
            f"cannot sort by {query.sort[:40]!r}", f"--sort {', '.join(SORTS)}; -xp is the other way round"
        )
    found = sorted((sheet for sheet in sheets if _is_wanted(sheet, query)), key=lambda sheet: sheet.agent.id)
    is_reversed = query.is_reversed is not query.sort.startswith("-")
    found.sort(key=lambda sheet: key(sheet, figures(sheet, is_here=query.is_here)), reverse=is_reversed)
    return found[: query.limit]


def figures(sheet: Sheet, *, is_here: bool) -> Tally:
    """Return what an agent did in the project at hand, or over all."""
    return (sheet.here or Tally()) if is_here else sheet.total


def _is_wanted(sheet: Sheet, query: Query) -> bool:
    agent, done = sheet.agent, figures(sheet, is_here=query.is_here)
    return (
        (not query.is_here or done != Tally())
        and query.model.casefold() in agent.model.casefold()
        and query.scope.casefold() in agent.scope.casefold()
        and query.client in {"", agent.client}
        and (not query.states or sheet.state in query.states)
        and done.last_at >= query.seen_since
    )
