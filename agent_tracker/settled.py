"""Whether a repository has anything to flush, told from file sizes alone.

Owns the `settled` file, a hint that a flush leaves behind: until when it holds, and what every input looked like when
all of it was in the database. Never a reason to lose anything: where it does not match to the letter, all is flushed.
"""

from __future__ import annotations

import os
import zlib

from agent_tracker.durability import fingerprint
from agent_tracker.files import read_text
from agent_tracker.paths import RepositoryPaths
from agent_tracker.plugin_files import find_waiting
from agent_tracker.repository import worktrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository

__all__ = ["is_settled", "look", "look_at_refs", "look_at_remotes"]

FILE = "settled"
EXPORTED = (".agent/status.json", ".journal", ".journal/index.md")
"""By what is seen that an export is gone, or was changed by another: whether one is wanted, the flush finds out."""
MAX_NAMES = 50_000


def look(paths: UserPaths, env: Mapping[str, str], repository: Repository, database: str) -> str:
    """Return what all inputs of a flush look like now: configuration, database, both spools, the reflogs, the refs.

    The fourth line is what a flush itself changes: the database, and the exports in the main work tree.
    """
    lines = [database, env.get("AGENT_TRACKER_DATABASE_PATH", ""), _file(paths.config_file)]
    exports = (_file(os.path.join(repository.main_path, name)) for name in EXPORTED)
    lines.append(" ".join([_stat(database, "st_dev", "st_ino", "st_size"), *exports]))
    lines += [env.get("AGENT_TRACKER_EXPORT", ""), _file(os.path.join(repository.common_dir, "config"))]
    for directory in (paths.spool_dir, RepositoryPaths(repository.common_dir).spool_dir):
        lines += _spool(directory)
    lines.append(look_at_refs(repository.common_dir))
    lines.append(look_at_remotes(repository.common_dir))
    for name, git_dir in worktrees(repository.common_dir):
        lines.append(f"{name} {_file(os.path.join(git_dir, 'logs', 'HEAD'))}")
    return "\n".join(lines)


def look_at_refs(common_dir: str) -> str:
    """Return what tells that a branch came or went or something was fetched: a commit alone changes none of it."""
    found = [_file(os.path.join(common_dir, name)) for name in ("packed-refs", "reftable/tables.list")]
    found += [_file(os.path.join(git_dir, "FETCH_HEAD")) for _, git_dir in worktrees(common_dir)]
    names: list[str] = []
    pending = [os.path.join(common_dir, "refs", "heads")]
    while pending and len(names) < MAX_NAMES:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    names.append(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            continue
    text = "\0".join(sorted(name for name in names if not name.endswith(".lock")))
    return " ".join([*found, f"{zlib.crc32(text.encode(errors='surrogateescape')):08x}"])


def look_at_remotes(common_dir: str, *, max_names: int = MAX_NAMES) -> str:
    """Return what tells that a remote-tracking ref moved, by a push say: the times of the directories that they lie in.

    Git makes a lock beside a ref before it moves it, also where the ref is packed. Refs are gone through only to find
    the directories among them; where the file system counts these as links of the one that they are in, only until all
    are found. What lies behind `max_names` entries is not found; refs in tables are seen by `look_at_refs`.
    """
    top = os.path.join(common_dir, "refs", "remotes")
    found: list[str] = []
    looked, is_counted = 0, False
    pending = [top]
    while pending and looked < max_names:
        path = pending.pop()
        below: list[str] = []
        try:
            status = os.stat(path)
            found.append(f"{path} {status.st_mtime_ns} {status.st_ino}")
            with os.scandir(path) as entries:
                for entry in entries:
                    if looked >= max_names or (is_counted and 1 < status.st_nlink <= len(below) + 2):
                        break
                    looked += 1
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
        except OSError:
            continue
        if path == top:
            is_counted = bool(below) and status.st_nlink == len(below) + 2
        pending += below
    text = "\0".join(sorted(found))
    return f"{zlib.crc32(text.encode(errors='surrogateescape')):08x}"


def is_settled(paths: UserPaths, env: Mapping[str, str], repository: Repository, *, now: int) -> bool:
    """Tell whether nothing has changed since the last flush left everything in the database, and nothing is due.

    Nor has anybody else been at the database, a flush would find out what he did; nor is there one to be merged.

    Args:
        paths: The user's.
        env: The environment.
        repository: Any of its worktrees.
        now: Unix seconds.
    """
    try:
        due, _, then = read_text(os.path.join(RepositoryPaths(repository.common_dir).spool_dir, FILE)).partition("\n")
        database = then.partition("\n")[0]
        is_due = not (due.isascii() and due.isdigit() and len(due) < 20) or now >= int(due)  # noqa: PLR2004 -- fits 64 bits
        is_same = not is_due and fingerprint.matches(database) and then == look(paths, env, repository, database)
        return is_same and not find_waiting(paths, repository, database)
    except OSError:
        return False


def _stat(path: str, *names: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "-"
    return " ".join(str(getattr(status, name)) for name in names)


def _file(path: str) -> str:
    return _stat(path, "st_size", "st_mtime_ns", "st_ino")


def _spool(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            files = [e for e in entries if e.name == "spool" or e.name.startswith("seg-")]
            return sorted(f"{e.name} {e.stat(follow_symlinks=False).st_size}" for e in files)
    except OSError:
        return ["-"]
