"""The sheet of one agent: its figures, its look in any terminal, and that of a name that nobody knows."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.derived import EVERYBODY, Tally
from agent_tracker.journal_tables import tallies
from agent_tracker.rendering.layout import Terminal, wrapped
from agent_tracker.rendering.text import cells, chopped
from agent_tracker.rules import DEFAULT_RULES
from agent_tracker.store import Store
from agent_tracker.views.sheet import homes, sheet
from agent_tracker.xp import NEW_STANDING
from facts import NOW, agent, project_fact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gitrepo import GitRepo

HUMAN = {"AGENT_TRACKER_AGENT": "human"}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository in which ada has three commits, two of them graded, and bob has one."""
    repo.ok("install-hooks")
    repo.register("ada", model="opus", scope="backend", client="claude")
    repo.register("bob")
    for subject in ("a: work", "b: work", "c: work"):
        repo.commit(subject, env={"AGENT_TRACKER_AGENT": "ada"})
    repo.commit("d: work", env={"AGENT_TRACKER_AGENT": "bob"})
    repo.ok("grade", "HEAD~3", "bad", "--by", "user", env=HUMAN)
    repo.ok("grade", "HEAD~2", "excellence", "--by", "user", env=HUMAN)
    repo.ok("grade", "HEAD~2", "good", "--by", "agent", env=HUMAN)
    return repo


def halt(repo: GitRepo) -> None:
    """Report a bug in bob's commit, which takes its only skill point."""
    repo.ok("bug", "HEAD", "--note", "broken", env=HUMAN)


def on_terminal(cwd: Path, columns: int, *argv: str, env: dict[str, str] | None = None) -> str:
    """Return what agent-tracker shows on a terminal of so many columns."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "agent_tracker", *argv],
        cwd=cwd,
        env={**inherited, "TERM": "xterm", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody has the other end any more
        return b""


def shown_agent(repo: GitRepo, name: str) -> dict[str, Any]:
    """Return an agent's sheet as JSON."""
    found = repo.json("agents", "show", name)["agent"]
    assert isinstance(found, dict)
    return found


# -- figures


def test_a_sheet_has_every_figure(work: GitRepo) -> None:
    """Level, progress, score with its tier, grades in their order, commits, bugs and when it was seen."""
    out = work.ok("agents", "show", "ada")
    assert "level    1 SP  probation" in out
    # Three commits, two of which were graded.
    assert "17 of 100 XP" in out
    assert "score    66 CS  neutral" in out
    assert "grades   ▁█▅  3 in all" in out
    assert re.search(r"commits  3\n", out)
    assert re.search(r"seen     \d{4}-\d\d-\d\d \d\d:\d\d\n", out)


def test_a_sheet_as_json_keeps_its_names_and_has_more(work: GitRepo) -> None:
    """What was there before is there still; what is new has one shape."""
    found = shown_agent(work, "ada")
    assert found["trust_tier"] == "probation"
    assert found["total_commits"] == 3
    assert (found["registered"], found["halted"], found["score_tier"]) == (True, False, "neutral")
    assert (found["experience_points"], found["next_level_at"]) == (17, 100)
    assert found["grades"] == 3
    assert [each["grade"] for each in found["recent_grades"]] == ["bad", "excellence", "good"]
    assert found["here"] == {name: value for name, value in found["projects"][0].items() if name != "project_path"}
    assert [(each["project_path"], each["commits"]) for each in found["projects"]] == [(str(work.path), 3)]
    assert found["last_seen"].endswith("Z")
    assert "pending_changes" not in found


def test_commits_in_several_projects_are_told_apart(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """Over all, in how many projects, and how many in the one at hand."""
    other = make_repo("other")
    other.ok("install-hooks")
    other.commit("x: work", env={"AGENT_TRACKER_AGENT": "ada"})
    assert "commits  4  (in 2 projects, 1 in this project)" in other.ok("agents", "show", "ada")
    assert "commits  4  (in 2 projects, 3 in this project)" in work.ok("agents", "show", "ada")
    assert [each["commits"] for each in shown_agent(work, "ada")["projects"]] in ([3, 1], [1, 3])


def test_status_shows_the_sheet_of_the_agent_in_use(work: GitRepo) -> None:
    """Below the repository's own lines, with what is not committed; a person sees the latter alone."""
    work.write("new", "new")
    of_agent = work.ok("status", env={"AGENT_TRACKER_AGENT": "ada"})
    assert "commits  4 recorded here" in of_agent
    assert "ada  ada-" in of_agent
    assert "17 of 100 XP" in of_agent
    assert of_agent.count("1 change not committed") == 1
    of_person = work.ok("status", env=HUMAN)
    assert "level" not in of_person
    assert of_person.count("1 change not committed") == 1
    done = work.tracker("status", "--json", env={"AGENT_TRACKER_AGENT": "ada"})
    found = json.loads(done.out)["status"]
    assert (found["agent"]["name"], found["agent"]["pending_changes"], found["pending_changes"]) == ("ada", 1, 1)
    assert (found["commits"], found["agents"]) == (4, 2)


def test_status_counts_commits_of_clones_and_none_twice(work: GitRepo, tmp_path: Path, home: Path) -> None:
    """The number is the tally's, a clone's commits included, and what `log` lists."""
    clone = work.clone(tmp_path / "clone")
    clone.ok("install-hooks")
    clone.commit("x: work", env={"AGENT_TRACKER_AGENT": "ada"})
    clone.git("commit", "--quiet", "--amend", "-m", "x: amended", env={"AGENT_TRACKER_AGENT": "ada"})
    assert clone.json("status")["status"]["commits"] == len(clone.commits()) == 5
    assert work.json("status")["status"]["commits"] == 5
    with Store(str(home / ".config/opencode/agent-tracker.lmdb"), 1 << 26).snapshot() as snapshot:
        assert snapshot is not None
        assert sum(tally.commits for tally in tallies(snapshot, EVERYBODY).values()) == 5


def test_a_halted_agent_cannot_be_overlooked(work: GitRepo) -> None:
    """It says so in capitals, with the one command that changes it; so does the JSON."""
    halt(work)
    bob = shown_agent(work, "bob")
    out = work.ok("agents", "show", "bob")
    assert "\n  HALTED   " in out
    assert f"agent-tracker agents resume {bob['id']}" in out
    assert (bob["halted"], bob["next_level_at"], bob["skill_points"]) == (True, None, 0)
    work.ok("agents", "resume", "bob", env=HUMAN)
    assert "HALTED" not in work.ok("agents", "show", "bob")


def test_a_retired_agent_says_how_to_resume_it(work: GitRepo) -> None:
    """The same for one that was retired."""
    work.ok("agents", "retire", "bob")
    out = work.ok("agents", "show", "bob")
    assert "\n  RETIRED  " in out
    assert "agents resume bob-" in out


def test_other_rules_move_the_next_level_and_the_tiers(work: GitRepo, home: Path) -> None:
    """The bar and the words follow the rules in force."""
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("[rules]\nlevelXp = 50\nscoreStrong = 65\n")
    out = work.ok("agents", "show", "ada")
    assert "17 of 50 XP" in out
    assert "66 CS  strong" in out


# -- one that nobody knows


@pytest.mark.parametrize("name", ["nobody", "two words", "$(touch x)"])
def test_an_unknown_agent_shows_what_a_new_one_has(work: GitRepo, name: str) -> None:
    """Its defaults, that it is new, and the command that registers it; that is no error."""
    done = work.tracker("agents", "show", name)
    assert (done.code, done.err) == (0, "")
    assert "new: not registered" in done.out
    assert "0 of 100 XP" in done.out
    quoted = name if name == "nobody" else f"'{name}'"
    assert f"agent-tracker register {quoted} --model MODEL --scope SCOPE" in done.out
    found = shown_agent(work, name)
    assert (found["registered"], found["id"], found["model"], found["last_seen"]) == (False, None, None, None)
    standing = NEW_STANDING
    assert (found["skill_points"], found["communication_score"]) == (standing.skill_points, 60)


def test_an_unknown_agent_follows_the_rules_in_force(repo: GitRepo, home: Path) -> None:
    """Where a new agent begins with more, that is what is shown, a database or none."""
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[rules]\nnewSp = 3\nnewCs = 10\n")
    found = shown_agent(repo, "nobody")
    assert (found["skill_points"], found["communication_score"], found["next_level_at"]) == (3, 10, 300)
    assert found["score_tier"] == "breaking point"


@pytest.mark.parametrize("name", ["human", " ", "a\x1b[31m", "x" * 101])
def test_a_name_that_no_agent_can_have_is_an_error(work: GitRepo, name: str) -> None:
    """What could not be registered either is one line and a hint."""
    done = work.tracker("agents", "show", name)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "\nhint: " in done.err
    assert "\x1b" not in done.err


# -- the look


@pytest.mark.parametrize("columns", [24, 40, 60, 80, 81, 120, 200])
@pytest.mark.parametrize("argv", [("status",), ("agents", "show", "ada"), ("agents", "show", "bob")], ids=" ".join)
def test_a_sheet_fits_its_terminal(work: GitRepo, columns: int, argv: tuple[str, ...]) -> None:
    """No line is wider than the terminal, nor than 80 columns; a narrow one loses no figure."""
    halt(work)
    out = on_terminal(work.path, columns, *argv, env={"AGENT_TRACKER_AGENT": "ada"})
    lines = ESCAPE.sub("", out).splitlines()
    assert max(map(cells, lines)) <= min(columns, 80)
    assert "of 100 XP" in out or "halted" in out.lower()


def test_colours_follow_the_terminal(work: GitRepo) -> None:
    """Colours on a terminal; none with NO_COLOR, with --plain, on a dumb one or in a pipe."""
    argv = ("agents", "show", "ada")
    assert ESCAPE.search(on_terminal(work.path, 80, *argv))
    assert not ESCAPE.search(on_terminal(work.path, 80, *argv, env={"NO_COLOR": "1"}))
    assert not ESCAPE.search(on_terminal(work.path, 80, *argv, "--plain"))
    assert not ESCAPE.search(on_terminal(work.path, 80, *argv, env={"TERM": "dumb"}))
    assert not ESCAPE.search(work.ok(*argv))


@pytest.mark.parametrize(
    ("options", "env"),
    [
        (("--plain",), {}),
        ((), {"TERM": "dumb"}),
        ((), {"PYTHONIOENCODING": "ascii"}),
        ((), {"PYTHONIOENCODING": "latin-1"}),
    ],
    ids=["plain", "dumb", "ascii", "latin-1"],
)
def test_plain_is_ascii(work: GitRepo, options: tuple[str, ...], env: dict[str, str]) -> None:
    """With --plain, and wherever Unicode cannot be shown, every letter is ASCII, a name's as well."""
    work.register("開発 é", model="モデル")
    out = "".join(
        work.ok(*argv, *options, env={"AGENT_TRACKER_AGENT": "ada", **env})
        for argv in (("status",), ("agents", "show", "ada"), ("agents", "show", "開発 é"), ("agents",))
    )
    assert out.isascii()
    assert "[#####" in out
    assert "-*+  3 in all" in out
    assert "- bad  . neutral  + good  * excellence" in out
    assert "\\u958b" in out


def test_a_hostile_name_is_escaped_and_a_wide_one_measured(repo: GitRepo) -> None:
    """What a registry holds cannot act on the terminal; letters two cells wide keep the columns."""
    out = ""
    for name in ("開発者ボット" * 16, "a\\b", "e\u0301" * 50):
        repo.register(name)
        out += repo.ok("agents", "show", name)
    assert max(map(cells, out.splitlines())) <= 80
    assert "a\\\\b" in out
    table = repo.ok("agents").splitlines()
    assert len({cells(line[: line.index(" model-1 ")]) for line in table[1:]}) == 1


@pytest.mark.parametrize("text", ["plain words", "開発者ボット", "e\u0301e\u0301e\u0301", "a開b発c", "🚀🚀🚀", ""])
@pytest.mark.parametrize("width", [2, 3, 5])
def test_chopping_keeps_every_letter(text: str, width: int) -> None:
    """Lines of at most so many cells that are the text again when they are put together."""
    lines = chopped(text, width)
    assert "".join(lines) == text
    assert all(cells(line) <= width for line in lines)
    assert all(lines) or not text


@pytest.mark.parametrize("text", ["plain words", "開発者ボット", "e\u0301e\u0301e\u0301", "🚀🚀🚀"])
@pytest.mark.parametrize("width", [1, 2, 3, 7, 20])
def test_cutting_stays_within_the_width(text: str, width: int) -> None:
    """What is cut says so; what fits is left alone."""
    for is_pretty in (True, False):
        cut = Terminal(80, is_pretty, is_coloured=False).cut(text, width)
        assert cells(cut) <= width
        assert (cut == text) is (cells(text) <= width)


def test_parts_stand_beside_one_another_where_they_fit() -> None:
    """Else below, and a part that is too long alone goes on in the next line."""
    parts = [[("aaaa", "")], [("bbbb", "")], [("c" * 12, "")]]
    lines = ["".join(text for text, _ in line) for line in wrapped(parts, 10)]
    assert lines == ["aaaa  bbbb", "c" * 10, "cc"]


# -- the view


def test_clones_are_one_project_at_the_path_that_came_last() -> None:
    """A project and its clone, which share a root, are added up; another one is not."""
    projects = {
        1: project_fact("a", path=b"/one", root=b"r"),
        2: project_fact("b", path=b"/two", root=b"r"),
        3: project_fact("c", path=b"/three"),
    }
    places = homes(projects)
    done = {1: Tally(1, 5, 0, 0, NOW), 2: Tally(2, 10, 1, 0, NOW + 1), 3: Tally(4, 20, 0, 1, NOW + 2)}
    found = sheet(agent("one"), DEFAULT_RULES, done=done, places=places, here=(1, 2))
    assert found.projects == ((b"/three", done[3]), (b"/two", Tally(3, 15, 1, 0, NOW + 1)))
    assert found.here == Tally(3, 15, 1, 0, NOW + 1)
    assert found.total.grades == 1
    assert found.total.last_at == NOW + 2


def test_the_last_twenty_grades_are_kept() -> None:
    """Of more, the oldest are left out."""
    recent = [(NOW + n, "good") for n in range(30)]
    found = sheet(agent("one"), DEFAULT_RULES, done={}, places={}, recent=recent)
    assert found.recent == tuple(recent[10:])
