"""Hooks in git's own configuration, for git 2.54 and newer, and which gits there are."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.errors import GitError
from agent_tracker.installation.config_hooks import (
    AUTO,
    BOTH,
    CONFIG,
    FILES,
    FoundGit,
    choose_style,
    configured_events,
    find_gits,
    put_into_config,
)
from agent_tracker.installation.hook_files import put_in, put_shared
from agent_tracker.installation.hook_scripts import EVENTS, TextValues, render
from agent_tracker.installation.install import install_hooks
from agent_tracker.repository import find_repository
from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable

NEEDED = (2, 54)


def new_gits() -> list[str]:
    """Return the directories of gits that read hooks from their configuration."""
    named = os.environ.get("AGENT_TRACKER_TEST_GIT", "")
    search = f"{Path(named).parent}:{os.environ['PATH']}" if named else os.environ["PATH"]
    return [str(Path(git.path).parent) for git in find_gits(search, ()) if git.version >= NEEDED]


NEW_GITS = new_gits()
needs_new_git = pytest.mark.skipif(not NEW_GITS, reason="no git 2.54 or newer: set AGENT_TRACKER_TEST_GIT")


@pytest.fixture
def new_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a new git first on the PATH."""
    if not NEW_GITS:
        pytest.skip("no git 2.54 or newer: set AGENT_TRACKER_TEST_GIT")
    monkeypatch.setenv("PATH", f"{NEW_GITS[0]}:{os.environ['PATH']}")


def fake_git(directory: Path, said: str) -> Path:
    """Write a program that calls itself git."""
    directory.mkdir(parents=True)
    path = directory / "git"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


def digest(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded(repo: GitRepo) -> list[str]:
    """Return kind and oid of each line in the spool."""
    spool = repo.path / ".git/agent-tracker/spool"
    lines = spool.read_text().splitlines() if spool.exists() else []
    return [" ".join(line.split("\t")[1:3]) for line in lines if line]


def hook_files(repo: GitRepo) -> list[str]:
    """Return the names in the hooks directory but for git's samples."""
    return sorted(path.name for path in (repo.path / ".git/hooks").iterdir() if path.suffix != ".sample")


def test_every_git_is_found_once_with_its_version(tmp_path: Path) -> None:
    """On the PATH and in the usual places, through links; what does not say its version is none."""
    new = fake_git(tmp_path / "new", "git version 2.55.0")
    apple = fake_git(tmp_path / "apple", "git version 2.39.5 (Apple Git-154)")
    fake_git(tmp_path / "broken", "xcrun: error: invalid active developer path")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/git").symlink_to(new)
    search = ":".join(str(tmp_path / name) for name in ("links", "new", "broken", "nowhere"))
    found = find_gits(search, (str(apple), str(tmp_path / "none/git")))
    assert found == [FoundGit(str(tmp_path / "links/git"), (2, 55)), FoundGit(str(apple), (2, 39))]


@pytest.mark.parametrize(
    ("versions", "expected"),
    [([], FILES), ([(2, 39)], FILES), ([(2, 54)], CONFIG), ([(3, 0), (2, 54)], CONFIG), ([(2, 55), (2, 53)], BOTH)],
)
def test_the_style_is_what_every_git_can_use(versions: list[tuple[int, int]], expected: str) -> None:
    """Configuration where all read it, files where none does, both otherwise; what was asked for comes first."""
    gits = [FoundGit(f"/{number}/git", version) for number, version in enumerate(versions)]
    assert choose_style(AUTO, gits) == expected
    assert choose_style(FILES, gits) == FILES


def test_hooks_that_no_git_would_run_are_refused(repo: GitRepo) -> None:
    """Asked to use the configuration, an old git is an error that names it."""
    with pytest.raises(GitError, match=r"/a/git is 2\.39"):
        choose_style(CONFIG, [FoundGit("/a/git", (2, 39))])
    assert hook_files(repo) == []


ODD_CONFIGS = {
    "plain": lambda text: text,
    "no-final-newline": lambda text: text + '[a "b"]\n\tc = d',
    "comment-at-the-end": lambda text: text + "# the end",
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "include": lambda text: text + '[include]\n\tpath = other\n[includeIf "gitdir:/x/"]path=y\n',
    "odd": lambda text: text + '\n\n  [A]B=c;d\n[hook "other"] command = true\n\n; end\n\n',
    "worktree-config": lambda text: text + "[extensions]\n\tworktreeConfig = true\n",
}


@pytest.mark.parametrize("edit", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@pytest.mark.usefixtures("new_git")
def test_the_configuration_comes_back_to_the_byte(repo: GitRepo, edit: Callable[[str], str]) -> None:
    """However it is written: three installations and an uninstallation leave it as it was; between them it works."""
    config = repo.path / ".git/config"
    config.write_bytes(edit(config.read_text()).encode())
    config.chmod(0o640)
    before = digest(config), config.stat().st_mode
    repo.ok("install-hooks", "--style", "config")
    installed = digest(config)
    for _ in range(2):
        repo.ok("install-hooks", "--style", "config")
    assert digest(config) == installed
    oid = repo.commit("first")
    assert recorded(repo) == [f"commit {oid}"]
    repo.ok("uninstall-hooks")
    assert (digest(config), config.stat().st_mode) == before


@pytest.mark.usefixtures("new_git")
def test_a_configuration_that_changed_meanwhile_keeps_the_change(repo: GitRepo) -> None:
    """The end of a last line is taken back only where the file is otherwise the one that was noted."""
    config = repo.path / ".git/config"
    config.write_text(config.read_text() + "[a]\n\tb = c")
    repo.ok("install-hooks", "--style", "config")
    repo.git("config", "a.b", "d")
    repo.ok("uninstall-hooks")
    assert config.read_text().endswith("[a]\n\tb = d\n")


@pytest.mark.usefixtures("new_git")
def test_every_event_runs_from_the_configuration(repo: GitRepo, tmp_path: Path) -> None:
    """Commit, merge, amend, in a linked worktree too; there is no hook file, and status misses nothing."""
    repo.ok("install-hooks", "--style", "config")
    assert hook_files(repo) == []
    assert tuple(configured_events(find_repository(str(repo.path), {}))) == EVENTS
    assert repo.json("status")["status"]["missing_hooks"] == []
    first = repo.commit("first")
    repo.git("checkout", "-qb", "side")
    second = repo.commit("second")
    repo.git("checkout", "-q", "main")
    third = repo.commit("third")
    repo.git("merge", "-q", "--no-ff", "side", "-m", "merged")
    merged = repo.head()
    repo.git("commit", "-q", "--amend", "-m", "again")
    assert [f"commit {oid}" for oid in (first, second, third, merged, repo.head())] == [
        line for line in recorded(repo) if line.startswith("commit")
    ]
    assert recorded(repo)[-1] == "rewrite amend"
    repo.git("worktree", "add", "-q", tmp_path / "linked")
    linked = GitRepo(tmp_path / "linked").commit("fourth")
    assert recorded(repo)[-1] == f"commit {linked}"


@pytest.mark.usefixtures("new_git")
@pytest.mark.parametrize("kind", ["submodule", "separate-git-dir", "sha256", "reftable"])
def test_odd_repositories_are_served_from_the_configuration(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    """Wherever the git directory is, and however refs are stored: a commit is recorded, an unknown agent refused."""
    if kind == "submodule":
        repo.commit("first")
        outer = GitRepo.init(tmp_path / "outer")
        outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", repo.path, "module")
        place = GitRepo(outer.path / "module")
    else:
        options = {"sha256": "--object-format=sha256", "reftable": "--ref-format=reftable"}
        place = GitRepo.init(tmp_path / "odd", options.get(kind, f"--separate-git-dir={tmp_path / 'aside'}"))
    place.ok("install-hooks", "--style", "config")
    oid = place.commit("here")
    git_dir = Path(place.git("rev-parse", "--absolute-git-dir"))
    assert f"commit\t{oid}" in (git_dir / "agent-tracker/spool").read_text()
    refused = place.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (refused.code, refused.err.count("commit refused")) == (1, 1)


@pytest.mark.usefixtures("new_git")
def test_a_commit_is_recorded_without_any_file_of_ours(repo: GitRepo, tmp_path: Path) -> None:
    """What records it stands in the configuration; what else is gone stops nothing."""
    repo.ok("install-hooks", "--style", "config")
    shutil.rmtree(repo.path / ".git/agent-tracker/lib")
    oid = repo.commit("first")
    refusable = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert refusable == (0, "", "")
    assert recorded(repo) == [f"commit {oid}"]
    bare = tmp_path / "bare"
    repo.git("init", "-q", "--bare", bare)
    repo.git("push", "-q", bare, "main")
    shutil.rmtree(repo.path / ".git/agent-tracker")
    assert repo.try_git("commit", "--allow-empty", "-qm", "x") == (0, "", "")


@pytest.mark.usefixtures("new_git")
def test_a_hook_that_was_switched_off_is_found_and_switched_on(repo: GitRepo) -> None:
    """`enabled = false` in the section: git runs nothing, and installing again ends it; all of it goes at the end."""
    before = digest(repo.path / ".git/config")
    repo.ok("install-hooks", "--style", "config")
    repo.git("config", "hook.agent-tracker-post-commit.enabled", "false")
    assert "post-commit" not in configured_events(find_repository(str(repo.path), {}))
    assert "hooks-missing" in repo.tracker("doctor").out
    repo.ok("install-hooks", "--style", "config")
    assert recorded(repo) == []
    oid = repo.commit("first")
    assert recorded(repo) == [f"commit {oid}"]
    repo.ok("flush")
    repo.ok("uninstall-hooks")
    assert digest(repo.path / ".git/config") == before


@pytest.mark.usefixtures("new_git")
def test_a_lock_left_behind_is_named(repo: GitRepo) -> None:
    """Git cannot write the configuration: the error says which file to remove."""
    (repo.path / ".git/config.lock").touch()
    done = repo.tracker("install-hooks", "--style", "config")
    assert (done.code, str(repo.path / ".git/config.lock") in done.err) == (1, True)


def both(repo: GitRepo) -> None:
    """Install for an older git and for the one at hand."""
    values = TextValues(sys.executable, ["/nowhere"], str(repo.path.parent / "registry"))
    found = find_repository(str(repo.path), {})
    texts = render(values, library_dir=str(repo.path / ".git/agent-tracker/lib"), is_beside_files=True)
    install_hooks(found, values, style="files")
    put_into_config(found, texts.bodies, str(repo.path / ".git/agent-tracker"))
    put_shared(str(repo.path / ".git/agent-tracker/lib"), texts.library, texts.library)
    put_in(str(repo.path / ".git/hooks"), EVENTS, texts.files)


@pytest.mark.usefixtures("new_git")
@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_what_lies_in_the_place_of_our_note_is_left(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    """No commit waits for a pipe, and nothing is written through a link."""
    both(repo)
    note = repo.path / ".git/agent-tracker/ran"
    (tmp_path / "precious").write_text("theirs")
    if kind == "pipe":
        os.mkfifo(note)
    elif kind == "directory":
        note.mkdir()
    else:
        note.symlink_to(tmp_path / "precious")
    assert run("timeout", "20", "git", "commit", "--allow-empty", "-qm", "x", cwd=repo.path) == (0, "", "")
    assert f"commit {repo.head()}" in recorded(repo)
    assert (tmp_path / "precious").read_text() == "theirs"


@pytest.mark.usefixtures("new_git")
@pytest.mark.parametrize("way", ["direct", "called"])
def test_a_hook_that_ran_does_not_run_again(repo: GitRepo, way: str) -> None:
    """Nor where another program runs the file; the note is then empty, so that no process id is taken for another."""
    both(repo)
    hooks = repo.path / ".git/hooks"
    if way == "called":
        (hooks / "post-commit").rename(hooks / "post-commit.legacy")
        (hooks / "post-commit").write_text('#!/bin/sh\n"$0.legacy" "$@"\nexit\n')
        (hooks / "post-commit").chmod(0o755)
    oid = repo.commit("first")
    assert recorded(repo) == [f"commit {oid}"]
    assert (repo.path / ".git/agent-tracker/ran").read_text() == ""
    (repo.path / ".git/agent-tracker/ran").write_text("1 post-commit\n")
    assert run(hooks / "post-commit", cwd=repo.path, env={"GIT_DIR": ".git"}).code == 0
    assert recorded(repo) == [f"commit {oid}"] * 2


@pytest.mark.usefixtures("new_git")
def test_the_lines_for_the_older_git_are_shown(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hooks in the configuration do not serve it, where core.hooksPath leads elsewhere."""
    fake_git(tmp_path / "old", "git version 2.39.5")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path / 'old'}")
    repo.git("config", "core.hooksPath", str(tmp_path))
    out = repo.ok("install-hooks")
    assert "For the older one, add" in out
    assert "/agent-tracker/hooks/" in out


@pytest.mark.usefixtures("new_git")
def test_the_readmes_commands_empty_the_configuration(repo: GitRepo) -> None:
    """Where the package is gone, the sections are found by their names."""
    if not standalone():
        pytest.skip("the README has no such block")
    before = digest(repo.path / ".git/config")
    repo.ok("install-hooks", "--style", "config")
    assert run("sh", "-c", standalone(), cwd=repo.path).code == 0
    assert digest(repo.path / ".git/config") == before


def standalone() -> str:
    """Return the commands that the README gives for a repository from which the package is gone."""
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return next((block for block in blocks if "agent-tracker-hook" in block), "")


@pytest.mark.usefixtures("new_git")
def test_an_unregistered_agent_is_refused_from_the_configuration(repo: GitRepo) -> None:
    """Python is reached by way of the library, in a linked worktree and in a repository that was moved as well."""
    repo.ok("install-hooks", "--style", "config")
    repo.commit("first")
    repo.git("worktree", "add", "-q", repo.path.parent / "linked")
    moved = GitRepo(repo.path.rename(repo.path.parent / "moved"))
    for place in (moved, GitRepo(repo.path.parent / "linked")):
        run("git", "worktree", "repair", cwd=moved.path)
        (place.path / "new").write_text("x")
        place.git("add", "new")
        done = place.try_git("commit", "-qm", "x", env={"CLAUDECODE": "1"})
        assert (done.code, done.err.count("commit refused")) == ((1, 1) if place is moved else (0, 0)), done
    moved.ok("install-hooks", "--style", "config")
    done = GitRepo(repo.path.parent / "linked").try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code, done.err.count("commit refused")) == (1, 1)


@pytest.mark.usefixtures("new_git")
@pytest.mark.parametrize("options", [(), ("-c", "core.hooksPath=/dev/null")], ids=["files-too", "no-hooks-path"])
def test_a_foreign_hook_runs_beside_the_configuration(repo: GitRepo, options: tuple[str, ...]) -> None:
    """A hook file is git's to run: it stays where it is, and core.hooksPath does not matter."""
    path = repo.path / ".git/hooks/post-commit"
    path.write_text("#!/bin/sh\necho theirs >&2\n")
    path.chmod(0o755)
    repo.ok("install-hooks", "--style", "config")
    done = repo.try_git(*options, "commit", "--allow-empty", "-qm", "x")
    assert (done.code, done.err) == (0, "" if options else "theirs\n")
    assert recorded(repo) == [f"commit {repo.head()}"]
    assert hook_files(repo) == ["post-commit"]


@pytest.mark.usefixtures("new_git")
def test_moving_between_files_and_configuration_leaves_one_of_them(repo: GitRepo) -> None:
    """Each installation takes out what another style left, and gives back a kept hook."""
    path = repo.path / ".git/hooks/pre-push"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    config = digest(repo.path / ".git/config")
    repo.ok("install-hooks", "--style", "files")
    assert "pre-push.agent-tracker-kept" in hook_files(repo)
    repo.ok("install-hooks", "--style", "config")
    assert hook_files(repo) == ["pre-push"]
    repo.ok("install-hooks", "--style", "files")
    assert digest(repo.path / ".git/config") == config
    oid = repo.commit("first")
    assert recorded(repo) == [f"commit {oid}"]


@needs_new_git
@pytest.mark.parametrize("which", ["old", "new"])
def test_two_gits_record_a_commit_once(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """Where an old git is in use as well both are installed, and each commit meets one of them; a kept hook runs."""
    old = shutil.which("git")
    assert old
    versions = [git.version for git in find_gits(str(Path(old).parent), ())]
    if versions[0] >= NEEDED:
        pytest.skip("the git on the PATH is new")
    path = repo.path / ".git/hooks/post-commit"
    path.write_text("#!/bin/sh\necho theirs >&2\n")
    path.chmod(0o755)
    both = [NEW_GITS[0], os.environ["PATH"]]
    monkeypatch.setenv("PATH", ":".join(both if which == "new" else reversed(both)))
    assert "git/config" in repo.ok("install-hooks")
    assert "post-commit" in hook_files(repo)
    done = repo.try_git("commit", "--allow-empty", "-qm", "x")
    assert (done.code, done.err) == (0, "theirs\n")
    assert recorded(repo) == [f"commit {repo.head()}"]
    refused = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (refused.code, refused.err.count("commit refused")) == (1, 1)
    assert repo.json("status")["status"]["missing_hooks"] == []
    before = digest(path.with_name("post-commit.agent-tracker-kept"))
    repo.ok("uninstall-hooks")
    assert (hook_files(repo), digest(path)) == (["post-commit"], before)


@pytest.mark.usefixtures("new_git")
def test_the_setting_decides(repo: GitRepo) -> None:
    """`hookStyle` holds from one installation to the next, and the command says what remains to be done."""
    assert "install-hooks" in repo.ok("config", "set", "--repo", "hookStyle", "config")
    repo.ok("install-hooks")
    assert configured_events(find_repository(str(repo.path), {}))
    assert repo.tracker("install-hooks", "--style", "somewhere").code == 1


@pytest.mark.usefixtures("new_git")
def test_validation_moves_in_the_configuration_too(repo: GitRepo) -> None:
    """With validateIn = commit-msg the hooks before the message are gone."""
    repo.ok("install-hooks", "--style", "config")
    repo.ok("config", "set", "--repo", "validateIn", "commit-msg")
    repo.ok("install-hooks", "--style", "config")
    configured = configured_events(find_repository(str(repo.path), {}))
    assert {"commit-msg", "pre-applypatch"} <= configured.keys()
    assert not {"pre-commit", "pre-merge-commit"} & configured.keys()
    done = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code, done.err.count("commit refused")) == (1, 1)
    assert repo.json("status")["status"]["missing_hooks"] == []
