"""The words for a grade, as they are typed."""

from __future__ import annotations

import pytest

from agent_tracker.errors import UsageError
from agent_tracker.grades import parse_grade
from agent_tracker.journal import GRADES


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        *((grade, grade) for grade in GRADES),
        *((grade[:1], grade) for grade in GRADES),
        ("exc", "excellence"),
        ("Excellence", "excellence"),
        ("  GOOD\n", "good"),
        ("-1", "bad"),
        ("\N{MINUS SIGN}1", "bad"),
        ("1", "neutral"),
        ("+1", "neutral"),
        ("2", "good"),
        ("+2", "good"),
        ("5", "excellence"),
        ("+5", "excellence"),
    ],
)
def test_a_grade_is_a_word_its_beginning_or_its_number(text: str, grade: str) -> None:
    """Words, prefixes and numbers are understood, whatever their capitals and signs."""
    assert parse_grade(text) == grade


@pytest.mark.parametrize(
    "text", ["", " ", "0", "-5", "+-1", "--1", "excellent", "goodish", "gb", "x" * 1000, "\x1b[2J"]
)
def test_what_is_no_grade_is_refused_with_the_four(text: str) -> None:
    """An error is one line without anything a terminal acts on, and its hint names all four grades."""
    with pytest.raises(UsageError) as refused:
        parse_grade(text)
    assert refused.value.message.startswith("unknown grade '")
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 100
    for grade in GRADES:
        assert grade in refused.value.hint


def test_the_hint_says_the_numbers() -> None:
    """Each grade's number stands beside it, with its sign."""
    with pytest.raises(UsageError) as refused:
        parse_grade("splendid")
    assert refused.value.hint == "a grade is one of bad (-1), neutral (+1), good (+2), excellence (+5)"
