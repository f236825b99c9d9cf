"""A halted agent: who lets it commit again, what is said of it, and what it did in spite of it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.context import Context
from agent_tracker.paths import user_paths
from agent_tracker.records import MICRO
from agent_tracker.rendering.agents import sheet_lines
from agent_tracker.repository import find_repository
from agent_tracker.rules import DEFAULT_RULES as RULES
from agent_tracker.verbs.agents import set_state
from agent_tracker.verbs.bugs import report
from agent_tracker.views.sheet import new_agent
from agent_tracker.views.sheet import sheet as make_sheet

if TYPE_CHECKING:
    from gitrepo import Done, GitRepo

ONE = {"AGENT_TRACKER_AGENT": "one"}
HOUR_NS = 3600 * 10**9


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with hooks and an agent's commit."""
    repo.ok("install-hooks")
    repo.register("one")
    repo.commit("feat: a", env=ONE)
    return repo


@pytest.fixture
def halted(work: GitRepo) -> GitRepo:
    """One in which the agent was halted."""
    work.ok("bug", "HEAD")
    return work


def sheet(repo: GitRepo) -> dict[str, Any]:
    """Return the agent as `agents show --json` has it."""
    found: dict[str, Any] = repo.json("agents", "show", "one")["agent"]
    return found


def refused(done: Done, *words: str) -> None:
    """Assert that a command ended with one line of error and a hint, which hold some words."""
    error, hint = done.err.splitlines()[-2:]
    assert (done.code, error[:7], hint[:6]) == (1, "error: ", "hint: "), done
    for word in words:
        assert word in done.err, done


def test_only_a_person_lets_an_agent_commit_again(halted: GitRepo) -> None:
    """Resuming, retiring and putting a credit right are refused in an agent's shell, with a person's way."""
    for words in (("agents", "resume", "one"), ("agents", "retire", "one"), ("credit", "HEAD", "one")):
        refused(halted.tracker(*words, env=ONE), "a person's", f"AGENT_TRACKER_AGENT=human agent-tracker {words[0]}")
    assert sheet(halted)["halted"]
    assert "It has 1 SP again." in halted.ok("agents", "resume", "one", env={"AGENT_TRACKER_AGENT": "human"})
    assert not sheet(halted)["halted"]


def test_resuming_counts_though_the_bug_is_of_the_future(work: GitRepo) -> None:
    """A clock that went backwards since the report does not put the return before the bug."""
    context = Context(user_paths(os.environ), dict(os.environ), time.time_ns())
    later = context._replace(now_ns=context.now_ns + HOUR_NS)
    assert report(find_repository(str(work.path), {}), later, "HEAD").points_after == 0
    assert set_state(context, "one", active=True).was_halted
    assert not sheet(work)["halted"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("credit", "HEAD", "one"), 0),
        (("credit", "HEAD", "nobody"), 1),
        (("retro", "add", "--task", "t"), 0),
        (("session", "start", "--agent", "one", "--process", "0"), 0),
        (("grade", "HEAD", "good"), 0),
        (("forget", "0123456789ab", "--yes"), 2),
        (("activity", "add", "--agent", "one", "--commit", "HEAD", "--task", "t"), 0),
        (("status",), 0),
        (("flush",), 0),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_new_level_is_said_once_whatever_brought_it_in(repo: GitRepo, words: tuple[str, ...], code: int) -> None:
    """Each flush that a command runs says on stderr what became of agents, also where the command fails then."""
    repo.ok("install-hooks")
    repo.register("one")
    for number in range(9):
        repo.commit(f"feat{number}: a", env=ONE)
    repo.ok("flush")
    need = sheet(repo)["next_level_at"] - sheet(repo)["experience_points"]
    for number in range(int(need)):
        repo.git("commit", "--quiet", "--allow-empty", "-m", f"more {number}", env=ONE)
    done = repo.tracker(*words)
    assert (done.code, done.err.count("SP now")) == (code, 1), done
    assert "SP now" not in repo.tracker("log").err


def test_a_halted_agent_is_not_used_and_says_so(halted: GitRepo) -> None:
    """`use` refuses it like a retired one, and `whoami` says what would come of a commit."""
    refused(halted.tracker("use", "one"), "is halted", "agents resume one-")
    assert "halted: its commits are refused" in halted.ok("whoami", env=ONE)
    assert halted.tracker("whoami", "--json", env=ONE).out.count('"problem": "halted"') == 1
    halted.ok("agents", "retire", "one")
    shown = halted.ok("agents", "show", "one")
    assert "HALTED" in shown
    assert "RETIRED" in shown


def test_what_a_halted_agent_committed_is_said(halted: GitRepo) -> None:
    """Commits that went past pre-commit are named once by the flush that brings them in."""
    for number in range(2):
        halted.git("commit", "--quiet", "--no-verify", "--allow-empty", "-m", f"{number}", env=ONE)
    halted.git("commit", "--quiet", "--allow-empty", "-m", "mine")
    said = halted.tracker("flush").err
    assert said.count("agent-tracker: 2 commits by one-") == 1
    assert said.count("while it is halted") == 1
    assert "halted" not in halted.tracker("flush").err


def test_experience_over_the_mark_is_explained() -> None:
    """After a bug the experience may be over the next level's mark: the sheet says when the level comes."""
    agent = new_agent("one", RULES)
    for micro, is_over in ((310 * MICRO, True), (99 * MICRO, False)):
        standing = agent.standing._replace(skill_points=1, experience_micro=micro)
        shown = "\n".join(
            sheet_lines(make_sheet(agent._replace(standing=standing), RULES, done={}, places={}), is_plain=True)
        )
        assert ("XP, a level with the next XP" in shown) is is_over
