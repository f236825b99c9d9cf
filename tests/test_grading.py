"""Grades, from the command line to the score: what is accepted, who may give which, and what stays in the record."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.context import Context
from agent_tracker.journal import MAX_NOTE, ForgetFact, GradeFact
from agent_tracker.paths import user_paths
from agent_tracker.verbs.noting import note
from agent_tracker.views.grades import Judged
from agent_tracker.views.grades import grades as view
from facts import NOW, grade, oid
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gitrepo import Done, GitRepo


@pytest.fixture
def work(repo: GitRepo) -> Iterator[GitRepo]:
    """A repository with hooks and an agent's commit; at the end, what is derived is what follows from the facts."""
    repo.ok("install-hooks")
    repo.register("one")
    repo.commit("feat: a", env=ONE)
    yield repo
    assert repo.json("verify")["verify"]["clean"]


ONE, TWO = {"AGENT_TRACKER_AGENT": "one"}, {"AGENT_TRACKER_AGENT": "two"}


def score(repo: GitRepo, name: str = "one") -> int:
    """Return an agent's score."""
    return next(int(a["communication_score"]) for a in repo.json("agents")["agents"] if a["name"] == name)


def record(repo: GitRepo, *options: str) -> list[dict[str, Any]]:
    """Return what `grades --json` lists."""
    found: list[dict[str, Any]] = repo.json("grades", *options)["grades"]
    return found


def refused(done: Done, *words: str, code: int = 1) -> None:
    """Assert that a command ended with one line of error and a hint, which hold some words."""
    assert done.code == code, done
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("good",), 62),
        (("HEAD", "-1"), 59),
        (("-1",), 59),
        (("--", "-1"), 59),
        (("HEAD", "--", "-1"), 59),
        (("+1",), 61),
        (("HEAD", "5"), 65),
        (("HEAD~0", "EXC"), 65),
        (("b",), 59),
        (("n", "--note", "fine"), 61),
        (("--by", "agent", "g"), 62),
    ],
    ids=str,
)
def test_a_grade_moves_the_score(work: GitRepo, words: tuple[str, ...], expected: int) -> None:
    """Words, numbers with their sign and unambiguous beginnings are taken, for HEAD or any revision."""
    given = json.loads(work.ok("grade", "--json", *words))["grade"]
    assert (given["score_before"], given["score_after"]) == (60, expected)
    assert score(work) == expected


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("HEAD", "superb"), "bad (-1), neutral (+1), good (+2), excellence (+5)", 2),
        (("HEAD",), "bad (-1), neutral (+1), good (+2), excellence (+5)", 2),
        (("-7",), "unknown grade '-7'", 2),
        ((), "which grade", 2),
        (("HEAD", "good", "bad"), "3 words", 2),
        (("good", "--nots"), "no such option: --nots", 2),
        (("good", "-x"), "no such option: -x", 2),
        (("good", "--by", "somebody"), "unknown side 'somebody'", 2),
        (("nowhere", "good"), "no commit 'nowhere'", 1),
        (("good", "--note", "x" * (MAX_NOTE + 1)), "20,001 characters, and may have 20,000", 2),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_word_is_said_in_one_line(work: GitRepo, words: tuple[str, ...], message: str, code: int) -> None:
    """What is no grade, no side, no commit or too long a note gets an error, a hint, and changes nothing."""
    refused(work.tracker("grade", *words), message, code=code)
    assert record(work) == []


def test_a_later_grade_takes_the_place_of_the_earlier(work: GitRepo) -> None:
    """Only the last one from a side counts; the earlier stays in the record and says what holds instead."""
    first = work.json("grade", "bad", "--note", "hasty")["grade"]
    second = work.json("grade", "exc")["grade"]
    assert (second["replaced_grade"], second["score_before"], second["score_after"]) == ("bad", 59, 65)
    newest, oldest = record(work)
    assert (newest["id"], newest["in_force"], newest["replaced_by"]) == (second["id"], True, None)
    assert (oldest["id"], oldest["in_force"], oldest["replaced_by"]) == (first["id"], False, second["id"])
    assert oldest["note"] == "hasty"
    assert "bad (replaced)" in work.ok("grades")


def test_a_clock_that_went_backwards_does_not_revive_an_old_grade(work: GitRepo) -> None:
    """The grade that was given last holds, whatever the clock said when."""
    later = GradeFact(
        "0123456789ab", bytes.fromhex(work.head()), "", "user", "bad", "", (int(time.time()) + 9999) * 10**9
    )
    from agent_tracker.repository import find_repository  # noqa: PLC0415 -- for this test alone

    context = Context(user_paths(os.environ), dict(os.environ), time.time_ns())
    assert note(find_repository(str(work.path), {}), context, later).trouble == ""
    assert work.json("grade", "good")["grade"]["score_after"] == 62


def test_both_sides_grade_one_commit(work: GitRepo) -> None:
    """A commit moves the score by at most ten: five from each side."""
    work.ok("grade", "5")
    work.ok("grade", "5", env=ONE)
    assert score(work) == 70
    assert {(entry["by"], entry["grade"]) for entry in record(work)} == {
        ("user", "excellence"),
        ("agent", "excellence"),
    }


@pytest.mark.parametrize("side", ["user", "u", "USER"])
def test_an_agent_cannot_give_the_users_grade(work: GitRepo, side: str) -> None:
    """In an agent's shell the user's grade is refused, and the hint says how a person types there."""
    refused(work.tracker("grade", "5", "--by", side, env=ONE), "AGENT_TRACKER_AGENT=human")
    assert work.tracker("grade", "5", "--by", side, env={"AGENT_TRACKER_AGENT": "human"}).code == 0
    assert [entry["by"] for entry in record(work)] == ["user"]


def test_an_agent_grades_its_own_work_alone(work: GitRepo) -> None:
    """The agent's grade is for its maker to give; a person may enter it for any."""
    work.register("two")
    refused(work.tracker("grade", "5", env=TWO), "one-", "two-")
    work.ok("grade", "g", "--by", "agent")
    assert [(entry["by"], entry["grade"]) for entry in record(work)] == [("agent", "good")]


def test_a_grade_follows_an_amend(work: GitRepo) -> None:
    """A grade for a commit that was amended since is one for what it became, and one given before moves with it."""
    old = work.head()
    work.ok("grade", "good")
    work.git("commit", "--quiet", "--amend", "-m", "feat: b", env=ONE)
    new = work.head()
    assert f"{old[:10]} became {new[:10]}" in work.ok("grade", old, "bad")
    assert [(e["commit_hash"], e["grade"], e["in_force"]) for e in record(work)] == [
        (new, "bad", True),
        (new, "good", False),
    ]
    assert score(work) == 59


def test_only_an_agents_known_commit_of_this_project_is_graded(
    work: GitRepo, make_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    """A person's commit, one from before the hooks, and somebody else's project get an error that says so."""
    work.commit("docs: mine")
    refused(work.tracker("grade", "good"), "a person's", "agent-tracker credit")
    other = make_repo("other")
    refused(other.tracker("grade", "good"), "agent-tracker install-hooks")
    other.commit("older: before")
    other.ok("install-hooks")
    refused(other.tracker("grade", "good"), "before the hooks")
    other.git("fetch", "--quiet", str(work.path), "main")
    refused(other.tracker("grade", "FETCH_HEAD~1", "good"), "belongs to the project in", str(work.path))
    refused(run_outside(tmp_path), "not a git repository")


def run_outside(directory: Path) -> Done:
    """Grade where there is no repository."""
    from gitrepo import agent_tracker  # noqa: PLC0415 -- for this alone

    (directory / "nowhere").mkdir()
    return agent_tracker("grade", "good", cwd=directory / "nowhere")


def test_a_note_is_kept_as_it_is_and_escaped_where_it_is_shown(work: GitRepo) -> None:
    """Control characters come back in the JSON, and never reach a terminal; standing input is a way in too."""
    work.ok("grade", "good", "--note", "-", stdin="red \x1b[31m\ttwo\nlines\n")
    assert record(work)[0]["note"] == "red \x1b[31m\ttwo\nlines"
    shown = work.ok("grades")
    assert "\x1b" not in shown
    assert "\\x1b[31m\\ttwo\\nlines" in shown


def test_the_record_is_filtered(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """By agent, by project, and by number, the newest first."""
    work.register("two")
    work.ok("grade", "good")
    work.commit("fix: b", env=TWO)
    work.ok("grade", "bad")
    assert [entry["grade"] for entry in record(work)] == ["bad", "good"]
    assert [entry["grade"] for entry in record(work, "--agent", "one")] == ["good"]
    assert [entry["grade"] for entry in record(work, "-n", "1")] == ["bad"]
    refused(work.tracker("grades", "--agent", "three"), "unknown agent")
    other = make_repo("other")
    other.ok("install-hooks")
    assert record(other) == []
    assert len(record(other, "--all")) == 2


def test_a_forgotten_note_is_shown_as_such(work: GitRepo) -> None:
    """The grade stays when its text goes."""
    from agent_tracker.repository import find_repository  # noqa: PLC0415 -- for this test alone

    given = work.json("grade", "good", "--note", "secret")["grade"]
    context = Context(user_paths(os.environ), dict(os.environ), time.time_ns())
    note(find_repository(str(work.path), {}), context, ForgetFact(given["id"], time.time_ns()))
    (entry,) = record(work)
    assert (entry["note"], entry["forgotten"], entry["in_force"]) == (None, True, True)
    assert "(forgotten)" in work.ok("grades")


def test_a_grade_for_work_that_is_nobodys_any_more_counts_for_nobody(work: GitRepo) -> None:
    """Once the credit is a person's, the grade stays in the record and moves no score."""
    work.ok("grade", "bad")
    work.ok("credit", "HEAD", "human")
    assert score(work) == 60
    (entry,) = record(work)
    assert (entry["agent_id"], entry["in_force"], entry["replaced_by"]) == (None, False, None)
    assert "bad (void)" in work.ok("grades")


@pytest.mark.parametrize("columns", [80, 60])
def test_on_a_terminal_the_note_stands_below_the_whole_id(work: GitRepo, columns: int) -> None:
    """However long the note and wide its letters: ids are whole, and no line is wider than the terminal."""
    given = work.json("grade", "bad", "--note", "\u5b57" * 100)["grade"]
    with Terminal("grades", cwd=work.path, size=(columns, 24)) as terminal:
        shown = terminal.until("...")
        assert terminal.code() == 0
    heading, row, note = shown.splitlines()[-3:]
    assert heading.startswith("ID ")
    assert row.startswith(given["id"])
    assert note.strip().startswith("\u5b57\u5b57")
    assert len(note) + note.count("\u5b57") <= columns


def test_the_view_asks_about_no_more_grades_than_it_shows() -> None:
    """With a limit, the older grades are not looked up."""
    given = [grade(f"g{index}", f"c{index}", at=NOW + index) for index in range(10)]
    asked: list[str] = []

    def judged(fact: GradeFact) -> Judged:
        asked.append(fact.id)
        return Judged(fact.oid, "one", "here", "a subject", {"user": fact.id})

    found = view(given, judged, projects={"here"}, agent="one", forgotten=set(), limit=2)
    assert [entry.oid for entry in found] == [oid("c9"), oid("c8")]
    assert len(asked) <= 3
