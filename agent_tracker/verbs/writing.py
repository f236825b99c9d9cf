"""Where a person's or an agent's words come from: a JSON object on standard input, or their editor.

Owns reading both, and what a text may hold: every character, as many as its field allows. Never prints, never reads a
setting of the repository's (which editor runs is the user's to say), and never loses what somebody wrote: until it has
been accepted, its file stays.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent_tracker.errors import AgentTrackerError, UsageError
from agent_tracker.escaping import escape
from agent_tracker.files import read_bytes
from agent_tracker.journal import MAX_NOTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from json import JSONDecoder
    from typing import BinaryIO

__all__ = ["MAX_INPUT_BYTES", "Field", "Sheet", "check_text", "edit", "edit_fields", "read_document", "read_input"]

MAX_INPUT_BYTES = 2 << 20
"""How much is read from standard input or from an editor's file: four notes of the longest, each character escaped."""

T = TypeVar("T")
_WHITESPACE = " \t\r\n"
_SHELL_CHARACTERS = frozenset("|&;<>()$`\\\"' \t\n*?[#~=%")
"""What makes git give an editor to the shell; any other is run as it is, so that a missing one is known as such."""
_NOT_FOUND, _KILLED = frozenset({126, 127}), 128
"""What a shell's exit code means; one above the last is that and a signal's number."""
_SHOWN = 60


class _NothingWrittenError(AgentTrackerError):
    """There is no text in what an editor left, so there is nothing to keep."""


class Field(NamedTuple):
    """One text: what it is for, how many characters it may have, and whether it must have any."""

    about: str
    limit: int = MAX_NOTE
    is_required: bool = False


def check_text(name: str, value: str, limit: int, *, is_required: bool = False) -> str:
    """Return a text as it is: control characters and lone surrogates are kept, and escaped where they are shown.

    Raises:
        UsageError: It has more than `limit` characters, or nothing but blanks where there must be something.
    """
    if len(value) > limit:
        raise UsageError(f"{name} has {len(value):,} characters, and may have {limit:,}", "shorten it")
    if is_required and not value.strip(_WHITESPACE):
        raise UsageError(f"{name} must not be empty", f"say something in {name}")
    return value


def _shown(text: str) -> str:
    return escape(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


# -- standard input ----------------------------------------------------------------------------------------------------


def read_input(stream: BinaryIO | None, *, limit: int = MAX_INPUT_BYTES) -> str:
    """Return what standard input holds, and read no more than one byte beyond `limit`, however much comes.

    Raises:
        UsageError: It is longer, no UTF-8, or cannot be read.
    """
    content = b""
    try:
        while stream and len(content) <= limit:
            part = stream.read(limit + 1 - len(content))
            if not part:
                break
            content += part
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}", "give a JSON object there") from error
    if len(content) > limit:
        raise UsageError(f"standard input holds more than {limit:,} bytes", "give less, or use options")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not UTF-8 at byte {error.start}", "save it as UTF-8") from error


def read_document(text: str, fields: Mapping[str, Field]) -> dict[str, str]:
    """Return every field's value from a JSON object, empty where the object does not have it.

    Raises:
        UsageError: It is not JSON, not an object of known keys, each once, with texts, or a text breaks its limits.
    """
    values: dict[str, str] = {}
    for key, value, place in _members(text, fields):
        if key not in fields:
            raise UsageError(f"unknown key {_shown(key)} at {place}", f"the keys are {', '.join(fields)}")
        if key in values:
            raise UsageError(f"{key} stands there for a second time at {place}", "give each key once")
        if not isinstance(value, str) or isinstance(value, _Constant):
            raise UsageError(f"{key} is {_type_name(value)} at {place}", "every value is a text, in double quotes")
        values[key] = value
    return _checked(values, fields)


def _checked(values: Mapping[str, str], fields: Mapping[str, Field]) -> dict[str, str]:
    return {
        name: check_text(name, values.get(name, ""), field.limit, is_required=field.is_required)
        for name, field in fields.items()
    }


def _members(text: str, fields: Mapping[str, Field]) -> Iterator[tuple[str, object, str]]:
    """Yield the members of the object that a JSON text is: key, value, and where the key stands."""
    import json  # noqa: PLC0415 -- 8 ms that the other ways of giving a text need not pay

    # No number is wanted, and int() refuses one of many digits with an error of its own.
    decoder = json.JSONDecoder(parse_int=float, parse_constant=_Constant)
    example = "{" + ", ".join(f'"{name}": "..."' for name in fields) + "}"
    _check_is_object(text, decoder, f"give a JSON object: {example}")
    # It is walked once more for the places of its members; what cannot be parsed has been met by now.
    index = _after_blanks(text, _after_blanks(text, 0) + 1)
    while text[index] != "}":
        place = _place(text, index)
        key, index = decoder.raw_decode(text, index)
        value, index = decoder.raw_decode(text, _after_blanks(text, _after_blanks(text, index) + 1))
        yield key, value, place
        index = _after_blanks(text, index)
        if text[index] == ",":
            index = _after_blanks(text, index + 1)


def _check_is_object(text: str, decoder: JSONDecoder, hint: str) -> None:
    start = _after_blanks(text, 0)
    place = _place(text, start)
    if start == len(text):
        raise UsageError(f"standard input is empty at {place}", hint)
    try:
        document = decoder.decode(text)
    except RecursionError as error:
        raise UsageError(f"standard input is nested too deeply from {place} on", hint) from error
    except ValueError as error:
        reason = "a byte order mark" if text.startswith("\ufeff") else getattr(error, "msg", str(error)).rstrip(": ")
        place = _place(text, getattr(error, "pos", start))
        raise UsageError(f"standard input is not JSON at {place}: {reason}", hint) from error
    if not isinstance(document, dict):
        raise UsageError(f"standard input is {_type_name(document)} at {place}, not an object", hint)


class _Constant(str):
    """NaN or an infinity, which the standard library takes for JSON."""

    __slots__ = ()


def _after_blanks(text: str, index: int) -> int:
    while index < len(text) and text[index] in _WHITESPACE:
        index += 1
    return index


def _place(text: str, index: int) -> str:
    return f"line {text.count(chr(10), 0, index) + 1}, column {index - text.rfind(chr(10), 0, index)}"


def _type_name(value: object) -> str:
    if isinstance(value, _Constant):
        return str(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {str: "a text", float: "a number", list: "a list", dict: "an object"}[type(value)]


# -- the editor --------------------------------------------------------------------------------------------------------


class Sheet:
    """A file with a section for each field, as it is given to an editor and read back.

    A line with scissors and the field's name stands above each section. Only such a line means anything, so a text may
    hold every other one, those that begin with `#` included; the scissors are longer than any in the texts given.

    Args:
        title: What is being written, one line.
        fields: In the order of their sections.
        values: What stands there already, by field.
    """

    def __init__(self, title: str, fields: Mapping[str, Field], values: Mapping[str, str]) -> None:
        self._fields = fields
        given = "".join(values.values())
        dashes = "-" * 16
        while f"{dashes} >8 {dashes}" in given:
            dashes += "-"
        self._headings = {name: f"{dashes} >8 {dashes} {name}" for name in fields}
        lines = [
            f"# {escape(title)}",
            "#",
            "# Write below the lines with the scissors (>8), and leave these lines as they are.",
            "# What stands above the first of them is not kept. Leave without a change to write nothing.",
            "#",
            *(f"#   {name}: {_about(field)}" for name, field in fields.items()),
            "",
        ]
        for name, heading in self._headings.items():
            lines += [heading, "", values.get(name, ""), ""]
        self.text = "\n".join(lines)

    @property
    def instead(self) -> str:
        """What to do where there is no editor."""
        options = ", ".join("--" + name.replace("_", "-") for name in self._fields)
        return f"give {options}, or a JSON object on standard input"

    def read(self, text: str) -> dict[str, str]:
        """Return each section's text without the blank lines around it, empty where it has none.

        Raises:
            UsageError: A heading is missing or stands there twice, something was written above the first, or a text
                breaks its limits.
            AgentTrackerError: No section has a text.
        """
        lines = text.removeprefix("\ufeff").split("\n")
        # An editor that writes CRLF does so in our lines too: one of a text's own stays.
        headings = frozenset(self._headings.values())
        if any(line.endswith("\r") and line.rstrip(_WHITESPACE) in headings for line in lines):
            lines = [line.removesuffix("\r") for line in lines]
        starts = self._starts(lines)
        for number, line in enumerate(lines[: min(starts.values())], 1):
            if line.strip(_WHITESPACE) and not line.startswith("#"):
                raise UsageError(f"line {number} stands above the first heading", "move it below one")
        ends = sorted([*starts.values(), len(lines)])
        values = {
            name: _without_blank_lines(lines[start + 1 : ends[ends.index(start) + 1]]) for name, start in starts.items()
        }
        if not any(value.strip(_WHITESPACE) for value in values.values()):
            raise _NothingWrittenError("nothing written, aborted", "write below one of the headings")
        return _checked(values, self._fields)

    def _starts(self, lines: list[str]) -> dict[str, int]:
        names = {heading: name for name, heading in self._headings.items()}
        starts: dict[str, int] = {}
        for index, line in enumerate(lines):
            name = names.get(line.rstrip(_WHITESPACE))
            if name in starts:
                both = f"lines {starts[name] + 1} and {index + 1}"
                raise UsageError(f"the heading of {name} stands in {both}", "keep one")
            if name:
                starts[name] = index
        for name, heading in self._headings.items():
            if name not in starts:
                raise UsageError(f"the heading of {name} is gone", f"put it back: {heading}")
        return starts


def _about(field: Field) -> str:
    return f"{field.about} ({'needed, ' if field.is_required else ''}at most {field.limit:,} characters)"


def _without_blank_lines(lines: list[str]) -> str:
    written = [index for index, line in enumerate(lines) if line.strip(_WHITESPACE)]
    return "\n".join(lines[written[0] : written[-1] + 1]) if written else ""


def edit_fields(sheet: Sheet, env: Mapping[str, str], accept: Callable[[dict[str, str]], T], *, is_terminal: bool) -> T:
    """Let the user write a sheet in their editor, and return what `accept` makes of its values, all of them checked.

    The rest is as for `edit`: what `accept` raises keeps the file, too.

    Raises:
        AgentTrackerError: As from `edit`.
        UsageError: As from `edit` and from `Sheet.read`.
    """
    return edit(sheet.text, env, lambda text: accept(sheet.read(text)), is_terminal=is_terminal, instead=sheet.instead)


def edit(template: str, env: Mapping[str, str], accept: Callable[[str], T], *, is_terminal: bool, instead: str) -> T:
    """Let the user change a text in their editor, and return what `accept` makes of it.

    The editor is `VISUAL`'s, else `EDITOR`'s, else vi, run as git runs it: by a shell where it is more than one word.
    `core.editor` is not asked, for a repository may set it.

    Args:
        template: What the file holds at first.
        env: The environment in which the editor is run; `TMPDIR` says where the file's private directory is made.
        accept: Takes the text as it was left; the file is deleted once it has returned.
        is_terminal: Whether a person can use vi here.
        instead: What to do where there is no editor, for the hint.

    Raises:
        UsageError: There is no editor and no terminal, or the text is too long or not UTF-8.
        AgentTrackerError: The editor failed, nothing was written, or `accept` raised it. The hint names the file where
            something was written.

    Source: git's editor.c, and prepare_shell_cmd in run-command.c.
    """
    editor = _find_editor(env, is_terminal=is_terminal, instead=instead)
    path = _create(template, env.get("TMPDIR", ""))
    try:
        _run_editor(editor, path, env)
        result = accept(_read(path, template))
    except BaseException as error:
        kept = "" if isinstance(error, _NothingWrittenError) else _find_written(path, template)
        if kept:
            _name_kept(error, kept)
        else:
            _delete(path)
        raise
    _delete(path)
    return result


def _name_kept(error: BaseException, path: str) -> None:
    words = f"what was written is kept in {escape(path)}"
    if isinstance(error, AgentTrackerError):
        error.hint = f"{error.hint}; {words}" if error.hint else words
    else:
        error.add_note(words)


def _find_editor(env: Mapping[str, str], *, is_terminal: bool, instead: str) -> str:
    editor = env.get("VISUAL", "").strip() or env.get("EDITOR", "").strip()
    if editor:
        return editor
    if not is_terminal or env.get("TERM") == "dumb":
        raise UsageError("no editor: this is no terminal for one, and neither VISUAL nor EDITOR is set", instead)
    return "vi"


def _create(template: str, parent: str) -> str:
    import tempfile  # noqa: PLC0415 -- needed with an editor only

    try:
        path = os.path.join(tempfile.mkdtemp(prefix="agent-tracker-", dir=parent or None), "text.md")
        path = os.path.abspath(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_encoded(template))
    except OSError as error:
        raise AgentTrackerError(f"cannot write a file for the editor: {error}", "set TMPDIR to a directory") from error
    return path


def _encoded(text: str) -> bytes:
    """Lone surrogates are kept: nothing else that is no UTF-8 is read back."""
    return text.encode("utf-8", "surrogatepass")


def _run_editor(editor: str, path: str, env: Mapping[str, str]) -> None:
    import subprocess  # noqa: PLC0415 -- needed with an editor only

    by_shell = not _SHELL_CHARACTERS.isdisjoint(editor)
    # A signal that is trapped is the default again in what the shell runs: it waits for the editor, whatever comes.
    argv = ["sh", "-c", f'trap : INT QUIT\n{editor} "$@"', editor, path] if by_shell else [editor, path]
    shown = _shown(editor)
    try:
        with _undisturbed():
            code = subprocess.run(argv, env=dict(env), check=False).returncode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AgentTrackerError(f"cannot run the editor {shown}: {reason}", "set EDITOR to one that is here") from error
    if by_shell and code in _NOT_FOUND:
        raise AgentTrackerError(f"cannot run the editor {shown}: code {code}", "set EDITOR to one that is here")
    signalled = -code if code < 0 else code - _KILLED if by_shell and code > _KILLED else 0
    if code:
        how = f"was killed by signal {signalled}" if signalled else f"ended with code {code}"
        raise AgentTrackerError(f"the editor {shown} {how}: nothing recorded", "try again, or set EDITOR to another")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave SIGINT and SIGQUIT to the editor, as git does: it starts with them as they were."""
    before = {}
    for name in ("SIGINT", "SIGQUIT"):
        number = getattr(signal, name, None)
        # Only the main thread may; a signal that is ignored stays so.
        with suppress(ValueError):
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _read(path: str, template: str) -> str:
    if not os.path.lexists(path):
        raise AgentTrackerError(f"the editor deleted {escape(path)}: nothing recorded", "save the file there")
    if _find_written(path, template) != path:
        hint = "an editor that returns at once must be told to wait, as in EDITOR='code --wait'"
        raise AgentTrackerError("nothing written, aborted", hint)
    content = read_bytes(path, MAX_INPUT_BYTES + 1)
    if not content:
        raise AgentTrackerError("cannot read what the editor wrote", "make it a file that you may read")
    if len(content) > MAX_INPUT_BYTES:
        raise UsageError(f"the text has more than {MAX_INPUT_BYTES:,} bytes", "shorten it")
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"the text is not UTF-8 at byte {error.start}, in line {line}", "save it as UTF-8") from error


def _find_written(path: str, template: str) -> str:
    """Return the file where it holds what was not there before, else its directory where anything else was put there.

    An editor that was killed, or that still runs, leaves a copy beside the file, each under a name of its own.
    """
    content = read_bytes(path, MAX_INPUT_BYTES + 1)
    with suppress(OSError):
        if _plain(content) not in {b"", _plain(_encoded(template))} or (not content and os.lstat(path).st_size):
            return path
    directory, name = os.path.split(path)
    with suppress(OSError):
        return directory if set(os.listdir(directory)) - {name} else ""
    return ""


def _plain(content: bytes) -> bytes:
    """Return a text without what an editor changes by saving it."""
    return content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").strip()


def _delete(path: str) -> None:
    import shutil  # noqa: PLC0415 -- needed with an editor only

    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
