"""JSON with comments, changed in its text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.jsonc import append_at, parse, remove_at
from facts import UNHURRIED

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PATH = ["hooks", "Stop"]
ELEMENT = {"hooks": [{"command": "x"}]}

COMMENTED = """\
{
\t// why this
\t"a": 1, /* and that */
\t"hooks": {
\t\t"Stop": [
\t\t\t{"command": "mine"}, // last
\t\t],
\t},
}
"""


@UNHURRIED
@given(VALUES, st.sampled_from([None, 1, 4, "\t"]))
def test_any_json_is_read_as_json_reads_it(value: object, indent: int | str | None) -> None:
    """What the standard library writes is read as the same value."""
    assert parse(json.dumps(value, indent=indent)).value == value


@UNHURRIED
@given(
    st.dictionaries(st.text(), VALUES, max_size=3), st.sampled_from([None, 2, "\t"]), st.sampled_from(["\n", "\r\n"])
)
def test_what_was_put_in_comes_out_to_the_byte(
    value: dict[str, object], indent: int | str | None, newline: str
) -> None:
    """The text with an element holds all that was there and it, and the text without it is the one before."""
    value.pop("hooks", None)
    text = json.dumps(value, indent=indent).replace("\n", newline)
    change = append_at(text, PATH, ELEMENT)
    assert parse(change.text).value == value | {"hooks": {"Stop": [ELEMENT]}}
    at = change.text.rindex(change.inserted)
    assert change.text[:at] + change.text[at + len(change.inserted) :] == text


@pytest.mark.parametrize(
    "text",
    ["", " \n", "{}", "{\n}\n", '{"a":1}', COMMENTED, '{"hooks": {}}', '{"hooks": {"Stop": []}}', "\ufeff{}\r\n"],
    ids=["nothing", "blank", "empty", "two lines", "one line", "comments", "no event", "no hook", "mark and CRLF"],
)
def test_an_element_is_put_in_behind_what_is_there(text: str) -> None:
    """What was there stays, byte for byte, around what was put in."""
    change = append_at(text, PATH, ELEMENT)
    before = parse(text).value if text.strip("\ufeff \n") else {}
    assert isinstance(before, dict)
    stop = [*before.get("hooks", {}).get("Stop", []), ELEMENT]
    assert parse(change.text).value == before | {"hooks": {"Stop": stop}}
    assert change.text.replace(change.inserted, "", 1) == text


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (["a"], {"b": [1, 2, 3]}),
        (["b"], {"a": 1}),
        (["b", 0], {"a": 1, "b": [2, 3]}),
        (["b", 1], {"a": 1, "b": [1, 3]}),
        (["b", 2], {"a": 1, "b": [1, 2]}),
    ],
    ids=["first name", "last name", "first", "middle", "last"],
)
@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "lines"])
@pytest.mark.parametrize("tail", ["", ","], ids=["plain", "comma"])
def test_a_value_is_taken_out_with_its_comma(
    path: list[str | int], left: object, indent: int | None, tail: str
) -> None:
    """What is left is valid and all that was there besides."""
    text = json.dumps({"a": 1, "b": [1, 2, 3]}, indent=indent)
    text = text[:-1].rstrip() + tail + "\n}"
    assert parse(remove_at(text, path)).value == left


def test_comments_stay_where_a_value_is_taken_out() -> None:
    """A comment around what goes stays."""
    text = remove_at(COMMENTED, ["hooks", "Stop", 0])
    assert "// why this" in text
    assert "/* and that */" in text
    assert parse(text).value == {"a": 1, "hooks": {"Stop": []}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ('{\n "a": 1\n "b": 2\n}', 3),
        ('{"a" 1}', 1),
        ("{1: 2}", 1),
        ("[1,\n2\n", 3),
        ("{} {}", 1),
        ("nothing", 1),
        ('{"a": "x}', 1),
        ("{ /* }", 1),
        ("[" * 5000, 1),
    ],
    ids=["open", "comma", "colon", "name", "list", "more", "word", "string", "comment", "deep"],
)
def test_what_is_not_valid_is_said_with_its_line(text: str, line: int) -> None:
    """The error names the line, so that a person finds it."""
    with pytest.raises(ValueError, match=f"line {line}:"):
        parse(text)


@pytest.mark.parametrize("text", ["[]", '{"hooks": []}', '{"hooks": {"Stop": {}}}'], ids=["root", "hooks", "event"])
def test_something_else_on_the_way_is_refused(text: str) -> None:
    """Nothing is written over."""
    with pytest.raises(ValueError, match="where one belongs"):
        append_at(text, PATH, ELEMENT)
