"""Setups compared: which instruction files a project's commits were made with, and by whom.

Owns that view. Pure over `Facts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import UsageError
from agent_tracker.instructions import Change, Setup, compare, setup_of
from agent_tracker.records import COUNTED, HUMAN, UNCLAIMED, main_agent
from agent_tracker.views.judged import UNJUDGED, Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_tracker.instructions import Files
    from agent_tracker.records import Commit, Credits
    from agent_tracker.views.base import Facts

__all__ = ["SetupUse", "find_setups", "setups"]

NOTHING = Change((), (), ())


class SetupUse(NamedTuple):
    """What was done in one project with one setup.

    `fingerprint` is empty for the commits whose setup is not known. Times are Unix seconds. `agents` are (agent id,
    HUMAN or UNCLAIMED; commits), the most first. `change` is from the setup that came into use before this one. `score`
    is what the grades add up to.
    """

    fingerprint: str
    project_path: bytes
    files: Files
    commits: int
    first_at: int
    last_at: int
    agents: tuple[tuple[str, int], ...]
    change: Change
    grades: int = 0
    score: int = 0
    bugs: int = 0


class _Use:
    """One setup's commits, gone through from the newest to the oldest."""

    def __init__(self, setup: Setup, at: int) -> None:
        self.setup = setup
        self.first_at = self.last_at = at
        self.age = 0
        self.agents: dict[str, int] = {}
        self.judged = UNJUDGED

    def add(self, commit: Commit, age: int, said: Judgement) -> None:
        self.first_at, self.age = commit.committed_at, age
        name = _maker(commit.credits)
        self.agents[name] = self.agents.get(name, 0) + 1
        if said is not UNJUDGED:
            self.judged = Judgement(*(a + b for a, b in zip(self.judged, said, strict=True)))

    def finished(self, path: bytes, before: _Use | None) -> SetupUse:
        agents = tuple(sorted(self.agents.items(), key=lambda item: (-item[1], item[0])))
        fingerprint, files = self.setup
        change = compare(before.setup.files, files) if before else NOTHING
        commits = sum(self.agents.values())
        return SetupUse(fingerprint, path, files, commits, self.first_at, self.last_at, agents, change, *self.judged)


def setups(facts: Facts, *, project: str | None, judged: Mapping[bytes, Judgement]) -> list[SetupUse]:
    """Return every setup that counted commits were made with, the one that came into use last first.

    Args:
        facts: The snapshot.
        project: A project's UUID, its clones included; None for all, each by itself.
        judged: What was said of which commit, by oid.
    """
    by_marks: dict[int, Setup] = {}
    found = []
    for path, numbers in _projects(facts, project):
        uses = _uses(facts, numbers, by_marks, judged)
        ordered = sorted(uses.values(), key=lambda use: use.age)
        known = [use for use in ordered if use.setup.fingerprint]
        before = dict(zip((use.setup.fingerprint for use in known), known[1:], strict=False))
        found += [use.finished(path, before.get(use.setup.fingerprint)) for use in ordered]
    return sorted(found, key=lambda use: use.first_at, reverse=True)


def _projects(facts: Facts, project: str | None) -> list[tuple[bytes, tuple[int, ...]]]:
    """Return each project's path and numbers; clones are one project, at the path that was met last."""
    wanted = [fact for fact in facts.projects() if project in {None, fact.id}]
    paths = {tuple(facts.joined_projects(fact.id)): fact.path for fact in wanted}
    return [(path, numbers) for numbers, path in paths.items()]


def _uses(
    facts: Facts, numbers: Iterable[int], by_marks: dict[int, Setup], judged: Mapping[bytes, Judgement]
) -> dict[str, _Use]:
    """Return the setups of one project, by their fingerprints.

    Args:
        facts: The snapshot.
        numbers: Of the project and its clones.
        by_marks: The setups that are known by the numbers of the marks, and those that are met.
        judged: What was said of which commit.
    """
    uses: dict[str, _Use] = {}
    for age, commit in enumerate(facts.commits(numbers)):
        if commit.status == COUNTED:
            setup = by_marks.get(commit.marks)
            if setup is None:
                setup = by_marks[commit.marks] = setup_of(facts.marks(commit.marks))
            use = uses.get(setup.fingerprint)
            if use is None:
                use = uses[setup.fingerprint] = _Use(setup, commit.committed_at)
            use.add(commit, age, judged.get(commit.oid, UNJUDGED))
    return uses


def _maker(credits: Credits) -> str:
    """Return who made a commit: its main agent, else a person, else nobody we know."""
    return main_agent(credits) or (HUMAN if credits[0][0] == HUMAN else UNCLAIMED)


def find_setups(uses: Sequence[SetupUse], text: str) -> list[SetupUse]:
    """Return the uses of the one setup whose fingerprint begins with `text`, one for each project.

    Raises:
        UsageError: None does, or several do.
    """
    fingerprints = {use.fingerprint for use in uses if use.fingerprint}
    matching = {text} & fingerprints or {each for each in fingerprints if text and each.startswith(text)}
    if not matching:
        raise UsageError(f"no setup {text[:40]!r} among the commits recorded here", "agent-tracker setups")
    if len(matching) > 1:
        raise UsageError(f"{text!r} begins several fingerprints", f"one of: {', '.join(sorted(matching))}")
    return [use for use in uses if use.fingerprint in matching]
