"""Faults at every system call by which a process touches files of a world, with strace.

A process is traced once, to learn which of its calls are on files of the world, and then run again for each of them,
with that one call killed or failed. Calls are told apart by the process's own count of that kind of call, as strace
counts them.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fault", "Tracer", "copied", "evenly", "faults_of", "needs_strace"]

KILL, ENOSPC, EIO = "KILL", "ENOSPC", "EIO"
_ROOM = (KILL, ENOSPC, EIO)
_MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("openat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat"), _ROOM),
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "ftruncate", "truncate", "fallocate"), _ROOM),
    # Taking a name away may take room where the file system keeps what was there before.
    **dict.fromkeys(("fsync", "fdatasync", "msync", "unlink", "unlinkat"), _ROOM),
    **dict.fromkeys(("read", "pread64", "getdents64", "newfstatat", "fstat"), (KILL, EIO)),
    **dict.fromkeys(("stat", "lstat", "statx", "readlink", "readlinkat"), (KILL, EIO)),
    **dict.fromkeys(("chmod", "fchmod", "fchmodat", "utimensat"), (KILL, EIO)),
    # A failed one would be one that the kernel did all the same, or would be no fault of a disk.
    **dict.fromkeys(("close", "flock", "fcntl", "mmap", "munmap", "lseek", "access", "faccessat2"), (KILL,)),
}
"""What can happen to each call that is looked at."""
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)")
_QUOTED = re.compile(r'^(?:AT_FDCWD<([^>]*)>|\d+<([^>]*)>)?,? ?"([^"]*)"')
_ON_PATHS: tuple[str, ...] = ("open", "mkdir", "rename", "link", "unlink", "newfstatat", "stat", "lstat", "statx")
_ON_PATHS += ("readlink", "access", "faccessat", "chmod", "fchmodat", "utimensat", "truncate")
_DESCRIBED = re.compile(r"\d+<(/[^>]*)>")
_OURS = ("agent-tracker", "home/.config/", "home/.local/")


class Fault(NamedTuple):
    """The `when`th call of a process to `syscall` is killed, or fails with an error; `about` is the path it is on.

    `is_below`: it was made by a process that the traced one started.
    """

    syscall: str
    when: int
    about: str
    is_below: bool = False
    what: str = ""

    @property
    def injection(self) -> str:
        """The fault as strace takes it."""
        deed = "signal=KILL" if self.what == KILL else f"error={self.what}"
        return f"inject={self.syscall}:{deed}:when={self.when}"

    def __str__(self) -> str:
        return f"{self.what} at {self.syscall} number {self.when} ({self.about})"


class Tracer(NamedTuple):
    """Where strace writes its log, and the words with which it is started."""

    log: Path

    def argv(self, fault: Fault | None) -> list[str]:
        """Return what stands before the command; a fault hits the process itself, unless it is one below.

        Args:
            fault: None only traces, with all that it starts.
        """
        if fault is None:
            return [*self.base, "-f", "-e", "trace=" + ",".join(f"?{name}" for name in _MEANT)]
        follow = ["-f"] if fault.is_below else []
        return [*self.base, *follow, "-e", f"trace={fault.syscall}", "-e", fault.injection]

    @property
    def base(self) -> list[str]:
        """The words that any tracing begins with."""
        return ["strace", "-q", "-y", "-s", "0", "-o", str(self.log), "-e", "signal=kill,stop"]

    def has_hit(self, fault: Fault) -> bool:
        """Tell whether the fault of the last run happened."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "+++ killed by SIGKILL" in text if fault.what == KILL else "(INJECTED)" in text


@functools.cache
def _why_not() -> str:
    if not shutil.which("strace"):
        return "strace is not installed"
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        return "strace may not trace here"
    return ""


def needs_strace() -> None:
    """Skip the test where processes cannot be traced."""
    if why := _why_not():
        pytest.skip(why)


def faults_of(log: Path, root: Path) -> list[Fault]:
    """Return every fault that can happen to the calls of a traced process on files below `root`.

    Of the processes that it started only the calls on files of ours count. Of calls of one kind on one file with no
    other between them, as where a shell reads byte by byte, the first and the last.
    """
    counts: Counter[tuple[str, str]] = Counter()
    runs: dict[str, list[list[Fault]]] = {}
    creates: set[Fault] = set()
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if not match or match[2] not in _MEANT:
            continue
        pid, syscall, rest = match.groups()
        counts[pid, syscall] += 1
        of_process = runs.setdefault(pid, [])
        call = Fault(
            syscall, counts[pid, syscall], _path(syscall, rest, root), len(runs) > 1 and pid != next(iter(runs))
        )
        if "O_CREAT" in rest:
            creates.add(call)
        if of_process and (of_process[-1][-1].syscall, of_process[-1][-1].about) == (call.syscall, call.about):
            of_process[-1].append(call)
        else:
            of_process.append([call])
    ends = (call for of_process in runs.values() for run in of_process for call in {run[0]: 0, run[-1]: 0})
    calls = [call for call in ends if call.about and (not call.is_below or any(ours in call.about for ours in _OURS))]
    return [
        call._replace(what=what)
        for call in dict.fromkeys(calls)
        for what in _MEANT[call.syscall]
        if what != ENOSPC or call.syscall != "openat" or call in creates
    ]


def _path(syscall: str, rest: str, root: Path) -> str:
    """Return the path below `root` that a call is on, else nothing."""
    found = ""
    if quoted := _QUOTED.match(rest) if syscall.startswith(_ON_PATHS) else None:
        found = os.path.normpath(Path(quoted[1] or quoted[2] or "/", quoted[3]))
    elif described := _DESCRIBED.search(rest):
        found = described[1]
    return found.removeprefix(f"{root}/") if found.startswith(f"{root}/") else ""


def evenly(faults: Sequence[Fault], how_many: int | None) -> list[Fault]:
    """Return a fixed sample, spread evenly over the faults of each kind; all of them for None."""
    if how_many is None or how_many >= len(faults):
        return list(faults)
    ordered = sorted(range(len(faults)), key=lambda index: (faults[index].what, index))
    step = len(faults) / how_many
    return [faults[ordered[int(step * number)]] for number in range(how_many)]


def copied(source: Path, target: Path) -> None:
    """Put a copy of a directory, times and modes and all, in the place of another."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
