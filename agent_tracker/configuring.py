"""Reading and changing settings at their two levels: the user's file and a repository's git configuration.

Owns the mirrors: what a hook must know of a setting is written where a shell can read it. Never prints.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker import config, settled
from agent_tracker.config import EXPORT, Value, find_setting, read_settings
from agent_tracker.errors import ConfigError, GitError
from agent_tracker.export.writing import EXPORT_OFF, take_out_block, wanted_exports
from agent_tracker.files import remedy, replace_file
from agent_tracker.git import config_get, config_set
from agent_tracker.paths import RepositoryPaths
from agent_tracker.repository import Repository, find_repository

if TYPE_CHECKING:
    from agent_tracker.context import Context

__all__ = [
    "mirror_policy",
    "repository_values",
    "set_value",
    "settings_for_hooks",
    "settings_here",
    "unset_value",
]


def settings_here(directory: str, context: Context) -> list[Value]:
    """Return every setting as it is in force in `directory`, which need not be in a repository.

    Raises:
        ConfigError: The configuration is not valid.
    """
    try:
        repository = find_repository(directory, context.env)
    except GitError:
        return list(read_settings(context.paths, context.env, checks_export=True).values())
    values = repository_values(repository)
    return list(read_settings(context.paths, context.env, repository=values, checks_export=True).values())


def settings_for_hooks(repository: Repository, context: Context) -> tuple[str, str]:
    """Return in which event a repository's commits are validated, and where its hooks go.

    Raises:
        ConfigError: The configuration is not valid.
    """
    values = read_settings(context.paths, context.env, repository=repository_values(repository))
    return str(values["validateIn"].value), str(values["hookStyle"].value)


def repository_values(repository: Repository) -> dict[str, str]:
    """Return the values that git's configuration holds for a repository, by git key."""
    keys = [setting.git_key for setting in config.SETTINGS if setting.is_repository_level]
    values = ((key, config_get(key, cwd=repository.common_dir)) for key in keys)
    return {key: value for key, value in values if value}


def set_value(repository: Repository | None, context: Context, name: str, value: str) -> str:
    """Set a value, in the repository's configuration where one is given, and return the place.

    Raises:
        ConfigError: There is no such setting, it is not a repository's, or the value is not allowed.
    """
    setting = find_setting(name)
    if repository is None:
        config.write_value(context.paths, setting, value)
        _mirror_user_policy(context)
        return context.paths.config_file
    _check_level(setting)
    config.check_value(setting, value, setting.git_key, f"the default is {setting.default}")
    config_set(setting.git_key, value, cwd=repository.common_dir)
    _mirror(repository, context, setting)
    return f"git config {setting.git_key}"


def unset_value(repository: Repository | None, context: Context, name: str) -> str:
    """Take a value out and return the place, empty where it was not there.

    Raises:
        ConfigError: The file cannot be read or written, or the setting is not a repository's.
    """
    if repository is None:
        was_there = config.unset_value(context.paths, name)
        _mirror_user_policy(context)
        return context.paths.config_file if was_there else ""
    setting = find_setting(name)
    _check_level(setting)
    was_there = bool(config_get(setting.git_key, cwd=repository.common_dir, scope="--local"))
    config_set(setting.git_key, "", cwd=repository.common_dir)
    _mirror(repository, context, setting)
    return f"git config {setting.git_key}" if was_there else ""


def _check_level(setting: config.Setting) -> None:
    if not setting.is_repository_level:
        raise ConfigError(
            f"{setting.name} is the user's, not a repository's", f"agent-tracker config set {setting.name} VALUE"
        )


def _mirror(repository: Repository, context: Context, setting: config.Setting) -> None:
    """Let what was set for a repository be seen: by the hooks, and by the next flush, which writes the exports.

    Exports that are turned off stay as they are, and git sees them again.

    Raises:
        ConfigError: It cannot be written.
    """
    mirror_policy(repository)
    if setting.name != EXPORT:
        return
    try:
        if wanted_exports(repository, context.paths, context.env) == EXPORT_OFF:
            take_out_block(repository.common_dir)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(RepositoryPaths(repository.common_dir).spool_dir, settled.FILE))
    except OSError as error:
        raise ConfigError(f"cannot write {error.filename}: {error.strerror}", "check its permissions") from error


def mirror_policy(repository: Repository) -> None:
    """Write the repository's policy where the shell finds it; an empty file leaves it to the user's.

    Raises:
        ConfigError: It cannot be written.
    """
    path = RepositoryPaths(repository.common_dir).policy
    _write(path, repository_values(repository).get("agenttracker.policy", ""))


def _mirror_user_policy(context: Context) -> None:
    value = read_settings(context.paths, {})["policy"]
    _write(f"{context.paths.registry}/policy", "" if value.source == "default" else str(value.value))


def _write(path: str, policy: str) -> None:
    try:
        if policy:
            replace_file(path, policy + "\n")
        elif os.path.exists(path):
            os.unlink(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", remedy(error)) from error
