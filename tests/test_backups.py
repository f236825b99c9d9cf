"""Backups: each read before it counts, none half made, and one of them put back."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.context import Context, open_store
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import copy_out, forget_in, make_backup, mend
from agent_tracker.durability.copying import back_up
from agent_tracker.durability.manifests import (
    MANIFEST,
    MAX_SERIAL,
    coverage,
    manifest_of,
    read_manifests,
    write_manifest,
)
from agent_tracker.errors import DamageError, SpoolError, StoreBusyError, StoreError, UsageError
from agent_tracker.files import read_text
from agent_tracker.flush import KEEP_SEGMENTS_S, flush
from agent_tracker.journal import ForgetFact
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.repository import find_repository
from agent_tracker.spool import segments
from agent_tracker.store import Store
from agent_tracker.verbs import backups as verb
from damaging import overwrite, records
from facts import (
    NOW,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    fact_id,
    grade,
    listed,
    problems,
    project_fact,
    reading,
)
from gitrepo import agent_tracker
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitrepo import GitRepo

SECRET = "hunter2-geheim"  # noqa: S105 -- nobody's
HOUR_S, DAY_S = 3600, 86_400


def context(now: int = NOW, **env: str) -> Context:
    """Return the sealed world's context."""
    return Context(user_paths(os.environ), {**os.environ, **env}, now * 10**9)


@pytest.fixture
def store() -> Store:
    """The default database, with a commit by an agent."""
    made, _ = open_store(context())
    apply_all(made, [project_fact(), agent_fact("coder", at=NOW - 100), commit_fact("one", marks=by_agent("coder"))])
    return made


def another(store: Store, name: str) -> None:
    """Put one more commit into a store."""
    apply_all(store, [commit_fact(name, marks=by_agent("coder"))])


def backed_up(store: Store, now: int = NOW, *, limit: int = 24) -> str:
    """Make a backup and return its path."""
    return make_backup(store, now=now, limit=limit, timeout_s=5).backup.path


def commits(path: str) -> int:
    """Return how many commits a database that nobody writes has."""
    with Store(path, 1 << 30).snapshot(is_fixed=True) as snapshot:
        assert snapshot is not None
        return len(list(snapshot.commits()))


def rot(path: str) -> None:
    """Flip a bit in the middle of a commit's value, of which no time of the file tells."""
    content = bytearray(Path(path).read_bytes())
    leaf = next(leaf for leaf in records(bytes(content)) if leaf.table == "commits")
    content[leaf.offset + 5] ^= 1
    overwrite(Path(path), bytes(content))


# -- making one


def test_what_a_backup_is(store: Store) -> None:
    """A compact copy that is a whole store, its manifest beside it, and nobody else may read either."""
    path = backed_up(store)
    (found,) = read_manifests(store.backups_dir)
    assert (found.path, found.made_at, found.commits, found.agents) == (path, NOW, 1, 1)
    assert commits(path) == 1
    assert problems(Store(path, 1 << 30)) == ()
    for each in (path, manifest_of(path)):
        assert stat.S_IMODE(Path(each).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(store.backups_dir).stat().st_mode) == 0o700


def test_several_in_one_second_and_a_clock_that_went_back(store: Store) -> None:
    """Each has its own name, and the one made last is the newest, whatever the clock said."""
    for name, now in (("b", NOW), ("c", NOW), ("d", NOW - 9 * DAY_S), ("e", NOW - DAY_S)):
        another(store, name)
        backed_up(store, now)
    assert [each.commits for each in read_manifests(store.backups_dir)] == [5, 4, 3, 2]
    backed_up(store, NOW - 300 * DAY_S, limit=2)
    assert [each.made_at for each in read_manifests(store.backups_dir)] == [NOW - 300 * DAY_S, NOW - DAY_S]
    assert len([name for name in listed(store.backups_dir) if name.endswith(".lmdb")]) == 2


@pytest.mark.damages
def test_a_damaged_record_is_not_copied(store: Store) -> None:
    """Rot that no fingerprint tells of: no backup is made of it, no old one goes, and the next opening checks."""
    old = backed_up(store)
    another(store, "two")
    rot(store.path)
    fingerprint.remember(store.path, fingerprint.counts(store.path))
    with pytest.raises(DamageError, match="is damaged"):
        backed_up(store, NOW + HOUR_S, limit=2)
    assert [each.path for each in read_manifests(store.backups_dir)] == [old]
    assert not fingerprint.matches(store.path)


@pytest.mark.damages
@pytest.mark.parametrize("byte", [b"\xff", b"\0"], ids=["ones", "zeros"])
def test_a_page_that_ends_the_process_costs_an_error(store: Store, byte: bytes) -> None:
    """The fingerprint matches: the foreground lives on and says that it is damaged."""
    apply_all(store, [commit_fact(f"c{index}", marks=by_agent("coder")) for index in range(400)])
    image = Path(store.path).read_bytes()
    overwrite(Path(store.path), image[: 2 * 4096] + byte * (len(image) - 2 * 4096))
    fingerprint.remember(store.path, fingerprint.counts(store.path))
    done = agent_tracker("backup", cwd=Path("/"))
    assert (done.code, len(done.err.strip().split("\n"))) == (1, 2), done
    assert "error: " in done.err
    assert read_manifests(store.backups_dir) == []


def test_only_one_is_made_at_a_time(store: Store) -> None:
    """Another one is waited for, and not for ever."""
    backed_up(store)
    with locked(str(Path(store.backups_dir) / "lock"), timeout_s=1), pytest.raises(StoreBusyError, match="another"):
        make_backup(store, now=NOW, limit=2, timeout_s=0.05)


KILLED = """
import os, sys
from agent_tracker.durability.backups import make_backup
from agent_tracker.store import Store
store = Store(sys.argv[1], 1 << 30, sys.argv[2])
print("ready", flush=True)
for number in range(1000):
    make_backup(store, now=%d + number, limit=4, timeout_s=5)
"""


def test_killed_at_any_moment_leaves_no_half_backup(store: Store) -> None:
    """Whatever counts passes, and the next one clears up what does not."""
    apply_all(store, [commit_fact(f"c{index}", marks=by_agent("coder")) for index in range(300)])
    chance = random.Random(5)
    argv = [sys.executable, "-c", KILLED % NOW, store.path, store.backups_dir]
    for _ in range(12):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(chance.random() * 0.4)
        process.kill()
        process.communicate()
        for manifest in read_manifests(store.backups_dir):
            assert commits(manifest.path) == manifest.commits == 301
    newest = backed_up(store, limit=4)
    names = [name for name in listed(store.backups_dir) if name != "lock"]
    counted = [Path(each.path).stem for each in read_manifests(store.backups_dir)]
    assert sorted(names) == sorted(f"{name}{end}" for name in counted for end in (".lmdb", MANIFEST))
    assert Path(newest).stem == counted[0]


@pytest.mark.parametrize("call", ["rename", "unlink", "fsync", "fdatasync"])
def test_killed_at_a_syscall(store: Store, tmp_path: Path, call: str) -> None:
    """At each of the first few of a kind: what counts is whole."""
    backed_up(store)
    another(store, "two")
    program = (
        "import sys\nfrom agent_tracker.durability.backups import make_backup\nfrom agent_tracker.store import Store\n"
        f"make_backup(Store(sys.argv[1], 1 << 30, sys.argv[2]), now={NOW + 1}, limit=2, timeout_s=5)\n"
    )
    argv = [sys.executable, "-c", program, store.path, store.backups_dir]
    trace = ["strace", "-o", str(tmp_path / "trace"), "-e", f"trace={call}"]
    try:
        probe = subprocess.run(["strace", "-V"], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no strace")
    assert probe.returncode == 0
    for number in range(1, 4):
        fault = ["-e", f"inject={call}:signal=KILL:when={number}"]
        done = subprocess.run([*trace, *fault, *argv], check=False, capture_output=True)
        found = read_manifests(store.backups_dir)
        assert found
        assert all(commits(each.path) == each.commits for each in found)
        assert found[0].commits == 2 or done.returncode != 0
    backed_up(store, NOW + 2, limit=2)
    assert [name for name in listed(store.backups_dir) if "unfinished" in name] == []
    assert len(read_manifests(store.backups_dir)) == 2


# -- what has no manifest that counts


def flip(path: str) -> None:
    """Flip a bit of a manifest's first line."""
    content = bytearray(Path(path).read_bytes())
    content[8] ^= 1
    Path(path).write_bytes(content)


def make_newer(path: str) -> None:
    """Have a manifest say that it is of a newer program."""
    Path(path).write_text(Path(path).read_text().replace("version 1", "version 2"))


def make_last(path: str) -> None:
    """Give a manifest a serial after which there is none."""
    lines = Path(path).read_text().split("\n")
    Path(path).write_text("\n".join(["serial 999999999999999" if "serial" in line else line for line in lines]))


def take_away(path: str) -> None:
    """Delete a manifest."""
    Path(path).unlink()


@pytest.mark.parametrize("harm", [flip, make_newer, make_last, take_away], ids=lambda harm: harm.__name__)
def test_a_sound_backup_outlives_its_manifest(store: Store, tmp_path: Path, harm: Callable[[str], None]) -> None:
    """It counts for nothing and is listed, can be restored, and counts again in its place when the next is made."""
    paths = [backed_up(store)]
    for number in (1, 2):
        another(store, f"c{number}")
        paths.append(backed_up(store, NOW + number * HOUR_S))
    before = read_manifests(store.backups_dir)
    harm(manifest_of(paths[1]))
    assert [each.path for each in read_manifests(store.backups_dir)] == [paths[2], paths[0]]
    found = json.loads(agent_tracker("backups", "--json", cwd=tmp_path).out)["backups"]["list"]
    assert [(each["path"], each["commits"], each["flaw"]) for each in found] == [
        (paths[2], 3, None),
        (paths[0], 1, None),
        (paths[1], None, "no manifest"),
    ]
    assert "no manifest" in agent_tracker("backups", cwd=tmp_path).out
    assert verb.find(context(), Path(paths[1]).stem) == paths[1]
    another(store, "c3")
    paths.append(backed_up(store, NOW + 3 * HOUR_S))
    after = read_manifests(store.backups_dir)
    assert [each.path for each in after] == paths[::-1]
    assert [each.commits for each in after] == [4, 3, 2, 1]
    again, held = after[2], before[1]
    assert (again.made_at, again.segments, again.lineage) == (held.made_at, held.segments, held.lineage)
    assert held.lineage


@pytest.mark.damages
def test_a_damaged_backup_without_a_manifest_is_kept_aside(store: Store, tmp_path: Path) -> None:
    """Nobody deletes it, but who takes a text out of the backups."""
    bad = backed_up(store)
    take_away(manifest_of(bad))
    rot(bad)
    content = Path(bad).read_bytes()
    again = backed_up(store, NOW + 1)
    assert Path(bad + ".damaged").read_bytes() == content
    assert [each.path for each in read_manifests(store.backups_dir)] == [again]
    backed_up(store, NOW + 2)
    found = json.loads(agent_tracker("backups", "--json", cwd=tmp_path).out)["backups"]["list"]
    assert [each["path"] for each in found if each["flaw"] == "damaged"] == [bad + ".damaged"]
    assert forget_in(store.backups_dir, ForgetFact(fact_id("g"), NOW), now=NOW, timeout_s=5) == ()
    assert not Path(bad + ".damaged").exists()


def test_a_backup_counts_again_where_somebody_wants_one_at_once(store: Store) -> None:
    """Not while another process makes one: it may be the very one."""
    path = backed_up(store)
    take_away(manifest_of(path))
    with locked(str(Path(store.backups_dir) / "lock"), timeout_s=1):
        mend(store.backups_dir, timeout_s=0.05)
    assert read_manifests(store.backups_dir) == []
    mend(store.backups_dir, timeout_s=5)
    (found,) = read_manifests(store.backups_dir)
    assert (found.path, found.made_at, found.commits) == (path, NOW, 1)
    mend(store.backups_dir + "-of-nobody", timeout_s=5)


def test_only_what_is_unfinished_is_litter(store: Store) -> None:
    """And a manifest whose backup somebody deleted."""
    old = backed_up(store)
    directory = Path(store.backups_dir)
    gone = directory / "20230101T000000Z.manifest"
    for name in (gone.name, "20230102T000000Z.lmdb.unfinished", "mine.txt", "mine.manifest"):
        (directory / name).write_text("x")
    new = backed_up(store, NOW + 1)
    names = {Path(each).name for path in (old, new) for each in (path, manifest_of(path))}
    assert set(listed(directory)) == names | {"lock", "mine.txt", "mine.manifest"}


def test_serials_begin_anew_where_there_is_none_left(store: Store) -> None:
    """The order stays, and each new one counts."""
    paths = [backed_up(store)]
    held = read_manifests(store.backups_dir)[0]
    write_manifest(held._replace(serial=MAX_SERIAL))
    for number in (1, 2):
        another(store, f"c{number}")
        paths.insert(0, backed_up(store, NOW - number))
    found = read_manifests(store.backups_dir)
    assert [each.path for each in found] == paths
    assert [each.serial for each in found] == [3, 2, 1]


# -- a database that is begun anew


def begin_anew(store: Store) -> None:
    """Delete the database and put one commit into a new one."""
    for suffix in ("", "-lock", ".write", ".fingerprint"):
        Path(store.path + suffix).unlink(missing_ok=True)
    apply_all(store, [project_fact(), commit_fact("new")])


def test_the_last_backup_of_a_lost_database_stays(store: Store, tmp_path: Path) -> None:
    """However many of the new one are made; it is marked, and can be restored, and then the other one is marked."""
    another(store, "two")
    backed_up(store, NOW - 1)
    another(store, "three")
    old = backed_up(store)
    begin_anew(store)
    for number in range(1, 6):
        another(store, f"n{number}")
        backed_up(store, NOW + number * HOUR_S, limit=2)
    found = {each.path: each.reason for each in verb.list_backups(context()).backups}
    assert (len(found), found[old]) == (3, "other")
    shown = agent_tracker("backups", cwd=tmp_path, env={"COLUMNS": "80"}).out
    assert f"is of another database, begun anew since: agent-tracker restore {Path(old).stem}" in shown
    verb.restore(context(), verb.plan(context(), Path(old).stem))
    assert len(reading(store, lambda snapshot: list(snapshot.commits()))) == 3
    reasons = [each.reason for each in verb.list_backups(context()).backups]
    assert reasons.count("other") == 1
    assert verb.list_backups(context()).backups[0].reason == "other"


def test_a_full_disk_names_what_was_written_where(store: Store) -> None:
    """A file larger than the system lets there be: the database and the directory of backups each by its own name."""
    before = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    program = (
        f"import sys\n{before}from agent_tracker.durability.backups import make_backup\n"
        "from agent_tracker.errors import StoreError\nfrom agent_tracker.store import Store\n"
        f"try:\n    make_backup(Store(sys.argv[1], 1 << 30, sys.argv[2]), now={NOW}, limit=2, timeout_s=5)\n"
        "except StoreError as error:\n    print(error.message)\n"
    )
    argv = [sys.executable, "-c", program, store.path, store.backups_dir]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert said.startswith(
        (f"cannot write to {store.backups_dir} a backup of the database {store.path}: ", "cannot use")
    ), said


# -- a copy to a file


def test_a_copy_to_a_file(store: Store, tmp_path: Path) -> None:
    """It is a whole database, 0600, and written over by force alone."""
    file = tmp_path / "copy.lmdb"
    made = back_up(context(), str(file))
    assert (made.backup.path, made.backup.commits, commits(str(file))) == (str(file), 1, 1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    another(store, "two")
    with pytest.raises(UsageError, match="is there"):
        back_up(context(), str(file))
    assert commits(str(file)) == 1
    back_up(context(), str(file), is_forced=True)
    assert commits(str(file)) == 2
    assert listed(tmp_path) == ["copy.lmdb"]
    assert read_manifests(store.backups_dir) == []


def test_a_copy_never_takes_the_place_of_the_database(store: Store, tmp_path: Path) -> None:
    """Nor of what is beside it, nor of a backup, nor of a directory: forced or not, through a link or not."""
    backup = backed_up(store)
    link = tmp_path / "link.lmdb"
    link.symlink_to(store.path)
    for file in (store.path, store.path + "-lock", store.path + ".write", str(link), backup, str(tmp_path)):
        with pytest.raises(UsageError):
            copy_out(store, file, paths=user_paths(os.environ), is_forced=True)
    assert reading(store, lambda snapshot: len(list(snapshot.commits()))) == 1
    with pytest.raises(UsageError, match="no-such"):
        copy_out(store, str(tmp_path / "no-such" / "file"), paths=user_paths(os.environ), is_forced=False)


def test_what_a_killed_copy_left_goes_with_the_next(store: Store, tmp_path: Path) -> None:
    """Of a process that is gone; what another is writing now is let be."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead, alive = tmp_path / f"c.{gone.pid}.unfinished", tmp_path / f"c.{os.getppid()}.unfinished"
    dead.touch()
    alive.touch()
    copy_out(store, str(tmp_path / "c"), paths=user_paths(os.environ), is_forced=False)
    assert listed(tmp_path) == sorted(["c", alive.name])


def test_there_is_nothing_to_copy_yet(tmp_path: Path) -> None:
    """No database: an error and a hint, and no directory is made."""
    for words in (["backup"], ["backup", str(tmp_path / "c")]):
        done = agent_tracker(*words, cwd=tmp_path)
        assert (done.code, "no database" in done.err, "hint: " in done.err) == (1, True, True)
    assert listed(tmp_path) == []


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"x" * 100, b"x"], ids=["sqlite", "byte"])
@pytest.mark.parametrize("file", ["", "copy.lmdb"])
def test_what_is_no_database_is_an_error_like_any_other(tmp_path: Path, content: bytes, file: str) -> None:
    """Said by the process that copies, understood by the one that waits."""
    other = tmp_path / "other"
    other.write_bytes(content)
    env = {"AGENT_TRACKER_DATABASE_PATH": str(other)}
    done = agent_tracker("backup", *filter(None, [file]), cwd=tmp_path, env=env)
    assert (done.code, done.err.count("\n"), str(other) in done.err) == (1, 2, True), done
    assert other.read_bytes() == content


# -- the list


def test_the_list(store: Store, tmp_path: Path) -> None:
    """The newest first, with what each stays for; copies made before a migration are marked."""
    for day in range(3):
        another(store, f"d{day}")
        backed_up(store, NOW + day * DAY_S)
    copy = Path(store.backups_dir) / "agent-tracker-schema-1-0123abcd.lmdb"
    copy.write_bytes(Path(read_manifests(store.backups_dir)[0].path).read_bytes())
    found = json.loads(agent_tracker("backups", "--check", "--json", cwd=tmp_path).out)["backups"]
    assert [each["commits"] for each in found["list"]] == [4, 3, 2, None]
    assert [each["stays_as"] for each in found["list"]] == ["newest"] * 3 + [None]
    assert [each["schema"] for each in found["list"]] == [None] * 3 + ["1"]
    assert all(each["passes"] for each in found["list"])
    assert found["directory"] == store.backups_dir
    shown = agent_tracker("backups", cwd=tmp_path, env={"COLUMNS": "80"}).out
    assert "schema 1" in shown
    assert max(len(line) for line in shown.split("\n") if not line.startswith("  ")) <= 80


@pytest.mark.damages
def test_a_check_names_the_damaged_one(store: Store, tmp_path: Path) -> None:
    """And the exit code tells."""
    backed_up(store)
    bad = backed_up(store, NOW + 1)
    rot(bad)
    done = agent_tracker("backups", "--check", cwd=tmp_path)
    assert (done.code, f"damaged: {bad}" in done.out) == (1, True), done
    assert [line.split()[-1] for line in done.out.split("\n") if line.startswith("2023")] == ["damaged", "passes"]
    assert agent_tracker("backups", cwd=tmp_path).code == 0


def test_when_the_next_is_due(store: Store) -> None:
    """An hour after the last was begun; with the next flush where that is past; never where none is wanted."""
    directory = Path(store.backups_dir)
    directory.mkdir(parents=True)
    (directory / "attempted").touch()
    os.utime(directory / "attempted", (NOW, NOW))
    (directory / "outcome").write_text(f"{NOW} failed: \x1b[2Jx\n")
    wanted = {"AGENT_TRACKER_BACKUP_INTERVAL": "3600"}
    assert verb.list_backups(context(NOW + 10, **wanted)).due_at == NOW + 3600
    assert verb.list_backups(context(NOW + 4000, **wanted)).due_at == 0
    assert verb.list_backups(context(NOW - 10, **wanted)).due_at == 0
    assert verb.list_backups(context(NOW + 10)).interval_s == 0
    shown = agent_tracker("backups", cwd=directory).out
    assert "None is made by itself" in shown
    assert "\x1b" not in shown


def test_hostile_names_never_reach_the_terminal(store: Store) -> None:
    """A file in the directory may be called anything."""
    backed_up(store)
    directory = Path(store.backups_dir)
    for manifest in directory.glob(f"*{MANIFEST}"):
        (directory / f"\x1b[2J{MANIFEST}").write_text(manifest.read_text())
        (directory / "\x1b[2J.lmdb").write_bytes(manifest.with_suffix(".lmdb").read_bytes())
    for words in (["backups"], ["backups", "--json", "--check"], ["restore", "--dry-run"]):
        assert "\x1b" not in agent_tracker(*words, cwd=directory).out


# -- which one is meant


def test_a_time_names_a_backup(store: Store, tmp_path: Path) -> None:
    """As the list shows it, its beginning, or its file; what fits more than one, or none, is an error."""
    first, second = backed_up(store), backed_up(store, NOW + 86_400)
    for name in ("2023-11-14 22:13:20", "20231114T221320Z", "2023-11-14", "2023-11-14T22:13", "20231114", first):
        assert verb.find(context(), name) == first, name
    assert verb.find(context(), "") == second
    with pytest.raises(UsageError, match="2 backups begin so"):
        verb.find(context(), "2023-11")
    for name in ("2022", "no-such", "-", ":"):
        with pytest.raises(UsageError, match="no backup"):
            verb.find(context(), name)
    again = backed_up(store)
    assert verb.find(context(), "2023-11-14 22:13:20-1") == again
    assert verb.find(context(), Path(first).stem) == first
    assert tmp_path


# -- restoring


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with an agent and two flushed commits, a backup after the first, and an agent since."""
    repo.ok("install-hooks")
    agent = repo.register("one")
    repo.commit("a: work", env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    repo.ok("backup")
    repo.register("two")
    repo.commit("b: work", env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    return repo


def test_a_dry_run_shows_and_changes_nothing(work: GitRepo) -> None:
    """What is only on one side, what agents had and would have, and what comes back."""
    database = Path(open_store(context())[0].path)
    before = database.read_bytes()
    found = json.loads(work.ok("restore", "--dry-run", "--json"))["restored"]
    assert (found["only_in_database"], found["only_in_backup"]) == ({"agent": 1, "commit": 1}, {})
    changed = {each["agent_id"].partition("-")[0]: each for each in found["agents"]}
    assert (changed["one"]["before"]["total_commits"], changed["one"]["after"]["total_commits"]) == (2, 1)
    assert changed["two"]["after"] is None
    assert found["segments"] == 2
    shown = work.ok("restore", "--dry-run")
    assert "2 -> 1" in shown
    assert "comes back with the next flush" in shown
    assert database.read_bytes() == before
    assert not list(database.parent.glob("*.before-restore-*"))


def test_a_restore_keeps_what_was_there_and_can_be_undone(work: GitRepo) -> None:
    """The hooks know the backup's agents and no others, and the kept file goes back in the same way."""
    database = Path(open_store(context())[0].path)
    registry = Path(context().paths.registry)
    done = json.loads(work.ok("restore", "--yes", "--json"))["restored"]
    assert len(work.commits()) == 1
    assert "two" not in read_text(str(registry / "agents"))
    assert "one" in read_text(str(registry / "agents"))
    kept = Path(done["kept_as"])
    assert (kept.parent, stat.S_IMODE(kept.stat().st_mode)) == (database.parent, 0o600)
    work.ok("restore", str(kept), "--yes")
    assert len(work.commits()) == 2
    assert "two" in read_text(str(registry / "agents"))
    assert len(list(database.parent.glob("*.before-restore-*"))) == 2
    assert work.json("verify")["verify"]["clean"]


def test_what_came_since_comes_back(work: GitRepo) -> None:
    """Facts are not lost by it: the next flush reads the segments that the backup does not hold."""
    before = work.json("agents", "--no-flush")["agents"]
    work.ok("restore", "--yes")
    work.ok("flush")
    after = work.json("agents", "--no-flush")["agents"]
    # That alone is of this machine: when a standing was last written.
    assert [{**each, "updated_at": ""} for each in after] == [{**each, "updated_at": ""} for each in before]
    assert len(work.commits()) == 2
    assert json.loads(work.ok("restore", "--dry-run", "--json"))["restored"]["only_in_backup"] == {}


def test_a_restore_asks_a_person(work: GitRepo) -> None:
    """Without a terminal it wants a yes; an agent's shell may not; at a terminal the answer is no unless said."""
    done = work.tracker("restore", "--json")
    assert (done.code, done.out, "restore --yes --json" in done.err) == (2, "", True)
    done = work.tracker("restore")
    assert (done.code, "--yes" in done.err) == (2, True), done
    done = work.tracker("restore", "--yes", env={"CLAUDECODE": "1"})
    assert (done.code, "AGENT_TRACKER_AGENT=human" in done.err) == (1, True), done
    assert work.tracker("restore", "--dry-run", env={"CLAUDECODE": "1"}).code == 0
    for answer, left in (("\n", 2), ("n\n", 2), ("y\n", 1)):
        with Terminal("restore", cwd=work.path) as terminal:
            terminal.until("[y/N]")
            terminal.send(answer)
            terminal.code()
        assert len(work.commits()) == left


@pytest.mark.damages
def test_what_cannot_be_restored(store: Store, tmp_path: Path) -> None:
    """A damaged backup, another program's file, a directory, the database itself: all stays as it is."""
    bad = backed_up(store)
    rot(bad)
    (tmp_path / "text").write_text("SQLite format 3\0" + "x" * 100)
    (tmp_path / "empty").touch()
    before = Path(store.path).read_bytes()
    for words, code in (
        (["restore", "--yes"], 1),
        (["restore", str(tmp_path / "text"), "--yes"], 1),
        (["restore", str(tmp_path / "empty"), "--yes"], 1),
        (["restore", str(tmp_path), "--yes"], 2),
        (["restore", store.path, "--yes"], 2),
        (["restore", "nothing", "--yes"], 2),
    ):
        done = agent_tracker(*words, cwd=tmp_path)
        assert (done.code, len(done.err.strip().split("\n"))) == (code, 2), done
    assert Path(store.path).read_bytes() == before
    assert not list(Path(store.path).parent.glob("*.before-restore-*"))


def test_a_restore_waits_for_a_flush_and_a_writer(store: Store) -> None:
    """And gives up: nothing is changed by halves."""
    backed_up(store)
    another(store, "two")
    patient = context()._replace(timeout_s=0.05)
    change = verb.plan(patient, "")
    spool = Path(patient.paths.spool_dir)
    spool.mkdir(parents=True, exist_ok=True)
    with locked(str(spool / "flush.lock"), timeout_s=1), pytest.raises(SpoolError, match="another flush is running"):
        verb.restore(patient, change)
    with locked(store.path + ".write", timeout_s=1), pytest.raises(StoreError, match="being written"):
        verb.restore(patient, change)
    assert reading(store, lambda snapshot: len(list(snapshot.commits()))) == 2


@pytest.mark.damages
def test_over_a_damaged_or_missing_database(store: Store) -> None:
    """It is said that nothing can be compared, and the damaged file is kept."""
    backed_up(store)
    another(store, "two")
    content = Path(store.path).read_bytes()
    Path(store.path).write_bytes(content[: 2 * 4096] + b"\xff" * (len(content) - 2 * 4096))
    change = verb.plan(context(), "")
    assert "damaged" in change.problem
    done = verb.restore(context(), change)
    assert Path(done.kept_as).read_bytes()[2 * 4096 :] == b"\xff" * (len(content) - 2 * 4096)
    assert reading(store, lambda snapshot: len(list(snapshot.commits()))) == 1
    for suffix in ("", ".fingerprint", "-lock"):
        Path(store.path + suffix).unlink(missing_ok=True)
    change = verb.plan(context(), "")
    assert (change.exists, change.problem) == (False, "")
    assert verb.restore(context(), change).kept_as == ""
    assert problems(store) == ()


# -- segments and their coverage


def seen(repo: GitRepo) -> list[str]:
    """Return the names of a repository's segments."""
    return [each.name for each in segments(str(repo.path / ".git" / "agent-tracker"))]


def flushed(repo: GitRepo, now: int) -> None:
    """Flush a repository at that time."""
    flush(find_repository(str(repo.path), {}), context(now))


@pytest.fixture
def sealed_once(repo: GitRepo) -> tuple[GitRepo, Store, int]:
    """A repository with one applied segment, the store, and a time at which it may go for all that time is."""
    repo.ok("install-hooks")
    repo.commit("one")
    now = int(time.time())
    flushed(repo, now)
    return repo, open_store(context())[0], now + KEEP_SEGMENTS_S + 10


def later(repo: GitRepo, name: str, now: int) -> None:
    """Give a flush something to do at that time."""
    repo.commit(name)
    flushed(repo, now)


def test_a_segment_goes_where_two_backups_cover_it(sealed_once: tuple[GitRepo, Store, int]) -> None:
    """Not with none, not with one, not before its time."""
    repo, store, now = sealed_once
    (first,) = seen(repo)
    later(repo, "two", now)
    assert first in seen(repo)
    backed_up(store, now)
    later(repo, "three", now + 1)
    assert first in seen(repo)
    backed_up(store, now + 2)
    later(repo, "four", now - KEEP_SEGMENTS_S)
    assert first in seen(repo)
    later(repo, "five", now + 3)
    assert first not in seen(repo)
    assert len(repo.commits()) == 5


def test_a_damaged_manifest_covers_nothing(sealed_once: tuple[GitRepo, Store, int]) -> None:
    """Nor does one whose backup is gone."""
    repo, store, now = sealed_once
    (first,) = seen(repo)
    paths = [backed_up(store, now + number) for number in range(3)]
    Path(paths[0]).unlink()
    Path(manifest_of(paths[1])).write_text("version 1\nsegment x\n")
    assert set(coverage(store.backups_dir).values()) == {1}
    later(repo, "two", now + 5)
    assert first in seen(repo)


def test_a_restored_older_store_reads_segments_again(sealed_once: tuple[GitRepo, Store, int]) -> None:
    """What was applied since the backup is applied again, each fact once."""
    repo, store, now = sealed_once
    path = backed_up(store, now)
    later(repo, "two", now)
    verb.restore(context(now), verb.plan(context(now), path))
    assert len(repo.commits()) == 1
    flushed(repo, now + 1)
    assert repo.credited() == {"one": "human", "two": "human"}
    assert problems(store) == ()


def test_killed_between_forgetting_a_segment_and_deleting_it(sealed_once: tuple[GitRepo, Store, int]) -> None:
    """The segment is read again, which changes nothing, and goes the next time."""
    repo, store, now = sealed_once
    (first,) = segments(str(repo.path / ".git" / "agent-tracker"))
    content = Path(first.path).read_bytes()
    backed_up(store, now)
    backed_up(store, now + 1)
    later(repo, "two", now + 2)
    assert first.name not in seen(repo)
    Path(first.path).write_bytes(content)
    before = repo.commits()
    flushed(repo, now + 3)
    assert repo.commits() == before
    assert first.name in seen(repo)
    later(repo, "three", now + 4)
    assert first.name not in seen(repo)
    assert problems(store) == ()


# -- a text that must go


def holders(directory: str, text: str) -> list[str]:
    """Return the files below a directory in whose bytes a text is."""
    return [str(path) for path in Path(directory).rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_text_goes_from_every_backup(tmp_path: Path) -> None:
    """No byte of it is left, the manifests say what is there, each passes, and those that count are the same."""
    store = Store(str(tmp_path / "store.lmdb"), 1 << 26, str(tmp_path / "backups"))
    apply_all(store, [project_fact(), agent_fact("coder"), commit_fact("one", marks=by_agent("coder"))])
    apply_all(store, [grade("g", "one", note=SECRET), grade("h", "one", note="stays")])
    for hour in range(3):
        another(store, f"c{hour}")
        backed_up(store, NOW + hour * HOUR_S)
    copy = tmp_path / "backups" / "store-schema-1-00000000.lmdb"
    copy.write_bytes(Path(read_manifests(store.backups_dir)[0].path).read_bytes())
    (tmp_path / "backups" / "20230101T000000Z.lmdb.unfinished").write_text(SECRET)
    before = read_manifests(store.backups_dir)
    assert len(holders(store.backups_dir, SECRET)) == 5
    assert forget_in(store.backups_dir, ForgetFact(fact_id("g"), NOW), now=NOW, timeout_s=5) == ()
    assert holders(store.backups_dir, SECRET) == []
    assert len(holders(store.backups_dir, "stays")) == 4
    assert [name for name in listed(store.backups_dir) if not name.endswith((".lmdb", MANIFEST))] == ["lock"]
    after = read_manifests(store.backups_dir)
    assert [each._replace(records=0) for each in after] == [each._replace(records=0) for each in before]
    for each in after:
        assert each.records == sum(
            reading(
                Store(each.path, 1 << 30), lambda snapshot: [snapshot.table(name).count() for name in snapshot.names]
            )
        )
        assert problems(Store(each.path, 1 << 30)) == ()


@pytest.mark.damages
def test_a_damaged_backup_goes_with_the_text(tmp_path: Path) -> None:
    """It cannot be rewritten, and must not keep what has to go."""
    store = Store(str(tmp_path / "store.lmdb"), 1 << 26, str(tmp_path / "backups"))
    apply_all(store, [project_fact(), commit_fact("one"), grade("g", "one", note=SECRET)])
    bad, good = backed_up(store), backed_up(store, NOW + 1)
    rot(bad)
    assert forget_in(store.backups_dir, ForgetFact(fact_id("g"), NOW), now=NOW, timeout_s=5) == ()
    assert [each.path for each in read_manifests(store.backups_dir)] == [good]
    assert holders(store.backups_dir, SECRET) == []


def test_a_backup_under_way_is_a_trouble(tmp_path: Path) -> None:
    """It is said that the text may still be there."""
    store = Store(str(tmp_path / "store.lmdb"), 1 << 26, str(tmp_path / "backups"))
    apply_all(store, [project_fact()])
    backed_up(store)
    with locked(str(tmp_path / "backups" / "lock"), timeout_s=1):
        (said,) = forget_in(store.backups_dir, ForgetFact("x", NOW), now=NOW, timeout_s=0.05)
    assert "may still be in the backups" in said


def test_a_foreground_that_is_stopped(store: Store) -> None:
    """Ctrl-C ends the command, and there is no backup."""
    Path(store.backups_dir).mkdir(parents=True)
    with locked(str(Path(store.backups_dir) / "lock"), timeout_s=1):
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_tracker", "backup"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 60
        while not children.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert read_manifests(store.backups_dir) == []
