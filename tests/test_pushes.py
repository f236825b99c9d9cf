"""Pushes, as real git leaves them in the reflogs of remote-tracking refs, and that the next flush looks for them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.journal import PushFact
from agent_tracker.observe import LOOK_AGAIN_S, OVERLAP_S, look_at_pushes
from agent_tracker.paths import RepositoryPaths, user_paths
from agent_tracker.pushes import TAIL_BYTES, read_pushes
from agent_tracker.records import ReflogPosition
from agent_tracker.repository import find_repository
from agent_tracker.settled import is_settled, look_at_refs, look_at_remotes
from agent_tracker.store import Store
from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.repository import Repository

SOMEONE = "A Person <person@example.org>"
NEW_GIT = os.environ.get("AGENT_TRACKER_TEST_GIT", "")
PROJECT = "00000000-0000-0000-0000-000000000000"
LOG = "logs/refs/remotes/origin/main"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository to push to."""
    run("git", "init", "-q", "--bare", tmp_path / "remote.git", cwd=tmp_path)
    return tmp_path / "remote.git"


@pytest.fixture
def pushing(repo: GitRepo, remote: Path) -> GitRepo:
    """A repository with that remote, the branches `main` and `side` with one commit of their own each, and two tags."""
    repo.git("remote", "add", "origin", remote)
    repo.commit("base")
    repo.git("tag", "light")
    repo.git("branch", "side")
    repo.commit("ours")
    repo.git("checkout", "-q", "side")
    repo.commit("theirs")
    repo.git("tag", "-a", "-m", "A tag", "heavy")
    repo.git("checkout", "-q", "main")
    return repo


def git_dir(repo: GitRepo) -> str:
    """Return a repository's git directory."""
    return str(repo.path / ".git")


def pushed(repo: GitRepo, since: int = 0) -> set[str]:
    """Return the commits of which the reflogs tell that they were pushed."""
    return {fact.oid.hex() for fact in read_pushes(git_dir(repo), since=since)}


def heads(repo: GitRepo, *revisions: str) -> set[str]:
    """Return the oids of revisions."""
    return {repo.head(revision) for revision in revisions}


def at(seconds: int) -> dict[str, str]:
    """Return an environment in which git takes it to be that time (Unix seconds)."""
    return {"GIT_COMMITTER_DATE": f"@{seconds} +0000"}


def entry(oid: str, when: int = 1_700_000_000, message: str = "update by push", who: str = SOMEONE) -> bytes:
    """Return an entry of a reflog."""
    return os.fsencode(f"{'0' * len(oid)} {oid} {who} {when} +0000\t{message}\n")


def write_log(repo: GitRepo, data: bytes, name: str = LOG) -> Path:
    """Write the reflog of a remote-tracking ref that never was, and return its path."""
    path = Path(os.fsdecode(os.fsencode(git_dir(repo)) + b"/" + os.fsencode(name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(("origin", "main"), ("main",), id="branch"),
        pytest.param(("origin", "main", "side"), ("main", "side"), id="two-branches"),
        pytest.param(("--all", "origin"), ("main", "side"), id="all"),
        pytest.param(("--atomic", "--all", "origin"), ("main", "side"), id="atomic"),
        pytest.param(("--mirror", "origin"), ("main", "side"), id="mirror"),
        pytest.param(("origin", "main:refs/heads/a/deep/name"), ("main",), id="by-another-name"),
        pytest.param(("origin", "main~1:refs/heads/old"), ("main~1",), id="by-revision"),
        pytest.param(("--follow-tags", "origin", "side"), ("side",), id="branch-with-tags"),
        pytest.param(("-u", "origin", "side", "light"), ("side",), id="branch-and-tag"),
        pytest.param(("--tags", "origin"), (), id="tags-only"),
        pytest.param(("origin", "main:refs/notes/x"), (), id="another-ref"),
        pytest.param(("--dry-run", "origin", "main"), (), id="dry-run"),
    ],
)
def test_a_push_tells_what_it_moved(pushing: GitRepo, command: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """The commits that the remote's branches were moved to, and nothing of tags or of what was not done."""
    pushing.git("push", "-q", *command)
    assert pushed(pushing) == heads(pushing, *expected)


def test_a_push_has_the_time_of_its_entry(pushing: GitRepo) -> None:
    """In nanoseconds, the oldest first."""
    pushing.git("push", "-q", "origin", "side", env=at(1_700_000_005))
    pushing.git("push", "-q", "origin", "main", env=at(1_700_000_000))
    assert read_pushes(git_dir(pushing), since=0) == [
        PushFact(bytes.fromhex(pushing.head("main")), 1_700_000_000 * 10**9),
        PushFact(bytes.fromhex(pushing.head("side")), 1_700_000_005 * 10**9),
    ]


def test_a_push_to_a_url_leaves_no_trace(pushing: GitRepo, remote: Path, tmp_path: Path) -> None:
    """Git has no ref that it could tell of, and does not ask whether a remote has the same one."""
    run("git", "init", "-q", "--bare", tmp_path / "other.git", cwd=tmp_path)
    pushing.git("push", "-q", tmp_path / "other.git", "main")
    pushing.git("push", "-q", remote, "main")
    assert pushed(pushing) == set()


def test_every_push_of_a_branch_counts(pushing: GitRepo) -> None:
    """One after the other, and one that throws the last away."""
    pushing.git("push", "-q", "origin", "main")
    first = pushing.head()
    second = pushing.commit("more")
    pushing.git("push", "-q", "origin", "main")
    pushing.git("commit", "-q", "--amend", "-m", "more, better")
    pushing.git("push", "-q", "--force", "origin", "main")
    assert pushed(pushing) == {first, second, pushing.head()}


def test_a_push_that_was_refused_is_none(pushing: GitRepo) -> None:
    """The remote's branch stays where it was."""
    pushing.git("push", "-q", "origin", "main")
    assert pushing.try_git("push", "-q", "origin", "side:main").code != 0
    assert pushed(pushing) == heads(pushing, "main")


def test_a_push_of_nothing_new_is_none(pushing: GitRepo) -> None:
    """Git says that everything is up to date, and moves nothing."""
    pushing.git("push", "-q", "origin", "main", env=at(1_700_000_000))
    pushing.git("push", "-q", "origin", "main", env=at(1_700_000_100))
    assert [fact.recorded_ns for fact in read_pushes(git_dir(pushing), since=0)] == [1_700_000_000 * 10**9]


def test_deleting_a_branch_is_no_push(pushing: GitRepo) -> None:
    """And takes its reflog with it."""
    pushing.git("push", "-q", "--all", "origin")
    pushing.git("push", "-q", "--delete", "origin", "side")
    assert pushed(pushing) == heads(pushing, "main")


def test_a_commit_is_pushed_once(pushing: GitRepo, tmp_path: Path) -> None:
    """To several branches and remotes, one of which has a name with a slash; the first time counts."""
    run("git", "init", "-q", "--bare", tmp_path / "other.git", cwd=tmp_path)
    pushing.git("remote", "add", "team/other", tmp_path / "other.git")
    pushing.git("push", "-q", "team/other", "main", env=at(1_700_000_000))
    pushing.git("push", "-q", "origin", "main", "main:copy", env=at(1_700_000_100))
    fact = PushFact(bytes.fromhex(pushing.head()), 1_700_000_000 * 10**9)
    assert read_pushes(git_dir(pushing), since=0) == [fact]
    assert read_pushes(git_dir(pushing), since=1_700_000_001) == [fact._replace(recorded_ns=1_700_000_100 * 10**9)]


def test_what_was_fetched_was_not_pushed(pushing: GitRepo, remote: Path, tmp_path: Path) -> None:
    """A fetch or a pull moves the same ref; pushing afterwards counts again."""
    pushing.git("push", "-q", "origin", "main")
    mine = pushing.head()
    run("git", "clone", "-q", remote, tmp_path / "theirs", cwd=tmp_path)
    other = GitRepo(tmp_path / "theirs")
    other.git("checkout", "-q", "main")
    other.commit("elsewhere")
    other.git("push", "-q", "origin", "main")
    pushing.git("fetch", "-q")
    pushing.git("pull", "-q", "--ff-only", "origin", "main")
    assert pushing.head() == other.head()
    assert pushed(pushing) == {mine}
    last = pushing.commit("after")
    pushing.git("push", "-q", "origin", "main")
    assert pushed(pushing) == {mine, last}


def test_a_worktrees_pushes_are_the_repositorys(pushing: GitRepo, tmp_path: Path) -> None:
    """They have their remote-tracking refs in common."""
    pushing.git("worktree", "add", "-q", "-b", "task", tmp_path / "tree")
    tree = GitRepo(tmp_path / "tree")
    oid = tree.commit("there")
    tree.git("push", "-q", "origin", "task")
    assert pushed(pushing) == {oid}


def test_without_reflogs_nothing_is_known(pushing: GitRepo) -> None:
    """Where git is told to keep none."""
    pushing.git("config", "core.logAllRefUpdates", "false")
    pushing.git("push", "-q", "origin", "main")
    assert pushed(pushing) == set()


def test_tables_tell_of_pushes(tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git keeps refs and reflogs in tables; and one that was not written since is not asked."""
    if NEW_GIT:
        monkeypatch.setenv("PATH", f"{Path(NEW_GIT).parent}{os.pathsep}{os.environ['PATH']}")
    if run("git", "init", "-q", "--ref-format=reftable", tmp_path / "repo", cwd=tmp_path).code:
        pytest.skip("this git knows no tables: set AGENT_TRACKER_TEST_GIT to one of 2.45 or newer")
    repo = GitRepo(tmp_path / "repo")
    repo.git("remote", "add", "origin", remote)
    first = repo.commit("one")
    seen = look_at_refs(git_dir(repo))
    repo.git("push", "-q", "origin", "main", "main:a/deep/name", env=at(1_700_000_000))
    assert look_at_refs(git_dir(repo)) != seen
    second = repo.commit("two")
    repo.git("push", "-q", "origin", "main", env=at(1_800_000_000))
    assert pushed(repo) == {first, second}
    assert pushed(repo, since=1_700_000_001) == {second}
    os.utime(repo.path / ".git" / "reftable" / "tables.list", (1_750_000_000, 1_750_000_000))
    assert pushed(repo, since=1_750_000_001) == set()


def test_pushes_of_the_second_that_is_asked_for_count(pushing: GitRepo) -> None:
    """And none before it, in the same reflog."""
    pushing.git("push", "-q", "origin", "main~1:refs/heads/main", env=at(1_700_000_000))
    pushing.git("push", "-q", "origin", "main", env=at(1_700_000_001))
    assert pushed(pushing, since=1_700_000_000) == heads(pushing, "main~1", "main")
    assert pushed(pushing, since=1_700_000_001) == heads(pushing, "main")
    assert pushed(pushing, since=1_700_000_002) == set()


def test_only_what_was_written_since_is_read(pushing: GitRepo) -> None:
    """A reflog, or a directory of refs, that is older than what is asked for has nothing to say."""
    pushing.git("push", "-q", "origin", "main", env=at(1_800_000_000))
    directory = pushing.path / ".git" / "refs" / "remotes" / "origin"
    os.utime(directory, (1_700_000_000, 1_700_000_000))
    assert pushed(pushing, since=1_700_000_001) == set()
    assert pushed(pushing, since=1_700_000_000) == heads(pushing, "main")
    os.utime(directory)
    os.utime(pushing.path / ".git" / LOG, (1_700_000_000, 1_700_000_000))
    assert pushed(pushing, since=1_700_000_001) == set()


def test_a_push_is_known_after_its_ref_was_packed(pushing: GitRepo) -> None:
    """The directory that it lay in is gone then."""
    since = int(time.time())
    pushing.git("push", "-q", "origin", "main:a/deep/name")
    pushing.git("pack-refs", "--all")
    assert not (pushing.path / ".git" / "refs" / "remotes" / "origin").exists()
    assert pushed(pushing, since=since) == heads(pushing, "main")


GOOD, OTHER = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", set(), id="empty"),
        pytest.param(entry(GOOD), {GOOD}, id="whole"),
        pytest.param(entry("a" * 64), {"a" * 64}, id="sha256"),
        pytest.param(entry(GOOD)[:-1], set(), id="torn"),
        pytest.param(entry(GOOD) + entry(OTHER)[:-1], {GOOD}, id="torn-last"),
        pytest.param(entry(OTHER)[:-9] + entry(GOOD), set(), id="torn-then-another"),
        pytest.param(entry("0" * 40), set(), id="zeros"),
        pytest.param(entry("xyz"), set(), id="no-oid"),
        pytest.param(entry("\N{FULLWIDTH DIGIT ONE}" * 40), set(), id="wide-digits"),
        pytest.param(entry(GOOD, message="update by push: x"), set(), id="more-words"),
        pytest.param(entry(GOOD, message="fetch: update by push"), set(), id="other-words"),
        pytest.param(entry(GOOD, message=""), set(), id="no-words"),
        pytest.param(entry(GOOD, who="A\tPerson <a@b>"), {GOOD}, id="tab-in-a-name"),
        pytest.param(entry(GOOD, who=" <>"), {GOOD}, id="no-name"),
        pytest.param(entry(GOOD, who="\udcff\udcfe <\udcff>"), {GOOD}, id="no-text"),
        pytest.param(entry(GOOD).replace(b"1700000000", b"when"), set(), id="no-time"),
        pytest.param(entry(GOOD).replace(b"1700000000", b"-1"), set(), id="before-all-time"),
        pytest.param(
            b"\0" * 5000 + b"\n" + b"\n\t> \n" + entry(GOOD) + b"\xff\xfe> 1 1\tupdate by push\n", {GOOD}, id="junk"
        ),
        pytest.param(entry(OTHER) + b"x" * TAIL_BYTES + b"\n" + entry(GOOD), {GOOD}, id="long"),
    ],
)
def test_what_is_no_entry_says_nothing(repo: GitRepo, data: bytes, expected: set[str]) -> None:
    """Only whole entries with git's very words count, from the end of a reflog of any size."""
    write_log(repo, data)
    assert pushed(repo) == expected


@pytest.mark.parametrize("when", [1 << 35, 10**30], ids=["centuries", "more-digits-than-fit"])
def test_a_time_that_cannot_be_is_cut(repo: GitRepo, when: int) -> None:
    """It fits where times in nanoseconds are kept."""
    write_log(repo, entry(GOOD, when))
    [fact] = read_pushes(git_dir(repo), since=0)
    assert fact.recorded_ns < 1 << 63


@pytest.mark.parametrize("name", ["origin/ \n'$(x)", "-x/--y", "\udcff\udcfe/\udcff", "a/b/c/d/e/f", "HEAD", "*/?"])
def test_any_name_of_a_remote_will_do(repo: GitRepo, name: str) -> None:
    """Names are nothing but names."""
    write_log(repo, entry(GOOD), f"logs/refs/remotes/{name}")
    assert pushed(repo) == {GOOD}


def test_only_regular_files_are_read(repo: GitRepo, tmp_path: Path) -> None:
    """No link is followed, and no pipe is waited for."""
    path = write_log(repo, entry(GOOD))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "log").write_bytes(entry(OTHER))
    path.with_name("file").symlink_to(tmp_path / "elsewhere" / "log")
    path.with_name("directory").symlink_to(tmp_path / "elsewhere")
    path.with_name("loop").symlink_to(path.parent)
    os.mkfifo(path.with_name("pipe"))
    assert pushed(repo) == {GOOD}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_says_nothing(repo: GitRepo) -> None:
    """The rest does."""
    write_log(repo, entry(GOOD))
    write_log(repo, entry(OTHER), "logs/refs/remotes/origin/side").chmod(0)
    write_log(repo, entry(OTHER), "logs/refs/remotes/other/main").parent.chmod(0)
    assert pushed(repo) == {GOOD}


def test_the_newest_of_too_many_reflogs_are_read(repo: GitRepo) -> None:
    """And of too many names, of which `origin` is one, only so many are looked at."""
    for number in range(9):
        path = write_log(repo, entry(f"{number:040x}"), f"logs/refs/remotes/origin/{number}")
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    found = read_pushes(git_dir(repo), since=0, max_files=3)
    assert {int(fact.oid.hex(), 16) for fact in found} == {6, 7, 8}
    assert len(read_pushes(git_dir(repo), since=0, max_names=5)) == 4


@pytest.mark.parametrize(
    "command",
    [("origin", "main"), ("origin", "main:a/deep/name"), ("team/other", "main"), ("--force", "origin", "side:main")],
    ids=["branch", "deep", "another-remote", "force"],
)
@pytest.mark.parametrize("preparing", [(), ("pack-refs", "--all"), ("gc", "-q")], ids=["loose", "packed", "gc"])
def test_a_push_shows_in_the_directories(pushing: GitRepo, command: tuple[str, ...], preparing: Sequence[str]) -> None:
    """Whether the ref is new or moves, and wherever it lay; looking again shows nothing new."""
    pushing.git("remote", "add", "team/other", "../remote.git")
    pushing.git("push", "-q", "origin", "main~1:refs/heads/main", "main~1:refs/heads/a/deep/name")
    if preparing:
        pushing.git(*preparing)
    seen = look_at_remotes(git_dir(pushing))
    pushing.git("push", "-q", *command)
    after = look_at_remotes(git_dir(pushing))
    assert after != seen
    assert look_at_remotes(git_dir(pushing)) == after


def test_what_is_no_push_does_not_show_in_the_directories(pushing: GitRepo) -> None:
    """A commit, a tag, or a push that was refused."""
    pushing.git("push", "-q", "origin", "main")
    seen = look_at_remotes(git_dir(pushing))
    pushing.git("push", "-q", "--tags", "origin")
    pushing.try_git("push", "-q", "origin", "side:main")
    pushing.commit("more")
    pushing.git("branch", "-r")
    assert look_at_remotes(git_dir(pushing)) == seen


def test_directories_are_found_among_many_refs(repo: GitRepo) -> None:
    """Wherever they lie among them; but none behind as many entries as may be looked at."""
    top = repo.path / ".git" / "refs" / "remotes"
    for number in range(300):
        directory = top / "origin" / f"{number}-group" if number % 100 == 0 else top / "origin"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number}").write_text(GOOD)
    for group in ("0-group", "100-group", "200-group"):
        seen, seen_by_few = look_at_remotes(git_dir(repo)), look_at_remotes(git_dir(repo), max_names=1)
        (top / "origin" / group / "new").write_text(GOOD)
        assert look_at_remotes(git_dir(repo)) != seen
        assert look_at_remotes(git_dir(repo), max_names=1) == seen_by_few


def test_looking_at_no_remotes_is_no_error(repo: GitRepo) -> None:
    """Nor at a file in their place."""
    empty = look_at_remotes(git_dir(repo))
    (repo.path / ".git" / "refs" / "remotes").write_text("")
    assert look_at_remotes(git_dir(repo)) != empty
    assert pushed(repo) == set()


def test_a_flush_after_a_push_has_something_to_do(pushing: GitRepo) -> None:
    """The push happens after the hook of it has flushed."""
    pushing.ok("install-hooks")
    pushing.commit("work")
    pushing.ok("flush")
    repository = find_repository(str(pushing.path), {})
    paths = user_paths(os.environ)
    assert is_settled(paths, os.environ, repository, now=int(time.time()))
    pushing.git("push", "-q", "origin", "main")
    assert not is_settled(paths, os.environ, repository, now=int(time.time()))
    pushing.ok("flush")
    assert is_settled(paths, os.environ, repository, now=int(time.time()))


class Reader:
    """Reads the pushes of a repository again and again, and keeps the position as a flush does."""

    def __init__(self, repo: GitRepo, store: Store) -> None:
        self.repository = find_repository(str(repo.path), {})
        self.store = store
        self.position: ReflogPosition | None = None

    def read(self, now: int) -> set[str]:
        """Return what was pushed, as of then (Unix seconds); `position` is the one that was written, if any."""
        with self.store.snapshot() as snapshot:
            pushes, moved = look_at_pushes(snapshot, self.repository, PROJECT, now_ns=now * 10**9)
        self.position = next(iter(moved.values()), None)
        with self.store.writer(timeout_s=1) as writer:
            for key, position in moved.items():
                writer.put_reflog_position(key, position)
        return {fact.oid.hex() for fact in pushes}


def installed(repository: Repository, when: int) -> None:
    """Say that the hooks were installed then (Unix seconds)."""
    path = Path(RepositoryPaths(repository.common_dir).baseline)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (when, when))


START = 1_700_000_000


@pytest.fixture
def reader(pushing: GitRepo, tmp_path: Path) -> Reader:
    """One of a repository in which `main~1` was pushed just before the hooks were installed."""
    pushing.git("push", "-q", "origin", "main~1:refs/heads/main", env=at(START - 1))
    made = Reader(pushing, Store(str(tmp_path / "store.lmdb"), 1 << 22))
    installed(made.repository, START)
    return made


def test_pushes_count_from_the_installation_on(reader: Reader, pushing: GitRepo) -> None:
    """Also in the very second, with no reading before."""
    pushing.git("push", "-q", "origin", "main", env=at(START))
    assert reader.read(START + 10) == heads(pushing, "main")
    assert reader.position == ReflogPosition(0, "", START + 10 - OVERLAP_S)


def test_reading_goes_on_where_it_ended(reader: Reader, pushing: GitRepo) -> None:
    """What was pushed before is not read again, what is pushed in the second of a reading is not lost."""
    assert reader.read(START + 10) == set()
    pushing.git("push", "-q", "origin", "main", env=at(START + 10))
    assert reader.read(START + 20) == heads(pushing, "main")
    pushing.git("push", "-q", "origin", "side", env=at(START + 20))
    assert reader.read(START + 30) == heads(pushing, "side")
    assert reader.read(START + 40) == set()


def test_a_position_moves_with_a_push_or_after_a_day(reader: Reader, pushing: GitRepo) -> None:
    """Or else every flush would write."""
    reader.read(START + 10)
    assert reader.read(START + 20) == set()
    assert reader.position is None
    pushing.git("push", "-q", "origin", "main", env=at(START + 25))
    reader.read(START + 30)
    assert reader.position == ReflogPosition(0, "", START + 30 - OVERLAP_S)
    reader.read(START + 30 + LOOK_AGAIN_S)
    assert reader.position == ReflogPosition(0, "", START + 30 + LOOK_AGAIN_S - OVERLAP_S)


def test_a_position_in_the_future_is_not_believed(reader: Reader, pushing: GitRepo) -> None:
    """The clock was wrong once: nothing that was pushed since is lost."""
    reader.read(START + 10**6)
    pushing.git("push", "-q", "origin", "main", env=at(START + 20))
    assert reader.read(START + 30) == heads(pushing, "main")
    assert reader.read(START + 40) == set()


def test_without_an_installation_pushes_count_from_the_first_reading_on(reader: Reader, pushing: GitRepo) -> None:
    """Nobody knows since when the hooks are there."""
    Path(RepositoryPaths(reader.repository.common_dir).baseline).unlink()
    pushing.git("push", "-q", "origin", "main", env=at(START + 5))
    assert reader.read(START + 10) == set()
    pushing.git("push", "-q", "origin", "side", env=at(START + 15))
    assert reader.read(START + 20) == heads(pushing, "side")
