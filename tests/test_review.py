"""The user's review, at a real terminal and in a pipe."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.errors import UsageError
from agent_tracker.repository import find_repository
from agent_tracker.verbs.review import find_since
from agent_tracker.views import review as view
from facts import NOW, agent_fact, apply_all, by_agent, commit_fact, oid, project_fact, reading, store_at
from gitrepo import GitRepo, run
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gitrepo import Done

ONE, TWO = {"AGENT_TRACKER_AGENT": "one"}, {"AGENT_TRACKER_AGENT": "two"}
PROMPT = "[?] "
NOTE = "back): "


@pytest.fixture
def work(repo: GitRepo) -> Iterator[GitRepo]:
    """Three agents' commits and a person's; at the end, what is derived is what follows from the facts."""
    repo.ok("install-hooks")
    repo.register("one")
    repo.register("two")
    for number, (name, env) in enumerate([("a", ONE), ("b", TWO), ("mine", {}), ("c", ONE)]):
        at = {"GIT_COMMITTER_DATE": f"{NOW + 86400 * number} +0000"}
        repo.commit(f"{name}: work", env=env | at, text=f"{name}\n" * 3)
    yield repo
    assert repo.json("verify")["verify"]["clean"]


def waiting(repo: GitRepo, *options: str) -> list[dict[str, Any]]:
    """Return what `review --json` lists."""
    found: list[dict[str, Any]] = repo.json("review", *options)["review"]
    return found


def subjects(repo: GitRepo, *options: str) -> list[str]:
    """Return the first letters of the subjects that wait."""
    return [entry["task_description"].partition(":")[0] for entry in waiting(repo, *options)]


def given(repo: GitRepo) -> list[tuple[str, str, str | None]]:
    """Return the grades in force, the last one first: subject, grade, note."""
    found = repo.json("grades")["grades"]
    return [(g["task_description"][0], g["grade"], g["note"]) for g in found if g["in_force"]]


def grade(terminal: Terminal, key: str, note: str = "") -> str:
    """Press a grade's key and give a note, and return what is shown from the last question to the next."""
    shown = terminal.until(PROMPT)
    terminal.send(key)
    terminal.until(NOTE)
    terminal.send(f"{note}\n")
    return shown


# -- in a pipe


def test_a_pipe_gets_what_waits_as_json(work: GitRepo) -> None:
    """The newest first; neither a person's commits nor those that the user graded."""
    assert subjects(work) == ["c", "b", "a"]
    work.ok("grade", "HEAD", "good", "--by", "agent", "--note", "proud")
    work.ok("grade", "HEAD^{/b: work}", "bad")
    newest, oldest = waiting(work)
    assert (newest["task_description"], newest["agent_grade"], newest["agent_note"]) == ("c: work", "good", "proud")
    assert (oldest["commit_hash"], oldest["agent_grade"]) == (work.head("HEAD^{/a: work}"), None)
    assert work.ok("review").startswith("{")


def test_the_list_is_filtered(work: GitRepo) -> None:
    """By agent, by number, and by what is later than a time or a revision."""
    assert subjects(work, "--agent", "one") == ["c", "a"]
    assert subjects(work, "-n", "1") == ["c"]
    assert subjects(work, "--since", "HEAD^{/a: work}") == ["c", "b"]
    assert subjects(work, "--since", time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW + 86400 + 1))) == ["c"]
    assert subjects(work, "--since", "1d") == []
    done = work.tracker("review", "--since", "whenever")
    assert (done.code, "neither a time nor a revision" in done.err) == (2, True)
    assert work.tracker("review", "--agent", "three").code == 1


def test_what_became_of_a_commit_is_told(work: GitRepo) -> None:
    """Amended, and put together from several by a squash."""
    work.git("commit", "--quiet", "--amend", "-m", "c: again", env=ONE)
    assert waiting(work)[0]["amends"] == 1
    work.git("branch", "side", "HEAD~2")
    work.git("reset", "--quiet", "--soft", "HEAD~2")
    work.git("commit", "--quiet", "-m", "s: both", env=ONE)
    found = {entry["task_description"]: entry["squashed_from"] for entry in waiting(work)}
    assert found["b: work"] == 1
    work.ok("bug", "HEAD^{/b: work}")
    assert {e["task_description"]: e["bugs"] for e in waiting(work)}["b: work"] == 1


def test_the_list_says_where_a_commit_is_and_how_large(work: GitRepo) -> None:
    """Lines, files, branches, remote ones, as git counts them; null for a commit that this clone does not have."""
    work.write("more.txt", "1\n2\n")
    work.git("add", "more.txt")
    work.git("rm", "--quiet", "a.txt")
    work.git("commit", "--quiet", "-m", "d: work", env=ONE)
    work.git("branch", "side", "HEAD~1")
    remote = work.path.parent / "remote"
    work.git("init", "--quiet", "--bare", remote)
    work.git("remote", "add", "origin", remote)
    work.git("push", "--quiet", "origin", "HEAD^{/b: work}:refs/heads/old")
    names = ("files", "insertions", "deletions")
    found = {entry["task_description"]: entry for entry in waiting(work)}
    deleted = int(work.git("show", "--numstat", "--format=", "HEAD", "--", "a.txt").split()[1])
    assert [found["d: work"][name] for name in names] == [2, 2, deleted]
    assert [found["c: work"][name] for name in names] == [1, 3, 0]
    assert (found["d: work"]["branches"], found["d: work"]["pushed"]) == (["main"], [])
    assert (found["c: work"]["branches"], found["c: work"]["pushed"]) == (["main", "side"], [])
    assert (found["a: work"]["branches"], found["a: work"]["pushed"]) == (["main", "side"], ["origin/old"])
    gone = found["d: work"]["commit_hash"]
    work.git("reset", "--quiet", "--hard", "HEAD~1")
    (work.path / ".git" / "objects" / gone[:2] / gone[2:]).unlink()
    reading = json.loads(work.ok("review", "--no-flush", "--json"))["review"]
    lost = next(entry for entry in reading if entry["commit_hash"] == gone)
    assert ([lost[name] for name in names], lost["branches"]) == ([None, None, None], [])
    assert reading[1]["files"] == 1


# -- at a terminal


def test_a_key_grades_and_a_note_may_follow(work: GitRepo) -> None:
    """Each key gives its grade at once; skipped commits come again, and a line at the end says what was done."""
    with Terminal("review", cwd=work.path) as terminal:
        shown = grade(terminal, "g", "well d\u00f6ne")
        assert "1 of 3" in shown
        assert "c: work" in shown
        assert "c.txt | 3 +++" in shown
        assert "1 file changed, 3 insertions(+)" in shown
        assert "CS 60 -> 62" in grade(terminal, "1")
        terminal.until(PROMPT)
        terminal.send("s")
        assert terminal.until("skipped.\n").endswith("2 graded (1 bad, 1 good), 1 skipped.\n")
        assert terminal.code() == 0
    assert given(work) == [("b", "bad", None), ("c", "good", "well d\u00f6ne")]
    assert subjects(work) == ["a"]


def test_quitting_keeps_what_was_graded(work: GitRepo) -> None:
    """Left with q after one; the next time begins with the rest, and with nothing left it says so."""
    with Terminal("review", cwd=work.path) as terminal:
        grade(terminal, "e")
        terminal.until(PROMPT)
        terminal.send("q")
        assert "1 graded (1 excellence), 2 left: agent-tracker review goes on." in terminal.until("goes on.")
        assert terminal.code() == 0
    with Terminal("review", cwd=work.path) as terminal:
        assert "b: work" in grade(terminal, "4")
        grade(terminal, "2")
        terminal.until("2 graded (1 neutral, 1 excellence).")
    with Terminal("review", cwd=work.path) as terminal:
        terminal.until("Nothing waits for a grade of yours here.")
        assert terminal.code() == 0


@pytest.mark.parametrize(
    "keys",
    [
        "\x1b[A",
        "\x1b[B",
        "\x1bOB",
        "\x1b[1;5B",
        "\x1b[21~",
        "\x1b[[E",
        "\x1bb",
        "\x1b\x1b[B",
        "\x9b1B",
        "\u00e9",
        "G",
        "\n",
    ],
    ids=repr,
)
def test_no_other_key_grades(work: GitRepo, keys: str) -> None:
    """Arrows, function keys, keys with Alt, letters of another kind: none of their bytes is taken for a grade."""
    with Terminal("review", cwd=work.path) as terminal:
        terminal.until(PROMPT)
        if keys == "\x9b1B":
            os.write(terminal.master, b"\x9b1B")
        else:
            terminal.send(keys)
        terminal.send("q")
        assert NOTE not in terminal.until("0 graded, 3 left")
    assert given(work) == []


def test_undo_goes_back_to_the_last_one_graded(work: GitRepo) -> None:
    """It is shown with its grade, another grade takes its place, and the review goes on where it was."""
    with Terminal("review", cwd=work.path) as terminal:
        terminal.until(PROMPT)
        terminal.send("u")
        terminal.until("nothing to go back to")
        grade(terminal, "b", "hasty")
        terminal.until(PROMPT)
        terminal.send("s")
        terminal.until(PROMPT)
        terminal.send("u")
        shown = grade(terminal, "g")
        assert "1 of 3" in shown
        assert "your grade so far: bad: hasty" in shown
        assert "3 of 3" in terminal.until(PROMPT)
        terminal.send("q")
        terminal.until("1 graded (1 good), 1 skipped, 1 left")
    assert given(work) == [("c", "good", None)]
    assert len(work.json("grades")["grades"]) == 2


def test_ctrl_d_at_the_note_takes_the_grade_back(work: GitRepo) -> None:
    """Nothing is written, and the same commit is asked about again."""
    with Terminal("review", cwd=work.path) as terminal:
        terminal.until(PROMPT)
        terminal.send("b")
        terminal.until(NOTE)
        terminal.send("\x04")
        terminal.until("not graded")
        terminal.until(PROMPT)
        terminal.send("q")
        terminal.until("0 graded, 3 left")
    assert given(work) == []


@pytest.mark.parametrize("at_note", [False, True], ids=["at a key", "at a note"])
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_the_terminal_is_as_it_was_however_it_ends(work: GitRepo, how: str, *, at_note: bool) -> None:
    """Interrupted or told to stop: the settings are given back, and what was graded is kept."""
    with Terminal("review", cwd=work.path) as terminal:
        grade(terminal, "g")
        terminal.until(PROMPT)
        if at_note:
            terminal.send("b")
            terminal.until(NOTE)
        if how == "Ctrl-C":
            terminal.send("\x03")
            terminal.until("1 graded (1 good), 2 left")
        else:
            terminal.process.send_signal(getattr(signal, how))
        assert terminal.code() == (130 if how == "Ctrl-C" else 128 + getattr(signal, how))
        assert terminal.settings() == terminal.before
    assert given(work) == [("c", "good", None)]


def test_the_whole_diff_is_shown_by_gits_pager(work: GitRepo) -> None:
    """The pager that git is told of gets the patch, and the same question comes again."""
    work.git("config", "core.pager", "sed s/^/PAGED:/")
    work.git("config", "color.ui", "never")
    with Terminal("review", cwd=work.path) as terminal:
        terminal.until(PROMPT)
        terminal.send("o")
        assert "PAGED:+c" in terminal.until(PROMPT)
        terminal.send("?")
        assert "4  excellence" in terminal.until(PROMPT)
        terminal.send("q")
        assert terminal.code() == 0


def test_a_card_says_what_became_of_the_commit(work: GitRepo, tmp_path: Path) -> None:
    """Renamed and binary files, who reverted it, where it is, what the agent thinks of it."""
    work.git("mv", "a.txt", "moved.txt")
    (work.path / "x.bin").write_bytes(b"\0\1\2")
    work.git("add", "--all")
    work.git("commit", "--quiet", "-m", "d: move", env=ONE)
    work.ok("grade", "HEAD", "exc", "--by", "agent", "--note", "neat")
    work.git("commit", "--quiet", "--amend", "-m", "d: moved", env=ONE)
    run("git", "init", "--quiet", "--bare", tmp_path / "remote.git", cwd=tmp_path)
    work.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    work.git("push", "--quiet", "origin", "main")
    work.git("revert", "--no-edit", "HEAD")
    with Terminal("review", cwd=work.path) as terminal:
        shown = terminal.until(PROMPT)
        terminal.send("q")
        terminal.until("4 left")
    assert "d: moved" in shown
    assert "amended; on main; pushed: origin/main" in shown
    assert f"REVERTED by {work.head()[:10]}" in shown
    assert "its own grade: excellence: neat" in shown
    assert "=> moved.txt" in shown
    assert "Bin 0 -> 3 bytes" in shown


def test_what_a_commit_says_cannot_drive_the_terminal(work: GitRepo) -> None:
    """Escapes in a subject or a file's name are shown as such, and no line is wider than the terminal."""
    work.write("od\x1b[31md\n.txt", "x\n")
    work.git("add", "--all")
    work.git("commit", "--quiet", "-m", "evil \x1b[2J\x1b]0;title\x07 " + "long " * 40, env=ONE)
    with Terminal("review", cwd=work.path, size=(60, 12)) as terminal:
        shown = terminal.until("b n g e | s u o q ? ")
        terminal.send("q")
        assert terminal.code() == 0
    assert "\x1b" not in shown
    assert "evil \\x1b[2J" in shown
    assert max(map(len, shown.splitlines())) < 60


def test_an_agents_shell_may_list_but_not_review(work: GitRepo) -> None:
    """At a terminal it is refused with a hint; the list is for everybody."""
    with Terminal("review", cwd=work.path, env=ONE) as terminal:
        terminal.until("AGENT_TRACKER_AGENT=human agent-tracker review")
        assert terminal.code() == 1
    done: Done = work.tracker("review", env=ONE)
    assert (done.code, "a: work" in done.out) == (0, True)


def test_a_commit_that_became_a_persons_meanwhile_is_not_graded(work: GitRepo) -> None:
    """What the verb refuses is said in one line, and the review goes on."""
    with Terminal("review", cwd=work.path) as terminal:
        terminal.until(PROMPT)
        work.ok("credit", "HEAD", "human")
        terminal.send("g")
        terminal.until(NOTE)
        terminal.send("\n")
        assert "a person's" in terminal.until(PROMPT)
        terminal.send("sq")
        terminal.until("0 graded, 1 skipped, 2 left")


# -- the view


def test_no_more_commits_are_looked_at_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time, the newest are looked at, and it is said that there are older ones; with one, all since then."""
    monkeypatch.setattr(view, "MAX_LOOKED", 3)
    store = store_at(tmp_path)
    commits = [commit_fact(f"c{index}", marks=by_agent("one"), at=NOW + index) for index in range(6)]
    apply_all(store, [project_fact(), agent_fact("one"), *commits])

    def found(since: int | None, limit: int | None = None) -> tuple[list[bytes], bool]:
        chosen = reading(
            store,
            lambda snapshot: view.ungraded(
                snapshot, lambda commit: commit == oid("c5"), projects=[1], since=since, agent="", limit=limit
            ),
        )
        return [commit.oid for commit in chosen.commits], chosen.is_cut

    assert found(None) == ([oid("c4"), oid("c3")], True)
    assert found(None, 1) == ([oid("c4")], True)
    assert found(NOW + 0) == ([oid("c4"), oid("c3"), oid("c2"), oid("c1")], False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3d", NOW - 3 * 86400),
        ("2 weeks ago", NOW - 14 * 86400),
        ("90 minutes", NOW - 5400),
        ("today", NOW - NOW % 86400 - 1),
        ("yesterday", NOW - NOW % 86400 - 86400 - 1),
        ("1970-01-02", 86399),
        ("1970-01-02T00:00Z", 86399),
        ("1970-01-02 00:01:02", 86461),
    ],
)
def test_a_time_is_read(repo: GitRepo, text: str, expected: int) -> None:
    """Dates, ages, and words for days."""
    assert find_since(text, find_repository(str(repo.path), {}), now=NOW) == expected


@pytest.mark.parametrize("text", ["", "d", "-3d", "soon", "2026-13-45", "--all"])
def test_what_is_no_time_is_said(repo: GitRepo, text: str) -> None:
    """Anything else is an error with examples."""
    with pytest.raises(UsageError, match="neither a time nor a revision") as caught:
        find_since(text, find_repository(str(repo.path), {}), now=NOW)
    assert "--since 3d" in caught.value.hint


def test_progress_survives_a_kill(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """Each grade is written when it is given: a kill right after it takes none away."""
    with Terminal("review", cwd=work.path) as terminal:
        grade(terminal, "g", "kept")
        terminal.until(PROMPT)
        terminal.process.kill()
        terminal.code()
    assert given(work) == [("c", "good", "kept")]
    assert make_repo("other").tracker("review").code == 0
