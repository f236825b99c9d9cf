"""The review: a card for each commit, what the keys do, a line at the end, and the list as JSON.

Owns those texts and shapes. Never computes and never asks.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

from agent_tracker.journal import GRADES
from agent_tracker.rendering.grading import cut, plain
from agent_tracker.rendering.text import counted, iso, local, safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_tracker.verbs.grading import GradeGiven
    from agent_tracker.verbs.review import Look, Outline, Pending

__all__ = [
    "HELP",
    "NOTE_PROMPTS",
    "PROMPTS",
    "UNKNOWN",
    "card_lines",
    "fitting",
    "graded_line",
    "review_json",
    "summary_line",
    "trouble_line",
]


PROMPTS = ("[b]ad [n]eutral [g]ood [e]xcellence | [s]kip [u]ndo [o]pen [q]uit [?] ", "b n g e | s u o q ? ")
NOTE_PROMPTS = ("note (Enter for none, Ctrl-D to take the grade back): ", "note: ")
ROOM = 10
"""How many columns an answer has at least, or else the short question is asked."""
HELP = (
    "  b 1  bad         s  skip: it comes again next time",
    "  n 2  neutral     u  undo: back to the one graded last, for another grade",
    "  g 3  good        o  open the whole diff in git's pager",
    "  e 4  excellence  q  quit: what is graded stays graded",
)
UNKNOWN = "no such key; ? says which there are, in small letters"


def fitting(questions: Sequence[str], columns: int) -> str:
    """Return the first of some questions that leaves room for an answer, or else the last."""
    return next((each for each in questions if len(each) + ROOM <= columns), questions[-1])


def _shown(line: str, columns: int) -> str:
    """Return a line of git's, which quotes odd names itself."""
    return cut(line, columns, is_safe=line.isprintable())


def card_lines(
    pending: Pending, look: Look, place: tuple[int, int], columns: int, given: GradeGiven | None
) -> list[str]:
    """Return what one should know of a commit, a line each, none wider than the terminal.

    Args:
        pending: The commit.
        look: What git says of it.
        place: Its number, and of how many.
        columns: Of the terminal.
        given: The grade that it was given a moment ago, if it was.
    """
    number, total = place
    head = f"--- {number} of {total} "
    lines = [
        head + "-" * max(0, min(columns, 80) - len(head)),
        _strong(cut(f"{pending.subject or '(no subject)'}", columns)),
        cut(f"{pending.oid.hex()[:10]}  {local(pending.committed_at)}  {pending.agent}  {pending.model}", columns),
    ]
    lines += [cut(line, columns) for line in _fate(pending, look)]
    if pending.agent_grade:
        said = f": {pending.agent_note}" if pending.agent_note else ""
        lines.append(cut(f"its own grade: {pending.agent_grade}{said}", columns))
    if given:
        said = f": {given.note}" if given.note else ""
        lines.append(cut(f"your grade so far: {given.grade}{said}", columns))
    return [*lines, *(_shown(line, columns) for line in look.stat)]


def _strong(line: str) -> str:
    is_plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb" or not sys.stdout.isatty()
    return line if is_plain else f"\x1b[1m{line}\x1b[0m"


def _fate(pending: Pending, look: Look) -> list[str]:
    """Return what became of a commit, in words."""
    words = _making(pending)
    if look.branches:
        words.append(f"on {', '.join(look.branches)}")
    if look.remotes:
        words.append(f"pushed: {', '.join(look.remotes)}")
    elif look.remotes is not None and look.branches:
        words.append("not pushed")
    if look.branches == look.remotes == ():
        words.append("on no branch any more")
    lines = ["; ".join(words)] if words else []
    if look.reverted_by:
        lines.append(f"REVERTED by {look.reverted_by.hex()[:10]}")
    if pending.bugs:
        lines.append(f"{counted(pending.bugs, 'bug')} reported in it")
    return lines


def _making(pending: Pending) -> list[str]:
    words = [] if pending.operation in {"commit", "initial", "amend", "rebase"} else [pending.operation]
    if pending.parts > 1:
        words.append(f"squashed from {pending.parts} commits")
    for word, number in (("amended", pending.amends), ("rebased", pending.rebases), ("copied", pending.copies)):
        if number:
            words.append(word if number == 1 else f"{word} {number} times")
    return words


def graded_line(given: GradeGiven) -> str:
    """Return what a grade did, in one line."""
    score = f"CS {given.score_before} -> {given.score_after}" if given.score_after is not None else "waiting"
    return f"{given.grade}: {given.agent} {score}"


def summary_line(grades: Sequence[str], skipped: int, left: int) -> str:
    """Return the end of a review in one line.

    Args:
        grades: Those that were given.
        skipped: How many were passed over.
        left: How many were not come to.
    """
    counts = Counter(grades)
    each = ", ".join(f"{counts[grade]} {grade}" for grade in GRADES if counts[grade])
    words = [f"{len(grades)} graded ({each})" if grades else "0 graded"]
    words += [f"{skipped} skipped"] if skipped else []
    words += [f"{left} left: agent-tracker review goes on"] if left else []
    return f"{', '.join(words)}."


def review_json(commits: Iterable[Pending], outlines: Mapping[bytes, Outline]) -> list[dict[str, object]]:
    """Return the commits that wait for a grade, for `review --json`; what git could not say is null."""
    return [
        {
            "commit_hash": each.oid.hex(),
            "agent_id": each.agent,
            "model": plain(each.model) or None,
            "task_description": plain(each.subject),
            "operation": each.operation,
            "timestamp": iso(each.committed_at),
            "amends": each.amends,
            "rebases": each.rebases,
            "copies": each.copies,
            "squashed_from": each.parts,
            "bugs": each.bugs,
            "agent_grade": each.agent_grade or None,
            "agent_note": plain(each.agent_note) or None,
            **_outline_json(outlines[each.oid]),
        }
        for each in commits
    ]


def _outline_json(outline: Outline) -> dict[str, object]:
    return {
        "branches": _names(outline.branches),
        "pushed": _names(outline.remotes),
        "files": outline.files,
        "insertions": outline.insertions,
        "deletions": outline.deletions,
    }


def _names(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(map(plain, names))


def trouble_line(message: str, hint: str) -> str:
    """Return why something was not done, in one line."""
    return f"not done: {safe(message)}" + (f" ({safe(hint)})" if hint else "")
