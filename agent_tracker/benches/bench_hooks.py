"""What the hooks and a flush cost: whole processes of git and agent-tracker in throwaway repositories.

Owns those measurements and the proof that what was measured did its work. Never reports a time without the time of
its baseline from the same rounds, and never prints.

In each round every kind runs once, in random order, and the estimate is the median of the differences within a round:
a machine that is busy for a second slows both sides of a difference. In series of 100 rounds it scattered less than
the difference of two medians: a fifth as much on a quiet machine, three quarters on a busy one.
"""

from __future__ import annotations

import json
import os
import random
import sys
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.benches.throwaway import EMPTY_HOOK, NO_PROGRAMS_HINT, write_program
from agent_tracker.errors import AgentTrackerError
from agent_tracker.paths import RepositoryPaths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_tracker.benches.throwaway import Throwaway

__all__ = [
    "BenchRepository",
    "CommitCost",
    "FlushCost",
    "PushCost",
    "RebaseCost",
    "added",
    "alternate",
    "measure_commits",
    "measure_flush",
    "measure_pushes",
    "measure_rebases",
    "ratio",
    "register_agent",
]

SPOOLED = 10
REBASED = 30
WARM_UP = 3
RESAMPLES = 400
AGENT_TRACKER = (sys.executable, "-c", "import sys; from agent_tracker.__main__ import main; sys.exit(main())")
"""What the installed `agent-tracker` runs, without looking for it on the PATH."""
IMPORT_LMDB = (sys.executable, "-ISc", "import sys; sys.path.append(sys.argv[1]); import lmdb")
COMMIT = ("git", "commit", "--quiet", "--allow-empty", "--message", "x")

Range = tuple[float, float]
"""Where 90 % of the ratios lie when the rounds are drawn anew, with repetition: how far the noise reaches."""


class CommitCost(NamedTuple):
    """What hooks add to `git commit`, in ms; ratios against what two empty hooks add."""

    rounds: int
    no_hooks_ms: float
    empty_hooks_add_ms: float
    person_add_ms: float
    person_ratio: float
    person_ratio_range: Range
    agent_add_ms: float
    agent_ratio: float
    agent_ratio_range: Range


class PushCost(NamedTuple):
    """What pre-push adds to `git push`, in ms: with an empty spool, and where it flushes ten commits."""

    rounds: int
    no_hook_ms: float
    empty_hook_add_ms: float
    empty_spool_add_ms: float
    empty_spool_ratio: float
    empty_spool_ratio_range: Range
    flush_rounds: int
    flushed_commits: int
    flush_add_ms: float


class RebaseCost(NamedTuple):
    """What hooks add to a `git rebase` of some commits, in ms; the ratio against what an empty post-commit adds."""

    rounds: int
    rebased_commits: int
    no_hooks_ms: float
    empty_hook_add_ms: float
    ours_add_ms: float
    ours_ratio: float
    ours_ratio_range: Range


class FlushCost(NamedTuple):
    """A flush with nothing to do, and `python -IS` that imports lmdb: whole processes, in ms."""

    rounds: int
    nothing_to_do_ms: float
    import_lmdb_ms: float
    ratio: float


def alternate(rounds: int, kinds: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return each kind's times in ms, round by round; in a round every kind runs once, in random order.

    The first rounds, which warm up caches, are left out.
    """
    shuffled = random.Random(rounds)  # noqa: S311 -- an order, not a secret
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for round_number in range(-WARM_UP, rounds):
        for name in shuffled.sample(list(kinds), len(kinds)):
            took_s = kinds[name]()
            if round_number >= 0:
                times[name].append(took_s * 1000)
    return times


def added(times: Mapping[str, list[float]], kind: str, base: str) -> float:
    """Return the median of what `kind` took longer than `base` in the same round."""
    return median(one - other for one, other in zip(times[kind], times[base], strict=True))


def ratio(times: Mapping[str, list[float]], kind: str) -> tuple[float, Range]:
    """Return what `kind` adds to `none` as a multiple of what `empty` adds to it, and where that would mostly lie.

    It is 0 where noise has eaten up the baseline.
    """
    rounds = list(zip(times["none"], times["empty"], times[kind], strict=True))
    chance = random.Random(len(rounds))  # noqa: S311 -- a sample, not a secret
    again = sorted(_ratio(chance.choices(rounds, k=len(rounds))) for _ in range(RESAMPLES))
    tail = RESAMPLES // 20
    return _ratio(rounds), (again[tail], again[-tail - 1])


def _ratio(rounds: Sequence[tuple[float, float, float]]) -> float:
    base = median(empty - none for none, empty, _ in rounds)
    return median(ours - none for none, _, ours in rounds) / base if base > 0 else 0.0


class BenchRepository:
    """A throwaway repository and the commands that are timed in it."""

    def __init__(
        self, place: Throwaway, name: str, *, empty_hooks: tuple[str, ...] = (), is_ours: bool = False
    ) -> None:
        self._place = place
        self.path = place.path(name)
        self._spool = os.path.join(RepositoryPaths(os.path.join(self.path, ".git")).spool_dir, "spool")
        place.must(["git", "init", "--quiet", "--template=", self.path])
        hooks = os.path.join(self.path, ".git", "hooks")
        os.makedirs(hooks, exist_ok=True)
        for hook in empty_hooks:
            write_program(os.path.join(hooks, hook), EMPTY_HOOK)
        if is_ours:
            self.tracker("install-hooks")

    def git(self, *argv: str) -> float:
        """Run git and return how many seconds that took."""
        return self._place.must(["git", *argv], cwd=self.path).took_s

    def tracker(self, *argv: str) -> str:
        """Run agent-tracker and return what it prints."""
        return self._place.must([*AGENT_TRACKER, *argv], cwd=self.path).output

    def commit(self, agent: str = "") -> float:
        """Make an empty commit as a person or an agent, and return how many seconds that took."""
        env = {"AGENT_TRACKER_AGENT": agent} if agent else {}
        return self._place.must(COMMIT, cwd=self.path, env=env).took_s

    def commit_many(self, count: int, agent: str = "") -> None:
        """Make some empty commits."""
        for _ in range(count):
            self.commit(agent)

    def add_remote(self) -> None:
        """Make a bare remote, and two commits to push to it in turn."""
        remote = self.path + ".git"
        self._place.must(["git", "init", "--quiet", "--bare", "--template=", remote])
        self.git("remote", "add", "origin", remote)
        self.commit()
        self.commit()
        self._is_newer = True

    def push_other(self) -> float:
        """Move the remote's branch to the other one of the two last commits."""
        self._is_newer = not self._is_newer
        return self.git("push", "--quiet", "--force", "origin", f"HEAD{'' if self._is_newer else '~'}:refs/heads/other")

    def push(self) -> float:
        """Push the main branch and return how many seconds that took."""
        return self.git("push", "--quiet", "origin", "main")

    def add_branch(self) -> None:
        """Make two bases, and thirty commits of one file each to be rebased from one to the other in turn."""
        self.commit()
        self.git("branch", "base")
        self.commit()
        self.git("branch", "other")
        for number in range(REBASED):
            name = f"file-{number}"
            with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
                file.write(f"{number}\n")
            self.git("add", name)
            self.git("commit", "--quiet", "--message", name)
        self._is_newer = True

    def rebase(self) -> float:
        """Rebase the thirty commits onto the base on which they are not."""
        here, there = ("other", "base") if self._is_newer else ("base", "other")
        self._is_newer = not self._is_newer
        return self.git("rebase", "--quiet", "--onto", there, here)

    def spooled(self) -> list[str]:
        """Return the spool's lines."""
        try:
            with open(self._spool, encoding="utf-8") as file:
                return [line for line in file if line.strip()]
        except FileNotFoundError:
            return []

    def expect_spooled(self, count: int, agent: str = "") -> None:
        """Check that the hooks recorded each commit, so that no time is given for hooks that do nothing.

        Raises:
            AgentTrackerError: They did not.
        """
        found = sum(1 for line in self.spooled() if f"\t{agent or 'human'}\t" in line)
        if found != count:
            raise AgentTrackerError(f"the hooks recorded {found} of {count} commits in {self.path}", NO_PROGRAMS_HINT)


def register_agent(place: Throwaway) -> str:
    """Register an agent in the throwaway home and return its id."""
    argv = ["register", "bench", "--model", "model", "--scope", "all", "--json"]
    return str(json.loads(place.must([*AGENT_TRACKER, *argv]).output)["agent"]["id"])


def measure_commits(place: Throwaway, agent: str, rounds: int) -> CommitCost:
    """Measure `git commit` without hooks, with two empty ones, and with ours as a person and as a registered agent.

    Raises:
        AgentTrackerError: A command failed, or the hooks did not record what they should.
    """
    plain = BenchRepository(place, "none")
    empty = BenchRepository(place, "empty", empty_hooks=("pre-commit", "post-commit"))
    person = BenchRepository(place, "person", is_ours=True)
    agents = BenchRepository(place, "agent", is_ours=True)
    kinds = {
        "none": plain.commit,
        "empty": empty.commit,
        "person": person.commit,
        "agent": lambda: agents.commit(agent),
    }
    times = alternate(rounds, kinds)
    person.expect_spooled(rounds + WARM_UP)
    agents.expect_spooled(rounds + WARM_UP, agent)
    person_ratio, agent_ratio = ratio(times, "person"), ratio(times, "agent")
    return CommitCost(
        rounds=rounds,
        no_hooks_ms=median(times["none"]),
        empty_hooks_add_ms=added(times, "empty", "none"),
        person_add_ms=added(times, "person", "none"),
        person_ratio=person_ratio[0],
        person_ratio_range=person_ratio[1],
        agent_add_ms=added(times, "agent", "none"),
        agent_ratio=agent_ratio[0],
        agent_ratio_range=agent_ratio[1],
    )


def measure_pushes(place: Throwaway, agent: str, rounds: int, flush_rounds: int) -> PushCost:
    """Measure `git push` to a bare remote with an empty spool, then with an agent's ten commits in it.

    Raises:
        AgentTrackerError: A command failed, or a push did not flush.
    """
    plain = BenchRepository(place, "push-none")
    empty = BenchRepository(place, "push-empty", empty_hooks=("pre-push",))
    ours = BenchRepository(place, "push-ours", is_ours=True)
    for repository in (plain, empty, ours):
        repository.add_remote()
    ours.tracker("flush")
    kinds = {"none": plain.push_other, "empty": empty.push_other, "ours": ours.push_other}
    times = alternate(rounds, kinds)

    def push_ten() -> float:
        ours.commit_many(SPOOLED, agent)
        ours.expect_spooled(SPOOLED, agent)
        took_s = ours.push()
        ours.expect_spooled(0, agent)
        return took_s

    def push_ten_unseen() -> float:
        empty.commit_many(SPOOLED)
        return empty.push()

    flushing = alternate(flush_rounds, {"empty": push_ten_unseen, "ours": push_ten})
    ours_ratio = ratio(times, "ours")
    return PushCost(
        rounds=rounds,
        no_hook_ms=median(times["none"]),
        empty_hook_add_ms=added(times, "empty", "none"),
        empty_spool_add_ms=added(times, "ours", "none"),
        empty_spool_ratio=ours_ratio[0],
        empty_spool_ratio_range=ours_ratio[1],
        flush_rounds=flush_rounds,
        flushed_commits=SPOOLED,
        flush_add_ms=added(flushing, "ours", "empty"),
    )


def measure_rebases(place: Throwaway, rounds: int) -> RebaseCost:
    """Measure `git rebase` of thirty commits to and fro: without hooks, with an empty post-commit, and with ours.

    Raises:
        AgentTrackerError: A command failed, or the hooks did not record what became of the commits.
    """
    plain = BenchRepository(place, "rebase-none")
    empty = BenchRepository(place, "rebase-empty", empty_hooks=("post-commit",))
    ours = BenchRepository(place, "rebase-ours")
    for repository in (plain, empty, ours):
        repository.add_branch()
    ours.tracker("install-hooks")
    times = alternate(rounds, {"none": plain.rebase, "empty": empty.rebase, "ours": ours.rebase})
    told = sum(1 for line in ours.spooled() if "\trewrite\trebase\t" in line)
    expected = REBASED * (rounds + WARM_UP)
    if told != expected:
        raise AgentTrackerError(f"the hooks recorded {told} of {expected} rewrites in {ours.path}", NO_PROGRAMS_HINT)
    ours_ratio = ratio(times, "ours")
    return RebaseCost(
        rounds=rounds,
        rebased_commits=REBASED,
        no_hooks_ms=median(times["none"]),
        empty_hook_add_ms=added(times, "empty", "none"),
        ours_add_ms=added(times, "ours", "none"),
        ours_ratio=ours_ratio[0],
        ours_ratio_range=ours_ratio[1],
    )


def measure_flush(place: Throwaway, rounds: int) -> FlushCost:
    """Measure a second flush with nothing to do against an interpreter that imports lmdb and nothing else.

    Raises:
        AgentTrackerError: A command failed, or there was something to do.
    """
    repository = BenchRepository(place, "flush", is_ours=True)
    repository.commit()
    repository.tracker("flush")
    said = repository.tracker("flush")
    if not said.startswith("Nothing"):
        raise AgentTrackerError(f"a second flush in {repository.path} said: {said.strip()}", "agent-tracker verify")
    lmdb = find_spec("lmdb")
    assert lmdb is not None  # noqa: S101 -- the flush just used it
    assert lmdb.origin is not None  # noqa: S101 -- as above
    packages = os.path.dirname(os.path.dirname(lmdb.origin))
    kinds = {
        "flush": lambda: place.must([*AGENT_TRACKER, "flush"], cwd=repository.path).took_s,
        "lmdb": lambda: place.must([*IMPORT_LMDB, packages]).took_s,
    }
    times = alternate(rounds, kinds)
    flush, base = median(times["flush"]), median(times["lmdb"])
    ratios = (one / other for one, other in zip(times["flush"], times["lmdb"], strict=True))
    return FlushCost(rounds, flush, base, median(ratios))
