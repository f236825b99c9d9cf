"""Histories nobody thought of: random git commands by two agents and a person, and each line's owner checked after.

Every piece of work is a line of its own in a file of its own, with its maker's name in it. So it can be told from git
alone where each piece ended up, and whose it is.
"""

# ruff: noqa: D102 -- what may be done is a git command each

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from agent_tracker.records import MICRO
from test_ways import Place, make_place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_tracker.records import Commit

STEPS = 14
FIRST = int(os.environ.get("AGENT_TRACKER_TEST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("AGENT_TRACKER_TEST_SEEDS", "24")))
MAKERS = ("one", "two", "")


class History:
    """A repository in which random things are done."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.number = 0
        self.branches = ["base"]
        self.done: list[str] = []

    def work(self, by: str) -> None:
        """Write some lines of somebody's."""
        self.number += 1
        name = f"{by or 'human'}-{self.number}"
        self.place.write(f"{name}.txt", *(f"{name} line {line}" for line in range(self.random.randint(2, 9))))

    def git(self, *argv: str, by: str = "", is_seen: bool = True) -> None:
        """Run git, with the hooks turned away now and then where nobody is named by them alone."""
        self.done.append(f"{by or 'human'}: git {' '.join(argv)}")
        unseen = () if is_seen else ("-c", "core.hooksPath=/dev/null")
        self.place.git(*unseen, *argv, by=by)

    def chance(self) -> bool:
        """Return false now and then."""
        return self.random.random() > 0.3

    def own(self) -> list[str]:
        """Return the commits of this branch that the base does not have, oldest first."""
        return self.place.repo.git("rev-list", "--reverse", "--no-merges", "base..HEAD").split()

    # -- what may be done

    def commit(self) -> None:
        by = self.random.choice(MAKERS)
        self.work(by)
        self.git("commit", "--quiet", "-m", f"work {self.number}", by=by)

    def amend(self) -> None:
        # What another branch has too stays there as it was: two pieces of work, of which git tells that one became the
        # other.
        if self.own() and len(self.place.repo.git("branch", "--contains", "HEAD").splitlines()) == 1:
            by = self.random.choice(MAKERS)
            self.work(by)
            self.git("commit", "--quiet", "--amend", "--no-edit", by=by)

    def reword(self) -> None:
        if self.own():
            by = self.random.choice(MAKERS)
            self.number += 1
            self.git("commit", "--quiet", "--amend", "-m", f"reworded {self.number}", by=by, is_seen=self.chance())

    def branch(self) -> None:
        self.number += 1
        self.branches.append(f"b{self.number}")
        self.git("switch", "--quiet", "--create", self.branches[-1], self.random.choice(["base", "HEAD"]))

    def switch(self) -> None:
        self.git("switch", "--quiet", self.random.choice(self.branches))

    def pick(self) -> None:
        others = [b for b in self.branches if self.place.repo.git("rev-list", "--no-merges", f"HEAD..{b}")]
        if others:
            found = self.place.repo.git("rev-list", "--no-merges", f"HEAD..{self.random.choice(others)}").split()
            oid = self.random.choice(found)
            done = self.place.repo.try_git(
                *(() if self.chance() else ("-c", "core.hooksPath=/dev/null")),
                "cherry-pick",
                oid,
                env=self.place.env(self.random.choice(MAKERS)),
            )
            self.done.append(f"cherry-pick {oid[:8]} {done.code}")
            if done.code:
                self.git("cherry-pick", "--skip" if "empty" in done.err + done.out else "--abort")

    def merge(self) -> None:
        other = self.random.choice(self.branches)
        self.number += 1
        by = self.random.choice(MAKERS)
        self.git("merge", "--quiet", "--no-ff", "-m", f"merge {self.number}", other, by=by)

    def squash(self) -> None:
        other = self.random.choice(self.branches)
        if self.place.repo.git("rev-list", "--no-merges", f"HEAD..{other}"):
            by = self.random.choice(MAKERS)
            self.git("merge", "--quiet", "--squash", other, by=by)
            if self.place.repo.try_git("diff", "--cached", "--quiet").code:
                self.number += 1
                self.git("commit", "--quiet", "-m", f"squash {self.number}", by=by)
            if other not in {"base", self.place.repo.git("branch", "--show-current")}:
                self.branches.remove(other)
                self.git("branch", "-D", other)

    def rebase(self) -> None:
        if self.place.repo.git("branch", "--show-current") != "base":
            backend = self.random.choice(["--apply", "--merge", "--force-rebase"])
            by = self.random.choice(MAKERS)
            self.git("rebase", "--quiet", backend, self.random.choice(self.branches), by=by, is_seen=self.chance())

    def interactive(self) -> None:
        own = self.own()
        linear = self.place.repo.git("rev-list", "--merges", "base..HEAD") == ""
        if len(own) > 1 and linear:
            verbs = ["pick", *(self.random.choice(["pick", "squash", "fixup", "pick"]) for _ in own[1:])]
            path = self.place.repo.path.parent / "todo"
            path.write_text("".join(f"{verb} {oid}\n" for verb, oid in zip(verbs, own, strict=True)))
            by = self.random.choice(MAKERS)
            self.done.append(str(verbs))
            editor = ("-c", f"sequence.editor=cp {path}", "-c", "core.editor=true")
            self.git(*editor, "rebase", "--quiet", "-i", "base", by=by, is_seen=self.chance())

    def soften(self) -> None:
        own = self.own()
        if own and self.place.repo.git("rev-list", "--merges", "base..HEAD") == "":
            by = self.random.choice(MAKERS)
            self.git("reset", "--quiet", "--soft", f"HEAD~{self.random.randint(1, len(own))}", by=by)
            self.number += 1
            self.git("commit", "--quiet", "-m", f"soft {self.number}", by=by)

    def flush(self) -> None:
        self.done.append("flush")
        self.place.flush()

    def run(self) -> None:
        """Do random things."""
        ways: list[tuple[Callable[[], None], int]] = [
            (self.commit, 8),
            (self.amend, 2),
            (self.reword, 1),
            (self.branch, 3),
            (self.switch, 3),
            (self.pick, 2),
            (self.merge, 1),
            (self.squash, 2),
            (self.rebase, 2),
            (self.interactive, 2),
            (self.soften, 1),
            (self.flush, 3),
        ]
        for _ in range(STEPS):
            self.random.choices([way for way, _ in ways], [weight for _, weight in ways])[0]()
        self.place.flush()

    # -- what is there then

    def pieces(self, oid: str) -> list[str]:
        """Return the pieces of work that a commit adds: the names of their files."""
        names = self.place.repo.git("diff-tree", "--root", "--no-commit-id", "--name-only", "-r", oid).split()
        return [name.removesuffix(".txt") for name in names if "-" in name]

    def wrong(self) -> list[str]:
        """Return what does not add up."""
        counted = self.place.counted()
        reachable = self.place.repo.git("rev-list", "--no-merges", "--all", "HEAD").split()
        there = {piece for oid in reachable for piece in self.pieces(oid)}
        homes: dict[str, list[Commit]] = {piece: [] for piece in there}
        for commit in counted:
            for piece in self.pieces(commit.oid.hex()):
                homes.setdefault(piece, []).append(commit)
        names = {agent: name for name, agent in self.place.ids.items()}
        found = []
        for piece, commits in homes.items():
            maker = piece.partition("-")[0]
            if len(commits) != 1:
                found.append(f"{piece} counts in {[(c.oid.hex()[:8], c.subject) for c in commits]}")
            found += [
                f"{piece} is not {maker}'s in {commit.oid.hex()[:8]}: {commit.credits}"
                for commit in commits
                if maker not in {names.get(agent, agent) for agent, share in commit.credits if share > MICRO // 1000}
            ]
        for commit in counted:
            makers = {piece.partition("-")[0] for piece in self.pieces(commit.oid.hex())}
            extra = {names.get(agent, agent) for agent, _ in commit.credits} - makers
            if makers and extra:
                found.append(f"{commit.oid.hex()[:8]} {commit.subject} is {extra}'s for nothing")
        return found


@pytest.mark.parametrize("seed", SEEDS)
def test_every_line_belongs_to_its_maker(seed: int, tmp_path: Path) -> None:
    """Whatever was done, each piece of work counts once, for whoever wrote it, and for nobody else."""
    history = History(make_place(tmp_path, "main"), seed)
    history.run()
    assert history.wrong() == [], "\n".join(history.done)
