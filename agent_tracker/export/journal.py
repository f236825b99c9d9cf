"""`.journal/`: retrospectives and activities as Markdown, a file a month, and an index of the months.

Owns that form, and making stored text harmless in it. Entries stand in the order in which they were written, so that a
new one is a few lines at the end. Times are UTC.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_tracker.escaping import escape
from agent_tracker.views.journal import ActivityEntry, RetroEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.export.base import ProjectView

__all__ = ["DIRECTORY", "FORMAT_VERSION", "IGNORED", "MARK", "write"]

FORMAT_VERSION = 1
"""1: a heading of the second level for each entry, facts as a list, texts as quotations."""

DIRECTORY = ".journal"
INDEX = "index.md"
MARK = "<!-- written by agent-tracker"
IGNORED: tuple[str, ...] = (f"/{DIRECTORY}/",)
NS = 10**9
SHORT_OID = 12
_HEAD = f"{MARK}, format {FORMAT_VERSION}: what is changed here is overwritten -->\n\n"
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
"""What may mean something in Markdown or HTML; a backslash takes that away. Source: CommonMark 0.31, section 2.4."""

Entry = RetroEntry | ActivityEntry


def write(view: ProjectView, out: dict[str, str]) -> None:
    """Put a file for each month, and the index, into `out`; nothing where nothing is in the journal."""
    months: dict[str, list[Entry]] = {}
    entries: list[Entry] = [*view.retros, *view.activities]
    for entry in sorted(entries, key=lambda entry: (entry.fact.recorded_ns, entry.fact.id)):
        months.setdefault(_at(entry, "%Y-%m"), []).append(entry)
    for month, of_month in months.items():
        out[f"{month}.md"] = "".join([_HEAD, f"# Journal, {month}\n", *map(_section, of_month)])
    if months:
        lines = [f"- [{month}]({month}.md): {_counted(months[month])}\n" for month in sorted(months, reverse=True)]
        out[INDEX] = "".join([_HEAD, "# Journal\n\n", *lines])


def _at(entry: Entry, form: str) -> str:
    return time.strftime(form, time.gmtime(entry.fact.recorded_ns // NS))


def _counted(entries: list[Entry]) -> str:
    retros = sum(isinstance(entry, RetroEntry) for entry in entries)
    parts = ((retros, "retrospective", "retrospectives"), (len(entries) - retros, "activity", "activities"))
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in parts if count)


def _section(entry: Entry) -> str:
    what = "retrospective" if isinstance(entry, RetroEntry) else "activity"
    head = f"\n## {_at(entry, '%Y-%m-%d %H:%M')}: {what} by {_harmless(entry.fact.agent) or 'nobody'}\n\n"
    facts, texts = _of_retro(entry) if isinstance(entry, RetroEntry) else _of_activity(entry)
    listed = "".join(f"- {name}: {value}\n" for name, value in facts.items() if value)
    if entry.is_forgotten:
        return f"{head}{listed}\n(forgotten)\n"
    return head + listed + "".join(f"\n{name}:\n\n{_quoted(text)}" for name, text in texts.items() if text)


def _of_retro(entry: RetroEntry) -> tuple[Mapping[str, str], Mapping[str, str]]:
    fact = entry.fact
    facts = {
        "id": fact.id,
        "commit": entry.home.hex()[:SHORT_OID],
        "session": _harmless(fact.session),
        "agent's grade": fact.agent_grade,
        "user's grade": fact.user_grade,
        "score": f"{entry.score_before} to {entry.score_after}",
    }
    return facts, {"Task": fact.task, "Agent's note": fact.agent_note, "User's note": fact.user_note}


def _of_activity(entry: ActivityEntry) -> tuple[Mapping[str, str], Mapping[str, str]]:
    fact = entry.fact
    facts = {"id": fact.id, "commit": fact.oid.hex()[:SHORT_OID], "session": _harmless(fact.session)}
    texts = {"Task": fact.task, "Actions": fact.actions, "Outcome": fact.outcome, "Decisions": fact.decisions}
    return facts, texts


def _quoted(text: str) -> str:
    """Return a text as a quotation, each of its lines harmless: none begins with blanks, which would make it code."""
    return "".join(f"> {_harmless(line.strip())}".rstrip(" ") + "\n" for line in text.split("\n"))


def _harmless(text: str) -> str:
    """Return text that is nothing but text to Markdown, HTML and a terminal."""
    return "".join(map(_harmless_character, text))


def _harmless_character(character: str) -> str:
    if character in _PUNCTUATION:
        return "\\" + character
    if character.isprintable():
        return character
    return "".join("\\" + each if each in _PUNCTUATION else each for each in escape(character))
