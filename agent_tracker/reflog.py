"""HEAD's reflog: every commit-making command writes it, whether a hook runs or not.

Owns reading the file from a position and telling which entries made a commit. Never writes it.

Source: the messages of git 2.39's builtin/commit.c, sequencer.c, builtin/merge.c, builtin/am.c and builtin/pull.c.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from agent_tracker.errors import GitError
from agent_tracker.git import reflogs
from agent_tracker.lines import parse_oid
from agent_tracker.records import ReflogPosition
from agent_tracker.repository import ref_oid, worktrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Entry",
    "Left",
    "Moved",
    "Said",
    "Undone",
    "operation_of",
    "position_of",
    "positions_now",
    "read_branches",
    "read_entries",
    "reflog_path",
]

MAX_BYTES = 1 << 28
LOOK_BACK_BYTES = 16384
"""How much before a position is read again: to see that the file is still the one it was taken of, and for resets."""
BRANCH_BYTES = 65536
"""How much of a branch's reflog is read, from its end."""
MAX_FOLLOWERS = 8
"""How many commits made after a reset may hold what it left."""
_BY_COMMIT = {
    "": "commit",
    " (initial)": "initial",
    " (amend)": "amend",
    " (merge)": "merge",
    " (cherry-pick)": "cherry-pick",
    " (rebase)": "rebase",
}
_REBASE_STEPS = dict.fromkeys(("pick", "reword", "edit", "continue", "merge"), "rebase")
_REBASE_STEPS |= {"squash": "squash", "fixup": "squash"}
_GITS_OWN = frozenset(
    {"am", "bisect", "branch", "checkout", "cherry-pick", "clone", "commit", "fetch", "merge", "pull"}
)
_GITS_OWN |= {"push", "rebase", "reset", "revert", "stash", "switch", "worktree", "Branch", "initial", "update"}
_GITS_OWN |= {"storing", "forced-update", "fast-forward"}
"""The first words of what git's own commands write."""


class Entry(NamedTuple):
    """One entry that made a commit: what HEAD was before and after, and how it was made."""

    old: bytes
    new: bytes
    operation: str


class Moved(NamedTuple):
    """One entry that none of git's own commands writes: a script may have made a commit, or merely moved a ref.

    `who` is `Name <mail>`; `at` is in Unix seconds.
    """

    old: bytes
    new: bytes
    who: str
    at: int


class Left(NamedTuple):
    """HEAD went from `tip` to `base`, by a reset or at a rebase's start; what was left may be in what was made then.

    `followers` are the commits made afterwards, in their order. Where a branch tells of a rebase they are not known
    (None), and `base` is what it ended in.
    """

    tip: bytes
    base: bytes
    is_rebase: bool
    followers: tuple[bytes, ...] | None


class Undone(NamedTuple):
    """A commit that HEAD was moved away from: back to `back_to` by a reset, or by aborting the rebase that made it."""

    oid: bytes
    back_to: bytes


Said = Entry | Moved | Left | Undone


def reflog_path(git_dir: str) -> str:
    """Return where the HEAD reflog of a worktree lies."""
    return os.path.join(git_dir, "logs", "HEAD")


def operation_of(message: str) -> str | None:
    """Return how an entry with this message made a commit, None if it made none (or only moved HEAD)."""
    action, colon, rest = message.partition(": ")
    if not colon or rest == "fast-forward":
        return None
    if action.startswith("commit"):
        return _BY_COMMIT.get(action[len("commit") :])
    if action in {"cherry-pick", "revert", "am"}:
        return action
    if action.startswith(("rebase", "pull")) and action.endswith(")"):
        return _REBASE_STEPS.get(action[action.rfind("(") + 1 : -1])
    if action.startswith(("merge ", "pull")) and rest.startswith(("Merge made by", "In-index merge")):
        return "merge"
    return None


def read_entries(
    git_dir: str, position: ReflogPosition | None, *, head: str, look_back_bytes: int = LOOK_BACK_BYTES
) -> tuple[list[Said], ReflogPosition]:
    """Return what the entries behind `position` say, oldest first, what was taken back last, and the new position.

    Git writes an entry before it moves the branch. One that is followed by another from the same old oid never took
    effect: git was killed in between, and nobody has that commit.

    Where the file is no longer what it was (expired, rewritten), reading goes on behind the entry that `position`
    names, and where that is gone too, at its time: a commit that is known already is known by its oid.

    Args:
        git_dir: The worktree's git directory.
        position: Where the last reading ended; None for the beginning.
        head: The oid that HEAD has now (hexadecimal), empty where it is not known.
        look_back_bytes: How much before `position` is read again, for what the entries behind it refer to.
    """
    before = max(position.offset - look_back_bytes, 0) if position else 0
    data = _read_log(git_dir, before)
    if position and before and not _is_at(data, position._replace(offset=look_back_bytes)):
        return read_entries(git_dir, position._replace(offset=0), head=head)
    end = data.rfind(b"\n") + 1
    start = _start(data, position._replace(offset=position.offset - before)) if position else 0
    lines = data[:end].split(b"\n")[:-1]
    first_new = data[:start].count(b"\n")
    pending = b""
    if len(lines) > first_new and not _took_effect(lines[-1], head):
        pending = lines.pop()
        end -= len(pending) + 1
    if before and _aborts_what_began_before(lines, first_new):
        return read_entries(git_dir, position, head=head, look_back_bytes=MAX_BYTES)
    # A new worktree's HEAD comes from nowhere too, to a commit that was there.
    made = (entry for entry in _made(lines, first_new, pending) if isinstance(entry, Entry) or any(entry.old))
    said = [*made, *_left(lines), *_undone(lines, first_new)]
    return said, ReflogPosition(before + end, *_last_entry(data, end))


def read_branches(common_dir: str, *, since: int, baseline: Mapping[str, ReflogPosition]) -> list[Said]:
    """Return what the reflogs of the branches say that changed since a time (Unix seconds).

    Args:
        common_dir: The repository.
        since: Entries of that second count.
        baseline: The positions behind the entries that never count, by the branches' full names.

    HEAD's reflogs say most of it too; not of commits that a script put on a branch that nobody has checked out, or that
    were made in a worktree that is gone, or of a branch that was rebased from another.
    """
    said: list[Said] = []
    for name, data in _branch_logs(common_dir, since):
        start = baseline[name].offset if name in baseline else 0
        lines = [line for line in data[start:][-BRANCH_BYTES:].split(b"\n")[:-1] if _entry_facts(line)[2] >= since]
        is_pending = bool(lines) and not _took_effect(lines[-1], ref_oid(common_dir, name))
        pending = lines.pop() if is_pending else b""
        said += [
            entry for entry in _made(lines, 0, pending) if not isinstance(entry, Entry) or entry.operation != "rebase"
        ]
        said += [left for line in lines if (left := _rebased_branch(line))]
    return said


def _rebased_branch(line: bytes) -> Left | None:
    old, new, _ = _entry_facts(line)
    if not line.partition(b"\t")[2].startswith((b"rebase (finish): refs/", b"rebase finished: refs/")) or old == new:
        return None
    try:
        return Left(parse_oid(old), parse_oid(new), is_rebase=True, followers=None)
    except ValueError:
        return None


def _branch_logs(common_dir: str, since: int) -> list[tuple[str, bytes]]:
    """Return (full name, reflog) of each branch whose reflog was written since a time (Unix seconds)."""
    if _has_tables(common_dir):
        return [(name, data) for name, data in reflogs(common_dir, "--branches").items()]
    logs = os.path.join(common_dir, "logs")
    found: list[tuple[str, bytes]] = []
    pending = [os.path.join(logs, "refs", "heads")]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and entry.stat().st_mtime >= since:
                    found.append((os.path.relpath(entry.path, logs), _read(entry.path, 0)))
    return found


def _made(lines: list[bytes], first_new: int, pending: bytes) -> list[Entry | Moved]:
    """Return the new entries that made a commit, or may have; `pending` is one behind them that is still to show it."""
    new = lines[first_new:]
    next_olds = [line.split(b" ", 1)[0].decode("ascii", "replace") for line in [*new[1:], pending]]
    pairs = zip(map(_parse, new), next_olds, strict=False)
    # A root commit's entry begins with zeros, and so does that of the next root, on another branch.
    return [entry for entry, next_old in pairs if entry and (entry.old.hex() != next_old or not any(entry.old))]


def _left(lines: list[bytes]) -> list[Left]:
    """Return where HEAD was moved from, by whatever may be followed by making the same work again."""
    found: list[Left] = []
    followers: list[bytes] = []
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        old, new, _ = _entry_facts(line)
        action = line.partition(b"\t")[2].partition(b":")[0]
        is_rebase = action.startswith((b"rebase", b"pull")) and action.endswith(b"(start)")
        if old != new and (is_rebase or (action == b"reset" and followers)):
            with suppress(ValueError):
                found.append(
                    Left(
                        parse_oid(old),
                        parse_oid(new),
                        is_rebase,
                        tuple(followers[::-1] if is_rebase else followers[::-1][:MAX_FOLLOWERS]),
                    )
                )
        entry = _parse(line)
        if isinstance(entry, Entry):
            followers.append(entry.new)
    return found[::-1]


def _aborts_what_began_before(lines: list[bytes], first_new: int) -> bool:
    """Tell whether a rebase was aborted of which the lines do not have the start."""
    for index, line in enumerate(lines):
        action = line.partition(b"\t")[2].partition(b":")[0]
        if action.endswith(b"(start)"):
            return False
        if action.endswith(b"(abort)") and index >= first_new:
            return True
    return False


def _undone(lines: list[bytes], first_new: int) -> list[Undone]:
    """Return the commits that were taken back and that HEAD did not come back to."""
    found: dict[str, Undone] = {}
    rebased: list[str] = []
    trail: list[tuple[str, bool]] = []
    for index, line in enumerate(lines):
        old, new, _ = _entry_facts(line)
        action = line.partition(b"\t")[2].partition(b":")[0]
        found.pop(new, None)
        entry = _parse(line)
        if action.endswith(b"(start)"):
            rebased = []
        elif action.endswith(b"(abort)"):
            if index >= first_new:
                found |= {oid: Undone(bytes.fromhex(oid), b"") for oid in rebased}
            rebased = []
        elif action == b"reset" and old != new and index >= first_new:
            with suppress(ValueError):
                found[old] = Undone(parse_oid(old), parse_oid(new))
            # A copy that was taken back is no work thrown away: the work is where it was.
            found |= {oid: Undone(bytes.fromhex(oid), b"") for oid in _copies_since(trail, new)}
        elif isinstance(entry, Entry):
            rebased.append(new)
        trail.append((new, isinstance(entry, Entry) and entry.operation == "cherry-pick"))
    return list(found.values())


def _copies_since(trail: list[tuple[str, bool]], back_to: str) -> list[str]:
    """Return the cherry-picks that HEAD went through since it was last at `back_to`."""
    copies: list[str] = []
    for oid, is_copy in reversed(trail):
        if oid == back_to:
            return copies
        if is_copy:
            copies.append(oid)
    return []


def _took_effect(line: bytes, head: str) -> bool:
    """Tell whether the last entry moved HEAD, or is one whose git is still at work or was killed: that one can wait."""
    fields = line.split(b" ", 2)
    return not head or len(fields) < 3 or fields[1].decode("ascii", "replace") == head  # noqa: PLR2004 -- old, new, who


def positions_now(common_dir: str) -> dict[str, ReflogPosition]:
    """Return the positions behind everything: of HEAD by the worktree's name, of branches by their full names."""
    found = {name: position_of(git_dir) for name, git_dir in worktrees(common_dir)}
    for name, data in _branch_logs(common_dir, 0):
        found[name] = ReflogPosition(len(data), *_last_entry(data, len(data)))
    return found


def position_of(git_dir: str) -> ReflogPosition:
    """Return the position behind everything that is in the reflog now."""
    data = _read_log(git_dir, 0)
    end = data.rfind(b"\n") + 1
    return ReflogPosition(end, *_last_entry(data, end))


def _has_tables(git_dir: str) -> bool:
    return os.path.isdir(os.path.join(git_dir, "reftable"))


def _read_log(git_dir: str, start: int) -> bytes:
    if _has_tables(git_dir):
        return reflogs(git_dir, "HEAD").get("HEAD", b"")[start:]
    return _read(reflog_path(git_dir), start)


def _read(path: str, start: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return b""
    except OSError as error:
        raise GitError(f"cannot read {path}: {error.strerror}", "try again: agent-tracker flush") from error


def _start(data: bytes, position: ReflogPosition) -> int:
    if position.offset and _is_at(data, position):
        return position.offset
    start = by_time = 0
    for line in data.split(b"\n")[:-1]:
        _, oid, at = _entry_facts(line)
        if position.last_oid and oid == position.last_oid:
            return start + len(line) + 1
        start += len(line) + 1
        if at < position.last_at:
            by_time = start
    return by_time


def _is_at(data: bytes, position: ReflogPosition) -> bool:
    """Tell whether the entry that `position` names ends where it says."""
    ends_there = data[position.offset - 1 : position.offset] == b"\n"
    return ends_there and bool(position.last_oid) and _last_entry(data, position.offset)[0] == position.last_oid


def _last_entry(data: bytes, end: int) -> tuple[str, int]:
    """Return the new oid and the time of the last entry before `end`."""
    _, oid, at = _entry_facts(data[data.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end])
    return oid, at


def _entry_facts(line: bytes) -> tuple[str, str, int]:
    """Return an entry's old oid, new oid and time (Unix seconds); nothing where it is no entry."""
    fields = line.partition(b"\t")[0].split(b" ")
    if len(fields) < 4 or not fields[-2].isdigit():  # noqa: PLR2004 -- old, new, who, when, zone
        return "", "", 0
    return fields[0].decode("ascii", "replace"), fields[1].decode("ascii", "replace"), int(fields[-2][:12])


def _parse(line: bytes) -> Entry | Moved | None:
    head, _, message = line.partition(b"\t")
    fields = head.split(b" ", 2)
    if len(fields) < 3:  # noqa: PLR2004 -- old, new, who and when
        return None
    text = message.decode("utf-8", "replace")
    operation = operation_of(text)
    try:
        old, new = parse_oid(fields[0].decode()), parse_oid(fields[1].decode())
    except ValueError:
        return None
    if operation is not None:
        return Entry(old, new, operation)
    if old == new or not any(new) or text.partition(":")[0].split(" ", 1)[0] in _GITS_OWN:
        return None
    who = fields[2].rpartition(b"> ")[0] + b">"
    return Moved(old, new, who.decode("utf-8", "replace"), _entry_facts(line)[2])
