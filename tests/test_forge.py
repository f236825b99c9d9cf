"""What a forge makes of work that was pushed: squash-merges and rebase-merges, pulled, the branch deleted.

The forge is a bare repository and a clone of it without hooks, in which somebody else merges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitrepo import GitRepo, run
from test_ways import Place, make_place

if TYPE_CHECKING:
    from pathlib import Path

FORGE = {
    "GIT_COMMITTER_NAME": "Forge",
    "GIT_COMMITTER_EMAIL": "noreply@forge.example",
}


class Forge:
    """A remote at which branches are merged by pressing a button."""

    def __init__(self, path: Path, place: Place) -> None:
        run("git", "clone", "--quiet", "--bare", place.repo.path, path / "remote.git", cwd=path)
        run("git", "clone", "--quiet", "--branch", "base", path / "remote.git", path / "forge", cwd=path)
        self.repo = GitRepo(path / "forge")
        place.git("remote", "add", "origin", str(path / "remote.git"))
        place.git("push", "--quiet", "--set-upstream", "origin", "base")

    def squash(self, branch: str, subject: str) -> None:
        """Merge a branch as one commit."""
        self.repo.git("fetch", "--quiet")
        self.repo.git("merge", "--quiet", "--squash", f"origin/{branch}")
        self.repo.git("commit", "--quiet", "-m", subject, env={**FORGE, "GIT_AUTHOR_NAME": "Presser"})
        self._publish(branch)

    def rebase(self, branch: str) -> None:
        """Merge a branch commit by commit."""
        self.repo.git("fetch", "--quiet")
        self.repo.git("cherry-pick", f"base..origin/{branch}", env=FORGE)
        self._publish(branch)

    def work(self, subject: str, name: str = "", text: str = "theirs\n") -> None:
        """Commit somebody else's work."""
        self.repo.write(name or f"{subject}.txt", text)
        self.repo.git("add", "--all")
        self.repo.git("commit", "--quiet", "-m", subject, env={**FORGE, "GIT_AUTHOR_NAME": "Else"})
        self.repo.git("push", "--quiet", "origin", "base")

    def _publish(self, branch: str) -> None:
        self.repo.git("push", "--quiet", "origin", "base")
        self.repo.git("push", "--quiet", "origin", "--delete", branch)


@pytest.fixture(params=["main", "main-flushing", "linked", "sha256"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A worktree with hooks and agents."""
    return make_place(tmp_path, request.param)


@pytest.fixture
def forge(place: Place, tmp_path: Path) -> Forge:
    """The remote of that worktree."""
    return Forge(tmp_path, place)


def push(place: Place, branch: str) -> None:
    """Push a branch, which flushes."""
    place.git("push", "--quiet", "--set-upstream", "origin", branch)


def pull_and_delete(place: Place, *branches: str) -> None:
    """Do what one does after a merge: go back to the main branch, pull, delete the merged ones."""
    place.switch("base")
    place.git("pull", "--quiet", "--ff-only", "--prune")
    for branch in branches:
        place.git("branch", "--quiet", "-D", branch)
    place.flush()


def test_a_squash_merge(place: Place, forge: Forge) -> None:
    """Commits of two agents become one commit with both their shares."""
    place.branch("topic")
    place.commit("a", *"123456", by="one")
    place.commit("b", *"12", by="two")
    push(place, "topic")
    forge.work("theirs")
    forge.squash("topic", "Add a and b (#1)")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Add a and b (#1)": {"one": 0.75, "two": 0.25}}
    assert {commit.oid.hex() for commit in place.counted()} <= place.reachable()


def test_a_squash_merge_of_one_small_commit(place: Place, forge: Forge) -> None:
    """A single line is enough to know one's own work by, as what comes from elsewhere is nobody's otherwise."""
    place.branch("topic")
    place.commit("a", "1", by="one")
    push(place, "topic")
    forge.squash("topic", "Whatever the button said (#1)")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Whatever the button said (#1)": "one"}


def test_a_rebase_merge(place: Place, forge: Forge) -> None:
    """Each commit becomes its copy."""
    place.branch("topic")
    place.commit("a", by="one")
    place.commit("b", by="two")
    push(place, "topic")
    forge.work("theirs")
    forge.rebase("topic")
    pull_and_delete(place, "topic")
    assert place.credited() == {"a": "one", "b": "two"}
    assert {commit.oid.hex() for commit in place.counted()} <= place.reachable()


def test_several_branches_with_other_work_in_between(place: Place, forge: Forge) -> None:
    """Three branches that touch the same file, merged in another order than they were made, each its own way."""
    place.write("shared.txt", *(f"line {number}" for number in range(40)))
    place.git("commit", "--quiet", "-m", "shared")
    push(place, "base")
    forge.repo.git("pull", "--quiet")
    for name, line, who in (("first", 3, "one"), ("second", 20, "two"), ("third", 35, "one")):
        place.switch("base")
        place.branch(name)
        lines = [f"line {number}" for number in range(40)]
        lines[line] = f"changed by {name}"
        place.write("shared.txt", *lines)
        place.git("commit", "--quiet", "-m", f"{name} change", by=who)
        place.commit(f"{name}-new", by=who)
        push(place, name)
    forge.squash("third", "Third (#3)")
    lines = [f"line {number}" for number in range(40)]
    lines[35] = "changed by third"
    lines[4] = "theirs"
    forge.work("theirs", "shared.txt", "".join(f"{line}\n" for line in ["new first line", *lines]))
    forge.rebase("second")
    pull_and_delete(place, "third")
    forge.repo.git("fetch", "--quiet")
    done = forge.repo.try_git("merge", "--quiet", "--squash", "origin/first")
    assert done.code != 0
    text = (forge.repo.path / "shared.txt").read_text().splitlines()
    kept = [line for line in text if not line.startswith(("<<<", "===", ">>>")) and line not in {"line 3", "line 4"}]
    forge.repo.write("shared.txt", "".join(f"{line}\n" for line in kept))
    forge.repo.git("add", "--all")
    forge.repo.git("commit", "--quiet", "-m", "First (#1)", env=FORGE)
    forge.repo.git("push", "--quiet", "origin", "base")
    pull_and_delete(place, "first", "second")
    assert place.credited() == {
        "shared": "human",
        "Third (#3)": "one",
        "second change": "two",
        "second-new": "two",
        "First (#1)": "one",
    }
    assert {commit.oid.hex() for commit in place.counted()} <= place.reachable()


def test_a_branch_that_goes_on_after_its_merge(place: Place, forge: Forge) -> None:
    """What was merged is one piece of work, what came later on the same branch another."""
    place.branch("topic")
    place.commit("a", by="one")
    place.commit("b", by="one")
    push(place, "topic")
    forge.squash("topic", "First half (#1)")
    place.git("fetch", "--quiet", "--prune")
    place.flush()
    place.commit("c", by="two")
    push(place, "topic")
    assert place.credited() == {"First half (#1)": "one", "c": "two"}
    place.git("rebase", "--quiet", "origin/base")
    push_forced = place.git("push", "--quiet", "--force", "origin", "topic")
    assert push_forced == ""
    forge.squash("topic", "Second half (#2)")
    pull_and_delete(place, "topic")
    assert place.credited() == {"First half (#1)": "one", "Second half (#2)": "two"}


def test_a_squash_of_a_branch_that_took_in_the_base(place: Place, forge: Forge) -> None:
    """A merge of the base into the branch brings none of the branch's own work."""
    place.branch("topic")
    place.commit("a", *"1234", by="one")
    forge.work("theirs")
    place.git("pull", "--quiet", "--no-rebase", "--no-edit", "origin", "base", by="two")
    place.commit("b", *"1234", by="two")
    push(place, "topic")
    forge.squash("topic", "Both (#1)")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Both (#1)": {"one": 0.5, "two": 0.5}}


def test_a_squash_seen_without_a_pull(place: Place, forge: Forge) -> None:
    """A fetch is enough, with the branch deleted while another one is checked out."""
    place.branch("topic")
    place.commit("a", by="one")
    place.commit("b", by="one")
    push(place, "topic")
    forge.squash("topic", "Squashed (#1)")
    place.switch("base")
    place.git("fetch", "--quiet", "--prune")
    place.git("branch", "-D", "topic")
    place.flush()
    assert place.credited() == {"Squashed (#1)": "one"}


def test_what_others_did_is_not_ours(place: Place, forge: Forge) -> None:
    """Somebody else's commits do not count, though they touch the same file and ours wait unmerged."""
    place.branch("topic")
    place.commit("a", *"abcdef", by="one", file="same.txt")
    push(place, "topic")
    forge.work("theirs", "same.txt", "a\nx\ny\nz\n")
    forge.work("more")
    place.git("fetch", "--quiet")
    place.flush()
    assert place.credited() == {"a": "one"}


def test_a_backport_by_others_leaves_the_work_where_it_is(place: Place, forge: Forge) -> None:
    """A copy on a release branch is not what became of a commit that is in the main branch."""
    place.commit("a", by="one")
    push(place, "base")
    place.git("remote", "set-head", "origin", "base")
    forge.repo.git("fetch", "--quiet")
    forge.repo.git("switch", "--quiet", "--create", "release", "origin/base")
    forge.repo.git("reset", "--quiet", "--hard", "HEAD~")
    forge.repo.git("cherry-pick", "origin/base", env=FORGE)
    forge.repo.git("commit", "--quiet", "--amend", "-m", "a", env=FORGE)
    forge.repo.git("push", "--quiet", "origin", "release")
    place.git("fetch", "--quiet")
    place.flush()
    (commit,) = place.counted()
    assert commit.oid.hex() == place.repo.head("base")
