"""A repository is found as git finds it: every layout that git makes, and none where git finds none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent_tracker.errors import GitError
from agent_tracker.repository import Repository, find_repository, repository_at, worktrees
from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def found(start: Path, env: dict[str, str] | None = None) -> Repository:
    """Return the repository that a directory is in."""
    return find_repository(str(start), env or {})


def assert_as_git_says(start: Path, env: dict[str, str] | None = None) -> Repository:
    """Compare what is found with `git rev-parse`."""
    asked = ("--absolute-git-dir", "--git-common-dir", "--show-toplevel")
    said = [run("git", "rev-parse", one, cwd=start, env=env).out.strip() for one in asked]
    repository = found(start, env)
    assert os.path.realpath(repository.git_dir) == os.path.realpath(said[0])
    assert os.path.realpath(repository.common_dir) == os.path.realpath(start / said[1])
    assert os.path.realpath(repository.work_tree) == os.path.realpath(said[2])
    return repository


def test_at_the_top_and_below(repo: GitRepo) -> None:
    """The work tree's top, a directory in it, and one that git does not track."""
    deep = repo.path / "a" / "b"
    deep.mkdir(parents=True)
    for start in (repo.path, deep):
        repository = assert_as_git_says(start)
        assert repository.main_path == str(repo.path)
        assert repository.git_dir == repository.common_dir == str(repo.path / ".git")


def test_before_the_first_commit_and_on_a_detached_head(repo: GitRepo) -> None:
    """What HEAD says does not matter."""
    assert_as_git_says(repo.path)
    repo.commit("one")
    repo.git("checkout", "-q", "--detach")
    assert_as_git_says(repo.path)


def test_a_linked_worktree(repo: GitRepo, tmp_path: Path) -> None:
    """Its git directory is its own, the common directory that of the main one."""
    repo.commit("one")
    repo.git("worktree", "add", "-q", tmp_path / "linked")
    (tmp_path / "linked" / "sub").mkdir()
    repository = assert_as_git_says(tmp_path / "linked" / "sub")
    assert repository.common_dir == str(repo.path / ".git")
    assert repository.main_path == str(repo.path)


def test_every_worktree_is_listed(repo: GitRepo, tmp_path: Path) -> None:
    """The main one first, then the linked ones by name."""
    common = str(repo.path / ".git")
    assert list(worktrees(common)) == [(".", common)]
    repo.commit("one")
    for name in ("zeta", "alpha"):
        repo.git("worktree", "add", "-q", tmp_path / name)
    assert [name for name, _ in worktrees(common)] == [".", "alpha", "zeta"]
    assert all((found(tmp_path / name).git_dir == path) for name, path in worktrees(common) if name != ".")


def test_a_submodule(repo: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """A repository of its own, under the outer one's `.git/modules`."""
    inner = make_repo("inner")
    inner.commit("one")
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", inner.path, "sub")
    repository = assert_as_git_says(repo.path / "sub")
    assert repository.common_dir == str(repo.path / ".git" / "modules" / "sub")
    assert repository.main_path == str(repo.path / "sub")


def test_a_separate_git_directory(tmp_path: Path) -> None:
    """`.git` is a file that leads away."""
    run("git", "init", "-q", f"--separate-git-dir={tmp_path / 'elsewhere'}", tmp_path / "tree", cwd=tmp_path)
    repository = assert_as_git_says(tmp_path / "tree")
    assert repository.main_path == str(tmp_path / "tree")


def test_git_as_a_symbolic_link(repo: GitRepo, tmp_path: Path) -> None:
    """Some tools link the git directory."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").symlink_to(repo.path / ".git")
    assert_as_git_says(tmp_path / "tree")


def test_a_repository_without_refs_files(repo: GitRepo) -> None:
    """A repository whose refs are all packed, or in a reftable, is one."""
    repo.commit("one")
    repo.git("pack-refs", "--all")
    assert_as_git_says(repo.path)


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    """Paths are bytes."""
    path = tmp_path / "caf\udce9"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    GitRepo.init(path)
    assert found(path).work_tree == str(path)


@pytest.mark.parametrize("is_absolute", [True, False], ids=["absolute", "relative"])
def test_git_dir_in_the_environment(repo: GitRepo, tmp_path: Path, *, is_absolute: bool) -> None:
    """A hook is told where it runs."""
    name = str(repo.path / ".git") if is_absolute else ".git"
    start = repo.path
    assert_as_git_says(start, {"GIT_DIR": name})
    if is_absolute:
        assert_as_git_says(tmp_path, {"GIT_DIR": name, "GIT_WORK_TREE": str(repo.path)})


def test_git_dir_wins_over_the_place(repo: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """Git believes the variable, so do we."""
    other = make_repo("other")
    assert found(other.path, {"GIT_DIR": str(repo.path / ".git")}).git_dir == str(repo.path / ".git")


def test_a_hook_s_git_directory(repo: GitRepo, tmp_path: Path) -> None:
    """The main worktree's and a linked one's."""
    repo.commit("one")
    repo.git("worktree", "add", "-q", tmp_path / "linked")
    main = repository_at(str(repo.path / ".git"))
    assert (main.git_dir, main.common_dir, main.work_tree) == (
        str(repo.path / ".git"),
        str(repo.path / ".git"),
        str(repo.path),
    )
    linked = repository_at(str(repo.path / ".git" / "worktrees" / "linked"))
    assert linked.common_dir == str(repo.path / ".git")


def test_the_directory_git_itself(repo: GitRepo) -> None:
    """Inside `.git` a person means the repository around it."""
    assert found(repo.path / ".git").work_tree == str(repo.path)
    assert found(repo.path / ".git" / "objects").git_dir == str(repo.path / ".git")


@pytest.mark.parametrize("below", ["", "objects"])
def test_a_bare_repository_is_an_error(tmp_path: Path, below: str) -> None:
    """No commits are made in it; the error says so."""
    GitRepo.init(tmp_path / "bare.git", "--bare")
    with pytest.raises(GitError, match="bare") as caught:
        found(tmp_path / "bare.git" / below)
    assert caught.value.hint


def test_no_repository_is_an_error(tmp_path: Path) -> None:
    """The error names the place."""
    with pytest.raises(GitError, match="not a git repository") as caught:
        found(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_git_dir_that_is_none_is_an_error(tmp_path: Path, name: str) -> None:
    """GIT_DIR may lead to nothing, or to a file that is no gitfile."""
    (tmp_path / "file").write_text("hello\n")
    with pytest.raises(GitError, match="not a git repository"):
        found(tmp_path, {"GIT_DIR": name})


def test_a_gitfile_to_nowhere_is_an_error(tmp_path: Path) -> None:
    """A submodule whose git directory was deleted."""
    (tmp_path / ".git").write_text("gitdir: ../gone\n")
    with pytest.raises(GitError, match="not a git repository"):
        found(tmp_path)


def test_an_empty_directory_called_git_is_passed_over(repo: GitRepo) -> None:
    """Git goes on to the parent."""
    (repo.path / "sub" / ".git").mkdir(parents=True)
    assert_as_git_says(repo.path / "sub")


def test_head_as_a_dangling_link_is_a_repository(repo: GitRepo) -> None:
    """Very old repositories have a symbolic link as HEAD."""
    head = repo.path / ".git" / "HEAD"
    head.unlink()
    head.symlink_to("refs/heads/main")
    assert_as_git_says(repo.path)
