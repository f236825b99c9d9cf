"""What a repository itself tells since the last flush: its reflogs, and what came from elsewhere.

Owns where the last reading ended: reflog positions, and the `refs` file. Never writes to the store, and never decides
what an entry means.

The `refs` file says what the branches looked like when they were last gone through, and lists their heads, so that only
what came after is looked at. It is a hint: without it, everything since the hooks were installed is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import SpoolError
from agent_tracker.files import read_own, read_text, replace_file
from agent_tracker.gather import Sighted
from agent_tracker.git import list_commits, list_refs
from agent_tracker.paths import RepositoryPaths
from agent_tracker.pushes import read_pushes
from agent_tracker.records import ReflogPosition
from agent_tracker.reflog import Moved, position_of, read_branches, read_entries
from agent_tracker.repository import head_oid, worktrees
from agent_tracker.settled import look_at_refs

if TYPE_CHECKING:
    from agent_tracker.journal import PushFact
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["Refs", "look_at_branches", "look_at_pushes", "read_reflogs", "remember_branches"]

MAX_ARRIVED = 2000
MAX_HEADS = 2000
"""How many heads are listed: in a repository with more of them, new commits are found by their time."""
LOOK_AGAIN_S = 24 * 3600
OVERLAP_S = 2
"""How much of the last reading's time is read again: the times in reflogs are in whole seconds."""


class Refs(NamedTuple):
    """The branches as they are now, if anything about them changed or it was long ago; else `is_new` is false.

    `arrived` are the commits that they lead to now and did not before. `trunk` are the heads of the remotes' default
    branches.
    """

    is_new: bool
    arrived: list[bytes]
    trunk: list[bytes]
    text: str


def read_reflogs(
    snapshot: Snapshot | None, repository: Repository, project: str, *, now_ns: int
) -> tuple[list[Sighted], dict[str, ReflogPosition]]:
    """Return what the reflogs of HEAD in every worktree, and of the branches, say, and the positions that moved.

    Args:
        snapshot: Where the positions stand; None where there is no store yet.
        repository: Any of its worktrees.
        project: Its UUID, under which and a worktree's name the positions are kept.
        now_ns: When this is; Unix nanoseconds.
    """
    baseline = _baseline(repository)
    sighted: list[Sighted] = []
    moved: dict[str, ReflogPosition] = {}
    for name, git_dir in worktrees(repository.common_dir):
        key = f"{project} {name}"
        stored = snapshot.reflog_position(key) if snapshot else None
        start = stored or (baseline.get(name) if baseline is not None else position_of(git_dir))
        head = head_oid(git_dir, repository.common_dir)
        said, position = read_entries(git_dir, start, head=head)
        sighted += [Sighted(each, now_ns + len(sighted) + i) for i, each in enumerate(said)]
        if position != stored:
            moved[key] = position
    branches = f"{project} refs/heads"
    known = snapshot.reflog_position(branches) if snapshot else None
    since = known.last_at if known else _installed_at(repository, now_ns)
    of_branches = read_branches(repository.common_dir, since=since, baseline=baseline or {})
    heads = {at.last_oid for at in (baseline or {}).values()}
    of_branches = [each for each in of_branches if not isinstance(each, Moved) or each.new.hex() not in heads]
    sighted += [Sighted(each, now_ns + len(sighted) + i) for i, each in enumerate(of_branches)]
    if moved or sighted:
        moved[branches] = ReflogPosition(0, "", now_ns // 10**9 - OVERLAP_S)
    return sighted, moved


def look_at_pushes(
    snapshot: Snapshot | None, repository: Repository, project: str, *, now_ns: int
) -> tuple[list[PushFact], dict[str, ReflogPosition]]:
    """Return the pushes since the last reading, or the installation, and the position if it moved.

    It moves with a push, and else once a day, so that what is fetched does not have to be read for ever. The last
    seconds are read again: a push that is known already is known by its commit. Where the position is in the future,
    the clock was wrong when it was written, and all since the installation is read again.

    Args:
        snapshot: Where the position stands; None where there is no store yet.
        repository: Any of its worktrees.
        project: Its UUID, under which the position is kept.
        now_ns: When this is, at the latest: what is written from here on is for the next reading. Unix nanoseconds.
    """
    key = f"{project} refs/remotes"
    now = now_ns // 10**9
    known = snapshot.reflog_position(key) if snapshot else None
    last_at = known.last_at if known and known.last_at <= now else None
    since = _baseline_at(repository, now) if last_at is None else last_at
    pushes = read_pushes(repository.common_dir, since=since)
    has_moved = bool(pushes) or last_at is None or since + LOOK_AGAIN_S <= now
    return pushes, {key: ReflogPosition(0, "", now - OVERLAP_S)} if has_moved else {}


def _baseline_at(repository: Repository, now: int) -> int:
    """Return when the hooks were installed (Unix seconds); now, where that was not recorded."""
    status = _status(RepositoryPaths(repository.common_dir).baseline)
    return int(status.st_mtime) if status else now


def _installed_at(repository: Repository, now_ns: int) -> int:
    """Return from when on the branches' reflogs count (Unix seconds): an older baseline does not list them."""
    path = RepositoryPaths(repository.common_dir).baseline
    status = _status(path)
    if status is None:
        return now_ns // 10**9
    has_branches = "refs/heads/" in _text(path) or _status(f"{repository.common_dir}/logs/refs/heads") is None
    return int(status.st_mtime) + (-1 if has_branches else 1)


def _status(path: str) -> os.stat_result | None:
    """Return the status of what lies at a path, None where nothing does.

    Raises:
        SpoolError: It cannot be told: to count from another moment on would lose commits, or invent them.
    """
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _text(path: str) -> str:
    try:
        return read_own(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> SpoolError:
    return SpoolError(f"cannot read {path}: {error.strerror}", "try again: agent-tracker flush")


def _baseline(repository: Repository) -> dict[str, ReflogPosition] | None:
    """Return where the reflogs stood at installation; None where that was not recorded, and only the future counts.

    A worktree that is not in it was made later: all of its reflog counts.
    """
    path = RepositoryPaths(repository.common_dir).baseline
    if _status(path) is None:
        return None
    positions = {}
    for line in _text(path).split("\n"):
        name, _, rest = line.partition("\t")
        offset, _, rest = rest.partition("\t")
        oid, _, at = rest.partition("\t")
        if offset.isascii() and offset.isdigit():
            last_at = int(at) if at.isascii() and at.isdigit() else 0
            positions[name] = ReflogPosition(int(offset[:18]), "" if oid == "-" else oid, min(last_at, 1 << 40))
    return positions


def look_at_branches(repository: Repository, *, now: int, is_forced: bool) -> Refs:
    """Return what the branches lead to that they did not lead to before.

    Args:
        repository: Any of its worktrees.
        now: Unix seconds.
        is_forced: Look though nothing about the branches seems to have changed.

    Raises:
        GitError: Git cannot be run.
    """
    common_dir = repository.common_dir
    seen = look_at_refs(common_dir)
    then, at, heads = _read(RepositoryPaths(common_dir).refs)
    if then == seen and at <= now < at + LOOK_AGAIN_S and not is_forced:
        return Refs(is_new=False, arrived=[], trunk=[], text="")
    refs = list_refs(common_dir, "refs/heads", "refs/remotes")
    options = ["--branches", "--remotes", "--no-merges"]
    if heads is None:
        heads = [bytes.fromhex(at.last_oid) for at in (_baseline(repository) or {}).values()]
    arrived = list_commits(common_dir, [], but=heads, options=options, limit=MAX_ARRIVED)
    now_at = set(refs.values())
    listed = sorted(now_at) if len(now_at) <= MAX_HEADS else []
    text = "\n".join([seen, str(now), *(oid.hex() for oid in listed), ""])
    trunk = [oid for name, oid in refs.items() if name.startswith("refs/remotes/") and name.endswith("/HEAD")]
    return Refs(is_new=True, arrived=list(arrived)[::-1], trunk=trunk, text=text)


def _read(path: str) -> tuple[str, int, list[bytes] | None]:
    """Return what the branches looked like, when, and their heads; None for these where they are not known."""
    seen, _, rest = read_text(path).partition("\n")
    at, *heads = rest.split("\n")
    try:
        return seen, int(at), [bytes.fromhex(head) for head in heads if head] or None
    except ValueError:
        return "", 0, None


def remember_branches(repository: Repository, refs: Refs) -> None:
    """Leave the hint that what the branches lead to is in the store; without it all is looked at anew."""
    if refs.is_new:
        try:
            replace_file(RepositoryPaths(repository.common_dir).refs, refs.text)
        except OSError:
            return
