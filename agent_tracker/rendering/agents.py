"""The agents' sheets, the table that compares them and the status of a repository, in words, as JSON and as CSV.

Owns those texts and shapes. Never computes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.journal import GRADES
from agent_tracker.records import MICRO
from agent_tracker.rendering.layout import Piece, Terminal, paint, terminal, wrapped
from agent_tracker.rendering.text import (
    as_text,
    cells,
    counted,
    identity_json,
    identity_words,
    iso,
    local,
    number,
    padded,
    place,
    safe,
)
from agent_tracker.rules import trust_tier
from agent_tracker.views.standings import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_tracker.derived import Tally
    from agent_tracker.records import Agent
    from agent_tracker.verbs.agents import Registered
    from agent_tracker.verbs.status import Status
    from agent_tracker.views.sheet import Sheet

__all__ = [
    "agent_json",
    "agents_csv",
    "agents_lines",
    "registered_json",
    "registered_lines",
    "sheet_json",
    "sheet_lines",
    "status_json",
    "status_lines",
]

NS = 10**9
LABEL, VALUE = 9, 11
"""Columns: how wide a label is, and where what it says begins."""

BAR, MIN_BAR = 30, 8
GAP = "  "
BARS = {True: ("━", "─", "", ""), False: ("#", ".", "[", "]")}
SPARKS = {True: dict(zip(GRADES, "▁▃▅█", strict=True)), False: dict(zip(GRADES, "-.+*", strict=True))}
"""A grade in one letter: pretty, and plain."""

GRADE_STYLES = dict(zip(GRADES, ("bad", "", "good", "best"), strict=True))
Field = tuple[str, list[list[Piece]]]
"""A label and the parts of what it says."""


def points(micro: int) -> str:
    """Return experience as people read it: to the hundredth."""
    return f"{micro / MICRO:.2f}".rstrip("0").rstrip(".")


# -- one agent


def sheet_lines(sheet: Sheet, *, is_plain: bool) -> list[str]:
    """Return one agent's sheet, a line each, at most 80 columns wide."""
    return _sheet_lines(sheet, terminal(is_plain=is_plain))


def _sheet_lines(sheet: Sheet, term: Terminal) -> list[str]:
    width = term.sheet_width
    agent = sheet.agent
    heading: list[list[Piece]] = [[(term.text(agent.name), "bold")]]
    heading += [[(term.text(agent.id), "")], [(f"{sheet.state} since {local(agent.created_at)}", "dim")]]
    if not sheet.is_registered:
        heading[1:] = [[("new: not registered, it would begin with this", "bold")]]
    elif sheet.state != "active":
        heading[2] = [(f"registered {local(agent.created_at)}", "dim")]
    lines = [paint(pieces, term) for pieces in wrapped(heading, width)]
    fields = [*_refused(sheet, term), *_setup(sheet, term), *_standing(sheet, term), *_register(sheet, term)]
    return lines + _field_lines(fields, term)


def _field_lines(fields: Iterable[Field], term: Terminal) -> list[str]:
    lines = []
    for label, parts in fields:
        for index, pieces in enumerate(wrapped(parts, term.sheet_width - VALUE)):
            head = f"  {'' if index else label:<{LABEL}}"
            style = "loud" if label in {"HALTED", "RETIRED"} else "dim"
            lines.append(paint([(head, style), *pieces], term).rstrip())
    return lines


def _said(text: str, style: str = "") -> list[Piece]:
    return [(text, style)]


def _refused(sheet: Sheet, term: Terminal) -> list[Field]:
    """Return why an agent's commits are refused, and what changes that."""
    agent_id = term.text(sheet.agent.id)
    resume = _said(f"agent-tracker agents resume {agent_id}", "bold")
    said = []
    if sheet.is_registered and sheet.agent.standing.is_halted:
        said.append(("HALTED", [_said("bugs took its last SP: its commits are refused until"), resume]))
    if sheet.state == "retired":
        said.append(("RETIRED", [_said("its commits are refused until"), resume]))
    return said


def _register(sheet: Sheet, term: Terminal) -> list[Field]:
    """Return what makes an agent of a name that nobody knows."""
    if sheet.is_registered:
        return []
    import shlex  # noqa: PLC0415 -- for this alone

    name = term.text(shlex.quote(sheet.agent.name))
    return [("to do", [_said(f"agent-tracker register {name} --model MODEL --scope SCOPE", "bold")])]


def _setup(sheet: Sheet, term: Terminal) -> list[Field]:
    agent = sheet.agent
    named = (("model", agent.model), ("scope", agent.scope), ("client", agent.client))
    return [(label, [_said(term.text(value) or "-")]) for label, value in named]


def _standing(sheet: Sheet, term: Terminal) -> list[Field]:
    standing, total = sheet.agent.standing, sheet.total
    fields = [
        ("level", [_said(f"{standing.skill_points} SP", "bold"), _said(sheet.trust_tier)]),
        ("XP", _progress(sheet, term)),
        ("score", [_said(f"{standing.communication_score} CS", "bold"), _said(sheet.score_tier)]),
        ("grades", _grades(sheet, term)),
        ("commits", [_said(str(total.commits), "bold"), *_where(sheet, total.commits, "commits")]),
        ("bugs", [_said(str(total.bugs), "bad" if total.bugs else ""), *_where(sheet, total.bugs, "bugs")]),
        ("seen", [_said(local(total.last_at) if total.last_at else "never")]),
    ]
    if sheet.pending_changes is not None:
        fields.append(("pending", [_said(_pending(sheet.pending_changes))]))
    return fields


def _where(sheet: Sheet, in_all: int, what: str) -> list[list[Piece]]:
    here = getattr(sheet.here, what) if sheet.here else 0
    if not in_all or (here == in_all and len(sheet.projects) == 1):
        return []
    of_here = [f"{here} in this project"] if sheet.here is not None else []
    over = [f"in {counted(len(sheet.projects), 'project')}"] if what == "commits" and len(sheet.projects) > 1 else []
    words = ", ".join(over + of_here)
    return [_said(f"({words})", "dim")] if words else []


def _progress(sheet: Sheet, term: Terminal) -> list[list[Piece]]:
    have, need = sheet.agent.standing.experience_micro, sheet.next_level_micro
    if need is None:
        return [_said(points(have)), _said("(no next level while halted)", "dim")]
    words = f"{points(have)} of {points(need)} XP" + (", a level with the next XP" if have >= need else "")
    full, empty, start, end = BARS[term.is_pretty]
    length = min(BAR, term.sheet_width - VALUE - cells(words) - len(GAP + start + end))
    if length < MIN_BAR:
        return [_said(words)]
    done = min(length, have * length // need)
    bar = [(start, "dim"), (full * done, "good"), (empty * (length - done), "dim"), (end, "dim")]
    return [bar, _said(words)]


def _grades(sheet: Sheet, term: Terminal) -> list[list[Piece]]:
    if not sheet.total.grades:
        return [_said("none yet", "dim")]
    sparks = SPARKS[term.is_pretty]
    line = [(sparks[grade], GRADE_STYLES[grade]) for _, grade in sheet.recent]
    older = sheet.total.grades - len(sheet.recent)
    words = f"the last {len(sheet.recent)} of {sheet.total.grades}" if older > 0 else f"{sheet.total.grades} in all"
    legend = GAP.join(f"{sparks[grade]} {grade}" for grade in GRADES)
    room = term.sheet_width - VALUE
    first: list[Piece] = [*line, (GAP + words, "")]
    # The legend goes on a line of its own, the letters never on two.
    filler = " " * max(0, room - sum(cells(text) for text, _ in first))
    return [[*first, (filler, "")], _said(legend, "dim")]


def _pending(changes: int) -> str:
    return f"{counted(changes, 'change')} not committed" if changes else "nothing to commit"


# -- as JSON


def agent_json(agent: Agent) -> dict[str, object]:
    """Return one agent under the data model's names."""
    standing = agent.standing
    return {
        "id": agent.id or None,
        "name": _plain(agent.name),
        "model": _plain(agent.model) or None,
        "scope": _plain(agent.scope) or None,
        "client": _plain(agent.client) or None,
        "skill_points": standing.skill_points,
        "experience_points": number(standing.experience_micro),
        "experience_earned": number(standing.earned_micro),
        "communication_score": standing.communication_score,
        "trust_tier": trust_tier(standing.skill_points),
        "total_commits": standing.total_commits,
        "total_bugs": standing.total_bugs,
        "active": agent.active,
        "created_at": _when(agent.created_at),
        "updated_at": _when(agent.updated_at),
    }


def registered_json(done: Registered) -> dict[str, object]:
    """Return an agent that was registered, for `register --json`: `session` is what was bound to it, or null."""
    return agent_json(done.agent) | {
        "is_new": done.is_new,
        "session": _plain(done.session) or None,
        "other_agents": list(done.others),
    }


def registered_lines(done: Registered) -> list[str]:
    """Return how the commits of an agent that was registered are known."""
    agent = done.agent
    if done.session:
        return [f"Session {safe(done.session)} commits as this agent from now on."]
    if agent.client and not done.others:
        return [f"What {agent.client} commits is credited to it."]
    several = [f"{agent.client} has other agents: {', '.join(done.others)}"] if agent.client else []
    return [*several, f"In its shell: export AGENT_TRACKER_AGENT={agent.id}"]


def sheet_json(sheet: Sheet, *, with_grades: bool) -> dict[str, object]:
    """Return an agent's sheet for `agents show --json`, and without its grades one by one for `agents --json`."""
    recent = [{"grade": grade, "timestamp": iso(at_ns // NS)} for at_ns, grade in sheet.recent]
    return {
        **agent_json(sheet.agent),
        "trust_tier": sheet.trust_tier,
        "registered": sheet.is_registered,
        "halted": sheet.agent.standing.is_halted,
        "score_tier": sheet.score_tier,
        "next_level_at": None if sheet.next_level_micro is None else number(sheet.next_level_micro),
        "grades": sheet.total.grades,
        **({"recent_grades": recent} if with_grades else {}),
        "last_seen": _when(sheet.total.last_at),
        "here": _tally_json(sheet.here) if sheet.here is not None else None,
        "projects": [{"project_path": as_text(path), **_tally_json(tally)} for path, tally in sheet.projects],
        **({"pending_changes": sheet.pending_changes} if sheet.pending_changes is not None else {}),
    }


def _tally_json(tally: Tally) -> dict[str, object]:
    return {
        "commits": tally.commits,
        "experience_earned": number(tally.earned_micro),
        "grades": tally.grades,
        "bugs": tally.bugs,
        "last_seen": _when(tally.last_at),
    }


def _when(at: int) -> str | None:
    return iso(at) if at else None


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# -- all agents


class Column(NamedTuple):
    """A column of the comparison. One that is `elastic` may be cut on a terminal; `rank` 0 is never left out."""

    heading: str
    rank: int
    is_right: bool = False
    is_elastic: bool = False


COLUMNS = (
    Column("AGENT", 0),
    Column("NAME", 3, is_elastic=True),
    Column("MODEL", 7, is_elastic=True),
    Column("SCOPE", 4, is_elastic=True),
    Column("TIER", 1),
    Column("SP", 8, is_right=True),
    Column("XP", 6, is_right=True),
    Column("CS", 0, is_right=True),
    Column("COMMITS", 9, is_right=True),
    Column("BUGS", 5, is_right=True),
    Column("LAST SEEN", 2),
)
"""Where a terminal is too narrow, the column with the lowest rank goes first."""

NARROWEST = 12
"""Cells of a column that is cut, before others are left out."""


def agents_lines(sheets: Sequence[Sheet], *, is_here: bool, is_plain: bool) -> list[str]:
    """Return the agents compared, a line each: fitted to a terminal, and uncut in a pipe."""
    term = terminal(is_plain=is_plain)
    rows = [[column.heading for column in COLUMNS], *(_row(sheet, term, is_here=is_here) for sheet in sheets)]
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    shown = _fitted(widths, term.width) if term.width else dict(enumerate(widths))
    lines = []
    for index, row in enumerate(rows):
        parts = [padded(term.cut(row[at], width), width, is_right=COLUMNS[at].is_right) for at, width in shown.items()]
        style = "bold" if not index else "" if sheets[index - 1].state == "active" else "dim"
        lines.append(paint([(GAP.join(parts).rstrip(), style)], term))
    return lines


def here_caption(path: str) -> str:
    """Return what is said above the table of one project's agents."""
    return f"In {place(path)}. TIER, SP and CS are over all projects."


def _row(sheet: Sheet, term: Terminal, *, is_here: bool) -> list[str]:
    agent, done = sheet.agent, figures(sheet, is_here=is_here)
    return [
        term.text(agent.id) + ("" if sheet.state == "active" else f" ({sheet.state})"),
        term.text(agent.name),
        term.text(agent.model),
        term.text(agent.scope),
        sheet.trust_tier,
        str(agent.standing.skill_points),
        points(done.earned_micro),
        f"{agent.standing.communication_score} ({done.grades})",
        str(done.commits),
        str(done.bugs),
        local(done.last_at) if done.last_at else "-",
    ]


def _fitted(widths: Sequence[int], room: int) -> dict[int, int]:
    """Return the columns that fit into so many cells, and how wide each may be."""
    shown = list(range(len(COLUMNS)))

    def widths_at(most: int) -> dict[int, int]:
        return {at: min(widths[at], most) if COLUMNS[at].is_elastic else widths[at] for at in shown}

    def total(some: dict[int, int]) -> int:
        return sum(some.values()) + len(GAP) * (len(some) - 1)

    for at in sorted((at for at in shown if COLUMNS[at].rank), key=lambda at: COLUMNS[at].rank):
        if total(widths_at(NARROWEST)) <= room:
            break
        shown.remove(at)
    most = NARROWEST
    while most < max(widths) and total(widths_at(most + 1)) <= room:
        most += 1
    found = widths_at(most)
    over = total(found) - room
    return found | ({0: max(1, found[0] - over)} if over > 0 else {})


CSV_FIELDS = (
    "agent_id",
    "name",
    "model",
    "scope",
    "client",
    "state",
    "trust_tier",
    "skill_points",
    "experience_points",
    "experience_earned",
    "communication_score",
    "score_tier",
    "grades",
    "commits",
    "bugs",
    "last_seen",
)
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def agents_csv(sheets: Iterable[Sheet], *, is_here: bool) -> str:
    """Return the agents as CSV with a header; lines end with CR LF, and no text is a formula to a spreadsheet.

    Source: RFC 4180; OWASP, CSV injection.
    """
    import csv  # noqa: PLC0415 -- for --csv alone
    import io  # noqa: PLC0415 -- as above

    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(CSV_FIELDS)
    writer.writerows(_csv_row(sheet, is_here=is_here) for sheet in sheets)
    return out.getvalue()


def _csv_row(sheet: Sheet, *, is_here: bool) -> list[str | int | float]:
    agent, standing, done = sheet.agent, sheet.agent.standing, figures(sheet, is_here=is_here)
    return [
        *map(_cell, (agent.id, agent.name, agent.model, agent.scope, agent.client)),
        sheet.state,
        sheet.trust_tier,
        standing.skill_points,
        number(standing.experience_micro),
        number(done.earned_micro),
        standing.communication_score,
        sheet.score_tier,
        done.grades,
        done.commits,
        done.bugs,
        _when(done.last_at) or "",
    ]


def _cell(text: str) -> str:
    shown = safe(text)
    return f"'{shown}" if shown.startswith(FORMULAS) else shown


# -- a repository


def status_lines(status: Status, *, is_plain: bool) -> list[str]:
    """Return the status of a repository, a line each, with the sheet of the agent in use."""
    term = terminal(is_plain=is_plain)
    hooks = f"missing: {', '.join(status.missing_hooks)}" if status.missing_hooks else "installed"
    size = f"{status.database_bytes / 1e6:.1f} MB" if status.database_bytes else "not there yet"
    waiting = f"{status.waiting_bytes} bytes waiting for the next push or flush" if status.waiting_bytes else "empty"
    fields: list[Field] = [
        ("hooks", [_said(hooks, "bad" if status.missing_hooks else "")]),
        ("policy", [_said(status.policy), _said(f"({term.text(status.policy_source)})", "dim")]),
        ("commits", [_said(f"{status.commits} recorded here")]),
        ("spool", [_said(waiting)]),
        ("store", [_said(_ascii(place(status.database), term) or "-"), _said(f"({size}, {_agents(status)})", "dim")]),
        ("credit", [_said(_ascii(identity_words(status.identity), term))]),
    ]
    if status.pending_changes is not None and status.sheet is None:
        fields.append(("pending", [_said(_pending(status.pending_changes))]))
    if status.trouble:
        fields.append(("trouble", [_said(term.text(status.trouble), "bad")]))
    heading = wrapped([_said(_ascii(place(status.project_path), term), "bold")], term.sheet_width)
    lines = [paint(pieces, term) for pieces in heading] + _field_lines(fields, term)
    return lines + (["", *_sheet_lines(status.sheet, term)] if status.sheet else [])


def _agents(status: Status) -> str:
    return counted(status.agents, "agent")


def _ascii(shown: str, term: Terminal) -> str:
    return shown if term.is_pretty else shown.encode("ascii", "backslashreplace").decode()


def status_json(status: Status) -> dict[str, object]:
    """Return the status of a repository for `status --json`."""
    plain = {name: value for name, value in status._asdict().items() if name not in {"identity", "sheet"}}
    plain["project_path"] = as_text(os.fsencode(status.project_path))
    agent = sheet_json(status.sheet, with_grades=True) if status.sheet else None
    return plain | {"identity": identity_json(status.identity), "agent": agent}
