"""Text, tables and JSON for what the verbs and views return.

Owns every shape that a person or a program reads, and making any stored text safe to show. Never computes.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from agent_tracker.escaping import escape, shown_path
from agent_tracker.records import HUMAN, MICRO, UNCLAIMED, Agent, Credits, is_agent
from agent_tracker.rules import trust_tier
from agent_tracker.xp import level_micro

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from agent_tracker.config import Value
    from agent_tracker.registration import Identity
    from agent_tracker.verbs.status import Status
    from agent_tracker.verify import VerifyReport
    from agent_tracker.views.log import LogEntry

__all__ = ["JSON_VERSION", "agents_json", "agents_table", "log_json", "log_table", "show", "show_json"]

JSON_VERSION = 1
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


def show_json(kind: str, value: object) -> None:
    """Print `{"version": ..., kind: value}` to stdout."""
    _write_json({"version": JSON_VERSION, kind: value})


def show_diagnosis_json(document: dict[str, object]) -> None:
    """Print what `doctor --json` says, whose version stands among its other names."""
    _write_json(document)


def _write_json(document: dict[str, object]) -> None:
    import msgspec  # noqa: PLC0415 -- 6 ms, for --json alone

    _write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def safe(text: str) -> str:
    """Return stored text without anything that a terminal would act on."""
    return escape(text).encode("utf-8", "backslashreplace").decode()


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


def as_text(path: bytes) -> str:
    """Return a path for JSON or a table; undecodable bytes are shown escaped."""
    return path.decode("utf-8", "backslashreplace")


def credits_json(credits: Credits) -> list[dict[str, object]]:
    """Return credits as a list of agent and share; agent_id is null for what people or nobody we know did."""
    return [{"agent_id": agent if is_agent(agent) else None, "share": share / MICRO} for agent, share in credits]


def agent_json(agent: Agent) -> dict[str, object]:
    """Return one agent under the data model's names."""
    return {
        "id": agent.id,
        "name": agent.name,
        "model": agent.model,
        "scope": agent.scope,
        "client": agent.client or None,
        "skill_points": agent.standing.skill_points,
        "experience_points": number(agent.standing.experience_micro),
        "experience_earned": number(agent.standing.earned_micro),
        "communication_score": agent.standing.communication_score,
        "trust_tier": trust_tier(agent.standing.skill_points),
        "total_commits": agent.standing.total_commits,
        "total_bugs": agent.standing.total_bugs,
        "active": agent.active,
        "created_at": iso(agent.created_at),
        "updated_at": iso(agent.updated_at),
    }


def agents_json(agents: Iterable[Agent]) -> list[dict[str, object]]:
    """Return the agents for `agents --json`."""
    return [agent_json(agent) for agent in agents]


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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_right, strict=True)
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def agents_table(agents: Iterable[Agent]) -> Table | str:
    """Return the agents compared."""
    headings = ("AGENT", "NAME", "MODEL", "SCOPE", "TIER", "SP", "XP", "CS", "COMMITS", "BUGS")
    rows = [
        (
            agent.id if agent.active else f"{agent.id} (retired)",
            safe(agent.name),
            safe(agent.model),
            safe(agent.scope),
            trust_tier(agent.standing.skill_points),
            str(agent.standing.skill_points),
            f"{number(agent.standing.experience_micro):g}",
            str(agent.standing.communication_score),
            str(agent.standing.total_commits),
            str(agent.standing.total_bugs),
        )
        for agent in agents
    ]
    return table(headings, rows, right=headings[5:])


def agent_sheet(agent: Agent) -> list[str]:
    """Return one agent's sheet, a line each."""
    standing = agent.standing
    towards = f"{number(standing.experience_micro):g} of {number(level_micro(standing.skill_points)):g}"
    state = "active" if agent.active else "retired"
    return [
        f"{agent.id}  ({state}, since {local(agent.created_at)})",
        f"  name     {safe(agent.name)}",
        f"  model    {safe(agent.model)}",
        f"  scope    {safe(agent.scope)}",
        f"  client   {agent.client or '-'}",
        f"  tier     {trust_tier(standing.skill_points)}",
        f"  points   {standing.skill_points} SP, {towards} XP to the next",
        f"  score    {standing.communication_score} CS",
        f"  commits  {standing.total_commits}, bugs {standing.total_bugs}",
    ]


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
        }
        for entry in entries
    ]


def log_table(entries: Iterable[LogEntry], *, with_project: bool) -> Table | str:
    """Return the commits as a table."""
    headings = ["COMMIT", "WHEN", "AGENT", "XP", *(["PROJECT"] if with_project else []), "SUBJECT"]
    return table(headings, [_log_row(entry, with_project=with_project) for entry in entries], right=("XP",))


def _log_row(entry: LogEntry, *, with_project: bool) -> list[str]:
    more = f" +{len(entry.credits) - 1}" if len(entry.credits) > 1 else ""
    experience = f"{number(entry.experience_micro):g}" if entry.experience_micro else "-"
    project = [safe(os.path.basename(as_text(entry.project_path)))] if with_project else []
    who = (entry.agent or entry.claim) + more
    return [entry.oid.hex()[:10], local(entry.committed_at), who, experience, *project, safe(entry.subject)]


def identity_words(identity: Identity) -> str:
    """Return who would be credited, in words."""
    agent, _ = identity.credits[0]
    if agent == HUMAN:
        return f"a person ({identity.reason})"
    if agent == UNCLAIMED:
        return (
            f"nobody: {safe(identity.who)} is {identity.problem} ({identity.reason})" if identity.problem else "nobody"
        )
    return f"{agent} ({identity.reason})"


def identity_json(identity: Identity) -> dict[str, object]:
    """Return who would be credited, for `whoami --json`."""
    agent, _ = identity.credits[0]
    claim = HUMAN if agent == HUMAN else "unclaimed" if agent == UNCLAIMED else "agent"
    return {
        "agent_id": agent if claim == "agent" else None,
        "claim": claim,
        "reason": identity.reason,
        "problem": identity.problem or None,
    }


def status_lines(status: Status) -> list[str]:
    """Return the status of a repository, a line each."""
    hooks = f"missing: {', '.join(status.missing_hooks)}" if status.missing_hooks else "installed"
    size = f"{status.database_bytes / 1e6:.1f} MB" if status.database_bytes else "not there yet"
    waiting = f"{status.waiting_bytes} bytes waiting for the next push or flush" if status.waiting_bytes else "empty"
    lines = [
        f"repository  {place(status.project_path)}",
        f"hooks       {hooks}",
        f"policy      {status.policy} ({safe(status.policy_source)})",
        f"commits     {status.commits} recorded here",
        f"spool       {waiting}",
        f"database    {place(status.database) or '-'} ({size})",
        f"agents      {status.agents} registered",
        f"committing  {identity_words(status.identity)}",
    ]
    if status.pending_changes is not None:
        lines.insert(4, f"changes     {counted(status.pending_changes, 'file')} not committed")
    if status.trouble:
        lines.append(f"trouble     {safe(status.trouble)}")
    return lines + (["", *agent_sheet(status.agent)] if status.agent else [])


def status_json(status: Status) -> dict[str, object]:
    """Return the status of a repository for `status --json`."""
    plain = {name: value for name, value in status._asdict().items() if name not in {"identity", "agent"}}
    plain["project_path"] = as_text(os.fsencode(status.project_path))
    agent = agent_json(status.agent) if status.agent else None
    return plain | {"identity": identity_json(status.identity), "agent": agent}


def settings_table(values: Iterable[Value], meanings: dict[str, str]) -> Table | str:
    """Return every setting with its value and where that comes from."""
    rows = [(v.name, safe(str(v.value)), safe(v.source), meanings[v.name]) for v in values]
    return table(("SETTING", "VALUE", "FROM", "MEANING"), rows)


def verify_lines(report: VerifyReport) -> list[str]:
    """Return the outcome of a check, a line each."""
    if report.problems:
        return [f"problem: {safe(problem)}" for problem in report.problems]
    parts = (counted(report.records, "record"), counted(report.commits, "commit"), counted(report.agents, "agent"))
    return [f"Clean: {', '.join(parts)}."]
