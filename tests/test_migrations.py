"""Databases of past versions: brought to this one whole, or left as they were, and nobody else's ever touched."""

from __future__ import annotations

import lzma
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.durability import migrations
from agent_tracker.durability.checking import check_file
from agent_tracker.errors import SchemaError, StoreError
from agent_tracker.every_fact import every_fact
from agent_tracker.locking import locked
from agent_tracker.store import SCHEMA_VERSION, Store
from agent_tracker.tables import TABLES
from agent_tracker.verify import verify
from facts import apply_all, commit_fact, oid, project_fact, reading
from gitrepo import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.records import Fact
    from gitrepo import Done, GitRepo

FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).parent.parent
LIMIT = 64 << 20
VERSIONS = tuple(migrations.STEPS)
RELEASES = {"1": "5af6b8f"}
"""The last commit whose program writes a version."""


def packed(version: str) -> Path:
    """Return where the database of a version is."""
    return FIXTURES / f"store-{version}.lmdb.xz"


def unpacked(version: str, path: Path) -> Path:
    """Put the database of a version at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.decompress(packed(version).read_bytes()))
    return path


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Store]:
    """A store of each past version, and which it is."""
    path = unpacked(request.param, tmp_path / "place" / "store.lmdb")
    return request.param, Store(str(path), LIMIT, str(tmp_path / "backups"))


def look(path: Path | str) -> tuple[str, list[Fact], tuple[str, ...]]:
    """Return a database's version, its facts and its tables, as it is: nothing is brought up to date."""
    with Store(str(path), LIMIT).snapshot(is_fixed=True) as snapshot:
        assert snapshot is not None
        return snapshot.schema_version(), list(every_fact(snapshot)), snapshot.names


def migrated(store: Store) -> None:
    """Bring a store up to date, as a flush with nothing to do would."""
    store.write(lambda _: None, timeout_s=5)


# -- what there is


def test_every_past_version_has_a_database() -> None:
    """A step that nothing goes through is a step that nobody knows of whether it works."""
    assert [version for version in migrations.STEPS if not packed(version).is_file()] == []
    assert migrations.STEPS.keys() == RELEASES.keys()
    assert all(packed(version).stat().st_size < 40_000 for version in VERSIONS)


def test_the_steps_lead_from_each_version_to_this_one() -> None:
    """One after the other, without a gap and without a circle."""
    for version in VERSIONS:
        met = [version]
        while met[-1] in migrations.STEPS:
            following, _ = migrations.STEPS[met[-1]]
            assert following not in met
            met.append(following)
        assert met[-1] == SCHEMA_VERSION


# -- migrated


def test_all_facts_come_along(old: tuple[str, Store]) -> None:
    """The same ones in the same order, every table is there, and all that follows from them is what it should be."""
    version, store = old
    was, before, _ = look(store.path)
    assert was == version
    assert len(before) > 50
    migrated(store)
    assert look(store.path) == (SCHEMA_VERSION, before, TABLES)
    assert reading(store, verify).problems == ()
    report = check_file(store.path)
    assert report.problems == ()
    assert report.counts.pop("schema") == len((b"version", b"lineage", b"counts"))
    assert reading(store, lambda snapshot: snapshot.counts()) == report.counts


def test_a_reader_migrates_too(old: tuple[str, Store]) -> None:
    """Whoever comes first, and then it is done."""
    _, store = old
    assert reading(store, lambda snapshot: snapshot.schema_version()) == SCHEMA_VERSION
    assert len(list(Path(store.backups_dir).iterdir())) == 1
    assert reading(store, lambda snapshot: snapshot.schema_version()) == SCHEMA_VERSION
    migrated(store)
    assert len(list(Path(store.backups_dir).iterdir())) == 1


def test_a_copy_of_what_was_is_kept(old: tuple[str, Store]) -> None:
    """Sound, private, of the old version, with every fact."""
    version, store = old
    _, before, tables = look(store.path)
    migrated(store)
    (copy,) = Path(store.backups_dir).iterdir()
    assert copy.name.startswith(f"store-schema-{version}-")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert check_file(str(copy)).problems == ()
    assert look(copy) == (version, before, tables)


def test_what_comes_after_it_is_written_to_the_new_version(old: tuple[str, Store]) -> None:
    """The facts of the flush that migrated are in, and the copy has none of them."""
    _, store = old
    _, before, _ = look(store.path)
    migrated(store)
    apply_all(store, [project_fact(), commit_fact("after")])
    _, after, _ = look(store.path)
    assert len(after) == len(before) + 2
    assert reading(store, lambda snapshot: snapshot.commit(oid("after"))) is not None
    (copy,) = Path(store.backups_dir).iterdir()
    assert look(copy)[1] == before


def test_a_store_at_its_limit_is_migrated(old: tuple[str, Store]) -> None:
    """The new records have to go somewhere."""
    _, store = old
    size = Path(store.path).stat().st_size
    tight = Store(store.path, size, store.backups_dir)
    assert reading(tight, lambda snapshot: snapshot.schema_version()) == SCHEMA_VERSION


# -- two at once, and kills

_MIGRATE = """
import sys
path, backups, *sys.path = sys.argv[1:]
from agent_tracker.store import Store
store = Store(path, 64 << 20, backups)
print("ready", flush=True)
sys.stdin.readline()
store.write(lambda _: None, timeout_s=60)
"""


def migrating(store: Store, *prefix: str) -> subprocess.Popen[str]:
    """Start a process that brings a store up to date once it is told to."""
    argv = [*prefix, sys.executable, "-ISc", _MIGRATE, store.path, store.backups_dir, *sys.path]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_migrate_it_once(old: tuple[str, Store]) -> None:
    """One does it, the other finds it done: there is one copy."""
    _, store = old
    _, before, _ = look(store.path)
    processes = [migrating(store) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    errors = [process.communicate("go\n", timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert look(store.path)[:2] == (SCHEMA_VERSION, before)
    assert len(list(Path(store.backups_dir).iterdir())) == 1


def test_a_reader_does_not_wait_for_another_s_migration(old: tuple[str, Store]) -> None:
    """It reads what there is: the old version."""
    version, store = old
    with locked(store.path + ".write", timeout_s=0), store.snapshot() as snapshot:
        assert snapshot is not None
        assert snapshot.schema_version() == version
        assert len(list(every_fact(snapshot))) > 50


@pytest.fixture(scope="session")
def strace() -> str:
    """The program by which processes are killed at a system call; skips where it may not trace."""
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return "strace"


@pytest.mark.parametrize("syscall", ["pwrite64", "pwritev", "write", "fdatasync", "fsync", "rename", "unlink", "mkdir"])
def test_killed_at_any_step_it_is_of_one_version_or_the_other(
    old: tuple[str, Store], strace: str, syscall: str
) -> None:
    """At each call that changes a file: all facts are there, it is sound, and the next one comes to the end."""
    version, store = old
    _, before, _ = look(store.path)
    original = Path(store.path).read_bytes()
    for when in range(1, 40):
        shutil.rmtree(store.backups_dir, ignore_errors=True)
        shutil.rmtree(Path(store.path).parent)
        Path(store.path).parent.mkdir()
        Path(store.path).write_bytes(original)
        inject = f"inject={syscall}:signal=KILL:when={when}"
        with migrating(store, strace, "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", inject) as process:
            process.communicate("go\n", timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
        found, facts, _ = look(store.path)
        assert found in {version, SCHEMA_VERSION}
        assert facts == before
        assert check_file(store.path).problems == ()
        migrated(store)
        assert look(store.path)[:2] == (SCHEMA_VERSION, before)
    else:
        pytest.fail("it never comes to its end")
    assert look(store.path)[:2] == (SCHEMA_VERSION, before)


# -- where nothing can be written


def put_in_place(version: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the database of a version where the command line finds it."""
    path = unpacked(version, directory / "store.lmdb")
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", str(path))
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own; skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place, cwd=tmp_path).code:
        pytest.skip("cannot mount a disk here")
    yield place
    run("umount", "-l", place, cwd=tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_full_disk_leaves_it_as_it_was(
    version: str, disk: Path, repo: GitRepo, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """The commit waits in the spool, one line says why, no copy is left; with room again all of it goes in."""
    repo.ok("install-hooks")
    bob = repo.register("bob")
    path = put_in_place(version, disk, monkeypatch)
    before = look(path)
    (disk / "ballast").write_bytes(b"\0" * (disk_free(disk) - 4096))
    repo.commit("kept", env={"AGENT_TRACKER_AGENT": bob})
    done = repo.tracker("flush")
    assert (done.code, done.err.count("error: ")) == (1, 1)
    assert "cannot write the database" in done.err
    assert f"hint: delete or move files on {disk}" in done.err
    assert look(path) == before
    assert list(home.rglob("store-schema-*")) == []
    (disk / "ballast").unlink()
    repo.ok("flush")
    assert look(path)[0] == SCHEMA_VERSION
    assert repo.credited() == {"kept": bob}


def disk_free(place: Path) -> int:
    """Return how many bytes are free."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


@pytest.mark.parametrize("version", VERSIONS)
def test_on_a_disk_that_takes_no_writing_it_is_read_as_it_is(
    version: str, disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reading commands show what is in it; what would write it says why it cannot."""
    path = put_in_place(version, disk, monkeypatch)
    before = path.read_bytes()
    assert run("mount", "-o", "remount,ro", disk, cwd=tmp_path).code == 0
    done = tracker("agents", "list", "--json", "--no-flush", cwd=tmp_path)
    assert done.code == 0, done.err
    for name in ("builder", "painter", "careless", "old"):
        assert f'"name": "{name}"' in done.out
    assert tracker("verify", "--no-flush", cwd=tmp_path).code == 0
    assert f"version {version}" in tracker("store", cwd=tmp_path).out
    done = tracker("archive", "--before", "0d", tmp_path / "old.jsonl", cwd=tmp_path)
    assert (done.code, done.err.count("error: ")) == (1, 1)
    assert path.read_bytes() == before
    assert run("mount", "-o", "remount,rw", disk, cwd=tmp_path).code == 0


def tracker(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> Done:
    """Run the command line."""
    return run(sys.executable, "-m", "agent_tracker", *words, cwd=cwd, env=env)


# -- other programs' versions


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The program of the last version but this; skips where this is no repository with its history."""
    commit = RELEASES[str(int(SCHEMA_VERSION) - 1)]
    tar = tmp_path / "released.tar"
    done = run("git", "archive", "--output", tar, commit, "agent_tracker", cwd=ROOT)
    if done.code:
        pytest.skip("the history of this checkout does not go back to the release")
    shutil.unpack_archive(tar, tmp_path / "released", filter="data")
    return tmp_path / "released"


def test_an_older_program_refuses_what_was_migrated(
    old: tuple[str, Store], released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which version it found and which it knows, and changes nothing."""
    _, store = old
    migrated(store)
    before = Path(store.path).read_bytes()
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", store.path)
    for command in (["verify"], ["flush", "--all"]):
        done = tracker(*command, cwd=tmp_path, env={"PYTHONPATH": str(released)})
        assert done.code == 1, done
        assert f"version {SCHEMA_VERSION}; this program knows version 1" in done.err
        assert "upgrade agent-tracker" in done.err
    assert Path(store.path).read_bytes() == before


@pytest.mark.damages
def test_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every command that would open it, byte for byte; what is recorded meanwhile stays in the spool."""
    repo.ok("install-hooks")
    bob = repo.register("bob")
    store = Store(str(tmp_path / "new.lmdb"), LIMIT)
    store.write(lambda writer: writer.set_schema_version("99"), timeout_s=5)
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", store.path)
    before = Path(store.path).read_bytes()
    repo.commit("kept", env={"AGENT_TRACKER_AGENT": bob})
    for command in (["flush"], ["backup"], ["compact"], ["archive", "--before", "0d"]):
        done = repo.tracker(*command)
        assert done.code == 1, command
        assert "is version 99; this program knows version 2" in done.err, command
    assert "version 99" in repo.ok("store")
    for act in (migrated, lambda store: store.compact(timeout_s=1), lambda store: reading(store, verify)):
        with pytest.raises(SchemaError):
            act(store)
    assert Path(store.path).read_bytes() == before
    assert repo.head() in "".join(each.read_text() for each in (repo.path / ".git" / "agent-tracker").glob("seg-*"))


def test_a_damaged_old_store_is_not_migrated(old: tuple[str, Store]) -> None:
    """It is left for a recovery, and no copy of it passes for one."""
    _, store = old
    path = Path(store.path)
    data = path.read_bytes()
    at = data.index(b"builder")
    path.write_bytes(data[:at] + b"B" + data[at + 1 :])
    with pytest.raises(StoreError, match="damaged"):
        migrated(store)
    assert not Path(store.backups_dir).exists() or list(Path(store.backups_dir).iterdir()) == []
    path.write_bytes(data)
