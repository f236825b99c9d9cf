"""How full the database is, and telling a person in time.

Owns when that is said and in which words; what can be done is `remedies`. Never makes room itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.durability.remedies import A_YEAR, NEARLY_FULL, in_a_line, ways_out
from agent_tracker.errors import StoreError
from agent_tracker.files import replace_file
from agent_tracker.mounts import readable_size

if TYPE_CHECKING:
    from agent_tracker.context import Context
    from agent_tracker.store import Store

__all__ = ["Fullness", "fullness", "warnings_due"]

WARNED = "warned-full"
DAY_NS = 86_400 * 10**9


class Fullness(NamedTuple):
    """How much of a database's limit is in use, and how much smaller than its file a compact copy is; in bytes."""

    used_bytes: int
    limit_bytes: int
    file_bytes: int
    spare_bytes: int

    @property
    def share(self) -> float:
        """The part of the limit that is in use."""
        return self.used_bytes / self.limit_bytes

    @property
    def message(self) -> str:
        """What a person is told."""
        limit = readable_size(self.limit_bytes)
        return f"the database has grown to {self.share:.0%} of what it may take ({limit}, maxDatabaseSize)"

    def ways_out(self, *, before: str = A_YEAR) -> tuple[str, ...]:
        """Return what can be done, as `remedies` has it."""
        return ways_out(self.limit_bytes, self.file_bytes, self.spare_bytes, before=before)


def fullness(store: Store, *, share: float = NEARLY_FULL) -> Fullness | None:
    """Return how full a database is, None where it is less than `share`.

    Pages that are free again are not in use. A file that is small enough is not opened, and of one that cannot be
    opened all counts.
    """
    try:
        file_bytes = os.stat(store.path).st_size
    except OSError:
        return None
    if file_bytes < share * store.size_bytes:
        return None
    found = Fullness(file_bytes, store.size_bytes, file_bytes, 0)
    with suppress(StoreError):
        if figures := store.figures():
            found = Fullness(figures.used_bytes, store.size_bytes, figures.file_bytes, figures.spare_bytes)
    return found if found.share >= share else None


def warnings_due(context: Context, store: Store) -> tuple[str, ...]:
    """Return what is to be said of a database that is nearly full, nothing where it was said within a day."""
    path = os.path.join(store.backups_dir, WARNED)
    with suppress(OSError):
        if 0 <= context.now_ns - os.stat(path).st_mtime_ns < DAY_NS:
            return ()
    found = fullness(store)
    if found is None:
        return ()
    with suppress(OSError):
        replace_file(path, "")
        os.utime(path, ns=(context.now_ns, context.now_ns))
    return (f"{found.message}: {in_a_line(found.ways_out())}",)
