"""Real git repositories for the tests, and the real command line in them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Done", "GitRepo", "agent_tracker", "run", "tree"]


class Done(NamedTuple):
    """A finished process."""

    code: int
    out: str
    err: str


def run(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> Done:
    """Run a process in the sealed environment, with `env` on top."""
    done = subprocess.run(
        [str(a) for a in argv],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def agent_tracker(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> Done:
    """Run the real command line in a process of its own."""
    return run(sys.executable, "-m", "agent_tracker", *argv, cwd=cwd, env=env, stdin=stdin)


def tree(root: Path) -> str:
    """Return a digest of every name, mode, link and byte under `root`."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = bytes(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.relative_to(root)} {stat.S_IFMT(status.st_mode)} {status.st_mode:o} ".encode() + content)
    return digest.hexdigest()


class GitRepo:
    """A repository in which git and agent-tracker run for real."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def init(cls, path: Path, *options: str) -> GitRepo:
        """Make a new repository."""
        path.parent.mkdir(parents=True, exist_ok=True)
        run("git", "init", "--quiet", *options, path, cwd=path.parent)
        return cls(path)

    def git(self, *argv: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> str:
        """Run git and return what it prints; a failure is an AssertionError."""
        done = self.try_git(*argv, env=env, stdin=stdin)
        assert done.code == 0, (argv, done)
        return done.out.strip()

    def try_git(self, *argv: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> Done:
        """Run git, whatever comes of it."""
        return run("git", *argv, cwd=self.path, env=env, stdin=stdin)

    def write(self, name: str, text: str) -> None:
        """Write a file in the work tree."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, subject: str, *options: str, text: str | None = None, env: dict[str, str] | None = None) -> str:
        """Change a file named after the subject, commit everything, and return the oid."""
        name = subject.split(maxsplit=1)[0].strip(":").replace("/", "_")
        self.write(f"{name}.txt", f"{subject}\n" if text is None else text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", subject, *options, env=env)
        return self.head()

    def head(self, revision: str = "HEAD") -> str:
        """Return the oid of a revision."""
        return self.git("rev-parse", revision)

    def clone(self, path: Path) -> GitRepo:
        """Clone this repository."""
        run("git", "clone", "--quiet", self.path, path, cwd=self.path)
        return GitRepo(path)

    def tracker(self, *argv: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> Done:
        """Run agent-tracker here, whatever comes of it."""
        return agent_tracker(*argv, cwd=self.path, env=env, stdin=stdin)

    def ok(self, *argv: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> str:
        """Run agent-tracker here and return what it prints; a failure is an AssertionError."""
        done = self.tracker(*argv, env=env, stdin=stdin)
        assert done.code == 0, (argv, done)
        return done.out

    def json(self, *argv: str | Path) -> Any:  # noqa: ANN401 -- JSON
        """Run a reading command with --json and return what it prints."""
        return json.loads(self.ok(*argv, "--json"))

    def commits(self) -> list[dict[str, Any]]:
        """Return what `log --json` lists, without the flush before it: a test says itself what brings commits in."""
        commits = self.json("log", "--no-flush")["commits"]
        assert isinstance(commits, list)
        return commits

    def credited(self) -> dict[str, str]:
        """Return who each counted commit belongs to, by subject: an agent's id, `human` or `unclaimed`."""
        return {c["task_description"]: c["agent_id"] or c["claim"] for c in self.commits()}

    def register(self, name: str, *, model: str = "model-1", scope: str = "all", client: str = "") -> str:
        """Register an agent and return its id."""
        options = ["--client", client] if client else []
        found = json.loads(self.ok("register", name, "--model", model, "--scope", scope, *options, "--json"))
        return str(found["agent"]["id"])
