"""The real clients, from npm and PyPI, against a scripted model: what they did is credited, session by session."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent
REAL = dict(os.environ)
"""The environment before the tests are sealed: npm and pip are configured there."""

_CACHE_HOME = Path(REAL.get("XDG_CACHE_HOME") or Path(REAL.get("HOME", "/tmp")) / ".cache")  # noqa: S108 -- no home
CACHE = Path(REAL.get("AGENT_TRACKER_CLIENTS_CACHE") or _CACHE_HOME / "agent-tracker-tests" / "clients")


class Expected(NamedTuple):
    """What one run of a client comes to.

    `used` is what its session is told to have used: tools, commands, failures. `parts` is the same of its subagent's
    session, None where it has none of its own.
    """

    package: str
    model: str
    used: tuple[int, int, int]
    parts: tuple[int, int, int] | None
    is_ended: bool = True
    has_built: bool = False


EXPECTED = {
    "opencode": Expected("opencode-ai@1.18.33", "own/scripted", (2, 2, 1), (0, 1, 0), has_built=True),
    "claude": Expected("@anthropic-ai/claude-code@2.1.329", "claude-sonnet-4-5", (2, 2, 1), (0, 1, 0), has_built=True),
    # It has no tool that writes a file but its shell, does not say how a command ended, and its subagent is waited for.
    "codex": Expected("@openai/codex@0.169.0", "gpt-5.2-codex", (1, 5, 0), (0, 1, 0)),
    # The subagent's work is its parent's, and its last word is a tool.
    "gemini": Expected("@google/gemini-cli@0.61.0", "gemini-2.5-pro", (3, 3, 1), None),
    "copilot": Expected("@github/copilot@1.0.102", "gpt-5.1", (2, 2, 1), (0, 1, 0)),
    "qwen": Expected("@qwen-code/qwen-code@0.15.10", "scripted", (2, 3, 1), (0, 0, 0), is_ended=False),
}
AIDER = "aider-chat==0.86.2"
SUBJECTS = ("feat: first", "feat: second", "feat: by the part")


def installed(package: str, make: Callable[[Path], str]) -> Path:
    """Return where a package is, installed once for all runs, or skip and say why."""
    path = CACHE / package.replace("/", "_")
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        aside = CACHE / f"{path.name}.{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        if trouble := make(aside):
            shutil.rmtree(aside, ignore_errors=True)
            pytest.skip(f"{package} cannot be installed: {trouble}")
        aside.rename(path)
    return path


def from_npm(package: str, *, has_built: bool) -> Path:
    """Return where a package of npm's is; one that is `built` brings its program by a script that is to be allowed."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip(f"npm is not installed, so {package} cannot be had")

    def make(path: Path) -> str:
        path.mkdir()
        (path / "package.json").write_text('{"private": true}')
        trouble = quietly("npm", "install", "--no-audit", "--no-fund", "--save-exact", package, cwd=path)
        if has_built and not trouble:
            quietly("npm", "install-scripts", "approve", package.rpartition("@")[0], cwd=path)
            trouble = quietly("npm", "rebuild", cwd=path)
        return trouble

    return installed(package, make)


def from_pypi(package: str) -> Path:
    """Return a virtual environment that has a package of PyPI's; its scripts name its place, so it is not moved."""
    path = CACHE / package
    if not (path / "done").exists():
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        trouble = quietly(sys.executable, "-m", "venv", path, cwd=path.parent)
        trouble = trouble or quietly(path / "bin/python", "-m", "pip", "install", "--quiet", package, cwd=path.parent)
        if trouble:
            pytest.skip(f"{package} cannot be installed: {trouble}")
        (path / "done").touch()
    return path


def quietly(*argv: str | Path, cwd: Path) -> str:
    """Run a program that installs; return the end of what it says where it fails."""
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=REAL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.decode("utf-8", "replace")[-300:] or "failed" if done.returncode else ""


def alone(root: Path) -> list[str]:
    """Return what starts a process that has no network but its own loopback, where that can be had."""
    argv = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    is_possible = bool(shutil.which("unshare")) and run(*argv, "ip", "link", "set", "lo", "up", cwd=root).code == 0
    return argv if is_possible else []


def driven(name: str, root: Path, work: Path, script: dict[str, Any], before: str) -> GitRepo:
    """Run a client once in a repository with hooks, and return that."""
    repo = GitRepo.init(work / "repo")
    repo.git("config", "user.name", "A Person")
    repo.git("config", "user.email", "person@example.org")
    repo.commit("base")
    (work / "home").mkdir()
    (work / "script.json").write_text(json.dumps(script))
    argv: list[str | Path] = [*alone(work), sys.executable, HERE / "driving.py", name, "--work", work, "--root", root]
    told = [*argv, "--script", work / "script.json", "--before", before]
    env = {"DRIVEN_ALONE": "1" if "--net" in map(str, argv) else "", "PYTHONPATH": str(PACKAGE)}
    done = run(*told, cwd=work, env=env)
    assert done.code == 0, done
    assert json.loads(done.out)["code"] == 0, (done, (work / "out/stderr").read_text()[-2000:])
    return repo


def tracker(work: Path, *argv: str) -> Any:  # noqa: ANN401 -- JSON
    """Run a command in the client's home, as its user would, and return its JSON."""
    env = json.loads((work / "out/environment.json").read_text())
    done = run(sys.executable, "-m", "agent_tracker", *argv, "--json", cwd=work / "repo", env=env)
    assert done.code == 0, done
    return json.loads(done.out)


def before(name: str, model: str) -> str:
    """Return what a user does first."""
    call = f"'{sys.executable}' -m agent_tracker"
    register = f"{call} register ada --model {model} --scope all --client {name}"
    return f"{call} install-hooks && {register}" + (f" && {call} connect {name}" if name != "aider" else "")


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_client_did_is_credited(name: str, tmp_path: Path) -> None:
    """Edit, commit, fail, commit, let a part do more: agent, model, sessions and XP are right, each commit is one."""
    expected = EXPECTED[name]
    root = from_npm(expected.package, has_built=expected.has_built)
    steps: list[dict[str, Any]] = [
        {"write": [str(tmp_path / "repo/edited.txt"), "edited"]},
        {"shell": "git add edited.txt && git commit -q -m 'feat: first'"},
        {"shell": "exit 3"},
        {"shell": "echo 2 > two.txt && git add two.txt && git commit -q -m 'feat: second'"},
        {"subagent": "do the part"},
        *([{"shell": "sleep 3"}] if name == "codex" else []),
    ]
    part = [{"shell": "echo 3 > three.txt && git add three.txt && git commit -q -m 'feat: by the part'"}]
    script = {"part done": [], "do the part": [*part, {"text": "part done"}], "": steps}
    repo = driven(name, root, tmp_path, script, before(name, expected.model.rpartition("/")[2]))

    sessions = {session["id"]: session for session in tracker(tmp_path, "session", "list")["sessions"]}
    agent = tracker(tmp_path, "agents", "list")["agents"][0]
    whole = [session for session in sessions.values() if not session["parent"]]
    parts = [session for session in sessions.values() if session["parent"]]
    assert [used(session) for session in whole] == [expected.used]
    assert [used(session) for session in parts] == ([expected.parts] if expected.parts is not None else [])
    for session in sessions.values():
        assert (session["agent_id"], session["client"], session["model"]) == (agent["id"], name, expected.model)
    assert {session["parent"] for session in parts} <= {whole[0]["id"]}
    assert whole[0]["state"] == ("ended" if expected.is_ended else "idle")

    commits = tracker(tmp_path, "log")["commits"]
    made = {commit["task_description"]: commit["agent_id"] for commit in commits}
    assert made == dict.fromkeys(SUBJECTS, agent["id"])
    assert len(commits) == len(SUBJECTS) == int(repo.git("rev-list", "--count", "HEAD")) - 1
    counts = [used(session) for session in sessions.values()]
    earned = 5 * len(SUBJECTS) + sum(tools + 2 * commands for tools, commands, _ in counts)
    assert agent["experience_earned"] == earned


def used(session: dict[str, Any]) -> tuple[int, int, int]:
    """Return a session's tools, commands and failures."""
    metrics = session["metrics"]
    return metrics["tools"], metrics["commands"], metrics["failures"]


def test_aider_is_known_by_its_marks(tmp_path: Path) -> None:
    """Aider has no hooks: the commit that carries its trailer is its agent's, the one of the user's own file is not."""
    root = from_pypi(AIDER)
    driven("aider", root, tmp_path, {"": []}, before("aider", "scripted"))
    agent = tracker(tmp_path, "agents", "list")["agents"][0]
    commits = tracker(tmp_path, "log")["commits"]
    assert [commit["agent_id"] for commit in commits] == [agent["id"], None]
    assert tracker(tmp_path, "session", "list")["sessions"] == []
