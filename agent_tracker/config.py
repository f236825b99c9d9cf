"""Where each setting comes from: environment, the user's one TOML file, git's configuration, or the default.

Owns the table of settings and their limits. Never reads a tracked file of a repository.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import ConfigError
from agent_tracker.files import remedy, replace_file
from agent_tracker.locking import locked
from agent_tracker.rules import DEFAULT_RULES, RULES, Rules, with_overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from agent_tracker.paths import UserPaths

__all__ = [
    "EXPORT",
    "EXPORTS",
    "HOOK_STYLES",
    "POLICIES",
    "SETTINGS",
    "VALIDATING",
    "Setting",
    "Value",
    "check_rule",
    "check_value",
    "find_setting",
    "read_rules",
    "read_settings",
    "rules_trouble",
    "unset_value",
    "valid_rules",
    "write_rule",
    "write_value",
]

RULES_TABLE = "rules"
EXPORT = "export"
LOCK_TIMEOUT_S = 5.0
POLICIES = ("enforce", "warn", "off")
VALIDATING = ("pre-commit", "commit-msg")
HOOK_STYLES = ("auto", "files", "config")
FLAGS = ("false", "true")
EXPORTS = (*FLAGS, "status", "journal")
DEFAULT_SIZE_BYTES = 512 * 1024 * 1024
MIN_SIZE_BYTES = 1_000_000
MAX_SIZE_BYTES = 2 * 1024 * 1024 * 1024
DEFAULT_INTERVAL_S, MIN_INTERVAL_S, MAX_INTERVAL_S = 3600, 60, 30 * 24 * 3600
DEFAULT_BACKUPS, MIN_BACKUPS, MAX_BACKUPS = 24, 2, 1000


class Setting(NamedTuple):
    """One setting: its name in the file, its variable, its default, how it is checked, and where it may be set."""

    name: str
    variable: str
    default: str | int
    check: Callable[[object], str | int]
    is_repository_level: bool
    meaning: str

    @property
    def git_key(self) -> str:
        """The key in git's configuration, for a repository-level setting."""
        return f"agenttracker.{self.name}"


class Value(NamedTuple):
    """A setting's value in force and the place it comes from."""

    name: str
    value: str | int
    source: str


def _check_path(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("must be a path: absolute, or relative to the home directory")
    if value == "~" or value.startswith(("~/", "~\\")):
        value = value[2:] or "."
    return value


def _check_size(value: object) -> int:
    number = _whole(value)
    if number is None or not MIN_SIZE_BYTES <= number <= MAX_SIZE_BYTES:
        limits = f"{MIN_SIZE_BYTES} (1 MB) to {MAX_SIZE_BYTES} (2 GB)"
        raise ValueError(f"must be a number of bytes from {limits}, not {str(value)[:40]}")
    return number


def _check_interval(value: object) -> int:
    number = _whole(value)
    if number is None or (number and not MIN_INTERVAL_S <= number <= MAX_INTERVAL_S):
        limits = f"{MIN_INTERVAL_S} to {MAX_INTERVAL_S} seconds, or 0 for none"
        raise ValueError(f"must be {limits}, not {str(value)[:40]}")
    return number


def _check_backups(value: object) -> int:
    number = _whole(value)
    if number is None or not MIN_BACKUPS <= number <= MAX_BACKUPS:
        raise ValueError(f"must be a number from {MIN_BACKUPS} to {MAX_BACKUPS}, not {str(value)[:40]}")
    return number


def _whole(value: object) -> int | None:
    """Return a whole number that is not negative, also one written in digits; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _one_of(allowed: tuple[str, ...]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {str(value)[:40]!r}")
        return str(value)

    return check


def _one_of_or_flag(allowed: tuple[str, ...]) -> Callable[[object], str]:
    """Return a check for words among which are true and false, in whatever words git and TOML say these."""

    def check(value: object) -> str:
        word = str(value).lower()
        if word in {"yes", "on", "1", "no", "off", "0"}:
            word = "true" if word in {"yes", "on", "1"} else "false"
        if word not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {str(value)[:40]!r}")
        return word

    return check


SETTINGS = (
    Setting(
        "databasePath",
        "AGENT_TRACKER_DATABASE_PATH",
        "",
        _check_path,
        is_repository_level=False,
        meaning="the central database's file",
    ),
    Setting(
        "maxDatabaseSize",
        "AGENT_TRACKER_MAX_DATABASE_SIZE",
        DEFAULT_SIZE_BYTES,
        _check_size,
        is_repository_level=False,
        meaning="how large it may grow, in bytes",
    ),
    Setting(
        "backupInterval",
        "AGENT_TRACKER_BACKUP_INTERVAL",
        DEFAULT_INTERVAL_S,
        _check_interval,
        is_repository_level=False,
        meaning="how many seconds lie between two backups at least; 0: nothing is started in the background",
    ),
    Setting(
        "maxBackups",
        "AGENT_TRACKER_MAX_BACKUPS",
        DEFAULT_BACKUPS,
        _check_backups,
        is_repository_level=False,
        meaning="how many backups are kept: the newest, then one a day, then one a week",
    ),
    Setting(
        "policy",
        "AGENT_TRACKER_POLICY",
        "enforce",
        _one_of(POLICIES),
        is_repository_level=True,
        meaning="an unregistered agent's commit: enforce (refused), warn, off",
    ),
    Setting(
        "autoRegister",
        "AGENT_TRACKER_AUTO_REGISTER",
        FLAGS[0],
        _one_of_or_flag(FLAGS),
        is_repository_level=True,
        meaning="whether a client of which no agent is registered is registered by its first commit",
    ),
    Setting(
        "validateIn",
        "AGENT_TRACKER_VALIDATE_IN",
        VALIDATING[0],
        _one_of(VALIDATING),
        is_repository_level=True,
        meaning="the hook that may refuse a commit: pre-commit, or commit-msg, which spares a large index a reading",
    ),
    Setting(
        "hookStyle",
        "AGENT_TRACKER_HOOK_STYLE",
        HOOK_STYLES[0],
        _one_of(HOOK_STYLES),
        is_repository_level=True,
        meaning="where hooks go: files, config (git 2.54 and newer read them there), or auto",
    ),
    Setting(
        EXPORT,
        "AGENT_TRACKER_EXPORT",
        EXPORTS[0],
        _one_of_or_flag(EXPORTS),
        is_repository_level=True,
        meaning="written into the work tree at flush: status (.agent/status.json), journal (.journal/), true for both",
    ),
)


def find_setting(name: str) -> Setting:
    """Return the setting of that name.

    Raises:
        ConfigError: There is none.
    """
    for setting in SETTINGS:
        if setting.name.lower() == name.removeprefix("agenttracker.").lower():
            return setting
    rule = next((rule.name for rule in RULES if rule.name.lower() == name.lower()), "")
    if rule:
        raise ConfigError(f"{rule} is a rule, not a setting", f"agent-tracker rules set {rule} NUMBER")
    raise ConfigError(f"unknown setting {name!r}", f"settings are: {', '.join(s.name for s in SETTINGS)}")


def read_settings(
    paths: UserPaths,
    env: Mapping[str, str],
    *,
    repository: Mapping[str, str] | None = None,
    checks_export: bool = False,
) -> dict[str, Value]:
    """Return every setting's value in force, by name.

    Args:
        paths: The user's.
        env: The environment.
        repository: The values of git's configuration by git key, where a repository is at hand.
        checks_export: Without it, a value that the export may not have is passed over: nothing else fails of it.

    Raises:
        ConfigError: The file cannot be parsed, or a value is not allowed; the message names file and key.
    """
    stored = _read_file(paths.config_file)
    values = {}
    for setting in SETTINGS:
        places: list[tuple[object, str]] = [(env.get(setting.variable) or None, setting.variable)]
        if repository and setting.is_repository_level:
            places.append((repository.get(setting.git_key), f"git config {setting.git_key}"))
        places.append((stored.pop(setting.name, None), f"{paths.config_file}: {setting.name}"))
        try:
            values[setting.name] = _first(setting, places)
        except ConfigError:
            if checks_export or setting.name != EXPORT:
                raise
            values[setting.name] = Value(setting.name, setting.default, "default")
    stored.pop(RULES_TABLE, None)
    if stored:
        key = next(iter(stored))
        raise ConfigError(f"{paths.config_file}: unknown key {key!r}", f"agent-tracker config unset {key}")
    path = values["databasePath"]
    chosen = os.path.join(paths.home, str(path.value)) if path.value else paths.default_database
    return values | {"databasePath": path._replace(value=os.path.normpath(chosen))}


def read_rules(paths: UserPaths) -> tuple[Rules, int]:
    """Return the rules by which standing follows from facts, and when the file was last changed (Unix nanoseconds).

    They stand in the table `[rules]`. The time is 0 where there is no such file.

    Raises:
        ConfigError: The file cannot be parsed, or a rule is not allowed.
    """
    table = _read_rules_table(paths)
    try:
        changed_ns = os.stat(paths.config_file).st_mtime_ns
    except OSError:
        changed_ns = 0
    return with_overrides(table, f"{paths.config_file}: {RULES_TABLE}"), changed_ns


def rules_trouble(paths: UserPaths) -> tuple[str, ...]:
    """Return why the rules of the configuration are not those in force, in a line, if they cannot be."""
    try:
        read_rules(paths)
    except ConfigError as error:
        return (f"{error.message}; the rules stay as they were",)
    return ()


def valid_rules(paths: UserPaths) -> Rules:
    """Return the rules of the configuration, the defaults where they are not valid."""
    try:
        return read_rules(paths)[0]
    except ConfigError:
        return dict(DEFAULT_RULES)


def _read_rules_table(paths: UserPaths) -> dict[str, object]:
    table = _read_file(paths.config_file).get(RULES_TABLE, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{paths.config_file}: {RULES_TABLE} is not a table", "agent-tracker rules")
    return table


def write_rule(paths: UserPaths, name: str, value: int | None) -> bool:
    """Set a rule in the user's file, whose comments and order are kept, or take it out; tell whether it stood there.

    Raises:
        ConfigError: There is no such rule, it may not have this value beside the others, or the file cannot be read or
            written.
    """
    with _alone(paths):
        was_there = check_rule(paths, name, value)
        _edit(paths.config_file, name, value, table=RULES_TABLE)
    return was_there


def check_rule(paths: UserPaths, name: str, value: int | None) -> bool:
    """Tell whether a rule stands in the user's file, having found that `write_rule` may write it now.

    Raises:
        ConfigError: There is no such rule, it may not have this value beside the others, or the file cannot be read.
    """
    table = dict(_read_rules_table(paths))
    was_there = name in table
    table.pop(name, None)
    with_overrides(table if value is None else {**table, name: value}, RULES_TABLE)
    return was_there


@contextmanager
def _alone(paths: UserPaths) -> Iterator[None]:
    """Keep others from changing the user's file between reading and writing it.

    Raises:
        ConfigError: Somebody else is at it for too long, or there is no place for it.
    """
    path = paths.config_file
    with ExitStack() as stack:
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            stack.enter_context(locked(f"{path}.lock", timeout_s=LOCK_TIMEOUT_S))
        except OSError as error:
            hint = remedy(error)
            raise ConfigError(f"cannot write {path}: {error.strerror or error}", hint) from error
        yield


def _first(setting: Setting, places: list[tuple[object, str]]) -> Value:
    for raw, source in places:
        if raw is not None:
            return Value(setting.name, check_value(setting, raw, source), source)
    return Value(setting.name, setting.default, "default")


def check_value(setting: Setting, raw: object, source: str, hint: str = "") -> str | int:
    """Return `raw` as the setting's typed value.

    Args:
        setting: What it is a value of.
        raw: As it was found.
        source: Where it was found; the error begins with it.
        hint: What to do about it; unsetting it, if empty.

    Raises:
        ConfigError: It is not allowed.
    """
    try:
        return setting.check(raw)
    except ValueError as error:
        raise ConfigError(f"{source} {error}", hint or _mend(setting, source)) from error


def _mend(setting: Setting, source: str) -> str:
    if source == setting.variable:
        return f"unset {source}"
    level = " --repo" if source.startswith("git config") else ""
    return f"agent-tracker config unset {setting.name}{level}"


def _read_file(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as file:
            import tomllib  # noqa: PLC0415 -- 12 ms, needed only where the file is

            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", f"edit {path}") from error


def write_value(paths: UserPaths, setting: Setting, raw: str) -> str | int:
    """Set a value in the user's file, whose comments and order are kept, and return it as it is understood.

    Raises:
        ConfigError: The value is not allowed, or the file cannot be read or written.
    """
    value = check_value(setting, raw, setting.name, f"the default is {setting.default or paths.default_database}")
    with _alone(paths):
        _edit(paths.config_file, setting.name, value)
    return value


def unset_value(paths: UserPaths, name: str) -> bool:
    """Take a key out of the user's file; False where it was not there.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    with _alone(paths):
        return _edit(paths.config_file, name, None)


def _edit(path: str, key: str, value: str | int | None, *, table: str = "") -> bool:
    import tomlkit  # noqa: PLC0415 -- only for writing
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    try:
        with open(path, encoding="utf-8") as file:
            document = tomlkit.load(file)
    except FileNotFoundError:
        document = tomlkit.document()
    except (OSError, ValueError, TOMLKitError) as error:
        raise ConfigError(f"cannot read {path}: {error}", f"edit {path}") from error
    if table and table not in document and value is not None:
        document[table] = tomlkit.table()
    place: MutableMapping[str, object] = document.get(table, {}) if table else document
    was_there = key in place
    if value is not None:
        place[key] = value
    elif was_there:
        del place[key]
    try:
        replace_file(os.path.realpath(path), tomlkit.dumps(document))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", remedy(error)) from error
    return was_there
