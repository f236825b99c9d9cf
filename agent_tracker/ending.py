"""How a command ends: its exit code, and where an error is shown, also where nobody takes what is written.

Owns the exit codes: 0 done, 1 expected error, 2 usage, 3 bug, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
import time

from agent_tracker import __version__
from agent_tracker.errors import AgentTrackerError, UsageError
from agent_tracker.escaping import escape
from agent_tracker.paths import user_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["complain", "log_bug", "run_to_end"]

STDOUT, STDERR = 1, 2
CANNOT_WRITE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What comes of writing to a descriptor whose other end, or disk, takes nothing."""


def run_to_end(work: Callable[[], int]) -> int:
    """Return a command's exit code, having shown whatever went wrong."""
    _open_what_is_closed()
    try:
        code = work()
        sys.stdout.flush()
    except AgentTrackerError as error:
        code = complain(error)
    except BrokenPipeError:
        _write_nowhere(STDOUT)
        return 1
    except OSError as error:
        _write_nowhere(STDOUT)
        if error.filename is not None or error.errno not in CANNOT_WRITE:
            return log_bug()
        return complain(AgentTrackerError(f"cannot write: {error.strerror}"))
    except Exception:  # noqa: BLE001 -- a bug: the traceback goes to a file, a person gets one line
        return log_bug()
    return code


def complain(error: AgentTrackerError) -> int:
    """Print an expected error, one line and its hint, to stderr and return its exit code."""
    _say(f"error: {escape(error.message)}" + (f"\nhint: {escape(error.hint)}" if error.hint else ""))
    return 2 if isinstance(error, UsageError) else 1


def log_bug() -> int:
    """Write the traceback of a bug to the log, print one line that says where, and return the exit code."""
    import traceback  # noqa: PLC0415 -- only for a bug

    path = user_paths(os.environ).log_file
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {__version__} {sys.argv!r}\n")
            traceback.print_exc(file=file)
    except OSError:
        traceback.print_exc()
    _say(f"error: a bug in agent-tracker; the details are in {escape(path)}")
    return 3


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _write_nowhere(STDERR)


def _open_what_is_closed() -> None:
    """Give each of the three streams that was closed by whoever started this nowhere to read from or write to.

    The lowest free descriptor is taken each time: no file that is opened later is written to by mistake.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _write_nowhere(descriptor: int) -> None:
    """Turn a stream away from what takes nothing, or Python tries again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
