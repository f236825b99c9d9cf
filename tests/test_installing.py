"""The verbs install-hooks and uninstall-hooks: which repositories, from where, and what remains when we are gone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent_tracker.installation.hook_scripts import EVENTS, hook_files_dir
from gitrepo import GitRepo, agent_tracker, run, tree

README = Path(__file__).parent.parent / "README.md"


def hook(repo: GitRepo, event: str, body: str, *, mode: int = 0o755) -> Path:
    """Write a hook of a person's own."""
    path = repo.path / ".git/hooks" / event
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def recorded(git_dir: Path) -> list[str]:
    """Return the oids in the spool."""
    lines = (git_dir / "agent-tracker/spool").read_text().splitlines()
    return [line.split("\t")[2] for line in lines if line.startswith("1\tcommit")]


# -- which repository --------------------------------------------------------------------------------------------------


def test_a_repository_named_by_git_dir_is_served(tmp_path: Path, home: Path) -> None:
    """Where the git directory is not in the work tree, as for dotfiles, hooks go in, record, and come out again."""
    git_dir = home / ".dotfiles"
    run("git", "init", "-q", "--bare", git_dir, cwd=tmp_path)
    before = tree(git_dir / "hooks"), (git_dir / "config").read_bytes()
    named = {"GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(home)}
    assert agent_tracker("install-hooks", cwd=home, env=named).code == 0
    options = (f"--git-dir={git_dir}", f"--work-tree={home}")
    assert run("git", *options, "commit", "--allow-empty", "-qm", "first", cwd=home).code == 0
    assert recorded(git_dir) == [run("git", *options, "rev-parse", "HEAD", cwd=home).out.strip()]
    listed = home / ".local/state/agent-tracker/repositories"
    assert not listed.exists() or str(home) not in listed.read_text().splitlines()
    assert agent_tracker("uninstall-hooks", cwd=home, env=named).code == 0
    assert (tree(git_dir / "hooks"), (git_dir / "config").read_bytes()) == before
    assert not (git_dir / "agent-tracker").exists()


def test_every_repository_under_a_directory_gets_hooks(tmp_path: Path) -> None:
    """Nested ones and submodules, each once; no bare ones, none in node_modules, none through links; one line each."""
    top = tmp_path / "top"
    library = GitRepo.init(tmp_path / "library")
    library.commit("first")
    outer = GitRepo.init(top / "a/outer")
    outer.commit("first")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library.path, "module")
    outer.git("worktree", "add", "-q", top / "linked")
    for name in ("a/outer/nested", "a/outer/node_modules/package", "b c"):
        GitRepo.init(top / name)
    GitRepo.init(top / "bare.git", "--bare")
    (top / "link").symlink_to(library.path)
    done = agent_tracker("install-hooks", "--all", top, "--style", "files", cwd=tmp_path)
    names = ("a/outer", "a/outer/module", "a/outer/nested", "b c")
    assert (done.code, done.out.splitlines()) == (0, [f"{top / name}: installed" for name in names])
    assert not (library.path / ".git/agent-tracker").exists()
    again = agent_tracker("install-hooks", "--all", top, "--style", "files", cwd=tmp_path)
    assert again.out.splitlines() == [f"{top / name}: already installed" for name in names]


def test_a_repository_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its line says why, and the exit code is 1; as JSON too."""
    for name in ("a", "b", "c"):
        GitRepo.init(tmp_path / name)
    (tmp_path / "b/.git/agent-tracker").write_text("in the way")
    done = agent_tracker("install-hooks", "--all", tmp_path, "--json", cwd=tmp_path)
    shown = json.loads(done.out)["repositories"]
    assert [Path(each["project_path"]).name for each in shown] == ["a", "b", "c"]
    assert [bool(each["error"]) for each in shown] == [False, True, False]
    assert done.code == 1


@pytest.mark.parametrize("argv", [("--all", "nowhere"), ("--all", ".", "--template"), (".", "--template")])
def test_what_makes_no_sense_is_refused(repo: GitRepo, argv: tuple[str, ...]) -> None:
    """A directory that is not there is an error, two answers to the same question are wrong usage."""
    assert repo.tracker("install-hooks", *argv).code == (1 if "nowhere" in argv else 2)
    assert not (repo.path / ".git/agent-tracker").exists()


def test_both_commands_print_json(repo: GitRepo) -> None:
    """What was done to each event's hook, and what was kept."""
    path = hook(repo, "pre-push", "true")
    done = repo.json("install-hooks", "--style", "files")
    assert (done["version"], done["repositories"][0]["style"]) == (1, "files")
    by_event = {each["event"]: each for each in done["repositories"][0]["hooks"]}
    assert tuple(by_event) == EVENTS
    assert by_event["pre-push"]["kept"] == f"{path}.agent-tracker-kept"
    undone = repo.json("uninstall-hooks")["repositories"][0]
    changes = {each["event"]: each["change"] for each in undone["hooks"]}
    assert changes == dict.fromkeys(EVENTS, "removed") | {"pre-push": "restored"}
    assert (undone["error"], undone["unflushed"]) == (None, [])


# -- validateIn --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["--repo", None])
def test_validation_moves_to_the_message_and_back(repo: GitRepo, level: str | None) -> None:
    """The hooks before the message go, with a kept one given back; a commit is refused there; and all of it back."""
    options = [level] if level else []
    path = hook(repo, "pre-commit", "true")
    theirs = path.read_bytes()
    repo.ok("install-hooks", "--style", "files")
    said = repo.ok("config", "set", *options, "validateIn", "commit-msg")
    assert "agent-tracker install-hooks" in said
    repo.ok("install-hooks", "--style", "files")
    assert path.read_bytes() == theirs
    assert not (path.parent / "pre-merge-commit").exists()
    done = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code, done.err.count("commit refused")) == (1, 1)
    assert repo.json("status")["status"]["missing_hooks"] == []
    repo.ok("config", "unset", *options, "validateIn")
    repo.ok("install-hooks", "--style", "files")
    assert not (path.parent / "commit-msg").exists()
    assert repo.json("status")["status"]["missing_hooks"] == []
    repo.ok("uninstall-hooks")
    assert path.read_bytes() == theirs


# -- the template ------------------------------------------------------------------------------------------------------


def test_a_clone_made_from_the_template_is_tracked(repo: GitRepo, tmp_path: Path, home: Path) -> None:
    """Its first commit is recorded, flushed and counted, and it is among the repositories that are flushed together."""
    repo.commit("before")
    shown = json.loads(agent_tracker("install-hooks", "--template", "--json", cwd=tmp_path).out)["template"]
    assert Path(shown["template_dir"]).is_relative_to(home)
    clone = repo.clone(tmp_path / "clone")
    assert (clone.path / ".git/info/exclude").exists()
    first = clone.commit("first")
    second = clone.commit("second")
    assert recorded(clone.path / ".git") == [first, second]
    refused = clone.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (refused.code, refused.err.count("commit refused")) == (1, 1)
    assert agent_tracker("flush", "--all", cwd=home).code == 0
    assert set(clone.credited()) == {"first", "second"}
    assert clone.json("status")["status"]["missing_hooks"] == []


def test_a_new_repository_from_the_template_works_in_worktrees(tmp_path: Path) -> None:
    """`git init` copies it as well; a commit in a linked worktree is recorded."""
    agent_tracker("install-hooks", "--template", cwd=tmp_path)
    repo = GitRepo.init(tmp_path / "new")
    first = repo.commit("first")
    repo.git("worktree", "add", "-q", tmp_path / "linked")
    second = GitRepo(tmp_path / "linked").commit("second")
    assert recorded(repo.path / ".git") == [first, second]


@pytest.mark.parametrize("kind", ["submodule", "separate-git-dir"])
def test_an_odd_repository_from_the_template_is_tracked(repo: GitRepo, tmp_path: Path, home: Path, kind: str) -> None:
    """Where `.git` is a file: the commits are recorded, and the repository is listed once."""
    repo.commit("before")
    agent_tracker("install-hooks", "--template", cwd=tmp_path)
    place = GitRepo(tmp_path / "outer/module")
    if kind == "submodule":
        GitRepo.init(tmp_path / "outer").git(
            "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", repo.path, "module"
        )
    else:
        run("git", "clone", "-q", f"--separate-git-dir={tmp_path / 'aside'}", repo.path, place.path, cwd=tmp_path)
    oids = [place.commit("first"), place.commit("second")]
    assert recorded(Path(place.git("rev-parse", "--absolute-git-dir"))) == oids
    assert (home / ".local/state/agent-tracker/repositories").read_text().splitlines() == [str(place.path)]


def test_the_template_goes_again(tmp_path: Path, home: Path) -> None:
    """The configuration is as before, and a new repository has no hooks; a second time there is nothing to do."""
    before = (home / ".gitconfig").read_bytes()
    for _ in range(2):
        assert agent_tracker("install-hooks", "--template", cwd=tmp_path).code == 0
    assert (home / ".gitconfig").read_bytes() != before
    assert agent_tracker("uninstall-hooks", "--template", cwd=tmp_path).code == 0
    assert (home / ".gitconfig").read_bytes() == before
    assert not (home / ".local/state/agent-tracker/template").exists()
    assert agent_tracker("uninstall-hooks", "--template", cwd=tmp_path).code == 0


def test_a_template_that_was_there_is_kept(tmp_path: Path, home: Path) -> None:
    """The user's own directory: a hook in it is kept and runs in new repositories, and everything comes back."""
    directory = home / "template"
    (directory / "hooks").mkdir(parents=True)
    theirs = directory / "hooks/post-commit"
    theirs.write_text("#!/bin/sh\necho theirs >&2\n")
    theirs.chmod(0o755)
    (directory / "description").write_text("mine\n")
    run("git", "config", "--global", "init.templateDir", "~/template", cwd=tmp_path)
    before = tree(directory), (home / ".gitconfig").read_bytes()
    for _ in range(2):
        assert agent_tracker("install-hooks", "--template", cwd=tmp_path).code == 0
    repo = GitRepo.init(tmp_path / "new")
    done = repo.try_git("commit", "--allow-empty", "-qm", "x")
    assert (done.code, done.err) == (0, "theirs\n")
    assert recorded(repo.path / ".git") == [repo.head()]
    assert agent_tracker("uninstall-hooks", "--template", cwd=tmp_path).code == 0
    assert (tree(directory), (home / ".gitconfig").read_bytes()) == before


def test_installing_in_a_clone_from_the_template_makes_it_a_plain_one(tmp_path: Path) -> None:
    """The hooks from the template are ours to upgrade, and uninstalling leaves none of them."""
    agent_tracker("install-hooks", "--template", cwd=tmp_path)
    repo = GitRepo.init(tmp_path / "new")
    repo.ok("install-hooks", "--style", "files")
    repo.ok("uninstall-hooks")
    assert not (repo.path / ".git/agent-tracker").exists()
    assert not [path for path in (repo.path / ".git/hooks").iterdir() if path.suffix != ".sample"]


# -- when we are gone --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["package", "python", "directory", "everything"])
@pytest.mark.parametrize(
    "env", [{}, {"CLAUDECODE": "1"}, {"AGENT_TRACKER_AGENT": "nobody"}], ids=["person", "client", "name"]
)
def test_hooks_left_behind_stop_nothing(repo: GitRepo, tmp_path: Path, gone: str, env: dict[str, str]) -> None:
    """Without the package, the interpreter or our directory, git commits, merges, rebases and pushes."""
    hook(repo, "post-commit", 'echo "theirs" >&2')
    repo.ok("install-hooks", "--style", "files")
    core = repo.path / ".git/hooks/agent-tracker.sh"
    text = core.read_text()
    if gone in ("package", "everything"):
        text = re.sub(r"^AT_PATH=.*", "AT_PATH='/nowhere'", text, flags=re.MULTILINE)
    if gone in ("python", "everything"):
        text = re.sub(r"^AT_PYTHON=.*", "AT_PYTHON='/nowhere/python'", text, flags=re.MULTILINE)
    core.write_text(text)
    if gone in ("directory", "everything"):
        shutil.rmtree(repo.path / ".git/agent-tracker")
    if gone == "everything":
        core.unlink()
    repo.write("a", "x")
    repo.git("add", "a")
    done = repo.try_git("commit", "-qm", "first", env=env)
    assert (done.code, "theirs" in done.err) == (0, True), done
    repo.git("commit", "-q", "--amend", "-m", "again", env=env)
    repo.git("checkout", "-qb", "side", env=env)
    repo.git("commit", "-q", "--allow-empty", "-m", "second", env=env)
    repo.git("checkout", "-q", "main", env=env)
    repo.git("merge", "-q", "--no-ff", "-m", "merged", "side", env=env)
    bare = tmp_path / "bare"
    repo.git("init", "-q", "--bare", bare)
    repo.git("push", "-q", bare, "main", env=env)


def standalone() -> str:
    """Return the commands that the README gives for a repository from which the package is gone."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return next((block for block in blocks if "agent-tracker-hook" in block), "")


@pytest.mark.skipif(not standalone(), reason="the README has no such block")
@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "sh")], ids=lambda shell: shell[0])
def test_the_readmes_commands_take_the_hooks_out(repo: GitRepo, shell: tuple[str, ...]) -> None:
    """Without the package: every hook, mode and link as it was, whatever was there; a second time is harmless."""
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]}")
    hook(repo, "pre-commit", "exit 0", mode=0o700)
    hook(repo, "pre-push", "exit 0", mode=0o644)
    (repo.path / ".git/hooks/post-merge").symlink_to("nowhere")
    stacked = hook(repo, "post-commit", "# File generated by pre-commit: x")
    hook(repo, "post-commit.legacy", "exit 0")
    before = tree(repo.path / ".git/hooks"), (repo.path / ".git/config").read_bytes()
    repo.ok("install-hooks", "--style", "files")
    assert stacked.with_name("post-commit.agent-tracker-kept").exists()
    for _ in range(2):
        assert run(*shell, "-c", standalone(), cwd=repo.path).code == 0
        assert (tree(repo.path / ".git/hooks"), (repo.path / ".git/config").read_bytes()) == before


SHELLS = [("dash",), ("bash", "--posix"), ("busybox", "sh"), ("zsh",)]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("case", ["hooks-gone", "ours-gone", "old-hooks", "own-name", "linked-worktree"])
def test_the_readmes_commands_give_back_what_was_kept(repo: GitRepo, shell: tuple[str, ...], case: str) -> None:
    """Whatever became of our hook meanwhile, from a subdirectory, and with CDPATH set."""
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]}")
    theirs = hook(repo, "post-commit", 'echo "${0##*/}"' if case == "own-name" else "true")
    repo.commit("first")
    repo.git("worktree", "add", "-q", "linked")
    before = tree(repo.path / ".git/hooks")
    repo.ok("install-hooks", "--style", "files")
    if case == "ours-gone":
        theirs.unlink()
    elif case == "old-hooks":
        (repo.path / ".git/hooks/old-hooks").mkdir()
        theirs.rename(repo.path / ".git/hooks/old-hooks/post-commit")
    elif case == "hooks-gone":
        shutil.rmtree(repo.path / ".git/hooks")
    (repo.path / "sub/.git/hooks").mkdir(parents=True)
    place = repo.path / ("linked" if case == "linked-worktree" else "sub")
    (repo.path / "sub/.git").rename(repo.path / "elsewhere")
    run(*shell, "-c", standalone(), cwd=place, env={"CDPATH": str(repo.path)})
    assert not (repo.path / ".git/hooks-agent-tracker-kept").exists()
    if case == "old-hooks":
        assert (repo.path / ".git/hooks/old-hooks/post-commit").read_text() == "#!/bin/sh\ntrue\n"
    elif case != "hooks-gone":
        assert tree(repo.path / ".git/hooks") == before


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_the_readmes_commands_do_nothing_outside_of_a_repository(tmp_path: Path, shell: tuple[str, ...]) -> None:
    """A directory `hooks` with files of ours in it is not taken for a repository's."""
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]}")
    shutil.copytree(hook_files_dir(), tmp_path / "hooks")
    before = tree(tmp_path)
    assert run(*shell, "-c", standalone(), cwd=tmp_path, env={"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}).code
    assert tree(tmp_path) == before


def test_a_hook_that_stays_kept_is_named(repo: GitRepo) -> None:
    """Another own hook took the place of ours: uninstalling says where the first one is."""
    hook(repo, "post-commit", "true")
    repo.ok("install-hooks", "--style", "files")
    hook(repo, "post-commit", "false")
    assert "post-commit.agent-tracker-kept" in repo.ok("uninstall-hooks")


def test_installing_and_uninstalling_at_once_leave_one_of_the_two(repo: GitRepo) -> None:
    """Each waits for the other; no hook is lost, and none of them fails."""
    hook(repo, "post-commit", "true")
    before = tree(repo.path / ".git/hooks"), (repo.path / ".git/config").read_bytes()
    argv = [sys.executable, "-m", "agent_tracker"]
    verbs = ["install-hooks", "uninstall-hooks"] * 3
    running = [subprocess.Popen([*argv, verb], cwd=repo.path, stdout=subprocess.DEVNULL) for verb in verbs]
    assert [process.wait() for process in running] == [0] * len(verbs)
    repo.ok("uninstall-hooks")
    assert (tree(repo.path / ".git/hooks"), (repo.path / ".git/config").read_bytes()) == before


def test_a_clone_from_the_template_is_closed_to_others(repo: GitRepo, tmp_path: Path) -> None:
    """Git copies with its own modes: the first hook takes them back."""
    repo.commit("first")
    repo.ok("install-hooks", "--template")
    clone = repo.clone(tmp_path / "clone")
    clone.commit("second")
    assert (clone.path / ".git/agent-tracker").stat().st_mode & 0o777 == 0o700


def test_uninstalling_works_from_every_worktree(repo: GitRepo, tmp_path: Path) -> None:
    """Also where the worktree from which the hooks came is gone."""
    before = tree(repo.path / ".git/hooks")
    repo.commit("first")
    for name in ("one", "two"):
        repo.git("worktree", "add", "-q", tmp_path / name)
    GitRepo(tmp_path / "one").ok("install-hooks", "--style", "files")
    repo.git("worktree", "remove", "--force", tmp_path / "one")
    oid = GitRepo(tmp_path / "two").commit("second")
    assert recorded(repo.path / ".git") == [oid]
    GitRepo(tmp_path / "two").ok("uninstall-hooks")
    assert tree(repo.path / ".git/hooks") == before
