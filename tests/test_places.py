"""Every place in which a commit may be made: real hooks, real git, and whom the store credits after a flush."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gitrepo import Done, GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GIT = shutil.which("git") or "/usr/bin/git"
PERSON = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
HOSTILE = 'we$(touch PWN)r;d"b'


class Agent(NamedTuple):
    """A registered agent and the environment that its client gives it."""

    id: str
    env: dict[str, str]


@pytest.fixture
def agent(repo: GitRepo) -> Agent:
    """An agent that is known by its client's variable."""
    return Agent(repo.register("ada", client="claude"), {"CLAUDECODE": "1"})


def credited(repo: GitRepo, env: dict[str, str] | None = None) -> dict[str, str]:
    """Flush, find everything in order, and return whom each commit is credited to, by subject."""
    repo.ok("flush", env=env)
    found = json.loads(repo.ok("verify", "--json", env=env))["verify"]
    assert found["clean"], found
    commits = json.loads(repo.ok("log", "--json", env=env))["commits"]
    return {c["task_description"]: c["agent_id"] or c["claim"] for c in commits}


def hooked(repo: GitRepo) -> GitRepo:
    """Install the hooks in a repository that has a commit."""
    repo.commit("older")
    repo.ok("install-hooks")
    return repo


def commit_from(cwd: Path, *options: str, subject: str = "made", env: dict[str, str]) -> None:
    """Make an empty commit with git's options standing before the command."""
    done = run("git", *options, "commit", "--quiet", "--allow-empty", "-m", subject, cwd=cwd, env=env)
    assert done == Done(0, "", ""), done


def test_a_subdirectory(repo: GitRepo, agent: Agent) -> None:
    """Git runs hooks at the top, wherever the commit is made."""
    hooked(repo)
    below = repo.path / "a/b c"
    below.mkdir(parents=True)
    commit_from(below, env=agent.env)
    assert credited(repo) == {"made": agent.id}


def test_another_directory(repo: GitRepo, agent: Agent) -> None:
    """`git -C` from anywhere."""
    hooked(repo)
    commit_from(repo.path.parent, "-C", repo.path.name, env=agent.env)
    assert credited(repo) == {"made": agent.id}


@pytest.mark.parametrize("how", ["options", "environment"])
@pytest.mark.parametrize("form", ["absolute", "relative"])
@pytest.mark.parametrize("where", ["outside", "below"])
def test_a_git_directory_that_is_named(repo: GitRepo, agent: Agent, how: str, form: str, where: str) -> None:
    """--git-dir and --work-tree, or the variables of the same meaning, from outside and from within."""
    hooked(repo)
    (repo.path / "below").mkdir()
    cwd, up = (repo.path.parent, repo.path.name) if where == "outside" else (repo.path / "below", "..")
    tree = str(repo.path) if form == "absolute" else up
    if how == "options":
        commit_from(cwd, f"--git-dir={tree}/.git", f"--work-tree={tree}", env=agent.env)
    else:
        commit_from(cwd, env={**agent.env, "GIT_DIR": f"{tree}/.git", "GIT_WORK_TREE": tree})
    assert credited(repo) == {"made": agent.id}


@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_dotfiles(home: Path, agent: Agent, form: str) -> None:
    """A bare repository whose work tree is the home directory: only the variables tell that they belong together."""
    run("git", "init", "--quiet", "--bare", home / ".dotfiles", cwd=home)
    tree = str(home) if form == "absolute" else "."
    named = {"GIT_DIR": f"{tree}/.dotfiles", "GIT_WORK_TREE": tree}
    dotfiles = GitRepo(home)
    dotfiles.ok("install-hooks", env=named)
    commit_from(home, f"--git-dir={tree}/.dotfiles", f"--work-tree={tree}", env=agent.env)
    assert (home / ".dotfiles/hooks/post-commit").exists()
    assert credited(dotfiles, named) == {"made": agent.id}
    dotfiles.ok("uninstall-hooks", env=named)
    assert not (home / ".dotfiles/agent-tracker").exists()


def test_a_work_tree_that_the_configuration_names(repo: GitRepo, agent: Agent, tmp_path: Path) -> None:
    """`core.worktree` puts the work tree elsewhere; hooks run there, with GIT_DIR saying where they came from."""
    hooked(repo)
    (tmp_path / "elsewhere").mkdir()
    repo.git("config", "core.worktree", tmp_path / "elsewhere")
    commit_from(tmp_path / "elsewhere", f"--git-dir={repo.path}/.git", env=agent.env)
    assert credited(repo) == {"made": agent.id}


@pytest.mark.parametrize("paths", ["absolute", "relative"])
@pytest.mark.parametrize("where", ["beside", "below"])
def test_a_linked_worktree(repo: GitRepo, agent: Agent, paths: str, where: str) -> None:
    """Hooks and spool are the common directory's; a gitfile may be absolute or, since git 2.48, relative."""
    hooked(repo)
    tree = GitRepo((repo.path if where == "below" else repo.path.parent) / "a tree")
    relative = str(paths == "relative").lower()
    repo.git("-c", f"worktree.useRelativePaths={relative}", "worktree", "add", "-q", "-b", "linked", tree.path)
    tree.commit("linked", env=agent.env)
    commit_from(repo.path, subject="main", env=agent.env)
    repo.git("worktree", "move", tree.path, repo.path.parent / "moved")
    GitRepo(repo.path.parent / "moved").commit("moved", env=agent.env)
    assert credited(repo) == {"linked": agent.id, "main": agent.id, "moved": agent.id}


def test_a_linked_worktree_that_installed_the_hooks_and_is_gone(repo: GitRepo, agent: Agent) -> None:
    """What was installed from a worktree outlives it, and so do the commits that were made in it."""
    repo.commit("older")
    tree = GitRepo(repo.path.parent / "tree")
    repo.git("worktree", "add", "-q", tree.path)
    tree.ok("install-hooks")
    tree.commit("linked", env=agent.env)
    repo.git("worktree", "remove", tree.path)
    repo.commit("main", env=agent.env)
    assert credited(repo) == {"linked": agent.id, "main": agent.id}


def test_a_bare_repository_with_worktrees(repo: GitRepo, agent: Agent, tmp_path: Path) -> None:
    """Where every worktree is a linked one, the hooks lie in the bare repository."""
    repo.commit("older")
    run("git", "clone", "--quiet", "--bare", repo.path, tmp_path / "bare.git", cwd=tmp_path)
    one, two = GitRepo(tmp_path / "one"), GitRepo(tmp_path / "two")
    for tree in (one, two):
        run("git", "worktree", "add", "--quiet", tree.path, cwd=tmp_path / "bare.git")
    one.ok("install-hooks")
    one.commit("first", env=agent.env)
    two.commit("second", env=agent.env)
    assert credited(two) == {"first": agent.id, "second": agent.id}


def test_a_submodule(repo: GitRepo, agent: Agent, tmp_path: Path) -> None:
    """A submodule is a repository of its own under `.git/modules`; its superproject's hooks know nothing of it."""
    library = GitRepo.init(tmp_path / "library")
    library.commit("older library")
    hooked(repo)
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library.path, "lib/x")
    inner = GitRepo(repo.path / "lib/x")
    inner.ok("install-hooks")
    assert (repo.path / ".git/modules/lib/x/hooks/post-commit").exists()
    inner.commit("inner", env=agent.env)
    repo.commit("outer")
    assert credited(inner) == {"inner": agent.id}
    assert credited(repo) == {"outer": "human"}


def test_a_separate_git_directory(agent: Agent, tmp_path: Path) -> None:
    """`git init --separate-git-dir` leaves a gitfile in the work tree."""
    (tmp_path / "a place").mkdir()
    repo = GitRepo.init(tmp_path / "tree", f"--separate-git-dir={tmp_path}/a place/apart")
    hooked(repo)
    repo.commit("made", env=agent.env)
    assert (tmp_path / "a place/apart/hooks/post-commit").exists()
    assert credited(repo) == {"made": agent.id}


@pytest.mark.parametrize("what", ["the repository", "the git directory"])
def test_a_symbolic_link_on_the_way(repo: GitRepo, agent: Agent, tmp_path: Path, what: str) -> None:
    """The repository may be reached through a link, and `.git` may be one."""
    hooked(repo)
    if what == "the repository":
        (tmp_path / "link").symlink_to(repo.path)
        repo = GitRepo(tmp_path / "link")
    else:
        (repo.path / ".git").rename(tmp_path / "real")
        (repo.path / ".git").symlink_to(tmp_path / "real")
    repo.commit("made", env=agent.env)
    assert credited(repo) == {"made": agent.id}


def test_a_repository_that_was_moved(repo: GitRepo, agent: Agent, tmp_path: Path) -> None:
    """Nothing that was installed names the place it was installed in."""
    hooked(repo)
    repo.path.rename(tmp_path / "moved")
    moved = GitRepo(tmp_path / "moved")
    moved.commit("made", env=agent.env)
    assert credited(moved) == {"made": agent.id}


@pytest.mark.parametrize("named", [True, False], ids=["agent", "person"])
def test_an_empty_environment(repo: GitRepo, agent: Agent, *, named: bool) -> None:
    """`env -i git commit`, as a program with windows may start it: neither HOME nor PATH."""
    hooked(repo)
    env = {"AGENT_TRACKER_AGENT": agent.id} if named else {}
    argv = [GIT, *PERSON, "commit", "--quiet", "--allow-empty", "-m", "made"]
    done = subprocess.run(argv, cwd=repo.path, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert credited(repo) == {"made": agent.id if named else "human"}


@pytest.mark.parametrize("env", [{"GEMINI_CLI": "1"}, {"AGENT_TRACKER_AGENT": "Nobody"}, {"AI_AGENT": "caf\u00e9"}])
def test_an_empty_environment_of_a_stranger(repo: GitRepo, agent: Agent, env: dict[str, str]) -> None:
    """Python, too, does its work without HOME and PATH: a commit that it must refuse is refused, in words."""
    hooked(repo)
    argv = [GIT, *PERSON, "commit", "--quiet", "--allow-empty", "-m", "made"]
    done = subprocess.run(argv, cwd=repo.path, env=env, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"agent-tracker: commit refused: ")
    subprocess.run([*argv, "--no-verify"], cwd=repo.path, env=env, capture_output=True, check=True)
    repo.commit("after", env=agent.env)
    assert credited(repo) == {"made": "unclaimed", "after": agent.id}


@pytest.mark.parametrize(
    "branch",
    [
        pytest.param('we$(touch${IFS}PWN)r;d"b', id="command"),
        pytest.param("`touch${IFS}PWN`'&&|#<>!%{}", id="signs"),
        pytest.param("-n", id="option"),
        pytest.param("b" * 250, id="250-bytes"),
        pytest.param("/".join(["d" * 100] * 12), id="1200-bytes"),
        pytest.param("\u00e9t\u00e9/\U0001f41f", id="not-ascii"),
        pytest.param("refs/heads/main", id="like-a-ref"),
        pytest.param("HEAD.d/x", id="like-HEAD"),
    ],
)
@pytest.mark.parametrize("where", ["main", "linked"])
def test_a_hostile_branch(repo: GitRepo, agent: Agent, branch: str, where: str) -> None:
    """A branch's name is data, whatever it looks like and however long it is."""
    hooked(repo)
    if where == "linked":
        repo.git("worktree", "add", "-q", "--detach", repo.path.parent / "tree")
        repo = GitRepo(repo.path.parent / "tree")
    repo.git("update-ref", f"refs/heads/{branch}", "HEAD")
    repo.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    repo.commit("made", env=agent.env)
    repo.git("merge", "-q", "--no-ff", "-m", "merged", commit_beside(repo), env=agent.env)
    assert credited(repo) == {"made": agent.id, "merged": agent.id}
    assert not list(repo.path.parent.rglob("PWN"))


def commit_beside(repo: GitRepo) -> str:
    """Make a commit that no branch leads to, beside HEAD."""
    return repo.git("commit-tree", "-p", "HEAD~", "-m", "beside", "HEAD~^{tree}")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(HOSTILE, id="command"),
        pytest.param("a\nb\n", id="newlines"),
        pytest.param("a\tb\x1b[31m\x7f", id="control"),
        pytest.param("'\"`\\", id="quotes"),
        pytest.param("-rf", id="option"),
        pytest.param("*?[a-z]", id="pattern"),
        pytest.param("n" * 250, id="250-bytes"),
        pytest.param("\u00e9\udcff", id="no-encoding"),
    ],
)
@pytest.mark.parametrize("what", ["repository", "file", "worktree"])
def test_a_hostile_path(agent: Agent, tmp_path: Path, name: str, what: str) -> None:
    """A repository, a file in it and a worktree of it may be named like anything."""
    repo = hooked(GitRepo.init(tmp_path / (name if what == "repository" else "plain")))
    if what == "worktree":
        repo.git("worktree", "add", "-q", "--detach", tmp_path / "trees" / name)
        repo = GitRepo(tmp_path / "trees" / name)
    if what == "file":
        repo.write(name, "x")
    repo.commit("made", env=agent.env)
    assert credited(repo) == {"made": agent.id}
    assert not list(tmp_path.rglob("PWN"))


@pytest.fixture
def read_only(repo: GitRepo) -> Iterator[Callable[[], None]]:
    """Return a function after which nobody can write to the repository's spool or its directory."""
    paths = [repo.path / ".git/agent-tracker", repo.path / ".git/agent-tracker/spool"]
    is_root = os.geteuid() == 0

    def lock() -> None:
        for path in paths:
            if not is_root:
                path.chmod(0o500 if path.is_dir() else 0o400)
            elif run("chattr", "+i", path, cwd=repo.path).code:
                pytest.skip("root writes everywhere, and files cannot be made immutable here")

    if is_root and not shutil.which("chattr"):
        pytest.skip("root writes everywhere, and there is no chattr")
    yield lock
    for path in paths:
        if is_root:
            run("chattr", "-i", path, cwd=repo.path)
        else:
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_a_directory_that_cannot_be_written(repo: GitRepo, agent: Agent, read_only: Callable[[], None]) -> None:
    """The commit is made, one line says what was not recorded, a flush ends in words; later the reflog tells of it."""
    hooked(repo)
    repo.commit("before", env=agent.env)
    read_only()
    done = repo.try_git("commit", "--quiet", "--allow-empty", "-m", "during", env=agent.env)
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert done.err.startswith("agent-tracker: cannot write agent-tracker/spool")
    assert repo.tracker("flush").code == 1
    assert not (repo.path.parent / "error.log").exists()


def test_what_could_not_be_written_is_found_later(repo: GitRepo, agent: Agent, read_only: Callable[[], None]) -> None:
    """Once the directory can be written again, what it lacked is taken from the reflog, and is nobody's."""
    hooked(repo)
    repo.commit("before", env=agent.env)
    read_only()
    repo.try_git("commit", "--quiet", "--allow-empty", "-m", "during", env=agent.env)
    for path in (repo.path / ".git/agent-tracker", repo.path / ".git/agent-tracker/spool"):
        run("chattr", "-i", path, cwd=repo.path) if os.geteuid() == 0 else path.chmod(0o700)
    repo.commit("after", env=agent.env)
    assert credited(repo) == {"before": agent.id, "during": "unclaimed", "after": agent.id}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() or run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place, cwd=tmp_path).code:
        pytest.skip("only root may mount a small file system, where it may")
    yield place
    run("umount", "--lazy", place, cwd=tmp_path)


def test_a_disk_that_is_full(repo: GitRepo, agent: Agent, small_disk: Path) -> None:
    """A line that finds no room costs one line of words; what was written of it does not spoil the next one."""
    hooked(repo)
    ours = repo.path / ".git/agent-tracker"
    shutil.copytree(ours, small_disk, dirs_exist_ok=True)
    shutil.rmtree(ours)
    ours.mkdir()
    assert run("mount", "--bind", small_disk, ours, cwd=repo.path).code == 0
    try:
        repo.commit("before", env=agent.env)
        fill(small_disk, room=50)
        done = repo.try_git("commit", "--quiet", "--allow-empty", "-m", "during", env=agent.env)
        assert (done.code, done.err.count("\n")) == (0, 1), done
        assert done.err.startswith("agent-tracker: cannot write agent-tracker/spool")
        assert repo.tracker("flush").code in {0, 1}
        (small_disk / "filler").unlink()
        repo.commit("after", env=agent.env)
        assert credited(repo) == {"before": agent.id, "during": "unclaimed", "after": agent.id}
    finally:
        run("umount", ours, cwd=repo.path)


def fill(directory: Path, *, room: int) -> None:
    """Write until nothing more fits but the beginning of a line in the spool."""
    with (directory / "spool").open("ab") as spool:
        spool.write(b"\n" * (4096 - room - spool.tell() % 4096))
    with (directory / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.parametrize("command", ["commit", "merge", "push"])
def test_a_captured_command_waits_for_nobody(repo: GitRepo, agent: Agent, tmp_path: Path, command: str) -> None:
    """`$(git commit)` ends with git: no process of ours is left behind that would hold the pipe open."""
    hooked(repo)
    run("git", "init", "--quiet", "--bare", tmp_path / "remote.git", cwd=tmp_path)
    repo.commit("first", env=agent.env)
    argv = {
        "commit": ["commit", "--quiet", "--allow-empty", "-m", "made"],
        "merge": ["merge", "--quiet", "--no-ff", "-m", "merged", commit_beside(repo)],
        "push": ["push", "--quiet", str(tmp_path / "remote.git"), "main"],
    }[command]
    with subprocess.Popen(
        [GIT, *argv], cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize("where", ["main", "linked"])
@pytest.mark.parametrize("state", ["packed", "detached", "unborn", "symbolic"])
def test_a_head_of_any_kind(repo: GitRepo, agent: Agent, state: str, where: str) -> None:
    """Packed refs, a detached HEAD, an orphan branch, and a branch that is another's alias."""
    hooked(repo)
    main = repo
    if where == "linked":
        repo.git("worktree", "add", "-q", "-b", "linked", repo.path.parent / "tree")
        repo = GitRepo(repo.path.parent / "tree")
    match state:
        case "packed":
            repo.git("pack-refs", "--all")
        case "detached":
            repo.git("checkout", "-q", "--detach")
        case "unborn":
            repo.git("checkout", "-q", "--orphan", "other")
        case _:
            repo.git("branch", "aim")
            repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/aim")
            repo.git("symbolic-ref", "HEAD", "refs/heads/alias")
    repo.commit("made", env=agent.env)
    if state == "packed":
        repo.git("pack-refs", "--all")
    assert credited(main) == {"made": agent.id}


@pytest.mark.parametrize("where", ["main", "linked"])
def test_sha256(agent: Agent, tmp_path: Path, where: str) -> None:
    """Oids of 64 digits."""
    repo = hooked(GitRepo.init(tmp_path / "other", "--object-format=sha256"))
    main = repo
    if where == "linked":
        repo.git("worktree", "add", "-q", tmp_path / "tree")
        repo = GitRepo(tmp_path / "tree")
    old = repo.commit("made", env=agent.env)
    assert len(old) == 64
    repo.git("commit", "-q", "--amend", "-m", "amended", env=agent.env)
    assert credited(main) == {"amended": agent.id}


@pytest.mark.parametrize("where", ["main", "linked"])
def test_reftable(agent: Agent, tmp_path: Path, where: str) -> None:
    """Where no shell can read a ref, Python asks git."""
    path = tmp_path / "other"
    if run("git", "init", "--quiet", "--ref-format=reftable", path, cwd=tmp_path).code:
        pytest.skip("this git has no reftable")
    repo = hooked(GitRepo(path))
    main = repo
    if where == "linked":
        repo.git("worktree", "add", "-q", tmp_path / "tree")
        repo = GitRepo(tmp_path / "tree")
    repo.commit("made", env=agent.env)
    repo.git("merge", "-q", "--no-ff", "-m", "merged", commit_beside(repo), env=agent.env)
    repo.git("commit", "-q", "--amend", "-m", "amended", env=agent.env)
    repo.git("checkout", "-q", "--detach")
    repo.commit("detached", env=agent.env)
    assert credited(main) == {"made": agent.id, "amended": agent.id, "detached": agent.id}
