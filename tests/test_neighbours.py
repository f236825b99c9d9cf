"""Beside the other programs that have hooks: the real ones, in either order, reinstalled and taken out again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from agent_tracker.installation.config_hooks import find_gits
from agent_tracker.installation.neighbours import lines_for, owner_of
from agent_tracker.repository import find_repository
from gitrepo import GitRepo, run, tree

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.neighbours

CACHE = os.environ.get("AGENT_TRACKER_TEST_CACHE", "")
NEW_GIT = os.environ.get("AGENT_TRACKER_TEST_GIT", "")
KEPT = ".agent-tracker-kept"
NPM_PACKAGES = ("husky@9", "lefthook@2", "simple-git-hooks@2")
PIP_PACKAGES = ("pre-commit>=4", "prek")


def in_cache(root: Path, name: str, make: Callable[[Path], subprocess.CompletedProcess[bytes]]) -> Path:
    """Return a directory under `root`, made once for all workers, or skip."""
    path = root / name
    if not path.exists():
        aside = root / f"{name}.{os.getpid()}"
        done = make(aside)
        if done.returncode:
            pytest.skip(f"{name} cannot be installed: {done.stdout.decode()[-300:]}")
        try:
            aside.rename(path)
        except OSError:
            shutil.rmtree(aside)
    return path


def quietly(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program that installs."""
    return subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that outlives a worker, and with AGENT_TRACKER_TEST_CACHE the run."""
    root = Path(CACHE) if CACHE else tmp_path_factory.getbasetemp().parent / "neighbours"
    root.mkdir(parents=True, exist_ok=True)
    return root


@pytest.fixture(scope="session")
def npm_bin(cache: Path) -> Path:
    """Where husky, lefthook and simple-git-hooks are."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")

    def make(path: Path) -> subprocess.CompletedProcess[bytes]:
        path.mkdir()
        (path / "package.json").write_text("{}")
        return quietly("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM_PACKAGES, cwd=path)

    return in_cache(cache, "npm", make) / "node_modules/.bin"


@pytest.fixture(scope="session")
def pip_bin(cache: Path) -> Path:
    """Where pre-commit and prek are; their scripts name the interpreter by its path, so they are started by it."""

    def make(path: Path) -> subprocess.CompletedProcess[bytes]:
        done = quietly(sys.executable, "-m", "venv", path, cwd=cache)
        return (
            done if done.returncode else quietly(path / "bin/python", "-m", "pip", "install", *PIP_PACKAGES, cwd=cache)
        )

    return in_cache(cache, "pip", make) / "bin"


class Program(NamedTuple):
    """A neighbour in one repository: how it is installed and taken out, and where what it ran is written down."""

    repo: GitRepo
    name: str
    install: tuple[str | Path, ...]
    uninstall: tuple[str | Path, ...]
    log: Path

    def put_in(self) -> None:
        """Install, or install again."""
        done = self.call(self.install)
        assert done == 0, self.name

    def take_out(self) -> None:
        """Uninstall."""
        assert self.call(self.uninstall) == 0, self.name

    def call(self, argv: tuple[str | Path, ...]) -> int:
        """Run it as a person would, with its own programs on the PATH."""
        done = run(*argv, cwd=self.repo.path, env=self.environment())
        return done.code

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a person who uses it."""
        return {"PATH": f"{Path(self.install[0]).parent}:{os.environ['PATH']}", "THEIRS_LOG": str(self.log), **more}

    def ran(self) -> list[str]:
        """Return what it has run since the last time, each event with its arguments."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text.splitlines()


EVENTS = ("pre-commit", "post-commit", "pre-push")


def configure_pre_commit(repo: GitRepo, theirs: Path) -> None:
    """One local hook for each event."""
    hooks = [
        {
            "id": event,
            "name": event,
            "language": "system",
            "entry": f"{theirs} {event}",
            "always_run": True,
            "pass_filenames": False,
            "stages": [event],
        }
        for event in EVENTS
    ]
    settings = {"default_install_hook_types": EVENTS, "repos": [{"repo": "local", "hooks": hooks}]}
    repo.write(".pre-commit-config.yaml", json.dumps(settings))


def configure_lefthook(repo: GitRepo, theirs: Path) -> None:
    """One command for each event."""
    repo.write("lefthook.yml", json.dumps({e: {"commands": {"theirs": {"run": f"{theirs} {e}"}}} for e in EVENTS}))


def configure_husky(repo: GitRepo, theirs: Path) -> None:
    """One script for each event."""
    for event in EVENTS:
        repo.write(f".husky/{event}", f'{theirs} {event} "$@"\n')


def configure_simple(repo: GitRepo, theirs: Path) -> None:
    """One command for each event."""
    repo.write("package.json", json.dumps({"simple-git-hooks": {e: f"{theirs} {e}" for e in EVENTS}}))


CONFIGURE = {
    "pre-commit": configure_pre_commit,
    "prek": configure_pre_commit,
    "lefthook": configure_lefthook,
    "husky": configure_husky,
    "simple-git-hooks": configure_simple,
}
STACKED = ["pre-commit", "prek"]
REGENERATED = ["lefthook", "husky", "simple-git-hooks"]
ALL = [*STACKED, *REGENERATED]


@pytest.fixture
def make_program(repo: GitRepo, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Program]:
    """Return a function that configures one of them in a repository that has one commit."""

    def make(name: str) -> Program:
        theirs = tmp_path / "theirs"
        theirs.write_text('#!/bin/sh\necho "$*" >>"$THEIRS_LOG"\nexit "${THEIRS_CODE:-0}"\n')
        theirs.chmod(0o755)
        programs: Path = request.getfixturevalue("pip_bin" if name in STACKED else "npm_bin")
        CONFIGURE[name](repo, theirs)
        repo.write(".gitignore", "/registry\n")
        repo.commit("first")
        python = (programs / "python",) if name == "pre-commit" else ()
        module = ("-m", "pre_commit") if name == "pre-commit" else (programs / name,)
        install: dict[str, tuple[str, ...]] = {"husky": (), "simple-git-hooks": ()}
        argv = (*python, *module, *install.get(name, ("install",)))
        undo: tuple[str | Path, ...] = (*python, *module, "uninstall")
        if name == "husky":
            undo = ("git", "config", "--unset", "core.hooksPath")
        elif name == "simple-git-hooks":
            undo = ("node", programs.parent / "simple-git-hooks/uninstall.js")
        return Program(repo, name, argv, undo, tmp_path / "log")

    return make


def install(repo: GitRepo) -> dict[str, Any]:
    """Run install-hooks, into files, and return what it reports."""
    shown = json.loads(repo.ok("install-hooks", "--style", "files", "--json"))["repositories"][0]
    assert isinstance(shown, dict)
    return shown


def install_and_add_lines(program: Program) -> None:
    """Run install-hooks and do as it says: add the lines where it says so, and run what it says."""
    repo = program.repo
    for to_add in (lines := install(repo)["lines_to_add"]):
        path = Path(to_add["path"])
        if path.name == "package.json":
            add_entry(path, to_add["line"])
        else:
            with path.open("a") as file:
                file.write(to_add["line"] + "\n")
    if any(to_add["then"] for to_add in lines):
        program.put_in()
    assert install(repo)["lines_to_add"] == []
    assert repo.json("status", "--no-flush")["status"]["missing_hooks"] == []


def add_entry(path: Path, line: str) -> None:
    """Put an entry into package.json, in the place of the one that stands there."""
    settings = json.loads(path.read_text())
    settings["simple-git-hooks"] |= json.loads("{" + line + "}")
    path.write_text(json.dumps(settings))


def recorded(repo: GitRepo) -> list[str]:
    """Return the oids in the spool, one for each time a commit was recorded."""
    spool = repo.path / ".git/agent-tracker/spool"
    lines = spool.read_text().splitlines() if spool.exists() else []
    return [line.split("\t")[2] for line in lines if line.startswith("1\tcommit")]


def check_both_run(program: Program) -> None:
    """A commit is recorded once, and the other program has run once for each event; each may refuse a commit."""
    repo = program.repo
    program.ran()
    oid = repo.commit(f"change {len(recorded(repo))}", env=program.environment())
    assert recorded(repo)[-1:] == [oid], program.name
    assert recorded(repo).count(oid) == 1
    assert program.ran() == ["pre-commit", "post-commit"]
    repo.write("refused.txt", "x")
    repo.git("add", "refused.txt")
    theirs = repo.try_git("commit", "-qm", "x", env=program.environment(THEIRS_CODE="3"))
    assert (theirs.code, program.ran()) == (1, ["pre-commit"]), theirs
    ours = repo.try_git("commit", "-qm", "x", env=program.environment(CLAUDECODE="1"))
    assert ours.code == 1, ours
    assert ours.err.count("commit refused") + ours.out.count("commit refused") == 1
    repo.git("reset", "-q", "--hard")
    program.ran()
    assert repo.head() == oid


@pytest.mark.parametrize("name", ALL)
def test_both_run_where_theirs_came_first(make_program: Callable[[str], Program], name: str) -> None:
    """Ours beside a program that was there: both run once, and either stops a commit; reinstalled, still."""
    program = make_program(name)
    program.put_in()
    install_and_add_lines(program)
    check_both_run(program)
    program.put_in()
    check_both_run(program)
    install(program.repo)
    check_both_run(program)


@pytest.mark.parametrize("name", ALL)
def test_both_run_where_ours_came_first(make_program: Callable[[str], Program], name: str) -> None:
    """A program that comes after ours: what it did to our hooks is mended by installing again, with its lines."""
    program = make_program(name)
    install(program.repo)
    program.put_in()
    if name in STACKED:
        check_both_run(program)
    install_and_add_lines(program)
    check_both_run(program)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ours_first", [True, False])
def test_ours_run_after_theirs_are_gone(make_program: Callable[[str], Program], name: str, *, ours_first: bool) -> None:
    """Uninstalling the other program, and installing ours again where it deleted them, leaves ours alone."""
    program = make_program(name)
    for step in (install, Program.put_in) if ours_first else (Program.put_in, install):
        step(program if step is Program.put_in else program.repo)  # type: ignore[arg-type]
    program.take_out()
    if name in STACKED:
        assert program.repo.json("status")["status"]["missing_hooks"] == []
    install(program.repo)
    oid = program.repo.commit("second", env=program.environment())
    assert (recorded(program.repo), program.ran()) == ([oid], [])


@pytest.mark.parametrize("name", ALL)
def test_uninstalling_ours_gives_theirs_back(make_program: Callable[[str], Program], name: str) -> None:
    """Beside a program that has the hooks, ours leave no trace; it goes on as before."""
    program = make_program(name)
    git_dir = program.repo.path / ".git"
    program.put_in()
    before = tree(git_dir)
    for _ in range(3):
        install(program.repo)
    program.repo.ok("uninstall-hooks")
    assert tree(git_dir) == before
    program.repo.commit("second", env=program.environment())
    assert program.ran() == ["pre-commit", "post-commit"]


def hook(repo: GitRepo, event: str, body: str, *, shell: str = "/bin/sh", mode: int = 0o755) -> Path:
    """Write a hook of a person's own."""
    path = repo.path / ".git/hooks" / event
    path.write_text(f"#!{shell}\n{body}\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("order", ["own-ours-theirs", "own-theirs-ours"])
def test_three_hooks_of_one_event_run(make_program: Callable[[str], Program], name: str, order: str) -> None:
    """A person's own hook runs too, once, with its arguments and its stdin; all of them come back."""
    program = make_program(name)
    repo = program.repo
    hook(repo, "pre-push", 'echo "own $1" >>"$THEIRS_LOG"; cat >>"$THEIRS_LOG"')
    before = tree(repo.path / ".git/hooks")
    for step in order.split("-")[1:]:
        install(repo) if step == "ours" else program.put_in()
    check_both_run(program)
    bare = repo.path.parent / "bare"
    repo.git("init", "-q", "--bare", bare)
    repo.git("push", "-q", bare, "main", env=program.environment())
    ran = program.ran()
    assert ran == [f"own {bare}", f"refs/heads/main {repo.head()} refs/heads/main {'0' * 40}", "pre-push"]
    repo.ok("uninstall-hooks")
    program.take_out()
    assert tree(repo.path / ".git/hooks") == before


@pytest.mark.parametrize("name", STACKED)
def test_a_program_that_was_wrapped_is_not_run_in_a_circle(make_program: Callable[[str], Program], name: str) -> None:
    """Where ours kept its hook and it then put ours behind itself, each runs once; installing again sets it right."""
    program = make_program(name)
    install(program.repo)
    program.put_in()
    hooks = program.repo.path / ".git/hooks"
    for event in EVENTS:
        shutil.copy(hooks / event, hooks / f"{event}{KEPT}")
    check_both_run(program)
    install(program.repo)
    assert not list(hooks.glob(f"*{KEPT}"))
    check_both_run(program)


@pytest.mark.parametrize("name", STACKED)
def test_a_program_that_ours_wrapped_comes_to_the_front(make_program: Callable[[str], Program], name: str) -> None:
    """The layout in which ours ran its hook becomes the one that its own uninstall can undo."""
    program = make_program(name)
    install(program.repo)
    program.put_in()
    hooks = program.repo.path / ".git/hooks"
    for event in EVENTS:
        (hooks / event).rename(hooks / f"{event}{KEPT}")
        (hooks / f"{event}.legacy").rename(hooks / event)
    check_both_run(program)
    install(program.repo)
    check_both_run(program)
    program.take_out()
    oid = program.repo.commit("alone", env=program.environment())
    assert (recorded(program.repo)[-1], program.ran()) == (oid, [])


def test_a_forced_installation_is_mended(make_program: Callable[[str], Program]) -> None:
    """`pre-commit install -f` deletes ours: status says so, and installing again sets it right."""
    program = make_program("pre-commit")
    install(program.repo)
    assert program.call((*program.install, "-f")) == 0
    assert program.repo.json("status")["status"]["missing_hooks"] == list(EVENTS)
    install(program.repo)
    check_both_run(program)


def lfs(repo: GitRepo, *argv: str) -> int:
    """Run git-lfs on the repository alone, or skip."""
    if not shutil.which("git-lfs"):
        pytest.skip("git-lfs is not installed")
    return repo.try_git("lfs", *argv).code


def check_lfs_runs(repo: GitRepo, bare: Path) -> None:
    """A commit is recorded once, and both git-lfs hooks run."""
    done = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"GIT_TRACE": "1"})
    assert recorded(repo)[-1:] == [repo.head()]
    assert recorded(repo).count(repo.head()) == 1
    assert "git-lfs post-commit" in done.err
    pushed = repo.try_git("push", "-q", bare, "main", env={"GIT_TRACE": "1"})
    assert pushed.code == 0
    assert "git-lfs pre-push" in pushed.err


@pytest.mark.parametrize("ours_first", [True, False])
def test_git_lfs_runs_beside_ours(repo: GitRepo, tmp_path: Path, *, ours_first: bool) -> None:
    """First or second, and installed again by force; it is only for `git lfs install` to say that a hook is there."""
    bare = tmp_path / "bare"
    repo.git("init", "-q", "--bare", bare)
    if ours_first:
        install(repo)
        assert lfs(repo, "install", "--local") == 2
        assert lfs(repo, "update", "--force") == 0
    else:
        assert lfs(repo, "install", "--local") == 0
    install(repo)
    check_lfs_runs(repo, bare)
    assert lfs(repo, "track", "*.bin") == 0
    assert lfs(repo, "install", "--local", "--force") == 0
    install(repo)
    check_lfs_runs(repo, bare)
    repo.ok("uninstall-hooks")
    assert lfs(repo, "uninstall", "--local") == 0
    assert not [path.name for path in (repo.path / ".git/hooks").iterdir() if path.suffix != ".sample"]


@pytest.mark.parametrize("shell", ["/bin/sh", "/usr/bin/env bash", "/usr/bin/env python3"])
def test_a_hand_written_hook_gets_what_git_gives(repo: GitRepo, tmp_path: Path, shell: str) -> None:
    """In any language: arguments, stdin and exit code pass through ours."""
    body = 'echo "$@"; cat; exit 7'
    if "python" in shell:
        body = "import sys\nprint(*sys.argv[1:])\nsys.stdout.write(sys.stdin.read())\nsys.exit(7)"
    hook(repo, "pre-push", body, shell=shell)
    install(repo)
    oid = repo.commit("first")
    bare = tmp_path / "bare"
    repo.git("init", "-q", "--bare", bare)
    done = repo.try_git("push", "-q", bare, "main")
    assert (done.code, done.out) == (1, f"{bare} {bare}\nrefs/heads/main {oid} refs/heads/main {'0' * 40}\n")


def test_a_hook_that_git_ignores_is_not_run(repo: GitRepo) -> None:
    """Without an executable bit it does not become one that runs, and comes back without it."""
    path = hook(repo, "pre-commit", "exit 1", mode=0o644)
    before = tree(path.parent)
    install(repo)
    repo.commit("first")
    repo.ok("flush")
    repo.ok("uninstall-hooks")
    assert tree(path.parent) == before


def put_new_git_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have git 2.54 or newer on the PATH, or skip."""
    search = f"{Path(NEW_GIT).parent}:{os.environ['PATH']}" if NEW_GIT else os.environ["PATH"]
    new = [git.path for git in find_gits(search, ()) if git.version >= (2, 54)]
    if not new:
        pytest.skip("no git 2.54 or newer: set AGENT_TRACKER_TEST_GIT")
    monkeypatch.setenv("PATH", f"{Path(new[0]).parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("name", ALL)
def test_hooks_in_the_configuration_need_nothing_of_theirs(
    make_program: Callable[[str], Program], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With a new git, whoever has the hook files: both run, after theirs are installed again and without them."""
    put_new_git_first(monkeypatch)
    program = make_program(name)
    repo = program.repo
    program.put_in()
    assert repo.json("install-hooks", "--style", "config")["repositories"][0]["lines_to_add"] == []
    check_both_run(program)
    program.put_in()
    check_both_run(program)
    program.take_out()
    oid = repo.commit("alone", env=program.environment())
    assert (recorded(repo)[-1], program.ran()) == (oid, [])


CHECKOUT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", STACKED)
def test_the_framework_can_run_ours(make_program: Callable[[str], Program], tmp_path: Path, name: str) -> None:
    """By `.pre-commit-hooks.yaml`: each event once, beside ours and instead of it; refusals are shown."""
    program = make_program(name)
    repo = program.repo
    shipped = GitRepo.init(tmp_path / "shipped")
    (shipped.path / "scripts").mkdir()
    for file in (".pre-commit-hooks.yaml", "scripts/run-hook"):
        shutil.copy(CHECKOUT / file, shipped.path / file)
    shipped.git("add", "--all")
    shipped.git("commit", "-qm", "shipped")
    ids = [{"id": f"agent-tracker-{event}"} for event in EVENTS]
    settings = json.loads((repo.path / ".pre-commit-config.yaml").read_text())
    settings["repos"].append({"repo": str(shipped.path), "rev": shipped.head(), "hooks": ids})
    repo.write(".pre-commit-config.yaml", json.dumps(settings))
    program.put_in()
    install(repo)
    check_both_run(program)
    for path in (repo.path / ".git/hooks").glob("*.legacy"):
        path.unlink()
    check_both_run(program)
    repo.ok("uninstall-hooks")
    repo.commit("alone", env=program.environment())
    assert program.ran() == ["pre-commit", "post-commit"]


OVERCOMMIT = "#!/usr/bin/env ruby\nexit if ENV['OVERCOMMIT_DISABLE'].to_i != 0\n"


@pytest.mark.parametrize(
    ("package", "begins"),
    [
        ('{"simple-git-hooks": {"pre-push": "npm test"}}', '"pre-push": "npm test || exit; at='),
        ('{"simple-git-hooks": {"pre-commit": "npm test"}}', '"pre-push": "at='),
        ('{"simple-git-hooks": "elsewhere.json"}', '"pre-push": "at='),
        ("[1]", '"pre-push": "at='),
        ("broken", '"pre-push": "at='),
    ],
)
def test_what_a_package_runs_already_stays_in_the_line_to_add(repo: GitRepo, package: str, begins: str) -> None:
    """The entry is whole as it is shown: their command first, where there is one."""
    (repo.path / ".git/hooks/pre-push").write_text("#!/bin/sh\n[ $SKIP_SIMPLE_GIT_HOOKS ]\n")
    repo.write("package.json", package)
    assert lines_for(find_repository(str(repo.path), {}), ["pre-push"])[0].line.startswith(begins)


def test_overcommits_hooks_are_left_to_it(repo: GitRepo) -> None:
    """Known by what its hooks say (an imitation of them): not touched, the lines to add are its own configuration."""
    hooks = repo.path / ".git/hooks"
    (hooks / "overcommit-hook").write_text(OVERCOMMIT)
    (hooks / "post-commit").symlink_to("overcommit-hook")
    report = install(repo)
    assert report["owner"] == "overcommit"
    assert [Path(to_add["path"]).name for to_add in report["lines_to_add"]] == [".overcommit.yml"]
    assert str((hooks / "post-commit").readlink()) == "overcommit-hook"
    repo.write(".overcommit.yml", report["lines_to_add"][0]["line"])
    assert install(repo)["lines_to_add"] == []


def test_ours_in_overcommits_attic_go_too(repo: GitRepo) -> None:
    """It moves hooks that it meets into a directory of its own, from where it gives them back."""
    install(repo)
    hooks = repo.path / ".git/hooks"
    (hooks / "old-hooks").mkdir()
    (hooks / "post-commit").rename(hooks / "old-hooks/post-commit")
    (hooks / "post-commit").write_text(OVERCOMMIT)
    repo.ok("uninstall-hooks")
    assert [path.name for path in hooks.rglob("*") if path.suffix != ".sample"] == ["old-hooks", "post-commit"]


@pytest.mark.parametrize("name", ALL)
def test_the_owner_is_named_with_its_advice(make_program: Callable[[str], Program], name: str) -> None:
    """Who has the hooks, by what it was recognised, and what to add: nothing where it runs ours."""
    program = make_program(name)
    found = find_repository(str(program.repo.path), {})
    assert owner_of(found) is None
    program.put_in()
    install(program.repo)
    owner = owner_of(found)
    assert owner
    assert (owner.name, bool(owner.advice)) == (name, name in REGENERATED)
    assert Path(owner.place).exists()
    words = program.repo.ok("install-hooks", "--style", "files")
    assert all(line.splitlines()[0] in words for line in owner.advice)


MARKS = ("lefthook", "overcommit", "pre-commit.com", "generated by pre-commit", "husky", "simple-git-hooks", "prek")


def test_no_text_of_ours_has_anothers_mark(repo: GitRepo) -> None:
    """Programs know their own files by their words, and delete or overwrite them: ours hold none of these."""
    repo.ok("install-hooks", "--style", "files")
    ours = [path for path in (repo.path / ".git/hooks").iterdir() if path.suffix != ".sample"]
    assert len(ours) > len(EVENTS)
    for path in ours:
        text = path.read_text().lower()
        assert not [mark for mark in MARKS if mark in text], path
