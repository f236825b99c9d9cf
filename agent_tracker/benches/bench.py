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
from agent_tracker.apply import apply
from agent_tracker.benches.bench_hooks import (
    CommitCost,
    FlushCost,
    PushCost,
    Range,
    RebaseCost,
    added,
    alternate,
    measure_commits,
    measure_flush,
    measure_pushes,
    measure_rebases,
    register_agent,
)
from agent_tracker.benches.bench_others import Other, OthersCost, measure_others
from agent_tracker.benches.throwaway import throwaway
from agent_tracker.errors import AgentTrackerError
from agent_tracker.escaping import escape
from agent_tracker.records import AgentFact, CommitFact, ProjectFact
from agent_tracker.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_tracker.benches.throwaway import Throwaway
    from agent_tracker.packing import RawCommit
    from agent_tracker.tables import Snapshot

__all__ = ["Codec", "Figures", "Machine", "StoreSpeed", "as_lines", "as_mapping", "bench"]

K = TypeVar("K")
ESTIMATOR = "median of the differences within a round, rounds in random order"
PROJECT = ProjectFact("0" * 36, b"/bench", b"", 1)
BASELINE = "1.00 x: the baseline"
NOW = 1_800_000_000
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
    progress("codecs")
    codecs = _measure_codecs(place, few)
    took_s = time.perf_counter() - start
    return Figures(machine, ESTIMATOR, commit, push, flush, store, codecs, took_s, rebase, others)


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


def _agents(count: int) -> list[AgentFact]:
    return [AgentFact(f"agent-{n:08x}", f"agent-{n}", "model", "all", "", 1) for n in range(count)]


def _commits(count: int, agents: Sequence[AgentFact]) -> list[CommitFact]:
    chance = random.Random(count)  # noqa: S311 -- data, not a secret
    people = (("author", "A U Thor <author@example.org>"), ("committer", "A U Thor <author@example.org>"))
    marks = [(("hook", "1"), ("resolved", a.id), ("AGENT_TRACKER_AGENT", a.id), *people) for a in agents]
    return [
        CommitFact(
            chance.randbytes(20),
            PROJECT.id,
            "commit",
            chance.choice(marks),
            NOW + n,
            NOW + count,
            f"feat(module-{n % 1000}): do a thing of some length",
        )
        for n in range(count)
    ]


def _rate(count: int, took_s: Iterable[float]) -> float:
    return count / median(took_s)


def _measure_store(place: Throwaway, facts: int) -> StoreSpeed:
    """Apply the same facts to three new databases in turn; read from two more.

    Raises:
        AgentTrackerError: Not every fact arrived.
    """
    agents = _agents(AUTHORS)
    commits = _commits(facts, agents)
    took_s, bytes_per_commit = [], 0.0
    for number in range(3):
        path = place.path(f"store-{number}")
        store = Store(path, max(1 << 26, facts * BYTES_A_COMMIT))
        _apply(store, [PROJECT, *agents])
        took_s.append(_apply(store, commits))
        bytes_per_commit = os.stat(path).st_size / facts
        os.unlink(path)
    return StoreSpeed(
        facts, _rate(facts, took_s), bytes_per_commit, READABLE, _commit_reads(place), _agent_reads(place)
    )


def _apply(store: Store, facts: Sequence[CommitFact | AgentFact | ProjectFact]) -> float:
    """Apply facts in one transaction and return how long that took, opening and syncing included."""
    start = time.perf_counter()
    with store.writer(timeout_s=10) as writer:
        applied = apply(writer, facts, now=NOW)
    took_s = time.perf_counter() - start
    expected = sum(1 for fact in facts if isinstance(fact, CommitFact))
    if applied.commits != expected or sum(gain.commits for gain in applied.gains) != expected:
        raise AgentTrackerError(f"{applied.commits} of {expected} facts were applied", "agent-tracker verify")
    return took_s


def _commit_reads(place: Throwaway) -> float:
    agents = _agents(AUTHORS)
    commits = _commits(READABLE, agents)
    store = Store(place.path("commits"), READABLE * BYTES_A_COMMIT)
    _apply(store, [PROJECT, *agents, *commits])
    return _reads(store, lambda snapshot: snapshot.commit, [fact.oid for fact in commits])


def _agent_reads(place: Throwaway) -> float:
    agents = _agents(READABLE)
    store = Store(place.path("agents"), READABLE * BYTES_A_COMMIT * 2)
    _apply(store, agents)
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
        for n, fact in enumerate(_commits(READABLE, _agents(AUTHORS)))
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


# -- the figures -------------------------------------------------------------------------------------------------------


def as_mapping(figures: Figures) -> dict[str, object]:
    """Return the figures for `bench --json`; a name's end is its unit."""
    return {name: _plain(value) for name, value in figures._asdict().items()}


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(part) for name, part in value._asdict().items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def as_lines(figures: Figures) -> list[str]:
    """Return the figures as a person reads them, a line each."""
    parts = (
        _machine_lines(figures),
        _commit_lines(figures.commit),
        _others_lines(figures.others),
        _rebase_lines(figures.rebase),
        _push_lines(figures.push),
        _flush_lines(figures.flush),
        _store_lines(figures.store),
        _codec_lines(figures.codecs),
    )
    return [line for part in parts for line in (*part, "")] + [f"Measured in {figures.took_s:.0f} s."]


def _machine_lines(figures: Figures) -> list[str]:
    machine = figures.machine
    facts = [f"{machine.cpus} CPUs ({machine.cpu})", machine.system, machine.file_system, f"sh is {machine.shell}"]
    facts += [f"git {machine.git}", machine.python]
    lines = [
        ", ".join(fact for fact in facts if fact),
        f"Times in ms; {figures.estimator};",
        "in brackets, where 90 % of the ratios lie when the rounds are drawn anew.",
    ]
    if machine.load > machine.cpus / 2:
        lines.append(f"The machine was busy (load {machine.load:.1f}): it would do better when idle.")
    return lines


def _commit_lines(commit: CommitCost) -> list[str]:
    return [
        f"git commit, {commit.rounds} rounds",
        _line("without hooks", f"{commit.no_hooks_ms:.2f}"),
        _line("two empty sh hooks add", f"{commit.empty_hooks_add_ms:.2f}", BASELINE),
        _line(
            "ours, for a person", f"{commit.person_add_ms:.2f}", _times(commit.person_ratio, commit.person_ratio_range)
        ),
        _line("ours, for an agent", f"{commit.agent_add_ms:.2f}", _times(commit.agent_ratio, commit.agent_ratio_range)),
    ]


def _others_lines(others: OthersCost) -> list[str]:
    lines = [
        f"git commit beside other hook managers, {others.rounds} rounds",
        _line("without hooks", f"{others.no_hooks_ms:.2f}"),
        _line("two empty sh hooks add", f"{others.empty_hooks_add_ms:.2f}", BASELINE),
        _line("ours", f"{others.ours_add_ms:.2f}", _times(others.ours_ratio, others.ours_ratio_range)),
    ]
    return lines + [_other_line(other) for other in others.others]


def _other_line(other: Other) -> str:
    if other.trouble:
        return _line(other.name, "-", escape(other.trouble)[:60])
    what = f"{other.name} {other.version}".strip()
    hooks = f", {', '.join(other.hooks)}" if other.name == "git-lfs" else ""
    return _line(what[:26], f"{other.add_ms:.2f}", _times(other.ratio, other.ratio_range) + hooks)


def _rebase_lines(rebase: RebaseCost) -> list[str]:
    return [
        f"git rebase of {rebase.rebased_commits} commits, {rebase.rounds} rounds",
        _line("without hooks", f"{rebase.no_hooks_ms:.2f}"),
        _line("an empty post-commit adds", f"{rebase.empty_hook_add_ms:.2f}", BASELINE),
        _line("ours", f"{rebase.ours_add_ms:.2f}", _times(rebase.ours_ratio, rebase.ours_ratio_range)),
    ]


def _push_lines(push: PushCost) -> list[str]:
    spread = push.empty_spool_ratio_range
    return [
        f"git push to a bare remote, {push.rounds} rounds; with a flush, {push.flush_rounds}",
        _line("without a hook", f"{push.no_hook_ms:.2f}"),
        _line("an empty sh hook adds", f"{push.empty_hook_add_ms:.2f}", BASELINE),
        _line("ours, nothing to flush", f"{push.empty_spool_add_ms:.2f}", _times(push.empty_spool_ratio, spread)),
        _line(f"ours, flushing {push.flushed_commits} commits", f"{push.flush_add_ms:.2f}", "over the empty hook"),
    ]


def _flush_lines(flush: FlushCost) -> list[str]:
    return [
        f"agent-tracker flush with nothing to do, {flush.rounds} rounds",
        _line("python -IS, import lmdb", f"{flush.import_lmdb_ms:.2f}", BASELINE),
        _line("agent-tracker flush", f"{flush.nothing_to_do_ms:.2f}", f"{flush.ratio:.2f} x"),
    ]


def _store_lines(store: StoreSpeed) -> list[str]:
    at_random = f"a second, at random among {store.records:,}"
    return [
        f"the store, {store.facts:,} commit facts in one synced transaction",
        _line("facts applied", f"{store.facts_per_s:,.0f}", "a second, standings kept up to date"),
        _line("database", f"{store.bytes_per_commit:.0f}", "bytes a commit, indexes included"),
        _line("commits read", f"{store.commit_reads_per_s:,.0f}", at_random),
        _line("agents read", f"{store.agent_reads_per_s:,.0f}", at_random),
    ]


def _codec_lines(codecs: Iterable[Codec]) -> list[str]:
    heading = f"  {'packing a commit':<18}{'import, ms':>12}{'packed a second':>18}{'unpacked':>14}{'bytes':>8}"
    rows = [
        f"  {codec.name:<18}{codec.import_ms:>12.1f}{codec.encodes_per_s:>18,.0f}{codec.decodes_per_s:>14,.0f}"
        f"{codec.bytes_per_record:>8.0f}"
        for codec in codecs
    ]
    return ["the codec; the store uses struct", heading, *rows]


def _line(what: str, figure: str, remark: str = "") -> str:
    return f"  {what:<26}{figure:>10}  {remark}".rstrip()


def _times(ratio: float, spread: Range) -> str:
    return f"{ratio:.2f} x ({spread[0]:.2f} to {spread[1]:.2f})"
