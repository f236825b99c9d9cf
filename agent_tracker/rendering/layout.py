"""What a terminal can show, and fitting text into it: width, colours, and letters beyond ASCII.

Owns measuring and styling. Never knows what a text means.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.rendering.text import cells, chopped, safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Piece", "Terminal", "paint", "terminal", "wrapped"]

MAX_WIDTH = 80
MIN_WIDTH = 24
GLYPHS = "▁▃▅█━─…"
"""What pretty output needs the encoding of stdout to know."""

STYLES = {"bold": "1", "dim": "2", "bad": "31", "good": "32", "best": "1;32", "loud": "1;31"}

Piece = tuple[str, str]
"""A text that is safe to show, and one of STYLES or nothing."""


class Terminal(NamedTuple):
    """What stdout can show. `width` is 0 for a pipe, where nothing needs to be cut."""

    width: int
    is_pretty: bool
    is_coloured: bool

    @property
    def sheet_width(self) -> int:
        """How wide a sheet may be."""
        return max(MIN_WIDTH, min(self.width or MAX_WIDTH, MAX_WIDTH))

    def text(self, stored: str) -> str:
        """Return stored text as it can be shown: nothing that a terminal acts on, and ASCII alone where it must be."""
        shown = safe(stored)
        return shown if self.is_pretty else shown.encode("ascii", "backslashreplace").decode()

    def cut(self, text: str, width: int) -> str:
        """Return a safe text that takes no more than so many cells."""
        if cells(text) <= width:
            return text
        end = "…" if self.is_pretty else "~"
        first = chopped(text, width - 1)[0] if width > 1 else ""
        return (first if cells(first) < width else "") + end


def terminal(*, is_plain: bool) -> Terminal:
    """Return what stdout can show; plain is ASCII without colours, as it is where it can show no more."""
    is_dumb = os.environ.get("TERM") == "dumb"
    is_pretty = not is_plain and not is_dumb and _knows(GLYPHS)
    is_terminal = os.isatty(1)
    is_coloured = is_terminal and not is_plain and not is_dumb and not os.environ.get("NO_COLOR")
    return Terminal(_width() if is_terminal else 0, is_pretty, is_coloured)


def _knows(glyphs: str) -> bool:
    try:
        glyphs.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or MAX_WIDTH
    except OSError:
        return MAX_WIDTH


def paint(pieces: Iterable[Piece], term: Terminal) -> str:
    """Return pieces as one text, in colours where there are any."""
    if not term.is_coloured:
        return "".join(text for text, _ in pieces)
    return "".join(f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style and text else text for text, style in pieces)


def wrapped(parts: Sequence[Sequence[Piece]], width: int, *, gap: str = "  ") -> list[list[Piece]]:
    """Return parts in lines of so many cells: beside one another where they fit, a part too long in several lines."""
    lines: list[list[Piece]] = []
    room = 0
    for part in parts:
        size = sum(cells(text) for text, _ in part)
        if lines and size + len(gap) <= room:
            lines[-1] += [(gap, ""), *part]
            room -= size + len(gap)
        elif size <= width:
            lines.append(list(part))
            room = width - size
        else:
            lines += [[(line, style)] for text, style in part for line in chopped(text, width)]
            room = width - cells(lines[-1][0][0])
    return lines or [[]]
