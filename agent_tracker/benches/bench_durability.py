"""What keeping the store safe costs: checking all of it, a backup, and a recovery from backup, segments and git.

Owns those measurements and the proof that nothing was gone after the recovery. Never prints.
"""

from __future__ import annotations

import os
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.benches.bench_facts import apply_facts, made_agents, made_commits
from agent_tracker.benches.bench_hooks import BenchRepository
from agent_tracker.context import Context, open_store
from agent_tracker.durability.backups import make_backup
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.recovery import recover
from agent_tracker.errors import AgentTrackerError
from agent_tracker.paths import user_paths
from agent_tracker.records import ProjectFact
from agent_tracker.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.benches.throwaway import Throwaway
    from agent_tracker.store import Store

__all__ = ["DurabilityCost", "measure_durability"]

PROJECT = ProjectFact("0" * 36, b"/bench", b"", 1)
AUTHORS = 20
PASSES = 3
SINCE = 10
"""How many commits are flushed between the backup and the damage."""

PAGE_BYTES = 4096


class DurabilityCost(NamedTuple):
    """What it takes with so many commits in the store, in seconds.

    `check_s`: every page, checksum and count, by a process of its own, as before the store is opened where somebody
    else was at it. `verify_s`: that, and all standings against the fold over all facts. `backup_s`: a compact copy,
    read in full. `recovery_s`: finding the damage, the backup checked and put in place, segments and git read.
    """

    commits: int
    check_s: float
    verify_s: float
    backup_s: float
    recovery_s: float


def measure_durability(place: Throwaway, agent: str, commits: int) -> DurabilityCost:
    """Measure all of it on one store.

    Raises:
        AgentTrackerError: A step failed, or something was gone after the recovery.
    """
    env = {**place.env, "AGENT_TRACKER_DATABASE_PATH": place.path("durable.lmdb")}
    place.env["AGENT_TRACKER_DATABASE_PATH"] = env["AGENT_TRACKER_DATABASE_PATH"]
    try:
        context = Context(user_paths(env), env, time.time_ns())
        repository = BenchRepository(place, "durable", is_ours=True)
        repository.tracker("flush")
        store, _ = open_store(context)
        agents = made_agents(AUTHORS)
        apply_facts(store, [PROJECT, *agents, *made_commits(commits, agents, PROJECT.id)])
        check_s = _timed(lambda: _must_pass(store))
        verify_s = check_s + _timed(lambda: _must_verify(store))
        numbers = iter(range(PASSES))
        backup_s = _timed(
            lambda: make_backup(store, now=context.now + next(numbers), limit=PASSES, timeout_s=10), passes=PASSES
        )
        repository.commit_many(SINCE, agent)
        repository.tracker("flush")
        return DurabilityCost(commits, check_s, verify_s, backup_s, _recover(store, context))
    finally:
        del place.env["AGENT_TRACKER_DATABASE_PATH"]


def _timed(work: Callable[[], object], *, passes: int = PASSES) -> float:
    took_s = []
    for _ in range(passes):
        start = time.perf_counter()
        work()
        took_s.append(time.perf_counter() - start)
    return median(took_s)


def _must_pass(store: Store) -> None:
    problems = check_file(store.path).problems
    if problems:
        raise AgentTrackerError(f"the store does not pass its check: {problems[0]}", "agent-tracker verify")


def _must_verify(store: Store) -> None:
    with store.snapshot() as snapshot:
        problems = verify(snapshot).problems if snapshot else ("it is not there",)
    if problems:
        raise AgentTrackerError(f"the store does not follow from its facts: {problems[0]}", "agent-tracker verify")


def _recover(store: Store, context: Context) -> float:
    """Damage the store, recover it, and return how many seconds that took."""
    _damage(store)
    start = time.perf_counter()
    done = recover(context)
    took_s = time.perf_counter() - start
    if done is None or done.gone or done.unsure or done.commits + done.from_damaged < SINCE:
        raise AgentTrackerError(f"the store was not recovered: {done}", "agent-tracker recover")
    return took_s


def _damage(store: Store) -> None:
    """Put zeros in the place of a page that is in use, from the middle of the file on."""
    pages = os.path.getsize(store.path) // PAGE_BYTES
    for page in range(pages // 2, pages):
        with open(store.path, "r+b") as file:
            file.seek(page * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))
        if check_file(store.path).problems:
            return
