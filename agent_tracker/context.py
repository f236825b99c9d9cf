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

__all__ = [
    "LEAVE",
    "MENTION",
    "MERGE",
    "PLUGIN",
    "Context",
    "Counts",
    "FlushReport",
    "Listed",
    "Migrated",
    "open_store",
]

PLUGIN = MENTION, MERGE, LEAVE = "mention", "merge", "leave"
"""What is done about what is not merged yet: a line, merging it, or nothing."""


class Context(NamedTuple):
    """What every verb is given: the user's paths, the environment, the time, how long to wait for others and a check.

    `told`: where each flush leaves its report for whoever has to say what became of agents in it; copies share it.
    `plugin`: what a flush does about databases of the OpenCode plugin, a word of PLUGIN; an agent only mentions them.
    """

    paths: UserPaths
    env: Mapping[str, str]
    now_ns: int
    timeout_s: float = 10.0
    told: list[FlushReport] | None = None
    check_timeout_s: float = 600.0
    plugin: str = MENTION

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self.now_ns // 10**9


class Counts(NamedTuple):
    """What came of one kind of entries: how many are new here, were here, are left out, and could not be read."""

    migrated: int = 0
    known: int = 0
    left_out: int = 0
    unreadable: int = 0

    @property
    def entries(self) -> int:
        """All of them."""
        return sum(self)


class Listed(NamedTuple):
    """An entry of which not all is here: its kind and key, why, what that is, and a name of Counts' fields."""

    kind: str
    key: str
    reason: str
    detail: str
    outcome: str


class Migrated(NamedTuple):
    """What was merged of a database of the OpenCode plugin.

    `aliases` are our ids of agents by the plugin's; `facts` how many of each kind are new. `trouble` says what of it
    the hooks do not know before the next flush, if that is so.
    """

    path: str
    counts: dict[str, Counts]
    listed: tuple[Listed, ...]
    aliases: dict[str, str]
    facts: dict[str, int]
    applied: Applied | None
    has_dictionary: bool
    trouble: str = ""

    @property
    def total(self) -> Counts:
        """What came of all entries."""
        return Counts(*(sum(each) for each in zip(*self.counts.values(), strict=True))) if self.counts else Counts()


class FlushReport(NamedTuple):
    """What a flush did: what was new, lines that were set aside and where, the database, and the file it avoids.

    `warnings` say what could not be exported, what is wrong with the rules, and which databases of the OpenCode plugin
    were not merged, one line each.
    """

    applied: Applied
    segments: int
    rejected: int
    rejected_files: tuple[str, ...]
    database: str
    avoided: str
    warnings: tuple[str, ...] = ()
    migrated: tuple[Migrated, ...] = ()


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
