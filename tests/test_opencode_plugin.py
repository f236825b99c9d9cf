"""OpenCode's plugin in node alone: what it appends, what it hands to the shell, and that nothing makes it fail."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from agent_tracker.clients.opencode import config_path
from agent_tracker.context import Context
from agent_tracker.installation.installing import install
from agent_tracker.journal import PulseFact, SessionFact
from agent_tracker.lines import parse_line
from agent_tracker.paths import user_paths
from agent_tracker.repository import find_repository
from agent_tracker.verbs.agents import register
from agent_tracker.verbs.clients import connect
from gitrepo import GitRepo, run

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")

SESSION, CHILD = "ses_1", "ses_2"
MODEL = {"providerID": "own", "modelID": "model-1"}
PLAY = """\
import { readFileSync } from "node:fs"
const [plugin, directory, script] = process.argv.slice(2)
const made = await import(plugin)
const hooks = await Object.values(made)[0]({ directory, worktree: directory })
const outputs = []
for (const [name, ...given] of JSON.parse(readFileSync(script, "utf8"))) {
  await hooks[name](...given)
  outputs.push(given[1] ?? null)
}
process.stdout.write(JSON.stringify(outputs))
"""


@pytest.fixture
def tracked(repo: GitRepo) -> GitRepo:
    """A repository with hooks, OpenCode connected, and an agent of it."""
    context = Context(user_paths(os.environ), os.environ, time.time_ns())
    repo.commit("base")
    install(find_repository(str(repo.path), {}), context)
    register(context, "ada", model="model-1", scope="all", client="opencode")
    connect("opencode", context)
    return repo


def play(repo: GitRepo, tmp_path: Path, *steps: list[Any], directory: Path | None = None) -> list[Any]:
    """Call the plugin's hooks one after the other, and return what became of each one's output."""
    plugin = tmp_path / "plugin.mjs"
    plugin.write_bytes(Path(config_path(os.environ, os.environ["HOME"])).read_bytes())
    (tmp_path / "play.mjs").write_text(PLAY)
    (tmp_path / "script.json").write_text(json.dumps(steps))
    done = run("node", tmp_path / "play.mjs", plugin, directory or repo.path, tmp_path / "script.json", cwd=tmp_path)
    assert (done.code, done.err) == (0, ""), done
    outputs = json.loads(done.out)
    assert isinstance(outputs, list)
    return outputs


def said(repo: GitRepo) -> list[Any]:
    """Return what the spool says."""
    path = repo.path / ".git/agent-tracker/spool"
    return [parse_line(line) for line in path.read_bytes().split(b"\n") if line] if path.is_file() else []


def used(repo: GitRepo) -> list[tuple[str, str, int, int, int]]:
    """Return what the pulses in the spool say."""
    found = [each for each in said(repo) if isinstance(each, PulseFact)]
    return [(each.session, each.what, each.tools, each.commands, each.failures) for each in found]


def message(session: str = SESSION) -> list[Any]:
    """Return the hook that is called when a user, or a parent, says something."""
    return ["chat.message", {"sessionID": session}, {"message": {"model": MODEL}, "parts": []}]


def tool(name: str, call: str, metadata: dict[str, object] | None = None, session: str = SESSION) -> list[Any]:
    """Return the hook that is called after a tool was used."""
    return ["tool.execute.after", {"tool": name, "sessionID": session, "callID": call}, {"metadata": metadata or {}}]


def event(kind: str, **properties: object) -> list[Any]:
    """Return the hook that is called on an event."""
    return ["event", {"event": {"type": kind, "properties": properties}}]


def failed(call: str) -> list[Any]:
    """Return the event that tells of a tool that threw."""
    part = {"type": "tool", "tool": "read", "sessionID": SESSION, "callID": call, "state": {"status": "error"}}
    return event("message.part.updated", part=part)


def test_a_session_is_told_of_from_its_beginning_to_its_end(tracked: GitRepo, tmp_path: Path) -> None:
    """Each use is one line; one that threw is told of once; the shell is told the session and the model."""
    outputs = play(
        tracked,
        tmp_path,
        message(),
        ["shell.env", {"cwd": "/", "sessionID": SESSION}, {"env": {"MINE": "1"}}],
        tool("write", "1"),
        tool("bash", "2", {"exit": 0}),
        tool("bash", "3", {"exit": 3}),
        tool("tracker_register", "4", {"isError": True}),
        failed("5"),
        failed("5"),
        failed("1"),
        event("session.compacted", sessionID=SESSION),
        event("command.executed", sessionID=SESSION, name="x"),
        event("session.idle", sessionID=SESSION),
        ["dispose"],
        ["dispose"],
    )
    assert outputs[1]["env"] == {
        "MINE": "1",
        "AGENT_TRACKER_SESSION": SESSION,
        "AGENT_TRACKER_MODEL": "own/model-1",
    }
    fact = said(tracked)[0]
    assert isinstance(fact, SessionFact)
    assert (fact.id, fact.client, fact.model, fact.parent) == (SESSION, "opencode", "own/model-1", "")
    assert fact.process > 0
    assert used(tracked) == [
        (SESSION, "beat", 1, 0, 0),
        (SESSION, "beat", 0, 1, 0),
        (SESSION, "beat", 0, 0, 1),
        (SESSION, "beat", 0, 0, 1),
        (SESSION, "beat", 0, 0, 1),
        (SESSION, "compact", 0, 0, 0),
        (SESSION, "beat", 0, 1, 0),
        (SESSION, "idle", 0, 0, 0),
        (SESSION, "end", 0, 0, 0),
    ]
    tracked.ok("flush")
    assert tracked.json("session", "list")["sessions"][0]["state"] == "ended"


def test_a_subagent_has_a_parent(tracked: GitRepo, tmp_path: Path) -> None:
    """Its session is its own, and ends with the process if not before."""
    child = event("session.created", info={"id": CHILD, "parentID": SESSION})
    play(tracked, tmp_path, message(), child, message(CHILD), tool("read", "1", session=CHILD), ["dispose"])
    begun = [each for each in said(tracked) if isinstance(each, SessionFact)]
    assert [(each.id, each.parent) for each in begun] == [(SESSION, ""), (CHILD, SESSION)]
    assert used(tracked) == [(CHILD, "beat", 1, 0, 0), (SESSION, "end", 0, 0, 0), (CHILD, "end", 0, 0, 0)]


def test_a_session_that_is_taken_up_again_goes_on(tracked: GitRepo, tmp_path: Path) -> None:
    """In another process, with the same id."""
    for _ in range(2):
        play(tracked, tmp_path, message(), ["dispose"])
    assert [what for _, what, *_ in used(tracked)] == ["end", "resume", "end"]


def test_in_a_linked_worktree_the_common_spool_is_written(tracked: GitRepo, tmp_path: Path) -> None:
    """The repository is found as git finds it."""
    tracked.git("worktree", "add", "--quiet", tmp_path / "other")
    (tmp_path / "other/sub").mkdir()
    play(tracked, tmp_path, message(), tool("read", "1"), directory=tmp_path / "other/sub")
    assert used(tracked) == [(SESSION, "beat", 1, 0, 0)]


@pytest.mark.parametrize("what", ["no repository", "no agent", "link", "pipe", "directory", "script"])
def test_nothing_that_is_missing_or_broken_is_heard_of(tracked: GitRepo, tmp_path: Path, home: Path, what: str) -> None:
    """It says nothing and throws nothing; nothing is written through a link."""
    spool = tracked.path / ".git/agent-tracker/spool"
    directory = None
    if what == "no repository":
        directory = home
    elif what == "no agent":
        tracked.ok("agents", "retire", "ada")
        spool.unlink(missing_ok=True)
    elif what == "link":
        spool.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(spool)
    elif what == "directory":
        spool.mkdir()
    else:
        (home / ".local/state/agent-tracker/agent-tracker-client-hook").unlink()
    steps = [message(), tool("read", "1"), event("session.idle", sessionID=SESSION), ["dispose"]]
    play(tracked, tmp_path, *steps, directory=directory)
    assert not (tmp_path / "elsewhere").exists()
    assert not spool.is_file()


@pytest.mark.parametrize(
    "step",
    [
        ["chat.message", {}, {}],
        ["chat.message", {"sessionID": "a\nb\t../x"}, {"message": {"model": MODEL}}],
        ["chat.message", {"sessionID": 7}, None],
        ["tool.execute.after", {}, None],
        ["tool.execute.after", {"sessionID": SESSION, "callID": "x"}, {"metadata": 3}],
        ["shell.env", {}, {}],
        ["shell.env", {"sessionID": SESSION}, None],
        ["event", {}],
        ["event", {"event": None}],
        ["event", {"event": {"type": "session.deleted"}}],
        ["event", {"event": {"type": "session.created", "properties": {"info": None}}}],
        ["event", {"event": {"type": "message.part.updated", "properties": {"part": {"type": "tool"}}}}],
        ["event", {"event": {"type": "constructor", "properties": {}}}],
    ],
    ids=[
        *(f"message {at}" for at in range(3)),
        "tool 1",
        "tool 2",
        "env 1",
        "env 2",
        *(f"event {at}" for at in range(6)),
    ],
)
def test_nothing_that_it_is_told_makes_it_fail(tracked: GitRepo, tmp_path: Path, step: list[Any]) -> None:
    """No hook of it rejects, whatever it is called with, and each line can be read again."""
    play(tracked, tmp_path, step, message(), step, ["dispose"])
    assert all(isinstance(each, SessionFact | PulseFact) for each in said(tracked))
