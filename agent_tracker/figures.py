"""How large a database is, and what takes the room in it.

Owns that one measurement, inside a transaction that somebody else opened. Never decides whether that is much.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from agent_tracker.tables import Snapshot

__all__ = ["Figures", "measured"]

METAS = 2
"""The pages that a database begins with."""


class Figures(NamedTuple):
    """How large a database is: the file, what of it is in use, and by which tables, all in bytes; records by table.

    `free_bytes` are of pages that were used and can be used again; `version` is that of the layout.
    """

    file_bytes: int
    used_bytes: int
    free_bytes: int
    map_bytes: int
    bytes_by_table: dict[str, int]
    records: dict[str, int]
    version: str

    @property
    def spare_bytes(self) -> int:
        """How much smaller a compact copy is."""
        return max(self.file_bytes - self.used_bytes, 0)


def measured(env: Any, path: str, snapshot: Snapshot) -> Figures:  # noqa: ANN401 -- lmdb has no types
    """Return how large the open database at `path` is.

    Args:
        env: The environment.
        path: Its file.
        snapshot: All of its tables.
    """
    info, main = env.info(), env.stat()
    page_bytes = int(main["psize"])
    pages = {name: snapshot.table(name).pages() for name in snapshot.names}
    used = METAS + sum(pages.values()) + main["branch_pages"] + main["leaf_pages"] + main["overflow_pages"]
    return Figures(
        os.path.getsize(path),
        used * page_bytes,
        max(int(info["last_pgno"]) + 1 - used, 0) * page_bytes,
        int(info["map_size"]),
        {name: count * page_bytes for name, count in pages.items()},
        {name: snapshot.table(name).count() for name in snapshot.names},
        snapshot.schema_version(),
    )
