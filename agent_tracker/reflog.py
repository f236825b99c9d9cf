"""HEAD's reflog: every commit-making command writes it, whether a hook runs or not.

Owns reading the file from a position and telling which entries made a commit. Never writes it.

Source: the messages of git 2.39's builtin/commit.c, sequencer.c, builtin/merge.c, builtin/am.c and builtin/pull.c.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from agent_tracker.lines import parse_oid
from agent_tracker.records import ReflogPosition

__all__ = ["Entry", "Undone", "operation_of", "position_of", "read_entries", "reflog_path"]

MAX_BYTES = 1 << 28
LOOK_BACK_BYTES = 4096
"""How much before a position is read again, to see that the file is still the one it was taken of."""
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


class Entry(NamedTuple):
    """One entry that made a commit: what HEAD was before and after, and how it was made."""

    old: bytes
    new: bytes
    operation: str


class Undone(NamedTuple):
    """A commit that HEAD was moved away from: back to `back_to` by a reset, or by aborting the rebase that made it."""

    oid: bytes
    back_to: bytes


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
    git_dir: str, position: ReflogPosition | None, *, head: str
) -> tuple[list[Entry | Undone], ReflogPosition]:
    """Return the commit-making entries behind `position`, oldest first, then what was taken back, and the new position.

    Git writes an entry before it moves the branch. One that is followed by another from the same old oid never took
    effect: git was killed in between, and nobody has that commit.

    Where the file is no longer what it was (expired, rewritten), reading goes on behind the entry that `position`
    names, and where that is gone too, at its time: a commit that is known already is known by its oid.

    Args:
        git_dir: The worktree's git directory.
        position: Where the last reading ended; None for the beginning.
        head: The oid that HEAD has now (hexadecimal), empty where it is not known.
    """
    before = max(position.offset - LOOK_BACK_BYTES, 0) if position else 0
    data = _read(reflog_path(git_dir), before)
    if position and before and not _is_at(data, position._replace(offset=LOOK_BACK_BYTES)):
        return read_entries(git_dir, position._replace(offset=0), head=head)
    end = data.rfind(b"\n") + 1
    start = _start(data, position._replace(offset=position.offset - before)) if position else 0
    lines = data[start:end].split(b"\n")[:-1]
    next_olds = [line.split(b" ", 1)[0].decode("ascii", "replace") for line in lines[1:]]
    if lines and not _took_effect(lines[-1], head):
        end -= len(lines.pop()) + 1
    undone = _undone(lines)
    pairs = zip(map(_parse, lines), [*next_olds, ""], strict=False)
    # A root commit's entry begins with zeros, and so does that of the next root, on another branch.
    entries = [entry for entry, next_old in pairs if entry and (entry.old.hex() != next_old or not any(entry.old))]
    return [*entries, *undone], ReflogPosition(before + end, *_last_entry(data, end))


def _undone(lines: list[bytes]) -> list[Undone]:
    """Return the commits that were taken back and that HEAD did not come back to."""
    found: dict[str, Undone] = {}
    rebased: list[str] = []
    for line in lines:
        old, new, _ = _entry_facts(line)
        action = line.partition(b"\t")[2].partition(b":")[0]
        found.pop(new, None)
        if action.endswith(b"(start)"):
            rebased = []
        elif action.endswith(b"(abort)"):
            found |= {oid: Undone(bytes.fromhex(oid), b"") for oid in rebased}
            rebased = []
        elif action == b"reset" and old != new:
            with suppress(ValueError):
                found[old] = Undone(parse_oid(old), parse_oid(new))
        elif _parse(line):
            rebased.append(new)
    return list(found.values())


def _took_effect(line: bytes, head: str) -> bool:
    """Tell whether the last entry moved HEAD, or is one whose git is still at work or was killed: that one can wait."""
    fields = line.split(b" ", 2)
    return not head or len(fields) < 3 or fields[1].decode("ascii", "replace") == head  # noqa: PLR2004 -- old, new, who


def position_of(git_dir: str) -> ReflogPosition:
    """Return the position behind everything that is in the reflog now."""
    data = _read(reflog_path(git_dir), 0)
    end = data.rfind(b"\n") + 1
    return ReflogPosition(end, *_last_entry(data, end))


def _read(path: str, start: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(MAX_BYTES)
    except OSError:
        return b""


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


def _parse(line: bytes) -> Entry | None:
    head, _, message = line.partition(b"\t")
    fields = head.split(b" ", 2)
    operation = operation_of(message.decode("utf-8", "replace"))
    if operation is None or len(fields) < 3:  # noqa: PLR2004 -- old, new, who and when
        return None
    try:
        return Entry(parse_oid(fields[0].decode()), parse_oid(fields[1].decode()), operation)
    except ValueError:
        return None
