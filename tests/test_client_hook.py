"""What clients run: each payload becomes a line, whatever it holds, and nothing else happens."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_tracker.clients.hook import record
from agent_tracker.clients.registry import ADAPTERS
from agent_tracker.context import Context
from agent_tracker.installation.client_script import command_line, script_path
from agent_tracker.installation.installing import install
from agent_tracker.journal import PulseFact, SessionFact
from agent_tracker.lines import parse_line
from agent_tracker.paths import user_paths
from agent_tracker.records import SeenCommit
from agent_tracker.registry import read_session
from agent_tracker.repository import find_repository
from agent_tracker.verbs.agents import register
from agent_tracker.verbs.clients import connect
from facts import UNHURRIED

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.records import Seen
    from gitrepo import GitRepo

SESSION = "5095d0a2-1ebe-4d04-a108-458fecc8681c"
CHILD = "af6485336cbda9f6d"
NOW_NS = 1_800_000_000 * 10**9


@pytest.fixture
def tracked(repo: GitRepo) -> GitRepo:
    """A repository with hooks and a commit."""
    repo.commit("base")
    install(find_repository(str(repo.path), {}), context())
    return repo


def context() -> Context:
    """Return what a verb is given here."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


def registered(name: str, client: str, model: str = "model-1") -> str:
    """Register an agent and return its id."""
    return register(context(), name, model=model, scope="all", client=client).agent.id


def payload(repo: GitRepo, event: str, **more: object) -> dict[str, object]:
    """Return what Claude Code says on an event."""
    return {"hook_event_name": event, "session_id": SESSION, "cwd": str(repo.path), **more}


def tell(repo: GitRepo, event: str, name: str = "claude", at_ns: int = NOW_NS, **more: object) -> None:
    """Hand one payload to a client's hook, in this process."""
    record(ADAPTERS[name], json.dumps(payload(repo, event, **more)).encode(), os.environ, at_ns)


def said(repo: GitRepo) -> list[Seen]:
    """Return what the spool says."""
    path = repo.path / ".git/agent-tracker/spool"
    return [parse_line(line) for line in path.read_bytes().split(b"\n") if line] if path.is_file() else []


def used(repo: GitRepo) -> list[tuple[str, str, int, int, int]]:
    """Return what the pulses in the spool say."""
    return [
        (each.session, each.what, each.tools, each.commands, each.failures)
        for each in said(repo)
        if isinstance(each, PulseFact)
    ]


def begun(repo: GitRepo) -> list[SessionFact]:
    """Return the sessions that began by the spool."""
    return [each for each in said(repo) if isinstance(each, SessionFact)]


# -- sessions


def test_a_session_begins_is_used_and_ends(tracked: GitRepo) -> None:
    """Each event is one line, and the session is known to the git hooks from the first one on."""
    agent = registered("ada", "claude")
    tell(tracked, "SessionStart")
    assert len(said(tracked)) == 1
    tell(tracked, "PostToolUse", tool_name="Read")
    tell(tracked, "PostToolUse", tool_name="Bash")
    tell(tracked, "PostToolUseFailure", tool_name="Bash")
    tell(tracked, "PreCompact")
    tell(tracked, "Stop")
    tell(tracked, "SessionEnd")
    fact = begun(tracked)[0]
    assert (fact.id, fact.agent, fact.client, fact.model) == (SESSION, agent, "claude", "model-1")
    assert fact.worktree == str(tracked.path)
    assert fact.process
    assert used(tracked) == [
        (SESSION, "beat", 1, 0, 0),
        (SESSION, "beat", 0, 1, 0),
        (SESSION, "beat", 0, 0, 1),
        (SESSION, "compact", 0, 0, 0),
        (SESSION, "idle", 0, 0, 0),
        (SESSION, "end", 0, 0, 0),
    ]
    assert tracked.json("session", "list")["sessions"][0]["state"] == "ended"
    assert tracked.json("agents", "list")["agents"][0]["experience_earned"] == 3


def test_a_commit_in_a_session_is_its_agents(tracked: GitRepo) -> None:
    """Two agents of one client are told apart by the session that the client told of, also by the shell alone."""
    registered("ada", "claude", "small")
    bea = registered("bea", "claude", "large")
    tell(tracked, "SessionStart", model="large")
    tracked.commit("work", env={"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": SESSION})
    seen = [each for each in said(tracked) if isinstance(each, SeenCommit)]
    assert [each.resolved for each in seen] == [bea]
    tracked.ok("flush")
    assert tracked.credited()["work"] == bea


def test_a_session_begins_with_whatever_is_told_first(tracked: GitRepo) -> None:
    """A client that was connected in mid-session, or says nothing of the beginning, is heard all the same."""
    registered("ada", "qwen")
    tell(tracked, "PostToolUse", "qwen", tool_name="write_file")
    assert [fact.id for fact in begun(tracked)] == [SESSION]
    assert used(tracked) == [(SESSION, "beat", 1, 0, 0)]


def test_a_session_waits_for_its_model(tracked: GitRepo, tmp_path: Path) -> None:
    """Where a transcript names it after the first answer, the git hooks know the session at once, the fact follows."""
    agent = registered("ada", "claude")
    transcript = tmp_path / "transcript.jsonl"
    tell(tracked, "SessionStart", transcript_path=str(transcript))
    assert said(tracked) == []
    marker = user_paths(os.environ).state_dir + f"/sessions/{SESSION}"
    assert Path(marker).read_text().startswith(f"{agent}\n")
    transcript.write_text('{"message": {"model": "<synthetic>"}}\n{"message":{"model":"claude-x-5","role":"a"}}\n')
    later_ns = NOW_NS + 10**9
    tell(tracked, "PostToolUse", at_ns=later_ns, tool_name="Read", transcript_path=str(transcript))
    tell(tracked, "PostToolUse", at_ns=later_ns, tool_name="Read", transcript_path=str(transcript))
    assert [(fact.model, fact.recorded_ns) for fact in begun(tracked)] == [("claude-x-5", NOW_NS)]
    assert len(used(tracked)) == 2


def test_a_session_without_an_answer_ends_with_its_agents_model(tracked: GitRepo, tmp_path: Path) -> None:
    """It waits for its model no longer than it lasts."""
    registered("ada", "claude")
    tell(tracked, "SessionStart", transcript_path=str(tmp_path / "none"))
    tell(tracked, "SessionEnd", transcript_path=str(tmp_path / "none"))
    assert [fact.model for fact in begun(tracked)] == ["model-1"]
    assert [what for _, what, *_ in used(tracked)] == ["end"]


def test_a_subagent_is_a_session_with_a_parent(tracked: GitRepo) -> None:
    """What it does is its own, its parent's agent is its agent, and its end is not its parent's."""
    agent = registered("ada", "claude")
    tell(tracked, "SessionStart")
    tell(tracked, "SubagentStart", agent_id=CHILD)
    tell(tracked, "PostToolUse", tool_name="Bash", agent_id=CHILD)
    tell(tracked, "SubagentStop", agent_id=CHILD)
    assert [(fact.id, fact.agent, fact.parent) for fact in begun(tracked)] == [
        (SESSION, agent, ""),
        (CHILD, agent, SESSION),
    ]
    assert used(tracked) == [(CHILD, "beat", 0, 1, 0), (CHILD, "end", 0, 0, 0)]


def test_a_subagent_of_a_model_that_nobody_has_is_its_parents_agents(tracked: GitRepo) -> None:
    """Where the client's agents do not tell whose it is, its parent does."""
    ada = registered("ada", "codex", "small")
    registered("bea", "codex", "large")
    tell(tracked, "SessionStart", "codex", model="small")
    tell(tracked, "SubagentStart", "codex", model="other", agent_id=CHILD)
    assert [(fact.id, fact.agent, fact.model) for fact in begun(tracked)] == [
        (SESSION, ada, "small"),
        (CHILD, ada, "other"),
    ]


def test_a_session_that_is_told_of_again_goes_on(tracked: GitRepo) -> None:
    """Resumed after its end, it is open again."""
    registered("ada", "claude")
    tell(tracked, "SessionStart")
    tell(tracked, "SessionEnd", at_ns=NOW_NS + 1)
    tell(tracked, "SessionStart", at_ns=NOW_NS + 2, source="resume")
    assert [what for _, what, *_ in used(tracked)] == ["end", "resume"]
    assert len(begun(tracked)) == 1


def test_nobodys_session_is_not_written_down_until_somebody_is_registered(tracked: GitRepo) -> None:
    """Without an agent nothing is said; the first event after its registration begins the session."""
    tell(tracked, "SessionStart")
    tell(tracked, "PostToolUse", tool_name="Read")
    assert said(tracked) == []
    registered("ada", "claude")
    tell(tracked, "PostToolUse", tool_name="Read")
    assert (len(begun(tracked)), len(used(tracked))) == (1, 1)


@pytest.mark.parametrize(
    ("env", "use", "who"),
    [
        ({"AGENT_TRACKER_AGENT": "bea"}, "", "bea"),
        ({"AGENT_TRACKER_AGENT": "human"}, "", ""),
        ({"AGENT_TRACKER_AGENT": "nobody"}, "", ""),
        ({}, "bea", "bea"),
        ({}, "cid", ""),
        ({}, "", ""),
    ],
    ids=["named", "human", "unknown", "used", "used of another client", "several"],
)
def test_whose_a_session_is(
    tracked: GitRepo, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], use: str, who: str
) -> None:
    """What a person said counts before what the client's agents tell; of another client's agent it never is."""
    ids = {"": ""}
    ids["ada"] = registered("ada", "claude")
    ids["bea"] = registered("bea", "claude")
    ids["cid"] = registered("cid", "codex")
    if use:
        tracked.ok("use", use)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    tell(tracked, "SessionStart", at_ns=time.time_ns())
    assert [fact.agent for fact in begun(tracked)] == ([ids[who]] if who else [])


@pytest.mark.parametrize(
    ("model", "found"),
    [("large-1", "bea"), ("anthropic/large-1", "bea"), ("other", None)],
    ids=["model", "provider", "no such model"],
)
def test_the_agent_of_a_client_and_a_model(tracked: GitRepo, model: str, found: str | None) -> None:
    """Of several the one that has the model."""
    ids = {name: registered(name, "claude", made) for name, made in (("ada", "small-1"), ("bea", "large-1"))}
    tell(tracked, "SessionStart", model=model)
    assert [fact.agent for fact in begun(tracked)] == ([ids[found]] if found else [])


def test_another_model_in_mid_session_is_another_agent(tracked: GitRepo) -> None:
    """Its commits and what it uses are its own from then on, and nobody's before are touched."""
    ada, bea = registered("ada", "codex", "gpt-5"), registered("bea", "codex", "gpt-5-mini")
    env = {"CODEX_CI": "1", "CODEX_SESSION_ID": SESSION}
    tell(tracked, "SessionStart", "codex", time.time_ns(), model="gpt-5")
    tracked.commit("one", env=env)
    tell(tracked, "PostToolUse", "codex", time.time_ns(), model="gpt-5", tool_name="Bash")
    tell(tracked, "PostToolUse", "codex", time.time_ns(), model="gpt-5-mini", tool_name="Bash")
    time.sleep(1.1)  # a commit's time has no parts of a second
    tracked.commit("two", env=env)
    tell(tracked, "PostToolUse", "codex", time.time_ns(), model="gpt-5-mini", tool_name="Bash")
    tracked.ok("flush")
    credited = tracked.credited()
    assert (credited["one"], credited["two"]) == (ada, bea)
    assert "Clean" in tracked.ok("verify")


def test_a_model_that_nobody_can_be_told_of_costs_no_line(tracked: GitRepo) -> None:
    """Where whose the session is cannot be written down, what was used is; and it is asked again the next time."""
    registered("ada", "codex", "gpt-5"), registered("bea", "codex", "gpt-5-mini")
    tell(tracked, "SessionStart", "codex", model="gpt-5")
    tracked.ok("flush")
    spool = Path(user_paths(os.environ).spool_dir)
    aside = spool.rename(spool.with_name("aside"))
    spool.write_text("in its place")
    tell(tracked, "PostToolUse", "codex", model="gpt-5-mini", tool_name="Bash")
    assert used(tracked) == [(SESSION, "beat", 0, 1, 0)]
    spool.unlink()
    aside.rename(spool)
    tell(tracked, "PostToolUse", "codex", model="gpt-5-mini", tool_name="Bash")
    assert read_session(user_paths(os.environ).registry, SESSION).startswith("bea")


def test_a_person_s_word_stays_whatever_the_model(tracked: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """AGENT_TRACKER_AGENT names the agent of the whole session."""
    ada, _ = registered("ada", "codex", "gpt-5"), registered("bea", "codex", "gpt-5-mini")
    monkeypatch.setenv("AGENT_TRACKER_AGENT", ada)
    tell(tracked, "SessionStart", "codex", model="gpt-5")
    tell(tracked, "PostToolUse", "codex", model="gpt-5-mini", tool_name="Bash")
    assert read_session(user_paths(os.environ).registry, SESSION) == ada


@pytest.mark.parametrize("is_wanted", [True, False], ids=["autoRegister", "not"])
def test_a_client_registers_by_itself_where_that_is_wanted(
    tracked: GitRepo, monkeypatch: pytest.MonkeyPatch, *, is_wanted: bool
) -> None:
    """With the model that it tells, before its first commit; otherwise nobody is registered by a session."""
    monkeypatch.setenv("AGENT_TRACKER_AUTO_REGISTER", str(is_wanted).lower())
    tell(tracked, "SessionStart", "codex", time.time_ns(), model="gpt-5.2")
    agents = [(each["name"], each["model"], each["client"]) for each in tracked.json("agents", "list")["agents"]]
    assert agents == ([("codex", "gpt-5.2", "codex")] if is_wanted else [])
    assert len(begun(tracked)) == 0  # flushed
    tell(tracked, "PostToolUse", "codex", time.time_ns(), model="gpt-5.3", tool_name="Bash")
    tracked.ok("flush")
    models = {each["model"] for each in tracked.json("agents", "list")["agents"]}
    assert models == ({"gpt-5.2", "gpt-5.3"} if is_wanted else set())


def test_a_halted_agent_is_given_no_session(tracked: GitRepo) -> None:
    """Nor is one that retired."""
    ada = registered("ada", "claude")
    tracked.ok("agents", "retire", ada)
    tell(tracked, "SessionStart")
    assert begun(tracked) == []


def test_a_repository_without_agent_tracker_is_left_alone(repo: GitRepo, home: Path) -> None:
    """Nothing is written, neither there nor at home."""
    registered("ada", "claude")
    before = sorted(home.rglob("*"))
    tell(repo, "SessionStart")
    assert sorted(home.rglob("*")) == before
    assert not (repo.path / ".git/agent-tracker").exists()


def test_a_linked_worktree_is_its_own_place(tracked: GitRepo, tmp_path: Path) -> None:
    """The line goes to the common spool, and says in which worktree the session is."""
    registered("ada", "claude")
    tracked.git("worktree", "add", "--quiet", tmp_path / "other")
    tell(tracked, "SessionStart", cwd=str(tmp_path / "other"))
    assert [fact.worktree for fact in begun(tracked)] == [str(tmp_path / "other")]


# -- commits that no git hook saw


def without_hooks(repo: GitRepo, subject: str) -> str:
    """Commit as Gemini CLI's shell does."""
    repo.write(f"{subject}.txt", subject)
    repo.git("add", "--all")
    repo.git("-c", "core.hooksPath=", "commit", "--quiet", "-m", subject)
    return repo.head()


def test_commits_in_a_shell_without_hooks_are_its_sessions(tracked: GitRepo) -> None:
    """What a tool committed is credited to the session's agent; what came between two turns is the user's."""
    agent = registered("ada", "gemini")
    tell(tracked, "SessionStart", "gemini")
    tracked.commit("mine")
    tell(tracked, "BeforeAgent", "gemini")
    oids = [without_hooks(tracked, "first"), without_hooks(tracked, "second")]
    tell(tracked, "AfterTool", "gemini", tool_name="run_shell_command")
    tell(tracked, "AfterTool", "gemini", tool_name="read_file")
    tracked.git("reset", "--quiet", "--hard", "HEAD~1")
    tell(tracked, "AfterTool", "gemini", tool_name="run_shell_command")
    seen = [each.oid.hex() for each in said(tracked) if isinstance(each, SeenCommit) and each.variables]
    assert seen == oids
    tracked.ok("flush")
    credited = tracked.credited()
    assert (credited["mine"], credited["first"]) == ("human", agent)


def test_a_commit_that_a_hook_saw_is_not_told_twice(tracked: GitRepo) -> None:
    """Whose it is, the hook knew better."""
    registered("ada", "gemini")
    tell(tracked, "SessionStart", "gemini")
    tell(tracked, "BeforeAgent", "gemini")
    tracked.commit("mine")
    tell(tracked, "AfterTool", "gemini", tool_name="run_shell_command")
    assert len([each for each in said(tracked) if isinstance(each, SeenCommit)]) == 1


def test_a_checkout_or_a_pull_is_nobodys_work(tracked: GitRepo, tmp_path: Path) -> None:
    """Only entries of the reflog that made a commit count."""
    registered("ada", "gemini")
    other = tracked.clone(tmp_path / "other")
    other.commit("theirs")
    tell(tracked, "SessionStart", "gemini")
    tell(tracked, "BeforeAgent", "gemini")
    tracked.git("-c", "core.hooksPath=", "pull", "--quiet", "--ff-only", other.path, "main")
    tracked.git("-c", "core.hooksPath=", "checkout", "--quiet", "-b", "side")
    tell(tracked, "AfterTool", "gemini", tool_name="run_shell_command")
    assert [each for each in said(tracked) if isinstance(each, SeenCommit)] == []


# -- the script, and whatever is wrong


def call(repo: GitRepo, data: bytes, *, name: str = "claude", env: dict[str, str] | None = None) -> None:
    """Run the hook as a client does, and see that it says nothing and does not fail."""
    done = subprocess.run(
        ["/bin/sh", "-c", command_line(user_paths(os.environ), name)],
        cwd=repo.path,
        env={**os.environ, **(env or {})},
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.fixture
def connected(tracked: GitRepo) -> GitRepo:
    """A repository with hooks, in which Claude Code is connected and has an agent."""
    registered("ada", "claude")
    connect("claude", context())
    return tracked


def test_the_script_writes_the_line(connected: GitRepo) -> None:
    """The line of shell that stands in the client's settings does what it is there for."""
    call(connected, json.dumps(payload(connected, "SessionStart")).encode())
    call(connected, json.dumps(payload(connected, "PostToolUse", tool_name="Bash")).encode())
    assert [fact.id for fact in begun(connected)] == [SESSION]
    assert used(connected) == [(SESSION, "beat", 0, 1, 0)]


HOSTILE: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"\x00\xff{",
    "a list": lambda _: b"[]",
    "bad UTF-8": lambda told: json.dumps(told).encode().replace(b"Bash", b"\xff\xfe\xc0"),
    "10 MB": lambda told: json.dumps({**told, "tool_response": "x" * (10 << 20)}).encode(),
    "40 MB": lambda told: json.dumps({**told, "tool_response": "x" * (40 << 20)}).encode(),
    "deep": lambda told: json.dumps(told).encode()[:-1] + b', "x": ' + b"[" * 300_000,
    "control characters": lambda told: json.dumps({**told, "session_id": "a\nb\t\x1b[31m", "model": "\x07"}).encode(),
    "a long id": lambda told: json.dumps({**told, "session_id": "x" * 5000}).encode(),
    "an id that is a path": lambda told: json.dumps({**told, "session_id": "../../x"}).encode(),
    "an id that is hidden": lambda told: json.dumps({**told, "session_id": ".x"}).encode(),
    "a lone surrogate": lambda told: json.dumps({**told, "session_id": "\ud800"}).encode(),
    "a number for a word": lambda told: json.dumps({**told, "session_id": 7, "cwd": []}).encode(),
    "a place that is none": lambda told: json.dumps({**told, "cwd": "/nowhere/at/all"}).encode(),
    "a NUL in the place": lambda told: json.dumps({**told, "cwd": "/a\0/x"}).encode(),
    "a device for a transcript": lambda told: json.dumps({**told, "transcript_path": "/dev/zero"}).encode(),
    "a long number": lambda told: json.dumps(told).encode()[:-1] + b', "x": ' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_that_is_told_makes_the_hook_fail(connected: GitRepo, what: str) -> None:
    """Exit code 0, not a word, and every line in the spool is one of ours."""
    for event in ("SessionStart", "PostToolUse"):
        call(connected, HOSTILE[what](payload(connected, event, tool_name="Bash")))
    assert all(isinstance(each, SessionFact | PulseFact) for each in said(connected))


def break_spool(repo: GitRepo, _home: Path) -> None:
    """A directory where the spool would be."""
    (repo.path / ".git/agent-tracker/spool").mkdir()


def link_spool(repo: GitRepo, _home: Path) -> None:
    """A link where the spool would be."""
    (repo.path / ".git/agent-tracker/spool").symlink_to(repo.path / "elsewhere")


def pipe_spool(repo: GitRepo, _home: Path) -> None:
    """A pipe where the spool would be."""
    os.mkfifo(repo.path / ".git/agent-tracker/spool")


def link_directory(repo: GitRepo, _home: Path) -> None:
    """A link where our directory would be."""
    (repo.path / ".git/agent-tracker").rename(repo.path / "elsewhere")
    (repo.path / ".git/agent-tracker").symlink_to(repo.path / "elsewhere")


def lose_head(repo: GitRepo, _home: Path) -> None:
    """A repository that is none."""
    (repo.path / ".git/HEAD").unlink()


def lose_home(_repo: GitRepo, home: Path) -> None:
    """A state directory in which nothing can be written."""
    (home / ".local/state/agent-tracker/sessions").write_text("no directory")
    (home / ".local/state/agent-tracker/clients").write_text("no directory")


def lose_registry(_repo: GitRepo, home: Path) -> None:
    """A registry that says nothing."""
    (home / ".local/state/agent-tracker/registry/agents").write_bytes(b"\xff\x00\n\t\t\t")


BROKEN = [break_spool, link_spool, pipe_spool, link_directory, lose_head, lose_home, lose_registry]


@pytest.mark.parametrize("make", BROKEN, ids=[make.__name__ for make in BROKEN])
def test_nothing_that_is_broken_makes_the_hook_fail(
    connected: GitRepo, home: Path, make: Callable[[GitRepo, Path], None]
) -> None:
    """Exit code 0 and not a word, whatever cannot be read or written; nothing is written through a link."""
    make(connected, home)
    for event in ("SessionStart", "PostToolUse", "SessionEnd"):
        call(connected, json.dumps(payload(connected, event)).encode())
    assert not (connected.path / "elsewhere/spool").exists()
    assert not (connected.path / "elsewhere").is_file()


def test_a_home_that_cannot_be_written_loses_nothing(connected: GitRepo, home: Path) -> None:
    """The git hooks cannot be told, so the line says it at once."""
    lose_home(connected, home)
    call(connected, json.dumps(payload(connected, "SessionStart", transcript_path="/nowhere")).encode())
    assert [fact.id for fact in begun(connected)] == [SESSION]


def test_an_id_that_is_no_file_name_is_a_session_too(connected: GitRepo) -> None:
    """Nothing is remembered of it but whose it is: its line comes at once, and once."""
    for event in ("SessionStart", "PostToolUse", "SessionEnd"):
        tell(connected, event, session_id="a/b:c", transcript_path="/nowhere", tool_name="Read")
    assert [fact.id for fact in begun(connected)] == ["a/b:c"]
    assert [what for _, what, *_ in used(connected)] == ["beat", "end"]


def test_what_could_not_be_appended_is_tried_again(connected: GitRepo) -> None:
    """A session whose line could not be written has not begun."""
    spool = connected.path / ".git/agent-tracker/spool"
    spool.mkdir()
    call(connected, json.dumps(payload(connected, "SessionStart")).encode())
    spool.rmdir()
    call(connected, json.dumps(payload(connected, "PostToolUse", tool_name="Read")).encode())
    assert (len(begun(connected)), len(used(connected))) == (1, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="who may not write is another user")
def test_a_read_only_repository_is_left_alone(connected: GitRepo) -> None:
    """Codex may make .git read-only: a file system that takes nothing costs a line, not the tool."""
    directory = connected.path / ".git/agent-tracker"
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", directory, directory], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        call(connected, json.dumps(payload(connected, "SessionStart")).encode())
        assert said(connected) == []
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("what", ["script", "interpreter", "package"])
def test_a_hook_left_behind_is_harmless(connected: GitRepo, home: Path, what: str) -> None:
    """Where what it runs is gone, it does nothing and says nothing."""
    script = home / os.path.relpath(script_path(user_paths(os.environ)), home)
    text = script.read_text()
    if what == "script":
        script.unlink()
    elif what == "interpreter":
        script.write_text(
            "\n".join("at_python=/gone" if line[:9] == "at_python" else line for line in text.split("\n"))
        )
    else:
        script.write_text(text.replace("agent_tracker.clients.hook", "agent_tracker.clients.gone"))
    call(connected, json.dumps(payload(connected, "SessionStart")).encode())
    assert said(connected) == []


@settings(UNHURRIED, suppress_health_check=[*HealthCheck], max_examples=60)
@given(
    name=st.sampled_from(sorted(ADAPTERS)),
    event=st.sampled_from(sorted({event for client in ADAPTERS.values() for event in client.EVENTS})),
    session=st.text(max_size=30),
    child=st.text(max_size=10),
    model=st.text(max_size=30),
)
def test_every_line_can_be_read_again(  # noqa: PLR0913, PLR0917 -- one a field
    connected: GitRepo, name: str, event: str, session: str, child: str, model: str
) -> None:
    """Whatever words a client uses, the spool holds nothing that a flush would set aside."""
    told = payload(
        connected, event, session_id=session, agent_id=child, model=model, what=event, conversation_id=session
    )
    with suppress(ValueError):
        record(ADAPTERS[name], json.dumps(told).encode(), os.environ, NOW_NS)
    assert all(isinstance(each, SessionFact | PulseFact) for each in said(connected))
