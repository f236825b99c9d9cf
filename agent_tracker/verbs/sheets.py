"""The agents' sheets, read from a moment's store: one of them, or all.

Owns bringing together what they show. Never prints and never changes anything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_tracker import journal_tables
from agent_tracker.config import valid_rules
from agent_tracker.errors import UsageError
from agent_tracker.registration import Roster, check_registration
from agent_tracker.verbs.reading import agents_of
from agent_tracker.views.sheet import Sheet, homes, new_agent, sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.context import Context
    from agent_tracker.derived import Tally
    from agent_tracker.records import Agent
    from agent_tracker.tables import Snapshot

__all__ = ["find_sheet", "read_sheet", "read_sheets", "seen_since"]

DAY_S = 86400
DATE = "%Y-%m-%d"


def read_sheets(snapshot: Snapshot | None, context: Context, project: str) -> list[Sheet]:
    """Return the sheet of every agent, in the order of the ids, without their grades one by one.

    Args:
        snapshot: The store; None where there is none yet.
        context: Paths, environment, time.
        project: The UUID of the project at hand; empty for none.
    """
    rules = _rules(snapshot, context)
    agents = sorted(agents_of(snapshot, context))
    if snapshot is None:
        return [sheet(agent, rules, done={}, places={}, here=() if project else None) for agent in agents]
    here = snapshot.joined_projects(project) if project else None
    places = homes(snapshot.numbered_projects())
    numbers = {agent_id: number for agent_id, (_, number) in snapshot.numbered_agents().items()}
    done: dict[int, dict[int, Tally]] = {}
    for place, tally in journal_tables.tallies(snapshot).items():
        done.setdefault(place.agent, {})[place.project] = tally
    nothing: Mapping[int, Tally] = {}
    return [
        sheet(agent, rules, done=done.get(numbers.get(agent.id, -1), nothing), places=places, here=here)
        for agent in agents
    ]


def read_sheet(snapshot: Snapshot | None, context: Context, agent: Agent, project: str) -> Sheet:
    """Return the sheet of one agent: the arguments are those of `read_sheets`."""
    rules = _rules(snapshot, context)
    known = snapshot.numbered_agents().get(agent.id) if snapshot else None
    if snapshot is None or known is None:
        return sheet(agent, rules, done={}, places={}, here=() if project else None)
    return sheet(
        agent,
        rules,
        done={place.project: tally for place, tally in journal_tables.tallies(snapshot, known[1]).items()},
        places=homes(snapshot.numbered_projects()),
        here=snapshot.joined_projects(project) if project else None,
        recent=journal_tables.career_grades(snapshot, known[1]),
    )


def find_sheet(snapshot: Snapshot | None, context: Context, text: str, project: str) -> Sheet:
    """Return the sheet of the agent that `text` names by id or name; of one that nobody knows, what it begins with.

    Raises:
        RegistrationError: Several agents have that name, or none can.
    """
    roster = Roster(agents_of(snapshot, context))
    if roster.named(text):
        return read_sheet(snapshot, context, roster.one(text), project)
    check_registration(text, "any", "any")
    rules = _rules(snapshot, context)
    return sheet(new_agent(text, rules), rules, done={}, places={}, is_registered=False)


def seen_since(text: str, now: int, *, option: str = "--seen-since") -> int:
    """Return the time (Unix seconds) that a day or a number of days means.

    Args:
        text: `2026-11-20` (local time) or `30d`.
        now: Unix seconds.
        option: What it was given as.

    Raises:
        UsageError: It means neither.
    """
    days = text[:-1]
    try:
        if text[-1:] == "d" and days.isascii() and days.isdecimal():
            return max(1, now - int(days) * DAY_S)
        return max(1, int(time.mktime(time.strptime(text, DATE))))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option} {text[:40]!r} is neither a day nor a number of days",
            f"for example: {option} 2026-11-20, {option} 30d",
        ) from error


def _rules(snapshot: Snapshot | None, context: Context) -> Mapping[str, int]:
    return snapshot.timeline().current if snapshot else valid_rules(context.paths)
