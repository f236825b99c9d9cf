"""What every verb is given, the store that it means, and what a flush reports.

Owns putting the configuration and the store together. Never opens the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.config import read_settings
from agent_tracker.store import Location, Store, locate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.apply import Applied
    from agent_tracker.paths import UserPaths

__all__ = ["Context", "FlushReport", "open_store"]


class Context(NamedTuple):
    """What every verb is given: the user's paths, the environment, the time, how long to wait for others and a check.

    `told`: where each flush leaves its report for whoever has to say what became of agents in it; copies share it.
    """

    paths: UserPaths
    env: Mapping[str, str]
    now_ns: int
    timeout_s: float = 10.0
    told: list[FlushReport] | None = None
    check_timeout_s: float = 600.0

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self.now_ns // 10**9


class FlushReport(NamedTuple):
    """What a flush did: what was new, lines that were set aside and where, the database, and the file it avoids.

    `warnings` say what could not be exported, and what is wrong with the rules, one line each.
    """

    applied: Applied
    segments: int
    rejected: int
    rejected_files: tuple[str, ...]
    database: str
    avoided: str
    warnings: tuple[str, ...] = ()


def open_store(context: Context) -> tuple[Store, Location]:
    """Return the store that the configuration names, and where it is.

    Raises:
        ConfigError: The configuration is not valid.
        StoreError: What lies at the path can be no database.
    """
    values = read_settings(context.paths, context.env)
    location = locate(str(values["databasePath"].value))
    size_bytes, backups_dir = int(values["maxDatabaseSize"].value), context.paths.backups_of(location.path)
    return Store(location.path, size_bytes, backups_dir, check_timeout_s=context.check_timeout_s), location
