"""Where the user's and a repository's files lie.

Owns every path that is ours. Never creates, opens or reads anything; the environment is passed in.
Paths are `str` as the operating system gives them (undecodable bytes as surrogates), and the classes are plain: pathlib
or typing takes longer to import than a flush with nothing to do takes in all.
"""

from __future__ import annotations

import os
import zlib

from agent_tracker.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RepositoryPaths", "UserPaths", "user_paths"]


class UserPaths:
    """The user's directories: `home`, the configuration file, the state directory."""

    __slots__ = ("config_file", "home", "state_dir")

    def __init__(self, home: str, config_file: str, state_dir: str) -> None:
        self.home = home
        self.config_file = config_file
        self.state_dir = state_dir

    @property
    def default_database(self) -> str:
        """The database's place unless `databasePath` says otherwise."""
        return os.path.join(self.home, ".config", "opencode", "agent-tracker.lmdb")

    @property
    def registry(self) -> str:
        """The directory of marker files by which a shell knows agents."""
        return os.path.join(self.state_dir, "registry")

    @property
    def spool_dir(self) -> str:
        """The user's own spool: registrations, which belong to no repository."""
        return os.path.join(self.state_dir, "spool")

    def backups_of(self, database: str) -> str:
        """Return the directory of a database's backups: away from it, so that what takes the one leaves the other."""
        path = os.path.realpath(database)
        name = os.path.splitext(os.path.basename(path))[0]
        return os.path.join(self.state_dir, "backups", f"{name}-{zlib.crc32(os.fsencode(path)):08x}")

    @property
    def repositories(self) -> str:
        """The list of repositories in which hooks were installed, one path a line."""
        return os.path.join(self.state_dir, "repositories")

    @property
    def migrated(self) -> str:
        """The list of the OpenCode plugin's databases that were looked into, and what they looked like then."""
        return os.path.join(self.state_dir, "migrated")

    @property
    def log_file(self) -> str:
        """Where a traceback goes that nobody should have to read."""
        return os.path.join(self.state_dir, "error.log")


class RepositoryPaths:
    """Our files in one repository, shared by its worktrees: all under its common directory."""

    __slots__ = ("common_dir",)

    def __init__(self, common_dir: str) -> None:
        self.common_dir = common_dir

    @property
    def spool_dir(self) -> str:
        """The directory that is ours."""
        return os.path.join(self.common_dir, "agent-tracker")

    @property
    def project(self) -> str:
        """The project's UUID."""
        return os.path.join(self.spool_dir, "project")

    @property
    def baseline(self) -> str:
        """Reflog positions when the hooks were installed."""
        return os.path.join(self.spool_dir, "reflog")

    @property
    def refs(self) -> str:
        """What the branches looked like when they were last gone through."""
        return os.path.join(self.spool_dir, "refs")

    @property
    def policy(self) -> str:
        """The repository's policy, mirrored from git's configuration for the shell."""
        return os.path.join(self.spool_dir, "policy")


def user_paths(env: Mapping[str, str]) -> UserPaths:
    """Return the user's paths as `env` gives them: HOME and the XDG directories, which must be absolute to count.

    Raises:
        ConfigError: There is no home directory.
    """
    home = env.get("HOME") or env.get("USERPROFILE") or _home_of_uid()
    if not os.path.isabs(home):
        raise ConfigError("no home directory: HOME is not set", "export HOME=/path/to/your/home")
    return UserPaths(
        home,
        os.path.join(_xdg(env, "XDG_CONFIG_HOME", home, ".config"), "agent-tracker", "config.toml"),
        os.path.join(_xdg(env, "XDG_STATE_HOME", home, ".local", "state"), "agent-tracker"),
    )


def _xdg(env: Mapping[str, str], variable: str, home: str, *default: str) -> str:
    value = env.get(variable, "")
    return value if os.path.isabs(value) else os.path.join(home, *default)


def _home_of_uid() -> str:
    try:
        import pwd  # noqa: PLC0415 -- absent on Windows, and needed only where HOME is

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return ""
