"""Every exception that agent-tracker raises on purpose.

Owns the wording's shape (one line and one hint); never prints and never decides an exit code.
"""

__all__ = [
    "AgentTrackerError",
    "ConfigError",
    "GitError",
    "HistoryError",
    "RecordError",
    "RegistrationError",
    "SchemaError",
    "SpoolError",
    "StoreError",
    "StoreFullError",
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


class SpoolError(AgentTrackerError):
    """The spool directory is not usable or not trustworthy."""


class StoreError(AgentTrackerError):
    """The central database cannot be opened, read or written."""


class StoreFullError(StoreError):
    """The database reached its configured size."""


class SchemaError(StoreError):
    """The database is of another format or a newer version."""
