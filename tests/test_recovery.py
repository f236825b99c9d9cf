"""Recovery: what a damaged database held comes back from the backup, the segments, git and its own sound records."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.checks.user_checks import database_leftovers
from agent_tracker.context import Context, open_store
from agent_tracker.durability import fingerprint
from agent_tracker.durability.backups import make_backup
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.recovery import (
    DAMAGED,
    MISSING,
    SOUND,
    is_unfinished,
    plan,
    problem_lines,
    recover,
    reports,
)
from agent_tracker.durability.salvage import salvaged
from agent_tracker.durability.unfinished import Unfinished, note_of, write_note
from agent_tracker.errors import SpoolError, StoreBusyError
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.records import CommitFact
from agent_tracker.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.durability.manifests import Manifest
    from gitrepo import GitRepo

PAGE = 4096
NOW_NS = 1_900_000_000 * 10**9


def context(now_ns: int = NOW_NS) -> Context:
    """Return the sealed world's context."""
    return Context(user_paths(os.environ), os.environ, now_ns)


def database() -> Path:
    """Return where the database is."""
    return Path(context().paths.default_database)


def backed_up(now: int = NOW_NS // 10**9) -> Manifest:
    """Make a backup."""
    return make_backup(open_store(context())[0], now=now, limit=24, timeout_s=1).backup


def damage(path: Path, *pages: int) -> None:
    """Write zeros over what is in some pages, all if none is named."""
    content = bytearray(path.read_bytes())
    for page in pages or range(2, len(content) // PAGE):
        start = page * PAGE + 16
        content[start : start + 400] = bytes(400)
    path.write_bytes(content)


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with an agent, two flushed commits and a grade."""
    repo.ok("install-hooks")
    agent = repo.register("one")
    for name in ("a", "b"):
        repo.commit(f"{name}: work", env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("grade", "HEAD", "good", "--by", "user", env={"AGENT_TRACKER_AGENT": "human"})
    repo.ok("flush")
    return repo


def last_report() -> str:
    """Return what the last recovery left behind."""
    return Path(reports(open_store(context())[0].backups_dir)[-1]).read_text()


def standing(repo: GitRepo) -> tuple[int, int, int]:
    """Return commits, earned XP and communication score of the only agent."""
    (found,) = repo.json("agents", "--no-flush")["agents"]
    return found["total_commits"], found["experience_earned"], found["communication_score"]


def test_a_sound_database_is_left_alone(work: GitRepo) -> None:
    """There is nothing to recover, and not a byte changes."""
    before = database().read_bytes(), database().stat()
    assert plan(context()).state == SOUND
    assert recover(context()) is None
    assert "sound" in work.ok("recover")
    assert (database().read_bytes(), database().stat().st_ino) == (before[0], before[1].st_ino)


@pytest.mark.damages
def test_a_damaged_database_comes_back_from_backup_and_segments(work: GitRepo) -> None:
    """What the backup has, what was flushed since, and what only git and the spool know: all of it, counted once."""
    backup = backed_up()
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    work.ok("flush")
    expected = standing(work)
    damage(database())
    done = recover(context())
    assert done is not None
    assert done.plan.backup == backup
    assert (done.gone, done.troubles, done.is_known) == ({}, (), True)
    assert done.from_backup > 0
    assert done.commits == 1
    assert standing(work) == expected
    assert len(work.commits()) == 3
    assert check_file(done.kept_as).problems
    with open_store(context())[0].snapshot() as snapshot:
        assert snapshot is not None
        assert verify(snapshot).problems == ()


@pytest.mark.damages
def test_without_a_backup_segments_and_git_give_it_back(work: GitRepo) -> None:
    """A fresh installation loses nothing either."""
    expected = standing(work)
    damage(database())
    done = recover(context())
    assert done is not None
    assert done.plan.backup is None
    assert done.gone == {}
    assert standing(work) == expected


@pytest.mark.damages
def test_what_is_nowhere_else_comes_from_the_damaged_file(work: GitRepo) -> None:
    """Segments, reflogs and backups are gone: the sound records are still there."""
    expected = standing(work)
    forget_sources(work)
    damage(database(), commits_index_page())
    done = recover(context())
    assert done is not None
    assert done.from_damaged > 0
    assert done.gone == {}
    assert standing(work) == expected


def commits_index_page() -> int:
    """Return a page with which no fact is lost: the root of the index of commits by project.

    The table's record stands behind its name in the newest main page: 40 bytes, then the number of its root.
    """
    content = database().read_bytes()
    roots = {
        int.from_bytes(content[at + 40 : at + 48], "little")
        for at in (match.end() for match in re.finditer(rb"commits\.project", content))
    }
    problems = {root for root in roots if 1 < root < len(content) // PAGE}
    return max(problems)


def forget_sources(repo: GitRepo) -> None:
    """Take away everything but the database from which its facts could come."""
    for directory in (Path(context().paths.spool_dir), repo.path / ".git/agent-tracker"):
        for segment in directory.glob("seg-*"):
            segment.unlink()
    shutil.rmtree(repo.path / ".git/logs")


@pytest.mark.damages
def test_what_is_gone_is_said(work: GitRepo) -> None:
    """Nothing has the commits any more: the report counts them, and the file is kept."""
    forget_sources(work)
    content = database().read_bytes()
    damage(database())
    done = recover(context())
    assert done is not None
    assert done.gone["commits"] == 2
    kept = Path(done.kept_as)
    assert len(kept.read_bytes()) == len(content)
    report = next(Path(open_store(context())[0].backups_dir).glob("recovered-*")).read_text()
    assert "Gone: 2 commits" in report
    assert str(kept) in report


@pytest.mark.damages
def test_a_damaged_backup_is_passed_over(work: GitRepo) -> None:
    """The newest that passes is taken, and the other named."""
    older = backed_up(1_899_990_000)
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    work.ok("flush")
    newer = backed_up(1_899_993_600)
    damage(Path(newer.path))
    damage(database())
    planned = plan(context())
    assert planned.state == DAMAGED
    assert planned.backup == older
    assert [path for path, _ in planned.refused] == [newer.path]
    done = recover(context())
    assert done is not None
    assert done.gone == {}
    assert len(work.commits()) == 3


@pytest.mark.damages
def test_the_backup_that_was_made_last_is_taken(work: GitRepo) -> None:
    """Whatever the clock said: which one that was tells its serial."""
    first = backed_up(1_999_999_999)
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    work.ok("flush")
    last = backed_up(1_899_999_999)
    damage(database())
    assert plan(context()).backup == last
    Path(last.path).unlink()
    assert plan(context()).backup == first


@pytest.mark.damages
@pytest.mark.parametrize("size", [0, 100, PAGE, 3 * PAGE + 10])
def test_a_file_cut_off_is_damaged_and_comes_back(work: GitRepo, size: int) -> None:
    """Also where nothing is left by which it is known as LMDB's: it is the very file that was ours."""
    expected = standing(work)
    backed_up()
    os.truncate(database(), size)
    assert plan(context()).state == DAMAGED
    work.ok("flush")
    assert standing(work) == expected


@pytest.mark.damages
def test_another_program_s_file_is_never_recovered_over(work: GitRepo) -> None:
    """A file that was put in the place of ours is not ours to judge."""
    backed_up()
    database().unlink()
    database().write_bytes(b"SQLite format 3\0" + bytes(5000))
    done = work.tracker("recover")
    assert done.code == 1
    assert "left alone" in done.err
    assert database().read_bytes().startswith(b"SQLite")


@pytest.mark.damages
def test_a_missing_database_is_said_and_comes_back(work: GitRepo) -> None:
    """A flush begins a new one and says what there is; recover takes the backup where there is none yet."""
    expected = standing(work)
    backed_up()
    database().unlink()
    assert plan(context()).state == MISSING
    done = recover(context())
    assert done is not None
    assert done.kept_as == ""
    assert standing(work) == expected
    database().unlink()
    said = work.tracker("flush")
    assert "was not there" in said.err
    assert "agent-tracker restore" in said.err


@pytest.mark.damages
def test_a_dry_run_changes_nothing(work: GitRepo) -> None:
    """It says what is wrong, which backup it would take and how many segments come on top."""
    backup = backed_up()
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    work.ok("flush")
    damage(database())
    before = database().read_bytes()
    shown = json.loads(work.ok("recover", "--dry-run", "--json"))["recovery"]
    assert (shown["state"], shown["backup"]["path"], shown["segments"]) == ("damaged", backup.path, 1)
    assert shown["problems"]
    assert "agent-tracker recover" in work.ok("recover", "--dry-run")
    assert database().read_bytes() == before
    assert not list(database().parent.glob("*.damaged-*"))


@pytest.mark.damages
def test_a_flush_by_hand_recovers_and_says_so(work: GitRepo) -> None:
    """Nobody has to know the command."""
    expected = standing(work)
    backed_up()
    damage(database())
    done = work.tracker("flush")
    assert done.code == 0
    assert "was damaged" in done.err
    assert "Nothing is gone" in done.err
    assert "Nothing to flush" not in done.out
    assert done.out.startswith("Recovered the database: ")
    assert standing(work) == expected


@pytest.mark.damages
def test_a_push_goes_on_and_keeps_the_facts(work: GitRepo, tmp_path: Path) -> None:
    """One line, exit code 0, the remote ref moved, and the commit counts once the database is mended."""
    work.git("init", "--quiet", "--bare", str(tmp_path / "remote.git"))
    work.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    backed_up()
    damage(database())
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    done = work.try_git("push", "--quiet", "origin", "HEAD")
    assert done.code == 0
    assert len(done.err.splitlines()) == 1
    assert "is damaged" in done.err
    assert work.git("--git-dir", str(tmp_path / "remote.git"), "rev-parse", "HEAD") == work.head()
    work.ok("flush")
    assert len(work.commits()) == 3


@pytest.mark.damages
def test_reading_shows_the_newest_backup_and_the_spool(work: GitRepo) -> None:
    """Where the store cannot be read: what was there an hour ago, what came since here, and that it is so."""
    backed_up()
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    damage(database())
    before = database().read_bytes()
    done = work.tracker("log", "--json")
    assert done.code == 0
    subjects = [commit["task_description"] for commit in json.loads(done.out)["commits"]]
    assert sorted(subjects) == ["a: work", "b: work", "c: work"]
    assert "what follows is from the backup of" in done.err
    assert database().read_bytes() == before


@pytest.mark.damages
def test_rot_that_no_time_tells_of_is_found_when_it_is_read(work: GitRepo) -> None:
    """The fingerprint matches: the checksum of the record does not, and from then on the file is known as damaged."""
    content = database().read_bytes()
    at = content.rindex(b"b: work")
    status = database().stat()
    database().write_bytes(content[:at] + b"B" + content[at + 1 :])
    os.utime(database(), ns=(status.st_atime_ns, status.st_mtime_ns))
    fingerprint.remember(str(database()), fingerprint.counts(str(database())))
    done = work.tracker("log", "--no-flush")
    assert "damaged record in commits" in done.err
    assert plan(context()).state == DAMAGED
    work.ok("flush")
    assert {commit["task_description"] for commit in work.commits()} == {"a: work", "b: work"}


@pytest.mark.damages
def test_salvage_gives_what_is_sound_and_nothing_else(work: GitRepo) -> None:
    """One commit's checksum is wrong: the other one is given, as it was made."""
    content = database().read_bytes()
    database().write_bytes(content.replace(b"a: work", b"A: work"))
    found = salvaged(str(database())).facts
    assert [fact.subject for fact in found if isinstance(fact, CommitFact)] == ["b: work"]
    assert [fact.oid.hex() for fact in found if isinstance(fact, CommitFact)] == [work.head()]


@pytest.mark.damages
def test_two_recoveries_at_once_do_it_once(work: GitRepo) -> None:
    """The second finds a sound database, whichever it is."""
    backed_up()
    damage(database())
    both = [subprocess.Popen([sys.executable, "-m", "agent_tracker", "recover"], cwd=work.path) for _ in range(2)]
    assert [each.wait(timeout=60) for each in both] == [0, 0]
    assert len(list(database().parent.glob("*.damaged-*"))) == 1
    assert len(work.commits()) == 2


@pytest.mark.damages
def test_a_database_that_is_being_written_is_not_replaced(work: GitRepo) -> None:
    """Recovery waits for the lock, and gives up with a message."""
    backed_up()
    damage(database())
    with locked(f"{database()}.write", timeout_s=1):
        done = work.tracker("recover")
    assert done.code == 1
    assert "another process" in done.err
    assert not list(database().parent.glob("*.damaged-*"))


def test_every_repository_s_segments_are_read(make_repo: Callable[..., GitRepo]) -> None:
    """What was flushed since the backup in another repository comes back too."""
    repos = [make_repo(name) for name in ("first", "second")]
    agent = repos[0].register("one")
    for repo in repos:
        repo.ok("install-hooks")
    backed_up()
    for repo in repos:
        repo.commit(f"{repo.path.name}: work", env={"AGENT_TRACKER_AGENT": agent})
        repo.ok("flush")
    damage(database())
    repos[0].ok("recover")
    found = {commit["task_description"] for commit in repos[0].json("log", "--all")["commits"]}
    assert found == {"first: work", "second: work"}


# -- a recovery that does not come to its end


def begun(work: GitRepo) -> Path:
    """Bring the database to where a recovery was killed that had just set it aside; return where it is."""
    store, _ = open_store(context())
    counts, at_ns = fingerprint.counts(store.path), database().stat().st_mtime_ns
    damage(database(), commits_index_page())
    kept = Path(f"{database()}.damaged-20260101T000000Z")
    note = Unfinished(context().now, DAMAGED, at_ns, "", (str(kept),), counts, {}, ("a page",))
    write_note(store.backups_dir, note)
    assert store.replace("", keep_as=str(kept), timeout_s=1, only_damaged=True)
    forget_sources(work)
    return kept


@pytest.mark.damages
@pytest.mark.parametrize("is_flushed", [False, True])
def test_a_recovery_that_was_killed_is_gone_on_with(work: GitRepo, *, is_flushed: bool) -> None:
    """The database is sound by then, and what only the damaged file has comes back nevertheless."""
    expected = standing(work)
    kept = begun(work)
    store, _ = open_store(context())
    assert is_unfinished(store)
    if is_flushed:
        assert "were still sound" in work.tracker("flush").err
        assert (is_unfinished(store), standing(work)) == (False, expected)
        return
    planned = plan(context())
    assert (planned.state, planned.is_begun, planned.unfinished) == (SOUND, True, (str(kept),))
    assert str(kept) in work.ok("recover", "--dry-run").replace("~", os.environ["HOME"])
    done = recover(context())
    assert done is not None
    assert done.from_damaged > 0
    assert (done.kept, done.gone) == ((str(kept),), {})
    assert standing(work) == expected
    assert not is_unfinished(store)
    assert recover(context()) is None
    assert str(kept) in last_report()


@pytest.mark.damages
def test_a_recovery_that_is_killed_loses_nothing(work: GitRepo) -> None:
    """Killed as soon as the file is set aside, whatever it was about to do: the next one brings in all of it."""
    expected = standing(work)
    forget_sources(work)
    damage(database(), commits_index_page())
    killed = subprocess.Popen([sys.executable, "-m", "agent_tracker", "recover"], cwd=work.path)
    while killed.poll() is None and not list(database().parent.glob("*.damaged-*")):
        time.sleep(0.001)
    killed.kill()
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert is_unfinished(open_store(context())[0])
    work.ok("recover")
    assert standing(work) == expected


@pytest.mark.damages
def test_a_flush_that_is_running_is_a_line_of_the_report(work: GitRepo) -> None:
    """A repository that cannot be flushed now is flushed later: the recovery comes to its end."""
    backed_up()
    damage(database())
    with locked(str(work.path / ".git/agent-tracker/flush.lock"), timeout_s=1):
        done = recover(context()._replace(timeout_s=0.1))
    assert done is not None
    (trouble,) = done.troubles
    assert "another flush is running" in trouble
    assert not is_unfinished(open_store(context())[0])


@pytest.mark.usefixtures("work")
@pytest.mark.damages
def test_nothing_is_replaced_while_a_flush_is_running() -> None:
    """What it planned would not be true of the backup; all stays as it is, and no note stays either."""
    backed_up()
    damage(database())
    before = database().read_bytes()
    with (
        locked(f"{context().paths.spool_dir}/flush.lock", timeout_s=1),
        pytest.raises(SpoolError, match="another flush is running"),
    ):
        recover(context()._replace(timeout_s=0.1))
    assert database().read_bytes() == before
    assert not is_unfinished(open_store(context())[0])
    assert recover(context()) is not None


@pytest.mark.damages
def test_a_database_damaged_again_before_the_end_is_set_aside_too(work: GitRepo) -> None:
    """What either file has is there at the end."""
    expected = standing(work)
    kept = begun(work)
    damage(database())
    done = recover(context())
    assert done is not None
    assert len(done.kept) == 2
    assert str(kept) in done.kept
    assert standing(work) == expected


@pytest.mark.damages
def test_the_file_stays_until_a_report_names_it(work: GitRepo) -> None:
    """As long as nobody knows what was had from it, nobody is told to delete it."""
    kept = begun(work)
    (finding,) = database_leftovers(context())
    assert finding.remedy == "agent-tracker recover"
    note = Path(note_of(open_store(context())[0].backups_dir))
    said = note.read_text()
    note.unlink()
    (finding,) = database_leftovers(context())
    assert "rm " not in finding.remedy
    note.write_text(said)
    assert recover(context()) is not None
    (finding,) = database_leftovers(context())
    assert finding.remedy.endswith(f"rm {kept}")


@pytest.mark.usefixtures("work")
@pytest.mark.damages
def test_a_database_begun_meanwhile_stays() -> None:
    """A flush was quicker than the recovery of a missing one: its new database is no damaged one."""
    backed_up()
    database().unlink()
    store, _ = open_store(context())
    with locked(f"{context().paths.spool_dir}/flush.lock", timeout_s=1):
        recovering = subprocess.Popen([sys.executable, "-m", "agent_tracker", "recover"], stdout=subprocess.PIPE)
        while not Path(store.backups_dir, "recovery.lock").exists():
            assert recovering.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)  # for its plan
        store.write(lambda writer: writer.put_applied_size("ours", 1), timeout_s=1)
    assert recovering.communicate(timeout=60)[0].startswith(b"The database is sound")
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert snapshot.applied_size("ours") == 1


@pytest.mark.damages
def test_another_recovery_is_waited_for(work: GitRepo) -> None:
    """Two of them never work on the same database at once."""
    damage(database())
    directory = open_store(context())[0].backups_dir
    Path(directory).mkdir(parents=True, exist_ok=True)
    with (
        locked(f"{directory}/recovery.lock", timeout_s=1),
        pytest.raises(StoreBusyError, match="being recovered by another process"),
    ):
        recover(context()._replace(timeout_s=0.1))
    work.ok("recover")


# -- what is gone, and what nobody knows


@pytest.mark.damages
def test_a_new_commit_does_not_stand_for_one_that_is_gone(work: GitRepo) -> None:
    """Two are gone and one was made since: there is no telling that nothing is gone."""
    forget_sources(work)
    time.sleep(1.1)  # of a commit the second is known
    damage(database())
    work.commit("c: work", env={"AGENT_TRACKER_AGENT": "one"})
    done = recover(context())
    assert done is not None
    assert done.commits == 1
    assert done.gone["commits"] + done.unsure["commits"] == 2
    assert "Nothing is gone" not in last_report()


@pytest.mark.damages
def test_marks_that_are_damaged_are_had_from_their_key(work: GitRepo) -> None:
    """The commits of an agent stay the agent's."""
    expected = standing(work)
    forget_sources(work)
    damage_record(b"marks")
    done = recover(context())
    assert done is not None
    assert (done.gone, done.unmarked) == ({}, 0)
    assert standing(work) == expected


@pytest.mark.damages
def test_commits_without_their_marks_are_kept_and_counted(work: GitRepo) -> None:
    """Nobody knows whose they are: they are unclaimed, and the report says how many."""
    forget_sources(work)
    damage_record(b"marks", b"marks.number")
    done = recover(context())
    assert done is not None
    assert (done.gone.get("commits"), done.unmarked) == (None, 2)
    assert len(work.commits()) == 2
    assert (
        "2 commits could be had, but not whose" in Path(reports(open_store(context())[0].backups_dir)[-1]).read_text()
    )


def damage_record(*tables: bytes) -> None:
    """Make the checksums of all records of some tables wrong, and leave the pages as they are."""
    import lmdb  # noqa: PLC0415 -- here alone

    with lmdb.open(str(database()), subdir=False, max_dbs=64, map_size=1 << 24) as env, env.begin(write=True) as txn:
        for name in tables:
            handle = env.open_db(name, txn, create=False)
            for key, value in list(txn.cursor(handle)):
                txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=handle)


# -- which backup


@pytest.mark.usefixtures("work")
@pytest.mark.damages
def test_a_backup_that_cannot_be_opened_is_passed_over() -> None:
    """Of a newer version, or another program's: it passes its check, and is none of ours to use."""
    import lmdb  # noqa: PLC0415 -- here alone

    older = backed_up(1_899_990_000)
    newer = [backed_up(1_899_993_600), backed_up(1_899_997_200)]
    Path(newer[0].path).unlink()
    with lmdb.open(newer[0].path, subdir=False, max_dbs=4) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value", db=env.open_db(b"others", txn))
    fill_version(newer[1].path, b"99")
    damage(database())
    planned = plan(context())
    assert planned.backup == older
    assert [path for path, _ in planned.refused] == [backup.path for backup in reversed(newer)]
    assert recover(context()) is not None


def fill_version(path: str, version: bytes) -> None:
    """Have a database say that it is of another version."""
    import lmdb  # noqa: PLC0415 -- here alone

    key = b"version"
    with lmdb.open(path, subdir=False, max_dbs=64) as env, env.begin(write=True) as txn:
        seal = zlib.crc32(version, zlib.crc32(key, zlib.crc32(b"schema"))).to_bytes(4, "little")
        txn.put(key, version + seal, db=env.open_db(b"schema", txn, create=False))


@pytest.mark.usefixtures("work")
@pytest.mark.damages
@pytest.mark.parametrize("name", ["any.lmdb", "agent-tracker-schema-1-0123abcd.lmdb"])
def test_a_copy_without_a_manifest_is_better_than_nothing(name: str) -> None:
    """It is taken where no backup passes, and only there."""
    backup = Path(backed_up().path)
    copy = backup.with_name(name)
    shutil.copy(backup, copy)
    damage(database())
    found = plan(context()).backup
    assert found is not None
    assert found.path == str(backup)
    damage(backup)
    found = plan(context()).backup
    assert found is not None
    assert found.path == str(copy)
    done = recover(context())
    assert done is not None
    assert (done.from_backup > 0, done.gone) == (True, {})


# -- words


def test_problems_are_few_and_short() -> None:
    """No key in full, no endless line, three of them."""
    lines = problem_lines([f"a damaged record in commits: key {'ab' * 40}", "x" * 400, "c", "d", "e"])
    assert lines[0] == "a damaged record in commits: key abababababab..."
    assert [len(line) for line in lines[1:]] == [100, 1, 10]
    assert lines[-1] == "and 2 more"
