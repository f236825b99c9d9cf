"""The process that looks after the database: when it is started, that nobody waits for it, and how it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.context import Context, open_store
from agent_tracker.durability import fingerprint, maintenance, spawning
from agent_tracker.durability.maintenance import BEGUN, FAILED, last_outcome, patrol
from agent_tracker.durability.manifests import read_manifests
from agent_tracker.durability.spawning import start_if_due
from agent_tracker.errors import DamageError
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.tables import TABLES
from damaging import overwrite, records
from facts import (
    NOW,
    agent_fact,
    apply_all,
    bug,
    by_agent,
    commit_fact,
    grade,
    project_fact,
    pulse,
    reading,
    rewrite,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.store import Store
    from gitrepo import GitRepo

HOUR_S, DAY_S = 3600, 86_400
WAIT_S = 60
ON = {"AGENT_TRACKER_BACKUP_INTERVAL": "3600"}


def context(now: int = NOW, **env: str) -> Context:
    """Return the sealed world's context, with backups wanted."""
    return Context(user_paths(os.environ), {**os.environ, **ON, **env}, now * 10**9)


def backups_dir() -> Path:
    """Return the directory of the backups of the default database."""
    return Path(open_store(context())[0].backups_dir)


def wait_for(is_done: Callable[[], object]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + WAIT_S
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def outcome() -> str:
    """Wait until the process has come to its end, and return what it wrote down."""
    directory = str(backups_dir())
    wait_for(lambda: last_outcome(directory)[0] and last_outcome(directory)[1] != BEGUN)
    with locked(str(backups_dir() / maintenance.LOCK), timeout_s=WAIT_S):
        return last_outcome(directory)[1]


@pytest.fixture
def store() -> Store:
    """The default database, with a commit."""
    made, _ = open_store(context())
    apply_all(made, [project_fact(), agent_fact("coder", at=NOW - 100), commit_fact("one", marks=by_agent("coder"))])
    return made


def maintained(now: int = NOW, *, limit_s: float = 600, env: dict[str, str] | None = None, before: str = "") -> None:
    """Run what the process does, as if it had been started now, in a process of its own, and wait for it."""
    if backups_dir().is_dir():
        attempted = backups_dir() / spawning.ATTEMPTED  # what it does is a flush too, which starts no other then
        attempted.touch()
        os.utime(attempted, (now, now))
    call = f"sys.exit(main('{now * 10**9}', limit_s={limit_s}))"
    code = f"import sys\n{before}\nfrom agent_tracker.durability.maintenance import main\n{call}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **ON, **(env or {})},
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# -- when


def test_a_flush_starts_it(repo: GitRepo) -> None:
    """After the first flush there is a verified backup, and the next flush within the hour makes none."""
    repo.ok("install-hooks")
    repo.commit("one")
    repo.ok("flush", env=ON)
    assert outcome().startswith("made ")
    assert len(read_manifests(str(backups_dir()))) == 1
    stamp = (backups_dir() / "attempted").stat().st_mtime_ns
    repo.commit("two")
    repo.ok("flush", env=ON)
    assert (backups_dir() / "attempted").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("begun_ago_s", "is_started"),
    [
        pytest.param(HOUR_S - 1, False, id="within the hour"),
        pytest.param(HOUR_S, True, id="an hour ago"),
        pytest.param(0, False, id="this very second"),
        pytest.param(-1, True, id="the clock went back"),
        pytest.param(-400 * DAY_S, True, id="a stamp of next year"),
    ],
)
def test_at_most_one_an_hour(store: Store, begun_ago_s: int, is_started: bool) -> None:  # noqa: FBT001 -- a parameter
    """And none is put off by a clock that was wrong."""
    attempted = Path(store.backups_dir) / "attempted"
    attempted.parent.mkdir(parents=True)
    attempted.touch()
    os.utime(attempted, (NOW - begun_ago_s, NOW - begun_ago_s))
    assert start_if_due(context(), store.backups_dir) is is_started
    if is_started:
        assert attempted.stat().st_mtime == NOW
        assert not start_if_due(context(), store.backups_dir)
        assert outcome().startswith("made ")


def test_none_is_started_where_none_is_wanted(store: Store) -> None:
    """Zero is off, and nothing is left in the directory."""
    assert not start_if_due(context(AGENT_TRACKER_BACKUP_INTERVAL="0"), store.backups_dir)
    assert not Path(store.backups_dir).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_an_unwritable_directory_starts_none(store: Store) -> None:
    """It would be started again at each flush."""
    directory = Path(store.backups_dir)
    directory.mkdir(parents=True)
    directory.chmod(0o500)
    assert not start_if_due(context(), store.backups_dir)
    directory.chmod(0o700)


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_a_place_that_is_no_directory_starts_none(store: Store, kind: str) -> None:
    """The flush goes on, and what lies there is let be."""
    directory = Path(store.backups_dir)
    directory.parent.mkdir(parents=True)
    if kind == "file":
        directory.write_text("mine")
    else:
        directory.symlink_to("nowhere")
    assert not start_if_due(context(), store.backups_dir)
    assert directory.is_symlink() or directory.read_text() == "mine"


# -- nobody waits for it


def test_nobody_waits_for_it(repo: GitRepo, tmp_path: Path) -> None:
    """Neither a pipe's reader nor a lock on a descriptor of the shell: both are free while it is still at work."""
    repo.ok("install-hooks")
    repo.commit("one")
    directory = backups_dir()
    directory.mkdir(parents=True)
    lock = tmp_path / "lock"
    lock.touch()
    # It waits for the lock of whoever makes backups, which is held here until all is looked at.
    with locked(str(directory / "lock"), timeout_s=1):
        script = f'exec 9>"{lock}"; flock 9; out=$("{sys.executable}" -m agent_tracker flush 2>&1); echo "$out"'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=repo.path,
            env={**os.environ, **ON},
            capture_output=True,
            timeout=WAIT_S,
            check=True,
        )
        assert b"Flushed" in done.stdout
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        wait_for(lambda: last_outcome(str(directory))[1] == BEGUN)
        (found,) = (each for each in processes() if is_writing(each, directory))
        assert not (set(descriptors(found)) & {str(lock)})
        assert all(path == "/dev/null" for path in descriptors(found)[:3])
        assert not any(path.startswith("pipe:") for path in descriptors(found)[:3])
        status = Path(f"/proc/{found}/stat").read_text().rpartition(")")[2].split()
        assert int(status[3]) != os.getsid(0)  # its own session
        assert int(status[4]) == 0  # no terminal
        assert int(status[16]) == 10  # nice
        assert "Umask:\t0077" in Path(f"/proc/{found}/status").read_text()
    assert outcome().startswith("made ")


def processes() -> list[int]:
    """Return all processes that there are."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def descriptors(process: int) -> list[str]:
    """Return what a process has open, by descriptor."""
    try:
        paths = sorted(Path(f"/proc/{process}/fd").iterdir(), key=lambda path: int(path.name))
        return [str(path.readlink()) for path in paths]
    except OSError:
        return []


def is_writing(process: int, directory: Path) -> bool:
    """Tell whether a process holds the lock of maintenance, and waits for another to end."""
    if str(directory / maintenance.LOCK) not in descriptors(process):
        return False
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return False
    return bool(children)


def test_it_is_nobodys_child(store: Store) -> None:
    """A process that lives on after a flush has no child afterwards, dead or alive."""
    code = (
        "import os, sys\nfrom agent_tracker.context import Context, open_store\n"
        "from agent_tracker.paths import user_paths\n"
        "from agent_tracker.durability.spawning import start_if_due\n"
        f"context = Context(user_paths(os.environ), os.environ, {NOW * 10**9})\n"
        "assert start_if_due(context, open_store(context)[0].backups_dir)\n"
        "try:\n    print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError:\n    print('none')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **ON}, capture_output=True, check=True)
    assert done.stdout.strip() == b"none"
    assert outcome().startswith("made ")
    assert store.exists()


def test_never_two_at_once(store: Store) -> None:
    """A second one leaves at once and says nothing."""
    directory = Path(store.backups_dir)
    directory.mkdir(parents=True)
    with locked(str(directory / maintenance.LOCK), timeout_s=1):
        maintained()
        assert not (directory / "outcome").exists()
    maintained()
    assert outcome().startswith("made ")


# -- what it does, and how it ends


def test_nothing_changed_means_no_new_one(store: Store) -> None:
    """A backup of what is backed up already is not made, and one of anything else is."""
    maintained()
    maintained(NOW + HOUR_S)
    assert outcome() == "nothing to do"
    apply_all(store, [commit_fact("two", marks=by_agent("coder"))])
    maintained(NOW + 2 * HOUR_S)
    assert [each.commits for each in read_manifests(store.backups_dir)] == [2, 1]


def test_a_lower_limit_thins_at_the_next_one(store: Store) -> None:
    """Five, then at most two."""
    for hour in range(5):
        apply_all(store, [commit_fact(f"c{hour}", marks=by_agent("coder"))])
        maintained(NOW + hour * HOUR_S)
    assert len(read_manifests(store.backups_dir)) == 5
    apply_all(store, [commit_fact("last", marks=by_agent("coder"))])
    maintained(NOW + 5 * HOUR_S, env={"AGENT_TRACKER_MAX_BACKUPS": "2"})
    assert [each.commits for each in read_manifests(store.backups_dir)] == [7, 6]


def test_a_process_that_hangs_is_ended_with_its_children(store: Store) -> None:
    """The limit of time holds for a lock that is never free, and for the process that checks a copy."""
    directory = Path(store.backups_dir)
    directory.mkdir(parents=True)
    child = str(directory / "child")
    before = (
        "import agent_tracker.durability.backups as b, subprocess, sys\n"
        "b.check_file = lambda *a, **k: subprocess.run([sys.executable, '-c', "
        f"'import os, sys, time; open(sys.argv[1], \"w\").write(str(os.getpid())); time.sleep(600)', {child!r}])"
    )
    maintained(limit_s=3, before=before)
    assert outcome() == f"{FAILED}it took longer than 3 s"
    number = int(Path(child).read_text())
    wait_for(lambda: not descriptors(number))
    maintained(NOW + 1)
    assert outcome().startswith("made ")
    assert not list(directory.glob("*.unfinished"))


@pytest.mark.damages
@pytest.mark.parametrize("byte", [b"\xff", b"\0"], ids=["ones", "zeros"])
def test_a_page_that_ends_the_process_is_damage(store: Store, byte: bytes) -> None:
    """The fingerprint matches, as rot changes no time; the one who is sent next finds it and recovers."""
    maintained()
    apply_all(store, [commit_fact(f"c{index}", marks=by_agent("coder")) for index in range(400)])
    path = Path(store.path)
    image = bytearray(path.read_bytes())
    for page in range(2, len(image) // 4096):
        image[page * 4096 : page * 4096 + 4096] = byte * 4096
    overwrite(path, bytes(image))
    fingerprint.remember(store.path, fingerprint.counts(store.path))
    maintained(NOW + HOUR_S)
    assert outcome().startswith("recovered: ")
    assert list(path.parent.glob("*.damaged-*"))
    assert reading(store, lambda snapshot: len(list(snapshot.commits()))) == 1


def test_a_killed_process_is_known_by_what_it_left(store: Store) -> None:
    """What stands there says that it was begun, and the next one goes on."""
    directory = Path(store.backups_dir)
    directory.mkdir(parents=True)
    with locked(str(directory / "lock"), timeout_s=1):
        assert start_if_due(context(), store.backups_dir)
        wait_for(lambda: last_outcome(str(directory))[1] == BEGUN)
        (found,) = (each for each in processes() if is_writing(each, directory))
        for child in Path(f"/proc/{found}/task/{found}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        wait_for(lambda: last_outcome(str(directory))[1] != BEGUN)
    assert outcome() == f"{FAILED}it was ended by SIGKILL"
    maintained(NOW + HOUR_S)
    assert outcome().startswith("made ")


def test_a_full_disk_is_said_and_not_tried_again(store: Store) -> None:
    """What became of it is written over what stood there, which needs no room."""
    directory = Path(store.backups_dir)
    directory.mkdir(parents=True)
    (directory / "outcome").write_text("1 " + "x" * 500)
    before = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    )
    maintained(before=before)
    assert outcome().startswith(FAILED)
    assert not list(directory.glob("*.lmdb*"))


def test_a_full_file_system(tmp_path: Path, store: Store) -> None:
    """No room at all for the backups: nothing of one is left, and it is said why."""
    place = tmp_path / "full"
    place.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root mounts")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        env = {"XDG_STATE_HOME": str(place)}
        maintained(env=env)
        apply_all(store, [commit_fact(f"c{index}", marks=by_agent("coder")) for index in range(400)])
        maintained(NOW + HOUR_S, env=env)
        directory = Path(open_store(Context(user_paths({**os.environ, **env}), env, NOW))[0].backups_dir)
        said = last_outcome(str(directory))[1]
        assert said.startswith(FAILED)
        assert "the disk is full" in said
        assert str(place) in said
        assert [path for path in directory.glob("*.lmdb*") if path.suffix != ".lmdb"] == []
    finally:
        subprocess.run(["umount", place], check=False)


# -- the patrol


def filled(store: Store) -> None:
    """Put records into as many tables as there are facts for."""
    apply_all(
        store,
        [
            *(commit_fact(f"c{index}", marks=by_agent("coder")) for index in range(60)),
            rewrite("c0", "c1"),
            *(grade(f"g{index}", f"c{index}", note="n" * 50) for index in range(20)),
            bug("b", "c3"),
            session("s", agent_fact("coder").id),
            pulse("p", "s", "beat", tools=3),
        ],
    )


@pytest.mark.damages
@pytest.mark.parametrize("start", [0, 11])
def test_rot_is_found_within_28_runs(store: Store, start: int) -> None:
    """A flipped value of any table, which no time of the file tells of, wherever the patrol stands."""
    filled(store)
    Path(store.backups_dir).mkdir(parents=True)
    image = Path(store.path).read_bytes()
    day = 0
    for _ in range(start):
        patrol(store, context(NOW + day * DAY_S))
        day += 1
    place = Path(store.backups_dir) / "patrol"
    noted = place.read_bytes() if start else b""
    one_of_each = {leaf.table: leaf for leaf in records(image)}
    assert one_of_each.keys() >= {"schema", "commits", "commits.oid", "agents", "events", "marks", "projects"}
    assert one_of_each.keys() <= set(TABLES)
    for leaf in one_of_each.values():
        rotten = bytearray(image)
        rotten[leaf.offset + leaf.size // 2] ^= 4
        overwrite(Path(store.path), bytes(rotten))
        fingerprint.remember(store.path, {})
        if noted:
            place.write_bytes(noted)
            os.utime(place, (1, 1))
        assert runs_until_found(store, NOW + day * DAY_S) <= 28, leaf
        day += 30
        overwrite(Path(store.path), image)
        fingerprint.remember(store.path, {})


def runs_until_found(store: Store, now: int) -> int:
    """Return after how many daily runs the patrol finds a damaged record."""
    for run in range(40):
        try:
            patrol(store, context(now + run * DAY_S))
        except DamageError:
            return run + 1
    return 99


def test_the_patrol_reads_a_portion_a_day(store: Store) -> None:
    """Within the day it stays where it is; a place that nobody could have written begins anew."""
    filled(store)
    Path(store.backups_dir).mkdir(parents=True)
    place = Path(store.backups_dir) / "patrol"
    patrol(store, context())
    noted = place.read_text()
    patrol(store, context(NOW + 19 * HOUR_S))
    assert place.read_text() == noted
    patrol(store, context(NOW + 21 * HOUR_S))
    assert place.read_text() != noted
    for nonsense in ("", "no-such-table 00", "commits zz", "commits 0", "\0\xff"):
        place.write_text(nonsense)
        os.utime(place, (1, 1))
        patrol(store, context(NOW))
        assert place.read_text().split(" ")[0].strip() in TABLES
