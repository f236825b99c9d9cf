"""A part of history: which commits descend from which, and rows of them.

Owns that arithmetic. Pure; git is asked by whoever makes a region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Region"]

MAX_ROW = 400


class Region:
    """Commits with their parents. What lies outside of it is nobody's ancestor."""

    def __init__(self, parents: Mapping[bytes, tuple[bytes, ...]]) -> None:
        """Take in a region.

        Args:
            parents: By commit, each commit before its parents.
        """
        self._parents = parents
        self._bits = {oid: 1 << number for number, oid in enumerate(parents)}
        self._ancestors: dict[bytes, int] = {}
        for oid in reversed(list(parents)):
            found = self._bits[oid]
            for parent in parents[oid]:
                found |= self._ancestors.get(parent, 0)
            self._ancestors[oid] = found

    def descends(self, oid: bytes, than: bytes) -> bool:
        """Tell whether a commit is a descendant of another one."""
        return oid != than and bool(self._ancestors.get(oid, 0) & self._bits.get(than, 0))

    def rows(self, target: bytes, wanted: Collection[bytes]) -> list[list[bytes]]:
        """Return wanted commits that are neither ancestors nor descendants of `target`, in rows, each oldest first.

        A row goes from first parent to first parent and has what lies between its wanted commits too; a commit that
        several branches have in common is in a row of each.
        """
        mine, bit = self._ancestors.get(target, 0), self._bits.get(target, 0)
        free = [oid for oid in wanted if oid in self._bits and not self._bits[oid] & mine]
        free = [oid for oid in free if not self._ancestors[oid] & bit]
        inner = 0
        for oid in free:
            inner |= self._ancestors[oid] & ~self._bits[oid]
        rows = []
        for head in (oid for oid in free if not self._bits[oid] & inner):
            row, last = [head], 1
            while len(row) < MAX_ROW and self._parents[row[-1]]:
                parent = self._parents[row[-1]][0]
                if parent not in self._bits or self._bits[parent] & mine:
                    break
                row.append(parent)
                last = len(row) if parent in wanted else last
            rows.append(row[:last][::-1])
        return rows
