"""Finding a repository, its worktrees and its common directory, without starting git.

Owns reading `.git`, gitfiles and `commondir` as git does. Never runs git and never imports what a flush with nothing
to do can go without.
"""

from __future__ import annotations

import os

from agent_tracker.errors import GitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Repository",
    "find_repository",
    "head_oid",
    "known_repository",
    "ref_oid",
    "repository_at",
    "working_directory",
    "worktrees",
]


class Repository:
    """One worktree of a repository: its git directory, the common directory, and the top of its work tree."""

    __slots__ = ("common_dir", "git_dir", "work_tree")

    def __init__(self, git_dir: str, common_dir: str, work_tree: str) -> None:
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.work_tree = work_tree

    @property
    def main_path(self) -> str:
        """The path by which a person knows the repository: its main work tree.

        Where git is told of the work tree each time, it is the git directory: the work tree does not lead to it.
        """
        parent, name = os.path.split(self.common_dir)
        if name == ".git":
            return parent
        return self.work_tree if os.path.lexists(os.path.join(self.work_tree, ".git")) else self.common_dir


def working_directory() -> str:
    """Return where this process is.

    Raises:
        GitError: The directory was deleted, or may not be seen.
    """
    try:
        return os.getcwd()
    except OSError as error:
        raise GitError("the working directory is gone", "cd to another one") from error


def find_repository(start: str, env: Mapping[str, str]) -> Repository:
    """Return the repository that `start` is in, found as git finds it: GIT_DIR, else `.git` here or in a parent.

    Raises:
        GitError: There is none, or it is bare.
    """
    named = env.get("GIT_DIR", "")
    if named:
        git_dir = _follow_gitfile(os.path.join(start, named))
        work_tree = os.path.join(start, env.get("GIT_WORK_TREE", "."))
        return _repository(git_dir, work_tree)
    directory = os.path.abspath(start)
    while True:
        candidate = os.path.join(directory, ".git")
        if os.path.isfile(candidate) or _is_git_dir(candidate):
            return _repository(_follow_gitfile(candidate), directory)
        if _is_git_dir(directory):
            inside = os.path.basename(directory) == ".git"
            return _repository(directory, os.path.dirname(directory) if inside else "")
        parent = os.path.dirname(directory)
        if parent == directory:
            raise GitError(f"not a git repository: {start}", "cd into a repository, or: git init")
        directory = parent


def _repository(git_dir: str, work_tree: str) -> Repository:
    if not _is_git_dir(git_dir):
        raise GitError(f"not a git repository: {git_dir}", "cd into a repository, or: git init")
    if not work_tree:
        raise GitError(
            f"a bare repository has no commits made in it: {git_dir}", "run this in a clone with a work tree"
        )
    git_dir = os.path.abspath(git_dir)
    return Repository(git_dir, _common_dir(git_dir), os.path.abspath(work_tree))


def _is_git_dir(path: str) -> bool:
    return os.path.lexists(os.path.join(path, "HEAD")) and (
        os.path.isdir(os.path.join(path, "objects")) or os.path.isfile(os.path.join(path, "commondir"))
    )


def _common_dir(git_dir: str) -> str:
    try:
        relative = _read_line(os.path.join(git_dir, "commondir"))
    except FileNotFoundError:
        return git_dir
    return os.path.normpath(os.path.join(git_dir, relative))


def _follow_gitfile(path: str) -> str:
    if not os.path.isfile(path):
        return path
    line = _read_line(path)
    target = line.removeprefix("gitdir: ")
    return os.path.normpath(os.path.join(os.path.dirname(path), target)) if target != line else ""


def _read_line(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.readline().rstrip("\n")


def worktrees(common_dir: str) -> Iterator[tuple[str, str]]:
    """Yield (name, git directory) of each worktree: `.` for the main one, else its name under `worktrees/`."""
    yield ".", common_dir
    linked = os.path.join(common_dir, "worktrees")
    try:
        names = sorted(os.listdir(linked))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        yield name, os.path.join(linked, name)


def head_oid(git_dir: str, common_dir: str) -> str:
    """Return the oid of HEAD in hexadecimal, from the files alone; empty where they do not tell (unborn, reftable)."""
    try:
        head = _read_line(os.path.join(git_dir, "HEAD"))
    except OSError:
        return ""
    return ref_oid(common_dir, head.removeprefix("ref: ")) if head.startswith("ref: ") else head


def ref_oid(common_dir: str, name: str) -> str:
    """Return the oid of a ref in hexadecimal, from the files alone; empty where they do not tell."""
    try:
        return _read_line(os.path.join(common_dir, name))
    except (FileNotFoundError, NotADirectoryError):
        return _packed_oid(common_dir, name)
    except (OSError, ValueError):
        return ""


def _packed_oid(common_dir: str, name: str) -> str:
    try:
        with open(os.path.join(common_dir, "packed-refs"), encoding="utf-8", errors="surrogateescape") as file:
            return next((line[: -len(name) - 2] for line in file if line.endswith(f" {name}\n")), "")
    except OSError:
        return ""


def known_repository(path: str) -> Repository:
    """Return the repository that is known by its `main_path`.

    Raises:
        GitError: There is none any more.
    """
    if _is_git_dir(path) and os.path.basename(path) != ".git":
        return repository_at(path)
    return find_repository(path, {})


def repository_at(git_dir: str) -> Repository:
    """Return the repository of a git directory, as a hook is told it.

    Raises:
        GitError: It is none.
    """
    return _repository(_follow_gitfile(git_dir), os.path.dirname(os.path.abspath(git_dir)))
