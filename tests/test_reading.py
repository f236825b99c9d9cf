"""Reading commands: they show what was just done, and they answer whatever state the database is in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import lmdb
import pytest

from agent_tracker.locking import locked
from agent_tracker.store import Store
from gitrepo import Done, GitRepo, agent_tracker, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

READING = [
    ("status",),
    ("log",),
    ("log", "--all"),
    ("agents",),
    ("agents", "list"),
    ("agents", "show", "one"),
    ("whoami",),
    ("verify",),
]
HOLD = """
import sys
from agent_tracker.locking import locked
with locked(sys.argv[1], timeout_s=10):
    print("held", flush=True)
    sys.stdin.read()
"""


HEAVY = {"pygit2", "pydantic", "msgspec", "rich.console", "tomlkit", "asyncio"}


def words(argv: tuple[str, ...]) -> str:
    """Return the name of a test's case."""
    return " ".join(argv)


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository whose agent has a commit in the database and one that waits in the spool."""
    repo.ok("install-hooks")
    agent = repo.register("one")
    repo.commit("a: work", env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    repo.commit("b: work", env={"AGENT_TRACKER_AGENT": agent})
    return repo


def recorded(repo: GitRepo) -> set[str]:
    """Return the subjects of the commits that are in the database."""
    return {commit["task_description"] for commit in repo.json("log", "--no-flush")["commits"]}


def lines(directory: Path) -> set[bytes]:
    """Return every line in a spool's directory, sealed or not."""
    files = [path for path in directory.iterdir() if path.name == "spool" or path.name.startswith("seg-")]
    return {line for path in files for line in path.read_bytes().split(b"\n")}


# -- one's own writes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", READING, ids=words)
def test_what_was_just_committed_is_flushed_first(work: GitRepo, argv: tuple[str, ...]) -> None:
    """Each reading command brings what waits into the database, without a word about it."""
    assert work.tracker(*argv).err == ""
    assert recorded(work) == {"a: work", "b: work"}


@pytest.mark.parametrize("argv", READING, ids=words)
def test_no_flush_reads_the_database_as_it_is(work: GitRepo, argv: tuple[str, ...]) -> None:
    """With --no-flush neither the spool nor the database changes."""
    spool = work.path / ".git/agent-tracker/spool"
    before = spool.read_bytes()
    done = work.tracker(*argv, "--no-flush")
    assert (done.code, done.err) == (0, "")
    assert spool.read_bytes() == before
    assert recorded(work) == {"a: work"}


@pytest.mark.parametrize(
    ("argv", "shown", "without"),
    [
        (("status",), "commits  2 recorded", "commits  1 recorded"),
        (("log",), "b: work", "a: work"),
        (("agents",), "probation   1  10", "probation   1   5"),
        (("agents", "show", "one"), "commits  2", "commits  1"),
        (("verify",), "2 commits", "1 commit,"),
    ],
    ids=lambda value: words(value) if isinstance(value, tuple) else None,
)
def test_what_was_just_committed_is_shown(work: GitRepo, argv: tuple[str, ...], shown: str, without: str) -> None:
    """The answer itself is the one after the flush; with --no-flush it is the one before."""
    before = work.ok(*argv, "--no-flush")
    assert without in before
    assert shown not in before
    assert shown in work.ok(*argv)


def test_a_second_reading_flushes_nothing(work: GitRepo, home: Path) -> None:
    """Where nothing happened since, the database is not written again."""
    database = home / ".config/opencode/agent-tracker.lmdb"
    work.ok("log")
    before = database.read_bytes()
    for argv in READING:
        work.ok(*argv)
    assert database.read_bytes() == before


@pytest.mark.parametrize("argv", [("agents",), ("agents", "show", "one"), ("log", "--all"), ("verify",)], ids=words)
def test_outside_of_a_repository_the_users_own_spool_is_flushed(
    work: GitRepo, tmp_path: Path, argv: tuple[str, ...]
) -> None:
    """A registration that waits comes in, whatever the directory; a repository's commits do not."""
    work.ok("config", "set", "databasePath", "/proc/nowhere/x.lmdb")
    work.tracker("register", "two", "--model", "m", "--scope", "s")
    work.ok("config", "unset", "databasePath")
    outside = tmp_path / "outside"
    outside.mkdir()
    done = agent_tracker(*argv, cwd=outside)
    assert (done.code, done.err) == (0, "")
    assert {agent["name"] for agent in work.json("agents", "--no-flush")["agents"]} == {"one", "two"}
    assert recorded(work) == {"a: work"}


@pytest.mark.parametrize("argv", [("agents",), ("log", "--all"), ("verify",)], ids=words)
def test_where_nothing_was_ever_installed_nothing_is_made(home: Path, tmp_path: Path, argv: tuple[str, ...]) -> None:
    """Reading in a new home leaves no file behind."""
    before = sorted(home.rglob("*"))
    assert agent_tracker(*argv, cwd=tmp_path).code == 0
    assert sorted(home.rglob("*")) == before


def test_what_the_flush_has_to_say_is_said_once(work: GitRepo) -> None:
    """A line that is not ours is set aside, and the reading command says so on stderr; stdout has the answer alone."""
    with (work.path / ".git/agent-tracker/spool").open("ab") as spool:
        spool.write(b"\nnot ours\n")
    first = work.tracker("log", "--json")
    assert first.code == 0
    assert first.err.startswith("warning: 1 line not written by agent-tracker")
    assert "not written" not in first.out
    assert work.tracker("log", "--json").err == ""


def test_without_git_what_is_recorded_is_shown(work: GitRepo, tmp_path: Path) -> None:
    """A flush that cannot run git costs a line on stderr and no more."""
    done = work.tracker("log", env={"PATH": str(tmp_path)})
    warned(done)
    assert "git" in done.err
    assert "a: work" in done.out
    work.ok("log")
    assert set(work.credited()) == {"a: work", "b: work"}


@pytest.mark.parametrize("argv", [("status",), ("whoami",), ("agents",), ("verify",)], ids=words)
def test_a_reading_command_loads_nothing_heavy(work: GitRepo, argv: tuple[str, ...]) -> None:
    """In a pipe, plain text needs no library for tables, JSON or what options may be."""
    done = run(sys.executable, "-X", "importtime", "-m", "agent_tracker", *argv, cwd=work.path)
    assert done.code == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "typer" in loaded
    assert not loaded & HEAVY


# -- what is not committed ---------------------------------------------------------------------------------------------


def pending(repo: GitRepo) -> object:
    """Return how many changes status counts."""
    return repo.json("status")["status"]["pending_changes"]


def test_each_pending_change_is_counted(work: GitRepo) -> None:
    """Changed, staged, gone, renamed (two) and new files count, an untracked directory once, an ignored file never."""
    for name in ("c", "d", "e", "f"):
        work.commit(f"{name}: work")
    assert pending(work) == 0
    work.write("c.txt", "changed")
    work.write("d.txt", "staged")
    work.git("add", "d.txt")
    (work.path / "e.txt").unlink()
    work.git("mv", "f.txt", "moved.txt")
    work.write("new\nline.txt", "new")
    work.write("directory/one", "new")
    work.write("directory/two", "new")
    work.write(".git/info/exclude", "ignored\n")
    work.write("ignored", "ignored")
    assert pending(work) == 7


def test_a_submodule_counts_where_another_commit_of_it_is_checked_out(work: GitRepo, tmp_path: Path) -> None:
    """What is changed within a submodule is that repository's own matter."""
    other = GitRepo.init(tmp_path / "other")
    other.commit("x: work")
    work.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.path, "sub")
    work.commit("c: with a submodule")
    (work.path / "sub/x.txt").write_text("changed")
    assert pending(work) == 0
    GitRepo(work.path / "sub").commit("y: in it")
    assert pending(work) == 1


@pytest.mark.parametrize("options", [("--object-format=sha256",), ("--ref-format=reftable",)], ids=words)
def test_pending_changes_in_other_formats(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Whatever git itself reads, status does."""
    repo = GitRepo(tmp_path / "repo")
    if run("git", "init", "--quiet", *options, repo.path, cwd=tmp_path).code:
        pytest.skip(f"this git does not know {options[0]}")
    repo.commit("a: work")
    repo.write("new", "new")
    assert pending(repo) == 1


def test_pending_changes_are_those_of_the_worktree(work: GitRepo, tmp_path: Path) -> None:
    """In a linked worktree, and in a directory below, its own changes count."""
    work.git("worktree", "add", "--quiet", tmp_path / "linked")
    work.write("new", "new")
    linked = GitRepo(tmp_path / "linked")
    assert pending(linked) == 0
    linked.write("below/new", "new")
    linked.write("other", "new")
    assert pending(GitRepo(linked.path / "below")) == 2


def test_a_work_tree_that_git_cannot_read_costs_a_line(work: GitRepo) -> None:
    """Where the index is damaged, status leaves that number out."""
    (work.path / ".git/index").write_bytes(b"nothing of the kind")
    assert pending(work) is None
    assert "changes" not in work.ok("status")


def test_counting_leaves_the_index_alone(work: GitRepo) -> None:
    """Git takes no lock and writes no index for it."""
    work.write("a.txt", "changed")
    index = work.path / ".git/index"
    before = index.stat().st_mtime_ns
    (work.path / ".git/index.lock").touch()
    assert pending(work) == 1
    assert index.stat().st_mtime_ns == before


# -- a database in a bad way -------------------------------------------------------------------------------------------


def warned(done: Done) -> None:
    """Assert that a command answered, with one line and a hint on stderr."""
    assert done.code == 0, done
    assert done.out
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["warning", "hint"], done.err


def refused(done: Done) -> None:
    """Assert that a command failed with one line and a hint."""
    assert done.code == 1, done
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["error", "hint"], done.err


def put_garbage(database: Path) -> None:
    """Write what no program wrote."""
    database.write_bytes(bytes(range(7, 255)) * 100)


def put_damaged_metas(database: Path) -> None:
    """Keep LMDB's mark and nothing else."""
    data = database.read_bytes()
    database.write_bytes(data[:20] + b"\xff" * (len(data) - 20))


def put_foreign(database: Path) -> None:
    """Write somebody's text."""
    database.write_text("precious " * 100)


def put_foreign_lmdb(database: Path) -> None:
    """Make another program's LMDB database."""
    database.unlink()
    with lmdb.open(str(database), subdir=False, map_size=1 << 20) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")


def put_directory(database: Path) -> None:
    """Put a directory in its place."""
    database.unlink()
    database.mkdir()


def put_newer(database: Path) -> None:
    """Give it the version of a newer program."""
    with Store(str(database), 1 << 29).writer(timeout_s=10) as writer:
        writer.set_schema_version("999")


def cut_off(share: float) -> Callable[[Path], None]:
    """Return what cuts the database off."""

    def cut(database: Path) -> None:
        os.truncate(database, int(database.stat().st_size * share))

    return cut


UNREADABLE = {
    "garbage": put_garbage,
    "damaged metas": put_damaged_metas,
    "foreign": put_foreign,
    "foreign lmdb": put_foreign_lmdb,
    "directory": put_directory,
    "newer": put_newer,
    "cut off at 0.9": cut_off(0.9),
    "cut off at 0.5": cut_off(0.5),
    "cut off at 0.1": cut_off(0.1),
}


@contextmanager
def broken(database: Path, kind: str) -> Iterator[None]:
    """Break the database for a block and put it back afterwards, as it was."""
    kept = database.with_suffix(".kept")
    shutil.copy(database, kept)
    UNREADABLE[kind](database)
    yield
    if database.is_dir():
        database.rmdir()
    kept.replace(database)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_database_that_cannot_be_read(work: GitRepo, home: Path, kind: str) -> None:
    """Every reading command answers with what registry and spool know and touches neither; then everything comes in."""
    database = home / ".config/opencode/agent-tracker.lmdb"
    directory = work.path / ".git/agent-tracker"
    with broken(database, kind):
        content = b"" if database.is_dir() else database.read_bytes()
        spool = (directory / "spool").read_bytes()
        for argv in READING:
            done = work.tracker(*argv)
            if argv == ("verify",):
                refused(done)
            else:
                warned(done)
            assert str(database) in done.err
        assert (directory / "spool").read_bytes() == spool
        assert content == (b"" if database.is_dir() else database.read_bytes())
        shown = work.tracker("log", "--json").out
        assert '"a: work"' in shown
        assert '"b: work"' in shown
        assert "one" in work.tracker("agents").out
        assert "one" in work.tracker("agents", "--no-flush").out
    work.ok("log")
    assert set(work.credited()) == {"a: work", "b: work"}
    assert work.json("verify")["verify"]["clean"]


def test_what_is_salvaged_counts_an_amend_once(work: GitRepo, home: Path) -> None:
    """The throwaway database is made by the same rules: rewrites are followed, the agent has its points."""
    work.git("commit", "--quiet", "--amend", "-m", "c: amended")
    with broken(home / ".config/opencode/agent-tracker.lmdb", "garbage"):
        done = work.tracker("log")
        warned(done)
        assert [line.split()[-2:] for line in done.out.splitlines()[1:]] == [["c:", "amended"], ["a:", "work"]]
        assert "10 of 100 XP" in work.tracker("agents", "show", "one").out


def test_a_spool_that_never_ends_is_passed_over(work: GitRepo, home: Path) -> None:
    """A pipe in the spool's place keeps nobody waiting: the sealed segments are shown."""
    spool = work.path / ".git/agent-tracker/spool"
    spool.unlink()
    os.mkfifo(spool)
    warned(work.tracker("log"))
    with broken(home / ".config/opencode/agent-tracker.lmdb", "garbage"):
        done = work.tracker("log")
        warned(done)
        assert "a: work" in done.out


def test_what_is_salvaged_follows_the_configured_rules(work: GitRepo, home: Path) -> None:
    """The throwaway database counts by the rules that hold."""
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[rules]\ncommitXp = 7\n")
    with broken(home / ".config/opencode/agent-tracker.lmdb", "garbage"):
        assert "14 of 100 XP" in work.tracker("agents", "show", "one").out


def test_where_nothing_can_be_shown_it_is_an_error(repo: GitRepo, home: Path) -> None:
    """With no agent in the registry and no commit in the spool, there is only the database's trouble to tell of."""
    database = home / ".config/opencode/agent-tracker.lmdb"
    database.parent.mkdir(parents=True)
    database.write_text("precious " * 100)
    for argv in (("agents",), ("log",)):
        refused(repo.tracker(*argv))
    warned(repo.tracker("status"))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Have another process hold a lock for a block."""
    argv = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        yield
        process.stdin.close()
    with locked(str(path), timeout_s=10):
        """It is free again."""


@contextmanager
def full(repo: GitRepo) -> Iterator[None]:
    """Let the database be as small as may be, and the spool hold more than goes into it."""
    repo.ok("config", "set", "maxDatabaseSize", "1000000")
    oids = [f"{number:040x}" for number in range(20000)]
    made_up = (f"1\tcommit\t{oid}\tone\t\t\tAGENT_TRACKER_AGENT=one" for oid in oids)
    with (repo.path / ".git/agent-tracker/spool").open("ab") as spool:
        spool.write(b"".join(b"\n%s =%d\n" % (line.encode(), len(line)) for line in made_up))
    yield
    repo.ok("config", "unset", "maxDatabaseSize")


def unwritable(repo: GitRepo, home: Path, kind: str) -> AbstractContextManager[None]:
    """Return the block in which nothing can be flushed."""
    if kind == "full":
        return full(repo)
    locks = {
        "written by another": home / ".config/opencode/agent-tracker.lmdb.write",
        "another flush": repo.path / ".git/agent-tracker/flush.lock",
        "another flush of the user's": home / ".local/state/agent-tracker/spool/flush.lock",
    }
    return held(locks[kind])


@pytest.mark.parametrize("kind", ["written by another", "another flush", "another flush of the user's", "full"])
def test_a_database_that_cannot_be_written(work: GitRepo, home: Path, kind: str) -> None:
    """Every reading command shows what is in it and says what it could not do; not a line of the spool is lost."""
    directory = work.path / ".git/agent-tracker"
    with unwritable(work, home, kind):
        before = lines(directory)
        for argv in READING if kind != "full" else [("log",), ("status",)]:
            done = work.tracker(*argv)
            # That is a second thing, and has its own line.
            unchecked, _, rest = (
                done.err.partition("\n") if "file itself was not checked" in done.err else ("", "", done.err)
            )
            assert bool(unchecked) is (argv == ("verify",) and kind == "written by another")
            warned(done._replace(err=rest))
        done = work.tracker("log")
        assert "; waiting in the spools, and shown as well: " in done.err
        assert kind == "full" or "b: work" in done.out
        assert lines(directory) >= before
        assert recorded(work) == {"a: work"}
    work.ok("log")
    assert set(work.credited()) == {"a: work", "b: work"}
    assert work.json("verify")["verify"]["clean"]


def without_power() -> list[str]:
    """Return what runs a command so that a file's mode counts for root as well."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def test_a_read_only_home(work: GitRepo, home: Path, tmp_path: Path) -> None:
    """Nothing can be written below the home directory: every reading command shows what is there."""
    prefix = without_power()
    directory = work.path / ".git/agent-tracker"
    before = lines(directory)
    run("chmod", "-R", "a-w", home, cwd=tmp_path)
    try:
        for argv in READING:
            warned(run(*prefix, sys.executable, "-m", "agent_tracker", *argv, cwd=work.path))
    finally:
        run("chmod", "-R", "u+w", home, cwd=tmp_path)
    assert lines(directory) >= before
    work.ok("log")
    assert set(work.credited()) == {"a: work", "b: work"}


def test_what_waits_is_counted_where_there_is_no_room(work: GitRepo) -> None:
    """No file may grow: neither the database nor a copy of it can be written, and it is said what is missing."""
    limited = f'ulimit -f 0; exec "{sys.executable}" -m agent_tracker log'
    done = run("sh", "-c", limited, cwd=work.path)
    warned(done)
    assert "; waiting in the spools, and not shown: 1 commit" in done.err
    assert ("a: work" in done.out, "b: work" in done.out) == (True, False)
    work.ok("log")
    assert set(work.credited()) == {"a: work", "b: work"}


@pytest.mark.parametrize("argv", [("agents",), ("log",), ("status",)], ids=words)
def test_a_deleted_database_is_shown_from_its_backup(work: GitRepo, home: Path, argv: tuple[str, ...]) -> None:
    """Without a flush, which would begin a new one, it is not taken for one that never was."""
    work.ok("backup")
    database = home / ".config/opencode/agent-tracker.lmdb"
    shown = work.ok(*argv, "--no-flush")
    database.unlink()
    done = work.tracker(*argv, "--no-flush")
    warned(done)
    assert "the database is not there, of which there are backups" in done.err
    assert "hint: agent-tracker restore" in done.err
    assert argv != ("log",) or ("a: work" in done.out and "a: work" in shown)
    assert not database.exists()
