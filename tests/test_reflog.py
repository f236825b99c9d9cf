"""HEAD's reflog, as real git writes it: which entries made a commit, and reading on from a position."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.records import ReflogPosition
from agent_tracker.reflog import Entry, Said, operation_of, position_of, read_entries, reflog_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitrepo import GitRepo

SOMEONE = "A Person <person@example.org> 1700000000 +0000"


def git_dir(repo: GitRepo) -> str:
    """Return a repository's git directory."""
    return str(repo.path / ".git")


def entries(repo: GitRepo, position: ReflogPosition | None = None) -> list[Entry]:
    """Return the entries that made a commit, behind a position."""
    found, _ = read_entries(git_dir(repo), position, head=repo.head())
    return [entry for entry in found if isinstance(entry, Entry)]


def operations(repo: GitRepo, position: ReflogPosition | None = None) -> list[str]:
    """Return how the commits behind a position were made."""
    return [entry.operation for entry in entries(repo, position)]


def diverged(repo: GitRepo) -> ReflogPosition:
    """Give the repository a branch `side` beside `main`, one commit each, and return the position then."""
    repo.commit("base")
    repo.git("branch", "side")
    repo.commit("ours")
    repo.git("checkout", "-q", "side")
    repo.commit("theirs")
    repo.git("checkout", "-q", "main")
    return position_of(git_dir(repo))


def conflicting(repo: GitRepo) -> ReflogPosition:
    """Give the repository a branch `side` that changes the same file as `main`, and return the position then."""
    repo.commit("base", text="1\n")
    repo.git("branch", "side")
    repo.commit("base ours", text="2\n")
    repo.git("checkout", "-q", "side")
    repo.commit("base theirs", text="3\n")
    repo.git("checkout", "-q", "main")
    return position_of(git_dir(repo))


def resolve(repo: GitRepo) -> None:
    """Settle the conflict."""
    repo.write("base.txt", "4\n")
    repo.git("add", "base.txt")


def test_commits_of_an_empty_repository(repo: GitRepo) -> None:
    """The first commit, the next one and an amend, with the oids before and after."""
    first = repo.commit("one")
    second = repo.commit("two")
    repo.git("commit", "-q", "--amend", "-m", "two, better")
    assert entries(repo) == [
        Entry(bytes(20), bytes.fromhex(first), "initial"),
        Entry(bytes.fromhex(first), bytes.fromhex(second), "commit"),
        Entry(bytes.fromhex(second), bytes.fromhex(repo.head()), "amend"),
    ]


def test_moves_make_no_commit(repo: GitRepo) -> None:
    """Checkout, reset, fast-forward merge and branch creation only move HEAD."""
    start = diverged(repo)
    repo.git("checkout", "-q", "--detach", "HEAD~1")
    repo.git("reset", "-q", "--hard", "main")
    repo.git("checkout", "-q", "-b", "new", "main~1")
    repo.git("merge", "-q", "--ff-only", "main")
    assert operations(repo, start) == []


def test_stash_makes_no_commit_of_head(repo: GitRepo) -> None:
    """What is put aside is no work done."""
    start = diverged(repo)
    repo.write("ours.txt", "changed\n")
    repo.git("stash")
    repo.git("stash", "pop")
    assert operations(repo, start) == []


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        pytest.param(("merge", "-q", "--no-edit", "side"), "merge", id="merge"),
        pytest.param(("merge", "-q", "--no-edit", "-s", "ours", "side"), "merge", id="merge-ours"),
        pytest.param(("cherry-pick", "side"), "cherry-pick", id="cherry-pick"),
        pytest.param(("revert", "--no-edit", "HEAD"), "revert", id="revert"),
        pytest.param(("rebase", "-q", "side"), "rebase", id="rebase"),
        pytest.param(("rebase", "-q", "--apply", "side"), "rebase", id="rebase-apply"),
        pytest.param(("rebase", "-q", "--force-rebase", "HEAD~1"), "rebase", id="rebase-force"),
        pytest.param(("pull", "-q", "--rebase", ".", "side"), "rebase", id="pull-rebase"),
        pytest.param(("pull", "-q", "--no-rebase", "--no-edit", ".", "side"), "merge", id="pull-merge"),
        pytest.param(("commit", "-q", "--allow-empty", "-m", "pull: Fast-forward"), "commit", id="odd-subject"),
    ],
)
def test_a_command_makes_one_commit(repo: GitRepo, command: tuple[str, ...], operation: str) -> None:
    """One entry of the command's own kind, whose new oid is HEAD."""
    start = diverged(repo)
    repo.git(*command)
    found = entries(repo, start)
    assert [entry.operation for entry in found] == [operation]
    assert found[0].new.hex() == repo.head()


def test_a_fast_forwarding_pull_makes_no_commit(repo: GitRepo) -> None:
    """What was fetched was made by others."""
    diverged(repo)
    repo.git("checkout", "-q", "-b", "behind", "main~1")
    start = position_of(git_dir(repo))
    repo.git("pull", "-q", "--ff-only", ".", "main")
    assert operations(repo, start) == []


def test_a_fast_forwarding_cherry_pick_makes_no_commit(repo: GitRepo) -> None:
    """With --ff, HEAD moves to the commit itself, which others may have made."""
    diverged(repo)
    repo.git("checkout", "-q", "-b", "behind", "main~1")
    start = position_of(git_dir(repo))
    repo.git("cherry-pick", "--ff", "main")
    assert repo.head() == repo.head("main")
    assert operations(repo, start) == []


@pytest.mark.parametrize(
    ("command", "finish", "operation"),
    [
        pytest.param(("merge", "side"), ("commit", "-q", "--no-edit"), "merge", id="merge"),
        pytest.param(("merge", "side"), ("merge", "--continue"), "merge", id="merge-continue"),
        pytest.param(("cherry-pick", "side"), ("commit", "-q", "--no-edit"), "cherry-pick", id="cherry-pick-commit"),
        pytest.param(("cherry-pick", "side"), ("cherry-pick", "--continue"), "cherry-pick", id="cherry-pick"),
        pytest.param(("rebase", "side"), ("rebase", "--continue"), "rebase", id="rebase"),
        pytest.param(("rebase", "--apply", "side"), ("rebase", "--continue"), "rebase", id="rebase-apply"),
        pytest.param(("pull", "--rebase", ".", "side"), ("rebase", "--continue"), "rebase", id="pull-rebase"),
    ],
)
def test_a_conflict_settled_makes_one_commit(
    repo: GitRepo, command: tuple[str, ...], finish: tuple[str, ...], operation: str
) -> None:
    """A command that stopped is finished by another; the entry tells the kind all the same."""
    start = conflicting(repo)
    assert repo.try_git(*command).code
    resolve(repo)
    repo.git(*finish)
    assert operations(repo, start) == [operation]


def test_an_interactive_rebase(repo: GitRepo) -> None:
    """Fixup, reword and pick are commits of a rebase; start and finish are none."""
    for name in ("one", "two", "three", "four"):
        repo.commit(name)
    start = position_of(git_dir(repo))
    todo = "sed -i -e 2s/pick/fixup/ -e 3s/pick/reword/"
    repo.git("rebase", "-q", "-i", "HEAD~3", env={"GIT_SEQUENCE_EDITOR": todo, "GIT_EDITOR": "sed -i 1s/four/five/"})
    assert operations(repo, start) in (["squash", "rebase"], ["squash", "rebase", "rebase"])
    assert repo.git("log", "--format=%s").split() == ["five", "two", "one"]


def test_an_amend_and_a_commit_during_a_rebase(repo: GitRepo) -> None:
    """`edit` stops the rebase, and what is done then is what it says."""
    for name in ("one", "two", "three"):
        repo.commit(name)
    start = position_of(git_dir(repo))
    repo.git("rebase", "-q", "-i", "HEAD~2", env={"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"})
    repo.git("commit", "-q", "--amend", "-m", "two, better")
    repo.commit("between")
    repo.git("rebase", "--continue")
    assert operations(repo, start) == ["amend", "commit", "rebase"]


def test_a_commit_in_the_place_of_an_empty_pick(repo: GitRepo) -> None:
    """A rebase stops where nothing is left of a commit; what is committed then is the rebase's."""
    repo.commit("base", text="1\n")
    repo.git("branch", "side")
    repo.commit("base ours", text="2\n")
    repo.git("checkout", "-q", "side")
    repo.write("more.txt", "more\n")
    repo.commit("base theirs", text="2\n")
    repo.git("checkout", "-q", "main")
    start = position_of(git_dir(repo))
    assert repo.try_git("rebase", "--empty=ask", "side").code
    repo.git("commit", "-q", "--allow-empty", "-m", "in its place")
    repo.git("rebase", "--continue")
    assert operations(repo, start) == ["rebase"]


def test_applied_patches(repo: GitRepo, tmp_path: Path) -> None:
    """`git am` writes the reflog, though no post-commit hook runs."""
    diverged(repo)
    patch = tmp_path / "patch"
    patch.write_text(repo.git("format-patch", "--stdout", "main..side") + "\n")
    start = position_of(git_dir(repo))
    repo.git("am", "-q", patch)
    assert operations(repo, start) == ["am"]


def test_an_octopus_merge(repo: GitRepo) -> None:
    """Several branches at once are one merge."""
    start = diverged(repo)
    repo.git("checkout", "-q", "-b", "third", "main~1")
    repo.commit("more")
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-edit", "side", "third")
    assert operations(repo, start) == ["commit", "merge"]


@pytest.mark.parametrize(
    ("message", "operation"),
    [
        ("", None),
        ("commit", None),
        ("commit: ", "commit"),
        ("commit (rebase): resolved", "rebase"),
        ("commit: rebase (finish): x", "commit"),
        ("rebase: fast-forward", None),
        ("rebase (start): checkout main", None),
        ("rebase (finish): returning to refs/heads/main", None),
        ("rebase -i (pick): subject", "rebase"),
        ("rebase (squash): subject", "squash"),
        ("pull --rebase origin main (pick): subject", "rebase"),
        ("pull origin main: Fast-forward", None),
        ("merge side: Fast-forward", None),
        ("merge side: In-index merge", "merge"),
        ("merge a b: Merge made by the 'octopus' strategy.", "merge"),
        ("checkout: moving from main to commit: x", None),
        ("reset: moving to HEAD~1", None),
        ("clone: from example.org:repo", None),
        ("commit (unheard of): x", None),
    ],
)
def test_messages_of_git(message: str, operation: str | None) -> None:
    """Messages of other versions and odd ones."""
    assert operation_of(message) == operation


# -- positions


def test_reading_goes_on_behind_the_position(repo: GitRepo) -> None:
    """What was read is not read again, and the position moves to the end."""
    repo.commit("one")
    _, position = read_entries(git_dir(repo), None, head=repo.head())
    assert position == position_of(git_dir(repo))
    second = repo.commit("two")
    found, moved = read_entries(git_dir(repo), position, head=second)
    assert [oid.hex() for oid in made(found)] == [second]
    assert moved[:2] == (Path(reflog_path(git_dir(repo))).stat().st_size, second)
    assert read_entries(git_dir(repo), moved, head=second) == ([], moved)


def test_no_reflog_is_no_error(tmp_path: Path) -> None:
    """core.logAllRefUpdates may be off."""
    for position in (None, ReflogPosition(10, "ab" * 20)):
        assert read_entries(str(tmp_path), position, head="ab" * 20) == ([], ReflogPosition(0, ""))


def test_a_position_of_nothing_reads_everything(repo: GitRepo) -> None:
    """Where the hooks were installed before the first commit."""
    start = position_of(git_dir(repo))
    repo.commit("one")
    assert start == ReflogPosition(0, "")
    assert operations(repo, start) == ["initial"]


def line(old: str, new: str, message: str = "commit: x") -> str:
    """Return a line of a reflog; the oids by one letter each."""
    return f"{old * 40} {new * 40} {SOMEONE}\t{message}\n"


@pytest.fixture
def reflog(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a reflog and returns its git directory."""

    def write(text: str) -> Path:
        (tmp_path / "logs").mkdir(exist_ok=True)
        (tmp_path / "logs" / "HEAD").write_text(text)
        return tmp_path

    return write


def made(found: list[Said]) -> list[bytes]:
    """Return the oids of the commits that were made, without those that were taken back."""
    return [entry.new for entry in found if isinstance(entry, Entry)]


def news(directory: Path, position: ReflogPosition | None = None, *, head: str = "") -> str:
    """Return the new oids behind a position, one letter each; `head` is a letter, too."""
    return "".join(oid.hex()[0] for oid in made(read_entries(str(directory), position, head=head * 40)[0]))


def read(directory: Path) -> ReflogPosition:
    """Return the position behind all that there is."""
    return read_entries(str(directory), None, head="")[1]


def test_half_a_last_line_is_left_for_the_next_time(reflog: Callable[[str], Path]) -> None:
    """Git may be writing it just now."""
    text = line("0", "a") + line("a", "b")
    for end in range(len(line("0", "a")), len(text)):
        directory = reflog(text[:end])
        found, position = read_entries(str(directory), None, head="")
        assert [oid.hex()[0] for oid in made(found)] == ["a"]
        assert position == ReflogPosition(len(line("0", "a")), "a" * 40, 1_700_000_000)
    assert news(reflog(text), position) == "b"


@pytest.mark.parametrize("expired", [1, 2, 3], ids=["first", "two", "all-that-was-read"])
def test_after_expiry_only_what_is_new_is_read(reflog: Callable[[str], Path], expired: int) -> None:
    """`git reflog expire` takes lines out at the beginning; where the last one read is gone, all is read."""
    lines = [line("0", "a"), line("a", "b"), line("b", "c"), line("c", "d"), line("d", "e")]
    position = read(reflog("".join(lines[:3])))
    assert news(reflog("".join(lines[expired:])), position) == "de"


def test_a_shorter_reflog_is_read_from_where_the_known_entry_is(reflog: Callable[[str], Path]) -> None:
    """Lines taken out in the middle."""
    position = read(reflog(line("0", "a") + line("a", "b") + line("b", "c")))
    assert news(reflog(line("b", "c") + line("c", "d")), position) == "d"


def test_a_reflog_begun_anew_is_read_whole(reflog: Callable[[str], Path]) -> None:
    """A file deleted and written again, shorter or longer than it was."""
    position = read(reflog(line("0", "a") + line("a", "b")))
    assert news(reflog(line("0", "c")), position) == "c"
    assert news(reflog(line("0", "c") + line("c", "d") + line("d", "e")), position) == "cde"


def test_an_oid_that_came_back_hides_nothing_after_expiry(reflog: Callable[[str], Path]) -> None:
    """HEAD was on the last commit read once more later: what was made in between counts, too."""
    position = read(reflog(line("0", "f") + line("f", "a")))
    later = line("a", "b") + line("b", "a", "reset: moving to HEAD~1") + line("a", "c")
    assert set("bc") <= set(news(reflog(line("f", "a") + later), position))


def test_an_oid_in_a_message_hides_nothing_after_expiry(reflog: Callable[[str], Path]) -> None:
    """`checkout: moving from <oid> to main` is not the entry that made it."""
    position = read(reflog(line("0", "f") + line("f", "a")))
    moved = line("b", "b", f"checkout: moving from {'a' * 40} to main")
    assert "b" in news(reflog(line("f", "a") + line("a", "b") + moved + line("b", "c")), position)


# -- entries that never took effect


def test_an_entry_before_head_moved_can_wait(reflog: Callable[[str], Path]) -> None:
    """Git writes the entry first; until the branch has moved, it is not read, and then it is."""
    directory = reflog(line("0", "a") + line("a", "b"))
    found, position = read_entries(str(directory), None, head="a" * 40)
    assert [oid.hex()[0] for oid in made(found)] == ["a"]
    assert position == ReflogPosition(len(line("0", "a")), "a" * 40, 1_700_000_000)
    assert news(directory, position, head="b") == "b"


def test_an_entry_that_never_moved_head_is_passed_over(reflog: Callable[[str], Path]) -> None:
    """Git was killed between entry and branch: the next commit was made from the same one."""
    directory = reflog(line("0", "a") + line("a", "b") + line("a", "c") + line("c", "d"))
    assert news(directory, head="d") == "acd"


def test_a_commit_before_an_orphan_branch_is_read(repo: GitRepo) -> None:
    """Two root commits in a row both took effect: an orphan branch begins from nothing again."""
    first = repo.commit("one")
    repo.git("checkout", "-q", "--orphan", "pages")
    second = repo.commit("two")
    assert [entry.new.hex() for entry in entries(repo)] == [first, second]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("\n", id="empty"),
        pytest.param("garbage\n", id="garbage"),
        pytest.param(f"{'g' * 40} {'h' * 40} {SOMEONE}\tcommit: x\n", id="not-hex"),
        pytest.param(f"{'a' * 40}\tcommit: x\n", id="one-field"),
        pytest.param(f"{'a' * 40} {'b' * 39} {SOMEONE}\tcommit: x\n", id="odd-length"),
        pytest.param(f"{'a' * 40} {'b' * 10} {SOMEONE}\tcommit: x\n", id="abbreviated"),
        pytest.param(f" {'b' * 40} {SOMEONE}\tcommit: x\n", id="no-old"),
        pytest.param("\x00\xff\n", id="binary"),
    ],
)
def test_a_line_that_is_none_is_passed_over(reflog: Callable[[str], Path], odd: str) -> None:
    """The lines around it are read."""
    assert news(reflog(line("0", "a") + odd + line("a", "b"))) == "ab"


def test_a_message_may_hold_anything(repo: GitRepo) -> None:
    """Tabs, quotes and bytes that are no UTF-8 in a subject."""
    repo.write("a", "1")
    repo.git("add", "a")
    repo.git("commit", "-q", "-F", "-", stdin="tab\there \udcff $(x) 'q'\n")
    assert operations(repo) == ["initial"]


def test_a_sha256_repository(make_repo: Callable[..., GitRepo]) -> None:
    """Oids are twelve bytes longer there."""
    repo = make_repo("unused")
    repo.git("init", "-q", "--object-format=sha256", "../sha256")
    long = type(repo)(repo.path.parent / "sha256")
    long.commit("one")
    assert [len(entry.new) for entry in entries(long)] == [32]


def test_what_was_killed_stays_unmade_while_the_next_is_at_work(tmp_path: Path) -> None:
    """Two entries from the same commit, the ref still on it: the first was killed, the second is under way."""
    oids = {name: name * 40 for name in "abc"}
    (tmp_path / "logs").mkdir()
    made_first, killed, at_work = (
        f"{old} {new} A <a@b> 1700000000 +0000\tcommit: x\n"
        for old, new in (("0" * 40, oids["a"]), (oids["a"], oids["b"]), (oids["a"], oids["c"]))
    )
    Path(reflog_path(str(tmp_path))).write_text(made_first + killed + at_work)
    found, position = read_entries(str(tmp_path), None, head=oids["a"])
    assert made(found) == [bytes.fromhex(oids["a"])]
    found, _ = read_entries(str(tmp_path), position, head=oids["c"])
    assert made(found) == [bytes.fromhex(oids["c"])]
