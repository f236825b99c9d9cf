"""JSON with comments, changed in its text: what stands around a change stays as it is, to the byte.

Owns finding where values stand, putting one in, and taking one out. Never reads a file, and never writes a value anew
that was there.

Comments (`//`, `/* */`) and a comma behind the last element are read, as clients' own settings have them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Change", "Node", "append_at", "parse", "remove_at"]

MAX_DEPTH = 100
_SPACE = " \t\r\n\ufeff"
_DECODER = json.JSONDecoder()
_SCALAR_ENDS = frozenset(",]}/" + _SPACE)


class Node(NamedTuple):
    """A value and where it stands: from `start` up to `end`.

    Of an object or array, `children` are its elements in order, `names` the keys of an object's, `starts` where each
    begins (at its key), and `commas` where the comma behind each is, -1 where there is none.
    """

    value: object
    start: int
    end: int
    children: tuple[Node, ...] = ()
    names: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    commas: tuple[int, ...] = ()

    def at(self, name: str) -> Node | None:
        """Return an object's member: the last of this name, which is the one that counts."""
        found = [child for child, named in zip(self.children, self.names, strict=False) if named == name]
        return found[-1] if found else None


class Change(NamedTuple):
    """A text with something put in, and what that was, to be taken out again."""

    text: str
    inserted: str


def parse(text: str) -> Node:
    """Return the value that a text holds.

    Raises:
        ValueError: It is not valid; the message says in which line.
    """
    node = _value(text, _skip(text, 0), 0)
    if _skip(text, node.end) != len(text):
        raise _wrong(text, node.end, "something follows")
    return node


def _wrong(text: str, at: int, what: str) -> ValueError:
    return ValueError(f"line {text.count(chr(10), 0, at) + 1}: {what}")


def _skip(text: str, at: int) -> int:
    """Return where the next thing begins that is neither space nor a comment."""
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
        elif text.startswith("//", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            if end < 0:
                raise _wrong(text, at, "a comment has no end")
            at = end + 2
        else:
            break
    return at


def _value(text: str, at: int, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise _wrong(text, at, "nested too deeply")
    if text.startswith(("{", "["), at):
        return _container(text, at, depth)
    if text.startswith('"', at):
        return _string(text, at)
    end = at
    while end < len(text) and text[end] not in _SCALAR_ENDS:
        end += 1
    try:
        return Node(json.loads(text[at:end]), at, end)
    except ValueError as error:
        raise _wrong(text, at, f"no JSON: {text[at : at + 20]!r}") from error


def _string(text: str, at: int) -> Node:
    try:
        value, end = _DECODER.raw_decode(text, at)
    except ValueError as error:
        raise _wrong(text, at, "a string has no end, or holds what it may not") from error
    return Node(value, at, end)


def _container(text: str, start: int, depth: int) -> Node:
    is_object = text[start] == "{"
    closing = "}" if is_object else "]"
    children: list[Node] = []
    names: list[str] = []
    starts: list[int] = []
    commas: list[int] = []
    at = _skip(text, start + 1)
    while not text.startswith(closing, at):
        if commas and commas[-1] < 0:
            raise _wrong(text, at, f"a comma or {closing} is missing")
        starts.append(at)
        if is_object:
            key = _string(text, at) if text.startswith('"', at) else None
            at = _skip(text, key.end) if key else at
            if key is None or not text.startswith(":", at):
                raise _wrong(text, at, "a name, and a colon behind it, are missing")
            names.append(str(key.value))
            at = _skip(text, at + 1)
        children.append(_value(text, at, depth + 1))
        at = _skip(text, children[-1].end)
        is_comma = text.startswith(",", at)
        commas.append(at if is_comma else -1)
        at = _skip(text, at + 1) if is_comma else at
    values = [child.value for child in children]
    value: object = dict(zip(names, values, strict=True)) if is_object else values
    return Node(value, start, at + 1, tuple(children), tuple(names), tuple(starts), tuple(commas))


# -- putting in


def append_at(text: str, path: Sequence[str], element: object) -> Change:
    """Return the text with an element behind those of the array at a path of names; what is missing of it is made.

    Raises:
        ValueError: The text is not valid, or something else stands on the path.
    """
    if not text.strip(_SPACE):
        added = json.dumps(_wrapped(path, element), indent=2) + "\n"
        return Change(text + added, added)
    node = parse(text)
    for depth, name in enumerate(path):
        if not isinstance(node.value, dict):
            raise _wrong(text, node.start, "not an object, where one belongs")
        below = node.at(name)
        if below is None:
            return _put(text, node, _wrapped(path[depth + 1 :], element), depth, name)
        node = below
    if not isinstance(node.value, list):
        raise _wrong(text, node.start, "not a list, where one belongs")
    return _put(text, node, element, len(path))


def _wrapped(path: Sequence[str], element: object) -> object:
    value: object = [element]
    for name in reversed(path):
        value = {name: value}
    return value


def _put(text: str, node: Node, element: object, depth: int, name: str = "") -> Change:
    """Put an element behind the last one of an object or array."""
    key = f"{json.dumps(name)}: " if name else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    if "\n" not in text.strip(_SPACE):
        body, before, behind = json.dumps(element), " ", ""
    else:
        unit = _unit(text)
        body = json.dumps(element, indent=unit).replace("\n", f"\n{unit * (depth + 1)}").replace("\n", newline)
        before, behind = newline + unit * (depth + 1), newline + unit * depth
    if node.children:
        at, added = node.children[-1].end, f",{before}{key}{body}"
    else:
        at = node.start + 1
        is_open = "\n" in text[at : node.end]
        added = f"{before if behind else ''}{key}{body}{'' if is_open else behind}"
    return Change(text[:at] + added + text[at:], added)


def _unit(text: str) -> str:
    """Return by what a text is indented: what its first indented line begins with."""
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        if indent and line.strip():
            return indent
    return "  "


# -- taking out


def remove_at(text: str, path: Sequence[str | int]) -> str:
    """Return the text without the value at a path of names and numbers, and without a comma that it needed.

    Raises:
        ValueError: The text is not valid.
        LookupError: Nothing stands there.
    """
    node, index = parse(text), 0
    above = node
    for step in path:
        above = node
        index = step if isinstance(step, int) else len(node.names) - 1 - node.names[::-1].index(step)
        node = node.children[index]
    start, end = above.starts[index], node.end
    space = start - len(text[:start]) + len(text[:start].rstrip(_SPACE))
    comma = above.commas[index]
    if comma >= 0:
        return text[:space] + text[end:comma] + text[comma + 1 :]
    if index:
        before = above.commas[index - 1]
        return text[:before] + text[before + 1 : max(space, before + 1)] + text[end:]
    return text[:space] + text[end:]
