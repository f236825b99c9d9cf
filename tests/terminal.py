"""A real terminal for the tests: a pty of which the process under test is the session's leader."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Terminal"]

TIMEOUT_S = 60
LEAD = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'agent_tracker', *sys.argv[1:]])"
)


class Terminal:
    """Agent-tracker, run in a terminal of its own, as a context."""

    def __init__(
        self, *argv: str, cwd: Path, env: dict[str, str] | None = None, size: tuple[int, int] = (80, 24)
    ) -> None:
        self.master, self.slave = pty.openpty()
        columns, rows = size
        import fcntl  # noqa: PLC0415 -- beside the call

        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = self.settings()
        kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEAD, *argv],
            cwd=cwd,
            env={**kept, "TERM": "xterm", **(env or {})},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )
        self.shown = ""

    def __enter__(self) -> Terminal:  # noqa: PYI034 -- nobody derives from it
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def settings(self) -> list[Any]:
        """Return the terminal's settings."""
        return termios.tcgetattr(self.slave)

    def until(self, text: str) -> str:
        """Wait until a text is shown, and return what was shown up to its end, since the last call."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.shown += os.read(self.master, 4096).decode("utf-8", "replace").replace("\r\n", "\n")
        shown, _, self.shown = self.shown.partition(text)
        return shown + text

    def send(self, text: str) -> None:
        """Type something."""
        os.write(self.master, text.encode())

    def code(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(TIMEOUT_S)
