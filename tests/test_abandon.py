"""Work that is thrown away: what counts as given up, when, and what becomes of its XP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_tracker.abandon import GIVEN_UP_AFTER_S
from agent_tracker.context import open_store
from agent_tracker.flush import flush
from agent_tracker.records import ABANDONED
from agent_tracker.repository import find_repository
from test_ways import Place, context, make_place

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 24 * 3600


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A repository with hooks and agents."""
    return make_place(tmp_path, "main")


def flush_after(place: Place, days: int) -> None:
    """Flush as if so many days had gone by."""
    now = context()
    flush(find_repository(str(place.repo.path), {}), now._replace(now_ns=now.now_ns + days * DAY_S * 10**9))


def earned(place: Place) -> tuple[int, int]:
    """Return agent one's commits and XP."""
    store, _ = open_store(context())
    with store.snapshot() as snapshot:
        assert snapshot is not None
        agent = snapshot.agent(place.ids["one"])
        assert agent is not None
        return agent.standing.total_commits, agent.standing.earned_micro // 10**6


def thrown_away(place: Place) -> None:
    """Work of agent one on a branch that is deleted, and some that stays."""
    place.commit("kept", by="one")
    place.branch("topic")
    place.commit("a", by="one")
    place.git("commit", "--quiet", "--amend", "-m", "b", by="one")
    place.flush()
    place.switch("base")
    place.git("branch", "-D", "topic")
    place.flush()


def test_work_counts_for_a_month_after_it_was_thrown_away(place: Place) -> None:
    """For thirty days it may come back; then it is abandoned, and gives back its XP."""
    thrown_away(place)
    flush_after(place, 29)
    assert place.credited() == {"kept": "one", "b": "one"}
    assert earned(place) == (2, 10)
    flush_after(place, 31)
    assert place.credited() == {"kept": "one"}
    assert earned(place) == (1, 5)
    store, _ = open_store(context())
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert [commit.subject for commit in snapshot.commits() if commit.status == ABANDONED] == ["b"]


def test_work_that_comes_back_counts_again(place: Place) -> None:
    """A branch that is made anew at the commit gives back what it had earned."""
    thrown_away(place)
    flush_after(place, 31)
    place.git("branch", "again", place.repo.git("reflog", "--format=%H", "--grep-reflog=amend").split()[0])
    flush_after(place, 33)
    assert place.credited() == {"kept": "one", "b": "one"}
    assert earned(place) == (2, 10)
    flush_after(place, 70)
    assert place.credited() == {"kept": "one", "b": "one"}


def test_work_that_came_back_in_time_was_never_lost(place: Place) -> None:
    """The thirty days begin anew when it is thrown away again."""
    thrown_away(place)
    oid = place.repo.git("reflog", "--format=%H", "--grep-reflog=amend").split()[0]
    place.git("branch", "again", oid)
    flush_after(place, 20)
    place.git("branch", "-D", "again")
    flush_after(place, 21)
    flush_after(place, 40)
    assert place.credited() == {"kept": "one", "b": "one"}
    flush_after(place, 52)
    assert place.credited() == {"kept": "one"}


@pytest.mark.parametrize("keeper", ["tag", "stash", "detached worktree"])
def test_whatever_leads_to_work_keeps_it(place: Place, keeper: str, tmp_path: Path) -> None:
    """A tag, a stash on top of it or another worktree's HEAD is enough."""
    place.branch("topic")
    place.commit("a", by="one")
    place.flush()
    if keeper == "tag":
        place.git("tag", "v1")
    elif keeper == "stash":
        place.write("x.txt", "x")
        place.git("stash", "--quiet")
    else:
        place.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "other"))
    place.switch("base")
    place.git("branch", "-D", "topic")
    place.flush()
    flush_after(place, 31)
    assert place.credited() == {"a": "one"}


def test_work_that_git_has_collected_is_lost(place: Place) -> None:
    """A commit whose object is gone is as lost as one that nothing leads to."""
    thrown_away(place)
    place.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    place.git("gc", "--quiet", "--prune=now")
    flush_after(place, 31)
    assert place.credited() == {"kept": "one"}


def test_a_lost_copy_gives_the_work_back_to_its_original(place: Place) -> None:
    """A cherry-pick on a branch that is thrown away leaves the commit that it was made of, at once."""
    place.commit("a", by="one")
    place.branch("release", "HEAD~")
    place.commit("b")
    place.git("cherry-pick", "base", by="two")
    place.flush()
    copy = next(commit for commit in place.counted() if commit.subject == "a")
    place.switch("base")
    place.git("branch", "-D", "release")
    place.flush()
    commit = next(commit for commit in place.counted() if commit.subject == "a")
    assert commit.oid.hex() == place.repo.head("base")
    assert commit.oid != copy.oid
    assert earned(place) == (1, 5)


def test_the_month_is_a_month() -> None:
    """Thirty days, as the README says."""
    assert GIVEN_UP_AFTER_S == 30 * DAY_S
