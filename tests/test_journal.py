"""Retrospectives and activities: written down, listed, shown, and what a grade in one does."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.context import Context
from agent_tracker.derived import Ledger
from agent_tracker.errors import UsageError
from agent_tracker.journal import GRADES, MAX_NOTE, SessionFact
from agent_tracker.paths import user_paths
from agent_tracker.repository import find_repository
from agent_tracker.rules import Timeline
from agent_tracker.verbs.noting import note
from agent_tracker.views.journal import Scores, one_by_id
from agent_tracker.xp import Career, standing
from facts import NOW, rules_fact
from gitrepo import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitrepo import GitRepo

AGENTS_SHELL = {"CLAUDECODE": "1"}


@pytest.fixture
def coder(repo: GitRepo) -> Iterator[str]:
    """An agent that made the commit at HEAD; at the end the store is in order."""
    repo.ok("install-hooks")
    agent = repo.register("coder", client="claude")
    repo.commit("one", env={"AGENT_TRACKER_AGENT": agent})
    yield agent
    assert repo.json("verify")["verify"]["clean"]


def begin_session(repo: GitRepo, agent: str, name: str = "s-1") -> None:
    """Let a session begin."""
    fact = SessionFact(name, agent, "", "", str(repo.path), "", 0, "", 0, "", "", time.time_ns())
    context = Context(user_paths(os.environ), os.environ, time.time_ns())
    assert note(find_repository(str(repo.path), {}), context, fact).report


def retro(repo: GitRepo, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> Any:  # noqa: ANN401 -- JSON
    """Add a retrospective and return it."""
    return json.loads(repo.ok("retro", "add", *words, "--json", stdin=stdin, env=env))["retrospective"]


def score(repo: GitRepo, agent: str) -> int:
    """Return an agent's communication score."""
    return int(repo.json("agents", "show", agent)["agent"]["communication_score"])


# -- retrospectives


def test_a_retrospective_moves_the_score(repo: GitRepo, coder: str) -> None:
    """A grade given in it counts like any other, and the score is told before and after."""
    done = retro(repo, "--task", "do one", "--agent-grade", "good", "--user-grade", "exc", "--user-note", "fine")
    assert (done["commit_hash"], done["agent_id"]) == (repo.head(), coder)
    assert (done["agent_grade"], done["user_grade"]) == ("good", "excellence")
    assert (done["score_before"], done["score_after"]) == (60, 67)
    assert score(repo, coder) == 67
    assert repo.json("agents", "show", coder)["agent"]["experience_points"] == 6
    (listed,) = repo.json("retro", "list")["retrospectives"]
    assert (listed["id"], listed["task_description"], listed["user_note"]) == (done["id"], "do one", "fine")
    assert listed["project_path"] == str(repo.path)


def test_a_retrospective_without_grades_moves_nothing(repo: GitRepo, coder: str) -> None:
    """Its score before and after is what it was then."""
    done = retro(repo, "--task", "do one")
    assert (done["score_before"], done["score_after"], done["user_grade"]) == (60, 60, None)
    assert score(repo, coder) == 60


def test_a_later_retrospective_replaces_the_grades(repo: GitRepo, coder: str) -> None:
    """The last grade of a side is in force, also in the same moment; both retrospectives stay."""
    retro(repo, "--user-grade", "bad")
    done = retro(repo, "HEAD", "--user-grade", "good")
    assert (done["score_before"], done["score_after"]) == (60, 62)
    assert score(repo, coder) == 62
    assert len(repo.json("retro", "list")["retrospectives"]) == 2


def test_a_retrospective_follows_an_amend(repo: GitRepo, coder: str) -> None:
    """It is about the work, which lives in another commit now."""
    first = repo.head()
    retro(repo, "--user-grade", "good")
    repo.git("commit", "--amend", "-m", "another subject", env={"AGENT_TRACKER_AGENT": coder})
    (listed,) = repo.json("retro")["retrospectives"]
    assert (listed["commit_hash"], listed["original_commit_hash"]) == (repo.head(), first)
    assert f"became {repo.head()[:12]}" in repo.ok("retro", "show", listed["id"])
    done = retro(repo, first, "--user-grade", "bad")
    assert done["commit_hash"] == repo.head()
    assert score(repo, coder) == 59


def test_a_session_without_a_commit_has_a_retrospective(repo: GitRepo, coder: str) -> None:
    """It is keyed by its session, and moves the score of the session's agent."""
    begin_session(repo, coder)
    done = retro(repo, "--session", "s-1", "--agent-grade", "neutral")
    assert (done["session_id"], done["commit_hash"], done["score_after"]) == ("s-1", None, 61)
    assert score(repo, coder) == 61
    assert "session s-1" in repo.ok("retro", "show", done["id"][:6])


def test_the_session_of_the_environment_is_meant_where_head_is_no_agents(repo: GitRepo, coder: str) -> None:
    """HEAD comes first, if an agent made it."""
    begin_session(repo, coder)
    env = {"AGENT_TRACKER_SESSION": "s-1"}
    assert retro(repo, "--task", "t", env=env)["commit_hash"] == repo.head()
    repo.commit("by hand", env={"AGENT_TRACKER_AGENT": "human"})
    assert retro(repo, "--task", "t", env=env)["session_id"] == "s-1"
    done = repo.tracker("retro", "add", "--task", "t")
    assert (done.code, "a person's" in done.err) == (1, True)


def test_from_standard_input(repo: GitRepo, coder: str) -> None:
    """A JSON object, with either option, and a commit beside it."""
    text = json.dumps({"task": "é\n\u0000\x1b[2J", "user_grade": "+2"})
    by_dash = retro(repo, "-", stdin=text)
    by_option = retro(repo, "HEAD", "--json-input", stdin=text)
    assert by_dash["task_description"] == by_option["task_description"] == "é\n\u0000\x1b[2J"
    assert score(repo, coder) == 62
    shown = repo.ok("retro", "show", by_dash["id"])
    assert "\x1b" not in shown
    assert "\\x1b[2J" in shown


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (("-",), '{"task": "a",\n "tusk": "b"}', "unknown key tusk at line 2, column 2"),
        (("-",), "{", "line 1, column"),
        (("-",), "", "empty"),
        (("-", "--task", "x"), "{}", "--task and a JSON object"),
        (("-",), "{}", "nothing to note"),
        (("--user-grade", "splendid"), "", "unknown grade"),
        (("--user-note", "x" * (MAX_NOTE + 1)), "", "20,001 characters"),
        (("--task", " "), "", "nothing to note"),
        (("HEAD", "HEAD", "--task", "x"), "", "one commit, not 2"),
        (("HEAD", "--session", "s", "--task", "x"), "", "one of them"),
        (("--session", "nobody", "--task", "x"), "", "no session"),
        ((), "", "no terminal for an editor"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("coder")
def test_bad_input_gets_one_line_and_a_hint(repo: GitRepo, words: tuple[str, ...], stdin: str, message: str) -> None:
    """Exit code 2, but 1 for what is not known, and nothing is recorded."""
    done = repo.tracker("retro", "add", *words, stdin=stdin)
    assert (done.code, done.out, len(done.err.strip().split("\n"))) == (1 if message == "no session" else 2, "", 2), (
        done.err
    )
    assert message in done.err
    assert repo.json("retro", "list")["retrospectives"] == []


def test_what_is_piped_is_read_without_a_dash(repo: GitRepo, coder: str) -> None:
    """Standard input that is no terminal and holds something is the JSON object; an option leaves it alone."""
    assert retro(repo, "HEAD", stdin='{"task": "piped"}')["task_description"] == "piped"
    repo.ok("activity", "add", "--agent", coder, stdin='{"task": "piped", "outcome": "done"}')
    (noted,) = repo.json("activity", "list")["activities"]
    assert (noted["task_description"], noted["outcome"], noted["actions"]) == ("piped", "done", None)
    done = retro(repo, "--task", "given", stdin='{"task": "piped"}')
    assert (done["task_description"], done["user_note"], done["agent_note"]) == ("given", None, None)


@pytest.mark.parametrize("words", [("retro", "add", "HEAD"), ("activity", "add", "--agent", "coder")], ids=" ".join)
@pytest.mark.parametrize("redirection", ["</dev/null", "<&-"])
@pytest.mark.usefixtures("coder")
def test_an_editor_is_run_where_nothing_is_piped(repo: GitRepo, words: tuple[str, ...], redirection: str) -> None:
    """As git does; where none is set, the hint says what else there is."""
    command = f'"$0" -m agent_tracker {" ".join(words)} {redirection}'
    without = {"EDITOR": "", "VISUAL": ""}
    done = run("sh", "-c", command, sys.executable, cwd=repo.path, env={**without, "EDITOR": "false"})
    assert (done.code, "the editor false ended" in done.err) == (1, True), done
    done = run("sh", "-c", command, sys.executable, cwd=repo.path, env=without)
    assert (done.code, "no terminal for an editor" in done.err) == (2, True), done
    assert "--task" in done.err
    assert "with -" in done.err


@pytest.mark.usefixtures("coder")
def test_a_pipe_that_nobody_writes_to_holds_nothing_up(repo: GitRepo) -> None:
    """With an option it is not read; without one, the wait has an end and a hint."""
    reading, writing = os.pipe()
    argv = [sys.executable, "-m", "agent_tracker", "retro", "add"]
    codes = []
    for words in (["--task", "t"], []):
        done = subprocess.run([*argv, *words], cwd=repo.path, stdin=reading, capture_output=True, check=False)
        codes.append((done.returncode, b"nothing came" in done.stderr))
    os.close(reading)
    os.close(writing)
    assert codes == [(0, False), (2, True)]


def test_an_agent_gives_only_its_own_part(repo: GitRepo, coder: str) -> None:
    """In an agent's shell the user's grade and note are refused; `human` says that a person types."""
    for option, value in (("--user-grade", "good"), ("--user-note", "well done")):
        done = repo.tracker("retro", "add", option, value, env=AGENTS_SHELL)
        assert (done.code, "AGENT_TRACKER_AGENT=human" in done.err) == (1, True)
    done = repo.tracker("retro", "add", "-", stdin='{"user_note": "well done"}', env=AGENTS_SHELL)
    assert done.code == 1
    assert retro(repo, "--agent-grade", "good", "--agent-note", "ok", env=AGENTS_SHELL)["score_after"] == 62
    both = retro(repo, "--user-grade", "exc", env={**AGENTS_SHELL, "AGENT_TRACKER_AGENT": "human"})
    assert both["score_after"] == 67
    assert score(repo, coder) == 67


@pytest.mark.usefixtures("coder")
def test_an_agent_does_not_grade_another(repo: GitRepo) -> None:
    """The agent's grade and note are its maker's to give; a look back without them is anybody's."""
    other = repo.register("other")
    for env in ({"AGENT_TRACKER_AGENT": other}, {"AGENT_TRACKER_AGENT": "nosuch"}, {"GEMINI_CLI": "1"}):
        for words in (("retro", "add", "--agent-grade", "bad"), ("retro", "add", "--agent-note", "I saw it")):
            done = repo.tracker(*words, env=env)
            assert (done.code, "'s to give, not " in done.err) == (1, True), done
    retro(repo, "--task", "I saw it", env={"AGENT_TRACKER_AGENT": other})


@pytest.mark.parametrize("env", [{"AGENT_TRACKER_AGENT": "other"}, {"AGENT_TRACKER_AGENT": "nosuch"}], ids=str)
@pytest.mark.usefixtures("coder")
def test_an_agent_notes_no_activity_of_another(repo: GitRepo, env: dict[str, str]) -> None:
    """What an agent did it notes itself, or a person does."""
    repo.register("other")
    words = ("activity", "add", "--agent", "coder", "--task", "t")
    done = repo.tracker(*words, env=env)
    assert (done.code, "'s to give, not " in done.err) == (1, True), done
    repo.ok(*words, env={**env, "AGENT_TRACKER_AGENT": "human"})


@pytest.mark.usefixtures("coder")
def test_an_activity_belongs_to_a_recorded_commit(repo: GitRepo) -> None:
    """A commit that was made without hooks is refused."""
    repo.git("-c", "core.hooksPath=/dev/null", "commit", "--allow-empty", "-qm", "x")
    repo.git("checkout", "--quiet", "--orphan", "other")
    oid = repo.git("commit-tree", "-m", "made by hand", repo.git("write-tree"))
    done = repo.tracker("activity", "add", "--agent", "coder", "--task", "t", "--commit", oid)
    assert (done.code, "is not known" in done.err) == (1, True), done
    assert repo.json("activity", "list")["activities"] == []


def in_terminal(repo: GitRepo, *words: str, env: dict[str, str]) -> tuple[int, str]:
    """Run agent-tracker on a terminal of its own; return its exit code and what it showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(repo.path)
        os.environ.update(env)
        os.execv(sys.executable, [sys.executable, "-m", "agent_tracker", *words])  # noqa: S606 -- there is no shell
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_an_editor_writes_a_retrospective(repo: GitRepo, coder: str) -> None:
    """On a terminal, where nothing is given; each section is a field."""
    repo.write("edit.sh", '#!/bin/sh\nsed -i -e "/>8.* user_grade/a good" -e "/>8.* task/a the task\\n# a line" "$1"\n')
    env = {"EDITOR": f"sh {repo.path}/edit.sh"}
    code, shown = in_terminal(repo, "retro", "add", env=env)
    assert (code, "60 -> 62 CS" in shown) == (0, True), shown
    (listed,) = repo.json("retro", "list")["retrospectives"]
    assert (listed["task_description"], listed["agent_id"]) == ("the task\n# a line", coder)
    code, shown = in_terminal(repo, "retro", "add", env={"EDITOR": "true"})
    assert (code, "nothing written" in shown) == (1, True)


@pytest.mark.usefixtures("coder")
def test_what_an_editor_wrote_is_kept_on_an_error(repo: GitRepo) -> None:
    """A grade that is none: the file stays, and is named."""
    repo.write("edit.sh", '#!/bin/sh\nsed -i -e "/>8.* user_grade/a splendid" "$1"\n')
    code, shown = in_terminal(repo, "retro", "add", env={"EDITOR": f"sh {repo.path}/edit.sh"})
    assert code == 2
    assert "unknown grade" in shown
    assert "is kept in" in shown


def test_lists_choose(repo: GitRepo, coder: str) -> None:
    """By agent, by time, by number, over all projects; newest first."""
    other = repo.register("other")
    first = retro(repo, "--task", "first")["id"]
    second = retro(repo, "--task", "second")["id"]

    def ids(*words: str) -> list[str]:
        return [each["id"] for each in repo.json("retro", "list", *words)["retrospectives"]]

    assert ids() == ids("--all") == ids("--agent", coder) == ids("--since", "1h") == [second, first]
    assert ids("-n", "1") == [second]
    assert ids("--agent", other) == ids("--since", "2999-01-01") == []
    shown = repo.ok("retro", "list")
    assert first in shown
    assert "./." in shown


@pytest.mark.usefixtures("coder")
def test_show_takes_the_beginning_of_an_id(repo: GitRepo) -> None:
    """Four digits at least; what nothing or no id begins with is an error."""
    done = retro(repo, "--task", "the task")
    assert repo.json("retro", "show", done["id"][:4])["retrospective"]["id"] == done["id"]
    unknown = "0000" if not done["id"].startswith("0000") else "ffff"
    for prefix in (done["id"][:3], unknown, "../../x", ""):
        assert repo.tracker("retro", "show", prefix).code == 2


def test_an_ambiguous_beginning_is_an_error() -> None:
    """The ids that begin so are named."""
    ids = ["abcd00000000", "abcd11111111", "ffff00000000"]
    assert one_by_id(ids, "ABCD0") == ids[0]
    with pytest.raises(UsageError, match="beginning of 2 ids"):
        one_by_id(ids, "abcd")


@given(
    st.lists(st.tuples(st.integers(NOW - 10, NOW + 10), st.sampled_from(GRADES)), unique_by=lambda g: g[0]),
    st.lists(st.tuples(st.integers(NOW - 10, NOW + 10), st.integers(-70, 70)), unique_by=lambda r: r[0], max_size=3),
)
def test_scores_are_those_of_the_fold(grades: list[tuple[int, str]], rules: list[tuple[int, int]]) -> None:
    """The score as of any moment is the standing's of an agent that got no grade later."""
    timeline = Timeline([rules_fact(at=at, gradeBad=value) for at, value in rules])
    given_ns = [(at * 10**9, grade) for at, grade in grades]
    scores = Scores((NOW - 100) * 10**9, given_ns, timeline)
    for at in range(NOW - 11, NOW + 12):
        until = [each for each in given_ns if each[0] <= at * 10**9]
        career = Career((NOW - 100) * 10**9, grades=until)
        expected = standing(career, Ledger(), 0, timeline).communication_score
        assert scores.around(None, at * 10**9) == (expected, expected)


# -- activities


def test_an_activity_is_noted_and_shown(repo: GitRepo, coder: str) -> None:
    """Whoever would commit here has done it, in the session of the environment."""
    words = ("--task", "t", "--actions", "a\nb", "--outcome", "o", "--decisions", "d", "--commit", "HEAD", "--json")
    env = {"AGENT_TRACKER_AGENT": coder, "AGENT_TRACKER_SESSION": "s-1"}
    done = json.loads(repo.ok("activity", "add", *words, env=env))["activity"]
    (listed,) = repo.json("activity", "list")["activities"]
    assert listed == done
    assert (listed["agent_id"], listed["session_id"], listed["commit_hash"]) == (coder, "s-1", repo.head())
    assert (listed["actions"], listed["project_path"]) == ("a\nb", str(repo.path))
    shown = repo.ok("activity", "show", done["id"])
    assert "actions:\n  a\n  b\n" in shown
    assert done["id"] in repo.ok("activity")


def test_an_activity_needs_an_agent(repo: GitRepo, coder: str) -> None:
    """A person's shell has none: the hint says how to name one."""
    done = repo.tracker("activity", "add", "--task", "t")
    assert (done.code, "--agent AGENT" in done.err) == (1, True)
    repo.ok("activity", "add", "--agent", "coder", "-", stdin='{"outcome": "it works"}')
    (listed,) = repo.json("activity", "list")["activities"]
    assert (listed["agent_id"], listed["outcome"], listed["session_id"]) == (coder, "it works", None)


@pytest.mark.usefixtures("coder")
def test_an_activity_waits_where_the_store_cannot_be_used(repo: GitRepo) -> None:
    """It is in the spool, which is said, and comes in with the next flush."""
    env = {"AGENT_TRACKER_DATABASE_PATH": "/dev/null"}
    done = repo.tracker("activity", "add", "--agent", "coder", "--task", "t", env=env)
    assert (done.code, "noted in the spool" in done.err) == (0, True), done
    assert len(repo.json("activity", "list")["activities"]) == 1


def test_nothing_is_noted_where_nothing_is_recorded(repo: GitRepo) -> None:
    """Without hooks there is no spool to note anything in."""
    for words in (("retro", "add", "--task", "t"), ("activity", "add", "--task", "t")):
        done = repo.tracker(*words)
        assert (done.code, "install-hooks" in done.err) == (1, True)


def test_lists_are_empty_at_first(repo: GitRepo) -> None:
    """A list of nothing says how to make one, and its JSON is a list."""
    assert "agent-tracker retro add" in repo.ok("retro")
    assert "agent-tracker activity add" in repo.ok("activity", "list")
    assert repo.json("retro", "list", "--all")["retrospectives"] == []


@pytest.mark.usefixtures("coder")
def test_a_hostile_text_is_harmless_in_a_list(repo: GitRepo) -> None:
    """Control characters, overrides of direction and newlines are escaped, and a long text is cut."""
    text = "\x1b[31m\u202e\r\n" + "x" * 5000
    repo.ok("activity", "add", "--agent", "coder", "-", stdin=json.dumps({"task": text}))
    shown = repo.ok("activity", "list")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert max(map(len, shown.split("\n"))) < 400
