"""The fingerprint of the database, and the check by a process of its own where it does not match."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_tracker.durability import child, fingerprint
from agent_tracker.durability.checking import check_file
from agent_tracker.errors import DamageError, StoreBusyError, UncheckedError
from agent_tracker.locking import locked
from agent_tracker.store import Store
from facts import SIZE_BYTES, apply_all, commit_fact, oid, project_fact, reading, store_at

PAGE = 4096


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one commit."""
    made = store_at(tmp_path)
    apply_all(made, [project_fact(), commit_fact("one")])
    return made


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files for which a checking process was really started, in their order."""
    started: list[str] = []
    run = subprocess.run

    def counted(argv: list[str], **options: object) -> object:
        started.append(argv[6])
        return run(argv, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", counted)
    return started


def touch(path: str) -> None:
    """Let another program have been at the file, which it did not change."""
    os.utime(path, ns=(1, 1))


def has_commit(store: Store) -> bool:
    """Tell whether the store gives its commit."""
    return reading(store, lambda snapshot: snapshot.commit(oid("one")) is not None)


def test_what_we_closed_ourselves_is_not_checked(store: Store, checks: list[str]) -> None:
    """Neither reading nor writing starts a process."""
    assert has_commit(store)
    apply_all(store, [commit_fact("two")])
    assert has_commit(Store(store.path, SIZE_BYTES))
    assert checks == []


def test_what_another_was_at_is_checked_once(store: Store, checks: list[str]) -> None:
    """It is found sound, and known again from then on."""
    touch(store.path)
    assert not fingerprint.matches(store.path)
    assert has_commit(store)
    assert has_commit(store)
    assert checks == [store.path]
    assert fingerprint.matches(store.path)
    assert fingerprint.counts(store.path)["commits"] == 1


def test_before_writing_it_is_checked_too(store: Store, checks: list[str]) -> None:
    """Nothing is written into a file that nobody looked at."""
    touch(store.path)
    apply_all(store, [commit_fact("two")])
    assert checks == [store.path]


def test_a_copy_with_the_times_put_back_is_noticed(store: Store, checks: list[str], tmp_path: Path) -> None:
    """The inode or the time of the change gives it away."""
    status = Path(store.path).stat()
    content = Path(store.path).read_bytes()
    (tmp_path / "copy").write_bytes(content)
    (tmp_path / "copy").replace(store.path)
    os.utime(store.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert has_commit(store)
    assert checks == [store.path]


def test_while_it_is_written_readers_do_not_wait(store: Store, checks: list[str]) -> None:
    """Who holds the lock has had it checked: the fingerprint is away, and reading goes on."""
    fingerprint.forget(store.path)
    with locked(f"{store.path}.write", timeout_s=1):
        assert has_commit(store)
    assert checks == []


def test_a_killed_writer_leaves_none_that_matches(store: Store, checks: list[str]) -> None:
    """The next one has the file checked, and finds what was committed before."""
    code = (
        "import os, signal, sys\nfrom agent_tracker.store import Store\n"
        f"with Store({store.path!r}, {SIZE_BYTES}).writer(timeout_s=1) as writer:\n"
        "    writer.set_schema_version('2')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.wait(timeout=30) == -signal.SIGKILL
    assert not fingerprint.matches(store.path)
    assert fingerprint.counts(store.path)["commits"] == 1
    assert has_commit(store)
    assert checks == [store.path]


def test_an_exception_of_ours_leaves_a_fingerprint(store: Store, checks: list[str]) -> None:
    """The transaction was dropped; the file is as sound as it was."""
    with pytest.raises(KeyError), store.writer(timeout_s=1):
        raise KeyError
    assert has_commit(store)
    assert checks == []
    assert fingerprint.counts(store.path)["commits"] == 1


@pytest.mark.damages
def test_a_damaged_page_ends_the_other_process_and_not_this_one(store: Store) -> None:
    """LMDB aborts, or reads past the end of the map: here that is a line."""
    content = bytearray(Path(store.path).read_bytes())
    for page in range(2, len(content) // PAGE):
        content[page * PAGE + 8 : page * PAGE + 16] = b"\xff" * 8
    Path(store.path).write_bytes(content)
    with pytest.raises(DamageError, match="is damaged: ") as caught:
        has_commit(store)
    assert caught.value.hint == "agent-tracker recover"
    assert check_file(store.path, level="records").problems


@pytest.mark.damages
def test_a_signal_is_said_by_its_name(store: Store) -> None:
    """A file that shrinks under the reader is SIGBUS in LMDB; in the checking process alone."""
    content = bytearray(Path(store.path).read_bytes())
    os.truncate(store.path, 2 * PAGE)
    (problem, *_) = check_file(store.path, level="records").problems
    assert "SIGBUS" in problem
    assert len(content) > 2 * PAGE


@pytest.mark.damages
def test_a_count_that_is_wrong_is_found(store: Store) -> None:
    """All checksums are right, and a record is missing: pages of another time."""
    with store.writer(timeout_s=1) as writer:
        writer.put_counts()
        counted = writer.table("schema").get(b"counts") or b""
    with store.writer(timeout_s=1) as writer:
        writer.put_counts = dict  # type: ignore[method-assign]
        writer.table("schema").put(b"counts", counted.replace(b"commits 1 ", b"commits 2 "))
    assert check_file(store.path).problems == ("commits: 1 records are there, 2 were written",)


def test_spare_pages_of_a_long_value_are_no_damage(store: Store) -> None:
    """LMDB itself leaves them where a shorter value is written over a longer one: older stores have such."""
    with store.writer(timeout_s=1) as writer:
        writer.table("templates").put(b"k", b"long" * 20_000)
    with store.writer(timeout_s=1) as writer:
        writer.table("templates").put(b"k", bytes(80_000))
        writer.table("templates").put(b"k", b"less" * 800)
    assert check_file(store.path).problems == ()
    with store.writer(timeout_s=1) as writer:
        writer.table("templates").delete(b"k")


@pytest.mark.damages
def test_a_page_of_another_time_is_found(store: Store) -> None:
    """Its records are sound and as many as there should be: the sum of their checksums is another."""
    with store.writer(timeout_s=1) as writer:
        key, value = next(iter(writer.table("projects").items()))
    with store.writer(timeout_s=1) as writer:
        writer.put_counts = dict  # type: ignore[method-assign]
        writer.table("projects").put(key, value + b" of old")
    assert check_file(store.path).problems == ("projects: the records are sound, and not those that were last written",)


@pytest.mark.damages
def test_the_sums_are_kept_up_with_whatever_is_written(store: Store) -> None:
    """Written over, taken out, marked twice: what is kept is what all records add up to."""
    with store.writer(timeout_s=1) as writer:
        metrics, index = writer.table("metrics"), writer.table("archived")
        for key in (b"x1", b"x2", b"x1"):
            metrics.put(key, key * 3)
            index.mark(key)
        metrics.delete(b"x2")
        metrics.delete(b"x3")
        index.delete(b"x2")
    apply_all(store, [commit_fact("two"), commit_fact("three")])
    with store.snapshot() as snapshot:
        assert snapshot is not None
        totals = snapshot.totals()
        assert {name: snapshot.table(name).check() for name in totals} == totals
    assert check_file(store.path).problems == ()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_was_killed_from_outside_proves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Out of memory, say: the file may be as sound as any."""
    monkeypatch.setattr(child, "_BOOT", f"import os; os.kill(os.getpid(), {int(number)})")
    with pytest.raises(UncheckedError, match="could not be made"):
        check_file(store.path)


def test_a_check_that_takes_too_long_is_no_damage(store: Store) -> None:
    """Nothing is known then: an error of its own, and the file stays as it is."""
    touch(store.path)
    with pytest.raises(UncheckedError, match="takes longer than"):
        check_file(store.path, timeout_s=0.001)
    hurried = Store(store.path, SIZE_BYTES, check_timeout_s=0.001)
    with pytest.raises(UncheckedError):
        has_commit(hurried)
    assert has_commit(store)


def test_a_process_that_cannot_be_started_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No interpreter, or one without lmdb: an error that says what it said."""
    monkeypatch.setattr(sys, "path", ["/nonexistent"])
    with pytest.raises(UncheckedError, match="could not be made"):
        check_file(store.path)


def test_modes_are_mended(store: Store) -> None:
    """What others could read is the owner's alone after the next writing."""
    beside = [Path(store.path + suffix) for suffix in ("", "-lock", ".write")]
    for path in beside:
        path.chmod(0o644)
    apply_all(store, [commit_fact("two")])
    assert [path.stat().st_mode & 0o777 for path in beside] == [0o600] * 3


def test_the_counts_are_those_of_the_last_transaction(store: Store) -> None:
    """In the store, and in the fingerprint beside it."""
    apply_all(store, [commit_fact("two"), commit_fact("three")])
    assert reading(store, lambda snapshot: snapshot.counts())["commits"] == 3
    kept = fingerprint.counts(store.path)
    assert kept.pop(fingerprint.TRANSACTION) == reading(store, lambda snapshot: snapshot.transaction())
    assert kept == reading(store, lambda snapshot: snapshot.counts())


@pytest.mark.damages
def test_a_transaction_that_was_rolled_back_is_damage(store: Store) -> None:
    """One bit of the newest meta page is enough for LMDB to take the one before it: all in it is sound."""
    apply_all(store, [commit_fact("two")])
    content = bytearray(Path(store.path).read_bytes())
    numbers = [int.from_bytes(content[page * PAGE + 144 : page * PAGE + 152], "little") for page in (0, 1)]
    newest = numbers.index(max(numbers))
    content[newest * PAGE + 144 : newest * PAGE + 152] = newest.to_bytes(8, "little")
    Path(store.path).write_bytes(content)
    assert check_file(store.path).problems == ("its last transactions are missing",)


@pytest.mark.damages
@pytest.mark.parametrize("name", [b"schema", b"agents", b"messages"])
def test_a_table_s_name_that_is_damaged_is_damage(store: Store, name: bytes) -> None:
    """It is not taken for another program's database, with its fingerprint or without."""
    content = Path(store.path).read_bytes()
    Path(store.path).write_bytes(content.replace(name, name[:-1] + b"~"))
    assert check_file(store.path).problems
    Path(fingerprint.stored_at(store.path)).unlink()
    assert check_file(store.path).problems


def test_by_a_link_or_not_it_is_the_same_store(store: Store, tmp_path: Path) -> None:
    """One lock, one fingerprint: else two writers would not know of each other."""
    (tmp_path / "link.lmdb").symlink_to(store.path)
    linked = Store(str(tmp_path / "link.lmdb"), SIZE_BYTES)
    assert linked.path == store.path
    apply_all(linked, [commit_fact("two")])
    assert not list(tmp_path.glob("link.lmdb.*"))
    with locked(f"{store.path}.write", timeout_s=1), pytest.raises(StoreBusyError):
        linked.write(lambda writer: writer.put_counts(), timeout_s=0)


@pytest.mark.damages
def test_a_replaced_database_stays_sound_while_it_is_read(store: Store, tmp_path: Path) -> None:
    """Its lock file counts the old one's transactions on: a copy's pages are all of before those."""
    for number in range(12):
        apply_all(store, [commit_fact(f"c{number}")])
    store.copy_to(str(tmp_path / "copy.lmdb"))
    copy = Path(store.path).read_bytes()
    small = store_at(tmp_path / "other")
    apply_all(small, [project_fact()])
    (tmp_path / "old").write_bytes(copy)
    code = (
        "import sys, time\nfrom agent_tracker.store import Store\n"
        f"with Store({small.path!r}, {SIZE_BYTES}).snapshot():\n    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        small.replace(str(tmp_path / "old"), keep_as=str(tmp_path / "kept"), timeout_s=1)
        for number in range(3):
            apply_all(small, [commit_fact(f"later{number}")])
        reader.communicate(timeout=30)
    touch(small.path)
    assert check_file(small.path).problems == ()


@pytest.mark.parametrize("text", ["", "\n", "x" * 100, "1 2 3 4\n", "1\ncommits x\n", "\0\xff\n"])
def test_a_fingerprint_that_is_none_is_a_reason_to_check(store: Store, checks: list[str], text: str) -> None:
    """Whatever stands there, the store is read."""
    Path(fingerprint.stored_at(store.path)).write_text(text)
    assert has_commit(store)
    assert checks == [store.path]


def test_a_read_only_place_is_checked_once_a_process(store: Store, checks: list[str]) -> None:
    """The fingerprint cannot be kept: the process remembers it."""
    fingerprint.forget(store.path)
    lock = Path(store.path + ".write")
    lock.unlink()
    lock.mkdir()  # where nothing can be locked, nothing can be kept either
    assert has_commit(store)
    assert has_commit(store)
    assert checks == [store.path]
