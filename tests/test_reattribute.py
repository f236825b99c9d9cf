"""Crediting anew by a newer table of marks: not unasked, no damage, and it is shown before."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker import marks
from agent_tracker.config import MAX_SIZE_BYTES
from agent_tracker.context import Context
from agent_tracker.errors import SchemaError
from agent_tracker.flush import flush
from agent_tracker.marks import MARKS_VERSION, SEVERAL_VERSIONS
from agent_tracker.paths import user_paths
from agent_tracker.records import HUMAN
from agent_tracker.repository import find_repository
from agent_tracker.store import Store
from agent_tracker.verbs.reattributing import reattribute
from agent_tracker.verbs.rules import rederive_all
from facts import problems

if TYPE_CHECKING:
    from pathlib import Path

    from agent_tracker.tables import Writer
    from gitrepo import GitRepo

OLDER, NEWER = MARKS_VERSION - 1, MARKS_VERSION + 1
TRAILER = "Co-authored-by: Claude <noreply@anthropic.com>"


def context() -> Context:
    """Return what a verb is given."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


def store_of(home: Path) -> Store:
    """Return the user's store."""
    return Store(str(home / ".config/opencode/agent-tracker.lmdb"), MAX_SIZE_BYTES)


def note_version(home: Path, version: int) -> None:
    """Let the store say under which version of the table it was derived."""
    store_of(home).write(lambda writer: writer.set_marks_version(version), timeout_s=5)


def version_of(home: Path) -> int:
    """Return what the store says of that."""
    with store_of(home).snapshot() as snapshot:
        assert snapshot is not None
        return snapshot.marks_version()


@pytest.fixture
def claude(repo: GitRepo) -> str:
    """An agent of Claude Code, in a repository with hooks."""
    repo.ok("install-hooks")
    return repo.register("claude", client="claude")


@pytest.fixture
def old(repo: GitRepo, claude: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    """A store that an older version filled, which did not know Claude's address: one commit has it, one a variable."""
    repo.commit("feat: by trailer", "-m", TRAILER)
    repo.commit("fix: by variable", env={"CLAUDECODE": "1"})
    with monkeypatch.context() as older:
        older.delitem(marks.ADDRESSES, "noreply@anthropic.com")
        flush(find_repository(str(repo.path), {}), context())
    note_version(home, OLDER)
    assert repo.credited() == {"feat: by trailer": HUMAN, "fix: by variable": claude}
    return repo


def planned(repo: GitRepo, *options: str) -> dict[str, Any]:
    """Return what the command says as JSON."""
    found: dict[str, Any] = json.loads(repo.ok("reattribute", "--json", *options))["reattribution"]
    return found


def test_another_table_of_marks_is_no_damage(old: GitRepo) -> None:
    """The check finds nothing wrong, and says what would bring the credits up to date."""
    found = old.json("verify")["verify"]
    assert (found["clean"], found["problems"], found["outdated"]) == (True, [], 1)
    assert (
        "1 commit credited under another table of marks, which is nothing wrong: agent-tracker reattribute"
        in old.ok("verify")
    )
    assert "as another table of marks had it: agent-tracker reattribute" in old.ok("log", "--why")


def test_what_would_change_is_shown_and_nothing_is(old: GitRepo, claude: str) -> None:
    """From whom, to whom, and why."""
    found = planned(old, "--dry-run")
    (change,) = found["changed"]
    assert change["before"] == [{"claim": "human", "agent_id": None, "share": 1.0}]
    assert change["after"] == [{"claim": "agent", "agent_id": claude, "share": 1.0}]
    assert (change["why"]["basis"], change["why"]["reason"]) == ("commit", f"commit mark: {TRAILER}")
    assert (found["dry_run"], found["unchanged"]) == (True, 1)
    assert (found["derived_under"], found["table_of_marks"]) == (OLDER, MARKS_VERSION)
    shown = old.ok("reattribute", "--dry-run")
    assert "1 commit would be credited otherwise, 1 as before." in shown
    assert all(word in shown for word in ("human", claude, "feat: by trailer", TRAILER))
    assert old.credited()["feat: by trailer"] == HUMAN


def test_credits_follow_the_newer_table_once_it_is_asked_for(old: GitRepo, claude: str, home: Path) -> None:
    """And with them everything else; a second time there is nothing to do."""
    assert len(planned(old, "--yes")["changed"]) == 1
    assert old.credited() == {"feat: by trailer": claude, "fix: by variable": claude}
    assert old.json("agents")["agents"][0]["total_commits"] == 2
    found = old.json("verify")["verify"]
    assert (found["clean"], found["outdated"], version_of(home)) == (True, 0, MARKS_VERSION)
    assert planned(old, "--yes")["changed"] == []
    assert "0 commits credited otherwise now, 2 as before." in old.ok("reattribute", "--yes")


def test_it_is_a_persons_word(old: GitRepo) -> None:
    """In a pipe they have to say so, and an agent may look alone."""
    done = old.tracker("reattribute")
    assert (done.code, "agent-tracker reattribute --yes, or --dry-run" in done.err) == (2, True)
    agents = {"CLAUDECODE": "1"}
    assert old.tracker("reattribute", "--yes", env=agents).code == 1
    assert old.tracker("reattribute", "--dry-run", env=agents).code == 0
    assert old.credited()["feat: by trailer"] == HUMAN


@pytest.mark.usefixtures("old")
def test_deriving_standings_anew_leaves_credits_as_they_are(repo: GitRepo, home: Path) -> None:
    """Other rules are another question."""
    rederive_all(context(), dry_run=False)
    assert repo.credited()["feat: by trailer"] == HUMAN
    assert (version_of(home), problems(store_of(home))) == (OLDER, ())


def test_what_comes_in_later_goes_by_the_newer_table(old: GitRepo, claude: str, home: Path) -> None:
    """New commits, and one that is made of an older one; the rest stays, and all that follows is right."""
    old.commit("docs: new", "-m", TRAILER)
    old.git("commit", "--quiet", "--amend", "-m", "docs: newer", "-m", TRAILER)
    old.git("reset", "--quiet", "--hard", "HEAD~2")
    old.git("commit", "--quiet", "--amend", "-m", "feat: amended", "-m", TRAILER)
    old.ok("credit", "HEAD", "human")
    old.register("other", client="codex")
    found = old.json("verify")["verify"]
    assert (found["problems"], version_of(home)) == ([], SEVERAL_VERSIONS)
    assert old.credited()["docs: newer"] == claude


@pytest.mark.damages
@pytest.mark.usefixtures("old")
def test_damage_under_another_table_is_found_all_the_same(home: Path) -> None:
    """A standing that does not follow from the credits, whoever they are; a commit's status."""

    def spoil(writer: Writer) -> None:
        agent, _ = next(iter(writer.numbered_agents().values()))
        writer.put_agent(agent._replace(standing=agent.standing._replace(total_commits=77)))
        commit = next(commit for commit in writer.commits() if commit.subject.startswith("fix"))
        writer.put_commit_state(commit.oid, "undone", ((writer.credit_number(HUMAN), 1_000_000),), None)

    store_of(home).write(spoil, timeout_s=5)
    found = "\n".join(problems(store_of(home)))
    assert "standing" in found
    assert "stored as undone" in found


def test_a_newer_programs_store_is_not_credited_by_an_older_one(old: GitRepo, home: Path) -> None:
    """It is said what to do; what an older one adds makes it a store of several versions."""
    old.ok("flush")
    note_version(home, NEWER)
    assert old.json("verify")["verify"]["clean"]
    with pytest.raises(SchemaError, match=f"table {NEWER} of marks, this program has {MARKS_VERSION}"):
        reattribute(None, context(), dry_run=True)
    old.commit("docs: new")
    old.ok("flush")
    assert (version_of(home), problems(store_of(home))) == (SEVERAL_VERSIONS, ())
    assert planned(old, "--yes")["derived_under"] is None


def test_without_a_store_there_is_nothing_to_credit(repo: GitRepo) -> None:
    """And none is made."""
    assert "0 commits" in repo.ok("reattribute", "--dry-run")
    assert "0 commits" in repo.ok("reattribute", "--yes")


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"9" * 99])
def test_a_version_that_is_none_is_another_one(old: GitRepo, home: Path, text: bytes) -> None:
    """Nothing is made of it but that the credits may be others."""
    store_of(home).write(lambda writer: writer.table("schema").put(b"marks", text), timeout_s=5)
    assert version_of(home) in {OLDER, SEVERAL_VERSIONS}
    assert planned(old, "--yes")["unchanged"] == 1
