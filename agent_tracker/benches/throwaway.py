"""A home and a directory that exist for one block, in which git and agent-tracker are tried out for real.

Owns the sealed environment, the processes run in it, and the end of both, whatever ends the block. Never reads or
writes the user's own home, configuration or repositories.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_tracker.errors import AgentTrackerError, GitError
from agent_tracker.marks import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

__all__ = ["EMPTY_HOOK", "NO_PROGRAMS_HINT", "Done", "Throwaway", "throwaway", "write_program"]

TIMEOUT_S = 120.0
SEALED_PREFIXES = ("AGENT_TRACKER_", "GIT_", "XDG_")
CONFIGURATION = """\
[user]
\tname = A Person
\temail = person@example.org
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
"""Git's whole configuration there. No housekeeping: it would run in the middle of a measurement, or outlive us."""

NO_PROGRAMS_HINT = "if programs may not run there: export TMPDIR=/path/to/another/directory"
"""What to try where hooks or programs in it do nothing: /tmp may be mounted `noexec`."""

EMPTY_HOOK = "#!/bin/sh\n"
NOTHING: Mapping[str, str] = {}


class Done(NamedTuple):
    """A finished process: its exit code, what it printed (stderr in between, as a terminal shows it), its seconds."""

    code: int
    output: str
    took_s: float


class Throwaway:
    """A directory and the environment of someone who has nothing else.

    Args:
        root: An empty directory; it gets `home` and `bin`.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.env = _sealed_environment(root)
        os.mkdir(self.path("home"))
        with open(self.env["GIT_CONFIG_GLOBAL"], "w", encoding="utf-8") as file:
            file.write(CONFIGURATION)

    def path(self, *names: str) -> str:
        """Return the path of something in it."""
        return os.path.join(self.root, *names)

    def add_program(self, name: str, text: str) -> None:
        """Put an executable file on the PATH of what runs here."""
        os.makedirs(self.path("bin"), exist_ok=True)
        write_program(self.path("bin", name), text)

    def run(self, argv: Sequence[str], *, cwd: str = "", env: Mapping[str, str] = NOTHING) -> Done:
        """Run a process to its end, with `env` on top of the sealed environment.

        Raises:
            AgentTrackerError: It cannot be started, or hangs.
        """
        start = time.perf_counter()
        try:
            # A group of its own, so that what it started ends with it and nothing writes here after the end.
            with subprocess.Popen(
                argv,
                cwd=cwd or self.root,
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            ) as process:
                try:
                    output, _ = process.communicate(timeout=TIMEOUT_S)
                except BaseException:
                    _kill_group(process)
                    raise
        except OSError as error:
            raise AgentTrackerError(f"cannot run {argv[0]} in {self.root}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise AgentTrackerError(f"{' '.join(argv)} took longer than {TIMEOUT_S:g} s in {self.root}") from error
        return Done(process.returncode, output.decode("utf-8", "replace"), time.perf_counter() - start)

    def must(self, argv: Sequence[str], *, cwd: str = "", env: Mapping[str, str] = NOTHING) -> Done:
        """Run a process that has to succeed.

        Raises:
            AgentTrackerError: It did not; the message ends with its own last line.
        """
        done = self.run(argv, cwd=cwd, env=env)
        if done.code:
            said = done.output.strip().splitlines()
            raise AgentTrackerError(f"{' '.join(argv)} failed: {said[-1] if said else f'exit code {done.code}'}")
        return done


@contextmanager
def throwaway(prefix: str) -> Iterator[Throwaway]:
    """Yield a throwaway place in the directory for temporary files; all of it is gone after the block.

    An interrupt, a termination and a hang-up end the block like an exception.

    Raises:
        GitError: Git is not installed.
        AgentTrackerError: The directory cannot be made, or not be removed again.
    """
    if shutil.which("git") is None:
        raise GitError("cannot find git on the PATH", "install git 2.30 or newer")
    with _signals_raise():
        try:
            root = os.path.realpath(tempfile.mkdtemp(prefix=prefix))
        except OSError as error:
            raise AgentTrackerError(
                f"cannot make a directory for temporary files: {error.strerror}",
                "export TMPDIR=/path/to/another/directory",
            ) from error
        try:
            yield Throwaway(root)
        finally:
            _remove(root)


def write_program(path: str, text: str) -> None:
    """Write an executable file."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.chmod(path, 0o700)


def _sealed_environment(root: str) -> dict[str, str]:
    """Return this process's environment without home, git's, XDG's and agents' variables.

    PYTHONPATH is this interpreter's whole search path: with another HOME, the packages of `pip install --user` would
    not be found.
    """
    dropped = {*VARIABLES, "LC_ALL", "COLUMNS"}
    kept = {n: v for n, v in os.environ.items() if not n.startswith(SEALED_PREFIXES) and n not in dropped}
    home = os.path.join(root, "home")
    return kept | {
        "HOME": home,
        "USERPROFILE": home,
        "PATH": os.path.join(root, "bin") + os.pathsep + os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "GIT_CONFIG_GLOBAL": os.path.join(home, ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "COLUMNS": "80",
        # A process that looks after the database would disturb what is measured, and outlive the place.
        "AGENT_TRACKER_BACKUP_INTERVAL": "0",
    }


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):
        process.kill()


def _remove(root: str) -> None:
    """Remove the directory; no second interrupt stops that."""
    previous = _set_handlers(dict.fromkeys((signal.SIGINT, *_endings()), signal.SIG_IGN))
    try:
        for _ in range(20):
            shutil.rmtree(root, ignore_errors=True)
            if not os.path.lexists(root):
                return
            time.sleep(0.1)  # a killed process may not have let go of it yet
        raise AgentTrackerError(f"cannot remove {root}", f"rm -r {root}")
    finally:
        _set_handlers(previous)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let signals that would end the process at once raise SystemExit, so that it cleans up."""

    def end(signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    # Whoever ignores one (nohup) goes on ignoring it.
    previous = _set_handlers({s: end for s in _endings() if signal.getsignal(s) is signal.SIG_DFL})
    try:
        yield
    finally:
        _set_handlers(previous)


def _endings() -> list[int]:
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _set_handlers(handlers: Mapping[int, Any]) -> dict[int, Any]:
    """Set signal handlers where that is possible (the main thread), and return those that were there."""
    try:
        return {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    except ValueError:
        return {}
