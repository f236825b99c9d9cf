"""One key at a time from the terminal.

Owns the terminal's settings while a key is awaited, and gives them back whatever happens. A key that sends several
bytes (an arrow, say) is one key, and never taken for the letters in it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Keyboard"]

ODD = "\x1b"
"""Stands for every key that is no character: arrows, function keys, keys with Alt."""
PASSED_OVER = frozenset({ODD, "\n", "\r"})

ESCAPE_S = 0.5
"""How long the rest of a key's bytes may take, over a slow line too."""
ESCAPE, CONTROL_SEQUENCE = 0x1B, 0x9B
FIRST_BYTE = 0x80
END = b"\x04"
STOPPING = ("SIGTERM", "SIGHUP")


class Keyboard:
    """The terminal on standard input, as a context: signals that end the process give the settings back first."""

    def __init__(self) -> None:
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for name in STOPPING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, _stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def key(self, question: str) -> str:
        """Ask, and return the next key: a character, nothing where the terminal is gone.

        Enter and keys that are no character are passed over.
        """
        if sys.platform == "win32":
            print(question, end="", flush=True)
            return _after_odd(_windows_key)
        with _one_by_one():
            print(question, end="", flush=True)
            return _after_odd(_key)

    def line(self) -> str | None:
        """Return a line as the terminal lets people edit it, None where it was ended without one (Ctrl-D)."""
        if sys.platform == "win32":
            try:
                return input()
            except EOFError:
                return None
        content = b""
        while not content.endswith(b"\n"):
            part = _read(4096)
            # What was typed before the line was asked for comes as it is.
            if not part or END in part:
                return None
            content += part
        return content[:-1].decode("utf-8", "surrogateescape")


def _after_odd(read: Callable[[], str]) -> str:
    key = read()
    while key in PASSED_OVER:
        key = read()
    return key


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _read(size: int) -> bytes:
    """Return some bytes of standard input, none where the terminal is gone."""
    try:
        return os.read(0, size)
    except OSError:
        return b""


@contextmanager
def _one_by_one() -> Iterator[None]:
    """Have the terminal hand over each byte at once and show none; while the process is stopped, it is as it was."""
    import termios  # noqa: PLC0415 -- not on Windows

    before = termios.tcgetattr(0)
    changed = termios.tcgetattr(0)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0

    def stopped(number: int, _frame: FrameType | None) -> None:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, stopped)
        termios.tcsetattr(0, termios.TCSADRAIN, changed)

    handler = signal.signal(signal.SIGTSTP, stopped)
    try:
        termios.tcsetattr(0, termios.TCSADRAIN, changed)
        yield
    finally:
        # Where the terminal is gone there is nothing to give back.
        with suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTSTP, handler)


def _key() -> str:
    first = _read(1)
    if not first:
        return ""
    if first[0] in {ESCAPE, CONTROL_SEQUENCE}:
        _pass_over(first[0])
        return ODD
    if first[0] < FIRST_BYTE:
        return first.decode("ascii")
    rest = 3 if first[0] >= 0xF0 else 2 if first[0] >= 0xE0 else 1  # noqa: PLR2004 -- UTF-8's first bytes
    return (first + b"".join(_soon() for _ in range(rest))).decode("utf-8", "replace")[:1]


def _pass_over(byte: int) -> None:
    """Read the rest of an escape sequence.

    Source: ECMA-48, 5.4: parameters and intermediate bytes below @, then one final byte.
    """
    kind = b"[" if byte == CONTROL_SEQUENCE else _soon()
    if kind == b"\x1b":
        kind = _soon()
    if kind == b"O":
        _soon()
    while kind == b"[":
        part = _soon()
        if not part or b"@" <= part <= b"~":
            # The Linux console's function keys have one more: ESC [ [ A
            if part == b"[":
                _soon()
            return


def _soon() -> bytes:
    """Return the next byte, none where it does not come at once."""
    import select  # noqa: PLC0415 -- not for terminals on Windows

    return _read(1) if select.select([0], [], [], ESCAPE_S)[0] else b""


def _windows_key() -> str:
    if sys.platform != "win32":
        return ""
    import msvcrt  # noqa: PLC0415 -- on Windows alone

    key = msvcrt.getwch()
    if key in {"\x00", "\xe0"}:
        msvcrt.getwch()
        return ODD
    if key == "\x03":
        raise KeyboardInterrupt
    return key
