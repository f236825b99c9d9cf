"""What can be wrong with what a repository records: its reflog, its spool, the agent in use; and its index's size.

Owns those checks, one function each. Never changes anything.

Source: gitformat-index(5); git-config(1), core.logAllRefUpdates.
"""

from __future__ import annotations

import os
import re
import stat
import time
from typing import TYPE_CHECKING

from agent_tracker.checks.hook_checks import is_installed
from agent_tracker.checks.symptoms import INSTALL, Finding, in_repository, naming
from agent_tracker.configuring import settings_for_hooks
from agent_tracker.errors import GitError
from agent_tracker.files import read_text
from agent_tracker.flush import known_agents
from agent_tracker.git import run
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.paths import RepositoryPaths
from agent_tracker.registration import Roster
from agent_tracker.spool import FLUSH_LOCK, PENDING, SPOOL, ensure_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.context import Context
    from agent_tracker.repository import Repository

    DirectoryCheck = Callable[[str], Iterator[Finding]]

__all__ = [
    "directory_access",
    "flush_lock",
    "index_size",
    "of_repository",
    "reflog",
    "rejected_lines",
    "spool_size",
    "spool_waiting",
    "stale_files",
    "use",
]

FLUSH = "agent-tracker flush"
BIG_SPOOL_BYTES = 16 << 20
WAITING_S = 24 * 3600
LOCK_WAIT_S = 1.0
STALE_S = 3600
LARGE_INDEX = 20_000
_MAX_SPLIT_BYTES = 64 << 20
_TEMPORARY = re.compile(r"\.\d+\.tmp$")


def of_repository(check: DirectoryCheck) -> Callable[[Repository, Context], Iterator[Finding]]:
    """Return a check of a spool directory as one of a repository's own."""

    def checked(repository: Repository, _context: Context) -> Iterator[Finding]:
        directory = RepositoryPaths(repository.common_dir).spool_dir
        if os.path.lexists(directory):
            for finding in check(directory):
                yield finding._replace(remedy=_here(repository, finding.remedy))

    return checked


def _here(repository: Repository, remedy: str) -> str:
    return in_repository(repository, remedy) if remedy.startswith("agent-tracker ") else remedy


# -- a spool directory -------------------------------------------------------------------------------------------------


def directory_access(directory: str) -> Iterator[Finding]:
    """Yield where a spool cannot be written or trusted, or others may read it.

    Raises:
        SpoolError: The directory is a symbolic link, no directory, or another user's.
    """
    ensure_directory(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(f"not writable: {directory}", naming("chmod", "700", directory), is_fixable=True)
        return
    if stat.S_IMODE(os.stat(directory).st_mode) & 0o077:
        yield Finding(f"open to others: {directory}", naming("chmod", "700", directory), is_fixable=True)
    path = os.path.join(directory, SPOOL)
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        aside = naming("mv", path, f"{path}.aside")
        yield Finding(f"not a regular file, so that nothing is recorded: {path}", aside)
    elif os.path.exists(path) and not os.access(path, os.W_OK):
        yield Finding(f"not writable: {path}", naming("chmod", "600", path))


def spool_size(directory: str, *, limit_bytes: int = BIG_SPOOL_BYTES) -> Iterator[Finding]:
    """Yield a spool so big that it was not flushed for very long."""
    path = os.path.join(directory, SPOOL)
    size = os.lstat(path).st_size if os.path.isfile(path) else 0
    if size > limit_bytes:
        yield Finding(f"{size / 1e6:.1f} MB were never flushed: {path}", FLUSH)


def rejected_lines(directory: str) -> Iterator[Finding]:
    """Yield the files of lines that a flush could not read."""
    for name in sorted(os.listdir(directory)):
        if name.endswith(".rejected"):
            path = os.path.join(directory, name)
            lines = sum(1 for line in read_text(path).split("\n") if line.startswith("# "))
            remedy = f"{naming('less', path)}, then: {naming('rm', path)}"
            yield Finding(f"{lines} unreadable {'line was' if lines == 1 else 'lines were'} set aside: {path}", remedy)


def flush_lock(directory: str, *, wait_s: float = LOCK_WAIT_S) -> Iterator[Finding]:
    """Yield a flush that holds the lock longer than a flush takes."""
    path = os.path.join(directory, FLUSH_LOCK)
    if not os.path.isfile(path):
        return
    try:
        with locked(path, timeout_s=wait_s):
            return
    except LockTimeoutError:
        remedy = f"{naming('fuser', '-v', path)}   (shows which process)"
        yield Finding(f"a flush is running or hangs, and holds {path}", remedy)


def spool_waiting(directory: str) -> Iterator[Finding]:
    """Yield facts that were sealed and that no flush could apply for a day."""
    path = os.path.join(directory, PENDING)
    if os.path.isfile(path):
        waited_s = time.time() - os.stat(path).st_mtime
        if waited_s > WAITING_S:
            hours = int(waited_s // 3600)
            yield Finding(f"what was sealed {hours} hours ago is not in the database: {directory}", FLUSH)


def stale_files(directory: str) -> Iterator[Finding]:
    """Yield temporary files that a killed process left behind."""
    for path in temporary_files(directory):
        yield Finding(f"left behind by a process that was killed: {path}", naming("rm", path), is_fixable=True)


def temporary_files(directory: str) -> list[str]:
    """Return our temporary files in a directory of ours that are older than an hour."""
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    paths = [os.path.join(directory, name) for name in names if _TEMPORARY.search(name)]
    return [p for p in paths if os.path.isfile(p) and time.time() - os.lstat(p).st_mtime > STALE_S]


# -- the repository ----------------------------------------------------------------------------------------------------


def reflog(repository: Repository, _context: Context) -> Iterator[Finding]:
    """Yield where git keeps no reflog: commits that no hook sees are lost then."""
    argv = [f"--git-dir={repository.git_dir}", "config", "--bool", "--get", "core.logAllRefUpdates"]
    try:
        value = run(argv, cwd=repository.work_tree).strip()
    except GitError:  # not set, or `always`
        return
    if value == b"false":
        message = f"git keeps no reflog in {repository.main_path} (core.logAllRefUpdates is false)"
        yield Finding(message, in_repository(repository, "git config core.logAllRefUpdates true"))


def use(repository: Repository, context: Context) -> Iterator[Finding]:
    """Yield an `agent-tracker use` of this worktree that has expired, or that names nobody who may commit."""
    path = os.path.join(repository.git_dir, "agent-tracker", "use")
    if not os.path.isfile(path):
        return
    agent = read_text(path).partition("\n")[0].strip()[:200]
    if os.lstat(path).st_mtime_ns <= context.now_ns:
        stop = in_repository(repository, "agent-tracker use --stop")
        message = f"the use of {agent} has expired in {repository.work_tree}: commits are a person's again"
        yield Finding(message, stop, is_fixable=True)
        return
    found = Roster(known_agents(context)).by_id.get(agent)
    if found is None or not found.active:
        state = "retired" if found else "not registered"
        message = f"the agent in use in {repository.work_tree} is {state}: {agent}"
        yield Finding(message, in_repository(repository, "agent-tracker use --stop"))


def index_size(repository: Repository, context: Context, *, limit: int = LARGE_INDEX) -> Iterator[Finding]:
    """Yield an index so large that a commit feels git reading it anew after pre-commit."""
    entries = _index_entries(repository.git_dir)
    if entries <= limit or not is_installed(repository) or settings_for_hooks(repository, context)[0] == "commit-msg":
        return
    commands = f"git config agenttracker.validateIn commit-msg && {INSTALL}"
    message = f"the index has {entries:,} entries, which git reads twice a commit because of pre-commit"
    yield Finding(message, in_repository(repository, commands))


def _index_entries(git_dir: str) -> int:
    """Return how many entries the index has, those of the shared part of a split one too."""
    path = os.path.join(git_dir, "index")
    entries = _entries_of(path)
    names = [name for name in os.listdir(git_dir) if name.startswith("sharedindex.")]
    if names and os.path.getsize(path) < _MAX_SPLIT_BYTES:
        with open(path, "rb") as file:
            content = file.read()
        oids = ((name, bytes.fromhex(name.partition(".")[2])) for name in names)
        shared = (name for name, oid in oids if re.search(b"link....%s" % re.escape(oid), content, re.DOTALL))
        entries += sum(_entries_of(os.path.join(git_dir, name)) for name in shared)
    return entries


def _entries_of(path: str) -> int:
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        return 0
    return int.from_bytes(head[8:], "big") if head.startswith(b"DIRC") else 0
