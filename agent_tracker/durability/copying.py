"""A backup for which somebody waits, made by a process of its own that a damaged page may end as it likes.

Owns both sides: starting that process and understanding what it says, and what it does. What a backup is and where it
goes, `backups` knows.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker import errors
from agent_tracker.config import read_settings
from agent_tracker.context import Context, open_store
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import Made, copy_out, make_backup
from agent_tracker.durability.child import last_words, run_child, signal_name
from agent_tracker.durability.manifests import Manifest
from agent_tracker.errors import AgentTrackerError, StoreError
from agent_tracker.paths import user_paths

if TYPE_CHECKING:
    from agent_tracker.store import Store

__all__ = ["back_up", "main"]

TIMEOUT_S = 600.0


def back_up(context: Context, file: str = "", *, is_forced: bool = False) -> Made:
    """Make a backup, or a copy to a file, and wait until all of it was read.

    Args:
        context: Its environment is handed on; how long to wait for another that makes one.
        file: Absolute; the directory of backups, if empty.
        is_forced: Another file may be there, which is written over.

    Raises:
        UsageError: Something is at the file that may not be written over.
        DamageError: The database is damaged: there is no new backup.
        StoreError: It cannot be read, or the copy cannot be written.
    """
    import subprocess  # noqa: PLC0415 -- the process itself has no need of it

    store, _ = open_store(context)
    words = [str(context.now_ns), str(context.timeout_s), file, "forced" if is_forced else ""]
    try:
        done = run_child("copying", *words, timeout_s=TIMEOUT_S, env=context.env)
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"a copy of {store.path} takes longer than {TIMEOUT_S:g} s", "check the disk") from error
    except OSError as error:
        raise StoreError(f"no process can be started to copy {store.path}: {error.strerror}", "try again") from error
    if done.returncode < 0:
        raise _ended(store, -done.returncode)
    try:
        said = json.loads(done.stdout)
    except ValueError as error:
        last = last_words(done.stderr)
        raise StoreError(f"the copy of {store.path} could not be made: {last}", "agent-tracker doctor") from error
    if "error" in said:
        raise vars(errors)[said["error"]](said["message"], said["hint"])
    return Made(Manifest(**said["backup"]), tuple(said["removed"]))


def _ended(store: Store, number: int) -> AgentTrackerError:
    """Return what it means that a signal ended the process, having had the whole file checked."""
    with suppress(OSError):
        fingerprint.forget(store.path)
    try:
        with store.snapshot():
            pass
    except AgentTrackerError as error:
        return error
    message = f"copying {store.path} was ended by {signal_name(number)}; the file was checked, and is sound"
    return StoreError(message, "agent-tracker backup")


def main(now_ns: str, timeout_s: str, file: str, forced: str) -> int:
    """Make it, as the process of its own, and print what came of it as JSON. Returns 0: an error is told there too.

    The words are those of `back_up`; the last is empty where no other file may be written over.
    """
    os.umask(0o077)
    context = Context(user_paths(os.environ), os.environ, int(now_ns), float(timeout_s))
    try:
        store, _ = open_store(context)
        if file:
            made = Made(copy_out(store, file, paths=context.paths, is_forced=bool(forced)), ())
        else:
            limit = int(read_settings(context.paths, context.env)["maxBackups"].value)
            made = make_backup(store, now=context.now, limit=limit, timeout_s=context.timeout_s)
        said: dict[str, object] = {"backup": made.backup._asdict(), "removed": made.removed}
    except AgentTrackerError as error:
        said = {"error": _told_as(error), "message": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(said))
    return 0


def _told_as(error: AgentTrackerError) -> str:
    """Return the name of the class nearest to an error's own that is made of a message and a hint alone."""
    known = [each for each in type(error).__mro__ if vars(errors).get(each.__name__) is each]
    return next(str(each.__name__) for each in known if each.__init__ is AgentTrackerError.__init__)
