"""What lies where in the store, and reading and writing it inside one transaction.

Owns the key layout and the checksums. Never opens the database and never decides what a fact means to a standing.

Every value is the body as `packing` has it, then `crc32(table, key, body)` in four bytes, little endian. The indexes
(`commits.project`, `events.rewrite`) have keys alone, which `verify` derives anew, and so has `archived`.

======================  ==========================================  ==================================================
sub-database            key                                         value
======================  ==========================================  ==================================================
schema                  `version` · `lineage` · `marks` · `counts`  text; the last has a line for each of the others
commits                 sequence (4 bytes, big endian)              commit fact; the order is the order of arrival
commits.oid             the oid's first 12 bytes; all, if taken       what is derived: sequence, status, credits
commits.project         project (4) committed_at (5) sequence (4)   empty: a project's commits by time
agents                  agent id                                    registration and standing
events                  event id (`packing.event_key`)              rewrite, state, credit, registration facts
events.rewrite          new oid, old oid                            empty: what a commit was rewritten from
marks                   number (4)                                  interned identity marks
marks.number            marks (or their digest, if long)            number
projects                number (4)                                  project fact
spools                  `s` segment · `r` worktree · `l` oid        bytes applied · reflog position · lost since
spools                  `t` common directory                        up to where the history was scanned
archived                event id                                    empty: a fact that was moved out of the store
======================  ==========================================  ==================================================

What the journal keeps in `communication`, `retrospectives`, `activities`, `sessions`, `metrics` and `health` is laid
out in `journal_tables`. The other kinds have their sub-database from the start, so that a store never needs a migration
to gain one.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

from agent_tracker import packing
from agent_tracker.errors import StoreError
from agent_tracker.journal import RulesFact
from agent_tracker.marks import SEVERAL_VERSIONS
from agent_tracker.packing import FIRST_AGENT, NOBODY, PERSON
from agent_tracker.records import (
    HUMAN,
    UNCLAIMED,
    Agent,
    Commit,
    Credits,
    Marks,
    ProjectFact,
    ReflogPosition,
    ScanPosition,
)
from agent_tracker.rules import Timeline
from agent_tracker.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["TABLES", "VERSION", "Snapshot", "Writer", "marks_key", "time_key"]

TABLES = (
    "schema",
    "commits",
    "commits.oid",
    "commits.project",
    "agents",
    "events",
    "events.rewrite",
    "marks",
    "marks.number",
    "projects",
    "spools",
    "communication",
    "retrospectives",
    "activities",
    "sessions",
    "messages",
    "metrics",
    "handovers",
    "templates",
    "outcomes",
    "health",
    "archived",
)
VERSION, LINEAGE, MARKS, COUNTS = b"version", b"lineage", b"marks", b"counts"
"""The keys in `schema`: of which version the layout is; as which database it was begun, which its copies share; under
which version of the table of marks its credits were derived; how many records each other table has, and their sum."""

MAX_KEY_BYTES = 400
MAX_VERSION_DIGITS = 10
PREFIX_BYTES = 12
"""96 bits tell any number of commits apart that a store can hold, in a fifth less room than a whole oid takes."""

MAX_TIME = (1 << 40) - 1

_crc32 = zlib.crc32
_make_commit = Commit._make

Handles = dict[str, Any]
"""LMDB's handle of each sub-database, by name: lmdb itself is imported by `store` alone."""


NewCommit = tuple[bytes, int, str, int, int, int, bytes, str, tuple[tuple[int, int], ...]]
"""oid, project number, operation, marks number, committed_at, recorded_at, subject, status, credits by number."""


def number_key(number: int) -> bytes:
    """Return a number as a key that sorts by it."""
    return number.to_bytes(4, "big")


def time_key(number: int, at: int, sequence: int) -> bytes:
    """Return the key of an index by time: whose, when (Unix seconds, clamped to 40 bits), which commit."""
    return number.to_bytes(4, "big") + min(max(at, 0), MAX_TIME).to_bytes(5, "big") + sequence.to_bytes(4, "big")


class Snapshot:
    """Typed reads inside one transaction; satisfies the `Facts` protocol of the views."""

    def __init__(self, txn: Any, handles: Handles) -> None:
        self._txn = txn
        self._tables = {name: Table(txn, handle, name) for name, handle in handles.items()}
        self._commits = self._tables["commits"]
        self._states = self._tables["commits.oid"]
        self._agents: dict[str, tuple[Agent, int]] | None = None
        self._names: dict[int, str] = {}
        self._whole: dict[tuple[tuple[int, int], ...], Credits] = {}
        self._project_ids: dict[int, str] = {}
        self._projects: dict[int, ProjectFact] | None = None
        self._timeline: Timeline | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sub-databases: all of TABLES, unless the store is of an older version."""
        return tuple(self._tables)

    def table(self, name: str) -> Table:
        """Return a sub-database by its name."""
        return self._tables[name]

    def schema_version(self) -> str:
        """Return the version of the layout, empty where the store is new."""
        value = self._tables["schema"].get(VERSION)
        return value.decode() if value else ""

    def transaction(self) -> int:
        """Return the number of the transaction whose end this is a view of."""
        return int(self._txn.id())

    def lineage(self) -> str:
        """Return as which database this one was begun: all its copies say the same; empty where none was noted."""
        return (self._tables["schema"].get(LINEAGE) or b"").decode("ascii", "replace")

    def marks_version(self) -> int:
        """Return under which version of the table of marks the credits were derived, `marks.SEVERAL_VERSIONS` if so.

        A store that says nothing of it is from before there was a second one.
        """
        text = self._tables["schema"].get(MARKS) or b"1"
        return int(text) if text.isdigit() and len(text) < MAX_VERSION_DIGITS else SEVERAL_VERSIONS

    def counts(self) -> dict[str, int]:
        """Return how many records each table had when the last transaction ended, empty where that is not known.

        Raises:
            DamageError: The record is damaged.
        """
        return {name: count for name, (count, _) in self.totals().items()}

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return how many records each table had when the last transaction ended, and the sum of their checksums.

        Raises:
            DamageError: The record is damaged.
        """
        lines = (self._tables["schema"].get(COUNTS) or b"").decode("ascii", "replace").splitlines()
        rows = [line.split(" ") for line in lines]
        return {row[0]: (int(row[1]), int(row[2])) for row in rows if len(row) == 3 and "".join(row[1:]).isdecimal()}  # noqa: PLR2004 -- as `put_counts` writes them

    def timeline(self) -> Timeline:
        """Return which rules held when."""
        if self._timeline is None:
            found = (packing.unpack_event(key, value) for key, value in self._tables["events"].items(b"z"))
            self._timeline = Timeline(fact for fact in found if isinstance(fact, RulesFact))
        return self._timeline

    # -- agents

    def numbered_agents(self) -> dict[str, tuple[Agent, int]]:
        """Return every agent and its number, by id; read once in a snapshot."""
        if self._agents is None:
            items = ((key.decode(), value) for key, value in self._tables["agents"].items())
            self._agents = {agent_id: packing.unpack_agent(agent_id, value) for agent_id, value in items}
        return self._agents

    def agents(self) -> list[Agent]:
        """Return every agent, in the order of the ids."""
        return [agent for agent, _ in self.numbered_agents().values()]

    def agent(self, agent_id: str) -> Agent | None:
        """Return one agent."""
        value = self._tables["agents"].get(agent_id.encode("utf-8", "surrogateescape"))
        return None if value is None else packing.unpack_agent(agent_id, value)[0]

    def _name(self, number: int) -> str:
        name = self._names.get(number)
        if name is None:
            self._names = {number: agent_id for agent_id, (_, number) in self.numbered_agents().items()}
            self._names |= {NOBODY: UNCLAIMED, PERSON: HUMAN}
            name = self._names.get(number)
            if name is None:
                raise StoreError(
                    f"a commit is credited to agent number {number}, which is not there", "agent-tracker verify"
                )
        return name

    def _credits(self, shares: tuple[tuple[int, int], ...]) -> Credits:
        credit = tuple((self._name(number), share) for number, share in shares)
        if len(shares) == 1:
            self._whole[shares] = credit
        return credit

    def credit_number(self, agent: str) -> int:
        """Return the number by which packed credits name an agent, UNCLAIMED or HUMAN."""
        if agent == UNCLAIMED:
            return NOBODY
        return PERSON if agent == HUMAN else self.numbered_agents()[agent][1]

    def agent_id(self, number: int) -> str:
        """Return the id of the agent with this number.

        Raises:
            StoreError: There is none.
        """
        return self._name(number)

    # -- projects

    def numbered_projects(self) -> dict[int, ProjectFact]:
        """Return every project by its number; read once in a snapshot."""
        if self._projects is None:
            items = self._tables["projects"].items()
            self._projects = {int.from_bytes(key, "big"): packing.unpack_project(value) for key, value in items}
        return self._projects

    def project_number(self, project: str) -> int:
        """Return the number of a project, 0 where it is not known."""
        return next((number for number, fact in self.numbered_projects().items() if fact.id == project), 0)

    def projects(self) -> list[ProjectFact]:
        """Return every project, in the order of arrival."""
        return list(self.numbered_projects().values())

    def joined_projects(self, project: str) -> list[int]:
        """Return the numbers of a project and of those that share its root commit: its clones."""
        numbered = self.numbered_projects()
        roots = {fact.root for fact in numbered.values() if fact.id == project and fact.root}
        return [number for number, fact in numbered.items() if fact.id == project or fact.root in roots]

    # -- commits

    def commit(self, oid: bytes) -> Commit | None:
        """Return one commit with what is derived for it.

        Raises:
            StoreError: A record is damaged.
        """
        value = self._states.get(oid[:PREFIX_BYTES])
        if value is None:
            return None
        commit = self._joined(value)
        if commit.oid == oid:
            return commit
        value = self._states.get(oid)
        return None if value is None else self._joined(value)

    def state_key(self, oid: bytes) -> bytes:
        """Return the key at which a commit's state lies, or goes if it is not there yet."""
        prefix = oid[:PREFIX_BYTES]
        value = self._states.get(prefix)
        return prefix if value is None or self._joined(value).oid == oid else oid

    def has_commit(self, oid: bytes) -> bool:
        """Tell whether a commit is stored."""
        return self._states.has(oid[:PREFIX_BYTES]) and self.commit(oid) is not None

    def _joined(self, state: bytes) -> Commit:
        """Return the commit that a state is about."""
        sequence, status, shares, earned_at = packing.unpack_commit_state(state)
        value = self._commits.get(sequence.to_bytes(4, "big"))
        if value is None:
            raise StoreError(f"commit number {sequence} has a state but is not there", "agent-tracker verify")
        oid, project, operation, marks, committed_at, recorded_at, subject = packing.unpack_commit(value)
        credit = self._whole.get(shares) or self._credits(shares)
        name = self._project_ids.get(project) or self._project_id(project)
        if earned_at is None:
            earned_at = min(committed_at, recorded_at)
        # One tuple made in C: a keyword call of ten fields takes as long as both look-ups.
        return _make_commit(
            (oid, name, operation, marks, committed_at, recorded_at, subject, status, credit, earned_at)
        )

    def _project_id(self, number: int) -> str:
        fact = self.numbered_projects().get(number)
        if fact is None:
            raise StoreError(f"project number {number} is referred to but not there", "agent-tracker verify")
        self._project_ids[number] = fact.id
        return fact.id

    def marks(self, number: int) -> Marks:
        """Return interned identity marks by their number."""
        value = self._tables["marks"].get(number_key(number))
        if value is None:
            raise StoreError(f"marks number {number} are referred to but not there", "agent-tracker verify")
        return packing.unpack_marks(value)

    def commits(self, projects: Iterable[int] | None = None) -> Iterator[Commit]:
        """Yield commits newest first, those of the given projects or all, whatever their status."""
        numbers = list(self.numbered_projects()) if projects is None else list(projects)
        table = self._tables["commits.project"]
        streams = [table.keys(number_key(number), newest_first=True) for number in numbers]
        for key in streams[0] if len(streams) == 1 else _merged(streams):
            yield self._at(int.from_bytes(key[9:], "big"))

    def _at(self, sequence: int) -> Commit:
        value = self._commits.get(sequence.to_bytes(4, "big"))
        if value is None:
            raise StoreError(f"commit number {sequence} is indexed but not there", "agent-tracker verify")
        oid: bytes = packing.unpack_commit(value)[0]
        commit = self.commit(oid)
        if commit is None:
            raise StoreError(f"commit {oid.hex()} has no derived state", "agent-tracker verify")
        return commit

    # -- spools

    def applied_size(self, segment: str) -> int | None:
        """Return how many bytes of a segment were applied, None where it was never seen."""
        value = self._tables["spools"].get(b"s" + segment.encode())
        return None if value is None else int.from_bytes(value, "little")

    def applied_segments(self) -> dict[str, int]:
        """Return how many bytes of each segment were applied, by its name."""
        items = self._tables["spools"].items(b"s")
        return {key[1:].decode("utf-8", "replace"): int.from_bytes(value, "little") for key, value in items}

    def reflog_position(self, worktree: str) -> ReflogPosition | None:
        """Return how far the HEAD reflog of a worktree was read, None where it never was.

        Args:
            worktree: The project's UUID and the worktree's name: a path may be another repository tomorrow.
        """
        value = self._tables["spools"].get(_worktree_key(worktree))
        if value is None:
            return None
        offset, last_at = int.from_bytes(value[:8], "little"), int.from_bytes(value[8:16], "little")
        return ReflogPosition(offset, value[16:].decode(), last_at)

    def lost_since(self, oid: bytes) -> int | None:
        """Return when it was first seen that nothing leads to a commit (Unix seconds), None where it was not."""
        value = self._tables["spools"].get(b"l" + oid)
        return None if value is None else int.from_bytes(value, "little")

    def scan_position(self, common_dir: bytes) -> ScanPosition | None:
        """Return up to where the history of the repository with this common directory was read, None if it never was.

        Raises:
            RecordError: A record is of another version.
        """
        value = self._tables["spools"].get(b"t" + _bounded(common_dir))
        return None if value is None else packing.unpack_scan_position(value)

    def heirs(self, oid: bytes) -> list[bytes]:
        """Return the commits that one was rewritten to."""
        keys = self._tables["events"].keys(b"w" + oid)
        return [key[1 + len(oid) :] for key in keys if len(key) == 1 + 2 * len(oid)]

    def sources(self, oid: bytes) -> list[bytes]:
        """Return the commits that one was rewritten from."""
        return [key[len(oid) :] for key in self._tables["events.rewrite"].keys(oid)]


def _merged(streams: list[Iterator[bytes]]) -> Iterator[bytes]:
    import heapq  # noqa: PLC0415 -- only where a project has clones

    return heapq.merge(*streams, key=lambda key: key[4:], reverse=True)


def marks_key(blob: bytes) -> bytes:
    """Return the key under which the number of packed marks is found."""
    return _bounded(blob or b"\0")


def _worktree_key(worktree: str) -> bytes:
    return b"r" + _bounded(worktree.encode("utf-8", "surrogateescape"))


def _bounded(key: bytes) -> bytes:
    if len(key) <= MAX_KEY_BYTES:
        return key
    import hashlib  # noqa: PLC0415 -- long keys are rare

    return b"\0" + hashlib.sha256(key).digest()


class Writer(Snapshot):
    """A write transaction: everything a snapshot reads, and typed writes."""

    def set_schema_version(self, version: str) -> None:
        """Record the version of the layout."""
        self._tables["schema"].put(VERSION, version.encode())

    def set_lineage(self) -> None:
        """Note that this is a database of its own, begun now, unless it says so."""
        if not self.lineage():
            self._tables["schema"].put(LINEAGE, os.urandom(6).hex().encode())

    def set_marks_version(self, version: int) -> None:
        """Note under which version of the table of marks the credits were derived."""
        self._tables["schema"].put(MARKS, str(version).encode())

    def put_counts(self) -> dict[str, int]:
        """Record how many records each table has, and the sum of their checksums, at the end of a transaction.

        Returns:
            The counts, by table.
        """
        before, now = self.totals(), {}
        for name, table in self._tables.items():
            if name != "schema":
                is_summed = name in before and not table.is_anew
                now[name] = (table.count(), before[name][1] + table.moved if is_summed else table.check()[1])
                table.moved, table.is_anew = 0, False
        lines = (f"{name} {count} {total}\n" for name, (count, total) in now.items())
        self._tables["schema"].put(COUNTS, "".join(lines).encode())
        return {name: count for name, (count, _) in now.items()}

    def forget_timeline(self) -> None:
        """Read the rules anew when they are next asked for: they have just changed."""
        self._timeline = None

    def put_agent(self, agent: Agent) -> int:
        """Write an agent and return its number, a new one if it is new."""
        agents = self.numbered_agents()
        known = agents.get(agent.id)
        number = known[1] if known else FIRST_AGENT + len(agents)
        agents[agent.id] = (agent, number)
        self._names[number] = agent.id
        self._tables["agents"].put(agent.id.encode("utf-8", "surrogateescape"), packing.pack_agent(agent, number))
        return number

    def put_project(self, fact: ProjectFact) -> int:
        """Write a project and return its number, a new one if its id is new."""
        projects = self.numbered_projects()
        number = next((number for number, known in projects.items() if known.id == fact.id), len(projects) + 1)
        projects[number] = fact
        self._tables["projects"].put(number_key(number), packing.pack_project(fact))
        return number

    def intern_marks(self, marks: Marks) -> int:
        """Return the number of these marks, storing them if they are new."""
        blob = packing.pack_marks(marks)
        key = marks_key(blob)
        known = self._tables["marks.number"].get(key)
        if known is not None:
            return int.from_bytes(known, "big")
        number = self._tables["marks"].count() + 1
        self._tables["marks"].put(number_key(number), blob)
        self._tables["marks.number"].put(key, number_key(number))
        return number

    def put_new_commits(self, rows: Iterable[NewCommit]) -> None:
        """Write commits that are not there yet, with their state and their place in the indexes.

        Args:
            rows: In the order of arrival. `committed_at` is in [0, 2**40).
        """
        facts, by_project = [], []
        facts_total, states_total, indexed_total = 0, 0, 0
        states: dict[bytes, bytes] = {}
        fact_seed, state_seed, has_state = self._commits.seed, self._states.seed, self._states.has
        pack_commit, pack_state = packing.pack_commit, packing.pack_commit_state
        for sequence, (oid, project, operation, marks, committed_at, recorded_at, subject, status, shares) in enumerate(
            rows, self._commits.count() + 1
        ):
            key = sequence.to_bytes(4, "big")
            time_and_key = committed_at.to_bytes(5, "big") + key
            body = pack_commit(oid, project, operation, marks, committed_at, recorded_at, subject)
            check = _crc32(body, _crc32(key, fact_seed))
            facts_total += check
            facts.append((key, body + check.to_bytes(4, "little")))
            body = pack_state(sequence, status, shares)
            state_key = oid[:PREFIX_BYTES]
            if state_key in states or has_state(state_key):
                state_key = oid
            check = _crc32(body, _crc32(state_key, state_seed))
            states_total += check
            states[state_key] = body + check.to_bytes(4, "little")
            index_key = project.to_bytes(4, "big") + time_and_key
            indexed_total += _crc32(index_key)
            by_project.append((index_key, b""))
        self._commits.put_many(facts, facts_total, append=True)
        self._states.put_many(sorted(states.items()), states_total)
        self._tables["commits.project"].put_many(sorted(by_project), indexed_total)

    def put_commit_state(
        self, oid: bytes, status: str, shares: tuple[tuple[int, int], ...], earned_at: int | None
    ) -> None:
        """Write what is derived for a commit that is stored: `packing.pack_commit_state` says what."""
        key = self.state_key(oid)
        value = self._states.get(key)
        if value is None:
            raise StoreError(f"commit {oid.hex()} has no derived state", "agent-tracker verify")
        sequence = packing.unpack_commit_state(value)[0]
        self._states.put(key, packing.pack_commit_state(sequence, status, shares, earned_at))

    def put_applied_size(self, segment: str, size: int) -> None:
        """Record how many bytes of a segment are applied."""
        self._tables["spools"].put(b"s" + segment.encode(), size.to_bytes(8, "little"))

    def forget_segment(self, segment: str) -> None:
        """Forget a segment that was deleted."""
        self._tables["spools"].delete(b"s" + segment.encode())

    def put_lost_since(self, oid: bytes, at: int | None) -> None:
        """Record when it was first seen that nothing leads to a commit (Unix seconds); None where something does."""
        if at is None:
            self._tables["spools"].delete(b"l" + oid)
        else:
            self._tables["spools"].put(b"l" + oid, at.to_bytes(8, "little"))

    def put_reflog_position(self, worktree: str, position: ReflogPosition) -> None:
        """Record how far a HEAD reflog was read."""
        numbers = position.offset.to_bytes(8, "little") + position.last_at.to_bytes(8, "little")
        self._tables["spools"].put(_worktree_key(worktree), numbers + position.last_oid.encode())

    def put_scan_position(self, common_dir: bytes, position: ScanPosition) -> None:
        """Record up to where a repository's history was read."""
        self._tables["spools"].put(b"t" + _bounded(common_dir), packing.pack_scan_position(position))
