"""Sessions: what was done in each of them, and which commits are theirs.

Owns that view. Pure: the facts, the commits of the time in question and their marks are passed in.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.marks import named_sessions
from agent_tracker.records import COUNTED, main_agent
from agent_tracker.xp import pulse_micro

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_tracker.derived import SessionState
    from agent_tracker.journal import PulseFact, SessionFact
    from agent_tracker.records import Commit, Marks, Turns
    from agent_tracker.rules import Timeline

__all__ = ["SLACK_S", "Held", "Metrics", "Moment", "assign", "experience", "metrics", "moments", "spans", "state_word"]

NS = 10**9
SLACK_S = 3600
"""How long before a session's beginning and after its end a commit that names it may say that it was made."""


class Held(NamedTuple):
    """A session as it began, and how it stands."""

    fact: SessionFact
    state: SessionState

    @property
    def first_at(self) -> int:
        """When it began; Unix seconds."""
        return self.fact.recorded_ns // NS

    def last_at(self, now: int) -> int:
        """Return when it ended, or now where it is open; Unix seconds."""
        return max(self.first_at, self.state.ended_ns // NS if self.state.ended_ns else now)


class Metrics(NamedTuple):
    """What was used up to a moment: successful uses of tools, successful commands, failures of both, commits.

    Response times are in milliseconds; of `responses` the client told how long they took.
    """

    tools: int
    commands: int
    failures: int
    commits: int
    duration_s: int
    responses: int
    response_ms: int
    slowest_ms: int

    @property
    def mean_ms(self) -> int | None:
        """How long a response took on average, None where none was told."""
        return self.response_ms // self.responses if self.responses else None


class Moment(NamedTuple):
    """A session when it went idle or ended (Unix nanoseconds), and all it had used by then."""

    at_ns: int
    what: str
    metrics: Metrics


def state_word(state: SessionState) -> str:
    """Return how a session stands: open, idle, ended or interrupted."""
    if state.ended_ns:
        return "ended" if state.end == "end" else state.end
    return "idle" if state.is_idle else "open"


def spans(sessions: Iterable[Held], now: int) -> list[tuple[int, int]]:
    """Return the times in which commits of these sessions may lie: (first, last) in Unix seconds, apart, ascending."""
    found: list[tuple[int, int]] = []
    for first, last in sorted((each.first_at - SLACK_S, each.last_at(now) + SLACK_S) for each in sessions):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def assign(
    sessions: Sequence[Held], commits: Iterable[Commit], marks_of: Callable[[int], Marks], *, now: int
) -> dict[str, list[Commit]]:
    """Return each session's commits, in the order in which they are given.

    A commit is the session's that its marks name. One that names none is its agent's only session's that was open then
    in its project.

    Args:
        sessions: All that are known, for it depends on the others too.
        commits: Of the time in question, whatever their status.
        marks_of: Returns marks by their number.
        now: Unix seconds.
    """
    known = {each.fact.id for each in sessions}
    alone = _alone(sessions, now)
    named: dict[int, str] = {}
    found: dict[str, list[Commit]] = {}
    for commit in commits:
        session = named.get(commit.marks)
        if session is None:
            ids = named_sessions(marks_of(commit.marks))
            session = named[commit.marks] = next((name for name in ids if name in known), "")
        if not session:
            starts, only = alone.get((main_agent(commit.credits), commit.project), ((), ()))
            index = bisect_right(starts, commit.committed_at)
            session = only[index - 1] if index else ""
        if session:
            found.setdefault(session, []).append(commit)
    return found


def _alone(sessions: Iterable[Held], now: int) -> dict[tuple[str, str], tuple[list[int], list[str]]]:
    """Return, by agent and project, from when on (Unix seconds) which session was the only one open, empty for none."""
    changes: dict[tuple[str, str], list[tuple[int, str, bool]]] = {}
    for each in sessions:
        # A commit's time is in whole seconds: one of the second in which a session began may have been before it.
        surely_at = -(-each.fact.recorded_ns // NS)
        ended_at = max(surely_at, each.last_at(now) + 1)
        changes.setdefault((each.fact.agent, each.fact.project), []).extend(
            ((each.first_at, each.fact.id, False), (surely_at, each.fact.id, True), (ended_at, each.fact.id, False))
        )
    found = {}
    for place, of_agent in changes.items():
        starts: list[int] = []
        only: list[str] = []
        maybe_open: set[str] = set()
        surely_open: set[str] = set()
        for at, session, is_sure in sorted(of_agent):
            if is_sure:
                surely_open.add(session)
            else:
                maybe_open ^= {session}
            starts.append(at)
            only.append(next(iter(maybe_open)) if len(maybe_open) == 1 and maybe_open <= surely_open else "")
        found[place] = (starts, only)
    return found


def metrics(each: Held, commits: Sequence[Commit], *, now: int) -> Metrics:
    """Return what a session used, until its end or now (Unix seconds)."""
    state = each.state
    used = (state.tools, state.commands, state.failures, len(commits), each.last_at(now) - each.first_at)
    return Metrics(*used, state.responses, state.response_ms, state.slowest_ms)


def moments(each: Held, pulses: Iterable[PulseFact], commits: Sequence[Commit]) -> list[Moment]:
    """Return a session's metrics as of each time that it went idle or ended, the oldest first."""
    found = []
    tools = commands = failures = responses = response_ms = slowest_ms = 0
    for pulse in sorted(pulses, key=lambda pulse: (pulse.recorded_ns, pulse.id)):
        tools, commands, failures = tools + pulse.tools, commands + pulse.commands, failures + pulse.failures
        responses, response_ms = responses + pulse.responses, response_ms + pulse.response_ms
        slowest_ms = max(slowest_ms, pulse.slowest_ms)
        if pulse.what in {"idle", "end"}:
            at = pulse.recorded_ns // NS
            made = sum(1 for commit in commits if min(commit.committed_at, commit.recorded_at) <= at)
            used = (tools, commands, failures, made, max(0, at - each.first_at))
            found.append(Moment(pulse.recorded_ns, pulse.what, Metrics(*used, responses, response_ms, slowest_ms)))
    return found


def experience(turns: Turns, pulses: Iterable[PulseFact], commits: Iterable[Commit], timeline: Timeline) -> int:
    """Return what a session's agents earned in it, by its commits that count and by what it used; in millionths."""
    agents = {agent for _, agent in turns}
    used = sum(pulse_micro(pulse, timeline) for pulse in pulses)
    made = sum(
        timeline.commit_micro(share, commit.earned_at)
        for commit in commits
        for agent, share in commit.credits
        if agent in agents and commit.status == COUNTED
    )
    return used + made
