"""What agent-tracker costs on this machine: hooks, push, flush, store and codec, each against a baseline.

Owns the store's and the codec's measurements and the figures as a whole. Works in a throwaway home alone: never opens
the user's database. Never prints.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from agent_tracker import packing
from agent_tracker.benches.bench_durability import DurabilityCost, measure_durability
from agent_tracker.benches.bench_facts import apply_facts, made_agents, made_commits
from agent_tracker.benches.bench_hooks import (
    CommitCost,
    FlushCost,
    PushCost,
    RebaseCost,
    added,
    alternate,
    measure_commits,
    measure_flush,
    measure_pushes,
    measure_rebases,
    register_agent,
)
from agent_tracker.benches.bench_others import OthersCost, measure_others
from agent_tracker.benches.bench_reading import ReadingCost, measure_reading
from agent_tracker.benches.throwaway import throwaway
from agent_tracker.errors import AgentTrackerError
from agent_tracker.records import ProjectFact
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_tracker.benches.throwaway import Throwaway
    from agent_tracker.packing import RawCommit
    from agent_tracker.tables import Snapshot

__all__ = ["Codec", "Figures", "Machine", "StoreSpeed", "bench"]

K = TypeVar("K")
ESTIMATOR = "median of the differences within a round, rounds in random order"
PROJECT = ProjectFact("0" * 36, b"/bench", b"", 1)
AUTHORS = 20
READABLE = 10_000
PASSES = 5
BYTES_A_COMMIT = 600
"""More than a commit takes, for the size that the database may grow to."""


class Machine(NamedTuple):
    """What the figures depend on, empty where it cannot be told; `load` is how many processes wanted a CPU before."""

    cpus: int
    load: float
    cpu: str
    system: str
    file_system: str
    shell: str
    git: str
    python: str


class StoreSpeed(NamedTuple):
    """The store: facts applied in one synced transaction, bytes a commit takes, reads at random within a snapshot."""

    facts: int
    facts_per_s: float
    bytes_per_commit: float
    records: int
    commit_reads_per_s: float
    agent_reads_per_s: float


class Codec(NamedTuple):
    """One way to pack a commit: rates, the size of a record, and what importing it adds to a bare interpreter."""

    name: str
    encodes_per_s: float
    decodes_per_s: float
    bytes_per_record: float
    import_ms: float


class Figures(NamedTuple):
    """Everything that was measured, and how long that took."""

    machine: Machine
    estimator: str
    commit: CommitCost
    push: PushCost
    flush: FlushCost
    store: StoreSpeed
    codecs: tuple[Codec, ...]
    took_s: float
    rebase: RebaseCost
    others: OthersCost
    reading: ReadingCost
    durability: DurabilityCost


def _say_nothing(_step: str) -> None:
    pass


def bench(*, commits: int, facts: int, progress: Callable[[str], None] = _say_nothing) -> Figures:
    """Measure everything in a throwaway home.

    Args:
        commits: Rounds of `git commit`, and of the cheaper pushes; the dearer processes get fewer.
        facts: Commit facts in one transaction.
        progress: Is told what is being measured.

    Raises:
        GitError: Git is not installed.
        AgentTrackerError: A step failed, or did not do what was to be measured.
    """
    try:
        with throwaway("at-bench-") as place:
            return _measure(place, commits, facts, progress)
    finally:
        progress("")


def _measure(place: Throwaway, commits: int, facts: int, progress: Callable[[str], None]) -> Figures:
    start = time.perf_counter()
    few = max(3, commits // 5)
    machine = _machine(place)
    progress(f"git commit, {commits} rounds")
    agent = register_agent(place)
    commit = measure_commits(place, agent, commits)
    progress(f"git push, {commits} rounds")
    push = measure_pushes(place, agent, commits, few)
    progress(f"git rebase, {few} rounds")
    rebase = measure_rebases(place, few)
    progress(f"other hook managers, {few} rounds")
    others = measure_others(place, few, os.getcwd())
    progress(f"a flush with nothing to do, {2 * few} rounds")
    flush = measure_flush(place, 2 * few)
    progress(f"the store, {facts} facts")
    store = _measure_store(place, facts)
    progress(f"reading commands, {few} rounds")
    reading = measure_reading(place, agent, few, commits=2 * facts)
    progress(f"check, backup and recovery, {facts} commits")
    durability = measure_durability(place, agent, facts)
    progress("codecs")
    codecs = _measure_codecs(place, few)
    took_s = time.perf_counter() - start
    return Figures(machine, ESTIMATOR, commit, push, flush, store, codecs, took_s, rebase, others, reading, durability)


# -- the machine -------------------------------------------------------------------------------------------------------


def _machine(place: Throwaway) -> Machine:
    return Machine(
        os.cpu_count() or 0,
        os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        _cpu(),
        f"{platform.system()} {platform.release()}",
        _file_system(place.root),
        os.path.realpath("/bin/sh"),
        place.must(["git", "--version"]).output.strip().removeprefix("git version "),
        f"{platform.python_implementation()} {platform.python_version()}",
    )


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()


def _file_system(path: str) -> str:
    """Return the type of the file system that `path` is on, where /proc tells."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split()[1:3] for line in file]
    except OSError:
        return ""
    # The last of equals: it was mounted over the others.
    over = [(len(point), kind) for point, kind in mounts if os.path.commonpath([point, path]) == point]
    longest = max((length for length, _ in over), default=0)
    return next((kind for length, kind in reversed(over) if length == longest), "")


# -- the store ---------------------------------------------------------------------------------------------------------


def _rate(count: int, took_s: Iterable[float]) -> float:
    return count / median(took_s)


def _measure_store(place: Throwaway, facts: int) -> StoreSpeed:
    """Apply the same facts to three new databases in turn; read from two more.

    Raises:
        AgentTrackerError: Not every fact arrived.
    """
    agents = made_agents(AUTHORS)
    commits = made_commits(facts, agents, PROJECT.id)
    took_s, bytes_per_commit = [], 0.0
    for number in range(3):
        path = place.path(f"store-{number}")
        store = Store(path, max(1 << 26, facts * BYTES_A_COMMIT))
        apply_facts(store, [PROJECT, *agents])
        took_s.append(apply_facts(store, commits))
        bytes_per_commit = os.stat(path).st_size / facts
        os.unlink(path)
    return StoreSpeed(
        facts, _rate(facts, took_s), bytes_per_commit, READABLE, _commit_reads(place), _agent_reads(place)
    )


def _commit_reads(place: Throwaway) -> float:
    agents = made_agents(AUTHORS)
    commits = made_commits(READABLE, agents, PROJECT.id)
    store = Store(place.path("commits"), READABLE * BYTES_A_COMMIT)
    apply_facts(store, [PROJECT, *agents, *commits])
    return _reads(store, lambda snapshot: snapshot.commit, [fact.oid for fact in commits])


def _agent_reads(place: Throwaway) -> float:
    agents = made_agents(READABLE)
    store = Store(place.path("agents"), READABLE * BYTES_A_COMMIT * 2)
    apply_facts(store, agents)
    return _reads(store, lambda snapshot: snapshot.agent, [fact.id for fact in agents])


def _reads(store: Store, reader: Callable[[Snapshot], Callable[[K], object]], keys: list[K]) -> float:
    """Return how many records a second one snapshot reads, each key once in random order, in the median pass."""
    took_s = []
    with store.snapshot() as snapshot:
        assert snapshot is not None  # noqa: S101 -- it was just written
        read = reader(snapshot)
        for number in range(PASSES):
            random.Random(number).shuffle(keys)  # noqa: S311 -- an order, not a secret
            start = time.perf_counter()
            for key in keys:
                read(key)
            took_s.append(time.perf_counter() - start)
            if read(keys[0]) is None:
                raise AgentTrackerError(f"a record is missing in {store.path}", "agent-tracker verify")
    return _rate(len(keys), took_s)


# -- the codec ---------------------------------------------------------------------------------------------------------


class _Commit(msgspec.Struct, array_like=True, frozen=True):
    """A commit as msgspec packs it most tightly."""

    oid: bytes
    project: int
    operation: str
    marks: int
    committed_at: int
    recorded_at: int
    subject: str


def _pack(raw: RawCommit) -> bytes:
    return packing.pack_commit(*raw[:6], raw[6].encode())


def _json_encode(raw: RawCommit) -> bytes:
    return json.dumps((raw[0].hex(), *raw[1:])).encode()


def _json_decode(value: bytes) -> RawCommit:
    oid, *rest = json.loads(value)
    return (bytes.fromhex(oid), *rest)


def _measure_codecs(place: Throwaway, rounds: int) -> tuple[Codec, ...]:
    """Measure each codec on the same records. Import times are whole processes against a bare interpreter."""
    rows: list[RawCommit] = [
        (fact.oid, 1, fact.operation, n % AUTHORS, fact.committed_at, fact.recorded_at, fact.subject)
        for n, fact in enumerate(made_commits(READABLE, made_agents(AUTHORS), PROJECT.id))
    ]
    import_ms = _measure_imports(place, rounds)
    structs = [_Commit(*row) for row in rows]
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Commit).decode
    return (
        _measure_codec("struct", import_ms, _pack, packing.unpack_commit, rows),
        _measure_codec("json", import_ms, _json_encode, _json_decode, rows),
        _measure_codec("msgspec", import_ms, encode, decode, structs),
    )


def _measure_imports(place: Throwaway, rounds: int) -> dict[str, float]:
    packages = os.path.dirname(os.path.dirname(msgspec.__file__))
    program = "import sys; sys.path.append(sys.argv[1])"
    imports = {name: f"{program}; import {name}" for name in ("struct", "json", "msgspec")}
    kinds = {
        name: lambda code=code: place.must([sys.executable, "-ISc", code, packages]).took_s
        for name, code in {"": program, **imports}.items()
    }
    times = alternate(rounds, kinds)
    return {name: added(times, name, "") for name in imports}


def _measure_codec(
    name: str,
    import_ms: dict[str, float],
    encode: Callable[[K], bytes],
    decode: Callable[[bytes], object],
    records: list[K],
) -> Codec:
    encoding_s, decoding_s, size = [], [], 0
    for _ in range(PASSES):
        start = time.perf_counter()
        packed = [encode(record) for record in records]
        encoded = time.perf_counter()
        unpacked = [decode(value) for value in packed]
        decoding_s.append(time.perf_counter() - encoded)
        encoding_s.append(encoded - start)
        size = sum(map(len, packed))
        if unpacked != records:
            raise AgentTrackerError(f"{name} does not give back what it was given")
    count = len(records)
    return Codec(name, _rate(count, encoding_s), _rate(count, decoding_s), size / count, import_ms[name])
