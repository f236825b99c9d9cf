"""The database file: what lies at its path, who may write it, and what each failure leaves behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import pytest

from agent_tracker.durability import fingerprint
from agent_tracker.errors import DamageError, SchemaError, StoreError, StoreFullError
from agent_tracker.locking import locked
from agent_tracker.store import SCHEMA_VERSION, FileKind, Location, Store, classify, locate
from agent_tracker.tables import TABLES
from facts import SIZE_BYTES, apply_all, commit_fact, listed, oid, problems, project_fact, reading, store_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OURS = b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 20
LMDB_JS = b"\0" * 24 + b"\xde\xc0\xef\xbe" + b"\0" * 12


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one commit."""
    made = store_at(tmp_path)
    apply_all(made, [project_fact(), commit_fact("one")])
    return made


def names(store: Store, candidates: Iterable[str]) -> list[str]:
    """Return which of these commits are in the store."""
    with store.snapshot() as snapshot:
        return [name for name in candidates if snapshot and snapshot.commit(oid(name))]


def in_another_process(code: str, path: str) -> str:
    """Return what a program prints in another process; `path` is its first argument."""
    argv = [sys.executable, "-c", code, path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, env=env).stdout.strip()


# -- what lies there


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(None, "absent", id="nothing"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(OURS, "lmdb", id="lmdb"),
        pytest.param(LMDB_JS, "lmdb-js", id="lmdb-js"),
        pytest.param(b"\0" * 40, "foreign", id="zeros"),
        pytest.param(b"SQLite format 3\0" + b"x" * 100, "foreign", id="sqlite"),
        pytest.param(b"x", "foreign", id="one-byte"),
        pytest.param(OURS[:19], "foreign", id="cut-off"),
    ],
)
def test_each_kind_of_file_is_told_apart(tmp_path: Path, content: bytes | None, kind: str) -> None:
    """By its first bytes, and with words for a person."""
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    found = classify(str(path))
    assert found.kind == kind
    assert found.detail


def test_a_real_database_is_known(store: Store) -> None:
    """What LMDB writes is what is looked for."""
    assert classify(store.path) == FileKind("lmdb", "an LMDB database")


@pytest.mark.parametrize("place", ["directory", "file/below"])
def test_a_place_that_can_hold_no_database_is_an_error(tmp_path: Path, place: str) -> None:
    """A directory, and a path that leads through a file: both name it and say what to set."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    path = str(tmp_path / place)
    for act in (lambda: classify(path), lambda: locate(path), lambda: apply_all(Store(path, SIZE_BYTES), [])):
        with pytest.raises(StoreError) as caught:
            act()
        assert str(tmp_path) in caught.value.message
        assert caught.value.hint


def test_a_special_file_is_an_error(tmp_path: Path) -> None:
    """A FIFO or device is refused, and nobody waits for its other end."""
    os.mkfifo(tmp_path / "fifo")
    code = (
        "import sys\nfrom agent_tracker.errors import StoreError\nfrom agent_tracker.store import classify\n"
        "try:\n    classify(sys.argv[1])\nexcept StoreError as error:\n    print(error.message)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "fifo")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=5, env=env)
    except subprocess.TimeoutExpired:
        pytest.fail("waits for a writer of the FIFO")
    assert "is a named pipe" in done.stdout


def test_ours_makes_way_for_the_plugin_s(tmp_path: Path) -> None:
    """Beside an lmdb-js file lies ours, and the file it avoids is named."""
    path = tmp_path / "agent-tracker.lmdb"
    assert locate(str(path)) == Location(str(path), "")
    path.write_bytes(LMDB_JS)
    assert locate(str(path)) == Location(str(tmp_path / "agent-tracker-2.lmdb"), str(path))


def untouched(path: Path, act: Callable[[], object]) -> None:
    """Do something and see that a file is the same, byte for byte, and that it was refused."""
    before = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
    with pytest.raises(StoreError) as caught:
        act()
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) == before


def opened(store: Store) -> None:
    """Open a snapshot."""
    with store.snapshot():
        pass


@pytest.mark.parametrize(
    "content", [LMDB_JS, b"SQLite format 3\0" + b"x" * 100, b"x"], ids=["lmdb-js", "sqlite", "byte"]
)
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Neither read nor written, and nothing is made beside it."""
    path = tmp_path / "store.lmdb"
    path.write_bytes(content)
    store = store_at(tmp_path)
    untouched(path, lambda: opened(store))
    untouched(path, lambda: apply_all(store, [project_fact()]))
    assert {name for name in listed(tmp_path) if not name.endswith(".write")} == {"store.lmdb"}


@pytest.mark.damages
@pytest.mark.parametrize("table", [None, "schema", "other"], ids=["no-tables", "a-table-of-our-name", "tables"])
def test_another_program_s_database_is_left_alone(tmp_path: Path, table: str | None) -> None:
    """It is LMDB and it is not ours: an error, and not a byte changes."""
    path = tmp_path / "store.lmdb"
    env = lmdb.open(str(path), subdir=False, max_dbs=4, map_size=SIZE_BYTES)
    with env.begin(write=True) as txn:
        txn.put(b"theirs", b"data", db=env.open_db(table.encode(), txn=txn) if table else None)
    env.close()
    store = store_at(tmp_path)
    untouched(path, lambda: opened(store))
    untouched(path, lambda: apply_all(store, [project_fact()]))


@pytest.mark.damages
def test_a_newer_layout_is_left_alone(store: Store) -> None:
    """A newer program wrote it: this one does not."""
    with store.writer(timeout_s=1) as writer:
        writer.set_schema_version("99")
    with pytest.raises(SchemaError, match=f"version 99; this program knows version {SCHEMA_VERSION}") as caught:
        opened(store)
    assert "upgrade" in caught.value.hint
    untouched(Path(store.path), lambda: apply_all(store, [commit_fact("two")]))


@pytest.mark.damages
@pytest.mark.parametrize("kept", [100, 4096])
def test_a_file_cut_off_is_an_error(store: Store, kept: int) -> None:
    """The header says LMDB, the rest is missing: it is not taken for a new database."""
    path = Path(store.path)
    path.write_bytes(path.read_bytes()[:kept])
    untouched(path, lambda: opened(store))


# -- made and opened


def test_a_store_is_made_by_its_first_writer(tmp_path: Path) -> None:
    """With its directories, all private; before that a reader finds none."""
    store = Store(str(tmp_path / "a" / "b" / "store.lmdb"), SIZE_BYTES)
    assert not store.exists()
    with store.snapshot() as snapshot:
        assert snapshot is None
    assert not (tmp_path / "a").exists()
    apply_all(store, [project_fact()])
    assert store.exists()
    assert stat.S_IMODE(Path(store.path).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    for name in listed(tmp_path / "a" / "b"):
        assert stat.S_IMODE((tmp_path / "a" / "b" / name).stat().st_mode) == 0o600
        assert ".new" not in name


def test_an_empty_file_is_taken_for_none(tmp_path: Path) -> None:
    """A kill while creating may have left one."""
    (tmp_path / "store.lmdb").touch()
    apply_all(store_at(tmp_path), [project_fact(), commit_fact("one")])
    assert names(store_at(tmp_path), ["one"]) == ["one"]


def test_every_table_is_there_from_the_start(store: Store) -> None:
    """A later version needs no migration to gain one."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert snapshot.schema_version() == SCHEMA_VERSION
        assert {name: snapshot.table(name).count() for name in TABLES}.keys() == set(TABLES)


def test_an_unwritable_place_is_an_error(tmp_path: Path) -> None:
    """A directory cannot be made: the error names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot create the database .*: the path leads through a file"):
        apply_all(Store(str(tmp_path / "file" / "a" / "store.lmdb"), SIZE_BYTES), [])


def test_a_link_in_the_lock_file_s_place_is_refused(store: Store, tmp_path: Path) -> None:
    """Nothing is written through it."""
    Path(store.path + ".write").unlink()
    Path(store.path + ".write").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot write"):
        apply_all(store, [commit_fact("two")])
    assert not (tmp_path / "elsewhere").exists()


# -- transactions


def test_an_exception_drops_the_whole_transaction(store: Store) -> None:
    """Half of what was done is nothing."""
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(KeyError))
        stack.enter_context(store.writer(timeout_s=1)).set_schema_version("half")
        raise KeyError
    assert names(store, ["one"]) == ["one"]
    assert problems(store) == ()


READ = """
import sys
from agent_tracker.store import Store
from facts import SIZE_BYTES
with Store(sys.argv[1], SIZE_BYTES).snapshot() as snapshot:
    print(snapshot.table("commits").count())
"""


@pytest.mark.damages
def test_a_snapshot_sees_nothing_of_an_open_transaction(store: Store) -> None:
    """Another process reads at once and sees what was there before; afterwards it sees the rest."""
    with store.writer(timeout_s=1) as writer:
        writer.table("commits").put(b"\0\0\0\x09", b"half")
        assert in_another_process(READ, store.path) == "1"
    assert in_another_process(READ, store.path) == "2"


WRITE = """
import sys
from agent_tracker.store import Store
from facts import SIZE_BYTES, apply_all, commit_fact
print(apply_all(Store(sys.argv[1], SIZE_BYTES), [commit_fact("two")]).commits)
"""


def test_a_snapshot_stays_what_it_was(store: Store) -> None:
    """Another process writes meanwhile: it is not held up, and the reader sees none of it before the next time."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert in_another_process(WRITE, store.path) == "1"
        assert snapshot.commit(oid("two")) is None
        assert snapshot.table("commits").count() == 1
    assert names(store, ["one", "two"]) == ["one", "two"]


def test_a_writer_gives_up_at_the_deadline(store: Store) -> None:
    """Another one writes, perhaps stopped for ever: an error, not a wait."""
    refused = pytest.raises(StoreError, match="written or checked by another process")
    with locked(store.path + ".write", timeout_s=1), refused, store.writer(timeout_s=0.1):
        pytest.fail("two writers")
    apply_all(store, [commit_fact("two")])


def test_a_reader_needs_no_lock(store: Store) -> None:
    """A writer at work does not hold it up."""
    with locked(store.path + ".write", timeout_s=1):
        assert names(store, ["one"]) == ["one"]


def test_reading_works_where_nothing_can_be_written(store: Store) -> None:
    """The lock file cannot be made: the database is read without it."""
    Path(store.path + "-lock").unlink()
    Path(store.path + "-lock").mkdir()
    assert names(store, ["one"]) == ["one"]


def test_a_store_within_a_store_is_an_error_of_ours(store: Store) -> None:
    """LMDB cannot open a path twice in a process; that is said, not crashed."""
    with store.snapshot(), pytest.raises(StoreError), ExitStack() as stack:
        stack.enter_context(store.writer(timeout_s=1))


# -- full


def test_a_full_database_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """What was there before stays readable and sound, and with more room the same facts go in."""
    store = Store(str(tmp_path / "store.lmdb"), 1_000_000)
    apply_all(store, [project_fact(), commit_fact("one")])
    many = [commit_fact(f"c{i}") for i in range(20_000)]
    with pytest.raises(StoreFullError, match="full") as caught:
        apply_all(store, many)
    assert store.path in caught.value.message
    assert "maxDatabaseSize" in caught.value.hint
    assert names(store, ["one", "c0", "c19999"]) == ["one"]
    assert problems(store) == ()
    larger = Store(store.path, SIZE_BYTES)
    assert apply_all(larger, many).commits == 20_000
    assert names(larger, ["one", "c19999"]) == ["one", "c19999"]


def test_a_smaller_limit_than_what_is_there_is_still_readable(tmp_path: Path) -> None:
    """The limit holds for growing."""
    apply_all(store_at(tmp_path), [project_fact(), *(commit_fact(f"c{i}") for i in range(20_000))])
    smaller = Store(str(tmp_path / "store.lmdb"), 1_000_000)
    assert names(smaller, ["c0", "c19999"]) == ["c0", "c19999"]


# -- damaged


def flip(store: Store, found: bytes) -> None:
    """Change one bit wherever these bytes are in the file, as rot does: nobody sees that it was written."""
    data = Path(store.path).read_bytes()
    assert found in data
    Path(store.path).write_bytes(data.replace(found, bytes([found[0] ^ 1]) + found[1:]))
    fingerprint.remember(store.path, {})


@pytest.mark.damages
def test_a_changed_byte_in_a_value_is_found_and_located(store: Store) -> None:
    """The checksum of a commit does not match: an error that names the table."""
    flip(store, b"subject of one")
    with pytest.raises(StoreError, match="damaged record in commits: key 00000001"):
        reading(store, lambda snapshot: snapshot.commit(oid("one")))
    with pytest.raises(DamageError, match=r"is damaged: a damaged record in commits"):
        problems(store)


@pytest.mark.damages
def test_a_changed_byte_in_a_key_is_found(store: Store) -> None:
    """The checksum covers the key: a value under another key is not believed."""
    with store.writer(timeout_s=1) as writer:
        key, value = next(iter(writer.table("commits.oid").items()))
        sealed = writer.table("commits.oid").sealed(key, value)
        writer.table("commits.oid").put_many([(writer.state_key(oid("two")), sealed)], 0)
    with pytest.raises(StoreError, match=r"damaged record in commits\.oid"):
        reading(store, lambda snapshot: snapshot.commit(oid("two")))
