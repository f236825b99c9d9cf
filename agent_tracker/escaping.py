"""Text made safe for one field of one line, and for a terminal: backslashes and control characters escaped.

Owns that one escaping. Never touches anything printable.
"""

from __future__ import annotations

from agent_tracker.errors import RecordError

__all__ = ["escape", "unescape"]

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


def escape(text: str) -> str:
    """Return `text` with backslashes and control characters escaped, so that it fits in one field of one line."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        _ESCAPES.get(c) or (f"\\x{ord(c):02x}" if ord(c) < 0x20 or ord(c) == 0x7F else c)  # noqa: PLR2004 -- ASCII
        for c in text
    )


def unescape(text: str) -> str:
    """Undo `escape`.

    Raises:
        RecordError: A backslash is followed by nothing we write.
    """
    if "\\" not in text:
        return text
    parts = text.split("\\")
    out = [parts[0]]
    rest = iter(parts[1:])
    for part in rest:
        if not part:
            literal = next(rest, None)
            if literal is None:
                raise RecordError("a lone backslash at the end")
            out.append("\\" + literal)
        elif part[0] == "x" and len(part) >= 3:  # noqa: PLR2004 -- x and two digits
            out.append(_hex_character(part[1:3]) + part[3:])
        elif part[0] in _UNESCAPES:
            out.append(_UNESCAPES[part[0]] + part[1:])
        else:
            raise RecordError(f"unknown escape \\{part[0]}")
    return "".join(out)


def _hex_character(digits: str) -> str:
    try:
        return chr(int(digits, 16))
    except ValueError:
        raise RecordError(f"unknown escape \\x{digits}") from None
