"""Words from standard input and from an editor: every character kept, every mistake one line, nothing lost."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_tracker.errors import AgentTrackerError, UsageError
from agent_tracker.journal import MAX_NOTE, MAX_WORD
from agent_tracker.verbs.writing import (
    MAX_INPUT_BYTES,
    Field,
    Sheet,
    check_text,
    edit,
    edit_fields,
    read_document,
    read_input,
)
from facts import listed
from test_layers import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FIELDS = {
    "task": Field("what was to be done", MAX_WORD, is_required=True),
    "agent_note": Field("what the agent says"),
    "user_note": Field("what the user says"),
}
NONE = dict.fromkeys(FIELDS, "")
ODD = "nul \0 esc \x1b[31m vt \x0b nel \x85 ls \u2028 cr \r lone \ud800 \udcff # > é 🦀"
ANY = st.text(st.characters(), max_size=40)
"""Every character, lone surrogates included."""


def refused(call: Callable[[], object], kind: type[AgentTrackerError] = UsageError) -> AgentTrackerError:
    """Return the error of a call that has to fail, in one line and with a hint in another."""
    with pytest.raises(AgentTrackerError) as caught:
        call()
    assert isinstance(caught.value, UsageError) == (kind is UsageError), repr(caught.value)
    assert caught.value.message.isprintable()
    assert caught.value.hint.isprintable()
    assert caught.value.hint
    return caught.value


# -- one text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [ODD, "", " ", "x" * MAX_WORD, "\0" * MAX_WORD])
def test_a_text_is_kept_as_it_is(value: str) -> None:
    """Nothing is cut, replaced or stripped."""
    assert check_text("note", value, MAX_WORD) == value


@pytest.mark.parametrize(("limit", "length"), [(MAX_WORD, MAX_WORD + 1), (MAX_NOTE, 1_000_000)])
def test_a_text_that_is_too_long_is_told_the_limit(limit: int, length: int) -> None:
    """Both numbers are named, and the text is not."""
    error = refused(lambda: check_text("note", "é" * length, limit))
    assert error.message == f"note has {length:,} characters, and may have {limit:,}"


@pytest.mark.parametrize("value", ["", " ", "\n\t\r "])
def test_a_text_that_is_needed_is_more_than_blanks(value: str) -> None:
    """Emptiness is allowed where the field says so."""
    assert refused(lambda: check_text("task", value, MAX_WORD, is_required=True)).message == "task must not be empty"


# -- standard input ----------------------------------------------------------------------------------------------------


@given(values=st.fixed_dictionaries(dict.fromkeys(FIELDS, ANY)), indent=st.none() | st.integers(0, 3))
def test_what_json_says_is_read(values: dict[str, str], indent: int | None) -> None:
    """Every character comes through, escaped or not, in any layout."""
    values["task"] += "x"
    assert read_document(json.dumps(values, indent=indent), FIELDS) == values
    assert read_document(f"\n {json.dumps(values, ensure_ascii=False)}\t\r\n", FIELDS) == values


def test_what_is_not_given_is_empty() -> None:
    """Only what is needed has to be there."""
    assert read_document('{"task": "x"}', FIELDS) == {**NONE, "task": "x"}


JSON_MISTAKES = {
    "empty": ("", "standard input is empty at line 1, column 1"),
    "blank": (" \n\n ", "standard input is empty at line 3, column 2"),
    "no-json": ("task: x", "standard input is not JSON at line 1, column 1: Expecting value"),
    "torn": ('{\n  "task": "x",\n  "agent', "line 3, column 3: Unterminated string"),
    "no-comma": ('{"task": "x"\n "agent_note": "y"}', "line 2, column 2: Expecting ',' delimiter"),
    "two": ('{"task": "x"}\n{"task": "y"}', "line 2, column 1: Extra data"),
    "newline-in-string": ('{"task": "x\ny"}', "line 1, column 12: Invalid control character"),
    "escape": ('{"task":\n "\\q"}', "line 2, column 3: Invalid \\escape"),
    "single-quotes": ("{'task': 'x'}", "line 1, column 2"),
    "bom": ('\ufeff{"task": "x"}', "line 1, column 1: a byte order mark"),
    "list": ('\n ["task"]', "standard input is a list at line 2, column 2, not an object"),
    "text": ('"task"', "standard input is a text at line 1, column 1, not an object"),
    "nan": ("NaN", "standard input is NaN at line 1, column 1, not an object"),
    "null": ("null", "standard input is null at line 1, column 1, not an object"),
    "unknown": ('{"task": "x",\n\n  "nots": "y"}', "unknown key nots at line 3, column 3"),
    "unknown-odd": ('{"a\\u001b\\n\\ud800": ""}', "unknown key a\\x1b\\n\\ud800 at line 1, column 2"),
    "unknown-long": ('{"' + "k" * 100_000 + '": ""}', f"unknown key {'k' * 60}... at line 1, column 2"),
    "twice": ('{"task": "x",\n "task": "x"}', "task stands there for a second time at line 2, column 2"),
    "twice-escaped": ('{"task": "x", "t\\u0061sk": "x"}', "task stands there for a second time at line 1, column 15"),
    "number": ('{"task": 7}', "task is a number at line 1, column 2"),
    "long-number": ('{"task": ' + "7" * 10_000 + "}", "task is a number at line 1, column 2"),
    "nan-value": ('{"task": -Infinity}', "task is -Infinity at line 1, column 2"),
    "null-value": ('{"task": null}', "task is null at line 1, column 2"),
    "true-value": ('{"task": true}', "task is true at line 1, column 2"),
    "list-value": ('{"task": ["NaN", NaN]}', "task is a list at line 1, column 2"),
    "object-value": ('{"task": {"task": "x"}}', "task is an object at line 1, column 2"),
    "deep": ("[" * 200_000, "standard input is nested too deeply from line 1, column 1 on"),
    "deep-value": ('\n{"task": ' + '{"a": ' * 200_000, "standard input is nested too deeply from line 2, column 1 on"),
    "missing": ('{"agent_note": "x"}', "task must not be empty"),
    "blank-value": ('{"task": " \\n"}', "task must not be empty"),
    "long": (
        json.dumps({"task": "x", "user_note": "y" * 20_001}),
        "user_note has 20,001 characters, and may have 20,000",
    ),
}


@pytest.mark.parametrize(("text", "message"), JSON_MISTAKES.values(), ids=JSON_MISTAKES)
def test_a_mistake_in_json_is_told_in_one_line(text: str, message: str) -> None:
    """The line says what is wrong and where; it is the command line's user who can mend it."""
    assert message in refused(lambda: read_document(text, FIELDS)).message


def test_an_unknown_key_is_told_the_known_ones() -> None:
    """Nobody has to look them up."""
    assert refused(lambda: read_document('{"x": ""}', FIELDS)).hint == "the keys are task, agent_note, user_note"


@given(
    text=st.text()
    | st.recursive(st.none() | st.floats() | ANY, lambda c: st.lists(c) | st.dictionaries(ANY, c)).map(json.dumps)
)
@example('{"task": "x"')
@example('{"task": "x",}')
@example("{,}")
@example("{}")
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    """What the standard library calls JSON is never called anything else, and its errors keep their places."""
    place = ""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        document, place = None, f"line {error.lineno}, column {error.colno}"
    if isinstance(document, dict) and document.keys() <= FIELDS.keys() and document.get("task"):
        return
    message = refused(lambda: read_document(text, FIELDS)).message
    assert place in message or not text.strip()
    assert ("not JSON" in message) == bool(place and text.strip(" \t\r\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"task": "\xff"}', "standard input is not UTF-8 at byte 10"),
        (b"\xff\xfe{\0", "standard input is not UTF-8 at byte 0"),
        (b"\xed\xa0\x80", "standard input is not UTF-8 at byte 0"),
        (b"x" * (MAX_INPUT_BYTES + 1), f"standard input holds more than {MAX_INPUT_BYTES:,} bytes"),
    ],
    ids=["latin-1", "utf-16", "surrogate", "too-long"],
)
def test_input_that_is_no_text_is_refused(content: bytes, message: str) -> None:
    """It says at which byte, or what the limit is."""
    assert refused(lambda: read_input(io.BytesIO(content))).message == message


@pytest.mark.parametrize("content", [b"", "é\0\r\n".encode(), b"x" * MAX_INPUT_BYTES], ids=["empty", "odd", "full"])
def test_input_is_read_as_it_is(content: bytes) -> None:
    """Up to the limit, and its ends of lines too."""
    assert read_input(io.BytesIO(content)) == content.decode()


def test_no_input_at_all_is_empty() -> None:
    """A process may be started with its standard input closed."""
    assert read_input(None) == ""


@pytest.mark.parametrize("buffering", [-1, 0], ids=["buffered", "raw"])
def test_input_without_an_end_is_not_read_to_it(buffering: int) -> None:
    """A writer that never stops is left after the limit, whatever the size of its writes."""
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE, bufsize=buffering) as process:
        assert process.stdout
        assert "more than" in refused(lambda: read_input(process.stdout)).message  # type: ignore[arg-type]
        process.kill()


def test_input_that_cannot_be_read_is_told_why(tmp_path: Path) -> None:
    """A file may be given that is open for writing alone."""
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with os.fdopen(descriptor, "rb") as stream:
        assert refused(lambda: read_input(stream)).message == "cannot read standard input: Bad file descriptor"


# -- the sheet ---------------------------------------------------------------------------------------------------------


def test_a_sheet_explains_itself() -> None:
    """Every field is named with its limit, and what is needed is said to be."""
    text = Sheet("Retrospective of 1a2b3c", FIELDS, {}).text
    assert "# Retrospective of 1a2b3c" in text
    assert "#   task: what was to be done (needed, at most 200 characters)" in text
    assert "#   user_note: what the user says (at most 20,000 characters)" in text


def without_blank_lines(text: str) -> str:
    """Return a text without the blank lines before and after it."""
    lines = text.split("\n")
    while lines and not lines[0].strip(" \t\r"):
        lines.pop(0)
    while lines and not lines[-1].strip(" \t\r"):
        lines.pop()
    return "\n".join(lines)


SCISSORS = "---------------- >8 ----------------"
TEXT = st.lists(ANY | st.sampled_from([f"{SCISSORS} task", f"-{SCISSORS}- user_note", SCISSORS, "# x", ""])).map(
    "\n".join
)


@given(values=st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT)))
def test_what_stands_in_a_sheet_is_read_back(values: dict[str, str]) -> None:
    """Whatever a text holds, headings and comments of other sheets included, is text."""
    values["task"] = values["task"][:100] + "x"
    sheet = Sheet("title\n", FIELDS, values)
    expected = {name: without_blank_lines(value) for name, value in values.items()}
    assert sheet.read(sheet.text) == expected
    assert sheet.read("\ufeff" + sheet.text.rstrip("\n")) == expected


@given(values=st.fixed_dictionaries({name: TEXT.map(lambda text: text.replace("\r", "")) for name in FIELDS}))
def test_an_editors_crlf_is_not_the_texts(values: dict[str, str]) -> None:
    """Ends of lines are what they were in the sheet."""
    values["task"] = values["task"][:100] + "x"
    sheet = Sheet("title", FIELDS, values)
    assert sheet.read(sheet.text.replace("\n", "\r\n")) == sheet.read(sheet.text)


def filled(sheet: Sheet, values: Mapping[str, str]) -> str:
    """Return a sheet in which somebody wrote below each heading."""
    text = sheet.text
    for name, value in values.items():
        text = text.replace(f"8 {SCISSORS[-16:]} {name}\n", f"8 {SCISSORS[-16:]} {name} \n{value}\n")
    return text


def test_markdown_is_kept() -> None:
    """A line with `#` is a heading of the user's, and indented code stays indented."""
    note = "# Heading\n\n    code\n#hash\n---"
    sheet = Sheet("title", FIELDS, {})
    assert sheet.read(filled(sheet, {"task": "x", "user_note": note})) == {**NONE, "task": "x", "user_note": note}


SHEET_MISTAKES: dict[str, tuple[Callable[[str], str], str]] = {
    "above": (lambda text: "mine\n" + text, "line 1 stands above the first heading"),
    "heading-gone": (lambda text: text.replace(f"{SCISSORS} user_note", ""), "the heading of user_note is gone"),
    "heading-twice": (lambda text: text + f"{SCISSORS} task\n", "the heading of task stands in lines 10 and 21"),
    "all-gone": (lambda _: "mine", "the heading of task is gone"),
    "too-long": (lambda text: text.replace("words", "w" * 201), "task has 201 characters, and may have 200"),
    "needed": (lambda text: text.replace("words", "").replace("note\n", "note\nx\n"), "task must not be empty"),
}


@pytest.mark.parametrize(("change", "message"), SHEET_MISTAKES.values(), ids=SHEET_MISTAKES)
def test_a_sheet_that_is_ambiguous_is_refused(change: Callable[[str], str], message: str) -> None:
    """A text is never taken for another field's."""
    sheet = Sheet("title", FIELDS, {"task": "words"})
    assert message in refused(lambda: sheet.read(change(sheet.text))).message


def test_a_sheet_without_words_is_none() -> None:
    """Blanks in every section are nothing."""
    sheet = Sheet("title", FIELDS, {})
    error = refused(lambda: sheet.read(sheet.text + " \n\t\n"), AgentTrackerError)
    assert error.message == "nothing written, aborted"


# -- the editor --------------------------------------------------------------------------------------------------------

TEMPLATE = "# template\n\n"


class Desk:
    """A place for editors and their files."""

    def __init__(self, path: Path) -> None:
        self.temporary = path / "temporary"
        self.temporary.mkdir()
        self.bin = path / "a bin"
        self.bin.mkdir()
        self.env = {"PATH": os.environ["PATH"], "TMPDIR": str(self.temporary)}

    def editor(self, script: str, name: str = "ed") -> str:
        """Write an editor, a shell script whose last argument is the file, and return its path in quotes."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return f"'{path}'"

    def plain_editor(self, script: str) -> str:
        """Write an editor whose path has no character for which a shell would be asked."""
        path = self.temporary.parent / "ed"
        shutil.move(self.bin / self.editor(script).strip("'"), path)
        return str(path)

    def edit(self, script: str, accept: Callable[[str], Any] = str, *, template: str = TEMPLATE) -> Any:  # noqa: ANN401 -- what `accept` makes
        """Edit with a new editor."""
        env = {**self.env, "EDITOR": self.editor(script)}
        return edit(template, env, accept, is_terminal=False, instead="give --note")

    def kept(self, error: AgentTrackerError) -> Path:
        """Return the one file or directory that was kept, which the hint names."""
        path = Path(error.hint.rpartition("what was written is kept in ")[2])
        assert path.is_relative_to(self.temporary), error.hint
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk of its own."""
    return Desk(tmp_path)


def test_what_was_written_is_returned_and_its_file_deleted(desk: Desk) -> None:
    """The editor meets the template, in a file that nobody else may read, and leaves nothing behind."""
    modes = 'stat -c %a "$1" "$(dirname "$1")"'
    found = desk.edit(f'{modes} >>"$1"; echo "$1" >>"$1"; : >"$1~"')
    assert found.startswith(f"{TEMPLATE}600\n700\n{desk.temporary}/agent-tracker-")
    assert found.endswith("/text.md\n")
    assert listed(desk.temporary) == []


@pytest.mark.parametrize("variables", [("VISUAL",), ("EDITOR",), ("VISUAL", "EDITOR")], ids="-".join)
def test_visual_goes_before_editor(desk: Desk, variables: tuple[str, ...]) -> None:
    """As for git."""
    env = desk.env | {name: desk.editor(f'echo {name} >"$1"', name) for name in variables}
    env = {"VISUAL": " ", "EDITOR": ""} | env
    assert edit(TEMPLATE, env, str, is_terminal=True, instead="-").strip() == variables[0]


def test_vi_is_the_last_resort(desk: Desk) -> None:
    """Where nothing is set and there is a terminal."""
    desk.editor('echo vi >"$1"', "vi")
    env = desk.env | {"PATH": f"{desk.bin}:{os.environ['PATH']}", "TERM": "xterm"}
    assert edit(TEMPLATE, env, str, is_terminal=True, instead="-") == "vi\n"


@pytest.mark.parametrize(("term", "is_terminal"), [("xterm", False), ("dumb", True)], ids=["pipe", "dumb"])
def test_without_a_terminal_it_is_said_what_to_give(desk: Desk, term: str, *, is_terminal: bool) -> None:
    """No vi is started that nobody can leave."""
    sheet = Sheet("title", FIELDS, {})
    error = refused(lambda: edit_fields(sheet, desk.env | {"TERM": term}, str, is_terminal=is_terminal))
    assert "neither VISUAL nor EDITOR is set" in error.message
    assert error.hint == "give --task, --agent-note, --user-note, or a JSON object on standard input"
    assert listed(desk.temporary) == []


WORDS = {
    "none": ("{}", "1"),
    "word": ("{} --wait", "2"),
    "quoted": ("{} -c 'two words'", "3"),
    "newline": ("{}\n", "1"),
    "list": ("A=1; B=2 {}", "1"),
}


@pytest.mark.parametrize(("words", "count"), WORDS.values(), ids=WORDS)
def test_an_editor_may_have_words(desk: Desk, words: str, count: str) -> None:
    """A shell reads them, as for git; a list ends with the last command, which gets the file."""
    desk.env["EDITOR"] = words.format(desk.editor('for last; do :; done; echo "$#" >"$last"'))
    assert edit(TEMPLATE, desk.env, str, is_terminal=False, instead="-") == f"{count}\n"


def test_the_words_of_core_editor_are_not_run(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository's configuration runs nothing."""
    subprocess.run(["git", "init", "--quiet", tmp_path / "repo"], check=True)
    subprocess.run(["git", "-C", tmp_path / "repo", "config", "core.editor", f"touch {tmp_path}/ran"], check=True)
    monkeypatch.chdir(tmp_path / "repo")
    refused(lambda: edit(TEMPLATE, desk.env, str, is_terminal=False, instead="give --note"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "editor", ["no-such-editor", "/no/such/editor", "no-such-editor --wait", "/", "\x1b[31m", "a\0b"]
)
def test_an_editor_that_is_not_there_is_named(desk: Desk, editor: str) -> None:
    """With a way to have another."""
    env = desk.env | {"EDITOR": editor}
    error = refused(lambda: edit(TEMPLATE, env, str, is_terminal=False, instead="-"), AgentTrackerError)
    assert error.message.startswith("cannot run the editor ")
    assert error.hint == "set EDITOR to one that is here"
    assert listed(desk.temporary) == []


FAILURES = {
    "code": ("exit 3", "ended with code 3: nothing recorded"),
    "SIGKILL": ("kill -KILL $$", "was killed by signal 9: nothing recorded"),
    "SIGTERM": ("kill -TERM $$", "was killed by signal 15: nothing recorded"),
}


@pytest.mark.parametrize("words", [False, True], ids=["direct", "shell"])
@pytest.mark.parametrize(("script", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failing_editors_text_is_kept(desk: Desk, script: str, message: str, *, words: bool) -> None:
    """The error says how it ended, the hint where the text is."""
    script = f'echo mine >>"$1"; {script}'
    env = desk.env | {"EDITOR": desk.editor(script) if words else desk.plain_editor(script)}
    error = refused(lambda: edit(TEMPLATE, env, str, is_terminal=False, instead="-"), AgentTrackerError)
    assert error.message.endswith(message)
    assert desk.kept(error).read_text() == f"{TEMPLATE}mine\n"
    assert stat.S_IMODE(desk.kept(error).stat().st_mode) == 0o600


def test_a_failing_editors_copy_is_kept(desk: Desk) -> None:
    """One that was killed before it saved may have left a file of its own beside ours."""
    error = refused(lambda: desk.edit('echo mine >"$(dirname "$1")/.text.md.swp"; kill -KILL $$'), AgentTrackerError)
    assert (desk.kept(error) / ".text.md.swp").read_text() == "mine\n"


NOTHING = {
    "untouched": "",
    "touched": 'touch "$1"',
    "saved-as-crlf": 'sed -i "s/$/\\r/" "$1"',
    "end-of-file": 'echo >>"$1"',
    "emptied": ': >"$1"',
    "blank": 'printf " \\n\\r\\n" >"$1"',
}


@pytest.mark.parametrize("script", NOTHING.values(), ids=NOTHING)
def test_nothing_written_is_nothing_recorded(desk: Desk, script: str) -> None:
    """A text that was left as it was, or empty, aborts; there is nothing to keep."""
    error = refused(lambda: desk.edit(script, pytest.fail), AgentTrackerError)
    assert error.message == "nothing written, aborted"
    assert "EDITOR='code --wait'" in error.hint
    assert listed(desk.temporary) == []


def test_a_failing_editor_that_wrote_nothing_leaves_nothing(desk: Desk) -> None:
    """To leave with a failure is how a person calls it off."""
    error = refused(lambda: desk.edit("exit 1", pytest.fail), AgentTrackerError)
    assert error.message.endswith("ended with code 1: nothing recorded")
    assert listed(desk.temporary) == []


def test_a_deleted_file_is_told(desk: Desk) -> None:
    """Nothing is recorded, and nothing is left."""
    error = refused(lambda: desk.edit('rm "$1"', pytest.fail), AgentTrackerError)
    assert error.message.startswith(f"the editor deleted {desk.temporary}/")
    assert listed(desk.temporary) == []


def test_a_file_that_was_renamed_over_ours_is_read(desk: Desk) -> None:
    """Editors save so."""
    assert desk.edit('echo mine >"$1.new"; mv "$1.new" "$1"') == "mine\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('printf "a\\nb\\377" >"$1"', "the text is not UTF-8 at byte 3, in line 2"),
        ('yes | head -c 3000000 >"$1"', f"the text has more than {MAX_INPUT_BYTES:,} bytes"),
    ],
    ids=["latin-1", "too-long"],
)
def test_a_file_that_is_no_text_is_kept(desk: Desk, script: str, message: str) -> None:
    """It can be mended."""
    error = refused(lambda: desk.edit(script, pytest.fail))
    assert error.message == message
    assert desk.kept(error).stat().st_size > 3


@pytest.mark.parametrize("script", ['rm "$1"; mkdir "$1"', 'rm "$1"; mkfifo "$1"', 'rm "$1"; ln -s /dev/zero "$1"'])
def test_something_else_in_its_place_is_not_read(desk: Desk, script: str) -> None:
    """No pipe is waited for, and no device read."""
    with pytest.raises(AgentTrackerError, match=r"cannot read|nothing written"):
        desk.edit(script, pytest.fail)


def test_a_refused_text_is_kept(desk: Desk) -> None:
    """Whatever is wrong with it is found after it was written; its own hint stays."""

    def refuse(_: str) -> None:
        raise UsageError("too long", "shorten it")

    error = refused(lambda: desk.edit('echo mine >"$1"', refuse))
    assert error.message == "too long"
    assert error.hint.startswith("shorten it; ")
    assert desk.kept(error).read_text() == "mine\n"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_a_text_outlives_any_other_error(desk: Desk, kind: type[BaseException]) -> None:
    """The note at the error says where it is."""

    def fail(_: str) -> None:
        raise kind

    with pytest.raises(kind) as caught:
        desk.edit('echo mine >"$1"', fail)
    (note,) = caught.value.__notes__
    assert Path(note.removeprefix("what was written is kept in ")).read_text() == "mine\n"


@pytest.fixture
def with_interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as on the command line, even where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("with_interrupts")
@pytest.mark.parametrize("words", [False, True], ids=["direct", "shell"])
def test_ctrl_c_is_the_editors(desk: Desk, *, words: bool) -> None:
    """It reaches everybody: the editor may go on, and so it is awaited, by its shell and by us."""
    script = 'kill -INT $PPID; sleep 0.1; echo mine >"$1"'
    env = desk.env | {"EDITOR": desk.editor(script) if words else desk.plain_editor(script)}
    assert edit(TEMPLATE, env, str, is_terminal=False, instead="-") == "mine\n"


@pytest.mark.usefixtures("with_interrupts")
@pytest.mark.parametrize("words", [False, True], ids=["direct", "shell"])
def test_ctrl_c_ends_an_editor_that_wants_it(desk: Desk, *, words: bool) -> None:
    """It is started with the signal as it is by default."""
    env = desk.env | {"EDITOR": desk.editor("kill -INT $$") if words else desk.plain_editor("kill -INT $$")}
    with pytest.raises(AgentTrackerError, match="was killed by signal 2: nothing recorded"):
        edit(TEMPLATE, env, str, is_terminal=False, instead="-")


def test_a_place_that_cannot_be_written_is_told(desk: Desk) -> None:
    """Before any editor runs."""
    desk.env["TMPDIR"] = str(desk.temporary / "gone")
    error = refused(lambda: desk.edit(f"touch {desk.temporary}/ran"), AgentTrackerError)
    assert error.message.startswith("cannot write a file for the editor: ")
    assert listed(desk.temporary) == []


@pytest.mark.parametrize("values", [{"task": "x", "agent_note": "# a\n\n  b", "user_note": ODD}, {"task": ODD}])
def test_fields_come_through_an_editor(desk: Desk, values: dict[str, str]) -> None:
    """What was put below the headings is what is accepted, and what the caller makes of it is returned."""
    sheet = Sheet("title", FIELDS, {})
    source = desk.bin / "source"
    source.write_bytes(filled(sheet, values).encode("utf-8", "surrogatepass"))
    env = desk.env | {"EDITOR": desk.editor(f"cp '{source}' \"$1\"")}
    assert edit_fields(sheet, env, lambda found: [found], is_terminal=False) == [NONE | values]
    assert listed(desk.temporary) == []


def test_emptied_sections_are_nothing_to_keep(desk: Desk) -> None:
    """A person who takes their words out again wants none of it."""
    sheet = Sheet("title", FIELDS, {"task": "words"})
    env = desk.env | {"EDITOR": desk.editor('sed -i /words/d "$1"')}
    error = refused(lambda: edit_fields(sheet, env, str, is_terminal=False), AgentTrackerError)
    assert error.message == "nothing written, aborted"
    assert listed(desk.temporary) == []


def test_a_broken_sheet_is_kept(desk: Desk) -> None:
    """The person reads what is wrong, and where their words are."""
    sheet = Sheet("title", FIELDS, {})
    env = desk.env | {"EDITOR": desk.editor('echo mine >"$1"')}
    error = refused(lambda: edit_fields(sheet, env, str, is_terminal=False))
    assert error.message == "the heading of task is gone"
    assert desk.kept(error).read_text() == "mine\n"


@pytest.mark.skipif(shutil.which("vim") is None, reason="no vim")
def test_vim_saves_what_is_read(desk: Desk) -> None:
    """A real editor, with its own ideas of the end of a file."""
    sheet = Sheet("title", FIELDS, {})
    env = desk.env | {"EDITOR": "vim -Nu NONE -es -c '/8.*task$/put =\\\"mine\\\"' -c wq", "TERM": "dumb"}
    assert edit_fields(sheet, env, lambda found: found["task"], is_terminal=False) == "mine"
    assert listed(desk.temporary) == []


def test_words_given_as_options_load_nothing_heavy() -> None:
    """JSON, a temporary file and a process are paid for by who uses them."""
    assert not loaded("import agent_tracker.verbs.writing") & {"json", "subprocess", "tempfile", "shutil", "random"}
