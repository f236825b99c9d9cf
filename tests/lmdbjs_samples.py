"""Databases that the npm package lmdb made: those kept here, and those that it makes anew where npm is at hand."""

from __future__ import annotations

import json
import lzma
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_tracker.lmdbjs.msgpackr import Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.lmdbjs.entries import Entry

__all__ = ["FIXTURES", "PACKAGE", "PREFIXES", "as_expected", "install", "make_samples", "unpacked"]

FIXTURES = Path(__file__).parent / "fixtures" / "lmdbjs"
PACKAGE = "lmdb@3.5.6"
PREFIXES = {"agent": "agents", "commit": "commits", "communication": "communication"}


def unpacked(name: str, place: Path) -> Path:
    """Return a database that is kept here, in a directory: `old`, `new` or `odd`."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / "agent-tracker.lmdb"
    path.write_bytes(lzma.decompress((FIXTURES / f"{name}.lmdb.xz").read_bytes()))
    return path


def install(path: Path) -> subprocess.CompletedProcess[bytes]:
    """Install the package in a new directory, with the script that makes the samples."""
    path.mkdir()
    (path / "package.json").write_text("{}")
    shutil.copy(FIXTURES / "make_samples.mjs", path)
    return subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
        cwd=path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )


def make_samples(package: Path, path: Path) -> subprocess.CompletedProcess[bytes]:
    """Make every sample in a directory, with an installed package."""
    return subprocess.run(
        ["node", "make_samples.mjs", path],
        cwd=package,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )


def as_expected(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Return the entries that could be read as the script writes them down: by database and key, dates as ISO 8601."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.fields is not None:
            fields = {name: _as_json(value) for name, value in entry.fields.items()}
            found.setdefault(entry.database, {})[entry.key] = fields
    return found


def _as_json(value: object) -> object:
    if not isinstance(value, Moment):
        return value
    at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value.ns // 1000)
    return {"date": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"}


def wanted(expected: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what a sample holds by the databases of the new layout, without what no field of ours is made of."""
    found: dict[str, dict[str, Any]] = {}
    for database, items in expected.items():
        for key, value in items.items():
            word, _, rest = key.partition(":")
            name, own = (database, key) if database else (PREFIXES[word], rest)
            fields = {field: each for field, each in value.items() if not isinstance(each, list)}
            found.setdefault(name, {})[own] = fields
    return found


def loaded(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what all samples hold, by their names."""
    return {name: wanted(each) for name, each in json.loads(path.read_text()).items()}
