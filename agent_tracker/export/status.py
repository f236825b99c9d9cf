"""`.agent/status.json`: the sheet of each agent in a project.

Owns that shape. `here` is what an agent did in this project and its clones; all else is its standing over all projects.
Times are ISO 8601, UTC. There is no time of writing in it: it changes when what it says does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_tracker.records import MICRO, Agent
from agent_tracker.rules import score_tier, trust_tier
from agent_tracker.xp import level_micro

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.derived import Tally
    from agent_tracker.export.base import ProjectView

__all__ = ["DIRECTORY", "FORMAT_VERSION", "IGNORED", "MARK", "write"]

FORMAT_VERSION = 1
"""1: written_by, format_version, project_id, agents."""

DIRECTORY = ".agent"
FILE = "status.json"
MARK = '{\n  "written_by": "agent-tracker",\n'
IGNORED: tuple[str, ...] = (f"/{DIRECTORY}/{FILE}",)


def write(view: ProjectView, out: dict[str, str]) -> None:
    """Put `status.json` into `out`; nothing where no agent did anything yet."""
    import json  # noqa: PLC0415 -- 6 ms, for those alone who asked for an export

    if not view.agents:
        return
    document = {
        "written_by": "agent-tracker",
        "format_version": FORMAT_VERSION,
        "project_id": view.project,
        "agents": [_sheet(agent, tally, view.rules) for agent, tally in view.agents],
    }
    out[FILE] = json.dumps(document, indent=2) + "\n"


def _sheet(agent: Agent, here: Tally, rules: Mapping[str, int]) -> dict[str, object]:
    standing = agent.standing
    return {
        "id": agent.id,
        "name": agent.name,
        "model": agent.model,
        "scope": agent.scope,
        "client": agent.client or None,
        "active": agent.active,
        "halted": standing.is_halted,
        "trust_tier": trust_tier(standing.skill_points, rules),
        "skill_points": standing.skill_points,
        "experience_points": standing.experience_micro / MICRO,
        "next_level_at": level_micro(standing.skill_points, rules) / MICRO,
        "communication_score": standing.communication_score,
        "score_tier": score_tier(standing.communication_score, rules),
        "total_commits": standing.total_commits,
        "total_bugs": standing.total_bugs,
        "here": {
            "commits": here.commits,
            "experience_earned": here.earned_micro / MICRO,
            "grades": here.grades,
            "bugs": here.bugs,
            "last_commit_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(here.last_at)) if here.last_at else None,
        },
    }
