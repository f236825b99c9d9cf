"""The rules as they are in force, how they came to be so, and what deriving everything under them would change.

Owns those views. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.rules import DEFAULT_RULES, RULES, parse_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_tracker.journal import RulesFact
    from agent_tracker.records import Standing

__all__ = ["Change", "RuleRow", "RulesHistory", "Shift", "Version", "rules_history", "shifts"]


class RuleRow(NamedTuple):
    """One rule. It has had its value since `since_ns` (Unix nanoseconds), 0 where it holds for everything."""

    name: str
    value: int
    default: int
    since_ns: int
    meaning: str
    source: str


class Change(NamedTuple):
    """A rule that had one value and has another."""

    name: str
    before: int
    after: int


class Version(NamedTuple):
    """A change of the rules: from `recorded_ns` on, or `is_for_all` for everything that happened before as well."""

    recorded_ns: int
    is_for_all: bool
    changes: tuple[Change, ...]


class RulesHistory(NamedTuple):
    """Every rule in the table's order, and every version, oldest first."""

    rules: tuple[RuleRow, ...]
    versions: tuple[Version, ...]

    @property
    def is_for_all(self) -> bool:
        """Whether what is in force holds for everything that happened."""
        return not any(row.since_ns for row in self.rules)


class Shift(NamedTuple):
    """An agent whose standing another derivation changes."""

    agent: str
    before: Standing
    after: Standing


def rules_history(facts: Iterable[RulesFact]) -> RulesHistory:
    """Return the rules that are in force and the versions before them, from the changes in any order."""
    now, since = dict(DEFAULT_RULES), dict.fromkeys(DEFAULT_RULES, 0)
    versions = []
    for fact in sorted(facts):
        values = parse_values(fact.values)
        changes = tuple(Change(name, now[name], value) for name, value in values.items() if value != now[name])
        versions.append(Version(fact.recorded_ns, fact.is_for_all, changes))
        since |= dict.fromkeys((change.name for change in changes), fact.recorded_ns)
        if fact.is_for_all:
            since = dict.fromkeys(since, 0)
        now = values
    rows = (
        RuleRow(rule.name, now[rule.name], rule.default, since[rule.name], rule.meaning, rule.source) for rule in RULES
    )
    return RulesHistory(tuple(rows), tuple(versions))


def shifts(before: Mapping[str, Standing], after: Mapping[str, Standing]) -> Sequence[Shift]:
    """Return the agents whose standing is different, in the order of their ids."""
    return [
        Shift(agent, before[agent], after[agent])
        for agent in sorted(before.keys() & after.keys())
        if before[agent] != after[agent]
    ]
