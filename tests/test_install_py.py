"""install.py for real: a fresh home, a real virtual environment, real repositories.

The stages build on one another (interrupted, installed, used, run again, upgraded, taken back) and each leaves behind
what it saw, so that every test stands alone and none depends on the order.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
SHIPPED = ("LICENSE", "README.md", "agent_tracker", "hooks", "install.py", "pyproject.toml", "scripts")
HOOKS = ("pre-commit", "post-commit", "pre-push", "post-rewrite")
PASSED_ON = re.compile(r"PIP_\w+|(https?|no|all)_proxy|SSL_\w+|REQUESTS_CA_BUNDLE|LANG|LC_\w+|TMPDIR", re.IGNORECASE)
PATIENCE_S = 120


def needs_index(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that installs packages; under xdist all of them run in one process, which installs once."""
    for mark in (pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600), pytest.mark.xdist_group("install")):
        test = mark(test)
    return test


class Ran(NamedTuple):
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


class Machine(NamedTuple):
    """A user's home, a checkout of their own, and the environment that everything runs in."""

    home: Path
    checkout: Path
    env: dict[str, str]

    @property
    def link(self) -> Path:
        """The command on the PATH."""
        return self.home / ".local" / "bin" / "agent-tracker"

    @property
    def venv(self) -> Path:
        """The private virtual environment."""
        return self.home / ".local" / "share" / "agent-tracker" / "venv"

    @property
    def stamp(self) -> Path:
        """What says whether the virtual environment is finished."""
        return self.venv / "agent-tracker-installed"

    def run(self, *command: str | Path, cwd: Path | None = None, **env: str) -> Ran:
        """Run a command in this home."""
        done = subprocess.run(
            command,
            cwd=cwd or self.home,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def install(self, *arguments: str | Path, **env: str) -> Ran:
        """Run install.py."""
        return self.run(sys.executable, self.checkout / "install.py", *arguments, cwd=None, **env)

    def repository(self, name: str) -> Path:
        """Make a repository with a bare one to push to."""
        path = self.home / name
        remote = path.with_suffix(".git")
        assert self.run("git", "init", "-q", "-b", "main", path).code == 0
        assert self.run("git", "init", "-q", "--bare", remote).code == 0
        assert self.run("git", "remote", "add", "origin", remote, cwd=path).code == 0
        return path

    def files(self) -> dict[str, int]:
        """Return every file of the installation with the time of its last change, in nanoseconds."""
        roots = (self.link.parent, self.venv)
        found = [path for root in roots for path in root.rglob("*") if "__pycache__" not in path.parts]
        return {str(path): path.lstat().st_mtime_ns for path in found if not path.is_dir()}


def hooks_in(repository: Path) -> dict[str, bytes]:
    """Return the contents of a repository's hooks, the samples left out."""
    directory = repository / ".git" / "hooks"
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".sample"}


def pip_settings() -> dict[str, str]:
    """Return pip's configuration as variables, since its files lie in the home that the tests do not use."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False).stdout
    pairs = (line.split("=", 1) for line in listed.splitlines() if "=" in line and not line.startswith(":env:"))
    settings = {
        f"PIP_{key.split('.', 1)[1].upper().replace('-', '_')}": " ".join(str(ast.literal_eval(value)).split())
        for key, value in pairs
    }
    return settings | {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}


def make_machine(root: Path, **env: str) -> Machine:
    """Make an empty home and a checkout without history in it."""
    home, checkout = root / "home", root / "checkout"
    home.mkdir()
    checkout.mkdir()
    for name in SHIPPED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, checkout / name)
    sealed = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "SHELL": "/bin/bash",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "PIP_CACHE_DIR": str(root / "pip-cache"),
    }
    return Machine(home, checkout, sealed | env)


# --- The stages


class Interrupted(NamedTuple):
    """An installation killed while pip was at work."""

    machine: Machine
    repository: Path
    stamp: str


class Installed(NamedTuple):
    """After the first complete run."""

    machine: Machine
    repository: Path
    ran: Ran
    target: Path
    hooks: dict[str, bytes]
    version: Ran


class Used(NamedTuple):
    """After an agent was registered, committed and pushed, and a stranger tried to commit."""

    stranger: Ran
    push: Ran
    agents: Ran


class Again(NamedTuple):
    """After a second run of the same sources, with the command on the PATH and no repository named."""

    ran: Ran
    before: dict[str, int]
    after: dict[str, int]


class Upgraded(NamedTuple):
    """After a run of changed sources for a second repository."""

    ran: Ran
    second: Path
    hooks: dict[str, bytes]
    version: Ran


class Uninstalled(NamedTuple):
    """After --uninstall, one of three repositories being broken by then."""

    machine: Machine
    ran: Ran
    broken: Path
    hooks: list[dict[str, bytes]]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A fresh home and checkout, with pip's configuration."""
    return make_machine(tmp_path_factory.mktemp("machine"), **pip_settings())


@pytest.fixture(scope="module")
def interrupted(machine: Machine) -> Interrupted:
    """Kill install.py, and all it started, as soon as it has begun to fill the virtual environment."""
    repository = machine.repository("first")
    process = subprocess.Popen(
        [sys.executable, machine.checkout / "install.py", repository],
        cwd=machine.home,
        env=machine.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not list(machine.venv.glob("lib/*/site-packages/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return Interrupted(machine, repository, machine.stamp.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def installed(interrupted: Interrupted) -> Installed:
    """Run install.py for the repository."""
    machine, repository, _ = interrupted
    ran = machine.install(repository)
    version = machine.run(machine.link, "--version")
    return Installed(machine, repository, ran, machine.link.resolve(), hooks_in(repository), version)


@pytest.fixture(scope="module")
def used(installed: Installed) -> Used:
    """Do what install.py said comes next."""
    machine, repository = installed.machine, installed.repository
    registered = machine.run(
        machine.link, "register", "builder", "--model", "m-1", "--scope", "backend", cwd=repository
    )
    assert registered.code == 0, registered
    commit = ["git", "commit", "-q", "--allow-empty", "-m"]
    stranger = machine.run(*commit, "by a stranger", cwd=repository, AGENT_TRACKER_AGENT="stranger")
    known = machine.run(*commit, "by the builder", cwd=repository, AGENT_TRACKER_AGENT="builder")
    assert known.code == 0, known
    push = machine.run("git", "push", "-q", "origin", "main", cwd=repository)
    return Used(stranger, push, machine.run(machine.link, "agents", "--json", cwd=repository))


@pytest.fixture(scope="module")
def again(used: Used, installed: Installed) -> Again:  # noqa: ARG001 -- what was used must be found again
    """Run install.py once more, now with the command on the PATH."""
    machine = installed.machine
    before = machine.files()
    path = f"{machine.link.parent}{os.pathsep}{machine.env['PATH']}"
    return Again(machine.install(PATH=path), before, machine.files())


@pytest.fixture(scope="module")
def upgraded(again: Again, installed: Installed) -> Upgraded:  # noqa: ARG001 -- comes after it
    """Change a hook and the version in the checkout, and run install.py for another repository."""
    machine = installed.machine
    with (machine.checkout / "hooks" / "post-commit").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    init = machine.checkout / "agent_tracker" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "0.1.99"', init.read_text(encoding="utf-8")))
    second = machine.repository("second")
    ran = machine.install(second)
    return Upgraded(ran, second, hooks_in(installed.repository), machine.run(machine.link, "--version"))


@pytest.fixture(scope="module")
def uninstalled(upgraded: Upgraded, installed: Installed) -> Uninstalled:
    """Break one of three repositories, then take everything back."""
    machine = installed.machine
    broken = machine.repository("broken")
    assert machine.run(machine.link, "install-hooks", cwd=broken).code == 0
    (broken / ".git" / "HEAD").unlink()
    ran = machine.install("--uninstall")
    return Uninstalled(machine, ran, broken, [hooks_in(installed.repository), hooks_in(upgraded.second)])


# --- What the stages must have seen


@needs_index
def test_an_interrupted_installation_says_so(interrupted: Interrupted) -> None:
    """What a kill leaves behind is known to be unfinished."""
    assert interrupted.stamp == "unfinished"


@needs_index
def test_running_again_repairs_an_interrupted_installation(installed: Installed) -> None:
    """The first complete run after the kill ends well and says what it did."""
    assert (installed.ran.code, installed.ran.err) == (0, "")
    assert installed.ran.out.startswith("agent-tracker 0.1.0 is ")


@needs_index
def test_the_command_is_linked_and_runs(installed: Installed) -> None:
    """The link leads into the private virtual environment and the command works."""
    assert installed.target == (installed.machine.venv / "bin" / "agent-tracker").resolve()
    assert installed.version.code == 0
    assert "0.1.0" in installed.version.out


@needs_index
def test_the_hooks_are_in_the_repository(installed: Installed) -> None:
    """Each hook is there and knows itself."""
    assert all(b"agent-tracker-hook" in installed.hooks[name] for name in HOOKS)


@needs_index
def test_it_says_what_happens_next(installed: Installed) -> None:
    """Register, commit, push, in that order."""
    said = installed.ran.out
    assert -1 < said.find("agent-tracker register") < said.find("commit as") < said.find("git push")


@needs_index
def test_a_path_without_the_command_is_pointed_out(installed: Installed) -> None:
    """The exact line and the file of this user's shell are named."""
    assert 'export PATH="$HOME/.local/bin:$PATH"' in installed.ran.out
    assert re.search(r"~/\.bash(rc|_profile)", installed.ran.out)


@needs_index
def test_nothing_that_runs_unseen_shows_in_a_pipe(installed: Installed) -> None:
    """Neither pip's chatter nor progress reaches the output."""
    assert not re.search(r"Collecting|Successfully|\x1b|\r|moment", installed.ran.out)


@needs_index
def test_what_was_installed_stops_a_stranger(used: Used) -> None:
    """The hooks work from the installed package: an unregistered agent is refused."""
    assert used.stranger.code != 0
    assert "agent-tracker register" in used.stranger.err


@needs_index
def test_what_was_installed_credits_a_push(used: Used) -> None:
    """The registered agent's commit is in the store after the push."""
    assert used.push.code == 0, used.push
    agents = json.loads(used.agents.out)["agents"]
    assert [(agent["name"], agent["total_commits"]) for agent in agents] == [("builder", 1)]


@needs_index
def test_a_second_run_changes_nothing(again: Again) -> None:
    """Every file of the installation keeps its time of change; only the link is made anew."""
    changed = {path for path in again.before | again.after if again.before.get(path) != again.after.get(path)}
    assert {Path(path).name for path in changed} <= {"agent-tracker"}
    assert "is up to date" in again.ran.out


@needs_index
def test_without_a_repository_the_demonstration_runs(again: Again) -> None:
    """It shows the whole way and ends well."""
    assert (again.ran.code, again.ran.err) == (0, "")
    assert "git push" in again.ran.out
    assert "agent-tracker install-hooks" in again.ran.out


@needs_index
def test_a_path_with_the_command_is_not_mentioned(again: Again) -> None:
    """Nobody is told to change what is right."""
    assert "PATH" not in again.ran.out


@needs_index
def test_changed_sources_are_installed(upgraded: Upgraded) -> None:
    """The upgrade happens in place."""
    assert upgraded.ran.code == 0, upgraded.ran
    assert "0.1.99" in upgraded.version.out
    assert upgraded.ran.out.startswith("agent-tracker 0.1.99 is upgraded")


@needs_index
def test_an_upgrade_reaches_the_hooks_of_other_repositories(upgraded: Upgraded) -> None:
    """The repository of the first run has the changed hook, though the second run named another."""
    assert upgraded.hooks["post-commit"].endswith(b"# changed\n")


@needs_index
def test_uninstall_leaves_neither_command_nor_environment(uninstalled: Uninstalled) -> None:
    """Link, virtual environment and their directory are gone."""
    machine = uninstalled.machine
    assert not os.path.lexists(machine.link)
    assert not machine.venv.parent.exists()


@needs_index
def test_uninstall_takes_the_hooks_out(uninstalled: Uninstalled) -> None:
    """No repository that works keeps any."""
    assert uninstalled.hooks == [{}, {}]


@needs_index
def test_uninstall_goes_on_past_a_broken_repository(uninstalled: Uninstalled) -> None:
    """The broken one is named, and the exit code tells."""
    assert uninstalled.ran.code == 1
    assert f"Hooks in {uninstalled.broken} could not be removed" in uninstalled.ran.out


@needs_index
def test_uninstall_keeps_the_database_and_says_where(uninstalled: Uninstalled) -> None:
    """What was recorded outlives the program; how to remove it is said."""
    database = uninstalled.machine.home / ".config" / "opencode" / "agent-tracker.lmdb"
    assert database.is_file()
    assert re.search(rf"^ +rm -r .*{re.escape(str(database))}", uninstalled.ran.out, re.MULTILINE)


@needs_index
def test_the_tests_run_with_the_arguments_given(machine: Machine) -> None:
    """`--test` makes its environment, hands its arguments to pytest and its exit code back."""
    tests = machine.checkout / "tests"
    tests.mkdir()
    (tests / "test_one.py").write_text("def test_one() -> None:\n    import agent_tracker\n", encoding="utf-8")
    first, second = machine.install("--test", "-q"), machine.install("--test", "-q", "-k", "other")
    assert (first.code, second.code) == (0, 5), (first, second)
    assert ("1 passed" in first.out, "1 deselected" in second.out) == (True, True)


@needs_index
def test_when_pip_fails_the_end_of_what_it_said_is_shown(tmp_path: Path) -> None:
    """Without an index nothing can be installed: what pip missed is named, and no command is left half done."""
    machine = make_machine(tmp_path)
    ran = machine.install(PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert ran.code == 1
    assert "pip could not install" in ran.err
    assert "No matching distribution found for hatchling" in ran.err
    assert not machine.link.exists()


# --- What needs no installation


@pytest.fixture
def fresh(tmp_path: Path) -> Machine:
    """A home and a checkout in which nothing was installed; pip finds nothing, so that nothing ever is."""
    return make_machine(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="")


@pytest.fixture
def script() -> ModuleType:
    """install.py as a module."""
    spec = importlib.util.spec_from_file_location("install_script", CHECKOUT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_foreign_command_is_kept(fresh: Machine, kind: str) -> None:
    """A file or link of that name that is not ours stops the run before anything is changed."""
    fresh.link.parent.mkdir(parents=True)
    if kind == "file":
        fresh.link.write_bytes(b"#!/bin/sh\necho mine\n")
    else:
        fresh.link.symlink_to("/opt/pipx/venvs/agent-tracker/bin/agent-tracker")
    before = (fresh.link.lstat().st_ino, fresh.link.lstat().st_mtime_ns)
    ran = fresh.install(fresh.repository("r"))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert f"{fresh.link} is a {kind}" in ran.err
    assert (fresh.link.lstat().st_ino, fresh.link.lstat().st_mtime_ns) == before
    assert not fresh.venv.exists()


def test_uninstall_keeps_a_foreign_command(fresh: Machine) -> None:
    """What this script did not make it does not remove."""
    fresh.link.parent.mkdir(parents=True)
    fresh.link.write_bytes(b"mine")
    assert fresh.install("--uninstall").code == 0
    assert fresh.link.read_bytes() == b"mine"


def test_a_directory_that_is_no_repository_is_an_error(fresh: Machine) -> None:
    """One line, before anything is installed."""
    ran = fresh.install(fresh.home)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "is not a git repository" in ran.err
    assert not fresh.venv.exists()


def test_a_directory_that_does_not_exist_is_an_error(fresh: Machine) -> None:
    """The path is named as it was given."""
    assert fresh.install("nowhere") == Ran(1, "", "install.py: nowhere: no such directory\n")


def test_a_missing_git_is_an_error(fresh: Machine) -> None:
    """It is git that the user is sent to install."""
    ran = fresh.install(PATH=str(fresh.home))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "git is not on the PATH" in ran.err


def test_a_home_that_cannot_be_written_is_an_error(fresh: Machine) -> None:
    """A file where a directory belongs: the path is named, without a traceback."""
    (fresh.home / ".local").write_bytes(b"")
    ran = fresh.install()
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert str(fresh.home / ".local") in ran.err


@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["one", "two"], ["one", "--uninstall"], ["one", "--test"], ["--uninstall", "--test"], ["--scan"]],
    ids=" ".join,
)
def test_wrong_arguments_are_a_usage_error(fresh: Machine, arguments: list[str]) -> None:
    """They exit with 2 and the usage."""
    ran = fresh.install(*arguments)
    assert ran.code == 2
    assert ran.err.startswith("usage: install.py")


def test_a_python_without_ensurepip_is_an_error_that_names_the_package(fresh: Machine) -> None:
    """Debian's Python lacks it until its package is installed."""
    hidden = "import runpy, sys; sys.modules['ensurepip'] = None; runpy.run_path(sys.argv.pop(), run_name='__main__')"
    ran = fresh.run(sys.executable, "-c", hidden, fresh.checkout / "install.py")
    assert ran.code == 1
    assert "sudo apt install python3." in ran.err


def test_an_old_python_can_read_the_script() -> None:
    """Only syntax that Python 3.6 knows, so that it gets as far as the message, and no __future__ that it lacks."""
    tree = ast.parse((CHECKOUT / "install.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    assert not [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]


def test_the_command_ships_executable() -> None:
    """What pip installs has the mode that the script has here."""
    path = CHECKOUT / "scripts" / "agent-tracker"
    assert os.access(path, os.X_OK)
    assert path.read_bytes().startswith(b"#!python\n")


@pytest.mark.parametrize("scan", [True, False, None])
def test_history_is_read_only_where_somebody_says_so(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, *, scan: bool | None
) -> None:
    """By an option; a pipe is asked nothing, and nothing is read by itself."""
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked in a pipe"))
    assert script.wants_scan(scan=scan) is (scan is True)


@pytest.mark.parametrize("name", ["with space", "l" * 130], ids=["space", "long"])
def test_a_path_that_no_first_line_can_carry_gets_a_wrapper(script: ModuleType, tmp_path: Path, name: str) -> None:
    """The kernel splits a first line at a space and cuts off a long one; the wrapper runs the command all the same."""
    environment = script.Environment(tmp_path / name / "agent-tracker" / "venv")
    environment.scripts.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    command = environment.scripts / "agent-tracker"
    command.write_text(f"#!{environment.python}\nimport sys\nprint(sys.argv[1:])\n", encoding="utf-8")
    link = tmp_path / "bin" / "agent-tracker"
    for _ in range(2):
        script.put_on_path(environment, link)
    assert script.is_ours(link)
    assert subprocess.run([link, "a b", "*"], capture_output=True, text=True, check=True).stdout == "['a b', '*']\n"


@pytest.mark.parametrize(
    ("shell", "line", "file"),
    [
        ("zsh", 'export PATH="$HOME/.local/bin:$PATH"', "~/.zshrc"),
        ("fish", "fish_add_path ~/.local/bin", "~/.config/fish/config.fish"),
        ("dash", 'export PATH="$HOME/.local/bin:$PATH"', "~/.profile"),
        ("", 'export PATH="$HOME/.local/bin:$PATH"', "~/.profile"),
    ],
    ids=["zsh", "fish", "dash", "unknown"],
)
def test_each_shell_has_its_line_and_file(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, shell: str, line: str, file: str
) -> None:
    """The hint is what that shell reads."""
    monkeypatch.delenv("ZDOTDIR", raising=False)
    assert script.shell_line(shell) == (line, file)
