"""What is known of a recovery that was begun: a small text file beside the backups until the report of it is written.

Owns that file's format. It is written before the damaged database is set aside: whoever finds it goes on from there.

One word and its value a line: `version`, `begun` (Unix seconds), `state`, `at_ns` (when the counts were written, 0
where that is not known), `backup` (the file that took the database's place, empty where there was none), and as often
as needed `kept PATH` (a damaged file that was set aside), `count NAME N` (what the damaged one held, by table),
`restored NAME N` (what the backup held) and `problem TEXT`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.database_file import sync_directory
from agent_tracker.durability.spawning import RECOVERING
from agent_tracker.files import read_text, replace_file

if TYPE_CHECKING:
    from agent_tracker.store import Store

__all__ = ["Unfinished", "drop_note", "is_unfinished", "note_of", "read_note", "write_note"]

VERSION = "1"
MOST_DIGITS = 20


class Unfinished(NamedTuple):
    """A recovery that was begun."""

    begun: int
    state: str
    at_ns: int
    backup: str
    kept: tuple[str, ...]
    counts: dict[str, int]
    restored: dict[str, int]
    problems: tuple[str, ...]


def note_of(directory: str) -> str:
    """Return where the note lies, in the directory of a database's backups."""
    return os.path.join(directory, RECOVERING)


def is_unfinished(store: Store) -> bool:
    """Tell whether a recovery of the database was begun and never came to its end."""
    return os.path.lexists(note_of(store.backups_dir))


def write_note(directory: str, note: Unfinished) -> None:
    """Write the note, so that it outlives a power cut.

    Raises:
        OSError: It cannot be written.
    """
    lines = [f"version {VERSION}", f"begun {note.begun}", f"state {note.state}", f"at_ns {note.at_ns}"]
    lines += [f"backup {_line(note.backup)}", *(f"kept {_line(path)}" for path in note.kept)]
    lines += [f"count {name} {count}" for name, count in note.counts.items()]
    lines += [f"restored {name} {count}" for name, count in note.restored.items()]
    lines += [f"problem {_line(problem)}" for problem in note.problems]
    path = note_of(directory)
    replace_file(path, "\n".join(lines) + "\n")
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(directory)


def read_note(directory: str) -> Unfinished | None:
    """Return the note, None where there is none; what of it cannot be understood is as if it were not known."""
    if not os.path.lexists(note_of(directory)):
        return None
    said: dict[str, list[str]] = {}
    for line in read_text(note_of(directory)).split("\n"):
        word, _, value = line.partition(" ")
        said.setdefault(word, []).append(value)
    begun, at_ns = (_number(said.get(word, [""])[0]) for word in ("begun", "at_ns"))
    state, backup = (said.get(word, [""])[0] for word in ("state", "backup"))
    kept = tuple(path for path in said.get("kept", ()) if os.path.isabs(path))
    counts, restored = (_numbers(said.get(word, [])) for word in ("count", "restored"))
    return Unfinished(begun, state, at_ns, backup, kept, counts, restored, tuple(said.get("problem", ())))


def drop_note(directory: str) -> None:
    """Take the note away: there is a report."""
    with suppress(FileNotFoundError):
        os.unlink(note_of(directory))


def _numbers(lines: list[str]) -> dict[str, int]:
    return {name: _number(count) for name, _, count in (line.rpartition(" ") for line in lines)}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


def _line(text: str) -> str:
    return text.replace("\n", " ")
