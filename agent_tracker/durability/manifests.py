"""What is known of each backup without opening it: a small text file beside it.

Owns that file's format. A backup without one does not count: it is written last, when the copy was found sound.

One word and its value a line: `version`, `serial` (one more than that of the backup before), `made_at` (Unix seconds),
`records`, `commits`, `agents`, `look` (what the database looked like that it was made of), `lineage` (which database
that was), and for each segment that the copy holds `segment NAME BYTES`. The serial tells which is the newest, as the
clock may have been wrong; one that no series of backups comes to makes the whole manifest one that does not count.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from agent_tracker.files import read_text, replace_file

__all__ = [
    "MAX_SERIAL",
    "Manifest",
    "backup_of",
    "coverage",
    "manifest_of",
    "plain_lineage",
    "read_manifest",
    "read_manifests",
    "write_manifest",
]

VERSION = "1"
DATABASE, MANIFEST = ".lmdb", ".manifest"
NUMBERS = ("made_at", "records", "commits", "agents", "serial")
MAX_MANIFESTS = 10_000
MAX_LINEAGE = 64
MAX_SERIAL = 10**9
"""More than there are hours in a hundred thousand years."""


class Manifest(NamedTuple):
    """One backup: its database's path, when it was made (Unix seconds), what is in it, what it was made of.

    `segments`: how many bytes of each spool segment are in it, by the segment's name. `lineage`: that of the database,
    empty for one of old.
    """

    path: str
    made_at: int
    records: int
    commits: int
    agents: int
    look: str
    segments: dict[str, int]
    serial: int = 0
    lineage: str = ""


def manifest_of(path: str) -> str:
    """Return where the manifest of a backup is."""
    return os.path.splitext(path)[0] + MANIFEST


def backup_of(path: str) -> str:
    """Return where the backup of a manifest is."""
    return os.path.splitext(path)[0] + DATABASE


def write_manifest(manifest: Manifest) -> None:
    """Write a manifest beside its backup, which counts from then on.

    Raises:
        OSError: It cannot be written.
    """
    lines = [
        f"version {VERSION}",
        f"serial {manifest.serial}",
        f"made_at {manifest.made_at}",
        f"records {manifest.records}",
        f"commits {manifest.commits}",
        f"agents {manifest.agents}",
        f"look {manifest.look}",
        f"lineage {manifest.lineage}",
        *(f"segment {name} {size}" for name, size in sorted(manifest.segments.items())),
    ]
    path = manifest_of(manifest.path)
    replace_file(path, "\n".join(lines) + "\n")
    # A segment may go because of it: it must outlive a power cut.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifests(directory: str) -> list[Manifest]:
    """Return the backups of a directory that count, the newest first; what is no manifest of ours is passed over."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(MANIFEST))[-MAX_MANIFESTS:]
    except OSError:
        return []
    found = [read_manifest(os.path.join(directory, name)) for name in names]
    return sorted(
        (each for each in found if each), key=lambda each: (each.serial, each.made_at, each.path), reverse=True
    )


def coverage(directory: str) -> dict[tuple[str, int], int]:
    """Return how many backups hold a segment up to a size, by its name and that size."""
    counts: dict[tuple[str, int], int] = {}
    for manifest in read_manifests(directory):
        for segment in manifest.segments.items():
            counts[segment] = counts.get(segment, 0) + 1
    return counts


def read_manifest(path: str) -> Manifest | None:
    """Return what the manifest at a path says, None where its backup is gone or it is none of ours."""
    database = backup_of(path)
    values: dict[str, str] = {}
    segments: dict[str, int] = {}
    for line in read_text(path).split("\n"):
        word, _, value = line.partition(" ")
        if word == "segment":
            name, _, size = value.rpartition(" ")
            segments[name] = _number(size)
        else:
            values[word] = value
    made_at, records, commits, agents, serial = numbers = [_number(values.get(word, "")) for word in NUMBERS]
    if values.get("version") != VERSION or -1 in numbers or serial > MAX_SERIAL or not os.path.isfile(database):
        return None
    look, lineage = values.get("look", ""), plain_lineage(values.get("lineage", ""))
    return Manifest(database, made_at, records, commits, agents, look, segments, serial, lineage)


def plain_lineage(text: str) -> str:
    """Return a lineage as it is, empty for what is none."""
    return text if text.isascii() and text.isalnum() and len(text) <= MAX_LINEAGE else ""


def _number(text: str) -> int:
    """Return a number as a manifest has it, -1 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1  # noqa: PLR2004 -- no time or size is longer
