"""How large the store is, how it grows to its limit, what is said before that, and making its file smaller."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.apply import apply
from agent_tracker.config import MAX_SIZE_BYTES, MIN_SIZE_BYTES
from agent_tracker.contents import Kind, commits_left, days_left
from agent_tracker.context import Context, open_store
from agent_tracker.durability.capacity import fullness, warnings_due
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.remedies import ways_out
from agent_tracker.errors import DiskFullError, StoreBusyError, StoreFullError
from agent_tracker.journal import ActivityFact
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.store import Store
from agent_tracker.verbs.capacity import compact, store_report
from facts import (
    NOW,
    PROJECT,
    SIZE_BYTES,
    agent_fact,
    by_agent,
    commit_fact,
    fact_id,
    grade,
    listed,
    oid,
    problems,
    project_fact,
    reading,
    session,
)
from gitrepo import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_tracker.records import Fact
    from agent_tracker.tables import Writer
    from gitrepo import GitRepo

DAY_S = 86_400
BOB = agent_fact("bob")


def here(*, now: int = NOW + 40 * DAY_S) -> Context:
    """Return what a verb is given."""
    return Context(user_paths(os.environ), os.environ, now * 10**9, timeout_s=5.0)


def commits(count: int, *, first: int = 0) -> list[Fact]:
    """Return commits, one an hour."""
    return [commit_fact(f"c{n}", marks=by_agent("bob"), at=NOW + n * 3600) for n in range(first, first + count)]


def activity(number: int, *, size: int = 1000) -> ActivityFact:
    """Return what was done at some time."""
    at_ns = (NOW + number) * 10**9
    return ActivityFact(fact_id(f"v{number}"), BOB.id, "", b"", "x" * size, "", "", "", PROJECT, at_ns)


def size_of(path: str) -> int:
    """Return how large a file is."""
    return Path(path).stat().st_size


def filled(store: Store, facts: list[Fact]) -> None:
    """Apply facts as a flush does, growing the map."""
    store.write(partial(apply, facts=facts, now=NOW), timeout_s=5)


@pytest.fixture
def store() -> Store:
    """The store of the configuration, with commits of a month."""
    made, _ = open_store(here())
    grades: list[Fact] = [grade(f"g{n}", f"c{n}", at=NOW + n * 3600) for n in range(200)]
    filled(made, [project_fact(), BOB, session("s1", BOB.id), *commits(960), *grades, *map(activity, range(150))])
    return made


def holes_in(store: Store) -> None:
    """Leave free pages in a store."""

    def fill(writer: Writer) -> None:
        for number in range(300):
            writer.table("messages").put(b"%d" % number, bytes(8000))

    def empty(writer: Writer) -> None:
        for number in range(300):
            writer.table("messages").delete(b"%d" % number)

    store.write(fill, timeout_s=5)
    store.write(empty, timeout_s=5)


# -- the report


def test_the_report_says_what_is_there(store: Store) -> None:
    """Sizes of the file and of what is in use, each kind with its number and bytes, and the layout's version."""
    report = store_report(here())
    by_word = {kind.word: kind for kind in report.kinds}
    assert report.path == store.path
    assert report.file_bytes == size_of(store.path)
    assert report.used_bytes is not None
    assert report.free_bytes == report.file_bytes - report.used_bytes
    assert (report.version, report.trouble, report.limit_bytes) == ("2", "", 512 << 20)
    numbers = {word: kind.number for word, kind in by_word.items() if word != "agent"}
    assert numbers == {"commit": 960, "project": 1, "grade": 200, "activity": 150, "session": 1}
    assert 80 < (by_word["commit"].each or 0) < 400
    assert by_word["session"].each is None
    assert sum(kind.size for kind in report.kinds) <= report.used_bytes


def test_the_reach_follows_from_the_last_month(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came in last month comes in each month; commits of before are of no account."""
    assert store.exists()
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", str(SIZE_BYTES))
    report = store_report(here())
    commit = next(kind for kind in report.kinds if kind.word == "commit")
    assert commit.recent == 960 - 10 * 24
    assert report.commits_left is not None
    assert report.commits_left == int((report.limit_bytes - (report.used_bytes or 0)) / (commit.each or 1))
    recent_bytes = sum(kind.size / kind.number * kind.recent for kind in report.kinds)
    assert report.days_left == int((report.limit_bytes - (report.used_bytes or 0)) / (recent_bytes / 30))
    assert store_report(here(now=NOW + 400 * DAY_S)).days_left is None


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param((), id="nothing"),
        pytest.param((Kind("commit", 0, 0),), id="no-commits"),
        pytest.param((Kind("commit", 99, 12_288, 99, NOW - 90 * DAY_S),), id="too-few"),
    ],
)
def test_what_too_little_is_known_of_is_not_known(kinds: tuple[Kind, ...]) -> None:
    """Neither how many commits fit nor for how long; and nothing is divided by zero."""
    assert commits_left(kinds, 1 << 30) is None
    assert days_left(kinds, 1 << 30, now=NOW) is None


def test_a_young_store_has_no_rate_and_a_slow_one_lasts_a_century() -> None:
    """Six days tell nothing; what would last for ages is cut off."""
    kinds = (Kind("commit", 1000, 170_000, 1000, NOW - 6 * DAY_S),)
    assert days_left(kinds, 1 << 30, now=NOW) is None
    assert days_left(kinds, 1 << 25, now=NOW + DAY_S) == (1 << 25) * 7 // 170_000
    assert days_left((Kind("commit", 10**6, 10**6, 100, 0),), 1 << 31, now=NOW) == 36_500


def test_many_events_are_counted_and_few_looked_into(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are exact; bytes and times are those of an even sample."""
    assert store.exists()
    now = NOW + 32 * DAY_S
    whole = {kind.word: kind for kind in store_report(here(now=now)).kinds}
    monkeypatch.setattr("agent_tracker.contents.SAMPLES", 20)
    sampled = {kind.word: kind for kind in store_report(here(now=now)).kinds}
    assert {word: kind.number for word, kind in sampled.items()} == {word: kind.number for word, kind in whole.items()}
    assert sampled["grade"].size == pytest.approx(whole["grade"].size, rel=0.1)
    assert whole["grade"].recent == 152
    assert sampled["grade"].recent == pytest.approx(152, rel=0.3)


def test_a_store_that_is_not_there_is_reported_too() -> None:
    """Its path and its limit are known."""
    report = store_report(here())
    assert (report.file_bytes, report.share, report.kinds, report.detail) == (None, None, (), "nothing there yet")


@pytest.mark.damages
@pytest.mark.parametrize("damage", ["header", "cut", "newer"])
def test_of_a_store_that_cannot_be_opened_the_file_is_reported(store: Store, damage: str, home: Path) -> None:
    """Its size, what keeps it from being opened, and what lies beside it."""
    path = Path(store.path)
    aside = path.with_name(f"{path.name}.damaged-20260101T000000Z")
    shutil.copyfile(path, aside)
    if damage == "newer":
        store.write(lambda writer: writer.set_schema_version("99"), timeout_s=5)
    else:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data[:24] + bytes(8000) + data[8024:])
    report = store_report(here())
    assert report.file_bytes == path.stat().st_size
    assert report.trouble
    assert (report.used_bytes, report.days_left, report.version) == (None, None, "")
    assert [each.path for each in report.beside] == [str(aside)]
    done = run(sys.executable, "-m", "agent_tracker", "store", cwd=home)
    assert (done.code, done.err) == (0, "")
    assert "of the file alone" in done.out


def test_the_command_line_shows_it_in_words_and_as_json(store: Store, home: Path) -> None:
    """A person's words, in at most 80 columns but for the path."""
    done = run(sys.executable, "-m", "agent_tracker", "store", cwd=home)
    assert done.code == 0, done.err
    for word in ("commits", "grades", "activities", "registrations", "sessions", "version 2", "536.9 MB", "backups"):
        assert word in done.out
    assert max(len(line) for line in done.out.splitlines() if store.path not in line) <= 80
    found = json.loads(run(sys.executable, "-m", "agent_tracker", "store", "--json", cwd=home).out)["store"]
    assert {"kind": "commits", "count": 960}.items() <= found["records"][0].items()
    assert found["schema_version"] == "2"
    assert (found["trouble"], found["checked_at"], found["backups"]["count"]) == (None, None, 0)


def test_backups_and_when_records_were_last_read_are_shown(store: Store, home: Path) -> None:
    """A backup that was just made was read in full."""
    done = run(sys.executable, "-m", "agent_tracker", "backup", cwd=home)
    assert done.code == 0, done.err
    report = store_report(here())
    assert (report.backups.number, report.checked_at) == (1, report.backups.last_at)
    assert 0 < report.backups.size <= size_of(store.path)


# -- nearly full


def test_pages_that_are_free_again_do_not_count(tmp_path: Path) -> None:
    """A large file with little in it is not full."""
    store = Store(str(tmp_path / "store.lmdb"), 4_000_000)
    filled(store, [project_fact()])
    holes_in(store)
    assert size_of(store.path) > 2_000_000
    assert fullness(store, share=0.5) is None
    filled(store, [BOB])
    filled(store, [*map(activity, range(1500))])
    found = fullness(store, share=0.4)
    assert found is not None
    assert 0.4 <= found.share < 0.9


def test_a_warning_comes_once_a_day_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 % of the limit, in one line; the next day again; a larger limit ends it."""
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", "1000000")
    store, _ = open_store(here())
    filled(store, [project_fact(), BOB, *map(activity, range(100))])
    assert warnings_due(here(), store) == ()
    number = 100
    while fullness(store) is None:
        filled(store, [activity(number + n) for n in range(10)])
        number += 10
    (warning,) = warnings_due(here(), store)
    assert "\n" not in warning
    assert "of what it may take (1.0 MB, maxDatabaseSize)" in warning
    assert "agent-tracker config set maxDatabaseSize 2000000, or: " in warning
    assert "agent-tracker archive --before 365d" in warning
    assert warnings_due(here(now=NOW + 41 * DAY_S - 1), store) == ()
    assert warnings_due(here(now=NOW + 41 * DAY_S), store) == (warning,)
    assert warnings_due(here(now=NOW), store) == (warning,)  # a clock that was put back
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", "2000000")
    assert warnings_due(here(now=NOW + 50 * DAY_S), open_store(here())[0]) == ()


@pytest.mark.parametrize(
    ("limit", "file_bytes", "spare", "ways"),
    [
        pytest.param(10**6, 10**6, 0, ("config set maxDatabaseSize 2000000", "archive --before 365d"), id="small"),
        pytest.param(
            3 << 29,
            3 << 29,
            1 << 29,
            ("config set maxDatabaseSize 2147483648", "compact", "archive --before 365d"),
            id="holes",
        ),
        pytest.param(MAX_SIZE_BYTES, MAX_SIZE_BYTES, 1 << 20, ("archive --before 365d",), id="ceiling"),
    ],
)
def test_the_ways_out_depend_on_what_is_left(limit: int, file_bytes: int, spare: int, ways: tuple[str, ...]) -> None:
    """A larger limit up to 2 GB, a compact copy where that gains something, and old journals always."""
    assert ways_out(limit, file_bytes, spare) == tuple(f"agent-tracker {way}" for way in ways)


def test_a_flush_says_it(repo: GitRepo) -> None:
    """On stderr, the same words as doctor's; the exit code is that of a flush."""
    repo.ok("config", "set", "maxDatabaseSize", str(MIN_SIZE_BYTES))
    repo.ok("install-hooks")
    bob = repo.register("bob")
    store, _ = open_store(here())
    number = 0
    filled(store, [project_fact()])
    while fullness(store) is None:
        filled(store, [activity(number + n) for n in range(10)])
        number += 10
    repo.commit("one", env={"AGENT_TRACKER_AGENT": bob})
    done = repo.tracker("flush")
    assert done.code == 0
    assert "warning: the database has grown to 8" in done.err
    assert "agent-tracker config set maxDatabaseSize 2000000, or: agent-tracker archive" in done.err
    repo.commit("two", env={"AGENT_TRACKER_AGENT": bob})
    assert "warning: the database" not in repo.tracker("flush").err
    assert "the database has grown to 8" in repo.tracker("doctor").out


# -- growing


def test_the_map_begins_small_and_doubles(tmp_path: Path) -> None:
    """Work that meets a full map is done again from its beginning in one that is twice as large."""
    store = Store(str(tmp_path / "store.lmdb"), 512 << 20)
    filled(store, [project_fact(), BOB])
    sizes = []

    def work(writer: Writer) -> int:
        sizes.append(_map_bytes(writer))
        facts: list[Fact] = [activity(n, size=80_000) for n in range(1900)]
        return apply(writer, facts, now=NOW).entries

    assert store.write(work, timeout_s=5) == 1900
    assert sizes == [64 << 20, 128 << 20, 256 << 20]
    assert reading(store, lambda snapshot: snapshot.table("activities").count()) == 1900
    assert problems(store) == ()
    assert store.write(_map_bytes, timeout_s=5) == 256 << 20


def _map_bytes(writer: Writer) -> int:
    """Return how large the map is in which somebody writes, by the lines of this process's memory map."""
    table = writer.table("schema")
    assert table.count()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("store.lmdb"):
            start, _, end = line.partition(" ")[0].partition("-")
            return int(end, 16) - int(start, 16)
    pytest.skip("no list of this process's memory")


def test_a_full_map_replays_the_work_and_nothing_of_the_first_time_stays(tmp_path: Path) -> None:
    """What was written before the map was full is not there twice, nor half."""
    store = Store(str(tmp_path / "store.lmdb"), 512 << 20)
    filled(store, [project_fact(), BOB])
    attempts = []

    def work(writer: Writer) -> None:
        attempts.append(1)
        writer.table("messages").put(b"attempt %d" % len(attempts), b"x")
        apply(writer, [activity(n, size=80_000) for n in range(900)], now=NOW)

    store.write(work, timeout_s=5)
    assert len(attempts) == 2
    assert reading(store, lambda snapshot: list(snapshot.table("messages").keys())) == [b"attempt 2"]
    store.write(lambda writer: writer.table("messages").delete(b"attempt 2"), timeout_s=5)


def test_at_the_limit_the_error_names_the_ways_out_and_nothing_changes(tmp_path: Path) -> None:
    """Nothing of the transaction is there, and what was there before is sound."""
    store = Store(str(tmp_path / "store.lmdb"), 1_000_000)
    filled(store, [project_fact(), BOB, *map(activity, range(100))])
    before = check_file(store.path)
    with pytest.raises(StoreFullError) as caught:
        filled(store, [activity(n, size=10_000) for n in range(100, 300)])
    assert caught.value.message == f"the database is full: {store.path} has reached its limit of 1.0 MB"
    hint = "agent-tracker config set maxDatabaseSize 2000000, or: agent-tracker archive --before 365d"
    assert caught.value.hint == hint
    assert check_file(store.path)._replace(transaction=0) == before._replace(transaction=0)
    assert problems(store) == ()


_GROW = """
import sys
from functools import partial
from agent_tracker.apply import apply
from agent_tracker.store import Store
from test_capacity import activity
sys.stdin.readline()
facts = [activity(n, size=10_000) for n in range(1500)]
Store(sys.argv[1], 64 << 20).write(partial(apply, facts=facts, now=1), timeout_s=5)
print("grown", flush=True)
"""


def other_process(code: str, *argv: str) -> subprocess.Popen[str]:
    """Start a Python program that knows the tests' modules."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )


def test_another_process_s_growth_is_followed(tmp_path: Path) -> None:
    """A snapshot that is open stays what it was; whoever opens the store next sees all, and writes on."""
    store = Store(str(tmp_path / "store.lmdb"), 9 << 20)
    filled(store, [project_fact(), BOB, activity(5000)])
    with other_process(_GROW, store.path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with store.snapshot() as snapshot:
            assert snapshot is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "grown\n"
            assert snapshot.table("activities").count() == 1
    assert size_of(store.path) > 15 << 20
    assert reading(store, lambda snapshot: snapshot.table("activities").count()) == 1501
    with pytest.raises(StoreFullError):  # this one's own limit is lower than what the other made of it
        filled(store, [activity(n, size=10_000) for n in range(2000, 3000)])
    larger = Store(store.path, 64 << 20)
    filled(larger, [activity(n, size=10_000) for n in range(2000, 2100)])
    assert reading(store, lambda snapshot: snapshot.table("activities").count()) == 1601


@pytest.mark.parametrize("limit", [MIN_SIZE_BYTES, MAX_SIZE_BYTES])
def test_the_smallest_and_the_largest_limit_work(limit: int, repo: GitRepo) -> None:
    """A store is made, written, read, checked, copied and compacted."""
    repo.ok("config", "set", "maxDatabaseSize", str(limit))
    repo.ok("install-hooks")
    bob = repo.register("bob")
    for number in range(2):
        repo.commit(f"c{number}", env={"AGENT_TRACKER_AGENT": bob})
    assert len(repo.json("log")["commits"]) == 2
    assert "Clean" in repo.ok("verify")
    assert repo.json("store")["store"]["limit_bytes"] == limit
    repo.ok("backup")
    repo.ok("compact")
    assert len(repo.commits()) == 2


# -- compact


def test_compacting_gives_the_free_pages_back(store: Store) -> None:
    """The file is smaller, what is in it is the same, and doing it again has nothing to gain."""
    holes_in(store)
    before = check_file(store.path)
    done = compact(here())
    assert done is not None
    assert done.before_bytes - done.after_bytes > 2_000_000
    assert size_of(store.path) == done.after_bytes
    assert check_file(store.path).counts == before.counts
    assert problems(store) == ()
    status = Path(store.path).stat()
    again = compact(here())
    assert again is not None
    assert again.before_bytes == again.after_bytes == done.after_bytes
    assert Path(store.path).stat().st_ino == status.st_ino


def test_compacting_what_is_not_there_is_no_error(home: Path) -> None:
    """There is nothing to do."""
    assert compact(here()) is None
    done = run(sys.executable, "-m", "agent_tracker", "compact", cwd=home)
    assert (done.code, done.out) == (0, "There is no database yet.\n")


def test_the_command_line_says_before_and_after(store: Store, home: Path) -> None:
    """In words and as JSON."""
    holes_in(store)
    done = run(sys.executable, "-m", "agent_tracker", "compact", cwd=home)
    assert done.out.startswith("Compacted ~/.config/opencode/agent-tracker.lmdb: ")
    assert " MB before, " in done.out
    found = json.loads(run(sys.executable, "-m", "agent_tracker", "compact", "--json", cwd=home).out)["compacted"]
    assert found["before_bytes"] == found["after_bytes"] == size_of(store.path)
    assert "less than 131.1 kB to gain" in run(sys.executable, "-m", "agent_tracker", "compact", cwd=home).out


def test_from_four_fifths_on_the_report_shows_the_ways_out(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a line of its own; a store with room says none."""
    shown = run(sys.executable, "-m", "agent_tracker", "store", cwd=home).out
    assert "to make room" not in shown
    figures = store.figures()
    assert figures
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", str(max(MIN_SIZE_BYTES, figures.used_bytes)))
    filled(store, [activity(n) for n in range(max(0, MIN_SIZE_BYTES - figures.used_bytes) // 1300)])
    lines = run(sys.executable, "-m", "agent_tracker", "store", cwd=home).out.splitlines()
    ways = [line[14:] for line in lines if line[:12].strip() in {"to make room", "or"}]
    assert "agent-tracker archive --before 365d" in ways
    assert any(way.startswith("agent-tracker config set maxDatabaseSize") for way in ways)


def test_a_store_at_its_limit_and_one_beyond_it_can_be_compacted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy needs a page or two more than what is in it."""
    holes_in(store)
    figures = store.figures()
    assert figures is not None
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", str(MIN_SIZE_BYTES))
    tight, _ = open_store(here())
    tight.size_bytes = tight._map_bytes = figures.used_bytes
    tight.compact(timeout_s=5)
    assert size_of(store.path) < figures.file_bytes - 2_000_000
    assert problems(store) == ()


def test_a_reader_goes_on_reading_what_it_had(store: Store) -> None:
    """The old file is there for as long as somebody has it open, and the lock file serves both."""
    holes_in(store)
    with store.snapshot() as snapshot:
        assert snapshot is not None
        done = run(sys.executable, "-m", "agent_tracker", "compact", cwd=Path.cwd())
        assert done.code == 0, done.err
        assert snapshot.table("commits").count() == 960
        assert snapshot.commit(oid("c7")) is not None
    filled(store, commits(10, first=960))
    assert reading(store, lambda snapshot: snapshot.table("commits").count()) == 970


def test_nobody_compacts_what_another_writes(store: Store) -> None:
    """It waits for as long as it may, and then says so."""
    holes_in(store)
    with locked(store.path + ".write", timeout_s=0), pytest.raises(StoreBusyError):
        compact(here()._replace(timeout_s=0.1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 8 MB; skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place, cwd=tmp_path).code:
        pytest.skip("cannot mount a disk here")
    yield place
    run("umount", "-l", place, cwd=tmp_path)


@pytest.mark.parametrize("is_foreseen", [True, False], ids=["foreseen", "met"])
def test_no_room_for_the_copy_changes_nothing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, *, is_foreseen: bool
) -> None:
    """The error says how much it takes where that is seen before; nothing is left beside the store."""
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", str(small_disk / "store.lmdb"))
    store, _ = open_store(here())
    filled(store, [project_fact(), BOB, *map(activity, range(2500))])
    holes_in(store)
    report = check_file(store.path)
    names, inode = listed(small_disk), Path(store.path).stat().st_ino
    act: Callable[[], object] = partial(compact, here()) if is_foreseen else partial(store.compact, timeout_s=5)
    with pytest.raises(DiskFullError) as caught:
        act()
    if is_foreseen:
        assert "nothing was changed" in caught.value.message
        assert f"are free on {small_disk}" in caught.value.message
    assert (listed(small_disk), Path(store.path).stat().st_ino) == (names, inode)
    assert check_file(store.path)._replace(transaction=0) == report._replace(transaction=0)


_COMPACT = """
import os, signal, sys
from agent_tracker.store import Store
left = int(sys.argv[2])
WATCHED = {"open", "os.link", "os.rename", "os.remove", "subprocess.Popen"}
def count(event, arguments):
    global left
    if event in WATCHED and ".lmdb" in str(arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
store = Store(sys.argv[1], 64 << 20)
sys.addaudithook(count)
store.compact(timeout_s=5)
"""


@pytest.mark.slow
def test_killed_at_any_moment_there_is_the_old_file_or_the_new(store: Store) -> None:
    """Never neither, never half of one; what is left beside it goes with the next."""
    holes_in(store)
    expected = check_file(store.path)
    number, states = 1, set()
    while True:
        old = Path(store.path).stat().st_ino
        with other_process(_COMPACT, store.path, str(number)) as process:
            code = process.wait(60)
        assert check_file(store.path)._replace(transaction=0) == expected._replace(transaction=0), number
        assert code in {0, -signal.SIGKILL}
        if code == 0:
            break
        states.add(Path(store.path).stat().st_ino == old)
        number += 1
    assert states == {True, False}
    assert [name for name in listed(Path(store.path).parent) if ".new" in name] == []
    assert problems(store) == ()


def test_a_kill_while_the_copy_is_written_leaves_the_old_file(store: Store) -> None:
    """By the clock, wherever the library is."""
    holes_in(store)
    expected = check_file(store.path)
    for delay_ms in (5, 20, 60, 120, 200, 300):
        with other_process(_COMPACT, store.path, "0") as process:
            time.sleep(delay_ms / 1000)
            process.kill()
            process.wait(60)
        assert check_file(store.path)._replace(transaction=0) == expected._replace(transaction=0)
    assert problems(store) == ()
