"""Work that looks like other work and is not: nobody's commit may become somebody else's for its lines alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gitrepo import GitRepo
from test_forge import FORGE, Forge, pull_and_delete, push
from test_ways import Place, make_place

if TYPE_CHECKING:
    from pathlib import Path

LOCK = [f"locked {number}" for number in range(40)]


@pytest.fixture(params=["main", "main-flushing"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A worktree with hooks and agents."""
    return make_place(tmp_path, request.param)


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Place:
    """Another worktree of the same repository."""
    place.repo.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "other"))
    found = Place(GitRepo(tmp_path / "other"), flushing=place.flushing)
    found.ids = place.ids
    return found


@pytest.fixture
def forge(place: Place, tmp_path: Path) -> Forge:
    """The remote."""
    return Forge(tmp_path, place)


def test_the_same_small_change_made_twice_is_two_pieces_of_work(place: Place, other: Place) -> None:
    """A version bumped by an agent, and by a person in another worktree."""
    place.commit("bump", "v=2", by="one", file="version")
    other.commit("hotfix", "v=2", file="version")
    place.flush()
    assert place.credited() == {"bump": "one", "hotfix": "human"}


def test_a_subject_in_common_proves_nothing(place: Place, other: Place) -> None:
    """Two agents update the same file under the same words, half of the lines alike."""
    place.commit("Update changelog", "a", "b", "c", "d", by="one", file="log")
    other.commit("Update  changelog", "a", "b", "x", "y", by="two", file="log")
    place.flush()
    assert place.credited() == {"Update changelog": "one", "Update  changelog": "two"}


def test_a_generated_file_in_common_proves_nothing(place: Place, other: Place) -> None:
    """Both agents' commits bring the same lock file, and each its own work."""
    for where, by in ((place, "one"), (other, "two")):
        where.write("lock", *LOCK)
        where.commit(f"work of {by}", *(f"{by} {number}" for number in range(11)), by=by)
    place.flush()
    assert place.credited() == {"work of one": "one", "work of two": "two"}


def test_a_colleagues_lock_file_is_the_colleagues(place: Place, forge: Forge) -> None:
    """What was fetched and shares a generated file with work that waits here is not what became of it."""
    place.branch("topic")
    place.write("lock", *LOCK)
    place.commit("mine", *(f"mine {number}" for number in range(11)), by="one")
    forge.repo.write("lock", "".join(f"{line}\n" for line in LOCK))
    forge.work("theirs", "theirs", "".join(f"theirs {number}\n" for number in range(11)))
    place.git("fetch", "--quiet")
    place.flush()
    (commit,) = place.counted()
    assert (commit.subject, commit.oid.hex()) == ("mine", place.repo.head("topic"))


def test_a_squash_that_was_given_up_explains_no_other_commit(place: Place) -> None:
    """`merge --squash`, reset, and then something else in the same file."""
    place.branch("topic")
    place.commit("a", "1", "2", "3", "4", by="one", file="same")
    place.switch("base")
    place.git("merge", "--quiet", "--squash", "topic", by="two")
    place.git("reset", "--quiet", "--hard", by="two")
    place.commit("own", "1", "2", "x", "y", by="two", file="same")
    place.flush()
    assert place.credited() == {"a": "one", "own": "two"}


def test_a_header_in_common_after_a_reset_proves_nothing(place: Place) -> None:
    """An agent's commit is thrown away; another one's has the same licence at its top."""
    header = ("// licence", "// of", "// this", "package main")
    place.commit("a", *header, "one()", by="one", file="m.go")
    place.git("reset", "--quiet", "--hard", "HEAD~", by="two")
    place.commit("b", *header, "two()", by="two", file="m.go")
    place.flush()
    assert place.credited() == {"a": "one", "b": "two"}


@pytest.mark.parametrize("ahead_s", [0, 120])
def test_an_amend_of_a_colleagues_commit_is_shared_with_nobody(place: Place, forge: Forge, ahead_s: int) -> None:
    """Their lines are not the agent's, wherever their clock stands."""
    when = {"GIT_COMMITTER_DATE": f"{int(time.time()) + ahead_s} +0000"}
    forge.repo.write("theirs.txt", "1\n2\n3\n4\n")
    forge.repo.git("add", "--all")
    forge.repo.git("commit", "--quiet", "-m", "theirs", env={**FORGE, "GIT_AUTHOR_NAME": "Else", **when})
    forge.repo.git("push", "--quiet", "origin", "base")
    place.git("pull", "--quiet", "--ff-only")
    place.write("mine.txt", *"1234")
    place.git("commit", "--quiet", "--amend", "-m", "amended", by="one")
    place.flush()
    assert place.credited() == {"amended": {"one": 0.5, "unclaimed": 0.5}}


def test_a_colleagues_work_picked_without_a_commit_is_nobodys(place: Place, forge: Forge) -> None:
    """A hundred lines of somebody else's do not become the agent's by another message."""
    forge.work("theirs", text="".join(f"{number}\n" for number in range(100)))
    place.git("fetch", "--quiet")
    place.git("cherry-pick", "--no-commit", "origin/base", by="one")
    place.git("commit", "--quiet", "-m", "mine now", by="one")
    place.flush()
    assert place.credited() in ({"mine now": "unclaimed"}, {"mine now": "one"} if place.flushing else {})


def test_a_fixup_onto_a_squash_keeps_everybodys_lines(place: Place) -> None:
    """Merge --squash, commit, and a fixup of it folded in by a rebase, all before one flush."""
    place.branch("topic")
    place.commit("a", *"1234", by="one")
    place.switch("base")
    place.branch("work")
    place.git("merge", "--quiet", "--squash", "topic", by="two")
    place.git("commit", "--quiet", "-m", "squashed", by="two")
    place.write("b.txt", *"1234")
    place.git("commit", "--quiet", "--fixup", "HEAD")
    place.git("rebase", "--quiet", "-i", "--autosquash", "base", GIT_SEQUENCE_EDITOR="true", GIT_EDITOR="true")
    place.flush()
    assert place.credited() == {"squashed": {"one": 0.5, "human": 0.5}}


def test_many_other_branches_hide_no_squash(place: Place, forge: Forge) -> None:
    """A dozen colleagues' branches come with the same fetch."""
    place.branch("topic")
    place.commit("a", *"abcdefgh", by="one")
    push(place, "topic")
    forge.squash("topic", "Topic (#1)")
    for number in range(12):
        forge.repo.git("switch", "--quiet", "--create", f"c{number}", "origin/base")
        forge.repo.write(f"c{number}.txt", "theirs\n")
        forge.repo.git("add", "--all")
        forge.repo.git("commit", "--quiet", "-m", f"c{number}", env=FORGE)
    forge.repo.git("push", "--quiet", "--all", "origin")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Topic (#1)": "one"}


def test_a_forge_whose_clock_is_behind(place: Place, forge: Forge) -> None:
    """Merged seconds after the push by a machine that thinks that it was before."""
    place.branch("topic")
    place.commit("a", *"abcdefgh", by="one")
    push(place, "topic")
    forge.repo.git("fetch", "--quiet")
    forge.repo.git("merge", "--quiet", "--squash", "origin/topic")
    then = {"GIT_COMMITTER_DATE": f"{int(time.time()) - 30} +0000"}
    forge.repo.git("commit", "--quiet", "-m", "Topic (#1)", env={**FORGE, **then})
    forge.repo.git("push", "--quiet", "origin", "base")
    forge.repo.git("push", "--quiet", "origin", "--delete", "topic")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Topic (#1)": "one"}


def test_a_long_branch_is_one_squash(place: Place, forge: Forge) -> None:
    """Seventy commits are not too many."""
    place.branch("topic")
    for number in range(70):
        place.repo.write(f"f{number}.txt", f"line {number}\n")
        place.repo.git("add", "--all")
        place.repo.git("commit", "--quiet", "-m", f"c{number}", env=place.env(("one", "two")[number % 2]))
    push(place, "topic")
    forge.squash("topic", "Long (#1)")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Long (#1)": {"one": 0.5, "two": 0.5}}


def test_a_colleagues_commit_on_our_branch_is_nobodys(place: Place, forge: Forge) -> None:
    """The squash of a branch to which somebody else added: their lines are unclaimed."""
    place.branch("topic")
    place.commit("a", *"1234", by="one")
    push(place, "topic")
    forge.repo.git("fetch", "--quiet")
    forge.repo.git("switch", "--quiet", "topic")
    forge.repo.write("theirs.txt", "".join(f"{number}\n" for number in range(4)))
    forge.repo.git("add", "--all")
    forge.repo.git("commit", "--quiet", "-m", "theirs", env={**FORGE, "GIT_AUTHOR_NAME": "Else"})
    forge.repo.git("push", "--quiet", "origin", "topic")
    forge.repo.git("switch", "--quiet", "base")
    place.git("pull", "--quiet", "--ff-only", "origin", "topic")
    place.commit("b", *"1234", by="one")
    push(place, "topic")
    forge.squash("topic", "Together (#1)")
    pull_and_delete(place, "topic")
    assert place.credited() == {"Together (#1)": {"one": 0.67, "unclaimed": 0.33}}
