"""The versions of the store's layout, and the steps from each to the next.

Owns that list, which only ever grows: a database of any version that was ever released can be brought to this one. All
steps run in one transaction; before it the store makes a copy of what was there.

1: the first layout.
2: `schema` says how many records each table has and what their checksums add up to, so that a check can count them, and
   as which database it was begun; `archived` is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_tracker.tables import Writer

__all__ = ["CURRENT", "STEPS", "migrate", "tables_of"]

CURRENT = "2"
ADDED = {"2": ("archived",)}
"""The tables that a version has and those before it had not."""


def _count_records(writer: Writer) -> None:
    writer.set_lineage()
    writer.put_counts()


STEPS: dict[str, tuple[str, Callable[[Writer], None]]] = {"1": ("2", _count_records)}
"""From each older version: to which one, and what is to be done where the new tables are already there."""


def tables_of(version: str) -> tuple[str, ...]:
    """Return the tables that a version of the layout has."""
    later = [name for number, names in ADDED.items() if int(number) > int(version or CURRENT) for name in names]
    return tuple(name for name in TABLES if name not in later)


def migrate(version: str, opened: Callable[[Sequence[str]], Writer]) -> None:
    """Bring a store from an older version to this program's.

    Args:
        version: Which it is of.
        opened: Returns the open transaction with these tables, which it makes where they are missing.
    """
    while version in STEPS:
        version, step = STEPS[version]
        writer = opened(tables_of(version))
        step(writer)
        writer.set_schema_version(version)
