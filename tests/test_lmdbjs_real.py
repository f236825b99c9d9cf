"""Databases that lmdb-js makes now, read to the last entry; skipped where npm or its registry is not to be had."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.errors import SourceError
from agent_tracker.lmdbjs.dictionaries import find_dictionary, is_known, read_dictionary
from agent_tracker.lmdbjs.entries import NO_DICTIONARY, read_entries
from lmdbjs_samples import as_expected, install, loaded, make_samples
from test_neighbours import in_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.npm

CACHE = os.environ.get("AGENT_TRACKER_TEST_CACHE", "")
READ = ("old", "old-uncompressed", "old-structured", "new", "new-worn", "odd", "large", "large-pages")
NEED_DICTIONARY = ("old-structured", "new-worn")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the npm package lmdb is installed."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("npm is not installed")
    root = Path(CACHE) if CACHE else tmp_path_factory.getbasetemp().parent / "lmdbjs"
    root.mkdir(parents=True, exist_ok=True)
    return in_cache(root, "lmdb-js", install)


@pytest.fixture(scope="session")
def samples(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with every sample."""
    path = tmp_path_factory.mktemp("samples")
    done = make_samples(package, path)
    assert done.returncode == 0, done.stdout
    return path


@pytest.fixture(scope="session")
def expected(samples: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What each sample holds."""
    return loaded(samples / "expected.json")


@pytest.fixture(scope="session")
def dictionary(package: Path) -> bytes:
    """The package's own."""
    return read_dictionary(str(package / "node_modules" / "lmdb"))


def test_the_dictionary_is_the_one_that_is_known(dictionary: bytes) -> None:
    """A later package with another one would have to be looked at."""
    assert is_known(dictionary)


@pytest.mark.parametrize("name", READ)
def test_every_entry_is_read(
    samples: Path, expected: dict[str, dict[str, dict[str, Any]]], dictionary: bytes, name: str
) -> None:
    """Each layout, plain and compressed, small pages and large ones: every value comes out as it went in."""
    entries = read_entries(str(samples / name / "agent-tracker.lmdb"), dictionary)
    troubles = [entry for entry in entries if entry.trouble]
    assert [entry.trouble for entry in troubles] == (["its key is no text"] * 2 if name == "odd" else [])
    assert as_expected(entries) == expected[name]


@pytest.mark.parametrize("name", NEED_DICTIONARY)
def test_without_the_dictionary_entries_are_named_and_never_guessed(
    samples: Path, expected: dict[str, dict[str, dict[str, Any]]], name: str
) -> None:
    """What needs it says so, everything else is as it was, and together they are all."""
    entries = read_entries(str(samples / name / "agent-tracker.lmdb"))
    missing = [entry for entry in entries if entry.trouble]
    assert missing
    assert {entry.trouble for entry in missing} == {NO_DICTIONARY}
    read = as_expected(entries)
    for database, items in expected[name].items():
        named = {entry.key for entry in missing if entry.database == database}
        assert items.keys() == named | read.get(database, {}).keys()
        assert all(read[database][key] == items[key] for key in items.keys() - named)


def test_the_dictionary_is_found_beside_a_project(samples: Path, package: Path, dictionary: bytes) -> None:
    """Where the plugin was installed, its package is."""
    project = samples / "project"
    (project / "deep").mkdir(parents=True)
    (project / "node_modules").symlink_to(package / "node_modules")
    assert find_dictionary(str(project / "deep" / "x.lmdb"), str(samples), {}) == dictionary


def test_an_empty_database_has_no_entry(samples: Path) -> None:
    """It is no error."""
    assert read_entries(str(samples / "empty" / "agent-tracker.lmdb")) == []


def test_an_encrypted_database_is_told(samples: Path) -> None:
    """Not as damage: somebody has its key."""
    with pytest.raises(SourceError, match="encrypted"):
        read_entries(str(samples / "encrypted" / "agent-tracker.lmdb"))


def test_a_database_that_is_read_stays_as_it_is(samples: Path) -> None:
    """Not a byte of it changes, nor of its lock, and nothing appears beside it."""
    directory = samples / "new"
    before = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in directory.iterdir()}
    (directory / "agent-tracker.lmdb").chmod(0o400)
    read_entries(str(directory / "agent-tracker.lmdb"))
    assert {path.name: hashlib.sha256(path.read_bytes()).digest() for path in directory.iterdir()} == before


@pytest.fixture
def writer(package: Path, tmp_path: Path) -> Iterator[Path]:
    """A database that another process writes all the time."""
    path = tmp_path / "busy" / "agent-tracker.lmdb"
    path.parent.mkdir()
    argv = ["node", "make_samples.mjs", "--write-on", str(path)]
    with subprocess.Popen(argv, cwd=package, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield path
        process.kill()


def test_what_is_written_meanwhile_is_read_as_of_one_moment(writer: Path) -> None:
    """Each reading has every entry, of one round or of two that follow; or it says that there is too much writing."""
    read = 0
    deadline = time.monotonic() + 10
    while read < 20 and time.monotonic() < deadline:
        try:
            entries = read_entries(str(writer))
        except SourceError as error:
            assert "written all the time" in error.message or "no page that says" in error.message  # noqa: PT017
            continue
        rounds = {(entry.fields or {"task": entry.trouble})["task"] for entry in entries}
        assert len(entries) in {0, 40}
        assert all(each.startswith("round ") for each in rounds)
        numbers = sorted(int(each.removeprefix("round ")) for each in rounds)
        assert not numbers or numbers[-1] - numbers[0] <= 1
        read += bool(entries)
    assert read


@pytest.mark.parametrize("name", ["old", "new", "odd", "large"])
def test_a_database_with_bytes_changed_at_random_is_read_or_refused(samples: Path, tmp_path: Path, name: str) -> None:
    """Nothing but a `SourceError` comes of it, and no more entries than the file has room for."""
    whole = (samples / name / "agent-tracker.lmdb").read_bytes()
    chance = random.Random(name)
    path = tmp_path / "changed.lmdb"
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            page = chance.randrange(0, len(data), 4096)
            at = page + chance.randrange(chance.choice((24, 64, 4096)))
            data[at] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        try:
            entries = read_entries(str(path))
        except SourceError:
            continue
        assert len(entries) <= len(whole) // 8
