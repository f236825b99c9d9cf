"""Every exception that agent-tracker raises on purpose.

Owns the wording's shape (one line and one hint); never prints and never decides an exit code.
"""

__all__ = [
    "AgentTrackerError",
    "ConfigError",
    "DamageError",
    "DiskFullError",
    "ForeignFileError",
    "ForeignFormatError",
    "ForeignOwnerError",
    "GitError",
    "HistoryError",
    "NetworkFileSystemError",
    "ReadOnlyError",
    "RecordError",
    "RegistrationError",
    "SchemaError",
    "SourceError",
    "SpoolError",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "UncheckedError",
    "UsageError",
]


class AgentTrackerError(Exception):
    """The root: something that a person can mend.

    Args:
        message: One line that names the path or oid and what was attempted.
        hint: One command or action that mends it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AgentTrackerError):
    """The command line itself is wrong: exit code 2."""


class RegistrationError(AgentTrackerError):
    """The agent is unknown, retired, halted or ambiguous."""


class ConfigError(AgentTrackerError):
    """A configuration file or variable holds what it may not."""


class GitError(AgentTrackerError):
    """Git could not do what was asked, or this is no repository."""


class HistoryError(AgentTrackerError):
    """An object is missing, or the clone is shallow."""


class RecordError(AgentTrackerError):
    """A record cannot be read, or breaks its own limits."""


class SourceError(AgentTrackerError):
    """Another program's database, which is read and never written, cannot be read."""


class SpoolError(AgentTrackerError):
    """The spool directory is not usable or not trustworthy."""


class StoreError(AgentTrackerError):
    """The central database cannot be opened, read or written."""


class StoreFullError(StoreError):
    """The database reached its configured size."""


class StoreBusyError(StoreError):
    """Another process writes the database, or checks it, for longer than is waited."""


class UncheckedError(StoreBusyError):
    """The database has to be checked, and that takes longer than is waited, or cannot be done."""


class DiskFullError(StoreError):
    """There is no room on the disk, or the user's share of it is used up."""


class ReadOnlyError(StoreError):
    """The file, its directory or the file system takes no writing."""


class ForeignOwnerError(StoreError):
    """The database belongs to another user."""


class NetworkFileSystemError(StoreError):
    """The database lies where LMDB's locks and its map cannot be relied on."""


class DamageError(StoreError):
    """The database was checked, and is damaged."""


class ForeignFileError(StoreError):
    """What lies at the database's path is not a database of ours, or is one of a newer format of LMDB."""


class ForeignFormatError(ForeignFileError):
    """A file of another format that is left alone; `kind` says of which, as `database_kinds` has it."""

    def __init__(self, message: str, hint: str = "", kind: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


class SchemaError(StoreError):
    """The database is of a version that this program does not know."""
