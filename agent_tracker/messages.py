"""What a commit's message says at its end, and what kind of work it says it is.

Owns reading messages that were written long ago, by anybody: trailers, the lines that programs put under a message,
fixes and reverts. Pure. A subject never names an agent, and neither does a line that is quoted in the text: only the
last lines count, up to the first one that is prose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_tracker.marks import HISTORY_TRAILERS

if TYPE_CHECKING:
    from agent_tracker.records import Marks

__all__ = ["clean", "identity_marks", "work_marks"]

MAX_LINES = 500
"""How many of a message's last lines are looked at."""

MAX_LINE = 300
MAX_TRAILERS = 20
MAX_BODY = 64 << 10
"""How much of a message is searched for what it reverts."""

_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}:(?: |\S)")
_FOOTER = re.compile(
    r"\W{0,8}(?:Co-)?(?:generated|authored|made|created|written) (?:with|by) (?P<rest>.{1,200})", re.IGNORECASE
)
_LINKED = re.compile(
    r"\[(?P<name>[^\[\]]{1,60})\](?:\([^()]*\))?|(?P<bare>[A-Za-z][A-Za-z0-9 .-]{1,40}?)(?: \(?https?://.*)?[.!]?"
)
_FOLD = ("(cherry picked from commit ", "#", "<!--")
"""How lines begin that stand between or below trailers and are none: what git and forges put there."""

_TYPE = re.compile(r"(?P<type>[A-Za-z]{2,20})(?:\([^()]{0,80}\))?!?:\s")
_FIX_TYPES = frozenset({"fix", "bugfix", "hotfix"})
_OTHER_TYPES = frozenset(
    {"build", "chore", "ci", "doc", "docs", "feat", "perf", "refactor", "release", "style", "test"}
)
_CLOSES = re.compile(r"\b(?:fix(?:e[sd])?|close[sd]?|resolve[sd]?):? (?:[\w.-]+/[\w.-]+)?(?:#|GH-)\d", re.IGNORECASE)
_WORDS = re.compile(r"\b(?:fix(?:e[sd]|ing)?|bugs?|bugfix(?:es)?|regressions?|crash(?:es|ed)?)\b", re.IGNORECASE)
_FIXES = re.compile(r"^Fixes: ([0-9a-f]{7,64})\b", re.MULTILINE)
_REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{7,64})\b", re.MULTILINE)


def clean(text: str) -> str:
    """Return a text as marks have room for it: bounded, and without what separates them."""
    return text.replace("\0", "")[:MAX_LINE]


def identity_marks(message: str) -> Marks:
    """Return the trailers that may name who made a commit, and the names in footers like `Generated with [NAME](...)`.

    A squash merge's list of co-authors is its last lines, and so is what stood below the only commit of a pull request.
    """
    found: dict[tuple[str, str], None] = {}
    for line in _last_lines(message):
        if line.partition(":")[0].lower() in HISTORY_TRAILERS:
            found["trailer", clean(line)] = None
        elif name := _footer_name(line):
            found["footer", clean(name)] = None
    return tuple(found)[:MAX_TRAILERS]


def _last_lines(message: str) -> list[str]:
    """Return the lines below the last one that is prose, in order; the subject is never among them."""
    found: list[str] = []
    lines = message.strip("\n").split("\n")[1:][-MAX_LINES:]
    for line in reversed(lines):
        stripped = line.rstrip()[: 2 * MAX_LINE]
        is_last = not stripped.strip("-_* ") or stripped.startswith(_FOLD)
        if not (is_last or _TRAILER.match(stripped) or _FOOTER.match(stripped)):
            break
        found.append(stripped)
    return found[::-1]


def _footer_name(line: str) -> str:
    """Return what a footer names, empty where a line is none."""
    footer = _FOOTER.fullmatch(line)
    named = _LINKED.fullmatch(footer["rest"].strip()) if footer else None
    return (named["name"] or named["bare"]).strip() if named else ""


def work_marks(message: str) -> Marks:
    """Return what a message says that its commit mends or takes back.

    `fix` says how it is known to be a fix: `trailer`, `type` (a conventional one), `closes` (an issue), `words` (in the
    subject: about half of such are none). `fixes` and `reverts` have the other commit's oid as it is given, the latter
    empty where none is. A declared type other than a fix is believed.
    """
    body = message[:MAX_BODY]
    subject = body.lstrip("\n").partition("\n")[0]
    marks = [("fixes", oid) for oid in dict.fromkeys(_FIXES.findall(body))]
    marks += [("reverts", oid) for oid in dict.fromkeys(_REVERTS.findall(body))]
    if not any(name == "reverts" for name, _ in marks) and subject.startswith('Revert "'):
        marks.append(("reverts", ""))
    how = "trailer" if marks and marks[0][0] == "fixes" else _fix_word(subject, body)
    return (("fix", how), *marks[:MAX_TRAILERS]) if how else tuple(marks[:MAX_TRAILERS])


def _fix_word(subject: str, body: str) -> str:
    declared = _TYPE.match(subject)
    if declared and declared["type"].lower() in _FIX_TYPES:
        return "type"
    if (declared and declared["type"].lower() in _OTHER_TYPES) or subject.startswith(("Merge ", 'Revert "')):
        return ""
    if _CLOSES.search(body):
        return "closes"
    return "words" if _WORDS.search(subject) else ""
