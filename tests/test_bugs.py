"""Bugs that people report: what they cost, who is halted, how it is taken back, and the trailer that names them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.journal import MAX_NOTE
from gitrepo import GitRepo, agent_tracker, run
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gitrepo import Done

ONE = {"AGENT_TRACKER_AGENT": "one"}
CLAUDE = {"CLAUDECODE": "1"}


@pytest.fixture
def work(repo: GitRepo) -> Iterator[GitRepo]:
    """A repository with hooks and an agent's commit; at the end, what is derived is what follows from the facts."""
    repo.ok("install-hooks")
    repo.register("one", client="claude")
    repo.commit("feat: a", env=ONE)
    yield repo
    assert repo.json("verify")["verify"]["clean"]


def agent(repo: GitRepo, name: str = "one") -> dict[str, Any]:
    """Return an agent as `agents --json` has it."""
    return next(found for found in repo.json("agents")["agents"] if found["name"] == name)


def points(repo: GitRepo) -> tuple[int, int]:
    """Return the agent's skill points and its bugs."""
    found = agent(repo)
    return found["skill_points"], found["total_bugs"]


def report(repo: GitRepo, *words: str) -> dict[str, Any]:
    """Report a bug and return what `bug --json` says."""
    found: dict[str, Any] = json.loads(repo.ok("bug", *words, "--json"))["bug"]
    return found


def listed(repo: GitRepo, *options: str) -> list[dict[str, Any]]:
    """Return what `bugs --json` lists."""
    found: list[dict[str, Any]] = repo.json("bugs", *options)["bugs"]
    return found


def refused(done: Done, *words: str, code: int = 1) -> None:
    """Assert that a command ended with one line of error and a hint, which hold some words."""
    assert done.code == code, done
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    for word in words:
        assert word in done.err, done.err


def try_commit(repo: GitRepo, name: str, env: dict[str, str]) -> Done:
    """Try to commit something new."""
    repo.write(name, "new\n")
    repo.git("add", "--all")
    return repo.try_git("commit", "--quiet", "-m", name, env=env)


@pytest.mark.parametrize("env", [ONE, CLAUDE], ids=["by name", "by client"])
def test_a_halted_agent_cannot_commit_until_it_is_resumed(work: GitRepo, env: dict[str, str]) -> None:
    """The last skill point goes, pre-commit refuses the agent's next commit, and resuming lets it commit again."""
    done = work.tracker("bug", "HEAD", "--note", "it breaks")
    assert "SP 1 -> 0" in done.out
    assert done.err.count("is halted") == 1
    assert points(work) == (0, 1)
    before = work.head()
    stopped = try_commit(work, "b.txt", env)
    assert stopped.code != 0
    assert f"agents resume {agent(work)['id']}" in stopped.err
    assert work.head() == before
    assert try_commit(work, "mine.txt", {}).code == 0
    work.ok("agents", "resume", "one")
    assert points(work) == (1, 1)
    assert try_commit(work, "c.txt", env).code == 0


@pytest.mark.parametrize("env", [ONE, CLAUDE], ids=["by name", "by client"])
def test_a_withdrawn_bug_gives_everything_back(work: GitRepo, env: dict[str, str]) -> None:
    """The skill point comes back and the agent commits again; the report stays in the list, with why it was none."""
    bug = report(work, "HEAD")
    assert (bug["halted"], bug["skill_points_before"], bug["skill_points_after"]) == (True, 1, 0)
    assert try_commit(work, "b.txt", env).code != 0
    done = work.tracker("bug", "--withdraw", bug["id"][:6], "--why", "a user's mistake")
    assert "SP 0 -> 1" in done.out
    assert "no longer halted" in done.err
    assert points(work) == (1, 0)
    assert try_commit(work, "b.txt", env).code == 0
    (entry,) = listed(work)
    assert (entry["withdrawn"], entry["withdrawn_why"]) == (True, "a user's mistake")
    refused(work.tracker("bug", "--withdraw", bug["id"]), "was withdrawn already", code=2)


def test_a_second_bug_in_one_commit_counts_too(work: GitRepo) -> None:
    """Each report counts, and the second says that it is the second."""
    assert report(work, "HEAD")["bugs_in_commit"] == 1
    work.ok("agents", "resume", "one")
    assert "2nd reported in this commit" in work.ok("bug", "HEAD")
    assert points(work) == (0, 2)
    work.ok("bug", "--withdraw", listed(work)[0]["id"])
    assert points(work) == (1, 1)
    assert report(work, "HEAD")["bugs_in_commit"] == 2


def test_a_bug_follows_its_commit(work: GitRepo) -> None:
    """What was reported in a commit that is amended later is listed where the work lives."""
    old = work.head()
    work.git("commit", "--quiet", "--amend", "-m", "feat: b", env=ONE)
    assert f"{old[:10]} became {work.head()[:10]}" in work.ok("bug", old, "--note", "x\x1b[31m")
    work.ok("agents", "resume", "one")
    work.git("commit", "--quiet", "--amend", "-m", "feat: c", env=ONE)
    (entry,) = listed(work)
    assert (entry["commit_hash"], entry["task_description"]) == (work.head(), "feat: c")
    assert entry["note"] == "x\x1b[31m"
    shown = work.ok("bugs")
    assert "\x1b" not in shown
    assert "x\\x1b[31m" in shown


@pytest.mark.parametrize("words", [("bug", "HEAD"), ("bug", "one"), ("bug", "--withdraw", "0123456789ab")], ids=str)
@pytest.mark.parametrize("env", [ONE, CLAUDE], ids=["by name", "by client"])
def test_only_a_person_reports_and_withdraws(work: GitRepo, words: tuple[str, ...], env: dict[str, str]) -> None:
    """An agent's shell is refused, with the way for a person who types there."""
    refused(work.tracker(*words, env=env), "a person's", "AGENT_TRACKER_AGENT=human agent-tracker bug")
    assert listed(work) == []
    assert work.tracker("bug", "HEAD", env=env | {"AGENT_TRACKER_AGENT": "human"}).code == 0


def test_a_word_that_is_both_a_revision_and_an_agent_is_asked_back(work: GitRepo) -> None:
    """A branch with an agent's name: the error names both, and either way of saying it works."""
    work.git("branch", "one")
    name, oid = str(agent(work)["id"]), work.head()
    refused(work.tracker("bug", "one"), f"bug --commit {oid[:12]}", f"bug --agent {name}", code=2)
    assert listed(work) == []
    ways = [(name,), ("--agent", "one"), (oid,), ("--commit", "one")]
    assert [report(work, *way)["commit_hash"] for way in ways] == [None, None, oid, oid]
    assert {entry["agent_id"] for entry in listed(work)} == {name}


def test_an_agents_bug_needs_no_repository(work: GitRepo, tmp_path: Path) -> None:
    """Outside of any repository an agent can be named; a revision cannot, and the list has it everywhere."""
    (tmp_path / "nowhere").mkdir()
    assert agent_tracker("bug", "one", "--note", "all over", cwd=tmp_path / "nowhere").code == 0
    refused(agent_tracker("bug", "HEAD", cwd=tmp_path / "nowhere"), "not a git repository")
    run("git", "init", "--quiet", "--bare", "bare", cwd=tmp_path)
    refused(agent_tracker("bug", "HEAD", cwd=tmp_path / "bare"), "a bare repository")
    refused(agent_tracker("bug", "--commit", "HEAD", cwd=tmp_path / "nowhere"), "cd into a repository")
    assert points(work) == (0, 1)
    (entry,) = listed(work)
    assert (entry["commit_hash"], entry["note"]) == (None, "all over")
    assert listed(work, "--agent", "one", "--all") == [entry]


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("bug",), "one commit or one agent", 2),
        (("bug", "HEAD", "--agent", "one"), "one commit or one agent", 2),
        (("bug", "nothing"), "neither a commit here nor an agent", 1),
        (("bug", "HEAD", "--why", "so"), "--why goes with --withdraw", 2),
        (("bug", "HEAD", "--withdraw", "0123"), "--withdraw goes with --why alone", 2),
        (("bug", "--withdraw", "0123456789ab"), "no bug '0123456789ab'", 2),
        (("bug", "--withdraw", "012"), "too short for an id", 2),
        (("bug", "HEAD", "--note", "x" * (MAX_NOTE + 1)), "may have 20,000", 2),
        (("bug", "HEAD", "--fixed-by", "nothing"), "no commit 'nothing'", 1),
        (("bug", "HEAD", "--fixed-by", "HEAD"), "cannot fix the bug that is in it", 2),
        (("bug", "one", "--amend"), "no commit to name in a trailer", 2),
        (("bugs", "--agent", "nobody"), "unknown agent", 1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_word_is_said_in_one_line(work: GitRepo, words: tuple[str, ...], message: str, code: int) -> None:
    """What cannot be meant gets an error and a hint, and nothing is reported."""
    refused(work.tracker(*words), message, code=code)
    assert listed(work) == []


def test_a_persons_commit_costs_nobody_anything(work: GitRepo) -> None:
    """A bug in it is no agent's."""
    work.commit("docs: mine")
    refused(work.tracker("bug", "HEAD"), "a person's")


# -- the fixing commit


@pytest.fixture
def fixed(work: GitRepo) -> GitRepo:
    """The same with an agent's commit on top that mends the first."""
    work.commit("fix: a", env=ONE)
    return work


def trailers(repo: GitRepo) -> str:
    """Return the trailers of HEAD."""
    return repo.git("log", "-1", "--format=%(trailers)").strip()


def test_the_trailers_command_is_printed_and_works(fixed: GitRepo) -> None:
    """Without a terminal nothing is amended: one command is shown that does it, and the bug says what fixes it."""
    head, culprit = fixed.head(), fixed.head("HEAD~1")
    done = fixed.ok("bug", "HEAD~1", "--fixed-by", "HEAD")
    assert fixed.head() == head
    command = done.split(": ", 1)[-1].splitlines()[-1].partition(": ")[2]
    assert command == f"git commit --amend --no-edit --trailer 'Fixes: {culprit}'"
    assert listed(fixed)[0]["fixed_by"] == head
    assert run("sh", "-c", command, cwd=fixed.path).code == 0
    assert trailers(fixed) == f"Fixes: {culprit}"


def test_amend_adds_the_trailer_and_the_commit_stays_the_agents(fixed: GitRepo) -> None:
    """A person's amend adds no line, so the whole credit stays where it was; the bug names the amended commit."""
    fixed.git("config", "trailer.separators", ":")
    bug = report(fixed, "HEAD~1", "--fixed-by", "HEAD", "--amend")
    assert (bug["amended"], bug["fixed_by"]) == (True, fixed.head())
    assert trailers(fixed) == f"Fixes: {fixed.head('HEAD~1')}"
    assert fixed.git("log", "-1", "--format=%s") == "fix: a"
    name = agent(fixed)["id"]
    assert [(c["task_description"], c["credits"]) for c in fixed.commits()] == [
        ("fix: a", [{"agent_id": name, "share": 1}]),
        ("feat: a", [{"agent_id": name, "share": 1}]),
    ]
    assert listed(fixed)[0]["fixed_by"] == fixed.head()
    again = report(fixed, "HEAD~1", "--fixed-by", "HEAD")
    assert again["fixes_trailer"]["why_not"] == "it says so already"


def staged(repo: GitRepo) -> None:
    """Stage something."""
    repo.write("more.txt", "more\n")
    repo.git("add", "more.txt")


def pushed(repo: GitRepo) -> None:
    """Push to a bare remote."""
    run("git", "init", "--quiet", "--bare", repo.path.parent / "remote.git", cwd=repo.path)
    repo.git("push", "--quiet", str(repo.path.parent / "remote.git"), "main")
    repo.git("remote", "add", "origin", str(repo.path.parent / "remote.git"))
    repo.git("fetch", "--quiet", "origin")


def no_head(repo: GitRepo) -> None:
    """Commit something on top."""
    repo.git("tag", "fix")
    repo.commit("docs: more")


def merging(repo: GitRepo) -> None:
    """Begin a merge."""
    repo.git("switch", "--quiet", "--create", "side", "HEAD~1")
    repo.commit("docs: side")
    repo.git("switch", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-commit", "--no-ff", "side")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (staged, "something is staged"),
        (pushed, "it was pushed"),
        (no_head, "it is not HEAD"),
        (merging, "a merge is under way"),
    ],
    ids=["staged", "pushed", "not HEAD", "merging"],
)
def test_a_commit_that_had_better_stay_is_not_amended(
    fixed: GitRepo, prepare: Callable[[GitRepo], None], reason: str
) -> None:
    """The reason is said; with --amend nothing is reported either."""
    prepare(fixed)
    fix = "fix" if prepare is no_head else "HEAD"
    culprit, head = fixed.head(f"{fix}~1"), fixed.head()
    refused(fixed.tracker("bug", culprit, "--fixed-by", fix, "--amend"), reason)
    assert listed(fixed) == []
    assert f"gets no trailer: {reason}" in fixed.ok("bug", culprit, "--fixed-by", fix)
    assert fixed.head() == head
    assert len(listed(fixed)) == 1


def test_a_refused_amend_leaves_the_bug_reported(fixed: GitRepo) -> None:
    """Somebody's hook that says no is quoted, and the exit code tells."""
    hook = fixed.path / ".git/hooks/prepare-commit-msg"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    refused(fixed.tracker("bug", "HEAD~1", "--fixed-by", "HEAD", "--amend"), "not today", "git commit --amend")
    assert trailers(fixed) == ""
    assert len(listed(fixed)) == 1


@pytest.mark.parametrize(("answer", "is_amended"), [("y\n", True), ("\n", False)], ids=["yes", "nothing"])
def test_a_person_at_a_terminal_is_asked(fixed: GitRepo, answer: str, *, is_amended: bool) -> None:
    """The default is no."""
    with Terminal("bug", "HEAD~1", "--fixed-by", "HEAD", cwd=fixed.path) as terminal:
        terminal.until("[y/N]: ")
        terminal.send(answer)
        assert terminal.code() == 0
    assert bool(trailers(fixed)) is is_amended
    assert len(listed(fixed)) == 1
