"""Text, tables and JSON for what the verbs and views return.

Owns every shape that a person or a program reads, and making any stored text safe to show. Never computes.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_tracker.escaping import escape, escape_json, shown_path
from agent_tracker.records import HUMAN, MICRO, UNCLAIMED, Credits, is_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.table import Table

    from agent_tracker.config import Value
    from agent_tracker.credit import Origin, Why
    from agent_tracker.records import CreditFact
    from agent_tracker.registration import Identity
    from agent_tracker.verify import VerifyReport
    from agent_tracker.views.log import LogEntry

__all__ = [
    "JSON_VERSION",
    "cells",
    "chopped",
    "log_json",
    "log_legend",
    "log_table",
    "padded",
    "progress",
    "show",
    "show_json",
    "table",
]

JSON_VERSION = 1
QUIET_S = 0.5
"""How long something takes before it is said how far it is."""

SHORT_XP = 100_000
FIRST_ACCENT = "\u0300"
_OWN_GLYPHS = str.maketrans(dict.fromkeys("▁▃▅█━─…", "-"))
"""What bars and rows of grades are made of."""

UNWRAPPED = frozenset({"COMMIT", "WHEN", "SUBJECT"})
"""Columns of a terminal's table that are cut rather than folded."""


def show(*parts: str | Table) -> None:
    """Print lines and tables to stdout. Colours follow the terminal and NO_COLOR; a pipe gets plain text."""
    for part in parts:
        if isinstance(part, str):
            _write(part + "\n")
            continue
        from rich.console import Console  # noqa: PLC0415 -- 20 ms, for a table on a terminal alone

        out = Console(highlight=False, emoji=False, markup=False)
        with out.capture() as captured:
            out.print(part)
        # A table pads its last column; a person copies lines.
        _write("".join(f"{line.rstrip()}\n" for line in captured.get().split("\n")[:-1]))


def _write(text: str) -> None:
    """Write to stdout, whose encoding may know less than the text holds."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def show_raw(text: str) -> None:
    """Print a text whose lines have their own ends to stdout."""
    _write(text)


def show_json(kind: str, value: object) -> None:
    """Print `{"version": ..., kind: value}` to stdout."""
    _write_json({"version": JSON_VERSION, kind: value})


def show_diagnosis_json(document: dict[str, object]) -> None:
    """Print what `doctor --json` says, whose version stands among its other names."""
    _write_json(document)


def _write_json(document: dict[str, object]) -> None:
    import msgspec  # noqa: PLC0415 -- 6 ms, for --json alone

    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    _write(escape_json(text, sys.stdout.encoding or "utf-8") + "\n")


@contextmanager
def progress(what: str, *, is_long: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield what is told how much is done, of how much, and says so on a terminal's stderr, where it takes a while.

    At the end nothing of it is left.

    Args:
        what: What is under way.
        is_long: Say at once that it is.
    """
    shown, began = "", time.monotonic()
    is_watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def say(done: int, total: int) -> None:
        nonlocal shown
        line = f"{what} {100 * done // total} %" if total else what
        if is_watched and line != shown and (is_long or time.monotonic() - began > QUIET_S):
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            shown = line

    try:
        if is_long:
            say(0, 0)
        yield say
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def safe(text: str) -> str:
    """Return stored text without anything that a terminal would act on."""
    return escape(text).encode("utf-8", "backslashreplace").decode()


def cells(text: str) -> int:
    """Return how many columns of a terminal a safe text takes: a letter of Chinese two, an accent on another none."""
    if _is_narrow(text):
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 -- 10 ms, for letters of which it is not known

    return cell_len(text)


def _is_narrow(text: str) -> bool:
    """Tell whether each letter takes one column for certain: up to the accents that go onto another, and our own."""
    return text.isascii() or max(text.translate(_OWN_GLYPHS)) < FIRST_ACCENT


def chopped(text: str, width: int) -> list[str]:
    """Return a safe text in lines of at most so many columns, at least one; no letter is taken apart."""
    if _is_narrow(text):
        return [text[start : start + width] for start in range(0, len(text), width)] or [""]
    from rich.cells import chop_cells  # noqa: PLC0415 -- as above

    return [line for line in chop_cells(text, width) if line] or [""]


def padded(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a safe text with spaces after it, or before it, up to so many columns."""
    space = " " * (width - cells(text))
    return space + text if is_right else text + space


def place(path: str) -> str:
    """Return a path as people read it, below the home directory with `~`."""
    return shown_path(path, os.path.expanduser("~")).encode("utf-8", "backslashreplace").decode()


def iso(at: int) -> str:
    """Return Unix seconds as ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def local(at: int) -> str:
    """Return Unix seconds as people read them, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def number(micro: int) -> int | float:
    """Return millionths as a number: an integer where it is one."""
    return micro // MICRO if micro % MICRO == 0 else micro / MICRO


def xp(micro: int) -> str:
    """Return experience as people read it, never as a power of ten."""
    value = number(micro)
    return f"{value:g}" if abs(value) < SHORT_XP else f"{value:.0f}"


def as_text(path: bytes) -> str:
    """Return a path for JSON or a table; undecodable bytes are shown escaped."""
    return path.decode("utf-8", "backslashreplace")


def credits_json(credits: Credits) -> list[dict[str, object]]:
    """Return credits as a list of agent and share; agent_id is null for what people or nobody we know did."""
    return [{"agent_id": agent if is_agent(agent) else None, "share": share / MICRO} for agent, share in credits]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table | str:
    """Return rows under their headings: fitted to a terminal, or plain columns for a pipe, where nothing is cut.

    Args:
        headings: One a column.
        rows: As many safe texts a row.
        right: The headings of columns that are aligned to the right.
    """
    if not os.isatty(1):
        return _plain_columns([headings, *rows], [heading in right for heading in headings])
    from rich.table import Table  # noqa: PLC0415 -- as above
    from rich.text import Text  # noqa: PLC0415

    fitted = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        is_right = heading in right
        fitted.add_column(
            heading,
            justify="right" if is_right else "left",
            no_wrap=heading in UNWRAPPED or is_right,
            overflow="ellipsis",
        )
    for row in rows:
        fitted.add_row(*map(Text, row))
    return fitted


def _plain_columns(rows: list[Sequence[str]], is_right: list[bool]) -> str:
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            padded(cell, width, is_right=right) for cell, width, right in zip(row, widths, is_right, strict=True)
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def log_json(entries: Iterable[LogEntry]) -> list[dict[str, object]]:
    """Return the commits for `log --json`."""
    return [
        {
            "commit_hash": entry.oid.hex(),
            "agent_id": entry.agent or None,
            "claim": entry.claim,
            "credits": credits_json(entry.credits),
            "project_path": as_text(entry.project_path),
            "task_description": entry.subject.encode("utf-8", "backslashreplace").decode(),
            "operation": entry.operation,
            "experience_gained": number(entry.experience_micro),
            "timestamp": iso(entry.committed_at),
            "recorded_at": iso(entry.recorded_at),
            "setup": entry.setup or None,
            "corrected": _correction_json(entry.corrected),
            "why": why_json(entry.why),
        }
        for entry in entries
    ]


def why_json(why: Why | None) -> dict[str, object] | None:
    """Return the reason for a credit, for `log --json`."""
    if why is None:
        return None
    return {
        **_mark_json(why),
        "outdated": why.is_outdated,
        "origins": [
            {
                "commit_hash": origin.source.hex() or None,
                "operation": origin.operation,
                "lines": origin.lines,
                "credits": credits_json(origin.credits),
                "why": _mark_json(origin.why),
            }
            for origin in why.origins
        ],
    }


def _mark_json(said: Why | Identity) -> dict[str, object]:
    """Return which mark decided, and what is the matter with it."""
    return {
        "basis": said.basis,
        "reason": said.reason.encode("utf-8", "backslashreplace").decode() or None,
        "problem": said.problem or None,
        "who": said.who.encode("utf-8", "backslashreplace").decode() or None,
    }


def why_words(why: Why) -> str:
    """Return the reason for a credit, in words."""
    if why.origins:
        words = "; ".join(_origin_words(origin) for origin in why.origins)
    elif why.basis == "correction":
        words = "put right" + (f": {safe(why.reason)}" if why.reason else "")
    elif why.basis == "rewrite":
        words = "several commits"
    else:
        words = mark_words(why)
    return words + (" (as another table of marks had it: agent-tracker reattribute)" if why.is_outdated else "")


def _origin_words(origin: Origin) -> str:
    work = f"{origin.operation} of {origin.source.hex()[:10]}" if origin.source else "its own"
    return f"{work}, {counted(origin.lines, 'line')}: {whose(origin.credits)}, {why_words(origin.why)}"


def whose(credits: Credits) -> str:
    """Return who has the largest share, and how many others have one."""
    first = credits[0][0]
    who = first if is_agent(first) else first or "unclaimed"
    return who + (f" +{len(credits) - 1}" if len(credits) > 1 else "")


def mark_words(said: Why | Identity) -> str:
    """Return which mark decided, and what is the matter with it, in words."""
    reason, who = safe(said.reason), safe(said.who)
    if not said.problem or said.problem == "halted":
        return reason
    of_client = said.basis == "client"
    if said.problem == "unregistered":
        return (
            f"client {who} announced itself and no agent was registered"
            if of_client
            else f"{reason}: {who}, not registered"
        )
    if said.problem == "retired":
        return f"{reason}: {who} was retired"
    return f"{reason}: {who} may be several agents"


def _correction_json(fact: CreditFact | None) -> dict[str, object] | None:
    """Return when and why a commit's credit was put right, None where it was not."""
    if fact is None:
        return None
    why = fact.why.encode("utf-8", "backslashreplace").decode()
    return {"why": why, "timestamp": iso(fact.recorded_ns // 10**9)}


def credit_json(fact: CreditFact) -> dict[str, object]:
    """Return a credit that was put right, for `credit --json`."""
    who = fact.credits[0][0]
    return {
        "commit_hash": fact.oid.hex(),
        "agent_id": who if is_agent(who) else None,
        "claim": "agent" if is_agent(who) else who or "unclaimed",
        "credits": credits_json(fact.credits) if is_agent(who) else [],
        "corrected": _correction_json(fact),
    }


def log_table(entries: Iterable[LogEntry], *, with_project: bool, with_why: bool) -> Table | str:
    """Return the commits as a table."""
    more = ["WHY"] if with_why else []
    headings = ["COMMIT", "WHEN", "AGENT", "XP", *(["PROJECT"] if with_project else []), "SUBJECT", *more]
    rows = [_log_row(entry, with_project=with_project) for entry in entries]
    if with_why:
        rows = [[*row, why_words(entry.why) if entry.why else ""] for row, entry in zip(rows, entries, strict=True)]
    return table(headings, rows, right=("XP",))


def log_legend(entries: Iterable[LogEntry]) -> list[str]:
    """Return what a mark in the table means, where there is one."""
    is_marked = any(entry.corrected for entry in entries)
    return ["* put right with agent-tracker credit; why: agent-tracker log --why"] if is_marked else []


def _log_row(entry: LogEntry, *, with_project: bool) -> list[str]:
    more = f" +{len(entry.credits) - 1}" if len(entry.credits) > 1 else ""
    experience = xp(entry.experience_micro) if entry.experience_micro else "-"
    project = [safe(os.path.basename(as_text(entry.project_path)))] if with_project else []
    who = (entry.agent or entry.claim) + more + ("*" if entry.corrected else "")
    return [entry.oid.hex()[:10], local(entry.committed_at), who, experience, *project, safe(entry.subject)]


def identity_words(identity: Identity) -> str:
    """Return who would be credited, in words."""
    agent, _ = identity.credits[0]
    if agent == HUMAN:
        return f"a person ({safe(identity.reason)})"
    if agent == UNCLAIMED:
        return f"nobody: {mark_words(identity)}"
    halted = ", halted: its commits are refused" if identity.problem == "halted" else ""
    return f"{agent} ({safe(identity.reason)}){halted}"


def identity_json(identity: Identity) -> dict[str, object]:
    """Return who would be credited, for `whoami --json`."""
    agent, _ = identity.credits[0]
    claim = HUMAN if agent == HUMAN else "unclaimed" if agent == UNCLAIMED else "agent"
    return {
        "agent_id": agent if claim == "agent" else None,
        "claim": claim,
        **_mark_json(identity),
    }


def settings_table(values: Iterable[Value], meanings: dict[str, str]) -> Table | str:
    """Return every setting with its value and where that comes from."""
    rows = [(v.name, safe(str(v.value)), safe(v.source), meanings[v.name]) for v in values]
    return table(("SETTING", "VALUE", "FROM", "MEANING"), rows)


def verify_lines(report: VerifyReport, *, is_quick: bool = False) -> list[str]:
    """Return the outcome of a check, a line each."""
    if report.problems:
        return [f"problem: {safe(problem)}" for problem in report.problems]
    parts = (counted(report.records, "record"), counted(report.commits, "commit"), counted(report.agents, "agent"))
    more = ["Standings were not compared with the facts: agent-tracker verify"] if is_quick else []
    if report.outdated:
        whose = f"{counted(report.outdated, 'commit')} credited under another table of marks"
        more.append(f"{whose}, which is nothing wrong: agent-tracker reattribute --dry-run")
    return [f"Clean: {', '.join(parts)}.", *more]
