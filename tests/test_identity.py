"""Who commits, with real hooks and the environment of each client: refused, registered, told apart, and why."""

from __future__ import annotations

import json
import os
import shlex
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.enrolment import bind
from agent_tracker.hook import PROGRAM, explain
from agent_tracker.paths import user_paths
from agent_tracker.records import UNCLAIMED
from agent_tracker.registration import Identity, whole
from gitrepo import Done, GitRepo, run
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

SHELLS = {
    "opencode": {"OPENCODE": "1", "AGENT": "1", "OPENCODE_PID": "4711"},
    "claude": {"CLAUDECODE": "1", "AI_AGENT": "claude-code_2-1_agent", "CLAUDE_CODE_SESSION_ID": "s-claude"},
    "codex": {"CODEX_CI": "1", "CODEX_THREAD_ID": "t-codex", "CODEX_SESSION_ID": "s-codex"},
    "gemini": {"GEMINI_CLI": "1"},
    "copilot": {"COPILOT_CLI": "1", "COPILOT_AGENT_SESSION_ID": "s-copilot", "COPILOT_GITHUB_TOKEN": "secret"},
    "qwen": {"QWEN_CODE": "1"},
    "amp": {"AMP_CURRENT_THREAD_ID": "T-amp"},
    "crush": {"CRUSH": "1"},
}
"""What each client's own shell has, as observed."""

SESSIONS = {"claude": "s-claude", "codex": "s-codex", "copilot": "s-copilot", "amp": "T-amp"}
CLAUDE = SHELLS["claude"]


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with hooks."""
    repo.ok("install-hooks")
    return repo


def commit(repo: GitRepo, subject: str, env: dict[str, str], *options: str) -> Done:
    """Try to commit."""
    return repo.try_git("commit", "--quiet", "--allow-empty", "-m", subject, *options, env=env)


def credited(repo: GitRepo) -> dict[str, str]:
    """Return who each counted commit belongs to, by subject, after a flush; the records are sound."""
    repo.ok("flush")
    assert repo.json("verify")["verify"]["clean"]
    return repo.credited()


def why(repo: GitRepo) -> dict[str, dict[str, Any]]:
    """Return the reasons for the credits of all counted commits, by subject."""
    return {each["task_description"]: each["why"] for each in repo.json("log")["commits"]}


def identity(repo: GitRepo, env: dict[str, str]) -> dict[str, Any]:
    """Return what whoami says."""
    found: dict[str, Any] = json.loads(repo.ok("whoami", "--json", env=env))["identity"]
    return found


def advised(refused: Done) -> list[str]:
    """Return the words of the command in a refusal, filled in as an agent would, without the program."""
    line = next(line for line in refused.err.splitlines() if "agent-tracker register" in line)
    words = shlex.split(line.replace("MODEL", "'model 1'").replace("SCOPE", "all"))
    assert words[0] == "agent-tracker"
    return words[1:]


# -- refused, and let in by the one command ----------------------------------------------------------------------------


@pytest.mark.parametrize("client", SHELLS)
def test_a_clients_refusal_is_mended_by_its_own_command(work: GitRepo, client: str) -> None:
    """The command, run as it stands in the client's shell, ties the session, and the next commit is the agent's."""
    env = SHELLS[client]
    refused = commit(work, "first", env)
    assert refused.code == 1
    assert f"no agent is registered for {client}" in refused.err
    assert "MODEL the name of the language model that you are" in refused.err
    assert "git commit again" in refused.err
    done = json.loads(work.ok(*advised(refused), "--json", env=env))["agent"]
    assert (done["client"], done["session"], done["is_new"]) == (client, SESSIONS.get(client), True)
    assert commit(work, "second", env).err == ""
    assert credited(work) == {"second": done["id"]}
    basis, reason = ("session", SESSIONS[client]) if client in SESSIONS else ("client", client)
    expected = {"basis": basis, "reason": f"{basis} {reason}", "problem": None, "who": None}
    assert why(work)["second"] == expected | {"outdated": False, "origins": []}
    assert identity(work, env) == {"agent_id": done["id"], "claim": "agent", **expected}
    assert f"{basis} {reason}" in work.ok("log", "--why")


@pytest.mark.parametrize("client", ["claude", "opencode"])
def test_an_unregistered_clients_commit_is_kept_and_says_why(work: GitRepo, client: str) -> None:
    """Where a hook was passed by, and until its agent is registered."""
    assert commit(work, "first", SHELLS[client], "--no-verify").code == 0
    assert credited(work) == {"first": "unclaimed"}
    reason = why(work)["first"]
    assert (reason["basis"], reason["problem"], reason["who"]) == ("client", "unregistered", client)
    assert f"client {client} announced itself and no agent was registered" in work.ok("log", "--why")
    assert f"client {client} announced itself" in work.ok("whoami", env=SHELLS[client])
    agent = work.register("late", client=client)
    assert credited(work) == {"first": agent}
    assert why(work)["first"]["reason"].startswith(f"client {client}")


def test_the_refusal_can_be_read_by_the_agent_it_is_for(work: GitRepo) -> None:
    """One command, what to fill in, what to do then; and where the program is, if the shell would not find it."""
    refused = commit(work, "first", CLAUDE | {"PATH": os.environ["PATH"]})
    lines = [line.strip() for line in refused.err.splitlines()]
    assert lines[:5] == [
        "agent-tracker: commit refused: no agent is registered for claude",
        "agent-tracker register claude --model MODEL --scope SCOPE --client claude",
        "Put for MODEL the name of the language model that you are, as exactly as you know it,",
        "and for SCOPE what you work on here: backend, docs, 'whole repository' ...",
        "Run it in the shell in which you commit; then git commit again.",
    ]


def test_where_the_program_is_not_on_the_path_the_refusal_says_where_it_is(work: GitRepo, tmp_path: Path) -> None:
    """And Python takes nothing in the work tree for it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(next(p for d in os.environ["PATH"].split(":") if (p := Path(d) / "git").exists()))
    refused = commit(work, "first", CLAUDE | {"PATH": str(tools)})
    line = refused.err.splitlines()[-1].strip()
    assert line == f"agent-tracker is not on your PATH; in its place: {sys.executable} -P -m agent_tracker"
    trap = work.path / "agent_tracker"
    trap.mkdir()
    (trap / "__init__.py").write_text("raise SystemExit(77)")
    assert run(*shlex.split(line.partition(": ")[2]), "--version", cwd=work.path).code == 0
    (tools / PROGRAM).write_text("#!/bin/sh\n")
    (tools / PROGRAM).chmod(stat.S_IRWXU)
    assert "PATH" not in commit(work, "first", CLAUDE | {"PATH": str(tools)}).err


@pytest.mark.parametrize(
    "name", ["it's", "$(touch x)", "a b", 'say "x"', "-x", "a;b", "\N{SNOWMAN}", "`x`", "x" * 90], ids=ascii
)
def test_a_name_in_the_refusal_is_one_word_of_a_command(name: str) -> None:
    """Whatever an environment calls its agent."""
    unknown = Identity(whole(UNCLAIMED), "AGENT_TRACKER_AGENT", "unregistered", name, "variable")
    _, command = explain(unknown, {"AGENT_TRACKER_AGENT": name})
    assert shlex.split(command)[2] == name


@pytest.mark.parametrize("words", [("x", "--model", "MODEL", "--scope", "s"), ("NAME", "--model", "m", "--scope", "s")])
def test_a_command_that_was_not_filled_in_registers_nobody(work: GitRepo, words: tuple[str, ...]) -> None:
    """The words stand for something else."""
    done = work.tracker("register", *words)
    assert (done.code, "stands for" in done.err) == (1, True)
    assert work.json("agents")["agents"] == []


# -- sessions of one client --------------------------------------------------------------------------------------------


def test_a_model_that_changes_in_a_session_is_another_agent(work: GitRepo) -> None:
    """Commits before and after are credited to each; going back is going back to the first."""
    ids = {}
    for subject, model in (("one", "m-1"), ("two", "m-2"), ("three", "m-1")):
        words = ("register", "claude", "--model", model, "--scope", "all", "--json")
        ids[subject] = json.loads(work.ok(*words, env=CLAUDE))["agent"]["id"]
        assert commit(work, subject, CLAUDE).code == 0
        assert commit(work, f"{subject} amended", CLAUDE, "--amend").code == 0
    assert ids["one"] == ids["three"] != ids["two"]
    expected = {f"{subject} amended": agent for subject, agent in ids.items()}
    assert credited(work) == expected
    assert commit(work, "elsewhere", CLAUDE | {"CLAUDE_CODE_SESSION_ID": "s-other"}).code == 0
    assert credited(work) == expected | {"elsewhere": "unclaimed"}


def test_what_a_session_used_is_put_down_to_whoever_had_it_then(work: GitRepo) -> None:
    """Tools before the model changed are the first setup's, those after it the second's; the session shows both."""
    ids = [work.register("claude", model="m-1", client="claude")]
    work.ok("session", "start", "--process", "0", env=CLAUDE)
    work.ok("session", "beat", "--tools", "3", env=CLAUDE)
    words = ("register", "claude", "--model", "m-2", "--scope", "all", "--json")
    ids.append(json.loads(work.ok(*words, env=CLAUDE))["agent"]["id"])
    work.ok("session", "beat", "--tools", "4", env=CLAUDE)
    assert commit(work, "second's", CLAUDE).code == 0
    work.ok("session", "start", "--process", "0", env=CLAUDE)
    shown = work.json("session", "show", "s-claude")["session"]
    assert (shown["agent_id"], [each["agent_id"] for each in shown["agents"]]) == (ids[0], ids)
    assert shown["metrics"]["experience_gained"] == 12
    assert f"{ids[1]} since" in work.ok("session", "show", "s-claude")
    earned = {each["id"]: each["experience_points"] for each in work.json("agents")["agents"]}
    assert earned == {ids[0]: 3, ids[1]: 9}
    assert credited(work) == {"second's": ids[1]}


def test_a_session_that_nothing_tells_apart_is_told_the_command_that_does(work: GitRepo) -> None:
    """It names the agent for this session, and what was committed before is its own too."""
    agents = [work.register("claude", model=model, client="claude") for model in ("m-1", "m-2")]
    done = commit(work, "open", CLAUDE)
    assert (done.code, "agent-tracker session start --agent ID" in done.err) == (0, True)
    work.ok("session", "start", "--agent", agents[1], env=CLAUDE)
    assert commit(work, "told", CLAUDE).err == ""
    assert credited(work) == {"open": agents[1], "told": agents[1]}


def test_without_a_session_in_the_environment_a_second_agent_must_be_named(work: GitRepo) -> None:
    """It is not tied to the client, which would leave the first one's commits open."""
    env = SHELLS["gemini"]
    words = ("--scope", "all", "--json")
    first = json.loads(work.ok("register", "one", "--model", "m-1", *words, env=env))["agent"]
    second = json.loads(work.ok("register", "two", "--model", "m-2", *words, env=env))["agent"]
    assert (first["client"], first["session"], first["other_agents"]) == ("gemini", None, [])
    assert (second["client"], second["session"], second["other_agents"]) == (None, None, [first["id"]])
    assert commit(work, "a", env).code == 0
    assert commit(work, "b", env | {"AGENT_TRACKER_AGENT": second["id"]}).code == 0
    assert credited(work) == {"a": first["id"], "b": second["id"]}
    said = work.ok("register", "three", "--model", "m-3", "--scope", "all", env=env)
    assert "export AGENT_TRACKER_AGENT=three-" in said


def test_a_person_in_a_clients_shell_registers_others(work: GitRepo) -> None:
    """What they register gets no session of theirs."""
    done = work.ok(
        "register", "x", "--model", "m", "--scope", "s", "--json", env=CLAUDE | {"AGENT_TRACKER_AGENT": "human"}
    )
    assert json.loads(done)["agent"]["session"] is None
    other = work.ok("register", "y", "--model", "m", "--scope", "s", "--client", "codex", "--json", env=CLAUDE)
    assert json.loads(other)["agent"]["session"] is None


def test_registering_the_same_in_another_session_ties_that_one(work: GitRepo) -> None:
    """An agent that was refused for having been nobody does the same each time; a person gets an error."""
    words = ("register", "claude", "--model", "m", "--scope", "all", "--json")
    first = json.loads(work.ok(*words, env=CLAUDE))["agent"]
    again = json.loads(work.ok(*words, env=CLAUDE | {"CLAUDE_CODE_SESSION_ID": "s-2"}))["agent"]
    assert (first["is_new"], again["is_new"], again["id"], again["session"]) == (True, False, first["id"], "s-2")
    assert work.tracker(*words).code == 1


def test_two_worktrees_two_agents_at_once(work: GitRepo, tmp_path: Path) -> None:
    """Two sessions of one client with two models, side by side in one repository."""
    work.git("commit", "--quiet", "--allow-empty", "-m", "start")
    work.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "linked")
    places = {"s-1": work, "s-2": GitRepo(tmp_path / "linked")}
    expected = {"start": "human"}
    for session, place in places.items():
        env = CLAUDE | {"CLAUDE_CODE_SESSION_ID": session}
        words = ("register", "claude", "--model", f"of-{session}", "--scope", "all", "--json")
        expected[f"by {session}"] = json.loads(place.ok(*words, env=env))["agent"]["id"]
    for session, place in reversed(places.items()):
        assert commit(place, f"by {session}", CLAUDE | {"CLAUDE_CODE_SESSION_ID": session}).err == ""
    assert credited(work) == expected
    assert len(set(expected.values())) == len(expected)


def test_a_session_that_was_bound_goes_on_in_another_repository(
    work: GitRepo, make_repo: Callable[..., GitRepo]
) -> None:
    """It is the process that is told by its environment, wherever it works."""
    agent = json.loads(work.ok("register", "c", "--model", "m", "--scope", "s", "--json", env=CLAUDE))["agent"]["id"]
    other = make_repo("other")
    other.ok("install-hooks")
    assert commit(other, "there", CLAUDE).code == 0
    assert credited(other) == {"there": agent}


def test_nothing_of_a_session_leaks_to_a_person_elsewhere(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """An agent is at work in one repository, in every way there is: a person's commit in another is theirs."""
    other = make_repo("other")
    other.ok("install-hooks")
    agent = json.loads(work.ok("register", "c", "--model", "m", "--scope", "s", "--json", env=CLAUDE))["agent"]["id"]
    work.ok("session", "start", "--agent", agent, "--id", "s-open", env=CLAUDE)
    work.ok("use", agent)
    bind(user_paths(os.environ), "s-bound", agent, now_ns=time.time_ns())
    assert commit(work, "agent's", CLAUDE).code == 0
    assert commit(other, "person's", {}).err == ""
    weak = {"CLAUDE_CODE_SESSION_ID": "s-claude", "COPILOT_MODEL": "gpt-5", "OPENCODE_PID": "1"}
    assert commit(other, "person's too", weak).err == ""
    assert commit(other, "caught by the reflog", {}, "--no-verify").code == 0
    other.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "-m", "without hooks")
    found = credited(other)
    assert found == {
        "person's": "human",
        "person's too": "human",
        "caught by the reflog": "human",
        "without hooks": "unclaimed",
    }
    assert why(other)["without hooks"]["basis"] == "unseen"
    assert credited(work) == {"agent's": agent}


# -- registered by itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def unasked(work: GitRepo) -> GitRepo:
    """A repository in which clients are registered by their first commit."""
    work.ok("config", "set", "autoRegister", "true", "--repo")
    return work


@pytest.mark.parametrize("client", ["claude", "opencode"])
def test_a_client_registers_by_its_first_commit(unasked: GitRepo, client: str) -> None:
    """Its name is the client's, its scope the whole repository, its model what is known; it is said once."""
    first, second = commit(unasked, "first", SHELLS[client]), commit(unasked, "second", SHELLS[client])
    assert (first.code, second.code, second.err) == (0, 0, "")
    assert "autoRegister is on" in first.err
    (agent,) = unasked.json("agents")["agents"]
    assert (agent["name"], agent["client"], agent["model"], agent["scope"]) == (
        client,
        client,
        "unknown",
        "whole repository",
    )
    assert credited(unasked) == {"first": agent["id"], "second": agent["id"]}


def test_what_is_known_is_registered(unasked: GitRepo) -> None:
    """The model that the client was told, the scope that AGENTS.md gives."""
    unasked.write("AGENTS.md", "# Here\n\n<!-- agent-tracker scope: the backend -->\n")
    env = SHELLS["copilot"] | {"COPILOT_MODEL": "gpt-5"}
    assert commit(unasked, "a", env).code == 0
    (agent,) = unasked.json("agents")["agents"]
    assert (agent["model"], agent["scope"]) == ("gpt-5", "the backend")
    assert why(unasked)["a"]["reason"] == "session s-copilot"


def test_of_several_agents_the_model_tells(unasked: GitRepo) -> None:
    """Where a session can be tied to the one; else it stays open."""
    agents = [unasked.register("claude", model=model, client="claude") for model in ("m-1", "m-2")]
    assert commit(unasked, "a", CLAUDE | {"ANTHROPIC_MODEL": "m-2"}).err == ""
    for model in ("m-1", "m-2"):
        unasked.register("gemini", model=model, client="gemini")
    assert "may be several" in commit(unasked, "b", SHELLS["gemini"] | {"GEMINI_MODEL": "m-2"}).err
    assert credited(unasked) == {"a": agents[1], "b": "unclaimed"}


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"AI_AGENT": "newcomer"}, id="unknown-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "nobody"}, id="named"),
        pytest.param(SHELLS["claude"] | SHELLS["gemini"], id="two-clients"),
    ],
)
def test_who_cannot_be_known_is_refused_as_ever(unasked: GitRepo, env: dict[str, str]) -> None:
    """There is nothing to register them by."""
    refused = commit(unasked, "a", env)
    assert (refused.code, "agent-tracker register" in refused.err) == (1, True)
    assert unasked.json("agents")["agents"] == []


def test_a_retired_or_halted_agent_does_not_register_anew(unasked: GitRepo) -> None:
    """A person's word on it stands."""
    assert commit(unasked, "a", SHELLS["gemini"]).code == 0
    unasked.ok("agents", "retire", "gemini")
    refused = commit(unasked, "b", SHELLS["gemini"])
    assert (refused.code, "is retired" in refused.err) == (1, True)
    assert len(unasked.json("agents")["agents"]) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_home_that_cannot_be_written_keeps_no_commit_back(unasked: GitRepo, home: Path) -> None:
    """One line says so, and git goes on."""
    state = home / ".local/state/agent-tracker"
    state.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        done = commit(unasked, "a", CLAUDE)
    finally:
        state.chmod(stat.S_IRWXU)
    assert (done.code, "git goes on" in done.err) == (0, True)


@pytest.mark.parametrize(
    ("option", "value"), [("--auto-register", "true"), ("--no-auto-register", "false"), (None, "")]
)
def test_the_installer_may_be_told(repo: GitRepo, option: str | None, value: str) -> None:
    """It is this repository's setting then; in a pipe nobody is asked."""
    repo.ok("install-hooks", *([option] if option else []))
    assert repo.try_git("config", "agenttracker.autoRegister").out.strip() == value


@pytest.mark.parametrize(("answer", "value"), [("y", "true"), ("n", "false")])
def test_the_installer_asks_on_a_terminal_once(repo: GitRepo, answer: str, value: str) -> None:
    """And takes the answer for good."""
    with Terminal("install-hooks", "--no-scan", cwd=repo.path) as terminal:
        terminal.until("registered by their first commit")
        terminal.send(f"{answer}\n")
        assert terminal.code() == 0
    assert repo.git("config", "agenttracker.autoRegister") == value
    with Terminal("install-hooks", "--no-scan", cwd=repo.path) as terminal:
        assert "registered by their first commit" not in terminal.until("Next: ")


def test_the_template_has_no_repository_to_set_it_in(tmp_path: Path) -> None:
    """The user's own setting is named."""
    done = run(sys.executable, "-m", "agent_tracker", "install-hooks", "--template", "--auto-register", cwd=tmp_path)
    assert (done.code, "agent-tracker config set autoRegister true" in done.err) == (2, True)


# -- why ---------------------------------------------------------------------------------------------------------------


def test_every_commit_says_why(work: GitRepo) -> None:
    """By a variable, a mark in the commit, `use`, nobody's and a person's; and what a person put right."""
    work.register("one", client="aider")
    two = work.register("two")
    commit(work, "variable", {"AGENT_TRACKER_AGENT": "one"})
    commit(work, "human", {"AGENT_TRACKER_AGENT": "human"})
    commit(work, "trailer", {}, "-m", "Co-authored-by: aider (m) <aider@aider.chat>")
    commit(work, "none", {})
    work.ok("use", "one")
    commit(work, "use", {})
    work.ok("use", "--stop")
    work.ok("credit", "HEAD", "two", "--why", "they paired\x1b[2J")
    found = why(work)
    assert {subject: each["basis"] for subject, each in found.items()} == {
        "variable": "variable",
        "human": "variable",
        "trailer": "commit",
        "none": "none",
        "use": "correction",
    }
    assert found["use"]["reason"] == "they paired\x1b[2J"
    assert credited(work)["use"] == two
    shown = work.ok("log", "--why")
    for words in (
        "AGENT_TRACKER_AGENT=human",
        "commit mark: Co-authored-by: aider",
        "no mark of an agent",
        "put right",
    ):
        assert words in shown
    assert "\x1b" not in shown


def test_a_shared_credit_says_of_what_it_is_made(work: GitRepo) -> None:
    """The amend of another's commit: whose lines, by what mark, and from where."""
    one = work.register("one", client="claude")
    first = work.commit("feat: a", text="1\n2\n3\n", env=CLAUDE)
    work.commit("feat: a", "--amend", text="1\n2\n3\n4\n")
    (reason,) = why(work).values()
    theirs, own = reason["origins"]
    assert reason["basis"] == "rewrite"
    assert (theirs["commit_hash"], theirs["operation"], theirs["lines"]) == (first, "amend", 3)
    assert theirs["credits"] == [{"agent_id": one, "share": 1.0}]
    assert (theirs["why"]["basis"], own["why"]["basis"], own["commit_hash"]) == ("client", "none", None)
    assert f"amend of {first[:10]}, 3 lines: {one}, client claude; its own" in work.ok("log", "--why")


def test_what_was_rewritten_and_rewritten_says_what_it_was_at_first(work: GitRepo) -> None:
    """By a rebase of an amended commit: the mark of the commit that was made."""
    work.register("one", client="claude")
    work.commit("base: b")
    work.git("switch", "--quiet", "-c", "topic")
    work.commit("feat: a", env=CLAUDE)
    work.git("commit", "--quiet", "--amend", "-m", "feat: a, reworded", env={"AGENT_TRACKER_AGENT": "human"})
    work.git("switch", "--quiet", "main")
    work.commit("other: c")
    work.git("rebase", "--quiet", "main", "topic")
    reason = why(work)["feat: a, reworded"]
    assert [(each["operation"], each["why"]["reason"]) for each in reason["origins"]] == [("rebase", "client claude")]
