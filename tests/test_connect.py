"""Connecting clients: their own files, ours in them, and out again."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.clients.registry import ADAPTERS
from agent_tracker.context import Context
from agent_tracker.errors import ConfigError, RegistrationError, UsageError
from agent_tracker.paths import user_paths
from agent_tracker.verbs.clients import connect, disconnect, look
from gitrepo import agent_tracker, tree

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [name for name in ADAPTERS if name != "aider"]
SHARED = ["claude", "codex", "gemini", "qwen", "cursor"]
"""Those whose file is the user's."""

MINE = """\
{
  // mine
  "model": "x",
  "hooks": {
    "Stop": [
      {"hooks": [{"type": "command", "command": "mine"}]}, // stays
    ],
    "stop": [{"command": "mine"}],
    "AfterTool": []
  },
}
"""


def context() -> Context:
    """Return what a verb is given here."""
    return Context(user_paths(os.environ), os.environ, 0)


def path_of(name: str) -> Path:
    """Return a client's file."""
    return Path(ADAPTERS[name].config_path(os.environ, os.environ["HOME"]))


def state(name: str) -> str:
    """Return how a client stands."""
    return next(each.state for each in look(context()) if each.client == name)


def put(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a user's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")
    path.chmod(mode)


@pytest.mark.parametrize("name", NAMES)
def test_connected_and_disconnected_nothing_is_left(name: str, home: Path) -> None:
    """A home without any file of the client's is again as it was, but for our own directory."""
    before = tree(home)
    assert state(name) == "not connected"
    assert connect(name, context()).was == "not connected"
    assert state(name) == "connected"
    assert disconnect(name, context()).state == "not connected"
    for directory in ("connected", ""):
        (home / ".local/state/agent-tracker" / directory).rmdir()
    for directory in (".local/state", ".local"):
        (home / directory).rmdir()
    assert tree(home) == before


@pytest.mark.parametrize("name", NAMES)
def test_connecting_twice_changes_nothing(name: str, home: Path) -> None:
    """The second time, every file stays as it is."""
    connect(name, context())
    before = tree(home)
    assert connect(name, context()).was == "connected"
    assert tree(home) == before


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize(
    "text",
    ["{}", '{"a": 1}', '{\n\t"a": {\n\t}\n}\n', MINE, "", MINE.replace("\n", "\r\n")],
    ids=["empty", "one line", "tabs", "comments", "blank", "CRLF"],
)
def test_a_users_file_comes_back_to_the_byte(name: str, text: str) -> None:
    """Comments, layout, hooks and the mode of a file stay while we are in it, and are all there is afterwards."""
    path = path_of(name)
    put(path, text, mode=0o640)
    connect(name, context())
    assert state(name) == "connected"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert text.count("mine") <= path.read_text().count("mine")
    disconnect(name, context())
    assert path.read_bytes().decode() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", SHARED)
def test_changes_that_the_user_made_meanwhile_stay(name: str) -> None:
    """What was written elsewhere in the file since we came is there when we are gone."""
    path = path_of(name)
    put(path, MINE)
    connect(name, context())
    path.write_text(path.read_text().replace('"model": "x"', '"model": "y"'))
    disconnect(name, context())
    assert path.read_text() == MINE.replace('"model": "x"', '"model": "y"')


@pytest.mark.parametrize("name", SHARED)
def test_a_file_that_its_client_wrote_anew_loses_only_ours(name: str) -> None:
    """Where the client has laid the file out anew, what is ours is found by what it is."""
    path = path_of(name)
    before = {"model": "x", "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "mine"}]}]}}
    put(path, json.dumps(before))
    connect(name, context())
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    assert state(name) == "connected"
    disconnect(name, context())
    assert json.loads(path.read_text()) == before


def test_a_hook_of_another_in_our_group_stays() -> None:
    """Where somebody put a hook of theirs into a group of ours, it is ours alone that goes."""
    path = path_of("claude")
    connect("claude", context())
    settings: dict[str, Any] = json.loads(path.read_text())
    settings["hooks"]["Stop"][0]["hooks"].append({"type": "command", "command": "mine"})
    path.write_text(json.dumps(settings))
    assert state("claude") == "outdated"
    disconnect("claude", context())
    assert json.loads(path.read_text()) == {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "mine"}]}]}}


@pytest.mark.parametrize("name", NAMES)
def test_hooks_of_an_earlier_version_are_replaced(name: str, home: Path) -> None:
    """What names our script in another way is ours of another time: connecting again puts it right."""
    connect(name, context())
    current = path_of(name).read_text()
    path_of(name).write_text(current.replace("agent-tracker-client-hook", "agent-tracker-client-hook.old"))
    assert state(name) == "outdated"
    assert connect(name, context()).was == "outdated"
    assert json_or_text(path_of(name)) == json_or_text_of(current)
    assert (home / ".local/state/agent-tracker/agent-tracker-client-hook").is_file()


def json_or_text(path: Path) -> object:
    """Return what a file says, however it is laid out."""
    return json_or_text_of(path.read_text())


def json_or_text_of(text: str) -> object:
    """Return what a text says, however it is laid out."""
    return json.loads(text) if text.startswith("{") else text


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize(
    "text",
    ['{"a": 1', "[]", '{"hooks": 1}', '{"hooks": {"Stop": {"a": 1}}}'],
    ids=["open", "list", "number", "object"],
)
def test_a_file_that_is_not_as_it_should_be_is_left_alone(name: str, text: str) -> None:
    """It is refused with the path, and stays as it is."""
    path = path_of(name)
    put(path, text)
    with pytest.raises(ConfigError, match=str(path)):
        connect(name, context())
    assert path.read_text() == text
    assert next(each.trouble for each in look(context()) if each.client == name)


@pytest.mark.parametrize("name", ["opencode", "copilot"])
def test_a_file_of_another_where_ours_would_be_is_left_alone(name: str) -> None:
    """Somebody else's plugin or hooks of the same name are not written over, and not taken away."""
    put(path_of(name), "export const Mine = 1\n")
    for verb in (connect, disconnect):
        with pytest.raises(ConfigError, match="is not ours"):
            verb(name, context())
    assert path_of(name).read_text() == "export const Mine = 1\n"


@pytest.mark.parametrize("name", SHARED)
def test_a_link_of_a_dotfile_manager_stays_a_link(name: str, tmp_path: Path) -> None:
    """The file that the link leads to is changed, and the link stays."""
    real = tmp_path / "dotfiles" / "settings.json"
    put(real, MINE)
    path_of(name).parent.mkdir(parents=True)
    path_of(name).symlink_to(real)
    connect(name, context())
    assert path_of(name).is_symlink()
    assert "agent-tracker-client-hook" in real.read_text()
    disconnect(name, context())
    assert path_of(name).is_symlink()
    assert real.read_text() == MINE


@pytest.mark.parametrize("name", NAMES)
def test_a_link_that_leads_nowhere_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing is made where it leads."""
    path_of(name).parent.mkdir(parents=True)
    path_of(name).symlink_to(tmp_path / "gone.json")
    with pytest.raises(ConfigError, match="leads nowhere"):
        connect(name, context())
    assert not (tmp_path / "gone.json").exists()


def test_a_read_only_file_is_refused() -> None:
    """Who took the right to write it meant it."""
    put(path_of("claude"), "{}", mode=0o444)
    with pytest.raises(ConfigError, match="read-only"):
        connect("claude", context())
    assert path_of("claude").read_text() == "{}"


@pytest.mark.parametrize(
    ("name", "variable", "path"),
    [
        ("opencode", "XDG_CONFIG_HOME", "opencode/plugins/agent-tracker.js"),
        ("claude", "CLAUDE_CONFIG_DIR", "settings.json"),
        ("codex", "CODEX_HOME", "hooks.json"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("copilot", "COPILOT_HOME", "hooks/agent-tracker.json"),
        ("qwen", "QWEN_HOME", "settings.json"),
    ],
)
def test_a_client_is_found_where_its_own_variable_says(
    name: str, variable: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is the one in which the client itself looks."""
    monkeypatch.setenv(variable, str(tmp_path / "there"))
    connect(name, context())
    assert (tmp_path / "there" / path).is_file()


@pytest.mark.parametrize(("name", "error"), [("aider", UsageError), ("amp", UsageError), ("nobody", RegistrationError)])
def test_a_client_without_hooks_is_refused(name: str, error: type[Exception]) -> None:
    """The hint says what can be done instead."""
    with pytest.raises(error) as raised:
        connect(name, context())
    assert getattr(raised.value, "hint", "")


@pytest.mark.parametrize("name", NAMES)
def test_no_hook_runs_before_a_tool(name: str) -> None:
    """None of the events that a client listens to before it lets a tool run is asked for: one could deny it."""
    connect(name, context())
    text = path_of(name).read_text()
    assert not any(word in text for word in ("PreToolUse", "preToolUse", "BeforeTool", "execute.before", "permission"))


def test_a_kept_record_that_is_damaged_does_not_matter(home: Path) -> None:
    """Without what was put in word for word, ours is found by what it is."""
    put(path_of("claude"), MINE)
    connect("claude", context())
    for text in ("{", '{"inserted": [1, ""]}', '{"inserted": "x", "made": 3}'):
        (home / ".local/state/agent-tracker/connected/claude.json").write_text(text)
        disconnect("claude", context())
        assert "agent-tracker" not in path_of("claude").read_text()
        assert '{"hooks": [{"type": "command", "command": "mine"}]}, // stays' in path_of("claude").read_text()
        connect("claude", context())


def test_the_script_stays_until_the_last_client_is_gone(home: Path) -> None:
    """It is taken away with the last one that runs it."""
    script = home / ".local/state/agent-tracker/agent-tracker-client-hook"
    connect("claude", context())
    connect("codex", context())
    disconnect("claude", context())
    assert script.is_file()
    disconnect("codex", context())
    assert not script.exists()


def test_the_command_line_says_what_was_done(home: Path, make_repo: Callable[..., Any]) -> None:
    """People get lines, programs the documented JSON, whoever names nobody the usage."""
    repo = make_repo()
    repo.register("ada", client="claude")
    assert "Claude Code is connected: ~/.claude/settings.json" in repo.ok("connect", "claude")
    assert "is connected already" in repo.ok("connect", "claude-code")
    assert "Codex does not tell" not in repo.ok("clients")
    shown = {each["client"]: each for each in repo.json("clients")["clients"]}
    assert list(shown) == list(ADAPTERS)
    assert shown["claude"] == {
        "client": "claude",
        "title": "Claude Code",
        "state": "connected",
        "before": None,
        "path": str(home / ".claude/settings.json"),
        "agents": [repo.json("agents", "list")["agents"][0]["id"]],
        "misses": list(ADAPTERS["claude"].MISSES),
        "trouble": None,
    }
    assert "is not connected any more" in repo.ok("disconnect", "claude")
    assert "was not connected" in repo.ok("disconnect", "claude")
    assert agent_tracker("connect", cwd=home).code == 2
    assert agent_tracker("connect", "nobody", cwd=home).code == 1


def test_doctor_names_a_client_whose_hooks_do_not_run(home: Path, make_repo: Callable[..., Any]) -> None:
    """An interpreter that is gone, and a file that is broken, are each one line with its remedy."""
    repo = make_repo()
    repo.ok("install-hooks")
    connect("claude", context())
    assert "Claude" not in repo.tracker("doctor").out
    script = home / ".local/state/agent-tracker/agent-tracker-client-hook"
    lines = script.read_text().split("\n")
    script.write_text("\n".join("at_python='/gone/python'" if line[:9] == "at_python" else line for line in lines))
    put(path_of("gemini"), "{")
    said = repo.tracker("doctor").out
    assert "the hooks of Claude Code are of another version" in said
    assert "agent-tracker connect claude" in said
    assert "settings.json: line 1" in said
    connect("claude", context())
    assert state("claude") == "connected"
