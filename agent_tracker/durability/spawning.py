"""Starting the process that looks after the database (`maintenance`), when that is due.

Owns when, and that nobody waits for it: it has a session of its own and nothing of what this process has open, and is
nobody's child who would have to ask after it. A shell between the two costs a millisecond; a fork of this process would
take along what its other threads hold.
"""

from __future__ import annotations

import os
from contextlib import suppress

from agent_tracker.config import read_settings
from agent_tracker.durability.child import child_argv
from agent_tracker.errors import ConfigError
from agent_tracker.files import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.context import Context

__all__ = ["RECOVERING", "last_begun", "start", "start_if_due"]

ATTEMPTED = "attempted"
RECOVERING = "recovering"
"""Beside the backups while a recovery has begun and not come to its end (`unfinished`)."""

AGAIN_S = 60
"""How long after one process another may be started where the database needs it at once."""

_SHELL, _DETACH = "/bin/sh", 'umask 077; "$@" &'


def start_if_due(context: Context, backups_dir: str) -> bool:
    """Start the process if the last was begun long enough ago; tell whether it was started.

    That is `backupInterval`, or as good as at once where a recovery has yet to come to its end.

    Args:
        context: Its environment is handed on, without git's variables.
        backups_dir: Where the backups of the database are.
    """
    interval_s = _interval_s(context)
    if os.path.lexists(os.path.join(backups_dir, RECOVERING)):
        interval_s = min(interval_s, AGAIN_S)
    return bool(interval_s) and _start(context, backups_dir, interval_s)


def start(context: Context, backups_dir: str) -> bool:
    """Start the process at once: the database is damaged, or has to be checked for longer than could be waited.

    Not where no backups are wanted by themselves: then the next `agent-tracker flush` recovers, or `recover`.
    """
    return bool(_interval_s(context)) and _start(context, backups_dir, AGAIN_S)


def _interval_s(context: Context) -> int:
    """Return how many seconds are to lie between two of them, 0 where none is wanted."""
    try:
        return int(read_settings(context.paths, context.env)["backupInterval"].value)
    except ConfigError:
        return 0


def last_begun(backups_dir: str) -> float:
    """Return when the last was begun (Unix seconds), 0 where none was or it cannot be told."""
    try:
        return os.stat(os.path.join(backups_dir, ATTEMPTED)).st_mtime
    except OSError:
        return 0.0


def _start(context: Context, backups_dir: str, interval_s: int) -> bool:
    if 0 <= context.now_ns / 10**9 - last_begun(backups_dir) < interval_s:
        return False
    try:
        _stamp(os.path.join(backups_dir, ATTEMPTED), context.now_ns)
        _spawn(context)
    except (OSError, ValueError, NotImplementedError):
        return False
    return True


def _stamp(path: str, now_ns: int) -> None:
    """Give a file this time, which takes no room on a full disk where the file is there already."""
    try:
        os.utime(path, ns=(now_ns, now_ns))
    except FileNotFoundError:
        replace_file(path, "")
        os.utime(path, ns=(now_ns, now_ns))


def _spawn(context: Context) -> None:
    """Start the process in a session of its own, with nothing to read from and nothing to write to."""
    argv = child_argv("maintenance", str(context.now_ns))
    env = {name: value for name, value in context.env.items() if not name.startswith("GIT_")}
    if hasattr(os, "posix_spawn"):
        try:
            _spawn_detached(argv, env, setsid=True)
        except NotImplementedError:
            _spawn_detached(argv, env, setsid=False)
        return
    import subprocess  # noqa: PLC0415 -- Windows only

    nothing = subprocess.DEVNULL
    subprocess.Popen(argv, env=env, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def _spawn_detached(argv: list[str], env: dict[str, str], *, setsid: bool) -> None:
    """Have a shell start it and end at once, so that it is not this process's child."""
    devnull = os.open(os.devnull, os.O_RDWR)
    try:
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, devnull, number) for number in (0, 1, 2)]
        # Whoever waits for the end of a pipe, or for a lock on a file, must not wait for this process.
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inherited()]
        shell = [_SHELL, "-c", _DETACH, _SHELL, *argv]
        child = os.posix_spawn(_SHELL, shell, env, file_actions=actions, setsid=setsid)
    finally:
        os.close(devnull)
    with suppress(ChildProcessError):  # somebody else asks after every child of this process
        os.waitpid(child, 0)


def _inherited() -> list[int]:
    """Return the descriptors beyond the three that would be handed on to a new process."""
    try:
        found = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        return []
    return [number for number in found if number > 2 and _is_inheritable(number)]  # noqa: PLR2004 -- stderr


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False
