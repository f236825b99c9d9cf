"""Whether a process is the one that it was: a number alone is given again to the next one.

Owns telling processes apart. Never sends a signal that does anything, and never says that a process is gone where it
only cannot be seen from here: on another machine, in another container, under another user.

A start is `WHEN@HOST/BOOT/NAMESPACE`. WHEN is what the system keeps about the process: clock ticks since the boot on
Linux, the time of day in UTC elsewhere. HOST is a checksum of the machine's name; BOOT and NAMESPACE, in which a number
means something, are known on Linux only. Sources: proc(5), pid_namespaces(7), ps(1).
"""

from __future__ import annotations

import os
import sys
from zlib import crc32

from agent_tracker.files import read_bytes

__all__ = ["calling_process", "is_running", "start_of"]

MAX_PROCESS = (1 << 31) - 1
TIMEOUT_S = 5
_STATE, _PARENT, _TICKS, _STACK = 0, 1, 19, 25
"""Fields of /proc/PID/stat, counted after the name: the third, fourth, twenty-second and twenty-eighth. Where the
stack begins, only a fork has in common with its parent."""
SHELLS = frozenset({"sh", "ash", "bash", "busybox", "dash", "fish", "ksh", "mksh", "zsh"})
MAX_CLIMB = 8
_DEAD = frozenset({"Z", "X", "x"})
"""The states of a process that has ended, whether or not its parent has asked after it."""


def start_of(process: int) -> str:
    """Return what tells a running process from a later one of the same number, empty where that cannot be told.

    It is printable, has no spaces, and fewer than 200 characters.
    """
    when, _ = _look(process)
    return f"{when}@{'/'.join(_place())}" if when else ""


def is_running(process: int, start: str) -> bool | None:
    """Return whether a process still runs, None where it cannot be told.

    Neither argument is trusted. One that has ended does not run, even if its parent has not asked after it yet.

    Args:
        process: Its number; 0 where it was not known.
        start: As `start_of` gave it, maybe long ago and elsewhere; where it is empty or not of that form, the number is
            all there is, which can be another's by now: no more than that it is gone can be told.
    """
    if not 0 < process <= MAX_PROCESS:
        return None
    told_when, _, told_place = start.partition("@")
    told, here = told_place.split("/"), _place()
    if len(told) == len(here) and told_when:
        where = _is_here(told, here)
        if not where:
            return where
    else:
        told_when = ""
    when, is_there = _look(process)
    if is_there is False:
        return False
    return when == told_when if when and told_when else None


def _is_here(told: list[str], here: list[str]) -> bool | None:
    """Return whether a number from there means the same here; False where all processes of that time are gone."""
    (host, boot, namespace), (our_host, our_boot, our_namespace) = told, here
    if host != our_host:
        return None
    if boot != our_boot:
        return False if boot and our_boot else None
    return True if namespace == our_namespace else None


def _place() -> list[str]:
    """Return the machine, its boot and the namespace in which numbers of processes mean what they mean here."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]")
    except (OSError, AttributeError):
        namespace = ""
    # What follows the first dot changes with the network.
    host = os.uname().nodename.partition(".")[0] if hasattr(os, "uname") else ""
    boot = read_bytes("/proc/sys/kernel/random/boot_id", 64).strip().replace(b"-", b"")
    return [f"{crc32(os.fsencode(host)):08x}", boot.decode("ascii", "replace"), namespace]


def _look(process: int) -> tuple[str, bool | None]:
    """Return when a process started, empty where that is not to be seen, and whether it runs, None likewise."""
    if not 0 < process <= MAX_PROCESS or os.name != "posix":
        # Where there is no POSIX, os.kill ends the process, whatever the signal.
        return "", None
    when, state = _from_proc(process) if sys.platform == "linux" else _from_ps(process)
    if state:
        return ("", False) if state in _DEAD else (when, True)
    return "", _find_absence(process)


def _from_proc(process: int) -> tuple[str, str]:
    # The name may hold spaces, parentheses and newlines, so the last parenthesis counts.
    fields = read_bytes(f"/proc/{process:d}/stat", 4096).rpartition(b")")[2].split()
    if len(fields) <= _TICKS:
        return "", ""
    return fields[_TICKS].decode("ascii", "replace"), fields[_STATE].decode("ascii", "replace")


def _from_ps(process: int) -> tuple[str, str]:
    """Ask ps, in one language and one time zone: the answer is compared with a later one."""
    import subprocess  # noqa: PLC0415 -- not on Linux, and 9 ms

    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}
    argv = ["/bin/ps", "-o", "state=", "-o", "lstart=", "-p", f"{process:d}"]
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    state, *when = done.stdout.decode("ascii", "replace").split()[:6] or [""]
    return "-".join(when), state[:1]


def _find_absence(process: int) -> bool | None:
    """Return False where nothing has this number; None where something has, whatever it is, or where it is not said."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return None
    return None


# -- the process that lives as long as a session


def calling_process(process: int) -> int:
    """Return the process that lives as long as what called: that one, or the first above it that does not pass.

    A client runs each command in a shell of its own, `sh -c`, which is gone before the session is; and so is the copy
    of itself that a shell makes for `$(...)`.
    """
    for _ in range(MAX_CLIMB):
        argv, stat = _command(process), _stat(process)
        parent = int(stat[_PARENT]) if len(stat) > _STACK and stat[_PARENT].isdigit() else 0
        if parent <= 1 or not (_is_for_one_command(argv) or _is_copy(argv, stat, parent)):
            break
        process = parent
    return process


def _is_for_one_command(argv: list[bytes]) -> bool:
    return _is_shell(argv) and any(word[:1] == b"-" and word[:2] != b"--" and b"c" in word for word in argv[1:4])


def _is_copy(argv: list[bytes], stat: list[bytes], parent: int) -> bool:
    """Tell whether a shell is a fork of its parent: one started anew has its stack elsewhere, where that is told."""
    return _is_shell(argv) and _command(parent) == argv and _stat(parent)[_STACK : _STACK + 1] == [stat[_STACK]]


def _is_shell(argv: list[bytes]) -> bool:
    return os.path.basename(argv[0].decode("utf-8", "replace")).removeprefix("-") in SHELLS


def _command(process: int) -> list[bytes]:
    return read_bytes(f"/proc/{process:d}/cmdline", 4096).split(b"\0") if sys.platform == "linux" else [b""]


def _stat(process: int) -> list[bytes]:
    """Return the fields of what the system keeps about a process that come after its name."""
    if sys.platform != "linux":
        return []
    return read_bytes(f"/proc/{process:d}/stat", 4096).rpartition(b")")[2].split()
