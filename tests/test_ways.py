"""Every way to make a commit: real git, installed hooks, and what the store has after the flush.

Each way is carried out in several places, and with a flush at the end alone or after each command: whatever the order,
every piece of work counts once, in the commit in which it ended up, for whoever made it.
"""

# ruff: noqa: D103 -- the name of a way says what it is

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.context import Context, open_store
from agent_tracker.flush import flush
from agent_tracker.installation.installing import install
from agent_tracker.paths import user_paths
from agent_tracker.records import COUNTED, MICRO
from agent_tracker.repository import find_repository
from agent_tracker.verbs.agents import register
from agent_tracker.verify import verify
from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.records import Commit

Expected = dict[str, str | dict[str, float]]
"""Whose each counted commit is, by subject: `one` or `two` (agents), `human`, `unclaimed`, or shares of them."""


def context() -> Context:
    """Return the context of a command that is run now."""
    return Context(user_paths(os.environ), dict(os.environ), time.time_ns())


class Place:
    """A worktree with hooks, in which two agents and a person work; if `flushing`, there is a flush after each step."""

    def __init__(self, repo: GitRepo, *, flushing: bool) -> None:
        self.repo = repo
        self.flushing = flushing
        self.ids: dict[str, str] = {}

    def git(self, *argv: str, by: str = "", fails: bool = False, stdin: str = "", **env: str) -> str:
        """Run git as somebody."""
        done = self.repo.try_git(*argv, env={**self.env(by), **env}, stdin=stdin)
        assert (done.code != 0) == fails, (argv, done)
        if self.flushing:
            self.flush()
        return done.out.strip()

    def env(self, by: str) -> dict[str, str]:
        """Return what is in the environment of an agent's shell."""
        return {"AGENT_TRACKER_AGENT": self.ids[by]} if by else {}

    def flush(self) -> None:
        """Flush, in this process."""
        flush(find_repository(str(self.repo.path), {}), context())

    def write(self, name: str, *lines: str) -> None:
        """Write a file and stage it."""
        self.repo.write(name, "".join(f"{line}\n" for line in lines))
        self.repo.git("add", "--", name)

    def commit(self, subject: str, *lines: str, by: str = "", file: str = "", options: tuple[str, ...] = ()) -> str:
        """Write lines to a file named after the subject, or to `file`, commit them and return the oid."""
        self.write(file or f"{subject}.txt", *(lines or (subject, f"{subject} again")))
        self.git("commit", "--quiet", "-m", subject, *options, by=by)
        return self.repo.head()

    def branch(self, name: str, at: str = "HEAD") -> None:
        """Make a branch and switch to it."""
        self.git("switch", "--quiet", "--create", name, at)

    def switch(self, name: str) -> None:
        """Switch to a branch."""
        self.git("switch", "--quiet", name)

    # -- what the store has

    def counted(self) -> list[Commit]:
        """Return the commits that count, newest first, and see that the store is in order."""
        store, _ = open_store(context())
        with store.snapshot() as snapshot:
            assert snapshot is not None
            assert verify(snapshot).problems == ()
            return [commit for commit in snapshot.commits() if commit.status == COUNTED]

    def credited(self) -> Expected:
        """Return whose each counted commit is."""
        names = {agent: name for name, agent in self.ids.items()} | {"": "unclaimed"}
        found: Expected = {}
        for commit in self.counted():
            shares = {names.get(agent, agent): round(share / MICRO, 2) for agent, share in commit.credits}
            assert commit.subject not in found, f"{commit.subject} counts twice"
            found[commit.subject] = shares if len(shares) > 1 else next(iter(shares))
        return found

    def reachable(self) -> set[str]:
        """Return every commit that a ref or a worktree's HEAD leads to."""
        return set(self.repo.git("rev-list", "--all", "HEAD").split())


# -- the ways


def plain(p: Place) -> Expected:
    p.commit("a", by="one")
    p.commit("b", by="two")
    p.commit("c")
    return {"a": "one", "b": "two", "c": "human"}


def all_tracked(p: Place) -> Expected:
    p.commit("a", by="one")
    p.repo.write("a.txt", "changed\n")
    p.git("commit", "--quiet", "-a", "-m", "b", by="two")
    return {"a": "one", "b": "two"}


def by_patch(p: Place) -> Expected:
    p.repo.write("base.txt", "base\nmore\n")
    p.git("commit", "--quiet", "-p", "-m", "b", by="two", stdin="y\n")
    return {"b": "two"}


def by_path(p: Place) -> Expected:
    p.write("x.txt", "x")
    p.write("y.txt", "y")
    p.git("commit", "--quiet", "-m", "x", "--", "x.txt", by="one")
    p.git("commit", "--quiet", "-m", "y", "--", "y.txt", by="two")
    return {"x": "one", "y": "two"}


def by_editor(p: Place) -> Expected:
    p.write("x.txt", "x")
    p.git("commit", "--quiet", by="one", GIT_EDITOR="echo edited >")
    return {"edited": "one"}


def no_verify(p: Place) -> Expected:
    p.commit("a", by="one", options=("--no-verify",))
    return {"a": "one"}


def allow_empty(p: Place) -> Expected:
    p.git("commit", "--quiet", "--allow-empty", "-m", "a", by="one")
    p.git("commit", "--quiet", "--allow-empty", "-m", "b", by="two")
    return {"a": "one", "b": "two"}


def amend_message(p: Place) -> Expected:
    p.commit("a", by="one")
    p.git("commit", "--quiet", "--amend", "-m", "b", by="two")
    return {"b": "one"}


def amend_changes(p: Place) -> Expected:
    p.commit("a", *"1234", by="one")
    p.write("b.txt", *"1234")
    p.git("commit", "--quiet", "--amend", "-m", "b", by="two")
    return {"b": {"one": 0.5, "two": 0.5}}


def amend_unseen(p: Place) -> Expected:
    p.commit("a", by="one")
    p.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--amend", "-m", "b", by="two")
    return {"b": "one"}


def orphan(p: Place) -> Expected:
    p.git("switch", "--quiet", "--orphan", "alone")
    p.commit("a", by="one")
    return {"a": "one"}


def turned_away(p: Place) -> Expected:
    p.write("a.txt", "a")
    p.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "a", by="one")
    # Git runs the hooks of its configuration wherever it looks for those in files.
    return {"a": "one" if git_version() >= (2, 54) else "unclaimed"}


def marked(p: Place) -> Expected:
    p.write("a.txt", "a")
    message = f"a\n\nAgent: {p.ids['one']}"
    p.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", message)
    return {"a": "one"}


def merge_ff(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "topic", by="two")
    return {"a": "one"}


def merge_no_ff(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "--no-ff", "-m", "merged", "topic", by="two")
    return {"a": "one", "merged": "two"}


def merge_ff_of_a_merge(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.branch("merged", "base")
    p.git("merge", "--quiet", "--no-ff", "-m", "merged", "topic", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "--ff-only", "merged", by="two")
    return {"a": "one", "merged": "one"}


def merge_conflict(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", "theirs", by="one", file="same.txt")
    p.switch("base")
    p.commit("b", "ours", by="two", file="same.txt")
    p.git("merge", "topic", by="two", fails=True)
    p.write("same.txt", "both")
    p.git("merge", "--continue", by="two")
    return {"a": "one", "b": "two", "Merge branch 'topic' into base": "two"}


def merge_squash(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", *"123456", by="one")
    p.commit("b", *"12", by="two")
    p.switch("base")
    p.commit("between", by="two")
    p.git("merge", "--quiet", "--squash", "topic", by="two")
    p.git("commit", "--quiet", "-m", "squashed", by="two")
    p.git("branch", "-D", "topic")
    return {"between": "two", "squashed": {"one": 0.75, "two": 0.25}}


def merge_squash_of_one(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", "1", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "--squash", "topic", by="two")
    p.git("commit", "--quiet", "-m", "squashed", by="two")
    return {"squashed": "one"}


def merge_squash_by_a_person(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("b", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "--squash", "topic")
    p.git("commit", "--quiet", "--no-edit")
    p.git("branch", "-D", "topic")
    return {"Squashed commit of the following:": "one"}


def merge_squash_edited(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", *"12", by="one")
    p.commit("b", *"34", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "--squash", "topic", by="two")
    p.write("own.txt", *"1234")
    p.git("commit", "--quiet", "-m", "squashed", by="two")
    return {"squashed": {"one": 0.5, "two": 0.5}}


def merge_squash_conflict(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", *"abcdefgh", by="one", file="same.txt")
    p.commit("b", *"12345678", by="one")
    p.switch("base")
    p.commit("c", "ours", by="two", file="same.txt")
    p.git("merge", "--squash", "topic", fails=True)
    p.write("same.txt", *"abcdefgh", "ours")
    p.git("commit", "--quiet", "-m", "squashed")
    return {"c": "two", "squashed": "one"}


def cherry_pick(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.switch("base")
    p.commit("b", by="two")
    p.git("cherry-pick", "topic", by="two")
    return {"a": "one", "b": "two"}


def cherry_pick_and_delete(p: Place) -> Expected:
    cherry_pick(p)
    p.git("branch", "-D", "topic")
    return {"a": "one", "b": "two"}


def cherry_pick_of_a_person(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a")
    p.switch("base")
    p.commit("b", by="two")
    p.git("cherry-pick", "-x", "topic", by="two")
    return {"a": "human", "b": "two"}


def cherry_pick_of_what_is_older(p: Place) -> Expected:
    p.git("cherry-pick", "older", by="two")
    return {"older": "unclaimed"}


def cherry_pick_several(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("b", by="two")
    p.commit("c")
    p.switch("base")
    p.commit("d", by="two")
    p.git("cherry-pick", "base..topic", by="two")
    return {"a": "one", "b": "two", "c": "human", "d": "two"}


def cherry_pick_conflict(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", "theirs", by="one", file="same.txt")
    p.switch("base")
    p.commit("b", "ours", by="two", file="same.txt")
    p.git("cherry-pick", "topic", by="two", fails=True)
    p.write("same.txt", "both")
    p.git("cherry-pick", "--continue", by="two", GIT_EDITOR="true")
    return {"a": "one", "b": "two"}


def cherry_pick_skip(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", "theirs", by="one", file="same.txt")
    p.commit("c", by="one")
    p.switch("base")
    p.commit("b", "ours", by="two", file="same.txt")
    p.git("cherry-pick", "base~..topic", by="two", fails=True)
    p.git("cherry-pick", "--skip", by="two")
    return {"a": "one", "b": "two", "c": "one"}


def cherry_pick_abort(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("c", "theirs", by="one", file="same.txt")
    p.switch("base")
    p.commit("b", "ours", by="two", file="same.txt")
    p.git("cherry-pick", "base~..topic", by="two", fails=True)
    p.git("cherry-pick", "--abort", by="two")
    return {"a": "one", "b": "two", "c": "one"}


def cherry_pick_no_commit(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.switch("base")
    p.git("cherry-pick", "--no-commit", "topic", by="two")
    p.git("commit", "--quiet", "--no-edit", by="two")
    return {"a": "one"}


def cherry_pick_no_commit_several(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("b", by="one")
    p.switch("base")
    p.commit("c", by="two")
    p.git("cherry-pick", "--no-commit", "topic~2..topic", by="two")
    p.git("commit", "--quiet", "-m", "both", by="two")
    return {"c": "two", "both": "one"}


def revert(p: Place) -> Expected:
    p.commit("a", by="one")
    p.git("revert", "--no-edit", "HEAD", by="two")
    p.git("revert", "--no-edit", "HEAD", by="one")
    again = 'Reapply "a"' if git_version() >= (2, 43) else 'Revert "Revert "a""'
    return {"a": "one", 'Revert "a"': "two", again: "one"}


def diverged(p: Place) -> None:
    """Two commits by `one` and one by `two` on a topic, and the base moved on."""
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("b", by="two")
    p.commit("c", by="one")
    p.switch("base")
    p.commit("d", by="two")
    p.switch("topic")


DIVERGED: Expected = {"a": "one", "b": "two", "c": "one", "d": "two"}


def rebase(p: Place) -> Expected:
    diverged(p)
    p.git("rebase", "--quiet", "base")
    return DIVERGED


def rebase_from_elsewhere(p: Place) -> Expected:
    diverged(p)
    p.switch("base")
    p.git("rebase", "--quiet", "base", "topic", by="two")
    return DIVERGED


def rebase_apply(p: Place) -> Expected:
    diverged(p)
    p.git("rebase", "--quiet", "--apply", "base", by="two")
    return DIVERGED


def rebase_unseen(p: Place) -> Expected:
    diverged(p)
    p.git("-c", "core.hooksPath=/dev/null", "rebase", "--quiet", "base")
    return DIVERGED


def rebase_unseen_from_elsewhere(p: Place) -> Expected:
    diverged(p)
    p.switch("base")
    p.git("-c", "core.hooksPath=/dev/null", "rebase", "--quiet", "base", "topic")
    return DIVERGED


def rebase_onto(p: Place) -> Expected:
    diverged(p)
    p.git("rebase", "--quiet", "--onto", "base", "topic~2", "topic")
    return DIVERGED


def todo(p: Place, *lines: str, by: str = "", fails: bool = False, options: tuple[str, ...] = ()) -> None:
    """Rebase interactively with these lines as the list; `1` stands for the oldest commit of topic, and so on."""
    oids = p.repo.git("rev-list", "--reverse", "base..topic").split()
    words = " ".join(line + "\n" for line in lines)
    for number, oid in enumerate(oids, 1):
        words = words.replace(f" {number}\n", f" {oid}\n")
    path = p.repo.path.parent / f"todo-{p.repo.path.name}"
    path.write_text(words)
    editor = f"cp {path}"
    p.git(
        "rebase", "--quiet", "-i", *options, "base", by=by, fails=fails, GIT_SEQUENCE_EDITOR=editor, GIT_EDITOR="true"
    )


def rebase_reorder(p: Place) -> Expected:
    diverged(p)
    todo(p, "pick 2", "pick 1", "pick 3")
    return DIVERGED


def rebase_drop(p: Place) -> Expected:
    diverged(p)
    todo(p, "pick 1", "drop 2", "pick 3")
    return DIVERGED


def rebase_squash(p: Place) -> Expected:
    diverged(p)
    todo(p, "pick 1", "squash 2", "pick 3", by="two")
    return {"a": {"one": 0.5, "two": 0.5}, "c": "one", "d": "two"}


def rebase_fixup(p: Place) -> Expected:
    diverged(p)
    todo(p, "pick 1", "pick 2", "fixup 3")
    return {"a": "one", "b": {"one": 0.5, "two": 0.5}, "d": "two"}


def rebase_unseen_fixup(p: Place) -> Expected:
    diverged(p)
    p.git("config", "core.hooksPath", "/dev/null")
    todo(p, "pick 1", "fixup 2", "pick 3")
    p.git("config", "--unset", "core.hooksPath")
    return {"a": {"one": 0.5, "two": 0.5}, "c": "one", "d": "two"}


def rebase_reword(p: Place) -> Expected:
    diverged(p)
    oids = p.repo.git("rev-list", "--reverse", "base..topic").split()
    path = p.repo.path.parent / "reword"
    path.write_text(f"reword {oids[0]}\npick {oids[1]}\npick {oids[2]}\n")
    p.git("rebase", "--quiet", "-i", "base", by="two", GIT_SEQUENCE_EDITOR=f"cp {path}", GIT_EDITOR="echo reworded >")
    return {"reworded": "one", "b": "two", "c": "one", "d": "two"}


def rebase_edit(p: Place) -> Expected:
    diverged(p)
    todo(p, "edit 1", "pick 2", "pick 3", by="one")
    p.write("a.txt", "a", "a again", "more", "and more")
    p.git("commit", "--quiet", "--amend", "--no-edit", by="one")
    p.git("rebase", "--continue", by="one")
    return DIVERGED


def rebase_split(p: Place) -> Expected:
    diverged(p)
    todo(p, "pick 1", "edit 2", "pick 3", by="one")
    p.git("reset", "--quiet", "HEAD~", by="one")
    p.write("b.txt", "b")
    p.git("commit", "--quiet", "-m", "b, first half", by="one")
    p.write("b.txt", "b", "b again")
    p.git("commit", "--quiet", "-m", "b, second half", by="one")
    p.git("rebase", "--continue", by="one")
    return {"a": "one", "b, first half": "two", "b, second half": "two", "c": "one", "d": "two"}


def rebase_exec(p: Place) -> Expected:
    diverged(p)
    p.git("rebase", "--quiet", "--exec", "true", "base", by="two")
    return DIVERGED


def rebase_autosquash(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("b", by="two")
    p.write("a2.txt", "a2", "a2 again")
    p.git("commit", "--quiet", "--fixup", "HEAD~", by="two")
    p.git("rebase", "--quiet", "-i", "--autosquash", "base", GIT_SEQUENCE_EDITOR="true", GIT_EDITOR="true")
    return {"a": {"one": 0.5, "two": 0.5}, "b": "two"}


def rebase_autostash(p: Place) -> Expected:
    diverged(p)
    p.repo.write("a.txt", "dirty\n")
    p.git("rebase", "--quiet", "--autostash", "base")
    return DIVERGED


def rebase_root(p: Place) -> Expected:
    p.git("switch", "--quiet", "--orphan", "alone")
    p.commit("a", by="one")
    p.commit("b", by="two")
    p.git("rebase", "--quiet", "--root", "--force-rebase", by="two")
    return {"a": "one", "b": "two"}


def conflicting(p: Place) -> None:
    """A commit on a topic that conflicts with the base, and one behind it that does not."""
    p.branch("topic")
    p.commit("a", "theirs", by="one", file="same.txt")
    p.commit("b", by="one")
    p.switch("base")
    p.commit("c", "ours", by="two", file="same.txt")
    p.switch("topic")


def rebase_conflict(p: Place) -> Expected:
    conflicting(p)
    p.git("rebase", "base", by="two", fails=True)
    p.write("same.txt", "both")
    p.git("rebase", "--continue", by="two", GIT_EDITOR="true")
    return {"a": "one", "b": "one", "c": "two"}


def rebase_unseen_conflict(p: Place) -> Expected:
    conflicting(p)
    p.git("-c", "core.hooksPath=/dev/null", "rebase", "base", by="two", fails=True)
    p.write("same.txt", "both")
    p.git("-c", "core.hooksPath=/dev/null", "rebase", "--continue", by="two", GIT_EDITOR="true")
    return {"a": "one", "b": "one", "c": "two"}


def rebase_skip(p: Place) -> Expected:
    conflicting(p)
    p.git("rebase", "base", by="two", fails=True)
    p.git("rebase", "--skip", by="two")
    return {"a": "one", "b": "one", "c": "two"}


def rebase_abort(p: Place) -> Expected:
    p.branch("topic")
    p.commit("z", by="one")
    p.commit("a", "theirs", by="one", file="same.txt")
    p.switch("base")
    p.commit("c", "ours", by="two", file="same.txt")
    p.switch("topic")
    p.git("rebase", "base", by="two", fails=True)
    p.git("rebase", "--abort", by="two")
    return {"z": "one", "a": "one", "c": "two"}


def rebase_merges(p: Place) -> Expected:
    p.branch("side")
    p.commit("a", by="one")
    p.branch("topic", "base")
    p.commit("b", by="two")
    p.git("merge", "--quiet", "--no-ff", "-m", "merged", "side", by="two")
    p.switch("base")
    p.commit("c", by="two")
    p.switch("topic")
    p.git("rebase", "--quiet", "--rebase-merges", "base", by="one")
    p.git("branch", "-D", "side")
    return {"a": "one", "b": "two", "merged": "two", "c": "two"}


def rebase_of_what_is_there(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.commit("b", by="one")
    p.switch("base")
    p.commit("c", by="two")
    p.git("cherry-pick", "topic~", by="two")
    p.switch("topic")
    p.git("rebase", "--quiet", "base", by="two")
    return {"a": "one", "b": "one", "c": "two"}


def mail(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    patch = p.git("format-patch", "-1", "--stdout") + "\n"
    p.switch("base")
    p.commit("b", by="two")
    p.git("am", "--quiet", by="two", stdin=patch)
    p.git("branch", "-D", "topic")
    return {"a": "one", "b": "two"}


def mail_from_elsewhere(p: Place) -> Expected:
    p.git("am", "--quiet", "--3way", by="two", stdin=MAIL)
    return {"posted": "two"}


def pull_rebase(p: Place) -> Expected:
    remote = p.repo.path.parent / f"remote-{p.repo.path.name}"
    run("git", "clone", "--quiet", "--bare", p.repo.path, remote, cwd=remote.parent)
    elsewhere(remote, "theirs")
    p.git("remote", "add", "origin", str(remote))
    p.commit("a", by="one")
    p.commit("b", by="two")
    p.git("pull", "--quiet", "--rebase", "origin", "base", by="two")
    return {"a": "one", "b": "two"}


def stash_pop(p: Place) -> Expected:
    p.write("x.txt", "x")
    p.git("stash", "--quiet", by="one")
    p.git("stash", "pop", "--quiet", by="one")
    p.git("commit", "--quiet", "-m", "a", by="one")
    return {"a": "one"}


def stash_apply(p: Place) -> Expected:
    p.write("x.txt", "x")
    p.git("stash", "--quiet")
    p.commit("a", by="one")
    p.git("stash", "apply", "--quiet", "--index", by="two")
    p.git("commit", "--quiet", "-m", "b", by="two")
    return {"a": "one", "b": "two"}


def stash_branch(p: Place) -> Expected:
    p.write("x.txt", "x")
    p.git("stash", "--quiet")
    p.git("stash", "branch", "stashed", by="two")
    p.git("commit", "--quiet", "-m", "b", by="two")
    return {"b": "two"}


def reset_soft(p: Place) -> Expected:
    p.commit("a", *"123456", by="one")
    p.commit("b", *"12", by="two")
    p.git("reset", "--quiet", "--soft", "HEAD~2", by="two")
    p.git("commit", "--quiet", "-m", "both", by="two")
    return {"both": {"one": 0.75, "two": 0.25}}


def reset_soft_of_one(p: Place) -> Expected:
    p.commit("a", "1", by="one")
    p.git("reset", "--quiet", "--soft", "HEAD~", by="two")
    p.git("commit", "--quiet", "-m", "b", by="two")
    return {"b": "one"}


def reset_and_split(p: Place) -> Expected:
    p.write("x.txt", *"1234")
    p.write("y.txt", *"1234")
    p.git("commit", "--quiet", "-m", "both", by="one")
    p.git("reset", "--quiet", "HEAD~", by="two")
    p.write("x.txt", *"1234")
    p.git("commit", "--quiet", "-m", "x", by="two")
    p.write("y.txt", *"1234")
    p.git("commit", "--quiet", "-m", "y", by="two")
    return {"x": "one", "y": "one"}


def reset_hard_and_go_on(p: Place) -> Expected:
    p.commit("a", by="one")
    p.git("reset", "--quiet", "--hard", "HEAD~", by="two")
    p.commit("b", by="two")
    return {"a": "one", "b": "two"}


def commit_tree(p: Place) -> Expected:
    p.write("x.txt", "x")
    oid = p.git("commit-tree", "-p", "HEAD", "-m", "a", p.git("write-tree"))
    p.git("update-ref", "HEAD", oid)
    return {"a": "unclaimed"}


def commit_tree_elsewhere(p: Place) -> Expected:
    p.write("x.txt", "x")
    first = p.git("commit-tree", "-p", "HEAD", "-m", "a", p.git("write-tree"))
    p.git("update-ref", "refs/heads/scripted", first)
    p.write("x.txt", "y")
    second = p.git("commit-tree", "-p", first, "-m", "b", p.git("write-tree"))
    p.git("update-ref", "-m", "by a script", "refs/heads/scripted", second)
    return {"a": "unclaimed", "b": "unclaimed"}


def branch_recreated(p: Place) -> Expected:
    p.branch("topic")
    p.commit("a", by="one")
    p.switch("base")
    p.git("merge", "--quiet", "topic")
    p.git("branch", "-D", "topic")
    p.branch("topic")
    p.commit("b", by="two")
    return {"a": "one", "b": "two"}


def detached(p: Place) -> Expected:
    p.git("switch", "--quiet", "--detach")
    p.commit("a", by="one")
    p.git("commit", "--quiet", "--amend", "-m", "b", by="two")
    p.branch("kept")
    return {"b": "one"}


def other_worktree(p: Place) -> GitRepo:
    """Another worktree, on a branch of its own, in which agent one has made a commit that is in none of our reflogs."""
    path = p.repo.path.parent / "gone"
    p.git("worktree", "add", "--quiet", "-b", "gone", str(path))
    repo = GitRepo(path)
    repo.commit("a", env=p.env("one"))
    repo.commit("b", env=p.env("two"))
    return repo


def worktree_removed(p: Place) -> Expected:
    other_worktree(p)
    p.git("worktree", "remove", "--force", str(p.repo.path.parent / "gone"))
    p.git("branch", "-D", "gone")
    return {"a": "one", "b": "two"}


def worktree_merged_and_removed(p: Place) -> Expected:
    other_worktree(p)
    p.commit("between", by="two")
    p.git("merge", "--quiet", "--squash", "gone")
    p.git("commit", "--quiet", "-m", "squashed")
    p.git("worktree", "remove", "--force", str(p.repo.path.parent / "gone"))
    p.git("branch", "-D", "gone")
    return {"between": "two", "squashed": {"one": 0.5, "two": 0.5}}


def worktree_unseen_and_removed(p: Place) -> Expected:
    path = p.repo.path.parent / "gone"
    p.git("worktree", "add", "--quiet", "-b", "gone", str(path))
    repo = GitRepo(path)
    repo.write("a.txt", "a\n")
    repo.git("add", "--all")
    repo.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "a", env=p.env("one"))
    p.git("worktree", "remove", "--force", str(path))
    return {"a": "one" if git_version() >= (2, 54) else "unclaimed"}


def collected(p: Place) -> Expected:
    p.commit("a", by="one")
    p.git("commit", "--quiet", "--amend", "-m", "b", by="two")
    p.commit("c", by="two")
    p.git("rebase", "--quiet", "--force-rebase", "HEAD~2", by="two")
    p.git("reflog", "expire", "--expire=now", "--all")
    p.git("gc", "--quiet", "--prune=now")
    return {"b": "one", "c": "two"}


WAYS: tuple[Callable[[Place], Expected], ...] = (
    plain,
    all_tracked,
    by_patch,
    by_path,
    by_editor,
    no_verify,
    allow_empty,
    amend_message,
    amend_changes,
    amend_unseen,
    orphan,
    turned_away,
    marked,
    merge_ff,
    merge_no_ff,
    merge_ff_of_a_merge,
    merge_conflict,
    merge_squash,
    merge_squash_of_one,
    merge_squash_by_a_person,
    merge_squash_edited,
    merge_squash_conflict,
    cherry_pick,
    cherry_pick_and_delete,
    cherry_pick_of_a_person,
    cherry_pick_of_what_is_older,
    cherry_pick_several,
    cherry_pick_conflict,
    cherry_pick_skip,
    cherry_pick_abort,
    cherry_pick_no_commit,
    cherry_pick_no_commit_several,
    revert,
    rebase,
    rebase_from_elsewhere,
    rebase_apply,
    rebase_unseen,
    rebase_unseen_from_elsewhere,
    rebase_onto,
    rebase_reorder,
    rebase_drop,
    rebase_squash,
    rebase_fixup,
    rebase_unseen_fixup,
    rebase_reword,
    rebase_edit,
    rebase_split,
    rebase_exec,
    rebase_autosquash,
    rebase_autostash,
    rebase_root,
    rebase_conflict,
    rebase_unseen_conflict,
    rebase_skip,
    rebase_abort,
    rebase_merges,
    rebase_of_what_is_there,
    mail,
    mail_from_elsewhere,
    pull_rebase,
    stash_pop,
    stash_apply,
    stash_branch,
    reset_soft,
    reset_soft_of_one,
    reset_and_split,
    reset_hard_and_go_on,
    commit_tree,
    commit_tree_elsewhere,
    branch_recreated,
    detached,
    worktree_removed,
    worktree_merged_and_removed,
    worktree_unseen_and_removed,
    collected,
)
LEFT_BEHIND = {"rebase_drop", "rebase_onto", "rebase_skip", "reset_hard_and_go_on", "worktree_removed"}
"""Ways by which work is thrown away: it counts for another month."""

MAIL = """From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: Somebody Else <else@example.org>
Date: Mon, 1 Jan 2024 00:00:00 +0000
Subject: [PATCH] posted

---
 posted.txt | 1 +
 1 file changed, 1 insertion(+)
 create mode 100644 posted.txt

diff --git a/posted.txt b/posted.txt
new file mode 100644
index 0000000..31ae8a7
--- /dev/null
+++ b/posted.txt
@@ -0,0 +1 @@
+posted
--
2.39.5
"""


def elsewhere(remote: Path, subject: str) -> None:
    """Make a commit on the remote's base branch, by somebody else, in a clone without hooks."""
    path = remote.parent / f"elsewhere-{subject}"
    run("git", "clone", "--quiet", "--branch", "base", remote, path, cwd=remote.parent)
    other = GitRepo(path)
    other.commit(subject)
    other.git("push", "--quiet", "origin", "base")


def make_place(tmp_path: Path, variant: str) -> Place:
    """Make a repository with hooks and agents, and the worktree that the variant names, on the branch `base`."""
    kind, _, how = variant.partition("-")
    options = {"sha256": ("--object-format=sha256",), "reftable": ("--ref-format=reftable",)}.get(kind, ())
    repo = GitRepo.init(tmp_path / "repo", *options)
    repo.write("base.txt", "base\n")
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "-m", "first")
    repo.write("older.txt", "older\n")
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "-m", "older")
    repo.git("tag", "older")
    repo.git("reset", "--quiet", "--hard", "HEAD~")
    install(find_repository(str(repo.path), {}), context())
    place = Place(repo, flushing=how == "flushing")
    for name in ("one", "two"):
        place.ids[name] = register(context(), name, model="m", scope="all", client="").agent.id
    if kind == "linked":
        repo.git("worktree", "add", "--quiet", "-b", "base", str(tmp_path / "linked"))
        place.repo = GitRepo(tmp_path / "linked")
    else:
        repo.git("switch", "--quiet", "--create", "base")
    if kind == "packed":
        repo.git("pack-refs", "--all")
    return place


def git_version() -> tuple[int, ...]:
    """Return the version of the git that the tests run."""
    words = run("git", "--version", cwd=Path.cwd()).out.split()
    return tuple(int(part) for part in words[2].split(".")[:2])


VARIANTS = ["main", "main-flushing", "linked", "linked-flushing", "packed", "sha256"]
if shutil.which("git") and git_version() >= (2, 45):
    VARIANTS.append("reftable")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_counts_each_piece_of_work_once(
    way: Callable[[Place], Expected], variant: str, tmp_path: Path
) -> None:
    """Whatever git command made a commit, its work counts once, in the last oid, for the right agent."""
    place = make_place(tmp_path, variant)
    expected = way(place)
    place.flush()
    assert place.credited() == expected
    if way.__name__ not in LEFT_BEHIND:
        assert {commit.oid.hex() for commit in place.counted()} <= place.reachable()
    before = place.counted()
    place.flush()
    assert place.counted() == before
