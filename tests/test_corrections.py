"""Putting a commit's credit right: whose commit, how long a reason, and where it is seen afterwards."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from agent_tracker.context import Context, open_store
from agent_tracker.lines import MAX_FIELD
from agent_tracker.paths import user_paths
from agent_tracker.rendering.text import log_json, log_legend, log_table
from agent_tracker.stored_facts import find_correction
from agent_tracker.views.log import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitrepo import GitRepo

ONE = {"AGENT_TRACKER_AGENT": "one"}


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with hooks and an agent's commit."""
    repo.ok("install-hooks")
    repo.register("one")
    repo.commit("feat: a", env=ONE)
    return repo


def test_a_corrected_credit_is_marked(work: GitRepo) -> None:
    """The log marks it, and its JSON says when and why."""
    work.commit("fix: b")
    done = json.loads(work.ok("credit", "HEAD~1", "human", "--why", "mine\x1b", "--json"))["credit"]
    assert (done["agent_id"], done["claim"], done["corrected"]["why"]) == (None, "human", "mine\x1b")
    store, _ = open_store(Context(user_paths(os.environ), dict(os.environ), time.time_ns()))
    with store.snapshot() as snapshot:
        assert snapshot is not None
        entries = log(snapshot, snapshot.commits(), limit=None, correction=lambda oid: find_correction(snapshot, oid))
    newest, oldest = log_json(entries)
    assert (newest["corrected"], oldest["corrected"]) == (None, done["corrected"])
    table = str(log_table(entries, with_project=False, with_why=False))
    assert table.count("human*") == 1
    assert len(log_legend(entries)) == 1
    assert log_legend(entries[:1]) == []


def test_a_reason_has_a_limit(work: GitRepo) -> None:
    """One that a line of the spool cannot hold is refused before anything is written."""
    work.ok("credit", "HEAD", "human", "--why", "x" * MAX_FIELD)
    done = work.tracker("credit", "HEAD", "one", "--why", "x" * (MAX_FIELD + 1))
    assert (done.code, "may have 4,096" in done.err) == (2, True), done
    assert list(work.credited().values()) == ["human"]


def test_another_projects_commit_is_refused(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """A commit that was recorded elsewhere is put right there, and no activity here belongs to it."""
    work.ok("flush")
    other = make_repo("other")
    other.ok("install-hooks")
    other.commit("fix: x", env=ONE)
    other.git("fetch", "--quiet", work.path, "main")
    for words in (
        ("credit", "FETCH_HEAD", "human"),
        ("activity", "add", "--agent", "one", "--task", "t", "--commit", "FETCH_HEAD"),
    ):
        done = other.tracker(*words)
        assert (done.code, "belongs to the project in" in done.err) == (1, True), done
    assert set(work.credited().values()) != {"human"}
