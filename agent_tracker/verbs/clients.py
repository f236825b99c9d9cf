"""Connecting coding agents' clients: their hooks into their own configuration, and out of it again.

Owns those verbs, and what is kept of them: what was put into a file, so that it comes out again to the byte. Never
writes anything into a file of a client's that it cannot read, and never prints.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.clients.registry import ADAPTERS
from agent_tracker.errors import ConfigError, UsageError
from agent_tracker.files import is_own, make_directory, read_text, remedy, replace_file
from agent_tracker.installation.client_script import MARK, command_line, is_runnable, script_path, script_text
from agent_tracker.installation.installing import import_path
from agent_tracker.jsonc import append_at, parse, remove_at
from agent_tracker.marks import client_name
from agent_tracker.registry import read_agents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_tracker.clients.base import Client
    from agent_tracker.context import Context

__all__ = ["CONNECTED", "MARKS", "NOT_CONNECTED", "OUTDATED", "Connection", "connect", "disconnect", "look"]

CONNECTED, OUTDATED, NOT_CONNECTED, MARKS = "connected", "outdated", "not connected", "marks"
"""How a client stands: its hooks are ours and current, are ours of another time, are not; or it has none."""

MAX_BYTES = 4 << 20


class Connection(NamedTuple):
    """A client and how it stands: `path` is its file, `agents` the ids of those tied to it, `misses` what is not told.

    `was` is how it stood before; `trouble` is empty, or why its file cannot be read.
    """

    client: str
    title: str
    state: str
    path: str
    agents: tuple[str, ...]
    misses: tuple[str, ...]
    was: str = ""
    trouble: str = ""


def look(context: Context) -> list[Connection]:
    """Return how each client stands."""
    agents = read_agents(context.paths.registry)
    tied = {name: tuple(agent.id for agent in agents if agent.client == name and agent.active) for name in ADAPTERS}
    found = []
    for name, client in ADAPTERS.items():
        path = client.config_path(context.env, context.paths.home)
        state, trouble = MARKS, ""
        if path:
            try:
                state = _state(client, _read(path), context)
            except ConfigError as error:
                state, trouble = NOT_CONNECTED, error.message
        found.append(Connection(name, client.TITLE, state, path, tied[name], client.MISSES, trouble=trouble))
    return found


def connect(name: str, context: Context) -> Connection:
    """Put our hooks into a client's configuration; once is enough.

    Args:
        name: The client's.
        context: Paths and environment.

    Raises:
        UsageError: It cannot be connected.
        RegistrationError: No such client is known.
        ConfigError: Its file cannot be read or written, or is not ours where it should be.
    """
    client = _adapter(name)
    path = client.config_path(context.env, context.paths.home)
    if not path:
        raise UsageError(
            f"{client.TITLE} has no hooks: its commits are known by their marks",
            f"agent-tracker register NAME --model MODEL --scope SCOPE --client {client.NAME}",
        )
    before = _read(path)
    was = _state(client, before, context)
    if was != CONNECTED:
        text = _without(client, before, context) if was == OUTDATED else before
        _put_in(client, path, before, text, context)
    _write(script_path(context.paths), script_text(sys.executable, import_path()), 0o600)
    return next(each for each in look(context) if each.client == client.NAME)._replace(was=was)


def disconnect(name: str, context: Context) -> Connection:
    """Take our hooks out again; what else stands in the file stays as it is, to the byte.

    Raises:
        UsageError: It cannot be connected.
        RegistrationError: No such client is known.
        ConfigError: Its file cannot be read or written.
    """
    client = _adapter(name)
    path = client.config_path(context.env, context.paths.home)
    before = _read(path) if path else ""
    was = _state(client, before, context) if path else NOT_CONNECTED
    if was != NOT_CONNECTED:
        _take_out(path, before, _without(client, before, context), context, client.NAME)
        if not any(each.state in {CONNECTED, OUTDATED} for each in look(context)):
            _remove(script_path(context.paths))
    return next(each for each in look(context) if each.client == client.NAME)._replace(was=was)


def _adapter(name: str) -> Client:
    known = client_name(name)
    if known not in ADAPTERS:
        raise UsageError(f"{known} cannot be connected", f"these can: {', '.join(ADAPTERS)}")
    return ADAPTERS[known]


# -- what stands there


def _settings(client: Client, context: Context) -> str | dict[str, object]:
    return client.settings(command_line(context.paths, client.NAME), context.paths.state_dir)


def _state(client: Client, text: str, context: Context) -> str:
    """Return how a client's file stands.

    Raises:
        ConfigError: It is not valid, or another's where only ours may be.
    """
    wanted = _settings(client, context)
    if isinstance(wanted, str):
        if text and MARK not in text:
            raise ConfigError(
                f"{client.config_path(context.env, context.paths.home)} is not ours", "move it away, then connect again"
            )
        state = CONNECTED if text == wanted else OUTDATED if text else NOT_CONNECTED
    else:
        hooks = _hooks(client, text, context)
        ours = list(_ours(hooks))
        expected = [(event, element) for event, element in wanted.items() if element in _listed(hooks, event)]
        is_whole = len(expected) == len(wanted) == len(ours)
        state = CONNECTED if is_whole else OUTDATED if ours else NOT_CONNECTED
    return OUTDATED if state == CONNECTED and not is_runnable(context.paths) else state


def _hooks(client: Client, text: str, context: Context) -> Mapping[str, object]:
    path = client.config_path(context.env, context.paths.home)
    try:
        value = parse(text).value if text.strip("\ufeff \t\r\n") else {}
    except ValueError as error:
        raise ConfigError(f"{path}: {error}", "mend it; nothing was changed") from error
    hooks = value.get("hooks", {}) if isinstance(value, dict) else None
    if not isinstance(hooks, dict) or not all(isinstance(listed, list) for listed in hooks.values() if listed):
        raise ConfigError(f"{path} holds something else than hooks where they belong", "mend it; nothing was changed")
    return hooks


def _listed(hooks: Mapping[str, object], event: str) -> list[object]:
    found = hooks.get(event)
    return found if isinstance(found, list) else []


def _ours(hooks: Mapping[str, object]) -> Iterator[list[str | int]]:
    """Yield the paths of what is ours below the hooks: whole groups where nobody else's hook is in them."""
    for event in hooks:
        for index, element in enumerate(_listed(hooks, event)):
            inner = element.get("hooks") if isinstance(element, dict) else None
            if not isinstance(inner, list):
                if _is_ours(element):
                    yield [event, index]
            elif inner and all(map(_is_ours, inner)):
                yield [event, index]
            else:
                for at, hook in enumerate(inner):
                    if _is_ours(hook):
                        yield [event, index, "hooks", at]


def _is_ours(hook: object) -> bool:
    return isinstance(hook, dict) and f"{MARK}-hook" in str(hook.get("command", ""))


# -- in and out


def _put_in(client: Client, path: str, before: str, text: str, context: Context) -> None:
    wanted = _settings(client, context)
    inserted: list[str] = []
    if isinstance(wanted, str):
        text = wanted
    else:
        kept = text
        for event, element in wanted.items():
            text, added = append_at(text, ["hooks", event], element)
            inserted.append(added)
        # In a file that was empty, what came first holds all that came later.
        inserted = inserted if kept.strip() else [text[len(kept) :]]
    made = _missing_directories(path)
    # First: what was put in and is not known of is found, if not to the byte.
    _keep(client, context, {"inserted": inserted, "made": made, "is_new": not os.path.lexists(path)})
    _write_config(path, before, text)


def _without(client: Client, text: str, context: Context) -> str:
    """Return a file's text without what is ours: as it was put in, or where somebody wrote it anew, by what it is."""
    if isinstance(_settings(client, context), str):
        return ""
    inserted = _kept(client.NAME, context).get("inserted", [])
    taken = _as_it_was(text, [str(each) for each in inserted]) if isinstance(inserted, list) else None
    if taken is not None:
        return taken
    while ours := list(_ours(_hooks(client, text, context))):
        text = remove_at(text, _emptied(_hooks(client, text, context), ours[0]))
    return text


def _as_it_was(text: str, inserted: list[str]) -> str | None:
    """Return a text without what was put in, None where that is not all there, word for word, or not all of ours."""
    for each in sorted(set(inserted), key=len, reverse=True):
        if not each or text.count(each) != inserted.count(each):
            return None
        text = text.replace(each, "")
    if not inserted or f"{MARK}-hook" in text:
        return None
    try:
        parse(text or "{}")
    except ValueError:
        return None
    return text


def _emptied(hooks: Mapping[str, object], path: list[str | int]) -> list[str | int]:
    """Return what is to go so that no empty list or object of ours stays: the value at a path, or what is around it."""
    event = path[0]
    if len(_listed(hooks, str(event))) > 1 or len(path) > 2:  # noqa: PLR2004 -- within a group with others' hooks
        return ["hooks", *path]
    return ["hooks", event] if len(hooks) > 1 else ["hooks"]


def _take_out(path: str, before: str, text: str, context: Context, name: str) -> None:
    kept = _kept(name, context)
    is_whole = isinstance(ADAPTERS[name].settings("", ""), str)
    if not text.strip() and (kept.get("is_new") or is_whole):
        _remove(os.path.realpath(path))
        made = kept.get("made", [])
        for directory in made if isinstance(made, list) else []:
            if isinstance(directory, str) and os.path.dirname(path).startswith(directory):
                _remove(directory)
    else:
        _write_config(path, before, text)
    _remove(_record(name, context))


def _missing_directories(path: str) -> list[str]:
    """Return the directories above a path that are not there, the innermost first."""
    missing = []
    directory = os.path.dirname(path)
    while directory and not os.path.isdir(directory) and directory != os.path.dirname(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    return missing


def _remove(path: str) -> None:
    """Take out a file, or a directory that is empty; what cannot go stays."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        return


# -- files


def _record(name: str, context: Context) -> str:
    return os.path.join(context.paths.state_dir, "connected", f"{name}.json")


def _kept(name: str, context: Context) -> dict[str, object]:
    try:
        found = json.loads(read_text(_record(name, context)) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(client: Client, context: Context, what: dict[str, object]) -> None:
    before = _kept(client.NAME, context)
    # A file that was made by an earlier version of ours is still ours to take away.
    what |= {name: before[name] for name in ("made", "is_new") if before.get(name)}
    _write(_record(client.NAME, context), json.dumps(what, indent=1) + "\n", 0o600)


def _read(path: str) -> str:
    """Return a client's file, empty where there is none.

    Raises:
        ConfigError: It is there and cannot be read, or not changed safely.
    """
    if not os.path.lexists(path):
        return ""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise ConfigError(f"{path} is no regular file of a usual size", "look at it")
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is a link that leads nowhere", "make what it leads to, or remove it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text", "mend it; nothing was changed") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "check its permissions") from error


def _write_config(path: str, before: str, text: str) -> None:
    """Write a client's file where a link leads, with the mode that it has, unless somebody else wrote it meanwhile.

    Raises:
        ConfigError: It is another user's, is not to be written, or has changed.
    """
    real = os.path.realpath(path)
    mode = 0o600
    if os.path.lexists(real):
        status = os.stat(real)
        if not is_own(status):
            raise ConfigError(f"{path} belongs to another user", "run as its owner")
        mode = stat.S_IMODE(status.st_mode)
        if not mode & stat.S_IWUSR:
            raise ConfigError(f"{path} is read-only", f"change it where it is made, or: chmod u+w {path}")
    if _read(path) != before:
        raise ConfigError(f"{path} was written by somebody else just now", "try again")
    _write(real, text, mode)


def _write(path: str, text: str, mode: int) -> None:
    try:
        make_directory(os.path.dirname(path))
        replace_file(path, text, mode=mode)
        if stat.S_IMODE(os.stat(path).st_mode) != mode:
            os.chmod(path, mode)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", remedy(error)) from error
