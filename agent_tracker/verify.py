"""Derive everything anew from the facts and compare it with what the store holds.

Owns the check, not the repair. Never writes, and never raises for what it finds: whatever is wrong is a line.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_codec, journal_tables, packing
from agent_tracker.derivation import Derivation, derive, write_journal
from agent_tracker.derived import EVERYBODY, Ledger
from agent_tracker.errors import AgentTrackerError, StoreBusyError, StoreError
from agent_tracker.records import MICRO, Agent, CreditFact, Credits, Standing
from agent_tracker.table import INDEXES, Table
from agent_tracker.tables import Snapshot, Writer, marks_key
from agent_tracker.xp import NEW_STANDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["VerifyReport", "verify", "verify_file"]

MAX_PROBLEMS = 100
MAX_LINE = 500
LARGE = ("commits", "commits.oid", "events")
"""The tables that deriving everything reads in full: where that succeeds, their records are sound."""

_OID_BYTES = (20, 32)
_NUMBER_BYTES = 4
_WRONG = (AgentTrackerError, struct.error, ArithmeticError, LookupError, ValueError, TypeError)
"""What reading a value raises that has its checksum and is nonsense all the same."""


class VerifyReport(NamedTuple):
    """How much was checked, and what is wrong: one line each, at most a hundred; none means all is well.

    `outdated`: how many commits have the credit that another table of marks gave them, which is nothing wrong.
    """

    records: int
    commits: int
    agents: int
    problems: tuple[str, ...]
    outdated: int = 0


def verify(snapshot: Snapshot, *, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Check every record's checksum, what records refer to, and all derived state against the fold over all facts.

    Args:
        snapshot: The store.
        progress: Is told now and then how many records are done, of how many.
    """
    counts = {name: snapshot.table(name).count() for name in snapshot.names}
    gauge = _Gauge(sum(counts.values()), progress)
    check = _Check(snapshot, gauge)
    problems = tuple(_first(check.problems()))
    gauge(gauge.total)
    return VerifyReport(gauge.total, counts["commits"], counts["agents"], problems, check.outdated)


def verify_file(path: str, *, timeout_s: float) -> VerifyReport:
    """Have a child process read all of a database: pages, checksums, counts. A damaged file may end who opens it.

    Args:
        path: The database, which is there.
        timeout_s: How long to wait for another process that writes.

    Raises:
        StoreBusyError: Another process writes it for longer, or the check could not be made.
    """
    from agent_tracker.durability import fingerprint  # noqa: PLC0415 -- for this alone
    from agent_tracker.durability.checking import check_file  # noqa: PLC0415 -- as above
    from agent_tracker.locking import LockTimeoutError, locked  # noqa: PLC0415 -- as above

    try:
        with locked(path + ".write", timeout_s=timeout_s):
            found = check_file(path)
            if found.problems:
                with suppress(OSError):
                    fingerprint.forget(path)
    except LockTimeoutError as error:
        raise StoreBusyError(f"another process writes the database: {path}", "try again") from error
    except OSError:
        # Where no lock can be made nobody writes either.
        found = check_file(path)
    return VerifyReport(found.records, found.counts.get("commits", 0), found.counts.get("agents", 0), found.problems)


class _Gauge:
    """How far the check is: it is told how many more records are done."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self.total = total
        self._done = 0
        self._progress = progress

    def __call__(self, records: int) -> None:
        self._done = min(self._done + records, self.total)
        if self._progress:
            self._progress(self._done, self.total)


def _first(problems: Iterable[str]) -> Iterator[str]:
    for count, problem in enumerate(problems):
        if count == MAX_PROBLEMS:
            yield "... and more"
            return
        line = " ".join(problem.encode("utf-8", "backslashreplace").decode().splitlines())
        yield line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."


def _said(error: Exception) -> str:
    """Return in words what reading a value came to."""
    if isinstance(error, AgentTrackerError):
        return error.message
    return f"{type(error).__name__}: {str(error)[:100]}"


def _guarded(what: str, problems: Iterable[str]) -> Iterator[str]:
    """Yield problems, and as one more what keeps them from being looked for."""
    try:
        yield from problems
    except _WRONG as error:
        yield f"{what} cannot be checked: {_said(error)}"


class _Check:
    def __init__(self, snapshot: Snapshot, gauge: _Gauge) -> None:
        self._snapshot = snapshot
        self._gauge = gauge
        self._odd: list[str] = []
        self.outdated = 0

    def problems(self) -> Iterator[str]:
        """Yield what is wrong."""
        snapshot = self._snapshot
        for name in snapshot.names:
            if name not in LARGE and name not in INDEXES:
                yield from _wrong_records(snapshot.table(name))
                self._gauge(snapshot.table(name).count())
        yield from _guarded("the agents' registrations", _wrong_registrations(snapshot))
        yield from _guarded("the numbers of agents, projects and marks", _wrong_numbers(snapshot))
        try:
            found = derive(snapshot, tick=self._gauge, watch=self._watch)
        except _WRONG as error:
            for name in LARGE:
                yield from _wrong_records(snapshot.table(name))
            yield from _guarded("what commits refer to", _wrong_references(snapshot))
            yield f"nothing was compared with the facts: {_said(error)}"
            return
        self.outdated = len(found.outdated)
        yield from self._odd
        yield from _guarded("the commits' states", _wrong_states(snapshot, found))
        yield from _guarded("the indexes", _wrong_indexes(snapshot, found))
        yield from _guarded("the standings", _wrong_standings(snapshot, found))
        yield from _guarded("the journal", _wrong_journal(snapshot, found))

    def _watch(self, key: bytes, value: bytes, fact: packing.EventFact) -> None:
        if len(self._odd) <= MAX_PROBLEMS:
            self._odd += _wrong_event(key, value, fact)


# -- single records


def _read(table: Table, key: bytes) -> bytes:
    value = table.get(key)
    if value is None:
        raise StoreError("it is listed but not there", "agent-tracker verify")
    return value


def _wrong_records(table: Table) -> Iterator[str]:
    """Yield the records that cannot be read, or are not as this program writes them."""
    check, keys = _READERS.get(table.name), table.keys()
    for key in keys:
        try:
            value = _read(table, key)
            wrong = check(key, value) if check else ""
        except StoreError as error:
            yield error.message
        except _WRONG as error:
            yield f"{table.name}: the record at {key.hex()[:80]} cannot be read: {_said(error)}"
        else:
            if wrong:
                yield f"{table.name}: the record at {key.hex()[:80]} {wrong}"


def _wrong_event(key: bytes, value: bytes, fact: packing.EventFact) -> list[str]:
    """Return what is wrong with an event that could be read."""
    try:
        is_odd = packing.event_key(fact) != key or packing.pack_event(fact) != value
    except _WRONG:
        is_odd = True
    name = f"the record at {key.hex()[:80]}"
    found = [f"events: {name} says something else than its key, or more"] if is_odd else []
    if isinstance(fact, CreditFact) and (sum(share for _, share in fact.credits) != MICRO or not fact.credits):
        found.append(f"events: {name} credits commit {fact.oid.hex()} by shares that do not add to 1")
    return found


def _event(letters: bytes) -> Callable[[bytes, bytes], str]:
    def check(key: bytes, value: bytes) -> str:
        fact = packing.unpack_event(key, value)
        if letters and key[:1] not in letters:
            return "is of a kind that belongs elsewhere"
        return "says something else than its key, or more" if _wrong_event(key, value, fact) else ""

    return check


def _commit(key: bytes, value: bytes) -> str:
    oid = packing.unpack_commit(value)[0]
    return "" if len(oid) in _OID_BYTES and len(key) == _NUMBER_BYTES else "is no commit"


def _state(_key: bytes, value: bytes) -> str:
    return "" if packing.unpack_commit_state(value)[2] else "is nobody's"


def _agent(key: bytes, value: bytes) -> str:
    packing.unpack_agent(key.decode(), value)
    return ""


def _marks(key: bytes, value: bytes) -> str:
    packing.unpack_marks(value)
    return "" if len(key) == _NUMBER_BYTES else "has no number"


def _number(_key: bytes, value: bytes) -> str:
    return "" if len(value) == _NUMBER_BYTES else "is no number"


def _project(key: bytes, value: bytes) -> str:
    fact = packing.unpack_project(value)
    return "" if len(key) == _NUMBER_BYTES and fact.id else "has no number or no id"


def _spool(key: bytes, value: bytes) -> str:
    if key[:1] == b"r":
        value[16:].decode()
        return "" if len(value) >= _POSITION_BYTES else "is cut short"
    if key[:1] == b"t":
        packing.unpack_scan_position(value)
        return ""
    return "" if key[:1] in {b"s", b"l"} and len(value) == _SIZE_BYTES else "is of no known kind"


def _text(key: bytes, value: bytes) -> str:
    return "" if key.decode() and value.decode() else "is empty"


_SIZE_BYTES, _POSITION_BYTES = 8, 16
_READERS: dict[str, Callable[[bytes, bytes], str]] = {
    "schema": _text,
    "commits": _commit,
    "commits.oid": _state,
    "agents": _agent,
    "events": _event(b""),
    "marks": _marks,
    "marks.number": _number,
    "projects": _project,
    "spools": _spool,
    **{
        kind.table: _event(b"".join(each.letter for each in journal_codec.KINDS if each.table == kind.table))
        for kind in journal_codec.KINDS
        if kind.table != "events"
    },
}
"""What each table's records must be; those that hold what follows from the journal are compared with that, whole."""


# -- what refers to what


def _wrong_registrations(snapshot: Snapshot) -> Iterator[str]:
    registered = {key[1:] for key in snapshot.table("events").keys(b"a")}
    standing = set(snapshot.table("agents").keys())
    for key in sorted(registered ^ standing):
        missing = "a standing without a registration" if key in standing else "registered but without a standing"
        yield f"agent {key.decode('utf-8', 'backslashreplace')}: {missing}"


def _wrong_numbers(snapshot: Snapshot) -> Iterator[str]:
    """Yield what is wrong with the numbers by which records are referred to: each is given once, without a gap."""
    agents = {agent_id: number for agent_id, (_, number) in snapshot.numbered_agents().items()}
    yield from _wrong_sequence("agents", agents.items(), packing.FIRST_AGENT)
    projects = snapshot.numbered_projects()
    yield from _wrong_sequence("projects", ((fact.id, number) for number, fact in projects.items()), 1)
    seen: dict[str, int] = {}
    for number, fact in projects.items():
        if seen.setdefault(fact.id, number) != number:
            yield f"projects number {seen[fact.id]} and {number} have the same id {fact.id}"
    marks = _numbers(snapshot.table("marks"))
    yield from _wrong_sequence("marks", ((str(number), number) for number in marks), 1)


def _numbers(table: Table) -> set[int]:
    keys = table.keys()
    return {int.from_bytes(key, "big") for key in keys}


def _wrong_sequence(what: str, numbered: Iterable[tuple[str, int]], first: int) -> Iterator[str]:
    owners: dict[int, str] = {}
    for name, number in numbered:
        if owners.setdefault(number, name) != name:
            yield f"{what} {owners[number]} and {name} have the same number {number}"
    missing = [number for number in range(first, first + len(owners)) if number not in owners]
    if missing:
        yield f"{what}: there is no number {missing[0]}, but higher ones"


def _wrong_references(snapshot: Snapshot) -> Iterator[str]:
    """Yield what commits and their states refer to that is not there; for a store from which nothing can be derived."""
    projects, marks = _numbers(snapshot.table("projects")), _numbers(snapshot.table("marks"))
    oids: dict[int, bytes] = {}
    for key, value in _readable(snapshot.table("commits")):
        try:
            oid, project, _, number, *_ = packing.unpack_commit(value)
        except _WRONG:
            continue
        oids[int.from_bytes(key, "big")] = oid
        if project not in projects:
            yield f"commit {oid.hex()}: project number {project} is referred to but not there"
        if number not in marks:
            yield f"commit {oid.hex()}: marks number {number} are referred to but not there"
    yield from _wrong_state_references(snapshot, oids)


def _wrong_state_references(snapshot: Snapshot, oids: dict[int, bytes]) -> Iterator[str]:
    agents = {number for _, number in snapshot.numbered_agents().values()} | {packing.NOBODY, packing.PERSON}
    derived = set()
    for key, value in _readable(snapshot.table("commits.oid")):
        try:
            sequence, _, shares, _ = packing.unpack_commit_state(value)
        except _WRONG:
            continue
        derived.add(sequence)
        name = f"the derived state at {key.hex()[:80]}"
        if sequence not in oids:
            yield f"{name}: commit number {sequence} is referred to but not there"
        elif not oids[sequence].startswith(key):
            yield f"{name}: commit number {sequence} is {oids[sequence].hex()}"
        for number in {agent for agent, _ in shares} - agents:
            yield f"{name}, commit number {sequence}: agent number {number} is referred to but not there"
    for sequence, oid in oids.items():
        if sequence not in derived:
            yield f"commit {oid.hex()} has no derived state"


def _readable(table: Table) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records whose checksums are right."""
    keys = table.keys()
    for key in keys:
        with suppress(StoreError):
            yield key, _read(table, key)


# -- what follows from the facts


def _wrong_states(snapshot: Snapshot, found: Derivation) -> Iterator[str]:
    for commit, state, earned_at in found.moved:
        if (commit.status, commit.credits) != state:
            stored = _words(commit.status, commit.credits)
            yield f"commit {commit.oid.hex()}: stored as {stored}, the facts say {_words(*state)}"
        elif commit.earned_at != earned_at:
            yield f"commit {commit.oid.hex()}: stored as earned at {commit.earned_at}, the facts say otherwise"
        if sum(share for _, share in commit.credits) != MICRO:
            yield f"commit {commit.oid.hex()}: its shares do not add to 1"
    known, facts = snapshot.table("commits.oid").count(), len(found.places)
    if known != facts:
        yield f"{known} commits have a derived state, {facts} a fact"
        yield from _wrong_references(snapshot)
    if found.last_number != facts:
        yield f"the last commit has number {found.last_number}, of {facts}"


def _wrong_indexes(snapshot: Snapshot, found: Derivation) -> Iterator[str]:
    places = snapshot.table("commits.project")
    if not _are_in_place(places, found.places):
        wrong = set(found.places).symmetric_difference(places.keys())
        yield f"commits.project: {len(wrong)} entries are missing or do not belong there"
    numbers = {marks_key(blob): key for key, blob in snapshot.table("marks").items()}
    stored = dict(snapshot.table("marks.number").items())
    for key in sorted(numbers.keys() | stored.keys()) if numbers != stored else ():
        if numbers.get(key) != stored.get(key):
            said, is_so = (_as_number(each.get(key)) for each in (stored, numbers))
            yield f"marks.number: {key.hex()[:80]} is found as number {said}, and is number {is_so} of the marks"
    pairs = {rewrite.new + rewrite.old for rewrite in found.rewrites}
    wrong = pairs.symmetric_difference(snapshot.table("events.rewrite").keys())
    if wrong:
        yield f"events.rewrite does not match the rewrites: {len(wrong)} entries, one of them {min(wrong).hex()}"


def _as_number(value: bytes | None) -> str:
    return "(none)" if value is None else str(int.from_bytes(value, "big"))


def _are_in_place(index: Table, places: list[bytes]) -> bool:
    """Tell whether an index has exactly these keys, each of which ends with its own number in the list."""
    keys = index.keys()
    for key in keys if index.count() == len(places) else (b"",):
        number = int.from_bytes(key[-_NUMBER_BYTES:], "big")
        if not 0 < number <= len(places) or places[number - 1] != key:
            return False
    return True


def _wrong_standings(snapshot: Snapshot, found: Derivation) -> Iterator[str]:
    for agent_id, (stored, _) in sorted(snapshot.numbered_agents().items()):
        expected = found.agents.get(agent_id)
        if expected is not None:
            yield from _wrong_agent(agent_id, stored, expected, found.standings.get(agent_id, NEW_STANDING))


def _wrong_agent(agent_id: str, stored: Agent, expected: Agent, earned: Standing) -> Iterator[str]:
    if stored._replace(standing=earned, updated_at=0) != expected._replace(standing=earned, updated_at=0):
        yield f"agent {agent_id}: stored differently from its registration"
    if stored.standing != earned:
        yield f"agent {agent_id}: standing {tuple(stored.standing)}, the facts say {tuple(earned)}"


def _words(status: str, credits: Credits) -> str:
    who = ", ".join(f"{agent or 'unclaimed'} {share / MICRO:g}" for agent, share in credits)
    return f"{status} ({who})"


# -- what follows from the journal's facts


class _Sheet(Table):
    """A table that is written to and lies nowhere: what a store should hold."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def put(self, key: bytes, body: bytes) -> None:
        self.records[key] = body

    def delete(self, key: bytes) -> None:
        self.records.pop(key, None)


class _Sheets(Writer):
    """What takes the place of a write transaction, to learn what it would write."""

    def __init__(self) -> None:
        self.sheets = {name: _Sheet() for name in journal_tables.DERIVED}

    def table(self, name: str) -> Table:
        return self.sheets[name]


def _wrong_journal(snapshot: Snapshot, found: Derivation) -> Iterator[str]:
    """Yield the records that do not follow from grades, bugs, pushes, sessions and what was earned."""
    expected = _Sheets()
    write_journal(expected, found)
    _take_over_ledgers(snapshot, found, expected)
    names = {number: f"agent {agent_id}" for agent_id, (_, number) in snapshot.numbered_agents().items()}
    names |= {EVERYBODY: "everybody", packing.NOBODY: "nobody", packing.PERSON: "people"}
    for name, sheet in expected.sheets.items():
        stored = dict(_readable(snapshot.table(name)))
        for key in sorted(stored.keys() | sheet.records.keys()) if stored != sheet.records else ():
            if key not in stored:
                yield f"{name}: {_entry(name, key, names)} follows from the facts, and is missing"
            elif key not in sheet.records:
                yield f"{name}: {_entry(name, key, names)} does not follow from the facts"
            elif stored[key] != sheet.records[key]:
                yield f"{name}: {_entry(name, key, names)} says something else than the facts"


def _take_over_ledgers(snapshot: Snapshot, found: Derivation, expected: _Sheets) -> None:
    """Expect ledgers as they are stored where they are as good as what follows.

    When something was last earned may be later than it was, and a ledger of nothing need not be there.
    """
    for number, follows in found.ledgers.items():
        try:
            stored = journal_tables.ledger(snapshot, number)
        except _WRONG:
            continue
        if stored._replace(last_ns=0) == follows._replace(last_ns=0):
            key = b"l" + number.to_bytes(_NUMBER_BYTES, "big")
            if stored == Ledger() and not snapshot.table("metrics").has(key):
                expected.table("metrics").delete(key)
            else:
                journal_tables.put_ledger(expected, number, stored)


def _entry(table: str, key: bytes, names: Mapping[int, str]) -> str:
    """Return in words what a record of what follows from the journal is about."""
    who = names.get(number := int.from_bytes(key[1:5], "big"), f"agent number {number}, which is not there")
    words = {
        ("metrics", b"t"): f"the tally of {who} in project number {int.from_bytes(key[5:9], 'big')}",
        ("metrics", b"l"): f"the ledger of {who}",
        ("communication", b"s"): f"the grades of {key[2:].hex()}",
        ("communication", b"a"): f"a grade of {who} in the index, {key[13:].hex()}",
        ("health", b"b"): f"the bug {key[-6:].hex()} of {key[2:-6].hex()}",
        ("health", b"a"): f"a bug of {who} in the index, {key[13:].hex()}",
        ("health", b"y"): f"the push of commit {key[1:].hex()}",
        ("sessions", b"s"): f"session {key[1:].decode('utf-8', 'backslashreplace')}",
        ("sessions", b"o"): f"session {key[1:].decode('utf-8', 'backslashreplace')} in the index of open ones",
    }
    return words.get((table, key[:1]), f"the record at {key.hex()[:80]}")
