"""Text made safe for one field of one line, and for a terminal: backslashes and what cannot be printed, escaped.

Owns that one escaping. Never touches anything else.
"""

from __future__ import annotations

from agent_tracker.errors import RecordError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["escape", "shown_path", "unescape"]

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_MAX_X, _MAX_U = 0xFF, 0xFFFF
_DIGITS = {"x": 2, "u": 4, "U": 8}
_UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


def escape(text: str) -> str:
    """Return `text` with backslashes and everything that cannot be printed escaped.

    Control characters of either set, overrides of direction and undecodable bytes are not printable.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(c if c.isprintable() and c != "\\" else _ESCAPES.get(c) or _numbered(ord(c)) for c in text)


def _numbered(code: int) -> str:
    if code <= _MAX_X:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _MAX_U else f"\\U{code:08x}"


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
        elif part[0] in _DIGITS:
            out.append(_character(part[: _DIGITS[part[0]] + 1]) + part[_DIGITS[part[0]] + 1 :])
        elif part[0] in _UNESCAPES:
            out.append(_UNESCAPES[part[0]] + part[1:])
        else:
            raise RecordError(f"unknown escape \\{part[0]}")
    return "".join(out)


def _character(escaped: str) -> str:
    digits = escaped[1:]
    try:
        return chr(int(digits, 16)) if len(digits) == _DIGITS[escaped[0]] else _unknown(escaped)
    except (ValueError, OverflowError):
        return _unknown(escaped)


def _unknown(escaped: str) -> NoReturn:
    raise RecordError(f"unknown escape \\{escaped}")


def shown_path(path: str, home: str) -> str:
    """Return a path as people read it: below the home directory with `~`, and nothing that a terminal would act on."""
    return escape("~" + path[len(home) :] if home and path.startswith(home.rstrip("/") + "/") else path)
