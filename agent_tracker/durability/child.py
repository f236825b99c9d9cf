"""Processes of our own that read a damaged file, or what may be one: starting them, and what their end means.

Owns how such a process is started, with this one's interpreter and search path and nothing of the user's, and which
signals a damaged page ends it by. What it does is its module's `main`, which takes words and returns an exit code.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from subprocess import CompletedProcess

__all__ = ["child_argv", "is_by_damage", "last_words", "run_child", "signal_name"]

_BOOT = """
import sys
name, count, *words = sys.argv[1:]
sys.path[:] = words[int(count):]
module = __import__("agent_tracker.durability." + name, fromlist=["main"])
sys.exit(module.main(*words[:int(count)]))
"""
BY_DAMAGE = ("SIGABRT", "SIGBUS", "SIGSEGV", "SIGILL", "SIGFPE")
MAX_WORDS = 300


def child_argv(module: str, *words: str) -> list[str]:
    """Return the command line by which a module of this package runs as a process of its own, with these words."""
    return [sys.executable, "-ISc", _BOOT, module, str(len(words)), *words, *sys.path]


def run_child(
    module: str, *words: str, timeout_s: float, env: Mapping[str, str] | None = None
) -> CompletedProcess[bytes]:
    """Run a module of this package as a process of its own, and return how it ended and what it said.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: It took longer, and was killed; what it said until then is in the error.
    """
    import subprocess  # noqa: PLC0415 -- only where something is to be read that may end a process

    argv, environment = child_argv(module, *words), None if env is None else dict(env)
    nothing = subprocess.DEVNULL
    return subprocess.run(argv, stdin=nothing, capture_output=True, env=environment, timeout=timeout_s, check=False)


def is_by_damage(number: int) -> bool:
    """Tell whether this is a signal by which reading a damaged page ends a process; any other came from outside."""
    return signal_name(number) in BY_DAMAGE


def signal_name(number: int) -> str:
    """Return a signal's name, or words with its number."""
    import signal  # noqa: PLC0415 -- only where a process was ended by one

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_words(stderr: bytes) -> str:
    """Return the last line that a process said on stderr, `nothing` where it said none."""
    return (stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing"])[-1][:MAX_WORDS]
