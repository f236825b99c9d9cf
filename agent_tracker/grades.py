"""The words for a grade, as a person or an agent types them.

Owns reading them. Pure.
"""

from __future__ import annotations

from agent_tracker.errors import UsageError
from agent_tracker.escaping import escape
from agent_tracker.journal import GRADES
from agent_tracker.rules import DEFAULT_RULES, grade_value

__all__ = ["parse_grade"]

_BY_NUMBER = {str(grade_value(grade, DEFAULT_RULES)): grade for grade in GRADES}
"""What a grade adds by default is another name for it, whatever the rules in force make of it."""

_HINT = ", ".join(f"{grade} ({int(number):+d})" for number, grade in _BY_NUMBER.items())
_SHOWN = 40


def parse_grade(text: str) -> str:
    """Return the grade that a text means: a word of GRADES or the beginning of one, or its default number.

    Capitals do not matter, nor do blanks around it; a number may have its sign: `-1`, `1` or `+1`, `2`, `5`.

    Raises:
        UsageError: It means none of them.
    """
    word = text.strip().lower().replace("\N{MINUS SIGN}", "-")
    found = [grade for grade in GRADES if word and grade.startswith(word)]
    number = _BY_NUMBER.get(word.removeprefix("+"))
    if number and not word.startswith("+-"):
        return number
    if len(found) != 1:
        shown = escape(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
        raise UsageError(f"unknown grade '{shown}'", f"a grade is one of {_HINT}")
    return found[0]
