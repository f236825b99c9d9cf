"""Text made safe for one field of one line, and for a terminal: backslashes and what cannot be printed, escaped.

Owns that one escaping. Never touches anything else.
"""

from __future__ import annotations

from agent_tracker.errors import RecordError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["escape", "escape_json", "shown_path", "unescape"]

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_MAX_X, _MAX_U = 0xFF, 0xFFFF
_DIGITS = {"x": 2, "u": 4, "U": 8}
_UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
_HEX = frozenset("0123456789abcdefABCDEF")


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
            _unknown(part[0])
    return "".join(out)


def _character(escaped: str) -> str:
    digits = escaped[1:]
    if len(digits) != _DIGITS[escaped[0]] or not _HEX.issuperset(digits):
        _unknown(escaped)
    try:
        return chr(int(digits, 16))
    except (ValueError, OverflowError):
        return _unknown(escaped)


def _unknown(escaped: str) -> NoReturn:
    raise RecordError(f"unknown escape \\{escape(escaped)}")


def escape_json(document: str, encoding: str = "utf-8") -> str:
    """Return a JSON document that says the same without anything that a terminal would act on.

    Outside ASCII, characters stand in its strings alone, where a number says the same as they do.

    Args:
        document: Its ends of lines stay.
        encoding: Of what it is written to; what that cannot say is said by numbers too.
    """
    if document.isascii() and "\x7f" not in document:
        return document
    unsaid = {c for c in set(document) if not (c.isprintable() or c in "\n\t\r") or not _is_said(c, encoding)}
    return document.translate({ord(c): _json_numbers(c) for c in unsaid}) if unsaid else document


def _is_said(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _json_numbers(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def shown_path(path: str, home: str) -> str:
    """Return a path as people read it: below the home directory with `~`, and nothing that a terminal would act on."""
    return escape("~" + path[len(home) :] if home and path.startswith(home.rstrip("/") + "/") else path)
