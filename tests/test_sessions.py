"""Sessions: begun, alive, idle, ended, found dead; whose commits are, and what is summed up of them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker import journal_tables
from agent_tracker.context import Context, open_store
from agent_tracker.derived import SessionState
from agent_tracker.flush import flush
from agent_tracker.journal import MAX_COUNT, ActivityFact, SessionFact
from agent_tracker.lapse import QUIET_S, UNKNOWN_S, find_lapsed
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.processes import start_of
from agent_tracker.registry import KEEP_SESSIONS_S, keep_session, read_session, write_session
from agent_tracker.rendering.sessions import MAX_SUMMARY, metric_words, summary_text
from agent_tracker.repository import find_repository
from agent_tracker.settled import is_settled
from agent_tracker.verbs import session_sheets, sessions
from agent_tracker.verbs.reading import read
from agent_tracker.views.sessions import Held, Metrics, spans, state_word
from facts import (
    NOW,
    PROJECT,
    UNHURRIED,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    fact_id,
    listed,
    project_fact,
    pulse,
    reading,
    session,
    store_at,
)
from gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.records import CommitFact
    from agent_tracker.tables import Snapshot

NS = 10**9


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with hooks."""
    repo.ok("install-hooks")
    return repo


def in_session(name: str) -> dict[str, str]:
    """Return the environment of a shell that exported what `session start` printed."""
    return {"AGENT_TRACKER_SESSION": name}


def begin(repo: GitRepo, *options: str, env: dict[str, str] | None = None) -> str:
    """Begin a session and return its id."""
    return str(json.loads(repo.ok("session", "start", *options, "--json", env=env))["session"]["id"])


def credited(repo: GitRepo) -> dict[str, str]:
    """Return who each counted commit belongs to, by subject, after a flush."""
    repo.ok("flush")
    return repo.credited()


def shown(repo: GitRepo, name: str) -> dict[str, Any]:
    """Return a session's sheet."""
    found = repo.json("session", "show", name)["session"]
    assert isinstance(found, dict)
    return found


def subjects(repo: GitRepo, name: str) -> list[str]:
    """Return the subjects of a session's commits, the newest first."""
    return [commit["task_description"] for commit in shown(repo, name)["commits"]]


def context(*, later_s: float = 0) -> Context:
    """Return what a verb is given, at a later time."""
    return Context(user_paths(os.environ), os.environ, time.time_ns() + int(later_s * NS))


# -- from beginning to end


def test_a_session_from_beginning_to_end(work: GitRepo) -> None:
    """What it used, made and earned is known, as of each time that it went idle."""
    agent = work.register("coder", model="m-9")
    done = work.tracker(
        "session", "start", "--agent", "coder", "--id", "s-1", "--capability", "browser", "--port", "80"
    )
    assert (done.code, done.out) == (0, "export AGENT_TRACKER_SESSION=s-1\n")
    oid = work.commit("feat: a", env=in_session("s-1"))
    work.ok("session", "beat", "--tools", "3", "--commands", "1", "--response-ms", "100", env=in_session("s-1"))
    work.ok("session", "idle", "--failures", "1", "--response-ms", "300", env=in_session("s-1"))
    assert shown(work, "s-1")["state"] == "idle"
    work.ok("session", "beat", env=in_session("s-1"))
    assert shown(work, "s-1")["state"] == "open"
    told = work.ok("session", "end", "--commands", "2", env=in_session("s-1"))
    assert "Session s-1 ended." in told
    assert "earned     14 XP" in told
    found = shown(work, "s-1")
    assert {name: found[name] for name in ("agent_id", "model", "port", "capabilities", "state", "end")} == {
        "agent_id": agent,
        "model": "m-9",
        "port": 80,
        "capabilities": ["browser"],
        "state": "ended",
        "end": "end",
    }
    assert [commit["commit_hash"] for commit in found["commits"]] == [oid]
    metrics = found["metrics"]
    assert metrics.pop("duration_s") >= 0
    assert metrics == {
        "tools": 3,
        "commands": 3,
        "failures": 1,
        "commits": 1,
        "responses": 2,
        "response_ms_mean": 200,
        "response_ms_slowest": 300,
        "experience_gained": 14,
    }
    assert [(m["what"], m["tools"], m["commands"], m["failures"]) for m in found["moments"]] == [
        ("idle", 3, 1, 1),
        ("end", 3, 3, 1),
    ]
    (coder,) = work.json("agents")["agents"]
    assert coder["experience_earned"] == 14


def test_what_start_prints_makes_a_shell_the_session_s(work: GitRepo) -> None:
    """Evaluated as it is; the words for people go to stderr."""
    agent = work.register("coder")
    program = (
        f'eval "$({sys.executable} -m agent_tracker session start --agent coder --id "it\'s;$x")"; git commit "$@"'
    )
    argv = ["sh", "-c", program, "sh", "--allow-empty", "-qm", "feat: a"]
    subprocess.run(argv, cwd=work.path, check=True, env={**os.environ, "x": "`x`"}, capture_output=True)
    assert credited(work) == {"feat: a": agent}
    assert subjects(work, "it's;`x`") == ["feat: a"]


def test_beginning_one_that_is_open_goes_on_with_it(work: GitRepo) -> None:
    """Nothing is begun twice, and nothing that it used is lost."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.ok("session", "beat", "s", "--tools", "2")
    again = work.tracker("session", "start", "--agent", "coder", "--id", "s")
    assert "is open already and goes on" in again.err
    assert shown(work, "s")["metrics"]["tools"] == 2
    assert len(work.json("session", "list")["sessions"]) == 1


def test_beginning_one_that_ended_resumes_it(work: GitRepo) -> None:
    """It is open again, and can be ended again."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.ok("session", "end", "s")
    assert "was over and goes on" in work.tracker("session", "start", "--agent", "coder", "--id", "s").err
    assert shown(work, "s")["state"] == "open"
    work.ok("session", "end", "s")
    assert shown(work, "s")["state"] == "ended"


def test_ending_twice_is_said_and_no_error(work: GitRepo) -> None:
    """A client may say so more often than it must; what it used still counts, and the end stays where it was."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.ok("session", "end", "s")
    ended_at = shown(work, "s")["ended_at"]
    assert "is over already" in work.ok("session", "end", "s", "--tools", "4")
    found = shown(work, "s")
    assert (found["state"], found["ended_at"], found["metrics"]["tools"]) == ("ended", ended_at, 4)


def test_a_beat_is_not_flushed_and_is_seen_by_whoever_looks(work: GitRepo) -> None:
    """It costs a line in the spool."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.ok("session", "beat", "s", "--tools", "1")
    assert (work.path / ".git/agent-tracker/spool").read_bytes().count(b"\tpulse\t") == 1
    assert shown(work, "s")["metrics"]["tools"] == 1


# -- what is refused


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["start"], "whose session?"),
        (["start", "--agent", "nobody"], "unknown agent"),
        (["start", "--agent", "coder", "--id", "a b"], "spaces or control characters"),
        (["start", "--agent", "coder", "--id", "a\x1b[2J"], "spaces or control characters"),
        (["start", "--agent", "coder", "--id", "x" * 101], "101 characters"),
        (["start", "--agent", "coder", "--port", "65536"], "65536 is no port"),
        (["start", "--agent", "coder", "--process", "-1"], "-1 is no process"),
        (["start", "--agent", "coder", "--client", "emacs"], "unknown client"),
        (["start", "--agent", "coder", "--parent", "none"], "can be no parent"),
        (["start", "--agent", "coder", "--capability", "a b"], "spaces or control characters"),
        (["start", "--agent", "other", "--id", "taken"], "session taken is coder-"),
        (["beat", "unknown"], "unknown session 'unknown'"),
        (["end", "unknown"], "unknown session 'unknown'"),
        (["show", "unknown"], "unknown session 'unknown'"),
        (["summary", "unknown"], "unknown session 'unknown'"),
        (["beat", "taken", "--tools", str(MAX_COUNT + 1)], "tools at once"),
        (["idle", "taken", "--failures", "-1"], "-1 failures at once"),
        (["end", "taken", "--response-ms", "-5"], "a response took -5 ms"),
    ],
)
def test_bad_input_is_one_line_and_a_hint(work: GitRepo, argv: list[str], message: str) -> None:
    """Nothing is noted."""
    for name in ("coder", "other"):
        work.register(name)
    begin(work, "--agent", "coder", "--id", "taken")
    done = work.tracker("session", *argv)
    assert done.code in ({1} if "unknown" in message and "client" not in message else {1, 2})
    assert done.err.splitlines()[0].startswith("error: ")
    assert message in done.err
    assert "\nhint: " in done.err
    (only,) = work.json("session", "list")["sessions"]
    assert (only["id"], only["metrics"]["tools"], only["state"]) == ("taken", 0, "open")


def test_a_retired_agent_begins_no_session(work: GitRepo) -> None:
    """The hint is how to resume it."""
    agent = work.register("coder")
    work.ok("agents", "retire", agent)
    done = work.tracker("session", "start", "--agent", agent)
    assert (done.code, done.err) == (1, f"error: agent {agent} is retired\nhint: agent-tracker agents resume {agent}\n")


def test_a_store_that_cannot_be_opened_loses_nothing(work: GitRepo, home: Path) -> None:
    """One warning, exit code 0, and all of it counts once the store is back."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    database = home / ".config/opencode/agent-tracker.lmdb"
    kept = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    for argv in (["beat", "s", "--tools", "1"], ["idle", "--tools", "2"], ["end", "s", "--tools", "3"]):
        done = work.tracker("session", *argv, env=in_session("s"))
        assert done.code == 0, done
        assert done.err.count("warning: ") == (0 if argv[0] == "beat" else 1)
    assert work.tracker("session", "start", "--agent", "coder", "--id", "t").code == 0
    database.write_bytes(kept)
    found = shown(work, "s")
    assert (found["state"], found["metrics"]["tools"]) == ("ended", 6)
    assert shown(work, "t")["state"] == "open"


def test_a_session_of_a_lost_store_is_believed(work: GitRepo, home: Path) -> None:
    """Where nobody can tell whether it is known, what a client says of it is kept."""
    (home / ".config/opencode").mkdir(parents=True, exist_ok=True)
    (home / ".config/opencode/agent-tracker.lmdb").write_bytes(b"no database" * 1000)
    assert work.tracker("session", "end", "somewhere").code == 0
    assert b"\tpulse\t" in b"".join(path.read_bytes() for path in (work.path / ".git/agent-tracker").glob("s*"))
    (home / ".config/opencode/agent-tracker.lmdb").unlink()


# -- which one is meant


def test_the_session_that_is_meant(work: GitRepo) -> None:
    """The variable's, else the client's own where it is known, else the only open one of the worktree."""
    work.register("coder")
    assert "no session is open" in work.tracker("session", "end").err
    begin(work, "--agent", "coder", "--id", "first")
    assert work.json("session", "show")["session"]["id"] == "first"
    begin(work, "--agent", "coder", "--id", "client-1")
    done = work.tracker("session", "beat")
    assert done.code == 2
    assert "several sessions are open" in done.err
    assert "first" in done.err
    in_client = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "client-1"}
    assert "Session client-1 is idle" in work.ok("session", "idle", env=in_client)
    assert "Session first is idle" in work.ok("session", "idle", env={**in_client, **in_session("first")})
    assert "unknown session 'gone'" in work.tracker("session", "idle", env=in_session("gone")).err
    assert "Session client-1 ended" in work.ok("session", "end", "clie")


def test_a_client_s_own_id_is_taken(work: GitRepo) -> None:
    """Its variable then names the session, and nothing need be exported."""
    agent = work.register("coder", client="claude")
    in_client = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "0b1-c2"}
    assert begin(work, env=in_client) == "0b1-c2"
    work.commit("feat: a", env=in_client)
    found = shown(work, "0b1-c2")
    assert (found["agent_id"], found["client"], len(found["commits"])) == (agent, "claude", 1)


def test_a_session_that_begins_in_another_is_its_child(work: GitRepo) -> None:
    """An agent that lets another one work leaves its own session's name in the shell."""
    for name in ("coder", "helper"):
        work.register(name)
    begin(work, "--agent", "coder", "--id", "outer")
    begin(work, "--agent", "helper", "--id", "inner", env=in_session("outer"))
    begin(work, "--agent", "helper", "--id", "named", "--parent", "outer")
    assert shown(work, "inner")["parent"] == "outer"
    assert shown(work, "outer")["children"] == ["inner", "named"]


def test_a_list_is_filtered(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """By agent, by being open, by project."""
    for name in ("coder", "other"):
        work.register(name)
    elsewhere = make_repo("elsewhere")
    elsewhere.ok("install-hooks")
    begin(work, "--agent", "coder", "--id", "one")
    begin(work, "--agent", "other", "--id", "two")
    begin(elsewhere, "--agent", "coder", "--id", "three")
    work.ok("session", "end", "one")

    def ids(*options: str) -> list[str]:
        return [each["id"] for each in work.json("session", "list", *options)["sessions"]]

    assert ids() == ["two", "one"]
    assert ids("--all") == ["three", "two", "one"]
    assert ids("--open") == ["two"]
    assert ids("--agent", "coder") == ["one"]
    assert ids("-n", "1") == ["two"]
    assert "three" in work.ok("session", "list", "--all")


# -- whose commits are


def test_a_session_s_commits_are_its_agent_s(work: GitRepo) -> None:
    """Two agents at once in one worktree are told apart, and whoami says why."""
    ids = {name: work.register(name) for name in ("one", "two")}
    for name in ids:
        begin(work, "--agent", name, "--id", f"s-{name}")
    for number in range(2):
        for name in ids:
            work.commit(f"{name}{number}", env=in_session(f"s-{name}"))
    assert credited(work) == {f"{name}{number}": ids[name] for name in ids for number in range(2)}
    assert subjects(work, "s-one") == ["one1", "one0"]
    assert subjects(work, "s-two") == ["two1", "two0"]
    assert work.ok("whoami", env=in_session("s-two")) == f"{ids['two']} (session s-two)\n"


def test_two_worktrees_two_agents(work: GitRepo, tmp_path: Path) -> None:
    """Each in its own worktree of one repository."""
    ids = {name: work.register(name) for name in ("one", "two")}
    work.commit("first")
    work.git("worktree", "add", "--quiet", "-b", "side", tmp_path / "side")
    places = {"one": work, "two": GitRepo(tmp_path / "side")}
    for name, place in places.items():
        begin(place, "--agent", name, "--id", f"s-{name}")
    for name, place in places.items():
        assert place.json("session", "show")["session"]["id"] == f"s-{name}"
        place.commit(f"by-{name}", env=in_session(f"s-{name}"))
    assert credited(work) == {"first": "human", "by-one": ids["one"], "by-two": ids["two"]}
    assert [subjects(work, f"s-{name}") for name in ids] == [["by-one"], ["by-two"]]


def test_a_client_s_session_tells_its_agents_apart(work: GitRepo) -> None:
    """Where a client has several active agents and nothing else does."""
    ids = {model: work.register("claude", model=model, client="claude") for model in ("opus", "haiku")}
    env = {model: {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": f"c-{model}"} for model in ids}
    for model, agent in ids.items():
        begin(work, "--agent", agent, env=env[model])
    for model in ids:
        work.git("commit", "--quiet", "--allow-empty", "-m", model, env=env[model])
    unknown = work.try_git("commit", "-qm", "x", "--allow-empty", env={**env["opus"], "CLAUDE_CODE_SESSION_ID": "c-x"})
    assert "may be several agents" in unknown.err
    assert credited(work) == {**ids, "x": "unclaimed"}


def test_a_client_s_session_goes_before_whoever_is_tied_to_the_client(work: GitRepo) -> None:
    """Before and after that one registers, for what was made then and what is made now; retired, it is refused."""
    ada = work.register("ada")
    begin(work, "--agent", "ada", "--id", "abcdef123", "--client", "claude", "--process", "0")
    env = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "abcdef123"}
    work.commit("before", env=env)
    assert credited(work) == {"before": ada}
    bob = work.register("bob", client="claude")
    work.commit("after", env=env)
    work.commit("bobs", env={**env, "CLAUDE_CODE_SESSION_ID": "another"})
    assert credited(work) == {"before": ada, "after": ada, "bobs": bob}
    assert work.ok("whoami", env=env) == f"{ada} (session abcdef123)\n"
    work.register("bob", model="m-2", client="claude")
    work.commit("of three", env=env)
    assert credited(work)["of three"] == ada
    work.ok("agents", "retire", ada)
    refused = work.try_git("commit", "--allow-empty", "-m", "no", env=env)
    assert refused.code != 0
    assert f"agent {ada} is retired" in refused.err


def test_an_unknown_session_is_no_identity(work: GitRepo) -> None:
    """What comes next in the order decides; once the session begins, the commit is its agent's."""
    agent = work.register("coder")
    work.commit("feat: a", env=in_session("late"))
    assert credited(work) == {"feat: a": "human"}
    begin(work, "--agent", "coder", "--id", "late")
    assert credited(work) == {"feat: a": agent}
    assert subjects(work, "late") == ["feat: a"]


def test_a_halted_agent_s_session_does_not_commit(work: GitRepo) -> None:
    """A retired one's neither; resumed, it does."""
    agent = work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.ok("agents", "retire", agent)
    refused = work.try_git("commit", "--allow-empty", "-m", "a", env=in_session("s"))
    assert refused.code != 0
    assert f"agent {agent} is retired" in refused.err
    work.ok("agents", "resume", agent)
    work.git("commit", "--allow-empty", "-m", "a", env=in_session("s"))
    assert credited(work) == {"a": agent}


def test_a_person_in_a_session_s_shell(work: GitRepo) -> None:
    """Says so, and the commit is neither the agent's nor the session's."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.commit("mine", env={**in_session("s"), "AGENT_TRACKER_AGENT": "human"})
    assert credited(work) == {"mine": "human"}
    assert subjects(work, "s") == []


def test_a_commit_that_names_no_session(work: GitRepo) -> None:
    """It is its agent's only open session's; of two nobody can tell which."""
    agent = work.register("coder")
    begin(work, "--agent", "coder", "--id", "first")
    time.sleep(1.1)  # what is made in the second in which it begins may have been before it
    work.commit("alone", env={"AGENT_TRACKER_AGENT": agent})
    assert subjects(work, "first") == ["alone"]
    time.sleep(1.1)  # what is made in the second in which the other one begins may be either's
    begin(work, "--agent", "coder", "--id", "second")
    work.commit("either", env={"AGENT_TRACKER_AGENT": agent})
    assert subjects(work, "first") == ["alone"]
    assert subjects(work, "second") == []


def test_an_amended_commit_is_shown_once(work: GitRepo) -> None:
    """As what it is now; one that was amended elsewhere says what it became."""
    work.register("coder")
    for name in ("s", "t"):
        begin(work, "--agent", "coder", "--id", name)
    work.commit("a", env=in_session("s"))
    work.git("commit", "--quiet", "--amend", "-m", "b", env=in_session("s"))
    assert subjects(work, "s") == ["b"]
    work.git("commit", "--quiet", "--amend", "-m", "c", env=in_session("t"))
    (found,) = shown(work, "s")["commits"]
    assert (found["task_description"], found["became"]) == ("b", work.head())
    assert subjects(work, "t") == ["c"]


@pytest.mark.parametrize("date", ["1970-01-02T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_commit_that_names_a_session_is_its_whatever_its_date(work: GitRepo, date: str) -> None:
    """A wrong clock changes neither whose it is nor in which session it was made."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.commit("dated", env={**in_session("s"), "GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date})
    work.commit("another's", env=in_session("other"))
    assert subjects(work, "s") == ["dated"]
    work.ok("session", "end", "s")
    found = shown(work, "s")
    assert (found["metrics"]["commits"], found["moments"][-1]["commits"]) == (1, 1)


def test_a_session_s_commits_in_another_repository_are_shown(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """The shell went there, and its session with it."""
    agent = work.register("coder")
    elsewhere = make_repo("elsewhere")
    elsewhere.ok("install-hooks")
    begin(work, "--agent", "coder", "--id", "s")
    elsewhere.commit("there", env=in_session("s"))
    assert credited(elsewhere) == {"there": agent}
    assert subjects(work, "s") == ["there"]


# -- while another flush is at work


def test_what_is_told_during_another_flush_waits(work: GitRepo) -> None:
    """A session that is not in the store yet can be ended by its id, by its beginning, or as the only one here."""
    work.register("coder")
    work.ok("flush")
    with locked(str(work.path / ".git/agent-tracker/flush.lock"), timeout_s=1):
        for name, text in (("lock7777", "lock7777"), ("lock8888", "lock8"), ("lock9999", "")):
            started = work.tracker("session", "start", "--agent", "coder", "--id", name)
            assert (started.code, started.out) == (0, f"export AGENT_TRACKER_SESSION={name}\n")
            for what in ("idle", "end"):
                done = work.tracker("session", what, *filter(None, [text]), "--tools", "4")
                if text:
                    assert (done.code, done.err.count("warning: ")) == (0, 1), done
            # The others have ended, which waits in the spool and is known all the same.
            assert text or (done.code, done.out) == (0, "Session lock9999 ended.\n")
        assert work.tracker("session", "end", "nobody").code == 1
    found = {name: shown(work, name) for name in ("lock7777", "lock8888")}
    assert [(each["state"], each["metrics"]["tools"]) for each in found.values()] == [("ended", 8)] * 2


def test_a_state_directory_that_cannot_be_written_loses_no_session(work: GitRepo) -> None:
    """What to export is printed, with one line that says what is wrong, and the line in the spool counts."""
    work.register("coder")
    place = Path(user_paths(os.environ).state_dir) / "sessions"
    place.write_text("no directory\n")
    done = work.tracker("session", "start", "--agent", "coder", "--id", "s")
    assert (done.code, done.out) == (0, "export AGENT_TRACKER_SESSION=s\n")
    assert done.err.count("warning: ") == 1
    assert shown(work, "s")["state"] == "open"


# -- found dead


def test_a_killed_client_s_session_is_closed(work: GitRepo) -> None:
    """At the next flush after a quarter of an hour, though nothing else has changed; a sign of life opens it again."""
    work.register("coder")
    client = subprocess.Popen(["sleep", "600"])
    begin(work, "--agent", "coder", "--id", "s", "--process", str(client.pid))
    repository = find_repository(str(work.path), {})
    flush(repository, context())
    paths = user_paths(os.environ)
    assert is_settled(paths, os.environ, repository, now=int(time.time()) + QUIET_S - 60)
    assert not is_settled(paths, os.environ, repository, now=int(time.time()) + QUIET_S + 1)

    def looked(later_s: float) -> str:
        def found(snapshot: Snapshot | None) -> str:
            state = journal_tables.session_state(snapshot, "s") if snapshot else None
            return state_word(state) if state else ""

        return read(context(later_s=later_s), repository, found).value

    assert looked(QUIET_S + 5) == "open"
    client.kill()
    client.wait()
    assert looked(QUIET_S - 60) == "open"
    assert looked(QUIET_S + 120) == "interrupted"
    found = work.json("session", "show", "s", "--no-flush")["session"]
    assert (found["end"], found["ended_at"], found["process_running"]) == (
        "interrupted",
        found["last_heartbeat_at"],
        False,
    )
    work.ok("session", "beat", "s")
    assert shown(work, "s")["state"] == "open"


def test_a_session_without_a_process_lapses_late(work: GitRepo) -> None:
    """Nobody can tell whether it goes on."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s", "--process", "0")
    repository = find_repository(str(work.path), {})
    flush(repository, context(later_s=UNKNOWN_S - 60))
    assert work.json("session", "show", "s", "--no-flush")["session"]["state"] == "open"
    flush(repository, context(later_s=UNKNOWN_S + 60))
    assert work.json("session", "show", "s", "--no-flush")["session"]["state"] == "interrupted"


def test_a_sign_of_life_that_was_not_read_yet_keeps_it_open(work: GitRepo) -> None:
    """It lies in the spool while the flush finds the session quiet."""
    work.register("coder")
    client = subprocess.Popen(["true"])
    begin(work, "--agent", "coder", "--id", "s", "--process", str(client.pid))
    client.wait()
    repository = find_repository(str(work.path), {})
    sessions.pulse(repository, context(later_s=QUIET_S), "s", "beat", sessions.Used(tools=1))
    flush(repository, context(later_s=QUIET_S + 60))
    found = work.json("session", "show", "s", "--no-flush")["session"]
    assert (found["state"], found["metrics"]["tools"]) == ("open", 1)


def test_a_shell_for_one_command_is_not_what_lives(tmp_path: Path) -> None:
    """The process that called it is; a script is one."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    show = "import os; from agent_tracker.processes import calling_process as c; print(c(os.getppid()), os.getppid())"
    (tmp_path / "script").write_text(f"{sys.executable} -c '{show}'; true\n")
    inner = f'{sys.executable} -c "{show}"; true'
    for argv, is_us in ((["sh", "-c", inner], True), (["sh", str(tmp_path / "script")], False)):
        out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
        assert (int(out[0]) == os.getpid()) is is_us
        assert (out[0] == out[1]) is not is_us


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_copy_of_a_shell_is_not_what_lives(work: GitRepo, tmp_path: Path, shell: str) -> None:
    """`$(...)` runs in a fork of the shell that is gone at once; the shell itself is the session's process."""
    if not sys.platform.startswith("linux") or not shutil.which(shell):
        pytest.skip(f"reads /proc, and needs {shell}")
    work.register("coder")
    start = f"{sys.executable} -m agent_tracker session start --agent coder --id s 2>/dev/null"
    (tmp_path / "script").write_text(f'eval "$({start}; :)"\necho $$ $AGENT_TRACKER_SESSION\n')
    argv = [shell, str(tmp_path / "script")]
    done = subprocess.run(argv, cwd=work.path, capture_output=True, text=True, check=True)
    process, name = done.stdout.split()
    assert shown(work, name)["process"] == int(process)


def test_a_commit_that_names_a_session_is_a_sign_of_life(tmp_path: Path) -> None:
    """One that is stored or just arrives keeps it open, as long as a word of its own would."""
    store = store_at(tmp_path)
    coder = agent_fact("coder", at=NOW - 100)
    gone = session("s", coder.id)._replace(process=os.getpid(), process_start="1" + start_of(os.getpid()))
    named = (("hook", "1"), ("AGENT_TRACKER_SESSION", "s"))
    late = commit_fact("late", marks=named, at=NOW + 2 * QUIET_S)
    apply_all(store, [project_fact(), coder, gone, commit_fact("c", marks=named, at=NOW + QUIET_S)])

    def closed(at: int, *arriving: CommitFact) -> list[int]:
        def found(snapshot: Snapshot) -> list[int]:
            lapsed = find_lapsed(snapshot, PROJECT, now_ns=at * NS, arriving=arriving)
            assert lapsed.facts or lapsed.due == NOW + (3 if arriving else 2) * QUIET_S
            return [fact.recorded_ns for fact in lapsed.facts]

        return reading(store, found)

    assert closed(NOW + 2 * QUIET_S - 1) == []
    assert closed(NOW + 2 * QUIET_S + 1) == [(NOW + QUIET_S) * NS + 1]
    assert closed(NOW + 2 * QUIET_S + 1, late) == []


# -- the summary


def test_a_summary_has_room_for_activities_among_many_commits() -> None:
    """What was decided and what is open is there; commits get what is left, the newest first."""
    long = "x" * 90
    text = summary_text(summary_of([f"{n} {long}" for n in range(30)], ["task"], outcome="came out", decisions="so"))
    assert "- task; came out; so\n" in text
    assert "- not committed: 3 changed files\n" in text
    listed = re.findall(r"^- `\w+` (\d+) x", text, re.MULTILINE)
    assert listed == [str(n) for n in range(len(listed))]
    assert 5 < len(listed) < 30
    assert f"\n- and {30 - len(listed)} more commits\n" in text
    crowded = summary_text(summary_of([long] * 30, [f"{n} {long}" for n in range(30)], outcome=long, decisions="so"))
    assert re.search(r"^- and \d+ more commits$", crowded, re.MULTILINE)
    assert re.search(r"^- and \d+ more activities$", crowded, re.MULTILINE)
    assert crowded.count("; so\n") > 2


def summary_of(titles: list[str], tasks: list[str], outcome: str = "", decisions: str = "") -> session_sheets.Summary:
    """Return the summary of a session with commits and activities of these texts."""
    fact = SessionFact("s", "coder-1", "", "", "/w", "", 0, "", 0, "", PROJECT, NOW * NS)
    state = SessionState(NOW * NS, 0, "", False, 0, 0, 0, 0, 0, 0)  # noqa: FBT003 -- a field
    made = tuple(session_sheets.Made(bytes([n]) * 20, title, NOW, b"") for n, title in enumerate(titles))
    sheet = session_sheets.Sheet(
        Held(fact, state), b"/w", None, made, Metrics(0, 0, 0, len(made), 5, 0, 0, 0), (), 3_000_000 * 10**6, (), ()
    )
    activities = tuple(
        ActivityFact(fact_id(task), "a", "s", b"", task, "", outcome, decisions, PROJECT, NOW) for task in tasks
    )
    return session_sheets.Summary(sheet, activities, 3, (), made, has_retrospective=False, others=())


def test_millions_are_written_out() -> None:
    """Experience is never a power of ten."""
    summary = summary_of([], [])
    assert "3000000 XP" in summary_text(summary)
    assert metric_words(summary.sheet)[-1] == "  earned     3000000 XP"


def test_a_long_id_is_cut_on_a_terminal(work: GitRepo) -> None:
    """A row has room in 80 columns; a pipe gets the whole id."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "x" * 100)
    assert "x" * 100 in work.ok("session", "list")
    leader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    argv = [sys.executable, "-m", "agent_tracker", "session", "list"]
    env = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}
    subprocess.run(argv, cwd=work.path, check=True, stdout=terminal, env=env)
    os.close(terminal)
    lines = os.read(leader, 100_000).decode().splitlines()
    os.close(leader)
    assert len([line for line in lines if line.strip()]) == 2
    assert max(map(len, lines)) <= 80
    assert re.match(r"x+\.\.\. ", lines[1])


def test_a_summary_says_what_was_done_and_what_is_open(work: GitRepo) -> None:
    """In Markdown, and as JSON."""
    for name in ("coder", "other"):
        work.register(name)
    begin(work, "--agent", "coder", "--id", "s")
    begin(work, "--agent", "other", "--id", "t")
    oid = work.commit("feat: a", env=in_session("s"))
    work.write("new.txt", "new\n")
    work.ok("session", "beat", "s", "--tools", "7")
    text = work.ok("session", "summary", "s")
    assert text.startswith("# Session `s` of agent `coder-")
    for part in ("1 commit, 7 tool uses", "1 changed file", "not graded", "no retrospective", "`t` of", "feat: a"):
        assert part in text
    found = work.json("session", "summary", "s")["summary"]
    assert found["text"].splitlines()[1:] == text.splitlines()[1:]
    assert (found["pending_changes"], found["ungraded"], found["has_retrospective"]) == (1, [oid], False)
    assert [each["id"] for each in found["other_sessions"]] == ["t"]
    assert len(work.ok("session", "summary", "t")) <= MAX_SUMMARY


TEXTS = st.text(max_size=300) | st.sampled_from(["<script>alert(1)</script>", "\n# heading", "[x](http://evil)", "`"])


@UNHURRIED
@given(st.lists(TEXTS, max_size=60), st.lists(TEXTS, max_size=30))
def test_a_summary_has_at_most_so_many_characters(titles: list[str], tasks: list[str]) -> None:
    """Whatever the texts are; whole lines, no markup of theirs, the most important first."""
    text = summary_text(summary_of(titles, tasks))
    assert len(text) <= MAX_SUMMARY
    assert text.endswith("\n")
    assert text.isascii() or all(c.isprintable() for c in text.replace("\n", ""))
    assert "- not committed: 3 changed files\n" in text
    assert not set("<[*_") & set(re.sub(r"\\.", "", text))
    assert [line for line in text.split("\n") if line.startswith("#")][1:] in (
        ["## Open"],
        ["## Open", "## Commits, newest first"],
        ["## Open", "## Activities, newest first"],
        ["## Open", "## Commits, newest first", "## Activities, newest first"],
    )
    text.encode()


# -- many


def test_only_the_time_of_a_session_is_read(tmp_path: Path) -> None:
    """The commits of a long history are not gone through for one session."""
    store = store_at(tmp_path)
    coder = agent_fact("coder", at=NOW - 100)
    history = [commit_fact(f"c{i}", marks=by_agent("coder"), at=NOW + 7200 * i) for i in range(300)]
    apply_all(store, [project_fact(), coder, *history])
    apply_all(store, [session("s", coder.id, at=NOW + 7200 * 100), pulse("p", "s", "end", at=NOW + 7200 * 102)])

    def looked(snapshot: Snapshot) -> tuple[list[str], int]:
        (held,) = sessions.read_held(snapshot)
        ((first, last),) = spans([held], NOW + 10**7)
        within = list(session_sheets.commits_within(snapshot, [1], first, last))
        (sheet,) = session_sheets.list_sheets(
            snapshot, now=NOW + 10**7, project=PROJECT, keep=lambda _: True, limit=None
        )
        return [made.subject for made in sheet.commits], len(within)

    found, count = reading(store, looked)
    assert found == [f"subject of c{i}" for i in (102, 101, 100)]
    assert count == 3


@given(st.lists(st.integers(0, 1 << 33), max_size=30), st.integers(0, 1 << 33), st.integers(0, 1 << 33))
@UNHURRIED
def test_spans_cover_every_session_once(starts: list[int], length: int, now: int) -> None:
    """They are apart, ascending, and hold each session's time."""
    held = []
    for start in starts:
        fact = SessionFact("s", "a", "", "", "/w", "", 0, "", 0, "", PROJECT, start * NS)
        held.append(Held(fact, SessionState(0, (start + length) * NS, "end", False, 0, 0, 0, 0, 0, 0)))  # noqa: FBT003
    found = spans(held, now)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))
    for each in held:
        assert any(first <= each.first_at and each.last_at(now) <= last for first, last in found)


def test_open_store_is_clean_after_all(work: GitRepo) -> None:
    """What sessions leave in the store follows from the facts."""
    work.register("coder")
    begin(work, "--agent", "coder", "--id", "s")
    work.commit("feat: a", env=in_session("s"))
    work.ok("session", "end", "--tools", "3", env=in_session("s"))
    assert work.json("verify")["verify"]["clean"]
    store, _ = open_store(context())
    assert store.exists()


@pytest.mark.parametrize("name", ["s-1", "Ses_1", ".hidden", "a/../b", "日本", "x" * 150])
def test_a_session_s_file_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    """Whatever the id is, nothing is written outside the directory, and one long over goes."""
    registry = str(tmp_path / "state/registry")
    write_session(registry, "old", "coder-0", now_ns=NOW * NS)
    write_session(registry, name, "coder-1", now_ns=NOW * NS + 1)
    assert read_session(registry, name) == "coder-1"
    assert read_session(registry, name + "x") == ""
    assert len(listed(tmp_path / "state/sessions")) == 2
    assert listed(tmp_path / "state") == ["sessions"]
    keep_session(registry, name, now_ns=(NOW + KEEP_SESSIONS_S) * NS)
    write_session(registry, "new", "coder-2", now_ns=(NOW + KEEP_SESSIONS_S) * NS + 2)
    assert [read_session(registry, each) for each in ("old", name, "new")] == ["", "coder-1", "coder-2"]
